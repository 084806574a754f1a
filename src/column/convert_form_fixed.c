/*-------------------------------------------------------------------------
 *
 * convert_form_fixed.c
 *	  Numbers, dates, times and uuids of a ColumnVector into Datums.
 *
 * Other engines may have written them, so whatever PostgreSQL's type holds
 * less of than the lake's is checked against its range.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "column/convert_form.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

pg_noreturn static void
fail_range_int(const FormJob *job, int64 value)
{
	form_fail_range(job, psprintf(INT64_FORMAT, value));
}

void
form_bool(const FormJob *job)
{
	const uint8 *values = (const uint8 *) job->v->values;

	FORM_EACH(job, *out = BoolGetDatum(values[slot] != 0));
}

void
form_int2(const FormJob *job)
{
	const int32 *values = (const int32 *) job->v->values;

	FORM_EACH(job,
			  if (unlikely(values[slot] != (int16) values[slot]))
			  fail_range_int(job, values[slot]);
			  *out = Int16GetDatum((int16) values[slot]));
}

void
form_int4(const FormJob *job)
{
	const int32 *values = (const int32 *) job->v->values;

	FORM_EACH(job, *out = Int32GetDatum(values[slot]));
}

void
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

void
form_float4(const FormJob *job)
{
	const float *values = (const float *) job->v->values;

	FORM_EACH(job, *out = Float4GetDatum(values[slot]));
}

void
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

void
form_date(const FormJob *job)
{
	const int32 *values = (const int32 *) job->v->values;

	FORM_EACH(job,
			  int64 date = (int64) values[slot] - EPOCH_DAYS;

			  if (unlikely(!IS_VALID_DATE(date)))
			  fail_range_int(job, values[slot]);
			  *out = DateADTGetDatum((DateADT) date));
}

void
form_time(const FormJob *job)
{
	const int64 *values = (const int64 *) job->v->values;

	FORM_EACH(job,
			  if (unlikely(values[slot] < 0 || values[slot] > USECS_PER_DAY))
			  fail_range_int(job, values[slot]);
			  *out = TimeADTGetDatum(values[slot]));
}

void
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
void
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
			form_fail_range(job, OutputFunctionCall(unconstify(FmgrInfo *, &job->c->output),
											   PointerGetDatum(at)));
	}
}

void
form_uuid(const FormJob *job)
{
	char	   *block = job_block(job, UUID_LEN);

	FORM_EACH(job,
			  memcpy(block + (size_t) i * UUID_LEN, job->v->values + (size_t) slot * UUID_LEN, UUID_LEN);
			  *out = PointerGetDatum(block + (size_t) i * UUID_LEN));
}

void
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
