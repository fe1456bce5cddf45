#!/usr/bin/env python3
"""shim.py: the shipped tools under tests/fault/shim.c: each call fails once, for good, or is the last.

shim.py WORKLOAD... runs each workload again and again: with the first, the second, ... call of each
kind failing, until the run ends without having met the call. After every run it holds the exit
status, what is on stderr, what lies in the folder, and the index: sound by vdb-check --deep, and
its rows those of before or after.

SPDX-License-Identifier: BSD-2-Clause
"""

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

# In memory, where it is to be had: no disk's syncs are waited for.
FAST = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None
MODE = os.environ.get("VDB_MODE", "release")
BUILD = os.environ["VDB_BUILD"]
STRIDE = 1 if MODE in ("release", "debug", "clang") else 9  # a named share: every ninth call
RUNTIME = {"asan": "libasan.so", "tsan": "libtsan.so"}
ENDED = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EDQUOT": errno.EDQUOT, "EINTR": errno.EINTR,
         "EMFILE": errno.EMFILE, "ENOLCK": errno.ENOLCK, "EOPNOTSUPP": errno.EOPNOTSUPP,
         "ENOMEM": errno.ENOMEM}

# (call, what happens, from then on always, exit statuses that the tools' contract has for it).
# Where a call was not needed, a run may succeed all the same.
FAULTS = [
    ("pwrite", "EIO", False, {74}), ("pwrite", "ENOSPC", True, {74}),
    ("pwrite", "EINTR", False, set()), ("pwrite", "short", False, set()),
    ("fdatasync", "EIO", False, {74}), ("fsync", "EIO", False, {73, 74}),
    ("fallocate", "ENOSPC", False, {74}), ("fallocate", "EDQUOT", True, {74}),
    ("open", "EMFILE", False, {66, 73, 74}), ("open", "EMFILE", True, {66, 73, 74}),
    ("rename", "EIO", False, {73}),
    ("lock", "ENOLCK", True, {73}), ("lock", "EOPNOTSUPP", True, {73}),
    ("mmap", "ENOMEM", False, {66, 74}), ("mmap", "ENOMEM", True, {66, 74}),
    ("malloc", "ENOMEM", False, {66, 73, 74}), ("malloc", "ENOMEM", True, {66, 73, 74}),
] + [(call, kill, False, {-9}) for call in ("pwrite", "fdatasync", "fsync", "fallocate", "rename",
                                            "unlink")
     for kill in ("kill-before", "kill-after")]


def tool(*words, **more):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, **more)


def rows(first, end, dim, value):
    return "".join('{"id": "r%d", "vector": [%s]}\n' % (i, ", ".join([str(value + i)] + ["1"] * (dim - 1)))
                   for i in range(first, end))


class Workload:
    """A command over the index x.vdb, the states it may leave, and the files that it may add."""

    def __init__(self, name, command, dim=4, old=40, new="", index=(), made=(), memory_stride=1,
                 before=()):
        self.name, self.command, self.new = name, command, new
        self.made, self.memory_stride = set(made), memory_stride
        self.room = tempfile.TemporaryDirectory(prefix="shim-", dir=FAST)
        self.place = self.room.name
        self.base = os.path.join(self.place, "base")
        os.mkdir(self.base)
        self.write("new.jsonl", new)
        if old:
            self.write("old.jsonl", rows(0, old, dim, 0))
            done = tool("vdb-add", "-q", "--create", *index, "x.vdb", "old.jsonl", cwd=self.base)
            assert done.returncode == 0, done.stderr
            tool("vdb-rm", "x.vdb", "r1", "r2", cwd=self.base)
        for words in before:
            done = tool("sh", "-c", words, cwd=self.base)
            assert done.returncode == 0, done.stderr
        self.checked = {}

    def write(self, name, text):
        with open(os.path.join(self.base, name), "w") as file:
            file.write(text)

    def fresh(self):
        folder = os.path.join(self.place, "work")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.base, folder)
        return folder

    def run(self, folder, env):
        words = [os.path.join(folder, w) if w.endswith(".vdb") else w for w in self.command]
        stream = os.path.join(folder, "stream")
        with open(stream if os.path.exists(stream) else os.devnull, "rb") as stdin:
            return tool(*words, cwd=folder, env={**os.environ, **env}, stdin=stdin)

    def state(self, folder):
        """What the index says, None where there is none; it has to be sound."""
        path = os.path.join(folder, "x.vdb")
        if not os.path.exists(path):
            return None
        with open(path, "rb") as file:
            sum_of = hashlib.sha1(file.read()).digest()
        if sum_of not in self.checked:
            sound = tool("vdb-check", "--deep", path)
            assert sound.returncode == 0, "not sound: " + sound.stdout + sound.stderr
            live = tool("vdb-get", path)
            assert live.returncode == 0, live.stderr
            named = tool("vdb-snap", path)
            assert named.returncode == 0, named.stderr
            self.checked[sum_of] = live.stdout + "".join(
                re.sub("\t[^\t]*", "", line, count=1) for line in named.stdout.splitlines(True))
        return self.checked[sum_of]

    def states(self):
        """Before, after, and for a run of several commits those between, in order."""
        folder = self.fresh()
        before = self.state(folder)
        if "--batch" not in self.command:
            done = self.run(folder, {})
            assert done.returncode == 0, done.stderr
            return [before, self.state(folder)]
        found = [before]
        lines = self.new.splitlines(True)
        for end in range(2, len(lines) + 1, 2):
            self.write("new.jsonl", "".join(lines[:end]))
            folder = self.fresh()
            done = self.run(folder, {})
            assert done.returncode == 0, done.stderr
            found.append(self.state(folder))
        return found


def preload():
    shim = os.path.join(BUILD, "tests", "aid", "shim.so")
    if MODE not in RUNTIME:
        return shim
    found = tool(os.environ.get("CC", "gcc"), "-print-file-name=" + RUNTIME[MODE]).stdout.strip()
    assert os.path.isabs(found), "no runtime of the sanitizer"
    return found + " " + shim


def environment(folder, call, nth, what, always):
    env = {"LD_PRELOAD": preload(), "VDB_SHIM_CALL": call, "VDB_SHIM_NTH": str(nth),
           "VDB_SHIM_FOLDER": folder, "VDB_SHIM_MET": os.path.join(os.path.dirname(folder), "met"),
           "VDB_SHIM_DO": "errno=%d" % ENDED[what] if what in ENDED else what}
    if always:
        env["VDB_SHIM_ALWAYS"] = "1"
    return env


def judge(work, folder, done, call, what, statuses, states):
    """Raises what is wrong with a run in which the call was met."""
    status, lines = done.returncode, done.stderr.splitlines()
    state = work.state(folder)
    killed = status == -9
    assert status == 0 or status in statuses, "exit status"
    if status == 0:
        # Only an index part may be missing for it, and that is said.
        # Nor is what is left to do once the new file has its name: to mark the old one, and to stand
        # in line behind those who wait for its lock. Without locks an output can be written, too.
        hint = work.name == "compact" and call in ("pwrite", "lock")
        hint |= work.name == "output" and call == "lock"
        needed = not hint and call in ("pwrite", "fdatasync", "fsync", "fallocate", "rename", "lock")
        assert not needed or what in ("EINTR", "short") or ": warning: " in done.stderr, "not seen"
        assert state == states[-1], "it says that it is done, and the index is not as after it"
    elif killed:
        assert state in states, "neither the old nor the new state"
    else:
        told = [line for line in lines if re.search(r": (\d+ records|the rows) are in, to commit ", line)]
        count = re.search(r"(\d+) records are in", told[0]) if told else None
        at = int(count.group(1)) // 2 if count else len(told)
        unknown = call in ("fdatasync", "fsync")
        assert state in states[at:at + 1] or (unknown and state in states[at:at + 2]), "state"
        rest = [line for line in lines if line not in told and ": warning: " not in line]
        assert len(rest) == 1, "more or less than one message"
        assert re.match(r"vdb-[a-z]+: .*(x\.vdb|out\.vdb|memory)", rest[0]), "it does not name the index"
    there = {name for name in os.listdir(folder)}
    before = {name for name in os.listdir(work.base)}
    if not killed and call != "unlink":
        assert there <= before | work.made | {"x.vdb"}, "left behind: %s" % (there - before)
    if killed and any(".tmp-" in name for name in there):  # it goes with the next run
        again = work.run(folder, {})
        assert again.returncode == 0, "the next run: " + again.stderr
        assert not any(".tmp-" in name for name in os.listdir(folder)), "what it was making is left"
    elif killed and state is not None:  # the next writer is not in any way held up
        line = '{"id": "next", "vector": [%s]}\n' % ", ".join(["3"] * dimension(state))
        again = tool("vdb-add", "-q", "--wait", "0", "x.vdb", input=line, cwd=folder)
        assert again.returncode == 0, "the next writer: " + again.stderr
        assert '{"id": "next"' in work.state(folder), "the next writer's row"


def dimension(state):
    return state.split("\n", 1)[0].count(",") if state else 4


def sweep(work):
    states, runs, wrong = work.states(), 0, 0
    met = os.path.join(work.place, "met")
    for call, what, always, statuses in FAULTS:
        if call == "malloc" and MODE in RUNTIME:
            continue
        nth = 1
        while True:
            folder = work.fresh()
            if os.path.exists(met):
                os.remove(met)
            done = work.run(folder, environment(folder, call, nth, what, always))
            if not os.path.exists(met):
                break
            runs += 1
            try:
                judge(work, folder, done, call, what, statuses, states)
            except AssertionError as error:
                wrong += 1
                print("%s: %s %d: %s%s: %s\n  ended with %d: %s" % (
                    work.name, call, nth, what, " from then on" if always else "", error,
                    done.returncode, done.stderr.strip()))
            nth += STRIDE * (work.memory_stride if call == "malloc" else 1)
    work.room.cleanup()
    print("%s: %d runs, %d wrong" % (work.name, runs, wrong))
    return wrong or runs == 0


FLAT = ("--index", "flat")
WORKLOADS = {
    "create": lambda: Workload("create", ["vdb-add", "-q", "--create", "x.vdb", "new.jsonl"], old=0,
                               new=rows(0, 30, 4, 0)),
    "add": lambda: Workload("add", ["vdb-add", "-q", "x.vdb", "new.jsonl"],
                            new=rows(20, 60, 4, 0.5)),
    "bulk": lambda: Workload("bulk", ["vdb-add", "-q", "-j1", "x.vdb", "new.jsonl"], dim=32,
                             index=FLAT, new=rows(20, 2200, 32, 0.5), memory_stride=9),
    "batch": lambda: Workload("batch", ["vdb-add", "-q", "--batch", "2", "x.vdb", "new.jsonl"],
                              new=rows(38, 44, 4, 0.5)),
    "rm": lambda: Workload("rm", ["vdb-rm", "-q", "x.vdb", "r7", "r9"]),
    "compact": lambda: Workload("compact", ["vdb-compact", "-q", "-j1", "x.vdb"]),
    "output": lambda: Workload("output", ["vdb-compact", "-q", "-j1", "-o", "out.vdb", "x.vdb"],
                               made=["out.vdb"]),
    "snapshot": lambda: Workload("snapshot", ["vdb-snap", "-q", "x.vdb", "create", "now"]),
    "restore": lambda: Workload("restore", ["vdb-snap", "-q", "x.vdb", "restore", "2"]),
    "receive": lambda: Workload("receive", ["vdb-snap", "-q", "x.vdb", "recv"], before=[
        "vdb-snap x.vdb create a && vdb-snap x.vdb send a >whole && vdb-rm x.vdb r5",
        "vdb-snap x.vdb create b && vdb-snap x.vdb send --from a b >stream",
        "rm x.vdb && vdb-snap x.vdb recv <whole && rm whole"]),
}

if __name__ == "__main__":
    sys.exit(1 if sum(sweep(WORKLOADS[name]()) for name in sys.argv[1:]) else 0)
