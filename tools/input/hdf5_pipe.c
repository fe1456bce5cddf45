/* hdf5_pipe.c: finds, starts and ends the helper process.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "input/hdf5_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

extern char **environ;

enum { ARGS_MAX = 8 };

/* The built tree has the installed one's layout, bin and libexec side by side. */
static bool find_helper(char path[PATH_MAX], const char *name, int status, struct fault *fault)
{
    static const char *const places[] = {"vdb-hdf5", "../libexec/vdb/vdb-hdf5"};
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len < 0) {
        fault_set(fault, status, name,
                  "cannot tell where the helper vdb-hdf5 is: /proc/self/exe: %s", strerror(errno));
        return false;
    }
    self[len] = '\0';
    char *slash = strrchr(self, '/');
    if (slash) slash[1] = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        int n = snprintf(path, PATH_MAX, "%s%s", self, places[i]);
        if (n > 0 && n < PATH_MAX && access(path, X_OK) == 0) return true;
    }
    fault_set(fault, status, name,
              "HDF5 needs the helper vdb-hdf5, which is not in %s or %s../libexec/vdb/", self,
              self);
    return false;
}

/* The child's side of the descriptors; SIGPIPE gets its default back, by which the helper ends
 * when nobody reads it any more. */
static int spawn(pid_t *pid, const char *path, char *const argv[], int in, int out, int said)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t pipe_signal;
    int error = posix_spawn_file_actions_init(&files);
    if (error) return error;
    error = posix_spawnattr_init(&attributes);
    if (error) {
        posix_spawn_file_actions_destroy(&files);
        return error;
    }
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    error = posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
    if (!error) error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    if (!error)
        error = in < 0 ? posix_spawn_file_actions_addopen(&files, 0, "/dev/null", 0, 0)
                       : posix_spawn_file_actions_adddup2(&files, in, 0);
    if (!error && out >= 0) error = posix_spawn_file_actions_adddup2(&files, out, 1);
    if (!error) error = posix_spawn_file_actions_adddup2(&files, said, 2);
    if (!error) error = posix_spawn(pid, path, &files, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

bool hdf5_spawn(struct hdf5_child *child, const char *helper, const char *const *args, int in,
                int out, const char *name, int status, struct fault *fault)
{
    char path[PATH_MAX], *argv[ARGS_MAX + 2];
    size_t count = 0;
    if (!helper && !find_helper(path, name, status, fault)) return false;
    const char *program = helper ? helper : path;
    argv[count++] =
        (char *)(uintptr_t)program; /* posix_spawn's prototype is not const, its use is */
    while (*args && count <= ARGS_MAX) argv[count++] = (char *)(uintptr_t)*args++;
    argv[count] = NULL;
    child->pid = 0;
    child->said = memfd_create("vdb-hdf5 messages", MFD_CLOEXEC);
    if (child->said < 0) {
        fault_set(fault, status, name, "cannot run the helper vdb-hdf5: %s", strerror(errno));
        return false;
    }
    int error = spawn(&child->pid, program, argv, in, out, child->said);
    if (error == 0) return true;
    close(child->said);
    child->pid = 0;
    fault_set(fault, status, name, "cannot run the helper %s: %s", program, strerror(error));
    return false;
}

static int wait_for(struct hdf5_child *child)
{
    int result = 0;
    pid_t got;
    do got = waitpid(child->pid, &result, 0);
    while (got < 0 && errno == EINTR);
    child->pid = 0;
    return result;
}

/* What the helper said, as one line without control characters: it may quote a hostile file. */
static void read_message(int fd, char *to, size_t size)
{
    ssize_t n = pread(fd, to, size - 1, 0);
    size_t len = n > 0 ? (size_t)n : 0;
    while (len > 0 && to[len - 1] == '\n') len--;
    to[len] = '\0';
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)to[i] < 0x20 || to[i] == 0x7f) to[i] = to[i] == '\n' ? ' ' : '?';
}

bool hdf5_reap(struct hdf5_child *child, const char *name, struct fault *fault)
{
    char text[400];
    int result = wait_for(child);
    read_message(child->said, text, sizeof text);
    close(child->said);
    if (WIFSIGNALED(result) && WTERMSIG(result) == SIGPROF) {
        fault_set(fault, CLI_DATA, name,
                  "the HDF5 library came to no end with it in the time that a file of its size may "
                  "take: the file is damaged");
        return false;
    }
    if (WIFSIGNALED(result)) {
        fault_set(fault, CLI_DATA, name,
                  "the HDF5 library crashed on it (signal %d): the file is damaged",
                  WTERMSIG(result));
        return false;
    }
    int status = WEXITSTATUS(result);
    if (status == 0) return true;
    bool ours = status == CLI_DATA || status == CLI_NOINPUT || status == CLI_CANTCREAT ||
                status == CLI_IOERR;
    fault_set(fault, ours ? status : CLI_SOFTWARE, name, "%s",
              text[0] ? text : "the helper vdb-hdf5 failed and said nothing");
    return false;
}

void hdf5_kill(struct hdf5_child *child)
{
    if (child->pid == 0) return;
    kill(child->pid, SIGKILL);
    wait_for(child);
    close(child->said);
}

static void read_line(int fd, char *line, size_t size)
{
    ssize_t n;
    size_t used = 0;
    while (used < size - 1 && (n = read(fd, line + used, size - 1 - used)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) break;
        used += (size_t)n;
    }
    line[used] = '\0';
}

/* The second line of what it says, or what is wrong with it. */
void hdf5_about(FILE *to)
{
    static const char *const args[] = {"--version", NULL};
    char text[512] = "", message[400] = "";
    struct fault fault = {0, message, sizeof message};
    struct hdf5_child child = {.pid = 0};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return;
    bool good = hdf5_spawn(&child, NULL, args, -1, ends[1], "HDF5 helper", CLI_SOFTWARE, &fault);
    close(ends[1]);
    if (good) {
        read_line(ends[0], text, sizeof text);
        good = hdf5_reap(&child, "HDF5 helper", &fault);
    }
    close(ends[0]);
    char *line = strchr(text, '\n');
    if (good && line)
        fprintf(to, "HDF5 helper: %s", line + 1);
    else
        fprintf(to, "%s\n", message);
}
