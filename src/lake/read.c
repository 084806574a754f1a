/*-------------------------------------------------------------------------
 *
 * read.c
 *	  Reading what metadata references.
 *
 * To the store an object that is not there is UNDEFINED_FILE.  When the
 * table's metadata names it, the table is damaged, and that is what the user
 * is told: ERRCODE_DATA_CORRUPTED.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lake/internal.h"
#include "utils/memutils.h"

void
lake_rethrow_missing(const char *path)
{
	if (geterrcode() != ERRCODE_UNDEFINED_FILE)
		PG_RE_THROW();

	/* nothing but memory and files of memory contexts is open, and an error follows */
	FlushErrorState();
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not read lake file \"%s\": the file is missing", path),
			 errdetail("The table's metadata references it.")));
}

char *
lake_get(Lake *lake, const char *path, size_t *size)
{
	char	   *volatile data = NULL;

	PG_TRY();
	{
		data = store_get(lake->store, path, LAKE_MAX_METADATA, size);
	}
	PG_CATCH();
	{
		lake_rethrow_missing(path);
	}
	PG_END_TRY();
	return data;
}

char *
lake_get_finish(StoreGet *get, const char *path, size_t *size)
{
	char	   *volatile data = NULL;

	PG_TRY();
	{
		data = store_get_finish(get, size);
	}
	PG_CATCH();
	{
		lake_rethrow_missing(path);
	}
	PG_END_TRY();
	return data;
}
