/*-------------------------------------------------------------------------
 *
 * convert_form.c
 *	  ColumnVectors into PostgreSQL values, a column of many rows at a time.
 *
 * Chooses the function that forms the column's type from the lake's, and
 * what it runs over.  By-reference values of one call lie in one block.  A
 * vector in dictionary form is formed from the dictionary: for types by
 * reference each distinct value once, when there are not more of them than
 * rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/utf8.h"
#include "catalog/pg_type.h"
#include "column/convert_form.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

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

void
form_fail_range(const FormJob *job, const char *value)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("lake value %s of column \"%s\" of \"%s\" is out of range for type %s",
					value, job->c->name, job->c->relation,
					format_type_with_typemod(job->c->pg_type, job->c->typmod))));
	pg_unreachable();
}

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

		form_check_text(job, data, size);
		if (utf8_is_ascii(data, size))
		{
			column_append_bytes(v, data, size);
			continue;
		}
		if (size > PG_INT32_MAX / MAX_CONVERSION_GROWTH)
			form_fail_range(job, psprintf("of %u bytes", size));
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
