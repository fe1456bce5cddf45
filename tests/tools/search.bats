#!/usr/bin/env bats
# search.bats: vdb-search finds what brute force finds, prints it as documented, and says what is wrong.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

brute() { python3 "$BATS_TEST_DIRNAME/brute.py" "$@"; }
layout() { python3 "$BATS_TEST_DIRNAME/layout.py" "$@"; }

setup_file() {
    PATH=$VDB_BIN:$PATH
    cd "$BATS_FILE_TMPDIR"
    brute make 400 9 1 > data.jsonl
    brute make 50 9 2 q > queries.jsonl
    for metric in l2 cosine ip; do
        vdb-add -q --create --metric $metric $metric.vdb data.jsonl
    done
    # Three points on a line, with distances that need no computing.
    printf '%s\n' '{"id":"a","vector":[0,0],"metadata":{"n":1}}' '{"id":"b","vector":[3,4]}' \
        '{"id":"c","vector":[6,8],"metadata":{"t":"x\ty","u":[1, 2]}}' > line.jsonl
    vdb-add -q --create line.vdb line.jsonl
}

setup() {
    common_setup
    T=$BATS_FILE_TMPDIR
}

origin() { printf '{"vector":[0,0]}\n'; }

# ---- what is found --------------------------------------------------------------------------

@test "l2 is the Euclidean distance; a query without id is called by its number" {
    run --separate-stderr vdb-search "$T/line.vdb" <<< '{"vector":[0,0]}'
    [ "$status" -eq 0 ]
    [ "$output" = $'0\t1\ta\t0\n0\t2\tb\t5\n0\t3\tc\t10' ]
    [ -z "$stderr" ]
}

@test "cosine is 1 - cosine, and the length of a query does not matter" {
    printf 'x\t1\t0\ny\t1\t1\nz\t-1\t0\n' | vdb-add -q --create --metric cosine c.vdb --format tsv -
    run vdb-search c.vdb <<< '{"id":"q","vector":[2,0]}'
    # 1 - sqrt(1/2) = 0.29289321881345..., as the nearest 32-bit float
    [ "$output" = $'q\t1\tx\t0\nq\t2\ty\t0.29289323\nq\t3\tz\t2' ]
}

@test "under cosine a row is at 0 from itself, whatever its numbers, and --radius 0 finds it" {
    python3 -c '
import json, random
random = random.Random(1)
for i in range(300):
    print(json.dumps({"id": str(i), "vector": [random.randint(-120, 120) for _ in range(15)] + [i % 3 + 1]}))' >whole.jsonl
    python3 -c '
import json, random
random = random.Random(2)
for i in range(300):
    print(json.dumps({"id": str(i), "vector": [random.gauss(0, 1) for _ in range(16)]}))' >rows.jsonl
    for type in f32 i8; do
        [ $type = f32 ] || mv whole.jsonl rows.jsonl
        vdb-add -q --create --metric cosine --type $type $type.vdb rows.jsonl
        vdb-search --radius 0 -k 1 $type.vdb rows.jsonl | awk -F'\t' '$1 == $3 && $4 == 0' | wc -l >found
        same "$(cat found)" 300
    done
}

@test "ip is minus the inner product, and orthogonal vectors are at 0, not -0" {
    printf 'x\t1\t2\ny\t3\t-1\nz\t1\t-1\n' | vdb-add -q --create --metric ip i.vdb --format tsv -
    run vdb-search i.vdb <<< '{"id":"q","vector":[1,1]}'
    [ "$output" = $'q\t1\tx\t-3\nq\t2\ty\t-2\nq\t3\tz\t0' ]
}

@test "an exact search agrees with brute force in every metric" {
    for metric in l2 cosine ip; do
        brute expect $metric 10 "$T/data.jsonl" "$T/queries.jsonl" > expected
        vdb-search --exact "$T/$metric.vdb" "$T/queries.jsonl" > found
        brute same expected found
    done
}

@test "rows of every type are found as they are stored" {
    printf 'a\t1\t2\nb\t7\t7\nc\t100\t3\n' > t.tsv
    for type in f32 f16 i8 u8; do
        vdb-add -q --create --type $type $type.vdb t.tsv
        run vdb-search -k 2 $type.vdb <<< '{"id":"q","vector":[4,6]}'
        # |(1,2) - (4,6)| = 5, |(7,7) - (4,6)| = sqrt(10)
        [ "$output" = $'q\t1\tb\t3.1622777\nq\t2\ta\t5' ]
    done
}

@test "the tail is searched without being asked to be exact: all of it is right" {
    brute expect l2 10 "$T/data.jsonl" "$T/queries.jsonl" > expected
    vdb-search "$T/l2.vdb" "$T/queries.jsonl" > found
    brute same expected found
}

@test "a graph finds nearly all, more with more effort, and its distances are exact" {
    brute make 3000 40 3 >big.jsonl
    brute make 40 40 4 q >queries.jsonl
    vdb-add -q --create big.vdb big.jsonl
    vdb-compact -q --index graph big.vdb
    [[ $(vdb-stat big.vdb) == *$'part\t0\tgraph\t3000\t'* ]]
    brute expect l2 10 big.jsonl queries.jsonl >expected
    vdb-search --ef 4 big.vdb queries.jsonl >little
    vdb-search --ef 800 big.vdb queries.jsonl >much
    vdb-search --exact big.vdb queries.jsonl >exact
    brute same expected exact
    python3 - "$(brute recall expected little)" "$(brute recall expected much)" <<'END'
import sys
little, much = map(float, sys.argv[1:])
assert 0.2 < little < 0.9 and much >= 0.99, (little, much)
found = {tuple(line.split("\t")[::2]): line.split("\t")[3] for line in open("exact")}
for line in open("much"):
    query, _, id, distance = line.split("\t")
    assert found.get((query, id), distance) == distance, line
END
}

@test "ten neighbours without -k; -k takes what it is given; no more than there are" {
    [ "$(head -1 "$T/queries.jsonl" | vdb-search "$T/l2.vdb" | wc -l)" -eq 10 ]
    [ "$(head -1 "$T/queries.jsonl" | vdb-search -k 3 "$T/l2.vdb" | wc -l)" -eq 3 ]
    [ "$(head -1 "$T/queries.jsonl" | vdb-search --k=3 "$T/l2.vdb" | wc -l)" -eq 3 ]
    [ "$(head -1 "$T/queries.jsonl" | vdb-search -k 4294967294 "$T/l2.vdb" | wc -l)" -eq 400 ]
}

@test "ties come in the order of rows" {
    printf 'd\t1\t0\nc\t0\t1\nb\t-1\t0\na\t0\t-1\n' | vdb-add -q --create t.vdb --format tsv -
    [ "$(vdb-search -k 3 t.vdb <<< '{"vector":[0,0]}' | cut -f 3 | tr -d '\n')" = dcb ]
}

@test "a row that was replaced or deleted is not found" {
    cp "$T/line.vdb" l.vdb
    printf '{"id":"b","vector":[30,40]}\n' | vdb-add -q l.vdb
    vdb-rm -q l.vdb a
    [ "$(origin | vdb-search l.vdb)" = $'0\t1\tc\t10\n0\t2\tb\t50' ]
}

@test "queries without an id are called by their number among all; rows of a file without ids by theirs" {
    ends 0 vdb-search -k 1 --like b --like a "$T/line.vdb" <(origin; origin)
    [ "$output" = $'b\t1\tb\t0\na\t1\ta\t0\n2\t1\ta\t0\n3\t1\ta\t0' ]
    ends 1 vdb-search -k 1 --like b --like nobody "$T/line.vdb" <(origin)
    [ "$output" = $'b\t1\tb\t0\n1\t1\ta\t0' ]
    vdb-get --format npy --output line.npy "$T/line.vdb" a b
    ends 0 vdb-search -k 1 --like b "$T/line.vdb" line.npy
    [ "$output" = $'b\t1\tb\t0\n0\t1\ta\t0\n1\t1\tb\t0' ]
}

@test "--include-deleted finds deleted rows too, and lets --like name one" {
    cp "$T/line.vdb" l.vdb
    vdb-rm -q l.vdb a
    [ "$(origin | vdb-search -k 1 l.vdb)" = $'0\t1\tb\t5' ]
    [ "$(origin | vdb-search -k 1 --include-deleted l.vdb)" = $'0\t1\ta\t0' ]
    refused 1 "*l.vdb*no such id: a*" vdb-search --like a l.vdb
    [ "$(vdb-search --include-deleted --like a -k 2 l.vdb)" = $'a\t1\ta\t0\na\t2\tb\t5' ]
    printf 'b\t6\t9\n' | vdb-add -q --format tsv l.vdb # the b that it replaces is found as well
    [ "$(origin | vdb-search --include-deleted l.vdb | grep -c '	b	')" -eq 2 ]
    [ "$(origin | vdb-search l.vdb | grep -c '	b	')" -eq 1 ]
}

@test "--like asks with a stored vector, as often as it is given, and QUERIES follow" {
    [ "$(vdb-search --like b -k 2 "$T/line.vdb")" = $'b\t1\tb\t0\nb\t2\ta\t5' ]
    origin > q.jsonl
    run vdb-search --like c --like a -k 1 "$T/line.vdb" q.jsonl
    [ "$output" = $'c\t1\tc\t0\na\t1\ta\t0\n2\t1\ta\t0' ]
}

@test "--like with an id that is not there is exit 1, and the others are answered" {
    run --separate-stderr vdb-search --like nobody --like a -k 1 "$T/line.vdb"
    [ "$status" -eq 1 ]
    [ "$output" = $'a\t1\ta\t0' ]
    [ "$stderr" = "vdb-search: $T/line.vdb: no such id: nobody" ]
}

@test "--radius keeps what is that near, the border included" {
    [ "$(origin | vdb-search --radius 5 "$T/line.vdb")" = $'0\t1\ta\t0\n0\t2\tb\t5' ]
    [ "$(origin | vdb-search --radius 4.999 "$T/line.vdb")" = $'0\t1\ta\t0' ]
    [ "$(origin | vdb-search --radius 5 -k 1 "$T/line.vdb")" = $'0\t1\ta\t0' ]
}

@test "nothing found is exit 1 and no output" {
    run --separate-stderr vdb-search --radius 1 "$T/line.vdb" <<< '{"vector":[100,100]}'
    [ "$status" -eq 1 ]
    [ -z "$output$stderr" ]
    vdb-add -q --create --dim 2 empty.vdb < /dev/null
    run --separate-stderr vdb-search empty.vdb <<< '{"vector":[1,1]}'
    [ "$status" -eq 1 ]
    [ -z "$output$stderr" ]
    run --separate-stderr vdb-search "$T/line.vdb" < /dev/null
    [ "$status" -eq 1 ]
}

# ---- what is printed ------------------------------------------------------------------------

@test "--with-metadata adds a column of JSON, empty where there is none" {
    run vdb-search --with-metadata "$T/line.vdb" <<< '{"vector":[0,0]}'
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = $'0\t1\ta\t0\t{"n":1}' ]
    [ "${lines[1]}" = $'0\t2\tb\t5\t' ]
    python3 - "${lines[2]}" << 'END'
import json, sys
columns = sys.argv[1].split("\t")
assert len(columns) == 5 and json.loads(columns[4]) == {"t": "x\ty", "u": [1, 2]}, columns
END
}

@test "--json prints an object a neighbour, ids and metadata whatever is in them" {
    printf '%s\n' '{"id":"say \"\\hi\" é","vector":[1,0],"metadata":{"a":{"b":null}}}' \
        '{"id":"plain","vector":[0,2]}' | vdb-add -q --create j.vdb
    printf '{"id":"q\\"1","vector":[0,0]}\n' | vdb-search --json --with-metadata j.vdb > found
    printf '{"id":"q\\"1","vector":[0,0]}\n' | vdb-search --json j.vdb > without
    python3 - << 'END'
import json
rows = [json.loads(line) for line in open("found", encoding="utf-8")]
assert rows == [
    {"query": 'q"1', "rank": 1, "id": 'say "\\hi" é', "distance": 1, "metadata": {"a": {"b": None}}},
    {"query": 'q"1', "rank": 2, "id": "plain", "distance": 2}], rows
for row in rows:
    row.pop("metadata", None)
assert [json.loads(line) for line in open("without", encoding="utf-8")] == rows
END
}

@test "distances read back as the very float, in as few digits as that takes" {
    printf 'a\t0.1\nb\t1e-20\nc\t3e30\n' | vdb-add -q --create f.vdb --format tsv -
    run vdb-search f.vdb <<< '{"vector":[0]}'
    [ "$output" = $'0\t1\tb\t1e-20\n0\t2\ta\t0.1\n0\t3\tc\t3e30' ]
}

@test "distances that no float holds are printed as numbers still" {
    printf 'a\t3e38\nb\t-3e38\n' | vdb-add -q --create f.vdb --format tsv -
    vdb-search --json f.vdb <<< '{"vector":[3e38]}' > found
    python3 - << 'END'
import json
rows = [json.loads(line) for line in open("found")]
assert abs(rows[1]["distance"] / 6e38 - 1) < 1e-6, rows
END
}

@test "--format ivecs writes row numbers, and -1 for what is not there" {
    origin > q.jsonl
    printf '{"vector":[6,8]}\n' >> q.jsonl
    vdb-search --format ivecs -k 4 "$T/line.vdb" q.jsonl > found.ivecs
    vdb-search --format ivecs -k 4 --output o.ivecs "$T/line.vdb" q.jsonl
    cmp found.ivecs o.ivecs
    python3 - << 'END'
import struct
numbers = struct.unpack("<10i", open("found.ivecs", "rb").read())
assert numbers == (4, 0, 1, 2, -1, 4, 2, 1, 0, -1), numbers
END
}

@test "--format hdf5 writes neighbors and distances" {
    head -2 "$T/line.jsonl" > q.jsonl
    vdb-search --format hdf5 -k 3 --output r.h5 "$T/line.vdb" q.jsonl
    vdb-search --format hdf5 -k 3 "$T/line.vdb" q.jsonl > piped.h5
    [ "$(head -c 4 r.h5 | tail -c 3)" = HDF ]
    for file in r.h5 piped.h5; do
        rm -f n.vdb d.vdb
        vdb-add -q --create --dataset neighbors n.vdb $file
        vdb-add -q --create --dataset distances d.vdb $file
        [ "$(vdb-get --format tsv n.vdb)" = $'0\t0\t1\t2\n1\t1\t0\t2' ]
        [ "$(vdb-get --format tsv d.vdb)" = $'0\t0\t5\t10\n1\t0\t5\t5' ]
    done
}

@test "--output writes text too, and - is standard output" {
    origin | vdb-search -k 1 -o found "$T/line.vdb"
    [ "$(cat found)" = $'0\t1\ta\t0' ]
    [ "$(origin | vdb-search -k 1 --output - "$T/line.vdb" -)" = $'0\t1\ta\t0' ]
}

@test "-q and -v: nothing more, and how many it was" {
    run --separate-stderr vdb-search -v -k 1 "$T/line.vdb" <<< '{"vector":[0,0]}'
    [ "$status" -eq 0 ]
    [[ $stderr == "vdb-search: queries 1, neighbours 1, seconds "* ]]
    run --separate-stderr vdb-search -q -k 1 "$T/line.vdb" <<< '{"vector":[0,0]}'
    [ -z "$stderr" ]
}

@test "--progress shows how far it is, on stderr" {
    head -20 "$T/queries.jsonl" | python3 -c '
import json, struct, sys
for line in sys.stdin:
    vector = json.loads(line)["vector"]
    sys.stdout.buffer.write(struct.pack(f"<i{len(vector)}f", len(vector), *vector))' > q.fvecs
    run --separate-stderr vdb-search --progress "$T/l2.vdb" q.fvecs
    [ "$status" -eq 0 ]
    [[ $stderr == *search* ]]
    [ "${#lines[@]}" -eq 200 ]
}

@test "metadata stays in its column, with whatever space it was given" {
    printf '{"id":"s","vector":[1],"metadata":{"n":\t1 ,\t"t":"a b"}}\n' | vdb-add -q --create s.vdb
    run vdb-search --with-metadata s.vdb <<<'{"vector":[1]}'
    [ "$(awk -F '\t' '{print NF}' <<<"$output")" -eq 5 ]
    [ "$(cut -f 5 <<<"$output" | tr -d ' ')" = '{"n":1,"t":"ab"}' ]
}

# ---- queries --------------------------------------------------------------------------------

@test "queries come in any format, by extension, by --query-format and from a pipe" {
    printf '{"id":"p","vector":[3,4]}\n{"id":"q","vector":[6,9]}\n' > q.jsonl
    printf 'p\t3\t4\nq\t6\t9\n' > q.tsv
    printf 'p,3,4\nq,6,9\n' > q.csv
    printf '2 2\np 3 4\nq 6 9\n' > q.vec
    expected=$'p\t1\tb\t0\np\t2\ta\t5\nq\t1\tc\t1\nq\t2\tb\t5.8309517'
    for file in q.jsonl q.tsv q.csv; do
        [ "$(vdb-search -k 2 "$T/line.vdb" $file)" = "$expected" ]
    done
    [ "$(vdb-search -k 2 --query-format word2vec "$T/line.vdb" q.vec)" = "$expected" ]
    [ "$(vdb-search -k 2 --query-format tsv "$T/line.vdb" - < q.tsv)" = "$expected" ]
    [ "$(vdb-search -k 2 "$T/line.vdb" < q.jsonl)" = "$expected" ]
}

@test "queries of a binary file are called by their row numbers" {
    python3 - << 'END'
import struct
rows = [(3, 4), (6, 9)]
with open("q.fvecs", "wb") as f:
    for row in rows:
        f.write(struct.pack("<i2f", 2, *row))
with open("q.fbin", "wb") as f:
    f.write(struct.pack("<2I4f", 2, 2, *rows[0], *rows[1]))
header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }"
header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
with open("q.npy", "wb") as f:
    f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    f.write(struct.pack("<4d", *rows[0], *rows[1]))
END
    for file in q.fvecs q.fbin q.npy; do
        [ "$(vdb-search -k 1 "$T/line.vdb" $file)" = $'0\t1\tb\t0\n1\t1\tc\t1' ]
    done
}

@test "HDF5 queries come from the dataset test, or from that of --dataset" {
    vdb-get --format hdf5 --output q.h5 "$T/line.vdb" # its vectors are called train
    [ "$(vdb-search -k 1 --dataset train "$T/line.vdb" q.h5 | cut -f 3 | tr -d '\n')" = abc ]
    vdb-search --format hdf5 --output r.h5 "$T/line.vdb" "$T/line.jsonl" # neighbors and distances
    refused 65 "*r.h5*test*" vdb-search "$T/line.vdb" r.h5
    refused 65 "*r.h5*nothing*" vdb-search --dataset nothing "$T/line.vdb" r.h5
}

@test "many queries, over several batches, are answered in their order" {
    brute make 3000 9 4 q > many.jsonl
    vdb-search -k 1 --exact "$T/l2.vdb" many.jsonl > found
    [ "$(cut -f 1 found)" = "$(seq 0 2999 | sed 's/^/q/')" ]
    brute expect l2 1 "$T/data.jsonl" <(tail -20 many.jsonl) > expected
    tail -20 found > end
    brute same expected end
}

@test "the answer does not depend on -j, on the kernels or on the size of a batch" {
    brute make 2100 9 4 q > many.jsonl
    vdb-search -j 1 "$T/cosine.vdb" many.jsonl > one
    vdb-search -j 3 "$T/cosine.vdb" many.jsonl > three
    VDB_ISA=portable vdb-search -j 2 "$T/cosine.vdb" many.jsonl > portable
    sed -n 1001,1010p many.jsonl | vdb-search "$T/cosine.vdb" > some
    cmp one three
    cmp one portable
    sed -n 10001,10100p one | cmp - some
}

# A program may ask, read the answer and ask again: nothing is kept back until more comes.
@test "a query from a pipe is answered before the next one comes" {
    for threads in 1 3; do
        mkfifo in out
        vdb-search -k 1 -j $threads "$T/line.vdb" <in >out &
        exec 7>in 8<out
        for query in "0 0 a" "3 4 b" "6 8 c"; do
            read -r x y id <<<"$query"
            printf '{"id":"q","vector":[%s,%s]}\n' "$x" "$y" >&7
            read -r -t 20 answer <&8
            [ "$answer" = $'q\t1\t'"$id"$'\t0' ]
        done
        # Two at once, then the end.
        printf '{"vector":[0,0]}\n{"vector":[3,4]}\n' >&7
        exec 7>&-
        [ "$(cat <&8)" = $'3\t1\ta\t0\n4\t1\tb\t0' ]
        exec 8<&-
        wait $!
        rm in out
    done
}

@test "answers of any size and any number come whole and in order, for any -j" {
    local rows=400 line=40000
    ! slow || rows=150 line=5000
    brute make $rows 9 5 q >many.jsonl
    python3 -c 'import json
for line in open("many.jsonl"):
    row = json.loads(line)
    row["metadata"] = {"text": row["id"] * 2000}
    print(json.dumps(row))' | vdb-add -q --create m.vdb
    for options in "-k 1" "-k $((rows / 2))" "--json -k 30" "--format ivecs" "-k 20 --with-metadata" "--radius 9"; do
        # shellcheck disable=SC2086 # options, one word each
        for threads in 1 2 5; do
            vdb-search -j $threads $options m.vdb many.jsonl >found-$threads
            vdb-search -j $threads $options m.vdb - < <(cat many.jsonl) | cmp - found-$threads
        done
        cmp found-1 found-2
        cmp found-1 found-5
    done
    vdb-search -k 20 --with-metadata m.vdb many.jsonl | cut -f 1,2 >order
    [ "$(cat order)" = "$(for q in $(seq 0 $((rows - 1))); do printf "q$q\t%s\n" {1..20}; done)" ]
    seq $line | awk '{print "r" $1 "\t" $1}' | vdb-add -q --create line.vdb --format tsv -
    printf '{"vector":[%s]}\n' 0 -1 -2 | vdb-search -k $line -j 2 line.vdb >found
    [ "$(wc -l <found)" -eq $((3 * line)) ]
    for q in 0 1 2; do
        awk -v q=$q '$1 == q {print $3}' found | cmp - <(seq $line | sed 's/^/r/')
    done
}

# ---- what is wrong --------------------------------------------------------------------------

@test "wrong usage is exit 2 with a hint, and prints nothing" {
    for options in "-k 0" "-k x" "-k -1" "-k 5000000000" "--ef 0" "--ef many" "--radius near" \
        "--radius nan" "--exact --ef 10" "--json --format ivecs" "--format jsonl" "--format" \
        "--with-metadata --format ivecs" "--query-format paper" "-j 0" "--wait -1" \
        "--recall 0" "--recall 1.01" "--recall -0.5" "--recall nan" "--recall most" "--recall 1e-400" \
        "--recall 0.9 --ef 10" "--ef 10 --recall 0.9" "--recall 0.9 --exact" "--exact --recall 1" \
        "--where x==1" "--codes i8" "--nonsense" "-Z"; do
        # shellcheck disable=SC2086 # options, one word each
        echo "$options"
        refused 2 "*" vdb-search "$T/line.vdb" $options
    done
    refused 2 "*INDEX*" vdb-search
    refused 2 "*" vdb-search "$T/line.vdb" one two
    VDB_ISA=abacus run --separate-stderr vdb-search "$T/line.vdb"
    [ "$status" -eq 2 ]
    [[ $stderr == *abacus* ]]
}

@test "options that later versions have are unknown, not ignored" {
    for option in --where; do
        refused 2 "*unknown option $option*" vdb-search "$T/line.vdb" $option 1
    done
}

@test "a query of the wrong dimension is named by file and line, and those before it answered" {
    printf '{"id":"ok","vector":[0,0]}\n{"id":"no","vector":[1,2,3]}\n{"vector":[0,0]}\n' > q.jsonl
    run --separate-stderr vdb-search -k 1 "$T/line.vdb" q.jsonl
    [ "$status" -eq 65 ]
    [ "$output" = $'ok\t1\ta\t0' ]
    [[ $stderr == "vdb-search: q.jsonl:2: "*" 3 dimensions, "* ]]
    { brute make 999 2 1; echo '{"id":"no","vector":[1]}'; brute make 999 2 1; } >many.jsonl
    for threads in 1 4; do
        run --separate-stderr vdb-search -k 1 -j $threads "$T/line.vdb" many.jsonl
        [ "$status" -eq 65 ]
        [ "${#lines[@]}" -eq 999 ]
        [[ $stderr == "vdb-search: many.jsonl:1000: "*" 1 dimensions, "* ]]
    done
    printf '{"vector":[1,2,3]}\n' > q.jsonl
    refused 65 "*" vdb-search "$T/line.vdb" q.jsonl
    [ "$stderr" = "vdb-search: q.jsonl:1: vector has 3 dimensions, index $T/line.vdb has 2" ]
    refused 65 "standard input:1: vector has 3 dimensions*" vdb-search "$T/line.vdb" <<< '{"vector":[1,2,3]}'
}

@test "bad queries in text: JSON, numbers, UTF-8, ids" {
    for line in '{"vector":[1,' '{"vector":[1,"2"]}' '{"vector":[1,NaN]}' '{"vector":[1,1e999]}' \
        '{"vector":[1e39,1]}' '{"vector":[]}' '{"id":"","vector":[1,2]}' '[1,2]' '{"id":"x"}' \
        $'{"id":"\xff","vector":[1,2]}' \
        "{\"id\":\"$(printf 'x%.0s' {1..1024})\",\"vector\":[1,2]}"; do
        echo "$line"
        printf '%s\n' "$line" > q.jsonl
        refused 65 "q.jsonl:1*" vdb-search "$T/line.vdb" q.jsonl
    done
}

@test "the zero vector is no query under cosine" {
    printf '{"vector":[1,1,1,1,1,1,1,1,1]}\n{"vector":[0,0,0,0,0,-0.0,0,0,0]}\n' > q.jsonl
    run --separate-stderr vdb-search -k 1 "$T/cosine.vdb" q.jsonl
    [ "$status" -eq 65 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $stderr == "vdb-search: q.jsonl:2: "*zero* ]]
    head -c 40 /dev/zero | { printf '\x09\0\0\0'; head -c 36; } > q.fvecs
    refused 65 "q.fvecs: row 0*zero*" vdb-search "$T/cosine.vdb" q.fvecs
}

@test "binary queries of the wrong dimension, cut short, or not finite" {
    python3 - << 'END'
import struct
open("three.fvecs", "wb").write(struct.pack("<i3f", 3, 1, 2, 3))
open("short.fvecs", "wb").write(struct.pack("<i2f", 2, 1, 2)[:-1])
open("nan.fvecs", "wb").write(struct.pack("<i2f", 2, 1, float("nan")))
open("lie.fbin", "wb").write(struct.pack("<2I2f", 1000, 2, 1, 2))
END
    for file in three.fvecs short.fvecs nan.fvecs lie.fbin; do
        refused 65 "$file*" vdb-search "$T/line.vdb" $file
    done
}

@test "an index or queries that are missing are exit 66" {
    refused 66 "*none.vdb*" vdb-search --like a --like b none.vdb
    refused 66 "*none.vdb*" vdb-search none.vdb <<< '{"vector":[0,0]}'
    refused 66 ".*" vdb-search . <<< '{"vector":[0,0]}'
    refused 66 "*none.jsonl*" vdb-search "$T/line.vdb" none.jsonl
    refused 66 ".*" vdb-search "$T/line.vdb" .
}

@test "what is no index, or one of another version, is exit 65" {
    : > empty.vdb
    seq 10000 > text.vdb
    head -c 5000 "$T/line.vdb" > short.vdb
    cp "$T/line.vdb" version.vdb
    for slot in 0 4096; do layout set version.vdb $((slot + 8)) 0700; done
    layout seal version.vdb
    for file in empty.vdb text.vdb short.vdb version.vdb; do
        refused 65 "*$file*" vdb-search $file <<< '{"vector":[0,0]}'
    done
    [[ $stderr == *"version 7."* ]]
}

@test "an output that cannot be created is exit 73, one that cannot be written 74" {
    refused 73 "*none/found*" vdb-search --output none/found "$T/line.vdb" <<< '{"vector":[0,0]}'
    refused 73 "*" vdb-search --output . "$T/line.vdb" <<< '{"vector":[0,0]}'
    refused 2 "*the index itself*" vdb-search --output "$T/line.vdb" "$T/line.vdb" <<< '{"vector":[0,0]}'
    refused 74 "*standard output*" sh -c "vdb-search '$T/line.vdb' '$T/line.jsonl' > /dev/full"
    brute make 3000 2 4 >many.jsonl
    for threads in 1 4; do
        refused 74 "standard output: No space left on device" \
            sh -c "vdb-search -j $threads '$T/line.vdb' many.jsonl >/dev/full"
    done
    refused 74 "*/dev/full*" vdb-search --output /dev/full "$T/line.vdb" "$T/line.jsonl"
}

@test "a run that fails leaves the file of --output as it was" {
    echo old > found
    printf '{"vector":[0,0]}\n{"vector":[0]}\n' > q.jsonl
    run vdb-search --output found "$T/line.vdb" q.jsonl
    [ "$status" -eq 65 ]
    [ "$(cat found)" = old ]
    run vdb-search --format hdf5 --output found "$T/line.vdb" q.jsonl
    [ "$status" -eq 65 ]
    [ "$(cat found)" = old ]
    [ "$(ls)" = $'found\nq.jsonl' ]
}

@test "a closed pipe ends it quietly" {
    brute make 3000 9 4 q > many.jsonl
    run --separate-stderr bash -c "vdb-search '$T/l2.vdb' many.jsonl | head -1 | cut -f 1,2"
    [ "$status" -eq 0 ]
    [ "$output" = $'q0\t1' ]
    [ -z "$stderr" ]
}

@test "a file of mode 0444 in a directory of mode 0555 is searched" {
    mkdir ro
    cp "$T/line.vdb" ro/
    chmod 444 ro/line.vdb
    chmod 555 ro
    run vdb-search -k 1 ro/line.vdb <<< '{"vector":[0,0]}'
    chmod 755 ro
    [ "$status" -eq 0 ]
    [ "$output" = $'0\t1\ta\t0' ]
    [ "$(ls ro)" = line.vdb ]
}

@test "searching changes no byte of the index" {
    before=$(sha256sum < "$T/l2.vdb")
    vdb-search "$T/l2.vdb" "$T/queries.jsonl" > /dev/null
    [ "$(sha256sum < "$T/l2.vdb")" = "$before" ]
}

@test "a damaged index gives an answer or exit 65, and never dies of it" {
    vdb-get "$T/l2.vdb" | vdb-add -q --create d.vdb
    vdb-compact -q --index graph d.vdb
    size=$(stat -c %s d.vdb)
    for i in $(seq 40); do
        cp d.vdb x.vdb
        layout flip x.vdb $((size * (2 * i - 1) / 80))
        run vdb-search -k 3 x.vdb "$T/queries.jsonl"
        [ "$status" -eq 0 ] || [ "$status" -eq 65 ]
    done
    for i in $(seq 10); do
        head -c $((size * i / 11)) d.vdb > x.vdb
        run vdb-search -k 3 x.vdb "$T/queries.jsonl"
        [ "$status" -eq 65 ]
    done
}
