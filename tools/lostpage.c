/* lostpage.c: a mapped file that loses pages ends the tool with a message.
 *
 * All that runs in the handler is async-signal-safe: the file is found in /proc/self/maps, read by
 * read(2) into static memory, and the message is put together by hand.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "lostpage.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static const char *tool_name;
static void (*at_last)(void);

/* ---- the mapping ----------------------------------------------------------------------------- */

struct mapping {
    uint64_t begin, end, offset, inode;
    const char *path;
};

/* Takes the number at *at and the one character behind it; false where there is none. */
static bool take_number(const char **at, uint64_t base, uint64_t *number)
{
    const char *c = *at;
    *number = 0;
    for (;; c++) {
        uint64_t digit = *c >= '0' && *c <= '9'   ? (uint64_t)(*c - '0')
                         : *c >= 'a' && *c <= 'f' ? (uint64_t)(*c - 'a') + 10
                                                  : base;
        if (digit >= base) break;
        *number = *number * base + digit;
    }
    if (c == *at || *c == 0) return false;
    *at = c + 1;
    return true;
}

/* "7f12-7f13 r--s 00002000 fe:01 1234   /a/file": of files alone, proc_pid_maps(5). */
static bool parse_line(const char *line, struct mapping *m)
{
    uint64_t major, minor;
    const char *at = line;
    if (!take_number(&at, 16, &m->begin) || !take_number(&at, 16, &m->end)) return false;
    at = strchr(at, ' '); /* permissions */
    if (!at) return false;
    at++;
    if (!take_number(&at, 16, &m->offset) || !take_number(&at, 16, &major) ||
        !take_number(&at, 16, &minor) || !take_number(&at, 10, &m->inode))
        return false;
    m->path = strchr(at, '/');
    return m->path != NULL;
}

/* Finds the file that is mapped at `address`; m->path lies in static memory. */
static bool find_mapping(uint64_t address, struct mapping *m)
{
    static char piece[4096], line[PATH_MAX + 128];
    size_t len = 0;
    bool found = false;
    ssize_t got = 0;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    while (!found && (got = read(fd, piece, sizeof piece)) > 0) {
        for (ssize_t i = 0; i < got && !found; i++) {
            if (piece[i] != '\n') {
                if (len < sizeof line - 1) line[len++] = piece[i];
                continue;
            }
            line[len] = 0;
            len = 0;
            found = parse_line(line, m) && m->begin <= address && address < m->end;
        }
    }
    close(fd);
    return found;
}

/* ---- the message ----------------------------------------------------------------------------- */

static char message[PATH_MAX + 512];
static size_t message_len;

static void put(const char *text)
{
    for (; *text && message_len < sizeof message; text++)
        message[message_len++] = (unsigned char)*text < ' ' ? '?' : *text;
}

static void put_number(uint64_t number)
{
    char digits[21];
    size_t at = sizeof digits - 1;
    digits[at] = 0;
    do digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    put(digits + at);
}

static void tell(const struct mapping *m, uint64_t address)
{
    uint64_t offset = m->offset + (address - m->begin);
    struct stat st;
    bool same = stat(m->path, &st) == 0 && (uint64_t)st.st_ino == m->inode;
    put(tool_name);
    put(": ");
    put(m->path);
    put(": offset ");
    put_number(offset);
    if (same && (uint64_t)st.st_size <= offset) {
        put(": the file was cut off while in use, it ends at ");
        put_number((uint64_t)st.st_size);
    } else {
        put(same ? ": the file cannot be read here"
                 : ": the file was cut off while in use, or cannot be read here");
    }
    if (message_len == sizeof message) message_len--;
    message[message_len++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, message, message_len);
    (void)ignored;
}

static void on_lost_page(int number, siginfo_t *info, void *context)
{
    static atomic_flag begun = ATOMIC_FLAG_INIT;
    struct mapping m;
    (void)context;
    /* Threads that touch lost pages at the same time wait for the end that the first one brings. */
    while (atomic_flag_test_and_set(&begun)) pause();
    uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
    bool lost = info->si_code == BUS_ADRERR || info->si_code == BUS_MCEERR_AR;
    if (!lost || !find_mapping(address, &m)) {
        signal(number, SIG_DFL);
        raise(number); /* blocked until the handler returns */
        return;
    }
    tell(&m, address);
    at_last();
    _exit(CLI_IOERR);
}

void lostpage_catch(const char *tool, void (*last)(void))
{
    struct sigaction action = {.sa_sigaction = on_lost_page, .sa_flags = SA_SIGINFO};
    tool_name = tool;
    at_last = last;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}
