/*-------------------------------------------------------------------------
 *
 * postgres.c
 *	  The embedded catalog: the Iceberg SQL catalog, schema version V1, in
 *	  schema tarn_catalog of this database.
 *
 * Reading goes by index scan under the active snapshot rather than by SPI:
 * it works in parallel workers, and every table of a query is seen at one
 * state, which is that of the query's other tables.  The caller has checked
 * the right to use the lake; nobody needs rights on these tables.
 *
 * Writing is the same conditional UPDATE that other clients of the SQL
 * catalog send, so that they and tarn exclude each other.  Operators are
 * qualified: the statements run with the owner's rights under whatever
 * search_path the session has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/skey.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/privileged.h"
#include "catalog/lake_catalog.h"

/* Columns of iceberg_tables, in the order of the primary key. */
enum
{
	COLUMN_CATALOG = 1,
	COLUMN_NAMESPACE,
	COLUMN_TABLE,
	COLUMN_LOCATION,
	COLUMN_PREVIOUS,
	COLUMN_TYPE
};

static const char update_sql[] =
"UPDATE tarn_catalog.iceberg_tables"
" SET metadata_location = $5, previous_metadata_location = $4"
" WHERE catalog_name OPERATOR(pg_catalog.=) $1"
" AND table_namespace OPERATOR(pg_catalog.=) $2"
" AND table_name OPERATOR(pg_catalog.=) $3"
" AND metadata_location OPERATOR(pg_catalog.=) $4"
" AND (iceberg_type OPERATOR(pg_catalog.=) 'TABLE' OR iceberg_type IS NULL)";

static const char insert_sql[] =
"INSERT INTO tarn_catalog.iceberg_tables"
" (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)"
" VALUES ($1, $2, $3, $4, 'TABLE') ON CONFLICT DO NOTHING";

/* An empty namespace is one property row; clients look for any row. */
static const char namespace_sql[] =
"INSERT INTO tarn_catalog.iceberg_namespace_properties"
" (catalog_name, namespace, property_key, property_value)"
" VALUES ($1, $2, 'exists', 'true') ON CONFLICT DO NOTHING";

static const char delete_sql[] =
"DELETE FROM tarn_catalog.iceberg_tables"
" WHERE catalog_name OPERATOR(pg_catalog.=) $1"
" AND table_namespace OPERATOR(pg_catalog.=) $2"
" AND table_name OPERATOR(pg_catalog.=) $3"
" AND (iceberg_type OPERATOR(pg_catalog.=) 'TABLE' OR iceberg_type IS NULL)";

static const char rename_sql[] =
"UPDATE tarn_catalog.iceberg_tables SET table_namespace = $4, table_name = $5"
" WHERE catalog_name OPERATOR(pg_catalog.=) $1"
" AND table_namespace OPERATOR(pg_catalog.=) $2"
" AND table_name OPERATOR(pg_catalog.=) $3"
" AND (iceberg_type OPERATOR(pg_catalog.=) 'TABLE' OR iceberg_type IS NULL)";

/* A scan of iceberg_tables by the first columns of its key. */
typedef struct TableScan
{
	Relation	relation;
	SysScanDesc scan;
	bool		pushed_snapshot;
} TableScan;

static Oid
tables_oid(void)
{
	Oid			schema = get_namespace_oid("tarn_catalog", true);
	Oid			relid = OidIsValid(schema) ? get_relname_relid("iceberg_tables", schema) : InvalidOid;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("catalog table tarn_catalog.iceberg_tables does not exist"),
				 errhint("Is extension tarn installed in this database?")));
	return relid;
}

/* Equality in the column's collation: with another one the index would be searched in a wrong order. */
static void
init_key(ScanKey key, Relation relation, AttrNumber column, const char *value)
{
	ScanKeyEntryInitialize(key, 0, column, BTEqualStrategyNumber, InvalidOid,
						   TupleDescAttr(RelationGetDescr(relation), column - 1)->attcollation,
						   F_TEXTEQ, CStringGetTextDatum(value));
}

static void
scan_begin(TableScan *s, const char *catalog_name, const char *namespace, const char *table)
{
	ScanKeyData keys[3];
	int			nkeys = 1;
	List	   *indexes;

	s->pushed_snapshot = !ActiveSnapshotSet();
	if (s->pushed_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	s->relation = table_open(tables_oid(), AccessShareLock);
	indexes = RelationGetIndexList(s->relation);	/* fills rd_pkindex */
	list_free(indexes);
	init_key(&keys[0], s->relation, COLUMN_CATALOG, catalog_name);
	if (namespace != NULL)
		init_key(&keys[nkeys++], s->relation, COLUMN_NAMESPACE, namespace);
	if (table != NULL)
		init_key(&keys[nkeys++], s->relation, COLUMN_TABLE, table);
	s->scan = systable_beginscan(s->relation, s->relation->rd_pkindex,
								 OidIsValid(s->relation->rd_pkindex),
								 GetActiveSnapshot(), nkeys, keys);
}

static void
scan_end(TableScan *s)
{
	systable_endscan(s->scan);
	table_close(s->relation, AccessShareLock);
	if (s->pushed_snapshot)
		PopActiveSnapshot();
}

static char *
column_text(const TableScan *s, HeapTuple tuple, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, RelationGetDescr(s->relation), &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* Views of other engines are in the same table. */
static bool
is_table(const TableScan *s, HeapTuple tuple)
{
	char	   *type = column_text(s, tuple, COLUMN_TYPE);

	return type == NULL || strcmp(type, "TABLE") == 0;
}

static char *
postgres_load(Catalog *c, const char *namespace, const char *table)
{
	TableScan	s;
	HeapTuple	tuple;
	char	   *location = NULL;

	scan_begin(&s, c->catalog_name, namespace, table);
	tuple = systable_getnext(s.scan);
	if (HeapTupleIsValid(tuple) && is_table(&s, tuple))
		location = column_text(&s, tuple, COLUMN_LOCATION);
	scan_end(&s);
	return location;
}

static int
compare_tables(const ListCell *a, const ListCell *b)
{
	const CatalogTable *x = lfirst(a);
	const CatalogTable *y = lfirst(b);
	int			order = strcmp(x->namespace, y->namespace);

	return order != 0 ? order : strcmp(x->name, y->name);
}

static List *
postgres_list(Catalog *c, const char *namespace)
{
	TableScan	s;
	HeapTuple	tuple;
	List	   *tables = NIL;

	scan_begin(&s, c->catalog_name, namespace, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(s.scan)))
	{
		CatalogTable *t;

		if (!is_table(&s, tuple))
			continue;
		t = palloc(sizeof(CatalogTable));
		t->namespace = column_text(&s, tuple, COLUMN_NAMESPACE);
		t->name = column_text(&s, tuple, COLUMN_TABLE);
		t->metadata_location = column_text(&s, tuple, COLUMN_LOCATION);
		tables = lappend(tables, t);
	}
	scan_end(&s);
	list_sort(tables, compare_tables);
	return tables;
}

/* One statement with text parameters; rows it touched. */
static uint64
execute(const char *sql, int expected, int nargs, const char *const *args)
{
	Oid			types[5];
	Datum		values[5];

	Assert(nargs <= lengthof(types));
	for (int i = 0; i < nargs; i++)
	{
		types[i] = TEXTOID;
		values[i] = CStringGetTextDatum(args[i]);
	}
	return privileged_execute(sql, nargs, types, values, NULL, expected);
}

static void
create_table(const Catalog *c, const CatalogChange *change)
{
	const char *args[] = {c->catalog_name, change->namespace, change->name, change->location};

	(void) execute(namespace_sql, SPI_OK_INSERT, 2, args);
	if (execute(insert_sql, SPI_OK_INSERT, 4, args) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("lake table \"%s.%s\" already exists in catalog \"%s\"",
						change->namespace, change->name, c->catalog_name)));
}

static void
update_table(const Catalog *c, const CatalogChange *change)
{
	const char *args[] = {c->catalog_name, change->namespace, change->name,
	change->expected, change->location};

	if (execute(update_sql, SPI_OK_UPDATE, 5, args) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not commit to lake table \"%s.%s\": it was changed meanwhile",
						change->namespace, change->name),
				 errdetail("Catalog \"%s\" no longer has the metadata file \"%s\".",
						   c->catalog_name, change->expected)));
}

static void
postgres_commit(Catalog *c, const CatalogChange *changes, int n)
{
	PrivilegedScope scope;

	privileged_begin(&scope);
	for (int i = 0; i < n; i++)
	{
		if (changes[i].expected == NULL)
			create_table(c, &changes[i]);
		else
			update_table(c, &changes[i]);
	}
	privileged_end(&scope);
}

static void
missing_table(const Catalog *c, const char *namespace, const char *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("lake table \"%s.%s\" does not exist in catalog \"%s\"",
					namespace, table, c->catalog_name)));
}

static void
postgres_drop(Catalog *c, const char *namespace, const char *table)
{
	const char *args[] = {c->catalog_name, namespace, table};
	PrivilegedScope scope;

	privileged_begin(&scope);
	if (execute(delete_sql, SPI_OK_DELETE, 3, args) != 1)
		missing_table(c, namespace, table);
	privileged_end(&scope);
}

static void
postgres_rename(Catalog *c, const char *namespace, const char *table,
				const char *new_namespace, const char *new_table)
{
	const char *args[] = {c->catalog_name, namespace, table, new_namespace, new_table};
	const char *namespace_args[] = {c->catalog_name, new_namespace};
	PrivilegedScope scope;

	privileged_begin(&scope);
	(void) execute(namespace_sql, SPI_OK_INSERT, 2, namespace_args);
	if (execute(rename_sql, SPI_OK_UPDATE, 5, args) != 1)
		missing_table(c, namespace, table);
	privileged_end(&scope);
}

static const CatalogOps postgres_ops = {
	.name = "postgres",
	.load = postgres_load,
	.list = postgres_list,
	.commit = postgres_commit,
	.drop = postgres_drop,
	.rename = postgres_rename,
};

Catalog *
catalog_postgres_open(const char *catalog_name)
{
	Catalog    *c = palloc(sizeof(Catalog));

	c->ops = &postgres_ops;
	c->catalog_name = pstrdup(catalog_name);
	return c;
}
