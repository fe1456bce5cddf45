/* kinds.h: what users call index kinds, codes and changes, and which of the former go together.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_KINDS_H
#define TOOLS_KINDS_H

#include "vdb.h"

/* By enum vdb_index_kind and enum vdb_codes; NULL behind the last. */
extern const char *const kind_names[], *const codes_names[];

/* NULL where an index of that kind can have these codes, else one sentence that says why not. */
const char *kind_refuses(enum vdb_index_kind kind, enum vdb_codes codes);

/* "add", "update", "delete" or "restore". */
const char *operation_name(enum vdb_operation operation);

#endif
