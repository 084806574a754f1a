/*-------------------------------------------------------------------------
 *
 * fuzz_manifest.c
 *	  Manifests and manifest lists of any content.  The first byte chooses.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fuzz.h"
#include "iceberg/manifest.h"

static void
read_manifest(const uint8 *data, size_t size)
{
	IcebergManifest manifest = {.sequence_number = 7, .added_snapshot_id = 9};
	int			n;

	(void) iceberg_manifest_read(data, size, "fuzz", &manifest, NULL, -1, &n);
}

/* What was read must be writable. */
static void
read_list(const uint8 *data, size_t size)
{
	StringInfoData buf;
	int			n;
	IcebergManifest *manifests = iceberg_manifest_list_read(data, size, "fuzz", &n);

	initStringInfo(&buf);
	iceberg_manifest_list_write(&buf, 1, -1, 1, manifests, n);
}

static void
read_either(const uint8 *data, size_t size)
{
	if (size > 0 && data[0] == 'L')
		read_list(data + 1, size - 1);
	else if (size > 0)
		read_manifest(data + 1, size - 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(read_either, data, size);
}
