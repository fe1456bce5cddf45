#!/usr/bin/env bats
# hybrid.bats: --index hybrid, --recent and --quiet-hours, from vdb-add and vdb-compact to what the
# other tools make of them. --now is the clock of these tests.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup_file() {
    export DATA=$BATS_FILE_TMPDIR/data
    mkdir "$DATA"
    python3 "$BATS_TEST_DIRNAME/codes.py" make 3000 40 f32 16 "$DATA/rows"
    python3 "$BATS_TEST_DIRNAME/codes.py" make 40000 4 f32 4 "$DATA/many"
}

setup() {
    common_setup
    invariants=${VDB_SOURCE_DIR:-$HERE/../..}/tests/spec/invariants.py
}

value() { vdb-stat "$2" | awk -F '\t' -v name="$1" '$1 == name {print $2}'; }
parts() { vdb-stat "$1" | awk -F '\t' '$1 == "part" {printf "%s%s %s", sep, $3, $4; sep = " "}'; }
sound() {
    vdb-check --deep "$1"
    ends 0 python3 "$invariants" "$1"
}
epoch() { date -ud "$(vdb-stat "$1" | awk '$1 == "commit_time" {print $2}')" +%s; }
add_rows() { # INDEX PREFIX OPTION...
    vdb-add -q --id-prefix "$2" "${@:3}" "$1" "$DATA/rows.npy"
}

@test "the newest rows lie in a graph, and the policy is kept" {
    add_rows x.vdb a --create --index hybrid --recent 1000
    [ "$(parts x.vdb)" = "ivf 2000 graph 1000" ]
    [ "$(value index x.vdb) $(value recent_rows x.vdb)" = "hybrid 1000" ]
    [ -z "$(value recent_seconds x.vdb)" ]
    add_rows x.vdb b
    [ "$(parts x.vdb)" = "ivf 2000 graph 4000" ]
    sound x.vdb
    vdb-compact -q x.vdb
    [ "$(parts x.vdb)" = "ivf 5000 graph 1000" ]
    vdb-compact -q --recent 1500 x.vdb
    [ "$(parts x.vdb)" = "ivf 4500 graph 1500" ]
    [ "$(value recent_rows x.vdb)" = 1500 ]
    sound x.vdb
    vdb-compact -q --index ivf x.vdb
    [ "$(parts x.vdb)" = "ivf 6000" ]
    [ -z "$(value recent_rows x.vdb)" ]
    vdb-compact -q --index hybrid --recent 1 x.vdb
    [ "$(parts x.vdb)" = "ivf 5999 graph 1" ]
    sound x.vdb
}

@test "rows move when they have aged" {
    add_rows x.vdb a --create --index hybrid --recent 1h
    old=$(epoch x.vdb)
    [ "$(parts x.vdb)" = "graph 3000" ]
    sleep 2
    add_rows x.vdb b
    new=$(epoch x.vdb)
    [ "$(value recent_seconds x.vdb)" = 3600 ]
    vdb-compact -q --now $((old + 3600)) x.vdb
    [ "$(parts x.vdb)" = "graph 6000" ]
    vdb-compact -q --now $((old + 3601)) x.vdb
    [ "$(parts x.vdb)" = "ivf 3000 graph 3000" ]
    vdb-compact -q --now $((old + 3601)) x.vdb # the times are kept
    [ "$(parts x.vdb)" = "ivf 3000 graph 3000" ]
    sound x.vdb
    vdb-compact -q --now $((new + 3601)) x.vdb
    [ "$(parts x.vdb)" = "ivf 6000" ]
    vdb-compact -q --now $((new + 3601)) --recent 2h x.vdb
    [ "$(parts x.vdb)" = "graph 6000" ]
    vdb-compact -q --now $((new + 86400 * 20)) --recent 3w x.vdb
    [ "$(value recent_seconds x.vdb)" = $((86400 * 21)) ]
    [ "$(parts x.vdb)" = "graph 6000" ]
    sound x.vdb
}

@test "an index that is old when maintenance comes gets lists" {
    add_rows x.vdb a --create --index hybrid --recent 1d
    vdb-compact -q x.vdb
    add_rows x.vdb b --now $(($(epoch x.vdb) + 86400 * 2))
    [ "$(parts x.vdb)" = "ivf 6000" ]
    sound x.vdb
}

@test "vdb-stat tells how old the rows of a part are" {
    add_rows x.vdb a --create --index hybrid --recent 1000
    sleep 1.1
    add_rows x.vdb b
    vdb-stat x.vdb | awk -F '\t' '$1 == "part_times"' >times
    [ "$(wc -l <times)" = 2 ]
    made=$(value commit_time x.vdb)
    [ "$(sed -n 2p times | cut -f 4)" = "$made" ]
    [[ $(sed -n 1p times | cut -f 4) < $made ]]
    [ "$(sed -n 1p times | cut -f 3-4)" = "$(sed -n 1p times | cut -f 4)	$(sed -n 2p times | cut -f 3)" ]
    vdb-compact -q x.vdb
    vdb-stat --json x.vdb | python3 -c '
import json, sys
found = json.load(sys.stdin)
first, second = found["parts"]
assert found["recent_rows"] == 1000 and "recent_seconds" not in found, found
assert first["oldest"] < first["newest"] == second["oldest"] == second["newest"], found
assert second["newest"] == found["commit_time"], found'
    vdb-compact -q --output copy.vdb x.vdb # depends on the rows alone
    ! vdb-stat copy.vdb | grep part_times
    vdb-stat --json copy.vdb | grep -q '"oldest":null,"newest":null'
}

@test "searches find what they find in one part" {
    add_rows x.vdb a --create --index hybrid --recent 1500
    vdb-rm -q x.vdb a7 a2990
    vdb-compact -q --index flat --output flat.vdb x.vdb
    vdb-search -k 10 --exact flat.vdb "$DATA/rows-q.npy" >want
    vdb-search -k 10 --exact x.vdb "$DATA/rows-q.npy" | cmp - want
    vdb-search -k 10 x.vdb "$DATA/rows-q.npy" >found
    python3 "$HERE/brute.py" recall want found | awk '{print "recall " $1; exit !($1 > 0.9)}'
    ! grep -wE 'a7|a2990' found
    vdb-search -k 10 -j 3 x.vdb "$DATA/rows-q.npy" | cmp - found
    vdb-compact -q x.vdb
    [ "$(parts x.vdb)" = "ivf 1498 graph 1500" ]
    vdb-search -k 10 --exact x.vdb "$DATA/rows-q.npy" | cmp - want
    vdb-search -k 10 x.vdb "$DATA/rows-q.npy" | cut -f 1-2 | cmp - <(cut -f 1-2 found)
}

@test "a copy is the same for any number of threads and kernel set" {
    add_rows x.vdb a --create --index hybrid --recent 1h
    sleep 1.1
    add_rows x.vdb b
    now=$(($(epoch x.vdb) + 3600))
    vdb-compact -q --now $now -j 1 --output one.vdb x.vdb
    [ "$(parts one.vdb)" = "ivf 3000 graph 3000" ]
    VDB_ISA=portable vdb-compact -q --now $now -j 3 --output three.vdb x.vdb
    cmp one.vdb three.vdb
    sound one.vdb
    vdb-compact -q --now $now --recent 2h --output other.vdb x.vdb
    ! cmp -s one.vdb other.vdb
}

@test "codes that one of its kinds cannot have are for the other" {
    add_rows x.vdb a --create --index hybrid --recent 1500 --codes b1
    vdb-stat x.vdb | awk -F '\t' '$1 == "part_codes" {print $3}' >codes
    [ "$(sed -n 1p codes)" = b1 ]
    vdb-compact -q --codes none x.vdb
    vdb-stat x.vdb | awk -F '\t' '$1 == "part_codes" {print $3}' >codes
    [ "$(sed -n 2p codes)" = none ]
    sound x.vdb
}

@test "centroids are for its old rows" {
    add_rows x.vdb a --create --index hybrid --recent 500
    vdb-get -q --centroids x.vdb >centroids.jsonl
    vdb-compact -q --centroids centroids.jsonl x.vdb
    [ "$(parts x.vdb)" = "ivf 2500 graph 500" ]
    vdb-get -q --centroids x.vdb | cmp - centroids.jsonl
}

@test "maintenance waits for quiet hours, but not for ever" {
    noon=$((86400 * 30000 + 43200))
    add_rows x.vdb a --now $noon --create --quiet-hours 23:00-04:30
    [ "$(value quiet_hours x.vdb)" = 23:00-04:30 ]
    vdb-stat --json x.vdb | grep -q '"quiet_hours":"23:00-04:30"'
    [ "$(parts x.vdb) $(value tail_rows x.vdb)" = " 3000" ]
    printf '{"id":"z","vector":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]}\n' >one.jsonl
    vdb-add -q --now $((noon + 3600 * 16 + 1800)) x.vdb one.jsonl # 04:30
    [ "$(value tail_rows x.vdb)" = 3001 ]
    vdb-add -q --now $((noon + 3600 * 16 + 1799)) x.vdb one.jsonl
    until_true eval '[ "$(value tail_rows x.vdb)" = 0 ]'
    vdb-add -q --now $noon --create --index flat --quiet-hours 01:00-05:00 y.vdb "$DATA/many.npy"
    [ "$(parts y.vdb)" = "flat 40000" ]
    vdb-compact -q --quiet-hours 22:15-24:00 x.vdb
    [ "$(value quiet_hours x.vdb)" = 22:15-00:00 ]
    vdb-compact -q x.vdb
    [ "$(value quiet_hours x.vdb)" = 22:15-00:00 ]
    vdb-compact -q --quiet-hours none x.vdb
    [ -z "$(value quiet_hours x.vdb)" ]
}

@test "nonsense is refused, and says why" {
    add_rows x.vdb a --create
    refused 2 "--index hybrid takes --recent AGE or --recent ROWS*" vdb-compact --index hybrid x.vdb
    refused 2 "--recent is for --index hybrid*" vdb-compact --recent 5 x.vdb
    refused 2 "--recent is for --index hybrid*" vdb-compact --index ivf --recent 30d x.vdb
    for bad in 0 -1 1.5 30x 30dd d '' 0d ' 5' 4294967295 99999999999999999999 2000000w; do
        refused 2 "--recent: '*" vdb-compact --index hybrid --recent "$bad" x.vdb
        refused 2 "--recent: '*" vdb-add --create --index hybrid --recent "$bad" y.vdb "$DATA/rows.npy"
    done
    for bad in '' 1:00-5:00 01:00 01:00-01:00 01:00-25:00 24:01-03:00 01:60-02:00 01:00-05:00x 00:00-24:00 no; do
        refused 2 "--quiet-hours: '*" vdb-compact --quiet-hours "$bad" x.vdb
        refused 2 "--quiet-hours: '*" vdb-add --create --quiet-hours "$bad" y.vdb "$DATA/rows.npy"
    done
    refused 2 "--index hybrid takes --recent AGE or --recent ROWS*" \
        vdb-add --create --index hybrid y.vdb "$DATA/rows.npy"
    refused 2 "--recent is for --index hybrid*" vdb-add --create --recent 5 y.vdb "$DATA/rows.npy"
    refused 2 "--recent is for --index hybrid*" \
        vdb-add --create --index graph --recent 5 y.vdb "$DATA/rows.npy"
    [ ! -e y.vdb ]
    refused 2 "*--quiet-hours differ*" vdb-add --quiet-hours 01:00-02:00 x.vdb "$DATA/rows.npy"
    vdb-compact -q --index hybrid --recent 5d x.vdb
    refused 2 "*--recent differs*" vdb-add --recent 5 x.vdb "$DATA/rows.npy"
    vdb-add -q --index hybrid --recent 120h x.vdb "$DATA/rows.npy"
    refused 2 "--now: 'soon' is not a number *" vdb-compact --now soon x.vdb
    refused 2 "--now: 'soon' is not a number *" vdb-add --now soon x.vdb "$DATA/rows.npy"
    [ "$(value rows x.vdb)" = 6000 ]
}
