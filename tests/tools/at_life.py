#!/usr/bin/env python3
"""at_life.py: gives an index a life through the tools and holds each of its past commits against
what was there then.

at_life.py INDEX COMMITS STATES: some COMMITS commits that add, replace, delete, restore and go back,
with bulk loads among them; snapshots are taken now and then. Afterwards vdb-get, vdb-stat,
vdb-search and vdb-snap diff are asked about every commit by its number, of some by name or time. STATES
becomes a folder with the rows of each commit, COMMIT.tsv, in the order of their ids.

SPDX-License-Identifier: BSD-2-Clause
"""

import json
import os
import random
import subprocess
import sys


def run(*command, text=""):
    return subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE, check=True).stdout.decode()


def table(rows):
    return "".join("%s\t%d\t%d\n" % (name, *rows[name]) for name in sorted(rows))


def sorted_table(text):
    return "".join(sorted(text.splitlines(keepends=True), key=lambda line: line.split("\t")[0]))


class Life:
    def __init__(self, index):
        self.index, self.random = index, random.Random(8)
        self.live, self.deleted = {}, {}
        run("vdb-add", "-q", "--create", "--dim", "2", index)
        self.states, self.names = {1: ({}, {})}, {}

    def note(self):
        self.states[max(self.states) + 1] = (dict(self.live), dict(self.deleted))

    def put(self, names):
        rows = {name: (self.random.randrange(1000), self.random.randrange(1000)) for name in names}
        run("vdb-add", "-q", "--format", "tsv", self.index, "-", text=table(rows))
        self.live.update(rows)
        for name in rows:
            self.deleted.pop(name, None)
        self.note()

    def rm(self, names):
        run("vdb-rm", self.index, *names)
        for name in names:
            self.deleted[name] = self.live.pop(name)
        self.note()

    def restore(self, names):
        run("vdb-rm", "--restore", self.index, *names)
        for name in names:
            self.live[name] = self.deleted.pop(name)
        self.note()

    def go_back(self, commit):
        was = self.states[commit][0]
        if was == self.live:
            return
        run("vdb-snap", "-q", self.index, "restore", str(commit))
        for name in list(self.live):
            if name not in was:
                self.deleted[name] = self.live[name]
        for name in was:
            self.deleted.pop(name, None)
        self.live = dict(was)
        self.note()

    def step(self):
        which = self.random.random()
        some = lambda names, most: self.random.sample(sorted(names), self.random.randint(1, min(most, len(names))))
        if which < 0.5 or not self.live:
            self.put({"id%d" % self.random.randrange(60) for _ in range(self.random.randint(1, 4))})
        elif which < 0.7:
            self.rm(some(self.live, 3))
        elif which < 0.8 and self.deleted:
            self.restore(some(self.deleted, 3))
        elif which < 0.9:
            self.go_back(self.random.choice(sorted(self.states)))
        else:
            name = "snap %d" % len(self.names)
            assert run("vdb-snap", self.index, "create", name) == name + "\n"
            self.names[name] = max(self.states)

    def time_of(self, commit):
        return dict(line.split("\t")[:2] for line in run("vdb-log", self.index).splitlines()).get(str(commit))

    def check(self, when, commit):
        live = self.states[commit][0]
        got = sorted_table(run("vdb-get", "--format", "tsv", "--at", when, self.index))
        assert got == table(live), (when, commit, got, table(live))
        stat = json.loads(run("vdb-stat", "--json", "--at", when, self.index))
        assert stat["live"] == len(live) and stat["commit"] == commit, (when, commit, stat)
        assert stat["rows"] - stat["deleted"] == stat["live"], stat
        if not live:
            return
        query = self.random.choice(sorted(live))
        found = run("vdb-search", "--exact", "-k", "5", "--json", "--at", when, "--like", query, self.index)
        distances = [json.loads(line)["distance"] for line in found.splitlines()]
        x, y = live[query]
        true = sorted(((x - a) ** 2 + (y - b) ** 2) ** 0.5 for a, b in live.values())[:5]
        assert len(distances) == len(true), (when, commit, query, found)
        assert all(abs(d - t) < 1e-3 for d, t in zip(distances, true)), (when, commit, query, found, true)
        assert all(json.loads(line)["id"] in live for line in found.splitlines()), (when, commit, found)

    def check_diff(self, a, b):
        """By ids and vectors: a row that was replaced by one like it is an update, too."""
        was, now = self.states[a][0], self.states[b][0]
        lines = [line.split("\t") for line in run("vdb-snap", self.index, "diff", str(a), str(b)).splitlines()]
        assert len({name for _, name in lines}) == len(lines), (a, b, lines)
        told = {what: {name for word, name in lines if word == what} for what in ("add", "update", "delete")}
        assert sum(map(len, told.values())) == len(lines), lines
        assert told["add"] == now.keys() - was.keys(), (a, b, told)
        assert told["delete"] == was.keys() - now.keys(), (a, b, told)
        assert told["update"] <= now.keys() & was.keys(), (a, b, told)
        changed = {name for name in now.keys() & was.keys() if now[name] != was[name]}
        assert changed <= told["update"], (a, b, changed, told)


def main():
    index, commits, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    life = Life(index)
    for step in range(commits):
        life.step()
        if step == commits // 3:
            life.put({"load%d" % i for i in range(3000)})
        if step == commits // 2:
            life.rm(sorted(name for name in life.live if name.startswith("load"))[:2500])
    last = max(life.states)
    os.mkdir(folder)
    for commit, (live, _) in life.states.items():
        with open("%s/%d.tsv" % (folder, commit), "w") as out:
            out.write(table(live))
    for commit in life.states:
        life.check(str(commit), commit)
    for name, commit in life.names.items():
        life.check(name, commit)
    for commit in life.random.sample(range(2, last), 8):
        when = life.time_of(commit)
        if when:
            life.check(when, commit)
    for _ in range(30):
        life.check_diff(life.random.randint(1, last), life.random.randint(1, last))
    print(last, len(life.names))


main()
