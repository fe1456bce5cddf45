#!/usr/bin/env bats
# snap_send.bats: states sent on from replicas, and streams that several receive at once.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup() {
    common_setup
    BACKGROUND=()
}

teardown() {
    for pid in "${BACKGROUND[@]}"; do
        kill -9 "$pid" || true
        wait "$pid" || true
    done 2>/dev/null
}

# rows FIRST LAST SEED: rows of 16 numbers that no packing makes much shorter, as JSON Lines.
rows() {
    python3 - "$@" <<'EOP'
import json, random, sys
first, last, seed = map(int, sys.argv[1:])
for i in range(first, last):
    draw = random.Random(seed * 1000003 + i)
    record = {"id": f"row {i}", "vector": [draw.uniform(-1, 1) for _ in range(16)]}
    if i % 4 == 0:
        record["metadata"] = {"seed": seed, "words": draw.sample(["ä", "b", "c", "d", "e"], i % 5)}
    print(json.dumps(record))
EOP
}

# a.vdb with the snapshots one, two and three: rows added, then replaced and deleted, then brought back.
make_three() {
    rows 0 400 1 | vdb-add -q --no-maintain --create --metric cosine a.vdb
    vdb-snap -q a.vdb create one >/dev/null
    rows 390 410 2 | vdb-add -q --no-maintain a.vdb
    vdb-rm -q a.vdb "row 7" "row 8" >/dev/null
    vdb-snap -q a.vdb create two >/dev/null
    vdb-rm -q --restore a.vdb "row 8" >/dev/null
    rows 5 6 3 | vdb-add -q --no-maintain a.vdb
    vdb-snap -q a.vdb create three >/dev/null
}

sorted() { vdb-get "$@" | sort; }

# is WHEN INDEX: it has the rows that a.vdb has at that time, and is sound.
is() {
    same "$(sorted --at "$1" a.vdb)" "$(sorted "$2")"
    vdb-check --deep "$2"
}

@test "a state and what changed since, from pipe to pipe" {
    make_three
    vdb-snap a.vdb send one | vdb-snap b.vdb recv 2>told
    same "$(cat told)" "added 400, updated 0, deleted 0, commit 2"
    is one b.vdb
    vdb-snap --from one a.vdb send two | vdb-snap b.vdb recv 2>told
    same "$(cat told)" "added 10, updated 10, deleted 2, commit 3"
    is two b.vdb
    vdb-snap --from two a.vdb send three | vdb-snap -q b.vdb recv
    is three b.vdb
    same "$(vdb-snap b.vdb | cut -f 1)" $'one\ntwo\nthree'
    same "$(sorted --at two a.vdb)" "$(sorted --at two b.vdb)"
    # Once more in the same way, from the replica.
    vdb-snap b.vdb send two | vdb-snap -q c.vdb recv
    vdb-snap --from two a.vdb send | vdb-snap -q c.vdb recv
    is three c.vdb
    same "$(vdb-stat b.vdb | grep -E '^(metric|type|dim)	')" "$(vdb-stat a.vdb | grep -E '^(metric|type|dim)	')"
}

@test "of four receivers of one stream, one applies it" {
    make_three
    vdb-snap a.vdb send one | vdb-snap -q b.vdb recv
    vdb-snap --from one a.vdb send two >two
    for i in 1 2 3 4; do
        vdb-snap b.vdb recv <two 2>told.$i 3>&- &
        BACKGROUND+=($!)
    done
    for pid in "${BACKGROUND[@]}"; do wait "$pid"; done
    [ "$(grep -l "received before" told.* | wc -l)" -eq 3 ]
    is two b.vdb
    same "$(vdb-stat b.vdb | grep '^commit	')" "commit	3"
}

@test "a stream back to a state that the replica has a snapshot of is taken, and the old one again is not" {
    make_three
    vdb-snap a.vdb send one | vdb-snap -q b.vdb recv
    vdb-snap --from one a.vdb send two >onward
    vdb-snap --from two a.vdb send one >back
    vdb-snap -q b.vdb recv <onward
    is two b.vdb
    vdb-snap b.vdb recv <back 2>told
    same "$(cat told)" "added 2, updated 10, deleted 10, commit 4"
    is one b.vdb
    vdb-snap b.vdb recv <back 2>told
    grep -q "received before" told
    is one b.vdb
    # A whole state that came before is passed over, wherever the replica has gone since.
    vdb-snap -q b.vdb recv <onward
    vdb-snap a.vdb send one | vdb-snap b.vdb recv 2>told
    grep -q "received before" told
    is two b.vdb
}

@test "a state that was received before, by who has changed since, is refused and not passed over" {
    printf 'a\t1\t2\nb\t3\t4\n' | vdb-add -q --create --format tsv x.vdb
    vdb-snap -q x.vdb create mon
    vdb-snap x.vdb send mon >mon
    vdb-snap -q y.vdb recv <mon
    for changed in x y; do
        vdb-rm -q $changed.vdb a
        before=$(sha256sum <$changed.vdb)
        ends 65 vdb-snap $changed.vdb recv <mon
        [[ $stderr == *"$changed.vdb: "*"has the stream's state, as commit 2, and has changed since" ]]
        same "$(sha256sum <$changed.vdb)" "$before"
        ends 0 vdb-snap --force $changed.vdb recv <mon
        same "$(sorted $changed.vdb)" "$(sorted --at mon x.vdb)"
    done
    # A name that is new there is not lost.
    vdb-snap -q x.vdb create wed
    vdb-rm -q y.vdb b
    vdb-snap --from mon x.vdb send wed >wed
    ends 65 vdb-snap y.vdb recv <wed
    ends 0 vdb-snap --force y.vdb recv <wed
    same "$(vdb-snap y.vdb | cut -f 1)" $'mon\nwed'
    same "$(sorted y.vdb)" "$(sorted x.vdb)"
}

@test "along three hosts, where the first changed and changed back between two snapshots" {
    printf 'a\t1\t2\n' | vdb-add -q --create --format tsv x.vdb
    vdb-snap -q x.vdb create mon
    vdb-snap x.vdb send mon | vdb-snap -q y.vdb recv
    vdb-snap y.vdb send mon | vdb-snap -q z.vdb recv
    printf 'c\t1\t2\n' | vdb-add -q --format tsv x.vdb
    vdb-snap -q x.vdb restore mon
    vdb-snap -q x.vdb create tue
    vdb-snap --from mon x.vdb send tue | vdb-snap -q y.vdb recv
    vdb-snap --from mon y.vdb send tue | vdb-snap -q z.vdb recv
    same "$(vdb-snap z.vdb | cut -f 1)" $'mon\ntue'
    printf 'd\t1\t2\n' | vdb-add -q --format tsv x.vdb
    vdb-snap -q x.vdb create wed
    vdb-snap --from tue x.vdb send wed | vdb-snap -q y.vdb recv
    vdb-snap --from mon y.vdb send wed | vdb-snap -q z.vdb recv
    same "$(vdb-snap z.vdb | cut -f 1)" $'mon\ntue\nwed'
    same "$(sorted z.vdb)" "$(sorted x.vdb)"
}
