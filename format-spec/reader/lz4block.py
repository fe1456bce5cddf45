"""lz4block.py: unpacks a block in the LZ4 block format (metadata.md)."""
# SPDX-License-Identifier: BSD-2-Clause

def extend(packed, at, count):  # a count of 15 goes on, up to and with a byte that is not 255
    more = 255 if count == 15 else 0
    while more == 255:
        more = packed[at]
        at, count = at + 1, count + more
    return at, count

def unpack(packed, raw_len):  # valueError or IndexError where that is no block
    out, at = bytearray(), 0
    while True:
        token = packed[at]
        at, literals = extend(packed, at + 1, token >> 4)
        out += packed[at:at + literals]
        at += literals
        if at == len(packed) and len(out) == raw_len:
            return bytes(out)
        start = len(out) - (packed[at] | packed[at + 1] << 8)
        at, match = extend(packed, at + 2, token & 15)
        match += 4
        if not 0 <= start < len(out) or match > raw_len - len(out):
            raise ValueError("a match from or to outside the block")
        run = out[start:start + match]  # copied byte by byte, it repeats what it makes
        out += (run * (match // len(run) + 1))[:match]
