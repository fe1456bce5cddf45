#!/usr/bin/env python3
"""mutants.py: takes out of the library, one at a time, what makes it durable, and sees a test fail.

mutants.py [NAME...] reads mutants.txt beside it. Each entry names a file and a text in it, what stands
there instead in the mutant, and the test that must fail: a program or a script, and one test of it.
First each of these tests is run on the tree as it is and must pass. A mutant's may then take six
times as long; one that is not over by then is told apart as one that hangs.

mutants.py --table prints the list for README.md; mutants.py --check holds that file against it.

Mutants are built and tested in a copy of the tree, which itself is never touched. Exit status 1 where a
mutant survives, where another test fails than the one listed, where a test fails without any mutant,
or where a text does not occur in its file exactly once.

SPDX-License-Identifier: BSD-2-Clause
"""

import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
COPY = os.path.join(ROOT, "build", "mutants")
BUILD = os.path.join(COPY, "build", "release")
KEYS = ("mutant", "file", "old", "new", "test", "says")
TIMES, LEAST = 6, 20  # a mutant's test may take so many times what it takes alone, but so many seconds
ALONE = 600  # seconds that a test may take on the tree as it is
TIDY = 5  # and what its program has to end by itself, once the test is over, and clear up
TABLE = re.compile(r"(?<=<!-- mutants: from mutants.py --table -->\n).*?(?=<!-- end of mutants -->)",
                   re.S)


# ---- the list -------------------------------------------------------------------------------

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


def table(mutants):
    rows = ["| taken out | how it shows | seen by |", "| --- | --- | --- |"]
    for m in mutants:
        program, _, name = m["test"].partition(": ")
        program = os.path.basename(program)
        rows.append(f"| `{m['mutant']}` | {m['says']} | `{program}`: {name.replace('_', ' ')} |")
    return "\n".join(rows) + "\n"


def check_table(mutants):
    path = os.path.join(HERE, "README.md")
    with open(path, encoding="utf-8") as file:
        found = TABLE.search(file.read())
    if found and found[0] == table(mutants):
        return 0
    print(f"{path}: its list of mutants is not what mutants.py --table prints", file=sys.stderr)
    return 1


# ---- the copy -------------------------------------------------------------------------------

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


def program_of(test):
    return test.partition(": ")[0]


def build(tests):
    """None, or what was printed where it cannot be built. Scripts need the tools and their aids."""
    programs = {program_of(test) for test in tests}
    targets = ["build/release/tests/" + p for p in sorted(programs) if not p.endswith(".bats")]
    if any(p.endswith(".bats") for p in programs):
        targets += ["all", "aids"]
    made = subprocess.run(["make", "--no-print-directory", f"-j{os.cpu_count() or 2}", *targets],
                          cwd=COPY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)
    return made.stdout if made.returncode else None


# ---- a test ---------------------------------------------------------------------------------

RESULT = re.compile(r"(not )?ok \d+ (?:- )?(.*?)( # skip.*)?$", re.I)


def command(test):
    """Of programs that take a pattern, and of scripts, no other test is run."""
    program, _, name = test.partition(": ")
    if program.endswith(".bats"):
        return ["tests/run", program] + (["-f", f"^{re.escape(name)}$"] if name else [])
    pattern = [name] if name and re.match("test_(crash|failures)", program) else []
    return ["tests/run", os.path.join(BUILD, "tests", program), *pattern]


def environment():
    """As `make check` has it."""
    tools = os.path.join(BUILD, "bin")
    return {**os.environ, "VDB_SOURCE_DIR": COPY, "VDB_BUILD": BUILD, "VDB_BIN": tools,
            "VDB_MODE": "release", "PATH": tools + ":" + os.environ["PATH"]}


def lines_until(child, end):
    """What the child prints, line by line, until it closes its output; None when the time is over."""
    left = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0, end - time.monotonic())):
                yield None
                return
            got = os.read(child.stdout.fileno(), 65536)
            *lines, left = (left + got).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
            if not got:
                return


def follow(child, test, end):
    """(the test that failed or None, why). What follows on the one that is named does not count."""
    program, _, wanted = test.partition(": ")
    others = []
    for line in lines_until(child, end):
        if line is None:
            return test, "hangs"
        result = RESULT.match(line)
        if not result:
            continue
        fails, skipped = result[1], result[3]
        name = result[2].partition(" Could not run test:")[0].strip()
        if name == wanted and skipped:
            return test, "is skipped here"
        if fails and (name == wanted or not wanted):
            return f"{program}: {name}", "fails"
        if fails:
            others.append(f"{program}: {name}")
        if name == wanted:
            return (others[0], "fails") if others else (None, "passes")
    status = child.wait()
    if others:
        return others[0], "fails"
    if status or wanted:
        return test, f"ends with status {status}, without a result"
    return None, "passes"


def run_test(test, limit):
    """What follow gives, and the seconds that it took."""
    begun = time.monotonic()
    child = subprocess.Popen(command(test), cwd=COPY, env=environment(), stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, start_new_session=True)
    try:
        failed, why = follow(child, test, begun + limit)
        seconds = time.monotonic() - begun
        if why != "hangs":
            for _ in lines_until(child, time.monotonic() + TIDY):
                pass
        return failed, why, seconds
    finally:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()
        child.stdout.close()


def alone(tests):
    """The seconds that each test takes on the tree as it is; ends the run where one does not pass."""
    seconds, bad = {}, []
    for test in tests:
        failed, why, seconds[test] = run_test(test, ALONE)
        if failed:
            bad.append(f"{failed}: {why}")
    if bad:
        sys.exit("on the tree as it is, without a mutant:\n" + "\n".join(bad))
    return seconds


# ---- a mutant -------------------------------------------------------------------------------

def try_mutant(mutant, takes):
    """(whether it was killed by the test of the list, a sentence)."""
    path = os.path.join(COPY, mutant["file"])
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.count(mutant["old"]) != 1:
        return False, f"NOT TRIED: its text occurs {text.count(mutant['old'])} times in {mutant['file']}"
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(mutant["old"], mutant["new"]))
        output = build([mutant["test"]])
        if output is not None:
            return False, "NOT TRIED: it cannot be built:\n" + output[-2000:]
        failed, why, seconds = run_test(mutant["test"], max(LEAST, TIMES * takes))
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    if not failed:
        return False, f"SURVIVES {mutant['test']}"
    if why == "hangs":
        return True, (f"killed, but only because {failed} hangs: ended after {seconds:.0f} s, "
                      f"alone it takes {takes:.1f} s")
    if failed != mutant["test"]:
        return False, f"killed by {failed}, which is not what the list says"
    return True, f"killed by {failed}" + ("" if why == "fails" else f", which {why}")


def main():
    args = sys.argv[1:]
    mutants = read_list(os.path.join(HERE, "mutants.txt"))
    if args == ["--table"]:
        print(table(mutants), end="")
        return 0
    if args == ["--check"]:
        return check_table(mutants)
    unknown = set(args) - {m["mutant"] for m in mutants}
    if unknown:
        sys.exit("no mutant has that name: " + " ".join(sorted(unknown)))
    chosen = [m for m in mutants if not args or m["mutant"] in args]
    copy_tree()
    tests = sorted({m["test"] for m in chosen})
    output = build(tests)
    if output is not None:
        sys.exit("the tree as it is cannot be built:\n" + output[-2000:])
    takes = alone(tests)
    print(f"{len(tests)} tests pass without a mutant, in {sum(takes.values()):.0f} s", flush=True)
    killed = hung = 0
    for number, mutant in enumerate(chosen, 1):
        begun = time.monotonic()
        dead, verdict = try_mutant(mutant, takes[mutant["test"]])
        killed += dead
        hung += "hangs" in verdict
        print(f"{number}/{len(chosen)} {mutant['mutant']} ({mutant['says']}): {verdict} "
              f"({time.monotonic() - begun:.0f} s)", flush=True)
    print(f"{killed} of {len(chosen)} mutants killed" + (f", {hung} by hanging" if hung else ""))
    return 0 if killed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
