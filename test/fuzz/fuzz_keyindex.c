/*-------------------------------------------------------------------------
 *
 * fuzz_keyindex.c
 *	  Files of the key index with any content: no crash, and no read outside.
 *
 * Input: a byte that says where to damage a small, good index (its journal or
 * one of its segments), then patches of (offset, byte); or with the top bit
 * of that byte set, the whole content of the journal.  TARN_FUZZ builds the
 * index without comparing checksums, so that damage gets past them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "fuzz.h"
#include "pipeline/keyindex.h"
#include "pipeline/keyindex_internal.h"

#define NROWS 700
#define MAX_FILE 65536

typedef struct GoodFile
{
	const char *name;
	size_t		size;
	uint8	   *data;
} GoodFile;

static char dir[] = "/tmp/tarn-fuzz-keyindex-XXXXXX";
static GoodFile good[] = {{"journal.00000001"}, {"segment.1"}, {"segment.2"}};
static KeyHash keys[2 * NROWS];

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
clean(void)
{
	keyindex_clean_folder(dir, NULL, NULL);
	(void) rmdir(dir);
}

static void
prepare(void)
{
	KeyIndex   *index;

	if (mkdtemp(dir) == NULL)
		abort();
	atexit(clean);
	index = keyindex_create(dir, false);
	for (int i = 0; i < 2 * NROWS; i++)
		keys[i].hash = hash_mix64(i / 2);
	for (int f = 0; f < 2; f++)
	{
		uint32		file = keyindex_add_file(index, f ? "two" : "one", NROWS);

		keyindex_add(index, file, 0, keys + f * NROWS, NROWS);
		keyindex_kill(index, file, 3);
		keyindex_prepare(index, f ? "t2" : "t1");
		keyindex_settle(index);
	}
	keyindex_close(index);
	for (int i = 0; i < lengthof(good); i++)
	{
		int			fd = openat(open(dir, O_RDONLY), good[i].name, O_RDONLY);
		struct stat st;

		if (fd < 0 || fstat(fd, &st) < 0)
			abort();
		good[i].size = (size_t) st.st_size;
		good[i].data = malloc(good[i].size);
		if (read(fd, good[i].data, good[i].size) != st.st_size)
			abort();
		close(fd);
	}
}

static void
write_files(const uint8_t *data, size_t size)
{
	static uint8 copy[MAX_FILE];
	uint32		target = size > 0 ? data[0] % lengthof(good) : 0;

	for (uint32 i = 0; i < lengthof(good); i++)
	{
		char		path[128];
		size_t		n = Min(good[i].size, sizeof(copy));

		snprintf(path, sizeof(path), "%s/%s", dir, good[i].name);
		(void) unlink(path);
		if (size > 0 && (data[0] & 0x80) && i == 0)
		{
			keyindex_write_file(path, 0, data + 1, size - 1);
			continue;
		}
		memcpy(copy, good[i].data, n);
		for (size_t p = 1; i == target && p + 3 <= size; p += 3)
			copy[(data[p] | data[p + 1] << 8) % n] = data[p + 2];
		keyindex_write_file(path, 0, copy, n);
	}
}

static void
use_index(void)
{
	static KeyPosition positions[2 * NROWS];
	KeyIndex   *index = keyindex_open(dir, "t2", false);

	if (index == NULL)
		return;
	PG_TRY();
	{
		keyindex_delete(index, keys, 2 * NROWS, positions);
		for (int i = 0; i < 2 * NROWS; i++)
		{
			if (positions[i].file != KEY_NOT_FOUND)
				(void) strlen(keyindex_file_path(index, positions[i].file));
		}
		keyindex_rollback(index);
		for (int i = 0; i < 20 && keyindex_merge(index); i++)
			;
	}
	PG_CATCH();
	{
		FlushErrorState();
	}
	PG_END_TRY();
	keyindex_close(index);
}

static void
use_files(const uint8 *data, size_t size)
{
	write_files(data, size);
	use_index();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (good[0].data == NULL)
		prepare();
	return fuzz_input(use_files, data, size);
}
