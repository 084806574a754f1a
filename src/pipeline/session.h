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

/* Parameters that must not come from the database or the role; they stay over a reload. */
extern void session_settle(void);

/* malloc keeps up to `bytes` of what is freed, for processes whose buffers grow and go. */
extern void session_keep_memory(int bytes);

#endif							/* TARN_PIPELINE_SESSION_H */
