/*-------------------------------------------------------------------------
 *
 * failpoint.h
 *	  Named places where a test can make a process die, fail or hang.
 *
 * Compiled only with -DTARN_FAILPOINTS (make FAILPOINTS=1); otherwise no
 * code.  The GUC tarn.failpoints is a list "name=action[:n]"; n: at the n-th
 * passage of this process only.  Actions:
 *
 *	kill			SIGKILL to this process
 *	panic-server	SIGKILL to the postmaster and this process
 *	error			an ERROR
 *	hang[(s)]		waits s seconds (30), interruptible
 *	stop			SIGSTOP to this process: hangs, and hears nothing
 *	starve[(kB)]	no more memory than this process has now, and so much
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_BASE_FAILPOINT_H
#define TARN_BASE_FAILPOINT_H

#include "postgres.h"

#ifdef TARN_FAILPOINTS
#define FAILPOINT(name) failpoint_pass(name)
#else
#define FAILPOINT(name) ((void) 0)
#endif

extern void failpoint_pass(const char *name);
extern void failpoint_init(void);	/* from _PG_init: the GUC */

#endif							/* TARN_BASE_FAILPOINT_H */
