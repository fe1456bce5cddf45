/* walk.c: finding the rows nearest to a query by walking a graph.
 *
 * Memory decides the speed of a walk: rows lie anywhere, and a code row is several cache lines. So
 * the unvisited neighbours of the *next* candidate are gathered, and their code rows fetched
 * ahead, before those of the present one are measured. The order of expansion differs a little
 * from the textbook's for it; the answers are as good.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "index/beam.h"
#include "index/ending.h"
#include "index/levels.h"
#include "index/stray.h"

#define ENTRIES     2 /* pivots, the nearest, that a walk starts from */
#define ROUNDS      3 /* walks that a search may take, each of which enters by other pivots */
#define ENTRIES_MAX (5 * ENTRIES)
#define LEADERS     8 /* groups of pivots, of the nearest leaders, that it looks into */
#define SOON        3 /* the edges of rows nearer than the entry so far behind the next are fetched */
#define PIVOTS      64 /* measured in one go */
#define AHEAD       2  /* likewise those of so many entries behind the one that is expanded */

/* ---- scratch space ------------------------------------------------------------------------- */

struct walk *walk_create(void)
{
    return calloc(1, sizeof(struct walk));
}

void walk_free(struct walk *walk)
{
    if (!walk) return;
    free(walk->pool.keys);
    free(walk->visited);
    free(walk->met);
    free(walk->distances);
    free(walk->probe.query);
    free(walk->nearest);
    free(walk->before);
    free(walk->pivots);
    free(walk->counted);
    free(walk->scratch);
    free(walk->found);
    free(walk);
}

int walk_reserve_probe(struct walk *walk, size_t bytes)
{
    if (bytes <= walk->probe_room) return 1;
    int8_t *query = aligned_alloc(64, bytes); /* a multiple of 64, as codes->bytes is */
    if (!query) return 0;
    free(walk->probe.query);
    walk->probe.query = query;
    walk->probe_room = bytes;
    return 1;
}

static int reserve_counted(struct walk *walk, uint32_t k)
{
    if (k < walk->counted_room) return 1;
    uint64_t *counted = malloc(((size_t)k + 1) * sizeof *counted);
    if (!counted) return 0;
    free(walk->counted);
    walk->counted = counted;
    walk->counted_room = k + 1;
    return 1;
}

static int reserve_pivots(struct walk *walk, uint32_t count)
{
    if (count <= walk->pivot_room) return 1;
    uint64_t *pivots = malloc(count * sizeof *pivots);
    if (!pivots) return 0;
    free(walk->pivots);
    walk->pivots = pivots;
    walk->pivot_room = count;
    return 1;
}

static int reserve_before(struct walk *walk, size_t room)
{
    if (room <= walk->before_room) return 1;
    uint64_t *before = malloc(room * sizeof *before);
    if (!before) return 0;
    free(walk->before);
    walk->before = before;
    walk->before_room = room;
    return 1;
}

static int reserve_nearest(struct walk *walk, size_t bytes)
{
    if (bytes <= walk->nearest_room) return 1;
    int8_t *nearest = aligned_alloc(64, bytes);
    if (!nearest) return 0;
    free(walk->nearest);
    walk->nearest = nearest;
    walk->nearest_room = bytes;
    return 1;
}

static int reserve_visited(struct walk *walk, uint32_t rows, uint32_t degree)
{
    size_t words = (size_t)rows / 64 + 1;
    if (words > walk->visited_words) {
        uint64_t *visited = calloc(words, sizeof *visited);
        if (!visited) return 0;
        free(walk->visited);
        walk->visited = visited;
        walk->visited_words = words;
    }
    /* Clearing the whole map must stay cheap beside a walk long enough to need it. */
    size_t limit = (size_t)rows / 64 + 2 * (size_t)degree + 4096, room = limit + degree;
    if (room > walk->met_room) {
        uint32_t *met = malloc(room * sizeof *met);
        if (!met) return 0;
        free(walk->met);
        walk->met = met;
        walk->met_room = room;
    }
    if (degree > walk->distances_room) {
        uint32_t *distances = malloc(((size_t)degree + 3) * sizeof *distances);
        if (!distances) return 0;
        free(walk->distances);
        walk->distances = distances;
        walk->distances_room = degree;
    }
    walk->met_limit = limit;
    return 1;
}

static int reserve_pool(struct walk *walk, size_t room)
{
    if (room < walk->pool_room) return 1;
    uint64_t *keys = malloc((room + 1) * sizeof *keys);
    if (!keys) return 0;
    free(walk->pool.keys);
    walk->pool.keys = keys;
    walk->pool_room = room + 1;
    return 1;
}

int walk_reserve(struct walk *walk, uint32_t rows, uint32_t degree, uint32_t keep)
{
    return reserve_pool(walk, keep < rows ? keep : rows) && reserve_visited(walk, rows, degree);
}

enum vdb_status walk_check_rows(uint32_t rows, struct vdb_error *err)
{
    if (rows <= GRAPH_ROWS_MAX) return VDB_OK;
    return error_set(err, VDB_LIMIT, "an index over %u rows, of which it has at most %u", rows,
                     GRAPH_ROWS_MAX);
}

int walk_reserve_found(struct walk *walk, uint32_t room)
{
    if (!reserve_pool(walk, room)) return 0;
    if (room < walk->found_room) return 1;
    struct candidate *found = malloc(((size_t)room + 1) * sizeof *found);
    if (!found) return 0;
    free(walk->found);
    walk->found = found;
    walk->found_room = (size_t)room + 1;
    return 1;
}

uint32_t walk_take_found(struct walk *walk, const struct candidate **candidates)
{
    const struct pool *pool = &walk->pool;
    for (uint32_t i = 0; i < pool->count; i++)
        walk->found[i] = (struct candidate){pool_row(pool->keys[i]), pool_distance(pool->keys[i])};
    *candidates = walk->found;
    return pool->count;
}

/* ---- the walk ------------------------------------------------------------------------------ */

struct gathered { /* walk->met[begin .. begin + count) */
    size_t begin;
    uint32_t count;
};

struct front {  /* where a walk stands */
    size_t met; /* entries of walk->met in use */
    int wrapped;
    uint64_t most; /* walk->work.measured with which it gives up */
};

/* Sets the row's bit; 1 where it was clear. Rows out of range are never new. */
static inline uint32_t visit(uint64_t *visited, uint32_t row, uint32_t rows)
{
    if (row >= rows) return 0;
    uint64_t word = visited[row >> 6];
    visited[row >> 6] = word | 1ull << (row & 63);
    return (uint32_t)(~word >> (row & 63)) & 1;
}

/* Puts those of `degree` neighbours that are new at met; returns their number. What is no row,
 * GRAPH_NO_ROW among it, is never new. Not inlined: on its own it has registers enough. */
__attribute__((noinline)) static uint32_t meet(const uint32_t *edges, uint32_t degree,
                                               uint32_t rows, uint64_t *visited, uint32_t *met)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < degree; i++) {
        uint32_t row = edges[i];
        met[count] = row; /* stays only if it is new: no branch to mispredict */
        count += visit(visited, row, rows);
    }
    return count;
}

/* Room for those of a list that are met. */
static void make_room(const struct walk *walk, struct front *front)
{
    if (front->met <= walk->met_limit) return;
    front->met = 0;
    front->wrapped = 1;
}

static struct gathered gather(struct walk *walk, struct front *front, const struct graph *graph,
                              uint32_t row)
{
    const uint32_t *edges = graph->edges + (size_t)row * graph->degree;
    make_room(walk, front);
    struct gathered gathered = {
        front->met, meet(edges, graph->degree, graph->rows, walk->visited, walk->met + front->met)};
    front->met += gathered.count;
    return gathered;
}

/* Forced inline: gcc 12 takes a function that only prefetches for one without effect and drops
 * calls of it. */
__attribute__((always_inline)) static inline void edges_prefetch(const struct graph *graph,
                                                                 uint32_t row)
{
    const uint32_t *edges = graph->edges + (size_t)row * graph->degree;
    for (uint32_t i = 0; i < graph->degree; i += 16) __builtin_prefetch(edges + i, 0, 2);
}

/* Measures what is present, and meanwhile the rows ahead are fetched. */
static void measure(struct walk *walk, const struct space *space, const struct graph *graph,
                    const struct probe *probe, struct gathered present, struct gathered ahead,
                    struct ending *ending)
{
    const uint32_t *rows = walk->met + present.begin, *distances = walk->distances;
    struct kernel_list list = {.rows = rows,
                               .count = present.count,
                               .ahead = walk->met + ahead.begin,
                               .ahead_count = ahead.count};
    struct pool *pool = &walk->pool;
    struct pool_batch batch;
    uint32_t soon = pool->next + SOON;
    uint64_t near = soon < pool->count ? pool->keys[soon] : UINT64_MAX;
    batch.count = 0;
    space_measure_list(space, probe, &list, walk->distances);
    for (uint32_t i = 0; i < present.count; i++) {
        uint64_t key = pool_key(distances[i], rows[i]);
        if (key >= pool->limit) continue;
        if (key < near) edges_prefetch(graph, rows[i]);
        ending_met(ending, key);
        pool_batch_add(&batch, key);
        if (batch.count == POOL_BATCH) pool_insert_batch(pool, &batch);
    }
    pool_insert_batch(pool, &batch);
}

static void enter_by(struct walk *walk, struct front *front, uint64_t key, uint32_t rows,
                     struct ending *ending)
{
    uint32_t row = pool_row(key);
    if (!visit(walk->visited, row, rows)) return;
    make_room(walk, front); /* there may have been a walk before */
    walk->met[front->met++] = row;
    if (key >= walk->pool.limit) return;
    ending_met(ending, key);
    pool_insert(&walk->pool, key);
}

/* Measures pivots [begin, end) and keeps the nearest, by number. Where there is room all are noted,
 * for later rounds. */
static void measure_pivots(struct walk *walk, const struct space *space, const struct graph *graph,
                           const struct probe *probe, uint32_t begin, uint32_t end,
                           struct pool *nearest)
{
    for (uint32_t i = begin; i < end; i += PIVOTS) {
        uint32_t numbers[PIVOTS], distances[PIVOTS];
        uint32_t n = end - i < PIVOTS ? end - i : PIVOTS;
        for (uint32_t j = 0; j < n; j++) {
            uint32_t number = i + j;
            if (!graph->pivot_codes)
                number = graph->pivots[number] < graph->rows ? graph->pivots[number] : 0;
            numbers[j] = number;
        }
        space_measure(space, probe, numbers, n, distances);
        for (uint32_t j = 0; j < n; j++) {
            uint64_t key = pool_key(distances[j], i + j);
            if (walk->pivot_count < walk->pivot_room) walk->pivots[walk->pivot_count++] = key;
            if (key < nearest->limit) pool_insert(nearest, key);
        }
    }
}

/* The pivots that each round enters by: from the nearest ENTRY[round] on to ENTRY[round + 1]. */
static const uint32_t ENTRY[ROUNDS + 1] = {0, ENTRIES, 3 * ENTRIES, ENTRIES_MAX};

/* Measures pivots, and puts the nearest ENTRIES, by number, into keys[]; returns how many. Of
 * grouped ones all leaders are measured, and the groups of the nearest ones. */
static uint32_t nearest_pivots(struct walk *walk, const struct space *space,
                               const struct graph *graph, const struct probe *probe, uint64_t *keys)
{
    uint64_t leader_keys[LEADERS + 1];
    struct pool nearest = {.keys = keys}, leaders = {.keys = leader_keys};
    struct space pivots = *space;
    if (graph->pivot_codes) {
        pivots.rows.code = graph->pivot_codes;
        pivots.rows.stride = space->rows.bytes;
        pivots.rows.factors = graph->pivot_norms;
        pivots.rows.factors_stride = codes_norm_bytes(space->codes->kind);
    }
    walk->pivot_count = 0;
    pool_reset(&nearest, ENTRIES);
    pool_reset(&leaders, LEADERS);
    if (graph->leader_count)
        measure_pivots(walk, &pivots, graph, probe, 0, graph->leader_count, &leaders);
    else
        measure_pivots(walk, &pivots, graph, probe, 0, graph->pivot_count, &nearest);
    for (uint32_t i = 0; i < leaders.count; i++) {
        uint32_t group = pool_row(leader_keys[i]);
        uint32_t begin = group ? graph->groups[group - 1] : graph->leader_count;
        if (leader_keys[i] < nearest.limit) pool_insert(&nearest, leader_keys[i]);
        measure_pivots(walk, &pivots, graph, probe, begin, graph->groups[group], &nearest);
    }
    return nearest.count;
}

/* The nearest of those that were measured, up to the ones that this round enters by. */
static uint32_t next_pivots(const struct walk *walk, uint32_t round, uint64_t *keys)
{
    struct pool nearest = {.keys = keys};
    pool_reset(&nearest, ENTRY[round + 1]);
    for (uint32_t i = 0; i < walk->pivot_count; i++)
        if (walk->pivots[i] < nearest.limit) pool_insert(&nearest, walk->pivots[i]);
    return nearest.count;
}

/* Enters where the levels lead, by the nearest pivots, and by the first, from which all rows can be
 * reached. */
static void enter(struct walk *walk, struct front *front, const struct space *space,
                  const struct graph *graph, const struct probe *probe, uint32_t round,
                  struct ending *ending)
{
    uint64_t keys[ENTRIES_MAX + 1];
    if (graph->rows == 0 || graph->pivot_count == 0) return;
    uint64_t below = round ? UINT64_MAX : levels_descend(&graph->levels, space, probe, graph->rows);
    if (below != UINT64_MAX) enter_by(walk, front, below, graph->rows, ending);
    uint32_t count =
        round ? next_pivots(walk, round, keys) : nearest_pivots(walk, space, graph, probe, keys);
    uint32_t end = round ? count : count + 1; /* the last: the first pivot of all */
    for (uint32_t i = ENTRY[round]; i < end; i++) {
        uint32_t number = i < count ? pool_row(keys[i]) : 0;
        uint32_t row = graph->pivots[number], distances[4], one[4] = {row};
        if (row >= graph->rows) continue;
        if (i < count)
            distances[0] = pool_distance(keys[i]);
        else
            space_measure(space, probe, one, 1, distances);
        enter_by(walk, front, pool_key(distances[0], row), graph->rows, ending);
    }
}

static void clear_visited(struct walk *walk, const struct front *front, uint32_t rows)
{
    size_t words = (size_t)rows / 64 + 1;
    if (front->wrapped || front->met > words / 8) { /* a cache line has eight */
        memset(walk->visited, 0, words * sizeof *walk->visited);
        return;
    }
    for (size_t i = 0; i < front->met; i++) walk->visited[walk->met[i] >> 6] = 0;
}

static bool may_go_on(const struct walk *walk, const struct front *front)
{
    return walk->work.measured < front->most;
}

/* An effort of less than k may end before k rows have been met. */
static void go_on_for_k(struct pool *pool, uint32_t k)
{
    bool few = pool->count < k && pool->count < pool->capacity;
    if (few && pool->next >= pool->effort) pool->effort = pool->next + 1;
}

static void run(struct walk *walk, const struct space *space, const struct graph *graph,
                const struct probe *probe, struct ending *ending, uint32_t room, uint32_t round,
                struct front *front)
{
    struct pool *pool = &walk->pool;
    struct gathered present = {0, 0};
    pool_reset(pool, room < graph->rows ? room : graph->rows);
    if (!ending->filter) pool->effort = ending->most;
    ending_begin(ending);
    enter(walk, front, space, graph, probe, round, ending);
    for (;;) {
        struct gathered ahead = {0, 0};
        go_on_for_k(pool, ending->k);
        int going =
            may_go_on(walk, front) && pool_has_next(pool) && !ending_reached(ending, space, pool);
        if (going) {
            uint32_t row = pool_take(pool);
            ending_take(ending, row);
            ahead = gather(walk, front, graph, row);
        }
        for (uint32_t i = pool->next; i < pool->next + AHEAD && i < pool->count; i++)
            edges_prefetch(graph, pool_row(pool->keys[i]));
        measure(walk, space, graph, probe, present, ahead, ending);
        if (!going && present.count == 0) break;
        present = ahead;
        walk->work.expanded += (uint64_t)going;
        walk->work.measured += ahead.count;
    }
}

void walk_run(struct walk *walk, const struct space *space, const struct graph *graph,
              const struct probe *probe, uint32_t ef, uint32_t keep)
{
    struct ending ending;
    ending_init(&ending, space, graph, 0, ef, keep, NULL, NULL);
    struct front front = {.most = UINT64_MAX};
    run(walk, space, graph, probe, &ending, keep, 0, &front);
    clear_visited(walk, &front, graph->rows);
}

struct walk_work walk_work_done(const struct walk *walk)
{
    return walk->work;
}

/* ---- queries ------------------------------------------------------------------------------- */

/* Under ip the query needs no zero of the rows' grid, and no clamping: its largest number becomes
 * 127 in size. Rounds to nearest, halves away from zero. */
static void prepare_dot(struct probe *probe, const struct codes *codes, const float *query)
{
    float largest = 0.0f;
    for (uint32_t i = 0; i < codes->dim; i++) {
        float size = fabsf(query[i]);
        largest = size > largest ? size : largest;
    }
    float scale = largest > 0.0f ? 127.0f / largest : 0.0f;
    if (!(scale <= 1e37f)) scale = 1e37f;
    for (uint32_t i = 0; i < codes->dim; i++) {
        float t = query[i] * scale;
        t = t > 127.0f ? 127.0f : t < -127.0f ? -127.0f : t;
        probe->query[i] = (int8_t)(int32_t)(t + copysignf(0.5f, t));
    }
    for (size_t i = codes->dim; i < codes->bytes; i++) probe->query[i] = 0;
    int64_t sum = 0;
    for (uint32_t i = 0; i < codes->dim; i++) sum += probe->query[i];
    double unit = scale > 0.0f ? (double)codes->scale / (double)scale : 0.0;
    probe->base = 0;
    probe->exact = 0;
    probe->unit = unit; /* distance is 2^31 - sum c * k, and x.q near unit * sum (c - zero) * k */
    probe->offset = unit * ((double)codes->zero * (double)sum - 0x80000000u);
}

/* Whether every number of the query is that of its code. Inner loops of constant length are what
 * compilers vectorise. */
static int on_grid(const struct codes *codes, const float *query, const uint8_t *code)
{
    float zero = (float)codes->zero;
    int off = 0;
    uint32_t i = 0;
    for (; i + 16 <= codes->dim; i += 16)
        for (uint32_t j = 0; j < 16; j++) off |= (float)(int32_t)code[i + j] - zero != query[i + j];
    for (; i < codes->dim; i++) off |= (float)code[i] - zero != query[i];
    return !off;
}

static void prepare_l2(struct probe *probe, const struct codes *codes,
                       const struct kernels *kernels, const float *query)
{
    struct quantizer quantizer = {codes->scale, codes->zero};
    int32_t norm;
    uint8_t *code = (uint8_t *)probe->query;
    probe->base = codes_encode_row(kernels, &quantizer, query, codes->dim, code, &norm);
    probe->exact = codes->scale == 1.0f && on_grid(codes, query, code);
    probe->unit = (double)codes->scale * (double)codes->scale;
    probe->offset = 0;
    if (codes->metric == VDB_METRIC_COSINE) probe->unit /= 2; /* of unit vectors */
    for (size_t i = 0; i < codes->bytes; i += 64)
        for (size_t j = 0; j < 64; j++) code[i + j] ^= 0x80;
    memset(code + codes->dim, 0, codes->bytes - codes->dim);
}

static int reserve_scratch(struct walk *walk, size_t floats)
{
    if (floats <= walk->scratch_room) return 1;
    float *scratch = malloc(floats * sizeof *scratch);
    if (!scratch) return 0;
    free(walk->scratch);
    walk->scratch = scratch;
    walk->scratch_room = floats;
    return 1;
}

static enum vdb_status prepare_four(struct walk *walk, const struct codes *codes,
                                    const struct kernels *kernels, const float *query,
                                    struct vdb_error *err)
{
    struct probe *probe = &walk->probe;
    struct codes4 four = {kernels, codes->center, codes->dim, codes->rotated};
    if (!walk_reserve_probe(walk, 2 * codes->bytes) ||
        !reserve_scratch(walk, codes4_scratch(codes->dim)))
        return error_no_memory(err);
    codes4_prepare(&four, query, codes->metric == VDB_METRIC_IP, walk->scratch, probe->query,
                   &probe->four);
    probe->exact = 0;
    probe->unit = codes->metric == VDB_METRIC_COSINE ? 0.5 : 1;
    return VDB_OK;
}

enum vdb_status walk_prepare(struct walk *walk, const struct codes *codes,
                             const struct kernels *kernels, const float *query,
                             struct vdb_error *err)
{
    struct probe *probe = &walk->probe;
    bool dot = codes->metric == VDB_METRIC_IP;
    switch (codes->kind) {
    case CODES_4:
        space_init(&walk->space, codes, kernels, SPACE_FOUR);
        return prepare_four(walk, codes, kernels, query, err);
    case CODES_VECTORS:
        space_init(&walk->space, codes, kernels, SPACE_VECTORS);
        probe->vector = query;
        probe->square = 1;
        probe->exact = 0;
        probe->unit = codes->metric == VDB_METRIC_COSINE ? 0.5 : 1;
        return VDB_OK;
    case CODES_8:
        break;
    }
    if (!walk_reserve_probe(walk, codes->bytes)) return error_no_memory(err);
    space_init(&walk->space, codes, kernels, dot ? SPACE_DOT : SPACE_L2);
    if (dot)
        prepare_dot(probe, codes, query);
    else
        prepare_l2(probe, codes, kernels, query);
    return VDB_OK;
}

double walk_estimate(const struct walk *walk, uint32_t distance)
{
    const struct probe *probe = &walk->probe;
    if (walk->space.kind == SPACE_FOUR || walk->space.kind == SPACE_VECTORS)
        return probe->unit * (double)space_disorder(distance);
    return probe->unit * (double)distance + probe->offset;
}

int walk_is_exact(const struct walk *walk)
{
    return walk->probe.exact;
}

/* Room in the pool for what a walk that ends so expands, and for `keep` rows. */
static uint32_t room_for(const struct ending *ending, uint32_t ef, uint32_t keep, uint32_t rows)
{
    uint64_t room = keep;
    if (ending->filter && ef) {
        if (room < ending->filter->room) room = ending->filter->room;
        room = room * ending->most / ef;
    }
    if (ending->stretch > 0 && room < ending->most) room = ending->most;
    return room < rows ? (uint32_t)room : rows;
}

/* Whether what was found in the rounds so far is so far off that another one is to be tried. Of the
 * queries of Fashion-MNIST 7% are beyond the first ratio, and all 12 that find nothing with effort
 * 7; of those of GloVe 1.6%. Beyond the second are 0.2% and 0.02%. */
static bool is_astray(const struct walk *walk, const struct graph *graph, uint32_t round)
{
    static const double ratios[ROUNDS] = {0, 2.2, 6};
    return graph->pivot_count > ENTRY[round] && stray_bytes(&walk->space) &&
           stray_ratio(&walk->space, graph, &walk->pool, walk->nearest) > ratios[round];
}

/* Puts what earlier rounds found into the pool, but what is there. */
static void add_found(struct pool *pool, const uint64_t *keys, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t key = keys[i] & ~(uint64_t)1;
        uint32_t at = pool_rank(pool->keys, pool->count, key);
        bool found = at < pool->count && (pool->keys[at] & ~(uint64_t)1) == key;
        if (!found && key < pool->limit) pool_insert(pool, key);
    }
}

/* A walk may end where rows are near to each other and far from the query, and what is nearest lies
 * elsewhere. More effort mostly leaves it there, and so do more ways into one pool: what the first
 * of them lead to is nearer at first than what is on the others. So where it looks like that,
 * another walk enters by the next pivots, with a pool of its own, and passes over what was met
 * before, so that it cannot end there again; and once more. */
enum vdb_status walk_graph_for(struct walk *walk, const struct graph *graph, uint32_t k,
                               uint32_t ef, uint32_t keep, const struct walk_filter *filter,
                               const struct candidate **candidates, uint32_t *count,
                               struct vdb_error *err)
{
    struct graph bounded = *graph;
    uint32_t rows = walk->space.codes->rows;
    if (bounded.rows > rows) bounded.rows = rows;
    enum vdb_status status = walk_check_rows(bounded.rows, err);
    if (status) return status;
    if (keep == 0) keep = 1;
    struct ending ending;
    if (k > bounded.rows) k = bounded.rows;
    if (filter && !reserve_counted(walk, k)) return error_no_memory(err);
    ending_init(&ending, &walk->space, &bounded, k, ef, keep, filter, walk->counted);
    if (k && keep < ef) keep = ef;
    uint32_t room = room_for(&ending, ef, keep, bounded.rows);
    if (!walk_reserve(walk, bounded.rows, bounded.degree, room) ||
        !walk_reserve_found(walk, room) || !reserve_before(walk, room) ||
        !reserve_pivots(walk, bounded.pivot_count) ||
        !reserve_nearest(walk, stray_bytes(&walk->space)))
        return error_no_memory(err); /* nothing fails from here on, with rows noted as visited */
    struct front front = {.most = filter ? walk->work.measured + filter->budget : UINT64_MAX};
    run(walk, &walk->space, &bounded, &walk->probe, &ending, room, 0, &front);
    for (uint32_t round = 1; round < ROUNDS && k; round++) {
        if (!may_go_on(walk, &front) || !is_astray(walk, &bounded, round)) break;
        uint32_t found = walk->pool.count;
        memcpy(walk->before, walk->pool.keys, found * sizeof *walk->before);
        run(walk, &walk->space, &bounded, &walk->probe, &ending, room, round, &front);
        add_found(&walk->pool, walk->before, found);
    }
    clear_visited(walk, &front, bounded.rows);
    if (!filter && walk->pool.count > keep) walk->pool.count = keep;
    *count = walk_take_found(walk, candidates);
    return VDB_OK;
}

enum vdb_status walk_graph(struct walk *walk, const struct graph *graph, uint32_t ef, uint32_t keep,
                           const struct candidate **candidates, uint32_t *count,
                           struct vdb_error *err)
{
    return walk_graph_for(walk, graph, 0, ef, keep, NULL, candidates, count, err);
}
