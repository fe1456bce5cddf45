/* filelock.h: exclusive locks on bytes of a file, waited for in turn.
 *
 * They are open-file-description locks, each on a description of its own that is opened for it and
 * closed with it: no other descriptor of the process keeps it or drops it, two handles of a process
 * exclude each other as two processes do, and the death of the process frees it. A child that was
 * forked meanwhile has a copy of the descriptor, which would keep the lock after its parent's
 * death: so the child closes it as it is born.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_BASE_FILELOCK_H
#define VDB_BASE_FILELOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/osfile.h"

struct filelock {
    struct osfile file; /* fd -1: not held, or lost in a child of fork */
    uint64_t off;
    struct filelock *next; /* of those that a child lets go of */
};

/* The bytes that waiting for one may take. */
struct filelock_place {
    uint64_t off;
    unsigned
        places; /* so many bytes below `off` are the line of those who wait; 0: there is none */
};

/* Locks the byte place->off of the file that `of` is open on, which need not be open for writing.
 * *lock must not move until it is released.
 * Who waits stands in line: he goes from byte to byte as those before him do, so that nobody is
 * overtaken who was in line before, and naps an eighth of the time that he has stood in one place.
 * Where the lock is free and the line does not move, somebody in it was stopped: he is passed.
 * Returns 0; EAGAIN after `wait` seconds (0: tried once); ECANCELED where `cancel`, which may be
 * NULL, says so; or what the system says. */
int filelock_take(struct filelock *lock, const struct osfile *of, struct filelock_place place,
                  double wait, const struct cancel *cancel);

/* Nothing where it is not held. */
void filelock_release(struct filelock *lock);

#define FILELOCK_HOLDER 64

/* Whether another open description has the byte locked, and as far as the system tells us, whose
 * that is: "process 123 (vdb-add)", or "". */
bool filelock_holder(const struct osfile *file, uint64_t off, char holder[FILELOCK_HOLDER]);

#endif
