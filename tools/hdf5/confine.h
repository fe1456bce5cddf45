/* confine.h: what is left to a process that handles hostile bytes: the descriptors that it has,
 * some memory, and some time. (Linux: no_new_privs, Landlock, seccomp, resource limits.)
 *
 * After confine() the process opens no file, starts none, talks to none, and can neither read nor
 * change what other processes have; there is no way back. Where the kernel has no seccomp or no
 * Landlock, or a container denies it, the rest still holds, and confined() tells.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_HDF5_CONFINE_H
#define TOOLS_HDF5_CONFINE_H

#include <stdbool.h>
#include <stdint.h>

enum confine_for { CONFINE_READING, CONFINE_WRITING /* and changing the length of open files */ };

/* Descriptors 0 to 2 stay. `memory`: bytes of address space; `seconds`: processor time until the
 * process is ended by SIGPROF, unless it calls confine_progress meanwhile. */
void confine(enum confine_for what, uint64_t memory, unsigned seconds);

/* All of the seconds once more. */
void confine_progress(void);

/* One line about what confine() has brought about, without its end. */
#define CONFINED_SIZE 160
void confined(char line[CONFINED_SIZE]);

#endif
