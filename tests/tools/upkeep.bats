#!/usr/bin/env bats
# upkeep.bats: maintenance as writers do it: at once after a load, else by one process in the
# background, which can be forbidden, seen and killed.
# SPDX-License-Identifier: BSD-2-Clause
load common
load lock
setup() { common_setup; }

value() { vdb-stat "$2" | awk -F '\t' -v name="$1" '$1 == name {print $2}'; }
parts_are() { [ "$(value parts "$2")" = "$1" ] && [ "$(value maintenance "$2")" = none ]; }

# rows FIRST LAST: so many of four dimensions, whose numbers follow from their ids.
rows() { seq "$1" "$2" | awk '{print $1 "\t" $1 % 97 "\t" $1 % 89 "\t" $1 % 83 "\t" $1 % 79}'; }
add() { rows "$1" "$2" | vdb-add -q --create --index flat --format tsv "${@:3}" a.vdb; }

@test "a load waits for its part, smaller runs for nothing" {
    add 1 2048
    [ "$(value parts a.vdb)" -eq 1 ]
    add 2049 4095
    [ "$(value tail_rows a.vdb)" -eq 2047 ]
    same "$(value maintenance a.vdb)" none
    add 4096 4096
    until_true parts_are 1 a.vdb
    same "$(value tail_rows a.vdb)" 0
    same "$(vdb-get --format tsv a.vdb)" "$(rows 1 4096)"
}

@test "--no-maintain leaves it to a later run, vdb-stat says so, and vdb-compact --maintain does it" {
    add 1 1500 --no-maintain
    add 1501 3000 --no-maintain
    same "$(value parts a.vdb) $(value maintenance a.vdb)" "0 wanted"
    vdb-stat --json a.vdb | grep -q '"maintenance":"wanted","maintainer":null'
    vdb-stat --prometheus a.vdb | grep -q '^vdb_maintenance_wanted{.*} 1$'
    inode=$(stat -c %i a.vdb)
    vdb-rm -q --no-maintain a.vdb 7 >/dev/null
    ends 0 vdb-compact --maintain a.vdb
    same "$stderr" "rows 2999, purged 0, bytes $(grep -o 'bytes.*' <<<"$stderr" | cut -c7-)"
    same "$(value parts a.vdb) $(value maintenance a.vdb) $(stat -c %i a.vdb)" "1 none $inode"
    [ "$(vdb-rm --list a.vdb)" = 7 ] # nothing is purged
    for option in --if-needed "--output x.vdb" "--index ivf" "--codes i8"; do
        refused 2 "--maintain goes*" vdb-compact --maintain $option a.vdb
    done
    add 3001 4000 --no-maintain
    add 4001 5100 --no-maintain
    vdb-rm -q a.vdb 8 >/dev/null # a deletion notices as well
    until_true parts_are 2 a.vdb
}

@test "--if-needed compacts what has much deleted, merges what has a long tail, else does nothing" {
    add 1 3000
    before=$(cksum <a.vdb)
    vdb-compact -q --if-needed a.vdb
    same "$(cksum <a.vdb)" "$before"
    seq 100 | vdb-rm --ids-from - a.vdb >/dev/null
    vdb-compact -q --if-needed a.vdb
    same "$(value deleted a.vdb)" 100
    seq 101 310 | vdb-rm --ids-from - a.vdb >/dev/null
    ends 0 vdb-compact --if-needed a.vdb
    [[ $stderr == "rows 2690, purged 310, "* ]]
    same "$(value deleted a.vdb)" 0
    add 3001 4500 --no-maintain
    add 4501 6000 --no-maintain
    vdb-compact -q --if-needed a.vdb
    same "$(value tail_rows a.vdb)" 0
    refused 2 "--if-needed and --output*" vdb-compact --if-needed --output b.vdb a.vdb
}

@test "one at a time: who finds another at it starts nothing, and vdb-stat names that one" {
    add 1 1500 --no-maintain
    hold_maintain_lock a.vdb
    add 1501 3000
    sleep 0.3
    same "$(value parts a.vdb)" 0
    same "$(vdb-stat a.vdb | grep '^maintenance')" "maintenance	running	process $LOCK_PID (python3)"
    vdb-stat --prometheus a.vdb | grep -q '^vdb_maintenance_running{.*} 1$'
    refused 75 "a.vdb: process $LOCK_PID (python3) holds the MAINTAIN lock of the index" \
        vdb-compact --maintain a.vdb
    refused 75 "a.vdb: process $LOCK_PID (python3) holds the MAINTAIN lock of the index" \
        vdb-compact --wait 0.2 a.vdb
    let_go
    add 3001 3001
    until_true parts_are 1 a.vdb
}

@test "killed at any moment it leaves the index whole, and the next one does it" {
    add 1 1500 --no-maintain
    add 1501 3000 --no-maintain
    cp a.vdb before.vdb
    for pause in 0 0.002 0.004 0.006 0.008 0.01 0.015 0.02; do
        cp before.vdb a.vdb
        vdb-compact --maintain --index graph a.vdb 2>/dev/null || true # an option it does not take
        vdb-compact -q --maintain a.vdb &
        sleep $pause
        kill -KILL $! 2>/dev/null || true
        wait $! || true
        ends 0 vdb-check --deep a.vdb
        same "$(vdb-get --format tsv a.vdb | cksum)" "$(rows 1 3000 | cksum)"
        add 3001 3001
        until_true parts_are 1 a.vdb
    done
}

# Nothing of it can be seen or felt by who started it.
@test "what runs in the background holds no file and no terminal of its parent's" {
    add 1 1500 --no-maintain
    hold_write_lock a.vdb # so that it has to wait
    kill -STOP $LOCK_PID
    let_go_at_end() { kill -CONT $LOCK_PID; let_go; }
    vdb-stat a.vdb >/dev/null
    let_go_at_end
    out=$(add 1501 3000 2>&1) # would not end before the last writer closes the pipe
    [ -z "$out" ]
    until_true parts_are 1 a.vdb
}

@test "a stream faster than the building is held up, so that the tail stays short" {
    local all=60000
    ! slow || all=30000
    rows 1 $all >many.tsv
    vdb-add -q --create --index graph --format tsv --batch 500 --wait 300 a.vdb <many.tsv &
    pid=$!
    longest=0
    while kill -0 $pid 2>/dev/null; do
        tail=$(value tail_rows a.vdb 2>/dev/null || true)
        [ "${tail:-0}" -le "$longest" ] || longest=$tail
    done
    wait $pid
    echo "longest tail: $longest" >&2
    [ "$longest" -lt 17000 ]
    [ "$(vdb-get a.vdb | wc -l)" -eq $all ]
}

behind() { [ "$(value tail_rows a.vdb)" -ge 16384 ]; }

@test "as long as --wait says, each time that it is too fast" {
    add 1 1
    mkfifo feed
    vdb-add -q --format tsv --batch 500 --wait 1 a.vdb <feed &
    exec 9>feed
    for end in 21000 41000 61000; do
        hold_maintain_lock a.vdb
        rows $((end - 19999)) $end >&9 &
        feeding=$!
        until_true behind
        sleep 0.6
        [ "$(value tail_rows a.vdb)" -lt 17000 ]
        let_go
        wait $feeding
    done
    exec 9>&-
    wait
    [ "$(vdb-get a.vdb | wc -l)" -eq 60001 ]
}

# The rule of --if-needed, told before anybody asks for it.
@test "vdb-stat tells when a compaction is due and what it gives back" {
    due() { vdb-stat "$1" | awk -F '\t' '$1 == "compaction" {print $2}'; }
    dead() { vdb-stat "$1" | awk -F '\t' '$1 == "compaction" {print $3}'; }
    add 1 3000
    same "$(due a.vdb)" none
    for first in 3001 6001 9001; do # all become one part, twice, and what they were is dead
        add $first $((first + 2999))
    done
    same "$(due a.vdb)" due
    same "$(dead a.vdb)" "$(($(stat -c %s a.vdb) - $(value used_bytes a.vdb)))"
    before=$(stat -c %s a.vdb) dead=$(dead a.vdb)
    vdb-stat --json a.vdb | grep -q "\"compaction\":\"due\",\"reclaimable_bytes\":$dead}\$"
    vdb-stat --prometheus a.vdb | grep -q '^vdb_compaction_due{.*} 1$'
    vdb-compact -q --if-needed a.vdb
    same "$(due a.vdb)" none
    [ "$(stat -c %s a.vdb)" -le $((before - dead)) ]
    seq 1700 | vdb-rm -q --no-maintain --ids-from - a.vdb >/dev/null
    same "$(due a.vdb)" due
}
