#!/usr/bin/env bats
# stat.bats: vdb-stat tells what is in an index, in three ways that agree.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup() {
    common_setup
    make_abc
}

# many ROWS SEED: rows of 24 dimensions.
many() {
    awk -v n="$1" -v seed="$2" 'BEGIN {
        srand(seed)
        for (i = 0; i < n; i++) {
            printf "{\"id\": \"%d\", \"vector\": [%f", i, rand()
            for (j = 1; j < 24; j++) printf ", %f", rand()
            print "]}"
        }
    }'
}

layout() { python3 "$HERE/layout.py" "$@"; }

# What vdb-stat says of one thing.
value() { vdb-stat "$2" | awk -F '\t' -v name="$1" '$1 == name {print $2}'; }

@test "text: one fact a line" {
    ends 0 vdb-stat abc.vdb
    [ -z "$stderr" ]
    same "$(cut -f 1 <<<"$output" | tr '\n' ' ')" "format file_id file_bytes used_bytes created dim metric type \
index codes rows live deleted commit commit_time oldest_commit snapshots parts tail_rows maintenance compaction "
    same "$(grep -E '^(format|dim|metric|type|index|rows|live|deleted|commit|parts|tail_rows)	' \
        <<<"$output")" $'format\t0.9\ndim\t2\nmetric\tl2\ntype\tf32\nindex\tauto\nrows\t3\nlive\t3
deleted\t0\ncommit\t2\nparts\t0\ntail_rows\t3'
    [ "$(value file_bytes abc.vdb)" -eq "$(stat -c %s abc.vdb)" ]
}

@test "file_id, format and time are those in the file" {
    # The superblock has the id at 40 and the version at 8; the manifest has the creation at 56.
    [ "$(value file_id abc.vdb)" = "$(od -An -tx1 -j40 -N16 abc.vdb | tr -d ' \n')" ]
    layout list abc.vdb >layout
    manifest=$(awk '$1 == "manifest" {print $2}' layout)
    commit=$(awk '$1 == "commit" {at = $2} END {print at}' layout)
    python3 - "$(value created abc.vdb)" "$(value commit_time abc.vdb)" "$manifest" "$commit" <<'END'
import datetime, struct, sys
data = open("abc.vdb", "rb").read()
for text, at in ((sys.argv[1], int(sys.argv[3]) + 56), (sys.argv[2], int(sys.argv[4]) + 24)):
    us, = struct.unpack_from("<q", data, at)
    when = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=us)
    assert text == when.isoformat(timespec="microseconds") + "Z", (text, when)
    assert abs((when - datetime.datetime.utcnow()).total_seconds()) < 600, when
END
}

@test "each metric and each type by its name" {
    for metric in l2 cosine ip; do
        for type in f32 f16 i8 u8; do
            vdb-add -q --create --metric $metric --type $type --dim 7 $metric-$type.vdb </dev/null
            [ "$(value metric $metric-$type.vdb)" = $metric ]
            [ "$(value type $metric-$type.vdb)" = $type ]
            [ "$(value dim $metric-$type.vdb)" = 7 ]
            [ "$(value rows $metric-$type.vdb)" = 0 ]
        done
    done
}

@test "rows, live and deleted follow what is done" {
    vdb-rm -q abc.vdb a
    printf '{"id": "b", "vector": [7, 8]}\n' | vdb-add -q abc.vdb
    [ "$(value rows abc.vdb)" = 4 ]
    [ "$(value live abc.vdb)" = 2 ]
    [ "$(value deleted abc.vdb)" = 2 ]
    [ "$(value commit abc.vdb)" = 4 ]
    vdb-rm -q --restore abc.vdb a
    [ "$(value live abc.vdb)" = 3 ]
}

@test "parts: kind, rows and bytes, and the tail behind them" {
    vdb-compact -q --index graph abc.vdb
    printf '{"id": "d", "vector": [7, 8]}\n' | vdb-add -q abc.vdb
    [ "$(value parts abc.vdb)" = 1 ]
    [ "$(value tail_rows abc.vdb)" = 1 ]
    [ "$(value index abc.vdb)" = graph ]
    bytes=$(layout list abc.vdb | awk '$1 ~ /^(vector|code|graph|id|id-hash|metadata|time|tombstone)$/ {n += $3}
        END {print n}')
    same "$(vdb-stat abc.vdb | grep '^part	')" $'part\t0\tgraph\t3\t'"$bytes"
    vdb-compact -q --index flat abc.vdb
    [[ $(vdb-stat abc.vdb | grep '^part	') == $'part\t0\tflat\t4\t'* ]]
}

# What the present state needs, summed up from the tables of format-spec/.
used() {
    python3 - "$HERE" "$1" <<'END'
import struct, sys
sys.path.insert(0, sys.argv[1])
import layout
data = open(sys.argv[2], "rb").read()
slot = layout.superblock(data)
manifest, _, log_off, log_end = struct.unpack_from("<4Q", slot, 64)
table, count, size = struct.unpack_from("<QII", data, manifest + 120)
extents = [struct.unpack_from("<2Q", data, manifest + table + i * size) for i in range(count)]
extents = [extents[-1]]
assert extents[0][0] <= log_off and sum(extents[0]) == log_end
found = list(layout.listing(sys.argv[2]))
for name, off, _ in found:
    if name == "link":
        extents.append(struct.unpack_from("<2Q", data, off + 64))
needed = bytearray(len(data)) # a mark for each byte: what lies in two things counts once
for off, length in [entry[1:] for entry in found] + extents:
    needed[off:off + length] = b"\1" * length
print(needed.count(1))
END
}

@test "used_bytes is what the newest commit needs of the file, and compaction gives back the rest" {
    [ "$(value used_bytes abc.vdb)" -eq "$(used abc.vdb)" ]
    vdb-compact -q --index graph abc.vdb
    [ "$(value used_bytes abc.vdb)" -eq "$(used abc.vdb)" ]
    awk 'BEGIN { # so many numbers that the blocks of the commit lie outside the log
        for (i = 0; i < 1900; i++) {
            printf "%d", i
            for (j = 0; j < 200; j++) printf "\t%d", i + j
            print ""
        }
    }' >wide.tsv
    vdb-add -q --create tail.vdb wide.tsv
    [ "$(value used_bytes tail.vdb)" -gt $((1900 * 200 * 4)) ]
    [ "$(value parts tail.vdb)" = 0 ]
    [ "$(value used_bytes tail.vdb)" -eq "$(used tail.vdb)" ]
    for i in 1 2 3; do # parts, and a log that goes on elsewhere
        many 2500 $i | vdb-add -q --create --index graph big.vdb
        [ "$(value used_bytes big.vdb)" -eq "$(used big.vdb)" ]
        many 1800 9 | vdb-add -q --batch 20 big.vdb
        [ "$(value used_bytes big.vdb)" -eq "$(used big.vdb)" ]
        layout list big.vdb >>layout
    done
    grep -q '^link' layout
    spare=$(($(value file_bytes big.vdb) - $(value used_bytes big.vdb)))
    [ $spare -gt 100000 ]
    vdb-compact -q big.vdb
    [ "$(value used_bytes big.vdb)" -eq "$(used big.vdb)" ]
    [ $(($(value file_bytes big.vdb) - $(value used_bytes big.vdb))) -lt $((spare / 2)) ]
}

@test "--json says the same, and what the bytes of a part are for" {
    vdb-compact -q --index graph abc.vdb
    printf '{"id": "d", "vector": [7, 8]}\n' | vdb-add -q abc.vdb
    vdb-rm -q abc.vdb b
    vdb-stat abc.vdb >text
    ends 0 vdb-stat --json abc.vdb
    [ "${#lines[@]}" -eq 1 ]
    printf '%s\n' "$output" >json
    layout list abc.vdb >layout
    python3 - <<'END'
import json, os
stat = json.load(open("json"))
text = dict(line.rstrip("\n").split("\t", 1) for line in open("text"))
for key in ("format", "file_id", "created", "metric", "type", "index", "commit_time"):
    assert stat[key] == text[key], key
for key in ("file_bytes", "used_bytes", "dim", "rows", "live", "deleted", "commit", "tail_rows"):
    assert stat[key] == int(text[key]), key
assert (stat["rows"], stat["live"], stat["deleted"], stat["tail_rows"]) == (4, 3, 1, 1)
assert stat["file_bytes"] == os.path.getsize("abc.vdb")
assert len(stat["parts"]) == int(text["parts"]) == 1
part = stat["parts"][0]
length = {line.split()[0]: int(line.split()[2]) for line in open("layout")}
assert (part["kind"], part["rows"], part["row_begin"], part["row_end"]) == ("graph", 3, 0, 3)
assert part["vector_bytes"] == length["vector"] and part["graph_bytes"] == length["graph"]
assert part["id_bytes"] in (length["id"], length["id"] + length["id-hash"])
assert part["metadata_bytes"] == length["metadata"]
assert part["degree"] >= 4 and isinstance(part["codes_are_vectors"], bool)
assert text["part"] == f"0\tgraph\t3\t{part['bytes']}"
END
}

@test "the calibration of a graph: its curves, and the effort of a usual search" {
    many 3000 5 >many.jsonl
    vdb-add -q --create many.vdb many.jsonl
    vdb-compact -q --index graph many.vdb
    vdb-stat many.vdb >text
    vdb-stat --json many.vdb >json
    layout list many.vdb | awk '$1 == "calibration" {print $2}' >place
    python3 - "$(cat place)" <<'END'
import json, struct, sys
# By the tables of format-spec/calibration.md.
data, at = open("many.vdb", "rb").read(), int(sys.argv[1])
magic, count, dimension, hubness, rival, rival_cost = struct.unpack_from("<4sIIiII", data, at)
assert magic == b"VCAL"
curves = [struct.unpack_from("<3I", data, at + 64 + 16 * i) for i in range(count)]
at += 64 + 16 * count
points = []
for k, _, length in curves:
    for _ in range(length):
        points.append((k, *struct.unpack_from("<7I", data, at)))
        at += 28
assert len(points) >= 6, points
lines = [line.rstrip("\n").split("\t") for line in open("text")]
told = [line[1:] for line in lines if line[0] == "calibration"]
assert [(int(k), int(effort)) for _, k, effort, *_ in told] == [p[:2] for p in points]
for (part, _, _, *shares, cost), point in zip(told, points):
    assert part == "0" and len(shares) == 3 and int(cost) == point[7]
    for share, stored in zip(shares, (point[2], point[4], point[6])):
        assert abs(float(share) - stored / 1e6) <= 5e-5, (shares, point)
part, = json.load(open("json"))["parts"]
shares = ("recall", "error", "p5_recall", "p5_error", "zero_share")
assert [(p["k"], p["effort"], *(round(p[name] * 1e6) for name in shares), p["cost"]) for p in part["calibration"]] == points
# Why a graph: it was asked for by name, so that there was nothing beside it.
(_, number, *numbers, kind, cost, other, other_cost), = [line for line in lines if line[0] == "why"]
assert (number, kind, other, other_cost, rival, rival_cost) == ("0", "graph", "-", "-", 0, 0)
assert numbers == ["%.2f" % (dimension / 1000), "%.2f" % (hubness / 1000)] and dimension > 1000
assert part["why"] == {"dimension": dimension / 1000, "hubness": hubness / 1000, "kind": "graph", "cost": int(cost),
                       "rival": None, "rival_cost": None}
# The effort for 0.95 lies between those that were measured on both sides of it and of its tail.
(_, number, k, recall, effort), = [line for line in lines if line[0] == "effort"]
assert (number, k, recall, int(effort)) == ("0", "10", "0.95", part["effort"])
enough = {p[1]: p[2] - p[3] >= 954750 and p[4] - p[5] >= 800000 for p in points if p[0] == 10}
above = min(effort for effort in enough if enough[effort])
below = max([effort for effort in enough if not enough[effort]] or [1])
assert below <= int(effort) <= above, (below, effort, above)
costs = {p[1]: p[7] for p in points if p[0] == 10}
assert 0 < int(cost) <= costs[above] and int(cost) >= costs.get(below, 0), (costs, cost)
END
    ! vdb-stat --prometheus many.vdb | grep -q calibration
    # Flat: nothing to tell. Of few rows: no curves, and an effort all the same.
    vdb-compact -q --index flat many.vdb
    ! vdb-stat many.vdb | grep -E '^(calibration|effort|why)'
    ! vdb-stat --json many.vdb | grep -E 'calibration|effort|why'
    vdb-compact -q --index graph abc.vdb
    [ "$(vdb-stat abc.vdb | grep -E '^(calibration|effort|why)')" = $'effort\t0\t10\t0.95\t64' ]
    [[ $(vdb-stat --json abc.vdb) == *'"effort":64,"calibration":[],'* ]]
}

@test "why this index: what the rows are like, and what the other kind would cost" {
    many 3000 8 >many.jsonl
    vdb-add -q --create --index auto many.vdb many.jsonl
    vdb-compact -q many.vdb
    vdb-stat many.vdb >text
    vdb-stat --json many.vdb >json
    layout list many.vdb | awk '$1 == "calibration" {print $2}' >place
    python3 - "$(cat place)" <<'END'
import json, struct, sys
KINDS = {2: "graph", 4: "ivf"}
data, at = open("many.vdb", "rb").read(), int(sys.argv[1])
_, _, dimension, hubness, rival, rival_cost = struct.unpack_from("<4sIIiII", data, at)
lines = [line.rstrip("\n").split("\t") for line in open("text")]
(kind,) = [line[2] for line in lines if line[0] == "part"]
(cost,) = [line[5] for line in lines if line[0] == "why"]
assert {kind, KINDS[rival]} == {"graph", "ivf"} and int(cost) > 0
assert [line for line in lines if line[0] == "why"] == [
    ["why", "0", "%.2f" % (dimension / 1000), "%.2f" % (hubness / 1000), kind, cost, KINDS[rival],
     str(rival_cost or "-")]]
part, = json.load(open("json"))["parts"]
assert part["why"] == {"dimension": dimension / 1000, "hubness": hubness / 1000, "kind": kind, "cost": int(cost),
                       "rival": KINDS[rival], "rival_cost": rival_cost or None}
END
    # A rival that did not reach the recall; hubness below 0.
    python3 - "$(cat place)" <<'END'
import os, struct, sys
data, at = bytearray(open("many.vdb", "rb").read()), int(sys.argv[1])
struct.pack_into("<iII", data, at + 12, -1250, 3, 0)
open("many.vdb", "wb").write(data)
END
    vdb-stat many.vdb | grep -P '^why\t0\t[0-9.]+\t-1.25\t(graph|ivf)\t[0-9]+\thnsw\t-$'
    [[ $(vdb-stat --json many.vdb) == *'"hubness":-1.250,'*'"rival":"hnsw","rival_cost":null}'* ]]
}

@test "an inverted file: its lists, its codes, and the bytes that it takes" {
    awk 'BEGIN { # clusters of unlike sizes, so that lists are as well
        srand(4)
        for (i = 0; i < 9000; i++) {
            centre = int(30 * rand() ^ 3)
            printf "%d", i
            for (j = 0; j < 24; j++) printf "\t%.4f", (centre * (j + 7) * 31) % 17 + rand()
            print ""
        }
    }' >lists.tsv
    vdb-add -q --create --index ivf lists.vdb lists.tsv
    vdb-compact -q lists.vdb
    vdb-stat lists.vdb >text
    vdb-stat --json lists.vdb >json
    vdb-stat --prometheus lists.vdb >metrics
    layout list lists.vdb >layout
    python3 - <<'END'
import json, os, struct
length = {line.split()[0]: [int(n) for n in line.split()[1:3]] for line in open("layout")}
at, size = length["ivf"]
data = open("lists.vdb", "rb").read()
segment = data[at:at + size]
_, count, slots, codes, sub_dim, out_dim, flags = struct.unpack_from("<7I", segment)
survivors = list(struct.unpack_from("<3I", segment, 48))
lists_off, = struct.unpack_from("<Q", segment, 80)
rows = [struct.unpack_from("<I", segment, lists_off + 16 * i + 8)[0] for i in range(count)]
assert sum(rows) == 9000 and count > 10 and len(set(rows)) > 5, rows
mean = sum(rows) / count
deviation = (sum((n - mean) ** 2 for n in rows) / count) ** 0.5
imbalance = count * sum(n * n for n in rows) / sum(rows) ** 2
row_bytes = 4 + 4 * -(-codes // 8)
name = {1: "i4", 2: "pq", 4: "b1"}[sub_dim]
lines = {}
for line in open("text"):
    lines.setdefault(line.split("\t")[0], []).append(line.rstrip("\n").split("\t")[1:])
share = size / len(data)
assert lines["part_codes"] == [["0", name, str(row_bytes), "%.4f" % share]], lines
assert lines["lists"] == [["0", str(count), str(min(rows)), "%.1f" % mean, str(max(rows)), "%.1f" % deviation,
                           "%.2f" % imbalance]], lines
assert lines["ivf"] == [["0", str(out_dim), str(4 // sub_dim), "spilled" if flags & 1 else "single",
                         *map(str, survivors)]], lines
assert lines["part"][0][1:3] == ["ivf", "9000"] and "hnsw" not in lines
part, = json.load(open("json"))["parts"]
assert (part["kind"], part["ivf_bytes"], part["code_bytes"], part["graph_bytes"]) == ("ivf", size, 0, 0)
assert part["lists"] == count
stats = {"min": min(rows), "mean": mean, "max": max(rows), "deviation": deviation}
assert set(part["list_rows"]) == set(stats)
assert all(abs(part["list_rows"][key] - stats[key]) < 1e-5 for key in stats), part
assert abs(part["imbalance"] - imbalance) < 1e-5
assert (part["codes"], part["row_code_bytes"], part["code_dim"], part["code_bits"]) == (name, row_bytes, out_dim, 4 // sub_dim)
assert part["spilled"] == bool(flags & 1) and part["survivors"] == survivors
assert part["rotated"] is False and part["codes_are_vectors"] is False and "degree" not in part
assert 'part="0",codes="%s"} %d\n' % (name, size) in open("metrics").read()
END
}

@test "--prometheus: each gauge once, with help and type, labelled with the path" {
    vdb-compact -q --index flat abc.vdb
    cp abc.vdb 'a"b\c.vdb'
    ends 0 vdb-stat --prometheus 'a"b\c.vdb'
    printf '%s\n' "$output" >metrics
    vdb-stat --json abc.vdb >json
    python3 - <<'END'
import json, re
stat, seen, announced = json.load(open("json")), {}, set()
for line in open("metrics"):
    head = re.fullmatch(r"# (HELP|TYPE) (vdb_[a-z_]+) (.+)\n", line)
    if head:
        assert (head[1], head[2]) not in announced
        announced.add((head[1], head[2]))
        assert head[1] == "HELP" or head[3] == "gauge"
        continue
    sample = re.fullmatch(r'(vdb_[a-z_]+)\{index="a\\"b\\\\c.vdb"(,part="0",kind="flat")?\} ([0-9.]+)\n', line)
    assert sample, line
    name = sample[1]
    assert ("HELP", name) in announced and ("TYPE", name) in announced and name not in seen
    seen[name] = float(sample[3])
for name, key in (("file_bytes", "file_bytes"), ("used_bytes", "used_bytes"), ("dim", "dim"), ("rows", "rows"), ("commit", "commit"),
                  ("live_rows", "live"), ("deleted_rows", "deleted"), ("tail_rows", "tail_rows"),
                  ("oldest_commit", "oldest_commit")):
    assert seen["vdb_" + name] == stat[key], name
assert seen["vdb_snapshots"] == 0
assert seen["vdb_parts"] == 1 and seen["vdb_part_rows"] == 3
assert seen["vdb_part_bytes"] == stat["parts"][0]["bytes"]
assert stat["commit_time"].endswith("%06dZ" % round(seen["vdb_commit_time_seconds"] % 1 * 1e6))
END
}

@test "-v names the kernel set on stderr; the output is the same for any" {
    ends 0 vdb-stat abc.vdb
    plain=$output
    VDB_ISA=portable ends 0 vdb-stat -v abc.vdb
    [ "$output" = "$plain" ]
    [ "$stderr" = "vdb-stat: kernel set portable" ]
}

@test "it writes nothing: a file of mode 0444 in a directory of mode 0555" {
    mkdir ro
    cp abc.vdb ro/
    chmod 444 ro/abc.vdb
    chmod 555 ro
    before=$(sha256sum ro/abc.vdb)
    ends 0 vdb-stat ro/abc.vdb
    chmod 755 ro
    [ "$(sha256sum ro/abc.vdb)" = "$before" ]
    [ "$(ls ro)" = abc.vdb ]
}

@test "wrong usage" {
    refused 2 "*INDEX*" vdb-stat
    refused 2 "*" vdb-stat abc.vdb abc.vdb
    refused 2 "*both*" vdb-stat --json --prometheus abc.vdb
    refused 2 "--at: '' is no snapshot*" vdb-stat --at '' abc.vdb
}

@test "no index, or a bad one" {
    : >empty.vdb
    head -c 6000 abc.vdb >short.vdb
    refused 66 "none.vdb*" vdb-stat none.vdb
    refused 66 ".*" vdb-stat .
    refused 65 "*empty.vdb*" vdb-stat empty.vdb
    refused 65 "*abc.jsonl*" vdb-stat abc.jsonl
    refused 65 "*short.vdb*" vdb-stat short.vdb
    for slot in 0 4096; do layout set abc.vdb $((slot + 8)) 0001; done
    layout seal abc.vdb
    refused 65 "*abc.vdb*version 256.9*" vdb-stat abc.vdb
}

@test "features that are not known: incompat refused by name, ro_compat and compat read" {
    for mask in compat:16 ro_compat:24 incompat:32; do
        cp abc.vdb x.vdb
        for slot in 0 4096; do layout set x.vdb $((slot + ${mask#*:})) 0002; done
        layout seal x.vdb
        case $mask in
        incompat:*) refused 65 "*x.vdb*incompat*9*" vdb-stat x.vdb ;;
        *) ends 0 vdb-stat x.vdb ;;
        esac
    done
}

@test "an output that cannot be written is exit 74" {
    refused 74 "standard output*" sh -c "vdb-stat abc.vdb >/dev/full"
}

@test "a dense copy has no times, and says so" {
    vdb-add -q --create --dim 2 a.vdb <<<'{"id":"a","vector":[1,2]}'
    vdb-compact -q --output b.vdb a.vdb
    ends 0 vdb-stat b.vdb
    grep -qx $'created\t-' <<<"$output"
    grep -qx $'commit_time\t-' <<<"$output"
    ends 0 vdb-stat --json b.vdb
    python3 -c 'import json, sys
stat = json.load(sys.stdin)
assert stat["created"] is None and stat["commit_time"] is None' <<<"$output"
}
