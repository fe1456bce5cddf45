/* datasets.cc: makes the data sets of `make bench-peers`, and the true neighbours of their queries.
 *
 * datasets fashion IMAGES QUERIES FOLDER   images of Fashion-MNIST, as bytes and as floats
 * datasets uniform FOLDER                  10,000 x 1,024, integers below 1,000 over 1,000
 * datasets clustered FOLDER                1,000,000 x 128, clusters of low rank
 * datasets truth FOLDER l2|cosine          truth.ivecs and truth.fvecs of base.fbin and query.fbin
 *
 * A set is base.fbin and query.fbin, where values are bytes base.u8bin too. Truth is of the first
 * TRUTH_QUERIES queries, brute force in double precision; distances are squared under l2, and
 * 1 - cosine else. Where the numbers come from a generator, the same bytes come out every time.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>

#include "fashion.h"
#include "peers.h"

static const size_t TRUTH_QUERIES = 2000, TRUTH_K = 100, THREADS = 2;

/* ---- writing ------------------------------------------------------------------------------- */

template <class T>
static void write_bin(const std::string &path, size_t rows, size_t dim, const T *data)
{
    FILE *file = fopen(path.c_str(), "wb");
    uint32_t head[2] = {(uint32_t)rows, (uint32_t)dim};
    if (!file || fwrite(head, sizeof head, 1, file) != 1 ||
        fwrite(data, sizeof(T) * dim, rows, file) != rows || fclose(file))
        fail(path.c_str(), "cannot be written");
}

/* TEXMEX: each row behind its length. */
template <class T>
static void write_vecs(const std::string &path, size_t rows, size_t dim, const T *data)
{
    FILE *file = fopen(path.c_str(), "wb");
    uint32_t head = (uint32_t)dim;
    if (!file) fail(path.c_str(), "cannot be written");
    for (size_t i = 0; i < rows; i++)
        if (fwrite(&head, sizeof head, 1, file) != 1 ||
            fwrite(data + i * dim, sizeof(T), dim, file) != dim)
            fail(path.c_str(), "cannot be written");
    if (fclose(file)) fail(path.c_str(), "cannot be written");
}

/* ---- generators ---------------------------------------------------------------------------- */

/* SplitMix64 (Steele, Lea, Flood 2014): written out, as the standard library's distributions
 * differ between implementations. */
struct Random {
    uint64_t state;
    double kept = 0;
    bool has_kept = false;

    explicit Random(uint64_t seed) : state(seed) {}

    uint64_t next()
    {
        uint64_t z = (state += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

    double unit() { return (double)(next() >> 11) * 0x1p-53; }

    size_t below(size_t limit) { return (size_t)(unit() * (double)limit); }

    /* Marsaglia's polar method. */
    double normal()
    {
        if (has_kept) {
            has_kept = false;
            return kept;
        }
        double x, y, s;
        do {
            x = 2 * unit() - 1;
            y = 2 * unit() - 1;
            s = x * x + y * y;
        } while (s >= 1 || s == 0);
        double scale = std::sqrt(-2 * std::log(s) / s);
        kept = y * scale;
        has_kept = true;
        return x * scale;
    }
};

static void make_fashion(const char *train, const char *test, const std::string &folder)
{
    Images base = read_images(train), query = read_images(test);
    write_bin(folder + "/base.u8bin", base.rows, base.dim, base.bytes.data());
    write_bin(folder + "/base.fbin", base.rows, base.dim, base.floats().data());
    write_bin(folder + "/query.fbin", query.rows, query.dim, query.floats().data());
}

static void make_uniform(const std::string &folder)
{
    const size_t rows = 10000, queries = 1000, dim = 1024;
    Random random(1024);
    std::vector<float> x((rows + queries) * dim);
    for (float &value : x) value = (float)((double)random.below(1000) / 1000);
    write_bin(folder + "/base.fbin", rows, dim, x.data());
    write_bin(folder + "/query.fbin", queries, dim, x.data() + rows * dim);
}

/* A row is its cluster's centre, plus a normal in the cluster's own subspace of low rank whose axes
 * shrink, plus a little noise in all dimensions. With these numbers local intrinsic dimension,
 * estimated by `datasets truth`, is about 14. */
static void make_clustered(const std::string &folder)
{
    const size_t rows = 1000000, queries = 10000, dim = 128, clusters = 2000, rank = 32;
    const double spread = 0.35, shrink = 0.97, noise = 0.1;
    Random random(1000000);
    std::vector<double> centres(clusters * dim), axes(clusters * rank * dim);
    for (double &value : centres) value = spread * random.normal();
    for (size_t c = 0; c < clusters; c++) {
        double length = 1;
        for (size_t r = 0; r < rank; r++, length *= shrink)
            for (size_t d = 0; d < dim; d++)
                axes[(c * rank + r) * dim + d] = length * random.normal() / std::sqrt((double)dim);
    }
    std::vector<float> x((rows + queries) * dim);
    std::vector<double> row(dim);
    for (size_t i = 0; i < rows + queries; i++) {
        size_t c = random.below(clusters);
        std::copy_n(&centres[c * dim], dim, row.begin());
        for (size_t r = 0; r < rank; r++) {
            double along = random.normal();
            for (size_t d = 0; d < dim; d++) row[d] += along * axes[(c * rank + r) * dim + d];
        }
        for (size_t d = 0; d < dim; d++) x[i * dim + d] = (float)(row[d] + noise * random.normal());
    }
    write_bin(folder + "/base.fbin", rows, dim, x.data());
    write_bin(folder + "/query.fbin", queries, dim, x.data() + rows * dim);
}

/* ---- truth --------------------------------------------------------------------------------- */

/* Sums in eight strands, which compilers turn into vector registers without leave to reorder. */
template <class Term> static double sum(size_t dim, Term term)
{
    double strands[8] = {0};
    size_t i = 0;
    for (; i + 8 <= dim; i += 8)
        for (size_t s = 0; s < 8; s++) strands[s] += term(i + s);
    for (; i < dim; i++) strands[0] += term(i);
    double total = 0;
    for (double strand : strands) total += strand;
    return total;
}

static double dot(const float *a, const float *b, size_t dim)
{
    return sum(dim, [=](size_t i) { return (double)a[i] * (double)b[i]; });
}

static double squared(const float *a, const float *b, size_t dim)
{
    return sum(dim, [=](size_t i) {
        double difference = (double)a[i] - (double)b[i];
        return difference * difference;
    });
}

struct Truth {
    Matrix base, query;
    bool cosine;
    size_t k;
    std::vector<double> base_length;
    std::vector<uint32_t> rows;
    std::vector<float> distances;

    /* Of queries [from, to): blocks of rows stay in cache while all of these queries see them. */
    void find(size_t from, size_t to)
    {
        const size_t block = 256, dim = base.dim;
        using Near = std::pair<double, uint32_t>;
        std::vector<std::vector<Near>> best(to - from);
        for (size_t first = 0; first < base.rows; first += block)
            for (size_t q = from; q < to; q++) {
                const float *at = query.row(q);
                double length = cosine ? std::sqrt(dot(at, at, dim)) : 0;
                std::vector<Near> &heap = best[q - from];
                for (size_t i = first; i < std::min(base.rows, first + block); i++) {
                    double d = cosine ? 1 - dot(base.row(i), at, dim) / (base_length[i] * length)
                                      : squared(base.row(i), at, dim);
                    Near near(d, (uint32_t)i);
                    if (heap.size() == k) {
                        if (near >= heap[0]) continue;
                        std::pop_heap(heap.begin(), heap.end());
                        heap.pop_back();
                    }
                    heap.push_back(near);
                    std::push_heap(heap.begin(), heap.end());
                }
            }
        for (size_t q = from; q < to; q++) {
            std::sort_heap(best[q - from].begin(), best[q - from].end());
            for (size_t i = 0; i < k; i++) {
                distances[q * k + i] = (float)best[q - from][i].first;
                rows[q * k + i] = best[q - from][i].second;
            }
        }
    }
};

/* The estimate of Amsaleg et al. (KDD 2015, equation 4, maximum likelihood), from the distances to
 * the nearest rows; the mean over queries. Distances on the sphere are those of the chord. */
static double lid(const Truth &truth, size_t queries)
{
    double total = 0;
    for (size_t q = 0; q < queries; q++) {
        const float *d = &truth.distances[q * truth.k];
        double logs = 0;
        size_t count = 0;
        for (size_t i = 0; i + 1 < truth.k; i++)
            if (d[i] > 0 && d[truth.k - 1] > 0) {
                logs += 0.5 * std::log((double)d[i] / (double)d[truth.k - 1]);
                count++;
            }
        total += logs < 0 ? -(double)count / logs : 0;
    }
    return total / (double)queries;
}

static void make_truth(const std::string &folder, const char *metric)
{
    Truth truth;
    truth.base = read_fbin(folder + "/base.fbin");
    truth.query = read_fbin(folder + "/query.fbin");
    truth.cosine = strcmp(metric, "cosine") == 0;
    truth.k = std::min(TRUTH_K, truth.base.rows);
    if (truth.cosine)
        for (size_t i = 0; i < truth.base.rows; i++) {
            const float *row = truth.base.row(i);
            truth.base_length.push_back(std::sqrt(dot(row, row, truth.base.dim)));
        }
    size_t queries = std::min(TRUTH_QUERIES, truth.query.rows);
    truth.rows.resize(queries * truth.k);
    truth.distances.resize(queries * truth.k);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < THREADS; t++)
        threads.emplace_back(
            [&, t] { truth.find(queries * t / THREADS, queries * (t + 1) / THREADS); });
    for (std::thread &thread : threads) thread.join();
    write_vecs(folder + "/truth.fvecs", queries, truth.k, truth.distances.data());
    write_vecs(folder + "/truth.ivecs", queries, truth.k, truth.rows.data());
    printf("%zu rows, %zu dimensions, %zu queries with truth, local intrinsic dimension %.1f\n",
           truth.base.rows, truth.base.dim, queries, lid(truth, queries));
}

int main(int argc, char **argv)
{
    std::string what = argc > 1 ? argv[1] : "";
    if (what == "fashion" && argc == 5)
        make_fashion(argv[2], argv[3], argv[4]);
    else if (what == "uniform" && argc == 3)
        make_uniform(argv[2]);
    else if (what == "clustered" && argc == 3)
        make_clustered(argv[2]);
    else if (what == "truth" && argc == 4)
        make_truth(argv[2], argv[3]);
    else
        fail("usage", "datasets fashion|uniform|clustered|truth ...");
    return 0;
}
