/* replay.c: drives a fuzz target over given files, and over damaged forms of them.
 *
 *     replay-TARGET [-m COUNT] [-o LAST] FILE...
 *
 * Each FILE is run as it is and in COUNT damaged forms, the same ones in each run. Before one is
 * run it is written to LAST, so that what crashed the target is at hand: named after its cause it
 * belongs into fuzz/corpus/TARGET.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aid/fuzz.h"

#pragma weak LLVMFuzzerCustomMutator

/* The target's own way to damage its inputs, or the common one. Returns how many bytes there are
 * then, `room` at most. */
static size_t damage(uint8_t *data, size_t size, size_t room, uint64_t *state)
{
    if (LLVMFuzzerCustomMutator == NULL) return LLVMFuzzerMutate(data, size, room);
    return LLVMFuzzerCustomMutator(data, size, room, (unsigned)fuzz_random(state));
}

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t room = 0;

    *size = 0;
    if (file == NULL) return NULL;
    do {
        room = room ? room * 2 : 65536;
        uint8_t *more = realloc(data, room);
        if (more == NULL) break;
        data = more;
        *size += fread(data + *size, 1, room - *size, file);
    } while (*size == room);
    bool failed = ferror(file) || *size == room;
    fclose(file);
    if (!failed) return data;
    free(data);
    return NULL;
}

/* Runs a copy of exactly `size` bytes, so that a sanitizer sees one byte too many. `last` is a file
 * descriptor, or below 0. */
static void run(const uint8_t *data, size_t size, int last)
{
    if (last >= 0 &&
        (pwrite(last, data, size, 0) != (ssize_t)size || ftruncate(last, (off_t)size))) {
        perror("writing what is run");
        exit(1);
    }
    uint8_t *copy = malloc(size ? size : 1);
    if (copy == NULL) exit(1);
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* By how much damage may lengthen an input. */
enum { GROWTH = 4096 };

static bool replay(const char *path, unsigned long count, int last)
{
    size_t size;
    uint8_t *data = read_file(path, &size);
    size_t room = size + GROWTH;
    uint8_t *form = data != NULL ? malloc(room) : NULL;
    uint64_t state = 0x9e3779b97f4a7c15u; /* any seed but 0 */

    if (form == NULL) {
        perror(path);
        free(data);
        return false;
    }
    printf("%s\n", path);
    fflush(stdout);
    run(data, size, last);
    for (unsigned long i = 0; i < count; i++) {
        memcpy(form, data, size);
        size_t form_size = damage(form, size, room, &state);
        run(form, form_size, last);
    }
    free(form);
    free(data);
    return true;
}

int main(int argc, char **argv)
{
    unsigned long count = 0;
    int option, last = -1;
    bool done = true;

    while ((option = getopt(argc, argv, "m:o:")) != -1) {
        if (option == 'm') {
            count = strtoul(optarg, NULL, 10);
        } else if (option == 'o') {
            last = open(optarg, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
            if (last < 0) perror(optarg);
        } else {
            return 2;
        }
    }
    if (optind == argc) {
        fprintf(stderr, "usage: %s [-m COUNT] [-o LAST] FILE...\n", argv[0]);
        return 2;
    }
    for (int i = optind; i < argc; i++) done = replay(argv[i], count, last) && done;
    return done ? 0 : 1;
}
