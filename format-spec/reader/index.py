"""index.py: an index as it is, and as it was (README.md, The model; manifest.md, The past)."""
# SPDX-License-Identifier: BSD-2-Clause
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from log import COMMIT, LINK, NAMES, follow, rename, turn
from manifest import read_manifest
from rows import read_live, read_rows
from storage import Layout, Refused, support
from superblock import read_superblock

STATES_HEAD = Layout("I4x3Q32x", "state_count flip_count states_off flips_off")
STATE = Layout("3Q2IQ24x", "commit time_us until_us rows live_count flips_end")

def read_states(span, base):  # what a compaction at `base` kept of states before it (states.md)
    head, begin = span.parse(STATES_HEAD), 0
    states = STATE.array(span.read(head.states_off, head.state_count * STATE.size))
    flips = span.numbers("I", head.flips_off, head.flip_count)
    for state, after in zip(states, states[1:] + [base]):
        state.flips, begin = flips[begin:state.flips_end], state.flips_end
        span.require(1 <= state.commit < after.commit and state.rows <= after.rows
                     and state.time_us <= state.until_us <= after.time_us
                     and all(a < b for a, b in zip(state.flips, state.flips[1:]))
                     and max(state.flips, default=-1) < state.rows, f"commit {state.commit}")
    span.require(states and head.states_off % 64 == head.flips_off % 64 == 0
                 and begin == len(flips) == sum(len(state.flips) for state in states), "header")
    return states

class Index:  # manifest, records of the log, and `states`: what each commit left, oldest first
    def __init__(self, file):
        slot = self.slot = read_superblock(file)[0]
        m = base = last = self.manifest = read_manifest(file, slot)
        first, at, end, chain = m.extents[0], slot.log_off, slot.log_end, slot.log_check
        if first.off < at:  # the past: its first record names the chain value before it
            at, end = first.off, first.off + first.size
            chain = file.numbers("Q", at + 32, 1)[0]
            base = SimpleNamespace(commit=first.first_commit - 1, time_us=first.time_us,
                                   rows=None, live_count=None)
        self.names, self.records = m.names, list(follow(file, m, base, at, end, chain))
        commits = [record for record in self.records if record.kind == COMMIT]
        past = [record for record in self.records if record.span.off < slot.log_off]
        base.rows = m.rows if base == m or not commits else commits[0].begin
        left = ([base] + [record for record in past if record.kind == COMMIT])[-1]
        leads = [(r.next_off, r.next_len, r.commit + 1) for r in past if r.kind == LINK]
        m.span.require(base == m or past and (left.commit, left.rows) == (m.commit, m.rows)
                       and (past[-1].next, past[-1].check) == (slot.log_off, slot.log_check)
                       and leads == [(extent.off, extent.size, extent.first_commit)
                                     for extent in m.extents[1:]], "the past leads elsewhere")
        self.tail = [record for record in commits if record.commit > m.commit]
        self.sources = m.parts + [record for record in self.tail if record.row_count]
        for record in self.records[len(past):]:
            last = record if record.kind == COMMIT else last
            if record.kind in (COMMIT, NAMES):
                rename(self.names, record, last)
        kept = [segment.span for segment in m.own if segment.name == "states"]
        self.states = (read_states(kept[0], base) if kept else []) + [base] + commits

    def walk(self):  # back from the newest state: each, and a byte for each row, 1 where live
        live = bytearray(b"".join(map(read_live, self.manifest.parts)))
        for record in self.tail:
            turn(live, record, True)
        for state in reversed(self.states):
            if hasattr(state, "flips"):
                del live[state.rows:]
                for row in state.flips:
                    live[row] ^= 1
            yield state, live
            if hasattr(state, "events"):
                turn(live, state, False)

    def find(self, when):  # the commit that a name, a number or a time means; without, the newest
        if when is None or when in self.names:
            return (self.names[when] if when else self.states[-1]).commit
        if when.isdecimal() and when.isascii():
            return int(when[:20])
        try:
            time = datetime.fromisoformat(when.upper()) - datetime(1970, 1, 1, tzinfo=timezone.utc)
        except (ValueError, TypeError):
            raise Refused(1, f"has no snapshot {when!r}, and that is no number and no time")
        time //= timedelta(microseconds=1)
        before = [state for state in self.states if state.time_us <= time]
        return before[-1].commit if before and getattr(before[-1], "until_us", 2**64) > time else 0

    def rows(self, when=None):  # those that were live then, as read_rows has them
        commit = self.find(when)
        live = next((live for state, live in self.walk() if state.commit == commit), None)
        support(live is not None, f"no state of {when}, or not any more", 1)
        return (row for source in self.sources for row in read_rows(self.manifest, source, live))
