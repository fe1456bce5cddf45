#!/usr/bin/env bats
# replay.bats: each fuzz target over its seeds, damaged forms of them, and all that once broke it.
# SPDX-License-Identifier: BSD-2-Clause

setup_file() {
    python3 "$VDB_SOURCE_DIR/fuzz/seeds.py" "$BATS_FILE_TMPDIR"
}

# replay COUNT TARGET...: COUNT damaged forms of each seed, and each input that is kept as it is.
replay() {
    local count=$1 target
    shift
    for target in "$@"; do
        run_all "$target" "$count" "$BATS_FILE_TMPDIR/$target"
        run_all "$target" 0 "$VDB_SOURCE_DIR/fuzz/corpus/$target"
    done
}

# run_all TARGET COUNT FOLDER
run_all() {
    run timeout 120 "$VDB_BUILD/fuzz/replay-$1" -m "$2" -o "$BATS_TEST_TMPDIR/last" "$3"/*
    echo "$output"
    # The input at fault, for a crash that nobody can come back to.
    [ "$status" -eq 0 ] || { gzip -9 < "$BATS_TEST_TMPDIR/last" | base64 -w 0; false; }
    [ "${#lines[@]}" -ge 3 ]
}

@test "index files, sound and damaged: no crash, no hang, no read beyond the file, memory by its length" {
    replay 20 open
}

@test "logs, sound and damaged: what is recovered can be written to, and nothing of it is lost" {
    replay 20 log
}

@test "streams, sound and damaged: no crash, no hang, an index that is sound or as it was" {
    replay 20 stream
}

@test "inputs of each format, sound and damaged: no crash, no hang, records as promised" {
    replay 40 npy vecs bin idx word2vec delimited jsonl
}

@test "numbers and times: worth what the C library says, and printed as what they are" {
    replay 100 number when
}
@test "operations in any order: an index is what a plain model of it is" {
    replay 1 state
}
