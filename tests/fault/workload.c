/* workload.c: the workloads: calls of vdb.h, and what they are said to lead to.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "fault/workload.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault/workload_model.h"

/* ---- calls --------------------------------------------------------------------------------- */

const char *workload_call_name(enum workload_call call)
{
    static const char *const names[CALL_COUNT] = {
        "none",           "vdb_create",        "vdb_publish",
        "vdb_open",       "vdb_snapshot_open", "vdb_txn_begin",
        "vdb_txn_put",    "vdb_txn_delete",    "vdb_txn_restore",
        "vdb_txn_commit", "vdb_name_create",   "vdb_name_remove",
        "vdb_rollback",   "vdb_receive",       "vdb_maintain",
        "vdb_compact",
    };
    return names[call];
}

/* What a call returned; the first failure is kept. */
static enum vdb_status note(struct run *run, enum workload_call call, enum vdb_status status,
                            const struct vdb_error *err, struct vdb *handle)
{
    if (!status || run->failed_call) return status;
    run->failed_call = call;
    run->status = status;
    run->err = *err;
    run->failed_handle = handle;
    return status;
}

/* Sees to it that what a call did not fill in is not taken for filled in. */
static void unfill(struct vdb_error *err)
{
    memset(err, 0, sizeof *err);
    err->os_errno = -1;
}

static void allow(struct tracked *file, const struct model_state *state)
{
    for (unsigned i = 0; i < file->allowed_count; i++)
        if (file->allowed[i] == state) return;
    if (state) file->allowed[file->allowed_count++] = state;
}

/* Tells what the index may be found as. */
static void tell(struct run *run)
{
    run->index.allowed_count = 0;
    allow(&run->index, run->current);
    allow(&run->index, run->next);
    allow(&run->index, run->successor);
    allow(&run->index, run->next_successor);
    if (run->changed) run->changed(run->context, run);
}

static void tell_output(struct run *run, const struct model_state *sure,
                        const struct model_state *maybe)
{
    run->output.allowed_count = 0;
    allow(&run->output, sure);
    allow(&run->output, maybe);
    if (run->changed) run->changed(run->context, run);
}

static enum vdb_status open_handle(struct run *run, struct vdb **db)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb_error err;
    options.threads = 1;
    options.wait = 0;
    unfill(&err);
    return note(run, CALL_OPEN, vdb_open(run->index.path, &options, db, &err), &err, NULL);
}

static enum vdb_status open_db(struct run *run)
{
    return open_handle(run, &run->db);
}

static void close_db(struct run *run)
{
    vdb_close(run->db);
    run->db = NULL;
}

static enum vdb_status hold_snapshot(struct run *run, struct vdb *db)
{
    struct vdb_error err;
    unfill(&err);
    enum vdb_status status =
        note(run, CALL_SNAPSHOT_OPEN, vdb_snapshot_open(db, &run->held, &err), &err, db);
    if (status) run->held = NULL;
    run->held_state = run->current;
    return status;
}

static enum vdb_status begin(struct run *run, struct vdb *db, struct vdb_txn **txn)
{
    struct vdb_error err;
    unfill(&err);
    return note(run, CALL_TXN_BEGIN, vdb_txn_begin(db, txn, &err), &err, db);
}

static enum vdb_status ask(struct run *run, struct vdb *db, struct vdb_txn *txn,
                           const struct op *op, enum vdb_status expected)
{
    char id[MODEL_ID_MAX], *metadata = NULL;
    size_t len = model_row_id(op->id, id);
    struct vdb_error err;
    enum vdb_status status;
    unfill(&err);
    if (op->kind == DELETE || op->kind == RESTORE) {
        status = op->kind == DELETE ? vdb_txn_delete(txn, id, len, &err)
                                    : vdb_txn_restore(txn, id, len, &err);
    } else {
        float *vector = model_grow(NULL, run->current->dim * sizeof *vector);
        model_row_vector(run->current, op->content, vector);
        if (op->metadata_len) {
            metadata = model_grow(NULL, op->metadata_len);
            model_row_metadata(op->content, op->metadata_len, metadata);
        }
        enum vdb_put_mode mode = op->kind == INSERT   ? VDB_INSERT
                                 : op->kind == UPDATE ? VDB_UPDATE
                                                      : VDB_UPSERT;
        status = vdb_txn_put(txn, mode, id, len, vector, metadata, op->metadata_len, &err);
        free(metadata);
        free(vector);
    }
    if (expected && status == expected) return VDB_OK;
    enum workload_call call = op->kind == DELETE    ? CALL_TXN_DELETE
                              : op->kind == RESTORE ? CALL_TXN_RESTORE
                                                    : CALL_TXN_PUT;
    return note(run, call, status, &err, db);
}

/* Ends a transaction of which a call failed. One that was denied memory or room can only be
 * aborted: it lacks a part of what was put. */
static void give_up(struct run *run, struct vdb_txn *txn)
{
    struct vdb_error err;
    if (run->status != VDB_NO_MEMORY && run->status != VDB_IO)
        vdb_txn_abort(txn);
    else
        run->half_committed |= vdb_txn_commit(txn, NULL, &err) == VDB_OK;
}

/* Puts the ops into a transaction; after an error it is gone. */
static enum vdb_status gather(struct run *run, struct vdb *db, const struct op *ops, size_t count,
                              struct vdb_txn **txn)
{
    enum vdb_status status = begin(run, db, txn);
    if (status) return status;
    for (size_t i = 0; i < count && !status; i++) status = ask(run, db, *txn, &ops[i], VDB_OK);
    if (status) give_up(run, *txn);
    return status;
}

/* The states that were said to come have come. */
static void arrive(struct run *run)
{
    run->current = run->next;
    run->successor = run->next_successor;
    run->next = run->next_successor = NULL;
    tell(run);
}

/* Commits what the ops were gathered in. */
static enum vdb_status finish(struct run *run, struct vdb *db, struct vdb_txn *txn,
                              const struct op *ops, size_t count)
{
    struct vdb_error err;
    struct vdb_commit_info info = {0};
    if (count) {
        run->next = state_after(run, run->current, ops, count);
        if (run->successor) run->next_successor = state_after(run, run->successor, ops, count);
        tell(run);
    }
    unfill(&err);
    enum vdb_status status = note(run, CALL_TXN_COMMIT, vdb_txn_commit(txn, &info, &err), &err, db);
    if (status || !count) return status;
    if (info.commit != run->next->commit) {
        err.status = VDB_INTERNAL;
        snprintf(err.message, sizeof err.message, "commit %llu was acknowledged as %llu",
                 (unsigned long long)run->next->commit, (unsigned long long)info.commit);
        return note(run, CALL_TXN_COMMIT, VDB_INTERNAL, &err, db);
    }
    arrive(run);
    return VDB_OK;
}

static enum vdb_status commit(struct run *run, struct vdb *db, const struct op *ops, size_t count)
{
    struct vdb_txn *txn;
    enum vdb_status status = gather(run, db, ops, count, &txn);
    return status ? status : finish(run, db, txn, ops, count);
}

#define COMMIT(run, db, ...)                                                                       \
    commit(run, db, (const struct op[]){__VA_ARGS__},                                              \
           sizeof((const struct op[]){__VA_ARGS__}) / sizeof(struct op))

/* Names the newest commit, or takes a name away. */
static enum vdb_status change_name(struct run *run, struct vdb *db, uint32_t number, bool create)
{
    const struct model_state *(*change)(struct run *, const struct model_state *, uint32_t) =
        create ? state_named : state_unnamed;
    struct vdb_error err;
    char text[VDB_NAME_MAX + 1];
    uint64_t commit = run->current->commit;
    size_t len = model_name_text(number, text);
    run->next = change(run, run->current, number);
    if (run->successor) run->next_successor = change(run, run->successor, number);
    tell(run);
    unfill(&err);
    enum vdb_status status = create ? vdb_name_create(db, text, len, &commit, &err)
                                    : vdb_name_remove(db, text, len, &err);
    status = note(run, create ? CALL_NAME_CREATE : CALL_NAME_REMOVE, status, &err, db);
    if (status) return status;
    if (commit != run->current->commit) return note(run, CALL_NAME_CREATE, VDB_INTERNAL, &err, db);
    arrive(run);
    return VDB_OK;
}

static enum vdb_status create_name(struct run *run, struct vdb *db, uint32_t number)
{
    return change_name(run, db, number, true);
}

static enum vdb_status remove_name(struct run *run, struct vdb *db, uint32_t number)
{
    return change_name(run, db, number, false);
}

static enum vdb_status roll_back(struct run *run, struct vdb *db, uint64_t commit)
{
    struct vdb_error err;
    struct vdb_commit_info info = {0};
    run->next = state_rolled_back(run, run->current, commit);
    if (run->successor)
        run->next_successor = state_carried_back(run, run->successor, run->current, run->next);
    tell(run);
    unfill(&err);
    enum vdb_status status =
        note(run, CALL_ROLLBACK, vdb_rollback(db, commit, &info, &err), &err, db);
    if (status) return status;
    if (info.commit != run->next->commit) return note(run, CALL_ROLLBACK, VDB_INTERNAL, &err, db);
    arrive(run);
    return VDB_OK;
}

static int write_stream(void *context, const void *bytes, size_t len)
{
    struct sent *sent = context;
    sent->bytes = model_grow(sent->bytes, sent->len + len);
    memcpy(sent->bytes + sent->len, bytes, len);
    sent->len += len;
    return 0;
}

/* Sends the newest state, whole or from the one at a commit; in a setup, where nothing fails. */
static enum vdb_status send(struct run *run, const struct model_state *from)
{
    const struct vdb_snapshot *newest, *past = NULL;
    struct vdb_error err;
    enum vdb_status status = vdb_snapshot_open(run->db, &newest, &err);
    if (status) return status;
    run->sent = (struct sent){NULL, 0, from, run->current};
    run->sent_here = true;
    if (from) status = vdb_snapshot_at(newest, from->commit, &past, &err);
    if (!status) status = vdb_send(past, newest, write_stream, &run->sent, &err);
    vdb_snapshot_close(past);
    vdb_snapshot_close(newest);
    return status;
}

struct reading {
    const struct sent *sent;
    size_t at;
};

static ptrdiff_t read_stream(void *context, void *bytes, size_t len)
{
    struct reading *reading = context;
    size_t left = reading->sent->len - reading->at, n = len < left ? len : left;
    memcpy(bytes, reading->sent->bytes + reading->at, n);
    reading->at += n;
    return (ptrdiff_t)n;
}

/* Takes the stream, on what there was at the commit `base`, and the name that comes with it. Where
 * there is no index, it is made. */
static enum vdb_status receive(struct run *run, uint64_t base, uint32_t name)
{
    struct vdb_open_options open = VDB_OPEN_OPTIONS_INIT;
    struct vdb_receive_options options = VDB_RECEIVE_OPTIONS_INIT;
    struct vdb_receive_info info = {0};
    struct vdb_error err;
    struct reading reading = {&run->sent, 0};
    const struct model_state *on = run->current;
    if (on->absent) {
        struct model_state made = *run->sent.to;
        made.before = NULL;
        made.commit = 1;
        made.row_count = made.name_count = 0;
        on = state_new(run, &made);
    }
    open.threads = 1;
    open.wait = 0;
    options.force = base != on->commit;
    run->next = state_named(run, state_received(run, on, base), name);
    tell(run);
    unfill(&err);
    enum vdb_status status =
        vdb_receive(run->index.path, &open, &options, read_stream, &reading, &info, &err);
    status = note(run, CALL_RECEIVE, status, &err, NULL);
    if (status) return status;
    if (info.commit != run->next->commit) return note(run, CALL_RECEIVE, VDB_INTERNAL, &err, NULL);
    arrive(run);
    return VDB_OK;
}

/* Rows of number [first, first + count) in one commit, metadata for some. */
static enum vdb_status load(struct run *run, struct vdb *db, uint32_t first, uint32_t count)
{
    struct op *ops = model_grow(NULL, count * sizeof *ops);
    for (uint32_t i = 0; i < count; i++)
        ops[i] = (struct op){PUT, first + i, first + i,
                             i % (count > MODEL_MANY_ROWS ? 61 : 3) == 2 ? 16 : 0};
    enum vdb_status status = commit(run, db, ops, count);
    free(ops);
    return status;
}

static const struct model_state *state_created(struct run *run, struct vdb_create_options options)
{
    struct model_state like = {
        .commit = 1,
        .dim = options.dim,
        .metric = options.metric ? options.metric : VDB_METRIC_L2,
        .type = options.type ? options.type : VDB_TYPE_F32,
    };
    return state_new(run, &like);
}

static enum vdb_status create(struct run *run, struct vdb_create_options options)
{
    struct vdb_error err;
    run->next = state_created(run, options);
    tell(run);
    unfill(&err);
    enum vdb_status status =
        note(run, CALL_CREATE, vdb_create(run->index.path, &options, &err), &err, NULL);
    if (status) return status;
    run->current = run->next;
    run->next = NULL;
    tell(run);
    return VDB_OK;
}

static struct vdb_create_options options_of(uint32_t dim, enum vdb_index_kind index)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = dim;
    options.index = index;
    return options;
}

/* Puts the ops into an index that nobody sees yet, whose state is not that of the run's. */
static enum vdb_status fill(struct run *run, struct vdb *db, const struct model_state *empty,
                            const struct op *ops, size_t count)
{
    const struct model_state *seen = run->current;
    struct vdb_txn *txn;
    struct vdb_error err;
    run->current = empty;
    enum vdb_status status = gather(run, db, ops, count, &txn);
    run->current = seen;
    unfill(&err);
    if (!status) status = note(run, CALL_TXN_COMMIT, vdb_txn_commit(txn, NULL, &err), &err, NULL);
    run->failed_handle = NULL; /* it is closed */
    return status;
}

/* An index that is there with these ops done, or not at all. */
static enum vdb_status create_filled(struct run *run, struct vdb_create_options options,
                                     const struct op *ops, size_t count)
{
    struct vdb *db;
    struct vdb_error err;
    const struct model_state *empty = state_created(run, options);
    run->next = state_after(run, empty, ops, count);
    tell(run);
    unfill(&err);
    enum vdb_status status = vdb_create_unpublished(run->index.path, &options, NULL, &db, &err);
    if (status) return note(run, CALL_PUBLISH, status, &err, NULL);
    status = fill(run, db, empty, ops, count);
    unfill(&err);
    if (!status) status = note(run, CALL_PUBLISH, vdb_publish(db, &err), &err, NULL);
    vdb_close(db);
    if (!status) arrive(run);
    return status;
}

static enum vdb_status create_and_open(struct run *run, struct vdb_create_options options)
{
    enum vdb_status status = create(run, options);
    return status ? status : open_db(run);
}

static enum vdb_status maintain(struct run *run, vdb_progress_fn progress)
{
    struct vdb_maintain_options options = VDB_MAINTAIN_OPTIONS_INIT;
    struct vdb_error err;
    options.threads = run->threads ? run->threads : 1;
    options.progress = progress;
    options.context = run;
    unfill(&err);
    return note(run, CALL_MAINTAIN, vdb_maintain(run->db, &options, &err), &err, run->db);
}

static enum vdb_status compact_keeping(struct run *run, vdb_progress_fn progress, bool keep_all)
{
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    struct vdb_error err;
    options.threads = run->threads ? run->threads : 1;
    options.progress = progress;
    options.context = run;
    options.keep_rows_seconds = keep_all ? UINT64_MAX : 0;
    run->successor = state_compacted(run, run->current, keep_all);
    tell(run);
    unfill(&err);
    enum vdb_status status =
        note(run, CALL_COMPACT, vdb_compact(run->db, &options, &err), &err, run->db);
    if (status) return status;
    run->current = run->successor;
    run->successor = NULL;
    tell(run);
    return VDB_OK;
}

static enum vdb_status compact(struct run *run, vdb_progress_fn progress)
{
    return compact_keeping(run, progress, false);
}

static enum vdb_status compact_to_output(struct run *run)
{
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    struct vdb_error err;
    struct model_state *after = state_output(run, run->current);
    options.threads = 1;
    options.output = run->output.path;
    tell_output(run, run->output.allowed[0], after);
    unfill(&err);
    enum vdb_status status =
        note(run, CALL_COMPACT, vdb_compact(run->db, &options, &err), &err, run->db);
    if (!status) tell_output(run, after, NULL);
    return status;
}

/* ---- workloads: creating ------------------------------------------------------------------- */

static enum vdb_status run_create(struct run *run)
{
    return create(run, options_of(4, VDB_INDEX_AUTO));
}

static enum vdb_status put_file(const char *path, const char *suffix, const char *bytes, size_t len)
{
    char name[300];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    FILE *file = fopen(name, "wb");
    if (!file) return VDB_CANNOT_CREATE;
    fwrite(bytes, 1, len, file);
    return fclose(file) ? VDB_IO : VDB_OK;
}

/* Of what has a passing name, somebody else's file stays and what killed processes left goes:
 * nothing but zeros so far, an index, an empty file. */
static enum vdb_status setup_create_leftovers(struct run *run)
{
    static const char zeros[9000];
    const char *path = run->index.path;
    char name[300];
    struct vdb_create_options options = options_of(4, VDB_INDEX_AUTO);
    struct vdb_error err;
    snprintf(name, sizeof name, "%s.tmp-2", path);
    enum vdb_status status = vdb_create(name, &options, &err);
    if (!status) status = put_file(path, ".tmp-0", WORKLOAD_FOREIGN, sizeof WORKLOAD_FOREIGN);
    if (!status) status = put_file(path, ".tmp-1", zeros, sizeof zeros);
    return status ? status : put_file(path, ".tmp-6", zeros, 0);
}

static enum vdb_status run_create_filled(struct run *run)
{
    static const struct op ops[] = {{PUT, 1, 1, 0}, {PUT, 2, 2, 30}, {PUT, 3, 3, 0}};
    enum vdb_status status = create_filled(run, options_of(4, VDB_INDEX_AUTO), ops, 3);
    if (!status) status = open_db(run);
    return status ? status : COMMIT(run, run->db, {DELETE, 2, 0, 0});
}

static enum vdb_status create_of(struct run *run, enum vdb_metric metric, enum vdb_type type,
                                 enum vdb_index_kind index)
{
    struct vdb_create_options options = options_of(8, index);
    options.metric = metric;
    options.type = type;
    if (index == VDB_INDEX_HYBRID) options.recent_rows = 16;
    enum vdb_status status = create_and_open(run, options);
    if (!status) status = COMMIT(run, run->db, {PUT, 1, 1, 0}, {PUT, 2, 2, 20}, {PUT, 3, 3, 0});
    return status ? status : COMMIT(run, run->db, {UPDATE, 2, 4, 0}, {DELETE, 3, 0, 0});
}

static enum vdb_status run_l2_u8(struct run *run)
{
    return create_of(run, VDB_METRIC_L2, VDB_TYPE_U8, VDB_INDEX_FLAT);
}

static enum vdb_status run_ip_f16(struct run *run)
{
    return create_of(run, VDB_METRIC_IP, VDB_TYPE_F16, VDB_INDEX_GRAPH);
}

static enum vdb_status run_cosine_i8(struct run *run)
{
    return create_of(run, VDB_METRIC_COSINE, VDB_TYPE_I8, VDB_INDEX_IVF);
}

static enum vdb_status run_cosine_f32(struct run *run)
{
    return create_of(run, VDB_METRIC_COSINE, VDB_TYPE_F32, VDB_INDEX_HNSW);
}

static enum vdb_status run_hybrid(struct run *run)
{
    return create_of(run, VDB_METRIC_L2, VDB_TYPE_F32, VDB_INDEX_HYBRID);
}

/* ---- workloads: small commits -------------------------------------------------------------- */

static enum vdb_status setup_empty(struct run *run)
{
    return create(run, options_of(4, VDB_INDEX_AUTO));
}

/* Four live rows and a deleted one. */
static enum vdb_status setup_few(struct run *run)
{
    enum vdb_status status = create_and_open(run, options_of(4, VDB_INDEX_AUTO));
    if (!status)
        status = COMMIT(run, run->db, {PUT, 1, 1, 0}, {PUT, 2, 2, 30}, {PUT, 3, 3, 0},
                        {PUT, 4, 4, 0}, {PUT, 5, 5, 12});
    return status ? status : COMMIT(run, run->db, {DELETE, 5, 0, 0});
}

static enum vdb_status run_add(struct run *run)
{
    enum vdb_status status = open_db(run);
    return status ? status : COMMIT(run, run->db, {INSERT, 9, 9, 0});
}

static enum vdb_status run_update(struct run *run)
{
    enum vdb_status status = open_db(run);
    return status ? status : COMMIT(run, run->db, {UPDATE, 2, 20, 0}, {UPDATE, 3, 30, 40});
}

static enum vdb_status run_upsert_same_id(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status)
        status = COMMIT(run, run->db, {PUT, 1, 10, 0}, {PUT, 1, 11, 9}, {PUT, 7, 12, 0},
                        {PUT, 1, 13, 0}, {PUT, 7, 14, 0});
    return status;
}

static enum vdb_status run_delete(struct run *run)
{
    enum vdb_status status = open_db(run);
    return status ? status : COMMIT(run, run->db, {DELETE, 1, 0, 0}, {DELETE, 4, 0, 0});
}

static enum vdb_status run_restore(struct run *run)
{
    enum vdb_status status = open_db(run);
    return status ? status : COMMIT(run, run->db, {RESTORE, 5, 0, 0});
}

static enum vdb_status run_delete_and_add(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status)
        status = COMMIT(run, run->db, {DELETE, 1, 0, 0}, {INSERT, 1, 15, 0}, {INSERT, 8, 16, 0},
                        {DELETE, 8, 0, 0}, {RESTORE, 5, 0, 0}, {DELETE, 2, 0, 0});
    return status;
}

static enum vdb_status run_empty_transaction(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = commit(run, run->db, NULL, 0);
    return status ? status : COMMIT(run, run->db, {PUT, 6, 6, 0});
}

static enum vdb_status run_add_metadata(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = COMMIT(run, run->db, {PUT, 6, 6, 100}, {PUT, 7, 7, 0}, {PUT, 8, 8, 8});
    return status;
}

/* Blocks of metadata are of 16 KiB. */
static enum vdb_status run_long_metadata(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status)
        status = COMMIT(run, run->db, {PUT, 6, 6, 40000}, {PUT, 7, 7, 10000}, {PUT, 8, 8, 10000});
    return status;
}

static enum vdb_status run_aborted_then_another(struct run *run)
{
    struct vdb_txn *txn;
    enum vdb_status status = open_db(run);
    if (!status) status = begin(run, run->db, &txn);
    if (status) return status;
    status = ask(run, run->db, txn, &(struct op){PUT, 6, 6, 0}, VDB_OK);
    if (!status) status = ask(run, run->db, txn, &(struct op){INSERT, 1, 7, 0}, VDB_EXISTS);
    if (!status) status = ask(run, run->db, txn, &(struct op){DELETE, 77, 0, 0}, VDB_NOT_FOUND);
    vdb_txn_abort(txn);
    return status ? status : COMMIT(run, run->db, {PUT, 7, 7, 0});
}

static enum vdb_status run_reopening(struct run *run)
{
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < 3 && !status; i++) {
        close_db(run);
        status = open_db(run);
        if (!status) status = COMMIT(run, run->db, {PUT, 20 + i, i, 0});
    }
    return status;
}

static enum vdb_status run_two_handles(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = open_handle(run, &run->other);
    if (!status) status = COMMIT(run, run->db, {PUT, 11, 11, 0});
    if (!status) status = COMMIT(run, run->other, {PUT, 12, 12, 0}, {DELETE, 11, 0, 0});
    if (!status) status = COMMIT(run, run->db, {PUT, 11, 13, 0}, {UPDATE, 12, 14, 0});
    return status;
}

/* Both are gathered against the same state; the second is resolved anew. */
static enum vdb_status run_two_at_once(struct run *run)
{
    static const struct op mine[] = {{PUT, 1, 31, 0}, {PUT, 11, 32, 0}, {DELETE, 3, 0, 0}},
                           others[] = {{PUT, 11, 33, 0}, {UPDATE, 1, 34, 0}, {PUT, 12, 35, 0}};
    struct vdb_txn *first, *second;
    enum vdb_status status = open_db(run);
    if (!status) status = open_handle(run, &run->other);
    if (!status) status = gather(run, run->db, mine, 3, &first);
    if (status) return status;
    status = gather(run, run->other, others, 3, &second);
    if (status) {
        vdb_txn_abort(first);
        return status;
    }
    status = finish(run, run->other, second, others, 3);
    if (status) {
        vdb_txn_abort(first);
        return status;
    }
    return finish(run, run->db, first, mine, 3);
}

static enum vdb_status run_reader_throughout(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = open_handle(run, &run->other);
    if (!status) status = hold_snapshot(run, run->other);
    if (!status) status = COMMIT(run, run->db, {PUT, 1, 41, 0}, {DELETE, 2, 0, 0});
    if (!status) status = COMMIT(run, run->db, {PUT, 13, 42, 0}, {RESTORE, 5, 0, 0});
    return status ? status : compact(run, NULL);
}

/* ---- workloads: large commits and the log -------------------------------------------------- */

static enum vdb_status setup_wide(struct run *run)
{
    enum vdb_status status = create_and_open(run, options_of(8192, VDB_INDEX_FLAT));
    return status ? status : COMMIT(run, run->db, {PUT, 1, 1, 0});
}

/* More than 256 KiB of rows lie in an extent of their own. */
static enum vdb_status run_external_rows(struct run *run)
{
    enum vdb_status status = open_db(run);
    return status ? status : load(run, run->db, 0, 9);
}

static enum vdb_status run_external_metadata(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = COMMIT(run, run->db, {PUT, 6, 6, 300000}, {PUT, 7, 7, 0});
    return status ? status : COMMIT(run, run->db, {PUT, 8, 8, 0});
}

enum { MANY = 33000 };

static enum vdb_status setup_many(struct run *run)
{
    struct vdb_create_options options = options_of(1, VDB_INDEX_FLAT);
    options.type = VDB_TYPE_U8;
    enum vdb_status status = create_and_open(run, options);
    return status ? status : load(run, run->db, 0, MANY);
}

/* So are more than 256 KiB of events. */
static enum vdb_status run_many_events(struct run *run)
{
    enum vdb_status status = open_db(run);
    struct vdb_txn *txn;
    if (!status) status = begin(run, run->db, &txn);
    if (status) return status;
    /* In the model all at once: there an id is looked for row by row. */
    struct model_state *next = state_new(run, run->current);
    for (uint32_t i = 0; i < MANY && !status; i++) {
        status = ask(run, run->db, txn, &(struct op){DELETE, i, 0, 0}, VDB_OK);
        next->rows[i].live = false;
    }
    if (status) {
        give_up(run, txn);
        return status;
    }
    struct vdb_error err;
    next->before = run->current;
    next->commit++;
    run->next = next;
    tell(run);
    unfill(&err);
    status = note(run, CALL_TXN_COMMIT, vdb_txn_commit(txn, NULL, &err), &err, run->db);
    if (status) return status;
    arrive(run);
    return VDB_OK;
}

/* Where the first extent of the log, 48 KiB, has room for one more small commit. */
static enum vdb_status setup_log_nearly_full(struct run *run)
{
    enum vdb_status status = setup_few(run);
    if (!status) status = COMMIT(run, run->db, {PUT, 50, 50, 44500});
    return status;
}

static enum vdb_status run_link(struct run *run)
{
    enum vdb_status status = open_db(run);
    for (uint32_t i = 0; i < 6 && !status; i++)
        status = COMMIT(run, run->db, {PUT, 60 + i, i, i % 2 ? 300 : 0});
    return status;
}

static enum vdb_status run_two_links(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = COMMIT(run, run->db, {PUT, 61, 61, 100000});
    if (!status) status = COMMIT(run, run->db, {PUT, 62, 62, 100000});
    return status ? status : COMMIT(run, run->db, {PUT, 63, 63, 0}, {DELETE, 61, 0, 0});
}

/* ---- workloads: maintenance ---------------------------------------------------------------- */

enum { TAIL = 2048 }; /* rows behind the parts that vdb_maintain begins to work at */

static enum vdb_status setup_tail(struct run *run, struct vdb_create_options options)
{
    if (options.index != VDB_INDEX_IVF && options.index != VDB_INDEX_FLAT) {
        options.degree = 8;
        options.ef_construction = 8;
    }
    enum vdb_status status = create_and_open(run, options);
    if (!status) status = load(run, run->db, 0, TAIL);
    return status ? status : COMMIT(run, run->db, {DELETE, 3, 0, 0}, {PUT, 5, 5000, 30});
}

static enum vdb_status setup_tail_flat(struct run *run)
{
    return setup_tail(run, options_of(2, VDB_INDEX_FLAT));
}

static enum vdb_status setup_tail_graph(struct run *run)
{
    return setup_tail(run, options_of(2, VDB_INDEX_GRAPH));
}

static enum vdb_status setup_tail_ivf(struct run *run)
{
    return setup_tail(run, options_of(2, VDB_INDEX_IVF));
}

static enum vdb_status setup_tail_hybrid(struct run *run)
{
    struct vdb_create_options options = options_of(2, VDB_INDEX_HYBRID);
    options.recent_rows = 512;
    return setup_tail(run, options);
}

static enum vdb_status run_maintain(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = maintain(run, NULL);
    return status ? status : COMMIT(run, run->db, {PUT, 9000, 9000, 0}, {DELETE, 9, 0, 0});
}

/* A part of 2,049 rows, and as many behind it: it is merged with them. */
static enum vdb_status setup_part_and_tail(struct run *run)
{
    enum vdb_status status = setup_tail_flat(run);
    if (!status) status = maintain(run, NULL);
    return status ? status : load(run, run->db, 4000, TAIL + 1);
}

/* A part of 2,560 rows, which stays when 2,048 come: rows of it are gone since. */
static enum vdb_status setup_part_deleted(struct run *run)
{
    enum vdb_status status = create_and_open(run, options_of(2, VDB_INDEX_FLAT));
    if (!status) status = load(run, run->db, 0, TAIL + 512);
    if (!status) status = COMMIT(run, run->db, {DELETE, 7, 0, 0});
    if (!status) status = maintain(run, NULL);
    if (!status) status = load(run, run->db, 4000, TAIL);
    if (!status)
        status = COMMIT(run, run->db, {RESTORE, 7, 0, 0}, {DELETE, 1, 0, 0}, {DELETE, 4000, 0, 0});
    return status;
}

/* Another handle commits while the parts are built. */
static int commit_meanwhile(void *context, const char *phase, uint64_t done, uint64_t total)
{
    struct run *run = context;
    (void)phase, (void)done, (void)total;
    if (run->other || run->failed_call) return run->failed_call != CALL_NONE;
    if (open_handle(run, &run->other)) return 1;
    if (COMMIT(run, run->other, {PUT, 7001, 7001, 0}, {DELETE, 2, 0, 0})) return 1;
    return COMMIT(run, run->other, {PUT, 7002, 7002, 24}, {PUT, 1, 7003, 0}) != VDB_OK;
}

static enum vdb_status run_maintain_meanwhile(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = maintain(run, commit_meanwhile);
    return status ? status : COMMIT(run, run->db, {UPDATE, 7001, 7004, 0});
}

/* ---- workloads: compaction ----------------------------------------------------------------- */

static enum vdb_status setup_plain(struct run *run)
{
    enum vdb_status status = create_and_open(run, options_of(4, VDB_INDEX_AUTO));
    return status ? status : load(run, run->db, 0, 12);
}

static enum vdb_status setup_deleted(struct run *run)
{
    enum vdb_status status = setup_plain(run);
    if (!status)
        status = COMMIT(run, run->db, {DELETE, 0, 0, 0}, {PUT, 5, 100, 50}, {DELETE, 11, 0, 0});
    return status;
}

static enum vdb_status setup_all_deleted(struct run *run)
{
    enum vdb_status status = create_and_open(run, options_of(4, VDB_INDEX_AUTO));
    if (!status) status = COMMIT(run, run->db, {PUT, 1, 1, 0});
    return status ? status : COMMIT(run, run->db, {DELETE, 1, 0, 0});
}

/* Rows enough for an index of this kind, which compaction builds. */
static enum vdb_status setup_deleted_of(struct run *run, enum vdb_index_kind index)
{
    struct vdb_create_options options = options_of(3, index);
    uint32_t rows = 280;
    if (index == VDB_INDEX_HYBRID) options.recent_rows = 8;
    if (index == VDB_INDEX_GRAPH || index == VDB_INDEX_HNSW) rows = 60;
    if (index != VDB_INDEX_IVF) {
        options.degree = 8;
        options.ef_construction = 8;
    }
    enum vdb_status status = create_and_open(run, options);
    if (!status) status = load(run, run->db, 0, rows);
    return status ? status : COMMIT(run, run->db, {DELETE, 8, 0, 0}, {PUT, 9, 900, 0});
}

static enum vdb_status setup_deleted_graph(struct run *run)
{
    return setup_deleted_of(run, VDB_INDEX_GRAPH);
}

static enum vdb_status setup_deleted_hnsw(struct run *run)
{
    return setup_deleted_of(run, VDB_INDEX_HNSW);
}

static enum vdb_status setup_deleted_ivf(struct run *run)
{
    return setup_deleted_of(run, VDB_INDEX_IVF);
}

static enum vdb_status setup_deleted_hybrid(struct run *run)
{
    return setup_deleted_of(run, VDB_INDEX_HYBRID);
}

static enum vdb_status run_compact(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = compact(run, NULL);
    return status ? status : COMMIT(run, run->db, {PUT, 21, 21, 0});
}

static enum vdb_status run_compact_meanwhile(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = compact(run, commit_meanwhile);
    return status ? status : COMMIT(run, run->db, {UPDATE, 7001, 7004, 0});
}

/* A transaction is gathered, a compaction comes between, and it goes on in the new file. */
static enum vdb_status run_write_through_compaction(struct run *run)
{
    static const struct op ops[] = {{UPDATE, 5, 51, 0}, {PUT, 22, 52, 0}, {DELETE, 1, 0, 0}};
    struct vdb_txn *txn;
    enum vdb_status status = open_db(run);
    if (!status) status = open_handle(run, &run->other);
    if (!status) status = gather(run, run->other, ops, 3, &txn);
    if (status) return status;
    status = compact(run, NULL);
    if (status) {
        vdb_txn_abort(txn);
        return status;
    }
    return finish(run, run->other, txn, ops, 3);
}

static enum vdb_status run_compact_twice(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = compact(run, NULL);
    if (!status) status = COMMIT(run, run->db, {PUT, 23, 23, 0}, {DELETE, 3, 0, 0});
    return status ? status : compact(run, NULL);
}

/* What a killed compaction left under its passing name, and another that wrote this file as its
 * output: nothing but zeros so far. */
static enum vdb_status setup_compact_leftover(struct run *run)
{
    static const char zeros[9000];
    char passing[300];
    enum vdb_status status = setup_deleted(run);
    snprintf(passing, sizeof passing, "%s/.x.vdb.compact", run->directory);
    if (!status) status = put_file(passing, "", zeros, sizeof zeros);
    return status ? status : put_file(run->index.path, ".tmp-1", zeros, sizeof zeros);
}

static void absent_output(struct run *run)
{
    snprintf(run->output.path, sizeof run->output.path, "%s/out.vdb", run->directory);
    tell_output(run, state_new(run, &(struct model_state){.absent = true}), NULL);
}

static enum vdb_status setup_output(struct run *run)
{
    static const char zeros[5000];
    absent_output(run);
    enum vdb_status status = put_file(run->output.path, ".tmp-0", zeros, sizeof zeros);
    return status ? status : setup_deleted(run);
}

static enum vdb_status run_output(struct run *run)
{
    enum vdb_status status = open_db(run);
    return status ? status : compact_to_output(run);
}

static enum vdb_status setup_output_exists(struct run *run)
{
    absent_output(run);
    enum vdb_status status = setup_deleted(run);
    if (!status) status = compact_to_output(run);
    return status ? status : COMMIT(run, run->db, {PUT, 24, 24, 0});
}

/* ---- workloads: names, and going back ------------------------------------------------------ */

/* Commits 2 to 6, of which 3 and 5 have names: rows came, were replaced, went and came back. */
static enum vdb_status setup_past(struct run *run)
{
    enum vdb_status status = setup_few(run);
    if (!status) status = create_name(run, run->db, 4);
    if (!status) status = COMMIT(run, run->db, {PUT, 1, 101, 9}, {PUT, 6, 6, 0}, {DELETE, 3, 0, 0});
    if (!status) status = COMMIT(run, run->db, {RESTORE, 5, 0, 0}, {DELETE, 6, 0, 0});
    if (!status) status = create_name(run, run->db, 5);
    return status ? status : COMMIT(run, run->db, {PUT, 1, 102, 0}, {PUT, 7, 7, 20});
}

static enum vdb_status run_names(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = create_name(run, run->db, 1);
    if (!status) status = COMMIT(run, run->db, {PUT, 11, 11, 0}, {DELETE, 2, 0, 0});
    if (!status) status = create_name(run, run->db, 2);
    if (!status) status = create_name(run, run->db, 0);
    if (!status) status = remove_name(run, run->db, 1);
    return status ? status : COMMIT(run, run->db, {PUT, 12, 12, 0});
}

static enum vdb_status run_names_of_two(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = open_handle(run, &run->other);
    if (!status) status = create_name(run, run->db, 1);
    if (!status) status = COMMIT(run, run->other, {PUT, 11, 11, 0});
    if (!status) status = remove_name(run, run->other, 1);
    if (!status) status = create_name(run, run->db, 1);
    return status ? status : roll_back(run, run->other, 2);
}

/* Where the first extent of the log has room for one more record of names, and not for two. */
static enum vdb_status setup_no_room_for_names(struct run *run)
{
    enum vdb_status status = setup_few(run);
    return status ? status : COMMIT(run, run->db, {PUT, 50, 50, 47000});
}

/* The log goes on in another extent with a record of names. */
static enum vdb_status run_names_link(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = create_name(run, run->db, 2);
    if (!status) status = create_name(run, run->db, 3);
    if (!status) status = COMMIT(run, run->db, {DELETE, 50, 0, 0});
    return status ? status : remove_name(run, run->db, 3);
}

static enum vdb_status run_roll_back(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = roll_back(run, run->db, 3);
    if (!status) status = roll_back(run, run->db, 6);
    return status ? status : COMMIT(run, run->db, {PUT, 1, 103, 0});
}

static enum vdb_status run_compact_past(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = compact(run, NULL);
    if (!status) status = remove_name(run, run->db, 4);
    return status ? status : roll_back(run, run->db, 5);
}

static enum vdb_status run_compact_keeping(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = compact_keeping(run, NULL, true);
    return status ? status : roll_back(run, run->db, 4);
}

static enum vdb_status run_compact_past_twice(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = compact_keeping(run, NULL, true);
    if (!status) status = COMMIT(run, run->db, {PUT, 8, 8, 0}, {DELETE, 5, 0, 0});
    if (!status) status = remove_name(run, run->db, 4);
    return status ? status : compact(run, NULL);
}

static int name_meanwhile(void *context, const char *phase, uint64_t done, uint64_t total)
{
    struct run *run = context;
    (void)phase, (void)done, (void)total;
    if (run->other || run->failed_call) return run->failed_call != CALL_NONE;
    if (open_handle(run, &run->other) || create_name(run, run->other, 1)) return 1;
    if (COMMIT(run, run->other, {PUT, 7001, 7001, 0}, {DELETE, 2, 0, 0})) return 1;
    if (create_name(run, run->other, 2)) return 1;
    if (COMMIT(run, run->other, {PUT, 7001, 7002, 0})) return 1;
    return remove_name(run, run->other, 1) != VDB_OK;
}

static enum vdb_status run_maintain_names(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = create_name(run, run->db, 3);
    if (!status) status = maintain(run, name_meanwhile);
    return status ? status : roll_back(run, run->db, 3);
}

/* What it goes back to is purged in the successor, or kept for a name. */
static int go_back_meanwhile(void *context, const char *phase, uint64_t done, uint64_t total)
{
    struct run *run = context;
    (void)phase, (void)done, (void)total;
    if (run->other || run->failed_call) return run->failed_call != CALL_NONE;
    if (open_handle(run, &run->other) || roll_back(run, run->other, 4)) return 1;
    if (create_name(run, run->other, 6) || remove_name(run, run->other, 5)) return 1;
    return roll_back(run, run->other, 3) != VDB_OK;
}

static enum vdb_status run_compact_names(struct run *run)
{
    enum vdb_status status = open_db(run);
    if (!status) status = compact(run, go_back_meanwhile);
    return status ? status : COMMIT(run, run->db, {UPDATE, 1, 104, 0});
}

/* ---- workloads: receiving ------------------------------------------------------------------ */

static enum vdb_status forget(struct run *run)
{
    close_db(run);
    if (unlink(run->index.path) < 0) return VDB_IO;
    run->current = state_new(run, &(struct model_state){.absent = true});
    tell(run);
    return VDB_OK;
}

static enum vdb_status setup_whole(struct run *run)
{
    enum vdb_status status = setup_past(run);
    if (!status) status = create_name(run, run->db, 1);
    if (!status) status = send(run, NULL);
    return status ? status : forget(run);
}

static enum vdb_status run_receive_whole(struct run *run)
{
    enum vdb_status status = receive(run, 1, 1);
    if (!status) status = open_db(run);
    return status ? status : COMMIT(run, run->db, {PUT, 8, 8, 0}, {DELETE, 1, 0, 0});
}

/* A copy of an earlier state, received, and a stream of what has changed since. */
static enum vdb_status setup_changes(struct run *run)
{
    enum vdb_status status = setup_past(run);
    if (!status) status = create_name(run, run->db, 1);
    if (!status) status = send(run, NULL);
    const struct sent whole = run->sent;
    if (!status)
        status = COMMIT(run, run->db, {PUT, 4, 104, 0}, {PUT, 8, 8, 30}, {DELETE, 2, 0, 0});
    if (!status) status = COMMIT(run, run->db, {DELETE, 8, 0, 0}, {PUT, 9, 9, 0});
    if (!status) status = create_name(run, run->db, 2);
    if (!status) status = send(run, whole.to);
    const struct sent changes = run->sent;
    if (!status) status = forget(run);
    run->sent = whole;
    if (!status) status = receive(run, 1, 1);
    run->sent = changes;
    free(whole.bytes);
    return status;
}

static enum vdb_status run_receive_changes(struct run *run)
{
    enum vdb_status status = receive(run, 2, 2);
    if (!status) status = open_db(run);
    return status ? status : roll_back(run, run->db, 2);
}

/* What the copy has had since is undone by the same commit. */
static enum vdb_status setup_changed(struct run *run)
{
    enum vdb_status status = setup_changes(run);
    if (!status) status = open_db(run);
    return status ? status : COMMIT(run, run->db, {DELETE, 7, 0, 0}, {PUT, 2, 202, 0});
}

/* ---- the list ------------------------------------------------------------------------------ */

const struct workload workloads[] = {
    {"create", 0, NULL, run_create},
    {"create filled", 0, setup_create_leftovers, run_create_filled},
    {"create beside leftovers", 0, setup_create_leftovers, run_create},
    {"create l2 u8 flat", 0, NULL, run_l2_u8},
    {"create ip f16 graph", 0, NULL, run_ip_f16},
    {"create cosine i8 ivf", 0, NULL, run_cosine_i8},
    {"create cosine f32 hnsw", 0, NULL, run_cosine_f32},
    {"create hybrid", 0, NULL, run_hybrid},
    {"first add", 0, setup_empty, run_add},
    {"second add", 0, setup_few, run_add},
    {"update", 0, setup_few, run_update},
    {"upsert one id often", 0, setup_few, run_upsert_same_id},
    {"delete", 0, setup_few, run_delete},
    {"restore", 0, setup_few, run_restore},
    {"delete and add", 0, setup_few, run_delete_and_add},
    {"empty transaction", 0, setup_few, run_empty_transaction},
    {"add with metadata", 0, setup_few, run_add_metadata},
    {"metadata of many blocks", 0, setup_few, run_long_metadata},
    {"abort, then another", 0, setup_few, run_aborted_then_another},
    {"reopen for each commit", 0, setup_few, run_reopening},
    {"two handles in turns", 0, setup_few, run_two_handles},
    {"two handles at once", 0, setup_few, run_two_at_once},
    {"reader throughout", 0, setup_few, run_reader_throughout},
    {"rows of an extent", 0, setup_wide, run_external_rows},
    {"metadata of an extent", 0, setup_few, run_external_metadata},
    {"events of an extent", 2, setup_many, run_many_events},
    {"link", 0, setup_log_nearly_full, run_link},
    {"two links", 0, setup_log_nearly_full, run_two_links},
    {"maintain flat", 1, setup_tail_flat, run_maintain},
    {"maintain graph", 2, setup_tail_graph, run_maintain},
    {"maintain ivf", 2, setup_tail_ivf, run_maintain},
    {"maintain hybrid", 2, setup_tail_hybrid, run_maintain},
    {"merge of a part", 1, setup_part_and_tail, run_maintain},
    {"new tombstones", 1, setup_part_deleted, run_maintain},
    {"commits while maintaining", 1, setup_tail_flat, run_maintain_meanwhile},
    {"compact", 0, setup_plain, run_compact},
    {"compact with deleted rows", 0, setup_deleted, run_compact},
    {"compact to nothing", 0, setup_all_deleted, run_compact},
    {"compact graph", 1, setup_deleted_graph, run_compact},
    {"compact hnsw", 1, setup_deleted_hnsw, run_compact},
    {"compact ivf", 1, setup_deleted_ivf, run_compact},
    {"compact hybrid", 1, setup_deleted_hybrid, run_compact},
    {"compact twice", 0, setup_deleted, run_compact_twice},
    {"compact over a leftover", 0, setup_compact_leftover, run_compact},
    {"commits while compacting", 0, setup_deleted, run_compact_meanwhile},
    {"write through a compaction", 0, setup_deleted, run_write_through_compaction},
    {"compact to an output", 0, setup_output, run_output},
    {"compact over an output", 0, setup_output_exists, run_output},
    {"names", 0, setup_few, run_names},
    {"names of two handles", 1, setup_few, run_names_of_two},
    {"link of a name", 1, setup_no_room_for_names, run_names_link},
    {"roll back", 0, setup_past, run_roll_back},
    {"compact with names", 0, setup_past, run_compact_past},
    {"compact keeping all", 1, setup_past, run_compact_keeping},
    {"compact with names twice", 1, setup_past, run_compact_past_twice},
    {"names while maintaining", 1, setup_tail_flat, run_maintain_names},
    {"going back while compacting", 1, setup_past, run_compact_names},
    {"receive a whole", 0, setup_whole, run_receive_whole},
    {"receive changes", 0, setup_changes, run_receive_changes},
    {"receive and go back", 1, setup_changed, run_receive_changes},
    {NULL, 0, NULL, NULL},
};

/* ---- runs ---------------------------------------------------------------------------------- */

static bool empty_directory(const char *path)
{
    DIR *entries = opendir(path);
    const struct dirent *entry;
    if (!entries) return false;
    while ((entry = readdir(entries)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(entries), entry->d_name, 0);
    closedir(entries);
    return true;
}

enum vdb_status run_prepare(struct run *run, const struct workload *workload, const char *directory)
{
    memset(run, 0, sizeof *run);
    snprintf(run->directory, sizeof run->directory, "%s", directory);
    snprintf(run->index.path, sizeof run->index.path, "%s/x.vdb", run->directory);
    if (!empty_directory(directory)) return VDB_CANNOT_OPEN;
    run->current = state_new(run, &(struct model_state){.absent = true});
    tell(run);
    enum vdb_status status = workload->setup ? workload->setup(run) : VDB_OK;
    run_close(run);
    return status;
}

void run_begin(struct run *run, const struct run *prepared)
{
    memset(run, 0, sizeof *run);
    memcpy(run->directory, prepared->directory, sizeof run->directory);
    run->index = prepared->index;
    run->output = prepared->output;
    run->current = prepared->current;
    run->sent = prepared->sent;
}

void run_close(struct run *run)
{
    vdb_snapshot_close(run->held);
    vdb_close(run->other);
    vdb_close(run->db);
    run->held = NULL;
    run->other = run->db = run->failed_handle = NULL;
}

void run_release(struct run *run)
{
    run_close(run);
    for (size_t i = 0; i < run->state_count; i++) {
        free(run->states[i]->rows);
        free(run->states[i]);
    }
    free(run->states);
    if (run->sent_here) free(run->sent.bytes);
    run->sent_here = false;
    run->states = NULL;
    run->state_count = 0;
}

enum vdb_status run_commit_one(struct run *run, const struct model_state *from,
                               struct vdb_error *err)
{
    struct run next;
    run_begin(&next, run);
    next.current = from;
    enum vdb_status status = open_db(&next);
    if (!status) status = COMMIT(&next, next.db, {PUT, 99999, 99999, 17});
    if (status) *err = next.err;
    char why[256];
    if (!status && !workload_matches(next.index.path, next.current, why, sizeof why)) {
        status = err->status = VDB_INTERNAL;
        snprintf(err->message, sizeof err->message, "after one more commit: %s", why);
    }
    run_release(&next);
    return status;
}
