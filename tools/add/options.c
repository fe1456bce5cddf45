/* options.c: the options and operands of vdb-add, from text to meaning.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "add/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kinds.h"
#include "policy.h"

enum {
    OPT_CREATE,
    OPT_METRIC,
    OPT_DIM,
    OPT_TYPE,
    OPT_INDEX,
    OPT_M,
    OPT_EF_CONSTRUCTION,
    OPT_CODES,
    OPT_RECENT,
    OPT_QUIET_HOURS,
    OPT_NOW,
    OPT_MODE,
    OPT_BATCH,
    OPT_NO_MAINTAIN,
    OPT_SKIP_BAD,
    OPT_FORMAT,
    OPT_IDS,
    OPT_ID_PREFIX,
    OPT_METADATA,
    OPT_DATASET,
    OPT_IDS_DATASET,
    OPT_JSON
};

const struct cli_option add_option_table[] = {
    {"create", 0, NULL, "make INDEX where it is missing", OPT_CREATE},
    {"metric", 0, "METRIC", "of a new index: l2, cosine or ip (default: l2)", OPT_METRIC},
    {"dim", 0, "N", "dimensions of a new index (default: the input's)", OPT_DIM},
    {"type", 0, "TYPE", "of a new index: f32, f16, i8 or u8 (default: the input's)", OPT_TYPE},
    {"index", 0, "KIND", "of a new index: graph, hnsw, ivf, flat, hybrid or auto (default: auto)",
     OPT_INDEX},
    {"m", 0, "M", "of a new hnsw index: neighbours a row, twice that on level 0", OPT_M},
    {"ef-construction", 0, "N", "of a new index: candidates looked at per insertion",
     OPT_EF_CONSTRUCTION},
    {"codes", 0, "CODES", "of a new index: none, i8, i4, pq, b1 or auto (default: auto)",
     OPT_CODES},
    {"recent", 0, "AGE|ROWS", "of a new hybrid index: rows in graphs, by age (30d) or number",
     OPT_RECENT},
    {"quiet-hours", 0, "HH:MM-HH:MM", "of a new index: when maintenance runs, in UTC",
     OPT_QUIET_HOURS},
    {"now", 0, "SECONDS", "since 1970, that ages and quiet hours are reckoned by", OPT_NOW},
    {"mode", 0, "MODE", "upsert, insert or update (default: upsert)", OPT_MODE},
    {"batch", 0, "N", "commit every N records, and tell each time how many are in", OPT_BATCH},
    {"no-maintain", 0, NULL, "leave the index part over new rows to be built later",
     OPT_NO_MAINTAIN},
    {"skip-bad", 0, NULL, "name bad records and go on without them", OPT_SKIP_BAD},
    {"format", 0, "FORMAT", "of the input (default: by extension and first bytes)", OPT_FORMAT},
    {"ids", 0, "FILE", "ids for an input without, one a line", OPT_IDS},
    {"id-prefix", 0, "TEXT", "put before row numbers that serve as ids", OPT_ID_PREFIX},
    {"metadata", 0, "FILE", "one JSON object a line, in row order", OPT_METADATA},
    {"dataset", 0, "NAME", "HDF5: the dataset to read (default: train)", OPT_DATASET},
    {"ids-dataset", 0, "NAME", "HDF5: the dataset that holds the ids", OPT_IDS_DATASET},
    {"json", 0, NULL, "print the summary as a JSON object on stdout", OPT_JSON},
    {NULL, 0, NULL, NULL, 0},
};

static const char *const metrics[] = {"l2", "cosine", "ip", NULL};   /* from 1 */
static const char *const types[] = {"f32", "f16", "i8", "u8", NULL}; /* from 1 */
static const char *const modes[] = {"upsert", "insert", "update", NULL};

/* Where `value` stands in `names`; wrong usage if nowhere. */
static int choice(const struct cli *cli, const char *option, const char *const *names,
                  const char *value)
{
    char all[64] = "";
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], value) == 0) return i;
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s",
                 i == 0         ? ""
                 : names[i + 1] ? ", "
                                : " or ",
                 names[i]);
    }
    cli_usage_error(cli, "%s: '%s' is not %s", option, value, all);
}

static enum input_format format_choice(const struct cli *cli, const char *value)
{
    int format = (int)input_format_by_name(value);
    if (format < 0) cli_usage_error(cli, "--format: '%s' is not a format", value);
    return (enum input_format)format;
}

void add_take_option(struct cli *cli, void *context, int id, const char *value)
{
    struct add_options *o = context;
    switch (id) {
    case OPT_CREATE:
        o->create = true;
        break;
    case OPT_METRIC:
        o->metric = (enum vdb_metric)(choice(cli, "--metric", metrics, value) + 1);
        break;
    case OPT_DIM:
        o->dim = (uint32_t)cli_number(cli, "--dim", value, 1, VDB_DIM_MAX);
        break;
    case OPT_TYPE:
        o->type = (enum vdb_type)(choice(cli, "--type", types, value) + 1);
        break;
    case OPT_INDEX:
        o->index = (enum vdb_index_kind)choice(cli, "--index", kind_names, value);
        o->index_given = true;
        break;
    case OPT_CODES:
        o->codes = (enum vdb_codes)choice(cli, "--codes", codes_names, value);
        o->codes_given = true;
        break;
    case OPT_RECENT:
        policy_recent(cli, value, &o->recent_rows, &o->recent_seconds);
        break;
    case OPT_QUIET_HOURS:
        policy_quiet(cli, value, &o->quiet_begin, &o->quiet_end);
        o->quiet_given = true;
        break;
    case OPT_NOW:
        o->now_us = policy_time(cli, value);
        break;
    case OPT_M:
        o->m = (uint32_t)cli_number(cli, "--m", value, 4, 128);
        break;
    case OPT_EF_CONSTRUCTION:
        o->ef_construction = (uint32_t)cli_number(cli, "--ef-construction", value, 8, 4096);
        break;
    case OPT_MODE:
        o->mode = (enum vdb_put_mode)choice(cli, "--mode", modes, value);
        break;
    case OPT_BATCH:
        o->batch = cli_number(cli, "--batch", value, 1, UINT32_MAX);
        break;
    case OPT_NO_MAINTAIN:
        o->maintain = false;
        break;
    case OPT_SKIP_BAD:
        o->skip_bad = true;
        break;
    case OPT_FORMAT:
        o->input.format = format_choice(cli, value);
        break;
    case OPT_IDS:
        o->input.ids_path = value;
        break;
    case OPT_ID_PREFIX:
        o->input.id_prefix = value;
        break;
    case OPT_METADATA:
        o->input.metadata_path = value;
        break;
    case OPT_DATASET:
        o->input.dataset = value;
        break;
    case OPT_IDS_DATASET:
        o->input.ids_dataset = value;
        break;
    case OPT_JSON:
        o->json = true;
        break;
    default:
        break;
    }
}

static void conflict_of_number(char *text, size_t text_size, const char *option, uint32_t asked,
                               uint32_t there)
{
    char made_with[16] = "the default";
    if (there) snprintf(made_with, sizeof made_with, "%" PRIu32, there);
    snprintf(text, text_size, "%s %" PRIu32 ", but the index was made with %s; see vdb-compact(1)",
             option, asked, made_with);
}

bool add_options_conflict(const struct add_options *o, const struct vdb_info *info, char *text,
                          size_t text_size)
{
    if (o->dim && o->dim != info->dim)
        snprintf(text, text_size, "--dim %" PRIu32 ", but the index has %" PRIu32 " dimensions",
                 o->dim, info->dim);
    else if (o->metric && o->metric != info->metric)
        snprintf(text, text_size, "--metric %s, but the metric of the index is %s",
                 metrics[o->metric - 1], metrics[info->metric - 1]);
    else if (o->type && o->type != info->type)
        snprintf(text, text_size, "--type %s, but the type of the index is %s", types[o->type - 1],
                 types[info->type - 1]);
    else if (o->index_given && o->index != info->index)
        snprintf(text, text_size, "--index %s, but the index was made with %s; see vdb-compact(1)",
                 kind_names[o->index], kind_names[info->index]);
    else if (o->codes_given && o->codes != info->codes)
        snprintf(text, text_size, "--codes %s, but the index was made with %s; see vdb-compact(1)",
                 codes_names[o->codes], codes_names[info->codes]);
    else if ((o->recent_rows && o->recent_rows != info->recent_rows) ||
             (o->recent_seconds && o->recent_seconds != info->recent_seconds))
        snprintf(text, text_size,
                 "--recent differs from what the index was made with; see vdb-compact(1)");
    else if (o->quiet_given &&
             (o->quiet_begin != info->quiet_begin || o->quiet_end != info->quiet_end))
        snprintf(text, text_size,
                 "--quiet-hours differ from those the index was made with; see vdb-compact(1)");
    else if (o->m && 2 * o->m != info->degree)
        conflict_of_number(text, text_size, "--m", o->m, info->degree / 2);
    else if (o->ef_construction && o->ef_construction != info->ef_construction)
        conflict_of_number(text, text_size, "--ef-construction", o->ef_construction,
                           info->ef_construction);
    else
        return false;
    return true;
}

/* ---- operands ------------------------------------------------------------------------------ */

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static bool is_hdf5(const char *path)
{
    static const char *const extensions[] = {".h5", ".hdf5", ".hdf"};
    static const unsigned char magic[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    size_t len = strlen(path);
    for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++) {
        size_t n = strlen(extensions[i]);
        if (len > n && strcasecmp(path + len - n, extensions[i]) == 0) return true;
    }
    struct stat st; /* asked first: opening a pipe would wait for its writer */
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return false;
    unsigned char head[sizeof magic];
    FILE *file = fopen(path, "rbe");
    if (!file) return false;
    bool same =
        fread(head, 1, sizeof head, file) == sizeof head && memcmp(head, magic, sizeof magic) == 0;
    fclose(file);
    return same;
}

struct add_operand add_operand(const char *text, enum input_format format)
{
    struct add_operand plain = {text, NULL, 0};
    const char *equals = strchr(text, '=');
    if (!equals || exists(text) || (format != INPUT_AUTO && format != INPUT_HDF5)) return plain;
    for (const char *at = equals; at; at = strchr(at + 1, '=')) {
        if (!exists(at + 1)) continue;
        equals = at;
        break;
    }
    if (format != INPUT_HDF5 && !is_hdf5(equals + 1)) return plain;
    return (struct add_operand){equals + 1, text, (size_t)(equals - text)};
}
