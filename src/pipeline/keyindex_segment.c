/*-------------------------------------------------------------------------
 *
 * keyindex_segment.c
 *	  Opening a segment of the key index, and reading its entries.
 *
 * A segment is mapped.  Its header and tail (filter, directory, page
 * checksums) are checked when it is opened, a page of entries the first time
 * it is used.  MADV_RANDOM matters for the entries: with read-ahead a cold
 * look-up would read megabytes a key.
 *
 * The tail could be copied to memory, to be sure that it stays there.  But a
 * transaction of many rows makes many segments, and with a filter each, of
 * more than a byte a key, the worker's memory would grow with the rows.
 * Mapped pages that are used are as fast, and the system's to take.
 *
 * pread instead of a mapping was measured and costs a system call of half a
 * microsecond a key, more than the whole look-up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "pipeline/keyindex_internal.h"

void
segment_corrupted(const Segment *segment, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not read key index segment \"%s\": %s", segment->path, problem)));
	pg_unreachable();
}

/* A fact about the header that must hold. */
#define REQUIRE(condition, problem) \
	do { \
		if (!(condition)) \
			segment_corrupted(segment, problem); \
	} while (0)

static void
check_header(const KeyIndex *index, const Segment *segment, uint64 number)
{
	const SegmentHeader *h = &segment->header;

	REQUIRE(h->magic == SEGMENT_MAGIC && h->version == SEGMENT_VERSION, "not a segment of this version");
	REQUIRE(KEYINDEX_CHECKSUM_OK(h->checksum, hash_bytes64(h, offsetof(SegmentHeader, checksum), 0)),
			"header has a wrong checksum");
	REQUIRE(KEYINDEX_CHECKSUM_OK(h->number, number) && KEYINDEX_CHECKSUM_OK(h->seed, index->seed),
			"it belongs to another index");
	REQUIRE(h->nentries > 0 && h->nentries <= PG_UINT32_MAX, "number of entries is out of range");
	REQUIRE(h->min_file <= h->max_file, "numbers of files are out of order");
	REQUIRE(h->dir_bits <= 32, "directory is too large");
	REQUIRE(h->hash_bytes == (64 - h->dir_bits + 7) / 8, "hash has the wrong width");
	REQUIRE(h->check_bytes == (index->wide ? sizeof(uint32) : 0), "check bits have the wrong width");
	REQUIRE(h->row_bits <= 32 && h->position_bytes >= 1 && h->position_bytes <= 8,
			"position has the wrong width");
}

static void
read_fully(const Segment *segment, int fd, void *to, size_t size, uint64 offset)
{
	char	   *p = to;

	while (size > 0)
	{
		ssize_t		n = pread(fd, p, size, (off_t) offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			close(fd);
			segment_corrupted(segment, "file is too short");
		}
		p += n;
		offset += n;
		size -= n;
	}
}

/* Checks the tail and finds the arrays in it. */
static void
check_tail(Segment *segment)
{
	const SegmentHeader *h = &segment->header;
	size_t		sizes[3] = {
		(size_t) h->filter_blocks * FILTER_WORDS * sizeof(uint32),
		((UINT64CONST(1) << h->dir_bits) + 1) * sizeof(uint32),
		segment->npages * sizeof(uint32)
	};
	uint64		checksum = h->number;
	const char *p = segment->tail;

	for (int i = 0; i < lengthof(sizes); i++)
	{
		if (sizes[i] > 0)
			checksum = hash_bytes64(p, sizes[i], checksum);
		p += sizes[i];
	}
	REQUIRE(KEYINDEX_CHECKSUM_OK(checksum, h->tail_checksum), "directory has a wrong checksum");
	segment->filter = (const uint32 *) segment->tail;
	segment->directory = (const uint32 *) (segment->tail + sizes[0]);
	segment->checksums = (const uint32 *) (segment->tail + sizes[0] + sizes[1]);

	/* nothing read through the directory may lie outside of the entries */
	REQUIRE(segment->directory[0] == 0, "directory does not begin at 0");
	for (uint64 i = 0; i < (UINT64CONST(1) << h->dir_bits); i++)
		REQUIRE(segment->directory[i] <= segment->directory[i + 1], "directory is out of order");
	REQUIRE(segment->directory[UINT64CONST(1) << h->dir_bits] == h->nentries,
			"directory does not cover all entries");
}

/* Everything that reads the file while it is open; closes it. */
static void
load(KeyIndex *index, Segment *segment, int fd, uint64 number)
{
	SegmentHeader *h = &segment->header;
	struct stat st;
	uint64		tail;

	read_fully(segment, fd, h, sizeof(SegmentHeader), 0);
	if (fstat(fd, &st) < 0)
		st.st_size = 0;

	/* plausible sizes first, so that nothing below can overflow or allocate without bound */
	if (h->nentries > PG_UINT32_MAX || h->dir_bits > 32 ||
		segment_tail_bytes(h) > (uint64) st.st_size ||
		(1 + segment_pages(h)) * SEGMENT_PAGE + segment_tail_bytes(h) != (uint64) st.st_size)
	{
		close(fd);
		segment_corrupted(segment, "file has the wrong size");
	}
	segment->width = segment_width(h);
	segment->npages = segment_pages(h);
	segment->map_bytes = (size_t) st.st_size;
	segment->map = mmap(NULL, segment->map_bytes, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (segment->map == MAP_FAILED)
	{
		segment->map = NULL;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not map file \"%s\": %m", segment->path)));
	}
	tail = (1 + segment->npages) * SEGMENT_PAGE;
	(void) madvise(segment->map, tail, MADV_RANDOM);
	segment->entries = (const uint8 *) segment->map + SEGMENT_PAGE;
	segment->tail = segment->map + tail;
	check_header(index, segment, number);
	check_tail(segment);
}

Segment *
segment_open(KeyIndex *index, uint64 number)
{
	MemoryContext old = MemoryContextSwitchTo(index->context);
	Segment    *segment = palloc0(sizeof(Segment));
	int			fd;

	segment->path = keyindex_segment_path(index, number);
	fd = open(segment->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
	{
		bool		missing = errno == ENOENT;

		ereport(ERROR,
				(missing ? errcode(ERRCODE_DATA_CORRUPTED) : errcode_for_file_access(),
				 errmsg("could not open key index segment \"%s\": %m", segment->path)));
	}

	/* from here on the index unmaps it, whatever happens */
	segment->next_open = index->open_segments;
	index->open_segments = segment;
	load(index, segment, fd, number);
	segment->verified = palloc_extended(BITMAP_WORDS(segment->npages) * sizeof(uint64),
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	MemoryContextSwitchTo(old);
	return segment;
}

void
segment_close(KeyIndex *index, Segment *segment)
{
	Segment   **link = &index->open_segments;

	while (*link != segment)
		link = &(*link)->next_open;
	*link = segment->next_open;
	if (segment->map)
		munmap(segment->map, segment->map_bytes);
	pfree(segment->verified);
	pfree(segment->path);
	pfree(segment);
}

void
segment_close_all(KeyIndex *index)
{
	for (Segment *s = index->open_segments; s != NULL; s = s->next_open)
	{
		if (s->map)
			munmap(s->map, s->map_bytes);
	}
	index->open_segments = NULL;
}

uint64
segment_bytes(const Segment *segment)
{
	return segment->map_bytes;
}

void
segment_verify_page(Segment *segment, uint64 page)
{
	uint32		checksum = (uint32) hash_bytes64(segment->entries + page * SEGMENT_PAGE, SEGMENT_PAGE, page);

	if (!KEYINDEX_CHECKSUM_OK(checksum, segment->checksums[page]))
	{
		/* without the segment the next keyindex_open() finds no index, and it is built anew */
		(void) unlink(segment->path);
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not read key index segment \"%s\": page has a wrong checksum", segment->path),
				 errdetail("Byte offset " UINT64_FORMAT ".", (page + 1) * SEGMENT_PAGE)));
	}
	bitmap_set(segment->verified, page);
}

void
segment_read(Segment *segment, uint64 from, uint64 to, uint64 prefix, SegmentEntry *out)
{
	const SegmentHeader *h = &segment->header;
	const uint8 *p = segment->entries + from * segment->width;
	uint64		high = h->dir_bits == 0 ? 0 : prefix << (64 - h->dir_bits);

	if (from == to)
		return;
	segment_verify(segment, from, to);
	for (uint64 i = from; i < to; i++)
	{
		out->hash = high | low_bits(load_bytes(p, h->hash_bytes), 64 - h->dir_bits);
		out->check = h->check_bytes == 0 ? 0 : (uint32) load_bytes(p + h->hash_bytes, sizeof(uint32));
		out->position = segment_position(segment, p);
		out++;
		p += segment->width;
	}
}
