"""lz4block.py: unpacking the LZ4 block format.

SPDX-License-Identifier: BSD-2-Clause
"""


class BadBlock(Exception):
    """The bytes are not a block of that length."""


def unpack(packed, raw_len):
    """Unpacks one block of the LZ4 block format."""
    out, at = bytearray(), 0

    def longer(length):
        nonlocal at
        while length >= 15:
            length += packed[at]
            at += 1
            if packed[at - 1] != 255:
                break
        return length

    try:
        while True:
            token = packed[at]
            at += 1
            literals = longer(token >> 4)
            if at + literals > len(packed) or len(out) + literals > raw_len:
                raise BadBlock("has literals beyond its end")
            out += packed[at:at + literals]
            at += literals
            if at == len(packed):
                break
            distance = packed[at] | packed[at + 1] << 8
            at += 2
            length = longer(token & 15) + 4
            if not 0 < distance <= len(out) or len(out) + length > raw_len:
                raise BadBlock("has a match beyond its bounds")
            for _ in range(length):
                out.append(out[-distance])
    except IndexError:
        raise BadBlock("is cut off") from None
    if len(out) != raw_len:
        raise BadBlock("unpacks to %d bytes, not %d" % (len(out), raw_len))
    return bytes(out)
