/*-------------------------------------------------------------------------
 *
 * published.h
 *	  What publications say about one table.
 *
 * Everything here works under a historic snapshot (while decoding) as well
 * as in a normal transaction, and reproduces what pgoutput decides.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_DECODE_PUBLISHED_H
#define TARN_DECODE_PUBLISHED_H

#include "postgres.h"

#include "catalog/pg_publication.h"
#include "nodes/pg_list.h"

typedef struct PublishedAs
{
	Oid			relid;			/* published as this table: itself, or an ancestor */
	List	   *publications;	/* of Publication *: those that publish it under that name */
	bool		pub_insert;
	bool		pub_update;
	bool		pub_delete;
	bool		pub_truncate;
} PublishedAs;

/*
 * Publications by name, in the current context.  An unknown one raises
 * ERRCODE_UNDEFINED_OBJECT, or is passed over with a WARNING when missing_ok.
 */
extern List *published_load(List *names, bool missing_ok);

/* False when none of the publications publishes anything of the table. */
extern bool published_as(Oid relid, List *publications, PublishedAs *out);

/*
 * The column list of a table in one publication, as a set of attribute
 * numbers in the current context; NULL when it has none.
 */
extern Bitmapset *published_columns(Oid relid, const Publication *pub);

/* The row filter as a node string, in the current context; NULL when it has none. */
extern char *published_filter(Oid relid, const Publication *pub);

#endif							/* TARN_DECODE_PUBLISHED_H */
