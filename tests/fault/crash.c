/* crash.c: an image is opened, checked and compared with the model, and some are gone on from.
 *
 * Images that are the same byte by byte are opened once: what state they hold is remembered, and
 * held against what is allowed each time that one comes about.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "fault/crash.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/checksum.h"
#include "fault/seam.h"

enum { ALLOWED_MAX = 12, DEPTH = 2, NO_STATE = -1, NOT_OPENED = -2 };

static void *have(void *p)
{
    if (p) return p;
    fputs("crash: no memory\n", stderr);
    abort();
}

/* ---- sets and maps of hashes --------------------------------------------------------------- */

struct map {
    uint64_t *keys; /* 0: empty */
    int *values;
    size_t count, room; /* room: 0 or a power of two */
};

static size_t map_slot(const struct map *m, uint64_t key)
{
    size_t i = (size_t)(key * 0x9e3779b97f4a7c15u >> 20) & (m->room - 1);
    while (m->keys[i] && m->keys[i] != key) i = (i + 1) & (m->room - 1);
    return i;
}

/* The value of the key; it is added, as NO_STATE, where it is new. */
static int *map_at(struct map *m, uint64_t key, bool *added)
{
    if (2 * m->count >= m->room) {
        struct map old = *m;
        m->room = old.room ? 2 * old.room : 1024;
        m->keys = have(calloc(m->room, sizeof *m->keys));
        m->values = have(calloc(m->room, sizeof *m->values));
        for (size_t i = 0; i < old.room; i++) {
            if (!old.keys[i]) continue;
            size_t to = map_slot(m, old.keys[i]);
            m->keys[to] = old.keys[i];
            m->values[to] = old.values[i];
        }
        free(old.keys);
        free(old.values);
    }
    size_t i = map_slot(m, key);
    *added = m->keys[i] == 0;
    if (*added) {
        m->keys[i] = key;
        m->values[i] = NO_STATE;
        m->count++;
    }
    return &m->values[i];
}

static void map_release(struct map *m)
{
    free(m->keys);
    free(m->values);
}

/* ---- one recorded run ---------------------------------------------------------------------- */

struct allowed {
    unsigned count[IMAGE_TRACKED];
    int states[IMAGE_TRACKED][ALLOWED_MAX];
};

struct crash {
    const char *name;
    const struct crash_scale *scale;
    struct crash_counts *counts;
    unsigned depth; /* 0: a workload; 1: the recovery from an image of one */
    struct run run;
    struct seam_trace trace;
    unsigned tracked;
    bool has_output; /* out.vdb is written by the workload, or was by the one that is recovered from
                      */
    bool after_failure; /* a sync failed, and another writer went on */

    const struct model_state **states; /* no two the same */
    int state_count;
    struct allowed *marks; /* by number less one */
    size_t mark_count;
    int unsure[ALLOWED_MAX]; /* states that an acknowledgement will rule out, after a failed sync */
    unsigned unsure_count;
    int earlier[ALLOWED_MAX]; /* of a recovery: what was in flight when the power failed before */
    unsigned earlier_count;

    struct map known[IMAGE_TRACKED], seen, contents;
    uint64_t turn, recovery_turn, stray_turn;
    struct image_disk disks[IMAGE_TRACKED];
    char directory[200]; /* for the images; the run's own lies beside it */
};

static int state_number(struct crash *c, const struct model_state *state)
{
    for (int i = 0; i < c->state_count; i++)
        if (workload_same_state(c->states[i], state)) return i;
    c->states = have(realloc(c->states, ((size_t)c->state_count + 1) * sizeof *c->states));
    c->states[c->state_count] = state;
    return c->state_count++;
}

static void allow(struct allowed *now, unsigned which, int state)
{
    for (unsigned i = 0; i < now->count[which]; i++)
        if (now->states[which][i] == state) return;
    assert_true(now->count[which] < ALLOWED_MAX);
    now->states[which][now->count[which]++] = state;
}

/* Called by the workload when what is allowed has changed. */
static void changed(void *context, const struct run *run)
{
    struct crash *c = context;
    seam_pause();
    c->marks = have(realloc(c->marks, (c->mark_count + 1) * sizeof *c->marks));
    struct allowed *now = &c->marks[c->mark_count++];
    memset(now, 0, sizeof *now);
    const struct tracked *files[IMAGE_TRACKED] = {&run->index, &run->output};
    for (unsigned t = 0; t < c->tracked; t++)
        for (unsigned i = 0; i < files[t]->allowed_count; i++)
            allow(now, t, state_number(c, files[t]->allowed[i]));
    bool acknowledged = c->unsure_count > 0;
    for (unsigned i = 0; i < c->unsure_count && acknowledged; i++)
        for (unsigned j = 0; j < now->count[0]; j++)
            acknowledged &= now->states[0][j] != c->unsure[i];
    if (acknowledged) c->unsure_count = 0;
    for (unsigned i = 0; i < c->unsure_count; i++) allow(now, 0, c->unsure[i]);
    seam_resume();
    seam_mark(c->mark_count);
}

/* ---- what an image holds ------------------------------------------------------------------- */

static const char *const operations[] = {"write",       "reserve",        "truncate", "sync",
                                         "failed sync", "create",         "link",     "rename",
                                         "unlink",      "directory sync", "mark"};

static void fail_image(const struct crash *c, const struct image *image, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fail_image(const struct crash *c, const struct image *image, const char *format, ...)
{
    char what[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    const struct seam_op *op = &c->trace.ops[image->moment];
    fail_msg(
        "%s%s: power fails at operation %zu of %zu (%s, %llu bytes at %llu, of file %u), of the "
        "window there is \"%s\": %s",
        c->name, c->depth ? ", recovery" : "", image->moment, c->trace.count, operations[op->kind],
        (unsigned long long)op->len, (unsigned long long)op->off, op->file,
        image_kind_name(image->kind), what);
}

#define TORN_RECORD 4 /* beside the slots that may be damaged */

struct findings {
    int spoilt;       /* slots that may be damaged */
    bool two_records; /* of which the first may be damaged */
    bool torn_record; /* at any byte: what is there of it may be all but one bit */
    uint64_t torn;    /* findings that are so explained */
    struct vdb_error first;
};

static void keep_finding(void *context, const struct vdb_error *finding)
{
    struct findings *all = context;
    int slot = finding->offset / 4096 ? 2 : 1;
    if (finding->segment && strcmp(finding->segment, "superblock") == 0 && finding->offset < 8192 &&
        (all->spoilt & slot)) {
        all->spoilt &= ~slot; /* one finding a slot */
        all->torn++;
        return;
    }
    if (all->two_records && finding->segment && strcmp(finding->segment, "log") == 0 &&
        strstr(finding->message, "a later one is whole")) {
        all->torn++;
        return;
    }
    if (all->torn_record && finding->segment && strcmp(finding->segment, "log") == 0 &&
        strstr(finding->message, "whole but for bit")) {
        all->torn++;
        return;
    }
    if (!all->first.status) all->first = *finding;
}

/* A slot of the superblock lies in one sector, and is whole where sectors are. Torn within it, or
 * with garbage in it, it is damaged, and the check says so: it may do so of the slots in `spoilt`,
 * see struct image. After a failed sync the window may hold
 * two records of the log, one that was never acknowledged and one in flight; where the second
 * arrives whole and the first does not, the check cannot know that nothing is lost. A record torn
 * at a byte, not a sector, may lack one bit of what it was to be, and be taken for damaged. */
static bool is_sound(const struct crash *c, const char *path, int spoilt, char *why, size_t why_len)
{
    struct vdb_check_options options = VDB_CHECK_OPTIONS_INIT;
    struct vdb_error err = {0};
    struct findings all = {.spoilt = spoilt & ~TORN_RECORD,
                           .two_records = c->after_failure,
                           .torn_record = spoilt & TORN_RECORD};
    uint64_t findings = 0;
    options.deep = 1;
    options.threads = 1;
    options.report = keep_finding;
    options.context = &all;
    enum vdb_status status = vdb_check(path, &options, &findings, &err);
    if (status)
        snprintf(why, why_len, "cannot be checked: %s", err.message);
    else if (findings != all.torn)
        snprintf(why, why_len, "has %llu findings, first: %s at %llu: %s",
                 (unsigned long long)findings, all.first.segment ? all.first.segment : "",
                 (unsigned long long)all.first.offset, all.first.message);
    if (!status) c->counts->explained += all.torn;
    return !status && findings == all.torn;
}

/* ---- contents ------------------------------------------------------------------------------ */

static uint64_t fold(uint64_t hash, const void *bytes, size_t len)
{
    return (hash ^ checksum(bytes, len)) * 0x9e3779b97f4a7c15u + len;
}

/* Of how many rows the metadata is read, and the id looked up, of a snapshot whose content is known
 * already: for each row a block is unpacked, while its checksum is verified in any case. */
enum { LOOKUPS = 64 };

/* Of names and of the past: which rows were live at the commit before, and at those with names. */
static uint64_t past_hash(const struct vdb_snapshot *snapshot, uint64_t commit, uint64_t hash)
{
    const struct vdb_snapshot *past;
    struct vdb_info info;
    if (commit == 0 || vdb_snapshot_at(snapshot, commit, &past, NULL)) return hash + commit;
    vdb_snapshot_info(past, &info);
    hash = fold(hash, &info.rows, sizeof info.rows);
    for (uint32_t row = 0; row < info.rows; row++)
        hash = hash * 0x9e3779b97f4a7c15u + (uint64_t)vdb_row_state(past, row);
    vdb_snapshot_close(past);
    return hash;
}

static uint64_t names_hash(const struct vdb_snapshot *snapshot, uint64_t hash)
{
    struct vdb_name name;
    for (uint32_t i = 0; vdb_name_at(snapshot, i, &name) == VDB_OK; i++) {
        hash = fold(hash + name.commit, name.name, name.name_len);
        hash = past_hash(snapshot, name.commit, hash);
    }
    return hash;
}

/* All that workload_matches_snapshot looks at, in one number, at less cost: what has been compared
 * with the model once is known again by it. 0: it cannot be read. */
static uint64_t content_hash(const struct vdb_snapshot *snapshot, const struct vdb_info *info)
{
    uint64_t facts[] = {info->commit,          info->rows, info->live,
                        info->deleted,         info->dim,  info->type,
                        (uint64_t)info->metric};
    uint64_t hash = past_hash(snapshot, info->commit - 1, fold(1, facts, sizeof facts));
    hash = names_hash(snapshot, hash + info->oldest_commit);
    uint32_t step = (uint32_t)(info->rows / LOOKUPS) + 1;
    float *vector = have(malloc(info->dim * sizeof *vector));
    bool good = true;
    for (uint32_t row = 0; row < info->rows && good; row++) {
        const char *id;
        char *json = NULL;
        size_t id_len, json_len;
        uint32_t found = 0;
        int state = vdb_row_state(snapshot, row);
        good = !vdb_row_id(snapshot, row, &id, &id_len, NULL) &&
               !vdb_row_vector(snapshot, row, vector, NULL) &&
               (row % step || (!vdb_row_metadata(snapshot, row, &json, &json_len, NULL) &&
                               !vdb_find(snapshot, id, id_len, 1, &found, NULL)));
        if (!good) break;
        hash = fold(hash + (uint64_t)state, id, id_len);
        hash = fold(hash + found, vector, info->dim * sizeof *vector);
        if (json) hash = fold(hash, json, json_len);
        free(json);
    }
    free(vector);
    return !good ? 0 : hash ? hash : 1;
}

/* Which of the states the snapshot holds. */
static int recognise(struct crash *c, const struct vdb_snapshot *snapshot, char *why,
                     size_t why_len)
{
    struct vdb_info info;
    vdb_snapshot_info(snapshot, &info);
    bool added = false;
    uint64_t hash = content_hash(snapshot, &info);
    int unread = NO_STATE, *state_is = hash ? map_at(&c->contents, hash, &added) : &unread;
    if (!added && *state_is != NO_STATE) return *state_is;
    snprintf(why, why_len, "commit %llu of %llu rows was never made",
             (unsigned long long)info.commit, (unsigned long long)info.rows);
    for (int i = 0; i < c->state_count; i++) {
        const struct model_state *state = c->states[i];
        if (!state->absent && state->commit == info.commit && state->row_count == info.rows &&
            workload_matches_snapshot(snapshot, state, why, why_len))
            return *state_is = i;
    }
    return NO_STATE;
}

static int open_image(struct crash *c, const char *path, int spoilt, char *why, size_t why_len)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb_error err = {0};
    struct vdb *db;
    const struct vdb_snapshot *snapshot;
    int state = NO_STATE;
    if (!is_sound(c, path, spoilt, why, why_len)) return NO_STATE;
    options.read_only = 1;
    options.threads = 1;
    if (vdb_open(path, &options, &db, &err)) {
        snprintf(why, why_len, "cannot be opened: %s", err.message);
        return NO_STATE;
    }
    if (vdb_snapshot_open(db, &snapshot, &err)) {
        snprintf(why, why_len, "cannot be read: %s", err.message);
    } else {
        state = recognise(c, snapshot, why, why_len);
        vdb_snapshot_close(snapshot);
    }
    vdb_close(db);
    return state;
}

static bool is_allowed(const struct allowed *now, unsigned which, int state)
{
    for (unsigned i = 0; i < now->count[which]; i++)
        if (now->states[which][i] == state) return true;
    return false;
}

/* A record that the first failure left torn within its first bytes, which are the same in every
 * record, is whole again when another is torn right behind them in its place. */
static bool is_revived(const struct crash *c, const struct image *image, int state)
{
    const struct allowed *now = &c->marks[image->mark - 1];
    bool earlier = false;
    for (unsigned i = 0; i < c->earlier_count; i++) earlier |= c->earlier[i] == state;
    return earlier && image->kind == IMAGE_BYTES && is_allowed(now, 0, c->marks[0].states[0][0]);
}

static int absent_state(const struct crash *c)
{
    for (int i = 0; i < c->state_count; i++)
        if (c->states[i]->absent) return i;
    return NO_STATE;
}

/* The state of a tracked file in the image, which is opened where that is not known. */
static int state_of(struct crash *c, const struct image *image, unsigned which, bool open)
{
    char why[700];
    bool added;
    if (!image->tracked[which].there) return absent_state(c);
    int *known = map_at(&c->known[which], image->tracked[which].hash, &added);
    if (!added && *known != NOT_OPENED) return *known;
    if (!open) return *known = NOT_OPENED;
    image_put(image, which, &c->disks[which]);
    int spoilt = image->spoilt | (image->kind == IMAGE_BYTES ? TORN_RECORD : 0);
    *known = open_image(c, c->disks[which].path, spoilt, why, sizeof why);
    if (*known == NO_STATE) fail_image(c, image, "%s %s", which ? "the output" : "the index", why);
    return *known;
}

/* ---- recovery ------------------------------------------------------------------------------ */

static void try_images(struct crash *c);
static void crash_init(struct crash *c, const char *name, unsigned depth,
                       const struct crash_scale *scale, struct crash_counts *counts);
static void crash_release(struct crash *c);

static void must_run(const struct crash *c, const struct image *image, struct run *run,
                     const char *workload)
{
    enum vdb_status status = crash_find(workload)->run(run);
    if (status)
        fail_image(c, image, "recovery: %s of \"%s\": %s", workload_call_name(run->failed_call),
                   workload, run->err.message);
}

static void maintain(const struct crash *c, const struct image *image, struct run *run)
{
    struct vdb_maintain_options options = VDB_MAINTAIN_OPTIONS_INIT;
    struct vdb_error err;
    options.threads = 1;
    if (vdb_maintain(run->db, &options, &err))
        fail_image(c, image, "recovery: vdb_maintain: %s", err.message);
    run_close(run);
}

static bool is_foreign(const char *directory, const char *name)
{
    char path[600], bytes[sizeof WORKLOAD_FOREIGN] = "";
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    bool is = fread(bytes, 1, sizeof bytes, file) == sizeof bytes &&
              memcmp(bytes, WORKLOAD_FOREIGN, sizeof bytes) == 0;
    fclose(file);
    return is;
}

/* What was being written goes with the next creation of that file, or the next compaction. */
static void look_for_leftovers(const struct crash *c, const struct image *image,
                               const char *directory)
{
    DIR *entries = opendir(directory);
    const struct dirent *entry;
    assert_non_null(entries);
    while ((entry = readdir(entries)) != NULL) {
        const char *name = entry->d_name;
        bool expected = !strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "x.vdb") ||
                        !strcmp(name, "out.vdb");
        if (!expected && !is_foreign(directory, name))
            fail_image(c, image, "recovery leaves %s in the directory", name);
    }
    closedir(entries);
}

/* The output is written again. */
static void compact_to_output(const struct crash *c, const struct image *image,
                              const struct run *run)
{
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    char path[300];
    struct vdb *db;
    struct vdb_error err;
    snprintf(path, sizeof path, "%s/out.vdb", run->directory);
    options.output = path;
    options.threads = 1;
    enum vdb_status status = vdb_open(run->index.path, NULL, &db, &err);
    if (!status) status = vdb_compact(db, &options, &err);
    if (status) fail_image(c, image, "recovery: compacting to the output: %s", err.message);
    vdb_close(db);
}

/* A writer commits, and the index is maintained and compacted, from whatever the crash left. */
static void recover(struct crash *c, const struct image *image, int state)
{
    struct crash r;
    char why[700];
    uint64_t number = c->counts->recoveries++;
    bool record = c->depth == 0 && c->scale->second && number % c->scale->second == 0;
    crash_init(&r, c->name, c->depth + 1, c->scale, c->counts);
    image_put_all(image, r.run.directory);
    r.tracked = 1;
    r.has_output = c->has_output;
    r.run.current = c->states[state];
    r.run.index.allowed[0] = c->states[state];
    r.run.index.allowed_count = 1;
    if (record) {
        seam_record_begin(r.run.directory);
        r.run.changed = changed;
        r.run.context = &r;
        changed(&r, &r.run);
        const struct allowed *now = &c->marks[image->mark - 1];
        for (unsigned i = 0; i < now->count[0]; i++)
            r.earlier[r.earlier_count++] = state_number(&r, c->states[now->states[0][i]]);
    }
    if (r.run.current->absent) must_run(c, image, &r.run, "create");
    must_run(c, image, &r.run, "upsert one id often");
    maintain(c, image, &r.run);
    must_run(c, image, &r.run, "compact");
    run_close(&r.run);
    if (record) seam_record_end(&r.trace);
    if (c->has_output) compact_to_output(c, image, &r.run);
    if (!is_sound(&r, r.run.index.path, 0, why, sizeof why) ||
        !workload_matches(r.run.index.path, r.run.current, why, sizeof why))
        fail_image(c, image, "after recovery the index %s", why);
    look_for_leftovers(c, image, r.run.directory);
    if (record) try_images(&r);
    crash_release(&r);
}

/* ---- all images of a run ------------------------------------------------------------------- */

static uint64_t key_of(const struct image *image)
{
    uint64_t key = 1;
    for (unsigned t = 0; t < IMAGE_TRACKED; t++)
        key = (key ^ image->tracked[t].hash) * 0xff51afd7ed558ccdu + image->tracked[t].there;
    return key ? key : 1;
}

static bool each_image(void *context, const struct image *image)
{
    struct crash *c = context;
    const struct allowed *now = &c->marks[image->mark - 1];
    bool added = false, open = true, recovers = false;
    unsigned rate = c->scale->recovery * (c->depth ? 10 : 1);
    if (image->kind == IMAGE_STRAY) {
        recovers = c->stray_turn++ % rate == 0;
    } else {
        int *opened = map_at(&c->seen, key_of(image), &added);
        if (added) *opened = c->turn++ % c->scale->every == 0;
        open = *opened;
        recovers = added && open && ++c->recovery_turn % rate == 0;
    }
    /* Where the workload puts a mark, none of its calls is in the midst of a publication. */
    if (image->slot_waits && c->trace.ops[image->moment].kind == SEAM_OP_MARK && !c->after_failure)
        fail_image(c, image, "the superblock of a publication that has ended was not synced");
    uint64_t explained = c->counts->explained;
    int states[IMAGE_TRACKED] = {0};
    for (unsigned t = 0; t < c->tracked; t++) {
        states[t] = state_of(c, image, t, open);
        if (states[t] == NOT_OPENED) return true;
        if (!is_allowed(now, t, states[t]) && !is_revived(c, image, states[t])) {
            if (!image->tracked[t].there) fail_image(c, image, "the index is not there");
            const struct model_state *is = c->states[states[t]],
                                     *last = c->states[now->states[t][0]];
            fail_image(c, image,
                       "the index holds commit %llu with %u rows; last acknowledged is %llu%s with "
                       "%u rows",
                       (unsigned long long)is->commit, is->row_count,
                       (unsigned long long)last->commit, last->absent ? " (no file)" : "",
                       last->row_count);
        }
    }
    /* A whole record behind a torn one must not be taken for the next of what is written now. */
    recovers |= c->after_failure && c->counts->explained > explained;
    if (image->kind == IMAGE_SLOT) c->counts->slots[image->slot]++;
    if (added && open) {
        uint64_t *total = c->depth ? &c->counts->second : &c->counts->images;
        ++*total;
        if (c->depth == 0) c->counts->kinds[image->kind]++;
    } else if (!added) {
        c->counts->repeated++;
    }
    if (recovers && c->depth < DEPTH) recover(c, image, states[0]);
    return true;
}

static void try_images(struct crash *c)
{
    static const char *const names[IMAGE_TRACKED] = {"x.vdb", "out.vdb"};
    for (unsigned t = 0; t < c->tracked; t++)
        snprintf(c->disks[t].path, sizeof c->disks[t].path, "%s/%s", c->directory, names[t]);
    images_make(&c->trace, names, c->tracked, &c->scale->images, each_image, c);
}

/* ---- directories --------------------------------------------------------------------------- */

static const char *base_directory(void)
{
    const char *chosen = getenv("TMPDIR");
    if (chosen && *chosen) return chosen;
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static void remove_directory(const char *path)
{
    DIR *entries = opendir(path);
    const struct dirent *entry;
    if (!entries) return;
    while ((entry = readdir(entries)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(entries), entry->d_name, 0);
    closedir(entries);
    rmdir(path);
}

/* Those that a failed test did not come to remove. */
static char directories[2 * (DEPTH + 1)][200];

static void remove_directories(void)
{
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
        if (*directories[i]) remove_directory(directories[i]);
}

static void make_directory(char *path, size_t len, unsigned number)
{
    static bool registered;
    if (!registered) atexit(remove_directories);
    registered = true;
    if (*directories[number]) remove_directory(directories[number]);
    snprintf(path, len, "%s/vdb-crash-XXXXXX", base_directory());
    assert_non_null(mkdtemp(path));
    memcpy(directories[number], path, sizeof directories[number]);
}

static void crash_init(struct crash *c, const char *name, unsigned depth,
                       const struct crash_scale *scale, struct crash_counts *counts)
{
    memset(c, 0, sizeof *c);
    c->name = name;
    c->depth = depth;
    c->scale = scale;
    c->counts = counts;
    make_directory(c->directory, sizeof c->directory, 2 * depth);
    make_directory(c->run.directory, sizeof c->run.directory, 2 * depth + 1);
    snprintf(c->run.index.path, sizeof c->run.index.path, "%.190s/x.vdb", c->run.directory);
}

static void crash_release(struct crash *c)
{
    run_release(&c->run);
    seam_trace_release(&c->trace);
    for (unsigned t = 0; t < IMAGE_TRACKED; t++) {
        image_disk_release(&c->disks[t]);
        map_release(&c->known[t]);
    }
    map_release(&c->seen);
    map_release(&c->contents);
    free(c->marks);
    free(c->states);
    remove_directory(c->directory);
    remove_directory(c->run.directory);
}

/* ---- workloads ----------------------------------------------------------------------------- */

const struct workload *crash_find(const char *name)
{
    const struct workload *w = workloads;
    while (w->name && strcmp(w->name, name) != 0) w++;
    assert_non_null(w->name);
    return w;
}

/* Prepares, and begins to record. */
static void begin(struct crash *c, const struct workload *workload, struct run *prepared)
{
    char directory[200];
    memcpy(directory, c->run.directory, sizeof directory);
    enum vdb_status status = run_prepare(prepared, workload, directory);
    if (status) fail_msg("%s: cannot be set up: %s", workload->name, prepared->err.message);
    run_begin(&c->run, prepared);
    c->run.changed = changed;
    c->run.context = c;
    c->has_output = c->run.output.path[0];
    c->tracked = c->has_output ? 2 : 1;
    seam_record_begin(directory);
    changed(c, &c->run);
}

void crash_workload(const struct workload *workload, const struct crash_scale *scale,
                    struct crash_counts *counts)
{
    struct crash c;
    struct run prepared;
    crash_init(&c, workload->name, 0, scale, counts);
    begin(&c, workload, &prepared);
    enum vdb_status status = workload->run(&c.run);
    run_close(&c.run);
    seam_record_end(&c.trace);
    if (status) fail_msg("%s: %s", workload->name, c.run.err.message);
    try_images(&c);
    crash_release(&c);
    run_release(&prepared);
}

/* Which of the allowed states the files are found in by who goes on. */
static const struct model_state *found_state(struct crash *c)
{
    char why[700] = "";
    for (unsigned i = 0; i < c->run.index.allowed_count; i++)
        if (workload_matches(c->run.index.path, c->run.index.allowed[i], why, sizeof why))
            return c->run.index.allowed[i];
    fail_msg("%s: after a failed sync the index %s", c->name, why);
    return NULL;
}

bool crash_after_failed_sync(const struct workload *workload, unsigned nth, bool drop,
                             const struct crash_scale *scale, struct crash_counts *counts)
{
    struct crash c;
    struct run prepared, next;
    crash_init(&c, workload->name, 0, scale, counts);
    begin(&c, workload, &prepared);
    seam_fail(&(struct seam_fault){
        .kinds = SEAM_SYNC, .nth = nth, .error = EIO, .effect = drop ? SEAM_DROP : SEAM_NOTHING});
    enum vdb_status status = workload->run(&c.run);
    bool struck = seam_failures() > 0;
    seam_pass();
    run_close(&c.run);
    if (struck && !status) fail_msg("%s: a failed sync was not noticed", workload->name);
    if (!struck && status) fail_msg("%s: %s", workload->name, c.run.err.message);
    c.after_failure = struck;
    if (struck) {
        for (unsigned i = 0; i < c.run.index.allowed_count; i++)
            c.unsure[c.unsure_count++] = state_number(&c, c.run.index.allowed[i]);
        run_begin(&next, &c.run);
        next.current = found_state(&c);
        next.changed = changed;
        next.context = &c;
        status = crash_find(next.current->absent ? "create" : "upsert one id often")->run(&next);
        run_close(&next);
        if (status) fail_msg("%s: after a failed sync: %s", workload->name, next.err.message);
    }
    seam_record_end(&c.trace);
    if (struck) {
        try_images(&c);
        run_release(&next);
    }
    crash_release(&c);
    run_release(&prepared);
    return struck;
}

/* ---- how much, and how much it was --------------------------------------------------------- */

struct crash_scale crash_scale(bool heavy)
{
    const char *text = getenv("VDB_CRASH_SCALE"), *mode = getenv("VDB_MODE");
    unsigned times = text && atoi(text) > 0 ? (unsigned)atoi(text) : 1;
    bool slow = mode && strcmp(mode, "release") != 0 && strcmp(mode, "clang") != 0;
    struct crash_scale scale = {
        .images = {.random = 64 * times, .cuts = 256, .bytes = true, .seed = times},
        .every = 1,
        .recovery = times > 1 ? 25 : 50,
        .second = times > 1 ? 1 : 15,
    };
    if (heavy) {
        scale.images.cuts = 32;
        scale.every = times > 1 ? 1 : 5;
        scale.recovery = 400;
        scale.second = 0;
    }
    if (slow) {
        scale.reduced = true;
        scale.images.random = 8 * times;
        scale.images.cuts = 16;
        scale.every *= 16;
        scale.recovery = 100;
        scale.second = 0;
    }
    return scale;
}

void crash_add(struct crash_counts *to, const struct crash_counts *from)
{
    to->images += from->images;
    for (int k = 0; k < IMAGE_KINDS; k++) to->kinds[k] += from->kinds[k];
    for (int s = 0; s < 2; s++) to->slots[s] += from->slots[s];
    to->recoveries += from->recoveries;
    to->second += from->second;
    to->repeated += from->repeated;
    to->explained += from->explained;
}

void crash_print(const char *name, const struct crash_counts *counts)
{
    char kinds[512] = "";
    size_t len = 0;
    for (int k = 0; k < IMAGE_KINDS; k++)
        if (counts->kinds[k] && len < sizeof kinds)
            len += (size_t)snprintf(kinds + len, sizeof kinds - len, "%s%s %llu", len ? ", " : "",
                                    image_kind_name((enum image_kind)k),
                                    (unsigned long long)counts->kinds[k]);
    print_message("# %s: %llu images (%s); %llu recovered, %llu images of crashes in that; "
                  "%llu torn structures were found by the check\n",
                  name, (unsigned long long)counts->images, kinds,
                  (unsigned long long)counts->recoveries, (unsigned long long)counts->second,
                  (unsigned long long)counts->explained);
}
