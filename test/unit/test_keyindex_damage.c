/*-------------------------------------------------------------------------
 *
 * test_keyindex_damage.c
 *	  Damaged files of the key index: never a crash, never a wrong position.
 *
 * After each damage the index either does not open, or reports
 * ERRCODE_DATA_CORRUPTED, or answers as if nothing had happened (the damage
 * is in what the state does not use).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "pipeline/keyindex.h"
#include "tap.h"

#define NROWS 6000
#define NFILES 3

static const char *dir;
static uint64 rng = 5;

static KeyHash
key_of(uint64 i)
{
	KeyHash		key = {.hash = hash_mix64(i), .check = (uint32) i};

	return key;
}

static void
build(void)
{
	KeyIndex   *index = keyindex_create(dir, true);
	KeyHash    *keys = palloc_array(KeyHash, NROWS);

	for (int f = 0; f < NFILES; f++)
	{
		char		name[32];

		snprintf(name, sizeof(name), "file-%d", f);
		keyindex_add_file(index, name, NROWS);
		for (int i = 0; i < NROWS; i++)
			keys[i] = key_of((uint64) f * NROWS + i);
		keyindex_add(index, f, 0, keys, NROWS);
		keyindex_kill(index, f, 17);
		keyindex_prepare(index, name);
		keyindex_settle(index);
	}
	pfree(keys);
	keyindex_close(index);
}

typedef enum Outcome
{
	NOT_OPENED,
	REPORTED,
	RIGHT,
	WRONG
} Outcome;

static Outcome
look(void)
{
	MemoryContext caller = CurrentMemoryContext;
	KeyHash    *keys = palloc_array(KeyHash, NROWS * NFILES);
	KeyPosition *positions = palloc_array(KeyPosition, NROWS * NFILES);
	KeyIndex   *index = keyindex_open(dir, "file-2", true);
	volatile Outcome outcome = RIGHT;

	if (index == NULL)
		outcome = NOT_OPENED;
	else
	{
		PG_TRY();
		{
			for (uint32 i = 0; i < NROWS * NFILES; i++)
				keys[i] = key_of(i);
			keyindex_delete(index, keys, NROWS * NFILES, positions);
			for (uint32 i = 0; i < NROWS * NFILES; i++)
			{
				if (i % NROWS == 17)
					outcome = positions[i].file == KEY_NOT_FOUND ? outcome : WRONG;
				else if (positions[i].file != i / NROWS || positions[i].row != i % NROWS)
					outcome = WRONG;
			}
			while (keyindex_merge(index))
				;
		}
		PG_CATCH();
		{
			MemoryContextSwitchTo(caller);
			outcome = geterrcode() == ERRCODE_DATA_CORRUPTED ? REPORTED : WRONG;
			FlushErrorState();
		}
		PG_END_TRY();
		keyindex_close(index);
	}
	pfree(keys);
	pfree(positions);
	return outcome;
}

/* A file of the folder, by turns. */
static char *
any_file(off_t *size)
{
	DIR		   *d = opendir(dir);
	struct dirent *entry;
	char	   *chosen = NULL;
	int			n = 0;
	struct stat st;

	while ((entry = readdir(d)) != NULL)
	{
		if (entry->d_name[0] == '.' || tap_random(&rng) % ++n != 0)
			continue;
		if (chosen)
			pfree(chosen);
		chosen = psprintf("%s/%s", dir, entry->d_name);
	}
	closedir(d);
	stat(chosen, &st);
	*size = st.st_size;
	return chosen;
}

typedef enum Damage
{
	FLIP,
	ZERO_PAGE,
	CUT,
	REMOVE,
	GROW
} Damage;

static void
do_damage(Damage damage)
{
	static const char zeros[4096];
	off_t		size;
	char	   *path = any_file(&size);
	off_t		at = (off_t) (tap_random(&rng) % (uint64) size);
	int			fd = open(path, O_RDWR);
	char		byte = 0;
	ssize_t		n = 1;

	switch (damage)
	{
		case FLIP:
			n = pread(fd, &byte, 1, at);
			byte ^= 1 << (tap_random(&rng) % 8);
			n = Min(n, pwrite(fd, &byte, 1, at));
			break;
		case ZERO_PAGE:
			at = at / 4096 * 4096;
			n = pwrite(fd, zeros, Min(sizeof(zeros), (size_t) (size - at)), at);
			break;
		case CUT:
			n = ftruncate(fd, at) == 0;
			break;
		case REMOVE:
			n = unlink(path) == 0;
			break;
		case GROW:
			n = pwrite(fd, zeros, 100, size);
			break;
	}
	if (n < 1)
		abort();
	close(fd);
	pfree(path);
}

int
main(void)
{
	static const char *const names[] = {"a bit flipped", "a page of zeros", "cut short", "removed", "grown"};
	char		template[] = "/tmp/tarn-keyindex-XXXXXX";
	char	   *command;

	dir = mkdtemp(template);
	build();
	is_int(look(), RIGHT, "undamaged: all keys where they are");
	for (int damage = FLIP; damage <= GROW; damage++)
	{
		int			counts[WRONG + 1] = {0};

		for (int i = 0; i < (damage == FLIP ? 400 : 60); i++)
		{
			Outcome		outcome;

			build();
			do_damage(damage);
			outcome = look();
			/* what was reported once must not be found again */
			if (outcome == REPORTED && look() != NOT_OPENED)
				outcome = WRONG;
			counts[outcome]++;
		}
		ok(counts[WRONG] == 0 && counts[NOT_OPENED] > 0,
		   "%s: %d not opened, %d reported, %d unharmed", names[damage],
		   counts[NOT_OPENED], counts[REPORTED], counts[RIGHT]);
	}
	command = psprintf("rm -rf %s", dir);
	ok(system(command) == 0, "scratch is removed");
	pfree(command);
	return done();
}
