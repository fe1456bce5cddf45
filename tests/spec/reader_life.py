#!/usr/bin/env python3
"""reader_life.py: lives of an index by the tools, and what the reader of the spec makes of its file.

usage: reader_life.py live SEED...    every state, by number, name and time, and exact searches: the same of both
       reader_life.py flip FILE       each byte changed in turn: found by the reader, or padding, and never a crash

SPDX-License-Identifier: BSD-2-Clause
"""

import io
import json
import math
import os
import random
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
READER = os.path.join(HERE, "..", "..", "format-spec", "reader")
sys.path[:0] = [HERE, READER]
from check import check  # noqa: E402
from index import Index  # noqa: E402
from invariants import findings  # noqa: E402
from storage import Refused, Span  # noqa: E402
from superblock import SIZE, SLOT, STRIDE  # noqa: E402


def run(*command, text=None, ends=(0,)):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert done.returncode in ends, (command, done.returncode, done.stderr)
    return done.stdout


def opened(data):
    return Span(io.BytesIO(data), "file", 0, len(data))


class Life:
    """An index to which things happen that the seed decides."""

    def __init__(self, seed):
        self.draw, self.file, self.count = random.Random(seed), "life-%d.data" % seed, 0
        self.type = self.draw.choice(["f32", "f16", "i8", "u8"])
        self.dim = self.draw.choice([1, 3, 19, 64, 130])
        kind = self.draw.choice(["auto", "flat", "graph", "hnsw", "ivf", "hybrid"])
        self.what = [self.type, self.draw.choice(["l2", "cosine", "ip"]), kind, self.dim]
        run("vdb-add", "-q", "--create", "--type", self.type, "--metric", self.what[1], "--index", kind,
            *(["--recent", "100"] if kind == "hybrid" else []), self.file,
            text=self.records(self.draw.choice([1, 60, 2300])))
        for step in range(self.draw.randrange(6, 14)):
            self.happen(step)

    def records(self, count, known=0.0):
        ids = [self.draw.randrange(self.count) if self.draw.random() < known else self.count + i
               for i in range(count)]
        self.count += count
        return "".join(json.dumps(self.record(i)) + "\n" for i in dict.fromkeys(ids))

    def record(self, number):
        low, high, unit = (-64, 64, 8) if self.type in ("f32", "f16") else (0, 100, 1)
        vector = [self.draw.randrange(low, high) / unit if unit > 1 else self.draw.randrange(low, high)
                  for _ in range(self.dim - 1)] + [1]
        record = {"id": self.id(number), "vector": vector}
        return record | ({"metadata": {"n": number, "t": "la " * (number % 40)}} if number % 3 else {})

    @staticmethod
    def id(number):
        return "row-%d%s" % (number, "é" * (number % 3))

    def happen(self, step):
        some = [self.id(self.draw.randrange(self.count)) for _ in range(4)]
        names = [line.split("\t")[0] for line in run("vdb-snap", self.file).splitlines()]
        event = self.draw.choice(["add", "add", "many", "much", "rm", "restore", "name", "drop", "compact", "keep",
                                  "back", "send"])
        if event in ("add", "much"):
            count = self.draw.choice([1, 7, 100] if event == "add" else [300, 2100])
            run("vdb-add", "-q", self.file, text=self.records(count, 0.5))
        elif event == "many":  # enough of the log that it goes on in other extents
            for _ in range(12):
                run("vdb-add", "-q", self.file, text=self.records(self.draw.choice([1, 200]), 0.5))
        elif event in ("rm", "restore"):
            run("vdb-rm", "-q", *(["--restore"] if event == "restore" else []), self.file, *some, ends=(0, 1))
        elif event == "name":
            run("vdb-snap", self.file, "create", "named %d é" % step)
        elif event == "drop" and names:
            run("vdb-snap", self.file, "rm", self.draw.choice(names))
        elif event in ("compact", "keep"):
            run("vdb-compact", "-q", *(["--keep-rows", "all"] if event == "keep" else []), self.file)
        elif event == "back":
            run("vdb-snap", "-q", self.file, "restore", str(self.draw.randrange(1, 6)), ends=(0, 1))
        elif event == "send":
            stream = subprocess.run(["vdb-snap", self.file, "send"], capture_output=True, check=True).stdout
            subprocess.run(["vdb-snap", "-q", "received-" + self.file, "recv"], input=stream, capture_output=True,
                           check=False)


def compare(life, path):
    with open(path, "rb") as file:
        data = file.read()
    assert not list(findings(opened(data))), list(findings(opened(data)))
    index = Index(opened(data))
    named = [line.split("\t")[:3] for line in run("vdb-snap", path).splitlines()]
    whens = [None] + [when for name in named for when in name] + [str(n) for n in range(index.states[-1].commit + 2)]
    for when in dict.fromkeys(whens):
        at = ["--at", when] if when else []
        try:
            mine = [{"id": name, "vector": list(vector)} | ({"metadata": json.loads(text)} if text else {})
                    for _, name, vector, text in index.rows(when)]
        except Refused as refused:
            assert refused.args[0] == 1 and run("vdb-get", *at, path, ends=(1,)) == "", when
            continue
        assert mine == [json.loads(line) for line in run("vdb-get", *at, path).splitlines()], when
    queries = "".join(json.dumps(life.record(i)) + "\n" for i in range(3))
    for at in ([], ["--at", str(index.states[0].commit)]):
        search = ["--exact", "-k", "7", *at, path]
        theirs = run("vdb-search", *search, text=queries, ends=(0, 1)).splitlines()
        mine = run(sys.executable, os.path.join(READER, "vdb_reader.py"), "search", *search[1:], text=queries,
                   ends=(0, 1)).splitlines()
        assert len(mine) == len(theirs), (mine, theirs)
        for a, b in zip((line.split("\t") for line in mine), (line.split("\t") for line in theirs)):
            assert a[:2] == b[:2] and math.isclose(float(a[3]), float(b[3]), rel_tol=1e-5, abs_tol=1e-6), (a, b)
        # Where distances are the same to the tool but for their rounding, ids may change places.
        assert sum(a.split("\t")[2] != b.split("\t")[2] for a, b in zip(mine, theirs)) <= 2, (mine, theirs)


def flip(path):
    """The file has nothing between its structures but zeros, and the manifest that only the slot leads to which
    does not count: so any other byte that is not zero belongs to a structure."""
    with open(path, "rb") as file:
        whole = file.read()
    assert not check(opened(whole))
    newest = Index(opened(whole)).states[-1].commit
    older = min((SLOT.array(whole[at:at + SIZE])[0] for at in (0, STRIDE)), key=lambda slot: slot.generation)
    unread = range(older.manifest_off, older.manifest_off + older.manifest_len)
    for at in (at for at, byte in enumerate(whole) if byte and at not in unread):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        try:
            found = check(opened(bytes(data))) or Index(opened(bytes(data))).states[-1].commit < newest
        except Refused:
            found = True
        assert found, "byte %d can change" % at
    for size in range(0, len(whole), 97):
        try:
            assert check(opened(whole[:size])), size
        except Refused:
            pass


def main():
    if sys.argv[1] == "flip":
        return flip(sys.argv[2])
    for seed in map(int, sys.argv[2:]):
        life = Life(seed)
        for path in (life.file, "received-" + life.file):
            if os.path.exists(path):
                print(seed, *life.what, path, os.path.getsize(path), flush=True)
                compare(life, path)


if __name__ == "__main__":
    main()
