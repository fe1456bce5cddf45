#!/usr/bin/env python3
"""damage.py: damaged and hostile variants of the worked example, each with what must be said of it.

usage: damage.py SOURCE_DIR TO_DIR

Writes TO_DIR/NAME.vdb for each case and a line `NAME<tab>STATUS<tab>WORDS` to standard output:
reading the rows ends with that exit status and, where WORDS is not empty, a message that has them
in it. Where a case is not about a checksum, the checksums are made right again, so that the rule
behind them is what must catch it.

SPDX-License-Identifier: BSD-2-Clause
"""

import os
import struct
import sys

sys.dont_write_bytecode = True
SOURCE, TO = sys.argv[1:]
sys.path.insert(0, os.path.join(SOURCE, "tests", "spec"))
import make_examples as spec  # noqa: E402

spec.read_layouts(os.path.join(SOURCE, "format-spec"))
GOOD = spec.make()
MANIFEST, RECORD, NAMES, LINK, LAST = 9 * 65536, 655616, 656192, 656960, 11 * 65536
STATES = 8 * 65536 + 4096


def field(name, wanted):
    return next((offset, form) for offset, _, form, called in spec.layouts[name] if called == wanted)


class File:
    """The example, to be changed field by field."""

    def __init__(self):
        self.data = bytearray(GOOD)
        self.data[4096:8192] = bytes(4096)  # without the older state, which would stand in

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

    def superblock(self, **values):
        for wanted, value in values.items():
            self.put(0, "disk_superblock", wanted, value)
        self.put(0, "disk_superblock", "check", spec.xxh3(bytes(self.data[:504])))
        return self

    def manifest(self, at=0, name="disk_manifest", /, **values):
        for wanted, value in values.items():
            self.put(MANIFEST + at, name, wanted, value)
        self.seal(MANIFEST, "disk_manifest", self.get(MANIFEST, "disk_manifest", "length"))
        return self

    def part(self, **values):
        return self.manifest(256, "disk_part", **values)

    def segment(self, number, **values):
        return self.manifest(320 + 64 * number, "disk_segment", **values)

    def table(self, wanted, **values):
        for inner, value in values.items():
            offset = field("disk_manifest", wanted)[0]
            self.put(MANIFEST + offset, "disk_table", inner, value)
        return self.manifest()

    def commit(self, at=RECORD, **values):
        """Values of the body; `vectors__off` is a field of a block."""
        for wanted, value in values.items():
            outer, _, inner = wanted.partition("__")
            if inner:
                self.put(at + 64 + field("disk_commit", outer)[0], "disk_block", inner, value)
            else:
                self.put(at + 64, "disk_commit", wanted, value)
        self.seal(at, "disk_record", self.get(at, "disk_record", "length"))
        return self

    def event(self, **values):
        """The event of the last commit, which restores row 1."""
        for wanted, value in values.items():
            self.put(LAST + 192, "disk_event", wanted, value)
        self.put(LAST + 64 + field("disk_commit", "events")[0], "disk_block", "check",
                 spec.xxh3(bytes(self.data[LAST + 192:LAST + 200])))
        return self.commit(LAST)

    def link(self, **values):
        for wanted, value in values.items():
            self.put(LINK + 64, "disk_link", wanted, value)
        self.seal(LINK, "disk_record", 128)
        return self

    def name(self, number, at=NAMES, first=128, operation=None, **values):
        """A change of names: of the record of two, or at the end of the last commit."""
        change = at + first + 320 * number
        if operation is not None:
            self.put(change, "disk_name_change", "operation", operation)
        for wanted, value in values.items():
            self.put(change + 64, "disk_snapshot", wanted, value)
        self.seal(at, "disk_record", self.get(at, "disk_record", "length"))
        return self

    def last_name(self, number, **values):
        return self.name(number, LAST, 256, **values)

    def names(self, **values):
        self.put(NAMES + 64, "disk_names", "count", values["count"])
        return self.name(0)

    def snapshot(self, number, **values):
        at = self.get(MANIFEST + field("disk_manifest", "snapshots")[0], "disk_table", "off")
        return self.manifest(at + 256 * number, "disk_snapshot", **values)

    def states(self, at=0, name="disk_states_header", /, **values):
        for wanted, value in values.items():
            self.put(STATES + at, name, wanted, value)
        return self.segment(8, check=spec.xxh3(bytes(self.data[STATES:STATES + 132])))

    def flip_row(self, row):
        struct.pack_into("<I", self.data, STATES + 128, row)
        return self.states()

    def cut(self, length):
        del self.data[length:]
        return self

    def flip(self, at):
        self.data[at] ^= 1
        return self


def cases():
    """(name, exit status, words, file); words are the tools', and hold for any reader in sense."""
    yield "sound", 0, "", File()
    yield "empty", 65, "", File().cut(0)
    yield "other-file", 65, "not a vdb", File().superblock(magic=b"\x7fELF\x02\x01\x01\x00")
    yield "text-mode-transfer", 65, "not a vdb", File().superblock(magic=b"\x8fVDB\n\x1a\n\x00")
    yield "version-0.1", 65, "version 0.1", File().superblock(version_minor=1)
    yield "version-0.2", 65, "version 0.2", File().superblock(version_minor=2)
    yield "version-0.8", 65, "version 0.8", File().superblock(version_minor=8)
    yield "version-0.10", 0, "", File().superblock(version_minor=10)
    yield "version-1.9", 65, "version 1.9", File().superblock(version_major=1)
    yield "incompat-bit", 65, "incompat", File().superblock(incompat=1 << 5)
    yield "compat-bit", 0, "", File().superblock(compat=1 << 5)
    yield "ro-compat-bit", 0, "", File().superblock(ro_compat=1 << 5)
    yield "superblock-check", 65, "", File().flip(100)
    yield "superblock-check-itself", 65, "", File().flip(511)
    yield "superblock-length", 65, "", File().superblock(header_len=4096)
    yield "superblock-padding", 0, "", File().flip(512).flip(4095)
    yield "superblock-cut", 65, "", File().cut(511)
    yield "superblock-alone", 65, "", File().cut(512)
    yield "file-cut", 65, "", File().cut(600000)
    yield "manifest-beyond-file", 65, "manifest", File().superblock(manifest_off=1 << 40)
    yield "manifest-wraps-around", 65, "manifest", File().superblock(manifest_off=(1 << 64) - 64)
    yield "manifest-check", 65, "manifest", File().flip(MANIFEST + 60)
    yield "manifest-of-the-future", 65, "generation", File().manifest(generation=99)
    yield "no-dimensions", 65, "dimension", File().manifest(dim=0)
    yield "too-many-dimensions", 65, "dimension", File().manifest(dim=65536)
    yield "unknown-metric", 65, "metric", File().manifest(metric=9)
    yield "unknown-type", 65, "type", File().manifest(type=0)
    yield "rows-without-part", 65, "", File().manifest(row_count=4)
    yield "table-beyond-manifest", 65, "", File().table("segments", count=1 << 30)
    yield "table-entry-size", 65, "", File().table("parts", entry_size=32)
    yield "table-wraps-around", 65, "", File().table("snapshots", off=(1 << 64) - 8)
    yield "part-with-gap", 65, "", File().part(row_begin=1)
    yield "part-kind", 65, "part kind 9", File().part(kind=9)
    yield "part-segments-beyond-table", 65, "", File().part(segment_count=9)
    yield "part-without-vectors", 65, "vector", File().part(segment_first=1, segment_count=6)
    yield "segment-beyond-file", 65, "", File().segment(0, off=1 << 40)
    yield "segment-wraps-around", 65, "", File().segment(0, len=(1 << 64) - 65536)
    yield "segment-unaligned", 65, "", File().segment(3, off=262144 + 8)
    yield "segment-of-other-rows", 65, "", File().segment(3, row_end=2)
    yield "segment-type", 65, "segment type 99", File().segment(7, type=99)
    yield "segment-type-optional", 0, "", File().segment(7, type=99, flags=1)
    yield "segment-of-history-with-rows", 65, "history segment covers rows", File().segment(7, row_end=3)
    yield "segment-of-states-with-rows", 65, "states segment covers rows", File().segment(8, row_end=3)
    yield "snapshot-without-name", 65, "name of snapshot 0", File().snapshot(0, name_len=0)
    yield "snapshot-name-too-long", 65, "name of snapshot 1", File().snapshot(1, name_len=199)
    yield "snapshot-name-with-newline", 65, "name of snapshot 0", File().snapshot(0, name=b"har\nest")
    yield "snapshot-name-not-utf8", 65, "", File().snapshot(0, name=b"h\xffrvest")
    yield "snapshots-in-disorder", 65, "out of order", File().snapshot(0, name=b"zarvest")
    yield "snapshot-twice", 65, "out of order", File().snapshot(1, name=b"harvest")
    yield "snapshot-of-the-future", 65, "commit 6", File().snapshot(0, commit=6)
    yield "snapshot-of-no-commit", 65, "commit 0", File().snapshot(0, commit=0)
    yield "snapshot-live-count", 65, "4 of 3 rows", File().snapshot(0, live_count=4)
    yield "vector-segment-short", 65, "vector", File().segment(0, len=32)
    yield "vector-stride", 65, "", File().segment(0, stride=8)
    yield "tombstones-short", 65, "tombstone", File().segment(6, len=0)
    yield "log-backwards", 65, "", File().superblock(log_end=RECORD - 64)
    yield "log-beyond-file", 65, "", File().superblock(log_end=1 << 40)
    yield "commit-block-beyond-file", 65, "", File().commit(vectors__off=1 << 40)
    yield "commit-block-wraps-around", 65, "", File().commit(ids__off=(1 << 64) - 64)
    yield "commit-row-base", 65, "", File().commit(row_base=7)
    yield "commit-live-count", 65, "", File().commit(live_count=3)
    yield "commit-stride", 65, "", File().commit(stride=0)
    yield "commit-names-beyond-it", 65, "", File().commit(LAST, name_count=3)
    yield "commit-names-wrap-around", 65, "", File().commit(LAST, name_count=0x0ccccccd)
    yield "names-count-too-high", 65, "", File().names(count=3)
    yield "names-count-too-low", 65, "", File().names(count=1)
    yield "names-operation-unknown", 65, "names", File().name(0, operation=9)
    yield "names-operation-none", 65, "names", File().name(0, operation=0)
    yield "names-created-twice", 65, "harvest", File().name(0, name=b"harvest", name_len=7)
    yield "names-removed-unknown", 65, "orchids", File().name(1, name=b"orchids")
    yield "names-empty", 65, "names", File().name(0, name_len=0)
    yield "names-too-long", 65, "names", File().name(0, name_len=199)
    yield "names-with-control-character", 65, "names", File().name(0, name=b"pr\x85ss")
    yield "names-of-another-commit", 65, "names", File().name(0, commit=5)
    yield "names-of-another-time", 65, "names", File().name(0, commit_time_us=5)
    yield "names-of-other-rows", 65, "names", File().name(0, row_count=3)
    yield "names-live-count", 65, "names", File().name(0, live_count=3)
    yield "names-received-with-name", 65, "names", File().last_name(0, name_len=1, name=b"n")
    yield "names-received-at-another-commit", 65, "names", File().last_name(0, commit=6)
    yield "names-created-with-a-commit-twice", 65, "press", File().last_name(1, name=b"press")
    yield "states-none", 65, "states", File().states(state_count=0)
    yield "states-beyond-segment", 65, "states", File().states(state_count=2)
    yield "states-wrap-around", 65, "states", File().states(states_off=(1 << 64) - 64)
    yield "states-flips-beyond-segment", 65, "states", File().states(flip_count=2)
    yield "states-flips-wrap-around", 65, "states", File().states(flip_count=1 << 62)
    yield "states-flips-end", 65, "states", File().states(64, "disk_state", flips_end=2)
    yield "states-flip-of-no-row", 65, "states", File().flip_row(3)
    yield "states-rows-that-are-not-there", 65, "states", File().states(64, "disk_state", row_count=4)
    yield "event-of-no-row", 65, "", File().event(row=77)
    yield "event-kind", 65, "", File().event(kind=4)
    yield "event-restores-live-row", 65, "", File().event(row=2)
    yield "link-backwards", 65, "", File().link(next_off=10 * 65536)
    yield "link-beyond-file", 65, "", File().link(next_len=1 << 40)
    yield "link-extent-cut-off", 65, "", File().cut(11 * 65536)


def main():
    for name, status, words, file in cases():
        with open(os.path.join(TO, name + ".vdb"), "wb") as to:
            to.write(file.data)
        print("%s\t%d\t%s" % (name, status, words))


main()
