/*-------------------------------------------------------------------------
 *
 * note.h
 *	  Notes that commands changing the shape of tables leave in WAL.
 *
 * Decoding shows the catalogs as they were at each change, so a table's new
 * shape is known as soon as a row of it follows.  Event triggers (api/note.c)
 * leave a transactional logical message in the very place of the command for
 * when none does, and for what no description shows: rows that were
 * rewritten.  What a note says of a shape is only where to look; so a note
 * that is missing (the triggers were disabled) or one that anybody may write
 * with pg_logical_emit_message cannot make the lake differ silently.
 *
 *	refresh				shapes changed: look at all tables
 *	types				composite types changed: the same, also where a table's
 *						own description is as it was
 *	rewritten OID		the rows of a table were rewritten by widening numbers;
 *						then as refresh
 *	lost OID REASON		the rows of a table changed without being told
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_DECODE_NOTE_H
#define TARN_DECODE_NOTE_H

#define NOTE_PREFIX "tarn.ddl"

#define NOTE_REFRESH "refresh"
#define NOTE_TYPES "types"
#define NOTE_REWRITTEN "rewritten "
#define NOTE_LOST "lost "

/* Longer reasons are cut. */
#define NOTE_REASON_LENGTH 200

#endif							/* TARN_DECODE_NOTE_H */
