#!/usr/bin/env python3
"""brute.py: vectors for tests, and the neighbours that a search must find, by brute force.

brute.py make COUNT DIM SEED [PREFIX]       JSON Lines of COUNT records; every number is a multiple
                                            of 1/8, so that all sums are exact and ties are ties
brute.py expect METRIC K DATA QUERIES       QUERY RANK ID DISTANCE, tab-separated, in doubles
brute.py same EXPECTED FOUND                the same queries, ranks and ids, and distances to 1e-6
brute.py recall EXPECTED FOUND              the share of the expected neighbours that was found

SPDX-License-Identifier: BSD-2-Clause
"""

import json
import math
import random
import sys


def records(path):
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file):
            record = json.loads(line)
            yield record.get("id", str(number)), record["vector"]


def make(count, dim, seed, prefix="v"):
    draw = random.Random(int(seed))
    for i in range(int(count)):
        vector = [draw.randint(-80, 80) / 8 for _ in range(int(dim))]
        print(json.dumps({"id": f"{prefix}{i}", "vector": vector}))


def distance(metric, x, y):
    if metric == "l2":
        return math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y)))
    dot = sum(a * b for a, b in zip(x, y))
    if metric == "ip":
        return -dot
    return 1 - dot / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def expect(metric, k, data, queries):
    rows = list(records(data))
    for query, vector in records(queries):
        # sorted() keeps rows of one distance in their order, which is the rule for ties.
        nearest = sorted(((distance(metric, x, vector), id) for id, x in rows),
                         key=lambda pair: pair[0])
        for rank, (d, id) in enumerate(nearest[:int(k)], 1):
            print(query, rank, id, repr(d), sep="\t")


def table(path):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file]


def same(expected, found):
    expected, found = table(expected), table(found)
    if len(expected) != len(found):
        sys.exit(f"{len(found)} lines, expected {len(expected)}")
    for number, (e, f) in enumerate(zip(expected, found), 1):
        if e[:3] != f[:3] or abs(float(e[3]) - float(f[3])) > 1e-6 * max(1, abs(float(e[3]))):
            sys.exit(f"line {number} is {f}, expected {e}")


def recall(expected, found):
    expected = {(q, id) for q, _, id, _ in table(expected)}
    found = {(q, id) for q, _, id, _ in table(found)}
    print(len(expected & found) / len(expected))


if __name__ == "__main__":
    {"make": make, "expect": expect, "same": same, "recall": recall}[sys.argv[1]](*sys.argv[2:])
