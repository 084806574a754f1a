/*-------------------------------------------------------------------------
 *
 * internal.h
 *	  What the files of this folder show each other: the codecs of the table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_CODEC_INTERNAL_H
#define TARN_CODEC_INTERNAL_H

#include "postgres.h"

#include "codec/codec.h"

extern const Codec codec_zstd;
extern const Codec codec_lz4_raw;
extern const Codec codec_lz4_hadoop;
extern const Codec codec_snappy;
extern const Codec codec_gzip;
extern const Codec codec_brotli;

#endif							/* TARN_CODEC_INTERNAL_H */
