/* disk.h: every structure and constant of the file, declared once.
 *
 * Disk structs are byte-array integers only (base/le.h). Sizes and offsets are held against the
 * tables of format-spec/ by assertions that `make spec` generates from those tables.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_DISK_H
#define VDB_FORMAT_DISK_H

#include "base/le.h"

/* ---- the file ------------------------------------------------------------------------------ */

#define VDB_MAGIC              "\x8fVDB\r\n\x1a\n"
#define VDB_VERSION_MAJOR      0
#define VDB_VERSION_MINOR      9    /* and later ones: what they add, the masks tell */
#define VDB_SUPERBLOCK_SIZE    512  /* one sector, so that no crash tears it */
#define VDB_SUPERBLOCK_STRIDE  4096 /* from a slot to the next: a page each */
#define VDB_SUPERBLOCK_SLOTS   2
#define VDB_ARRAY_ALIGN        64
#define VDB_SEGMENT_ALIGN      65536
#define VDB_SEGMENT_ALIGN_HUGE 2097152
#define VDB_NO_ROW             0xffffffffu

/* Byte ranges of the OFD locks: one byte each, far past any file's end. */
#define VDB_LOCK_QUEUE    0x3ffffffffffffff0
#define VDB_LOCK_WRITE    0x4000000000000000
#define VDB_LOCK_MAINTAIN 0x4000000000000001
#define VDB_LOCK_NEW      0x4000000000000002

/* Feature masks: the bits that this version knows, and those that have a name but no meaning yet.
 */
#define VDB_COMPAT_KNOWN             0u
#define VDB_RO_COMPAT_KNOWN          0u
#define VDB_INCOMPAT_KNOWN           0u
#define VDB_COMPAT_COLUMNS           1u
#define VDB_INCOMPAT_BINARY_VECTORS  1u
#define VDB_INCOMPAT_MULTI_VECTOR    2u
#define VDB_INCOMPAT_LONG_ROW_NUMBER 4u

/* Superblock flags: a compaction has put another file in this one's place. */
#define VDB_SUPERBLOCK_SUPERSEDED 1u

struct disk_superblock {
    uint8_t magic[8];
    le16 version_major;
    le16 version_minor;
    le32 header_len; /* VDB_SUPERBLOCK_SIZE */
    le64 compat;
    le64 ro_compat;
    le64 incompat;
    uint8_t file_id[16];
    le64 generation;
    le64 manifest_off;
    le64 manifest_len;
    le64 log_off;   /* where the first record after the manifest's commit lies or will lie */
    le64 log_end;   /* end of the log extent that holds log_off */
    le64 log_check; /* chain value that the record at log_off must name as its predecessor's */
    le64 file_end;  /* the file is at least this long */
    le64 flags;
    uint8_t reserved[384];
    le64 check; /* XXH3-64 of the 504 bytes before it */
};

/* ---- the manifest -------------------------------------------------------------------------- */

#define VDB_MANIFEST_MAGIC "VMAN"
#define VDB_PARTS_MAX      4096 /* each search and each look-up of an id goes through all of them */

enum { DISK_METRIC_L2 = 1, DISK_METRIC_COSINE = 2, DISK_METRIC_IP = 3 };
enum { DISK_TYPE_F32 = 1, DISK_TYPE_F16 = 2, DISK_TYPE_I8 = 3, DISK_TYPE_U8 = 4 };
enum {
    DISK_INDEX_AUTO = 0,
    DISK_INDEX_FLAT = 1,
    DISK_INDEX_GRAPH = 2,
    DISK_INDEX_HNSW = 3,
    DISK_INDEX_IVF = 4,
    DISK_INDEX_HYBRID = 5
};
enum {
    DISK_CODES_AUTO = 0,
    DISK_CODES_NONE = 1,
    DISK_CODES_I8 = 2,
    DISK_CODES_I4 = 3,
    DISK_CODES_PQ = 4,
    DISK_CODES_B1 = 5
};

struct disk_table { /* a table within the manifest */
    le64 off;       /* from the start of the manifest */
    le32 count;
    le32 entry_size;
};

struct disk_manifest {
    uint8_t magic[4];
    le32 header_len; /* sizeof(struct disk_manifest) */
    le64 length;     /* header and tables */
    le64 generation; /* equals the superblock's */
    le64 commit;     /* the state that this manifest describes; later commits are in the log */
    le64 commit_time_us;
    le32 row_count; /* rows after that commit, deleted ones included */
    le32 live_count;
    le32 dim;
    le16 metric;
    le16 type;
    le64 created_us;
    le64 horizon_commit;  /* the oldest commit whose state can be had */
    le16 index;           /* the index kind that maintenance builds */
    le16 codes;           /* DISK_CODES_*: the codes that it gives graphs */
    le32 degree;          /* R of graphs to be built, 0: by default */
    le32 ef_construction; /* 0: by default */
    le32 alpha_milli;     /* alpha of robust pruning in thousandths, 0: by default */
    struct disk_table parts;
    struct disk_table segments;
    struct disk_table log_extents;
    struct disk_table snapshots;
    le64 recent_seconds;   /* DISK_INDEX_HYBRID: what age makes a row old; 0: recent_rows counts */
    le32 recent_rows;      /* the newest rows, which are recent; 0: recent_seconds counts */
    le16 quiet_begin;      /* minutes of the day in UTC between which maintenance runs; */
    le16 quiet_end;        /* equal: at all hours */
    uint8_t origin_id[16]; /* the state at received_commit is that of another index, of this file */
    le64 origin_commit;    /* id, at this commit; all zero: none was received */
    le64 received_commit;
    uint8_t reserved[48];
    le64 check; /* XXH3-64 of the manifest's length bytes with this field zero */
};

enum { DISK_PART_FLAT = 1, DISK_PART_GRAPH = 2, DISK_PART_IVF = 3 };

struct disk_part {
    le16 kind;
    le16 version;
    le32 flags;
    le32 row_begin;
    le32 row_end;
    le32 segment_first; /* into the manifest's segment table */
    le32 segment_count;
    le64 commit; /* the part was built from the state at this commit */
    uint8_t reserved[32];
};

enum {
    DISK_SEGMENT_VECTOR = 1,
    DISK_SEGMENT_CODE = 2,
    DISK_SEGMENT_GRAPH = 3,
    DISK_SEGMENT_ID = 4,
    DISK_SEGMENT_ID_HASH = 5,
    DISK_SEGMENT_METADATA = 6,
    DISK_SEGMENT_TOMBSTONE = 7,
    DISK_SEGMENT_HISTORY = 8,
    DISK_SEGMENT_CALIBRATION = 9,
    DISK_SEGMENT_IVF = 10,
    DISK_SEGMENT_TIME = 11,
    DISK_SEGMENT_STATES = 12
};

#define DISK_SEGMENT_OPTIONAL 1u /* flags: a reader that does not know the type skips it */

struct disk_segment {
    le16 type;
    le16 version; /* 1 for every type of this page */
    le32 flags;
    le64 off;
    le64 len;
    le32 row_begin;
    le32 row_end;
    le32 stride; /* vector segments: bytes from row to row; else 0 */
    le32 reserved0;
    le64 check; /* XXH3-64 of the len bytes */
    uint8_t reserved1[16];
};

struct disk_row_time { /* an entry of a time segment */
    le64 time_us; /* of the newest commit of these rows, all of which were made within one second */
    le32 row;     /* the first of them, counted from the part's first */
    le32 reserved;
};

struct disk_log_extent {
    le64 off;
    le64 len;
    le64 first_commit;
    le64 time_us; /* of the commit before first_commit */
};

struct disk_snapshot {
    le64 commit;
    le64 commit_time_us;
    le64 created_us;
    le64 origin_commit;    /* the state is that of this commit of the index with this file id, */
    uint8_t origin_id[16]; /* where the snapshot was first created */
    le32 row_count;
    le32 live_count;
    le16 name_len;
    uint8_t name[198]; /* zero-padded UTF-8 */
};

/* ---- the log ------------------------------------------------------------------------------- */

#define VDB_RECORD_MAGIC "VREC"

enum { DISK_RECORD_COMMIT = 1, DISK_RECORD_LINK = 2, DISK_RECORD_NAMES = 3 };
enum { DISK_RECORD_OPTIONAL = 0x8000 }; /* in a kind: who does not know it passes over the record */

struct disk_record { /* the head of every log record */
    uint8_t magic[4];
    le16 kind;
    le16 version; /* 1 */
    le64 length;  /* of the record, inline blocks included; a multiple of 64 */
    le64 commit;  /* commit: its number; else the number of the last commit before it */
    le64 time_us; /* microseconds since 1970-01-01T00:00:00Z */
    le64 prev_check;
    le64 check; /* XXH3-64 of the record's length bytes with this field zero */
    uint8_t reserved[16];
};

struct disk_block { /* a run of bytes that a commit owns; off is from the start of the file */
    le64 off;
    le64 len;
    le64 check; /* XXH3-64 of the len bytes */
};

struct disk_commit { /* follows a record's head of kind DISK_RECORD_COMMIT */
    le32 row_base;   /* the number of the first row added */
    le32 row_count;  /* rows added */
    le32 live_count; /* live rows after this commit */
    le32 event_count;
    struct disk_block vectors;
    struct disk_block ids;      /* laid out as an id segment */
    struct disk_block metadata; /* laid out as a metadata segment; len 0: no row has any */
    struct disk_block events;
    le32 stride;     /* of the vectors */
    le32 name_count; /* disk_name_change at the end of the record, made with the commit */
    uint8_t reserved[8];
};

struct disk_link { /* follows a record's head of kind DISK_RECORD_LINK: the log goes on elsewhere */
    le64 next_off;
    le64 next_len;
    uint8_t reserved[48];
};

struct disk_names { /* follows a record's head of kind DISK_RECORD_NAMES, before its changes */
    le32 count;
    uint8_t reserved[60];
};

enum { DISK_NAME_CREATE = 1, DISK_NAME_REMOVE = 2, DISK_NAME_RECEIVED = 3 };

struct disk_name_change {
    le16 operation;
    uint8_t reserved[62];
    struct disk_snapshot snapshot;
};

enum { DISK_EVENT_DELETE = 1, DISK_EVENT_RESTORE = 2, DISK_EVENT_REPLACE = 3 };

struct disk_event {
    le32 row;
    le32 kind;
};

/* ---- segments ------------------------------------------------------------------------------ */

#define VDB_ID_GROUP 64 /* rows that share one base in an id segment: 64 * 1023 fits 16 bits */

struct disk_id_header {
    le32 row_count;
    le32 reserved0;
    le64 bases_off; /* u64 a group of 64 rows: where its bytes begin, from bytes_off */
    le64 ends_off;  /* u16 a row: where the id ends, from its group's base */
    le64 bytes_off;
    le64 bytes_len;
    uint8_t reserved1[24];
};

struct disk_id_hash_header {
    le32 entry_count;
    le32 bucket_bits; /* 2^bucket_bits buckets, by the top bits of XXH3-64 of the id; 0: one bucket
                       */
    le64 buckets_off; /* u32 a bucket and one more: its first entry */
    le64 entries_off;
    uint8_t reserved[40];
};

struct disk_id_hash_entry { /* ordered by bucket, tag, row */
    le32 tag;               /* the low 32 bits of the hash */
    le32 row;               /* counted from the segment's row_begin */
};

#define VDB_METADATA_BLOCK      16384 /* rows are gathered until a block holds this many bytes */
#define VDB_METADATA_BLOCK_ROWS 4096  /* which are four a row at least */
#define VDB_METADATA_MAX        16777216

struct disk_metadata_header {
    le32 row_count;
    le32 block_count;
    le64 blocks_off;
    le64 data_off;
    le64 data_len;
    uint8_t reserved[32];
};

enum { DISK_BLOCK_STORED = 0, DISK_BLOCK_LZ4 = 1 };

struct disk_packed_block { /* of metadata and history segments */
    le32 first;            /* its first row (or history entry) */
    le32 packing;          /* DISK_BLOCK_* */
    le32 raw_len;
    le32 packed_len;
    le64 off; /* from data_off */
};

enum { DISK_CODE_SQ8 = 1, DISK_CODE_SQ4 = 2 };

/* Code flags: codes are stored as i8, the code being the byte with its top bit turned; codes are of
 * the vectors divided by their length; they are of what is rotated. */
#define DISK_CODE_SIGNED    1u
#define DISK_CODE_NORMALIZE 2u
#define DISK_CODE_ROTATED   4u

struct disk_plane { /* one value a row, at off + row * stride, from the start of the file */
    le64 off;
    le32 stride;
    le32 width; /* bytes a row */
};

struct disk_code_header {
    le16 kind;
    le16 reserved0;
    le32 flags;
    le32 row_count;
    le32 dim;
    struct disk_plane codes; /* SQ8: u8 a dimension, SQ4: half of one; up to a multiple of 64 */
    struct disk_plane norms; /* SQ8: i32, sum c*c - 256 sum c; SQ4: two f32 */
    le32 scale;              /* f32, SQ8: value = scale * (code - zero) */
    le32 zero;
    le32 bias;       /* f32: what estimates near a query are too high by, on average */
    le32 error;      /* f32: their root mean square error about that */
    le64 center_off; /* SQ4: dim f32, from the start of the file; else 0 */
    uint8_t reserved1[56];
};

struct disk_graph_header {
    le32 row_count;
    le32 degree; /* R: entries a row */
    le32 pivot_count;
    le32 ef_construction;
    le64 pivots_off; /* u32 a pivot: rows to enter by, counted from row_begin */
    le64 edges_off;  /* u32 times R a row, filled from the front, VDB_NO_ROW behind */
    le32 alpha_milli;
    le32 code_bytes;      /* of a pivot's copied code; 0: there are no copies */
    le64 pivot_codes_off; /* the codes of the pivots, one behind another */
    le64 pivot_norms_off; /* norm_bytes a pivot */
    le32 norm_bytes;
    le32 level_count;     /* of an HNSW, level 0 included; 0: there are none */
    le32 level_degree;    /* M: entries a member on the levels above 0 */
    le32 member_count;    /* rows on level 1 */
    le64 level_sizes_off; /* u32 a level from 1 on: its members */
    le64 members_off;     /* u32 a member: its row, those of higher levels first */
    le64 level_edges_off; /* u32 times M a member, level after level from 1 on */
    le32 leader_count;    /* pivots that lead a group of others; 0: there are no groups */
    le32 built_rows;      /* the first so many were built at once; 0, or above row_count: all */
    le64 groups_off;      /* u32 a leader: where its group ends among the pivots */
    le32 grid_scale;      /* f32, of the 8-bit codes that it was built by, where the part's are of
                             another kind; 0: not known */
    le32 grid_zero;
    uint8_t reserved1[8];
};

#define VDB_IVF_PAGE  4096 /* a list's blocks begin at a multiple of it, from blocks_off */
#define VDB_IVF_BLOCK 16   /* slots a block */

/* Flags of an IVF: rows may stand in two lists; residuals are transformed by a matrix. */
#define DISK_IVF_SPILLED 1u
#define DISK_IVF_MATRIX  2u

struct disk_ivf_header { /* offsets are from the start of the segment */
    le32 row_count;
    le32 list_count;
    le32 slot_count; /* places for rows: VDB_IVF_BLOCK times the blocks of all lists */
    le32 code_count; /* 4-bit codes a slot */
    le32 sub_dim;    /* dimensions a code */
    le32 out_dim;    /* dimensions after the transform */
    le32 flags;
    le32 code_bytes; /* of an 8-bit code: dim, up to a multiple of 64 */
    le32 scale;      /* f32: value = scale * (code - zero), of centroids and of slot codes */
    le32 zero;
    le32 unit_b; /* f32, as is the next: what b and f of the blocks are multiplied by */
    le32 unit_f;
    le32 survivors[3];   /* for k 1, 10, 100: how many of the least estimates are looked at again */
    le32 survivor_lists; /* with so many lists; 0, more than list_count: not known */
    le64 centroids_off;  /* code_bytes a list */
    le64 centroid_norms_off; /* i32 a list */
    le64 lists_off;          /* disk_ivf_list a list */
    le64 slot_rows_off;      /* u32 a slot: its row, counted from row_begin, or VDB_NO_ROW */
    le64 codebook_off;       /* f32 [code_count][16][sub_dim] */
    le64 matrix_off;         /* code_bytes of i8 a dimension after the transform; 0: no matrix */
    le64 matrix_scales_off;  /* f32 a dimension after the transform; likewise */
    le64 blocks_off;         /* a multiple of VDB_IVF_PAGE */
    le64 slot_codes_off;     /* 8-bit codes a slot; 0: the stored vectors are their own codes */
    le64 norms_off;          /* i32 a slot; without slot codes i32 a row */
    le32 slot_code_stride;   /* bytes from slot to slot; 0 without slot codes */
    le32 norm_stride;
    le32 bias; /* f32, as is the next: of distances by 8-bit codes */
    le32 error;
    uint8_t reserved[32];
};

struct disk_ivf_list {
    le32 page;        /* its blocks begin at blocks_off + VDB_IVF_PAGE * page */
    le32 first_block; /* its slots begin at VDB_IVF_BLOCK * first_block */
    le32 row_count;
    le32 reserved;
};

#define VDB_CALIBRATION_MAGIC "VCAL"

struct disk_calibration_header { /* followed by its curves, and those by their points */
    uint8_t magic[4];
    le32 curve_count;
    le32 dimension;      /* intrinsic, in thousandths; 0: not measured */
    le32 hubness;        /* signed, in thousandths */
    le32 rival;          /* DISK_INDEX_ kind; 0: none was tried */
    le32 rival_cost;     /* nanoseconds; 0: it did not reach the recall */
    le32 walk_dimension; /* in thousandths, that walks end by; 0: they end by ef alone */
    le32 measured_rows;  /* the part's first so many, when the curves were measured; 0: all */
    uint8_t reserved[32];
};

struct disk_calibration_curve {
    le32 k;
    le32 query_count; /* queries that the recall is the mean of */
    le32 point_count;
    le32 reserved;
};

struct disk_calibration_point {
    le32 effort;
    le32 recall; /* in millionths, as are those that follow */
    le32 error;  /* the standard error of `recall` */
    le32 p5;     /* what 95% of the queries reached */
    le32 p5_error;
    le32 zero; /* share of the queries that found nothing */
    le32 cost; /* nanoseconds of a search */
};

struct disk_history_header {
    le64 first_commit;
    le64 last_commit;
    le64 entry_count;
    le32 block_count;
    le32 reserved0;
    le64 blocks_off;
    le64 data_off;
    le64 data_len;
    uint8_t reserved1[8];
};

struct disk_states_header {
    le32 state_count;
    le32 reserved0;
    le64 flip_count; /* of all states */
    le64 states_off; /* disk_state a state, from the start of the segment */
    le64 flips_off;  /* u32 a flip: a row, from the start of the segment */
    uint8_t reserved1[32];
};

struct disk_state { /* the index after a commit whose record is gone */
    le64 commit;
    le64 time_us;  /* of that commit */
    le64 until_us; /* of the one after it */
    le32 row_count;
    le32 live_count;
    le64 flips_end; /* its flips end there, and begin where those of the state before end */
    uint8_t reserved[24];
};

enum {
    DISK_OPERATION_ADD = 1,
    DISK_OPERATION_UPDATE = 2,
    DISK_OPERATION_DELETE = 3,
    DISK_OPERATION_RESTORE = 4
};

struct disk_history_entry { /* followed by the id's bytes */
    le64 commit;
    le64 time_us;
    le16 operation;
    le16 id_len;
    le32 reserved;
};

/* ---- streams ------------------------------------------------------------------------------- */

/* Rows are gathered until a frame holds VDB_STREAM_FRAME bytes; none holds more than the other. */
#define VDB_STREAM_MAGIC     "\x8fVDS\r\n\x1a\n"
#define VDB_STREAM_VERSION   1
#define VDB_STREAM_FRAME     262144
#define VDB_STREAM_FRAME_MAX 17047552
#define VDB_STREAM_NAMES_MAX 65536 /* of target and base */

#define DISK_STREAM_INCREMENTAL 1u /* flags: what makes the target of the base */

struct disk_stream { /* what a stream begins with, before its frames */
    uint8_t magic[8];
    le16 version; /* VDB_STREAM_VERSION */
    le16 flags;
    le32 header_len; /* sizeof(struct disk_stream) */
    le32 dim;
    le16 metric;
    le16 type;
    le16 index; /* this and what follows are the sender's options, for an index that is made */
    le16 codes;
    le32 degree;
    le32 ef_construction;
    le32 recent_rows;
    le64 recent_seconds;
    le16 quiet_begin;
    le16 quiet_end;
    le32 target_live; /* live rows of the state that the stream leads to */
    le64 target_commit;
    uint8_t target_id[16];
    le64 target_time_us;
    le64 base_commit; /* of the state that it goes out from; this and what follows is else zero */
    uint8_t base_id[16];
    le64 base_time_us;
    le32 base_live;
    uint8_t reserved[28];
    le64 check; /* XXH3-64 of the 152 bytes before it */
};

enum {
    DISK_FRAME_BASE_NAMES = 1,
    DISK_FRAME_NAMES = 2,
    DISK_FRAME_ROWS = 3,
    DISK_FRAME_VECTORS = 4,
    DISK_FRAME_DELETES = 5,
    DISK_FRAME_END = 6
};

struct disk_stream_frame { /* followed by packed_len bytes */
    le16 kind;
    le16 packing; /* DISK_BLOCK_ */
    le32 number;  /* of the frame, from 0 */
    le32 count;   /* items in it */
    le32 raw_len;
    le32 packed_len;
    le32 reserved;
    le64 check; /* XXH3-64 of these 32 bytes, with this field zero, and the packed ones */
};

struct disk_stream_name { /* followed by the name's bytes */
    le64 created_us;
    le64 origin_commit;
    uint8_t origin_id[16];
    le16 name_len;
    uint8_t reserved[6];
};

struct disk_stream_end {
    le64 row_count;
    le64 delete_count;
    le64 name_count;
    le64 check; /* XXH3-64 of all bytes of the stream before the frame that holds this */
};

#endif
