#!/usr/bin/env bats
# at.bats: --at WHEN of vdb-get, vdb-search, vdb-stat: the index as it was, by commit, snapshot or time.
# (That of vdb-log is in log.bats.)
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup() { common_setup; }

tsv() { vdb-add -q --format tsv "$@"; }
value() { awk -F '\t' -v name="$1" '$1 == name {print $2}'; }

# Commits: 2 adds a b c, 3 replaces b and adds d, 4 deletes a and c, 5 restores c.
make_life() {
    printf 'a\t1\t0\nb\t2\t0\nc\t3\t0\n' | tsv --create a.vdb -
    vdb-snap a.vdb create first >/dev/null
    printf 'b\t9\t9\nd\t4\t0\n' | tsv a.vdb -
    vdb-rm a.vdb a c >/dev/null
    vdb-rm --restore a.vdb c >/dev/null
    LIFE='2:a 1 0,b 2 0,c 3 0
3:a 1 0,c 3 0,b 9 9,d 4 0
4:b 9 9,d 4 0
5:c 3 0,b 9 9,d 4 0'
}

@test "every commit of a long life is what it was, by number, by name and by time" {
    slow && commits=30 || commits=90
    run python3 "$HERE/at_life.py" a.vdb $commits states
    [ "$status" -eq 0 ] || { echo "$output"; return 1; }
    read -r last names <<<"${lines[-1]}"
    [ $last -gt $((commits / 2)) ]
    [ $names -gt 1 ]
    [ "$(ls states | wc -l)" -eq $last ]
    vdb-check --deep a.vdb
}

@test "vdb-get --at: all rows and single ones, in every format" {
    make_life
    while IFS=: read -r commit rows; do
        same "$(vdb-get --format tsv --at $commit a.vdb | tr '\t' ' ' | paste -sd,)" "$rows" ||
            { echo "at $commit"; return 1; }
    done <<<"$LIFE"
    same "$(vdb-get --at first a.vdb)" "$(vdb-get --at 2 a.vdb)"
    [ -z "$(vdb-get --at 1 a.vdb)" ]
    ends 0 vdb-get --at first a.vdb b a
    [ "$output" = $'{"id": "b", "vector": [2, 0]}\n{"id": "a", "vector": [1, 0]}' ]
    ends 1 vdb-get --at first a.vdb d b
    [ "$output" = '{"id": "b", "vector": [2, 0]}' ]
    [ "$stderr" = "vdb-get: a.vdb: no such id: d" ]
    ends 1 vdb-get --at 4 a.vdb a
    [ -z "$output" ]
    # A number of rows that is written before them.
    vdb-get --at 2 --format npy a.vdb >rows.npy
    python3 -c 'import numpy; assert numpy.load("rows.npy").tolist() == [[1, 0], [2, 0], [3, 0]]' 2>/dev/null ||
        grep -aq "'shape': (3, 2)" rows.npy
    vdb-get --at 4 --format fvecs a.vdb | cmp - <(vdb-get --at 4 --format tsv a.vdb |
        tsv --create copy.vdb - && vdb-get --format fvecs copy.vdb)
    refused 2 "--centroids goes with *" vdb-get --centroids --at 2 a.vdb
}

@test "--include-deleted --at: what was deleted then" {
    make_life
    same "$(vdb-get --include-deleted --format tsv --at 4 a.vdb | cut -f 1 | paste -sd' ')" "a c b d"
    same "$(vdb-get --include-deleted --format tsv --at 3 a.vdb | cut -f 1 | paste -sd' ')" "a c b d"
    same "$(vdb-get --include-deleted --format tsv --at 2 a.vdb b)" $'b\t2\t0'
    same "$(vdb-search --include-deleted --exact --at 4 --like a -k 3 a.vdb | cut -f 3,4)" $'a\t0\nb\t1\nc\t2'
    ends 1 vdb-search --exact --at 4 --like a a.vdb
    [ "$stderr" = "vdb-search: a.vdb: no such id: a" ]
    # The older b is no row of commit 3's, and none of commit 2's is deleted.
    ends 0 vdb-search --include-deleted --exact --at 2 --like b -k 9 a.vdb
    same "$(cut -f 3,4 <<<"$output")" $'b\t0\na\t1\nc\t1'
}

@test "vdb-stat --at: rows as of then, the file as of now" {
    make_life
    for text in 'first 3 3 0 2' '3 5 4 1 3' '4 5 2 3 4' '5 5 3 2 5'; do
        read -r when rows live deleted commit <<<"$text"
        ends 0 vdb-stat --at $when a.vdb
        same "$(for name in rows live deleted commit; do value $name <<<"$output"; done | paste -sd' ')" \
            "$rows $live $deleted $commit"
        same "$(value oldest_commit <<<"$output") $(value snapshots <<<"$output")" "1 1"
        same "$(value file_bytes <<<"$output")" "$(stat -c %s a.vdb)"
        same "$(value commit_time <<<"$output")" "$(vdb-log a.vdb | value $commit | uniq)"
        vdb-stat --at $when --prometheus a.vdb | grep -q "^vdb_live_rows{.*} $live$"
        vdb-stat --at $when --json a.vdb | grep -q "\"live\":$live,\"deleted\":$deleted,\"commit\":$commit,"
    done
}

@test "a time means the commit that was the newest then" {
    make_life
    vdb-log a.vdb | cut -f 1,2 | uniq >times
    while IFS=$'\t' read -r commit time; do
        same "$(vdb-stat --at "$time" a.vdb | value commit)" $commit
        # A microsecond before, it was the one before.
        before=$(python3 -c '
import sys
from datetime import datetime, timedelta
t = datetime.strptime(sys.argv[1], "%Y-%m-%dT%H:%M:%S.%fZ") - timedelta(microseconds=1)
print(t.strftime("%Y-%m-%dT%H:%M:%S.%f9999+00:00"))' "$time")
        same "$(vdb-stat --at "$before" a.vdb | value commit)" $((commit - 1))
    done <times
    [ "$(wc -l <times)" -eq 4 ]
    same "$(vdb-stat --at 9999-12-31T23:59:60Z a.vdb | value commit)" 5
    refused 1 "a.vdb: the index was made later*" vdb-stat --at 1999-01-01T00:00:00Z a.vdb
}

@test "a search in the past finds what one in a copy of its rows finds" {
    slow && rows=1500 || rows=4000
    awk -v n=$rows 'BEGIN {srand(3); for (i = 0; i < n; i++) {
        printf "%d", i; for (j = 0; j < 8; j++) printf "\t%d", rand() * 256; print ""}}' >rows.tsv
    awk -v n=$rows 'BEGIN {srand(4); for (i = 0; i < n; i += 3) {
        printf "%d", i; for (j = 0; j < 8; j++) printf "\t%d", rand() * 256; print ""}}' >newer.tsv
    shuf -n 60 --random-source=rows.tsv rows.tsv >queries.tsv
    for index in graph ivf; do
        vdb-add -q --create --type u8 --index $index a.vdb rows.tsv
        vdb-compact -q a.vdb
        vdb-snap a.vdb create then >/dev/null
        vdb-get --at then --format tsv a.vdb | vdb-add -q --create --type u8 --index flat --format tsv copy.vdb -
        tsv a.vdb newer.tsv
        seq 1 2 $((rows - 1)) | vdb-rm --ids-from - a.vdb >/dev/null
        vdb-compact -q --maintain a.vdb
        # Exact: the very same lines. By the index: the recall that is asked for.
        vdb-search --exact --at then a.vdb queries.tsv >true
        cmp true <(vdb-search --exact copy.vdb queries.tsv)
        ! cmp -s true <(vdb-search --exact a.vdb queries.tsv)
        vdb-search --recall 0.95 --at then a.vdb queries.tsv >found
        found=$(comm -12 <(cut -f 1,3 found | sort) <(cut -f 1,3 true | sort) | wc -l)
        echo "# $index: $found of 600" >&2
        [ "$found" -ge 558 ]
        cmp found <(vdb-search -j1 --recall 0.95 --at then a.vdb queries.tsv)
        cmp found <(VDB_ISA=portable vdb-search --recall 0.95 --at then a.vdb queries.tsv)
        rm a.vdb copy.vdb
    done
}

@test "what WHEN cannot be: exit 1 and the reason, in every tool" {
    make_life
    vdb-snap a.vdb create last >/dev/null
    for tool in 'get' 'search --like b' 'stat' 'log' 'snap'; do
        case $tool in snap) command='vdb-snap a.vdb diff' ;; *) command="vdb-$tool a.vdb --at" ;; esac
        refused 1 "a.vdb: no snapshot is called 'never', and it is no commit's number and no time like *; there are: first, last" \
            $command never
        refused 1 "a.vdb: no snapshot is called '2026-02-30T00:00:00Z', *" $command 2026-02-30T00:00:00Z
        refused 1 "a.vdb: commit 6 is still to come: the newest is 5" $command 6
        refused 1 "a.vdb: commit 0 never was: the oldest that is kept is commit 1" $command 0
        refused 2 "*: '' is no snapshot, *" $command ''
    done
    vdb-snap a.vdb rm first last
    refused 1 "*no snapshot is called 'first', *; there is none" vdb-get a.vdb --at first
    for i in $(seq 9); do vdb-snap a.vdb create s$i >/dev/null; done
    refused 1 "*; there are: s1, s2, s3, s4, s5 and 4 more" vdb-get a.vdb --at first
}

@test "compaction keeps what has a name; of the rest the oldest that is kept is told" {
    make_life
    vdb-get --at first a.vdb >first
    vdb-snap a.vdb create last >/dev/null
    vdb-get a.vdb >last
    vdb-compact -q a.vdb
    cmp first <(vdb-get --at first a.vdb)
    cmp first <(vdb-get --at 2 a.vdb)
    cmp last <(vdb-get --at last a.vdb)
    same "$(vdb-stat a.vdb | value oldest_commit)" 2
    refused 1 "a.vdb: commit 3 is not kept*2*" vdb-get --at 3 a.vdb
    refused 1 "a.vdb: commit 1 is not kept*2*" vdb-stat --at 1 a.vdb
    tsv a.vdb - <<<$'e\t1\t1'
    vdb-compact -q a.vdb
    cmp first <(vdb-get --at first a.vdb)
    cmp last <(vdb-get --at 5 a.vdb)
    vdb-snap a.vdb rm first last
    vdb-compact -q a.vdb
    refused 1 "a.vdb: commit 5 is not kept*6*" vdb-get --at 5 a.vdb
    same "$(vdb-stat a.vdb | value oldest_commit)" 6
    vdb-check --deep a.vdb
}

@test "vdb-compact --keep-rows keeps commits by their age" {
    make_life
    seconds=$(date -d "$(vdb-log -n 1 a.vdb | cut -f 2)" +%s)
    vdb-get --at 3 a.vdb >third
    vdb-compact -q --keep-rows 1h --now $((seconds + 10)) a.vdb
    cmp third <(vdb-get --at 3 a.vdb)
    vdb-compact -q --keep-rows all a.vdb
    cmp third <(vdb-get --at 3 a.vdb)
    vdb-compact -q --keep-rows 1h --now $((seconds + 3700)) a.vdb
    refused 1 "a.vdb: commit 3 is not kept*" vdb-get --at 3 a.vdb
    for age in 5 -1h 1y all,none ''; do
        refused 2 "--keep-rows: '$age' is not all, none or an age such as *" vdb-compact --keep-rows "$age" a.vdb
    done
    refused 2 "--maintain goes with *" vdb-compact --maintain --keep-rows 1d a.vdb
}

@test "a file that takes no writes can be looked at in the past, and nothing is made beside it" {
    make_life
    mkdir place
    cp a.vdb place
    chmod 444 place/a.vdb
    chmod 555 place
    same "$(vdb-get --at first place/a.vdb)" "$(vdb-get --at 2 a.vdb)"
    same "$(vdb-search --at 2 --like c place/a.vdb)" "$(vdb-search --at first --like c a.vdb)"
    same "$(vdb-snap place/a.vdb diff first)" "$(vdb-snap a.vdb diff 2)"
    chmod 755 place
    same "$(ls -A place)" a.vdb
}
