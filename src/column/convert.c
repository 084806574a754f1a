/*-------------------------------------------------------------------------
 *
 * convert.c
 *	  PostgreSQL values into ColumnVectors: the mapping of types, and appends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "column/convert_internal.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#define DECIMAL_MAX_PRECISION 38

static const struct
{
	Oid			pg_type;
	ConvertKind kind;
	LakeTypeId	lake;
}			mapping[] = {
	{BOOLOID, CONVERT_BOOL, LAKE_BOOLEAN},
	{INT2OID, CONVERT_INT2, LAKE_INT},
	{INT4OID, CONVERT_INT4, LAKE_INT},
	{INT8OID, CONVERT_INT8, LAKE_LONG},
	{FLOAT4OID, CONVERT_FLOAT4, LAKE_FLOAT},
	{FLOAT8OID, CONVERT_FLOAT8, LAKE_DOUBLE},
	{NUMERICOID, CONVERT_NUMERIC, LAKE_DECIMAL},
	{DATEOID, CONVERT_DATE, LAKE_DATE},
	{TIMEOID, CONVERT_TIME, LAKE_TIME},
	{TIMESTAMPOID, CONVERT_TIMESTAMP, LAKE_TIMESTAMP},
	{TIMESTAMPTZOID, CONVERT_TIMESTAMP, LAKE_TIMESTAMPTZ},
	{TEXTOID, CONVERT_TEXT, LAKE_STRING},
	{VARCHAROID, CONVERT_TEXT, LAKE_STRING},
	{BPCHAROID, CONVERT_TEXT, LAKE_STRING},
	{JSONOID, CONVERT_TEXT, LAKE_STRING},
	{BYTEAOID, CONVERT_TEXT, LAKE_BINARY},
	{NAMEOID, CONVERT_NAME, LAKE_STRING},
	{UUIDOID, CONVERT_UUID, LAKE_UUID},
	{JSONBOID, CONVERT_OUTPUT, LAKE_STRING}
};

/*
 * decimal(p, s) that holds every numeric of this modifier, or false when there
 * is none.  A negative scale counts zeros in front of the point; a scale past
 * the precision counts zeros after it.
 */
static bool
numeric_type(int32 typmod, LakeType *type)
{
	int			precision;
	int			scale;

	if (typmod < (int32) VARHDRSZ)
		return false;
	precision = ((typmod - VARHDRSZ) >> 16) & 0xffff;
	scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
	precision = Max(precision - Min(scale, 0), scale);
	if (precision > DECIMAL_MAX_PRECISION)
		return false;
	type->precision = (uint8) precision;
	type->scale = (uint8) Max(scale, 0);
	return true;
}

static bool
find_mapping(ColumnConvert *c)
{
	for (size_t i = 0; i < lengthof(mapping); i++)
	{
		if (mapping[i].pg_type != c->pg_type)
			continue;
		c->kind = mapping[i].kind;
		c->type.id = mapping[i].lake;
		if (c->kind == CONVERT_NUMERIC && !numeric_type(c->typmod, &c->type))
		{
			c->kind = CONVERT_OUTPUT;
			c->type.id = LAKE_STRING;
		}
		return true;
	}
	if (get_typtype(c->pg_type) != TYPTYPE_ENUM)
		return false;
	c->kind = CONVERT_OUTPUT;
	c->type.id = LAKE_STRING;
	return true;
}

bool
convert_init(ColumnConvert *c, Oid pg_type, int32 typmod,
			 const char *column, const char *relation,
			 MemoryContext context, char **reason)
{
	Oid			function;
	bool		varlena;

	memset(c, 0, sizeof(*c));
	c->pg_type = pg_type;
	c->typmod = typmod;
	c->relation = relation;
	strlcpy(c->name, column, NAMEDATALEN);
	if (!find_mapping(c))
	{
		*reason = psprintf("type \"%s\" has no mapping to a lake type", format_type_be(pg_type));
		return false;
	}
	/* numbers are ASCII in every encoding */
	if (c->type.id == LAKE_STRING && pg_type != NUMERICOID && GetDatabaseEncoding() != PG_UTF8)
	{
		*reason = psprintf("strings of a database with encoding \"%s\" cannot be kept in a lake, which needs UTF8",
						   GetDatabaseEncodingName());
		return false;
	}
	getTypeOutputInfo(pg_type, &function, &varlena);
	fmgr_info_cxt(function, &c->output, context);
	if (c->kind == CONVERT_OUTPUT)
	{
		getTypeInputInfo(pg_type, &function, &c->input_param);
		fmgr_info_cxt(function, &c->input, context);
	}
	return true;
}

char *
convert_type_text(Oid pg_type, int32 typmod)
{
	return format_type_with_typemod(pg_type, typmod);
}

pg_noreturn static void
fail_value(const ColumnConvert *c, Datum value, int code, const char *why)
{
	char	   *text = OutputFunctionCall(unconstify(FmgrInfo *, &c->output), value);

	ereport(ERROR,
			(errcode(code),
			 errmsg("cannot keep value \"%s\" of column \"%s\" of \"%s\" in the lake: %s",
					text, c->name, c->relation, why),
			 errdetail("The column is of type %s, which the lake keeps as %s.",
					   format_type_with_typemod(c->pg_type, c->typmod), lake_type_name(c->type))));
	pg_unreachable();
}

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

static void
append_numeric(const ColumnConvert *c, ColumnVector *v, Datum value, MemoryContext scratch)
{
	struct varlena *p = convert_varlena(value, scratch);
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
	fail_value(c, PointerGetDatum(p), ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
			   result == DECIMAL_SPECIAL ? "it is not a finite number" :
			   result == DECIMAL_INEXACT ? "it has more digits after the point" :
			   "it has more digits");
}

static void
append_date(const ColumnConvert *c, ColumnVector *v, Datum value)
{
	DateADT		date = DatumGetDateADT(value);

	if (unlikely(DATE_NOT_FINITE(date)))
		fail_value(c, value, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, "it is infinite");
	/* the last date of PostgreSQL is far enough from the limit */
	column_append_int32(v, date + EPOCH_DAYS);
}

static void
append_time(const ColumnConvert *c, ColumnVector *v, Datum value)
{
	TimeADT		time = DatumGetTimeADT(value);

	if (unlikely(time < 0 || time >= USECS_PER_DAY))
		fail_value(c, value, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, "it is past the end of the day");
	column_append_int64(v, time);
}

static void
append_timestamp(const ColumnConvert *c, ColumnVector *v, Datum value)
{
	Timestamp	timestamp = DatumGetTimestamp(value);
	int64		micros;

	if (unlikely(TIMESTAMP_NOT_FINITE(timestamp)))
		fail_value(c, value, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, "it is infinite");
	if (unlikely(__builtin_add_overflow(timestamp, EPOCH_MICROS, &micros)))
		fail_value(c, value, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
				   "microseconds since 1970 exceed 64 bits");
	column_append_int64(v, micros);
}

static void
append_output(const ColumnConvert *c, ColumnVector *v, Datum value, MemoryContext scratch)
{
	MemoryContext old = MemoryContextSwitchTo(scratch);
	char	   *text = OutputFunctionCall(unconstify(FmgrInfo *, &c->output), value);

	column_append_bytes(v, text, (uint32) strlen(text));
	MemoryContextSwitchTo(old);
}

void
convert_append(const ColumnConvert *c, ColumnVector *v, Datum value, MemoryContext scratch)
{
	struct varlena *p;

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
		case CONVERT_TEXT:
			p = convert_varlena(value, scratch);
			column_append_bytes(v, VARDATA_ANY(p), (uint32) VARSIZE_ANY_EXHDR(p));
			break;
		case CONVERT_NAME:
			column_append_bytes(v, NameStr(*DatumGetName(value)),
								(uint32) strnlen(NameStr(*DatumGetName(value)), NAMEDATALEN));
			break;
		case CONVERT_UUID:
			column_append_fixed(v, DatumGetUUIDP(value)->data);
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

static void
constant_bytes(const char *data, size_t size, LakeValue *out)
{
	out->u.bytes.data = data;
	out->u.bytes.size = (uint32) size;
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
			/* char(n) compares without its trailing blanks, which bytes do not */
			if (c->pg_type == BPCHAROID)
				return false;
			p = convert_varlena(value, CurrentMemoryContext);
			constant_bytes(VARDATA_ANY(p), VARSIZE_ANY_EXHDR(p), out);
			return true;
		case CONVERT_NAME:
			constant_bytes(NameStr(*DatumGetName(value)), strlen(NameStr(*DatumGetName(value))), out);
			return true;
		case CONVERT_UUID:
			constant_bytes((const char *) DatumGetUUIDP(value)->data, UUID_LEN, out);
			return true;
		case CONVERT_OUTPUT:
			/* numerics, enums and jsonb order, and partly equal, otherwise than their text */
			return false;
	}
	return false;
}
