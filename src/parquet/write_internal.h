/*-------------------------------------------------------------------------
 *
 * write_internal.h
 *	  What the parts of the Parquet writer share.
 *
 * A column chunk is written in these steps, each a file:
 *
 *	 1. dense values: the non-null values of the slice in their physical
 *		form, without gaps (dense.c)
 *	 2. choice of encoding from a sample, and the dictionary when it pays
 *		(encoding_choice.c, dictionary.c)
 *	 3. pages: levels, encoded values, compression, CRC, header, statistics
 *		(chunk_write.c and chunk_meta.c with bit_pack.c, value_encode.c, delta_encode.c,
 *		statistics.c)
 *
 * Rows come by writer_append.c, row_group_write.c puts the chunks of a row
 * group together, and at the end comes the footer (writer.c, schema_write.c,
 * metadata_write.c).
 *
 * All work is a column at a time in buffers that the writer keeps from chunk
 * to chunk: giving megabytes back to the system and faulting them in again
 * cost more than the encoding itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PARQUET_WRITE_INTERNAL_H
#define TARN_PARQUET_WRITE_INTERNAL_H

#include "postgres.h"

#include "parquet/format.h"
#include "parquet/shred.h"
#include "parquet/writer.h"

/* A growing block of bytes; palloc's 1 GB limit does not apply. */
typedef struct ParquetBuffer
{
	MemoryContext context;
	char	   *data;
	size_t		size;
	size_t		capacity;
} ParquetBuffer;

/* Room for `more` bytes after `size`; returns where they go.  Content is kept. */
extern char *parquet_buffer_room(ParquetBuffer *b, size_t more);

/* At least `size` bytes of undefined content. */
extern void *parquet_buffer_scratch(ParquetBuffer *b, size_t size);

static inline void
parquet_buffer_append(ParquetBuffer *b, const void *data, size_t size)
{
	memcpy(parquet_buffer_room(b, size), data, size);
	b->size += size;
}

/*
 * Values without nulls in Parquet's physical form.  Fixed-width: `values`
 * holds count * width bytes (booleans one byte each).  BYTE_ARRAY: width 0,
 * value i is bytes[offsets[i] .. offsets[i + 1]).  64 readable bytes follow
 * either.
 */
typedef struct ParquetDense
{
	ParquetType physical;
	uint32		width;
	uint32		count;
	const char *values;
	const uint32 *offsets;
	const char *bytes;
	const char *wide;			/* decimals in FIXED_LEN_BYTE_ARRAY: the same as int128s */
} ParquetDense;

/* Distinct values of a chunk, and for each value its number. */
typedef struct ParquetDictionary
{
	ParquetDense entries;
	bool		sorted;			/* entries ascend in the column's order */
	int			bit_width;		/* of a code */
	uint32	   *codes;			/* one for each dense value */
} ParquetDictionary;

/* Min, max and counts of some rows of one column. */
typedef struct ParquetRange
{
	bool		has_bounds;
	LakeValue	lower;
	LakeValue	upper;
	uint64		nulls;
	uint64		nans;
} ParquetRange;

/* Buffers kept between chunks. */
typedef struct ParquetScratch
{
	ParquetBuffer values;		/* dense values */
	ParquetBuffer wide;			/* dense int128s */
	ParquetBuffer offsets;		/* dense offsets */
	ParquetBuffer codes;
	ParquetBuffer table;		/* hash table or direct map */
	ParquetBuffer entries;		/* dictionary's values */
	ParquetBuffer entry_offsets;
	ParquetBuffer order;		/* for sorting the dictionary */
	ParquetBuffer levels;		/* of a nested column's page */
	ParquetBuffer page;			/* uncompressed page */
	ParquetBuffer sample;		/* compressed sample */
	ParquetBuffer compressed;
} ParquetScratch;

extern void parquet_scratch_init(ParquetScratch *s, MemoryContext context);

/* dense.c */
extern void parquet_dense_init(ParquetDense *d, const ColumnVector *v, ParquetScratch *scratch);
extern uint64 parquet_dense_plain_bytes(const ParquetDense *d, uint32 from, uint32 to);
extern void parquet_slice(ColumnVector *slice, const ColumnVector *v, uint32 from, uint32 rows,
						  uint64 *bitmap);
extern void parquet_bits_slice(uint64 *to, const uint64 *from, uint32 first, uint32 n);

/* schema_write.c */
extern void parquet_schema_leaf(ParquetSchemaElement *e, const ParquetColumn *column);

/* bit_pack.c */
extern int	parquet_bit_width(uint64 max);
extern void parquet_put_varint(ParquetBuffer *out, uint64 v);
extern void parquet_bit_pack(const uint32 *in, size_t n, int width, ParquetBuffer *out);
extern void parquet_bit_pack64(const uint64 *in, size_t n, int width, ParquetBuffer *out);
extern void parquet_put_codes(const uint32 *codes, uint32 n, int width, ParquetBuffer *out);
extern void parquet_put_levels(const uint64 *valid, uint32 from, uint32 rows, uint32 nulls,
							   ParquetBuffer *out);
extern void parquet_put_nested_levels(const uint8 *levels, uint32 n, int max, ParquetBuffer *wide,
									  ParquetBuffer *out);

/* value_encode.c: values from..to-1 of d to the end of out */
typedef void (*parquet_encode_fn) (const ParquetDense *d, uint32 from, uint32 to, ParquetBuffer *out);
extern void parquet_encode_plain(const ParquetDense *d, uint32 from, uint32 to, ParquetBuffer *out);
extern void parquet_encode_split(const ParquetDense *d, uint32 from, uint32 to, ParquetBuffer *out);

/* delta_encode.c */
extern void parquet_encode_delta(const ParquetDense *d, uint32 from, uint32 to, ParquetBuffer *out);
extern void parquet_encode_delta_length(const ParquetDense *d, uint32 from, uint32 to, ParquetBuffer *out);

/*
 * dictionary.c: false when it would have more than max_entries or
 * max_bytes; `dict` then is undefined.  `type` gives the order.
 */
extern bool parquet_dictionary_build(const ParquetDense *d, LakeType type,
									 uint32 max_entries, uint64 max_bytes,
									 ParquetScratch *scratch, ParquetDictionary *dict);

/* statistics.c: bounds of values from..to-1, nulls not touched. */
extern void parquet_range_values(ParquetRange *r, LakeType type, const ParquetDense *d,
								 uint32 from, uint32 to);
extern void parquet_range_codes(ParquetRange *r, LakeType type, const ParquetDictionary *dict,
								uint32 from, uint32 to);
extern void parquet_range_merge(ParquetRange *to, LakeType type, const ParquetRange *from);

/*
 * A bound in Parquet's form, palloc'd; longer than 64 bytes it is cut (upper
 * bounds are raised) and *exact is false.
 */
extern ParquetBytes parquet_bound_bytes(LakeType type, const LakeValue *value, bool upper, bool *exact);

/* encoding_choice.c */
typedef struct ParquetPlan
{
	ParquetEncoding encoding;
	parquet_encode_fn encode;	/* NULL with a dictionary */
	int			level;			/* of compression */
	ParquetDictionary dict;
} ParquetPlan;

extern void parquet_plan(ParquetPlan *plan, const ParquetColumn *column,
						 const ParquetWriterOptions *options, const Codec *codec,
						 const ParquetDense *d, ParquetScratch *scratch);

/* chunk_write.c */
typedef struct ParquetSink
{
	parquet_write_fn write;
	void	   *arg;
	uint64		offset;			/* bytes written so far */
} ParquetSink;

static inline void
parquet_sink_put(ParquetSink *sink, const void *data, size_t size)
{
	sink->write(sink->arg, data, size);
	sink->offset += size;
}

/* What a chunk leaves for the footer and the end of the file. */
typedef struct ParquetChunkResult
{
	ParquetColumnChunk chunk;
	StringInfoData column_index;	/* data NULL without a page index */
	StringInfoData offset_index;
	ParquetRange range;			/* whole bounds, pointing into the vector */
} ParquetChunkResult;

/*
 * Writes rows of one column; the result's memory is the current context's.
 * `nested`: a leaf of a nested column, of which v is the values; else NULL.
 */
extern void parquet_chunk_write(ParquetChunkResult *result, const ParquetColumn *column,
								const ParquetWriterOptions *options, const Codec *codec,
								const ColumnVector *v, const ParquetShredLeaf *nested,
								ParquetScratch *scratch, ParquetSink *sink);

struct ParquetWriter
{
	MemoryContext context;		/* everything; child of the opener's */
	ParquetColumn *columns;
	int			ncolumns;
	ParquetShred **shreds;		/* by column: NULL unless nested */
	int			nleaves;
	ParquetWriterOptions options;
	const Codec *codec;
	ParquetSink sink;
	ParquetScratch scratch;
	ParquetBuffer bits;			/* validity of slices, and selections */
	ParquetFileMetaData meta;
	uint32		groups_room;
	ColumnVector *pending;		/* gathered rows, by column */
	uint32		pending_rows;
	ParquetColumnSummary *summaries;
	ParquetChunkResult **results;	/* by row group, an array by leaf: for the indexes */
};

/* --- row_group_write.c --- */

/*
 * Encodes rows first .. first + rows - 1 as a row group: of the vectors, or
 * where there are none of `own`, an array of them.
 */
extern void parquet_write_group(ParquetWriter *w, ColumnVector *const *vectors, ColumnVector *own,
								uint32 first, uint32 rows);

/* A bound that outlives the vector it points into; its bytes are the current context's. */
extern void parquet_keep_bound(LakeValue *to, const LakeValue *from, ColumnLayout layout);

/* --- writer_append.c --- */

/* The gathered rows: their bytes, and a row group of them. */
extern uint64 parquet_pending_bytes(const ParquetWriter *w);
extern void parquet_flush_pending(ParquetWriter *w);

#endif							/* TARN_PARQUET_WRITE_INTERNAL_H */
