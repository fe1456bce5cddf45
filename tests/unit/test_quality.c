/* test_quality.c: codes and graphs that do not find the nearest rows are told from those that do.
 *
 * What is near is computed by the test's own brute force where a number is compared.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/quality.h"
#include "points.h"

#define ROWS 3000u
#define DIM  16u

static float values[ROWS][DIM];

static double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 9007199254740992.0;
}

static void fill(double far_value)
{
    uint64_t state = 7;
    for (uint32_t i = 0; i < ROWS; i++)
        for (uint32_t j = 0; j < DIM; j++) values[i][j] = (float)uniform(&state);
    for (uint32_t j = 0; j < DIM; j++) values[ROWS / 2 + 1][j] = (float)far_value;
}

static enum vdb_status row_of(void *context, uint32_t row, float *x)
{
    (void)context;
    memcpy(x, values[row], sizeof values[row]);
    return VDB_OK;
}

static struct quality_rows source(const char *isa, unsigned threads)
{
    struct quality_rows rows = {
        .rows = ROWS, .dim = DIM, .metric = VDB_METRIC_L2, .row_fn = row_of, .threads = threads};
    if (kernels_select(isa, &rows.kernels, NULL)) kernels_select(NULL, &rows.kernels, NULL);
    return rows;
}

static void one_far_row_does_not_take_the_grid(void **state)
{
    (void)state;
    struct quality_rows rows = source(NULL, 1);
    struct quantizer plain, chosen;
    double recall;
    fill(1e5);
    assert_int_equal(quantizer_train(&plain, ROWS, DIM, VDB_METRIC_L2, row_of, NULL, NULL), VDB_OK);
    assert_true(plain.scale > 1); /* all other values, 0 to 1, have one code */
    assert_int_equal(quality_choose(&rows, &chosen, &recall, NULL), VDB_OK);
    assert_true(chosen.scale < 0.01f);
    assert_true(recall > 0.97);
}

static void values_that_one_byte_cannot_tell_apart(void **state)
{
    (void)state;
    struct quality_rows rows = source(NULL, 1);
    struct quantizer chosen;
    double recall;
    fill(0.5);
    for (uint32_t i = 0; i < ROWS; i++)
        for (uint32_t j = 0; j < DIM; j++) /* ten groups far apart, each within one step */
            values[i][j] = (float)(i % 10 * 1000) + 0.001f * values[i][j];
    assert_int_equal(quality_choose(&rows, &chosen, &recall, NULL), VDB_OK);
    assert_true(recall < 0.6);
}

static void the_same_for_any_threads_and_kernels(void **state)
{
    (void)state;
    static const char *const isas[] = {"portable", "avx2", "avx512"};
    struct quantizer first, other;
    double recall, again;
    fill(1e4);
    struct quality_rows rows = source(isas[0], 1);
    assert_int_equal(quality_choose(&rows, &first, &recall, NULL), VDB_OK);
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++)
        for (unsigned threads = 1; threads < 6; threads += 2) {
            rows = source(isas[i], threads);
            assert_int_equal(quality_choose(&rows, &other, &again, NULL), VDB_OK);
            assert_memory_equal(&first, &other, sizeof first);
            assert_true(recall == again);
        }
}

struct built {
    uint8_t code[ROWS][64];
    int32_t norm[ROWS];
    uint32_t edges[ROWS * 32];
    uint32_t pivots[1024];
};

static void a_graph_is_judged_by_its_walks(void **state)
{
    (void)state;
    struct quality_rows rows = source(NULL, 2);
    struct built *b = calloc(1, sizeof *b);
    struct quantizer grid;
    double recall;
    fill(0.5);
    assert_non_null(b);
    assert_int_equal(quality_choose(&rows, &grid, &recall, NULL), VDB_OK);
    for (uint32_t i = 0; i < ROWS; i++)
        codes_encode_row(kernels_best(), &grid, values[i], DIM, b->code[i], &b->norm[i]);
    struct codes codes = {
        .metric = VDB_METRIC_L2,
        .rows = ROWS,
        .dim = DIM,
        .code = b->code[0],
        .code_stride = 64,
        .bytes = 64,
        .norm = (const uint8_t *)b->norm,
        .norm_stride = sizeof(int32_t),
        .scale = grid.scale,
        .zero = grid.zero,
    };
    struct graph_params params = {.degree = 32, .threads = 2};
    graph_params_default(&params, 0);
    assert_int_equal(graph_build(&codes, rows.kernels, &params, b->edges, b->pivots, NULL), VDB_OK);
    struct graph graph = {.rows = ROWS,
                          .degree = 32,
                          .edges = b->edges,
                          .pivots = b->pivots,
                          .pivot_count = graph_pivot_count(ROWS, VDB_METRIC_L2)};
    assert_int_equal(quality_walk(&rows, &codes, &graph, &recall, NULL), VDB_OK);
    assert_true(recall > 0.97);
    memset(b->edges, 0xff, sizeof b->edges); /* only pivots are met */
    assert_int_equal(quality_walk(&rows, &codes, &graph, &recall, NULL), VDB_OK);
    assert_true(recall < 0.2);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_far_row_does_not_take_the_grid),
        cmocka_unit_test(values_that_one_byte_cannot_tell_apart),
        cmocka_unit_test(the_same_for_any_threads_and_kernels),
        cmocka_unit_test(a_graph_is_judged_by_its_walks),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
