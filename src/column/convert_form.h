/*-------------------------------------------------------------------------
 *
 * convert_form.h
 *	  One column's values to be formed, and the functions that form a kind.
 *
 * convert_form.c chooses the function and prepares the job; the functions
 * stand in convert_form_fixed.c (numbers, dates, uuid) and convert_form_text.c
 * (what the lake keeps as strings or bytes).  Each runs over all values of a
 * job, so that the kind is looked at once per call and not once per value.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_COLUMN_CONVERT_FORM_H
#define TARN_COLUMN_CONVERT_FORM_H

#include "postgres.h"

#include "column/convert_internal.h"

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

/* Runs `statement` for each value; in it `slot` is the index and `out` the Datum to set.  A null's slot is valid, too. */
#define FORM_EACH(job, statement) \
	for (uint32 i = 0; i < (job)->n; i++) \
	{ \
		uint32		slot = (job)->slots[i]; \
		Datum	   *out = job_value((job), i); \
		statement; \
	}

/* One block for n values of `size` bytes. */
static inline char *
job_block(const FormJob *job, size_t size)
{
	return MemoryContextAllocHuge(CurrentMemoryContext, (size_t) job->n * size);
}

/* The string or the bytes of a slot. */
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

/* "value is out of range for type": the error of a value that the lake may hold and PostgreSQL's type cannot. */
pg_noreturn extern void form_fail_range(const FormJob *job, const char *value);

typedef void (*form_fn) (const FormJob *job);

/* convert_form_fixed.c */
extern void form_bool(const FormJob *job);
extern void form_int2(const FormJob *job);
extern void form_int4(const FormJob *job);
extern void form_int8(const FormJob *job);
extern void form_float4(const FormJob *job);
extern void form_float8(const FormJob *job);
extern void form_date(const FormJob *job);
extern void form_time(const FormJob *job);
extern void form_timestamp(const FormJob *job);
extern void form_numeric(const FormJob *job);
extern void form_uuid(const FormJob *job);
extern void form_oid(const FormJob *job);

/* convert_form_text.c; form_text does bytea, too */
extern void form_text(const FormJob *job);
extern void form_name(const FormJob *job);
extern void form_char(const FormJob *job);
extern void form_money(const FormJob *job);
extern void form_receive(const FormJob *job);
extern void form_input(const FormJob *job);

/* Fails unless it is text: UTF-8, or in the database's encoding (any_bytes), without a zero byte. */
extern void form_check_text(const FormJob *job, const char *data, uint32 size);

#endif							/* TARN_COLUMN_CONVERT_FORM_H */
