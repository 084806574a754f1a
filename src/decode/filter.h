/*-------------------------------------------------------------------------
 *
 * filter.h
 *	  Row filters of publications, for rows in the shape of a DecodeRelation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_DECODE_FILTER_H
#define TARN_DECODE_FILTER_H

#include "postgres.h"

#include "decode/sink.h"
#include "nodes/pg_list.h"
#include "replication/reorderbuffer.h"

/*
 * The filters of `publications` (Publication *, those of PublishedAs) in a
 * context of their own below `parent`; NULL when all rows of all operations
 * pass.
 */
extern DecodeFilter *filter_build(const DecodeRelation *rel, List *publications, MemoryContext parent);
extern void filter_free(DecodeFilter *filter);

/*
 * Decides a change: false when it does not leave.  An update across the
 * filter becomes an insert or a delete: *action says which.  Either row may
 * be NULL, as the change has it.
 */
extern bool filter_change(DecodeFilter *filter, const DecodeRow *old_row, const DecodeRow *new_row,
						  enum ReorderBufferChangeType *action);

#endif							/* TARN_DECODE_FILTER_H */
