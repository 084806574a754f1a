/*-------------------------------------------------------------------------
 *
 * s3_xml.h
 *	  Elements of the small XML documents of S3, without the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_STORE_S3_XML_H
#define TARN_STORE_S3_XML_H

#include "postgres.h"

#include "lib/stringinfo.h"

/*
 * Content of the first element `tag` at or after `from`, and where it ends
 * (`next`, may be NULL; behind `from`, so that a loop over it ends); NULL when
 * there is none.  Text comes decoded and is valid UTF-8: it goes into names
 * and messages, so that text which is not counts as no element.  An element
 * with others inside comes as it stands, to be taken apart by this function.
 * The documents of S3 never nest an element in one of its own name.
 */
extern char *s3_xml_text(const char *from, const char *tag, const char **next);

/* Appends text with the characters escaped that XML reserves. */
extern void s3_xml_escape(StringInfo out, const char *text);

#endif							/* TARN_STORE_S3_XML_H */
