/*-------------------------------------------------------------------------
 *
 * rebuild_mark.c
 *	  What a rebuild that was killed has left behind.
 *
 * A rebuild runs in one transaction of its caller, so what it is about to do
 * cannot be on record in the registry before it does it.  A small file beside
 * its key index says so instead: where in the lake the files go, and by which
 * token they are named.  It is there before the first of them.
 *
 * Nobody can tell from inside whether the transaction will commit.  So the
 * file stays after a rebuild that succeeded, too, and whoever finds it later
 * sees: what the catalog's state of the lake table references is kept.  Who
 * may look is told by the lock that a rebuild of the table holds until its
 * transaction has ended.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "catalog/pg_class.h"
#include "common/file_perm.h"
#include "common/file_utils.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/lmgr.h"

#include "base/json.h"
#include "pipeline/fence.h"
#include "pipeline/rebuild.h"
#include "pipeline/tables.h"

#define MARK_SUFFIX ".rebuild"
#define MARK_MAX_SIZE 65536

typedef struct Mark
{
	char	   *lake;
	char	   *namespace;
	char	   *name;
	char	   *location;
	char	   *token;
} Mark;

static char *
marks_folder(Oid database)
{
	return psprintf("%s/pg_tarn/%u/%d", DataDir, database, REBUILD_PIPELINE_ID);
}

static char *
mark_path(Oid database, Oid relid)
{
	return psprintf("%s/%u%s", marks_folder(database), relid, MARK_SUFFIX);
}

bool
rebuild_lock(Oid relid, bool wait)
{
	if (!wait)
		return ConditionalLockDatabaseObject(RelationRelationId, relid, 1, ShareUpdateExclusiveLock);
	LockDatabaseObject(RelationRelationId, relid, 1, ShareUpdateExclusiveLock);
	return true;
}

void
rebuild_mark(const Pipeline *p, const PipelineTable *t, const char *location)
{
	char	   *path = mark_path(p->database, t->relid);
	char	   *unfinished = psprintf("%s.tmp", path);
	StringInfoData buf;
	JsonWriter	w;
	FILE	   *file;

	initStringInfo(&buf);
	json_writer_init(&w, &buf);
	json_open(&w, NULL, '{');
	json_string(&w, "lake", p->lake_name);
	json_string(&w, "namespace", t->namespace);
	json_string(&w, "name", t->name);
	json_string(&w, "location", location);
	json_string(&w, "token", p->flush_token);
	json_close(&w, '}');
	if (pg_mkdir_p(marks_folder(p->database), pg_dir_create_mode) != 0 && errno != EEXIST)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m", marks_folder(p->database))));
	file = AllocateFile(unfinished, PG_BINARY_W);
	if (file == NULL || fwrite(buf.data, 1, buf.len, file) != (size_t) buf.len || FreeFile(file) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", unfinished)));
	(void) durable_rename(unfinished, path, ERROR);
}

/* What a file is that we did not write so: false, and the rest is not set. */
static bool
parse_mark(const char *path, const char *data, size_t size, Mark *mark)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool readable = false;

	PG_TRY();
	{
		const JsonNode *node = json_read(data, size, path);

		mark->lake = json_get_string(node, "lake", path);
		mark->namespace = json_get_string(node, "namespace", path);
		mark->name = json_get_string(node, "name", path);
		mark->location = json_get_string(node, "location", path);
		mark->token = json_get_string(node, "token", path);
		readable = mark->token[0] != '\0';
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (geterrcode() != ERRCODE_DATA_CORRUPTED)
			PG_RE_THROW();
		FlushErrorState();
	}
	PG_END_TRY();
	return readable;
}

/* What a file says; false when there is none, or none that can be read: then it is taken away. */
static bool
read_mark(const char *path, Mark *mark)
{
	FILE	   *file = AllocateFile(path, PG_BINARY_R);
	char	   *data;
	size_t		size;

	if (file == NULL && errno == ENOENT)
		return false;
	data = palloc(MARK_MAX_SIZE);
	size = file ? fread(data, 1, MARK_MAX_SIZE, file) : 0;
	if (file == NULL || ferror(file))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path)));
	FreeFile(file);
	if (parse_mark(path, data, size, mark))
		return true;
	ereport(LOG,
			(errmsg("file \"%s\" cannot be read and is removed", path),
			 errdetail("Files of a rebuild that was killed may stay in the lake.")));
	(void) unlink(path);
	return false;
}

/* Files that no state of the catalog references; those of a location that is another table's by now are not ours. */
static void
remove_files(Lake *lake, const Mark *mark)
{
	LakeTable  *t = lake_table_load(lake, mark->namespace, mark->name, true);

	if (t && strcmp(t->metadata->location, mark->location) == 0)
		(void) lake_table_remove_token(lake, mark->location, mark->token, t);
	else if (!lake_location_used(lake, mark->location))
		(void) lake_table_remove_token(lake, mark->location, mark->token, NULL);
	if (t)
		lake_table_free(t);
}

void
rebuild_remove_index(Oid database, Oid relid)
{
	char	   *folder = psprintf("%s/%u", marks_folder(database), relid);
	struct stat st;

	if (stat(folder, &st) == 0)
		(void) rmtree(folder, true);
}

void
rebuild_clean(const Pipeline *p, Oid relid)
{
	char	   *path = mark_path(p->database, relid);
	Mark		mark;

	if (!read_mark(path, &mark) || strcmp(mark.lake, p->lake_name) != 0)
		return;
	rebuild_remove_index(p->database, relid);
	remove_files(p->lake, &mark);
	if (unlink(path) != 0 && errno != ENOENT)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", path)));
}

void
rebuild_clean_all(Pipeline *p)
{
	char	   *folder = marks_folder(p->database);
	DIR		   *dir = AllocateDir(folder);
	struct dirent *entry;
	List	   *relids = NIL;
	ListCell   *lc;

	if (dir == NULL)
		return;					/* as good as always */
	while ((entry = ReadDir(dir, folder)) != NULL)
	{
		char	   *end;
		Oid			relid = (Oid) strtoul(entry->d_name, &end, 10);

		if (strcmp(end, MARK_SUFFIX) == 0)
			relids = lappend_oid(relids, relid);
	}
	FreeDir(dir);
	foreach(lc, relids)
	{
		if (!rebuild_lock(lfirst_oid(lc), false))
			continue;			/* it runs, or has just begun */
		fence_require(p);
		rebuild_clean(p, lfirst_oid(lc));
	}
}
