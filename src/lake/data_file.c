/*-------------------------------------------------------------------------
 *
 * data_file.c
 *	  The manifest entry of a data file that was just written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "iceberg/bounds.h"
#include "lake/table.h"
#include "parquet/writer.h"

/* Columns with metrics, as the reference implementation limits them; entries stay small. */
#define METRICS_MAX_COLUMNS 100

/*
 * Minus zero sorts before plus zero in Iceberg, while a writer's minimum and
 * maximum may have found either: the bounds are widened to hold both.
 */
static void
widen_zero(LakeType type, LakeValue *value, bool upper)
{
	if ((type.id == LAKE_FLOAT || type.id == LAKE_DOUBLE) && value->u.f64 == 0)
		value->u.f64 = upper ? 0.0 : -0.0;
}

static char *
encode_bound(LakeType type, const LakeValue *value, bool upper, int *size)
{
	LakeValue	bound = *value;
	StringInfoData buf;

	widen_zero(type, &bound, upper);
	if (!iceberg_bound_truncate(type, &bound, upper))
		return NULL;
	initStringInfo(&buf);
	iceberg_value_encode(type, &bound, &buf);
	*size = buf.len;
	return buf.data;
}

static void
fill_metrics(IcebergMetrics *m, const IcebergField *field, const ParquetColumnSummary *summary)
{
	bool		floating = field->type.id == LAKE_FLOAT || field->type.id == LAKE_DOUBLE;

	memset(m, 0, sizeof(*m));
	m->field_id = field->id;
	m->column_size = (int64) summary->compressed_bytes;
	m->value_count = (int64) summary->value_count;
	m->null_count = (int64) summary->null_count;
	m->nan_count = floating ? (int64) summary->nan_count : -1;
	if (summary->has_bounds)
	{
		m->lower = encode_bound(field->type, &summary->lower, false, &m->lower_size);
		m->upper = encode_bound(field->type, &summary->upper, true, &m->upper_size);
	}
}

static int
compare_metrics(const void *a, const void *b)
{
	const IcebergMetrics *x = a;
	const IcebergMetrics *y = b;

	return x->field_id < y->field_id ? -1 : x->field_id > y->field_id;
}

void
lake_data_file(IcebergDataFile *file, const char *path,
			   const IcebergSchema *schema, const ParquetFileSummary *summary)
{
	if (summary->ncolumns != schema->nfields)
		elog(ERROR, "Parquet file has %d columns, table has %d", summary->ncolumns, schema->nfields);
	iceberg_data_file_written(file, ICEBERG_DATA, summary);
	file->path = pstrdup(path);
	file->metrics = palloc(sizeof(IcebergMetrics) * Max(Min(summary->ncolumns, METRICS_MAX_COLUMNS), 1));
	/* leaves of lists and maps have no metrics in anybody's manifests; those of structs would help no filter of ours */
	for (int i = 0; i < summary->ncolumns && file->nmetrics < METRICS_MAX_COLUMNS; i++)
	{
		if (!summary->columns[i].nested)
			fill_metrics(&file->metrics[file->nmetrics++], &schema->fields[i], &summary->columns[i]);
	}
	qsort(file->metrics, file->nmetrics, sizeof(IcebergMetrics), compare_metrics);
}
