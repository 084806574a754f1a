/*-------------------------------------------------------------------------
 *
 * keyindex_builder.c
 *	  Writing a segment of the key index.
 *
 * Entries come in ascending order of hash and are packed into a buffer that
 * is written when full; directory, page checksums and filter grow in memory
 * and follow at the end; the header is written last, so that a file whose
 * writer died has none.  The file is opened anew for each write: a merge
 * takes many calls, and an open file across them would be one descriptor a
 * table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "utils/memutils.h"

#include "base/failpoint.h"
#include "base/hash.h"
#include "pipeline/keyindex_internal.h"

#define BUFFER_PAGES 64
#define BUFFER_SLACK 32			/* stores of whole words may pass the end of an entry */

/* A bucket of the directory holds 32 to 64 entries: two or three cache lines to interpolate in. */
#define BUCKET_ENTRIES 64
#define MAX_DIR_BITS 26

#define FILTER_BITS_PER_KEY 10
#define MAX_FILTER_BLOCKS (1 << 24)

struct SegmentBuilder
{
	MemoryContext context;
	char	   *path;
	SegmentHeader header;
	uint64		max_entries;
	uint32		width;
	uint32		next_prefix;	/* directory is filled below */
	uint32	   *directory;
	uint32	   *checksums;
	uint64		npages;			/* written */
	uint32	   *filter;
	uint8	   *buffer;
	uint32		used;
};

const uint32 filter_salts[FILTER_WORDS] = {
	0x47b6137bU, 0x44974d91U, 0x8824ad5bU, 0xa2b7289dU,
	0x705495c7U, 0x2df1424bU, 0x9efc4947U, 0x5c6bfb31U
};

/* Writes at an offset of a file, which is made when missing. */
void
keyindex_write_file(const char *path, uint64 offset, const void *data, size_t size)
{
	const char *p = data;
	int			fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
	while (size > 0)
	{
		ssize_t		n = pwrite(fd, p, size, (off_t) offset);

		if (n <= 0)
		{
			if (n < 0 && errno == EINTR)
				continue;
			if (n == 0)
				errno = ENOSPC;
			{
				int			saved_errno = errno;

				close(fd);
				errno = saved_errno;
			}
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not write file \"%s\": %m", path)));
		}
		p += n;
		offset += n;
		size -= n;
	}
	close(fd);
	FAILPOINT("index-file-written");
}

static uint32
bits_for(uint32 value)
{
	return value == 0 ? 0 : 32 - __builtin_clz(value);
}

uint64
segment_tail_bytes(const SegmentHeader *header)
{
	return (uint64) header->filter_blocks * FILTER_WORDS * sizeof(uint32) +
		((UINT64CONST(1) << header->dir_bits) + 1) * sizeof(uint32) +
		segment_pages(header) * sizeof(uint32);
}

/* How the entries are packed. */
static void
plan_layout(SegmentBuilder *b, bool wide, const SegmentLimits *limits)
{
	SegmentHeader *h = &b->header;
	uint32		file_bits = bits_for(limits->max_file - limits->min_file);

	h->min_file = limits->min_file;
	h->max_file = limits->max_file;
	while (h->dir_bits < MAX_DIR_BITS && (limits->nentries >> h->dir_bits) > BUCKET_ENTRIES)
		h->dir_bits++;
	h->hash_bytes = (64 - h->dir_bits + 7) / 8;
	h->check_bytes = wide ? sizeof(uint32) : 0;
	h->row_bits = bits_for(limits->max_row);
	h->position_bytes = Max((file_bits + h->row_bits + 7) / 8, 1);
	if (limits->filter)
		h->filter_blocks = (uint32) Min(limits->nentries * FILTER_BITS_PER_KEY / (FILTER_WORDS * 32) + 1,
										MAX_FILTER_BLOCKS);
	b->width = segment_width(h);
}

SegmentBuilder *
segment_builder_create(MemoryContext parent, const char *path, uint64 number,
					   uint64 seed, bool wide, const SegmentLimits *limits)
{
	MemoryContext context = AllocSetContextCreate(parent, "key index segment builder",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SegmentBuilder *b = palloc0(sizeof(SegmentBuilder));
	uint64		most;

	b->context = context;
	b->path = pstrdup(path);
	b->header.number = number;
	b->header.seed = seed;
	plan_layout(b, wide, limits);
	b->max_entries = limits->nentries;
	most = (limits->nentries * b->width + SEGMENT_PAGE - 1) / SEGMENT_PAGE;
	b->directory = palloc_extended(((UINT64CONST(1) << b->header.dir_bits) + 1) * sizeof(uint32),
								   MCXT_ALLOC_HUGE);
	b->checksums = palloc_extended((most + 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	if (b->header.filter_blocks > 0)
		b->filter = palloc_extended((Size) b->header.filter_blocks * FILTER_WORDS * sizeof(uint32),
									MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	b->buffer = palloc(BUFFER_PAGES * SEGMENT_PAGE + BUFFER_SLACK);
	MemoryContextSwitchTo(old);
	return b;
}

/* Writes the whole pages of the buffer; the last one is filled up with zeros when `final`. */
static void
flush_buffer(SegmentBuilder *b, bool final)
{
	uint32		pages;

	if (final && b->used % SEGMENT_PAGE != 0)
	{
		uint32		pad = SEGMENT_PAGE - b->used % SEGMENT_PAGE;

		memset(b->buffer + b->used, 0, pad);
		b->used += pad;
	}
	pages = b->used / SEGMENT_PAGE;
	if (pages == 0)
		return;
	for (uint32 i = 0; i < pages; i++)
		b->checksums[b->npages + i] = (uint32) hash_bytes64(b->buffer + (size_t) i * SEGMENT_PAGE,
															SEGMENT_PAGE, b->npages + i);
	keyindex_write_file(b->path, (1 + b->npages) * SEGMENT_PAGE, b->buffer, (size_t) pages * SEGMENT_PAGE);
	b->npages += pages;
	b->used -= pages * SEGMENT_PAGE;
	memmove(b->buffer, b->buffer + (size_t) pages * SEGMENT_PAGE, b->used);
}

/* Sets the key's bits. */
static inline void
filter_add(SegmentBuilder *b, uint64 hash)
{
	uint32	   *block = b->filter + (size_t) filter_block(hash, b->header.filter_blocks) * FILTER_WORDS;
	uint32		low = (uint32) hash;

	for (int i = 0; i < FILTER_WORDS; i++)
		block[i] |= UINT32_C(1) << ((low * filter_salts[i]) >> 27);
}

void
segment_builder_add(SegmentBuilder *b, const SegmentEntry *entries, uint32 n)
{
	SegmentHeader *h = &b->header;
	uint32		suffix_bits = 64 - h->dir_bits;

	Assert(h->nentries + n <= b->max_entries);
	for (uint32 i = 0; i < n; i++)
	{
		const SegmentEntry *e = &entries[i];
		uint64		prefix = h->dir_bits == 0 ? 0 : e->hash >> suffix_bits;
		uint64		suffix = low_bits(e->hash, suffix_bits);
		uint64		position = ((uint64) (e->position.file - h->min_file) << h->row_bits) | e->position.row;
		uint8	   *p;

		while (b->next_prefix <= prefix)
			b->directory[b->next_prefix++] = (uint32) h->nentries;
		if (b->filter)
			filter_add(b, e->hash);

		/* each store may pass the end of its field: the next one covers that */
		p = b->buffer + b->used;
		memcpy(p, &suffix, sizeof(uint64));
		p += h->hash_bytes;
		memcpy(p, &e->check, sizeof(uint32));
		p += h->check_bytes;
		memcpy(p, &position, sizeof(uint64));
		b->used += b->width;
		h->nentries++;
		if (b->used > BUFFER_PAGES * SEGMENT_PAGE - 32)
			flush_buffer(b, false);
	}
}

uint64
segment_builder_finish(SegmentBuilder *b)
{
	SegmentHeader *h = &b->header;
	uint64		nentries = h->nentries;
	uint64		offset;
	StaticAssertDecl(offsetof(SegmentHeader, checksum) + sizeof(uint64) == sizeof(SegmentHeader),
					 "the checksum must be the last field, with no padding");
	struct
	{
		const void *data;
		size_t		size;
	}			parts[3];
	char		page[SEGMENT_PAGE];

	flush_buffer(b, true);
	while (b->next_prefix <= (UINT64CONST(1) << h->dir_bits))
		b->directory[b->next_prefix++] = (uint32) nentries;

	parts[0].data = b->filter;
	parts[0].size = (size_t) h->filter_blocks * FILTER_WORDS * sizeof(uint32);
	parts[1].data = b->directory;
	parts[1].size = ((UINT64CONST(1) << h->dir_bits) + 1) * sizeof(uint32);
	parts[2].data = b->checksums;
	parts[2].size = b->npages * sizeof(uint32);
	offset = (1 + b->npages) * SEGMENT_PAGE;
	h->tail_checksum = h->number;
	for (int i = 0; i < lengthof(parts); i++)
	{
		if (parts[i].size == 0)
			continue;
		keyindex_write_file(b->path, offset, parts[i].data, parts[i].size);
		h->tail_checksum = hash_bytes64(parts[i].data, parts[i].size, h->tail_checksum);
		offset += parts[i].size;
	}

	h->magic = SEGMENT_MAGIC;
	h->version = SEGMENT_VERSION;
	h->checksum = hash_bytes64(h, offsetof(SegmentHeader, checksum), 0);
	memset(page, 0, sizeof(page));
	memcpy(page, h, sizeof(SegmentHeader));
	keyindex_write_file(b->path, 0, page, sizeof(page));
	MemoryContextDelete(b->context);
	return nentries;
}

void
segment_builder_abort(SegmentBuilder *b)
{
	(void) unlink(b->path);
	MemoryContextDelete(b->context);
}
