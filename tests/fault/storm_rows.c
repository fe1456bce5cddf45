/* storm_rows.c: the rows of the storm, which follow from their batches.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fault/storm.h"

/* SplitMix64's finaliser. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t storm_random(uint64_t *seed)
{
    *seed += 0x9e3779b97f4a7c15u;
    return mix(*seed);
}

int storm_id(uint32_t group, uint32_t member, char id[STORM_ID_MAX])
{
    if (group >= MARKER) return snprintf(id, STORM_ID_MAX, "marker-%u", group - MARKER);
    return snprintf(id, STORM_ID_MAX, "g%u.%u", group, member);
}

int storm_name(uint32_t slot, uint32_t number, char text[STORM_ID_MAX])
{
    return snprintf(text, STORM_ID_MAX, "s%u-%u", slot, number);
}

bool storm_id_parse(const char *id, size_t len, uint32_t *group, uint32_t *member)
{
    char text[STORM_ID_MAX], again[STORM_ID_MAX];
    if (len >= sizeof text) return false;
    memcpy(text, id, len);
    text[len] = 0;
    *member = 0;
    if (sscanf(text, "marker-%u", group) == 1)
        *group += MARKER;
    else if (sscanf(text, "g%u.%u", group, member) != 2)
        return false;
    storm_id(*group, *member, again);
    bool known = *group < GROUPS || (*group >= MARKER && *group < MARKER + WRITERS);
    return known && *member < GROUP_ROWS && strcmp(text, again) == 0;
}

static uint64_t fingerprint(const struct storm_row *row)
{
    uint64_t x = mix((uint64_t)row->batch << 32 | row->place);
    return mix(x ^ ((uint64_t)row->group << 8 | row->member));
}

/* Below 256 each, so that squared distances are whole numbers which floats hold. */
void storm_vector(const struct storm_row *row, float vector[DIM])
{
    uint64_t print = fingerprint(row);
    uint32_t bytes[DIM] = {row->batch & 255, row->batch >> 8 & 255, row->batch >> 16 & 255,
                           row->place,       row->group & 255,      row->member,
                           print & 255,      print >> 8 & 255};
    for (int i = 0; i < DIM; i++) vector[i] = (float)bytes[i];
}

char *storm_metadata(const struct storm_row *row)
{
    uint64_t seed = fingerprint(row);
    bool big = row->batch % 16 == 5;
    if (!big && row->batch % 2 == 0) return NULL;
    size_t len = big ? STORM_BIG_LEN : 16 + seed % 100;
    char *json = malloc(len + 16);
    if (!json) return NULL;
    size_t at = (size_t)sprintf(json, "{\"x\":\"");
    for (; at < len; at += 16)
        for (uint64_t word = storm_random(&seed), i = 0; i < 16; i++, word >>= 4)
            json[at + i] = "0123456789abcdef"[word & 15];
    strcpy(json + len, "\"}");
    return json;
}

uint64_t storm_hash(const struct storm_row *row)
{
    return mix(fingerprint(row) + 1);
}

int64_t storm_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t storm_run_delay(pid_t pid)
{
    char path[64];
    long long ran, delay = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    if (fscanf(file, "%lld %lld", &ran, &delay) != 2) delay = 0;
    fclose(file);
    return delay;
}

void storm_nap(double seconds)
{
    nanosleep(
        &(struct timespec){(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)},
        NULL);
}
