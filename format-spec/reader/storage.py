"""storage.py: ranges of the file, and the structures in them (README.md, Conventions)."""
# SPDX-License-Identifier: BSD-2-Clause
import struct
from types import SimpleNamespace
from xxh3 import xxh3_64

class Damaged(Exception):
    """The file breaks a rule: in which structure, at which offset, and how."""

class Refused(Exception):
    """What was asked for cannot be had: the exit status, and why."""

def support(known, what, status=65):
    if not known:
        raise Refused(status, f"has {what}")

class Layout(struct.Struct):  # a structure: letters of the module struct, and names of fields
    def __init__(self, letters, names=""):
        super().__init__("<" + letters)
        self.names = names.split()

    def array(self, data, step=None):
        return [SimpleNamespace(**dict(zip(self.names, self.unpack_from(data, at))))
                for at in range(0, len(data), step or self.size)]

class Span:  # a range inside the file, whatever its numbers say, with a name for messages
    def __init__(self, file, place, off, size):
        self.file, self.place, self.off, self.size = file, place, off, size

    def require(self, holds, message, at=0):
        if not holds:
            raise Damaged(self.place, self.off + at, message)

    def part(self, at, size, place=None):  # a structure that has a name starts at a multiple of 64
        self.require(size <= self.size - at and not (place and at % 64),
                     f"{place or 'an array'} cannot lie at {at}")
        return Span(self.file, place or self.place, self.off + at, size)

    def read(self, at=0, size=None):
        part = self.part(at, self.size - at if size is None else size)
        self.file.seek(part.off)
        data = self.file.read(part.size)
        part.require(len(data) == part.size, "the file is cut off", len(data))
        return data

    def parse(self, layout, at=0):
        return layout.array(self.read(at, layout.size))[0]

    def numbers(self, letter, at, count):
        return struct.unpack(f"<{count}{letter}", self.read(at, count * struct.calcsize(letter)))

    def has_check(self, check, at=None):  # one that lies in the range, at `at`, counts as zero
        data = self.read()
        return check == xxh3_64(data if at is None else data[:at] + bytes(8) + data[at + 8:])
