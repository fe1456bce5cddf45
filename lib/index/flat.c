/* flat.c: scanning coded rows where codes are the stored values themselves.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/flat.h"

#include <string.h>

#include "base/le.h"

bool flat_query_prepare(struct flat_query *to, const struct codes *codes, const float *query)
{
    float zero = (float)codes->zero;
    memset(to->values, 0, codes->bytes);
    to->sumsq = 0;
    for (uint32_t i = 0; i < codes->dim; i++) {
        float code = query[i] + zero;
        if (!(code >= 0 && code <= 255) || code != (float)(int32_t)code || code - zero != query[i])
            return false;
        int32_t value = (int32_t)code;
        to->values[i] = (int8_t)(value - 128);
        to->sumsq += (uint32_t)(value * value);
    }
    return true;
}

/* See codes.h for the formula; the true value is below 2^32, so wrapping is right. */
static uint32_t distance(const struct flat_query *query, const struct codes *codes, uint32_t row,
                         int32_t dot)
{
    uint32_t norm = le32_at(codes->norm + row * codes->norm_stride);
    return norm - 2 * (uint32_t)dot + query->sumsq;
}

void flat_l2sq(const struct flat_query *query, const struct codes *codes,
               const struct kernels *kernels, uint32_t begin, uint32_t count, uint32_t *distances)
{
    const uint8_t *code = codes->code + begin * codes->code_stride;
    size_t stride = codes->code_stride;
    uint32_t i = 0;
    for (; i + 4 <= count; i += 4, code += 4 * stride) {
        const uint8_t *const four[4] = {code, code + stride, code + 2 * stride, code + 3 * stride};
        int32_t dots[4];
        kernels->dot4_u8i8(four, query->values, codes->bytes, codes->flip, dots);
        for (uint32_t j = 0; j < 4; j++)
            distances[i + j] = distance(query, codes, begin + i + j, dots[j]);
    }
    for (; i < count; i++, code += stride)
        distances[i] = distance(query, codes, begin + i,
                                kernels->dot_u8i8(code, query->values, codes->bytes, codes->flip));
}
