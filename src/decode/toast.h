/*-------------------------------------------------------------------------
 *
 * toast.h
 *	  Values out of line that WAL does not hold, from the source's TOAST table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_DECODE_TOAST_H
#define TARN_DECODE_TOAST_H

#include "postgres.h"

/*
 * Fetches a VARATT_IS_EXTERNAL_ONDISK value as it was when it was written,
 * inline and perhaps compressed, in the current context.  NULL when it is
 * gone, cannot be had now, or cannot be told from a later one: `newest` is a
 * transaction id that was assigned before the change at hand committed.
 * While decoding.
 */
extern struct varlena *toast_fetch_source(const struct varlena *value, TransactionId newest);

#endif							/* TARN_DECODE_TOAST_H */
