#!/usr/bin/env bats
# get.bats: vdb-get reads rows back, in every format, whole or not at all.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup() {
    common_setup
    make_abc
}

bytes() { od -An -v -tx1 "$@" | tr -d ' \n'; }

# npy FILE: its header and its rows, decoded without the code under test.
npy() {
    python3 - "$1" <<'PY'
import ast, struct, sys
data = open(sys.argv[1], 'rb').read()
assert data[:8] == b'\x93NUMPY\x01\x00', data[:8]
length = struct.unpack('<H', data[8:10])[0]
assert (10 + length) % 64 == 0 and data[9 + length:10 + length] == b'\n'
head = ast.literal_eval(data[10:10 + length].decode())
rows, dim = head['shape']
code = {'<f4': 'f', '<f2': 'e', '|i1': 'b', '|u1': 'B'}[head['descr']]
body = data[10 + length:]
assert len(body) == rows * dim * struct.calcsize(code), len(body)
print(head['descr'], head['fortran_order'], head['shape'])
for row in range(rows):
    print(*struct.unpack_from('<%d%s' % (dim, code), body, row * dim * struct.calcsize(code)))
PY
}

@test "no ID: every live row, in row order, as it was given" {
    ends 0 vdb-get abc.vdb
    same "$output" "$(cat abc.jsonl)"
    [ -z "$stderr" ]
    printf '{"id": "a", "vector": [7, 7]}\n' | vdb-add --quiet abc.vdb
    ends 0 vdb-get abc.vdb
    same "$output" "$(sed 1d abc.jsonl; echo '{"id": "a", "vector": [7, 7]}')"
}

@test "ids: in the order given, as often as given" {
    ends 0 vdb-get abc.vdb c a c
    same "$output" "$(sed -n '3p;1p;3p' <(cat abc.jsonl; cat abc.jsonl) | sort -r |
        awk 'NR == 1 {c = $0; print} NR == 3 {print; print c}')"
}

@test "an id that is not there is named, the others are printed: exit 1" {
    ends 1 vdb-get abc.vdb nobody a
    [ "$output" = '{"id": "a", "vector": [1, 2]}' ]
    [ "$stderr" = "vdb-get: abc.vdb: no such id: nobody" ]
    ends 1 vdb-get abc.vdb "$(printf 'x%.0s' $(seq 2000))" ''
    [ -z "$output" ]
    ends 1 vdb-get --output out abc.vdb nobody a
    [ "$(cat out)" = '{"id": "a", "vector": [1, 2]}' ]
}

@test "deleted rows come with --include-deleted only, each id once" {
    printf '{"id": "a", "vector": [7, 7]}\n{"id": "b", "vector": [8, 8]}\n' |
        vdb-add --quiet abc.vdb
    vdb-rm abc.vdb b >/dev/null
    ends 0 vdb-get --format tsv abc.vdb
    [ "$output" = $'c\t5\t6\na\t7\t7' ]
    ends 0 vdb-get --include-deleted --format tsv abc.vdb
    [ "$output" = $'c\t5\t6\na\t7\t7\nb\t8\t8' ]
    ends 1 vdb-get abc.vdb b
    ends 0 vdb-get --include-deleted abc.vdb b
    [ "$output" = '{"id": "b", "vector": [8, 8]}' ]
    vdb-get --include-deleted --format npy abc.vdb >all.npy
    same "$(npy all.npy)" $'<f4 False (3, 2)\n5.0 6.0\n7.0 7.0\n8.0 8.0'
}

@test "what it prints vdb-add reads: a copy prints the same, ids and metadata with it" {
    printf '%s\n' '{"id": "quote\" slash\\ é 漢", "vector": [1e-30, -3.4028235e38], "metadata": {"a": [1, {"b": "\u0001 ü"}], "empty": {}}}' \
        '{"id": "{}", "vector": [0.1, 1.4e-45]}' >odd.jsonl
    vdb-add --quiet --create odd.vdb odd.jsonl
    vdb-get odd.vdb | vdb-add --quiet --create copy.vdb
    same "$(vdb-get copy.vdb)" "$(vdb-get odd.vdb)"
    python3 - odd.jsonl <(vdb-get copy.vdb) <<'PY'
import json, struct, sys
def read(path):
    return [json.loads(line) for line in open(path)]
def f32(row):
    return [struct.pack('<f', x) for x in row['vector']]
given, got = map(read, sys.argv[1:])
assert [r['id'] for r in given] == [r['id'] for r in got]
assert [r.get('metadata') for r in given] == [r.get('metadata') for r in got]
assert [f32(r) for r in given] == [f32(r) for r in got]
PY
}

@test "numbers read back as the same floats, from any of them" {
    python3 - >floats.tsv <<'PY'
import random, struct
random.seed(1)
for row in range(500):
    numbers = []
    while len(numbers) < 8:
        bits = random.getrandbits(32)
        value = struct.unpack('<f', struct.pack('<I', bits))[0]
        if value == value and abs(value) != float('inf'):
            numbers.append(repr(value))
    print('r%d' % row, *numbers, sep='\t')
PY
    vdb-add --quiet --create floats.vdb floats.tsv
    vdb-get --format tsv floats.vdb >got.tsv
    python3 - floats.tsv got.tsv <<'PY'
import struct, sys
def read(path):
    return [[struct.pack('<f', float(x)) for x in line.split('\t')[1:]] for line in open(path)]
given, got = map(read, sys.argv[1:])
assert len(given) == 500 and given == got
PY
}

@test "metadata is printed as it was stored, on one line" {
    printf '{"id": "m", "vector": [1, 1], "metadata": {"k":   1.50, "é": null}}\n' |
        vdb-add --quiet abc.vdb
    ends 0 vdb-get abc.vdb m
    python3 -c 'import json, sys
assert json.loads(sys.argv[1])["metadata"] == {"k": 1.5, "é": None}' "$output"
    [[ $output == *'"k":   1.50'* ]]
}

@test "npy holds the numbers in the type of the index" {
    for type in f32:'<f4' f16:'<f2' i8:'|i1' u8:'|u1'; do
        printf 'x\t0\t1\t100\ny\t2\t3\t127\n' |
            vdb-add --quiet --create --format tsv --type ${type%%:*} ${type%%:*}.vdb
        vdb-get --format npy ${type%%:*}.vdb >out.npy
        [[ $type == f* ]] && point=.0 || point=
        same "$(npy out.npy)" "${type#*:} False (2, 3)
0$point 1$point 100$point
2$point 3$point 127$point"
        vdb-get --format npy ${type%%:*}.vdb y >out.npy
        same "$(npy out.npy)" "${type#*:} False (1, 3)
2$point 3$point 127$point"
    done
}

@test "npy of half floats and of negative bytes has their bits" {
    python3 - <<'PY' >halves.tsv
import struct
values = [struct.unpack('<e', struct.pack('<H', bits))[0] for bits in range(0x7c00)]
for i in range(0, len(values), 256):
    print(i, *values[i:i + 256], sep='\t')
    print(-1 - i, *[-v for v in values[i:i + 256]], sep='\t')
PY
    vdb-add --quiet --create --type f16 halves.vdb halves.tsv
    vdb-get --format npy halves.vdb | tail -c +129 | bytes >got
    python3 -c '
import struct
for i in range(0, 0x7c00, 256):
    for sign in 0, 0x8000:
        print(struct.pack("<256H", *[b | sign for b in range(i, i + 256)]).hex(), end="")' >wanted
    [ "$(head -c 10 got | wc -c)" -eq 10 ]
    cmp got wanted
    printf 'x\t-128\t-1\t127\n' | vdb-add --quiet --create --format tsv --type i8 i8.vdb
    [ "$(vdb-get --format npy i8.vdb | tail -c 3 | bytes)" = 80ff7f ]
}

@test "fvecs: the dimension and the floats, a row after another" {
    ends 0 bash -c 'vdb-get --format fvecs abc.vdb a c | od -An -v -tx1 | tr -d " \n"'
    [ "$output" = 020000000000803f00000040020000000000a0400000c040 ]
}

@test "hdf5: read back with its ids, and the metric with it" {
    vdb-get abc.vdb | vdb-add --quiet --create --metric cosine cosine.vdb
    ends 0 vdb-get --format hdf5 --output out.h5 cosine.vdb
    [ "$(head -c 8 out.h5 | bytes)" = 894844460d0a1a0a ]
    vdb-add --quiet --create --ids-dataset ids copy.vdb out.h5
    same "$(vdb-get --format tsv copy.vdb)" "$(vdb-get --format tsv abc.vdb)"
    [[ $(vdb-stat copy.vdb) == *$'metric\tcosine'* ]]
    vdb-get --format hdf5 abc.vdb a b >piped.h5
    vdb-add --quiet --create --ids-dataset ids piped.vdb piped.h5
    same "$(vdb-get --format tsv piped.vdb)" "$(vdb-get --format tsv abc.vdb a b)"
    [[ $(vdb-stat piped.vdb) == *$'metric\tl2'* ]]
}

@test "an index without rows: nothing, or a file of none" {
    vdb-add --quiet --create --dim 3 none.vdb </dev/null
    ends 0 vdb-get none.vdb
    [ -z "$output" ]
    vdb-get --format npy none.vdb >out.npy
    same "$(npy out.npy)" '<f4 False (0, 3)'
    ends 0 vdb-get --format fvecs none.vdb
    [ -z "$output" ]
}

@test "--output appears complete, in the place of what was there" {
    echo old >out.jsonl
    ln -s out.jsonl link
    ends 0 vdb-get --output link abc.vdb
    [ -z "$output" ]
    [ -L link ]
    same "$(cat out.jsonl)" "$(cat abc.jsonl)"
    ends 0 vdb-get -o - abc.vdb
    same "$output" "$(cat abc.jsonl)"
    ends 0 vdb-get -o /dev/null abc.vdb
    [ -c /dev/null ]
    [ "$(ls | sort | tr '\n' ' ')" = "abc.jsonl abc.vdb link out.jsonl " ]
}

@test "an output that cannot be created: exit 73; one that cannot be written: 74" {
    refused 73 "nowhere/out: *" vdb-get --output nowhere/out abc.vdb
    refused 73 "nowhere/out.h5: *" vdb-get --format hdf5 --output nowhere/out.h5 abc.vdb
    refused 74 "/dev/full: *" vdb-get --output /dev/full abc.vdb
    mkdir folder
    refused 73 "folder: *" vdb-get --output folder abc.vdb
    [ "$(ls | sort | tr '\n' ' ')" = "abc.jsonl abc.vdb folder " ]
}

@test "wrong usage: a format that is none, binary for a terminal, the index as output" {
    refused 2 "*--format*'csv'*" vdb-get --format csv abc.vdb
    refused 2 "--centroids goes with no ID, no --include-deleted and no --at*" vdb-get --centroids abc.vdb a
    refused 2 "--centroids goes with no ID, no --include-deleted and no --at*" vdb-get --centroids --include-deleted abc.vdb
    cp abc.vdb before
    ln abc.vdb same.vdb
    refused 2 "*is the index itself*" vdb-get --output abc.vdb abc.vdb
    refused 2 "*is the index itself*" vdb-get --output same.vdb abc.vdb
    cmp before abc.vdb
    command -v script >/dev/null || skip "script(1) is not here"
    for format in npy fvecs hdf5; do
        run script -qec "$VDB_BIN/vdb-get --format $format abc.vdb" /dev/null </dev/null
        [ "$status" -eq 2 ]
        [[ $output == *"terminal"* ]]
        ends 0 script -qec "$VDB_BIN/vdb-get --format $format -o out abc.vdb" /dev/null </dev/null
    done
}

@test "it reads one commit, while a writer goes on" {
    seq 3000 | awk '{print $1 "\t" $1 "\t" 1}' | vdb-add --quiet --create --format tsv many.vdb
    mkfifo pipe
    vdb-get --format tsv many.vdb >pipe &
    pid=$!
    exec 8<pipe
    read -r first <&8
    seq 3000 | vdb-rm --ids-from - many.vdb >/dev/null
    [ "$(cat <&8 | wc -l)" -eq 2999 ]
    exec 8<&-
    wait $pid
    [ -z "$(vdb-get many.vdb)" ]
}

@test "a file without write permission is read" {
    chmod 444 abc.vdb
    ends 0 vdb-get abc.vdb
    same "$output" "$(cat abc.jsonl)"
}

@test "ended by a signal: no output file, nothing left" {
    local rows=100000
    ! slow || rows=20000
    seq $rows | awk '{print $1 "\t" $1 "\t" 1}' | vdb-add --quiet --create --format tsv many.vdb
    for i in 1 2 3 4 5; do
        interruptible vdb-get --output out many.vdb 2>err &
        pid=$!
        until_true eval '! kill -0 $pid || writes_unnamed $pid'
        kill -INT $pid 2>/dev/null || true
        status=0
        wait $pid || status=$?
        [ -z "$(ls out?* 2>/dev/null)" ]
        [ $status -eq 130 ] && break
        rm -f out
    done
    # Where the signal came when the file had its name already, that is told.
    [ $status -eq 0 ] || [ ! -e out ] || grep -qx "vdb-get: ended by a signal; the output is complete" err
}
