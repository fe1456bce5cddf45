#!/usr/bin/env python3
"""lint.py: holds a source tree against the rules that a compiler does not know.

lint.py [ROOT] prints `file:line: what is wrong` for every breach and exits 1 if there was one.
The floors that #include lines are held against come from the table in lib/README.md.

SPDX-License-Identifier: BSD-2-Clause
"""

import os
import re
import sys

FILE_LINES, FUNCTION_LINES = 700, 90
LONGER = {"lib/vdb.h": 1000}  # the interface is one file, mostly of what it promises
CODE = ("lib", "tools", "fuzz")
C_ROOTS = CODE + ("tests",)
NAMED = (".c", ".h", ".cc", ".py", ".bats")
TEXT = NAMED + (".md", ".in", ".map", ".sh", ".1", ".3", "Makefile")
SPDX = "SPDX-License-Identifier: BSD-2-Clause"

# Paths of somebody's machine, which mean nothing on another.
MACHINE = re.compile(r"(?<![\w.}$~])/(?:home|root|work|Users)/\w")
LEFTOVER = re.compile(r"\b(?:TODO|FIXME|XXX)\b")
# A library leaves the terminal and the process to its caller.
NOT_IN_LIB = re.compile(r"\b((?:v?f?printf|puts|putchar|perror|_?exit|abort)\s*)\(")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


class Lint:
    def __init__(self, root):
        self.root = root
        self.breaches = []

    def breach(self, path, line, what):
        self.breaches.append((path, line, what))

    def files(self):
        for folder, folders, names in os.walk(self.root):
            top = os.path.relpath(folder, self.root)
            folders[:] = sorted(f for f in folders if f != ".git" and f != "__pycache__"
                                and not (top == "." and f == "build"))
            for name in sorted(names):
                yield os.path.normpath(os.path.join(top, name))

    def read(self, path):
        with open(os.path.join(self.root, path), "rb") as file:
            data = file.read()
        return None if b"\0" in data else data.decode("utf-8", "replace")

    def run(self):
        self.floors = self.read_floors()
        self.modules()
        for path in self.files():
            text = self.read(path)
            if text is None:
                continue
            lines = text.splitlines()
            top = path.split(os.sep)[0]
            if not path.startswith(os.path.join("tests", "lint")):
                self.leftovers(path, lines)
            if path.endswith(TEXT):
                self.spaces(path, text, lines)
            if path.endswith(NAMED):
                self.opening(path, lines)
            if path.endswith((".c", ".h")) and top in C_ROOTS:
                self.includes(path, lines)
                if top in CODE:
                    self.lengths(path, lines)
                if top == "lib":
                    self.manners(path, text)
                    self.guard(path, lines)
        return self.breaches

    def read_floors(self):
        """The table of lib/README.md as {folder: floor}."""
        readme = os.path.join("lib", "README.md")
        floors = {}
        for line in self.read(readme).splitlines():
            row = re.match(r"\|\s*(\d+)\s*\|\s*`([^`]+)`\s*\|\s*(\S.*?)\s*\|$", line)
            if row:
                floors[row.group(2)] = int(row.group(1))
        lib = os.path.join(self.root, "lib")
        folders = {f for f in os.listdir(lib) if os.path.isdir(os.path.join(lib, f))}
        for folder in sorted(folders - floors.keys()):
            self.breach(readme, 1, f"the table has no floor for lib/{folder}")
        for folder in sorted(floors.keys() - folders - {"."}):
            self.breach(readme, 1, f"the table names {folder}, which is not a folder of lib/")
        return floors

    def modules(self):
        """Every module of lib/ has its sentence in lib/README.md, and every sentence its module."""
        readme = os.path.join("lib", "README.md")
        named = set(re.findall(r"^\|\s*`(\w+/\w+)`\s*\|\s*\S", self.read(readme), re.M))
        there = set()
        for folder in self.floors:
            path = os.path.join(self.root, "lib", folder)
            if folder != "." and os.path.isdir(path):
                there |= {f"{folder}/{name.rsplit('.', 1)[0]}" for name in os.listdir(path)
                          if name.endswith((".c", ".h"))}
        for module in sorted(there - named):
            self.breach(readme, 1, f"says nothing of {module}")
        for module in sorted(named - there):
            self.breach(readme, 1, f"tells of {module}, which is not there")

    def resolve(self, path, name):
        """Where the compiler would find "name": beside the file, then by -Ilib -Itools, ..."""
        beside = os.path.dirname(path)
        for folder in (beside, "lib", "tools", "tests", "fuzz", "."):
            found = os.path.normpath(os.path.join(folder, name))
            if os.path.isfile(os.path.join(self.root, found)):
                return found
        return None

    def includes(self, path, lines):
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            name = match.group(1)
            if name.endswith(".c"):
                self.breach(path, number, f"includes a .c file, {name}")
                continue
            found = self.resolve(path, name)
            if not found:
                self.breach(path, number, f"includes {name}, which is not in the tree")
            elif found != os.path.join("lib", "vdb.h"):
                self.allowed(path, number, found)

    def allowed(self, path, number, found):
        top, other = path.split(os.sep)[0], found.split(os.sep)[0]
        if top == "tools" and other != "tools":
            self.breach(path, number, f"a tool includes {found}; vdb.h is all it may see of lib/")
        if top != "lib":
            return
        if other != "lib":
            self.breach(path, number, f"the library includes {found}")
            return
        mine, theirs = self.floor(path), self.floor(found)
        if mine is not None and theirs is not None and theirs > mine:
            self.breach(path, number, f"floor {mine} includes {found} of floor {theirs}")

    def floor(self, path):
        parts = path.split(os.sep)
        return self.floors.get(parts[1] if len(parts) > 2 else ".")

    def opening(self, path, lines):
        name = re.escape(os.path.basename(path))
        first = [line for line in lines[:3] if not line.startswith("#!")][:1]
        if not first or not re.match(rf'(/\*|//|#|""") {name}: \S|"""{name}: \S', first[0]):
            self.breach(path, 1, "does not open with its name, a colon and what it is")
        licences = [line for line in lines[:60] if SPDX in line]
        if not any(re.fullmatch(rf"\W*{SPDX}( \*/)?", line) for line in licences):
            self.breach(path, 1, f"has no line {SPDX}")

    def lengths(self, path, lines):
        most = LONGER.get(path, FILE_LINES)
        if len(lines) > most:
            self.breach(path, most + 1, f"has {len(lines)} lines, above {most}")
        start = None
        # clang-format has a function's braces, and no others, alone at the line's beginning.
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
            elif line.startswith("}") and start:
                if number - start > FUNCTION_LINES:
                    self.breach(path, start, f"a function of {number - start} lines, "
                                             f"above {FUNCTION_LINES}")
                start = None

    def manners(self, path, text):
        """No printing, no ending of the process. Comments and strings may speak of it."""
        blank = lambda match: re.sub(r"[^\n]", " ", match.group(0))
        code = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)
        for number, line in enumerate(code.splitlines(), 1):
            match = NOT_IN_LIB.search(line)
            if match:
                self.breach(path, number, f"the library calls {match.group(1).strip()}")

    def guard(self, path, lines):
        """A header is guarded by its path; vdb.h, which any program includes, by its name."""
        inner = path.split(os.sep)[1:]
        name = re.sub(r"\W", "_", "VDB_" + "_".join(inner)).upper()
        first = [line for line in lines if line.startswith("#")][:1]
        if len(inner) > 1 and path.endswith(".h") and first != [f"#ifndef {name}"]:
            self.breach(path, 1, f"is not guarded by {name}")

    def leftovers(self, path, lines):
        for number, line in enumerate(lines, 1):
            match = LEFTOVER.search(line)
            if match:
                self.breach(path, number, f"{match.group(0)}: do it, or open an issue")
            if MACHINE.search(line):
                self.breach(path, number, "names a path of one machine")

    def spaces(self, path, text, lines):
        for number, line in enumerate(lines, 1):
            if line != line.rstrip():
                self.breach(path, number, "white space at the end of the line")
        if text and not text.endswith("\n"):
            self.breach(path, len(lines), "no newline at the end of the file")


def main():
    breaches = Lint(sys.argv[1] if len(sys.argv) > 1 else ".").run()
    for path, line, what in sorted(breaches):
        print(f"{path}:{line}: {what}")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
