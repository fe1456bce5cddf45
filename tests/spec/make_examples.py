#!/usr/bin/env python3
"""make_examples.py: makes the worked example of format-spec/, by the spec alone.

usage: make_examples.py format-spec            fill in the `hexdump` and `values` blocks of the pages
       make_examples.py --check format-spec    exit 1 where a block is not what it should be
       make_examples.py [--ivf] --file PATH format-spec    write the example file to PATH;
                                               --ivf: the same rows in an ivf part

Structures are laid out by the tables of the pages, so nothing here is shared with the library that
its output is held against. The example file is described in format-spec/README.md.

SPDX-License-Identifier: BSD-2-Clause
"""

import argparse
import glob
import math
import os
import re
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "format-spec", "reader"))
from xxh3 import xxh3_64 as xxh3  # noqa: E402

SCALARS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i32": "i", "f32": "f"}
layouts = {}  # struct name -> [(offset, size, type, field)]
examples = {}  # name of a dump -> (bytes, [(field, value)])


def read_layouts(directory):
    for path in glob.glob(os.path.join(directory, "*.md")):
        text = open(path, encoding="utf-8").read()
        for table in re.finditer(r"<!-- struct (\w+) -->\n\n.*\n.*\n((?:\|.*\n)+)", text):
            rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table[2].splitlines()]
            layouts[table[1]] = [(int(r[0]), int(r[1]), r[2], r[3]) for r in rows]


def size_of(name):
    offset, size, _, _ = layouts[name][-1]
    return offset + size


def encode(name, values):
    """The bytes of a struct; fields without a value are zero, and no value may be left over."""
    out, left = bytearray(size_of(name)), dict(values)
    for offset, size, type_name, field in layouts[name]:
        value = left.pop(field, None)
        if value is None:
            continue
        if type_name in SCALARS:
            out[offset:offset + size] = struct.pack("<" + SCALARS[type_name], value)
        elif isinstance(value, tuple):
            out[offset:offset + size] = struct.pack("<%d%s" % (len(value), SCALARS[type_name.split("[")[0]]), *value)
        elif type_name in layouts:
            out[offset:offset + size] = encode(type_name, value)
        else:
            assert len(value) <= size, field
            out[offset:offset + len(value)] = value
    assert not left, left
    return bytes(out)


def patch(data, name, field, value):
    """`data` with one u64 of the struct at its start replaced."""
    offset = next(row[0] for row in layouts[name] if row[3] == field)
    return data[:offset] + struct.pack("<Q", value) + data[offset + 8:]


def sealed(data, name):
    """`data` with the check of the struct at its start filled in, which counts as zero itself."""
    return patch(data, name, "check", xxh3(data))


def listed(name, values, prefix=""):
    """Lines for a `values` block: every field that is not reserved, in the order of the table."""
    lines = []
    for _, _, type_name, field in layouts[name]:
        value = values.get(field, 0)
        if "reserved" in field or value == b"":
            continue
        if type_name in layouts:
            lines += listed(type_name, value or {}, prefix + field + ".")
        elif field in ("check", "prev_check", "log_check"):
            lines.append((prefix + field, "%016x" % value))
        elif field == "magic":
            lines.append((prefix + field, value.hex(" ")))
        elif isinstance(value, tuple):
            lines.append((prefix + field, " ".join(map(str, value))))
        elif isinstance(value, bytes):
            lines.append((prefix + field, value.decode() if field == "name" else value.hex()))
        else:
            lines.append((prefix + field, repr(value)))
    return lines


def example(name, data, lines):
    examples[name] = (data, lines)


def align(data, to=64):
    return data + bytes(-len(data) % to)


# ---- segments -----------------------------------------------------------------------------------

def vectors_of(rows):
    return b"".join(struct.pack("<4f", *row) for row in rows)


def ids_of(ids):
    bases, ends, text = b"", b"", b""
    for number, name in enumerate(ids):
        if number % 64 == 0:
            base = len(text)
            bases += struct.pack("<Q", base)
        text += name.encode()
        ends += struct.pack("<H", len(text) - base)
    at = size_of("disk_id_header")
    values = {"row_count": len(ids), "bases_off": at, "ends_off": at + len(bases),
              "bytes_off": at + len(bases) + len(ends), "bytes_len": len(text)}
    return encode("disk_id_header", values) + bases + ends + text, values


def id_hash_of(ids, name):
    bits = 0
    while 4 << bits < len(ids):
        bits += 1
    entries = sorted((h >> (64 - bits) if bits else 0, h & 0xFFFFFFFF, row)
                     for row, h in enumerate(xxh3(i.encode()) for i in ids))
    buckets = [sum(e[0] < b for e in entries) for b in range((1 << bits) + 1)]
    table = struct.pack("<%dI" % len(buckets), *buckets)
    at = size_of("disk_id_hash_header")
    values = {"entry_count": len(ids), "bucket_bits": bits, "buckets_off": at,
              "entries_off": at + len(align(table, 8))}
    data = encode("disk_id_hash_header", values) + align(table, 8) + b"".join(
        encode("disk_id_hash_entry", {"tag": tag, "row": row}) for _, tag, row in entries)
    lines = listed("disk_id_hash_header", values)
    lines += [("bucket[%d]" % i, b) for i, b in enumerate(buckets)]
    for i, (_, tag, row) in enumerate(entries):
        lines += [("entry[%d].tag" % i, "%08x" % tag), ("entry[%d].row" % i, row)]
    example(name, data, lines)
    return data


def packed_of(header, values, blocks):
    """A segment of packed blocks, each of them (first, packing, raw length, bytes)."""
    table, data, lines = b"", b"", []
    for number, (first, packing, raw_len, packed) in enumerate(blocks):
        block = {"first": first, "packing": packing, "raw_len": raw_len, "packed_len": len(packed),
                 "off": len(data)}
        table += encode("disk_packed_block", block)
        lines += listed("disk_packed_block", block, "block[%d]." % number)
        data += packed
    at = size_of(header)
    values = dict(values, block_count=len(blocks), blocks_off=at, data_off=at + len(table), data_len=len(data))
    return encode(header, values) + table + data, listed(header, values) + lines


def metadata_raw(texts):
    texts = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(text)) for text in texts) + b"".join(texts)


def metadata_of(texts):
    raw = metadata_raw(texts)
    data, lines = packed_of("disk_metadata_header", {"row_count": len(texts)}, [(0, 0, len(raw), raw)])
    return data, lines + [("row[%d]" % i, text or "none") for i, text in enumerate(texts)]


def metadata_lz4():
    """Packed by hand: literals up to the first `la `, a match of it with itself, and a literal end."""
    text = '{"note":"la la la la la la la la la la"}'
    raw = metadata_raw(["", text])
    match = raw.index(b"la ") + 3
    tail = raw[-9:]
    length = len(raw) - match - len(tail)
    packed = bytes([0xF0 | min(length - 4, 15), match - 15]) + raw[:match] + struct.pack("<H", 3)
    packed += bytes([length - 4 - 15]) if length - 4 >= 15 else b""
    packed += bytes([len(tail) << 4]) + tail
    data, lines = packed_of("disk_metadata_header", {"row_count": 2}, [(0, 1, len(raw), packed)])
    return data, lines + [("row[0]", "none"), ("row[1]", text)]


def history_of(changes):
    raw, lines = b"", []
    for number, (commit, time_us, operation, name) in enumerate(changes):
        entry = {"commit": commit, "time_us": time_us, "operation": operation, "id_len": len(name)}
        raw += encode("disk_history_entry", entry) + name.encode()
        lines += listed("disk_history_entry", entry, "change[%d]." % number)
        lines += [("change[%d].id" % number, name)]
    values = {"first_commit": changes[0][0], "last_commit": changes[-1][0], "entry_count": len(changes)}
    data, head = packed_of("disk_history_header", values, [(0, 0, len(raw), raw)])
    return data, head + lines


def states_of(states):
    """Each of them a disk_state without flips_end, and the rows that flip."""
    entries, rows, lines = b"", [], []
    for number, (state, flips) in enumerate(states):
        rows += flips
        state = dict(state, flips_end=len(rows))
        entries += encode("disk_state", state)
        lines += listed("disk_state", state, "state[%d]." % number)
    head = {"state_count": len(states), "flip_count": len(rows), "states_off": size_of("disk_states_header")}
    head["flips_off"] = head["states_off"] + len(entries)
    lines += [("flip[%d]" % i, row) for i, row in enumerate(rows)]
    data = encode("disk_states_header", head) + entries + struct.pack("<%dI" % len(rows), *rows)
    return data, listed("disk_states_header", head) + lines


def times_of(times):
    """Of rows: those of one second make one entry, with the latest time."""
    entries = []
    for row, time_us in enumerate(times):
        if entries and time_us // 1000000 == entries[-1]["time_us"] // 1000000:
            entries[-1]["time_us"] = time_us
        else:
            entries.append({"time_us": time_us, "row": row})
    lines = []
    for number, entry in enumerate(entries):
        lines += listed("disk_row_time", entry, "entry[%d]." % number)
    lines += [("row[%d].time_us" % row, time_us) for row, time_us in enumerate(times)]
    return b"".join(encode("disk_row_time", entry) for entry in entries), lines


SCALE, ZERO = 1 / 128, 128


def codes_of(rows, at):
    head = size_of("disk_code_header")
    codes = [[min(255, max(0, round(x / SCALE) + ZERO)) for x in row] for row in rows]
    norms = [sum(c * c - 256 * c for c in row) for row in codes]
    code_bytes = b"".join(align(bytes(row)) for row in codes)
    values = {"kind": 1, "row_count": len(rows), "dim": 4, "scale": SCALE, "zero": ZERO,
              "codes": {"off": at + head, "stride": 64, "width": 64},
              "norms": {"off": at + head + len(code_bytes), "stride": 4, "width": 4}}
    data = encode("disk_code_header", values) + code_bytes + struct.pack("<%di" % len(norms), *norms)
    lines = listed("disk_code_header", values)
    lines += [("code[%d]" % i, " ".join(map(str, row))) for i, row in enumerate(codes)]
    lines += [("norm[%d]" % i, norm) for i, norm in enumerate(norms)]
    example("code", data, lines)
    return data, codes, norms


# -- SQ4: binary32 arithmetic, as a binary64 result rounded once more is that of +, -, *, / and roots.

def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def splitmix64(seed, number):
    z = (seed + (number + 1) * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def hadamard(x):
    p, d = len(x), 1
    while d < p:
        x = [f32(x[i] + x[i + d]) if i & d == 0 else f32(x[i - d] - x[i]) for i in range(p)]
        d *= 2
    return [f32(value * f32(1 / math.sqrt(p))) for value in x]


def rotation_of(x):
    """The vector after the steps 2, 4 and 5 of codes.md."""
    n, p, h = len(x), 1 << len(x).bit_length() - 1, f32(math.sqrt(0.5))

    def flip(x, k):
        return [-v if splitmix64(k, i // 64) >> i % 64 & 1 else v for i, v in enumerate(x)]

    x = flip(x, 0)
    first = hadamard(x[:p]) + x[p:]
    x = flip(first, 1)
    second = x[:n - p] + hadamard(x[n - p:])
    rotated = list(second)
    for i in range(n // 2 if n != p else 0):
        a, b = second[i], second[n - 1 - i]
        rotated[i], rotated[n - 1 - i] = f32(f32(a + b) * h), f32(f32(a - b) * h)
    return first, second, rotated


def numbers(values):
    return " ".join("%.9g" % value for value in values)


def rotation_example(x):
    first, second, rotated = rotation_of(x)
    lines = [("signs[%d]" % k, "%016x" % splitmix64(k, 0)) for k in (0, 1)]
    lines += [("x", numbers(x)), ("first", numbers(first)), ("second", numbers(second)), ("rotated", numbers(rotated))]
    example("rotation", struct.pack("<%df" % (2 * len(x)), *x, *rotated), lines)


def sq4_row(y):
    """Codes and factors of a row, rotated already; sums go by 16 lanes, which here have one value each."""
    norm = math.fsum(v * v for v in y)
    best = None
    for step in map(f32, (0.22, 0.27, 0.31, 0.35, 0.40, 0.46)):
        inverse = f32(1 / f32(step * f32(math.sqrt(norm / len(y)))))
        codes = [max(0, min(15, int(f32(f32(v * inverse) + 8)))) for v in y]
        lanes = [f32((2 * c - 15) * v) for c, v in zip(codes, y)] + [0.0] * (16 - len(y))
        while len(lanes) > 1:
            lanes = [f32(a + b) for a, b in zip(lanes, lanes[len(lanes) // 2:])]
        cosine = f32(lanes[0] / f32(math.sqrt(sum((2 * c - 15) ** 2 for c in codes))))
        if best is None or cosine > best[0]:
            best = cosine, codes, lanes[0]
    return best[1], f32(norm), f32(2 * norm / best[2])


def codes4_example(rows, center, query, at):
    dim, half, head = len(center), (len(center) + 1) // 2, size_of("disk_code_header")
    first = head + len(align(bytes(4 * dim)))
    values = {"kind": 2, "flags": 4, "row_count": len(rows), "dim": dim, "scale": 1.0, "bias": -0.125, "error": 0.5,
              "codes": {"off": at + first, "stride": 64, "width": 64},
              "norms": {"off": at + first + 56, "stride": 64, "width": 8}, "center_off": at + head}
    data = encode("disk_code_header", values) + align(struct.pack("<%df" % dim, *center))
    lines = listed("disk_code_header", values) + [("center", numbers(center)), ("query", numbers(query))]
    r = rotation_of([f32(a - b) for a, b in zip(query, center)])[2]
    lines += [("rotated_query", numbers(r))]
    for i, row in enumerate(rows):
        codes, norm, f = sq4_row(rotation_of([f32(a - b) for a, b in zip(row, center)])[2])
        low, high = codes[:half], codes[half:] + [0] * (2 * half - dim)
        data += bytes(a | b << 4 for a, b in zip(low, high)).ljust(56, b"\0") + struct.pack("<ff", norm, f)
        w = [2 * c - 15 for c in codes]
        estimate = math.fsum(v * v for v in r) + norm - f * math.fsum(a * b for a, b in zip(w, r))
        lines += [("row[%d]" % i, numbers(row)), ("code[%d]" % i, " ".join(map(str, codes))),
                  ("w[%d]" % i, " ".join(map(str, w))), ("norm[%d]" % i, "%.9g" % norm), ("f[%d]" % i, "%.9g" % f),
                  ("estimate[%d]" % i, "%.6g" % estimate),
                  ("distance_squared[%d]" % i, "%.6g" % math.fsum((a - b) ** 2 for a, b in zip(row, query)))]
    example("code4", data, lines)


def graph_of(edges, pivots, degree, codes, norms):
    head = size_of("disk_graph_header")
    pivot_bytes = align(struct.pack("<%dI" % len(pivots), *pivots))
    norm_bytes = align(struct.pack("<%di" % len(pivots), *(norms[row] for row in pivots)))
    code_bytes = b"".join(align(bytes(codes[row])) for row in pivots)
    norms_off = head + len(pivot_bytes)
    codes_off = norms_off + len(norm_bytes)
    values = {"row_count": len(edges), "degree": degree, "pivot_count": len(pivots), "ef_construction": 100,
              "pivots_off": head, "edges_off": codes_off + len(code_bytes), "alpha_milli": 1200,
              "code_bytes": 64, "pivot_codes_off": codes_off, "pivot_norms_off": norms_off, "norm_bytes": 4}
    data = encode("disk_graph_header", values) + pivot_bytes + norm_bytes + code_bytes
    for row in edges:
        data += struct.pack("<%dI" % degree, *(row + [0xFFFFFFFF] * (degree - len(row))))
    lines = listed("disk_graph_header", values)
    lines += [("pivot[%d]" % i, row) for i, row in enumerate(pivots)]
    lines += [("pivot_norm[%d]" % i, norms[row]) for i, row in enumerate(pivots)]
    lines += [("pivot_code[%d]" % i, " ".join(map(str, codes[row]))) for i, row in enumerate(pivots)]
    lines += [("edges[%d]" % i, " ".join(map(str, row))) for i, row in enumerate(edges)]
    example("graph", data, lines)
    return data


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b))


def ivf_of(rows, codes, norms, lists, centroids, weights, query):
    """Lists of row numbers with centroids, as codes; `weights` are the rows of the matrix, times 128."""
    unit_b, unit_f, slots, code_count = 0.5, 0.25, 16 * len(lists), len(weights)
    codebook = [[(2 * v - 15) / 32 * (1 + s) for v in range(16)] for s in range(code_count)]
    transform = lambda x: [dot([w / 128 for w in row], x) for row in weights]  # noqa: E731
    slot_rows, table, pages, slot_codes, slot_lines, list_lines, centroid_norms = [], b"", b"", b"", [], [], []
    for number, members in enumerate(lists):
        entry = {"page": number, "first_block": number, "row_count": len(members)}
        table += encode("disk_ivf_list", entry)
        list_lines += listed("disk_ivf_list", entry, "list[%d]." % number)
        centroid_norms.append(sum(code * code - 256 * code for code in centroids[number]))
        list_lines += [("centroid[%d]" % number, " ".join(map(str, centroids[number]))),
                       ("centroid_norm[%d]" % number, centroid_norms[number])]
        c = [SCALE * (code - ZERO) for code in centroids[number]]
        bs, fs, group = [], [], bytearray(64)
        for place, row in enumerate(members):
            r = [x - y for x, y in zip(rows[row], c)]
            pr = transform(r)
            v = [min(range(16), key=lambda v: abs(entries[v] - y)) for entries, y in zip(codebook, pr)]
            u = [codebook[s][v[s]] for s in range(code_count)]
            group[4 * place:4 * place + code_count] = bytes(v)  # up to four codes: low halves alone
            fs.append(struct.unpack("<e", struct.pack("<e", 2 * dot(pr, pr) / dot(pr, u) / unit_f))[0])
            b = dot(r, r) + unit_f * fs[-1] * dot(transform(c), u)
            bs.append(struct.unpack("<e", struct.pack("<e", b / unit_b))[0])
            apart = [x - y for x, y in zip(query, c)]
            estimate = dot(apart, apart) + unit_b * bs[-1] - unit_f * fs[-1] * dot(transform(query), u)
            slot = "slot[%d]" % (16 * number + place)
            distance = math.fsum((x - y) ** 2 for x, y in zip(rows[row], query))
            slot_lines += [(slot + ".row", row), (slot + ".codes", " ".join(map(str, v))),
                           (slot + ".b", "%.9g" % bs[-1]), (slot + ".f", "%.9g" % fs[-1]),
                           (slot + ".slot_code", " ".join(map(str, codes[row]))), (slot + ".norm", norms[row]),
                           (slot + ".estimate", "%.6g" % estimate), (slot + ".distance_squared", "%.6g" % distance)]
        empty = 16 - len(members)
        slot_rows += members + [0xFFFFFFFF] * empty
        pages = align(pages, 4096) + struct.pack("<16e16e", *bs, *[math.inf] * empty, *fs, *[0] * empty) + bytes(group)
        slot_codes += b"".join(bytes(codes[row]).ljust(60, b"\0") + struct.pack("<i", norms[row]) for row in members)
        slot_codes += bytes(64 * empty)
    data, offs = bytes(size_of("disk_ivf_header")), {}
    for name, array in (("centroids", b"".join(map(bytes, centroids)).ljust(64, b"\0")),  # of four dimensions: one after another
                        ("centroid_norms", struct.pack("<%di" % len(lists), *centroid_norms)), ("lists", table),
                        ("codebook", struct.pack("<%df" % (16 * code_count), *sum(codebook, []))),
                        ("matrix", b"".join(align(struct.pack("<%db" % len(row), *row)) for row in weights)),
                        ("matrix_scales", struct.pack("<f", 1 / 128) * code_count),
                        ("slot_rows", struct.pack("<%dI" % slots, *slot_rows)),
                        ("blocks", pages), ("slot_codes", slot_codes)):
        data = align(data, 4096) if name == "blocks" else data
        offs[name + "_off"] = len(data)
        data += align(array)
    values = {"row_count": len(rows), "list_count": len(lists), "slot_count": slots, "code_count": code_count,
              "sub_dim": 1, "out_dim": code_count, "flags": 3, "code_bytes": 64, "scale": SCALE, "zero": ZERO,
              "unit_b": unit_b, "unit_f": unit_f, "survivors": (20, 60, 300), "survivor_lists": 2, **offs,
              "norms_off": offs["slot_codes_off"] + 60, "slot_code_stride": 64, "norm_stride": 64,
              "bias": 0.0009765625, "error": 0.00390625}
    lines = listed("disk_ivf_header", values) + list_lines
    lines += [("codebook[%d]" % s, numbers(entry)) for s, entry in enumerate(codebook)]
    lines += [("weights[%d]" % i, " ".join(map(str, row))) for i, row in enumerate(weights)]
    lines += [("matrix_scale[%d]" % i, 1 / 128) for i in range(code_count)]
    data = encode("disk_ivf_header", values) + data[size_of("disk_ivf_header"):]
    example("ivf", data, lines + [("query", numbers(query))] + slot_lines)
    return data


def calibration_of(curves, **head):
    head = {"magic": b"VCAL", "curve_count": len(curves), **head}
    data, points = encode("disk_calibration_header", head), b""
    lines = listed("disk_calibration_header", head)
    for number, (k, query_count, measured) in enumerate(curves):
        curve = {"k": k, "query_count": query_count, "point_count": len(measured)}
        data += encode("disk_calibration_curve", curve)
        lines += listed("disk_calibration_curve", curve, "curve[%d]." % number)
        for at, values in enumerate(measured):
            point = dict(zip(("effort", "recall", "error", "p5", "p5_error", "zero", "cost"), values))
            points += encode("disk_calibration_point", point)
            lines += listed("disk_calibration_point", point, "curve[%d].point[%d]." % (number, at))
    return data + points, lines


def hnsw_of(edges, degree, members, levels, level_degree):
    """`levels` has the edges of level 1, 2, ..., a list a member."""
    def lists(of, n):
        return b"".join(struct.pack("<%dI" % n, *(to + [0xFFFFFFFF] * (n - len(to)))) for to in of)
    data, offs = bytes(size_of("disk_graph_header")), {}
    for name, array in (("pivots", struct.pack("<I", members[0])),
                        ("level_sizes", struct.pack("<%dI" % len(levels), *map(len, levels))),
                        ("members", struct.pack("<%dI" % len(members), *members)),
                        ("level_edges", lists(sum(levels, []), level_degree)), ("edges", lists(edges, degree))):
        offs[name + "_off"] = len(data)
        data += array if name == "edges" else align(array)
    values = {"row_count": len(edges), "degree": degree, "pivot_count": 1, "ef_construction": 100, "alpha_milli": 1100,
              "level_count": len(levels) + 1, "level_degree": level_degree, "member_count": len(members), **offs}
    data = encode("disk_graph_header", values) + data[size_of("disk_graph_header"):]
    lines = listed("disk_graph_header", values) + [("pivot[0]", members[0])]
    lines += [("member[%d]" % i, row) for i, row in enumerate(members)]
    for number, level in enumerate(levels, 1):
        lines += [("level[%d].edges[%d]" % (number, i), " ".join(map(str, to)) or "none")
                  for i, to in enumerate(level)]
    lines += [("edges[%d]" % i, " ".join(map(str, row))) for i, row in enumerate(edges)]
    example("hnsw", data, lines)


# ---- records ------------------------------------------------------------------------------------

def block_of(off, data):
    return {"off": off, "len": len(data), "check": xxh3(data)} if data else {}


def names_bytes(changes):
    """The bytes and lines of changes of names, each of them an operation and a snapshot."""
    data, lines = b"", []
    for number, (operation, snapshot) in enumerate(changes):
        change = {"operation": operation, "snapshot": snapshot}
        data += encode("disk_name_change", change)
        lines += listed("disk_name_change", change, "name[%d]." % number)
    return data, lines


def names_of(off, prev, last_commit, time_us, changes):
    data, lines = names_bytes(changes)
    head = {"magic": b"VREC", "kind": 3, "version": 1, "length": 128 + len(data), "commit": last_commit,
            "time_us": time_us, "prev_check": prev}
    body = {"count": len(changes)}
    data = sealed(encode("disk_record", head) + encode("disk_names", body) + data, "disk_record")
    head = listed("disk_record", dict(head, check=check_of(data)))
    example("names", data, [("record_off", off)] + head + listed("disk_names", body) + lines)
    return data


def commit_of(name, off, prev, number, time_us, row_base, live, rows, ids, texts, events, names=()):
    event_bytes = b"".join(encode("disk_event", {"row": row, "kind": kind}) for row, kind in events)
    parts = {"vectors": vectors_of(rows), "ids": ids_of(ids)[0] if ids else b"",
             "metadata": metadata_of(texts)[0] if texts else b"", "events": event_bytes}
    body = {"row_base": row_base, "row_count": len(rows), "live_count": live, "event_count": len(events),
            "stride": 16 if rows else 0, "name_count": len(names)}
    at, tail = size_of("disk_record") + size_of("disk_commit"), b""
    for field, data in parts.items():
        body[field] = block_of(off + at + len(tail), data)
        tail += align(data)
    changes, name_lines = names_bytes(names)
    tail += changes
    head = {"magic": b"VREC", "kind": 1, "version": 1, "length": at + len(tail), "commit": number,
            "time_us": time_us, "prev_check": prev}
    data = sealed(encode("disk_record", head) + encode("disk_commit", body) + tail, "disk_record")
    lines = [("record_off", off)] + listed("disk_record", dict(head, check=check_of(data)))
    lines += listed("disk_commit", body)
    for i, (row, kind) in enumerate(events):
        lines += [("event[%d].row" % i, row), ("event[%d].kind" % i, kind)]
    lines += [("id[%d]" % i, value) for i, value in enumerate(ids)]
    lines += [("vector[%d]" % i, " ".join(map(repr, value))) for i, value in enumerate(rows)]
    lines += [("row[%d]" % i, value) for i, value in enumerate(texts)]
    if name:
        example(name, data, lines + name_lines)
    return data


def check_of(record):
    offset = next(row[0] for row in layouts["disk_record"] if row[3] == "check")
    return struct.unpack_from("<Q", record, offset)[0]


def link_of(off, prev, last_commit, time_us, next_off, next_len):
    body = {"next_off": next_off, "next_len": next_len}
    head = {"magic": b"VREC", "kind": 2, "version": 1,
            "length": size_of("disk_record") + size_of("disk_link"),
            "commit": last_commit, "time_us": time_us, "prev_check": prev}
    data = sealed(encode("disk_record", head) + encode("disk_link", body), "disk_record")
    lines = [("record_off", off)] + listed("disk_record", dict(head, check=check_of(data)))
    example("link", data, lines + listed("disk_link", body))
    return data


# ---- streams ------------------------------------------------------------------------------------

def stream_of(header, frames):
    """Frames are (kind, count, bytes), none of them packed; the one that ends the stream is added."""
    head = {"magic": b"\x8fVDS\r\n\x1a\n", "version": 1, "header_len": size_of("disk_stream"), **header}
    data = encode("disk_stream", head)
    check = xxh3(data[:152])
    data = patch(data, "disk_stream", "check", check)
    lines = listed("disk_stream", dict(head, check=check))
    counts = {kind: sum(frame[1] for frame in frames if frame[0] == kind) for kind in (2, 3, 5)}
    for number, (kind, count, raw) in enumerate(frames + [(6, 1, None)]):
        if kind == 6:
            end = {"row_count": counts[3], "delete_count": counts[5], "name_count": counts[2], "check": xxh3(data)}
            raw = encode("disk_stream_end", end)
        frame = {"kind": kind, "number": number, "count": count, "raw_len": len(raw), "packed_len": len(raw)}
        frame["check"] = xxh3(encode("disk_stream_frame", frame) + raw)
        data += encode("disk_stream_frame", frame) + raw
        lines += listed("disk_stream_frame", frame, "frame[%d]." % number)
    return data, lines + listed("disk_stream_end", end, "end.")


def stream_items(ids, texts=None):
    ids, out = [name.encode() for name in ids], b""
    out += struct.pack("<%dH" % len(ids), *map(len, ids))
    if texts is not None:
        texts = [text.encode() for text in texts]
        out += struct.pack("<%dI" % len(ids), *map(len, texts))
    return out + b"".join(ids) + b"".join(texts or [])


def stream_name(snapshot):
    name = {field: snapshot[field] for field in ("created_us", "origin_commit", "origin_id", "name_len")}
    return encode("disk_stream_name", name) + snapshot["name"], listed("disk_stream_name", name)


def stream_example(base, target, ids, texts, rows, deleted):
    """Between two named states of the file."""
    header = {"flags": 1, "dim": 4, "metric": 1, "type": 1, "degree": 4, "ef_construction": 100, "quiet_begin": 60,
              "quiet_end": 300}
    for side, state in (("base", base), ("target", target)):
        header.update({side + "_commit": state["commit"], side + "_id": FILE_ID,
                       side + "_time_us": state["commit_time_us"], side + "_live": state["live_count"]})
    (base_name, base_lines), (name, lines) = stream_name(base), stream_name(target)
    vectors = b"".join(struct.pack("<4f", *row) for row in rows)
    data, head = stream_of(header, [(1, 1, base_name), (2, 1, name), (3, len(ids), stream_items(ids, texts)),
                                    (4, len(ids), vectors), (5, len(deleted), stream_items(deleted))])
    head += [("base_name." + field, value) for field, value in base_lines] + [("base_name.name", base["name"].decode())]
    head += [("name." + field, value) for field, value in lines] + [("name.name", target["name"].decode())]
    for i, row in enumerate(rows):
        head += [("id[%d]" % i, ids[i]), ("row[%d]" % i, texts[i]), ("vector[%d]" % i, " ".join(map(repr, row)))]
    example("stream", data, head + [("deleted[%d]" % i, name) for i, name in enumerate(deleted)])


# ---- the file -----------------------------------------------------------------------------------

FILE_ID = bytes.fromhex("00112233445566778899aabbccddeeff")
OTHER_ID = bytes.fromhex("ffeeddccbbaa99887766554433221100")  # of the index that a state is received from
STEP = 65536  # from one of the file's pieces to the next; tests/golden/damage.py has less of zeros between
START = 1767322800000000  # 2026-01-02T03:00:00Z
MINUTE = 60000000
IDS = ["apple", "pear", "plum"]
ROWS = [[0.5, -0.25, 0.0, 0.125], [-0.5, 0.75, 0.25, -1.0], [0.0, 0.0, 0.5, 0.5]]
TEXTS = ['{"year":2021}', '{"tags":["b","c"]}', '{"lang":null}']


def segment(file, kind, off, data, rows=3, stride=0):
    file[off] = data
    return {"type": kind, "version": 1, "off": off, "len": len(data), "row_end": rows, "stride": stride,
            "check": xxh3(data)}


def part_segments(file, with_ivf):
    vectors, at = vectors_of(ROWS), STEP
    example("vectors", vectors, [("row[%d]" % i, " ".join(map(repr, row))) for i, row in enumerate(ROWS)])
    ids, values = ids_of(IDS)
    example("id", ids, listed("disk_id_header", values) + [("id[%d]" % i, name) for i, name in enumerate(IDS)])
    metadata, lines = metadata_of(TEXTS)
    example("metadata", metadata, lines)
    tombstones = struct.pack("<Q", 0b010)
    example("tombstone", tombstones, [("deleted", 1)])
    code, codes, norms = codes_of(ROWS, 2 * at)
    hnsw_of([[1, 2], [0], [0, 1]], 4, [1, 0], [[[1], [0]], [[]]], 2)
    graph = graph_of([[1, 2], [0], [0, 1]], [0], 4, codes, norms)
    ivf = ivf_of(ROWS, codes, norms, [[0, 2], [1, 2]], [[160, 112, 160, 168], [96, 176, 176, 96]],
                 [[76, -38, -76, -57], [-36, 54, -18, -109]], [0.5, -0.5, 0.25, 0.0])
    found_by = [segment(file, 10, 2 * at, ivf)] if with_ivf else [
        segment(file, 2, 2 * at, code), segment(file, 3, 3 * at, graph)]
    return [segment(file, 1, at, vectors, stride=16), *found_by, segment(file, 4, 4 * at, ids),
            segment(file, 5, 5 * at, id_hash_of(IDS, "id_hash")), segment(file, 6, 6 * at, metadata),
            segment(file, 7, 7 * at, tombstones)]


def snapshot_of(name, commit, rows, live, seconds, origin=(FILE_ID, 0)):
    """Created so many seconds after its commit."""
    return {"commit": commit, "commit_time_us": START + commit * MINUTE,
            "created_us": START + commit * MINUTE + seconds * 1000000, "origin_commit": origin[1] or commit,
            "origin_id": origin[0], "row_count": rows, "live_count": live, "name_len": len(name), "name": name.encode()}


HARVEST = snapshot_of("harvest", 3, 3, 2, 7)
ORCHARD = snapshot_of("orchard", 4, 3, 3, 5)
PRESS = snapshot_of("press", 6, 4, 2, 9)


def manifest_of(generation, segments, log_off):
    """Generation 2 is the state of commit 4, and 3 that of commit 5, with a deleted row."""
    commit = generation + 2
    kind = 3 if any(entry["type"] == 10 for entry in segments) else 2
    part = {"kind": kind, "version": 1, "row_end": 3, "segment_count": len(segments) - 2, "commit": 4}
    extent = {"off": log_off, "len": 4096, "first_commit": 5, "time_us": START + 4 * MINUTE}
    tables, data, at = {}, b"", size_of("disk_manifest")
    lines = []
    for field, name, entries in (("parts", "disk_part", [part]), ("segments", "disk_segment", segments),
                                 ("log_extents", "disk_log_extent", [extent]),
                                 ("snapshots", "disk_snapshot", [HARVEST, ORCHARD])):
        tables[field] = {"off": at + len(data), "count": len(entries), "entry_size": size_of(name)}
        for number, entry in enumerate(entries):
            data += encode(name, entry)
            lines += listed(name, entry, "%s[%d]." % (field, number))
    head = {"magic": b"VMAN", "header_len": at, "length": at + len(data), "generation": generation,
            "commit": commit, "commit_time_us": START + commit * MINUTE, "row_count": 3, "live_count": 7 - commit, "dim": 4, "metric": 1,
            "type": 1, "created_us": START + MINUTE, "horizon_commit": 3, "degree": 4,
            "ef_construction": 100, "alpha_milli": 1200, "quiet_begin": 60, "quiet_end": 300, **tables}
    manifest = sealed(encode("disk_manifest", head) + data, "disk_manifest")
    check = struct.unpack_from("<Q", manifest, at - 8)[0]
    example("manifest", manifest, listed("disk_manifest", dict(head, check=check)) + lines)
    return manifest


def superblock_of(values):
    head = {"magic": b"\x8fVDB\r\n\x1a\n", "version_minor": 9, "header_len": 512, "file_id": FILE_ID, **values}
    data = encode("disk_superblock", head)
    data = patch(data, "disk_superblock", "check", xxh3(data[:504]))
    return data, listed("disk_superblock", dict(head, check=xxh3(data[:504])))


def make(with_ivf=False):
    """Everything: fills `examples` and returns the file's bytes; with lists in place of codes and graph, or without."""
    file = {}
    segments = part_segments(file, with_ivf)
    changes = [(2, START + 2 * MINUTE, 1, name) for name in IDS + ["fig"]]
    changes += [(3, START + 3 * MINUTE, 3, "fig"), (3, START + 3 * MINUTE, 3, "pear")]
    history, lines = history_of(changes + [(4, START + 4 * MINUTE, 4, "pear")])
    example("history", history, lines)
    segments.append(segment(file, 8, 8 * STEP, history, rows=0))
    states, lines = states_of([({"commit": 3, "time_us": START + 3 * MINUTE, "until_us": START + 4 * MINUTE,
                                 "row_count": 3, "live_count": 2}, [1])])
    example("states", states, lines)
    segments.append(segment(file, 12, 8 * STEP + 4096, states, rows=0))
    manifest_off, log_off, second_off = 9 * STEP, 10 * STEP, 11 * STEP
    older_off = manifest_off + 4096
    older = file[older_off] = manifest_of(2, [s for s in segments if s["type"] != 7], log_off)
    manifest = file[manifest_off] = manifest_of(3, segments, log_off)

    fifth = commit_of(None, log_off, xxh3(FILE_ID), 5, START + 5 * MINUTE, 3, 2, [], [], [], [(1, 1)])
    sixth_off = log_off + len(fifth)
    sixth = commit_of("commit", sixth_off, check_of(fifth), 6, START + 6 * MINUTE, 3, 2,
                      [[0.5, -0.25, 0.0, 0.25]], ["apple"], ['{"year":2026}'], [(0, 3)])
    names_off = sixth_off + len(sixth)
    names = names_of(names_off, check_of(sixth), 6, START + 6 * MINUTE + 9000000,
                     [(1, PRESS), (2, ORCHARD)])
    link = link_of(names_off + len(names), check_of(names), 6, START + 7 * MINUTE, second_off, 4096)
    file[log_off] = fifth + sixth + names + link
    other = (OTHER_ID, 12)
    received = {"commit": 7, "origin_commit": 12, "origin_id": OTHER_ID, "name": b""}
    file[second_off] = commit_of("commit_restore", second_off, check_of(link), 7, START + 7 * MINUTE, 4, 3, [], [], [],
                                 [(1, 2)], [(3, received), (1, snapshot_of("cider", 7, 4, 3, 0, other))])

    end = second_off + 4096
    present = {"generation": 3, "manifest_off": manifest_off, "manifest_len": len(manifest),
               "log_off": sixth_off, "log_end": log_off + 4096, "log_check": check_of(fifth), "file_end": second_off}
    file[0], lines = superblock_of(present)
    example("superblock", file[0], lines)
    # Should that slot be damaged, the other leads to the same rows by the older manifest and more of the log.
    file[4096], _ = superblock_of(dict(present, generation=2, manifest_off=older_off, manifest_len=len(older),
                                       log_off=log_off, log_check=xxh3(FILE_ID)))
    stream_example(ORCHARD, PRESS, ["apple"], ['{"year":2026}'], [[0.5, -0.25, 0.0, 0.25]], ["pear"])
    id_hash_of(list("abcdefghi"), "id_hash_buckets")
    example("metadata_lz4", *metadata_lz4())
    example("times", *times_of([0, START + 250000, START + MINUTE + 500000, START + MINUTE + 750000]))
    example("calibration", *calibration_of([
        (1, 512, [(2, 910000, 10000, 0, 0, 90000, 3000), (8, 1000000, 0, 1000000, 0, 0, 9000)]),
        (10, 256, [(2, 705000, 5000, 300000, 100000, 10000, 3100), (8, 905000, 5000, 600000, 100000, 0, 9100),
                   (32, 992000, 2000, 900000, 0, 0, 33100)])],
        dimension=12500, hubness=-250, rival=4, rival_cost=41000, walk_dimension=12500,
        measured_rows=40000))
    rotation_example([1.0, 2.0, 3.0, 4.0, 5.0])
    codes4_example([[1.5, 2.0, 3.0, 3.5, 5.0], [0.25, -1.5, 2.0, 0.5, -3.0]], [0.5, 0.0, 0.0, -0.5, 0.0],
                   [1.0, 1.0, 2.5, 2.5, 4.0], 65536)

    out = bytearray(end)
    for off, data in file.items():
        out[off:off + len(data)] = data
    return bytes(out)


# ---- the pages ----------------------------------------------------------------------------------

def hexdump(data):
    lines, starred, before = [], False, None
    for at in range(0, len(data), 16):
        row = data[at:at + 16]
        if row == before and at + 16 < len(data):
            if not starred:
                lines.append("*")
            starred = True
            continue
        starred, before = False, row
        left = " ".join("%02x" % b for b in row[:8])
        right = " ".join("%02x" % b for b in row[8:])
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        lines.append("%08x  %-23s  %-23s  |%s|" % (at, left, right, text))
    lines.append("%08x" % len(data))
    return lines


def fill(text, used):
    def block(match):
        kind, name = match[1], match[2]
        data, lines = examples[name]
        used.add(kind + " " + name)
        body = hexdump(data) if kind == "hexdump" else ["%s = %s" % line for line in lines]
        return "```%s %s\n%s\n```" % (kind, name, "\n".join(body))
    return re.sub(r"^```(hexdump|values) (\w+)\n(?:.*\n)*?```$", block, text, flags=re.M)


def main():
    parser = argparse.ArgumentParser(description="Makes the worked example of format-spec/.")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--file", metavar="PATH")
    parser.add_argument("--ivf", action="store_true")
    parser.add_argument("directory")
    arguments = parser.parse_args()
    read_layouts(arguments.directory)
    data = make(arguments.ivf)
    if arguments.file:
        with open(arguments.file, "wb") as to:
            to.write(data)
        return 0
    status, used = 0, set()
    for path in sorted(glob.glob(os.path.join(arguments.directory, "*.md"))):
        with open(path, encoding="utf-8") as page:
            old = page.read()
        new = fill(old, used)
        if new != old and arguments.check:
            print("make_examples.py: %s: an example is not what it should be" % path, file=sys.stderr)
            status = 1
        elif new != old:
            with open(path, "w", encoding="utf-8") as page:
                page.write(new)
    for name in sorted({kind + " " + name for kind in ("hexdump", "values") for name in examples} - used):
        print("make_examples.py: no page has `%s`" % name, file=sys.stderr)
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
