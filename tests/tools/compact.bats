#!/usr/bin/env bats
# compact.bats: vdb-compact purges, merges and gives space back, and loses nothing on the way.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash
load lock.bash

setup() {
    common_setup
    layout=$HERE/layout.py
    brute=$HERE/brute.py
}

value() { vdb-stat "$2" | awk -F '\t' -v name="$1" '$1 == name {print $2}'; }
parts() { vdb-stat "$1" | awk -F '\t' '$1 == "part" {print $3, $4}'; }

# many.vdb: 500 rows, 100 of them deleted, 50 replaced, with metadata.
make_many() {
    python3 "$brute" make 500 8 1 | sed 's/"v\(.*\)", "vec/"v\1", "metadata": {"n": \1}, "vec/' >many.jsonl
    vdb-add -q --create "$@" many.vdb many.jsonl
    sed -n '401,450p' many.jsonl | sed 's/"n"/"again"/' | vdb-add -q many.vdb
    seq 0 99 | sed 's/^/v/' | vdb-rm -q --ids-from - many.vdb >/dev/null
}

@test "deleted and replaced rows are purged, the others keep order, vectors and metadata" {
    make_many
    vdb-get many.vdb >before
    [ "$(value rows many.vdb) $(value live many.vdb)" = "550 400" ]
    ends 0 vdb-compact many.vdb
    [ -z "$output" ]
    vdb-get many.vdb >after
    cmp before after
    [ "$(value rows many.vdb) $(value live many.vdb) $(value deleted many.vdb)" = "400 400 0" ]
    [ "$(value tail_rows many.vdb)" = 0 ]
    [ "$(value parts many.vdb)" = 1 ]
    [ -z "$(vdb-rm --list many.vdb)" ]
    ends 1 vdb-rm --restore many.vdb v0
    vdb-check --deep many.vdb
    [ "$(ls)" = $'after\nbefore\nmany.jsonl\nmany.vdb' ]
}

@test "the summary names rows and bytes before and after; -q keeps it back" {
    make_many
    before=$(stat -c %s many.vdb)
    ends 0 vdb-compact many.vdb
    after=$(stat -c %s many.vdb)
    same "$stderr" "rows 400, purged 150, bytes $before -> $after"
    ends 0 vdb-compact -q many.vdb
    [ -z "$output$stderr" ]
}

@test "space comes back: most rows deleted, most bytes gone" {
    python3 "$brute" make 6000 64 1 >big.jsonl
    vdb-add -q --create --index graph big.vdb big.jsonl
    before=$(stat -c %s big.vdb)
    seq 100 5999 | sed 's/^/v/' | vdb-rm -q --ids-from - big.vdb >/dev/null
    vdb-compact -q big.vdb
    [ "$(stat -c %s big.vdb)" -lt $((before / 2)) ]
    [ "$(vdb-get big.vdb | wc -l)" -eq 100 ]
}

@test "what was found before is found after, at the same distances" {
    for metric in l2 cosine ip; do
        rm -f many.vdb
        make_many --metric $metric
        python3 "$brute" make 20 8 2 q >queries.jsonl
        vdb-search --exact many.vdb queries.jsonl >before
        for kind in flat graph auto; do
            vdb-compact -q --index $kind many.vdb
            vdb-search --exact many.vdb queries.jsonl >after
            cmp before after
        done
    done
}

@test "--index: the kind is built, and kept for later" {
    make_many
    vdb-compact -q --index graph many.vdb
    [ "$(parts many.vdb)" = "graph 400" ]
    [ "$(value index many.vdb)" = graph ]
    vdb-compact -q many.vdb
    [ "$(parts many.vdb)" = "graph 400" ]
    vdb-compact -q --index flat many.vdb
    [ "$(parts many.vdb)" = "flat 400" ]
    vdb-compact -q many.vdb
    [ "$(parts many.vdb)" = "flat 400" ]
    vdb-compact -q --index auto many.vdb
    [ "$(value index many.vdb)" = auto ]
}

@test "several parts and a tail become one part" {
    make_abc
    vdb-compact -q --index graph abc.vdb
    printf 'd\t7\t8\n' | vdb-add -q --format tsv abc.vdb
    vdb-compact -q abc.vdb
    printf 'e\t9\t9\n' | vdb-add -q --format tsv abc.vdb
    vdb-get abc.vdb >before
    vdb-compact -q abc.vdb
    vdb-get abc.vdb >after
    cmp before after
    [ "$(parts abc.vdb)" = "graph 5" ]
}

@test "ids, commits and history of the file go on: the next commit has the next number" {
    make_abc
    id=$(value file_id abc.vdb) created=$(value created abc.vdb) commit=$(value commit abc.vdb)
    vdb-compact -q abc.vdb
    [ "$(value file_id abc.vdb)" = "$id" ]
    [ "$(value created abc.vdb)" = "$created" ]
    [ "$(value commit abc.vdb)" -ge "$commit" ]
    commit=$(value commit abc.vdb)
    printf 'd\t7\t8\n' | vdb-add -q --format tsv abc.vdb
    [ "$(value commit abc.vdb)" -eq $((commit + 1)) ]
    [ "$(vdb-get --format tsv abc.vdb d)" = $'d\t7\t8' ]
}

@test "an index without rows, and one whose rows are all deleted" {
    vdb-add -q --create --dim 3 empty.vdb </dev/null
    ends 0 vdb-compact empty.vdb
    [ "$(value rows empty.vdb)" = 0 ]
    make_abc
    vdb-rm -q abc.vdb a b c
    ends 0 vdb-compact abc.vdb
    [ "$(value rows abc.vdb)" = 0 ]
    printf 'd\t7\t8\n' | vdb-add -q --format tsv abc.vdb
    [ "$(vdb-get --format tsv abc.vdb)" = $'d\t7\t8' ]
}

@test "mode and inode: the file keeps its mode and is another one" {
    make_abc
    chmod 640 abc.vdb
    inode=$(stat -c %i abc.vdb)
    vdb-compact -q abc.vdb
    [ "$(stat -c %a abc.vdb)" = 640 ]
    [ "$(stat -c %i abc.vdb)" != "$inode" ]
}

@test "a reader goes on with the file that it has open" {
    make_many
    vdb-get many.vdb >before
    mkfifo hold
    # Reads its query when we say, long after it has opened the index.
    vdb-search --exact -k 400 many.vdb <hold >found 3>&- &
    exec 9>hold
    until_true sh -c "ls -l /proc/$!/fd /proc/$!/map_files 2>/dev/null | grep -q many.vdb"
    vdb-compact -q many.vdb
    head -1 many.jsonl >&9
    exec 9>&-
    wait $!
    [ "$(wc -l <found)" -eq 400 ]
    [ "$(cut -f 3 found | sort)" = "$(sed 's/{"id": "\([^"]*\)".*/\1/' before | sort)" ]
}

@test "--output writes a dense file and changes no byte of the index" {
    make_many
    before=$(sha256sum <many.vdb)
    ends 0 vdb-compact --output fresh.vdb many.vdb
    [ "$(sha256sum <many.vdb)" = "$before" ]
    same "$stderr" "rows 400, purged 150, bytes $(stat -c %s many.vdb) -> $(stat -c %s fresh.vdb)"
    cmp <(vdb-get many.vdb) <(vdb-get fresh.vdb)
    vdb-check --deep fresh.vdb
    [ "$(value rows fresh.vdb)" = 400 ]
}

@test "--output - is standard output" {
    make_many
    vdb-compact -q --output fresh.vdb many.vdb
    vdb-compact -q --output - many.vdb | cat >piped.vdb
    cmp fresh.vdb piped.vdb
    refused 74 "standard output*" sh -c "vdb-compact -q -o - many.vdb >/dev/full"
}

@test "the same rows and options give the same bytes: any -j, any kernels, any history" {
    python3 "$brute" make $(! slow && echo 3000 || echo 1500) 20 5 >rows.jsonl
    vdb-add -q --create one.vdb rows.jsonl
    # The same rows by another way: in ten commits, with a row that came and went.
    vdb-add -q --create --dim 20 two.vdb </dev/null
    python3 "$brute" make 1 20 99 gone | vdb-add -q two.vdb
    vdb-add -q --batch 300 two.vdb rows.jsonl
    vdb-rm -q two.vdb gone0
    for kind in graph flat auto; do
        vdb-compact -q -j 1 --index $kind --output a.vdb one.vdb
        vdb-compact -q -j 3 --index $kind --output b.vdb one.vdb
        VDB_ISA=portable vdb-compact -q -j 2 --index $kind --output c.vdb one.vdb
        vdb-compact -q --index $kind --output d.vdb two.vdb
        cmp a.vdb b.vdb
        cmp a.vdb c.vdb
        cmp a.vdb d.vdb
    done
}

@test "--output reads an index that takes no writes" {
    make_abc
    mkdir ro
    mv abc.vdb ro/
    chmod 444 ro/abc.vdb
    chmod 555 ro
    ends 0 vdb-compact -q --output fresh.vdb ro/abc.vdb
    chmod 755 ro
    cmp <(vdb-get ro/abc.vdb) <(vdb-get fresh.vdb)
}

@test "in place, an index of mode 0444 is left alone: exit 73" {
    [ "$(id -u)" -ne 0 ] || skip "root may write to it"
    make_abc
    chmod 444 abc.vdb
    before=$(sha256sum <abc.vdb)
    refused 73 "*abc.vdb*" vdb-compact abc.vdb
    [ "$(sha256sum <abc.vdb)" = "$before" ]
}

@test "an output that cannot be created is exit 73, and nothing is left behind" {
    make_abc
    refused 73 "*none/fresh.vdb*" vdb-compact --output none/fresh.vdb abc.vdb
    mkdir folder
    refused 73 "*folder*" vdb-compact --output folder abc.vdb
    [ "$(ls)" = $'abc.jsonl\nabc.vdb\nfolder' ]
}

@test "while another process compacts, it waits for as long as --wait says: exit 75" {
    make_abc
    cp abc.vdb before
    hold_maintain_lock abc.vdb
    refused 75 "*abc.vdb*" vdb-compact --wait 0 abc.vdb
    refused 75 "*abc.vdb*" vdb-compact --wait 0.2 abc.vdb
    cmp before abc.vdb
    # A fresh file needs no lock of the index.
    ends 0 vdb-compact -q --wait 0 --output fresh.vdb abc.vdb
    let_go
    ends 0 vdb-compact --wait 0 abc.vdb
}

@test "ended by a signal: the index is as it was or compacted, and nothing is left behind" {
    python3 "$brute" make 6000 32 1 >big.jsonl
    vdb-add -q --create --index flat big.vdb big.jsonl
    vdb-rm -q big.vdb v0
    vdb-get big.vdb >before
    ended=
    for signal in INT:130 TERM:143; do
        for delay in 0.01 0.05 0.1 0.2; do
            interruptible vdb-compact -q -j 1 --index graph big.vdb 3>&- &
            pid=$!
            sleep $delay
            kill -${signal%:*} $pid 2>/dev/null || true
            status=0
            wait $pid || status=$?
            [ $status -eq 0 ] || [ $status -eq "${signal#*:}" ]
            [ $status -eq 0 ] || ended=yes
            vdb-check big.vdb
            vdb-get big.vdb >after
            cmp before after
            [ "$(ls)" = $'after\nbefore\nbig.jsonl\nbig.vdb' ]
        done
    done
    [ -n "$ended" ]
}

@test "what a killed run was writing goes with the next that writes or compacts it" {
    python3 "$brute" make 6000 32 1 >big.jsonl
    vdb-add -q --create --index flat big.vdb big.jsonl
    for next in "vdb-compact -q --index flat --output out.vdb big.vdb" "vdb-compact -q --index flat out.vdb"; do
        vdb-compact -q -j 1 --index graph --output out.vdb big.vdb 3>&- &
        pid=$!
        until_true test -s out.vdb.tmp-0
        kill -KILL $pid
        status=0
        wait $pid || status=$?
        [ $status -eq 137 ]
        [ -e out.vdb.tmp-0 ]
        ends 0 $next
        [ "$(ls -A)" = $'big.jsonl\nbig.vdb\nout.vdb' ]
    done
}

@test "two at once to one output: the file is one of theirs, whole" {
    python3 "$brute" make 4000 16 1 >big.jsonl
    vdb-add -q --create --index flat big.vdb big.jsonl
    vdb-compact -q -j 1 --index graph --output graph.vdb big.vdb
    vdb-compact -q -j 1 --index ivf --output ivf.vdb big.vdb
    vdb-compact -q -j 1 --index graph --output out.vdb big.vdb 3>&- &
    pid=$!
    ends 0 vdb-compact -q -j 1 --index ivf --output out.vdb big.vdb
    wait $pid
    cmp out.vdb graph.vdb || cmp out.vdb ivf.vdb
    [ "$(ls -A)" = $'big.jsonl\nbig.vdb\ngraph.vdb\nivf.vdb\nout.vdb' ]
}

# Each report comes a second and a quarter after the one before, whatever the machine: of a phase of
# so many rows the time left follows from the share that is done.
@test "--progress tells each phase, how far it is, and the time left" {
    [ "$VDB_MODE" = release ] || skip "a sanitizer's runtime is to come first"
    ${CC:-cc} -shared -fPIC "$VDB_SOURCE_DIR/tests/tools/preload/slowclock.c" -o slowclock.so
    python3 "$brute" make 3000 8 1 | vdb-add -q --create many.vdb
    for output in "" "--output out.vdb"; do
        LD_PRELOAD=$PWD/slowclock.so ends 0 vdb-compact -q -j 1 --progress --index graph $output many.vdb
        printf '%s\n' "$stderr" >progress
        python3 - progress <<'EOF'
import re, sys
FORM = r"(\S.*?)  \[(#*)(\.*)\] +(\d+)%  (\d+)/s(?:  (\d+):(\d\d) left)?"
lines = [re.fullmatch(FORM, line) for line in open(sys.argv[1]).read().splitlines()]
build = [match for match in lines if match and match[1] == "build graph"]
assert len(build) > 10, build
assert any(match and match[1] == "write vectors" for match in lines)
last = -1
for number, (_, bar, rest, share, rate, minutes, seconds) in enumerate(m.groups() for m in build):
    share = int(share)
    assert len(bar) + len(rest) == 20 and len(bar) == share // 5, (bar, share)
    assert last <= share <= 100
    last, elapsed = share, number * 1.25
    if not number or not share:
        continue
    left = int(minutes) * 60 + int(seconds)
    least, most = (elapsed * (100 - s) / s for s in (share + 1, share))
    assert least - 1 <= left <= most, (share, elapsed, left)
    assert share / 100 - 0.01 <= int(rate) * elapsed / 3000 <= share / 100 + 0.05
assert last == 100
EOF
    done
}

@test "wrong usage" {
    make_abc
    cp abc.vdb before
    refused 2 "*INDEX*" vdb-compact
    refused 2 "*" vdb-compact abc.vdb abc.vdb
    for kind in tree GRAPH ""; do
        refused 2 "--index*'$kind'*" vdb-compact --index "$kind" abc.vdb
    done
    for kind in graph hnsw flat; do
        for codes in pq b1; do
            refused 2 "--codes pq and b1 are for --index ivf*" vdb-compact --index $kind --codes $codes abc.vdb
        done
    done
    for codes in none i8; do
        refused 2 "--index ivf takes --codes i4, pq, b1 or auto*" vdb-compact --index ivf --codes $codes abc.vdb
    done
    refused 2 "--centroids is for --index ivf*" vdb-compact --centroids abc.jsonl abc.vdb
    refused 2 "--centroids is for --index ivf*" vdb-compact --index graph --centroids abc.jsonl abc.vdb
    for age in 30 d 0d 30x 1.5d -1d always 40000000000s; do
        refused 2 "--keep-history: *" vdb-compact --keep-history=$age abc.vdb
    done
    refused 2 "unknown option --needed*" vdb-compact --needed abc.vdb
    refused 2 "*the index itself*" vdb-compact --output ./abc.vdb abc.vdb
    cmp before abc.vdb
}

@test "an index that is missing, no index, damaged or of another version" {
    make_abc
    vdb-compact -q --index graph abc.vdb
    : >empty.vdb
    refused 66 "*none.vdb*" vdb-compact none.vdb
    refused 65 "*empty.vdb*" vdb-compact empty.vdb
    refused 65 "*abc.jsonl*" vdb-compact abc.jsonl
    cp abc.vdb version.vdb
    for slot in 0 4096; do python3 "$layout" set version.vdb $((slot + 8)) 0300; done
    cp version.vdb before
    refused 65 "*version 3.*" vdb-compact version.vdb
    cmp before version.vdb
}

@test "it does not carry damage on: a vector segment that was hit is refused, the index left as it is" {
    make_many
    vdb-compact -q many.vdb
    offset=$(python3 "$layout" list many.vdb | awk '$1 == "vector" {print $2 + 100}')
    python3 "$layout" flip many.vdb "$offset"
    cp many.vdb before
    refused 65 "*many.vdb*vector*" vdb-compact many.vdb
    cmp before many.vdb
    refused 65 "*many.vdb*vector*" vdb-compact --output fresh.vdb many.vdb
    [ ! -e fresh.vdb ]
}

@test "an output that is a pipe or a link is written to, and never replaced" {
    vdb-add -q --create --dim 2 a.vdb <<<'{"id":"a","vector":[1,2]}'
    vdb-compact -q --output plain.vdb a.vdb
    mkfifo pipe
    cat pipe >through.vdb &
    ends 0 vdb-compact -q --output pipe a.vdb
    wait
    [ -p pipe ]
    cmp plain.vdb through.vdb
    : >target.vdb
    ln -s target.vdb link.vdb
    ends 0 vdb-compact -q --output link.vdb a.vdb
    [ -L link.vdb ]
    cmp plain.vdb target.vdb
    mkdir folder
    refused 73 "folder: is a directory" vdb-compact --output folder a.vdb
}
