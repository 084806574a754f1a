/*-------------------------------------------------------------------------
 *
 * parquet_dump.c
 *	  Prints a Parquet file as tarn's reader sees it, for comparison with
 *	  other engines' reading (test/interop/parquet_read.py).
 *
 *		parquet_dump FILE [dictionary] [ranges FIRST COUNT ...]
 *
 * Output: "leaf" lines (name, field id, type or reason), "bounds" and "page"
 * lines, then a "row" line for every row with tab-separated cells.  A cell is
 * "~" for null, else a value in a form that Python makes exactly: integers,
 * hexadecimal floats, hexadecimal bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/reader.h"
#include "utils/memutils.h"

typedef struct DumpOptions
{
	bool		keep_dictionary;
	uint32	   *ranges;
	int			nranges;
} DumpOptions;

static void
file_read(void *arg, uint64 offset, size_t size, void *buffer)
{
	FILE	   *f = arg;

	if (fseeko(f, (off_t) offset, SEEK_SET) != 0 || fread(buffer, 1, size, f) != size)
		ereport(ERROR, (errcode(ERRCODE_IO_ERROR), errmsg("could not read " UINT64_FORMAT " bytes", (uint64) size)));
}

static void
print_int128(int128 v)
{
	char		digits[48];
	int			n = 0;
	uint128		u = v < 0 ? -(uint128) v : (uint128) v;

	do
	{
		digits[n++] = (char) ('0' + (int) (u % 10));
		u /= 10;
	} while (u > 0);
	if (v < 0)
		putchar('-');
	while (n > 0)
		putchar(digits[--n]);
}

static void
print_value(const ColumnVector *v, LakeType type, const LakeValue *value)
{
	if (value->isnull)
	{
		putchar('~');
		return;
	}
	switch (lake_type_layout(type))
	{
		case LAYOUT_BOOL:
		case LAYOUT_INT32:
		case LAYOUT_INT64:
			printf(INT64_FORMAT, value->u.i64);
			break;
		case LAYOUT_INT128:
			print_int128(value->u.i128);
			break;
		case LAYOUT_FLOAT:
		case LAYOUT_DOUBLE:
			printf("%a", value->u.f64);
			break;
		case LAYOUT_FIXED:
		case LAYOUT_BYTES:
			putchar('x');
			for (uint32 i = 0; i < value->u.bytes.size; i++)
				printf("%02x", (uint8) value->u.bytes.data[i]);
			break;
	}
}

static void
print_bounds(const char *kind, int leaf, const ParquetLeaf *l, const ParquetBounds *b, uint32 first_row)
{
	printf("%s\t%d\t%u\t" INT64_FORMAT "\t" INT64_FORMAT "\t", kind, leaf, first_row, b->value_count, b->null_count);
	if (b->has_bounds)
	{
		print_value(NULL, l->type, &b->lower);
		putchar('\t');
		print_value(NULL, l->type, &b->upper);
		printf("\t%s", b->exact ? "exact" : "inexact");
	}
	else
		printf("none\tnone\tinexact");
	putchar('\n');
}

static void
dump_group(ParquetReader *r, int group, ColumnVector **columns, const DumpOptions *options)
{
	int			nleaves = parquet_reader_nleaves(r);
	uint32		rows = 0;

	for (int i = 0; i < nleaves; i++)
	{
		const ParquetLeaf *l = parquet_reader_leaf(r, i);
		const uint32 *first_rows;
		const ParquetBounds *page_bounds;
		ParquetBounds bounds;
		int			npages;

		if (!l->supported)
			continue;
		parquet_reader_bounds(r, group, i, &bounds);
		print_bounds("bounds", i, l, &bounds, 0);
		npages = parquet_reader_pages(r, group, i, &first_rows, &page_bounds);
		for (int p = 0; p < npages; p++)
			print_bounds("page", i, l, &page_bounds[p], first_rows[p]);
		parquet_reader_column(r, group, i, options->nranges ? options->ranges : NULL,
							  options->nranges, options->keep_dictionary, columns[i]);
		printf("form\t%d\t%s\n", i, columns[i]->codes ? "dictionary" : "plain");
		rows = columns[i]->length;
	}
	for (uint32 row = 0; row < rows; row++)
	{
		printf("row");
		for (int i = 0; i < nleaves; i++)
		{
			LakeValue	value;

			if (columns[i] == NULL)
				continue;
			column_vector_value(columns[i], row, &value);
			putchar('\t');
			print_value(columns[i], columns[i]->type, &value);
		}
		putchar('\n');
	}
}

static void
dump(const char *path, const DumpOptions *options)
{
	FILE	   *f = fopen(path, "rb");
	ParquetInput input = {.read = file_read, .arg = f, .name = path};
	ParquetReader *r;
	ColumnVector **columns;
	int			nleaves;

	if (f == NULL)
		ereport(ERROR, (errcode(ERRCODE_IO_ERROR), errmsg("could not open \"%s\"", path)));
	fseeko(f, 0, SEEK_END);
	input.size = (uint64) ftello(f);
	r = parquet_reader_open(&input);
	nleaves = parquet_reader_nleaves(r);
	columns = palloc0(sizeof(ColumnVector *) * (size_t) nleaves);
	for (int i = 0; i < nleaves; i++)
	{
		const ParquetLeaf *l = parquet_reader_leaf(r, i);

		printf("leaf\t%s\t%d\t%s\t%s\n", l->name, l->field_id,
			   l->supported ? lake_type_name(l->type) : l->reason,
			   !l->supported ? "unsupported" : l->required ? "required" : "optional");
		if (l->supported)
			columns[i] = column_vector_create(CurrentMemoryContext, l->type, 0);
	}
	for (int g = 0; g < parquet_reader_nrow_groups(r); g++)
		dump_group(r, g, columns, options);
	parquet_reader_close(r);
	fclose(f);
}

int
main(int argc, char **argv)
{
	volatile int status = 0;
	DumpOptions options = {0};

	if (argc < 2)
	{
		fprintf(stderr, "usage: %s FILE [dictionary] [ranges FIRST COUNT ...]\n", argv[0]);
		return 2;
	}
	options.ranges = palloc(sizeof(uint32) * (size_t) argc);
	for (int i = 2; i < argc; i++)
	{
		if (strcmp(argv[i], "dictionary") == 0)
			options.keep_dictionary = true;
		else if (strcmp(argv[i], "ranges") == 0)
		{
			for (i++; i + 1 < argc; i += 2)
			{
				options.ranges[options.nranges * 2] = (uint32) strtoul(argv[i], NULL, 10);
				options.ranges[options.nranges * 2 + 1] = (uint32) strtoul(argv[i + 1], NULL, 10);
				options.nranges++;
			}
		}
	}
	PG_TRY();
	{
		dump(argv[1], &options);
	}
	PG_CATCH();
	{
		ErrorData  *e = CopyErrorData();

		FlushErrorState();
		fprintf(stderr, "ERROR %s: %s (%s)\n", unpack_sql_state(e->sqlerrcode), e->message,
				e->detail ? e->detail : "");
		status = 1;
	}
	PG_END_TRY();
	return status;
}
