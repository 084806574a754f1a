/*-------------------------------------------------------------------------
 *
 * deflate.c
 *	  Raw deflate as Avro blocks use it.
 *
 * codec/ has gzip for Parquet pages, but in another frame and with the size
 * of the result known beforehand; Avro's blocks say neither.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <zlib.h>

#include "avro/deflate.h"
#include "miscadmin.h"

static voidpf
zlib_alloc(voidpf opaque, uInt items, uInt size)
{
	return palloc_extended((Size) items * size, MCXT_ALLOC_NO_OOM);
}

static void
zlib_free(voidpf opaque, voidpf address)
{
	pfree(address);
}

static void
check_started(int rc)
{
	if (rc != Z_OK)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not start zlib for an Avro block")));
}

char *
avro_grow(const Cursor *c, char *buffer, size_t *capacity, size_t limit)
{
	if (*capacity >= limit)
		cursor_fail(c, "data expands to more than %zu bytes", limit);
	*capacity = Min(*capacity * 2, limit);
	CHECK_FOR_INTERRUPTS();
	return repalloc(buffer, *capacity);
}

char *
avro_inflate(const Cursor *c, const void *in, size_t in_size, bool gzip,
			 size_t limit, size_t *size)
{
	size_t		capacity = Min(Max(in_size, 256) * 4, limit);
	char	   *out;
	size_t		n = 0;
	z_stream	stream = {0};
	int			rc;

	if (in_size > PG_INT32_MAX)
		cursor_fail(c, "%zu compressed bytes", in_size);
	out = palloc(capacity);
	stream.zalloc = zlib_alloc;
	stream.zfree = zlib_free;
	stream.next_in = unconstify(Bytef *, (const Bytef *) in);
	stream.avail_in = (uInt) in_size;
	check_started(inflateInit2(&stream, gzip ? MAX_WBITS + 16 : -MAX_WBITS));
	do
	{
		if (n == capacity)
			out = avro_grow(c, out, &capacity, limit);
		stream.next_out = (Bytef *) out + n;
		stream.avail_out = (uInt) (capacity - n);
		rc = inflate(&stream, Z_NO_FLUSH);
		n = capacity - stream.avail_out;
	} while (rc == Z_OK && (stream.avail_in > 0 || stream.avail_out == 0));
	inflateEnd(&stream);
	/* its window is allocated late; the data are not to blame */
	if (rc == Z_MEM_ERROR)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Failed to inflate a block of an Avro file.")));
	if (rc != Z_STREAM_END)
		cursor_fail(c, "data does not decompress");
	*size = n;
	return out;
}

char *
avro_deflate(const void *in, size_t in_size, size_t *size)
{
	z_stream	stream = {0};
	char	   *out;
	uLong		bound;

	stream.zalloc = zlib_alloc;
	stream.zfree = zlib_free;
	check_started(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8,
							   Z_DEFAULT_STRATEGY));
	bound = deflateBound(&stream, (uLong) in_size);
	out = palloc(bound);
	stream.next_in = unconstify(Bytef *, (const Bytef *) in);
	stream.avail_in = (uInt) in_size;
	stream.next_out = (Bytef *) out;
	stream.avail_out = (uInt) bound;
	if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
		elog(ERROR, "could not compress an Avro block");
	*size = stream.total_out;
	deflateEnd(&stream);
	return out;
}
