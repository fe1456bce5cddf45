"""vdb_check.py: what vdb_reader.py check verifies beyond opening a file.

SPDX-License-Identifier: BSD-2-Clause
"""

import json
import math
import struct

from vdb_file import (CODE, CODE_HEADER, GRAPH, GRAPH_HEADER, HISTORY, HISTORY_ENTRY, HISTORY_HEADER, ID, ID_HASH,
                      ID_HASH_HEADER, METADATA, NO_ROW, OPERATIONS, RECORD, SEGMENT_NAMES, TOMBSTONE, VECTOR,
                      Damaged, Ids, Packed, Texts, View)
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
    for row in range(rows):
        edges = view.numbers("I", head.edges_off + row * head.degree * 4, head.degree)
        real = [edge for edge in edges if edge != NO_ROW]
        if edges[:len(real)] != tuple(real) or len(set(real)) != len(real) or any(e >= rows or e == row for e in real):
            raise Damaged("graph: the neighbours of row %d are not distinct other rows" % row)


def check_pivots(view, codes, norms):
    head = view.read(GRAPH_HEADER)
    for number, row in enumerate(view.numbers("I", head.pivots_off, head.pivot_count if head.code_bytes else 0)):
        copies = (view.bytes(head.pivot_codes_off + number * head.code_bytes, head.code_bytes),
                  view.bytes(head.pivot_norms_off + number * head.norm_bytes, head.norm_bytes))
        if copies != (codes(row, head.code_bytes), norms(row, head.norm_bytes)):
            raise Damaged("graph: the code or norm of pivot %d is not that of row %d" % (number, row))


def check_codes(file, views, rows):
    view, dim = views[CODE], file.manifest.dim
    head = view.read(CODE_HEADER)
    if head.kind != 1 or head.row_count != rows or head.dim != dim or not 0 < head.scale < math.inf:
        raise Damaged("code: its header is impossible")

    def plane(name, width):
        off, stride, said = (getattr(head, "%s_%s" % (name, what)) for what in ("off", "stride", "width"))
        end = off + (rows - 1) * stride + width
        inside = [v for v in (view, views[VECTOR]) if v.off + (128 if v is view else 0) <= off and end <= v.off + v.len]
        if said != width or stride < width or not inside:
            raise Damaged("code: the %s do not lie in the code or vector segment" % name)
        return lambda row, count: file.data[off + row * stride:off + row * stride + count]

    codes, norms, flip = plane("codes", (dim + 63) // 64 * 64), plane("norms", 4), 128 if head.flags & 1 else 0
    for row in range(rows):
        norm = sum((c ^ flip) * ((c ^ flip) - 256) for c in codes(row, dim))
        if struct.unpack("<i", norms(row, 4))[0] != norm:
            raise Damaged("code: the norm of row %d is not %d" % (row, norm))
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
    if GRAPH in views:
        yield lambda: check_graph(views[GRAPH], rows)
    if CODE in views:
        yield lambda: check_codes(file, views, rows)


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


def check_past_log(file):
    """The records of the extents up to the one that the superblock's log begins with."""
    last, chain = None, None
    for extent in file.extents:
        off, end = extent.off, extent.off + extent.len
        while off < end and off != file.super.log_off:
            view = file.view(off, end - off, "log record")
            head = view.read(RECORD)
            if last is None:
                last, chain = extent.first_commit - 1, head.prev_check
            head = file.record_at(off, end, chain, last)
            if head is None:
                raise Damaged("log record at %d is not valid" % off)
            last, chain = head.commit, head.check
            if head.kind == 2:
                break
            off += head.length
    if last is not None and (last, chain) != (file.manifest.commit, file.super.log_check):
        raise Damaged("the log extents do not lead to where the log goes on")


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
    tests += [lambda: check_past_log(file), lambda: unique_ids(file)]
    for test in tests:
        try:
            test()
        except (Damaged, ValueError) as finding:
            yield str(finding)
