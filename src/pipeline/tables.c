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
#include "pipeline/history.h"
#include "pipeline/registry.h"
#include "pipeline/shape.h"
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

char *
pipeline_table_problem(Oid relid, List *publications)
{
	DecodeRelation *rel = decode_relation_describe(relid, publications);
	int			ncolumns = 0;

	if (rel == NULL)
		return pstrdup("table is not published");
	if (rel->error)
		return pstrdup(rel->error);
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

/*
 * The lake tables that the catalog has, in t->context.  False when one of
 * them is something else; *problem says what, unless `problem` is NULL.
 */
static bool
load_lake_tables(Pipeline *p, PipelineTable *t, char **problem)
{
	if (table_mirrored(t))
		t->lake = lake_table_load(p->lake, t->namespace, t->name, true);
	if (t->lake && history_is(t->lake))
	{
		if (problem)
			*problem = psprintf("lake table \"%s.%s\" is the history of another table", t->namespace, t->name);
		return false;
	}
	return t->write.history == HISTORY_NONE || history_open(p, t, problem);
}

/* The shape that the lake tables tell; NULL when there are none.  And the highest field id of either. */
static TableShape *
shape_before(PipelineTable *t)
{
	const LakeTable *history = t->history ? t->history->lake : NULL;
	TableShape *shape = NULL;
	TableShape *told;

	t->last_field_id = t->lake ? t->lake->metadata->last_column_id : 0;
	if (history)
		t->last_field_id = Max(t->last_field_id, HISTORY_MIRROR_ID(history->metadata->last_column_id));
	if (t->lake)
		shape = shape_of_lake(t->lake, t->context);
	if (history == NULL)
		return shape;

	/* a history goes on to where the table was left, when the mirror does not any more */
	told = history_lake_shape(t);
	return shape == NULL || (told && told->lsn > shape->lsn) ? told : shape;
}

bool
pipeline_table_open(Pipeline *p, PipelineTable *t, char **problem)
{
	MemoryContext caller = CurrentMemoryContext;
	DecodeRelation *rel;
	ShapeColumns columns;
	ShapeChange change = SHAPE_PROBLEM;

	if (t->opened)
		return true;
	t->context = AllocSetContextCreate(p->context, "tarn pipeline table", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(t->context);
	*problem = NULL;
	rel = decode_relation_describe(t->relid, p->publications);
	if (rel != NULL && load_lake_tables(p, t, problem))
	{
		change = shape_make(p, t, rel, shape_before(t), SHAPE_COPYING, &columns, problem);
		if (change != SHAPE_PROBLEM && t->history && !history_fits(t, columns.shape->schema, problem))
			change = SHAPE_PROBLEM;
	}
	MemoryContextSwitchTo(caller);
	if (change == SHAPE_PROBLEM)
	{
		*problem = *problem ? pstrdup(*problem) : NULL;
		pipeline_table_close(t);
		return false;
	}
	shape_install(t, &columns);
	t->reshaped = change == SHAPE_EVOLVES;
	t->opened = true;
	if (strcmp(rel->schema, t->schema) != 0 || strcmp(rel->table, t->table) != 0)
	{
		t->new_schema = rel->schema;
		t->new_table = rel->table;
	}
	return true;
}

bool
pipeline_table_follow(Pipeline *p, PipelineTable *t)
{
	MemoryContext old;

	if (t->opened)
		return true;
	t->context = AllocSetContextCreate(p->context, "tarn pipeline table", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(t->context);
	if (load_lake_tables(p, t, NULL) && (t->lake || !table_mirrored(t)) && (t->history == NULL || t->history->lake))
	{
		t->shape = shape_before(t);
		t->opened = t->shape != NULL;
	}
	MemoryContextSwitchTo(old);
	if (!t->opened)
		pipeline_table_close(t);
	return t->opened;
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
	t->history = NULL;
	t->shape = NULL;
	t->columns = NULL;
	t->ncolumns = t->nkeys = 0;
	memset(&t->work, 0, sizeof(t->work));
	t->stop_error = t->copy_reason = t->new_schema = t->new_table = NULL;
	t->keep_batch = t->reshaped = t->rekeyed = false;
	t->left = InvalidXLogRecPtr;
	t->rewritten = t->joined = InvalidTransactionId;
	t->opened = false;
}

char *
pipeline_table_location(const Pipeline *p, const PipelineTable *t, const char *name, bool own_folder)
{
	char	   *location = lake_table_location(p->lake, t->namespace, name);

	return own_folder ? psprintf("%s~%u", location, t->relid) : location;
}

LakeTable *
pipeline_table_lake(Pipeline *p, PipelineTable *t)
{
	IcebergSchema schema;
	MemoryContext old;

	if (t->lake)
		return t->lake;
	old = MemoryContextSwitchTo(t->context);
	schema = *t->shape->schema;
	t->lake = lake_table_new(p->lake, t->namespace, t->name, pipeline_table_location(p, t, t->name, t->own_folder),
							 &schema, t->shape->properties, t->shape->nproperties);
	MemoryContextSwitchTo(old);
	return t->lake;
}

typedef enum NameUse
{
	NAME_FREE,
	NAME_LEAVING,				/* of a table of the pipeline itself that was dropped or renamed: soon free */
	NAME_KEPT,					/* of one that was renamed, and whose new name the lake had already */
	NAME_OTHERS					/* of another pipeline's */
} NameUse;

/* Who has the lake table of the source's name?  *problem and *remedy say so, unless it is free or soon will be. */
static NameUse
name_use(int32 pipeline_id, const char *lake, Oid relid, char **problem, char **remedy)
{
	PrivilegedScope scope;
	Oid			types[] = {TEXTOID, OIDOID, INT4OID};
	Datum		values[] = {CStringGetTextDatum(lake), ObjectIdGetDatum(relid), Int32GetDatum(pipeline_id)};
	MemoryContext caller = CurrentMemoryContext;
	NameUse		use = NAME_FREE;
	MemoryContext old;

	*problem = NULL;
	privileged_begin(&scope);
	if (privileged_execute("SELECT CASE WHEN p.id <> $3 THEN 3 WHEN t.source_schema = n.nspname AND t.source_table = c.relname "
						   "THEN 1 ELSE 2 END, CASE WHEN p.id <> $3 THEN pg_catalog.format("
						   "'lake table \"%s.%s\" of lake \"%s\" is already written by pipeline \"%s\"', "
						   "t.namespace, t.table_name, t.lake, p.name) ELSE pg_catalog.format("
						   "'lake table \"%s.%s\" is that of table %I.%I, which was renamed', "
						   "t.namespace, t.table_name, t.source_schema, t.source_table) END, pg_catalog.format("
						   "CASE WHEN p.id <> $3 THEN 'publish the table in one of the pipelines only' "
						   "ELSE 'give this table another name' END || ', then run: SELECT tarn.resume(%L)', q.name) "
						   "FROM tarn.pipeline_table t JOIN tarn.pipeline p ON p.id = t.pipeline_id, tarn.pipeline q, "
						   "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
						   "WHERE q.id = $3 AND c.oid = $2 AND t.lake = $1::name AND t.namespace = n.nspname::text "
						   "AND t.table_name = c.relname::text",
						   3, types, values, NULL, SPI_OK_SELECT) > 0)
	{
		bool		isnull;

		use = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
		old = MemoryContextSwitchTo(caller);
		if (use != NAME_LEAVING)
		{
			*problem = pstrdup(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2));
			*remedy = pstrdup(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3));
		}
		MemoryContextSwitchTo(old);
	}
	privileged_end(&scope);
	return use;
}

/* A row for a table that is published now; named: its lake table may have its name. */
static void
insert_table(int32 pipeline_id, const char *lake, Oid relid, bool named, const char *problem)
{
	PrivilegedScope scope;
	Oid			types[] = {INT4OID, OIDOID, TEXTOID, TEXTOID, BOOLOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid), CStringGetTextDatum(lake),
	problem ? CStringGetTextDatum(problem) : (Datum) 0, BoolGetDatum(named)};

	privileged_begin(&scope);
	privileged_execute("INSERT INTO tarn.pipeline_table (pipeline_id, relid, source_schema, source_table, "
					   "lake, namespace, table_name, state, error, error_at) "
					   "SELECT $1, c.oid, n.nspname, c.relname, $3::name, CASE WHEN $5 THEN n.nspname ELSE '' END, "
					   "CASE WHEN $5 THEN c.relname::text ELSE $1 || '.' || c.oid END, "
					   "CASE WHEN $4 IS NULL THEN 'copy' ELSE 'stopped' END, $4, "
					   "CASE WHEN $4 IS NULL THEN NULL ELSE pg_catalog.now() END "
					   "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
					   "WHERE c.oid = $2",
					   5, types, values, problem ? NULL : "   n ", SPI_OK_INSERT);
	privileged_end(&scope);
}

/* The same, with what is wrong with it found out by the caller's rights.  False: not yet. */
static bool
add_table(int32 pipeline_id, const char *lake, Oid relid, List *publications, bool refuse)
{
	char	   *problem;
	char	   *remedy;
	NameUse		use = name_use(pipeline_id, lake, relid, &problem, &remedy);

	if (use == NAME_LEAVING)
		return false;
	if (use == NAME_OTHERS && refuse)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg_internal("%s", problem),
				 errhint("Publish the table in one pipeline only, or use another lake.")));
	problem = problem ? psprintf("%s; %s", problem, remedy) : pipeline_table_problem(relid, publications);
	insert_table(pipeline_id, lake, relid, use == NAME_FREE, problem);
	return true;
}

bool
pipeline_table_name(Pipeline *p, PipelineTable *t, char **problem)
{
	PrivilegedScope scope;
	Oid			types[] = {INT4OID, OIDOID};
	Datum		values[] = {Int32GetDatum(p->id), ObjectIdGetDatum(t->relid)};
	MemoryContext old;
	char	   *remedy;

	if (t->namespace[0] != '\0')
		return true;
	if (name_use(p->id, p->lake_name, t->relid, problem, &remedy) != NAME_FREE)
	{
		*problem = *problem ? psprintf("%s; %s", *problem, remedy) :
			pstrdup("its lake table is still that of a table that was renamed or dropped");
		return false;
	}
	privileged_begin(&scope);
	if (privileged_execute("UPDATE tarn.pipeline_table t SET namespace = n.nspname, table_name = c.relname, "
						   "source_schema = n.nspname, source_table = c.relname "
						   "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
						   "WHERE t.pipeline_id = $1 AND t.relid = $2 AND c.oid = $2 RETURNING t.namespace, t.table_name",
						   2, types, values, NULL, SPI_OK_UPDATE_RETURNING) == 1)
	{
		old = MemoryContextSwitchTo(p->context);
		t->namespace = t->schema = pstrdup(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
		t->name = t->table = pstrdup(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2));
		MemoryContextSwitchTo(old);
	}
	privileged_end(&scope);
	if (t->namespace[0] == '\0')
		*problem = pstrdup("table does not exist any more");
	return t->namespace[0] != '\0';
}

bool
registry_sync_tables(int32 pipeline_id, const char *lake, List *publications, bool refuse)
{
	PrivilegedScope scope;
	List	   *published = decode_published_tables(publications);
	Oid			types[] = {INT4OID, OIDARRAYOID};
	Datum		values[2];
	Datum	   *items = palloc(sizeof(Datum) * Max(list_length(published), 1));
	Oid		   *missing;
	uint64		nmissing,
				nnew = 0,
				ngone;
	ListCell   *lc;
	int			n = 0;

	foreach(lc, published)
		items[n++] = ObjectIdGetDatum(lfirst_oid(lc));
	values[0] = Int32GetDatum(pipeline_id);
	values[1] = PointerGetDatum(construct_array(items, n, OIDOID, sizeof(Oid), true, TYPALIGN_INT));

	privileged_begin(&scope);
	/* mostly there is nothing to do, and no lock to be taken */
	for (bool locked = false;; locked = true)
	{
		ngone = privileged_execute("SELECT FROM tarn.pipeline_table WHERE pipeline_id = $1 AND relid <> ALL ($2) "
								   "AND state NOT IN ('live', 'catchup') AND copy_token IS NULL",
								   2, types, values, NULL, SPI_OK_SELECT);
		nmissing = privileged_execute("SELECT r FROM pg_catalog.unnest($2) r WHERE NOT EXISTS ("
									  "SELECT FROM tarn.pipeline_table t WHERE t.pipeline_id = $1 AND t.relid = r)",
									  2, types, values, NULL, SPI_OK_SELECT);
		if (locked || (ngone == 0 && nmissing == 0))
			break;

		/*
		 * The pipeline's row is locked before those of its tables, by
		 * everybody: a new table's row refers to it, and a copy that is being
		 * committed would wait for a row that we have deleted.
		 */
		registry_lock(pipeline_id);
	}
	missing = MemoryContextAlloc(scope.context, sizeof(Oid) * Max(nmissing, 1));
	for (uint64 i = 0; i < nmissing; i++)
	{
		bool		isnull;

		missing[i] = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	}
	if (ngone > 0)
		privileged_execute("DELETE FROM tarn.pipeline_table WHERE pipeline_id = $1 AND relid <> ALL ($2) "
						   "AND state NOT IN ('live', 'catchup') AND copy_token IS NULL",
						   2, types, values, NULL, SPI_OK_DELETE);
	privileged_end(&scope);

	for (uint64 i = 0; i < nmissing; i++)
		nnew += add_table(pipeline_id, lake, missing[i], publications, refuse);
	return nnew > 0 || ngone > 0;
}
