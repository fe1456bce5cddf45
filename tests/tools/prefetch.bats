#!/usr/bin/env bats
# prefetch.bats: the compiled walk fetches what it will need; compilers have dropped such calls.
# SPDX-License-Identifier: BSD-2-Clause

fetches() { # in function $2 of object $1
    objdump -d --no-show-raw-insn "$VDB_BUILD/obj/lib/$1.o" | awk -v name="<$2>:" '
        $2 == name {inside = 1; next}
        /^$/ {inside = 0}
        inside && /prefetch/ {n++}
        END {print n + 0}'
}

@test "walks and second measurings fetch rows ahead" {
    [ "$VDB_MODE" = release ] && [ "$(uname -m)" = x86_64 ] || skip "only in a release build for x86-64"
    # One loop a kind of distance: rows and their norms ahead, what is left of them, and edges.
    [ "$(fetches index/walk walk_run)" -ge 20 ]
    [ "$(fetches search/search search_chunk)" -ge 1 ]
}
