/*-------------------------------------------------------------------------
 *
 * fuzz_json.c
 *	  The JSON reader takes any bytes; what it reads it writes back, and looks
 *	  up as the readers of markers and of table metadata do.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/json.h"
#include "fuzz.h"

/* One member by each of the ways; what is not of that type raises an error. */
static void
look_up(const JsonNode *node, int way)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		switch (way)
		{
			case 0:
				(void) json_get_int64(node, "position", "fuzz");
				break;
			case 1:
				(void) strtou64(json_get_string(node, "system-identifier", "fuzz"), NULL, 10);
				break;
			case 2:
				(void) json_get_int64_opt(node, "timeline", -1, "fuzz");
				break;
			case 3:
				(void) json_get_string_opt(node, "token", NULL, "fuzz");
				break;
			case 4:
				(void) json_get_bool_opt(node, "required", false, "fuzz");
				break;
			default:
				(void) json_length(json_get(node, "fields"));
		}
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
}

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
	for (int way = 0; way < 6; way++)
		look_up(node, way);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(read_and_write, data, size);
}
