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
    for (unsigned i = 0; i < c.curve_count; i++) {
        assert_int_equal(c.curves[i].k, said(&e, "curve[%u].k", i, 0));
        assert_int_equal(c.curves[i].query_count, said(&e, "curve[%u].query_count", i, 0));
        assert_int_equal(c.curves[i].point_count, said(&e, "curve[%u].point_count", i, 0));
        for (unsigned j = 0; j < c.curves[i].point_count; j++) {
            const struct calibration_point *point = &c.curves[i].points[j];
            assert_int_equal(point->effort, said(&e, "curve[%u].point[%u].effort", i, j));
            assert_int_equal(point->recall, said(&e, "curve[%u].point[%u].recall", i, j));
            assert_int_equal(point->error, said(&e, "curve[%u].point[%u].error", i, j));
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
        {4, 8, 0},          /* more than there is room for */
        {64, 0, 64},        /* k of the first curve */
        {80, 1, 80},        /* k that does not rise */
        {68, 0, 68},        /* queries of the first curve */
        {72, 0, 72},        /* its points */
        {72, 65, 72},       /* more than there may be */
        {72, 3, 0},         /* more than there are */
        {72, 1, 0},         /* less */
        {88, 0xffffffff, 88} /* of the second */,
        {96, 0, 96},         /* the first effort */
        {108, 2, 108},       /* one that does not rise */
        {136, 704999, 136},  /* a recall that falls */
        {148, 1000001, 148}, /* above 1 */
        {152, 1000001, 152}, /* an error above 1 */
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
    uint32_t before = 1;
    for (int i = 0; i <= 100; i++) { /* whatever passes has efforts that rise with the recall */
        uint32_t effort = calibration_effort(&c, 10, i / 100.0);
        assert_true(effort >= before);
        before = effort;
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

/* Less the errors: recall@1 is 0.9 at 2, 1 at 8; recall@10 is 0.7 at 2, 0.9 at 8, 0.99 at 32. */
static void effort_of_the_example(void **state)
{
    (void)state;
    static const struct {
        uint32_t k;
        double recall;
        uint32_t effort;
    } expected[] = {
        {1, 0.9, 2},    {1, 1.0, 8},        {1, 0.95, 4}, /* sqrt(2 * 8) */
        {1, 0.951, 5},                                    /* 2 * 4^0.51 = 4.06 */
        {1, 0.1, 2},    {1, 0, 2},          {1, -1, 2},   /* below the first point */
        {1, 7, 8},      {10, 0.8, 4},       {10, 0.945, 16},
        {10, 0.99, 32}, {10, 0.995, 64},    {10, 0.999, 128},
        {10, 1, 128}, /* misses halved; at most four times */
        {3, 0.9, 4},  /* 2 * 4^log10(3) = 3.88 */
        {100, 0.9, 80}, {1000, 0.99, 3200}, {0xffffffff, 1, 0xffffffff},
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
    c.curves[0] = (struct calibration_curve){1, 9, 1, {{2, 990000, 0}}};
    c.curves[1] = (struct calibration_curve){100, 9, 1, {{8, 990000, 0}}};
    assert_int_equal(calibration_effort(&c, 10, 0.9), 4);
    assert_int_equal(calibration_effort(&c, 1, 0.9), 2);
    assert_int_equal(calibration_effort(&c, 100, 0.9), 8);
    c.curves[0].k = 5;
    assert_int_equal(calibration_effort(&c, 1, 0.9), 2); /* below the first curve: the first */
}

/* Less its error the second point is below the first: what the first assures, it does too. */
static void errors_do_not_lower_what_is_assured(void **state)
{
    (void)state;
    struct calibration c = {.curve_count = 1};
    c.curves[0] =
        (struct calibration_curve){1, 9, 3, {{2, 900000, 0}, {4, 910000, 50000}, {16, 1000000, 0}}};
    assert_int_equal(calibration_effort(&c, 1, 0.9), 2);
    assert_int_equal(calibration_effort(&c, 1, 0.95), 8); /* half way from 0.9 at 4 */
    c.curves[0].points[2].error = 1000000;
    assert_int_equal(calibration_effort(&c, 1, 0.95), 32); /* misses of 0.1 halved, from 16 on */
}

static void no_curves_no_effort(void **state)
{
    (void)state;
    struct calibration c = {0};
    assert_int_equal(calibration_effort(&c, 10, 0.95), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_spec),
        cmocka_unit_test(damaged_numbers_are_refused_by_place),
        cmocka_unit_test(hostile_bytes),
        cmocka_unit_test(effort_of_the_example),
        cmocka_unit_test(effort_between_curves),
        cmocka_unit_test(errors_do_not_lower_what_is_assured),
        cmocka_unit_test(no_curves_no_effort),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
