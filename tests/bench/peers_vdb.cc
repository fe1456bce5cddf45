/* peers_vdb.cc: libvdb for `make bench-peers`; its indexes are built by the tool vdb-add.
 *
 * An effort is an ef. As with the tools, VDB_ISA in the environment names a kernel set. Commands and
 * output: peers.h.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "peers.h"

#include "vdb.h"

struct Vdb : Peer {
    vdb *db = nullptr;
    const vdb_snapshot *snapshot = nullptr;
    vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    vdb_searcher *searcher = nullptr;
    vdb_error err;

    void build(Matrix &, size_t) override { give_up("vdb", "is built by vdb-add"); }

    void open(size_t) override
    {
        vdb_open_options how = VDB_OPEN_OPTIONS_INIT;
        how.read_only = 1;
        how.threads = 1;
        how.isa = getenv("VDB_ISA");
        if (vdb_open(index.c_str(), &how, &db, &err) || vdb_snapshot_open(db, &snapshot, &err))
            give_up(index, err.message);
        check_ids();
        options.k = (uint32_t)K;
        options.threads = 1;
    }

    /* Rows are held against the truth by number; a few show whether they came in order. */
    void check_ids()
    {
        vdb_info info;
        vdb_snapshot_info(snapshot, &info);
        for (uint32_t row = 0; row < info.rows; row += 1 + info.rows / 16) {
            const char *id;
            size_t len;
            if (vdb_row_id(snapshot, row, &id, &len, &err)) give_up(index, err.message);
            if (std::string(id, len) != std::to_string(row))
                give_up(index, "has rows in another order");
        }
    }

    /* The library normalises where its metric asks for it. */
    void prepare(Matrix &) override {}

    void set_effort(const char *effort) override
    {
        vdb_searcher_close(searcher);
        searcher = nullptr;
        options.ef = (uint32_t)atoi(effort);
        if (vdb_searcher_open(snapshot, &options, &searcher, &err))
            give_up(index, err.message);
    }

    void search(const float *query, size_t, uint32_t *ids) override
    {
        vdb_hit hits[K];
        uint32_t found;
        if (vdb_searcher_search(searcher, query, hits, &found, &err))
            give_up(index, err.message);
        for (size_t i = 0; i < K; i++) ids[i] = i < found ? hits[i].row : UINT32_MAX;
    }
};

int main(int argc, char **argv)
{
    Vdb vdb;
    return peer_main(argc, argv, vdb);
}
