/* test_kmeans.c: clusters that are known, and nearest centroids against brute force in int64.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/kmeans.h"
#include "points.h"
#include "slow.h"

/* ---- rows, lists, and what is true of them ------------------------------------------------- */

enum { ROUGH = 3 }; /* how far rows and their planes begin off alignment */

struct rows {
    uint32_t count, dim;
    uint8_t *values; /* count * dim: the codes themselves */
    uint8_t *memory;
    struct codes codes; /* made by rows_code */
};

static void rows_init(struct rows *rows, uint32_t count, uint32_t dim)
{
    *rows = (struct rows){.count = count, .dim = dim};
    rows->values = calloc((size_t)count * dim, 1);
    assert_non_null(rows->values);
}

static void rows_release(struct rows *rows)
{
    free(rows->values);
    free(rows->memory);
}

/* Lays them out as codes, stored with that flip, rubbish behind each. */
static void rows_code(struct rows *rows, uint8_t flip)
{
    size_t bytes = codes_bytes(rows->dim), stride = bytes + 8;
    size_t codes_len = ROUGH + rows->count * stride;
    free(rows->memory);
    rows->memory = malloc(codes_len + rows->count * sizeof(int32_t));
    assert_non_null(rows->memory);
    memset(rows->memory, 0xa5, codes_len);
    for (uint32_t i = 0; i < rows->count; i++) {
        uint8_t *code = rows->memory + ROUGH + i * stride;
        for (uint32_t j = 0; j < rows->dim; j++)
            code[j] = rows->values[(size_t)i * rows->dim + j] ^ flip;
        int32_t norm = codes_norm(code, rows->dim, flip);
        memcpy(rows->memory + codes_len + i * sizeof norm, &norm, sizeof norm);
    }
    rows->codes = (struct codes){.kind = CODES_8,
                                 .rows = rows->count,
                                 .dim = rows->dim,
                                 .code = rows->memory + ROUGH,
                                 .code_stride = stride,
                                 .bytes = bytes,
                                 .flip = flip,
                                 .norm = rows->memory + codes_len,
                                 .norm_stride = sizeof(int32_t),
                                 .scale = 1.0f};
}

static void rows_random(struct rows *rows, uint64_t seed)
{
    for (size_t i = 0; i < (size_t)rows->count * rows->dim; i++)
        rows->values[i] = (uint8_t)random_next(&seed);
}

/* Row i belongs to cluster i % clusters, and lies within 4 of its centre everywhere. */
static void rows_cluster(struct rows *rows, uint32_t clusters, uint64_t seed)
{
    uint64_t own = ~seed;
    for (uint32_t i = 0; i < rows->count; i++) {
        uint64_t centre = seed * 1000003 + i % clusters;
        for (uint32_t j = 0; j < rows->dim; j++)
            rows->values[(size_t)i * rows->dim + j] =
                (uint8_t)(4 + random_next(&centre) % 247 + random_next(&own) % 9 - 4);
    }
}

struct lists {
    uint8_t *codes;
    int32_t *norms;
    uint32_t *first, *second;
    struct kmeans_lists view;
};

static void lists_init(struct lists *lists, const struct codes *codes, uint32_t count)
{
    size_t bytes = kmeans_codes_bytes(count, codes->dim);
    lists->codes = malloc(bytes);
    lists->norms = malloc(kmeans_places(count) * sizeof *lists->norms);
    lists->first = malloc(codes->rows * sizeof *lists->first);
    lists->second = malloc(codes->rows * sizeof *lists->second);
    assert_true(lists->codes && lists->norms && lists->first && lists->second);
    memset(lists->codes, 0x5a, bytes);
    memset(lists->norms, 0x5a, kmeans_places(count) * sizeof *lists->norms);
    lists->view = (struct kmeans_lists){count, codes->dim, lists->codes, lists->norms};
}

static void lists_release(struct lists *lists)
{
    free(lists->codes);
    free(lists->norms);
    free(lists->first);
    free(lists->second);
}

static const char *const SETS[] = {"portable", "avx2", "avx512"};

static const struct kernels *set_of(const char *name)
{
    const struct kernels *kernels;
    return kernels_select(name, &kernels, NULL) == VDB_OK ? kernels : kernels_best();
}

static void cluster(struct lists *lists, const struct rows *rows, uint32_t count, const char *set,
                    unsigned threads)
{
    struct kmeans_params params = {.lists = count, .threads = threads};
    struct vdb_error err = {.message = ""};
    lists_init(lists, &rows->codes, count);
    assert_int_equal(
        kmeans_train(&rows->codes, set_of(set), &params, lists->codes, lists->norms, &err), VDB_OK);
    assert_int_equal(kmeans_assign(&rows->codes, set_of(set), &lists->view, &params, lists->first,
                                   lists->second, &err),
                     VDB_OK);
    uint32_t *second = malloc(rows->codes.rows * sizeof *second);
    assert_non_null(second);
    assert_int_equal(
        kmeans_second(&rows->codes, set_of(set), &lists->view, &params, lists->first, second, &err),
        VDB_OK);
    assert_memory_equal(second, lists->second, rows->codes.rows * sizeof *second);
    free(second);
    assert_string_equal(err.message, "");
}

static int64_t value(const struct rows *rows, uint32_t row, uint32_t j)
{
    return rows->values[(size_t)row * rows->dim + j];
}

static int64_t centroid(const struct lists *lists, uint32_t list, uint32_t j)
{
    return lists->codes[kernel_block_at(kernel_block_groups(lists->view.dim), list, j)];
}

static int64_t distance(const struct rows *rows, const struct lists *lists, uint32_t row,
                        uint32_t list)
{
    int64_t sum = 0;
    for (uint32_t j = 0; j < rows->dim; j++) {
        int64_t d = value(rows, row, j) - centroid(lists, list, j);
        sum += d * d;
    }
    return sum;
}

/* SOAR's loss times |r|^2; |s|^2 where r is 0. */
static double soar(const struct rows *rows, const struct lists *lists, uint32_t row, uint32_t list)
{
    int64_t r2 = 0, s2 = 0, dot = 0;
    for (uint32_t j = 0; j < rows->dim; j++) {
        int64_t r = value(rows, row, j) - centroid(lists, lists->first[row], j);
        int64_t s = value(rows, row, j) - centroid(lists, list, j);
        r2 += r * r;
        s2 += s * s;
        dot += r * s;
    }
    return r2 ? (double)(s2 * r2 + dot * dot) : (double)s2;
}

/* Norms, zeros behind centroids, and every row in its lists; all lists are neighbours. */
static void lists_check(const struct rows *rows, const struct lists *lists)
{
    uint32_t count = lists->view.count;
    for (uint32_t l = 0; l < kmeans_places(count); l++) {
        int64_t norm = 0;
        for (uint32_t j = 0; j < 4 * kernel_block_groups(rows->dim); j++) {
            int64_t c = centroid(lists, l, j);
            norm += c * (c - 256);
            if (l >= count || j >= rows->dim) assert_int_equal(c, 0);
        }
        assert_int_equal(lists->norms[l], norm);
    }
    for (uint32_t row = 0; row < rows->count; row++) {
        uint32_t nearest = 0, second = lists->second[row];
        for (uint32_t l = 1; l < count; l++)
            if (distance(rows, lists, row, l) < distance(rows, lists, row, nearest)) nearest = l;
        assert_int_equal(lists->first[row], nearest);
        if (count == 1) {
            assert_int_equal(second, KMEANS_NO_LIST);
            continue;
        }
        assert_in_range(second, 0, count - 1);
        assert_int_not_equal(second, nearest);
        double loss = soar(rows, lists, row, second);
        for (uint32_t l = 0; l < count; l++)
            if (l != nearest && soar(rows, lists, row, l) < loss * (1 - 1e-12))
                fail_msg("row %u: list %u is a better second than %u", row, l, second);
    }
}

/* ---- tests --------------------------------------------------------------------------------- */

static void finds_known_clusters(void **state)
{
    (void)state;
    enum { CLUSTERS = 12, ROWS = 12 * 47, DIM = 70 };
    struct rows rows;
    struct lists lists;
    rows_init(&rows, ROWS, DIM);
    rows_cluster(&rows, CLUSTERS, 5);
    rows_code(&rows, 0);
    cluster(&lists, &rows, CLUSTERS, NULL, 1);
    for (uint32_t row = 0; row < ROWS; row++) {
        assert_int_equal(lists.first[row], lists.first[row % CLUSTERS]);
        for (uint32_t other = 0; other < row % CLUSTERS; other++)
            assert_int_not_equal(lists.first[row], lists.first[other]);
    }
    for (uint32_t c = 0; c < CLUSTERS; c++)
        for (uint32_t j = 0; j < DIM; j++) { /* the mean of all its rows, which all are looked at */
            int64_t sum = 0, n = ROWS / CLUSTERS;
            for (uint32_t row = c; row < ROWS; row += CLUSTERS) sum += value(&rows, row, j);
            assert_int_equal(centroid(&lists, lists.first[c], j), (2 * sum + n) / (2 * n));
        }
    lists_check(&rows, &lists);
    lists_release(&lists);
    rows_release(&rows);
}

/* More lists than are neighbours, and more rows than the sample. */
static void many_clusters_are_all_found(void **state)
{
    (void)state;
    enum { CLUSTERS = 150, LISTS = 300, ROWS = 50000, DIM = 20 };
    struct rows rows;
    struct lists lists;
    rows_init(&rows, ROWS, DIM);
    rows_cluster(&rows, CLUSTERS, 77);
    rows_code(&rows, 0);
    cluster(&lists, &rows, LISTS, NULL, 1);
    for (uint32_t row = 0; row < ROWS; row++)
        assert_in_range(distance(&rows, &lists, row, lists.first[row]), 0, DIM * 8 * 8);
    lists_release(&lists);
    rows_release(&rows);
}

static void lists_are_the_nearest(void **state)
{
    (void)state;
    static const struct {
        uint32_t rows, dim, lists;
    } cases[] = {{50, 1, 7},    {300, 3, 129}, {400, 64, 33}, {1100, 100, 50}, {90, 200, 9},
                 {40, 1000, 6}, {5, 2, 2},     {64, 17, 1},   {400, 1, 40}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int flipped = 0; flipped < 2; flipped++) {
            struct rows rows;
            struct lists lists, plain;
            rows_init(&rows, cases[i].rows, cases[i].dim);
            rows_random(&rows, i + 1);
            rows_code(&rows, 0);
            cluster(&plain, &rows, cases[i].lists, NULL, 1);
            rows_code(&rows, flipped ? 0x80 : 0);
            cluster(&lists, &rows, cases[i].lists, NULL, 1);
            lists_check(&rows, &lists);
            assert_memory_equal(lists.codes, plain.codes,
                                kmeans_codes_bytes(cases[i].lists, cases[i].dim));
            lists_release(&plain);
            lists_release(&lists);
            rows_release(&rows);
        }
}

static void one_list_is_the_mean(void **state)
{
    (void)state;
    enum { ROWS = 1000, DIM = 5 }; /* more than 257 */
    struct rows rows;
    struct lists lists;
    rows_init(&rows, ROWS, DIM);
    rows_random(&rows, 3);
    for (uint32_t row = 0; row < ROWS; row++) rows.values[row * DIM] = 255;
    rows_code(&rows, 0);
    struct kmeans_params params = {.lists = 1, .threads = 1, .sample = ROWS};
    lists_init(&lists, &rows.codes, 1);
    assert_int_equal(
        kmeans_train(&rows.codes, kernels_best(), &params, lists.codes, lists.norms, NULL), VDB_OK);
    for (uint32_t j = 0; j < DIM; j++) {
        int64_t sum = 0;
        for (uint32_t row = 0; row < ROWS; row++) sum += value(&rows, row, j);
        assert_int_equal(centroid(&lists, 0, j), (2 * sum + ROWS) / (2 * ROWS));
    }
    lists_release(&lists);
    rows_release(&rows);
}

static void same_for_threads_and_kernels(void **state)
{
    (void)state;
    enum { ROWS = SLOW ? 3000 : 9000, DIM = 100, LISTS = SLOW ? 70 : 200 };
    static const unsigned threads[] = {1, 2, 5};
    struct rows rows;
    struct lists one, other;
    rows_init(&rows, ROWS, DIM);
    rows_random(&rows, 11);
    rows_code(&rows, 0);
    cluster(&one, &rows, LISTS, NULL, 1);
    for (int s = 0; s < 3; s++) {
        cluster(&other, &rows, LISTS, SETS[s], threads[s]);
        assert_memory_equal(one.codes, other.codes, kmeans_codes_bytes(LISTS, DIM));
        assert_memory_equal(one.norms, other.norms, LISTS * sizeof *one.norms);
        assert_memory_equal(one.first, other.first, ROWS * sizeof *one.first);
        assert_memory_equal(one.second, other.second, ROWS * sizeof *one.second);
        lists_release(&other);
    }
    lists_release(&one);
    rows_release(&rows);
}

/* Where there are as many lists as different rows, each of these is a centroid. */
static void every_distinct_row_gets_a_list(void **state)
{
    (void)state;
    static const struct {
        uint32_t rows, distinct, lists;
    } cases[] = {{300, 5, 20}, {300, 1, 9}, {400, 201, 201}, {150, 150, 150}, {1, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t dim = 30, distinct = cases[i].distinct;
        struct rows rows;
        struct lists lists;
        rows_init(&rows, cases[i].rows, dim);
        rows_random(&rows, 21 + i);
        for (uint32_t row = distinct; row < rows.count; row++)
            memcpy(rows.values + (size_t)row * dim, rows.values + (size_t)(row % distinct) * dim,
                   dim);
        rows_code(&rows, 0);
        cluster(&lists, &rows, cases[i].lists, NULL, 2);
        for (uint32_t row = 0; row < rows.count; row++)
            assert_int_equal(distance(&rows, &lists, row, lists.first[row]), 0);
        lists_release(&lists);
        rows_release(&rows);
    }
}

/* Nearly all rows are the same: the few that are not lie far off, and among them are more lists
 * than there are seeds in the share of the sample that seeds are drawn from. */
static void empty_lists_are_filled(void **state)
{
    (void)state;
    enum { ROWS = 640, DIM = 8, LISTS = 10, ODD = 40 };
    struct rows rows;
    struct lists lists;
    uint32_t sizes[LISTS] = {0};
    rows_init(&rows, ROWS, DIM);
    rows_random(&rows, 31);
    for (uint32_t row = 0; row < ROWS; row++)
        if (row % (ROWS / ODD)) memset(rows.values + (size_t)row * DIM, 9, DIM);
    rows_code(&rows, 0);
    cluster(&lists, &rows, LISTS, NULL, 1);
    for (uint32_t row = 0; row < ROWS; row++) sizes[lists.first[row]]++;
    for (uint32_t l = 0; l < LISTS; l++) assert_int_not_equal(sizes[l], 0);
    lists_check(&rows, &lists);
    lists_release(&lists);
    rows_release(&rows);
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Against all distances, sorted; half of the lists come twice. */
static void nearest_is_sorted(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 15, 16, 17, 31, 64, 100, 127, 128, 257, 1030};
    enum { DIM = 70 };
    uint64_t seed = 4;
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        uint32_t count = counts[c];
        struct rows rows;
        struct lists lists;
        rows_init(&rows, count, DIM);
        rows_random(&rows, 41 + c);
        rows_code(&rows, 0);
        lists_init(&lists, &rows.codes, count);
        memset(lists.codes, 0, kmeans_codes_bytes(count, DIM));
        for (uint32_t l = 0; l < count; l++) {
            uint32_t from = l % 4 == 1 ? l - 1 : l == count - 1 ? count / 2 : l;
            kmeans_put(lists.codes, DIM, l, rows.values + (size_t)from * DIM);
            lists.norms[l] = codes_norm(rows.values + (size_t)from * DIM, DIM, 0);
        }
        uint64_t *expected = malloc(count * sizeof *expected);
        uint64_t *first = malloc(count * sizeof *first); /* answer, of the sets' */
        uint64_t *scratch = malloc(kmeans_scratch_bytes(count));
        assert_true(expected && first && scratch);
        int8_t values[128] = {0};
        struct kernel_query8 query = {.values = values};
        for (int j = 0; j < DIM; j++) values[j] = (int8_t)random_next(&seed);
        for (int inner = 0; inner < 2; inner++) {
            query.inner = inner;
            query.base = 0x80000000u;
            if (!inner) {
                query.base = 0;
                for (int j = 0; j < DIM; j++)
                    query.base += (uint32_t)((values[j] + 128) * (values[j] + 128));
            }
            for (uint32_t l = 0; l < count; l++) {
                int64_t squares = 0, products = 0;
                for (uint32_t j = 0; j < DIM; j++) {
                    int64_t x = centroid(&lists, l, j), d = x - (values[j] + 128);
                    squares += d * d;
                    products += x * values[j];
                }
                expected[l] = (uint64_t)(inner ? 0x80000000 - products : squares) << 32 | l;
            }
            qsort(expected, count, sizeof *expected, compare_keys);
            for (uint32_t n = 0; n <= count + 1; n = n < 40 ? n + 1 : n * 5 / 4) {
                uint32_t found = n < count ? n : count;
                for (int s = 0; s < 6; s++) {
                    uint32_t sorted = s < 3 ? n : n / 5;
                    assert_int_equal(kmeans_nearest(&lists.view, set_of(SETS[s % 3]), &query, n,
                                                    sorted, scratch),
                                     found);
                    if (sorted > found) sorted = found;
                    assert_memory_equal(scratch, expected, sorted * sizeof *scratch);
                    if (s > 3) assert_memory_equal(scratch, first, found * sizeof *scratch);
                    memcpy(first, scratch, found * sizeof *scratch);
                    qsort(scratch, found, sizeof *scratch, compare_keys);
                    assert_memory_equal(scratch, expected, found * sizeof *scratch);
                }
            }
        }
        free(expected);
        free(first);
        free(scratch);
        lists_release(&lists);
        rows_release(&rows);
    }
}

/* Where all lists are equally near, and where distances are the largest and least there are. */
static void nearest_of_equal_lists(void **state)
{
    (void)state;
    enum { COUNT = 1000, DIM = 5 };
    static uint8_t codes[64 * 2 * 63];
    static int32_t norms[1008];
    struct kmeans_lists lists = {COUNT, DIM, codes, norms};
    int8_t values[8] = {0};
    uint64_t *scratch = malloc(kmeans_scratch_bytes(COUNT));
    assert_non_null(scratch);
    static const uint32_t bases[] = {0, 0x7fffffff, 0x80000000u, UINT32_MAX};
    for (size_t b = 0; b < 4; b++)
        for (uint32_t n = 1; n <= COUNT; n += 37) {
            struct kernel_query8 query = {.values = values, .base = bases[b]};
            assert_int_equal(kmeans_nearest(&lists, kernels_best(), &query, n, n, scratch), n);
            for (uint32_t i = 0; i < n; i++)
                assert_true(scratch[i] == ((uint64_t)bases[b] << 32 | i));
        }
    free(scratch);
}

static void one_code_goes_and_comes(void **state)
{
    (void)state;
    enum { COUNT = 35, DIM = 13 };
    uint8_t codes[64 * 4 * 3] = {0}, code[DIM], back[DIM];
    assert_int_equal(kmeans_codes_bytes(COUNT, DIM), sizeof codes);
    assert_int_equal(kmeans_places(COUNT), 48);
    assert_int_equal(kmeans_places(32), 32);
    for (int i = 0; i < DIM; i++) code[i] = (uint8_t)(100 + i);
    kmeans_put(codes, DIM, 34, code);
    kmeans_get(codes, DIM, 34, back);
    assert_memory_equal(code, back, DIM);
    /* Place 2 of block 2, of 256 bytes. */
    assert_int_equal(codes[512 + 8], 100);
    assert_int_equal(codes[512 + 11], 103);
    assert_int_equal(codes[512 + 64 + 9], 105);
    assert_int_equal(codes[512 + 192 + 8], 112);
    assert_int_equal(codes[512 + 192 + 9], 0);
}

struct watch {
    int calls, end_at;
    uint64_t done;
};

static int watch_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
    struct watch *watch = context;
    assert_non_null(phase);
    assert_in_range(done, watch->done, total);
    watch->done = done;
    return ++watch->calls == watch->end_at;
}

static void progress_can_cancel(void **state)
{
    (void)state;
    struct rows rows;
    struct lists lists;
    rows_init(&rows, 40000, 2); /* assigned in more than one go */
    rows_random(&rows, 51);
    rows_code(&rows, 0);
    lists_init(&lists, &rows.codes, 20);
    for (int assign = 0; assign < 2; assign++) {
        int calls = 0;
        for (int end_at = 0; end_at <= calls; end_at++) {
            struct watch watch = {.end_at = end_at};
            struct kmeans_params params = {
                .lists = 20, .threads = 1, .progress = watch_progress, .context = &watch};
            struct vdb_error err = {.message = ""};
            enum vdb_status status = assign
                                         ? kmeans_assign(&rows.codes, kernels_best(), &lists.view,
                                                         &params, lists.first, NULL, &err)
                                         : kmeans_train(&rows.codes, kernels_best(), &params,
                                                        lists.codes, lists.norms, &err);
            assert_int_equal(status, end_at ? VDB_CANCELLED : VDB_OK);
            assert_string_equal(err.message, end_at ? "cancelled" : "");
            if (end_at)
                assert_int_equal(watch.calls, end_at);
            else
                calls = watch.calls;
        }
        assert_in_range(calls, 2, 100);
        if (!assign) { /* the lists that the second round assigns to */
            struct kmeans_params params = {.lists = 20, .threads = 1};
            assert_int_equal(
                kmeans_train(&rows.codes, kernels_best(), &params, lists.codes, lists.norms, NULL),
                VDB_OK);
        }
    }
    lists_release(&lists);
    rows_release(&rows);
}

static void impossible_numbers_of_lists(void **state)
{
    (void)state;
    struct rows rows;
    struct lists lists;
    struct vdb_error err;
    rows_init(&rows, 3, 2);
    rows_code(&rows, 0);
    lists_init(&lists, &rows.codes, 4);
    for (uint32_t count = 0; count <= 4; count += 4) {
        struct kmeans_params params = {.lists = count, .threads = 1};
        assert_int_equal(
            kmeans_train(&rows.codes, kernels_best(), &params, lists.codes, lists.norms, &err),
            VDB_INVALID);
    }
    assert_string_equal(err.message, "4 lists of 3 rows");
    lists_release(&lists);
    rows_release(&rows);
}

/* Five or six of eight clusters have a seed, in another order: lists that are not split keep it,
 * and the other clusters are found. Seeds beyond three quarters of the lists are left out. */
static void seeds_are_begun_with(void **state)
{
    (void)state;
    enum { CLUSTERS = 8, DIM = 40 };
    static const uint32_t order[CLUSTERS] = {5, 2, 7, 0, 4, 1, 6, 3};
    struct rows rows;
    rows_init(&rows, 800, DIM);
    rows_cluster(&rows, CLUSTERS, 11);
    rows_code(&rows, 0);
    size_t bytes = rows.codes.bytes;
    uint8_t *seeds = calloc(CLUSTERS, bytes), code[DIM];
    assert_non_null(seeds);
    for (uint32_t i = 0; i < CLUSTERS; i++)
        memcpy(seeds + i * bytes, rows.values + (size_t)order[i] * DIM, DIM);
    for (uint32_t count = 5; count <= CLUSTERS; count++) {
        struct kmeans_params params = {
            .lists = CLUSTERS, .threads = 1, .seeds = seeds, .seed_count = count};
        struct lists lists;
        unsigned met = 0;
        uint32_t kept = 0, seeded = count < 6 ? count : 6;
        lists_init(&lists, &rows.codes, CLUSTERS);
        assert_int_equal(
            kmeans_train(&rows.codes, kernels_best(), &params, lists.codes, lists.norms, NULL),
            VDB_OK);
        for (uint32_t i = 0; i < CLUSTERS; i++) {
            kmeans_get(lists.codes, DIM, i, code);
            for (uint32_t c = 0; c < CLUSTERS; c++) { /* rows c and all c + 8 j are of cluster c */
                uint32_t off = 0;
                for (uint32_t j = 0; j < DIM; j++)
                    off += (uint32_t)abs(code[j] - rows.values[(size_t)c * DIM + j]) > 8;
                if (off) continue;
                met |= 1u << c;
                kept += i < 6 && c == order[i];
            }
        }
        assert_int_equal(met, (1u << CLUSTERS) - 1);
        assert_true(kept >= seeded - (CLUSTERS - seeded)); /* each split moves one at most */
        lists_release(&lists);
    }
    free(seeds);
    rows_release(&rows);
}

static void imbalance_of_known_sizes(void **state)
{
    (void)state;
    const uint32_t even[] = {7, 7, 7}, one[] = {0, 9, 0, 0}, mixed[] = {3, 1}, none[] = {0, 0};
    const uint32_t large[] = {4000000000u, 0};
    assert_true(kmeans_imbalance(even, 3) == 1.0);
    assert_true(kmeans_imbalance(one, 4) == 4.0);
    assert_true(kmeans_imbalance(mixed, 2) == 1.25);
    assert_true(kmeans_imbalance(none, 2) == 0.0);
    assert_true(kmeans_imbalance(large, 2) == 2.0);
}

/* The codes of centroids on the first axis of five, before and after. Of lengths a and b the mean
 * is (a + b) / 2, and a may move by sqrt((1 - a^2) / 10). */
static void lengths_come_together(void **state)
{
    (void)state;
    enum { DIM = 5, ZERO = 100 };
    static const struct {
        uint8_t before[2], after[2];
    } cases[] = {
        {{150, 170}, {160, 160}}, /* 0.5 and 0.7: as far as 0.27 and 0.23 */
        {{199, 130}, {195, 160}}, /* 0.99 and 0.3: by 0.0446 and 0.3016 */
        {{200, 140}, {200, 169}}, /* 1, with no residual, and 0.4: by 0.2898 */
        {{255, 245}, {255, 245}}, /* beyond 1, which no mean of rows is */
        {{100, 140}, {100, 120}}, /* no direction, and 0.4 */
        {{45, 165}, {40, 160}},   /* -0.55 and 0.65 */
        {{123, 123}, {123, 123}},
    };
    struct codes grid = {.dim = DIM, .scale = 0.01f, .zero = ZERO};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t codes[64 * 2] = {0}, code[DIM];
        int32_t norms[16] = {0};
        for (uint32_t list = 0; list < 2; list++) {
            memset(code, ZERO, DIM);
            code[0] = cases[i].before[list];
            kmeans_put(codes, DIM, list, code);
            norms[list] = codes_norm(code, DIM, 0);
        }
        kmeans_even_lengths(&grid, 2, codes, norms);
        for (uint32_t list = 0; list < 2; list++) {
            uint8_t expected[DIM];
            memset(expected, ZERO, DIM);
            expected[0] = cases[i].after[list];
            kmeans_get(codes, DIM, list, code);
            assert_memory_equal(code, expected, DIM);
            assert_int_equal(norms[list], codes_norm(expected, DIM, 0));
        }
    }
}

/* A centroid at the end of the grid, (0.635, 0), and a longer one, (0.5, 0.6) of length 0.781: the
 * mean is 0.708. Beyond the end, below it, and with a zero far outside of the codes. */
static void lengths_stay_on_the_grid(void **state)
{
    (void)state;
    static const struct {
        int32_t zero;
        uint8_t before[2][2], after[2][2];
    } cases[] = {
        {128, {{255, 128}, {228, 248}}, {{255, 128}, {219, 237}}},
        {127, {{0, 127}, {27, 7}}, {{0, 127}, {36, 18}}},
        {-500, {{30, 0}, {0, 60}}, {{38, 8}, {0, 52}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct codes grid = {.dim = 2, .scale = i < 2 ? 0.005f : 0.001f, .zero = cases[i].zero};
        uint8_t codes[64] = {0}, code[2];
        int32_t norms[16] = {0};
        for (uint32_t list = 0; list < 2; list++) kmeans_put(codes, 2, list, cases[i].before[list]);
        kmeans_even_lengths(&grid, 2, codes, norms);
        for (uint32_t list = 0; list < 2; list++) {
            kmeans_get(codes, 2, list, code);
            assert_memory_equal(code, cases[i].after[list], 2);
            assert_int_equal(norms[list], codes_norm(code, 2, 0));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_known_clusters),
        cmocka_unit_test(many_clusters_are_all_found),
        cmocka_unit_test(lists_are_the_nearest),
        cmocka_unit_test(one_list_is_the_mean),
        cmocka_unit_test(same_for_threads_and_kernels),
        cmocka_unit_test(every_distinct_row_gets_a_list),
        cmocka_unit_test(empty_lists_are_filled),
        cmocka_unit_test(nearest_is_sorted),
        cmocka_unit_test(nearest_of_equal_lists),
        cmocka_unit_test(one_code_goes_and_comes),
        cmocka_unit_test(progress_can_cancel),
        cmocka_unit_test(impossible_numbers_of_lists),
        cmocka_unit_test(seeds_are_begun_with),
        cmocka_unit_test(imbalance_of_known_sizes),
        cmocka_unit_test(lengths_come_together),
        cmocka_unit_test(lengths_stay_on_the_grid),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
