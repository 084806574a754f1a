/*-------------------------------------------------------------------------
 *
 * fuzz_deletes.c
 *	  Parquet files of any content as position delete files: whole, and for
 *	  one data file, when no other's positions are told.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fuzz.h"
#include "iceberg/deletes.h"

/* A run of equal values may honestly stand for millions of rows. */
#define MAX_ROWS 100000

static void
fuzz_read(void *arg, uint64 offset, size_t size, void *buffer)
{
	memcpy(buffer, (const uint8 *) arg + offset, size);
}

/* The first path told of. */
typedef struct FirstPath
{
	MemoryContext context;		/* the reader's own ends with it */
	char	   *path;
} FirstPath;

static void
see(const char *path, size_t path_size, const uint64 *positions, uint32 n, void *arg)
{
	FirstPath  *first = arg;

	if (first->path == NULL)
	{
		first->path = MemoryContextAlloc(first->context, path_size + 1);
		memcpy(first->path, path, path_size);
		first->path[path_size] = '\0';
	}
	for (uint32 i = 0; i < n; i++)
	{
		if (positions[i] > PG_INT64_MAX)
			abort();
	}
}

static void
see_only(const char *path, size_t path_size, const uint64 *positions, uint32 n, void *arg)
{
	if (strlen(arg) != path_size || memcmp(path, arg, path_size) != 0)
		abort();
}

static uint64
rows_of(const ParquetInput *input)
{
	ParquetReader *r = parquet_reader_open(input);
	uint64		rows = 0;

	for (int g = 0; g < parquet_reader_nrow_groups(r); g++)
		rows += Min(parquet_reader_group_rows(r, g), MAX_ROWS + 1);
	parquet_reader_close(r);
	return rows;
}

static void
read_deletes(const uint8_t *data, size_t size)
{
	ParquetInput input = {.read = fuzz_read, .arg = (void *) data, .size = size, .name = "fuzz"};
	FirstPath	first = {.context = CurrentMemoryContext};

	if (rows_of(&input) > MAX_ROWS)
		return;
	iceberg_deletes_read(&input, NULL, see, &first);
	if (first.path != NULL)
		iceberg_deletes_read(&input, first.path, see_only, first.path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(read_deletes, data, size);
}
