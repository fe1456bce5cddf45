#!/usr/bin/env python3
"""follow.py: how long after its acknowledgement a commit is printed by vdb-log --follow.

follow.py INDEX COMMITS makes COMMITS commits of one row, each by a vdb-add of its own, beside a
vdb-log that follows, and prints `P50 P99 MAX` in milliseconds: from when vdb-add has ended to when
the line is here. A line that is here before counts as 0. Ends with 1 if one is missing or wrong.

SPDX-License-Identifier: BSD-2-Clause
"""

import os
import select
import subprocess
import sys
import time


def read_line(pipe, rest, seconds):
    """The next line and when it came, or None after so many seconds."""
    until = time.monotonic() + seconds
    while b"\n" not in rest:
        if not select.select([pipe], [], [], max(0, until - time.monotonic()))[0]:
            return None, 0, rest
        got = os.read(pipe, 65536)
        if not got:
            return None, 0, rest
        rest += got
    line, rest = rest.split(b"\n", 1)
    return line, time.monotonic(), rest


def main():
    index, commits = sys.argv[1], int(sys.argv[2])
    log = subprocess.Popen(["vdb-log", "--follow", "-n", "1", index], stdout=subprocess.PIPE)
    pipe, rest, delays = log.stdout.fileno(), b"", []
    line, _, rest = read_line(pipe, rest, 30)  # the newest there was: it follows from here on
    assert line is not None, "nothing is printed"
    for i in range(commits):
        time.sleep(i * 7 % 20 / 1000)  # at any point between two looks
        row = "follow%d\t1\t2\n" % i
        subprocess.run(["vdb-add", "-q", "--format", "tsv", index], input=row.encode(), check=True)
        acknowledged = time.monotonic()
        line, came, rest = read_line(pipe, rest, 30)
        if line is None or line.split(b"\t")[2:] != [b"add", b"follow%d" % i]:
            sys.exit("follow.py: commit %d: %s" % (i, line))
        delays.append(max(0.0, came - acknowledged))
    log.terminate()
    log.wait()
    delays.sort()
    at = lambda share: 1000 * delays[min(len(delays) - 1, int(share * len(delays)))]
    print("%.1f %.1f %.1f" % (at(0.5), at(0.99), 1000 * delays[-1]))


main()
