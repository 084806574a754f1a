/*-------------------------------------------------------------------------
 *
 * convert_form_text.c
 *	  Strings and bytes of a ColumnVector into Datums: text and its kin as
 *	  they are, other types by their input or receive function.
 *
 * Other engines may have written them, so strings are checked for UTF-8,
 * and for the length that varchar(n), char(n) and name allow.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/utf8.h"
#include "catalog/pg_type.h"
#include "column/convert_form.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/cash.h"
#include "utils/memutils.h"

void
form_check_text(const FormJob *job, const char *data, uint32 size)
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

void
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
			form_fail_range(job, psprintf("of %u bytes", size));
		if (text)
			form_check_text(job, data, size);
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

void
form_name(const FormJob *job)
{
	char	   *block = job_block(job, NAMEDATALEN);

	for (uint32 i = 0; i < job->n; i++)
	{
		uint32		size;
		const char *data = slot_bytes(job->v, job->slots[i], &size);
		char	   *at = block + (size_t) i * NAMEDATALEN;

		if (size >= NAMEDATALEN)
			form_fail_range(job, psprintf("of %u bytes", size));
		form_check_text(job, data, size);
		memcpy(at, data, size);
		memset(at + size, 0, NAMEDATALEN - size);
		*job_value(job, i) = PointerGetDatum(at);
	}
}

pg_noreturn static void
fail_text(const FormJob *job, const char *data, uint32 size)
{
	form_fail_range(job, psprintf("\"%.*s\"", (int) Min(size, 100), data));
}

void
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

void
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

void
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
			form_fail_range(job, psprintf("of %u bytes", size));
		appendBinaryStringInfo(&copy, data, (int) size);
		*job_value(job, i) = ReceiveFunctionCall(receive, &copy, job->c->input_param, job->c->typmod);
	}
	pfree(copy.data);
}

void
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
		form_check_text(job, data, size);
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
