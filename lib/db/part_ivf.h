/* part_ivf.h: the inverted file of a part that is being built.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_PART_IVF_H
#define VDB_DB_PART_IVF_H

#include "db/part_codes.h"
#include "format/calibration.h"
#include "index/calibrate.h"
#include "index/ivf_build.h"

struct part_ivf {
    struct ivf_built built;
    struct calibration calibration;
};

/* Builds over the rows, whose 8-bit codes are `eight`, around the build's centroids where it was
 * given any, and measures what recall its searches have.
 * `dimension`: the rows' intrinsic dimension in thousandths. End with part_ivf_release, on errors
 * too. */
enum vdb_status part_ivf_make(struct part_source *source, const struct part_codes *eight,
                              uint32_t dimension, struct part_ivf *ivf, struct vdb_error *err);

/* Measures what recall its searches have, and how many estimates have to survive for it. */
enum vdb_status part_ivf_measure(struct part_source *source, const struct part_codes *eight,
                                 struct calibrator *calibrator, struct part_ivf *ivf,
                                 struct vdb_error *err);
void part_ivf_release(struct part_ivf *ivf);

/* Writes the segment into the build's file. */
enum vdb_status part_ivf_write(const struct part_source *source, const struct part_ivf *ivf,
                               struct segment_entry *segment, struct vdb_error *err);

#endif
