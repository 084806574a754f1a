/*-------------------------------------------------------------------------
 *
 * relation.c
 *	  The plugin's cache of relations.
 *
 * A process may decode several times (a worker starts anew after an error,
 * a session calls pg_logical_slot_get_changes again), and callbacks for
 * invalidations cannot be unregistered: so they are registered once a
 * process and walk the list of live caches.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/compat.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "decode/relation.h"
#include "decode/types.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* Caches of this process that are in use. */
static dlist_head relation_caches = DLIST_STATIC_INIT(relation_caches);

static void
relation_mark_all(RelationCache *cache)
{
	HASH_SEQ_STATUS status;
	LeafRelation *leaf;
	PublishedRelation *published;

	hash_seq_init(&status, cache->leaves);
	while ((leaf = hash_seq_search(&status)) != NULL)
		leaf->valid = false;
	hash_seq_init(&status, cache->published);
	while ((published = hash_seq_search(&status)) != NULL)
		published->valid = false;
}

/*
 * Called whenever invalidations are absorbed, also in the middle of a
 * look-up: mark, and touch nothing else.
 */
static void
relation_relcache_callback(Datum arg, Oid relid)
{
	dlist_iter	iter;

	dlist_foreach(iter, &relation_caches)
	{
		RelationCache *cache = dlist_container(RelationCache, node, iter.cur);
		LeafRelation *leaf;
		PublishedRelation *published;

		if (!OidIsValid(relid))
		{
			relation_mark_all(cache);
			continue;
		}
		leaf = hash_search(cache->leaves, &relid, HASH_FIND, NULL);
		if (leaf != NULL)
			leaf->valid = false;
		published = hash_search(cache->published, &relid, HASH_FIND, NULL);
		if (published != NULL)
			published->valid = false;
		if (hash_search(cache->types, &relid, HASH_FIND, NULL) != NULL)
			relation_cache_retell(cache);
	}
}

/* A label of an enum came or changed.  All of them at once never do: that is a cache being emptied. */
static void
relation_enum_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	dlist_iter	iter;

	if (hashvalue == 0)
		return;
	dlist_foreach(iter, &relation_caches)
	{
		RelationCache *cache = dlist_container(RelationCache, node, iter.cur);

		if (cache->enums)
			relation_cache_retell(cache);
	}
}

/* Publications, what they contain, and names of schemas: which tables are touched cannot be told from the hash. */
static void
relation_syscache_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	dlist_iter	iter;

	dlist_foreach(iter, &relation_caches)
	{
		RelationCache *cache = dlist_container(RelationCache, node, iter.cur);

		if (cacheid == PUBLICATIONOID)
			cache->publications_valid = false;
		relation_mark_all(cache);
	}
}

static void
relation_register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	CacheRegisterRelcacheCallback(relation_relcache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(PUBLICATIONOID, relation_syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(PUBLICATIONRELMAP, relation_syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(PUBLICATIONNAMESPACEMAP, relation_syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, relation_syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(ENUMOID, relation_enum_callback, (Datum) 0);
	registered = true;
}

static void
relation_cache_forget(void *arg)
{
	RelationCache *cache = arg;

	dlist_delete(&cache->node);
}

RelationCache *
relation_cache_create(MemoryContext parent, List *names, bool missing_ok)
{
	MemoryContext context = AllocSetContextCreate(parent, "tarn relation cache", ALLOCSET_DEFAULT_SIZES);
	RelationCache *cache = MemoryContextAllocZero(context, sizeof(RelationCache));
	MemoryContextCallback *callback = MemoryContextAllocZero(context, sizeof(MemoryContextCallback));
	HASHCTL		ctl;

	cache->context = context;
	cache->names = names;
	cache->missing_ok = missing_ok;
	cache->publications_context = AllocSetContextCreate(context, "tarn publications", ALLOCSET_SMALL_SIZES);

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(Oid);
	ctl.hcxt = context;
	ctl.entrysize = sizeof(LeafRelation);
	cache->leaves = hash_create("tarn leaf relations", 128, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ctl.entrysize = sizeof(PublishedRelation);
	cache->published = hash_create("tarn published relations", 128, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ctl.entrysize = sizeof(Oid);
	cache->types = hash_create("tarn composite types", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	relation_register_callbacks();
	dlist_push_head(&relation_caches, &cache->node);
	callback->func = relation_cache_forget;
	callback->arg = cache;
	MemoryContextRegisterResetCallback(context, callback);
	return cache;
}

static List *
relation_publications(RelationCache *cache)
{
	while (!cache->publications_valid)
	{
		MemoryContext old;

		MemoryContextReset(cache->publications_context);
		cache->publications = NIL;
		old = MemoryContextSwitchTo(cache->publications_context);
		/* an invalidation may arrive while loading: then load again */
		cache->publications_valid = true;
		cache->publications = published_load(cache->names, cache->missing_ok);
		MemoryContextSwitchTo(old);
	}
	return cache->publications;
}

static PublishedRelation *
relation_published_find(RelationCache *cache, Oid relid)
{
	bool		found;
	PublishedRelation *published = hash_search(cache->published, &relid, HASH_ENTER, &found);

	if (!found)
	{
		memset(published, 0, sizeof(*published));
		published->rel.relid = relid;
	}
	return published;
}

/* Replaces what the sink sees; the pointer it holds stays. */
static void
relation_published_replace(RelationCache *cache, PublishedRelation *published, const DecodeRelation *rel)
{
	MemoryContext old_context = published->rel.context;

	published->rel = *rel;
	published->rel.generation = ++cache->generation;
	published->announced = false;
	if (old_context != NULL)
		MemoryContextDelete(old_context);
}

static void
relation_published_build(RelationCache *cache, PublishedRelation *published,
						 Relation relation, const PublishedAs *as)
{
	DecodeRelation *rel = relation_describe(relation, as, cache->context);

	if (relation_same(rel, &published->rel))
		MemoryContextDelete(rel->context);
	else
		relation_published_replace(cache, published, rel);

	/* a filter may have changed even where the table did not */
	filter_free(published->filter);
	published->filter = NULL;
	published->filter = filter_build(&published->rel, as->publications, cache->context);
}

/* The table as which `leaf` is published, brought up to date. */
static PublishedRelation *
relation_published_get(RelationCache *cache, Relation leaf, const PublishedAs *as)
{
	PublishedRelation *published = relation_published_find(cache, as->relid);
	Relation	root;
	PublishedAs root_as;

	if (published->valid)
		return published;

	/* first, so that an invalidation that arrives meanwhile is not lost */
	published->valid = true;
	if (as->relid == RelationGetRelid(leaf))
	{
		relation_published_build(cache, published, leaf, as);
		return published;
	}

	root = RelationIdGetRelation(as->relid);
	if (!RelationIsValid(root))
		elog(ERROR, "could not open relation with OID %u", as->relid);
	if (!published_as(as->relid, cache->publications, &root_as) || root_as.relid != as->relid)
		root_as = *as;
	relation_published_build(cache, published, root, &root_as);
	RelationClose(root);
	return published;
}

static void
leaf_tuple_init(LeafTuple *tuple, int natts, const AttrMap *map)
{
	tuple->values = palloc0(Max(natts, 1) * sizeof(Datum));
	tuple->isnull = palloc0(Max(natts, 1) * sizeof(bool));
	tuple->row.values = tuple->values;
	tuple->row.isnull = tuple->isnull;
	if (map != NULL)
	{
		tuple->row.values = palloc0(Max(map->maplen, 1) * sizeof(Datum));
		tuple->row.isnull = palloc0(Max(map->maplen, 1) * sizeof(bool));
	}
}

/* The tables that would have the leaf's rows, were they published, and are not. */
static List *
leaf_kin(const LeafRelation *leaf, Relation relation)
{
	List	   *kin = NIL;

	if (leaf->published != NULL && !relation->rd_rel->relispartition)
		return NIL;
	if (relation->rd_rel->relispartition)
		kin = get_partition_ancestors(leaf->relid);
	kin = lcons_oid(leaf->relid, kin);
	return leaf->published != NULL ? list_delete_oid(kin, leaf->published->rel.relid) : kin;
}

static void
leaf_build(RelationCache *cache, LeafRelation *leaf, Relation relation)
{
	MemoryContext old;
	PublishedAs as;

	leaf->published = NULL;
	leaf->kin = NIL;
	leaf->missed_txn = 0;
	leaf->rewrites = relation->rd_rel->relrewrite;
	if (leaf->context == NULL)
		leaf->context = AllocSetContextCreate(cache->context, "tarn leaf relation", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(leaf->context);
	leaf->map = NULL;

	/* first, so that an invalidation that arrives meanwhile is not lost */
	leaf->valid = true;
	relation_publications(cache);
	old = MemoryContextSwitchTo(leaf->context);
	memset(&as, 0, sizeof(as));
	if (!OidIsValid(leaf->rewrites) && published_as(leaf->relid, cache->publications, &as))
	{
		leaf->published = relation_published_get(cache, relation, &as);
		if (as.relid != leaf->relid)
			leaf->map = build_attrmap_by_name_if_req(RelationGetDescr(relation),
													 leaf->published->rel.desc COMPAT_ATTRMAP_ARG);
	}
	if (leaf->published != NULL)
	{
		leaf->generation = leaf->published->rel.generation;
		leaf->tells_key = relation_tells_key(relation, leaf->map, &leaf->published->rel);
	}
	if (!OidIsValid(leaf->rewrites))
		leaf->kin = leaf_kin(leaf, relation);
	leaf->pub_insert = as.pub_insert;
	leaf->pub_update = as.pub_update;
	leaf->pub_delete = as.pub_delete;
	leaf->pub_truncate = as.pub_truncate;
	leaf->natts = RelationGetNumberOfAttributes(relation);
	leaf_tuple_init(&leaf->old, leaf->natts, leaf->map);
	leaf_tuple_init(&leaf->new, leaf->natts, leaf->map);
	MemoryContextSwitchTo(old);
}

bool
relation_cache_current(RelationCache *cache, Oid relid)
{
	PublishedRelation *published = hash_search(cache->published, &relid, HASH_FIND, NULL);
	LeafRelation *leaf = hash_search(cache->leaves, &relid, HASH_FIND, NULL);

	/* what a partition became, or that one of a partition has gone, the root is not told */
	if (published != NULL && published->rel.partitions != NULL)
		published->valid = false;
	if (leaf == NULL || !leaf_relation_valid(leaf))
		return false;
	return leaf->published == NULL || (leaf->published->valid && leaf->published->announced);
}

void
relation_cache_retell(RelationCache *cache)
{
	HASH_SEQ_STATUS status;
	PublishedRelation *published;

	hash_seq_init(&status, cache->published);
	while ((published = hash_seq_search(&status)) != NULL)
		published->announced = false;
}

static void
relation_watch_type(Oid type, char typtype, bool bound, void *arg)
{
	RelationCache *cache = arg;
	Oid			relid;

	if (typtype == TYPTYPE_ENUM)
		cache->enums = true;
	else
	{
		relid = get_typ_typrelid(type);
		(void) hash_search(cache->types, &relid, HASH_ENTER, NULL);
	}
}

void
relation_cache_watch_types(RelationCache *cache, const DecodeRelation *rel)
{
	for (int i = 0; i < rel->desc->natts; i++)
	{
		if (rel->published[i])
			types_visit(TupleDescAttr(rel->desc, i)->atttypid, relation_watch_type, cache);
	}
}

LeafRelation *
relation_cache_lookup(RelationCache *cache, Relation relation)
{
	Oid			relid = RelationGetRelid(relation);
	bool		found;
	LeafRelation *leaf = hash_search(cache->leaves, &relid, HASH_ENTER, &found);

	if (!found)
	{
		memset(leaf, 0, sizeof(*leaf));
		leaf->relid = relid;
	}
	if (!leaf_relation_valid(leaf))
	{
		cache->last = NULL;
		leaf->valid = false;
		leaf_build(cache, leaf, relation);
	}
	cache->last = leaf;
	return leaf;
}

void
leaf_tuple_deform(const LeafRelation *leaf, Relation relation, HeapTuple heap_tuple, LeafTuple *tuple)
{
	Assert(leaf->natts == RelationGetNumberOfAttributes(relation));
	heap_deform_tuple(heap_tuple, RelationGetDescr(relation), tuple->values, tuple->isnull);
	if (leaf->map == NULL)
		return;
	for (int i = 0; i < leaf->map->maplen; i++)
	{
		int			from = leaf->map->attnums[i] - 1;

		tuple->row.values[i] = from < 0 ? (Datum) 0 : tuple->values[from];
		tuple->row.isnull[i] = from < 0 || tuple->isnull[from];
	}
}
