/* side_by_side.cc: queries a second at equal recall@10, libvdb and hnswlib side by side.
 *
 * Usage: side_by_side TRAIN TEST INDEX.vdb INDEX.hnsw TRUTH. One process, one thread on one core,
 * one query a call. The test images are cut into as many slices as there are rounds; in a round
 * each effort of either library answers the round's slice, the two by turns, so that what
 * disturbs the machine disturbs both. Recall is over all slices, that is over all queries.
 *
 * Truth is brute force in integers, made here, and kept in TRUTH. A neighbour counts as found when
 * its true distance is no greater than that of the true tenth, so ties are nobody's fault.
 * Standard output: curves in lines that begin with `#`, then FIGURE, REACHED, TARGET, yes or no,
 * between tabs.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <hnswlib/hnswlib.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "fashion.h"
#include "vdb.h"

static const size_t K = 10, ROUNDS = 5;
/* Efforts above this only finish the curve, and answer a quarter of the slice: they are slow. */
static const size_t EF_FIGURES = 250;
static const std::vector<size_t> EFS = {4,  6,  8,  10, 12,  14,  17,  20,  24,  28,  34,
                                        40, 50, 60, 80, 100, 130, 160, 200, 300, 400, 800};

/* ---- truth --------------------------------------------------------------------------------- */

static int32_t distance(const uint8_t *a, const uint8_t *b, size_t dim)
{
    int32_t sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

/* Squared distance of the true k-th neighbour of queries [from, to). As 16-bit numbers, for which
 * compilers know a multiply-and-add; rows in blocks that stay in cache while all queries see them.
 */
static void kth_distances(const std::vector<int16_t> &rows, const std::vector<int16_t> &queries,
                          size_t dim, size_t from, size_t to, int32_t *kth)
{
    auto dot = [dim](const int16_t *a, const int16_t *b) {
        int32_t sum = 0;
        for (size_t i = 0; i < dim; i++) sum += a[i] * b[i];
        return sum;
    };
    const size_t count = rows.size() / dim, block = 256;
    std::vector<int32_t> norms(count);
    for (size_t i = 0; i < count; i++) norms[i] = dot(&rows[i * dim], &rows[i * dim]);
    std::vector<std::vector<int32_t>> best(to - from, std::vector<int32_t>(K, INT32_MAX));
    for (size_t first = 0; first < count; first += block)
        for (size_t q = from; q < to; q++) {
            const int16_t *query = &queries[q * dim];
            int32_t norm = dot(query, query);
            std::vector<int32_t> &heap = best[q - from];
            for (size_t i = first; i < std::min(count, first + block); i++) {
                int32_t d = norms[i] + norm - 2 * dot(&rows[i * dim], query);
                if (d >= heap[0]) continue;
                std::pop_heap(heap.begin(), heap.end());
                heap.back() = d;
                std::push_heap(heap.begin(), heap.end());
            }
        }
    for (size_t q = from; q < to; q++) kth[q] = best[q - from][0];
}

static std::vector<int32_t> make_truth(const Images &train, const Images &test)
{
    std::vector<int16_t> rows(train.bytes.begin(), train.bytes.end());
    std::vector<int16_t> queries(test.bytes.begin(), test.bytes.end());
    std::vector<int32_t> kth(test.rows);
    size_t middle = test.rows / 2;
    std::thread other(
        [&] { kth_distances(rows, queries, train.dim, middle, test.rows, kth.data()); });
    kth_distances(rows, queries, train.dim, 0, middle, kth.data());
    other.join();
    return kth;
}

/* The kept truth names the images that it was made from. */
static std::vector<int32_t> truth(const Images &train, const Images &test, const char *path)
{
    uint32_t key[4] = {(uint32_t)K, (uint32_t)test.rows,
                       (uint32_t)crc32(0, train.bytes.data(), (unsigned)train.bytes.size()),
                       (uint32_t)crc32(0, test.bytes.data(), (unsigned)test.bytes.size())};
    uint32_t found[4];
    std::vector<int32_t> kth(test.rows);
    if (FILE *file = fopen(path, "rb")) {
        bool same = fread(found, sizeof found, 1, file) == 1 && !memcmp(found, key, sizeof key) &&
                    fread(kth.data(), sizeof kth[0], kth.size(), file) == kth.size();
        fclose(file);
        if (same) return kth;
    }
    fprintf(stderr, "bench: making the truth by brute force, once\n");
    kth = make_truth(train, test);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(key, sizeof key, 1, file) != 1 ||
        fwrite(kth.data(), sizeof kth[0], kth.size(), file) != kth.size() || fclose(file))
        fail(path, "cannot be written");
    return kth;
}

/* ---- the two libraries --------------------------------------------------------------------- */

struct Point {
    size_t asked = 0, found = 0;
    double qps[ROUNDS], cpu_qps[ROUNDS];
};

struct Side {
    std::string name;
    std::function<void(size_t)> set_ef;
    std::function<void(const float *, uint32_t *)> search; /* K rows; UINT32_MAX: none */
    std::vector<Point> points;

    double recall(size_t e) const
    {
        return (double)points[e].found / (double)(K * points[e].asked);
    }
};

static Side vdb_side(const char *path)
{
    vdb_error err;
    vdb_open_options open = VDB_OPEN_OPTIONS_INIT;
    open.read_only = 1;
    open.threads = 1;
    static vdb *db;
    static const vdb_snapshot *now;
    if (vdb_open(path, &open, &db, &err) || vdb_snapshot_open(db, &now, &err))
        fail(path, err.message);
    vdb_info info;
    vdb_snapshot_info(now, &info);
    printf("# %s: kernels %s, %u part(s), %llu rows in the tail; one query a call of "
           "vdb_searcher_search\n",
           path, info.isa, info.parts, (unsigned long long)info.tail_rows);
    for (uint32_t row = 0; row < info.rows; row++) {
        const char *id;
        size_t len;
        if (vdb_row_id(now, row, &id, &len, &err)) fail(path, err.message);
        if (std::string(id, len) != std::to_string(row)) fail(path, "has rows in another order");
    }
    static vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    options.k = (uint32_t)K;
    options.threads = 1;
    static vdb_searcher *searcher;
    return {"vdb",
            [](size_t ef) {
                vdb_error error;
                vdb_searcher_close(searcher);
                options.ef = (uint32_t)ef;
                if (vdb_searcher_open(now, &options, &searcher, &error))
                    fail("vdb_searcher_open", error.message);
            },
            [](const float *query, uint32_t *rows) {
                vdb_hit hits[K];
                uint32_t found;
                vdb_error error;
                if (vdb_searcher_search(searcher, query, hits, &found, &error))
                    fail("vdb_searcher_search", error.message);
                for (size_t i = 0; i < K; i++) rows[i] = i < found ? hits[i].row : UINT32_MAX;
            },
            std::vector<Point>(EFS.size())};
}

static Side hnsw_side(const char *path, size_t dim)
{
    static hnswlib::L2Space space(dim);
    static hnswlib::HierarchicalNSW<float> index(&space, path);
    printf("# %s: hnswlib, M 16, efConstruction 200, float\n", path);
    return {"hnswlib", [](size_t ef) { index.setEf(std::max(ef, K)); },
            [](const float *query, uint32_t *rows) {
                auto result = index.searchKnn(query, K);
                std::fill(rows, rows + K, UINT32_MAX);
                for (; !result.empty(); result.pop())
                    rows[result.size() - 1] = (uint32_t)result.top().second;
            },
            std::vector<Point>(EFS.size())};
}

/* ---- measuring ----------------------------------------------------------------------------- */

static double now(clockid_t clock)
{
    timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct Bench {
    Images train, test;
    std::vector<float> queries;
    std::vector<int32_t> kth;

    size_t count_found(size_t q, uint32_t *rows) const
    {
        std::sort(rows, rows + K);
        size_t distinct = (size_t)(std::unique(rows, rows + K) - rows), found = 0;
        for (size_t i = 0; i < distinct; i++)
            found += rows[i] < train.rows &&
                     distance(train.row(rows[i]), test.row(q), train.dim) <= kth[q];
        return found;
    }

    void measure(Side &side, size_t e, size_t round) const
    {
        size_t from = test.rows * round / ROUNDS, to = test.rows * (round + 1) / ROUNDS;
        if (EFS[e] > EF_FIGURES) to = from + (to - from) / 4;
        std::vector<uint32_t> rows((to - from) * K);
        side.set_ef(EFS[e]);
        double wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_THREAD_CPUTIME_ID);
        for (size_t q = from; q < to; q++)
            side.search(&queries[q * test.dim], &rows[(q - from) * K]);
        wall = now(CLOCK_MONOTONIC) - wall;
        cpu = now(CLOCK_THREAD_CPUTIME_ID) - cpu;
        Point &point = side.points[e];
        point.qps[round] = (double)(to - from) / wall;
        point.cpu_qps[round] = (double)(to - from) / cpu;
        point.asked += to - from;
        for (size_t q = from; q < to; q++) point.found += count_found(q, &rows[(q - from) * K]);
    }

    void warm(Side &side) const
    {
        uint32_t rows[K];
        side.set_ef(100);
        for (size_t q = 0; q < test.rows; q += 4) side.search(&queries[q * test.dim], rows);
    }
};

/* The core that is ours from here on: the one we are on. */
static void pin()
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)sched_getcpu(), &set);
    if (sched_setaffinity(0, sizeof set, &set)) perror("bench: sched_setaffinity");
}

/* ---- figures ------------------------------------------------------------------------------- */

static double median(std::vector<double> v)
{
    std::sort(v.begin(), v.end());
    size_t n = v.size();
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Queries a second at that recall in one round, on the line between the two efforts around it, in
 * log(qps) over recall; 0 where no effort reaches it. Where even the least effort is above, that
 * effort's: it can do no less. */
static double qps_at(const Side &side, double recall, size_t round, bool cpu)
{
    auto qps = [&](size_t e) {
        return cpu ? side.points[e].cpu_qps[round] : side.points[e].qps[round];
    };
    for (size_t e = 0; e < EFS.size(); e++) {
        double high = side.recall(e);
        if (high < recall) continue;
        if (e == 0) return qps(0);
        double low = side.recall(e - 1), share = (recall - low) / (high - low);
        return std::exp((1 - share) * std::log(qps(e - 1)) + share * std::log(qps(e)));
    }
    return 0;
}

static void print_curves(const Side &a, const Side &b)
{
    printf("#\n#   ef   %8s recall      qps   %8s recall      qps\n", a.name.c_str(),
           b.name.c_str());
    for (size_t e = 0; e < EFS.size(); e++) {
        auto middle = [e](const Side &side) {
            const Point &p = side.points[e];
            return median(std::vector<double>(p.qps, p.qps + ROUNDS));
        };
        printf("# %4zu          %.5f %8.0f            %.5f %8.0f\n", EFS[e], a.recall(e), middle(a),
               b.recall(e), middle(b));
    }
}

static void print_figure(const Side &a, const Side &b, double recall, double target)
{
    std::vector<double> mine, theirs, ratio, cpu_ratio;
    for (size_t r = 0; r < ROUNDS; r++) {
        mine.push_back(qps_at(a, recall, r, false));
        theirs.push_back(qps_at(b, recall, r, false));
        ratio.push_back(mine[r] / theirs[r]);
        cpu_ratio.push_back(qps_at(a, recall, r, true) / qps_at(b, recall, r, true));
    }
    bool reached = mine[0] > 0, compared = reached && theirs[0] > 0;
    if (compared)
        printf("# at %.3f: vdb %.0f queries a second, hnswlib %.0f; by CPU time %.2f x\n", recall,
               median(mine), median(theirs), median(cpu_ratio));
    printf("queries/s at recall@10 %.3f, vdb / hnswlib\t", recall);
    if (!reached)
        printf("not reached\t");
    else if (!compared)
        printf("by vdb alone\t");
    else
        printf("%.2f x (%.2f to %.2f)\t", median(ratio),
               *std::min_element(ratio.begin(), ratio.end()),
               *std::max_element(ratio.begin(), ratio.end()));
    if (target > 0)
        printf(">= %.2f x\t%s\n", target,
               reached && (!compared || median(ratio) >= target) ? "yes" : "no");
    else
        printf("reachable\t%s\n", reached ? "yes" : "no");
}

int main(int argc, char **argv)
{
    if (argc != 6) fail("usage", "side_by_side TRAIN TEST INDEX.vdb INDEX.hnsw TRUTH");
    Bench bench;
    bench.train = read_images(argv[1]);
    bench.test = read_images(argv[2]);
    bench.queries = bench.test.floats();
    bench.kth = truth(bench.train, bench.test, argv[5]);
    pin();
    Side vdb = vdb_side(argv[3]), hnsw = hnsw_side(argv[4], bench.train.dim);
    bench.warm(vdb);
    bench.warm(hnsw);
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t e = 0; e < EFS.size(); e++) {
            bench.measure(round % 2 ? hnsw : vdb, e, round);
            bench.measure(round % 2 ? vdb : hnsw, e, round);
        }
    print_curves(vdb, hnsw);
    print_figure(vdb, hnsw, 0.95, 4.6);
    print_figure(vdb, hnsw, 0.99, 6.6);
    print_figure(vdb, hnsw, 0.999, 0);
    return 0;
}
