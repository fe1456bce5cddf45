/* startup.c: from exec to exit, a command against /bin/true, by turns; prints both medians in
 * milliseconds and their difference.
 *
 * Usage: startup TIMES COMMAND... The command's output goes to /dev/null.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static double run(char **argv, const posix_spawn_file_actions_t *actions)
{
    double start = now();
    pid_t pid;
    int status;
    if ((errno = posix_spawnp(&pid, argv[0], actions, NULL, argv, environ)) ||
        waitpid(pid, &status, 0) < 0) {
        perror(argv[0]);
        exit(1);
    }
    double time = now() - start;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "startup: %s failed\n", argv[0]);
        exit(1);
    }
    return time;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *times, size_t count)
{
    qsort(times, count, sizeof *times, compare);
    return count % 2 ? times[count / 2] : (times[count / 2 - 1] + times[count / 2]) / 2;
}

int main(int argc, char **argv)
{
    long times = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
    if (times < 1) {
        fputs("usage: startup TIMES COMMAND...\n", stderr);
        return 2;
    }
    size_t count = (size_t)times;
    double *base = calloc(count, sizeof *base), *command = calloc(count, sizeof *command);
    if (!base || !command) return 1;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    char *nothing[] = {"/bin/true", NULL};
    run(nothing, &actions);
    run(argv + 2, &actions);
    for (size_t i = 0; i < count; i++) {
        base[i] = run(nothing, &actions);
        command[i] = run(argv + 2, &actions);
    }
    double least = median(base, count), most = median(command, count);
    printf("%.3f %.3f %.3f\n", most, least, most - least);
    posix_spawn_file_actions_destroy(&actions);
    free(base);
    free(command);
    return 0;
}
