/*-------------------------------------------------------------------------
 *
 * test_store_s3_xml.c
 *	  The documents of S3: elements found, entities decoded, damage refused.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/s3_xml.h"
#include "tap.h"

static const char list[] =
"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
"<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix>r/</Prefix>"
"<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b=</NextContinuationToken>"
"<Contents><Key>r/one &lt;1&gt; &quot;&#228;&#x1F600;&apos;</Key><ETag>&#34;e&#34;</ETag><Size>12</Size></Contents>"
"<Contents ><Key>r/two</Key><Size>0</Size></Contents><Contents/></ListBucketResult>";

static const char error[] =
"<Error><Code>SlowDown</Code><Message>Please reduce &amp;lt; your rate.</Message><Resource/></Error>";

static void
test_list(void)
{
	const char *p = list;
	char	   *first = s3_xml_text(p, "Contents", &p);
	char	   *second = s3_xml_text(p, "Contents", &p);
	char	   *third = s3_xml_text(p, "Contents", &p);

	is_str(s3_xml_text(list, "IsTruncated", NULL), "true", "text of an element");
	is_str(s3_xml_text(list, "NextContinuationToken", NULL), "a&b=", "an entity");
	is_str(s3_xml_text(first, "Key", NULL), "r/one <1> \"\303\244\360\237\230\200'", "entities by name and by number");
	is_str(s3_xml_text(first, "Size", NULL), "12", "a size");
	is_str(s3_xml_text(second, "Key", NULL), "r/two", "the next element, with a space in its tag");
	is_str(third, "", "an empty element");
	ok(s3_xml_text(p, "Contents", &p) == NULL, "no more");
	ok(s3_xml_text(list, "Content", NULL) == NULL, "a tag that only begins so is another");
	ok(s3_xml_text(list, "KeyCount", NULL) == NULL, "an element that is not there");
	tap_corpus("fuzz_s3_xml", "list", list, sizeof(list) - 1);
}

static void
test_error(void)
{
	is_str(s3_xml_text(s3_xml_text(error, "Error", NULL), "Code", NULL), "SlowDown", "an element within another");
	is_str(s3_xml_text(error, "Message", NULL), "Please reduce &lt; your rate.", "decoded once");
	tap_corpus("fuzz_s3_xml", "error", error, sizeof(error) - 1);
}

static void
test_damage(void)
{
	static const char *const nothing[] = {
		"", "<", "<Key", "<Key ", "<Key>", "<Key>a", "<Key>a</Ke", "<Key>a</key>", "Key>a</Key>", "<Key>\xff</Key>",
		"<Key>\xc0\x80</Key>", "<Key>\xed\xa0\x80</Key>"
	};
	static const struct
	{
		const char *document;
		const char *text;
	}			kept[] = {
		{"<Key>&</Key>", "&"}, {"<Key>&amp</Key>", "&amp"}, {"<Key>&#;</Key>", "&#;"}, {"<Key>&#0;</Key>", "&#0;"},
		{"<Key>&#xd800;</Key>", "&#xd800;"}, {"<Key>&#x110000;</Key>", "&#x110000;"},
		{"<Key>&#99999999999999999999999;</Key>", "&#99999999999999999999999;"}, {"<Key>&#65</Key>", "&#65"},
		{"<Key>&#x41;&#x10ffff;</Key>", "A\364\217\277\277"}
	};

	for (size_t i = 0; i < lengthof(nothing); i++)
		ok(s3_xml_text(nothing[i], "Key", NULL) == NULL, "no element: case %zu", i);
	for (size_t i = 0; i < lengthof(kept); i++)
		is_str(s3_xml_text(kept[i].document, "Key", NULL), kept[i].text, "what is no entity stays: case %zu", i);
}

static void
test_escape(void)
{
	StringInfo	out = makeStringInfo();

	s3_xml_escape(out, "a<b>&\"c\"");
	is_str(out->data, "a&lt;b&gt;&amp;&quot;c&quot;", "escaped");
}

int
main(void)
{
	test_list();
	test_error();
	test_damage();
	test_escape();
	return done();
}
