/*-------------------------------------------------------------------------
 *
 * api.h
 *	  What the SQL functions share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_API_API_H
#define TARN_API_API_H

#include "postgres.h"

/* Fails with the line to add when the library was not loaded at server start. */
extern void api_check_loaded(void);

/* The launcher looks at this database's pipelines when the transaction ends. */
extern void api_scout_at_commit(void);

/* Id of a pipeline that the current user may manage; *owner may be NULL. */
extern int32 api_pipeline_for_owner(const char *name, Oid *owner);

/* From _PG_init: hooks by which workers let go of a database or extension that is dropped. */
extern void guard_init(void);

#endif							/* TARN_API_API_H */
