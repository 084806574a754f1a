/*-------------------------------------------------------------------------
 *
 * fuzz_parquet_file.c
 *	  Parquet files of any content, from footer to vectors: no crash, no
 *	  endless loop, bounded memory.
 *
 * Files whose footer claims more than MAX_ROWS rows are opened but not read:
 * a run of equal values may honestly stand for millions of rows, and filling
 * them says nothing new.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fuzz.h"
#include "parquet/assemble.h"

#define MAX_ROWS 100000

static void
fuzz_read(void *arg, uint64 offset, size_t size, void *buffer)
{
	memcpy(buffer, (const uint8 *) arg + offset, size);
}

/* One leaf in every way it can be read. */
static void
read_leaf(ParquetReader *r, int group, int leaf)
{
	const ParquetLeaf *l = parquet_reader_leaf(r, leaf);
	uint32		rows = (uint32) parquet_reader_group_rows(r, group);
	uint32		ranges[4] = {rows / 4, rows / 8, rows / 2, rows / 4};
	const uint32 *first_rows;
	const ParquetBounds *page_bounds;
	ParquetBounds bounds;
	ColumnVector *v;

	if (!l->supported)
		return;
	v = column_vector_create(CurrentMemoryContext, l->type, 0);
	parquet_reader_column(r, group, leaf, NULL, 0, true, v);
	parquet_reader_column(r, group, leaf, NULL, 0, false, v);
	parquet_reader_bounds(r, group, leaf, &bounds);
	(void) parquet_reader_pages(r, group, leaf, &first_rows, &page_bounds);
	parquet_reader_column(r, group, leaf, ranges, 2, true, v);
}

/* What a group of the file may be read as. */
static void
describe(ParquetReader *r, const ParquetNode *file, LakeNode *n, int depth)
{
	const ParquetNode *below = file->children;

	n->id = file->field_id;
	n->name = pstrdup(file->name);
	n->type.id = LAKE_NESTED;
	n->children = palloc0(sizeof(LakeNode) * 8);
	if (file->leaf >= 0)
	{
		n->kind = LAKE_NODE_VALUE;
		n->type = parquet_reader_leaf(r, file->leaf)->type;
		return;
	}
	n->kind = file->map ? LAKE_NODE_MAP : file->list ? LAKE_NODE_LIST : LAKE_NODE_STRUCT;
	if (file->map || file->list)
	{
		n->nchildren = file->map ? 2 : 1;
		for (int i = 0; i < n->nchildren; i++)
			n->children[i].name = "element";
		below = below != NULL ? below->children : NULL;
	}
	for (int i = 0; below != NULL && i < 8 && depth < 20; below = below->next, i++)
	{
		if (n->kind == LAKE_NODE_STRUCT)
			n->nchildren = i + 1;
		else if (i >= n->nchildren)
			break;
		describe(r, below, &n->children[i], depth + 1);
	}
}

/* One column in its nested form. */
static void
read_nested(ParquetReader *r, int group, const ParquetNode *column)
{
	LakeNode	node = {0};
	LakeType	type = {LAKE_NESTED};
	uint32		rows = (uint32) parquet_reader_group_rows(r, group);
	uint32		ranges[4] = {rows / 4, rows / 8, rows / 2, rows / 4};
	const char *reason;
	ParquetNested *nested;
	ColumnVector *v;

	describe(r, column, &node, 0);
	nested = parquet_nested_bind(r, column, &node, column->field_id >= 0, &reason);
	if (nested == NULL)
		return;
	for (int i = 0; i < parquet_nested_nleaves(nested); i++)
	{
		if (parquet_reader_chunk_values(r, group, parquet_nested_leaf(nested, i)) > MAX_ROWS)
			return;
	}
	v = column_vector_create(CurrentMemoryContext, type, 0);
	parquet_nested_read(nested, group, NULL, 0, v);
	parquet_nested_read(nested, group, ranges, 2, v);
}

static void
read_file(const uint8 *data, size_t size)
{
	ParquetInput input = {.read = fuzz_read, .arg = (void *) data, .size = size, .name = "fuzz"};
	ParquetReader *r = parquet_reader_open(&input);

	for (int g = 0; g < parquet_reader_nrow_groups(r) && g < 4; g++)
	{
		if (parquet_reader_group_rows(r, g) > MAX_ROWS)
			continue;
		for (int leaf = 0; leaf < parquet_reader_nleaves(r) && leaf < 64; leaf++)
		{
			MemoryContext context = CurrentMemoryContext;

			/* damage of one column does not end the others */
			PG_TRY();
			{
				read_leaf(r, g, leaf);
			}
			PG_CATCH();
			{
				MemoryContextSwitchTo(context);
				FlushErrorState();
			}
			PG_END_TRY();
		}
		for (const ParquetNode *column = parquet_reader_root(r)->children; column != NULL; column = column->next)
		{
			MemoryContext context = CurrentMemoryContext;

			PG_TRY();
			{
				read_nested(r, g, column);
			}
			PG_CATCH();
			{
				MemoryContextSwitchTo(context);
				FlushErrorState();
			}
			PG_END_TRY();
		}
	}
	parquet_reader_close(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(read_file, data, size);
}
