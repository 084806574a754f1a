/*-------------------------------------------------------------------------
 *
 * page_internal.h
 *	  A page of a column chunk on its way into a vector.
 *
 * page_read.c takes the header and says which rows are wanted; page_open.c
 * makes of the page's bytes its levels and its values; page_values.c decodes
 * the values to their slots.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PARQUET_PAGE_INTERNAL_H
#define TARN_PARQUET_PAGE_INTERNAL_H

#include "postgres.h"

#include "parquet/reader_internal.h"

/* A page once decompressed. */
typedef struct Page
{
	ParquetPageHeader header;
	uint32		rows;
	ParquetBlock repetition;	/* levels; empty in a flat column */
	ParquetBlock levels;		/* definition levels */
	ParquetBlock values;
	uint64	   *valid;			/* meaningful when present < rows */
	uint32		present;		/* rows that have a value */
} Page;

/* --- page_open.c --- */

/* Fails unless the page lies within the `left` bytes of the chunk, and decompresses to no more than it says. */
extern void page_check_size(ChunkReader *c, const ParquetPageHeader *h, size_t left);
extern void page_check_crc(ChunkReader *c, const ParquetPageHeader *h, const uint8 *data);

/* `in_size` bytes as stored to exactly `out_size` bytes; in place when they are not compressed. */
extern void page_decompress(ChunkReader *c, const uint8 *in, size_t in_size, size_t out_size,
							bool compressed, ParquetBlock *out);

/* Decompresses a data page whose header and rows are set, and reads its levels. */
extern void page_open(ChunkReader *c, const uint8 *data, Page *page);

/* --- page_values.c --- */

/* n values in one of the plain encodings to the end of `to`, which has room for them. */
extern void page_decode_values(ChunkReader *c, const ParquetBlock *block, ParquetEncoding encoding,
							   uint32 n, ColumnVector *to);

/* The page's rows to the slots behind c->v->length, nulls included. */
extern void page_fill_slots(ChunkReader *c, const Page *page);

#endif							/* TARN_PARQUET_PAGE_INTERNAL_H */
