/* peer.cc: hnswlib behind the functions of peer.h.
 *
 * The one file of the benchmark in C++, and built as the authors of hnswlib build theirs: -O3
 * -march=native, which lets it use the widest instructions of this very CPU.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "peer.h"

#if !__has_include(<hnswlib/hnswlib.h>)
#error "hnswlib is missing, and there is nothing to compare with: install libhnswlib-dev"
#endif

#include <atomic>
#include <exception>
#include <hnswlib/hnswlib.h>
#include <memory>
#include <thread>
#include <vector>

struct peer {
    explicit peer(size_t dim_) : dim(dim_), space(dim_) {}
    size_t dim;
    hnswlib::L2Space space;
    std::unique_ptr<hnswlib::HierarchicalNSW<float>> graph;
};

struct peer *peer_create(size_t dim, size_t rows, size_t m, size_t ef_construction)
try {
    auto made = std::make_unique<peer>(dim);
    made->graph.reset(
        new hnswlib::HierarchicalNSW<float>(&made->space, rows, m, ef_construction));
    return made.release();
} catch (const std::exception &) {
    return nullptr;
}

int peer_build(struct peer *peer, const float *vectors, size_t count, unsigned threads)
{
    /* The first vector becomes the entry, before there are threads to race for that. */
    std::atomic<size_t> next{1};
    std::atomic<bool> failed{false};
    auto work = [&] {
        try {
            for (size_t i; !failed && (i = next++) < count;)
                peer->graph->addPoint(vectors + i * peer->dim, i);
        } catch (const std::exception &) {
            failed = true;
        }
    };
    try {
        if (count > 0) peer->graph->addPoint(vectors, 0);
        std::vector<std::thread> others;
        for (unsigned i = 1; i < threads; i++) others.emplace_back(work);
        work();
        for (auto &other : others) other.join();
    } catch (const std::exception &) {
        return -1;
    }
    return failed ? -1 : 0;
}

int peer_save(struct peer *peer, const char *path)
try {
    peer->graph->saveIndex(path);
    return 0;
} catch (const std::exception &) {
    return -1;
}

struct peer *peer_load(size_t dim, const char *path)
try {
    auto made = std::make_unique<peer>(dim);
    made->graph.reset(new hnswlib::HierarchicalNSW<float>(&made->space, path));
    return made.release();
} catch (const std::exception &) {
    return nullptr;
}

void peer_effort(struct peer *peer, size_t ef)
{
    peer->graph->setEf(ef);
}

size_t peer_search(struct peer *peer, const float *query, size_t k, uint32_t *rows)
{
    size_t count = 0;
    auto nearest = peer->graph->searchKnn(query, k);
    for (; !nearest.empty() && count < k; nearest.pop())
        rows[count++] = static_cast<uint32_t>(nearest.top().second);
    return count;
}

void peer_free(struct peer *peer)
{
    delete peer;
}
