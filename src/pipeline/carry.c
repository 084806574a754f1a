/*-------------------------------------------------------------------------
 *
 * carry.c
 *	  Values that an UPDATE left unchanged and WAL does not hold (TOAST): taken
 *	  over from the row's old version, in the batch or in the lake.
 *
 * The source's TOAST table is not asked: it shows the present, and the value
 * may be gone or another by now.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "lake/scan.h"
#include "pipeline/batch.h"

/* Where the value of one carry comes from. */
typedef struct CarrySource
{
	uint32		row;			/* row that wants it */
	bool		in_batch;
	uint32		from;			/* batch row */
	KeyPosition position;		/* else: where in the lake */
	uint32		fetched;		/* index into the values that were read */
} CarrySource;

static int
compare_position(const void *a, const void *b)
{
	const CarrySource *x = *(CarrySource *const *) a;
	const CarrySource *y = *(CarrySource *const *) b;

	if (x->in_batch != y->in_batch)
		return x->in_batch ? 1 : -1;
	if (x->in_batch)
		return 0;
	if (x->position.file != y->position.file)
		return x->position.file < y->position.file ? -1 : 1;
	return (x->position.row > y->position.row) - (x->position.row < y->position.row);
}

static void
no_old_version(const PipelineTable *t, const TableColumn *c)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("unchanged value of column \"%s\" of table %s has no old version to take it from",
					c->name, quote_qualified_identifier(t->schema, t->table)),
			 errhint("Copy the table anew, or set REPLICA IDENTITY FULL.")));
}

/*
 * Follows a row's old versions within the batch until one has a value of its
 * own (`carried` says which rows of this column have none), or to the lake.
 */
static void
find_source(PipelineTable *t, const TableColumn *c, const Resolved *r,
			const KeyPosition *positions, const uint64 *carried, CarrySource *s)
{
	uint32		row = s->row;

	for (;;)
	{
		uint32		previous = r->previous ? r->previous[row] : KEY_NOT_FOUND;

		if (previous != KEY_NOT_FOUND)
		{
			if (!bitmap_get(carried, previous))
			{
				s->in_batch = true;
				s->from = previous;
				return;
			}
			row = previous;
			continue;
		}
		if (r->previous_pending == NULL || r->previous_pending[row] == KEY_NOT_FOUND || positions == NULL)
			no_old_version(t, c);
		s->in_batch = false;
		s->position = positions[r->previous_pending[row]];
		if (s->position.file == KEY_NOT_FOUND)
			no_old_version(t, c);
		return;
	}
}

/* Reads the lake's values, a data file at a time, in the order of `sorted`. */
static ColumnVector *
fetch(PipelineTable *t, const TableColumn *c, CarrySource **sorted, uint32 n)
{
	ColumnVector *out = column_vector_create(CurrentMemoryContext, c->convert.type, Max(n, 1));
	uint64	   *rows = palloc(sizeof(uint64) * Max(n, 1));

	for (uint32 i = 0; i < n;)
	{
		uint32		file = sorted[i]->position.file;
		uint32		nrows = 0;

		for (; i < n && sorted[i]->position.file == file; i++)
		{
			if (nrows == 0 || rows[nrows - 1] != sorted[i]->position.row)
				rows[nrows++] = sorted[i]->position.row;
			sorted[i]->fetched = out->length + nrows - 1;
		}
		lake_read_rows(t->lake, keyindex_file_path(t->index, file), &c->field_id, 1, rows, nrows, &out);
	}
	pfree(rows);
	return out;
}

/* Builds the column anew with the values that were missing; returns their bytes. */
static size_t
rebuild_column(TableBatch *b, int column, const TableColumn *c, CarrySource *sources, uint32 n,
			   const ColumnVector *fetched)
{
	ColumnVector *old = b->columns[column];
	ColumnVector *v = column_vector_create(b->context, c->convert.type, old->length);
	uint32		next = 0;
	size_t		bytes = 0;

	for (uint32 row = 0; row < old->length; row++)
	{
		LakeValue	value;

		if (next < n && sources[next].row == row)
		{
			const CarrySource *s = &sources[next++];

			column_vector_value(s->in_batch ? old : fetched, s->in_batch ? s->from : s->fetched, &value);
			if (v->layout == LAYOUT_BYTES && !value.isnull)
				bytes += value.u.bytes.size;
		}
		else
			column_vector_value(old, row, &value);
		column_vector_append_value(v, &value);
	}
	column_vector_free(old);
	pfree(old);
	b->columns[column] = v;
	return bytes;
}

static void
carry_column(PipelineTable *t, TableBatch *b, int column, const Resolved *r, const KeyPosition *positions)
{
	TableColumn *c = &t->columns[column];
	uint32		nrows = batch_rows(b, t);
	uint64	   *carried = palloc0(Max(BITMAP_WORDS(nrows), 1) * sizeof(uint64));
	CarrySource *sources = MemoryContextAllocExtended(CurrentMemoryContext, sizeof(CarrySource) * b->ncarries,
													  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	CarrySource **sorted = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(CarrySource *) * b->ncarries);
	uint32		n = 0,
				nlake = 0;

	for (uint32 i = 0; i < b->ncarries; i++)
	{
		if (b->carries[i].column == (uint32) column)
			bitmap_set(carried, b->carries[i].row);
	}
	for (uint32 i = 0; i < b->ncarries; i++)
	{
		/* a version that was replaced within the batch needs no value */
		if (b->carries[i].column != (uint32) column || !bitmap_get(r->live, b->carries[i].row))
			continue;
		sources[n].row = b->carries[i].row;
		find_source(t, c, r, positions, carried, &sources[n]);
		nlake += !sources[n].in_batch;
		sorted[n] = &sources[n];
		n++;
	}
	if (n > 0)
	{
		ColumnVector *fetched;
		size_t		bytes;

		qsort(sorted, n, sizeof(CarrySource *), compare_position);
		fetched = fetch(t, c, sorted, nlake);
		bytes = rebuild_column(b, column, c, sources, n, fetched);
		c->carried_bytes = Max(bytes / n, c->carried_bytes / 2) + sizeof(uint32);
		column_vector_free(fetched);
		pfree(fetched);
	}
	pfree(carried);
	pfree(sources);
	pfree(sorted);
}

void
batch_carry(PipelineTable *t, TableBatch *b, const Resolved *r, const KeyPosition *positions)
{
	bool	   *wanted = palloc0(sizeof(bool) * t->ncolumns);

	for (uint32 i = 0; i < b->ncarries; i++)
		wanted[b->carries[i].column] = true;
	for (int i = 0; i < t->ncolumns; i++)
	{
		if (wanted[i])
			carry_column(t, b, i, r, positions);
	}
	pfree(wanted);
}
