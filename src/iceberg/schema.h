/*-------------------------------------------------------------------------
 *
 * schema.h
 *	  Iceberg schemas (Iceberg spec, "Schemas and Data Types").
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_ICEBERG_SCHEMA_H
#define TARN_ICEBERG_SCHEMA_H

#include "postgres.h"

#include "base/json.h"
#include "column/nested.h"

typedef struct IcebergField
{
	int			id;
	char	   *name;
	LakeType	type;
	bool		required;
	char	   *doc;			/* or NULL */
	bool		supported;		/* false: a type tarn does not know, or with one in it */
	LakeNode   *node;			/* LAKE_NESTED: what it consists of */
	char	   *type_json;		/* as read, unless it is a name tarn knows; written back as it was */
	char	   *initial_default;	/* JSON, or NULL (v3) */
	char	   *write_default;
} IcebergField;

typedef struct IcebergSchema
{
	int			schema_id;
	int			nfields;
	IcebergField *fields;
	int			nidentifiers;
	int		   *identifiers;	/* identifier-field-ids */
} IcebergSchema;

extern IcebergSchema *iceberg_schema_read(const JsonNode *node, const char *object);
extern void iceberg_schema_write(JsonWriter *w, const char *key, const IcebergSchema *schema);
extern char *iceberg_schema_text(const IcebergSchema *schema);	/* JSON, for manifest headers */
extern const IcebergField *iceberg_schema_field(const IcebergSchema *schema, int id);	/* or NULL */
extern const IcebergField *iceberg_schema_field_named(const IcebergSchema *schema, const char *name);

/* Do the two say the same, whatever their schema ids? */
extern bool iceberg_schema_equal(const IcebergSchema *a, const IcebergSchema *b);

#endif							/* TARN_ICEBERG_SCHEMA_H */
