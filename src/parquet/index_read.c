/*-------------------------------------------------------------------------
 *
 * index_read.c
 *	  The page index of a column chunk: where its pages are, and their bounds.
 *
 * Read on first use and kept with the reader.  An offset index is believed
 * only when it is consistent (pages ascend in rows and bytes, and lie inside
 * the chunk); otherwise it is corruption, because rows would be lost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/cursor.h"
#include "parquet/metadata_read.h"
#include "parquet/reader_internal.h"

/* Reads the bytes of an index into the reader's context, and sets up a cursor. */
static void
index_bytes(ParquetReader *r, int group, int leaf, int64 offset, int32 length,
			const char *kind, Cursor *cursor)
{
	ParquetPlace place;
	uint8	   *data;

	reader_place(r, group, leaf, (uint64) Max(offset, 0), &place);
	if (offset < 0 || length < 0 || (uint64) offset > r->input.size ||
		(uint64) length > r->input.size - (uint64) offset)
		parquet_fail(&place, "%s of %d bytes exceeds the file of " UINT64_FORMAT,
					 kind, length, r->input.size);
	data = palloc_extended((size_t) length + 1, MCXT_ALLOC_HUGE);
	r->input.read(r->input.arg, (uint64) offset, (size_t) length, data);
	cursor_init(cursor, data, (size_t) length,
				psprintf("%s of column \"%s\", row group %d", kind, place.column, group),
				r->input.name, (uint64) offset);
}

static void
check_offsets(ParquetReader *r, int group, int leaf, ReaderPages *pages)
{
	uint64		start;
	const ParquetColumnMetaData *m = reader_chunk(r, group, leaf, &start);
	int64		end = (int64) start + m->total_compressed_size;
	int64		rows = r->meta.row_groups[group].num_rows;
	int64		at = (int64) start;
	ParquetPlace place;

	reader_place(r, group, leaf, start, &place);
	pages->first_rows = palloc_extended(((size_t) pages->offsets.npages + 1) * sizeof(uint32),
										MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < pages->offsets.npages; i++)
	{
		const ParquetPageLocation *l = &pages->offsets.locations[i];

		if (l->offset < at || l->compressed_page_size <= 0 || l->offset > end ||
			l->compressed_page_size > end - l->offset)
			parquet_fail(&place, "offset index has page %u of %d bytes at " INT64_FORMAT,
						 i, l->compressed_page_size, l->offset);
		at = l->offset + l->compressed_page_size;
		if (l->first_row_index < 0 || l->first_row_index > rows ||
			(i == 0 && l->first_row_index != 0) ||
			(i > 0 && l->first_row_index < pages->first_rows[i - 1]))
			parquet_fail(&place, "offset index has page %u begin with row " INT64_FORMAT,
						 i, l->first_row_index);
		pages->first_rows[i] = (uint32) l->first_row_index;
	}
	pages->first_rows[pages->offsets.npages] = (uint32) rows;
}

/* Bounds of each page; what the column index lacks is unknown. */
static void
page_bounds(ParquetReader *r, int group, int leaf, ReaderPages *pages)
{
	const ParquetColumnChunk *chunk = &r->meta.row_groups[group].columns[leaf];
	const ReaderLeaf *l = &r->leaves[leaf];
	ParquetColumnIndex index = {0};
	Cursor		cursor;

	if (chunk->column_index_offset > 0 && chunk->column_index_length > 0)
	{
		index_bytes(r, group, leaf, chunk->column_index_offset, chunk->column_index_length,
					"column index", &cursor);
		parquet_read_column_index(&cursor, &index);
		if (index.npages != pages->offsets.npages)
			cursor_fail(&cursor, "%u pages, but the offset index has %u",
						index.npages, pages->offsets.npages);
	}
	pages->bounds = palloc_extended(pages->offsets.npages * sizeof(ParquetBounds),
									MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < pages->offsets.npages; i++)
	{
		ParquetBounds *b = &pages->bounds[i];
		uint32		rows = pages->first_rows[i + 1] - pages->first_rows[i];

		b->value_count = rows;
		b->null_count = (l->max_level == 0) ? 0 : -1;
		if (index.npages == 0)
			continue;
		if (index.null_pages[i])
			b->null_count = rows;
		else if (index.null_counts != NULL && index.null_counts[i] >= 0 && index.null_counts[i] <= rows)
			b->null_count = index.null_counts[i];
		if (!index.null_pages[i] && l->ordered)
			b->has_bounds = reader_decode_bounds(l, &index.min_values[i], &index.max_values[i],
												 &b->lower, &b->upper);
	}
}

const ReaderPages *
reader_page_index(ParquetReader *r, int group, int leaf)
{
	ReaderPages **slot = &r->pages[(size_t) group * (size_t) r->nleaves + (size_t) leaf];
	const ParquetColumnChunk *chunk = &r->meta.row_groups[group].columns[leaf];
	MemoryContext old;
	ReaderPages *pages;
	Cursor		cursor;

	if (*slot != NULL)
		return *slot;
	old = MemoryContextSwitchTo(r->context);
	pages = palloc0(sizeof(ReaderPages));
	if (r->leaves[leaf].pub.supported &&
		chunk->offset_index_offset > 0 && chunk->offset_index_length > 0)
	{
		index_bytes(r, group, leaf, chunk->offset_index_offset, chunk->offset_index_length,
					"offset index", &cursor);
		parquet_read_offset_index(&cursor, &pages->offsets);
		check_offsets(r, group, leaf, pages);
		page_bounds(r, group, leaf, pages);
		pages->npages = (int) pages->offsets.npages;
	}
	*slot = pages;
	MemoryContextSwitchTo(old);
	return pages;
}

int
parquet_reader_pages(ParquetReader *r, int group, int leaf,
					 const uint32 **first_rows, const ParquetBounds **bounds)
{
	const ReaderPages *pages = reader_page_index(r, group, leaf);

	*first_rows = pages->first_rows;
	*bounds = pages->bounds;
	return pages->npages;
}
