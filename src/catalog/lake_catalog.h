/*-------------------------------------------------------------------------
 *
 * lake_catalog.h
 *	  Catalog: which metadata file is a table's current one.
 *
 * The contract of every kind of catalog.  `postgres` is the embedded one:
 * the Iceberg SQL catalog (schema version V1, see iceberg's JdbcUtil) in
 * schema tarn_catalog of this database, so that a commit of many tables is
 * one PostgreSQL transaction together with whatever else it does.
 *
 * All calls are made inside a transaction.  load and list of the embedded
 * catalog use the active snapshot (invariant I9) and work in parallel
 * workers; its writes happen as the extension's owner, so the caller needs
 * no rights on tarn_catalog.
 *
 * Not called catalog.h: src/ is on the include path before the server's
 * headers, which have a catalog/catalog.h of their own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_CATALOG_LAKE_CATALOG_H
#define TARN_CATALOG_LAKE_CATALOG_H

#include "postgres.h"

#include "nodes/pg_list.h"

typedef struct CatalogTable
{
	char	   *namespace;
	char	   *name;
	char	   *metadata_location;
} CatalogTable;

/* One table of a commit: compare-and-swap from `expected` to `location`. */
typedef struct CatalogChange
{
	const char *namespace;
	const char *name;
	const char *expected;		/* NULL: create; the table must not exist */
	const char *location;
} CatalogChange;

typedef struct Catalog Catalog;

typedef struct CatalogOps
{
	const char *name;			/* value of the server option "catalog" */
	char	   *(*load) (Catalog *c, const char *namespace, const char *table);
	List	   *(*list) (Catalog *c, const char *namespace);
	void		(*commit) (Catalog *c, const CatalogChange *changes, int n);
	void		(*drop) (Catalog *c, const char *namespace, const char *table);
	void		(*rename) (Catalog *c, const char *namespace, const char *table,
						   const char *new_namespace, const char *new_table);
} CatalogOps;

struct Catalog
{
	const CatalogOps *ops;
	char	   *catalog_name;	/* key of the rows; default: the server's name */
};

/* The embedded catalog. */
extern Catalog *catalog_postgres_open(const char *catalog_name);

/* Current metadata location, or NULL when there is no such table. */
extern char *catalog_load(Catalog *c, const char *namespace, const char *table);

/* CatalogTables of a namespace (of all when NULL), ordered by name. */
extern List *catalog_list(Catalog *c, const char *namespace);

/*
 * All or nothing; creates namespaces that are missing.
 * ERRCODE_T_R_SERIALIZATION_FAILURE when a table moved on meanwhile,
 * ERRCODE_DUPLICATE_TABLE when one to create exists.
 */
extern void catalog_commit(Catalog *c, const CatalogChange *changes, int n);
extern void catalog_drop(Catalog *c, const char *namespace, const char *table);
extern void catalog_rename(Catalog *c, const char *namespace, const char *table,
						   const char *new_namespace, const char *new_table);

#endif							/* TARN_CATALOG_LAKE_CATALOG_H */
