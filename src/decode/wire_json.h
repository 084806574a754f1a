/*-------------------------------------------------------------------------
 *
 * wire_json.h
 *	  The sink that prints: one line of JSON a change.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_DECODE_WIRE_JSON_H
#define TARN_DECODE_WIRE_JSON_H

#include "postgres.h"

#include "decode/sink.h"

/* In the current memory context.  `transactions`: with lines for begin and commit. */
extern ChangeSink *wire_json_sink(bool transactions);

#endif							/* TARN_DECODE_WIRE_JSON_H */
