/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  Parquet files into ColumnVectors.
 *
 * parquet_reader_open reads and checks the footer; columns of a row group
 * are then read whole or by row ranges (pages outside are neither fetched
 * nor decompressed when the file has an offset index).  A leaf of a list or
 * map is listed with `supported` false: its entries are read with their
 * levels, and put together to rows by parquet/assemble.h.
 *
 * Every length and offset from the file is checked against what remains
 * before use.  Damage raises ERRCODE_DATA_CORRUPTED:
 * could not read Parquet file "%s": ..., detail: Column "%s", row group %d, offset %llu.
 * CRCs are checked where the file has them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PARQUET_READER_H
#define TARN_PARQUET_READER_H

#include "postgres.h"

#include "column/vector.h"

/* Where the bytes come from: exactly `size` bytes at `offset`, or an error raised. */
typedef struct ParquetInput
{
	void		(*read) (void *arg, uint64 offset, size_t size, void *buffer);
	void	   *arg;
	uint64		size;			/* of the file */
	const char *name;			/* for messages */
	/* told which bytes will be read soon, when there are several reads to come; may be NULL */
	void		(*prefetch) (void *arg, uint64 offset, size_t size);
} ParquetInput;

typedef struct ParquetLeaf
{
	char	   *name;			/* dotted path */
	int			field_id;		/* -1 when the file has none */
	LakeType	type;			/* what the file's physical and logical type mean */
	bool		required;
	bool		supported;		/* can be read as a flat column */
	bool		entries;		/* can be read as entries with levels */
	const char *reason;			/* when not supported */
} ParquetLeaf;

/* An element of the file's schema. */
typedef struct ParquetNode
{
	const char *name;
	int			field_id;		/* -1: none */
	bool		optional;
	bool		repeated;
	bool		list;			/* annotated as one */
	bool		map;
	int			definition;		/* definition level where it is there */
	int			depth;			/* repeated nodes down to it, itself included */
	int			leaf;			/* -1: a group */
	struct ParquetNode *children;
	struct ParquetNode *next;	/* sibling */
} ParquetNode;

/* Entries of a leaf: its values and what is missing between them. */
typedef struct ParquetEntries
{
	ColumnVector *v;			/* plain, of the leaf's type; null where the definition level is not the highest */
	uint8	   *repetition;		/* by entry */
	uint8	   *definition;
	uint32		room;			/* of both */
} ParquetEntries;

/* Statistics of a column chunk or page, in the leaf's type. */
typedef struct ParquetBounds
{
	bool		has_bounds;
	bool		exact;			/* false: truncated, still bounds */
	LakeValue	lower;
	LakeValue	upper;
	int64		null_count;		/* -1 unknown */
	int64		value_count;	/* nulls included */
} ParquetBounds;

typedef struct ParquetReader ParquetReader;

/* Bytes at the end of a file that parquet_reader_open reads first: mostly the footer is among them. */
#define PARQUET_FOOTER_GUESS (64 * 1024)

/* In a context of its own, child of the current one. */
extern ParquetReader *parquet_reader_open(const ParquetInput *input);
extern void parquet_reader_close(ParquetReader *r);

extern int	parquet_reader_nleaves(const ParquetReader *r);
extern const ParquetLeaf *parquet_reader_leaf(const ParquetReader *r, int leaf);
extern int	parquet_reader_nrow_groups(const ParquetReader *r);
extern uint64 parquet_reader_group_rows(const ParquetReader *r, int group);
extern uint64 parquet_reader_group_first_row(const ParquetReader *r, int group);	/* position of its first row in the file */

/* Statistics of a chunk; has_bounds false when there are none that can be trusted. */
extern void parquet_reader_bounds(ParquetReader *r, int group, int leaf, ParquetBounds *bounds);

/*
 * Rows of the pages of a column chunk by the page index: returns the number
 * of pages, 0 without an index.  first_rows[i] is relative to the group.
 */
extern int	parquet_reader_pages(ParquetReader *r, int group, int leaf,
								 const uint32 **first_rows, const ParquetBounds **bounds);

/*
 * Reads one column of a row group into `v` (initialised by the caller with
 * the leaf's type; reset here).  `ranges` are nranges pairs (first row, row
 * count) relative to the group, ascending and disjoint; NULL for all rows.
 * Only those rows are in `v`, in order.  With `keep_dictionary` the vector
 * comes in dictionary form when every page read was dictionary-encoded.
 */
extern void parquet_reader_column(ParquetReader *r, int group, int leaf,
								  const uint32 *ranges, int nranges,
								  bool keep_dictionary, ColumnVector *v);

/* The root of the file's schema. */
extern const ParquetNode *parquet_reader_root(const ParquetReader *r);

/* How many entries that are, as the metadata says unchecked. */
extern int64 parquet_reader_chunk_values(const ParquetReader *r, int group, int leaf);

/* All entries of a leaf in a row group.  The caller has made e->v; the rest, zero at first, is kept beside it. */
extern void parquet_reader_entries(ParquetReader *r, int group, int leaf, ParquetEntries *e);

/* Compressed bytes of a chunk, for costs and EXPLAIN. */
extern uint64 parquet_reader_chunk_bytes(const ParquetReader *r, int group, int leaf);

/* Where these bytes begin, as the metadata says unchecked: for hints to the store. */
extern uint64 parquet_reader_chunk_start(const ParquetReader *r, int group, int leaf);

/* Value of a key in the footer's key-value metadata, or NULL. */
extern const char *parquet_reader_meta(const ParquetReader *r, const char *key);

#endif							/* TARN_PARQUET_READER_H */
