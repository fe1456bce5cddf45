#!/usr/bin/env python3
"""log_life.py: gives an index a life through the tools and holds vdb-log against what it did.

log_life.py INDEX ROUNDS COMMITS RECORD: in each round some COMMITS commits of all kinds, and then a
bulk load, a compaction or nothing; after each, vdb-log must print what was done, no more and no
less, at times between the beginning and the end of the tool that did it. RECORD is left with
COMMIT<tab>OPERATION<tab>ID.

SPDX-License-Identifier: BSD-2-Clause
"""

import random
import subprocess
import sys
from datetime import datetime, timezone

# All that an id may be: it is printed as it is.
STRANGE = ['"quoted"', "back\\slash", "two words", "%s%n", "straße", "日本語", "e\u0301", "\U0001f600",
           "-n", "'", "{}", "a,b;c", "\u00a0", "x" * 1023]


def run(*command, text=""):
    return subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE, check=True).stdout.decode()


def now():
    return datetime.now(timezone.utc)


class Life:
    def __init__(self, index):
        self.index, self.commit, self.record, self.spans = index, 1, [], {}
        self.live, self.deleted, self.random = {}, {}, random.Random(5)
        run("vdb-add", "-q", "--create", "--dim", "2", "--index", "flat", index)
        self.names = ["id%d" % i for i in range(60)] + STRANGE

    def note(self, changes):
        """One commit of [(operation, id)]."""
        self.commit += 1
        self.record += [(self.commit, operation, name) for operation, name in changes]

    def tool(self, *command, text=""):
        first, begun = self.commit + 1, now()
        out = run(*command, text=text)
        return out, first, begun

    def spanned(self, first, begun):
        for commit in range(first, self.commit + 1):
            self.spans[commit] = begun, now()

    def add(self, names, batch):
        lines = "".join("%s\t1\t2\n" % name for name in names)
        _, first, begun = self.tool("vdb-add", "-q", "--format", "tsv", "--batch", str(batch), self.index, text=lines)
        for at in range(0, len(names), batch):
            changes = []
            for name in names[at:at + batch]:
                changes.append(("update" if name in self.live else "add", name))
                self.live[name] = True
                self.deleted.pop(name, None)
            self.note(changes)
        self.spanned(first, begun)

    def mark(self, operation):
        there, other = (self.live, self.deleted) if operation == "delete" else (self.deleted, self.live)
        names = self.random.sample(sorted(there), min(len(there), self.random.randint(1, 4)))
        if not names:
            return
        option = ["--restore"] if operation == "restore" else []
        _, first, begun = self.tool("vdb-rm", "-q", *option, self.index, "--", *names)
        for name in names:
            other[name] = there.pop(name)
        self.note([(operation, name) for name in names])
        self.spanned(first, begun)

    def work(self, commits):
        end = self.commit + commits
        while self.commit < end:
            kind = self.random.random()
            if kind < 0.3:
                self.mark("delete")
            elif kind < 0.5:
                self.mark("restore")
            else:
                batch = self.random.choice([1, 1, 3, 1000])
                self.add([self.random.choice(self.names) for _ in range(self.random.randint(1, 60))], batch)

    def bulk(self):
        """More than the log is for, in one commit; maintenance then makes a part of it."""
        fresh = ["b%d-%d" % (self.commit, i) for i in range(3000)]
        self.add(fresh + self.random.sample(sorted(self.live), 10), 10 ** 6)

    def compact(self):
        run("vdb-compact", "-q", self.index)
        self.deleted = {}

    def check(self):
        last = None
        lines = run("vdb-log", self.index).split("\n")[:-1]
        got = []
        for line in lines:
            commit, time, operation, name = line.split("\t")
            got.append((int(commit), operation, name))
            when = datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
            begun, ended = self.spans[int(commit)]
            assert begun <= when <= ended, "%s is not from %s to %s" % (line, begun, ended)
            assert last is None or last <= when, "%s is before %s" % (line, last)
            last = when
        for i, (one, other) in enumerate(zip(got, self.record)):
            assert one == other, "line %d: %s, not %s" % (i + 1, one, other)
        assert len(got) == len(self.record), "%d lines, not %d" % (len(got), len(self.record))


def main():
    index, rounds, commits = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    life = Life(index)
    for turn in range(rounds):
        life.work(commits)
        life.check()
        [life.bulk, life.compact, life.check][turn % 3]()
        life.check()
    with open(sys.argv[4], "w", encoding="utf-8") as record:
        record.writelines("%d\t%s\t%s\n" % change for change in life.record)


main()
