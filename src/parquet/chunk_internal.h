/*-------------------------------------------------------------------------
 *
 * chunk_internal.h
 *	  A column chunk while it is written: chunk_write.c puts its pages out,
 *	  chunk_meta.c describes them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PARQUET_CHUNK_INTERNAL_H
#define TARN_PARQUET_CHUNK_INTERNAL_H

#include "postgres.h"

#include "parquet/write_internal.h"

typedef struct ChunkState
{
	const ParquetColumn *column;
	const ParquetWriterOptions *options;
	const Codec *codec;
	const ColumnVector *v;
	const ParquetShredLeaf *nested; /* or NULL; then an entry of v is a row */
	uint32		next_row;		/* of the next page */
	ParquetDense dense;
	ParquetPlan plan;
	ParquetScratch *scratch;
	ParquetSink *sink;
	ParquetChunkResult *result;
	uint32		npages;
	uint32		pages_room;
	ParquetPageLocation *locations;
	ParquetRange *ranges;		/* by page */
	uint32	   *rows;			/* by page */
	int64	   *unencoded;		/* by page */
} ChunkState;

/* The chunk's entry in the footer, when all pages are written. */
extern void chunk_fill_meta(ChunkState *s, int64 data_page_offset);

extern void chunk_make_offset_index(ChunkState *s);

/*
 * The column index must have bounds for each page that is not all null; a
 * page of NaN alone has none, and then there is no column index.
 */
extern void chunk_make_column_index(ChunkState *s);

#endif							/* TARN_PARQUET_CHUNK_INTERNAL_H */
