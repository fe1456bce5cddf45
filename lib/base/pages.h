/* pages.h: large blocks of memory, in huge pages where the system has them.
 *
 * For arrays of which one entry here and one there is touched: with pages of 4 KiB most of these
 * touches would miss the TLB too.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_BASE_PAGES_H
#define VDB_BASE_PAGES_H

#include <stddef.h>

/* Zeroed, aligned to 64 bytes at least; NULL where there is no memory. `len` may be 0. */
void *pages_alloc(size_t len);

/* `len` as it was asked for; p may be NULL. */
void pages_free(void *p, size_t len);

#endif
