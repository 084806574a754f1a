/*-------------------------------------------------------------------------
 *
 * reader_internal.h
 *	  What the files of the Parquet reader share.
 *
 * reader.c opens and closes, schema_read.c says what each leaf is,
 * bounds_read.c and index_read.c read statistics, chunk_read.c finds the
 * pages of a column chunk, page_read.c decodes one into a vector
 * (page_internal.h), and vector_fill.c and value_convert.c move values to
 * their slots.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PARQUET_READER_INTERNAL_H
#define TARN_PARQUET_READER_INTERNAL_H

#include "postgres.h"

#include "parquet/decode.h"
#include "parquet/format.h"
#include "parquet/reader.h"

/* How a value in the file becomes one of the vector's layout. */
typedef enum ValueConversion
{
	CONVERT_NONE,				/* the bytes are the same */
	CONVERT_INT32_INT64,
	CONVERT_UINT32_INT64,
	CONVERT_MILLIS32,			/* to microseconds */
	CONVERT_MILLIS64,
	CONVERT_NANOS64,			/* to microseconds, exact or refused */
	CONVERT_INT96,				/* nanoseconds of a day and Julian day */
	CONVERT_BIG_ENDIAN_64,		/* two's complement of any width, to int64 */
	CONVERT_BIG_ENDIAN_128
} ValueConversion;

typedef struct ReaderLeaf
{
	ParquetLeaf pub;
	ParquetType physical;
	uint32		width;			/* bytes of a value in the file; 0 for BYTE_ARRAY */
	uint32		max_level;		/* highest definition level */
	uint32		max_repetition; /* highest repetition level */
	ValueConversion conversion;
	bool		is_unsigned;	/* order of an integer column */
	bool		ordered;		/* the file declares the type's own order */
} ReaderLeaf;

/* Page index of one chunk, as parquet_reader_pages gives it. */
typedef struct ReaderPages
{
	int			npages;			/* 0: none */
	ParquetOffsetIndex offsets;
	uint32	   *first_rows;		/* npages + 1; the last is the group's rows */
	ParquetBounds *bounds;
} ReaderPages;

/* A buffer that is reused and only grows; PARQUET_PADDING bytes follow its size. */
typedef struct ReaderBuffer
{
	void	   *data;
	size_t		size;
} ReaderBuffer;

struct ParquetReader
{
	MemoryContext context;
	ParquetInput input;
	ParquetFileMetaData meta;
	int			nleaves;
	ReaderLeaf *leaves;
	ParquetNode *root;
	uint64	   *first_rows;		/* by row group */
	ReaderPages **pages;		/* by row group and leaf; NULL: not read yet */
	/* reused from chunk to chunk */
	ReaderBuffer chunk;			/* bytes of the file */
	ReaderBuffer page;			/* a page decompressed */
	ReaderBuffer codes;			/* dictionary codes of a page */
	ReaderBuffer values;		/* values of a page before conversion */
	ReaderBuffer valid;			/* bitmap of a page's rows */
};

/* reader.c: at least `size` bytes; what was there is lost. */
extern void *reader_buffer_reserve(ParquetReader *r, ReaderBuffer *buffer, size_t size);

/* The chunk of a leaf in a row group, checked against file and schema. */
extern const ParquetColumnMetaData *reader_chunk(ParquetReader *r, int group, int leaf, uint64 *start);

/* Fills place for messages about a chunk. */
extern void reader_place(const ParquetReader *r, int group, int leaf, uint64 offset, ParquetPlace *place);

/* schema_read.c: fills r->leaves from the footer's schema. */
extern void reader_read_schema(ParquetReader *r);

/* bounds_read.c: a pair of bounds in PLAIN encoding to LakeValues; false if they cannot be trusted. */
extern bool reader_decode_bounds(const ReaderLeaf *leaf, const ParquetBytes *min, const ParquetBytes *max,
								 LakeValue *lower, LakeValue *upper);

/* index_read.c */
extern const ReaderPages *reader_page_index(ParquetReader *r, int group, int leaf);

/*
 * value_convert.c: n values of the leaf's physical type to its layout.  `in`
 * is an array of leaf->width bytes each or, for BYTE_ARRAY, bytes that
 * offsets[0..n] delimit.  Returns how many were converted: less than n means
 * that the value at that place has no exact form.
 */
extern uint32 reader_convert(const ReaderLeaf *leaf, const void *in, const uint32 *offsets,
							 uint32 n, void *out);

/* vector_fill.c: see there. */
extern uint32 *vector_codes(ColumnVector *v, uint32 rows, uint32 *old_codes);
extern uint32 codes_max(const uint32 *codes, uint32 n);
extern void vector_gather(ColumnVector *v, const ColumnVector *dictionary,
						  const uint32 *codes, uint32 n, const uint64 *valid);
extern void slots_spread(void *values, uint32 width, uint32 n, const uint64 *valid, uint32 present);
extern void offsets_spread(uint32 *offsets, uint32 n, const uint64 *valid, uint32 present);
extern void vector_keep_slots(ColumnVector *v, uint32 to, uint32 from, uint32 n);

/* page_read.c: one chunk being read into a vector. */
typedef struct ChunkReader
{
	ParquetReader *reader;
	const ReaderLeaf *leaf;
	const ParquetColumnMetaData *meta;
	ParquetPlace place;
	ColumnVector *v;
	ParquetEntries *entries;	/* entries with levels are wanted; else NULL, and a slot of v is a row */
	ColumnVector *dictionary;	/* in v's context; NULL until its page was read */
	bool		coded;			/* v is in dictionary form so far */
	uint32		group_rows;
	uint32		next_row;		/* first row of the next page */
	const uint32 *ranges;		/* pairs; NULL: all rows */
	int			nranges;
	int			range;			/* first range that does not end before next_row */
} ChunkReader;

/* Has range i nothing at or behind `row`? */
static inline bool
chunk_range_passed(const ChunkReader *c, int i, uint32 row)
{
	return c->ranges[i * 2 + 1] == 0 || (uint64) c->ranges[i * 2] + c->ranges[i * 2 + 1] <= row;
}

/* Reads the page at `data`, at most `left` bytes long with its header; returns its size. */
extern size_t chunk_read_page(ChunkReader *c, const uint8 *data, size_t left, uint64 offset);

#endif							/* TARN_PARQUET_READER_INTERNAL_H */
