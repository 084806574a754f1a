/*-------------------------------------------------------------------------
 *
 * fence.c
 *	  One writer a pipeline (invariant I7): the marker in the lake.
 *
 * The data directory is known by the inode of its file PG_VERSION: a copy of
 * the directory has another one.  Host names and paths were no use: they
 * change when a container is started again.  A copy of the whole disk has
 * the same inode, and is told from the original by the position: once the
 * original has moved on, its marker is ahead of the copy's row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

#include "base/failpoint.h"
#include "base/json.h"
#include "pipeline/fence.h"
#include "pipeline/flush.h"
#include "pipeline/history.h"
#include "pipeline/registry.h"

#define ADVANCE_MS 60000
#define MARKER_MAX (64 * 1024)

typedef struct Marker
{
	uint64		number;			/* 0: there is none */
	char	   *path;
	char	   *pipeline;
	uint64		system_identifier;
	int64		timeline;
	int64		instance;
	char	   *token;
	char	   *previous;		/* token of the marker before, "" none */
	XLogRecPtr	lsn;
} Marker;

/* Ours, while the worker runs: one pipeline a process. */
static uint64 held = 0;
static TimestampTz last_advance = 0;

static char *
marker_folder(const Lake *lake)
{
	return psprintf("%s/_tarn/", lake->warehouse);
}

/* What the names of a pipeline's markers begin with. */
static char *
marker_prefix(const Lake *lake, const char *slot)
{
	return psprintf("%s%s.", marker_folder(lake), slot);
}

static char *
marker_path(const Pipeline *p, uint64 number)
{
	return psprintf("%s" UINT64_FORMAT ".json", marker_prefix(p->lake, p->slot), number);
}

int64
fence_instance(void)
{
	struct stat st;

	if (stat("PG_VERSION", &st) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", "PG_VERSION")));
	return (int64) st.st_ino;
}

/*
 * Reads a marker.  False when it is not there any more, or was never written to its end: then the one before
 * it holds.
 */
static bool
read_marker(Store *store, const char *path, Marker *m)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool found = false;

	PG_TRY();
	{
		size_t		size;
		char	   *data = store_get(store, path, MARKER_MAX, &size);
		JsonNode   *json = json_read(data, size, path);

		m->path = pstrdup(path);
		m->pipeline = json_get_string(json, "pipeline", path);
		m->system_identifier = strtou64(json_get_string(json, "system-identifier", path), NULL, 10);
		m->timeline = json_get_int64(json, "timeline", path);
		m->instance = json_get_int64(json, "data-directory", path);
		m->token = json_get_string(json, "token", path);
		m->previous = json_get_string(json, "previous", path);
		m->lsn = (XLogRecPtr) json_get_int64(json, "position", path);
		found = true;
	}
	PG_CATCH();
	{
		int			code = geterrcode();

		if (code != ERRCODE_UNDEFINED_FILE && code != ERRCODE_DATA_CORRUPTED)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return found;
}

typedef struct MarkerList
{
	const char *prefix;			/* up to the number */
	List	   *paths;			/* of char * */
} MarkerList;

static bool
add_marker(const char *name, uint64 size, void *arg)
{
	MarkerList *list = arg;

	list->paths = lappend(list->paths, pstrdup(name));
	return true;
}

/* "<prefix><number>.json"; 0 for anything else. */
static uint64
marker_number(const char *path, const char *prefix)
{
	size_t		length = strlen(prefix);
	char	   *end;
	uint64		number;

	if (strncmp(path, prefix, length) != 0)
		return 0;
	number = strtou64(path + length, &end, 10);
	return strcmp(end, ".json") == 0 ? number : 0;
}

/* The newest whole marker of a pipeline; *highest: the highest number there is. */
static Marker
find_marker(Lake *lake, const char *slot, uint64 *highest)
{
	MarkerList	list = {.prefix = marker_prefix(lake, slot)};
	Marker		newest = {0};
	ListCell   *lc;

	*highest = 0;
	store_list(lake->store, list.prefix, add_marker, &list);
	foreach(lc, list.paths)
	{
		uint64		number = marker_number(lfirst(lc), list.prefix);
		Marker		m = {.number = number};

		*highest = Max(*highest, number);
		if (number > newest.number && read_marker(lake->store, lfirst(lc), &m))
			newest = m;
	}
	return newest;
}

/* Writes marker `number`; fails when somebody else has just done so. */
static void
put_marker(Pipeline *p, uint64 number, const char *token, const char *previous)
{
	StringInfoData out;
	JsonWriter	w;

	initStringInfo(&out);
	json_writer_init(&w, &out);
	json_open(&w, NULL, '{');
	json_string(&w, "pipeline", p->name);
	json_string(&w, "system-identifier", psprintf(UINT64_FORMAT, GetSystemIdentifier()));
	json_int64(&w, "timeline", GetWALInsertionTimeLine());
	json_int64(&w, "data-directory", fence_instance());
	json_string(&w, "token", token);
	json_string(&w, "previous", previous);
	json_int64(&w, "position", (int64) p->lsn);
	json_close(&w, '}');
	store_put(p->lake->store, marker_path(p, number), out.data, out.len, STORE_IF_ABSENT);
	FAILPOINT("fence-written");
	held = number;
	last_advance = GetCurrentTimestamp();
}

/* Removes the markers up to `number`. */
static void
remove_markers(Lake *lake, const char *slot, uint64 number)
{
	MarkerList	list = {.prefix = marker_prefix(lake, slot)};
	ListCell   *lc;

	store_list(lake->store, list.prefix, add_marker, &list);
	foreach(lc, list.paths)
	{
		uint64		found = marker_number(lfirst(lc), list.prefix);

		if (found > 0 && found <= number)
			store_remove(lake->store, lfirst(lc));
	}
	FAILPOINT("fence-removed");
}

static bool
set_found(const char *name, uint64 size, void *arg)
{
	*(bool *) arg = true;
	return false;
}

/* Where the "/metadata/" of a table's metadata file begins; a namespace may be called so, too. */
static char *
last_folder(char *location)
{
	char	   *found = NULL;

	for (char *at = location; (at = strstr(at, "/metadata/")) != NULL; at++)
		found = at;
	return found;
}

/*
 * Somebody wants to begin with the warehouse as it is, which may have been
 * emptied: what the catalog names and is not there any more would be in the
 * way of a new copy.  What an unfinished flush has left in the folder goes,
 * too (`ours`: its token is not another's), since nobody will know of it.
 */
static void
forget_lost(Pipeline *p, bool ours)
{
	ListCell   *lc;

	foreach(lc, p->tables)
	{
		const PipelineTable *t = lfirst(lc);
		const char *names[] = {t->name, history_name(t->name)};

		for (int i = 0; i < lengthof(names); i++)
		{
			char	   *location = catalog_load(p->lake->catalog, t->namespace, names[i]);
			char	   *folder = location ? last_folder(location) : NULL;
			bool		found = false;

			if (folder == NULL)
				continue;
			store_list(p->lake->store, location, set_found, &found);
			if (found)
				continue;
			catalog_drop(p->lake->catalog, t->namespace, names[i]);
			if (ours)
				(void) lake_table_remove_token(p->lake, pnstrdup(location, folder - location), p->flush_token, NULL);
		}
	}
}

/* The lake is ours from now on. */
static void
claim(Pipeline *p, const Marker *before, uint64 highest)
{
	char		token[TOKEN_LENGTH + 1];
	uint32		timeline = GetWALInsertionTimeLine();

	registry_new_token(token);
	put_marker(p, highest + 1, token, p->fence);
	pipeline_begin();
	registry_set_fence(p, token, timeline);
	if (p->fence[0] == '\0')
		forget_lost(p, before->number == 0 || before->instance == fence_instance());

	/* files named after the recorded token may be the other's, and in use there: they stay */
	if (before->number > 0 && before->instance != fence_instance())
		registry_change_token(p);
	pipeline_commit();
	strlcpy(p->fence, token, sizeof(p->fence));
	p->timeline = timeline;
	remove_markers(p->lake, p->slot, highest);
}

static char *
take_over_hint(const Pipeline *p)
{
	return psprintf("If no other server writes into lake \"%s\" any more, run SELECT tarn.take_over(%s).",
					p->lake_name, quote_literal_cstr(p->name));
}

static bool
refuse(const Pipeline *p, FenceProblem *problem, char *text)
{
	problem->problem = text;
	problem->hint = take_over_hint(p);
	return false;
}

static bool
refuse_other(const Pipeline *p, FenceProblem *problem, const Marker *m)
{
	return refuse(p, problem,
				  psprintf("lake \"%s\" is written by pipeline \"%s\" of another server (system identifier " UINT64_FORMAT
						   ", timeline " INT64_FORMAT ", position %X/%X)",
						   p->lake_name, m->pipeline, m->system_identifier, m->timeline, LSN_FORMAT_ARGS(m->lsn)));
}

/* A disk that is not mounted may come back: an error, which is tried again, and not the pipeline's end. */
static void
report_missing(const Pipeline *p)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("could not find the marker of pipeline \"%s\" in warehouse \"%s\"", p->name, p->lake->warehouse),
			 errdetail("Perhaps it is another disk or bucket than it was, or was emptied. To begin with it as it is, run SELECT tarn.take_over(%s) and SELECT tarn.resync(%s).",
					   quote_literal_cstr(p->name), quote_literal_cstr(p->name))));
}

bool
fence_enter(Pipeline *p, FenceProblem *problem)
{
	int64		timeline = GetWALInsertionTimeLine();
	uint64		highest;
	Marker		m = find_marker(p->lake, p->slot, &highest);
	bool		ours;

	if (p->fence[0] == '\0')
	{
		claim(p, &m, highest);
		return true;
	}
	if (m.number == 0)
		report_missing(p);

	/* a claim that was not recorded any more has this row's token as the one before */
	ours = m.system_identifier == GetSystemIdentifier() &&
		(strcmp(m.token, p->fence) == 0 || (strcmp(m.previous, p->fence) == 0 && m.instance == fence_instance()));
	if (m.system_identifier == GetSystemIdentifier() && m.timeline < timeline)
	{
		ereport(LOG,
				(errmsg("pipeline \"%s\" takes over lake \"%s\" from timeline " INT64_FORMAT,
						p->name, p->lake_name, m.timeline)));
		claim(p, &m, highest);
		return true;
	}
	if (!ours || m.timeline > timeline)
		return refuse_other(p, problem, &m);
	if (m.instance != fence_instance())
		return refuse(p, problem,
					  psprintf("the data directory is a copy of the one that writes into lake \"%s\"", p->lake_name));
	if (m.lsn > p->lsn)
	{
		problem->problem = psprintf("lake \"%s\" has changes up to %X/%X, but the database knows them up to %X/%X only: it was restored, or is a copy",
									p->lake_name, LSN_FORMAT_ARGS(m.lsn), LSN_FORMAT_ARGS(p->lsn));
		problem->hint = psprintf("If no other server writes into lake \"%s\" any more, run SELECT tarn.rollback_lake(%s): it goes on from where the database is.",
								 p->lake_name, quote_literal_cstr(p->name));
		return false;
	}
	if (strcmp(m.token, p->fence) != 0 || m.number != highest)
		claim(p, &m, highest);
	else
	{
		held = m.number;
		remove_markers(p->lake, p->slot, held - 1);
	}

	/* the first commit moves the marker on, so that what was copied while the server was down is behind it */
	last_advance = 0;
	return true;
}

void
fence_require(Pipeline *p)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tarn fence", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Marker		m = {0};
	uint64		highest;

	if (held == 0 || !read_marker(p->lake->store, marker_path(p, held), &m))
		m = find_marker(p->lake, p->slot, &highest);
	if (m.number == 0 && m.token == NULL)
		report_missing(p);
	if (strcmp(m.token, p->fence) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("lake \"%s\" was taken over by another server", p->lake_name)));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
fence_advance(Pipeline *p)
{
	uint64		before = held;
	MemoryContext context;
	MemoryContext old;

	if (!TimestampDifferenceExceeds(last_advance, GetCurrentTimestamp(), ADVANCE_MS))
		return;
	context = AllocSetContextCreate(p->context, "tarn fence", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	put_marker(p, before + 1, p->fence, p->fence);
	store_remove(p->lake->store, marker_path(p, before));
	FAILPOINT("fence-advanced");
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
fence_leave(Pipeline *p)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		Marker		m = {0};

		if (held > 0 && read_marker(p->lake->store, marker_path(p, held), &m) && strcmp(m.token, p->fence) == 0)
			remove_markers(p->lake, p->slot, held);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		ereport(LOG,
				(errmsg("could not remove the marker of pipeline \"%s\": %s", p->name, edata->message)));
	}
	PG_END_TRY();
}

FenceMarker
fence_look(Lake *lake, const char *slot, const char *fence)
{
	uint64		highest;
	Marker		m = find_marker(lake, slot, &highest);

	if (m.number == 0)
		return FENCE_NONE;
	if (m.system_identifier != GetSystemIdentifier())
		return FENCE_FOREIGN;
	if (fence[0] != '\0' && strcmp(m.token, fence) != 0 && strcmp(m.previous, fence) != 0)
		return FENCE_FOREIGN;
	return m.instance == fence_instance() || m.timeline < (int64) GetWALInsertionTimeLine() ? FENCE_OURS : FENCE_FOREIGN;
}

void
fence_forget(Lake *lake, const char *slot)
{
	remove_markers(lake, slot, PG_UINT64_MAX);
}

void
fence_check_warehouse(Lake *lake, uint64 except)
{
	MarkerList	list = {0};
	ListCell   *lc;

	store_list(lake->store, marker_folder(lake), add_marker, &list);
	foreach(lc, list.paths)
	{
		Marker		m = {0};

		if (!read_marker(lake->store, lfirst(lc), &m) || m.system_identifier == GetSystemIdentifier() ||
			m.system_identifier == except)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("warehouse \"%s\" is written by pipeline \"%s\" of another server", lake->warehouse, m.pipeline),
				 errdetail("Object \"%s\" says so, of the server with system identifier " UINT64_FORMAT ".",
						   m.path, m.system_identifier),
				 errhint("Choose another warehouse, or remove the object if that server is gone for good.")));
	}
}
