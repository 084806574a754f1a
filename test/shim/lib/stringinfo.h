/*-------------------------------------------------------------------------
 *
 * stringinfo.h
 *	  Growing strings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_SHIM_STRINGINFO_H
#define TARN_SHIM_STRINGINFO_H

#include "postgres.h"

typedef struct StringInfoData
{
	char	   *data;
	int			len;
	int			maxlen;
	int			cursor;
} StringInfoData;
typedef StringInfoData *StringInfo;

extern StringInfo makeStringInfo(void);
extern void initStringInfo(StringInfo str);
extern void resetStringInfo(StringInfo str);
extern void destroyStringInfo(StringInfo str);
extern void enlargeStringInfo(StringInfo str, int needed);
extern void appendStringInfo(StringInfo str, const char *fmt,...) pg_attribute_printf(2, 3);
extern int	appendStringInfoVA(StringInfo str, const char *fmt, va_list args) pg_attribute_printf(2, 0);
extern void appendStringInfoString(StringInfo str, const char *s);
extern void appendStringInfoChar(StringInfo str, char ch);
extern void appendStringInfoSpaces(StringInfo str, int count);
extern void appendBinaryStringInfo(StringInfo str, const char *data, int datalen);
extern void appendBinaryStringInfoNT(StringInfo str, const char *data, int datalen);

#define appendStringInfoCharMacro(str, ch) \
	(((str)->len + 1 >= (str)->maxlen) ? \
	 appendStringInfoChar(str, ch) : \
	 (void) ((str)->data[(str)->len] = (ch), (str)->data[++(str)->len] = '\0'))

#endif							/* TARN_SHIM_STRINGINFO_H */
