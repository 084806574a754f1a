/*-------------------------------------------------------------------------
 *
 * keyindex_journal.c
 *	  The states of a key index on disk: one file of records, written.
 *
 * A file written anew for every flush would hold a bit for every row of the
 * table, and a flush would cost what the table has rather than what changed.
 * So changes are appended: files, rows killed, and a commit record with the
 * state's token and its list of segments.  A state is what the records up to
 * its commit record make.  When the journal has doubled since it was last
 * written whole, the next state begins a new one.
 *
 * Each record carries a checksum seeded with the one before it, so that the
 * records up to a good one are all good, in this order.  A state that was
 * prepared and not settled is cut off when its predecessor is opened; a
 * token must therefore not be used for two different states.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/hash.h"
#include "pipeline/keyindex_journal.h"

#define WRITE_BUFFER (1 << 18)
#define LIVE_WORDS 8192			/* of a bitmap, in one record */
#define KILLED_ROWS 16384		/* in one record */
#define REWRITE_MIN (1 << 18)	/* a shorter journal is never rewritten */

char *
journal_path(const KeyIndex *index, uint32 generation)
{
	return psprintf("%s/journal.%08x", index->dir, generation);
}

typedef struct JournalWriter
{
	Journal		at;
	char	   *path;
	StringInfoData buffer;		/* records not yet in the file */
	StringInfoData record;		/* the one being made */
} JournalWriter;

static void
writer_flush(JournalWriter *w)
{
	if (w->buffer.len > 0)
		keyindex_write_file(w->path, w->at.length - w->buffer.len, w->buffer.data, w->buffer.len);
	resetStringInfo(&w->buffer);
}

static void
put_u32(StringInfo s, uint32 value)
{
	appendBinaryStringInfo(s, (const char *) &value, sizeof(value));
}

static void
put_u64(StringInfo s, uint64 value)
{
	appendBinaryStringInfo(s, (const char *) &value, sizeof(value));
}

static void
put_varint(StringInfo s, uint32 value)
{
	while (value >= 0x80)
	{
		appendStringInfoChar(s, (char) (value | 0x80));
		value >>= 7;
	}
	appendStringInfoChar(s, (char) value);
}

/* Appends the record that was made. */
static void
writer_put(JournalWriter *w, RecordType type)
{
	uint64		checksum = hash_bytes64(w->record.data, w->record.len, w->at.chain + type);

	put_u32(&w->buffer, w->record.len);
	put_u32(&w->buffer, type);
	put_u64(&w->buffer, checksum);
	appendBinaryStringInfo(&w->buffer, w->record.data, w->record.len);
	w->at.length += RECORD_HEADER + w->record.len;
	w->at.chain = checksum;
	resetStringInfo(&w->record);
	if (w->buffer.len >= WRITE_BUFFER)
		writer_flush(w);
}

static void
writer_begin(JournalWriter *w, const KeyIndex *index, const Journal *at)
{
	w->at = *at;
	w->path = journal_path(index, at->generation);
	initStringInfo(&w->buffer);
	initStringInfo(&w->record);
	if (at->length == 0)
	{
		put_u32(&w->record, JOURNAL_MAGIC);
		put_u32(&w->record, index->wide);
		put_u64(&w->record, index->seed);
		writer_put(w, RECORD_BEGIN);
	}
}

static void
put_file(JournalWriter *w, const KeyFile *file)
{
	put_u32(&w->record, file->id);
	put_u32(&w->record, file->nrows);
	appendBinaryStringInfo(&w->record, file->path, strlen(file->path));
	writer_put(w, RECORD_FILE);
}

static void
put_live(JournalWriter *w, const KeyFile *file)
{
	uint32		nwords = (uint32) BITMAP_WORDS(file->nrows);

	if (file->live == NULL)
		return;
	for (uint32 i = 0; i < nwords; i += LIVE_WORDS)
	{
		put_u32(&w->record, file->id);
		put_u32(&w->record, i);
		appendBinaryStringInfo(&w->record, (const char *) (file->live + i),
							   Min(LIVE_WORDS, nwords - i) * sizeof(uint64));
		writer_put(w, RECORD_LIVE);
	}
}

static void
put_killed(JournalWriter *w, KeyFile *file)
{
	uint32	   *rows = palloc_array(uint32, KILLED_ROWS);
	uint64		at = 0;
	uint32		n;

	while ((n = files_killed(file, &at, rows, KILLED_ROWS)) > 0)
	{
		uint32		last = 0;

		put_u32(&w->record, file->id);
		for (uint32 i = 0; i < n; i++)
		{
			put_varint(&w->record, rows[i] - last);
			last = rows[i];
		}
		writer_put(w, RECORD_KILLED);
	}
	pfree(rows);
}

static void
put_commit(JournalWriter *w, const KeyIndex *index, const SegmentList *segments, const char *token)
{
	put_u32(&w->record, index->next_file);
	put_u32(&w->record, segments->n);
	put_u64(&w->record, index->next_segment);
	for (int i = 0; i < segments->n; i++)
		put_u64(&w->record, segments->items[i]->header.number);
	appendBinaryStringInfo(&w->record, token, strlen(token));
	writer_put(w, RECORD_COMMIT);
	writer_flush(w);
}

static void
writer_end(JournalWriter *w)
{
	pfree(w->path);
	pfree(w->buffer.data);
	pfree(w->record.data);
}

/* What changed since the settled state. */
static void
put_changes(JournalWriter *w, const KeyIndex *index)
{
	uint32		id = index->settled_next_file;
	KeyFile    *file;

	if (index->truncated)
		writer_put(w, RECORD_TRUNCATE);
	while ((file = files_next(index->files, &id)) != NULL)
		put_file(w, file);
	for (file = index->files->touched; file != NULL; file = file->next_touched)
		put_killed(w, file);
}

static void
put_everything(JournalWriter *w, const KeyIndex *index)
{
	uint32		id = 0;
	KeyFile    *file;

	while ((file = files_next(index->files, &id)) != NULL)
	{
		if (file->nlive == 0)
			continue;
		put_file(w, file);
		put_live(w, file);
		CHECK_FOR_INTERRUPTS();
	}
}

void
journal_create(KeyIndex *index)
{
	memset(&index->journal, 0, sizeof(Journal));
}

void
journal_prepare(KeyIndex *index, const char *token)
{
	Journal    *journal = &index->journal;
	Journal		fresh = {.generation = journal->generation + 1};
	uint64		grown = journal->length - journal->base_length;
	bool		rewrite = journal->length == 0 || grown > Max(journal->base_length, REWRITE_MIN);
	JournalWriter w;

	writer_begin(&w, index, rewrite ? &fresh : journal);
	if (rewrite)
		put_everything(&w, index);
	else
		put_changes(&w, index);
	put_commit(&w, index, &index->current, token);
	index->prepared = w.at;
	if (rewrite)
		index->prepared.base_length = w.at.length;
	writer_end(&w);
}

static void
remove_journal(const KeyIndex *index, uint32 generation)
{
	char	   *path = journal_path(index, generation);

	if (unlink(path) < 0 && errno != ENOENT)
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", path)));
	pfree(path);
}

void
journal_settle(KeyIndex *index)
{
	if (index->journal.generation != index->prepared.generation && index->journal.length > 0)
		remove_journal(index, index->journal.generation);
	index->journal = index->prepared;
}

/* Removes what a prepare wrote, whole or in part. */
void
journal_rollback(KeyIndex *index)
{
	remove_journal(index, index->journal.generation + 1);
	if (index->journal.length > 0)
	{
		char	   *path = journal_path(index, index->journal.generation);

		if (truncate(path, (off_t) index->journal.length) < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not truncate file \"%s\": %m", path)));
		pfree(path);
	}
}

/* The settled state with other segments. */
void
journal_merged(KeyIndex *index)
{
	JournalWriter w;

	writer_begin(&w, index, &index->journal);
	put_commit(&w, index, &index->settled, index->token);
	index->journal = w.at;
	writer_end(&w);
}
