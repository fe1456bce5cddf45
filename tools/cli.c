/* cli.c: what every tool does alike: options, exit statuses, messages, progress, signals.
 *
 * The only state of the process that it keeps is what a progress line needs, and which file it has
 * opened; cli_signal.c has that of signals.
 * No tool calls setlocale, so that numbers read and print as in the "C" locale.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- standard files ------------------------------------------------------------------------ */

/* Were one of the three closed, the index could be opened under its number and get the tool's
 * messages written into it. The stand-ins are opened the wrong way round: using them fails. */
static void fill_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0)
            _exit(CLI_IOERR);
}

/* ---- messages ------------------------------------------------------------------------------ */

static bool line_is_drawn; /* a progress line stands on the terminal, without a newline */

static void wipe_line(void)
{
    if (line_is_drawn) fputs("\r\033[K", stderr);
    line_is_drawn = false;
}

static void say(const struct cli *cli, const char *format, va_list args)
{
    char text[4096];
    vsnprintf(text, sizeof text, format, args);
    wipe_line();
    fprintf(stderr, "%s: %s\n", cli->tool, text);
}

void cli_message(const struct cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(cli, format, args);
    va_end(args);
}

_Noreturn void cli_usage_error(const struct cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(cli, format, args);
    va_end(args);
    fprintf(stderr, "Try '%s --help'.\n", cli->tool);
    exit(CLI_USAGE);
}

int cli_exit_of(enum vdb_status status)
{
    switch (status) {
    case VDB_OK:
        return CLI_OK;
    case VDB_NOT_FOUND:
        return CLI_NO;
    case VDB_EXISTS:
    case VDB_INVALID:
    case VDB_CORRUPT:
    case VDB_UNSUPPORTED:
    case VDB_LIMIT:
        return CLI_DATA;
    case VDB_CANNOT_OPEN:
        return CLI_NOINPUT;
    case VDB_CANNOT_CREATE:
    case VDB_READ_ONLY:
        return CLI_CANTCREAT;
    case VDB_IO:
    case VDB_NO_MEMORY:
    case VDB_DURABILITY_UNKNOWN:
        return CLI_IOERR;
    case VDB_BUSY:
        return CLI_BUSY;
    case VDB_CANCELLED:
        return 128 + SIGINT;
    case VDB_INTERNAL:
        break;
    }
    return CLI_SOFTWARE;
}

int cli_report(const struct cli *cli, const struct vdb_error *err)
{
    if (err->status == VDB_CANCELLED) cli_release_signals();
    const char *message = err->message[0] ? err->message : vdb_status_string(err->status);
    if (err->segment)
        cli_message(cli, "%s: %s (%s, offset %llu)", cli->index, message, err->segment,
                    (unsigned long long)err->offset);
    else
        cli_message(cli, "%s: %s", cli->index, message);
    return cli_exit_of(err->status);
}

static struct {
    const char *path;
    struct stat st;
} opened; /* the index, as it was then */

static bool was_cut_off(const struct cli *cli)
{
    struct stat now;
    if (!opened.path || stat(opened.path, &now) != 0 || now.st_ino != opened.st.st_ino ||
        now.st_dev != opened.st.st_dev || now.st_size >= opened.st.st_size)
        return false;
    cli_message(cli, "%s: the file was cut off while in use, from %lld bytes to %lld", opened.path,
                (long long)opened.st.st_size, (long long)now.st_size);
    return true;
}

int cli_finish(const struct cli *cli, int status)
{
    bool failed = ferror(stdout) != 0;
    if (fflush(stdout) == 0 && !failed && fclose(stdout) == 0)
        return was_cut_off(cli) ? CLI_IOERR : status;
    const char *done = cli_said_at_signal();
    if (errno != EPIPE)
        cli_message(cli, "standard output: %s%s%s", strerror(errno), done ? "; " : "",
                    done ? done : "");
    return CLI_IOERR;
}

/* ---- options ------------------------------------------------------------------------------- */

enum { OPT_HELP = -100, OPT_VERSION, OPT_QUIET, OPT_VERBOSE, OPT_THREADS, OPT_WAIT, OPT_PROGRESS };

static const struct cli_option common_options[] = {
    {"threads", 'j', "N", "use N threads (default: one a processor)", OPT_THREADS},
    {"wait", 0, "SECONDS", "wait so long for a lock; 0: try once (default: 10)", OPT_WAIT},
    {"progress", 0, NULL, "show progress even where stderr is no terminal", OPT_PROGRESS},
    {"quiet", 'q', NULL, "no summaries and no progress, only errors", OPT_QUIET},
    {"verbose", 'v', NULL, "tell more on stderr", OPT_VERBOSE},
    {"help", 'h', NULL, "print this help and exit", OPT_HELP},
    {"version", 'V', NULL, "print the version and exit", OPT_VERSION},
    {NULL, 0, NULL, NULL, 0},
};

static void print_options(const struct cli *cli, const struct cli_option *options)
{
    for (const struct cli_option *o = options; o->name; o++) {
        char left[64], letter[8] = "    ";
        bool threads = o->id == OPT_THREADS && cli->threads_help;
        const char *help = threads ? cli->threads_help : o->help;
        if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->argument ? " " : "",
                 o->argument ? o->argument : "");
        if (strlen(left) > 28)
            printf("  %s\n  %28s  %s\n", left, "", help);
        else
            printf("  %-28s  %s\n", left, help);
    }
}

static _Noreturn void print_help(const struct cli *cli)
{
    printf("Usage: %s %s\n%s\n\nOptions:\n", cli->tool, cli->usage, cli->summary);
    if (cli->options) print_options(cli, cli->options);
    print_options(cli, common_options);
    exit(cli_finish(cli, CLI_OK));
}

static _Noreturn void print_version(const struct cli *cli)
{
    printf("%s %s\n", cli->tool, vdb_version());
    fflush(stdout);
    if (cli->about) cli->about(stdout);
    exit(cli_finish(cli, CLI_OK));
}

static void take_option(struct cli *cli, const struct cli_option *option, const char *value,
                        cli_take_fn take, void *context)
{
    switch (option->id) {
    case OPT_HELP:
        print_help(cli);
    case OPT_VERSION:
        print_version(cli);
    case OPT_QUIET:
        cli->quiet = true;
        break;
    case OPT_VERBOSE:
        cli->verbose = true;
        break;
    case OPT_PROGRESS:
        cli->progress = true;
        break;
    case OPT_THREADS:
        cli->threads = (unsigned)cli_number(cli, "--threads", value, 1, 4096);
        break;
    case OPT_WAIT:
        cli->wait = cli_real(cli, "--wait", value);
        if (cli->wait < 0) cli_usage_error(cli, "--wait: '%s' is negative", value);
        break;
    default:
        take(cli, context, option->id, value);
    }
}

/* The option of that letter, or of that long name where `letter` is 0. */
static const struct cli_option *find_option(const struct cli *cli, char letter, const char *name,
                                            size_t name_len)
{
    const struct cli_option *tables[] = {cli->options, common_options};
    for (int t = 0; t < 2; t++)
        for (const struct cli_option *o = tables[t]; o && o->name; o++)
            if (letter ? o->letter == letter
                       : strlen(o->name) == name_len && memcmp(o->name, name, name_len) == 0)
                return o;
    return NULL;
}

/* Takes the long option argv[at]; returns the number of arguments it used. */
static int parse_long(struct cli *cli, char **argv, int at, cli_take_fn take, void *context)
{
    const char *name = argv[at] + 2, *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const struct cli_option *option = find_option(cli, 0, name, len);
    if (!option) cli_usage_error(cli, "unknown option --%.*s", (int)len, name);
    if (!option->argument) {
        if (equals) cli_usage_error(cli, "--%s takes no value", option->name);
        take_option(cli, option, NULL, take, context);
        return 1;
    }
    const char *value = equals ? equals + 1 : argv[at + 1];
    if (!value) cli_usage_error(cli, "--%s needs a value: %s", option->name, option->argument);
    take_option(cli, option, value, take, context);
    return equals ? 1 : 2;
}

/* Takes the cluster of short options argv[at], as in -qj4; returns the number of arguments used. */
static int parse_short(struct cli *cli, char **argv, int at, cli_take_fn take, void *context)
{
    for (const char *c = argv[at] + 1; *c; c++) {
        const struct cli_option *option = find_option(cli, *c, NULL, 0);
        if (!option) cli_usage_error(cli, "unknown option -%c", *c);
        if (!option->argument) {
            take_option(cli, option, NULL, take, context);
            continue;
        }
        const char *value = c[1] ? c + 1 : argv[at + 1];
        if (!value) cli_usage_error(cli, "-%c needs a value: %s", *c, option->argument);
        take_option(cli, option, value, take, context);
        return c[1] ? 1 : 2;
    }
    return 1;
}

void cli_parse(struct cli *cli, int argc, char **argv, cli_take_fn take, void *context)
{
    fill_standard_files();
    cli_catch_signals(cli->tool);
    cli->wait = 10;
    static char **operands; /* lives as long as the tool */
    operands = calloc((size_t)argc + 1, sizeof *operands);
    if (!operands) {
        cli_message(cli, "out of memory");
        exit(CLI_IOERR);
    }
    int count = 0;
    for (int at = 1; at < argc;) {
        if (strcmp(argv[at], "--") == 0) {
            while (++at < argc) operands[count++] = argv[at];
        } else if (strncmp(argv[at], "--", 2) == 0) {
            at += parse_long(cli, argv, at, take, context);
        } else if (argv[at][0] == '-' && argv[at][1]) {
            at += parse_short(cli, argv, at, take, context);
        } else {
            operands[count++] = argv[at++];
        }
    }
    if (count == 0) cli_usage_error(cli, "no INDEX given");
    if (!cli->quiet && isatty(STDERR_FILENO)) cli->progress = true;
    cli->index = operands[0];
    cli->operands = operands + 1;
    cli->operand_count = count - 1;
}

/* ---- the index ----------------------------------------------------------------------------- */

static const char *isa_of_environment(const struct cli *cli)
{
    static const char *const names[] = {"portable", "sse4", "avx2", "avx512", "neon"};
    const char *isa = getenv("VDB_ISA");
    if (!isa || !*isa) return NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(isa, names[i]) == 0) return isa;
    cli_usage_error(cli, "VDB_ISA: no kernel set is called '%s'", isa);
}

struct vdb_open_options cli_open_options(const struct cli *cli, bool read_only)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    options.read_only = read_only;
    options.wait = cli->wait;
    options.threads = cli->threads;
    options.isa = isa_of_environment(cli);
    options.cancelled = cli_cancelled;
    return options;
}

void cli_watch(const char *path)
{
    opened.path = stat(path, &opened.st) == 0 ? path : NULL;
}

struct vdb *cli_create(const struct cli *cli, const char *path,
                       const struct vdb_create_options *how, int *exit_status)
{
    struct vdb_open_options options = cli_open_options(cli, false);
    struct vdb *db;
    struct vdb_error err = {0};
    enum vdb_status status = vdb_create_unpublished(path, how, &options, &db, &err);
    if (status == VDB_OK) return db;
    if (status == VDB_UNSUPPORTED && options.isa) {
        cli_message(cli, "VDB_ISA: %s", err.message);
        *exit_status = CLI_USAGE;
    } else {
        *exit_status = cli_report(cli, &err);
    }
    return NULL;
}

struct vdb *cli_open(const struct cli *cli, const char *path, bool read_only, int *exit_status)
{
    struct vdb_open_options options = cli_open_options(cli, read_only);
    struct vdb *db = NULL;
    struct vdb_error err = {0};
    enum vdb_status status = vdb_open(path, &options, &db, &err);
    if (status == VDB_OK) {
        cli_watch(path);
        return db;
    }
    if (status == VDB_UNSUPPORTED && options.isa) {
        /* Was it the kernel set, or the file? If the file opens without one, the set. */
        struct vdb *plain = NULL;
        options.isa = NULL;
        bool file_is_good = vdb_open(path, &options, &plain, NULL) == VDB_OK;
        vdb_close(plain);
        if (file_is_good) {
            cli_message(cli, "VDB_ISA: %s", err.message);
            *exit_status = CLI_USAGE;
            return NULL;
        }
    }
    *exit_status = cli_report(cli, &err);
    return NULL;
}

/* ---- progress ------------------------------------------------------------------------------ */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void draw(const char *phase, uint64_t done, uint64_t total, double seconds)
{
    static const char full[] = "####################", none[] = "....................";
    double rate = seconds > 0 ? (double)done / seconds : 0;
    if (total == 0) {
        fprintf(stderr, "%s  %llu  %.0f/s", phase, (unsigned long long)done, rate);
        return;
    }
    double share = done < total ? (double)done / (double)total : 1;
    int bar = (int)(share * 20);
    fprintf(stderr, "%s  [%.*s%.*s] %3d%%  %.0f/s", phase, bar, full, 20 - bar, none,
            (int)(share * 100), rate);
    if (rate <= 0 || seconds < 0.5) return;
    double left = (double)(total - (done < total ? done : total)) / rate;
    if (left < 100 * 3600.0) fprintf(stderr, "  %d:%02d left", (int)left / 60, (int)left % 60);
}

int cli_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
    struct cli_progress *progress = context;
    int cancelled = cli_cancelled(NULL);
    if (!progress->cli->progress) return cancelled;
    double t = now();
    bool fresh = !progress->phase || strcmp(progress->phase, phase) != 0;
    if (fresh) {
        progress->phase = phase;
        progress->started = t;
    }
    bool terminal = isatty(STDERR_FILENO) != 0;
    if (!fresh && t - progress->drawn < (terminal ? 0.1 : 1.0)) return cancelled;
    progress->drawn = t;
    wipe_line();
    draw(phase, done, total, t - progress->started);
    if (terminal)
        line_is_drawn = true;
    else
        fputc('\n', stderr); /* a log file gets lines */
    fflush(stderr);
    return cancelled;
}

void cli_progress_end(struct cli_progress *progress)
{
    wipe_line();
    progress->phase = NULL;
}
