/*-------------------------------------------------------------------------
 *
 * status.c
 *	  What the processes know, as rows for the views.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

#include "api/api.h"
#include "base/compat.h"
#include "pipeline/state.h"
#include "pipeline/wal_alert.h"

PG_FUNCTION_INFO_V1(tarn_pipeline_status);

#define STATUS_COLUMNS 23

/* A worker that has nothing to do says so several times a second. */
#define CURRENT_MS 1500

/* One row under construction. */
typedef struct StatusRow
{
	Datum		values[STATUS_COLUMNS];
	bool		nulls[STATUS_COLUMNS];
	int			n;
} StatusRow;

static void
put(StatusRow *row, Datum value, bool isnull)
{
	row->values[row->n] = value;
	row->nulls[row->n++] = isnull;
}

static void
put_count(StatusRow *row, uint64 value)
{
	put(row, Int64GetDatum((int64) value), false);
}

static void
put_text(StatusRow *row, const char *text)
{
	put(row, CStringGetTextDatum(text), text[0] == '\0');
}

static void
put_lsn(StatusRow *row, XLogRecPtr lsn)
{
	put(row, LSNGetDatum(lsn), lsn == InvalidXLogRecPtr);
}

static void
put_time(StatusRow *row, TimestampTz time)
{
	put(row, TimestampTzGetDatum(time), time == 0);
}

/*
 * The age of the oldest change that is not in the lake.  Without a worker
 * nobody knows it; then the time since the lake had everything: it is no
 * older than that.
 */
static double
lag_seconds(const PipelineState *s)
{
	TimestampTz since = s->oldest_buffered;

	if (since == 0 && (s->pid == 0 || s->current_at == 0 ||
					   TimestampDifferenceExceeds(s->current_at, GetCurrentTimestamp(), CURRENT_MS)))
		since = s->current_at;
	return since ? TimestampDifferenceMilliseconds(since, GetCurrentTimestamp()) / 1000.0 : 0.0;
}

static void
fill_row(StatusRow *row, const PipelineState *s)
{

	row->n = 0;
	put(row, Int32GetDatum(s->pipeline_id), false);
	put(row, Int32GetDatum(s->pid), s->pid == 0);
	put_text(row, pipeline_activity_names[s->activity]);
	put_text(row, s->detail);
	put_lsn(row, s->received);
	put_lsn(row, s->committed);
	put_lsn(row, s->confirmed);
	put_time(row, s->committed_time);
	put(row, Float8GetDatum(lag_seconds(s)), s->oldest_buffered == 0 && s->current_at == 0 && s->committed == 0);
	put_time(row, s->last_flush);
	put_count(row, s->flushes);
	put_count(row, s->transactions);
	put_count(row, s->inserts);
	put_count(row, s->updates);
	put_count(row, s->deletes);
	put_count(row, s->truncates);
	put_count(row, s->buffered_bytes);
	put_count(row, s->written_bytes);
	put(row, Int32GetDatum(s->failures), false);
	put_time(row, s->pid == 0 && s->activity == PIPELINE_BACKOFF ? s->restart_at : 0);
	put_text(row, s->last_error);
	put_time(row, s->last_error_at);
	put(row, BoolGetDatum(wal_alert_due(s)), tarn_wal_alert_mb == 0);
}

Datum
tarn_pipeline_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	compat_init_materialized_srf(fcinfo);
	for (int i = 0; tarn_shared && i < tarn_shared->npipelines; i++)
	{
		StatusRow	row;
		PipelineState copy;

		LWLockAcquire(tarn_shared->lock, LW_SHARED);
		memcpy(&copy, &tarn_shared->pipelines[i], sizeof(copy));
		LWLockRelease(tarn_shared->lock);
		if (!copy.used || copy.database != MyDatabaseId)
			continue;
		fill_row(&row, &copy);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values, row.nulls);
	}
	return (Datum) 0;
}
