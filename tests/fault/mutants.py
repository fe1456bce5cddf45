#!/usr/bin/env python3
"""mutants.py: takes out of the library, one at a time, what makes it durable, and sees the tests fail.

mutants.py [--list] [--from N] [NAME...] reads mutants.txt beside it. Each entry names a file and a text
in it, what stands there instead in the mutant, and the tests of which at least one must fail. The
mutants are built and tested in a copy of the tree, so that the tree itself is never touched. Exit
status 1 where one survives, or where its text does not occur in the file exactly once.

SPDX-License-Identifier: BSD-2-Clause
"""

import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
COPY = os.path.join(ROOT, "build", "mutants")
KEYS = ("mutant", "file", "old", "new", "tests", "says")
LIMIT = 240  # seconds for a test: one that hangs has failed


def read_list(path):
    """Blocks of `key: text` lines, apart by blank lines; a text goes on in lines that begin with |."""
    mutants, block, key = [], {}, None
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\n")
            if line.startswith("#"):
                continue
            if not line:
                if block:
                    mutants.append(block)
                block, key = {}, None
            elif line.startswith("|") and key:
                block[key] += ("\n" if block[key] else "") + line[1:]
            else:
                key, colon, text = line.partition(":")
                if key not in KEYS or not colon or key in block:
                    sys.exit(f"{path}:{number}: not a line of a mutant")
                block[key] = text.strip()
    if block:
        mutants.append(block)
    for block in mutants:
        missing = [key for key in KEYS if key not in block]
        if missing:
            sys.exit(f"{path}: {block.get('mutant', 'a mutant')} has no {', '.join(missing)}")
    return mutants


def copy_tree():
    os.makedirs(COPY, exist_ok=True)
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"],
                            check=True, capture_output=True, text=True).stdout.split("\n")
    wanted = {name for name in listed if name and os.path.isfile(os.path.join(ROOT, name))}
    for folder, folders, names in os.walk(COPY):
        if folder == COPY:
            folders[:] = [f for f in folders if f != "build"]
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), COPY)
            if path not in wanted:
                os.remove(os.path.join(COPY, path))
    for name in sorted(wanted):
        source, to = os.path.join(ROOT, name), os.path.join(COPY, name)
        os.makedirs(os.path.dirname(to), exist_ok=True)
        if not os.path.exists(to) or open(source, "rb").read() != open(to, "rb").read():
            shutil.copy(source, to)


def run(args, limit, **more):
    """Whether it ended with 0 in time, and what it printed."""
    child = subprocess.Popen(args, cwd=COPY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, errors="replace", start_new_session=True, **more)
    try:
        output, _ = child.communicate(timeout=limit)
        return child.returncode == 0, output
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, 9)
        output, _ = child.communicate()
        return False, output + f"\n(ended after {limit} s)"


def program_of(test):
    """The test program that `make` has to link, or None for a script over the tools."""
    return "build/release/tests/" + test if not test.endswith(".bats") else None


def build(tests):
    programs = [p for p in map(program_of, tests) if p]
    scripts = [t for t in tests if t.endswith(".bats")]
    targets = programs + (["test-programs"] if scripts else [])
    return run(["make", "--no-print-directory", f"-j{os.cpu_count() or 2}", *targets], 1200)


def test_fails(test):
    path = program_of(test) or test
    passed, output = run(["make", "--no-print-directory", "check", f"T={path}"], LIMIT)
    failed = re.findall(r"^\s*(?:# )?not ok \d+ - ?(.*)$|^  Failed tests?:\s*(.*)$", output, re.M)
    names = [a or "number " + b for a, b in failed]
    return not passed, names[0] if names else "it does not end well"


def try_mutant(mutant):
    """The test that killed it and how; or None and why not."""
    path = os.path.join(COPY, mutant["file"])
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.count(mutant["old"]) != 1:
        return None, f"its text occurs {text.count(mutant['old'])} times in {mutant['file']}"
    tests = mutant["tests"].split()
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(mutant["old"], mutant["new"]))
        built, output = build(tests)
        if not built:
            return None, "it cannot be built:\n" + output[-2000:]
        for test in tests:
            fails, how = test_fails(test)
            if fails:
                return test, how
        return None, "it survives " + " ".join(tests)
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def main():
    args = sys.argv[1:]
    mutants = read_list(os.path.join(HERE, "mutants.txt"))
    if "--list" in args:
        for mutant in mutants:
            print(f"{mutant['mutant']}\t{mutant['file']}\t{mutant['tests']}\t{mutant['says']}")
        return 0
    chosen = [m for m in mutants if not args or m["mutant"] in args]
    if not chosen:
        sys.exit("no mutant has that name")
    copy_tree()
    every = sorted({t for m in chosen for t in m["tests"].split()})
    built, output = build(every)
    if not built:
        sys.exit("the tree as it is cannot be built:\n" + output[-2000:])
    survivors = 0
    for number, mutant in enumerate(chosen, 1):
        begun = time.monotonic()
        test, how = try_mutant(mutant)
        verdict = f"killed by {test}: {how}" if test else f"NOT KILLED: {how}"
        survivors += test is None
        print(f"{number}/{len(chosen)} {mutant['mutant']} ({mutant['says']}): {verdict}, "
              f"{time.monotonic() - begun:.0f} s", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
