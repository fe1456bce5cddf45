#!/usr/bin/env bats
# install.bats: what `make install` puts down works by itself: tools, library, header, pkg-config.
# SPDX-License-Identifier: BSD-2-Clause

setup_file() {
    export PREFIX_DIR=$BATS_FILE_TMPDIR/prefix
    unset MAKEFLAGS MAKELEVEL MFLAGS
    make -C "$VDB_SOURCE_DIR" MODE="$VDB_MODE" PREFIX="$PREFIX_DIR" install >&2
    export PKG_CONFIG_PATH=$PREFIX_DIR/lib/pkgconfig
    export PATH=$PREFIX_DIR/bin:$PATH
}

setup() {
    work=$BATS_TEST_TMPDIR
    cd "$work"
}

# A sanitizer's run-time has to be in the program where it is in the library.
sanitizer() {
    case $VDB_MODE in
    asan) echo -fsanitize=address,undefined ;;
    ubsan) echo -fsanitize=undefined ;;
    tsan) echo -fsanitize=thread ;;
    coverage) echo --coverage ;;
    esac
}

public_functions() {
    sed '/^#/d' "$PREFIX_DIR/include/vdb.h" | tr '\n' ' ' | sed 's|/\*|\n/*|g; s|\*/|*/\n|g' |
        grep -v '^/\*' | tr ';' '\n' | sed -n 's/.*\<\(vdb_[a-z0-9_]*\)(.*/\1/p' | sort
}

@test "each tool is there and runs from there, the source tree not needed" {
    for page in "$VDB_SOURCE_DIR"/tools/vdb-*.c; do
        tool=$(basename "$page" .c)
        [ "$tool" != vdb-hdf5 ] || continue
        run "$PREFIX_DIR/bin/$tool" --version
        [ "$status" -eq 0 ]
        run ldd "$PREFIX_DIR/bin/$tool"
        [[ $output != *"not found"* && $output != *"$VDB_SOURCE_DIR"* ]]
    done
}

@test "no tool loads libhdf5 or needs an installed libvdb; the helper alone does" {
    for tool in "$PREFIX_DIR"/bin/vdb-*; do
        run ldd "$tool"
        [ "$status" -eq 0 ]
        [[ $output == *libc.so* && $output != *hdf5* && $output != *libvdb* ]]
    done
    run ldd "$PREFIX_DIR/libexec/vdb/vdb-hdf5"
    [[ $output == *hdf5* ]]
}

@test "a search loads what the library needs and nothing else" {
    [ "$VDB_MODE" = release ] || skip "other builds load run-times of their own"
    for archive in libjansson.a libz.a; do
        [[ $("${CC:-cc}" -print-file-name=$archive) == /* ]] || skip "no $archive to link into the tools"
    done
    run ldd "$PREFIX_DIR/bin/vdb-search"
    [ "$status" -eq 0 ]
    others=$(awk '{print $1}' <<<"$output" |
        grep -vE '^(linux-vdso|lib(c|m|pthread|xxhash|lz4))\.so|/ld-linux' || true)
    [ -z "$others" ] || { echo "$others"; false; }
}

@test "an installed tool finds the installed helper, and without it says what is missing" {
    helper=$PREFIX_DIR/libexec/vdb/vdb-hdf5
    echo '{"id": "a", "vector": [1, 2]}' | vdb-add -q --create a.vdb
    vdb-get --format hdf5 --output a.h5 a.vdb
    vdb-add -q --create b.vdb a.h5
    [ "$(vdb-get --format tsv b.vdb | cut -f 2-)" = "$(vdb-get --format tsv a.vdb | cut -f 2-)" ]
    mv "$helper" "$helper.away"
    run vdb-add -q --create c.vdb a.h5
    mv "$helper.away" "$helper"
    [ "$status" -ne 0 ]
    [[ $output == *vdb-hdf5* ]]
    [ ! -e c.vdb ]
}

@test "libvdb.so has its SONAME, and shows the functions of vdb.h and nothing else" {
    run objdump -p "$PREFIX_DIR/lib/libvdb.so"
    [[ $output =~ SONAME\ +libvdb\.so\.0 ]]
    public_functions > declared
    [ "$(wc -l < declared)" -ge 20 ]
    nm -D --defined-only "$PREFIX_DIR/lib/libvdb.so.0" | awk '$2 == "T" {sub(/@.*/, "", $3); print $3}' |
        sort > shown
    diff declared shown
    # Beside functions there is the name of the version, and no data.
    run sh -c "nm -D --defined-only '$PREFIX_DIR/lib/libvdb.so.0' | grep -Ev ' (T vdb_|A VDB_)'"
    [ -z "$output" ] || [ "$VDB_MODE" != release ]
}

@test "libvdb.a shows no name but those of vdb.h" {
    [ "$VDB_MODE" = release ] || skip "sanitizers and coverage add names of their own"
    public_functions > declared
    nm -g --defined-only "$PREFIX_DIR/lib/libvdb.a" | awk 'NF == 3 {print $3}' | sort > shown
    diff declared shown
}

@test "the program in the README compiles by pkg-config and runs" {
    # The block of C behind the mark, as a reader would copy it.
    awk '/<!-- program -->/ {found = 1} found && /^```$/ {exit} inside {print}
         found && /^```c$/ {inside = 1}' "$VDB_SOURCE_DIR/README.md" > program.c
    [ "$(wc -l < program.c)" -ge 10 ]
    # shellcheck disable=SC2046 # flags, one word each
    ${CC:-cc} -std=c11 -Wall -Wextra -Werror $(sanitizer) program.c -o program \
        $(pkg-config --cflags --libs vdb)
    LD_LIBRARY_PATH=$PREFIX_DIR/lib run ./program
    echo "$output"
    [ "$status" -eq 0 ]
    [ -n "$output" ]
}

@test "the same program links statically to libvdb" {
    [ "$VDB_MODE" = release ] || skip "one build is enough"
    awk '/<!-- program -->/ {found = 1} found && /^```$/ {exit} inside {print}
         found && /^```c$/ {inside = 1}' "$VDB_SOURCE_DIR/README.md" > program.c
    # shellcheck disable=SC2046
    ${CC:-cc} -std=c11 $(pkg-config --cflags vdb) program.c -o program \
        "$PREFIX_DIR/lib/libvdb.a" $(pkg-config --static --libs vdb | sed 's/-lvdb//')
    run ldd ./program
    [[ $output != *libvdb* ]]
    run ./program
    [ "$status" -eq 0 ]
}

@test "vdb.h is C++, too" {
    cat > program.cc << 'END'
#include <vdb.h>
#include <cstdio>
int main()
{
    vdb_open_options open = VDB_OPEN_OPTIONS_INIT;
    vdb_search_options search = VDB_SEARCH_OPTIONS_INIT;
    return open.size == sizeof open && search.k == 10 && std::puts(vdb_version()) > 0 ? 0 : 1;
}
END
    # shellcheck disable=SC2046
    g++ -std=c++11 -Wall -Wextra -Wpedantic -Werror $(sanitizer) program.cc -o program \
        $(pkg-config --cflags --libs vdb)
    LD_LIBRARY_PATH=$PREFIX_DIR/lib run ./program
    [ "$status" -eq 0 ]
    [ "$output" = "$(pkg-config --modversion vdb)" ]
}

@test "DESTDIR is put before every path and into no file" {
    make -C "$VDB_SOURCE_DIR" MODE="$VDB_MODE" DESTDIR="$work/stage" PREFIX=/opt/vdb install
    [ -x stage/opt/vdb/bin/vdb-search ]
    [ -e stage/opt/vdb/lib/libvdb.so.0 ]
    grep -qx 'prefix=/opt/vdb' stage/opt/vdb/lib/pkgconfig/vdb.pc
    run grep -rl --include=vdb.pc "$work" stage
    [ -z "$output" ]
    [ "$(ls -A stage)" = opt ]
}

@test "each man page is installed, and mandoc has no fault to find" {
    for page in "$VDB_SOURCE_DIR"/tools/*.1; do
        cmp "$page" "$PREFIX_DIR/share/man/man1/$(basename "$page")"
    done
    for tool in "$PREFIX_DIR"/bin/vdb-*; do
        [ -e "$PREFIX_DIR/share/man/man1/$(basename "$tool").1" ]
    done
    mandoc -T lint -W warning "$PREFIX_DIR"/share/man/man1/*.1
}
