/*-------------------------------------------------------------------------
 *
 * metadata_read.h
 *	  Thrift bytes of a Parquet file into the structs of format.h.
 *
 * Each function reads one struct from the cursor and leaves the cursor
 * behind it.  Arrays and NUL-terminated strings are palloc'd in the current
 * context; byte strings (statistics, bounds) point into the cursor's block,
 * which must live as long as the result.  Unknown fields are skipped,
 * missing required ones are corruption: ERRCODE_DATA_CORRUPTED, raised by the
 * cursor with its `what` and `object` and the byte offset.
 *
 * Only shape is checked here.  Offsets, sizes and counts are checked where
 * they meet the file (reader.c, page_read.c, index_read.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PARQUET_METADATA_READ_H
#define TARN_PARQUET_METADATA_READ_H

#include "postgres.h"

#include "base/cursor.h"
#include "parquet/format.h"
#include "parquet/thrift.h"

extern void parquet_read_file_meta(Cursor *c, ParquetFileMetaData *meta);

/* row_group_read.c: an element of the footer's list of row groups. */
extern void parquet_read_row_group(ThriftReader *r, ParquetRowGroup *g);

/*
 * A page header.  Statistics of data pages are skipped: the page index is
 * the better source, and a header is read for every page.
 */
extern void parquet_read_page_header(Cursor *c, ParquetPageHeader *header);

extern void parquet_read_offset_index(Cursor *c, ParquetOffsetIndex *index);
extern void parquet_read_column_index(Cursor *c, ParquetColumnIndex *index);

#endif							/* TARN_PARQUET_METADATA_READ_H */
