/*-------------------------------------------------------------------------
 *
 * keyindex_journal_read.c
 *	  The states of a key index on disk: one file of records, read.
 *
 * The records are walked twice: to find where the wanted state ends, and to
 * apply those before.  What follows is cut off.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/cursor.h"
#include "base/hash.h"
#include "pipeline/keyindex_journal.h"

typedef struct JournalReader
{
	char	   *path;
	int			fd;
	uint64		size;
	Journal		at;				/* after the last record */
	StringInfoData buffer;
	uint64		buffer_offset;	/* of its first byte in the file */
} JournalReader;

typedef struct JournalRecord
{
	RecordType	type;
	Cursor		payload;
} JournalRecord;

/* `size` bytes at an offset, or NULL past the end of the file. */
static const char *
reader_bytes(JournalReader *r, uint64 offset, uint32 size)
{
	if (offset > r->size || size > r->size - offset)
		return NULL;
	if (offset < r->buffer_offset || offset + size > r->buffer_offset + r->buffer.len)
	{
		uint32		want = (uint32) Min(r->size - offset, RECORD_MAX + RECORD_HEADER);
		ssize_t		n;

		resetStringInfo(&r->buffer);
		enlargeStringInfo(&r->buffer, want);
		do
			n = pread(r->fd, r->buffer.data, want, (off_t) offset);
		while (n < 0 && errno == EINTR);
		r->buffer.len = n > 0 ? (int) n : 0;
		r->buffer_offset = offset;
		if (size > (uint32) r->buffer.len)
			return NULL;
	}
	return r->buffer.data + (offset - r->buffer_offset);
}

/* The next record whose checksum is right; false at the end of these. */
static bool
reader_next(JournalReader *r, JournalRecord *record)
{
	const char *p = reader_bytes(r, r->at.length, RECORD_HEADER);
	uint32		size;
	uint32		type;
	uint64		checksum;

	if (p == NULL)
		return false;
	memcpy(&size, p, 4);
	memcpy(&type, p + 4, 4);
	memcpy(&checksum, p + 8, 8);
	if (size > RECORD_MAX)
		return false;
	p = reader_bytes(r, r->at.length, RECORD_HEADER + size);
	if (p == NULL)
		return false;
	p += RECORD_HEADER;
	if (!KEYINDEX_CHECKSUM_OK(checksum, hash_bytes64(p, size, r->at.chain + type)))
		return false;
	record->type = type;
	cursor_init(&record->payload, p, size, "key index journal", r->path, r->at.length + RECORD_HEADER);
	r->at.length += RECORD_HEADER + size;
	r->at.chain = checksum;
	return true;
}

static bool
reader_open(JournalReader *r, const KeyIndex *index, uint32 generation)
{
	struct stat st;

	memset(r, 0, sizeof(*r));
	r->path = journal_path(index, generation);
	r->fd = open(r->path, O_RDONLY | O_CLOEXEC);
	if (r->fd < 0)
		return false;
	r->size = fstat(r->fd, &st) == 0 ? (uint64) st.st_size : 0;
	r->at.generation = generation;
	initStringInfo(&r->buffer);
	return true;
}

static void
reader_close(JournalReader *r)
{
	close(r->fd);
	pfree(r->buffer.data);
	pfree(r->path);
}

/* Where the record of the last state with that token ends; 0 when there is none. */
static uint64
find_state(JournalReader *r, const char *token)
{
	JournalRecord record;
	uint64		end = 0;
	bool		first = true;

	while (reader_next(r, &record))
	{
		Cursor	   *c = &record.payload;
		uint32		nsegments;

		if (first)
			r->at.base_length = 0;
		first = false;
		if (record.type != RECORD_COMMIT)
			continue;
		(void) cursor_u32le(c);
		nsegments = cursor_u32le(c);
		(void) cursor_bytes(c, sizeof(uint64) * (1 + (uint64) nsegments));
		if (r->at.base_length == 0)
			r->at.base_length = r->at.length;
		if (cursor_left(c) == strlen(token) && memcmp(c->pos, token, cursor_left(c)) == 0)
			end = r->at.length;
	}
	return end;
}

static KeyFile *
get_file(KeyIndex *index, Cursor *c)
{
	uint32		id = cursor_u32le(c);
	KeyFile    *file = files_get(index->files, id);

	if (file == NULL)
		cursor_fail(c, "file %u is not known", id);
	return file;
}

static void
apply_begin(KeyIndex *index, Cursor *c)
{
	if (cursor_u32le(c) != JOURNAL_MAGIC)
		cursor_fail(c, "not a journal of this version");
	if (cursor_u32le(c) != index->wide)
		cursor_fail(c, "it is of another kind of key");
	index->seed = cursor_u64le(c);
}

static void
apply_file(KeyIndex *index, Cursor *c)
{
	uint32		id = cursor_u32le(c);
	uint32		nrows = cursor_u32le(c);
	char	   *path = pnstrdup((const char *) c->pos, cursor_left(c));

	if (id == KEY_NOT_FOUND || files_get(index->files, id) != NULL)
		cursor_fail(c, "file %u is there twice", id);
	if (id >= index->next_file)
		index->next_file = id + 1;
	files_add(index->files, id, path, nrows);
	pfree(path);
}

static void
apply_live(KeyIndex *index, Cursor *c)
{
	KeyFile    *file = get_file(index, c);
	uint32		first = cursor_u32le(c);
	uint64		nwords = BITMAP_WORDS(file->nrows);
	size_t		n = cursor_left(c) / sizeof(uint64);
	uint32		was = file->nlive;
	uint64	   *live;

	if (first > nwords || n > nwords - first)
		cursor_fail(c, "bitmap of file %u is too long", file->id);
	live = files_make_live(index->files, file);
	file->nlive -= bitmap_count(live + first, n * 64);
	memcpy(live + first, cursor_bytes(c, n * sizeof(uint64)), n * sizeof(uint64));
	bitmap_clear_tail(live, file->nrows);
	file->nlive += bitmap_count(live + first, n * 64);
	index->files->nlive += (int64) file->nlive - (int64) was;
}

static void
apply_killed(KeyIndex *index, Cursor *c)
{
	KeyFile    *file = get_file(index, c);
	uint64	   *live = files_make_live(index->files, file);
	uint64		row = 0;

	while (cursor_left(c) > 0)
	{
		uint64		step = cursor_varint(c);

		if (step >= file->nrows || row + step >= file->nrows || !bitmap_get(live, row + step))
			cursor_fail(c, "a row of file %u is killed that does not live", file->id);
		row += step;
		bitmap_unset(live, row);
		file->nlive--;
		index->files->nlive--;
	}
}

static void
apply_truncate(KeyIndex *index, Cursor *c)
{
	MemoryContextDelete(index->files->context);
	index->files = files_create(index->context);
}

static void (*const appliers[]) (KeyIndex *index, Cursor *c) = {
	[RECORD_BEGIN] = apply_begin,
	[RECORD_FILE] = apply_file,
	[RECORD_LIVE] = apply_live,
	[RECORD_KILLED] = apply_killed,
	[RECORD_TRUNCATE] = apply_truncate
};

/* The commit record that is wanted: opens the segments. */
static void
apply_commit(KeyIndex *index, Cursor *c)
{
	uint32		next_file = cursor_u32le(c);
	uint32		nsegments = cursor_u32le(c);

	index->next_segment = cursor_u64le(c);
	if (next_file < index->next_file)
		cursor_fail(c, "number of the next file is out of order");
	index->next_file = next_file;
	if (nsegments > MAX_SEGMENTS)
		cursor_fail(c, "%u segments are more than %d", nsegments, MAX_SEGMENTS);
	for (uint32 i = 0; i < nsegments; i++)
	{
		uint64		number = cursor_u64le(c);
		Segment    *segment;

		if (number >= index->next_segment)
			cursor_fail(c, "number of a segment is out of range");
		segment = segment_open(index, number);
		segment->references++;
		index->current.items[index->current.n++] = segment;
	}
	index->token = MemoryContextAlloc(index->context, cursor_left(c) + 1);
	memcpy(index->token, c->pos, cursor_left(c));
	index->token[cursor_left(c)] = '\0';
}

/* Files without a live row are forgotten, as settle does. */
static void
forget_dead_files(KeyIndex *index)
{
	uint32		id = 0;
	KeyFile    *file;

	while ((file = files_next(index->files, &id)) != NULL)
	{
		if (file->nlive == 0)
			files_remove(index->files, file);
	}
}

/* Makes the state whose commit record ends at `end`. */
static void
apply_records(KeyIndex *index, JournalReader *r, uint64 end)
{
	uint64		base_length = r->at.base_length;
	JournalRecord record;

	memset(&r->at, 0, sizeof(Journal));
	while (r->at.length < end && reader_next(r, &record))
	{
		if (record.type == RECORD_COMMIT)
		{
			if (r->at.length == end)
				apply_commit(index, &record.payload);
			continue;
		}
		if (record.type < RECORD_BEGIN || record.type >= lengthof(appliers))
			cursor_fail(&record.payload, "unknown record %d", (int) record.type);
		appliers[record.type] (index, &record.payload);
		CHECK_FOR_INTERRUPTS();
	}
	forget_dead_files(index);
	r->at.base_length = base_length;
}

typedef struct Generations
{
	uint32		newest;
	bool		found;
} Generations;

static bool
note_generation(const char *name, void *arg)
{
	Generations *g = arg;
	unsigned int generation;

	if (sscanf(name, "journal.%8x", &generation) == 1)
	{
		if (!g->found || generation > g->newest)
			g->newest = generation;
		g->found = true;
	}
	return true;
}

/*
 * Makes the state `token`; false when no journal has it.  Damage raises
 * ERRCODE_DATA_CORRUPTED.
 */
bool
journal_open(KeyIndex *index, const char *token)
{
	Generations g = {0};

	keyindex_clean_folder(index->dir, note_generation, &g);
	if (!g.found)
		return false;

	/* two at most: the settled one, and one begun by a prepare */
	for (int i = 0; i < 2; i++)
	{
		uint32		generation = g.newest - i;
		JournalReader r;
		volatile uint64 end = 0;

		if (!reader_open(&r, index, generation))
			continue;
		PG_TRY();
		{
			end = find_state(&r, token);
			if (end > 0)
			{
				apply_records(index, &r, end);
				index->journal = r.at;
				index->journal.generation = generation;
			}
		}
		PG_CATCH();
		{
			close(r.fd);
			PG_RE_THROW();
		}
		PG_END_TRY();
		reader_close(&r);
		if (end > 0)
		{
			if (truncate(journal_path(index, generation), (off_t) end) < 0)
				ereport(ERROR,
						(errcode_for_file_access(),
						 errmsg("could not truncate key index journal: %m")));
			return true;
		}
	}
	return false;
}
