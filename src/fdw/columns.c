/*-------------------------------------------------------------------------
 *
 * columns.c
 *	  A column of a foreign table bound to a field of the lake table.
 *
 * A column may have the type that the field came from, one that the field's
 * type promotes to, or, over a lake string, any type: the text then goes
 * through that type's input function.  jsonb shows whatever is nested.
 *
 * Columns are bound by name, because the foreign table is the user's and may
 * be written by hand; the table's older schemas tell of names that changed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "catalog/pg_type.h"
#include "fdw/fdw.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

Oid
fdw_noted_type(const LakeTable *table, int field_id, int32 *typmod)
{
	const char *text = iceberg_metadata_property(table->metadata, psprintf("tarn.column.%d", field_id));
	Oid			type = InvalidOid;

	if (text != NULL)
		compat_parse_type(convert_name_from_lake(text), &type, typmod);
	return type;
}

static Oid
noted_type(int field_id, void *arg)
{
	int32		typmod;

	return fdw_noted_type(arg, field_id, &typmod);
}

bool
fdw_convert_init(ColumnConvert *convert, Oid pg_type, int32 typmod, const IcebergField *field,
				 const LakeTable *table, const char *column, const char *relation,
				 MemoryContext context, char **reason)
{
	LakeType	type = field->type;
	bool		mapped;

	/* domains are kept as their base type; their checks held where the rows come from */
	pg_type = getBaseTypeAndTypmod(pg_type, &typmod);

	/* a numeric without precision shows any decimal */
	if (pg_type == NUMERICOID && typmod < (int32) VARHDRSZ && type.id == LAKE_DECIMAL)
		typmod = ((type.precision << 16) | type.scale) + VARHDRSZ;

	/* the relcache's copy may go away before the scan does */
	relation = MemoryContextStrdup(context, relation);
	*reason = NULL;
	if (pg_type == JSONBOID && field->node != NULL)
		return convert_init_json(convert, field->node, noted_type, unconstify(LakeTable *, table),
								 column, relation, context, reason);
	mapped = convert_init(convert, pg_type, typmod, column, relation, NULL, context, reason);
	if (mapped && field->node != NULL && convert->kind == CONVERT_NESTED)
		return convert_bind_node(convert, field->node, reason);
	if (mapped && convert_reads(convert, type))
		return true;

	/* the text of another engine's column, or of a type that has no mapping here */
	if (type.id == LAKE_STRING && get_typtype(pg_type) != TYPTYPE_PSEUDO)
	{
		convert_init_input(convert, pg_type, typmod, column, relation, context);
		return true;
	}

	if (mapped && convert->type.id == LAKE_INT && type.id == LAKE_LONG)
	{
		*reason = psprintf("type %s cannot hold it; declare the column as bigint",
						   format_type_with_typemod(pg_type, typmod));
		return false;
	}
	if (*reason == NULL)
		*reason = psprintf("type %s cannot show it", format_type_with_typemod(pg_type, typmod));
	return false;
}

/*
 * Does a constant of the column's type have its exact counterpart in the
 * field's?  char(n) has when we wrote the table: others do not keep blanks.
 */
static bool
column_filterable(const ColumnConvert *convert, const IcebergField *field, const LakeTable *table)
{
	LakeType	type = field->type;

	if (convert->pg_type == BPCHAROID &&
		iceberg_metadata_property(table->metadata, psprintf("tarn.column.%d", field->id)) == NULL)
		return false;
	switch (convert->kind)
	{
		case CONVERT_INT2:
		case CONVERT_INT4:
		case CONVERT_INT8:
		case CONVERT_FLOAT4:
		case CONVERT_FLOAT8:
			return true;		/* pushdown_filter.c looks at the field's type */
		case CONVERT_NUMERIC_DOUBLE:
		case CONVERT_CHAR:
		case CONVERT_MONEY:
		case CONVERT_SEND:
		case CONVERT_NESTED:
		case CONVERT_OUTPUT:
			return false;
		default:
			return lake_type_equal(convert->type, type);
	}
}

/*
 * The field of a name; or, when no field has that name now, the one that had
 * it last: a foreign table declared before a column was renamed goes on.
 * *dropped: there was one, and it is gone.
 */
static const IcebergField *
column_field(const LakeTable *table, const char *name, bool *dropped)
{
	const char *lake_name = convert_name_to_lake(name);
	const IcebergField *field = iceberg_schema_field_named(table->schema, lake_name);
	const IcebergMetadata *m = table->metadata;

	*dropped = false;
	/* schemas are in the order of their making */
	for (int i = m->nschemas - 1; field == NULL && i >= 0; i--)
	{
		const IcebergField *old = iceberg_schema_field_named(m->schemas[i], lake_name);

		if (old == NULL)
			continue;
		field = iceberg_schema_field(table->schema, old->id);
		*dropped = field == NULL;
		break;
	}
	return field;
}

/* NULL-terminated names of the table's columns, for the hint. */
static const char **
column_candidates(const LakeTable *table)
{
	const char **names = palloc0((table->schema->nfields + 1) * sizeof(char *));

	for (int i = 0; i < table->schema->nfields; i++)
		names[i] = convert_name_from_lake(table->schema->fields[i].name);
	return names;
}

static void
column_missing(Relation rel, AttrNumber attno, const char *name, const LakeTable *table, bool dropped)
{
	const char *closest = option_closest(name, column_candidates(table));

	if (dropped)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
				 errmsg("column \"%s\" of foreign table \"%s\" is not in lake table \"%s.%s\" any more",
						NameStr(TupleDescAttr(RelationGetDescr(rel), attno - 1)->attname),
						RelationGetRelationName(rel), table->namespace, table->name),
				 errhint("Run ALTER FOREIGN TABLE ... DROP COLUMN, or import the foreign table anew.")));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
			 errmsg("column \"%s\" of foreign table \"%s\" is not in lake table \"%s.%s\"",
					NameStr(TupleDescAttr(RelationGetDescr(rel), attno - 1)->attname),
					RelationGetRelationName(rel), table->namespace, table->name),
			 closest == NULL ? errdetail("The lake table has no column \"%s\".", name) :
			 errhint("Perhaps you meant the lake column \"%s\": set the option column_name.", closest)));
}

/* Sets up *c for a field that is there; false with a reason when its type does not fit. */
static bool
column_setup(FdwColumn *c, Relation rel, AttrNumber attno, const IcebergField *field,
			 const LakeTable *table, MemoryContext context, char **reason)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);

	c->attno = attno;
	c->field = field;
	if (!field->supported)
	{
		*reason = "the lake column's type is not supported";
		return false;
	}
	if (!fdw_convert_init(&c->convert, att->atttypid, att->atttypmod, field, table,
						  NameStr(att->attname), RelationGetRelationName(rel), context, reason))
		return false;
	c->filterable = column_filterable(&c->convert, field, table);
	return true;
}

void
fdw_column_bind(FdwColumn *c, Relation rel, AttrNumber attno,
				const LakeTable *table, MemoryContext context)
{
	char	   *name = fdw_column_name(rel, attno);
	bool		dropped;
	const IcebergField *field = column_field(table, name, &dropped);
	char	   *reason;

	if (field == NULL)
		column_missing(rel, attno, name, table, dropped);
	else if (!column_setup(c, rel, attno, field, table, context, &reason))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("column \"%s\" of foreign table \"%s\" cannot be read from lake column \"%s\" of type %s: %s",
						NameStr(TupleDescAttr(RelationGetDescr(rel), attno - 1)->attname),
						RelationGetRelationName(rel), name,
						field->node ? lake_node_text(field->node) :
						field->supported ? lake_type_name(field->type) : field->type_json, reason)));
}

bool
fdw_column_try(FdwColumn *c, Relation rel, AttrNumber attno,
			   const LakeTable *table, MemoryContext context)
{
	bool		dropped;
	const IcebergField *field = column_field(table, fdw_column_name(rel, attno), &dropped);
	char	   *reason;

	return field != NULL && column_setup(c, rel, attno, field, table, context, &reason);
}
