/*-------------------------------------------------------------------------
 *
 * relation.h
 *	  The plugin's cache of relations: what leaves of each, and how its tuples
 *	  become rows.
 *
 * Two levels.  A PublishedRelation is a table as the sink sees it; a
 * LeafRelation is a table whose tuples WAL holds.  They are one to one,
 * except that all partitions of a root published as itself share the root's.
 *
 * Invalidations only mark; the next look-up rebuilds, under the historic
 * snapshot of the change at hand.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_DECODE_RELATION_H
#define TARN_DECODE_RELATION_H

#include "postgres.h"

#include "access/attmap.h"
#include "decode/filter.h"
#include "decode/published.h"
#include "decode/sink.h"
#include "lib/ilist.h"
#include "utils/hsearch.h"
#include "utils/rel.h"

typedef struct PublishedRelation
{
	DecodeRelation rel;			/* first: rel.relid is the hash key */
	bool		valid;
	bool		announced;		/* the sink's `relation` was called for this generation */
	uint64		wanted_txn;		/* transaction (serial number) for which `wanted` was asked */
	bool		wanted;
	DecodeFilter *filter;		/* or NULL */
} PublishedRelation;

/* Arrays for one deformed tuple, and the same mapped to the root. */
typedef struct LeafTuple
{
	Datum	   *values;
	bool	   *isnull;
	DecodeRow	row;			/* what the sink gets: those above, or the mapped ones */
} LeafTuple;

typedef struct LeafRelation
{
	Oid			relid;			/* first: the hash key */
	bool		valid;
	bool		pub_insert;		/* operations of this table that leave */
	bool		pub_update;
	bool		pub_delete;
	bool		pub_truncate;
	PublishedRelation *published;	/* NULL: not published */
	uint32		generation;		/* of `published` that the map is for */
	List	   *kin;			/* itself and its ancestors (Oid), but for the one it is published as */
	uint64		missed_txn;		/* transaction for which the sink was told that these lack a change */
	Oid			rewrites;		/* the table whose rows it gets, by an ALTER TABLE that is under way */
	bool		tells_key;		/* its old tuples have the published relation's key */
	AttrMap    *map;			/* to the published relation's attributes, or NULL */
	int			natts;			/* of the leaf */
	LeafTuple	old;
	LeafTuple	new;
	MemoryContext context;		/* of map and arrays */
} LeafRelation;

typedef struct RelationCache
{
	MemoryContext context;
	List	   *names;			/* of publications */
	bool		missing_ok;		/* a publication that is gone publishes nothing, instead of an error */
	List	   *publications;	/* of Publication *, in publications_context */
	bool		publications_valid;
	MemoryContext publications_context;
	HTAB	   *leaves;
	HTAB	   *published;
	HTAB	   *types;			/* relations of composite types that values consist of */
	bool		enums;			/* there are values of enums, too */
	LeafRelation *last;			/* of the last look-up, or NULL */
	uint32		generation;
	dlist_node	node;			/* in the process's list of caches */
} RelationCache;

/* In a context below `parent`; goes away with it. */
extern RelationCache *relation_cache_create(MemoryContext parent, List *names, bool missing_ok);

/* Is there nothing new to tell of the table?  (Of a partitioned one that is never sure.) */
extern bool relation_cache_current(RelationCache *cache, Oid relid);

/* All tables are to be told again. */
extern void relation_cache_retell(RelationCache *cache);

/*
 * From now on, a change of a type that the table's values consist of has all
 * tables told again: nothing else of the table changes with it.
 */
extern void relation_cache_watch_types(RelationCache *cache, const DecodeRelation *rel);

/* Out of line part of relation_cache_get. */
extern LeafRelation *relation_cache_lookup(RelationCache *cache, Relation relation);

static inline bool
leaf_relation_valid(const LeafRelation *leaf)
{
	return leaf->valid &&
		(leaf->published == NULL ||
		 (leaf->published->valid && leaf->published->rel.generation == leaf->generation));
}

/* Inside the decoding's transaction. */
static inline LeafRelation *
relation_cache_get(RelationCache *cache, Relation relation)
{
	LeafRelation *leaf = cache->last;

	if (likely(leaf != NULL && leaf->relid == RelationGetRelid(relation) && leaf_relation_valid(leaf)))
		return leaf;
	return relation_cache_lookup(cache, relation);
}

/* Deforms a tuple into tuple->row; by-reference values point into it. */
extern void leaf_tuple_deform(const LeafRelation *leaf, Relation relation, HeapTuple heap_tuple,
							  LeafTuple *tuple);

/*
 * The published relation's description, in a context of its own below
 * `parent` (describe.c).  Current or historic catalogs.
 */
extern DecodeRelation *relation_describe(Relation relation, const PublishedAs *as, MemoryContext parent);

/*
 * Do the tuples that updates and deletes of `leaf` log have the whole key of
 * `rel`, the relation it is published as?  `map` leads from rel's attributes
 * to leaf's; NULL: they are the same.
 */
extern bool relation_tells_key(Relation leaf, const AttrMap *map, const DecodeRelation *rel);

/* Would the sink see a difference? */
extern bool relation_same(const DecodeRelation *a, const DecodeRelation *b);

#endif							/* TARN_DECODE_RELATION_H */
