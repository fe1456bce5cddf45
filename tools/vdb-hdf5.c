/* vdb-hdf5.c: the helper process in which libhdf5 lives; the tools start it, users need not.
 *
 * It keeps libhdf5 out of the tools: they do not pay for loading it, and a damaged file that makes
 * it crash ends this process only. Before it looks at a byte it gives up all but its descriptors
 * (hdf5/confine.h), so that a file that makes libhdf5 do as it likes has nothing to do it to. What
 * passes through its pipe is written in input/hdf5_pipe.h.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hdf5/confine.h"
#include "hdf5/hdf5_file.h"

/* Memory: what libhdf5 needs for any file whose chunks have a sensible size, and more for a large
 * one, whose chunks can be large and packed to an eighth. Processor time between two runs of rows:
 * a chunk may be as large as the file, which is unpacked at far more than a MB a second. */
static const uint64_t memory_base = (uint64_t)1 << 30, memory_per_byte = 8;
static const uint64_t bytes_per_second = 1000000;
enum { SECONDS_BASE = 4, SECONDS_WRITING = 60, SECONDS_MAX = 100000000 };

void helper_fail(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(status);
}

static herr_t keep_reason(unsigned n, const H5E_error2_t *error, void *text)
{
    if (n == 0 && error->desc) snprintf(text, 256, "%s", error->desc);
    return 0;
}

const char *helper_reason(void)
{
    static char text[256];
    snprintf(text, sizeof text, "libhdf5 gives no reason");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_reason, text);
    return text;
}

static uint64_t memory_limit = (uint64_t)1 << 30;

void helper_no_memory(void)
{
    helper_fail(CLI_DATA, "it takes more memory than %llu MiB, the limit for a file of its size",
                (unsigned long long)(memory_limit >> 20));
}

/* libhdf5 starts as if by itself: its environment is the user's, and its plugins are programs. */
static void start_library(void)
{
    clearenv();
    if (H5open() < 0 || H5PLset_loading_state(0) < 0)
        helper_fail(CLI_SOFTWARE, "libhdf5 does not start");
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static void confine_reading(void)
{
    struct stat st;
    uint64_t size = fstat(STDIN_FILENO, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
    uint64_t seconds = SECONDS_BASE + size / bytes_per_second;
    memory_limit = memory_base;
    memory_limit += size < UINT64_MAX / 16 ? memory_per_byte * size : UINT64_MAX / 4;
    confine(CONFINE_READING, memory_limit, seconds < SECONDS_MAX ? (unsigned)seconds : SECONDS_MAX);
}

static void print_version(void)
{
    char line[CONFINED_SIZE];
    confine_reading();
    confined(line);
    printf("vdb-hdf5 %s\n%s\n", VDB_VERSION_STRING, line);
    if (fflush(stdout) != 0) exit(CLI_IOERR);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    start_library();
    if (strcmp(verb, "--version") == 0 && argc == 2) {
        print_version();
    } else if (strcmp(verb, "read") == 0 && argc <= 5) {
        confine_reading();
        helper_read(argc > 2 ? argv[2] : "", argc > 3 ? argv[3] : "", argc > 4 ? argv[4] : "");
    } else if (strcmp(verb, "write") == 0 && argc == 2) {
        confine(CONFINE_WRITING, memory_base, SECONDS_WRITING);
        helper_write();
    } else {
        helper_fail(CLI_USAGE,
                    "usage: vdb-hdf5 read [DATASET [IDS_DATASET [DEFAULT]]] <FILE >ROWS | "
                    "vdb-hdf5 write <FRAMES 1<>FILE | vdb-hdf5 --version");
    }
    return 0;
}
