/* format.c: the formats that vdb-get writes to a stream.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "get/format.h"

#include <inttypes.h>
#include <string.h>

#include "cli.h"

/* ---- text ---------------------------------------------------------------------------------- */

static void put_numbers(FILE *out, const float *vector, uint32_t dim, const char *between)
{
    char text[32];
    for (uint32_t i = 0; i < dim; i++) {
        if (i) fputs_unlocked(between, out);
        fputs_unlocked(cli_float(vector[i], text), out);
    }
}

/* As stored, but for raw line breaks and tabs, which in valid JSON can only stand between its
 * tokens: a record is one line. */
static void put_metadata(FILE *out, const char *json, size_t len)
{
    for (size_t i = 0; i < len; i++)
        putc_unlocked((unsigned char)json[i] < 0x20 ? ' ' : json[i], out);
}

static void jsonl_row(FILE *out, const struct vdb_info *info, const struct get_row *row)
{
    fputs_unlocked("{\"id\": ", out);
    cli_json_string(out, row->id, row->id_len);
    fputs_unlocked(", \"vector\": [", out);
    put_numbers(out, row->vector, info->dim, ", ");
    fputs_unlocked("]", out);
    if (row->metadata) {
        fputs_unlocked(", \"metadata\": ", out);
        put_metadata(out, row->metadata, row->metadata_len);
    }
    fputs_unlocked("}\n", out);
}

static void tsv_row(FILE *out, const struct vdb_info *info, const struct get_row *row)
{
    fwrite_unlocked(row->id, 1, row->id_len, out);
    fputs_unlocked("\t", out);
    put_numbers(out, row->vector, info->dim, "\t");
    fputs_unlocked("\n", out);
}

/* ---- binary -------------------------------------------------------------------------------- */

/* To IEEE 754 binary16, a number that is one: it was stored as such. */
static uint16_t to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, exponent = bits >> 23 & 0xff, fraction = bits & 0x7fffff;
    if (exponent == 0) return (uint16_t)sign;
    if (exponent >= 113) return (uint16_t)(sign | (exponent - 112) << 10 | fraction >> 13);
    return (uint16_t)(sign | (fraction | 0x800000) >> (126 - exponent)); /* units of 2^-24 */
}

static void npy_begin(FILE *out, const struct vdb_info *info, uint64_t rows)
{
    static const char *const descr[] = {"", "<f4", "<f2", "|i1", "|u1"}; /* by enum vdb_type */
    char head[192];
    int len =
        snprintf(head, sizeof head,
                 "{'descr': '%s', 'fortran_order': False, 'shape': (%" PRIu64 ", %" PRIu32 "), }",
                 descr[info->type], rows, info->dim);
    /* Magic, version, length and text with its final newline fill a multiple of 64 bytes. */
    int padded = (10 + len + 1 + 63) / 64 * 64 - 10;
    const unsigned char front[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)padded, 0};
    fwrite(front, 1, sizeof front, out);
    fprintf(out, "%-*s\n", padded - 1, head);
}

static void npy_row(FILE *out, const struct vdb_info *info, const struct get_row *row)
{
    for (uint32_t i = 0; i < info->dim; i++) {
        float value = row->vector[i];
        if (info->type == VDB_TYPE_F16) {
            uint16_t half = to_half(value);
            putc_unlocked(half & 0xff, out);
            putc_unlocked(half >> 8, out);
        } else if (info->type == VDB_TYPE_F32) {
            fwrite_unlocked(&value, sizeof value, 1, out);
        } else {
            putc_unlocked((int)value & 0xff, out);
        }
    }
}

static void fvecs_row(FILE *out, const struct vdb_info *info, const struct get_row *row)
{
    fwrite_unlocked(&info->dim, sizeof info->dim, 1, out);
    fwrite_unlocked(row->vector, sizeof *row->vector, info->dim, out);
}

static const struct get_format formats[] = {
    {"jsonl", false, true, NULL, jsonl_row},
    {"tsv", false, false, NULL, tsv_row},
    {"npy", true, false, npy_begin, npy_row},
    {"fvecs", true, false, NULL, fvecs_row},
};

const struct get_format *get_format(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(formats[i].name, name) == 0) return &formats[i];
    return NULL;
}
