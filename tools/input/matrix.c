/* matrix.c: rows of numbers from a file whose header has been read.
 *
 * A regular file's size must be exactly what its header says, before the first record is given
 * out. From a pipe the same faults show when they are met.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "input/matrix.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct matrix {
    struct reader reader;
    struct source *source;
    struct matrix_shape shape;
    bool endless; /* the number of rows is not known */
    uint64_t row;
    size_t row_bytes; /* with the row's header */
    float vector[];
};

static enum input_status at_end(struct matrix *m, struct fault *fault)
{
    size_t have;
    if (!source_peek(m->source, 1, &have, fault)) return INPUT_FATAL;
    if (have == 0) return INPUT_END;
    fault_row(fault, m->reader.name, m->row, source_offset(m->source),
              "the header announces %" PRIu64 " rows, and more bytes follow", m->shape.rows);
    return INPUT_FATAL;
}

static bool row_header_fits(const char *name, const struct matrix_shape *shape, uint64_t row,
                            uint64_t offset, const uint8_t *p, struct fault *fault)
{
    uint32_t bits =
        (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    if (bits == shape->dim) return true;
    int32_t dim;
    memcpy(&dim, &bits, sizeof dim);
    fault_row(fault, name, row, offset,
              "its header says %" PRId32 " dimensions, expected %" PRIu64 " as in row 0", dim,
              shape->dim);
    return false;
}

static enum input_status matrix_next(struct reader *reader, struct record *record,
                                     struct fault *fault)
{
    struct matrix *m = (struct matrix *)reader;
    if (!m->endless && m->row == m->shape.rows) return at_end(m, fault);
    uint64_t offset = source_offset(m->source);
    size_t have;
    const uint8_t *p = source_peek(m->source, m->row_bytes, &have, fault);
    if (!p) return INPUT_FATAL;
    if (m->endless && have == 0) return INPUT_END;
    if (m->shape.row_headers) {
        if (have >= 4 && !row_header_fits(reader->name, &m->shape, m->row, offset, p, fault))
            return INPUT_FATAL;
        p += 4;
    }
    if (have < m->row_bytes) {
        fault_row(fault, reader->name, m->row, offset,
                  "truncated: the row takes %zu bytes, %zu are there", m->row_bytes, have);
        return INPUT_FATAL;
    }
    element_load(m->shape.element, p, m->vector, m->shape.dim);
    source_skip(m->source, m->row_bytes);
    *record = (struct record){
        .vector = m->vector, .dim = (uint32_t)m->shape.dim, .place = m->row++, .offset = offset};
    return INPUT_RECORD;
}

static double matrix_progress(const struct reader *reader)
{
    return source_progress(((const struct matrix *)reader)->source);
}

static void matrix_close(struct reader *reader)
{
    source_close(((struct matrix *)reader)->source);
    free(reader);
}

/* What the size of a file says about its header. */
static bool size_fits(const struct source *source, const struct matrix_shape *shape,
                      uint64_t row_bytes, struct fault *fault)
{
    uint64_t size, header = source_offset(source), want;
    if (!source_size(source, &size)) return true;
    if (__builtin_mul_overflow(shape->rows, row_bytes, &want) ||
        __builtin_add_overflow(want, header, &want)) {
        fault_set(fault, CLI_DATA, source_name(source),
                  "the header announces %" PRIu64 " rows of %" PRIu64
                  " dimensions, more than any file holds",
                  shape->rows, shape->dim);
        return false;
    }
    if (want == size) return true;
    fault_set(fault, CLI_DATA, source_name(source),
              "the header announces %" PRIu64 " rows of %" PRIu64 " dimensions, %" PRIu64
              " bytes with the header; the file has %" PRIu64 "%s",
              shape->rows, shape->dim, want, size, size < want ? ": it is truncated" : "");
    return false;
}

/* Without a count, the size must be whole rows. Where it is not, a row of another dimension is
 * looked for first: rows behind it are not where they seem, and the file need not be cut off. */
static bool count_rows(const struct source *source, struct matrix_shape *shape, uint64_t row_bytes,
                       struct fault *fault)
{
    uint64_t size;
    if (!source_size(source, &size)) return true;
    shape->rows = size / row_bytes;
    if (size % row_bytes == 0) return true;
    uint8_t head[4];
    for (uint64_t off = 0; source_read_at(source, off, head, sizeof head); off += row_bytes)
        if (!row_header_fits(source_name(source), shape, off / row_bytes, off, head, fault))
            return false;
    fault_row(fault, source_name(source), shape->rows, shape->rows * row_bytes,
              "the file of %" PRIu64 " bytes ends within the row: rows of %" PRIu64
              " dimensions take %" PRIu64 " bytes",
              size, shape->dim, row_bytes);
    return false;
}

struct reader *matrix_open(struct source *source, const struct matrix_shape *given,
                           struct fault *fault)
{
    struct matrix_shape shape = *given;
    uint64_t ignored;
    bool known = !shape.row_headers || source_size(source, &ignored);
    size_t row_bytes = 0;
    struct matrix *m = NULL;
    if (shape.dim == 0 || shape.dim > VDB_DIM_MAX) {
        fault_set(fault, CLI_DATA, source_name(source),
                  "the header announces %" PRIu64 " dimensions, expected 1 to 65535", shape.dim);
        goto refuse;
    }
    row_bytes = shape.dim * element_size(shape.element) + (shape.row_headers ? 4 : 0);
    if (!(shape.row_headers ? count_rows(source, &shape, row_bytes, fault)
                            : size_fits(source, &shape, row_bytes, fault)))
        goto refuse;
    m = malloc(sizeof *m + shape.dim * sizeof m->vector[0]);
    if (!m) {
        fault_set(fault, CLI_IOERR, source_name(source), "out of memory");
        goto refuse;
    }
    m->reader = (struct reader){.name = source_name(source),
                                .dim = (uint32_t)shape.dim,
                                .type = element_type(shape.element),
                                .rows = known ? shape.rows : 0,
                                .next = matrix_next,
                                .progress = matrix_progress,
                                .close = matrix_close};
    m->source = source;
    m->shape = shape;
    m->endless = !known;
    m->row = 0;
    m->row_bytes = row_bytes;
    return &m->reader;

refuse:
    source_close(source);
    return NULL;
}
