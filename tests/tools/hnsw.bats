#!/usr/bin/env bats
# hnsw.bats: --index hnsw, from vdb-add and vdb-compact to what the other tools make of it.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup() {
    common_setup
    brute=$HERE/brute.py
    reader=${VDB_SOURCE_DIR:-$HERE/../..}/format-spec/reader/vdb_reader.py
    invariants=${VDB_SOURCE_DIR:-$HERE/../..}/tests/spec/invariants.py
}

value() { vdb-stat "$2" | awk -F '\t' -v name="$1" '$1 == name {print $2}'; }
part() { vdb-stat "$1" | awk -F '\t' '$1 == "part" {print $3, $4}'; }
# M and levels of the part
shape() { vdb-stat "$1" | awk -F '\t' '$1 == "hnsw" {print $3, $4}'; }

# rows.jsonl and the index many.vdb over them, with one part.
make_many() { # ROWS OPTION...
    python3 "$brute" make "$1" 8 1 >rows.jsonl
    vdb-add -q --create --index hnsw "${@:2}" many.vdb rows.jsonl
    vdb-compact -q many.vdb
}

# Ids found by a search of the first 100 rows' vectors, with the options.
found() { head -100 rows.jsonl | vdb-search -q "$@" many.vdb - | cut -f 1-3; }

@test "made by name, searched like a graph, sound to the last edge" {
    make_many 3000
    [ "$(value index many.vdb)" = hnsw ]
    [ "$(part many.vdb)" = "hnsw 3000" ]
    [[ $(shape many.vdb) == 16\ [345] ]]
    vdb-check many.vdb
    vdb-check --deep many.vdb
    found -k 10 --exact >exact
    found -k 10 --ef 400 >walked
    [ "$(comm -12 <(sort exact) <(sort walked) | wc -l)" -ge 995 ]
    found -k 10 --ef 10 >short
    [ "$(comm -12 <(sort exact) <(sort short) | wc -l)" -ge 800 ]
}

@test "a bulk load builds it at once, and the next one keeps to it" {
    python3 "$brute" make 12000 8 1 >rows.jsonl
    vdb-add -q --create --index hnsw --m 8 --ef-construction 40 many.vdb rows.jsonl
    [ "$(part many.vdb)" = "hnsw 12000" ]
    [[ $(shape many.vdb) == 8\ [456] ]]
    sed 's/"v/"w/' rows.jsonl | vdb-add -q many.vdb
    [ "$(vdb-stat many.vdb | awk -F '\t' '$1 == "part" && $3 != "hnsw"')" = "" ]
    [ "$(value rows many.vdb)" = 24000 ]
    vdb-check --deep many.vdb
}

@test "--m and --ef-construction are kept, and compaction changes them" {
    make_many 1500 --m 5 --ef-construction 30
    [[ $(shape many.vdb) == 5\ ? ]]
    vdb-stat --json many.vdb | python3 -c '
import json, sys
part, = json.load(sys.stdin)["parts"]
assert (part["kind"], part["m"], part["degree"]) == ("hnsw", 5, 10) and part["levels"] > 3, part'
    vdb-compact -q many.vdb
    [[ $(shape many.vdb) == 5\ ? ]]
    vdb-compact -q --m 24 many.vdb
    [[ $(shape many.vdb) == 24\ ? ]]
    vdb-compact -q --ef-construction 200 --output other.vdb many.vdb
    [[ $(shape other.vdb) == 24\ ? ]]
    ! cmp -s other.vdb many.vdb
    vdb-check --deep other.vdb
}

@test "to a graph and back, each with its own degree" {
    make_many 1500 --m 4
    vdb-compact -q --index graph many.vdb
    [ "$(value index many.vdb) $(part many.vdb)" = "graph graph 1500" ]
    [ -z "$(shape many.vdb)" ]
    vdb-stat --json many.vdb | grep -q '"degree":32'
    vdb-compact -q --index hnsw many.vdb
    [ "$(value index many.vdb) $(part many.vdb)" = "hnsw hnsw 1500" ]
    [[ $(shape many.vdb) == 16\ ? ]]
    vdb-compact -q --index flat many.vdb
    [ "$(part many.vdb)" = "flat 1500" ]
    vdb-check --deep many.vdb
}

@test "the same bytes for any number of threads and any kernel set" {
    make_many 2000 --m 4
    vdb-compact -q -j 1 --output one.vdb many.vdb
    vdb-compact -q -j 2 --output two.vdb many.vdb
    cmp one.vdb two.vdb
    VDB_ISA=portable vdb-compact -q --output portable.vdb many.vdb
    cmp one.vdb portable.vdb
}

@test "every metric and type, down to one row" {
    for metric in l2 cosine ip; do
        for type in f32 f16 i8 u8; do
            rm -f many.vdb
            for rows in 1 700; do
                python3 "$brute" make $rows 8 1 | python3 -c '
import json, sys
for line in sys.stdin:
    row = json.loads(line)
    row["vector"] = [int(abs(x) * 9) % 100 + 1 for x in row["vector"]]
    print(json.dumps(row))' >rows.jsonl
                vdb-add -q --create --index hnsw --m 4 --metric $metric --type $type many.vdb rows.jsonl
                vdb-compact -q many.vdb
                [ "$(part many.vdb)" = "hnsw $rows" ]
                vdb-check --deep many.vdb
                found -k 1 --exact | wc -l >exact
                found -k 1 | wc -l | cmp - exact
            done
        done
    done
}

@test "any codes guide the walk" {
    for codes in none i8 i4; do
        make_many 1200 --m 6 --codes $codes
        vdb-check --deep many.vdb
        found -k 10 --exact >exact
        found -k 10 --ef 200 >walked
        [ "$(comm -12 <(sort exact) <(sort walked) | wc -l)" -ge 990 ]
        rm many.vdb
    done
}

@test "the reader of the spec agrees that it is sound" {
    make_many 600 --m 4
    python3 "$invariants" many.vdb
    same "$(python3 "$reader" get many.vdb | wc -l)" 600
}

@test "deleted rows are walked through" {
    make_many 1200 --m 6
    seq 0 2 1199 | sed 's/^/v/' | vdb-rm -q --ids-from - many.vdb >/dev/null
    found -k 10 --exact >exact
    found -k 10 --ef 300 >walked
    [ "$(comm -12 <(sort exact) <(sort walked) | wc -l)" -ge 990 ]
    ! cut -f 3 walked | grep -q '[02468]$'
}

@test "wrong usage" {
    for m in 3 129 0 -1 two; do
        refused 2 "--m: '$m'*" vdb-add --create --index hnsw --m "$m" new.vdb
        refused 2 "--m: '$m'*" vdb-compact --m "$m" new.vdb
    done
    for ef in 7 4097 x; do
        refused 2 "--ef-construction: '$ef'*" vdb-add --create --ef-construction $ef new.vdb
        refused 2 "--ef-construction: '$ef'*" vdb-compact --ef-construction $ef new.vdb
    done
    refused 2 "--m is for --index hnsw*" vdb-add --create --m 8 new.vdb
    refused 2 "--m is for --index hnsw*" vdb-add --create --index graph --m 8 new.vdb
    [ -z "$(ls -A)" ]
    make_abc
    refused 2 "--m is for --index hnsw*" vdb-compact --m 8 abc.vdb
    refused 2 "--m is for --index hnsw*" vdb-compact --index auto --m 8 abc.vdb
    refused 2 "abc.vdb: --index hnsw*" vdb-add --index hnsw --m 8 abc.vdb </dev/null
    vdb-compact -q --index hnsw abc.vdb
    refused 2 "abc.vdb: --m 8, but the index was made with the default*" \
        vdb-add --index hnsw --m 8 abc.vdb </dev/null
    vdb-compact -q --m 8 abc.vdb
    ends 0 vdb-add --index hnsw --m 8 abc.vdb </dev/null
    refused 2 "abc.vdb: --m 9, but the index was made with 8*" \
        vdb-add --index hnsw --m 9 abc.vdb </dev/null
    refused 2 "abc.vdb: --ef-construction 50, *" vdb-add --ef-construction 50 abc.vdb </dev/null
}

# spoil FIELD NUMBER VALUE: many.vdb with a u32 changed in the array at the header's field, all
# checksums right, in bad.vdb.
spoil() {
    python3 - "$(dirname "$invariants")" "$@" <<'EOF'
import struct, sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from invariants import GRAPH_HEADER, xxh3_64
data = bytearray(open("many.vdb", "rb").read())
at = max((0, 4096), key=lambda slot: struct.unpack_from("<Q", data, slot + 56)[0])
manifest, length = struct.unpack_from("<2Q", data, at + 64)
table, count, size = struct.unpack_from("<QII", data, manifest + 104)
for i in range(count):
    entry = manifest + table + i * size
    if struct.unpack_from("<H", data, entry)[0] == 3:
        off, segment_len = struct.unpack_from("<2Q", data, entry + 8)
        head = GRAPH_HEADER.array(bytes(data[off:off + GRAPH_HEADER.size]))[0]
        struct.pack_into("<I", data, off + getattr(head, sys.argv[2]) + 4 * int(sys.argv[3]), int(sys.argv[4]))
        struct.pack_into("<Q", data, entry + 40, xxh3_64(bytes(data[off:off + segment_len])))
struct.pack_into("<Q", data, manifest + 248, 0)
struct.pack_into("<Q", data, manifest + 248, xxh3_64(bytes(data[manifest:manifest + length])))
open("bad.vdb", "wb").write(data)
EOF
}

@test "levels that break the rules are found by a deep check and by the reader, and walked all the same" {
    make_many 1200 --m 4
    for damage in "members_off 3 1200" "members_off 0 1" "pivots_off 0 0" "level_edges_off 5 4294967294" \
        "level_edges_off 0 0"; do
        # shellcheck disable=SC2086
        spoil $damage
        ends 0 vdb-check bad.vdb
        ends 1 vdb-check --deep bad.vdb
        [[ $output == graph$'\t'* ]] || { echo "$damage: $output"; false; }
        ends 1 python3 "$invariants" bad.vdb
        ends 0 vdb-search --like v1 bad.vdb
        [ "$(wc -l <<<"$output")" -eq 10 ]
    done
    spoil level_sizes_off 1 99999 # what lengths depend on is looked at when the file is opened
    ends 65 vdb-stat bad.vdb
    ends 1 python3 "$invariants" bad.vdb
}
