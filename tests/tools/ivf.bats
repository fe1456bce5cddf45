#!/usr/bin/env bats
# ivf.bats: --index ivf, from vdb-add and vdb-compact to what the other tools make of it.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup_file() {
    export DATA=$BATS_FILE_TMPDIR/data
    mkdir "$DATA"
    for type in f32 f16 i8 u8; do # rows in six clusters, and queries beside them
        python3 "$BATS_TEST_DIRNAME/codes.py" make 3000 40 $type 24 "$DATA/$type"
    done
    python3 "$BATS_TEST_DIRNAME/codes.py" make 9000 40 f32 16 "$DATA/many"
}

setup() {
    common_setup
    invariants=${VDB_SOURCE_DIR:-$HERE/../..}/tests/spec/invariants.py
}

value() { vdb-stat "$2" | awk -F '\t' -v name="$1" '$1 == name {print $2}'; }
parts() { vdb-stat "$1" | awk -F '\t' '$1 == "part" {print $3, $4}'; }
lists() { vdb-get --centroids "$1" | wc -l; }
sound() {
    vdb-check --deep "$1"
    ends 0 python3 "$invariants" "$1"
}

# finds INDEX QUERIES OPTION...: the search finds nine tenths of what an exact one finds.
finds() {
    vdb-search -k 10 --exact "$1" "$2" >exact
    vdb-search -k 10 "${@:3}" "$1" "$2" >found
    python3 "$HERE/brute.py" recall exact found | awk '{print "recall " $1; exit !($1 > 0.9)}'
}

# Queries that are rows themselves find themselves first: what an id leads to is its own row.
finds_itself() { # INDEX INPUT
    vdb-search -k 1 --exact "$1" "$2" >exact
    vdb-search -k 1 "$1" "$2" | cmp - exact
}

# Every type under one metric, by codes of every kind.
sweep() { # METRIC
    local type kind types="f32 f16 i8 u8" kinds="auto i4 pq b1"
    [ "$VDB_MODE" = release ] || types="f32 u8" kinds="auto i4" # sanitizers are slow
    for type in $types; do
        for kind in $kinds; do
            rm -f x.vdb
            vdb-add -q --create --metric "$1" --index ivf --codes $kind x.vdb "$DATA/$type.npy"
            [ "$(parts x.vdb)" = "ivf 3000" ]
            [ "$(value index x.vdb) $(value codes x.vdb) $(value type x.vdb)" = "ivf $kind $type" ]
            case $kind-$type in i4-f32 | i4-u8) sound x.vdb ;; esac # which takes long
            finds x.vdb "$DATA/$type-q.npy" || { echo "$1 $type $kind"; return 1; }
        done
        vdb-check --deep x.vdb
        vdb-compact -q -j 1 --output one.vdb x.vdb
        VDB_ISA=portable vdb-compact -q -j 3 --output three.vdb x.vdb
        cmp one.vdb three.vdb
        VDB_ISA=portable vdb-search -j 3 x.vdb "$DATA/$type-q.npy" | cmp - found
    done
}

@test "l2: every type and kind of codes is built, sound, and finds" { sweep l2; }

@test "cosine: every type and kind of codes is built, sound, and finds" { sweep cosine; }

@test "ip: every type and kind of codes is built, sound, and finds" { sweep ip; }

@test "a bulk load builds it at once, in many lists, and compaction purges" {
    vdb-add -q --create --index ivf x.vdb "$DATA/many.npy"
    [ "$(parts x.vdb)" = "ivf 9000" ]
    [ "$(lists x.vdb)" -gt 10 ]
    sound x.vdb
    finds x.vdb "$DATA/many-q.npy"
    seq 0 3 8999 | vdb-rm -q --ids-from - x.vdb >/dev/null
    vdb-search -k 10 x.vdb "$DATA/many-q.npy" >found
    [ "$(awk '$3 % 3 == 0' found | wc -l)" = 0 ]
    [ "$(wc -l <found)" = 400 ]
    vdb-check --deep x.vdb
    vdb-compact -q x.vdb
    [ "$(parts x.vdb)" = "ivf 6000" ]
    sound x.vdb
    finds x.vdb "$DATA/many-q.npy"
    vdb-get x.vdb | head -300 >rows.jsonl
    finds_itself x.vdb rows.jsonl
}

@test "rows that come later: a tail beside it, then parts, then merged" {
    vdb-add -q --create --index ivf x.vdb "$DATA/f32.npy"
    vdb-get x.vdb | sed 's/"id": "/"id": "b/' >second.jsonl
    head -1000 second.jsonl | vdb-add -q x.vdb
    [ "$(parts x.vdb) $(value tail_rows x.vdb)" = "ivf 3000 1000" ]
    vdb-rm -q x.vdb 0 b0 b1 >/dev/null
    finds x.vdb "$DATA/f32-q.npy"
    vdb-add -q x.vdb second.jsonl # which replaces those, but not b0 and b1
    [ "$(value live x.vdb)" = 5999 ]
    [ "$(parts x.vdb)" = "ivf 7000" ]
    finds x.vdb "$DATA/f32-q.npy"
    head -2500 second.jsonl | sed 's/"id": "b/"id": "c/' | vdb-add -q x.vdb
    same "$(parts x.vdb)" "$(printf 'ivf 7000\nivf 2500')"
    finds x.vdb "$DATA/f32-q.npy"
    head -200 second.jsonl | vdb-search -k 3 x.vdb - | cut -f 2 | sort | uniq -c | tr -s ' ' |
        tr '\n' ';' >ranks
    [ "$(cat ranks)" = " 200 1; 200 2; 200 3;" ]
    sound x.vdb
    vdb-compact -q x.vdb
    [ "$(parts x.vdb)" = "ivf 8499" ]
    sound x.vdb
    finds x.vdb "$DATA/f32-q.npy"
}

@test "to a graph and back: the same rows, and codes that fit" {
    vdb-add -q --create --index ivf --codes b1 x.vdb "$DATA/f32.npy"
    vdb-get x.vdb >rows
    vdb-compact -q --output first.vdb x.vdb
    vdb-compact -q --index graph x.vdb
    [ "$(value index x.vdb) $(value codes x.vdb) $(parts x.vdb)" = "graph auto graph 3000" ]
    finds x.vdb "$DATA/f32-q.npy"
    vdb-compact -q --codes i8 x.vdb
    vdb-compact -q --index ivf x.vdb
    [ "$(value index x.vdb) $(value codes x.vdb) $(parts x.vdb)" = "ivf auto ivf 3000" ]
    finds x.vdb "$DATA/f32-q.npy"
    vdb-compact -q --index flat x.vdb
    [ "$(parts x.vdb)" = "flat 3000" ]
    vdb-compact -q --index ivf --codes b1 --output again.vdb x.vdb
    cmp first.vdb again.vdb
    vdb-get x.vdb | cmp - rows
    vdb-compact -q --index auto --codes pq x.vdb
    [ "$(value index x.vdb) $(value codes x.vdb) $(parts x.vdb)" = "auto pq ivf 3000" ]
}

@test "an existing index keeps to its kind, and is not asked to be another" {
    vdb-add -q --create --index ivf --codes pq x.vdb "$DATA/u8.npy"
    refused 2 "x.vdb: --index graph, but the index was made with ivf; see vdb-compact(1)*" \
        vdb-add --index graph x.vdb "$DATA/u8.npy"
    refused 2 "x.vdb: --codes i4, but the index was made with pq; see vdb-compact(1)*" \
        vdb-add --codes i4 x.vdb "$DATA/u8.npy"
    refused 2 "--index ivf takes --codes*" vdb-compact --codes i8 x.vdb
    refused 2 "--codes pq and b1 are for*" vdb-compact --index hnsw --codes pq x.vdb
    ends 0 vdb-add -q --index ivf --codes pq x.vdb "$DATA/u8.npy"
}

@test "few rows are compared one by one, and no row or one is none too few" {
    for count in 0 1 2 200; do
        head -$count <(seq 1000 | awk '{print $1 "\t" $1 "\t" 7}') >few.tsv
        vdb-add -q --create --dim 2 --index ivf few.vdb few.tsv
        vdb-compact -q few.vdb
        [ "$(value live few.vdb)" = $count ]
        [ $count = 0 ] || [ "$(parts few.vdb)" = "flat $count" ]
        refused 1 "few.vdb: no part of it has lists*" vdb-get --centroids few.vdb
        rm few.vdb
    done
}

# The step of the grid of an index with one part, by format-spec/ivf.md.
grid_step() {
    python3 - "$1" "$(python3 "$HERE/layout.py" list "$1" | awk '$1 == "ivf" {print $2}')" <<'END'
import struct, sys
with open(sys.argv[1], "rb") as file:
    file.seek(int(sys.argv[2]) + 32)
    print(struct.unpack("<f", file.read(4))[0])
END
}

# Whether all numbers of the vectors in the second file are within half a step of those in the first.
within_half_a_step() { # STEP FIRST SECOND
    python3 - "$@" <<'END'
import json, sys
step = float(sys.argv[1])
first, second = ([json.loads(line)["vector"] for line in open(path)] for path in sys.argv[2:])
assert len(first) == len(second) > 0, (len(first), len(second))
worst = max(abs(a - b) for x, y in zip(first, second) for a, b in zip(x, y))
assert worst <= step * 0.5001, (worst, step)
END
}

@test "lists that cannot tell what is near: a recall is kept by comparing all rows, an effort is not" {
    awk 'BEGIN { srand(3); for (i = 0; i < 3000; i++)
        printf "%.5f,%.5f\n", i % 4 * 97 + rand() / 20, i % 4 * i % 4 * 31 + rand() / 20 }' >places.csv
    head -n 50 places.csv >asked.csv
    vdb-add -q --create --index ivf x.vdb places.csv
    [ "$(parts x.vdb)" = "ivf 3000" ]
    [ "$(vdb-stat x.vdb | awk '$1 == "effort" {print $5}')" = - ]
    [[ $(vdb-stat --json x.vdb) == *'"effort":null,"calibration":[{"k":1,'* ]]
    vdb-search -k 10 --exact x.vdb asked.csv >exact
    vdb-search -k 10 x.vdb asked.csv | cmp - exact
    vdb-search -k 10 --ef 3 x.vdb asked.csv >found
    ! cmp -s found exact
}

@test "centroids taken in come out within half a step of the grid, and go around unchanged" {
    for of in l2:f32 cosine:i8 ip:f32 l2:i8; do
        metric=${of%:*} type=${of#*:}
        rm -f x.vdb
        vdb-add -q --create --metric $metric --index ivf x.vdb "$DATA/$type.npy"
        # Means of pairs of rows, which under cosine have length 1: within the grid, and not on it.
        vdb-get --format jsonl x.vdb | python3 -c '
import json, math, sys
rows = [json.loads(line)["vector"] for _, line in zip(range(60), sys.stdin)]
if sys.argv[1] == "cosine":
    rows = [[v / math.sqrt(sum(w * w for w in row)) for v in row] for row in rows]
for i in range(0, 60, 2):
    print(json.dumps({"vector": [0.51 * a + 0.48 * b for a, b in zip(rows[i], rows[i + 1])]}))' $metric >given.jsonl
        vdb-compact -q --centroids given.jsonl x.vdb
        [ "$(lists x.vdb)" = 30 ]
        vdb-get --centroids x.vdb >out.jsonl
        within_half_a_step "$(grid_step x.vdb)" given.jsonl out.jsonl
        same "$(sed 's/, "vector.*//' out.jsonl)" "$(seq 0 29 | sed 's/.*/{"id": "&"/')"
        vdb-compact -q -j 1 --centroids out.jsonl --output again.vdb x.vdb
        vdb-get --centroids again.vdb | cmp - out.jsonl
        VDB_ISA=portable vdb-compact -q -j 3 --centroids given.jsonl --output same.vdb x.vdb
        cmp again.vdb same.vdb
        vdb-check --deep x.vdb
        finds x.vdb "$DATA/$type-q.npy" || { echo "$of"; return 1; }
    done
}

@test "centroids that were found give the lists that they were found with" {
    vdb-add -q --create --index ivf x.vdb "$DATA/many.npy"
    vdb-get --centroids x.vdb | vdb-compact -q --centroids - --output again.vdb x.vdb
    vdb-compact -q --output found.vdb x.vdb
    cmp again.vdb found.vdb
}

@test "every format of vdb-get carries centroids, and vdb-compact takes each" {
    vdb-add -q --create --type u8 --metric cosine --index ivf x.vdb "$DATA/u8.npy"
    vdb-get x.vdb | head -7 | vdb-compact -q --centroids - x.vdb
    vdb-get --centroids x.vdb >wanted
    [ "$(wc -l <wanted)" = 7 ]
    for format in jsonl tsv npy fvecs hdf5; do
        vdb-get --centroids --format $format x.vdb >c.$format
        vdb-get --centroids --format $format -o d.$format x.vdb
        [ $format = hdf5 ] || cmp c.$format d.$format
        vdb-compact -q --centroids d.$format --output y.vdb x.vdb
        vdb-get --centroids y.vdb | cmp - wanted
        rm y.vdb
    done
    python3 - wanted c.npy <<'END'
import json, struct, sys
wanted = [v for line in open(sys.argv[1]) for v in json.loads(line)["vector"]]
data = open(sys.argv[2], "rb").read()
assert b"'<f4'" in data[:128] and b"(7, 24)" in data[:128]
assert list(struct.unpack("<168f", data[128:])) == [struct.unpack("<f", struct.pack("<f", v))[0] for v in wanted]
END
    same "$(cut -f 1 c.tsv)" "$(seq 0 6)"
}

@test "where several parts have lists, the part's number stands before the list's" {
    vdb-add -q --create --index ivf x.vdb "$DATA/many.npy"
    lists=$(lists x.vdb)
    [ "$(vdb-get --centroids x.vdb | head -1 | cut -c 1-8)" = '{"id": "' ]
    vdb-get x.vdb | head -2500 | sed 's/"id": "/"id": "b/' | vdb-add -q x.vdb
    same "$(parts x.vdb)" "$(printf 'ivf 9000\nivf 2500')"
    vdb-get --centroids --format tsv x.vdb | cut -f 1 >ids
    [ "$(grep -c '^0\.[0-9]*$' ids)" = "$lists" ]
    [ "$(grep -c '^1\.[0-9]*$' ids)" -gt 0 ]
    [ "$(sort -u ids | wc -l)" = "$(wc -l <ids)" ]
}

@test "centroids that cannot be: the file is named, and the index stays as it was" {
    vdb-add -q --create --index ivf x.vdb "$DATA/u8.npy"
    cp x.vdb before
    vdb-get x.vdb >rows.jsonl
    refused 66 "none.npy: *" vdb-compact --centroids none.npy x.vdb
    : >empty.jsonl
    refused 65 "empty.jsonl: no vector in it" vdb-compact --centroids empty.jsonl x.vdb
    printf 'a\t1\t2\n' >short.tsv
    refused 65 "short.tsv:1: vector has 2 dimensions, index x.vdb has 24" \
        vdb-compact --centroids short.tsv x.vdb
    (cat rows.jsonl && head -1 rows.jsonl) >more.jsonl
    refused 65 "more.jsonl: more centroids than the 3000 live rows of x.vdb" \
        vdb-compact --centroids more.jsonl x.vdb
    (head -1 rows.jsonl && echo '{"vector": [NaN]}') >nan.jsonl
    refused 65 "nan.jsonl:2: *" vdb-compact --centroids nan.jsonl x.vdb
    refused 2 "--centroids is for --index ivf*" vdb-compact --index auto --centroids rows.jsonl x.vdb
    cmp before x.vdb
    seq 100 | awk '{print $1 "\t" $1 "\t" 7}' >few.tsv
    vdb-add -q --create --index ivf few.vdb few.tsv
    refused 65 "few.vdb: 100 rows are too few*" vdb-compact --centroids few.tsv few.vdb
    ends 0 vdb-compact -q --centroids rows.jsonl x.vdb
    [ "$(lists x.vdb)" = 3000 ]
    vdb-check --deep x.vdb
    head -50 rows.jsonl >some.jsonl
    finds_itself x.vdb some.jsonl
}
