#!/usr/bin/env bats
# reader.bats: the reader written from the spec alone and the tools read the same out of a file.
# SPDX-License-Identifier: BSD-2-Clause

setup_file() {
    # Three kinds of state: rows in the tail only, rows in parts with a tail, and a compacted file.
    cd "$BATS_FILE_TMPDIR"
    for type in f32 f16 i8 u8; do make_index "$type"; done
}

# Records whose numbers every type can hold, with and without metadata.
records() { # FIRST END STEP VERSION
    python3 - "$@" <<'EOF'
import json, random, sys
first, end, step, version = map(int, sys.argv[1:])
draw = random.Random(first * 7 + version)
for i in range(first, end, step):
    record = {"id": "row-%04d%s" % (i, "é" * (i % 3)), "vector": [draw.randrange(0, 120) for _ in range(19)]}
    if i % 4:
        record["metadata"] = {"n": i, "version": version, "text": "la " * (i % 50)}
    print(json.dumps(record, ensure_ascii=False))
EOF
}

make_index() { # TYPE
    records 0 300 1 1 | vdb-add -q --create --type "$1" --metric l2 tail-"$1".vdb
    records 40 360 5 2 | vdb-add -q tail-"$1".vdb
    vdb-rm -q tail-"$1".vdb row-0001é row-0002éé row-0040é row-0003 >/dev/null
    vdb-rm -q --restore tail-"$1".vdb row-0001é row-0040é >/dev/null

    records 0 2600 1 1 | vdb-add -q --create --type "$1" --metric l2 --index graph parts-"$1".vdb
    records 100 2900 7 2 | vdb-add -q parts-"$1".vdb
    vdb-rm -q parts-"$1".vdb row-0000 row-0003 >/dev/null

    cp tail-"$1".vdb compact-"$1".vdb
    vdb-compact -q --index ivf compact-"$1".vdb
}

setup() {
    root=${VDB_SOURCE_DIR:-$BATS_TEST_DIRNAME/../..}
    reader=$root/format-spec/reader/vdb_reader.py
    invariants=$root/tests/spec/invariants.py
    cd "$BATS_FILE_TMPDIR"
}

# Equal as JSON, line by line: the same ids, numbers and metadata in the same order.
same_records() {
    python3 - "$1" "$2" <<'EOF'
import json, sys
a, b = ([json.loads(line) for line in open(path)] for path in sys.argv[1:])
assert a, "no rows"
assert a == b, next((x, y) for x, y in zip(a, b) if x != y) if len(a) == len(b) else (len(a), len(b))
EOF
}

@test "get: the same rows in the same order, of every type" {
    for index in *.vdb; do
        vdb-get "$index" >tool.jsonl
        python3 "$reader" get "$index" >reader.jsonl
        same_records tool.jsonl reader.jsonl
    done
}

@test "the rows are those that went in" {
    records 0 300 1 1 >expected.in
    records 40 360 5 2 >>expected.in
    python3 "$reader" get tail-u8.vdb >reader.jsonl
    python3 - <<'EOF'
import json
live = {}
for line in open("expected.in"):
    record = json.loads(line)
    live[record["id"]] = record
for gone in ("row-0002éé", "row-0003"):
    del live[gone]
got = {r["id"]: r for r in map(json.loads, open("reader.jsonl"))}
assert got == live
EOF
}

# What the reader's `list` says of a file, by Python expressions over lists of structures, which have to be true.
listed() { # INDEX EXPRESSION...
    python3 "$reader" list "$1" >listed.jsonl
    python3 - "${@:2}" <<'EOF'
import json, sys
listed = {name: [] for name in "superblock manifest part segment extent snapshot state record name".split()}
for line in open("listed.jsonl"):
    line = json.loads(line)
    listed[line["structure"]].append(line)
for expression in sys.argv[1:]:
    assert eval(expression, listed), (expression, listed)
EOF
}

@test "check: every file of the tools keeps every rule of the spec" {
    for index in *.vdb; do
        run python3 "$reader" check "$index"
        echo "$index: $output"
        [ "$status" -eq 0 ]
        [ -z "$output" ]
        run python3 "$invariants" "$index"
        echo "$index: $output"
        [ "$status" -eq 0 ]
        [ -z "$output" ]
    done
}

@test "list: numbers agree with vdb-stat" {
    for index in *.vdb; do
        vdb-stat --json "$index" >tool.json
        tool=$(python3 -c '
import json
tool = json.load(open("tool.json"))
print({k: tool[k] for k in ("dim", "metric", "type", "rows", "commit", "tail_rows")} | {"parts": [p["kind"] for p in tool["parts"]]})')
        listed "$index" "(tool := $tool) and tool['dim'] == manifest[0]['dim']" \
            "($tool)['metric'] == ['l2', 'cosine', 'ip'][manifest[0]['metric'] - 1]" \
            "($tool)['type'] == ['f32', 'f16', 'i8', 'u8'][manifest[0]['type'] - 1]" \
            "($tool)['rows'] == state[-1]['rows'] and ($tool)['commit'] == state[-1]['commit']" \
            "($tool)['tail_rows'] == state[-1]['rows'] - manifest[0]['rows']" \
            "($tool)['parts'] == [['flat', 'graph', 'ivf'][p['kind'] - 1] for p in part]"
    done
}

@test "the files cover what they are for: a tail, a part with tombstones, a graph, an inverted file" {
    listed tail-f32.vdb 'not part'
    listed parts-f32.vdb '[p["kind"] for p in part] == [2]' \
        '"tombstone" in [s["name"] for s in segment] or state[-1]["rows"] > manifest[0]["rows"]'
    listed compact-u8.vdb 'manifest[0]["rows"] == manifest[0]["live_count"]'
    listed compact-f32.vdb '[p["kind"] for p in part] == [3]'
}

@test "search: the same neighbours at the same distances, in every metric" {
    for metric in l2 cosine ip; do
        rm -f metric.vdb
        records 1 400 1 3 | vdb-add -q --create --type f32 --metric "$metric" metric.vdb
        vdb-search --exact -k 8 --like row-0007é metric.vdb >tool.tsv
        vdb-get metric.vdb row-0007é | python3 "$reader" search -k 8 metric.vdb >reader.tsv
        python3 - <<'EOF'
tool, reader = ([line.rstrip("\n").split("\t") for line in open(p)] for p in ("tool.tsv", "reader.tsv"))
assert len(tool) == len(reader) == 8
for a, b in zip(tool, reader):
    assert a[:3] == b[:3], (a, b)
    assert abs(float(a[3]) - float(b[3])) <= 1e-6 * max(1, abs(float(b[3]))), (a, b)
EOF
    done
}

@test "the tools read the worked example as the reader does" {
    python3 "$root/tests/spec/make_examples.py" --file example.data "$root/format-spec"
    vdb-check --deep example.data
    vdb-get example.data >tool.jsonl
    python3 "$reader" get example.data >reader.jsonl
    same_records tool.jsonl reader.jsonl
    [ "$(wc -l <tool.jsonl)" -eq 3 ]
}

@test "an ivf part: the tools and the reader read its rows" {
    python3 "$root/tests/spec/make_examples.py" --ivf --file ivf.data "$root/format-spec"
    run python3 "$invariants" ivf.data
    echo "$output"
    [ "$status" -eq 0 ]
    listed ivf.data '[p["kind"] for p in part] == [3]'
    vdb-get ivf.data >tool.jsonl
    python3 "$reader" get ivf.data >reader.jsonl
    same_records tool.jsonl reader.jsonl
    [ "$(wc -l <tool.jsonl)" -eq 3 ]
}

@test "an ivf part that the tools wrote: by their own codes, and by others" {
    for type in f32 i8 u8; do
        for metric in l2 cosine; do
            records 0 300 1 1 | vdb-add -q --create --index ivf --type $type --metric $metric lists.data
            vdb-compact -q lists.data
            run python3 "$invariants" lists.data
            echo "$type $metric: $output"
            [ "$status" -eq 0 ]
            listed lists.data '[p["kind"] for p in part] == [3]'
            rm lists.data
        done
    done
}

@test "an ivf part: the reader finds what is wrong with its segment" {
    python3 "$root/tests/spec/make_examples.py" --ivf --file ivf.data "$root/format-spec"
    while read -r at bytes words; do
        cp ivf.data bad.data
        printf "$bytes" | dd of=bad.data bs=1 seek=$((131072 + at)) conv=notrunc status=none
        run python3 "$invariants" bad.data
        echo "$at: $output"
        [ "$status" -eq 1 ]
        [[ $output == *"ivf: $words"* ]]
    done <<'EOF'
0 \x04 its counts or flags are impossible
4 \x04 its counts or flags are impossible
16 \x03 its counts or flags are impossible
24 \x07 its counts or flags are impossible
24 \x01 its codes do not fit 4 dimensions
12 \x03 its codes do not fit 4 dimensions
34 \x80\x7f its grid or units are impossible
42 \x40 its grid or units are impossible
48 \x3d its survivors fall
154 \xc0\x7f its bias or error is impossible
159 \xbb its bias or error is impossible
64 \xc1 its arrays cannot lie where they do
144 \x00 its arrays cannot lie where they do
260 \x01 the norm of centroid 1 is not that of its code
200 \x01 the norm of centroid 2 is not that of its code
264 \x01 the norm of centroid 2 is not that of its code
386 \xc0\x7f its codebook or matrix is impossible
516 \x01 its codebook or matrix is impossible
336 \x00 list 1 does not follow the one before
340 \x02 list 1 does not follow the one before
8 \x30 its lists have 32 slots, not 48
704 \x03 slot 0 is no other row of its list
708 \x00 slot 1 is no other row of its list
712 \x01\x00\x00\x00 slot 2 has no row and is not empty
4168 \x10 slot 2 has no row and is not empty
4096 \x00\x7c what stands in slot 0 of the blocks is impossible
4160 \x1e what stands in slot 0 of the blocks is impossible
768 \x00 a row stands in no list, or in too many
24 \x02 a row stands in no list, or in too many
8320 \x00 the norm of slot 0 is not that of its code
8324 \x01 the norm of slot 0 is not that of its code
8508 \x01 the norm of slot 2 is not that of its code
EOF
}

# The tools and the reader give the same rows of each of these commits, and refuse the others up to the newest.
same_past() { # INDEX COMMIT...
    run python3 "$invariants" "$1"
    echo "$output"
    [ "$status" -eq 0 ]
    newest=$(vdb-stat "$1" | awk '$1 == "commit" {print $2}')
    for commit in $(seq "$newest"); do
        if [[ " ${*:2} " == *" $commit "* ]]; then
            vdb-get --at "$commit" "$1" >tool.jsonl
            python3 "$reader" get --at "$commit" "$1" >reader.jsonl
            cmp tool.jsonl reader.jsonl || same_records tool.jsonl reader.jsonl
        else
            run vdb-get --at "$commit" "$1"
            [ "$status" -eq 1 ]
            run python3 "$reader" get --at "$commit" "$1"
            [ "$status" -eq 1 ]
        fi
    done
}

@test "every commit of the past: the tools and the reader go back to the same rows" {
    records 0 40 1 1 | vdb-add -q --create --type i8 --metric l2 past.data
    vdb-rm -q past.data row-0003 row-0004é >/dev/null
    records 2 44 3 2 | vdb-add -q past.data
    vdb-rm -q --restore past.data row-0003 >/dev/null
    same_past past.data 1 2 3 4 5
    records 100 2400 1 3 | vdb-add -q past.data # a part is built, and the manifest goes on
    vdb-rm -q past.data row-0003 >/dev/null
    same_past past.data 1 2 3 4 5 6 7
}

@test "states that a compaction kept: the tools and the reader go back to the same rows" {
    records 0 40 1 1 | vdb-add -q --create --type i8 --metric l2 kept.data
    vdb-rm -q kept.data row-0003 row-0004é >/dev/null
    records 2 44 3 2 | vdb-add -q kept.data
    vdb-rm -q --restore kept.data row-0003 >/dev/null
    cp kept.data purged.data
    vdb-compact -q --keep-rows all kept.data
    vdb-compact -q purged.data
    listed kept.data '[s["commit"] for s in state] == [1, 2, 3, 4, 5]'
    listed purged.data '[s["commit"] for s in state] == [5]'
    vdb-rm -q kept.data row-0006 row-0007é >/dev/null
    vdb-rm -q purged.data row-0006 row-0007é >/dev/null
    same_past kept.data 1 2 3 4 5 6
    same_past purged.data 5 6
    vdb-compact -q --keep-rows all kept.data
    same_past kept.data 1 2 3 4 5 6
}

# As the reader's `list` says it, from vdb-snap's.
same_names() { # INDEX
    vdb-snap "$1" list --json >tool.jsonl
    python3 "$reader" list "$1" >reader.jsonl
    python3 - <<'EOF'
import json
tool, reader = ([json.loads(line) for line in open(path)] for path in ("tool.jsonl", "reader.jsonl"))
tool = {t["name"]: t for t in tool}
reader = {r["name"]: r | {"live": r["live_count"]} for r in reader if r["structure"] == "name"}
assert reader and set(tool) == set(reader), (tool, reader)
for name, t in tool.items():
    for key in ("commit", "rows", "live", "origin_id", "origin_commit"):
        assert t[key] == reader[name][key], (key, t, reader[name])
EOF
}

@test "snapshots, in the log, in the manifest and through a compaction: the tools and the reader agree" {
    records 0 40 1 1 | vdb-add -q --create --type i8 --metric l2 named.data
    vdb-snap named.data create early
    vdb-rm -q named.data row-0003 row-0004é >/dev/null
    vdb-snap named.data create "grün é"
    vdb-snap named.data create again
    records 2 44 3 2 | vdb-add -q named.data
    vdb-snap named.data create gone
    vdb-snap named.data rm gone
    same_names named.data
    same_past named.data 1 2 3 4
    vdb-compact -q named.data
    same_names named.data
    same_past named.data 2 3 4
    vdb-snap named.data restore early
    vdb-snap named.data create late
    records 100 2400 1 3 | vdb-add -q named.data # a part is built, and the manifest goes on
    same_names named.data
    same_past named.data 2 3 4 5 6
    vdb-snap named.data rm early "grün é"
    vdb-compact -q named.data
    same_names named.data
    same_past named.data 3 5 6
    vdb-check --deep named.data
}

@test "a writer goes on from the worked example, and the reader follows" {
    python3 "$root/tests/spec/make_examples.py" --file more.data "$root/format-spec"
    echo '{"id": "quince", "vector": [1, 2, 3, 4]}' | vdb-add -q more.data
    vdb-rm -q more.data plum >/dev/null
    run python3 "$reader" check more.data
    [ "$status" -eq 0 ]
    [ "$(python3 "$reader" get more.data | grep -o '"id": "[a-z]*"' | tr '\n' ' ')" = '"id": "pear" "id": "apple" "id": "quince" ' ]
}

@test "lives of an index: the tools and the reader see the same at every commit, and find the same" {
    python3 "$root/tests/spec/reader_life.py" live 1 2 5 7
}

@test "check: finds every byte that is not what it was, and every cut" {
    python3 "$root/tests/spec/make_examples.py" --file example.data "$root/format-spec"
    python3 "$root/tests/spec/reader_life.py" flip example.data
}

@test "the reader has less than 600 lines that are not empty, none of 100 columns" {
    [ "$(cat "$root"/format-spec/reader/*.py | grep -c .)" -lt 600 ]
    ! grep -n '.\{100\}' "$root"/format-spec/reader/*.py
    run bash -c 'cd "$1" && ls *.py' - "$root/format-spec/reader"
    [ "$(tr '\n' ' ' <<<"$output")" = "check.py index.py log.py lz4block.py manifest.py rows.py storage.py superblock.py vdb_reader.py xxh3.py " ]
}
