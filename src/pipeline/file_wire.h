/*-------------------------------------------------------------------------
 *
 * file_wire.h
 *	  A data file's manifest entry as a message between processes of one
 *	  server: copy workers and encoders write files that others commit.
 *
 * Only what the writer of a file fills in travels: path, counts, metrics,
 * offsets.  Numbers are in the machine's form.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_FILE_WIRE_H
#define TARN_PIPELINE_FILE_WIRE_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "base/cursor.h"
#include "iceberg/manifest.h"

/* The parts of messages: an integer; bytes (NULL stays NULL); a string. */
extern void wire_put_int(StringInfo out, int64 value);
extern void wire_put_bytes(StringInfo out, const char *data, int64 size);
extern void wire_put_text(StringInfo out, const char *text);

extern int64 wire_get_int(Cursor *in);

/* A number of things of at least eight bytes each. */
extern int	wire_get_count(Cursor *in);

/* A palloc'd copy with a zero behind it; NULL when that was put. */
extern char *wire_get_bytes(Cursor *in, int *size);
extern char *wire_get_text(Cursor *in);

/* What a nested column consists of, and back; the result is in the current context. */
extern void wire_put_node(StringInfo out, const LakeNode *node);
extern LakeNode *wire_get_node(Cursor *in);

/* A data file, and back; the result is in the current context. */
extern void wire_put_file(StringInfo out, const IcebergDataFile *file);
extern void wire_get_file(Cursor *in, IcebergDataFile *file);

#endif							/* TARN_PIPELINE_FILE_WIRE_H */
