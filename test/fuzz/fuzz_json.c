/*-------------------------------------------------------------------------
 *
 * fuzz_json.c
 *	  The JSON reader takes any bytes, and what it reads it writes back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/json.h"
#include "utils/memutils.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_and_write(const uint8_t *data, size_t size)
{
	JsonNode   *node = json_read((const char *) data, size, "fuzz");
	StringInfo	first = makeStringInfo();
	StringInfo	second = makeStringInfo();
	JsonWriter	w;

	json_writer_init(&w, first);
	json_node(&w, NULL, node);
	json_writer_init(&w, second);
	json_node(&w, NULL, json_read(first->data, (size_t) first->len, "rewritten"));
	if (strcmp(first->data, second->data) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "fuzz", ALLOCSET_DEFAULT_SIZES);

	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		read_and_write(data, size);
	}
	PG_CATCH();
	{
		FlushErrorState();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextDelete(context);
	return 0;
}
