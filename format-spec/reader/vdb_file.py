"""vdb_file.py: a vdb file as File, opened by the rules of format-spec/: superblock, manifest, log.

What it gives out is checked against its bounds; a broken rule raises Damaged.

SPDX-License-Identifier: BSD-2-Clause
"""

import mmap
import os
import struct
from collections import namedtuple

from lz4block import BadBlock, unpack
from xxh3 import xxh3_64

NO_ROW = 0xFFFFFFFF
MAGIC = b"\x8fVDB\r\n\x1a\n"
TYPES = {1: ("f32", "f", 4), 2: ("f16", "e", 2), 3: ("i8", "b", 1), 4: ("u8", "B", 1)}
CODES = {0: "auto", 1: "none", 2: "i8", 3: "i4", 4: "pq", 5: "b1"}
INDEXES = {0: "auto", 1: "flat", 2: "graph", 3: "hnsw", 4: "ivf", 5: "hybrid"}
METRICS = {1: "l2", 2: "cosine", 3: "ip"}
PART_KINDS = {1: "flat", 2: "graph", 3: "ivf"}
VECTOR, CODE, GRAPH, ID, ID_HASH, METADATA, TOMBSTONE, HISTORY, CALIBRATION, IVF, TIME, STATES = range(1, 13)
SEGMENT_NAMES = {VECTOR: "vector", CODE: "code", GRAPH: "graph", ID: "id", ID_HASH: "id-hash",
                 METADATA: "metadata", TOMBSTONE: "tombstone", HISTORY: "history",
                 CALIBRATION: "calibration", IVF: "ivf", TIME: "time", STATES: "states"}
OPTIONAL = 1
BLOCK_MAX = 16384 + 4 + 16777216
OPERATIONS = {1: "add", 2: "update", 3: "delete", 4: "restore"}
CREATE, REMOVE, RECEIVED = range(1, 4)


class Damaged(Exception):
    """The file breaks a rule of the specification."""


class NotKept(Exception):
    """There is no such state, or none any more."""


class Unsupported(Exception):
    """The file is of another version, or uses something that is not known here."""


def layout(name, form, fields):
    """A decoder of one structure; `x` in the form passes reserved bytes over."""
    return struct.Struct("<" + form), namedtuple(name, fields)


SUPERBLOCK = layout("Superblock", "8sHHIQQQ16sQQQQQQQQ384xQ", "magic major minor header_len compat ro_compat incompat "
                    "file_id generation manifest_off manifest_len log_off log_end log_check file_end flags check")
MANIFEST = layout("Manifest", "4sIQQQQIIIHHQQHHIII" + "QII" * 4 + "QIHH16sQQ48xQ",
                  "magic header_len length generation commit commit_time_us row_count live_count dim metric type "
                  "created_us horizon_commit index codes degree ef_construction alpha_milli "
                  "parts_off parts_count parts_size segments_off segments_count segments_size "
                  "extents_off extents_count extents_size snapshots_off snapshots_count snapshots_size "
                  "recent_seconds recent_rows quiet_begin quiet_end origin_id origin_commit received_commit check")
PART = layout("Part", "HHIIIIIQ32x", "kind version flags row_begin row_end segment_first segment_count commit")
SEGMENT = layout("Segment", "HHIQQIII4xQ16x", "type version flags off len row_begin row_end stride check")
EXTENT = layout("Extent", "QQQQ", "off len first_commit time_us")
SNAPSHOT = layout("Snapshot", "QQQQ16sIIH198s", "commit commit_time_us created_us origin_commit origin_id row_count "
                  "live_count name_len name")
RECORD = layout("Record", "4sHHQQQQQ16x", "magic kind version length commit time_us prev_check check")
COMMIT = layout("Commit", "IIII" + "QQQ" * 4 + "II8x",
                "row_base row_count live_count event_count vectors_off vectors_len vectors_check ids_off ids_len "
                "ids_check metadata_off metadata_len metadata_check events_off events_len events_check stride name_count")
ROW_TIME = layout("RowTime", "QI4x", "time_us row")
LINK = layout("Link", "QQ48x", "next_off next_len")
NAMES = layout("Names", "I60x", "count")
NAME_CHANGE = layout("NameChange", "H62x256s", "operation snapshot")
ID_HEADER = layout("IdHeader", "I4xQQQQ24x", "row_count bases_off ends_off bytes_off bytes_len")
ID_HASH_HEADER = layout("IdHashHeader", "IIQQ40x", "entry_count bucket_bits buckets_off entries_off")
METADATA_HEADER = layout("MetadataHeader", "IIQQQ32x", "row_count block_count blocks_off data_off data_len")
PACKED_BLOCK = layout("PackedBlock", "IIIIQ", "first packing raw_len packed_len off")
CODE_HEADER = layout("CodeHeader", "H2xIIIQIIQIIfiffQ56x", "kind flags row_count dim codes_off codes_stride codes_width "
                     "norms_off norms_stride norms_width scale zero bias error center_off")
GRAPH_HEADER = layout("GraphHeader", "IIIIQQIIQQIIIIQQQI4xQ16x", "row_count degree pivot_count ef_construction pivots_off edges_off "
                      "alpha_milli code_bytes pivot_codes_off pivot_norms_off norm_bytes level_count level_degree "
                      "member_count level_sizes_off members_off level_edges_off leader_count groups_off")
IVF_HEADER = layout("IvfHeader", "8Ififf3I4x10QIIff32x", "row_count list_count slot_count code_count sub_dim out_dim flags "
                    "code_bytes scale zero unit_b unit_f survivors_1 survivors_10 survivors_100 centroids_off "
                    "centroid_norms_off lists_off slot_rows_off codebook_off matrix_off matrix_scales_off blocks_off "
                    "slot_codes_off norms_off slot_code_stride norm_stride bias error")
IVF_LIST = layout("IvfList", "III4x", "page first_block row_count")
CALIBRATION_HEADER = layout("CalibrationHeader", "4sIIiII40x", "magic curve_count dimension hubness rival rival_cost")
CALIBRATION_CURVE = layout("CalibrationCurve", "III4x", "k query_count point_count")
CALIBRATION_POINT = layout("CalibrationPoint", "7I", "effort recall error p5 p5_error zero cost")
HISTORY_HEADER = layout("HistoryHeader", "QQQI4xQQQ8x", "first_commit last_commit entry_count block_count blocks_off "
                        "data_off data_len")
HISTORY_ENTRY = layout("HistoryEntry", "QQHH4x", "commit time_us operation id_len")
STATES_HEADER = layout("StatesHeader", "I4xQQQ32x", "state_count flip_count states_off flips_off")
STATE = layout("State", "QQQIIQ24x", "commit time_us until_us row_count live_count flips_end")


class View:
    """A run of the file's bytes; every read is held against its bounds."""

    def __init__(self, data, off, length, name):
        if off + length > len(data):
            raise Damaged("%s at %d, %d bytes, goes beyond the end of the file" % (name, off, length))
        self.data, self.off, self.len, self.name = data, off, length, name

    def bytes(self, at=0, length=None):
        length = self.len - at if length is None else length
        if length < 0 or at + length > self.len:
            raise Damaged("%s at %d: byte %d is beyond its end" % (self.name, self.off, at + length))
        return self.data[self.off + at:self.off + at + length]

    def read(self, which, at=0):
        form, make = which
        return make._make(form.unpack(self.bytes(at, form.size)))

    def numbers(self, code, at, count):
        return struct.unpack("<%d%s" % (count, code), self.bytes(at, struct.calcsize("<" + code) * count))


def check_without(data, at):
    """XXH3-64 of a structure that holds its own check at that offset."""
    return xxh3_64(data[:at] + bytes(8) + data[at + 8:])


class Packed:
    """The blocks of a metadata or history segment; read() gives the block that holds an item."""

    def __init__(self, view, header, items):
        self.view, self.header, self.items, self.held = view, header, items, None
        self.blocks = [view.read(PACKED_BLOCK, header.blocks_off + 24 * i) for i in range(header.block_count)]
        firsts = [block.first for block in self.blocks] + [items]
        if firsts[0] != 0 or any(a >= b for a, b in zip(firsts, firsts[1:])):
            raise Damaged("%s at %d: blocks are out of order" % (view.name, view.off))
        if sum(block.packed_len for block in self.blocks) != header.data_len:
            raise Damaged("%s at %d: blocks do not fill their data" % (view.name, view.off))
        self.firsts = firsts

    def block(self, number):
        block, view = self.blocks[number], self.view
        if not 0 < block.raw_len < BLOCK_MAX or block.off + block.packed_len > self.header.data_len:
            raise Damaged("%s at %d: block %d has impossible bounds" % (view.name, view.off, number))
        packed = view.bytes(self.header.data_off + block.off, block.packed_len)
        if block.packing == 0 and block.packed_len == block.raw_len:
            return packed
        if block.packing == 1 and block.packed_len < block.raw_len:
            return self.unpack(packed, block.raw_len)
        raise Damaged("%s at %d: block %d has packing %d" % (view.name, view.off, number, block.packing))

    def unpack(self, packed, raw_len):
        try:
            return unpack(packed, raw_len)
        except BadBlock as error:
            raise Damaged("%s at %d: a block %s" % (self.view.name, self.view.off, error)) from None

    def holding(self, item):
        number = next(i for i in range(len(self.blocks)) if self.firsts[i] <= item < self.firsts[i + 1])
        if self.held is None or self.held[0] != number:
            self.held = number, self.block(number)
        return self.firsts[number], self.firsts[number + 1], self.held[1]


class Ids:
    def __init__(self, view, rows):
        self.view, self.head = view, view.read(ID_HEADER)
        if self.head.row_count != rows:
            raise Damaged("%s at %d: it holds %d rows, not %d" % (view.name, view.off, self.head.row_count, rows))

    def get(self, row):
        head = self.head
        base, = self.view.numbers("Q", head.bases_off + row // 64 * 8, 1)
        end, = self.view.numbers("H", head.ends_off + row * 2, 1)
        start = self.view.numbers("H", head.ends_off + row * 2 - 2, 1)[0] if row % 64 else 0
        if not start < end <= start + 1023 or base + end > head.bytes_len:
            raise Damaged("%s at %d: the id of row %d has impossible bounds" % (self.view.name, self.view.off, row))
        return self.view.bytes(head.bytes_off + base + start, end - start).decode("utf-8")

    def verify(self):
        total = sum(len(self.get(row).encode()) for row in range(self.head.row_count))
        if total != self.head.bytes_len:
            raise Damaged("%s at %d: ids do not fill their bytes" % (self.view.name, self.view.off))


class Texts:
    """The metadata of a run of rows."""

    def __init__(self, view, rows):
        header = view.read(METADATA_HEADER)
        if header.row_count != rows:
            raise Damaged("%s at %d: it holds %d rows, not %d" % (view.name, view.off, header.row_count, rows))
        self.view, self.rows, self.packed, self.split = view, rows, Packed(view, header, rows), None

    def get(self, row):
        first, end, raw = self.packed.holding(row)
        if self.split is None or self.split[0] != first:
            self.split = first, self.texts(raw, end - first)
        return self.split[1][row - first]

    def texts(self, raw, count):
        if 4 * count > len(raw):
            raise Damaged("%s at %d: a block is too short for its rows" % (self.view.name, self.view.off))
        lengths, at, texts = struct.unpack_from("<%dI" % count, raw), 4 * count, []
        if at + sum(lengths) != len(raw):
            raise Damaged("%s at %d: texts do not fill their block" % (self.view.name, self.view.off))
        for length in lengths:
            texts.append(raw[at:at + length].decode("utf-8") or None)
            at += length
        return texts


def name_of(snapshot, what):
    """The text of a snapshot's name."""
    if not 1 <= snapshot.name_len <= 198 or any(snapshot.name[snapshot.name_len:]):
        raise Damaged("%s: a name has %d bytes" % (what, snapshot.name_len))
    name = snapshot.name[:snapshot.name_len].decode("utf-8")
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in name):
        raise Damaged("%s: a name has a control character" % what)
    return name


class States:
    """A states segment: of each state its entry, and the rows that flip between it and the next one."""

    def __init__(self, view):
        head = view.read(STATES_HEADER)
        if not head.state_count or any(off % 64 or off < 64 for off in (head.states_off, head.flips_off)):
            raise Damaged("states: counts or offsets are impossible")
        if head.flip_count > view.len:
            raise Damaged("states: it has room for no %d flips" % head.flip_count)
        self.states = [view.read(STATE, head.states_off + 64 * i) for i in range(head.state_count)]
        rows, ends = view.numbers("I", head.flips_off, head.flip_count), [0] + [s.flips_end for s in self.states]
        if ends != sorted(ends) or ends[-1] != head.flip_count:
            raise Damaged("states: the ends of their flips do not rise to %d" % head.flip_count)
        self.flips = [rows[begin:end] for begin, end in zip(ends, ends[1:])]
        for a, b in zip(self.states, self.states[1:]):
            if a.commit >= b.commit or a.row_count > b.row_count:
                raise Damaged("states: commit %d does not go with commit %d behind it" % (a.commit, b.commit))


class Run:
    """Consecutive rows that lie together: those of a part, or those of one commit of the tail."""

    def __init__(self, begin, end, vectors, stride, ids, texts):
        self.begin, self.end, self.vectors, self.stride = begin, end, vectors, stride
        self.ids, self.texts = ids, texts


class File:
    def __init__(self, path):
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            self.data = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
        self.choose_superblock()
        self.read_manifest()
        self.read_parts()
        self.read_log()

    def view(self, off, length, name):
        return View(self.data, off, length, name)

    # -- superblock.md

    def choose_superblock(self):
        slots = [self.data[at:at + 512] for at in (0, 4096)]
        if not any(slot.startswith(MAGIC) for slot in slots):
            raise Damaged("not a vdb file")
        found = []
        self.slots_valid = []  # also where a slot was never written
        for slot in slots:
            self.slots_valid.append(not any(slot))
            if not slot.startswith(MAGIC) or len(slot) < 512:
                continue
            head = SUPERBLOCK[1]._make(SUPERBLOCK[0].unpack(slot))
            if head.major != 0 or head.minor < 9:
                raise Unsupported("version %d.%d; this reader knows 0.9" % (head.major, head.minor))
            if head.check != xxh3_64(slot[:504]):
                continue
            if head.incompat:
                raise Unsupported("unknown incompat feature, bit %d" % (head.incompat & -head.incompat).bit_length())
            if head.header_len == 512:
                self.slots_valid[-1] = True
                found.append(head)
        if not found:
            raise Damaged("no superblock slot is valid")
        self.super = max(found, key=lambda head: head.generation)
        if len(self.data) < self.super.file_end:
            raise Damaged("truncated: %d bytes of at least %d" % (len(self.data), self.super.file_end))

    # -- manifest.md

    def read_manifest(self):
        head = self.super
        if head.manifest_off % 64 or head.manifest_off < 8192 or head.manifest_len < 256:
            raise Damaged("superblock: the manifest cannot lie at %d" % head.manifest_off)
        view = self.view(head.manifest_off, head.manifest_len, "manifest")
        self.manifest = m = view.read(MANIFEST)
        if m.magic != b"VMAN" or m.header_len < 256 or m.header_len % 64 or m.length != head.manifest_len:
            raise Damaged("manifest: magic or length are wrong")
        if m.check != check_without(view.bytes(), 248):
            raise Damaged("manifest: checksum does not match")
        if m.generation > head.generation or m.commit < 1 or not m.live_count <= m.row_count < NO_ROW:
            raise Damaged("manifest: generation, commit or counts are impossible")
        if not 1 <= m.dim <= 65535 or m.metric not in METRICS or m.type not in TYPES:
            raise Damaged("manifest: dimensions, metric or type are not known")
        if m.index not in INDEXES:
            raise Unsupported("an index of kind %d" % m.index)
        if m.codes not in CODES:
            raise Unsupported("codes of kind %d" % m.codes)
        if (m.recent_rows > 0) + (m.recent_seconds > 0) != (INDEXES[m.index] == "hybrid"):
            raise Damaged("manifest: recent_rows and recent_seconds do not go with the index")
        if m.recent_seconds > 31536000000 or m.quiet_begin >= 1440 or m.quiet_end >= 1440:
            raise Damaged("manifest: recent_seconds or quiet hours are out of range")

        def table(off, count, size, which):
            if size < which[0].size or size % 8 or off < m.header_len:
                raise Damaged("manifest: a table at %d has entries of %d bytes" % (off, size))
            return [view.read(which, off + size * i) for i in range(count)]

        if m.parts_count > 4096:
            raise Damaged("manifest: there are %d parts" % m.parts_count)
        self.parts = table(m.parts_off, m.parts_count, m.parts_size, PART)
        self.segments = table(m.segments_off, m.segments_count, m.segments_size, SEGMENT)
        self.extents = table(m.extents_off, m.extents_count, m.extents_size, EXTENT)
        snapshots = table(m.snapshots_off, m.snapshots_count, m.snapshots_size, SNAPSHOT)
        self.snapshots = {name_of(snapshot, "manifest"): snapshot for snapshot in snapshots}
        raw = [snapshot.name[:snapshot.name_len] for snapshot in snapshots]
        if raw != sorted(set(raw)):
            raise Damaged("manifest: names of snapshots are not in order")
        for s in snapshots:
            if not 1 <= s.commit <= m.commit or not s.live_count <= s.row_count <= m.row_count:
                raise Damaged("manifest: a snapshot is of commit %d with %d rows" % (s.commit, s.row_count))
        self.received = m.origin_id, m.origin_commit, m.received_commit
        _, self.element, width = TYPES[m.type]
        used = m.dim * width
        to = 64 if m.type in (3, 4) or used >= 512 else 4
        self.stride = (used + to - 1) // to * to

    def read_parts(self):
        self.runs, self.deleted, covered = [], set(), 0
        for segment in self.segments:
            if (segment.type not in SEGMENT_NAMES or segment.version != 1) and not segment.flags & OPTIONAL:
                raise Unsupported("segment type %d version %d" % (segment.type, segment.version))
            if segment.off % 64 or segment.off < 8192:
                raise Damaged("manifest: a segment cannot lie at %d" % segment.off)
            self.view(segment.off, segment.len, SEGMENT_NAMES.get(segment.type, "unknown"))
            if segment.type in (HISTORY, STATES) and (segment.row_begin, segment.row_end) != (0, 0):
                raise Damaged("manifest: a %s segment covers rows" % SEGMENT_NAMES[segment.type])
        for part in self.parts:
            if part.kind not in PART_KINDS or part.version != 1:
                raise Unsupported("part kind %d version %d" % (part.kind, part.version))
            if part.row_begin != covered or part.row_end <= covered:
                raise Damaged("manifest: parts do not cover the rows in order")
            covered = part.row_end
            self.runs.append(self.open_part(part))
        if covered != self.manifest.row_count:
            raise Damaged("manifest: parts cover %d of %d rows" % (covered, self.manifest.row_count))

    def part_views(self, part):
        if part.segment_first + part.segment_count > len(self.segments):
            raise Damaged("manifest: a part's segments go beyond the table")
        views = {}
        for segment in self.segments[part.segment_first:part.segment_first + part.segment_count]:
            if segment.type not in SEGMENT_NAMES or segment.version != 1:
                continue
            if (segment.row_begin, segment.row_end) != (part.row_begin, part.row_end) or segment.type in views:
                raise Damaged("manifest: a part's segments have other rows, or a type occurs twice")
            views[segment.type] = self.view(segment.off, segment.len, SEGMENT_NAMES[segment.type])
        needed = {VECTOR, ID, ID_HASH} | {2: {GRAPH}, 3: {IVF}}.get(part.kind, set())
        if needed - set(views):
            raise Damaged("manifest: a part has no %s segment" % SEGMENT_NAMES[min(needed - set(views))])
        return views

    def open_part(self, part):
        views, rows = self.part_views(part), part.row_end - part.row_begin
        strides = [s.stride for s in self.segments if s.type == VECTOR and s.off == views[VECTOR].off]
        if views[VECTOR].len != rows * self.stride or set(strides) != {self.stride}:
            raise Damaged("vector segment at %d: its stride or length is wrong" % views[VECTOR].off)
        if TOMBSTONE in views:
            words = (rows + 63) // 64
            if views[TOMBSTONE].len != words * 8:
                raise Damaged("tombstone segment at %d has %d bytes" % (views[TOMBSTONE].off, views[TOMBSTONE].len))
            bits = int.from_bytes(views[TOMBSTONE].bytes(), "little")
            self.deleted.update(part.row_begin + i for i in range(rows) if bits >> i & 1)
        texts = Texts(views[METADATA], rows) if METADATA in views else None
        return Run(part.row_begin, part.row_end, views[VECTOR], self.stride, Ids(views[ID], rows), texts)

    # -- log.md

    def record_at(self, off, end, chain, last):
        """The valid record there, or None."""
        end = min(end, len(self.data))
        if off == 0 or off + 64 > end:
            return None
        view = self.view(off, end - off, "log record")
        head = view.read(RECORD)
        if head.magic != b"VREC" or head.prev_check != chain:
            return None
        if head.length < 64 or head.length % 64 or head.length > view.len:
            return None
        if head.check != check_without(view.bytes(0, head.length), 40):
            return None
        known = head.version == 1 and head.kind in (1, 2, 3)
        if not known and not head.kind & 0x8000:
            raise Unsupported("log record at %d of kind %d version %d" % (off, head.kind, head.version))
        least = (192 if head.kind == 1 else 128) if known else 64
        room = view.len - head.length
        if head.length < least or head.commit != last + (known and head.kind == 1) or room < 128 and head.kind != 2:
            raise Damaged("log record at %d: length or commit cannot be" % off)
        return head

    def read_log(self):
        m = self.manifest
        self.commit, self.time_us, self.rows, self.live_count = m.commit, m.commit_time_us, m.row_count, m.live_count
        self.base_commit = self.extents[0].first_commit - 1 if self.extents else m.commit
        off, end, chain = self.super.log_off, self.super.log_end, self.super.log_check
        if off % 64 or off > end or end > self.super.file_end:
            raise Damaged("superblock: the log cannot lie at %d to %d" % (off, end))
        self.blocks, self.commits = [], []
        while True:
            head = self.record_at(off, end, chain, self.commit)
            if head is None:
                break
            body_view = self.view(off + 64, head.length - 64, "log record")
            chain = head.check
            if head.kind == 2:
                link = body_view.read(LINK)
                if link.next_off < end or link.next_off % 64 or link.next_off + link.next_len > len(self.data):
                    raise Damaged("link record at %d: the extent cannot lie at %d" % (off, link.next_off))
                off, end = link.next_off, link.next_off + link.next_len
                continue
            if head.kind & 0x8000:
                off += head.length
                continue
            if head.kind == 3:
                count = body_view.read(NAMES).count
                if head.length != 128 + 320 * count:
                    raise Damaged("names record at %d: %d bytes hold no %d changes" % (off, head.length, count))
                self.change_names(body_view, 64, count)
            else:
                self.apply(head, body_view.read(COMMIT), off)
                count = self.commits[-1][1].name_count
                if 320 * count > head.length - 192:
                    raise Damaged("commit %d: it has no room for %d changes of names" % (head.commit, count))
                self.change_names(body_view, body_view.len - 320 * count, count)
            off += head.length
        self.log_end_off = off
        if self.rows - len(self.deleted) != self.live_count:
            raise Damaged("commit %d: %d rows are live, said to be %d" %
                          (self.commit, self.rows - len(self.deleted), self.live_count))

    def change_names(self, view, at, count):
        for number in range(count):
            operation, raw = view.read(NAME_CHANGE, at + 320 * number)
            snapshot = View(raw, 0, 256, "snapshot").read(SNAPSHOT)
            what = "commit %d: change %d of names" % (self.commit, number)
            if operation not in (CREATE, REMOVE, RECEIVED) or operation == RECEIVED and snapshot.name_len:
                raise Damaged("%s is none" % what)
            if operation != REMOVE and snapshot.commit != self.commit:
                raise Damaged("%s is of commit %d" % (what, snapshot.commit))
            if operation == RECEIVED:
                self.received = snapshot.origin_id, snapshot.origin_commit, snapshot.commit
                continue
            name = name_of(snapshot, what)
            if (operation == CREATE) == (name in self.snapshots):
                raise Damaged("%s: %r is %s" % (what, name, "there" if operation == CREATE else "not there"))
            if operation == REMOVE:
                del self.snapshots[name]
                continue
            if (snapshot.commit_time_us, snapshot.row_count, snapshot.live_count) != (
                    self.time_us, self.rows, self.live_count):
                raise Damaged("%s: its time or counts are not those of the state" % what)
            self.snapshots[name] = snapshot

    def apply(self, head, body, off):
        def block(name):
            at, length, check = (getattr(body, "%s_%s" % (name, what)) for what in ("off", "len", "check"))
            if at % 64 or (length and at < 8192):
                raise Damaged("commit %d: its %s cannot lie at %d" % (head.commit, name, at))
            view = self.view(at, length, "%s of commit %d" % (name, head.commit))
            if length:
                self.blocks.append((view, check))
            return view

        vectors, ids, metadata, events = block("vectors"), block("ids"), block("metadata"), block("events")
        if body.row_base != self.rows or body.row_base + body.row_count >= NO_ROW:
            raise Damaged("commit %d: its rows begin at %d, not %d" % (head.commit, body.row_base, self.rows))
        stride = self.stride if body.row_count else 0
        if body.stride != stride or vectors.len != body.row_count * stride or events.len != body.event_count * 8:
            raise Damaged("commit %d: its blocks do not fit its rows and events" % head.commit)
        self.rows += body.row_count
        if body.row_count:
            texts = Texts(metadata, body.row_count) if metadata.len else None
            ids = Ids(ids, body.row_count)
            self.runs.append(Run(body.row_base, self.rows, vectors, stride, ids, texts))
        for i in range(body.event_count):
            row, kind = events.numbers("I", 8 * i, 2)
            deletes = kind in (1, 3)
            if row >= self.rows or not 1 <= kind <= 3 or deletes == (row in self.deleted):
                raise Damaged("commit %d: event %d (row %d, kind %d) cannot be" % (head.commit, i, row, kind))
            (self.deleted.add if deletes else self.deleted.remove)(row)
        if self.rows - len(self.deleted) != body.live_count:
            raise Damaged("commit %d: %d rows are live, said to be %d" %
                          (head.commit, self.rows - len(self.deleted), body.live_count))
        self.commit, self.time_us, self.live_count = head.commit, head.time_us, body.live_count
        self.commits.append((head, body, off))

    # -- the past, manifest.md

    def past_records(self):
        """(head, offset) of the records of the extents, up to the one that the superblock's log begins with."""
        last, chain = None, None
        for extent in self.extents:
            off, end = extent.off, extent.off + extent.len
            while off < end and off != self.super.log_off:
                if last is None:
                    last, chain = extent.first_commit - 1, self.view(off, end - off, "log record").read(RECORD).prev_check
                head = self.record_at(off, end, chain, last)
                if head is None:
                    raise Damaged("log record at %d is not valid" % off)
                last, chain = head.commit, head.check
                yield head, off
                if head.kind == 2:
                    break
                off += head.length
        if last is not None and (last, chain) != (self.manifest.commit, self.super.log_check):
            raise Damaged("the log extents do not lead to where the log goes on")

    def all_commits(self):
        """(head, body) of every commit that is recorded, oldest first."""
        past = ((head, self.view(off + 64, 128, "commit").read(COMMIT)) for head, off in self.past_records()
                if head.kind == 1)
        return [*past, *((head, body) for head, body, _ in self.commits)]

    def kept_states(self):
        segments = [s for s in self.segments if s.type == STATES and s.version == 1]
        if len(segments) > 1:
            raise Damaged("manifest: there are %d states segments" % len(segments))
        return States(self.view(segments[0].off, segments[0].len, "states")) if segments else None

    def state_at(self, commit):
        """Row count and deleted rows of an earlier state, and when it was made, or None where no record tells."""
        if not 1 <= commit <= self.commit:
            raise NotKept("there is no commit %d: the newest is %d" % (commit, self.commit))
        wanted = max(commit, self.base_commit)
        rows, first_event, time_us = self.rows, {}, self.extents[0].time_us if self.extents else self.manifest.commit_time_us
        commits = self.all_commits()
        for head, body in commits:
            if head.commit <= wanted:
                time_us = head.time_us
                continue
            rows = body.row_base if head.commit == wanted + 1 else rows
            events = self.view(body.events_off, body.event_count * 8, "events of commit %d" % head.commit)
            for i in range(body.event_count):
                row, kind = events.numbers("I", 8 * i, 2)
                first_event.setdefault(row, kind)
        deleted = {row for row in self.deleted if row < rows and row not in first_event}
        deleted |= {row for row, kind in first_event.items() if kind == 2 and row < rows}
        return (rows, deleted, time_us) if commit == wanted else self.kept_state(commit, rows, deleted)

    def kept_state(self, commit, rows, deleted):
        """From the state at the compaction's commit."""
        kept = self.kept_states()
        if kept is None or commit not in [state.commit for state in kept.states]:
            raise NotKept("commit %d is not kept any more" % commit)
        for state, flips in reversed(list(zip(kept.states, kept.flips))):
            if state.row_count > rows or any(row >= state.row_count for row in flips):
                raise Damaged("states: commit %d has rows that are not there" % state.commit)
            rows = state.row_count
            deleted = {row for row in deleted if row < rows} ^ set(flips)
            if state.commit == commit:
                return rows, deleted, state.time_us

    def go_back(self, commit):
        """From now on this is the file as it was after an earlier commit; names stay those of now."""
        self.rows, self.deleted, self.time_us = self.state_at(commit)
        self.commit, self.live_count = commit, self.rows - len(self.deleted)

    # -- rows

    def live_rows(self):
        """(row, run) of each live row, in row order."""
        for run in self.runs:
            for row in range(run.begin, min(run.end, self.rows)):
                if row not in self.deleted:
                    yield row, run

    def vector(self, row, run):
        return run.vectors.numbers(self.element, (row - run.begin) * run.stride, self.manifest.dim)

    def id(self, row, run):
        return run.ids.get(row - run.begin)

    def metadata(self, row, run):
        return run.texts.get(row - run.begin) if run.texts else None
