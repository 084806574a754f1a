/*-------------------------------------------------------------------------
 *
 * types.h
 *	  The types of a lake column, and how each lies in memory and in Parquet.
 *
 * This is the one table of types: Iceberg's name, the layout of a
 * ColumnVector, Parquet's physical and logical type, the single-value
 * encoding of bounds (Iceberg spec, "Appendix D: Single-value
 * serialization") all follow from a LakeType.  The mapping from PostgreSQL's
 * types is column/convert.h, which is the only part that knows the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_COLUMN_TYPES_H
#define TARN_COLUMN_TYPES_H

#include "postgres.h"

typedef enum LakeTypeId
{
	LAKE_BOOLEAN,
	LAKE_INT,
	LAKE_LONG,
	LAKE_FLOAT,
	LAKE_DOUBLE,
	LAKE_DECIMAL,				/* precision 1..38, scale 0..precision */
	LAKE_DATE,					/* int32: days since 1970-01-01 */
	LAKE_TIME,					/* int64: microseconds since midnight */
	LAKE_TIMESTAMP,				/* int64: microseconds since 1970-01-01 00:00 */
	LAKE_TIMESTAMPTZ,			/* the same, in UTC */
	LAKE_STRING,
	LAKE_UUID,					/* 16 bytes, big endian */
	LAKE_FIXED,					/* `length` bytes */
	LAKE_BINARY,
	LAKE_NESTED					/* list, struct or map, packed; what it consists of is said by a LakeNode: column/nested.h */
} LakeTypeId;
#define LAKE_NTYPES (LAKE_NESTED + 1)

/* How values lie in ColumnVector.values; see vector.h. */
typedef enum ColumnLayout
{
	LAYOUT_BOOL,				/* one byte, 0 or 1 */
	LAYOUT_INT32,
	LAYOUT_INT64,
	LAYOUT_INT128,				/* decimal with precision > 18; native byte order */
	LAYOUT_FLOAT,
	LAYOUT_DOUBLE,
	LAYOUT_FIXED,				/* `width` bytes */
	LAYOUT_BYTES				/* offsets into `bytes` */
} ColumnLayout;

typedef struct LakeType
{
	LakeTypeId	id;
	uint8		precision;		/* LAKE_DECIMAL */
	uint8		scale;			/* LAKE_DECIMAL */
	uint32		length;			/* LAKE_FIXED */
} LakeType;

extern ColumnLayout lake_type_layout(LakeType type);

/* Bytes of one value in ColumnVector.values; 0 for LAYOUT_BYTES. */
extern uint32 lake_type_width(LakeType type);

/* Iceberg's name: "long", "decimal(15, 2)", "fixed[16]"; palloc'd. */
extern char *lake_type_name(LakeType type);

/* Reads such a name; false if it is none of the primitive types above. */
extern bool lake_type_parse(const char *name, LakeType *type);

extern bool lake_type_equal(LakeType a, LakeType b);

/* May a column of `from` be read as `to`?  (Iceberg spec, "Schema evolution": type promotion, v2.) */
extern bool lake_type_promotes(LakeType from, LakeType to);

/*
 * May values that a file keeps as `leaf` be taken as the field's?  Beside
 * promotion: writers that leave the string or uuid annotation away, or the
 * time zone flag.  The table's schema decides what the bytes mean.
 */
extern bool lake_type_readable(LakeType leaf, LakeType field);

/* Minimum bytes of a big-endian two's complement decimal of that precision (Parquet FIXED_LEN_BYTE_ARRAY). */
extern uint32 lake_decimal_bytes(int precision);

/*
 * One value, for bounds and filter constants.  Variable-length values point
 * into memory of the owner of the LakeValue.
 */
typedef struct LakeValue
{
	bool		isnull;
	union
	{
		int64		i64;		/* BOOL, INT32, INT64 layouts */
		int128		i128;		/* INT128 layout */
		double		f64;		/* FLOAT and DOUBLE layouts */
		struct
		{
			const char *data;
			uint32		size;
		}			bytes;		/* FIXED and BYTES layouts */
	}			u;
} LakeValue;

/*
 * Order of two values of a type, neither null: negative, 0, positive.
 * Strings and bytes by unsigned bytes; floats with PostgreSQL's rule
 * (NaN equals NaN and is larger than all else; -0 equals +0).
 */
extern int	lake_value_compare(LakeType type, const LakeValue *a, const LakeValue *b);

#endif							/* TARN_COLUMN_TYPES_H */
