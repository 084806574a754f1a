/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between the PostgreSQL versions tarn builds on (15 to 18).
 *
 * This is the only header with conditions on PG_VERSION_NUM.  A file that
 * needs one of these names includes this header instead of testing the version.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_BASE_COMPAT_H
#define TARN_BASE_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "tarn needs PostgreSQL 15 or later"
#endif

/* 18 spells it pg_noreturn, and in front of the declaration. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn __attribute__((noreturn))
#endif

#endif							/* TARN_BASE_COMPAT_H */
