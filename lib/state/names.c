/* names.c: the names that commits have at one state.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "state/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static struct names *names_alloc(uint32_t count)
{
    struct names *names = malloc(sizeof *names + (size_t)count * sizeof names->entries[0]);
    if (names) *names = (struct names){.refs = 1, .count = count};
    return names;
}

enum vdb_status names_create(const struct manifest *manifest, struct names **names,
                             struct vdb_error *err)
{
    struct names *made = names_alloc(manifest->snapshot_count);
    if (!made) return error_no_memory(err);
    made->origin = manifest->origin;
    made->received_commit = manifest->received_commit;
    for (uint32_t i = 0; i < made->count; i++) made->entries[i] = manifest->snapshots[i];
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
    if (names && __atomic_sub_fetch(&names->refs, 1, __ATOMIC_ACQ_REL) == 0) free(names);
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
        if (name_order(&names->entries[mid], name, len) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *there = low < names->count && name_order(&names->entries[low], name, len) == 0;
    return low;
}

struct origin names_origin(const struct names *names, const uint8_t file_id[16], uint64_t commit)
{
    struct origin origin = {.commit = commit};
    memcpy(origin.id, file_id, sizeof origin.id);
    for (uint32_t i = 0; i < names->count; i++)
        if (names->entries[i].commit == commit &&
            memcmp(names->entries[i].origin.id, file_id, sizeof origin.id) != 0)
            origin = names->entries[i].origin;
    return names->received_commit == commit ? names->origin : origin;
}

static void copy(const struct names *from, uint32_t begin, uint32_t end, struct names *to,
                 uint32_t at)
{
    if (begin < end)
        memcpy(&to->entries[at], &from->entries[begin], (end - begin) * sizeof to->entries[0]);
}

enum vdb_status names_change(const struct names *from, const struct log_name_change *change,
                             struct names **to, struct vdb_error *err)
{
    const struct snapshot_entry *entry = &change->snapshot;
    bool there, create = change->operation == DISK_NAME_CREATE,
                remove = change->operation == DISK_NAME_REMOVE;
    uint32_t place = names_place(from, entry->name, entry->name_len, &there);
    if (create && there)
        return error_set(err, VDB_EXISTS, "there is a snapshot %.*s already", entry->name_len,
                         entry->name);
    if (remove && !there)
        return error_set(err, VDB_NOT_FOUND, "no such snapshot: %.*s", entry->name_len,
                         entry->name);
    struct names *made = names_alloc(from->count + create - remove);
    if (!made) return error_no_memory(err);
    made->origin = create || remove ? from->origin : entry->origin;
    made->received_commit = create || remove ? from->received_commit : entry->commit;
    uint32_t kept = create || remove ? place : from->count;
    copy(from, 0, kept, made, 0);
    if (create) made->entries[place] = *entry;
    copy(from, kept + remove, from->count, made, kept + create);
    *to = made;
    return VDB_OK;
}

enum vdb_status names_store(const struct names *names, struct manifest *manifest,
                            struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < names->count && !status; i++)
        status = manifest_add_snapshot(manifest, &names->entries[i], err);
    manifest->origin = names->origin;
    manifest->received_commit = names->received_commit;
    return status;
}
