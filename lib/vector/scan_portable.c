/* scan_portable.c: the scan by look-up tables in plain C, which the other sets' are held against.
 *
 * No expression here may be fused (-ffp-contract=off for gcc, the pragma for clang).
 * SPDX-License-Identifier: BSD-2-Clause */
#include "base/le.h"
#include "vector/kernel_cut.h"
#include "vector/kernel_scan.h"
#include "vector/kernel_sets.h"
#include "vector/vtype.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

/* The codes of a row in a group are one word: its bytes' low halves in the order of the table, then
 * its high halves. */
static uint32_t row_sum(const struct kernel_scan *scan, const uint8_t *codes)
{
    const uint8_t *table = scan->table;
    uint32_t sum = 0;
    for (uint32_t g = 0; g < scan->groups; g++) {
        uint32_t word = le32_at(codes);
        sum += (uint32_t)table[word & 15] + table[16 + (word >> 8 & 15)];
        sum += (uint32_t)table[32 + (word >> 16 & 15)] + table[48 + (word >> 24 & 15)];
        sum += (uint32_t)table[64 + (word >> 4 & 15)] + table[80 + (word >> 12 & 15)];
        sum += (uint32_t)table[96 + (word >> 20 & 15)] + table[112 + (word >> 28)];
        codes += KERNEL_SCAN_GROUP;
        table += KERNEL_SCAN_TABLE;
    }
    return sum;
}

static void scan_block(struct kernel_scan *scan, const struct kernel_scan_block *from)
{
    const uint8_t *block = from->at;
    for (uint32_t row = 0; row < KERNEL_SCAN_ROWS; row++) {
        uint32_t sum = row_sum(scan, block + KERNEL_SCAN_HEADER + 4 * row);
        float b = f16_to_f32(le16_at(block + 2 * row));
        float f = f16_to_f32(le16_at(block + 2 * KERNEL_SCAN_ROWS + 2 * row));
        float product = scan->scale * (float)sum + scan->offset;
        float estimate = from->base + (scan->unit_b * b - f * product);
        if (!(estimate < scan->limit)) continue;
        scan->slots[scan->count] = from->slot + row;
        scan->estimates[scan->count] = estimate;
        scan->count++;
    }
}

uint32_t portable_scan_u4(struct kernel_scan *scan)
{
    uint32_t done = 0;
    for (; done < scan->block_count && kernel_scan_has_room(scan, 1); done++)
        scan_block(scan, &scan->blocks[done]);
    return done;
}

/* ---- cutting ------------------------------------------------------------------------------- */

static struct kernel_ends ends_of(const float *x, uint32_t n)
{
    struct kernel_ends ends = {x[0], x[0]};
    for (uint32_t i = 1; i < n; i++) {
        ends.low = x[i] < ends.low ? x[i] : ends.low;
        ends.high = x[i] > ends.high ? x[i] : ends.high;
    }
    return ends;
}

#define COUNTED 16 /* at once: a loop of constant length, which compilers vectorise */

static uint32_t count_up_to(const float *x, uint32_t n, float most)
{
    uint32_t lanes[COUNTED] = {0}, count = 0;
    const float *whole = x + n / COUNTED * COUNTED, *end = x + n;
    for (; x < whole; x += COUNTED)
        for (int j = 0; j < COUNTED; j++) lanes[j] += x[j] <= most;
    for (; x < end; x++) count += *x <= most;
    for (int j = 0; j < COUNTED; j++) count += lanes[j];
    return count;
}

void portable_cut_scan(struct kernel_scan *scan, uint32_t wanted)
{
    uint32_t n = scan->count, most = wanted + wanted / 8, kept = 0;
    if (n <= wanted) return;
    const struct kernel_ends ends = ends_of(scan->estimates, n);
    float bound = kernel_cut_bound(scan->estimates, n, wanted, ends, count_up_to);
    for (uint32_t i = 0; i < n && kept < most; i++) {
        float estimate = scan->estimates[i];
        scan->slots[kept] = scan->slots[i];
        scan->estimates[kept] = estimate;
        kept += estimate <= bound;
    }
    scan->count = kept;
    scan->limit = bound;
}
