#!/usr/bin/env python3
"""invariants.py: every rule of format-spec/ that a file's own numbers can tell, search structures included.

usage: invariants.py FILE      a line for each finding, and exit status 1 if there is any

A second opinion on what vdb-check --deep says, which shares no code with the library. It goes on
from format-spec/reader/, which reads rows and states, and adds what a reader of these need not
know: graphs, lists, codes, calibration, times and history.

SPDX-License-Identifier: BSD-2-Clause
"""

import json
import math
import os
import struct
import sys
from collections import Counter

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "format-spec", "reader"))
import lz4block  # noqa: E402
from check import check  # noqa: E402
from index import Index  # noqa: E402
from manifest import ELEMENTS, text_of  # noqa: E402
from log import REPLACE  # noqa: E402
from rows import LZ4, PACKED, read_ids, read_rows, read_texts  # noqa: E402
from storage import Damaged, Layout, Refused, Span  # noqa: E402
from xxh3 import xxh3_64  # noqa: E402, F401

NO_ROW, COSINE = 0xFFFFFFFF, 2
CODE_HEADER = Layout("H2xIIIQIIQIIfiffQ56x", "kind flags row_count dim codes_off codes_stride codes_width "
                     "norms_off norms_stride norms_width scale zero bias error center_off")
GRAPH_HEADER = Layout("IIIIQQIIQQIIIIQQQIIQfi8x", "row_count degree pivot_count ef_construction pivots_off "
                      "edges_off alpha_milli code_bytes pivot_codes_off pivot_norms_off norm_bytes level_count "
                      "level_degree member_count level_sizes_off members_off level_edges_off leader_count "
                      "built_rows groups_off grid_scale grid_zero")
IVF_HEADER = Layout("8Ififf4I10QIIff32x", "row_count list_count slot_count code_count sub_dim out_dim flags "
                    "code_bytes scale zero unit_b unit_f survivors_1 survivors_10 survivors_100 survivor_lists centroids_off "
                    "centroid_norms_off lists_off slot_rows_off codebook_off matrix_off matrix_scales_off blocks_off "
                    "slot_codes_off norms_off slot_code_stride norm_stride bias error")
IVF_LIST = Layout("III4x", "page first_block row_count")
CALIBRATION_HEADER = Layout("4sIIiIIII32x", "magic curve_count dimension hubness rival rival_cost "
                            "walk_dimension measured_rows")
CALIBRATION_CURVE = Layout("III4x", "k query_count point_count")
CALIBRATION_POINT = Layout("7I", "effort recall error p5 p5_error zero cost")
HISTORY_HEADER = Layout("QQQI4xQQQ8x", "first_commit last_commit entry_count block_count blocks_off data_off data_len")
HISTORY_ENTRY = Layout("QQHH4x", "commit time_us operation id_len")
ROW_TIME = Layout("QI4x", "time_us row")


class Broken(Exception):
    """The file breaks a rule of the specification."""


def check_graph(view, rows):
    head = view.parse(GRAPH_HEADER)
    if head.row_count != rows or not 1 <= head.pivot_count <= rows or not head.degree:
        raise Broken("graph: its counts are impossible")
    if any(pivot >= rows for pivot in view.numbers("I", head.pivots_off, head.pivot_count)):
        raise Broken("graph: a pivot is no row")
    ends = [head.leader_count, *view.numbers("I", head.groups_off, head.leader_count)]
    if head.leader_count and (ends != sorted(ends) or ends[-1] != head.pivot_count):
        raise Broken("graph: its groups of pivots are impossible")
    check_lists(view, head.edges_off, rows, head.degree, "row")
    if head.level_count:
        check_levels(view, head)


def check_lists(view, at, count, degree, what):
    for row in range(count):
        edges = view.numbers("I", at + row * degree * 4, degree)
        real = [edge for edge in edges if edge != NO_ROW]
        if edges[:len(real)] != tuple(real) or len(set(real)) != len(real) or any(e >= count or e == row for e in real):
            raise Broken("graph: the neighbours of %s %d are not distinct others" % (what, row))


def check_levels(view, head):
    members = view.numbers("I", head.members_off, head.member_count)
    sizes = view.numbers("I", head.level_sizes_off, head.level_count - 1)
    if list(sizes) != sorted(sizes, reverse=True) or sizes[:1] != (head.member_count,)[:len(sizes)] or 0 in sizes:
        raise Broken("graph: the sizes of its levels are impossible")
    if len(set(members)) != len(members) or any(row >= head.row_count for row in members):
        raise Broken("graph: its members are not distinct rows")
    if head.pivot_count != 1 or members[:1] not in ((), view.numbers("I", head.pivots_off, 1)):
        raise Broken("graph: its levels are not entered by their first member")
    at = head.level_edges_off
    for level, size in enumerate(sizes, 1):
        check_lists(view, at, size, head.level_degree, "level %d, member" % level)
        at += size * head.level_degree * 4


def check_pivots(view, codes, norms):
    """Copies are those of the rows; without codes there are none."""
    head = view.parse(GRAPH_HEADER)
    if codes is None and head.code_bytes:
        raise Broken("graph: it has codes of pivots, and the part has none of rows")
    for number, row in enumerate(view.numbers("I", head.pivots_off, head.pivot_count if head.code_bytes else 0)):
        copies = (view.read(head.pivot_codes_off + number * head.code_bytes, head.code_bytes),
                  view.read(head.pivot_norms_off + number * head.norm_bytes, head.norm_bytes))
        if copies != (codes(row, head.code_bytes), norms(row, head.norm_bytes)):
            raise Broken("graph: the code or norm of pivot %d is not that of row %d" % (number, row))


def splitmix64(seed, number):
    z = (seed + (number + 1) * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def rotate(x):
    """The rotation of codes.md, in binary64."""
    n, p = len(x), 1 << len(x).bit_length() - 1
    for k in range(2):
        x = [-v if splitmix64(k, i // 64) >> i % 64 & 1 else v for i, v in enumerate(x)]
        at = k * (n - p)  # the first p values, then the last p
        for d in (1 << bit for bit in range(p.bit_length() - 1)):
            x[at:at + p] = [x[at + i] + x[at + i + d] if not i & d else x[at + i - d] - x[at + i] for i in range(p)]
        x[at:at + p] = [v / math.sqrt(p) for v in x[at:at + p]]
    half = n // 2 if n != p else 0
    ends = [((a + b) / math.sqrt(2), (a - b) / math.sqrt(2)) for a, b in zip(x[:half], x[::-1])]
    return [a for a, _ in ends] + x[half:n - half] + [b for _, b in ends[::-1]]


def check_sq4(m, views, rows, codes, norms):
    """Each row's codes and factors fit its vector: what a binary32 writer may differ in is let pass."""
    head, dim, half = views["code"].parse(CODE_HEADER), m.dim, (m.dim + 1) // 2
    if head.center_off % 64 or head.center_off < views["code"].off + 128:
        raise Broken("code: the center cannot lie at %d" % head.center_off)
    center = views["code"].numbers("f", head.center_off - views["code"].off, dim)
    if not all(map(math.isfinite, center)):
        raise Broken("code: the center has a number that is not finite")
    for row in range(rows):
        norm, f = struct.unpack("<ff", norms(row, 8))
        if not (0 <= norm < math.inf and 0 <= f < math.inf):
            raise Broken("code: the factors of row %d are impossible" % row)
        nibbles = [b & 15 for b in codes(row, half)] + [b >> 4 for b in codes(row, half)]
        x = views["vector"].numbers(ELEMENTS[m.type], row * m.stride, dim)
        length = math.sqrt(math.fsum(v * v for v in x)) if head.flags & 2 else 1
        y = [v / length - c for v, c in zip(x, center)]
        size = math.fsum(v * v for v in y)
        if size < 2.0**-120 or size > 2.0**110:
            continue  # what a writer takes as 0, or limits
        # What dividing by the length and taking off the center lose: they are rounded to binary32.
        loss = 2.0**-22 * max(abs(v) for v in center + (1.0,)) * math.sqrt(dim / size)
        y = rotate(y) if head.flags & 4 else y
        dot = math.fsum((2 * v - 15) * b for v, b in zip(nibbles, y))
        near = 1e-4 + 16 * loss
        if abs(norm - size) > near * size or abs(f * dot - 2 * size) > near * size or any(nibbles[dim:]):
            raise Broken("code: the codes or factors of row %d are not those of its vector" % row)


def check_ivf(m, views, rows):
    view, dim = views["ivf"], m.dim
    head = view.parse(IVF_HEADER)
    if head.row_count != rows or not 1 <= head.list_count <= rows or head.flags & ~3 or head.sub_dim not in (1, 2, 4):
        raise Broken("ivf: its counts or flags are impossible")
    if not 1 <= head.out_dim <= dim or not head.flags & 2 and (head.out_dim != dim or head.matrix_off) or (
            head.code_count, head.code_bytes) != (-(-head.out_dim // head.sub_dim), (dim + 63) // 64 * 64):
        raise Broken("ivf: its codes do not fit %d dimensions" % dim)
    if not 0 < head.scale < math.inf or any(math.frexp(unit)[0] != 0.5 for unit in (head.unit_b, head.unit_f)):
        raise Broken("ivf: its grid or units are impossible")
    if not math.isfinite(head.bias) or not 0 <= head.error < math.inf:
        raise Broken("ivf: its bias or error is impossible")
    if not head.survivors_1 <= head.survivors_10 <= head.survivors_100:
        raise Broken("ivf: its survivors fall")
    offs = [head.centroids_off, head.centroid_norms_off, head.lists_off, head.slot_rows_off, head.codebook_off,
            head.matrix_off, head.matrix_scales_off, head.slot_codes_off, head.slot_code_stride]
    if any(off % 64 for off in offs) or head.blocks_off % 4096 or (head.slot_codes_off == 0) != (offs[-1] == 0):
        raise Broken("ivf: its arrays cannot lie where they do")
    places, fours = -(-head.list_count // 16) * 16, -(-dim // 4)
    centroids = view.read(head.centroids_off, places * fours * 4)
    for number, norm in enumerate(view.numbers("i", head.centroid_norms_off, places)):
        at = 64 * (number // 16 * fours) + 4 * (number % 16)
        code = b"".join(centroids[at + 64 * four:at + 64 * four + 4] for four in range(fours))
        check_code(code, dim if number < head.list_count else 0, norm, "centroid", number)
    count = head.out_dim if head.flags & 2 else 0
    weights = [view.read(head.matrix_off + i * head.code_bytes, head.code_bytes) for i in range(count)]
    floats = view.numbers("f", head.codebook_off, head.code_count * 16 * head.sub_dim)
    if any(any(row[dim:]) for row in weights) or not all(
            map(math.isfinite, floats + view.numbers("f", head.matrix_scales_off, count))):
        raise Broken("ivf: its codebook or matrix is impossible")
    check_slots(m, views, rows, head)


def check_code(code, dim, norm, what, number, flip=0):
    if any(code[dim:]) or norm != sum((c ^ flip) * ((c ^ flip) - 256) for c in code[:dim]):
        raise Broken("ivf: the norm of %s %d is not that of its code, or zeros are missing behind it" % (what, number))


def ivf_places(view, head):
    """Of every slot: list, number, is it for a row, block, place in the block."""
    size, block, page = 64 + 64 * -(-head.code_count // 8), 0, 0
    for number in range(head.list_count):
        entry = view.parse(IVF_LIST, head.lists_off + 16 * number)
        count = -(-entry.row_count // 16)
        if entry.first_block != block or count and entry.page < page:
            raise Broken("ivf: list %d does not follow the one before" % number)
        for slot in range(16 * count):
            at = head.blocks_off + 4096 * entry.page + slot // 16 * size
            yield number, 16 * block + slot, slot < entry.row_count, view.read(at, size), slot % 16
        page = entry.page - (-count * size // 4096) if count else page
        block += count
    if 16 * block != head.slot_count:
        raise Broken("ivf: its lists have %d slots, not %d" % (16 * block, head.slot_count))


def check_slots(m, views, rows, head):
    view, dim, seen, own = views["ivf"], m.dim, {}, not head.slot_codes_off
    if own and (m.type not in (3, 4) or m.metric == 2):
        raise Broken("ivf: it has no slot codes, and vectors are not their own codes")
    for number, slot, there, block, place in ivf_places(view, head):
        row, = view.numbers("I", head.slot_rows_off + 4 * slot, 1)
        (b,), (f,) = (struct.unpack_from("<e", block, at + 2 * place) for at in (0, 32))
        bytes_of = [block[at + 4 * place + i] for at in range(64, len(block), 64) for i in range(4)]
        codes = [half for i in range(0, len(bytes_of), 4) for half in
                 [b & 15 for b in bytes_of[i:i + 4]] + [b >> 4 for b in bytes_of[i:i + 4]]]
        if not there and (row != NO_ROW or b != math.inf or f or any(codes)):
            raise Broken("ivf: slot %d has no row and is not empty" % slot)
        if there and (row >= rows or number in seen.setdefault(row, [])):
            raise Broken("ivf: slot %d is no other row of its list" % slot)
        if there and (not math.isfinite(b) or not math.isfinite(f) or any(codes[head.code_count:])):
            raise Broken("ivf: what stands in slot %d of the blocks is impossible" % slot)
        if there:
            seen[row].append(number)
        if own:
            continue
        norm, = view.numbers("i", head.norms_off + slot * head.norm_stride, 1)
        code = view.read(head.slot_codes_off + slot * head.slot_code_stride, head.slot_code_stride)
        behind = head.norms_off - head.slot_codes_off
        if head.norm_stride == len(code) and dim <= behind < len(code):
            code = code[:behind] + bytes(4) + code[behind + 4:]
        check_code(code, dim, norm, "slot", slot)
    for row in range(rows if own else 0):
        norm, = view.numbers("i", head.norms_off + row * head.norm_stride, 1)
        check_code(views["vector"].read(row * m.stride, dim), dim, norm, "row", row, 128 if m.type == 3 else 0)
    if any(not 1 <= len(seen.get(row, ())) <= 1 + (head.flags & 1) for row in range(rows)):
        raise Broken("ivf: a row stands in no list, or in too many")


def check_calibration(view):
    head = view.parse(CALIBRATION_HEADER)
    if head.magic != b"VCAL" or not 1 <= head.curve_count <= 8:
        raise Broken("calibration: magic or number of curves are wrong")
    if head.rival > 4 or head.rival_cost and not head.rival:
        raise Broken("calibration: its rival is impossible")
    curves = [view.parse(CALIBRATION_CURVE, 64 + 16 * i) for i in range(head.curve_count)]
    if any(a.k >= b.k for a, b in zip(curves, curves[1:])) or not curves[0].k:
        raise Broken("calibration: the k of its curves do not rise")
    at = 64 + 16 * head.curve_count
    for curve in curves:
        if not curve.query_count or not 1 <= curve.point_count <= 64:
            raise Broken("calibration: a curve has impossible counts")
        points = [view.parse(CALIBRATION_POINT, at + 28 * i) for i in range(curve.point_count)]
        if max(max(p.recall, p.error, p.p5, p.zero) for p in points) > 1000000 or any(p.p5_error > p.p5 for p in points):
            raise Broken("calibration: the curve of k = %d has shares above 1" % curve.k)
        if not points[0].effort or any(a.effort >= b.effort or a.recall > b.recall or a.p5 > b.p5 or a.zero < b.zero
                                       or a.cost > b.cost for a, b in zip(points, points[1:])):
            raise Broken("calibration: the curve of k = %d does not rise" % curve.k)
        at += 28 * curve.point_count
    if at != view.size:
        raise Broken("calibration: it has %d bytes, its points end at %d" % (view.size, at))


def check_codes(m, views, rows):
    view, dim = views["code"], m.dim
    head = view.parse(CODE_HEADER)
    four = head.kind == 2
    if head.kind not in (1, 2) or head.row_count != rows or head.dim != dim or not 0 < head.scale < math.inf:
        raise Broken("code: its header is impossible")
    if head.flags & ~(6 if four else 3) or bool(head.flags & 2) != (m.metric == 2):
        raise Broken("code: its flags are impossible")
    if not math.isfinite(head.bias) or not 0 <= head.error < math.inf or four != bool(head.center_off):
        raise Broken("code: its bias, error or center are impossible")

    def plane(name, width):
        off, stride, said = (getattr(head, "%s_%s" % (name, what)) for what in ("off", "stride", "width"))
        end = off + (rows - 1) * stride + width
        inside = [v for v in (view, views["vector"]) if v.off + (128 if v is view else 0) <= off and end <= v.off + v.size]
        if said != width or stride < width or name == "codes" and (off | stride) % 64 or not inside:
            raise Broken("code: the %s do not lie in the code or vector segment" % name)
        return lambda row, count: inside[0].read(off - inside[0].off + row * stride, count)

    used = (dim + 1) // 2 if four else dim
    codes, norms = plane("codes", (used + 63) // 64 * 64), plane("norms", 8 if four else 4)
    if four:
        check_sq4(m, views, rows, codes, norms)
    for row in range(rows if not four else 0):
        flip = 128 if head.flags & 1 else 0
        norm = sum((c ^ flip) * ((c ^ flip) - 256) for c in codes(row, dim))
        if struct.unpack("<i", norms(row, 4))[0] != norm:
            raise Broken("code: the norm of row %d is not %d" % (row, norm))
    behind = head.norms_off - head.codes_off  # where a norm lies in its row of codes
    end = behind if head.norms_stride == head.codes_stride and used <= behind < head.codes_width else head.codes_width
    if not head.flags & 1 and any(any(codes(row, head.codes_width)[used:end]) for row in range(rows)):
        raise Broken("code: bytes behind the codes of a row are not zero")
    if "graph" in views:
        check_pivots(views["graph"], codes, norms)


def check_history(index):
    """Changes stand in the order of their commits, and segments one behind the other."""
    m, last, commit = index.manifest, None, 0
    for view in (segment.span for segment in m.own if segment.name == "history"):
        head, count, end = view.parse(HISTORY_HEADER), 0, 0
        if last is not None and head.first_commit != last + 1 or head.first_commit > head.last_commit + 1:
            raise Broken("history: commits %d to %d do not follow the ones before" % (head.first_commit, head.last_commit))
        for block in PACKED.array(view.read(head.blocks_off, 24 * head.block_count)):
            if block.first != count % 2**32 or block.off != end:
                raise Broken("history: the block of change %d does not follow the one before" % block.first)
            raw, end = view.part(head.data_off, head.data_len).read(block.off, block.packed_len), end + block.packed_len
            raw = lz4block.unpack(raw, block.raw_len) if block.packing == LZ4 else raw
            for entry, name in changes_of(raw):
                text_of(name, 1023, view)
                if entry.operation not in (1, 2, 3, 4) or entry.commit < commit or len(name) != entry.id_len \
                        or not head.first_commit <= entry.commit <= head.last_commit:
                    raise Broken("history: change %d cannot be" % count)
                commit, count = entry.commit, count + 1
        if count != head.entry_count or end != head.data_len:
            raise Broken("history: it has %d changes, not %d" % (count, head.entry_count))
        last = head.last_commit
    if last is not None and last >= m.extents[0].first_commit:
        raise Broken("history: it goes on into the log, to commit %d" % last)


def changes_of(raw):
    at = 0
    while at < len(raw):
        entry = HISTORY_ENTRY.array(raw[at:at + 24].ljust(24, b"\0"))[0]
        yield entry, raw[at + 24:at + 24 + entry.id_len]
        at += 24 + entry.id_len


def check_times(view, rows):
    entries = ROW_TIME.array(view.read(0, view.size // 16 * 16))
    if not entries or view.size % 16 or entries[0].row != 0:
        raise Broken("time at %d: no entries, or the first is not of row 0" % view.off)
    for last, entry in zip(entries, entries[1:]):
        if not last.row < entry.row < rows or last.time_us >= entry.time_us:
            raise Broken("time at %d: entries do not rise" % view.off)


def check_tombstones(view, rows):
    if int.from_bytes(view.read(), "little") >> rows:
        raise Broken("tombstone at %d: a bit is set beyond the rows" % view.off)


def check_rows(m, source):
    """Vectors are numbers, with zeros behind them; metadata are objects; of deleted rows too."""
    vectors, behind = source.runs["vector"].span, m.stride - m.vector.size
    for row, _, vector, text in read_rows(m, source, b"\1" * source.end):
        padding = vectors.read((row - source.begin) * m.stride + m.vector.size, behind)
        if not all(map(math.isfinite, vector)) or m.metric == COSINE and not any(vector) or any(padding):
            raise Broken("%s: the vector of row %d is none, or zeros are missing behind it" % (vectors.place, row))
        if text and not isinstance(json.loads(text), dict):
            raise Broken("%s: the metadata of row %d are no object" % (vectors.place, row))


def check_blocks(index):
    """Blocks of commits overlap neither one another nor heads and bodies of records."""
    spans = [run.span for record in index.records for run in record.runs.values() if run.size]
    spans += [record.span.part(0, 128) for record in index.records]
    spans.sort(key=lambda span: span.off)
    for a, b in zip(spans, spans[1:]):
        if a.off + a.size > b.off:
            raise Broken("%s at %d overlaps %s at %d" % (a.place, a.off, b.place, b.off))


def check_events(index):
    """After each commit live rows have different ids; a row is replaced by one with its id."""
    ids, counts = [name for source in index.sources for name in read_ids(source)], Counter()
    was = bytearray(len(ids))
    for state, live in index.walk():
        events = getattr(state, "events", [])
        added = set(ids[getattr(state, "begin", state.rows):state.rows])
        if any(event.kind == REPLACE and ids[event.row] not in added for event in events):
            raise Broken("log: commit %d replaces a row whose id it does not add" % state.commit)
        now = live.ljust(len(ids), b"\0")
        for row in (row for row in range(len(ids)) if was[row] != now[row]):
            counts[ids[row]] += now[row] - was[row]
            if counts[ids[row]] > 1 and now[row]:
                rows = [other for other in range(len(ids)) if now[other] and ids[other] == ids[row]]
                if len(rows) > 1:
                    raise Broken("rows %d and %d are live after commit %d and have the same id"
                                 % (*rows[:2], state.commit))
        was = now


def check_kept(index):
    """Where a kept state's next commit is known, it lasts until that is made."""
    for state, after in zip(index.states, index.states[1:]):
        if after.commit == state.commit + 1 and getattr(state, "until_us", after.time_us) != after.time_us:
            raise Broken("states: commit %d does not last until the next one" % state.commit)


def check_part(m, part):
    views, rows = {name: run.span for name, run in part.runs.items()}, part.end - part.begin
    yield lambda: list(read_texts(views["metadata"], rows)) if "metadata" in views else None
    yield lambda: check_tombstones(views["tombstone"], rows) if "tombstone" in views else None
    yield lambda: check_times(views["time"], rows) if "time" in views else None
    yield lambda: check_graph(views["graph"], rows) if "graph" in views else None
    yield lambda: check_ivf(m, views, rows) if "ivf" in views else None
    yield lambda: check_calibration(views["calibration"]) if "calibration" in views else None
    if "code" in views:
        yield lambda: check_codes(m, views, rows)
    elif "graph" in views:
        yield lambda: check_pivots(views["graph"], None, None)


def findings(file):
    """Every finding of every test, as text."""
    faults = check(file)
    yield from ("%s: %s (offset %d)" % (fault.args[0], fault.args[2], fault.args[1]) for fault in faults)
    try:
        index = Index(file)
    except Damaged:
        return
    tests = [lambda rule=rule: rule(index) for rule in (check_history, check_blocks, check_events, check_kept)]
    for source in index.sources:
        tests.append(lambda source=source: check_rows(index.manifest, source))
    for part in index.manifest.parts:
        tests += check_part(index.manifest, part)
    for test in tests:
        try:
            test()
        except Damaged as fault:
            yield "%s: %s (offset %d)" % (fault.args[0], fault.args[2], fault.args[1])
        except (Broken, ValueError, IndexError) as finding:
            yield str(finding)


def main():
    with open(sys.argv[1], "rb") as file:
        try:
            found = list(findings(Span(file, "file", 0, file.seek(0, os.SEEK_END))))
        except Refused as refusal:
            print("%s: %s" % (sys.argv[1], refusal.args[1]), file=sys.stderr)
            return refusal.args[0]
    for finding in dict.fromkeys(found):
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
