#!/usr/bin/env python3
"""make_good.py: adds to tests/golden/v0.9/good/ index files that the tools made, with the rows that they were made of.

usage: make_good.py    with the tools on the PATH

For each, NAME.vdb.gz is the file, NAME.rows.gz its rows, and NAME.past.gz those of states that can be gone back to, a
JSON object {"at": COMMIT or name, "rows": [...]} a line. Where it has an index, NAME.near.gz has queries, a JSON object
{"vector": [...], "distances": [...]} a line, the distances being those of the 5 nearest rows. All of these are made of
what the tools were given, none of what they say. What is there stays as it is: the tools do not make the same bytes again.

SPDX-License-Identifier: BSD-2-Clause
"""

import gzip
import hashlib
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from spoil import SOURCE, spec  # noqa: E402

TO = os.path.join(SOURCE, "tests", "golden", "v0.9")


class Index:
    """An index file, and a model of what is in it after each commit."""

    def __init__(self, name, dim, kind="f32", metric="l2", seed=1, **options):
        self.path, self.dim, self.kind, self.metric = name + ".vdb", dim, kind, metric
        self.draw, self.rows, self.past, self.number, self.commit = random.Random(seed), [], [], 0, 1
        self.options = ["--create", "--type", kind, "--metric", metric]
        for option, value in options.items():
            self.options += ["--" + option, str(value)]

    def run(self, *words, **given):
        subprocess.run(list(words), check=True, stdout=subprocess.DEVNULL, **given)

    def vector(self):
        """Numbers that every type can hold, in clusters."""
        whole, middle = self.kind in ("u8", "i8"), self.draw.randrange(4)
        low = 0 if self.kind == "u8" else -100
        numbers = [min(255 if self.kind == "u8" else 127, max(low, 30 * (middle + i) % 120 + self.draw.randrange(-20, 21)))
                   for i in range(self.dim)]
        return numbers if whole else [number / 16 for number in numbers]

    def record(self, name, with_metadata):
        record = {"id": name, "vector": self.vector()}
        if with_metadata:
            record["metadata"] = {"n": self.draw.randrange(1000), "text": "é" * self.draw.randrange(4), "tags": ["a", None]}
        return record

    def add(self, names, *options, metadata=3):
        """Adds or replaces rows; each so many-th has metadata."""
        records = [self.record(name, metadata and i % metadata == 0) for i, name in enumerate(names)]
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        self.run("vdb-add", "-q", *self.options, *options, self.path, input=text.encode())
        self.options = []
        self.commit += 1
        for record in records:
            for row in self.rows:
                row[1] = row[1] and row[0]["id"] != record["id"]
            self.rows.append([record, True])
        return self

    def fresh(self, count):
        self.number += count
        return ["row %d" % number for number in range(self.number - count, self.number)]

    def remove(self, *names, restore=False):
        self.run("vdb-rm", "-q", "--no-maintain", *(["--restore"] if restore else []), self.path, *names)
        for name in names:  # the live row, or the newest of those that are deleted
            next(row for row in self.rows[::-1] if row[0]["id"] == name and row[1] != restore)[1] = restore
        self.commit += 1
        return self

    def snapshot(self, name):
        self.run("vdb-snap", self.path, "create", name)
        return self.kept(name)

    def tool(self, *words):
        self.run(*words[:1], "-q", *words[1:], self.path)
        return self

    def live(self):
        return [row[0] for row in self.rows if row[1]]

    def kept(self, when):
        self.past.append((when, self.live()))
        return self

    def distance(self, a, b):
        product = math.fsum(x * y for x, y in zip(a, b))
        if self.metric == "l2":
            return math.sqrt(math.fsum((x - y) ** 2 for x, y in zip(a, b)))
        if self.metric == "ip":
            return -product
        return 1 - product / math.sqrt(math.fsum(x * x for x in a) * math.fsum(y * y for y in b))

    def near(self, count=12):
        for _ in range(count):
            query = self.vector()
            yield {"vector": query, "distances": sorted(self.distance(query, row["vector"]) for row in self.live())[:5]}


def with_index(name, rows, dim, kind, metric, seed, **options):
    index = Index(name, dim, kind, metric, seed, **options)
    index.add(index.fresh(rows)).tool("vdb-compact")
    index.remove("row 3").add(["row 5"], "--no-maintain").add(index.fresh(2), "--no-maintain")
    return index


def long_log():
    """Rows and names until the log has several extents, and then a manifest that comes after them."""
    index = Index("log", 2, "f32", "ip", 20, index="flat").add(index_rows(12), "--no-maintain")
    for turn in range(60):
        index.run("vdb-snap", index.path, "create", "turn %d" % turn)
        if turn % 20 == 0:
            index.kept("turn %d" % turn)
        else:
            index.run("vdb-snap", index.path, "rm", "turn %d" % turn)
        if turn % 15 == 7:
            index.remove("row %d" % (turn // 15)).kept(index.commit)
            index.add(["row %d" % (turn // 15 + 5)], "--no-maintain").kept(index.commit)
    index.add(["bulk %d" % number for number in range(2048)], "--no-maintain", metadata=0)  # as many as make a part
    index.tool("vdb-compact", "--maintain").remove("row 0", restore=True).remove("row 11")
    return index.snapshot("after")


def kept_states():
    """Compactions in place that keep states and history: rows that are there for the past alone."""
    index = Index("kept", 5, "i8", "l2", 21, index="flat").add(index_rows(14), "--no-maintain").snapshot("first")
    index.remove("row 2", "row 3").add(["row 4", "row 20"], "--no-maintain").snapshot("grün é")
    index.remove("row 2", restore=True).tool("vdb-compact", "--keep-history", "all")
    index.remove("row 7").snapshot("third").tool("vdb-compact", "--keep-history", "all")
    return index.add(["row 7", "row 8"], "--no-maintain")


def index_rows(count):
    return ["row %d" % number for number in range(count)]


def received():
    """A copy that came by streams, of a state and then of what changed."""
    sender = Index("sender", 6, "f16", "cosine", 22, index="graph").add(index_rows(30)).snapshot("one")
    copy = Index("received", 6, "f16", "cosine")
    for name, since in (("one", []), ("two", ["--from", "one"])):
        if name == "two":
            sender.remove("row 4").add(["row 9", "row 40"], "--no-maintain").snapshot("two")
        stream = subprocess.run(["vdb-snap", "-q", *since, sender.path, "send", name], check=True, capture_output=True).stdout
        copy.run("vdb-snap", "-q", copy.path, "recv", input=stream)
    copy.rows, copy.past = sender.rows, sender.past
    return copy


def all_of_them():
    yield with_index("flat-u8-ip", 40, 7, "u8", "ip", 1, index="flat"), False
    yield with_index("graph-f32-l2", 520, 4, "f32", "l2", 2, index="graph"), True  # rows enough for a calibration
    yield with_index("graph-f32-cosine-i4", 60, 10, "f32", "cosine", 3, index="graph", codes="i4"), True
    yield with_index("graph-f16-ip-none", 60, 5, "f16", "ip", 4, index="graph", codes="none"), True
    yield with_index("graph-i8-l2", 60, 9, "i8", "l2", 5, index="graph"), True
    yield with_index("hnsw-u8-l2", 70, 8, "u8", "l2", 6, index="hnsw", m=4), True
    yield with_index("hnsw-f32-cosine", 70, 6, "f32", "cosine", 7, index="hnsw", m=4), True
    yield with_index("ivf-f32-cosine-pq", 260, 8, "f32", "cosine", 8, index="ivf", codes="pq"), True
    yield with_index("ivf-u8-l2-i4", 260, 6, "u8", "l2", 9, index="ivf", codes="i4"), True
    yield with_index("ivf-f16-ip-b1", 260, 12, "f16", "ip", 10, index="ivf", codes="b1"), True
    yield with_index("hybrid-f32-l2", 300, 6, "f32", "l2", 11, index="hybrid", recent=40), True
    yield long_log(), False
    yield kept_states(), False
    yield received(), True


# ---- that every kind is there ------------------------------------------------------------------

def fields(data, at, name):
    found = {}
    for offset, _, form, field in spec.layouts[name]:
        if form in spec.SCALARS:
            found[field] = struct.unpack_from("<" + spec.SCALARS[form], data, at + offset)[0]
        elif form in spec.layouts:
            found[field] = fields(data, at + offset, form)
    return found


def kinds_of(data):
    """What of each enumeration the file has."""
    slots = [fields(data, at, "disk_superblock") for at in (0, 4096)]
    at = max(slots, key=lambda slot: slot["generation"])["manifest_off"]
    head = fields(data, at, "disk_manifest")
    entries = {}
    for table, name in (("parts", "disk_part"), ("segments", "disk_segment"), ("log_extents", "disk_log_extent"),
                        ("snapshots", "disk_snapshot")):
        entries[table] = [fields(data, at + head[table]["off"] + i * spec.size_of(name), name)
                          for i in range(head[table]["count"])]
    kinds = {("type", head["type"]), ("metric", head["metric"])} | {("part", part["kind"]) for part in entries["parts"]}
    kinds |= {("segment", entry["type"]) for entry in entries["segments"]}
    kinds |= {("extents", True)} if len(entries["log_extents"]) > 1 else set()
    kinds |= {("received", True)} if head["received_commit"] or b"VREC" in data and name_received(data) else set()
    for entry in entries["segments"]:
        if entry["type"] == 2:
            code = fields(data, entry["off"], "disk_code_header")
            kinds |= {("code", code["kind"])} | {("code flag", bit) for bit in (1, 2, 4) if code["flags"] & bit}
        if entry["type"] == 3:
            kinds |= {("levels", fields(data, entry["off"], "disk_graph_header")["level_count"] > 1)}
        if entry["type"] == 10:
            ivf = fields(data, entry["off"], "disk_ivf_header")
            kinds |= {("sub_dim", ivf["sub_dim"]), ("slot codes", ivf["slot_codes_off"] > 0)}
    return kinds


def name_received(data):
    """A change of names at the end of a commit, of the operation 3."""
    return any(data[at:at + 8] == b"\3" + bytes(7) for at in range(0, len(data) - 320, 64))


WANTED = {("type", n) for n in range(1, 5)} | {("metric", n) for n in range(1, 4)} | {("part", n) for n in range(1, 4)}
WANTED |= {("segment", n) for n in range(1, 13)} | {("code", 1), ("code", 2)} | {("code flag", bit) for bit in (1, 2, 4)}
WANTED |= {("sub_dim", n) for n in (1, 2, 4)} | {("slot codes", True), ("slot codes", False)}
WANTED |= {("levels", True), ("levels", False), ("extents", True), ("received", True)}


def store(name, data, sums):
    with open(os.path.join(TO, "good", name), "wb") as to:
        to.write(gzip.compress(data, 9, mtime=0))
    with open(os.path.join(TO, "good", name), "rb") as file:
        sums["good/" + name] = hashlib.sha256(file.read()).hexdigest()


def lines(records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def main():
    sums_path = os.path.join(TO, "SHA256SUMS")
    with open(sums_path, encoding="utf-8") as file:
        sums = {line.split()[1]: line.split()[0] for line in file}
    found = set()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for index, is_near in all_of_them():
            name = index.path[:-4]
            with open(index.path, "rb") as file:
                data = file.read()
            found |= kinds_of(data)
            if "good/%s.vdb.gz" % name in sums:
                continue
            store(name + ".vdb.gz", data, sums)
            store(name + ".rows.gz", lines(index.live()), sums)
            store(name + ".past.gz", lines({"at": when, "rows": rows} for when, rows in index.past), sums)
            if is_near:
                store(name + ".near.gz", lines(index.near()), sums)
    if WANTED - found:
        sys.exit("make_good.py: no file has %s" % sorted(WANTED - found))
    with open(sums_path, "w", encoding="utf-8") as to:
        to.write("".join("%s  %s\n" % (digest, path) for path, digest in sorted(sums.items())))


main()
