#!/usr/bin/env python3
"""seeds.py: sound inputs for the fuzz targets, small ones, to start from.

seeds.py DIR, with the tools in PATH, writes DIR/open/*.vdb, DIR/input/* and DIR/stream/*. They are made and not
kept, so that they are always of the format that the tools write; what once crashed a target is
kept, in fuzz/corpus/TARGET.

SPDX-License-Identifier: BSD-2-Clause
"""

import json
import os
import random
import struct
import subprocess
import sys

# Position in enum input_format of tools/input/input.h: the first byte of an input seed.
FORMATS = ["auto", "jsonl", "tsv", "csv", "word2vec", "npy", "fvecs", "bvecs", "ivecs", "fbin",
           "u8bin", "i8bin", "idx"]


def run(*command, records=()):
    text = "".join(json.dumps(record) + "\n" for record in records)
    subprocess.run(command, input=text.encode(), check=True, stdout=subprocess.DEVNULL)


def records(count, dim, whole, metadata=False, first=0):
    draw = random.Random(count * 1000 + dim)
    for i in range(first, first + count):
        numbers = [draw.randint(1, 100) if whole else draw.uniform(-1, 1) for _ in range(dim)]
        record = {"id": f"row {i}", "vector": numbers}
        if metadata:
            record["metadata"] = {"number": i, "words": ["seed", "ö"] * (i % 5)}
        yield record


def indexes(folder):
    os.makedirs(folder, exist_ok=True)
    at = lambda name: os.path.join(folder, name + ".vdb")
    for name in ("empty", "tail", "flat", "graph", "hnsw", "parts"):
        if os.path.exists(at(name)):
            os.remove(at(name))

    run("vdb-add", "-q", "--create", "--dim", "3", at("empty"))

    run("vdb-add", "-q", "--create", at("tail"), records=records(20, 5, False, metadata=True))
    run("vdb-add", "-q", at("tail"), records=records(5, 5, False))
    run("vdb-rm", "-q", at("tail"), "row 1", "row 19")

    run("vdb-add", "-q", "--create", "--type", "u8", "--metric", "cosine", at("flat"),
        records=records(50, 7, True, metadata=True))
    run("vdb-compact", "-q", "--index", "flat", at("flat"))

    run("vdb-add", "-q", "--create", at("graph"), records=records(300, 8, False, metadata=True))
    run("vdb-rm", "-q", at("graph"), "row 7")
    run("vdb-compact", "-q", "--index", "graph", at("graph"))
    run("vdb-rm", "-q", at("graph"), "row 8")

    run("vdb-add", "-q", "--create", "--index", "hnsw", "--m", "4", at("hnsw"), records=records(300, 8, False))
    run("vdb-compact", "-q", at("hnsw"))

    run("vdb-add", "-q", "--create", "--type", "i8", "--metric", "ip", at("parts"),
        records=records(200, 16, True))
    run("vdb-compact", "-q", "--index", "graph", at("parts"))
    run("vdb-add", "-q", at("parts"), records=records(30, 16, True, metadata=True, first=190))

    # Snapshots in manifest and log, and a state from before a compaction.
    here = os.path.dirname(os.path.abspath(__file__))
    run(sys.executable, os.path.join(here, "..", "tests", "spec", "make_examples.py"), "--file", at("past"),
        os.path.join(here, "..", "format-spec"))


def inputs(folder):
    os.makedirs(folder, exist_ok=True)
    rows = [[1.0, 2.5, -3.0], [0.5, 0.25, 4.0]]
    flat = [number for row in rows for number in row]
    floats, small = struct.pack("<6f", *flat), bytes([1, 2, 3, 4, 5, 6])
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    files = {
        "jsonl": b'{"id": "a", "vector": [1, 2.5, -3e0], "metadata": {"x": [1, "\\u00f6"]}}\n'
                 b'{"vector": [0.5, 0.25, 4], "id": "b"}\n',
        "tsv": b"a\t1\t2.5\t-3\nb\t0.5\t0.25\t4\n",
        "csv": b'a,1,2.5,-3\n"b, ""c""",0.5,0.25,4\n',
        "word2vec": b"2 3\na 1 2.5 -3\nb 0.5 0.25 4\n",
        "npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + floats,
        "fvecs": b"".join(struct.pack("<i3f", 3, *row) for row in rows),
        "bvecs": b"".join(struct.pack("<i3B", 3, *row) for row in ([1, 2, 3], [4, 5, 6])),
        "ivecs": b"".join(struct.pack("<4i", 3, *row) for row in ([1, 2, 3], [4, 5, 6])),
        "fbin": struct.pack("<II", 2, 3) + floats,
        "u8bin": struct.pack("<II", 2, 3) + small,
        "i8bin": struct.pack("<II", 2, 3) + small,
        "idx": struct.pack(">HBBII", 0, 8, 2, 2, 3) + small,
    }
    for name, data in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(bytes([FORMATS.index(name)]) + data)
        with open(os.path.join(folder, "auto-" + name), "wb") as file:
            file.write(b"\0" + data)


def stream(path, how, index, *options):
    """Behind a byte that says how it is to be received."""
    sent = subprocess.run(["vdb-snap", index, "send", *options], check=True, stdout=subprocess.PIPE).stdout
    with open(path, "wb") as file:
        file.write(bytes([how]) + sent)


def streams(folder):
    """Changes are those of rows by the ids that the target makes an index of."""
    os.makedirs(folder, exist_ok=True)
    index = os.path.join(folder, "sender.vdb")
    for name, options, whole in (("f32", (), False), ("u8", ("--type", "u8", "--metric", "cosine"), True)):
        run("vdb-add", "-q", "--create", *options, index, records=records(30, 6, whole, metadata=True))
        run("vdb-snap", "-q", index, "create", "base")
        run("vdb-add", "-q", index, records=records(6, 6, whole, metadata=True, first=27))
        run("vdb-rm", "-q", index, "row 3", "row 4")
        run("vdb-snap", "-q", index, "create", "target")
        stream(os.path.join(folder, name + "-whole"), 1, index)
        stream(os.path.join(folder, name + "-changes"), 3, index, "--from", "base")
        stream(os.path.join(folder, name + "-checked"), 0, index, "--from", "base")
        os.remove(index)


if __name__ == "__main__":
    indexes(os.path.join(sys.argv[1], "open"))
    inputs(os.path.join(sys.argv[1], "input"))
    streams(os.path.join(sys.argv[1], "stream"))
