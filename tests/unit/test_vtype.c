/* test_vtype.c: element types: sizes, strides, what can be stored, and binary16 to the bit.
 *
 * Expected values of binary16 come from the definition, in double arithmetic, and, where the CPU
 * has them, from its conversion instructions.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vector/vtype.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* The definition: (-1)^s 2^(e - 15) 1.f, and 2^-14 0.f where e is 0. */
static double f16_value(unsigned h)
{
    int exponent = (int)(h >> 10 & 0x1f);
    double size = exponent ? ldexp(1.0 + (h & 0x3ff) / 1024.0, exponent - 15)
                           : ldexp((h & 0x3ff) / 1024.0, -14);
    return h & 0x8000 ? -size : size;
}

/* `f` rounded to a multiple of its last place as a binary16, by the C library, in double. */
static double f16_rounded(float f)
{
    if (f == 0.0f) return (double)f;
    int exponent = ilogb((double)f);
    double place = ldexp(1.0, (exponent < -14 ? -14 : exponent) - 10);
    double rounded = nearbyint((double)f / place) * place;
    return fabs(rounded) > 65504.0 ? copysign(INFINITY, rounded) : rounded;
}

static void assert_rounds(float f)
{
    double got = (double)f16_to_f32(f32_to_f16(f));
    double expected = f16_rounded(f);
    if (got != expected || !signbit(got) != !signbit(expected))
        fail_msg("%a (%08x) became %a, expected %a", (double)f, bits_of(f), got, expected);
}

static void f16_every_value_goes_to_float_and_back(void **state)
{
    (void)state;
    for (unsigned h = 0; h <= 0xffff; h++) {
        float f = f16_to_f32((uint16_t)h);
        if ((h & 0x7c00) == 0x7c00) {
            assert_int_equal(!isnan(f), !(h & 0x3ff));
            if (!(h & 0x3ff)) assert_true(f == (h & 0x8000 ? -INFINITY : INFINITY));
            assert_int_equal(f32_to_f16(f), h & 0x3ff ? h | 0x200 : h); /* NaNs become quiet */
            continue;
        }
        assert_int_equal(bits_of(f), bits_of((float)f16_value(h)));
        assert_int_equal(f32_to_f16(f), h);
    }
}

static void f16_rounds_to_nearest_even(void **state)
{
    (void)state;
    assert_int_equal(fegetround(), FE_TONEAREST);
    assert_int_equal(f32_to_f16(1.0f + 0x1p-11f), 0x3c00);     /* tie, down to even */
    assert_int_equal(f32_to_f16(1.0f + 3 * 0x1p-11f), 0x3c02); /* tie, up to even */
    assert_int_equal(f32_to_f16(0x1p-25f), 0x0000);            /* half the least: tie */
    assert_int_equal(f32_to_f16(0x1.000002p-25f), 0x0001);     /* a little more */
    assert_int_equal(f32_to_f16(-0x1p-149f), 0x8000);          /* keeps its sign */
    assert_int_equal(f32_to_f16(65519.996f), 0x7bff);          /* below the tie */
    assert_int_equal(f32_to_f16(65520.0f), 0x7c00);            /* infinity is "even" */
    assert_int_equal(f32_to_f16(-FLT_MAX), 0xfc00);

    /* Between each two neighbours: the tie, and the floats next to it. */
    for (unsigned h = 0; h < 0x7c00; h++) {
        double next = h == 0x7bff ? 65536.0 : f16_value(h + 1);
        float tie = (float)((f16_value(h) + next) / 2);
        for (int sign = -1; sign <= 1; sign += 2) {
            assert_rounds((float)sign * tie);
            assert_rounds((float)sign * nextafterf(tie, 0.0f));
            assert_rounds((float)sign * nextafterf(tie, INFINITY));
        }
    }
    for (uint32_t bits = 0; bits < 0x7f800000; bits += 4093) assert_rounds(float_of(bits));
}

#if defined(__x86_64__)
__attribute__((target("f16c"))) static float hardware_f16_to_f32(uint16_t h)
{
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

__attribute__((target("f16c"))) static uint16_t hardware_f32_to_f16(float f)
{
    return (uint16_t)_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(f), _MM_FROUND_TO_NEAREST_INT));
}

static int has_f16c(void)
{
    unsigned eax, ebx, ecx, edx;
    return __builtin_cpu_supports("avx") && __get_cpuid(1, &eax, &ebx, &ecx, &edx) &&
           (ecx & bit_F16C);
}
#endif

static void f16_is_what_the_hardware_makes(void **state)
{
    (void)state;
#if defined(__x86_64__)
    if (!has_f16c()) skip();
    for (unsigned h = 0; h <= 0xffff; h++)
        assert_int_equal(bits_of(f16_to_f32((uint16_t)h)),
                         bits_of(hardware_f16_to_f32((uint16_t)h)));
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 1021) {
        float f = float_of((uint32_t)bits);
        if (f32_to_f16(f) != hardware_f32_to_f16(f))
            fail_msg("%08x: %04x, in hardware %04x", (unsigned)bits, f32_to_f16(f),
                     hardware_f32_to_f16(f));
    }
#else
    skip();
#endif
}

static void sizes_names_and_strides(void **state)
{
    (void)state;
    static const struct {
        enum vdb_type type;
        uint32_t dim;
        size_t stride;
    } cases[] = {
        {VDB_TYPE_F32, 1, 4},     {VDB_TYPE_F32, 127, 508},    {VDB_TYPE_F32, 128, 512},
        {VDB_TYPE_F32, 129, 576}, {VDB_TYPE_F32, 784, 3136},   {VDB_TYPE_F32, 65535, 262144},
        {VDB_TYPE_F16, 1, 4},     {VDB_TYPE_F16, 2, 4},        {VDB_TYPE_F16, 3, 8},
        {VDB_TYPE_F16, 255, 512}, {VDB_TYPE_F16, 256, 512},    {VDB_TYPE_F16, 257, 576},
        {VDB_TYPE_I8, 1, 64},     {VDB_TYPE_I8, 64, 64},       {VDB_TYPE_U8, 65, 128},
        {VDB_TYPE_U8, 784, 832},  {VDB_TYPE_U8, 65535, 65536},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(vtype_stride(cases[i].type, cases[i].dim), cases[i].stride);

    assert_int_equal(vtype_size(VDB_TYPE_F32), 4);
    assert_int_equal(vtype_size(VDB_TYPE_F16), 2);
    assert_int_equal(vtype_size(VDB_TYPE_I8), 1);
    assert_int_equal(vtype_size(VDB_TYPE_U8), 1);
    assert_string_equal(vtype_name(VDB_TYPE_F32), "f32");
    assert_string_equal(vtype_name(VDB_TYPE_F16), "f16");
    assert_string_equal(vtype_name(VDB_TYPE_I8), "i8");
    assert_string_equal(vtype_name(VDB_TYPE_U8), "u8");
}

static void store_refuses_what_the_type_cannot_hold(void **state)
{
    (void)state;
    static const struct {
        enum vdb_type type;
        float value;
        int fits;
    } cases[] = {
        {VDB_TYPE_F32, FLT_MAX, 1},   {VDB_TYPE_F32, -1e-45f, 1},  {VDB_TYPE_F16, 65504.0f, 1},
        {VDB_TYPE_F16, -65504.0f, 1}, {VDB_TYPE_F16, 1e-30f, 1},   {VDB_TYPE_F16, 65519.996f, 1},
        {VDB_TYPE_F16, -65519.0f, 1}, {VDB_TYPE_F16, 65520.0f, 0}, {VDB_TYPE_F16, -65520.0f, 0},
        {VDB_TYPE_F16, FLT_MAX, 0},   {VDB_TYPE_I8, -128.0f, 1},   {VDB_TYPE_I8, 127.0f, 1},
        {VDB_TYPE_I8, -0.0f, 1},      {VDB_TYPE_I8, 128.0f, 0},    {VDB_TYPE_I8, -129.0f, 0},
        {VDB_TYPE_I8, 0.5f, 0},       {VDB_TYPE_I8, -127.5f, 0},   {VDB_TYPE_I8, 1e-45f, 0},
        {VDB_TYPE_I8, FLT_MAX, 0},    {VDB_TYPE_U8, 0.0f, 1},      {VDB_TYPE_U8, 255.0f, 1},
        {VDB_TYPE_U8, -0.0f, 1},      {VDB_TYPE_U8, 256.0f, 0},    {VDB_TYPE_U8, -1.0f, 0},
        {VDB_TYPE_U8, 254.5f, 0},     {VDB_TYPE_U8, -FLT_MAX, 0},  {VDB_TYPE_U8, -0.25f, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t at = 0; at < 5; at++) {
            float from[5] = {1, 2, 3, 4, 5};
            unsigned char to[5 * 4];
            from[at] = cases[i].value;
            assert_int_equal(vtype_store(cases[i].type, from, to, 5), cases[i].fits ? 5 : at);
        }
    float two_bad[] = {1.0f, 0.5f, 0.5f};
    assert_int_equal(vtype_store(VDB_TYPE_U8, two_bad, (unsigned char[3]){0}, 3), 1);
}

static void load_gives_back_what_was_stored(void **state)
{
    (void)state;
    float from[256], to[257];
    unsigned char stored[1 + 256 * 4 + 1];
    for (int type = VDB_TYPE_F32; type <= VDB_TYPE_U8; type++) {
        size_t bytes = 256 * vtype_size((enum vdb_type)type);
        for (int i = 0; i < 256; i++) from[i] = (float)(type == VDB_TYPE_U8 ? i : i - 128);
        if (type == VDB_TYPE_F16) from[0] = 0x1p-24f;
        if (type == VDB_TYPE_F32) from[0] = 0.1f;
        memset(stored, 0xa5, sizeof stored);
        to[256] = 77.0f;
        assert_int_equal(vtype_store((enum vdb_type)type, from, stored + 1, 256), 256);
        assert_int_equal(stored[0], 0xa5);
        assert_int_equal(stored[1 + bytes], 0xa5);
        vtype_load((enum vdb_type)type, stored + 1, to, 256);
        assert_memory_equal(from, to, sizeof from);
        assert_true(to[256] == 77.0f);
    }
    /* Bytes are two's complement for i8, and as they are for u8. */
    unsigned char byte;
    vtype_store(VDB_TYPE_I8, (const float[]){-1.0f}, &byte, 1);
    assert_int_equal(byte, 0xff);
    vtype_store(VDB_TYPE_U8, (const float[]){200.0f}, &byte, 1);
    assert_int_equal(byte, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_names_and_strides),
        cmocka_unit_test(store_refuses_what_the_type_cannot_hold),
        cmocka_unit_test(load_gives_back_what_was_stored),
        cmocka_unit_test(f16_every_value_goes_to_float_and_back),
        cmocka_unit_test(f16_rounds_to_nearest_even),
        cmocka_unit_test(f16_is_what_the_hardware_makes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("vtype", tests, NULL, NULL);
}
