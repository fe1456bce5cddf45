#!/usr/bin/env bats
# readonly.bats: indexes that take no writes, and readers, who make none: no side file, no lock, no
# change of the index or of its folder. Links.
# SPDX-License-Identifier: BSD-2-Clause

load ../tools/common.bash

setup() {
    common_setup
    make_abc
    vdb-rm -q abc.vdb a >/dev/null
    echo '{"vector": [1, 2]}' >query.jsonl
    vdb-snap abc.vdb send 2 >stream
    mkdir place
    cp abc.vdb place/x.vdb
    chmod 444 place/x.vdb
    chmod 555 place
}

teardown() {
    chmod -R u+w "$BATS_TEST_TMPDIR"
}

readers() {
    cat <<'TOOLS'
vdb-get place/x.vdb
vdb-get --include-deleted place/x.vdb b
vdb-search -k 2 place/x.vdb query.jsonl
vdb-search --exact -j2 place/x.vdb query.jsonl
vdb-stat place/x.vdb
vdb-rm --list place/x.vdb
vdb-check --deep place/x.vdb
vdb-compact -q --output fresh.vdb place/x.vdb
vdb-snap place/x.vdb
vdb-snap place/x.vdb diff 1
vdb-snap place/x.vdb send
vdb-get --at 2 place/x.vdb
TOOLS
    [ ! -x "$VDB_BIN/vdb-log" ] || echo vdb-log place/x.vdb
}

writers() {
    cat <<'TOOLS'
vdb-add place/x.vdb abc.jsonl
vdb-add --batch 1 place/x.vdb abc.jsonl
vdb-rm place/x.vdb b
vdb-rm --restore place/x.vdb a
vdb-compact place/x.vdb
vdb-snap place/x.vdb create now
vdb-snap place/x.vdb restore 2
vdb-snap --force place/x.vdb recv <stream
TOOLS
}

# All that a look at the place can tell of it, but for when it was read.
look() {
    stat -c '%n %i %s %a %U %h %y %z' place place/x.vdb
    ls -A place
    cksum <place/x.vdb
}

# held COMMAND...: runs readers and writers behind COMMAND; both leave all as it was.
held() {
    local before after line
    before=$(look)
    while read -r line; do
        rm -f fresh.vdb
        ends 0 "$@" sh -c "$line" || return 1
    done < <(readers)
    while read -r line; do
        refused 73 "*x.vdb*: $refusal" "$@" sh -c "$line" || return 1
    done < <(writers)
    same "$(look)" "$before"
}

# somebody COMMAND...: where we are root, whom modes do not hold, another runs it.
somebody() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
    else
        "$@"
    fi
}

# Copies to where anybody may go.
public_place() {
    command -v setpriv >/dev/null || [ "$(id -u)" -ne 0 ] || skip "root may write, and setpriv(1) is not here"
    there=$(mktemp -d /tmp/vdb-readonly.XXXXXX)
    cp -R . "$there/work"
    mkdir "$there/bin"
    cp "$VDB_BIN"/vdb-* "$there/bin"
    chmod 755 "$there" "$there/bin"
    chmod 777 "$there/work"
    PATH=$there/bin:$PATH
    cd "$there/work"
}

@test "mode 0444 in a folder of mode 0555: readers read, writers are refused with exit 73, nothing changes" {
    public_place
    refusal="Permission denied"
    failed=
    held somebody || failed=yes
    chmod -R u+w "$there"
    cd /
    rm -r "$there"
    [ -z "$failed" ]
}

@test "no permission to read: exit 66" {
    public_place
    chmod 000 place/x.vdb
    failed=
    for tool in "vdb-get place/x.vdb" "vdb-search place/x.vdb query.jsonl" "vdb-stat place/x.vdb" \
        "vdb-check place/x.vdb" "vdb-add place/x.vdb abc.jsonl" "vdb-rm place/x.vdb b" "vdb-compact place/x.vdb"; do
        refused 66 "place/x.vdb: *Permission denied" somebody $tool || failed=yes
    done
    chmod -R u+w "$there"
    cd /
    rm -r "$there"
    [ -z "$failed" ]
}

@test "a mount that takes no writes: readers read, writers are refused with exit 73" {
    chmod 644 place/x.vdb
    chmod 755 place
    # In a mount namespace of its own, which ends with it.
    mounted() {
        unshare --mount sh -c 'mount --bind place place && mount -o remount,bind,ro place && exec "$@"' - "$@"
    }
    [ "$(id -u)" -eq 0 ] || skip "only root mounts"
    mounted true 2>/dev/null || skip "no mounts to be had here"
    ! mounted touch place/y 2>/dev/null
    refusal="Read-only file system"
    held mounted
}

@test "readers open nothing for writing, and make, rename and remove nothing" {
    command -v strace >/dev/null || skip "strace(1) is not here"
    strace -f -o trace true 2>/dev/null || skip "strace(1) may not trace here"
    case ${VDB_MODE:-release} in asan | tsan) skip "the sanitizers' runtimes open files of their own" ;; esac
    chmod 644 place/x.vdb
    chmod 755 place
    before=$(look)
    while read -r tool; do
        rm -f fresh.vdb
        ends 0 strace -f -e trace=%file,ftruncate,fallocate,pwrite64,fdatasync,fsync,fchmod,fchown,fcntl -o trace $tool
        grep -q 'place/x\.vdb' trace
        ! grep 'place' trace | grep -v fresh.vdb | grep -E 'O_CREAT|O_WRONLY|O_RDWR|O_TMPFILE|unlink|rename| link\(|linkat|symlink\(|chmod|chown|truncate|utime' ||
            { echo "$tool"; return 1; }
        # The lock of format-spec/writing.md's VDB_LOCK_NEW is one of the file that is being made.
        ! grep -E 'F_(OFD_)?SETLK' trace | grep -v "l_start=$((0x4000000000000002)), l_len=1})" ||
            { echo "$tool takes a lock"; return 1; }
        [[ $tool == *--output* ]] || ! grep -E 'O_CREAT|O_WRONLY|O_RDWR|O_TMPFILE|pwrite|fallocate|f(data)?sync' trace ||
            { echo "$tool"; return 1; }
    done < <(readers)
    same "$(look)" "$before"
}

@test "a symbolic link is followed: what it leads to is changed, and the link stays one" {
    mkdir links
    ln -s ../abc.vdb links/one.vdb
    ln -s one.vdb links/two.vdb
    ends 0 vdb-add links/two.vdb abc.jsonl
    ends 0 vdb-rm links/two.vdb c
    inode=$(stat -c %i abc.vdb)
    ends 0 vdb-compact links/two.vdb
    [ "$(stat -c %i abc.vdb)" != "$inode" ]
    [ "$(readlink links/two.vdb) $(readlink links/one.vdb)" = "one.vdb ../abc.vdb" ]
    [ "$(ls -A links)" = $'one.vdb\ntwo.vdb' ]
    [ -f abc.vdb ] && [ ! -L abc.vdb ]
    same "$(vdb-get --format tsv links/two.vdb)" $'a\t1\t2\nb\t0.1\t-0.5'
    ends 0 vdb-check --deep abc.vdb
    # One that leads nowhere is not filled in.
    ln -s nowhere.vdb links/three.vdb
    ends 66 vdb-add links/three.vdb abc.jsonl
    [ ! -e links/nowhere.vdb ]
}

@test "a symbolic link to what is not there yet: what is made lies where it leads, and the link stays one" {
    mkdir links far
    vdb-snap abc.vdb send >stream
    vdb-get abc.vdb >live.jsonl
    # makes FILE COMMAND...: it makes links/FILE, which leads to far/FILE through another link.
    makes() {
        local file=$1
        shift
        ln -s hop-$file links/$file
        ln -s ../far/$file links/hop-$file
        ends 0 "$@" || return 1
        [ "$(readlink links/$file) $(readlink links/hop-$file)" = "hop-$file ../far/$file" ] || return 1
        [ -f far/$file ] && [ ! -L far/$file ]
    }
    makes add.vdb vdb-add --create links/add.vdb live.jsonl
    makes recv.vdb vdb-snap links/recv.vdb recv <stream
    makes out.vdb vdb-compact -o links/out.vdb abc.vdb
    makes saved.vdb vdb-check --salvage links/saved.vdb abc.vdb
    for index in add recv out saved; do
        ends 0 vdb-check --deep far/$index.vdb
        same "$(vdb-get --format tsv links/$index.vdb)" "$(vdb-get --format tsv abc.vdb)"
    done
    makes get.jsonl vdb-get --output links/get.jsonl abc.vdb
    same "$(cat far/get.jsonl)" "$(vdb-get abc.vdb)"
    makes get.h5 vdb-get --format hdf5 --output links/get.h5 abc.vdb
    makes search.txt vdb-search --like b --output links/search.txt abc.vdb
    # What is there is replaced where it lies, too.
    ends 0 vdb-get --format tsv --output links/get.jsonl abc.vdb
    same "$(cat far/get.jsonl)" "$(vdb-get --format tsv abc.vdb)"
    [ "$(ls -A far)" = "$(printf '%s\n' add.vdb get.h5 get.jsonl out.vdb recv.vdb saved.vdb search.txt)" ]
    [ -z "$(find links -type f)" ]
    [ "$(readlink links/get.jsonl)" = hop-get.jsonl ]
}

@test "symbolic links that lead round in a circle, or into no folder: an error that says so" {
    vdb-snap abc.vdb send >stream
    ln -s two one
    ln -s one two
    ln -s nowhere/new.vdb astray
    refused 66 "one: *Too many levels of symbolic links" vdb-add --create one abc.jsonl
    refused 66 "one: *Too many levels of symbolic links" vdb-snap one recv <stream
    refused 73 "one: *Too many levels of symbolic links" vdb-compact -o one abc.vdb
    refused 73 "one: *Too many levels of symbolic links" vdb-get --output one abc.vdb
    refused 73 "one: *Too many levels of symbolic links" vdb-get --format hdf5 --output one abc.vdb
    refused 73 "astray: *No such file or directory" vdb-add --create astray abc.jsonl
    refused 73 "astray: *No such file or directory" vdb-snap astray recv <stream
    refused 73 "astray: *No such file or directory" vdb-compact -o astray abc.vdb
    refused 73 "astray: *No such file or directory" vdb-get --output astray abc.vdb
    [ "$(readlink one) $(readlink two) $(readlink astray)" = "two one nowhere/new.vdb" ]
}

@test "a hard-linked index: compaction is refused with the reason, all else goes" {
    ln abc.vdb other.vdb
    cp abc.vdb before
    refused 73 "abc.vdb: the index has 2 hard links, which compaction would part" vdb-compact abc.vdb
    cmp before abc.vdb
    [ "$(stat -c %i abc.vdb)" = "$(stat -c %i other.vdb)" ]
    [ -z "$(ls -A | grep '^\.')" ]
    ends 0 vdb-compact --output fresh.vdb abc.vdb
    ends 0 vdb-add abc.vdb abc.jsonl
    ends 0 vdb-rm other.vdb b
    same "$(vdb-get --format tsv abc.vdb)" "$(vdb-get --format tsv other.vdb)"
    rm other.vdb
    ends 0 vdb-compact abc.vdb
}
