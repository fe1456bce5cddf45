"""spoil.py: the worked example of format-spec/ and its variants, to be changed field by field; and streams.

Each change makes the checksums right again, so that the rule behind them is what must catch it.

SPDX-License-Identifier: BSD-2-Clause
"""

import math
import os
import struct
import sys

sys.dont_write_bytecode = True
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(SOURCE, "tests", "spec"))
import make_examples as spec  # noqa: E402

spec.read_layouts(os.path.join(SOURCE, "format-spec"))
STEP = spec.STEP = 8192  # the example, with less of zeros between its pieces
TYPES = {"vector": 1, "code": 2, "graph": 3, "id": 4, "id_hash": 5, "metadata": 6, "tombstone": 7,
         "history": 8, "calibration": 9, "ivf": 10, "time": 11, "states": 12}
HEADS = {name: "disk_%s_header" % name for name in TYPES}
MANIFEST, LOG, LAST, END = 9 * STEP, 10 * STEP, 11 * STEP, 11 * STEP + 4096
RECORD, NAMES, LINK = LOG + 256, LOG + 832, LOG + 1600
INFINITE = struct.pack("<f", math.inf)
HUGE, WRAPS = 1 << 40, (1 << 64) - 64


def field(name, wanted):
    return next((offset, form) for offset, _, form, called in spec.layouts[name] if called == wanted)


def made_of(change, with_ivf=False):
    """The example with other segments: `change` gets those of the part and where to put more."""
    whole = spec.part_segments
    spec.part_segments = lambda file, ivf: change(file, whole(file, ivf))
    try:
        return spec.make(with_ivf)
    finally:
        spec.part_segments = whole


def without(segments, *names):
    return [s for s in segments if s["type"] not in [TYPES[name] for name in names]]


def with_more(file, segments):
    """Calibration and times beside the graph."""
    curves = [(1, 512, [(2, 910000, 10000, 0, 0, 90000, 3000), (8, 1000000, 0, 1000000, 0, 0, 9000)]),
              (10, 256, [(2, 705000, 5000, 300000, 100000, 10000, 3100)])]
    calibration, _ = spec.calibration_of(curves, dimension=12500, hubness=-250, rival=4, rival_cost=41000)
    times, _ = spec.times_of([0, spec.START + 250000, spec.START + spec.MINUTE])
    more = [spec.segment(file, 9, 7 * STEP + 1024, calibration), spec.segment(file, 11, 7 * STEP + 2048, times)]
    return segments + [dict(entry, flags=1) for entry in more]


def with_levels(file, segments):
    """An HNSW of three levels that is walked by the stored vectors."""
    spec.hnsw_of([[1, 2], [0], [0, 1]], 4, [1, 0], [[[1], [0]], [[]]], 2)
    return without(segments, "code", "graph") + [spec.segment(file, 3, 3 * STEP, spec.examples["hnsw"][0])]


def with_groups(file, segments):
    """Three pivots, of which the first leads a group of the others."""
    codes, norms = [[192, 96, 128, 144], [64, 224, 160, 0], [128, 128, 192, 192]], [-60160, -34816, -57344]
    kept = spec.examples.get("graph")
    data = bytearray(spec.graph_of([[1, 2], [0], [0, 1]], [0, 1, 2], 4, codes, norms))
    spec.examples["graph"] = kept
    groups, edges = len(data) - 48, data[-48:]
    assert groups % 64 == 0
    data[groups:] = struct.pack("<I", 3) + bytes(60) + edges
    for wanted, value in (("leader_count", 1), ("groups_off", groups), ("edges_off", groups + 64)):
        offset, form = field("disk_graph_header", wanted)
        struct.pack_into("<" + spec.SCALARS[form], data, offset, value)
    return without(segments, "graph") + [spec.segment(file, 3, 3 * STEP, bytes(data))]


def with_codes4(file, segments):
    spec.codes4_example(spec.ROWS, [0.0, 0.25, 0.25, -0.125], [0.5, -0.5, 0.25, 0.0], 2 * STEP)
    code = spec.segment(file, 2, 2 * STEP, spec.examples["code4"][0])
    return with_levels(file, segments) + [code]


BASES = {"graph": (lambda file, segments: segments, False), "ivf": (lambda file, segments: segments, True),
         "more": (with_more, False), "levels": (with_levels, False), "groups": (with_groups, False),
         "codes4": (with_codes4, False)}
bytes_of = {}


class File:
    """The example or a variant of it, to be changed field by field."""

    def __init__(self, base="graph"):
        if base not in bytes_of:
            bytes_of[base] = made_of(*BASES[base])
        self.data = bytearray(bytes_of[base])
        self.data[4096:8192] = bytes(4096)  # without the older state, which would stand in
        self.data[MANIFEST + 4096:LOG] = bytes(LOG - MANIFEST - 4096)

    def put(self, at, name, wanted, value):
        offset, form = field(name, wanted)
        if isinstance(value, bytes):
            self.data[at + offset:at + offset + len(value)] = value
        else:
            struct.pack_into("<" + spec.SCALARS[form], self.data, at + offset, value)

    def get(self, at, name, wanted):
        offset, form = field(name, wanted)
        return struct.unpack_from("<" + spec.SCALARS[form], self.data, at + offset)[0]

    def seal(self, at, name, length):
        self.put(at, name, "check", 0)
        self.put(at, name, "check", spec.xxh3(bytes(self.data[at:at + length])))

    # ---- superblock and manifest

    def superblock(self, **values):
        for wanted, value in values.items():
            self.put(0, "disk_superblock", wanted, value)
        self.put(0, "disk_superblock", "check", spec.xxh3(bytes(self.data[:504])))
        return self

    def older(self, **values):
        """The other slot, with the same state one generation before."""
        self.data[4096:4608] = self.data[:512]
        for wanted, value in dict(values, generation=2).items():
            self.put(4096, "disk_superblock", wanted, value)
        self.put(4096, "disk_superblock", "check", spec.xxh3(bytes(self.data[4096:4600])))
        return self

    def sealed_manifest(self):
        self.seal(MANIFEST, "disk_manifest", min(self.get(0, "disk_superblock", "manifest_len"), 4096))
        return self

    def manifest(self, at=0, name="disk_manifest", /, **values):
        for wanted, value in values.items():
            self.put(MANIFEST + at, name, wanted, value)
        return self.sealed_manifest()

    def table(self, wanted, **values):
        for inner, value in values.items():
            self.put(MANIFEST + field("disk_manifest", wanted)[0], "disk_table", inner, value)
        return self.manifest()

    def table_value(self, wanted, inner="off"):
        return self.get(MANIFEST + field("disk_manifest", wanted)[0], "disk_table", inner)

    def longer(self):
        """Header and entries of a later version: 64 bytes more of the one and 8 of each of the others."""
        tables = {"parts": "disk_part", "segments": "disk_segment", "log_extents": "disk_log_extent",
                  "snapshots": "disk_snapshot"}
        length = self.get(0, "disk_superblock", "manifest_len")
        old, new = bytes(self.data[MANIFEST:MANIFEST + length]), bytearray(self.data[MANIFEST:MANIFEST + 256])
        new += b"\xa5" * 64
        for wanted, entry in tables.items():
            at, size = field("disk_manifest", wanted)[0], spec.size_of(entry)
            off, count, _ = struct.unpack_from("<QII", old, at)
            struct.pack_into("<QII", new, at, len(new), count, size + 8)
            for i in range(count):
                new += old[off + i * size:off + (i + 1) * size] + b"\xa5" * 8
        self.data[MANIFEST:MANIFEST + len(new)] = new
        self.superblock(manifest_len=len(new))
        return self.manifest(header_len=320, length=len(new))

    def part(self, **values):
        return self.manifest(self.table_value("parts"), "disk_part", **values)

    def entry(self, name):
        """Where the entry of the segment of that type lies in the manifest."""
        first, count = (self.table_value("segments", wanted) for wanted in ("off", "count"))
        return next(at for at in range(first, first + 64 * count, 64)
                    if self.get(MANIFEST + at, "disk_segment", "type") == TYPES[name])

    def segment(self, type_name, /, **values):
        return self.manifest(self.entry(type_name), "disk_segment", **values)

    def snapshot(self, number, **values):
        return self.manifest(self.table_value("snapshots") + 256 * number, "disk_snapshot", **values)

    def extent(self, **values):
        return self.manifest(self.table_value("log_extents"), "disk_log_extent", **values)

    # ---- what lies in segments

    def at(self, name):
        return self.get(MANIFEST + self.entry(name), "disk_segment", "off")

    def head_value(self, name, wanted):
        return self.get(self.at(name), HEADS[name], wanted)

    def sealed(self, name):
        off, length = self.at(name), self.get(MANIFEST + self.entry(name), "disk_segment", "len")
        return self.segment(name, check=spec.xxh3(bytes(self.data[off:off + length])))

    def bytes(self, name, at, data):
        at += self.at(name)
        self.data[at:at + len(data)] = data
        return self.sealed(name)

    def head(self, name, /, **values):
        return self.inner(name, 0, HEADS[name], **values)

    def inner(self, name, at, struct_name, /, **values):
        for wanted, value in values.items():
            self.put(self.at(name) + at, struct_name, wanted, value)
        return self.sealed(name)

    def array(self, name, wanted, at, data):
        """Bytes from `at` on of the array that the field of the header tells of."""
        return self.bytes(name, self.head_value(name, wanted) + at, data)

    # ---- the log

    def commit(self, at=RECORD, /, **values):
        """Values of the body; `vectors__off` is a field of a block."""
        for wanted, value in values.items():
            outer, _, inner = wanted.partition("__")
            if inner:
                self.put(at + 64 + field("disk_commit", outer)[0], "disk_block", inner, value)
            else:
                self.put(at + 64, "disk_commit", wanted, value)
        return self.record(at)

    def record(self, at=RECORD, /, **values):
        for wanted, value in values.items():
            self.put(at, "disk_record", wanted, value)
        self.seal(at, "disk_record", self.get(at, "disk_record", "length"))
        return self

    def chained(self, *records):
        """Each of the records names the one before as such."""
        for before, at in zip(records, records[1:]):
            self.record(at, prev_check=self.get(before, "disk_record", "check"))
        return self

    def block(self, wanted, at, data, record=RECORD):
        """Bytes of a block of a commit."""
        place = record + 64 + field("disk_commit", wanted)[0]
        off, length = self.get(place, "disk_block", "off"), self.get(place, "disk_block", "len")
        self.data[off + at:off + at + len(data)] = data
        return self.commit(record, **{wanted + "__check": spec.xxh3(bytes(self.data[off:off + length]))})

    def event(self, **values):
        """The event of the last commit, which restores row 1."""
        for wanted, value in values.items():
            self.put(LAST + 192, "disk_event", wanted, value)
        return self.block("events", 0, b"", LAST)

    def past_event(self, **values):
        """That of commit 5, which the manifest covers and going back undoes; the chain is right again."""
        for wanted, value in values.items():
            self.put(LOG + 192, "disk_event", wanted, value)
        return self.block("events", 0, b"", LOG).past()

    def past(self):
        self.chained(LOG, RECORD, NAMES, LINK, LAST)
        return self.superblock(log_check=self.get(LOG, "disk_record", "check"))

    def link(self, **values):
        for wanted, value in values.items():
            self.put(LINK + 64, "disk_link", wanted, value)
        return self.record(LINK)

    def name(self, number, at=NAMES, first=128, operation=None, **values):
        """A change of names: of the record of two, or at the end of the last commit."""
        change = at + first + 320 * number
        if operation is not None:
            self.put(change, "disk_name_change", "operation", operation)
        for wanted, value in values.items():
            self.put(change + 64, "disk_snapshot", wanted, value)
        return self.record(at)

    def last_name(self, number, **values):
        return self.name(number, LAST, 256, **values)

    def names(self, count):
        self.put(NAMES + 64, "disk_names", "count", count)
        return self.record(NAMES)

    def unknown_record(self, kind, version=1, length=128, commit=7, **values):
        """A record behind the last one."""
        at = LAST + self.get(LAST, "disk_record", "length")
        self.data[at:at + length] = b"\x5a" * length
        head = {"magic": b"VREC", "kind": kind, "version": version, "length": length, "commit": commit,
                "prev_check": self.get(LAST, "disk_record", "check"), **values}
        self.data[at:at + 64] = spec.encode("disk_record", head)
        return self.record(at)

    # ---- the file

    def cut(self, length):
        del self.data[length:]
        return self

    def flip(self, *places):
        for at in places:
            self.data[at] ^= 1
        return self

    def set(self, at, data):
        self.data[at:at + len(data)] = data
        return self


# ---- streams ------------------------------------------------------------------------------------

HEADER = {"flags": 1, "dim": 4, "metric": 1, "type": 1, "degree": 4, "ef_construction": 100, "quiet_begin": 60,
          "quiet_end": 300, "base_commit": 4, "base_id": spec.FILE_ID, "base_time_us": spec.START + 4 * spec.MINUTE,
          "base_live": 3, "target_commit": 6, "target_id": spec.FILE_ID,
          "target_time_us": spec.START + 6 * spec.MINUTE, "target_live": 2}
WHOLE = dict({field: value for field, value in HEADER.items() if not field.startswith("base")}, flags=0,
             target_commit=4, target_time_us=spec.START + 4 * spec.MINUTE, target_live=3)


def name_frame(kind, snapshot, **values):
    return kind, 1, spec.stream_name(dict(snapshot, **values))[0]


def whole_frames():
    return [name_frame(2, spec.ORCHARD), (3, 3, spec.stream_items(spec.IDS, spec.TEXTS)), (4, 3, spec.vectors_of(spec.ROWS))]


def frames(rows=None, vectors=None, deletes=None):
    return [name_frame(1, spec.ORCHARD), name_frame(2, spec.PRESS),
            (3, 1, rows or spec.stream_items(["apple"], ['{"year":2026}'])),
            (4, 1, vectors or spec.vectors_of([[0.5, -0.25, 0.0, 0.25]])),
            (5, 1, deletes or spec.stream_items(["pear"]))]


class Stream:
    def __init__(self, parts=None, header=None, end=None, frame=None, **values):
        """`frame` is {number: fields}, `end` fields of what the last one sums up, `values` of the header."""
        header = dict(HEADER if header is None else header, **values)
        parts = frames() if parts is None else parts
        head = {"magic": b"\x8fVDS\r\n\x1a\n", "version": 1, "header_len": 160, **header}
        data = spec.encode("disk_stream", head)
        data = spec.patch(data, "disk_stream", "check", spec.xxh3(data[:152]))
        counts = {kind: sum(part[1] for part in parts if part[0] == kind) for kind in (2, 3, 5)}
        for number, (kind, count, raw) in enumerate(parts + [(6, 1, None)]):
            if raw is None:
                sums = {"row_count": counts[3], "delete_count": counts[5], "name_count": counts[2],
                        "check": spec.xxh3(bytes(data)), **(end or {})}
                raw = spec.encode("disk_stream_end", sums)
            values = {"kind": kind, "number": number, "count": count, "raw_len": len(raw), "packed_len": len(raw),
                      **(frame or {}).get(number, {})}
            values["check"] = spec.xxh3(spec.encode("disk_stream_frame", values) + raw)
            data += spec.encode("disk_stream_frame", values) + raw
        self.data = bytearray(data)

    cut, flip, set = File.cut, File.flip, File.set

    def more(self, data):
        self.data += data
        return self
