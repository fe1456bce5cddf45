#!/usr/bin/env bats
# hdf5.bats: the helper in which libhdf5 lives has nothing but its descriptors, some memory and some
# time, whatever file it is given.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup_file() {
    export T=$BATS_FILE_TMPDIR
    for name in inside oldkernel; do
        # shellcheck disable=SC2046 # flags, one word each
        ${CC:-cc} -D_GNU_SOURCE -shared -fPIC "$VDB_SOURCE_DIR/tests/tools/preload/$name.c" \
            -o "$T/$name.so" $(pkg-config --cflags hdf5)
    done
}

setup() {
    common_setup
    helper=$VDB_BUILD/libexec/vdb/vdb-hdf5
    hostile=$VDB_BUILD/tests/aid/hostile_hdf5
}

# What the kernel here can do, as the helper tells it.
has() { "$helper" --version | grep -q ", by $1"; }

@test "while it runs: no new privileges, a filter, no descriptor but three, small limits" {
    "$hostile" large large.h5
    mkfifo rows
    exec 7<>rows 8</etc/passwd # what others hold open
    "$helper" read train <large.h5 >rows 2>said &
    pid=$!
    # It waits for somebody to read.
    until_true grep -q '^NoNewPrivs:.1' /proc/$pid/status
    until_true grep -q '^State:.S' /proc/$pid/status
    if has seccomp; then grep -q '^Seccomp:.2' /proc/$pid/status; fi
    [ "$(ls /proc/$pid/fd | tr '\n' ' ')" = '0 1 2 ' ]
    # 1 GiB and eight times the file.
    size=$(stat -c %s large.h5)
    grep -q "^Max address space  *$(((1 << 30) + 8 * size))  *$(((1 << 30) + 8 * size)) " /proc/$pid/limits
    grep -q '^Max core file size  *0  *0 ' /proc/$pid/limits
    grep -q '^Max open files  *3  *3 ' /proc/$pid/limits
    kill $pid
}

@test "a file that takes it over can do nothing" {
    has seccomp || skip "no seccomp here"
    "$hostile" large large.h5
    HOME=/ LD_PRELOAD=$T/inside.so run "$helper" read train <large.h5
    [ "$status" -eq 65 ]
    same "$output" 'that is all'
}

@test "where there is no seccomp, Landlock keeps files away" {
    has Landlock || skip "no Landlock here"
    "$hostile" large large.h5
    OLDKERNEL_LANDLOCK=1 LD_PRELOAD="$T/oldkernel.so $T/inside.so" run "$helper" read train <large.h5
    [[ $output != *'opening a file'* && $output != *'making a file'* ]]
    [[ $output == *'asking for a file is possible'* ]]
    output=$(LD_PRELOAD="$T/oldkernel.so $T/inside.so" "$helper" read train <large.h5 2>&1 || true)
    [[ $output == *'opening a file is possible; making a file is possible; '* ]]
}

@test "kernels and containers without: files are read as ever, and --version tells" {
    make_abc
    vdb-get --format hdf5 --output abc.h5 abc.vdb
    OLDKERNEL=22 LD_PRELOAD=$T/oldkernel.so run "$helper" --version
    same "${lines[1]}" "confined by limits on memory and time; without seccomp, which is not in this \
kernel; without Landlock, which is not in this kernel"
    OLDKERNEL=1 LD_PRELOAD=$T/oldkernel.so run "$helper" --version
    [[ ${lines[1]} == *'without seccomp, which is denied here; without Landlock, which is not'* ]]
    OLDKERNEL=1 LD_PRELOAD=$T/oldkernel.so ends 0 vdb-add --quiet --create copy.vdb abc.h5
    same "$(vdb-get --format tsv copy.vdb | cut -f 2-)" "$(vdb-get --format tsv abc.vdb | cut -f 2-)"
    OLDKERNEL=1 LD_PRELOAD=$T/oldkernel.so vdb-get --format hdf5 --output again.h5 abc.vdb
    vdb-add --quiet --create again.vdb again.h5
    same "$(vdb-get again.vdb)" "$(vdb-get copy.vdb)"
}

@test "--version of the tools that read or write HDF5 tells it, too" {
    for tool in add get search bench; do
        ends 0 vdb-$tool --version
        same "${lines[1]}" "HDF5 helper: $("$helper" --version | tail -n 1)"
    done
}

@test "bytes of another file come by no way, confined or not" {
    printf 'secret' >other
    "$hostile" external ids.h5 "$PWD/other"
    "$hostile" large large.h5
    "$hostile" link link.h5 "$PWD/large.h5"
    for preload in '' "$T/oldkernel.so"; do
        export LD_PRELOAD=$preload
        refused 65 'ids.h5: dataset "ids" keeps its data in other files' \
            vdb-add --create a.vdb --ids-dataset ids ids.h5
        refused 65 'link.h5: *' vdb-add --create a.vdb link.h5
    done
    unset LD_PRELOAD
    [ ! -e a.vdb ]
    # As if the helper had not looked.
    has seccomp || has Landlock || skip "nothing confines here"
    printf '%s\n' '#include <hdf5.h>' 'int H5Pget_external_count(hid_t how) { (void)how; return 0; }' >blind.c
    # shellcheck disable=SC2046
    ${CC:-cc} -shared -fPIC blind.c -o blind.so $(pkg-config --cflags hdf5)
    LD_PRELOAD=$PWD/blind.so run "$helper" read train ids <ids.h5
    [ "$status" -eq 65 ]
    [[ $output == *'dataset "ids" cannot be read from row 0 on: unable to open external raw data file'* ]]
}

@test "no plugin of libhdf5 is loaded, wherever the user has some" {
    printf '%s\n' '#include <fcntl.h>' \
        '__attribute__((constructor)) static void f(void) { open("loaded", O_CREAT | O_WRONLY, 0600); }' >plugin.c
    mkdir plugins
    ${CC:-cc} -shared -fPIC plugin.c -o plugins/plugin.so
    "$hostile" filter filter.h5
    # Nothing else stands in the way of it.
    export HDF5_PLUGIN_PATH=$PWD/plugins LD_PRELOAD=$T/oldkernel.so
    refused 65 'filter.h5: dataset "train" cannot be read from row 0 on: *filter*' \
        vdb-add --create a.vdb filter.h5
    [ ! -e loaded ]
}

@test "a chunk of 4 GB, empty or packed into a few: an error that names the file" {
    for kind in chunk bomb; do
        "$hostile" $kind $kind.h5
        refused 65 "$kind.h5: dataset \"train\" cannot be read from row 0 on: memory allocation failed*" \
            vdb-add --create a.vdb $kind.h5
    done
    [ ! -e a.vdb ]
}

@test "a file that keeps it busy without end: an error that names the file" {
    python3 "$VDB_SOURCE_DIR/tests/tools/loop_hdf5.py" loop.h5
    refused 65 'loop.h5: the HDF5 library came to no end with it in the time *' \
        vdb-add --create a.vdb loop.h5
    [ ! -e a.vdb ]
}
