/*-------------------------------------------------------------------------
 *
 * lake.c
 *	  Opened lakes of this process.
 *
 * A lake that an invalidation calls in question is compared with its options
 * when it is asked for again.  When they changed, a new one is built and the
 * old one stays for those who hold it: running scans, a worker's tables.
 * It is never freed; changing a server's options is too rare for counting
 * references to pay.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "base/catalog_names.h"
#include "base/compat.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "lake/lake.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

typedef struct LakeEntry
{
	Lake		lake;			/* first: entries are given out as lakes */
	bool		valid;
	char	   *fingerprint;	/* its options, to see whether they changed */
	struct LakeEntry *next;
} LakeEntry;

static LakeEntry *open_lakes;

static void
invalidate_lakes(Datum arg, int cacheid, uint32 hashvalue)
{
	for (LakeEntry *e = open_lakes; e != NULL; e = e->next)
		e->valid = false;
}

static const char *
find_option(List *options, const char *name, const char *dflt)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return dflt;
}

/*
 * Options of the user's mapping, or of PUBLIC's; NIL without one: a lake of
 * files needs none, and the store says when it misses credentials.
 */
static List *
mapping_options(Oid server, Oid user)
{
	Datum		datum;
	bool		isnull;
	List	   *options = NIL;
	HeapTuple	tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user),
										ObjectIdGetDatum(server));

	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
								ObjectIdGetDatum(server));
	if (!HeapTupleIsValid(tuple))
		return NIL;
	datum = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		options = untransformRelOptions(datum);
	ReleaseSysCache(tuple);
	return options;
}

static void
append_options(StringInfo out, List *options)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const char *value = defGetString(def);

		appendStringInfo(out, "%s %zu %s ", def->defname, strlen(value), value);
	}
	appendStringInfoChar(out, ';');
}

static char *
make_fingerprint(const ForeignServer *server, List *user_options)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "%s ", server->servername);
	append_options(&buf, server->options);
	append_options(&buf, user_options);
	return buf.data;
}

static bool
is_true(const char *value)
{
	bool		result;

	return value != NULL && parse_bool(value, &result) && result;
}

/* The word as the service spells it. */
static const char *
encryption(const char *value)
{
	const OptionSpec *spec = option_find(lake_options, LAKE_OPTION_SERVER, "sse");

	return value != NULL ? spec->values[option_value(spec, value)] : NULL;
}

/* Builds the lake in the current memory context. */
static LakeEntry *
build_lake(const ForeignServer *server, Oid user, List *user_options, const char *fingerprint)
{
	LakeEntry  *e = palloc0(sizeof(LakeEntry));
	List	   *options = server->options;
	const char *warehouse = find_option(options, "warehouse", NULL);
	StoreConfig config = {0};

	if (warehouse == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("server \"%s\" has no option \"warehouse\"", server->servername)));
	config.root = warehouse;
	config.endpoint = find_option(options, "endpoint", NULL);
	config.region = find_option(options, "region", NULL);
	config.path_style = is_true(find_option(options, "path_style", NULL));
	config.ca_file = find_option(options, "ca_file", NULL);
	config.access_key = find_option(user_options, "access_key_id", NULL);
	config.secret_key = find_option(user_options, "secret_access_key", NULL);
	config.sse = encryption(find_option(options, "sse", NULL));
	config.sse_kms_key_id = find_option(options, "sse_kms_key_id", NULL);
	config.session_token = find_option(user_options, "session_token", NULL);

	e->lake.server = server->serverid;
	e->lake.user = user;
	e->lake.name = pstrdup(server->servername);
	e->lake.store = store_open(&config);
	e->lake.warehouse = pstrdup(e->lake.store->root);
	e->lake.catalog = catalog_postgres_open(find_option(options, "catalog_name", server->servername));
	e->fingerprint = pstrdup(fingerprint);
	e->valid = true;
	return e;
}

static void
replace_entry(LakeEntry *old, LakeEntry *new)
{
	LakeEntry **link = &open_lakes;

	while (*link != NULL && *link != old)
		link = &(*link)->next;
	if (*link != NULL)
		*link = old->next;
	new->next = open_lakes;
	open_lakes = new;
}

static LakeEntry *
find_entry(Oid server, Oid user)
{
	for (LakeEntry *e = open_lakes; e != NULL; e = e->next)
		if (e->lake.server == server && e->lake.user == user)
			return e;
	return NULL;
}

Lake *
lake_open(Oid server_oid, Oid user)
{
	static bool registered = false;
	LakeEntry  *e = find_entry(server_oid, user);
	LakeEntry  *new;
	ForeignServer *server;
	List	   *user_options;
	char	   *fingerprint;
	MemoryContext context;
	MemoryContext old;

	if (e != NULL && e->valid)
		return &e->lake;
	if (!registered)
	{
		CacheRegisterSyscacheCallback(FOREIGNSERVEROID, invalidate_lakes, (Datum) 0);
		CacheRegisterSyscacheCallback(USERMAPPINGOID, invalidate_lakes, (Datum) 0);
		registered = true;
	}
	server = GetForeignServer(server_oid);
	user_options = mapping_options(server_oid, user);
	fingerprint = make_fingerprint(server, user_options);
	if (e != NULL && strcmp(e->fingerprint, fingerprint) == 0)
	{
		e->valid = true;
		return &e->lake;
	}

	/* a child of the current context until it is whole, so that an error leaves nothing */
	context = AllocSetContextCreate(CurrentMemoryContext, "tarn lake", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	new = build_lake(server, user, user_options, fingerprint);
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, CacheMemoryContext);
	replace_entry(e, new);
	return &new->lake;
}

/* The hint is the closest name of a lake: other servers are none of ours. */
pg_noreturn static void
missing_server(const char *name)
{
	ForeignDataWrapper *wrapper = GetForeignDataWrapperByName("tarn", true);
	const char *closest = NULL;
	ScanKeyData key;

	if (wrapper != NULL)
	{
		ScanKeyInit(&key, Anum_pg_foreign_server_srvfdw, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(wrapper->fdwid));
		closest = catalog_closest_name(ForeignServerRelationId, Anum_pg_foreign_server_srvname, 1, &key, name);
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("server \"%s\" does not exist", name),
			 closest ? errhint("Perhaps you meant the lake \"%s\".", closest) :
			 errhint("A lake is made by CREATE SERVER ... FOREIGN DATA WRAPPER tarn.")));
}

Oid
lake_server_oid(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, true);
	ForeignDataWrapper *wrapper;

	if (server == NULL)
		missing_server(name);
	wrapper = GetForeignDataWrapper(server->fdwid);
	if (strcmp(wrapper->fdwname, "tarn") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not a lake", name),
				 errdetail("It uses foreign-data wrapper \"%s\".", wrapper->fdwname),
				 errhint("A lake is made by CREATE SERVER ... FOREIGN DATA WRAPPER tarn.")));
	return server->serverid;
}
