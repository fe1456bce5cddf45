#!/usr/bin/env bats
# golden.bats: files of this format version give their rows, those of others and damaged ones are
# refused by name.
#
# v0.9/ holds the worked example of format-spec/ as `tests/spec/make_examples.py --file` wrote it,
# v0.1/ to v0.3/ those of these versions, which are not read any more. Files of 0.9 never change, and are read for good.
# SPDX-License-Identifier: BSD-2-Clause

bats_require_minimum_version 1.5.0

setup_file() {
    export ROOT=${VDB_SOURCE_DIR:-$BATS_TEST_DIRNAME/../..}
    mkdir "$BATS_FILE_TMPDIR/bad"
    python3 "$ROOT/tests/golden/damage.py" "$ROOT" "$BATS_FILE_TMPDIR/bad" >"$BATS_FILE_TMPDIR/bad.tsv"
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    reader=$ROOT/format-spec/reader/vdb_reader.py
}

@test "the golden files are the ones that were put there" {
    for version in v0.1 v0.2 v0.3 v0.9; do
        cd "$ROOT/tests/golden/$version"
        sha256sum --check --quiet SHA256SUMS
    done
}

# VERSION
refuses() {
    gunzip -c "$ROOT/tests/golden/v$1/example.vdb.gz" >old.vdb
    cp old.vdb before.vdb
    for command in vdb-get vdb-check vdb-stat vdb-log vdb-snap vdb-compact vdb-add; do
        run --separate-stderr $command old.vdb </dev/null
        echo "$command: $status: $output $stderr"
        [ "$status" -eq 65 ]
        [ -z "$output" ]
        [[ $stderr == *"old.vdb"*"version $1 is not known here (this is 0.9)"* ]]
    done
    cmp old.vdb before.vdb
    run --separate-stderr python3 "$reader" get old.vdb
    [ "$status" -eq 65 ]
    [ -z "$output" ]
    [[ $stderr == *"version $1; this reader knows 0.9"* ]]
}

@test "a file of version 0.1 is refused, and the message names its version and this one" {
    refuses 0.1
}

@test "a file of version 0.2 is refused, and the message names its version and this one" {
    refuses 0.2
}

@test "a file of version 0.3 is refused, and the message names its version and this one" {
    refuses 0.3
}

@test "a file of version 0.9 gives the rows that it was made with" {
    gunzip -c "$ROOT/tests/golden/v0.9/example.vdb.gz" >example.vdb
    vdb-check --deep example.vdb
    vdb-get example.vdb >rows.jsonl
    python3 - "$ROOT/tests/golden/v0.9/example.jsonl" <<'EOF'
import json, sys
said, got = ([json.loads(line) for line in open(path)] for path in (sys.argv[1], "rows.jsonl"))
assert got == said and len(got) == 3, got
EOF
}

@test "the generator still makes the golden file of version 0.9" {
    python3 "$ROOT/tests/spec/make_examples.py" --file now.vdb "$ROOT/format-spec"
    gunzip -c "$ROOT/tests/golden/v0.9/example.vdb.gz" | cmp - now.vdb
}

@test "a file of version 0.9 gives the rows that it had after each commit" {
    gunzip -c "$ROOT/tests/golden/v0.9/example.vdb.gz" >example.vdb
    for when in 3 harvest 4 5 6 press 7 cider; do
        python3 "$reader" get --at "$when" example.vdb >reader.jsonl
        vdb-get --at "$when" example.vdb | python3 -c '
import json, sys
when, path = sys.argv[1:]
said = next(s for s in map(json.loads, open(path)) if when in (str(s["commit"]), s["name"]))
for got in (sys.stdin, open("reader.jsonl")):
    got = [json.loads(line) for line in got]
    assert got == said["rows"], (when, got)
' "$when" "$ROOT/tests/golden/v0.9/past.jsonl"
    done
    [ "$(vdb-snap example.vdb | cut -f 1 | sort | tr '\n' ' ')" = "cider harvest press " ]
    for when in 2 8 orchard; do
        run --separate-stderr vdb-get --at $when example.vdb
        echo "$when: $status: $stderr"
        [ "$status" -eq 1 ]
        [ -z "$output" ]
    done
    run --separate-stderr vdb-get --at 2 example.vdb
    [[ $stderr == *"commit 2 is not kept any more"*"commit 3"* ]]
}

# Every case whose name matches: the tool and the reader end with the status of the table, the
# tool's message has the words, and a file that is refused gives no rows.
cases() { # PATTERN [OPTION...]
    count=0
    wrong=0
    while IFS=$'\t' read -r name expected words; do
        [[ $name == $1 ]] || continue
        count=$((count + 1))
        status=0
        vdb-get "${@:2}" "bad/$name.vdb" >out 2>message || status=$?
        if [ "$status" -ne "$expected" ] || { [ -n "$words" ] && ! grep -qF -- "$words" message; }; then
            echo "$name: vdb-get ended with $status, not $expected ($words): $(cat message)"
            wrong=$((wrong + 1))
        fi
        [ "$expected" -eq 0 ] || [ ! -s out ] || { echo "$name: rows were printed"; wrong=$((wrong + 1)); }
        status=0
        python3 "$reader" get "${@:2}" "bad/$name.vdb" >out 2>message || status=$?
        if [ "$status" -ne "$expected" ]; then
            echo "$name: the reader ended with $status, not $expected: $(cat message)"
            wrong=$((wrong + 1))
        fi
    done <bad.tsv
    [ "$count" -gt 0 ]
    [ "$wrong" -eq 0 ]
}

@test "what is no index, of another version, or uses an unknown feature" {
    cases sound
    cases empty
    cases other-file
    cases text-mode-transfer
    cases 'version-*'
    cases '*compat-bit'
}

@test "a damaged or cut superblock or file" {
    cases 'superblock-*'
    cases file-cut
}

@test "a manifest that breaks a rule, its checksum being right" {
    cases 'manifest-*'
    cases '*-dimensions'
    cases 'unknown-*'
    cases rows-without-part
    cases 'table-*'
}

@test "parts and segments that break a rule" {
    cases 'part-*'
    cases 'segment-*'
    cases 'vector-*'
    cases 'tombstones-*'
}

@test "a log that cannot lie where the superblock says" {
    cases 'log-*'
}

@test "a commit that is valid as a record and breaks a rule is damage, not the log's end" {
    cases 'commit-*'
    cases 'event-*'
}

@test "snapshots that break a rule, in the manifest or in the log" {
    cases 'snapshot*'
    cases 'names-*'
}

@test "kept states that break a rule are damage to who goes back to them" {
    cases 'states-*' --at 3
    cases sound --at 3
}

@test "a link that leads nowhere is damage, not the log's end" {
    cases 'link-*'
}
