/* salvage_rows.c: the rows of a damaged file: where each one's id, vector and metadata can still be
 * had, and whether it was live.
 *
 * Whether a row is live follows from the tombstones of a manifest and the events of all commits
 * after it. Where the newest manifest's tombstones of a part are damaged, an older one's do, or the
 * beginning of the log if all rows were live there. What is still not known then is known of the
 * rows that a later event names, and of all where the count of live rows says so.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "check/salvage_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "format/tombstone.h"
#include "vector/vtype.h"

enum soundness { UNTRIED, SOUND, BAD };

struct block {
    const char *segment;
    uint64_t off, len, check;
    enum soundness soundness;
};

struct salvage_source {
    uint32_t row_begin, row_end;
    struct block vectors, ids, metadata; /* no metadata: no row has any */
    struct ids_view ids_view;
    struct metadata_view metadata_view;
};

/* ---- sources ------------------------------------------------------------------------------- */

static struct block block_of(const struct segment_entry *s)
{
    if (!s) return (struct block){.segment = "metadata"};
    return (struct block){segment_type_name(s->type), s->off, s->len, s->check, UNTRIED};
}

static struct salvage_source source_of_part(const struct manifest *m, const struct part_entry *part)
{
    return (struct salvage_source){
        .row_begin = part->row_begin,
        .row_end = part->row_end,
        .vectors = block_of(manifest_segment(m, part, DISK_SEGMENT_VECTOR)),
        .ids = block_of(manifest_segment(m, part, DISK_SEGMENT_ID)),
        .metadata = block_of(manifest_segment(m, part, DISK_SEGMENT_METADATA)),
    };
}

static struct block block_of_log(const struct log_block *b)
{
    return (struct block){"log", b->off, b->len, b->check, UNTRIED};
}

static struct salvage_source source_of_commit(const struct log_commit *c)
{
    return (struct salvage_source){
        .row_begin = c->row_base,
        .row_end = c->row_base + c->row_count,
        .vectors = block_of_log(&c->vectors),
        .ids = block_of_log(&c->ids),
        .metadata = block_of_log(&c->metadata),
    };
}

static enum vdb_status list_sources(struct salvage_rows *r, struct vdb_error *err)
{
    const struct salvage_found *f = r->found;
    uint64_t count = f->commit_count;
    for (uint32_t i = 0; i < f->manifest_count; i++) count += f->manifests[i].m.part_count;
    r->sources = calloc(count ? (size_t)count : 1, sizeof *r->sources);
    if (!r->sources) return error_no_memory(err);
    for (uint32_t i = 0; i < f->manifest_count; i++) {
        const struct manifest *m = &f->manifests[i].m;
        bool alike = m->dim == f->manifests[0].m.dim && m->type == f->manifests[0].m.type;
        for (uint32_t j = 0; alike && j < m->part_count; j++)
            r->sources[r->source_count++] = source_of_part(m, &m->parts[j]);
        r->ends[i] = r->source_count;
    }
    for (uint64_t i = 0; i < f->commit_count; i++)
        if (f->commits[i].row_count)
            r->sources[r->source_count++] = source_of_commit(&f->commits[i]);
    r->ends[f->manifest_count] = r->source_count;
    return VDB_OK;
}

/* The next one that has the row, from *group on, which begins with 0; NULL: no other has. Within a
 * group, which is the parts of one manifest or all commits, they stand in the order of rows. */
static struct salvage_source *next_source(struct salvage_rows *r, uint32_t row, uint32_t *group)
{
    while (*group <= r->found->manifest_count) {
        uint64_t low = *group ? r->ends[*group - 1] : 0, high = r->ends[*group], end = high;
        ++*group;
        while (low < high) {
            uint64_t mid = low + (high - low) / 2;
            if (r->sources[mid].row_end <= row)
                low = mid + 1;
            else
                high = mid;
        }
        if (low < end && r->sources[low].row_begin <= row) return &r->sources[low];
    }
    return NULL;
}

/* ---- what a source has --------------------------------------------------------------------- */

static bool try_block(struct salvage_rows *r, struct block *b, struct vdb_error *why)
{
    if (b->soundness == UNTRIED)
        b->soundness =
            salvage_sound(r->found, b->segment, b->off, b->len, b->check, why) ? SOUND : BAD;
    if (b->soundness == BAD)
        error_set_corrupt(why, b->segment, b->off, "%s of %llu bytes is damaged or cut off",
                          b->segment, (unsigned long long)b->len);
    return b->soundness == SOUND;
}

static const uint8_t *bytes_of(const struct salvage_rows *r, const struct block *b)
{
    return r->found->file + b->off;
}

static bool vectors_sound(struct salvage_rows *r, struct salvage_source *s, struct vdb_error *why)
{
    uint32_t rows = s->row_end - s->row_begin;
    if (s->vectors.len != (uint64_t)rows * r->stride) {
        error_set_corrupt(why, s->vectors.segment, s->vectors.off,
                          "vectors of %u rows take %llu bytes", rows,
                          (unsigned long long)s->vectors.len);
        return false;
    }
    return try_block(r, &s->vectors, why);
}

static bool ids_sound(struct salvage_rows *r, struct salvage_source *s, struct vdb_error *why)
{
    bool fresh = s->ids.soundness == UNTRIED;
    if (!try_block(r, &s->ids, why)) return false;
    if (fresh && ids_view_init(&s->ids_view, bytes_of(r, &s->ids), (size_t)s->ids.len,
                               s->row_end - s->row_begin, s->ids.off, why))
        s->ids.soundness = BAD;
    return s->ids.soundness == SOUND;
}

static bool metadata_sound(struct salvage_rows *r, struct salvage_source *s, struct vdb_error *why)
{
    bool fresh = s->metadata.soundness == UNTRIED;
    if (!try_block(r, &s->metadata, why)) return false;
    if (fresh &&
        metadata_view_init(&s->metadata_view, bytes_of(r, &s->metadata), (size_t)s->metadata.len,
                           s->row_end - s->row_begin, s->metadata.off, why))
        s->metadata.soundness = BAD;
    return s->metadata.soundness == SOUND;
}

/* The reason given is that of the first source; others fill `again`. */
static struct vdb_error *reason(struct vdb_error *why, struct vdb_error *again, bool first)
{
    return first ? why : again;
}

bool salvage_row_vector(struct salvage_rows *r, uint32_t row, const uint8_t **vector,
                        struct vdb_error *why)
{
    struct salvage_source *s;
    struct vdb_error again;
    bool first = true;
    for (uint32_t at = 0; (s = next_source(r, row, &at)) != NULL; first = false)
        if (vectors_sound(r, s, reason(why, &again, first))) {
            *vector = bytes_of(r, &s->vectors) + (size_t)(row - s->row_begin) * r->stride;
            return true;
        }
    if (first) error_set_corrupt(why, "vector", 0, "nothing has the vector of row %u", row);
    return false;
}

bool salvage_row_id(struct salvage_rows *r, uint32_t row, const char **id, size_t *len,
                    struct vdb_error *why)
{
    struct salvage_source *s;
    struct vdb_error again;
    bool first = true;
    for (uint32_t at = 0; (s = next_source(r, row, &at)) != NULL; first = false)
        if (ids_sound(r, s, reason(why, &again, first)) &&
            ids_get(&s->ids_view, row - s->row_begin, id, len, reason(why, &again, first)) ==
                VDB_OK)
            return true;
    if (first) error_set_corrupt(why, "id", 0, "nothing has the id of row %u", row);
    return false;
}

bool salvage_row_metadata(struct salvage_rows *r, uint32_t row, const char **text, size_t *len,
                          struct vdb_error *why)
{
    struct salvage_source *s;
    struct vdb_error again;
    bool first = true;
    for (uint32_t at = 0; (s = next_source(r, row, &at)) != NULL; first = false) {
        *text = NULL;
        *len = 0;
        if (!s->metadata.len) return true;
        if (r->unpacked_of != s) {
            packed_block_release(&r->unpacked);
            r->unpacked_of = s;
        }
        if (metadata_sound(r, s, reason(why, &again, first)) &&
            metadata_read(&s->metadata_view, &r->unpacked, row - s->row_begin, text, len,
                          reason(why, &again, first)) == VDB_OK)
            return true;
    }
    if (first) error_set_corrupt(why, "metadata", 0, "nothing has the metadata of row %u", row);
    return false;
}

/* ---- which are live ------------------------------------------------------------------------ */

static void set(struct salvage_rows *r, uint8_t *state, uint64_t begin, uint64_t end,
                enum salvage_row value)
{
    if (end > r->tried) end = r->tried;
    if (begin < end) memset(state + begin, (int)value, (size_t)(end - begin));
}

/* false: its events are not there. */
static bool apply(struct salvage_rows *r, uint8_t *state, const struct log_commit *c)
{
    struct vdb_error why;
    const struct log_block *b = &c->events;
    if (b->len && !salvage_sound(r->found, "log", b->off, b->len, b->check, &why)) return false;
    set(r, state, c->row_base, (uint64_t)c->row_base + c->row_count, SALVAGE_LIVE);
    for (uint32_t i = 0; i < c->event_count; i++) {
        struct disk_event event;
        memcpy(&event, r->found->file + b->off + (size_t)i * sizeof event, sizeof event);
        uint32_t row = le32_get(event.row), kind = le32_get(event.kind);
        set(r, state, row, (uint64_t)row + 1,
            kind == DISK_EVENT_RESTORE ? SALVAGE_LIVE : SALVAGE_DELETED);
    }
    return true;
}

/* What commits after `commit` changed, up to the last whose state is to be told. */
static bool apply_all(struct salvage_rows *r, uint8_t *state, uint64_t commit, uint64_t last)
{
    const struct salvage_found *f = r->found;
    uint64_t i = salvage_commit_from(f, commit + 1);
    for (; commit < last; commit++, i++)
        if (i == f->commit_count || f->commits[i].commit != commit + 1 ||
            !apply(r, state, &f->commits[i]))
            return false;
    return true;
}

static void set_part(struct salvage_rows *r, uint8_t *state, const struct manifest *m,
                     const struct part_entry *part)
{
    const struct segment_entry *s = manifest_segment(m, part, DISK_SEGMENT_TOMBSTONE);
    uint32_t rows = part->row_end - part->row_begin;
    struct vdb_error why;
    if (!s) {
        set(r, state, part->row_begin, part->row_end, SALVAGE_LIVE);
        return;
    }
    if (s->len != tombstone_len(rows) ||
        !salvage_sound(r->found, "tombstone", s->off, s->len, s->check, &why))
        return;
    const uint8_t *words = r->found->file + s->off;
    for (uint32_t i = 0; i < rows; i++)
        set(r, state, part->row_begin + i, (uint64_t)part->row_begin + i + 1,
            words[i / 8] >> (i % 8) & 1 ? SALVAGE_DELETED : SALVAGE_LIVE);
}

static void set_parts(struct salvage_rows *r, uint8_t *state, const struct manifest *m)
{
    memset(state, SALVAGE_UNKNOWN, r->tried ? r->tried : 1);
    for (uint32_t i = 0; i < m->part_count; i++) set_part(r, state, m, &m->parts[i]);
}

/* The last commit whose record and events are there, with those of all between it and the newest
 * manifest. */
static void find_last(struct salvage_rows *r)
{
    const struct salvage_found *f = r->found;
    const struct manifest *m = &f->manifests[0].m;
    struct vdb_error why;
    r->commit = m->commit;
    r->row_count = m->row_count;
    for (uint64_t i = salvage_commit_from(f, m->commit + 1); i < f->commit_count; i++) {
        const struct log_commit *c = &f->commits[i];
        const struct log_block *b = &c->events;
        bool next = c->commit == r->commit + 1 && c->row_base == r->row_count;
        if (!next || (b->len && !salvage_sound(r->found, "log", b->off, b->len, b->check, &why))) {
            r->found->behind = true;
            if (next) r->found->broken = why;
            break;
        }
        r->commit = c->commit;
        r->row_count = c->row_base + c->row_count;
    }
}

static bool any_unknown(const struct salvage_rows *r)
{
    return r->tried && memchr(r->state, SALVAGE_UNKNOWN, r->tried);
}

static void merge(struct salvage_rows *r, const uint8_t *from)
{
    for (uint32_t i = 0; i < r->tried; i++)
        if (r->state[i] == SALVAGE_UNKNOWN) r->state[i] = from[i];
}

/* Before the first commit of the log no row was deleted, if that commit leaves as many live as
 * there were, and what it changed. */
static bool all_live_before(const struct salvage_rows *r, const struct log_commit *c)
{
    uint64_t live = c->live_count;
    for (uint32_t i = 0; i < c->event_count; i++) {
        const uint8_t *event = r->found->file + c->events.off + (size_t)i * 8;
        live += le32_at(event + 4) == DISK_EVENT_RESTORE ? UINT64_MAX : 1;
    }
    return live - c->row_count == c->row_base;
}

static enum vdb_status ask_the_past(struct salvage_rows *r, struct vdb_error *err)
{
    const struct salvage_found *f = r->found;
    uint8_t *other = malloc(r->tried ? r->tried : 1);
    struct vdb_error why;
    if (!other) return error_no_memory(err);
    for (uint32_t i = 1; i < f->manifest_count && any_unknown(r); i++) {
        set_parts(r, other, &f->manifests[i].m);
        if (apply_all(r, other, f->manifests[i].m.commit, r->commit)) merge(r, other);
    }
    const struct log_commit *first = f->commits;
    if (f->commit_count && any_unknown(r) &&
        (!first->events.len || salvage_sound(r->found, "log", first->events.off, first->events.len,
                                             first->events.check, &why)) &&
        all_live_before(r, first)) {
        memset(other, SALVAGE_UNKNOWN, r->tried ? r->tried : 1);
        set(r, other, 0, first->row_base, SALVAGE_LIVE);
        if (apply_all(r, other, first->commit - 1, r->commit)) merge(r, other);
    }
    free(other);
    return VDB_OK;
}

static void ask_the_count(struct salvage_rows *r)
{
    const struct salvage_found *f = r->found;
    uint64_t i = salvage_commit_from(f, r->commit), known = 0, unknown = 0;
    const struct manifest *m = &f->manifests[0].m;
    bool logged = i < f->commit_count && f->commits[i].commit == r->commit;
    uint64_t live = r->commit == m->commit ? m->live_count : logged ? f->commits[i].live_count : 0;
    for (uint32_t row = 0; row < r->tried; row++) {
        known += r->state[row] == SALVAGE_LIVE;
        unknown += r->state[row] == SALVAGE_UNKNOWN;
    }
    if (r->tried < r->row_count || !unknown) return;
    if (known + unknown != live && known != live) return;
    uint8_t all = (uint8_t)(known == live ? SALVAGE_DELETED : SALVAGE_LIVE);
    for (uint32_t row = 0; row < r->tried; row++)
        if (r->state[row] == SALVAGE_UNKNOWN) r->state[row] = all;
}

enum vdb_status salvage_rows_init(struct salvage_rows *r, struct salvage_found *found,
                                  struct vdb_error *err)
{
    const struct manifest *m = &found->manifests[0].m;
    *r = (struct salvage_rows){.found = found, .stride = vtype_stride(m->type, m->dim)};
    find_last(r);
    /* A row takes a byte and more: what is asked for does not go by a number in the file alone. */
    r->tried = r->row_count < found->file_len ? r->row_count : (uint32_t)found->file_len;
    r->state = malloc(r->tried ? r->tried : 1);
    if (!r->state) return error_no_memory(err);
    enum vdb_status status = list_sources(r, err);
    if (status) return status;
    set_parts(r, r->state, m);
    apply_all(r, r->state, m->commit, r->commit);
    if (any_unknown(r)) status = ask_the_past(r, err);
    if (!status) ask_the_count(r);
    return status;
}

void salvage_rows_release(struct salvage_rows *r)
{
    packed_block_release(&r->unpacked);
    free(r->sources);
    free(r->state);
}
