#!/usr/bin/env bats
# lint.bats: the tree keeps its rules, and lint.py sees each of them broken.
# SPDX-License-Identifier: BSD-2-Clause

spdx='SPDX-License-Identifier: BSD-2-Clause'

setup() {
    tree=$BATS_TEST_TMPDIR/tree
    mkdir -p "$tree/lib/base" "$tree/lib/store" "$tree/tools/input" "$tree/tests/unit"
    printf '%s\n' '| floor | folder | what |' '| --- | --- | --- |' '| 0 | `base` | low |' \
        '| 3 | `store` | high |' '| 4 | `.` | `vdb.h` |' '' '| `base/low` | low |' \
        '| `store/high` | high |' > "$tree/lib/README.md"
    file lib/vdb.h
    file lib/base/low.h '#ifndef VDB_BASE_LOW_H'
    file lib/store/high.h '#ifndef VDB_STORE_HIGH_H'
    file tools/cli.h
}

# file PATH LINE...: a sound file with these lines in it.
file() {
    local path=$1
    shift
    { printf '/* %s: a file.\n * %s */\n' "${path##*/}" "$spdx"; printf '%s\n' "$@"; } |
        sed '${/^$/d}' > "$tree/$path"
}

lint() { run python3 "$VDB_SOURCE_DIR/tests/lint/lint.py" "$tree"; }

# caught TEXT...: lint.py fails and prints exactly these lines.
caught() {
    lint
    [ "$status" -eq 1 ]
    [ "$output" = "$(printf '%s\n' "$@")" ] || { echo "$output"; false; }
}

@test "this source tree is clean" {
    run python3 "$VDB_SOURCE_DIR/tests/lint/lint.py" "$VDB_SOURCE_DIR"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "tests/fault/README.md has the list of mutants that mutants.txt has" {
    run python3 "$VDB_SOURCE_DIR/tests/fault/mutants.py" --check
    echo "$output"
    [ "$status" -eq 0 ]
    cp "$VDB_SOURCE_DIR"/tests/fault/mutants.* "$VDB_SOURCE_DIR/tests/fault/README.md" "$tree"
    sed -i '0,/^says: /s//&another /' "$tree/mutants.txt"
    run python3 "$tree/mutants.py" --check
    [ "$status" -eq 1 ]
}

@test "a sound tree passes" {
    file lib/store/high.c '#include "store/high.h"' '#include "base/low.h"' '#include "vdb.h"'
    file tools/vdb-x.c '#include "cli.h"' '#include "vdb.h"'
    file tests/unit/test_x.c '#include "store/high.h"'
    lint
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "a lower floor including a higher one is caught" {
    file lib/base/low.c '#include "vdb.h"' '#include "store/high.h"'
    caught 'lib/base/low.c:4: floor 0 includes lib/store/high.h of floor 3'
}

@test "the same by a relative path is caught" {
    file lib/base/low.c '#  include "../store/high.h"'
    caught 'lib/base/low.c:3: floor 0 includes lib/store/high.h of floor 3'
}

@test "a tool looking behind vdb.h is caught" {
    file tools/vdb-x.c '#include "base/low.h"'
    caught 'tools/vdb-x.c:3: a tool includes lib/base/low.h; vdb.h is all it may see of lib/'
}

@test "the library including a tool's header is caught" {
    file lib/store/high.c '#include "cli.h"'
    caught 'lib/store/high.c:3: the library includes tools/cli.h'
}

@test "a header that is not guarded by its path is caught" {
    file lib/base/low.h '#include "vdb.h"' '#ifndef VDB_BASE_LOW_H'
    file lib/store/high.h '#ifndef VDB_HIGH_H'
    caught 'lib/base/low.h:1: is not guarded by VDB_BASE_LOW_H' \
        'lib/store/high.h:1: is not guarded by VDB_STORE_HIGH_H'
}

@test "an include of a .c file, and of no file, is caught" {
    file lib/base/low.c '#include "part.c"' '#include "gone.h"'
    caught 'lib/base/low.c:3: includes a .c file, part.c' \
        'lib/base/low.c:4: includes gone.h, which is not in the tree'
}

@test "a folder without a floor, and a floor without a folder, are caught" {
    mkdir "$tree/lib/attic"
    rm -r "$tree/lib/store"
    caught 'lib/README.md:1: tells of store/high, which is not there' \
        'lib/README.md:1: the table has no floor for lib/attic' \
        'lib/README.md:1: the table names store, which is not a folder of lib/'
}

@test "a file that does not say what it is, or without a licence, is caught" {
    printf '/* other.c: a file.\n * %s */\n' "$spdx" > "$tree/lib/base/low.c"
    printf '/* tidy.c: a file. */\n' > "$tree/lib/base/tidy.c"
    printf '/* run.c: a file. %s */\n' "$spdx" > "$tree/lib/base/run.c"
    printf '| `base/tidy` | tidy |\n| `base/run` | run |\n' >> "$tree/lib/README.md"
    caught 'lib/base/low.c:1: does not open with its name, a colon and what it is' \
        "lib/base/run.c:1: has no line $spdx" "lib/base/tidy.c:1: has no line $spdx"
}

@test "a file above 700 lines is caught" {
    file lib/base/low.c "$(yes 'extern int x;' | head -n 699)"
    caught 'lib/base/low.c:701: has 701 lines, above 700'
}

@test "a function above 90 lines is caught, one of 90 is not" {
    file lib/base/low.c 'void f(void)' '{' "$(yes '    f();' | head -n 90)" '}'
    caught 'lib/base/low.c:4: a function of 91 lines, above 90'
    file lib/base/low.c 'void f(void)' '{' "$(yes '    f();' | head -n 89)" '}'
    lint
    [ "$status" -eq 0 ]
}

@test "leftovers are caught in any file" {
    file lib/base/low.c '/* TODO: think */'
    echo 'FIXME' > "$tree/notes"
    caught 'lib/base/low.c:3: TODO: do it, or open an issue' \
        'notes:1: FIXME: do it, or open an issue'
}

@test "paths of one machine are caught" {
    echo 'see /home/someone/vdb' > "$tree/notes"
    caught 'notes:1: names a path of one machine'
    echo 'see ~/home/someone and docs/work/plan' > "$tree/notes"
    lint
    [ "$status" -eq 0 ]
}

@test "the library printing or exiting is caught, speaking of it is not" {
    file lib/base/low.c '/* never exit(1) */ const char *a = "printf(";' 'int b = snprintf(0, 0, a);' \
        'int c = printf(a);' '    exit(1);'
    caught 'lib/base/low.c:5: the library calls printf' 'lib/base/low.c:6: the library calls exit'
}

@test "white space at a line's end, and a missing last newline, are caught" {
    file lib/base/low.c 'int a; '
    printf 'int b;' >> "$tree/lib/base/low.c"
    caught 'lib/base/low.c:3: white space at the end of the line' \
        'lib/base/low.c:4: no newline at the end of the file'
}

# But for the list of open locks: a child of fork must find what it has to close.
@test "the library has no writable data" {
    [ "$VDB_MODE" = release ] || skip "sanitizers and coverage add data of their own"
    # Constants with pointers in them are .data.rel.ro, which is fine.
    nm -f sysv "$VDB_BUILD/libvdb.a" > "$BATS_TEST_TMPDIR/symbols"
    grep -q 'vdb_open *|.*|\.text' "$BATS_TEST_TMPDIR/symbols"
    run awk -F'|' '$7 ~ /^(\.data|\.data\.rel|\.data\.rel\.local|\.t?bss|\.tdata|\*COM\*)$/ {
        if ($1 !~ /^(all_open|open_lock|watch_once) *$/) print $1, $7 }' "$BATS_TEST_TMPDIR/symbols"
    echo "$output"
    [ -z "$output" ]
}

@test "every module has its sentence in the floor plan, and every sentence its module" {
    file lib/base/other.c
    caught 'lib/README.md:1: says nothing of base/other'
    rm "$tree/lib/base/other.c" "$tree/lib/store/high.h"
    caught 'lib/README.md:1: tells of store/high, which is not there'
}
