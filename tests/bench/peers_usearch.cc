/* peers_usearch.cc: usearch for `make bench-peers`, from the headers in its npm package, which
 * spares it the calls through node; connectivity 16, expansion 200 while adding.
 *
 * Variants: `f32`, and `i8`, for which the values of the set are spread evenly over -127 to 127, as
 * the library's own conversion is for unit vectors. An effort is an expansion. Under cosine vectors
 * have length 1, where L2 gives the same order. Commands and output: peers.h.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <atomic>
#include <thread>
#include <usearch/index_dense.hpp>

#include "peers.h"

using namespace unum::usearch;

static const size_t CONNECTIVITY = 16, EXPANSION_ADD = 200;

struct Usearch : Peer {
    index_dense_t dense;
    std::vector<int8_t> codes; /* i8: of the queries */
    float middle = 0, scale = 1;
    size_t dim = 0;

    bool is_i8() const { return variant == "i8"; }

    int8_t code(float x) const
    {
        return (int8_t)std::lround(std::max(-127.0f, std::min(127.0f, (x - middle) * scale)));
    }

    std::vector<int8_t> encode(const Matrix &matrix) const
    {
        std::vector<int8_t> encoded(matrix.data.size());
        for (size_t i = 0; i < encoded.size(); i++) encoded[i] = code(matrix.data[i]);
        return encoded;
    }

    void make_empty()
    {
        metric_punned_t metric(dim, metric_kind_t::l2sq_k,
                               is_i8() ? scalar_kind_t::i8_k : scalar_kind_t::f32_k);
        auto made =
            index_dense_t::make(metric, index_dense_config_t(CONNECTIVITY, EXPANSION_ADD, 64));
        if (!made) give_up("usearch", made.error.release());
        dense = std::move(made.index);
    }

    void build(Matrix &base, size_t threads) override
    {
        dim = base.dim;
        Stopwatch watch;
        if (is_i8()) {
            auto range = std::minmax_element(base.data.begin(), base.data.end());
            middle = (*range.first + *range.second) / 2;
            scale = 254 / (*range.second - *range.first);
            codes = encode(base);
        }
        make_empty();
        if (!dense.try_reserve(index_limits_t(base.rows, threads)))
            give_up("usearch", "has no memory");
        std::atomic<size_t> next{0};
        std::vector<std::thread> workers;
        for (size_t t = 0; t < threads; t++)
            workers.emplace_back([&, t] {
                for (size_t i; (i = next++) < base.rows;) {
                    auto added =
                        is_i8() ? dense.add(i, &codes[i * dim], t) : dense.add(i, base.row(i), t);
                    if (!added) give_up("usearch", added.error.release());
                }
            });
        for (std::thread &worker : workers) worker.join();
        watch.print();
        auto saved = dense.save(index.c_str());
        if (!saved) give_up(index, saved.error.release());
        save_range();
    }

    /* The conversion to i8 is the caller's, so its two numbers are kept beside the index. */
    std::string range_path() const { return index + ".range"; }

    void save_range() const
    {
        FILE *file = fopen(range_path().c_str(), "w");
        if (!file || fprintf(file, "%.9g %.9g\n", middle, scale) < 0 || fclose(file))
            give_up(range_path(), "cannot be written");
    }

    void read_range()
    {
        FILE *file = fopen(range_path().c_str(), "r");
        if (!file || fscanf(file, "%f %f", &middle, &scale) != 2)
            give_up(range_path(), "cannot be read");
        fclose(file);
    }

    void prepare(Matrix &queries) override
    {
        Peer::prepare(queries);
        dim = queries.dim;
        read_range();
        if (is_i8()) codes = encode(queries);
    }

    void open(size_t) override
    {
        make_empty();
        auto loaded = dense.load(index.c_str());
        if (!loaded) give_up(index, loaded.error.release());
        if (!dense.try_reserve(index_limits_t(dense.size(), 1))) give_up(index, "has no memory");
    }

    void set_effort(const char *effort) override
    {
        dense.change_expansion_search(*effort ? (size_t)atoi(effort) : 64);
    }

    void search(const float *query, size_t number, uint32_t *ids) override
    {
        auto result =
            is_i8() ? dense.search(&codes[number * dim], K, 0) : dense.search(query, K, 0);
        if (!result) give_up(index, result.error.release());
        index_dense_t::vector_key_t keys[K];
        size_t found = result.dump_to(keys);
        for (size_t i = 0; i < K; i++) ids[i] = i < found ? (uint32_t)keys[i] : UINT32_MAX;
    }
};

int main(int argc, char **argv)
{
    Usearch usearch;
    return peer_main(argc, argv, usearch);
}
