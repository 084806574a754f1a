/*-------------------------------------------------------------------------
 *
 * fuzz_s3_xml.c
 *	  Any bytes as a document of S3: taken apart as the driver does it, a list
 *	  and its entries; what is text is valid UTF-8 and survives being escaped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/utf8.h"
#include "fuzz.h"
#include "store/s3_xml.h"

static void
check_text(const char *text)
{
	StringInfo	document = makeStringInfo();
	char	   *again;

	/* elements inside come as they stand */
	if (text == NULL || strchr(text, '<') != NULL)
		return;
	if (!utf8_is_valid(text, strlen(text)))
		abort();
	appendStringInfoString(document, "<a><Key>");
	s3_xml_escape(document, text);
	appendStringInfoString(document, "</Key></a>");
	again = s3_xml_text(document->data, "Key", NULL);
	if (again == NULL || strcmp(again, text) != 0)
		abort();
}

static void
take_apart(const char *document, size_t size)
{
	static const char *const tags[] = {"IsTruncated", "NextContinuationToken", "UploadId", "Error", "Code", "Message"};
	const char *p = document;
	char	   *contents;

	for (size_t i = 0; i < lengthof(tags); i++)
		check_text(s3_xml_text(document, tags[i], NULL));
	for (;;)
	{
		const char *before = p;

		contents = s3_xml_text(p, "Contents", &p);
		if (contents == NULL)
			break;
		if (p <= before || p > document + size)
			abort();
		check_text(s3_xml_text(contents, "Key", NULL));
		check_text(s3_xml_text(contents, "Size", NULL));
	}
}

static void
read_document(const uint8 *data, size_t size)
{
	char	   *document = palloc(size + 1);

	memcpy(document, data, size);
	document[size] = '\0';
	take_apart(document, size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(read_document, data, size);
}
