/* binary.c: the headers of fvecs, fbin and idx files and their relatives.
 *
 * fvecs, bvecs, ivecs (TEXMEX): each row an i32 with its dimension, then the numbers.
 * fbin, u8bin, i8bin (big-ann-benchmarks): u32 rows, u32 dimensions, then the rows.
 * idx (MNIST): two zero bytes, a type, the number of dimensions, each as a big-endian u32, then
 * the numbers, big-endian. All dimensions behind the first make up a row.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <string.h>

#include "cli.h"
#include "input/matrix.h"

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
}

/* The first `want` bytes; NULL where there are fewer. */
static const uint8_t *header(struct source *source, size_t want, const char *format,
                             struct fault *fault)
{
    size_t have;
    const uint8_t *p = source_peek(source, want, &have, fault);
    if (!p || have == want) return p;
    fault_set(fault, CLI_DATA, source_name(source),
              "truncated: the header of %s takes %zu bytes, the input has %zu", format, want, have);
    return NULL;
}

struct reader *vecs_open(struct source *source, enum input_format format, struct fault *fault)
{
    struct matrix_shape shape = {.element = format == INPUT_FVECS   ? ELEMENT_F32
                                            : format == INPUT_BVECS ? ELEMENT_U8
                                                                    : ELEMENT_I32,
                                 .row_headers = true};
    size_t have;
    const uint8_t *p = source_peek(source, 4, &have, fault);
    if (p && have == 0)
        shape.dim = 1; /* no rows at all, and so none that says otherwise */
    else
        p = p ? header(source, 4, "a row", fault) : NULL;
    if (p && have > 0) {
        uint32_t bits = le32(p);
        int32_t dim;
        memcpy(&dim, &bits, sizeof dim);
        if (dim < 1 || dim > VDB_DIM_MAX) {
            fault_row(fault, source_name(source), 0, 0,
                      "its header says %" PRId32 " dimensions, expected 1 to 65535", dim);
            p = NULL;
        }
        shape.dim = bits;
    }
    if (!p) {
        source_close(source);
        return NULL;
    }
    struct reader *reader = matrix_open(source, &shape, fault);
    if (reader && have == 0) reader->dim = 0;
    return reader;
}

struct reader *bin_open(struct source *source, enum input_format format, struct fault *fault)
{
    const uint8_t *p = header(source, 8, "fbin, u8bin and i8bin", fault);
    if (!p) {
        source_close(source);
        return NULL;
    }
    struct matrix_shape shape = {.element = format == INPUT_FBIN    ? ELEMENT_F32
                                            : format == INPUT_U8BIN ? ELEMENT_U8
                                                                    : ELEMENT_I8,
                                 .rows = le32(p),
                                 .dim = le32(p + 4)};
    source_skip(source, 8);
    return matrix_open(source, &shape, fault);
}

static bool idx_header(struct source *source, struct matrix_shape *shape, struct fault *fault)
{
    static const struct {
        uint8_t code;
        enum element element;
    } types[] = {{0x08, ELEMENT_U8},     {0x09, ELEMENT_I8},     {0x0b, ELEMENT_I16_BE},
                 {0x0c, ELEMENT_I32_BE}, {0x0d, ELEMENT_F32_BE}, {0x0e, ELEMENT_F64_BE}};
    const uint8_t *p = header(source, 4, "idx", fault);
    if (!p) return false;
    size_t type = 0, count = sizeof types / sizeof types[0], dims = p[3];
    while (type < count && types[type].code != p[2]) type++;
    if (p[0] != 0 || p[1] != 0 || type == count || dims == 0) {
        fault_set(fault, CLI_DATA, source_name(source),
                  "not idx: it begins with the bytes %02x %02x %02x %02x, expected 00 00, a type "
                  "and the number of dimensions",
                  p[0], p[1], p[2], p[3]);
        return false;
    }
    p = header(source, 4 + 4 * dims, "idx", fault);
    if (!p) return false;
    shape->element = types[type].element;
    shape->rows = be32(p + 4);
    shape->dim = 1;
    for (size_t i = 1; i < dims; i++)
        if (__builtin_mul_overflow(shape->dim, be32(p + 4 + 4 * i), &shape->dim))
            shape->dim = UINT64_MAX;
    source_skip(source, 4 + 4 * dims);
    return true;
}

struct reader *idx_open(struct source *source, struct fault *fault)
{
    struct matrix_shape shape = {.rows = 0};
    if (idx_header(source, &shape, fault)) return matrix_open(source, &shape, fault);
    source_close(source);
    return NULL;
}
