/*-------------------------------------------------------------------------
 *
 * test_parquet_writer.c
 *	  Every type, encoding and codec through the Parquet writer.
 *
 * With TARN_PARQUET_FILES set to a folder the files stay there, for
 * test/interop/parquet_files.py, which reads them with other engines and
 * computes the same values by the same formulas.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "parquet/writer.h"
#include "tap.h"

static const LakeType types[] = {
	{LAKE_BOOLEAN}, {LAKE_INT}, {LAKE_LONG}, {LAKE_FLOAT}, {LAKE_DOUBLE},
	{LAKE_DECIMAL, 9, 2}, {LAKE_DECIMAL, 18, 3}, {LAKE_DECIMAL, 38, 5},
	{LAKE_DATE}, {LAKE_TIME}, {LAKE_TIMESTAMP}, {LAKE_TIMESTAMPTZ},
	{LAKE_STRING}, {LAKE_UUID}, {LAKE_FIXED, 0, 0, 5}, {LAKE_BINARY}
};
#define NCOLUMNS ((int) lengthof(types))

/* The integer that all values of a row are made of: -999 .. 999. */
static int64
number(uint32 row)
{
	int64		x = (int64) row * INT64CONST(2654435761) % 1000;

	return row % 2 ? -x : x;
}

static bool
is_null(uint32 row, int column)
{
	return (row * 7 + column) % 5 == 0;
}

static void
append(ColumnVector *v, uint32 row)
{
	int64		x = number(row);
	char		text[64];

	switch (v->layout)
	{
		case LAYOUT_BOOL:
			column_append_bool(v, row % 3 == 0);
			break;
		case LAYOUT_INT32:
			column_append_int32(v, (int32) x);
			break;
		case LAYOUT_INT64:
			column_append_int64(v, v->type.id == LAKE_TIME ? Max(x, -x) : x * 1000003);
			break;
		case LAYOUT_INT128:
			column_append_int128(v, (int128) x * INT64CONST(1000000000000000000));
			break;
		case LAYOUT_FLOAT:
			column_append_float(v, x / 4.0f);
			break;
		case LAYOUT_DOUBLE:
			column_append_double(v, row * 0.125);
			break;
		case LAYOUT_FIXED:
			memset(text, (int) (row % 250), sizeof(text));
			column_append_fixed(v, text);
			break;
		case LAYOUT_BYTES:
			snprintf(text, sizeof(text), "value %u %d",
					 v->type.id == LAKE_STRING ? 0 : row, (int) x);
			column_append_bytes(v, text, (uint32) strlen(text));
			break;
	}
}

typedef struct Output
{
	FILE	   *file;
	uint64		size;
	char		tail[4];
} Output;

static void
output_write(void *arg, const void *data, size_t size)
{
	Output	   *o = arg;

	o->size += size;
	if (size >= 4)
		memcpy(o->tail, (const char *) data + size - 4, 4);
	if (o->file != NULL && fwrite(data, 1, size, o->file) != size)
		elog(ERROR, "could not write");
}

typedef struct Case
{
	uint32		rows;
	ParquetEncodingChoice encoding;
	CodecId		codec;
	bool		nulls;
	uint32		group_rows;
	uint32		batch;			/* rows of one append */
} Case;

static void
open_output(Output *o, const Case *c)
{
	const char *folder = getenv("TARN_PARQUET_FILES");

	memset(o, 0, sizeof(*o));
	if (folder == NULL)
		return;
	o->file = fopen(psprintf("%s/w_%u_%d_%d_%d_%u_%u.parquet", folder, c->rows, c->encoding,
							 c->codec, c->nulls, c->group_rows, c->batch), "wb");
	if (o->file == NULL)
		elog(ERROR, "could not open a file in \"%s\"", folder);
}

static ParquetFileSummary *
write_case(const Case *c, Output *o)
{
	ParquetColumn columns[NCOLUMNS];
	ColumnVector *vectors[NCOLUMNS];
	ParquetWriterOptions options;
	ParquetWriter *w;
	ParquetFileSummary *summary;
	const char *meta[] = {"key", "value", NULL};

	parquet_writer_defaults(&options);
	options.codec = c->codec;
	options.row_group_rows = c->group_rows;
	options.page_rows = 1000;
	for (int i = 0; i < NCOLUMNS; i++)
	{
		columns[i] = (ParquetColumn)
		{
			psprintf("c%d", i), i + 1, types[i], !c->nulls, c->encoding
		};
		vectors[i] = column_vector_create(CurrentMemoryContext, types[i], 0);
	}
	open_output(o, c);
	w = parquet_writer_open(columns, NCOLUMNS, &options, meta, output_write, o);
	for (uint32 done = 0; done < c->rows;)
	{
		uint32		n = Min(c->batch, c->rows - done);

		for (int i = 0; i < NCOLUMNS; i++)
		{
			column_vector_reset(vectors[i]);
			for (uint32 row = done; row < done + n; row++)
			{
				if (c->nulls && is_null(row, i))
					column_append_null(vectors[i]);
				else
					append(vectors[i], row);
			}
		}
		parquet_writer_append(w, vectors, n, NULL);
		done += n;
	}
	summary = parquet_writer_finish(w);
	parquet_writer_free(w);
	if (o->file != NULL)
		fclose(o->file);
	return summary;
}

static void
check_case(const Case *c)
{
	Output		o;
	ParquetFileSummary *s = write_case(c, &o);
	const char *label = psprintf("%u rows, encoding %d, codec %d%s", c->rows, c->encoding, c->codec,
								 c->nulls ? ", nulls" : "");
	int64		low = PG_INT64_MAX;
	int64		high = PG_INT64_MIN;
	uint64		nulls = 0;

	for (uint32 row = 0; row < c->rows; row++)
	{
		if (c->nulls && is_null(row, 1))
		{
			nulls++;
			continue;
		}
		low = Min(low, number(row));
		high = Max(high, number(row));
	}
	is_int(s->rows, c->rows, "%s: rows", label);
	is_int(s->file_bytes, o.size, "%s: size", label);
	ok(memcmp(o.tail, "PAR1", 4) == 0, "%s: magic", label);
	is_int(s->columns[1].null_count, nulls, "%s: nulls", label);
	if (c->rows > 0)
	{
		is_int(s->columns[1].lower.u.i64, low, "%s: lower bound", label);
		is_int(s->columns[1].upper.u.i64, high, "%s: upper bound", label);
	}
	else
		ok(!s->columns[1].has_bounds && s->nrow_groups == 0, "%s: no bounds", label);
}

/* NaN is no bound; the zeros span both signs; a whole long string stays in the summary. */
static void
test_bounds(void)
{
	ParquetColumn columns[] = {
		{"d", 1, {LAKE_DOUBLE}, false, PARQUET_ENCODING_AUTO},
		{"s", 2, {LAKE_STRING}, false, PARQUET_ENCODING_AUTO}
	};
	ColumnVector *v[2];
	ParquetWriterOptions options;
	ParquetFileSummary *s;
	ParquetWriter *w;
	Output		o = {0};
	char		text[200];
	uint64		rows = 0x6;		/* the second and the third */

	parquet_writer_defaults(&options);
	for (int i = 0; i < 2; i++)
		v[i] = column_vector_create(CurrentMemoryContext, columns[i].type, 0);
	memset(text, 'z', sizeof(text));
	column_append_double(v[0], -5);
	column_append_double(v[0], 0.0);
	column_append_double(v[0], strtod("nan", NULL));
	for (int i = 0; i < 3; i++)
		column_append_bytes(v[1], text, sizeof(text));
	w = parquet_writer_open(columns, 2, &options, NULL, output_write, &o);
	parquet_writer_append(w, v, 3, &rows);
	s = parquet_writer_finish(w);
	is_int(s->rows, 2, "only selected rows are written");
	is_int(s->columns[0].nan_count, 1, "NaN is counted");
	ok(s->columns[0].lower.u.f64 == 0 && signbit(s->columns[0].lower.u.f64), "lower zero is -0");
	ok(s->columns[0].upper.u.f64 == 0 && !signbit(s->columns[0].upper.u.f64), "upper zero is +0");
	is_int(s->columns[1].upper.u.bytes.size, sizeof(text), "the summary's bound is whole");
	parquet_writer_free(w);
}

static void
test_required(void)
{
	ParquetColumn column = {"r", 1, {LAKE_INT}, true, PARQUET_ENCODING_AUTO};
	ColumnVector *v = column_vector_create(CurrentMemoryContext, column.type, 0);
	ParquetWriterOptions options;
	ParquetWriter *w;
	Output		o = {0};

	parquet_writer_defaults(&options);
	column_append_null(v);
	w = parquet_writer_open(&column, 1, &options, NULL, output_write, &o);
	parquet_writer_append(w, &v, 1, NULL);
	throws(ERRCODE_INVALID_PARAMETER_VALUE, parquet_writer_finish(w), "required column \"r\"",
		   "null in a required column");
	parquet_writer_free(w);
}

int
main(void)
{
	static const CodecId codecs[] = {CODEC_NONE, CODEC_SNAPPY, CODEC_GZIP, CODEC_BROTLI, CODEC_ZSTD, CODEC_LZ4_RAW};

	for (int encoding = PARQUET_ENCODING_AUTO; encoding <= PARQUET_ENCODING_COMPACT; encoding++)
	{
		check_case(&(Case) {0, encoding, CODEC_ZSTD, false, 1000, 1000});
		check_case(&(Case) {5000, encoding, CODEC_ZSTD, false, 2000, 5000});
		check_case(&(Case) {5000, encoding, CODEC_ZSTD, true, 1777, 613});
		check_case(&(Case) {20000, encoding, CODEC_ZSTD, true, 9999, 20000});
	}
	for (size_t i = 0; i < lengthof(codecs); i++)
		check_case(&(Case) {3000, PARQUET_ENCODING_AUTO, codecs[i], true, 3000, 1000});
	test_bounds();
	test_required();
	return done();
}
