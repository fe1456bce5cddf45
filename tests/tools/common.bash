# common.bash: what the tests of the tools share: a folder of their own, the tools that were built,
# and checks of how a tool ends.
# SPDX-License-Identifier: BSD-2-Clause
bats_require_minimum_version 1.5.0

common_setup() {
    : "${VDB_BIN:?is to be the folder of the tools under test}"
    HERE=$(cd "$BATS_TEST_DIRNAME" && pwd)
    PATH=$VDB_BIN:$PATH
    unset VDB_ISA
    mkdir "$BATS_TEST_TMPDIR/work" # bats keeps files of its own above
    cd "$BATS_TEST_TMPDIR/work"
}

# Whether the tools were compiled for a sanitizer, or for coverage: what they do then takes ten times
# as long, and what there is to see in them is seen in fewer rows.
slow() { [[ ${VDB_MODE:-release} == @(asan|ubsan|tsan|coverage) ]]; }

# ends STATUS COMMAND...: runs it, with $output as its stdout, $stderr apart, and holds the status.
ends() {
    local wanted=$1
    shift
    run --separate-stderr "$@"
    if [ "$status" -ne "$wanted" ]; then
        echo "ended with $status, not $wanted: $*"
        echo "stdout: $output"
        echo "stderr: $stderr"
        return 1
    fi
}

# refused STATUS PATTERN COMMAND...: ends so, with nothing on stdout and one sentence on stderr
# that begins with the tool's name and matches the glob PATTERN. Wrong usage has a hint as well.
refused() {
    local wanted=$1 pattern=$2 sentences
    shift 2
    ends "$wanted" "$@"
    sentences=$(printf '%s\n' "$stderr" | grep -vc "^Try 'vdb-[a-z]* --help'\.$" || true)
    if [ -n "$output" ] || [ "$sentences" -ne 1 ] || [[ $stderr != vdb-*:\ $pattern ]]; then
        echo "wanted: vdb-...: $pattern"
        echo "stdout: $output"
        echo "stderr: $stderr"
        return 1
    fi
}

same() {
    if [ "$1" != "$2" ]; then
        diff <(printf '%s\n' "$1") <(printf '%s\n' "$2")
        return 1
    fi
}

# All that an index says: its rows, its deleted rows, and the number of its commit.
content() {
    vdb-get --include-deleted "$1"
    vdb-rm --list "$1"
    vdb-stat "$1" | grep '^commit	'
}

# The index abc.vdb: rows a, b and c of two dimensions, one of them with metadata.
make_abc() {
    printf '%s\n' '{"id": "a", "vector": [1, 2]}' \
        '{"id": "b", "vector": [0.1, -0.5], "metadata": {"lang": "en", "year": 2021}}' \
        '{"id": "c", "vector": [5, 6]}' >abc.jsonl
    vdb-add --quiet --create "$@" abc.vdb abc.jsonl
}

# In the background bash has its children ignore SIGINT; this one does not.
interruptible() {
    exec perl -e '@SIG{qw(INT HUP TERM)} = ("DEFAULT") x 3; exec @ARGV or die "$ARGV[0]: $!\n"' -- "$@"
}

# writes_unnamed PID: whether it has a file open that has no name, or a passing one.
writes_unnamed() {
    ls -l "/proc/$1/fd" | grep -E '\(deleted\)|\.new-'
}

# until_true COMMAND...: waits for it, half a minute at most.
until_true() {
    local i
    for i in $(seq 600); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.05
    done
    echo "did not come true: $*"
    return 1
}
