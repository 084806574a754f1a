/*-------------------------------------------------------------------------
 *
 * wire_json.c
 *	  The sink that prints: one line of JSON a change.
 *
 *	{"op":"begin","xid":740,"commit_lsn":"0/1A2B3C8","commit_time":"..."}
 *	{"op":"c","schema":"public","table":"t","after":{...},
 *	 "lsn":"0/1A2B300","commit_lsn":"0/1A2B3C8","xid":740,"commit_time":"..."}
 *	{"op":"commit","xid":740,"commit_lsn":"0/1A2B3C8","end_lsn":"0/1A2B3F8","commit_time":"..."}
 *
 * op is c (insert), u (update), d (delete) or t (truncate).  `before` is the
 * old key, or the old row under REPLICA IDENTITY FULL; an update without it
 * left the key as it was.  A TOAST value that an update left alone is not in
 * WAL: it is missing in `after` and its column is named in "unchanged".
 * TRUNCATE of a single partition of a table published as its root has the
 * member "partial" with a message: some of the rows are gone.
 *
 * Values: numbers and booleans as such, json and jsonb embedded, everything
 * else a string.  NaN and infinities are strings, since JSON has none.
 * Dates and times are ISO 8601 (timestamptz in UTC) and bytea is hex; other
 * types are written by their output functions under fixed settings.  So every
 * consumer reads the same, whatever its session has set.
 *
 * What the sink knows of a column lies in the relation's context and goes
 * with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/json.h"
#include "catalog/pg_type.h"
#include "decode/wire_json.h"
#include "decode/wire_value.h"
#include "replication/output_plugin.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/timestamp.h"

typedef struct WireJson
{
	ChangeSink	sink;
	LogicalDecodingContext *ctx;
	bool		transactions;
	int			guc_level;		/* of our settings; 0: the session is ours alone */
} WireJson;

static void
wire_json_relation(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn, DecodeRelation *rel)
{
	MemoryContext old;
	WireColumn *columns;

	if (rel->error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s", rel->error)));

	old = MemoryContextSwitchTo(rel->context);
	columns = palloc0(Max(rel->desc->natts, 1) * sizeof(WireColumn));
	for (int i = 0; i < rel->desc->natts; i++)
	{
		if (rel->published[i])
			wire_column_init(&columns[i], TupleDescAttr(rel->desc, i));
	}
	rel->sink_private = columns;
	MemoryContextSwitchTo(old);
}

/* A line begins and ends. */
static void
wire_open(ChangeSink *sink, JsonWriter *w, const char *op)
{
	WireJson   *wire = (WireJson *) sink;

	OutputPluginPrepareWrite(wire->ctx, true);
	json_writer_init(w, wire->ctx->out);
	json_open(w, NULL, '{');
	json_string(w, "op", op);
}

static void
wire_close(ChangeSink *sink, JsonWriter *w)
{
	json_close(w, '}');
	OutputPluginWrite(((WireJson *) sink)->ctx, true);
}

static void
wire_lsn(JsonWriter *w, const char *key, XLogRecPtr lsn)
{
	char		text[32];

	snprintf(text, sizeof(text), "%X/%X", LSN_FORMAT_ARGS(lsn));
	json_string(w, key, text);
}

/* The transaction's members, the same in every line. */
static void
wire_txn(JsonWriter *w, const DecodeTxn *txn)
{
	const int	utc = 0;
	char		text[MAXDATELEN + 1];

	json_int64(w, "xid", txn->xid);
	wire_lsn(w, "commit_lsn", txn->commit_lsn);
	JsonEncodeDateTime(text, TimestampTzGetDatum(txn->commit_time), TIMESTAMPTZOID, &utc);
	json_string(w, "commit_time", text);
}

static void
wire_name(JsonWriter *w, const DecodeRelation *rel)
{
	json_string(w, "schema", rel->schema);
	json_string(w, "table", rel->table);
}

static bool
wire_unchanged(const WireColumn *column, const DecodeRow *row, int i)
{
	return column->varlena && !row->isnull[i] &&
		VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(row->values[i]));
}

/* `wanted`: which attributes; true when one was left out as unchanged. */
static bool
wire_row(JsonWriter *w, const char *key, const DecodeRelation *rel, const DecodeRow *row, const bool *wanted)
{
	const WireColumn *columns = rel->sink_private;
	bool		unchanged = false;

	json_open(w, key, '{');
	for (int i = 0; i < rel->desc->natts; i++)
	{
		const WireColumn *column = &columns[i];

		if (!wanted[i] || !rel->published[i])
			continue;
		if (wire_unchanged(column, row, i))
		{
			unchanged = true;
			continue;
		}
		if (row->isnull[i])
		{
			json_null(w, column->name);
			continue;
		}
		json_raw(w, column->name, "");
		column->write(w->out, column,
					  column->varlena ? PointerGetDatum(PG_DETOAST_DATUM_PACKED(row->values[i])) : row->values[i]);
	}
	json_close(w, '}');
	return unchanged;
}

static void
wire_row_after(JsonWriter *w, const DecodeRelation *rel, const DecodeRow *row)
{
	const WireColumn *columns = rel->sink_private;

	if (!wire_row(w, "after", rel, row, rel->published))
		return;
	json_open(w, "unchanged", '[');
	for (int i = 0; i < rel->desc->natts; i++)
	{
		if (rel->published[i] && wire_unchanged(&columns[i], row, i))
			json_string(w, NULL, columns[i].name);
	}
	json_close(w, ']');
}

/* The envelope of one row change. */
static void
wire_change(ChangeSink *sink, const char *op, const DecodeTxn *txn, XLogRecPtr lsn,
			const DecodeRelation *rel, const DecodeRow *old_row, const DecodeRow *new_row)
{
	JsonWriter	w;

	wire_open(sink, &w, op);
	wire_name(&w, rel);
	if (old_row != NULL)
		wire_row(&w, "before", rel, old_row, rel->key);
	if (new_row != NULL)
		wire_row_after(&w, rel, new_row);
	wire_lsn(&w, "lsn", lsn);
	wire_txn(&w, txn);
	wire_close(sink, &w);
}

static void
wire_json_insert(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
				 DecodeRelation *rel, const DecodeRow *new_row)
{
	wire_change(sink, "c", txn, lsn, rel, NULL, new_row);
}

static void
wire_json_update(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
				 DecodeRelation *rel, const DecodeRow *old_row, const DecodeRow *new_row)
{
	wire_change(sink, "u", txn, lsn, rel, old_row, new_row);
}

static void
wire_json_delete(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
				 DecodeRelation *rel, const DecodeRow *old_row)
{
	wire_change(sink, "d", txn, lsn, rel, old_row, NULL);
}

/* One line a table, so that a consumer of one table sees all of it. */
static void
wire_json_truncate(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
				   DecodeRelation **rels, int nrels, bool cascade, bool restart_seqs)
{
	for (int i = 0; i < nrels; i++)
	{
		JsonWriter	w;

		wire_open(sink, &w, "t");
		wire_name(&w, rels[i]);
		json_bool(&w, "cascade", cascade);
		json_bool(&w, "restart_identity", restart_seqs);
		wire_lsn(&w, "lsn", lsn);
		wire_txn(&w, txn);
		wire_close(sink, &w);
	}
}

static void
wire_json_truncate_partition(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
							 DecodeRelation *rel, const char *reason)
{
	JsonWriter	w;

	wire_open(sink, &w, "t");
	wire_name(&w, rel);
	json_string(&w, "partial", reason);
	wire_lsn(&w, "lsn", lsn);
	wire_txn(&w, txn);
	wire_close(sink, &w);
}

static void
wire_json_begin(ChangeSink *sink, const DecodeTxn *txn)
{
	JsonWriter	w;

	if (!((WireJson *) sink)->transactions)
		return;
	wire_open(sink, &w, "begin");
	wire_txn(&w, txn);
	wire_close(sink, &w);
}

static void
wire_json_commit(ChangeSink *sink, const DecodeTxn *txn, bool empty)
{
	JsonWriter	w;

	if (empty || !((WireJson *) sink)->transactions)
		return;
	wire_open(sink, &w, "commit");
	wire_lsn(&w, "end_lsn", txn->end_lsn);
	wire_txn(&w, txn);
	wire_close(sink, &w);
}

/*
 * What output functions depend on.  Inside a transaction (the SQL functions)
 * the settings end with the decoding, or with an error; a walsender is
 * outside of one, and does nothing else in its session.
 */
static void
wire_json_startup(ChangeSink *sink, LogicalDecodingContext *ctx)
{
	static const char *const settings[][2] = {
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"TimeZone", "UTC"},
		{"bytea_output", "hex"},
		{"extra_float_digits", "1"},
	};
	WireJson   *wire = (WireJson *) sink;

	wire->ctx = ctx;
	wire->guc_level = IsTransactionState() ? NewGUCNestLevel() : 0;
	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

static void
wire_json_shutdown(ChangeSink *sink)
{
	WireJson   *wire = (WireJson *) sink;

	if (wire->guc_level > 0)
		AtEOXact_GUC(true, wire->guc_level);
}

static const ChangeSinkOps wire_json_ops = {
	.startup = wire_json_startup,
	.begin = wire_json_begin,
	.relation = wire_json_relation,
	.insert = wire_json_insert,
	.update = wire_json_update,
	.delete = wire_json_delete,
	.truncate = wire_json_truncate,
	.commit = wire_json_commit,
	.truncate_partition = wire_json_truncate_partition,
	.shutdown = wire_json_shutdown,
};

ChangeSink *
wire_json_sink(bool transactions)
{
	WireJson   *wire = palloc0(sizeof(WireJson));

	wire->sink.ops = &wire_json_ops;
	wire->sink.private = wire;
	wire->transactions = transactions;
	return &wire->sink;
}
