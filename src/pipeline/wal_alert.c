/*-------------------------------------------------------------------------
 *
 * wal_alert.c
 *	  Says when a pipeline's slot keeps more WAL than somebody wants to know of.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/xlog.h"
#include "replication/slot.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "pipeline/wal_alert.h"

int			tarn_wal_alert_mb = 10240;

void
wal_alert_init(void)
{
	DefineCustomIntVariable("tarn.wal_alert",
							"Sets how much WAL a pipeline's slot may keep before the log says so.",
							"0 turns the alert off.",
							&tarn_wal_alert_mb, 10240, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MB, NULL, NULL, NULL);
}

/* Bytes of WAL that the slot keeps; 0 when there is no such slot, or it keeps none. */
static uint64
retained(const PipelineState *state)
{
	ReplicationSlot *slot = SearchNamedReplicationSlot(NameStr(state->slot), true);
	XLogRecPtr	restart = InvalidXLogRecPtr;
	XLogRecPtr	end = GetFlushRecPtr(NULL);

	if (slot)
	{
		SpinLockAcquire(&slot->mutex);
		if (slot->in_use)
			restart = slot->data.restart_lsn;
		SpinLockRelease(&slot->mutex);
	}
	return restart == InvalidXLogRecPtr || restart > end ? 0 : end - restart;
}

bool
wal_alert_due(const PipelineState *state)
{
	return tarn_wal_alert_mb > 0 && !RecoveryInProgress() &&
		retained(state) >= (uint64) tarn_wal_alert_mb * 1024 * 1024;
}

void
wal_alert_look(PipelineState *state)
{
	bool		due = wal_alert_due(state);

	if (due == state->wal_alert)
		return;
	state->wal_alert = due;
	if (due)
		ereport(LOG,
				(errmsg("replication slot \"%s\" of pipeline \"%s\" keeps %llu MB of WAL",
						NameStr(state->slot), NameStr(state->name),
						(unsigned long long) (retained(state) / (1024 * 1024))),
				 errdetail("That is more than tarn.wal_alert, %d MB.", tarn_wal_alert_mb),
				 errhint("See tarn.pipelines for what the pipeline waits for.")));
	else
		ereport(LOG,
				(errmsg("replication slot \"%s\" of pipeline \"%s\" keeps less WAL than tarn.wal_alert again",
						NameStr(state->slot), NameStr(state->name))));
}
