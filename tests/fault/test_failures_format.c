/* test_failures_format.c: memory that is denied to the writers of lib/format, at every place where
 * they ask for some.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "fault/seam.h"
#include "format/calibration.h"
#include "format/disk.h"
#include "format/graph_header.h"
#include "format/ids.h"
#include "format/ivf_header.h"
#include "format/metadata.h"
#include "format/stream.h"
#include "format/stream_items.h"
#include "unit/example.h"

/* Does some of it into `to`, which is empty, and takes down what it keeps. */
typedef enum vdb_status (*work_fn)(struct buf *to, struct vdb_error *err);

/* Once for each allocation that it makes: without it there is an error of memory, and no other. */
static void without_memory(work_fn work)
{
    uint64_t nth = 1;
    for (;; nth++) {
        struct buf to = {0};
        struct vdb_error err = {0};
        seam_fail(&(struct seam_fault){.kinds = SEAM_MEMORY, .nth = nth, .error = ENOMEM});
        enum vdb_status status = work(&to, &err);
        seam_pass();
        buf_release(&to);
        if (seam_failures() == 0) {
            assert_int_equal(status, VDB_OK);
            break;
        }
        assert_int_equal(status, VDB_NO_MEMORY);
        assert_int_equal(err.status, VDB_NO_MEMORY);
    }
    assert_true(nth > 1);
}

static enum vdb_status calibration(struct buf *to, struct vdb_error *err)
{
    static struct calibration c = {.curve_count = CALIBRATION_CURVES_MAX};
    for (uint32_t i = 0; i < c.curve_count; i++) c.curves[i].point_count = CALIBRATION_POINTS_MAX;
    return calibration_encode(&c, to, err);
}

static enum vdb_status ids(struct buf *to, struct vdb_error *err)
{
    struct ids_builder b = {0};
    char id[200];
    enum vdb_status status = VDB_OK;
    memset(id, 'x', sizeof id);
    for (int i = 0; i < 300 && !status; i++) status = ids_builder_add(&b, id, sizeof id, err);
    if (!status) status = ids_builder_finish(&b, to, err);
    ids_builder_release(&b);
    return status;
}

static enum vdb_status metadata(struct buf *to, struct vdb_error *err)
{
    struct metadata_builder b = {0};
    char text[4000];
    uint64_t random = 88172645463325252;
    enum vdb_status status = VDB_OK;
    for (int i = 0; i < 100 && !status; i++) {
        for (size_t j = 0; j < sizeof text; j++) { /* nothing that packs well */
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            text[j] = (char)('a' + random % 26);
        }
        status = metadata_builder_add(&b, text, sizeof text, err);
    }
    if (!status) status = metadata_builder_finish(&b, to, err);
    metadata_builder_release(&b);
    return status;
}

static enum vdb_status stream_frames(struct buf *to, struct vdb_error *err)
{
    struct stream_writer w = {0};
    struct stream_header header = {.dim = 3, .metric = VDB_METRIC_L2, .type = VDB_TYPE_U8};
    struct snapshot_entry name = {.created_us = 1, .name_len = 6, .name = "monday"};
    struct stream_items_builder items = {0};
    struct buf raw = {0};
    enum vdb_status status = stream_put_header(&w, &header, to, err);
    for (int i = 0; i < 20 && !status; i++) status = stream_name_append(&name, &raw, err);
    if (!status) status = stream_put_frame(&w, DISK_FRAME_NAMES, 20, &raw, to, err);
    buf_release(&raw);
    if (!status) status = stream_name_append(&name, &raw, err);
    for (int i = 0; i < 50 && !status; i++) /* too small to be packed */
        status = stream_put_frame(&w, DISK_FRAME_NAMES, 1, &raw, to, err);
    buf_clear(&raw);
    for (int i = 0; i < 500 && !status; i++)
        status = stream_items_add(&items, "an id that is long", 18, "{\"a\": \"a text\"}", 15, err);
    if (!status) status = stream_items_finish(&items, true, &raw, err);
    if (!status) status = stream_put_frame(&w, DISK_FRAME_ROWS, 500, &raw, to, err);
    buf_clear(&raw);
    uint64_t random = 88172645463325252; /* vectors that do not pack */
    for (int i = 0; i < 1500 / 4 && !status; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        if (buf_append(&raw, &random, 4)) status = VDB_NO_MEMORY;
    }
    if (status == VDB_NO_MEMORY && err->status == VDB_OK) err->status = status; /* the test's own */
    if (!status) status = stream_put_frame(&w, DISK_FRAME_VECTORS, 500, &raw, to, err);
    if (!status) status = stream_put_end(&w, to, err);
    stream_items_release(&items);
    buf_release(&raw);
    return status;
}

/* Lists are checked with a mark a row. */
static enum vdb_status graph(struct buf *to, struct vdb_error *err)
{
    (void)to;
    static uint8_t bytes[4096];
    struct graph_header h = {.rows = 4, .degree = 4};
    struct disk_graph_header disk;
    memset(bytes, 0xff, sizeof bytes); /* rows without neighbours */
    graph_header_layout(&h);
    graph_header_encode(&h, &disk);
    memcpy(bytes, &disk, sizeof disk);
    return graph_header_validate(&h, bytes, 0, err);
}

/* So are the lists of an inverted file: the worked example of format-spec/ivf.md. */
static struct example ivf_example;

static enum vdb_status ivf(struct buf *to, struct vdb_error *err)
{
    struct ivf_header h;
    (void)to;
    enum vdb_status status =
        ivf_header_decode(ivf_example.bytes.data, ivf_example.bytes.len, 3, 4, 0, &h, err);
    return status ? status : ivf_header_validate(&h, ivf_example.bytes.data, 0, err);
}

static void ivf_without_memory(void **state)
{
    (void)state;
    example_read(&ivf_example, "ivf.md", "ivf");
    without_memory(ivf);
    example_release(&ivf_example);
}

#define DENIED(name)                                                                               \
    static void name##_without_memory(void **state)                                                \
    {                                                                                              \
        (void)state;                                                                               \
        without_memory(name);                                                                      \
    }
DENIED(calibration)
DENIED(ids)
DENIED(metadata)
DENIED(stream_frames)
DENIED(graph)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calibration_without_memory),
        cmocka_unit_test(ids_without_memory),
        cmocka_unit_test(metadata_without_memory),
        cmocka_unit_test(stream_frames_without_memory),
        cmocka_unit_test(graph_without_memory),
        cmocka_unit_test(ivf_without_memory),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
