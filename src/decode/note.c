/*-------------------------------------------------------------------------
 *
 * note.c
 *	  Writing and reading sealed notes.
 *
 * The key is the nonce that the server made at initdb for authentication: it
 * is as good as a password's hash, in no view, and the same on standbys and
 * restored backups, which may decode what another server has written.  A key
 * of our own, in a table, would be readable by whoever reads the table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_control.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "replication/message.h"

#include "base/compat.h"
#include "base/failpoint.h"
#include "decode/note.h"

#define SEAL_LENGTH 16			/* bytes */

/* False: the library for it has no memory. */
static bool
make_seal(TransactionId xid, const char *text, size_t size, uint8 seal[SEAL_LENGTH])
{
	uint8		code[PG_SHA256_DIGEST_LENGTH];
	pg_hmac_ctx *ctx = pg_hmac_create(PG_SHA256);
	bool		ok;

	if (ctx == NULL)
		return false;
	ok = pg_hmac_init(ctx, (const uint8 *) GetMockAuthenticationNonce(), MOCK_AUTH_NONCE_LEN) >= 0 &&
		pg_hmac_update(ctx, (const uint8 *) NOTE_PREFIX, strlen(NOTE_PREFIX)) >= 0 &&
		pg_hmac_update(ctx, (const uint8 *) &xid, sizeof(xid)) >= 0 &&
		pg_hmac_update(ctx, (const uint8 *) text, size) >= 0 &&
		pg_hmac_final(ctx, code, sizeof(code)) >= 0;
	pg_hmac_free(ctx);
	memcpy(seal, code, SEAL_LENGTH);
	return ok;
}

void
note_write(const char *text)
{
	size_t		size = strlen(text);
	char	   *body;

	if (!XLogLogicalInfoActive() || RecoveryInProgress())
		return;
	body = palloc(SEAL_LENGTH + size);
	memcpy(body + SEAL_LENGTH, text, size);
	if (make_seal(GetTopTransactionId(), text, size, (uint8 *) body))
		(void) compat_log_transactional(NOTE_PREFIX, body, SEAL_LENGTH + size);
	FAILPOINT("ddl-noted");
	pfree(body);
}

char *
note_read(TransactionId xid, const char *body, Size size)
{
	uint8		seal[SEAL_LENGTH];

	if (size < SEAL_LENGTH ||
		!make_seal(xid, body + SEAL_LENGTH, size - SEAL_LENGTH, seal) ||
		memcmp(seal, body, SEAL_LENGTH) != 0)
		return NULL;
	return pnstrdup(body + SEAL_LENGTH, size - SEAL_LENGTH);
}
