#!/usr/bin/env bats
# check.bats: vdb-check passes what is sound, and names each damaged byte by segment and offset.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

layout() { python3 "$BATS_TEST_DIRNAME/layout.py" "$@"; }

# An index with every kind of segment, deleted rows, and commits in the log behind the part.
setup_file() {
    PATH=$VDB_BIN:$PATH
    cd "$BATS_FILE_TMPDIR"
    python3 "$BATS_TEST_DIRNAME/brute.py" make 300 12 1 | sed 's/}$/, "metadata": {"some": "text"}}/' \
        >data.jsonl
    vdb-add -q --create all.vdb data.jsonl
    vdb-compact -q --index graph all.vdb
    vdb-rm -q all.vdb v7
    python3 "$BATS_TEST_DIRNAME/brute.py" make 5 12 2 w | sed 's/}$/, "metadata": {"some": "text"}}/' |
        vdb-add -q all.vdb
    vdb-rm -q all.vdb v8 v9
    layout list all.vdb >layout
}

setup() {
    common_setup
    T=$BATS_FILE_TMPDIR
}

@test "a sound index: exit 0 and not a word, -v says so" {
    for option in "" --deep; do
        # shellcheck disable=SC2086 # none or one
        ends 0 vdb-check $option "$T/all.vdb"
        [ -z "$output$stderr" ]
    done
    ends 0 vdb-check -v "$T/all.vdb"
    [ -z "$output" ]
    [ "$stderr" = "vdb-check: $T/all.vdb: sound" ]
}

@test "sound are: a new index, an empty one, each metric and type, a compacted one, a copy" {
    make_abc
    for metric in l2 cosine ip; do
        for type in f32 f16 i8; do
            vdb-add -q --create --metric $metric --type $type x.vdb <<<'{"id": "x", "vector": [1, -2, 3]}'
            ends 0 vdb-check --deep x.vdb
            vdb-compact -q --index graph x.vdb
            ends 0 vdb-check --deep x.vdb
            rm x.vdb
        done
    done
    vdb-add -q --create --dim 3 empty.vdb </dev/null
    ends 0 vdb-check --deep empty.vdb
    vdb-compact -q empty.vdb
    ends 0 vdb-check --deep empty.vdb
    vdb-rm -q abc.vdb a b c
    vdb-compact -q abc.vdb
    ends 0 vdb-check --deep abc.vdb
    cp "$T/all.vdb" copy.vdb
    chmod 444 copy.vdb
    ends 0 vdb-check --deep copy.vdb
}

# flip_middle FILE NAME...: one bit in the middle of each segment, past any header.
flip_middle() {
    local name
    for name in "${@:2}"; do
        layout flip "$1" "$(awk -v name="$name" '$1 == name {print $2 + int($3 / 2)}' "$T/layout")"
    done
}

# found NAME OFFSET LENGTH: one finding, that lies there.
found() {
    local segment offset message
    IFS=$'\t' read -r segment offset message <<<"$output"
    [ "${#lines[@]}" -ge 1 ] && [ -n "$message" ] && [ "$offset" -ge "$2" ] &&
        [ "$offset" -lt $(($2 + $3)) ] && [[ $segment == $1 ]] && return 0
    echo "wanted $1 in [$2, $(($2 + $3)))"
    echo "$output"
    return 1
}

@test "one bit turned in any segment: exit 1, named by segment and offset" {
    awk '$1 ~ /^(vector|code|graph|id|id-hash|metadata|tombstone)$/' "$T/layout" >segments
    [ "$(cut -f 1 segments | sort -u | wc -l)" -ge 5 ]
    while IFS=$'\t' read -r name offset length; do
        for at in $offset $((offset + length / 2)) $((offset + length - 1)); do
            cp "$T/all.vdb" x.vdb
            layout flip x.vdb $at
            ends 1 vdb-check x.vdb
            [[ $stderr == "vdb-check: x.vdb: damaged, "* ]]
            found "${name/-/?}*" "$offset" "$length"
        done
    done <segments
}

@test "an inverted file is sound, and one bit turned in it is named" {
    vdb-add -q --create --index ivf lists.vdb "$T/data.jsonl"
    vdb-compact -q lists.vdb
    ends 0 vdb-check --deep lists.vdb
    [ -z "$output$stderr" ]
    IFS=$'\t' read -r name offset length < <(layout list lists.vdb | grep '^ivf')
    for at in $offset $((offset + length / 2)) $((offset + length - 1)); do
        cp lists.vdb x.vdb
        layout flip x.vdb $at
        ends 1 vdb-check x.vdb
        found "$name" "$offset" "$length"
    done
}

@test "one bit turned in the manifest, or in one of the superblocks" {
    while IFS=$'\t' read -r name offset length; do
        for at in $((offset + 1)) $((offset + length / 2)) $((offset + length - 1)); do
            cp "$T/all.vdb" x.vdb
            layout flip x.vdb $at
            run --separate-stderr vdb-check x.vdb
            echo "$name at $at: $status: $output"
            [ "$status" -eq 1 ]
            found "${name%[01]}*" "$offset" "$length"
        done
    done < <(grep -E '^(superblock[01]|manifest)	' "$T/layout")
}

@test "one bit turned in a block of a commit in the log" {
    # Not the last commit: one that is not whole cannot be told from one that a crash cut short.
    awk '{line[NR] = $0} $1 == "commit" {last = NR}
        END {for (i = 1; i < last; i++) if (line[i] ~ /^commit-/) print line[i]}' "$T/layout" >blocks
    [ "$(cut -f 1 blocks | sort -u | wc -l)" -eq 4 ]
    while IFS=$'\t' read -r name offset length; do
        cp "$T/all.vdb" x.vdb
        layout flip x.vdb $((offset + length / 2))
        run --separate-stderr vdb-check x.vdb
        echo "$name at $offset, $length: $status: $output"
        [ "$status" -eq 1 ]
        [ -n "$output" ]
    done <blocks
}

@test "one bit turned in a commit record that others follow" {
    offset=$(awk '$1 == "commit" {print $2; exit}' "$T/layout")
    cp "$T/all.vdb" x.vdb
    layout flip x.vdb $((offset + 24))
    run --separate-stderr vdb-check x.vdb
    echo "$status: $output"
    [ "$status" -eq 1 ]
    [ -n "$output" ]
}

@test "several faults are all told" {
    cp "$T/all.vdb" x.vdb
    flip_middle x.vdb vector graph
    ends 1 vdb-check x.vdb
    [ "${#lines[@]}" -eq 2 ]
    [ "${stderr_lines[0]}" = "vdb-check: x.vdb: damaged, 2 findings" ]
    cut -f 1 <<<"$output" | sort >names
    [ "$(cat names)" = $'graph\nvector' ]
    ends 1 vdb-check -q x.vdb
    [ "${#lines[@]}" -eq 2 ]
    [ -z "$stderr" ]
}

@test "--json: an object a finding" {
    cp "$T/all.vdb" x.vdb
    flip_middle x.vdb graph
    offset=$(awk '$1 == "graph" {print $2}' "$T/layout")
    vdb-check -q --json x.vdb >found || [ $? -eq 1 ]
    python3 - "$offset" <<'END'
import json, sys
finding, = (json.loads(line) for line in open("found"))
assert finding["segment"] == "graph" and finding["offset"] == int(sys.argv[1]), finding
assert set(finding) == {"segment", "offset", "message"} and finding["message"]
END
}

@test "--deep finds what right checksums hide" {
    # A graph with an edge that leads nowhere, sealed again by whoever made it.
    cp "$T/all.vdb" x.vdb
    python3 - "$BATS_TEST_DIRNAME" <<'END'
import os, struct, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(sys.argv[1], "..", "..", "format-spec", "reader"))
from xxh3 import xxh3_64
data = bytearray(open("x.vdb", "rb").read())
at = max((0, 4096), key=lambda slot: struct.unpack_from("<Q", data, slot + 56)[0])
manifest, length = struct.unpack_from("<2Q", data, at + 64)
table, count, size = struct.unpack_from("<QII", data, manifest + 104)
for i in range(count):
    entry = manifest + table + i * size
    if struct.unpack_from("<H", data, entry)[0] == 3:
        off, segment_len = struct.unpack_from("<2Q", data, entry + 8)
        edges, = struct.unpack_from("<Q", data, off + 24)
        struct.pack_into("<I", data, off + edges, 1000000)
        struct.pack_into("<Q", data, entry + 40, xxh3_64(bytes(data[off:off + segment_len])))
struct.pack_into("<Q", data, manifest + 248, 0)
struct.pack_into("<Q", data, manifest + 248, xxh3_64(bytes(data[manifest:manifest + length])))
open("x.vdb", "wb").write(data)
END
    ends 0 vdb-check x.vdb
    ends 1 vdb-check --deep x.vdb
    [[ $output == graph$'\t'* ]]
}

@test "the findings are the same for any -j" {
    cp "$T/all.vdb" x.vdb
    flip_middle x.vdb vector graph id metadata
    vdb-check -j 1 --deep x.vdb >one || [ $? -eq 1 ]
    vdb-check -j 4 --deep x.vdb >four || [ $? -eq 1 ]
    cmp one four
    [ "$(wc -l <one)" -ge 4 ]
}

@test "a file that was cut short is damaged or no index any more, wherever it was cut" {
    size=$(stat -c %s "$T/all.vdb")
    end=$(awk '$1 ~ /^(vector|code|graph|id|id-hash|metadata|tombstone)$/ && $2 + $3 > n {n = $2 + $3}
        END {print n}' "$T/layout")
    for length in 4096 8192 $((end / 2)) $((end - 1)) $((size - 1)); do
        head -c $length "$T/all.vdb" >x.vdb
        run --separate-stderr vdb-check x.vdb
        echo "$length of $size: $status: $output $stderr"
        [ "$status" -eq 1 ]
        [ -n "$output" ]
    done
}

@test "what is no index is exit 65, what cannot be opened 66" {
    : >empty.vdb
    seq 10000 >text.vdb
    head -c 100000 /dev/zero >zero.vdb
    for file in empty text zero; do
        refused 65 "*$file.vdb*" vdb-check $file.vdb
    done
    refused 66 "*none.vdb*" vdb-check none.vdb
    refused 66 ".: not a regular file" vdb-check .
}

@test "an unknown version is refused by its number, and an unknown feature by its bit" {
    cp "$T/all.vdb" x.vdb
    for slot in 0 4096; do layout set x.vdb $((slot + 8)) 0900; done
    refused 65 "*x.vdb*version 9.*" vdb-check x.vdb
    layout seal x.vdb
    refused 65 "*x.vdb*version 9.*" vdb-check x.vdb
    cp "$T/all.vdb" x.vdb
    for slot in 0 4096; do layout set x.vdb $((slot + 32)) 20; done
    layout seal x.vdb
    refused 65 "*x.vdb*incompat*5*" vdb-check x.vdb
}

@test "it reads only: mode 0444 in a directory of mode 0555, and no byte changed" {
    mkdir ro
    cp "$T/all.vdb" ro/x.vdb
    chmod 444 ro/x.vdb
    chmod 555 ro
    before=$(sha256sum ro/x.vdb)
    ends 0 vdb-check --deep ro/x.vdb
    chmod 755 ro
    [ "$(sha256sum ro/x.vdb)" = "$before" ]
}

@test "wrong usage" {
    refused 2 "*INDEX*" vdb-check
    refused 2 "*" vdb-check "$T/all.vdb" "$T/all.vdb"
    refused 2 "unknown option --repair*" vdb-check --repair "$T/all.vdb"
    refused 2 "--deep*" vdb-check --deep=yes "$T/all.vdb"
}

@test "an output that cannot be written is exit 74" {
    cp "$T/all.vdb" x.vdb
    flip_middle x.vdb graph
    refused 74 "standard output*" sh -c "vdb-check -q x.vdb >/dev/full"
}
