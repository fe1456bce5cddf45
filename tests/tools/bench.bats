#!/usr/bin/env bats
# bench.bats: vdb-bench counts recall as it is defined, and prints a line an effort.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

brute() { python3 "$BATS_TEST_DIRNAME/brute.py" "$@"; }

setup_file() {
    PATH=$VDB_BIN:$PATH
    cd "$BATS_FILE_TMPDIR"
    brute make 2500 40 1 >data.jsonl
    brute make 60 40 2 q >queries.jsonl
    vdb-add -q --create graph.vdb data.jsonl
    vdb-compact -q --index graph graph.vdb
    vdb-compact -q --index flat --output flat.vdb graph.vdb
    make_hdf5_program
}

setup() {
    common_setup
    T=$BATS_FILE_TMPDIR
}

# An ann-benchmarks file, written by libhdf5 itself: make_hdf5 FILE SPREAD SHIFT makes `train` the
# points 0 to 199 on a line, `test` two points at 10.25 and 20.25, and `neighbors` their true ones
# where SPREAD is 1 and SHIFT is 0.
make_hdf5_program() {
    cat >make_hdf5.c <<'END'
#include <hdf5.h>
#include <stdlib.h>
static void put(hid_t file, const char *name, hid_t type, hsize_t rows, hsize_t columns, const void *data)
{
    hsize_t shape[2] = {rows, columns};
    hid_t space = H5Screate_simple(2, shape, NULL);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    H5Dclose(set);
    H5Sclose(space);
}
int main(int argc, char **argv)
{
    int spread = atoi(argv[argc - 2]), shift = atoi(argv[argc - 1]), away[4] = {0, 1, -1, 2};
    float train[200][2] = {{0}}, test[2][2] = {{10.25F, 0}, {20.25F, 0}};
    int neighbors[2][4];
    for (int i = 0; i < 200; i++) train[i][0] = (float)i;
    for (int i = 0; i < 8; i++)
        neighbors[i / 4][i % 4] = 10 * (i / 4 + 1) + spread * away[i % 4] + shift;
    hid_t file = H5Fcreate(argv[1], H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put(file, "train", H5T_NATIVE_FLOAT, 200, 2, train);
    put(file, "test", H5T_NATIVE_FLOAT, 2, 2, test);
    put(file, "neighbors", H5T_NATIVE_INT, 2, 4, neighbors);
    return H5Fclose(file) < 0;
}
END
    # shellcheck disable=SC2046 # flags, one word each
    ${CC:-cc} make_hdf5.c -o make_hdf5 $(pkg-config --cflags --libs hdf5)
}

@test "six columns, an effort a line, in the order given" {
    ends 0 vdb-bench --ef 200,10,50 "$T/graph.vdb" "$T/queries.jsonl"
    [ -z "$stderr" ]
    [ "$(cut -f 1 <<<"$output" | tr '\n' ' ')" = "200 10 50 " ]
    printf '%s\n' "$output" >lines
    python3 - <<'END'
for line in open("lines"):
    ef, recall, p5, qps, p50, p99 = map(float, line.split("\t"))
    assert 0 <= p5 <= recall <= 1 and qps > 0 and 0 < p50 <= p99
END
}

@test "recall is the share of true neighbours that vdb-search finds at that effort" {
    brute expect l2 5 "$T/data.jsonl" "$T/queries.jsonl" >expected
    vdb-bench -k 5 --ef 5,9,60 "$T/graph.vdb" "$T/queries.jsonl" >lines
    for ef in 5 9 60; do
        vdb-search -k 5 --ef $ef "$T/graph.vdb" "$T/queries.jsonl" >found-$ef
    done
    python3 - <<'END'
import math
expected, reach = {}, {}
for line in open("expected"):
    query, rank, id, distance = line.split("\t")
    expected.setdefault(query, set()).add(id)
    reach[query] = float(distance)
for line in open("lines"):
    ef, recall, p5 = line.split("\t")[:3]
    shares = dict.fromkeys(expected, 0)
    for hit in open(f"found-{ef}"):
        query, rank, id, distance = hit.split("\t")
        # A tie with the last true neighbour is as good.
        shares[query] += (id in expected[query] or float(distance) <= reach[query] * (1 + 1e-6)) / 5
    mean = sum(shares.values()) / len(shares)
    assert abs(mean - float(recall)) < 1e-5, (ef, mean, recall)
    low = sorted(shares.values())[math.ceil(len(shares) * 0.05) - 1]
    assert abs(low - float(p5)) < 1e-5, (ef, low, p5)
    assert ef == "60" or 0 < mean < 1, "too easy to tell anything"
END
}

@test "a flat index has recall 1 at any effort; a graph gains with effort" {
    [ "$(vdb-bench --ef 10,20 "$T/flat.vdb" "$T/queries.jsonl" | cut -f 2,3 | sort -u)" = $'1.00000\t1.00000' ]
    vdb-bench --ef 10,800 "$T/graph.vdb" "$T/queries.jsonl" | cut -f 2 >recalls
    python3 -c 'a, b = map(float, open("recalls")); assert a < b and b > 0.99, (a, b)'
}

@test "efforts without --ef: k times 1 to 64" {
    [ "$(vdb-bench "$T/graph.vdb" "$T/queries.jsonl" | cut -f 1 | tr '\n' ' ')" = "10 20 40 80 160 320 640 " ]
    [ "$(vdb-bench -k 3 "$T/graph.vdb" "$T/queries.jsonl" | cut -f 1 | tr '\n' ' ')" = "3 6 12 24 48 96 192 " ]
}

@test "--queries takes the first N, -j runs them on threads, and recall is the same" {
    vdb-bench --json --ef 10 --queries 7 "$T/graph.vdb" "$T/queries.jsonl" >seven
    head -7 "$T/queries.jsonl" >first.jsonl
    vdb-bench --json --ef 10 -j 3 "$T/graph.vdb" first.jsonl >threads
    python3 - <<'END'
import json
a, b = json.load(open("seven")), json.load(open("threads"))
assert a["queries"] == b["queries"] == 7 and (a["threads"], b["threads"]) == (1, 3)
assert (a["recall"], a["p5_recall"]) == (b["recall"], b["p5_recall"])
END
}

@test "--json: one object an effort, with the same figures" {
    vdb-bench --json -k 5 --ef 5,500 "$T/graph.vdb" "$T/queries.jsonl" >json
    vdb-bench -k 5 --ef 5,500 "$T/graph.vdb" "$T/queries.jsonl" >text
    python3 - <<'END'
import json
for object, line in zip(map(json.loads, open("json")), open("text")):
    ef, recall, p5 = line.split("\t")[:3]
    assert set(object) == {"ef", "k", "queries", "threads", "recall", "p5_recall", "zero_recall",
                           "qps", "p50_us", "p99_us"}
    assert object["ef"] == int(ef) and object["k"] == 5 and object["queries"] == 60
    assert (object["recall"], object["p5_recall"]) == (float(recall), float(p5))
    assert 0 <= object["zero_recall"] <= 60 and 0 < object["p50_us"] <= object["p99_us"]
END
}

@test "an ann-benchmarks file: test and neighbors, ours where the index holds train" {
    "$T/make_hdf5" line.h5 1 0
    vdb-add -q --create line.vdb line.h5
    [ "$(vdb-stat line.vdb | grep '^rows')" = $'rows\t200' ]
    ends 0 vdb-bench -k 4 --ef 50 line.vdb line.h5
    [ -z "$stderr" ]
    [[ $output == $'50\t1.00000\t1.00000\t'* ]]
    # It is the file's truth and not that of a scan: where that has the nearest point four times, one
    # of four is no further away than all of them.
    "$T/make_hdf5" one.h5 0 0
    ends 0 vdb-bench -k 4 --ef 50 line.vdb one.h5
    [ -z "$stderr" ]
    [[ $output == $'50\t0.25000\t0.25000\t'* ]]
    [[ $(vdb-bench -k 1 --ef 50 line.vdb one.h5) == $'50\t1.00000\t1.00000\t'* ]]
}

@test "neighbors of another index are told and not believed" {
    "$T/make_hdf5" line.h5 1 0
    vdb-add -q --create line.vdb line.h5
    vdb-rm -q line.vdb 9
    ends 0 vdb-bench -k 4 --ef 50 line.vdb line.h5
    [[ $stderr == "vdb-bench: line.h5: its neighbors are not those of line.vdb"* ]]
    [[ $output == $'50\t1.00000\t'* ]]
    ends 0 vdb-bench -q -k 4 --ef 50 line.vdb line.h5
    [ -z "$stderr" ]
    # Rows that are not there; more neighbours than the file has.
    "$T/make_hdf5" bad.h5 1 190
    rm line.vdb
    vdb-add -q --create line.vdb line.h5
    ends 0 vdb-bench -k 4 --ef 50 line.vdb bad.h5
    [[ $stderr == *"not those of"* ]]
    ends 0 vdb-bench -k 5 --ef 50 line.vdb line.h5
    [[ $stderr == *"not those of"* ]]
    [[ $output == $'50\t1.00000\t'* ]]
}

@test "more neighbours than rows: as many as there are" {
    make_abc
    ends 0 vdb-bench -k 100 --ef 10 --json abc.vdb abc.jsonl
    [[ $output == '{"ef":10,"k":3,"queries":3,'*'"recall":1.00000,'* ]]
}

@test "ties with the last true neighbour count as found" {
    # Four points at distance 1, of which two are asked for.
    printf 'a\t1\t0\nb\t0\t1\nc\t-1\t0\nd\t0\t-1\n' | vdb-add -q --create t.vdb --format tsv -
    printf 'q\t0\t0\n' >q.tsv
    [[ $(vdb-bench -k 2 --ef 4 t.vdb q.tsv) == $'4\t1.00000\t1.00000\t'* ]]
}

@test "queries in other formats, and from standard input" {
    make_abc
    printf 'q,1,2\n' >q.csv
    printf 'q 1 2\n' >q
    [[ $(vdb-bench --ef 8 abc.vdb q.csv) == $'8\t1.00000\t'* ]]
    [[ $(vdb-bench --ef 8 --query-format word2vec abc.vdb q) == $'8\t1.00000\t'* ]]
    [[ $(vdb-bench --ef 8 --query-format csv abc.vdb - <q.csv) == $'8\t1.00000\t'* ]]
}

@test "bad queries are named: exit 65" {
    make_abc
    printf '{"vector": [1, 2]}\n{"vector": [1]}\n' >q.jsonl
    refused 65 "q.jsonl:2: *" vdb-bench abc.vdb q.jsonl
    printf '{"vector": [1]}\n' >q.jsonl
    refused 65 "q.jsonl:1: vector has 1 dimensions, index abc.vdb has 2" vdb-bench abc.vdb q.jsonl
    printf '{"vector": [1, oops]}\n' >q.jsonl
    refused 65 "q.jsonl:1*" vdb-bench abc.vdb q.jsonl
    : >empty.jsonl
    refused 65 "empty.jsonl: holds no queries" vdb-bench abc.vdb empty.jsonl
    vdb-add -q --create --metric cosine c.vdb abc.jsonl
    printf '{"vector": [0, 0]}\n' >q.jsonl
    refused 65 "q.jsonl:1: *zero*" vdb-bench c.vdb q.jsonl
    seq 100 >q.h5
    refused 65 "*q.h5*" vdb-bench --query-format hdf5 abc.vdb q.h5
}

@test "an index without rows, missing, or no index" {
    make_abc
    vdb-add -q --create --dim 2 empty.vdb </dev/null
    refused 65 "empty.vdb: has no rows*" vdb-bench empty.vdb abc.jsonl
    refused 66 "*none.vdb*" vdb-bench none.vdb abc.jsonl
    refused 66 "*none.jsonl*" vdb-bench abc.vdb none.jsonl
    refused 65 "*abc.jsonl*" vdb-bench abc.jsonl abc.jsonl
}

@test "wrong usage" {
    make_abc
    refused 2 "*INDEX*" vdb-bench
    refused 2 "*DATASET*" vdb-bench abc.vdb
    refused 2 "*" vdb-bench abc.vdb abc.jsonl abc.jsonl
    for list in 0 "" 1,,2 1,x "1, 2" , 1,; do
        refused 2 "--ef*" vdb-bench --ef "$list" abc.vdb abc.jsonl
    done
    refused 2 "--ef*" vdb-bench --ef "$(seq -s, 65)" abc.vdb abc.jsonl
    refused 2 "*" vdb-bench -k 0 abc.vdb abc.jsonl
    refused 2 "*" vdb-bench --queries 0 abc.vdb abc.jsonl
    refused 2 "*'odd'*" vdb-bench --query-format odd abc.vdb abc.jsonl
    for option in --plot --recall; do
        refused 2 "unknown option $option*" vdb-bench $option x abc.vdb abc.jsonl
    done
}

@test "a closed pipe ends it quietly; an output that cannot be written is exit 74" {
    run --separate-stderr bash -c "vdb-bench '$T/graph.vdb' '$T/queries.jsonl' | head -1 | cut -f 1"
    [ "$output" = 10 ]
    [ -z "$stderr" ]
    make_abc
    refused 74 "standard output*" sh -c "vdb-bench abc.vdb abc.jsonl >/dev/full"
}
