/* vtype.c: element types: sizes, names, and exact conversion from and to float.
 *
 * binary16 is converted by integer arithmetic on the bits, so that a file holds the same numbers
 * whether or not the CPU has instructions for it. Those give the same results.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "vector/vtype.h"

#include <string.h>

#include "base/le.h"

#define F16_INFINITY 0x7c00 /* all bits of the exponent, as a NaN has them too */

size_t vtype_size(enum vdb_type type)
{
    switch (type) {
    case VDB_TYPE_F32:
        return 4;
    case VDB_TYPE_F16:
        return 2;
    case VDB_TYPE_I8:
    case VDB_TYPE_U8:
        return 1;
    }
    return 0;
}

const char *vtype_name(enum vdb_type type)
{
    switch (type) {
    case VDB_TYPE_F32:
        return "f32";
    case VDB_TYPE_F16:
        return "f16";
    case VDB_TYPE_I8:
        return "i8";
    case VDB_TYPE_U8:
        return "u8";
    }
    return "unknown";
}

/* Bytes serve as codes where they lie and are scanned in blocks of 64, so a row of them is made of
 * whole blocks; long rows start on a cache line; short ones stay dense. */
size_t vtype_stride(enum vdb_type type, uint32_t dim)
{
    size_t bytes = vtype_size(type) * dim;
    size_t align = vtype_size(type) == 1 || bytes >= 512 ? 64 : 4;
    return (bytes + align - 1) / align * align;
}

static uint32_t f32_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static float f32_from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = h >> 10 & 0x1f;
    uint32_t fraction = h & 0x3ff;

    if (exponent == 0x1f) { /* infinity, or a NaN, which conversion makes a quiet one */
        uint32_t quiet = fraction ? 0x400000 : 0;
        return f32_from_bits(sign | 0x7f800000 | quiet | fraction << 13);
    }
    if (exponent == 0) {
        if (fraction == 0) return f32_from_bits(sign);
        /* A subnormal, fraction * 2^-24, is a normal float: shift its first bit to where the
         * leading one is implied. */
        exponent = 1;
        for (; !(fraction & 0x400); fraction <<= 1) exponent--;
        fraction &= 0x3ff;
    }
    return f32_from_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13); /* modulo 2^32 */
}

/* `value` >> `shift`, rounded to nearest, ties to even. 0 < shift < 32. */
static uint32_t shift_rounded(uint32_t value, unsigned shift)
{
    uint32_t result = value >> shift;
    uint32_t rest = value & ((1u << shift) - 1);
    uint32_t half = 1u << (shift - 1);
    return result + (rest > half || (rest == half && (result & 1)));
}

uint16_t f32_to_f16(float f)
{
    uint32_t bits = f32_bits(f);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t exponent = bits >> 23 & 0xff;
    uint32_t fraction = bits & 0x7fffff;

    if (exponent == 0xff) {
        uint32_t quiet = fraction ? 0x200 | fraction >> 13 : 0;
        return (uint16_t)(sign | 0x7c00 | quiet);
    }
    if (exponent > 127 + 15) return (uint16_t)(sign | 0x7c00);
    if (exponent >= 127 - 14) {
        /* A carry out of the fraction goes into the exponent, which is what it should do; from
         * the largest exponent it makes infinity. */
        uint32_t magnitude = (exponent - (127 - 15)) << 23 | fraction;
        return (uint16_t)(sign | shift_rounded(magnitude, 13));
    }
    /* In units of 2^-24, the last place of a subnormal. Below half of one all is zero, and so are
     * float's own subnormals. */
    if (exponent < 127 - 25) return (uint16_t)sign;
    return (uint16_t)(sign | shift_rounded(fraction | 0x800000, 126 - exponent));
}

static size_t store_f16(const float *from, unsigned char *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h = f32_to_f16(from[i]);
        if ((h & F16_INFINITY) == F16_INFINITY) return i;
        memcpy(to + 2 * i, &h, sizeof h);
    }
    return n;
}

/* i8 and u8. The comparisons are such that a NaN fails them too. */
static size_t store_bytes(const float *from, unsigned char *to, size_t n, float min, float max)
{
    for (size_t i = 0; i < n; i++) {
        if (!(from[i] >= min && from[i] <= max)) return i;
        int value = (int)from[i];
        if ((float)value != from[i]) return i;
        to[i] = (unsigned char)value;
    }
    return n;
}

size_t vtype_store(enum vdb_type type, const float *from, void *to, size_t n)
{
    switch (type) {
    case VDB_TYPE_F32:
        memcpy(to, from, n * sizeof *from);
        return n;
    case VDB_TYPE_F16:
        return store_f16(from, to, n);
    case VDB_TYPE_I8:
        return store_bytes(from, to, n, -128.0f, 127.0f);
    case VDB_TYPE_U8:
        return store_bytes(from, to, n, 0.0f, 255.0f);
    }
    return 0;
}

void vtype_load(enum vdb_type type, const void *from, float *to, size_t n)
{
    const unsigned char *bytes = from;
    switch (type) {
    case VDB_TYPE_F32:
        memcpy(to, from, n * sizeof *to);
        break;
    case VDB_TYPE_F16:
        for (size_t i = 0; i < n; i++) to[i] = f16_to_f32(le16_at(bytes + 2 * i));
        break;
    case VDB_TYPE_I8:
        for (size_t i = 0; i < n; i++) to[i] = (float)(int8_t)bytes[i];
        break;
    case VDB_TYPE_U8:
        for (size_t i = 0; i < n; i++) to[i] = (float)bytes[i];
        break;
    }
}
