/* kmeans.c: Lloyd's k-means over codes, in integers.
 *
 * Seeds are drawn as in k-means++ (Arthur and Vassilvitskii, "k-means++: The Advantages of Careful
 * Seeding", SODA 2007), with a probability in proportion to the square of the distance to the
 * nearest seed so far, but several at once, as in k-means|| (Bahmani et al., "Scalable K-Means++",
 * PVLDB 2012): a pass over the rows for one seed would be bound by memory and by starting threads.
 * A batch grows with the seeds that there are, so that it stays a small share of them, and the
 * weighted clustering that k-means|| ends with is not needed.
 *
 * Only some of the lists begin with a seed; the others come of splitting, one after another, the
 * list that has most rows once rows have found their seeds. A seed for each leaves far rows lists
 * of their own, and rows that lie close together too few: with one in four drawn, 6 and 20 rows in
 * a hundred less are read for the same recall on GloVe and Fashion-MNIST, and a third of the rows
 * on 250,000 of many clusters. So it matters little where seeds come from: those of an older part
 * gave lists as good as drawn ones (tests/bench/NOTES.md), with fewer iterations.
 *
 * Later iterations measure a row against the lists near its own alone, as in cluster closures (Wang
 * et al., "Fast Approximate k-Means via Cluster Closures", CVPR 2012), with the centroids nearest
 * to the list's for its closure. The assignment at the end measures all.
 *
 * The second list of a row is that of SOAR (Sun et al., "SOAR: Improved Indexing for Approximate
 * Nearest Neighbor Search", NeurIPS 2023, with lambda = 1): for the residuals r = x - c of the
 * first list and s = x - d of another, the one with the least
 *     |s|^2 + (r.s / |r|)^2,    2 r.s = |r|^2 + |s|^2 - |c - d|^2.
 * A query that the first list serves badly lies along r, where such an s does better than the
 * second nearest. Only the lists nearest to the first one are tried.
 *
 * Owns nothing beyond a call.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/kmeans.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/par.h"
#include "index/kmeans_pass.h"

#define SAMPLE_A_LIST  160
#define ITERATIONS     10
#define CONTINUED      8  /* iterations from seeds that are given */
#define DRAWN          4  /* one list in so many begins with a seed that is drawn */
#define SEEDING_A_LIST 8  /* rows to draw seeds from */
#define SEEDS_A_BATCH  8  /* a batch is at most one in so many of the seeds that there are */
#define SLICE_BLOCKS   32 /* between two calls of progress */

/* The first iterations look at a part of the sample, and at all lists for each row, then one at the
 * whole sample; those behind them look at near lists only. On a million rows in 2,000 clusters near
 * lists alone left four tenths more rows to be read for the same recall, as a list does not find
 * its way to a cluster that has none; looking at all lists to the end took twice the time for 0 to
 * 3 rows less in a hundred. A sample of 64 a list left 9 to 15 in a hundred more. */
#define PART            4
#define PART_ITERATIONS 3

static uint64_t mix(uint64_t x) /* SplitMix64 */
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* ---- training ------------------------------------------------------------------------------ */

struct training {
    struct pass pass;
    struct kmeans_params params;
    uint8_t *centroids; /* the caller's; pass.lists shows them */
    int32_t *norms;
    uint32_t sample, seeding; /* rows, and the first of them that seeds are drawn from */
    uint32_t *rows;           /* of the sample */
    uint32_t *members;        /* places in the pass, those of a list together */
    uint32_t *begin, *size;   /* where a list's are */
    uint32_t *left;           /* sizes of the lists that can be split */
    uint64_t *below;          /* of a row: the sum of the distances of those before it */
    int changed;
};

static int training_progress(const struct training *t, uint32_t done)
{
    const struct kmeans_params *params = &t->params;
    return params->progress &&
           params->progress(params->context, "train lists", done, params->iterations);
}

static void training_release(struct training *t)
{
    pass_release(&t->pass);
    free(t->pass.list);
    free(t->pass.distance);
    free(t->rows);
    free(t->members);
    free(t->begin);
    free(t->size);
    free(t->left);
    free(t->below);
}

/* One row of each stretch of the same length, where in it by a hash, and in an order by hashes, so
 * that the first of them are a sample, too: rows that come in a rhythm are met as any others. */
static void sample_draw(struct training *t, uint32_t rows)
{
    for (uint32_t i = 0; i < t->sample; i++) {
        uint64_t from = (uint64_t)i * rows / t->sample;
        uint64_t to = (uint64_t)(i + 1) * rows / t->sample;
        uint64_t at = mix(~(uint64_t)i) % ((uint64_t)i + 1);
        t->rows[i] = t->rows[at];
        t->rows[at] = (uint32_t)(from + mix(i) % (to - from));
    }
}

/* training_release is due after a failure, too. */
static enum vdb_status training_init(struct training *t, const struct codes *codes,
                                     const struct kernels *kernels,
                                     const struct kmeans_params *params, struct vdb_error *err)
{
    size_t lists = params->lists;
    struct kmeans_lists view = {params->lists, codes->dim, t->centroids, t->norms};
    memset(t->centroids, 0, kmeans_codes_bytes(view.count, view.dim));
    memset(t->norms, 0, kmeans_places(view.count) * sizeof *t->norms);
    t->params = *params;
    if (t->params.iterations == 0) t->params.iterations = params->seeds ? CONTINUED : ITERATIONS;
    uint64_t sample = params->sample ? params->sample : (uint64_t)SAMPLE_A_LIST * lists;
    if (sample < lists) sample = lists;
    if (sample > codes->rows) sample = codes->rows;
    t->sample = (uint32_t)sample;
    uint64_t seeding = (uint64_t)SEEDING_A_LIST * lists;
    t->seeding = seeding < sample ? (uint32_t)seeding : t->sample;

    enum vdb_status status = pass_init(&t->pass, codes, kernels, &view, params->threads, err);
    if (status != VDB_OK) return status;
    t->pass.list = malloc(sample * sizeof *t->pass.list);
    t->pass.distance = malloc(sample * sizeof *t->pass.distance);
    t->pass.rows = t->rows = malloc(sample * sizeof *t->rows);
    t->members = malloc(sample * sizeof *t->members);
    t->begin = malloc(lists * sizeof *t->begin);
    t->size = malloc(lists * sizeof *t->size);
    t->left = malloc(lists * sizeof *t->left);
    t->below = malloc(t->seeding * sizeof *t->below);
    if (!t->pass.list || !t->pass.distance || !t->rows || !t->members || !t->begin || !t->size ||
        !t->left || !t->below)
        return error_no_memory(err);
    sample_draw(t, codes->rows);
    return VDB_OK;
}

/* Copies the centroid of list `from` to place `to`. */
static void centroid_copy(uint8_t *codes, size_t to, const struct kmeans_lists *lists, size_t from)
{
    size_t groups = kernel_block_groups(lists->dim);
    const uint8_t *source = lists->codes + kernel_block_at(groups, from, 0);
    codes += kernel_block_at(groups, to, 0);
    for (size_t g = 0; g < groups; g++) memcpy(codes + 64 * g, source + 64 * g, 4);
}

static void centroid_set_row(struct training *t, uint32_t list, uint32_t row)
{
    const struct codes *codes = t->pass.space.codes;
    const uint8_t *code = space_code(&t->pass.space, row);
    size_t groups = kernel_block_groups(codes->dim);
    for (uint32_t i = 0; i < codes->dim; i++)
        t->centroids[kernel_block_at(groups, list, i)] = code[i] ^ codes->flip;
    t->norms[list] = codes_norm(code, codes->dim, codes->flip);
}

/* ---- seeds --------------------------------------------------------------------------------- */

/* The first place, of `count`, at and before which the distances add up to more than `target`. */
static uint32_t draw_at(const uint64_t *below, uint32_t count, uint64_t target)
{
    uint32_t low = 0, high = count; /* below[low] <= target; below[high] is above it */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (below[middle] <= target)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Draws up to `wanted` different rows in proportion to their distances, whose sum is not 0: one in
 * each stretch of the same sum, so that a batch is spread as the rows are. */
static uint32_t seeds_draw(struct training *t, uint32_t chosen, uint32_t wanted, uint32_t count,
                           uint64_t total)
{
    uint32_t drawn = 0, last = 0;
    for (uint32_t i = 0; i < wanted; i++) {
        uint64_t share = total / wanted, from = share * i;
        uint64_t length = i + 1 < wanted ? share : total - from;
        if (length == 0) continue;
        uint64_t random = mix((uint64_t)chosen << 32 | i);
        uint32_t at = draw_at(t->below, count, from + random % length);
        if (drawn && at == last) continue;
        last = at;
        centroid_set_row(t, chosen + drawn++, pass_row(&t->pass, at));
    }
    return drawn;
}

static uint64_t seeds_sum(struct training *t, uint32_t count)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        t->below[i] = total;
        total += t->pass.distance[i];
    }
    return total;
}

/* Lists from `first` on are to stay empty until others are split: those of equal centroids lose
 * every row to the lowest of them. */
static void seeds_end(struct training *t, uint32_t first)
{
    const struct kmeans_lists *lists = &t->pass.lists;
    for (; first < lists->count; first++) {
        centroid_copy(t->centroids, first, lists, 0);
        t->norms[first] = t->norms[0];
    }
}

/* Those given, up to three quarters of the lists: some are to go where many rows have come to. */
static void seeds_take(struct training *t)
{
    const struct codes *codes = t->pass.space.codes;
    uint32_t most = t->params.lists - t->params.lists / 4;
    uint32_t count = t->params.seed_count < most ? t->params.seed_count : most;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *code = t->params.seeds + i * codes->bytes;
        kmeans_put(t->centroids, codes->dim, i, code);
        t->norms[i] = codes_norm(code, codes->dim, 0);
    }
    seeds_end(t, count);
}

static enum vdb_status seeds_choose(struct training *t, struct vdb_error *err)
{
    uint32_t lists = t->params.lists / DRAWN, count = t->seeding, before = 0, chosen = 1;
    pass_reset(&t->pass, count);
    centroid_set_row(t, 0, t->rows[0]);
    while (chosen < lists) {
        if (training_progress(t, 0)) return error_set(err, VDB_CANCELLED, "cancelled");
        pass_run(&t->pass, before, chosen, count);
        before = chosen;
        uint64_t total = seeds_sum(t, count);
        if (total == 0) break;
        uint32_t wanted = chosen / SEEDS_A_BATCH;
        if (wanted == 0) wanted = 1;
        if (wanted > lists - chosen) wanted = lists - chosen;
        chosen += seeds_draw(t, chosen, wanted, count, total);
    }
    seeds_end(t, chosen);
    return VDB_OK;
}

/* ---- means --------------------------------------------------------------------------------- */

/* Groups the places of the pass by list. */
static void members_group(struct training *t, uint32_t count)
{
    const uint32_t *list = t->pass.list;
    memset(t->size, 0, t->params.lists * sizeof *t->size);
    for (uint32_t i = 0; i < count; i++) t->size[list[i]]++;
    for (uint32_t l = 0, end = 0; l < t->params.lists; l++) {
        t->begin[l] = end;
        end += t->size[l];
    }
    for (uint32_t i = 0; i < count; i++) t->members[t->begin[list[i]]++] = i;
    for (uint32_t l = 0; l < t->params.lists; l++) t->begin[l] -= t->size[l];
}

static uint32_t member_row(const struct training *t, uint32_t list, uint32_t i)
{
    return pass_row(&t->pass, t->members[t->begin[list] + i]);
}

/* Adds up 64 bytes of the codes of a list's rows: of up to 257 of them in 16 bits, which is what
 * makes it cheap. */
static void sum_bytes(const struct training *t, uint32_t list, size_t from, uint64_t sums[64])
{
    const struct space *space = &t->pass.space;
    uint8_t flip = space->codes->flip;
    memset(sums, 0, 64 * sizeof *sums);
    for (uint32_t done = 0, n; done < t->size[list]; done += n) {
        uint16_t run[64] = {0};
        n = t->size[list] - done < 257 ? t->size[list] - done : 257;
        for (uint32_t i = done; i < done + n; i++) {
            const uint8_t *code = space_code(space, member_row(t, list, i)) + from;
            if (i + PASS_AHEAD < t->size[list])
                __builtin_prefetch(space_code(space, member_row(t, list, i + PASS_AHEAD)) + from);
            for (int j = 0; j < 64; j++) run[j] = (uint16_t)(run[j] + (uint8_t)(code[j] ^ flip));
        }
        for (int j = 0; j < 64; j++) sums[j] += run[j];
    }
}

/* Moves the centroid of a list to the mean of its rows, halves upward; whether it moved. */
static int centroid_update(struct training *t, uint32_t list)
{
    const struct codes *codes = t->pass.space.codes;
    uint64_t n = t->size[list], sums[64];
    size_t groups = kernel_block_groups(codes->dim);
    int32_t norm = 0;
    int moved = 0;
    if (n == 0) return 0;
    for (uint32_t j = 0; j < codes->dim; j++) {
        if (j % 64 == 0) sum_bytes(t, list, j, sums);
        uint8_t *centroid = &t->centroids[kernel_block_at(groups, list, j)];
        uint8_t mean = (uint8_t)((2 * sums[j % 64] + n) / (2 * n));
        moved |= mean ^ *centroid;
        *centroid = mean;
        norm += mean * (mean - 256);
    }
    t->norms[list] = norm;
    return moved != 0;
}

static void means_job(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)worker;
    struct training *t = context;
    int moved = 0;
    for (size_t list = begin; list < end; list++) moved |= centroid_update(t, (uint32_t)list);
    if (moved) __atomic_store_n(&t->changed, 1, __ATOMIC_RELAXED);
}

/* ---- empty lists --------------------------------------------------------------------------- */

/* How far a row is from the centroid of `list`. */
static uint32_t centroid_distance(struct training *t, uint32_t list, uint32_t row)
{
    struct scratch *scratch = &t->pass.scratch[0];
    struct kernel_query8 query = {.values = scratch->queries,
                                  .base = pass_query(&t->pass.space, row, scratch->queries)};
    return measure_one(&t->pass.lists, t->pass.space.kernels, &query, list);
}

/* Which row of `list` is farthest from the centroid of `other`, and how far. */
static uint32_t farthest(struct training *t, uint32_t list, uint32_t other, uint32_t *distance)
{
    uint32_t row = member_row(t, list, 0);
    *distance = 0;
    for (uint32_t i = 0; i < t->size[list]; i++) {
        uint32_t d = centroid_distance(t, other, member_row(t, list, i));
        if (d <= *distance) continue;
        *distance = d;
        row = member_row(t, list, i);
    }
    return row;
}

/* Splits `list` between its row farthest from the centroid and the one farthest from that, into
 * `list` and `empty`; nothing where all its rows are the same. */
static void list_split(struct training *t, uint32_t list, uint32_t empty)
{
    uint32_t distance, kept = 0, *members = t->members + t->begin[list];
    uint32_t far = farthest(t, list, list, &distance);
    if (distance == 0) { /* from their mean: all the same */
        t->left[list] = 0;
        return;
    }
    centroid_set_row(t, empty, far);
    uint32_t opposite = farthest(t, list, empty, &distance);
    centroid_set_row(t, list, opposite);
    for (uint32_t i = 0; i < t->size[list]; i++) {
        uint32_t row = member_row(t, list, i), member = members[i];
        if (centroid_distance(t, empty, row) < centroid_distance(t, list, row)) continue;
        members[i] = members[kept];
        members[kept++] = member;
    }
    t->begin[empty] = t->begin[list] + kept;
    t->size[empty] = t->left[empty] = t->size[list] - kept;
    t->size[list] = t->left[list] = kept;
    centroid_update(t, list);
    centroid_update(t, empty);
    t->changed = 1;
}

static void empty_fill(struct training *t)
{
    uint32_t lists = t->params.lists;
    memcpy(t->left, t->size, lists * sizeof *t->left);
    for (uint32_t list = 0; list < lists; list++) {
        while (t->size[list] == 0) {
            uint32_t largest = 0;
            for (uint32_t l = 1; l < lists; l++)
                if (t->left[l] > t->left[largest]) largest = l;
            if (t->left[largest] < 2) return;
            list_split(t, largest, list);
        }
    }
}

/* ---- iterations ---------------------------------------------------------------------------- */

/* A list's members against its own centroid and those near it, which lie at scratch->centroids. */
static void closure_block(const struct pass *pass, const struct scratch *scratch,
                          const struct kmeans_lists *near, uint32_t list, const uint32_t *members,
                          uint32_t n)
{
    const struct neighbour *neighbours = pass->neighbours + (size_t)list * pass->near;
    size_t stride = pass_code_bytes(pass);
    pass_queries(pass, scratch, members, 0, n);
    memset(scratch->distance, 0xff, n * sizeof *scratch->distance);
    pass_block(near, pass->space.kernels, scratch, stride, n, 0, near->count, scratch->list,
               scratch->distance);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t found = scratch->list[i];
        pass->list[members[i]] = found ? neighbours[found - 1].list : list;
    }
}

static void closure_job(void *context, unsigned worker, size_t begin, size_t end)
{
    const struct training *t = context;
    const struct pass *pass = &t->pass;
    struct scratch *scratch = &pass->scratch[worker];
    struct kmeans_lists near = {pass->near + 1, pass->lists.dim, scratch->centroids,
                                scratch->norms};
    uint32_t block = kmeans_block_rows(pass_code_bytes(pass));
    for (size_t list = begin; list < end; list++) {
        const struct neighbour *neighbours = pass->neighbours + list * pass->near;
        for (uint32_t i = 0; i < near.count; i++) {
            size_t from = i ? neighbours[i - 1].list : list;
            centroid_copy(scratch->centroids, i, &pass->lists, from);
            scratch->norms[i] = pass->lists.norms[from];
        }
        for (uint32_t done = 0, n; done < t->size[list]; done += n) {
            n = t->size[list] - done < block ? t->size[list] - done : block;
            closure_block(pass, scratch, &near, (uint32_t)list, t->members + t->begin[list] + done,
                          n);
        }
    }
}

/* Finds a list for each of the first `count` rows of the sample: of all, or near the one that the
 * row is in. */
static void training_assign(struct training *t, uint32_t count, int everywhere)
{
    if (everywhere) {
        pass_reset(&t->pass, count);
        pass_run(&t->pass, 0, t->params.lists, count);
    } else {
        pass_neighbours(&t->pass);
        par_for(t->pass.workers, t->params.lists, 4, closure_job, t);
    }
}

static enum vdb_status iterate(struct training *t, struct vdb_error *err)
{
    uint32_t iterations = t->params.iterations, part = t->sample / PART;
    if (part < t->seeding) part = t->seeding;
    uint32_t in_part = part < t->sample && iterations > PART_ITERATIONS ? PART_ITERATIONS : 0;
    for (uint32_t i = 0; i < iterations; i++) {
        uint32_t count = i < in_part ? part : t->sample;
        if (training_progress(t, i)) return error_set(err, VDB_CANCELLED, "cancelled");
        training_assign(t, count, i <= in_part);
        members_group(t, count);
        t->changed = 0;
        par_for(t->pass.workers, t->params.lists, 16, means_job, t);
        empty_fill(t);
        if (!t->changed && i >= in_part) break;
    }
    if (training_progress(t, iterations)) return error_set(err, VDB_CANCELLED, "cancelled");
    return VDB_OK;
}

enum vdb_status kmeans_train(const struct codes *codes, const struct kernels *kernels,
                             const struct kmeans_params *params, uint8_t *centroids, int32_t *norms,
                             struct vdb_error *err)
{
    if (params->lists == 0 || params->lists > codes->rows)
        return error_set(err, VDB_INVALID, "%u lists of %u rows", params->lists, codes->rows);
    struct training t = {.centroids = centroids, .norms = norms};
    enum vdb_status status = training_init(&t, codes, kernels, params, err);
    if (status == VDB_OK && params->seeds) seeds_take(&t);
    if (status == VDB_OK && !params->seeds) status = seeds_choose(&t, err);
    if (status == VDB_OK) status = iterate(&t, err);
    training_release(&t);
    return status;
}

/* ---- assignment ---------------------------------------------------------------------------- */

struct assignment {
    struct pass pass;
    uint32_t *second;   /* the caller's, or NULL */
    uint8_t *centroids; /* for second lists: codes in a row, as those of rows */
};

static void assignment_release(struct assignment *a)
{
    pass_release(&a->pass);
    free(a->pass.distance);
    free(a->centroids);
}

/* pass.list[i] and pass.distance[i] are the row's first list and how far that is. */
static uint32_t second_list(const struct assignment *a, const struct scratch *scratch, size_t i)
{
    const struct pass *pass = &a->pass;
    const struct neighbour *neighbours = pass->neighbours + (size_t)pass->list[i] * pass->near;
    uint32_t rows[NEIGHBOURS], best = KMEANS_NO_LIST;
    uint32_t distances[(NEIGHBOURS + 3) / 4 * 4]; /* as list_u8i8 asks */
    const struct kmeans_lists *lists = &pass->lists;
    struct kernel_codes codes = {.code = a->centroids,
                                 .factors = (const uint8_t *)lists->norms,
                                 .stride = pass_code_bytes(pass),
                                 .factors_stride = sizeof *lists->norms,
                                 .bytes = pass_code_bytes(pass)};
    struct kernel_query8 query = {
        .values = scratch->queries,
        .base = pass_query(&pass->space, pass_row(pass, i), scratch->queries)};
    struct kernel_list list = {.rows = rows, .count = pass->near};
    for (uint32_t j = 0; j < pass->near; j++) rows[j] = neighbours[j].list;
    pass->space.kernels->list_u8i8(&codes, &list, &query, distances);

    double r2 = (double)pass->distance[i], least = 0;
    for (uint32_t j = 0; j < pass->near; j++) {
        double s2 = (double)distances[j];
        double twice_dot = r2 + s2 - (double)neighbours[j].distance;
        double loss = r2 > 0 ? s2 + twice_dot * twice_dot / (4 * r2) : s2;
        if (best != KMEANS_NO_LIST && (loss > least || (loss == least && rows[j] > best))) continue;
        least = loss;
        best = rows[j];
    }
    return best;
}

static void second_job(void *context, unsigned worker, size_t begin, size_t end)
{
    const struct assignment *a = context;
    for (size_t i = begin; i < end; i++)
        a->second[a->pass.base + i] = second_list(a, &a->pass.scratch[worker], i);
}

/* assignment_release is due after a failure, too. */
static enum vdb_status assignment_init(struct assignment *a, const struct codes *codes,
                                       const struct kernels *kernels,
                                       const struct kmeans_lists *lists, unsigned threads,
                                       size_t slice, struct vdb_error *err)
{
    enum vdb_status status = pass_init(&a->pass, codes, kernels, lists, threads, err);
    if (status != VDB_OK) return status;
    a->pass.distance = malloc(slice * sizeof *a->pass.distance);
    if (!a->pass.distance) return error_no_memory(err);
    if (!a->second) return VDB_OK;
    a->centroids = calloc(lists->count, codes->bytes);
    if (!a->centroids) return error_no_memory(err);
    for (uint32_t list = 0; list < lists->count; list++)
        kmeans_get(lists->codes, lists->dim, list, a->centroids + list * codes->bytes);
    pass_neighbours(&a->pass);
    return VDB_OK;
}

/* How far rows are from first lists that are known. */
static void first_job(void *context, unsigned worker, size_t begin, size_t end)
{
    const struct pass *pass = context;
    const struct scratch *scratch = &pass->scratch[worker];
    struct kernel_query8 query = {.values = scratch->queries};
    for (size_t i = begin; i < end; i++) {
        query.base = pass_query(&pass->space, pass_row(pass, i), scratch->queries);
        pass->distance[i] = measure_one(&pass->lists, pass->space.kernels, &query, pass->list[i]);
    }
}

static enum vdb_status assign(const struct codes *codes, const struct kernels *kernels,
                              const struct kmeans_lists *lists, const struct kmeans_params *params,
                              bool known, uint32_t *first, uint32_t *second, struct vdb_error *err)
{
    unsigned threads = par_threads(params->threads);
    uint32_t rows = codes->rows;
    size_t block = kmeans_block_rows(codes->bytes);
    size_t slice = block * (SLICE_BLOCKS > 8 * threads ? SLICE_BLOCKS : 8 * threads);
    struct assignment a = {.second = second};
    enum vdb_status status = assignment_init(&a, codes, kernels, lists, threads, slice, err);
    for (uint32_t done = 0; status == VDB_OK && done < rows;) {
        size_t count = rows - done < slice ? rows - done : slice;
        a.pass.base = done;
        a.pass.list = first + done;
        if (known) {
            par_for(threads, count, block, first_job, &a.pass);
        } else {
            pass_reset(&a.pass, count);
            pass_run(&a.pass, 0, lists->count, count);
        }
        if (second) par_for(threads, count, block, second_job, &a);
        done += (uint32_t)count;
        if (params->progress && params->progress(params->context, "assign rows", done, rows))
            status = error_set(err, VDB_CANCELLED, "cancelled");
    }
    assignment_release(&a);
    return status;
}

enum vdb_status kmeans_assign(const struct codes *codes, const struct kernels *kernels,
                              const struct kmeans_lists *lists, const struct kmeans_params *params,
                              uint32_t *first, uint32_t *second, struct vdb_error *err)
{
    return assign(codes, kernels, lists, params, false, first, second, err);
}

enum vdb_status kmeans_second(const struct codes *codes, const struct kernels *kernels,
                              const struct kmeans_lists *lists, const struct kmeans_params *params,
                              uint32_t *first, uint32_t *second, struct vdb_error *err)
{
    return assign(codes, kernels, lists, params, true, first, second, err);
}

double kmeans_imbalance(const uint32_t *sizes, uint32_t lists)
{
    uint64_t rows = 0, squares = 0;
    for (uint32_t i = 0; i < lists; i++) {
        rows += sizes[i];
        squares += (uint64_t)sizes[i] * sizes[i];
    }
    return rows ? (double)lists * (double)squares / ((double)rows * (double)rows) : 0.0;
}
