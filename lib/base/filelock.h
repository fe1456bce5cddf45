/* filelock.h: exclusive locks on bytes of a file, waited for in turn.
 *
 * They are open-file-description locks, each on a description of its own: no other descriptor of
 * the process keeps it or drops it, two handles of a process exclude each other as two processes
 * do, and the death of the process frees it. A child of fork has copies of the descriptors, which
 * would keep a lock after its parent's death: so the child closes them as it is born.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_BASE_FILELOCK_H
#define VDB_BASE_FILELOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/osfile.h"

struct filelock {
    struct osfile file;    /* fd -1: not open, or lost in a child of fork */
    struct filelock *next; /* of those that a child closes */
};

/* Opens the file that `of` is open on once more; `of` need not be open for writing. *lock must not
 * move until it is closed. */
int filelock_open(struct filelock *lock, const struct osfile *of);

/* Lets go of it, too. Nothing where it is not open. */
void filelock_close(struct filelock *lock);

/* The bytes that waiting for one may take. */
struct filelock_place {
    uint64_t off;
    unsigned
        places; /* so many bytes below `off` are the line of those who wait; 0: there is none */
};

/* Locks the byte at place.off.
 * Who waits stands in line: he goes from byte to byte as those before him do, so that nobody is
 * overtaken who was in line before, and naps an eighth of the time that he has stood in one place.
 * Where the lock is free and the line does not move, somebody in it was stopped: he is passed.
 * Returns 0; EAGAIN after `wait` seconds (0: tried once); ECANCELED where `cancel`, which may be
 * NULL, says so; or what the system says. */
int filelock_take(struct filelock *lock, struct filelock_place place, double wait,
                  const struct cancel *cancel);
void filelock_release(struct filelock *lock, struct filelock_place place);

#define FILELOCK_HOLDER 64

/* Whether another open description has the byte locked. */
bool filelock_is_held(const struct osfile *file, uint64_t off);

/* The same, and as far as the system tells us, whose
 * that is: "process 123 (vdb-add)", or "". */
bool filelock_holder(const struct osfile *file, uint64_t off, char holder[FILELOCK_HOLDER]);

#endif
