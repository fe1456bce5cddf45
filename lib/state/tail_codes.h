/* tail_codes.h: codes of the tail's rows, made as searches ask for them.
 *
 * In memory alone, and owed to no one: rows without codes are measured by their stored vectors. Who
 * opens a file and asks once should not pay for codes of a long tail, and who asks again and again
 * should not pay all at once, so each search codes a share of the rows that have none.
 *
 * Rows stay what they are from one generation of a file to the next, so generations share a chain
 * of chunks, each of which begins at that in which its tail begins; a chunk lives as long as a
 * chain reaches it. Appending is for who gets the lock, the others go without; reading takes none.
 *
 * Codes are of 8 bits. Full chunks of a long tail get codes of 4 bits as well, which a search reads
 * first.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_STATE_TAIL_CODES_H
#define VDB_STATE_TAIL_CODES_H

#include <stddef.h>
#include <stdint.h>

#include "index/vafile.h"
#include "index/vafile4.h"
#include "state/tail.h"
#include "vdb.h"

struct tail_chunk {
    int refs; /* of chains that begin here, and of the chunk before */
    struct tail_chunk *next;
    uint32_t first_row;
    struct vafile *codes;         /* NULL: of no rows, where a chain begins */
    struct vafile4 *coarse;       /* of the same rows, or NULL: see tail_chunk_coarse */
    uint64_t places[VAFILE_ROWS]; /* offsets of the stored vectors in the file */
};

struct tail_coder; /* who appends; shared by the generations of a file */

struct tail_codes { /* a generation's */
    struct tail_coder *coder;
    struct tail_chunk *first;
};

/* Codes of a tail whose rows begin at first_row: those that `before`, of an older generation of the
 * same file, or NULL, has of them. Errors: VDB_NO_MEMORY. */
enum vdb_status tail_codes_init(struct tail_codes *codes, const struct tail_codes *before,
                                uint32_t first_row, struct vdb_error *err);
void tail_codes_release(struct tail_codes *codes);

struct tail_rows { /* of which codes may be wanted */
    const struct tail *tail;
    uint32_t commits;    /* of it */
    uint32_t begin, end; /* the rows that these added */
    const uint8_t *file; /* the mapped bytes */
    uint32_t queries;    /* that are about to be compared with each row */
    struct vafile_space space;
};

/* Codes some of the rows that have none. Where there is no memory, or another thread is at it, they
 * stay without. */
void tail_codes_extend(struct tail_codes *codes, const struct tail_rows *rows);

/* The chunk behind, or NULL; rows rise, not all of the tail need be in one. */
static inline const struct tail_chunk *tail_chunk_next(const struct tail_chunk *chunk)
{
    return __atomic_load_n(&chunk->next, __ATOMIC_ACQUIRE);
}

/* The coarser codes of a chunk that is full, or NULL. */
static inline const struct vafile4 *tail_chunk_coarse(const struct tail_chunk *chunk)
{
    return __atomic_load_n(&chunk->coarse, __ATOMIC_ACQUIRE);
}

#endif
