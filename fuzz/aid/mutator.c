/* mutator.c: changes of index files, logs and streams that get past their checksums.
 *
 * What is in a file is found by its own tables as far as these make sense, which after many changes
 * they need not.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "aid/mutator.h"

#include <lz4.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "aid/fuzz.h"
#include "aid/image.h"
#include "aid/loghead.h"
#include "aid/seal.h"
#include "base/checksum.h"
#include "format/disk.h"
#include "format/log.h"

struct region {
    size_t off, len;
};

enum { REGIONS = 256, HEAD = 128, WINDOW = 64 };

/* What is changed, and its structures. */
struct subject {
    uint8_t *p;
    size_t len;
    struct region regions[REGIONS];
    size_t count;
    uint64_t random;
};

static size_t draw(struct subject *s, size_t below)
{
    return (size_t)(fuzz_random(&s->random) >> 11) % (below ? below : 1);
}

static bool inside(const struct subject *s, uint64_t off, uint64_t len)
{
    return off <= s->len && len <= s->len - off;
}

static void add(struct subject *s, uint64_t off, uint64_t len)
{
    if (len != 0 && inside(s, off, len) && s->count < REGIONS)
        s->regions[s->count++] = (struct region){(size_t)off, (size_t)len};
}

static void add_head(struct subject *s, uint64_t off, uint64_t len)
{
    add(s, off, len < HEAD ? len : HEAD);
}

/* ---- one change ---------------------------------------------------------------------------- */

static uint64_t get(const uint8_t *at, size_t width)
{
    uint64_t value = 0;
    for (size_t i = width; i-- > 0;) value = value << 8 | at[i];
    return value;
}

static void put(uint8_t *at, size_t width, uint64_t value)
{
    for (size_t i = 0; i < width; i++, value >>= 8) at[i] = (uint8_t)value;
}

/* A number in the place of `old`: one at a border, or near the old one or the length. */
static uint64_t other_number(struct subject *s, uint64_t old, size_t width)
{
    static const uint64_t steps[] = {1, 2, 8, 64, 4096, 65536};
    uint64_t step = steps[draw(s, sizeof steps / sizeof *steps)];
    switch (draw(s, 9)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX >> draw(s, 64);
    case 2:
        return (uint64_t)1 << draw(s, 8 * width);
    case 3:
        return old + step;
    case 4:
        return old - step;
    case 5:
        return s->len - draw(s, 2) * step;
    case 6:
        return s->len + step - old;
    case 7:
        return draw(s, 16);
    default:
        return old ^ (uint64_t)1 << draw(s, 8 * width);
    }
}

/* Part of a region, as the fuzzer's own guesses have it. */
static void change_window(struct subject *s, struct region r)
{
    uint8_t window[WINDOW];
    size_t len = r.len < WINDOW ? r.len : 1 + draw(s, WINDOW),
           at = r.off + draw(s, r.len - len + 1);
    memcpy(window, s->p + at, len);
    LLVMFuzzerMutate(window, len, len);
    memcpy(s->p + at, window, len);
}

static void change(struct subject *s)
{
    struct region r = {0, s->len};
    if (s->count != 0 && draw(s, 16) != 0) r = s->regions[draw(s, s->count)];
    if (r.len == 0) return;
    size_t width = (size_t)1 << draw(s, 4);
    if (width > r.len) width = 1;
    size_t at = r.off + draw(s, r.len / width) * width;
    switch (draw(s, 8)) {
    case 0:
        change_window(s, r);
        break;
    case 1:
        s->p[at] ^= (uint8_t)(1u << draw(s, 8));
        break;
    case 2: /* a number from elsewhere in the same structure, or another one */
        if (draw(s, 2)) r = s->regions[draw(s, s->count)];
        if (s->count != 0 && r.len >= width)
            memmove(s->p + at, s->p + r.off + draw(s, r.len / width) * width, width);
        break;
    case 3:
        memset(s->p + at, draw(s, 2) ? 0 : 0xff, draw(s, r.len - (at - r.off)) + 1);
        break;
    default:
        put(s->p + at, width, other_number(s, get(s->p + at, width), width));
    }
}

static void change_some(struct subject *s)
{
    for (size_t left = 1 + draw(s, 3); left > 0; left--) change(s);
}

static bool seals(struct subject *s)
{
    return draw(s, 16) != 0;
}

static struct subject begin(unsigned seed)
{
    return (struct subject){.random = ((uint64_t)seed + 1) * 0x9e3779b97f4a7c15u};
}

/* ---- logs ---------------------------------------------------------------------------------- */

/* Records from `off` on, and what they point at. Returns how many there are. */
static size_t find_records(struct subject *s, uint64_t off, uint64_t end, struct region *records,
                           size_t room)
{
    size_t count = 0;
    struct disk_record head;
    while (off <= end && inside(s, off, sizeof head) && count < room) {
        memcpy(&head, s->p + off, sizeof head);
        uint64_t length = le64_get(head.length);
        if (memcmp(head.magic, VDB_RECORD_MAGIC, sizeof head.magic) != 0 || length < sizeof head ||
            !inside(s, off, length))
            break;
        add(s, off, length < 256 ? length : 192); /* head and body */
        add(s, off, length);
        for (unsigned i = 0; i < 4 && length >= sizeof head + sizeof(struct disk_commit); i++) {
            struct disk_block block;
            memcpy(&block,
                   s->p + off + sizeof head + offsetof(struct disk_commit, vectors) +
                       i * sizeof block,
                   sizeof block);
            add_head(s, le64_get(block.off), le64_get(block.len));
        }
        records[count++] = (struct region){(size_t)off, (size_t)length};
        off += length;
    }
    return count;
}

/* A record again in another's place, or none there: what is behind it moves. */
static void move_record(struct subject *s, const struct region *records, size_t count)
{
    if (count == 0) return;
    struct region from = records[draw(s, count)], to = records[draw(s, count)];
    size_t behind = to.off + to.len;
    if (draw(s, 2)) {
        memmove(s->p + to.off, s->p + behind, s->len - behind);
        memset(s->p + s->len - to.len, 0, to.len);
        return;
    }
    uint8_t *copy = malloc(from.len);
    if (copy == NULL || from.len > s->len - behind) {
        free(copy);
        return;
    }
    memcpy(copy, s->p + from.off, from.len);
    memmove(s->p + behind + from.len, s->p + behind, s->len - behind - from.len);
    memcpy(s->p + behind, copy, from.len);
    free(copy);
}

size_t mutate_log(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    enum { RECORDS = 32 };
    struct region records[RECORDS];
    struct subject s = begin(seed);
    s.p = loghead_index(data, size, &s.len);
    if (s.p == NULL) return LLVMFuzzerMutate(data, size, max_size);
    size_t extent_end = loghead_end(data);
    size_t count = find_records(&s, LOG_FROM, extent_end, records, RECORDS);
    size_t end = count ? records[count - 1].off + records[count - 1].len : LOG_FROM;
    bool renumber = draw(&s, 2);
    if (draw(&s, 8) == 0) {
        move_record(&s, records, count);
        renumber = draw(&s, 4) != 0;
        end += count ? records[0].len : 0;
    } else if (draw(&s, 32) == 0) {
        data[draw(&s, LOG_HEAD)] = (uint8_t)draw(&s, 256);
    } else {
        change_some(&s);
    }
    if (seals(&s))
        seal_log(s.p, s.len, LOG_FROM, extent_end, checksum(data, LOG_FILE_ID), renumber,
                 UINT64_MAX, NULL);
    /* As much as there was, or as there are records, which end with a piece of what follows. */
    size_t log = size - LOG_HEAD;
    if (end < s.len && end - LOG_FROM > log) log = end - LOG_FROM;
    if (log > max_size - LOG_HEAD) log = max_size - LOG_HEAD;
    if (draw(&s, 32) == 0) log -= draw(&s, log + 1);
    memcpy(data + LOG_HEAD, s.p + LOG_FROM, log);
    free(s.p);
    return LOG_HEAD + log;
}

/* ---- index files --------------------------------------------------------------------------- */

static void add_table(struct subject *s, uint64_t manifest_off, const struct disk_table *table)
{
    uint64_t size = (uint64_t)le32_get(table->count) * le32_get(table->entry_size);
    uint64_t off = le64_get(table->off);
    if (size != 0 && off <= s->len) add(s, manifest_off + off, size);
}

static void find_segments(struct subject *s, uint64_t manifest_off, const struct disk_manifest *m)
{
    uint64_t off = manifest_off + le64_get(m->segments.off);
    for (uint32_t i = 0; i < le32_get(m->segments.count) && s->count < REGIONS / 2; i++) {
        struct disk_segment segment;
        if (le64_get(m->segments.off) > s->len || !inside(s, off, sizeof segment)) return;
        memcpy(&segment, s->p + off, sizeof segment);
        add_head(s, le64_get(segment.off), le64_get(segment.len));
        add(s, le64_get(segment.off), le64_get(segment.len));
        off += le32_get(m->segments.entry_size);
    }
}

static void find_structures(struct subject *s)
{
    struct region records[REGIONS / 4];
    for (uint64_t i = 0; i < VDB_SUPERBLOCK_SLOTS; i++) {
        uint64_t at = i * VDB_SUPERBLOCK_STRIDE;
        struct disk_superblock slot;
        struct disk_manifest manifest;
        if (!inside(s, at, sizeof slot)) return;
        memcpy(&slot, s->p + at, sizeof slot);
        add(s, at, offsetof(struct disk_superblock, reserved));
        uint64_t off = le64_get(slot.manifest_off);
        if (!inside(s, off, sizeof manifest)) continue;
        memcpy(&manifest, s->p + off, sizeof manifest);
        add(s, off, offsetof(struct disk_manifest, reserved));
        add_table(s, off, &manifest.parts);
        add_table(s, off, &manifest.segments);
        add_table(s, off, &manifest.log_extents);
        add_table(s, off, &manifest.snapshots);
        find_segments(s, off, &manifest);
        find_records(s, le64_get(slot.log_off), le64_get(slot.log_end), records, REGIONS / 4);
        find_records(s, LOG_FROM, LOG_END, records, REGIONS / 4); /* of earlier manifests */
    }
}

size_t mutate_index(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    struct subject s = begin(seed);
    s.p = image_unpack(data, size, &s.len);
    if (s.p == NULL) return LLVMFuzzerMutate(data, size, max_size);
    find_structures(&s);
    change_some(&s);
    size_t len = draw(&s, 64) == 0 ? draw(&s, s.len) : s.len;
    if (seals(&s)) seal_index(s.p, len);
    size_t packed = image_pack(s.p, len, data, max_size);
    free(s.p);
    /* Bytes that have come into holes may be too many: then the input is what it was in part. */
    return packed != 0 ? packed : size;
}

/* ---- streams ------------------------------------------------------------------------------- */

static size_t find_frames(struct subject *s, struct region *frames, size_t room)
{
    size_t count = 0, at = sizeof(struct disk_stream);
    struct disk_stream_frame head;
    add(s, 0, offsetof(struct disk_stream, reserved));
    while (count < room && inside(s, at, sizeof head)) {
        memcpy(&head, s->p + at, sizeof head);
        size_t len = sizeof head + le32_get(head.packed_len);
        if (!inside(s, at, len)) break;
        add(s, at, sizeof head);
        add_head(s, at + sizeof head, len - sizeof head);
        add(s, at + sizeof head, len - sizeof head);
        frames[count++] = (struct region){at, len};
        at += len;
    }
    return count;
}

/* What LZ4 has packed is changed better unpacked. Returns how many bytes the stream then has. */
static size_t store(struct subject *s, struct region frame, size_t room)
{
    struct disk_stream_frame head;
    memcpy(&head, s->p + frame.off, sizeof head);
    size_t raw_len = le32_get(head.raw_len), behind = frame.off + frame.len;
    if (le16_get(head.packing) != DISK_BLOCK_LZ4 || raw_len > room ||
        s->len - frame.len + sizeof head + raw_len > room)
        return s->len;
    uint8_t *raw = malloc(raw_len ? raw_len : 1);
    if (raw == NULL) return s->len;
    int got = LZ4_decompress_safe((const char *)s->p + frame.off + sizeof head, (char *)raw,
                                  (int)(frame.len - sizeof head), (int)raw_len);
    if (got == (int)raw_len) {
        head.packing = le16_put(DISK_BLOCK_STORED);
        head.packed_len = le32_put((uint32_t)raw_len);
        memmove(s->p + frame.off + sizeof head + raw_len, s->p + behind, s->len - behind);
        memcpy(s->p + frame.off, &head, sizeof head);
        memcpy(s->p + frame.off + sizeof head, raw, raw_len);
        s->len = s->len - frame.len + sizeof head + raw_len;
    }
    free(raw);
    return s->len;
}

/* A frame less, or the same one again behind another. */
static size_t move_frame(struct subject *s, const struct region *frames, size_t count, size_t room)
{
    if (count == 0) return s->len;
    struct region from = frames[draw(s, count)], to = frames[draw(s, count)];
    size_t behind = to.off + to.len;
    if (draw(s, 2)) {
        memmove(s->p + to.off, s->p + behind, s->len - behind);
        return s->len - to.len;
    }
    uint8_t *copy = s->len + from.len <= room ? malloc(from.len) : NULL;
    if (copy == NULL) return s->len;
    memcpy(copy, s->p + from.off, from.len);
    memmove(s->p + behind + from.len, s->p + behind, s->len - behind);
    memcpy(s->p + behind, copy, from.len);
    free(copy);
    return s->len + from.len;
}

size_t mutate_stream(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    enum { FRAMES = 64 };
    struct region frames[FRAMES];
    struct subject s = begin(seed);
    if (size < 2) return LLVMFuzzerMutate(data, size, max_size);
    s.p = data + 1;
    s.len = size - 1;
    size_t count = find_frames(&s, frames, FRAMES), how = draw(&s, 16);
    if (how == 0)
        s.len = move_frame(&s, frames, count, max_size - 1);
    else if (how == 1 && count != 0)
        s.len = store(&s, frames[draw(&s, count)], max_size - 1);
    else if (how == 2 && draw(&s, 4) == 0)
        data[0] ^= (uint8_t)draw(&s, 4);
    else if (how == 3 && draw(&s, 2) == 0)
        s.len = LLVMFuzzerMutate(s.p, s.len, max_size - 1);
    else
        change_some(&s);
    if (draw(&s, 64) == 0) s.len -= draw(&s, s.len);
    if (seals(&s)) seal_stream(s.p, s.len);
    return 1 + s.len;
}
