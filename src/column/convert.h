/*-------------------------------------------------------------------------
 *
 * convert.h
 *	  PostgreSQL values to ColumnVectors and back: the mapping of types.
 *
 * ColumnConvert describes one column of a PostgreSQL relation: which lake
 * type it becomes, how a Datum is appended, how a Datum is formed.  It is
 * made once per relation (convert_init) and used for every row.
 *
 * Exactness (invariant I6): a value either arrives unchanged or raises an
 * error that names the column, the type and the value; nothing is rounded,
 * truncated or replaced.  Types without a mapping are refused by
 * convert_init, which returns false and a reason.
 *
 * Text of the types that Iceberg lacks is canonical: it does not depend on
 * the session's DateStyle, IntervalStyle, extra_float_digits or locale.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_COLUMN_CONVERT_H
#define TARN_COLUMN_CONVERT_H

#include "postgres.h"

#include "column/vector.h"
#include "fmgr.h"

/* How Datum and slot relate; chosen by convert_init from the PostgreSQL type. */
typedef enum ConvertKind
{
	CONVERT_BOOL,
	CONVERT_INT2,
	CONVERT_INT4,
	CONVERT_INT8,
	CONVERT_FLOAT4,
	CONVERT_FLOAT8,
	CONVERT_DATE,
	CONVERT_TIME,
	CONVERT_TIMESTAMP,			/* both kinds */
	CONVERT_NUMERIC,			/* to decimal */
	CONVERT_TEXT,				/* varlena whose payload is the value: text, varchar, bpchar, json, bytea */
	CONVERT_NAME,
	CONVERT_UUID,
	CONVERT_OUTPUT				/* through the type's output and input functions: numeric without precision, jsonb, enum */
} ConvertKind;

typedef struct ColumnConvert
{
	ConvertKind kind;
	LakeType	type;
	Oid			pg_type;
	int32		typmod;
	char		name[NAMEDATALEN];	/* of the column, for messages */
	FmgrInfo	output;			/* CONVERT_OUTPUT; for all: values in messages */
	FmgrInfo	input;			/* CONVERT_OUTPUT, reading */
	Oid			input_param;
	const char *relation;		/* qualified name, for messages */
} ColumnConvert;

/*
 * Sets up *c for a column of (pg_type, typmod).  Looks into the catalogs, so
 * call it inside a transaction.  Function state goes to `context`.  On false
 * *reason is a message such as 'type "point" has no mapping to a lake type'.
 */
extern bool convert_init(ColumnConvert *c, Oid pg_type, int32 typmod,
						 const char *column, const char *relation,
						 MemoryContext context, char **reason);

/*
 * Append a non-null Datum.  A varlena must be in memory already (inline,
 * short, or compressed; not ONDISK: the caller looks at that).  Compressed
 * values are expanded in `scratch`, which the caller resets.
 */
extern void convert_append(const ColumnConvert *c, ColumnVector *v, Datum value, MemoryContext scratch);

/*
 * Form Datums for rows rows[0..n-1] of `v` (a row number each) into
 * values[0], values[stride], ... and isnull likewise.  Memory comes from the
 * current context; by-reference results stay valid until it is reset.  The
 * column's lake type may differ from c->type where the lake's promotes to
 * it; what cannot be represented in c->pg_type raises an error.
 */
extern void convert_form(const ColumnConvert *c, const ColumnVector *v,
						 const uint32 *rows, uint32 n,
						 Datum *values, bool *isnull, int stride);

/* Can convert_form read a lake column of this type?  (Single values may still not fit.) */
extern bool convert_reads(const ColumnConvert *c, LakeType from);

/*
 * A constant of pg_type as a LakeValue of c->type, for filters; false when
 * it has no exact form there (then the filter stays with the executor).
 */
extern bool convert_constant(const ColumnConvert *c, Datum value, LakeValue *out);

/* format_type_be with typmod of the type a lake column came from, kept in the table's properties; palloc'd. */
extern char *convert_type_text(Oid pg_type, int32 typmod);

#endif							/* TARN_COLUMN_CONVERT_H */
