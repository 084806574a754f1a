/*-------------------------------------------------------------------------
 *
 * upkeep.h
 *	  What a worker does when there is nothing else to do.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_UPKEEP_H
#define TARN_PIPELINE_UPKEEP_H

#include "postgres.h"

#include "pipeline/pipeline.h"

/*
 * A slice of work: merging of key index segments; with `idle` also the
 * removal of files that no reader can need.  True when more is waiting.
 */
extern bool upkeep_idle(Pipeline *p, bool idle);

/* The pipeline's folder of key indexes. */
extern void upkeep_remove_folder(Oid database, int32 pipeline_id);

/* Those of all pipelines of a database that is gone. */
extern void upkeep_remove_database(Oid database);

#endif							/* TARN_PIPELINE_UPKEEP_H */
