/*-------------------------------------------------------------------------
 *
 * writer.c
 *	  Row groups, page indexes and footer of a Parquet file.
 *
 * Batches smaller than a row group are gathered in vectors of the writer;
 * a batch that fills one is encoded where it lies.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/bits.h"
#include "parquet/write_internal.h"

/* In the form that other readers parse ("<application> version <version>"). */
#define CREATED_BY "tarn version 1.0.0 (build 1)"

struct ParquetWriter
{
	MemoryContext context;		/* everything; child of the opener's */
	ParquetColumn *columns;
	int			ncolumns;
	ParquetShred **shreds;		/* by column: NULL unless nested */
	int			nleaves;
	ParquetWriterOptions options;
	const Codec *codec;
	ParquetSink sink;
	ParquetScratch scratch;
	ParquetBuffer bits;			/* validity of slices, and selections */
	ParquetFileMetaData meta;
	uint32		groups_room;
	ColumnVector *pending;		/* gathered rows, by column */
	uint32		pending_rows;
	uint64		rows;			/* appended so far */
	ParquetColumnSummary *summaries;
	ParquetChunkResult **results;	/* by row group, an array by leaf: for the indexes */
};

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

/* A bound that outlives the vector it points into. */
static void
keep_bound(LakeValue *to, const LakeValue *from, ColumnLayout layout)
{
	*to = *from;
	if (layout == LAYOUT_BYTES || layout == LAYOUT_FIXED)
	{
		char	   *copy = palloc((Size) from->u.bytes.size + COLUMN_PADDING);

		memcpy(copy, from->u.bytes.data, from->u.bytes.size);
		to->u.bytes.data = copy;
	}
}

static void
add_to_summary(ParquetColumnSummary *sum, LakeType type, const ParquetChunkResult *result)
{
	const ParquetRange *range = &result->range;
	ColumnLayout layout = lake_type_layout(type);

	sum->compressed_bytes += result->chunk.meta_data.total_compressed_size;
	sum->value_count += result->chunk.meta_data.num_values;
	sum->null_count += range->nulls;
	sum->nan_count += range->nans;
	if (!range->has_bounds)
		return;
	if (!sum->has_bounds || lake_value_compare(type, &range->lower, &sum->lower) < 0)
		keep_bound(&sum->lower, &range->lower, layout);
	if (!sum->has_bounds || lake_value_compare(type, &range->upper, &sum->upper) > 0)
		keep_bound(&sum->upper, &range->upper, layout);
	sum->has_bounds = true;
}

static ParquetRowGroup *
next_group(ParquetWriter *w, uint32 rows)
{
	ParquetRowGroup *group;

	if (w->meta.nrow_groups == w->groups_room)
	{
		w->groups_room *= 2;
		w->meta.row_groups = repalloc(w->meta.row_groups, w->groups_room * sizeof(ParquetRowGroup));
		w->results = repalloc(w->results, w->groups_room * sizeof(ParquetChunkResult *));
	}
	group = &w->meta.row_groups[w->meta.nrow_groups];
	parquet_row_group_init(group);
	group->num_rows = rows;
	group->ncolumns = w->nleaves;
	group->columns = palloc((w->nleaves + 1) * sizeof(ParquetColumnChunk));
	group->file_offset = (int64) w->sink.offset;
	group->total_compressed_size = 0;
	group->ordinal = w->meta.nrow_groups <= PG_INT16_MAX ? (int32) w->meta.nrow_groups : -1;
	w->results[w->meta.nrow_groups] = palloc((w->nleaves + 1) * sizeof(ParquetChunkResult));
	w->meta.nrow_groups++;
	return group;
}

/* A chunk of one leaf, the next of the row group; nested: see parquet_chunk_write. */
static void
write_chunk(ParquetWriter *w, int column, int leaf, const ColumnVector *v, const ParquetShredLeaf *nested)
{
	ParquetRowGroup *group = &w->meta.row_groups[w->meta.nrow_groups - 1];
	ParquetChunkResult *result = &w->results[w->meta.nrow_groups - 1][leaf];
	const ParquetColumn *c = nested != NULL ? &nested->column : &w->columns[column];

	parquet_chunk_write(result, c, &w->options, w->codec, v, nested, &w->scratch, &w->sink);
	group->columns[leaf] = result->chunk;
	group->total_byte_size += result->chunk.meta_data.total_uncompressed_size;
	group->total_compressed_size += result->chunk.meta_data.total_compressed_size;
	if (nested == NULL)
		add_to_summary(&w->summaries[column], c->type, result);
	else
		w->summaries[column].compressed_bytes += result->chunk.meta_data.total_compressed_size;
}

/* Encodes rows first .. first + rows - 1 of the vectors as a row group. */
static void
write_group(ParquetWriter *w, ColumnVector *const *vectors, ColumnVector *own, uint32 first, uint32 rows)
{
	MemoryContext old = MemoryContextSwitchTo(w->context);
	uint64	   *bits;
	int			leaf = 0;

	(void) next_group(w, rows);
	bits = parquet_buffer_scratch(&w->bits, BITMAP_WORDS(rows) * sizeof(uint64));
	for (int i = 0; i < w->ncolumns; i++)
	{
		ParquetShred *shred = w->shreds[i];
		ColumnVector slice;

		parquet_slice(&slice, vectors != NULL ? vectors[i] : &own[i], first, rows, bits);
		if (shred == NULL)
		{
			write_chunk(w, i, leaf++, &slice, NULL);
			continue;
		}
		parquet_shred_rows(shred, &slice);
		for (int k = 0; k < shred->nleaves; k++)
			write_chunk(w, i, leaf++, &shred->leaves[k].values, &shred->leaves[k]);
	}
	w->meta.num_rows += rows;
	MemoryContextSwitchTo(old);
}

static void
flush_pending(ParquetWriter *w)
{
	if (w->pending_rows == 0)
		return;
	write_group(w, NULL, w->pending, 0, w->pending_rows);
	for (int i = 0; i < w->ncolumns; i++)
		column_vector_reset(&w->pending[i]);
	w->pending_rows = 0;
}

static uint64
vector_bytes(const ColumnVector *v)
{
	if (v->layout == LAYOUT_BYTES)
		return (v->length > 0 ? v->offsets[v->length] : 0) + (uint64) v->length * sizeof(uint32);
	return (uint64) v->length * v->width;
}

static uint64
pending_bytes(const ParquetWriter *w)
{
	uint64		total = 0;

	for (int i = 0; i < w->ncolumns; i++)
		total += vector_bytes(&w->pending[i]);
	return total;
}

/* Rows of the batch that fill an empty row group, by rows and by bytes. */
static uint32
group_rows(const ParquetWriter *w, ColumnVector *const *columns, uint32 nrows)
{
	uint64		total = 0;
	uint64		limit = w->options.row_group_rows;

	for (int i = 0; i < w->ncolumns; i++)
		total += vector_bytes(columns[i]);
	if (total > w->options.row_group_bytes)
		limit = Min(limit, (uint64) ((double) w->options.row_group_bytes / total * nrows));
	return (uint32) Max(1, limit);
}

/* Rows from `first` that hold `wanted` set bits, or all that are left. */
static uint32
rows_with_bits(const uint64 *rows, uint32 first, uint32 nrows, uint32 wanted, uint32 *found)
{
	uint32		i = first;

	*found = 0;
	while (i < nrows && *found < wanted)
	{
		uint32		span = Min(64, nrows - i);
		uint64		word;
		uint32		count;

		parquet_bits_slice(&word, rows, i, span);
		count = pg_popcount64(word);
		if (*found + count > wanted)
		{
			/* the last bits one by one */
			while (*found < wanted)
				*found += bitmap_get(rows, i++);
			break;
		}
		*found += count;
		i += span;
	}
	return i - first;
}

/* Copies a part of the batch to the gathered rows; returns how many rows of it were passed. */
static uint32
gather(ParquetWriter *w, ColumnVector *const *columns, uint32 first, uint32 nrows,
	   const uint64 *rows, uint32 limit)
{
	uint32		room = limit > w->pending_rows ? limit - w->pending_rows : 1;
	uint32		take = Min(room, nrows - first);
	uint32		taken = take;
	uint64	   *bits;
	uint64	   *selection = NULL;

	if (rows != NULL)
		take = rows_with_bits(rows, first, nrows, room, &taken);
	bits = parquet_buffer_scratch(&w->bits, 2 * (BITMAP_WORDS(take) + 1) * sizeof(uint64));
	if (rows != NULL)
	{
		selection = bits + BITMAP_WORDS(take) + 1;
		parquet_bits_slice(selection, rows, first, take);
	}
	for (int i = 0; i < w->ncolumns; i++)
	{
		ColumnVector slice;

		parquet_slice(&slice, columns[i], first, take, bits);
		column_vector_append_rows(&w->pending[i], &slice, selection);
	}
	w->pending_rows += taken;
	w->rows += taken;
	return take;
}

static void
check_vectors(const ParquetWriter *w, ColumnVector *const *columns, uint32 nrows)
{
	for (int i = 0; i < w->ncolumns; i++)
	{
		if (columns[i]->length != nrows || columns[i]->codes != NULL ||
			!lake_type_equal(columns[i]->type, w->columns[i].type))
			elog(ERROR, "vector does not fit Parquet column \"%s\"", w->columns[i].name);
	}
}

void
parquet_writer_append(ParquetWriter *w, ColumnVector *const *columns, uint32 nrows, const uint64 *rows)
{
	uint32		limit = group_rows(w, columns, nrows);
	uint32		first = 0;

	check_vectors(w, columns, nrows);
	while (first < nrows)
	{
		if (rows == NULL && w->pending_rows == 0 && nrows - first >= limit)
		{
			write_group(w, columns, NULL, first, limit);
			w->rows += limit;
			first += limit;
			continue;
		}
		first += gather(w, columns, first, nrows, rows, limit);
		if (w->pending_rows >= w->options.row_group_rows ||
			pending_bytes(w) >= w->options.row_group_bytes)
			flush_pending(w);
	}
}

void
parquet_writer_append_group(ParquetWriter *w, ColumnVector *const *columns, uint32 nrows, const uint64 *rows)
{
	uint32		limit = group_rows(w, columns, nrows);
	uint32		ngroups = nrows / limit + (nrows % limit != 0);

	if (rows != NULL || w->pending_rows > 0)
	{
		parquet_writer_append(w, columns, nrows, rows);
		flush_pending(w);
		return;
	}
	check_vectors(w, columns, nrows);
	for (uint32 g = 0; g < ngroups; g++)
	{
		uint32		first = (uint32) ((uint64) nrows * g / ngroups);
		uint32		n = (uint32) ((uint64) nrows * (g + 1) / ngroups) - first;

		write_group(w, columns, NULL, first, n);
		w->rows += n;
	}
}

uint64
parquet_writer_rows(const ParquetWriter *w)
{
	return w->rows;
}

uint64
parquet_writer_bytes(const ParquetWriter *w)
{
	uint64		pending = pending_bytes(w);

	/* what is not encoded yet will shrink about as the rest did */
	if (w->meta.num_rows > 0 && w->pending_rows > 0)
		return w->sink.offset + (uint64) ((double) w->sink.offset / w->meta.num_rows * w->pending_rows);
	return w->sink.offset + pending / 3;
}

size_t
parquet_writer_memory(const ParquetWriter *w)
{
	return MemoryContextMemAllocated(w->context, true);
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

	flush_pending(w);
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
			keep_bound(&c->lower, &w->summaries[i].lower, layout);
			keep_bound(&c->upper, &w->summaries[i].upper, layout);
		}
	}
	return summary;
}

void
parquet_writer_free(ParquetWriter *w)
{
	MemoryContextDelete(w->context);
}
