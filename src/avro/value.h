/*-------------------------------------------------------------------------
 *
 * value.h
 *	  Avro values as a tree, read and written by a schema (Avro 1.11 spec,
 *	  "Binary encoding"), with what Iceberg needs of it.
 *
 * A schema is parsed once (avro_schema_parse) from its JSON; attributes that
 * Iceberg adds (field-id, element-id, key-id, value-id, logicalType) are
 * kept.  Reading gives an AvroValue for each datum; records are looked up by
 * field id, so that name changes between writers do not matter.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_AVRO_VALUE_H
#define TARN_AVRO_VALUE_H

#include "postgres.h"

#include "base/cursor.h"
#include "lib/stringinfo.h"

typedef enum AvroKind
{
	AVRO_NULL, AVRO_BOOLEAN, AVRO_INT, AVRO_LONG, AVRO_FLOAT, AVRO_DOUBLE,
	AVRO_BYTES, AVRO_STRING, AVRO_FIXED, AVRO_ENUM, AVRO_ARRAY, AVRO_MAP,
	AVRO_UNION, AVRO_RECORD
} AvroKind;

typedef struct AvroSchema
{
	AvroKind	kind;
	char	   *name;			/* record, fixed, enum */
	char	   *logical;		/* logicalType, or NULL */
	int			precision;		/* logicalType decimal */
	int			scale;
	int			size;			/* AVRO_FIXED */
	int			element_id;		/* AVRO_ARRAY: element-id, else 0 */
	int			nbranches;		/* union branches, record fields, 1 for array and map values, enum symbols */
	struct AvroSchema **branches;	/* (not for enums) */
	char	  **field_names;	/* record; symbols of an enum */
	int		   *field_ids;		/* record; 0 where absent */
} AvroSchema;

typedef struct AvroValue
{
	AvroKind	kind;			/* never AVRO_UNION: the branch's value stands for it */
	const AvroSchema *schema;
	union
	{
		bool		boolean;
		int64		i64;		/* int, long, enum index */
		double		f64;		/* float, double */
		struct
		{
			const char *data;	/* not NUL-terminated; points into the block */
			size_t		size;
		}			bytes;		/* bytes, string, fixed */
		struct
		{
			struct AvroValue *items;	/* record fields, array items; map: key, value, key, value... */
			int			nitems;
		}			list;
	}			u;
} AvroValue;

extern AvroSchema *avro_schema_parse(const char *json, size_t size, const char *object);

/* Decodes one datum in the current memory context; depth and counts are bounded by what remains. */
extern void avro_read(Cursor *c, const AvroSchema *schema, AvroValue *value);

/* Field by id, then by name (when id is 0); NULL when absent. A null value has kind AVRO_NULL. */
extern const AvroValue *avro_field(const AvroValue *record, int field_id, const char *name);

/* The encoders; unions are written by avro_put_long(branch) before the value. */
extern void avro_put_long(StringInfo out, int64 value); /* also int, union branch, block count */
extern void avro_put_boolean(StringInfo out, bool value);
extern void avro_put_bytes(StringInfo out, const void *data, size_t size);	/* also string */

#endif							/* TARN_AVRO_VALUE_H */
