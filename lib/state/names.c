/* names.c: the names that commits have at one state.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "state/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct counted { /* an entry, which tables share */
    struct snapshot_entry entry;
    int refs;
};

static struct counted *counted_of(const struct snapshot_entry *entry)
{
    return (struct counted *)(uintptr_t)entry;
}

static const struct snapshot_entry *entry_create(const struct snapshot_entry *from)
{
    struct counted *made = malloc(sizeof *made);
    if (!made) return NULL;
    *made = (struct counted){*from, 1};
    return &made->entry;
}

static const struct snapshot_entry *entry_ref(const struct snapshot_entry *entry)
{
    __atomic_add_fetch(&counted_of(entry)->refs, 1, __ATOMIC_RELAXED);
    return entry;
}

static void entry_unref(const struct snapshot_entry *entry)
{
    struct counted *counted = counted_of(entry);
    if (__atomic_sub_fetch(&counted->refs, 1, __ATOMIC_ACQ_REL) == 0) free(counted);
}

static struct names *names_alloc(uint32_t room)
{
    struct names *names = malloc(sizeof *names);
    const struct snapshot_entry **entries = malloc((room + (size_t)1) * sizeof *entries);
    if (!names || !entries) {
        free(names);
        free(entries);
        return NULL;
    }
    *names = (struct names){.refs = 1, .room = room + 1, .entries = entries};
    return names;
}

enum vdb_status names_create(const struct manifest *manifest, struct names **names,
                             struct vdb_error *err)
{
    struct names *made = names_alloc(manifest->snapshot_count);
    if (!made) return error_no_memory(err);
    made->origin = manifest->origin;
    made->received_commit = manifest->received_commit;
    while (made->count < manifest->snapshot_count) {
        const struct snapshot_entry *entry = entry_create(&manifest->snapshots[made->count]);
        if (!entry) {
            names_unref(made);
            return error_no_memory(err);
        }
        made->entries[made->count++] = entry;
    }
    *names = made;
    return VDB_OK;
}

struct names *names_ref(struct names *names)
{
    __atomic_add_fetch(&names->refs, 1, __ATOMIC_RELAXED);
    return names;
}

void names_unref(struct names *names)
{
    if (!names || __atomic_sub_fetch(&names->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    for (uint32_t i = 0; i < names->count; i++) entry_unref(names->entries[i]);
    free(names->entries);
    free(names);
}

static int name_order(const struct snapshot_entry *entry, const char *name, size_t len)
{
    size_t both = entry->name_len < len ? entry->name_len : len;
    int order = memcmp(entry->name, name, both);
    return order ? order : (entry->name_len > len) - (entry->name_len < len);
}

uint32_t names_place(const struct names *names, const char *name, size_t len, bool *there)
{
    uint32_t low = 0, high = names->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (name_order(names->entries[mid], name, len) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *there = low < names->count && name_order(names->entries[low], name, len) == 0;
    return low;
}

struct origin names_origin(const struct names *names, const uint8_t file_id[16], uint64_t commit)
{
    struct origin origin = {.commit = commit};
    memcpy(origin.id, file_id, sizeof origin.id);
    for (uint32_t i = 0; i < names->count; i++)
        if (names->entries[i]->commit == commit &&
            memcmp(names->entries[i]->origin.id, file_id, sizeof origin.id) != 0)
            origin = names->entries[i]->origin;
    return names->received_commit == commit ? names->origin : origin;
}

/* Names of the caller's own, with room for one more. */
static enum vdb_status make_own(struct names **names, struct vdb_error *err)
{
    struct names *from = *names;
    if (__atomic_load_n(&from->refs, __ATOMIC_ACQUIRE) > 1) {
        struct names *made = names_alloc(from->count + 1);
        if (!made) return error_no_memory(err);
        made->origin = from->origin;
        made->received_commit = from->received_commit;
        for (; made->count < from->count; made->count++)
            made->entries[made->count] = entry_ref(from->entries[made->count]);
        names_unref(from);
        *names = made;
    } else if (from->count == from->room) {
        size_t room = 2 * (size_t)from->room;
        const struct snapshot_entry **grown = realloc(from->entries, room * sizeof *grown);
        if (!grown) return error_no_memory(err);
        from->entries = grown;
        from->room = (uint32_t)room;
    }
    return VDB_OK;
}

static enum vdb_status insert(struct names *names, uint32_t place,
                              const struct snapshot_entry *entry, struct vdb_error *err)
{
    const struct snapshot_entry *made = entry_create(entry), **at = names->entries + place;
    if (!made) return error_no_memory(err);
    memmove(at + 1, at, (names->count++ - place) * sizeof *at);
    *at = made;
    return VDB_OK;
}

static void take_out(struct names *names, uint32_t place)
{
    const struct snapshot_entry **at = names->entries + place;
    entry_unref(*at);
    memmove(at, at + 1, (--names->count - place) * sizeof *at);
}

enum vdb_status names_change(struct names **names, const struct log_name_change *change,
                             struct vdb_error *err)
{
    const struct snapshot_entry *entry = &change->snapshot;
    bool there, create = change->operation == DISK_NAME_CREATE,
                remove = change->operation == DISK_NAME_REMOVE;
    uint32_t place = names_place(*names, entry->name, entry->name_len, &there);
    if (create && there)
        return error_set(err, VDB_EXISTS, "there is a snapshot %.*s already", entry->name_len,
                         entry->name);
    if (remove && !there)
        return error_set(err, VDB_NOT_FOUND, "no such snapshot: %.*s", entry->name_len,
                         entry->name);
    if (create && (*names)->count >= VDB_NAMES_MAX)
        return error_set(err, VDB_LIMIT, "there are %d snapshots, which is as many as can be",
                         VDB_NAMES_MAX);
    enum vdb_status status = make_own(names, err);
    if (status) return status;
    if (create) return insert(*names, place, entry, err);
    if (remove) {
        take_out(*names, place);
    } else {
        (*names)->origin = entry->origin;
        (*names)->received_commit = entry->commit;
    }
    return VDB_OK;
}

enum vdb_status names_store(const struct names *names, struct manifest *manifest,
                            struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < names->count && !status; i++)
        status = manifest_add_snapshot(manifest, names->entries[i], err);
    manifest->origin = names->origin;
    manifest->received_commit = names->received_commit;
    return status;
}
