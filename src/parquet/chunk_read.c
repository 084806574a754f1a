/*-------------------------------------------------------------------------
 *
 * chunk_read.c
 *	  A column chunk, whole or by row ranges, into a vector.
 *
 * Without ranges a chunk is one read.  With ranges and an offset index only
 * the dictionary and the pages that hold wanted rows are fetched, neighbours
 * in one request; without an index the chunk is fetched and its pages are
 * walked, those not wanted without being decompressed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/reader_internal.h"

/* Bytes not wanted that are fetched rather than paying for another request. */
#define FETCH_GAP (64 * 1024)

/* Rows a vector is made for at first; more as pages show that there are more. */
#define FIRST_ROWS (1024 * 1024)

/* Bytes of the file into the reader's buffer. */
static const uint8 *
fetch(ChunkReader *c, uint64 offset, size_t size)
{
	ParquetReader *r = c->reader;
	uint8	   *data = reader_buffer_reserve(r, &r->chunk, size);

	r->input.read(r->input.arg, offset, size, data);
	return data;
}

/* All pages in `size` bytes at `offset`. */
static void
read_pages(ChunkReader *c, uint64 offset, size_t size)
{
	const uint8 *data = fetch(c, offset, size);
	size_t		at = 0;

	while (at < size && c->next_row < c->group_rows)
		at += chunk_read_page(c, data + at, size - at, offset + at);
}

/* Does any range touch rows [first, end)?  *range moves on to the first that does not end before. */
static bool
rows_wanted(const ChunkReader *c, int *range, uint32 first, uint32 end)
{
	while (*range < c->nranges && chunk_range_passed(c, *range, first))
		(*range)++;
	return *range < c->nranges && c->ranges[*range * 2] < end;
}

/* Pages [first, end) of the index, which lie close together. */
typedef struct PageRun
{
	int			first;
	int			end;
} PageRun;

static uint64
run_offset(const ReaderPages *pages, PageRun run)
{
	return (uint64) pages->offsets.locations[run.first].offset;
}

static size_t
run_size(const ReaderPages *pages, PageRun run)
{
	const ParquetPageLocation *last = &pages->offsets.locations[run.end - 1];

	return (size_t) ((uint64) last->offset + (uint64) last->compressed_page_size -
					 run_offset(pages, run));
}

/*
 * Reads pages of the index in one request.  Each page must begin with the row
 * the index says.
 */
static void
read_indexed_pages(ChunkReader *c, const ReaderPages *pages, PageRun run)
{
	const ParquetPageLocation *l = pages->offsets.locations;
	uint64		offset = run_offset(pages, run);
	const uint8 *data = fetch(c, offset, run_size(pages, run));

	for (int i = run.first; i < run.end; i++)
	{
		uint64		at = (uint64) l[i].offset - offset;
		size_t		used;

		c->next_row = pages->first_rows[i];
		used = chunk_read_page(c, data + at, (size_t) l[i].compressed_page_size, offset + at);
		if (used != (size_t) l[i].compressed_page_size || c->next_row != pages->first_rows[i + 1])
			parquet_fail(&c->place, "page of %zu bytes up to row %u, but the offset index has %d bytes up to row %u",
						 used, c->next_row, l[i].compressed_page_size, pages->first_rows[i + 1]);
	}
}

/* The wanted pages, in runs; returns how many runs. */
static int
find_runs(const ChunkReader *c, const ReaderPages *pages, PageRun *runs)
{
	const ParquetPageLocation *l = pages->offsets.locations;
	int			range = 0;
	int			n = 0;

	for (int i = 0; i < pages->npages; i++)
	{
		const ParquetPageLocation *last;

		if (!rows_wanted(c, &range, pages->first_rows[i], pages->first_rows[i + 1]))
			continue;
		last = n > 0 ? &l[runs[n - 1].end - 1] : NULL;
		if (last == NULL || l[i].offset - (last->offset + last->compressed_page_size) > FETCH_GAP)
			runs[n++].first = i;
		runs[n - 1].end = i + 1;
	}
	return n;
}

static void
read_ranges(ChunkReader *c, const ReaderPages *pages, uint64 start)
{
	const ParquetInput *input = &c->reader->input;
	PageRun    *runs = palloc_extended(Max(pages->npages, 1) * sizeof(PageRun), MCXT_ALLOC_HUGE);
	int			nruns = find_runs(c, pages, runs);
	uint64		data_start = (uint64) pages->offsets.locations[0].offset;
	size_t		dictionary = data_start > start ? (size_t) (data_start - start) : 0;

	if (input->prefetch != NULL && nruns + (dictionary > 0) > 1)
	{
		if (dictionary > 0)
			input->prefetch(input->arg, start, dictionary);
		for (int i = 0; i < nruns; i++)
			input->prefetch(input->arg, run_offset(pages, runs[i]), run_size(pages, runs[i]));
	}

	/* what lies before the first data page is the dictionary */
	if (dictionary > 0)
		(void) chunk_read_page(c, fetch(c, start, dictionary), dictionary, start);
	for (int i = 0; i < nruns; i++)
		read_indexed_pages(c, pages, runs[i]);
	pfree(runs);
}

static uint64
count_rows(const ChunkReader *c)
{
	uint64		rows = 0;

	if (c->ranges == NULL)
		return c->group_rows;
	for (int i = 0; i < c->nranges; i++)
	{
		uint32		first = c->ranges[i * 2];
		uint32		count = c->ranges[i * 2 + 1];

		if ((uint64) first + count > c->group_rows)
			elog(ERROR, "rows %u to " UINT64_FORMAT " of a row group of %u",
				 first, (uint64) first + count, c->group_rows);
		rows += count;
	}
	return rows;
}

/*
 * The vector as it was left by an earlier call: codes are kept for reuse, a
 * dictionary is not (the next one has another size).
 */
static void
prepare_vector(ChunkReader *c, uint64 rows)
{
	ColumnVector *v = c->v;
	uint32	   *codes = v->codes;

	if (v->dictionary != NULL)
	{
		column_vector_free(v->dictionary);
		pfree(v->dictionary);
		v->dictionary = NULL;
	}
	v->codes = NULL;
	column_vector_reset(v);
	column_vector_reserve(v, (uint32) Min(rows, FIRST_ROWS));
	if (c->coded)
		v->codes = codes;
	else if (codes != NULL)
		pfree(codes);
}

/* Hands the dictionary over with the codes, or looks up what is left. */
static void
finish_vector(ChunkReader *c)
{
	ColumnVector *v = c->v;

	if (c->coded && v->codes != NULL && c->dictionary != NULL && c->dictionary->length > 0 && v->length > 0)
	{
		v->dictionary = c->dictionary;
		return;
	}
	if (v->codes != NULL)
	{
		/* nulls only, or nothing at all */
		pfree(v->codes);
		v->codes = NULL;
		if (v->layout == LAYOUT_BYTES)
			memset(v->offsets, 0, ((size_t) v->length + 1) * sizeof(uint32));
		else
			memset(v->values, 0, (size_t) v->length * v->width);
	}
	if (c->dictionary != NULL)
	{
		column_vector_free(c->dictionary);
		pfree(c->dictionary);
	}
}

void
parquet_reader_column(ParquetReader *r, int group, int leaf,
					  const uint32 *ranges, int nranges,
					  bool keep_dictionary, ColumnVector *v)
{
	ChunkReader c = {.reader = r, .leaf = &r->leaves[leaf], .v = v,
		.coded = keep_dictionary, .ranges = ranges, .nranges = nranges};
	const ReaderPages *pages = NULL;
	MemoryContext old = MemoryContextSwitchTo(r->context);
	uint64		start;
	uint64		rows;

	c.meta = reader_chunk(r, group, leaf, &start);
	c.group_rows = (uint32) r->meta.row_groups[group].num_rows;
	reader_place(r, group, leaf, start, &c.place);
	if (!c.leaf->pub.supported)
		parquet_refuse(&c.place, "column cannot be read: %s", c.leaf->pub.reason);
	rows = count_rows(&c);
	prepare_vector(&c, rows);
	if (ranges != NULL && rows > 0)
		pages = reader_page_index(r, group, leaf);
	if (pages != NULL && pages->npages > 0)
		read_ranges(&c, pages, start);
	else if (rows > 0)
		read_pages(&c, start, (size_t) c.meta->total_compressed_size);
	if (v->length != rows)
		parquet_fail(&c.place, "column chunk ends after %u of " UINT64_FORMAT " rows", v->length, rows);
	finish_vector(&c);
	MemoryContextSwitchTo(old);
}

void
parquet_reader_entries(ParquetReader *r, int group, int leaf, ParquetEntries *e)
{
	ChunkReader c = {.reader = r, .leaf = &r->leaves[leaf], .v = e->v, .entries = e};
	MemoryContext old = MemoryContextSwitchTo(r->context);
	uint64		start;
	const uint8 *data;
	size_t		size;
	size_t		at = 0;

	c.meta = reader_chunk(r, group, leaf, &start);
	c.group_rows = (uint32) r->meta.row_groups[group].num_rows;
	reader_place(r, group, leaf, start, &c.place);
	if (!c.leaf->pub.entries)
		parquet_refuse(&c.place, "column cannot be read: %s", c.leaf->pub.reason);
	if (c.meta->num_values < 0 || c.meta->num_values > PG_INT32_MAX)
		parquet_fail(&c.place, "column chunk of " INT64_FORMAT " values", c.meta->num_values);
	prepare_vector(&c, 0);
	size = (size_t) c.meta->total_compressed_size;
	data = fetch(&c, start, size);
	while (at < size && e->v->length < c.meta->num_values)
		at += chunk_read_page(&c, data + at, size - at, start + at);
	if (e->v->length != c.meta->num_values)
		parquet_fail(&c.place, "column chunk ends after %u of " INT64_FORMAT " values", e->v->length, c.meta->num_values);
	finish_vector(&c);
	MemoryContextSwitchTo(old);
}
