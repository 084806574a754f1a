/*-------------------------------------------------------------------------
 *
 * convert_init.c
 *	  The mapping of types: which lake type a PostgreSQL type becomes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/utf8.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "column/convert_internal.h"
#include "commands/extension.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#define DECIMAL_MAX_PRECISION 38

/* Types with a form of their own, and those whose text is ASCII in every encoding. */
static const struct
{
	Oid			pg_type;
	ConvertKind kind;
	LakeTypeId	lake;
	bool		ascii;
}			mapping[] = {
	{BOOLOID, CONVERT_BOOL, LAKE_BOOLEAN},
	{INT2OID, CONVERT_INT2, LAKE_INT},
	{INT4OID, CONVERT_INT4, LAKE_INT},
	{INT8OID, CONVERT_INT8, LAKE_LONG},
	{FLOAT4OID, CONVERT_FLOAT4, LAKE_FLOAT},
	{FLOAT8OID, CONVERT_FLOAT8, LAKE_DOUBLE},
	{NUMERICOID, CONVERT_NUMERIC, LAKE_DECIMAL, true},
	{DATEOID, CONVERT_DATE, LAKE_DATE},
	{TIMEOID, CONVERT_TIME, LAKE_TIME},
	{TIMESTAMPOID, CONVERT_TIMESTAMP, LAKE_TIMESTAMP},
	{TIMESTAMPTZOID, CONVERT_TIMESTAMP, LAKE_TIMESTAMPTZ},
	{TEXTOID, CONVERT_TEXT, LAKE_STRING},
	{VARCHAROID, CONVERT_TEXT, LAKE_STRING},
	{BPCHAROID, CONVERT_TEXT, LAKE_STRING},
	{JSONOID, CONVERT_TEXT, LAKE_STRING},
	{XMLOID, CONVERT_TEXT, LAKE_STRING},
	{BYTEAOID, CONVERT_TEXT, LAKE_BINARY},
	{NAMEOID, CONVERT_NAME, LAKE_STRING},
	{UUIDOID, CONVERT_UUID, LAKE_UUID},
	{CHAROID, CONVERT_CHAR, LAKE_STRING, true},
	{CASHOID, CONVERT_MONEY, LAKE_STRING, true},
	{OIDOID, CONVERT_OID, LAKE_LONG},
	{XIDOID, CONVERT_OID, LAKE_LONG},
	{CIDOID, CONVERT_OID, LAKE_LONG},
	{REGPROCOID, CONVERT_OID, LAKE_LONG},
	{REGPROCEDUREOID, CONVERT_OID, LAKE_LONG},
	{REGOPEROID, CONVERT_OID, LAKE_LONG},
	{REGOPERATOROID, CONVERT_OID, LAKE_LONG},
	{REGCLASSOID, CONVERT_OID, LAKE_LONG},
	{REGTYPEOID, CONVERT_OID, LAKE_LONG},
	{REGROLEOID, CONVERT_OID, LAKE_LONG},
	{REGNAMESPACEOID, CONVERT_OID, LAKE_LONG},
	{REGCONFIGOID, CONVERT_OID, LAKE_LONG},
	{REGDICTIONARYOID, CONVERT_OID, LAKE_LONG},
	{REGCOLLATIONOID, CONVERT_OID, LAKE_LONG},
	{INTERVALOID, CONVERT_OUTPUT, LAKE_STRING, true},
	{TIMETZOID, CONVERT_OUTPUT, LAKE_STRING, true},
	{BITOID, CONVERT_OUTPUT, LAKE_STRING, true},
	{VARBITOID, CONVERT_OUTPUT, LAKE_STRING, true},
	{INETOID, CONVERT_OUTPUT, LAKE_STRING, true},
	{CIDROID, CONVERT_OUTPUT, LAKE_STRING, true},
	{MACADDROID, CONVERT_OUTPUT, LAKE_STRING, true},
	{MACADDR8OID, CONVERT_OUTPUT, LAKE_STRING, true},
	{POINTOID, CONVERT_OUTPUT, LAKE_STRING, true},
	{LINEOID, CONVERT_OUTPUT, LAKE_STRING, true},
	{LSEGOID, CONVERT_OUTPUT, LAKE_STRING, true},
	{BOXOID, CONVERT_OUTPUT, LAKE_STRING, true},
	{PATHOID, CONVERT_OUTPUT, LAKE_STRING, true},
	{POLYGONOID, CONVERT_OUTPUT, LAKE_STRING, true},
	{CIRCLEOID, CONVERT_OUTPUT, LAKE_STRING, true},
	{LSNOID, CONVERT_OUTPUT, LAKE_STRING, true},
	{XID8OID, CONVERT_OUTPUT, LAKE_STRING, true},
	{TIDOID, CONVERT_OUTPUT, LAKE_STRING, true}
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

char *
convert_extension_type(Oid pg_type, const char *extension)
{
	Oid			owner = getExtensionOfObject(TypeRelationId, pg_type);
	char	   *name = OidIsValid(owner) ? get_extension_name(owner) : NULL;
	HeapTuple	tuple;

	if (name == NULL || strcmp(name, extension) != 0)
		return NULL;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(pg_type));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	name = pstrdup(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname));
	ReleaseSysCache(tuple);
	return name;
}

/* A type of PostGIS whose binary form is EWKB, which engines know as WKB. */
static bool
is_geometry(Oid pg_type)
{
	char	   *name = convert_extension_type(pg_type, "postgis");

	return name != NULL && (strcmp(name, "geometry") == 0 || strcmp(name, "geography") == 0);
}

/* The usual mapping: kind and type of *c; true when the text is ASCII. */
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
		return mapping[i].ascii;
	}
	c->kind = CONVERT_OUTPUT;
	c->type.id = LAKE_STRING;
	if (convert_type_is_nested(c->pg_type))
	{
		c->kind = CONVERT_NESTED;
		c->type.id = LAKE_NESTED;
	}
	else if (is_geometry(c->pg_type))
	{
		c->kind = CONVERT_SEND;
		c->type.id = LAKE_BINARY;
	}
	return false;
}

/* The mapping that an option asks for; false when there is none to that type. */
static bool
choose_mapping(ColumnConvert *c, LakeType type)
{
	if (lake_type_equal(type, c->type))
		return true;
	c->type = type;
	if (type.id == LAKE_STRING && c->kind != CONVERT_SEND && c->pg_type != BYTEAOID)
		c->kind = CONVERT_OUTPUT;
	else if (type.id == LAKE_DECIMAL && c->pg_type == NUMERICOID)
		c->kind = CONVERT_NUMERIC;
	else if (type.id == LAKE_DOUBLE && c->pg_type == NUMERICOID)
		c->kind = CONVERT_NUMERIC_DOUBLE;
	else
		return false;
	return true;
}

/* How strings of the database become UTF-8 and back; false when they cannot. */
static bool
init_encoding(ColumnConvert *c, const ConvertOptions *options, char **reason)
{
	int			encoding = GetDatabaseEncoding();

	if (encoding == PG_UTF8)
		return true;
	if (encoding == PG_SQL_ASCII)
	{
		if (options != NULL && options->text_bytes)
			c->type.id = LAKE_BINARY;
		else if (options != NULL)
			*reason = psprintf("text of a database with encoding \"%s\" may be in any encoding, and strings of a lake are UTF-8",
							   GetDatabaseEncodingName());
		return options == NULL || options->text_bytes;
	}
	c->to_utf8 = FindDefaultConversionProc(encoding, PG_UTF8);
	c->from_utf8 = FindDefaultConversionProc(PG_UTF8, encoding);
	if (OidIsValid(c->to_utf8) && OidIsValid(c->from_utf8))
		return true;
	*reason = psprintf("there is no default conversion between encodings \"%s\" and \"UTF8\"",
					   GetDatabaseEncodingName());
	return false;
}

static void
init_functions(ColumnConvert *c, MemoryContext context)
{
	Oid			function;
	bool		varlena;

	getTypeOutputInfo(c->pg_type, &function, &varlena);
	fmgr_info_cxt(function, &c->output, context);
	if (c->kind == CONVERT_OUTPUT)
	{
		getTypeInputInfo(c->pg_type, &function, &c->input_param);
		fmgr_info_cxt(function, &c->input, context);
	}
	else if (c->kind == CONVERT_SEND)
	{
		getTypeBinaryOutputInfo(c->pg_type, &function, &varlena);
		fmgr_info_cxt(function, &c->send, context);
		getTypeBinaryInputInfo(c->pg_type, &function, &c->input_param);
		fmgr_info_cxt(function, &c->input, context);
	}
}

bool
convert_init(ColumnConvert *c, Oid pg_type, int32 typmod,
			 const char *column, const char *relation,
			 const ConvertOptions *options, MemoryContext context, char **reason)
{
	bool		ascii;

	memset(c, 0, sizeof(*c));
	c->typmod = typmod;
	c->pg_type = getBaseTypeAndTypmod(pg_type, &c->typmod);
	c->relation = relation;
	strlcpy(c->name, column, NAMEDATALEN);
	if (get_typtype(c->pg_type) == TYPTYPE_PSEUDO)
	{
		*reason = psprintf("type \"%s\" has no mapping to a lake type", format_type_be(pg_type));
		return false;
	}
	ascii = find_mapping(c);
	if (options != NULL)
	{
		c->policy = options->policy;
		if (options->typed && !choose_mapping(c, options->type))
		{
			*reason = psprintf("type \"%s\" cannot be kept as lake type %s",
							   format_type_with_typemod(pg_type, typmod), lake_type_name(options->type));
			return false;
		}
	}
	if (c->type.id == LAKE_STRING && !ascii && !init_encoding(c, options, reason))
		return false;
	init_functions(c, context);
	return c->kind != CONVERT_NESTED || convert_nested_init(c, options, context, reason);
}

void
convert_init_input(ColumnConvert *c, Oid pg_type, int32 typmod,
				   const char *column, const char *relation, MemoryContext context)
{
	char	   *reason;

	memset(c, 0, sizeof(*c));
	c->kind = CONVERT_OUTPUT;
	c->type.id = LAKE_STRING;
	c->pg_type = pg_type;
	c->typmod = typmod;
	strlcpy(c->name, column, NAMEDATALEN);
	c->relation = relation;
	if (!init_encoding(c, NULL, &reason))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("column \"%s\" of \"%s\" cannot be read: %s", column, relation, reason)));
	init_functions(c, context);
}

Oid
convert_default_type(LakeType type, int32 *typmod)
{
	static const Oid types[LAKE_NTYPES] = {
		[LAKE_BOOLEAN] = BOOLOID,
		[LAKE_INT] = INT4OID,
		[LAKE_LONG] = INT8OID,
		[LAKE_FLOAT] = FLOAT4OID,
		[LAKE_DOUBLE] = FLOAT8OID,
		[LAKE_DECIMAL] = NUMERICOID,
		[LAKE_DATE] = DATEOID,
		[LAKE_TIME] = TIMEOID,
		[LAKE_TIMESTAMP] = TIMESTAMPOID,
		[LAKE_TIMESTAMPTZ] = TIMESTAMPTZOID,
		[LAKE_STRING] = TEXTOID,
		[LAKE_UUID] = UUIDOID,
		[LAKE_FIXED] = BYTEAOID,
		[LAKE_BINARY] = BYTEAOID,
		[LAKE_NESTED] = InvalidOid
	};

	*typmod = -1;
	if (type.id == LAKE_DECIMAL)
		*typmod = ((type.precision << 16) | type.scale) + VARHDRSZ;
	return types[type.id];
}

bool
convert_makes_nulls(const ColumnConvert *c)
{
	if (c->policy == CONVERT_ERROR)
		return false;
	/* NaN, and characters without a counterpart */
	if (c->kind == CONVERT_NUMERIC || OidIsValid(c->to_utf8))
		return true;
	/* an array may have bounds or dimensions that a list has not */
	if (c->kind == CONVERT_NESTED)
		return true;
	return c->policy == CONVERT_NULL &&
		(c->kind == CONVERT_DATE || c->kind == CONVERT_TIME || c->kind == CONVERT_TIMESTAMP);
}

char *
convert_name_to_lake(const char *name)
{
	char	   *utf8;

	/* also outside of a transaction */
	if (utf8_is_ascii(name, strlen(name)))
		return unconstify(char *, name);
	utf8 = pg_server_to_any(name, (int) strlen(name), PG_UTF8);

	/* SQL_ASCII has anything */
	if (!utf8_is_valid(utf8, strlen(utf8)))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("name \"%s\" cannot be kept in the lake: it is not valid UTF8", name)));
	return utf8;
}

char *
convert_name_from_lake(const char *name)
{
	return pg_any_to_server(name, (int) strlen(name), PG_UTF8);
}

char *
convert_type_text(Oid pg_type, int32 typmod)
{
	return format_type_with_typemod(pg_type, typmod);
}
