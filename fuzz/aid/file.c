/* file.c: bytes as a file that has a path, without a disk.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "aid/fuzz.h"

static void give_up(const char *what)
{
    perror(what);
    exit(1);
}

static void write_all(int fd, const uint8_t *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, data + done, size - done);
        if (n <= 0) give_up("write");
        done += (size_t)n;
    }
}

int fuzz_file(const uint8_t *data, size_t size, char path[64])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0) give_up("memfd_create");
    write_all(fd, data, size);
    if (lseek(fd, 0, SEEK_SET) != 0) give_up("lseek");
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

static char folder[64], file[96];
static pid_t owner;

static void tidy_up(void)
{
    if (getpid() != owner) return;
    unlink(file);
    rmdir(folder);
}

/* A fuzzer may fork after the first run, and the children must not share a file. */
const char *fuzz_path(void)
{
    if (getpid() != owner) {
        snprintf(folder, sizeof folder, "%s/vdb-fuzz-XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        if (!mkdtemp(folder)) give_up(folder);
        snprintf(file, sizeof file, "%s/index.vdb", folder);
        owner = getpid();
        atexit(tidy_up);
    }
    unlink(file);
    return file;
}

void fuzz_write(const char *path, const uint8_t *data, size_t size)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0) give_up(path);
    write_all(fd, data, size);
    close(fd);
}

uint64_t fuzz_random(uint64_t *state)
{
    *state ^= *state << 13; /* Marsaglia, Xorshift RNGs (2003), the 64-bit triple 13, 7, 17 */
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
