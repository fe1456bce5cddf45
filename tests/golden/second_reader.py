#!/usr/bin/env python3
"""second_reader.py: what the reader of format-spec/reader/ says of many files, in one process.

usage: second_reader.py SOURCE_DIR < COMMANDS

Each line of standard input is a command line of the reader, its words apart by tabs. For each, a line
`STATUS<tab>OUTPUT<tab>MESSAGE` goes to standard output, with what the reader printed as a JSON string.

SPDX-License-Identifier: BSD-2-Clause
"""

import contextlib
import io
import json
import os
import runpy
import sys

sys.dont_write_bytecode = True
FOLDER = os.path.join(sys.argv[1], "format-spec", "reader")
READER = os.path.join(FOLDER, "vdb_reader.py")
sys.path.insert(0, FOLDER)


def run(words):
    """Its exit status, standard output and standard error."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    sys.argv = [READER, *words]
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(READER, run_name="__main__")
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode(errors="replace"))
    return status, texts[0], texts[1]


def main():
    for line in sys.stdin.read().splitlines():
        status, out, err = run(line.split("\t"))
        sys.stdout.write("%d\t%s\t%s\n" % (status, json.dumps(out), json.dumps(err)))


main()
