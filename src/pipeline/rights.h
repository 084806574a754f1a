/*-------------------------------------------------------------------------
 *
 * rights.h
 *	  May the pipeline's owner have all of a table?
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_RIGHTS_H
#define TARN_PIPELINE_RIGHTS_H

#include "postgres.h"

#include "pipeline/pipeline.h"

/*
 * What forbids the current user (the owner) to mirror the open table, or
 * NULL.  Inside a transaction.  To be asked before a copy, and again while
 * the table is followed: decoding itself asks nobody.
 */
extern char *pipeline_table_forbidden(const PipelineTable *t);

#endif							/* TARN_PIPELINE_RIGHTS_H */
