/* fashion.h: the images of Fashion-MNIST, from gzipped IDX, for the benchmarks in C++.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef FASHION_H
#define FASHION_H

#include <zlib.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

struct Images {
    size_t rows = 0, dim = 0;
    std::vector<uint8_t> bytes;

    const uint8_t *row(size_t i) const { return bytes.data() + i * dim; }

    std::vector<float> floats() const { return std::vector<float>(bytes.begin(), bytes.end()); }
};

[[noreturn]] static inline void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

static inline Images read_images(const char *path)
{
    gzFile file = gzopen(path, "rb");
    if (!file) fail(path, "cannot be opened");
    uint8_t head[16];
    if (gzread(file, head, sizeof head) != (int)sizeof head) fail(path, "has no IDX header");
    auto be32 = [&](int at) {
        return (size_t)head[at] << 24 | (size_t)head[at + 1] << 16 | (size_t)head[at + 2] << 8 |
               head[at + 3];
    };
    if (be32(0) != 0x803) fail(path, "is no IDX file of unsigned bytes in three dimensions");
    Images images;
    images.rows = be32(4);
    images.dim = be32(8) * be32(12);
    images.bytes.resize(images.rows * images.dim);
    if (gzread(file, images.bytes.data(), (unsigned)images.bytes.size()) !=
        (int)images.bytes.size())
        fail(path, "is shorter than its header says");
    gzclose(file);
    return images;
}

#endif
