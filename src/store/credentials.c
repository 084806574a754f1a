/*-------------------------------------------------------------------------
 *
 * credentials.c
 *	  The keys requests are signed with.
 *
 * A file of its own because more sources will come (a credentials file, the
 * role of an instance, a catalog that vends them), each with a refresh.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/credentials.h"

/* A value never goes into the message. */
char *
credentials_header_value(const char *option, const char *value)
{
	for (const unsigned char *p = (const unsigned char *) value; *p; p++)
	{
		if (*p <= ' ' || *p >= 0x7f)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("option \"%s\" contains a space, a line break or a character that is not ASCII",
							option)));
	}
	return pstrdup(value);
}

void
credentials_set(S3Store *store, const StoreConfig *config)
{
	if ((config->access_key == NULL) != (config->secret_key == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("options \"access_key_id\" and \"secret_access_key\" must be given together")));
	if (config->access_key == NULL)
		return;
	store->key.access_key = credentials_header_value("access_key_id", config->access_key);
	store->key.secret_key = pstrdup(config->secret_key);
	if (config->session_token != NULL)
		store->session_token = credentials_header_value("session_token", config->session_token);
}
