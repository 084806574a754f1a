/*-------------------------------------------------------------------------
 *
 * writer.c
 *	  Writing Avro object container files.
 *
 * The marker between blocks is a hash of the header: it only has to be
 * improbable inside a block, and with no random bytes the same content gives
 * the same file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "avro/deflate.h"
#include "avro/file.h"
#include "base/hash.h"

/* A block is closed when it holds this much before compression. */
#define AVRO_BLOCK_BYTES (64 * 1024)

static void
put_text(StringInfo out, const char *s)
{
	avro_put_bytes(out, s, strlen(s));
}

AvroWriter *
avro_writer_create(const char *schema_json, bool deflate, const char *const *meta)
{
	AvroWriter *w = palloc0(sizeof(AvroWriter));
	int			n = 2;
	uint64		hash;

	initStringInfo(&w->out);
	initStringInfo(&w->block);
	w->deflate = deflate;
	for (const char *const *m = meta; m != NULL && *m != NULL; m += 2)
		n++;
	appendBinaryStringInfo(&w->out, "Obj\001", 4);
	avro_put_long(&w->out, n);
	put_text(&w->out, "avro.schema");
	put_text(&w->out, schema_json);
	put_text(&w->out, "avro.codec");
	put_text(&w->out, deflate ? "deflate" : "null");
	for (const char *const *m = meta; m != NULL && *m != NULL; m += 2)
	{
		put_text(&w->out, m[0]);
		put_text(&w->out, m[1]);
	}
	avro_put_long(&w->out, 0);
	hash = hash_bytes64(w->out.data, w->out.len, 1);
	memcpy(w->sync, &hash, sizeof(hash));
	hash = hash_bytes64(w->out.data, w->out.len, 2);
	memcpy(w->sync + sizeof(hash), &hash, sizeof(hash));
	appendBinaryStringInfo(&w->out, w->sync, sizeof(w->sync));
	return w;
}

/* Appends size and bytes of the open block, compressed. */
static void
put_deflated(AvroWriter *w)
{
	size_t		size;
	char	   *data = avro_deflate(w->block.data, w->block.len, &size);

	avro_put_bytes(&w->out, data, size);
	pfree(data);
}

static void
close_block(AvroWriter *w)
{
	if (w->count == 0)
		return;
	avro_put_long(&w->out, w->count);
	if (w->deflate)
		put_deflated(w);
	else
		avro_put_bytes(&w->out, w->block.data, w->block.len);
	appendBinaryStringInfo(&w->out, w->sync, sizeof(w->sync));
	resetStringInfo(&w->block);
	w->count = 0;
}

void
avro_writer_end_datum(AvroWriter *w)
{
	if (w->block.len >= AVRO_BLOCK_BYTES)
		close_block(w);
}

void
avro_writer_finish(AvroWriter *w)
{
	close_block(w);
	pfree(w->block.data);
	w->block.data = NULL;
}
