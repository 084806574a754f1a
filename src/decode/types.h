/*-------------------------------------------------------------------------
 *
 * types.h
 *	  User-defined types that the values of a column consist of.
 *
 * A composite type or an enum may change while the descriptor of the table
 * that uses it stays as it is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_DECODE_TYPES_H
#define TARN_DECODE_TYPES_H

#include "postgres.h"

/* typtype: TYPTYPE_COMPOSITE or TYPTYPE_ENUM; bound: of a range's bounds */
typedef void (*TypeVisit) (Oid type, char typtype, bool bound, void *arg);

/*
 * Calls `visit` for each composite type and each enum below `type`, itself
 * included, as often as it is there, in an order that stays as long as they
 * do.  Current or historic catalogs.
 */
extern void types_visit(Oid type, TypeVisit visit, void *arg);

#endif							/* TARN_DECODE_TYPES_H */
