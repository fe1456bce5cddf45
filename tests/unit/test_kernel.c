/* test_kernel.c: every kernel set gives the same, right bits, and reads nothing that it may not.
 *
 * Expected values: integers by a loop in i64; floats by a literal reading of the order of addition
 * that kernel.h fixes, and, against an error common to both, by a sum in long double.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "vector/kernel.h"
#include "vector/kernel_bound.h"
#include "vector/kernel_sets.h"
#include "vector/vtype.h"

#define N_MAX     65536
#define TYPES_END 5

static const struct kernels *sets[4];
static size_t sets_count;

/* Memory that ends where touching the next byte is a fault. */
static uint8_t *fence[5];

/* The set avx2 has a kernel of its own where the CPU has AVX-VNNI. */
static void add_avx2_without_vnni(void)
{
#if defined(__x86_64__)
    static struct kernels set;
    if (sets_count < 2 || sets[1] != &kernels_avx2_vnni) return;
    set = kernels_avx2;
    set.name = "avx2 without VNNI";
    sets[sets_count++] = &set;
#endif
}

static int set_up(void **state)
{
    (void)state;
    static const char *const names[] = {"portable", "avx2", "avx512"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (kernels_select(names[i], &sets[sets_count], NULL) != VDB_OK)
            print_message("# not run on this CPU: %s\n", names[i]);
        else
            sets_count++;
    }
    add_avx2_without_vnni();

    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (4 * N_MAX / page + 2) * page;
    for (size_t i = 0; i < sizeof fence / sizeof fence[0]; i++) {
        uint8_t *p =
            mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mprotect(p + room, page, PROT_NONE)) return -1;
        fence[i] = p + room;
    }
    return sets_count > 0 ? 0 : -1;
}

/* A copy of the data whose last byte is `gap` bytes before fence number `which`. */
static void *placed(int which, const void *data, size_t bytes, size_t gap)
{
    return memcpy(fence[which] - gap - bytes, data, bytes);
}

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint32_t random_u32(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32);
}

/* ---- data ---------------------------------------------------------------------------------- */

enum pattern { PLAIN, WILD, EDGES, PATTERNS };

/* PLAIN: embeddings as they come. WILD: any finite float. EDGES: values at which something could
 * go wrong, all of them held exactly by a float. */
static float random_float(enum pattern pattern)
{
    static const float edges[] = {0.0f,     -0.0f,    1.0f,        -1.0f,     FLT_MAX,
                                  -FLT_MAX, FLT_MIN,  -FLT_MIN,    1e-45f,    -1e-45f,
                                  1e38f,    -3e-39f,  16777217.0f, 0x1p-126f, 0x1.fffffep127f,
                                  0.1f,     65504.0f, -65504.0f,   255.0f,    -128.0f};
    if (pattern == PLAIN) return ((float)random_u32() / 2147483648.0f - 1.0f) * 3.0f;
    if (pattern == EDGES) return edges[random_u32() % (sizeof edges / sizeof edges[0])];
    for (;;) {
        uint32_t bits = random_u32();
        float f;
        memcpy(&f, &bits, sizeof f);
        if (isfinite(f)) return f;
    }
}

/* Fills n elements of the type; every stored value is finite. */
static void random_elements(enum vdb_type type, enum pattern pattern, uint8_t *x, size_t n)
{
    static const uint16_t f16_edges[] = {0,     0x8000, 1,      0x8001, 0x3ff,
                                         0x400, 0x7bff, 0xfbff, 0x3c00};
    static const uint8_t byte_edges[] = {0, 1, 127, 128, 129, 255};
    for (size_t i = 0; i < n; i++) {
        if (type == VDB_TYPE_F32) {
            float f = random_float(pattern);
            memcpy(x + 4 * i, &f, sizeof f);
        } else if (type == VDB_TYPE_F16) {
            uint16_t h = (uint16_t)random_u32();
            if (pattern == EDGES) h = f16_edges[h % (sizeof f16_edges / sizeof f16_edges[0])];
            if ((h & 0x7c00) == 0x7c00) h &= 0xbfff; /* no infinities, no NaNs */
            memcpy(x + 2 * i, &h, sizeof h);
        } else {
            uint8_t b = (uint8_t)random_u32();
            x[i] = pattern == EDGES ? byte_edges[b % sizeof byte_edges] : b;
        }
    }
}

static double stored_value(enum vdb_type type, const uint8_t *x, size_t i)
{
    float f;
    uint16_t h;
    switch (type) {
    case VDB_TYPE_F32:
        memcpy(&f, x + 4 * i, sizeof f);
        return (double)f;
    case VDB_TYPE_F16:
        memcpy(&h, x + 2 * i, sizeof h);
        double size = (h & 0x7c00) ? ldexp(0x400 | (h & 0x3ff), (h >> 10 & 0x1f) - 25)
                                   : ldexp(h & 0x3ff, -24);
        return h & 0x8000 ? -size : size;
    case VDB_TYPE_I8:
        return x[i] < 128 ? x[i] : (double)x[i] - 256;
    case VDB_TYPE_U8:
        return x[i];
    }
    return 0.0;
}

/* ---- expected values ----------------------------------------------------------------------- */

enum operation { L2SQ, DOT, SUMSQ, OPERATIONS };

/* One term as kernel.h has it. The volatiles keep a compiler from fusing. */
static double term(enum operation operation, double x, double q)
{
    volatile double left = operation == L2SQ ? x - q : x;
    volatile double right = operation == L2SQ ? left : operation == DOT ? q : x;
    volatile double product = left * right;
    return product;
}

static double expected_float(enum operation operation, enum vdb_type type, const uint8_t *x,
                             const float *query, size_t n)
{
    double lane[32] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i % 32] += term(operation, stored_value(type, x, i), (double)query[i]);
    for (size_t width = 16; width >= 1; width /= 2)
        for (size_t j = 0; j < width; j++) lane[j] = lane[j] + lane[j + width];
    return lane[0];
}

/* Holds `got` against a sum in long double, to a share of 1e-12 of the terms' sizes. */
static void assert_near(double got, enum operation operation, enum vdb_type type, const uint8_t *x,
                        const float *query, size_t n)
{
    long double sum = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        long double a = stored_value(type, x, i), q = query[i];
        long double t = operation == L2SQ ? (a - q) * (a - q) : operation == DOT ? a * q : a * a;
        sum += t;
        size += fabsl(t);
    }
    if (!(fabsl(got - sum) <= 1e-12L * size))
        fail_msg("operation %d type %d n %zu: %.17g, in long double %.20Lg", operation, type, n,
                 got, sum);
}

static double run_float(const struct kernels *set, enum operation operation, enum vdb_type type,
                        const void *x, const float *query, size_t n)
{
    if (operation == L2SQ) return set->l2sq[type](x, query, n);
    if (operation == DOT) return set->dot[type](x, query, n);
    return set->sumsq[type](x, n);
}

static uint64_t bits_of(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}

static void check_floats(enum vdb_type type, enum pattern pattern, size_t n, size_t gap)
{
    static uint8_t x[4 * N_MAX];
    static float query[N_MAX];
    random_elements(type, pattern, x, n);
    for (size_t i = 0; i < n; i++) query[i] = random_float(pattern);
    const void *x_placed = placed(0, x, n * vtype_size(type), gap);
    const float *query_placed = placed(1, query, n * sizeof *query, gap);

    for (int op = L2SQ; op < OPERATIONS; op++) {
        enum operation operation = (enum operation)op;
        double expected = expected_float(operation, type, x, query, n);
        assert_near(expected, operation, type, x, query, n);
        for (size_t s = 0; s < sets_count; s++) {
            double got = run_float(sets[s], operation, type, x_placed, query_placed, n);
            if (bits_of(got) != bits_of(expected))
                fail_msg("%s: operation %d type %s pattern %d n %zu: %a, expected %a",
                         sets[s]->name, op, vtype_name(type), pattern, n, got, expected);
        }
    }
}

/* ---- tests --------------------------------------------------------------------------------- */

static void float_kernels_agree_bit_for_bit(void **state)
{
    (void)state;
    static const size_t longer[] = {784, 1024, 1536, 4095, 65535};
    for (int type = VDB_TYPE_F32; type < TYPES_END; type++)
        for (int pattern = PLAIN; pattern < PATTERNS; pattern++) {
            for (size_t n = 1; n <= 300; n++)
                check_floats((enum vdb_type)type, (enum pattern)pattern, n, 0);
            for (size_t i = 0; i < sizeof longer / sizeof longer[0]; i++)
                check_floats((enum vdb_type)type, (enum pattern)pattern, longer[i], 0);
        }
}

static void float_kernels_need_no_alignment(void **state)
{
    (void)state;
    for (int type = VDB_TYPE_F32; type < TYPES_END; type++)
        for (size_t gap = 1; gap < 64; gap++)
            check_floats((enum vdb_type)type, WILD, 40 + gap, gap);
}

/* No row is written with infinities or NaNs, but a damaged file may hold them. */
static void float_kernels_agree_on_damaged_values(void **state)
{
    (void)state;
    static const uint32_t f32_odd[] = {0x7fc00000, 0xffc00001, 0x7f800001, 0x7f800000, 0xff800000};
    static const uint16_t f16_odd[] = {0x7e00, 0xfe01, 0x7c01, 0x7c00, 0xfc00};
    uint8_t x[4 * 100];
    float query[100];
    for (int round = 0; round < 500; round++) {
        enum vdb_type type = round % 2 ? VDB_TYPE_F32 : VDB_TYPE_F16;
        random_elements(type, PLAIN, x, 100);
        for (size_t i = 0; i < 100; i++) query[i] = random_float(PLAIN);
        for (int i = 0; i < 4; i++) {
            size_t at = random_u32() % 100, which = random_u32() % 5;
            if (type == VDB_TYPE_F32) memcpy(x + 4 * at, &f32_odd[which], 4);
            if (type == VDB_TYPE_F16) memcpy(x + 2 * at, &f16_odd[which], 2);
        }
        for (int op = L2SQ; op < OPERATIONS; op++) {
            uint64_t first = bits_of(run_float(sets[0], (enum operation)op, type, x, query, 100));
            for (size_t s = 1; s < sets_count; s++) {
                double got = run_float(sets[s], (enum operation)op, type, x, query, 100);
                assert_int_equal(bits_of(got), first);
            }
        }
    }
}

static int64_t expected_integer(const uint8_t *code, const int8_t *query, size_t bytes, int flip)
{
    int64_t sum = 0;
    for (size_t i = 0; i < bytes; i++) {
        int64_t value = flip ? (code[i] >= 128 ? code[i] - 128 : code[i] + 128) : code[i];
        sum += value * query[i];
    }
    return sum;
}

/* Four codes with `bytes` bytes each behind one another, one query; all lengths from all sets. */
static void check_codes(const uint8_t *codes, const int8_t *query, size_t bytes, size_t gap)
{
    const uint8_t *placed_codes[4];
    for (int k = 0; k < 4; k++)
        placed_codes[k] = placed(k, codes + (size_t)k * bytes, bytes, k == 0 ? gap : 0);
    const int8_t *placed_query = placed(4, query, bytes, gap);

    for (int flip = 0; flip <= 0x80; flip += 0x80) {
        int64_t expected[4];
        for (int k = 0; k < 4; k++)
            expected[k] = expected_integer(codes + (size_t)k * bytes, query, bytes, flip);
        for (size_t s = 0; s < sets_count; s++) {
            int32_t sums[5] = {0, 0, 0, 0, 12345};
            sets[s]->dot4_u8i8(placed_codes, placed_query, bytes, (uint8_t)flip, sums);
            assert_int_equal(sums[4], 12345);
            for (int k = 0; k < 4; k++) {
                int32_t one =
                    sets[s]->dot_u8i8(placed_codes[k], placed_query, bytes, (uint8_t)flip);
                if (sums[k] != expected[k] || one != expected[k])
                    fail_msg("%s: %zu bytes, flip %d, code %d: dot4 %d, dot %d, expected %lld",
                             sets[s]->name, bytes, flip, k, sums[k], one, (long long)expected[k]);
            }
        }
    }
}

static const size_t code_lengths[] = {64,  128, 192, 256, 320,  384,  448,  512,   576,
                                      640, 704, 768, 832, 1024, 1536, 4160, 65472, 65536};

static uint8_t codes_buffer[4 * N_MAX];
static int8_t query_buffer[N_MAX];

static void code_kernels_are_exact(void **state)
{
    (void)state;
    for (size_t l = 0; l < sizeof code_lengths / sizeof code_lengths[0]; l++)
        for (size_t round = 0; round < 8; round++) {
            size_t bytes = code_lengths[l];
            random_elements(VDB_TYPE_U8, round % 2 ? EDGES : WILD, codes_buffer, 4 * bytes);
            random_elements(VDB_TYPE_I8, round % 3 ? EDGES : WILD, (uint8_t *)query_buffer, bytes);
            check_codes(codes_buffer, query_buffer, bytes, round * 7);
        }
}

/* Where 16 bits, or saturation, would show: all of one sign at the ends of the ranges. */
static void code_kernels_hold_the_extremes(void **state)
{
    (void)state;
    static const uint8_t code_ends[] = {255, 0, 127, 128};
    static const int8_t query_ends[] = {-128, 127, -1};
    for (size_t l = 0; l < sizeof code_lengths / sizeof code_lengths[0]; l++)
        for (size_t q = 0; q < sizeof query_ends; q++) {
            size_t bytes = code_lengths[l];
            for (size_t k = 0; k < 4; k++) memset(codes_buffer + k * bytes, code_ends[k], bytes);
            memset(query_buffer, query_ends[q], bytes);
            check_codes(codes_buffer, query_buffer, bytes, 0);
        }
    assert_int_equal(expected_integer(codes_buffer, (const int8_t[]){-128}, 1, 0), -32640);
}

/* ---- lists of rows ------------------------------------------------------------------------- */

#define LIST_MAX 11

/* Every length of a list, rows in any order and more than once, and rows to be fetched. */
struct listing {
    uint32_t rows[LIST_MAX];
    struct kernel_list list;
    uint32_t distances[LIST_MAX + 2];
};

static void listing_init(struct listing *l, uint32_t count)
{
    static const uint32_t ahead[] = {3, 0, 1, 2, 2};
    for (uint32_t i = 0; i < count; i++) l->rows[i] = i == 0 ? 3 : random_u32() % 4;
    l->list = (struct kernel_list){l->rows, ahead, count, random_u32() % 6};
    for (size_t i = 0; i < LIST_MAX + 2; i++) l->distances[i] = 12345;
}

static void check_room(const struct listing *l, const char *set)
{
    for (size_t i = (l->list.count + 3) / 4 * 4; i < LIST_MAX + 2; i++)
        if (l->distances[i] != 12345) fail_msg("%s wrote behind the list's room", set);
}

static uint32_t ordered(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/* Four codes with `bytes` bytes each behind one another, two values a byte, and one query of twice
 * that, which the low halves meet first. The offset leaves 7 of the row's sum, so that no sum is
 * too large for a float to show it. */
static void check_nibbles(const uint8_t *codes, const int8_t *query, size_t bytes, size_t gap)
{
    const uint8_t *code = placed(0, codes, 4 * bytes, gap);
    const int8_t *placed_query = placed(4, query, 2 * bytes, gap);
    float factors[4][2];
    for (uint32_t k = 0; k < 4; k++) {
        int64_t expected = 0;
        for (size_t i = 0; i < 2 * bytes; i++)
            expected +=
                (i < bytes ? codes[k * bytes + i] % 16 : codes[k * bytes + i - bytes] / 16) *
                query[i];
        for (uint32_t j = 0; j < 4; j++) {
            factors[j][0] = 0.1f + (float)j;
            factors[j][1] = k == j ? 0.3f : 0.0f;
        }
        struct kernel_codes from = {.code = code,
                                    .factors = (const uint8_t *)factors,
                                    .stride = bytes,
                                    .factors_stride = sizeof factors[0],
                                    .bytes = bytes,
                                    .lines = 1 + random_u32() % 3,
                                    .factors_apart = random_u32() % 2};
        for (int inner = 0; inner < 2; inner++) {
            struct kernel_query4 q = {placed_query, 0.7f, 5.5f, (int32_t)(2 * expected - 7), inner};
            for (size_t s = 0; s < sets_count; s++) {
                struct listing l;
                listing_init(&l, 1 + random_u32() % LIST_MAX);
                sets[s]->list_u4i8(&from, &l.list, &q, l.distances);
                check_room(&l, sets[s]->name);
                for (uint32_t i = 0; i < l.list.count; i++) {
                    volatile float x = 0.7f * 7.0f;
                    x = l.rows[i] == k ? 0.3f * x : 0.0f;
                    volatile float near = 5.5f + factors[l.rows[i]][0], half = 0.5f * x;
                    float wanted = inner ? -(5.5f + half) : near - x;
                    if (l.distances[i] != ordered(wanted))
                        fail_msg("%s: %zu bytes, row %u of a list: %x, expected %x", sets[s]->name,
                                 bytes, l.rows[i], l.distances[i], ordered(wanted));
                }
            }
        }
    }
}

static void check_bytes(const uint8_t *codes, const int8_t *query, size_t bytes, size_t gap)
{
    const uint8_t *code = placed(0, codes, 4 * bytes, gap);
    const int8_t *placed_query = placed(4, query, bytes, gap);
    static const uint32_t norms[4] = {0, 77777, 0xfffffff0, 0x80000000};
    for (int flip = 0; flip <= 0x80; flip += 0x80)
        for (int inner = 0; inner < 2; inner++) {
            struct kernel_codes from = {.code = code,
                                        .factors = (const uint8_t *)norms,
                                        .stride = bytes,
                                        .factors_stride = sizeof norms[0],
                                        .bytes = bytes,
                                        .lines = 1 + random_u32() % 3};
            struct kernel_query8 q = {placed_query, 0x80000001, (uint8_t)flip, inner};
            for (size_t s = 0; s < sets_count; s++) {
                struct listing l;
                listing_init(&l, 1 + random_u32() % LIST_MAX);
                sets[s]->list_u8i8(&from, &l.list, &q, l.distances);
                check_room(&l, sets[s]->name);
                for (uint32_t i = 0; i < l.list.count; i++) {
                    const uint8_t *row = codes + l.rows[i] * bytes;
                    uint32_t sum = (uint32_t)expected_integer(row, query, bytes, flip);
                    uint32_t wanted = 0x80000001 - sum - (inner ? 0 : sum - norms[l.rows[i]]);
                    if (l.distances[i] != wanted)
                        fail_msg("%s: %zu bytes, row %u of a list: %u, expected %u", sets[s]->name,
                                 bytes, l.rows[i], l.distances[i], wanted);
                }
            }
        }
}

static void lists_of_bytes_are_measured(void **state)
{
    (void)state;
    for (size_t bytes = 64; bytes <= 65536; bytes += bytes < 1024 ? 64 : 21504)
        for (size_t round = 0; round < 12; round++) {
            random_elements(VDB_TYPE_U8, round % 2 ? EDGES : WILD, codes_buffer, 4 * bytes);
            random_elements(VDB_TYPE_I8, round % 3 ? EDGES : WILD, (uint8_t *)query_buffer, bytes);
            check_bytes(codes_buffer, query_buffer, bytes, round * 7);
        }
}

/* Codes of up to 9 blocks of 16 rows, by dimensions, against those of each row by itself. */
static void blocks_of_rows_are_measured(void **state)
{
    (void)state;
    static uint8_t rows[9 * 16][512], blocks[9 * 16 * 512];
    static int32_t norms[9 * 16];
    for (uint32_t round = 0; round < 120; round++) {
        uint32_t count = 1 + round % 9, groups = 1 + random_u32() % 128;
        uint32_t wide = 4 * groups;
        random_elements(VDB_TYPE_U8, round % 2 ? EDGES : WILD, rows[0], sizeof rows);
        random_elements(VDB_TYPE_I8, round % 3 ? EDGES : WILD, (uint8_t *)query_buffer, wide);
        for (uint32_t i = 0; i < 16 * count; i++) {
            norms[i] = (int32_t)random_u32();
            for (uint32_t j = 0; j < wide; j++)
                blocks[(size_t)i / 16 * 16 * wide + j / 4 * 64 + i % 16 * 4 + j % 4] = rows[i][j];
        }
        const uint8_t *codes = placed(0, blocks, (size_t)16 * count * wide, round % 5);
        struct kernel_query8 q = {placed(4, query_buffer, wide, round % 7), random_u32(), 0,
                                  round % 2};
        for (size_t s = 0; s < sets_count; s++) {
            uint32_t got[9 * 16 + 1];
            got[16 * count] = 12345;
            sets[s]->blocks_u8i8(codes, placed(1, norms, count * 64, 0), count, groups, &q, got);
            assert_int_equal(got[16 * count], 12345);
            for (uint32_t i = 0; i < 16 * count; i++) {
                uint32_t sum = (uint32_t)expected_integer(rows[i], query_buffer, wide, 0);
                uint32_t wanted = q.base - sum - (q.inner ? 0 : sum - (uint32_t)norms[i]);
                if (got[i] != wanted)
                    fail_msg("%s: row %u of %u blocks, %u groups: %u, expected %u", sets[s]->name,
                             i, count, groups, got[i], wanted);
            }
        }
    }
}

/* What a damaged file may hold: all sets make the same of it. */
static void lists_agree_on_damaged_factors(void **state)
{
    (void)state;
    static const float wild[] = {NAN, INFINITY, -INFINITY, -0.0f, 1e38f, -1e38f, 1e-45f};
    random_elements(VDB_TYPE_U8, WILD, codes_buffer, 4 * 64);
    random_elements(VDB_TYPE_I8, WILD, (uint8_t *)query_buffer, 128);
    for (size_t round = 0; round < 400; round++) {
        float factors[4][2];
        for (size_t i = 0; i < 8; i++) factors[i / 2][i % 2] = wild[random_u32() % 7];
        struct kernel_codes from = {.code = codes_buffer,
                                    .factors = (const uint8_t *)factors,
                                    .stride = 64,
                                    .factors_stride = sizeof factors[0],
                                    .bytes = 64,
                                    .lines = 1};
        struct kernel_query4 q = {query_buffer, 0.7f, wild[random_u32() % 7], 5, round % 2};
        static const uint32_t rows[4] = {0, 1, 2, 3};
        struct kernel_list list = {.rows = rows, .count = 4};
        uint32_t first[4];
        for (size_t s = 0; s < sets_count; s++) {
            uint32_t got[4];
            sets[s]->list_u4i8(&from, &list, &q, got);
            if (s == 0) memcpy(first, got, sizeof got);
            for (int i = 0; i < 4; i++) {
                float a, b;
                uint32_t turned[2] = {got[i], first[i]};
                for (int j = 0; j < 2; j++)
                    turned[j] = turned[j] >> 31 ? turned[j] & 0x7fffffff : ~turned[j];
                memcpy(&a, &turned[0], sizeof a);
                memcpy(&b, &turned[1], sizeof b);
                assert_true(got[i] == first[i] || (isnan(a) && isnan(b)));
            }
        }
    }
}

static void nibble_kernels_are_exact(void **state)
{
    (void)state;
    for (size_t bytes = 64; bytes <= 32768; bytes += bytes < 1024 ? 64 : 7936)
        for (size_t round = 0; round < 8; round++) {
            random_elements(VDB_TYPE_U8, round % 2 ? EDGES : WILD, codes_buffer, 4 * bytes);
            random_elements(VDB_TYPE_I8, round % 3 ? EDGES : WILD, (uint8_t *)query_buffer,
                            2 * bytes);
            check_nibbles(codes_buffer, query_buffer, bytes, round * 7);
        }
}

static void nibble_kernels_hold_the_extremes(void **state)
{
    (void)state;
    static const uint8_t code_ends[] = {0xff, 0xf0, 0x0f, 0};
    static const int8_t query_ends[] = {-128, 127, -1};
    for (size_t bytes = 64; bytes <= 32768; bytes *= 2)
        for (size_t q = 0; q < sizeof query_ends; q++) {
            for (size_t k = 0; k < 4; k++) memset(codes_buffer + k * bytes, code_ends[k], bytes);
            memset(query_buffer, query_ends[q], 2 * bytes);
            check_nibbles(codes_buffer, query_buffer, bytes, 0);
            memset(query_buffer, ~query_ends[q], bytes);
            check_nibbles(codes_buffer, query_buffer, bytes, 0);
        }
}

/* Whether the kernel of the system lists the flag for the first processor. */
static int cpu_has(const char *flag)
{
    char line[16384], word[32];
    snprintf(word, sizeof word, " %s ", flag);
    FILE *f = fopen("/proc/cpuinfo", "r");
    int found = 0, seen = 0;
    while (f && !seen && fgets(line, sizeof line - 1, f)) {
        char *end = strchr(line, '\n');
        if (end) memcpy(end, " ", 2);
        seen = strncmp(line, "flags", 5) == 0;
        found = seen && strstr(line, word);
    }
    if (f) fclose(f);
    return found;
}

/* ---- coding -------------------------------------------------------------------------------- */

/* By a literal reading of kernel.h, and not a byte beyond n. */
static void coding_agrees_bit_for_bit(void **state)
{
    (void)state;
    static const float odd[] = {0.0f,   -0.0f, 0.5f, 255.0f,   254.5f,    254.49f, 1e30f,  -1e30f,
                                1e-40f, NAN,   -NAN, INFINITY, -INFINITY, 3.4e38f, 127.5f, -0.4f};
    static float x[300];
    static uint8_t want[300], got[300];
    for (uint32_t n = 0; n < 300; n += n < 70 ? 1 : 37) {
        float inverse = (float)(random_u32() % 1000) / 100, zero = (float)(random_u32() % 256);
        uint32_t sums[2] = {0, 0};
        for (uint32_t i = 0; i < n; i++) {
            x[i] = i % 5 ? (float)(random_u32() % 6000) / 100 - 30 : odd[random_u32() % 16];
            float t = x[i] * inverse + zero;
            if (!(t > 0)) t = 0;
            if (!(t < 255)) t = 255;
            want[i] = (uint8_t)(int)(t + 0.5f);
            sums[0] += want[i];
            sums[1] += (uint32_t)want[i] * want[i];
        }
        for (size_t s = 0; s < sets_count; s++) {
            uint32_t said[2] = {1, 1};
            memset(got, 0xaa, sizeof got);
            sets[s]->encode_u8(placed(0, x, n * sizeof *x, 0), n, inverse, zero, got, said);
            if (memcmp(got, want, n) != 0 || said[0] != sums[0] || said[1] != sums[1])
                fail_msg("%s: n %u", sets[s]->name, n);
            for (uint32_t i = n; i < sizeof got; i++) assert_int_equal(got[i], 0xaa);
        }
    }
}

static void selection_offers_what_the_cpu_has(void **state)
{
    (void)state;
    int avx2 = cpu_has("avx2") && cpu_has("f16c");
    int avx512 = avx2 && cpu_has("avx512f") && cpu_has("avx512bw") && cpu_has("avx512vl") &&
                 cpu_has("avx512dq") && cpu_has("avx512_vnni");
    const struct kernels *set = NULL;
    assert_int_equal(kernels_select("avx2", &set, NULL) == VDB_OK, avx2);
    assert_int_equal(kernels_select("avx512", &set, NULL) == VDB_OK, avx512);
    assert_int_equal(kernels_select(NULL, &set, NULL), VDB_OK);
    assert_string_equal(set->name, avx512 ? "avx512" : avx2 ? "avx2" : "portable");
}

static void selection_knows_its_names(void **state)
{
    (void)state;
    const struct kernels *set = NULL;
    struct vdb_error err;
    assert_int_equal(kernels_select("portable", &set, NULL), VDB_OK);
    assert_string_equal(set->name, "portable");

    static const char *const unknown[] = {"sse4", "neon", "", "AVX2", "avx"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        char quoted[16];
        snprintf(quoted, sizeof quoted, "'%s'", unknown[i]);
        memset(&err, 0, sizeof err);
        assert_int_equal(kernels_select(unknown[i], &set, &err), VDB_UNSUPPORTED);
        assert_int_equal(err.status, VDB_UNSUPPORTED);
        assert_non_null(strstr(err.message, quoted));
    }
}

static double some_double(void)
{
    return ((double)random_u32() - 0x1p31) * (1 + random_u32() * 0x1p-32);
}

/* Bounds of up to 9 blocks, against sums of each row by itself, and all that rounding may do. */
static void bounds_let_rows_through(void **state)
{
    (void)state;
    static uint8_t rows[9 * 16][512], blocks[9 * 16 * 256];
    static float terms[9 * 16], slacks[9 * 16];
    static const float wild[] = {NAN, INFINITY, -INFINITY, -0.0f, 1e38f, -1e38f, 1e-45f};
    for (uint32_t round = 0; round < 200; round++) {
        uint32_t count = 1 + round % 9, groups = 1 + random_u32() % 64, dim = 8 * groups,
                 passed = 0;
        random_elements(VDB_TYPE_U8, round % 2 ? EDGES : WILD, rows[0], sizeof rows);
        random_elements(VDB_TYPE_I8, round % 3 ? EDGES : WILD, (uint8_t *)query_buffer, dim);
        memset(blocks, 0, sizeof blocks);
        for (uint32_t i = 0; i < 16 * count; i++) {
            terms[i] = (float)some_double() * 1e-3f;
            slacks[i] = (float)some_double() * 1e-9f;
            if (round % 10 == 9) terms[i] = wild[random_u32() % 7];
            for (uint32_t j = 0; j < dim; j++) {
                rows[i][j] &= 15;
                blocks[(size_t)64 * (i / 16 * groups + j / 8) + 4 * (i % 16) + j % 4] |=
                    (uint8_t)(rows[i][j] << (j % 8 < 4 ? 0 : 4));
            }
        }
        struct kernel_bound bound = {.codes =
                                         placed(0, blocks, (size_t)64 * count * groups, round % 5),
                                     .blocks = count,
                                     .groups = groups,
                                     .query = placed(4, query_buffer, dim, round % 7),
                                     .terms = placed(1, terms, 64 * count, 0),
                                     .slacks = placed(2, slacks, 64 * count, 0),
                                     .slope = (float)some_double(),
                                     .weight = (float)some_double() * 1e-4f,
                                     .limit = (float)some_double() * 1e-3f};
        uint32_t want[9 * 16];
        for (uint32_t i = 0; i < 16 * count; i++) {
            volatile float slack = bound.slope * slacks[i];
            volatile float product =
                bound.weight * (float)expected_integer(rows[i], query_buffer, dim, 0);
            volatile float least = terms[i] - slack;
            least = least - product;
            if (least <= bound.limit) want[passed++] = i;
        }
        for (size_t s = 0; s < sets_count; s++) {
            uint32_t got[9 * 16 + 16];
            assert_int_equal(sets[s]->bound_u4i8(&bound, got), passed);
            assert_memory_equal(got, want, passed * sizeof *got);
        }
    }
}

/* Moments against a literal reading of what they are to be. */
static void moments_are_added_in_order(void **state)
{
    (void)state;
    enum { N = KERNEL_MOMENTS };
    static double a[N * N], b[N * N], before[N * N], want[N * N];
    for (size_t i = 0; i < (size_t)N * N; i++) {
        a[i] = some_double();
        b[i] = some_double();
        want[i] = before[i] = some_double();
    }
    for (size_t r = 0; r < N; r++)
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++) {
                volatile double product = a[r * N + i] * b[r * N + j];
                want[i * N + j] += product;
            }
    for (size_t s = 0; s < sets_count; s++) {
        double *got = placed(2, before, sizeof before, 0);
        sets[s]->add_moments(placed(0, a, sizeof a, 0), placed(1, b, sizeof b, 0), got);
        assert_memory_equal(got, want, sizeof want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selection_knows_its_names),
        cmocka_unit_test(coding_agrees_bit_for_bit),
        cmocka_unit_test(selection_offers_what_the_cpu_has),
        cmocka_unit_test(code_kernels_are_exact),
        cmocka_unit_test(code_kernels_hold_the_extremes),
        cmocka_unit_test(nibble_kernels_are_exact),
        cmocka_unit_test(nibble_kernels_hold_the_extremes),
        cmocka_unit_test(lists_of_bytes_are_measured),
        cmocka_unit_test(lists_agree_on_damaged_factors),
        cmocka_unit_test(blocks_of_rows_are_measured),
        cmocka_unit_test(moments_are_added_in_order),
        cmocka_unit_test(bounds_let_rows_through),
        cmocka_unit_test(float_kernels_agree_bit_for_bit),
        cmocka_unit_test(float_kernels_need_no_alignment),
        cmocka_unit_test(float_kernels_agree_on_damaged_values),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("kernel", tests, set_up, NULL);
}
