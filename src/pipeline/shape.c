/*-------------------------------------------------------------------------
 *
 * shape.c
 *	  The shape of a mirrored table, as its lake table keeps it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/hash.h"
#include "pipeline/history.h"
#include "pipeline/registry.h"
#include "pipeline/shape.h"
#include "pipeline/shape_internal.h"

static bool
has_prefix(const char *key, const char *prefix)
{
	return strncmp(key, prefix, strlen(prefix)) == 0;
}

/* Is it a property that tells of the source? */
static bool
is_ours(const char *key)
{
	static const char *const keys[] = {SHAPE_SOURCE, SHAPE_SOURCE_ID, SHAPE_ATTRIBUTES, SHAPE_KEY,
	SHAPE_FILTER, SHAPE_OPERATIONS, SHAPE_PARTITIONS, SHAPE_OPTIONS};

	for (int i = 0; i < lengthof(keys); i++)
	{
		if (strcmp(key, keys[i]) == 0)
			return true;
	}
	return has_prefix(key, SHAPE_ATTRIBUTE_PREFIX) || has_prefix(key, SHAPE_COLUMN_PREFIX) ||
		has_prefix(key, SHAPE_TYPE_PREFIX) || has_prefix(key, SHAPE_LABELS_PREFIX);
}

void
shape_set_property(TableShape *shape, const char *key, const char *value)
{
	int			n = shape->nproperties;

	if (n % 16 == 0)
		shape->properties = n == 0 ? palloc(sizeof(IcebergProperty) * 16) :
			repalloc(shape->properties, sizeof(IcebergProperty) * (n + 16));
	shape->properties[n].key = pstrdup(key);
	shape->properties[n].value = pstrdup(value);
	shape->nproperties++;
}

const char *
shape_property(const TableShape *shape, const char *key)
{
	for (int i = 0; i < shape->nproperties; i++)
	{
		if (strcmp(shape->properties[i].key, key) == 0)
			return shape->properties[i].value;
	}
	return NULL;
}

/* Anybody may set properties: what is no position is none. */
XLogRecPtr
shape_parse_lsn(const char *text)
{
	uint32		high;
	uint32		low;

	return sscanf(text, "%X/%X", &high, &low) == 2 ? ((XLogRecPtr) high << 32) | low : InvalidXLogRecPtr;
}

TableShape *
shape_of_lake(const LakeTable *lake, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "tarn table shape", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TableShape *shape = palloc0(sizeof(TableShape));
	const IcebergMetadata *m = lake->metadata;
	char	   *schema = iceberg_schema_text(lake->schema);

	/* a copy of its own: the lake table's state is replaced by each commit */
	shape->context = context;
	shape->schema = iceberg_schema_read(json_read(schema, strlen(schema), m->location), m->location);
	for (int i = 0; i < m->nproperties; i++)
	{
		if (is_ours(m->properties[i].key))
			shape_set_property(shape, m->properties[i].key, m->properties[i].value);
		else if (strcmp(m->properties[i].key, SHAPE_LSN) == 0)
			shape->lsn = shape_parse_lsn(m->properties[i].value);
	}
	MemoryContextSwitchTo(old);
	return shape;
}

bool
shape_equal(const TableShape *a, const TableShape *b)
{
	if (a->nproperties != b->nproperties || !iceberg_schema_equal(a->schema, b->schema))
		return false;
	for (int i = 0; i < a->nproperties; i++)
	{
		const char *other = shape_property(b, a->properties[i].key);

		if (other == NULL || strcmp(a->properties[i].value, other) != 0)
			return false;
	}
	return true;
}

void
shape_install(PipelineTable *t, const ShapeColumns *columns)
{
	if (t->shape)
		MemoryContextDelete(t->shape->context);
	t->shape = columns->shape;
	t->ncolumns = columns->ncolumns;
	t->columns = columns->columns;
	t->parquet = columns->parquet;
	t->nkeys = columns->nkeys;
	t->keys = columns->keys;
	t->wide_key = columns->wide_key;
	t->replica_identity = columns->replica_identity;
	t->last_field_id = columns->last_field_id;

	/* what is read of files from now on is read as the new shape */
	if (t->lake)
		t->lake->schema = t->shape->schema;
	if (t->history)
		history_reshape(t);
}

void
shape_change_lake(const TableShape *shape, int last_field_id, const LakeTable *lake,
				  LakeChange *change, XLogRecPtr lsn)
{
	const IcebergMetadata *m = lake->metadata;

	lake_change_schema(change, shape->schema, last_field_id);
	for (int i = 0; i < m->nproperties; i++)
	{
		if (is_ours(m->properties[i].key) && shape_property(shape, m->properties[i].key) == NULL)
			lake_change_property(change, m->properties[i].key, NULL);
	}
	for (int i = 0; i < shape->nproperties; i++)
		lake_change_property(change, shape->properties[i].key, shape->properties[i].value);
	lake_change_property(change, SHAPE_LSN, psprintf("%X/%X", LSN_FORMAT_ARGS(lsn)));
}

bool
shape_has_options(const PipelineTable *t)
{
	const char *noted = shape_property(t->shape, SHAPE_OPTIONS);
	char	   *now = write_options_values(&t->write);

	return noted == NULL || now == NULL ? noted == now : strcmp(noted, convert_name_to_lake(now)) == 0;
}

uint64
shape_fingerprint(const TableShape *shape)
{
	char	   *schema = iceberg_schema_text(shape->schema);
	uint64		hash = hash_bytes64(schema, strlen(schema), 0);

	for (int i = 0; i < shape->nproperties; i++)
	{
		hash = hash_bytes64(shape->properties[i].key, strlen(shape->properties[i].key), hash);
		hash = hash_bytes64(shape->properties[i].value, strlen(shape->properties[i].value), hash);
	}
	return hash;
}
