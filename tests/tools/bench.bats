#!/usr/bin/env bats
# bench.bats: vdb-bench counts recall as it is defined, prints a line an effort, and draws the curve.
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

@test "efforts without --ef: k times 1/4 to 64" {
    [ "$(vdb-bench "$T/graph.vdb" "$T/queries.jsonl" | cut -f 1 | tr '\n' ' ')" = "3 5 10 20 40 80 160 320 640 " ]
    [ "$(vdb-bench -k 3 "$T/graph.vdb" "$T/queries.jsonl" | cut -f 1 | tr '\n' ' ')" = "1 2 3 6 12 24 48 96 192 " ]
}

@test "efforts without --ef end at the first that takes in every row" {
    make_abc
    [ "$(vdb-bench -k 1 abc.vdb abc.jsonl | cut -f 1 | tr '\n' ' ')" = "1 2 4 " ]
    [ "$(vdb-bench -k 2 abc.vdb abc.jsonl | cut -f 1 | tr '\n' ' ')" = "1 2 4 " ]
    [ "$(vdb-bench abc.vdb abc.jsonl | cut -f 1 | tr '\n' ' ')" = "1 2 3 " ]
}

# A clock that is none: every look at it finds it some microseconds later, up to 900, and is written
# down.
make_clock() {
    cat >clock.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *t)
{
    static unsigned long long ns = 1000000000, seed = 1;
    FILE *log = id == CLOCK_MONOTONIC ? fopen(getenv("CLOCK_LOG"), "a") : NULL;
    if (log) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        ns += 1000 + (seed >> 33) % 900000;
        fprintf(log, "%llu\n", ns);
        fclose(log);
    }
    t->tv_sec = (time_t)(ns / 1000000000);
    t->tv_nsec = (long)(ns % 1000000000);
    return 0;
}
END
    ${CC:-cc} -shared -fPIC clock.c -o clock.so
}

@test "QPS, P50_US and P99_US are what a known clock gives" {
    make_clock
    brute make 250 40 3 q >many.jsonl
    for count in 1 2 99 100 101 250; do
        rm -f log
        ends 0 env CLOCK_LOG=log LD_PRELOAD="$PWD/clock.so" \
            ASAN_OPTIONS="verify_asan_link_order=0:$ASAN_OPTIONS" \
            vdb-bench --ef 10 --queries $count "$T/graph.vdb" many.jsonl
        printf '%s\n' "$output" >line
        # The last pass looks before it, before and behind each query, and behind it.
        python3 - $count <<'END'
import sys
count = int(sys.argv[1])
looks = [int(line) / 1000 for line in open("log")][-(2 * count + 2):]
times = [looks[2 * i + 2] - looks[2 * i + 1] for i in range(count)]
def within(percent):
    return min(t for t in times if 100 * sum(u <= t for u in times) >= percent * count)
qps, p50, p99 = map(float, open("line").read().split("\t")[3:])
assert abs(p50 - within(50)) <= 0.06, (p50, within(50))
assert abs(p99 - within(99)) <= 0.06, (p99, within(99))
assert abs(qps - count / (looks[-1] - looks[0]) * 1e6) <= 0.06, qps
END
    done
}

@test "--recall: the index's calibration gives the effort" {
    # What is asked for is for queries like the rows, as these are.
    ends 0 vdb-bench --recall 0.999,0.5,.9 "$T/graph.vdb" "$T/queries.jsonl"
    [ -z "$stderr" ]
    printf '%s\n' "$output" >lines
    vdb-bench --json --recall 0.999,0.5,.9 --plot aims.svg "$T/graph.vdb" "$T/queries.jsonl" >json
    python3 - <<'END'
import json
aims, recalls = [0.999, 0.5, 0.9], []
objects = [json.loads(line) for line in open("json")]
lines = [line.rstrip("\n").split("\t") for line in open("lines")]
assert len(objects) == len(lines) == 3
for aim, object, line in zip(aims, objects, lines):
    assert object["target_recall"] == aim and len(line) == 6
    assert line[0] == ("-" if object["ef"] is None else str(object["ef"]))
    assert object["recall"] == float(line[1]) and object["p5_recall"] == float(line[2])
    assert float(line[1]) >= aim - 0.03, (aim, line)
    recalls.append(float(line[1]))
assert recalls[1] < recalls[2] < recalls[0], recalls
END
    grep -q 'aim' aims.svg
    # EF is the effort that this comes to: by hand it finds as much.
    for line in 1 2 3; do
        ef=$(sed -n ${line}p lines | cut -f 1)
        same "$(vdb-bench --ef "$ef" "$T/graph.vdb" "$T/queries.jsonl" | cut -f 1-3)" \
            "$(sed -n ${line}p lines | cut -f 1-3)"
    done
    # With a tail it is that of the one graph; of two graphs, and of none, there is no one effort.
    cp "$T/graph.vdb" x.vdb
    head -200 "$T/data.jsonl" | sed 's/"id": "/&t/' | vdb-add -q x.vdb
    [ "$(vdb-bench --recall 0.9 x.vdb "$T/queries.jsonl" | cut -f 1)" = "$(sed -n 3p lines | cut -f 1)" ]
    sed 's/"id": "/&u/' "$T/data.jsonl" | head -2200 | vdb-add -q x.vdb
    [ "$(vdb-stat x.vdb | grep -c '^effort')" -eq 2 ]
    [ "$(vdb-bench --recall 0.9 x.vdb "$T/queries.jsonl" | cut -f 1)" = - ]
    [[ $(vdb-bench --json --recall 0.9 x.vdb "$T/queries.jsonl") == '{"ef":null,"target_recall":0.9,'* ]]
    [ "$(vdb-bench --recall 0.9 "$T/flat.vdb" "$T/queries.jsonl" | cut -f 1)" = - ]
    [ "$(vdb-bench --recall 0.5,1 "$T/flat.vdb" "$T/queries.jsonl" | cut -f 2 | sort -u)" = 1.00000 ]
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

@test "neighbors by another metric, or of rows in another order, are not believed" {
    "$T/make_hdf5" line.h5 1 0
    # By the inner product the rows far out are the nearest.
    vdb-add -q --create --metric ip ip.vdb line.h5
    ends 0 vdb-bench -k 4 --ef 50 ip.vdb line.h5
    [[ $stderr == *"its neighbors are not those of ip.vdb"* ]]
    seq 0 199 | awk '{print "r" $1 "\t" 199 - $1 "\t" 0}' >back.tsv
    vdb-add -q --create back.vdb back.tsv
    ends 0 vdb-bench -k 4 --ef 50 back.vdb line.h5
    [[ $stderr == *"its neighbors are not those of back.vdb"* ]]
    [[ $output == $'50\t1.00000\t'* ]]
    # Of the query at 20.25 the fourth is row 22, 1.75 away. Where another is nearer by less than a
    # thousandth, as a type that rounds may have it, these are still the rows; by more, they are not.
    for other in 18.5003 18.5100; do
        seq 0 199 | awk -v x=$other '{print "r" $1 "\t" ($1 < 199 ? $1 : x) "\t" 0}' >other.tsv
        rm -f other.vdb
        vdb-add -q --create other.vdb other.tsv
        ends 0 vdb-bench -k 4 --ef 50 other.vdb line.h5
        [[ $output == $'50\t1.00000\t'* ]]
        case $other in
        18.5003) [ -z "$stderr" ] ;;
        *) [[ $stderr == *"its neighbors are not those of other.vdb"* ]] ;;
        esac
    done
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
    for list in 0 "" 0.9,,1 1,x "0.9, 1" , 1, 1.01 -0.5 nan 1e-400; do
        refused 2 "--recall*" vdb-bench --recall "$list" abc.vdb abc.jsonl
    done
    refused 2 "--recall*" vdb-bench --recall "0.$(printf '9%.0s' $(seq 70))" abc.vdb abc.jsonl
    refused 2 "--recall*" vdb-bench --recall "1$(printf ',1%.0s' $(seq 64))" abc.vdb abc.jsonl
    refused 2 "--ef or --recall, not both*" vdb-bench --ef 5 --recall 0.9 abc.vdb abc.jsonl
    refused 2 "--ef or --recall, not both*" vdb-bench --recall 0.9 --ef 5 abc.vdb abc.jsonl
    refused 2 "*" vdb-bench -k 0 abc.vdb abc.jsonl
    refused 2 "*" vdb-bench --queries 0 abc.vdb abc.jsonl
    refused 2 "*'odd'*" vdb-bench --query-format odd abc.vdb abc.jsonl
    refused 2 "--plot: standard output *" vdb-bench --plot - abc.vdb abc.jsonl
    cp abc.vdb before.vdb
    refused 2 "--plot: abc.vdb is the index itself*" vdb-bench --plot abc.vdb abc.vdb abc.jsonl
    refused 2 "--plot: abc.jsonl is DATASET itself*" vdb-bench --plot abc.jsonl abc.vdb abc.jsonl
    cmp abc.vdb before.vdb
    [ "$(wc -l <abc.jsonl)" -eq 3 ]
}

@test "a closed pipe ends it quietly; an output that cannot be written is exit 74" {
    run --separate-stderr bash -c "vdb-bench '$T/graph.vdb' '$T/queries.jsonl' | head -1 | cut -f 1"
    [ "$output" = 3 ]
    [ -z "$stderr" ]
    make_abc
    refused 74 "standard output*" sh -c "vdb-bench abc.vdb abc.jsonl >/dev/full"
}

# ---- --plot ---------------------------------------------------------------------------------

# plot_says FILE LINES: the picture is sound, and has the figures of LINES, each in its place.
plot_says() {
    python3 - "$@" <<'END'
import re, sys, xml.etree.ElementTree as ET
SVG = "{http://www.w3.org/2000/svg}"
root = ET.parse(sys.argv[1]).getroot()
assert root.tag == SVG + "svg"
text = open(sys.argv[1], encoding="utf-8").read()
for word in ("<script", "href", "url(", "@import", "@font-face"):
    assert word not in text, word
assert text.count("://") == 1 and "prefers-color-scheme: dark" in text

lines = [line.rstrip("\n").split("\t") for line in open(sys.argv[2])]
points = {}
for group in root.iter(SVG + "g"):
    says = group.find(SVG + "title").text
    dot = [c for c in group.iter(SVG + "circle") if c.get("class") == "dot"]
    assert len(dot) == 1
    ef = says.split("\n")[0].removeprefix("ef ")
    points[ef] = says, float(dot[0].get("cx")), float(dot[0].get("cy"))
assert len(points) == len(lines), (len(points), len(lines))

# A point lies on that side of every tick which its figure lies on.
def ticks(anchor, axis):
    for t in root.iter(SVG + "text"):
        if t.get("class") == "soft" and t.get("text-anchor") == anchor and t.text[0].isdigit():
            number = t.text.replace(",", "")
            yield float(t.get(axis)), float(number.rstrip("M")) * (1e6 if number[-1] == "M" else 1)
across, up = list(ticks("middle", "x")), [(y - 4, tick) for y, tick in ticks("end", "y")]
assert len(across) >= 2 and len(up) >= 2, (across, up)
(frame,) = [p.get("d") for p in root.iter(SVG + "path") if p.get("class") == "frame"]
left, top, right, bottom = map(float, re.findall(r"[0-9.]+", frame)[:4])
for ef, recall, p5, qps, p50, p99 in lines:
    says, x, y = points[ef]
    for figure in (f" {recall}, ", f" {p5}\n", f"\n{qps} queries/s\n", f" {p50} ", f" {p99} "):
        assert figure in says, (figure, says)
    assert min(across)[0] <= x + 0.1 and x - 0.1 <= max(across)[0]
    assert min(up)[0] <= y + 0.1 and y - 0.1 <= max(up)[0]
    for at, tick in across:
        assert abs(at - x) < 1 or (at < x) == (tick < float(recall)), (x, recall, at, tick)
    for at, tick in up:
        assert abs(at - y) < 1 or (at > y) == (tick < float(qps)), (y, qps, at, tick)
    assert left <= x <= right and top <= y <= bottom, (x, y)
END
}

@test "--plot draws what is printed" {
    ends 0 vdb-bench -k 5 --ef 200,5,40,20,10,80 --plot curve.svg "$T/graph.vdb" "$T/queries.jsonl"
    [ -z "$stderr" ]
    printf '%s\n' "$output" >lines
    [ "$(wc -l <lines)" -eq 6 ]
    plot_says curve.svg lines
    grep -q '>graph.vdb<' curve.svg
    grep -q '>2,500 rows of 40 dimensions, metric l2, k 5, 1 thread<' curve.svg
    grep -q '>60 queries of queries.jsonl<' curve.svg
    grep -q '>recall@5 ' curve.svg
    grep -q '>ef 5<' curve.svg
    grep -q '>200<' curve.svg
    # A curve of one point, all recalls alike, and as many points as there can be.
    vdb-bench --ef 10 --plot curve.svg -j 2 --queries 1 "$T/graph.vdb" "$T/queries.jsonl" >lines
    plot_says curve.svg lines
    grep -q ', k 10, 2 threads<' curve.svg
    grep -q '>1 query of ' curve.svg
    vdb-bench --plot curve.svg "$T/flat.vdb" "$T/queries.jsonl" >lines
    plot_says curve.svg lines
    vdb-bench --ef "$(seq -s, 10 73)" --plot curve.svg "$T/graph.vdb" "$T/queries.jsonl" >lines
    plot_says curve.svg lines
}

@test "--plot: names of any bytes are text" {
    make_abc
    name=$'<a>&amp;"\x01\xff\xed\xa0\x80\xef\xbf\xbf\xc3\xa9.vdb'
    mv abc.vdb "$name"
    cp abc.jsonl "$(printf 'n%.0s' $(seq 100)).jsonl"
    vdb-bench --plot curve.svg "$name" n*.jsonl >lines
    plot_says curve.svg lines
    python3 - <<'END'
import re, xml.etree.ElementTree as ET
texts = [e.text for e in ET.parse("curve.svg").iter() if e.tag.endswith("}text")]
# What is no character is replaced, be it byte by byte or at once.
assert re.fullmatch('<a>&amp;"\ufffd{4,6}é\\.vdb', texts[0]), texts[0]
assert "3 queries of " + "n" * 60 + "…" in texts, texts
END
}

@test "--plot: the file is whole or not there" {
    make_abc
    echo old >curve.svg
    printf '{"vector": [1]}\n' >bad.jsonl
    refused 65 "bad.jsonl:1: *" vdb-bench --plot curve.svg abc.vdb bad.jsonl
    [ "$(cat curve.svg)" = old ]
    refused 74 "standard output*" sh -c "vdb-bench --plot curve.svg abc.vdb abc.jsonl >/dev/full"
    [ "$(cat curve.svg)" = old ]
    mkfifo queries
    vdb-bench --query-format jsonl --plot curve.svg abc.vdb - <queries &
    bench=$!
    exec 7>queries
    until_true writes_unnamed $bench
    kill -TERM $bench
    status=0
    wait $bench || status=$?
    exec 7>&-
    [ "$status" -eq 143 ]
    [ "$(cat curve.svg)" = old ]
    [ "$(ls curve.svg*)" = curve.svg ]
    ln -s curve.svg link.svg
    ends 0 vdb-bench --plot link.svg abc.vdb abc.jsonl
    [ -L link.svg ]
    printf '%s\n' "$output" >lines
    plot_says curve.svg lines
    [ "$(ls curve.svg*)" = curve.svg ]
}

@test "--plot: a file that cannot be made is exit 73, before anything is measured; a full one 74" {
    make_abc
    mkdir folder
    refused 73 "none/curve.svg: No such file or directory" \
        vdb-bench --plot none/curve.svg abc.vdb abc.jsonl
    refused 73 "folder: Is a directory" vdb-bench --plot folder abc.vdb abc.jsonl
    long=$(printf 'n%.0s' $(seq 300)).svg
    refused 73 "$long: File name too long" vdb-bench --plot "$long" abc.vdb abc.jsonl
    ends 74 vdb-bench --plot /dev/full abc.vdb abc.jsonl
    [[ $stderr == "vdb-bench: /dev/full: No space left on device" ]]
}
