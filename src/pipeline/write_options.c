/*-------------------------------------------------------------------------
 *
 * write_options.c
 *	  How files are written: the options of a pipeline and of a table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/options.h"
#include "codec/codec.h"
#include "pipeline/registry.h"

static const char *const encoding_names[] = {"auto", "plain", "delta", "split", "compact", NULL};

/* Filled with the codecs that can write at first use. */
static OptionSpec specs[] = {
	{"codec", 1, OPTION_ENUM, 0, 0, NULL, "compression of data pages"},
	{"level", 1, OPTION_INT, 1, 22, NULL, "level of the codec; the default is chosen by column"},
	{"encoding", 1, OPTION_ENUM, 0, 0, encoding_names, "auto, or one of the opt-in encodings"},
	{"row_group_rows", 1, OPTION_INT, 1000, 64 * 1024 * 1024, NULL, "rows of a row group"},
	{"row_group_bytes", 1, OPTION_BYTES, 1024 * 1024, INT64CONST(4) << 30, NULL, "bytes of a row group before encoding"},
	{"page_bytes", 1, OPTION_BYTES, 4096, 64 * 1024 * 1024, NULL, "bytes of a page before compression"},
	{"file_bytes", 1, OPTION_BYTES, 1024 * 1024, INT64CONST(64) << 30, NULL, "a data file that is larger is closed"},
	{NULL}
};

static void
apply_codec(WriteOptions *w, int64 value)
{
	w->parquet.codec = codec_by_name(codec_names()[value])->id;
}

static void
apply_level(WriteOptions *w, int64 value)
{
	w->parquet.level = (int) value;
}

static void
apply_encoding(WriteOptions *w, int64 value)
{
	w->encoding = (ParquetEncodingChoice) value;
}

static void
apply_row_group_rows(WriteOptions *w, int64 value)
{
	w->parquet.row_group_rows = (uint32) value;
}

static void
apply_row_group_bytes(WriteOptions *w, int64 value)
{
	w->parquet.row_group_bytes = (uint64) value;
}

static void
apply_page_bytes(WriteOptions *w, int64 value)
{
	w->parquet.page_bytes = (uint32) value;
}

static void
apply_file_bytes(WriteOptions *w, int64 value)
{
	w->file_bytes = (uint64) value;
}

/* In the order of specs. */
static void (*const appliers[]) (WriteOptions *, int64) = {
	apply_codec, apply_level, apply_encoding, apply_row_group_rows,
	apply_row_group_bytes, apply_page_bytes, apply_file_bytes
};

/* Splits "name=value", finds the option, checks the value. */
static const OptionSpec *
parse(const char *text, char **value)
{
	const char *eq = strchr(text, '=');
	const OptionSpec *spec;

	if (specs[0].values == NULL)
		specs[0].values = codec_names();
	if (eq == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid option \"%s\"", text),
				 errhint("Write an option as name=value.")));
	spec = option_find(specs, 1, pnstrdup(text, eq - text));
	*value = pstrdup(eq + 1);
	option_check(spec, *value);
	return spec;
}

void
registry_check_options(List *options)
{
	ListCell   *lc;
	const OptionSpec *seen[lengthof(appliers)] = {0};

	foreach(lc, options)
	{
		char	   *value;
		const OptionSpec *spec = parse(lfirst(lc), &value);

		if (seen[spec - specs])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" provided more than once", spec->name)));
		seen[spec - specs] = spec;
	}
}

static void
apply_list(List *options, WriteOptions *out)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		char	   *value;
		const OptionSpec *spec = parse(lfirst(lc), &value);

		appliers[spec - specs] (out, option_value(spec, value));
	}
}

void
registry_write_options(List *pipeline_options, List *table_options, WriteOptions *out)
{
	parquet_writer_defaults(&out->parquet);
	out->encoding = PARQUET_ENCODING_AUTO;
	out->file_bytes = UINT64CONST(512) * 1024 * 1024;
	apply_list(pipeline_options, out);
	apply_list(table_options, out);
}
