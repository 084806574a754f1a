/*-------------------------------------------------------------------------
 *
 * test_parquet_reader.c
 *	  Files of the writer read back, by rows and by ranges; damaged files.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "parquet/reader.h"
#include "parquet/writer.h"
#include "tap.h"

#define ROWS 5000
#define NCOLUMNS 8

/* More than footer and page indexes of these files take. */
#define FOOTER_BYTES 6000

static uint64 state = 11;
static uint64 bytes_read;

static const ParquetColumn schema[NCOLUMNS] = {
	{.name = "flag", .field_id = 1, .type = {.id = LAKE_BOOLEAN}},
	{.name = "small", .field_id = 2, .type = {.id = LAKE_INT}},
	{.name = "big", .field_id = 3, .type = {.id = LAKE_LONG}, .required = true},
	{.name = "price", .field_id = 4, .type = {.id = LAKE_DECIMAL, .precision = 15, .scale = 2}},
	{.name = "huge", .field_id = 5, .type = {.id = LAKE_DECIMAL, .precision = 30, .scale = 0}},
	{.name = "ratio", .field_id = 6, .type = {.id = LAKE_DOUBLE}},
	{.name = "name", .field_id = 7, .type = {.id = LAKE_STRING}},
	{.name = "id", .field_id = 8, .type = {.id = LAKE_UUID}},
};

static void
append_output(void *arg, const void *data, size_t size)
{
	appendBinaryStringInfo(arg, data, (int) size);
}

static void
read_input(void *arg, uint64 offset, size_t size, void *buffer)
{
	StringInfo	file = arg;

	Assert(offset + size <= (uint64) file->len);
	memcpy(buffer, file->data + offset, size);
	bytes_read += size;
}

static LakeValue
make_value(LakeType type, uint32 row)
{
	static char text[64];
	LakeValue	v;
	uint64		r = tap_random(&state);

	memset(&v, 0, sizeof(v));
	switch (lake_type_layout(type))
	{
		case LAYOUT_BOOL:
			v.u.i64 = (int64) (r & 1);
			break;
		case LAYOUT_INT32:
			v.u.i64 = (int64) (r % 100);
			break;
		case LAYOUT_INT64:
			v.u.i64 = (type.id == LAKE_LONG) ? (int64) row * 3 : (int64) (r % 1000000);
			break;
		case LAYOUT_INT128:
			v.u.i128 = (int128) (r >> 1) * 1000 - PG_INT64_MAX;
			break;
		case LAYOUT_DOUBLE:
			v.u.f64 = (double) (r >> 40) / 7;
			break;
		case LAYOUT_BYTES:
			v.u.bytes.size = (uint32) snprintf(text, sizeof(text), "name %u of the table", (uint32) (r % 50));
			v.u.bytes.data = text;
			break;
		default:
			memset(text, 0, sizeof(text));
			memcpy(text, &r, sizeof(r));
			v.u.bytes.data = text;
			v.u.bytes.size = 16;
	}
	return v;
}

static ColumnVector **
make_columns(void)
{
	ColumnVector **columns = palloc(sizeof(ColumnVector *) * NCOLUMNS);

	for (int c = 0; c < NCOLUMNS; c++)
	{
		columns[c] = column_vector_create(CurrentMemoryContext, schema[c].type, ROWS);
		for (uint32 row = 0; row < ROWS; row++)
		{
			LakeValue	value = make_value(schema[c].type, row);

			value.isnull = !schema[c].required && tap_random(&state) % 7 == 0;
			column_vector_append_value(columns[c], &value);
		}
	}
	return columns;
}

static StringInfo
write_file(ColumnVector **columns, ParquetEncodingChoice encoding, int codec, uint32 page_rows, uint32 group_rows)
{
	static const char *const key_values[] = {"answer", "42", NULL};
	ParquetColumn chosen[NCOLUMNS];
	ParquetWriterOptions options;
	StringInfo	file = makeStringInfo();
	ParquetWriter *w;

	memcpy(chosen, schema, sizeof(schema));
	for (int c = 0; c < NCOLUMNS; c++)
		chosen[c].encoding = encoding;
	parquet_writer_defaults(&options);
	options.codec = codec;
	options.page_rows = page_rows;
	options.row_group_rows = group_rows;
	w = parquet_writer_open(chosen, NCOLUMNS, &options, key_values, append_output, file);
	parquet_writer_append(w, columns, ROWS, NULL);
	(void) parquet_writer_finish(w);
	parquet_writer_free(w);
	return file;
}

static ParquetReader *
open_file(StringInfo file)
{
	ParquetInput input = {.read = read_input, .arg = file, .size = (uint64) file->len, .name = "t.parquet"};

	return parquet_reader_open(&input);
}

static bool
same_row(const ColumnVector *a, uint32 i, const ColumnVector *b, uint32 j)
{
	LakeValue	x;
	LakeValue	y;

	column_vector_value(a, i, &x);
	column_vector_value(b, j, &y);
	if (x.isnull || y.isnull)
		return x.isnull && y.isnull;
	return lake_value_compare(a->type, &x, &y) == 0;
}

/* Rows of all groups against the source; returns how many differ. */
static int
compare_file(ParquetReader *r, ColumnVector **columns, bool keep_dictionary)
{
	int			wrong = 0;

	for (int c = 0; c < NCOLUMNS; c++)
	{
		ColumnVector *v = column_vector_create(CurrentMemoryContext, schema[c].type, 0);

		for (int g = 0; g < parquet_reader_nrow_groups(r); g++)
		{
			uint32		first = (uint32) parquet_reader_group_first_row(r, g);

			parquet_reader_column(r, g, c, NULL, 0, keep_dictionary, v);
			wrong += v->length != parquet_reader_group_rows(r, g);
			for (uint32 i = 0; i < v->length; i++)
				wrong += !same_row(v, i, columns[c], first + i);
		}
		column_vector_free(v);
		pfree(v);
	}
	return wrong;
}

/* Random ranges of the first row group. */
static int
compare_ranges(ParquetReader *r, ColumnVector **columns, uint32 rows, bool keep_dictionary)
{
	int			wrong = 0;

	for (int c = 0; c < NCOLUMNS; c++)
	{
		ColumnVector *v = column_vector_create(CurrentMemoryContext, schema[c].type, 0);
		uint32		ranges[40];
		int			nranges = 0;
		uint32		at = 0;
		uint32		k = 0;

		while (nranges < 20)
		{
			uint32		count = (uint32) (tap_random(&state) % 100);

			at += (uint32) (tap_random(&state) % 300);
			if (at + count > rows)
				break;
			ranges[nranges * 2] = at;
			ranges[nranges * 2 + 1] = count;
			nranges++;
			at += count;
		}
		parquet_reader_column(r, 0, c, ranges, nranges, keep_dictionary, v);
		for (int i = 0; i < nranges; i++)
		{
			for (uint32 row = 0; row < ranges[i * 2 + 1]; row++)
				wrong += !same_row(v, k++, columns[c], ranges[i * 2] + row);
		}
		wrong += k != v->length;
	}
	return wrong;
}

static void
test_round_trip(ColumnVector **columns)
{
	static const struct
	{
		ParquetEncodingChoice encoding;
		int			codec;
		const char *name;
	}			cases[] = {
		{PARQUET_ENCODING_AUTO, CODEC_ZSTD, "chosen encodings, zstd"},
		{PARQUET_ENCODING_PLAIN, CODEC_NONE, "plain, not compressed"},
		{PARQUET_ENCODING_COMPACT, CODEC_LZ4_RAW, "opt-in encodings, lz4"},
	};

	for (size_t i = 0; i < lengthof(cases); i++)
	{
		StringInfo	file = write_file(columns, cases[i].encoding, cases[i].codec, 700, 3000);
		ParquetReader *r = open_file(file);

		tap_corpus("fuzz_parquet_file", cases[i].name, file->data, (size_t) file->len);
		is_int(parquet_reader_nrow_groups(r), 2, "%s: row groups", cases[i].name);
		is_int(compare_file(r, columns, false), 0, "%s: rows", cases[i].name);
		is_int(compare_file(r, columns, true), 0, "%s: rows, dictionaries kept", cases[i].name);
		is_int(compare_ranges(r, columns, 3000, false), 0, "%s: ranges", cases[i].name);
		is_int(compare_ranges(r, columns, 3000, true), 0, "%s: ranges, dictionaries kept", cases[i].name);
		parquet_reader_close(r);
	}
}

static void
test_footer(ColumnVector **columns)
{
	StringInfo	file = write_file(columns, PARQUET_ENCODING_AUTO, CODEC_ZSTD, 700, ROWS);
	ParquetReader *r = open_file(file);
	const ParquetLeaf *leaf = parquet_reader_leaf(r, 3);
	const uint32 *first_rows;
	const ParquetBounds *pages;
	ParquetBounds bounds;
	ColumnVector *v = column_vector_create(CurrentMemoryContext, schema[2].type, 0);
	uint32		range[2] = {2100, 700};
	uint64		whole = parquet_reader_chunk_bytes(r, 0, 2);
	int			npages;

	is_int(parquet_reader_nleaves(r), NCOLUMNS, "leaves");
	is_str(leaf->name, "price", "name of a leaf");
	is_int(leaf->field_id, 4, "field id of a leaf");
	ok(lake_type_equal(leaf->type, schema[3].type) && !leaf->required, "type of a leaf");
	ok(parquet_reader_leaf(r, 2)->required, "a required leaf");
	is_str(parquet_reader_meta(r, "answer"), "42", "key-value metadata");
	ok(parquet_reader_meta(r, "question") == NULL, "metadata that is not there");
	parquet_reader_bounds(r, 0, 2, &bounds);
	ok(bounds.has_bounds && bounds.lower.u.i64 == 0 && bounds.upper.u.i64 == (ROWS - 1) * 3, "bounds of a chunk");
	is_int(bounds.null_count, 0, "null count of a chunk");
	npages = parquet_reader_pages(r, 0, 2, &first_rows, &pages);
	is_int(npages, (ROWS + 699) / 700, "pages");
	ok(first_rows[3] == 2100 && pages[3].has_bounds && pages[3].lower.u.i64 == 6300 &&
	   pages[3].upper.u.i64 == 8397, "bounds of a page");
	bytes_read = 0;
	parquet_reader_column(r, 0, 2, range, 1, false, v);
	ok(v->length == 700 && ((int64 *) v->values)[0] == 6300, "rows of one page");
	ok(bytes_read < whole / 3, "only that page is fetched");
	parquet_reader_close(r);
}

static void
read_all(StringInfo file)
{
	ParquetReader *r = open_file(file);
	ColumnVector *v;

	for (int c = 0; c < parquet_reader_nleaves(r); c++)
	{
		if (!parquet_reader_leaf(r, c)->supported)
			continue;
		v = column_vector_create(CurrentMemoryContext, parquet_reader_leaf(r, c)->type, 0);
		for (int g = 0; g < parquet_reader_nrow_groups(r); g++)
			parquet_reader_column(r, g, c, NULL, 0, true, v);
	}
	parquet_reader_close(r);
}

static StringInfo
copy_file(StringInfo file, int size)
{
	StringInfo	copy = makeStringInfo();

	appendBinaryStringInfo(copy, file->data, size);
	return copy;
}

static void
test_damage(ColumnVector **columns)
{
	StringInfo	file = write_file(columns, PARQUET_ENCODING_AUTO, CODEC_ZSTD, 700, ROWS);
	StringInfo	copy = copy_file(file, file->len);

	throws(ERRCODE_DATA_CORRUPTED, read_all(copy_file(file, 3)), "too short", "a file of 3 bytes");
	throws(ERRCODE_DATA_CORRUPTED, read_all(copy_file(file, file->len - 1)), "PAR1", "a file without its last byte");
	memset(copy->data + copy->len - 8, 0xff, 4);
	throws(ERRCODE_DATA_CORRUPTED, read_all(copy), "footer of 4294967295 bytes", "a footer longer than the file");
	copy = copy_file(file, file->len);
	copy->data[60] ^= 0x10;
	throws(ERRCODE_DATA_CORRUPTED, read_all(copy), "Column \"flag\", row group 0, offset 4", "a byte of the first page");
	throws(ERRCODE_DATA_CORRUPTED, read_all(copy), "checksum", "is seen by its checksum");
	memcpy(copy->data + copy->len - 4, "PARE", 4);
	throws(ERRCODE_FEATURE_NOT_SUPPORTED, read_all(copy), "encrypted", "an encrypted footer");
}

/*
 * One bit changed anywhere: either an error of damage, or rows; in a page,
 * which has a checksum, the rows as they were.
 */
static void
test_flips(ColumnVector **columns)
{
	StringInfo	file = write_file(columns, PARQUET_ENCODING_AUTO, CODEC_LZ4_RAW, 700, ROWS);
	volatile int other_errors = 0;
	volatile int errors = 0;
	volatile int wrong = 0;

	for (int round = 0; round < 400; round++)
	{
		MemoryContext context = CurrentMemoryContext;
		MemoryContext scratch = AllocSetContextCreate(context, "flip", ALLOCSET_DEFAULT_SIZES);
		/* half of them in the footer and the indexes, which are few of the bytes */
		int			at = (round % 2) ? (int) (tap_random(&state) % (uint64) file->len)
			: file->len - 1 - (int) (tap_random(&state) % FOOTER_BYTES);
		char		bit = (char) (1 << (tap_random(&state) % 8));

		MemoryContextSwitchTo(scratch);
		file->data[at] ^= bit;
		PG_TRY();
		{
			ParquetReader *r = open_file(file);

			/* the footer has no checksum, so a bit there may change what rows mean */
			if (compare_file(r, columns, round % 3 == 0) > 0 && at < file->len - FOOTER_BYTES)
				wrong++;
		}
		PG_CATCH();
		{
			ErrorData  *e;

			MemoryContextSwitchTo(scratch);
			e = CopyErrorData();
			FlushErrorState();
			errors++;
			other_errors += (e->sqlerrcode != ERRCODE_DATA_CORRUPTED &&
							 e->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED) ||
				strstr(e->message, "t.parquet") == NULL;
		}
		PG_END_TRY();
		file->data[at] ^= bit;
		MemoryContextSwitchTo(context);
		MemoryContextDelete(scratch);
	}
	ok(errors > 200, "%d of 400 flipped bits are errors", errors);
	is_int(other_errors, 0, "each names the file and says that it is damaged");
	is_int(wrong, 0, "flipped bits of pages never change rows");
}

int
main(void)
{
	ColumnVector **columns = make_columns();

	test_round_trip(columns);
	test_footer(columns);
	test_damage(columns);
	test_flips(columns);
	return tap_done();
}
