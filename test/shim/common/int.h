/*-------------------------------------------------------------------------
 *
 * int.h
 *	  Overflow-checked integer arithmetic: true means overflow.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_SHIM_COMMON_INT_H
#define TARN_SHIM_COMMON_INT_H

#include "postgres.h"

#define SHIM_OVERFLOW_OPS(suffix, type) \
	static inline bool \
	pg_add_##suffix##_overflow(type a, type b, type *result) \
	{ \
		return __builtin_add_overflow(a, b, result); \
	} \
	static inline bool \
	pg_sub_##suffix##_overflow(type a, type b, type *result) \
	{ \
		return __builtin_sub_overflow(a, b, result); \
	} \
	static inline bool \
	pg_mul_##suffix##_overflow(type a, type b, type *result) \
	{ \
		return __builtin_mul_overflow(a, b, result); \
	}

SHIM_OVERFLOW_OPS(s16, int16)
SHIM_OVERFLOW_OPS(s32, int32)
SHIM_OVERFLOW_OPS(s64, int64)
SHIM_OVERFLOW_OPS(u16, uint16)
SHIM_OVERFLOW_OPS(u32, uint32)
SHIM_OVERFLOW_OPS(u64, uint64)

#endif							/* TARN_SHIM_COMMON_INT_H */
