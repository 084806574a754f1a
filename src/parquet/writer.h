/*-------------------------------------------------------------------------
 *
 * writer.h
 *	  Parquet files from ColumnVectors.
 *
 * A writer gets batches of rows, one vector per column, gathers them to row
 * groups, and encodes a column of a row group at a time: dictionary (over
 * the whole row group) or plain, RLE levels, v1 data pages, compression,
 * CRC, statistics, page index, size statistics; then the footer.
 *
 * The output is anything with a write function; the file's bytes appear in
 * order, so a store may upload while the writer goes on.
 *
 * Memory: bounded by the rows of one row group as vectors (only when batches
 * are smaller than a row group; a batch that fills one is encoded in place)
 * plus one page, and the dictionary of one column.  All in a context of the writer's own,
 * child of the current one at parquet_writer_open.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PARQUET_WRITER_H
#define TARN_PARQUET_WRITER_H

#include "postgres.h"

#include "codec/codec.h"
#include "column/nested.h"

/* Encoding wish for one column. */
typedef enum ParquetEncodingChoice
{
	PARQUET_ENCODING_AUTO,		/* dictionary where it pays, else plain */
	PARQUET_ENCODING_PLAIN,
	PARQUET_ENCODING_DELTA,		/* ints: DELTA_BINARY_PACKED; text: DELTA_LENGTH_BYTE_ARRAY */
	PARQUET_ENCODING_SPLIT,		/* BYTE_STREAM_SPLIT; DuckDB 1.5 reads it for floats only */
	PARQUET_ENCODING_COMPACT	/* the writer chooses among all of them by sample; mind the readers */
} ParquetEncodingChoice;

typedef struct ParquetColumn
{
	const char *name;
	int			field_id;
	LakeType	type;
	bool		required;
	ParquetEncodingChoice encoding;
	const LakeNode *node;		/* LAKE_NESTED: what it consists of; else NULL */
} ParquetColumn;

typedef struct ParquetWriterOptions
{
	CodecId		codec;			/* default zstd */
	int			level;			/* -1: 1 for zstd, 3 for its long text; else the codec's default */
	uint32		row_group_rows; /* default 512 * 1024 */
	uint64		row_group_bytes;	/* of vectors; default 128 MB; whichever comes first */
	uint32		page_bytes;		/* default 1 MB, uncompressed */
	uint32		page_rows;		/* default 128 * 1024 */
	uint64		dictionary_bytes;	/* a larger dictionary is not written; default 1 MB */
	bool		page_index;		/* default true */
	bool		crc;			/* default true */
} ParquetWriterOptions;

extern void parquet_writer_defaults(ParquetWriterOptions *options);

/* What a finished file tells its manifest entry; arrays by column. */
typedef struct ParquetColumnSummary
{
	uint64		compressed_bytes;	/* with page headers */
	uint64		value_count;	/* nulls included */
	uint64		null_count;
	uint64		nan_count;
	bool		has_bounds;		/* false: all null, or only NaN */
	LakeValue	lower;			/* exact; strings and binary whole, truncation is the caller's */
	LakeValue	upper;
	bool		nested;			/* nothing but the bytes is known */
} ParquetColumnSummary;

typedef struct ParquetFileSummary
{
	uint64		rows;
	uint64		file_bytes;
	int			nrow_groups;
	uint64	   *split_offsets;	/* first byte of each row group */
	int			ncolumns;
	ParquetColumnSummary *columns;
} ParquetFileSummary;

typedef void (*parquet_write_fn) (void *arg, const void *data, size_t size);

typedef struct ParquetWriter ParquetWriter;

/* key_values: key, value, ..., NULL for the footer's metadata, or NULL. */
extern ParquetWriter *parquet_writer_open(const ParquetColumn *columns, int ncolumns,
										  const ParquetWriterOptions *options,
										  const char *const *key_values,
										  parquet_write_fn write, void *arg);

/*
 * Appends the rows of a batch: columns[i] is plain and `nrows` long.  Only
 * those with a bit in `rows` when it is not NULL.  The vectors are not kept.
 */
extern void parquet_writer_append(ParquetWriter *w, ColumnVector *const *columns,
								  uint32 nrows, const uint64 *rows);

/*
 * The same, and ends the row group: the rows become one, encoded in place,
 * or as few of equal size as the limits allow.
 */
extern void parquet_writer_append_group(ParquetWriter *w, ColumnVector *const *columns,
										uint32 nrows, const uint64 *rows);

/* Bytes written so far plus an estimate of the open row group: for rolling files by size. */
extern uint64 parquet_writer_bytes(const ParquetWriter *w);

/* Writes the last row group and the footer.  The summary lives in the current context. */
extern ParquetFileSummary *parquet_writer_finish(ParquetWriter *w);

/* Frees everything; also after an error. */
extern void parquet_writer_free(ParquetWriter *w);

#endif							/* TARN_PARQUET_WRITER_H */
