/*-------------------------------------------------------------------------
 *
 * sigv4.h
 *	  AWS Signature Version 4: signing of a request by an Authorization header.
 *
 * Own and not libcurl's CURLOPT_AWS_SIGV4, which (in the versions in use)
 * sends no x-amz-content-sha256, sorts no query and escapes '+' and '=' in
 * another way than the servers do.
 *
 * Specification: "Authenticating Requests (AWS Signature Version 4)" of the
 * Amazon S3 API reference.  Results are in the current memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_STORE_SIGV4_H
#define TARN_STORE_SIGV4_H

#include "postgres.h"

#define SIGV4_DATE_SIZE sizeof("20130524T000000Z")
#define SIGV4_HASH_SIZE (64 + 1)

/* A header (name in lower case) or a parameter of the query (not encoded). */
typedef struct SigV4Field
{
	const char *name;
	const char *value;
} SigV4Field;

typedef struct SigV4Key
{
	const char *access_key;
	const char *secret_key;
	const char *region;
	const char *service;		/* "s3" */
} SigV4Key;

typedef struct SigV4Request
{
	const char *method;
	const char *path;			/* as sent: encoded by sigv4_encode, begins with '/' */
	const char *query;			/* as sent: made by sigv4_query; "" for none */
	const SigV4Field *headers;	/* all that are to be signed, "host" and "x-amz-date" among them */
	int			nheaders;
	const char *payload_hash;	/* sigv4_hash of the body */
	const char *date;			/* sigv4_date */
} SigV4Request;

/* Value of the Authorization header. */
extern char *sigv4_authorization(const SigV4Key *key, const SigV4Request *request);

/* SHA-256 in hexadecimal. */
extern void sigv4_hash(const void *data, size_t size, char result[SIGV4_HASH_SIZE]);

/* "20130524T000000Z" for now. */
extern void sigv4_date(char result[SIGV4_DATE_SIZE]);

/* Percent-encoding of all but RFC 3986's unreserved characters, and '/' where told. */
extern char *sigv4_encode(const char *text, bool keep_slashes);

/* The parameters sorted and encoded, as both the URL and the signature need them. */
extern char *sigv4_query(const SigV4Field *fields, int n);

#endif							/* TARN_STORE_SIGV4_H */
