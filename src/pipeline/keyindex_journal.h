/*-------------------------------------------------------------------------
 *
 * keyindex_journal.h
 *	  The journal of a key index: its format, for the files that write and
 *	  read it.
 *
 *	journal: record...
 *	record:  uint32 size, uint32 type, uint64 checksum, size bytes
 *	begin:   uint32 magic, uint32 wide, uint64 seed
 *	file:    uint32 id, uint32 rows, path
 *	live:    uint32 file, uint32 first word, words of its bitmap
 *	killed:  uint32 file, rows ascending as varints of the difference
 *	truncate: nothing
 *	commit:  uint32 next file, uint32 segments, uint64 next segment,
 *			 uint64 numbers of the segments, token
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_KEYINDEX_JOURNAL_H
#define TARN_PIPELINE_KEYINDEX_JOURNAL_H

#include "postgres.h"

#include "pipeline/keyindex_internal.h"

#define JOURNAL_MAGIC 0x314a6e74	/* "tnJ1" */
#define RECORD_MAX (1 << 20)
#define RECORD_HEADER 16

typedef enum RecordType
{
	RECORD_BEGIN = 1,
	RECORD_FILE,
	RECORD_LIVE,
	RECORD_KILLED,
	RECORD_TRUNCATE,
	RECORD_COMMIT
} RecordType;

/* File of a generation of the journal; palloc'd. */
extern char *journal_path(const KeyIndex *index, uint32 generation);

#endif							/* TARN_PIPELINE_KEYINDEX_JOURNAL_H */
