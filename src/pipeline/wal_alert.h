/*-------------------------------------------------------------------------
 *
 * wal_alert.h
 *	  Says when a pipeline's slot keeps more WAL than somebody wants to know of.
 *
 * The launcher looks, since a slot grows above all while its pipeline has no
 * worker.  It only says so: to drop the slot would lose changes, and whether
 * the disk is worth more is for max_slot_wal_keep_size to decide.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_WAL_ALERT_H
#define TARN_PIPELINE_WAL_ALERT_H

#include "postgres.h"

#include "pipeline/state.h"

extern int	tarn_wal_alert_mb;	/* tarn.wal_alert; 0: never */

/* From _PG_init: the setting. */
extern void wal_alert_init(void);

/* Does the pipeline's slot keep more than that now? */
extern bool wal_alert_due(const PipelineState *state);

/* One line in the log when a pipeline crosses the threshold, and one when it is back. */
extern void wal_alert_look(PipelineState *state);

#endif							/* TARN_PIPELINE_WAL_ALERT_H */
