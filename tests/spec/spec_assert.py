#!/usr/bin/env python3
"""spec_assert.py: turns the tables of format-spec/ into a C file of static assertions.

usage: spec_assert.py [--header lib/format/disk.h] format-spec/*.md > spec_assert.c

A table counts where an HTML comment above it says so: `<!-- struct NAME -->` with the columns
offset, size, type, field, meaning, or `<!-- constants -->` with name, value, meaning. Fields must
follow one another without gap or overlap, and their types must be known. Every struct, enumerator
and number that the header defines must stand in exactly one table, and every table must find its
match in the header. String constants cannot be asserted in C and are compared here.

C goes to standard output. Exit 1, with a message for each error on standard error and nothing on
standard output, where the pages are wrong; what only the compiler can see, it says when it
compiles the output with -Ilib.

SPDX-License-Identifier: BSD-2-Clause
"""

import argparse
import ast
import re
import sys

C_TYPES = {"u8": "uint8_t", "u16": "le16", "u32": "le32", "u64": "le64", "i32": "le32", "f32": "le32"}
SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i32": 4, "f32": 4}
STRUCT_COLUMNS = ["offset", "size", "type", "field", "meaning"]
CONSTANT_COLUMNS = ["name", "value", "meaning"]

errors = []


def error(place, message):
    errors.append("%s: %s" % (place, message))


class Table:
    def __init__(self, place, name):
        self.place, self.name, self.rows, self.said_size = place, name, [], None


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def read_page(path, structs, constants):
    """Collects the tables of one page: structs by name, constants as (place, name, value)."""
    lines = open(path, encoding="utf-8").read().split("\n")
    at = 0
    while at < len(lines):
        marker = re.fullmatch(r"<!-- (struct (\w+)|constants) -->", lines[at].strip())
        at += 1
        if not marker:
            if lines[at - 1].lstrip().startswith("<!--"):
                error("%s:%d" % (path, at), "comment is neither `struct NAME` nor `constants`")
            continue
        place = "%s:%d" % (path, at)
        while at < len(lines) and not lines[at].strip():
            at += 1
        columns = STRUCT_COLUMNS if marker[2] else CONSTANT_COLUMNS
        if at >= len(lines) or cells(lines[at]) != columns:
            error(place, "no table with the columns %s follows" % ", ".join(columns))
            continue
        at += 2
        table = Table(place, marker[2])
        while at < len(lines) and lines[at].startswith("|"):
            row = cells(lines[at])
            at += 1
            if len(row) != len(columns):
                error("%s:%d" % (path, at), "row has %d columns, expected %d" % (len(row), len(columns)))
            elif marker[2]:
                table.rows.append(("%s:%d" % (path, at), row))
            else:
                constants.append(("%s:%d" % (path, at), row[0], row[1]))
        if not marker[2]:
            continue
        said = re.fullmatch(r"Size: (\d+) bytes\.", " ".join(lines[at:at + 2]).strip())
        if not said:
            error(place, "table of %s is not followed by `Size: N bytes.`" % table.name)
        else:
            table.said_size = int(said[1])
        if table.name in structs:
            error(place, "%s has a table already, at %s" % (table.name, structs[table.name].place))
        structs[table.name] = table


def element_and_count(type_name):
    array = re.fullmatch(r"(\w+)\[(\d+)\]", type_name)
    return (array[1], int(array[2])) if array else (type_name, None)


def size_of(type_name, structs, place, within=()):
    element, count = element_and_count(type_name)
    if element in SIZES:
        size = SIZES[element]
    elif element in structs and element not in within:
        size = sum(size_of(row[2], structs, at, within + (element,)) for at, row in structs[element].rows)
    else:
        error(place, "type %s is not known" % type_name)
        return 0
    return size if count is None else size * count


def assert_struct(table, structs, out):
    name, end = "struct " + table.name, 0
    for place, (offset, size, type_name, field, _) in table.rows:
        if not offset.isdigit() or not size.isdigit():
            error(place, "offset and size are not numbers")
            continue
        if int(offset) != end:
            error(place, "%s.%s is at %s: %s, the field before ends at %d" %
                  (table.name, field, offset, "overlap" if int(offset) < end else "gap", end))
        if size_of(type_name, structs, place) != int(size):
            error(place, "%s.%s is %s bytes, its type %s is %d" %
                  (table.name, field, size, type_name, size_of(type_name, structs, place)))
        end = int(offset) + int(size)
        element, count = element_and_count(type_name)
        c_type = C_TYPES.get(element, "struct " + element)
        pointer = "%s *" % c_type if count is None else "%s (*)[%d]" % (c_type, count)
        out.append('_Static_assert(offsetof(%s, %s) == %s, "%s");' % (name, field, offset, place))
        out.append('_Static_assert(sizeof(((%s *)0)->%s) == %s, "%s");' % (name, field, size, place))
        out.append('_Static_assert(_Generic(&((%s *)0)->%s, %s: 1, default: 0), "%s: not %s");' %
                   (name, field, pointer, place, type_name))
    if table.said_size is not None and table.said_size != end:
        error(table.place, "%s is said to have %d bytes, its fields have %d" % (table.name, table.said_size, end))
    out.append('_Static_assert(sizeof(%s) == %d, "%s");' % (name, end, table.place))


class Header:
    """What disk.h defines. It is plain enough that regular expressions find all of it; a line that
    they cannot place is an error, so that nothing is passed over."""

    def __init__(self, path):
        text = open(path, encoding="utf-8").read()
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
        self.structs, self.enumerators, self.numbers, self.strings = {}, set(), set(), {}
        for define in re.finditer(r"^#define[ \t]+(\w+)[ \t]*(.*)$", text, flags=re.M):
            self.take_define(path, define[1], define[2].strip())
        text = re.sub(r"^#.*$", "", text, flags=re.M)
        text = re.sub(r"\benum\s*\{([^}]*)\}\s*;", self.take_enum, text)
        text = re.sub(r"\bstruct\s+(\w+)\s*\{([^}]*)\}\s*;", self.take_struct, text)
        if text.strip():
            error(path, "cannot tell what this is: %r" % text.strip()[:60])

    def take_define(self, path, name, value):
        if not value:
            return  # the include guard
        if value.startswith('"'):
            self.strings[name] = ast.literal_eval("b" + value)
        elif re.fullmatch(r"(0x[0-9a-fA-F]+|\d+)[uUlL]*", value):
            self.numbers.add(name)
        else:
            error(path, "cannot tell what %s is: %s" % (name, value))

    def take_enum(self, match):
        for item in match[1].split(","):
            if item.strip():
                self.enumerators.add(item.split("=")[0].strip())
        return ""

    def take_struct(self, match):
        fields = [declaration.split()[-1].split("[")[0] for declaration in match[2].split(";")
                  if declaration.strip()]
        self.structs[match[1]] = fields
        return ""


def assert_constants(constants, header, out):
    seen = {}
    for place, name, value in constants:
        if name in seen:
            error(place, "%s is in a table already, at %s" % (name, seen[name]))
        seen[name] = place
        if name in header.strings:
            if not re.fullmatch(r"([0-9a-f]{2} )*[0-9a-f]{2}", value):
                error(place, "%s is bytes; write them as `01 23 ...`" % name)
            elif bytes.fromhex(value) != header.strings[name]:
                error(place, "%s is %s in the header" % (name, header.strings[name].hex(" ")))
        elif name not in header.numbers | header.enumerators:
            error(place, "the header has no %s" % name)
        elif not re.fullmatch(r"\d+|0x[0-9a-f]+", value):
            error(place, "value of %s is not a number" % name)
        else:
            out.append('_Static_assert(%s == %s, "%s");' % (name, value, place))
    for name in sorted((header.numbers | header.enumerators | set(header.strings)) - set(seen)):
        error("the pages", "no table has the constant %s" % name)


def main():
    parser = argparse.ArgumentParser(description="Turns the tables of format-spec/ into static assertions.")
    parser.add_argument("--header", default="lib/format/disk.h")
    parser.add_argument("pages", nargs="+", metavar="PAGE.md")
    arguments = parser.parse_args()
    header, structs, constants = Header(arguments.header), {}, []
    for path in arguments.pages:
        read_page(path, structs, constants)
    out = ["/* spec_assert.c: format-spec/ as assertions; made by tests/spec/spec_assert.py. */",
           "#include <stddef.h>", '#include "format/disk.h"']
    for name, table in structs.items():
        assert_struct(table, structs, out)
        fields = [row[3] for _, row in table.rows]
        if name not in header.structs:
            error(table.place, "the header has no struct %s" % name)
        elif fields != header.structs[name]:
            error(table.place, "fields of %s differ from the header's: %s" %
                  (name, " ".join(sorted(set(fields) ^ set(header.structs[name])) or ["their order"])))
    for name in header.structs:
        if name not in structs:
            error("the pages", "no table has struct %s" % name)
    assert_constants(constants, header, out)
    if errors:
        for message in errors:
            print("spec_assert.py: " + message, file=sys.stderr)
        return 1
    print("\n".join(out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
