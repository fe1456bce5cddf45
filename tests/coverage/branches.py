#!/usr/bin/env python3
"""branches.py: holds the branches that tests have taken against the misses that have a reason.

branches.py BUILD          what gcov has counted in BUILD (build/coverage), of the files below
branches.py --list BUILD   the misses as lines for misses.txt, without reasons
branches.py --syntax       misses.txt alone: its form, and that what it names is in the source

A branch is one outcome of a condition, as gcov counts them in a build without optimization: `a && b`
has four. A line of misses.txt is FILE:FUNCTION | NUMBER | CONDITION | REASON, where CONDITION is the
line of source that holds it and NUMBER says how many of its branches no test takes. A line that
begins with `= NAME: ` holds a reason that others give by its name. Exits 1 where a miss has no
reason, or where there are fewer misses than the list says: then its line is to go.

SPDX-License-Identifier: BSD-2-Clause
"""

import collections
import fnmatch
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIST = os.path.join(ROOT, "tests", "coverage", "misses.txt")
# The layers of the format, of the log, and of the locks.
FILES = ("lib/format/*.[ch]", "lib/base/filelock.c", "lib/db/locks.c", "lib/db/append.c",
         "lib/db/commit.c", "lib/state/tail.c")


def wanted(path):
    return any(fnmatch.fnmatch(path, pattern) for pattern in FILES)


def count(build):
    """{(file, line): {function: [branches' counts]}}, {file: {line: count}}: sums over all objects,
    since functions of headers are in many."""
    branches, lines = {}, collections.defaultdict(collections.Counter)
    objects = os.path.join(build, "obj", "lib")
    data = [os.path.join(folder, name) for folder, _, names in os.walk(objects)
            for name in sorted(names) if name.endswith(".gcno")]
    if not any(os.path.exists(name[:-4] + "gcda") for name in data):
        sys.exit(f"branches.py: no test has run in {build}: see make coverage")
    for name in data:
        done = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", name],
                              cwd=ROOT, capture_output=True, check=False)
        if done.returncode:
            sys.exit(f"branches.py: gcov {name}: {done.stderr.decode(errors='replace').strip()}")
        for part in json.loads(done.stdout)["files"]:
            path = os.path.normpath(part["file"])
            if not wanted(path):
                continue
            for line in part["lines"]:
                lines[path][line["line_number"]] += line["count"]
                if not line["branches"]:
                    continue
                here = branches.setdefault((path, line["line_number"]), {})
                new = [b["count"] for b in line["branches"]]
                old = here.setdefault(line.get("function_name", ""), [0] * len(new))
                here[line["function_name"]] = [a + b for a, b in zip(old, new)]
    return branches, lines


def source_lines(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read().splitlines()


def misses(branches):
    """{(file, function, condition): number}: of a condition that a function has twice, of both."""
    found, text = collections.Counter(), {}
    for (path, number), functions in sorted(branches.items()):
        text.setdefault(path, source_lines(path))
        for function, counts in functions.items():
            missed = sum(c == 0 for c in counts)
            if missed:
                found[path, function, " ".join(text[path][number - 1].split())] += missed
    return found


def read_list():
    """The same of the list, with the reasons; what is wrong with its form."""
    listed, reasons, wrong = {}, {}, []
    with open(LIST, encoding="utf-8") as file:
        lines = [(n, line.strip()) for n, line in enumerate(file, 1)]
    for number, line in lines:
        match = re.fullmatch(r"= ([a-z][a-z-]*): (.+)", line)
        if match:
            reasons[match[1]] = match[2]
    used = set()
    for number, line in lines:
        if not line or line.startswith(("#", "=")):
            continue
        # A condition may hold a bar, though not one between spaces; `||` is two.
        match = re.fullmatch(r"(\S+?):(\w+) \| (\d+) \| (.+) \| (.+)", line)
        if not match:
            wrong.append(f"{number}: is no FILE:FUNCTION | NUMBER | CONDITION | REASON")
            continue
        path, function, missed, condition, reason = match.groups()
        key = path, function, condition
        if key in listed:
            wrong.append(f"{number}: stands there twice")
        if reason in reasons:
            used.add(reason)
        elif " " not in reason:
            wrong.append(f"{number}: gives no reason: {reason}")
        listed[key] = int(missed), number
    wrong += [f"1: nobody gives the reason {name}" for name in reasons if name not in used]
    return listed, wrong


def stale(listed):
    """What the list names and the source does not have."""
    for (path, function, condition), (_, number) in listed.items():
        if not os.path.exists(os.path.join(ROOT, path)):
            yield f"{number}: there is no {path}"
            continue
        lines = source_lines(path)
        if not any(re.search(rf"\b{function}\(", line) for line in lines):
            yield f"{number}: {path} has no function {function}"
        elif condition not in (" ".join(line.split()) for line in lines):
            yield f"{number}: {path} has no line: {condition}"


def report(branches, lines):
    files = sorted(lines)
    print("  lines           branches")
    for path in files:
        seen = [c for c in lines[path].values()]
        taken = [c for (p, _), functions in branches.items() if p == path
                 for counts in functions.values() for c in counts]
        figures = []
        for counts in (seen, taken):
            hit = sum(c > 0 for c in counts)
            figures.append(f"{100 * hit / len(counts):6.1f}% of {len(counts):4}" if counts else " " * 15)
        print("  ".join(figures) + "  " + path)


def judge(found, listed):
    for key, missed in sorted(found.items()):
        path, function, condition = key
        have = listed[key][0] if key in listed else 0
        if missed > have:
            yield f"{path}:{function}: {missed} branches not taken, {have} with a reason: {condition}"
    for key, (have, number) in listed.items():
        if found.get(key, 0) < have:
            path, function, condition = key
            yield (f"tests/coverage/misses.txt:{number}: {path}:{function}: {have} branches said not to "
                   f"be taken, {found.get(key, 0)} are not: {condition}")


def main(args):
    listed, wrong = read_list()
    wrong = [f"tests/coverage/misses.txt:{w}" for w in wrong + list(stale(listed))]
    if args != ["--syntax"]:
        branches, lines = count(args[-1])
        found = misses(branches)
        if args[0] == "--list":
            for (path, function, condition), missed in sorted(found.items()):
                print(f"{path}:{function} | {missed} | {condition} |")
            return 0
        report(branches, lines)
        wrong += judge(found, listed)
        total = sum(len(c) for f in branches.values() for c in f.values())
        print(f"{total - sum(found.values())} of {total} branches taken; of the others, "
              f"{sum(n for n, _ in listed.values())} have a reason in tests/coverage/misses.txt")
    for line in sorted(wrong):
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
