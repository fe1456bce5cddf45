/* osfile.h: every call that the library makes on files goes through here, and only here.
 *
 * It is the seam at which tests record writes and inject faults. Functions return 0 or an errno
 * value; EINTR is retried and short reads and writes are completed, so that a caller sees one
 * outcome. No function here retries a failed sync.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_BASE_OSFILE_H
#define VDB_BASE_OSFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct osfile {
    int fd; /* -1: closed */
};

struct osfile_identity {
    uint64_t device, inode;
};

struct osfile_stat {
    struct osfile_identity identity;
    uint64_t size;
    mode_t mode;
    uid_t owner;
    gid_t group;
    uint64_t links;
    bool regular;
};

int osfile_open(struct osfile *file, const char *path, bool writable);

/* Makes a new file of that name, open for reading and writing; EEXIST where it is there. */
int osfile_create(struct osfile *file, const char *path, mode_t mode);

/* Makes a file without a name in the directory of `path`. */
int osfile_create_unnamed(struct osfile *file, const char *path);
void osfile_close(struct osfile *file);

/* Another descriptor of the same open file, for who writes to it while `file` may be closed. */
int osfile_duplicate(const struct osfile *file, struct osfile *duplicate);

/* Opens the same file once more for writing, whatever its name is by now: a description of its own,
 * with locks of its own. */
int osfile_reopen(const struct osfile *file, struct osfile *again);

int osfile_stat(const struct osfile *file, struct osfile_stat *out);
int osfile_stat_path(const char *path, struct osfile_stat *out);

/* Of what the name itself stands for: of a symbolic link, the link. */
int osfile_stat_name(const char *path, struct osfile_stat *out);

/* *target, to be freed: what `path` leads to through symbolic links, or would if it were there;
 * ELOOP where they never end. */
int osfile_follow(const char *path, char **target);

/* *got is below len only at the end of the file. */
int osfile_read(const struct osfile *file, uint64_t off, void *to, size_t len, size_t *got);
int osfile_write(const struct osfile *file, uint64_t off, const void *from, size_t len);

/* Makes sure that [off, off + len) has room on the medium; the file grows where it must. */
int osfile_reserve(const struct osfile *file, uint64_t off, uint64_t len);

int osfile_sync_data(const struct osfile *file);
int osfile_sync_all(const struct osfile *file);
int osfile_sync_directory_of(const char *path);

/* Has the system write out what of the range it still keeps, and waits for that. It is no sync: it
 * leaves less for later ones to do, which write out all of the file, whoever wrote to it. */
void osfile_write_out(const struct osfile *file, uint64_t off, uint64_t len);

/* A read-only shared mapping of any range. It may go beyond the file's end: those pages become
 * readable when the file grows to them, and raise SIGBUS before. */
int osfile_map(const struct osfile *file, uint64_t off, size_t len, const uint8_t **mapping);
void osfile_unmap(const uint8_t *mapping, size_t len);

/* The first `len` bytes, which are all in the file, readable and writable: what is written stays
 * with the caller and never comes to the file. Ended by osfile_unmap. */
int osfile_map_private(const struct osfile *file, size_t len, uint8_t **mapping);

/* Asks for huge pages (2 MiB) for what the whole ones among them in a mapping will hold: a walk
 * touches rows anywhere, and misses of the TLB cost it a fifth of its speed. The system gives them
 * to pages that are read in afterwards, not to those that lie in its cache already. Mappings lie at
 * addresses that fit them where the file's offsets do. */
void osfile_want_huge_pages(const uint8_t *mapping, size_t len);

/* Has the system's cache let go of what is synced and mapped by nobody in the range, and read it in
 * again in huge pages. Nothing is done for less than one of them or more than an eighth of memory,
 * and what the system does not support is left undone. */
void osfile_settle(const struct osfile *file, uint64_t off, size_t len);

/* Gives back the memory that whole pages of a mapping take; they are read again when touched. */
void osfile_drop_pages(const uint8_t *mapping, size_t len);

int osfile_copy_owner(const struct osfile *file, const struct osfile_stat *like);
int osfile_rename(const char *from, const char *to);

/* As rename, but EEXIST where `to` is there. */
int osfile_rename_new(const char *from, const char *to);
int osfile_unlink(const char *path);

#endif
