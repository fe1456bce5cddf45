"""log.py: the records of commits, links and names, and their chain (log.md)."""
# SPDX-License-Identifier: BSD-2-Clause
from manifest import NAMES_MOST, NO_ROW, SNAPSHOT, text_of
from storage import Layout, support
from superblock import SLOTS_END

COMMIT, LINK, NAMES, OPTIONAL = 1, 2, 3, 0x8000
CREATE, REMOVE, RECEIVED = DELETE, RESTORE, REPLACE = EVENTS = 1, 2, 3
HEAD = Layout("4s2H5Q16x", "magic kind version length commit time_us prev_check check")
BODIES = {COMMIT: Layout("4I24s24s24s24s2I8x", """begin row_count live_count event_count vector id
                         metadata events stride name_count"""),
          LINK: Layout("2Q48x", "next_off next_len"), NAMES: Layout("I60x", "name_count")}
BLOCK, EVENT = Layout("3Q", "off size check"), Layout("2I", "row kind")
CHANGE = Layout("H62x256s", "operation snapshot")

def follow(file, m, last, at, end, chain):  # the records behind the state `last`, to the log's end
    room = file.size  # all blocks together are not longer than the file
    while HEAD.size <= end - at and end <= file.size:
        record = file.parse(HEAD, at)
        if (record.magic != b"VREC" or record.prev_check != chain or record.length % 64
                or not HEAD.size <= record.length <= end - at):
            return
        span = record.span = file.part(at, record.length, "log")
        if not span.has_check(record.check, 40):
            return
        record.next, record.runs = at + record.length, {}
        if record.kind in BODIES and record.version == 1:
            vars(record).update(vars(span.parse(BODIES[record.kind], HEAD.size)))
        else:  # of a later version
            support(record.kind & OPTIONAL, f"an unknown kind of log record at {at}")
            record.kind = None
        span.require(record.commit == last.commit + (record.kind == COMMIT) and (
            record.kind == LINK or record.next <= end - 128), "commit or length is wrong")
        if record.kind == LINK:
            record.next, size = record.next_off, record.next_len
            span.require(size % 64 == 0 and size >= 128 and end <= record.next, "leads back")
            end = record.next + file.part(record.next, size, "log extent").size
        elif record.kind == COMMIT:
            read_commit(file, m, record, last)
            room -= sum(block.size for block in record.runs.values())
            span.require(room >= 0, "the blocks of the log are longer than the file")
            last = record
        at, chain = record.next, record.check
        yield record

def read_commit(file, m, record, last):  # its blocks and events; `last` is the state before
    require, rows = record.span.require, record.row_count
    record.end = record.rows = record.begin + rows
    require(last.rows in (None, record.begin) and record.time_us >= last.time_us
            and record.rows < NO_ROW, "row_base or time is wrong", 24)
    for name in ("vector", "id", "metadata", "events"):
        block = record.runs[name] = BLOCK.array(getattr(record, name))[0]
        block.span = file.part(block.off, block.size, f"{name} of commit {record.commit}")
        require(block.off >= SLOTS_END or not block.size, f"{name} in the superblock", 80)
    vectors, ids, metadata, events = (block.size for block in record.runs.values())
    require(record.stride == (m.stride if rows else 0) and vectors == m.stride * rows
            and (ids > 0) == (rows > 0) and (rows or not metadata)
            and events == EVENT.size * record.event_count, "the length of a block", 80)
    record.events = EVENT.array(record.runs["events"].span.read())
    grown = rows + sum(1 if event.kind == RESTORE else -1 for event in record.events)
    require(all(event.row < record.rows and event.kind in EVENTS for event in record.events)
            and last.live_count in (None, record.live_count - grown), "events or live_count", 72)

def rename(names, record, last):  # applies its changes of names, behind the state `last`
    start, require = record.length - CHANGE.size * record.name_count, record.span.require
    require(start == 128 if record.kind == NAMES else start >= 192, "the names do not fit")
    for change in CHANGE.array(record.span.read(start)):
        s, operation = SNAPSHOT.array(change.snapshot)[0], change.operation
        name = s.name = text_of(s.name[:s.name_len], 198, record.span) if s.name_len else None
        state = (last.commit, last.time_us, last.rows, last.live_count)
        require(s.name_len <= 198 and (
            operation == REMOVE and names.pop(name, None)
            or operation == RECEIVED and s.commit == last.commit and not name
            or operation == CREATE and name not in {*names, None} and len(names) < NAMES_MOST
            and (s.commit, s.time_us, s.rows, s.live_count) == state), f"a change of name {name}")
        if operation == CREATE:
            names[name] = s

def turn(live, record, forward):  # takes `live` over a commit, or back over it
    live.extend(b"\1" * (record.row_count if forward else 0))
    for event in record.events if forward else reversed(record.events):
        becomes = (event.kind == RESTORE) == forward
        record.span.require(live[event.row] != becomes, f"an event changes not row {event.row}")
        live[event.row] = becomes
    if not forward:
        record.span.require(all(live[record.begin:]), "new rows that are not live")
        del live[record.begin:]
