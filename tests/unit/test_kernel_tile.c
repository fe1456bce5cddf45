/* test_kernel_tile.c: every kernel set gives packed rows the same, right distances.
 *
 * Expected values: sums by a loop in i64 over rows as they were before they were packed. Buffers
 * end where they must, so that ASan sees what is read or written beyond.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "points.h"
#include "vector/kernel.h"
#include "vector/kernel_tile.h"

static const char *const names[] = {"portable", "avx2", "avx512"};

static const struct kernels *set(size_t i)
{
    const struct kernels *kernels;
    return kernels_select(names[i], &kernels, NULL) == VDB_OK ? kernels : NULL;
}

enum values { ANY, EXTREME };

static uint8_t value(uint64_t *seed, enum values values)
{
    uint64_t x = random_next(seed);
    return values == ANY ? (uint8_t)x : x & 1 ? 0x80 : 0xff; /* 255 or 128; -1 or -128 */
}

static void check_tile(uint32_t rows, uint32_t fours, enum values values, size_t gap)
{
    uint64_t seed = rows * 1000 + fours;
    uint32_t room = (rows + 31) / 32 * 32, dim = 4 * fours;
    size_t query_stride = dim + gap, stride = room + gap;
    uint8_t *plain = malloc((size_t)rows * dim), *panels = malloc((size_t)room * dim);
    int8_t *queries = malloc(7 * query_stride + dim);
    uint32_t *norms = malloc(room * sizeof *norms), bases[8];
    uint32_t *distances = malloc((7 * stride + room) * sizeof *distances);
    assert_true(plain && panels && queries && norms && distances);
    for (size_t i = 0; i < (size_t)room * dim; i++) panels[i] = (uint8_t)random_next(&seed);
    for (uint32_t row = 0; row < rows; row++)
        for (uint32_t i = 0; i < dim; i++) {
            uint8_t x = plain[(size_t)row * dim + i] = value(&seed, values);
            panels[(size_t)(row / 16) * 16 * dim + (size_t)(i / 4) * 64 + row % 16 * 4 + i % 4] = x;
        }
    for (size_t i = 0; i < 7 * query_stride + dim; i++) queries[i] = (int8_t)value(&seed, values);
    for (uint32_t i = 0; i < room; i++) norms[i] = (uint32_t)random_next(&seed);
    for (int i = 0; i < 8; i++) bases[i] = (uint32_t)random_next(&seed);
    for (size_t k = 0; k < 3; k++) {
        if (!set(k)) continue;
        struct kernel_tile tile = {.panels = panels,
                                   .norms = norms,
                                   .rows = rows,
                                   .fours = fours,
                                   .queries = queries,
                                   .query_stride = query_stride,
                                   .bases = bases,
                                   .distances = distances,
                                   .stride = stride};
        memset(distances, 0, (7 * stride + room) * sizeof *distances);
        set(k)->tile_u8i8(&tile);
        for (uint32_t i = 0; i < 8; i++) {
            uint32_t least[16];
            memset(least, 0xff, sizeof least);
            for (uint32_t row = 0; row < room; row++) {
                uint32_t expected = UINT32_MAX;
                if (row < rows) {
                    int64_t sum = 0;
                    for (uint32_t j = 0; j < dim; j++)
                        sum +=
                            (int64_t)plain[(size_t)row * dim + j] * queries[i * query_stride + j];
                    expected = norms[row] - (uint32_t)(2 * sum) + bases[i];
                }
                assert_int_equal(distances[i * stride + row], expected);
                if (expected < least[row % 16]) least[row % 16] = expected;
            }
            assert_memory_equal(tile.least[i], least, sizeof least);
        }
    }
    free(plain);
    free(panels);
    free(queries);
    free(norms);
    free(distances);
}

static void tiles(void **state)
{
    (void)state;
    static const uint32_t rows[] = {1, 15, 16, 17, 31, 32, 33, 64, 100};
    static const uint32_t fours[] = {1, 2, 16, 25, 49, 196};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t j = 0; j < sizeof fours / sizeof *fours; j++) {
            check_tile(rows[i], fours[j], ANY, 0);
            check_tile(rows[i], fours[j], EXTREME, 0);
            check_tile(rows[i], fours[j], ANY, 5);
        }
}

/* The most that a sum can be. */
static void longest_rows(void **state)
{
    (void)state;
    check_tile(33, 65536 / 4, EXTREME, 0);
}

static void selections(void **state)
{
    (void)state;
    static const uint32_t limits[] = {0, 1, 500, 999, 0x80000000u, UINT32_MAX - 1, UINT32_MAX};
    uint64_t seed = 5;
    for (uint32_t n = 0; n < 70; n++) {
        uint32_t *values = malloc(n * sizeof *values + 1);
        uint32_t *places = malloc((n + 16) * sizeof *places);
        assert_true(values && places);
        for (uint32_t i = 0; i < n; i++) {
            uint64_t x = random_next(&seed);
            values[i] = x % 5 == 0 ? UINT32_MAX - (uint32_t)(x >> 63) : (uint32_t)(x >> 32) % 1000;
            if (x % 7 == 0) values[i] = 0x80000000u - (uint32_t)(x >> 63);
        }
        for (size_t l = 0; l < sizeof limits / sizeof *limits; l++)
            for (size_t k = 0; k < 3; k++) {
                if (!set(k)) continue;
                uint32_t count = set(k)->select_u32(values, n, limits[l], places), found = 0;
                for (uint32_t i = 0; i < n; i++) {
                    if (values[i] > limits[l]) continue;
                    assert_true(found < count);
                    assert_int_equal(places[found++], i);
                }
                assert_int_equal(count, found);
            }
        free(values);
        free(places);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles),
        cmocka_unit_test(longest_rows),
        cmocka_unit_test(selections),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
