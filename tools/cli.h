/* cli.h: what every tool does alike: options, exit statuses, messages, progress, signals.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_CLI_H
#define TOOLS_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vdb.h"

enum cli_exit {
    CLI_OK = 0,
    CLI_NO = 1,
    CLI_USAGE = 2,
    CLI_DATA = 65,
    CLI_NOINPUT = 66,
    CLI_SOFTWARE = 70,
    CLI_CANTCREAT = 73,
    CLI_IOERR = 74,
    CLI_BUSY = 75
};

/* One option of a tool. A table of them drives parsing and --help alike; the common ones (help,
 * version, quiet, verbose, threads, wait, progress) are added to every table. */
struct cli_option {
    const char *name;     /* "create", without dashes */
    char letter;          /* 'k', or 0 */
    const char *argument; /* "N", or NULL for a flag */
    const char *help;     /* one line */
    int id;               /* given to the tool's handler */
};

struct cli {
    const char *tool;                 /* "vdb-add" */
    const char *usage;                /* "[options] INDEX [INPUT...]" */
    const char *summary;              /* one line */
    const struct cli_option *options; /* ends with name NULL */
    const char *threads_help;         /* of --threads, where it is not the usual; or NULL */
    void (*about)(FILE *to);          /* more lines for --version; or NULL */

    /* Filled by cli_parse: */
    bool quiet, verbose, progress; /* progress: asked for, or stderr is a terminal */
    unsigned threads;
    double wait;
    const char *index; /* the first operand */
    char **operands;   /* those behind it */
    int operand_count;
};

/* --threads of a tool that does all of its work in one. */
#define CLI_ONE_THREAD "accepted for the sake of scripts; one thread does"

/* Parses argv: options may stand before or after operands, "--" ends them. Calls take(context, id,
 * value) for the tool's own options, which ends the program by cli_usage_error for bad values.
 * -h and -V print and exit 0. Wrong usage exits 2 with one line and a hint at --help. Also sets up
 * signals. */
typedef void (*cli_take_fn)(struct cli *cli, void *context, int id, const char *value);
void cli_parse(struct cli *cli, int argc, char **argv, cli_take_fn take, void *context);

_Noreturn void cli_usage_error(const struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "vdb-add: " and the message and a newline on stderr. */
void cli_message(const struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints the library's error behind the names of the tool and of the index, which the library's
 * sentences do not begin with, and returns the exit status that it means. Of VDB_CANCELLED nothing
 * is printed: the tool dies of the signal that was noted. */
int cli_report(const struct cli *cli, const struct vdb_error *err);
int cli_exit_of(enum vdb_status status);

/* ---- signals (cli_signal.c) ----
 *
 * SIGINT, SIGTERM, SIGHUP and SIGPIPE end the tool at once, but for the time in which a change of
 * the index is under way: then the first of them is noted, the library asks for it by
 * cli_cancelled, and what has become of the change is known when the tool dies of the signal. */

/* Called by cli_parse. A page of a mapped file that is lost ends the tool with status 74. `tool`
 * stays in place. */
void cli_catch_signals(const char *tool);

/* What comes first when a signal or a lost page ends the tool: this file is removed, and this text
 * told on stderr. Both are copied; NULL: nothing. */
void cli_at_signal(const char *remove_path, const char *say);
const char *cli_said_at_signal(void); /* that text; NULL: none */

/* Begins noting. A second signal ends the tool at once, unless it is the first one again within 50
 * ms, and so does the first where what is under way takes longer to end than users wait; `twice`,
 * which stays in place, is what it then tells, or NULL. */
void cli_note_signals(const char *twice);

/* The signal that was noted, or 0: as vdb_open_options and progress functions have it. */
int cli_cancelled(void *context);

/* Ends noting. If a signal was noted, the tool dies of it. */
void cli_release_signals(void);

/* ---- numbers in options (cli_number.c) ----
 *
 * A bad one is wrong usage. Locale plays no part. */
uint64_t cli_number(const struct cli *cli, const char *option, const char *text, uint64_t min,
                    uint64_t max);
double cli_real(const struct cli *cli, const char *option, const char *text);

/* How the tools open an index. VDB_ISA of the environment is passed on; an unknown one is wrong
 * usage. */
struct vdb_open_options cli_open_options(const struct cli *cli, bool read_only);

/* Opens the index; where it cannot, reports and returns NULL with *exit_status set; 2 where VDB_ISA
 * is not to be had here. */
struct vdb *cli_open(const struct cli *cli, const char *path, bool read_only, int *exit_status);

/* Makes an index that has yet to be published; likewise. */
struct vdb *cli_create(const struct cli *cli, const char *path,
                       const struct vdb_create_options *how, int *exit_status);

/* The index's length from now on is what a lost page is explained by; cli_open sees to that. `path`
 * stays in place. */
void cli_watch(const char *path);

/* A vdb_progress_fn that draws one line on stderr with rate and time left, at most some 10 times a
 * second, when cli->progress is set; context is a struct cli_progress. Returns what
 * cli_cancelled does. */
struct cli_progress {
    const struct cli *cli;
    const char *phase;
    double started, drawn;
};
int cli_progress(void *context, const char *phase, uint64_t done, uint64_t total);
void cli_progress_end(struct cli_progress *progress); /* wipes the line */

/* Flushes stdout and returns `status`, or 74 with a message when stdout could not be written, or
 * when the index is shorter than when it was opened: the rest of a page that was cut off in the
 * middle reads as zeros. */
int cli_finish(const struct cli *cli, int status);

/* Shortest text that reads back as the same float. `text` holds 32 bytes. Never locale-dependent.
 */
const char *cli_float(float value, char text[32]);

/* An id that may not be one, for a message: whole, but for control characters and what is over
 * 1,023 bytes. Returns `to`. */
#define CLI_NAME_SIZE 1032
const char *cli_name(const char *text, size_t len, char to[CLI_NAME_SIZE]);

/* Text as a JSON string, with quotes, on a stream. */
void cli_json_string(FILE *to, const char *text, size_t len);

#endif
