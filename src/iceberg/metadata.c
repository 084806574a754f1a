/*-------------------------------------------------------------------------
 *
 * metadata.c
 *	  Looking things up in table metadata, and the names of its files.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/metadata.h"

const IcebergSchema *
iceberg_metadata_schema(const IcebergMetadata *m, int schema_id)
{
	for (int i = 0; i < m->nschemas; i++)
		if (m->schemas[i]->schema_id == schema_id)
			return m->schemas[i];
	return NULL;
}

const IcebergSnapshot *
iceberg_metadata_snapshot(const IcebergMetadata *m, int64 snapshot_id)
{
	/* from the end: it is mostly the current one that is asked for */
	for (int i = m->nsnapshots - 1; i >= 0; i--)
		if (m->snapshots[i].snapshot_id == snapshot_id)
			return &m->snapshots[i];
	return NULL;
}

const char *
iceberg_metadata_property(const IcebergMetadata *m, const char *key)
{
	for (int i = 0; i < m->nproperties; i++)
		if (strcmp(m->properties[i].key, key) == 0)
			return m->properties[i].value;
	return NULL;
}

void
iceberg_metadata_set_property(IcebergMetadata *m, const char *key, const char *value)
{
	IcebergProperty *grown;

	for (int i = 0; i < m->nproperties; i++)
	{
		if (strcmp(m->properties[i].key, key) == 0)
		{
			m->properties[i].value = pstrdup(value);
			return;
		}
	}
	/* copied, not enlarged in place: the array may belong to another context */
	grown = palloc(sizeof(IcebergProperty) * (m->nproperties + 1));
	if (m->nproperties > 0)
		memcpy(grown, m->properties, sizeof(IcebergProperty) * m->nproperties);
	grown[m->nproperties].key = pstrdup(key);
	grown[m->nproperties].value = pstrdup(value);
	m->properties = grown;
	m->nproperties++;
}

/* The array must be m's own. */
void
iceberg_metadata_drop_property(IcebergMetadata *m, const char *key)
{
	int			n = 0;

	for (int i = 0; i < m->nproperties; i++)
		if (strcmp(m->properties[i].key, key) != 0)
			m->properties[n++] = m->properties[i];
	m->nproperties = n;
}

const char *
iceberg_snapshot_summary(const IcebergSnapshot *s, const char *key)
{
	for (int i = 0; i < s->nsummary; i++)
		if (strcmp(s->summary[i].key, key) == 0)
			return s->summary[i].value;
	return NULL;
}

char *
iceberg_metadata_file_name(int64 version, const char *uuid)
{
	return psprintf("%010lld-%s.metadata.json", (long long) version, uuid);
}

int64
iceberg_metadata_version(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	int64		version = 0;
	int			digits = 0;

	for (; name[digits] >= '0' && name[digits] <= '9'; digits++)
	{
		if (digits == 18)
			return 0;
		version = version * 10 + (name[digits] - '0');
	}
	return digits > 0 && name[digits] == '-' ? version : 0;
}
