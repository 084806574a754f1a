/*-------------------------------------------------------------------------
 *
 * codec.c
 *	  The table of codecs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "codec/codec.h"
#include "codec/internal.h"

static size_t
none_bound(size_t in_size)
{
	return in_size;
}

static size_t
none_compress(int level, const void *in, size_t in_size, void *out, size_t out_capacity)
{
	if (out_capacity < in_size)
		elog(ERROR, "buffer of %zu bytes is too small for %zu", out_capacity, in_size);
	if (in_size > 0)
		memcpy(out, in, in_size);
	return in_size;
}

static bool
none_decompress(const void *in, size_t in_size, void *out, size_t out_size)
{
	if (in_size != out_size)
		return false;
	if (in_size > 0)
		memcpy(out, in, in_size);
	return true;
}

static const Codec codec_none = {
	.id = CODEC_NONE,
	.name = "none",
	.bound = none_bound,
	.compress = none_compress,
	.decompress = none_decompress
};

static const Codec *const codecs[] = {
	&codec_none, &codec_snappy, &codec_gzip, &codec_brotli,
	&codec_lz4_hadoop, &codec_zstd, &codec_lz4_raw
};

const Codec *
codec_by_id(int id)
{
	for (size_t i = 0; i < lengthof(codecs); i++)
		if ((int) codecs[i]->id == id)
			return codecs[i];
	return NULL;
}

const Codec *
codec_by_name(const char *name)
{
	for (size_t i = 0; i < lengthof(codecs); i++)
		if (pg_strcasecmp(codecs[i]->name, name) == 0)
			return codecs[i];
	return NULL;
}

const char *const *
codec_names(void)
{
	static const char *names[lengthof(codecs) + 1];
	int			n = 0;

	for (size_t i = 0; i < lengthof(codecs); i++)
		if (codecs[i]->compress)
			names[n++] = codecs[i]->name;
	names[n] = NULL;
	return names;
}

void
codec_decompress(const Codec *codec, const void *in, size_t in_size,
				 void *out, size_t out_size, const char *what, const char *object)
{
	if (codec->decompress(in, in_size, out, out_size))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not decompress %s of \"%s\"", what, object),
			 errdetail("The block of %zu bytes is not %s data of %zu bytes.",
					   in_size, codec->name, out_size)));
}
