/* number.c: the fuzz target for numbers: of options, alone, in lists, as ages and times of the day;
 * and of text inputs.
 *
 * The first byte says which. The C library's strtoull, strtod and strtof are the judges of what a
 * number is worth. The linker puts a leap out of the call in the place of cli_usage_error, which
 * ends a tool.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "aid/fuzz.h"
#include "bench/efforts.h"
#include "cli.h"
#include "input/number.h"
#include "policy.h"

enum { WHOLE, REAL, RECENT, KEEP, QUIET, NOW, EFS, RECALLS, FLOAT, JSON_FLOAT, KINDS };

_Noreturn void __wrap_cli_usage_error(const struct cli *cli, const char *format, ...);

static const struct cli cli = {.tool = "fuzz"};
static jmp_buf refused;

_Noreturn void __wrap_cli_usage_error(const struct cli *of, const char *format, ...)
{
    (void)of, (void)format;
    longjmp(refused, 1);
}

static void whole(const char *text)
{
    uint64_t value = cli_number(&cli, "--n", text, 3, UINT64_MAX - 1);
    if (value < 3 || value == UINT64_MAX || value != strtoull(text, NULL, 10)) abort();
    if (text[strspn(text, "0123456789")] != '\0') abort();
}

static void real(const char *text)
{
    double value = cli_real(&cli, "--x", text);
    if (!(value - value == 0) || strpbrk(text, "xXnNiI \t") != NULL) abort();
}

static void recent(const char *text)
{
    uint32_t rows;
    uint64_t seconds;
    policy_recent(&cli, text, &rows, &seconds);
    if ((rows == 0) == (seconds == 0) || seconds > VDB_RECENT_SECONDS_MAX) abort();
    if (rows != 0 && rows != strtoull(text, NULL, 10)) abort();
    if (seconds % strtoull(text, NULL, 10) != 0) abort();
}

static void keep(const char *text)
{
    uint64_t seconds;
    int limited;
    policy_keep(&cli, "--keep", text, &seconds, &limited);
    if (seconds > VDB_RECENT_SECONDS_MAX || (!limited && strcmp(text, "all") != 0)) abort();
    if (seconds == 0 && strcmp(text, "all") != 0 && strcmp(text, "none") != 0) abort();
}

static void quiet(const char *text)
{
    char again[16];
    uint32_t begin, end, begin_again, end_again;
    policy_quiet(&cli, text, &begin, &end);
    if (begin >= 1440 || end >= 1440) abort();
    if (begin == end && strcmp(text, "none") != 0) abort();
    if (begin == end) return;
    policy_quiet(&cli, policy_quiet_text(begin, end, again), &begin_again, &end_again);
    if (begin != begin_again || end != end_again) abort();
}

static void now(const char *text)
{
    int64_t time_us = policy_time(&cli, text);
    if (time_us <= 0 || (uint64_t)time_us / 1000000 != strtoull(text, NULL, 10)) abort();
}

static void list(const char *text, bool recalls)
{
    static struct effort efforts[EFFORTS_MAX];
    size_t count = efforts_take(&cli, recalls, text, efforts), commas = 0;
    for (const char *c = text; *c != '\0'; c++) commas += *c == ',';
    if (count != commas + 1 || count > EFFORTS_MAX) abort();
    for (size_t i = 0; i < count; i++)
        if (recalls ? !(efforts[i].recall > 0 && efforts[i].recall <= 1) : efforts[i].ef == 0)
            abort();
}

/* strtof, too, rounds correctly; it is given what was taken for the number and no more. */
static void number(const char *text, size_t len, bool json)
{
    float value, judged;
    size_t used = SIZE_MAX;
    char alone[512];
    /* What follows a number is no digit, which the final NUL of a line sees to. */
    enum number_status status = number_parse(text, len, json, &value, &used);
    if (used > len || (status == NUMBER_NOT) != (used == 0)) abort();
    if (status == NUMBER_NOT_FINITE || used == 0 || used >= sizeof alone) return;
    memcpy(alone, text, used);
    alone[used] = '\0';
    judged = strtof(alone, NULL);
    if (status == NUMBER_TOO_LARGE ? judged - judged == 0
                                   : memcmp(&value, &judged, sizeof value) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    char *volatile text = malloc(size);
    if (text == NULL) return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    if (setjmp(refused) == 0) {
        switch (data[0] % KINDS) {
        case WHOLE:
            whole(text);
            break;
        case REAL:
            real(text);
            break;
        case RECENT:
            recent(text);
            break;
        case KEEP:
            keep(text);
            break;
        case QUIET:
            quiet(text);
            break;
        case NOW:
            now(text);
            break;
        case EFS:
        case RECALLS:
            list(text, data[0] % KINDS == RECALLS);
            break;
        default:
            number(text, size - 1, data[0] % KINDS == JSON_FLOAT);
        }
    }
    free(text);
    return 0;
}
