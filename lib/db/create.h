/* create.h: a new, empty index.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_STORE_CREATE_H
#define VDB_STORE_CREATE_H

#include <stdint.h>

#include "vdb.h"

/* Whether a new index could be of that kind, degree and ef_construction, which may be 0.
 * Errors: VDB_INVALID. */
enum vdb_status create_check_index(enum vdb_index_kind index, uint32_t degree,
                                   uint32_t ef_construction, struct vdb_error *err);

#endif
