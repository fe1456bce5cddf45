"""superblock.py: the two slots at the start of the file, of which one counts (superblock.md)."""
# SPDX-License-Identifier: BSD-2-Clause
from storage import Damaged, Layout, support

MAGIC, SIZE, STRIDE, SLOTS_END = b"\x8fVDB\r\n\x1a\n", 512, 4096, 8192
SLOT = Layout("8s2HI3Q16s8Q384xQ", """magic major minor header_len compat ro_compat incompat
    file_id generation manifest_off manifest_len log_off log_end log_check file_end flags check""")

def read_superblock(file):  # the slot that counts, and what is wrong with the other
    slots, faults, start = [], [], file.read(0, min(file.size, STRIDE + SIZE))
    support(MAGIC in (start[:8], start[STRIDE:STRIDE + 8]), "no magic of a vdb file")
    for off in range(0, SLOTS_END, STRIDE):
        try:
            span = file.part(off, SIZE, f"superblock slot {off // STRIDE}")
            slot = span.parse(SLOT)
            span.require(slot.magic == MAGIC, "the magic is wrong")
            support(slot.major == 0 and slot.minor >= 9,
                    f"version {slot.major}.{slot.minor}; this reader knows 0.9")
            span.require(span.part(0, SIZE - 8).has_check(slot.check), "the checksum is wrong")
            support(not slot.incompat, f"unknown features: incompat is {slot.incompat:#x}")
            span.require(slot.header_len == SIZE, "header_len is wrong")
            slots.append(slot)
        except Damaged as damage:
            faults += [damage] if any(start[off:off + SIZE]) else []  # a slot may be zero
    if not slots:
        raise faults[0]
    s = max(slots, key=lambda slot: slot.generation)  # of equal ones the first
    file.part(0, SIZE, "superblock").require(
        s.manifest_off + s.manifest_len <= s.file_end <= file.size and s.log_off % 64 == 0
        and SLOTS_END <= min(s.manifest_off, s.log_off) and s.log_off <= s.log_end - 128
        and s.log_end <= s.file_end, f"cut off before {s.file_end}, or a number is wrong")
    return s, faults
