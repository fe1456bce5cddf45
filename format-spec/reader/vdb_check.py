"""vdb_check.py: what vdb_reader.py check verifies beyond opening a file.

SPDX-License-Identifier: BSD-2-Clause
"""

import json
import math
import struct
from collections import namedtuple

from vdb_file import (CALIBRATION, CALIBRATION_CURVE, CALIBRATION_HEADER, CALIBRATION_POINT, CODE, CODE_HEADER, GRAPH,
                      GRAPH_HEADER, HISTORY, HISTORY_ENTRY, HISTORY_HEADER, ID, ID_HASH, ID_HASH_HEADER, IVF,
                      IVF_HEADER, IVF_LIST, METADATA, NO_ROW, OPERATIONS, ROW_TIME, SEGMENT_NAMES, TIME,
                      TOMBSTONE, VECTOR,
                      Damaged, Ids, NotKept, Packed, Texts, View)
from xxh3 import xxh3_64


def check_id_hash(view, ids, rows):
    head = view.read(ID_HASH_HEADER)
    if head.entry_count != rows or head.bucket_bits > 30:
        raise Damaged("id-hash: its counts are impossible")
    buckets = view.numbers("I", head.buckets_off, (1 << head.bucket_bits) + 1)
    entries = view.numbers("I", head.entries_off, rows * 2)
    expected = sorted((h >> (64 - head.bucket_bits) if head.bucket_bits else 0, h & 0xFFFFFFFF, row)
                      for row, h in enumerate(xxh3_64(ids.get(row).encode()) for row in range(rows)))
    if list(zip(entries[::2], entries[1::2])) != [(tag, row) for _, tag, row in expected]:
        raise Damaged("id-hash: entries are not those of the ids")
    at = 0
    for number, begin in enumerate(buckets):
        while at < rows and expected[at][0] < number:
            at += 1
        if begin != at:
            raise Damaged("id-hash: bucket %d begins at %d, not %d" % (number, begin, at))


def check_graph(view, rows):
    head = view.read(GRAPH_HEADER)
    if head.row_count != rows or not 1 <= head.pivot_count <= rows or not head.degree:
        raise Damaged("graph: its counts are impossible")
    if any(pivot >= rows for pivot in view.numbers("I", head.pivots_off, head.pivot_count)):
        raise Damaged("graph: a pivot is no row")
    ends = [head.leader_count, *view.numbers("I", head.groups_off, head.leader_count)]
    if head.leader_count and (ends != sorted(ends) or ends[-1] != head.pivot_count):
        raise Damaged("graph: its groups of pivots are impossible")
    check_lists(view, head.edges_off, rows, head.degree, "row")
    if head.level_count:
        check_levels(view, head)


def check_lists(view, at, count, degree, what):
    for row in range(count):
        edges = view.numbers("I", at + row * degree * 4, degree)
        real = [edge for edge in edges if edge != NO_ROW]
        if edges[:len(real)] != tuple(real) or len(set(real)) != len(real) or any(e >= count or e == row for e in real):
            raise Damaged("graph: the neighbours of %s %d are not distinct others" % (what, row))


def check_levels(view, head):
    members = view.numbers("I", head.members_off, head.member_count)
    sizes = view.numbers("I", head.level_sizes_off, head.level_count - 1)
    if list(sizes) != sorted(sizes, reverse=True) or sizes[:1] != (head.member_count,)[:len(sizes)] or 0 in sizes:
        raise Damaged("graph: the sizes of its levels are impossible")
    if len(set(members)) != len(members) or any(row >= head.row_count for row in members):
        raise Damaged("graph: its members are not distinct rows")
    if head.pivot_count != 1 or members[:1] not in ((), view.numbers("I", head.pivots_off, 1)):
        raise Damaged("graph: its levels are not entered by their first member")
    at = head.level_edges_off
    for level, size in enumerate(sizes, 1):
        check_lists(view, at, size, head.level_degree, "level %d, member" % level)
        at += size * head.level_degree * 4


def check_pivots(view, codes, norms):
    """Copies are those of the rows; without codes there are none."""
    head = view.read(GRAPH_HEADER)
    if codes is None and head.code_bytes:
        raise Damaged("graph: it has codes of pivots, and the part has none of rows")
    for number, row in enumerate(view.numbers("I", head.pivots_off, head.pivot_count if head.code_bytes else 0)):
        copies = (view.bytes(head.pivot_codes_off + number * head.code_bytes, head.code_bytes),
                  view.bytes(head.pivot_norms_off + number * head.norm_bytes, head.norm_bytes))
        if copies != (codes(row, head.code_bytes), norms(row, head.norm_bytes)):
            raise Damaged("graph: the code or norm of pivot %d is not that of row %d" % (number, row))


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


def check_sq4(file, views, rows, codes, norms):
    """Each row's codes and factors fit its vector: what a binary32 writer may differ in is let pass."""
    head, dim, half = views[CODE].read(CODE_HEADER), file.manifest.dim, (file.manifest.dim + 1) // 2
    if head.center_off % 64 or head.center_off < views[CODE].off + 128:
        raise Damaged("code: the center cannot lie at %d" % head.center_off)
    center = views[CODE].numbers("f", head.center_off - views[CODE].off, dim)
    if not all(map(math.isfinite, center)):
        raise Damaged("code: the center has a number that is not finite")
    for row in range(rows):
        norm, f = struct.unpack("<ff", norms(row, 8))
        if not (0 <= norm < math.inf and 0 <= f < math.inf):
            raise Damaged("code: the factors of row %d are impossible" % row)
        nibbles = [b & 15 for b in codes(row, half)] + [b >> 4 for b in codes(row, half)]
        x = views[VECTOR].numbers(file.element, row * file.stride, dim)
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
            raise Damaged("code: the codes or factors of row %d are not those of its vector" % row)


def check_ivf(file, views, rows):
    view, dim = views[IVF], file.manifest.dim
    head = view.read(IVF_HEADER)
    if head.row_count != rows or not 1 <= head.list_count <= rows or head.flags & ~3 or head.sub_dim not in (1, 2, 4):
        raise Damaged("ivf: its counts or flags are impossible")
    if not 1 <= head.out_dim <= dim or not head.flags & 2 and (head.out_dim != dim or head.matrix_off) or (
            head.code_count, head.code_bytes) != (-(-head.out_dim // head.sub_dim), (dim + 63) // 64 * 64):
        raise Damaged("ivf: its codes do not fit %d dimensions" % dim)
    if not 0 < head.scale < math.inf or any(math.frexp(unit)[0] != 0.5 for unit in (head.unit_b, head.unit_f)):
        raise Damaged("ivf: its grid or units are impossible")
    if not math.isfinite(head.bias) or not 0 <= head.error < math.inf:
        raise Damaged("ivf: its bias or error is impossible")
    if not head.survivors_1 <= head.survivors_10 <= head.survivors_100:
        raise Damaged("ivf: its survivors fall")
    offs = [head.centroids_off, head.centroid_norms_off, head.lists_off, head.slot_rows_off, head.codebook_off,
            head.matrix_off, head.matrix_scales_off, head.slot_codes_off, head.slot_code_stride]
    if any(off % 64 for off in offs) or head.blocks_off % 4096 or (head.slot_codes_off == 0) != (offs[-1] == 0):
        raise Damaged("ivf: its arrays cannot lie where they do")
    places, fours = -(-head.list_count // 16) * 16, -(-dim // 4)
    centroids = view.bytes(head.centroids_off, places * fours * 4)
    for number, norm in enumerate(view.numbers("i", head.centroid_norms_off, places)):
        at = 64 * (number // 16 * fours) + 4 * (number % 16)
        code = b"".join(centroids[at + 64 * four:at + 64 * four + 4] for four in range(fours))
        check_code(code, dim if number < head.list_count else 0, norm, "centroid", number)
    count = head.out_dim if head.flags & 2 else 0
    weights = [view.bytes(head.matrix_off + i * head.code_bytes, head.code_bytes) for i in range(count)]
    floats = view.numbers("f", head.codebook_off, head.code_count * 16 * head.sub_dim)
    if any(any(row[dim:]) for row in weights) or not all(
            map(math.isfinite, floats + view.numbers("f", head.matrix_scales_off, count))):
        raise Damaged("ivf: its codebook or matrix is impossible")
    check_slots(file, views, rows, head)


def check_code(code, dim, norm, what, number, flip=0):
    if any(code[dim:]) or norm != sum((c ^ flip) * ((c ^ flip) - 256) for c in code[:dim]):
        raise Damaged("ivf: the norm of %s %d is not that of its code, or zeros are missing behind it" % (what, number))


def ivf_places(view, head):
    """Of every slot: list, number, is it for a row, block, place in the block."""
    size, block, page = 64 + 64 * -(-head.code_count // 8), 0, 0
    for number in range(head.list_count):
        entry = view.read(IVF_LIST, head.lists_off + 16 * number)
        count = -(-entry.row_count // 16)
        if entry.first_block != block or count and entry.page < page:
            raise Damaged("ivf: list %d does not follow the one before" % number)
        for slot in range(16 * count):
            at = head.blocks_off + 4096 * entry.page + slot // 16 * size
            yield number, 16 * block + slot, slot < entry.row_count, view.bytes(at, size), slot % 16
        page = entry.page - (-count * size // 4096) if count else page
        block += count
    if 16 * block != head.slot_count:
        raise Damaged("ivf: its lists have %d slots, not %d" % (16 * block, head.slot_count))


def check_slots(file, views, rows, head):
    view, dim, seen, own = views[IVF], file.manifest.dim, {}, not head.slot_codes_off
    if own and (file.manifest.type not in (3, 4) or file.manifest.metric == 2):
        raise Damaged("ivf: it has no slot codes, and vectors are not their own codes")
    for number, slot, there, block, place in ivf_places(view, head):
        row, = view.numbers("I", head.slot_rows_off + 4 * slot, 1)
        (b,), (f,) = (struct.unpack_from("<e", block, at + 2 * place) for at in (0, 32))
        bytes_of = [block[at + 4 * place + i] for at in range(64, len(block), 64) for i in range(4)]
        codes = [half for i in range(0, len(bytes_of), 4) for half in
                 [b & 15 for b in bytes_of[i:i + 4]] + [b >> 4 for b in bytes_of[i:i + 4]]]
        if not there and (row != NO_ROW or b != math.inf or f or any(codes)):
            raise Damaged("ivf: slot %d has no row and is not empty" % slot)
        if there and (row >= rows or number in seen.setdefault(row, [])):
            raise Damaged("ivf: slot %d is no other row of its list" % slot)
        if there and (not math.isfinite(b) or not math.isfinite(f) or any(codes[head.code_count:])):
            raise Damaged("ivf: what stands in slot %d of the blocks is impossible" % slot)
        if there:
            seen[row].append(number)
        if own:
            continue
        norm, = view.numbers("i", head.norms_off + slot * head.norm_stride, 1)
        code = view.bytes(head.slot_codes_off + slot * head.slot_code_stride, head.slot_code_stride)
        behind = head.norms_off - head.slot_codes_off
        if head.norm_stride == len(code) and dim <= behind < len(code):
            code = code[:behind] + bytes(4) + code[behind + 4:]
        check_code(code, dim, norm, "slot", slot)
    for row in range(rows if own else 0):
        norm, = view.numbers("i", head.norms_off + row * head.norm_stride, 1)
        check_code(views[VECTOR].bytes(row * file.stride, dim), dim, norm, "row", row, 128 if file.manifest.type == 3 else 0)
    if any(not 1 <= len(seen.get(row, ())) <= 1 + (head.flags & 1) for row in range(rows)):
        raise Damaged("ivf: a row stands in no list, or in too many")


def check_calibration(view):
    head = view.read(CALIBRATION_HEADER)
    if head.magic != b"VCAL" or not 1 <= head.curve_count <= 8:
        raise Damaged("calibration: magic or number of curves are wrong")
    if head.rival > 4 or head.rival_cost and not head.rival:
        raise Damaged("calibration: its rival is impossible")
    curves = [view.read(CALIBRATION_CURVE, 64 + 16 * i) for i in range(head.curve_count)]
    if any(a.k >= b.k for a, b in zip(curves, curves[1:])) or not curves[0].k:
        raise Damaged("calibration: the k of its curves do not rise")
    at = 64 + 16 * head.curve_count
    for curve in curves:
        if not curve.query_count or not 1 <= curve.point_count <= 64:
            raise Damaged("calibration: a curve has impossible counts")
        points = [view.read(CALIBRATION_POINT, at + 28 * i) for i in range(curve.point_count)]
        if max(max(p.recall, p.error, p.p5, p.zero) for p in points) > 1000000 or any(p.p5_error > p.p5 for p in points):
            raise Damaged("calibration: the curve of k = %d has shares above 1" % curve.k)
        if not points[0].effort or any(a.effort >= b.effort or a.recall > b.recall or a.p5 > b.p5 or a.zero < b.zero
                                       or a.cost > b.cost for a, b in zip(points, points[1:])):
            raise Damaged("calibration: the curve of k = %d does not rise" % curve.k)
        at += 28 * curve.point_count
    if at != view.len:
        raise Damaged("calibration: it has %d bytes, its points end at %d" % (view.len, at))


def check_codes(file, views, rows):
    view, dim = views[CODE], file.manifest.dim
    head = view.read(CODE_HEADER)
    four = head.kind == 2
    if head.kind not in (1, 2) or head.row_count != rows or head.dim != dim or not 0 < head.scale < math.inf:
        raise Damaged("code: its header is impossible")
    if head.flags & ~(6 if four else 3) or bool(head.flags & 2) != (file.manifest.metric == 2):
        raise Damaged("code: its flags are impossible")
    if not math.isfinite(head.bias) or not 0 <= head.error < math.inf or four != bool(head.center_off):
        raise Damaged("code: its bias, error or center are impossible")

    def plane(name, width):
        off, stride, said = (getattr(head, "%s_%s" % (name, what)) for what in ("off", "stride", "width"))
        end = off + (rows - 1) * stride + width
        inside = [v for v in (view, views[VECTOR]) if v.off + (128 if v is view else 0) <= off and end <= v.off + v.len]
        if said != width or stride < width or name == "codes" and (off | stride) % 64 or not inside:
            raise Damaged("code: the %s do not lie in the code or vector segment" % name)
        return lambda row, count: file.data[off + row * stride:off + row * stride + count]

    used = (dim + 1) // 2 if four else dim
    codes, norms = plane("codes", (used + 63) // 64 * 64), plane("norms", 8 if four else 4)
    if four:
        check_sq4(file, views, rows, codes, norms)
    for row in range(rows if not four else 0):
        flip = 128 if head.flags & 1 else 0
        norm = sum((c ^ flip) * ((c ^ flip) - 256) for c in codes(row, dim))
        if struct.unpack("<i", norms(row, 4))[0] != norm:
            raise Damaged("code: the norm of row %d is not %d" % (row, norm))
    behind = head.norms_off - head.codes_off  # where a norm lies in its row of codes
    end = behind if head.norms_stride == head.codes_stride and used <= behind < head.codes_width else head.codes_width
    if not head.flags & 1 and any(any(codes(row, head.codes_width)[used:end]) for row in range(rows)):
        raise Damaged("code: bytes behind the codes of a row are not zero")
    if GRAPH in views:
        check_pivots(views[GRAPH], codes, norms)


def history_changes(view):
    head = view.read(HISTORY_HEADER)
    if head.entry_count == 0:
        return
    packed, count = Packed(view, head, head.entry_count), 0
    for number in range(head.block_count):
        raw = packed.block(number)
        block, at = View(raw, 0, len(raw), "history block"), 0
        while at < len(raw):
            entry = block.read(HISTORY_ENTRY, at)
            if entry.operation not in OPERATIONS or not head.first_commit <= entry.commit <= head.last_commit:
                raise Damaged("history: change %d cannot be" % count)
            yield entry, block.bytes(at + 24, entry.id_len).decode("utf-8")
            at, count = at + 24 + entry.id_len, count + 1
    if count != head.entry_count:
        raise Damaged("history: it has %d changes, not %d" % (count, head.entry_count))


def check_part(file, part):
    views, rows = file.part_views(part), part.row_end - part.row_begin
    ids = Ids(views[ID], rows)
    yield lambda: ids.verify()
    yield lambda: check_id_hash(views[ID_HASH], ids, rows)
    if METADATA in views:
        texts = Texts(views[METADATA], rows)
        yield lambda: [json.loads(text) for text in map(texts.get, range(rows)) if text]
    if TOMBSTONE in views:
        yield lambda: check_tombstones(views[TOMBSTONE], rows)
    if TIME in views:
        yield lambda: check_times(views[TIME], rows)
    if GRAPH in views:
        yield lambda: check_graph(views[GRAPH], rows)
    if IVF in views:
        yield lambda: check_ivf(file, views, rows)
    if CALIBRATION in views:
        yield lambda: check_calibration(views[CALIBRATION])
    if CODE in views:
        yield lambda: check_codes(file, views, rows)
    elif GRAPH in views:
        yield lambda: check_pivots(views[GRAPH], None, None)


def unique_ids(file):
    seen = {}
    for row, run in file.live_rows():
        other = seen.setdefault(file.id(row, run), row)
        if other != row:
            raise Damaged("rows %d and %d are live and have the same id" % (other, row))


def matches(view, check):
    if xxh3_64(view.bytes()) != check:
        raise Damaged("%s at %d: checksum does not match" % (view.name, view.off))


def slot_valid(file, slot):
    if not file.slots_valid[slot]:
        raise Damaged("superblock slot %d at %d is not valid" % (slot, slot * 4096))


def check_tombstones(view, rows):
    if int.from_bytes(view.bytes(), "little") >> rows:
        raise Damaged("tombstone at %d: a bit is set beyond the rows" % view.off)


def check_times(view, rows):
    entries = [view.read(ROW_TIME, off) for off in range(0, view.len, 16)]
    if not entries or view.len % 16 or entries[0].row != 0:
        raise Damaged("time at %d: no entries, or the first is not of row 0" % view.off)
    for last, entry in zip(entries, entries[1:]):
        if not last.row < entry.row < rows or last.time_us >= entry.time_us:
            raise Damaged("time at %d: entries do not rise" % view.off)


def check_states(file):
    kept, m = file.kept_states(), file.manifest
    oldest = kept.states[0].commit if kept else file.base_commit
    if m.horizon_commit != oldest:
        raise Damaged("manifest: the horizon is commit %d, and the oldest state that of %d" % (m.horizon_commit, oldest))
    if kept is None:
        return
    rows, _, time_us = file.state_at(file.base_commit)
    behind = namedtuple("Base", "commit row_count time_us")(file.base_commit, rows, time_us)
    for state, flips, after in zip(kept.states, kept.flips, kept.states[1:] + [behind]):
        what = "states: the state of commit %d" % state.commit
        if not 1 <= state.commit < after.commit or not state.live_count <= state.row_count <= after.row_count:
            raise Damaged("%s has an impossible commit or counts" % what)
        late = state.until_us != after.time_us if after.commit == state.commit + 1 else state.until_us > after.time_us
        if state.time_us > state.until_us or late:
            raise Damaged("%s ends at another time than the next one begins" % what)
        if list(flips) != sorted(set(flips)) or any(row >= state.row_count for row in flips):
            raise Damaged("%s has flips that do not rise, or are no rows of it" % what)
        deleted = len(file.state_at(state.commit)[1])
        if state.row_count - deleted != state.live_count:
            raise Damaged("%s has %d rows live, said to be %d" % (what, state.row_count - deleted, state.live_count))


def check_names(file):
    for name, snapshot in file.snapshots.items():
        rows, deleted, time_us = file.state_at(snapshot.commit)
        if (rows, rows - len(deleted), time_us) != (snapshot.row_count, snapshot.live_count, snapshot.commit_time_us):
            raise Damaged("snapshot %s: its time or counts are not those of commit %d" % (name, snapshot.commit))


def check(file):
    """Every finding of every test, as text."""
    tests = [lambda slot=slot: slot_valid(file, slot) for slot in (0, 1)]
    for segment in file.segments:
        view = file.view(segment.off, segment.len, SEGMENT_NAMES.get(segment.type, "unknown"))
        tests.append(lambda view=view, segment=segment: matches(view, segment.check))
        if segment.type == HISTORY:
            tests.append(lambda view=view: list(history_changes(view)))
    tests += [lambda view=view, value=value: matches(view, value) for view, value in file.blocks]
    for part in file.parts:
        tests += check_part(file, part)
    for run in file.runs[len(file.parts):]:
        tests.append(lambda run=run: run.ids.verify())
        if run.texts:
            tests.append(lambda run=run: [run.texts.get(i) for i in range(run.end - run.begin)])
    tests += [lambda: list(file.past_records()), lambda: unique_ids(file), lambda: check_states(file),
              lambda: check_names(file)]
    for test in tests:
        try:
            test()
        except (Damaged, NotKept, ValueError) as finding:
            yield str(finding)
