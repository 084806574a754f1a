/*-------------------------------------------------------------------------
 *
 * convert.c
 *	  PostgreSQL values into ColumnVectors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "base/utf8.h"
#include "catalog/pg_type.h"
#include "column/convert_internal.h"
#include "utils/builtins.h"
#include "utils/cash.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

struct varlena *
convert_varlena(Datum value, MemoryContext scratch)
{
	struct varlena *p = (struct varlena *) DatumGetPointer(value);

	/* logical decoding hands over what it put together from TOAST this way */
	if (VARATT_IS_EXTERNAL_INDIRECT(p))
	{
		struct varatt_indirect redirect;

		VARATT_EXTERNAL_GET_POINTER(redirect, p);
		p = redirect.pointer;
	}
	if (unlikely(VARATT_IS_EXTENDED(p) && !VARATT_IS_SHORT(p)))
	{
		MemoryContext old = MemoryContextSwitchTo(scratch);

		p = detoast_attr(p);
		MemoryContextSwitchTo(old);
	}
	return p;
}

/* The usual values, without a call. */
static inline struct varlena *
plain_varlena(Datum value, MemoryContext scratch)
{
	struct varlena *p = (struct varlena *) DatumGetPointer(value);

	if (likely(!VARATT_IS_EXTENDED(p) || (VARATT_IS_SHORT(p) && !VARATT_IS_EXTERNAL(p))))
		return p;
	return convert_varlena(value, scratch);
}

/* The largest decimal of the column's type, or the least. */
static void
decimal_limit(const ColumnConvert *c, ColumnVector *v, bool negative, LakeValue *limit)
{
	int128		power = 1;

	for (int i = 0; i < c->type.precision; i++)
		power *= 10;
	power -= 1;
	memset(limit, 0, sizeof(*limit));
	if (v->layout == LAYOUT_INT64)
		limit->u.i64 = (int64) (negative ? -power : power);
	else
		limit->u.i128 = negative ? -power : power;
}

static DecimalResult
numeric_to_value(const ColumnConvert *c, const ColumnVector *v, struct varlena *p, LakeValue *value)
{
	memset(value, 0, sizeof(*value));
	if (v->layout == LAYOUT_INT64)
		return numeric_to_decimal64(VARDATA_ANY(p), VARSIZE_ANY_EXHDR(p),
									c->type.precision, c->type.scale, &value->u.i64);
	return numeric_to_decimal128(VARDATA_ANY(p), VARSIZE_ANY_EXHDR(p),
								 c->type.precision, c->type.scale, &value->u.i128);
}

/* A numeric that is no decimal of the column's type: rounded, or the limit on its side; NaN is near nothing. */
static pg_noinline void
append_numeric_unfit(const ColumnConvert *c, ColumnVector *v, struct varlena *p, DecimalResult result,
					 MemoryContext scratch)
{
	MemoryContext old = MemoryContextSwitchTo(scratch);
	Datum		value = PointerGetDatum(p);
	const char *why = result == DECIMAL_SPECIAL ? "it is not a finite number" :
		result == DECIMAL_INEXACT ? "it has more digits after the point" :
		"it has more digits";
	LakeValue	nearest;
	bool		near = c->policy == CONVERT_CLAMP && !numeric_is_nan(DatumGetNumeric(value));

	if (near)
	{
		Datum		zero = DirectFunctionCall1(int4_numeric, Int32GetDatum(0));

		decimal_limit(c, v, DatumGetBool(DirectFunctionCall2(numeric_lt, value, zero)), &nearest);
		if (result == DECIMAL_INEXACT)
		{
			Datum		rounded = DirectFunctionCall2(numeric_round, value, Int32GetDatum(c->type.scale));
			LakeValue	fits;

			if (numeric_to_value(c, v, (struct varlena *) DatumGetPointer(rounded), &fits) == DECIMAL_OK)
				nearest = fits;
		}
	}
	MemoryContextSwitchTo(old);
	convert_append_unfit(c, v, value, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, why, near ? &nearest : NULL);
}

static pg_noinline void
append_numeric(const ColumnConvert *c, ColumnVector *v, Datum value, MemoryContext scratch)
{
	struct varlena *p = plain_varlena(value, scratch);
	DecimalResult result;

	if (v->layout == LAYOUT_INT64)
	{
		int64		decimal;

		result = numeric_to_decimal64(VARDATA_ANY(p), VARSIZE_ANY_EXHDR(p),
									  c->type.precision, c->type.scale, &decimal);
		if (likely(result == DECIMAL_OK))
		{
			column_append_int64(v, decimal);
			return;
		}
	}
	else
	{
		int128		decimal;

		result = numeric_to_decimal128(VARDATA_ANY(p), VARSIZE_ANY_EXHDR(p),
									   c->type.precision, c->type.scale, &decimal);
		if (likely(result == DECIMAL_OK))
		{
			column_append_int128(v, decimal);
			return;
		}
	}
	append_numeric_unfit(c, v, p, result, scratch);
}

/* By the user's wish, with the precision of a double. */
static pg_noinline void
append_numeric_double(const ColumnConvert *c, ColumnVector *v, Datum value, MemoryContext scratch)
{
	MemoryContext old = MemoryContextSwitchTo(scratch);
	Datum		number = PointerGetDatum(convert_varlena(value, scratch));

	column_append_double(v, DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, number)));
	MemoryContextSwitchTo(old);
}

/* A date or time that is none in the lake; `nearest` in the unit of the column. */
static pg_noinline void
append_time_unfit(const ColumnConvert *c, ColumnVector *v, Datum value, const char *why, int64 nearest)
{
	LakeValue	limit;

	memset(&limit, 0, sizeof(limit));
	limit.u.i64 = nearest;
	convert_append_unfit(c, v, value, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, why, &limit);
}

static void
append_date(const ColumnConvert *c, ColumnVector *v, Datum value)
{
	DateADT		date = DatumGetDateADT(value);

	if (unlikely(DATE_NOT_FINITE(date)))
		append_time_unfit(c, v, value, "it is infinite",
						  DATE_IS_NOBEGIN(date) ? CLAMP_FIRST_DAY : CLAMP_LAST_DAY);
	else
		/* the last date of PostgreSQL is far enough from the limit */
		column_append_int32(v, date + EPOCH_DAYS);
}

static void
append_time(const ColumnConvert *c, ColumnVector *v, Datum value)
{
	TimeADT		time = DatumGetTimeADT(value);

	if (unlikely(time < 0 || time >= USECS_PER_DAY))
		append_time_unfit(c, v, value, "it is past the end of the day", USECS_PER_DAY - 1);
	else
		column_append_int64(v, time);
}

static void
append_timestamp(const ColumnConvert *c, ColumnVector *v, Datum value)
{
	Timestamp	timestamp = DatumGetTimestamp(value);
	int64		micros;

	if (unlikely(TIMESTAMP_NOT_FINITE(timestamp)))
		append_time_unfit(c, v, value, "it is infinite",
						  TIMESTAMP_IS_NOBEGIN(timestamp) ? CLAMP_FIRST_DAY * USECS_PER_DAY :
						  (CLAMP_LAST_DAY + 1) * USECS_PER_DAY - 1);
	else if (unlikely(__builtin_add_overflow(timestamp, EPOCH_MICROS, &micros)))
		append_time_unfit(c, v, value, "microseconds since 1970 exceed 64 bits", PG_INT64_MAX);
	else
		column_append_int64(v, micros);
}

/* Text of the database as UTF-8; ASCII is both. */
static void
append_text(const ColumnConvert *c, ColumnVector *v, Datum value, const char *data, size_t size,
			MemoryContext scratch)
{
	if (unlikely(OidIsValid(c->to_utf8)) && !utf8_is_ascii(data, size))
		convert_append_transcoded(c, v, value, data, size, scratch);
	else
		column_append_bytes(v, data, (uint32) size);
}

static pg_noinline void
append_varlena_text(const ColumnConvert *c, ColumnVector *v, Datum value, MemoryContext scratch)
{
	struct varlena *p = plain_varlena(value, scratch);

	append_text(c, v, PointerGetDatum(p), VARDATA_ANY(p), VARSIZE_ANY_EXHDR(p), scratch);
}

static pg_noinline void
append_name(const ColumnConvert *c, ColumnVector *v, Datum value, MemoryContext scratch)
{
	const char *name = NameStr(*DatumGetName(value));

	append_text(c, v, value, name, strnlen(name, NAMEDATALEN), scratch);
}

/* As PostgreSQL 16 writes it; older ones write bytes that are no text. */
static pg_noinline void
append_char(ColumnVector *v, Datum value)
{
	uint8		byte = (uint8) DatumGetChar(value);
	char		text[8];

	if (byte < 0x80)
	{
		column_append_bytes(v, &byte, byte != 0);
		return;
	}
	snprintf(text, sizeof(text), "\\%03o", byte);
	column_append_bytes(v, text, 4);
}

static pg_noinline void
append_money(ColumnVector *v, Datum value)
{
	int64		money = DatumGetCash(value);
	uint64		magnitude = money < 0 ? -(uint64) money : (uint64) money;
	char		text[32];
	int			size;

	size = snprintf(text, sizeof(text), "%s" UINT64_FORMAT ".%02d", money < 0 ? "-" : "",
					magnitude / MONEY_UNITS, (int) (magnitude % MONEY_UNITS));
	column_append_bytes(v, text, (uint32) size);
}

static pg_noinline void
append_send(const ColumnConvert *c, ColumnVector *v, Datum value, MemoryContext scratch)
{
	MemoryContext old = MemoryContextSwitchTo(scratch);
	bytea	   *data = SendFunctionCall(unconstify(FmgrInfo *, &c->send), value);

	column_append_bytes(v, VARDATA_ANY(data), (uint32) VARSIZE_ANY_EXHDR(data));
	MemoryContextSwitchTo(old);
}

static pg_noinline void
append_output(const ColumnConvert *c, ColumnVector *v, Datum value, MemoryContext scratch)
{
	MemoryContext old = MemoryContextSwitchTo(scratch);
	char	   *text = OutputFunctionCall(unconstify(FmgrInfo *, &c->output), value);

	append_text(c, v, value, text, strlen(text), scratch);
	MemoryContextSwitchTo(old);
}

/*
 * What is more than a store is kept out of line: saving registers for it
 * would cost the plain kinds more than their work.
 */
void
convert_append(const ColumnConvert *c, ColumnVector *v, Datum value, MemoryContext scratch)
{
	switch (c->kind)
	{
		case CONVERT_BOOL:
			column_append_bool(v, DatumGetBool(value));
			break;
		case CONVERT_INT2:
			column_append_int32(v, DatumGetInt16(value));
			break;
		case CONVERT_INT4:
			column_append_int32(v, DatumGetInt32(value));
			break;
		case CONVERT_INT8:
			column_append_int64(v, DatumGetInt64(value));
			break;
		case CONVERT_FLOAT4:
			column_append_float(v, DatumGetFloat4(value));
			break;
		case CONVERT_FLOAT8:
			column_append_double(v, DatumGetFloat8(value));
			break;
		case CONVERT_DATE:
			append_date(c, v, value);
			break;
		case CONVERT_TIME:
			append_time(c, v, value);
			break;
		case CONVERT_TIMESTAMP:
			append_timestamp(c, v, value);
			break;
		case CONVERT_NUMERIC:
			append_numeric(c, v, value, scratch);
			break;
		case CONVERT_NUMERIC_DOUBLE:
			append_numeric_double(c, v, value, scratch);
			break;
		case CONVERT_TEXT:
			append_varlena_text(c, v, value, scratch);
			break;
		case CONVERT_NAME:
			append_name(c, v, value, scratch);
			break;
		case CONVERT_UUID:
			column_append_fixed(v, DatumGetUUIDP(value)->data);
			break;
		case CONVERT_OID:
			column_append_int64(v, (int64) DatumGetObjectId(value));
			break;
		case CONVERT_CHAR:
			append_char(v, value);
			break;
		case CONVERT_MONEY:
			append_money(v, value);
			break;
		case CONVERT_SEND:
			append_send(c, v, value, scratch);
			break;
		case CONVERT_NESTED:
			convert_nested_append(c, v, value, scratch);
			break;
		case CONVERT_OUTPUT:
			append_output(c, v, value, scratch);
			break;
	}
}

static bool
constant_numeric(const ColumnConvert *c, Datum value, LakeValue *out)
{
	struct varlena *p = convert_varlena(value, CurrentMemoryContext);

	if (lake_type_layout(c->type) == LAYOUT_INT64)
		return numeric_to_decimal64(VARDATA_ANY(p), VARSIZE_ANY_EXHDR(p), c->type.precision,
									c->type.scale, &out->u.i64) == DECIMAL_OK;
	return numeric_to_decimal128(VARDATA_ANY(p), VARSIZE_ANY_EXHDR(p), c->type.precision,
								 c->type.scale, &out->u.i128) == DECIMAL_OK;
}

static bool
constant_bytes(const char *data, size_t size, LakeValue *out)
{
	out->u.bytes.data = data;
	out->u.bytes.size = (uint32) size;
	return true;
}

bool
convert_constant(const ColumnConvert *c, Datum value, LakeValue *out)
{
	struct varlena *p;

	memset(out, 0, sizeof(*out));
	switch (c->kind)
	{
		case CONVERT_BOOL:
			out->u.i64 = DatumGetBool(value);
			return true;
		case CONVERT_INT2:
			out->u.i64 = DatumGetInt16(value);
			return true;
		case CONVERT_INT4:
			out->u.i64 = DatumGetInt32(value);
			return true;
		case CONVERT_INT8:
			out->u.i64 = DatumGetInt64(value);
			return true;
		case CONVERT_FLOAT4:
			out->u.f64 = DatumGetFloat4(value);
			return true;
		case CONVERT_FLOAT8:
			out->u.f64 = DatumGetFloat8(value);
			return true;
		case CONVERT_DATE:
			out->u.i64 = (int64) DatumGetDateADT(value) + EPOCH_DAYS;
			return !DATE_NOT_FINITE(DatumGetDateADT(value));
		case CONVERT_TIME:
			out->u.i64 = DatumGetTimeADT(value);
			return true;
		case CONVERT_TIMESTAMP:
			return !TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)) &&
				!__builtin_add_overflow(DatumGetTimestamp(value), EPOCH_MICROS, &out->u.i64);
		case CONVERT_NUMERIC:
			return constant_numeric(c, value, out);
		case CONVERT_TEXT:
			/* in another encoding the bytes would be others */
			if (OidIsValid(c->to_utf8))
				return false;
			/* char(n) compares without its trailing blanks, which bytes do not */
			if (c->pg_type == BPCHAROID)
				return false;
			p = convert_varlena(value, CurrentMemoryContext);
			return constant_bytes(VARDATA_ANY(p), VARSIZE_ANY_EXHDR(p), out);
		case CONVERT_NAME:
			return constant_bytes(NameStr(*DatumGetName(value)), strlen(NameStr(*DatumGetName(value))), out);
		case CONVERT_UUID:
			return constant_bytes((const char *) DatumGetUUIDP(value)->data, UUID_LEN, out);
		case CONVERT_OID:
			out->u.i64 = (int64) DatumGetObjectId(value);
			return true;
		case CONVERT_NUMERIC_DOUBLE:
		case CONVERT_CHAR:
		case CONVERT_MONEY:
		case CONVERT_SEND:
		case CONVERT_NESTED:
		case CONVERT_OUTPUT:
			/* numerics, enums and jsonb order, and partly equal, otherwise than their text */
			return false;
	}
	return false;
}
