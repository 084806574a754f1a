/*-------------------------------------------------------------------------
 *
 * miscadmin.h
 *	  Interrupts: a test sets InterruptPending to have the next check raise
 *	  ERRCODE_QUERY_CANCELED.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_SHIM_MISCADMIN_H
#define TARN_SHIM_MISCADMIN_H

#include "postgres.h"

extern volatile int InterruptPending;
extern void ProcessInterrupts(void);

#define CHECK_FOR_INTERRUPTS() \
	do { \
		if (unlikely(InterruptPending)) \
			ProcessInterrupts(); \
	} while (0)

#endif							/* TARN_SHIM_MISCADMIN_H */
