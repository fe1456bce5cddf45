#!/usr/bin/env python3
"""vdb_reader.py: lists, checks, gets and searches an index file, by format-spec/ alone.

Exit status: 0; 1: damaged (check), or what was asked for is not there; 2: wrong usage;
65: the file, or a query, cannot be read; 66: there is no such file.
SPDX-License-Identifier: BSD-2-Clause
"""
import argparse, heapq, json, math, sys
from operator import mul
from check import check
from index import Index
from storage import Damaged, Refused, Span

def show_list(file, _):  # a line of JSON for each structure: its fields, and what follows of them
    m = (index := Index(file)).manifest
    for kind, entries in (("superblock", [index.slot]), ("manifest", [m]), ("part", m.parts),
                          ("segment", m.segments), ("extent", m.extents), ("state", index.states),
                          ("record", index.records), ("name", index.names.values())):
        for entry in entries:
            print(json.dumps({"structure": kind} | {
                name: value.hex() if isinstance(value, bytes) else value for name, value
                in vars(entry).items() if isinstance(value, (int, str)) or name.endswith("_id")}))

def show_faults(file, _):
    faults = check(file)
    sys.stdout.writelines("%s\t%d\t%s\n" % fault.args for fault in faults)
    return 1 if faults else 0

def show_rows(file, options):  # numbers in all the digits that they have
    found = {}
    for _, name, vector, metadata in Index(file).rows(options.at):
        if not options.ids or name in options.ids:
            row = json.dumps({"id": name, "vector": vector}, ensure_ascii=False).encode()
            found[name] = row[:-1] + (b', "metadata": ' + metadata if metadata else b"") + b"}\n"
            if not options.ids:
                sys.stdout.buffer.write(found.pop(name))
    for name in options.ids:
        sys.stdout.buffer.write(found.get(name, b""))
        if name not in found:
            print(f"{options.file}: no such id: {name}", file=sys.stderr)
    return 1 if set(options.ids) - set(found) else 0

DISTANCES = {1: math.dist, 3: lambda x, y: -math.fsum(map(mul, x, y)), 2: lambda x, y:
             1 - math.fsum(map(mul, x, y)) / (math.hypot(*x) * math.hypot(*y) or math.inf)}

def show_nearest(file, options):
    index, status = Index(file), 1
    dim, distance = index.manifest.dim, DISTANCES[index.manifest.metric]
    for number, line in enumerate(sys.stdin.buffer):
        try:
            query = json.loads(line)
            query = query if isinstance(query, dict) else {"vector": query}
            vector = [float(x) for x in query["vector"]]
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            vector = []
        if len(vector) != dim or not all(map(math.isfinite, vector)):
            raise Refused(65, f"line {number + 1} of standard input is no vector of {dim} numbers")
        near = ((distance(vector, x), row, name) for row, name, x, _ in index.rows(options.at))
        for rank, (far, _, name) in enumerate(heapq.nsmallest(options.k, near), 1):
            print(query.get("id", number), rank, name, far, sep="\t")
            status = 0
    return status

def main():
    commands = {"list": show_list, "check": show_faults, "get": show_rows, "search": show_nearest}
    parser = argparse.ArgumentParser(description="Reads vdb index files, by format-spec/ alone.")
    parser.add_argument("command", choices=commands)
    parser.add_argument("file")
    parser.add_argument("ids", metavar="ID", nargs="*", help="get: these rows alone")
    parser.add_argument("--at", metavar="WHEN", help="get, search: a name, a commit or a time")
    parser.add_argument("-k", metavar="N", type=int, default=10, help="search: so many neighbours")
    options = parser.parse_intermixed_args()
    try:
        with open(options.file, "rb") as file:
            whole = Span(file, "file", 0, file.seek(0, 2))
            return commands[options.command](whole, options)
    except Damaged as damage:
        status, message = 65, "{2} ({0}, offset {1})".format(*damage.args)
    except Refused as refusal:
        status, message = refusal.args
    except OSError as error:
        status, message = 66, error.strerror
    print(f"{options.file}: {message}", file=sys.stderr)
    return status

if __name__ == "__main__":
    sys.exit(main())
