/* onebit.c: which single bit of some bytes makes their checksum right when it is turned.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "check/onebit.h"

#include <string.h>

#include "base/checksum.h"
#include "base/le.h"

static bool seek(const struct onebit *s, uint64_t check, uint64_t *bit)
{
    for (size_t i = s->begin; i < s->end; i++) {
        if (s->has_field && i >= s->field && i < s->field + 8) continue;
        for (unsigned j = 0; j < 8; j++) {
            s->p[i] ^= (uint8_t)(1u << j);
            bool right = checksum(s->p, s->len) == check;
            s->p[i] ^= (uint8_t)(1u << j);
            if (!right) continue;
            *bit = (uint64_t)i * 8 + j;
            return true;
        }
    }
    return false;
}

bool onebit_find(const struct onebit *s, uint64_t *bit)
{
    if (s->begin >= s->end || s->end > s->len ||
        s->end - s->begin > ONEBIT_MAX * ONEBIT_MAX / s->len)
        return false;
    if (!s->has_field) return seek(s, s->check, bit);
    uint8_t kept[8];
    if (s->len < sizeof kept || s->field > s->len - sizeof kept) return false;
    memcpy(kept, s->p + s->field, sizeof kept);
    memset(s->p + s->field, 0, sizeof kept);
    uint64_t check = le64_at(kept), differs = checksum(s->p, s->len) ^ check;
    bool own = differs && (differs & (differs - 1)) == 0; /* the bit is one of the field's */
    if (own) *bit = s->field * 8 + (uint64_t)__builtin_ctzll(differs);
    bool found = own || seek(s, check, bit);
    memcpy(s->p + s->field, kept, sizeof kept);
    return found;
}
