/*-------------------------------------------------------------------------
 *
 * test_shim_contexts.c
 *	  The stand-in for the server does what the other unit tests rely on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "tap.h"

static int	callbacks = 0;

static void
count_callback(void *arg)
{
	callbacks += *(int *) arg;
}

static void
test_contexts(void)
{
	static MemoryContextCallback callback;
	static int	step = 1;
	MemoryContext parent = AllocSetContextCreate(TopMemoryContext, "parent", ALLOCSET_DEFAULT_SIZES);
	MemoryContext child = AllocSetContextCreate(parent, "child", ALLOCSET_SMALL_SIZES);
	char	   *p;

	p = MemoryContextAlloc(child, 100);
	is_int((uintptr_t) p % 16, 8, "chunks are aligned to 8 only");
	is_int(MemoryContextMemAllocated(parent, true), 100, "children are counted");
	p = repalloc(p, 200);
	is_int(MemoryContextMemAllocated(parent, true), 200, "repalloc is counted");
	ok(GetMemoryChunkContext(p) == child, "a chunk knows its context");
	callback.func = count_callback;
	callback.arg = &step;
	MemoryContextRegisterResetCallback(child, &callback);
	MemoryContextReset(parent);
	is_int(callbacks, 1, "the reset of a parent runs the children's callbacks");
	is_int(MemoryContextMemAllocated(parent, true), 0, "and frees their memory");
	MemoryContextDelete(parent);
}

static void
raise_nested(void)
{
	PG_TRY();
	{
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("inner %d", 1)));
	}
	PG_FINALLY();
	{
		callbacks = 10;
	}
	PG_END_TRY();
}

int
main(void)
{
	StringInfoData buf;

	test_contexts();

	throws(ERRCODE_DATA_CORRUPTED, raise_nested(), "inner 1", "errors pass PG_FINALLY");
	is_int(callbacks, 10, "PG_FINALLY ran");
	throws(ERRCODE_INTERNAL_ERROR, palloc(MaxAllocSize + 1), "invalid memory alloc", "huge palloc is refused");
	InterruptPending = 1;
	throws(ERRCODE_QUERY_CANCELED, CHECK_FOR_INTERRUPTS(), "canceling", "an interrupt cancels");

	initStringInfo(&buf);
	for (int i = 0; i < 1000; i++)
		appendStringInfo(&buf, "%d,", i);
	is_int(buf.len, 3890, "StringInfo grows");
	is_int(strlen(buf.data), 3890, "and ends with a NUL");
	return done();
}
