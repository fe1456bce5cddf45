/* mend_record.h: a record of the log that is whole but for one bit.
 *
 * The log ends at the first record that is not valid, and one that a write has left unfinished is
 * no sign of damage. One of which every bit but one is there is: so it can be told from the other,
 * and read.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_CHECK_MEND_RECORD_H
#define VDB_CHECK_MEND_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "format/log.h"
#include "vdb.h"

/* Whether the record at `end`, where the log ends in the file's bytes [0, file_len) at `file`,
 * would be the next one if one bit were turned; *bit is its number from the record's first byte on.
 * `mended`, which may be NULL, is then given the record with the bit turned. Records with blocks of
 * more than ONEBIT_MAX bytes are looked at outside of these alone. Errors: VDB_NO_MEMORY. */
enum vdb_status mend_record(const uint8_t *file, uint64_t file_len, const struct log_cursor *end,
                            bool *found, uint64_t *bit, struct buf *mended, struct vdb_error *err);

/* Where a record lies, further on in the extent in which the log ends, that is whole and of a later
 * commit; 0: there is none. */
uint64_t mend_whole_behind(const uint8_t *file, uint64_t file_len, const struct log_cursor *end);

#endif
