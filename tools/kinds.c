/* kinds.c: what users call index kinds, codes and changes, and which of the former go together.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "kinds.h"

#include <stddef.h>

const char *const kind_names[] = {"auto", "flat", "graph", "hnsw", "ivf", "hybrid", NULL};
const char *const codes_names[] = {"auto", "none", "i8", "i4", "pq", "b1", NULL};

const char *kind_refuses(enum vdb_index_kind kind, enum vdb_codes codes)
{
    switch (codes) {
    case VDB_CODES_NONE:
    case VDB_CODES_I8:
        return kind == VDB_INDEX_IVF ? "--index ivf takes --codes i4, pq, b1 or auto" : NULL;
    case VDB_CODES_PQ:
    case VDB_CODES_B1:
        return kind == VDB_INDEX_IVF || kind == VDB_INDEX_AUTO || kind == VDB_INDEX_HYBRID
                   ? NULL
                   : "--codes pq and b1 are for --index ivf or hybrid";
    case VDB_CODES_AUTO:
    case VDB_CODES_I4:
        break;
    }
    return NULL;
}

const char *operation_name(enum vdb_operation operation)
{
    switch (operation) {
    case VDB_OPERATION_ADD:
        return "add";
    case VDB_OPERATION_UPDATE:
        return "update";
    case VDB_OPERATION_DELETE:
        return "delete";
    case VDB_OPERATION_RESTORE:
        break;
    }
    return "restore";
}
