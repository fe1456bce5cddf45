#!/usr/bin/env bats
# snap.bats: vdb-snap names states of an index, goes back to them, and sends them elsewhere.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup() {
    common_setup
    case ${VDB_MODE:-release} in
    asan | ubsan | tsan | coverage) small=1 ;;
    *) small=0 ;;
    esac
    FOLLOWERS=()
}

teardown() {
    for pid in "${FOLLOWERS[@]}"; do
        kill -9 "$pid" || true
        wait "$pid" || true
    done 2>/dev/null
}

tsv() { vdb-add -q --format tsv "$@"; }
rows() { vdb-get --format tsv "$@" | sort; }
value() { vdb-stat "$2" | awk -F '\t' -v name="$1" '$1 == name {print $2}'; }
names() { vdb-snap "$1" | cut -f 1 | paste -sd' '; }

# Commits: 2 adds a b c, 3 replaces b and adds d, 4 deletes a and c. Snapshots: two, three.
make_life() {
    printf 'a\t1\t0\nb\t2\t0\nc\t3\t0\n' | tsv --create a.vdb -
    vdb-snap a.vdb create two >/dev/null
    printf 'b\t9\t9\nd\t4\t0\n' | tsv a.vdb -
    vdb-snap a.vdb create three >/dev/null
    vdb-rm a.vdb a c >/dev/null
}

# All that an index says, its snapshots included.
all_of() {
    vdb-get --include-deleted "$1"
    vdb-rm --list "$1"
    vdb-snap "$1"
    vdb-log "$1"
    value commit "$1"
}

# ---- list, create, rm ----

@test "create prints the name; the list tells when, which commit, and rows as vdb-stat counts them" {
    printf 'a\t1\t0\nb\t2\t0\nc\t3\t0\n' | tsv --create a.vdb -
    ends 0 vdb-snap a.vdb
    [ -z "$output$stderr" ]
    ends 0 vdb-snap a.vdb create two
    [ "$output" = two ]
    [ -z "$stderr" ]
    printf 'b\t9\t9\nd\t4\t0\n' | tsv a.vdb -
    vdb-rm a.vdb a >/dev/null
    begun=$(date -u +%Y-%m-%dT%H:%M:%S)
    ends 0 vdb-snap a.vdb create a-later-one
    ended=$(date -u +%Y-%m-%dT%H:%M:%S)
    ends 0 vdb-snap a.vdb
    [ -z "$stderr" ]
    same "$(cut -f 1,3- <<<"$output")" $'two\t2\t3\t0\na-later-one\t4\t5\t2'
    time=$(sed -n 2p <<<"$output" | cut -f 2)
    [[ $time =~ ^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z$ ]]
    [[ ! ${time%.*} < $begun && ! ${time%.*} > $ended ]]
    same "$(vdb-snap a.vdb list)" "$output"
    for name in two a-later-one; do
        same "$(vdb-snap a.vdb | awk -F '\t' -v name=$name '$1 == name {print $3, $4, $5}')" \
            "$(vdb-stat --at $name a.vdb | awk -F '\t' '$1 == "rows" {r = $2} $1 == "deleted" {d = $2}
                $1 == "commit" {print $2, r, d}')"
    done
    same "$(vdb-stat a.vdb | sed -n 's/^snapshot\t//p' | sort)" "$(sort <<<"$output")"
    same "$(value snapshots a.vdb) $(value commit a.vdb)" "2 4" # a name makes no commit
}

@test "list and create as JSON; names that need quotes; the same in vdb-stat" {
    make_life
    vdb-snap --json a.vdb create 'a "name" \ with €' >made
    vdb-snap --json a.vdb >list
    vdb-snap a.vdb >text
    vdb-stat --json a.vdb >stat
    python3 - "$(value file_id a.vdb)" <<'END'
import json, sys
assert json.load(open("made")) == {"name": 'a "name" \\ with €', "commit": 4}
rows = [json.loads(line) for line in open("list")]
assert [list(r) for r in rows] == [["name", "time", "commit", "commit_time", "rows", "live", "deleted", "origin_id",
                                    "origin_commit"]] * 3
assert [(r["commit"], r["rows"], r["live"], r["deleted"]) for r in rows] == [(2, 3, 3, 0), (3, 5, 4, 1), (4, 5, 2, 3)]
assert all(r["origin_id"] == sys.argv[1] and r["origin_commit"] == r["commit"] for r in rows)
assert all(r["commit_time"] <= r["time"] for r in rows)
text = [line.rstrip("\n").split("\t") for line in open("text")]
assert [[r["name"], r["time"], str(r["commit"]), str(r["rows"]), str(r["deleted"])] for r in rows] == text
stat = json.load(open("stat"))
keys = "name", "time", "commit", "rows", "deleted"
by_name = lambda r: r["name"].encode()
assert sorted(stat["snapshots"], key=by_name) == sorted(({k: r[k] for k in keys} for r in rows), key=by_name)
assert stat["oldest_commit"] == 1
END
}

@test "without a name: the time in UTC, a number behind it within one second, and none is a WHEN of another kind" {
    make_life
    begun=$(date -u +%Y-%m-%dT%H-%M-%SZ)
    for i in 1 2 3 4 5; do vdb-snap a.vdb create; done >made
    vdb-snap --prefix 'p/' a.vdb create >>made
    ended=$(date -u +%Y-%m-%dT%H-%M-%SZ)
    [ "$(sort -u made | wc -l)" -eq 6 ]
    [ "$(grep -cE '^(p/)?20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}Z(-[2-5])?$' made)" -eq 6 ]
    [[ ! $(head -1 made) < $begun && ! $(sed -n 1p made) > $ended ]]
    same "$(names a.vdb)" "two three $(paste -sd' ' made)"
    while read -r name; do same "$(vdb-get --at "$name" a.vdb)" "$(vdb-get a.vdb)"; done <made
}

@test "names that none may have, and one that is taken: nothing is made" {
    make_life
    before=$(vdb-snap a.vdb)
    for name in 7 0 18446744073709551615; do
        refused 2 "'$name' reads as a commit's number*" vdb-snap a.vdb create $name
    done
    for name in 2026-11-22T08:15:30Z '2026-11-22 08:15:30.5+01:00'; do
        refused 2 "'$name' reads as a time*" vdb-snap a.vdb create "$name"
    done
    long=$(printf 'x%.0s' $(seq 199))
    for name in '' "$long" $'a\tb' $'a\nb' $'a\x7f' $'\xff'; do
        refused 2 "*a snapshot's name is 1 to 198 bytes of UTF-8*" vdb-snap a.vdb create "$name"
    done
    refused 2 "*1 to 198 bytes*" vdb-snap --prefix "${long:9}" a.vdb create
    refused 65 "a.vdb: there is a snapshot two already" vdb-snap a.vdb create two
    same "$(vdb-snap a.vdb)" "$before"
    for name in "${long:1}" -x 2026-11-22 ' ' '日本語' 1.5; do
        ends 0 vdb-snap a.vdb create -- "$name"
        [ "$output" = "$name" ]
        same "$(vdb-get --at="$name" a.vdb)" "$(vdb-get a.vdb)"
    done
    vdb-check --deep a.vdb
}

@test "--keep N drops the oldest of its prefix past N, and no others" {
    make_life
    vdb-snap a.vdb create autumn >/dev/null
    for i in $(seq 7); do
        tsv a.vdb - <<<$"$i	1	2"
        vdb-snap --keep 3 --prefix auto- a.vdb create auto-$i >>made
    done
    same "$(paste -sd' ' made)" "auto-1 auto-2 auto-3 auto-4 auto-5 auto-6 auto-7"
    same "$(names a.vdb)" "two three autumn auto-5 auto-6 auto-7"
    ends 0 vdb-snap -v --keep 2 --prefix auto- a.vdb create
    [[ $output == auto-20* ]]
    same "$stderr" $'vdb-snap: a.vdb: dropped auto-5\nvdb-snap: a.vdb: dropped auto-6'
    same "$(names a.vdb)" "two three autumn auto-7 $output"
    ends 0 vdb-snap --keep 9 --prefix auto- a.vdb create auto-a
    same "$(names a.vdb | wc -w)" 6
    ends 0 vdb-snap -q --keep 1 --prefix au a.vdb create au
    [ -z "$stderr" ]
    same "$(names a.vdb)" "two three au"
    # The one just made stays, though its name comes first.
    ends 0 vdb-snap --keep 1 --prefix '' a.vdb create A
    same "$(names a.vdb)" A
    refused 2 "--keep takes --prefix*" vdb-snap --keep 3 a.vdb create
    refused 2 "the name 'x' does not begin with 'auto-'*" vdb-snap --keep 3 --prefix auto- a.vdb create x
    refused 2 "--keep: '0' is not a number*" vdb-snap --keep 0 --prefix auto- a.vdb create
}

@test "--keep makes room where there are as many snapshots as can be, and only by what it drops in any case" {
    slow && skip "16,384 names take a minute here"
    make_life
    "$VDB_BUILD/tests/aid/many_names" a.vdb auto- 16382
    refused 65 "a.vdb: there are 16384 snapshots, *" vdb-snap a.vdb create one-more
    refused 65 "a.vdb: there are 16384 snapshots, *" vdb-snap --keep 16382 --prefix other- a.vdb create
    refused 65 "a.vdb: there are 16384 snapshots, *" vdb-snap --keep 16383 --prefix auto- a.vdb create
    refused 65 "a.vdb: there is a snapshot auto-5 already" vdb-snap --keep 9 --prefix auto- a.vdb create auto-5
    same "$(value snapshots a.vdb)" 16384
    ends 0 vdb-snap -v --keep 16382 --prefix auto- a.vdb create auto-new
    same "$stderr" "vdb-snap: a.vdb: dropped auto-0"
    same "$(value snapshots a.vdb)" 16384
    ends 0 vdb-snap -v --keep 16380 --prefix auto- a.vdb create
    same "$(cut -d ' ' -f 4 <<<"$stderr" | paste -sd' ')" "auto-1 auto-2 auto-3"
}

@test "rm drops names and no rows; one that is not there is named, and the others go" {
    make_life
    vdb-snap a.vdb create four >/dev/null
    before=$(vdb-get --include-deleted a.vdb)
    ends 0 vdb-snap a.vdb rm three
    [ -z "$output$stderr" ]
    same "$(names a.vdb)" "two four"
    same "$(rows --at 3 a.vdb)" $'a\t1\t0\nb\t9\t9\nc\t3\t0\nd\t4\t0' # its commit is there still
    ends 1 vdb-snap a.vdb rm two never four
    [ "$stderr" = "vdb-snap: a.vdb: no snapshot is called 'never'; there are: four" ]
    [ -z "$(names a.vdb)" ]
    refused 1 "a.vdb: no snapshot is called '3'; there is none" vdb-snap a.vdb rm 3
    refused 1 "a.vdb: no snapshot is called ''; there is none" vdb-snap a.vdb rm ''
    same "$(vdb-get --include-deleted a.vdb)" "$before"
}

@test "a name that was dropped is not made anew within its second" {
    echo '{"id":"a","vector":[1,2]}' | vdb-add -q --create a.vdb
    for i in 1 2 3 4 5 6; do
        vdb-snap --keep 1 --prefix k- a.vdb create >>made
    done
    same "$(sort -u made | wc -l)" 6
}

@test "digits alone are no name, however many" {
    echo '{"id":"a","vector":[1,2]}' | vdb-add -q --create a.vdb
    for name in 7 18446744073709551615 18446744073709551616 99999999999999999999; do
        refused 2 "'$name' reads as a commit's number*" vdb-snap a.vdb create $name
    done
}

@test "many at once: each is made, and with --keep no more stay than that" {
    make_life
    for i in $(seq 12); do vdb-snap a.vdb create many-$i >/dev/null & done
    for i in $(seq 4); do tsv a.vdb - <<<"$i	1	1" & done
    wait
    same "$(names a.vdb | tr ' ' '\n' | sort | grep -c many-)" 12
    for i in $(seq 12); do vdb-snap --keep 2 --prefix many- a.vdb create many-b$i >/dev/null & done
    wait
    [ "$(names a.vdb | tr ' ' '\n' | grep -c many-)" -le 2 ]
    vdb-check --deep a.vdb
}

# ---- restore, diff ----

@test "restore: the rows as they were, by a commit that can be undone" {
    make_life
    vdb-get a.vdb >four
    ends 0 vdb-snap a.vdb restore two
    [ -z "$output" ]
    [ "$stderr" = "restored 3, deleted 2, commit 5" ]
    same "$(rows a.vdb)" $'a\t1\t0\nb\t2\t0\nc\t3\t0'
    same "$(vdb-rm --list a.vdb)" d
    same "$(vdb-search --exact -k 9 --like b a.vdb | cut -f 3,4)" $'b\t0\na\t1\nc\t1'
    ends 0 vdb-snap a.vdb restore two # nothing to do, and no commit for it
    [ "$stderr" = "restored 0, deleted 0, commit 5" ]
    same "$(value commit a.vdb)" 5
    ends 0 vdb-snap --json a.vdb restore 4
    [ "$output" = '{"restored":2,"deleted":3,"commit":6}' ]
    [ -z "$stderr" ]
    cmp four <(vdb-get a.vdb)
    ends 0 vdb-snap -q a.vdb restore "$(vdb-log a.vdb | awk '$1 == 3 {print $2; exit}')"
    [ -z "$output$stderr" ]
    same "$(rows a.vdb)" "$(rows --at three a.vdb)"
    same "$(names a.vdb)" "two three"
    vdb-compact -q a.vdb
    ends 0 vdb-snap a.vdb restore two
    same "$(rows a.vdb)" $'a\t1\t0\nb\t2\t0\nc\t3\t0'
    vdb-check --deep a.vdb
}

@test "restore of what is not there: exit 1, nothing changed" {
    make_life
    before=$(all_of a.vdb)
    refused 1 "a.vdb: no snapshot is called 'never', *; there are: three, two" vdb-snap a.vdb restore never
    refused 1 "a.vdb: commit 5 is still to come*" vdb-snap a.vdb restore 5
    refused 1 "a.vdb: the index was made later*" vdb-snap a.vdb restore 1970-01-01T00:00:00Z
    same "$(all_of a.vdb)" "$before"
}

@test "diff: ids added, updated and deleted, either way round" {
    make_life
    printf 'e\t1\t1\n' | tsv a.vdb -
    ends 0 vdb-snap a.vdb diff two three
    [ -z "$stderr" ]
    same "$output" $'update\tb\nadd\td'
    same "$(vdb-snap a.vdb diff three two)" $'update\tb\ndelete\td'
    same "$(vdb-snap a.vdb diff two)" $'update\tb\nadd\td\nadd\te\ndelete\ta\ndelete\tc'
    same "$(vdb-snap a.vdb diff 1 two)" $'add\ta\nadd\tb\nadd\tc'
    same "$(vdb-snap --json a.vdb diff three)" \
        $'{"operation":"add","id":"e"}\n{"operation":"delete","id":"a"}\n{"operation":"delete","id":"c"}'
    [ -z "$(vdb-snap a.vdb diff two two)" ]
    [ -z "$(vdb-snap a.vdb diff 5)" ]
    before=$(vdb-snap a.vdb diff two three)
    vdb-compact -q a.vdb
    same "$(vdb-snap a.vdb diff two three)" "$before"
    refused 1 "*'never'*" vdb-snap a.vdb diff two never
    refused 1 "*'never'*" vdb-snap a.vdb diff never
}

# ---- as other tools ----

@test "an index that takes no writes can be looked at, and no more" {
    make_life
    mkdir place
    cp a.vdb place
    chmod 444 place/a.vdb
    chmod 555 place
    same "$(vdb-snap place/a.vdb)" "$(vdb-snap a.vdb)"
    same "$(vdb-snap place/a.vdb diff two)" "$(vdb-snap a.vdb diff two)"
    vdb-snap place/a.vdb send two | cmp - <(vdb-snap a.vdb send two)
    vdb-snap a.vdb send >stream
    if [ "$(id -u)" -ne 0 ]; then
        for command in 'create x' 'rm two' 'restore two'; do
            refused 73 "*place/a.vdb*" vdb-snap place/a.vdb $command
        done
        refused 73 "*place/a.vdb*" bash -c 'tsv() { vdb-add -q --format tsv "$@"; }; vdb-snap place/a.vdb recv <stream'
    fi
    chmod 755 place
    same "$(ls place)" a.vdb
}

@test "a lock that another process holds: exit 75 after --wait; reading takes none" {
    make_life
    vdb-snap a.vdb send three >stream
    before=$(all_of a.vdb)
    source "$HERE/lock.bash"
    hold_write_lock a.vdb
    for command in 'create x' 'rm two' 'restore two'; do
        refused 75 "*a.vdb*" vdb-snap --wait 0 a.vdb $command
    done
    ends 0 vdb-snap --wait 0 a.vdb
    ends 0 vdb-snap --wait 0 a.vdb diff two
    ends 0 bash -c 'vdb-snap --wait 0 a.vdb send two | cat >/dev/null'
    let_go
    same "$(all_of a.vdb)" "$before"
    ends 0 vdb-snap --wait 0 a.vdb create x
}

@test "ended by a signal while it waits for a lock: nothing changed" {
    make_life
    before=$(all_of a.vdb)
    source "$HERE/lock.bash"
    hold_write_lock a.vdb
    for command in 'create x' 'rm two' 'restore two'; do
        for signal in INT:130 TERM:143; do
            interruptible vdb-snap a.vdb $command >out 2>err 3>&- &
            pid=$!
            until_true grep -q a.vdb /proc/$pid/maps
            sleep 0.1
            kill -${signal%:*} $pid
            status=0
            wait $pid || status=$?
            [ $status -eq ${signal#*:} ]
            [ ! -s out ]
        done
    done
    let_go
    same "$(all_of a.vdb)" "$before"
}

@test "a closed pipe ends it quietly, a full one with exit 74" {
    seq 30000 | awk '{print $1 "\t" $1 "\t" 1}' | tsv --create --index flat a.vdb -
    for command in 'diff 1' 'send'; do
        run bash -c "{ vdb-snap a.vdb $command; echo status \$? >status; } 2>stderr | head -c 1 >/dev/null"
        [ ! -s stderr ]
        [ "$(cat status)" = "status 141" ]
        refused 74 "standard output: No space left on device" bash -c "vdb-snap a.vdb $command >/dev/full"
    done
    vdb-snap a.vdb create x >/dev/null
    refused 74 "standard output: *" bash -c 'vdb-snap a.vdb >/dev/full'
}

@test "wrong usage" {
    make_life
    before=$(all_of a.vdb)
    refused 2 "'undo' is not list, create, restore, rm, diff, send or recv*" vdb-snap a.vdb undo
    refused 2 "create is used as: vdb-snap INDEX create \[NAME\]*" vdb-snap a.vdb create x y
    refused 2 "restore is used as: vdb-snap INDEX restore WHEN*" vdb-snap a.vdb restore
    refused 2 "restore is used as: *" vdb-snap a.vdb restore two three
    refused 2 "rm is used as: vdb-snap INDEX rm NAME...*" vdb-snap a.vdb rm
    refused 2 "diff is used as: vdb-snap INDEX diff A \[B\]*" vdb-snap a.vdb diff
    refused 2 "diff is used as: *" vdb-snap a.vdb diff 1 2 3
    refused 2 "send is used as: *" vdb-snap a.vdb send two three
    refused 2 "recv is used as: *" vdb-snap a.vdb recv stream
    refused 2 "list is used as: *" vdb-snap a.vdb list two
    refused 2 "--keep does not go with list*" vdb-snap --keep 3 --prefix x a.vdb
    refused 2 "--prefix does not go with rm*" vdb-snap --prefix x a.vdb rm two
    refused 2 "--from does not go with diff*" vdb-snap --from two a.vdb diff two
    refused 2 "--force does not go with restore*" vdb-snap --force a.vdb restore two
    refused 2 "--json does not go with send*" vdb-snap --json a.vdb send
    refused 2 "--no-maintain does not go with create*" vdb-snap --no-maintain a.vdb create
    refused 2 "restore: '' is no snapshot, *" vdb-snap a.vdb restore ''
    refused 2 "--from: '' is no snapshot, *" vdb-snap --from '' a.vdb send
    same "$(all_of a.vdb)" "$before"
}

# ---- send, recv ----

# some COUNT SEED: rows of 16 dimensions with ids 0 to COUNT - 1.
some() {
    awk -v n="$1" -v seed="$2" 'BEGIN {srand(seed); for (i = 0; i < n; i++) {
        printf "%d", i; for (j = 0; j < 16; j++) printf "\t%.6f", rand(); print ""}}'
}

@test "a whole stream makes an index with the same rows, metadata, metric, type and snapshots" {
    make_life
    printf '%s\n' '{"id": "m", "vector": [0.5, 0.25], "metadata": {"lang": "en", "n": [1, 2]}}' \
        '{"id": "日本", "vector": [1, 1]}' | vdb-add -q a.vdb
    vdb-snap a.vdb create four >/dev/null
    ends 0 bash -c 'vdb-snap a.vdb send four | vdb-snap b.vdb recv'
    [ -z "$output" ]
    same "$stderr" "added 4, updated 0, deleted 0, commit 2"
    same "$(vdb-get b.vdb | sort)" "$(vdb-get a.vdb | sort)"
    same "$(names b.vdb)" four
    same "$(vdb-get --at four b.vdb | sort)" "$(vdb-get a.vdb | sort)"
    same "$(vdb-snap --json b.vdb | grep -o '"origin.*')" "$(vdb-snap --json a.vdb | tail -1 | grep -o '"origin.*')"
    vdb-check --deep b.vdb
    for metric in cosine ip; do
        for type in f16 i8 u8; do
            printf 'a\t1\t2\nb\t3\t4\n' | tsv --create --metric $metric --type $type $type.vdb -
            vdb-snap $type.vdb send | vdb-snap -q $metric-$type.vdb recv
            same "$(vdb-stat $metric-$type.vdb | grep -E '^(dim|metric|type|index|codes)	')" \
                "$(vdb-stat $type.vdb | grep -E '^(dim|metric|type|index|codes)	')"
            same "$(vdb-get $metric-$type.vdb)" "$(vdb-get $type.vdb)"
            rm $type.vdb
        done
    done
    # An earlier state, the empty one included.
    vdb-snap a.vdb send two | vdb-snap -q two.vdb recv
    same "$(rows two.vdb)" "$(rows --at two a.vdb)"
    same "$(names two.vdb)" two
    vdb-snap a.vdb send 1 | vdb-snap -q none.vdb recv
    [ -z "$(vdb-get none.vdb)" ]
}

@test "what changed since goes the same way, in length by what changed, and only once" {
    some 4000 1 | tsv --create --index flat a.vdb -
    vdb-snap a.vdb create s1 >/dev/null
    vdb-snap a.vdb send s1 >whole
    vdb-snap -q b.vdb recv <whole
    some 40 2 | tsv a.vdb -
    seq 3990 3999 | vdb-rm --ids-from - a.vdb >/dev/null
    printf 'new\t%s\n' "$(seq 16 | paste -s)" | tsv a.vdb -
    vdb-snap a.vdb create s2 >/dev/null
    vdb-snap --from s1 a.vdb send s2 >changes
    [ "$(stat -c %s changes)" -lt $(($(stat -c %s whole) / 50)) ]
    ends 0 vdb-snap b.vdb recv <changes
    same "$stderr" "added 1, updated 40, deleted 10, commit 3"
    same "$(rows b.vdb)" "$(rows a.vdb)"
    same "$(names b.vdb)" "s1 s2"
    same "$(rows --at s1 b.vdb)" "$(rows --at s1 a.vdb)"
    # Again, and the first one again: known.
    before=$(all_of b.vdb)
    for stream in changes whole; do
        ends 0 vdb-snap b.vdb recv <$stream
        same "$stderr" "added 0, updated 0, deleted 0, commit 3, received before"
    done
    ends 0 bash -c 'vdb-snap --json b.vdb recv <changes'
    same "$output" '{"added":0,"updated":0,"deleted":0,"commit":3,"created":false,"known":true}'
    [ -z "$stderr" ]
    same "$(all_of b.vdb)" "$before"
    # After compactions on both sides; a third index is a copy's copy.
    vdb-compact -q a.vdb
    vdb-compact -q b.vdb
    vdb-rm a.vdb new >/dev/null
    ends 0 bash -c 'vdb-snap --from s2 a.vdb send | vdb-snap b.vdb recv'
    same "$stderr" "added 0, updated 0, deleted 1, commit 4"
    same "$(rows b.vdb)" "$(rows a.vdb)"
    vdb-check --deep b.vdb
}

@test "a stream whose base is not there, or is not the newest state, is refused and changes nothing" {
    make_life
    vdb-snap a.vdb send two | vdb-snap -q b.vdb recv
    vdb-snap --from three a.vdb send >late
    vdb-snap --from two a.vdb send three >fits
    before=$(all_of b.vdb)
    refused 65 "b.vdb: *\"three\"*commit 3*not in the index" vdb-snap b.vdb recv <late
    refused 66 "missing.vdb: *" vdb-snap missing.vdb recv <fits
    [ ! -e missing.vdb ]
    same "$(all_of b.vdb)" "$before"
    # Changed since: --force undoes that with the same commit.
    printf 'x\t7\t7\na\t8\t8\n' | tsv b.vdb -
    before=$(all_of b.vdb)
    refused 65 "*b.vdb*" vdb-snap b.vdb recv <fits
    same "$(all_of b.vdb)" "$before"
    commit=$(value commit b.vdb)
    ends 0 vdb-snap --force b.vdb recv <fits
    same "$(rows b.vdb)" "$(rows --at three a.vdb)"
    same "$(value commit b.vdb)" $((commit + 1))
    # A whole stream into an index with rows of its own, likewise.
    printf 'own\t1\t1\n' | tsv --create own.vdb -
    vdb-snap a.vdb send >whole
    before=$(all_of own.vdb)
    refused 65 "*own.vdb*" vdb-snap own.vdb recv <whole
    same "$(all_of own.vdb)" "$before"
    ends 0 vdb-snap --force own.vdb recv <whole
    same "$(rows own.vdb)" "$(rows a.vdb)"
    same "$(vdb-rm --list own.vdb)" own
    # Of another dimension, metric or type.
    for options in '--dim 3' '--dim 2 --metric ip' '--dim 2 --type u8'; do
        vdb-add -q --create $options other.vdb </dev/null
        refused 65 "*" vdb-snap --force other.vdb recv <whole
        [ "$(value commit other.vdb)" = 1 ]
        rm other.vdb
    done
}

@test "a stream that is damaged, cut off, longer or none at all: exit 65, and nothing is changed or made" {
    make_life
    vdb-snap a.vdb send two >whole
    vdb-snap -q b.vdb recv <whole
    vdb-snap --from two a.vdb send three >changes
    before=$(all_of b.vdb)
    size=$(stat -c %s changes)
    ((small)) && step=97 || step=23
    for at in $(seq 0 $step $((size - 1))) $((size - 1)); do
        head -c $at changes >cut
        ends 65 vdb-snap b.vdb recv <cut
        cp changes damaged
        printf "\\x$(printf %x $((0x$(xxd -p -s $at -l 1 changes) ^ 16)))" |
            dd of=damaged bs=1 seek=$at conv=notrunc status=none
        ends 65 vdb-snap b.vdb recv <damaged
    done
    cat changes changes >twice
    refused 65 "*" vdb-snap b.vdb recv <twice
    for none in /dev/null a.vdb "$HERE/snap.bats"; do
        refused 65 "*" vdb-snap b.vdb recv <$none
        refused 65 "*" vdb-snap missing.vdb recv <$none
    done
    head -c 200 whole >cut
    refused 65 "*" vdb-snap missing.vdb recv <cut
    same "$(all_of b.vdb)" "$before"
    [ -z "$(ls -A | grep -E 'missing|\.b\.vdb|tmp')" ]
    refused 74 "standard input: Is a directory" vdb-snap b.vdb recv <.
    ends 0 vdb-snap b.vdb recv <changes
}

@test "recv that is ended by a signal while the stream comes: nothing is changed or made" {
    make_life
    vdb-snap a.vdb send two | vdb-snap -q b.vdb recv
    vdb-snap --from two a.vdb send three >changes
    before=$(all_of b.vdb)
    mkfifo pipe
    for signal in INT:130 TERM:143; do
        for index in b.vdb missing.vdb; do
            exec 9<>pipe
            interruptible vdb-snap $index recv <pipe >out 2>err 9>&- 3>&- &
            pid=$!
            head -c 100 changes >&9
            sleep 0.2
            kill -${signal%:*} $pid
            status=0
            wait $pid || status=$?
            exec 9>&-
            [ $status -eq ${signal#*:} ]
            [ ! -s out ] && [ ! -s err ]
        done
    done
    rm pipe
    same "$(all_of b.vdb)" "$before"
    [ ! -e missing.vdb ]
    [ -z "$(ls -A | grep -E '^\.|tmp|new')" ]
}

@test "a sender that fails on the way leaves the receiver as it was" {
    some 3000 1 | tsv --create --index flat a.vdb -
    vdb-snap a.vdb send | vdb-snap -q b.vdb recv
    some 3000 2 | tsv a.vdb -
    before=$(all_of b.vdb)
    run bash -c 'set -o pipefail; vdb-snap --from 2 a.vdb send | head -c 50000 | vdb-snap b.vdb recv'
    [ "$status" -eq 65 ]
    same "$(all_of b.vdb)" "$before"
}

@test "streams are not for terminals" {
    command -v script >/dev/null || skip "script(1) is not here"
    make_life
    run script -qec "$VDB_BIN/vdb-snap a.vdb send" /dev/null </dev/null
    [ "$status" -eq 2 ]
    [[ $output == *"a stream is not for a terminal"* ]]
    run script -qec "$VDB_BIN/vdb-snap a.vdb recv" /dev/null </dev/null
    [ "$status" -eq 2 ]
    [[ $output == *"a stream is not typed"* ]]
}

@test "the same stream for any number of threads and any kernel set" {
    some 2000 1 | tsv --create --index flat a.vdb -
    vdb-snap -j1 a.vdb send | cmp - <(vdb-snap -j4 a.vdb send)
    vdb-snap -j1 a.vdb send | cmp - <(VDB_ISA=portable vdb-snap a.vdb send)
    refused 2 "VDB_ISA: *'mmx'*" env VDB_ISA=mmx vdb-snap b.vdb recv </dev/null
}

# ---- replication ----

@test "replication by vdb-log --follow, as the README has it, over bulk loads, deletes and compactions" {
    readme=${VDB_SOURCE_DIR:-$HERE/../..}/README.md
    awk '/<!-- replication -->/ {found = 1} found && /^```$/ {exit} inside {print}
         found && /^```bash$/ {inside = 1}' "$readme" >"$BATS_TEST_TMPDIR/replicate"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/replicate")" -ge 5 ]
    make_life
    # In a session of its own, so that its whole pipeline can be ended.
    setsid bash "$BATS_TEST_TMPDIR/replicate" a.vdb b.vdb 2>replicate.err 3>&- &
    replica=$!
    FOLLOWERS+=($!)
    until_true test -e b.vdb
    some 40 1 | cut -f 1-3 | tsv a.vdb -
    vdb-rm a.vdb b 17 >/dev/null
    printf '%s\n' '{"id": "-odd one", "vector": [0.5, 0.25], "metadata": {"a": 1}}' | vdb-add -q a.vdb
    vdb-compact -q a.vdb
    vdb-snap -q a.vdb restore three
    printf '%s\n' '{"id": "last \\ \" one", "vector": [0.5, 0.25], "metadata": {"a": 1}}' | vdb-add -q a.vdb
    alike() { [ "$(vdb-get a.vdb | sort)" = "$(vdb-get b.vdb | sort)" ]; }
    until_true alike
    kill -TERM -- -$replica
    wait $replica || true
    # Changed twice before it was looked at, at the most.
    ! grep -vE '^vdb-(get|rm): .*: no such id: ' replicate.err
    # Begun anew, after changes on both sides.
    printf 'a\t5\t5\ngone\t5\t5\n' | tsv a.vdb -
    printf 'own\t5\t5\na\t6\t6\n' | tsv b.vdb -
    vdb-rm a.vdb gone >/dev/null
    setsid bash "$BATS_TEST_TMPDIR/replicate" a.vdb b.vdb 3>&- &
    FOLLOWERS+=($!)
    until_true alike
    kill -TERM -- -$!
    vdb-check --deep b.vdb
}
