/* memory.c: a limit on the memory that a target may ask for.
 *
 * The linker puts these in the place of the C library's (--wrap), for all that is linked into a
 * target: what the library asks for by a number of a hostile file is seen before it is given.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "aid/fuzz.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *p);
void *__real_mmap(void *at, size_t len, int protection, int flags, int fd, off_t off);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *p);
void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t off);

static atomic_size_t limit;
static atomic_llong taken;

void fuzz_memory(size_t bytes)
{
    atomic_store(&taken, 0);
    atomic_store(&limit, bytes);
}

static void ask(size_t size)
{
    size_t most = atomic_load(&limit);
    long long now = atomic_load(&taken);
    if (most == 0 || (size <= most && now + (long long)size <= (long long)most)) return;
    atomic_store(&limit, 0);
    fprintf(stderr, "%zu bytes asked for beside %lld: more than %zu for this input\n", size, now,
            most);
    abort();
}

static void *given(void *p)
{
    atomic_fetch_add(&taken, (long long)malloc_usable_size(p));
    return p;
}

void *__wrap_malloc(size_t size)
{
    ask(size);
    return given(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    ask(size && count > SIZE_MAX / size ? SIZE_MAX : count * size);
    return given(__real_calloc(count, size));
}

void *__wrap_realloc(void *p, size_t size)
{
    long long before = (long long)malloc_usable_size(p);
    atomic_fetch_sub(&taken, before);
    ask(size);
    void *now = __real_realloc(p, size);
    if (now == NULL && size != 0) atomic_fetch_add(&taken, before);
    return given(now);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    ask(size);
    return given(__real_aligned_alloc(alignment, size));
}

void __wrap_free(void *p)
{
    atomic_fetch_sub(&taken, (long long)malloc_usable_size(p));
    __real_free(p);
}

/* Room that is set apart for a file that may grow is no memory. Of the rest each request counts by
 * itself, since how much of it is given back is not known from a munmap. */
void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t off)
{
    if (flags & MAP_ANONYMOUS && protection & PROT_WRITE) ask(len);
    return __real_mmap(at, len, protection, flags, fd, off);
}
