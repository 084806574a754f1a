/*-------------------------------------------------------------------------
 *
 * catalog_names.h
 *	  The closest name of a system catalog, for hints about names that do not
 *	  exist.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_BASE_CATALOG_NAMES_H
#define TARN_BASE_CATALOG_NAMES_H

#include "postgres.h"

#include "access/skey.h"

/*
 * The name closest to `name` (as option_closest) in column `attnum` of type
 * name, among the catalog's rows that the keys find; NULL when none is close.
 * Works in a transaction, under a historic snapshot as well.
 */
extern const char *catalog_closest_name(Oid catalog, AttrNumber attnum, int nkeys, ScanKey keys, const char *name);

#endif							/* TARN_BASE_CATALOG_NAMES_H */
