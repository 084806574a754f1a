/*-------------------------------------------------------------------------
 *
 * shape_types.c
 *	  Columns of composite types and of enums: what became of their types since
 *	  the lake table had them.
 *
 * An attribute of a composite type is to a struct's field what a column is
 * to a table's: the field goes by the attribute's number, so a rename is a
 * rename, an attribute that was dropped and added again is another field,
 * and one that was added is null in the rows that are there, as it is in the
 * source.  But where a file has none of a struct's fields, other engines
 * cannot read the struct any more, not even whether it is null; so when the
 * last goes that all files have, the table is copied.
 *
 * The lake has labels of enums as text, and a label that is renamed is
 * renamed in all rows of the source at once, without an event.  So what the
 * labels were is part of the shape: for each enum of a column how many there
 * were, and a hash of them in the order of their oids, in which later ones
 * come last.
 *
 * A composite type, too, may be kept as text: by an option, or in the bounds
 * of a range.  There an attribute has no field to go by, it is the text of all
 * rows that is another when one comes or goes.  So how many there were and a
 * hash of them is noted in the same way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/catcache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/hash.h"
#include "decode/types.h"
#include "pipeline/shape_internal.h"

/* After its number in the property of an attribute: LakeNode.added. */
#define ADDED " added"

/* --- composite types --- */

typedef struct Follower
{
	const TableShape *before;
	bool		same_source;
	bool		copying;		/* no file of before stays */
	int			last_field_id;
	bool		changed;		/* fields came or went */
} Follower;

/* The field of the lake's struct that had the attribute's values, or NULL. */
static const LakeNode *
field_of(const Follower *f, const LakeNode *lake, const LakeNode *child)
{
	for (int i = 0; i < lake->nchildren; i++)
	{
		const LakeNode *field = &lake->children[i];
		const char *attribute = f->same_source ?
			shape_property(f->before, psprintf("%s%d", SHAPE_ATTRIBUTE_PREFIX, field->id)) : NULL;

		if (attribute ? atoi(attribute) == child->source : strcmp(field->name, child->name) == 0)
			return field;
	}
	return NULL;
}

static bool
was_added(const Follower *f, const LakeNode *field)
{
	const char *attribute = shape_property(f->before, psprintf("%s%d", SHAPE_ATTRIBUTE_PREFIX, field->id));

	return !f->copying && attribute && strstr(attribute, ADDED) != NULL;
}

static bool follow(Follower *f, LakeNode *node, const LakeNode *lake);

static bool
follow_struct(Follower *f, LakeNode *node, const LakeNode *lake)
{
	int			nkept = 0;
	bool		everywhere = false;

	for (int i = 0; i < node->nchildren; i++)
	{
		LakeNode   *child = &node->children[i];
		const LakeNode *field = field_of(f, lake, child);
		int			next;

		if (field != NULL)
		{
			if (!follow(f, child, field))
				return false;
			child->added = was_added(f, field);
			everywhere |= !child->added;
			nkept++;
			continue;
		}
		child->added = !f->copying;
		child->id = ++f->last_field_id;
		next = child->id + 1;
		lake_node_number(child, &next);
		f->last_field_id = next - 1;
		f->changed = true;
	}
	f->changed |= nkept < lake->nchildren;
	return everywhere;
}

static bool
follow(Follower *f, LakeNode *node, const LakeNode *lake)
{
	if (node->kind != lake->kind || !lake_type_equal(node->type, lake->type))
		return false;
	node->id = lake->id;
	node->required = lake->required;
	if (node->kind == LAKE_NODE_STRUCT)
		return follow_struct(f, node, lake);
	for (int i = 0; i < node->nchildren; i++)
	{
		if (!follow(f, &node->children[i], &lake->children[i]))
			return false;
	}
	return true;
}

bool
shape_follow_node(const TableShape *before, bool same_source, bool copying, LakeNode *node,
				  const LakeNode *lake, bool exact, int *last_field_id)
{
	Follower	f = {.before = before,.same_source = same_source,.copying = copying,
	.last_field_id = *last_field_id};

	if (!follow(&f, node, lake) || (exact && f.changed))
		return false;
	*last_field_id = f.last_field_id;
	return true;
}

void
shape_note_attributes(TableShape *shape, const LakeNode *node)
{
	if (node->source != 0)
		shape_set_property(shape, psprintf("%s%d", SHAPE_ATTRIBUTE_PREFIX, node->id),
						   psprintf("%d%s", node->source, node->added ? ADDED : ""));
	for (int i = 0; i < node->nchildren; i++)
		shape_note_attributes(shape, &node->children[i]);
}

/* --- what is kept as text --- */

typedef struct TextWalk
{
	bool		text;			/* the column is, as a whole */
	const char *before;			/* text as below, or NULL */
	StringInfoData now;			/* "oid:number:hash" for each type */
	Oid			changed;
} TextWalk;

static int
compare_labels(const void *a, const void *b)
{
	Oid			x = ((Form_pg_enum) GETSTRUCT(*(HeapTuple const *) a))->oid;
	Oid			y = ((Form_pg_enum) GETSTRUCT(*(HeapTuple const *) b))->oid;

	return (x > y) - (x < y);
}

static uint64
hash_labels(HeapTuple *labels, int n)
{
	uint64		hash = 0;

	for (int i = 0; i < n; i++)
	{
		Form_pg_enum label = (Form_pg_enum) GETSTRUCT(labels[i]);

		hash = hash_bytes64((const char *) &label->oid, sizeof(Oid), hash);
		hash = hash_bytes64(NameStr(label->enumlabel), strlen(NameStr(label->enumlabel)), hash);
	}
	return hash;
}

/* What was noted of the type; false: nothing. */
static bool
noted_type(const char *text, Oid type, int *n, uint64 *hash)
{
	while (text != NULL && *text != '\0')
	{
		Oid			oid;
		unsigned long long h;

		if (sscanf(text, "%u:%d:%llx", &oid, n, &h) == 3 && oid == type)
		{
			*hash = h;
			return true;
		}
		text = strchr(text, ' ');
		text = text ? text + 1 : NULL;
	}
	return false;
}

static void
note_type(TextWalk *walk, Oid type, int n, uint64 hash)
{
	appendStringInfo(&walk->now, "%s%u:%d:%llx", walk->now.len > 0 ? " " : "", type, n, (unsigned long long) hash);
}

static void
note_enum(TextWalk *walk, Oid type)
{
	CatCList   *list;
	HeapTuple  *labels;
	uint64		hash;
	int			n;

	list = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(type));
	labels = palloc(sizeof(HeapTuple) * Max(list->n_members, 1));
	for (int i = 0; i < list->n_members; i++)
		labels[i] = &list->members[i]->tuple;
	qsort(labels, list->n_members, sizeof(HeapTuple), compare_labels);
	if (noted_type(walk->before, type, &n, &hash) &&
		(n > list->n_members || hash_labels(labels, n) != hash))
		walk->changed = type;
	note_type(walk, type, list->n_members, hash_labels(labels, list->n_members));
	pfree(labels);
	ReleaseCatCacheList(list);
}

/* Names are not in the text of a row. */
static void
note_composite(TextWalk *walk, Oid type)
{
	TupleDesc	desc = lookup_rowtype_tupdesc_copy(type, -1);
	uint64		hash = 0;
	uint64		hash_before;
	int			nattributes = 0;
	int			n;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		hash = hash_bytes64((const char *) &att->attnum, sizeof(att->attnum), hash);
		hash = hash_bytes64((const char *) &att->atttypid, sizeof(att->atttypid), hash);
		hash = hash_bytes64((const char *) &att->atttypmod, sizeof(att->atttypmod), hash);
		nattributes++;
	}
	FreeTupleDesc(desc);
	if (noted_type(walk->before, type, &n, &hash_before) && (n != nattributes || hash != hash_before))
		walk->changed = type;
	note_type(walk, type, nattributes, hash);
}

static void
visit_type(Oid type, char typtype, bool bound, void *arg)
{
	TextWalk   *walk = arg;

	if (typtype == TYPTYPE_ENUM)
		note_enum(walk, type);
	else if (walk->text || bound)
		note_composite(walk, type);
}

char *
shape_texts(Oid type, bool text, const char *before, Oid *changed)
{
	TextWalk	walk = {.text = text,.before = before,.changed = InvalidOid};

	initStringInfo(&walk.now);
	types_visit(type, visit_type, &walk);
	*changed = walk.changed;
	return walk.now.len > 0 ? walk.now.data : NULL;
}
