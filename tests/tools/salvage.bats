#!/usr/bin/env bats
# salvage.bats: vdb-check --salvage writes what is sound of a damaged index into a new one, and lists
# what is lost. Rows are held against the records that they were made of.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

layout() { python3 "$BATS_TEST_DIRNAME/layout.py" "$@"; }
records() { python3 "$BATS_TEST_DIRNAME/brute.py" make "$@"; }

# Two indexes. In the one, rows of a part and in the tail, whose records are still in the log. In the
# other a compaction has taken the log away: 400 rows of one part, 400 of another, and a few more.
setup_file() {
    PATH=$VDB_BIN:$PATH
    cd "$BATS_FILE_TMPDIR"
    records 2100 12 1 v | sed 's/}$/, "metadata": {"some": "text"}}/' >first.jsonl
    records 5 12 2 w >last.jsonl
    vdb-add -q --create --index graph logged.vdb first.jsonl
    vdb-rm -q logged.vdb v7 v8
    vdb-add -q logged.vdb last.jsonl
    grep -v '"v[78]"' first.jsonl | cat - last.jsonl >logged.jsonl
    records 400 12 3 o | sed 's/}$/, "metadata": {"age": "old"}}/' >old.jsonl
    records 400 12 4 n >new.jsonl
    cat old.jsonl new.jsonl | vdb-add -q --create --index hybrid --recent 400 parts.vdb
    vdb-compact -q parts.vdb
    vdb-add -q parts.vdb last.jsonl
    cat old.jsonl new.jsonl last.jsonl >parts.jsonl
    layout list logged.vdb >logged.layout
    layout list parts.vdb >parts.layout
}

setup() {
    common_setup
    T=$BATS_FILE_TMPDIR
}

# garbage FILE OFFSET LENGTH: what no single bit can put right.
garbage() { python3 - "$@" <<'END'
import sys
name, at, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with open(name, "r+b") as file:
    file.seek(at)
    old = file.read(length)
    file.seek(at)
    file.write(bytes(b ^ 0x5a for b in old))
END
}

# damage INDEX NAME [NTH]: a copy x.vdb with garbage in the middle of a structure.
damage() {
    cp "$T/$1.vdb" x.vdb
    read -r offset length < <(awk -v name="$2" -v nth="${3:-1}" \
        '$1 == name && ++n == nth {print $2, $3}' "$T/$1.layout")
    garbage x.vdb $((offset + length / 2)) $((length > 16 ? 8 : length / 2))
}

# holds FILE.vdb RECORDS.jsonl: these rows and no others, in this order, and a sound index.
holds() {
    vdb-check --deep "$1"
    python3 - "$2" <(vdb-get "$1") <<'END'
import json, struct, sys
def rows(name):
    for line in open(name):
        record = json.loads(line)
        yield (record["id"], struct.pack("<12f", *record["vector"]), record.get("metadata"))
wanted, got = list(rows(sys.argv[1])), list(rows(sys.argv[2]))
if wanted != got:
    sys.exit(f"{len(got)} rows, not {len(wanted)}; wrong are, for one, "
             f"{next((a[0], b[0]) for a, b in zip(wanted + [(None,)], got + [(None,)]) if a != b)}")
END
}

@test "a sound index: all of it, exit 0, nothing on stdout" {
    ends 0 vdb-check --salvage o.vdb "$T/logged.vdb"
    [ -z "$output" ]
    [ "$stderr" = "vdb-check: o.vdb: 2103 rows as of commit 4, 0 lost, 0 doubtful" ]
    holds o.vdb "$T/logged.jsonl"
    ends 0 vdb-check -q --salvage p.vdb "$T/parts.vdb"
    [ -z "$output$stderr" ]
    holds p.vdb "$T/parts.jsonl"
}

@test "the new index is like the old one: metric, type, index, options; and it goes on as any other" {
    records 300 12 5 | vdb-add -q --create --metric cosine --type f16 --index hnsw --m 9 \
        --ef-construction 77 --codes i8 a.vdb
    vdb-check -q --salvage o.vdb a.vdb
    same "$(vdb-stat a.vdb | grep -E '^(dim|metric|type|index|codes|degree|ef_construction|live)	')" \
        "$(vdb-stat o.vdb | grep -E '^(dim|metric|type|index|codes|degree|ef_construction|live)	')"
    [ "$(vdb-get a.vdb | sha256sum)" = "$(vdb-get o.vdb | sha256sum)" ]
    [ "$(vdb-stat a.vdb | grep file_id)" != "$(vdb-stat o.vdb | grep file_id)" ]
    vdb-add -q o.vdb <<<'{"id": "more", "vector": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}'
    ends 0 vdb-check --deep o.vdb
}

@test "damage anywhere in a part whose rows the log still has: every row is saved" {
    for name in vector id id-hash metadata graph code calibration manifest superblock0 superblock1; do
        grep -q "^$name	" "$T/logged.layout" || continue
        damage logged $name
        ends 1 vdb-check -q x.vdb
        ends 0 vdb-check --salvage o.vdb x.vdb
        [ -z "$output" ]
        holds o.vdb "$T/logged.jsonl"
        rm o.vdb
    done
}

@test "both superblocks gone: the manifest is found by its magic" {
    cp "$T/logged.vdb" x.vdb
    garbage x.vdb 100 50
    garbage x.vdb 4196 50
    ends 1 vdb-check -q x.vdb
    ends 0 vdb-check --salvage o.vdb x.vdb
    holds o.vdb "$T/logged.jsonl"
}

@test "a part's vectors, ids or metadata: the other part and the tail are whole, the rest is listed" {
    cat "$T/new.jsonl" "$T/last.jsonl" >left.jsonl
    for name in vector id metadata; do
        damage parts $name
        ends 1 vdb-check --salvage o.vdb x.vdb
        holds o.vdb left.jsonl
        [ "$stderr" = "vdb-check: o.vdb: 405 rows as of commit 3, 400 lost, 0 doubtful" ]
        [[ ${lines[0]} == *$'\t'$name$'\t'"$offset"$'\t'* ]]
        if [ $name = id ]; then
            [ "$(cut -f 1-4 <<<"$output")" = $'rows\t0\t399\t' ]
        else
            same "$(cut -f 1-4 <<<"$output")" \
                "$(awk 'BEGIN {for (i = 0; i < 400; i++) print "row\t" i "\t" i "\to" i}')"
        fi
        rm o.vdb
    done
}

@test "what leads to rows or is made of them takes no row" {
    for name in id-hash graph ivf code time; do
        damage parts $name
        ends 0 vdb-check -q --salvage o.vdb x.vdb
        holds o.vdb "$T/parts.jsonl"
        rm o.vdb
    done
}

@test "--json: an object a loss, and one at the end" {
    damage parts vector
    vdb-check -q --json --salvage o.vdb x.vdb >found || [ $? -eq 1 ]
    python3 - "$offset" <<'END'
import json, sys
*lost, end = [json.loads(line) for line in open("found")]
assert [(l["lost"], l["first"], l["last"], l["id"]) for l in lost] == \
    [("row", i, i, f"o{i}") for i in range(400)]
assert all(l["segment"] == "vector" and l["offset"] == int(sys.argv[1]) and l["message"] for l in lost)
assert end == {"output": "o.vdb", "rows": 405, "lost": 400, "doubtful": 0, "commit": 3,
               "later": False, "mended": 0}, end
END
}

@test "deletions of a damaged tombstone segment are replayed from the log" {
    cp "$T/parts.vdb" a.vdb
    vdb-rm -q a.vdb o1 o2 o399 n5
    vdb-add -q a.vdb <<<"$(head -1 "$T/old.jsonl")" # o0 again
    records 2100 12 6 z | vdb-add -q a.vdb
    layout list a.vdb >layout
    awk '$1 == "tombstone"' layout >tombstones
    [ -s tombstones ]
    while read -r _ offset length; do garbage a.vdb "$offset" "$length"; done <tombstones
    ends 1 vdb-check -q a.vdb
    ends 0 vdb-check --salvage o.vdb a.vdb
    vdb-get o.vdb | python3 -c 'import json, sys
for line in sys.stdin: print(json.loads(line)["id"])' >got
    { seq -f 'o%g' 3 398; seq -f 'n%g' 0 399 | grep -vx n5; seq -f 'w%g' 0 4; echo o0
        seq -f 'z%g' 0 2099; } >wanted
    cmp wanted got
}

@test "where nothing tells what was deleted, the newest of each id is taken and listed as doubtful" {
    records 40 12 7 k >k.jsonl
    vdb-add -q --create a.vdb k.jsonl
    vdb-snap a.vdb create then >snap
    vdb-rm -q a.vdb k3 k4
    records 1 12 8 k | vdb-add -q a.vdb # another k0
    vdb-compact -q a.vdb                # keeps what "then" sees, and drops the log
    read -r _ offset length < <(layout list a.vdb | grep '^tombstone')
    garbage a.vdb "$offset" "$length"
    ends 1 vdb-check --salvage o.vdb a.vdb
    [ "$stderr" = "vdb-check: o.vdb: 40 rows as of commit 4, 0 lost, 40 doubtful" ]
    same "$(cut -f 1,4 <<<"$output" | sort -V)" "$(seq -f 'doubtful	k%g' 0 39)"
    vector() { python3 -c 'import json, struct, sys
print([struct.pack("<f", x) for x in json.loads(sys.stdin.readline())["vector"]])'; }
    [ "$(vdb-get o.vdb k0 | vector)" = "$(records 1 12 8 k | vector)" ]
}

@test "a broken log: the state before, and that there was more" {
    cp "$T/logged.vdb" x.vdb
    # The record of the deletions, behind which that of the last rows is whole.
    offset=$(awk '$1 == "commit" {print $2; exit}' "$T/logged.layout")
    garbage x.vdb $((offset + 24)) 8
    ends 1 vdb-check --salvage o.vdb x.vdb
    [[ $stderr == "vdb-check: o.vdb: 2100 rows as of commit 2 (there were later ones), 0 lost, 0 doubtful" ]]
    [[ $output == $'commits\t3\t\t\tlog\t'"$offset"$'\t'* ]]
    holds o.vdb "$T/first.jsonl"
}

@test "a record that is whole but for one bit is read" {
    cp "$T/logged.vdb" x.vdb
    layout flip x.vdb $(($(awk '$1 == "commit" {at = $2} END {print at}' "$T/logged.layout") + 24))
    ends 1 vdb-check -q x.vdb
    ends 0 vdb-check -q --salvage o.vdb x.vdb
    holds o.vdb "$T/logged.jsonl"
}

@test "a file cut off: the rows that are left, and which are not" {
    # Behind the ids and metadata of the first part: the second part's come after.
    end=$(awk '$1 ~ /^(vector|id|metadata)$/ && ++n <= 3 && $2 + $3 > m {m = $2 + $3} END {print m}' \
        "$T/parts.layout")
    head -c $((end + 64)) "$T/parts.vdb" >x.vdb
    cat "$T/old.jsonl" "$T/last.jsonl" >left.jsonl
    ends 1 vdb-check -q x.vdb
    run --separate-stderr vdb-check --salvage o.vdb x.vdb
    [ "$status" -eq 1 ]
    holds o.vdb left.jsonl
    [ "$(cut -f 1-4 <<<"$output")" = $'rows\t400\t799\t' ]
}

@test "nothing is left without a manifest: exit 65 and no output" {
    cp "$T/logged.vdb" x.vdb
    while read -r at; do garbage x.vdb "$at" 64; done < <(grep -obUaP 'VMAN' x.vdb | cut -d : -f 1)
    refused 65 "x.vdb: *manifest*" vdb-check --salvage o.vdb x.vdb
    [ ! -e o.vdb ]
    seq 10000 >text.vdb
    refused 65 "text.vdb: not a vdb index*" vdb-check --salvage o.vdb text.vdb
    refused 66 "*none.vdb*" vdb-check --salvage o.vdb none.vdb
    [ -z "$(find . -name 'o.vdb*')" ]
}

@test "an output that is there is left alone, and the index too" {
    mkdir ro
    damage parts vector
    cp x.vdb ro/x.vdb
    chmod 444 ro/x.vdb
    chmod 555 ro
    before=$(sha256sum ro/x.vdb)
    echo mine >there
    refused 73 "there: the output exists already" vdb-check --salvage there ro/x.vdb
    [ "$(cat there)" = mine ]
    refused 73 "ro/x.vdb: the output exists already" vdb-check --salvage ro/x.vdb ro/x.vdb
    refused 73 "no/o.vdb: *" vdb-check --salvage no/o.vdb ro/x.vdb
    ends 1 vdb-check -q --salvage o.vdb ro/x.vdb
    chmod 755 ro
    [ "$(sha256sum ro/x.vdb)" = "$before" ]
    [ "$(ls ro)" = x.vdb ]
    refused 2 "--deep and --salvage*" vdb-check --deep --salvage p.vdb x.vdb
}

@test "ended in the midst, there is no output, or all of it" {
    for after in 0.01 0.03 0.1 0.2; do
        timeout -s TERM $after vdb-check -q --salvage o.vdb "$T/parts.vdb" || [ $? -eq 124 ]
        [ -e o.vdb ] || [ -z "$(find . -name 'o.vdb*')" ]
        [ ! -e o.vdb ] || holds o.vdb "$T/parts.jsonl"
        rm -f o.vdb
        timeout -s KILL $after vdb-check -q --salvage o.vdb "$T/parts.vdb" || [ $? -eq 137 ]
        [ ! -e o.vdb ] || holds o.vdb "$T/parts.jsonl"
        rm -f o.vdb* # one that is killed leaves what it was writing under a passing name
    done
}

@test "the check says how much can be read, and how" {
    damage parts vector
    ends 1 vdb-check x.vdb
    [ "${#lines[@]}" -eq 1 ]
    same "$stderr" "vdb-check: x.vdb: damaged, 1 finding
vdb-check: x.vdb: 405 of 805 rows can be read for certain, as of commit 3
vdb-check: x.vdb: of rows 0 to 399 none can: vector at offset $offset
vdb-check: x.vdb: it can be opened, but answers may be wrong; 'vdb-check --salvage NEW.vdb' writes what is sound into a new index"
    damage logged manifest
    ends 1 vdb-check x.vdb
    [[ $stderr == *"2103 of 2103 rows can be read"*"it cannot be opened"* ]]
    vdb-check --json x.vdb 2>err >found || [ $? -eq 1 ]
    [ "$(tail -1 found)" = '{"readable":{"rows":2103,"lost":0,"doubtful":0,"commit":4,"later":false,"opens":false}}' ]
    cp "$T/logged.vdb" x.vdb
    while read -r at; do garbage x.vdb "$at" 64; done < <(grep -obUaP 'VMAN' x.vdb | cut -d : -f 1)
    ends 1 vdb-check x.vdb
    [[ $stderr == *"none of it can be read for certain: no manifest"* ]]
}
