/*-------------------------------------------------------------------------
 *
 * remover.h
 *	  What is left in a warehouse after a drop: removed by a process of its own.
 *
 * Files cannot be removed inside the transaction that drops their table, nor
 * at its end: there, interrupts are held and an error could not undo it, and
 * a store may hang.  So the transaction puts them on the garbage list and
 * adds a row to tarn.removal; a short-lived process of this database does
 * the rest when it has committed, as often as it takes.
 *
 * It is files by their names that are removed, not folders: names are never
 * used again, so that a new table may lie in the folder of a dropped one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_REMOVER_H
#define TARN_PIPELINE_REMOVER_H

#include "postgres.h"

#include "lake/table.h"
#include "pipeline/pipeline.h"

/*
 * Drops a lake table that nobody writes any more: from the catalog now, its
 * files once the transaction has committed and no snapshot can need them.
 * Lists its folder, and so may wait for the store.
 */
extern void remover_drop_table(const LakeTable *t);

/* Drops the pipeline's row, and its marker once the transaction has committed and its worker has left. */
extern void remover_drop_pipeline(const Pipeline *p);

/* Is the pipeline's marker the remover's business? */
extern bool remover_has(const Pipeline *p);

/* Is there anything to remove in this database?  A scout asks. */
extern bool remover_needed(void);

/* Has the launcher start the process for a database. */
extern void remover_ask(Oid database);

/* The launcher's: starts those that are due; returns how long it may nap, at most `nap` ms. */
extern long remover_tend(long nap);

/*
 * For commands that take away what it needs.  Waits until all is removed but
 * what tarn.garbage_grace keeps; no longer than a few seconds, and not for
 * what failed: false then.
 */
extern bool remover_wait(Oid database);

/* Is one connected to the database?  It is asked to leave, and started again not before `restart_at`. */
extern bool remover_let_go(Oid database, TimestampTz restart_at);

/* The database is gone. */
extern void remover_forget(Oid database);

extern PGDLLEXPORT void tarn_remover_main(Datum arg);

#endif							/* TARN_PIPELINE_REMOVER_H */
