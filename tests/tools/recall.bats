#!/usr/bin/env bats
# recall.bats: vdb-search --recall finds the share of the true neighbours that it is asked for.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup_file() {
    PATH=$VDB_BIN:$PATH
    cd "$BATS_FILE_TMPDIR"
    # Around 200 centres, in 32 dimensions of which some tell more than others.
    python3 - <<'END'
import random, struct
draw = random.Random(11)
centres = [[draw.uniform(-3, 3) for _ in range(32)] for _ in range(200)]
def write(path, count):
    with open(path, "wb") as out:
        for _ in range(count):
            row = [draw.gauss(x, 4 / (1 + i / 8)) for i, x in enumerate(draw.choice(centres))]
            out.write(struct.pack("<i32f", 32, *row))
write("data.fvecs", 12000)
write("queries.fvecs", 500)
END
    vdb-add -q --create l2.vdb data.fvecs
    vdb-compact -q --index graph l2.vdb
}

setup() {
    common_setup
    T=$BATS_FILE_TMPDIR
}

# recall EXACT FOUND: the share of the neighbours of EXACT that are in FOUND.
recall() {
    python3 - "$@" <<'END'
import sys
exact, found = ({tuple(line.split("\t")[::2]) for line in open(path)} for path in sys.argv[1:])
assert len(exact) == len(found)
print(len(exact & found) / len(exact))
END
}

# rises INDEX [OPTION...]: with more asked for more is found, as much as that but for chance, and
# not all of it for the asking of little.
rises() {
    local index=$1 share
    shift
    vdb-search --exact "$@" "$index" "$T/queries.fvecs" >exact
    : >shares
    for share in 0.8 0.95 0.99; do
        vdb-search --recall $share "$@" "$index" "$T/queries.fvecs" >found
        echo "$share $(recall exact found)" >>shares
    done
    cat shares
    python3 - <<'END'
shares = [tuple(map(float, line.split())) for line in open("shares")]
for asked, got in shares:
    assert got >= asked - 3 * (asked * (1 - asked) / 500) ** 0.5, (asked, got)
got = [got for _, got in shares]
assert got[0] < got[1] < got[2], got
assert got[0] < 0.95, got
END
}

@test "as much as is asked for, more with more, for any k" {
    for k in 3 10 40 100 200; do
        rises "$T/l2.vdb" -k $k
    done
}

@test "in every metric and with every kind of codes" {
    for metric in cosine ip; do
        vdb-add -q --create --metric $metric --index graph $metric.vdb "$T/data.fvecs"
        rises $metric.vdb
    done
    for codes in none i8 i4; do
        vdb-compact -q --codes $codes --output $codes.vdb "$T/l2.vdb"
        rises $codes.vdb
    done
    vdb-compact -q --index hnsw --output hnsw.vdb "$T/l2.vdb"
    rises hnsw.vdb
}

@test "of inverted files, and of what --index auto chooses between the two" {
    vdb-compact -q --index ivf --output ivf.vdb "$T/l2.vdb"
    rises ivf.vdb
    vdb-compact -q --index auto --output auto.vdb "$T/l2.vdb"
    [[ $(vdb-stat auto.vdb | awk '$1 == "why" {print $5, $7}') == @(graph\ ivf|ivf\ graph) ]]
    rises auto.vdb
}

# Places in towns: a grid of 256 steps a dimension has a few for a town.
towns() {
    python3 - <<'END'
import random, struct
draw = random.Random(5)
centres = [[draw.uniform(-6000, 6000) for _ in range(3)] for _ in range(60)]
def write(path, count):
    with open(path, "wb") as out:
        for _ in range(count):
            row = [draw.gauss(x, 40) for x in draw.choice(centres)]
            out.write(struct.pack("<i3f", 3, *row))
write("towns.fvecs", 30000)
write("queries.fvecs", 500)
END
}

@test "where codes of 8 bits hardly tell which rows are near" {
    towns
    for index in auto graph ivf; do
        vdb-add -q --create --index $index $index.vdb towns.fvecs
        kind=$(vdb-stat $index.vdb | awk '$1 == "part" {print $3}')
        [ "$index" = auto ] || [ "$kind" = "$index" ]
        [ "$kind" != flat ]
        for k in 1 10; do
            vdb-bench -k $k --recall 0.95 --json $index.vdb queries.fvecs | tee line
            [ "$(jq ".recall >= 0.93" line)" = true ]
        done
    done
}

@test "where rows are deleted, and with a tail and several parts" {
    cp "$T/l2.vdb" x.vdb
    seq 0 3 11999 | vdb-rm -q --ids-from - x.vdb >removed
    rises x.vdb
    head -c $((132 * 5000)) "$T/data.fvecs" >second.fvecs
    vdb-add -q --id-prefix second- x.vdb second.fvecs
    vdb-get -q x.vdb 1 2 4 | sed 's/"id":"/&third-/' | vdb-add -q x.vdb
    [ "$(vdb-stat x.vdb | grep -c '^effort')" -ge 2 ]
    rises x.vdb
}

@test "0.95 if nothing is said; the effort that vdb-stat names is what it comes to" {
    vdb-search "$T/l2.vdb" "$T/queries.fvecs" >found
    vdb-search --recall 0.95 "$T/l2.vdb" "$T/queries.fvecs" | cmp - found
    effort=$(vdb-stat "$T/l2.vdb" | awk '$1 == "effort" {print $5}')
    vdb-search --ef "$effort" "$T/l2.vdb" "$T/queries.fvecs" | cmp - found
    ! vdb-search --ef $((effort * 2)) "$T/l2.vdb" "$T/queries.fvecs" | cmp -s - found
    ! vdb-search --recall 0.8 "$T/l2.vdb" "$T/queries.fvecs" | cmp -s - found
}

@test "the same for any -j and any kernels" {
    for share in 0.7 0.95; do
        vdb-search -j 1 --recall $share "$T/l2.vdb" "$T/queries.fvecs" >found
        vdb-search -j 3 --recall $share "$T/l2.vdb" "$T/queries.fvecs" | cmp - found
        VDB_ISA=portable vdb-search --recall $share "$T/l2.vdb" "$T/queries.fvecs" | cmp - found
    done
}

@test "what is scanned is whole, however little is asked for" {
    vdb-compact -q --index flat --output flat.vdb "$T/l2.vdb"
    vdb-search --exact flat.vdb "$T/queries.fvecs" >exact
    vdb-search --recall 0.01 flat.vdb "$T/queries.fvecs" | cmp - exact
    vdb-search --exact "$T/l2.vdb" "$T/queries.fvecs" | cmp - exact
}

@test "1 and next to nothing are shares too" {
    vdb-search --exact "$T/l2.vdb" "$T/queries.fvecs" >exact
    vdb-search --recall 1 "$T/l2.vdb" "$T/queries.fvecs" >most
    vdb-search --recall 1e-9 "$T/l2.vdb" "$T/queries.fvecs" >least
    python3 - "$(recall exact least)" "$(recall exact most)" <<'END'
import sys
least, most = map(float, sys.argv[1:])
assert 0.2 < least < 0.95 and most >= 0.995, (least, most)
END
    [ "$(cut -f 1,2 least)" = "$(cut -f 1,2 exact)" ]
}

@test "bad shares, and more than one way to say how hard to try" {
    for share in 0 -1 1.0001 2 nan inf x "" 0.9x 1e-400; do
        refused 2 "--recall: *" vdb-search --recall "$share" "$T/l2.vdb" "$T/queries.fvecs"
    done
    refused 2 "--ef or --recall, not both*" vdb-search --ef 9 --recall 0.9 "$T/l2.vdb"
    refused 2 "--exact or --recall, not both*" vdb-search --recall 0.9 --exact "$T/l2.vdb"
    refused 2 "--exact or --ef, not both*" vdb-search --ef 9 --exact "$T/l2.vdb"
}
