/* kernel_sets.h: the kernel sets of this build, and what their files have in common.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_VECTOR_KERNEL_SETS_H
#define VDB_VECTOR_KERNEL_SETS_H

#include <math.h>

#include "vector/kernel.h"

#if defined(__FAST_MATH__)
#error "the kernels promise the same bits everywhere: build without -ffast-math"
#endif

extern const struct kernels kernels_portable;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2;
extern const struct kernels
    kernels_avx2_vnni; /* of the same name, and with one kernel of its own */
extern const struct kernels kernels_avx512;
#endif

/* The kernels that have files of their own. */
uint32_t portable_scan_u4(struct kernel_scan *scan);
void portable_cut_scan(struct kernel_scan *scan, uint32_t wanted);
void portable_tile_u8i8(struct kernel_tile *tile);
uint32_t portable_bound_u4i8(const struct kernel_bound *bound, uint32_t *rows);
uint32_t portable_select_u32(const uint32_t *values, uint32_t n, uint32_t limit, uint32_t *places);
#if defined(__x86_64__)
uint32_t avx2_scan_u4(struct kernel_scan *scan);
void avx2_cut_scan(struct kernel_scan *scan, uint32_t wanted);
void avx2_tile_u8i8(struct kernel_tile *tile);
uint32_t avx2_bound_u4i8(const struct kernel_bound *bound, uint32_t *rows);
uint32_t avx2_select_u32(const uint32_t *values, uint32_t n, uint32_t limit, uint32_t *places);
void vnni_blocks_u8i8(const uint8_t *codes, const int32_t *norms, size_t blocks, size_t groups,
                      const struct kernel_query8 *query, uint32_t *distances);
uint32_t avx512_scan_u4(struct kernel_scan *scan);
void avx512_cut_scan(struct kernel_scan *scan, uint32_t wanted);
void avx512_tile_u8i8(struct kernel_tile *tile);
uint32_t avx512_bound_u4i8(const struct kernel_bound *bound, uint32_t *rows);
uint32_t avx512_select_u32(const uint32_t *values, uint32_t n, uint32_t limit, uint32_t *places);

/* avx512_scan_u4 is one of these: the second where the CPU has VBMI beside AVX-512. */
uint32_t shuffle_scan_u4(struct kernel_scan *scan);
uint32_t vbmi_scan_u4(struct kernel_scan *scan);
#endif

/* The generic kernels take the element type as a parameter that is a constant wherever they are
 * used, and only once inlined does the choice by type disappear from the loop. */
#define KERNEL_INLINE static inline __attribute__((always_inline))

/* Fetches what measuring a row will read. Forced inline: gcc 12 takes a function that only
 * prefetches for one without effect and drops calls of it. */
KERNEL_INLINE void kernel_fetch(const struct kernel_codes *codes, uint32_t row)
{
    const uint8_t *code = codes->code + (size_t)row * codes->stride;
    __builtin_prefetch(code, 0, 2);
    for (uint32_t i = 1; i < codes->lines; i++) __builtin_prefetch(code + (size_t)64 * i, 0, 2);
    if (codes->factors_apart)
        __builtin_prefetch(codes->factors + (size_t)row * codes->factors_stride);
}

/* Measures four rows: their codes and factors, the length of a code, and the query. */
typedef void (*kernel_four_fn)(const uint8_t *const codes[4], const uint8_t *const factors[4],
                               size_t bytes, const void *query, uint32_t distances[4]);

/* Measures a list four by four and meanwhile fetches the rows ahead, a few at a time: the processor
 * stalls when more lines are asked for at once than it can wait for. `bytes` is codes->bytes, which
 * the compiler may know. */
KERNEL_INLINE void kernel_measure(const struct kernel_codes *any, const struct kernel_list *list,
                                  const void *query, size_t bytes, kernel_four_fn measure,
                                  uint32_t *distances)
{
    const struct kernel_codes codes = *any;
    const uint32_t *rows = list->rows, *next = list->ahead;
    const uint32_t *end = list->ahead_count ? next + list->ahead_count : next; /* it may be NULL */
    /* Codes that have no factors are measured by kernels that read none, but these get pointers. */
    const uint8_t *all_factors = codes.factors ? codes.factors : codes.code;
    uint32_t count = list->count, share = 4 * list->ahead_count / (count + 1) + 1;
    for (uint32_t i = 0; i < count; i += 4) {
        const uint8_t *code[4], *factors[4];
        const uint32_t *stop = (size_t)(end - next) > share ? next + share : end;
        while (next < stop) kernel_fetch(&codes, *next++);
        for (uint32_t j = 0; j < 4; j++) {
            uint32_t row = rows[i + j < count ? i + j : i];
            code[j] = codes.code + (size_t)row * codes.stride;
            factors[j] = all_factors + (size_t)row * codes.factors_stride;
        }
        measure(code, factors, bytes, query, distances + i);
    }
    while (next < end) kernel_fetch(&codes, *next++);
}

/* The list kernels of a set, from what measures four rows. Codes of one and two cache lines are the
 * most frequent ones and have loops of their own. */
#define LIST_KERNELS(set)                                                                          \
    static void set##_list_u8i8(const struct kernel_codes *codes, const struct kernel_list *list,  \
                                const struct kernel_query8 *query, uint32_t *distances)            \
    {                                                                                              \
        if (codes->bytes == 128)                                                                   \
            kernel_measure(codes, list, query, 128, four_u8i8, distances);                         \
        else                                                                                       \
            kernel_measure(codes, list, query, codes->bytes, four_u8i8, distances);                \
    }                                                                                              \
    static void set##_list_u4i8(const struct kernel_codes *codes, const struct kernel_list *list,  \
                                const struct kernel_query4 *query, uint32_t *distances)            \
    {                                                                                              \
        if (codes->bytes == 64)                                                                    \
            kernel_measure(codes, list, query, 64, four_u4i8, distances);                          \
        else                                                                                       \
            kernel_measure(codes, list, query, codes->bytes, four_u4i8, distances);                \
    }

/* One function for each operation on elements of `type`, from the generic ones
 * l2sq_of, dot_of and sumsq_of of the file that uses it. */
#define FLOAT_KERNELS(suffix, type)                                                                \
    static double l2sq_##suffix(const void *x, const float *query, size_t n)                       \
    {                                                                                              \
        return l2sq_of(type, x, query, n);                                                         \
    }                                                                                              \
    static double dot_##suffix(const void *x, const float *query, size_t n)                        \
    {                                                                                              \
        return dot_of(type, x, query, n);                                                          \
    }                                                                                              \
    static double sumsq_##suffix(const void *x, size_t n)                                          \
    {                                                                                              \
        return sumsq_of(type, x, n);                                                               \
    }

#define FLOAT_KERNEL_TABLE(operation)                                                              \
    {                                                                                              \
        NULL, operation##_f32, operation##_f16, operation##_i8, operation##_u8                     \
    }

/* A stored vector that is damaged may hold NaNs, and which of two NaNs an addition passes on is up
 * to the order of its operands: all are made one, so that sets agree there too. */
static inline double kernel_result(double sum)
{
    return isnan(sum) ? (double)NAN : sum;
}

#endif
