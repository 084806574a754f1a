/*-------------------------------------------------------------------------
 *
 * lake_catalog.c
 *	  The calls of a catalog, passed on to its kind.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/lake_catalog.h"

char *
catalog_load(Catalog *c, const char *namespace, const char *table)
{
	return c->ops->load(c, namespace, table);
}

List *
catalog_list(Catalog *c, const char *namespace)
{
	return c->ops->list(c, namespace);
}

void
catalog_commit(Catalog *c, const CatalogChange *changes, int n)
{
	c->ops->commit(c, changes, n);
}

void
catalog_drop(Catalog *c, const char *namespace, const char *table)
{
	c->ops->drop(c, namespace, table);
}

void
catalog_rename(Catalog *c, const char *namespace, const char *table,
			   const char *new_namespace, const char *new_table)
{
	c->ops->rename(c, namespace, table, new_namespace, new_table);
}
