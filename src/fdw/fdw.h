/*-------------------------------------------------------------------------
 *
 * fdw.h
 *	  What the files of the foreign data wrapper share.
 *
 * handler.c		the table of callbacks, the validator
 * options.c		names of a foreign table and its columns in the lake
 * columns.c		a foreign column bound to a field of the lake table
 * plan.c			sizes, plan
 * paths.c			paths, with values of other relations too
 * estimate.c		rows and costs
 * statistics.c		what the manifests tell of columns
 * sweep.c			how values are spread, by bounds
 * statistics_form.c	that, as a row of pg_statistic
 * analyze.c			a sample of rows for ANALYZE
 * statistics_hook.c	such rows to the server's selectivity functions
 * pushdown.c		clauses that a lake filter can stand for (no values yet)
 * pushdown_filter.c	such a clause with its values -> Filter
 * scan.c			execution
 * explain.c		EXPLAIN
 * import.c			IMPORT FOREIGN SCHEMA
 *
 * Planning and execution may see different states of the lake, and a generic
 * plan outlives many.  So a plan holds nothing of the lake: which clauses are
 * pushed follows from PostgreSQL's types alone, and the lake table, its files
 * and the constants are looked up when the scan begins.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_FDW_FDW_H
#define TARN_FDW_FDW_H

#include "postgres.h"

#include "access/attnum.h"
#include "column/convert.h"
#include "foreign/fdwapi.h"
#include "lake/scan.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
#include "utils/rel.h"

/* --- options.c --- */

typedef struct FdwNames
{
	Oid			server;
	char	   *namespace;		/* option, or the foreign table's schema */
	char	   *table;			/* option, or the foreign table's name */
} FdwNames;

extern void fdw_table_names(Oid relid, FdwNames *names);

/* Name of the lake column of an attribute: option column_name, or its own. */
extern char *fdw_column_name(Relation rel, AttrNumber attno);

/* Value of an option in a list of DefElem, or NULL. */
extern char *fdw_option(List *options, const char *name);

/* --- columns.c --- */

typedef struct FdwColumn
{
	AttrNumber	attno;
	int			slot;			/* in the projection */
	const IcebergField *field;
	ColumnConvert convert;
	bool		filterable;		/* constants of the PostgreSQL type mean the same in the field's */
} FdwColumn;

/* Fails with the closest name when the lake has no such column, and when the types do not fit. */
extern void fdw_column_bind(FdwColumn *c, Relation rel, AttrNumber attno,
							const LakeTable *table, MemoryContext context);

/* The same without an error, for planning: false. */
extern bool fdw_column_try(FdwColumn *c, Relation rel, AttrNumber attno,
						   const LakeTable *table, MemoryContext context);

/* The type that a field, or one within a struct, came from, if the table notes one that exists here; else InvalidOid. */
extern Oid	fdw_noted_type(const LakeTable *table, int field_id, int32 *typmod);

/* Can a column of that type show the values of the table's field?  Fills *convert. */
extern bool fdw_convert_init(ColumnConvert *convert, Oid pg_type, int32 typmod, const IcebergField *field,
							 const LakeTable *table, const char *column, const char *relation,
							 MemoryContext context, char **reason);

/* --- pushdown.c --- */

typedef enum PushKind
{
	PUSH_COMPARE,				/* column op value */
	PUSH_ARRAY,					/* column op ANY/ALL (array) */
	PUSH_LIKE,					/* column LIKE pattern */
	PUSH_STARTS,				/* column ^@ prefix */
	PUSH_DISTINCT,				/* column IS DISTINCT FROM value */
	PUSH_NULL,					/* column IS NULL */
	PUSH_AND,
	PUSH_OR
} PushKind;

/*
 * A clause as a lake filter will see it.  Negation has been moved down to the
 * leaves, where it is exact in three-valued logic; that leaves AND and OR, in
 * which "false" and "unknown" need not be told apart.
 */
typedef struct PushNode
{
	PushKind	kind;
	bool		negated;		/* LIKE, STARTS, DISTINCT, NULL */
	AttrNumber	attno;
	FilterOp	op;				/* COMPARE, ARRAY: EQ..GE, negation applied */
	bool		any;			/* ARRAY: ANY, else ALL */
	Expr	   *value;			/* right-hand side */
	Oid			value_type;		/* of one value: the array's elements; base type */
	ExprState  *state;			/* of value, when it is to be evaluated */
	List	   *args;			/* AND, OR: PushNodes */
} PushNode;

/* The clause over columns of relation `varno`, or NULL when it must be evaluated by the executor. */
extern PushNode *push_match(Index varno, Node *clause);

/* Column numbers the clause names, added to `attnos` (offset as in pull_varattnos). */
extern Bitmapset *push_attributes(const PushNode *node, Bitmapset *attnos);

/* Prepares the values for evaluation by a plan node. */
extern void push_init(PushNode *node, PlanState *parent);

/* --- pushdown_filter.c --- */

/*
 * A filter that passes every row for which the clause is true (NULL: all
 * rows), and whether it passes no other.  When not, the executor evaluates
 * the clause too.
 */
typedef struct PushResult
{
	Filter	   *filter;
	bool		exact;
} PushResult;

/*
 * Evaluates the values in `econtext` (NULL: planning; only constants count)
 * and makes the filter, in the current context.  columns: by attribute
 * number - 1; NULL where not bound.
 */
extern PushResult push_filter(const PushNode *node, FdwColumn *const *columns, ExprContext *econtext);

/* --- estimate.c --- */

typedef struct FdwStatistics FdwStatistics;	/* statistics.h */

/* What planning keeps in RelOptInfo.fdw_private. */
typedef struct FdwPlan
{
	Oid			user;			/* whose user mapping is used */
	Bitmapset  *needed;			/* attributes to form, as pull_varattnos gives them */
	List	   *pushed;			/* RestrictInfos */
	List	   *local;
	double		scanned_rows;	/* in files that are not pruned */
	double		scanned_files;
	FdwStatistics *statistics;	/* NULL: nothing known */
	Cost		startup_cost;
	Cost		total_cost;
} FdwPlan;

/* Sets rel->tuples, pages, widths, rows and the costs. */
extern void fdw_estimate(PlannerInfo *root, RelOptInfo *rel, Relation relation, FdwPlan *plan);

/* --- statistics_hook.c --- */

/* Takes the planner's hook. */
extern void fdw_init(void);

/* Of a scan with join clauses pushed too, all of the list being equalities or not; `rows` it returns. */
extern void fdw_estimate_parameterized(PlannerInfo *root, RelOptInfo *rel, List *clauses, double rows,
									   Cost *startup_cost, Cost *total_cost);

/* --- paths.c --- */

extern void fdw_get_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid);

/* --- plan.c --- */

extern void fdw_get_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern ForeignScan *fdw_get_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path,
								 List *tlist, List *clauses, Plan *outer_plan);

/* Attribute numbers to form, of a plan. */
extern List *fdw_plan_attributes(ForeignScan *plan);

/* May the query above stop early (LIMIT, cursor, EXISTS)? */
extern bool fdw_plan_stops_early(ForeignScan *plan);

/* --- scan.c --- */

/*
 * The next (file, row group) to read.  A scan of its own walks them in
 * order; a parallel scan shares a cursor among its workers by giving another
 * `next`.
 */
typedef struct FdwCursor
{
	bool		(*next) (struct FdwCursor *cursor, int *task, int *group);
	int			task;
	int			group;
	int			ngroups;		/* of the task; -1 until its reader is open */
	int			ntasks;
} FdwCursor;

#define FDW_CHUNK_ROWS 1024

typedef struct FdwScan
{
	LakeTable  *table;
	LakeScan   *scan;			/* NULL until the first row is asked for */
	int			ncolumns;		/* projection: columns to form, then those only filters read */
	int			nrequired;		/* columns the plan wants formed */
	FdwColumn  *columns;
	FdwColumn **by_attno;
	List	   *clauses;		/* PushNodes, parallel to fdw_recheck_quals */
	List	   *clause_states;	/* ExprStates of the clauses, made when first needed; NULL elements */
	bool		dirty;			/* the filter must be made (again) */
	Filter	   *filter;
	List	   *rechecks;		/* ExprStates of clauses without an exact filter */
	List	   *rechecked;		/* their expressions, for EXPLAIN */
	uint64		rows_rechecked; /* dropped by them */
	int			nform;			/* columns formed: the required ones, more when there are rechecks */

	FdwCursor	cursor;
	LakeReader *reader;
	int			reader_task;
	LakeReader *next_reader;	/* of task reader_task + 1, opened ahead, or NULL */
	bool		stops_early;	/* begin with small slices of a row group */
	int			group;			/* being read */
	uint32		group_at;		/* first row of it that is not read yet */
	uint32		group_rows;
	uint32		slice_rows;		/* size of the next slice */
	LakeBatch	batch;
	uint32		batch_at;		/* next row of the batch to look at */
	uint32		rows[FDW_CHUNK_ROWS];
	uint32		nrows;			/* rows formed */
	uint32		at;				/* next of them to give out */
	Datum	   *values;			/* nrows x nform */
	bool	   *isnull;

	MemoryContext context;		/* lives as long as the scan */
	MemoryContext filter_context;	/* the filter and its constants */
	MemoryContext chunk_context;	/* by-reference values of the formed rows */
} FdwScan;

extern void fdw_begin_scan(ForeignScanState *node, int eflags);
extern TupleTableSlot *fdw_iterate_scan(ForeignScanState *node);
extern void fdw_rescan(ForeignScanState *node);
extern void fdw_end_scan(ForeignScanState *node);

/* --- explain.c --- */

extern void fdw_explain_scan(ForeignScanState *node, struct ExplainState *es);

/* --- analyze.c --- */

extern bool fdw_analyze(Relation relation, AcquireSampleRowsFunc *acquire, BlockNumber *pages);

/* --- import.c --- */

extern List *fdw_import_schema(ImportForeignSchemaStmt *stmt, Oid server);

#endif							/* TARN_FDW_FDW_H */
