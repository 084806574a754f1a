/*-------------------------------------------------------------------------
 *
 * pipeline.h
 *	  Pipeline and PipelineTable: what a worker knows of its work.
 *
 * A Pipeline is built by the worker (and by the copy coordinator) from the
 * rows of tarn.pipeline and tarn.pipeline_table (registry.c); the columns of
 * a table come from the source's catalogs and its lake table from the lake
 * (tables.c).  Everything lives in contexts below Pipeline.context.
 *
 * States of a table.  `copy`: not in the lake yet, or to be copied anew.
 * `catchup`: its copy is in the lake at position `lsn`, which is behind the
 * pipeline's; the stream is read again from there for it alone.  `live`: it
 * moves with the pipeline.  `stopped`: an error that only somebody outside
 * can mend; the others go on.  `skipped`: somebody wants it left out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_PIPELINE_H
#define TARN_PIPELINE_PIPELINE_H

#include "postgres.h"

#include "access/attnum.h"
#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "column/convert.h"
#include "lake/table.h"
#include "parquet/writer.h"
#include "pipeline/keyindex.h"
#include "pipeline/state.h"

#define TOKEN_LENGTH 36			/* a uuid as text */

typedef enum TableState
{
	TABLE_COPY,
	TABLE_CATCHUP,
	TABLE_LIVE,
	TABLE_STOPPED,
	TABLE_SKIPPED
} TableState;

extern const char *const table_state_names[];

/* Is every change of a table kept?  (history.h) */
typedef enum HistoryMode
{
	HISTORY_NONE,
	HISTORY_BESIDE,				/* the mirror */
	HISTORY_ONLY
} HistoryMode;

/* A column whose lake type an option gives. */
typedef struct ColumnOption
{
	char		name[NAMEDATALEN];
	LakeType	type;
} ColumnOption;

/* How values are kept and files are written; from the options of pipeline and table. */
typedef struct WriteOptions
{
	ParquetWriterOptions parquet;
	ParquetEncodingChoice encoding;
	uint64		file_bytes;		/* a larger file is closed and a new one begun */
	ConvertPolicy policy;
	bool		text_bytes;		/* SQL_ASCII: text as binary */
	bool		row_security_ignored;	/* mirror a table with row-level security */
	bool		keep_deleted;	/* rows that the source deletes stay in the lake */
	bool		keep_truncated; /* the same for TRUNCATE */
	HistoryMode history;
	List	   *columns;		/* of ColumnOption *, the table's before the pipeline's */
} WriteOptions;

typedef struct TableColumn
{
	AttrNumber	attnum;			/* of the published relation */
	char	   *name;
	char	   *lake_name;		/* the same in UTF-8 */
	Oid			type;
	int32		typmod;
	bool		notnull;
	bool		varlena;
	int			field_id;
	LakeNode   *node;			/* nested: what it consists of, with field ids; else NULL */
	ColumnConvert convert;
	size_t		carried_bytes;	/* how large values were that updates left unchanged; 0: none was yet */
} TableColumn;

typedef struct TableBatch TableBatch;	/* batch.h */
typedef struct TableShape TableShape;	/* shape.h */
typedef struct TableHistory TableHistory;	/* history.h */

/* What was done to a table in the lake. */
typedef struct TableWork
{
	int64		inserts;
	int64		updates;
	int64		deletes;
	int64		truncates;
	int64		files;			/* data and delete files that were written */
	int64		bytes;
} TableWork;

typedef struct PipelineTable
{
	Oid			relid;
	char	   *schema;			/* of the source */
	char	   *table;
	char	   *namespace;		/* in the lake */
	char	   *name;
	TableState	state;
	XLogRecPtr	lsn;			/* catchup: copied up to here */
	char		copy_token[TOKEN_LENGTH + 1];	/* copy: its files; "" none */
	bool		own_folder;		/* copy: a new lake table gets a folder that is not its name */
	WriteOptions write;

	/* set up by pipeline_table_open and _follow; columns only once the source is described */
	bool		opened;
	TableShape *shape;			/* of the lake table, or what it becomes with the next commit */
	int			last_field_id;	/* highest that a file may have */
	int			ncolumns;
	TableColumn *columns;
	ParquetColumn *parquet;		/* the same, for the writer */
	int			nkeys;			/* 0: append only */
	int		   *keys;			/* indexes into columns */
	bool		wide_key;		/* keys longer than 64 bits */
	char		replica_identity;
	LakeTable  *lake;			/* state of the last commit; NULL before the copy, and without a mirror */
	TableHistory *history;		/* NULL: none is kept */

	KeyIndex   *index;			/* opened at the first need */
	bool		index_fresh;	/* rebuilt by this process */
	TableBatch *batch;			/* changes since the last commit; NULL: none */
	TableWork	work;			/* not on record yet */

	/* set while decoding, for the next flush */
	char	   *stop_error;		/* to be stopped */
	char	   *copy_reason;	/* to be copied anew */
	bool		keep_batch;		/* ... and what the batch has is good all the same */
	XLogRecPtr	left;			/* with either: commits that end there or before were followed, all of them */
	bool		reshaped;		/* the lake table's schema and properties change */
	bool		rekeyed;		/* the key index on disk is of another key */
	char	   *new_schema;		/* the source was renamed, or NULL */
	char	   *new_table;
	TransactionId rewritten;	/* whose rewriting kept the numbers */
	TransactionId joined;		/* whose new partitions were empty */
	XLogRecPtr	leaving;		/* not published any more: followed until there */
	MemoryContext context;		/* of the opened part */
} PipelineTable;

/* Is there to be a lake table with the table's current rows? */
static inline bool
table_mirrored(const PipelineTable *t)
{
	return t->write.history != HISTORY_ONLY;
}

typedef struct Pipeline
{
	int32		id;
	char	   *name;
	char	   *lake_label;		/* the name in UTF-8 */
	Oid			owner;
	char	   *lake_name;
	List	   *publications;	/* of char * */
	bool		enabled;
	int64		flush_interval_ms;
	int64		memory_limit;	/* bytes */
	List	   *options;		/* of char * "name=value" */
	uint64		system_identifier;
	uint32		timeline;
	Oid			database;
	char	   *slot;
	XLogRecPtr	lsn;			/* all before is in the lake, of every live table; 0: the slot was never made */
	TimestampTz last_commit;
	char		flush_token[TOKEN_LENGTH + 1];
	char		fence[TOKEN_LENGTH + 1];	/* token of the lake's marker; "": to be claimed */

	List	   *tables;			/* of PipelineTable *, ordered by relid */
	Lake	   *lake;
	PipelineState *state;
	MemoryContext context;
} Pipeline;

#endif							/* TARN_PIPELINE_PIPELINE_H */
