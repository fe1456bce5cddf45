#!/usr/bin/env bats
# abi.bats: a program that was linked to libvdb.so yesterday runs with the one of today. The built
# library is held against a snapshot, with Debian's abigail-tools; `make abi` renews that.
# SPDX-License-Identifier: BSD-2-Clause

setup() {
    [ "$VDB_MODE" = release ] || skip "one build is enough"
    command -v abidw >/dev/null && command -v abidiff >/dev/null ||
        skip "no abidw and abidiff here (Debian: abigail-tools)"
    [ "$(uname -m)" = x86_64 ] || skip "the snapshot is of x86-64"
    readelf -SW "$VDB_BUILD/libvdb.so.0" | grep -q debug_info || skip "a build without -g"
    here=$VDB_SOURCE_DIR/tests/abi
    header=$VDB_SOURCE_DIR/lib/vdb.h
}

# differs FLAG... OLD NEW: abidiff's report in $output; true where the two are not the same.
differs() {
    run abidiff --no-show-locs "$@"
    [ "$status" -ne 0 ]
}

# A library of this program text, with the name and version of ours, and its snapshot NAME.
build() {
    ${CC:-cc} -g -shared -fPIC -Wl,-soname,libvdb.so.0 \
        -Wl,--version-script,"$VDB_SOURCE_DIR/lib/libvdb.map" -x c -I lib -o "$1.so" -
    "$here/snapshot" "$1.so" "$1.abi"
}

verdict() {
    if differs --suppressions "$here/compatible" --no-added-syms "$1" "$2"; then
        echo broken
    elif differs "$1" "$2"; then
        echo grown
    else
        echo same
    fi
}

@test "libvdb.so keeps the binary interface of tests/abi/libvdb.abi" {
    cd "$VDB_SOURCE_DIR"
    now=$BATS_TEST_TMPDIR/now.abi
    "$here/snapshot" "$VDB_BUILD/libvdb.so.0" "$now"
    case $(verdict "$here/libvdb.abi" "$now") in
    broken)
        differs --suppressions "$here/compatible" --no-added-syms "$here/libvdb.abi" "$now" || true
        echo "$output"
        echo "Programs that are linked to libvdb.so.0 would break. Undo the change, or, before 1.0 and"
        echo "where it is meant, run 'make abi' and say so in the commit with the new snapshot."
        false
        ;;
    grown)
        differs "$here/libvdb.abi" "$now" || true
        echo "$output"
        echo "The interface has grown, and no program breaks: run 'make abi', look at what 'git diff"
        echo "tests/abi' shows, and commit it."
        false
        ;;
    esac
}

@test "what breaks programs is told from what only adds" {
    cd "$BATS_TEST_TMPDIR"
    mkdir lib
    cp "$header" lib
    base='enum vdb_status vdb_open(const char *path, const struct vdb_open_options *options,
              struct vdb **db, struct vdb_error *err)
          { (void)path; (void)options; (void)db; return err->status; }
          void vdb_snapshot_info(const struct vdb_snapshot *s, struct vdb_info *info) { (void)s, (void)info; }'
    build old <<<"#include \"vdb.h\"
$base"
    build same <<<"#include \"vdb.h\"
struct vdb { int inside; };
$base"
    [ "$(verdict old.abi same.abi)" = same ]
    build more <<<"#include \"vdb.h\"
$base
void vdb_close(struct vdb *db) { (void)db; }"
    [ "$(verdict old.abi more.abi)" = grown ]
    [ "$(verdict more.abi old.abi)" = broken ]
    # An option more, a figure more, an option of another type, a status of another number.
    sed -i 's/^    void \*cancel_context;/&\n    int more;/' lib/vdb.h
    build option <<<"#include \"vdb.h\"
$base"
    [ "$(verdict old.abi option.abi)" = grown ]
    sed 's/^    uint8_t file_id\[16\];/&\n    int more;/' "$header" > lib/vdb.h
    build figure <<<"#include \"vdb.h\"
$base"
    [ "$(verdict old.abi figure.abi)" = broken ]
    sed 's/^    double wait; /    float wait; /' "$header" > lib/vdb.h
    build type <<<"#include \"vdb.h\"
$base"
    [ "$(verdict old.abi type.abi)" = broken ]
    sed 's/VDB_CORRUPT = [0-9]*/VDB_CORRUPT = 40/' "$header" > lib/vdb.h
    build status <<<"#include \"vdb.h\"
$base"
    [ "$(verdict old.abi status.abi)" = broken ]
}
