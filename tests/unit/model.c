/* model.c: an index as plain arrays, with all of its past.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store_fixture.h"

/* ---- arrays -------------------------------------------------------------------------------- */

static void *grown(void *array, uint32_t *room, uint32_t count, size_t size)
{
    if (count <= *room) return array;
    *room = 2 * count + 64;
    array = realloc(array, *room * size);
    assert_non_null(array);
    return array;
}

static void *copied(const void *from, size_t bytes)
{
    void *to = malloc(bytes ? bytes : 1);
    assert_non_null(to);
    if (bytes) memcpy(to, from, bytes);
    return to;
}

static bool bit(const uint64_t *bits, uint32_t at)
{
    return bits[at / 64] >> (at % 64) & 1;
}

static void set(uint64_t *bits, uint32_t at, bool to)
{
    uint64_t mask = (uint64_t)1 << (at % 64);
    bits[at / 64] = to ? bits[at / 64] | mask : bits[at / 64] & ~mask;
}

static uint32_t words_for(uint32_t bits)
{
    return bits / 64 + 1;
}

void model_init(struct model *m, int64_t time_us)
{
    *m = (struct model){0};
    model_begin(m);
    model_end(m, time_us);
}

void model_release(struct model *m)
{
    for (uint32_t i = 0; i < m->state_count; i++) free(m->states[i].live);
    free(m->versions);
    free(m->rows);
    free(m->states);
    free(m->entries);
    free(m->live);
    free(m->marks);
    *m = (struct model){0};
}

/* Between transactions. */
void model_copy(const struct model *from, struct model *to)
{
    *to = *from;
    to->versions = copied(from->versions, from->version_room * sizeof *to->versions);
    to->rows = copied(from->rows, from->row_room * sizeof *to->rows);
    to->states = copied(from->states, from->state_room * sizeof *to->states);
    to->entries = copied(from->entries, from->entry_room * sizeof *to->entries);
    for (uint32_t i = 0; i < to->state_count; i++)
        if (to->states[i].live)
            to->states[i].live =
                copied(from->states[i].live, from->states[i].words * sizeof(uint64_t));
    to->live = NULL;
    to->marks = NULL;
    to->live_room = to->mark_room = 0;
}

/* ---- asking -------------------------------------------------------------------------------- */

uint64_t model_commit(const struct model *m)
{
    return m->state_count;
}

const struct state *model_state(const struct model *m, uint64_t commit)
{
    return &m->states[commit - 1];
}

bool model_keeps(const struct model *m, uint64_t commit)
{
    return commit >= 1 && commit <= m->state_count && m->states[commit - 1].kept;
}

uint64_t model_oldest(const struct model *m)
{
    uint64_t commit = 1;
    while (!model_keeps(m, commit)) commit++;
    return commit;
}

bool model_live(const struct state *s, uint32_t version)
{
    return version / 64 < s->words && bit(s->live, version);
}

uint32_t model_find(const struct model *m, const uint64_t *live, uint32_t rows, uint32_t id)
{
    for (uint32_t row = rows; row-- > 0;) {
        uint32_t version = m->rows[row];
        if (m->versions[version].id == id && bit(live, version)) return version;
    }
    return MODEL_NONE;
}

/* The commit that ended a row which later ones up to `commit` have not: the one after the last
 * state that has it live or, where it was replaced by the commit that added it, that. */
static uint64_t ended_by(const struct model *m, uint32_t row, uint64_t commit)
{
    for (uint64_t c = commit; c > 0; c--) {
        if (!model_keeps(m, c)) continue;
        if (model_live(model_state(m, c), m->rows[row])) return c + 1;
        if (model_state(m, c)->row_count <= row) return c + 1;
    }
    return 1;
}

uint32_t model_last(const struct model *m, const uint64_t *live, uint32_t rows, uint32_t id,
                    uint64_t commit)
{
    uint32_t last = MODEL_NONE;
    uint64_t last_ended = 0;
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t version = m->rows[row];
        if (m->versions[version].id != id || bit(live, version)) continue;
        uint64_t ended = ended_by(m, row, commit);
        if (ended < last_ended) continue;
        last = version;
        last_ended = ended;
    }
    return last;
}

/* ---- what versions are made of ------------------------------------------------------------- */

static uint64_t mixed(uint64_t number)
{
    uint64_t seed = 0x9e3779b97f4a7c15u * (number + 1);
    for (int i = 0; i < 3; i++) store_random(&seed);
    return store_random(&seed);
}

/* From 1 byte to VDB_ID_MAX, some of them not ASCII. */
size_t model_id(uint32_t id, char *text)
{
    int len = snprintf(text, VDB_ID_MAX + 1, id % 5 ? "%u" : "\xc3\xa4/%u", id);
    size_t want = id == 7 ? VDB_ID_MAX : (size_t)len + id % 11;
    memset(text + len, 'x', want - (size_t)len);
    text[want] = 0;
    return want;
}

/* Small integers, so that squared distances are exact. The last two tell the tag. */
void model_vector(uint32_t tag, float *vector)
{
    uint64_t random = mixed(tag);
    for (uint32_t i = 0; i < 3; i++) vector[i] = (float)(random >> (16 * i) & 127);
    vector[3] = (float)(tag & 255);
    vector[4] = (float)(tag >> 8);
}

uint32_t model_tag(const float *vector)
{
    return (uint32_t)vector[3] + 256 * (uint32_t)vector[4];
}

char *model_metadata(uint32_t tag)
{
    uint64_t random = mixed((uint64_t)tag << 32);
    if (random % 2) return NULL;
    size_t len = 12 + random / 2 % (random % 64 ? 30 : 4000);
    char *text = malloc(len + 1);
    assert_non_null(text);
    memset(text, ' ', len);
    snprintf(text, len, "{\"%u\":", tag);
    text[strlen(text)] = ' ';
    memcpy(text + len - 2, "1}", 3);
    return text;
}

/* ---- transactions -------------------------------------------------------------------------- */

static void make_room(struct model *m)
{
    uint32_t room = m->live_room, need = words_for(m->version_count + 1);
    m->live = grown(m->live, &m->live_room, need, sizeof *m->live);
    if (m->live_room > room) memset(m->live + room, 0, (m->live_room - room) * sizeof *m->live);
}

void model_begin(struct model *m)
{
    make_room(m);
    memset(m->live, 0, m->live_room * sizeof *m->live);
    if (m->state_count) {
        const struct state *newest = &m->states[m->state_count - 1];
        memcpy(m->live, newest->live, newest->words * sizeof *m->live);
    }
    m->first_version = m->version_count;
    m->first_row = m->row_count;
    m->first_entry = m->entry_count;
    m->mark_count = 0;
    m->done = (struct vdb_commit_info){0};
}

static void add_entry(struct model *m, uint64_t commit, enum vdb_operation operation, uint32_t id,
                      uint32_t row)
{
    m->entries = grown(m->entries, &m->entry_room, m->entry_count + 1, sizeof *m->entries);
    m->entries[m->entry_count++] = (struct entry){commit, operation, id, row};
}

static void add_mark(struct model *m, enum vdb_operation operation, uint32_t version)
{
    m->marks = grown(m->marks, &m->mark_room, m->mark_count + 1, sizeof *m->marks);
    m->marks[m->mark_count++] = (struct entry){model_commit(m) + 1, operation,
                                               m->versions[version].id, m->versions[version].row};
}

void model_take_row(struct model *m, uint32_t tag, uint32_t id)
{
    m->versions = grown(m->versions, &m->version_room, m->version_count + 1, sizeof *m->versions);
    m->rows = grown(m->rows, &m->row_room, m->row_count + 1, sizeof *m->rows);
    m->rows[m->row_count] = m->version_count;
    m->versions[m->version_count++] = (struct version){tag, id, m->row_count++};
}

void model_put(struct model *m, uint32_t id, uint32_t tag)
{
    uint32_t old = model_find(m, m->live, m->row_count, id), version = m->version_count;
    make_room(m);
    model_take_row(m, tag, id);
    if (old != MODEL_NONE) set(m->live, old, false);
    set(m->live, version, true);
    add_entry(m, model_commit(m) + 1, old == MODEL_NONE ? VDB_OPERATION_ADD : VDB_OPERATION_UPDATE,
              id, m->row_count - 1);
    *(old == MODEL_NONE ? &m->done.added : &m->done.updated) += 1;
}

void model_delete(struct model *m, uint32_t version)
{
    set(m->live, version, false);
    add_mark(m, VDB_OPERATION_DELETE, version);
    m->done.deleted++;
}

void model_restore(struct model *m, uint32_t version)
{
    set(m->live, version, true);
    add_mark(m, VDB_OPERATION_RESTORE, version);
    m->done.restored++;
}

void model_roll_back(struct model *m, uint64_t commit)
{
    const struct state *then = model_state(m, commit);
    for (uint32_t row = 0; row < m->row_count; row++)
        if (bit(m->live, m->rows[row]) && !model_live(then, m->rows[row]))
            model_delete(m, m->rows[row]);
    for (uint32_t row = 0; row < m->row_count; row++)
        if (!bit(m->live, m->rows[row]) && model_live(then, m->rows[row]))
            model_restore(m, m->rows[row]);
}

bool model_changed(const struct model *m)
{
    return m->entry_count > m->first_entry || m->mark_count;
}

void model_end(struct model *m, int64_t time_us)
{
    for (uint32_t i = 0; i < m->mark_count; i++)
        add_entry(m, model_commit(m) + 1, m->marks[i].operation, m->marks[i].id, m->marks[i].row);
    struct state state = {
        .time_us = time_us,
        .kept = true,
        .row_count = m->row_count,
        .words = words_for(m->version_count),
    };
    state.live = copied(m->live, state.words * sizeof *state.live);
    for (uint32_t i = 0; i < state.words; i++)
        state.live_count += (uint32_t)__builtin_popcountll(state.live[i]);
    m->states = grown(m->states, &m->state_room, m->state_count + 1, sizeof *m->states);
    m->states[m->state_count++] = state;
}

void model_abort(struct model *m)
{
    m->version_count = m->first_version;
    m->row_count = m->first_row;
    m->entry_count = m->first_entry;
}

/* ---- names --------------------------------------------------------------------------------- */

uint32_t model_name_place(const struct model *m, const char *text, bool *there)
{
    uint32_t place = 0;
    while (place < m->name_count && strcmp(m->names[place].text, text) < 0) place++;
    *there = place < m->name_count && strcmp(m->names[place].text, text) == 0;
    return place;
}

void model_name(struct model *m, const char *text)
{
    bool there;
    uint32_t place = model_name_place(m, text, &there);
    assert_true(!there && m->name_count < MODEL_NAMES);
    memmove(&m->names[place + 1], &m->names[place], (m->name_count++ - place) * sizeof *m->names);
    snprintf(m->names[place].text, sizeof m->names[place].text, "%s", text);
    m->names[place].commit = model_commit(m);
}

void model_unname(struct model *m, uint32_t place)
{
    m->name_count--;
    memmove(&m->names[place], &m->names[place + 1], (m->name_count - place) * sizeof *m->names);
}

/* ---- compaction ---------------------------------------------------------------------------- */

static bool is_named(const struct model *m, uint64_t commit)
{
    for (uint32_t i = 0; i < m->name_count; i++)
        if (m->names[i].commit == commit) return true;
    return false;
}

/* Versions that a kept state sees, in a new row each; a kept state's row count is then how many of
 * these it had. */
static void number_rows(struct model *m, uint64_t s)
{
    uint32_t rows = model_state(m, s)->row_count, kept = 0;
    uint32_t *before = calloc(rows + 1, sizeof *before); /* kept rows before a row */
    assert_non_null(before);
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t version = m->rows[row];
        bool keep = false;
        for (uint64_t c = 1; c <= s && !keep; c++)
            keep = model_keeps(m, c) && model_live(model_state(m, c), version);
        before[row] = kept;
        m->versions[version].row = keep ? kept : MODEL_NONE;
        if (keep) m->rows[kept++] = version;
    }
    before[rows] = kept;
    for (uint64_t c = 1; c <= s; c++)
        if (m->states[c - 1].kept) m->states[c - 1].row_count = before[m->states[c - 1].row_count];
    m->row_count = kept;
    free(before);
}

void model_compact(struct model *m, uint64_t s, const struct model *named, int64_t since_us)
{
    for (uint64_t c = 1; c < s; c++) {
        struct state *state = &m->states[c - 1];
        if (is_named(named, c) || m->states[c].time_us > since_us) continue;
        state->kept = false;
        free(state->live);
        state->live = NULL;
        state->words = 0;
    }
    number_rows(m, s);
    for (uint32_t i = 0; i < m->entry_count; i++) m->entries[i].row = MODEL_NONE;
    while (m->entry_count && m->entries[m->entry_count - 1].commit > s) m->entry_count--;
}

void model_forget_history(struct model *m, uint64_t commit)
{
    uint32_t first = 0;
    while (first < m->entry_count && m->entries[first].commit <= commit) first++;
    if (first == 0) return; /* there may be no array */
    m->entry_count -= first;
    memmove(m->entries, m->entries + first, m->entry_count * sizeof *m->entries);
}

uint64_t *model_no_versions(const struct model *m)
{
    uint64_t *none = calloc(words_for(m->version_count), sizeof *none);
    assert_non_null(none);
    return none;
}

void model_take_state(struct model *m, uint64_t commit, uint64_t *live)
{
    struct state *state = &m->states[commit - 1];
    free(state->live);
    state->live = live;
    state->words = words_for(m->version_count);
    state->row_count = m->row_count;
}

void model_take_entry(struct model *m, uint64_t commit, enum vdb_operation operation, uint32_t row)
{
    add_entry(m, commit, operation, m->versions[m->rows[row]].id, row);
}
