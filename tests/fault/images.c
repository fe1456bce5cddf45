/* images.c: crash images from a record.
 *
 * Each file has its durable bytes twice: as they are, and in a second copy that an image is put
 * together in and that is then put back. Blocks of both are known by their hashes, so that an image
 * costs what its window touches, not what the file holds.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "fault/images.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checksum.h"

enum { BLOCK = 4096, SECTOR = 512, SLOT = 512, SLOT_1 = 4096, NAMES_MAX = 64, PAIRS_MAX = 24 };

const char *image_kind_name(enum image_kind kind)
{
    static const char *const names[IMAGE_KINDS] = {
        "nothing",          "all",       "all but one",    "one alone", "all but two",
        "two alone",        "random",    "sectors",        "torn",      "trashed",
        "size before data", "torn slot", "torn at a byte", "stray",
    };
    return names[kind];
}

static void *have(void *p)
{
    if (p) return p;
    fputs("images: no memory\n", stderr);
    abort();
}

static void must_be(bool good, const char *what)
{
    if (good) return;
    fprintf(stderr, "images: cannot %s: %s\n", what, strerror(errno));
    abort();
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* ---- the disk ------------------------------------------------------------------------------ */

struct file {
    uint8_t *bytes; /* durable; `room` of them, zeros behind `len` */
    uint8_t *work;  /* the same, but while an image is put together */
    uint64_t len, room, work_len;
    uint64_t *blocks;      /* hash of each block of `bytes`; 0: all zeros */
    uint64_t *work_blocks; /* likewise of `work`, where `touched` says so */
    uint64_t sum;          /* over the blocks, with their places */
    size_t *touched, touched_count;
    bool *is_touched;
};

/* An operation of the window. */
struct pending {
    enum seam_op_kind kind;
    uint32_t file; /* of names: which file it is that gets or loses them */
    uint64_t off, len;
    const uint8_t *bytes;
    const char *name, *to;
    bool lost; /* a sync of it failed: no later one can be relied on */
};

struct entry {
    const char *name;
    uint32_t file;
};

struct names {
    struct entry entries[NAMES_MAX];
    unsigned count;
};

/* How much of a pending operation an image has. */
enum part { NONE, WHOLE, UP_TO, FROM, GARBAGE, ZEROED, LENGTH, SOME };

struct choice {
    uint8_t part;
    uint64_t at; /* UP_TO, FROM, GARBAGE, ZEROED: an offset; SOME: a seed */
};

struct images {
    const struct seam_trace *trace;
    const struct images_options *options;
    const char *const *tracked;
    unsigned tracked_count;
    bool (*each)(void *context, const struct image *image);
    void *context;
    bool go_on;

    struct file *files;
    struct names durable, cached; /* cached: as the running system sees it */
    struct pending *window;
    struct choice *choices;
    bool *relevant; /* whether it can be seen under a tracked name */
    size_t count, room;

    struct names chosen; /* of the image that is being put together */
    size_t moment;
    uint64_t mark;
    uint64_t draws;
};

static uint64_t block_hash(const uint8_t *block)
{
    static const uint8_t zeros[BLOCK];
    if (memcmp(block, zeros, BLOCK) == 0) return 0;
    uint64_t hash = checksum(block, BLOCK);
    return hash ? hash : 1;
}

static uint64_t placed(uint64_t hash, size_t block)
{
    return hash ? mix(hash + 0x9e3779b97f4a7c15u * (block + 1)) : 0;
}

static size_t blocks_of(uint64_t len)
{
    return (size_t)((len + BLOCK - 1) / BLOCK);
}

static void durable_changed(struct file *f, uint64_t off, uint64_t len)
{
    for (size_t b = (size_t)(off / BLOCK); len && b <= (size_t)((off + len - 1) / BLOCK); b++) {
        f->sum -= placed(f->blocks[b], b);
        f->blocks[b] = block_hash(f->bytes + b * BLOCK);
        f->sum += placed(f->blocks[b], b);
        memcpy(f->work + b * BLOCK, f->bytes + b * BLOCK, BLOCK);
    }
}

static void files_create(struct images *x)
{
    const struct seam_trace *t = x->trace;
    x->files = have(calloc(t->file_count + 1, sizeof *x->files));
    for (uint32_t i = 0; i < t->file_count; i++) x->files[i].room = t->files[i].len;
    for (size_t i = 0; i < t->count; i++) {
        const struct seam_op *op = &t->ops[i];
        if (op->kind > SEAM_OP_TRUNCATE) continue;
        struct file *f = &x->files[op->file];
        if (op->off + op->len > f->room) f->room = op->off + op->len;
    }
    for (uint32_t i = 0; i < t->file_count; i++) {
        struct file *f = &x->files[i];
        size_t blocks = blocks_of(f->room) + 1;
        f->bytes = have(calloc(blocks, BLOCK));
        f->work = have(calloc(blocks, BLOCK));
        f->blocks = have(calloc(blocks, sizeof *f->blocks));
        f->work_blocks = have(calloc(blocks, sizeof *f->work_blocks));
        f->touched = have(calloc(blocks, sizeof *f->touched));
        f->is_touched = have(calloc(blocks, sizeof *f->is_touched));
        f->len = f->work_len = t->files[i].len;
        if (!t->files[i].name) continue;
        memcpy(f->bytes, t->files[i].bytes, f->len);
        durable_changed(f, 0, f->len);
        struct entry *entry = &x->durable.entries[x->durable.count++];
        *entry = (struct entry){t->files[i].name, i};
    }
    x->cached = x->durable;
}

static void files_free(struct images *x)
{
    for (uint32_t i = 0; i < x->trace->file_count; i++) {
        struct file *f = &x->files[i];
        free(f->bytes);
        free(f->work);
        free(f->blocks);
        free(f->work_blocks);
        free(f->touched);
        free(f->is_touched);
    }
    free(x->files);
    free(x->window);
    free(x->choices);
    free(x->relevant);
}

/* ---- names --------------------------------------------------------------------------------- */

static struct entry *names_find(struct names *names, const char *name)
{
    for (unsigned i = 0; i < names->count; i++)
        if (strcmp(names->entries[i].name, name) == 0) return &names->entries[i];
    return NULL;
}

static void names_set(struct names *names, const char *name, uint32_t file)
{
    struct entry *entry = names_find(names, name);
    if (!entry) {
        must_be(names->count < NAMES_MAX, "keep so many names");
        entry = &names->entries[names->count++];
    }
    *entry = (struct entry){name, file};
}

static void names_remove(struct names *names, const char *name, uint32_t file)
{
    struct entry *entry = names_find(names, name);
    if (entry && entry->file == file) *entry = names->entries[--names->count];
}

static void names_apply(struct names *names, const struct pending *p)
{
    if (p->kind == SEAM_OP_CREATE) names_set(names, p->name, p->file);
    if (p->kind == SEAM_OP_LINK || p->kind == SEAM_OP_RENAME) names_set(names, p->to, p->file);
    if (p->kind == SEAM_OP_UNLINK || p->kind == SEAM_OP_RENAME)
        names_remove(names, p->name, p->file);
}

static bool is_of_names(enum seam_op_kind kind)
{
    return kind == SEAM_OP_CREATE || kind == SEAM_OP_LINK || kind == SEAM_OP_RENAME ||
           kind == SEAM_OP_UNLINK;
}

/* ---- putting an image together ------------------------------------------------------------- */

static void touch(struct file *f, uint64_t off, uint64_t len)
{
    for (size_t b = (size_t)(off / BLOCK); len && b <= (size_t)((off + len - 1) / BLOCK); b++) {
        if (f->is_touched[b]) continue;
        f->is_touched[b] = true;
        f->touched[f->touched_count++] = b;
    }
}

static void put_bytes(struct file *f, const struct pending *p, uint64_t from, uint64_t to)
{
    if (from < p->off) from = p->off;
    if (to > p->off + p->len) to = p->off + p->len;
    if (from >= to) return;
    memcpy(f->work + from, p->bytes + (from - p->off), (size_t)(to - from));
    touch(f, from, to - from);
    if (to > f->work_len) f->work_len = to;
}

/* The sector at `at`, as far as the write covers it. */
static void trash(struct file *f, const struct pending *p, uint64_t at, bool zeros)
{
    uint64_t from = at < p->off ? p->off : at, to = at + SECTOR;
    if (to > p->off + p->len) to = p->off + p->len;
    for (uint64_t i = from; i < to; i++) f->work[i] = zeros ? 0 : (uint8_t)mix(i * 31 + p->len);
}

static void put_write(struct file *f, const struct pending *p, const struct choice *c)
{
    uint64_t end = p->off + p->len;
    switch ((enum part)c->part) {
    case NONE:
        break;
    case WHOLE:
        put_bytes(f, p, p->off, end);
        break;
    case UP_TO:
        put_bytes(f, p, p->off, c->at);
        break;
    case FROM:
        put_bytes(f, p, c->at, end);
        break;
    case GARBAGE:
    case ZEROED:
        put_bytes(f, p, p->off, end);
        trash(f, p, c->at, c->part == ZEROED);
        break;
    case LENGTH:
        if (end > f->work_len) f->work_len = end;
        break;
    case SOME:
        for (uint64_t at = p->off - p->off % SECTOR; at < end; at += SECTOR)
            if (mix(c->at + at) & 1) put_bytes(f, p, at, at + SECTOR);
        break;
    }
}

/* Of what comes whole or not at all. */
static bool taken(const struct choice *c)
{
    return c->part == SOME ? mix(c->at) & 1 : c->part != NONE;
}

static void put_data(struct file *f, const struct pending *p, const struct choice *c)
{
    if (p->kind == SEAM_OP_WRITE) {
        put_write(f, p, c);
    } else if (taken(c) && p->kind == SEAM_OP_RESERVE) {
        if (p->off + p->len > f->work_len) f->work_len = p->off + p->len;
    } else if (taken(c) && p->kind == SEAM_OP_TRUNCATE) {
        if (p->len < f->work_len) {
            memset(f->work + p->len, 0, (size_t)(f->work_len - p->len));
            touch(f, p->len, f->work_len - p->len);
        }
        f->work_len = p->len;
    }
}

/* The file as the choices have it, in its `work`; the hash of all of it. */
static uint64_t compose(struct images *x, uint32_t file)
{
    struct file *f = &x->files[file];
    for (size_t i = 0; i < x->count; i++)
        if (x->window[i].file == file && !is_of_names(x->window[i].kind) && x->choices[i].part)
            put_data(f, &x->window[i], &x->choices[i]);
    uint64_t sum = f->sum;
    for (size_t i = 0; i < f->touched_count; i++) {
        size_t b = f->touched[i];
        f->work_blocks[b] = block_hash(f->work + b * BLOCK);
        sum += placed(f->work_blocks[b], b) - placed(f->blocks[b], b);
    }
    uint64_t hash = mix(sum ^ mix(f->work_len));
    return hash ? hash : 1;
}

static void decompose(struct file *f)
{
    for (size_t i = 0; i < f->touched_count; i++) {
        size_t b = f->touched[i];
        memcpy(f->work + b * BLOCK, f->bytes + b * BLOCK, BLOCK);
        f->is_touched[b] = false;
    }
    f->touched_count = 0;
    f->work_len = f->len;
}

static void choose_names(struct images *x)
{
    x->chosen = x->durable;
    for (size_t i = 0; i < x->count; i++)
        if (is_of_names(x->window[i].kind) && taken(&x->choices[i]))
            names_apply(&x->chosen, &x->window[i]);
}

static bool is_slot(const struct pending *p)
{
    return p->kind == SEAM_OP_WRITE && p->len == SLOT && (p->off == 0 || p->off == SLOT_1);
}

/* By the disk's doing alone, where it writes or spoils less than a sector. */
static bool is_spoilt(const struct choice *c)
{
    return c->part == GARBAGE || ((c->part == UP_TO || c->part == FROM) && c->at % SECTOR != 0);
}

static int spoilt_slots(const struct images *x)
{
    int slots = 0;
    for (size_t i = 0; i < x->count; i++)
        if (is_slot(&x->window[i]) && is_spoilt(&x->choices[i])) slots |= x->window[i].off ? 2 : 1;
    return slots;
}

static void show(struct images *x, enum image_kind kind, int slot)
{
    if (!x->go_on) return;
    struct image image = {.kind = kind,
                          .moment = x->moment,
                          .mark = x->mark,
                          .slot = slot,
                          .spoilt = spoilt_slots(x),
                          .images = x};
    for (size_t i = 0; i < x->count; i++)
        image.slot_waits |= x->relevant[i] && is_slot(&x->window[i]);
    choose_names(x);
    for (unsigned i = 0; i < x->tracked_count; i++) {
        const struct entry *entry = names_find(&x->chosen, x->tracked[i]);
        if (!entry) continue;
        image.tracked[i].there = true;
        image.tracked[i].hash = compose(x, entry->file);
    }
    x->go_on = x->each(x->context, &image);
    for (uint32_t i = 0; i < x->trace->file_count; i++) decompose(&x->files[i]);
}

/* ---- images on a real disk ----------------------------------------------------------------- */

void image_disk_release(struct image_disk *disk)
{
    free(disk->blocks);
    disk->blocks = NULL;
    disk->count = 0;
}

static void write_at(int fd, const uint8_t *bytes, size_t len, uint64_t off)
{
    must_be(pwrite(fd, bytes, len, (off_t)off) == (ssize_t)len, "write an image");
}

static void grow_blocks(struct image_disk *disk, size_t count)
{
    if (count <= disk->count) return;
    disk->blocks = have(realloc(disk->blocks, count * sizeof *disk->blocks));
    memset(disk->blocks + disk->count, 0, (count - disk->count) * sizeof *disk->blocks);
    disk->count = count;
}

void image_put(const struct image *image, unsigned which, struct image_disk *disk)
{
    struct images *x = image->images;
    const struct entry *entry = names_find(&x->chosen, x->tracked[which]);
    if (!entry) {
        if (disk->there) unlink(disk->path);
        disk->there = false;
        return;
    }
    const struct file *f = &x->files[entry->file];
    size_t count = blocks_of(f->work_len);
    int fd = open(disk->path, O_RDWR | O_CREAT | (disk->there ? 0 : O_TRUNC) | O_CLOEXEC, 0600);
    must_be(fd >= 0, "make an image");
    if (!disk->there) {
        image_disk_release(disk);
        disk->len = 0;
    }
    if (disk->len != f->work_len)
        must_be(ftruncate(fd, (off_t)f->work_len) == 0, "give an image its length");
    for (size_t b = count; b < disk->count; b++) disk->blocks[b] = 0;
    grow_blocks(disk, count);
    for (size_t b = 0; b < count; b++) {
        uint64_t hash = f->is_touched[b] ? f->work_blocks[b] : f->blocks[b];
        if (hash == disk->blocks[b]) continue;
        uint64_t off = (uint64_t)b * BLOCK, left = f->work_len - off;
        write_at(fd, f->work + off, left < BLOCK ? (size_t)left : BLOCK, off);
        disk->blocks[b] = hash;
    }
    close(fd);
    disk->there = true;
    disk->len = f->work_len;
}

static void empty(const char *directory)
{
    DIR *entries = opendir(directory);
    must_be(entries != NULL, "look at a directory");
    const struct dirent *entry;
    while ((entry = readdir(entries)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(entries), entry->d_name, 0);
    closedir(entries);
}

void image_put_all(const struct image *image, const char *directory)
{
    struct images *x = image->images;
    char path[600];
    empty(directory);
    for (unsigned i = 0; i < x->chosen.count; i++) {
        const struct entry *entry = &x->chosen.entries[i];
        struct file *f = &x->files[entry->file];
        if (!f->touched_count) compose(x, entry->file);
        snprintf(path, sizeof path, "%s/%s", directory, entry->name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        must_be(fd >= 0, "make an image");
        for (uint64_t done = 0; done < f->work_len;) {
            uint64_t step = f->work_len - done < 1u << 20 ? f->work_len - done : 1u << 20;
            write_at(fd, f->work + done, (size_t)step, done);
            done += step;
        }
        close(fd);
    }
}

/* ---- the images of a moment ---------------------------------------------------------------- */

static void choose_all(struct images *x, enum part part)
{
    for (size_t i = 0; i < x->count; i++) x->choices[i] = (struct choice){(uint8_t)part, 0};
}

/* With operation `i`, and where it is another one `j`, apart from the rest. */
static void show_apart(struct images *x, enum image_kind kind, size_t i, size_t j, enum part rest,
                       enum part apart)
{
    choose_all(x, rest);
    x->choices[i].part = x->choices[j].part = (uint8_t)apart;
    show(x, kind, 0);
}

/* All pairs; where they are too many, those with the last operation. */
static void show_pairs(struct images *x, bool whole)
{
    for (size_t i = 0; i < x->count; i++) {
        if (!x->relevant[i]) continue;
        size_t first = whole || x->count <= PAIRS_MAX ? i + 1 : x->count - 1;
        for (size_t j = first > i ? first : i + 1; j < x->count; j++) {
            if (!x->relevant[j]) continue;
            show_apart(x, IMAGE_LESS_TWO, i, j, WHOLE, NONE);
            show_apart(x, IMAGE_TWO, i, j, NONE, WHOLE);
        }
    }
}

static uint64_t draw(struct images *x)
{
    return mix(x->options->seed + 0x9e3779b97f4a7c15u * ++x->draws);
}

static void show_random(struct images *x)
{
    for (unsigned n = 0; n < x->options->random; n++) {
        for (size_t i = 0; i < x->count; i++)
            x->choices[i] = (struct choice){draw(x) & 1 ? WHOLE : NONE, 0};
        show(x, IMAGE_RANDOM, 0);
        for (size_t i = 0; i < x->count; i++) x->choices[i] = (struct choice){SOME, draw(x)};
        show(x, IMAGE_SECTORS, 0);
    }
}

static void show_special(struct images *x, enum image_kind kind, size_t i, enum part part,
                         uint64_t at)
{
    for (int rest = NONE; rest <= (x->count > 1 ? WHOLE : NONE); rest++) {
        choose_all(x, (enum part)rest);
        x->choices[i] = (struct choice){(uint8_t)part, at};
        show(x, kind, 0);
    }
}

static void show_torn(struct images *x, size_t i)
{
    const struct pending *p = &x->window[i];
    uint64_t first = p->off - p->off % SECTOR, end = p->off + p->len;
    uint64_t sectors = (end - first + SECTOR - 1) / SECTOR, step = 1;
    if (sectors > x->options->cuts) step = (sectors + x->options->cuts - 1) / x->options->cuts;
    for (uint64_t at = first; at < end; at += step * SECTOR) {
        if (at > p->off) {
            show_special(x, IMAGE_TORN, i, UP_TO, at);
            show_special(x, IMAGE_TORN, i, FROM, at);
        }
        show_special(x, IMAGE_TRASHED, i, GARBAGE, at);
        show_special(x, IMAGE_TRASHED, i, ZEROED, at);
    }
    show_special(x, IMAGE_SIZE, i, LENGTH, 0);
}

/* The other slot's write, where a sync of it failed: its sector may hold anything. `count`: none.
 */
static size_t lost_slot(const struct images *x, size_t i)
{
    size_t j = 0;
    while (j < x->count &&
           !(x->window[j].lost && is_slot(&x->window[j]) &&
             x->window[j].file == x->window[i].file && x->window[j].off != x->window[i].off))
        j++;
    return j;
}

static void show_bytes(struct images *x, size_t i)
{
    const struct pending *p = &x->window[i];
    bool slot = is_slot(p);
    size_t lost = slot ? lost_slot(x, i) : x->count;
    for (uint64_t at = p->off + 1; at < p->off + p->len; at++)
        for (int part = UP_TO; part <= FROM; part++) {
            choose_all(x, WHOLE);
            x->choices[i] = (struct choice){(uint8_t)part, at};
            show(x, slot ? IMAGE_SLOT : IMAGE_BYTES, slot && p->off ? 1 : 0);
            if (lost == x->count) continue;
            x->choices[lost] = (struct choice){GARBAGE, x->window[lost].off};
            show(x, IMAGE_SLOT, p->off ? 1 : 0);
        }
}

/* What is of a file that no tracked name leads to, now or by a pending name, shows in no image. */
static bool find_relevant(struct images *x)
{
    bool any = false;
    for (size_t i = 0; i < x->count; i++) {
        uint32_t file = x->window[i].file;
        bool seen = false;
        for (unsigned t = 0; t < x->tracked_count && !seen; t++) {
            const struct entry *entry = names_find(&x->durable, x->tracked[t]);
            seen = entry && entry->file == file;
            for (size_t j = 0; j < x->count && !seen; j++) {
                const struct pending *p = &x->window[j];
                const char *to = p->kind == SEAM_OP_CREATE ? p->name : p->to;
                seen =
                    is_of_names(p->kind) && p->file == file && to && strcmp(to, x->tracked[t]) == 0;
            }
        }
        x->relevant[i] = seen;
        any |= seen;
    }
    return any;
}

static void show_stray(struct images *x)
{
    choose_all(x, WHOLE);
    show(x, IMAGE_STRAY, 0);
    for (size_t i = 0; i < x->count; i++) x->choices[i] = (struct choice){SOME, draw(x)};
    show(x, IMAGE_STRAY, 0);
}

/* `whole`: of all the window, not only what the newest operation of it brings. */
static void show_moment(struct images *x, bool whole)
{
    bool any = find_relevant(x);
    choose_all(x, NONE);
    show(x, IMAGE_NOTHING, 0);
    if (x->count == 0) return;
    choose_all(x, WHOLE);
    show(x, IMAGE_ALL, 0);
    if (!x->relevant[x->count - 1]) show_stray(x);
    if (!any || (!whole && !x->relevant[x->count - 1])) return;
    for (size_t i = 0; i < x->count; i++) {
        if (!x->relevant[i]) continue;
        show_apart(x, IMAGE_LESS_ONE, i, i, WHOLE, NONE);
        show_apart(x, IMAGE_ONE, i, i, NONE, WHOLE);
        if (x->window[i].kind != SEAM_OP_WRITE || (!whole && i + 1 < x->count)) continue;
        show_torn(x, i);
        if (is_slot(&x->window[i]) || (x->options->bytes && x->window[i].len <= BLOCK))
            show_bytes(x, i);
    }
    show_pairs(x, whole);
    show_random(x);
    choose_all(x, LENGTH);
    show(x, IMAGE_SIZE, 0);
}

/* ---- the run, operation by operation ------------------------------------------------------- */

static void append(struct images *x, struct pending p)
{
    if (x->count == x->room) {
        x->room = x->room ? 2 * x->room : 64;
        x->window = have(realloc(x->window, x->room * sizeof *x->window));
        x->choices = have(realloc(x->choices, x->room * sizeof *x->choices));
        x->relevant = have(realloc(x->relevant, x->room * sizeof *x->relevant));
    }
    x->window[x->count++] = p;
}

static void remove_at(struct images *x, size_t i)
{
    memmove(&x->window[i], &x->window[i + 1], (--x->count - i) * sizeof *x->window);
}

static void insert_at(struct images *x, size_t i, struct pending p)
{
    append(x, p);
    memmove(&x->window[i + 1], &x->window[i], (x->count - 1 - i) * sizeof *x->window);
    x->window[i] = p;
}

/* Whatever became of a lost write before operation `i`, bytes that are durable now cover it. Gives
 * where operation `i` is then. */
static size_t uncover(struct images *x, size_t i, const struct pending *now)
{
    uint64_t off = now->off, end = off + now->len;
    for (size_t j = i; j-- > 0;) {
        struct pending *p = &x->window[j], behind = *p;
        uint64_t p_end = p->off + p->len;
        if (p->kind != SEAM_OP_WRITE || p->file != now->file || off >= p_end || p->off >= end)
            continue;
        p->len = off > p->off ? off - p->off : 0;
        if (!p->len) p->kind = SEAM_OP_RESERVE; /* no bytes are left of it */
        if (p_end <= end) continue;
        behind.off = end;
        behind.len = p_end - end;
        behind.bytes += end - p->off;
        insert_at(x, j + 1, behind);
        i++;
    }
    return i;
}

/* Gives where the operation after `i` is then. */
static size_t make_durable(struct images *x, size_t i)
{
    struct pending p = x->window[i];
    struct file *f = &x->files[p.file];
    static const struct choice whole = {WHOLE, 0};
    put_data(f, &p, &whole);
    for (size_t t = 0; t < f->touched_count; t++) {
        size_t b = f->touched[t];
        memcpy(f->bytes + b * BLOCK, f->work + b * BLOCK, BLOCK);
        durable_changed(f, b * BLOCK, BLOCK);
        f->is_touched[b] = false;
    }
    f->touched_count = 0;
    f->len = f->work_len;
    remove_at(x, i);
    return p.kind == SEAM_OP_WRITE ? uncover(x, i, &p) : i;
}

static void synced(struct images *x, uint32_t file, bool good)
{
    for (size_t i = 0; i < x->count;) {
        struct pending *p = &x->window[i];
        bool mine = p->file == file && !is_of_names(p->kind) && !p->lost;
        if (mine && good) {
            i = make_durable(x, i);
            continue;
        }
        if (mine) p->lost = true;
        i++;
    }
}

static void directory_synced(struct images *x)
{
    for (size_t i = 0; i < x->count;) {
        if (is_of_names(x->window[i].kind)) {
            names_apply(&x->durable, &x->window[i]);
            remove_at(x, i);
        } else {
            i++;
        }
    }
}

static void begin_operation(struct images *x, const struct seam_op *op)
{
    struct pending p = {op->kind, op->file, op->off, op->len, op->bytes, op->name, op->to, false};
    switch (op->kind) {
    case SEAM_OP_LINK:
    case SEAM_OP_RENAME:
    case SEAM_OP_UNLINK: {
        const struct entry *entry = names_find(&x->cached, op->name);
        if (!entry) return;
        p.file = entry->file;
        names_apply(&x->cached, &p);
        append(x, p);
        break;
    }
    case SEAM_OP_CREATE:
        names_apply(&x->cached, &p);
        append(x, p);
        break;
    case SEAM_OP_WRITE:
    case SEAM_OP_RESERVE:
    case SEAM_OP_TRUNCATE:
        append(x, p);
        break;
    case SEAM_OP_SYNC:
    case SEAM_OP_SYNC_FAIL:
        synced(x, op->file, op->kind == SEAM_OP_SYNC);
        break;
    case SEAM_OP_SYNC_DIRECTORY:
        directory_synced(x);
        break;
    case SEAM_OP_MARK:
        x->mark = op->off;
        break;
    }
}

void images_make(const struct seam_trace *trace, const char *const tracked[], unsigned count,
                 const struct images_options *options,
                 bool (*each)(void *context, const struct image *image), void *context)
{
    struct images *x = have(calloc(1, sizeof *x));
    x->trace = trace;
    x->options = options;
    x->tracked = tracked;
    x->tracked_count = count;
    x->each = each;
    x->context = context;
    x->go_on = true;
    files_create(x);
    for (size_t i = 0; i < trace->count && x->go_on; i++) {
        begin_operation(x, &trace->ops[i]);
        x->moment = i;
        bool changes = trace->ops[i].kind <= SEAM_OP_TRUNCATE || is_of_names(trace->ops[i].kind);
        bool ends = i + 1 == trace->count || (trace->ops[i + 1].kind > SEAM_OP_TRUNCATE &&
                                              !is_of_names(trace->ops[i + 1].kind));
        show_moment(x, !changes || ends);
    }
    files_free(x);
    free(x);
}
