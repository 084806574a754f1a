/*-------------------------------------------------------------------------
 *
 * note.h
 *	  Notes that commands changing the shape of tables leave in WAL.
 *
 * Decoding shows the catalogs as they were at each change, so a table's new
 * shape is known as soon as a row of it follows.  Event triggers (api/note.c)
 * leave a transactional logical message in the very place of the command for
 * when none does, and for what no description shows: rows that were
 * rewritten.
 *
 * The triggers may be disabled.  What a note says of a shape is only where to
 * look: without it the next row tells.  Rows that ALTER TABLE rewrites are in
 * WAL, and count as lost where no note came before them; so do those of a
 * partition that came without one.  A table without a row that follows stays
 * as it was until one does.  What cannot be found out is that a partition was
 * changed while it was detached, if it is attached again before a row of its
 * root is decoded.
 *
 *	refresh				shapes changed: look at all tables
 *	types				types changed, or names of types: the same, also where a
 *						table's own description is as it was
 *	rewritten OID		the rows of a table were rewritten by widening numbers;
 *						then as refresh
 *	empty OID			a partition came that has no rows; then as refresh
 *	moved OID			the rows of a table were rewritten as they are
 *	lost OID REASON		the rows of a table changed without being told
 *	options				options of a pipeline or of its tables were set
 *
 * Anybody may write such a message with pg_logical_emit_message, to have a
 * table copied anew time and again, or computed values taken for widened
 * ones.  So a note is sealed with a code that only the server can make, and
 * that holds for its transaction alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_DECODE_NOTE_H
#define TARN_DECODE_NOTE_H

#include "postgres.h"

#define NOTE_PREFIX "tarn.ddl"

#define NOTE_REFRESH "refresh"
#define NOTE_TYPES "types"
#define NOTE_REWRITTEN "rewritten "
#define NOTE_EMPTY "empty "
#define NOTE_MOVED "moved "
#define NOTE_LOST "lost "
#define NOTE_OPTIONS "options"

/*
 * Leaves a note in the current transaction.  Nothing is done, and nothing
 * raised, where it could not be decoded: without wal_level = logical, on a
 * standby.
 */
extern void note_write(const char *text);

/* The text of a message in transaction `xid`, palloc'd; NULL: it is not by note_write. */
extern char *note_read(TransactionId xid, const char *body, Size size);

#endif							/* TARN_DECODE_NOTE_H */
