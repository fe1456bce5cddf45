/* cost.h: what searches cost, by what they count.
 *
 * Which index is the better one, and how to search it, is decided by counts of rows and lists, not
 * by a clock: the same rows give the same choice on every machine. The weights make nanoseconds of
 * the counts, of one core of an x86-64 server of 2025 with AVX-512; what matters is their ratios.
 * They were fitted to searches of four data sets (tests/bench/NOTES.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_COST_H
#define VDB_INDEX_COST_H

#include <stdint.h>

#include "index/graph.h"
#include "index/ivf.h"

/* Cache lines that a code row has. */
uint32_t cost_lines(const struct codes *codes);

/* Of walks on a graph over these codes, and of one walk's way in. */
uint64_t cost_walks(const struct codes *codes, const struct walk_work *work);
uint64_t cost_entry(const struct codes *codes, const struct graph *graph);

/* Of searches in an inverted file, and of what one does before it scans lists. */
uint64_t cost_probes(const struct ivf *ivf, const struct ivf_work *work);
uint64_t cost_lists(const struct ivf *ivf);

/* Of measuring so many stored vectors that lie anywhere, to decide between estimates. */
uint64_t cost_vectors(uint64_t rows, uint64_t bytes);

/* Of measuring so many stored vectors, of so many bytes each, one after another; and so many
 * vectors or codes that lie anywhere. */
uint64_t cost_scan(uint64_t rows, uint64_t bytes);
uint64_t cost_list(uint64_t rows, uint64_t bytes);

#endif
