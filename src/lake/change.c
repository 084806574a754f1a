/*-------------------------------------------------------------------------
 *
 * change.c
 *	  Changing lake tables, and committing the changes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/time.h>

#include "lake/internal.h"
#include "lake/table.h"
#include "utils/memutils.h"

struct LakeChange
{
	LakeTable  *table;
	IcebergChange change;
	IcebergDataFile *files;
	int			files_capacity;
	IcebergProperty *summary;
	IcebergProperty *properties;
	MemoryContext context;		/* of the change and all it holds */
};

LakeChange *
lake_change_begin(LakeTable *t, const char *token)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tarn lake change",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	LakeChange *c = palloc0(sizeof(LakeChange));

	c->table = t;
	c->context = context;
	c->change.token = pstrdup(token);
	MemoryContextSwitchTo(old);
	return c;
}

void
lake_change_add(LakeChange *c, const IcebergDataFile *file)
{
	MemoryContext old = MemoryContextSwitchTo(c->context);

	if (c->change.nfiles == c->files_capacity)
	{
		c->files_capacity = Max(c->files_capacity * 2, 16);
		c->files = c->files ? repalloc(c->files, sizeof(IcebergDataFile) * c->files_capacity) :
			palloc(sizeof(IcebergDataFile) * c->files_capacity);
	}
	iceberg_data_file_copy(&c->files[c->change.nfiles++], file);
	MemoryContextSwitchTo(old);
}

void
lake_change_drop_all(LakeChange *c)
{
	c->change.drop_all = true;
}

/* Appends a pair to a list of properties; a key that is there gets the new value. */
static void
set_pair(LakeChange *c, IcebergProperty **list, int *n, const char *key, const char *value)
{
	MemoryContext old = MemoryContextSwitchTo(c->context);
	int			i = 0;

	while (i < *n && strcmp((*list)[i].key, key) != 0)
		i++;
	if (i == *n)
	{
		*list = *list ? repalloc(*list, sizeof(IcebergProperty) * (*n + 1)) :
			palloc(sizeof(IcebergProperty));
		(*list)[i].key = pstrdup(key);
		(*n)++;
	}
	(*list)[i].value = value ? pstrdup(value) : NULL;
	MemoryContextSwitchTo(old);
}

void
lake_change_summary(LakeChange *c, const char *key, const char *value)
{
	set_pair(c, &c->summary, &c->change.nsummary, key, value);
}

void
lake_change_property(LakeChange *c, const char *key, const char *value)
{
	set_pair(c, &c->properties, &c->change.nproperties, key, value);
}

void
lake_change_schema(LakeChange *c, const IcebergSchema *schema, int last_column_id)
{
	c->change.last_column_id = last_column_id;
	c->change.schema = schema;
}

static int64
now_ms(void)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	return (int64) tv.tv_sec * 1000 + tv.tv_usec / 1000;
}

static void
get_state(IcebergTableState *state, const LakeTable *t)
{
	state->metadata_location = t->metadata_location;
	state->metadata = t->metadata;
	state->manifests = t->manifests;
	state->nmanifests = t->nmanifests;
	state->retired = t->retired;
	state->nretired = t->nretired;
}

static void
set_state(LakeTable *t, const IcebergTableState *state)
{
	t->metadata_location = state->metadata_location;
	t->metadata = state->metadata;
	t->manifests = state->manifests;
	t->nmanifests = state->nmanifests;
	t->retired = state->retired;
	t->nretired = state->nretired;
	lake_table_point(t);
}

LakeTable *
lake_change_write(LakeChange *c, List **garbage)
{
	LakeTable  *before = c->table;
	LakeTable  *after = lake_table_create(before->lake, before->namespace, before->name);
	IcebergTableState base;
	IcebergPaths paths = {0};
	IcebergIo	io;
	MemoryContext old;

	get_state(&base, before);
	lake_io(&io, before->lake);
	c->change.now_ms = now_ms();
	c->change.files = c->files;
	c->change.summary = c->summary;
	c->change.properties = c->properties;
	old = MemoryContextSwitchTo(after->context);
	set_state(after, iceberg_commit(&base, &c->change, &io, &paths));
	MemoryContextSwitchTo(old);

	/* the caller's list must not depend on how long it keeps the table */
	for (int i = 0; i < paths.n; i++)
		*garbage = lappend(*garbage, pstrdup(paths.items[i]));
	MemoryContextDelete(c->context);
	return after;
}

void
lake_commit(LakeTable **from, LakeTable **to, int n)
{
	CatalogChange *changes = palloc(sizeof(CatalogChange) * Max(n, 1));
	int			first = 0;

	for (int i = 0; i < n; i++)
	{
		changes[i].namespace = to[i]->namespace;
		changes[i].name = to[i]->name;
		changes[i].expected = from[i]->metadata_location;
		changes[i].location = to[i]->metadata_location;
	}
	/* all tables of one catalog at once */
	for (int i = 1; i <= n; i++)
	{
		if (i < n && to[i]->lake->catalog == to[first]->lake->catalog)
			continue;
		catalog_commit(to[first]->lake->catalog, changes + first, i - first);
		first = i;
	}
	pfree(changes);
}
