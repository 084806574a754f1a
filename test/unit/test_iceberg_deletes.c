/*-------------------------------------------------------------------------
 *
 * test_iceberg_deletes.c
 *	  Position delete files: written, read whole and for one data file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/deletes.h"
#include "tap.h"

#define NPATHS 40

typedef struct Collected
{
	uint64		count[NPATHS];
	uint64		sum[NPATHS];
	uint64		last[NPATHS];
	bool		ordered;
} Collected;

typedef struct Input
{
	const char *data;
	uint64		bytes;			/* read */
} Input;

static char *
path_of(int i)
{
	return psprintf("s3://bucket/table/data/%012d.parquet", i);
}

static void
append(void *arg, const void *data, size_t size)
{
	appendBinaryStringInfo(arg, data, (int) size);
}

static void
read_bytes(void *arg, uint64 offset, size_t size, void *buffer)
{
	Input	   *in = arg;

	memcpy(buffer, in->data + offset, size);
	in->bytes += size;
}

static void
collect(const char *path, size_t path_size, const uint64 *positions, uint32 n, void *arg)
{
	Collected  *c = arg;
	int			i = atoi(path + path_size - strlen("000000000000.parquet"));

	for (uint32 k = 0; k < n; k++)
	{
		c->ordered &= c->count[i] == 0 || positions[k] > c->last[i];
		c->count[i]++;
		c->sum[i] += positions[k];
		c->last[i] = positions[k];
	}
}

/* File i has i * 1000 + 1 positions: 3, 10, 17, ... */
static uint64
positions_of(int i, uint64 *positions)
{
	uint64		n = (uint64) i * 1000 + 1;

	for (uint64 k = 0; k < n; k++)
		positions[k] = 3 + 7 * k;
	return n;
}

static uint64
sum_of(int i)
{
	uint64		n = (uint64) i * 1000 + 1;

	return 3 * n + 7 * (n * (n - 1) / 2);
}

static void
test_many_files(void)
{
	ParquetWriterOptions options;
	IcebergDeleteWriter *w;
	IcebergDataFile file;
	StringInfoData out;
	uint64	   *positions = palloc(sizeof(uint64) * (NPATHS * 1000 + 1));
	Input		in;
	ParquetInput input = {.read = read_bytes, .arg = &in, .name = "deletes.parquet"};
	Collected	all = {.ordered = true};
	Collected	one = {.ordered = true};
	Collected	none = {.ordered = true};
	bool		right = true;
	uint64		whole;
	uint64		total = 0;

	initStringInfo(&out);
	parquet_writer_defaults(&options);
	options.page_rows = 4096;
	w = iceberg_delete_writer_open(&options, append, &out);
	for (int i = 0; i < NPATHS; i++)
	{
		uint64		n = positions_of(i, positions);

		/* in two blocks */
		iceberg_delete_writer_add(w, path_of(i), positions, n / 2);
		iceberg_delete_writer_add(w, path_of(i), positions + n / 2, n - n / 2);
		total += n;
	}
	iceberg_delete_writer_finish(w, &file);
	is_int(file.record_count, total, "rows");
	is_int(file.file_size, out.len, "bytes");
	is_int(file.content, ICEBERG_POSITION_DELETES, "content");
	ok(file.referenced_data_file == NULL, "no single data file");
	is_int(file.metrics[1].field_id, ICEBERG_DELETE_PATH_ID, "metrics of the path");
	ok(file.metrics[1].lower_size == (int) strlen(path_of(0)) &&
	   memcmp(file.metrics[1].lower, path_of(0), file.metrics[1].lower_size) == 0, "lower path, whole");
	ok(memcmp(file.metrics[1].upper, path_of(NPATHS - 1), file.metrics[1].upper_size) == 0, "upper path, whole");

	in.data = out.data;
	in.bytes = 0;
	input.size = out.len;
	iceberg_deletes_read(&input, NULL, collect, &all);
	whole = in.bytes;
	for (int i = 0; i < NPATHS; i++)
		right &= all.count[i] == (uint64) i * 1000 + 1 && all.sum[i] == sum_of(i);
	ok(right && all.ordered, "every position of every file");

	in.bytes = 0;
	iceberg_deletes_read(&input, path_of(5), collect, &one);
	right = one.count[5] == 5001 && one.sum[5] == sum_of(5);
	for (int i = 0; i < NPATHS; i++)
		right &= i == 5 || one.count[i] == 0;
	ok(right && one.ordered, "the positions of one file");
	ok(in.bytes < whole / 2, "other pages are not read (%lld of %lld bytes)", (long long) in.bytes, (long long) whole);

	iceberg_deletes_read(&input, "s3://elsewhere", collect, &none);
	right = true;
	for (int i = 0; i < NPATHS; i++)
		right &= none.count[i] == 0;
	ok(right, "no positions of a file it does not know");
}

static void
test_one_file(void)
{
	ParquetWriterOptions options;
	IcebergDeleteWriter *w;
	IcebergDataFile file;
	StringInfoData out;
	uint64		positions[] = {1, 2, 5};

	initStringInfo(&out);
	parquet_writer_defaults(&options);
	w = iceberg_delete_writer_open(&options, append, &out);
	iceberg_delete_writer_add(w, path_of(3), positions, 3);
	iceberg_delete_writer_finish(w, &file);
	is_str(file.referenced_data_file, path_of(3), "the data file it is for");
	is_int(file.record_count, 3, "its rows");
	tap_corpus("fuzz_deletes", "one", out.data, (size_t) out.len);

	w = iceberg_delete_writer_open(&options, append, &out);
	iceberg_delete_writer_add(w, path_of(3), positions, 3);
	throws(ERRCODE_INTERNAL_ERROR, iceberg_delete_writer_add(w, path_of(2), positions, 3),
		   "order", "files out of order are refused");
}

int
main(void)
{
	test_many_files();
	test_one_file();
	return done();
}
