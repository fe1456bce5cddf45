/* test_kernel_scan.c: every kernel set scans 4-bit codes to the same, right bits.
 *
 * Expected values: blocks and tables are made from codes and entries of the test's own, which it
 * adds up as such, in integers, and puts into the formula that kernel_scan.h fixes one rounded
 * operation after another; f16 is decoded by ldexp. One block is written out byte by byte.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "vector/kernel.h"
#include "vector/kernel_scan.h"
#include "vector/kernel_sets.h"

#define GROUPS_MAX 8192
#define ROWS_MAX   (64 * 16)
#define BYTES_MAX  (4u << 20)

static const struct kernels *sets[4];
static size_t sets_count;

/* Memory that ends where touching the next byte is a fault: for blocks, and for tables. */
static uint8_t *fence[2];

/* The set avx512 has two scans, and takes the other where the CPU has VBMI. */
static void add_scan_without_vbmi(void)
{
#if defined(__x86_64__)
    static struct kernels set;
    if (sets_count == 0 || sets[sets_count - 1] != &kernels_avx512) return;
    set = kernels_avx512;
    set.name = "avx512 without VBMI";
    set.scan_u4 = shuffle_scan_u4;
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
    add_scan_without_vbmi();
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < 2; i++) {
        uint8_t *p = mmap(NULL, BYTES_MAX + page, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mprotect(p + BYTES_MAX, page, PROT_NONE)) return -1;
        fence[i] = p + BYTES_MAX;
    }
    return sets_count > 0 ? 0 : -1;
}

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint32_t random_u32(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32);
}

/* ---- a scan of the test's own -------------------------------------------------------------- */

static struct {
    uint32_t rows, count; /* a multiple of 16; codes of a row */
    uint8_t *codes;       /* [rows][count] */
    uint8_t entries[GROUPS_MAX * 8][16];
    uint16_t b[ROWS_MAX], f[ROWS_MAX]; /* f16 */
    float base;                        /* of the first block */
    struct kernel_scan_block blocks[ROWS_MAX / 16];
} given;

struct hit {
    uint32_t row, slot;
    float estimate;
};

static struct hit expected[ROWS_MAX];

enum entries { ANY, ALL_255, ALL_0 };
enum factors { PLAIN, WILD };

static const uint16_t odd_halves[] = {0,      0x8000, 1,      0x8001, 0x3ff,  0x400,  0x7bff,
                                      0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xfe01, 0x7c01, 0x3c00};

/* PLAIN: as an index has them, b from 1 to 4 and f from 1/4 to 1, with a place without a row here
 * and there. WILD: any 16 bits. */
static void make(uint32_t count, uint32_t blocks, enum entries entries, enum factors factors)
{
    given.count = count;
    given.rows = blocks * 16;
    free(given.codes);
    given.codes = malloc((size_t)given.rows * count + 1);
    assert_non_null(given.codes);
    for (size_t i = 0; i < (size_t)given.rows * count; i++)
        given.codes[i] = entries == ALL_255 ? 15 : random_u32() & 15;
    for (uint32_t i = 0; i < count; i++)
        for (int v = 0; v < 16; v++)
            given.entries[i][v] = entries == ANY       ? (uint8_t)random_u32()
                                  : entries == ALL_255 ? 255
                                                       : 0;
    for (uint32_t row = 0; row < given.rows; row++) {
        uint32_t u = random_u32();
        given.b[row] = (uint16_t)(0x3c00 + (u & 0x7ff));
        given.f[row] = (uint16_t)(0x3400 + (u >> 16 & 0x7ff));
        if (factors == PLAIN && u >> 28 == 0) {
            given.b[row] = 0x7c00;
            given.f[row] = 0;
        }
        if (factors == WILD) {
            given.b[row] = u & 0x80000000 ? odd_halves[u % 14] : (uint16_t)u;
            given.f[row] = u & 0x40000000 ? odd_halves[u / 14 % 14] : (uint16_t)(u >> 8);
        }
    }
}

static uint32_t groups_of(uint32_t count)
{
    return (count + 7) / 8;
}

static size_t block_bytes(void)
{
    return 64 + 64 * (size_t)groups_of(given.count);
}

static void pack_row(uint32_t row, uint8_t *block)
{
    for (uint32_t i = 0; i < given.count; i++) {
        uint32_t group = i / 8, within = i % 8;
        uint8_t *byte = block + 64 + 64 * group + 4 * (row % 16) + within % 4;
        *byte |= (uint8_t)(given.codes[(size_t)row * given.count + i] << (within < 4 ? 0 : 4));
    }
    for (uint32_t k = 0; k < 2; k++) {
        block[2 * (row % 16) + k] = (uint8_t)(given.b[row] >> 8 * k);
        block[32 + 2 * (row % 16) + k] = (uint8_t)(given.f[row] >> 8 * k);
    }
}

/* Both end `gap` bytes before their fence. Blocks are handed over in another order than they lie
 * in, each with a base and slots of its own. */
static void pack(struct kernel_scan *scan, size_t gap)
{
    size_t bytes = given.rows / 16 * block_bytes(), table_bytes = 128u * groups_of(given.count);
    assert_true(bytes + gap <= BYTES_MAX && table_bytes + gap <= BYTES_MAX);
    uint8_t *blocks = memset(fence[0] - gap - bytes, 0, bytes);
    uint8_t *table = memset(fence[1] - gap - table_bytes, 0, table_bytes);
    uint32_t count = given.rows / 16, shift = count ? random_u32() % count : 0;
    for (uint32_t i = 0; i < count; i++)
        given.blocks[i] = (struct kernel_scan_block){blocks + (i + shift) % count * block_bytes(),
                                                     random_u32(), given.base + 0.03f * (float)i};
    for (uint32_t row = 0; row < given.rows; row++)
        pack_row(row, (uint8_t *)(uintptr_t)given.blocks[row / 16].at);
    for (uint32_t i = 0; i < given.count; i++) memcpy(table + 16 * i, given.entries[i], 16);
    scan->blocks = given.blocks;
    scan->table = table;
    scan->block_count = given.rows / 16;
    scan->groups = groups_of(given.count);
}

static float half_value(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double size = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) size = fraction ? NAN : INFINITY;
    return (float)(h & 0x8000 ? -size : size);
}

/* The volatiles keep a compiler from fusing. */
static float estimate_of(const struct kernel_scan *scan, uint32_t row)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < given.count; i++)
        sum += given.entries[i][given.codes[(size_t)row * given.count + i]];
    volatile float scaled = scan->scale * (float)sum;
    volatile float product = scaled + scan->offset;
    volatile float taken = half_value(given.f[row]) * product;
    volatile float own = scan->unit_b * half_value(given.b[row]);
    volatile float rest = own - taken;
    volatile float estimate = given.blocks[row / 16].base + rest;
    return estimate;
}

static uint32_t expect(const struct kernel_scan *scan)
{
    uint32_t count = 0;
    for (uint32_t row = 0; row < given.rows; row++) {
        float estimate = estimate_of(scan, row);
        if (isnan(estimate) || isnan(scan->limit) || estimate >= scan->limit) continue;
        expected[count++] = (struct hit){row, given.blocks[row / 16].slot + row % 16, estimate};
    }
    return count;
}

static uint32_t float_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

#define MARK 0xdeadbeefu

/* Scans with room for `room` behind `before` that are there already, time and again with anew as
 * much room, and holds what every call does against what is expected. */
static void check_room(const struct kernel_scan *whole, uint32_t hits, uint32_t before,
                       uint32_t room)
{
    static uint32_t slots[2 * ROWS_MAX];
    static float estimates[2 * ROWS_MAX];
    for (size_t s = 0; s < sets_count; s++) {
        uint32_t done = 0, seen = 0;
        do {
            for (uint32_t i = 0; i < 2 * ROWS_MAX; i++) {
                slots[i] = MARK;
                memcpy(&estimates[i], &slots[i], sizeof slots[i]);
            }
            struct kernel_scan scan = *whole;
            scan.blocks += done;
            scan.block_count -= done;
            scan.slots = slots;
            scan.estimates = estimates;
            scan.count = before;
            scan.room = before + room;
            uint32_t now = sets[s]->scan_u4(&scan);

            /* It goes on for as long as 16 places are left, and no further. */
            uint32_t want = 0, kept = 0;
            for (; want < whole->block_count - done && room - kept >= 16; want++) {
                uint32_t end = 16 * (done + want + 1);
                while (seen + kept < hits && expected[seen + kept].row < end) kept++;
            }
            if (now != want || scan.count != before + kept)
                fail_msg("%s: count %u: %u blocks and %u rows, expected %u and %u", sets[s]->name,
                         given.count, now, scan.count - before, want, kept);
            for (uint32_t i = 0; i < kept; i++) {
                const struct hit *hit = &expected[seen + i];
                if (slots[before + i] != hit->slot ||
                    float_bits(estimates[before + i]) != float_bits(hit->estimate))
                    fail_msg("%s: count %u: slot %u at %a, expected %u at %a", sets[s]->name,
                             given.count, slots[before + i], (double)estimates[before + i],
                             hit->slot, (double)hit->estimate);
            }
            for (uint32_t i = 0; i < 2 * ROWS_MAX; i++)
                if ((i < before || i >= before + room) &&
                    (slots[i] != MARK || float_bits(estimates[i]) != MARK))
                    fail_msg("%s: place %u is written: not in %u ... %u", sets[s]->name, i, before,
                             before + room);
            done += now;
            seen += kept;
        } while (done < whole->block_count && room >= 16);
    }
}

static void check(const struct kernel_scan *scan)
{
    check_room(scan, expect(scan), 5, given.rows + 15);
}

/* A limit that about half of the rows are below. */
static float middle(struct kernel_scan *scan)
{
    scan->limit = INFINITY;
    uint32_t hits = expect(scan);
    if (hits == 0) return 0;
    return expected[hits / 2].estimate;
}

/* ---- tests --------------------------------------------------------------------------------- */

/* Row 5 of a block of 12 codes: 1 ... 12, so that its bytes in group 0 are 0x51 0x62 0x73 0x84 and
 * in group 1 9, 10, 11, 12; row 6 has code 10 (the third of group 1) of 3. All else is 0. */
static void bits_lie_as_they_are_written(void **state)
{
    (void)state;
    uint8_t block[64 + 128] = {0}, table[256];
    static const uint8_t five[2][4] = {{0x51, 0x62, 0x73, 0x84}, {9, 10, 11, 12}};
    memcpy(block + 64 + 4 * 5, five[0], 4);
    memcpy(block + 128 + 4 * 5, five[1], 4);
    block[128 + 4 * 6 + 2] = 3;
    block[2 * 5 + 1] = 0x3c;      /* b = 1 */
    block[32 + 2 * 5 + 1] = 0x40; /* f = 2 */
    block[32 + 2 * 6 + 1] = 0xbc; /* f = -1 */
    for (int i = 0; i < 256; i++) table[i] = (uint8_t)(i % 16 == 0 ? 0 : i);
    /* Row 5: entry c of code c - 1, at 16 (c - 1) + c = 17c - 16; 17 * 78 - 12 * 16 = 1,134.
     * Row 6: entry 3 of code 10, at 163. */
    struct kernel_scan_block one_block = {block, 1000, 3};
    struct kernel_scan scan = {.blocks = &one_block,
                               .block_count = 1,
                               .groups = 2,
                               .table = table,
                               .unit_b = 8,
                               .scale = 0.5f,
                               .offset = 10,
                               .limit = INFINITY,
                               .room = 16};
    for (size_t s = 0; s < sets_count; s++) {
        uint32_t slots[16];
        float estimates[16];
        struct kernel_scan one = scan;
        one.slots = slots;
        one.estimates = estimates;
        assert_int_equal(sets[s]->scan_u4(&one), 1);
        assert_int_equal(one.count, 16);
        for (uint32_t i = 0; i < 16; i++) {
            assert_int_equal(slots[i], 1000 + i);
            double want = i == 5 ? 3 + (8 - 2 * (567 + 10.0)) : i == 6 ? 3 + (81.5 + 10) : 3;
            if ((double)estimates[i] != want)
                fail_msg("%s: row %u at %g, expected %g", sets[s]->name, i, (double)estimates[i],
                         want);
        }
    }
}

static void scans_agree_bit_for_bit(void **state)
{
    (void)state;
    for (uint32_t count = 0; count <= 2400; count += count < 72 ? 1 : 157)
        for (uint32_t blocks = 0; blocks <= 11; blocks += 1 + random_u32() % 3) {
            make(count, blocks, ANY, PLAIN);
            struct kernel_scan scan = {.unit_b = 0.37f, .scale = 1e-3f, .offset = -0.3f};
            given.base = 1.7f;
            pack(&scan, 0);
            check(&scan);
            scan.limit = middle(&scan);
            check(&scan);
            scan.limit = -INFINITY;
            check(&scan);
        }
}

/* Blocks enough that some are fetched long before their turn. */
static void many_blocks(void **state)
{
    (void)state;
    make(50, 61, ANY, PLAIN);
    struct kernel_scan scan = {.unit_b = 1, .scale = 1e-3f};
    given.base = 1;
    pack(&scan, 0);
    scan.limit = middle(&scan);
    check(&scan);
    check_room(&scan, expect(&scan), 3, 100);
}

static void limit_is_strict(void **state)
{
    (void)state;
    make(50, 8, ANY, PLAIN);
    struct kernel_scan scan = {.unit_b = 1, .scale = 1e-3f, .offset = 1};
    given.base = 1;
    pack(&scan, 0);
    scan.limit = middle(&scan);
    uint32_t below = expect(&scan);
    check(&scan);
    scan.limit = nextafterf(scan.limit, INFINITY);
    assert_true(expect(&scan) > below);
    check(&scan);
}

static void sums_hold_the_extremes(void **state)
{
    (void)state;
    given.base = 0;
    static const uint32_t counts[] = {50, 248, 256, 257, 260, 264, 512, 520, 2400, 65533, 65536};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        make(counts[i], 6, ALL_255, PLAIN);
        for (uint32_t row = 0; row < given.rows; row++) {
            given.b[row] = 0;
            given.f[row] = 0xbc00; /* -1: the estimate is the sum itself */
        }
        struct kernel_scan scan = {.unit_b = 1, .scale = 1, .limit = INFINITY};
        pack(&scan, 0);
        assert_int_equal(expect(&scan), given.rows);
        assert_true((double)expected[7].estimate == 255.0 * counts[i]);
        check(&scan);
    }
    make(100, 5, ALL_0, PLAIN);
    struct kernel_scan scan = {.unit_b = 1, .scale = 1, .limit = INFINITY};
    pack(&scan, 0);
    check(&scan);
}

/* Of tables that are empty but for one entry, none is taken for an empty one. */
static void every_entry_counts(void **state)
{
    (void)state;
    make(24, 5, ALL_0, PLAIN);
    for (uint32_t code = 0; code < 24; code++)
        for (int value = 0; value < 16; value++) {
            given.entries[code][value] = 200;
            given.codes[(16 + code) * 24 + code] = (uint8_t)value;
            struct kernel_scan scan = {.unit_b = 1, .scale = 1, .limit = INFINITY};
            pack(&scan, 0);
            check(&scan);
            given.entries[code][value] = 0;
        }
}

/* No row is written with most of these factors, but a damaged file may hold any. */
static void factors_may_be_anything(void **state)
{
    (void)state;
    static const float odd[] = {0.0f,   -0.0f,  1.0f, -2.5f,    1e-45f,    1e-39f, 3e38f,
                                -3e38f, 1e-20f, NAN,  INFINITY, -INFINITY, 0x1p14f};
    for (int round = 0; round < 3000; round++) {
        make(1 + random_u32() % 100, 1 + random_u32() % 9, ANY, round % 4 ? WILD : PLAIN);
        struct kernel_scan scan = {.unit_b = odd[random_u32() % 13],
                                   .scale = odd[random_u32() % 13],
                                   .offset = odd[random_u32() % 13]};
        given.base = odd[random_u32() % 13];
        if (round % 2) {
            given.base = scan.unit_b = 1;
            scan.scale = 1e-4f;
        }
        pack(&scan, 0);
        scan.limit = round % 3 ? middle(&scan) : odd[random_u32() % 13];
        check(&scan);
    }
}

static void places_without_a_row_are_never_kept(void **state)
{
    (void)state;
    static const float units[] = {1.0f, 0x1p-20f, 0.0f};
    make(64, 9, ANY, PLAIN);
    for (uint32_t row = 0; row < given.rows; row++) {
        given.b[row] = 0x7c00;
        given.f[row] = 0;
    }
    for (size_t i = 0; i < 3; i++) {
        struct kernel_scan scan = {.unit_b = units[i], .scale = 1, .limit = INFINITY};
        given.base = -1e30f;
        pack(&scan, 0);
        assert_int_equal(expect(&scan), 0);
        check(&scan);
    }
}

static void scans_stop_where_room_ends(void **state)
{
    (void)state;
    for (uint32_t blocks = 1; blocks <= 13; blocks += 4)
        for (uint32_t room = 0; room <= 150; room++) {
            make(20, blocks, ANY, PLAIN);
            struct kernel_scan scan = {.unit_b = 1, .scale = 1e-3f};
            given.base = 1;
            pack(&scan, 0);
            scan.limit = room % 3 == 0 ? INFINITY : middle(&scan);
            check_room(&scan, expect(&scan), room % 7, room);
        }
}

static void scans_need_no_alignment(void **state)
{
    (void)state;
    for (size_t gap = 0; gap <= 64; gap++) {
        make(44 + (uint32_t)gap % 16, 1 + (uint32_t)gap % 7, ANY, PLAIN);
        struct kernel_scan scan = {.unit_b = 1, .scale = 1e-3f};
        given.base = 1;
        pack(&scan, gap);
        scan.limit = middle(&scan);
        check(&scan);
    }
}

/* ---- cuts ---------------------------------------------------------------------------------- */

#define CUT_MAX 700

static float kinds_of_estimate(int kind, uint32_t i)
{
    float x = (float)(random_u32() >> 8) * 0x1p-20f - 8;
    if (kind == 0) return x;
    if (kind == 1) return (float)(random_u32() % 3);
    if (kind == 2) return i % 50 == 7 ? -INFINITY : x;
    return expf(4 * x); /* most of them near the least */
}

/* From the values alone: the limit is not above what it has to let through, all that are up to it
 * stay, as far as there is room for them, and nothing else is touched. */
static void check_cut(const float *before, uint32_t n, uint32_t wanted, bool distinct)
{
    static float estimates[CUT_MAX + 64], first_limit;
    static uint32_t slots[CUT_MAX + 64];
    for (size_t s = 0; s < sets_count; s++) {
        struct kernel_scan scan = {
            .limit = 1e30f, .slots = slots, .estimates = estimates, .count = n, .room = n};
        for (uint32_t i = 0; i < CUT_MAX + 64; i++) {
            slots[i] = i < n ? 1000 + i : MARK;
            memcpy(&estimates[i], &slots[i], sizeof slots[i]);
            if (i < n) estimates[i] = before[i];
        }
        sets[s]->cut_scan(&scan, wanted);
        uint32_t within = 0, kept = 0, most = n <= wanted ? n : wanted + wanted / 8;
        for (uint32_t i = 0; i < n; i++) {
            if (before[i] > scan.limit) continue;
            if (within++ >= most) continue;
            assert_int_equal(slots[kept], 1000 + i);
            assert_int_equal(float_bits(estimates[kept]), float_bits(before[i]));
            kept++;
        }
        assert_int_equal(scan.count, kept);
        assert_true(within >= (n < wanted ? n : wanted));
        if (distinct) assert_int_equal(within, kept);
        if (n <= wanted) assert_true(scan.limit == 1e30f);
        if (s == 0) first_limit = scan.limit;
        assert_true(scan.limit == first_limit);
        for (uint32_t i = n; i < CUT_MAX + 64; i++)
            assert_true(slots[i] == MARK && float_bits(estimates[i]) == MARK);
    }
}

static void cuts_keep_the_least(void **state)
{
    (void)state;
    static float before[CUT_MAX];
    for (uint32_t n = 0; n <= CUT_MAX; n += n < 70 ? 1 : 37)
        for (int kind = 0; kind < 4; kind++) {
            for (uint32_t i = 0; i < n; i++) before[i] = kinds_of_estimate(kind, i);
            for (uint32_t wanted = 1; wanted <= n + 1; wanted += 1 + wanted / 3)
                check_cut(before, n, wanted, kind == 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_lie_as_they_are_written),
        cmocka_unit_test(scans_agree_bit_for_bit),
        cmocka_unit_test(many_blocks),
        cmocka_unit_test(limit_is_strict),
        cmocka_unit_test(sums_hold_the_extremes),
        cmocka_unit_test(every_entry_counts),
        cmocka_unit_test(factors_may_be_anything),
        cmocka_unit_test(places_without_a_row_are_never_kept),
        cmocka_unit_test(scans_stop_where_room_ends),
        cmocka_unit_test(scans_need_no_alignment),
        cmocka_unit_test(cuts_keep_the_least),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("kernel_scan", tests, set_up, NULL);
}
