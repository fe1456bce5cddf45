/* log.h: records of the log: the commits after the manifest's (format-spec/log.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_LOG_H
#define VDB_FORMAT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "format/disk.h"
#include "format/manifest.h"
#include "vdb.h"

/* Where the next record lies, and what it must follow. */
struct log_cursor {
    uint64_t off;    /* of the next record */
    uint64_t end;    /* of the extent that it lies in */
    uint64_t check;  /* chain value: the check of the record before */
    uint64_t commit; /* the last commit before */
};

struct log_block {
    uint64_t off, len, check;
};

/* Changes of names, of a record of their own or at the end of a commit's; each is verified by who
 * takes it, through log_name_change. */
struct log_names {
    uint64_t off; /* of the first disk_name_change */
    uint32_t count;
    uint64_t record_off;
};

struct log_commit {
    uint64_t commit;
    int64_t time_us;
    uint32_t row_base, row_count, live_count, event_count;
    struct log_block vectors, ids, metadata, events;
    uint32_t stride;
    struct log_names names;
    uint64_t record_off, record_len;
};

struct log_name_change {
    unsigned operation; /* DISK_NAME_ */
    struct snapshot_entry snapshot;
};

/* An extent keeps room for a link behind every record. */
#define LOG_LINK_LEN (sizeof(struct disk_record) + sizeof(struct disk_link))

enum log_step {
    LOG_COMMIT,  /* *commit is filled, the cursor stands behind it */
    LOG_NAMES,   /* *names is filled, the cursor stands behind it */
    LOG_LINKED,  /* a link was followed: the cursor stands in the next extent */
    LOG_PASSED,  /* an optional record of an unknown kind: the cursor stands behind it */
    LOG_ENDS,    /* no valid record here */
    LOG_UNKNOWN, /* a whole record of the chain, of a kind or version that is not known here */
    LOG_DAMAGED  /* a whole record of the chain, but what it names does not lie in the file */
};

/* Whether the cursor went on. */
static inline bool log_went_on(enum log_step step)
{
    return step < LOG_ENDS;
}

/* Judges the record at the cursor in the file's bytes [0, file_len) at `file`. A record that is
 * not whole, not valid or not the next one of the chain is the end of the log: that is how a
 * commit in flight or torn by a crash looks. Blocks of a valid commit lie inside the file: they
 * were there before the record was, so that where they are not the file was cut off, or file_len
 * is older than the record. The cursor stays where it is unless log_went_on. */
enum log_step log_next(const uint8_t *file, uint64_t file_len, struct log_cursor *cursor,
                       struct log_commit *commit, struct log_names *names);

/* Fills in *err for LOG_UNKNOWN: what the record at the cursor is. Returns VDB_UNSUPPORTED. */
enum vdb_status log_unknown(const uint8_t *file, const struct log_cursor *cursor,
                            struct vdb_error *err);

/* Change `index` of a record of names in the file's bytes. false: its operation is not known, or
 * its name is none (that of DISK_NAME_RECEIVED is empty). */
bool log_name_change(const uint8_t *file, const struct log_names *names, uint32_t index,
                     struct log_name_change *change);

/* Appends a commit's head and body to `to`; inline blocks are the caller's to append behind them,
 * and then the changes of names, of which the commit has the count. Length and check are filled in
 * by log_seal. */
enum vdb_status log_encode_commit(const struct log_commit *commit, uint64_t prev_check,
                                  struct buf *to, struct vdb_error *err);

enum vdb_status log_encode_link(const struct log_cursor *from, int64_t time_us, uint64_t next_off,
                                uint64_t next_len, struct buf *to, struct vdb_error *err);

/* Appends head and body of a record of names; the changes are the caller's to append. */
enum vdb_status log_encode_names(const struct log_cursor *from, int64_t time_us, uint32_t count,
                                 struct buf *to, struct vdb_error *err);

/* Appends one change of a name, as both kinds of records have them. */
enum vdb_status log_encode_name(const struct log_name_change *change, struct buf *to,
                                struct vdb_error *err);

/* Sets length and check of the record that begins at to->data + start and ends at to->len, which
 * must be a multiple of 64 from start; returns the check. */
uint64_t log_seal(struct buf *to, size_t start);

#endif
