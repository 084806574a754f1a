/*-------------------------------------------------------------------------
 *
 * shape_make.c
 *	  From the description of a source table to the shape of its lake table:
 *	  what stays, what changes, what cannot be followed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupdesc_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "pipeline/keyhash.h"
#include "pipeline/registry.h"
#include "pipeline/shape.h"
#include "pipeline/shape_internal.h"

/* --- columns --- */

/* Fills one column; false with the reason when its type has no mapping. */
static bool
make_column(ShapeMaker *m, TableColumn *c, Form_pg_attribute att, bool exact, char **problem)
{
	ConvertOptions options;
	char	   *reason;

	c->attnum = att->attnum;
	c->name = pstrdup(NameStr(att->attname));
	c->lake_name = pstrdup(convert_name_to_lake(c->name));
	c->type = att->atttypid;
	c->typmod = att->atttypmod;
	c->varlena = att->attlen == -1;
	write_options_column(&m->t->write, c->name, exact, &options);
	if (convert_init(&c->convert, c->type, c->typmod, c->name, m->name, &options, CurrentMemoryContext, &reason))
	{
		c->notnull = att->attnotnull && !convert_makes_nulls(&c->convert);
		if (convert_node(&c->convert) != NULL)
			c->node = lake_node_copy(convert_node(&c->convert));
		return true;
	}
	*problem = psprintf("column \"%s\" of table %s cannot be mirrored: %s", c->name, m->name, reason);
	return false;
}

/* Is the attribute mirrored?  In the past of a publication's column list: as the lake says. */
static bool
is_mirrored(const ShapeMaker *m, int i)
{
	if (m->view != SHAPE_PAST)
		return m->rel->published[i];
	for (int k = 0; k < m->before->schema->nfields; k++)
	{
		const char *attribute = shape_property(m->before, psprintf("%s%d", SHAPE_ATTRIBUTE_PREFIX,
																   m->before->schema->fields[k].id));

		if (attribute && atoi(attribute) == i + 1)
			return true;
	}
	return false;
}

static bool
make_columns(ShapeMaker *m, char **problem)
{
	const DecodeRelation *rel = m->rel;
	ShapeColumns *out = m->out;
	LakeType   *key_types;

	out->columns = palloc0(sizeof(TableColumn) * Max(rel->desc->natts, 1));
	out->keys = palloc0(sizeof(int) * Max(rel->desc->natts, 1));
	for (int i = 0; i < rel->desc->natts; i++)
	{
		bool		key = rel->has_key && rel->key[i];

		/* with FULL, rows that are the same in the lake may stand for each other */
		bool		exact = key && rel->replica_identity != REPLICA_IDENTITY_FULL;

		if (!is_mirrored(m, i))
			continue;
		if (!make_column(m, &out->columns[out->ncolumns], TupleDescAttr(rel->desc, i), exact, problem))
			return false;
		if (key)
			out->keys[out->nkeys++] = out->ncolumns;
		out->ncolumns++;
	}
	if (out->ncolumns == 0)
	{
		*problem = psprintf("table %s has no columns to mirror", m->name);
		return false;
	}
	out->replica_identity = rel->replica_identity;
	key_types = palloc(sizeof(LakeType) * Max(out->nkeys, 1));
	for (int k = 0; k < out->nkeys; k++)
		key_types[k] = out->columns[out->keys[k]].convert.type;

	/* a null beside all values of 64 bits is one value too many for a narrow key */
	out->wide_key = keyhash_is_wide(key_types, out->nkeys) ||
		(out->nkeys == 1 && !out->columns[out->keys[0]].notnull);
	return true;
}

/* --- fields --- */

/* The field that had the column's values so far, or NULL. */
static const IcebergField *
field_before(const ShapeMaker *m, const TableColumn *c)
{
	const IcebergSchema *schema = m->before->schema;

	for (int i = 0; i < schema->nfields; i++)
	{
		const IcebergField *f = &schema->fields[i];
		const char *attribute = m->same_source ?
			shape_field_property(m->before, SHAPE_ATTRIBUTE_PREFIX, f->id) : NULL;

		if (attribute ? atoi(attribute) == c->attnum : strcmp(f->name, c->lake_name) == 0)
			return f;
	}
	return NULL;
}

static bool
is_number(LakeType type)
{
	return type.id == LAKE_INT || type.id == LAKE_LONG || type.id == LAKE_FLOAT ||
		type.id == LAKE_DOUBLE || type.id == LAKE_DECIMAL;
}

static bool
is_plain_text(Oid type)
{
	return type == TEXTOID || type == VARCHAROID;
}

/*
 * The type that a field's values had, without domains; InvalidOid when there
 * is none such any more.  By its oid, where that is noted: names change.
 */
static Oid
old_base_type(const ShapeMaker *m, const IcebergField *f, const char *noted)
{
	const char *oid = m->same_source ? shape_field_property(m->before, SHAPE_TYPE_PREFIX, f->id) : NULL;
	Oid			type = InvalidOid;
	int32		typmod;

	if (oid != NULL)
		type = (Oid) strtoul(oid, NULL, 10);
	else
		compat_parse_type(convert_name_from_lake(noted), &type, &typmod);
	if (!SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(type)))
		return InvalidOid;
	return getBaseType(type);
}

/*
 * Do the values that the lake has of a field stand for the same values in
 * the column's type now?  Types that promote are not enough: an ALTER TYPE
 * may compute (oid from int, text from char(n)), and says so by rewriting.
 */
static bool
values_kept(const ShapeMaker *m, const IcebergField *f, const TableColumn *c)
{
	const char *noted = shape_field_property(m->before, SHAPE_COLUMN_PREFIX, f->id);
	Oid			old_type;
	Oid			new_type = getBaseType(c->type);

	if (!f->supported || !lake_type_promotes(f->type, c->convert.type))
		return false;
	if (noted == NULL)
		return !m->same_source;
	if (strcmp(noted, convert_name_to_lake(convert_type_text(c->type, c->typmod))) == 0)
		return true;
	if (m->view == SHAPE_REWRITTEN)
		return is_number(f->type);
	old_type = old_base_type(m, f, noted);
	return old_type == new_type || (is_plain_text(old_type) && is_plain_text(new_type));
}

/* The same for what a nested column consists of, which gets its ids by it. */
static bool
parts_kept(ShapeMaker *m, const IcebergField *f, const TableColumn *c)
{
	bool		key = false;

	for (int k = 0; k < m->out->nkeys; k++)
		key |= &m->out->columns[m->out->keys[k]] == c;
	/* keys are compared by the bytes that their parts make */
	return c->node == NULL ||
		shape_follow_node(m->before, m->same_source, m->view == SHAPE_COPYING, c->node, f->node, key,
						  &m->out->last_field_id);
}

/* Do tuples that end before the attribute have a value for it? */
static bool
has_missing_value(TupleDesc desc, AttrNumber attnum)
{
	return attnum > 0 && desc->constr && desc->constr->missing && desc->constr->missing[attnum - 1].am_present;
}

/* A partitioned table has no rows, and so no value for those that are missing one: its partitions have. */
static bool
partitions_have_missing_value(const DecodeRelation *rel, const char *name)
{
	bool		found = false;

	for (int i = 0; i < rel->npartitions && !found; i++)
	{
		Relation	leaf = RelationIdGetRelation(rel->partitions[i]);

		if (!RelationIsValid(leaf))
			continue;
		found = has_missing_value(RelationGetDescr(leaf), get_attnum(RelationGetRelid(leaf), name));
		RelationClose(leaf);
	}
	return found;
}

/* May there be rows without a value of the new column that is null? */
static bool
default_missing(const ShapeMaker *m, const TableColumn *c)
{
	TupleDesc	desc = m->rel->desc;

	if (has_missing_value(desc, c->attnum) || partitions_have_missing_value(m->rel, c->name))
		return true;
	if (!TupleDescAttr(desc, c->attnum - 1)->attnotnull)
		return false;
	return m->t->batch != NULL || m->t->lake == NULL || lake_table_rows(m->t->lake) != 0;
}

/* A column that the lake has no field for: can its values in the rows that are there be told? */
static void
check_new_column(ShapeMaker *m, const TableColumn *c)
{
	const char *natts = m->same_source ? shape_property(m->before, SHAPE_ATTRIBUTES) : NULL;

	if (natts == NULL || c->attnum <= atoi(natts))
		shape_must_copy(m, psprintf("column \"%s\" is mirrored now and was not before", c->name));
	else if (default_missing(m, c))
		shape_must_copy(m, psprintf("column \"%s\" was added with a value for the rows that were there", c->name));
}

static void
type_changed(ShapeMaker *m, const IcebergField *f, const TableColumn *c)
{
	const char *noted = shape_field_property(m->before, SHAPE_COLUMN_PREFIX, f->id);

	const char *now = convert_type_text(c->type, c->typmod);

	if (noted && strcmp(noted, now) == 0)
		shape_must_copy(m, psprintf("the type %s of column \"%s\" changed", now, c->name));
	else
		shape_must_copy(m, psprintf("column \"%s\" changed its type from %s to %s", c->name,
							  noted ? noted : lake_type_name(f->type), now));
}

/* New ids for what a column consists of. */
static void
number_node(ShapeColumns *out, TableColumn *c)
{
	int			next = out->last_field_id + 1;

	if (c->node == NULL)
		return;
	lake_node_number(c->node, &next);
	out->last_field_id = next - 1;
}

/* Field ids and nullability.  In a new table the id of a field is its attribute's number. */
static void
assign_fields(ShapeMaker *m, bool *required)
{
	ShapeColumns *out = m->out;

	if (m->before == NULL)
		out->last_field_id = m->rel->desc->natts;
	for (int i = 0; i < out->ncolumns; i++)
	{
		TableColumn *c = &out->columns[i];
		const IcebergField *f = m->before ? field_before(m, c) : NULL;

		if (m->before == NULL)
		{
			c->field_id = c->attnum;
			required[i] = c->notnull;
			number_node(out, c);
			continue;
		}
		if (f && values_kept(m, f, c) && parts_kept(m, f, c))
		{
			/* nulls in older files and snapshots stay: optional never becomes required again */
			c->field_id = f->id;
			required[i] = f->required && c->notnull;
			continue;
		}
		c->field_id = ++out->last_field_id;
		number_node(out, c);
		if (f == NULL)
			check_new_column(m, c);
		else
			type_changed(m, f, c);
	}
}

/* May the key serve as identifier fields?  (Iceberg: required, and no floats.) */
static bool
identifier_valid(const ShapeColumns *out, const bool *required)
{
	if (out->replica_identity == REPLICA_IDENTITY_FULL)
		return false;
	for (int k = 0; k < out->nkeys; k++)
	{
		const TableColumn *c = &out->columns[out->keys[k]];
		LakeTypeId	type = c->convert.type.id;

		if (!required[out->keys[k]] || c->node != NULL || type == LAKE_FLOAT || type == LAKE_DOUBLE)
			return false;
	}
	return out->nkeys > 0;
}

static void
make_schema(ShapeMaker *m, const bool *required)
{
	ShapeColumns *out = m->out;
	IcebergSchema *schema = palloc0(sizeof(IcebergSchema));

	schema->nfields = out->ncolumns;
	schema->fields = palloc0(sizeof(IcebergField) * out->ncolumns);
	out->parquet = palloc0(sizeof(ParquetColumn) * out->ncolumns);
	for (int i = 0; i < out->ncolumns; i++)
	{
		const TableColumn *c = &out->columns[i];
		IcebergField *f = &schema->fields[i];

		f->id = c->field_id;
		f->name = c->lake_name;
		f->type = c->convert.type;
		f->required = required[i];
		f->supported = true;
		f->node = c->node;
		out->parquet[i].name = c->lake_name;
		out->parquet[i].field_id = c->field_id;
		out->parquet[i].type = c->convert.type;
		out->parquet[i].required = required[i];
		out->parquet[i].encoding = m->t->write.encoding;
		out->parquet[i].node = c->node;
	}
	if (identifier_valid(out, required))
	{
		schema->nidentifiers = out->nkeys;
		schema->identifiers = palloc(sizeof(int) * out->nkeys);
		for (int k = 0; k < out->nkeys; k++)
			schema->identifiers[k] = out->columns[out->keys[k]].field_id;
	}
	out->shape->schema = schema;
}

static ShapeChange
make(ShapeMaker *m, const Pipeline *p, char **reason)
{
	ShapeColumns *out = m->out;
	bool	   *required;

	if (m->rel->error)
	{
		*reason = m->rel->error;
		return SHAPE_PROBLEM;
	}
	if (!make_columns(m, reason))
		return SHAPE_PROBLEM;
	required = palloc0(sizeof(bool) * out->ncolumns);
	assign_fields(m, required);
	make_schema(m, required);
	if (m->view == SHAPE_PAST)
	{
		/* what the lake has is what holds */
		for (int i = 0; i < m->before->nproperties; i++)
			shape_set_property(out->shape, m->before->properties[i].key, m->before->properties[i].value);
		return SHAPE_SAME;
	}
	shape_note(m, p);
	if (m->before == NULL)
		return SHAPE_EVOLVES;
	out->rekeyed = !shape_property_same(m, SHAPE_KEY);
	shape_check_rows(m);
	if (m->copy && m->view != SHAPE_COPYING)
	{
		*reason = m->copy;
		return SHAPE_COPY;
	}
	return shape_equal(m->before, out->shape) ? SHAPE_SAME : SHAPE_EVOLVES;
}

ShapeChange
shape_make(Pipeline *p, PipelineTable *t, const DecodeRelation *rel, const TableShape *before,
		   ShapeView view, ShapeColumns *out, char **reason)
{
	MemoryContext context = AllocSetContextCreate(t->context, "tarn table shape", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ShapeMaker	m = {.t = t,.rel = rel,.before = before,.view = view,.out = out};
	ShapeChange change;

	memset(out, 0, sizeof(*out));
	out->shape = palloc0(sizeof(TableShape));
	out->shape->context = context;
	out->last_field_id = t->last_field_id;
	m.name = quote_qualified_identifier(rel->schema, rel->table);
	if (before)
	{
		const char *id = shape_property(before, SHAPE_SOURCE_ID);

		out->shape->lsn = before->lsn;
		m.same_source = id && strcmp(id, shape_source_id(p, t)) == 0;
	}
	change = make(&m, p, reason);
	MemoryContextSwitchTo(old);
	if (change == SHAPE_COPY || change == SHAPE_PROBLEM)
	{
		*reason = pstrdup(*reason);
		MemoryContextDelete(context);
	}
	return change;
}
