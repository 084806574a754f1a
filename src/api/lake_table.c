/*-------------------------------------------------------------------------
 *
 * lake_table.c
 *	  A lake table that is meant by its name in the lake, not by its source:
 *	  that may be gone.
 *
 * Who may do something to it is asked of the pipeline that keeps it, or of
 * the one that its last snapshot names, if there still is one; otherwise it
 * is the lake's owner.  A catalog that came with a dump or a template names
 * tables whose files are the original's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"

#include "api/api.h"
#include "base/compat.h"
#include "pipeline/history.h"
#include "pipeline/registry.h"
#include "pipeline/shape_internal.h"

/* The table that a pipeline keeps under this name, in either form. */
static void
find_kept(const char *namespace, const char *name, ApiLakeTable *out)
{
	ListCell   *lc;

	out->kept = NULL;
	foreach(lc, out->pipeline->tables)
	{
		PipelineTable *t = lfirst(lc);

		if (strcmp(t->namespace, namespace) == 0 &&
			(strcmp(t->name, name) == 0 || strcmp(history_name(t->name), name) == 0))
			out->kept = t;
	}
}

void
api_lake_table_keeper(const char *lake_name, const char *namespace, const char *name, ApiLakeTable *out)
{
	const char *writer = out->lake->snapshot ? iceberg_snapshot_summary(out->lake->snapshot, "tarn.pipeline") : NULL;
	Pipeline   *last = NULL;
	ListCell   *lc;

	out->kept = NULL;
	foreach(lc, registry_all())
	{
		Pipeline   *p = lfirst(lc);

		if (strcmp(p->lake_name, lake_name) != 0)
			continue;
		out->pipeline = registry_load(p->id);
		if (out->pipeline == NULL)
			continue;
		find_kept(namespace, name, out);
		if (out->kept)
			return;
		if (writer && strcmp(p->lake_label, writer) == 0)
			last = out->pipeline;
	}
	out->pipeline = last;
}

/* Without a pipeline to ask. */
static void
check_lake_owner(const ForeignServer *server, const LakeTable *t, const char *source_id)
{
	unsigned long long system_identifier;
	Oid			database;

	if (!has_privs_of_role(GetUserId(), server->owner))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, server->servername);
	if (sscanf(source_id, "%llu/%u/", &system_identifier, &database) != 2 ||
		(uint64) system_identifier != GetSystemIdentifier() || database != MyDatabaseId)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("lake table \"%s.%s\" was written by another database or server", t->namespace, t->name),
				 errdetail("It came with a dump, a template, pg_upgrade or a copy of the server, and its files may be the original's.")));
	api_check_store(server->serverid, server->servername, GetUserId());
}

void
api_lake_table(const char *lake_name, const char *namespace, const char *name, ApiLakeTable *out)
{
	ForeignServer *server = GetForeignServer(lake_server_oid(lake_name));
	AclResult	aclresult = compat_server_aclcheck(server->serverid, GetUserId(), ACL_USAGE);
	const char *source_id;

	memset(out, 0, sizeof(*out));
	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_FOREIGN_SERVER, lake_name);
	out->lake = lake_table_load(lake_open(server->serverid, GetUserId()), namespace, name, true);
	if (out->lake == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("lake table \"%s.%s\" does not exist", namespace, name),
				 errdetail("Lake \"%s\" has no table of this name.", lake_name)));
	source_id = iceberg_metadata_property(out->lake->metadata, SHAPE_SOURCE_ID);
	if (source_id == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("lake table \"%s.%s\" was not made by tarn", namespace, name)));
	out->source = strrchr(source_id, '/') ? (Oid) strtoul(strrchr(source_id, '/') + 1, NULL, 10) : InvalidOid;
	api_lake_table_keeper(lake_name, namespace, name, out);
	if (out->pipeline == NULL)
	{
		check_lake_owner(server, out->lake, source_id);
		return;
	}
	api_check_pipeline_owner(out->pipeline);
	api_check_bound(out->pipeline);
}
