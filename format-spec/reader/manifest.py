"""manifest.py: the state after one commit: parts, segments, log extents, names (manifest.md)."""
# SPDX-License-Identifier: BSD-2-Clause
import re
from storage import Layout, support
from superblock import SLOTS_END

MANIFEST = Layout("4sI4Q3I2H2Q2H3I" + "QII" * 4 + "QI2H16s2Q48xQ", """magic header_len length
    generation commit time_us rows live_count dim metric type created_us horizon_commit
    index codes degree ef_construction alpha_milli parts_off parts_count parts_size
    segments_off segments_count segments_size extents_off extents_count extents_size
    snapshots_off snapshots_count snapshots_size recent_seconds recent_rows quiet_begin quiet_end
    origin_id origin_commit received_commit check""")
SNAPSHOT = Layout("4Q16s2IH198s", """commit time_us created_us origin_commit origin_id rows
    live_count name_len name""")
TABLES = {
    "parts": Layout("2H5IQ32x", "kind version flags begin end segment_first segment_count commit"),
    "segments": Layout("2HI2Q3I4xQ16x", "type version flags off size begin end stride check"),
    "extents": Layout("4Q", "off size first_commit time_us"), "snapshots": SNAPSHOT}
SEGMENTS = dict(enumerate("""vector code graph id id-hash metadata tombstone history calibration
                             ivf time states""".split(), 1))
ELEMENTS = {1: "f", 2: "e", 3: "b", 4: "B"}  # f32, f16, i8, u8
PARTS, METRIC_LAST, HYBRID, CODES_LAST, OPTIONAL = (1, 2, 3), 3, 5, 5, 1
NO_ROW, PARTS_MOST, NAMES_MOST = 2**32 - 1, 4096, 16384

def text_of(data, most, span):  # an id or a name: UTF-8 without control characters
    text = data.decode(errors="replace")
    span.require(1 <= len(data) <= most and text.encode() == data
                 and not re.search("[\0-\x1f\x7f-\x9f]", text), f"{data} is no id and no name")
    return text

def read_manifest(file, slot):  # the header, with lists in place of its tables
    span = file.part(slot.manifest_off, slot.manifest_len, "manifest")
    m, require = span.parse(MANIFEST), span.require
    require(m.magic == b"VMAN" and m.header_len >= MANIFEST.size and m.header_len % 64 == 0
            and m.length == span.size and span.has_check(m.check, 248), "it is not whole")
    support(1 <= m.metric <= METRIC_LAST and m.type in ELEMENTS and m.index <= HYBRID
            and m.codes <= CODES_LAST, "a metric, type, index or codes that are not known")
    require(1 <= m.dim <= 65535 and m.live_count <= m.rows < NO_ROW and 1 <= m.commit
            and (m.index == HYBRID) == ((m.recent_seconds > 0) != (m.recent_rows > 0))
            and m.recent_seconds <= 31536000000 and max(m.quiet_begin, m.quiet_end) < 1440
            and m.generation <= slot.generation, "a number of the header is out of its range")
    m.span, m.vector = span, Layout(f"{m.dim}{ELEMENTS[m.type]}")
    unit = 4 if m.type < 3 and m.vector.size < 512 else 64
    m.stride = -(-m.vector.size // unit) * unit
    for table, layout in TABLES.items():
        off, count, size = (getattr(m, f"{table}_{field}") for field in ("off", "count", "size"))
        require(size >= layout.size and size % 8 == 0 and off >= m.header_len, table, 88)
        setattr(m, table, layout.array(span.read(off, count * size), size))
    read_segments(file, slot, m)
    require(m.extents and m.extents[-1].off <= slot.log_off and slot.log_end
            == m.extents[-1].off + m.extents[-1].size and all(
                file.part(e.off, e.size, "log extent").off >= SLOTS_END and e.size >= 64
                and e.first_commit >= 1 for e in m.extents), "extents are wrong", m.extents_off)
    for s in m.snapshots:
        s.name = text_of(s.name[:s.name_len], 198, span)
    m.names = {s.name: s for s in m.snapshots}
    require(len(m.snapshots) <= NAMES_MOST and list(m.names) == sorted(m.names, key=str.encode)
            and all(1 <= s.commit <= m.commit and s.live_count <= s.rows <= m.rows
                    and s.name_len <= 198 for s in m.snapshots), "snapshots are wrong", 136)
    return m

def read_segments(file, slot, m):  # parts get their segments by name, m.own the others
    end, row, free, require = SLOTS_END, 0, list(m.segments), m.span.require
    for s in m.segments:
        s.name = SEGMENTS.get(s.type) if s.version == 1 else None
        support(s.name or s.flags & OPTIONAL, f"an unknown type of segment at {s.off}")
        s.span = file.part(s.off, s.size, s.name or "unknown segment")
    for s in sorted(m.segments, key=lambda s: (s.off, s.size)):
        s.span.require(end <= s.off <= slot.file_end - s.size, "overlaps, or ends too late")
        end = s.off + s.size
    for part in m.parts:
        own = slice(part.segment_first, part.segment_first + part.segment_count)
        runs = part.runs = {s.name: s for s in free[own] if s and s.name}
        support(part.version == 1 and part.kind in PARTS, f"an unknown kind of part at row {row}")
        require(part.begin == row < part.end and {"vector", "id", "id-hash"} <= set(runs)
                and all((s.begin, s.end) == (row, part.end) for s in runs.values())
                and (runs["vector"].stride, runs["vector"].size)
                == (m.stride, m.stride * (part.end - row)), f"the part of row {row}", m.parts_off)
        row, free[own] = part.end, [None] * len(free[own])
    m.own = [s for s in free if s and s.name]
    require(row == m.rows and len(m.parts) <= PARTS_MOST and not any(s.end for s in m.own)
            and sorted(s.name for s in m.own if s.name != "history") in ([], ["states"]),
            "the rows of parts, or segments of no part", 88)
