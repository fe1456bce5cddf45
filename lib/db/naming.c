/* naming.c: changes of the names of commits.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/naming.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "db/append.h"
#include "db/policy.h"

void naming_release(struct naming *naming)
{
    free(naming->changes);
    *naming = (struct naming){0};
}

uint64_t naming_len(const struct naming *naming)
{
    return (uint64_t)naming->count * sizeof(struct disk_name_change);
}

enum vdb_status naming_append(const struct naming *naming, struct buf *record,
                              struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < naming->count && !status; i++)
        status = log_encode_name(&naming->changes[i], record, err);
    return status;
}

/* ---- resolving ----------------------------------------------------------------------------- */

static void fill_in(struct log_name_change *change, const struct vdb_snapshot *base,
                    const struct naming_state *state)
{
    struct snapshot_entry *entry = &change->snapshot;
    entry->commit = state->commit;
    entry->commit_time_us = state->time_us;
    entry->row_count = state->row_count;
    entry->live_count = state->live_count;
    if (!entry->created_us) entry->created_us = policy_now(0);
    if (entry->origin.commit) return;
    entry->origin = names_origin(base->names, base->generation->superblock.file_id, state->commit);
}

/* A state that is received once more may have its name already. */
static bool is_there(const struct names *names, const struct log_name_change *change)
{
    const struct snapshot_entry *entry = &change->snapshot;
    bool there;
    uint32_t place = names_place(names, entry->name, entry->name_len, &there);
    return there && change->operation == DISK_NAME_CREATE &&
           names->entries[place]->commit == entry->commit &&
           same_origin(&names->entries[place]->origin, &entry->origin);
}

enum vdb_status naming_resolve(const struct buf *asked, const struct vdb_snapshot *base,
                               const struct naming_state *state, struct naming *naming,
                               struct vdb_error *err)
{
    size_t count = asked->len / sizeof(struct log_name_change);
    *naming = (struct naming){0};
    if (!count) return VDB_OK;
    naming->changes = malloc(asked->len);
    if (!naming->changes) return error_no_memory(err);
    struct names *names = names_ref(base->names);
    enum vdb_status status = VDB_OK;
    for (size_t i = 0; i < count && !status; i++) {
        struct log_name_change *change = &naming->changes[naming->count];
        memcpy(change, asked->data + i * sizeof *change, sizeof *change);
        bool received = change->snapshot.origin.commit != 0;
        fill_in(change, base, state);
        if (received && is_there(names, change)) continue;
        status = names_change(&names, change, err);
        if (!status) naming->count++;
    }
    names_unref(names);
    return status;
}

/* ---- records of their own ------------------------------------------------------------------ */

static enum vdb_status write_record(struct vdb *db, const struct vdb_snapshot *newest,
                                    const struct naming *naming, struct vdb_error *err)
{
    struct log_cursor cursor = newest->cursor;
    struct buf link = {0}, record = {0};
    uint64_t link_off = 0;
    uint64_t len = sizeof(struct disk_record) + sizeof(struct disk_names) + naming_len(naming);
    int64_t now_us = policy_now(0);
    if (now_us < newest->commit_time_us) now_us = newest->commit_time_us;
    enum vdb_status status =
        append_make_room(db, newest, &cursor, len, now_us, &link, &link_off, err);
    if (!status) status = log_encode_names(&cursor, now_us, naming->count, &record, err);
    if (!status) status = naming_append(naming, &record, err);
    if (!status) {
        log_seal(&record, 0);
        status = append_write(db, &link, link_off, &record, cursor.off, err);
    }
    buf_release(&link);
    buf_release(&record);
    return status;
}

enum vdb_status naming_write(struct vdb *db, const struct vdb_snapshot *newest,
                             const struct buf *asked, struct vdb_error *err)
{
    struct naming naming;
    struct naming_state state = {newest->commit, newest->commit_time_us, newest->row_count,
                                 newest->live_count};
    enum vdb_status status = naming_resolve(asked, newest, &state, &naming, err);
    if (!status && naming.count) status = write_record(db, newest, &naming, err);
    naming_release(&naming);
    return status;
}

/* Under the lock, so that the name is of the newest commit at that moment. */
static enum vdb_status change_name(struct vdb *db, struct log_name_change *change, const char *name,
                                   size_t name_len, uint64_t *commit, struct vdb_error *err)
{
    if (name_len > VDB_NAME_MAX || !utf8_id_valid(name, name_len))
        return error_set(err, VDB_INVALID,
                         "a snapshot's name is 1 to %d bytes of UTF-8 without control characters",
                         VDB_NAME_MAX);
    change->snapshot.name_len = (uint16_t)name_len;
    memcpy(change->snapshot.name, name, name_len);
    struct buf asked = {0};
    if (buf_append(&asked, change, sizeof *change)) return error_no_memory(err);
    struct vdb_snapshot *newest = NULL;
    enum vdb_status status = db_takes_writes(db, err);
    if (!status) status = db_lock_write(db, err);
    bool locked = !status;
    if (!status) status = db_refresh_to_write(db, &newest, err);
    if (!status) status = naming_write(db, newest, &asked, err);
    if (locked) db_unlock_write(db);
    if (!status && commit) *commit = newest->commit;
    if (newest) snapshot_unref(newest);
    buf_release(&asked);
    return status;
}

enum vdb_status vdb_name_create(struct vdb *db, const char *name, size_t name_len, uint64_t *commit,
                                struct vdb_error *err)
{
    struct log_name_change change = {.operation = DISK_NAME_CREATE};
    return change_name(db, &change, name, name_len, commit, err);
}

enum vdb_status vdb_name_remove(struct vdb *db, const char *name, size_t name_len,
                                struct vdb_error *err)
{
    struct log_name_change change = {.operation = DISK_NAME_REMOVE};
    return change_name(db, &change, name, name_len, NULL, err);
}
