#!/usr/bin/env bats
# harden.bats: what the built files carry against attacks on defects in them, read from the files.
# SPDX-License-Identifier: BSD-2-Clause

setup() {
    [ "$VDB_MODE" = release ] || skip "sanitizers stand in for it"
    unset MAKEFLAGS MAKELEVEL MFLAGS CFLAGS CPPFLAGS LDFLAGS
    programs=("$VDB_BIN"/vdb-* "$VDB_BUILD"/libexec/vdb/vdb-hdf5)
    linked=("${programs[@]}" "$VDB_BUILD/libvdb.so.0")
}

# each PATTERN FILE...: readelf shows a line like it for every file.
each() {
    local pattern=$1 file
    shift
    [ $# -gt 0 ]
    for file; do
        readelf -hldW "$file" | grep -Eq "$pattern" || { echo "$file: no line like $pattern"; return 1; }
    done
}

# none PATTERN FILE...: readelf shows it for no file.
none() {
    local pattern=$1 file
    shift
    [ $# -gt 0 ]
    for file; do
        ! readelf -hldW "$file" | grep -E "$pattern" || { echo "$file: has a line like $pattern"; return 1; }
    done
}

# What gcc is given for a file of the library, and for a tool, with these words for make.
commands() {
    make -C "$VDB_SOURCE_DIR" -n -B V=1 MODE="$VDB_MODE" CC="${CC:-gcc}" "$@" \
        "build/$VDB_MODE/obj/lib/base/buf.o" "build/$VDB_MODE/bin/vdb-log" |
        grep -E -- '-o build/[a-z]*/(obj/lib/base/buf.o|bin/vdb-log) '
}

@test "every program is position-independent" {
    [ "${#programs[@]}" -ge 10 ]
    each 'Type: +DYN \(' "${linked[@]}"
    each '\(FLAGS_1\).* PIE' "${programs[@]}"
}

@test "addresses are bound at the start, and then no longer writable" {
    each 'GNU_RELRO' "${linked[@]}"
    each '\(FLAGS\) +(.* )?BIND_NOW' "${linked[@]}"
}

@test "no text is written to, and no stack is run" {
    none 'TEXTREL' "${linked[@]}"
    each 'GNU_STACK .* RW +0x' "${linked[@]}"
    none ' (RWE|WE) ' "${linked[@]}"
}

@test "buffers on the stack are guarded, and calls on buffers of known size are checked" {
    for file in "${linked[@]}"; do
        nm -D "$file" | grep -q ' U __stack_chk_fail'
    done
    # Not from an archive of another package: the library has none in it.
    nm -D "$VDB_BUILD/libvdb.so.0" | grep -Eq ' U __(mem|str|v?sn?)[a-z]*_chk@'
    nm "$VDB_BUILD/obj/tools/vdb-hdf5.o" "$VDB_BUILD/obj/tools/cli.o" | grep -Eq ' U __[a-z]*_chk$'
}

@test "indirect jumps go to marked places only, where the processor can hold them to it" {
    [ "$(uname -m)" = x86_64 ] || skip "a feature of x86-64"
    # The library by itself: what it is linked with may be built without.
    readelf -n "$VDB_BUILD/libvdb.a" | grep -q 'x86 feature: IBT, SHSTK'
}

@test "the user's own flags come behind these and win" {
    run commands CFLAGS='-O3 -fno-stack-protector' LDFLAGS=-Wl,-z,lazy
    [ "${#lines[@]}" -eq 2 ]
    [[ ${lines[0]} == *-D_FORTIFY_SOURCE=2*-fstack-protector-strong*-O2*'-O3 -fno-stack-protector'* ]]
    [[ ${lines[1]} == *-pie*-z,relro,-z,now*-Wl,-z,lazy* ]]
}

@test "a level of _FORTIFY_SOURCE is defined once, and none without optimization" {
    run commands CPPFLAGS=-D_FORTIFY_SOURCE=3
    [[ ${lines[0]} == *-D_FORTIFY_SOURCE=3* && ${lines[0]} != *-D_FORTIFY_SOURCE=2* ]]
    run commands CFLAGS=-O0
    [[ ${lines[0]} != *FORTIFY* && ${lines[0]} == *-fstack-protector-strong* ]]
}

@test "a compiler that does not know a flag is not given it" {
    # shellcheck disable=SC2016 # expanded there
    printf '%s\n' '#!/bin/sh' 'for a; do case $a in -fcf-*|-fstack-clash-*) exit 1 ;; esac; done' \
        'exec gcc "$@"' > "$BATS_TEST_TMPDIR/oldcc"
    chmod +x "$BATS_TEST_TMPDIR/oldcc"
    CC=$BATS_TEST_TMPDIR/oldcc run commands
    [[ ${lines[0]} == *-fstack-protector-strong* && ${lines[0]} != *-fcf-* && ${lines[0]} != *clash* ]]
}
