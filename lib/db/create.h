/* create.h: a new, empty index.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_CREATE_H
#define VDB_DB_CREATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/osfile.h"
#include "vdb.h"

/* Makes the file, which is empty, an index without rows, durably. Errors: VDB_INVALID, VDB_IO. */
enum vdb_status create_empty(const struct osfile *file, const struct vdb_create_options *options,
                             struct vdb_error *err);

/* Whether a new index could be of that kind, codes, degree and ef_construction, which may be 0.
 * Errors: VDB_INVALID. */
enum vdb_status create_check_index(enum vdb_index_kind index, enum vdb_codes codes, uint32_t degree,
                                   uint32_t ef_construction, struct vdb_error *err);

/* Whether an index of that kind can have these codes. */
bool create_codes_fit(enum vdb_index_kind index, enum vdb_codes codes);

#endif
