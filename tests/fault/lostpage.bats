#!/usr/bin/env bats
# lostpage.bats: an index that is cut off, or grows, while a tool has it mapped.
# SPDX-License-Identifier: BSD-2-Clause

load ../tools/common.bash

setup() {
    common_setup
    seq 6000 | awk '{print "n" $1 "\t" $1 "\t" $1 % 100 "\t3"}' >many.tsv
    vdb-add -q --create --index flat many.vdb many.tsv
    cp many.vdb x.vdb
    size=$(stat -c %s many.vdb)
    query='{"vector": [5000, 20, 3]}'
}

# ended COMMAND...: its exit status is in the file status.
ended() {
    local ended=0
    "$@" || ended=$?
    echo $ended >status
}

# One line that names the tool, the file and the offset.
lost() {
    [ "$(wc -l <err)" -eq 1 ] || { cat err; return 1; }
    grep -Eq "^$1: .*x\.vdb: offset [0-9]+: the file was cut off while in use, it ends at $2$" err || { cat err; return 1; }
    offset=$(sed 's/.*: offset \([0-9]*\):.*/\1/' err)
    [ "$offset" -ge "$2" ] && [ "$offset" -lt "$size" ]
}

# searched COMMAND...: a search that gets its first query, then what COMMAND does to the file, then
# others; its exit status becomes $status.
searched() {
    { printf '%s\n' "$query"; until_true test -s out; "$@"; yes "$query" | head -n 300; } |
        ended timeout 20 vdb-search -k 5 -j "$threads" x.vdb - >out 2>err
    status=$(cat status)
}

@test "vdb-search: cut off between two queries: an error that names the place, exit 74" {
    for threads in 1 2; do
        for left in 70000 8192 100 0; do
            : >out
            cp many.vdb x.vdb
            searched truncate -s $left x.vdb
            [ "$status" -eq 74 ]
            lost vdb-search $left
        done
    done
}

@test "vdb-search: a file that grows meanwhile, by garbage or by commits, changes nothing" {
    vdb-search -k 5 x.vdb - <<<"$query" | cut -f2- >wanted
    for threads in 1 2; do
        : >out
        searched dd if=/dev/urandom of=x.vdb bs=100000 count=1 oflag=append conv=notrunc status=none
        [ "$status" -eq 0 ]
        [ ! -s err ]
        cmp wanted <(head -n 5 out | cut -f2-)
        cmp wanted <(tail -n 5 out | cut -f2-)
        : >out
        cp many.vdb x.vdb
        searched vdb-add -q x.vdb many.tsv
        [ "$status" -eq 0 ]
        cmp wanted <(tail -n 5 out | cut -f2-)
    done
}

@test "vdb-get: cut off while it prints: exit 74, with what was read before" {
    for left in 70000 100; do
        cp many.vdb x.vdb
        ended vdb-get x.vdb 2>err | { read -r first; truncate -s $left x.vdb; cat >out; }
        [ "$(cat status)" -eq 74 ]
        lost vdb-get $left
        [ -s out ]
    done
    cp many.vdb x.vdb
    mkfifo pipe
    (exec 9<pipe; read -r first <&9; truncate -s 70000 x.vdb; cat <&9 >out) &
    ends 74 vdb-get --output pipe x.vdb
    wait
}

# slowed CALL COMMAND...: the first CALL on out.vdb or out.tsv takes half a second, in which the index is cut
# off; $status is how the command ends.
slowed() {
    local call=$1
    shift
    rm -f met
    env LD_PRELOAD="$shim" VDB_SHIM_CALL="$call" VDB_SHIM_NTH=1 VDB_SHIM_DO=delay=500 VDB_SHIM_FOLDER=/out. VDB_SHIM_NAMED=1 \
        VDB_SHIM_MET="$PWD/met" "$@" 2>err 3>&- &
    pid=$!
    until_true test -e met
    truncate -s 70000 x.vdb
    status=0
    wait $pid || status=$?
    rm met
}

@test "an output in the making is removed when the index loses pages" {
    shim=$VDB_BUILD/tests/aid/shim.so
    case ${VDB_MODE:-release} in
    asan) shim="$(${CC:-gcc} -print-file-name=libasan.so) $shim" ;;
    tsan) shim="$(${CC:-gcc} -print-file-name=libtsan.so) $shim" ;;
    esac
    slowed open vdb-get --format tsv --output ./out.tsv x.vdb
    [ $status -eq 74 ]
    lost vdb-get 70000
    [ "$(ls -A)" = $'err\nmany.tsv\nmany.vdb\nx.vdb' ]
    cp many.vdb x.vdb
    slowed pwrite vdb-compact -q -j1 --index flat --output ./out.vdb x.vdb
    [ $status -eq 74 ]
    lost vdb-compact 70000
    [ "$(ls -A)" = $'err\nmany.tsv\nmany.vdb\nx.vdb' ]
}

@test "cut off within a page, whose rest reads as zeros: exit 74 at the end" {
    left=$((size - size % 4096 - 4096 + 100))
    ended vdb-get --format tsv x.vdb 2>err | { read -r first; truncate -s $left x.vdb; cat >out; }
    [ "$(cat status)" -eq 74 ]
    grep -Eq "^vdb-get: .*x\.vdb: .*the file was cut off while in use, " err
}

@test "vdb-add and vdb-rm: cut off before an old row is looked for: exit 74, no passing files left" {
    for tool in "vdb-add --format tsv x.vdb pipe" "vdb-rm --ids-from pipe x.vdb"; do
        cp many.vdb x.vdb
        rm -f pipe
        mkfifo pipe
        $tool >/dev/null 2>err &
        pid=$!
        exec 9>pipe
        until_true grep -q x.vdb /proc/$pid/maps
        sleep 0.2
        truncate -s 66000 x.vdb
        if [[ $tool == vdb-rm* ]]; then seq -f n%.0f 1000 6000; else tail -n +1000 many.tsv; fi >&9 2>/dev/null || true
        exec 9>&-
        status=0
        wait $pid || status=$?
        [ $status -eq 74 ] || [ $status -eq 65 ]
        [ "$(wc -l <err)" -eq 1 ] || { cat err; return 1; }
        grep -q "^${tool%% *}: .*x\.vdb" err
        [ "$(ls -A)" = $'err\nmany.tsv\nmany.vdb\npipe\nx.vdb' ]
    done
}

@test "vdb-check and vdb-compact: cut off in the midst: an error, and never a sound index" {
    for i in 1 2 3 4; do
        for tool in "check --deep -j2" "compact -q -j2 --index flat -o fresh.vdb" "compact -q -j1 --index flat"; do
            cp many.vdb x.vdb
            timeout 20 vdb-$tool x.vdb >out 2>err &
            pid=$!
            sleep 0.0$((i * 3))
            truncate -s 70000 x.vdb
            status=0
            wait $pid || status=$?
            case $status in
            0) ;;
            1) [[ $tool == check* ]] ;;
            65) grep -q "x.vdb" err ;;
            74) grep -Eq "x\.vdb" err ;;
            *) echo "vdb-$tool: $status: $(cat err)"; return 1 ;;
            esac
            [ ! -e fresh.vdb ] || vdb-check -q fresh.vdb
            rm -f fresh.vdb .x.vdb.compact
            [ -z "$(ls -A | grep tmp-)" ]
        done
    done
}

@test "a SIGBUS that somebody sends has its usual effect" {
    mkfifo pipe
    vdb-search x.vdb - <pipe 2>err 3>&- &
    pid=$!
    exec 9>pipe
    until_true grep -q x.vdb /proc/$pid/maps
    kill -BUS $pid
    status=0
    wait $pid || status=$?
    exec 9>&-
    [ $status -eq $((128 + $(kill -l BUS))) ]
    [ ! -s err ]
}
