/*-------------------------------------------------------------------------
 *
 * wire_value.c
 *	  Values as JSON.
 *
 * Numbers and booleans as such, json and jsonb embedded, everything else a
 * string.  What the session has set does not matter: dates, floats and bytea
 * are written here, and for the rest the sink settles the parameters.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/json.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "decode/wire_value.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

static void
wire_bool(StringInfo out, const WireColumn *column, Datum value)
{
	appendStringInfoString(out, DatumGetBool(value) ? "true" : "false");
}

static void
wire_int2(StringInfo out, const WireColumn *column, Datum value)
{
	appendStringInfo(out, "%d", DatumGetInt16(value));
}

static void
wire_int4(StringInfo out, const WireColumn *column, Datum value)
{
	appendStringInfo(out, "%d", DatumGetInt32(value));
}

static void
wire_int8(StringInfo out, const WireColumn *column, Datum value)
{
	appendStringInfo(out, INT64_FORMAT, DatumGetInt64(value));
}

/* NaN and the infinities, as PostgreSQL writes them. */
static void
wire_special_float(StringInfo out, double value)
{
	appendStringInfoString(out, isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
}

/* Shortest text that reads back the same, whatever extra_float_digits says. */
static void
wire_float4(StringInfo out, const WireColumn *column, Datum value)
{
	float4		number = DatumGetFloat4(value);
	char		text[FLOAT_SHORTEST_DECIMAL_LEN];

	if (isnan(number) || isinf(number))
	{
		wire_special_float(out, number);
		return;
	}
	float_to_shortest_decimal_buf(number, text);
	appendStringInfoString(out, text);
}

static void
wire_float8(StringInfo out, const WireColumn *column, Datum value)
{
	float8		number = DatumGetFloat8(value);
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];

	if (isnan(number) || isinf(number))
	{
		wire_special_float(out, number);
		return;
	}
	double_to_shortest_decimal_buf(number, text);
	appendStringInfoString(out, text);
}

static void
wire_numeric(StringInfo out, const WireColumn *column, Datum value)
{
	Numeric		number = DatumGetNumeric(value);
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, value));

	if (numeric_is_nan(number) || numeric_is_inf(number))
		json_escape(out, text, strlen(text));
	else
		appendStringInfoString(out, text);
}

/* A line break inside JSON text can only be white space: the change stays one line. */
static void
wire_json_text(StringInfo out, const WireColumn *column, Datum value)
{
	char	   *document = TextDatumGetCString(value);

	for (char *p = document; *p != '\0'; p++)
	{
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	}
	appendStringInfoString(out, document);
}

static void
wire_jsonb(StringInfo out, const WireColumn *column, Datum value)
{
	Jsonb	   *document = DatumGetJsonbP(value);

	(void) JsonbToCString(out, &document->root, VARSIZE(document));
}

static void
wire_text(StringInfo out, const WireColumn *column, Datum value)
{
	text	   *data = DatumGetTextPP(value);

	json_escape(out, VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data));
}

static void
wire_bytea(StringInfo out, const WireColumn *column, Datum value)
{
	bytea	   *data = DatumGetByteaPP(value);
	Size		size = VARSIZE_ANY_EXHDR(data);

	if (size > (MaxAllocSize - out->len) / 2 - 64)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot write a value of %zu bytes of column \"%s\" as one line of JSON",
						size, column->name)));
	appendStringInfoString(out, "\"\\\\x");
	enlargeStringInfo(out, (int) (size * 2));
	out->len += (int) hex_encode(VARDATA_ANY(data), size, out->data + out->len);
	out->data[out->len] = '\0';
	appendStringInfoChar(out, '"');
}

static void
wire_datetime(StringInfo out, const WireColumn *column, Datum value)
{
	const int	utc = 0;
	char		text[MAXDATELEN + 1];

	JsonEncodeDateTime(text, value, column->type, column->type == TIMESTAMPTZOID ? &utc : NULL);
	json_escape(out, text, strlen(text));
}

static void
wire_output(StringInfo out, const WireColumn *column, Datum value)
{
	char	   *text = OutputFunctionCall(unconstify(FmgrInfo *, &column->output), value);

	json_escape(out, text, strlen(text));
}

static const struct
{
	Oid			type;
	wire_value_fn write;
}			wire_types[] = {
	{BOOLOID, wire_bool},
	{INT2OID, wire_int2},
	{INT4OID, wire_int4},
	{INT8OID, wire_int8},
	{FLOAT4OID, wire_float4},
	{FLOAT8OID, wire_float8},
	{NUMERICOID, wire_numeric},
	{JSONOID, wire_json_text},
	{JSONBOID, wire_jsonb},
	{TEXTOID, wire_text},
	{VARCHAROID, wire_text},
	{BPCHAROID, wire_text},
	{BYTEAOID, wire_bytea},
	{DATEOID, wire_datetime},
	{TIMEOID, wire_datetime},
	{TIMETZOID, wire_datetime},
	{TIMESTAMPOID, wire_datetime},
	{TIMESTAMPTZOID, wire_datetime},
};

void
wire_column_init(WireColumn *column, Form_pg_attribute att)
{
	Oid			function;

	column->name = NameStr(att->attname);
	column->type = getBaseType(att->atttypid);
	column->varlena = att->attlen == -1;
	column->write = wire_output;
	for (int i = 0; i < lengthof(wire_types); i++)
	{
		if (wire_types[i].type == column->type)
			column->write = wire_types[i].write;
	}
	if (column->write == wire_output)
	{
		bool		varlena;

		getTypeOutputInfo(column->type, &function, &varlena);
		fmgr_info(function, &column->output);
	}
}
