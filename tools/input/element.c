/* element.c: bytes to floats, whatever the byte order of file and machine.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "input/element.h"

#include <math.h>
#include <string.h>

size_t element_size(enum element element)
{
    switch (element) {
    case ELEMENT_U8:
    case ELEMENT_I8:
        return 1;
    case ELEMENT_F16:
    case ELEMENT_I16_BE:
        return 2;
    case ELEMENT_F32:
    case ELEMENT_I32:
    case ELEMENT_I32_BE:
    case ELEMENT_F32_BE:
        return 4;
    case ELEMENT_F64:
    case ELEMENT_F64_BE:
        return 8;
    }
    return 0;
}

enum vdb_type element_type(enum element element)
{
    switch (element) {
    case ELEMENT_U8:
        return VDB_TYPE_U8;
    case ELEMENT_I8:
        return VDB_TYPE_I8;
    case ELEMENT_F16:
        return VDB_TYPE_F16;
    default:
        return VDB_TYPE_F32;
    }
}

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
}

static float f32_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float f64_of(uint32_t high, uint32_t low)
{
    uint64_t bits = (uint64_t)high << 32 | low;
    double value;
    memcpy(&value, &bits, sizeof value);
    return (float)value;
}

/* IEEE 754 binary16: 5 bits of exponent with bias 15, 10 of fraction. */
static float f16_of(uint32_t h)
{
    uint32_t sign = (h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
    if (exponent == 31) return f32_of(sign | 0x7f800000 | fraction << 13);
    if (exponent == 0) {
        float value = ldexpf((float)fraction, -24);
        return sign ? -value : value;
    }
    return f32_of(sign | (exponent + 112) << 23 | fraction << 13);
}

static int32_t i32_of(uint32_t bits)
{
    int32_t value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void element_load(enum element element, const uint8_t *p, float *to, size_t n)
{
    switch (element) {
    case ELEMENT_U8:
        for (size_t i = 0; i < n; i++) to[i] = p[i];
        break;
    case ELEMENT_I8:
        for (size_t i = 0; i < n; i++) to[i] = (float)(p[i] < 128 ? p[i] : p[i] - 256);
        break;
    case ELEMENT_F16:
        for (size_t i = 0; i < n; i++)
            to[i] = f16_of((uint32_t)p[2 * i] | (uint32_t)p[2 * i + 1] << 8);
        break;
    case ELEMENT_F32:
        for (size_t i = 0; i < n; i++) to[i] = f32_of(le32(p + 4 * i));
        break;
    case ELEMENT_F64:
        for (size_t i = 0; i < n; i++) to[i] = f64_of(le32(p + 8 * i + 4), le32(p + 8 * i));
        break;
    case ELEMENT_I32:
        for (size_t i = 0; i < n; i++) to[i] = (float)i32_of(le32(p + 4 * i));
        break;
    case ELEMENT_I16_BE:
        for (size_t i = 0; i < n; i++) {
            int v = p[2 * i] << 8 | p[2 * i + 1];
            to[i] = (float)(v < 32768 ? v : v - 65536);
        }
        break;
    case ELEMENT_I32_BE:
        for (size_t i = 0; i < n; i++) to[i] = (float)i32_of(be32(p + 4 * i));
        break;
    case ELEMENT_F32_BE:
        for (size_t i = 0; i < n; i++) to[i] = f32_of(be32(p + 4 * i));
        break;
    case ELEMENT_F64_BE:
        for (size_t i = 0; i < n; i++) to[i] = f64_of(be32(p + 8 * i), be32(p + 8 * i + 4));
        break;
    }
}
