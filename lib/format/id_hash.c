/* id_hash.c: id-hash segments; implements format-spec/ids.md.
 *
 *     header | u32 a bucket and one more: its first entry | (u32 tag, u32 row) an entry
 *
 * A bucket is chosen by the top bits of the id's hash and holds about four entries; the tag is the
 * low 32 bits, so that with up to 2^32 buckets an entry is right but for one in billions before
 * its id is looked at. Entries are ordered by (bucket, tag, row): the table is a function of the
 * hashes alone, and ids made to share a bucket cost a binary search, not a scan.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/id_hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "format/range.h"

static const char SEGMENT[] = "id-hash";

#define BUCKET_BITS_MAX    30
#define ENTRIES_A_BUCKET   4
#define INSERTION_SORT_MAX 32

struct entry {
    uint32_t tag;
    uint32_t row;
};
_Static_assert(sizeof(struct entry) == sizeof(struct disk_id_hash_entry),
               "entries are sorted where they will lie");

static uint32_t bucket_of(uint64_t hash, uint32_t bits)
{
    return bits ? (uint32_t)(hash >> (64 - bits)) : 0;
}

/* ---- building ------------------------------------------------------------------------------ */

static uint32_t choose_bits(uint32_t n)
{
    uint32_t bits = 0;
    while (((uint64_t)ENTRIES_A_BUCKET << bits) < n) bits++;
    return bits;
}

static int entry_compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->tag != y->tag) return x->tag < y->tag ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Buckets are a handful of entries, unless the ids were chosen to collide or one id has many rows:
 * then a sort that stays n log n. */
static void bucket_sort(struct entry *e, uint32_t n)
{
    if (n > INSERTION_SORT_MAX) {
        qsort(e, n, sizeof *e, entry_compare);
        return;
    }
    for (uint32_t i = 1; i < n; i++) {
        struct entry moving = e[i];
        uint32_t at = i;
        for (; at > 0 && entry_compare(&moving, &e[at - 1]) < 0; at--) e[at] = e[at - 1];
        e[at] = moving;
    }
}

/* starts has (1 << bits) + 1 slots, entries n. */
static void fill(const uint64_t *hashes, uint32_t n, uint32_t bits, uint32_t *starts,
                 struct entry *entries)
{
    size_t buckets = (size_t)1 << bits;
    memset(starts, 0, (buckets + 1) * sizeof *starts);
    for (uint32_t row = 0; row < n; row++) starts[bucket_of(hashes[row], bits)]++;
    uint32_t sum = 0;
    for (size_t i = 0; i <= buckets; i++) {
        sum += starts[i];
        starts[i] = sum;
    }
    /* starts[i] is now where bucket i ends; each entry placed from the back moves it down, until
     * it is where the bucket begins. */
    for (uint32_t row = n; row-- > 0;) {
        uint32_t at = --starts[bucket_of(hashes[row], bits)];
        entries[at] = (struct entry){(uint32_t)hashes[row], row};
    }
    for (size_t i = 0; i < buckets; i++)
        bucket_sort(entries + starts[i], starts[i + 1] - starts[i]);
}

enum vdb_status id_hash_build(const uint64_t *hashes, uint32_t n, struct buf *to,
                              struct vdb_error *err)
{
    uint32_t bits = choose_bits(n);
    size_t slots = ((size_t)1 << bits) + 1;
    size_t buckets_off = sizeof(struct disk_id_hash_header);
    size_t entries_off = range_align(buckets_off + slots * 4, 8);
    struct disk_id_hash_header header = {
        .entry_count = le32_put(n),
        .bucket_bits = le32_put(bits),
        .buckets_off = le64_put(buckets_off),
        .entries_off = le64_put(entries_off),
    };
    uint32_t *starts = malloc(slots * sizeof *starts);
    struct entry *entries = malloc(n ? n * sizeof *entries : 1);
    enum vdb_status status = VDB_OK;
    if (!starts || !entries || buf_reserve(to, entries_off + n * sizeof *entries) != 0) {
        status = error_no_memory(err);
    } else {
        fill(hashes, n, bits, starts, entries);
        (void)buf_append(to, &header, sizeof header); /* there is room for all */
        (void)buf_append(to, starts, slots * sizeof *starts);
        (void)buf_append_zeros(to, entries_off - buckets_off - slots * sizeof *starts);
        (void)buf_append(to, entries, n * sizeof *entries);
    }
    free(entries);
    free(starts);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------- */

enum vdb_status id_hash_view_init(struct id_hash_view *view, const void *p, size_t len,
                                  uint32_t rows, uint64_t file_off, struct vdb_error *err)
{
    struct disk_id_hash_header header;
    if (len < sizeof header)
        return error_set_corrupt(err, SEGMENT, file_off, "%zu bytes hold no header", len);
    memcpy(&header, p, sizeof header);
    uint32_t count = le32_get(header.entry_count);
    uint32_t bits = le32_get(header.bucket_bits);
    uint64_t buckets_off = le64_get(header.buckets_off);
    uint64_t entries_off = le64_get(header.entries_off);
    if (count != rows)
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_id_hash_header, entry_count),
                                 "it holds %" PRIu32 " entries for %" PRIu32 " rows", count, rows);
    if (bits > BUCKET_BITS_MAX)
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_id_hash_header, bucket_bits),
                                 "%" PRIu32 " bucket bits are too many", bits);
    if (!range_array_inside(buckets_off, ((uint64_t)1 << bits) + 1, 4, 4, len))
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_id_hash_header, buckets_off),
                                 "the buckets at %" PRIu64 " do not lie in it", buckets_off);
    if (!range_array_inside(entries_off, rows, sizeof(struct entry), 8, len))
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_id_hash_header, entries_off),
                                 "the entries at %" PRIu64 " do not lie in it", entries_off);
    const uint8_t *start = p;
    *view = (struct id_hash_view){
        .rows = rows,
        .bucket_bits = bits,
        .buckets = start + buckets_off,
        .entries = start + entries_off,
        .buckets_at = file_off + buckets_off,
        .entries_at = file_off + entries_off,
    };
    return VDB_OK;
}

static struct entry entry_at(const struct id_hash_view *view, uint32_t i)
{
    struct entry e;
    memcpy(&e, view->entries + (size_t)i * sizeof e, sizeof e);
    return e;
}

static enum vdb_status bucket_bounds(const struct id_hash_view *view, uint32_t bucket,
                                     uint32_t *begin, uint32_t *end, struct vdb_error *err)
{
    const uint8_t *p = view->buckets + (size_t)bucket * 4;
    *begin = le32_at(p);
    *end = le32_at(p + 4);
    if (*begin > *end || *end > view->rows)
        return error_set_corrupt(err, SEGMENT, view->buckets_at + (uint64_t)bucket * 4,
                                 "bucket %" PRIu32 " has impossible bounds", bucket);
    return VDB_OK;
}

/* The first entry of [begin, end) whose tag is `tag` or above. */
static uint32_t lower_bound(const struct id_hash_view *view, uint32_t begin, uint32_t end,
                            uint64_t tag)
{
    while (begin < end) {
        uint32_t middle = begin + (end - begin) / 2;
        if (entry_at(view, middle).tag < tag)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

enum vdb_status id_hash_find(const struct id_hash_view *view, uint64_t hash, uint32_t *first,
                             uint32_t *count, struct vdb_error *err)
{
    uint32_t begin, end;
    uint64_t tag = (uint32_t)hash;
    enum vdb_status status =
        bucket_bounds(view, bucket_of(hash, view->bucket_bits), &begin, &end, err);
    if (status != VDB_OK) return status;
    *first = lower_bound(view, begin, end, tag);
    *count = lower_bound(view, *first, end, tag + 1) - *first;
    return VDB_OK;
}

enum vdb_status id_hash_row(const struct id_hash_view *view, uint32_t entry, uint32_t *row,
                            struct vdb_error *err)
{
    if (entry >= view->rows)
        return error_set(err, VDB_NOT_FOUND, "there is no entry %" PRIu32, entry);
    uint32_t r = entry_at(view, entry).row;
    if (r >= view->rows)
        return error_set_corrupt(
            err, SEGMENT, view->entries_at + (uint64_t)entry * sizeof(struct entry),
            "entry %" PRIu32 " names row %" PRIu32 " of %" PRIu32, entry, r, view->rows);
    *row = r;
    return VDB_OK;
}

/* Entries rise strictly within a bucket and each stands where its row's hash says: so a row has at
 * most one entry, and as there are as many entries as rows, exactly one. */
static enum vdb_status validate_bucket(const struct id_hash_view *view, const struct ids_view *ids,
                                       uint32_t bucket, uint32_t begin, uint32_t end,
                                       struct vdb_error *err)
{
    for (uint32_t i = begin; i < end; i++) {
        const char *id;
        size_t len;
        uint32_t row;
        enum vdb_status status = id_hash_row(view, i, &row, err);
        if (status == VDB_OK) status = ids_get(ids, row, &id, &len, err);
        if (status != VDB_OK) return status;
        uint64_t at = view->entries_at + (uint64_t)i * sizeof(struct entry);
        uint64_t hash = checksum(id, len);
        struct entry e = entry_at(view, i);
        if (bucket_of(hash, view->bucket_bits) != bucket || (uint32_t)hash != e.tag)
            return error_set_corrupt(err, SEGMENT, at, "the entry of row %" PRIu32 " is misplaced",
                                     row);
        struct entry before = i > begin ? entry_at(view, i - 1) : e;
        if (i > begin && entry_compare(&before, &e) >= 0)
            return error_set_corrupt(err, SEGMENT, at, "entry %" PRIu32 " is out of order", i);
    }
    return VDB_OK;
}

enum vdb_status id_hash_validate(const struct id_hash_view *view, const struct ids_view *ids,
                                 struct vdb_error *err)
{
    uint32_t expected = 0;
    uint32_t buckets = (uint32_t)1 << view->bucket_bits;
    if (ids->rows != view->rows)
        return error_set_corrupt(err, SEGMENT, view->buckets_at, "it is of other ids");
    for (uint32_t bucket = 0; bucket < buckets; bucket++) {
        uint32_t begin, end;
        enum vdb_status status = bucket_bounds(view, bucket, &begin, &end, err);
        if (status != VDB_OK) return status;
        if (begin != expected)
            return error_set_corrupt(err, SEGMENT, view->buckets_at + (uint64_t)bucket * 4,
                                     "bucket %" PRIu32 " does not follow on", bucket);
        expected = end;
        status = validate_bucket(view, ids, bucket, begin, end, err);
        if (status != VDB_OK) return status;
    }
    if (expected != view->rows)
        return error_set_corrupt(err, SEGMENT, view->buckets_at + (uint64_t)buckets * 4,
                                 "entries that belong to no bucket");
    return VDB_OK;
}
