/*-------------------------------------------------------------------------
 *
 * writer.c
 *	  A Parquet file from its opening to its footer.  Rows are gathered in
 *	  writer_append.c, row groups written in row_group_write.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/write_internal.h"
#include "utils/memutils.h"

/* In the form that other readers parse ("<application> version <version>"). */
#define CREATED_BY "tarn version 1.0.0 (build 1)"

void
parquet_writer_defaults(ParquetWriterOptions *options)
{
	memset(options, 0, sizeof(*options));
	options->codec = CODEC_ZSTD;
	options->level = -1;
	options->row_group_rows = 512 * 1024;
	options->row_group_bytes = UINT64CONST(128) * 1024 * 1024;
	options->page_bytes = 1024 * 1024;
	options->page_rows = 128 * 1024;
	options->dictionary_bytes = 1024 * 1024;
	options->page_index = true;
	options->crc = true;
}

static void
copy_columns(ParquetWriter *w, const ParquetColumn *columns, int ncolumns)
{
	w->ncolumns = ncolumns;
	w->columns = palloc0((ncolumns + 1) * sizeof(ParquetColumn));
	w->summaries = palloc0((ncolumns + 1) * sizeof(ParquetColumnSummary));
	w->pending = palloc0((ncolumns + 1) * sizeof(ColumnVector));
	w->shreds = palloc0((ncolumns + 1) * sizeof(ParquetShred *));
	w->nleaves = 0;
	for (int i = 0; i < ncolumns; i++)
	{
		w->columns[i] = columns[i];
		w->columns[i].name = pstrdup(columns[i].name);
		if (columns[i].node != NULL)
		{
			w->columns[i].node = lake_node_copy(columns[i].node);
			w->shreds[i] = parquet_shred_create(&w->columns[i]);
			w->summaries[i].nested = true;
		}
		w->nleaves += w->shreds[i] != NULL ? w->shreds[i]->nleaves : 1;
	}
}

static void
make_schema(ParquetWriter *w)
{
	ParquetFileMetaData *meta = &w->meta;
	int			n = 1;

	meta->version = 2;			/* page index and logical types */
	meta->created_by = CREATED_BY;
	meta->nschema = 1;
	for (int i = 0; i < w->ncolumns; i++)
		meta->nschema += w->shreds[i] != NULL ? parquet_shred_nelements(&w->columns[i]) : 1;
	meta->schema = palloc(meta->nschema * sizeof(ParquetSchemaElement));
	parquet_schema_element_init(&meta->schema[0]);
	meta->schema[0].name = "table";
	meta->schema[0].num_children = w->ncolumns;
	for (int i = 0; i < w->ncolumns; i++)
	{
		if (w->shreds[i] != NULL)
			n += parquet_shred_schema(&meta->schema[n], &w->columns[i]);
		else
			parquet_schema_leaf(&meta->schema[n++], &w->columns[i]);
	}
	meta->ncolumn_orders = w->nleaves;
	meta->column_orders = palloc((w->nleaves + 1) * sizeof(int32));
	for (int i = 0; i < w->nleaves; i++)
		meta->column_orders[i] = 1;
}

static void
copy_key_values(ParquetWriter *w, const char *const *key_values)
{
	uint32		n = 0;

	while (key_values != NULL && key_values[2 * n] != NULL)
		n++;
	w->meta.nkey_values = n;
	w->meta.key_values = palloc((n + 1) * sizeof(ParquetKeyValue));
	for (uint32 i = 0; i < n; i++)
	{
		w->meta.key_values[i].key = pstrdup(key_values[2 * i]);
		w->meta.key_values[i].value = pstrdup(key_values[2 * i + 1]);
	}
}

ParquetWriter *
parquet_writer_open(const ParquetColumn *columns, int ncolumns, const ParquetWriterOptions *options,
					const char *const *key_values, parquet_write_fn write, void *arg)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "Parquet writer",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ParquetWriter *w = palloc0(sizeof(ParquetWriter));

	w->context = context;
	w->options = *options;
	w->options.row_group_rows = Max(1, options->row_group_rows);
	w->options.page_rows = Max(1, options->page_rows);
	w->codec = codec_by_id(options->codec);
	if (w->codec == NULL || (w->codec->compress == NULL && options->codec != CODEC_NONE))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot write Parquet files with compression codec %d", (int) options->codec)));
	w->sink.write = write;
	w->sink.arg = arg;
	w->bits.context = context;
	parquet_scratch_init(&w->scratch, context);
	copy_columns(w, columns, ncolumns);
	make_schema(w);
	copy_key_values(w, key_values);
	for (int i = 0; i < ncolumns; i++)
		column_vector_init(&w->pending[i], context, columns[i].type, 0);
	w->groups_room = 8;
	w->meta.row_groups = palloc(w->groups_room * sizeof(ParquetRowGroup));
	w->results = palloc(w->groups_room * sizeof(ParquetChunkResult *));
	parquet_sink_put(&w->sink, PARQUET_MAGIC, PARQUET_MAGIC_SIZE);
	MemoryContextSwitchTo(old);
	return w;
}

uint64
parquet_writer_bytes(const ParquetWriter *w)
{
	uint64		pending = parquet_pending_bytes(w);

	/* what is not encoded yet will shrink about as the rest did */
	if (w->meta.num_rows > 0 && w->pending_rows > 0)
		return w->sink.offset + (uint64) ((double) w->sink.offset / w->meta.num_rows * w->pending_rows);
	return w->sink.offset + pending / 3;
}

/* The page indexes of all chunks, before the footer that points to them. */
static void
write_indexes(ParquetWriter *w)
{
	for (uint32 g = 0; g < w->meta.nrow_groups; g++)
	{
		for (int i = 0; i < w->nleaves; i++)
		{
			StringInfo	index = &w->results[g][i].column_index;

			if (index->data == NULL)
				continue;
			w->meta.row_groups[g].columns[i].column_index_offset = (int64) w->sink.offset;
			w->meta.row_groups[g].columns[i].column_index_length = index->len;
			parquet_sink_put(&w->sink, index->data, index->len);
		}
	}
	for (uint32 g = 0; g < w->meta.nrow_groups; g++)
	{
		for (int i = 0; i < w->nleaves; i++)
		{
			StringInfo	index = &w->results[g][i].offset_index;

			if (index->data == NULL)
				continue;
			w->meta.row_groups[g].columns[i].offset_index_offset = (int64) w->sink.offset;
			w->meta.row_groups[g].columns[i].offset_index_length = index->len;
			parquet_sink_put(&w->sink, index->data, index->len);
		}
	}
}

static void
write_footer(ParquetWriter *w)
{
	StringInfoData footer;
	uint32		size;

	initStringInfo(&footer);
	parquet_write_file_meta(&footer, &w->meta);
	size = (uint32) footer.len;
	parquet_sink_put(&w->sink, footer.data, footer.len);
	parquet_sink_put(&w->sink, &size, sizeof(size));
	parquet_sink_put(&w->sink, PARQUET_MAGIC, PARQUET_MAGIC_SIZE);
}

ParquetFileSummary *
parquet_writer_finish(ParquetWriter *w)
{
	ParquetFileSummary *summary = palloc0(sizeof(ParquetFileSummary));
	MemoryContext old;

	parquet_flush_pending(w);
	old = MemoryContextSwitchTo(w->context);
	write_indexes(w);
	write_footer(w);
	MemoryContextSwitchTo(old);

	summary->rows = (uint64) w->meta.num_rows;
	summary->file_bytes = w->sink.offset;
	summary->nrow_groups = (int) w->meta.nrow_groups;
	summary->split_offsets = palloc((w->meta.nrow_groups + 1) * sizeof(uint64));
	for (uint32 g = 0; g < w->meta.nrow_groups; g++)
		summary->split_offsets[g] = (uint64) w->meta.row_groups[g].file_offset;
	summary->ncolumns = w->ncolumns;
	summary->columns = palloc((w->ncolumns + 1) * sizeof(ParquetColumnSummary));
	for (int i = 0; i < w->ncolumns; i++)
	{
		ParquetColumnSummary *c = &summary->columns[i];
		ColumnLayout layout = lake_type_layout(w->columns[i].type);

		*c = w->summaries[i];
		if (c->has_bounds)
		{
			parquet_keep_bound(&c->lower, &w->summaries[i].lower, layout);
			parquet_keep_bound(&c->upper, &w->summaries[i].upper, layout);
		}
	}
	return summary;
}

void
parquet_writer_free(ParquetWriter *w)
{
	MemoryContextDelete(w->context);
}
