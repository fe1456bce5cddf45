#!/usr/bin/env python3
"""damage.py: adds to tests/golden/v0.9/: damaged and hostile variants of the worked example, each
linked to the rule of format-spec/ that it breaks, and others that break none.

usage: damage.py

Writes v0.9/bad/NAME.gz for each case and a line of v0.9/bad.tsv:

    NAME  COMMAND  STATUS  WORDS  RULE

The command ends with that status, and what it says has the words in it; where the status is 0, the
words are the ids that it prints. `get`, `check` and `log` are tools that get the file; `recv` has
it for a stream that is received into no index, `recv base` into one that has the stream's base.
Variants that break no rule, of which every reader gets the example's rows, go to v0.9/good/, with
what they have in v0.9/variants.tsv. Where a case is not about a checksum, the checksums are made right
again, so that the rule behind them is what must catch it.

What is there never changes: a case that is made differently now is an error, and what is new is
added to v0.9/SHA256SUMS.

SPDX-License-Identifier: BSD-2-Clause
"""

import gzip
import hashlib
import math
import os
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from spoil import (END, HUGE, INFINITE, LAST, LINK, LOG, MANIFEST, NAMES, RECORD, SOURCE, STEP, WHOLE, WRAPS,  # noqa: E402
                   File, Stream, field, frames, name_frame, spec, whole_frames)

TO = os.path.join(SOURCE, "tests", "golden", "v0.9")


# ---- the cases ----------------------------------------------------------------------------------

def superblocks():
    yield "empty", "SB-1", "empty", File().cut(0)
    yield "seven-bytes", "SB-1", "not a vdb", File().cut(7)
    yield "other-file", "SB-1", "not a vdb", File().superblock(magic=b"\x7fELF\x02\x01\x01\x00")
    yield "text-mode-transfer", "SB-1", "not a vdb", File().superblock(magic=b"\x8fVDB\n\x1a\n\x00")
    yield "version-0.1", "SB-2", "version 0.1", File().superblock(version_minor=1)
    yield "version-0.2", "SB-2", "version 0.2", File().superblock(version_minor=2)
    yield "version-0.8", "SB-2", "version 0.8", File().superblock(version_minor=8)
    yield "version-99.9", "SB-2", "version 99.9", File().superblock(version_major=99)
    yield "version-of-other-slot", "SB-2", "version 99.9", File().older(version_major=99)
    yield "superblock-check", "SB-3", "checksum", File().flip(100)
    yield "superblock-check-itself", "SB-3", "checksum", File().flip(511)
    yield "superblock-length", "SB-3", "length is 4096", File().superblock(header_len=4096)
    yield "superblock-cut", "SB-3", "cut off", File().cut(511)
    yield "incompat-bit-40", "SB-4", "incompat bit 40", File().superblock(incompat=1 << 40)
    yield "incompat-bits", "SB-4", "incompat bit 41", File().superblock(incompat=5 << 41)
    yield "incompat-bit-63", "SB-4", "incompat bit 63", File().superblock(incompat=1 << 63)
    yield "incompat-bit-of-other-slot", "SB-4", "incompat bit 42", File().older(incompat=1 << 42)
    yield "superblock-alone", "SB-5", "cut off", File().cut(512)
    yield "file-cut", "SB-5", "cut off", File().cut(LAST - 1)
    yield "manifest-beyond-file", "SB-6", "manifest", File().superblock(manifest_off=HUGE)
    yield "manifest-wraps-around", "SB-6", "manifest", File().superblock(manifest_off=WRAPS)
    yield "manifest-too-long", "SB-6", "beyond the end", File().superblock(manifest_len=HUGE)
    yield "manifest-unaligned", "SB-6", "where none can", File().superblock(manifest_off=MANIFEST + 8)
    yield "manifest-among-superblocks", "SB-6", "where none can", File().superblock(manifest_off=4096)
    yield "log-backwards", "SB-7", "log is said", File().superblock(log_end=RECORD - 64)
    yield "log-beyond-file", "SB-7", "log is said", File().superblock(log_end=HUGE)
    yield "log-unaligned", "SB-7", "log is said", File().superblock(log_off=RECORD + 8)
    yield "log-among-superblocks", "SB-7", "log is said", File().superblock(log_off=4096)
    yield "log-without-room", "SB-7", "log is said", File().superblock(log_end=RECORD + 64)
    yield "other-slot-torn", "SB-8", "superblock", File().older().flip(4200)


def manifests():
    yield "manifest-without-magic", "MAN-1", "magic", File().manifest(magic=b"XMAN")
    yield "manifest-short", "MAN-1", "192 bytes", File().superblock(manifest_len=192)
    yield "manifest-header-short", "MAN-2", "header of 192", File().manifest(header_len=192)
    yield "manifest-header-unaligned", "MAN-2", "header of 264", File().manifest(header_len=264)
    yield "manifest-header-beyond-it", "MAN-2", "header of 4096", File().manifest(header_len=4096)
    yield "manifest-length", "MAN-3", "length as 1376", File().manifest(length=1376)
    yield "manifest-check", "MAN-4", "manifest checksum", File().flip(MANIFEST + 60)
    yield "manifest-of-the-future", "MAN-5", "generation 99", File().manifest(generation=99)
    yield "manifest-of-no-commit", "MAN-6", "number is 0", File().manifest(commit=0)
    yield "no-dimensions", "MAN-7", "dimension is 0", File().manifest(dim=0)
    yield "too-many-dimensions", "MAN-7", "dimension is 65536", File().manifest(dim=65536)
    yield "unknown-metric", "MAN-8", "metric 99", File().manifest(metric=99)
    yield "unknown-type", "MAN-8", "type 0", File().manifest(type=0)
    yield "unknown-index", "MAN-8", "index kind 99", File().manifest(index=99)
    yield "unknown-codes", "MAN-8", "codes of kind 99", File().manifest(codes=99)
    yield "too-many-rows", "MAN-9", "rows", File().manifest(row_count=0xffffffff)
    yield "more-live-than-rows", "MAN-9", "4 of 3 rows", File().manifest(live_count=4)
    yield "recent-rows-of-a-graph", "MAN-10", "1 measures", File().manifest(recent_rows=7)
    yield "hybrid-without-measure", "MAN-10", "0 measures", File().manifest(index=5)
    yield "recent-too-long", "MAN-10", "31536000001 seconds", File().manifest(index=5, recent_seconds=31536000001)
    yield "quiet-hours-too-late", "MAN-11", "quiet hours", File().manifest(quiet_end=1440)
    yield "table-entry-size", "MAN-12", "entries of 32 bytes", File().table("parts", entry_size=32)
    yield "table-entry-size-odd", "MAN-12", "entries of 68 bytes", File().table("parts", entry_size=68)
    yield "table-beyond-manifest", "MAN-13", "segment table", File().table("segments", count=1 << 30)
    yield "table-in-header", "MAN-13", "part table", File().table("parts", off=128)
    yield "table-wraps-around", "MAN-13", "snapshot table", File().table("snapshots", off=(1 << 64) - 8)
    yield "too-many-parts", "MAN-14", "4097 parts", many_entries("parts", 4097, 64)
    yield "part-kind", "MAN-15", "part kind 99", File().part(kind=99)
    yield "part-version", "MAN-15", "version 99", File().part(version=99)
    yield "part-with-gap", "MAN-16", "expected it to begin at 0", File().part(row_begin=1)
    yield "part-empty", "MAN-16", "part covers rows 0 to 0", File().part(row_end=0)
    yield "rows-without-part", "MAN-16", "cover 3 of 4", File().manifest(row_count=4)
    yield "part-segments-beyond-table", "MAN-17", "beyond the segment table", File().part(segment_count=10)
    yield "segment-of-other-rows", "MAN-18", "segment covers rows 0 to 2", File().segment("id", row_end=2)
    yield "segment-twice", "MAN-18", "two id segments", File().segment("metadata", type=4)
    yield "part-without-vectors", "MAN-19", "no vector segment", File().part(segment_first=1, segment_count=6)
    yield "part-without-ids", "MAN-19", "no id segment", File().segment("id", type=999, flags=1)
    yield "part-without-id-hash", "MAN-19", "no id-hash segment", File().segment("id_hash", type=999, flags=1)
    yield "part-without-graph", "MAN-19", "no graph segment", File().segment("graph", type=999, flags=1)
    yield "part-without-lists", "MAN-19", "no ivf segment", File("ivf").segment("ivf", type=999, flags=1)
    yield "segment-type", "MAN-20", "segment type 999", File().segment("history", type=999)
    yield "segment-version", "MAN-20", "segment type 4 version 99", File().segment("id", version=99)
    yield "segment-beyond-file", "MAN-21", "beyond the end", File().segment("vector", off=HUGE)
    yield "segment-wraps-around", "MAN-21", "beyond the end", File().segment("vector", len=(1 << 64) - STEP)
    yield "segment-unaligned", "MAN-21", "not aligned", File().segment("id", off=4 * STEP + 8)
    yield "segment-among-superblocks", "MAN-21", "superblocks", File().segment("id", off=4096)
    yield "segment-rows-backwards", "MAN-22", "segment covers rows 3 to 2", File().segment("history", row_begin=3, row_end=2)
    yield "segment-rows-beyond", "MAN-22", "segment covers rows 0 to 4", File().segment("metadata", row_end=4)
    yield "segment-of-history-with-rows", "MAN-22", "history segment covers rows", File().segment("history", row_end=3)
    yield "segment-of-states-with-rows", "MAN-22", "states segment covers rows", File().segment("states", row_end=3)
    yield "segments-longer-than-the-file", "MAN-23", "overlap", File().segment("graph", len=8 * STEP).segment(
        "id", len=7 * STEP)
    yield "no-log-extent", "MAN-24", "no log extent", File().table("log_extents", count=0)
    yield "log-extent-beyond-file", "MAN-24", "log extent goes beyond", File().extent(off=HUGE)
    yield "log-extent-wraps-around", "MAN-24", "log extent goes beyond", File().extent(len=WRAPS)
    yield "log-extent-unaligned", "MAN-24", "cannot begin", File().extent(off=LOG + 8)
    yield "log-extent-among-superblocks", "MAN-24", "at 4096 cannot begin", File().extent(off=4096)
    yield "log-extent-short", "MAN-24", "of 32 bytes", File().extent(len=32)
    yield "log-extent-of-no-commit", "MAN-24", "with commit 0", File().extent(first_commit=0)
    yield "too-many-snapshots", "MAN-25", "16385 snapshots", many_entries("snapshots", 16385, 256)
    yield "snapshot-without-name", "MAN-26", "name of snapshot 0", File().snapshot(0, name_len=0)
    yield "snapshot-name-too-long", "MAN-26", "name of snapshot 1", File().snapshot(1, name_len=199)
    yield "snapshot-name-with-newline", "MAN-26", "name of snapshot 0", File().snapshot(0, name=b"har\nest")
    yield "snapshot-name-not-utf8", "MAN-26", "name of snapshot 0", File().snapshot(0, name=b"h\xffrvest")
    yield "snapshots-in-disorder", "MAN-27", "out of order", File().snapshot(0, name=b"zarvest")
    yield "snapshot-twice", "MAN-27", "out of order", File().snapshot(1, name=b"harvest")
    yield "snapshot-of-the-future", "MAN-28", "commit 6", File().snapshot(0, commit=6)
    yield "snapshot-of-no-commit", "MAN-28", "commit 0", File().snapshot(0, commit=0)
    yield "snapshot-live-count", "MAN-28", "4 of 3 rows", File().snapshot(0, live_count=4)
    yield "snapshot-row-count", "MAN-28", "2 of 4 rows", File().snapshot(0, row_count=4)
    yield "past-of-another-commit", "MAN-29", "record after commit 3 is damaged", File().extent(first_commit=4), "get --at 4"
    yield "past-without-next-extent", "MAN-30", "where the manifest has no extent", one_extent_too_few(), "get --at 4"
    yield "past-of-another-chain", "MAN-31", "ends with commit 5", File().superblock(log_check=7), "get --at 4"
    yield "segment-check", "MAN-32", "checksum", File().flip(2 * STEP + 140), "check --deep"
    yield "snapshot-not-kept", "MAN-33", "which is not kept", File().snapshot(0, commit=2), "check"
    yield "snapshot-of-another-time", "MAN-33", "is not what that state is", File().snapshot(0, commit_time_us=5), "check"
    yield "horizon", "MAN-34", "horizon", File().manifest(horizon_commit=4), "check"
    yield "two-states-segments", "MAN-35", "two states segments", File().segment("history", type=12, off=8 * STEP + 4096, len=132), "check"


def many_entries(wanted, count, size):
    """A table of that many entries, all zero, behind the others."""
    file = File()
    length = file.get(0, "disk_superblock", "manifest_len")
    at = len(file.data)
    file.data += file.data[MANIFEST:MANIFEST + length] + bytes(count * size)
    length += count * size
    file.superblock(manifest_off=at, manifest_len=length, file_end=len(file.data))
    for inner, value in (("off", length - count * size), ("count", count)):
        file.put(at + field("disk_manifest", wanted)[0], "disk_table", inner, value)
    file.put(at, "disk_manifest", "length", length)
    file.seal(at, "disk_manifest", length)
    return file


def one_extent_too_few():
    """Commit 5 lies behind a link, and the manifest does not tell of its extent."""
    file = File()
    fifth, first = bytes(file.data[LOG:RECORD]), spec.xxh3(spec.FILE_ID)
    file.set(LOG, bytes(4096)).set(LAST, bytes(4096)).set(LAST, fifth)
    file.set(LOG, spec.link_of(LOG, first, 4, spec.START + 5 * spec.MINUTE, LAST, 4096))
    file.record(LAST, prev_check=file.get(LOG, "disk_record", "check")).commit(LAST, events__off=LAST + 192)
    return file.superblock(log_off=LAST + 256, log_end=END, file_end=END, log_check=file.get(LAST, "disk_record", "check"))


def logs():
    """Of the log's end, words are the ids of the rows up to there."""
    five, six = "apple plum", "plum apple"
    yield "log-ends-without-room", "LOG-1", six, File().cut(END).set(LAST, bytes(512)), "get", 0
    yield "log-ends-by-magic", "LOG-2", five, File().record(magic=b"VRES"), "get", 0
    yield "log-ends-by-chain", "LOG-2", five, File().record(prev_check=1), "get", 0
    yield "log-ends-by-length", "LOG-3", five, File().record().set(RECORD + 8, struct.pack("<Q", HUGE)), "get", 0
    yield "log-ends-by-length-unaligned", "LOG-3", five, File().set(RECORD + 8, struct.pack("<Q", 568)), "get", 0
    yield "log-ends-by-length-0", "LOG-3", five, File().set(RECORD + 8, struct.pack("<Q", 0)), "get", 0
    yield "log-ends-by-check", "LOG-4", six, File().flip(LAST + 70), "get", 0
    yield "record-kind", "LOG-5", "record of kind 999", File().unknown_record(kind=999)
    yield "record-kind-0", "LOG-5", "record of kind 0", File().unknown_record(kind=0)
    yield "record-version", "LOG-5", "version 99", File().unknown_record(kind=1, version=99)
    yield "commit-too-short", "LOG-6", "does not lie", File().record(length=128)
    yield "link-too-short", "LOG-6", "does not lie", File().record(LINK, length=64)
    yield "names-too-short", "LOG-6", "does not lie", File().record(NAMES, length=64)
    yield "record-without-room-for-a-link", "LOG-7", "does not lie", File().set(LAST, bytes(64)).superblock(
        log_end=LINK + 128).record(LINK, kind=3).set(LINK + 64, bytes(64)).record(LINK)
    yield "optional-record-without-room-for-a-link", "LOG-7", "does not lie", File().unknown_record(kind=0xfff1, length=4096 - 896 - 64)
    yield "commit-number", "LOG-8", "does not lie", File().record(commit=7)
    yield "commit-number-again", "LOG-8", "does not lie", File().record(commit=5)
    yield "optional-record-number", "LOG-8", "does not lie", File().unknown_record(kind=0xfff1, commit=8)
    yield "commit-time", "LOG-9", "older", File().record(time_us=spec.START)
    yield "commit-row-base", "LOG-10", "adds rows from 7", File().commit(row_base=7)
    yield "commit-too-many-rows", "LOG-10", "does not lie", File().commit(LAST, row_base=0xffffffff)
    yield "commit-block-beyond-file", "LOG-11", "does not lie", File().commit(vectors__off=HUGE)
    yield "commit-block-wraps-around", "LOG-11", "does not lie", File().commit(ids__off=WRAPS)
    yield "commit-block-unaligned", "LOG-11", "does not lie", File().commit(metadata__off=RECORD + 200)
    yield "commit-block-among-superblocks", "LOG-11", "does not lie", File().commit(events__off=4096)
    yield "commit-stride", "LOG-12", "does not lie", File().commit(stride=0)
    yield "commit-vectors-short", "LOG-12", "does not lie", File().commit(vectors__len=8)
    yield "commit-events-short", "LOG-12", "does not lie", File().commit(event_count=2)
    yield "commit-ids-of-other-rows", "LOG-13", "rows", File().block("ids", 0, struct.pack("<I", 2))
    yield "commit-ids-beyond-block", "LOG-13", "bases", File().block("ids", 8, struct.pack("<Q", HUGE))
    yield "commit-metadata-short", "LOG-13", "no header", File().commit(metadata__len=16)
    yield "commit-blocks-overlap", "LOG-14", "overlap", overlapping()
    yield "commit-names-beyond-it", "LOG-15", "does not lie", File().commit(LAST, name_count=3)
    yield "commit-names-wrap-around", "LOG-15", "does not lie", File().commit(LAST, name_count=0x0ccccccd)
    yield "event-of-no-row", "LOG-16", "row 77", File().event(row=77)
    yield "event-kind", "LOG-16", "kind 99", File().event(kind=99)
    yield "event-kind-0", "LOG-16", "kind 0", File().event(kind=0)
    yield "event-restores-live-row", "LOG-17", "live already", File().event(row=2)
    yield "event-deletes-deleted-row", "LOG-17", "deleted already", File().event(kind=1)
    yield "commit-live-count", "LOG-18", "3 rows are live", File().commit(live_count=3)
    yield "names-count-too-high", "LOG-19", "does not lie", File().names(count=3)
    yield "names-count-too-low", "LOG-19", "does not lie", File().names(count=1)
    yield "names-operation-unknown", "LOG-20", "names", File().name(0, operation=99)
    yield "names-operation-none", "LOG-20", "names", File().name(0, operation=0)
    yield "names-empty", "LOG-20", "names", File().name(0, name_len=0)
    yield "names-too-long", "LOG-20", "names", File().name(0, name_len=199)
    yield "names-with-control-character", "LOG-20", "names", File().name(0, name=b"pr\x85ss")
    yield "names-received-with-name", "LOG-20", "names", File().last_name(0, name_len=1, name=b"n")
    yield "names-of-another-commit", "LOG-21", "names", File().name(0, commit=5)
    yield "names-of-another-time", "LOG-21", "names", File().name(0, commit_time_us=5)
    yield "names-of-other-rows", "LOG-21", "names", File().name(0, row_count=3)
    yield "names-live-count", "LOG-21", "names", File().name(0, live_count=3)
    yield "names-received-at-another-commit", "LOG-21", "names", File().last_name(0, commit=6)
    yield "names-created-twice", "LOG-22", "harvest", File().name(0, name=b"harvest", name_len=7)
    yield "names-removed-unknown", "LOG-22", "orchids", File().name(1, name=b"orchids")
    yield "names-created-with-a-commit-twice", "LOG-22", "press", File().last_name(1, name=b"press")
    yield "link-backwards", "LOG-23", "does not lie", File().link(next_off=LOG)
    yield "link-to-itself", "LOG-23", "does not lie", File().link(next_off=LINK)
    yield "link-beyond-file", "LOG-23", "does not lie", File().link(next_len=HUGE)
    yield "link-wraps-around", "LOG-23", "does not lie", File().link(next_off=WRAPS, next_len=128)
    yield "link-unaligned", "LOG-23", "does not lie", File().link(next_off=LAST + 8)
    yield "link-length-unaligned", "LOG-23", "does not lie", File().link(next_len=4090)
    yield "link-to-no-room", "LOG-23", "does not lie", File().link(next_len=64)
    yield "link-extent-cut-off", "LOG-23", "does not lie", File().cut(LAST)
    yield "past-event-check", "LOG-24", "checksum", File().set(LOG + 192, b"\x02").record(LOG).past(), "get --at 4"
    yield "past-event-of-no-row", "LOG-24", "names row 77", File().past_event(row=77), "get --at 4"
    yield "past-event-kind", "LOG-24", "kind 99", File().past_event(kind=99), "get --at 4"
    yield "past-rows-beyond", "LOG-25", "adds 0 rows from 9", File().commit(LOG, row_base=9).past(), "get --at 4"
    yield "block-check", "LOG-26", "checksum", File().commit(vectors__check=7), "check"
    yield "past-commit-time", "LOG-27", "does not go on", File().record(LOG, time_us=spec.START).past(), "check"
    yield "past-live-count", "LOG-27", "live", File().commit(LOG, live_count=1).past(), "check --deep"
    yield "live-id-twice", "LOG-28", "leads to row", File().block("ids", 64 + 8 + 2, b"plumb"[:5]).block(
        "ids", 74, b"plum\x2e").block("ids", 72, struct.pack("<H", 4)).block("ids", 32, struct.pack("<Q", 4)), "check --deep"
    yield "log-broken", "LOG-29", "a later one is whole", File().flip(RECORD + 80), "check"


def overlapping():
    """The last commit takes all of the file for its events, again and again."""
    file = File()
    count = END // 8
    return file.commit(LAST, events__off=8192, events__len=8 * (count - 1024), event_count=count - 1024)


def rows():
    yield "vector-stride", "VEC-1", "stride of 8", File().segment("vector", stride=8)
    yield "commit-other-stride", "VEC-1", "stride 32", File().commit(stride=32, vectors__len=32)
    yield "vector-segment-short", "VEC-2", "32 bytes for 3 rows", File().segment("vector", len=32)
    yield "vector-infinite", "VEC-3", "not finite", File().bytes("vector", 16, INFINITE), "check --deep"
    yield "vector-of-zeros", "VEC-4", "zero under cosine", File("levels").bytes("vector", 16, bytes(16)).manifest(metric=2), "check --deep"
    yield "vector-padding", "VEC-5", "padding behind a vector", padded(), "check --deep"
    yield "ids-short", "ID-1", "no header", File().segment("id", len=63)
    yield "ids-of-other-rows", "ID-1", "4 rows, not 3", File().head("id", row_count=4)
    yield "ids-bases-beyond", "ID-2", "bases", File().head("id", bases_off=HUGE)
    yield "ids-bases-unaligned", "ID-2", "bases", File().head("id", bases_off=65)
    yield "ids-ends-beyond", "ID-2", "ends", File().head("id", ends_off=WRAPS)
    yield "ids-ends-unaligned", "ID-2", "ends", File().head("id", ends_off=73)
    yield "ids-bytes-beyond", "ID-2", "bytes", File().head("id", bytes_len=14)
    yield "id-backwards", "ID-3", "row 1 has impossible bounds", File().array("id", "ends_off", 2, b"\x04\x00")
    yield "id-beyond-bytes", "ID-3", "row 2 has impossible bounds", File().array("id", "ends_off", 4, b"\x0e\x00")
    yield "id-base-wraps-around", "ID-3", "impossible bounds", File().array("id", "bases_off", 0, b"\xff" * 8)
    yield "id-empty", "ID-3", "row 1 has impossible bounds", File().array("id", "ends_off", 2, b"\x05\x00")
    yield "id-not-utf8", "ID-4", "row 1 is not valid", File().array("id", "bytes_off", 6, b"\xff")
    yield "id-with-control-character", "ID-4", "row 1 is not valid", File().array("id", "bytes_off", 6, b"\n")
    yield "id-surrogate", "ID-4", "row 1 is not valid", File().array("id", "bytes_off", 6, b"\xed\xa0\x80")
    yield "ids-with-gap", "ID-5", "belong to no id", File().segment("id", len=92).head("id", bytes_len=14), "check --deep"
    yield "id-hash-short", "ID-6", "no header", File().segment("id_hash", len=32)
    yield "id-hash-of-other-rows", "ID-6", "2 entries for 3", File().head("id_hash", entry_count=2)
    yield "id-hash-too-many-buckets", "ID-7", "31 bucket bits", File().head("id_hash", bucket_bits=31)
    yield "id-hash-buckets-beyond", "ID-8", "buckets", File().head("id_hash", bucket_bits=30)
    yield "id-hash-buckets-unaligned", "ID-8", "buckets", File().head("id_hash", buckets_off=65)
    yield "id-hash-entries-beyond", "ID-8", "entries", File().head("id_hash", entries_off=HUGE)
    yield "id-hash-entries-unaligned", "ID-8", "entries", File().head("id_hash", entries_off=68)
    yield "id-hash-bucket-backwards", "ID-9", "bucket 0 has", File().array("id_hash", "buckets_off", 0, b"\x04"), "get pear"
    yield "id-hash-bucket-beyond", "ID-9", "bucket 0 has", File().array("id_hash", "buckets_off", 4, b"\x04"), "get pear"
    yield "id-hash-entry-of-no-row", "ID-9", "row 9 of 3", File().array("id_hash", "entries_off", 4, b"\x09"), "get pear"
    yield "id-hash-bucket-with-gap", "ID-10", "does not follow on", File().array("id_hash", "buckets_off", 0, b"\x01"), "check --deep"
    yield "id-hash-in-disorder", "ID-10", "out of order", swapped_entries(), "check --deep"
    yield "id-hash-tag", "ID-11", "misplaced", File().array("id_hash", "entries_off", 0, b"\x0e"), "check --deep"
    yield "metadata-short", "META-1", "no header", File().segment("metadata", len=63)
    yield "metadata-of-other-rows", "META-1", "4 rows, not 3", File().head("metadata", row_count=4)
    yield "metadata-table-beyond", "META-2", "table of", File().head("metadata", block_count=0x7fffffff)
    yield "metadata-table-unaligned", "META-2", "table of", File().head("metadata", blocks_off=68)
    yield "metadata-data-beyond", "META-2", "the data at", File().head("metadata", data_len=HUGE)
    yield "metadata-without-blocks", "META-2", "3 items in 0 blocks", File().head("metadata", block_count=0)
    yield "metadata-block-without-row", "META-3", "does not hold row 1", metadata_block(first=2)
    yield "metadata-block-of-no-rows", "META-3", "holds no items", metadata_block(first=3)
    yield "metadata-block-too-long", "META-4", "impossible bounds", metadata_block(raw_len=16777216 + 16384 + 4)
    yield "metadata-block-of-0", "META-4", "impossible bounds", metadata_block(raw_len=0)
    yield "metadata-block-beyond", "META-4", "does not begin where", metadata_block(off=1)
    yield "metadata-block-longer-than-data", "META-4", "impossible bounds", metadata_block(packed_len=57)
    yield "metadata-packing", "META-5", "does not unpack", metadata_block(packing=99)
    yield "metadata-not-lz4", "META-5", "does not unpack", metadata_block(packing=1, raw_len=4096)
    yield "metadata-stored-length", "META-5", "does not unpack", metadata_block(raw_len=55)
    yield "metadata-text-beyond", "META-6", "impossible length", File().array("metadata", "data_off", 0, b"\xff")
    yield "metadata-text-wraps-around", "META-6", "impossible length", File().array("metadata", "data_off", 0, b"\xff" * 4)
    yield "metadata-not-utf8", "META-7", "not valid text", File().array("metadata", "data_off", 27, b"\xff")
    yield "metadata-with-nul", "META-7", "not valid text", File().array("metadata", "data_off", 27, b"\0")
    yield "metadata-with-gap", "META-8", "bytes of data", File().segment("metadata", len=145).head(
        "metadata", data_len=57), "check --deep"
    yield "metadata-text-short", "META-9", "impossible length", File().array("metadata", "data_off", 8, b"\x0c"), "check --deep"
    yield "tombstones-short", "TOMB-1", "bitmap of 3", File().segment("tombstone", len=0)
    yield "tombstones-long", "TOMB-1", "bitmap of 3", File().segment("tombstone", len=16)
    yield "tombstone-of-no-row", "TOMB-2", "beyond the last", File().bytes("tombstone", 0, b"\x0a"), "check --deep"
    yield "tombstone-too-many", "TOMB-3", "rows are live", File().bytes("tombstone", 0, b"\x06"), "check --deep"
    yield "times-empty", "TIME-1", "no entries", File("more").segment("time", len=0)
    yield "times-half-an-entry", "TIME-1", "no entries", File("more").segment("time", len=40)
    yield "times-from-row-1", "TIME-2", "entry 0", File("more").bytes("time", 8, b"\x01"), "check --deep"
    yield "times-fall", "TIME-2", "no later", File("more").bytes("time", 32, bytes(8)), "check --deep"


def padded():
    """The same bytes as rows of three f16, behind which two bytes are to be zero."""
    file = File().part(kind=1).manifest(dim=3, type=2).segment("vector", stride=8, len=24).sealed("vector")
    return file.commit(stride=8, vectors__len=8).block("vectors", 0, b"").chained(RECORD, NAMES, LINK, LAST)


def swapped_entries():
    file = File()
    at = file.head_value("id_hash", "entries_off")
    start = file.at("id_hash") + at
    first, second = bytes(file.data[start:start + 8]), bytes(file.data[start + 8:start + 16])
    return file.bytes("id_hash", at, second + first)


def metadata_block(**values):
    return File().inner("metadata", 64, "disk_packed_block", **values)


def indexes():
    yield "code-short", "CODE-1", "no header", File().segment("code", len=64)
    yield "code-kind", "CODE-2", "no kind 99", File().head("code", kind=99)
    yield "code-flags", "CODE-2", "unknown flags", File().head("code", flags=1 << 31)
    yield "code-flag-of-another-kind", "CODE-2", "unknown flags", File().head("code", flags=4)
    yield "code-rows", "CODE-3", "4 rows, not 3", File().head("code", row_count=4)
    yield "code-dimensions", "CODE-3", "5 dimensions", File().head("code", dim=5)
    yield "code-scale", "CODE-4", "scale", File().head("code", scale=0.0)
    yield "code-zero", "CODE-4", "zero", File().head("code", zero=-4194305)
    yield "code-bias", "CODE-4", "bias", File().head("code", bias=math.nan)
    yield "code-error", "CODE-4", "error", File().head("code", error=-1.0)
    yield "codes-width", "CODE-5", "codes have 128 bytes", File().inner("code", 16, "disk_plane", width=128)
    yield "codes-beyond-file", "CODE-5", "codes at", File().inner("code", 16, "disk_plane", off=HUGE)
    yield "codes-stride-beyond-file", "CODE-5", "codes at", File().inner("code", 16, "disk_plane", stride=0xffffffc0)
    yield "norms-wrap-around", "CODE-5", "norms at", File().inner("code", 32, "disk_plane", off=WRAPS)
    yield "norms-stride", "CODE-5", "norms have 4 bytes", File().inner("code", 32, "disk_plane", stride=3)
    yield "codes-unaligned", "CODE-6", "not aligned", File().inner("code", 16, "disk_plane", off=2 * STEP + 132)
    yield "codes-stride-unaligned", "CODE-6", "not aligned", File().inner("code", 16, "disk_plane", stride=68)
    yield "center-of-sq8", "CODE-7", "center", File().head("code", center_off=2 * STEP + 128)
    yield "center-missing", "CODE-7", "center", File("codes4").head("code", center_off=0)
    yield "center-beyond-file", "CODE-7", "center", File("codes4").head("code", center_off=HUGE)
    yield "center-unaligned", "CODE-7", "center", File("codes4").head("code", center_off=2 * STEP + 132)
    yield "center-infinite", "CODE-8", "no finite number", File("codes4").bytes("code", 128, INFINITE)
    yield "codes-among-ids", "CODE-9", "neither", File().inner("code", 16, "disk_plane", off=4 * STEP), "check --deep"
    yield "norm", "CODE-10", "norm of row 0", File().bytes("code", 320, b"\x01"), "check --deep"
    yield "factor", "CODE-10", "norm of row 0", File("codes4").bytes("code", 248, struct.pack("<f", -1.0)), "check --deep"
    yield "code-padding", "CODE-11", "not zero", File().bytes("code", 140, b"\x01"), "check --deep"
    yield "code-of-another-vector", "CODE-12", "not those of its vector", File().bytes("vector", 0, struct.pack("<f", 0.25)), "check --deep"
    yield "graph-short", "GRAPH-1", "no header", File().segment("graph", len=127)
    yield "graph-rows", "GRAPH-1", "4 rows, not 3", File().head("graph", row_count=4)
    yield "graph-degree-0", "GRAPH-2", "degree is 0", File().head("graph", degree=0)
    yield "graph-degree", "GRAPH-2", "degree is 257", File().head("graph", degree=257)
    yield "graph-without-pivots", "GRAPH-3", "0 pivots", File().head("graph", pivot_count=0)
    yield "graph-too-many-pivots", "GRAPH-3", "4 pivots of 3", File().head("graph", pivot_count=4)
    yield "graph-pivots-beyond", "GRAPH-4", "pivots at", File().head("graph", pivots_off=HUGE)
    yield "graph-edges-beyond", "GRAPH-4", "edges at", File().head("graph", edges_off=384)
    yield "graph-edges-wrap-around", "GRAPH-4", "edges at", File().head("graph", edges_off=WRAPS)
    yield "graph-edges-unaligned", "GRAPH-4", "edges at", File().head("graph", edges_off=316)
    yield "graph-norms-beyond", "GRAPH-4", "norms of the pivots", File().head("graph", pivot_norms_off=HUGE)
    yield "graph-codes-beyond", "GRAPH-4", "codes of the pivots", File().head("graph", pivot_codes_off=HUGE)
    yield "graph-levels-beyond", "GRAPH-4", "sizes of levels", File("levels").head("graph", level_sizes_off=HUGE)
    yield "graph-members-beyond", "GRAPH-4", "members at", File("levels").head("graph", members_off=HUGE)
    yield "graph-level-edges-beyond", "GRAPH-4", "edges of levels", File("levels").head("graph", level_edges_off=HUGE)
    yield "graph-groups-beyond", "GRAPH-4", "groups at", File("groups").head("graph", groups_off=HUGE)
    yield "graph-norms-without-codes", "GRAPH-5", "a pivot's code has 0", File().head("graph", code_bytes=0)
    yield "graph-codes-unaligned", "GRAPH-5", "a pivot's code has 60", File().head("graph", code_bytes=60)
    yield "graph-copies-of-another-width", "GRAPH-6", "those of rows", File().head("graph", norm_bytes=8)
    yield "graph-too-many-leaders", "GRAPH-7", "4 leaders of 3", File("groups").head("graph", leader_count=4)
    yield "graph-group-ends-early", "GRAPH-7", "ends at 2 of 3", File("groups").array("graph", "groups_off", 0, b"\x02")
    yield "graph-group-beyond", "GRAPH-7", "ends at 9 of 3", File("groups").array("graph", "groups_off", 0, b"\x09")
    yield "graph-too-many-levels", "GRAPH-8", "18 levels", File("levels").head("graph", level_count=18)
    yield "graph-level-degree", "GRAPH-8", "degree of 257", File("levels").head("graph", level_degree=257)
    yield "graph-level-degree-0", "GRAPH-8", "degree of 0", File("levels").head("graph", level_degree=0)
    yield "graph-without-members", "GRAPH-9", "0 members", File("levels").head("graph", member_count=0)
    yield "graph-too-many-members", "GRAPH-9", "4 members", File("levels").head("graph", member_count=4)
    yield "graph-first-level", "GRAPH-10", "level 1 has 1 of 2", File("levels").array("graph", "level_sizes_off", 0, b"\x01")
    yield "graph-level-grows", "GRAPH-10", "level 2 has 3 of 2", File("levels").array("graph", "level_sizes_off", 4, b"\x03")
    yield "graph-level-empty", "GRAPH-10", "level 2 has 0 of 2", File("levels").array("graph", "level_sizes_off", 4, b"\x00")
    yield "graph-pivot-of-no-row", "GRAPH-11", "pivot 0 is row 9", File().array("graph", "pivots_off", 0, b"\x09"), "check --deep"
    yield "graph-edge-to-no-row", "GRAPH-11", "which is not there", File().array("graph", "edges_off", 0, b"\x09"), "check --deep"
    yield "graph-edge-to-itself", "GRAPH-12", "itself", File().array("graph", "edges_off", 0, b"\x00"), "check --deep"
    yield "graph-edge-twice", "GRAPH-12", "twice", File().array("graph", "edges_off", 0, b"\x02"), "check --deep"
    yield "graph-edge-behind-none", "GRAPH-12", "behind an empty place", File().array("graph", "edges_off", 0, b"\xff" * 4), "check --deep"
    yield "graph-member-twice", "GRAPH-13", "as another is", File("levels").array("graph", "members_off", 4, b"\x01"), "check --deep"
    yield "graph-pivot-no-member", "GRAPH-13", "not entered by their first member", File("levels").array("graph", "pivots_off", 0, b"\x00"), "check --deep"
    yield "graph-copy", "GRAPH-14", "code of pivot 0", File().array("graph", "pivot_codes_off", 0, b"\x01"), "check --deep"
    yield "graph-row-apart", "GRAPH-15", "cannot be reached", File().array("graph", "edges_off", 0, struct.pack("<I", 1) + b"\xff" * 4), "check --deep"
    yield "graph-row-alone", "GRAPH-16", "0 neighbours", File().array("graph", "edges_off", 16, b"\xff" * 4), "check --deep"
    yield "calibration-short", "CAL-1", "no header", File("more").segment("calibration", len=63)
    yield "calibration-magic", "CAL-1", "magic", File("more").head("calibration", magic=b"XCAL")
    yield "calibration-without-curves", "CAL-2", "0 curves", File("more").head("calibration", curve_count=0)
    yield "calibration-too-many-curves", "CAL-2", "9 curves", File("more").head("calibration", curve_count=9)
    yield "calibration-rival", "CAL-3", "kind 99", File("more").head("calibration", rival=99)
    yield "calibration-rival-cost", "CAL-3", "without a rival", File("more").head("calibration", rival=0)
    yield "calibration-curves-fall", "CAL-4", "out of order", curve(1, k=1)
    yield "calibration-without-queries", "CAL-4", "no queries", curve(0, query_count=0)
    yield "calibration-too-many-points", "CAL-4", "65 points", curve(0, point_count=65)
    yield "calibration-ends-early", "CAL-5", "its points end", curve(1, point_count=2)
    yield "calibration-effort-falls", "CAL-6", "effort 2 follows", point(1, effort=2)
    yield "calibration-recall-falls", "CAL-6", "recall of 9", point(1, recall=900000)
    yield "calibration-p5-falls", "CAL-6", "5th percentile", point(1, point(0, p5=500000), p5=400000)
    yield "calibration-zero-rises", "CAL-6", "share of zeros", point(1, zero=90001)
    yield "calibration-cost-falls", "CAL-6", "cost of 2999", point(1, cost=2999)
    yield "calibration-recall-above-1", "CAL-7", "recall of 1000001", point(1, recall=1000001)
    yield "calibration-error-above-1", "CAL-7", "standard error of 1000001", point(1, error=1000001)
    yield "calibration-p5-error", "CAL-7", "is more than", point(0, p5_error=1)


def curve(number, **values):
    return File("more").inner("calibration", 64 + 16 * number, "disk_calibration_curve", **values)


def point(number, file=None, /, **values):
    return (file or File("more")).inner("calibration", 96 + 28 * number, "disk_calibration_point", **values)


def lists():
    def head(**values):
        return File("ivf").head("ivf", **values)

    def entry(number, **values):
        file = File("ivf")
        return file.inner("ivf", file.head_value("ivf", "lists_off") + 16 * number, "disk_ivf_list", **values)

    def array(wanted, at, data):
        return File("ivf").array("ivf", wanted, at, data)

    yield "ivf-short", "IVF-1", "no header", File("ivf").segment("ivf", len=191)
    yield "ivf-rows", "IVF-1", "4 rows, not 3", head(row_count=4)
    yield "ivf-without-lists", "IVF-2", "0 lists", head(list_count=0)
    yield "ivf-too-many-lists", "IVF-2", "4 lists of 3", head(list_count=4)
    yield "ivf-flags", "IVF-3", "unknown flags", head(flags=1 << 31 | 3)
    yield "ivf-sub-dim", "IVF-4", "for 3 dimensions", head(sub_dim=3)
    yield "ivf-out-dim", "IVF-4", "5 of 4", head(out_dim=5)
    yield "ivf-out-dim-without-matrix", "IVF-4", "2 of 4", head(flags=1)
    yield "ivf-code-count", "IVF-4", "3 codes", head(code_count=3)
    yield "ivf-code-bytes", "IVF-4", "128 bytes", head(code_bytes=128)
    yield "ivf-scale", "IVF-5", "scale", head(scale=-1.0)
    yield "ivf-zero", "IVF-5", "zero", head(zero=4194560)
    yield "ivf-unit-b", "IVF-5", "unit of b", head(unit_b=0.75)
    yield "ivf-unit-f", "IVF-5", "unit of f", head(unit_f=0.0)
    yield "ivf-bias", "IVF-5", "bias", head(bias=math.inf)
    yield "ivf-error", "IVF-5", "error", head(error=-1.0)
    yield "ivf-survivors", "IVF-6", "survivors", head(survivors=struct.pack("<3I", 20, 10, 300))
    yield "ivf-centroids-beyond", "IVF-7", "centroids", head(centroids_off=HUGE)
    yield "ivf-centroid-norms-in-header", "IVF-7", "norms of centroids", head(centroid_norms_off=64)
    yield "ivf-lists-wrap-around", "IVF-7", "array of lists", head(lists_off=WRAPS)
    yield "ivf-slot-rows-unaligned", "IVF-7", "rows of slots", head(slot_rows_off=708)
    yield "ivf-codebook-beyond", "IVF-7", "codebook", head(codebook_off=HUGE)
    yield "ivf-matrix-beyond", "IVF-7", "matrix", head(matrix_off=HUGE)
    yield "ivf-matrix-scales-beyond", "IVF-7", "scales of the matrix", head(matrix_scales_off=HUGE)
    yield "ivf-slot-codes-beyond", "IVF-7", "slot codes", head(slot_codes_off=HUGE)
    yield "ivf-slot-codes-without-stride", "IVF-7", "no array of slot codes", head(slot_code_stride=0, norm_stride=64)
    yield "ivf-slot-code-stride", "IVF-8", "in strides of 96", head(slot_code_stride=96)
    yield "ivf-norm-stride", "IVF-9", "norms in strides of 2", head(norm_stride=2)
    yield "ivf-norms-beyond", "IVF-9", "norms at", head(norms_off=HUGE)
    yield "ivf-norms-unaligned", "IVF-9", "norms at", head(norms_off=File("ivf").head_value("ivf", "norms_off") + 2)
    yield "ivf-norms-in-codes", "IVF-10", "overlap the codes", head(norms_off=File("ivf").head_value("ivf", "slot_codes_off"))
    yield "ivf-norms-of-another-stride", "IVF-10", "overlap the codes", head(norm_stride=4)
    yield "ivf-slot-count-odd", "IVF-11", "no blocks of 16", head(slot_count=24)
    yield "ivf-slot-count", "IVF-11", "have 32 slots, not 16", head(slot_count=16)
    yield "ivf-blocks-beyond", "IVF-12", "blocks at", head(blocks_off=HUGE & ~4095)
    yield "ivf-blocks-unaligned", "IVF-12", "blocks at", head(blocks_off=4096 + 64)
    yield "ivf-first-block", "IVF-13", "takes slots from block", entry(1, first_block=0)
    yield "ivf-page-again", "IVF-14", "cannot lie at page 0", entry(1, page=0)
    yield "ivf-page-beyond", "IVF-14", "cannot lie at page 9", entry(1, page=9)
    yield "ivf-list-too-long", "IVF-14", "cannot lie", entry(0, row_count=0xfffffff0)
    yield "ivf-rows-missing", "IVF-15", "places taken", entry(1, row_count=0).head("ivf", slot_count=16)
    yield "ivf-rows-too-many", "IVF-15", "places taken", entry(0, row_count=5)
    yield "ivf-rows-spilled-without-flag", "IVF-15", "places taken", head(flags=2)
    yield "ivf-without-slot-codes", "IVF-16", "not their own codes", head(slot_code_stride=0, slot_codes_off=0)
    yield "ivf-own-codes-scale", "IVF-16", "the scale 1", own_codes()
    yield "ivf-centroid-norm", "IVF-17", "norm of centroid 0", array("centroid_norms_off", 0, b"\x01"), "check --deep"
    yield "ivf-codebook-infinite", "IVF-18", "not finite", array("codebook_off", 0, INFINITE), "check --deep"
    yield "ivf-matrix-padding", "IVF-18", "not zero", array("matrix_off", 4, b"\x01"), "check --deep"
    yield "ivf-slot-of-no-row", "IVF-19", "row 9", array("slot_rows_off", 0, b"\x09"), "check --deep"
    yield "ivf-row-twice", "IVF-19", "twice", array("slot_rows_off", 0, b"\x02"), "check --deep"
    yield "ivf-slot-behind-rows", "IVF-19", "is behind the rows", array("slot_rows_off", 8, bytes(4)), "check --deep"
    yield "ivf-b-infinite", "IVF-20", "slot 0", array("blocks_off", 0, b"\x00\x7c"), "check --deep"
    yield "ivf-slot-norm", "IVF-21", "norm of slot 0", array("norms_off", 0, b"\x01"), "check --deep"
    yield "ivf-b", "IVF-22", "b of slot 0", array("blocks_off", 1, b"\x00"), "check --deep"


def own_codes():
    """Vectors of u8, four of them one row of 64 bytes: there are no slot codes, and the scale is another one."""
    file = File("ivf").manifest(type=4)
    file.head("ivf", slot_code_stride=0, slot_codes_off=0)
    file.commit(stride=64, vectors__off=8192, vectors__len=64)
    return file.segment("vector", stride=64, len=192)


def pasts():
    at = "get --at 3"

    def head(**values):
        return File().head("states", **values), at

    def state(**values):
        return File().inner("states", 64, "disk_state", **values), at

    yield "states-short", "STATE-1", "no header", File().segment("states", len=32), at
    yield "states-none", "STATE-1", "no state", *head(state_count=0)
    yield "states-beyond-segment", "STATE-2", "do not lie", *head(state_count=2)
    yield "states-wrap-around", "STATE-2", "do not lie", *head(states_off=WRAPS)
    yield "states-in-header", "STATE-2", "do not lie", *head(states_off=0)
    yield "states-unaligned", "STATE-2", "do not lie", *head(states_off=68)
    yield "states-flips-beyond-segment", "STATE-2", "do not lie", *head(flip_count=2)
    yield "states-flips-wrap-around", "STATE-2", "do not lie", *head(flip_count=1 << 62)
    yield "state-of-no-commit", "STATE-3", "no commit", *state(commit=0)
    yield "state-ends-before-it-begins", "STATE-3", "before it begins", *state(until_us=5)
    yield "state-live-count", "STATE-3", "impossible row counts", *state(live_count=4)
    yield "states-in-disorder", "STATE-4", "no later", two_states(commit=3), at
    yield "states-of-other-times", "STATE-4", "another time", two_states(until_us=spec.START + 4 * spec.MINUTE), at
    yield "states-of-fewer-rows", "STATE-4", "fewer rows", two_states(row_count=2, live_count=2), at
    yield "states-flips-end", "STATE-5", "flips", *state(flips_end=2)
    yield "states-flips-end-early", "STATE-5", "flips", *state(flips_end=0)
    yield "states-flip-of-no-row", "STATE-6", "row 3 of 3", File().bytes("states", 128, b"\x03"), at
    yield "states-rows-that-are-not-there", "STATE-6", "4 rows", *state(row_count=4)
    yield "states-flips-twice", "STATE-7", "flips out of order", flips_twice(), "check --deep"
    yield "states-live-count", "STATE-8", "rows are live", state(live_count=3)[0], "check --deep"
    yield "states-after-the-log", "STATE-9", "does not go before", state(commit=9)[0].manifest(horizon_commit=9), "check"
    yield "history-short", "HIST-1", "no header", File().segment("history", len=63), "log"
    yield "history-backwards", "HIST-1", "commits 5 to 4", File().head("history", first_commit=5), "log"
    yield "history-beyond-log", "HIST-2", "do not go on", File().head("history", last_commit=5), "log"
    yield "history-check", "HIST-3", "checksum", File().flip(8 * STEP + 100), "log"
    yield "history-table-beyond", "HIST-4", "table of", File().head("history", block_count=0x7fffffff), "log"
    yield "history-data-beyond", "HIST-4", "the data at", File().head("history", data_off=WRAPS), "log"
    yield "history-without-blocks", "HIST-4", "7 items in 0 blocks", File().head("history", block_count=0), "log"
    yield "history-block-of-no-changes", "HIST-5", "no items", history_block(first=7), "log"
    yield "history-block-beyond", "HIST-5", "impossible bounds", history_block(packed_len=196), "log"
    yield "history-block-too-long", "HIST-5", "impossible bounds", history_block(raw_len=0xffffffff), "log"
    yield "history-packing", "HIST-5", "does not unpack", history_block(packing=1, raw_len=4000), "log"
    yield "history-change-beyond-block", "HIST-6", "ends within", File().head("history", entry_count=8), "log"
    yield "history-block-with-more", "HIST-6", "more than its entries", File().head("history", entry_count=6), "log"
    yield "history-id-beyond-block", "HIST-6", "ends within an id", change(0, id_len=0x7fff), "log"
    yield "history-id-not-utf8", "HIST-6", "no valid id", File().bytes("history", 88 + 24, b"\xff"), "log"
    yield "history-operation", "HIST-6", "operation 99", change(0, operation=99), "log"
    yield "history-in-disorder", "HIST-7", "out of order", change(0, commit=4), "log"
    yield "history-of-another-commit", "HIST-7", "out of order", change(0, commit=1), "log"
    yield "history-with-gap", "HIST-8", "bytes of data", File().segment("history", len=284).head("history", data_len=196), "check --deep"


def two_states(**values):
    """States of commits 2 and 3 for the one; `values` are those of commit 3."""
    first = {"commit": 2, "time_us": spec.START + 2 * spec.MINUTE, "until_us": spec.START + 3 * spec.MINUTE,
             "row_count": 3, "live_count": 2}
    second = dict({"commit": 3, "time_us": spec.START + 3 * spec.MINUTE, "until_us": spec.START + 4 * spec.MINUTE,
                   "row_count": 3, "live_count": 2}, **values)
    if "commit" in values:
        first["commit"] = 3
    if "until_us" in values:
        second["time_us"] += 1
    data, _ = spec.states_of([(first, []), (second, [1])])
    file = File().set(8 * STEP + 4096, data)
    return file.segment("states", len=len(data)).sealed("states").manifest(horizon_commit=first["commit"])


def flips_twice():
    state = {"commit": 3, "time_us": spec.START + 3 * spec.MINUTE, "until_us": spec.START + 4 * spec.MINUTE,
             "row_count": 3, "live_count": 2}
    data, _ = spec.states_of([(state, [1, 1])])
    return File().set(8 * STEP + 4096, data).segment("states", len=len(data)).sealed("states")


def history_block(**values):
    return File().inner("history", 64, "disk_packed_block", **values)


def change(number, **values):
    return File().inner("history", 88, "disk_history_entry", **values)


def streams():
    """What is wrong is found before an index is looked at, or for `recv base` in its light."""
    base = "recv base"
    nan, zeros = struct.pack("<4f", math.nan, 0, 0, 0), struct.pack("<4f", 0, 0, 0, 0)
    name = len(spec.stream_name(spec.PRESS)[0])
    yield "stream-magic", "STREAM-1", "not a stream", Stream(magic=b"\x8fVDB\r\n\x1a\n")
    yield "stream-version", "STREAM-2", "version 99", Stream(version=99)
    yield "stream-header-check", "STREAM-3", "header is damaged", Stream().flip(52)
    yield "stream-header-length", "STREAM-4", "impossible values", Stream(header_len=168)
    yield "stream-dimensions", "STREAM-4", "impossible values", Stream(dim=0)
    yield "stream-metric", "STREAM-4", "impossible values", Stream(metric=99)
    yield "stream-type", "STREAM-4", "impossible values", Stream(type=99)
    yield "stream-index", "STREAM-4", "impossible values", Stream(index=99)
    yield "stream-codes", "STREAM-4", "impossible values", Stream(codes=99)
    yield "stream-flag", "STREAM-4", "impossible values", Stream(flags=0x8001)
    yield "stream-frame-number", "STREAM-5", "frame 1 is not the one", Stream(frame={1: {"number": 2}})
    yield "stream-frame-kind", "STREAM-5", "frame 0 is not the one", Stream(frame={0: {"kind": 99}})
    yield "stream-frame-kind-0", "STREAM-5", "frame 0 is not the one", Stream(frame={0: {"kind": 0}})
    yield "stream-frames-in-disorder", "STREAM-5", "frame 1 is not the one", Stream(frames()[1::-1] + frames()[2:])
    yield "stream-whole-with-deletes", "STREAM-5", "frame 3 is not the one", Stream(
        whole_frames() + [(5, 1, spec.stream_items(["pear"]))], WHOLE)
    yield "stream-whole-with-base", "STREAM-5", "frame 0 is not the one", Stream(
        [name_frame(1, spec.ORCHARD)] + whole_frames(), WHOLE)
    yield "stream-rows-without-vectors", "STREAM-6", "frame 3 is not the one", Stream(frames()[:3] + frames()[4:])
    yield "stream-vectors-without-rows", "STREAM-6", "frame 2 is not the one", Stream(frames()[:2] + frames()[3:])
    yield "stream-vectors-of-other-rows", "STREAM-6", "frame 3 is not the one", Stream(frame={3: {"count": 2}})
    yield "stream-frame-without-items", "STREAM-7", "impossible lengths", Stream(frame={0: {"count": 0}})
    yield "stream-frame-empty", "STREAM-7", "impossible lengths", Stream(frame={0: {"raw_len": 0, "packed_len": 0}})
    yield "stream-frame-too-long", "STREAM-7", "impossible lengths", Stream(frame={2: {"raw_len": 17047553}})
    yield "stream-frame-longer-packed", "STREAM-7", "impossible lengths", Stream(frame={2: {"packed_len": 0xffffffff}})
    yield "stream-frame-check", "STREAM-8", "checksum of frame 0", Stream().flip(200)
    yield "stream-frame-packing", "STREAM-9", "does not unpack", Stream(frame={2: {"packing": 99}})
    yield "stream-frame-not-lz4", "STREAM-9", "does not unpack", Stream(frame={2: {"packing": 1, "raw_len": 4096}})
    yield "stream-frame-stored-length", "STREAM-9", "does not unpack", Stream(frame={2: {"raw_len": 25}})
    yield "stream-more-rows-than-bytes", "STREAM-10", "does not hold", Stream(frame={2: {"count": 2000}, 3: {"count": 2000}})
    yield "stream-rows-that-do-not-fill", "STREAM-10", "does not hold", Stream(
        frames(rows=spec.stream_items(["apple"], ['{"year":2026}']) + b" "))
    yield "stream-vectors-short", "STREAM-10", "does not hold", Stream(frames(vectors=bytes(12)))
    yield "stream-deletes-that-do-not-fill", "STREAM-10", "does not hold", Stream(frames(deletes=struct.pack("<H", 9) + b"pear"))
    yield "stream-name-beyond-frame", "STREAM-10", "does not hold", Stream([frames()[0], name_frame(2, spec.PRESS, name_len=9)] + frames()[2:])
    yield "stream-names-that-do-not-fill", "STREAM-10", "does not hold", Stream(
        [frames()[0], (2, 1, frames()[1][2] + b"x")] + frames()[2:])
    yield "stream-id-empty", "STREAM-11", "does not hold", Stream(frames(rows=spec.stream_items([""], ['{"year":2026}'])))
    yield "stream-id-too-long", "STREAM-11", "does not hold", Stream(frames(rows=spec.stream_items(["x" * 1024], ['{"year":2026}'])))
    yield "stream-id-with-control-character", "STREAM-11", "does not hold", Stream(frames(deletes=spec.stream_items(["pe\nr"])))
    yield "stream-name-empty", "STREAM-11", "does not hold", Stream([frames()[0], name_frame(2, spec.PRESS, name_len=0, name=b"")] + frames()[2:])
    yield "stream-name-too-long", "STREAM-11", "does not hold", Stream([frames()[0], name_frame(2, spec.PRESS, name_len=199, name=b"x" * 199)] + frames()[2:])
    yield "stream-text-with-nul", "STREAM-11", "does not hold", Stream(frames(rows=spec.stream_items(["apple"], ['{"a":"\0"}'])))
    yield "stream-text-not-utf8", "STREAM-11", "does not hold", Stream(
        frames(rows=spec.stream_items(["apple"], ['{"a":"x"}']).replace(b"x", b"\xff")))
    yield "stream-too-many-names", "STREAM-12", "does not hold", Stream(
        [(2, 65537, spec.encode("disk_stream_name", {"name_len": 1}) * 65537 and
          (spec.encode("disk_stream_name", {"name_len": 1}) + b"n") * 65537)] + whole_frames()[1:], WHOLE)
    yield "stream-end-rows", "STREAM-13", "not what it sums up", Stream(end={"row_count": 2})
    yield "stream-end-deletes", "STREAM-13", "not what it sums up", Stream(end={"delete_count": 2})
    yield "stream-end-names", "STREAM-13", "not what it sums up", Stream(end={"name_count": 2})
    yield "stream-end-check", "STREAM-13", "not what it sums up", Stream(end={"check": 2})
    yield "stream-empty", "STREAM-14", "cut off after 0", Stream().cut(0)
    yield "stream-cut-in-header", "STREAM-14", "cut off after 159", Stream().cut(159)
    yield "stream-cut-between-frames", "STREAM-14", "cut off", Stream().cut(len(Stream().data) - 64)
    yield "stream-cut-in-frame", "STREAM-14", "cut off", Stream().cut(160 + 32 + name - 1)
    yield "stream-with-more", "STREAM-14", "bytes follow", Stream().more(b"\n")
    yield "stream-vector-not-finite", "STREAM-15", "apple", Stream(frames(vectors=nan)), base
    yield "stream-vector-of-zeros", "STREAM-15", "pear", Stream(
        whole_frames()[:2] + [(4, 3, spec.vectors_of(spec.ROWS)[:16] + zeros * 2)], WHOLE, metric=2)
    yield "stream-deletes-unknown-id", "STREAM-16", "quince", Stream(frames(deletes=spec.stream_items(["quince"]))), base
    yield "stream-target-live", "STREAM-17", "leads to 2 live rows", Stream(target_live=3), base
    yield "stream-policy", "STREAM-18", "the stream's header", Stream(whole_frames(), WHOLE, quiet_end=1440)
    yield "stream-policy-recent", "STREAM-18", "the stream's header", Stream(whole_frames(), WHOLE, recent_rows=5)


def damaged():
    """(name, command, status, words, rule, file)"""
    usual = {"superblocks": "get", "manifests": "get", "logs": "get", "streams": "recv"}
    for group in (superblocks, manifests, logs, rows, indexes, lists, pasts, streams):
        for name, rule, words, file, *rest in group():
            command = rest[0] if rest else usual.get(group.__name__, "get")
            if rule == "SB-8":
                command = "check"
            status = rest[1] if len(rest) > 1 else 1 if command.startswith("check") else 65
            yield name, command, status, words, rule, file


def variants():
    """(name, what it has); all give the rows of the example."""
    yield "version-0.10", "a higher minor version", File().superblock(version_minor=10)
    for bit in (5, 40, 63):
        yield "compat-bit-%d" % bit, "a compat bit", File().superblock(compat=1 << bit)
        yield "ro-compat-bit-%d" % bit, "an ro_compat bit", File().superblock(ro_compat=1 << bit)
    yield "superblock-flags", "unknown flags of the superblock", File().superblock(flags=(1 << 64) - 2)
    yield "superblock-reserved", "reserved bytes of the superblock", File().superblock(reserved=b"\xa5" * 384)
    yield "superblock-padding", "bytes behind the slots", File().set(512, b"\xa5" * 3584).set(4608, b"\xa5" * 3584)
    yield "superblock-longer-file", "bytes behind file_end", File().set(END, b"\xa5" * 4096)
    yield "manifest-reserved", "reserved bytes of the manifest", File().manifest(reserved=b"\xa5" * 48)
    yield "manifest-longer", "a longer header and longer entries", File().longer()
    yield "part-flags", "flags and reserved bytes of a part", File().part(flags=0xffffffff, reserved=b"\xa5" * 32)
    yield "segment-flags", "flags and reserved bytes of a segment", File().segment(
        "vector", flags=0xfffffffe, reserved0=0xa5a5a5a5, reserved1=b"\xa5" * 16)
    yield "segment-known-and-optional", "the optional flag of vectors", File().segment("vector", flags=1)
    yield "segment-times-not-optional", "calibration and times without the flag", File("more").segment(
        "time", flags=0).segment("calibration", flags=0)
    yield "segment-type-optional", "a segment of an unknown type, of the file's own", File().segment("history", type=999, flags=1)
    yield "segment-version-optional", "a segment of a later version", File("more").segment("calibration", version=99)
    yield "part-segment-optional", "a segment of an unknown type in a part", File("more").segment("calibration", type=0xffff)
    yield "record-reserved", "reserved bytes of a record and a commit", File().record(reserved=b"\xa5" * 16).commit(
        reserved=b"\xa5" * 8).chained(RECORD, NAMES, LINK, LAST)
    yield "record-optional", "an unknown record behind the last one", File().unknown_record(kind=0xfff1)
    yield "record-optional-version", "the same of a later version", File().unknown_record(kind=0xffff, version=9)
    yield "codes-reserved", "reserved bytes of a code header", File().head("code", reserved0=0xa5a5, reserved1=b"\xa5" * 56)
    yield "graph-reserved", "reserved bytes of a graph header", File().head("graph", reserved1=b"\xa5" * 8)
    yield "graph-grid", "a grid of a graph that is none", File().head("graph", grid_scale=float("nan"), grid_zero=0x7fffffff)
    yield "graph-built", "rows built at once, more than there are", File().head("graph", built_rows=0xa5a5a5a5)
    yield "graph-levels", "an HNSW that is walked by the stored vectors", File("levels")
    yield "graph-groups", "pivots in groups", File("groups")
    yield "codes4", "codes of 4 bits", File("codes4")
    yield "ivf", "an inverted file", File("ivf")
    yield "ivf-reserved", "reserved bytes of an ivf header", File("ivf").head("ivf", reserved0=0xa5a5a5a5, reserved=b"\xa5" * 32)
    yield "calibration-and-times", "these two segments", File("more")


def store(folder, name, data, sums):
    """Writes the file if there is none; else it is to be what there is."""
    path = os.path.join(folder, name + ".gz")
    whole = os.path.join(TO, path)
    if not os.path.exists(whole):
        with open(whole, "wb") as to:
            to.write(gzip.compress(data, 9, mtime=0))
    with open(whole, "rb") as file:
        packed = file.read()
    if gzip.decompress(packed) != data:
        sys.exit("damage.py: %s is made differently now, and must not change" % path)
    if path not in sums:
        sums[path] = hashlib.sha256(packed).hexdigest()


def write_table(name, lines):
    """What a tool says may change; no case gets lost."""
    path = os.path.join(TO, name)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            left = {line.split("\t")[0] for line in file} - {line[0] for line in lines}
        if left:
            sys.exit("damage.py: %s would lose %s" % (name, min(left)))
    with open(path, "w", encoding="utf-8") as to:
        to.write("".join("\t".join(map(str, line)) + "\n" for line in lines))


def main():
    sums_path = os.path.join(TO, "SHA256SUMS")
    with open(sums_path, encoding="utf-8") as file:
        sums = {line.split()[1]: line.split()[0] for line in file}
    for folder in ("bad", "good"):
        os.makedirs(os.path.join(TO, folder), exist_ok=True)
    table, names = [], set()
    for name, command, status, words, rule, file in damaged():
        assert name not in names, name
        names.add(name)
        store("bad", name + (".stream" if command.startswith("recv") else ".vdb"), bytes(file.data), sums)
        table.append((name, command, status, words, rule))
    write_table("bad.tsv", table)
    table = []
    for name, what, file in variants():
        store("good", name + ".vdb", bytes(file.data), sums)
        table.append((name, what))
    write_table("variants.tsv", table)
    store("good", "orchard.stream", bytes(Stream(whole_frames(), WHOLE).data), sums)
    store("good", "orchard-to-press.stream", bytes(Stream().data), sums)
    with open(sums_path, "w", encoding="utf-8") as to:
        to.write("".join("%s  %s\n" % (digest, path) for path, digest in sorted(sums.items())))


main()
