/*-------------------------------------------------------------------------
 *
 * options.c
 *	  What the options of a foreign table and its columns say.
 *
 * Names were checked by the validator when they were set.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "fdw/fdw.h"
#include "foreign/foreign.h"
#include "utils/lsyscache.h"

char *
fdw_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

void
fdw_table_names(Oid relid, FdwNames *names)
{
	ForeignTable *table = GetForeignTable(relid);

	names->server = table->serverid;
	names->namespace = fdw_option(table->options, "namespace");
	names->table = fdw_option(table->options, "table_name");
	if (names->namespace == NULL)
		names->namespace = get_namespace_name(get_rel_namespace(relid));
	if (names->table == NULL)
		names->table = get_rel_name(relid);
}

char *
fdw_column_name(Relation rel, AttrNumber attno)
{
	char	   *name = fdw_option(GetForeignColumnOptions(RelationGetRelid(rel), attno), "column_name");

	if (name == NULL)
		name = NameStr(TupleDescAttr(RelationGetDescr(rel), attno - 1)->attname);
	return name;
}
