/* check_ivf.h: what an ivf segment says of the stored vectors.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_CHECK_CHECK_IVF_H
#define VDB_CHECK_CHECK_IVF_H

#include "state/snapshot.h"

/* For an ivf part of the snapshot: all that ivf_header_validate says; that norms and 8-bit codes
 * are those of the stored vectors; and that b and f of the blocks follow from row, centroid and
 * 4-bit codes, as closely as their 16 bits can say. That the 4-bit codes are the best ones is not
 * asked for. Errors: VDB_CORRUPT, with the first that is wrong in *finding; VDB_NO_MEMORY. */
enum vdb_status check_ivf(const struct vdb_snapshot *snapshot, const struct part *part,
                          struct vdb_error *finding);

#endif
