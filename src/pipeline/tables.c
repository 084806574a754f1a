/*-------------------------------------------------------------------------
 *
 * tables.c
 *	  From a published table to its lake table: columns, key, schema.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "base/privileged.h"
#include "pipeline/batch.h"
#include "pipeline/keyhash.h"
#include "pipeline/registry.h"
#include "pipeline/tables.h"

/* The tables are in the order of their oids. */
PipelineTable *
pipeline_find_table(const Pipeline *p, Oid relid)
{
	int			low = 0;
	int			high = list_length(p->tables);

	while (low < high)
	{
		int			middle = (low + high) / 2;
		PipelineTable *t = list_nth(p->tables, middle);

		if (t->relid == relid)
			return t;
		if (t->relid < relid)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static char *
identity_problem(const DecodeRelation *rel)
{
	char	   *name = quote_qualified_identifier(rel->schema, rel->table);

	if (rel->has_key || !(rel->pub_update || rel->pub_delete))
		return NULL;
	return psprintf("table %s has no usable replica identity, and its updates or deletes are published; "
					"run: ALTER TABLE %s REPLICA IDENTITY FULL, or add a primary key", name, name);
}

char *
pipeline_table_problem(Oid relid, List *publications)
{
	DecodeRelation *rel = decode_relation_describe(relid, publications);
	char	   *problem;
	int			ncolumns = 0;

	if (rel == NULL)
		return pstrdup("table is not published");
	if (rel->error)
		return pstrdup(rel->error);
	if ((problem = identity_problem(rel)) != NULL)
		return problem;
	for (int i = 0; i < rel->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(rel->desc, i);
		/* the options of the table, which are not there yet, can only allow more */
		ConvertOptions options = {.text_bytes = true};
		ColumnConvert convert;
		char	   *reason;

		if (!rel->published[i])
			continue;
		ncolumns++;
		if (!convert_init(&convert, att->atttypid, att->atttypmod, NameStr(att->attname),
						  rel->table, &options, CurrentMemoryContext, &reason))
			return psprintf("column \"%s\" of table %s cannot be mirrored: %s", NameStr(att->attname),
							quote_qualified_identifier(rel->schema, rel->table), reason);
	}
	if (ncolumns == 0)
		return psprintf("table %s has no columns to mirror",
						quote_qualified_identifier(rel->schema, rel->table));
	return NULL;
}

/* Fills one column; false with the reason when its type has no mapping. */
static bool
setup_column(PipelineTable *t, TableColumn *c, Form_pg_attribute att, bool exact, char **problem)
{
	ConvertOptions options;
	char	   *reason;

	c->attnum = att->attnum;
	c->name = pstrdup(NameStr(att->attname));
	c->type = att->atttypid;
	c->typmod = att->atttypmod;
	c->varlena = att->attlen == -1;
	c->field_id = att->attnum;
	write_options_column(&t->write, c->name, exact, &options);
	if (convert_init(&c->convert, c->type, c->typmod, c->name,
					 quote_qualified_identifier(t->schema, t->table), &options, t->context, &reason))
	{
		c->notnull = att->attnotnull && !convert_makes_nulls(&c->convert);
		if (convert_node(&c->convert) != NULL)
			c->node = lake_node_copy(convert_node(&c->convert));
		return true;
	}
	*problem = psprintf("column \"%s\" of table %s cannot be mirrored: %s", c->name,
						quote_qualified_identifier(t->schema, t->table), reason);
	return false;
}

static bool
setup_columns(PipelineTable *t, const DecodeRelation *rel, char **problem)
{
	LakeType   *key_types;
	int			next_id = rel->desc->natts + 1;

	t->columns = palloc0(sizeof(TableColumn) * Max(rel->desc->natts, 1));
	t->keys = palloc0(sizeof(int) * Max(rel->desc->natts, 1));
	t->ncolumns = t->nkeys = 0;
	for (int i = 0; i < rel->desc->natts; i++)
	{
		bool		key = rel->has_key && rel->key[i];

		/* with FULL, rows that are the same in the lake may stand for each other */
		bool		exact = key && rel->replica_identity != REPLICA_IDENTITY_FULL;

		if (!rel->published[i])
			continue;
		if (!setup_column(t, &t->columns[t->ncolumns], TupleDescAttr(rel->desc, i), exact, problem))
			return false;
		if (t->columns[t->ncolumns].node != NULL)
			lake_node_number(t->columns[t->ncolumns].node, &next_id);
		if (key)
			t->keys[t->nkeys++] = t->ncolumns;
		t->ncolumns++;
	}
	t->replica_identity = rel->replica_identity;
	key_types = palloc(sizeof(LakeType) * Max(t->nkeys, 1));
	for (int k = 0; k < t->nkeys; k++)
		key_types[k] = t->columns[t->keys[k]].convert.type;

	/* a null beside all values of 64 bits is one value too many for a narrow key */
	t->wide_key = keyhash_is_wide(key_types, t->nkeys) ||
		(t->nkeys == 1 && !t->columns[t->keys[0]].notnull);
	return true;
}

/* Takes field ids from the lake table, and refuses one of another shape. */
static bool
match_lake(PipelineTable *t, char **problem)
{
	const IcebergSchema *schema = t->lake->schema;

	for (int i = 0; i < t->ncolumns; i++)
	{
		TableColumn *c = &t->columns[i];
		const IcebergField *field = iceberg_schema_field_named(schema, c->name);

		if (field == NULL || !field->supported || !lake_type_equal(field->type, c->convert.type) ||
			(c->node != NULL && !lake_node_same(c->node, field->node)) ||
			(field->required && !c->notnull))
		{
			*problem = psprintf("column \"%s\" of type %s of table %s does not fit lake table \"%s.%s\"",
								c->name, convert_type_text(c->type, c->typmod),
								quote_qualified_identifier(t->schema, t->table), t->namespace, t->name);
			return false;
		}
		c->field_id = field->id;
		if (c->node != NULL)
			lake_node_adopt(c->node, field->node);
	}
	for (int i = 0; i < schema->nfields; i++)
	{
		bool		found = false;

		for (int k = 0; k < t->ncolumns; k++)
			found |= t->columns[k].field_id == schema->fields[i].id;
		if (!found && schema->fields[i].required)
		{
			*problem = psprintf("lake table \"%s.%s\" has the required column \"%s\" that table %s lacks",
								t->namespace, t->name, schema->fields[i].name,
								quote_qualified_identifier(t->schema, t->table));
			return false;
		}
	}
	return true;
}

static void
setup_parquet(PipelineTable *t)
{
	t->parquet = palloc0(sizeof(ParquetColumn) * Max(t->ncolumns, 1));
	for (int i = 0; i < t->ncolumns; i++)
	{
		const TableColumn *c = &t->columns[i];
		const IcebergField *field = t->lake ? iceberg_schema_field(t->lake->schema, c->field_id) : NULL;

		t->parquet[i].name = c->name;
		t->parquet[i].field_id = c->field_id;
		t->parquet[i].type = c->convert.type;
		t->parquet[i].required = field ? field->required : c->notnull;
		t->parquet[i].encoding = t->write.encoding;
		t->parquet[i].node = c->node;
	}
}

bool
pipeline_table_open(Pipeline *p, PipelineTable *t, char **problem)
{
	MemoryContext old;
	DecodeRelation *rel;
	bool		ok;

	if (t->opened)
		return true;
	t->context = AllocSetContextCreate(p->context, "tarn pipeline table", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(t->context);
	rel = decode_relation_describe(t->relid, p->publications);
	if (rel == NULL || rel->error)
	{
		*problem = rel ? rel->error :
			psprintf("table %s is not published", quote_qualified_identifier(t->schema, t->table));
		ok = false;
	}
	else
	{
		*problem = identity_problem(rel);
		ok = *problem == NULL && setup_columns(t, rel, problem);
	}
	if (ok)
	{
		t->lake = lake_table_load(p->lake, t->namespace, t->name, true);
		ok = t->lake == NULL || match_lake(t, problem);
	}
	if (ok)
		setup_parquet(t);
	MemoryContextSwitchTo(old);
	if (ok)
		t->opened = true;
	else
	{
		*problem = pstrdup(*problem);
		MemoryContextDelete(t->context);
		t->context = NULL;
		t->lake = NULL;
	}
	return ok;
}

void
pipeline_table_close(PipelineTable *t)
{
	if (t->index)
		keyindex_close(t->index);
	t->index = NULL;
	t->index_fresh = false;
	batch_table_free(t);
	if (t->context)
		MemoryContextDelete(t->context);
	t->context = NULL;
	t->lake = NULL;
	t->opened = false;
}

/* May the key serve as identifier fields?  (Iceberg: required, and no floats.) */
static bool
identifier_valid(const PipelineTable *t)
{
	if (t->replica_identity == REPLICA_IDENTITY_FULL)
		return false;
	for (int k = 0; k < t->nkeys; k++)
	{
		const TableColumn *c = &t->columns[t->keys[k]];

		if (!c->notnull || c->node != NULL || c->convert.type.id == LAKE_FLOAT || c->convert.type.id == LAKE_DOUBLE)
			return false;
	}
	return t->nkeys > 0;
}

LakeTable *
pipeline_table_lake(Pipeline *p, PipelineTable *t)
{
	IcebergSchema *schema;
	IcebergProperty *properties;
	int			nproperties = 0;
	MemoryContext old;

	if (t->lake)
		return t->lake;
	old = MemoryContextSwitchTo(t->context);
	schema = palloc0(sizeof(IcebergSchema));
	schema->nfields = t->ncolumns;
	schema->fields = palloc0(sizeof(IcebergField) * t->ncolumns);
	properties = palloc0(sizeof(IcebergProperty) * (t->ncolumns + 1));
	for (int i = 0; i < t->ncolumns; i++)
	{
		const TableColumn *c = &t->columns[i];
		IcebergField *f = &schema->fields[i];

		f->id = c->field_id;
		f->name = c->name;
		f->type = c->convert.type;
		f->required = c->notnull;
		f->supported = true;
		f->node = c->node;
		properties[nproperties].key = psprintf("tarn.column.%d", c->field_id);
		properties[nproperties++].value = convert_type_text(c->type, c->typmod);
	}
	properties[nproperties].key = "tarn.source";
	properties[nproperties++].value = quote_qualified_identifier(t->schema, t->table);
	if (identifier_valid(t))
	{
		schema->nidentifiers = t->nkeys;
		schema->identifiers = palloc(sizeof(int) * t->nkeys);
		for (int k = 0; k < t->nkeys; k++)
			schema->identifiers[k] = t->columns[t->keys[k]].field_id;
	}
	t->lake = lake_table_new(p->lake, t->namespace, t->name, schema, properties, nproperties);
	MemoryContextSwitchTo(old);
	return t->lake;
}

bool
pipeline_table_same_shape(const PipelineTable *t, const DecodeRelation *rel)
{
	int			n = 0;

	if (rel->replica_identity != t->replica_identity)
		return false;
	for (int i = 0; i < rel->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(rel->desc, i);
		const TableColumn *c = &t->columns[n];
		bool		key = false;

		if (!rel->published[i])
			continue;
		if (n >= t->ncolumns || c->attnum != att->attnum || c->type != att->atttypid ||
			c->typmod != att->atttypmod || strcmp(c->name, NameStr(att->attname)) != 0)
			return false;
		for (int k = 0; k < t->nkeys; k++)
			key |= t->keys[k] == n;
		if (key != (rel->has_key && rel->key[i]))
			return false;
		n++;
	}
	return n == t->ncolumns;
}

/* A row for a table that is published now; the caller holds privileges. */
static void
insert_table(int32 pipeline_id, const char *lake, Oid relid, const char *problem)
{
	Oid			types[] = {INT4OID, OIDOID, TEXTOID, TEXTOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid), CStringGetTextDatum(lake),
	problem ? CStringGetTextDatum(problem) : (Datum) 0};
	Oid			other_types[] = {TEXTOID, OIDOID};
	Datum		other_values[] = {CStringGetTextDatum(lake), ObjectIdGetDatum(relid)};

	if (privileged_execute("SELECT p.name::text, t.namespace, t.table_name FROM tarn.pipeline_table t "
						   "JOIN tarn.pipeline p ON p.id = t.pipeline_id, "
						   "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
						   "WHERE c.oid = $2 AND t.lake = $1::name AND t.namespace = n.nspname::text "
						   "AND t.table_name = c.relname::text",
						   2, other_types, other_values, NULL, SPI_OK_SELECT) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("lake table \"%s.%s\" of lake \"%s\" is already written by pipeline \"%s\"",
						SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2),
						SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3), lake,
						SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1)),
				 errhint("Publish the table in one pipeline only, or use another lake.")));

	privileged_execute("INSERT INTO tarn.pipeline_table (pipeline_id, relid, source_schema, source_table, "
					   "lake, namespace, table_name, state, error, error_at) "
					   "SELECT $1, c.oid, n.nspname, c.relname, $3::name, n.nspname, c.relname, "
					   "CASE WHEN $4 IS NULL THEN 'copy' ELSE 'stopped' END, $4, "
					   "CASE WHEN $4 IS NULL THEN NULL ELSE pg_catalog.now() END "
					   "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
					   "WHERE c.oid = $2",
					   4, types, values, problem ? NULL : "   n", SPI_OK_INSERT);
}

bool
registry_sync_tables(int32 pipeline_id, const char *lake, List *publications)
{
	PrivilegedScope scope;
	List	   *published = decode_published_tables(publications);
	Oid			types[] = {INT4OID, OIDARRAYOID};
	Datum		values[2];
	Datum	   *items = palloc(sizeof(Datum) * Max(list_length(published), 1));
	Oid		   *missing;
	uint64		nmissing,
				ngone;
	ListCell   *lc;
	int			n = 0;

	foreach(lc, published)
		items[n++] = ObjectIdGetDatum(lfirst_oid(lc));
	values[0] = Int32GetDatum(pipeline_id);
	values[1] = PointerGetDatum(construct_array(items, n, OIDOID, sizeof(Oid), true, TYPALIGN_INT));

	privileged_begin(&scope);
	ngone = privileged_execute("DELETE FROM tarn.pipeline_table WHERE pipeline_id = $1 AND relid <> ALL ($2)",
							   2, types, values, NULL, SPI_OK_DELETE);
	nmissing = privileged_execute("SELECT r FROM pg_catalog.unnest($2) r WHERE NOT EXISTS ("
								  "SELECT FROM tarn.pipeline_table t WHERE t.pipeline_id = $1 AND t.relid = r)",
								  2, types, values, NULL, SPI_OK_SELECT);
	missing = MemoryContextAlloc(scope.context, sizeof(Oid) * Max(nmissing, 1));
	for (uint64 i = 0; i < nmissing; i++)
	{
		bool		isnull;

		missing[i] = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	}
	privileged_end(&scope);

	/* What is wrong with a table is found out with the caller's rights. */
	for (uint64 i = 0; i < nmissing; i++)
	{
		char	   *problem = pipeline_table_problem(missing[i], publications);

		privileged_begin(&scope);
		insert_table(pipeline_id, lake, missing[i], problem);
		privileged_end(&scope);
	}
	return nmissing > 0 || ngone > 0;
}
