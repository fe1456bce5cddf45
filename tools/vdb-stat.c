/* vdb-stat.c: what is in an index and how healthy it is, as text, JSON or Prometheus gauges.
 *
 * Everything comes from one look at the file, so the figures fit each other while writers go on.
 * What depends on the machine and not on the file (the kernel set) is no result and goes to stderr.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "at.h"
#include "cli.h"
#include "policy.h"
#include "upkeep.h"
#include "vdb.h"
#include "when.h"

enum { OPT_AT = 1, OPT_JSON, OPT_PROMETHEUS };

static const struct cli_option options[] = {
    {"at", 0, "WHEN", "of the rows, as of that snapshot, commit or time", OPT_AT},
    {"json", 0, NULL, "print one JSON object", OPT_JSON},
    {"prometheus", 0, NULL, "print gauges in the Prometheus text format", OPT_PROMETHEUS},
    {NULL, 0, NULL, NULL, 0},
};

struct stat_tool {
    struct vdb_locks locks;
    char maintainer[64];
    bool json, prometheus;
    const char *path, *at;                    /* at: NULL: now */
    const struct vdb_snapshot *newest, *past; /* past: the one that --at asks for, or NULL */
    const struct vdb_snapshot *snapshot;      /* past, or newest */
    struct vdb_info info;                     /* of it */
    bool compaction_due;
    uint32_t names; /* how many there are */
};

static void take(struct cli *cli, void *context, int id, const char *value)
{
    struct stat_tool *tool = context;
    if (id == OPT_AT) {
        at_check(cli, "--at", value);
        tool->at = value;
    }
    if (id == OPT_JSON) tool->json = true;
    if (id == OPT_PROMETHEUS) tool->prometheus = true;
}

static const char *metric_name(enum vdb_metric metric)
{
    return metric == VDB_METRIC_COSINE ? "cosine" : metric == VDB_METRIC_IP ? "ip" : "l2";
}

static const char *type_name(enum vdb_type type)
{
    static const char *const names[] = {"?", "f32", "f16", "i8", "u8"};
    return (size_t)type < sizeof names / sizeof *names ? names[type] : names[0];
}

static const char *kind_name(enum vdb_index_kind kind)
{
    static const char *const names[] = {"auto", "flat", "graph", "hnsw", "ivf", "hybrid"};
    return (size_t)kind < sizeof names / sizeof *names ? names[kind] : "?";
}

static const char *codes_name(enum vdb_codes codes)
{
    static const char *const names[] = {"auto", "none", "i8", "i4", "pq", "b1"};
    return (size_t)codes < sizeof names / sizeof *names ? names[codes] : names[0];
}

/* Flat parts have none. */
static bool has_codes(const struct vdb_part_info *part)
{
    return part->codes != VDB_CODES_AUTO;
}

static double code_share(const struct stat_tool *tool, const struct vdb_part_info *part)
{
    return (double)(part->code_bytes + part->ivf_bytes) / (double)tool->info.file_bytes;
}

#define USUAL_K      10 /* as vdb-search has them without options */
#define USUAL_RECALL 0.95

/* "-" for 0, which stands for a time that was not recorded. */
static const char *time_text(int64_t us, char text[WHEN_TEXT_SIZE])
{
    return us == 0 ? "-" : when_text(us, text);
}

static void print_json_time(const char *key, int64_t us)
{
    char text[WHEN_TEXT_SIZE];
    if (us == 0)
        printf(",\"%s\":null", key);
    else
        printf(",\"%s\":\"%s\"", key, time_text(us, text));
}

static const char *file_id_text(const uint8_t id[16], char text[33])
{
    for (int i = 0; i < 16; i++) snprintf(text + 2 * i, 3, "%02x", id[i]);
    return text;
}

static void print_lists_text(uint32_t number, const struct vdb_part_info *part)
{
    printf("lists\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32 "\t%.1f\t%" PRIu32 "\t%.1f\t%.2f\n", number,
           part->lists, part->list_rows_min, part->list_rows_mean, part->list_rows_max,
           part->list_rows_deviation, part->imbalance);
    printf("ivf\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32 "\t%s\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32
           "\n",
           number, part->code_dim, 4 / part->sub_dim, part->spilled ? "spilled" : "single",
           part->survivors[0], part->survivors[1], part->survivors[2]);
}

#define COST_ROOM 24

static const char *cost_text(double nanoseconds, const char *unknown, char text[COST_ROOM])
{
    if (nanoseconds <= 0) return unknown;
    snprintf(text, COST_ROOM, "%.0f", nanoseconds);
    return text;
}

/* `none` where searches compare all rows of the part. */
static const char *effort_text(const struct stat_tool *tool, uint32_t part, const char *none,
                               char text[COST_ROOM])
{
    uint32_t effort = 0;
    vdb_part_effort(tool->snapshot, part, USUAL_K, USUAL_RECALL, &effort);
    if (effort == 0) return none;
    snprintf(text, COST_ROOM, "%" PRIu32, effort);
    return text;
}

/* Something is known of why the part has its index. */
static bool has_why(const struct vdb_part_info *part)
{
    return part->dimension > 0 || part->cost > 0 || part->rival != VDB_INDEX_AUTO;
}

static void print_why_text(uint32_t number, const struct vdb_part_info *part)
{
    char own[COST_ROOM], rival[COST_ROOM];
    printf("why\t%" PRIu32 "\t%.2f\t%.2f\t%s\t%s", number, part->dimension, part->hubness,
           kind_name(part->kind), cost_text(part->cost, "-", own));
    printf("\t%s\t%s\n", part->rival ? kind_name(part->rival) : "-",
           cost_text(part->rival_cost, "-", rival));
}

static void print_part_text(const struct stat_tool *tool, uint32_t number,
                            const struct vdb_part_info *part)
{
    struct vdb_calibration_point point;
    char oldest[WHEN_TEXT_SIZE], newest[WHEN_TEXT_SIZE], cost[COST_ROOM];
    printf("part\t%" PRIu32 "\t%s\t%" PRIu64 "\t%" PRIu64 "\n", number, kind_name(part->kind),
           part->row_end - part->row_begin, part->bytes);
    if (part->newest_us)
        printf("part_times\t%" PRIu32 "\t%s\t%s\n", number, time_text(part->oldest_us, oldest),
               time_text(part->newest_us, newest));
    if (has_codes(part))
        printf("part_codes\t%" PRIu32 "\t%s\t%" PRIu32 "\t%.4f\n", number, codes_name(part->codes),
               part->row_code_bytes, code_share(tool, part));
    if (part->levels)
        printf("hnsw\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32 "\n", number, part->degree / 2,
               part->levels);
    if (part->lists) print_lists_text(number, part);
    if (has_why(part)) print_why_text(number, part);
    for (uint32_t i = 0; vdb_part_calibration(tool->snapshot, number, i, &point) == VDB_OK; i++)
        printf("calibration\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32 "\t%.4f\t%.4f\t%.4f\t%s\n", number,
               point.k, point.effort, point.recall, point.p5, point.zero,
               cost_text(point.cost, "-", cost));
    if (part->kind != VDB_INDEX_FLAT)
        printf("effort\t%" PRIu32 "\t%d\t%.2f\t%s\n", number, USUAL_K, USUAL_RECALL,
               effort_text(tool, number, "-", cost));
}

static void print_policy_text(const struct vdb_info *info)
{
    char text[16];
    if (info->recent_rows) printf("recent_rows\t%" PRIu64 "\n", info->recent_rows);
    if (info->recent_seconds) printf("recent_seconds\t%" PRIu64 "\n", info->recent_seconds);
    if (info->quiet_begin != info->quiet_end)
        printf("quiet_hours\t%s\n", policy_quiet_text(info->quiet_begin, info->quiet_end, text));
}

static void print_policy_json(const struct vdb_info *info)
{
    char text[16];
    if (info->recent_rows) printf(",\"recent_rows\":%" PRIu64, info->recent_rows);
    if (info->recent_seconds) printf(",\"recent_seconds\":%" PRIu64, info->recent_seconds);
    if (info->quiet_begin != info->quiet_end)
        printf(",\"quiet_hours\":\"%s\"",
               policy_quiet_text(info->quiet_begin, info->quiet_end, text));
}

/* What maintenance is doing, or would do. */
static const char *maintenance(const struct stat_tool *tool)
{
    if (tool->locks.maintaining) return "running";
    return vdb_maintain_wanted(tool->newest, NULL) ? "wanted" : "none";
}

/* At least, since deleted rows may go as well. */
static uint64_t reclaimable(const struct vdb_info *info)
{
    return info->file_bytes > info->used_bytes ? info->file_bytes - info->used_bytes : 0;
}

/* ---- snapshots: in the columns of vdb-snap's list ------------------------------------------ */

static void print_names_text(const struct stat_tool *tool)
{
    struct vdb_name name;
    char text[WHEN_TEXT_SIZE];
    printf("snapshots\t%" PRIu32 "\n", tool->names);
    for (uint32_t i = 0; vdb_name_at(tool->newest, i, &name) == VDB_OK; i++)
        printf("snapshot\t%.*s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", (int)name.name_len,
               name.name, when_text(name.created_us, text), name.commit, name.rows,
               name.rows - name.live);
}

static void print_names_json(const struct stat_tool *tool)
{
    struct vdb_name name;
    char text[WHEN_TEXT_SIZE];
    fputs(",\"snapshots\":[", stdout);
    for (uint32_t i = 0; vdb_name_at(tool->newest, i, &name) == VDB_OK; i++) {
        fputs(i ? ",{\"name\":" : "{\"name\":", stdout);
        cli_json_string(stdout, name.name, name.name_len);
        printf(",\"time\":\"%s\",\"commit\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"deleted\":%" PRIu64
               "}",
               when_text(name.created_us, text), name.commit, name.rows, name.rows - name.live);
    }
    putchar(']');
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void print_text(const struct stat_tool *tool)
{
    const struct vdb_info *info = &tool->info;
    char text[WHEN_TEXT_SIZE];
    printf("format\t%" PRIu32 ".%" PRIu32 "\n", info->format_major, info->format_minor);
    printf("file_id\t%s\n", file_id_text(info->file_id, text));
    printf("file_bytes\t%" PRIu64 "\n", info->file_bytes);
    printf("used_bytes\t%" PRIu64 "\n", info->used_bytes);
    printf("created\t%s\n", time_text(info->created_us, text));
    printf("dim\t%" PRIu32 "\n", info->dim);
    printf("metric\t%s\n", metric_name(info->metric));
    printf("type\t%s\n", type_name(info->type));
    printf("index\t%s\n", kind_name(info->index));
    printf("codes\t%s\n", codes_name(info->codes));
    print_policy_text(info);
    printf("rows\t%" PRIu64 "\n", info->rows);
    printf("live\t%" PRIu64 "\n", info->live);
    printf("deleted\t%" PRIu64 "\n", info->deleted);
    printf("commit\t%" PRIu64 "\n", info->commit);
    printf("commit_time\t%s\n", time_text(info->commit_time_us, text));
    printf("oldest_commit\t%" PRIu64 "\n", info->oldest_commit);
    print_names_text(tool);
    printf("parts\t%" PRIu32 "\n", info->parts);
    for (uint32_t i = 0; i < info->parts; i++) {
        struct vdb_part_info part;
        if (vdb_part_info(tool->snapshot, i, &part) != VDB_OK) continue;
        print_part_text(tool, i, &part);
    }
    printf("tail_rows\t%" PRIu64 "\n", info->tail_rows);
    printf("maintenance\t%s%s%s\n", maintenance(tool), tool->maintainer[0] ? "\t" : "",
           tool->maintainer);
    printf("compaction\t%s\t%" PRIu64 "\n", tool->compaction_due ? "due" : "none",
           reclaimable(info));
}

static void print_calibration_json(const struct stat_tool *tool, uint32_t part)
{
    struct vdb_calibration_point point;
    char cost[COST_ROOM];
    fputs(",\"calibration\":[", stdout);
    for (uint32_t i = 0; vdb_part_calibration(tool->snapshot, part, i, &point) == VDB_OK; i++)
        printf("%s{\"k\":%" PRIu32 ",\"effort\":%" PRIu32 ",\"recall\":%.6f,\"error\":%.6f"
               ",\"p5_recall\":%.6f,\"p5_error\":%.6f,\"zero_share\":%.6f,\"cost\":%s}",
               i ? "," : "", point.k, point.effort, point.recall, point.error, point.p5,
               point.p5_error, point.zero, cost_text(point.cost, "null", cost));
    putchar(']');
}

static void print_why_json(const struct vdb_part_info *part)
{
    char own[COST_ROOM], rival[COST_ROOM];
    printf(",\"why\":{\"dimension\":%.3f,\"hubness\":%.3f,\"kind\":\"%s\",\"cost\":%s",
           part->dimension, part->hubness, kind_name(part->kind),
           cost_text(part->cost, "null", own));
    if (part->rival)
        printf(",\"rival\":\"%s\"", kind_name(part->rival));
    else
        fputs(",\"rival\":null", stdout);
    printf(",\"rival_cost\":%s}", cost_text(part->rival_cost, "null", rival));
}

static void print_lists_json(const struct vdb_part_info *part)
{
    printf(",\"lists\":%" PRIu32 ",\"list_rows\":{\"min\":%" PRIu32
           ",\"mean\":%.6f,\"max\":%" PRIu32 ",\"deviation\":%.6f},\"imbalance\":%.6f",
           part->lists, part->list_rows_min, part->list_rows_mean, part->list_rows_max,
           part->list_rows_deviation, part->imbalance);
    printf(",\"code_dim\":%" PRIu32 ",\"code_bits\":%" PRIu32
           ",\"spilled\":%s,\"survivors\":[%" PRIu32 ",%" PRIu32 ",%" PRIu32 "]",
           part->code_dim, 4 / part->sub_dim, part->spilled ? "true" : "false", part->survivors[0],
           part->survivors[1], part->survivors[2]);
}

static void print_part_json(const struct stat_tool *tool, uint32_t number,
                            const struct vdb_part_info *part)
{
    char text[COST_ROOM];
    printf("{\"kind\":\"%s\",\"row_begin\":%" PRIu64 ",\"row_end\":%" PRIu64 ",\"rows\":%" PRIu64
           ",\"bytes\":%" PRIu64,
           kind_name(part->kind), part->row_begin, part->row_end, part->row_end - part->row_begin,
           part->bytes);
    printf(",\"vector_bytes\":%" PRIu64 ",\"code_bytes\":%" PRIu64 ",\"graph_bytes\":%" PRIu64
           ",\"ivf_bytes\":%" PRIu64 ",\"id_bytes\":%" PRIu64 ",\"metadata_bytes\":%" PRIu64,
           part->vector_bytes, part->code_bytes, part->graph_bytes, part->ivf_bytes, part->id_bytes,
           part->metadata_bytes);
    print_json_time("oldest", part->oldest_us);
    print_json_time("newest", part->newest_us);
    if (part->degree) printf(",\"degree\":%" PRIu32, part->degree);
    if (part->levels)
        printf(",\"m\":%" PRIu32 ",\"levels\":%" PRIu32, part->degree / 2, part->levels);
    if (part->lists) print_lists_json(part);
    if (has_codes(part))
        printf(",\"codes\":\"%s\",\"row_code_bytes\":%" PRIu32
               ",\"code_share\":%.4f,\"rotated\":%s",
               codes_name(part->codes), part->row_code_bytes, code_share(tool, part),
               part->rotated ? "true" : "false");
    if (has_why(part)) print_why_json(part);
    if (part->kind != VDB_INDEX_FLAT) {
        printf(",\"effort\":%s", effort_text(tool, number, "null", text));
        print_calibration_json(tool, number);
    }
    printf(",\"codes_are_vectors\":%s}", part->codes_are_vectors ? "true" : "false");
}

static void print_json(const struct stat_tool *tool)
{
    const struct vdb_info *info = &tool->info;
    char text[WHEN_TEXT_SIZE];
    printf("{\"format\":\"%" PRIu32 ".%" PRIu32 "\"", info->format_major, info->format_minor);
    printf(",\"file_id\":\"%s\"", file_id_text(info->file_id, text));
    printf(",\"file_bytes\":%" PRIu64 ",\"used_bytes\":%" PRIu64, info->file_bytes,
           info->used_bytes);
    print_json_time("created", info->created_us);
    printf(",\"dim\":%" PRIu32 ",\"metric\":\"%s\",\"type\":\"%s\",\"index\":\"%s\"", info->dim,
           metric_name(info->metric), type_name(info->type), kind_name(info->index));
    printf(",\"codes\":\"%s\"", codes_name(info->codes));
    print_policy_json(info);
    printf(",\"rows\":%" PRIu64 ",\"live\":%" PRIu64 ",\"deleted\":%" PRIu64, info->rows,
           info->live, info->deleted);
    printf(",\"commit\":%" PRIu64, info->commit);
    print_json_time("commit_time", info->commit_time_us);
    printf(",\"oldest_commit\":%" PRIu64, info->oldest_commit);
    print_names_json(tool);
    printf(",\"parts\":[");
    const char *comma = "";
    for (uint32_t i = 0; i < info->parts; i++) {
        struct vdb_part_info part;
        if (vdb_part_info(tool->snapshot, i, &part) != VDB_OK) continue;
        fputs(comma, stdout);
        print_part_json(tool, i, &part);
        comma = ",";
    }
    printf("],\"tail_rows\":%" PRIu64, info->tail_rows);
    printf(",\"maintenance\":\"%s\",\"maintainer\":", maintenance(tool));
    if (tool->maintainer[0])
        cli_json_string(stdout, tool->maintainer, strlen(tool->maintainer));
    else
        fputs("null", stdout);
    printf(",\"compaction\":\"%s\",\"reclaimable_bytes\":%" PRIu64 "}\n",
           tool->compaction_due ? "due" : "none", reclaimable(info));
}

/* The label's value as the text format wants it: backslash, quote and newline escaped. */
static void print_label(const char *path)
{
    fputs("index=\"", stdout);
    for (; *path != '\0'; path++) {
        if (*path == '\n') {
            fputs("\\n", stdout);
        } else {
            if (*path == '\\' || *path == '"') putchar('\\');
            putchar(*path);
        }
    }
    putchar('"');
}

static void print_head(const char *name, const char *help)
{
    printf("# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static void print_gauge(const struct stat_tool *tool, const char *name, const char *help,
                        uint64_t value)
{
    print_head(name, help);
    printf("%s{", name);
    print_label(tool->path);
    printf("} %" PRIu64 "\n", value);
}

static void print_part_gauges(const struct stat_tool *tool, const char *name, const char *help,
                              bool bytes)
{
    if (tool->info.parts == 0) return;
    print_head(name, help);
    for (uint32_t i = 0; i < tool->info.parts; i++) {
        struct vdb_part_info part;
        if (vdb_part_info(tool->snapshot, i, &part) != VDB_OK) continue;
        printf("%s{", name);
        print_label(tool->path);
        printf(",part=\"%" PRIu32 "\",kind=\"%s\"} %" PRIu64 "\n", i, kind_name(part.kind),
               bytes ? part.bytes : part.row_end - part.row_begin);
    }
}

/* Those of parts with codes; without one, not even the head. */
static void print_code_gauges(const struct stat_tool *tool, const char *name, const char *help,
                              bool a_row)
{
    bool headed = false;
    for (uint32_t i = 0; i < tool->info.parts; i++) {
        struct vdb_part_info part;
        if (vdb_part_info(tool->snapshot, i, &part) != VDB_OK || !has_codes(&part)) continue;
        if (!headed) print_head(name, help);
        headed = true;
        printf("%s{", name);
        print_label(tool->path);
        printf(",part=\"%" PRIu32 "\",codes=\"%s\"} %" PRIu64 "\n", i, codes_name(part.codes),
               a_row ? part.row_code_bytes : part.code_bytes + part.ivf_bytes);
    }
}

static void print_prometheus(const struct stat_tool *tool)
{
    const struct vdb_info *info = &tool->info;
    print_gauge(tool, "vdb_file_bytes", "Length of the index file.", info->file_bytes);
    print_gauge(tool, "vdb_used_bytes", "Bytes of the file that its newest commit needs.",
                info->used_bytes);
    print_gauge(tool, "vdb_dim", "Numbers in a vector.", info->dim);
    print_gauge(tool, "vdb_rows", "Rows in the file, deleted ones included.", info->rows);
    print_gauge(tool, "vdb_live_rows", "Rows that searches can find.", info->live);
    print_gauge(tool, "vdb_deleted_rows", "Deleted rows that the file still has.", info->deleted);
    print_gauge(tool, "vdb_tail_rows", "Rows that no part covers yet.", info->tail_rows);
    print_gauge(tool, "vdb_maintenance_running", "1 while a process builds parts or compacts.",
                (uint64_t)tool->locks.maintaining);
    print_gauge(tool, "vdb_maintenance_wanted", "1 where the rows of the log want an index part.",
                (uint64_t)vdb_maintain_wanted(tool->newest, NULL));
    print_gauge(tool, "vdb_compaction_due", "1 where vdb-compact --if-needed would compact.",
                tool->compaction_due);
    print_gauge(tool, "vdb_parts", "Parts that the rows are indexed in.", info->parts);
    print_part_gauges(tool, "vdb_part_rows", "Rows of a part.", false);
    print_part_gauges(tool, "vdb_part_bytes", "Bytes of a part's segments.", true);
    print_code_gauges(tool, "vdb_part_code_bytes", "Bytes of a part's code or ivf segment.", false);
    print_code_gauges(tool, "vdb_part_row_code_bytes",
                      "Bytes of code that a row is compared by first.", true);
    print_gauge(tool, "vdb_snapshots", "Commits that have a name.", tool->names);
    print_gauge(tool, "vdb_oldest_commit", "Oldest commit that can be gone back to.",
                info->oldest_commit);
    print_gauge(tool, "vdb_commit", "Number of the newest commit.", info->commit);
    print_head("vdb_commit_time_seconds", "Time of the newest commit, in seconds since 1970.");
    fputs("vdb_commit_time_seconds{", stdout);
    print_label(tool->path);
    int64_t us = info->commit_time_us;
    printf("} %s%" PRId64 ".%06d\n", us < 0 && us > -1000000 ? "-" : "", us / 1000000,
           (int)(us % 1000000 < 0 ? -(us % 1000000) : us % 1000000));
}

/* --at asks for other rows, not for another file: what is said of that is as of now. */
static int look(struct stat_tool *tool, const struct cli *cli, struct vdb *db)
{
    struct vdb_name name;
    struct vdb_error err = {0};
    int status = at_open(cli, db, NULL, &tool->newest);
    if (status == CLI_OK && tool->at) status = at_past(cli, tool->newest, tool->at, &tool->past);
    if (status != CLI_OK) return status;
    tool->snapshot = tool->past ? tool->past : tool->newest;
    struct vdb_info now;
    vdb_snapshot_info(tool->newest, &now);
    vdb_snapshot_info(tool->snapshot, &tool->info);
    tool->info.file_bytes = now.file_bytes;
    tool->info.used_bytes = now.used_bytes;
    tool->info.oldest_commit = now.oldest_commit;
    while (vdb_name_at(tool->newest, tool->names, &name) == VDB_OK) tool->names++;
    if (vdb_locks(db, &tool->locks, &err) != VDB_OK ||
        (tool->locks.maintaining && vdb_maintainer(db, tool->maintainer, &err) != VDB_OK))
        return cli_report(cli, &err);
    if (upkeep_compaction_due(tool->newest, NULL, &tool->compaction_due, &err) != VDB_OK)
        return cli_report(cli, &err);
    return CLI_OK;
}

int main(int argc, char **argv)
{
    struct cli cli = {
        .tool = "vdb-stat",
        .usage = "[options] INDEX",
        .summary = "Tells what is in an index and how healthy it is.",
        .options = options,
        .threads_help = CLI_ONE_THREAD,
    };
    struct stat_tool tool = {0};
    cli_parse(&cli, argc, argv, take, &tool);
    if (cli.operand_count > 0) cli_usage_error(&cli, "one INDEX and no more");
    if (tool.json && tool.prometheus) cli_usage_error(&cli, "--json or --prometheus, not both");

    int status = CLI_OK;
    struct vdb *db = cli_open(&cli, cli.index, true, &status);
    if (db == NULL) return status;
    tool.path = cli.index;
    status = look(&tool, &cli, db);
    if (status == CLI_OK && cli.verbose) cli_message(&cli, "kernel set %s", tool.info.isa);
    if (status == CLI_OK)
        (tool.json ? print_json : tool.prometheus ? print_prometheus : print_text)(&tool);
    vdb_snapshot_close(tool.past);
    vdb_snapshot_close(tool.newest);
    vdb_close(db);
    return cli_finish(&cli, status);
}
