"""check.py: every checksum, and the rules that are not for opening: of ids, states and names."""
# SPDX-License-Identifier: BSD-2-Clause
from collections import Counter
from itertools import accumulate
from index import Index
from rows import read_ids
from storage import Damaged, Layout
from superblock import read_superblock
from xxh3 import xxh3_64

HASH_HEAD = Layout("2I2Q40x", "entry_count bucket_bits buckets_off entries_off")

def check(file):  # all that is found wrong with a file, as the exceptions that say so
    faults, rules = [], []
    try:
        faults += read_superblock(file)[1]
        index = Index(file)
        rules = [lambda run=run: run.span.require(run.span.has_check(run.check), "the checksum")
                 for run in index.manifest.segments + [
                     run for r in index.records for run in r.runs.values() if run.size]]
        rules += [lambda part=part: check_hash(part) for part in index.manifest.parts]
        rules.append(lambda: check_states(index))
    except Damaged as damage:
        faults.append(damage)
    for rule in rules:
        try:
            rule()
        except Damaged as damage:
            faults.append(damage)
    return faults

def check_hash(part):  # the entries are those of the ids, by bucket, tag and row (ids.md)
    span, ids, count = part.runs["id-hash"].span, read_ids(part), part.end - part.begin
    head = span.parse(HASH_HEAD)
    bits, entries_off = head.bucket_bits, 64 + (2 ** min(head.bucket_bits, 30) + 2) // 2 * 8
    span.require(bits <= 30 and (head.entry_count, head.buckets_off, head.entries_off, span.size)
                 == (count, 64, entries_off, entries_off + 8 * count), "the header is wrong")
    hashes = (xxh3_64(name.encode()) for name in ids)
    entries = sorted((h >> 64 - bits, h & 2**32 - 1, row) for row, h in enumerate(hashes))
    sizes = Counter(bucket for bucket, _, _ in entries)
    buckets = accumulate((sizes[bucket] for bucket in range(2 ** bits)), initial=0)
    span.require(span.numbers("I", 64, 2 ** bits + 1) == tuple(buckets), "a bucket is wrong", 64)
    span.require(span.numbers("I", entries_off, 2 * count) == tuple(
        number for _, *entry in entries for number in entry), "an entry is wrong", entries_off)

def check_states(index):  # states have as many live rows as they say; names are of them
    m, known = index.manifest, {}
    for state, live in index.walk():
        number = live.count(1)
        said = (m if state.commit == m.commit else state).live_count
        m.span.require(said in (None, number), f"{number} rows are live after {state.commit}")
        known[state.commit] = (state.time_us, state.rows, number)
    m.span.require(m.horizon_commit == index.states[0].commit, "horizon_commit", 64)
    for name, s in index.names.items():
        m.span.require(known.get(s.commit) == (s.time_us, s.rows, s.live_count), f"name {name}")
    names = [name for _, name, _, _ in index.rows()]  # which reads all that live rows have
    m.span.require(len(set(names)) == len(names), "two live rows have the same id")
