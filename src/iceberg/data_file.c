/*-------------------------------------------------------------------------
 *
 * data_file.c
 *	  Entries of data and delete files: made from what was written, copied.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/manifest.h"

void
iceberg_data_file_written(IcebergDataFile *file, IcebergContent content,
						  const ParquetFileSummary *summary)
{
	memset(file, 0, sizeof(*file));
	file->content = content;
	file->format = pstrdup("PARQUET");
	file->record_count = (int64) summary->rows;
	file->file_size = (int64) summary->file_bytes;
	file->content_offset = file->content_size = -1;
	file->nsplit_offsets = summary->nrow_groups;
	file->split_offsets = palloc(sizeof(int64) * Max(summary->nrow_groups, 1));
	for (int i = 0; i < summary->nrow_groups; i++)
		file->split_offsets[i] = (int64) summary->split_offsets[i];
}

char *
iceberg_copy_bytes(const char *data, int size)
{
	char	   *copy;

	if (data == NULL)
		return NULL;
	copy = palloc(size + 1);
	memcpy(copy, data, size);
	copy[size] = '\0';
	return copy;
}

static void *
copy_array(const void *array, int n, size_t size)
{
	void	   *copy;

	if (n == 0)
		return NULL;
	copy = palloc(n * size);
	memcpy(copy, array, n * size);
	return copy;
}

void
iceberg_data_file_copy(IcebergDataFile *to, const IcebergDataFile *from)
{
	*to = *from;
	to->path = pstrdup(from->path);
	to->format = pstrdup(from->format);
	to->metrics = copy_array(from->metrics, from->nmetrics, sizeof(IcebergMetrics));
	for (int i = 0; i < to->nmetrics; i++)
	{
		to->metrics[i].lower = iceberg_copy_bytes(from->metrics[i].lower, from->metrics[i].lower_size);
		to->metrics[i].upper = iceberg_copy_bytes(from->metrics[i].upper, from->metrics[i].upper_size);
	}
	to->split_offsets = copy_array(from->split_offsets, from->nsplit_offsets, sizeof(int64));
	to->equality_ids = copy_array(from->equality_ids, from->nequality_ids, sizeof(int));
	to->partition = iceberg_copy_bytes(from->partition, from->partition_size);
	if (from->referenced_data_file != NULL)
		to->referenced_data_file = pstrdup(from->referenced_data_file);
}
