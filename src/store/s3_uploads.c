/*-------------------------------------------------------------------------
 *
 * s3_uploads.c
 *	  Store on S3: multipart uploads that nobody will finish.
 *
 * The parts of an upload are kept, and paid for, until it is completed or
 * aborted, and no list of objects shows them.  A writer that fails aborts its
 * own; one that was killed cannot.  Which uploads there are only the service
 * knows, and not every service tells (the list is an extra): what cannot be
 * listed or aborted is left to a lifecycle rule of the bucket.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "store/s3.h"

/* A page holds at most 1,000 uploads. */
#define MAX_UPLOADS_PAGE (16 * 1024 * 1024)

bool
s3_abort_upload(S3Store *store, const char *name, const char *id)
{
	HttpResponse response;
	S3Request	request = {
		.operation = "abort the upload of",
		.name = name,
		.method = "DELETE",
		.key = s3_key(name),
		.query = {{"uploadId", id}},
		.nquery = 1
	};

	if (s3_attempt(store, &request, &response) == S3_DONE)
		return true;
	ereport(DEBUG1,
			(errmsg_internal("could not abort the upload of \"%s\"", name)));
	return false;
}

/* Aborts the uploads of one page; services may take the prefix for a whole name, or not look at it. */
static int
abort_page(S3Store *store, const char *prefix, const char *location, const char *body)
{
	const char *p = body;
	char	   *upload;
	int			n = 0;

	while ((upload = s3_xml_text(p, "Upload", &p)) != NULL)
	{
		char	   *key = s3_xml_text(upload, "Key", NULL);
		char	   *id = s3_xml_text(upload, "UploadId", NULL);
		char	   *name;

		CHECK_FOR_INTERRUPTS();
		if (key == NULL || id == NULL)
			continue;
		name = psprintf("%s%s", location, key);
		if (strncmp(name, prefix, strlen(prefix)) == 0)
			n += s3_abort_upload(store, name, id);
	}
	return n;
}

/* The next page's marker, or NULL when this is the last. */
static char *
page_marker(const char *body, const char *tag, MemoryContext context)
{
	char	   *truncated = s3_xml_text(body, "IsTruncated", NULL);
	char	   *marker = NULL;

	if (truncated != NULL && strcmp(truncated, "true") == 0)
		marker = s3_xml_text(body, tag, NULL);
	return marker == NULL || *marker == '\0' ? NULL : MemoryContextStrdup(context, marker);
}

int
s3_abort_uploads(Store *store, const char *prefix)
{
	MemoryContext page = AllocSetContextCreate(CurrentMemoryContext, "tarn S3 uploads",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = CurrentMemoryContext;
	char	   *location = pnstrdup(prefix, s3_key(prefix) - prefix);
	char	   *key_marker = NULL;
	char	   *id_marker = NULL;
	int			n = 0;

	do
	{
		HttpResponse response;
		S3Request	request = {
			.operation = "list the uploads of",
			.name = prefix,
			.method = "GET",
			.query = {{"uploads", ""}, {"prefix", s3_key(prefix)}},
			.nquery = 2,
			.max_body = MAX_UPLOADS_PAGE,
			.document = true
		};

		if (key_marker != NULL)
			request.query[request.nquery++] = (SigV4Field) {"key-marker", key_marker};
		if (key_marker != NULL && id_marker != NULL)
			request.query[request.nquery++] = (SigV4Field) {"upload-id-marker", id_marker};
		MemoryContextSwitchTo(page);
		if (s3_attempt((S3Store *) store, &request, &response) != S3_DONE)
		{
			ereport(DEBUG1,
					(errmsg_internal("could not list the uploads of \"%s\": HTTP %d",
									 prefix, response.status)));
			key_marker = NULL;
		}
		else
		{
			n += abort_page((S3Store *) store, prefix, location, response.body);
			key_marker = page_marker(response.body, "NextKeyMarker", caller);
			id_marker = page_marker(response.body, "NextUploadIdMarker", caller);
		}
		MemoryContextSwitchTo(caller);
		MemoryContextReset(page);
	} while (key_marker != NULL);
	MemoryContextDelete(page);
	return n;
}
