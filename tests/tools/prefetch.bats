#!/usr/bin/env bats
# prefetch.bats: the compiled walk fetches what it will need; compilers have dropped such calls.
# SPDX-License-Identifier: BSD-2-Clause

fetches() { # in function $2 of object $1; without a name in all of it, as inlined as they may be
    objdump -d --no-show-raw-insn "$VDB_BUILD/obj/lib/$1.o" | awk -v name="${2:+<$2>:}" '
        name && $2 == name {inside = 1; next}
        /^$/ {inside = 0}
        (inside || !name) && /prefetch/ {n++}
        END {print n + 0}'
}

@test "walks and second measurings fetch rows ahead" {
    [ "$VDB_MODE" = release ] && [ "$(uname -m)" = x86_64 ] || skip "only in a release build for x86-64"
    [ "$(fetches index/walk)" -ge 2 ] # edges, of the next entries and of near rows
    for set in portable avx2 avx512; do # in their loops, and of what is left
        [ "$(fetches "vector/kernel_$set" "${set}_list_u8i8")" -ge 4 ]
        [ "$(fetches "vector/kernel_$set" "${set}_list_u4i8")" -ge 4 ]
    done
    [ "$(fetches search/part_search)" -ge 2 ] # the first candidates, and those further on
    [ "$(fetches search/scan)" -ge 3 ]        # live rows, and the tail's as those
}
