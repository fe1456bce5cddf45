/* test_failures_memory.c: memory that is denied, at every place where a workload asks for some.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault/failures.h"
#include "index/graph.h"
#include "unit/points.h"

static void memory_denied_once(void **state)
{
    static const struct failure failure = {"memory",   SEAM_MEMORY, ENOMEM, SEAM_NOTHING,
                                           LASTS_ONCE, SEEN_MAYBE,  true};
    (void)state;
    failures_try(&failure, 1);
}

static void memory_denied_for_good(void **state)
{
    static const struct failure failure = {"memory",       SEAM_MEMORY, ENOMEM, SEAM_NOTHING,
                                           LASTS_FOR_GOOD, SEEN_ALWAYS, false};
    (void)state;
    failures_try(&failure, 1);
}

/* The work is done by those that there are. */
static void threads_denied(void **state)
{
    static const struct failure failure = {"threads",  SEAM_THREAD, EAGAIN, SEAM_NOTHING,
                                           LASTS_BOTH, SEEN_NEVER,  true};
    (void)state;
    failures_try(&failure, 1);
}

/* ---- a walk that is used again -------------------------------------------------------------- */

enum { ROWS = 100, TRAP = 40, DEGREE = 8 };

/* A trap of rows near to each other, and, from the third pivot on, a chain to the rows that are
 * nearest to the query at 0. */
static void trap_init(struct points *points, struct graph *graph, uint32_t *edges)
{
    static const uint32_t pivots[] = {0, 1, TRAP};
    points_init(points, ROWS, 1);
    for (uint32_t i = 0; i < ROWS; i++) {
        uint32_t end = i < TRAP ? TRAP : ROWS;
        points->x[i] = i < TRAP ? (float)(60 + i) : i == TRAP ? 255.0f : (float)(4 * (ROWS - i));
        for (uint32_t j = 0; j < DEGREE; j++)
            edges[i * DEGREE + j] = i + 1 + j < end ? i + 1 + j : GRAPH_NO_ROW;
    }
    points_code(points, VDB_METRIC_L2, 0);
    *graph = (struct graph){
        .rows = ROWS, .degree = DEGREE, .edges = edges, .pivots = pivots, .pivot_count = 3};
}

/* What a walk that was denied memory has met is not left out by the next one. */
static void a_walk_denied_memory_serves_again(void **state)
{
    (void)state;
    struct points points;
    struct graph graph;
    uint32_t edges[ROWS * DEGREE], count;
    const struct candidate *found;
    const float query = 0;
    trap_init(&points, &graph, edges);
    for (uint64_t nth = 1, struck = 1; struck; nth++) {
        struct walk *walk = walk_create();
        assert_int_equal(walk_prepare(walk, &points.codes, kernels_best(), &query, NULL), VDB_OK);
        seam_fail(&(struct seam_fault){.kinds = SEAM_MEMORY, .nth = nth, .error = ENOMEM});
        enum vdb_status status =
            walk_graph_for(walk, &graph, 5, 12, 12, NULL, &found, &count, NULL);
        seam_pass();
        struck = seam_failures();
        assert_int_equal(status, struck ? VDB_NO_MEMORY : VDB_OK);
        assert_int_equal(walk_graph_for(walk, &graph, 5, 12, 12, NULL, &found, &count, NULL),
                         VDB_OK);
        assert_int_equal(count, 12);
        for (uint32_t i = 0; i < count; i++) assert_int_equal(found[i].row, ROWS - 1 - i);
        walk_free(walk);
    }
    points_release(&points);
}

/* With an argument, only the tests whose names fit that pattern. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_denied_once),
        cmocka_unit_test(memory_denied_for_good),
        cmocka_unit_test(threads_denied),
        cmocka_unit_test(a_walk_denied_memory_serves_again),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, failures_setup, failures_teardown);
}
