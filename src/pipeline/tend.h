/*-------------------------------------------------------------------------
 *
 * tend.h
 *	  The worker's care for its tables: publications that change, copies that
 *	  begin and end, rows of the registry that somebody changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_TEND_H
#define TARN_PIPELINE_TEND_H

#include "postgres.h"

#include "pipeline/pipeline.h"

typedef enum TendResult
{
	TEND_NOTHING,
	TEND_RESTART,				/* a table's copy is done: call tend_adopt and decode from its position */
	TEND_PAUSED,
	TEND_RENEW,					/* the pipeline was altered: a new process takes over */
	TEND_GONE					/* the pipeline was dropped */
} TendResult;

/* Once, before the first round: removes what a crash left behind, opens the tables. */
extern void tend_start(Pipeline *p);

/* Each round; cheap when nothing happened.  `reload`: the registry was changed by somebody. */
extern TendResult tend_tables(Pipeline *p, bool reload);

/* Takes the tables' states from the registry and opens those that are new. */
extern void tend_adopt(Pipeline *p);

/* The stream has come to where options may have been set: takes over those of all tables. */
extern void tend_adopt_options(Pipeline *p);

/*
 * Removes what an unfinished flush left in a table's folders.  Stopped tables
 * too: the flush may have failed because of them.
 */
extern void tend_remove_orphans(Pipeline *p, PipelineTable *t);

/* Look at the publications with the next round. */
extern void tend_hint(void);

#endif							/* TARN_PIPELINE_TEND_H */
