/*-------------------------------------------------------------------------
 *
 * history_rows.c
 *	  Rows of a history in memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "pipeline/history.h"

/* Room of new buffers: many tables see a row or two a flush. */
#define FIRST_ROWS 64

/* Microseconds since 1970, not 2000. */
int64
history_time(TimestampTz time)
{
	return time + (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

HistoryRows *
history_rows_create(MemoryContext parent)
{
	static const LakeTypeId types[HISTORY_NCOLUMNS] = {
		[HISTORY_OP] = LAKE_STRING,[HISTORY_COMMIT_LSN] = LAKE_LONG,[HISTORY_COMMIT_TIME] = LAKE_TIMESTAMPTZ,
		[HISTORY_XID] = LAKE_LONG,[HISTORY_SEQUENCE] = LAKE_LONG,[HISTORY_BEFORE] = LAKE_NESTED,
		[HISTORY_AFTER] = LAKE_NESTED,[HISTORY_UNCHANGED] = LAKE_NESTED,[HISTORY_SHAPE_TEXT] = LAKE_STRING
	};
	MemoryContext context = AllocSetContextCreate(parent, "tarn history rows", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HistoryRows *rows = palloc0(sizeof(HistoryRows));

	rows->context = context;
	for (int i = 0; i < HISTORY_NCOLUMNS; i++)
		rows->columns[i] = column_vector_create(context, (LakeType) {.id = types[i]}, FIRST_ROWS);
	initStringInfo(&rows->packed);
	MemoryContextSwitchTo(old);
	return rows;
}

void
history_rows_reset(HistoryRows *rows)
{
	for (int i = 0; i < HISTORY_NCOLUMNS; i++)
		column_vector_reset(rows->columns[i]);
}

void
history_rows_free(HistoryRows *rows)
{
	MemoryContextDelete(rows->context);
}

size_t
history_rows_bytes(const HistoryRows *rows)
{
	size_t		bytes = rows->packed.maxlen;

	for (int i = 0; i < HISTORY_NCOLUMNS; i++)
		bytes += column_vector_bytes(rows->columns[i]);
	return bytes;
}

size_t
history_rows_used(const HistoryRows *rows)
{
	size_t		used = 0;

	for (int i = 0; i < HISTORY_NCOLUMNS; i++)
	{
		const ColumnVector *v = rows->columns[i];

		used += v->layout == LAYOUT_BYTES ?
			(size_t) v->offsets[v->length] + (size_t) v->length * sizeof(uint32) :
			(size_t) v->length * v->width;
	}
	return used;
}

uint32
history_rows_count(const HistoryRows *rows)
{
	return rows->columns[HISTORY_OP]->length;
}

void
history_begin_image(HistoryRows *rows)
{
	resetStringInfo(&rows->packed);
}

/* A field of a struct is a child: see column/nested.h. */
void
history_put_null(HistoryRows *rows)
{
	appendStringInfoChar(&rows->packed, 0);
}

void
history_put_value(HistoryRows *rows, const ColumnVector *v, uint32 i)
{
	if (column_vector_isnull(v, i))
	{
		history_put_null(rows);
		return;
	}
	appendStringInfoChar(&rows->packed, 1);
	/* a nested value is packed already */
	if (v->type.id == LAKE_NESTED)
		appendBinaryStringInfo(&rows->packed, v->bytes + v->offsets[i], (int) (v->offsets[i + 1] - v->offsets[i]));
	else
		packed_put(&rows->packed, v, i);
}

void
history_end_image(HistoryRows *rows, int column)
{
	column_append_bytes(rows->columns[column], rows->packed.data, (uint32) rows->packed.len);
}

void
history_no_image(HistoryRows *rows, int column)
{
	column_append_null(rows->columns[column]);
}

void
history_put_event(HistoryRows *rows, const HistoryEvent *event, const AttrNumber *unchanged, int nunchanged)
{
	char		op = (char) event->op;

	column_append_bytes(rows->columns[HISTORY_OP], &op, 1);
	column_append_int64(rows->columns[HISTORY_COMMIT_LSN], (int64) event->lsn);
	column_append_int64(rows->columns[HISTORY_COMMIT_TIME], history_time(event->time));
	if (TransactionIdIsValid(event->xid))
		column_append_int64(rows->columns[HISTORY_XID], event->xid);
	else
		column_append_null(rows->columns[HISTORY_XID]);
	column_append_int64(rows->columns[HISTORY_SEQUENCE], event->sequence);
	if (event->shape)
		column_append_bytes(rows->columns[HISTORY_SHAPE_TEXT], event->shape, (uint32) strlen(event->shape));
	else
		column_append_null(rows->columns[HISTORY_SHAPE_TEXT]);
	if (nunchanged == 0)
	{
		column_append_null(rows->columns[HISTORY_UNCHANGED]);
		return;
	}
	resetStringInfo(&rows->packed);
	packed_put_count(&rows->packed, (uint32) nunchanged);
	for (int i = 0; i < nunchanged; i++)
	{
		int32		attnum = unchanged[i];

		appendStringInfoChar(&rows->packed, 1);
		appendBinaryStringInfo(&rows->packed, (const char *) &attnum, sizeof(attnum));
	}
	history_end_image(rows, HISTORY_UNCHANGED);
}
