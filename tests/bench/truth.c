/* truth.c: exact search in integers, which the recall of every contender is counted against.
 *
 * Shares no code with the library. 600 million distances of 784 dimensions take a while, so the
 * result is kept in a file that names the images by their checksum. The loop below is left to the
 * compiler: the Makefile builds this file with -O3 -march=native, as it is measured by nobody.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "truth.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define TOGETHER 32 /* queries compared with a row while it is in the first cache */
#define K_MAX    100
#define THREADS  2

uint32_t truth_distance(const uint8_t *a, const uint8_t *b, size_t dim)
{
    int32_t sum = 0;
    for (size_t i = 0; i < dim; i++) {
        int16_t d = (int16_t)(a[i] - b[i]);
        sum += d * d;
    }
    return (uint32_t)sum;
}

struct task {
    const struct images *rows, *queries;
    uint32_t k;
    uint32_t *reaches;
    atomic_size_t next; /* query that nobody has taken yet */
};

/* Puts `distance` into the ascending list best[0..k), whose last one falls out. */
static void insert(uint32_t *best, uint32_t k, uint32_t distance)
{
    uint32_t i = k - 1;
    for (; i > 0 && best[i - 1] > distance; i--) best[i] = best[i - 1];
    best[i] = distance;
}

static void search_some(struct task *task, size_t first, size_t count)
{
    uint32_t best[TOGETHER][K_MAX];
    size_t dim = task->rows->dim;
    memset(best, 0xff, sizeof best);
    for (size_t row = 0; row < task->rows->count; row++) {
        for (size_t q = 0; q < count; q++) {
            uint32_t distance = truth_distance(task->queries->bytes + (first + q) * dim,
                                               task->rows->bytes + row * dim, dim);
            if (distance < best[q][task->k - 1]) insert(best[q], task->k, distance);
        }
    }
    for (size_t q = 0; q < count; q++) task->reaches[first + q] = best[q][task->k - 1];
}

static void *work(void *context)
{
    struct task *task = context;
    for (;;) {
        size_t first = atomic_fetch_add(&task->next, TOGETHER), left;
        if (first >= task->queries->count) return NULL;
        left = task->queries->count - first;
        search_some(task, first, left < TOGETHER ? left : TOGETHER);
    }
}

static void compute(struct task *task)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, task) != 0) die("cannot start a thread");
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

struct header {
    char magic[8];
    uint64_t k, count, rows_hash, queries_hash;
};

static int load(const char *path, const struct header *wanted, uint32_t *reaches)
{
    struct header header;
    FILE *file = fopen(path, "rb");
    if (file == NULL) return 0;
    int ours = fread(&header, sizeof header, 1, file) == 1 &&
               memcmp(&header, wanted, sizeof header) == 0 &&
               fread(reaches, sizeof *reaches, wanted->count, file) == wanted->count;
    fclose(file);
    return ours;
}

static void store(const char *path, const struct header *header, const uint32_t *reaches)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(header, sizeof *header, 1, file) != 1 ||
        fwrite(reaches, sizeof *reaches, header->count, file) != header->count ||
        fclose(file) != 0)
        die("%s: cannot be written", path);
}

uint32_t *truth_reaches(const struct images *rows, const struct images *queries, uint32_t k,
                        const char *cache)
{
    struct header header = {"truth-1", k, queries->count,
                            XXH3_64bits(rows->bytes, rows->count * rows->dim),
                            XXH3_64bits(queries->bytes, queries->count * queries->dim)};
    struct task task = {rows, queries, k, NULL, 0};
    if (k == 0 || k > K_MAX || rows->count < k || rows->dim != queries->dim || rows->dim > 65535 / 2)
        die("truth of such a shape is not provided for");
    task.reaches = calloc(queries->count, sizeof *task.reaches);
    if (task.reaches == NULL) die("out of memory");
    if (!load(cache, &header, task.reaches)) {
        fprintf(stderr, "bench: comparing %zu queries with %zu rows, once\n", queries->count,
                rows->count);
        compute(&task);
        store(cache, &header, task.reaches);
    }
    return task.reaches;
}
