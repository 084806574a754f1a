/*-------------------------------------------------------------------------
 *
 * published.c
 *	  What publications say about one table: under which name it leaves, which
 *	  operations, columns and rows.
 *
 * The rules are those of the server's own logical replication, so that a
 * publication means here what its documentation says.  The relation cache's
 * own answer (RelationBuildPublicationDesc) cannot be used: it looks at all
 * publications of a table, and only those of the pipeline count.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "base/catalog_names.h"
#include "base/compat.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_publication_namespace.h"
#include "catalog/pg_publication_rel.h"
#include "decode/published.h"
#include "decode/sink.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

List *
published_load(List *names, bool missing_ok)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, names)
	{
		char	   *name = lfirst(lc);
		Publication *pub = GetPublicationByName(name, true);

		if (pub != NULL)
			result = lappend(result, pub);
		else
		{
			const char *closest = catalog_closest_name(PublicationRelationId, Anum_pg_publication_pubname, 0, NULL, name);

			ereport(missing_ok ? WARNING : ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("publication \"%s\" does not exist", name),
					 errdetail("A change is decoded with the publications as they were when it was made."),
					 closest ? errhint("Perhaps you meant the publication \"%s\".", closest) : 0));
		}
	}
	return result;
}

/*
 * Can the table be published at all?  As is_publishable_class() in the
 * server, which is not exported; and the extension's own tables never are,
 * or FOR ALL TABLES would mirror the lake's catalog into the lake.
 */
static bool
published_possible(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;
	char	   *namespace;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_class) GETSTRUCT(tuple);
	result = (form->relkind == RELKIND_RELATION || form->relkind == RELKIND_PARTITIONED_TABLE) &&
		form->relpersistence == RELPERSISTENCE_PERMANENT &&
		relid >= FirstNormalObjectId;
	namespace = result ? get_namespace_name(form->relnamespace) : NULL;
	ReleaseSysCache(tuple);
	return namespace != NULL &&
		strcmp(namespace, "tarn") != 0 && strcmp(namespace, "tarn_catalog") != 0;
}

/*
 * Does `pub` publish the table, and as which?  *level is how far above the
 * table the one it is published as stands: 0 for itself.
 */
static bool
published_by(Oid relid, const Publication *pub, List *ancestors, List *direct,
			 Oid *as, int *level)
{
	bool		publish = pub->alltables || list_member_oid(direct, pub->oid);

	*as = relid;
	*level = 0;
	if (ancestors == NIL)
		return publish;

	if (pub->alltables)
	{
		if (pub->pubviaroot)
		{
			*as = llast_oid(ancestors);
			*level = list_length(ancestors);
		}
	}
	else
	{
		int			top_level;
		Oid			top = GetTopMostAncestorInPublication(pub->oid, ancestors, &top_level);

		if (OidIsValid(top))
		{
			publish = true;
			if (pub->pubviaroot)
			{
				*as = top;
				*level = top_level;
			}
		}
	}
	return publish;
}

bool
published_as(Oid relid, List *publications, PublishedAs *out)
{
	bool		partitioned = get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE;
	List	   *ancestors = NIL;
	List	   *direct;
	int			best = 0;
	ListCell   *lc;

	memset(out, 0, sizeof(*out));
	out->relid = relid;
	if (!published_possible(relid))
		return false;
	if (get_rel_relispartition(relid))
		ancestors = get_partition_ancestors(relid);
	direct = list_concat(GetRelationPublications(relid),
						 GetSchemaPublications(get_rel_namespace(relid)));

	foreach(lc, publications)
	{
		Publication *pub = lfirst(lc);
		Oid			as;
		int			level;

		/* the changes of a partitioned table are those of its partitions, unless they leave as its own */
		if (!published_by(relid, pub, ancestors, direct, &as, &level) ||
			(partitioned && !pub->pubviaroot))
			continue;

		out->pub_insert |= pub->pubactions.pubinsert;
		out->pub_update |= pub->pubactions.pubupdate;
		out->pub_delete |= pub->pubactions.pubdelete;
		out->pub_truncate |= pub->pubactions.pubtruncate;

		/* the topmost ancestor wins; filters and columns are those of the publications that name it */
		if (level < best)
			continue;
		if (level > best)
		{
			out->publications = NIL;
			best = level;
		}
		out->relid = as;
		out->publications = lappend(out->publications, pub);
	}
	return out->publications != NIL;
}

/* An attribute of the table's row in pg_publication_rel; false when there is none, or it is null. */
static bool
published_attribute(Oid relid, const Publication *pub, AttrNumber attribute,
					HeapTuple *tuple, Datum *value)
{
	bool		isnull;

	if (pub->alltables)
		return false;
	*tuple = SearchSysCache2(PUBLICATIONRELMAP, ObjectIdGetDatum(relid), ObjectIdGetDatum(pub->oid));
	if (!HeapTupleIsValid(*tuple))
		return false;
	*value = SysCacheGetAttr(PUBLICATIONRELMAP, *tuple, attribute, &isnull);
	if (isnull)
		ReleaseSysCache(*tuple);
	return !isnull;
}

Bitmapset *
published_columns(Oid relid, const Publication *pub)
{
	HeapTuple	tuple;
	Datum		list;
	Bitmapset  *columns;

	if (!published_attribute(relid, pub, Anum_pg_publication_rel_prattrs, &tuple, &list))
		return NULL;
	columns = pub_collist_to_bitmapset(NULL, list, NULL);
	ReleaseSysCache(tuple);
	return columns;
}

char *
published_filter(Oid relid, const Publication *pub)
{
	HeapTuple	tuple;
	Datum		value;
	char	   *filter;

	/* FOR TABLES IN SCHEMA takes precedence over a filter in the same publication */
	if (SearchSysCacheExists2(PUBLICATIONNAMESPACEMAP,
							  ObjectIdGetDatum(get_rel_namespace(relid)),
							  ObjectIdGetDatum(pub->oid)))
		return NULL;
	if (!published_attribute(relid, pub, Anum_pg_publication_rel_prqual, &tuple, &value))
		return NULL;
	filter = TextDatumGetCString(value);
	ReleaseSysCache(tuple);
	return filter;
}

List *
decode_published_tables(List *publications)
{
	List	   *pubs = published_load(publications, false);
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, pubs)
	{
		Publication *pub = lfirst(lc);
		PublicationPartOpt part = pub->pubviaroot ? PUBLICATION_PART_ROOT : PUBLICATION_PART_LEAF;
		List	   *tables;
		ListCell   *lc2;

		if (pub->alltables)
			tables = GetAllTablesPublicationRelations(pub->pubviaroot);
		else
			tables = list_concat_unique_oid(GetPublicationRelations(pub->oid, part),
											GetAllSchemaPublicationRelations(pub->oid, part));

		/* another publication may publish it as an ancestor: ask all of them */
		foreach(lc2, tables)
		{
			PublishedAs as;

			if (published_as(lfirst_oid(lc2), pubs, &as))
				result = list_append_unique_oid(result, as.relid);
		}
	}
	return result;
}
