/*-------------------------------------------------------------------------
 *
 * convert_internal.h
 *	  What the convert_*.c files show each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_COLUMN_CONVERT_INTERNAL_H
#define TARN_COLUMN_CONVERT_INTERNAL_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "base/compat.h"
#include "column/convert.h"

/* Days and microseconds from Iceberg's epoch (1970-01-01) to PostgreSQL's (2000-01-01). */
#define EPOCH_DAYS 10957
#define EPOCH_MICROS INT64CONST(946684800000000)

/* What infinite dates are clamped to, days since 1970: years 1 and 9999, which every engine has. */
#define CLAMP_FIRST_DAY INT64CONST(-719162)
#define CLAMP_LAST_DAY INT64CONST(2932896)

/* Units of a money value in the whole that its text in the lake counts. */
#define MONEY_UNITS 100

/* Bytes that decimal_to_numeric may write: header, and digits of 18 or 38 decimal places. */
#define NUMERIC_SPACE_INT64 24
#define NUMERIC_SPACE_INT128 32

typedef enum DecimalResult
{
	DECIMAL_OK,
	DECIMAL_SPECIAL,			/* NaN or infinity */
	DECIMAL_INEXACT,			/* digits past the scale */
	DECIMAL_OVERFLOW			/* more digits than the precision */
} DecimalResult;

/*
 * A numeric (VARDATA_ANY, VARSIZE_ANY_EXHDR of it) times 10^scale.  The
 * int64 form takes precisions up to 18, the other up to 38.
 */
extern DecimalResult numeric_to_decimal64(const char *data, size_t size, int precision, int scale, int64 *result);
extern DecimalResult numeric_to_decimal128(const char *data, size_t size, int precision, int scale, int128 *result);

/* value / 10^scale as a numeric with that display scale, written at `out` (aligned to 4). */
extern void decimal64_to_numeric(int64 value, int scale, char *out);
extern void decimal128_to_numeric(int128 value, int scale, char *out);

/* |value| < 10^precision */
extern bool decimal_fits(int128 value, int precision);

/*
 * One node of a nested type.  Children: the element of an array, the
 * attributes of a composite that are not dropped, key and value of hstore.
 */
typedef enum NestedForm
{
	NESTED_VALUE,
	NESTED_ARRAY,
	NESTED_COMPOSITE,
	NESTED_HSTORE
} NestedForm;

typedef struct NestedConvert
{
	NestedForm	form;
	Oid			pg_type;		/* no domain */
	const LakeNode *node;		/* as it is appended */
	const LakeNode *lake;		/* as it is formed; NULL: not bound, or the lake lacks it */
	int		   *fields;			/* struct: by child of `lake` which child of this, or -1 */
	ColumnConvert convert;		/* NESTED_VALUE */
	ColumnVector *values;		/* NESTED_VALUE: the value to append; all values of a call to form */
	Datum	   *datums;			/* of those */
	uint32		at;				/* next of them */
	Oid			element;		/* NESTED_ARRAY: declared type of the elements */
	int16		typlen;
	bool		typbyval;
	char		typalign;
	TupleDesc	desc;			/* NESTED_COMPOSITE */
	uint64		desc_identifier;
	AttrNumber *attnums;		/* by child */
	FmgrInfo	to_array;		/* NESTED_HSTORE */
	FmgrInfo	from_array;
	bool		json;			/* becomes jsonb, not a Datum of its form */
	char	   *key;			/* then, of a struct's field: its name in the database's encoding */
	int			nchildren;
	struct NestedConvert *children;
} NestedConvert;

/* Is it an array, a composite or hstore? */
extern bool convert_type_is_nested(Oid pg_type);

/* Sets up c->nested; false with a reason. */
extern bool convert_nested_init(ColumnConvert *c, const ConvertOptions *options,
								MemoryContext context, char **reason);

extern void convert_nested_append(const ColumnConvert *c, ColumnVector *v, Datum value, MemoryContext scratch);
extern void convert_nested_form(const ColumnConvert *c, const ColumnVector *v, const uint32 *rows, uint32 n,
								Datum *values, const bool *isnull, int stride);

/* The next value as jsonb: of a node that convert_init_json() made, its leaves formed.  Memory used on the way is of `scratch`. */
extern Datum convert_nested_json(NestedConvert *n, PackedCursor *cursor, MemoryContext scratch);

/* The next of a leaf's Datums, past its value. */
static inline Datum
nested_next_value(NestedConvert *n, PackedCursor *cursor)
{
	packed_skip(cursor, n->lake);
	return n->datums[n->at++];
}

/*
 * A value that the lake's type cannot hold, by the table's policy.  `nearest`
 * is what it can hold instead, NULL when nothing is near.
 */
extern pg_noinline void convert_append_unfit(const ColumnConvert *c, ColumnVector *v, Datum value, int code,
											 const char *why, const LakeValue *nearest);

/* Text that is not UTF-8, in the database's encoding: `data`, which is `value` or its text. */
extern pg_noinline void convert_append_transcoded(const ColumnConvert *c, ColumnVector *v, Datum value,
												  const char *data, size_t size, MemoryContext scratch);

/* A value that the lake's type cannot hold: the error of the column. */
pg_noreturn extern void convert_fail_value(const ColumnConvert *c, Datum value, int code, const char *why);

/* The type's name when it belongs to that extension, else NULL. */
extern char *convert_extension_type(Oid pg_type, const char *extension);

/* The varlena of a Datum in memory, expanded in `scratch` when it is compressed. */
extern struct varlena *convert_varlena(Datum value, MemoryContext scratch);

#endif							/* TARN_COLUMN_CONVERT_INTERNAL_H */
