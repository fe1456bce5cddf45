/* images.h: what a directory may look like after a power failure in the midst of a recorded run.
 *
 * The model of the disk. What was written to a file is there once a sync of the file that began
 * after it has succeeded; so is a name, given or taken away, once its directory has been synced.
 * Of what came since, the window, any part may be there and any not, whatever its order; of one
 * write any of its 512-byte sectors, and garbage in a sector, but for bytes of the sector that the
 * write did not cover (SQLite calls this the powersafe overwrite property). A file's length may
 * have arrived before its bytes, which then are zero. A sync that failed says nothing of what it
 * was to carry, nor does one after it: that stays in the window until it is written anew.
 *
 * An image is a choice at a moment: what the directory holds if the power fails after so many of
 * the run's operations, and so much of the window had arrived.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_FAULT_IMAGES_H
#define TESTS_FAULT_IMAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault/seam.h"

enum image_kind {
    IMAGE_NOTHING,  /* nothing of the window */
    IMAGE_ALL,      /* all of it */
    IMAGE_LESS_ONE, /* all but one operation */
    IMAGE_ONE,      /* one alone */
    IMAGE_LESS_TWO, /* all but two */
    IMAGE_TWO,      /* two alone */
    IMAGE_RANDOM,   /* a random half of the operations */
    IMAGE_SECTORS,  /* of each write a random half of its sectors */
    IMAGE_TORN,     /* of one write the sectors up to one of them, or from it on */
    IMAGE_TRASHED,  /* one sector of one write with garbage or with zeros in it */
    IMAGE_SIZE,     /* the length that a write gave the file, but not its bytes */
    IMAGE_SLOT,     /* a slot of the superblock torn at some byte */
    IMAGE_BYTES,    /* a write of a block or less torn at some byte, which disks do not do */
    IMAGE_STRAY,    /* what is tracked is as it was: the rest of the directory is another one */
    IMAGE_KINDS
};

/* "all but one", ... */
const char *image_kind_name(enum image_kind kind);

struct images_options {
    unsigned random; /* subsets at each moment, of operations and of sectors each */
    unsigned cuts;   /* at most so many sectors of a write are torn and trashed, evenly spread */
    bool bytes;      /* writes of a block or less are torn at every byte; slots are in any case */
    uint64_t seed;
};

enum { IMAGE_TRACKED = 2 };

struct image {
    enum image_kind kind;
    size_t moment;   /* the last operation that had begun, an index of the trace's */
    uint64_t mark;   /* the last mark before it; 0: none */
    int slot;        /* IMAGE_SLOT: which */
    int spoilt;      /* slots of the superblock that are torn within their sector, or have garbage
                        in it: a sum of 1 for slot 0 and 2 for slot 1 */
    bool slot_waits; /* a slot of a tracked file was written and has not been synced */
    struct {
        bool there;
        uint64_t hash; /* of its bytes; 0 where it is not there */
    } tracked[IMAGE_TRACKED];
    struct images *images;
};

/* A file on a real file system that is made to hold one image after another. */
struct image_disk {
    char path[300];
    bool there;
    uint64_t len;
    uint64_t *blocks;
    size_t count;
};
void image_disk_release(struct image_disk *disk);

/* Makes the file on disk what the image has under tracked name `which`; only what differs from the
 * image before is written. */
void image_put(const struct image *image, unsigned which, struct image_disk *disk);

/* Makes the directory, which is emptied first, what the image has: all of it. */
void image_put_all(const struct image *image, const char *directory);

/* Calls `each` with every image of the run, the same ones more than once where they come about in
 * more than one way, until it returns false. `tracked` are the names of one or two files that
 * matter: images that differ in other files alone are few, and of IMAGE_STRAY. */
void images_make(const struct seam_trace *trace, const char *const tracked[], unsigned count,
                 const struct images_options *options,
                 bool (*each)(void *context, const struct image *image), void *context);

#endif
