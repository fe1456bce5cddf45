/* npy_header.h: the Python dictionary at the head of a NumPy file.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_NPY_HEADER_H
#define TOOLS_INPUT_NPY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NPY_DIMS_MAX = 32, NPY_DESCR_SIZE = 32 }; /* NumPy's own limit of dimensions */

struct npy_header {
    char descr[NPY_DESCR_SIZE]; /* "<f4" */
    bool fortran_order;
    unsigned dims;
    uint64_t shape[NPY_DIMS_MAX];
};

/* Parses {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }: the three keys in any order,
 * each once. false: `why` is a constant that says what was expected, *at where. */
bool npy_header_parse(const char *text, size_t len, struct npy_header *header, const char **why,
                      size_t *at);

#endif
