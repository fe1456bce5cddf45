/* workload_model.c: the model beside the workloads, and comparing an index with it.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "fault/workload_model.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fault/seam.h"

/* ---- what rows are made of ----------------------------------------------------------------- */

/* The model stands where the library is denied memory. */
void *model_grow(void *p, size_t len)
{
    seam_pause();
    void *room = realloc(p, len ? len : 1);
    seam_resume();
    if (room) return room;
    fputs("workload: no memory\n", stderr);
    abort();
}

static uint32_t mix(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

size_t model_row_id(uint32_t id, char *text)
{
    return (size_t)snprintf(text, MODEL_ID_MAX, "row-%u%s", id,
                            id % 5 == 4 ? "/\xc3\xa9t\xc3\xa9" : "");
}

/* Numbers that the type holds exactly; none is zero. */
void model_row_vector(const struct model_state *s, uint32_t content, float *vector)
{
    bool whole = s->type == VDB_TYPE_I8 || s->type == VDB_TYPE_U8;
    for (uint32_t i = 0; i < s->dim; i++) {
        uint32_t n = mix(content * 65536u + i) % 100 + 1;
        vector[i] = whole ? (float)n : (float)n / 4;
    }
}

/* JSON of so many bytes, which do not pack. */
void model_row_metadata(uint32_t content, uint32_t len, char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    memcpy(text, "{\"t\":\"", 6);
    for (uint32_t i = 6; i < len - 2; i++) text[i] = digits[mix(content * 1048576u + i) % 64];
    memcpy(text + len - 2, "\"}", 2);
}

/* Some of them as long as a name can be. */
size_t model_name_text(uint32_t number, char *text)
{
    size_t len = (size_t)snprintf(text, VDB_NAME_MAX + 1, "%u-n\xc3\xa4me", number);
    if (number % 3 != 2) return len;
    memset(text + len, '.', VDB_NAME_MAX - len);
    text[VDB_NAME_MAX] = '\0';
    return VDB_NAME_MAX;
}

/* ---- the model ----------------------------------------------------------------------------- */

struct model_state *state_new(struct run *run, const struct model_state *like)
{
    struct model_state *state = model_grow(NULL, sizeof *state);
    *state = *like;
    state->rows = model_grow(NULL, like->row_count * sizeof *state->rows);
    if (like->row_count) memcpy(state->rows, like->rows, like->row_count * sizeof *state->rows);
    run->states = model_grow(run->states, (run->state_count + 1) * sizeof(struct model_state *));
    run->states[run->state_count++] = state;
    return state;
}

/* The live row of the id, or the last deleted one. */
static struct model_row *find(const struct model_state *s, uint32_t id, bool live)
{
    for (uint32_t i = s->row_count; i-- > 0;)
        if (s->rows[i].id == id && s->rows[i].live == live) return &s->rows[i];
    return NULL;
}

static void add_row(struct model_state *s, struct model_row row)
{
    if ((s->row_count & (s->row_count - 1)) == 0)
        s->rows =
            model_grow(s->rows, (s->row_count ? 2 * (size_t)s->row_count : 1) * sizeof *s->rows);
    s->rows[s->row_count++] = row;
}

/* Room grows by doubling from a power of two on. */
const struct model_state *state_after(struct run *run, const struct model_state *from,
                                      const struct op *ops, size_t count)
{
    struct model_state *to = state_new(run, from);
    uint32_t room = 1;
    while (room < to->row_count) room *= 2;
    to->rows = model_grow(to->rows, room * sizeof *to->rows);
    /* Of an empty state no id is looked for: large loads take no quadratic time. */
    bool fresh = from->row_count == 0;
    for (size_t i = 0; i < count; i++) {
        struct model_row *row = NULL;
        const struct op *op = &ops[i];
        if (!fresh || i < 64) row = find(to, op->id, op->kind != RESTORE);
        if (op->kind == RESTORE) {
            if (row) row->live = true;
        } else {
            if (row) row->live = false;
        }
        if (op->kind <= UPDATE)
            add_row(to, (struct model_row){op->id, op->content, op->metadata_len, true});
    }
    to->before = from;
    to->commit++;
    return to;
}

static bool has_name(const struct model_state *s, uint64_t commit)
{
    for (unsigned i = 0; i < s->name_count; i++)
        if (s->names[i].commit == commit) return true;
    return false;
}

/* The rows of `of` that are kept, their numbers and liveness as they are there. */
static struct model_state *state_purged(struct run *run, const struct model_state *of,
                                        const bool *kept)
{
    struct model_state *to = state_new(run, of);
    to->row_count = 0;
    for (uint32_t i = 0; i < of->row_count; i++)
        if (kept[i]) to->rows[to->row_count++] = of->rows[i];
    return to;
}

struct model_state *state_compacted(struct run *run, const struct model_state *from, bool keep_all)
{
    bool *kept = model_grow(NULL, from->row_count * sizeof *kept);
    const struct model_state *past[MODEL_PAST];
    unsigned count = 0;
    for (const struct model_state *s = from; s; s = s->before)
        if (s == from || keep_all || has_name(from, s->commit)) past[count++] = s;
    memset(kept, 0, from->row_count * sizeof *kept);
    for (unsigned p = 0; p < count; p++)
        for (uint32_t i = 0; i < past[p]->row_count; i++) kept[i] |= past[p]->rows[i].live;
    struct model_state *to = NULL;
    while (count-- > 0) {
        const struct model_state *before = to;
        to = state_purged(run, past[count], kept);
        to->before = before;
    }
    free(kept);
    return to;
}

struct model_state *state_output(struct run *run, const struct model_state *from)
{
    struct model_state alone = *from;
    alone.before = NULL;
    alone.name_count = 0;
    struct model_state *to = state_compacted(run, &alone, false);
    to->commit = 1;
    return to;
}

/* ---- going back, and names ----------------------------------------------------------------- */

const struct model_state *state_rolled_back(struct run *run, const struct model_state *from,
                                            uint64_t commit)
{
    const struct model_state *then = from;
    while (then->commit != commit) then = then->before;
    struct model_state *to = state_new(run, from);
    for (uint32_t i = 0; i < to->row_count; i++)
        to->rows[i].live = i < then->row_count && then->rows[i].live;
    to->before = from;
    to->commit++;
    return to;
}

const struct model_state *state_carried_back(struct run *run, const struct model_state *successor,
                                             const struct model_state *before,
                                             const struct model_state *after)
{
    struct model_state *to = state_new(run, successor);
    uint32_t room = 1;
    while (room < to->row_count) room *= 2;
    to->rows = model_grow(to->rows, room * sizeof *to->rows);
    for (uint32_t i = 0; i < before->row_count; i++) {
        const struct model_row *row = &before->rows[i];
        if (row->live && !after->rows[i].live && !find(after, row->id, true))
            find(to, row->id, true)->live = false;
    }
    for (uint32_t i = 0; i < before->row_count; i++) {
        const struct model_row *row = &after->rows[i];
        if (before->rows[i].live || !row->live) continue;
        struct model_row *old = find(to, row->id, true);
        if (old) old->live = false;
        add_row(to, *row);
    }
    to->before = successor;
    to->commit++;
    return to;
}

static bool lives(const struct model_state *s, uint32_t row)
{
    return s && row < s->row_count && s->rows[row].live;
}

const struct model_state *state_received(struct run *run, const struct model_state *from,
                                         uint64_t base)
{
    const struct model_state *sent_from = run->sent.from, *sent_to = run->sent.to, *on = from;
    struct op *ops = model_grow(NULL, 2 * (size_t)sent_to->row_count * sizeof *ops);
    size_t count = 0;
    for (uint32_t i = 0; i < sent_to->row_count; i++) {
        const struct model_row *row = &sent_to->rows[i];
        if (lives(sent_to, i) && !lives(sent_from, i))
            ops[count++] = (struct op){PUT, row->id, row->content, row->metadata_len};
        if (lives(sent_from, i) && !lives(sent_to, i) && !find(sent_to, row->id, true))
            ops[count++] = (struct op){DELETE, row->id, 0, 0};
    }
    if (base != from->commit) on = state_rolled_back(run, from, base);
    struct model_state *to = state_new(run, state_after(run, on, ops, count));
    free(ops);
    to->before = from;
    to->commit = from->commit + 1;
    return to;
}

const struct model_state *state_named(struct run *run, const struct model_state *from,
                                      uint32_t number)
{
    struct model_state *to = state_new(run, from);
    unsigned at = to->name_count++;
    for (; at > 0 && to->names[at - 1].number > number; at--) to->names[at] = to->names[at - 1];
    to->names[at] = (struct model_name){number, from->commit};
    return to;
}

const struct model_state *state_unnamed(struct run *run, const struct model_state *from,
                                        uint32_t number)
{
    struct model_state *to = state_new(run, from);
    unsigned kept = 0;
    for (unsigned i = 0; i < from->name_count; i++)
        if (from->names[i].number != number) to->names[kept++] = from->names[i];
    to->name_count = kept;
    return to;
}

static bool same_names(const struct model_state *a, const struct model_state *b)
{
    bool same = a->name_count == b->name_count;
    for (unsigned i = 0; i < a->name_count && same; i++)
        same = a->names[i].number == b->names[i].number && a->names[i].commit == b->names[i].commit;
    return same;
}

static bool same_rows(const struct model_state *a, const struct model_state *b)
{
    bool same = a->row_count == b->row_count;
    for (uint32_t i = 0; i < a->row_count && same; i++) {
        const struct model_row *x = &a->rows[i], *y = &b->rows[i];
        same = x->id == y->id && x->content == y->content && x->metadata_len == y->metadata_len &&
               x->live == y->live;
    }
    return same;
}

bool workload_same_state(const struct model_state *a, const struct model_state *b)
{
    if (a->absent || b->absent) return a->absent == b->absent;
    if (a->dim != b->dim || a->metric != b->metric || a->type != b->type || !same_names(a, b))
        return false;
    for (; a && b && a != b; a = a->before, b = b->before)
        if (a->commit != b->commit || !same_rows(a, b)) return false;
    return a == b;
}

/* ---- comparing ----------------------------------------------------------------------------- */

static bool differ(char *why, size_t why_len, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool differ(char *why, size_t why_len, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, why_len, format, args);
    va_end(args);
    return false;
}

static bool same_facts(const struct vdb_snapshot *snapshot, const struct model_state *state,
                       char *why, size_t why_len)
{
    struct vdb_info info;
    uint64_t live = 0;
    vdb_snapshot_info(snapshot, &info);
    for (uint32_t i = 0; i < state->row_count; i++) live += state->rows[i].live;
    if (info.commit != state->commit)
        return differ(why, why_len, "commit is %llu, expected %llu",
                      (unsigned long long)info.commit, (unsigned long long)state->commit);
    if (info.rows != state->row_count || info.live != live || info.deleted != info.rows - live)
        return differ(why, why_len, "%llu rows, %llu of them live; expected %u, %llu",
                      (unsigned long long)info.rows, (unsigned long long)info.live,
                      state->row_count, (unsigned long long)live);
    if (info.dim != state->dim || info.metric != state->metric || info.type != state->type)
        return differ(why, why_len, "dimension, metric or type is another one");
    return true;
}

static bool same_row(const struct vdb_snapshot *snapshot, const struct model_state *state,
                     uint32_t row, float *vectors, char *why, size_t why_len)
{
    const struct model_row *want = &state->rows[row];
    char text[MODEL_ID_MAX];
    struct vdb_error err;
    size_t want_len = model_row_id(want->id, text), id_len, json_len;
    const char *id;
    char *json;
    if (vdb_row_state(snapshot, row) != (want->live ? 1 : 2))
        return differ(why, why_len, "row %u is in state %d, expected %s", row,
                      vdb_row_state(snapshot, row), want->live ? "live" : "deleted");
    if (vdb_row_id(snapshot, row, &id, &id_len, &err))
        return differ(why, why_len, "id of row %u: %s", row, err.message);
    if (id_len != want_len || memcmp(id, text, id_len) != 0)
        return differ(why, why_len, "id of row %u is %.*s, expected %s", row, (int)id_len, id,
                      text);
    if (vdb_row_vector(snapshot, row, vectors, &err))
        return differ(why, why_len, "vector of row %u: %s", row, err.message);
    model_row_vector(state, want->content, vectors + state->dim);
    if (memcmp(vectors, vectors + state->dim, state->dim * sizeof *vectors) != 0)
        return differ(why, why_len, "vector of row %u is not content %u", row, want->content);
    /* Each asking unpacks a block: of many rows that should have none, every sixteenth is asked. */
    if (state->row_count > MODEL_MANY_ROWS && !want->metadata_len && row % 16 != state->commit % 16)
        return true;
    if (vdb_row_metadata(snapshot, row, &json, &json_len, &err))
        return differ(why, why_len, "metadata of row %u: %s", row, err.message);
    if (!json) json_len = 0;
    bool same = json_len == want->metadata_len;
    if (same && json_len) {
        char *wanted = model_grow(NULL, json_len);
        model_row_metadata(want->content, want->metadata_len, wanted);
        same = memcmp(json, wanted, json_len) == 0;
        free(wanted);
    }
    free(json);
    return same || differ(why, why_len, "metadata of row %u is another one", row);
}

/* What an id leads to: its live row, or the newest deleted one. */
static bool same_lookup(const struct vdb_snapshot *snapshot, const struct model_state *state,
                        uint32_t row, char *why, size_t why_len)
{
    struct vdb_error err;
    char text[MODEL_ID_MAX];
    uint32_t found = UINT32_MAX, want = row;
    size_t len = model_row_id(state->rows[row].id, text);
    if (!state->rows[row].live) {
        if (state->row_count > MODEL_MANY_ROWS)
            return true; /* the model's search would take too long */
        const struct model_row *there = find(state, state->rows[row].id, true);
        if (!there) there = find(state, state->rows[row].id, false);
        want = (uint32_t)(there - state->rows);
    }
    enum vdb_status status = vdb_find(snapshot, text, len, 1, &found, &err);
    if (status) return differ(why, why_len, "%s is not found: %s", text, err.message);
    return found == want ||
           differ(why, why_len, "%s leads to row %u, expected %u", text, found, want);
}

static bool same_names_there(const struct vdb_snapshot *snapshot, const struct model_state *state,
                             char *why, size_t why_len)
{
    struct vdb_name name;
    char text[VDB_NAME_MAX + 1];
    for (unsigned i = 0; i < state->name_count; i++) {
        const struct model_name *want = &state->names[i];
        const struct model_state *at = state;
        size_t len = model_name_text(want->number, text);
        while (at && at->commit != want->commit) at = at->before;
        if (vdb_name_at(snapshot, i, &name))
            return differ(why, why_len, "%u names, expected %u", i, state->name_count);
        if (name.name_len != len || memcmp(name.name, text, len) != 0 ||
            name.commit != want->commit)
            return differ(why, why_len, "%.*s names commit %llu, expected %s, %llu",
                          (int)name.name_len, name.name, (unsigned long long)name.commit, text,
                          (unsigned long long)want->commit);
        if (!at || name.rows != at->row_count)
            return differ(why, why_len, "%s is said to have %llu rows", text,
                          (unsigned long long)name.rows);
    }
    return vdb_name_at(snapshot, state->name_count, &name) == VDB_NOT_FOUND ||
           differ(why, why_len, "there is one more name: %.*s", (int)name.name_len, name.name);
}

/* Rows are those of the newest state: which were there, and which were live, is all there is to
 * tell. `state` is NULL where the commit should not be there any more. */
static bool same_past(const struct vdb_snapshot *snapshot, uint64_t commit,
                      const struct model_state *state, char *why, size_t why_len)
{
    const struct vdb_snapshot *past;
    struct vdb_error err = {0};
    enum vdb_status status = vdb_snapshot_at(snapshot, commit, &past, &err);
    if (!state && status == VDB_NOT_FOUND) return true;
    if (status || !state) {
        if (!status) vdb_snapshot_close(past);
        return differ(why, why_len, "commit %llu can%s be had: %s", (unsigned long long)commit,
                      status ? "not" : "", err.message);
    }
    bool same = same_facts(past, state, why, why_len);
    for (uint32_t row = 0; row <= state->row_count && same; row++) {
        int is = row == state->row_count ? 0 : state->rows[row].live ? 1 : 2;
        if (vdb_row_state(past, row) != is)
            same = differ(why, why_len, "row %u at commit %llu is in state %d, expected %d", row,
                          (unsigned long long)commit, vdb_row_state(past, row), is);
    }
    vdb_snapshot_close(past);
    return same;
}

static bool same_pasts(const struct vdb_snapshot *snapshot, const struct model_state *state,
                       char *why, size_t why_len)
{
    const struct model_state *before = state->before;
    bool same = true;
    for (uint64_t commit = state->commit; commit-- > 1 && same;) {
        bool kept = before && before->commit == commit;
        same = same_past(snapshot, commit, kept ? before : NULL, why, why_len);
        if (kept) before = before->before;
    }
    return same;
}

bool workload_matches_snapshot(const struct vdb_snapshot *snapshot, const struct model_state *state,
                               char *why, size_t why_len)
{
    if (state->absent) return differ(why, why_len, "there should be no such file");
    if (!same_facts(snapshot, state, why, why_len) ||
        !same_names_there(snapshot, state, why, why_len) ||
        !same_pasts(snapshot, state, why, why_len))
        return false;
    float *vectors = model_grow(NULL, 2 * (size_t)state->dim * sizeof *vectors);
    bool same = true;
    for (uint32_t row = 0; row < state->row_count && same; row++)
        same = same_row(snapshot, state, row, vectors, why, why_len) &&
               same_lookup(snapshot, state, row, why, why_len);
    free(vectors);
    return same;
}

bool workload_matches(const char *path, const struct model_state *state, char *why, size_t why_len)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb_error err;
    struct vdb *db;
    const struct vdb_snapshot *snapshot;
    struct stat there;
    if (state->absent) {
        if (lstat(path, &there) < 0 && errno == ENOENT) return true;
        return differ(why, why_len, "there should be no such file");
    }
    options.read_only = 1;
    options.threads = 1;
    if (vdb_open(path, &options, &db, &err))
        return differ(why, why_len, "cannot be opened: %s", err.message);
    bool same = false;
    if (vdb_snapshot_open(db, &snapshot, &err)) {
        differ(why, why_len, "cannot be read: %s", err.message);
    } else {
        same = workload_matches_snapshot(snapshot, state, why, why_len);
        vdb_snapshot_close(snapshot);
    }
    vdb_close(db);
    return same;
}
