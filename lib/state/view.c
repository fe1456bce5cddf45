/* view.c: the mapped file, shared by all who look at it.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "state/view.h"

#include <stdlib.h>

#include "base/error.h"

/* Addresses cost nothing but addresses: a quarter more and this much let most files grow for as
 * long as a handle lives without being mapped again. */
#define VIEW_SLACK ((uint64_t)256 << 20)

enum vdb_status view_create(const struct osfile *file, uint64_t file_len, struct view **view,
                            struct vdb_error *err)
{
    uint64_t cap = file_len + file_len / 4 + VIEW_SLACK;
    cap -= cap % 65536;
    struct view *made = malloc(sizeof *made);
    if (!made) return error_no_memory(err);
    *made = (struct view){.cap = (size_t)cap, .refs = 1};
    int failed = osfile_map(file, 0, made->cap, &made->base);
    if (failed) {
        free(made);
        return error_set_errno(err, VDB_IO, failed, "cannot map the file");
    }
    *view = made;
    return VDB_OK;
}

struct view *view_ref(struct view *view)
{
    __atomic_add_fetch(&view->refs, 1, __ATOMIC_RELAXED);
    return view;
}

void view_unref(struct view *view)
{
    if (!view || __atomic_sub_fetch(&view->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    osfile_unmap(view->base, view->cap);
    free(view);
}
