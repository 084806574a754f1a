/*-------------------------------------------------------------------------
 *
 * test_keyindex_model.c
 *	  The key index against a model, under a random mix of changes, merges,
 *	  rollbacks and crashes.
 *
 * The model is a list of rows in order of adding; a delete takes the first
 * live row with the key.  A crash closes the index and opens it at the token
 * the lake would have: the old one, or after a prepare also the new one.
 * KEYINDEX_SEED and KEYINDEX_STEPS choose another run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "pipeline/keyindex.h"
#include "tap.h"

#define MAX_ROWS 60000
#define MAX_FILES 4000
#define NKEYS 3000
#define NONE (-1)

typedef struct ModelRow
{
	int			next;			/* of the same key */
	uint32		key;
	uint32		file;
	uint32		row;
	bool		live;
	bool		killed;			/* since the last settle */
} ModelRow;

typedef struct ModelFile
{
	uint32		nrows;
	int			first;			/* model row of row 0; NONE: gone */
} ModelFile;

typedef struct Model
{
	int			nrows;
	ModelRow	rows[MAX_ROWS];
	int			head[NKEYS];
	int			tail[NKEYS];
	uint32		nfiles;
	ModelFile	files[MAX_FILES];
} Model;

static Model *settled;
static Model *now;
static KeyIndex *index_;
static const char *dir;
static bool wide;
static int	token;				/* of the settled state */
static uint64 rng;
static int	failures;

static uint32
pick(uint32 n)
{
	return (uint32) (tap_random(&rng) % n);
}

/* Fails at the step without a line of output for each that is right. */
#define CHECK(condition, ...) \
	do { \
		if (!(condition)) \
		{ \
			failures++; \
			tap_note(__VA_ARGS__); \
		} \
	} while (0)

static KeyHash
key_of(uint32 key)
{
	KeyHash		k = {0};

	/* collisions of the first 64 bits are what the check bits are for */
	if (wide)
	{
		k.hash = (uint64) (key / 3) * UINT64CONST(0x9e3779b97f4a7c15);
		k.check = key;
	}
	else
		k.hash = (uint64) key * UINT64CONST(0x9e3779b97f4a7c15);
	return k;
}

static const char *
path_of(uint32 file)
{
	static char path[32];

	snprintf(path, sizeof(path), "data/%04u.parquet", file * 7919 % 10000);
	return path;
}

static const char *
token_of(int n)
{
	static char name[2][32];
	static int	turn;

	turn = !turn;
	snprintf(name[turn], sizeof(name[turn]), "state-%d", n);
	return name[turn];
}

static void
model_clear(Model *m)
{
	m->nrows = 0;
	for (int i = 0; i < NKEYS; i++)
		m->head[i] = m->tail[i] = NONE;
	for (uint32 i = 0; i < m->nfiles; i++)
		m->files[i].first = NONE;
}

static void
do_add(void)
{
	static const uint32 sizes[] = {1, 2, 17, 100, 700, 2500};
	uint32		n = pick(sizes[pick(lengthof(sizes))] + 1);
	KeyHash    *keys = palloc_array(KeyHash, n + 1);
	uint32		file;
	uint32		half = pick(n + 1);

	if (now->nrows + n > MAX_ROWS || now->nfiles == MAX_FILES)
		return;
	file = keyindex_add_file(index_, path_of(now->nfiles), n);
	CHECK(file == now->nfiles, "file number %u, expected %u", file, now->nfiles);
	now->files[now->nfiles].nrows = n;
	now->files[now->nfiles++].first = now->nrows;
	for (uint32 i = 0; i < n; i++)
	{
		ModelRow   *r = &now->rows[now->nrows];

		r->key = pick(pick(4) == 0 ? 20 : NKEYS);
		r->file = file;
		r->row = i;
		r->live = true;
		r->killed = false;
		r->next = NONE;
		if (now->head[r->key] == NONE)
			now->head[r->key] = now->nrows;
		else
			now->rows[now->tail[r->key]].next = now->nrows;
		now->tail[r->key] = now->nrows++;
		keys[i] = key_of(r->key);
	}
	keyindex_add(index_, file, 0, keys, half);
	keyindex_add(index_, file, half, keys + half, n - half);
	pfree(keys);
}

static int
model_delete(uint32 key)
{
	for (int r = now->head[key]; r != NONE; r = now->rows[r].next)
	{
		if (now->rows[r].live)
		{
			now->rows[r].live = false;
			now->rows[r].killed = true;
			return r;
		}
	}
	return NONE;
}

static void
delete_keys(const uint32 *wanted, uint32 n)
{
	KeyHash    *keys = palloc_array(KeyHash, n + 1);
	KeyPosition *positions = palloc_array(KeyPosition, n + 1);

	for (uint32 i = 0; i < n; i++)
		keys[i] = key_of(wanted[i]);
	keyindex_delete(index_, keys, n, positions);
	for (uint32 i = 0; i < n; i++)
	{
		int			r = model_delete(wanted[i]);

		if (r == NONE)
			CHECK(positions[i].file == KEY_NOT_FOUND, "key %u found at %u:%u, expected none",
				  wanted[i], positions[i].file, positions[i].row);
		else
			CHECK(positions[i].file == now->rows[r].file && positions[i].row == now->rows[r].row,
				  "key %u found at %u:%u, expected %u:%u", wanted[i], positions[i].file,
				  positions[i].row, now->rows[r].file, now->rows[r].row);
	}
	pfree(keys);
	pfree(positions);
}

static void
do_delete(void)
{
	static const uint32 sizes[] = {1, 10, 100, 1500};
	uint32		n = pick(sizes[pick(lengthof(sizes))] + 1);
	uint32	   *wanted = palloc_array(uint32, n + 1);

	for (uint32 i = 0; i < n; i++)
		wanted[i] = pick(pick(3) == 0 ? 20 : NKEYS);
	delete_keys(wanted, n);
	pfree(wanted);
}

static void
do_kill(void)
{
	for (uint32 i = pick(30); i > 0 && now->nrows > 0; i--)
	{
		ModelRow   *r = &now->rows[pick(now->nrows)];

		/* a file without live rows is forgotten at a settle */
		if (!r->live)
			continue;
		keyindex_kill(index_, r->file, r->row);
		r->live = false;
		r->killed = true;
	}
}

typedef struct KilledCheck
{
	uint64		n;
	char		last_path[64];
	uint64		last_position;
} KilledCheck;

static void
check_killed(const char *path, const uint64 *positions, uint64 n, void *arg)
{
	KilledCheck *check = arg;

	int			order = strcmp(check->last_path, path);

	/* the rows of a file may come in several calls */
	CHECK(order < 0 || (order == 0 && positions[0] > check->last_position), "paths out of order");
	strlcpy(check->last_path, path, sizeof(check->last_path));
	check->last_position = positions[n - 1];
	for (uint32 f = 0; f < now->nfiles; f++)
	{
		if (now->files[f].first == NONE || strcmp(path_of(f), path) != 0)
			continue;
		for (uint64 i = 0; i < n; i++)
		{
			CHECK(i == 0 || positions[i] > positions[i - 1], "positions out of order");
			CHECK(now->rows[now->files[f].first + positions[i]].killed, "row %s:%d was not killed",
				  path, (int) positions[i]);
		}
		check->n += n;
	}
}

static void
do_check(void)
{
	KilledCheck check = {0};
	KeyIndexStats stats;
	uint64		live = 0;
	uint64		killed = 0;

	for (int i = 0; i < now->nrows; i++)
	{
		live += now->rows[i].live;
		killed += now->rows[i].killed;
	}
	keyindex_stats(index_, &stats);
	CHECK(stats.live_rows == live, "%d live rows, expected %d", (int) stats.live_rows, (int) live);
	CHECK(keyindex_killed(index_, check_killed, &check) == killed, "wrong number of killed rows");
	CHECK(check.n == killed, "%d killed rows listed, expected %d", (int) check.n, (int) killed);
	if (now->nrows > 0)
	{
		ModelRow   *r = &now->rows[pick(now->nrows)];

		if (r->live)
			CHECK(strcmp(keyindex_file_path(index_, r->file), path_of(r->file)) == 0, "wrong path");
	}
}

static void
model_settle(void)
{
	for (int i = 0; i < now->nrows; i++)
		now->rows[i].killed = false;
	memcpy(settled, now, sizeof(Model));
}

static void
reopen(int at)
{
	keyindex_close(index_);
	index_ = keyindex_open(dir, token_of(at), wide);
	CHECK(index_ != NULL, "the index does not open at its state %d", at);
	if (index_ == NULL)
		exit(done());
	token = at;
}

static void
do_boundary(void)
{
	int			what = pick(8);

	if (token == 0 || what >= 5)
	{
		keyindex_prepare(index_, token_of(token + 1));
		CHECK(!keyindex_merge(index_), "merged between prepare and settle");
		keyindex_settle(index_);
		token++;
		model_settle();
		return;
	}
	switch (what)
	{
		case 0:
			keyindex_rollback(index_);
			memcpy(now, settled, sizeof(Model));
			break;
		case 1:
			keyindex_prepare(index_, token_of(token + 1));
			keyindex_rollback(index_);
			memcpy(now, settled, sizeof(Model));
			break;
		case 2:
			reopen(token);
			memcpy(now, settled, sizeof(Model));
			break;
		case 3:
			keyindex_prepare(index_, token_of(token + 1));
			reopen(token);
			memcpy(now, settled, sizeof(Model));
			break;
		case 4:
			keyindex_prepare(index_, token_of(token + 1));
			reopen(token + 1);
			model_settle();
			break;
	}
}

static void
do_merge(void)
{
	for (uint32 i = pick(6); i > 0; i--)
	{
		if (!keyindex_merge(index_))
			break;
	}
}

static void
step(void)
{
	uint32		what = pick(100);

	if (what < 30)
		do_add();
	else if (what < 55)
		do_delete();
	else if (what < 60)
		do_kill();
	else if (what < 61)
	{
		keyindex_truncate(index_);
		model_clear(now);
	}
	else if (what < 80)
		do_boundary();
	else
		do_merge();
	do_check();
	if (now->nrows > MAX_ROWS - 3000)
	{
		keyindex_truncate(index_);
		model_clear(now);
	}
}

/* At last every row is deleted, and each is where it should be. */
static void
drain(void)
{
	uint32	   *all = palloc_array(uint32, now->nrows + NKEYS);
	uint32		n = 0;

	for (int i = 0; i < now->nrows; i++)
	{
		if (now->rows[i].live)
			all[n++] = now->rows[i].key;
	}
	for (uint32 k = 0; k < NKEYS; k++)
		all[n++] = k;
	delete_keys(all, n);
	do_check();
}

static void
run(uint64 seed, bool wide_keys, int steps)
{
	KeyIndexStats stats;

	rng = seed;
	wide = wide_keys;
	token = 0;
	failures = 0;
	memset(now, 0, sizeof(Model));
	model_clear(now);
	memcpy(settled, now, sizeof(Model));
	index_ = keyindex_create(dir, wide);
	for (int i = 0; i < steps && failures == 0 && now->nfiles < MAX_FILES; i++)
		step();
	keyindex_stats(index_, &stats);
	if (failures == 0)
		drain();
	ok(failures == 0, "%s keys, seed " UINT64_FORMAT ": as the model (%d states, %u segments)",
	   wide ? "wide" : "narrow", seed, token, stats.segments);
	keyindex_close(index_);
}

int
main(void)
{
	char		template[] = "/tmp/tarn-keyindex-XXXXXX";
	const char *seed = getenv("KEYINDEX_SEED");
	const char *steps = getenv("KEYINDEX_STEPS");
	char	   *command;

	dir = mkdtemp(template);
	now = malloc(sizeof(Model));
	settled = malloc(sizeof(Model));
	for (uint64 i = 0; i < 3; i++)
	{
		uint64		s = (seed ? strtoull(seed, NULL, 10) : 1) + i;

		run(s, false, steps ? atoi(steps) : 1500);
		run(s, true, steps ? atoi(steps) : 1500);
	}
	free(now);
	free(settled);
	command = psprintf("rm -rf %s", dir);
	ok(system(command) == 0, "scratch is removed");
	pfree(command);
	return done();
}
