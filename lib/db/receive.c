/* receive.c: applying a stream to an index (format-spec/stream.md).
 *
 * All of the stream is read and verified first, into a spool, and then applied from there in one
 * transaction, which is begun anew where another writer's commit came between: what the stream is
 * to do depends on the state that it finds.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/options.h"
#include "db/apply.h"
#include "db/create.h"
#include "db/db.h"
#include "db/newname.h"
#include "db/spool.h"
#include "db/txn.h"
#include "format/stream.h"
#include "format/stream_items.h"
#include "state/names.h"
#include "vdb.h"
#include "vector/vtype.h"

#define PIECE    ((size_t)64 << 10)
#define ATTEMPTS 20

struct receiver {
    const char *path;
    const struct vdb_open_options *open;
    bool force;
    struct spool spool; /* the stream, verified */
    struct stream_header header;
    struct buf names, base_names; /* struct snapshot_entry: of the target, and of the base */
};

/* ---- reading ------------------------------------------------------------------------------- */

/* Where the bytes of a stream come from: the caller, to be kept in the spool, or the spool. */
struct source {
    vdb_read_fn read; /* NULL: the spool */
    void *context;
    struct spool *spool;
    uint64_t at;
};

/* *got is below len only at the end. */
static enum vdb_status read_some(struct source *s, void *p, size_t len, size_t *got,
                                 struct vdb_error *err)
{
    *got = 0;
    while (*got < len) {
        errno = 0;
        ptrdiff_t n = s->read(s->context, (char *)p + *got, len - *got);
        if (n < 0 || (size_t)n > len - *got)
            return error_set_errno(err, VDB_IO, errno, "cannot read the stream");
        if (n == 0) break;
        *got += (size_t)n;
    }
    return VDB_OK;
}

static enum vdb_status take(struct source *s, void *p, size_t len, struct vdb_error *err)
{
    size_t got = len;
    enum vdb_status status =
        s->read ? read_some(s, p, len, &got, err) : spool_read(s->spool, s->at, p, len, err);
    if (!status && got < len)
        return error_set_corrupt(err, "stream", s->at + got,
                                 "the stream is cut off after %" PRIu64 " bytes", s->at + got);
    if (!status && s->read) status = spool_append(s->spool, p, len, err);
    s->at += len;
    return status;
}

/* In pieces, so that a length without the bytes takes no memory. */
static enum vdb_status take_packed(struct source *s, size_t len, struct buf *packed,
                                   struct vdb_error *err)
{
    buf_clear(packed);
    enum vdb_status status = VDB_OK;
    while (packed->len < len && !status) {
        size_t piece = len - packed->len < PIECE ? len - packed->len : PIECE;
        uint8_t *to = buf_extend(packed, piece);
        status = to ? take(s, to, piece, err) : error_no_memory(err);
    }
    return status;
}

typedef enum vdb_status (*frame_fn)(void *context, const struct stream_frame *frame,
                                    struct buf *raw, struct vdb_error *err);

/* Takes a whole stream from its source and hands out what its frames hold. */
static enum vdb_status read_stream(struct source *s, struct stream_reader *reader, frame_fn each,
                                   void *context, struct vdb_error *err)
{
    struct disk_stream header;
    struct buf packed = {0}, raw = {0};
    enum vdb_status status = take(s, &header, sizeof header, err);
    if (!status) status = stream_begin(reader, &header, err);
    while (!status && !reader->ended) {
        struct disk_stream_frame head;
        struct stream_frame frame = {0};
        status = take(s, &head, sizeof head, err);
        if (!status) status = stream_frame_begin(reader, &head, &frame, err);
        if (!status) status = take_packed(s, frame.packed_len, &packed, err);
        if (!status) status = stream_frame_end(reader, &frame, packed.data, &raw, err);
        if (!status) status = each(context, &frame, &raw, err);
    }
    buf_release(&packed);
    buf_release(&raw);
    return status;
}

static enum vdb_status keep_names(void *context, const struct stream_frame *frame, struct buf *raw,
                                  struct vdb_error *err)
{
    struct receiver *r = context;
    struct snapshot_entry entry;
    size_t at = 0;
    if (frame->kind != DISK_FRAME_NAMES && frame->kind != DISK_FRAME_BASE_NAMES) return VDB_OK;
    struct buf *to = frame->kind == DISK_FRAME_NAMES ? &r->names : &r->base_names;
    while (stream_name_next(raw->data, raw->len, &at, &entry))
        if (buf_append(to, &entry, sizeof entry)) return error_no_memory(err);
    return VDB_OK;
}

static enum vdb_status verify_all(struct receiver *r, vdb_read_fn read, void *context,
                                  struct vdb_error *err)
{
    struct source source = {.read = read, .context = context, .spool = &r->spool};
    struct stream_reader reader;
    enum vdb_status status = read_stream(&source, &reader, keep_names, r, err);
    if (status) return status;
    r->header = reader.header;
    uint8_t beyond;
    size_t got;
    status = read_some(&source, &beyond, 1, &got, err);
    if (!status && got)
        status = error_set_corrupt(err, "stream", source.at, "bytes follow the end of the stream");
    return status;
}

/* ---- what is to be done -------------------------------------------------------------------- */

struct plan {
    bool known;       /* the target is there already, and so are its names */
    bool at_target;   /* the newest state is the target, only names are missing */
    bool replace;     /* the result is what the stream holds, whatever there is now */
    uint64_t back_to; /* a commit to begin from, 0: the newest */
};

static bool own_id(const struct vdb_snapshot *s, const struct origin *origin)
{
    return memcmp(origin->id, s->generation->superblock.file_id, sizeof origin->id) == 0;
}

/* Two copies of one file number their commits alike: of the index's own ones the times agree too,
 * where they are known. */
static bool same_time(int64_t time_us, const struct stream_state *state)
{
    return state->time_us == 0 || time_us == state->time_us;
}

static bool same_state(const struct origin *origin, uint32_t live, const struct stream_state *state)
{
    return same_origin(origin, &state->origin) && live == state->live;
}

static bool newest_received(const struct vdb_snapshot *newest)
{
    return newest->names->received_commit == newest->commit;
}

/* Whether a stream has that very name. */
static bool has_name(const struct buf *names, const struct snapshot_entry *entry)
{
    const struct snapshot_entry *entries = (const void *)names->data;
    for (size_t i = 0; i < names->len / sizeof *entries; i++)
        if (entries[i].created_us == entry->created_us && entries[i].name_len == entry->name_len &&
            memcmp(entries[i].name, entry->name, entry->name_len) == 0)
            return true;
    return false;
}

/* The newest commit with a name whose state that is; 0: none. `names` are the stream's for it. */
static uint64_t named_state(const struct vdb_snapshot *newest, const struct stream_state *state,
                            const struct buf *names)
{
    uint64_t commit = 0;
    for (uint32_t i = 0; i < newest->names->count; i++) {
        const struct snapshot_entry *entry = newest->names->entries[i];
        if (entry->commit > commit && same_state(&entry->origin, entry->live_count, state) &&
            (!own_id(newest, &entry->origin) || same_time(entry->commit_time_us, state) ||
             has_name(names, entry)))
            commit = entry->commit;
    }
    return commit;
}

/* The newest commit that has a name which the stream has for a state too, from the same index; 0:
 * none. A state may come by several names, and be known by another one than it is told by. */
static uint64_t shared_name(const struct vdb_snapshot *newest, const struct buf *names,
                            uint32_t live)
{
    const struct snapshot_entry *sent = (const void *)names->data;
    uint64_t commit = 0;
    for (size_t i = 0; i < names->len / sizeof *sent; i++) {
        bool there;
        uint32_t place = names_place(newest->names, sent[i].name, sent[i].name_len, &there);
        if (!there) continue;
        const struct snapshot_entry *entry = newest->names->entries[place];
        if (entry->created_us == sent[i].created_us && entry->live_count == live &&
            same_origin(&entry->origin, &sent[i].origin) && entry->commit > commit)
            commit = entry->commit;
    }
    return commit;
}

/* It may have been received, have names that were, and be a commit of its own. */
static bool newest_is(const struct vdb_snapshot *newest, const struct stream_state *state,
                      const struct buf *names)
{
    struct origin own = {.commit = newest->commit};
    memcpy(own.id, newest->generation->superblock.file_id, sizeof own.id);
    uint32_t live = newest->live_count;
    return (same_state(&own, live, state) && same_time(newest->commit_time_us, state)) ||
           (newest_received(newest) && same_state(&newest->names->origin, live, state)) ||
           named_state(newest, state, names) == newest->commit ||
           shared_name(newest, names, live) == newest->commit;
}

/* The commit whose state that is; *commit is 0 where none is known: a commit can also be one that
 * was received, or of this very index. */
static enum vdb_status find_state(const struct vdb_snapshot *newest,
                                  const struct stream_state *state, const struct buf *sent,
                                  uint64_t *commit, struct vdb_error *err)
{
    const struct names *names = newest->names;
    *commit = newest_is(newest, state, sent) ? newest->commit : named_state(newest, state, sent);
    if (!*commit) *commit = shared_name(newest, sent, state->live);
    uint64_t maybe = 0;
    if (names->received_commit && same_origin(&names->origin, &state->origin))
        maybe = names->received_commit;
    else if (own_id(newest, &state->origin))
        maybe = state->origin.commit;
    if (*commit || !maybe) return VDB_OK;
    const struct vdb_snapshot *past;
    enum vdb_status status = vdb_snapshot_at(newest, maybe, &past, err);
    if (status == VDB_NOT_FOUND) return VDB_OK;
    if (status) return status;
    if (past->live_count == state->live &&
        (maybe == names->received_commit || same_time(past->commit_time_us, state)))
        *commit = maybe;
    vdb_snapshot_close(past);
    return VDB_OK;
}

static const char *base_in_words(const struct receiver *r, char words[300])
{
    const struct snapshot_entry *name = (const void *)r->base_names.data;
    const uint8_t *id = r->header.base.origin.id;
    uint64_t commit = r->header.base.origin.commit;
    if (r->base_names.len)
        snprintf(words, 300, "\"%.*s\" (commit %" PRIu64 ")", name->name_len, name->name, commit);
    else
        snprintf(words, 300, "commit %" PRIu64 " of index %02x%02x%02x%02x", commit, id[0], id[1],
                 id[2], id[3]);
    return words;
}

static enum vdb_status plan_changes(const struct receiver *r, const struct vdb_snapshot *newest,
                                    struct plan *plan, struct vdb_error *err)
{
    char words[300];
    uint64_t base;
    enum vdb_status status = find_state(newest, &r->header.base, &r->base_names, &base, err);
    if (status) return status;
    if (!base)
        return error_set(err, VDB_NOT_FOUND, "the stream's base, %s, is not in the index",
                         base_in_words(r, words));
    if (base == newest->commit) return VDB_OK;
    if (!r->force && !newest_received(newest))
        return error_set(
            err, VDB_EXISTS,
            "the index has changed since the stream's base, %s, which is commit %" PRIu64 " here",
            base_in_words(r, words), base);
    plan->back_to = base;
    return VDB_OK;
}

static enum vdb_status plan_whole(const struct receiver *r, const struct vdb_snapshot *newest,
                                  struct plan *plan, struct vdb_error *err)
{
    if (newest->row_count == 0) return VDB_OK;
    bool same_sender =
        newest_received(newest) && memcmp(newest->names->origin.id, r->header.target.origin.id,
                                          sizeof newest->names->origin.id) == 0;
    if (!same_sender && !r->force)
        return error_set(err, VDB_EXISTS,
                         "the index has rows that it did not receive from the stream's sender");
    plan->replace = true;
    return VDB_OK;
}

static enum vdb_status check_kind(const struct receiver *r, const struct vdb_snapshot *newest,
                                  struct vdb_error *err)
{
    static const char *const metrics[] = {"", "l2", "cosine", "ip"};
    const struct stream_header *h = &r->header;
    const struct manifest *m = &newest->generation->manifest;
    if (h->dim == m->dim && h->metric == m->metric && h->type == m->type) return VDB_OK;
    return error_set(err, VDB_UNSUPPORTED,
                     "the stream is of %u dimensions, %s, %s; the index is of %u, %s, %s", h->dim,
                     vtype_name(h->type), metrics[h->metric], m->dim, vtype_name(m->type),
                     metrics[m->metric]);
}

/* Counts the names that are not here yet. */
static enum vdb_status check_names(const struct receiver *r, const struct vdb_snapshot *newest,
                                   size_t *missing, struct vdb_error *err)
{
    const struct snapshot_entry *entries = (const void *)r->names.data;
    size_t count = r->names.len / sizeof *entries;
    *missing = 0;
    for (size_t i = 0; i < count; i++) {
        bool there;
        uint32_t place = names_place(newest->names, entries[i].name, entries[i].name_len, &there);
        bool same =
            there && same_origin(&newest->names->entries[place]->origin, &entries[i].origin);
        if (there && !same && !r->force)
            return error_set(err, VDB_EXISTS,
                             "the stream's snapshot \"%.*s\" is another one in the index",
                             entries[i].name_len, entries[i].name);
        *missing += !same;
    }
    return VDB_OK;
}

static enum vdb_status make_plan(const struct receiver *r, const struct vdb_snapshot *newest,
                                 struct plan *plan, struct vdb_error *err)
{
    size_t missing;
    *plan = (struct plan){0};
    enum vdb_status status = check_kind(r, newest, err);
    if (!status) status = check_names(r, newest, &missing, err);
    if (status) return status;
    const struct stream_state *target = &r->header.target;
    plan->at_target = newest_is(newest, target, &r->names);
    bool onward = r->header.incremental && newest_is(newest, &r->header.base, &r->base_names);
    uint64_t was = 0; /* a stream from the newest state is taken wherever it leads, back too */
    if (!r->force && !plan->at_target && !onward) was = named_state(newest, target, &r->names);
    plan->known = plan->at_target ? !missing : was && newest_received(newest);
    if (plan->at_target || plan->known) return VDB_OK;
    if (was)
        return error_set(
            err, VDB_EXISTS,
            "the index has the stream's state, as commit %" PRIu64 ", and has changed since", was);
    return r->header.incremental ? plan_changes(r, newest, plan, err)
                                 : plan_whole(r, newest, plan, err);
}

/* ---- doing it ------------------------------------------------------------------------------ */

/* The names that are not here, and what the state is. */
static enum vdb_status put_names(const struct receiver *r, const struct vdb_snapshot *newest,
                                 struct vdb_txn *txn, struct vdb_error *err)
{
    const struct snapshot_entry *entries = (const void *)r->names.data;
    size_t count = r->names.len / sizeof *entries;
    enum vdb_status status = VDB_OK;
    for (size_t i = 0; i < count && !status; i++) {
        struct log_name_change change = {DISK_NAME_CREATE, entries[i]};
        bool there;
        uint32_t place = names_place(newest->names, entries[i].name, entries[i].name_len, &there);
        if (there && same_origin(&newest->names->entries[place]->origin, &entries[i].origin))
            continue;
        if (there)
            status = txn_name(txn, &(struct log_name_change){DISK_NAME_REMOVE, entries[i]}, err);
        if (!status) status = txn_name(txn, &change, err);
    }
    struct log_name_change received = {DISK_NAME_RECEIVED, {.origin = r->header.target.origin}};
    return status ? status : txn_name(txn, &received, err);
}

static enum vdb_status apply_all(const struct receiver *r, const struct plan *plan,
                                 struct vdb_txn *txn, struct vdb_error *err)
{
    struct source source = {.spool = (struct spool *)&r->spool};
    struct stream_reader reader;
    struct applier applier;
    enum vdb_status status = applier_init(&applier, txn, plan->replace, err);
    if (!status) status = read_stream(&source, &reader, applier_frame, &applier, err);
    if (!status) status = applier_finish(&applier, r->header.target.live, err);
    applier_release(&applier);
    return status;
}

/* *again: another writer's commit came between, and nothing was done. */
static enum vdb_status receive_into(const struct receiver *r, struct vdb *db,
                                    struct vdb_receive_info *info, bool *again,
                                    struct vdb_error *err)
{
    struct vdb_txn *txn;
    struct plan plan;
    enum vdb_status status = vdb_txn_begin(db, &txn, err);
    if (status) return status;
    struct vdb_snapshot *newest = snapshot_ref(txn->changes.now.base);
    info->commit = newest->commit;
    status = make_plan(r, newest, &plan, err);
    info->known = !status && plan.known;
    if (!status && !plan.known) {
        txn->only_on = newest->commit;
        if (plan.back_to) status = txn_roll_back(txn, plan.back_to, err);
        if (!status && !plan.at_target) status = apply_all(r, &plan, txn, err);
        if (!status) status = put_names(r, newest, txn, err);
        struct vdb_commit_info done = {0};
        if (!status) {
            status = txn_write(txn, &done, err);
            *again = status && txn->overtaken;
        }
        if (!status) {
            info->commit = done.commit;
            info->added = done.added + done.restored;
            info->updated = done.updated;
            info->deleted = done.deleted;
        }
    }
    snapshot_unref(newest);
    vdb_txn_abort(txn);
    return status;
}

static enum vdb_status receive_existing(const struct receiver *r, struct vdb_receive_info *info,
                                        struct vdb_error *err)
{
    struct vdb *db;
    enum vdb_status status = vdb_open(r->path, r->open, &db, err);
    if (status) return status;
    bool again = true;
    for (int i = 0; i < ATTEMPTS && again; i++) {
        again = false;
        status = receive_into(r, db, info, &again, err);
    }
    vdb_close(db);
    return status;
}

static enum vdb_status create_as_sent(const struct osfile *file,
                                      const struct vdb_create_options *options,
                                      struct vdb_error *err)
{
    struct vdb_error why;
    enum vdb_status status = create_empty(file, options, &why);
    if (status == VDB_INVALID)
        return error_set_corrupt(err, "stream", 0, "the stream's header: %s", why.message);
    if (status && err) *err = why;
    return status;
}

/* The index is made under a passing name, so that one that cannot be filled is never seen. */
static enum vdb_status receive_new(const struct receiver *r, struct vdb_receive_info *info,
                                   struct vdb_error *err)
{
    const struct stream_header *h = &r->header;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = h->dim;
    options.metric = h->metric;
    options.type = h->type;
    options.index = h->index;
    options.codes = h->codes;
    options.degree = h->degree;
    options.ef_construction = h->ef_construction;
    options.recent_rows = h->recent_rows;
    options.recent_seconds = h->recent_seconds;
    options.quiet_begin = h->quiet_begin;
    options.quiet_end = h->quiet_end;
    struct newname name;
    struct vdb *db = NULL;
    bool again = false;
    enum vdb_status status = newname_create(&name, r->path, 0666, err);
    if (status) return status;
    status = create_as_sent(&name.file, &options, err);
    if (!status) status = vdb_open(name.passing, r->open, &db, err);
    if (!status) db->unsynced = true;
    if (!status) status = receive_into(r, db, info, &again, err);
    vdb_close(db);
    int failed = status ? 0 : osfile_sync_all(&name.file);
    if (failed) status = error_set_errno(err, VDB_IO, failed, "cannot sync the new index");
    info->created = !status;
    bool made = !status;
    status = newname_finish(&name, status, false, err);
    if (made && status == VDB_EXISTS)
        return error_set(err, VDB_BUSY, "another process made it meanwhile");
    return status;
}

enum vdb_status vdb_receive(const char *path, const struct vdb_open_options *open,
                            const struct vdb_receive_options *options, vdb_read_fn read,
                            void *context, struct vdb_receive_info *info, struct vdb_error *err)
{
    struct vdb_receive_options chosen = VDB_RECEIVE_OPTIONS_INIT;
    enum vdb_status status = options_take(&chosen, sizeof chosen, options, err);
    if (status) return status;
    struct receiver r = {.path = path, .open = open, .force = chosen.force};
    struct vdb_receive_info done = {0};
    struct osfile_stat there;
    spool_init(&r.spool, path);
    status = verify_all(&r, read, context, err);
    if (!status && !r.header.incremental && osfile_stat_path(path, &there) == ENOENT)
        status = receive_new(&r, &done, err);
    else if (!status)
        status = receive_existing(&r, &done, err);
    spool_release(&r.spool);
    buf_release(&r.names);
    buf_release(&r.base_names);
    if (!status && info) *info = done;
    return status;
}
