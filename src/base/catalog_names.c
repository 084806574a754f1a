/*-------------------------------------------------------------------------
 *
 * catalog_names.c
 *	  The closest name of a system catalog, for hints.
 *
 * Reads the whole catalog: it is one of few rows, and an error is on its way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "utils/rel.h"

#include "base/catalog_names.h"
#include "base/options.h"

const char *
catalog_closest_name(Oid catalog, AttrNumber attnum, int nkeys, ScanKey keys, const char *name)
{
	Relation	rel = table_open(catalog, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, nkeys, keys);
	const char *best[] = {NULL, NULL, NULL};
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;

		/* the last one was a copy; the closer of it and this one stays */
		best[best[0] != NULL] = pstrdup(NameStr(*DatumGetName(heap_getattr(tuple, attnum, RelationGetDescr(rel), &isnull))));
		best[0] = option_closest(name, best);
		best[1] = NULL;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return best[0];
}
