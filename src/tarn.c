/*-------------------------------------------------------------------------
 *
 * tarn.c
 *	  What the server calls when it loads the library.
 *
 * Each module sets itself up; nothing is decided here but the order: the
 * launcher reads settings that state_init defines.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/api.h"
#include "base/failpoint.h"
#include "fdw/fdw.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pipeline/copy.h"
#include "pipeline/encoder.h"
#include "pipeline/launcher.h"
#include "pipeline/state.h"
#include "pipeline/wal_alert.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	failpoint_init();
	state_init();
	copy_init();
	encoder_init();
	fdw_init();
	wal_alert_init();
	if (process_shared_preload_libraries_in_progress)
	{
		/* a server that pg_upgrade has started is not to write, into the lake or into slots */
		if (!IsBinaryUpgrade)
			launcher_init();
		guard_init();
	}
}
