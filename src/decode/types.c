/*-------------------------------------------------------------------------
 *
 * types.c
 *	  User-defined types that the values of a column consist of.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "decode/types.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

static void visit_below(Oid type, bool bound, TypeVisit visit, void *arg);

static void
visit_attributes(Oid type, bool bound, TypeVisit visit, void *arg)
{
	TupleDesc	desc = lookup_rowtype_tupdesc_copy(type, -1);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped)
			visit_below(att->atttypid, bound, visit, arg);
	}
	FreeTupleDesc(desc);
}

static void
visit_below(Oid type, bool bound, TypeVisit visit, void *arg)
{
	Oid			element;
	char		typtype;

	check_stack_depth();
	/* the server's own types consist of its own */
	if (type < FirstNormalObjectId)
		return;
	type = getBaseType(type);
	element = get_element_type(type);
	if (OidIsValid(element))
	{
		visit_below(element, bound, visit, arg);
		return;
	}
	typtype = get_typtype(type);
	switch (typtype)
	{
		case TYPTYPE_COMPOSITE:
			visit(type, typtype, bound, arg);
			visit_attributes(type, bound, visit, arg);
			break;
		case TYPTYPE_ENUM:
			visit(type, typtype, bound, arg);
			break;
		case TYPTYPE_RANGE:
			visit_below(get_range_subtype(type), true, visit, arg);
			break;
		case TYPTYPE_MULTIRANGE:
			visit_below(get_multirange_range(type), true, visit, arg);
			break;
		default:
			break;
	}
}

void
types_visit(Oid type, TypeVisit visit, void *arg)
{
	visit_below(type, false, visit, arg);
}
