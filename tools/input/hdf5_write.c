/* hdf5_write.c: a tool's end of the pipe to vdb-hdf5 write.
 *
 * Rows are gathered per dataset and sent a frame at a time. The pipe is a socket, because a write
 * to one whose reader has died can be told to return an error instead of raising SIGPIPE: the
 * helper's sentence is wanted then, not a quiet end. The file is opened here, beside its place or,
 * for an output that cannot be sought, in a temporary one; the helper knows but its descriptor.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "input/hdf5_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "input/hdf5_pipe.h"
#include "input/spool.h"
#include "newfile.h"

enum { DATASETS_MAX = 16, FRAME_BYTES = 1 << 16 };

struct dataset {
    enum hdf5_element element;
    size_t row_bytes; /* 0: strings */
    uint8_t *rows;    /* FRAME_BYTES, or one row where that takes more */
    size_t used, capacity;
};

struct hdf5_writer {
    char *name;        /* for messages */
    char *path;        /* of the output, what a link points to; NULL: standard output */
    bool stream;       /* it is no regular file, and gets its bytes at the end */
    struct newfile at; /* otherwise */
    int file;          /* where they are until then */
    struct hdf5_child child;
    int socket;
    bool failed;
    int count;
    struct dataset datasets[DATASETS_MAX];
};

static bool send_all(struct hdf5_writer *writer, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len > 0 && !writer->failed) {
        ssize_t n = send(writer->socket, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) writer->failed = true;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return !writer->failed;
}

static bool send_frame(struct hdf5_writer *writer, enum hdf5_frame_kind kind, int dataset,
                       const void *data, size_t len)
{
    struct hdf5_frame frame = {(uint32_t)kind, (uint32_t)dataset, len};
    return send_all(writer, &frame, sizeof frame) && send_all(writer, data, len);
}

static bool flush(struct hdf5_writer *writer, int dataset)
{
    struct dataset *d = &writer->datasets[dataset];
    bool good = d->used == 0 || send_frame(writer, HDF5_FRAME_ROWS, dataset, d->rows, d->used);
    d->used = 0;
    return good;
}

/* ---- the file ------------------------------------------------------------------------------ */

static bool open_file(struct hdf5_writer *writer, const char *path, struct fault *fault)
{
    struct stat st;
    bool standard = strcmp(path, "-") == 0, there = !standard && stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode)) {
        fault_set(fault, CLI_CANTCREAT, writer->name, "is a directory");
        return false;
    }
    writer->stream = standard || (there && !S_ISREG(st.st_mode));
    if (!standard) writer->path = strdup(path);
    if (!standard && !writer->path)
        fault_set(fault, CLI_CANTCREAT, writer->name, "cannot be created: %s", strerror(errno));
    else if (writer->stream)
        writer->file = spool_create();
    else
        writer->file = newfile_open(&writer->at, writer->path);
    if (writer->file >= 0) return true;
    if (standard || writer->path)
        fault_set(fault, CLI_CANTCREAT, writer->name, "cannot be created: %s", strerror(errno));
    return false;
}

static bool copy_out(int from, int to)
{
    static char buffer[1 << 16];
    ssize_t n = lseek(from, 0, SEEK_SET) < 0 ? -1 : 1;
    while (n > 0) {
        n = read(from, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0 && !spool_write(to, buffer, (size_t)n))
            return false;
    }
    return n == 0;
}

static bool write_stream(struct hdf5_writer *writer, struct fault *fault)
{
    int to = writer->path ? open(writer->path, O_WRONLY | O_CLOEXEC)
                          : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (to < 0) {
        fault_set(fault, CLI_CANTCREAT, writer->name, "cannot be opened: %s", strerror(errno));
        return false;
    }
    bool good = copy_out(writer->file, to);
    if (!good) fault_set(fault, CLI_IOERR, writer->name, "write failed: %s", strerror(errno));
    if (close(to) == 0 || !good) return good;
    fault_set(fault, CLI_IOERR, writer->name, "write failed: %s", strerror(errno));
    return false;
}

/* The complete file becomes the output. */
static bool publish(struct hdf5_writer *writer, struct fault *fault)
{
    if (writer->stream) return write_stream(writer, fault);
    if (fsync(writer->file) == 0 && newfile_publish(&writer->at)) return true;
    fault_set(fault, CLI_IOERR, writer->name, "write failed: %s", strerror(errno));
    return false;
}

static void release(struct hdf5_writer *writer)
{
    for (int i = 0; i < writer->count; i++) free(writer->datasets[i].rows);
    if (writer->socket >= 0) close(writer->socket);
    if (writer->file >= 0) close(writer->file);
    newfile_discard(&writer->at);
    free(writer->path);
    free(writer->name);
    free(writer);
}

/* ---- what callers see ---------------------------------------------------------------------- */

static bool start(struct hdf5_writer *writer, const char *helper, struct fault *fault)
{
    static const char *const args[] = {"write", NULL};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        fault_set(fault, CLI_CANTCREAT, writer->name, "cannot make a socket: %s", strerror(errno));
        return false;
    }
    writer->socket = ends[0];
    bool good = hdf5_spawn(&writer->child, helper, args, ends[1], writer->file, writer->name,
                           CLI_CANTCREAT, fault);
    close(ends[1]);
    return good;
}

struct hdf5_writer *hdf5_write_open(const char *path, const char *helper, int *exit_status,
                                    char *message, size_t message_size)
{
    struct fault fault = {0, message, message_size};
    const char *name = strcmp(path, "-") == 0 ? "standard output" : path;
    struct hdf5_writer *writer = calloc(1, sizeof *writer);
    if (writer) {
        writer->socket = writer->file = -1;
        writer->name = strdup(name);
    }
    if (!writer || !writer->name)
        fault_set(&fault, CLI_IOERR, name, "out of memory");
    else if (open_file(writer, path, &fault) && start(writer, helper, &fault))
        return writer;
    if (writer) release(writer);
    *exit_status = fault.exit_status;
    return NULL;
}

int hdf5_write_dataset(struct hdf5_writer *writer, const char *name, enum hdf5_element element,
                       uint32_t width)
{
    if (writer->count == DATASETS_MAX) return -1;
    struct dataset *d = &writer->datasets[writer->count];
    d->element = element;
    d->row_bytes = element == HDF5_STRING ? 0 : (width ? width : 1) * sizeof(float);
    d->capacity = d->row_bytes > FRAME_BYTES ? d->row_bytes : FRAME_BYTES;
    d->rows = malloc(d->capacity);
    size_t name_len = strlen(name), len = 8 + name_len;
    uint8_t *payload = malloc(len);
    bool good = d->rows && payload;
    if (good) {
        uint32_t kind = element;
        memcpy(payload, &kind, 4);
        memcpy(payload + 4, &width, 4);
        memcpy(payload + 8, name, name_len);
        good = send_frame(writer, HDF5_FRAME_DATASET, writer->count, payload, len);
    }
    free(payload);
    if (good) return writer->count++;
    free(d->rows);
    d->rows = NULL;
    writer->failed = true;
    return -1;
}

bool hdf5_write_attribute(struct hdf5_writer *writer, const char *name, const char *value)
{
    size_t name_len = strlen(name) + 1, value_len = strlen(value);
    char *payload = malloc(name_len + value_len);
    if (!payload) {
        writer->failed = true;
        return false;
    }
    memcpy(payload, name, name_len);
    memcpy(payload + name_len, value, value_len);
    bool good = send_frame(writer, HDF5_FRAME_ATTRIBUTE, 0, payload, name_len + value_len);
    free(payload);
    return good;
}

bool hdf5_write_row(struct hdf5_writer *writer, int dataset, const void *elements)
{
    if (dataset < 0 || dataset >= writer->count) return false;
    struct dataset *d = &writer->datasets[dataset];
    if (d->capacity - d->used < d->row_bytes && !flush(writer, dataset)) return false;
    memcpy(d->rows + d->used, elements, d->row_bytes);
    d->used += d->row_bytes;
    return !writer->failed;
}

bool hdf5_write_string(struct hdf5_writer *writer, int dataset, const char *text, size_t len)
{
    if (dataset < 0 || dataset >= writer->count || len > UINT32_MAX - 4) return false;
    struct dataset *d = &writer->datasets[dataset];
    uint32_t length = (uint32_t)len;
    if (d->capacity - d->used < len + 4 && !flush(writer, dataset)) return false;
    if (d->capacity < len + 4) {
        uint8_t *rows = realloc(d->rows, len + 4);
        if (!rows) {
            writer->failed = true;
            return false;
        }
        d->rows = rows;
        d->capacity = len + 4;
    }
    memcpy(d->rows + d->used, &length, 4);
    if (len) memcpy(d->rows + d->used + 4, text, len);
    d->used += len + 4;
    return !writer->failed;
}

bool hdf5_write_close(struct hdf5_writer *writer, int *exit_status, char *message,
                      size_t message_size)
{
    struct fault fault = {0, message, message_size};
    for (int i = 0; i < writer->count && !writer->failed; i++) flush(writer, i);
    bool good = !writer->failed && send_frame(writer, HDF5_FRAME_END, 0, NULL, 0);
    close(writer->socket);
    writer->socket = -1;
    bool done = hdf5_reap(&writer->child, writer->name, &fault);
    if (done && !good)
        fault_set(&fault, CLI_SOFTWARE, writer->name, "it could not be written: out of memory");
    good = good && done && publish(writer, &fault);
    release(writer);
    *exit_status = good ? CLI_OK : fault.exit_status;
    return good;
}

void hdf5_write_abort(struct hdf5_writer *writer)
{
    if (!writer) return;
    int status;
    char message[512];
    writer->failed = true; /* no end frame: nothing is made of what was written */
    hdf5_write_close(writer, &status, message, sizeof message);
}
