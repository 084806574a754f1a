/*-------------------------------------------------------------------------
 *
 * test_keyindex_states.c
 *	  The key index in the large: merges of many slices, duplicates by the
 *	  hundred thousand, files that grow while rows of them die, journals that
 *	  are rewritten, tokens, wrong use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dirent.h>
#include <stdlib.h>

#include "base/hash.h"
#include "pipeline/keyindex.h"
#include "tap.h"

static const char *dir;

static KeyHash
key_of(uint64 i)
{
	KeyHash		key = {.hash = hash_mix64(i)};

	return key;
}

/* A file of n rows whose keys are first, first + step, ... */
static uint32
add_rows(KeyIndex *index, const char *path, uint64 first, uint64 step, uint32 n)
{
	KeyHash    *keys = palloc_array(KeyHash, n);
	uint32		file = keyindex_add_file(index, path, n);

	for (uint32 i = 0; i < n; i++)
		keys[i] = key_of(first + i * step);
	keyindex_add(index, file, 0, keys, n);
	pfree(keys);
	return file;
}

static void
settle(KeyIndex *index, const char *token)
{
	keyindex_prepare(index, token);
	keyindex_settle(index);
}

static int
merge_all(KeyIndex *index)
{
	int			slices = 1;

	while (keyindex_merge(index))
		slices++;
	return slices;
}

/* How many of the keys first.. are found where (file, row = ordinal) says. */
static uint32
count_found(KeyIndex *index, uint64 first, uint64 step, uint32 n, uint32 file)
{
	KeyHash    *keys = palloc_array(KeyHash, n);
	KeyPosition *positions = palloc_array(KeyPosition, n);
	uint32		found = 0;

	for (uint32 i = 0; i < n; i++)
		keys[i] = key_of(first + i * step);
	keyindex_delete(index, keys, n, positions);
	for (uint32 i = 0; i < n; i++)
		found += positions[i].file == file && positions[i].row == i;
	pfree(keys);
	pfree(positions);
	return found;
}

static void
test_slices(void)
{
	KeyIndex   *index = keyindex_create(dir, false);
	KeyIndexStats stats;
	char		path[32];
	uint32		files[6];
	uint32		found = 0;
	int			slices;

	for (int f = 0; f < 6; f++)
	{
		snprintf(path, sizeof(path), "f%d", f);
		files[f] = add_rows(index, path, f, 6, 150000);
		settle(index, path);
	}
	for (int f = 0; f < 6; f += 2)
		found += count_found(index, f, 6, 75000, files[f]);
	is_int(found, 225000, "keys are found among six segments");
	settle(index, "deleted");
	keyindex_stats(index, &stats);
	is_int(stats.live_rows, 675000, "the others live");
	slices = merge_all(index);
	keyindex_stats(index, &stats);
	ok(slices > 5, "a merge takes many slices (%d)", slices);
	is_int(stats.segments, 1, "and leaves one segment");
	is_int(stats.entries, 675000, "without the dead");
	keyindex_close(index);

	index = keyindex_open(dir, "deleted", false);
	ok(index != NULL, "the merged state opens");
	is_int(count_found(index, 1, 6, 150000, files[1]), 150000, "and has its keys");
	is_int(count_found(index, 0, 6, 75000, files[0]), 0, "and not the dead");
	keyindex_close(index);
}

/* One hash for more rows than a slice of a merge has room for. */
static void
test_duplicates(void)
{
	KeyIndex   *index = keyindex_create(dir, false);
	KeyHash    *keys = palloc_array(KeyHash, 200000);
	KeyPosition *positions = palloc_array(KeyPosition, 200000);
	KeyIndexStats stats;
	uint32		files[5];
	uint32		wrong = 0;

	for (int f = 0; f < 5; f++)
	{
		char		path[32];

		snprintf(path, sizeof(path), "dup%d", f);
		files[f] = add_rows(index, path, 7, 0, 80000);
		settle(index, path);
	}
	merge_all(index);
	keyindex_stats(index, &stats);
	is_int(stats.segments, 1, "equal keys are merged");
	is_int(stats.entries, 400000, "and all kept");
	for (int i = 0; i < 200000; i++)
		keys[i] = key_of(7);
	keyindex_delete(index, keys, 200000, positions);
	for (uint32 i = 0; i < 200000; i++)
		wrong += positions[i].file != files[i / 80000] || positions[i].row != i % 80000;
	is_int(wrong, 0, "each delete takes the oldest row");
	keyindex_close(index);
	pfree(keys);
	pfree(positions);
}

/* More segments than may be: they are merged on the way, also when nothing is settled. */
static void
test_many_segments(void)
{
	KeyIndex   *index = keyindex_create(dir, false);
	KeyIndexStats stats;
	KeyPosition position;
	KeyHash		none = key_of(999999999);
	uint32		found = 0;
	uint32		most = 0;

	for (int f = 0; f < 300; f++)
	{
		char		path[32];

		snprintf(path, sizeof(path), "m%d", f);
		add_rows(index, path, f * 10, 1, 10);
		/* a look-up turns what was collected into a segment */
		keyindex_delete(index, &none, 1, &position);
		found += position.file != KEY_NOT_FOUND;
		keyindex_stats(index, &stats);
		most = Max(most, stats.segments);
	}
	ok(most <= 64, "never more than 64 segments (%u)", most);
	is_int(found, 0, "a key that is not there is not found");
	settle(index, "many");
	is_int(count_found(index, 1230, 1, 10, 123), 10, "rows of a file in the middle");
	keyindex_rollback(index);
	keyindex_stats(index, &stats);
	is_int(stats.live_rows, 3000, "a rollback brings them back");
	keyindex_close(index);
}

/* Row `row` of the file that grows dies when it has its part number `row` % 37. */
static const uint32 growth_parts[] = {100, 1000, 77, 64, 5000};

static bool
dies(uint32 row)
{
	uint32		end = 0;

	for (int part = 0; part < lengthof(growth_parts); part++)
	{
		end += growth_parts[part];
		if (row < end && row % 37 == part)
			return true;
	}
	return false;
}

/* Adds a file part by part, and after each kills rows of all that are there; returns how many died elsewhere. */
static uint32
grow(KeyIndex *index, uint32 *nrows)
{
	uint32		file = 0;
	uint32		wrong = 0;

	*nrows = 0;
	for (int part = 0; part < lengthof(growth_parts); part++)
	{
		uint32		n = growth_parts[part];
		KeyHash    *keys = palloc_array(KeyHash, n);

		for (uint32 i = 0; i < n; i++)
			keys[i] = key_of(*nrows + i);
		if (part == 0)
			file = keyindex_add_file(index, "grows", n);
		else
			keyindex_grow_file(index, file, n);
		keyindex_add(index, file, *nrows, keys, n);
		pfree(keys);
		*nrows += n;
		for (uint32 row = part; row < *nrows; row += 37)
		{
			KeyHash		key = key_of(row);
			KeyPosition position;

			keyindex_delete(index, &key, 1, &position);
			wrong += position.file != file || position.row != row;
		}
	}
	return wrong;
}

static void
check_killed(const char *path, const uint64 *positions, uint64 n, void *arg)
{
	uint32	   *wrong = arg;

	*wrong += strcmp(path, "grows") != 0;
	for (uint64 i = 0; i < n; i++)
		*wrong += !dies((uint32) positions[i]);
}

/* A file that is being written gets more rows and loses some, in turn. */
static void
test_growth(void)
{
	KeyIndex   *index = keyindex_create(dir, false);
	KeyIndexStats stats;
	uint32		nrows;
	uint32		dead = 0;
	uint32		wrong = 0;

	add_rows(index, "before", 1000000, 1, 100);
	settle(index, "before");
	throws(ERRCODE_INTERNAL_ERROR, keyindex_grow_file(index, 0, 1), "cannot grow", "a file of the lake stays as it is");
	is_int(grow(index, &nrows), 0, "rows are found in a file that grows");
	keyindex_rollback(index);
	keyindex_stats(index, &stats);
	is_int(stats.live_rows, 100, "a rollback forgets it");

	is_int(grow(index, &nrows), 0, "and once more");
	for (uint32 row = 0; row < nrows; row++)
		dead += dies(row);
	is_int(keyindex_killed(index, check_killed, &wrong), dead, "as many rows were killed");
	is_int(wrong, 0, "those and no others");
	keyindex_stats(index, &stats);
	is_int(stats.live_rows, 100 + nrows - dead, "the others live");
	settle(index, "grown");
	keyindex_close(index);

	index = keyindex_open(dir, "grown", false);
	for (uint32 row = 0; row < nrows; row++)
	{
		KeyHash		key = key_of(row);
		KeyPosition position;

		keyindex_delete(index, &key, 1, &position);
		wrong += dies(row) ? position.file != KEY_NOT_FOUND : position.row != row;
	}
	is_int(wrong, 0, "the state on disk has the same");
	keyindex_close(index);
}

static int
journals(void)
{
	DIR		   *d = opendir(dir);
	struct dirent *entry;
	int			n = 0;

	while ((entry = readdir(d)) != NULL)
		n += strncmp(entry->d_name, "journal.", 8) == 0;
	closedir(d);
	return n;
}

/* A long life: the journal is rewritten, and the states around that are whole. */
static void
test_journal(void)
{
	KeyIndex   *index = keyindex_create(dir, false);
	char		path[600];
	char		token[32] = "";
	int			rewritten = 0;
	uint64		most = 0;
	KeyIndexStats stats;

	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	add_rows(index, "base", 1000000, 1, 100000);
	for (int i = 0; i < 3000; i++)
	{
		bool		twice;
		char		old[32];

		strlcpy(old, token, sizeof(old));
		snprintf(token, sizeof(token), "j%d", i);
		memcpy(path, token, strlen(token));
		if (count_found(index, i - 1, 1, 1, i) != (i > 0))
			break;
		add_rows(index, path, i, 1, 1);
		keyindex_kill(index, 0, i * 7);
		keyindex_prepare(index, token);
		twice = i > 0 && journals() == 2;
		if (twice)
		{
			/* a crash here: back to the old state, and again */
			keyindex_close(index);
			index = keyindex_open(dir, rewritten % 2 ? old : token, false);
			rewritten++;
			if (index == NULL)
				break;
			if (rewritten % 2 == 0)
			{
				count_found(index, i - 1, 1, 1, i);
				add_rows(index, path, i, 1, 1);
				keyindex_kill(index, 0, i * 7);
				keyindex_prepare(index, token);
				keyindex_settle(index);
			}
		}
		else
			keyindex_settle(index);
		keyindex_merge(index);
		keyindex_stats(index, &stats);
		most = Max(most, stats.disk_bytes);
	}
	ok(index != NULL && strcmp(token, "j2999") == 0, "3,000 states follow each other (\"%s\")", token);
	ok(rewritten >= 2, "the journal was rewritten (%d times)", rewritten);
	is_int(journals(), 1, "and one is left");
	is_int(stats.live_rows, 100000 - 3000 + 1, "with the right rows alive");
	is_int(stats.files, 2, "files without live rows are forgotten");
	ok(most < 4 * 1024 * 1024, "disk use stays bounded (" UINT64_FORMAT ")", most);
	if (index)
		keyindex_close(index);
	ok(keyindex_open(dir, "j1", false) == NULL, "an old state does not open");
	ok(journals() == 0, "and the folder is empty then");
}

static void
test_tokens(void)
{
	KeyIndex   *index = keyindex_create(dir, true);
	uint64		seed = keyindex_seed(index);

	add_rows(index, "a", 0, 1, 10);
	throws(ERRCODE_INTERNAL_ERROR, keyindex_settle(index), "not prepared", "settle needs a prepare");
	settle(index, "t1");
	throws(ERRCODE_INTERNAL_ERROR, keyindex_prepare(index, "t1"), "already", "a token is used once");
	keyindex_prepare(index, "t2");
	throws(ERRCODE_INTERNAL_ERROR, keyindex_add_file(index, "b", 1), "not settled",
		   "no change between prepare and settle");
	keyindex_settle(index);
	throws(ERRCODE_INTERNAL_ERROR, keyindex_kill(index, 0, 10), "not there", "a row that is not there");
	throws(ERRCODE_INTERNAL_ERROR, keyindex_add(index, 0, 5, NULL, 6), "not there", "more keys than rows");
	throws(ERRCODE_INTERNAL_ERROR, (void) keyindex_file_path(index, 77), "no data file", "an unknown file");
	keyindex_close(index);

	ok(keyindex_open(dir, "t2", false) == NULL, "keys of the other kind do not open");
	index = keyindex_create(dir, true);
	add_rows(index, "a", 0, 1, 10);
	seed = keyindex_seed(index);
	settle(index, "t1");
	keyindex_close(index);
	index = keyindex_open(dir, "t1", true);
	ok(index && keyindex_seed(index) == seed, "the seed is kept");
	keyindex_truncate(index);
	is_int(count_found(index, 0, 1, 10, 0), 0, "nothing is left after a truncate");
	keyindex_rollback(index);
	is_int(count_found(index, 0, 1, 10, 0), 10, "until it is taken back");
	keyindex_close(index);
	throws(ERRCODE_UNDEFINED_FILE, keyindex_create("/nonexistent/folder", true), "could not create",
		   "a folder that cannot be made");
	ok(keyindex_open("/nonexistent/folder", "t", true) == NULL, "a folder that is not there has no state");
}

int
main(void)
{
	char		template[] = "/tmp/tarn-keyindex-XXXXXX";
	char	   *command;

	dir = mkdtemp(template);
	test_slices();
	test_duplicates();
	test_many_segments();
	test_growth();
	test_journal();
	test_tokens();
	command = psprintf("rm -rf %s", dir);
	ok(system(command) == 0, "scratch is removed");
	pfree(command);
	return done();
}
