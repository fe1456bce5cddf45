#!/usr/bin/env python3
"""powercut.py: cuts the power of a disk on which the tools are writing, and looks at what is left.

powercut.py DISK MODE CUTS SEED, where DISK is the program powercut_disk and MODE an ext4 data mode,
and powercut.py DISK compact|create SHIM, where SHIM is an object that makes calls slow (shim.c),
work in the current directory. Nobody unmounts anything: it is to be run in mount and process
namespaces of its own, with whose end all mounts, loop devices and processes go.

A stream of batches, small runs and compactions go on at a time. What they have acknowledged when
the order to cut is given must be there, what they had not begun when it is carried out must not,
and the batches between must be there whole or not at all.

SPDX-License-Identifier: BSD-2-Clause
"""

import json
import os
import random
import re
import subprocess
import sys
import threading
import time

SLOTS, SLOT_ROWS, SMALL_ROWS = 100, 10, 5
KEEPS = ("none", "sectors", "first", "all")


class Wrong(Exception):
    pass


def run(*command, given=None, allowed=(0,)):
    done = subprocess.run(command, input=given, capture_output=True, text=True)
    if done.returncode not in allowed:
        raise Wrong(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done


def record(name, number, big=False):
    # Random letters do not pack: batches of such rows are too large to stand in the log itself.
    filler = {"x": random.Random(name + str(number)).randbytes(16000).hex()} if big else {}
    return json.dumps({"id": name, "vector": [number >> 16, number >> 8 & 255, number & 255, 1],
                       "metadata": {"n": number, **filler}}) + "\n"


def commit_in(text):
    """The highest number of a commit that a tool names in what it tells."""
    return max((int(n) for n in re.findall(r"\bcommit (\d+)", text)), default=0)


class Writers:
    """What writes to the index, and what is known of it: `known` and `begun` of a kind are how many
    of its runs or batches have been acknowledged, and how many may have been begun."""

    def __init__(self, index):
        self.index = index
        self.lock = threading.Lock()
        self.known = {"stream": 0, "small": 0, "compact": 0}
        self.begun = {"stream": 0, "small": 0, "compact": 0}
        self.commit = 0
        self.wrong = None
        self.over = False
        self.threads = [threading.Thread(target=self.guard, args=(work,), daemon=True)
                        for work in (self.stream, self.small, self.compact)]
        for thread in self.threads:
            thread.start()

    def guard(self, work):
        try:
            work()
        except (Wrong, OSError) as wrong:
            self.wrong = self.wrong or wrong

    def begin(self, kind):
        with self.lock:
            self.begun[kind] += 1

    def acknowledge(self, kind, count, commit):
        with self.lock:
            self.known[kind] = max(self.known[kind], count)
            self.commit = max(self.commit, commit)

    def facts(self):
        with self.lock:
            return dict(self.known), dict(self.begun), self.commit

    def stream(self):
        """Batch b puts the ids of slot b % SLOTS anew."""
        add = subprocess.Popen(["vdb-add", "--json", "--batch", str(SLOT_ROWS), self.index, "-"],
                               text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)

        def listen():
            for line in add.stdout:
                told = json.loads(line)
                if "records" in told:
                    self.acknowledge("stream", told["records"] // SLOT_ROWS, told["commit"])

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            while not self.over:
                batch = self.begun["stream"]
                self.begin("stream")
                add.stdin.write("".join(record(f"s{batch % SLOTS}.{i}", batch, batch % 16 == 7)
                                        for i in range(SLOT_ROWS)))
                add.stdin.flush()
                time.sleep(0.002)
            add.stdin.close()
        except BrokenPipeError:
            pass
        listener.join()
        if add.wait() != 0:
            raise Wrong(f"vdb-add --batch ended with {add.returncode}: {add.stderr.read().strip()}")

    def small(self):
        """Run r puts SMALL_ROWS ids anew, or where r % 3 is 2 removes them."""
        while not self.over:
            number = self.begun["small"]
            self.begin("small")
            if number % 3 == 2:
                done = run("vdb-rm", self.index, *(f"r{i}" for i in range(SMALL_ROWS)))
            else:
                done = run("vdb-add", self.index, "-",
                           given="".join(record(f"r{i}", number) for i in range(SMALL_ROWS)))
            self.acknowledge("small", number + 1, commit_in(done.stderr + done.stdout))

    def compact(self):
        while not self.over:
            self.begin("compact")
            done = run("vdb-compact", self.index, allowed=(0, 75))  # another may maintain it
            if done.returncode == 0:
                self.acknowledge("compact", self.known["compact"] + 1, 0)
            time.sleep(random.random() * 0.2)

    def stop(self):
        self.over = True
        for thread in self.threads:
            thread.join(60)
            if thread.is_alive():
                raise Wrong("a writer does not end")
        if self.wrong:
            raise self.wrong


def rows_of(index):
    rows = {}
    for line in run("vdb-get", index).stdout.splitlines():
        row = json.loads(line)
        number = row["metadata"]["n"]
        if row["vector"] != [number >> 16, number >> 8 & 255, number & 255, 1]:
            raise Wrong(f"row {row['id']} has the vector of another batch: {line[:300]}")
        if "x" in row["metadata"] and row["metadata"] != json.loads(
                record(row["id"], number, True))["metadata"]:
            raise Wrong(f"row {row['id']} has metadata that nobody wrote: {line[:300]}")
        rows[row["id"]] = number
    return rows


def judge_stream(rows, known, begun):
    """Returns how many batches are there: the first so many, each of them whole."""
    slots = {}
    for name, number in rows.items():
        slot, place = name[1:].split(".")
        slots.setdefault(int(slot), {})[int(place)] = number
    count = 1 + max((number for slot in slots.values() for number in slot.values()), default=-1)
    if not known <= count <= begun:
        raise Wrong(f"{count} batches of the stream are there, {known} were acknowledged and {begun}"
                    " begun")
    for slot in range(SLOTS):
        newest = count - 1 - (count - 1 - slot) % SLOTS
        wanted = {} if newest < 0 else dict.fromkeys(range(SLOT_ROWS), newest)
        if slots.get(slot, {}) != wanted:
            raise Wrong(f"of {count} batches of the stream, slot {slot} is to have batch {newest}"
                        f" and has {slots.get(slot, {})}")
    return count


def judge_small(rows, known, begun):
    """Runs known..begun may be the last one that is there, counted from 1; 0 is none."""
    for last in range(known, begun + 1):
        there = last > 0 and (last - 1) % 3 != 2
        if rows == ({f"r{i}": last - 1 for i in range(SMALL_ROWS)} if there else {}):
            return
    raise Wrong(f"after runs {known} to {begun} of the small ones the rows are not {rows}")


def judge(index, known, begun, commit):
    run("vdb-check", "--deep", index)
    stat = dict(line.split("\t", 1) for line in run("vdb-stat", index).stdout.splitlines()
                if "\t" in line)
    if int(stat["commit"]) < commit:
        raise Wrong(f"the newest commit is {stat['commit']}, {commit} was acknowledged")
    rows = rows_of(index)
    count = judge_stream({n: v for n, v in rows.items() if n[0] == "s"}, known["stream"],
                         begun["stream"])
    judge_small({n: v for n, v in rows.items() if n[0] == "r"}, known["small"], begun["small"])
    # Life goes on, and a compaction leaves nothing of one that the cut has ended.
    run("vdb-add", index, "-", given=record("after", 7))
    run("vdb-compact", index)
    if rows_of(index) != {**rows, "after": 7}:
        raise Wrong("a commit and a compaction after the cut changed other rows")
    run("vdb-check", "--deep", index)
    left = [name for name in os.listdir(os.path.dirname(index)) if name.endswith(".compact")]
    if left:
        raise Wrong(f"{left} is left behind")
    return count


class Disk:
    def __init__(self, program, mode):
        run("truncate", "-s", "128M", "base")
        run("mkfs.ext4", "-q", "-F", "base")
        # auto_da_alloc would hide a rename that comes before the data of what is renamed.
        self.options = f"loop,noauto_da_alloc,data={mode}"
        open("disk", "w").close()
        self.process = subprocess.Popen([program, "base", "disk"], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout.readline() != "ready\n":
            raise Wrong("the disk did not start")
        self.mount("disk", "live")

    def mount(self, image, folder):
        os.makedirs(folder, exist_ok=True)
        run("mount", "-t", "ext4", "-o", self.options, image, folder)

    def cut(self, keep, after):
        self.process.stdin.write(f"cut {after} {keep} {random.getrandbits(32)} cut\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline()
        if not said.startswith("cut"):
            raise Wrong("the disk is gone")
        return said.strip()


def cut_before_name(program, how, shim):
    """An index gets its name by a compaction or a creation whose syncs are slow, so that the name
    is not durable yet. What another process commits to it meanwhile, and is told of, must stay."""
    disk = Disk(program, "ordered")
    index = "live/x.vdb"
    command = ["vdb-compact", index]
    if how == "create":
        command = ["vdb-add", "--create", "--dim", "4", "--type", "f32", index, "-"]
    else:
        run("vdb-add", "--create", "--dim", "4", "--type", "f32", index, "-",
            given=record("first", 1))
    before = os.stat(index).st_ino if how == "compact" else None
    slow = {"LD_PRELOAD": shim, "VDB_SHIM_CALL": "fsync", "VDB_SHIM_NTH": "1",
            "VDB_SHIM_ALWAYS": "1", "VDB_SHIM_DO": "delay=700", "VDB_SHIM_FOLDER": "live",
            "VDB_SHIM_MET": "met"}
    maker = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, stderr=subprocess.PIPE,
                             env={**os.environ, **slow})
    if how == "create":
        maker.stdin.write(record("first", 1))
    maker.stdin.close()
    deadline = time.monotonic() + 60
    while not os.path.exists(index) or os.stat(index).st_ino == before:
        if maker.poll() is not None or time.monotonic() > deadline:
            maker.kill()
            raise Wrong(f"{command[0]} does not come to name the file: {maker.stderr.read()}")
        time.sleep(0.005)
    run("vdb-add", index, "-", given=record("second", 2))
    said = disk.cut("none", 0)
    disk.mount("cut", "after")
    there = os.path.exists("after/x.vdb")
    rows = rows_of("after/x.vdb") if there else "no index"
    if rows != {"first": 1, "second": 2}:
        raise Wrong(f"second was acknowledged, and after a power cut there is {rows} ({said})")
    if not os.path.exists("met"):
        raise Wrong(f"{command[0]} has not been slow")
    if maker.wait() != 0:
        raise Wrong(f"{command[0]} ended with {maker.returncode}: {maker.stderr.read().strip()}")


def storm_of_cuts(program, mode, cuts, seed):
    random.seed(seed)
    began = time.monotonic()
    disk = Disk(program, mode)
    run("vdb-add", "--create", "--dim", "4", "--type", "f32", "live/x.vdb", "-", given="")
    writers = Writers("live/x.vdb")
    between = 0
    for number in range(cuts):
        time.sleep(0.1 + 0.3 * random.random())
        if writers.wrong:
            raise writers.wrong
        keep = KEEPS[number % len(KEEPS)]
        known, _, commit = writers.facts()
        # At once, or in the midst of a commit.
        said = disk.cut(keep, random.choice((0, random.randrange(60))))
        _, begun, _ = writers.facts()
        try:
            disk.mount("cut", "after")
            judge("after/x.vdb", known, begun, commit)
            run("umount", "after")
        except Wrong as wrong:
            raise Wrong(f"cut {number}, {keep} kept ({said}; acknowledged {known}, commit {commit};"
                        f" begun {begun}): {wrong}") from wrong
        between += sum(begun[kind] > known[kind] for kind in begun)
    writers.stop()
    known, _, commit = writers.facts()
    print(f"seed {seed}, data={mode}: {cuts} cuts in {time.monotonic() - began:.1f} s; {commit}"
          f" commits: {known['stream']} batches, {known['small']} small runs; {known['compact']}"
          f" compactions; {between} times something was under way")
    if min(known.values()) < 2:
        raise Wrong("too little was going on")


try:
    if sys.argv[2] in ("compact", "create"):
        cut_before_name(*sys.argv[1:4])
    else:
        storm_of_cuts(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
except Wrong as wrong:
    sys.exit(f"powercut.py: {wrong}")
