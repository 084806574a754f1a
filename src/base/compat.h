/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between the PostgreSQL versions tarn builds on (15 to 18).
 *
 * This is the only header with conditions on PG_VERSION_NUM.  A file that
 * needs one of these names includes this header instead of testing the version.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_BASE_COMPAT_H
#define TARN_BASE_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "tarn needs PostgreSQL 15 or later"
#endif

/* 16 moved the varlena macros out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 18 spells it pg_noreturn, and in front of the declaration. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn __attribute__((noreturn))
#endif

/*
 * Foreign data wrapper: arguments that later versions added to the makers of
 * paths and to parseTypeString, where EXPLAIN's functions are declared, and
 * whose user mapping a scan uses.
 */
#if PG_VERSION_NUM >= 180000
#define COMPAT_EXPLAIN_HEADER "commands/explain_format.h"
#define COMPAT_EXPLAIN_STATE_HEADER "commands/explain_state.h"
#define collation_is_c(collation) (pg_newlocale_from_collation(collation)->collate_is_c)
#define compat_create_foreignscan_path(root, rel, rows, startup, total, required_outer) \
	create_foreignscan_path(root, rel, NULL, rows, 0, startup, total, NIL, required_outer, NULL, NIL, NIL)
#else
#define COMPAT_EXPLAIN_HEADER "commands/explain.h"
#define COMPAT_EXPLAIN_STATE_HEADER "commands/explain.h"
#define collation_is_c(collation) lc_collate_is_c(collation)
#if PG_VERSION_NUM >= 170000
#define compat_create_foreignscan_path(root, rel, rows, startup, total, required_outer) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, NIL, required_outer, NULL, NIL, NIL)
#else
#define compat_create_foreignscan_path(root, rel, rows, startup, total, required_outer) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, NIL, required_outer, NULL, NIL)
#endif
#endif

#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#include "parser/parse_type.h"

/* A type that does not exist leaves *type as it is. */
static inline bool
compat_parse_type(const char *text, Oid *type, int32 *typmod)
{
	ErrorSaveContext problem;

	memset(&problem, 0, sizeof(problem));
	problem.type = T_ErrorSaveContext;
	return parseTypeString(text, type, typmod, (Node *) &problem);
}

#define compat_rel_user(root, rel) ((rel)->userid)
#define compat_scan_user(plan, estate) ((plan)->checkAsUser)
#else
#define compat_parse_type(text, type, typmod) parseTypeString(text, type, typmod, true)
#define compat_rel_user(root, rel) (planner_rt_fetch((rel)->relid, root)->checkAsUser)
#define compat_scan_user(plan, estate) (exec_rt_fetch((plan)->scan.scanrelid, estate)->checkAsUser)
#endif

/* The tuple of a decoded change: a ReorderBufferTupleBuf up to 16. */
#if PG_VERSION_NUM >= 170000
#define COMPAT_CHANGE_TUPLE(t) (t)
#else
#define COMPAT_CHANGE_TUPLE(t) (&(t)->tuple)
#endif

/* build_attrmap_by_name_if_req() learnt missing_ok in 16. */
#if PG_VERSION_NUM >= 160000
#define COMPAT_ATTRMAP_ARG , false
#else
#define COMPAT_ATTRMAP_ARG
#endif

/* Publications may publish stored generated columns without naming them from 18 on. */
#if PG_VERSION_NUM >= 180000
#define COMPAT_PUBLISHES_GENERATED(pub, att) \
	((pub)->pubgencols_type == PUBLISH_GENCOLS_STORED && (att)->attgenerated == ATTRIBUTE_GENERATED_STORED)
#else
#define COMPAT_PUBLISHES_GENERATED(pub, att) false
#endif

/* Replication slots; include replication/slot.h first. */
#if PG_VERSION_NUM >= 170000
#define compat_slot_create(name, persistency, failover) \
	ReplicationSlotCreate(name, true, persistency, false, failover, false)
#define compat_standbys_have(lsn) StandbySlotsHaveCaughtup(lsn, DEBUG1)
#else
#define compat_slot_create(name, persistency, failover) \
	ReplicationSlotCreate(name, true, persistency, false)
#define compat_standbys_have(lsn) true
#endif
#if PG_VERSION_NUM >= 180000
#define compat_slot_acquire(name) ReplicationSlotAcquire(name, true, true)
#else
#define compat_slot_acquire(name) ReplicationSlotAcquire(name, true)
#endif
#if PG_VERSION_NUM >= 160000
#define compat_slot_invalidated(slot) ((slot)->data.invalidated != RS_INVAL_NONE)
#else
#define compat_slot_invalidated(slot) \
	(XLogRecPtrIsInvalid((slot)->data.restart_lsn) && !XLogRecPtrIsInvalid((slot)->data.invalidated_at))
#endif

/* A logical message that is on disk when this returns; and one that belongs to the transaction. */
#if PG_VERSION_NUM >= 170000
#define compat_log_message(prefix, body, size) LogLogicalMessage(prefix, body, size, false, true)
#define compat_log_transactional(prefix, body, size) LogLogicalMessage(prefix, body, size, true, false)
#else
#define compat_log_message(prefix, body, size) LogLogicalMessage(prefix, body, size, false)
#define compat_log_transactional(prefix, body, size) LogLogicalMessage(prefix, body, size, true)
#endif

/* Time limits of later versions, which no background process may take from the database or the role. */
#if PG_VERSION_NUM >= 170000
#define COMPAT_SETTLED_PARAMETERS {"transaction_timeout", "0"},
#else
#define COMPAT_SETTLED_PARAMETERS
#endif

/* Since 17 a WaitEventSet belongs to a resource owner, or to none. */
#if PG_VERSION_NUM >= 170000
#define compat_wait_event_set(nevents) CreateWaitEventSet(NULL, nevents)
#else
#define compat_wait_event_set(nevents) CreateWaitEventSet(CurrentMemoryContext, nevents)
#endif

/* Rights by object; include catalog/pg_database.h, pg_foreign_server.h and utils/acl.h. */
#if PG_VERSION_NUM >= 160000
#define compat_server_aclcheck(oid, role, mode) object_aclcheck(ForeignServerRelationId, oid, role, mode)
#define compat_database_ownercheck(oid, role) object_ownercheck(DatabaseRelationId, oid, role)
#define compat_check_can_become(member, role) check_can_set_role(member, role)
#define compat_init_materialized_srf(fcinfo) InitMaterializedSRF(fcinfo, 0)
#else
#define compat_server_aclcheck(oid, role, mode) pg_foreign_server_aclcheck(oid, role, mode)
#define compat_database_ownercheck(oid, role) pg_database_ownercheck(oid, role)
#define compat_check_can_become(member, role) check_is_member_of_role(member, role)
#define compat_init_materialized_srf(fcinfo) InitMaterializedSRF(fcinfo, 0)
#endif

#endif							/* TARN_BASE_COMPAT_H */
