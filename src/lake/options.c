/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Options of servers, user mappings, foreign tables and their columns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "commands/defrem.h"
#include "lake/lake.h"
#include "miscadmin.h"
#include "utils/acl.h"

static const char *const catalogs[] = {"postgres", NULL};
static const char *const encryptions[] = {"AES256", "aws:kms", NULL};

const OptionSpec lake_options[] = {
	{.name = "warehouse", .where = LAKE_OPTION_SERVER, .kind = OPTION_STRING,
	.help = "location of the lake: file:///directory or s3://bucket/prefix"},
	{.name = "catalog", .where = LAKE_OPTION_SERVER, .kind = OPTION_ENUM, .values = catalogs,
	.help = "kind of catalog; postgres is the SQL catalog in this database"},
	{.name = "catalog_name", .where = LAKE_OPTION_SERVER, .kind = OPTION_STRING,
	.help = "name of the catalog, which other clients must give too; default: the server's name"},
	{.name = "endpoint", .where = LAKE_OPTION_SERVER, .kind = OPTION_STRING,
	.help = "URL of the S3 service; default: AWS's for the region"},
	{.name = "region", .where = LAKE_OPTION_SERVER, .kind = OPTION_STRING,
	.help = "S3 region; default: us-east-1"},
	{.name = "path_style", .where = LAKE_OPTION_SERVER, .kind = OPTION_BOOL,
	.help = "put the bucket into the path of S3 requests, not into the host's name"},
	{.name = "ca_file", .where = LAKE_OPTION_SERVER, .kind = OPTION_STRING,
	.help = "file with the certificate authorities to trust for the endpoint"},
	{.name = "sse", .where = LAKE_OPTION_SERVER, .kind = OPTION_ENUM, .values = encryptions,
	.help = "how the S3 service encrypts what is written; default: as the bucket says"},
	{.name = "sse_kms_key_id", .where = LAKE_OPTION_SERVER, .kind = OPTION_STRING,
	.help = "key of the S3 service's key management, with sse 'aws:kms'; default: the account's"},
	{.name = "access_key_id", .where = LAKE_OPTION_USER, .kind = OPTION_STRING,
	.help = "S3 access key"},
	{.name = "secret_access_key", .where = LAKE_OPTION_USER, .kind = OPTION_STRING,
	.help = "S3 secret key"},
	{.name = "session_token", .where = LAKE_OPTION_USER, .kind = OPTION_STRING,
	.help = "S3 session token of temporary credentials"},
	{.name = "namespace", .where = LAKE_OPTION_TABLE, .kind = OPTION_STRING,
	.help = "namespace of the lake table; default: the foreign table's schema"},
	{.name = "table_name", .where = LAKE_OPTION_TABLE, .kind = OPTION_STRING,
	.help = "name of the lake table; default: the foreign table's name"},
	{.name = "column_name", .where = LAKE_OPTION_COLUMN, .kind = OPTION_STRING,
	.help = "name of the lake table's column; default: the column's name"},
	{.name = NULL}
};

static void
invalid_value(const char *name, const char *value, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
			 errhint("%s", hint)));
}

static bool
has_parent_segment(const char *path)
{
	for (const char *p = strstr(path, "/.."); p != NULL; p = strstr(p + 1, "/.."))
		if (p[3] == '/' || p[3] == '\0')
			return true;
	return false;
}

/*
 * Whoever names a folder makes the server read and write there, with the
 * server's rights: the same rule as for file_fdw and COPY.
 */
static void
check_file_privilege(const char *option)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\" to a path of the server", option),
				 errhint("Only superusers and roles with privileges of the pg_read_server_files role may do so.")));
}

static void
check_warehouse(const char *value)
{
	static const char hint[] = "A warehouse is \"file:///directory\" or \"s3://bucket/prefix\".";
	bool		file = strncmp(value, "file:///", 8) == 0;
	bool		s3 = strncmp(value, "s3://", 5) == 0;

	if (!(file && value[8] != '\0' && value[8] != '/') && !(s3 && value[5] != '\0' && value[5] != '/'))
		invalid_value("warehouse", value, hint);
	if (has_parent_segment(value) || strpbrk(value, "?#\\") != NULL)
		invalid_value("warehouse", value, "A warehouse has no \"..\", \"?\", \"#\" or backslash.");
	for (const char *p = value; *p != '\0'; p++)
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			invalid_value("warehouse", value, hint);
	if (file)
		check_file_privilege("warehouse");
}

static void
check_endpoint(const char *value)
{
	const char *host = strstr(value, "://");

	if ((strncmp(value, "http://", 7) != 0 && strncmp(value, "https://", 8) != 0) ||
		host[3] == '\0' || strpbrk(host + 3, "?#@ ") != NULL)
		invalid_value("endpoint", value, "An endpoint is \"http://host[:port]\" or \"https://host[:port]\".");
}

/* It becomes a header. */
static void
check_key_id(const char *value)
{
	for (const unsigned char *p = (const unsigned char *) value; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f)
			value = "";
	if (value[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"sse_kms_key_id\""),
				 errhint("A key is its id, its ARN, or an alias, in ASCII and without spaces.")));
}

/* What the table of options cannot say. */
static void
check_value(const char *name, const char *value)
{
	if (strcmp(name, "warehouse") == 0)
		check_warehouse(value);
	else if (strcmp(name, "endpoint") == 0)
		check_endpoint(value);
	else if (strcmp(name, "ca_file") == 0)
		check_file_privilege(name);
	else if (strcmp(name, "sse_kms_key_id") == 0)
		check_key_id(value);
	else if (value[0] == '\0')
		invalid_value(name, value, "The value must not be empty.");
}

static const char *
value_of(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		if (strcmp(lfirst_node(DefElem, lc)->defname, name) == 0)
			return defGetString(lfirst_node(DefElem, lc));
	}
	return NULL;
}

/* Encryption that was asked for and is not done would be found out too late. */
static void
check_encryption(List *options)
{
	const char *warehouse = value_of(options, "warehouse");
	const char *sse = value_of(options, "sse");

	if (value_of(options, "sse_kms_key_id") != NULL && (sse == NULL || pg_strcasecmp(sse, "aws:kms") != 0))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("option \"sse_kms_key_id\" needs option \"sse\" with value \"aws:kms\""),
				 errhint("Give sse 'aws:kms' too.")));
	if (sse != NULL && warehouse != NULL && strncmp(warehouse, "s3://", 5) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"sse\" is for S3, and warehouse \"%s\" is not there", warehouse),
				 errhint("Encrypt the file system instead.")));
}

void
lake_options_check(List *options, int where)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const OptionSpec *spec = option_find(lake_options, where, def->defname);
		const char *value = defGetString(def);
		ListCell   *other;

		foreach(other, options)
		{
			if (lfirst(other) == def)
				break;
			if (strcmp(lfirst_node(DefElem, other)->defname, def->defname) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_OBJECT),
						 errmsg("option \"%s\" provided more than once", def->defname)));
		}
		option_check(spec, value);
		check_value(def->defname, value);
	}
	if (where == LAKE_OPTION_SERVER && value_of(options, "warehouse") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("option \"warehouse\" is required"),
				 errhint("Add OPTIONS (warehouse 'file:///directory') or OPTIONS (warehouse 's3://bucket/prefix').")));
	if (where == LAKE_OPTION_SERVER)
		check_encryption(options);
}
