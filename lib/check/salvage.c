/* salvage.c: what can be proven sound of a damaged index, in a new one.
 *
 * The new index is made as any other is: rows are put into a transaction, committed, and built into
 * parts, under a passing name; what is lost is told on the way.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/options.h"
#include "base/osfile.h"
#include "check/salvage_find.h"
#include "check/salvage_rows.h"
#include "db/create.h"
#include "db/db.h"
#include "db/newname.h"
#include "vdb.h"
#include "vector/vtype.h"

/* Bytes that are looked at for wrong bits before it is given up: seconds. */
#define EFFORT ((uint64_t)1 << 35)

#define PROGRESS_EVERY 4096 /* rows */

struct salvage {
    const struct vdb_salvage_options *options;
    struct salvage_found *found;
    struct salvage_rows rows;
    struct vdb_salvage_info info;
    struct vdb_txn *txn; /* NULL: nothing is written */
    float *vector;
    struct vdb_salvage_loss run; /* rows without ids that are lost for one reason; what: 0, none */
};

/* ---- what is lost -------------------------------------------------------------------------- */

static void tell(struct salvage *s, const struct vdb_salvage_loss *loss)
{
    if (s->options->report) s->options->report(s->options->context, loss);
}

static void end_run(struct salvage *s)
{
    if (s->run.what) tell(s, &s->run);
    s->run.what = 0;
}

static void lose(struct salvage *s, uint64_t first, uint64_t last, const char *id, size_t id_len,
                 const struct vdb_error *why)
{
    s->info.lost += last - first + 1;
    struct vdb_salvage_loss *run = &s->run;
    if (!id && run->what && run->last + 1 == first && run->why.offset == why->offset &&
        strcmp(run->why.message, why->message) == 0) {
        run->last = last;
        return;
    }
    end_run(s);
    struct vdb_salvage_loss loss = {
        id ? VDB_SALVAGE_ROW : VDB_SALVAGE_ROWS, first, last, id, id_len, *why};
    if (id)
        tell(s, &loss);
    else
        *run = loss;
}

static void lose_commits(struct salvage *s)
{
    s->info.behind = s->found->behind;
    if (!s->found->behind) return;
    struct vdb_salvage_loss loss = {
        .what = VDB_SALVAGE_COMMITS, .first = s->rows.commit + 1, .why = s->found->broken};
    tell(s, &loss);
}

/* ---- rows ---------------------------------------------------------------------------------- */

struct row {
    const char *id, *text;
    size_t id_len, text_len;
    const uint8_t *vector;
};

/* Its metadata are the last to be looked for: they lie in a cache. *known: the id is had. */
static bool get_row(struct salvage *s, uint32_t row, struct row *out, bool *known,
                    struct vdb_error *why)
{
    *known = salvage_row_id(&s->rows, row, &out->id, &out->id_len, why);
    return *known && salvage_row_vector(&s->rows, row, &out->vector, why) &&
           salvage_row_metadata(&s->rows, row, &out->text, &out->text_len, why);
}

static bool is_of_the_row(enum vdb_status status)
{
    return status == VDB_INVALID || status == VDB_EXISTS || status == VDB_LIMIT;
}

/* *put: it is in the transaction. A row that no index could have is lost. */
static enum vdb_status put_row(struct salvage *s, uint32_t number, bool doubtful, bool *put,
                               struct vdb_error *err)
{
    const struct manifest *m = &s->found->manifests[0].m;
    struct row row;
    struct vdb_error why;
    bool known;
    *put = false;
    if (!get_row(s, number, &row, &known, &why)) {
        lose(s, number, number, known ? row.id : NULL, known ? row.id_len : 0, &why);
        return VDB_OK;
    }
    vtype_load(m->type, row.vector, s->vector, m->dim);
    enum vdb_status status = VDB_OK;
    if (s->txn)
        status = vdb_txn_put(s->txn, VDB_INSERT, row.id, row.id_len, s->vector, row.text,
                             row.text_len, &why);
    if (status == VDB_EXISTS && doubtful) return VDB_OK; /* so it had been replaced */
    if (status && !is_of_the_row(status)) {
        if (err) *err = why;
        return status;
    }
    if (status) {
        why.segment = "row";
        why.offset = 0;
        lose(s, number, number, row.id, row.id_len, &why);
        return VDB_OK;
    }
    *put = true;
    s->info.rows++;
    if (doubtful) {
        s->info.doubtful++;
        error_set_corrupt(&why, "tombstone", 0, "it is not known whether the row was deleted");
        struct vdb_salvage_loss loss = {VDB_SALVAGE_DOUBTFUL, number, number, row.id,
                                        row.id_len,           why};
        tell(s, &loss);
    }
    return VDB_OK;
}

static enum vdb_status progress(const struct salvage *s, uint32_t row, struct vdb_error *err)
{
    const struct vdb_salvage_options *o = s->options;
    if (row % PROGRESS_EVERY || !o->progress) return VDB_OK;
    if (!o->progress(o->context, "salvage rows", row, s->rows.row_count)) return VDB_OK;
    return error_set(err, VDB_CANCELLED, "cancelled");
}

/* First those that were live, in their order; then those that may have been, the newest first, so
 * that of an id only the newest is taken. */
static enum vdb_status put_rows(struct salvage *s, struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    bool put;
    uint32_t tried = s->rows.tried;
    for (uint32_t row = 0; row < tried && !status; row++) {
        status = progress(s, row, err);
        if (!status && s->rows.state[row] == SALVAGE_LIVE)
            status = put_row(s, row, false, &put, err);
    }
    if (!status && tried < s->rows.row_count) {
        struct vdb_error why;
        error_set_corrupt(&why, "file", s->found->file_len, "file is cut off");
        lose(s, tried, s->rows.row_count - 1, NULL, 0, &why);
    }
    end_run(s);
    for (uint32_t row = tried; row-- > 0 && !status;)
        if (s->rows.state[row] == SALVAGE_UNKNOWN) status = put_row(s, row, true, &put, err);
    end_run(s);
    return status;
}

/* ---- the new index ------------------------------------------------------------------------- */

static struct vdb_create_options options_of(const struct manifest *m)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = m->dim;
    options.metric = m->metric;
    options.type = m->type;
    options.index = m->index;
    options.codes = m->codes;
    options.degree = m->degree;
    options.ef_construction = m->ef_construction;
    options.recent_rows = m->recent_rows;
    options.recent_seconds = m->recent_seconds;
    options.quiet_begin = m->quiet_begin;
    options.quiet_end = m->quiet_end;
    return options;
}

static enum vdb_status fill(struct salvage *s, struct vdb *db, struct vdb_error *err)
{
    struct vdb_commit_info done;
    struct vdb_maintain_options maintain = VDB_MAINTAIN_OPTIONS_INIT;
    maintain.threads = s->options->threads;
    maintain.progress = s->options->progress;
    maintain.context = s->options->context;
    enum vdb_status status = vdb_txn_begin(db, &s->txn, err);
    if (status) return status;
    lose_commits(s);
    status = put_rows(s, err);
    if (status) {
        vdb_txn_abort(s->txn);
        return status;
    }
    status = vdb_txn_commit(s->txn, &done, err);
    return status ? status : vdb_maintain(db, &maintain, err);
}

static enum vdb_status write_output(struct salvage *s, const char *output, struct vdb_error *err)
{
    struct vdb_create_options options = options_of(&s->found->manifests[0].m);
    struct vdb_open_options open = VDB_OPEN_OPTIONS_INIT;
    struct newname name;
    struct vdb *db = NULL;
    open.threads = s->options->threads;
    if (!output) {
        lose_commits(s);
        return put_rows(s, err);
    }
    enum vdb_status status = newname_create(&name, output, 0666, err);
    if (status) return status;
    status = create_empty(&name.file, &options, err);
    if (!status) status = vdb_open(name.passing, &open, &db, err);
    if (!status) db->unsynced = true;
    if (!status) status = fill(s, db, err);
    vdb_close(db);
    int failed = status ? 0 : osfile_sync_all(&name.file);
    if (failed) status = error_set_errno(err, VDB_IO, failed, "cannot sync the new index");
    return newname_finish(&name, status, false, err);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static enum vdb_status salvage_into(const struct vdb_salvage_options *options,
                                    struct salvage_found *found, const char *output,
                                    struct vdb_salvage_info *info, struct vdb_error *err)
{
    struct salvage s = {.options = options, .found = found};
    enum vdb_status status = salvage_find(found, err);
    if (!status) status = salvage_rows_init(&s.rows, found, err);
    if (!status) {
        s.vector = malloc(found->manifests[0].m.dim * sizeof *s.vector);
        status = s.vector ? write_output(&s, output, err) : error_no_memory(err);
    }
    s.info.commit = s.rows.commit;
    s.info.mended = found->mended;
    if (!status && info) *info = s.info;
    salvage_rows_release(&s.rows);
    free(s.vector);
    return status;
}

static enum vdb_status salvage_file(const struct vdb_salvage_options *options,
                                    const struct osfile *file, const char *output,
                                    struct vdb_salvage_info *info, struct vdb_error *err)
{
    struct osfile_stat now;
    struct salvage_found found = {.effort = EFFORT};
    int failed = osfile_stat(file, &now);
    if (failed) return error_set_errno(err, VDB_CANNOT_OPEN, failed, "cannot open the index");
    if (!now.regular) return error_set(err, VDB_CANNOT_OPEN, "not a regular file");
    if (now.size == 0) return error_set_corrupt(err, "superblock", 0, "file is empty");
    found.file_len = now.size;
    failed = osfile_map_private(file, (size_t)now.size, &found.file);
    if (failed) return error_set_errno(err, VDB_IO, failed, "cannot map the file");
    enum vdb_status status = salvage_into(options, &found, output, info, err);
    salvage_found_release(&found);
    osfile_unmap(found.file, (size_t)now.size);
    return status;
}

enum vdb_status vdb_salvage(const char *path, const char *output,
                            const struct vdb_salvage_options *options,
                            struct vdb_salvage_info *info, struct vdb_error *err)
{
    struct vdb_salvage_options chosen = VDB_SALVAGE_OPTIONS_INIT;
    enum vdb_status status = options_take(&chosen, sizeof chosen, options, err);
    if (status) return status;
    struct osfile_stat there;
    if (output && osfile_stat_path(output, &there) == 0)
        return error_set(err, VDB_EXISTS, "the output exists already");
    struct osfile file;
    int failed = osfile_open(&file, path, false);
    if (failed) return error_set_errno(err, VDB_CANNOT_OPEN, failed, "cannot open the index");
    status = salvage_file(&chosen, &file, output, info, err);
    osfile_close(&file);
    return status;
}
