/* peers.h: what the programs of `make bench-peers` share: reading a set, and answering the driver.
 *
 * A program of a peer is called by tests/bench/peers in one of three ways. PROGRAM build VARIANT
 * METRIC FOLDER INDEX THREADS builds, saves, and prints the seconds of building, then those of CPU
 * time; PROGRAM first VARIANT METRIC FOLDER INDEX opens, answers one query, and ends; PROGRAM
 * serve, with the same operands as first, opens, prints a line, and reads commands: `run EFFORT`
 * answers every query that has truth, one a call, and prints recall@10, queries a second, queries a
 * second of the process's CPU time, and the 50th and 99th percentile of the calls in microseconds;
 * `memory` prints bytes that are resident beyond what was before the index was opened, and those of
 * them that are no file's. Numbers stand between tabs.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef PEERS_H
#define PEERS_H

#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

[[noreturn]] static inline void give_up(const std::string &what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what.c_str(), why);
    exit(1);
}

static const size_t K = 10;

struct Matrix {
    size_t rows = 0, dim = 0;
    std::vector<float> data;

    const float *row(size_t i) const { return data.data() + i * dim; }

    void normalise()
    {
        for (size_t i = 0; i < rows; i++) {
            float *x = data.data() + i * dim;
            double length = 0;
            for (size_t d = 0; d < dim; d++) length += (double)x[d] * (double)x[d];
            length = std::sqrt(length);
            for (size_t d = 0; d < dim; d++) x[d] = (float)((double)x[d] / length);
        }
    }
};

/* big-ann-benchmarks: rows and dimensions as u32, then the values. At most `limit` rows. */
static inline Matrix read_fbin(const std::string &path, size_t limit = SIZE_MAX)
{
    FILE *file = fopen(path.c_str(), "rb");
    uint32_t head[2];
    if (!file || fread(head, sizeof head, 1, file) != 1) give_up(path, "cannot be read");
    Matrix matrix;
    matrix.rows = std::min((size_t)head[0], limit);
    matrix.dim = head[1];
    matrix.data.resize(matrix.rows * matrix.dim);
    if (fread(matrix.data.data(), sizeof(float), matrix.data.size(), file) != matrix.data.size())
        give_up(path, "is shorter than its header says");
    fclose(file);
    return matrix;
}

/* TEXMEX rows of four-byte values, one length. */
template <class T> static inline std::vector<T> read_vecs(const std::string &path, size_t *dim)
{
    static_assert(sizeof(T) == 4, "a value is of four bytes");
    FILE *file = fopen(path.c_str(), "rb");
    if (!file) give_up(path, "cannot be read");
    std::vector<T> values;
    for (uint32_t length; fread(&length, sizeof length, 1, file) == 1;) {
        *dim = length;
        values.resize(values.size() + length);
        if (fread(&values[values.size() - length], sizeof(T), length, file) != length)
            give_up(path, "ends within a row");
    }
    fclose(file);
    return values;
}

/* What a peer is to bring. Ids are row numbers; fewer than K found are filled with UINT32_MAX. */
struct Peer {
    std::string variant, folder, index;
    bool cosine = false;

    virtual ~Peer() = default;
    virtual void build(Matrix &base, size_t threads) = 0;
    virtual void open(size_t dim) = 0;
    virtual void prepare(Matrix &queries)
    {
        if (cosine) queries.normalise();
    }
    virtual void set_effort(const char *effort) = 0;
    virtual void search(const float *query, size_t number, uint32_t *ids) = 0;
};

static inline double now(clockid_t clock = CLOCK_MONOTONIC)
{
    timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct Stopwatch {
    double wall = now(), cpu = now(CLOCK_PROCESS_CPUTIME_ID);

    void print() const
    {
        printf("%.3f\t%.3f\n", now() - wall, now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    }
};

struct Resident {
    long all = 0, own = 0; /* bytes */
};

static inline Resident resident()
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long all = 0, file_kib = 0;
    while (file && fgets(line, sizeof line, file)) {
        sscanf(line, "VmRSS: %ld", &all);
        sscanf(line, "RssFile: %ld", &file_kib);
    }
    if (file) fclose(file);
    return {1024 * all, 1024 * (all - file_kib)};
}

struct Server {
    Peer &peer;
    Matrix queries;
    std::vector<uint32_t> truth;
    std::vector<float> distances;
    size_t truth_k = 0;
    Resident before;

    explicit Server(Peer &served) : peer(served)
    {
        truth = read_vecs<uint32_t>(peer.folder + "/truth.ivecs", &truth_k);
        distances = read_vecs<float>(peer.folder + "/truth.fvecs", &truth_k);
        queries = read_fbin(peer.folder + "/query.fbin", truth.size() / truth_k);
        peer.prepare(queries);
        before = resident();
        peer.open(queries.dim);
    }

    /* A row counts when it is no farther than the true tenth, one given twice counts once. */
    size_t count_found(size_t q, uint32_t *ids) const
    {
        std::sort(ids, ids + K);
        size_t distinct = (size_t)(std::unique(ids, ids + K) - ids), found = 0;
        const uint32_t *rows = &truth[q * truth_k];
        const float *d = &distances[q * truth_k];
        for (size_t i = 0; i < truth_k && d[i] <= d[K - 1]; i++)
            found += std::binary_search(ids, ids + distinct, rows[i]);
        return std::min(found, K);
    }

    void run(const char *effort)
    {
        std::vector<uint32_t> ids(queries.rows * K);
        std::vector<double> times(queries.rows + 1);
        peer.set_effort(effort);
        double cpu = now(CLOCK_PROCESS_CPUTIME_ID);
        times[0] = now();
        for (size_t q = 0; q < queries.rows; q++) {
            peer.search(queries.row(q), q, &ids[q * K]);
            times[q + 1] = now();
        }
        double wall = times.back() - times[0];
        cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        for (size_t q = 0; q < queries.rows; q++) times[q] = times[q + 1] - times[q];
        times.pop_back();
        std::sort(times.begin(), times.end());
        size_t found = 0;
        for (size_t q = 0; q < queries.rows; q++) found += count_found(q, &ids[q * K]);
        printf("%.6f\t%.2f\t%.2f\t%.2f\t%.2f\n", (double)found / (double)(queries.rows * K),
               (double)queries.rows / wall, (double)queries.rows / cpu,
               1e6 * times[times.size() / 2], 1e6 * times[times.size() * 99 / 100]);
    }

    void serve()
    {
        char line[256];
        printf("ready\n");
        fflush(stdout);
        while (fgets(line, sizeof line, stdin)) {
            line[strcspn(line, "\n")] = 0;
            if (strncmp(line, "run ", 4) == 0) {
                run(line + 4);
            } else if (strcmp(line, "memory") == 0) {
                Resident after = resident();
                printf("%ld\t%ld\n", after.all - before.all, after.own - before.own);
            } else {
                give_up(line, "is no command");
            }
            fflush(stdout);
        }
    }
};

static inline void answer_first(Peer &peer)
{
    Matrix query = read_fbin(peer.folder + "/query.fbin", 1);
    uint32_t ids[K];
    peer.prepare(query);
    peer.open(query.dim);
    peer.set_effort("");
    peer.search(query.row(0), 0, ids);
    printf("%u\n", ids[0]);
}

static inline int peer_main(int argc, char **argv, Peer &peer)
{
    std::string what = argc > 1 ? argv[1] : "";
    if (argc != (what == "build" ? 7 : 6))
        give_up("usage", "build|first|serve VARIANT METRIC FOLDER INDEX [THREADS]");
    peer.variant = argv[2];
    peer.cosine = strcmp(argv[3], "cosine") == 0;
    peer.folder = argv[4];
    peer.index = argv[5];
    if (what == "build") {
        Matrix base = read_fbin(peer.folder + "/base.fbin");
        if (peer.cosine) base.normalise();
        peer.build(base, (size_t)atoi(argv[6]));
    } else if (what == "first") {
        answer_first(peer);
    } else if (what == "serve") {
        Server(peer).serve();
    } else {
        give_up(what, "is none of build, first and serve");
    }
    return 0;
}

#endif
