#!/usr/bin/env bats
# cli.bats: what all tools do alike: help, version, wrong usage, exit statuses, pipes, environment.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup() {
    common_setup
    tools="add rm get search log stat check compact snap bench"
}

@test "--help and --version: stdout, nothing on stderr, exit 0" {
    for tool in $tools; do
        for option in -h --help; do
            ends 0 vdb-$tool $option
            [ -z "$stderr" ]
            [[ $output == "Usage: vdb-$tool "* ]]
        done
        for option in -V --version; do
            ends 0 vdb-$tool $option
            [ -z "$stderr" ]
            [[ ${lines[0]} =~ ^vdb-$tool\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
            case $tool in
            add | get | search | bench) [[ ${#lines[@]} -eq 2 && ${lines[1]} == "HDF5 helper: "* ]] ;;
            *) [ ${#lines[@]} -eq 1 ] ;;
            esac
        done
    done
}

@test "wrong usage of every tool: exit 2, one line and a hint, nothing made" {
    for tool in $tools; do
        refused 2 "unknown option --nonsense*" vdb-$tool --nonsense x.vdb
        refused 2 "unknown option -Z*" vdb-$tool -Z x.vdb
        refused 2 "no INDEX given*" vdb-$tool
        refused 2 "*--threads*'none'*" vdb-$tool --threads none x.vdb
        refused 2 "*--threads*'0'*" vdb-$tool -j0 x.vdb
        refused 2 "*--wait*'soon'*" vdb-$tool --wait soon x.vdb
        refused 2 "*--wait*'-1'*" vdb-$tool --wait=-1 x.vdb
        refused 2 "*--wait*'nan'*" vdb-$tool --wait nan x.vdb
        refused 2 "*--wait*needs a value*" vdb-$tool x.vdb --wait
        refused 2 "*--quiet takes no value*" vdb-$tool --quiet=1 x.vdb
    done
    [ -z "$(ls)" ]
}

@test "options whose time has not come are unknown, not ignored" {
    for tool in add rm get search compact snap; do
        refused 2 "unknown option --where*" vdb-$tool --where x x.vdb
    done
    for tool in add rm compact snap; do refused 2 "unknown option --at*" vdb-$tool --at 1 x.vdb; done
    for tool in add rm get compact; do refused 2 "unknown option --recall*" vdb-$tool --recall 1 x.vdb; done
    for tool in rm get search; do refused 2 "unknown option --codes*" vdb-$tool --codes i8 x.vdb; done
}

@test "options stand before or after operands; -- ends them; short ones go together" {
    make_abc
    printf 'odd\t1\t1\n' >./--ids
    ends 0 vdb-add abc.vdb --quiet --format=tsv -- --ids
    ends 0 vdb-get abc.vdb odd -qv -j2
    [ "$output" = '{"id": "odd", "vector": [1, 1]}' ]
    ends 0 vdb-get -j 2 --wait 0.5 -- abc.vdb odd
    [ "$output" = '{"id": "odd", "vector": [1, 1]}' ]
}

@test "an index that is missing, a directory or not permitted: exit 66" {
    mkdir folder.vdb
    for tool in rm get search stat check compact snap; do
        refused 66 "*missing.vdb*No such file*" vdb-$tool missing.vdb $([ $tool != rm ] || echo x) </dev/null
        refused 66 "*folder.vdb*" vdb-$tool folder.vdb $([ $tool != rm ] || echo x) </dev/null
    done
    refused 66 "*folder.vdb*" vdb-add folder.vdb </dev/null
    refused 66 "*missing.vdb*" vdb-add missing.vdb </dev/null
    [ ! -e missing.vdb ]
}

@test "an index that is empty, not ours, truncated or of another version: exit 65" {
    make_abc
    : >empty.vdb
    head -c 20000 /dev/zero >zeros.vdb
    printf 'this is a text, not an index\n' >text.vdb
    size=$(stat -c %s abc.vdb)
    head -c 100 abc.vdb >cut100.vdb
    head -c 8192 abc.vdb >cut8192.vdb
    for bad in empty zeros text cut100 cut8192; do
        cp $bad.vdb before
        for tool in rm get search stat compact snap add; do
            refused 65 "*$bad.vdb*" vdb-$tool $bad.vdb $([ $tool != rm ] || echo x) \
                </dev/null
        done
        cmp before $bad.vdb
    done
}

@test "a message begins with the name of the index, even one that is in the message as well" {
    echo 'junk junk junk' >a
    for name in a vdb index superblock file not 0; do
        [ $name = a ] || cp a $name
        for tool in get stat search check; do
            refused 65 "$name: not a vdb index (superblock, offset 0)" vdb-$tool $name </dev/null
        done
    done
    : >file
    refused 65 "file: *" vdb-stat file
}

@test "an index of another version: refused by its number, exit 65" {
    make_abc
    python3 - <<'PY'
data = bytearray(open('abc.vdb', 'rb').read())
for slot in 0, 4096:
    data[slot + 8:slot + 12] = (7).to_bytes(2, 'little') + (3).to_bytes(2, 'little')
open('later.vdb', 'wb').write(data)
PY
    for tool in rm get search stat compact snap add; do
        refused 65 "*later.vdb*7.3*" vdb-$tool later.vdb $([ $tool != rm ] || echo x) </dev/null
    done
}

@test "standard output that cannot be written: exit 74" {
    make_abc
    ends 74 bash -c 'vdb-get abc.vdb >/dev/full'
    [[ $stderr == "vdb-get: standard output: No space left on device" ]]
    ends 74 bash -c 'vdb-rm abc.vdb a >/dev/full'
    ends 74 bash -c 'vdb-get --help >/dev/full'
    ends 74 bash -c 'vdb-get abc.vdb >&-'
    [[ $stderr == "vdb-get: standard output: "* ]]
}

@test "output that cannot be written after a change: exit 74, and a line says that the change is in" {
    make_abc
    ends 74 bash -c 'echo "{\"id\": \"d\", \"vector\": [7, 8]}" | vdb-add --json abc.vdb >/dev/full'
    same "$stderr" "vdb-add: standard output: No space left on device; the rows are in, to commit 3"
    ends 74 bash -c 'vdb-rm abc.vdb a >/dev/full'
    same "$stderr" "vdb-rm: standard output: No space left on device; the changes are in, to commit 4"
    ends 74 bash -c 'vdb-snap abc.vdb create monday >/dev/full'
    [[ $stderr == "vdb-snap: standard output: No space left on device; "*monday* ]]
    ends 74 bash -c 'vdb-snap --json abc.vdb restore 2 >/dev/full'
    same "$stderr" "vdb-snap: standard output: No space left on device; the rows are as they were, to commit 5"
}

@test "with its standard files closed a tool does not write into the index" {
    make_abc
    printf '{"id": "d", "vector": [7, 8]}\n' >d.jsonl
    ends 74 bash -c 'vdb-get abc.vdb <&- >&- 2>&-'
    ends 74 bash -c 'vdb-rm abc.vdb a >&-'
    ends 74 bash -c 'vdb-rm abc.vdb b <&- >&- 2>&-'
    ends 0 bash -c 'vdb-add abc.vdb d.jsonl 2>&-'
    ends 74 bash -c 'vdb-add --json abc.vdb d.jsonl <&- >&- 2>&-'
    ends 0 vdb-check --deep abc.vdb
    same "$(vdb-get --format tsv abc.vdb)" $'c\t5\t6\nd\t7\t8'
}

@test "a closed pipe ends a tool quietly" {
    seq 20000 | awk '{print $1 "\t" $1 "\t" 1}' | vdb-add --quiet --create --format tsv many.vdb
    run bash -c '{ vdb-get many.vdb; echo "status $?" >status; } 2>stderr | head -n 1'
    [ "$output" = '{"id": "1", "vector": [1, 1]}' ]
    [ ! -s stderr ]
    [ "$(cat status)" != "status 0" ]
}

@test "numbers do not depend on the locale" {
    make_abc
    export LC_ALL=de_DE.UTF-8 LANG=de_DE.UTF-8
    ends 0 vdb-get abc.vdb b
    [[ $output == *"[0.1, -0.5]"* ]]
    printf 'd\t0.25\t1.5\n' | vdb-add --quiet --format tsv abc.vdb
    ends 0 vdb-get --format tsv abc.vdb d
    [ "$output" = $'d\t0.25\t1.5' ]
}

@test "VDB_ISA: an unknown kernel set is exit 2, a known one changes no result" {
    make_abc
    for tool in get stat; do
        ends 0 vdb-$tool abc.vdb
        plain=$output
        ends 0 env VDB_ISA=portable vdb-$tool abc.vdb
        same "$output" "$plain"
        refused 2 "VDB_ISA: *'mmx'*" env VDB_ISA=mmx vdb-$tool abc.vdb
        refused 2 "VDB_ISA: *" env VDB_ISA=$(uname -m | sed 's/x86_64/neon/; t; s/.*/avx2/') \
            vdb-$tool abc.vdb
    done
}

@test "progress shows with --progress, and without it not where stderr is no terminal" {
    seq 3000 | awk '{print $1 "\t" $1 "\t" 1}' >many.tsv
    ends 0 vdb-add --create one.vdb many.tsv
    [ "$stderr" = "added 3000, updated 0, skipped 0, commit 2" ]
    ends 0 vdb-add --create --progress two.vdb many.tsv
    [[ $stderr == "read "*"added 3000, updated 0, skipped 0, commit 2"* ]]
    [[ $stderr == *"/s"* ]]
    ends 0 vdb-add --create --quiet three.vdb many.tsv
    [ -z "$stderr" ]
}

@test "on a terminal there is progress, wiped before messages and the summary" {
    command -v script >/dev/null || skip "script(1) is not here"
    seq 3000 | awk '{print $1 "\t" $1 "\t" 1}' >many.tsv
    script -qec "$VDB_BIN/vdb-add --create one.vdb many.tsv" /dev/null >screen </dev/null
    grep -q 'read .*/s' screen
    grep -q $'\033\\[Kadded 3000, updated 0, skipped 0, commit 2' screen
    echo rubbish >>many.tsv
    script -qec "$VDB_BIN/vdb-add --create two.vdb many.tsv" /dev/null >screen </dev/null || true
    grep -q $'read .*\033\\[Kvdb-add: many.tsv:3001: ' screen
}
