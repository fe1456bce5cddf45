/* peers_hnswlib.cc: hnswlib for `make bench-peers`, M 16, efConstruction 200.
 *
 * Variant `f32` is its float space, under cosine that of inner products over unit vectors, as its
 * authors do it; `bytes` is its integer space. An effort is an ef. Commands and output: peers.h.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <hnswlib/hnswlib.h>

#include <atomic>
#include <thread>

#include "peers.h"

static const size_t M = 16, EF_CONSTRUCTION = 200;

/* One implementation for both element types; D is the type of a distance. */
template <class D> struct Graph {
    std::unique_ptr<hnswlib::SpaceInterface<D>> space;
    std::unique_ptr<hnswlib::HierarchicalNSW<D>> hnsw;

    template <class T>
    void build(const T *x, size_t rows, size_t dim, size_t threads, const std::string &path)
    {
        Stopwatch watch;
        hnsw.reset(new hnswlib::HierarchicalNSW<D>(space.get(), rows, M, EF_CONSTRUCTION));
        std::atomic<size_t> next{0};
        std::vector<std::thread> workers;
        for (size_t t = 0; t < threads; t++)
            workers.emplace_back([&] {
                for (size_t i; (i = next++) < rows;) hnsw->addPoint(x + i * dim, i);
            });
        for (std::thread &worker : workers) worker.join();
        watch.print();
        hnsw->saveIndex(path);
    }

    void search(const void *query, uint32_t *ids) const
    {
        auto result = hnsw->searchKnn(query, K);
        std::fill(ids, ids + K, UINT32_MAX);
        for (; !result.empty(); result.pop())
            ids[result.size() - 1] = (uint32_t)result.top().second;
    }
};

struct Hnswlib : Peer {
    Graph<float> floats;
    Graph<int> bytes;
    std::vector<uint8_t> byte_queries;
    size_t byte_count = 0; /* of a query */

    bool is_bytes() const { return variant == "bytes"; }

    void make_space(size_t dim)
    {
        if (is_bytes())
            bytes.space.reset(new hnswlib::L2SpaceI(dim));
        else if (cosine)
            floats.space.reset(new hnswlib::InnerProductSpace(dim));
        else
            floats.space.reset(new hnswlib::L2Space(dim));
    }

    void build(Matrix &base, size_t threads) override
    {
        make_space(base.dim);
        if (is_bytes()) {
            std::vector<uint8_t> x(base.data.begin(), base.data.end());
            bytes.build(x.data(), base.rows, base.dim, threads, index);
        } else {
            floats.build(base.data.data(), base.rows, base.dim, threads, index);
        }
    }

    void open(size_t dim) override
    {
        make_space(dim);
        if (is_bytes())
            bytes.hnsw.reset(new hnswlib::HierarchicalNSW<int>(bytes.space.get(), index));
        else
            floats.hnsw.reset(new hnswlib::HierarchicalNSW<float>(floats.space.get(), index));
    }

    void prepare(Matrix &queries) override
    {
        Peer::prepare(queries);
        byte_count = queries.dim;
        if (is_bytes()) byte_queries.assign(queries.data.begin(), queries.data.end());
    }

    void set_effort(const char *effort) override
    {
        size_t ef = *effort ? (size_t)atoi(effort) : 64;
        if (is_bytes())
            bytes.hnsw->setEf(ef);
        else
            floats.hnsw->setEf(ef);
    }

    void search(const float *query, size_t number, uint32_t *ids) override
    {
        if (is_bytes())
            bytes.search(&byte_queries[number * byte_count], ids);
        else
            floats.search(query, ids);
    }
};

int main(int argc, char **argv)
{
    Hnswlib hnswlib;
    return peer_main(argc, argv, hnswlib);
}
