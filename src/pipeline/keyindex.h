/*-------------------------------------------------------------------------
 *
 * keyindex.h
 *	  From the hash of a key to the position (file, row) of its live rows in
 *	  the lake: what turns updates and deletes into position deletes.
 *
 * A cache on local disk, one folder a table, never the truth: when it is
 * missing, damaged, or of another lake state than asked for, keyindex_open
 * says so and the caller rebuilds it from the lake's key columns.
 *
 * Layout: immutable segments sorted by hash, merged like an LSM tree, mapped
 * into memory; a dictionary of data files; liveness bitmaps per file.
 * Duplicates of a hash are kept (REPLICA IDENTITY FULL); a delete takes
 * exactly one live row, the oldest.
 *
 * Two-phase change.  Changes (add, delete, truncate) collect in memory and in
 * new segment files; keyindex_prepare(new_token) makes a manifest for
 * the new state beside the old one; after the lake's commit
 * keyindex_settle() drops the old.  After a crash keyindex_open(token of the
 * lake's last commit) picks whichever matches.  keyindex_rollback() forgets
 * what was collected since the last settle.
 *
 * Nothing is fsynced: pages and manifests carry checksums, and a torn one
 * means a rebuild.
 *
 * Memory: liveness bitmaps (a bit a row of files that lost some, two before
 * the settle), and up to half a million added keys; in the context given at
 * open, as keyindex_memory() tells.  Segments are mapped: their pages are the
 * system's to take.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_KEYINDEX_H
#define TARN_PIPELINE_KEYINDEX_H

#include "postgres.h"

/* Hash of a key: for keys of up to 64 bits `check` is 0 and hash is a permutation of the key. */
typedef struct KeyHash
{
	uint64		hash;
	uint32		check;
} KeyHash;

typedef struct KeyPosition
{
	uint32		file;			/* keyindex_file_path() */
	uint32		row;			/* position in the file */
} KeyPosition;

#define KEY_NOT_FOUND PG_UINT32_MAX

typedef struct KeyIndex KeyIndex;

/*
 * Opens the index in folder `dir` at the state `token`; NULL when there is
 * none at that state or it is damaged (the folder is then emptied).
 * `wide`: keys need the check bits.
 */
extern KeyIndex *keyindex_open(const char *dir, const char *token, bool wide);

/* A new, empty one (removes what is in the folder). */
extern KeyIndex *keyindex_create(const char *dir, bool wide);
extern void keyindex_close(KeyIndex *index);

/* What the hashes of wide keys are seeded with: random, kept as long as the index (keyhash.h). */
extern uint64 keyindex_seed(const KeyIndex *index);

/* Registers a data file; rows are 0..nrows-1, all live. */
extern uint32 keyindex_add_file(KeyIndex *index, const char *path, uint32 nrows);

/* The file, added since the last settle, has so many more, all live. */
extern void keyindex_grow_file(KeyIndex *index, uint32 file, uint32 more);
extern const char *keyindex_file_path(KeyIndex *index, uint32 file);

/* Number of a data file by its path, which must be there; slow. */
extern uint32 keyindex_find_file(KeyIndex *index, const char *path);

/* Keys of rows first_row.. of a file, in any order of hash. Sorted and written to a segment here. */
extern void keyindex_add(KeyIndex *index, uint32 file, uint32 first_row, const KeyHash *keys, uint32 n);

/* Keys in memory become a segment now: keyindex_prepare would do it, when others may wait for it. */
extern void keyindex_seal(KeyIndex *index);

/*
 * For each key takes its oldest live row and marks it dead; positions[i].file
 * is KEY_NOT_FOUND when there is none.  Keys may repeat.  Rows marked since
 * the last settle can be listed by keyindex_killed().
 */
extern void keyindex_delete(KeyIndex *index, const KeyHash *keys, uint32 n, KeyPosition *positions);

/* Marks a row dead by position (rebuild: rows the lake has deleted). */
extern void keyindex_kill(KeyIndex *index, uint32 file, uint32 row);

/* Everything gone: TRUNCATE. */
extern void keyindex_truncate(KeyIndex *index);

/*
 * Rows marked dead since the last settle, file by file in ascending order of
 * path, positions ascending: what the position delete file holds.  Those of
 * a file may come in several calls.
 */
typedef void (*keyindex_killed_cb) (const char *path, const uint64 *positions, uint64 n, void *arg);
extern uint64 keyindex_killed(KeyIndex *index, keyindex_killed_cb cb, void *arg);

extern void keyindex_prepare(KeyIndex *index, const char *new_token);
extern void keyindex_settle(KeyIndex *index);
extern void keyindex_rollback(KeyIndex *index);

/* A slice of merge work (a few ms); true when more is waiting. Called by the worker when idle, and after flushes. */
extern bool keyindex_merge(KeyIndex *index);

extern size_t keyindex_memory(KeyIndex *index);

typedef struct KeyIndexStats
{
	uint64		live_rows;
	uint64		entries;		/* dead ones included */
	uint32		segments;
	uint32		files;
	uint64		disk_bytes;
} KeyIndexStats;
extern void keyindex_stats(KeyIndex *index, KeyIndexStats *stats);

#endif							/* TARN_PIPELINE_KEYINDEX_H */
