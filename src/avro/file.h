/*-------------------------------------------------------------------------
 *
 * file.h
 *	  Avro object container files (Avro 1.11 spec, "Object Container Files").
 *
 * Files are small (manifests) and handled whole, in memory.  Codecs null and
 * deflate are read and written; snappy and zstandard are read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_AVRO_FILE_H
#define TARN_AVRO_FILE_H

#include "postgres.h"

#include "avro/value.h"

typedef struct AvroFile
{
	AvroSchema *schema;
	const char *object;
	int			nmeta;
	char	  **meta_keys;
	char	  **meta_values;	/* NUL-terminated copies */
	Cursor		cursor;			/* rest of the file */
	Cursor		block;			/* rest of the current block */
	int64		left;			/* data left in the block */
	char	   *expanded;		/* the block's memory when it was compressed */
	char		sync[16];
	int			codec;
} AvroFile;

extern AvroFile *avro_file_open(const void *data, size_t size, const char *object);
extern const char *avro_file_meta(const AvroFile *f, const char *key);	/* NULL when absent */

/*
 * Is there another datum?  Opens the next block when the current one is used
 * up: in the current memory context, which must live as long as the file.
 */
extern bool avro_file_more(AvroFile *f);

/*
 * The next datum; false at the end.  Its tree is in the current memory
 * context, its strings are valid until the next call of either function.
 */
extern bool avro_file_next(AvroFile *f, AvroValue *value);

typedef struct AvroWriter
{
	StringInfoData out;			/* the file */
	StringInfoData block;		/* data of the open block: append with avro_put_* */
	int64		count;			/* data in the open block: caller increments */
	char		sync[16];
	bool		deflate;
} AvroWriter;

/* meta: key, value, key, value, ..., NULL.  "avro.schema" and "avro.codec" are added. */
extern AvroWriter *avro_writer_create(const char *schema_json, bool deflate, const char *const *meta);

/* After each datum: closes the block when it is large enough. */
extern void avro_writer_end_datum(AvroWriter *w);
extern void avro_writer_finish(AvroWriter *w);	/* w->out holds the whole file */

#endif							/* TARN_AVRO_FILE_H */
