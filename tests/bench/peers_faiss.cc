/* peers_faiss.cc: faiss for `make bench-peers`.
 *
 * Variants: `hnsw` (M 32, efConstruction 200, floats), `sq8` (the same graph over 8-bit codes) and
 * `ivf` (inverted lists of 4-bit product codes, two dimensions a code, scanned by its fast scan,
 * the best of them ranked anew by the floats). An effort is an efSearch, for `ivf` nprobe and how
 * many times k are ranked anew. Under cosine vectors have length 1, where L2 gives the same order.
 * Commands and output: peers.h.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/IndexRefine.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>
#include <omp.h>

#include "peers.h"

static const int EF_CONSTRUCTION = 200;

struct Faiss : Peer {
    std::unique_ptr<faiss::Index> holder;
    faiss::IndexHNSW *hnsw = nullptr;
    faiss::IndexRefine *refine = nullptr;
    faiss::IndexIVF *ivf = nullptr;

    /* Lists: the power of two nearest to 4 sqrt(rows), within what faiss's authors advise. */
    std::string factory(const Matrix &base) const
    {
        if (variant == "hnsw") return "HNSW32";
        if (variant == "sq8") return "HNSW32_SQ8";
        if (variant != "ivf") give_up(variant, "is none of hnsw, sq8 and ivf");
        double lists = std::exp2(std::round(std::log2(4 * std::sqrt((double)base.rows))));
        return "IVF" + std::to_string((int)lists) + ",PQ" + std::to_string(base.dim / 2) +
               "x4fs,RFlat";
    }

    void look()
    {
        hnsw = dynamic_cast<faiss::IndexHNSW *>(holder.get());
        refine = dynamic_cast<faiss::IndexRefine *>(holder.get());
        if (refine) ivf = dynamic_cast<faiss::IndexIVF *>(refine->base_index);
        if (!hnsw && !ivf) give_up(index, "holds another index than its variant");
    }

    void build(Matrix &base, size_t threads) override
    {
        omp_set_num_threads((int)threads);
        Stopwatch watch;
        holder.reset(faiss::index_factory((int)base.dim, factory(base).c_str()));
        look();
        if (hnsw) hnsw->hnsw.efConstruction = EF_CONSTRUCTION;
        holder->train((faiss::Index::idx_t)base.rows, base.data.data());
        holder->add((faiss::Index::idx_t)base.rows, base.data.data());
        watch.print();
        faiss::write_index(holder.get(), index.c_str());
    }

    void open(size_t) override
    {
        omp_set_num_threads(1);
        holder.reset(faiss::read_index(index.c_str()));
        look();
    }

    void set_effort(const char *effort) override
    {
        int first = 64, times = 4;
        sscanf(effort, "%d %d", &first, &times);
        if (hnsw) {
            hnsw->hnsw.efSearch = first;
        } else {
            ivf->nprobe = (size_t)first;
            refine->k_factor = (float)times;
        }
    }

    void search(const float *query, size_t, uint32_t *ids) override
    {
        float distances[K];
        faiss::Index::idx_t labels[K];
        holder->search(1, query, (faiss::Index::idx_t)K, distances, labels);
        for (size_t i = 0; i < K; i++) ids[i] = labels[i] < 0 ? UINT32_MAX : (uint32_t)labels[i];
    }
};

int main(int argc, char **argv)
{
    Faiss faiss;
    return peer_main(argc, argv, faiss);
}
