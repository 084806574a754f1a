/*-------------------------------------------------------------------------
 *
 * shape_note.c
 *	  What a lake table's properties say of its source, and what follows from
 *	  it for the rows the lake has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/hash.h"
#include "pipeline/registry.h"
#include "pipeline/shape_internal.h"

void
shape_must_copy(ShapeMaker *m, char *reason)
{
	if (m->copy == NULL)
		m->copy = reason;
}

const char *
shape_field_property(const TableShape *shape, const char *prefix, int id)
{
	return shape_property(shape, psprintf("%s%d", prefix, id));
}

char *
shape_source_id(const Pipeline *p, const PipelineTable *t)
{
	return psprintf("%llu/%u/%u", (unsigned long long) p->system_identifier, p->database, t->relid);
}

/* What a key's hash depends on: fields, and how their values are hashed. */
static char *
key_text(const ShapeColumns *out)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, out->wide_key ? "wide" : "narrow");
	for (int k = 0; k < out->nkeys; k++)
	{
		const TableColumn *c = &out->columns[out->keys[k]];
		ColumnLayout layout = lake_type_layout(c->convert.type);

		/* widened values hash alike, except those of 128 bits, and floats, whose bits are hashed */
		appendStringInfo(&buf, " %d%s", c->field_id,
						 layout == LAYOUT_INT128 ? "w" : layout == LAYOUT_FLOAT ? "f" : "");
	}
	return buf.data;
}

static char *
operations_text(const DecodeRelation *rel)
{
	return psprintf("%s%s%s%s", rel->pub_insert ? "i" : "", rel->pub_update ? "u" : "",
					rel->pub_delete ? "d" : "", rel->pub_truncate ? "t" : "");
}

static char *
partitions_text(const DecodeRelation *rel)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < rel->npartitions; i++)
		appendStringInfo(&buf, "%s%u", i > 0 ? " " : "", rel->partitions[i]);
	return buf.data;
}

/* What is noted of a column. */
static void
make_column_properties(ShapeMaker *m, const TableColumn *c)
{
	TableShape *shape = m->out->shape;
	const char *labels_before = m->before ? shape_field_property(m->before, SHAPE_LABELS_PREFIX, c->field_id) : NULL;
	char	   *labels;
	Oid			changed;

	shape_set_property(shape, psprintf("%s%d", SHAPE_ATTRIBUTE_PREFIX, c->field_id), psprintf("%d", c->attnum));
	shape_set_property(shape, psprintf("%s%d", SHAPE_COLUMN_PREFIX, c->field_id),
					   convert_name_to_lake(convert_type_text(c->type, c->typmod)));
	if (c->type >= FirstNormalObjectId)
		shape_set_property(shape, psprintf("%s%d", SHAPE_TYPE_PREFIX, c->field_id), psprintf("%u", c->type));
	if (c->node != NULL)
		shape_note_attributes(shape, c->node);
	labels = shape_texts(c->type, c->node == NULL, labels_before, &changed);
	if (labels != NULL)
		shape_set_property(shape, psprintf("%s%d", SHAPE_LABELS_PREFIX, c->field_id), labels);
	if (OidIsValid(changed))
		shape_must_copy(m, psprintf(type_is_enum(changed) ? "a label of type %s of column \"%s\" was renamed" :
									"the type %s of column \"%s\" changed", format_type_be(changed), c->name));
}

void
shape_note(ShapeMaker *m, const Pipeline *p)
{
	ShapeColumns *out = m->out;
	TableShape *shape = out->shape;
	const DecodeRelation *rel = m->rel;
	char	   *options = write_options_values(&m->t->write);

	shape_set_property(shape, SHAPE_SOURCE, convert_name_to_lake(m->name));
	shape_set_property(shape, SHAPE_SOURCE_ID, shape_source_id(p, m->t));
	shape_set_property(shape, SHAPE_ATTRIBUTES, psprintf("%d", rel->desc->natts));
	shape_set_property(shape, SHAPE_KEY, key_text(out));
	shape_set_property(shape, SHAPE_OPERATIONS, operations_text(rel));
	if (rel->filter)
		shape_set_property(shape, SHAPE_FILTER,
						   psprintf("%016llx", (unsigned long long) hash_bytes64(rel->filter, strlen(rel->filter), 0)));
	if (rel->partitions)
		shape_set_property(shape, SHAPE_PARTITIONS, partitions_text(rel));
	if (options)
		shape_set_property(shape, SHAPE_OPTIONS, convert_name_to_lake(options));
	for (int i = 0; i < out->ncolumns; i++)
		make_column_properties(m, &out->columns[i]);
}

/* What they tell of rows that changed without being told. */

bool
shape_property_same(const ShapeMaker *m, const char *key)
{
	const char *a = shape_property(m->before, key);
	const char *b = shape_property(m->out->shape, key);

	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
check_operations(ShapeMaker *m)
{
	const char *before = shape_property(m->before, SHAPE_OPERATIONS);
	const char *now = shape_property(m->out->shape, SHAPE_OPERATIONS);

	for (; before && *now; now++)
	{
		if (strchr(before, *now) == NULL)
			shape_must_copy(m, pstrdup("an operation is published now that was not before"));
	}
}

/* A partition that went has taken its rows along; one that came has brought some, if no note says otherwise. */
static void
check_partitions(ShapeMaker *m)
{
	const char *before = shape_property(m->before, SHAPE_PARTITIONS);
	int			stayed = 0;

	if (before == NULL)
		return;
	while (*before)
	{
		char	   *end;
		Oid			relid = (Oid) strtoul(before, &end, 10);
		bool		found = false;

		for (int i = 0; i < m->rel->npartitions; i++)
			found |= m->rel->partitions[i] == relid;
		if (!found)
		{
			shape_must_copy(m, pstrdup("a partition was detached or dropped"));
			return;
		}
		stayed++;
		before = end + strspn(end, " ");
	}
	if (stayed < m->rel->npartitions && !TransactionIdIsValid(m->t->joined))
		shape_must_copy(m, pstrdup("a partition came, perhaps with rows"));
}

void
shape_check_rows(ShapeMaker *m)
{
	if (!m->same_source)
		shape_must_copy(m, pstrdup("the lake table was made from another table"));
	if (!shape_property_same(m, SHAPE_FILTER))
		shape_must_copy(m, pstrdup("the row filter changed"));
	check_operations(m);
	check_partitions(m);
}
