/*-------------------------------------------------------------------------
 *
 * convert_unfit.c
 *	  Values that the lake cannot hold, and text of a database that is not in
 *	  UTF-8, which may be one.
 *
 * An encoding may have bytes that are no character of Unicode (0x81 in
 * WIN1252), and two codes for one character (EUC_JP, EUC_TW): converted, the
 * text would come back as another.  A database with such an encoding has no
 * way to show the first to a client with UTF8, be it in a message, so there
 * they are written as \x81.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "column/convert_internal.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* Bytes of a value that a message shows. */
#define SHOWN_BYTES 400

/* UTF-8 of the text, or as much of it as can be converted: *consumed bytes of it. */
static char *
to_utf8(Oid conversion, const char *data, int size, int *consumed)
{
	size_t		room = (size_t) size * MAX_CONVERSION_GROWTH + 1;
	char	   *utf8 = palloc_extended(room, MCXT_ALLOC_HUGE);

	*consumed = pg_do_encoding_conversion_buf(conversion, GetDatabaseEncoding(), PG_UTF8,
											  (unsigned char *) unconstify(char *, data), size,
											  (unsigned char *) utf8, (int) room, true);
	return utf8;
}

/* The text as a message shows it: its beginning, and as bytes what no client with UTF8 could be sent. */
static char *
shown(const char *text)
{
	int			length = (int) strlen(text);
	int			left = pg_mbcliplen(text, length, SHOWN_BYTES);
	bool		clipped = left < length;
	int			encoding = GetDatabaseEncoding();
	Oid			conversion = encoding == PG_UTF8 || encoding == PG_SQL_ASCII ? InvalidOid :
		FindDefaultConversionProc(encoding, PG_UTF8);
	StringInfoData buf;

	initStringInfo(&buf);
	while (left > 0)
	{
		int			consumed = left;

		if (OidIsValid(conversion))
			pfree(to_utf8(conversion, text, left, &consumed));
		appendBinaryStringInfo(&buf, text, consumed);
		text += consumed;
		left -= consumed;
		for (int n = left > 0 ? Min(pg_mblen(text), left) : 0; n > 0; n--, left--)
			appendStringInfo(&buf, "\\x%02x", (uint8) *text++);
	}
	if (clipped)
		appendStringInfoString(&buf, "...");
	return buf.data;
}

void
convert_fail_value(const ColumnConvert *c, Datum value, int code, const char *why)
{
	char	   *text = OutputFunctionCall(unconstify(FmgrInfo *, &c->output), value);

	ereport(ERROR,
			(errcode(code),
			 errmsg("cannot keep value \"%s\" of column \"%s\" of \"%s\" in the lake: %s",
					shown(text), c->name, c->relation, why),
			 errdetail("The column is of type %s, which the lake keeps as %s.",
					   format_type_with_typemod(c->pg_type, c->typmod),
					   c->nested != NULL ? lake_node_text(convert_node(c)) : lake_type_name(c->type))));
	pg_unreachable();
}

void
convert_append_unfit(const ColumnConvert *c, ColumnVector *v, Datum value, int code, const char *why,
					 const LakeValue *nearest)
{
	if (c->policy == CONVERT_ERROR)
		convert_fail_value(c, value, code, why);
	if (c->policy == CONVERT_CLAMP && nearest != NULL)
		column_vector_append_value(v, nearest);
	else
		column_append_null(v);
}

/* Would it be read back as other bytes?  Encodings of one byte have but one byte for a character. */
static bool
comes_back(const ColumnConvert *c, const char *utf8, const char *data, int size)
{
	int			length = (int) strlen(utf8);
	size_t		room = (size_t) length * MAX_CONVERSION_GROWTH + 1;
	char	   *back;
	int			consumed;

	if (pg_database_encoding_max_length() == 1)
		return true;
	if (length > PG_INT32_MAX / MAX_CONVERSION_GROWTH)
		return false;
	back = palloc_extended(room, MCXT_ALLOC_HUGE);
	consumed = pg_do_encoding_conversion_buf(c->from_utf8, PG_UTF8, GetDatabaseEncoding(),
											 (unsigned char *) unconstify(char *, utf8), length,
											 (unsigned char *) back, (int) room, true);
	return consumed == length && strlen(back) == (size_t) size && memcmp(back, data, size) == 0;
}

void
convert_append_transcoded(const ColumnConvert *c, ColumnVector *v, Datum value, const char *data, size_t size,
						  MemoryContext scratch)
{
	MemoryContext old = MemoryContextSwitchTo(scratch);
	char	   *utf8;
	int			consumed;

	if (size > PG_INT32_MAX / MAX_CONVERSION_GROWTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot convert %zu bytes of column \"%s\" of \"%s\" to UTF8", size, c->name, c->relation)));
	utf8 = to_utf8(c->to_utf8, data, (int) size, &consumed);
	if ((size_t) consumed < size)
		convert_append_unfit(c, v, value, ERRCODE_UNTRANSLATABLE_CHARACTER,
							 "it has a character that UTF8 has not", NULL);
	else if (!comes_back(c, utf8, data, (int) size))
	{
		LakeValue	other;

		memset(&other, 0, sizeof(other));
		other.u.bytes.data = utf8;
		other.u.bytes.size = (uint32) strlen(utf8);
		convert_append_unfit(c, v, value, ERRCODE_UNTRANSLATABLE_CHARACTER,
							 "it has a character that UTF8 does not tell from another one", &other);
	}
	else
		column_append_bytes(v, utf8, (uint32) strlen(utf8));
	MemoryContextSwitchTo(old);
}
