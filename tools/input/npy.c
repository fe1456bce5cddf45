/* npy.c: NumPy arrays, format versions 1.0, 2.0 and 3.0 (they differ in the length field's width
 * and the header's encoding).
 * SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "cli.h"
#include "input/matrix.h"
#include "input/npy_header.h"
#include "input/text.h"

enum { HEADER_MAX = 1 << 20 };

static bool element_of(const char *descr, enum element *element)
{
    static const struct {
        const char *descr;
        enum element element;
    } known[] = {{"<f4", ELEMENT_F32},
                 {"<f2", ELEMENT_F16},
                 {"<f8", ELEMENT_F64},
                 {"|i1", ELEMENT_I8},
                 {"|u1", ELEMENT_U8}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].descr, descr) == 0) {
            *element = known[i].element;
            return true;
        }
    return false;
}

/* What is read of what NumPy can write: false with the reason. */
static bool shape_of(const struct npy_header *header, struct matrix_shape *shape, const char *name,
                     struct fault *fault)
{
    char quoted[QUOTE_SIZE];
    if (!element_of(header->descr, &shape->element))
        fault_set(fault, CLI_DATA, name,
                  "the array's element type is '%s', expected <f4, <f2, <f8, |i1 or |u1",
                  quote(quoted, header->descr, strlen(header->descr)));
    else if (header->fortran_order)
        fault_set(fault, CLI_DATA, name,
                  "the array is in Fortran order, expected C order "
                  "(numpy.save of numpy.ascontiguousarray makes it so)");
    else if (header->dims != 1 && header->dims != 2)
        fault_set(fault, CLI_DATA, name,
                  "the array has %u dimensions, expected 2 (rows of vectors) or 1 (one vector)",
                  header->dims);
    else {
        shape->rows = header->dims == 2 ? header->shape[0] : 1;
        shape->dim = header->shape[header->dims - 1];
        return true;
    }
    return false;
}

/* The whole head: magic, version, length, dictionary. Its size goes into *size. */
static bool read_head(struct source *source, struct npy_header *header, size_t *size,
                      struct fault *fault)
{
    const char *name = source_name(source), *why;
    size_t have, at, prefix;
    const uint8_t *p = source_peek(source, 12, &have, fault);
    if (!p) return false;
    if (have < 12 || memcmp(p, "\x93NUMPY", 6) != 0) {
        fault_set(fault, CLI_DATA, name, "not a NumPy file: expected the bytes 93 'NUMPY' at 0");
        return false;
    }
    if (p[6] < 1 || p[6] > 3) {
        fault_set(fault, CLI_DATA, name, "NumPy format version %u.%u, expected 1 to 3", p[6], p[7]);
        return false;
    }
    prefix = p[6] == 1 ? 10 : 12;
    size_t len = (size_t)p[8] | (size_t)p[9] << 8;
    if (p[6] > 1) len |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (len > HEADER_MAX) {
        fault_set(fault, CLI_DATA, name, "the NumPy header takes %zu bytes, expected at most %d",
                  len, HEADER_MAX);
        return false;
    }
    *size = prefix + len;
    p = source_peek(source, *size, &have, fault);
    if (!p) return false;
    if (have < *size) {
        fault_set(fault, CLI_DATA, name,
                  "truncated: the NumPy header takes %zu bytes, the input has %zu", *size, have);
        return false;
    }
    if (npy_header_parse((const char *)p + prefix, len, header, &why, &at)) return true;
    fault_set(fault, CLI_DATA, name, "the NumPy header is damaged at byte %zu: %s", prefix + at,
              why);
    return false;
}

struct reader *npy_open(struct source *source, struct fault *fault)
{
    struct npy_header header;
    struct matrix_shape shape = {.rows = 0};
    size_t size;
    if (!read_head(source, &header, &size, fault) ||
        !shape_of(&header, &shape, source_name(source), fault)) {
        source_close(source);
        return NULL;
    }
    source_skip(source, size);
    return matrix_open(source, &shape, fault);
}
