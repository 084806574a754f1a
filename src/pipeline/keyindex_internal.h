/*-------------------------------------------------------------------------
 *
 * keyindex_internal.h
 *	  What the files of the key index share.
 *
 * keyindex.c            opening, closing, from one state to the next
 * keyindex_pending.c    adding files and keys, killing rows
 * keyindex_delete.c     a batch of keys against all segments
 * keyindex_sort.c       stable radix sort by hash
 * keyindex_builder.c    writing a segment
 * keyindex_segment.c    opening a segment, checking its pages
 * keyindex_search.c     a batch of keys against one segment
 * keyindex_liveness.c   the table of data files and which rows live
 * keyindex_journal.c    the states on disk, one file of records, written
 * keyindex_journal_read.c  and read
 * keyindex_merge.c      which segments to merge, and merging in slices
 *
 * Age.  Everywhere order among equal hashes is the order of adding: within
 * a segment equal hashes lie oldest first, the list of segments is oldest
 * first, only neighbours are merged, and every sort is stable.  The check
 * bits take no part in any order: they are compared when a hash matches.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_KEYINDEX_INTERNAL_H
#define TARN_PIPELINE_KEYINDEX_INTERNAL_H

#include "postgres.h"

#include "base/bits.h"
#include "base/compat.h"
#include "pipeline/keyindex.h"

#define SEGMENT_PAGE 4096
#define SEGMENT_MAGIC 0x784b6e74	/* "tnKx" */
#define SEGMENT_VERSION 1

/* An error in damaged files; under a fuzzer checksums are not compared, so that it gets past them. */
#ifdef TARN_FUZZ
#define KEYINDEX_CHECKSUM_OK(a, b) (((void) (a)), ((void) (b)), true)
#else
#define KEYINDEX_CHECKSUM_OK(a, b) ((a) == (b))
#endif

/*
 * Segments.
 *
 * File: header page | entries | filter | directory | page checksums.
 * The last three are the tail, checked when the segment is opened.
 *
 * An entry is the low 64 - dir_bits bits of the hash, the check bits (wide
 * indexes only), and (file - min_file) << row_bits | row, each in as many
 * whole bytes as it needs, little endian: some 10 bytes for 100 million
 * keys.  directory[p] is the number of the first entry whose hash begins
 * with a prefix >= p.
 */
typedef struct SegmentHeader
{
	uint32		magic;
	uint32		version;
	uint64		number;			/* of the segment; its file's name */
	uint64		nentries;
	uint32		min_file;
	uint32		max_file;
	uint8		dir_bits;
	uint8		hash_bytes;
	uint8		check_bytes;	/* 0 or 4 */
	uint8		position_bytes;
	uint8		row_bits;
	uint8		unused[3];
	uint32		filter_blocks;	/* of 32 bytes; 0: no filter */
	uint64		seed;			/* of the index it belongs to */
	uint64		tail_checksum;
	uint64		checksum;		/* of all before */
} SegmentHeader;

typedef struct Segment
{
	SegmentHeader header;
	struct Segment *next_open;	/* KeyIndex.open_segments */
	int			references;		/* lists of segments it is in */
	char	   *path;
	uint32		width;			/* bytes of an entry */
	uint64		npages;			/* pages of entries */
	char	   *map;			/* the whole file */
	size_t		map_bytes;
	const uint8 *entries;		/* in map */
	const char *tail;			/* in map: the three arrays below */
	const uint32 *filter;
	const uint32 *directory;	/* (1 << dir_bits) + 1 */
	const uint32 *checksums;	/* npages */
	uint64	   *verified;		/* a bit a page whose checksum was seen to be right */
} Segment;

typedef struct SegmentEntry
{
	uint64		hash;
	uint32		check;
	KeyPosition position;
} SegmentEntry;

/* A segment being written. */
typedef struct SegmentBuilder SegmentBuilder;

/* What bounds the entries to come: decides how they are packed. */
typedef struct SegmentLimits
{
	uint64		nentries;		/* at most */
	uint32		min_file;
	uint32		max_file;
	uint32		max_row;
	bool		filter;			/* wanted */
} SegmentLimits;

extern SegmentBuilder *segment_builder_create(MemoryContext parent, const char *path, uint64 number,
											  uint64 seed, bool wide, const SegmentLimits *limits);

/* Appends entries in ascending order of hash. */
extern void segment_builder_add(SegmentBuilder *b, const SegmentEntry *entries, uint32 n);

/* Writes what is left and the header; returns the number of entries. Frees the builder. */
extern uint64 segment_builder_finish(SegmentBuilder *b);

/* Forgets it, and removes its file. */
extern void segment_builder_abort(SegmentBuilder *b);

/* Bytes the tail of a segment with this header has. */
extern uint64 segment_tail_bytes(const SegmentHeader *header);

static inline uint32
segment_width(const SegmentHeader *header)
{
	return header->hash_bytes + header->check_bytes + header->position_bytes;
}

static inline uint64
segment_pages(const SegmentHeader *header)
{
	return (header->nentries * segment_width(header) + SEGMENT_PAGE - 1) / SEGMENT_PAGE;
}

/* Maps it. ERRCODE_DATA_CORRUPTED when it is not what it should be. */
extern Segment *segment_open(KeyIndex *index, uint64 number);
extern void segment_close(KeyIndex *index, Segment *segment);
extern void segment_close_all(KeyIndex *index); /* unmaps; frees nothing */
extern uint64 segment_bytes(const Segment *segment);

/* Raises ERRCODE_DATA_CORRUPTED unless the page has its checksum. */
extern void segment_verify_page(Segment *segment, uint64 page);
pg_noreturn extern void segment_corrupted(const Segment *segment, const char *problem);

/* Entries [from, to) must be in verified pages before they are read. */
static inline void
segment_verify(Segment *segment, uint64 from, uint64 to)
{
	uint64		page = from * segment->width / SEGMENT_PAGE;
	uint64		last = (to * segment->width - 1) / SEGMENT_PAGE;

	for (; page <= last; page++)
	{
		if (unlikely(!bitmap_get(segment->verified, page)))
			segment_verify_page(segment, page);
	}
}

static inline uint64
low_bits(uint64 value, uint32 bits)
{
	return bits == 64 ? value : value & ((UINT64CONST(1) << bits) - 1);
}

static inline uint64
load_bytes(const uint8 *p, uint32 bytes)
{
	uint64		v;

	/* reads past the value, never past the mapping: the tail follows the entries */
	memcpy(&v, p, sizeof(v));
	return low_bits(v, bytes * 8);
}

static inline uint64
segment_prefix(const Segment *segment, uint64 hash)
{
	return segment->header.dir_bits == 0 ? 0 : hash >> (64 - segment->header.dir_bits);
}

/* The bits of a hash that its entry keeps. */
static inline uint64
segment_suffix(const Segment *segment, uint64 hash)
{
	return low_bits(hash, 64 - segment->header.dir_bits);
}

static inline KeyPosition
segment_position(const Segment *segment, const uint8 *entry)
{
	const SegmentHeader *h = &segment->header;
	uint64		v = load_bytes(entry + h->hash_bytes + h->check_bytes, h->position_bytes);
	KeyPosition position;

	position.file = h->min_file + (uint32) (v >> h->row_bits);
	position.row = (uint32) low_bits(v, h->row_bits);
	return position;
}

/* Reads entries [from, to), which lie under the directory's prefix. */
extern void segment_read(Segment *segment, uint64 from, uint64 to, uint64 prefix, SegmentEntry *out);

/*
 * Sorting, and searching.
 */
typedef struct SortKey
{
	uint64		hash;
	uint32		check;
	uint32		index;			/* what the key belongs to */
} SortKey;

/* Sorts by hash, stable; `scratch` has room for n too. */
extern void keyindex_sort(SortKey *keys, SortKey *scratch, uint32 n);

/* A key looked for, and where its entries may begin in the segment at hand. */
typedef struct SearchKey
{
	uint64		hash;
	uint64		entry;			/* first with that hash; SEARCH_NONE */
	uint32		check;
	uint32		group;			/* the caller's */
} SearchKey;

#define SEARCH_NONE PG_UINT64_MAX

/*
 * Finds the first entry with the hash of each of n keys, which ascend by
 * hash and prefetches the liveness of its row.  `found` is called for some
 * keys at a time, while all that is still in the processor's caches.
 */
typedef void (*segment_found_cb) (KeyIndex *index, Segment *segment, const SearchKey *keys, uint32 n,
								  void *arg);
extern void segment_search(KeyIndex *index, Segment *segment, SearchKey *keys, uint32 n,
						   segment_found_cb found, void *arg);

/* Keeps the keys the segment's filter does not rule out; returns how many. */
extern uint32 segment_filter(const Segment *segment, const SearchKey *keys, uint32 n, SearchKey *kept);

/* Bits a key sets and tests in its block of the filter. */
#define FILTER_WORDS 8
extern const uint32 filter_salts[FILTER_WORDS];

static inline uint32
filter_block(uint64 hash, uint32 nblocks)
{
	return (uint32) (((hash >> 32) * nblocks) >> 32);
}

/*
 * Data files and liveness.
 */
typedef struct KeyFile
{
	uint32		id;
	uint32		nrows;
	uint32		nlive;
	char	   *path;
	uint64	   *live;			/* NULL while all rows live */

	/* rows killed since the last settle: a list, or when that would be longer, `live` as it was */
	struct KeyFile *next_touched;
	bool		touched;
	uint32		nkilled;
	uint32		killed_capacity;
	uint32	   *killed;
	uint64	   *before;
} KeyFile;

#define FILE_PAGE_BITS 10

/* Files by number; two levels, because numbers are never used again and old ones leave gaps. */
typedef struct KeyFiles
{
	MemoryContext context;
	uint32		npages;
	KeyFile  ***pages;
	uint32		nfiles;
	uint64		nlive;
	uint64		nkilled;		/* since the last settle */
	KeyFile    *touched;		/* list through next_touched */
} KeyFiles;

static inline KeyFile *
files_get(const KeyFiles *files, uint32 id)
{
	uint32		page = id >> FILE_PAGE_BITS;

	if (page >= files->npages || files->pages[page] == NULL)
		return NULL;
	return files->pages[page][id & ((1 << FILE_PAGE_BITS) - 1)];
}

/* False for rows of files that are forgotten: those have no live row. */
static inline bool
files_is_live(const KeyFiles *files, KeyPosition position)
{
	const KeyFile *file = files_get(files, position.file);

	if (file == NULL || position.row >= file->nrows)
		return false;
	return file->live == NULL || bitmap_get(file->live, position.row);
}

extern KeyFiles *files_create(MemoryContext parent);
extern KeyFile *files_add(KeyFiles *files, uint32 id, const char *path, uint32 nrows);
extern void files_grow(KeyFiles *files, KeyFile *file, uint32 more);	/* by live rows */
extern void files_remove(KeyFiles *files, KeyFile *file);
extern void files_kill(KeyFiles *files, KeyPosition position);	/* a live row */
extern void files_undo(KeyFiles *files);	/* what was killed since the last settle lives again */
extern void files_settle(KeyFiles *files);	/* and is dead for good */
extern uint64 *files_make_live(KeyFiles *files, KeyFile *file);

/*
 * Rows killed since the last settle, ascending, at most `most` (64 or more)
 * at a time; their number, 0 at the end.  *at begins at 0.
 */
extern uint32 files_killed(KeyFile *file, uint64 *at, uint32 *rows, uint32 most);
extern KeyFile *files_next(const KeyFiles *files, uint32 *id);	/* first with number >= *id, moves it past */

/*
 * The index.
 */
#define MAX_SEGMENTS 64			/* a change that would make more waits for a merge */
#define PENDING_ENTRIES (1 << 19)	/* collected in memory before they become a segment */

typedef struct SegmentList
{
	int			n;
	Segment    *items[MAX_SEGMENTS + 1];
} SegmentList;

/* A merge under way. */
typedef struct MergeInput
{
	Segment    *segment;
	uint64		next;			/* entry */
	uint64		prefix;			/* of that entry */
} MergeInput;

typedef struct MergeSlice
{
	uint32		n;
	uint32		room;
	SegmentEntry *entries;
	SortKey    *keys;
	SortKey    *scratch;
} MergeSlice;

typedef struct Merge
{
	MemoryContext context;
	MergeSlice	slice;			/* buffers */
	uint64		number;			/* of the segment to come */
	SegmentBuilder *builder;
	int			ninputs;
	MergeInput	inputs[MAX_SEGMENTS];
	uint64		start;			/* of the next slice */
	uint64		step;
	bool		finished;		/* the slice up to the last hash is done */
	bool		inside;			/* left by an error */
} Merge;

typedef struct Journal
{
	uint32		generation;
	uint64		length;			/* of what counts */
	uint64		base_length;	/* of the state it begins with */
	uint64		chain;			/* checksum of the last record */
} Journal;

struct KeyIndex
{
	MemoryContext context;
	MemoryContextCallback callback;
	char	   *dir;
	char	   *token;			/* of the settled state; NULL: none yet */
	char	   *new_token;		/* prepared */
	bool		wide;
	uint64		seed;
	uint32		next_file;
	uint32		settled_next_file;
	uint64		next_segment;

	KeyFiles   *files;
	KeyFiles   *saved_files;	/* settled state, when a truncate left it */
	bool		truncated;
	SegmentList current;
	SegmentList settled;
	Segment    *open_segments;

	/* entries not yet in a segment */
	uint32		npending;
	uint32		pending_capacity;
	SortKey    *pending;
	KeyPosition *pending_positions;

	Journal		journal;		/* as of the settled state */
	Journal		prepared;		/* as of the prepared one */
	Merge	   *merge;
};

/* Nothing added, killed or truncated since the last settle? */
extern bool keyindex_is_settled(const KeyIndex *index);

/* Fails between a prepare and its settle or rollback. */
extern void keyindex_require_open(const KeyIndex *index);

/* Takes back what was added and killed since the last settle, or the last truncate. */
extern void keyindex_discard(KeyIndex *index);

/* A list loses or replaces segments; files that are in no list any more are removed. */
extern void segment_list_copy(KeyIndex *index, SegmentList *to, const SegmentList *from);
extern void segment_list_clear(KeyIndex *index, SegmentList *list);
extern void segment_list_replace(KeyIndex *index, SegmentList *list, int first, int n, Segment *by);

extern void merge_abort(KeyIndex *index);
extern void merge_make_room(KeyIndex *index);	/* one segment more will fit */

/* The journal; see keyindex_journal.h. */
extern void journal_create(KeyIndex *index);
extern bool journal_open(KeyIndex *index, const char *token);
extern void journal_prepare(KeyIndex *index, const char *token);
extern void journal_settle(KeyIndex *index);
extern void journal_rollback(KeyIndex *index);
extern void journal_merged(KeyIndex *index);

/* Files of the folder; names as the two formats say. */
extern char *keyindex_segment_path(const KeyIndex *index, uint64 number);

/* Removes the files of the folder that `keep` does not want kept (NULL: all). */
extern void keyindex_clean_folder(const char *dir, bool (*keep) (const char *name, void *arg), void *arg);
extern void keyindex_write_file(const char *path, uint64 offset, const void *data, size_t size);

#endif							/* TARN_PIPELINE_KEYINDEX_INTERNAL_H */
