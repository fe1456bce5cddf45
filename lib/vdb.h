/* vdb.h: the public interface of libvdb, a memory-mapped vector index in one file.
 *
 * Conventions of every function here:
 * - It returns VDB_OK or a status that says what went wrong; where `err` is not NULL it is then
 *   filled in, and it is left alone on success. Nothing is printed and no signal is caught. Of
 *   those that can fail, each may lack memory: VDB_NO_MEMORY.
 * - Vectors are given and taken as `dim` native floats, whatever type the index stores: every
 *   value of f16, i8 and u8 is a float.
 * - Ids are 1 to 1,023 bytes of UTF-8 without control characters; they need no final NUL.
 * - Structs of options begin with their size, so that later versions can add members. Initialise
 *   them with their VDB_..._INIT macro, which sets every default; NULL stands for those. A size
 *   below sizeof(size_t) or above 4,096 is VDB_INVALID. Members behind the size have their
 *   defaults; what lies beyond the members known here must be zero, else VDB_UNSUPPORTED. A member
 *   set to zero means what is said beside it.
 *
 * Threads. A `struct vdb` may be used from many threads at once, except for vdb_close. A
 * `const struct vdb_snapshot` is immutable, and any number of threads may read and search it.
 * A `struct vdb_txn` belongs to one thread at a time.
 *
 * Processes and forks. Any number of processes, and of handles in one process, may have an index
 * open; a handle excludes the other handles of its process as it does those of other processes.
 * Locks belong to the process that took them: they end with it, at once, and a child of fork() does
 * not inherit them. In the child, snapshots that no other thread was using at that moment may be
 * read, searched by vdb_search and closed, and the handle may be closed; all else needs a handle
 * that the child opens itself. Searchers have threads and do not survive a fork.
 *
 * Files. The library never writes through a mapping and never shortens a file; where a file becomes
 * longer while it is open, that is seen at the next refresh. If another program truncates an index
 * while it is open, or the medium under it fails, touching the lost pages raises SIGBUS, as with
 * any mapping. The library catches no signals: a program that must outlive this installs a handler,
 * in which it may write a message and end, or leave the call by siglongjmp if it then uses neither
 * the handle nor its snapshots, searchers and transactions any more, and does not close them.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_H
#define VDB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VDB_API __attribute__((visibility("default")))
#else
#define VDB_API
#endif

#define VDB_VERSION_STRING "0.9.0"

#define VDB_DIM_MAX      65535
#define VDB_ID_MAX       1023
#define VDB_METADATA_MAX 16777216
#define VDB_NAME_MAX     198   /* bytes of a snapshot's name */
#define VDB_NAMES_MAX    16384 /* snapshots at a time */
/* The longest age, in seconds, up to which rows of a hybrid index can be recent: 1,000 years. */
#define VDB_RECENT_SECONDS_MAX 31536000000

/* ---- errors -------------------------------------------------------------------------------- */

/* Values are pinned: they are never reused and never change. */
enum vdb_status {
    VDB_OK = 0,
    VDB_NOT_FOUND = 1,     /* no such id or row */
    VDB_EXISTS = 2,        /* the id, or the file to be created, is there already */
    VDB_INVALID = 3,       /* an argument or a vector is not acceptable */
    VDB_CORRUPT = 4,       /* the index is damaged, or not an index */
    VDB_UNSUPPORTED = 5,   /* a version, feature or kernel set that this build or CPU lacks */
    VDB_CANNOT_OPEN = 6,   /* missing, not permitted, not a regular file */
    VDB_CANNOT_CREATE = 7, /* an output cannot be created */
    VDB_IO = 8,            /* a read, write or sync failed, no space included */
    VDB_BUSY = 9,          /* a lock was not to be had in time */
    VDB_READ_ONLY = 10,    /* the handle, the file or the medium takes no writes */
    VDB_NO_MEMORY = 11,
    VDB_DURABILITY_UNKNOWN = 12, /* a sync failed: the commit may or may not be durable */
    VDB_CANCELLED = 13,          /* a progress callback asked to stop */
    VDB_LIMIT = 14,              /* a limit of the format would be passed */
    VDB_INTERNAL = 15            /* a defect in the library */
};

struct vdb_error {
    enum vdb_status status;
    int os_errno;        /* errno of the failed call, or 0 */
    const char *segment; /* what of the file is at fault ("manifest", "graph"), or NULL */
    uint64_t offset;     /* of the fault in the file, where `segment` is not NULL */
    char message[512];   /* one sentence without a final stop, nor the index's path before it */
};

/* The status in words, for instance "no such id". Never NULL. */
VDB_API const char *vdb_status_string(enum vdb_status status);

/* The library's version, for instance "0.9.0". */
VDB_API const char *vdb_version(void);

/* ---- indexes ------------------------------------------------------------------------------- */

enum vdb_metric {
    VDB_METRIC_L2 = 1,     /* Euclidean distance */
    VDB_METRIC_COSINE = 2, /* 1 - cosine of the angle */
    VDB_METRIC_IP = 3      /* minus the inner product */
};

/* A number that is put is rounded to the nearest for f16, ties to even, and 65,520 and more in
 * size, which would become infinity, is none that it can hold; i8 and u8 hold integers from -128 to
 * 127 and from 0 to 255. */
enum vdb_type { VDB_TYPE_F32 = 1, VDB_TYPE_F16 = 2, VDB_TYPE_I8 = 3, VDB_TYPE_U8 = 4 };

enum vdb_index_kind {
    VDB_INDEX_AUTO = 0, /* of a part of 1,000 rows or more a graph and an inverted file are built,
                           and the one kept whose searches for a sample of the rows need less work,
                           by counts that are the same on every machine; flat where neither finds
                           0.9 of what is near, and of fewer rows */
    VDB_INDEX_FLAT = 1,
    VDB_INDEX_GRAPH = 2,
    VDB_INDEX_HNSW = 3,  /* a graph with the levels of Malkov and Yashunin */
    VDB_INDEX_IVF = 4,   /* an inverted file: lists of rows around centroids, of which searches scan
                            the nearest */
    VDB_INDEX_HYBRID = 5 /* by age: recent rows lie in graphs, older ones in inverted files */
};

/* What guides a walk, or the scan of an inverted file's lists, in place of the stored vectors.
 * Answers' distances are exact with all. */
enum vdb_codes {
    VDB_CODES_AUTO = 0, /* of graphs, what needs the least work on a sample of the rows, or none
                           where 8 bits do not tell what is near; of inverted files, what suits
                           their dimensions */
    VDB_CODES_NONE = 1, /* of graphs alone, which this and the next ask for under VDB_INDEX_AUTO:
                           no copy, the stored vectors themselves */
    VDB_CODES_I8 = 2,   /* 8 bits a dimension, one grid for all rows */
    VDB_CODES_I4 = 3,   /* 4 bits a dimension, and two factors a row; of graphs, rotated before */
    VDB_CODES_PQ = 4,   /* of inverted files alone, which they ask for under VDB_INDEX_AUTO, as do
                           the next: 4 bits for two dimensions */
    VDB_CODES_B1 = 5    /* 4 bits for four dimensions */
};

/* Called from time to time during long work, from the calling thread. `phase` is a short constant
 * ("build graph"), `done` of `total` units are through. A value other than 0 ends the work with
 * VDB_CANCELLED, the index as it was before. */
typedef int (*vdb_progress_fn)(void *context, const char *phase, uint64_t done, uint64_t total);

struct vdb;          /* an open index file */
struct vdb_snapshot; /* one commit of it, immutable */
struct vdb_txn;      /* changes not yet committed */

struct vdb_create_options {
    size_t size;
    uint32_t dim;           /* 1 to VDB_DIM_MAX; required */
    enum vdb_metric metric; /* 0: VDB_METRIC_L2 */
    enum vdb_type type;     /* of the stored vectors; 0: VDB_TYPE_F32 */
    enum vdb_index_kind index;
    uint32_t degree; /* R: neighbours a row in graphs, 4 to 256; with VDB_INDEX_HNSW twice its M,
                        which is 4 to 128, so 8 to 256 and even; 0: chosen by the library */
    uint32_t ef_construction; /* candidates looked at per insertion, 8 to 4,096; 0: chosen */
    enum vdb_codes codes;     /* of VDB_INDEX_HYBRID those that a part cannot have become
                                 VDB_CODES_AUTO for it */
    /* VDB_INDEX_HYBRID: recent are the newest so many live rows, or those committed in the last so
     * many seconds, 1 to VDB_RECENT_SECONDS_MAX: one of the two is given and the other is 0, as are
     * both for other kinds. Where a row lies is decided when a part is built, and anew by
     * compaction. */
    uint32_t recent_rows;
    uint64_t recent_seconds;
    /* Minutes of the day in UTC, 0 to 1,439, between which vdb_maintain does its work, also over
     * midnight; equal: at all hours. */
    uint32_t quiet_begin, quiet_end;
};
#define VDB_CREATE_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(struct vdb_create_options), 0, VDB_METRIC_L2, VDB_TYPE_F32, VDB_INDEX_AUTO, 0, 0,   \
            VDB_CODES_AUTO, 0, 0, 0, 0                                                             \
    }

struct vdb_open_options {
    size_t size;
    int read_only;    /* 1: never write, and do not ask for permission to */
    double wait;      /* seconds to wait for a lock; 0: try once; INIT: 10 */
    unsigned threads; /* for building and for batches of queries; 0: one a processor */
    const char *isa;  /* force a kernel set: "portable", "avx2" or "avx512"; NULL: the best here */
    /* Asked many times a second while a lock is waited for, between pieces of a few MiB while the
     * rows of a large transaction are written, and last before the record is that makes a commit.
     * A value other than 0 ends the call with VDB_CANCELLED and nothing is changed. It is called
     * from the thread that writes, with locks of the handle held: it must not call the library.
     * NULL: never cancelled. */
    int (*cancelled)(void *context);
    void *cancel_context;
};
#define VDB_OPEN_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(struct vdb_open_options), 0, 10.0, 0, NULL, NULL, NULL                              \
    }

/* Makes a new, empty index at `path`, which must not exist (VDB_EXISTS). Here and wherever a file
 * is made, symbolic links are followed: it comes to lie where `path` leads. On success the file and
 * its directory entry are durable. Errors: VDB_INVALID, VDB_EXISTS, VDB_CANNOT_CREATE, VDB_IO. */
VDB_API enum vdb_status vdb_create(const char *path, const struct vdb_create_options *options,
                                   struct vdb_error *err);

/* Makes a new, empty index that others find at `path` only once it is published: until then it lies
 * under a passing name beside that, commits to it are not synced, and it cannot be compacted.
 * vdb_close removes it where it was not published, and where the process dies, the next one that
 * makes an index at `path` does. *db is as from vdb_open.
 * Errors: as vdb_create and vdb_open. */
VDB_API enum vdb_status vdb_create_unpublished(const char *path,
                                               const struct vdb_create_options *options,
                                               const struct vdb_open_options *open, struct vdb **db,
                                               struct vdb_error *err);

/* Gives such an index its name, with all that was committed to it, durably. No other thread may use
 * *db meanwhile. Errors: VDB_INVALID (it has been published), VDB_EXISTS (another file has come to
 * be at the path), VDB_CANNOT_CREATE, VDB_IO: then it is gone, and *db can only be closed; or
 * VDB_DURABILITY_UNKNOWN: it has its name, but that may not be durable. */
VDB_API enum vdb_status vdb_publish(struct vdb *db, struct vdb_error *err);

/* Where an unpublished index lies, for who removes that when the process is ended by a signal: good
 * until it is published or closed. NULL: it has its name. */
VDB_API const char *vdb_passing_path(const struct vdb *db);

/* Opens the index at `path` in time that does not depend on its rows. A file without write
 * permission, or with unknown ro_compat features, opens read-only.
 * *db is owned by the caller, who ends it with vdb_close.
 * Errors: VDB_CANNOT_OPEN, VDB_CORRUPT, VDB_UNSUPPORTED, VDB_IO. */
VDB_API enum vdb_status vdb_open(const char *path, const struct vdb_open_options *options,
                                 struct vdb **db, struct vdb_error *err);

/* Closes the handle; snapshots taken from it stay valid until they are closed. NULL is allowed. */
VDB_API void vdb_close(struct vdb *db);

/* ---- snapshots ----------------------------------------------------------------------------- */

/* Takes the newest commit of the file, whoever wrote it, as an immutable view. The caller ends it
 * with vdb_snapshot_close. It takes no lock and never waits for a writer.
 * Errors: VDB_CORRUPT, VDB_UNSUPPORTED, VDB_CANNOT_OPEN, VDB_IO. */
VDB_API enum vdb_status vdb_snapshot_open(struct vdb *db, const struct vdb_snapshot **snapshot,
                                          struct vdb_error *err);
VDB_API void vdb_snapshot_close(const struct vdb_snapshot *snapshot);

/* Where the file has a newer commit than *snapshot, which was taken from this handle, or other
 * names for commits, closes that and puts the newest in its place; else leaves it alone. The work
 * grows with what was changed in between and not with the rows, but for a part that has come, which
 * is opened: O(1) in its rows. Rows keep their numbers, unless a compaction in place has come
 * between; the commit's number never becomes smaller. After an error *snapshot is as it was.
 * Errors: as vdb_snapshot_open. */
VDB_API enum vdb_status vdb_refresh(struct vdb *db, const struct vdb_snapshot **snapshot,
                                    struct vdb_error *err);

struct vdb_info {
    uint32_t format_major, format_minor;
    uint64_t file_bytes; /* length of the file when the snapshot was taken */
    uint32_t dim;
    enum vdb_metric metric;
    enum vdb_type type;
    enum vdb_index_kind index; /* as asked for at creation */
    uint64_t rows;             /* deleted ones included */
    uint64_t live;
    uint64_t deleted;
    uint64_t commit;        /* number of the commit; 1 is the creation */
    int64_t commit_time_us; /* microseconds since 1970-01-01T00:00:00Z */
    int64_t created_us;
    uint32_t parts;
    uint64_t tail_rows; /* rows that no part covers yet */
    int read_only;
    const char *isa; /* the kernel set in use */
    uint8_t file_id[16];
    uint64_t used_bytes; /* of the file, by what this commit needs: superblocks, manifest, segments,
                            log; vdb_compact gives the rest back, but for what lies between
                            structures, which begin at multiples of 64 or more */
    enum vdb_codes codes;                 /* as asked for at creation */
    uint32_t degree, ef_construction;     /* as asked for at creation; 0: left to the library */
    uint64_t recent_rows, recent_seconds; /* VDB_INDEX_HYBRID: one of them; else 0 */
    uint32_t quiet_begin, quiet_end;      /* minutes of the day in UTC; equal: none */
    uint64_t oldest_commit;               /* the oldest that vdb_snapshot_at can go back to */
};

struct vdb_part_info {
    enum vdb_index_kind kind;
    uint64_t row_begin, row_end; /* [row_begin, row_end) */
    uint64_t bytes;              /* of its segments */
    uint64_t vector_bytes, code_bytes, graph_bytes, ivf_bytes, id_bytes, metadata_bytes;
    uint32_t degree;         /* graphs: R */
    int codes_are_vectors;   /* 1: the stored vectors serve as codes and no copy is kept */
    enum vdb_codes codes;    /* graphs: VDB_CODES_NONE, I8 or I4; inverted files: I4, PQ or B1 */
    uint32_t row_code_bytes; /* of a row, that a walk or a list's scan reads to measure it */
    int rotated;             /* graphs: 1: codes are of the rotated vectors */
    uint32_t levels; /* VDB_INDEX_HNSW: how many, that of all rows included; M is half the degree */
    /* VDB_INDEX_IVF, the rest, which is 0 of other kinds: */
    uint32_t lists;
    uint32_t list_rows_min, list_rows_max; /* rows of a list, deleted ones included */
    double list_rows_mean, list_rows_deviation;
    double imbalance;      /* how many times the rows of even lists searches read; 1 or more */
    uint32_t code_dim;     /* dimensions that 4-bit codes are of: fewer than the vectors', where
                              these are taken along principal axes */
    uint32_t sub_dim;      /* dimensions a 4-bit code: 1, 2 or 4 */
    int spilled;           /* 1: rows may stand in two lists */
    uint32_t survivors[3]; /* rows of the least estimates, up to so many of which are measured by
                              8-bit codes, for the 1, 10 and 100 nearest, where few lists are read
                              fewer, half at least; all 0: not measured */
    /* When the oldest and the newest of its rows were committed, deleted ones included, to within a
     * second, in microseconds since 1970; 0: not recorded. */
    int64_t oldest_us, newest_us;
    /* Why the part has this index, of what is not flat: the intrinsic dimension of its rows, 0 if
     * not measured; their hubness, the skewness of how often a row of a sample is among the 10
     * nearest of another; the estimated nanoseconds of a search for recall@10 0.95 (`cost` of
     * vdb_calibration_point), and those of the kind that was tried beside it. A cost is 0 where
     * that recall was not reached or nothing was measured. */
    double dimension, hubness, cost;
    enum vdb_index_kind rival; /* VDB_INDEX_AUTO: none was tried */
    double rival_cost;
};

VDB_API void vdb_snapshot_info(const struct vdb_snapshot *snapshot, struct vdb_info *info);

/* `part` counts from 0 to info.parts - 1; beyond that VDB_NOT_FOUND. */
VDB_API enum vdb_status vdb_part_info(const struct vdb_snapshot *snapshot, uint32_t part,
                                      struct vdb_part_info *info);

/* The centroid of a list of an inverted file: vector[0..dim) as searches compare it, on the grid of
 * the part's 8-bit codes. Under cosine it is that of rows divided by their length. `list` counts
 * from 0 to the `lists` of vdb_part_info less 1. VDB_NOT_FOUND, `vector` left alone, where there is
 * no such part or list. */
VDB_API enum vdb_status vdb_part_centroid(const struct vdb_snapshot *snapshot, uint32_t part,
                                          uint32_t list, float *vector);

/* One measurement of a part's calibration (format-spec/calibration.md): the recall that searches of
 * its index had with rows of the part for queries, each kept from its own answer, and left out of
 * the graph where that is walked. It tells of queries like the rows, and of a part in which none is
 * deleted. */
struct vdb_calibration_point {
    uint32_t k;      /* the recall is recall@k: the share of the true k nearest that were found */
    uint32_t effort; /* the `ef` of the walks; of an inverted file, the lists that are read, or
                        where there is but one, the rows that are measured again */
    double recall;   /* 0 to 1 */
    double error;    /* the standard error of that mean */
    double p5;       /* 5th percentile: the recall that 95% of the queries reached */
    double p5_error; /* the standard error of that */
    double zero;     /* the share of queries that found none of their k */
    double cost;     /* nanoseconds of a search on one core: an estimate that follows from counts
                        of what it did, the same on every machine; 0: not known */
};

/* Measurement `index` of a part, from 0: those of one k stand together, k rises, and so do the
 * efforts of one k. VDB_NOT_FOUND, `point` left alone, where there is no such part and past the
 * last one: flat parts have none, nor have indexes over few rows. */
VDB_API enum vdb_status vdb_part_calibration(const struct vdb_snapshot *snapshot, uint32_t part,
                                             uint32_t index, struct vdb_calibration_point *point);

/* The effort that a search for `k` at this `recall` takes in the part: the `ef` that would do the
 * same. 0 where rows are compared one by one: the part is flat, or an inverted file whose codes do
 * not tell what is near. `recall` is above 0 to 1, or 0 for the usual 0.95; `k` is at least 1.
 * Errors: VDB_INVALID; VDB_NOT_FOUND where there is no such part. Either leaves *effort alone. */
VDB_API enum vdb_status vdb_part_effort(const struct vdb_snapshot *snapshot, uint32_t part,
                                        uint32_t k, double recall, uint32_t *effort);

/* ---- reading rows -------------------------------------------------------------------------- */

/* The live row with this id. With `deleted` not 0, where no live row has it, of its deleted ones
 * that which was live last. Errors: VDB_NOT_FOUND, VDB_CORRUPT, VDB_NO_MEMORY. */
VDB_API enum vdb_status vdb_find(const struct vdb_snapshot *snapshot, const char *id, size_t id_len,
                                 int deleted, uint32_t *row, struct vdb_error *err);

/* 1: the row is there and live; 2: there and deleted; 0: not there. */
VDB_API int vdb_row_state(const struct vdb_snapshot *snapshot, uint32_t row);

/* Goes over the live rows: 1, and *row is the first live one from the given *row on; or 0, and
 * there is none. Begin with 0 and go on with *row + 1. */
VDB_API int vdb_next_live_row(const struct vdb_snapshot *snapshot, uint32_t *row);

/* The row's id, in the file: valid until the snapshot is closed, without final NUL. */
VDB_API enum vdb_status vdb_row_id(const struct vdb_snapshot *snapshot, uint32_t row,
                                   const char **id, size_t *id_len, struct vdb_error *err);

/* The row's `dim` numbers, as stored. */
VDB_API enum vdb_status vdb_row_vector(const struct vdb_snapshot *snapshot, uint32_t row,
                                       float *vector, struct vdb_error *err);

/* The row's metadata as JSON text with a final NUL, which the caller frees with free(); *json is
 * NULL where it has none. */
VDB_API enum vdb_status vdb_row_metadata(const struct vdb_snapshot *snapshot, uint32_t row,
                                         char **json, size_t *json_len, struct vdb_error *err);

/* ---- searching ----------------------------------------------------------------------------- */

struct vdb_search_options {
    size_t size;
    uint32_t k;  /* neighbours wanted, at least 1, since the caller sizes `hits` by it; INIT: 10 */
    uint32_t ef; /* effort: about how many of the nearest rows a walk on a graph goes on from; how
                    many lists of an inverted file are read, more where these have less than k
                    rows, or where it has but one, how many rows are measured again; 0: what
                    `recall` asks for */
    int exact;   /* 1: compare every live row */
    int include_deleted; /* 1: find deleted rows too, also those that were replaced */
    double radius;       /* only rows at this distance or nearer; used where `use_radius` is 1 */
    int use_radius;
    unsigned threads; /* 0: as the handle was opened */
    double recall;    /* share of the true k nearest to aim at, above 0 to 1, for queries like the
                         rows; each part's calibration says what effort gives it; 0: 0.95. Of rows
                         that no part covers yet, below 1, all but one in some ten thousands of
                         the nearest are found */
};
#define VDB_SEARCH_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(struct vdb_search_options), 10, 0, 0, 0, 0.0, 0, 0, 0.0                             \
    }

struct vdb_hit {
    uint32_t row;
    double distance; /* in the metric's own terms, from the stored vector */
};

/* Searches `count` queries of dim floats each, one after another in `queries`. With `options`
 * NULL, k is 10.
 * hits[q * k + i] is the i-th nearest of query q, nearest first, ties by row; found[q] says how
 * many there are. Results do not depend on the number of threads or on the kernel set.
 * Errors: VDB_INVALID (k is 0, a number that is not finite, or a zero vector under cosine; the
 * message names the query), VDB_CORRUPT, VDB_LIMIT (an index over more than 2^31 rows). */
VDB_API enum vdb_status vdb_search(const struct vdb_snapshot *snapshot, const float *queries,
                                   size_t count, const struct vdb_search_options *options,
                                   struct vdb_hit *hits, uint32_t *found, struct vdb_error *err);

/* Searches one query after another with the same options: the room that a search works in is kept,
 * so that no search but the first, or one that needs more than all before it, asks for memory. A
 * searcher belongs to one thread at a time; any number of threads may each have one over the same
 * snapshot, which it keeps. With `threads` above 1, a query is searched in several parts at once,
 * where there are several large ones, by threads that wait in the searcher; with 0 or 1 there are
 * none, and no search takes a lock.
 * Errors: as vdb_search. */
struct vdb_searcher;
VDB_API enum vdb_status vdb_searcher_open(const struct vdb_snapshot *snapshot,
                                          const struct vdb_search_options *options,
                                          struct vdb_searcher **searcher, struct vdb_error *err);

/* hits[0..*found) become the nearest of the dim floats at `query`; hits has room for k. */
VDB_API enum vdb_status vdb_searcher_search(struct vdb_searcher *searcher, const float *query,
                                            struct vdb_hit *hits, uint32_t *found,
                                            struct vdb_error *err);

/* NULL is allowed. */
VDB_API void vdb_searcher_close(struct vdb_searcher *searcher);

/* ---- changing rows ------------------------------------------------------------------------- */

enum vdb_put_mode {
    VDB_UPSERT = 0, /* add, or replace the live row of that id */
    VDB_INSERT = 1, /* VDB_EXISTS where a live row has the id */
    VDB_UPDATE = 2  /* VDB_NOT_FOUND where none has */
};

struct vdb_commit_info {
    uint64_t commit; /* its number; of the newest one before where nothing was changed */
    uint64_t added, updated, deleted, restored;
};

/* Begins a transaction over the newest commit. Nothing is locked until vdb_txn_commit; large
 * transactions are spooled to an unlinked temporary file in the index's directory.
 * Errors: VDB_READ_ONLY, and as vdb_snapshot_open. */
VDB_API enum vdb_status vdb_txn_begin(struct vdb *db, struct vdb_txn **txn, struct vdb_error *err);

/* Adds one row. `metadata` is a JSON object, kept as it is, or NULL: 1 to VDB_METADATA_MAX bytes of
 * UTF-8 without NUL, which is held against it here, and an object, which the caller has checked;
 * the tools take none with numbers beyond a double's range, more than 2,048 levels, a NUL in a key
 * or half of a surrogate pair. The same id may be put several times: the last one lives. After an
 * error other than VDB_IO and VDB_NO_MEMORY the transaction is as it was before the call and can go
 * on. Errors: VDB_INVALID (bad id; a number that is not finite or that the index's type cannot
 * hold; zero vector under cosine), VDB_EXISTS, VDB_NOT_FOUND, VDB_LIMIT. */
VDB_API enum vdb_status vdb_txn_put(struct vdb_txn *txn, enum vdb_put_mode mode, const char *id,
                                    size_t id_len, const float *vector, const char *metadata,
                                    size_t metadata_len, struct vdb_error *err);

/* Deletes the live row with that id, one put earlier in this transaction included.
 * Errors: VDB_NOT_FOUND, VDB_INVALID. */
VDB_API enum vdb_status vdb_txn_delete(struct vdb_txn *txn, const char *id, size_t id_len,
                                       struct vdb_error *err);

/* Brings back of the deleted rows with that id the one that was live last: where compaction has
 * purged it, an older one may be there, which a named commit sees. Errors: VDB_NOT_FOUND where
 * there is none, VDB_EXISTS where a live row has the id. */
VDB_API enum vdb_status vdb_txn_restore(struct vdb_txn *txn, const char *id, size_t id_len,
                                        struct vdb_error *err);

/* Commits all of it, durably, or nothing; the transaction is gone either way. One without changes
 * writes nothing. Waits for other writers as long as the handle's `wait` says (VDB_BUSY).
 * Errors: VDB_BUSY, VDB_IO, VDB_DURABILITY_UNKNOWN (the handle then refuses further writes),
 * VDB_EXISTS / VDB_NOT_FOUND (another writer's commit came between; `info` is not filled),
 * VDB_CANCELLED, VDB_READ_ONLY, and as vdb_snapshot_open, which looks at what others have done. */
VDB_API enum vdb_status vdb_txn_commit(struct vdb_txn *txn, struct vdb_commit_info *info,
                                       struct vdb_error *err);
VDB_API void vdb_txn_abort(struct vdb_txn *txn);

/* ---- history of changes -------------------------------------------------------------------- */

enum vdb_operation {
    VDB_OPERATION_ADD = 1,    /* a row was added; no live one had its id */
    VDB_OPERATION_UPDATE = 2, /* a row was added in place of the live one with its id */
    VDB_OPERATION_DELETE = 3, /* the row with this id was deleted */
    VDB_OPERATION_RESTORE = 4 /* the deleted row with this id was restored */
};

struct vdb_log; /* the changes that led to a snapshot, on the way from the oldest to the newest */

struct vdb_log_options {
    size_t size;
    uint64_t since_commit; /* only changes of commits after this one; 0: all */
    int64_t since_us; /* only those of commits at this time or later, in microseconds since 1970 */
    uint64_t last;    /* of these, only so many that are the newest; 0: all */
};
#define VDB_LOG_OPTIONS_INIT                                                                       \
    {                                                                                              \
        sizeof(struct vdb_log_options), 0, 0, 0                                                    \
    }

struct vdb_log_entry {
    uint64_t commit;
    int64_t time_us; /* when that was made, in microseconds since 1970 */
    enum vdb_operation operation;
    const char *id; /* without final NUL; valid until the next call with this log */
    size_t id_len;
    uint32_t row; /* of the snapshot; UINT32_MAX: a compaction has taken the row's number away */
};

/* Opens the history of changes up to a snapshot, which it keeps: they come in the order of their
 * commits; those of one commit as rows added or updated, by row, then as rows deleted and restored,
 * in their order. It takes memory by what the largest commit replaced. A log belongs to one thread
 * at a time; the caller ends it with vdb_log_close.
 * Compaction in place keeps the history, as far as it is asked to; of commits that came while it
 * was at work it keeps what they came to, where a restored row is one added.
 * Errors: VDB_INVALID (options), VDB_CORRUPT. */
VDB_API enum vdb_status vdb_log_open(const struct vdb_snapshot *snapshot,
                                     const struct vdb_log_options *options, struct vdb_log **log,
                                     struct vdb_error *err);

/* Checksums are verified of all that is read, but for ids that lie in parts, which are read as
 * vdb_row_id does. VDB_NOT_FOUND: there was no further change; err is left alone.
 * Errors: VDB_CORRUPT, VDB_NO_MEMORY, after which there is only vdb_log_close. */
VDB_API enum vdb_status vdb_log_next(struct vdb_log *log, struct vdb_log_entry *entry,
                                     struct vdb_error *err);

/* The oldest commit whose changes are recorded: 2 in a file whose history is whole, since creation
 * changes no row. The snapshot's commit plus one where none is. */
VDB_API uint64_t vdb_log_first_commit(const struct vdb_log *log);

/* NULL is allowed. */
VDB_API void vdb_log_close(struct vdb_log *log);

/* ---- the past ------------------------------------------------------------------------------ */

/* The index as it was after an earlier commit, or after the snapshot's own: *past is the caller's
 * and as good as any other snapshot, but that transactions are not made over it. Rows have the
 * numbers that they have in `snapshot`; those that came later are not there. The work grows with
 * what was changed since. Every commit can be had that came after the last compaction in place, and
 * of those before the ones that it kept: commits with a name, and commits as young as it was asked
 * to keep the rows of.
 * Errors: VDB_NOT_FOUND (a commit that is still to come, 0, or one that is not kept any more: the
 * message names the oldest that is, and its neighbours), VDB_CORRUPT. */
VDB_API enum vdb_status vdb_snapshot_at(const struct vdb_snapshot *snapshot, uint64_t commit,
                                        const struct vdb_snapshot **past, struct vdb_error *err);

/* The commit that was the newest at a time, in microseconds since 1970; that of the snapshot where
 * the time is later than it. Errors: VDB_NOT_FOUND where it was not kept, or the index was not made
 * yet; VDB_CORRUPT. */
VDB_API enum vdb_status vdb_commit_at(const struct vdb_snapshot *snapshot, int64_t time_us,
                                      uint64_t *commit, struct vdb_error *err);

/* A named commit: what users call a snapshot. As long as it has a name, compaction in place keeps
 * what it sees. Names are 1 to VDB_NAME_MAX bytes of UTF-8 without control characters. */
struct vdb_name {
    const char *name; /* without final NUL; valid as long as the snapshot that it was asked of */
    size_t name_len;
    uint64_t commit;
    int64_t commit_time_us; /* when that was made, in microseconds since 1970 */
    int64_t created_us;     /* when it was given the name */
    uint64_t rows, live;    /* at that commit; `rows` with deleted ones */
    uint8_t origin_id[16];  /* the state is that of commit origin_commit of the index with this
                               file_id: of this index itself, or of the one it was received from */
    uint64_t origin_commit;
};

/* The names that there were at the snapshot's commit when it was taken, in their order by bytes;
 * `index` from 0. VDB_NOT_FOUND past the last. */
VDB_API enum vdb_status vdb_name_at(const struct vdb_snapshot *snapshot, uint32_t index,
                                    struct vdb_name *name);

/* Errors: VDB_NOT_FOUND. */
VDB_API enum vdb_status vdb_name_find(const struct vdb_snapshot *snapshot, const char *name,
                                      size_t name_len, struct vdb_name *found,
                                      struct vdb_error *err);

/* Gives the newest commit of the index a name, durably, in time that does not depend on the rows.
 * It makes no commit and waits for writers as one does. *commit, or NULL, is the commit named.
 * Errors: VDB_EXISTS (the name is taken), VDB_INVALID (it is none), VDB_LIMIT (there are
 * VDB_NAMES_MAX already), and as vdb_txn_commit. */
VDB_API enum vdb_status vdb_name_create(struct vdb *db, const char *name, size_t name_len,
                                        uint64_t *commit, struct vdb_error *err);

/* Takes a name away, in the same way. The commit can be gone back to until compaction purges it.
 * Errors: VDB_NOT_FOUND, and as vdb_txn_commit. */
VDB_API enum vdb_status vdb_name_remove(struct vdb *db, const char *name, size_t name_len,
                                        struct vdb_error *err);

/* Makes a commit after which the live rows are those that were at an earlier one. It adds no rows,
 * takes time by what was changed since, and can be rolled back itself. Where nothing differs
 * nothing is written. `info` counts rows deleted and restored.
 * Errors: as vdb_snapshot_at and vdb_txn_commit. */
VDB_API enum vdb_status vdb_rollback(struct vdb *db, uint64_t commit, struct vdb_commit_info *info,
                                     struct vdb_error *err);

/* What differs between two states of one index, told by ids. */
struct vdb_diff;

struct vdb_diff_entry {
    enum vdb_operation operation; /* VDB_OPERATION_ADD: only `to` has the id; UPDATE: both, in
                                     different rows; DELETE: only `from` has it */
    const char *id;               /* without final NUL; valid until the snapshots are closed */
    size_t id_len;
    uint32_t from_row, to_row; /* UINT32_MAX: there is none */
};

/* Goes from one snapshot to another, of which both were made from the same one by vdb_snapshot_at,
 * or are that one; either may be the older. They are kept until vdb_diff_close. Changes come as
 * added and updated ids, by their rows in `to`, then deleted ones, by their rows in `from`. The
 * work grows with the rows that differ, and a bit a row. A diff belongs to one thread at a time.
 * Errors: VDB_INVALID (snapshots that do not share a state of the file). */
VDB_API enum vdb_status vdb_diff_open(const struct vdb_snapshot *from,
                                      const struct vdb_snapshot *to, struct vdb_diff **diff,
                                      struct vdb_error *err);

/* VDB_NOT_FOUND: there is no further difference; err is left alone. Errors: VDB_CORRUPT. */
VDB_API enum vdb_status vdb_diff_next(struct vdb_diff *diff, struct vdb_diff_entry *entry,
                                      struct vdb_error *err);

/* NULL is allowed. */
VDB_API void vdb_diff_close(struct vdb_diff *diff);

/* ---- sending and receiving ----------------------------------------------------------------- */

/* Takes `len` bytes; a value other than 0 ends the sending with VDB_IO, and errno tells why. */
typedef int (*vdb_write_fn)(void *context, const void *bytes, size_t len);

/* Fills `bytes` with up to `len` bytes and returns how many; 0 at the end; below 0, with errno,
 * where reading failed. */
typedef ptrdiff_t (*vdb_read_fn)(void *context, void *bytes, size_t len);

/* Writes a stream (format-spec/stream.md): with `from` NULL, the whole of what `to` sees; else what
 * makes `to` of `from`, both as vdb_diff_open wants them: changed rows in full, ids of deleted
 * ones, and the names that the commit of `to` has. Its length follows what differs.
 * Errors: VDB_INVALID, VDB_IO, VDB_CORRUPT. */
VDB_API enum vdb_status vdb_send(const struct vdb_snapshot *from, const struct vdb_snapshot *to,
                                 vdb_write_fn write, void *context, struct vdb_error *err);

struct vdb_receive_options {
    size_t size;
    int force; /* 1: changes that the index has had since the stream's base, or all that a whole
                  stream does not have, are undone by the same commit, and names that other states
                  have are taken from them */
};
#define VDB_RECEIVE_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(struct vdb_receive_options), 0                                                      \
    }

struct vdb_receive_info {
    uint64_t commit;                  /* the newest of the index afterwards */
    uint64_t added, updated, deleted; /* rows, those that were gone back to included */
    int created;                      /* 1: there was no index, and it was made */
    int known;                        /* 1: the state was there already, and nothing was done */
};

/* Applies a stream to the index at `path`, which a whole stream makes where there is none: in one
 * commit, which leaves the live rows and the names of the stream's state, durably, or not at all.
 * The whole stream is read to its end and verified before anything is written; memory holds a few
 * MiB of it, and what is more lies in an unlinked file beside the index. `open` says how the index
 * is opened.
 * Receiving a state that is the index's newest changes nothing, nor does one that it has by a name
 * where all that it had since was received too, unless it is told by changes from the newest one. A
 * stream of changes goes onto its base, found by
 * where it came from and not by its name here: where the newest state was received as well, it is
 * left for the base by the same commit. A whole stream goes into an index without rows, or takes
 * the place of a state that came from the same sender. Errors: VDB_CORRUPT (a stream that is
 * damaged or cut off, or rows that no index could have), VDB_UNSUPPORTED (one of another version,
 * metric, type or dimension than the index), VDB_NOT_FOUND (its base is not in the index: the
 * message names it), VDB_EXISTS (the index has changed since the base, or since it had the stream's
 * state, or has rows of its own and the stream is whole, or another state has a name of the
 * stream's: see `force`), VDB_BUSY (another process made the index meanwhile), VDB_IO, and as
 * vdb_create, vdb_open and vdb_txn_commit. */
VDB_API enum vdb_status vdb_receive(const char *path, const struct vdb_open_options *open,
                                    const struct vdb_receive_options *options, vdb_read_fn read,
                                    void *context, struct vdb_receive_info *info,
                                    struct vdb_error *err);

/* ---- locks --------------------------------------------------------------------------------- */

struct vdb_locks {
    int writing, maintaining; /* 1: a handle has the lock for commits, or for maintenance */
};

/* Whether the file's locks are held at this moment, by other handles than this one. Errors:
 * VDB_IO. */
VDB_API enum vdb_status vdb_locks(struct vdb *db, struct vdb_locks *locks, struct vdb_error *err);

/* Who maintains the index at this moment: holder becomes "process 123 (vdb-compact)", or "" where
 * nobody does or it cannot be told. On Linux a process is found that belongs to the same user,
 * which takes a look at all that run. Errors: VDB_IO. */
VDB_API enum vdb_status vdb_maintainer(struct vdb *db, char holder[64], struct vdb_error *err);

/* ---- maintenance --------------------------------------------------------------------------- */

struct vdb_maintain_options {
    size_t size;
    unsigned threads; /* 0: as the handle was opened */
    vdb_progress_fn progress;
    void *context;
    int64_t now_us; /* by which ages and quiet hours go, in microseconds since 1970; 0: the clock */
    /* A part is merged with the rows behind it from so many hundredths of its own on, 1 to 100, and
     * so many of the rows in parts are a tail to build one of; 0: 100, and as below. With less
     * there are fewer parts to search, and the file grows by a copy of the part more often. */
    unsigned merge_percent;
    double wait; /* seconds to wait for another process that is at it; 0: try once */
};
#define VDB_MAINTAIN_OPTIONS_INIT                                                                  \
    {                                                                                              \
        sizeof(struct vdb_maintain_options), 0, NULL, NULL, 0, 0, 0.0                              \
    }

/* Builds a part from the tail where that has grown long enough to slow searches, merging smaller
 * parts into it, whose largest keeps its graph until that has half of its rows from such merges;
 * otherwise does nothing. Where the index has quiet hours and it is none of them, the tail may grow
 * to 16 times that length first. Of VDB_INDEX_HYBRID, a graph is built of what holds recent rows,
 * and old rows that lie in an inverted file stay there.
 * Other processes read and commit meanwhile. What killed creations and compactions have left under
 * passing names goes.
 * Errors: VDB_BUSY where another process is at it, VDB_READ_ONLY, VDB_IO, VDB_DURABILITY_UNKNOWN,
 * VDB_CANCELLED, and as vdb_snapshot_open. After any of them the rows are what they were. */
VDB_API enum vdb_status vdb_maintain(struct vdb *db, const struct vdb_maintain_options *options,
                                     struct vdb_error *err);

/* 1 where vdb_maintain would build something now, by the options' time; else 0. */
VDB_API int vdb_maintain_wanted(const struct vdb_snapshot *snapshot,
                                const struct vdb_maintain_options *options);

struct vdb_compact_options {
    size_t size;
    const char *output; /* write a dense file here, in the place of one that is there, and leave the
                           index alone; NULL: in place */
    enum vdb_index_kind index; /* used, and kept for later builds, where `set_index` is 1 */
    int set_index;
    unsigned threads;
    vdb_progress_fn progress;
    void *context;
    enum vdb_codes codes; /* likewise, where `set_codes` is 1 */
    int set_codes;
    /* As in struct vdb_create_options, used and kept; 0: as the index has them, but a degree that
     * was given for an HNSW is none for a graph, nor the other way round. */
    uint32_t degree, ef_construction;
    /* An inverted file gets a list around each of these, in this order, in place of lists found by
     * clustering: centroid_count times dim numbers, 1 to as many vectors as there are live rows,
     * whose grid of 8-bit codes they are rounded to; what lies outside of it becomes its nearest
     * end. Under cosine they are taken as they are, among rows of length 1. They are not kept for
     * later builds. NULL and 0: none are given. */
    const float *centroids;
    uint32_t centroid_count;
    /* As in struct vdb_create_options, used and kept. Both 0: as the index has them. */
    uint32_t recent_rows;
    uint64_t recent_seconds;
    uint32_t quiet_begin, quiet_end; /* likewise, where `set_quiet` is 1; equal: no quiet hours */
    int set_quiet;
    int64_t now_us; /* by which ages go, in microseconds since 1970; 0: the clock */
    /* In place, where `set_history` is 1: of the history of changes only commits of the last so
     * many seconds are kept, of 0 none. An output has none in any case. */
    uint64_t history_seconds;
    int set_history;
    /* In place: beside what named commits see, rows are kept that were live at any commit of the
     * last so many seconds, up to VDB_RECENT_SECONDS_MAX, so that each of these can be gone back
     * to; UINT64_MAX: at any commit there still is. 0: none. */
    uint64_t keep_rows_seconds;
    /* Called with the path under which the new file is written, for who removes that when the
     * process is ended meanwhile (else the next one that writes there does), and with NULL when
     * nothing of this process is there any more. From the thread that called vdb_compact; it must
     * not call the library. NULL: nobody wants to know. */
    void (*passing)(void *context, const char *path);
};
#define VDB_COMPACT_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(struct vdb_compact_options), NULL, VDB_INDEX_AUTO, 0, 0, NULL, NULL,                \
            VDB_CODES_AUTO, 0, 0, 0, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL                      \
    }

/* Writes the live rows, in row order, with one part over them all, into a fresh file: into
 * `output`, or into a new file that then takes the index's place. Rows are numbered anew. In place,
 * deleted rows are taken along that a named commit sees, or one of keep_rows_seconds.
 * Of VDB_INDEX_HYBRID, old rows get an inverted file and recent ones a graph, a part each. A row's
 * age is that of its commit; one whose time is not recorded is old.
 * The bytes of an `output` depend on rows, their order and options alone, and where rows are told
 * apart by age, on their times.
 * Readers go on undisturbed; commits made meanwhile are taken along.
 * Codes that the index was made with and that its new kind cannot have become VDB_CODES_AUTO.
 * Errors: VDB_INVALID (codes that the kind cannot have; centroids where no inverted file is built,
 * too many of them, or one with a number that is not finite), VDB_BUSY, VDB_READ_ONLY,
 * VDB_CANNOT_CREATE, VDB_IO, VDB_CORRUPT, VDB_CANCELLED, and as vdb_snapshot_open. After any of
 * them the rows are what they were; after VDB_IO the file may be the new one already. */
VDB_API enum vdb_status vdb_compact(struct vdb *db, const struct vdb_compact_options *options,
                                    struct vdb_error *err);

/* How many rows vdb_compact would leave out with these options: deleted ones that nothing holds.
 * The work grows with the rows, a bit each, and, where commits have names or rows are to be kept,
 * with the changes that are recorded.
 * Errors: VDB_INVALID, VDB_CANCELLED, VDB_CORRUPT. */
VDB_API enum vdb_status vdb_compact_purges(const struct vdb_snapshot *snapshot,
                                           const struct vdb_compact_options *options,
                                           uint64_t *rows, struct vdb_error *err);

struct vdb_check_options {
    size_t size;
    int deep; /* 1: also every invariant that the spec states, not only checksums */
    unsigned threads;
    void (*report)(void *context, const struct vdb_error *finding); /* called once a finding */
    void *context;
};
#define VDB_CHECK_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(struct vdb_check_options), 0, 0, NULL, NULL                                         \
    }

/* Verifies the file at `path`. *findings counts what was reported; 0: sound. Returns VDB_OK when
 * the check could be carried through, whatever it found. Errors: VDB_CANNOT_OPEN, VDB_CORRUPT (no
 * vdb index at all), VDB_UNSUPPORTED, VDB_IO. */
VDB_API enum vdb_status vdb_check(const char *path, const struct vdb_check_options *options,
                                  uint64_t *findings, struct vdb_error *err);

/* ---- salvage ------------------------------------------------------------------------------- */

enum vdb_salvage_what {
    VDB_SALVAGE_ROW = 1,     /* the row `first` is lost, whose id is known */
    VDB_SALVAGE_ROWS = 2,    /* the rows first to last that were live are lost; their ids too */
    VDB_SALVAGE_COMMITS = 3, /* what the commits first to last changed is lost; last is 0 where it
                                is not known how many there were */
    VDB_SALVAGE_DOUBTFUL = 4 /* the row `first`, with its id, is in the output: it may have been
                                deleted or replaced */
};

struct vdb_salvage_loss {
    enum vdb_salvage_what what;
    uint64_t first, last;
    const char *id; /* without final NUL, good during the call; NULL where it is not known */
    size_t id_len;
    struct vdb_error why; /* what is damaged, by segment and offset in the file */
};

struct vdb_salvage_options {
    size_t size;
    unsigned threads; /* for the index of the output; 0: one a processor */
    /* Called once for each loss, in the order commits, rows by their numbers, doubtful rows. */
    void (*report)(void *context, const struct vdb_salvage_loss *loss);
    vdb_progress_fn progress;
    void *context;
};
#define VDB_SALVAGE_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(struct vdb_salvage_options), 0, NULL, NULL, NULL                                    \
    }

struct vdb_salvage_info {
    uint64_t commit;   /* whose state the output has */
    uint64_t rows;     /* in the output, doubtful ones included */
    uint64_t lost;     /* rows that were live, or may have been, and are not in it */
    uint64_t doubtful; /* rows in it that may have been deleted or replaced */
    uint64_t mended;   /* structures and segments in which one wrong bit was put right */
    int behind;        /* 1: there were later commits than `commit` */
};

/* Writes what can be proven sound of a damaged index at `path` into a new one at `output`, which
 * must not exist: the live rows at the newest state that can be told, in row order, each only where
 * checksums vouch for its id, vector and metadata; with the dimension, metric, type and index
 * options of the damaged one. Where the newest superblock or manifest is damaged, an older one and
 * the log behind it do; a row whose part is damaged is taken from the log's record that brought it,
 * or from an older part, where they are still in the file; and in structures and segments of up to
 * 16 KiB one wrong bit is put right where the checksum shows which. Rows of which it cannot be told
 * whether they were deleted are taken too, behind the others, the newest of each id, and reported.
 * Names, history, past states and the times of rows are not carried over: it is one commit.
 * `path` is only read, without a lock; nobody should write to it meanwhile. On success the output
 * and its name are durable; else it is not there. With `output` NULL nothing is written, and what
 * would be is counted and what would be lost is reported; doubtful rows are then all that there
 * are, also where several have one id. *info, or NULL, is filled in on success.
 * Errors: VDB_CANNOT_OPEN, VDB_CORRUPT (no index, or no manifest of it is left), VDB_UNSUPPORTED,
 * VDB_EXISTS (the output is there), VDB_CANNOT_CREATE, VDB_CANCELLED, VDB_IO. */
VDB_API enum vdb_status vdb_salvage(const char *path, const char *output,
                                    const struct vdb_salvage_options *options,
                                    struct vdb_salvage_info *info, struct vdb_error *err);

#ifdef __cplusplus
}
#endif

#endif
