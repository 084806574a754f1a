/*-------------------------------------------------------------------------
 *
 * store_test.c
 *	  One SQL function per operation of a store, for its tests.
 *
 * Every call opens the store anew in the call's memory context, so that the
 * release by context reset is exercised by each of them.  What an s3:// root
 * needs besides its location stands in settings tarn_store_test.*.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "store/sigv4.h"
#include "store/store.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static char *endpoint;
static char *region;
static char *ca_file;
static char *access_key;
static char *secret_key;
static char *session_token;
static char *sse;
static char *sse_kms_key_id;
static bool path_style = true;

static void
string_setting(const char *name, char **variable)
{
	DefineCustomStringVariable(name, "For tests.", NULL, variable, NULL, PGC_SUSET, 0,
							   NULL, NULL, NULL);
}

void
_PG_init(void)
{
	string_setting("tarn_store_test.endpoint", &endpoint);
	string_setting("tarn_store_test.region", &region);
	string_setting("tarn_store_test.ca_file", &ca_file);
	string_setting("tarn_store_test.access_key", &access_key);
	string_setting("tarn_store_test.secret_key", &secret_key);
	string_setting("tarn_store_test.session_token", &session_token);
	string_setting("tarn_store_test.sse", &sse);
	string_setting("tarn_store_test.sse_kms_key_id", &sse_kms_key_id);
	DefineCustomBoolVariable("tarn_store_test.path_style", "For tests.", NULL, &path_style, true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
}

static const char *
given(const char *setting)
{
	return setting != NULL && *setting != '\0' ? setting : NULL;
}

static Store *
open_store(text *root)
{
	StoreConfig config = {0};

	config.root = text_to_cstring(root);
	config.endpoint = given(endpoint);
	config.region = given(region);
	config.path_style = path_style;
	config.ca_file = given(ca_file);
	config.access_key = given(access_key);
	config.secret_key = given(secret_key);
	config.session_token = given(session_token);
	config.sse = given(sse);
	config.sse_kms_key_id = given(sse_kms_key_id);
	return store_open(&config);
}

static bytea *
make_bytea(const void *data, size_t size)
{
	bytea	   *result = palloc(VARHDRSZ + size);

	SET_VARSIZE(result, VARHDRSZ + size);
	memcpy(VARDATA(result), data, size);
	return result;
}

PG_FUNCTION_INFO_V1(test_store_check);
Datum
test_store_check(PG_FUNCTION_ARGS)
{
	store_check_writable(open_store(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(test_store_put);
Datum
test_store_put(PG_FUNCTION_ARGS)
{
	bytea	   *data = PG_GETARG_BYTEA_PP(2);

	store_put(open_store(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
			  VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data),
			  PG_GETARG_BOOL(3) ? STORE_IF_ABSENT : 0);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(test_store_get);
Datum
test_store_get(PG_FUNCTION_ARGS)
{
	size_t		size;
	char	   *data;

	data = store_get(open_store(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
					 (size_t) PG_GETARG_INT64(2), &size);
	if (data[size] != '\0')
		elog(ERROR, "no zero after the end");
	PG_RETURN_BYTEA_P(make_bytea(data, size));
}

PG_FUNCTION_INFO_V1(test_store_read);
Datum
test_store_read(PG_FUNCTION_ARGS)
{
	size_t		length = (size_t) PG_GETARG_INT64(4);
	char	   *buffer = palloc(length + 1);
	StoreReader *r;

	r = store_reader(open_store(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
					 PG_GETARG_INT64(2));
	store_read(r, (uint64) PG_GETARG_INT64(3), length, buffer);
	store_reader_close(r);
	PG_RETURN_BYTEA_P(make_bytea(buffer, length));
}

typedef struct ListTarget
{
	ReturnSetInfo *rsinfo;
	int64		left;
} ListTarget;

static bool
list_one(const char *name, uint64 size, void *arg)
{
	ListTarget *target = arg;
	Datum		value = CStringGetTextDatum(psprintf("%s " UINT64_FORMAT, name, size));
	bool		isnull = false;

	tuplestore_putvalues(target->rsinfo->setResult, target->rsinfo->setDesc, &value, &isnull);
	return --target->left > 0;
}

PG_FUNCTION_INFO_V1(test_store_list);
Datum
test_store_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListTarget	target = {rsinfo, PG_GETARG_INT64(2)};
	MemoryContext query = rsinfo->econtext->ecxt_per_query_memory;
	MemoryContext old = MemoryContextSwitchTo(query);

	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setDesc = CreateTemplateTupleDesc(1);
	TupleDescInitEntry(rsinfo->setDesc, 1, "name", TEXTOID, -1, 0);
	rsinfo->setResult = tuplestore_begin_heap(true, false, 1024);
	MemoryContextSwitchTo(old);
	store_list(open_store(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
			   list_one, &target);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(test_store_remove);
Datum
test_store_remove(PG_FUNCTION_ARGS)
{
	store_remove(open_store(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(test_store_abort_uploads);
Datum
test_store_abort_uploads(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(store_abort_uploads(open_store(PG_GETARG_TEXT_PP(0)),
										text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

PG_FUNCTION_INFO_V1(test_store_encode);
Datum
test_store_encode(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(store_encode_segment(text_to_cstring(PG_GETARG_TEXT_PP(0)))));
}

/* Byte at a position of a streamed object: no period that is a power of two. */
static inline char
pattern(uint64 position)
{
	return (char) (position % 251 + position / 65521);
}

PG_FUNCTION_INFO_V1(test_store_stream);
Datum
test_store_stream(PG_FUNCTION_ARGS)
{
	int64		total = PG_GETARG_INT64(2);
	int32		piece = PG_GETARG_INT32(3);
	char	   *ending = text_to_cstring(PG_GETARG_TEXT_PP(4));
	char	   *buffer = palloc(piece);
	StoreWriter *w;

	w = store_create(open_store(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
					 STORE_IF_ABSENT);
	for (int64 at = 0; at < total; at += piece)
	{
		int			n = (int) Min(piece, total - at);

		for (int i = 0; i < n; i++)
			buffer[i] = pattern(at + i);
		store_write(w, buffer, n);
	}
	total = (int64) w->size;
	if (strcmp(ending, "finish") == 0)
		store_finish(w);
	else if (strcmp(ending, "abort") == 0)
		store_abort(w);
	else if (strcmp(ending, "error") == 0)
		elog(ERROR, "stopped in the middle");
	PG_RETURN_INT64(total);
}

PG_FUNCTION_INFO_V1(test_store_verify);
Datum
test_store_verify(PG_FUNCTION_ARGS)
{
	int64		total = PG_GETARG_INT64(2);
	int32		piece = PG_GETARG_INT32(3);
	bool		prefetch = PG_GETARG_BOOL(4);
	char	   *buffer = palloc(piece);
	int64		wrong = 0;
	StoreReader *r;

	r = store_reader(open_store(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)), -1);
	if (r->size != (uint64) total)
		elog(ERROR, "object has " UINT64_FORMAT " bytes", r->size);
	for (int64 at = 0; at < total; at += piece)
	{
		int			n = (int) Min(piece, total - at);

		/* two ranges that touch */
		if (prefetch && at / piece % 2 == 0)
		{
			store_prefetch(r, at, (size_t) piece);
			store_prefetch(r, at + piece, (size_t) piece);
		}
		store_read(r, at, n, buffer);
		for (int i = 0; i < n; i++)
			wrong += buffer[i] != pattern(at + i);
	}
	store_reader_close(r);
	PG_RETURN_INT64(wrong);
}

PG_FUNCTION_INFO_V1(test_store_counters);
Datum
test_store_counters(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row");
	values[0] = Int64GetDatum((int64) store_counters.reads);
	values[1] = Int64GetDatum((int64) store_counters.read_bytes);
	values[2] = Int64GetDatum((int64) store_counters.writes);
	values[3] = Int64GetDatum((int64) store_counters.write_bytes);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

static int
read_fields(ArrayType *array, SigV4Field *fields, int max)
{
	Datum	   *values;
	int			n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, NULL, &n);
	if (n / 2 > max)
		elog(ERROR, "too many fields");
	for (int i = 0; i < n / 2; i++)
	{
		fields[i].name = TextDatumGetCString(values[2 * i]);
		fields[i].value = TextDatumGetCString(values[2 * i + 1]);
	}
	return n / 2;
}

PG_FUNCTION_INFO_V1(test_store_sign);
Datum
test_store_sign(PG_FUNCTION_ARGS)
{
	SigV4Field	query[16];
	SigV4Field	headers[16];
	char		hash[SIGV4_HASH_SIZE];
	char	   *body = text_to_cstring(PG_GETARG_TEXT_PP(4));
	SigV4Request request = {
		.method = text_to_cstring(PG_GETARG_TEXT_PP(0)),
		.path = sigv4_encode(text_to_cstring(PG_GETARG_TEXT_PP(1)), true),
		.headers = headers,
		.payload_hash = hash,
		.date = text_to_cstring(PG_GETARG_TEXT_PP(5))
	};
	SigV4Key	key = {
		.access_key = text_to_cstring(PG_GETARG_TEXT_PP(6)),
		.secret_key = text_to_cstring(PG_GETARG_TEXT_PP(7)),
		.region = "us-east-1",
		.service = text_to_cstring(PG_GETARG_TEXT_PP(8))
	};

	sigv4_hash(body, strlen(body), hash);
	request.query = sigv4_query(query, read_fields(PG_GETARG_ARRAYTYPE_P(2), query, lengthof(query)));
	request.nheaders = read_fields(PG_GETARG_ARRAYTYPE_P(3), headers, lengthof(headers));
	PG_RETURN_TEXT_P(cstring_to_text(sigv4_authorization(&key, &request)));
}
