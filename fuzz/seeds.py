#!/usr/bin/env python3
"""seeds.py: sound inputs for the fuzz targets, small ones, to start from.

seeds.py DIR, with the tools in PATH, writes DIR/TARGET/NAME. They are made and not kept, so that they are always of the
format that the tools write; what targets were led to by them, and what once broke one, is kept, in fuzz/corpus/TARGET.

seeds.py --unpack INPUT FILE writes the index that an input of fuzz/open.c means.

SPDX-License-Identifier: BSD-2-Clause
"""

import gzip
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile


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


def write(folder, name, data):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def inputs(folder):
    rows = [[1.0, 2.5, -3.0], [0.5, 0.25, 4.0]]
    flat = [number for row in rows for number in row]
    floats, small = struct.pack("<6f", *flat), bytes([1, 2, 3, 4, 5, 6])

    def npy(version, descr, data, order=False, shape=(2, 3)):
        head = repr({"descr": descr, "fortran_order": order, "shape": shape}).encode()
        length = struct.pack("<H" if version == 1 else "<I", len(head) + 1)
        return b"\x93NUMPY" + bytes([version, 0]) + length + head + b"\n" + data

    files = {
        "jsonl": [b'{"id": "a", "vector": [1, 2.5, -3e0], "metadata": {"x": [1, "\\u00f6"]}}\n'
                  b'{"vector": [0.5, 0.25, 4], "id": "b"}\n'],
        "delimited": [b"a\t1\t2.5\t-3\nb\t0.5\t0.25\t4\n", b'a,1,2.5,-3\n"b, ""c""",0.5,0.25,4\n'],
        "word2vec": [b"2 3\na 1 2.5 -3\nb 0.5 0.25 4\n", b"a 1 2.5 -3\nb 0.5 0.25 4\n"],
        "npy": [npy(1, "<f4", floats), npy(2, ">f8", struct.pack(">6d", *flat)), npy(1, "|i1", small),
                npy(3, "<f2", struct.pack("<6e", *flat), True), npy(1, "<i8", struct.pack("<6q", *range(6)))],
        "vecs": [b"".join(struct.pack("<i3f", 3, *row) for row in rows),
                 b"".join(struct.pack("<i3B", 3, *row) for row in ([1, 2, 3], [4, 5, 6])),
                 b"".join(struct.pack("<4i", 3, *row) for row in ([1, 2, 3], [4, 5, 6]))],
        "bin": [struct.pack("<II", 2, 3) + floats] + 2 * [struct.pack("<II", 2, 3) + small],
        "idx": [struct.pack(">HBBII", 0, 8, 2, 2, 3) + small,
                struct.pack(">HBBIII", 0, 13, 3, 2, 3, 1) + struct.pack(">6f", *flat)],
    }
    for target, samples in files.items():
        for number, data in enumerate(samples):
            # How the target is to read it: as its format of that number, or, 15, by what it sees.
            which = number if target in ("delimited", "vecs", "bin") else 0
            into = os.path.join(folder, target)
            write(into, f"{number}", bytes([which]) + data)
            write(into, f"{number}-auto", b"\x0f" + data)
            write(into, f"{number}-loose", bytes([0x30 | which]) + data)
            write(into, f"{number}-gzip", bytes([which]) + gzip.compress(data, mtime=0))


def texts(folder):
    """The first byte of a number says what it is one of: fuzz/number.c."""
    numbers = {0: ["0", "3", "18446744073709551614"], 1: ["-1.5e3", ".25"], 2: ["100", "30d", "12h"],
               3: ["all", "none", "4w"], 4: ["none", "22:00-06:30", "00:00-24:00"], 5: ["1795292100"],
               6: ["10,20,400"], 7: ["0.9,0.95,1"],
               8: ["1", "+.5", "007", "nan", "1e38", "1.17549435e-38", "16777217.0000001"],
               9: ["-0.0", "3.4028236e38", "Infinity", "1e-45", "0.1000000000000000055511151231257827"]}
    for kind, samples in numbers.items():
        for number, text in enumerate(samples):
            write(os.path.join(folder, "number"), f"{kind}-{number}", bytes([kind]) + text.encode())
    whens = ["7", "18446744073709551615", "2026-11-21T20:15:00Z", "2024-02-29t23:59:59.999999+02:00",
             "2016-12-31 23:59:60Z", "0000-01-01T00:00:00.0000001-23:59", "before-migration"]
    for number, text in enumerate(whens):
        write(os.path.join(folder, "when"), f"{number}", text.encode())


def image(data):
    """An index as fuzz/open.c takes it: runs of 32 zeros and more are left out (fuzz/aid/image.h)."""
    out, at = b"", 0
    pieces = [(piece.start(), piece.end()) for piece in re.finditer(rb"(?s)[^\0](?:(?!\0{32}).)*", data)]
    for begin, end in pieces:
        out += struct.pack("<II", begin - at, end - begin) + data[begin:end]
        at = end
    return out + (struct.pack("<II", len(data) - at, 0) if at < len(data) else b"")


def operations(folder):
    """Choices of tests/unit/model_run.h, at random: what they come to is for the model to say."""
    for kind in range(5):
        draw = random.Random(kind)
        for number, length in enumerate((24, 60, 150)):
            write(os.path.join(folder, "state"), f"{kind}-{number}",
                  bytes([kind]) + bytes(draw.randrange(256) for _ in range(length)))
    # By the numbers of run_step: names, compaction, maintenance, many rows, transactions.
    for number, step in enumerate((0, 1, 3, 5, 8, 13, 20, 40, 60, 75, 120)):
        draw = random.Random(step)
        write(os.path.join(folder, "state"), f"step-{number}",
              bytes([number % 5]) + b"".join(bytes([draw.choice((step, 5, 60, 120))])
                                             + bytes(draw.randrange(256) for _ in range(9)) for _ in range(12)))


def unpacked(data):
    out, at = b"", 0
    while len(data) - at >= 8:
        zeros, count = struct.unpack_from("<II", data, at)
        out += bytes(zeros) + data[at + 8:at + 8 + count]
        at += 8 + count
    return out


def indexes(folder, scratch):
    at = os.path.join(scratch, "index.vdb")

    def take(name):
        with open(at, "rb") as file:
            write(os.path.join(folder, "open"), name, image(file.read()))
        os.remove(at)

    run("vdb-add", "-q", "--create", "--dim", "3", at)
    take("empty")

    run("vdb-add", "-q", "--create", at, records=records(20, 5, False, metadata=True))
    run("vdb-add", "-q", at, records=records(5, 5, False))
    run("vdb-rm", "-q", at, "row 1", "row 19")
    run("vdb-rm", "-q", "--restore", at, "row 1")
    run("vdb-snap", "-q", at, "create", "now")
    take("tail")

    run("vdb-add", "-q", "--create", "--type", "u8", "--metric", "cosine", at, records=records(30, 7, True, metadata=True))
    run("vdb-compact", "-q", "--index", "flat", at)
    take("flat")

    run("vdb-add", "-q", "--create", "--codes", "i8", at, records=records(60, 6, False, metadata=True))
    run("vdb-rm", "-q", at, "row 7")
    run("vdb-compact", "-q", "--index", "graph", at)
    run("vdb-rm", "-q", at, "row 8")
    take("graph")

    run("vdb-add", "-q", "--create", "--index", "graph", "--codes", "i4", at, records=records(48, 8, False))
    run("vdb-compact", "-q", at)
    take("graph-i4")

    run("vdb-add", "-q", "--create", "--index", "hnsw", "--m", "4", at, records=records(60, 4, False))
    run("vdb-compact", "-q", at)
    take("hnsw")

    for codes, dim in (("i4", 4), ("pq", 8), ("b1", 8)):
        run("vdb-add", "-q", "--create", "--index", "ivf", "--codes", codes, at, records=records(64, dim, False))
        run("vdb-compact", "-q", at)
        take("ivf-" + codes)

    run("vdb-add", "-q", "--create", "--type", "i8", "--metric", "ip", "--index", "hybrid", "--recent", "20",
        "--quiet-hours", "22:00-06:00", at, records=records(50, 6, True))
    run("vdb-compact", "-q", at)
    run("vdb-add", "-q", at, records=records(12, 6, True, metadata=True, first=45))
    take("parts")

    # Snapshots in manifest and log, states and changes from before a compaction.
    run("vdb-add", "-q", "--create", "--type", "f16", at, records=records(12, 3, False, metadata=True))
    run("vdb-snap", "-q", at, "create", "old")
    run("vdb-rm", "-q", at, "row 2", "row 3")
    run("vdb-add", "-q", at, records=records(4, 3, False, first=2))
    run("vdb-compact", "-q", "--index", "flat", "--keep-rows", "all", "--keep-history", "all", at)
    run("vdb-add", "-q", at, records=records(3, 3, False, first=10))
    run("vdb-snap", "-q", at, "create", "new")
    run("vdb-snap", "-q", at, "restore", "old")
    take("past")


def logs(folder, scratch):
    """Logs of indexes without parts, as fuzz/aid/loghead.h has them: file id, dimensions, metric, type and extent, and the log.
    Offsets are those of format-spec/: superblock.md, manifest.md."""
    at = os.path.join(scratch, "index.vdb")
    log_off = 16384

    def take(name, extent=0):
        with open(at, "rb") as file:
            data = file.read()
        file_id, dim, kinds = data[40:56], data[8192 + 48], data[8192 + 52:8192 + 56]
        metric, kind = struct.unpack("<HH", kinds)
        write(os.path.join(folder, "log"), name,
              file_id + bytes([dim, metric - 1, kind - 1, extent]) + data[log_off:].rstrip(b"\0") + bytes(64))
        os.remove(at)

    run("vdb-add", "-q", "--create", at, records=records(3, 2, False, metadata=True))
    run("vdb-rm", "-q", at, "row 1")
    run("vdb-snap", "-q", at, "create", "a")
    run("vdb-rm", "-q", "--restore", at, "row 1")
    run("vdb-add", "-q", at, records=records(2, 2, False))
    run("vdb-snap", "-q", at, "rm", "a")
    take("changes", extent=10)

    run("vdb-add", "-q", "--create", "--type", "u8", "--metric", "cosine", at, records=records(1, 4, True))
    run("vdb-rm", "-q", at, "row 0")
    run("vdb-add", "-q", at, records=records(2, 4, True, metadata=True))
    run("vdb-snap", "-q", at, "restore", "2")
    take("rollback")

    # A row at a time, so that the log is linked to a second extent.
    run("vdb-add", "-q", "--create", "--no-maintain", "--batch", "1", at, records=records(140, 1, False))
    take("linked")


def stream(path, how, index, *options):
    """Behind a byte that says how it is to be received."""
    sent = subprocess.run(["vdb-snap", index, "send", *options], check=True, stdout=subprocess.PIPE).stdout
    write(os.path.dirname(path), os.path.basename(path), bytes([how]) + sent)


def streams(folder, scratch):
    """Changes are those of rows by the ids that the target makes an index of."""
    index = os.path.join(scratch, "sender.vdb")
    folder = os.path.join(folder, "stream")
    for name, options, whole in (("f32", (), False), ("u8", ("--type", "u8", "--metric", "cosine"), True)):
        run("vdb-add", "-q", "--create", *options, index, records=records(30, 6, whole, metadata=True))
        run("vdb-snap", "-q", index, "create", "base")
        run("vdb-add", "-q", index, records=records(6, 6, whole, metadata=True, first=27))
        run("vdb-rm", "-q", index, "row 3", "row 4")
        run("vdb-snap", "-q", index, "create", "target")
        stream(os.path.join(folder, name + "-whole"), 0, index)
        stream(os.path.join(folder, name + "-changes"), 0, index, "--from", "base")
        stream(os.path.join(folder, name + "-forced"), 1, index, "--from", "base")
        os.remove(index)


if __name__ == "__main__":
    if sys.argv[1] == "--unpack":
        with open(sys.argv[2], "rb") as packed, open(sys.argv[3], "wb") as index:
            index.write(unpacked(packed.read()))
        sys.exit()
    inputs(sys.argv[1])
    texts(sys.argv[1])
    operations(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        indexes(sys.argv[1], directory)
        logs(sys.argv[1], directory)
        streams(sys.argv[1], directory)
