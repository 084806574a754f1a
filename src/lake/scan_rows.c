/*-------------------------------------------------------------------------
 *
 * scan_rows.c
 *	  Chosen rows of one data file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lake/scan_internal.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Rows of row group `group` among positions[*at..n-1] as ranges; passes them. */
static void
rows_of_group(const ParquetReader *parquet, int group, const uint64 *positions, uint32 n,
			  uint32 *at, ScanRanges *ranges)
{
	uint64		first = parquet_reader_group_first_row(parquet, group);
	uint64		end = first + parquet_reader_group_rows(parquet, group);

	ranges->n = 0;
	ranges->rows = 0;
	while (*at < n && positions[*at] < end)
	{
		uint32		row = (uint32) (positions[*at] - first);

		Assert(positions[*at] >= first);
		if (ranges->n > 0 &&
			ranges->pairs[ranges->n * 2 - 2] + ranges->pairs[ranges->n * 2 - 1] == row)
			ranges->pairs[ranges->n * 2 - 1]++;
		else
		{
			ranges->pairs[ranges->n * 2] = row;
			ranges->pairs[ranges->n * 2 + 1] = 1;
			ranges->n++;
		}
		ranges->rows++;
		(*at)++;
	}
}

void
lake_read_rows(LakeTable *table, const char *path, const int *field_ids, int nfields,
			   const uint64 *positions, uint32 n, ColumnVector **out)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tarn lake rows",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	const IcebergField **fields = palloc(Max(nfields, 1) * sizeof(*fields));
	ScanRanges	ranges = {0};
	ScanParquet *file;
	ScanColumn *columns;
	uint64		bytes = 0;
	uint32		at = 0;

	for (int i = 0; i < nfields; i++)
	{
		fields[i] = iceberg_schema_field(table->schema, field_ids[i]);
		if (fields[i] == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("lake table \"%s.%s\" has no field with id %d",
							table->namespace, table->name, field_ids[i])));
	}
	ranges.pairs = palloc((Size) Max(n, 1) * 2 * sizeof(uint32));
	file = scan_parquet_open(table->lake->store, path, NULL, -1, &bytes, true);
	columns = scan_columns_bind(table, file->parquet, path, fields, nfields);

	for (int g = 0; g < parquet_reader_nrow_groups(file->parquet) && at < n; g++)
	{
		CHECK_FOR_INTERRUPTS();
		rows_of_group(file->parquet, g, positions, n, &at, &ranges);
		if (ranges.rows == 0)
			continue;
		for (int i = 0; i < nfields; i++)
			column_vector_append_rows(out[i],
									  scan_column_read(&columns[i], file->parquet, path, g, &ranges, 0),
									  NULL);
	}
	if (at < n)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not read lake file \"%s\": it has no row " UINT64_FORMAT,
						path, positions[at])));
	scan_parquet_close(file);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
