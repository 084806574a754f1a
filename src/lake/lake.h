/*-------------------------------------------------------------------------
 *
 * lake.h
 *	  Lake: a foreign server of the wrapper tarn, opened: its store and its
 *	  catalog.
 *
 * Opened once per process and server and kept; an invalidation of the server
 * or user mapping makes the next lake_open build it anew.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_LAKE_LAKE_H
#define TARN_LAKE_LAKE_H

#include "postgres.h"

#include "base/options.h"
#include "catalog/lake_catalog.h"
#include "store/store.h"

typedef struct Lake
{
	Oid			server;			/* pg_foreign_server */
	Oid			user;			/* whose mapping was used */
	char	   *name;
	char	   *warehouse;		/* URI without a slash at the end */
	Store	   *store;
	Catalog    *catalog;
} Lake;

/* Places an option may stand, for OptionSpec.where. */
#define LAKE_OPTION_SERVER 1
#define LAKE_OPTION_USER 2
#define LAKE_OPTION_TABLE 4
#define LAKE_OPTION_COLUMN 8

/* Every option of server, user mapping, foreign table and column. */
extern const OptionSpec lake_options[];

/* Checks the options of one object (List of DefElem) as the wrapper's validator: unknown, duplicate, bad value. */
extern void lake_options_check(List *options, int where);

/* `user` decides which user mapping is read.  The caller has checked USAGE. */
extern Lake *lake_open(Oid server, Oid user);

/* Is it a server of our wrapper?  ERRCODE_UNDEFINED_OBJECT (no such server) or ERRCODE_WRONG_OBJECT_TYPE. */
extern Oid	lake_server_oid(const char *name);

#endif							/* TARN_LAKE_LAKE_H */
