#!/usr/bin/env bats
# log.bats: vdb-log prints every change since the index was made, and those to come.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup() {
    common_setup
    SOURCE=${VDB_SOURCE_DIR:-$HERE/../..}
    FOLLOWERS=()
    case ${VDB_MODE:-release} in
    asan | ubsan | tsan | coverage) small=1 ;;
    *) small=0 ;;
    esac
}

teardown() {
    for pid in "${FOLLOWERS[@]}"; do
        kill -9 "$pid" || true
        wait "$pid" || true
    done 2>/dev/null
}

add() { # add ID...: one commit of one row each
    printf '%s\t1\t2\n' "$@" | vdb-add -q --format tsv --batch 1 a.vdb
}

make_five() { # commits 2 to 6: a b c d e
    vdb-add -q --create --dim 2 a.vdb </dev/null
    add a b c d e
}

# follow FILE OPTION...: vdb-log --follow in the background, its output in FILE, its pid in $FOLLOWER.
follow() {
    local to=$1
    shift
    interruptible vdb-log --follow "$@" a.vdb >"$to" 2>"$to.err" 3>&- &
    FOLLOWER=$!
    FOLLOWERS+=($!)
}

# followed_to_end STATUS: the last follower has ended so.
followed_to_end() {
    local status=0
    until_true has_ended $FOLLOWER
    wait $FOLLOWER || status=$?
    [ $status -eq $1 ] || { echo "ended with $status, not $1"; return 1; }
}

lines_are() { [ "$(wc -l <"$1")" -eq "$2" ]; }
has_ended() { ! kill -0 "$1" 2>/dev/null; }

@test "a line a change: COMMIT, TIME, OPERATION, ID; and the same as JSON" {
    make_five
    printf 'b\t5\t5\nf\t6\t6\n' | vdb-add -q --format tsv a.vdb
    vdb-rm -q a.vdb c a >/dev/null
    vdb-rm -q --restore a.vdb c >/dev/null
    ends 0 vdb-log a.vdb
    [ -z "$stderr" ]
    ! grep -vE $'^[0-9]+\t20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\\.[0-9]{6}Z\t(add|update|delete|restore)\t[a-f]$' <<<"$output"
    same "$(cut -f 1,3,4 <<<"$output" | tr '\t' ' ' | paste -sd,)" \
        "2 add a,3 add b,4 add c,5 add d,6 add e,7 update b,7 add f,8 delete c,8 delete a,9 restore c"
    [ "$(tail -1 <<<"$output" | cut -f 2)" = "$(vdb-stat a.vdb | sed -n 's/^commit_time\t//p')" ]
    vdb-log --json a.vdb | python3 -c '
import json, sys
for line in sys.stdin:
    r = json.loads(line)
    assert list(r) == ["commit", "time", "operation", "id"], r
    print(r["commit"], r["time"], r["operation"], r["id"], sep="\t")' >json
    same "$(cat json)" "$output"
}

@test "nothing has changed yet: nothing is printed" {
    vdb-add -q --create --dim 2 a.vdb </dev/null
    ends 0 vdb-log a.vdb
    [ -z "$output$stderr" ]
    vdb-compact -q a.vdb
    ends 0 vdb-log a.vdb
    [ -z "$output$stderr" ]
}

@test "thousands of commits through bulk loads, maintenance and compactions: all of them, and nothing else" {
    ((small)) && rounds=4 commits=60 || rounds=9 commits=400
    python3 "$HERE/log_life.py" a.vdb $rounds $commits record
    same "$(vdb-log a.vdb | cut -f 1,3,4)" "$(cat record)"
    vdb-log --json a.vdb | python3 -c '
import json, sys
for line in sys.stdin:
    r = json.loads(line)
    print(r["commit"], r["operation"], r["id"], sep="\t")' | cmp - record
    vdb-check --deep a.vdb
    # -n and --since, each and together, against the record.
    last=$(tail -1 record | cut -f 1)
    for n in 0 1 2 10 1000 100000 18446744073709551615; do
        cmp <(vdb-log -n $n a.vdb | cut -f 1,3,4) <(tail -n $n record)
    done
    for since in 0 1 2 $((last / 3)) $((last / 2)) $((last - 1)) $last $((last + 1)) 18446744073709551615; do
        awk -v since=$since '$1 > since' record >wanted
        cmp <(vdb-log --since $since a.vdb | cut -f 1,3,4) wanted
        cmp <(vdb-log --since $since -n 7 a.vdb | cut -f 1,3,4) <(tail -n 7 wanted)
    done
    # What was written from the specification alone takes the file, its history included.
    ((small)) || python3 "$SOURCE/tests/spec/invariants.py" a.vdb
}

@test "--since a time: what was committed then or later" {
    make_five
    vdb-compact -q a.vdb
    add f g
    vdb-log a.vdb >all
    # The time of commit 4 in other words, and what comes just before and just after it.
    python3 - "$(sed -n 3p all | cut -f 2)" >cases <<'END'
import sys
from datetime import datetime, timedelta, timezone
t = datetime.strptime(sys.argv[1], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
form = "%Y-%m-%dT%H:%M:%S.%f"
tick = timedelta(microseconds=1)
for offset in 0, 90, -570, 1439, -1439:
    zone = timezone(timedelta(minutes=offset))
    print(3, t.astimezone(zone).isoformat(timespec="microseconds"))
print(3, t.strftime(form) + "Z")
print(3, t.strftime(form).replace("T", "t") + "z")
print(3, t.strftime(form).replace("T", " ") + "000Z")
print(3, (t - tick).strftime(form) + "0000001Z")
print(3, (t - tick).strftime(form) + "Z")
print(4, (t + tick).strftime(form) + "Z")
print(4, t.strftime(form) + "1Z")
print(4, t.strftime(form) + "000000000000000000001Z")
print(1, "1970-01-01T00:00:00Z")
print(1, "0000-01-01T00:00:00Z")
print(8, "9999-12-31T23:59:60Z")
END
    while read -r from when; do
        cmp <(vdb-log --since "$when" a.vdb) <(tail -n +$from all) || { echo "$when: not from $from on"; return 1; }
    done <cases
    [ "$(wc -l <cases)" -eq 16 ]
}

@test "--since what is no number, no time and no snapshot: exit 1; nothing at all: wrong usage" {
    make_five
    for when in yesterday -1 1.5 2026-11-21 2026-11-21T20:15:00 2026-11-21T20:15Z 2026-02-30T00:00:00Z \
        2026-11-21T24:00:00Z 2026-11-21T20:15:00+0100 2026-11-21T20:15:60Z 18446744073709551616 before-migration; do
        refused 1 "a.vdb: no snapshot is called '$when', and it is no commit's number and no time *" \
            vdb-log --since="$when" a.vdb
    done
    refused 2 "--since: '' is no *" vdb-log --since= a.vdb
    refused 2 "--lines: '-1' is not a number*" vdb-log -n -1 a.vdb
    refused 2 "one INDEX and no more*" vdb-log a.vdb b.vdb
}

@test "--since a snapshot: what came after its commit, wherever compaction has put that" {
    make_five
    vdb-snap a.vdb create "before all that" >/dev/null
    add f g
    ends 0 vdb-log --since "before all that" a.vdb
    same "$(cut -f 4 <<<"$output" | paste -sd' ')" "f g"
    vdb-compact -q a.vdb
    same "$(vdb-log --since "before all that" a.vdb)" "$output"
    same "$(vdb-log --since "before all that" -n 1 a.vdb | cut -f 4)" g
}

@test "--at: changes up to then, with all other options" {
    make_five
    vdb-snap a.vdb create four >/dev/null
    add f g
    vdb-log a.vdb >all
    cmp <(vdb-log --at four a.vdb) <(head -5 all)
    cmp <(vdb-log --at 3 a.vdb) <(head -2 all)
    cmp <(vdb-log --at "$(sed -n 4p all | cut -f 2)" a.vdb) <(head -4 all)
    cmp <(vdb-log --at four -n 2 a.vdb) <(sed -n 4,5p all)
    cmp <(vdb-log --at four --since 3 --json a.vdb) <(vdb-log --json a.vdb | sed -n 3,5p)
    [ -z "$(vdb-log --at 1 a.vdb)" ]
    [ -z "$(vdb-log --at 3 --since four a.vdb)" ]
    refused 1 "a.vdb: commit 9 is still to come*" vdb-log --at 9 a.vdb
    refused 2 "--at or --follow, not both*" vdb-log --at 3 --follow a.vdb
}

@test "history that was dropped is told on stderr, when it was asked for" {
    make_five
    vdb-compact -q --keep-history none a.vdb
    add f g # 7, 8
    lost="vdb-log: a.vdb: changes of commits before 7 are not recorded"
    ends 0 vdb-log a.vdb
    same "$(cut -f 1,4 <<<"$output" | paste -sd' ')" $'7\tf 8\tg'
    same "$stderr" "$lost"
    for option in '--since 5' '-n 3' '--since 2001-01-01T00:00:00Z'; do
        ends 0 vdb-log $option a.vdb
        same "$stderr" "$lost" || { echo "$option"; return 1; }
    done
    for option in '--since 6' '--since 100' '-n 2' -q "--since $(vdb-log -qn 2 a.vdb | head -1 | cut -f 2)"; do
        ends 0 vdb-log $option a.vdb
        [ -z "$stderr" ] || { echo "$option: $stderr"; return 1; }
    done
    vdb-compact -q a.vdb # keeps what there is
    same "$(vdb-log -q a.vdb)" "$(vdb-log -q --since 6 a.vdb)"
    [ "$(vdb-log -q a.vdb | wc -l)" -eq 2 ]
    vdb-compact -q --keep-history all a.vdb
    [ "$(vdb-log -q a.vdb | wc -l)" -eq 2 ]
    vdb-compact -q --keep-history none a.vdb
    ends 0 vdb-log a.vdb
    [ -z "$output" ]
    same "$stderr" "vdb-log: a.vdb: changes of commits before 9 are not recorded"
}

@test "--keep-history AGE keeps whole commits of that age" {
    make_five
    printf 'f\t1\t2\ng\t1\t2\n' | vdb-add -q --format tsv a.vdb
    vdb-log a.vdb >all
    seconds=$(date -d "$(tail -1 all | cut -f 2)" +%s)
    vdb-compact -q --keep-history 2d --now $((seconds + 172790)) a.vdb
    cmp <(vdb-log -q a.vdb) all
    vdb-compact -q --keep-history 24h --now $((seconds + 86401)) a.vdb
    [ -z "$(vdb-log -q a.vdb)" ]
}

@test "a copy has no history, and the same bytes for it" {
    make_five
    vdb-compact -q --output one.vdb a.vdb
    vdb-compact -q a.vdb
    vdb-compact -q --output two.vdb --keep-history all a.vdb
    cmp one.vdb two.vdb
    ends 0 vdb-log one.vdb
    [ -z "$output$stderr" ]
}

@test "--follow: what there is, and then each commit of others, in their order" {
    make_five
    follow seen
    follow news -n 0
    news=$FOLLOWER
    follow since --since 8 -n 1
    until_true lines_are seen 5
    # The second follower has begun when a commit shows; which one is the first it sees is no matter.
    for i in $(seq 40); do add "w$i"; [ -s news ] && break; sleep 0.1; done
    add x y
    vdb-rm -q a.vdb x >/dev/null
    printf 'y\t7\t7\nz\t8\t8\n' | vdb-add -q --format tsv a.vdb
    for i in $(seq 40); do cmp -s seen <(vdb-log a.vdb) && break; sleep 0.1; done
    cmp seen <(vdb-log a.vdb)
    until_true grep -q $'\tz$' news
    cmp news <(vdb-log --since $(($(head -1 news | cut -f 1) - 1)) a.vdb)
    until_true grep -q $'\tz$' since
    ! awk '$1 <= 8' since | grep .
    kill -TERM $news
    FOLLOWER=$news followed_to_end 143
    [ ! -s seen.err ] && [ ! -s news.err ]
}

@test "--follow goes across bulk loads, maintenance and compactions, and prints each change once" {
    ((small)) && turns=4 size=300 || turns=10 size=3000
    make_five
    follow seen
    follow json --json
    for turn in $(seq $turns); do
        seq $size | awk -v t=$turn '{print t "-" $1 "\t1\t" t}' | vdb-add -q --format tsv a.vdb
        vdb-compact -q a.vdb 3>&- &
        compaction=$!
        add $turn-a $turn-b $turn-a 1-1
        vdb-rm -q a.vdb $turn-2 >/dev/null
        add $turn-c
        wait $compaction
        add $turn-d
    done
    total=$((5 + turns * (size + 7)))
    until_true lines_are seen $total
    until_true lines_are json $total
    cmp <(cut -f 1 seen | uniq) <(seq 2 $((6 + turns * 8)))
    cmp seen <(vdb-log a.vdb)
    cmp json <(vdb-log --json a.vdb)
    [ "$(cut -f 3,4 seen | sort | uniq -d | grep -cvE $'^update\t[0-9]+-(a|1)$')" -eq 0 ]
    [ ! -s seen.err ]
}

# How soon is measured by `make bench`; here it only must not take ten seconds.
@test "--follow prints a commit at once: figures of tests/bench/follow.py" {
    make_five
    ((small)) && commits=10 || commits=60
    run python3 "$SOURCE/tests/bench/follow.py" a.vdb $commits
    [ "$status" -eq 0 ] || { echo "$output"; return 1; }
    echo "# commits printed after: p50 p99 max = $output ms" >&3
    awk '{exit !($3 < 10000)}' <<<"$output"
}

@test "--follow ends at a signal with its status" {
    make_five
    for signal in INT:130 TERM:143; do
        follow seen
        until_true lines_are seen 5
        kill -${signal%:*} $FOLLOWER
        followed_to_end ${signal#*:}
        [ ! -s seen.err ]
    done
}

@test "--follow ends quietly when nobody reads any more, though nothing is printed" {
    make_five
    mkfifo pipe
    follow pipe -n 0
    exec 9<pipe
    sleep 0.2
    ! has_ended $FOLLOWER
    exec 9<&-
    until_true has_ended $FOLLOWER
    [ ! -s pipe.err ]
    ends 0 bash -c 'vdb-log --follow a.vdb | head -2'
    [ "$(wc -l <<<"$output")" -eq 2 ]
    [ -z "$stderr" ]
}

@test "--follow costs next to nothing while nothing happens" {
    make_five
    follow seen
    until_true lines_are seen 5
    before=$(awk '{print $14 + $15}' /proc/$FOLLOWER/stat)
    sleep 2
    after=$(awk '{print $14 + $15}' /proc/$FOLLOWER/stat)
    # Some 50 looks at the file a second; a loop that never waited would take 200 of these ticks.
    ((after - before < 20)) || { echo "$((after - before)) ticks"; return 1; }
}

@test "--follow ends with an error when the index is removed or replaced" {
    make_five
    cp a.vdb before.vdb
    add f
    follow seen
    until_true lines_are seen 6
    rm a.vdb
    followed_to_end 66
    same "$(cat seen.err)" "vdb-log: a.vdb: was removed"
    # An older copy put back in its place, and another index.
    seq 10 | awk '{print $1 "\t1\t2"}' | vdb-add -q --create --batch 1 --format tsv other.vdb
    for other in before.vdb other.vdb; do
        cp before.vdb a.vdb
        add f
        follow seen
        until_true lines_are seen 6
        cp $other new
        mv new a.vdb
        followed_to_end 65
        same "$(cat seen.err)" "vdb-log: a.vdb: another index has taken its place"
    done
}

@test "--follow says so when a compaction drops what it had not printed yet" {
    make_five
    follow seen
    until_true lines_are seen 5
    kill -STOP $FOLLOWER
    add f g
    vdb-compact -q --keep-history none a.vdb
    add h
    kill -CONT $FOLLOWER
    until_true lines_are seen 6
    [ "$(tail -1 seen | cut -f 1,4)" = $'9\th' ]
    same "$(cat seen.err)" "vdb-log: a.vdb: changes of commits before 9 are not recorded"
}

@test "a file that takes no writes, and nothing beside it" {
    make_five
    chmod 444 a.vdb
    mkdir only && mv a.vdb only/ && chmod 555 only
    sum=$(sha256sum <only/a.vdb)
    [ "$(vdb-log only/a.vdb | wc -l)" -eq 5 ]
    [ "$(ls -A only)" = a.vdb ]
    [ "$(sha256sum <only/a.vdb)" = "$sum" ]
    chmod 755 only
}

@test "damage is told with its place, after what could be read before it" {
    make_five
    vdb-compact -q a.vdb
    add f g h
    seq 3000 | awk '{print $1 "\t1\t2"}' | vdb-add -q --format tsv a.vdb # maintenance: 7 to 9 are the past
    [ "$(vdb-stat a.vdb | grep -c '^part	')" -ge 1 ]
    cp a.vdb sound.vdb
    # The second record of the log, at its magic.
    at=$(grep -obUa VREC a.vdb | sed -n 2p | cut -d: -f 1)
    printf X | dd of=a.vdb bs=1 seek=$at conv=notrunc status=none
    ends 65 vdb-log a.vdb
    same "$(cut -f 4 <<<"$output" | paste -sd' ')" "a b c d e f"
    same "$stderr" "vdb-log: a.vdb: the record after commit 7 is damaged (log, offset $at)"
    refused 66 "*No such file*" vdb-log missing.vdb
    head -c 3000 /dev/urandom >noise.vdb
    refused 65 "*not a vdb index*" vdb-log noise.vdb
}

@test "a standard output that takes nothing" {
    make_five
    refused 74 "standard output: *" sh -c "vdb-log a.vdb >/dev/full"
    refused 74 "standard output: *" sh -c "vdb-log --follow a.vdb >/dev/full"
    refused 74 "standard output: *" sh -c "vdb-log a.vdb >&-"
}
