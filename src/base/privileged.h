/*-------------------------------------------------------------------------
 *
 * privileged.h
 *	  Fixed SQL on tarn's own tables, run as the extension's owner.
 *
 * Users and pipeline owners have no rights on the tables of tarn and
 * tarn_catalog; what may be done with them is decided by our C code.  Between
 * privileged_begin() and privileged_end() SPI is connected and the current
 * user is the extension's owner, under SECURITY_LOCAL_USERID_CHANGE, with
 * search_path at pg_catalog, pg_temp.  Only
 * constant SQL with parameters and schema-qualified names may run there.
 * An error needs no clean-up: the abort restores the user and ends SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_BASE_PRIVILEGED_H
#define TARN_BASE_PRIVILEGED_H

#include "postgres.h"

typedef struct PrivilegedScope
{
	Oid			user;
	int			sec_context;
	MemoryContext context;		/* the caller's: results that must outlive SPI go here */
	bool		pushed_snapshot;
	int			guc_level;
} PrivilegedScope;

extern void privileged_begin(PrivilegedScope *scope);
extern void privileged_end(PrivilegedScope *scope);

/*
 * SPI_execute_with_args, checked: raises an error unless the result code is
 * `expected` (SPI_OK_SELECT, SPI_OK_UPDATE, ...).  nulls as in SPI or NULL.
 * Returns the number of rows.
 */
extern uint64 privileged_execute(const char *sql, int nargs, Oid *types, Datum *values,
								 const char *nulls, int expected);

/* The version of the SQL that this library goes with; a further part of the number makes no difference. */
#define TARN_VERSION "1.0"

/* Fails when the extension installed here is of another version: old library, new SQL. */
extern void privileged_check_version(void);

/* Owner of extension tarn in this database; InvalidOid when it is not installed. */
extern Oid	privileged_extension_owner(void);

#endif							/* TARN_BASE_PRIVILEGED_H */
