#!/usr/bin/env bats
# deps.bats: `make deps` installs what is missing and nothing else; with all there it stays still.
#
# dpkg-query, apt-get, sudo and id are stood in for; each call is noted.
# SPDX-License-Identifier: BSD-2-Clause

setup() {
    fake=$BATS_TEST_TMPDIR/fake
    mkdir "$fake"
    export CALLS=$BATS_TEST_TMPDIR/calls
    : > "$CALLS"
    stand_in dpkg-query 'for last; do :; done; [ -e "$0.d/$last" ] && printf installed'
    stand_in apt-get 'echo "apt-get $*" >> "$CALLS"; [ "$1" = update ] || [ ! -e "$0.fails" ] || { rm "$0.fails"; exit 100; }'
    stand_in apt-cache 'case $1 in dumpavail) echo a ;; show) [ ! -e "$0.d/$2" ] || echo "$2" ;; esac'
    mkdir "$fake/apt-cache.d"
    stand_in sudo 'echo sudo >> "$CALLS"; exec "$@"'
    stand_in id 'echo 1000'
    mkdir "$fake/dpkg-query.d"
    touch "$fake/dpkg-query.d/one" "$fake/dpkg-query.d/two"
}

stand_in() {
    printf '#!/bin/sh\n%s\n' "$2" > "$fake/$1"
    chmod +x "$fake/$1"
}

deps() { PATH=$fake:/usr/bin:/bin run "$VDB_SOURCE_DIR/tests/deps" "$@"; }

@test "with all there, nothing is run and nothing said" {
    deps one two
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [ ! -s "$CALLS" ]
}

@test "only what is missing is installed, by sudo where not root" {
    deps one three two four
    [ "$status" -eq 0 ]
    [ "$(cat "$CALLS")" = "$(printf 'sudo\napt-get install -y -q --no-install-recommends three four')" ]
}

@test "root needs no sudo" {
    stand_in id 'echo 0'
    deps three
    [ "$(cat "$CALLS")" = 'apt-get install -y -q --no-install-recommends three' ]
}

@test "a machine without package lists gets them first" {
    stand_in id 'echo 0'
    touch "$fake/apt-get.fails"
    deps three
    [ "$status" -eq 0 ]
    [ "$(sed -n 2,3p "$CALLS")" = "$(printf 'apt-get update -q\napt-get install -y -q --no-install-recommends three')" ]
}

@test "where installing fails, so does it" {
    stand_in id 'echo 0'
    stand_in apt-get 'exit 100'
    deps three
    [ "$status" -ne 0 ]
}

@test "what is only worth having is installed where it is to be had, and no failure where not" {
    stand_in id 'echo 0'
    touch "$fake/apt-cache.d/four"
    deps 'one?' 'four?' 'five?' two
    [ "$status" -eq 0 ]
    [ "$(cat "$CALLS")" = 'apt-get install -y -q --no-install-recommends four' ]
    [[ $output == *'going without five'* && $output != *'without four'* ]]
}

@test "on another system, packages are named only where something is missing" {
    # A system of these programs alone, whose compiler finds no header.
    only=$BATS_TEST_TMPDIR/only
    mkdir "$only"
    ln -s "$(command -v sh)" "$only/sh"
    ln -s "$(command -v tr)" "$only/tr"
    for name in gcc g++ make bats mandoc python3 prove; do
        printf '#!/bin/sh\nexit 0\n' > "$only/$name"
        chmod +x "$only/$name"
    done
    printf '#!/bin/sh\nexit %s\n' 1 > "$only/cc"
    printf '#!/bin/sh\nexit %s\n' 0 > "$only/pkg-config"
    chmod +x "$only/cc" "$only/pkg-config"
    run env -i PATH="$only" "$VDB_SOURCE_DIR/tests/deps" libone-dev 'libtwo-dev?'
    [ "$status" -eq 1 ]
    [[ $output == *'missing here: xxhash.h lz4.h jansson.h zlib.h cmocka.h'*'libone-dev libtwo-dev' ]]
    printf '#!/bin/sh\nexit 0\n' > "$only/cc"
    run env -i PATH="$only" "$VDB_SOURCE_DIR/tests/deps" libone-dev
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}
