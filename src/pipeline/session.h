/*-------------------------------------------------------------------------
 *
 * session.h
 *	  What every background process of tarn settles before it works.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_SESSION_H
#define TARN_PIPELINE_SESSION_H

#include "postgres.h"

#include "postmaster/bgworker.h"

/* Parameters that must not come from the database or the role; they stay over a reload. */
extern void session_settle(void);

/* Takes over the configuration when a SIGHUP has asked for it. */
extern void session_reload(void);

/* For processes whose buffers grow and go: malloc keeps what is freed, within a pipeline's memory_limit. */
extern void session_keep_memory(int64 limit);

/*
 * For the PG_CATCH that ends a process: the error as a copy in `context`; its
 * transaction is aborted, locks are released.  Interrupts are held: who waits
 * for anything afterwards must resume them.
 */
extern ErrorData *session_take_error(MemoryContext context);

/* Message, detail and hint in a line, for the views and the log. */
extern char *session_error_text(const ErrorData *edata);

/*
 * Starts a background process of tarn that is not started again when it ends;
 * its end sets our latch.  `function` is its entry point, which gets `arg`
 * and, in bgw_extra, `size` bytes of `extra`; it shows as "<type> <name>".
 * NULL when none is free.  The handle is in the current context.
 */
extern BackgroundWorkerHandle *session_start(const char *function, const char *type, const char *name,
											 Datum arg, const void *extra, size_t size);

#endif							/* TARN_PIPELINE_SESSION_H */
