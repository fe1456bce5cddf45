/* seam_record.c: the record of what happens to the files of a directory.
 *
 * What it asks of the system itself is neither counted nor failed.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "seam_record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "seam.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool recording; /* atomic */
static struct seam_trace now;
static size_t op_room, file_room;
static dev_t directory_device;
static ino_t directory_inode;
/* The directory as it was given and as it resolves: the library uses paths of either kind. */
static char *directories[2];

static void *must_have(void *p)
{
    if (!p) {
        fprintf(stderr, "seam: out of memory\n");
        abort();
    }
    return p;
}

static void *grown(void *items, size_t *room, size_t count, size_t size)
{
    if (count < *room) return items;
    *room = *room ? 2 * *room : 64;
    return must_have(realloc(items, *room * size));
}

static char *copied(const char *text)
{
    return must_have(strdup(text));
}

static struct seam_op *append(enum seam_op_kind kind)
{
    now.ops = grown(now.ops, &op_room, now.count, sizeof *now.ops);
    struct seam_op *op = &now.ops[now.count++];
    *op = (struct seam_op){.kind = kind};
    return op;
}

/* The name within the directory, or NULL where the path leads elsewhere. */
static const char *name_within(const char *path)
{
    for (int i = 0; i < 2; i++) {
        size_t len = strlen(directories[i]);
        if (strncmp(path, directories[i], len) == 0 && path[len] == '/' &&
            !strchr(path + len + 1, '/'))
            return path + len + 1;
    }
    return NULL;
}

static uint32_t add_file(int fd)
{
    struct stat s;
    if (fstat(fd, &s) != 0) abort();
    now.files = grown(now.files, &file_room, now.file_count, sizeof *now.files);
    now.files[now.file_count] =
        (struct seam_file){.device = (uint64_t)s.st_dev, .inode = (uint64_t)s.st_ino};
    return now.file_count++;
}

/* The newest file with the descriptor's inode, whose number an older file may have had. */
static bool find_file(int fd, uint32_t *file)
{
    struct stat s;
    if (fstat(fd, &s) != 0) return false;
    for (uint32_t i = now.file_count; i-- > 0;)
        if (now.files[i].device == (uint64_t)s.st_dev && now.files[i].inode == (uint64_t)s.st_ino) {
            *file = i;
            return true;
        }
    return false;
}

/* ---- from the calls ------------------------------------------------------------------------ */

static _Thread_local bool inside; /* this thread has `lock`, for it is being recorded */

void trace_enter(void)
{
    if (!__atomic_load_n(&recording, __ATOMIC_ACQUIRE)) return;
    seam_pause();
    pthread_mutex_lock(&lock);
    inside = true;
}

void trace_leave(void)
{
    if (!inside) return;
    inside = false;
    int kept = errno;
    pthread_mutex_unlock(&lock);
    seam_resume();
    errno = kept;
}

static struct seam_op *append_for(int fd, enum seam_op_kind kind)
{
    uint32_t file;
    int kept = errno;
    bool found = inside && find_file(fd, &file);
    errno = kept;
    if (!found) return NULL;
    struct seam_op *op = append(kind);
    op->file = file;
    return op;
}

void trace_write(int fd, uint64_t off, const void *bytes, size_t len)
{
    struct seam_op *op = append_for(fd, SEAM_OP_WRITE);
    if (!op) return;
    op->off = off;
    op->len = len;
    op->bytes = must_have(malloc(len));
    memcpy(op->bytes, bytes, len);
}

void trace_reserve(int fd, uint64_t off, uint64_t len)
{
    struct seam_op *op = append_for(fd, SEAM_OP_RESERVE);
    if (!op) return;
    op->off = off;
    op->len = len;
}

void trace_truncate(int fd, uint64_t len)
{
    struct seam_op *op = append_for(fd, SEAM_OP_TRUNCATE);
    if (op) op->len = len;
}

void trace_sync(int fd, bool good)
{
    struct stat s;
    int kept = errno;
    bool of_directory = inside && good && fstat(fd, &s) == 0 && s.st_dev == directory_device &&
                        s.st_ino == directory_inode;
    errno = kept;
    if (of_directory)
        append(SEAM_OP_SYNC_DIRECTORY);
    else
        append_for(fd, good ? SEAM_OP_SYNC : SEAM_OP_SYNC_FAIL);
}

void trace_create(const char *path, int fd)
{
    const char *name = inside ? name_within(path) : NULL;
    if (!name) return;
    uint32_t file = add_file(fd);
    struct seam_op *op = append(SEAM_OP_CREATE);
    op->file = file;
    op->name = copied(name);
}

static void record_names(enum seam_op_kind kind, const char *from, const char *to)
{
    const char *name = inside ? name_within(from) : NULL, *other = inside ? name_within(to) : NULL;
    if (!name || !other) return;
    struct seam_op *op = append(kind);
    op->name = copied(name);
    op->to = copied(other);
}

void trace_link(const char *from, const char *to)
{
    record_names(SEAM_OP_LINK, from, to);
}

void trace_rename(const char *from, const char *to)
{
    record_names(SEAM_OP_RENAME, from, to);
}

void trace_unlink(const char *path)
{
    const char *name = inside ? name_within(path) : NULL;
    if (name) append(SEAM_OP_UNLINK)->name = copied(name);
}

void seam_mark(uint64_t n)
{
    trace_enter();
    if (inside) append(SEAM_OP_MARK)->off = n;
    trace_leave();
}

/* ---- beginning and end --------------------------------------------------------------------- */

static void read_whole(int fd, struct seam_file *file)
{
    struct stat s;
    if (fstat(fd, &s) != 0) abort();
    file->len = (uint64_t)s.st_size;
    file->bytes = must_have(malloc(file->len + 1));
    size_t done = 0;
    while (done < file->len) {
        ssize_t n = pread(fd, file->bytes + done, file->len - done, (off_t)done);
        if (n <= 0) abort();
        done += (size_t)n;
    }
}

static void add_what_is_there(DIR *entries)
{
    const struct dirent *entry;
    while ((entry = readdir(entries)) != NULL) {
        struct stat s;
        if (fstatat(dirfd(entries), entry->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(s.st_mode))
            continue;
        int fd = openat(dirfd(entries), entry->d_name, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        uint32_t number = add_file(fd);
        struct seam_file *file = &now.files[number];
        file->name = copied(entry->d_name);
        read_whole(fd, file);
        close(fd);
    }
}

void seam_record_begin(const char *directory)
{
    seam_pause();
    DIR *entries = opendir(directory);
    struct stat s;
    if (!entries || fstat(dirfd(entries), &s) != 0) {
        fprintf(stderr, "seam: cannot read %s\n", directory);
        abort();
    }
    now = (struct seam_trace){0};
    op_room = file_room = 0;
    directory_device = s.st_dev;
    directory_inode = s.st_ino;
    directories[0] = copied(directory);
    directories[1] = must_have(realpath(directory, NULL));
    for (size_t len = strlen(directory); len > 1 && directory[len - 1] == '/';)
        directories[0][--len] = '\0';
    add_what_is_there(entries);
    closedir(entries);
    __atomic_store_n(&recording, true, __ATOMIC_RELEASE);
    seam_resume();
}

void seam_record_end(struct seam_trace *trace)
{
    __atomic_store_n(&recording, false, __ATOMIC_RELEASE);
    pthread_mutex_lock(&lock);
    *trace = now;
    now = (struct seam_trace){0};
    for (int i = 0; i < 2; i++) {
        free(directories[i]);
        directories[i] = NULL;
    }
    pthread_mutex_unlock(&lock);
}

void seam_trace_release(struct seam_trace *trace)
{
    for (uint32_t i = 0; i < trace->file_count; i++) {
        free(trace->files[i].name);
        free(trace->files[i].bytes);
    }
    for (size_t i = 0; i < trace->count; i++) {
        free(trace->ops[i].bytes);
        free(trace->ops[i].name);
        free(trace->ops[i].to);
    }
    free(trace->files);
    free(trace->ops);
    *trace = (struct seam_trace){0};
}
