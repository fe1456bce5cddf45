/* bench_memory.c: runs a command and prints how much memory it had resident, at the most.
 *
 * bench_memory COMMAND... prints two numbers of KiB: the largest sum over all mappings, and the
 * largest sum over those that are no .vdb file. The pages of a mapped index belong to the page
 * cache: they are shared, and the kernel takes them back whenever it wants. ru_maxrss cannot tell
 * them apart, and begins with the memory of whoever forked. So the command is traced, and its
 * mappings are looked at whenever a thread of it is about to make a system call or comes out of
 * one: what is mapped is only ever given back by one.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"

#define SYSCALL_STOP (SIGTRAP | 0x80)

struct peak {
    size_t all, but_index;
};

static int ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* A new index has another name until it is complete, which ends in ".vdb" too, or none. */
static int is_index(const char *path)
{
    return ends_with(path, ".vdb") || strstr(path, ".vdb.") != NULL ||
           ends_with(path, " (deleted)");
}

static void look(pid_t pid, struct peak *peak)
{
    char path[64], line[4608];
    struct peak now = {0, 0};
    int index = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return; /* it is ending */
    while (fgets(line, sizeof line, file) != NULL) {
        size_t kib;
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "Rss: %zu", &kib) == 1) {
            now.all += kib;
            now.but_index += index ? 0 : kib;
        } else if (strchr("0123456789abcdef", line[0]) != NULL) {
            const char *name = strchr(line, '/');
            index = name != NULL && is_index(name);
        }
    }
    fclose(file);
    if (now.all > peak->all) peak->all = now.all;
    if (now.but_index > peak->but_index) peak->but_index = now.but_index;
}

static pid_t start(char **argv)
{
    pid_t pid = fork();
    if (pid < 0) die("cannot fork");
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) die("may not trace a process here");
        raise(SIGSTOP);
        execvp(argv[0], argv);
        die("%s: cannot be run", argv[0]);
    }
    int status;
    long options =
        PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) die("may not trace a process here");
    if (ptrace(PTRACE_SETOPTIONS, pid, NULL, options) != 0 ||
        ptrace(PTRACE_SYSCALL, pid, NULL, 0L) != 0)
        die("cannot trace %s", argv[0]);
    return pid;
}

/* Follows it to its end and returns its status as waitpid has it. */
static int follow(pid_t command, struct peak *peak)
{
    int began = 0; /* it has been this program until the exec */
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0) die("lost the command");
        if (!WIFSTOPPED(status)) {
            if (pid == command) return status;
            continue;
        }
        int signal = WSTOPSIG(status), event = status >> 16;
        if (event == PTRACE_EVENT_EXEC) began = 1;
        if (signal == SYSCALL_STOP && began) look(command, peak);
        /* Stops of the tracing itself, and the first one of a thread, are no signals to hand on. */
        int ours = signal == SYSCALL_STOP || event != 0 || signal == SIGSTOP;
        ptrace(PTRACE_SYSCALL, pid, NULL, ours ? 0L : (long)signal);
    }
}

int main(int argc, char **argv)
{
    struct peak peak = {0, 0};
    if (argc < 2) die("usage: bench_memory COMMAND...");
    int status = follow(start(argv + 1), &peak);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) die("%s failed", argv[1]);
    printf("%zu\t%zu\n", peak.all, peak.but_index);
    return 0;
}
