#!/usr/bin/env bats
# codes.bats: walks find near rows whatever codes guide them, and damaged codes are found.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

DIMS="3 60 61 100 128 513" # with room for the norm in the row of codes, and without

setup_file() {
    export DATA=$BATS_FILE_TMPDIR/data
    mkdir "$DATA"
    for type in f32 f16 i8 u8; do
        for dim in $DIMS; do
            python3 "$BATS_TEST_DIRNAME/codes.py" make 400 12 $type $dim "$DATA/$type-$dim"
        done
    done
}

setup() {
    common_setup
}

codes() { python3 "$HERE/codes.py" "$@"; }

# What a graph part has when CODES were asked for: bytes are their own codes under l2 and ip.
expected_codes() { # CODES METRIC TYPE
    case $1:$2:$3 in
    i4:*) echo i4 ;;
    *:cosine:* | *:*:f*) echo "$1" ;;
    *) echo none ;;
    esac
}

# One column of the line of vdb-stat about the codes of part 0.
part_codes() { # COLUMN INDEX
    vdb-stat "$2" | awk -F '\t' -v column="$1" '$1 == "part_codes" && $2 == 0 {print $column}'
}

# Those that this CPU has.
kernel_sets() {
    vdb-add -q --create --dim 1 sets.vdb </dev/null
    for isa in portable avx2 avx512; do
        if VDB_ISA=$isa vdb-stat sets.vdb >/dev/null 2>&1; then echo $isa; fi
    done
}

# Nine in ten hits are as near as the farthest exact one of their query; of rows equally far, any
# counts.
found_enough() { # EXACT FOUND
    awk -F '\t' 'NR == FNR {all++; if (!($1 in far) || $4 + 0 > far[$1]) far[$1] = $4 + 0; next}
        $4 + 0 <= far[$1] {near++}
        END {print near / all; exit !(near >= 0.9 * all)}' "$1" "$2"
}

# Every type and kind of codes under one metric, with two dimensions in three: each of them comes
# under two metrics. What the best kernels build with as many
# threads as there are is what the others build, which take turns, with one thread and with two.
sweep() { # METRIC NUMBER
    local wrong=0 turn=0 n=$2 isas isa
    mapfile -t isas < <(kernel_sets | sed '1!{$d}')
    for input in "$DATA"/*-q.npy; do
        input=${input%-q.npy} name=${input##*/}
        case $name in *-61 | *-100) ;; *) ! slow || continue ;; esac
        slow || ((n++ % 3)) || continue
        vdb-add -q --create --metric "$1" --index graph x.vdb "$input.npy"
        vdb-search --exact x.vdb "$input-q.npy" >exact
        for kind in none i8 i4; do
            vdb-compact -q --codes $kind --output one.vdb x.vdb
            vdb-check --deep one.vdb
            [ "$(part_codes 3 one.vdb)" = "$(expected_codes $kind "$1" "${name%-*}")" ]
            vdb-search --ef 40 one.vdb "$input-q.npy" >found
            found_enough exact found || { echo "$1 $name $kind: recall"; wrong=$((wrong + 1)); }
            VDB_ISA=portable vdb-search -j 2 --ef 40 one.vdb "$input-q.npy" | cmp - found
            isa=${isas[turn % ${#isas[@]}]}
            VDB_ISA=$isa vdb-compact -q -j $((1 + turn / 2 % 2)) --codes $kind --output other.vdb x.vdb
            cmp one.vdb other.vdb || { echo "$1 $name $kind: $isa"; wrong=$((wrong + 1)); }
            turn=$((turn + 1))
        done
        rm x.vdb
    done
    [ "$wrong" -eq 0 ]
}

@test "l2: recall, deep check, and the same bytes for any threads and kernels" { sweep l2 0; }

@test "cosine: recall, deep check, and the same bytes for any threads and kernels" { sweep cosine 1; }

@test "ip: recall, deep check, and the same bytes for any threads and kernels" { sweep ip 2; }

@test "the independent reader decodes what is written" {
    for metric in l2 cosine ip; do
        for kind in none i8 i4; do
            for dim in 3 61 128; do
                rm -f x.vdb
                vdb-add -q --create --metric $metric --index graph --codes $kind x.vdb "$DATA/f32-$dim.npy"
                vdb-compact -q x.vdb
                ends 0 python3 "$HERE/../spec/invariants.py" x.vdb
                [ -z "$output" ]
            done
        done
    done
    vdb-add -q --create --index graph --codes i4 y.vdb "$DATA/u8-100.npy"
    vdb-compact -q y.vdb
    ends 0 python3 "$HERE/../spec/invariants.py" y.vdb
}

@test "--codes: given to a new index and kept in later builds" {
    vdb-add -q --create --index graph --codes i4 x.vdb "$DATA/f32-100.npy"
    [[ $(vdb-stat x.vdb) == *$'\ncodes\ti4\n'* ]]
    [ -z "$(part_codes 3 x.vdb)" ]
    vdb-compact -q x.vdb
    [ "$(part_codes 3 x.vdb)" = i4 ]
    vdb-get x.vdb >rows
    for kind in none i8 i4 auto; do
        vdb-compact -q --codes $kind x.vdb
        [[ $(vdb-stat x.vdb) == *$'\ncodes\t'"$kind"$'\n'* ]]
        [ $kind = auto ] || [ "$(part_codes 3 x.vdb)" = $kind ]
        vdb-get x.vdb | cmp - rows
        vdb-compact -q x.vdb
        [[ $(vdb-stat x.vdb) == *$'\ncodes\t'"$kind"$'\n'* ]]
        vdb-check --deep x.vdb
    done
    vdb-compact -q --codes none --output none.vdb x.vdb
    vdb-compact -q --codes i8 --output i8.vdb x.vdb
    vdb-compact -q --codes i4 --output i4.vdb x.vdb
    [[ $(vdb-stat x.vdb) == *$'\ncodes\tauto\n'* ]]
    # 400 rows of 400 bytes; their codes take 128 and 64 bytes, norms included.
    [ "$(part_codes 4 none.vdb)" = 400 ]
    [ "$(part_codes 4 i8.vdb)" = 128 ]
    [ "$(part_codes 4 i4.vdb)" = 64 ]
    ! python3 "$HERE/layout.py" list none.vdb | grep -q '^code '
    [ "$(python3 "$HERE/layout.py" list i8.vdb | awk '$1 == "code" {print $3}')" = $((128 + 400 * 128)) ]
    [ "$(python3 "$HERE/layout.py" list i4.vdb | awk '$1 == "code" {print $3}')" = $((128 + 448 + 400 * 64)) ]
    for index in none.vdb i8.vdb i4.vdb; do vdb-get $index | cmp - rows; done
}

@test "--codes: a value that is none, and an index that was made with others" {
    make_abc --codes i4
    refused 2 "--codes: 'i2' is not auto, none, i8, i4, pq or b1*" vdb-add --create --codes i2 x.vdb abc.jsonl
    refused 2 "--codes takes none, i8, i4, pq, b1 or auto, not 'i2'*" vdb-compact --codes i2 abc.vdb
    [ ! -e x.vdb ]
    refused 2 "abc.vdb: --codes i8, but the index was made with i4; see vdb-compact(1)*" \
        vdb-add --codes i8 abc.vdb abc.jsonl
    ends 0 vdb-add -q --codes i4 abc.vdb abc.jsonl
}

@test "vdb-stat: codes, bytes a row and their share, in all three forms" {
    vdb-add -q --create --metric cosine --index graph --codes i4 x.vdb "$DATA/u8-100.npy"
    vdb-compact -q x.vdb
    vdb-stat x.vdb >text
    vdb-stat --json x.vdb >json
    vdb-stat --prometheus x.vdb >metrics
    python3 "$HERE/layout.py" list x.vdb >layout
    python3 - <<'END'
import json, os, re
text, stat = [line.rstrip("\n").split("\t") for line in open("text")], json.load(open("json"))
length = {line.split()[0]: int(line.split()[2]) for line in open("layout")}
part = stat["parts"][0]
share = "%.4f" % (length["code"] / os.path.getsize("x.vdb"))
assert ["codes", "i4"] in text and stat["codes"] == "i4"
assert ["part_codes", "0", "i4", "64", share] in text
assert (part["codes"], part["row_code_bytes"], part["rotated"]) == ("i4", 64, True)
assert part["code_bytes"] == length["code"] and part["code_share"] == float(share)
for name, value in (("vdb_part_code_bytes", length["code"]), ("vdb_part_row_code_bytes", 64)):
    lines = re.findall(r"^%s\{.*$" % name, open("metrics").read(), re.M)
    assert lines == ['%s{index="x.vdb",part="0",codes="i4"} %d' % (name, value)], lines
END
    vdb-compact -q --index flat x.vdb
    ! vdb-stat x.vdb | grep '^part_codes'
    ! vdb-stat --prometheus x.vdb | grep code_bytes
    ! vdb-stat --json x.vdb | grep code_share
}

# A search of a damaged file may give other rows, or say that it is damaged; it ends as it should.
searches() { # INDEX
    for how in "--ef 40" "--ef 500 -k 90" --exact; do
        status=0
        timeout 20 vdb-search $how "$1" "$DATA/f32-100-q.npy" >found 2>message || status=$?
        [ $status -eq 0 ] || [ $status -eq 65 ] || { echo "$1: $how: $status"; cat message; return 1; }
        ! grep -qi 'nan\|inf' found || return 1
    done
}

damaged() { # METRIC
    vdb-add -q --create --metric "$1" --index graph --codes i4 good.vdb "$DATA/f32-100.npy"
    vdb-compact -q good.vdb
    codes damages >damages
    wrong=0
    while read -r what segment; do
        cp good.vdb bad.vdb
        codes damage bad.vdb "$what"
        ! cmp -s good.vdb bad.vdb
        run vdb-check --deep bad.vdb
        [[ $status -eq 1 && $output == *"$segment"* ]] ||
            { echo "$what: vdb-check ended with $status: $output"; wrong=$((wrong + 1)); }
        searches bad.vdb || { echo "$what: search"; wrong=$((wrong + 1)); }
    done <damages
    [ "$wrong" -eq 0 ]
    for what in center-nan center-infinite; do # every search would need the center
        cp good.vdb bad.vdb
        codes damage bad.vdb $what
        refused 65 "bad.vdb*element 99 of the center*" vdb-search bad.vdb "$DATA/f32-100-q.npy"
    done
}

@test "damaged codes of 4 bits, checksums being right: found by a deep check, no search ends badly (l2)" {
    damaged l2
}

@test "damaged codes of 4 bits, checksums being right: found by a deep check, no search ends badly (ip)" {
    damaged ip
}

@test "a flipped bit anywhere in codes, factors, center or pivots' copies is found by a check" {
    vdb-add -q --create --metric cosine --index graph --codes i4 good.vdb "$DATA/f32-61.npy"
    vdb-compact -q good.vdb
    python3 "$HERE/layout.py" list good.vdb | awk '$1 == "code" || $1 == "graph"' >segments
    [ "$(wc -l <segments)" -eq 2 ]
    while read -r name off len; do
        for i in 1 3 57 129 200 400 433 500 1000 9999; do
            cp good.vdb bad.vdb
            python3 "$HERE/layout.py" flip bad.vdb $((off + i))
            ends 1 vdb-check bad.vdb
            [[ $output$stderr == *"$name"* ]]
        done
    done <segments
}

@test "an hnsw is walked by any codes" {
    vdb-add -q --create --metric ip --index hnsw --codes none x.vdb "$DATA/f16-100.npy"
    vdb-search --exact x.vdb "$DATA/f16-100-q.npy" >exact
    for kind in none i8 i4; do
        vdb-compact -q --codes $kind x.vdb
        [ "$(part_codes 3 x.vdb)" = $kind ]
        vdb-check --deep x.vdb
        vdb-search --ef 40 x.vdb "$DATA/f16-100-q.npy" >found
        found_enough exact found
    done
}

@test "a graph without codes: no copies of any, and nothing of that goes unchecked" {
    vdb-add -q --create --index graph --codes none x.vdb "$DATA/f32-100.npy"
    vdb-compact -q x.vdb
    graph=$(python3 "$HERE/layout.py" list x.vdb | awk '$1 == "graph" {print $2}')
    [ "$(od -An -tu4 -j $((graph + 36)) -N 4 x.vdb | tr -d ' ')" = 0 ] # code_bytes
    codes damage x.vdb graph-copies
    run vdb-check x.vdb
    [ "$status" -eq 1 ]
    [[ $output == *graph* ]]
    refused 65 "x.vdb*graph*" vdb-search x.vdb "$DATA/f32-100-q.npy"
    run python3 "$HERE/../spec/invariants.py" x.vdb
    [ "$status" -eq 1 ]
}
