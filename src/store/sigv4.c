/*-------------------------------------------------------------------------
 *
 * sigv4.c
 *	  AWS Signature Version 4 over PostgreSQL's hash functions.
 *
 * PostgreSQL's hash contexts belong to the current resource owner when it is
 * built with OpenSSL.  A background worker outside of a transaction has none,
 * so hashing runs under an owner of its own, made once for the process.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "common/cryptohash.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "lib/stringinfo.h"
#include "utils/resowner.h"

#include "store/sigv4.h"

static ResourceOwner hash_owner = NULL;

static ResourceOwner
enter_hash_owner(void)
{
	ResourceOwner previous = CurrentResourceOwner;

	if (hash_owner == NULL)
		hash_owner = ResourceOwnerCreate(NULL, "tarn request signing");
	CurrentResourceOwner = hash_owner;
	return previous;
}

static void
to_hex(const uint8 *bytes, size_t size, char *result)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++)
	{
		*result++ = digits[bytes[i] >> 4];
		*result++ = digits[bytes[i] & 15];
	}
	*result = '\0';
}

void
sigv4_hash(const void *data, size_t size, char result[SIGV4_HASH_SIZE])
{
	ResourceOwner previous = enter_hash_owner();
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);
	bool		failed;

	failed = pg_cryptohash_init(ctx) < 0 ||
		pg_cryptohash_update(ctx, data, size) < 0 ||
		pg_cryptohash_final(ctx, digest, sizeof(digest)) < 0;
	pg_cryptohash_free(ctx);
	CurrentResourceOwner = previous;
	if (failed)
		elog(ERROR, "could not compute a SHA-256 hash");
	to_hex(digest, sizeof(digest), result);
}

static void
hmac(const void *key, size_t key_size, const char *text, uint8 digest[PG_SHA256_DIGEST_LENGTH])
{
	ResourceOwner previous = enter_hash_owner();
	pg_hmac_ctx *ctx = pg_hmac_create(PG_SHA256);
	bool		failed;

	failed = pg_hmac_init(ctx, key, key_size) < 0 ||
		pg_hmac_update(ctx, (const uint8 *) text, strlen(text)) < 0 ||
		pg_hmac_final(ctx, digest, PG_SHA256_DIGEST_LENGTH) < 0;
	pg_hmac_free(ctx);
	CurrentResourceOwner = previous;
	if (failed)
		elog(ERROR, "could not compute an HMAC");
}

void
sigv4_date(char result[SIGV4_DATE_SIZE])
{
	time_t		now = time(NULL);
	struct tm	utc;

	gmtime_r(&now, &utc);
	strftime(result, SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &utc);
}

char *
sigv4_encode(const char *text, bool keep_slashes)
{
	static const char digits[] = "0123456789ABCDEF";
	char	   *result = palloc(strlen(text) * 3 + 1);
	char	   *out = result;

	for (const unsigned char *p = (const unsigned char *) text; *p; p++)
	{
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			*p == '-' || *p == '.' || *p == '_' || *p == '~' || (*p == '/' && keep_slashes))
			*out++ = (char) *p;
		else
		{
			*out++ = '%';
			*out++ = digits[*p >> 4];
			*out++ = digits[*p & 15];
		}
	}
	*out = '\0';
	return result;
}

static int
compare_fields(const void *a, const void *b)
{
	const SigV4Field *x = a;
	const SigV4Field *y = b;
	int			order = strcmp(x->name, y->name);

	return order != 0 ? order : strcmp(x->value, y->value);
}

static SigV4Field *
sorted(const SigV4Field *fields, int n)
{
	SigV4Field *copy = palloc(sizeof(SigV4Field) * Max(n, 1));

	memcpy(copy, fields, sizeof(SigV4Field) * n);
	qsort(copy, n, sizeof(SigV4Field), compare_fields);
	return copy;
}

char *
sigv4_query(const SigV4Field *fields, int n)
{
	SigV4Field *list = sorted(fields, n);
	StringInfoData out;

	initStringInfo(&out);
	for (int i = 0; i < n; i++)
		appendStringInfo(&out, "%s%s=%s", i > 0 ? "&" : "",
						 sigv4_encode(list[i].name, false), sigv4_encode(list[i].value, false));
	pfree(list);
	return out.data;
}

/* The text whose hash is signed; `names` gets the signed headers' names. */
static char *
canonical_request(const SigV4Request *request, StringInfo names)
{
	SigV4Field *headers = sorted(request->headers, request->nheaders);
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "%s\n%s\n%s\n", request->method, request->path, request->query);
	for (int i = 0; i < request->nheaders; i++)
	{
		appendStringInfo(&out, "%s:%s\n", headers[i].name, headers[i].value);
		appendStringInfo(names, "%s%s", i > 0 ? ";" : "", headers[i].name);
	}
	appendStringInfo(&out, "\n%s\n%s", names->data, request->payload_hash);
	pfree(headers);
	return out.data;
}

char *
sigv4_authorization(const SigV4Key *key, const SigV4Request *request)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char		hash[SIGV4_HASH_SIZE];
	char		signature[SIGV4_HASH_SIZE];
	char		day[9];
	StringInfoData names;
	char	   *canonical;
	char	   *scope;
	char	   *secret;

	strlcpy(day, request->date, sizeof(day));
	initStringInfo(&names);
	canonical = canonical_request(request, &names);
	sigv4_hash(canonical, strlen(canonical), hash);
	scope = psprintf("%s/%s/%s/aws4_request", day, key->region, key->service);

	secret = psprintf("AWS4%s", key->secret_key);
	hmac(secret, strlen(secret), day, digest);
	hmac(digest, sizeof(digest), key->region, digest);
	hmac(digest, sizeof(digest), key->service, digest);
	hmac(digest, sizeof(digest), "aws4_request", digest);
	hmac(digest, sizeof(digest),
		 psprintf("AWS4-HMAC-SHA256\n%s\n%s\n%s", request->date, scope, hash), digest);
	to_hex(digest, sizeof(digest), signature);
	explicit_bzero(secret, strlen(secret));
	pfree(secret);
	return psprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
					key->access_key, scope, names.data, signature);
}
