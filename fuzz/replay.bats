#!/usr/bin/env bats
# replay.bats: each fuzz target over its seeds, damaged forms of them, and all that once broke it.
# SPDX-License-Identifier: BSD-2-Clause

setup_file() {
    python3 "$VDB_SOURCE_DIR/fuzz/seeds.py" "$BATS_FILE_TMPDIR"
}

# replay TARGET COUNT: COUNT damaged forms of each seed.
replay() {
    local kept
    kept=$(find "$VDB_SOURCE_DIR/fuzz/corpus/$1" -type f ! -name .gitkeep)
    # shellcheck disable=SC2086 # one word a file
    run timeout 120 "$VDB_BUILD/fuzz/replay-$1" -m "$2" -o "$BATS_TEST_TMPDIR/last" \
        "$BATS_FILE_TMPDIR/$1"/* $kept
    echo "$output"
    # The input at fault, for a crash that nobody can come back to.
    [ "$status" -eq 0 ] || { gzip -9 < "$BATS_TEST_TMPDIR/last" | base64 -w 0; false; }
    [ "${#lines[@]}" -ge 5 ]
}

@test "index files, sound and damaged: no crash, no hang, no read beyond the file" {
    replay open 200
}

@test "inputs of each format, sound and damaged: no crash, no hang, records as promised" {
    replay input 2000
}

@test "streams, sound and damaged: no crash, no hang, an index that is sound or as it was" {
    replay stream 150
}
