/* test_calibration.c: calibration segments: the spec's example, damaged ones, and what effort a
 * recall asks for.
 *
 * Efforts expected are worked out by hand from the rules of format-spec/calibration.md.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "example.h"
#include "format/calibration.h"
#include "hostile.h"

#define AT 65536 /* where in a file the segment is said to lie */

static void read_example(struct example *e, struct calibration *c)
{
    example_read(e, "calibration.md", "calibration");
    assert_int_equal(calibration_decode(e->bytes.data, e->bytes.len, AT, c, NULL), VDB_OK);
}

static uint64_t said(const struct example *e, const char *form, unsigned curve, unsigned point)
{
    char field[64];
    snprintf(field, sizeof field, form, curve, point);
    return example_number(e, field);
}

static void the_example_of_the_spec(void **state)
{
    (void)state;
    struct example e;
    struct calibration c;
    struct buf again = {0};
    read_example(&e, &c);
    assert_int_equal(c.curve_count, example_number(&e, "curve_count"));
    assert_int_equal(c.dimension, example_number(&e, "dimension"));
    assert_int_equal(c.hubness, -250); /* as the page says it */
    assert_int_equal(c.rival, example_number(&e, "rival"));
    assert_int_equal(c.rival_cost, example_number(&e, "rival_cost"));
    assert_int_equal(c.walk_dimension, example_number(&e, "walk_dimension"));
    assert_int_equal(c.measured_rows, example_number(&e, "measured_rows"));
    for (unsigned i = 0; i < c.curve_count; i++) {
        assert_int_equal(c.curves[i].k, said(&e, "curve[%u].k", i, 0));
        assert_int_equal(c.curves[i].query_count, said(&e, "curve[%u].query_count", i, 0));
        assert_int_equal(c.curves[i].point_count, said(&e, "curve[%u].point_count", i, 0));
        for (unsigned j = 0; j < c.curves[i].point_count; j++) {
            const struct calibration_point *point = &c.curves[i].points[j];
            assert_int_equal(point->effort, said(&e, "curve[%u].point[%u].effort", i, j));
            assert_int_equal(point->recall, said(&e, "curve[%u].point[%u].recall", i, j));
            assert_int_equal(point->error, said(&e, "curve[%u].point[%u].error", i, j));
            assert_int_equal(point->p5, said(&e, "curve[%u].point[%u].p5", i, j));
            assert_int_equal(point->p5_error, said(&e, "curve[%u].point[%u].p5_error", i, j));
            assert_int_equal(point->zero, said(&e, "curve[%u].point[%u].zero", i, j));
            assert_int_equal(point->cost, said(&e, "curve[%u].point[%u].cost", i, j));
        }
    }
    assert_int_equal(calibration_encode(&c, &again, NULL), VDB_OK);
    assert_int_equal(again.len, e.bytes.len);
    assert_memory_equal(again.data, e.bytes.data, again.len);
    buf_release(&again);
    example_release(&e);
}

/* ---- damage -------------------------------------------------------------------------------- */

struct damage {
    size_t at; /* of a u32 in the example */
    uint32_t value;
    size_t told; /* the place that the error names */
};

static void damaged_numbers_are_refused_by_place(void **state)
{
    (void)state;
    static const struct damage damages[] = {
        {0, 0x4c414357, 0}, /* the magic */
        {4, 0, 4},          /* no curves */
        {4, 9, 4},          /* more than there may be */
        {4, 8, 96},         /* points taken for curves */
        {64, 0, 64},        /* k of the first curve */
        {80, 1, 80},        /* k that does not rise */
        {68, 0, 68},        /* queries of the first curve */
        {72, 0, 72},        /* its points */
        {72, 65, 72},       /* more than there may be */
        {72, 3, 0},         /* more than there are */
        {72, 1, 0},         /* less */
        {88, 0xffffffff, 88} /* of the second */,
        {96, 0, 96},         /* the first effort */
        {124, 2, 124},       /* one that does not rise */
        {184, 704999, 184},  /* a recall that falls */
        {212, 1000001, 212}, /* above 1 */
        {216, 1000001, 216}, /* an error above 1 */
        {192, 299999, 192},  /* a percentile that falls */
        {220, 1000001, 220}, /* above 1 */
        {196, 600001, 196},  /* its error above it */
        {200, 10001, 200},   /* a share of zeros that rises */
        {116, 1000001, 116}, /* above 1 */
        {204, 3099, 204},    /* a cost that falls */
        {16, 5, 16},         /* a rival of no kind */
        {16, 0, 20},         /* a cost without a rival */
    };
    struct example e;
    struct calibration c;
    read_example(&e, &c);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct vdb_error err = {0};
        struct calibration none = {0};
        uint8_t bytes[256];
        assert_true(e.bytes.len <= sizeof bytes);
        memcpy(bytes, e.bytes.data, e.bytes.len);
        memcpy(bytes + damages[i].at, &damages[i].value, sizeof damages[i].value);
        assert_int_equal(calibration_decode(bytes, e.bytes.len, AT, &c, &err), VDB_CORRUPT);
        assert_string_equal(err.segment, "calibration");
        assert_int_equal(err.offset, AT + damages[i].told);
        assert_memory_equal(&c, &none, sizeof c);
    }
    example_release(&e);
}

static void short_is_refused(const uint8_t *p, size_t len, void *context)
{
    struct calibration c = {0};
    (void)context;
    assert_int_equal(calibration_decode(p, len, AT, &c, NULL), VDB_CORRUPT);
}

static void decode_any(const uint8_t *p, size_t len, void *context)
{
    struct calibration c = {0};
    (void)context;
    if (calibration_decode(p, len, AT, &c, NULL)) return;
    uint32_t before = 1, cost_before = 0;
    assert_true(c.rival <= DISK_INDEX_IVF);
    for (int i = 0; i <= 100; i++) { /* what passes has efforts and costs that rise with recall */
        uint32_t effort = calibration_effort(&c, 10, i / 100.0);
        assert_true(effort >= before);
        before = effort;
        uint32_t cost = calibration_cost(&c, 10, i / 100.0);
        assert_true(cost >= cost_before || cost == 0);
        if (cost) cost_before = cost;
    }
}

static void hostile_bytes(void **state)
{
    (void)state;
    struct example e;
    struct calibration c;
    read_example(&e, &c);
    hostile_truncations(e.bytes.data, e.bytes.len, short_is_refused, NULL);
    hostile_flips(e.bytes.data, e.bytes.len, 20000, decode_any, NULL);
    assert_int_equal(buf_append_zeros(&e.bytes, sizeof(struct disk_calibration_point)), 0);
    short_is_refused(e.bytes.data, e.bytes.len, NULL); /* nothing may follow either */
    example_release(&e);
}

/* ---- effort -------------------------------------------------------------------------------- */

/* Less the errors: recall@1 is 0.9 at 2, 1 at 8; recall@10 is 0.7 at 2, 0.9 at 8, 0.99 at 32, its
 * 5th percentile 0.2, 0.5 and 0.9. Aims are a tenth of R (1 - R) above R. */
static void effort_of_the_example(void **state)
{
    (void)state;
    static const struct {
        uint32_t k;
        double recall;
        uint32_t effort;
    } expected[] = {
        {1, 0.9, 3},  /* 0.909: 2 * 4^0.09 = 2.27; one row may be missed */
        {1, 0.95, 5}, /* 0.95475: 2 * 4^0.5475 = 4.27 */
        {1, 1.0, 8},      {1, 7, 8},          {1, 0.1, 2},
        {1, 0, 2},        {1, -1, 2}, /* below the first point */
        {10, 0.8, 5},                 /* 0.816: 2 * 4^0.58 = 4.47; 8 rows of 10 may be missed */
        {10, 0.92, 13},  /* 0.92736: 8 * 4^0.304 = 12.19; 4 may: 0.6 is at 8 * 4^0.25 = 11.31 */
        {10, 0.945, 18}, /* 0.9502: 8 * 4^0.55775 = 17.33; 3 may: 0.7 is at 8 * 4^0.5 = 16 */
        {10, 0.95, 23},  /* 0.95475: 8 * 4^0.60833 = 18.59; 2 may: 0.8 is at 8 * 4^0.75 = 22.63 */
        {10, 0.99, 36},  /* 0.99099, misses 0.00901: 32 * 0.01 / 0.00901 = 35.52 */
        {10, 0.995, 72}, /* misses 0.0045025: 71.07 */
        {10, 0.999, 128}, {10, 1, 128}, /* at most four times */
        {3, 0.9, 5},                    /* from 2.266 to 11.31, log10(3) of the way: 4.88 */
        {100, 0.9, 114},  {1000, 0.99, 3552}, {0xffffffff, 1, 0xffffffff},
    };
    struct example e;
    struct calibration c;
    read_example(&e, &c);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(calibration_effort(&c, expected[i].k, expected[i].recall),
                         expected[i].effort);
    assert_int_equal(calibration_effort(&c, 1, NAN), 2);
    example_release(&e);
}

/* Effort 2 at k = 1 and 8 at k = 100: half way in the logarithm of k, 4. */
static void effort_between_curves(void **state)
{
    (void)state;
    struct calibration c = {.curve_count = 2};
    c.curves[0] = (struct calibration_curve){1, 9, 1, {{2, 990000, 0, 990000, 0, 0, 0}}};
    c.curves[1] = (struct calibration_curve){100, 9, 1, {{8, 990000, 0, 990000, 0, 0, 0}}};
    assert_int_equal(calibration_effort(&c, 10, 0.9), 4);
    assert_int_equal(calibration_effort(&c, 1, 0.9), 2);
    assert_int_equal(calibration_effort(&c, 100, 0.9), 8);
    c.curves[0].k = 5;
    assert_int_equal(calibration_effort(&c, 1, 0.9), 2); /* below the first curve: the first */
}

/* Four times as many rows: twice as much is missed in the mean, and the error and the tail stay. */
static void more_is_missed_of_more_rows(void **state)
{
    (void)state;
    struct calibration c = {.curve_count = 1, .measured_rows = 1000, .rows = 4000};
    c.curves[0] = (struct calibration_curve){
        1, 9, 2, {{2, 900000, 0, 0, 0, 0, 2000}, {8, 990000, 10000, 0, 0, 0, 8000}}};
    assert_int_equal(calibration_effort(&c, 1, 0.8), 3);  /* 0.816: from 0.8 to 0.97, 2.28 */
    assert_int_equal(calibration_effort(&c, 1, 0.95), 8); /* 0.95475: 0.910 of the way, 7.06 */
    assert_int_equal(calibration_cost(&c, 1, 0.8), 3000);
    c.rows = 1000;
    assert_int_equal(calibration_effort(&c, 1, 0.95), 6); /* 0.684: 2 * 4^0.684 = 5.16 */
    c.rows = 900;                                         /* as a damaged file may have it */
    assert_int_equal(calibration_effort(&c, 1, 0.95), 6);
    c.rows = UINT32_MAX;
    c.measured_rows = 1;
    assert_int_equal(calibration_effort(&c, 1, 0.95), 32); /* nothing is found for sure */
}

/* Less its error the second point is below the first: what the first assures, it does too. */
static void errors_do_not_lower_what_is_assured(void **state)
{
    (void)state;
    struct calibration c = {.curve_count = 1};
    c.curves[0] = (struct calibration_curve){
        1,
        9,
        3,
        {{2, 900000, 0, 0, 0, 0, 0}, {4, 910000, 50000, 0, 0, 0, 0}, {16, 1000000, 0, 0, 0, 0, 0}}};
    assert_int_equal(calibration_effort(&c, 1, 0.89), 2); /* 0.89979 */
    assert_int_equal(calibration_effort(&c, 1, 0.95), 9); /* from 0.9 at 4: 4 * 4^0.5475 = 8.54 */
    c.curves[0].points[2].error = 1000000;
    assert_int_equal(calibration_effort(&c, 1, 0.95), 36); /* from 16 on 16 * 0.1 / 0.04525 */
}

/* The mean is there at once; 95% of the queries find 80 of 100 at effort 32, less an error at 64,
 * and 0.6 is half way to 32. A percentile less its error does not fall either. */
static void the_tail_counts(void **state)
{
    (void)state;
    struct calibration c = {.curve_count = 1};
    c.curves[0] = (struct calibration_curve){100,
                                             9,
                                             4,
                                             {{2, 999000, 0, 400000, 0, 0, 0},
                                              {8, 999000, 0, 410000, 100000, 0, 0},
                                              {32, 999000, 0, 800000, 0, 0, 0},
                                              {64, 999000, 0, 900000, 0, 0, 0}}};
    assert_int_equal(calibration_effort(&c, 100, 0.95), 32);
    assert_int_equal(calibration_effort(&c, 100, 0.9), 16);
    assert_int_equal(calibration_effort(&c, 100, 0.8), 2);
    c.curves[0].points[2].p5_error = 200000;
    c.curves[0].points[3].p5_error = 100000;
    assert_int_equal(calibration_effort(&c, 100, 0.95), 64);
    c.curves[0].point_count = 3; /* 0.6 at the last: misses of 0.4 are halved */
    assert_int_equal(calibration_effort(&c, 100, 0.95), 64);
}

/* By the efforts above: a microsecond each, and one of its own at k = 1, 1.1 at k = 10. */
static void cost_of_the_example(void **state)
{
    (void)state;
    static const struct {
        uint32_t k;
        double recall;
        uint32_t cost;
    } expected[] = {
        {1, 0, 3000},      {1, 0.9, 4000},    {1, 0.95, 6000}, {1, 1, 9000}, {10, 0.8, 6100},
        {10, 0.92, 14100}, {10, 0.95, 24100}, {10, 0.99, 0}, /* effort 36 was not measured */
        {3, 0.9, 7045}, /* from 4000 to 13100, log10(3) of the way: 7044.96 */
        {3, 0.99, 0},      {100, 0.9, 0},
    };
    struct example e;
    struct calibration c;
    read_example(&e, &c);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(calibration_cost(&c, expected[i].k, expected[i].recall), expected[i].cost);
    c.curves[0].points[0].cost = c.curves[0].points[1].cost = 0; /* not known */
    assert_int_equal(calibration_cost(&c, 3, 0.9), 0);
    assert_int_equal(calibration_cost(&c, 10, 0.95), 24100);
    c.curves[1].points[1].cost = 0; /* differences of large numbers do not overflow */
    c.curves[1].points[2].cost = UINT32_MAX;
    assert_int_equal(calibration_cost(&c, 10, 0.95), 2684354559);
    example_release(&e);
}

static void no_curves_no_effort(void **state)
{
    (void)state;
    struct calibration c = {0};
    assert_int_equal(calibration_effort(&c, 10, 0.95), 0);
    assert_int_equal(calibration_cost(&c, 10, 0.95), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_spec),
        cmocka_unit_test(damaged_numbers_are_refused_by_place),
        cmocka_unit_test(hostile_bytes),
        cmocka_unit_test(effort_of_the_example),
        cmocka_unit_test(effort_between_curves),
        cmocka_unit_test(more_is_missed_of_more_rows),
        cmocka_unit_test(errors_do_not_lower_what_is_assured),
        cmocka_unit_test(the_tail_counts),
        cmocka_unit_test(cost_of_the_example),
        cmocka_unit_test(no_curves_no_effort),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
