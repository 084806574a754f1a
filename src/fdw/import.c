/*-------------------------------------------------------------------------
 *
 * import.c
 *	  IMPORT FOREIGN SCHEMA: lake tables to CREATE FOREIGN TABLE commands.
 *
 * The lake keeps less than PostgreSQL's types; the pipeline notes the type
 * each column came from in the table property "tarn.column.<field id>".  That
 * note is data of the lake: it is parsed as a type, and what goes into the
 * command is the name that this server gives to the type found.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fdw/fdw.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/*
 * The type to show a field as when nothing better is known.  A struct has no
 * type here, nor has a map: they are jsonb, which follows the fields as they
 * come, go and change their names.  A type made for the occasion would not,
 * and that of the table the field came from could not be altered any more.
 */
static Oid
import_default_type(const IcebergField *field, int32 *typmod)
{
	const LakeNode *node = field->node;
	Oid			array;

	if (node == NULL)
		return convert_default_type(field->type, typmod);
	*typmod = -1;
	if (node->kind != LAKE_NODE_LIST || node->children[0].kind != LAKE_NODE_VALUE)
		return JSONBOID;
	array = get_array_type(convert_default_type(node->children[0].type, typmod));
	return OidIsValid(array) ? array : JSONBOID;
}

/* The noted type, if it exists here and can show the field. */
static bool
import_noted_type(const LakeTable *table, const IcebergField *field, Oid *pg_type, int32 *typmod)
{
	ColumnConvert convert;
	char	   *reason;

	*pg_type = fdw_noted_type(table, field->id, typmod);
	return OidIsValid(*pg_type) &&
		fdw_convert_init(&convert, *pg_type, *typmod, field, table, field->name, table->name,
						 CurrentMemoryContext, &reason);
}

/* A name cut to what an identifier may hold. */
static char *
import_identifier(const char *name)
{
	return pnstrdup(name, pg_mbcliplen(name, strlen(name), NAMEDATALEN - 1));
}

static void
import_column(StringInfo sql, const IcebergField *field, Oid pg_type, int32 typmod, bool first)
{
	char	   *name = convert_name_from_lake(field->name);
	char	   *identifier = import_identifier(name);

	appendStringInfo(sql, "%s\n  %s %s", first ? "" : ",", quote_identifier(identifier),
					 format_type_with_typemod(pg_type, typmod));
	if (strcmp(identifier, name) != 0)
		appendStringInfo(sql, " OPTIONS (column_name %s)", quote_literal_cstr(name));
	if (field->required)
		appendStringInfoString(sql, " NOT NULL");
}

static char *
import_table(const ImportForeignSchemaStmt *stmt, const LakeTable *table)
{
	StringInfoData sql;
	bool		first = true;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (", quote_identifier(import_identifier(table->name)));
	for (int i = 0; i < table->schema->nfields; i++)
	{
		const IcebergField *field = &table->schema->fields[i];
		Oid			pg_type = InvalidOid;
		int32		typmod = -1;

		if (field->supported && !import_noted_type(table, field, &pg_type, &typmod))
			pg_type = import_default_type(field, &typmod);
		if (!OidIsValid(pg_type))
		{
			ereport(WARNING,
					(errmsg("column \"%s\" of lake table \"%s.%s\" is left out: its type is not supported",
							field->name, table->namespace, table->name)));
			continue;
		}
		import_column(&sql, field, pg_type, typmod, first);
		first = false;
	}
	appendStringInfo(&sql, "\n) SERVER %s\nOPTIONS (namespace %s, table_name %s)",
					 quote_identifier(stmt->server_name), quote_literal_cstr(table->namespace),
					 quote_literal_cstr(table->name));
	return sql.data;
}

/* The schema the statement names has no tables: say which is meant, perhaps. */
static void
import_no_namespace(Lake *lake, const char *namespace)
{
	List	   *tables = catalog_list(lake->catalog, NULL);
	const char **names = palloc0((list_length(tables) + 1) * sizeof(char *));
	const char *closest;
	int			n = 0;
	ListCell   *lc;

	foreach(lc, tables)
		names[n++] = ((CatalogTable *) lfirst(lc))->namespace;
	closest = option_closest(namespace, names);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
			 errmsg("lake \"%s\" has no tables in namespace \"%s\"", lake->name, namespace),
			 closest == NULL ? 0 : errhint("Perhaps you meant the namespace \"%s\".", closest)));
}

/* LIMIT TO names that the lake does not have are worth a word: core passes over them. */
static void
import_check_names(const ImportForeignSchemaStmt *stmt, List *tables)
{
	ListCell   *name;
	ListCell   *table;

	if (stmt->list_type != FDW_IMPORT_SCHEMA_LIMIT_TO)
		return;
	foreach(name, stmt->table_list)
	{
		const char *wanted = lfirst_node(RangeVar, name)->relname;
		bool		found = false;

		foreach(table, tables)
			found |= strcmp(wanted, import_identifier(((CatalogTable *) lfirst(table))->name)) == 0;
		if (!found)
			ereport(WARNING,
					(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
					 errmsg("table \"%s\" is not in namespace \"%s\" of the lake",
							wanted, stmt->remote_schema)));
	}
}

List *
fdw_import_schema(ImportForeignSchemaStmt *stmt, Oid server)
{
	Lake	   *lake = lake_open(server, GetUserId());
	List	   *tables = catalog_list(lake->catalog, stmt->remote_schema);
	List	   *commands = NIL;
	ListCell   *lc;

	if (stmt->options != NIL)
		lake_options_check(stmt->options, 0);
	if (tables == NIL)
		import_no_namespace(lake, stmt->remote_schema);
	import_check_names(stmt, tables);
	foreach(lc, tables)
	{
		CatalogTable *entry = lfirst(lc);
		LakeTable  *table;

		CHECK_FOR_INTERRUPTS();
		if (!IsImportableForeignTable(import_identifier(entry->name), stmt))
			continue;
		table = lake_table_load(lake, entry->namespace, entry->name, false);
		commands = lappend(commands, import_table(stmt, table));
		lake_table_free(table);
	}
	return commands;
}
