/* dimension.h: the intrinsic dimension of the rows, which says how hard they are to search.
 *
 * Where it is high, as many rows lie at nearly the same distance, walks get lost on short lists.
 * The estimator is that of Levina and Bickel, "Maximum Likelihood Estimation of Intrinsic
 * Dimension" (NIPS 2004), with the means of MacKay and Ghahramani's comment on it (2005):
 *     1 / d = mean over rows x and i < k of ln(T_k(x) / T_i(x)),  T_i the distance to the i-th
 * nearest row.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_DIMENSION_H
#define VDB_INDEX_DIMENSION_H

#include <stdint.h>

#include "index/codes.h"
#include "vdb.h"
#include "vector/kernel.h"

/* Sets *thousandths to a thousand times the estimate over some of the rows, by 8-bit codes; 0 of
 * too few rows, or where all distances are the same. In integers: the same for any number of
 * threads and any kernel set. Errors: VDB_NO_MEMORY. */
enum vdb_status dimension_estimate(const struct codes *codes, const struct kernels *kernels,
                                   unsigned threads, uint32_t *thousandths, struct vdb_error *err);

#endif
