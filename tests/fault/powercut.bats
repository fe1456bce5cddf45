#!/usr/bin/env bats
# powercut.bats: the tools write on a real file system, the power of the disk below it is cut in
# mid-run, and the file system is mounted again and looked at (powercut.py).
#
# What a cut shows. The disk is a program (powercut_disk.c) below a loop device, which sees each
# write and each flush that the kernel sends. A cut is a moment between two of them: the copy is
# what has been flushed by then, and of what has not been, nothing, all, the first few, or sectors
# drawn one by one, as a disk may keep them that has a write cache. Dirty pages of the kernel's never
# come into the copy, since they have not been sent. So it is a legitimate power cut, of one instant,
# and stricter than a copy of the image file of a common loop device, which is torn in time where
# writing goes on, and has all that was sent as if it were flushed.
#
# What it cannot show: disks that say they have flushed and have not; sectors of 512 bytes that are
# torn themselves; file systems other than ext4; this kernel's own faults above the loop device.
# SPDX-License-Identifier: BSD-2-Clause

setup() {
    load ../tools/common
    common_setup
    DISK=$VDB_BUILD/tests/aid/powercut_disk
}

# Mounts, loop devices and processes end with the namespaces, however the command ends.
apart() {
    timeout -k 10 "$1" unshare --mount --pid --fork --kill-child --propagation private \
        --mount-proc "${@:2}"
}

may_mount() {
    [ "$(id -u)" -eq 0 ] || skip 'not root, who alone may mount'
    [ -w /dev/fuse ] || skip 'no /dev/fuse'
    command -v mkfs.ext4 >/dev/null || skip 'no mkfs.ext4'
    truncate -s 8M probe
    mkfs.ext4 -q -F probe
    mkdir probed
    apart 20 mount -t ext4 -o loop probe probed 2>why || skip "no loop mounts here: $(tail -n 1 why)"
    rm -r probe probed
}

# named HOW: see cut_before_name.
named() {
    may_mount
    [[ $VDB_MODE != [at]san ]] || skip "a sanitizer's runtime wants to be loaded before the shim"
    apart 120 python3 "$HERE/powercut.py" "$DISK" "$1" "$VDB_BUILD/tests/aid/shim.so"
}

# cuts MODE SHARE: of ext4's data modes; a part of a hundred of all cuts.
cuts() {
    local all=8 seed=${POWERCUT_SEED:-$RANDOM}
    [[ $VDB_MODE != [at]san ]] || skip "it is about the medium, and takes its time"
    [ "$VDB_MODE" = release ] && all=20
    may_mount
    all=$((${POWERCUT_CUTS:-$all} * $2 / 100))
    if ! apart $((120 + 10 * all)) python3 "$HERE/powercut.py" "$DISK" "$1" $all "$seed" >out 2>&1; then
        echo "seed $seed"
        cat out
        return 1
    fi
    sed 's/^/# /' out >&3
    ! grep "$PWD" /proc/mounts
}

@test "after a power cut the index opens, sound, with all that was acknowledged and no half of a batch" {
    cuts ordered 50
}

@test "the same where ext4 writes data and metadata in any order" {
    cuts writeback 50
}

@test "a commit to a compacted index is acknowledged only when the new file's name is durable" {
    named compact
}

@test "a commit to a new index is acknowledged only when its name is durable" {
    named create
}
