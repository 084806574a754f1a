/*-------------------------------------------------------------------------
 *
 * wire_value.h
 *	  Values as JSON: how one column is written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_DECODE_WIRE_VALUE_H
#define TARN_DECODE_WIRE_VALUE_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "fmgr.h"
#include "lib/stringinfo.h"

typedef struct WireColumn WireColumn;

/* Appends a non-null value, detoasted (a short header may be left). */
typedef void (*wire_value_fn) (StringInfo out, const WireColumn *column, Datum value);

struct WireColumn
{
	char	   *name;			/* the attribute's own */
	Oid			type;			/* base type of a domain */
	bool		varlena;
	wire_value_fn write;
	FmgrInfo	output;			/* for types without a form of their own */
};

/* Looks into the catalogs; function state goes to the current context. */
extern void wire_column_init(WireColumn *column, Form_pg_attribute att);

#endif							/* TARN_DECODE_WIRE_VALUE_H */
