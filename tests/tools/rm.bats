#!/usr/bin/env bats
# rm.bats: vdb-rm deletes, restores and lists, in one transaction.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup() {
    common_setup
    make_abc
}

@test "deleted rows are gone from reads, and their ids are printed" {
    ends 0 vdb-rm abc.vdb c a
    [ "$output" = $'c\na' ]
    [ -z "$stderr" ]
    ends 0 vdb-get abc.vdb
    [ "$output" = '{"id": "b", "vector": [0.1, -0.5], "metadata": {"lang": "en", "year": 2021}}' ]
    ends 0 vdb-search --exact -k 5 --like b abc.vdb
    [ "$(cut -f3 <<<"$output")" = b ]
}

@test "--list prints what is deleted now, in row order" {
    ends 0 vdb-rm --list abc.vdb
    [ -z "$output" ]
    vdb-rm abc.vdb c a >/dev/null
    ends 0 vdb-rm --list abc.vdb
    [ "$output" = $'a\nc' ]
    printf '{"id": "c", "vector": [9, 9]}\n' | vdb-add --quiet abc.vdb
    ends 0 vdb-rm --list abc.vdb
    [ "$output" = a ]
}

@test "--list names an id once, however often it was updated and deleted" {
    for i in 1 2 3; do
        printf '{"id": "a", "vector": [9, %s]}\n' $i | vdb-add --quiet abc.vdb
        vdb-rm abc.vdb a >/dev/null
    done
    printf '{"id": "b", "vector": [7, 7]}\n' | vdb-add --quiet abc.vdb
    ends 0 vdb-rm --list abc.vdb
    [ "$output" = a ]
}

@test "--restore brings back the newest vector with its metadata" {
    before=$(vdb-get abc.vdb b)
    vdb-rm abc.vdb b >/dev/null
    ends 0 vdb-rm --restore abc.vdb b
    [ "$output" = b ]
    same "$(vdb-get abc.vdb b)" "$before"
    printf '{"id": "b", "vector": [8, 8]}\n' | vdb-add --quiet abc.vdb
    vdb-rm abc.vdb b >/dev/null
    vdb-rm --restore abc.vdb b >/dev/null
    ends 0 vdb-get abc.vdb b
    [ "$output" = '{"id": "b", "vector": [8, 8]}' ]
    ends 0 vdb-rm --list abc.vdb
    [ -z "$output" ]
}

@test "an id that is not there is named, the others are done: exit 1" {
    ends 1 vdb-rm abc.vdb a nobody c
    [ "$output" = $'a\nc' ]
    [ "$stderr" = "vdb-rm: abc.vdb: no such id: nobody" ]
    ends 1 vdb-rm abc.vdb a
    [ -z "$output" ]
    [ "$stderr" = "vdb-rm: abc.vdb: no such id: a" ]
    ends 1 vdb-rm --restore abc.vdb a b nobody
    [ "$output" = a ]
    [ "$stderr" = $'vdb-rm: abc.vdb: not deleted: b\nvdb-rm: abc.vdb: no such deleted id: nobody' ]
}

@test "an id that no row can have is not there either" {
    long=$(printf 'x%.0s' $(seq 1024))
    ends 1 vdb-rm abc.vdb "$long" $'tab\there' ''
    [ -z "$output" ]
    [[ $stderr == *"no such id: tab?here"* ]]
}

@test "--ids-from: a file, standard input, and ids of the command line behind it" {
    printf 'c\nb\n' >ids
    ends 0 vdb-rm --ids-from ids abc.vdb a
    [ "$output" = $'c\nb\na' ]
    ends 0 bash -c "printf 'a\r\n\nb' | vdb-rm --restore --ids-from - abc.vdb"
    [ "$output" = $'a\nb' ]
    : >none
    before=$(content abc.vdb)
    ends 0 vdb-rm --ids-from none abc.vdb
    [ -z "$output" ]
    same "$(content abc.vdb)" "$before"
}

@test "a run is one commit; one without changes is none" {
    ends 0 vdb-rm abc.vdb a b c
    [ "$(vdb-stat abc.vdb | grep '^commit	')" = $'commit\t3' ]
    ends 1 vdb-rm abc.vdb a
    [ "$(vdb-stat abc.vdb | grep '^commit	')" = $'commit\t3' ]
}

@test "deleting goes on where an index has a part" {
    seq 3000 | awk '{print "n" $1 "\t" $1 "\t" 1}' | vdb-add --quiet --create --format tsv many.vdb
    vdb-compact --quiet many.vdb
    ends 0 vdb-rm many.vdb n1 n3000
    [ "$(vdb-get many.vdb | wc -l)" -eq 2998 ]
    ends 0 vdb-rm --list many.vdb
    [ "$output" = $'n1\nn3000' ]
    vdb-compact --quiet many.vdb
    ends 0 vdb-rm --list many.vdb
    [ -z "$output" ]
    ends 1 vdb-rm --restore many.vdb n1
}

@test "wrong usage" {
    refused 2 "no ID given*" vdb-rm abc.vdb
    refused 2 "*--list goes with nothing else*" vdb-rm --list abc.vdb a
    refused 2 "*--list goes with nothing else*" vdb-rm --list --restore abc.vdb
    refused 2 "*--list goes with nothing else*" vdb-rm --list --ids-from x abc.vdb
}

@test "a file of ids that is not there: exit 66, nothing changed" {
    before=$(content abc.vdb)
    refused 66 "missing.ids: *" vdb-rm --ids-from missing.ids abc.vdb a
    refused 74 ".: *" vdb-rm --ids-from . abc.vdb a
    same "$(content abc.vdb)" "$before"
}

@test "a lock that another process holds: exit 75 after --wait, nothing changed" {
    before=$(content abc.vdb)
    source "$HERE/lock.bash"
    hold_write_lock abc.vdb
    refused 75 "*abc.vdb*" vdb-rm --wait 0 abc.vdb a
    refused 75 "*abc.vdb*" vdb-rm --wait 0.2 abc.vdb a
    ends 0 vdb-rm --list abc.vdb
    let_go
    same "$(content abc.vdb)" "$before"
    ends 0 vdb-rm --wait 0 abc.vdb a
}

@test "ended by a signal while ids come: nothing changed" {
    before=$(content abc.vdb)
    for signal in INT TERM; do
        mkfifo pipe
        exec 9<>pipe
        interruptible vdb-rm --ids-from pipe abc.vdb >out 2>err 9>&- &
        pid=$!
        echo a >&9
        until_true grep -q abc.vdb /proc/$pid/maps
        kill -$signal $pid
        status=0
        wait $pid || status=$?
        exec 9>&-
        [ $status -eq $([ $signal = INT ] && echo 130 || echo 143) ]
        [ ! -s out ]
        same "$(content abc.vdb)" "$before"
        rm pipe
    done
}
