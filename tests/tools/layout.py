#!/usr/bin/env python3
"""layout.py: where things lie in a vdb file, read from the tables of format-spec/ alone.

layout.py list FILE                 NAME OFFSET LENGTH of superblocks, manifest, segments, records
layout.py flip FILE OFFSET          turns one bit of one byte
layout.py set FILE OFFSET HEX       writes bytes over what is there
layout.py seal FILE                 makes the checksums of both superblocks right again

SPDX-License-Identifier: BSD-2-Clause
"""

import os
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "..", "format-spec", "reader"))

SLOT, STRIDE = 512, 4096  # of a superblock, and from one to the next
SEGMENTS = {1: "vector", 2: "code", 3: "graph", 4: "id", 5: "id-hash", 6: "metadata",
            7: "tombstone", 8: "history", 9: "calibration", 10: "ivf", 11: "time", 12: "states"}
RECORDS = {1: "commit", 2: "link", 3: "names"}


def superblock(data):
    """The slot of the higher generation."""
    slots = [data[at:at + SLOT] for at in (0, STRIDE)]
    return max(slots, key=lambda slot: struct.unpack_from("<Q", slot, 56)[0])


def listing(path):
    with open(path, "rb") as file:
        data = file.read()
    slot = superblock(data)
    manifest_off, manifest_len, log_off, log_end = struct.unpack_from("<4Q", slot, 64)
    yield "superblock0", 0, SLOT
    yield "superblock1", STRIDE, SLOT
    yield "manifest", manifest_off, manifest_len
    table_off, count, size = struct.unpack_from("<QII", data, manifest_off + 104)
    for i in range(count):
        at = manifest_off + table_off + i * size
        kind, = struct.unpack_from("<H", data, at)
        off, length = struct.unpack_from("<2Q", data, at + 8)
        yield SEGMENTS[kind], off, length
    yield from records(data, log_off, log_end)


def records(data, off, end):
    """The log from `off`: the records themselves and the blocks that commits own."""
    while off != 0 and off + 64 <= end and data[off:off + 4] == b"VREC":
        kind, = struct.unpack_from("<H", data, off + 4)
        length, = struct.unpack_from("<Q", data, off + 8)
        yield RECORDS[kind], off, length
        if kind == 1:
            for i, name in enumerate(("vectors", "ids", "metadata", "events")):
                block_off, block_len = struct.unpack_from("<2Q", data, off + 64 + 16 + 24 * i)
                if block_len:
                    yield f"commit-{name}", block_off, block_len
        if kind != 2:
            off += length
        else:
            off, length = struct.unpack_from("<2Q", data, off + 64)
            end = off + length


def patch(path, offset, change):
    with open(path, "r+b") as file:
        file.seek(offset)
        new = change(file)
        file.seek(offset)
        file.write(new)


def seal(path):
    from xxh3 import xxh3_64
    for at in (0, STRIDE):
        with open(path, "rb") as file:
            file.seek(at)
            slot = file.read(SLOT)
        patch(path, at + 504, lambda _: struct.pack("<Q", xxh3_64(slot[:504])))


def main(verb, path, *rest):
    if verb == "list":
        for name, off, length in listing(path):
            print(name, off, length, sep="\t")
    elif verb == "flip":
        patch(path, int(rest[0]), lambda file: bytes([file.read(1)[0] ^ 0x10]))
    elif verb == "set":
        patch(path, int(rest[0]), lambda _: bytes.fromhex(rest[1]))
    elif verb == "seal":
        seal(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
