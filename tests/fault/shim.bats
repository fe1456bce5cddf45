#!/usr/bin/env bats
# shim.bats: the shipped tools where calls of the system fail, are slow, or are the last: held from
# outside of them, by an object that stands before the C library (shim.c).
# SPDX-License-Identifier: BSD-2-Clause

load ../tools/common.bash
load ../tools/lock.bash

setup() {
    common_setup
    shim=$VDB_BUILD/tests/aid/shim.so
    [ "$(uname)" = Linux ] || skip "LD_PRELOAD and the C library's own names are asked for"
    # A sanitizer's runtime has to come first.
    case ${VDB_MODE:-release} in
    asan) shim="$(${CC:-gcc} -print-file-name=libasan.so) $shim" ;;
    tsan) shim="$(${CC:-gcc} -print-file-name=libtsan.so) $shim" ;;
    fuzz | coverage) skip "no runtime to load first, or counts that a kill would lose" ;;
    esac
}

sweep() {
    [ "${VDB_MODE:-release}" = release ] || skip "what is shipped is the release build; it takes minutes here"
    run timeout 120 python3 "$HERE/shim.py" "$1"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ ${lines[-1]} =~ ^$1:\ [1-9][0-9]*\ runs,\ 0\ wrong$ ]]
}

# under CALL NTH WHAT COMMAND...
under() {
    local call=$1 nth=$2 what=$3
    shift 3
    env LD_PRELOAD="$shim" VDB_SHIM_CALL="$call" VDB_SHIM_NTH="$nth" VDB_SHIM_DO="$what" \
        VDB_SHIM_FOLDER="$PWD" VDB_SHIM_MET="$PWD/met" ${ALWAYS:+VDB_SHIM_ALWAYS=1} "$@"
}

@test "vdb-add --create: every call fails or is the last" { sweep create; }
@test "vdb-add, a small commit: every call fails or is the last" { sweep add; }
@test "vdb-add, rows with an extent of their own and a part: every call fails or is the last" { sweep bulk; }
@test "vdb-add --batch: every call fails or is the last" { sweep batch; }
@test "vdb-rm: every call fails or is the last" { sweep rm; }
@test "vdb-compact in place: every call fails or is the last" { sweep compact; }
@test "vdb-compact --output: every call fails or is the last" { sweep output; }

@test "vdb-snap create: every call fails or is the last" { sweep snapshot; }
@test "vdb-snap restore: every call fails or is the last" { sweep restore; }
@test "vdb-snap recv: every call fails or is the last" { sweep receive; }

# ended CALL WHAT COMMAND...: it is killed at the first such call.
ended() {
    rm -f met
    ends 137 bash -c 'exec "$@"' -- env LD_PRELOAD="$shim" VDB_SHIM_CALL="$1" VDB_SHIM_NTH=1 \
        VDB_SHIM_DO="$2" VDB_SHIM_FOLDER="$PWD" VDB_SHIM_MET="$PWD/met" "${@:3}"
    [ -e met ]
    rm met
}

@test "of an output whose tool is killed nothing is left, or it goes with the next" {
    make_abc
    echo '{"vector": [1, 2]}' >query
    files=$(ls -A)
    for command in "vdb-get -o $PWD/out abc.vdb" "vdb-search -k 1 -o $PWD/out abc.vdb query"; do
        ended fdatasync kill-before $command
        same "$(ls -A)" "$files"
        # In the place of another file it comes by way of a name of its own.
        echo old >out
        echo mine >out.new-notes
        echo mine >out.new-1-
        ended rename kill-before $command
        [ "$(ls out?* | wc -l)" -eq 3 ]
        [ "$(cat out)" = old ]
        ends 0 $command
        [ "$(cat out)" != old ]
        same "$(ls out?*)" $'out.new-1-\nout.new-notes'
        rm out*
    done
}

@test "the same where every file needs a name; but what is being written stays" {
    make_abc
    export VDB_SHIM_NAMED=1
    ended fdatasync kill-before vdb-get -o "$PWD/out" abc.vdb
    left=$(ls out.new-*)
    under fdatasync 1 delay=300 vdb-get -o "$PWD/out" abc.vdb 3>&- &
    pid=$!
    until_true test -e met
    [ ! -e "$left" ]
    begun=$(ls out.new-*)
    tool=$(pgrep -P $pid || echo $pid)
    kill -STOP "$tool"
    vdb-get -o out abc.vdb a
    vdb-get -o out abc.vdb a
    kept=$(ls out.new-*)
    kill -CONT "$tool"
    same "$kept" "$begun"
    wait $pid
    [ ! -e "$begun" ]
    same "$(cat out)" "$(cat abc.jsonl)"
}

@test "a file system without locks: reads go, writes refuse" {
    make_abc
    ALWAYS=1
    echo '{"vector": [1, 2]}' >query
    for errno in 37 95; do # ENOLCK, EOPNOTSUPP
        cp abc.vdb before
        rm -f met
        ends 0 under lock 1 errno=$errno vdb-get abc.vdb
        ends 0 under lock 1 errno=$errno vdb-search -k 1 abc.vdb query
        ends 0 under lock 1 errno=$errno vdb-stat abc.vdb
        ends 0 under lock 1 errno=$errno vdb-check --deep abc.vdb
        [ ! -e met ] # readers ask for none
        refused 73 "*abc.vdb*cannot lock the index for writing: *" \
            under lock 1 errno=$errno vdb-add abc.vdb abc.jsonl
        [ -e met ]
        refused 73 "*abc.vdb*cannot lock the index for writing: *" \
            under lock 1 errno=$errno vdb-rm abc.vdb a
        refused 73 "*abc.vdb*cannot lock the index for writing: *" \
            under lock 1 errno=$errno vdb-compact abc.vdb
        cmp before abc.vdb
        [ "$(ls -A)" = $'abc.jsonl\nabc.vdb\nbefore\nmet\nquery' ]
    done
}

@test "while a sync takes three seconds: readers are not held up, a writer waits, --wait 0 is exit 75" {
    make_abc
    printf '{"id": "slow", "vector": [1, 2]}\n' >slow.jsonl
    rm -f met
    ALWAYS=1 under fdatasync 1 delay=3000 vdb-add -q abc.vdb slow.jsonl 3>&- &
    pid=$!
    until_true test -e met
    begun=$(date +%s%N)
    ends 0 vdb-get abc.vdb a
    ends 75 vdb-add --wait 0 abc.vdb <<<'{"id": "late", "vector": [3, 4]}'
    [[ $stderr == vdb-add:*abc.vdb* ]]
    [ $((($(date +%s%N) - begun) / 1000000)) -lt 2700 ]
    kill -0 $pid # it is still at it
    ends 0 vdb-add --wait 20 abc.vdb <<<'{"id": "late", "vector": [3, 4]}'
    wait $pid
    same "$(vdb-get --format tsv abc.vdb | tail -n 2)" $'slow\t1\t2\nlate\t3\t4'
}

@test "of two that receive into one new index, the slower one is told to try again: exit 75, and all is well then" {
    make_abc
    vdb-snap abc.vdb send >stream
    under rename 1 delay=1500 vdb-snap "$PWD/new.vdb" recv <stream 2>slow.err 3>&- &
    pid=$!
    until_true test -e met
    ends 0 vdb-snap new.vdb recv <stream
    status=0
    wait $pid || status=$?
    [ $status -eq 75 ]
    same "$(cat slow.err)" "vdb-snap: $PWD/new.vdb: another process made it meanwhile"
    [ -z "$(ls -A | grep tmp)" ]
    ends 0 vdb-snap new.vdb recv <stream
    [[ $stderr == *"received before" ]]
    same "$(vdb-get new.vdb)" "$(vdb-get abc.vdb)"
}

@test "the shim does what the sweeps take it to do" {
    make_abc
    ends 74 under fdatasync 1 errno=5 vdb-rm abc.vdb a
    [[ $stderr == *"Input/output error" ]]
    [ -e met ]
    ends 0 under fdatasync 99 errno=5 vdb-rm abc.vdb b
    ends 137 bash -c 'exec "$@"' -- env LD_PRELOAD="$shim" VDB_SHIM_CALL=pwrite VDB_SHIM_NTH=1 \
        VDB_SHIM_DO=kill-before VDB_SHIM_FOLDER="$PWD" vdb-rm abc.vdb c
}
