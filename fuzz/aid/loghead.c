/* loghead.c: an index whose log is an input.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "aid/loghead.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "db/publish.h"
#include "format/manifest.h"
#include "format/superblock.h"

_Static_assert(LOG_FROM == NEWFILE_LOG_OFF && LOG_END == NEWFILE_HEAD_LEN, "a new index");

size_t loghead_end(const uint8_t *data)
{
    size_t units = data[LOG_HEAD - 1];
    return units ? LOG_FROM + 256 * units : LOG_END;
}

uint8_t *loghead_index(const uint8_t *data, size_t size, size_t *len)
{
    if (size < LOG_HEAD) return NULL;
    struct manifest manifest = {
        .generation = 1,
        .commit = 1,
        .commit_time_us = 1000000,
        .created_us = 1000000,
        .dim = data[LOG_FILE_ID] ? data[LOG_FILE_ID] : 1,
        .metric = (enum vdb_metric)(data[LOG_FILE_ID + 1] % 3 + 1),
        .type = (enum vdb_type)(data[LOG_FILE_ID + 2] % 4 + 1),
        .horizon_commit = 1,
    };
    const struct log_extent_entry extent = {LOG_FROM, loghead_end(data) - LOG_FROM, 2, 1000000};
    struct superblock superblock = {
        .version_major = VDB_VERSION_MAJOR,
        .version_minor = VDB_VERSION_MINOR,
        .generation = 1,
        .manifest_off = NEWFILE_MANIFEST_OFF,
        .log_off = LOG_FROM,
        .log_end = loghead_end(data),
        .log_check = superblock_first_check(data),
        .file_end = LOG_END,
    };
    struct disk_superblock slot;
    struct buf encoded = {0};
    size_t log = size - LOG_HEAD;
    *len = LOG_FROM + log > LOG_END ? LOG_FROM + log : LOG_END;
    uint8_t *file = calloc(*len, 1);
    if (file == NULL || manifest_add_log_extent(&manifest, &extent, NULL) ||
        manifest_encode(&manifest, &encoded, NULL)) {
        free(file);
        file = NULL;
    } else {
        memcpy(superblock.file_id, data, sizeof superblock.file_id);
        superblock.manifest_len = encoded.len;
        superblock_encode(&superblock, &slot);
        memcpy(file, &slot, sizeof slot);
        memcpy(file + VDB_SUPERBLOCK_STRIDE, &slot, sizeof slot);
        memcpy(file + NEWFILE_MANIFEST_OFF, encoded.data, encoded.len);
        memcpy(file + LOG_FROM, data + LOG_HEAD, log);
    }
    manifest_release(&manifest);
    buf_release(&encoded);
    return file;
}
