/* dimension.h: the intrinsic dimension of the rows, which says how hard they are to search, and
 * their hubness.
 *
 * Where it is high, as many rows lie at nearly the same distance, walks get lost on short lists.
 * The estimator is that of Levina and Bickel, "Maximum Likelihood Estimation of Intrinsic
 * Dimension" (NIPS 2004), with the means of MacKay and Ghahramani's comment on it (2005):
 *     1 / d = mean over rows x and i < k of ln(T_k(x) / T_i(x)),  T_i the distance to the i-th
 * nearest row.
 *
 * Hubs are rows that are among the nearest of many others; walks on a graph crowd there, and rows
 * that are nobody's near ones are hard to find. Hubness is the skewness of how often a row is among
 * the HUBNESS_NEAREST nearest of another: Radovanovic, Nanopoulos and Ivanovic, "Hubs in Space"
 * (JMLR 2010).
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

/* Sets *thousandths to a thousand times the skewness over a sample of HUBNESS_ROWS rows, each of
 * which seeks its nearest in the sample, by 8-bit codes; rows at distance 0 of it are not counted.
 * It is that of the sample: all rows, where they are more, have a greater one. 0 where every row is
 * near to as many. The same for any number of threads and any kernel set. Errors: VDB_NO_MEMORY. */
#define HUBNESS_NEAREST 10
#define HUBNESS_ROWS    2048
enum vdb_status hubness_estimate(const struct codes *codes, const struct kernels *kernels,
                                 unsigned threads, int32_t *thousandths, struct vdb_error *err);

#endif
