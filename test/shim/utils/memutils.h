/*-------------------------------------------------------------------------
 *
 * memutils.h
 *	  Making, resetting and deleting memory contexts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_SHIM_MEMUTILS_H
#define TARN_SHIM_MEMUTILS_H

#include "postgres.h"

#define MaxAllocSize ((Size) 0x3fffffff)
#define AllocSizeIsValid(size) ((Size) (size) <= MaxAllocSize)
#define MaxAllocHugeSize (SIZE_MAX / 2)
#define AllocHugeSizeIsValid(size) ((Size) (size) <= MaxAllocHugeSize)

#define ALLOCSET_DEFAULT_SIZES 0, 8192, 8388608
#define ALLOCSET_SMALL_SIZES 0, 1024, 8192
#define ALLOCSET_START_SMALL_SIZES 0, 1024, 8388608

extern MemoryContext AllocSetContextCreateInternal(MemoryContext parent, const char *name,
												   Size minContextSize, Size initBlockSize, Size maxBlockSize);
#define AllocSetContextCreate AllocSetContextCreateInternal

extern void MemoryContextReset(MemoryContext context);
extern void MemoryContextResetOnly(MemoryContext context);
extern void MemoryContextResetChildren(MemoryContext context);
extern void MemoryContextDelete(MemoryContext context);
extern void MemoryContextDeleteChildren(MemoryContext context);
extern void MemoryContextSetParent(MemoryContext context, MemoryContext new_parent);
extern void MemoryContextSetIdentifier(MemoryContext context, const char *id);
extern MemoryContext MemoryContextGetParent(MemoryContext context);
extern MemoryContext GetMemoryChunkContext(void *pointer);
extern Size GetMemoryChunkSpace(void *pointer);
extern bool MemoryContextIsEmpty(MemoryContext context);

/* Bytes asked for (not what malloc took), so that a test can say exactly. */
extern Size MemoryContextMemAllocated(MemoryContext context, bool recurse);

#endif							/* TARN_SHIM_MEMUTILS_H */
