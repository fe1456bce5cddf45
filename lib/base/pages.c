/* pages.c: memory mapped at multiples of the huge page's size.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "base/pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

static size_t whole(size_t len)
{
    return (len + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
}

void *pages_alloc(size_t len)
{
    if (len < HUGE_PAGE) {
        void *small = aligned_alloc(64, (len + 64) & ~(size_t)63);
        return small ? memset(small, 0, len) : NULL;
    }
    if (len > SIZE_MAX - 2 * HUGE_PAGE) return NULL;
    size_t room = whole(len) + HUGE_PAGE;
    uint8_t *at = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return NULL;
    size_t skip = (size_t)(0 - (uintptr_t)at) & (HUGE_PAGE - 1);
    if (skip) munmap(at, skip);
    size_t end = skip + whole(len);
    if (end < room) munmap(at + end, room - end);
    madvise(at + skip, whole(len), MADV_HUGEPAGE);
    return at + skip;
}

void pages_free(void *p, size_t len)
{
    if (!p) return;
    if (len < HUGE_PAGE)
        free(p);
    else
        munmap(p, whole(len));
}
