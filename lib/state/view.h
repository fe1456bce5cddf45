/* view.h: the mapped file, shared by all who look at it.
 *
 * A view maps more than the file holds, so that the file can grow into it; who reads through one
 * checks offsets against a file length that was asked for after the bytes were written, never
 * against the mapping.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_STATE_VIEW_H
#define VDB_STATE_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "base/osfile.h"
#include "vdb.h"

struct view {
    const uint8_t *base;
    size_t cap; /* bytes mapped */
    int refs;
};

enum vdb_status view_create(const struct osfile *file, uint64_t file_len, struct view **view,
                            struct vdb_error *err);
struct view *view_ref(struct view *view);
void view_unref(struct view *view);

#endif
