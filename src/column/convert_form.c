/*-------------------------------------------------------------------------
 *
 * convert_form.c
 *	  ColumnVectors into PostgreSQL values, a column of many rows at a time.
 *
 * The kind is looked at once per call, not once per value.  By-reference
 * values of one call lie in one block.  A vector in dictionary form is formed
 * from the dictionary: for types by reference each distinct value once, when
 * there are not more of them than rows.
 *
 * Files may come from other engines, so every value is checked against the
 * range of its PostgreSQL type, and strings for UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/utf8.h"
#include "catalog/pg_type.h"
#include "column/convert_internal.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/cash.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* What is to be formed: `slots` are n indexes into the plain vector. */
typedef struct FormJob
{
	const ColumnConvert *c;
	const ColumnVector *v;		/* plain */
	const uint32 *slots;
	uint32		n;
	Datum	   *values;
	const bool *isnull;			/* NULL: none is */
	int			stride;
	bool		any_bytes;		/* text need not be UTF-8: it is in the database's encoding already */
} FormJob;

static inline Datum *
job_value(const FormJob *job, uint32 i)
{
	return &job->values[(size_t) i * job->stride];
}

static inline bool
job_isnull(const FormJob *job, uint32 i)
{
	return job->isnull && job->isnull[(size_t) i * job->stride];
}

pg_noreturn static void
fail_type(const ColumnConvert *c, LakeType type)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of \"%s\" of lake type %s cannot be read as %s",
					c->name, c->relation, lake_type_name(type),
					format_type_with_typemod(c->pg_type, c->typmod))));
	pg_unreachable();
}

pg_noreturn static void
fail_range(const FormJob *job, const char *value)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("lake value %s of column \"%s\" of \"%s\" is out of range for type %s",
					value, job->c->name, job->c->relation,
					format_type_with_typemod(job->c->pg_type, job->c->typmod))));
	pg_unreachable();
}

pg_noreturn static void
fail_range_int(const FormJob *job, int64 value)
{
	fail_range(job, psprintf(INT64_FORMAT, value));
}

/* One block for n values of `size` bytes. */
static char *
job_block(const FormJob *job, size_t size)
{
	return MemoryContextAllocHuge(CurrentMemoryContext, (size_t) job->n * size);
}

/* Runs `statement` for each value; in it `slot` is the index and `out` the Datum to set.  A null's slot is valid, too. */
#define FORM_EACH(job, statement) \
	for (uint32 i = 0; i < (job)->n; i++) \
	{ \
		uint32		slot = (job)->slots[i]; \
		Datum	   *out = job_value((job), i); \
		statement; \
	}

static void
form_bool(const FormJob *job)
{
	const uint8 *values = (const uint8 *) job->v->values;

	FORM_EACH(job, *out = BoolGetDatum(values[slot] != 0));
}

static void
form_int2(const FormJob *job)
{
	const int32 *values = (const int32 *) job->v->values;

	FORM_EACH(job,
			  if (unlikely(values[slot] != (int16) values[slot]))
			  fail_range_int(job, values[slot]);
			  *out = Int16GetDatum((int16) values[slot]));
}

static void
form_int4(const FormJob *job)
{
	const int32 *values = (const int32 *) job->v->values;

	FORM_EACH(job, *out = Int32GetDatum(values[slot]));
}

static void
form_int8(const FormJob *job)
{
	if (job->v->layout == LAYOUT_INT32)
	{
		const int32 *values = (const int32 *) job->v->values;

		FORM_EACH(job, *out = Int64GetDatum(values[slot]));
	}
	else
	{
		const int64 *values = (const int64 *) job->v->values;

		FORM_EACH(job, *out = Int64GetDatum(values[slot]));
	}
}

static void
form_float4(const FormJob *job)
{
	const float *values = (const float *) job->v->values;

	FORM_EACH(job, *out = Float4GetDatum(values[slot]));
}

static void
form_float8(const FormJob *job)
{
	if (job->v->layout == LAYOUT_FLOAT)
	{
		const float *values = (const float *) job->v->values;

		FORM_EACH(job, *out = Float8GetDatum(values[slot]));
	}
	else
	{
		const double *values = (const double *) job->v->values;

		FORM_EACH(job, *out = Float8GetDatum(values[slot]));
	}
}

static void
form_date(const FormJob *job)
{
	const int32 *values = (const int32 *) job->v->values;

	FORM_EACH(job,
			  int64 date = (int64) values[slot] - EPOCH_DAYS;

			  if (unlikely(!IS_VALID_DATE(date)))
			  fail_range_int(job, values[slot]);
			  *out = DateADTGetDatum((DateADT) date));
}

static void
form_time(const FormJob *job)
{
	const int64 *values = (const int64 *) job->v->values;

	FORM_EACH(job,
			  if (unlikely(values[slot] < 0 || values[slot] > USECS_PER_DAY))
			  fail_range_int(job, values[slot]);
			  *out = TimeADTGetDatum(values[slot]));
}

static void
form_timestamp(const FormJob *job)
{
	const int64 *values = (const int64 *) job->v->values;

	FORM_EACH(job,
			  int64 timestamp;

			  if (unlikely(__builtin_sub_overflow(values[slot], EPOCH_MICROS, &timestamp) ||
						   !IS_VALID_TIMESTAMP(timestamp)))
			  fail_range_int(job, values[slot]);
			  *out = TimestampGetDatum(timestamp));
}

/* Decimals, and integers as decimals of scale 0. */
static void
form_numeric(const FormJob *job)
{
	const ColumnVector *v = job->v;
	int			scale = v->type.id == LAKE_DECIMAL ? v->type.scale : 0;
	bool		check = job->c->kind == CONVERT_NUMERIC &&
		(v->type.id != LAKE_DECIMAL || v->type.precision > job->c->type.precision);
	size_t		space = v->layout == LAYOUT_INT128 ? NUMERIC_SPACE_INT128 : NUMERIC_SPACE_INT64;
	char	   *block = job_block(job, space);

	for (uint32 i = 0; i < job->n; i++)
	{
		char	   *at = block + (size_t) i * space;
		int128		value;

		if (v->layout == LAYOUT_INT32)
			value = ((const int32 *) v->values)[job->slots[i]];
		else if (v->layout == LAYOUT_INT64)
			value = ((const int64 *) v->values)[job->slots[i]];
		else
			memcpy(&value, v->values + (size_t) job->slots[i] * sizeof(int128), sizeof(int128));
		if (v->layout == LAYOUT_INT128)
			decimal128_to_numeric(value, scale, at);
		else
			decimal64_to_numeric((int64) value, scale, at);
		*job_value(job, i) = PointerGetDatum(at);
		if (check && unlikely(!decimal_fits(value, job->c->type.precision)))
			fail_range(job, OutputFunctionCall(unconstify(FmgrInfo *, &job->c->output),
											   PointerGetDatum(at)));
	}
}

static void
form_uuid(const FormJob *job)
{
	char	   *block = job_block(job, UUID_LEN);

	FORM_EACH(job,
			  memcpy(block + (size_t) i * UUID_LEN, job->v->values + (size_t) slot * UUID_LEN, UUID_LEN);
			  *out = PointerGetDatum(block + (size_t) i * UUID_LEN));
}

static inline const char *
slot_bytes(const ColumnVector *v, uint32 slot, uint32 *size)
{
	if (v->layout == LAYOUT_FIXED)
	{
		*size = v->width;
		return v->values + (size_t) slot * v->width;
	}
	*size = v->offsets[slot + 1] - v->offsets[slot];
	return v->bytes + v->offsets[slot];
}

static void
check_text(const FormJob *job, const char *data, uint32 size)
{
	size_t		valid = job->any_bytes ? strnlen(data, size) : utf8_valid_prefix(data, size, true);

	if (unlikely(valid != size))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("lake value of column \"%s\" of \"%s\" is not valid text",
						job->c->name, job->c->relation),
				 errdetail("Byte %zu of its %u is 0x%02x.", valid, size, (uint8) data[valid])));
}

/* Characters that varchar(n) and char(n) allow; 0: no limit. */
static uint32
character_limit(const ColumnConvert *c)
{
	if ((c->pg_type == VARCHAROID || c->pg_type == BPCHAROID) && c->typmod > (int32) VARHDRSZ)
		return (uint32) (c->typmod - VARHDRSZ);
	return 0;
}

/* Blanks that must follow to make it char(n); fails when there are too many characters. */
static uint32
missing_blanks(const FormJob *job, const char *data, uint32 size, uint32 limit)
{
	uint32		characters = GetDatabaseEncoding() == PG_UTF8 ? utf8_length(data, size) :
		(uint32) pg_mbstrlen_with_len(data, (int) size);

	if (characters > limit)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
				 errmsg("lake value of %u characters in column \"%s\" of \"%s\" is too long for type %s",
						characters, job->c->name, job->c->relation,
						format_type_with_typemod(job->c->pg_type, job->c->typmod))));
	return job->c->pg_type == BPCHAROID ? limit - characters : 0;
}

static void
form_text(const FormJob *job)
{
	const ColumnVector *v = job->v;
	bool		text = job->c->type.id == LAKE_STRING;
	uint32		limit = character_limit(job->c);
	bool		pad = limit > 0 && job->c->pg_type == BPCHAROID;
	size_t		total = 0;
	uint32		size;
	char	   *at;

	/* the checks come first: characters can be counted in valid text only */
	for (uint32 i = 0; i < job->n; i++)
	{
		const char *data = slot_bytes(v, job->slots[i], &size);

		/* the largest varlena */
		if (unlikely(size > MaxAllocSize - VARHDRSZ))
			fail_range(job, psprintf("of %u bytes", size));
		if (text)
			check_text(job, data, size);
		if (limit > 0 && !job_isnull(job, i))
			total += missing_blanks(job, data, size, limit);
		total += INTALIGN(VARHDRSZ + size);
	}
	/* blanks may need alignment once more */
	if (limit > 0)
		total += (size_t) job->n * sizeof(int);
	at = MemoryContextAllocHuge(CurrentMemoryContext, total);
	for (uint32 i = 0; i < job->n; i++)
	{
		const char *data = slot_bytes(v, job->slots[i], &size);
		uint32		blanks = 0;

		if (pad && !job_isnull(job, i))
			blanks = missing_blanks(job, data, size, limit);
		SET_VARSIZE(at, VARHDRSZ + size + blanks);
		memcpy(VARDATA(at), data, size);
		memset(VARDATA(at) + size, ' ', blanks);
		*job_value(job, i) = PointerGetDatum(at);
		at += INTALIGN(VARHDRSZ + size + blanks);
	}
}

static void
form_name(const FormJob *job)
{
	char	   *block = job_block(job, NAMEDATALEN);

	for (uint32 i = 0; i < job->n; i++)
	{
		uint32		size;
		const char *data = slot_bytes(job->v, job->slots[i], &size);
		char	   *at = block + (size_t) i * NAMEDATALEN;

		if (size >= NAMEDATALEN)
			fail_range(job, psprintf("of %u bytes", size));
		check_text(job, data, size);
		memcpy(at, data, size);
		memset(at + size, 0, NAMEDATALEN - size);
		*job_value(job, i) = PointerGetDatum(at);
	}
}

static void
form_oid(const FormJob *job)
{
	const int64 *values = (const int64 *) job->v->values;

	if (job->v->layout == LAYOUT_INT32)
	{
		const int32 *narrow = (const int32 *) job->v->values;

		FORM_EACH(job,
				  if (unlikely(narrow[slot] < 0))
				  fail_range_int(job, narrow[slot]);
				  *out = ObjectIdGetDatum((Oid) narrow[slot]));
		return;
	}
	FORM_EACH(job,
			  if (unlikely(values[slot] < 0 || values[slot] > PG_UINT32_MAX))
			  fail_range_int(job, values[slot]);
			  *out = ObjectIdGetDatum((Oid) values[slot]));
}

pg_noreturn static void
fail_text(const FormJob *job, const char *data, uint32 size)
{
	fail_range(job, psprintf("\"%.*s\"", (int) Min(size, 100), data));
}

static void
form_char(const FormJob *job)
{
	for (uint32 i = 0; i < job->n; i++)
	{
		uint32		size;
		const uint8 *p = (const uint8 *) slot_bytes(job->v, job->slots[i], &size);
		int			value = size == 0 ? 0 : p[0];

		if (size == 4 && p[0] == '\\' && p[1] >= '2' && p[1] <= '3' &&
			p[2] >= '0' && p[2] <= '7' && p[3] >= '0' && p[3] <= '7')
			value = (p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0');
		else if (size > 1 || value >= 0x80)
			fail_text(job, (const char *) p, size);
		*job_value(job, i) = CharGetDatum((char) value);
	}
}

/* "-12.34" to units; false when it is nothing like that. */
static bool
read_money(const char *p, uint32 size, int64 *money)
{
	bool		negative = size > 0 && *p == '-';
	uint32		point = size - 3;
	int64		value = 0;

	if (size < 4u + negative || p[point] != '.')
		return false;
	for (uint32 i = negative; i < size; i++)
	{
		int			digit = p[i] - '0';

		if (i == point)
			continue;
		if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, (int64) 10, &value) ||
			__builtin_sub_overflow(value, (int64) digit, &value))
			return false;
	}
	*money = value;
	return negative || !__builtin_sub_overflow((int64) 0, value, money);
}

static void
form_money(const FormJob *job)
{
	for (uint32 i = 0; i < job->n; i++)
	{
		uint32		size;
		const char *data = slot_bytes(job->v, job->slots[i], &size);
		int64		money = 0;

		if (!job_isnull(job, i) && !read_money(data, size, &money))
			fail_text(job, data, size);
		*job_value(job, i) = CashGetDatum(money);
	}
}

static void
form_receive(const FormJob *job)
{
	FmgrInfo   *receive = unconstify(FmgrInfo *, &job->c->input);
	StringInfoData copy;

	initStringInfo(&copy);
	for (uint32 i = 0; i < job->n; i++)
	{
		uint32		size;
		const char *data = slot_bytes(job->v, job->slots[i], &size);

		CHECK_FOR_INTERRUPTS();
		*job_value(job, i) = (Datum) 0;
		if (job_isnull(job, i))
			continue;
		resetStringInfo(&copy);
		if (size >= MaxAllocSize)
			fail_range(job, psprintf("of %u bytes", size));
		appendBinaryStringInfo(&copy, data, (int) size);
		*job_value(job, i) = ReceiveFunctionCall(receive, &copy, job->c->input_param, job->c->typmod);
	}
	pfree(copy.data);
}

static void
form_input(const FormJob *job)
{
	FmgrInfo   *input = unconstify(FmgrInfo *, &job->c->input);
	char	   *text = NULL;
	size_t		room = 0;

	for (uint32 i = 0; i < job->n; i++)
	{
		uint32		size;
		const char *data = slot_bytes(job->v, job->slots[i], &size);

		CHECK_FOR_INTERRUPTS();
		*job_value(job, i) = (Datum) 0;
		if (job_isnull(job, i))
			continue;
		check_text(job, data, size);
		if (text == NULL || room < (size_t) size + 1)
		{
			if (text)
				pfree(text);
			room = Max((size_t) size + 1, 256);
			text = palloc_extended(room, MCXT_ALLOC_HUGE);
		}
		memcpy(text, data, size);
		text[size] = '\0';
		*job_value(job, i) = InputFunctionCall(input, text, job->c->input_param, job->c->typmod);
	}
	if (text)
		pfree(text);
}

typedef void (*form_fn) (const FormJob *job);

/*
 * The function that forms c->pg_type from a lake type, or NULL.  Exact
 * readings only: same type, promotions of it, and integers or decimals where
 * a numeric is asked for.
 */
static form_fn
choose_form(const ColumnConvert *c, LakeType from)
{
	static const form_fn same[] = {
		[CONVERT_BOOL] = form_bool,
		[CONVERT_INT2] = form_int2,
		[CONVERT_INT4] = form_int4,
		[CONVERT_INT8] = form_int8,
		[CONVERT_FLOAT4] = form_float4,
		[CONVERT_FLOAT8] = form_float8,
		[CONVERT_DATE] = form_date,
		[CONVERT_TIME] = form_time,
		[CONVERT_TIMESTAMP] = form_timestamp,
		[CONVERT_NUMERIC] = form_numeric,
		[CONVERT_TEXT] = form_text,
		[CONVERT_NAME] = form_name,
		[CONVERT_UUID] = form_uuid,
		[CONVERT_OID] = form_oid,
		[CONVERT_CHAR] = form_char,
		[CONVERT_MONEY] = form_money,
		[CONVERT_SEND] = form_receive,
		[CONVERT_OUTPUT] = form_input
	};

	/* its own way, in convert_form */
	if (c->kind == CONVERT_NESTED)
		return NULL;
	if (c->pg_type == NUMERICOID)
	{
		if (from.id == LAKE_DECIMAL)
			return c->kind == CONVERT_OUTPUT || from.scale == c->type.scale ? form_numeric : NULL;
		if (from.id == LAKE_INT || from.id == LAKE_LONG)
			return c->kind == CONVERT_OUTPUT || c->type.scale == 0 ? form_numeric : NULL;
	}
	if (c->pg_type == BYTEAOID && from.id == LAKE_FIXED)
		return form_text;
	/* strings kept as bytes, because nobody knew their encoding */
	if (c->type.id == LAKE_STRING && from.id == LAKE_BINARY && GetDatabaseEncoding() == PG_SQL_ASCII)
		return same[c->kind];
	return lake_type_promotes(from, c->type) ? same[c->kind] : NULL;
}

bool
convert_reads(const ColumnConvert *c, LakeType from)
{
	if (c->kind == CONVERT_NESTED)
		return from.id == LAKE_NESTED && c->nested->lake != NULL;
	return choose_form(c, from) != NULL;
}

/*
 * The strings of a job in the database's encoding: a vector that its slots
 * then number from 0.  ASCII is copied as it is.
 */
static ColumnVector *
transcode(const FormJob *job)
{
	ColumnVector *v = column_vector_create(CurrentMemoryContext, job->v->type, job->n);
	char	   *buffer = NULL;
	size_t		room = 0;

	for (uint32 i = 0; i < job->n; i++)
	{
		uint32		size;
		const char *data = slot_bytes(job->v, job->slots[i], &size);
		size_t		need;

		check_text(job, data, size);
		if (utf8_is_ascii(data, size))
		{
			column_append_bytes(v, data, size);
			continue;
		}
		if (size > PG_INT32_MAX / MAX_CONVERSION_GROWTH)
			fail_range(job, psprintf("of %u bytes", size));
		need = (size_t) size * MAX_CONVERSION_GROWTH + 1;
		if (room < need)
		{
			if (buffer)
				pfree(buffer);
			room = need;
			buffer = palloc_extended(room, MCXT_ALLOC_HUGE);
		}
		(void) pg_do_encoding_conversion_buf(job->c->from_utf8, PG_UTF8, GetDatabaseEncoding(),
											 (unsigned char *) unconstify(char *, data), (int) size,
											 (unsigned char *) buffer, (int) room, false);
		column_append_bytes(v, buffer, (uint32) strlen(buffer));
	}
	if (buffer)
		pfree(buffer);
	return v;
}

/* Runs a job, its strings in the database's encoding first. */
static void
form_values(form_fn form, const FormJob *job)
{
	FormJob		own = *job;
	uint32	   *slots;

	own.any_bytes = GetDatabaseEncoding() == PG_SQL_ASCII;
	if (!OidIsValid(job->c->from_utf8) || job->v->type.id != LAKE_STRING)
	{
		form(&own);
		return;
	}
	slots = MemoryContextAllocHuge(CurrentMemoryContext, (size_t) job->n * sizeof(uint32));
	for (uint32 i = 0; i < job->n; i++)
		slots[i] = i;
	own.v = transcode(&own);
	own.slots = slots;
	own.any_bytes = true;
	form(&own);
	column_vector_free(unconstify(ColumnVector *, own.v));
	pfree(slots);
}

/* Each distinct value once, then a copy of its Datum for each row. */
static void
form_distinct(form_fn form, const FormJob *rows)
{
	uint32		n = rows->v->length;
	uint32	   *slots = MemoryContextAllocHuge(CurrentMemoryContext, (size_t) n * sizeof(uint32));
	Datum	   *distinct = MemoryContextAllocHuge(CurrentMemoryContext, (size_t) n * sizeof(Datum));
	FormJob		job = *rows;

	for (uint32 i = 0; i < n; i++)
		slots[i] = i;
	job.slots = slots;
	job.n = n;
	job.values = distinct;
	job.isnull = NULL;
	job.stride = 1;
	form_values(form, &job);
	FORM_EACH(rows, *out = distinct[slot]);
	pfree(slots);
	pfree(distinct);
}

static bool
by_reference(ConvertKind kind)
{
	return kind == CONVERT_NUMERIC || kind == CONVERT_TEXT || kind == CONVERT_NAME ||
		kind == CONVERT_UUID || kind == CONVERT_SEND || kind == CONVERT_OUTPUT;
}

void
convert_form(const ColumnConvert *c, const ColumnVector *v,
			 const uint32 *rows, uint32 n,
			 Datum *values, bool *isnull, int stride)
{
	form_fn		form = choose_form(c, v->type);
	uint32	   *codes = NULL;
	FormJob		job = {.c = c, .v = v, .slots = rows, .n = n, .values = values, .stride = stride};

	if (form == NULL && !convert_reads(c, v->type))
		fail_type(c, v->type);
	if (n == 0)
		return;
	for (uint32 i = 0; i < n; i++)
		isnull[(size_t) i * stride] = column_vector_isnull(v, rows[i]);
	if (c->kind == CONVERT_NESTED)
	{
		convert_nested_form(c, v, rows, n, values, isnull, stride);
		return;
	}
	if (v->null_count > 0)
		job.isnull = isnull;
	if (v->codes == NULL)
	{
		form_values(form, &job);
		return;
	}

	/* nothing but nulls: there is no value that code 0 could mean */
	if (v->dictionary->length == 0)
	{
		for (uint32 i = 0; i < n; i++)
			values[(size_t) i * stride] = (Datum) 0;
		return;
	}
	codes = MemoryContextAllocHuge(CurrentMemoryContext, (size_t) n * sizeof(uint32));
	for (uint32 i = 0; i < n; i++)
		codes[i] = v->codes[rows[i]];
	job.v = v->dictionary;
	job.slots = codes;
	if (by_reference(c->kind) && v->dictionary->length <= n)
		form_distinct(form, &job);
	else
		form_values(form, &job);
	pfree(codes);
}
