/* peak.c: runs a command and prints its seconds, CPU seconds, peak resident bytes, and the peak of
 * those that are no pages of a file.
 *
 * Small on purpose: a child inherits the resident peak of the process that it was spawned from, so
 * the parent of what is measured must have next to none. The kernel keeps no peak for anonymous
 * pages alone; that one is sampled every few milliseconds.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static long anonymous_kib(pid_t pid)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    long anon = 0, shared = 0;
    while (fgets(line, sizeof line, file)) {
        sscanf(line, "RssAnon: %ld", &anon);
        sscanf(line, "RssShmem: %ld", &shared);
    }
    fclose(file);
    return anon + shared;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("usage: peak COMMAND...\n", stderr);
        return 2;
    }
    double start = now();
    pid_t pid;
    int status;
    if ((errno = posix_spawnp(&pid, argv[1], NULL, NULL, argv + 1, environ))) {
        perror(argv[1]);
        return 1;
    }
    long anonymous = 0;
    struct rusage usage;
    while (wait4(pid, &status, WNOHANG, &usage) == 0) {
        long present = anonymous_kib(pid);
        if (present > anonymous) anonymous = present;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    double wall = now() - start;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "peak: %s failed\n", argv[1]);
        return 1;
    }
    printf("%.3f %.3f %ld %ld\n", wall, seconds(usage.ru_utime) + seconds(usage.ru_stime),
           usage.ru_maxrss * 1024, anonymous * 1024);
    return 0;
}
