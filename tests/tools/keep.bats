#!/usr/bin/env bats
# keep.bats: what vdb-compact keeps of the past: what snapshots hold, and with --keep-rows the rows of
# as long ago.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup() {
    common_setup
    brute=$HERE/brute.py
}

value() { vdb-stat "$2" | awk -F '\t' -v name="$1" '$1 == name {print $2}'; }

# x.vdb: v0 to v299 (commit 2), v0 to v99 replaced (3), v100 to v199 deleted (4), v300 to v399 (5);
# was.2 to was.5 are what it held then.
make_x() {
    python3 "$brute" make 500 8 1 >all.jsonl
    head -n 300 all.jsonl | vdb-add -q --create x.vdb
    vdb-get x.vdb >was.2
    tail -n 100 all.jsonl | awk '{sub(/"v[0-9]+"/, "\"v" NR - 1 "\""); print}' | vdb-add -q x.vdb
    vdb-get x.vdb >was.3
    seq 100 199 | sed 's/^/v/' | vdb-rm -q --ids-from - x.vdb >/dev/null
    vdb-get x.vdb >was.4
    sed -n '301,400p' all.jsonl | vdb-add -q x.vdb
    vdb-get x.vdb >was.5
}

holds() { # the commits that can be gone back to
    for commit in "$@"; do
        vdb-get --at "$commit" x.vdb | cmp - "was.$commit"
        vdb-search --at "$commit" --exact -k 5 x.vdb all.jsonl >found
        vdb-add -q --create then.vdb "was.$commit"
        vdb-search --exact -k 5 then.vdb all.jsonl | cmp - found
        rm then.vdb
    done
}

@test "a snapshot's rows stay through compactions, and go with its name" {
    make_x
    vdb-compact -q --output dense.vdb x.vdb
    vdb-snap x.vdb create now >/dev/null
    vdb-rm -q x.vdb v0 v1 v2 >/dev/null
    vdb-get x.vdb >was.6
    for round in 1 2; do
        vdb-compact -q x.vdb
        holds 5 6
        [ "$(value rows x.vdb) $(value live x.vdb)" = "300 297" ]
        [ "$(vdb-snap x.vdb | awk '{print $1, $3, $4}')" = "now 5 300" ]
        vdb-check --deep x.vdb
    done
    vdb-get --at now x.vdb | cmp - was.5
    ends 1 vdb-get --at 4 x.vdb
    [[ "$stderr" == *"commit 5"* ]]
    vdb-snap x.vdb rm now
    vdb-compact -q x.vdb
    [ "$(value rows x.vdb) $(value live x.vdb)" = "297 297" ]
    ends 1 vdb-get --at 5 x.vdb
    [[ "$stderr" == *"commit 6"* ]]
}

@test "--keep-rows keeps each commit of that age, all or none" {
    make_x
    later=$(($(date +%s) + 7200))
    vdb-compact -q --keep-rows all x.vdb
    holds 2 3 4 5
    [ "$(value rows x.vdb)" = 500 ]
    vdb-compact -q --keep-rows 3h --now $later x.vdb
    holds 2 3 4 5
    vdb-rm -q x.vdb v299 >/dev/null
    vdb-get x.vdb >was.6
    vdb-compact -q --keep-rows 1h x.vdb
    holds 2 3 4 5 6
    vdb-check --deep x.vdb
    vdb-compact -q --keep-rows 1h --now $later x.vdb
    holds 6
    ends 1 vdb-get --at 5 x.vdb
    [ "$(value rows x.vdb) $(value live x.vdb)" = "299 299" ]
    ends 2 vdb-compact --keep-rows some x.vdb
}

@test "an output has no snapshots and no row of the past" {
    make_x
    vdb-compact -q --output plain.vdb x.vdb
    vdb-compact -q --keep-rows all x.vdb
    vdb-snap x.vdb create now >/dev/null
    vdb-compact -q --keep-rows all --output dense.vdb x.vdb
    cmp plain.vdb dense.vdb
    [ -z "$(vdb-snap dense.vdb)" ]
}

@test "--if-needed counts the rows that would be purged, not those that are kept" {
    make_x
    vdb-snap x.vdb create all >/dev/null
    seq 0 199 | sed 's/^/v/' | vdb-rm -q --ids-from - x.vdb >/dev/null 2>&1 || true
    vdb-compact -q x.vdb
    [ "$(value rows x.vdb) $(value live x.vdb)" = "300 200" ]
    before=$(stat -c %i x.vdb)
    vdb-compact -q --if-needed x.vdb
    [ "$(stat -c %i x.vdb)" = "$before" ]
    vdb-snap x.vdb rm all
    vdb-compact -q --if-needed --keep-rows all x.vdb
    [ "$(stat -c %i x.vdb)" = "$before" ]
    vdb-compact -q --if-needed x.vdb
    [ "$(value rows x.vdb) $(value live x.vdb)" = "200 200" ]
}

@test "a snapshot can be restored after a compaction, and again after another" {
    make_x
    vdb-snap x.vdb create whole >/dev/null
    seq 200 399 | sed 's/^/v/' | vdb-rm -q --ids-from - x.vdb >/dev/null
    vdb-compact -q x.vdb
    vdb-snap -q x.vdb restore whole
    vdb-get x.vdb | sort | cmp - <(sort was.5)
    vdb-compact -q x.vdb
    vdb-get x.vdb | sort | cmp - <(sort was.5)
    [ "$(value rows x.vdb)" = 300 ]
    vdb-check --deep x.vdb
}

@test "--if-needed and --maintain wait for who is at it" {
    load lock.bash
    python3 -c 'print("".join("r%d\t%d\t1\n" % (i, i) for i in range(3000)), end="")' |
        vdb-add -q --no-maintain --create --format tsv w.vdb
    for option in --if-needed --maintain; do
        hold_maintain_lock w.vdb
        ends 75 vdb-compact -q $option --wait 0.1 w.vdb
        (sleep 0.5; kill $LOCK_PID) 3>&- &
        ends 0 vdb-compact -q $option --wait 20 w.vdb
        wait
        rm -f locked
        vdb-add -q --no-maintain --format tsv w.vdb < <(vdb-get --format tsv w.vdb)
    done
}
