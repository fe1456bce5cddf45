#!/usr/bin/env python3
"""vdb_reader.py: a reader of vdb files, version 0.9, written from format-spec/ alone.

It exists to prove the specification: it shares nothing with the library, aims at clearness and not
at speed, and uses Python's standard library only. It opens a file, follows the log to its end, and
then lists, verifies or scans the live rows, of now or of an earlier commit.

SPDX-License-Identifier: BSD-2-Clause
"""

import argparse
import json
import math
import os
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vdb_check import check  # noqa: E402
from vdb_file import METRICS, PART_KINDS, SEGMENT_NAMES, TYPES, Damaged, File, NotKept, Unsupported  # noqa: E402


def number(value, element):
    """Shortest text that reads back as the same number of the stored type."""
    if element in "bB":
        return str(value)
    for digits in range(1, 10):
        text = "%.*g" % (digits, value)
        if struct.pack("<" + element, float(text)) == struct.pack("<" + element, value):
            break
    return "-0.0" if text == "-0" else text  # in JSON, -0 is an integer and loses its sign


def in_order(names):
    return sorted(names, key=str.encode)


def command_info(file, arguments):
    m, sb, states = file.manifest, file.super, file.kept_states()
    kept = [state.commit for state in states.states] if states else []
    print(json.dumps({
        "format": "%d.%d" % (sb.major, sb.minor), "file_bytes": len(file.data), "file_id": sb.file_id.hex(), "generation": sb.generation,
        "dim": m.dim, "metric": METRICS[m.metric], "type": TYPES[m.type][0], "rows": file.rows,
        "live": file.live_count, "deleted": file.rows - file.live_count, "commit": file.commit,
        "commit_time_us": file.time_us, "created_us": m.created_us, "horizon_commit": m.horizon_commit,
        "parts": [{"kind": PART_KINDS[p.kind], "row_begin": p.row_begin, "row_end": p.row_end} for p in file.parts],
        "tail_rows": file.rows - m.row_count,
        "segments": [{"type": SEGMENT_NAMES.get(s.type, s.type), "off": s.off, "len": s.len} for s in file.segments],
        "snapshots": [{"name": name, "commit": file.snapshots[name].commit} for name in in_order(file.snapshots)],
        "kept_commits": kept, "received": {"file_id": file.received[0].hex(), "commit": file.received[1],
                                           "as_commit": file.received[2]} if file.received[2] else None,
        "log_commits": len(file.commits), "log_end": file.log_end_off}))
    return 0


def command_list(file, arguments):
    for name in in_order(file.snapshots):
        s = file.snapshots[name]
        print(json.dumps({"name": name, "commit": s.commit, "commit_time_us": s.commit_time_us,
                          "created_us": s.created_us, "rows": s.row_count, "live": s.live_count,
                          "origin_id": s.origin_id.hex(), "origin_commit": s.origin_commit}, ensure_ascii=False))
    return 0


def command_get(file, arguments):
    wanted, found = set(arguments.ids), set()
    for row, run in file.live_rows():
        name = file.id(row, run)
        if wanted and name not in wanted:
            continue
        found.add(name)
        numbers = ", ".join(number(value, file.element) for value in file.vector(row, run))
        text = file.metadata(row, run)
        print('{"id": %s, "vector": [%s]%s}' % (json.dumps(name, ensure_ascii=False), numbers,
                                                ', "metadata": ' + text if text else ""))
    for name in sorted(wanted - found):
        print("vdb_reader.py: no row has the id %s" % name, file=sys.stderr)
    return 1 if wanted - found else 0


def command_check(file, arguments):
    count = 0
    for finding in check(file):
        print(finding)
        count += 1
    return 1 if count else 0


def distance(metric, x, y):
    dot = math.fsum(a * b for a, b in zip(x, y))
    if metric == 3:
        return -dot
    if metric == 2:
        return 1 - dot / math.sqrt(math.fsum(a * a for a in x) * math.fsum(b * b for b in y))
    return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(x, y)))


def command_search(file, arguments):
    like = [(row, run) for row, run in file.live_rows() if file.id(row, run) == arguments.like]
    if not like:
        print("vdb_reader.py: no row has the id %s" % arguments.like, file=sys.stderr)
        return 1
    query = file.vector(*like[0])
    hits = sorted((distance(file.manifest.metric, file.vector(row, run), query), row, run.begin, run)
                  for row, run in file.live_rows())
    for rank, (far, row, _, run) in enumerate(hits[:arguments.k], 1):
        print("%s\t%d\t%s\t%.9g" % (arguments.like, rank, file.id(row, run), far))
    return 0


def main():
    parser = argparse.ArgumentParser(description="Reads vdb files, version 0.9.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, about in (("info", command_info, "what is in the file, as JSON"),
                             ("list", command_list, "the snapshots as JSON Lines"),
                             ("get", command_get, "live rows as JSON Lines"),
                             ("check", command_check, "verify every checksum and rule"),
                             ("search", command_search, "exact neighbours of a stored vector")):
        command = commands.add_parser(name, help=about)
        command.set_defaults(run=run)
        command.add_argument("file")
        if name in ("get", "search"):
            command.add_argument("--at", metavar="COMMIT|SNAPSHOT", help="rows as they were after that commit")
        if name == "get":
            command.add_argument("ids", nargs="*")
        if name == "search":
            command.add_argument("-k", type=int, default=10)
            command.add_argument("--like", required=True)
    arguments = parser.parse_args()
    try:
        file = File(arguments.file)
        if getattr(arguments, "at", None):
            named = file.snapshots.get(arguments.at)
            file.go_back(named.commit if named else int(arguments.at))
        return arguments.run(file, arguments)
    except OSError as error:
        print("vdb_reader.py: %s: %s" % (arguments.file, error.strerror), file=sys.stderr)
        return 66
    except NotKept as error:
        print("vdb_reader.py: %s: %s" % (arguments.file, error), file=sys.stderr)
        return 1
    except (Damaged, Unsupported, UnicodeDecodeError) as error:
        print("vdb_reader.py: %s: %s" % (arguments.file, error), file=sys.stderr)
        return 65


if __name__ == "__main__":
    sys.exit(main())
