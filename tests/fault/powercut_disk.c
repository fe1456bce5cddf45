/* powercut_disk.c: a disk with a volatile write cache whose power can be cut.
 *
 *     powercut_disk IMAGE FILE
 *
 * FILE, which exists, becomes a disk of IMAGE's content for as long as this runs; a loop device is
 * laid over it, and a file system made on that. It is served through FUSE, by the kernel's protocol
 * itself, so that every write of a sector and every flush of the file system's comes by here, one
 * at a time.
 *
 * What has been written since the last flush lies in the disk's cache. A line on standard input,
 *
 *     cut AFTER KEEP SEED COPY
 *
 * writes to COPY what the medium would hold if the power were cut AFTER so many more writes and
 * flushes, or half a second from now. Of the writes in the cache then
 *
 *     none     none has reached the medium
 *     all      all have, as with a disk without such a cache
 *     first    the first few have, and a part of the next one's sectors
 *     sectors  each sector of each has or has not, by itself
 *
 * The answer is a line on standard output. The disk itself goes on: the next cut is another history
 * of the same disk. It ends with its standard input.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SECTOR = 512, BLOCK = 4096, WRITE_MAX = 128 << 10, REQUEST_MAX = WRITE_MAX + 4096 };

struct cached {
    uint64_t off;
    uint32_t len;
    uint8_t *bytes;
};

struct disk {
    int fuse;
    uint64_t size;
    uint8_t *now, *medium; /* what is read; what has been flushed */
    struct cached *cache;  /* in the order of the writes */
    size_t count, room;
    uint64_t writes, flushes;
    /* The cut that is asked for. */
    bool armed;
    uint64_t after, seed;
    int64_t at_ns;
    char keep[16], copy[4096];
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "powercut_disk: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, ": %s\n", strerror(errno));
    va_end(args);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* SplitMix64. */
static uint64_t draw(uint64_t *seed)
{
    uint64_t x = *seed += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* ---- the medium ---------------------------------------------------------------------------- */

static void cache_write(struct disk *d, uint64_t off, const uint8_t *bytes, uint32_t len)
{
    memcpy(d->now + off, bytes, len);
    if (d->count == d->room) {
        d->room = 2 * d->room + 64;
        d->cache = realloc(d->cache, d->room * sizeof *d->cache);
        if (!d->cache) die("out of memory");
    }
    uint8_t *kept = malloc(len ? len : 1);
    if (!kept) die("out of memory");
    memcpy(kept, bytes, len);
    d->cache[d->count++] = (struct cached){off, len, kept};
    d->writes++;
}

static void flush(struct disk *d)
{
    for (size_t i = 0; i < d->count; i++) {
        memcpy(d->medium + d->cache[i].off, d->cache[i].bytes, d->cache[i].len);
        free(d->cache[i].bytes);
    }
    d->count = 0;
    d->flushes++;
}

/* Bytes that are zero are left out, since there are many. */
static void write_copy(const struct disk *d, const uint8_t *bytes)
{
    static const uint8_t zero[BLOCK];
    int fd = open(d->copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)d->size) < 0) die("%s", d->copy);
    for (uint64_t off = 0; off < d->size; off += BLOCK)
        if (memcmp(bytes + off, zero, BLOCK) != 0 &&
            pwrite(fd, bytes + off, BLOCK, (off_t)off) != BLOCK)
            die("%s", d->copy);
    close(fd);
}

static void cut(struct disk *d)
{
    bool all = strcmp(d->keep, "all") == 0, first = strcmp(d->keep, "first") == 0,
         sectors = strcmp(d->keep, "sectors") == 0;
    uint64_t kept = 0, of = 0, whole = first && d->count ? draw(&d->seed) % d->count : 0;
    uint8_t *bytes = malloc(d->size);
    if (!bytes) die("out of memory");
    memcpy(bytes, d->medium, d->size);
    for (size_t i = 0; i < d->count; i++)
        for (uint32_t at = 0; at < d->cache[i].len; at += SECTOR) {
            bool keep = all || (first && i < whole) ||
                        ((sectors || (first && i == whole)) && draw(&d->seed) % 2);
            if (keep) memcpy(bytes + d->cache[i].off + at, d->cache[i].bytes + at, SECTOR);
            kept += keep;
            of++;
        }
    write_copy(d, bytes);
    free(bytes);
    printf("cut after %llu writes and %llu flushes: %llu of %llu cached sectors kept\n",
           (unsigned long long)d->writes, (unsigned long long)d->flushes, (unsigned long long)kept,
           (unsigned long long)of);
    fflush(stdout);
    d->armed = false;
}

static void count_down(struct disk *d)
{
    if (d->armed && d->after-- == 0) cut(d);
}

/* ---- FUSE ---------------------------------------------------------------------------------- */

static void reply(const struct disk *d, const struct fuse_in_header *in, int failed,
                  const void *body, size_t len)
{
    static uint8_t out[REQUEST_MAX];
    struct fuse_out_header head = {(uint32_t)(sizeof head + len), -failed, in->unique};
    memcpy(out, &head, sizeof head);
    if (len) memcpy(out + sizeof head, body, len);
    if (write(d->fuse, out, head.len) < 0 && errno != ENOENT) die("answering the kernel");
}

static void reply_init(const struct disk *d, const struct fuse_in_header *in,
                       const struct fuse_init_in *init)
{
    struct fuse_init_out out = {
        .major = FUSE_KERNEL_VERSION,
        .minor = FUSE_KERNEL_MINOR_VERSION,
        .max_readahead = init->max_readahead,
        .flags = FUSE_BIG_WRITES | FUSE_MAX_PAGES,
        .max_background = 1,
        .congestion_threshold = 1,
        .max_write = WRITE_MAX,
        .time_gran = 1,
        .max_pages = WRITE_MAX / BLOCK,
    };
    reply(d, in, 0, &out, sizeof out);
}

static void reply_attributes(const struct disk *d, const struct fuse_in_header *in)
{
    struct fuse_attr_out out = {.attr_valid = 3600,
                                .attr = {.ino = FUSE_ROOT_ID,
                                         .size = d->size,
                                         .blocks = d->size / SECTOR,
                                         .mode = S_IFREG | 0600,
                                         .nlink = 1,
                                         .blksize = BLOCK}};
    reply(d, in, 0, &out, sizeof out);
}

static bool within(const struct disk *d, uint64_t off, uint64_t len)
{
    return off % SECTOR == 0 && len % SECTOR == 0 && len <= WRITE_MAX && off <= d->size &&
           len <= d->size - off;
}

static void serve_write(struct disk *d, const struct fuse_in_header *in,
                        const struct fuse_write_in *what)
{
    if (!within(d, what->offset, what->size)) {
        reply(d, in, EINVAL, NULL, 0);
        return;
    }
    struct fuse_write_out out = {.size = what->size};
    cache_write(d, what->offset, (const uint8_t *)(what + 1), what->size);
    count_down(d);
    reply(d, in, 0, &out, sizeof out);
}

static void serve_read(const struct disk *d, const struct fuse_in_header *in,
                       const struct fuse_read_in *what)
{
    uint64_t left = what->offset < d->size ? d->size - what->offset : 0;
    reply(d, in, 0, d->now + what->offset, what->size < left ? what->size : (size_t)left);
}

/* False: the file is not mounted any more. */
static bool serve(struct disk *d)
{
    static uint8_t request[REQUEST_MAX] __attribute__((aligned(8)));
    ssize_t n = read(d->fuse, request, sizeof request);
    if (n < 0 && errno == ENODEV) return false;
    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT)) return true;
    if (n < (ssize_t)sizeof(struct fuse_in_header)) die("reading a request");
    const struct fuse_in_header *in = (const void *)request;
    const void *body = in + 1;
    struct fuse_open_out opened = {.open_flags = FOPEN_KEEP_CACHE};
    switch (in->opcode) {
    case FUSE_INIT:
        reply_init(d, in, body);
        break;
    case FUSE_GETATTR:
    case FUSE_SETATTR:
        reply_attributes(d, in);
        break;
    case FUSE_OPEN:
        reply(d, in, 0, &opened, sizeof opened);
        break;
    case FUSE_READ:
        serve_read(d, in, body);
        break;
    case FUSE_WRITE:
        serve_write(d, in, body);
        break;
    case FUSE_FSYNC: /* the cut may come before the flush has begun */
        count_down(d);
        flush(d);
        reply(d, in, 0, NULL, 0);
        break;
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_ACCESS:
        reply(d, in, 0, NULL, 0);
        break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        break; /* have no answer */
    default:
        reply(d, in, ENOSYS, NULL, 0);
        break;
    }
    return true;
}

/* ---- main ---------------------------------------------------------------------------------- */

static void take_order(struct disk *d)
{
    char line[5000];
    unsigned long long after, seed;
    ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);
    if (n <= 0) exit(0);
    line[n] = 0;
    if (sscanf(line, "cut %llu %15s %llu %4095s", &after, d->keep, &seed, d->copy) != 4) {
        errno = EINVAL;
        die("not an order: %s", line);
    }
    d->armed = true;
    d->after = after;
    d->seed = seed;
    d->at_ns = now_ns() + 500000000;
}

static void load(struct disk *d, const char *path)
{
    struct stat found;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &found) < 0) die("%s", path);
    d->size = (uint64_t)found.st_size / BLOCK * BLOCK;
    d->now = mmap(NULL, d->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    d->medium = mmap(NULL, d->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (d->now == MAP_FAILED || d->medium == MAP_FAILED) die("%s", path);
    close(fd);
}

int main(int argc, char **argv)
{
    static struct disk d;
    char options[100];
    if (argc != 3) {
        fprintf(stderr, "usage: powercut_disk IMAGE FILE\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    load(&d, argv[1]);
    d.fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (d.fuse < 0) die("/dev/fuse");
    snprintf(options, sizeof options, "fd=%d,rootmode=%o,user_id=0,group_id=0", d.fuse,
             (unsigned)S_IFREG | 0600);
    if (mount("powercut_disk", argv[2], "fuse", MS_NOSUID | MS_NODEV, options) < 0)
        die("mount on %s", argv[2]);
    printf("ready\n");
    fflush(stdout);
    struct pollfd fds[] = {{.fd = d.fuse, .events = POLLIN},
                           {.fd = STDIN_FILENO, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 2, d.armed ? 20 : -1) < 0 && errno != EINTR) die("poll");
        if (fds[0].revents && !serve(&d)) return 0;
        if (fds[1].revents) take_order(&d);
        if (d.armed && now_ns() >= d.at_ns) cut(&d);
    }
}
