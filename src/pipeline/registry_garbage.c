/*-------------------------------------------------------------------------
 *
 * registry_garbage.c
 *	  The rows of tarn.garbage: files that no table refers to any more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/privileged.h"
#include "pipeline/registry.h"

static void
insert_garbage(const char *sql, const char *lake, List *paths)
{
	PrivilegedScope scope;
	Oid			types[] = {TEXTOID, TEXTARRAYOID};
	Datum		values[2];
	Datum	   *items;
	ListCell   *lc;
	int			n = 0;

	if (paths == NIL)
		return;
	items = palloc(sizeof(Datum) * list_length(paths));
	foreach(lc, paths)
		items[n++] = CStringGetTextDatum((char *) lfirst(lc));
	values[0] = CStringGetTextDatum(lake);
	values[1] = PointerGetDatum(construct_array(items, n, TEXTOID, -1, false, TYPALIGN_INT));
	privileged_begin(&scope);
	privileged_execute(sql, 2, types, values, NULL, SPI_OK_INSERT);
	privileged_end(&scope);
}

void
registry_add_garbage(const char *lake, List *paths)
{
	insert_garbage("INSERT INTO tarn.garbage (lake, path) SELECT $1::name, pg_catalog.unnest($2) "
				   "ON CONFLICT DO NOTHING", lake, paths);
}

void
registry_add_dropped(const char *lake, List *paths)
{
	insert_garbage("INSERT INTO tarn.garbage (lake, path, since) SELECT $1::name, pg_catalog.unnest($2), '-infinity' "
				   "ON CONFLICT ON CONSTRAINT garbage_pkey DO UPDATE SET since = '-infinity'", lake, paths);
}

void
registry_set_garbage(const char *lake, const char *location, List *paths)
{
	PrivilegedScope scope;
	Oid			types[] = {TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(lake), CStringGetTextDatum(psprintf("%s/", location))};

	privileged_begin(&scope);
	privileged_execute("DELETE FROM tarn.garbage WHERE lake = $1::name AND pg_catalog.starts_with(path, $2)",
					   2, types, values, NULL, SPI_OK_DELETE);
	privileged_end(&scope);
	registry_add_garbage(lake, paths);
}

/*
 * The oldest transaction that some snapshot of this database may still see
 * as running, widened to 64 bits.  Asked for one of our own tables: the
 * horizon of shared or system catalogs is held back by replication slots.
 */
static uint64
oldest_visible_xid(void)
{
	Oid			relid = get_relname_relid("garbage", get_namespace_oid("tarn", false));
	Relation	rel = table_open(relid, AccessShareLock);
	TransactionId horizon = GetOldestNonRemovableTransactionId(rel);
	FullTransactionId next = ReadNextFullTransactionId();

	table_close(rel, AccessShareLock);
	return U64FromFullTransactionId(next) - (uint32) (XidFromFullTransactionId(next) - horizon);
}

/*
 * A reader inside this database sees the catalog rows of its snapshot; once
 * no snapshot is older than the transaction that dropped a file from the
 * tables' current state, none can ask for it.  Readers outside have the
 * grace time.
 */
List *
registry_take_garbage(const char *lake, int grace_seconds, int limit)
{
	PrivilegedScope scope;
	Oid			types[] = {TEXTOID, INT4OID, INT4OID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(lake), Int32GetDatum(grace_seconds),
		Int32GetDatum(limit),
	CStringGetTextDatum(psprintf("%llu", (unsigned long long) oldest_visible_xid()))};
	List	   *paths = NIL;
	uint64		n;

	privileged_begin(&scope);
	n = privileged_execute("DELETE FROM tarn.garbage g USING ("
						   "SELECT ctid FROM tarn.garbage WHERE lake = $1::name "
						   "AND since < pg_catalog.now() - pg_catalog.make_interval(secs => $2) "
						   "AND xid < $4::xid8 "
						   "ORDER BY since LIMIT $3 FOR UPDATE SKIP LOCKED) d WHERE g.ctid = d.ctid RETURNING g.path",
						   4, types, values, NULL, SPI_OK_DELETE_RETURNING);
	for (uint64 i = 0; i < n; i++)
	{
		char	   *path = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		MemoryContext old = MemoryContextSwitchTo(scope.context);

		paths = lappend(paths, pstrdup(path));
		MemoryContextSwitchTo(old);
	}
	privileged_end(&scope);
	return paths;
}
