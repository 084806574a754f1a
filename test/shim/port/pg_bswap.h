/*-------------------------------------------------------------------------
 *
 * pg_bswap.h
 *	  Byte order.  tarn builds on little-endian machines here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_SHIM_PG_BSWAP_H
#define TARN_SHIM_PG_BSWAP_H

#include "postgres.h"

#define pg_bswap16(x) __builtin_bswap16(x)
#define pg_bswap32(x) __builtin_bswap32(x)
#define pg_bswap64(x) __builtin_bswap64(x)

#define pg_hton16(x) pg_bswap16(x)
#define pg_hton32(x) pg_bswap32(x)
#define pg_hton64(x) pg_bswap64(x)
#define pg_ntoh16(x) pg_bswap16(x)
#define pg_ntoh32(x) pg_bswap32(x)
#define pg_ntoh64(x) pg_bswap64(x)

#endif							/* TARN_SHIM_PG_BSWAP_H */
