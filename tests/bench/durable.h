/* durable.h: what the measurements of durable.c share: times, processes, rows, an index of them.
 *
 * Whatever fails ends the process with a message. Files lie in the working directory.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef DURABLE_H
#define DURABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vdb.h"

#define DIM 128

/* ---- time ---------------------------------------------------------------------------------- */

double now_ms(void);
double cpu_ms(void); /* of this process */
void sleep_ms(double ms);

/* Durations in milliseconds, in memory that children share. Beyond `room` none are taken. */
struct times {
    size_t count, room;
    double at[];
};

struct times *times_new(size_t room);
void times_add(struct times *times, double ms);
void times_join(struct times *to, const struct times *from);
void times_free(struct times *times);

/* The value that `share` of the durations do not exceed; sorts them. */
double times_quantile(struct times *times, double share);
double times_sum(const struct times *times);

struct spread { /* the ratios of the rounds: median, lowest and highest */
    double ratio[32];
    unsigned count;
};

void spread_add(struct spread *spread, double ratio);
const char *spread_text(struct spread *spread, char text[64]); /* "0.97 x (0.91 to 1.02)" */
double spread_median(struct spread *spread);

/* ---- what is printed ----------------------------------------------------------------------- */

void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A row of the table: name, what was reached, what was wanted, and whether it was. */
void figure(const char *name, const char *target, bool reached, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- processes ----------------------------------------------------------------------------- */

/* Zeroed, and shared with children; it stays until the process ends. */
void *shared_memory(size_t len);

/* What the processes of a measurement see of each other. */
struct stage {
    atomic_bool stop;
    atomic_uint ready;
    atomic_bool go;
};

struct stage *stage_new(void); /* shared with children */
void stage_free(struct stage *stage);

/* Tells the parent that this child is set up, and waits for the start that it gives. */
void stage_enter(struct stage *stage);
void stage_begin(struct stage *stage, unsigned children);

/* A child that does work(argument) and ends; it dies with the parent. */
pid_t child_start(void (*work)(void *argument), void *argument);
void child_await(pid_t pid);
void child_run(void (*work)(void *argument), void *argument);

_Noreturn void die(const char *what, const struct vdb_error *err);

/* ---- files --------------------------------------------------------------------------------- */

/* Bytes that this process has written by system calls so far. */
uint64_t bytes_written(void);

struct bare { /* a preallocated file of zeros, written as a log is: each write behind the last */
    int fd;
    size_t len; /* of one write */
    uint64_t off, end;
    unsigned char *bytes;
};

void bare_open(struct bare *bare, const char *path, size_t len, size_t writes);
double bare_write(struct bare *bare); /* pwrite and fdatasync; returns how long both took */
void bare_close(struct bare *bare);

/* While set, fdatasync does nothing: for preparing files. Of this process alone. */
extern bool sync_off;
/* While set, nothing is written out ahead of a sync (sync_file_range). Inherited by children. */
extern bool write_out_off;
/* While set, fdatasync kills this process in place of syncing. */
extern bool sync_kills;

/* ---- rows and indexes ---------------------------------------------------------------------- */

/* Row `number` of a clustered set that is always the same: 1,000 centres, and around each of them
 * 16 axes that all share, of shrinking variance. */
void row_make(uint64_t number, float row[DIM]);
float *rows_make(uint64_t first, size_t count);

struct vdb *index_open(const char *path);
void index_make(const char *path, enum vdb_index_kind kind);

/* Commits rows called PREFIX FIRST, ... whose vectors are count * DIM floats; returns how long it
 * took from beginning the transaction to the acknowledgement. */
double commit_rows(struct vdb *db, const char *prefix, uint64_t first, size_t count,
                   const float *vectors);
double commit_deletes(struct vdb *db, const char *prefix, uint64_t first, size_t count);

void maintain(struct vdb *db); /* once; where another process is at it, nothing */

/* For child_start: maintains until the stage's stop, as it comes. */
struct upkeep {
    const char *path;
    struct stage *stage;
};
void keep_maintained(void *upkeep);

/* A durable copy of a file. */
void file_copy(const char *from, const char *to);

/* ---- the measurements ---------------------------------------------------------------------- */

void measure_commits(void);
void measure_batches(void);
void measure_writers(void);
void measure_search(void);
void measure_scan(void);
void measure_maintenance(void);
void measure_opening(void);
void measure_refreshing(void);
void measure_past(void);

#endif
