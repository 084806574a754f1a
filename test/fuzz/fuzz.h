/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *	  What all fuzzers do with an input.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "postgres.h"

#include "utils/memutils.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Runs an input in a context of its own.  An error is what damage is answered with. */
static inline int
fuzz_input(void (*run) (const uint8 *data, size_t size), const uint8 *data, size_t size)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "fuzz", ALLOCSET_DEFAULT_SIZES);

	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		run(data, size);
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

#endif							/* FUZZ_H */
