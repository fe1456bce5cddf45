#!/usr/bin/env python3
"""codes.py: rows and queries for codes.bats, and damage to codes.

codes.py make ROWS QUERIES TYPE DIM BASE    BASE.npy, rows of that type, and BASE-q.npy, f32 queries: a
                                            few clusters, values of uneven size, a mean that is not 0
codes.py damage FILE WHAT                   one thing wrong with codes of 4 bits, all checksums right; or
                                            `graph-copies`, of codes where the part has none
codes.py damages                            what can be wrong with codes: WHAT, and the segment that has it

SPDX-License-Identifier: BSD-2-Clause
"""

import os
import random
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import layout  # noqa: E402

NPY = {"f32": ("<f4", "f"), "f16": ("<f2", "e"), "i8": ("|i1", "b"), "u8": ("|u1", "B")}


def npy(path, descr, code, rows):
    text = "{'descr': '%s', 'fortran_order': False, 'shape': (%d, %d), }" % (descr, len(rows), len(rows[0]))
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + (text.ljust(117) + "\n").encode())
        for row in rows:
            file.write(struct.pack("<%d%s" % (len(row), code), *row))


def make(rows, queries, kind, dim, base):
    rows, queries, dim = int(rows), int(queries), int(dim)
    draw = random.Random(dim * 8 + len(kind))
    sizes = [draw.uniform(4, 16) for _ in range(dim)]
    centers = [[draw.gauss(20, size) for size in sizes] for _ in range(6)]
    all_rows = [[value + draw.gauss(0, size) for value, size in zip(draw.choice(centers), sizes)]
                for _ in range(rows + queries)]
    if kind in ("i8", "u8"):
        low, high = (-128, 127) if kind == "i8" else (0, 255)
        shift = 0 if kind == "i8" else 100
        stored = [[min(high, max(low, round(value) + shift)) for value in row] for row in all_rows]
    else:
        stored = all_rows
    npy(base + ".npy", *NPY[kind], stored[:rows])
    npy(base + "-q.npy", *NPY["f32"], stored[rows:])


NAN, INF = float("nan"), float("inf")
ROW = 7  # that is damaged
# Bytes of the header, of format-spec/codes.md.
HEADER = {"no-kind": (0, "<H", 9), "kind-of-8-bits": (0, "<H", 1), "flag": (4, "<I", 0x100), "flag-signed": (4, "<I", 1),
          "not-rotated": (4, "<I", 0), "rows": (8, "<I", 7), "dim": (12, "<I", 99), "codes-off": (16, "<Q", 2**40),
          "codes-stride": (24, "<I", 2**32 - 64), "codes-stride-0": (24, "<I", 0), "codes-width": (28, "<I", 128),
          "norms-off": (32, "<Q", 2**64 - 8), "norms-stride": (40, "<I", 2**31), "norms-width": (44, "<I", 4),
          "scale": (48, "<f", NAN), "zero": (52, "<i", 2**31 - 1), "bias": (56, "<f", NAN), "error": (60, "<f", -1.0),
          "error-infinite": (60, "<f", INF), "center-off": (64, "<Q", 2**63), "center-nowhere": (64, "<Q", 0),
          "center-beyond": (64, "<Q", 2**20)}
FACTORS = {"nan": NAN, "infinite": INF, "negative": -1.0, "huge": 3e38, "zero": 0.0, "tiny": 1e-45}
CENTER = {"nan": NAN, "infinite": -INF, "huge": 3e38, "other": 1.0}


def damages():
    names = [(name, "code") for name in HEADER]
    names += [("factor-%d-%s" % (i, name), "code") for name in FACTORS for i in (0, 1)]
    names += [("center-%s" % name, "code") for name in CENTER]
    return names + [("codes", "code"), ("padding", "code"), ("pivot-code", "graph"), ("pivot-norm", "graph")]


def damage(path, what):
    from xxh3 import xxh3_64
    with open(path, "rb") as file:
        data = bytearray(file.read())
    found = {name: off for name, off, _ in layout.listing(path)}
    code, graph = found.get("code", 0), found["graph"]
    dim, = struct.unpack_from("<I", data, code + 12)
    codes, codes_stride, _, norms, norms_stride = struct.unpack_from("<QIIQI", data, code + 16)
    center, = struct.unpack_from("<Q", data, code + 64)
    kind, _, name = what.rpartition("-")
    if what in HEADER:
        at, form, value = HEADER[what]
        struct.pack_into(form, data, code + at, value)
    elif kind.startswith("factor-"):
        struct.pack_into("<f", data, norms + ROW * norms_stride + 4 * int(kind[-1]), FACTORS[name])
    elif kind == "center":
        struct.pack_into("<f", data, center + 4 * (dim - 1), CENTER[name])
    elif what == "graph-copies":  # of codes that the part does not have, in place of edges
        pivots, edges = struct.unpack_from("<2Q", data, graph + 16)
        struct.pack_into("<IQQI", data, graph + 36, 64, edges, pivots, 4)
    elif what == "codes":
        data[codes + ROW * codes_stride + (dim + 1) // 2 - 1] ^= 0x01
    elif what == "padding":
        data[codes + ROW * codes_stride + (dim + 1) // 2] ^= 0x01
    else:
        at, = struct.unpack_from("<Q", data, graph + {"pivot-code": 40, "pivot-norm": 48}[what])
        data[graph + at + 1] ^= 0x10
    manifest, length = struct.unpack_from("<2Q", layout.superblock(data), 64)
    table, count, size = struct.unpack_from("<QII", data, manifest + 104)
    for entry in range(manifest + table, manifest + table + count * size, size):
        off, len_ = struct.unpack_from("<2Q", data, entry + 8)
        struct.pack_into("<Q", data, entry + 40, xxh3_64(bytes(data[off:off + len_])))
    struct.pack_into("<Q", data, manifest + 248, 0)
    struct.pack_into("<Q", data, manifest + 248, xxh3_64(bytes(data[manifest:manifest + length])))
    with open(path, "wb") as file:
        file.write(data)


if __name__ == "__main__":
    if sys.argv[1] == "damages":
        for name_and_segment in damages():
            print(*name_and_segment)
    else:
        {"make": make, "damage": damage}[sys.argv[1]](*sys.argv[2:])
