#!/usr/bin/env bats
# signals.bats: SIGINT, SIGTERM and closed pipes: a tool ends within a second, what it was about to
# change is as it was, or it says that it is not.
# SPDX-License-Identifier: BSD-2-Clause

load ../tools/common.bash
load ../tools/lock.bash

setup() {
    common_setup
    shim=$VDB_BUILD/tests/aid/shim.so
    case ${VDB_MODE:-release} in
    asan) shim="$(${CC:-gcc} -print-file-name=libasan.so) $shim" ;;
    tsan) shim="$(${CC:-gcc} -print-file-name=libtsan.so) $shim" ;;
    esac
}

# storm RUNS WORKLOAD; SEED=... for others than the usual ones.
storm() {
    local runs=$1
    ! slow || runs=$((runs / 6 + 1))
    run timeout 100 python3 "$HERE/signals.py" "$runs" "${SEED:-1}" "$2"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "vdb-add --create, signalled at random" { storm 12 create; }
@test "vdb-add, signalled at random" { storm 10 add; }
@test "vdb-rm, signalled at random" { storm 40 rm; }
@test "vdb-snap restore, signalled at random" { storm 30 restore; }
@test "vdb-snap recv, signalled at random" { storm 8 receive; }
@test "vdb-snap recv that makes the index, signalled at random" { storm 15 received; }
@test "vdb-compact in place, signalled at random" { storm 12 compact; }
@test "vdb-compact --output, signalled at random" { storm 8 output; }
@test "vdb-compact --output -, signalled at random" { storm 8 stdout; }

# ends_by SIGNAL: the process $pid is sent it, and ends of it within a second.
ends_by() {
    local begun=$(date +%s%N)
    kill -"$1" $pid
    status=0
    wait $pid || status=$?
    [ $((($(date +%s%N) - begun) / 1000000)) -lt 1000 ]
    [ $status -eq $((128 + $(kill -l "$1"))) ]
}

@test "who waits for a lock that another holds ends by a signal at once" {
    make_abc
    before=$(content abc.vdb)
    hold_write_lock abc.vdb
    for signal in INT TERM; do
        for tool in "add abc.vdb abc.jsonl" "add --batch 1 abc.vdb abc.jsonl" "rm abc.vdb a"; do
            interruptible vdb-$tool --wait 30 2>err 3>&- &
            pid=$!
            sleep 0.2
            kill -0 $pid
            ends_by $signal
            [ ! -s err ]
        done
        interruptible vdb-compact --wait 30 abc.vdb 2>err 3>&- & # waits with its new file at hand
        pid=$!
        until_true test -s .abc.vdb.compact
        sleep 0.1
        ends_by $signal
        [ ! -s err ]
    done
    let_go
    hold_maintain_lock abc.vdb
    interruptible vdb-compact --wait 30 abc.vdb 2>err 3>&- &
    pid=$!
    sleep 0.2
    kill -0 $pid
    ends_by TERM
    let_go
    same "$(content abc.vdb)" "$before"
    [ "$(ls -A)" = $'abc.jsonl\nabc.vdb\nerr' ]
}

# slowly MILLISECONDS COMMAND...: every fdatasync, or $call, takes so long; the file met tells of the first.
slowly() {
    local delay=$1
    shift
    interruptible env LD_PRELOAD="$shim" VDB_SHIM_CALL="${call:-fdatasync}" VDB_SHIM_NTH=1 VDB_SHIM_ALWAYS=1 \
        VDB_SHIM_DO=delay=$delay VDB_SHIM_FOLDER="$PWD" VDB_SHIM_MET="$PWD/met" "$@" 3>&-
}

@test "a signal that comes when the commit is written already: it says that the rows are in" {
    make_abc
    rm -f met
    slowly 400 vdb-add abc.vdb abc.jsonl 2>err &
    pid=$!
    until_true test -e met
    ends_by INT
    [ "$(cat err)" = "vdb-add: ended by a signal; the rows are in, to commit 3, only the index part over them may not be built" ]
    rm -f met
    slowly 400 vdb-rm abc.vdb a b >out 2>err &
    pid=$!
    until_true test -e met
    ends_by TERM
    [ "$(cat err)" = "vdb-rm: ended by a signal; the changes are in, to commit 4" ]
    [ ! -s out ]
    same "$(vdb-get --format tsv abc.vdb)" $'c\t5\t6'
    [ "$(vdb-stat abc.vdb | grep '^commit	')" = $'commit\t4' ]
}

@test "a signal that comes when an output has its name already: it says that it is complete" {
    make_abc
    vdb-get abc.vdb >whole
    for output in new old; do
        rm -f met
        [ $output = new ] || echo old >old
        call=fsync slowly 400 vdb-get --output "$PWD/$output" abc.vdb 2>err &
        pid=$!
        until_true test -e met
        until_true cmp -s $output whole
        ends_by INT
        [ "$(cat err)" = "vdb-get: ended by a signal; the output is complete" ]
        same "$(cat $output)" "$(cat whole)"
        [ -z "$(ls $output?* 2>/dev/null)" ]
    done
}

@test "a second signal does not wait for the disk" {
    make_abc
    for tool in "add abc.vdb abc.jsonl" "rm abc.vdb a"; do
        rm -f met
        slowly 5000 vdb-$tool 2>err &
        pid=$!
        until_true test -e met
        kill -INT $pid
        sleep 0.1
        kill -0 $pid
        ends_by TERM
        [[ $(cat err) == "vdb-${tool%% *}: ended by a second signal; "* ]]
    done
    ends 0 vdb-check --deep abc.vdb
}

@test "one that comes twice at once, as timeout(1) sends it to a process and to its group, is one" {
    # A busy machine may hold back the second of two for so long that it counts: it does not do so
    # each time.
    for attempt in 1 2 3 4 5; do
        rm -f met abc.vdb
        make_abc
        slowly 400 vdb-add abc.vdb abc.jsonl 2>err &
        pid=$!
        until_true test -e met
        kill -TERM $pid
        sleep 0.02 # or the kernel makes one of them
        ends_by TERM
        [ "$(cat err)" != "vdb-add: ended by a signal; the rows are in, to commit 3, only the index part over them may not be built" ] || return 0
    done
    cat err
    return 1
}

@test "a signal in the midst of a step that takes long: it is not waited for, and nothing lies about" {
    make_abc
    before=$(vdb-get --include-deleted abc.vdb)
    while IFS=: read -r call tool; do
        rm -f met
        slowly 5000 vdb-$tool >out 2>err &
        pid=$!
        until_true test -e met
        ends_by INT
        [ "$(ls -A)" = $'abc.jsonl\nabc.vdb\nerr\nmet\nout' ]
        ends 0 vdb-check --deep abc.vdb
    done <<TOOLS
fsync:compact abc.vdb
fsync:compact -o $PWD/new.vdb abc.vdb
fdatasync:snap abc.vdb create now
fdatasync:rm abc.vdb a
TOOLS
    same "$(vdb-get --include-deleted abc.vdb)" "$before"
}

@test "nohup holds: an ignored signal stays ignored" {
    make_abc
    rm -f met
    slowly 300 sh -c 'trap "" INT TERM; exec vdb-add -q abc.vdb abc.jsonl' 2>err &
    pid=$!
    until_true test -e met
    kill -INT $pid
    kill -TERM $pid
    wait $pid
    [ ! -s err ]
}

# ---- standard output that is closed ------------------------------------------------------------

@test "a closed pipe ends every tool and format quietly, and a full or closed output is exit 74" {
    seq 3000 | awk '{print "n" $1 "\t" $1 "\t" $1 % 100 "\t1"}' >many.tsv
    vdb-add -q --create --index flat many.vdb many.tsv
    layout=$HERE/../tools/layout.py
    cp many.vdb bad.vdb
    python3 "$layout" flip bad.vdb "$(python3 "$layout" list bad.vdb | awk '$1 == "vector" {print $2 + 100}')"
    vdb-get --format jsonl many.vdb >many.jsonl
    seq -f n%.0f 2 3000 >ids
    fresh() {
        cp many.vdb x.vdb
        vdb-rm -q x.vdb n1 >/dev/null
    }
    while read -r tool; do
        fresh
        { ended=0; $tool 2>err || ended=$?; echo $ended >status; } | head -c 1 >/dev/null
        [ ! -s err ] || { echo "$tool: $(cat err)"; return 1; }
        case $(cat status) in 0 | 1 | 74 | 141) ;; *) echo "$tool: $(cat status)"; return 1 ;; esac
        fresh
        ends 74 sh -c "$tool >/dev/full"
        [[ ${stderr_lines[-1]} == "vdb-"*": "*": No space left on device"?("; the "*) ]] || { echo "$tool: $stderr"; return 1; }
        fresh
        ends 74 sh -c "$tool >&-"
        [[ ${stderr_lines[-1]} == "vdb-"*": standard output: "* ]] || { echo "$tool: $stderr"; return 1; }
    done <<'TOOLS'
vdb-add --json x.vdb many.tsv
vdb-rm --ids-from ids x.vdb
vdb-rm --list x.vdb
vdb-get x.vdb
vdb-get --format tsv x.vdb
vdb-get --format npy x.vdb
vdb-get --format fvecs x.vdb
vdb-search -j1 x.vdb many.jsonl
vdb-search -j2 --json x.vdb many.jsonl
vdb-search --exact --format ivecs x.vdb many.jsonl
vdb-stat x.vdb
vdb-stat --json x.vdb
vdb-stat --prometheus x.vdb
vdb-check -q bad.vdb
vdb-log x.vdb
vdb-log --json x.vdb
vdb-compact --index flat --output - x.vdb
vdb-bench --queries 10 --ef 10 x.vdb many.jsonl
TOOLS
}
