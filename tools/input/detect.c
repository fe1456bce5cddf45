/* detect.c: formats by name, by extension and by magic; pure functions.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "input/detect.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    enum input_format format;
} names[] = {{"jsonl", INPUT_JSONL},       {"tsv", INPUT_TSV},     {"csv", INPUT_CSV},
             {"word2vec", INPUT_WORD2VEC}, {"npy", INPUT_NPY},     {"fvecs", INPUT_FVECS},
             {"bvecs", INPUT_BVECS},       {"ivecs", INPUT_IVECS}, {"fbin", INPUT_FBIN},
             {"u8bin", INPUT_U8BIN},       {"i8bin", INPUT_I8BIN}, {"idx", INPUT_IDX},
             {"hdf5", INPUT_HDF5}};

/* Extensions that are not the format's own name. */
static const struct {
    const char *extension;
    enum input_format format;
} extensions[] = {{"json", INPUT_JSONL},   {"ndjson", INPUT_JSONL}, {"tab", INPUT_TSV},
                  {"txt", INPUT_WORD2VEC}, {"vec", INPUT_WORD2VEC}, {"h5", INPUT_HDF5}};

int input_format_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i].name) == 0) return (int)names[i].format;
    return -1;
}

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len >= n && strncasecmp(text + len - n, end, n) == 0;
}

static bool has_extension(const char *name, size_t len, const char *extension)
{
    size_t n = strlen(extension);
    return len > n + 1 && name[len - n - 1] == '.' && ends_with(name, len, extension);
}

enum input_format detect_by_name(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t len = strlen(name);
    if (has_extension(name, len, "gz")) len -= 3;
    if (ends_with(name, len, "-ubyte")) return INPUT_IDX; /* train-images-idx3-ubyte */
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (has_extension(name, len, names[i].name)) return names[i].format;
    for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++)
        if (has_extension(name, len, extensions[i].extension)) return extensions[i].format;
    return INPUT_AUTO;
}

enum input_format detect_by_magic(const uint8_t *p, size_t len)
{
    if (len >= 6 && memcmp(p, "\x93NUMPY", 6) == 0) return INPUT_NPY;
    if (len >= 8 && memcmp(p, "\x89HDF\r\n\x1a\n", 8) == 0) return INPUT_HDF5;
    if (len >= 4 && p[0] == 0 && p[1] == 0 && p[2] >= 0x08 && p[2] <= 0x0e && p[3] > 0)
        return INPUT_IDX;
    return INPUT_JSONL;
}

bool detect_gzip(const uint8_t *p, size_t len, enum input_format format, const char *path)
{
    bool bin = format == INPUT_FBIN || format == INPUT_U8BIN || format == INPUT_I8BIN;
    if (len < 3 || p[0] != 0x1f || p[1] != 0x8b || p[2] != 8) return false;
    return !bin || ends_with(path, strlen(path), ".gz");
}
