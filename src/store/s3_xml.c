/*-------------------------------------------------------------------------
 *
 * s3_xml.c
 *	  Elements of the small XML documents of S3.
 *
 * Not a parser of XML: these documents have no comments, no CDATA and no
 * element within another of the same name, so that finding an element is
 * finding its tags.  PostgreSQL's own xml support needs libxml2, which many
 * builds leave out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "base/utf8.h"
#include "store/s3_xml.h"

/* Replaces one entity at `p` (which is at '&'); returns how many bytes it took. */
static size_t
decode_entity(const char *p, StringInfo out)
{
	static const struct
	{
		const char *name;
		char		value;
	}			named[] = {
		{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}
	};
	char	   *end;
	unsigned long code;
	char		utf8[4];

	for (int i = 0; i < lengthof(named); i++)
	{
		if (strncmp(p, named[i].name, strlen(named[i].name)) == 0)
		{
			appendStringInfoChar(out, named[i].value);
			return strlen(named[i].name);
		}
	}
	if (p[1] == '#' && (p[2] == 'x' ? isxdigit((unsigned char) p[3]) : isdigit((unsigned char) p[2])))
	{
		code = p[2] == 'x' ? strtoul(p + 3, &end, 16) : strtoul(p + 2, &end, 10);
		if (*end == ';' && code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff))
		{
			appendBinaryStringInfo(out, utf8, (int) (utf8_put(utf8, (uint32) code) - utf8));
			return end - p + 1;
		}
	}
	appendStringInfoChar(out, '&');
	return 1;
}

char *
s3_xml_text(const char *from, const char *tag, const char **next)
{
	size_t		length = strlen(tag);
	char	   *closing = psprintf("</%s>", tag);
	const char *p = from;
	const char *end;
	StringInfoData out;

	while ((p = strchr(p, '<')) != NULL)
	{
		p++;
		if (strncmp(p, tag, length) == 0 && strchr(" \t\r\n/>", p[length]) != NULL && p[length])
			break;
	}
	p = p != NULL ? strchr(p, '>') : NULL;
	if (p == NULL)
		return NULL;
	p++;
	end = p[-2] == '/' ? p : strstr(p, closing);
	if (end == NULL)
		return NULL;
	if (next != NULL)
		*next = end;
	initStringInfo(&out);
	if (memchr(p, '<', end - p) != NULL)
		appendBinaryStringInfo(&out, p, (int) (end - p));	/* elements: decoded when taken apart */
	else
	{
		while (p < end)
		{
			if (*p == '&')
				p += decode_entity(p, &out);
			else
				appendStringInfoChar(&out, *p++);
		}
		if (!utf8_is_valid(out.data, out.len))
			return NULL;
	}
	pfree(closing);
	return out.data;
}

void
s3_xml_escape(StringInfo out, const char *text)
{
	for (const char *p = text; *p; p++)
	{
		if (*p == '&')
			appendStringInfoString(out, "&amp;");
		else if (*p == '<')
			appendStringInfoString(out, "&lt;");
		else if (*p == '>')
			appendStringInfoString(out, "&gt;");
		else if (*p == '"')
			appendStringInfoString(out, "&quot;");
		else
			appendStringInfoChar(out, *p);
	}
}
