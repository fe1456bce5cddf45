/* matrix.h: the reader of binary rows that lie one after another, all of one length.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_MATRIX_H
#define TOOLS_INPUT_MATRIX_H

#include "input/element.h"
#include "input/reader.h"

struct matrix_shape {
    enum element element;
    uint64_t rows;
    uint64_t dim;
    bool row_headers; /* fvecs and its like: each row begins with its dimension, an i32; rows not
                         known where the size is not */
};

/* `source` stands at the first row and is taken over, on failure too. The shape is what a header
 * says: it is held against the limits and, where that is known, the size of the file. */
struct reader *matrix_open(struct source *source, const struct matrix_shape *shape,
                           struct fault *fault);

#endif
