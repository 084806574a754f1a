/*-------------------------------------------------------------------------
 *
 * describe.c
 *	  DecodeRelation: columns, key and names of a published table.
 *
 * What is wrong with a table is kept as text in the description rather than
 * raised: one table with contradicting column lists must not stop the
 * others of a pipeline.  A sink that has no way to go on without it raises
 * it itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "base/compat.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "decode/relation.h"
#include "lib/stringinfo.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* Does this publication, which has no column list, publish the attribute? */
static bool
describe_by_default(const Publication *pub, Form_pg_attribute att)
{
	return !att->attisdropped &&
		(att->attgenerated == '\0' || COMPAT_PUBLISHES_GENERATED(pub, att));
}

static Bitmapset *
describe_columns_in(const DecodeRelation *rel, const Publication *pub)
{
	Bitmapset  *listed = published_columns(rel->relid, pub);
	Bitmapset  *columns = NULL;

	for (int i = 0; i < rel->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(rel->desc, i);

		if (listed != NULL ? bms_is_member(att->attnum, listed) && !att->attisdropped :
			describe_by_default(pub, att))
			columns = bms_add_member(columns, i);
	}
	return columns;
}

/* All publications must agree; "FOR ALL TABLES" and a list of all columns agree too. */
static void
describe_columns(DecodeRelation *rel, List *publications)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	foreach(lc, publications)
	{
		Bitmapset  *theirs = describe_columns_in(rel, lfirst(lc));

		if (foreach_current_index(lc) == 0)
			columns = theirs;
		else if (!bms_equal(columns, theirs) && rel->error == NULL)
			rel->error = psprintf("cannot use different column lists for table \"%s.%s\" in different publications",
								  rel->schema, rel->table);
	}
	for (int i = 0; i < rel->desc->natts; i++)
		rel->published[i] = bms_is_member(i, columns);
}

/* Columns of the index that is the replica identity, offset as bitmaps of attributes are; NULL: none. */
static Bitmapset *
describe_identity(Relation relation)
{
	if (HistoricSnapshotActive())
		return RelationGetIdentityKeyBitmap(relation);
	return RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_IDENTITY_KEY);
}

/* Columns of the primary key, whatever the replica identity; NULL when there is none that holds at once. */
static Bitmapset *
describe_primary_key(Relation relation)
{
	List	   *indexes = RelationGetIndexList(relation);
	Bitmapset  *key = NULL;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index index;

		if (!HeapTupleIsValid(tuple))
			continue;
		index = (Form_pg_index) GETSTRUCT(tuple);
		if (index->indisprimary && index->indimmediate && index->indisvalid)
		{
			for (int i = 0; i < index->indnkeyatts; i++)
				key = bms_add_member(key, index->indkey.values[i] - FirstLowInvalidHeapAttributeNumber);
		}
		ReleaseSysCache(tuple);
	}
	list_free(indexes);
	return key;
}

/*
 * What WAL has of an old row is up to the replica identity of its partition,
 * which has nothing to do with that of the root: ALTER TABLE ... REPLICA
 * IDENTITY stays with the table it names.  So of a root this is the key that
 * its partitions are expected to tell (relation_tells_key): the index it
 * names, else the primary key, which partitions share, whether by default or
 * as part of the full row; and without one, the full row.
 */
static void
describe_root_identity(DecodeRelation *rel, Relation relation, Bitmapset **key)
{
	*key = NULL;
	if (rel->replica_identity != REPLICA_IDENTITY_FULL)
		*key = describe_identity(relation);
	if (*key == NULL)
	{
		*key = describe_primary_key(relation);
		rel->replica_identity = *key != NULL ? REPLICA_IDENTITY_DEFAULT : REPLICA_IDENTITY_FULL;
	}
}

static void
describe_key(DecodeRelation *rel, Relation relation)
{
	Bitmapset  *key = NULL;
	int			offset = FirstLowInvalidHeapAttributeNumber;

	rel->replica_identity = relation->rd_rel->relreplident;
	if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		describe_root_identity(rel, relation, &key);
	else if (rel->replica_identity != REPLICA_IDENTITY_FULL)
		key = describe_identity(relation);

	if (rel->replica_identity == REPLICA_IDENTITY_FULL)
	{
		memcpy(rel->key, rel->published, rel->desc->natts * sizeof(bool));
		rel->has_key = true;
		return;
	}
	rel->has_key = key != NULL;
	for (int i = 0; i < rel->desc->natts; i++)
	{
		rel->key[i] = bms_is_member(i + 1 - offset, key);
		if (rel->key[i] && !rel->published[i])
			rel->has_key = false;
	}
}

/*
 * A filter's node string without the places in the command that made it: the
 * same filter given again is the same.
 */
static void
describe_expression(StringInfo out, const char *node)
{
	static const char place[] = ":location ";

	while (*node != '\0')
	{
		const char *next = strstr(node, place);

		if (next == NULL)
		{
			appendStringInfoString(out, node);
			return;
		}
		next += sizeof(place) - 1;
		appendBinaryStringInfo(out, node, next - node);
		node = next + strspn(next, "-0123456789");
	}
}

static void
describe_filter(DecodeRelation *rel, List *publications)
{
	StringInfoData buf;
	bool		any = false;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, publications)
	{
		Publication *pub = lfirst(lc);
		char	   *filter = published_filter(rel->relid, pub);

		/* one of several is for its own operations */
		if (list_length(publications) > 1)
			appendStringInfo(&buf, "%d%d%d:", pub->pubactions.pubinsert, pub->pubactions.pubupdate,
							 pub->pubactions.pubdelete);
		if (filter != NULL)
			describe_expression(&buf, filter);
		any |= filter != NULL;
	}
	rel->filter = any ? buf.data : NULL;
}

static int
describe_compare_oids(const ListCell *a, const ListCell *b)
{
	return (lfirst_oid(a) > lfirst_oid(b)) - (lfirst_oid(a) < lfirst_oid(b));
}

/* A partition that comes or goes takes rows along of which nothing is told. */
static void
describe_partitions(DecodeRelation *rel, Relation relation)
{
	List	   *all;
	ListCell   *lc;

	if (relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return;
	all = find_all_inheritors(rel->relid, NoLock, NULL);
	list_sort(all, describe_compare_oids);
	rel->partitions = palloc(sizeof(Oid) * Max(list_length(all), 1));
	foreach(lc, all)
	{
		/* rows of an unlogged one are not in WAL */
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_RELATION &&
			get_rel_persistence(lfirst_oid(lc)) == RELPERSISTENCE_PERMANENT)
			rel->partitions[rel->npartitions++] = lfirst_oid(lc);
	}
}

bool
relation_tells_key(Relation leaf, const AttrMap *map, const DecodeRelation *rel)
{
	Bitmapset  *identity;
	bool		tells = rel->has_key;

	if (!rel->has_key || leaf->rd_rel->relreplident == REPLICA_IDENTITY_FULL)
		return rel->has_key;
	identity = describe_identity(leaf);
	for (int i = 0; i < rel->desc->natts && tells; i++)
	{
		AttrNumber	attnum = map != NULL ? map->attnums[i] : i + 1;

		tells = !rel->key[i] || bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, identity);
	}
	bms_free(identity);
	return tells;
}

DecodeRelation *
relation_describe(Relation relation, const PublishedAs *as, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "tarn published relation", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	DecodeRelation *rel = palloc0(sizeof(DecodeRelation));
	int			natts = RelationGetNumberOfAttributes(relation);

	rel->context = context;
	rel->relid = RelationGetRelid(relation);
	rel->schema = get_namespace_name(RelationGetNamespace(relation));
	rel->table = pstrdup(RelationGetRelationName(relation));
	rel->desc = CreateTupleDescCopyConstr(RelationGetDescr(relation));
	rel->published = palloc0(Max(natts, 1) * sizeof(bool));
	rel->key = palloc0(Max(natts, 1) * sizeof(bool));
	rel->pub_insert = as->pub_insert;
	rel->pub_update = as->pub_update;
	rel->pub_delete = as->pub_delete;
	rel->pub_truncate = as->pub_truncate;
	describe_columns(rel, as->publications);
	describe_key(rel, relation);
	describe_filter(rel, as->publications);
	describe_partitions(rel, relation);
	MemoryContextSwitchTo(old);
	return rel;
}

static bool
describe_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool
relation_same(const DecodeRelation *a, const DecodeRelation *b)
{
	return a->relid == b->relid && a->desc != NULL && b->desc != NULL &&
		a->replica_identity == b->replica_identity && a->has_key == b->has_key &&
		a->pub_insert == b->pub_insert && a->pub_update == b->pub_update &&
		a->pub_delete == b->pub_delete && a->pub_truncate == b->pub_truncate &&
		describe_same_text(a->schema, b->schema) &&
		describe_same_text(a->table, b->table) &&
		describe_same_text(a->error, b->error) &&
		describe_same_text(a->filter, b->filter) &&
		a->npartitions == b->npartitions &&
		(a->npartitions == 0 || memcmp(a->partitions, b->partitions, a->npartitions * sizeof(Oid)) == 0) &&
		equalTupleDescs(a->desc, b->desc) &&
		memcmp(a->published, b->published, a->desc->natts * sizeof(bool)) == 0 &&
		memcmp(a->key, b->key, a->desc->natts * sizeof(bool)) == 0;
}

DecodeRelation *
decode_relation_describe(Oid relid, List *publications)
{
	Relation	relation = try_relation_open(relid, AccessShareLock);
	DecodeRelation *rel = NULL;
	PublishedAs as;

	if (relation == NULL)
		return NULL;
	/* a partition that leaves as its root is not published as itself */
	if (published_as(relid, published_load(publications, false), &as) && as.relid == relid)
		rel = relation_describe(relation, &as, CurrentMemoryContext);
	relation_close(relation, NoLock);
	return rel;
}
