/* test_graph_cells.c: who comes meets all rows of the cells nearest to it, each once.
 *
 * Expected leaders: by brute force over the codes.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/graph_cells.h"
#include "points.h"

enum { ROWS = 5003, FRESH = 311, PIECE = 90 };

static uint8_t met[FRESH][ROWS];

static void meet(void *context, unsigned worker, const uint32_t *rows, uint32_t n,
                 const uint32_t *askers, uint32_t asker_count)
{
    (void)context;
    assert_int_equal(worker, 0);
    assert_in_range(n, 1, PIECE);
    assert_in_range(asker_count, 1, FRESH);
    for (uint32_t i = 0; i < asker_count; i++)
        for (uint32_t j = 0; j < n; j++) {
            assert_in_range(askers[i], ROWS - FRESH, ROWS - 1);
            assert_int_equal(met[askers[i] - (ROWS - FRESH)][rows[j]]++, 0);
        }
}

static uint32_t code_distance(const struct points *points, uint32_t a, uint32_t b)
{
    const uint8_t *x = points->codes.code + (size_t)a * points->codes.code_stride;
    const uint8_t *y = points->codes.code + (size_t)b * points->codes.code_stride;
    uint32_t sum = 0;
    for (uint32_t i = 0; i < points->dim; i++) sum += (uint32_t)((x[i] - y[i]) * (x[i] - y[i]));
    return sum;
}

/* Leaders before `leader` in the order of distance, ties by number. */
static uint32_t rank_of(const struct points *points, uint32_t cells, uint32_t row, uint32_t leader)
{
    uint32_t distance = code_distance(points, row, leader), rank = 0;
    for (uint32_t other = 0; other < cells; other++) {
        uint32_t its = code_distance(points, row, other);
        rank += its < distance || (its == distance && other < leader);
    }
    return rank;
}

static uint32_t cell_of(const struct points *points, uint32_t cells, uint32_t row)
{
    uint32_t leader = 0;
    while (rank_of(points, cells, row, leader)) leader++;
    return leader;
}

static void who_comes_meets_the_nearest_cells(void **state)
{
    (void)state;
    static const uint32_t copies[] = {1, 4, 16};
    for (size_t c = 0; c < 3; c++) {
        struct points points;
        struct space space;
        uint32_t order[ROWS];
        points_init(&points, ROWS, 7 + 20 * (uint32_t)c);
        points_cluster(&points, 30, 0.7, c);
        points_code(&points, VDB_METRIC_L2, c == 1 ? 3 : 0);
        for (uint32_t i = 0; i < ROWS; i++) order[i] = i;
        space_init(&space, &points.codes, kernels_best(), SPACE_L2);
        struct cells cells = {.space = &space,
                              .order = order,
                              .fresh = order + ROWS - FRESH,
                              .count = ROWS,
                              .fresh_count = FRESH,
                              .copies = copies[c],
                              .piece_rows = PIECE,
                              .workers = 1};
        memset(met, 0, sizeof met);
        assert_int_equal(cells_init(&cells, NULL), VDB_OK);
        assert_in_range(cells.cells, 2 * copies[c], ROWS / 250 + 2 * copies[c]);
        cells_home(&cells, 0, 0, 1000);
        cells_home(&cells, 0, 1000, ROWS + 100); /* of both kinds */
        cells_home(&cells, 0, ROWS + 100, ROWS + FRESH);
        cells_fill(&cells);
        cells_visit(&cells, 0, 0, cells.cells / 2, meet, NULL);
        cells_visit(&cells, 0, cells.cells / 2, cells.cells, meet, NULL);
        for (uint32_t row = 0; row < ROWS; row += 13) {
            uint32_t cell = cell_of(&points, cells.cells, row);
            for (uint32_t i = 0; i < FRESH; i += 7)
                assert_int_equal(met[i][row],
                                 rank_of(&points, cells.cells, ROWS - FRESH + i, cell) < copies[c]);
        }
        cells_release(&cells);
        points_release(&points);
    }
}

/* Expected: the least of the sum that graph_cells.c states, over all numbers of cells. */
static void distances_are_few(void **state)
{
    (void)state;
    static const uint32_t fresh[] = {100, 1000, 10000, 100000};
    for (size_t i = 0; i < sizeof fresh / sizeof *fresh; i++) {
        double count = 500000, best = 1e300;
        for (double cells = 20; cells <= 1000; cells++) {
            double sum = (count + fresh[i]) * cells + 10.0 * fresh[i] * count / cells;
            best = sum < best ? sum : best;
        }
        double chosen = (double)cells_distances(500000, fresh[i], 10, 100);
        assert_true(chosen >= 0.999 * best);
        assert_true(chosen <= 1.1 * best);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_meets_the_nearest_cells),
        cmocka_unit_test(distances_are_few),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
