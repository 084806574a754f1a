/*-------------------------------------------------------------------------
 *
 * keyindex.c
 *	  What the key index costs: see bench/keyindex, which builds and runs it.
 *
 *		keyindex_bench FOLDER NKEYS RUNS
 *
 * Loads NKEYS keys in files of a million rows, then measures, always for
 * random live keys and always checking each position: look-ups in batches of
 * 1,000 and 100,000, hot and with the page cache dropped; resident memory;
 * flushes of 10,000 inserts and 10,000 deletes, hot and cold, with all the
 * merging they cause.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "pipeline/keyindex.h"

#define FILE_ROWS 1000000

static uint64 random_state = 42;
static int	tokens;
static size_t memory_peak;

static uint64
next_random(void)
{
	random_state += UINT64CONST(0x9e3779b97f4a7c15);
	return hash_mix64(random_state);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return x < y ? -1 : x > y;
}

static double
median(double *values, int n)
{
	qsort(values, n, sizeof(double), compare_doubles);
	return values[n / 2];
}

/* Key number i is row i % FILE_ROWS of file i / FILE_ROWS; its value i is hashed as bigint keys are. */
static KeyHash
key_of(uint64 i)
{
	KeyHash		key = {.hash = hash_mix64(i)};

	return key;
}

static void
add_rows(KeyIndex *index, uint64 first, uint32 n)
{
	KeyHash    *keys = palloc(n * sizeof(KeyHash));
	char		path[64];
	uint32		file;

	snprintf(path, sizeof(path), "data/part-%012llu.parquet", (unsigned long long) first);
	file = keyindex_add_file(index, path, n);
	for (uint32 i = 0; i < n; i++)
		keys[i] = key_of(first + i);
	keyindex_add(index, file, 0, keys, n);
	pfree(keys);
}

/*
 * Closes the index, has its files leave the page cache, and opens it again:
 * pages that are mapped do not leave.
 */
static KeyIndex *
make_cold(KeyIndex *index, const char *dir)
{
	DIR		   *d = opendir(dir);
	struct dirent *entry;
	char		token[32];

	keyindex_close(index);
	while (d && (entry = readdir(d)) != NULL)
	{
		int			fd = openat(dirfd(d), entry->d_name, O_RDONLY);

		if (fd < 0 || entry->d_name[0] == '.')
			continue;
		fdatasync(fd);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		close(fd);
	}
	if (d)
		closedir(d);
	snprintf(token, sizeof(token), "t%d", tokens);
	index = keyindex_open(dir, token, false);
	if (index == NULL)
	{
		printf("FAILED: the index does not open again\n");
		exit(1);
	}
	return index;
}

/* Nanoseconds a key of looking up random live keys; the rows live again afterwards. */
static double
look_up(KeyIndex *index, uint64 nkeys, uint32 batch, int batches)
{
	KeyHash    *keys = palloc(batch * sizeof(KeyHash));
	uint64	   *wanted = palloc(batch * sizeof(uint64));
	KeyPosition *positions = palloc(batch * sizeof(KeyPosition));
	double		total = 0;
	uint64		wrong = 0;
	uint64		stride = nkeys / batch;

	for (int b = 0; b < batches; b++)
	{
		double		start;

		/* different keys in random order: one of each stride, taken in a scattered order */
		for (uint32 i = 0; i < batch; i++)
			wanted[i] = (uint64) i * stride + next_random() % stride;
		for (uint32 i = batch - 1; i > 0; i--)
		{
			uint32		j = next_random() % (i + 1);
			uint64		swap = wanted[i];

			wanted[i] = wanted[j];
			wanted[j] = swap;
		}
		for (uint32 i = 0; i < batch; i++)
			keys[i] = key_of(wanted[i]);
		start = now();
		keyindex_delete(index, keys, batch, positions);
		total += now() - start;
		for (uint32 i = 0; i < batch; i++)
			wrong += positions[i].file != wanted[i] / FILE_ROWS || positions[i].row != wanted[i] % FILE_ROWS;
		keyindex_rollback(index);
	}
	if (wrong > 0)
	{
		printf("FAILED: %llu keys found in the wrong place\n", (unsigned long long) wrong);
		exit(1);
	}
	pfree(keys);
	pfree(wanted);
	pfree(positions);
	return total * 1e9 / ((double) batch * batches);
}

static void
settle(KeyIndex *index)
{
	char		token[32];

	snprintf(token, sizeof(token), "t%d", ++tokens);
	keyindex_prepare(index, token);
	keyindex_settle(index);
}

/* Seconds of a flush of 10,000 inserts and 10,000 deletes; merges are timed apart. */
static double
flush(KeyIndex *index, uint64 nkeys, uint64 *first_new, double *merging, double *worst)
{
	KeyHash    *keys = palloc(10000 * sizeof(KeyHash));
	KeyPosition *positions = palloc(10000 * sizeof(KeyPosition));
	double		start;
	double		took;
	bool		more;

	for (int i = 0; i < 10000; i++)
		keys[i] = key_of(next_random() % nkeys);
	start = now();
	keyindex_delete(index, keys, 10000, positions);
	add_rows(index, *first_new, 10000);
	settle(index);
	took = now() - start;
	*first_new += 10000;
	do
	{
		start = now();
		more = keyindex_merge(index);
		*merging += now() - start;
		*worst = Max(*worst, now() - start);
		memory_peak = Max(memory_peak, keyindex_memory(index));
	} while (more);
	pfree(keys);
	pfree(positions);
	return took;
}

static KeyIndex *
report_flushes(KeyIndex *index, const char *dir, uint64 nkeys, int runs)
{
	double	   *hot = palloc(100 * sizeof(double));
	double	   *cold = palloc(runs * sizeof(double));
	uint64		first_new = nkeys + FILE_ROWS - nkeys % FILE_ROWS;
	double		merging = 0;
	double		worst = 0;
	KeyIndexStats stats;

	for (int i = 0; i < 100; i++)
		hot[i] = flush(index, nkeys, &first_new, &merging, &worst);
	keyindex_stats(index, &stats);
	printf("flush_hot_s %.5f\nmerge_s_per_flush %.5f\nmerge_slice_worst_s %.4f\nsegments %u\n",
		   median(hot, 100), merging / 100, worst, stats.segments);
	for (int i = 0; i < runs; i++)
	{
		index = make_cold(index, dir);
		cold[i] = flush(index, nkeys, &first_new, &merging, &worst);
	}
	printf("flush_cold_s %.4f\n", median(cold, runs));
	return index;
}

int
main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : "";
	uint64		nkeys = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	int			runs = argc > 3 ? atoi(argv[3]) : 3;
	static const uint32 batches[] = {1000, 100000};
	KeyIndex   *index;
	KeyIndexStats stats;
	double	   *values;
	double		start = now();

	if (nkeys < 200000 || runs < 1)
	{
		fprintf(stderr, "usage: keyindex_bench FOLDER NKEYS RUNS\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	values = palloc(runs * sizeof(double));
	index = keyindex_create(dir, false);
	for (uint64 i = 0; i < nkeys; i += FILE_ROWS)
		add_rows(index, i, (uint32) Min(FILE_ROWS, nkeys - i));
	settle(index);
	while (keyindex_merge(index))
		;
	printf("load_s %.2f\n", now() - start);
	keyindex_stats(index, &stats);
	printf("segments_loaded %u\nbytes_per_key %.2f\n", stats.segments, (double) stats.disk_bytes / nkeys);

	/* hot: every page was used before, which maps and checks it */
	(void) look_up(index, nkeys, 100000, 20);
	for (int b = 0; b < lengthof(batches); b++)
	{
		for (int i = 0; i < runs; i++)
			values[i] = look_up(index, nkeys, batches[b], batches[b] == 1000 ? 200 : 5);
		printf("hot_%u_ns %.1f\n", batches[b], median(values, runs));
	}
	printf("memory_mb %.1f\n", keyindex_memory(index) / 1048576.0);
	for (int b = 0; b < lengthof(batches); b++)
	{
		for (int i = 0; i < runs; i++)
		{
			index = make_cold(index, dir);
			values[i] = look_up(index, nkeys, batches[b], 1);
		}
		printf("cold_%u_us %.1f\n", batches[b], median(values, runs) / 1000);
	}
	index = report_flushes(index, dir, nkeys, runs);
	printf("memory_peak_mb %.1f\n", Max(memory_peak, keyindex_memory(index)) / 1048576.0);
	keyindex_close(index);
	return 0;
}
