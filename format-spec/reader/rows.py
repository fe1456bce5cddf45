"""rows.py: vectors, ids and metadata of rows (vectors.md, ids.md, metadata.md, tombstones.md)."""
# SPDX-License-Identifier: BSD-2-Clause
from itertools import accumulate, repeat
from struct import error, unpack_from
import lz4block
from manifest import text_of
from storage import Layout

ID_HEAD = Layout("I4x4Q24x", "row_count bases_off ends_off bytes_off bytes_len")
METADATA_HEAD = Layout("2I3Q32x", "row_count block_count blocks_off data_off data_len")
PACKED = Layout("4IQ", "first packing raw_len packed_len off")
STORED, LZ4, ROW_END, RAW_END = 0, 1, 4097, 16384 + 4 + 16777216

def read_rows(m, source, live):  # number, id, vector and metadata of live rows
    spans = {name: run.span for name, run in source.runs.items() if run.size}
    ids = read_ids(source)
    texts = read_texts(spans["metadata"], len(ids)) if "metadata" in spans else repeat(b"")
    for row, name, text in zip(range(source.begin, len(live)), ids, texts):
        if live[row]:
            data = spans["vector"].read((row - source.begin) * m.stride, m.vector.size)
            yield row, name, m.vector.unpack(data), text

def read_ids(source):
    span, count = source.runs["id"].span, source.end - source.begin
    head, groups = span.parse(ID_HEAD), -(-count // 64)
    starts = (64, 64 + 8 * groups, 64 + 8 * groups + 2 * count)
    span.require((head.bases_off, head.ends_off, head.bytes_off) == starts and head.row_count
                 == count and head.bytes_off + head.bytes_len == span.size, "the header is wrong")
    bases, ends = span.numbers("Q", 64, groups), span.numbers("H", head.ends_off, count)
    data, ids, at = span.read(head.bytes_off), [], 0
    for row, end in enumerate(ends):
        start, at = at, bases[row // 64] + end
        span.require(start <= at and (row % 64 or bases[row // 64] == start), f"row {row}'s end")
        ids.append(text_of(data[start:at], 1023, span))
    span.require(at == len(data), "the last id does not end with the segment", head.bytes_off)
    return ids

def read_texts(span, count):  # the metadata of all rows, block by block
    head, end = span.parse(METADATA_HEAD), 0
    blocks = PACKED.array(span.read(64, PACKED.size * head.block_count))
    data = span.part(head.data_off, head.data_len)
    span.require((head.row_count, head.blocks_off, head.data_off, data.off + data.size) == (
        count, 64, 64 + PACKED.size * head.block_count, span.off + span.size), "the header")
    for block, after in zip(blocks, [block.first for block in blocks[1:]] + [count]):
        rows, raw = after - block.first, data.read(block.off, block.packed_len)
        data.require(0 < rows < ROW_END and 0 < block.raw_len < RAW_END and end == block.off, "it")
        end = block.off + block.packed_len
        try:
            if block.packing == LZ4 and block.packed_len < block.raw_len:
                raw = lz4block.unpack(raw, block.raw_len)
            ends = list(accumulate(unpack_from(f"<{rows}I", raw), initial=4 * rows))
            texts = [raw[a:b].decode().encode() for a, b in zip(ends, ends[1:])]  # if it is UTF-8
            good = block.packing in (STORED, LZ4) and block.raw_len == len(raw) == ends[-1]
        except (ValueError, IndexError, error):
            good = False
        data.require(good, "a block does not unpack to its texts", block.off)
        yield from texts
    span.require(end == data.size and (not blocks or blocks[0].first == 0), "the blocks")

def read_live(part):  # a byte for each row: 1, or 0 where its bit of the tombstones is set
    count, segment = part.end - part.begin, part.runs.get("tombstone")
    if not segment:
        return b"\1" * count
    segment.span.require(segment.size == -(-count // 64) * 8, "the length is wrong")
    bits = segment.span.read()
    return bytes(1 - (bits[i // 8] >> i % 8 & 1) for i in range(count))
