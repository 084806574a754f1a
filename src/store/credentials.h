/*-------------------------------------------------------------------------
 *
 * credentials.h
 *	  The keys requests are signed with.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_STORE_CREDENTIALS_H
#define TARN_STORE_CREDENTIALS_H

#include "postgres.h"

#include "store/s3.h"

/*
 * Copies the keys of the user mapping.  Without any, requests are not signed
 * (a public bucket): the environment of the server is no source, for every
 * user of it would have the rights of its owner.  Half a pair, or a byte that
 * could end a header line, is ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE.
 */
extern void credentials_set(S3Store *store, const StoreConfig *config);

/* A copy of an option's value that becomes a header; the same error. */
extern char *credentials_header_value(const char *option, const char *value);

#endif							/* TARN_STORE_CREDENTIALS_H */
