/*-------------------------------------------------------------------------
 *
 * format.h
 *	  What stands in a Parquet file around the values: footer, page headers
 *	  and page indexes, as plain structs.
 *
 * One struct for each Thrift struct of the format (parquet.thrift in
 * apache/parquet-format), with the fields that tarn reads or writes.  The
 * reader's parser (metadata_read.c) fills them, the writer
 * (metadata_write.c) serialises them; nobody else knows field numbers.
 *
 * Optional fields: a pointer that is NULL, or a number that is -1 (offsets,
 * counts, lengths, enums, field ids) is absent; a bool beside the field says
 * so where -1 is a value.  parquet_*_init() below set everything to absent.
 *
 * Ownership: parsed structs live in the context that was current, and byte
 * strings in them are copies or point into the parsed block, as the parser
 * documents; the writer only reads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PARQUET_FORMAT_H
#define TARN_PARQUET_FORMAT_H

#include "postgres.h"

#include "lib/stringinfo.h"

#define PARQUET_MAGIC "PAR1"
#define PARQUET_MAGIC_SIZE 4

/* Length of the footer and the magic at the end of a file. */
#define PARQUET_TRAILER_SIZE 8

typedef enum ParquetType
{
	PARQUET_BOOLEAN = 0,
	PARQUET_INT32 = 1,
	PARQUET_INT64 = 2,
	PARQUET_INT96 = 3,
	PARQUET_FLOAT = 4,
	PARQUET_DOUBLE = 5,
	PARQUET_BYTE_ARRAY = 6,
	PARQUET_FIXED_LEN_BYTE_ARRAY = 7
} ParquetType;

typedef enum ParquetConvertedType
{
	PARQUET_CONVERTED_NONE = -1,
	PARQUET_CONVERTED_UTF8 = 0,
	PARQUET_CONVERTED_MAP = 1,
	PARQUET_CONVERTED_MAP_KEY_VALUE = 2,
	PARQUET_CONVERTED_LIST = 3,
	PARQUET_CONVERTED_ENUM = 4,
	PARQUET_CONVERTED_DECIMAL = 5,
	PARQUET_CONVERTED_DATE = 6,
	PARQUET_CONVERTED_TIME_MILLIS = 7,
	PARQUET_CONVERTED_TIME_MICROS = 8,
	PARQUET_CONVERTED_TIMESTAMP_MILLIS = 9,
	PARQUET_CONVERTED_TIMESTAMP_MICROS = 10,
	PARQUET_CONVERTED_UINT_8 = 11,
	PARQUET_CONVERTED_UINT_16 = 12,
	PARQUET_CONVERTED_UINT_32 = 13,
	PARQUET_CONVERTED_UINT_64 = 14,
	PARQUET_CONVERTED_INT_8 = 15,
	PARQUET_CONVERTED_INT_16 = 16,
	PARQUET_CONVERTED_INT_32 = 17,
	PARQUET_CONVERTED_INT_64 = 18,
	PARQUET_CONVERTED_JSON = 19,
	PARQUET_CONVERTED_BSON = 20,
	PARQUET_CONVERTED_INTERVAL = 21
} ParquetConvertedType;

typedef enum ParquetRepetition
{
	PARQUET_REPETITION_NONE = -1,	/* the root of the schema */
	PARQUET_REQUIRED = 0,
	PARQUET_OPTIONAL = 1,
	PARQUET_REPEATED = 2
} ParquetRepetition;

typedef enum ParquetEncoding
{
	PARQUET_PLAIN = 0,
	PARQUET_PLAIN_DICTIONARY = 2,
	PARQUET_RLE = 3,
	PARQUET_BIT_PACKED = 4,
	PARQUET_DELTA_BINARY_PACKED = 5,
	PARQUET_DELTA_LENGTH_BYTE_ARRAY = 6,
	PARQUET_DELTA_BYTE_ARRAY = 7,
	PARQUET_RLE_DICTIONARY = 8,
	PARQUET_BYTE_STREAM_SPLIT = 9
} ParquetEncoding;

typedef enum ParquetPageType
{
	PARQUET_DATA_PAGE = 0,
	PARQUET_INDEX_PAGE = 1,
	PARQUET_DICTIONARY_PAGE = 2,
	PARQUET_DATA_PAGE_V2 = 3
} ParquetPageType;

typedef enum ParquetBoundaryOrder
{
	PARQUET_UNORDERED = 0,
	PARQUET_ASCENDING = 1,
	PARQUET_DESCENDING = 2
} ParquetBoundaryOrder;

/* Field numbers of the union LogicalType. */
typedef enum ParquetLogicalKind
{
	PARQUET_LOGICAL_NONE = 0,
	PARQUET_LOGICAL_STRING = 1,
	PARQUET_LOGICAL_MAP = 2,
	PARQUET_LOGICAL_LIST = 3,
	PARQUET_LOGICAL_ENUM = 4,
	PARQUET_LOGICAL_DECIMAL = 5,
	PARQUET_LOGICAL_DATE = 6,
	PARQUET_LOGICAL_TIME = 7,
	PARQUET_LOGICAL_TIMESTAMP = 8,
	PARQUET_LOGICAL_INTEGER = 10,
	PARQUET_LOGICAL_UNKNOWN = 11,
	PARQUET_LOGICAL_JSON = 12,
	PARQUET_LOGICAL_BSON = 13,
	PARQUET_LOGICAL_UUID = 14,
	PARQUET_LOGICAL_FLOAT16 = 15,
	PARQUET_LOGICAL_VARIANT = 16,
	PARQUET_LOGICAL_GEOMETRY = 17,
	PARQUET_LOGICAL_GEOGRAPHY = 18
} ParquetLogicalKind;

/* Field numbers of the union TimeUnit. */
typedef enum ParquetTimeUnit
{
	PARQUET_MILLIS = 1,
	PARQUET_MICROS = 2,
	PARQUET_NANOS = 3
} ParquetTimeUnit;

typedef struct ParquetLogicalType
{
	ParquetLogicalKind kind;
	int32		scale;			/* DECIMAL */
	int32		precision;		/* DECIMAL */
	bool		adjusted_to_utc;	/* TIME, TIMESTAMP */
	ParquetTimeUnit unit;		/* TIME, TIMESTAMP */
	int8		bit_width;		/* INTEGER */
	bool		is_signed;		/* INTEGER */
} ParquetLogicalType;

typedef struct ParquetSchemaElement
{
	int32		type;			/* ParquetType; -1 for a group */
	int32		type_length;	/* FIXED_LEN_BYTE_ARRAY, else -1 */
	ParquetRepetition repetition;
	char	   *name;
	int32		num_children;	/* -1 for a leaf */
	ParquetConvertedType converted;
	int32		scale;			/* -1 absent */
	int32		precision;		/* -1 absent */
	bool		has_field_id;
	int32		field_id;
	ParquetLogicalType logical;
} ParquetSchemaElement;

/* A byte string; data NULL when absent. */
typedef struct ParquetBytes
{
	const char *data;
	uint32		size;
} ParquetBytes;

typedef struct ParquetStatistics
{
	ParquetBytes max;			/* deprecated pair: signed comparison; read only */
	ParquetBytes min;
	int64		null_count;		/* -1 absent */
	int64		distinct_count; /* -1 absent */
	ParquetBytes max_value;
	ParquetBytes min_value;
	bool		has_exact;		/* the two flags below are in the file */
	bool		is_max_value_exact;
	bool		is_min_value_exact;
	int64		nan_count;		/* -1 absent */
} ParquetStatistics;

typedef struct ParquetSizeStatistics
{
	int64		unencoded_bytes;	/* BYTE_ARRAY only, else -1 */
	uint32		nrepetition;	/* entries of the histogram, 0 absent */
	int64	   *repetition;
	uint32		ndefinition;
	int64	   *definition;
} ParquetSizeStatistics;

typedef struct ParquetPageEncodingStats
{
	ParquetPageType page_type;
	ParquetEncoding encoding;
	int32		count;
} ParquetPageEncodingStats;

typedef struct ParquetColumnMetaData
{
	ParquetType type;
	uint32		nencodings;
	ParquetEncoding *encodings;
	uint32		npath;
	char	  **path;
	int32		codec;			/* CodecId */
	int64		num_values;
	int64		total_uncompressed_size;	/* page headers included */
	int64		total_compressed_size;	/* page headers included */
	int64		data_page_offset;
	int64		index_page_offset;	/* -1 absent */
	int64		dictionary_page_offset; /* -1 absent */
	bool		has_statistics;
	ParquetStatistics statistics;
	uint32		nencoding_stats;
	ParquetPageEncodingStats *encoding_stats;
	int64		bloom_filter_offset;	/* -1 absent */
	int32		bloom_filter_length;	/* -1 absent */
	bool		has_size_statistics;
	ParquetSizeStatistics size_statistics;
} ParquetColumnMetaData;

typedef struct ParquetColumnChunk
{
	char	   *file_path;		/* NULL: this file */
	int64		file_offset;
	bool		has_meta_data;
	ParquetColumnMetaData meta_data;
	int64		offset_index_offset;	/* -1 absent */
	int32		offset_index_length;	/* -1 absent */
	int64		column_index_offset;	/* -1 absent */
	int32		column_index_length;	/* -1 absent */
	bool		encrypted;		/* crypto_metadata is there */
} ParquetColumnChunk;

typedef struct ParquetRowGroup
{
	uint32		ncolumns;
	ParquetColumnChunk *columns;
	int64		total_byte_size;
	int64		num_rows;
	int64		file_offset;	/* -1 absent */
	int64		total_compressed_size;	/* -1 absent */
	int32		ordinal;		/* -1 absent */
} ParquetRowGroup;

typedef struct ParquetKeyValue
{
	char	   *key;
	char	   *value;			/* NULL absent */
} ParquetKeyValue;

typedef struct ParquetFileMetaData
{
	int32		version;
	uint32		nschema;
	ParquetSchemaElement *schema;	/* depth first, root first */
	int64		num_rows;
	uint32		nrow_groups;
	ParquetRowGroup *row_groups;
	uint32		nkey_values;
	ParquetKeyValue *key_values;
	char	   *created_by;		/* NULL absent */
	uint32		ncolumn_orders;
	int32	   *column_orders;	/* by leaf: field number of the union, 1 = TYPE_ORDER; 0 unknown */
	bool		encrypted;		/* encryption_algorithm is there */
} ParquetFileMetaData;

typedef struct ParquetPageHeader
{
	ParquetPageType type;
	int32		uncompressed_size;	/* without this header */
	int32		compressed_size;
	bool		has_crc;
	uint32		crc;			/* of the page as stored */
	/* data pages (both versions) and dictionary pages */
	int32		num_values;
	ParquetEncoding encoding;
	/* DATA_PAGE */
	ParquetEncoding definition_encoding;
	ParquetEncoding repetition_encoding;
	/* DATA_PAGE_V2 */
	int32		num_nulls;
	int32		num_rows;
	int32		definition_bytes;
	int32		repetition_bytes;
	bool		is_compressed;	/* default true */
	/* both data pages */
	bool		has_statistics;
	ParquetStatistics statistics;
	/* DICTIONARY_PAGE */
	bool		is_sorted;
} ParquetPageHeader;

typedef struct ParquetPageLocation
{
	int64		offset;
	int32		compressed_page_size;	/* with the header */
	int64		first_row_index;
} ParquetPageLocation;

typedef struct ParquetOffsetIndex
{
	uint32		npages;
	ParquetPageLocation *locations;
	int64	   *unencoded_bytes;	/* npages entries, or NULL */
} ParquetOffsetIndex;

typedef struct ParquetColumnIndex
{
	uint32		npages;
	bool	   *null_pages;
	ParquetBytes *min_values;
	ParquetBytes *max_values;
	ParquetBoundaryOrder boundary_order;
	int64	   *null_counts;	/* npages entries, or NULL */
	uint32		ndefinition;	/* entries below: npages * (max level + 1), or 0 */
	int64	   *definition;
	int64	   *nan_counts;		/* npages entries, or NULL */
} ParquetColumnIndex;

/* Everything absent; the rest zero. */
static inline void
parquet_schema_element_init(ParquetSchemaElement *e)
{
	memset(e, 0, sizeof(*e));
	e->type = -1;
	e->type_length = -1;
	e->repetition = PARQUET_REPETITION_NONE;
	e->num_children = -1;
	e->converted = PARQUET_CONVERTED_NONE;
	e->scale = -1;
	e->precision = -1;
}

static inline void
parquet_statistics_init(ParquetStatistics *s)
{
	memset(s, 0, sizeof(*s));
	s->null_count = -1;
	s->distinct_count = -1;
	s->nan_count = -1;
}

static inline void
parquet_column_chunk_init(ParquetColumnChunk *c)
{
	memset(c, 0, sizeof(*c));
	c->meta_data.index_page_offset = -1;
	c->meta_data.dictionary_page_offset = -1;
	c->meta_data.bloom_filter_offset = -1;
	c->meta_data.bloom_filter_length = -1;
	c->meta_data.size_statistics.unencoded_bytes = -1;
	parquet_statistics_init(&c->meta_data.statistics);
	c->offset_index_offset = -1;
	c->offset_index_length = -1;
	c->column_index_offset = -1;
	c->column_index_length = -1;
}

static inline void
parquet_row_group_init(ParquetRowGroup *g)
{
	memset(g, 0, sizeof(*g));
	g->file_offset = -1;
	g->total_compressed_size = -1;
	g->ordinal = -1;
}

static inline void
parquet_page_header_init(ParquetPageHeader *h)
{
	memset(h, 0, sizeof(*h));
	h->is_compressed = true;
	parquet_statistics_init(&h->statistics);
}

/* metadata_write.c: append the Thrift form. */
extern void parquet_write_file_meta(StringInfo out, const ParquetFileMetaData *meta);
extern void parquet_write_page_header(StringInfo out, const ParquetPageHeader *header);
extern void parquet_write_offset_index(StringInfo out, const ParquetOffsetIndex *index);
extern void parquet_write_column_index(StringInfo out, const ParquetColumnIndex *index);

#endif							/* TARN_PARQUET_FORMAT_H */
