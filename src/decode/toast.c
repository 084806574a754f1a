/*-------------------------------------------------------------------------
 *
 * toast.c
 *	  Values out of line that WAL does not hold, from the source's TOAST table.
 *
 * An UPDATE that brings a row through a publication's row filter leaves as an
 * INSERT.  Values out of line that it left alone are neither in WAL nor, as
 * the row was filtered away, in the lake.  The source may have them still:
 * what was stored under a value's id never changes; it dies and is vacuumed
 * away.  So it is read whatever its visibility, and counts only when all of
 * it is there.  After a wraparound an id could stand for another value, which
 * then was written by a later transaction.
 *
 * All this goes on in the middle of decoding, with catalogs of the past.
 * What they say of the TOAST table holds when its file is still there, while
 * a lock keeps it there.  The lock is not waited for: an application's
 * command, not ended for hours perhaps, would hold up all tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/transam.h"
#include "base/compat.h"
#include "catalog/pg_class.h"
#include "decode/toast.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/smgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

/* Opens a relation that is there with its file, locked until the decoding's transaction ends; or NULL. */
static Relation
toast_open(Oid relid)
{
	Relation	relation;

	if (!ConditionalLockRelationOid(relid, AccessShareLock))
		return NULL;
	relation = RelationIdGetRelation(relid);
	if (RelationIsValid(relation) &&
		smgrexists(RelationGetSmgr(relation), MAIN_FORKNUM) &&
		smgrnblocks(RelationGetSmgr(relation), MAIN_FORKNUM) > 0)
		return relation;
	if (RelationIsValid(relation))
		RelationClose(relation);
	UnlockRelationOid(relid, AccessShareLock);
	return NULL;
}

static void
toast_close(Relation relation)
{
	Oid			relid = RelationGetRelid(relation);

	RelationClose(relation);
	UnlockRelationOid(relid, AccessShareLock);
}

/* The index over chunks; REINDEX CONCURRENTLY leaves others, which are not valid. */
static Relation
toast_open_index(Relation toast)
{
	List	   *indexes = RelationGetIndexList(toast);
	Relation	found = NULL;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = toast_open(lfirst_oid(lc));

		if (index != NULL && index->rd_index->indisvalid)
		{
			found = index;
			break;
		}
		if (index != NULL)
			toast_close(index);
	}
	list_free(indexes);
	return found;
}

/* Puts one chunk in its place; false when it cannot be one of the value. */
static bool
toast_take_chunk(HeapTuple tuple, TupleDesc desc, TransactionId newest,
				 int32 *next, struct varlena *out, int32 size)
{
	bool		isnull[3];
	Datum		values[3];
	struct varlena *chunk;
	int32		offset = *next * TOAST_MAX_CHUNK_SIZE;
	int32		length;

	if (TransactionIdFollows(HeapTupleHeaderGetRawXmin(tuple->t_data), newest))
		return false;
	heap_deform_tuple(tuple, desc, values, isnull);
	if (isnull[1] || isnull[2] || DatumGetInt32(values[1]) != *next || offset >= size)
		return false;
	chunk = (struct varlena *) DatumGetPointer(values[2]);
	if (VARATT_IS_EXTENDED(chunk) && !VARATT_IS_SHORT(chunk))
		return false;
	length = VARSIZE_ANY_EXHDR(chunk);
	if (length != Min(size - offset, TOAST_MAX_CHUNK_SIZE))
		return false;
	memcpy(VARDATA(out) + offset, VARDATA_ANY(chunk), length);
	(*next)++;
	return true;
}

static bool
toast_read(Relation toast, Relation index, Oid value_id, TransactionId newest,
		   struct varlena *out, int32 size)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int32		next = 0;
	bool		good = true;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value_id));
	scan = systable_beginscan_ordered(toast, index, SnapshotAny, 1, &key);
	while (good && (tuple = systable_getnext_ordered(scan, ForwardScanDirection)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		good = toast_take_chunk(tuple, RelationGetDescr(toast), newest, &next, out, size);
	}
	systable_endscan_ordered(scan);
	return good && next == (size + TOAST_MAX_CHUNK_SIZE - 1) / TOAST_MAX_CHUNK_SIZE;
}

struct varlena *
toast_fetch_source(const struct varlena *value, TransactionId newest)
{
	struct varatt_external pointer;
	struct varlena *result = NULL;
	Relation	toast;
	Relation	index;

	VARATT_EXTERNAL_GET_POINTER(pointer, value);
	if ((toast = toast_open(pointer.va_toastrelid)) == NULL)
		return NULL;
	if ((index = toast_open_index(toast)) != NULL)
	{
		int32		size = VARATT_EXTERNAL_GET_EXTSIZE(pointer);

		result = palloc(size + VARHDRSZ);
		if (VARATT_EXTERNAL_IS_COMPRESSED(pointer))
			SET_VARSIZE_COMPRESSED(result, size + VARHDRSZ);
		else
			SET_VARSIZE(result, size + VARHDRSZ);
		if (!toast_read(toast, index, pointer.va_valueid, newest, result, size))
		{
			pfree(result);
			result = NULL;
		}
		toast_close(index);
	}
	toast_close(toast);
	return result;
}
