/* seam.h: the calls that the library makes on files and for memory, through one place of the tests.
 *
 * A test program that is linked with --wrap (the Makefile's SEAM_WRAP) has these calls go through
 * here. They pass, and on request they are recorded, or the Nth of some kind is failed; both may be
 * on at once, and a call that failed is recorded as what it did.
 *
 * Threads: any may call the library; what is declared here is for one at a time, but for seam_pause
 * and seam_resume, which are about the calling thread.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_FAULT_SEAM_H
#define TESTS_FAULT_SEAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- failing ------------------------------------------------------------------------------- */

/* Kinds of calls, for masks. */
enum {
    SEAM_OPEN = 1 << 0,           /* open of what is there, directories included */
    SEAM_CREATE = 1 << 1,         /* open with O_CREAT or O_TMPFILE; mkostemp */
    SEAM_READ = 1 << 2,           /* pread */
    SEAM_WRITE = 1 << 3,          /* pwrite */
    SEAM_RESERVE = 1 << 4,        /* posix_fallocate */
    SEAM_TRUNCATE = 1 << 5,       /* ftruncate */
    SEAM_SYNC = 1 << 6,           /* fdatasync and fsync of files */
    SEAM_SYNC_DIRECTORY = 1 << 7, /* fsync of directories */
    SEAM_RENAME = 1 << 8,         /* rename, renameat2, link */
    SEAM_UNLINK = 1 << 9,
    SEAM_LOCK = 1 << 10,      /* fcntl that takes a lock; letting go is never failed */
    SEAM_DUPLICATE = 1 << 11, /* fcntl F_DUPFD_CLOEXEC */
    SEAM_MAP = 1 << 12,       /* mmap of a file */
    SEAM_STAT = 1 << 13,      /* statx, realpath, readlink */
    SEAM_MODE = 1 << 14,      /* fchmod, fchown */
    SEAM_CLOSE = 1 << 15,     /* the descriptor is gone even where it fails */
    SEAM_MEMORY =
        1 << 16, /* malloc, calloc, realloc, aligned_alloc, strdup, asprintf, anonymous mmap */
    SEAM_THREAD = 1 << 17,     /* pthread_create */
    SEAM_FILES = (1 << 16) - 1 /* all calls on files */
};

/* SEAM_HALF and SEAM_DROP are SEAM_NOTHING for the kinds that they say nothing of. */
enum seam_effect {
    SEAM_NOTHING, /* the call does nothing and fails with `error` */
    SEAM_HALF,    /* a write or a read does the first half of its bytes and returns their number
                   * without an error, a reservation does half of its own and fails; with
                   * `from_then_on` later calls do nothing and fail */
    SEAM_DROP,    /* a sync fails, and what was written to the file since its last good sync is put
                   * back as it was, the length apart, as if the system had thrown away the dirty
                   * pages */
    SEAM_DONE,    /* the call does its work and then says that it failed */
    SEAM_PASS     /* the call goes its way: for `before` */
};

struct seam_fault {
    uint32_t kinds; /* which calls count */
    uint64_t nth;   /* the how-manieth of them fails, from 1; 0: they are only counted */
    bool from_then_on;
    int error; /* an errno, for instance EIO; memory always fails with ENOMEM */
    enum seam_effect effect;
    void (*before)(void *context); /* called before each call that is to fail; may be NULL. Calls
                                      that it makes itself are not counted and do not fail */
    void *context;
};

/* From now on, in place of what was set before. Counting begins anew. */
void seam_fail(const struct seam_fault *fault);

/* Ends failing; the counts stay. */
void seam_pass(void);

/* How many calls of these kinds there were since seam_fail, and how many of them were failed. */
uint64_t seam_count(void);
uint64_t seam_failures(void);

/* The first call that was failed ("pwrite"), or "none". */
const char *seam_failed_call(void);

/* Between these two, which nest, calls of this thread are neither counted nor failed: for what a
 * test does on its own account while the library works. Recording goes on. */
void seam_pause(void);
void seam_resume(void);

/* ---- recording ----------------------------------------------------------------------------- */

enum seam_op_kind {
    SEAM_OP_WRITE,     /* `bytes` at `off` of `file` */
    SEAM_OP_RESERVE,   /* the file is off + len long at least, zeros where there was nothing */
    SEAM_OP_TRUNCATE,  /* the file is `len` long */
    SEAM_OP_SYNC,      /* of `file`, good */
    SEAM_OP_SYNC_FAIL, /* of `file`, failed: what is pending may or may not be durable, for good */
    SEAM_OP_CREATE,    /* `name` for the new, empty `file` */
    SEAM_OP_LINK,      /* `to` for the file that `name` names */
    SEAM_OP_RENAME,    /* `name` becomes `to` */
    SEAM_OP_UNLINK,    /* `name` goes */
    SEAM_OP_SYNC_DIRECTORY,
    SEAM_OP_MARK /* seam_mark(off) */
};

struct seam_op {
    enum seam_op_kind kind;
    uint32_t file; /* index of seam_trace.files, for the first six kinds */
    uint64_t off, len;
    uint8_t *bytes;  /* WRITE: `len` of them, else NULL */
    char *name, *to; /* within the directory */
};

/* A file that was there at the beginning, or that was created since: inodes are told apart even
 * where the system gave a number twice. */
struct seam_file {
    uint64_t device, inode;
    char *name;     /* at the beginning; NULL: not there yet */
    uint8_t *bytes; /* at the beginning, all taken to be durable */
    uint64_t len;
};

struct seam_trace {
    struct seam_file *files;
    uint32_t file_count;
    struct seam_op *ops; /* in order */
    size_t count;
};

/* From now on, what happens to the files of `directory` is recorded (subdirectories and files that
 * never have a name are not); what is there now is its beginning. */
void seam_record_begin(const char *directory);
void seam_record_end(struct seam_trace *trace);
void seam_trace_release(struct seam_trace *trace);

/* Puts a mark into the record, for instance that commit `n` has been acknowledged. Nothing where
 * none is being made. */
void seam_mark(uint64_t n);

#endif
