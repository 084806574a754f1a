/*-------------------------------------------------------------------------
 *
 * write_options.c
 *	  How values are kept and files are written: the options of a pipeline and
 *	  of a table.
 *
 * Beside the options with fixed names there is column.NAME=TYPE, which keeps
 * a column as another lake type than the usual one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/options.h"
#include "codec/codec.h"
#include "lib/stringinfo.h"
#include "pipeline/registry.h"

#define COLUMN_PREFIX "column."

static const char *const encoding_names[] = {"auto", "plain", "delta", "split", "compact", NULL};
static const char *const policy_names[] = {"error", "null", "clamp", NULL};
static const char *const row_security_names[] = {"refuse", "ignore", NULL};
static const char *const removal_names[] = {"apply", "keep", NULL};
static const char *const history_names[] = {"false", "true", "only", NULL};
static const char *const sql_ascii_names[] = {"refuse", "bytes", NULL};

/* Filled with the codecs that can write at first use. */
static OptionSpec specs[] = {
	{"codec", 1, OPTION_ENUM, 0, 0, NULL, "compression of data pages"},
	{"level", 1, OPTION_INT, 1, 22, NULL, "level of the codec; the default is chosen by column"},
	{"encoding", 1, OPTION_ENUM, 0, 0, encoding_names, "auto, or one of the opt-in encodings"},
	{"row_group_rows", 1, OPTION_INT, 1000, 64 * 1024 * 1024, NULL, "rows of a row group"},
	{"row_group_bytes", 1, OPTION_BYTES, 1024 * 1024, INT64CONST(4) << 30, NULL, "bytes of a row group before encoding"},
	{"page_bytes", 1, OPTION_BYTES, 4096, 64 * 1024 * 1024, NULL, "bytes of a page before compression"},
	{"file_bytes", 1, OPTION_BYTES, 1024 * 1024, INT64CONST(64) << 30, NULL, "a data file that is larger is closed"},
	{"unsupported_values", 1, OPTION_ENUM, 0, 0, policy_names, "what becomes of a value that the lake cannot hold"},
	{"sql_ascii", 1, OPTION_ENUM, 0, 0, sql_ascii_names, "text of a database with encoding SQL_ASCII"},
	{"row_security", 1, OPTION_ENUM, 0, 0, row_security_names, "a table with row-level security, which its lake table has not"},
	{"delete", 1, OPTION_ENUM, 0, 0, removal_names, "do rows that are deleted stay in the lake"},
	{"truncate", 1, OPTION_ENUM, 0, 0, removal_names, "do rows that are truncated stay in the lake"},
	{"history", 1, OPTION_ENUM, 0, 0, history_names, "is every change kept, beside the mirror or instead of it"},
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

static void
apply_policy(WriteOptions *w, int64 value)
{
	w->policy = (ConvertPolicy) value;
}

static void
apply_sql_ascii(WriteOptions *w, int64 value)
{
	w->text_bytes = value != 0;
}

static void
apply_row_security(WriteOptions *w, int64 value)
{
	w->row_security_ignored = value != 0;
}

static void
apply_delete(WriteOptions *w, int64 value)
{
	w->keep_deleted = value != 0;
}

static void
apply_truncate(WriteOptions *w, int64 value)
{
	w->keep_truncated = value != 0;
}

static void
apply_history(WriteOptions *w, int64 value)
{
	w->history = (HistoryMode) value;
}

/* In the order of specs. */
static void (*const appliers[]) (WriteOptions *, int64) = {
	apply_codec, apply_level, apply_encoding, apply_row_group_rows,
	apply_row_group_bytes, apply_page_bytes, apply_file_bytes, apply_policy, apply_sql_ascii,
	apply_row_security, apply_delete, apply_truncate, apply_history
};

/* column.NAME=TYPE; NULL when it is another option. */
static ColumnOption *
parse_column(const char *text)
{
	ColumnOption *column;
	const char *eq = strrchr(text, '=');

	if (strncmp(text, COLUMN_PREFIX, strlen(COLUMN_PREFIX)) != 0 || eq == NULL)
		return NULL;
	text += strlen(COLUMN_PREFIX);
	column = palloc0(sizeof(ColumnOption));
	strlcpy(column->name, text, Min((size_t) (eq - text) + 1, NAMEDATALEN));
	if (!lake_type_parse(eq + 1, &column->type))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid lake type \"%s\" for column \"%s\"", eq + 1, column->name),
				 errhint("Write for instance string, double or decimal(38, 9).")));
	return column;
}

static const ColumnOption *
find_column(List *columns, const char *name)
{
	ListCell   *lc;

	foreach(lc, columns)
	{
		ColumnOption *column = lfirst(lc);

		if (strcmp(column->name, name) == 0)
			return column;
	}
	return NULL;
}

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
	List	   *columns = NIL;

	foreach(lc, options)
	{
		ColumnOption *column = parse_column(lfirst(lc));
		const OptionSpec *spec;
		char	   *value;

		if (column != NULL)
		{
			if (find_column(columns, column->name) != NULL)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("option \"%s%s\" provided more than once", COLUMN_PREFIX, column->name)));
			columns = lappend(columns, column);
			continue;
		}
		spec = parse(lfirst(lc), &value);
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
		ColumnOption *column = parse_column(lfirst(lc));
		const OptionSpec *spec;
		char	   *value;

		if (column != NULL)
		{
			out->columns = lappend(out->columns, column);
			continue;
		}
		spec = parse(lfirst(lc), &value);
		appliers[spec - specs] (out, option_value(spec, value));
	}
}

void
registry_write_options(List *pipeline_options, List *table_options, WriteOptions *out)
{
	List	   *pipeline_columns;

	parquet_writer_defaults(&out->parquet);
	out->encoding = PARQUET_ENCODING_AUTO;
	out->file_bytes = UINT64CONST(512) * 1024 * 1024;
	out->policy = CONVERT_ERROR;
	out->text_bytes = false;
	out->keep_deleted = out->keep_truncated = false;
	out->history = HISTORY_NONE;
	out->columns = NIL;
	apply_list(pipeline_options, out);
	pipeline_columns = out->columns;
	out->columns = NIL;
	apply_list(table_options, out);
	out->columns = list_concat(out->columns, pipeline_columns);
}

void
write_options_column(const WriteOptions *w, const char *name, bool exact, ConvertOptions *out)
{
	const ColumnOption *column = find_column(w->columns, name);

	memset(out, 0, sizeof(*out));
	/* such a column is a key: made null or clamped it would be another row's */
	out->policy = exact ? CONVERT_ERROR : w->policy;
	out->text_bytes = w->text_bytes;
	out->typed = column != NULL;
	if (column != NULL)
		out->type = column->type;
}

static void
append_option(StringInfo out, const char *prefix, const char *name, const char *value)
{
	appendStringInfo(out, "%s%s%s=%s", out->len > 0 ? ", " : "", prefix, name, value);
}

char *
write_options_values(const WriteOptions *w)
{
	StringInfoData out;
	ListCell   *lc;

	initStringInfo(&out);
	if (w->policy != CONVERT_ERROR)
		append_option(&out, "", "unsupported_values", policy_names[w->policy]);
	if (w->text_bytes)
		append_option(&out, "", "sql_ascii", "bytes");
	foreach(lc, w->columns)
	{
		const ColumnOption *column = lfirst(lc);

		append_option(&out, COLUMN_PREFIX, column->name, lake_type_name(column->type));
	}
	return out.len > 0 ? out.data : NULL;
}

void
write_options_copy(WriteOptions *to, const WriteOptions *from, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ListCell   *lc;

	list_free_deep(to->columns);
	*to = *from;
	to->columns = NIL;
	foreach(lc, from->columns)
	{
		ColumnOption *column = palloc(sizeof(ColumnOption));

		*column = *(ColumnOption *) lfirst(lc);
		to->columns = lappend(to->columns, column);
	}
	MemoryContextSwitchTo(old);
}
