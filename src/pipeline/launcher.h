/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  The static background worker that keeps one worker alive a pipeline.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_LAUNCHER_H
#define TARN_PIPELINE_LAUNCHER_H

#include "postgres.h"

/* What a dynamic worker gets in bgw_extra. */
typedef struct WorkerArgs
{
	Oid			database;
	Oid			owner;			/* role to connect as; InvalidOid: scout */
	int32		pipeline_id;
} WorkerArgs;

/* From _PG_init, when loaded through shared_preload_libraries. */
extern void launcher_init(void);

/* Entry points of the background workers. */
extern PGDLLEXPORT void tarn_launcher_main(Datum arg);
extern PGDLLEXPORT void tarn_scout_main(Datum arg);
extern PGDLLEXPORT void tarn_worker_main(Datum arg);

#endif							/* TARN_PIPELINE_LAUNCHER_H */
