/* source.c: a read window over a file descriptor, with an optional gzip decoder below it.
 *
 * Invariant: window[begin, end) are the next bytes; offset is that of window[begin]; the window
 * has room for one byte more than capacity, for a line's final NUL.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "input/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "cli.h"

enum { WINDOW = 1 << 18, PACKED = 1 << 16 };

struct source {
    int fd;
    char *name;
    bool size_known; /* of what the descriptor holds, packed or not */
    uint64_t size;
    off_t origin;  /* where in the file it begins, if the size is known */
    uint64_t read; /* bytes taken from the descriptor */

    uint8_t *window;
    size_t capacity, begin, end;
    uint64_t offset;
    bool ended;

    z_stream *gzip; /* NULL: not packed */
    uint8_t *packed;
    bool member_open; /* within a gzip member: an end here is a truncation */
};

const char *source_name(const struct source *source)
{
    return source->name;
}
uint64_t source_offset(const struct source *source)
{
    return source->offset;
}

static bool no_memory(const char *name, struct fault *fault)
{
    fault_set(fault, CLI_IOERR, name, "out of memory");
    return false;
}

struct source *source_from_fd(int fd, const char *name, struct fault *fault)
{
    struct source *source = calloc(1, sizeof *source);
    uint8_t *window = malloc(WINDOW + 1);
    char *copy = strdup(name);
    if (!source || !window || !copy) {
        free(source);
        free(window);
        free(copy);
        close(fd);
        no_memory(name, fault);
        return NULL;
    }
    *source = (struct source){.fd = fd, .name = copy, .window = window, .capacity = WINDOW};
    struct stat st;
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        source->size_known = true;
        source->origin = at;
        source->size = st.st_size > at ? (uint64_t)(st.st_size - at) : 0;
        posix_fadvise(fd, at, 0, POSIX_FADV_SEQUENTIAL);
    }
    return source;
}

struct source *source_open(const char *path, struct fault *fault)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    int fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fault_set(fault, CLI_NOINPUT, name, "cannot open: %s", strerror(errno));
        return NULL;
    }
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        fault_set(fault, CLI_NOINPUT, name, "is a directory");
        return NULL;
    }
    return source_from_fd(fd, name, fault);
}

void source_close(struct source *source)
{
    if (!source) return;
    if (source->gzip) inflateEnd(source->gzip);
    free(source->gzip);
    free(source->packed);
    close(source->fd);
    free(source->window);
    free(source->name);
    free(source);
}

bool source_size(const struct source *source, uint64_t *size)
{
    *size = source->size;
    return source->size_known && !source->gzip;
}

int source_descriptor(const struct source *source)
{
    return source->fd;
}

bool source_read_at(const struct source *source, uint64_t offset, void *to, size_t len)
{
    uint64_t size;
    if (!source_size(source, &size) || offset > size || len > size - offset) return false;
    return pread(source->fd, to, len, source->origin + (off_t)offset) == (ssize_t)len;
}

double source_progress(const struct source *source)
{
    if (!source->size_known) return -1;
    if (source->size == 0) return 1;
    uint64_t waiting = source->gzip ? source->gzip->avail_in : source->end - source->begin;
    double share = (double)(source->read - waiting) / (double)source->size;
    return share < 1 ? share : 1;
}

/* One read(); 0 at the end. */
static bool read_some(struct source *source, uint8_t *to, size_t room, size_t *got,
                      struct fault *fault)
{
    ssize_t n;
    do n = read(source->fd, to, room);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        fault_set(fault, CLI_IOERR, source->name, "read failed at byte %llu: %s",
                  (unsigned long long)source->read, strerror(errno));
        return false;
    }
    *got = (size_t)n;
    source->read += *got;
    return true;
}

bool source_unpack(struct source *source, struct fault *fault)
{
    source->packed = malloc(source->capacity > PACKED ? source->capacity : PACKED);
    source->gzip = calloc(1, sizeof *source->gzip);
    if (!source->packed || !source->gzip || inflateInit2(source->gzip, 15 + 16) != Z_OK) {
        free(source->gzip);
        source->gzip = NULL;
        return no_memory(source->name, fault);
    }
    /* What the window holds was read packed. */
    size_t held = source->end - source->begin;
    memcpy(source->packed, source->window + source->begin, held);
    source->gzip->next_in = source->packed;
    source->gzip->avail_in = (uInt)held;
    source->begin = source->end = 0;
    source->ended = false;
    source->member_open = true;
    return true;
}

/* Decodes at least one byte into `to`, or finds the end: *got is 0 then. Several gzip members one
 * after another are one input, as gunzip has it. */
static bool unpack_some(struct source *source, uint8_t *to, size_t room, size_t *got,
                        struct fault *fault)
{
    z_stream *z = source->gzip;
    z->next_out = to;
    z->avail_out = (uInt)room;
    while (z->avail_out == room) {
        if (z->avail_in == 0) {
            size_t n;
            if (!read_some(source, source->packed, PACKED, &n, fault)) return false;
            if (n == 0 && !source->member_open) break;
            if (n == 0) {
                fault_set(fault, CLI_DATA, source->name,
                          "the gzip data is truncated: it ends at byte %llu",
                          (unsigned long long)source->read);
                return false;
            }
            z->next_in = source->packed;
            z->avail_in = (uInt)n;
        }
        source->member_open = true;
        int status = inflate(z, Z_NO_FLUSH);
        if (status == Z_STREAM_END) {
            source->member_open = false;
            inflateReset(z);
        } else if (status != Z_OK && status != Z_BUF_ERROR) {
            fault_set(fault, CLI_DATA, source->name, "the gzip data is damaged near byte %llu: %s",
                      (unsigned long long)(source->read - z->avail_in),
                      z->msg ? z->msg : "not gzip");
            return false;
        }
    }
    *got = room - z->avail_out;
    return true;
}

/* Room for `want` bytes from begin on. Grows by doubling, so that a long line costs no square. */
static bool make_room(struct source *source, size_t want, struct fault *fault)
{
    if (source->capacity - source->begin >= want) return true;
    memmove(source->window, source->window + source->begin, source->end - source->begin);
    source->end -= source->begin;
    source->begin = 0;
    if (source->capacity >= want) return true;
    size_t capacity = source->capacity;
    while (capacity < want) capacity *= 2;
    uint8_t *window = realloc(source->window, capacity + 1);
    if (!window) return no_memory(source->name, fault);
    source->window = window;
    source->capacity = capacity;
    return true;
}

const uint8_t *source_peek(struct source *source, size_t want, size_t *have, struct fault *fault)
{
    if (source->end - source->begin < want && !make_room(source, want, fault)) return NULL;
    while (source->end - source->begin < want && !source->ended) {
        size_t got, room = source->capacity - source->end;
        uint8_t *to = source->window + source->end;
        if (!(source->gzip ? unpack_some(source, to, room, &got, fault)
                           : read_some(source, to, room, &got, fault)))
            return NULL;
        source->end += got;
        source->ended = got == 0;
    }
    size_t held = source->end - source->begin;
    *have = held < want ? held : want;
    return source->window + source->begin;
}

void source_skip(struct source *source, size_t len)
{
    source->begin += len;
    source->offset += len;
    if (source->begin == source->end) source->begin = source->end = 0;
}

/* Passes over the rest of a line too long to hold. */
static enum line_status skip_line(struct source *source, struct fault *fault)
{
    for (;;) {
        size_t have;
        const uint8_t *p = source_peek(source, 1, &have, fault);
        if (!p) return LINE_FAILED;
        if (have == 0) return LINE_TOO_LONG;
        size_t held = source->end - source->begin;
        const uint8_t *newline = memchr(p, '\n', held);
        source_skip(source, newline ? (size_t)(newline - p) + 1 : held);
        if (newline) return LINE_TOO_LONG;
    }
}

enum line_status source_line(struct source *source, const char **line, size_t *len,
                             struct fault *fault)
{
    size_t searched = 0;
    for (;;) {
        uint8_t *p = source->window + source->begin;
        size_t held = source->end - source->begin;
        uint8_t *newline = memchr(p + searched, '\n', held - searched);
        size_t line_len = newline ? (size_t)(newline - p) : held;
        if (line_len > SOURCE_LINE_MAX) return skip_line(source, fault);
        if (newline || source->ended) {
            if (!newline && held == 0) return LINE_END;
            size_t n = line_len;
            source->begin += newline ? n + 1 : n;
            source->offset += newline ? n + 1 : n;
            if (n > 0 && newline && p[n - 1] == '\r') n--;
            p[n] = '\0';
            *line = (const char *)p;
            *len = n;
            return LINE_OK;
        }
        searched = held;
        size_t have;
        if (!source_peek(source, held + 1, &have, fault)) return LINE_FAILED;
    }
}
