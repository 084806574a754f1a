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
 * truncated or replaced, unless the table's policy says so.
 *
 * A type that Iceberg lacks is kept as the text of its output function and
 * read back through its input function.  That text is canonical because
 * those who append settle DateStyle, IntervalStyle, TimeZone,
 * extra_float_digits and bytea_output (pipeline/session.h), and because the
 * types whose text says something else in another session have a form of
 * their own: money (its text depends on lc_monetary, here it is digits with
 * two places), xml (its input depends on xmloption, here the stored
 * document is taken as it is), "char" (bytes above 127 are no text), and oid
 * with its aliases such as regclass (names move, and are looked up in
 * catalogs that change; here they are numbers).
 *
 * Text in the lake is UTF-8 whatever the encoding of the database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_COLUMN_CONVERT_H
#define TARN_COLUMN_CONVERT_H

#include "postgres.h"

#include "column/nested.h"
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
	CONVERT_NUMERIC_DOUBLE,		/* by option only: numeric to double, rounded */
	CONVERT_TEXT,				/* varlena whose payload is the value: text, varchar, bpchar, json, xml, bytea */
	CONVERT_NAME,
	CONVERT_UUID,
	CONVERT_OID,				/* oid, xid, cid and reg...: to long */
	CONVERT_CHAR,				/* "char": bytes above 127 as \ooo */
	CONVERT_MONEY,				/* to text: digits, two after the point */
	CONVERT_SEND,				/* through the type's send and receive functions: PostGIS, as EWKB */
	CONVERT_NESTED,				/* arrays to lists, composites to structs, hstore to maps */
	CONVERT_OUTPUT				/* through the type's output and input functions: the rest */
} ConvertKind;

/* What becomes of a value that the lake's type cannot hold. */
typedef enum ConvertPolicy
{
	CONVERT_ERROR,
	CONVERT_NULL,
	CONVERT_CLAMP				/* the nearest it can hold; null when there is none (NaN) */
} ConvertPolicy;

/* What a table's options say of one column; needed where columns are written. */
typedef struct ConvertOptions
{
	ConvertPolicy policy;
	bool		text_bytes;		/* text of a database with encoding SQL_ASCII: keep it as binary */
	bool		typed;			/* not the usual lake type but this one */
	LakeType	type;
} ConvertOptions;

typedef struct ColumnConvert
{
	ConvertKind kind;
	LakeType	type;
	Oid			pg_type;
	int32		typmod;
	char		name[NAMEDATALEN];	/* of the column, for messages */
	FmgrInfo	output;			/* CONVERT_OUTPUT; for all: values in messages */
	FmgrInfo	input;			/* CONVERT_OUTPUT; CONVERT_SEND: the receive function */
	FmgrInfo	send;			/* CONVERT_SEND */
	Oid			input_param;
	ConvertPolicy policy;
	struct NestedConvert *nested;	/* CONVERT_NESTED; private */
	Oid			to_utf8;		/* conversions of strings, when the database's encoding is another */
	Oid			from_utf8;
	const char *relation;		/* qualified name, for messages */
} ColumnConvert;

/*
 * Sets up *c for a column of (pg_type, typmod); a domain is its base type.
 * Looks into the catalogs, so call it inside a transaction.  Function state
 * goes to `context`.  `options` NULL: for reading alone.  On false *reason is
 * a message such as 'type "integer" cannot be kept as lake type date'.
 */
extern bool convert_init(ColumnConvert *c, Oid pg_type, int32 typmod,
						 const char *column, const char *relation,
						 const ConvertOptions *options,
						 MemoryContext context, char **reason);

/* CONVERT_NESTED: what the column consists of, without ids; else NULL. */
extern const LakeNode *convert_node(const ColumnConvert *c);

/*
 * CONVERT_NESTED: to be formed from a lake column that consists of this,
 * which must outlive c.  Fields of structs are matched by name.  False with
 * a reason when it cannot.
 */
extern bool convert_bind_node(ColumnConvert *c, const LakeNode *node, char **reason);

/* May convert_append put a null for a value that is none?  (By the policy.) */
extern bool convert_makes_nulls(const ColumnConvert *c);

/* The PostgreSQL type that the lake field of that id came from, as far as anybody noted it; else InvalidOid. */
typedef Oid (*convert_noted_fn) (int field_id, void *arg);

/*
 * Sets up *c to show a lake column that consists of `node`, which must
 * outlive c, as jsonb: what to_jsonb() gives for the values of the noted
 * types, or of the lake type's usual ones.  Text whose type has no form of
 * its own in JSON is the lake's, whatever became of the type.  False with a
 * reason when it cannot.
 */
extern bool convert_init_json(ColumnConvert *c, const LakeNode *node, convert_noted_fn noted, void *arg,
							  const char *column, const char *relation,
							  MemoryContext context, char **reason);

/* The type that shows all values of a lake type; InvalidOid for nested ones. */
extern Oid	convert_default_type(LakeType type, int32 *typmod);

/* Any type over a lake string, through its input function alone. */
extern void convert_init_input(ColumnConvert *c, Oid pg_type, int32 typmod,
							   const char *column, const char *relation, MemoryContext context);

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

/*
 * Names are UTF-8 in the lake, and in the database's encoding here; the same
 * string when nothing is to be done.  A name without a counterpart there is an error.
 */
extern char *convert_name_to_lake(const char *name);
extern char *convert_name_from_lake(const char *name);

/* format_type_be with typmod of the type a lake column came from, kept in the table's properties; palloc'd. */
extern char *convert_type_text(Oid pg_type, int32 typmod);

#endif							/* TARN_COLUMN_CONVERT_H */
