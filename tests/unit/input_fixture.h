/* input_fixture.h: files of given bytes, and what reading them must give.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_INPUT_FIXTURE_H
#define TESTS_UNIT_INPUT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "input/input.h"

/* A directory for the test program's files, made at the first call, removed by the second. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Writes a file; the path is valid until the end of the program. */
const char *fixture_path(const char *name);
const char *fixture_file(const char *name, const void *bytes, size_t len);
#define TEXT_FILE(name, text) fixture_file(name, text, sizeof(text) - 1)

/* Makes bytes the standard input, through a pipe. */
void fixture_stdin(const void *bytes, size_t len);

/* Opens what must be good. */
struct input *open_good(const char *path, const struct input_options *options);

/* Opening must fail with this status and the message "PATH" + `rest` exactly. */
void expect_refused(const char *path, const struct input_options *options, int status,
                    const char *rest);

/* The next record must be this one (id NULL: none is looked at), n numbers following. */
void expect_record(struct input *input, const char *id, uint32_t n, const float *numbers);
#define RECORD(input, id, ...)                                                                     \
    expect_record(input, id, (uint32_t)(sizeof((float[]){__VA_ARGS__}) / sizeof(float)),           \
                  (const float[]){__VA_ARGS__})

/* The next call must give this status and the message `path` + `rest` exactly. */
void expect_bad(struct input *input, const char *path, const char *rest);
void expect_fatal(struct input *input, int status, const char *path, const char *rest);
void expect_end(struct input *input); /* and closes it */

#endif
