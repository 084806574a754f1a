/*-------------------------------------------------------------------------
 *
 * memory.c
 *	  Memory contexts over malloc.
 *
 * Each chunk is one malloc with a header of 40 bytes before it, so that the
 * chunk's address is 8 modulo 16: code that wants more than MAXALIGN fails
 * under UBSan, as it might on the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

typedef struct Chunk
{
	struct Chunk *prev;
	struct Chunk *next;
	MemoryContext context;
	Size		size;
	uint64		magic;
} Chunk;

#define CHUNK_MAGIC UINT64CONST(0x7461726e63686e6b)

StaticAssertDecl(sizeof(Chunk) % 16 == 8, "chunks must not be aligned to 16 by accident");

struct MemoryContextData
{
	const char *name;
	const char *ident;
	MemoryContext parent;
	MemoryContext first_child;
	MemoryContext prev_sibling;
	MemoryContext next_sibling;
	MemoryContextCallback *callbacks;
	Chunk	   *chunks;
	Size		allocated;
};

static struct MemoryContextData top_data = {.name = "TopMemoryContext"};
static struct MemoryContextData error_data = {.name = "ErrorContext"};

MemoryContext TopMemoryContext = &top_data;
MemoryContext ErrorContext = &error_data;
MemoryContext CurrentMemoryContext = &top_data;

static Chunk *
chunk_of(void *pointer)
{
	Chunk	   *chunk = (Chunk *) ((char *) pointer - sizeof(Chunk));

	if (chunk->magic != CHUNK_MAGIC)
	{
		fprintf(stderr, "pointer %p does not come from palloc\n", pointer);
		abort();
	}
	return chunk;
}

static void
chunk_link(Chunk *chunk)
{
	MemoryContext context = chunk->context;

	chunk->prev = NULL;
	chunk->next = context->chunks;
	if (chunk->next)
		chunk->next->prev = chunk;
	context->chunks = chunk;
	context->allocated += chunk->size;
}

static void
chunk_unlink(Chunk *chunk)
{
	if (chunk->prev)
		chunk->prev->next = chunk->next;
	else
		chunk->context->chunks = chunk->next;
	if (chunk->next)
		chunk->next->prev = chunk->prev;
	chunk->context->allocated -= chunk->size;
}

static void
check_size(Size size, int flags)
{
	Size		limit = (flags & MCXT_ALLOC_HUGE) ? MaxAllocHugeSize : MaxAllocSize;

	if (size > limit)
		elog(ERROR, "invalid memory alloc request size %zu", size);
}

void *
MemoryContextAllocExtended(MemoryContext context, Size size, int flags)
{
	Chunk	   *chunk;

	check_size(size, flags);
	chunk = malloc(sizeof(Chunk) + size);
	if (chunk == NULL)
	{
		if (flags & MCXT_ALLOC_NO_OOM)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Failed on request of size %zu in memory context \"%s\".",
						   size, context->name)));
	}
	chunk->context = context;
	chunk->size = size;
	chunk->magic = CHUNK_MAGIC;
	chunk_link(chunk);
	if (flags & MCXT_ALLOC_ZERO)
		memset(chunk + 1, 0, size);
	else
		memset(chunk + 1, 0x7f, Min(size, 64));
	return chunk + 1;
}

void *
MemoryContextAlloc(MemoryContext context, Size size)
{
	return MemoryContextAllocExtended(context, size, 0);
}

void *
MemoryContextAllocZero(MemoryContext context, Size size)
{
	return MemoryContextAllocExtended(context, size, MCXT_ALLOC_ZERO);
}

void *
MemoryContextAllocHuge(MemoryContext context, Size size)
{
	return MemoryContextAllocExtended(context, size, MCXT_ALLOC_HUGE);
}

void *
palloc(Size size)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, size, 0);
}

void *
palloc0(Size size)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, size, MCXT_ALLOC_ZERO);
}

void *
palloc_extended(Size size, int flags)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, size, flags);
}

static void *
chunk_resize(void *pointer, Size size, int flags)
{
	Chunk	   *chunk = chunk_of(pointer);
	Chunk	   *grown;

	check_size(size, flags);
	chunk_unlink(chunk);
	grown = realloc(chunk, sizeof(Chunk) + size);
	if (grown == NULL)
	{
		chunk_link(chunk);
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	}
	grown->size = size;
	chunk_link(grown);
	return grown + 1;
}

void *
repalloc(void *pointer, Size size)
{
	return chunk_resize(pointer, size, 0);
}

void *
repalloc_huge(void *pointer, Size size)
{
	return chunk_resize(pointer, size, MCXT_ALLOC_HUGE);
}

void
pfree(void *pointer)
{
	Chunk	   *chunk = chunk_of(pointer);

	chunk_unlink(chunk);
	chunk->magic = 0;
	free(chunk);
}

MemoryContext
GetMemoryChunkContext(void *pointer)
{
	return chunk_of(pointer)->context;
}

Size
GetMemoryChunkSpace(void *pointer)
{
	return chunk_of(pointer)->size + sizeof(Chunk);
}

static void
context_link(MemoryContext context, MemoryContext parent)
{
	context->parent = parent;
	context->prev_sibling = NULL;
	context->next_sibling = parent ? parent->first_child : NULL;
	if (context->next_sibling)
		context->next_sibling->prev_sibling = context;
	if (parent)
		parent->first_child = context;
}

static void
context_unlink(MemoryContext context)
{
	if (context->prev_sibling)
		context->prev_sibling->next_sibling = context->next_sibling;
	else if (context->parent)
		context->parent->first_child = context->next_sibling;
	if (context->next_sibling)
		context->next_sibling->prev_sibling = context->prev_sibling;
}

MemoryContext
AllocSetContextCreateInternal(MemoryContext parent, const char *name,
							  Size minContextSize, Size initBlockSize, Size maxBlockSize)
{
	MemoryContext context = calloc(1, sizeof(struct MemoryContextData));

	if (context == NULL)
		elog(ERROR, "out of memory");
	context->name = name;
	context_link(context, parent);
	return context;
}

void
MemoryContextRegisterResetCallback(MemoryContext context, MemoryContextCallback *cb)
{
	cb->next = context->callbacks;
	context->callbacks = cb;
}

void
MemoryContextResetOnly(MemoryContext context)
{
	while (context->callbacks)
	{
		MemoryContextCallback *cb = context->callbacks;

		context->callbacks = cb->next;
		cb->func(cb->arg);
	}
	while (context->chunks)
		pfree(context->chunks + 1);
}

void
MemoryContextDelete(MemoryContext context)
{
	if (context == TopMemoryContext || context == CurrentMemoryContext)
	{
		fprintf(stderr, "memory context \"%s\" deleted while in use\n", context->name);
		abort();
	}
	MemoryContextDeleteChildren(context);
	/* as on the server: callbacks run while the context is still in the tree */
	MemoryContextResetOnly(context);
	context_unlink(context);
	free(context);
}

void
MemoryContextDeleteChildren(MemoryContext context)
{
	while (context->first_child)
		MemoryContextDelete(context->first_child);
}

void
MemoryContextReset(MemoryContext context)
{
	MemoryContextDeleteChildren(context);
	MemoryContextResetOnly(context);
}

void
MemoryContextResetChildren(MemoryContext context)
{
	for (MemoryContext child = context->first_child; child; child = child->next_sibling)
	{
		MemoryContextResetChildren(child);
		MemoryContextResetOnly(child);
	}
}

void
MemoryContextSetParent(MemoryContext context, MemoryContext new_parent)
{
	context_unlink(context);
	context_link(context, new_parent);
}

void
MemoryContextSetIdentifier(MemoryContext context, const char *id)
{
	context->ident = id;
}

MemoryContext
MemoryContextGetParent(MemoryContext context)
{
	return context->parent;
}

bool
MemoryContextIsEmpty(MemoryContext context)
{
	return context->first_child == NULL && context->chunks == NULL;
}

Size
MemoryContextMemAllocated(MemoryContext context, bool recurse)
{
	Size		total = context->allocated;

	if (recurse)
		for (MemoryContext child = context->first_child; child; child = child->next_sibling)
			total += MemoryContextMemAllocated(child, true);
	return total;
}
