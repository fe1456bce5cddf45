/* stream_items.c: what the frames of a stream hold; implements format-spec/stream.md, "Rows",
 * "Deleted ids" and "Names".
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/stream_items.h"

#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "format/disk.h"

/* ---- rows and deleted ids ------------------------------------------------------------------ */

enum vdb_status stream_items_add(struct stream_items_builder *b, const char *id, size_t id_len,
                                 const char *text, size_t text_len, struct vdb_error *err)
{
    le16 id_put = le16_put((uint16_t)id_len);
    le32 text_put = le32_put(text ? (uint32_t)text_len : 0);
    if (buf_reserve(&b->id_lens, sizeof id_put) || buf_reserve(&b->text_lens, sizeof text_put) ||
        buf_reserve(&b->ids, id_len) || buf_append(&b->texts, text, text ? text_len : 0))
        return error_no_memory(err);
    buf_append(&b->id_lens, &id_put, sizeof id_put);
    buf_append(&b->text_lens, &text_put, sizeof text_put);
    buf_append(&b->ids, id, id_len);
    b->count++;
    return VDB_OK;
}

size_t stream_items_len(const struct stream_items_builder *b, bool texts)
{
    return b->id_lens.len + b->ids.len + (texts ? b->text_lens.len + b->texts.len : 0);
}

enum vdb_status stream_items_finish(struct stream_items_builder *b, bool texts, struct buf *to,
                                    struct vdb_error *err)
{
    if (buf_reserve(to, stream_items_len(b, texts))) return error_no_memory(err);
    buf_append(to, b->id_lens.data, b->id_lens.len);
    if (texts) buf_append(to, b->text_lens.data, b->text_lens.len);
    buf_append(to, b->ids.data, b->ids.len);
    if (texts) buf_append(to, b->texts.data, b->texts.len);
    buf_clear(&b->id_lens);
    buf_clear(&b->text_lens);
    buf_clear(&b->ids);
    buf_clear(&b->texts);
    b->count = 0;
    return VDB_OK;
}

void stream_items_release(struct stream_items_builder *b)
{
    buf_release(&b->id_lens);
    buf_release(&b->text_lens);
    buf_release(&b->ids);
    buf_release(&b->texts);
    *b = (struct stream_items_builder){0};
}

static bool is_text(const char *p, size_t len)
{
    return len <= VDB_METADATA_MAX && !(len && memchr(p, 0, len)) && utf8_valid(p, len);
}

bool stream_items_init(struct stream_items *items, const void *p, size_t len, uint32_t count,
                       bool texts)
{
    size_t lens = texts ? sizeof(le16) + sizeof(le32) : sizeof(le16);
    if (count > len / lens) return false;
    const uint8_t *text_lens = (const uint8_t *)p + (size_t)count * sizeof(le16);
    const char *bytes = (const char *)p + count * lens;
    uint64_t ids_len = 0, texts_len = 0;
    *items = (struct stream_items){.id_lens = p, .ids = bytes, .left = count};
    for (uint32_t i = 0; i < count; i++) {
        ids_len += le16_at(items->id_lens + i * sizeof(le16));
        if (texts) texts_len += le32_at(text_lens + i * sizeof(le32));
    }
    if (count * lens + ids_len + texts_len != len) return false;
    if (texts) {
        items->text_lens = text_lens;
        items->texts = bytes + ids_len;
    }
    struct stream_items each = *items;
    struct stream_item item;
    while (stream_items_next(&each, &item))
        if (!utf8_id_valid(item.id, item.id_len) ||
            (item.text && !is_text(item.text, item.text_len)))
            return false;
    return true;
}

bool stream_items_next(struct stream_items *items, struct stream_item *item)
{
    if (items->left == 0) return false;
    *item = (struct stream_item){.id = items->ids, .id_len = le16_at(items->id_lens)};
    items->id_lens += sizeof(le16);
    items->ids += item->id_len;
    if (items->text_lens) {
        item->text_len = le32_at(items->text_lens);
        item->text = item->text_len ? items->texts : NULL;
        items->text_lens += sizeof(le32);
        items->texts += item->text_len;
    }
    items->left--;
    return true;
}

/* ---- names --------------------------------------------------------------------------------- */

enum vdb_status stream_name_append(const struct snapshot_entry *entry, struct buf *to,
                                   struct vdb_error *err)
{
    struct disk_stream_name name = {
        .created_us = le64_put((uint64_t)entry->created_us),
        .origin_commit = le64_put(entry->origin.commit),
        .name_len = le16_put(entry->name_len),
    };
    memcpy(name.origin_id, entry->origin.id, sizeof name.origin_id);
    if (buf_reserve(to, sizeof name + entry->name_len)) return error_no_memory(err);
    buf_append(to, &name, sizeof name);
    buf_append(to, entry->name, entry->name_len);
    return VDB_OK;
}

bool stream_name_next(const void *p, size_t len, size_t *at, struct snapshot_entry *entry)
{
    const uint8_t *bytes = p;
    struct disk_stream_name name;
    if (len - *at < sizeof name) return false;
    memcpy(&name, bytes + *at, sizeof name);
    size_t name_len = le16_get(name.name_len), begin = *at + sizeof name;
    if (name_len > VDB_NAME_MAX || name_len > len - begin ||
        !utf8_id_valid(bytes + begin, name_len))
        return false;
    *entry = (struct snapshot_entry){
        .created_us = (int64_t)le64_get(name.created_us),
        .origin.commit = le64_get(name.origin_commit),
        .name_len = (uint16_t)name_len,
    };
    memcpy(entry->origin.id, name.origin_id, sizeof entry->origin.id);
    memcpy(entry->name, bytes + begin, name_len);
    *at = begin + name_len;
    return true;
}
