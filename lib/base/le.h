/* le.h: little-endian numbers as byte arrays, the only types that disk structs are made of.
 *
 * They have alignment 1 and no native value, so a struct of them has no padding and a field
 * cannot be read by accident without its conversion.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_BASE_LE_H
#define VDB_BASE_LE_H

#include <stdint.h>
#include <string.h>

typedef struct {
    uint8_t b[2];
} le16;
typedef struct {
    uint8_t b[4];
} le32;
typedef struct {
    uint8_t b[8];
} le64;

static inline uint16_t le16_get(le16 v)
{
    return (uint16_t)(v.b[0] | v.b[1] << 8);
}

static inline uint32_t le32_get(le32 v)
{
    return (uint32_t)v.b[0] | (uint32_t)v.b[1] << 8 | (uint32_t)v.b[2] << 16 |
           (uint32_t)v.b[3] << 24;
}

static inline uint64_t le64_get(le64 v)
{
    uint64_t r = 0;
    for (int i = 7; i >= 0; i--) r = r << 8 | v.b[i];
    return r;
}

static inline le16 le16_put(uint16_t v)
{
    return (le16){{(uint8_t)v, (uint8_t)(v >> 8)}};
}

static inline le32 le32_put(uint32_t v)
{
    return (le32){{(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)}};
}

static inline float le32_get_float(le32 v)
{
    uint32_t bits = le32_get(v);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline le32 le32_put_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return le32_put(bits);
}

static inline le64 le64_put(uint64_t v)
{
    le64 r;
    for (int i = 0; i < 8; i++) r.b[i] = (uint8_t)(v >> (8 * i));
    return r;
}

/* Reads from bulk arrays, which are little-endian in the file and native in memory: the library
 * runs on little-endian machines only (checked when an index is opened). */
static inline uint16_t le16_at(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t le32_at(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t le64_at(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

#endif
