/* floats.h: a vector that grows while a line of text is read.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_FLOATS_H
#define TOOLS_INPUT_FLOATS_H

#include <stdint.h>
#include <stdlib.h>

#include "vdb.h"

struct floats {
    float *v;
    uint32_t count, capacity;
};

enum floats_status { FLOATS_OK, FLOATS_FULL, FLOATS_NO_MEMORY };

/* FLOATS_FULL: there are VDB_DIM_MAX numbers already. */
static inline enum floats_status floats_add(struct floats *f, float value)
{
    if (f->count == VDB_DIM_MAX) return FLOATS_FULL;
    if (f->count == f->capacity) {
        uint32_t capacity = f->capacity ? 2 * f->capacity : 256;
        float *v = realloc(f->v, capacity * sizeof *v);
        if (!v) return FLOATS_NO_MEMORY;
        f->v = v;
        f->capacity = capacity;
    }
    f->v[f->count++] = value;
    return FLOATS_OK;
}

#endif
