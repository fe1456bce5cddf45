/* input_fixture.c: files of given bytes, and what reading them must give.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "unit/input_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char directory[64];
static char paths[256][128];
static unsigned path_count;

int fixture_setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/vdb-test-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

int fixture_teardown(void **state)
{
    (void)state;
    DIR *d = opendir(directory);
    struct dirent *e;
    char path[512];
    while (d && (e = readdir(d)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", directory, e->d_name);
        unlink(path);
    }
    if (d) closedir(d);
    return rmdir(directory);
}

const char *fixture_path(const char *name)
{
    assert_true(path_count < 256);
    char *path = paths[path_count++];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

const char *fixture_file(const char *name, const void *bytes, size_t len)
{
    const char *path = fixture_path(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    return path;
}

void fixture_stdin(const void *bytes, size_t len)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t writer = fork();
    assert_true(writer >= 0);
    if (writer == 0) {
        close(ends[0]);
        const char *p = bytes;
        while (len > 0) {
            ssize_t n = write(ends[1], p, len);
            if (n <= 0) _exit(1);
            p += n;
            len -= (size_t)n;
        }
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    close(ends[0]);
}

struct input *open_good(const char *path, const struct input_options *options)
{
    static const struct input_options none = {.format = INPUT_AUTO};
    char message[512] = "";
    int status = 0;
    struct input *input =
        input_open(path, options ? options : &none, &status, message, sizeof message);
    if (!input) fail_msg("refused: %s", message);
    return input;
}

static void expect_message(const char *message, const char *path, const char *rest)
{
    char wanted[512];
    snprintf(wanted, sizeof wanted, "%s%s", path, rest);
    assert_string_equal(message, wanted);
}

void expect_refused(const char *path, const struct input_options *options, int status,
                    const char *rest)
{
    static const struct input_options none = {.format = INPUT_AUTO};
    char message[512] = "";
    int got = 0;
    struct input *input =
        input_open(path, options ? options : &none, &got, message, sizeof message);
    assert_null(input);
    expect_message(message, strcmp(path, "-") == 0 ? "standard input" : path, rest);
    assert_int_equal(got, status);
}

void expect_record(struct input *input, const char *id, uint32_t n, const float *numbers)
{
    struct record record;
    char message[512] = "";
    int status = 0;
    if (input_next(input, &record, &status, message, sizeof message) != INPUT_RECORD)
        fail_msg("no record: %s", message);
    if (id) {
        assert_int_equal(record.id_len, strlen(id));
        assert_memory_equal(record.id, id, record.id_len);
    }
    assert_int_equal(record.dim, n);
    for (uint32_t i = 0; i < n; i++)
        if (memcmp(&record.vector[i], &numbers[i], sizeof(float)) != 0)
            fail_msg("number %u is %.9g, expected %.9g", i, (double)record.vector[i],
                     (double)numbers[i]);
}

void expect_bad(struct input *input, const char *path, const char *rest)
{
    struct record record;
    char message[512] = "";
    int status = 0;
    assert_int_equal(input_next(input, &record, &status, message, sizeof message), INPUT_BAD);
    expect_message(message, path, rest);
    assert_int_equal(status, 65);
}

void expect_fatal(struct input *input, int status, const char *path, const char *rest)
{
    struct record record;
    char message[512] = "";
    int got = 0;
    assert_int_equal(input_next(input, &record, &got, message, sizeof message), INPUT_FATAL);
    expect_message(message, path, rest);
    assert_int_equal(got, status);
    input_close(input);
}

void expect_end(struct input *input)
{
    struct record record;
    char message[512] = "";
    int status = 0;
    if (input_next(input, &record, &status, message, sizeof message) != INPUT_END)
        fail_msg("no end: %s", message);
    input_close(input);
}
