/* names.c: vdb-snap's list, create and rm: the snapshots that there are.
 *
 * Wherever snapshots stand in an order it is that of their commits, then of when they were made,
 * then of their names.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "at.h"
#include "snap/snap.h"
#include "when.h"

/* ---- which there are ----------------------------------------------------------------------- */

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_names(const void *left, const void *right)
{
    const struct vdb_name *a = left, *b = right;
    if (a->commit != b->commit) return a->commit < b->commit ? -1 : 1;
    if (a->created_us != b->created_us) return a->created_us < b->created_us ? -1 : 1;
    return compare_bytes(a->name, a->name_len, b->name, b->name_len);
}

static bool begins_with(const struct vdb_name *name, const char *prefix)
{
    size_t len = strlen(prefix);
    return name->name_len >= len && memcmp(name->name, prefix, len) == 0;
}

/* Those that begin so, in their order; the caller frees *names. False: out of memory. */
static bool gather(const struct vdb_snapshot *snapshot, const char *prefix, struct vdb_name **names,
                   size_t *count)
{
    struct vdb_name name;
    size_t room = 0;
    *names = NULL;
    *count = 0;
    for (uint32_t i = 0; vdb_name_at(snapshot, i, &name) == VDB_OK; i++) {
        if (!begins_with(&name, prefix)) continue;
        if (*count == room) {
            room = 2 * room + 16;
            struct vdb_name *larger = realloc(*names, room * sizeof **names);
            if (!larger) {
                free(*names);
                *names = NULL;
                return false;
            }
            *names = larger;
        }
        (*names)[(*count)++] = name;
    }
    if (*count) qsort(*names, *count, sizeof **names, compare_names);
    return true;
}

static int no_memory(const struct snap *snap)
{
    cli_message(&snap->cli, "out of memory");
    return CLI_IOERR;
}

/* ---- list ---------------------------------------------------------------------------------- */

static void print_json(const struct vdb_name *name)
{
    char time[WHEN_TEXT_SIZE];
    fputs("{\"name\":", stdout);
    cli_json_string(stdout, name->name, name->name_len);
    printf(",\"time\":\"%s\",\"commit\":%" PRIu64, when_text(name->created_us, time), name->commit);
    printf(",\"commit_time\":\"%s\"", when_text(name->commit_time_us, time));
    printf(",\"rows\":%" PRIu64 ",\"live\":%" PRIu64 ",\"deleted\":%" PRIu64, name->rows,
           name->live, name->rows - name->live);
    fputs(",\"origin_id\":\"", stdout);
    for (size_t i = 0; i < sizeof name->origin_id; i++) printf("%02x", name->origin_id[i]);
    printf("\",\"origin_commit\":%" PRIu64 "}\n", name->origin_commit);
}

static void print_text(const struct vdb_name *name)
{
    char time[WHEN_TEXT_SIZE];
    fwrite(name->name, 1, name->name_len, stdout);
    printf("\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", when_text(name->created_us, time),
           name->commit, name->rows, name->rows - name->live);
}

int snap_list(struct snap *snap)
{
    struct vdb_name *names;
    size_t count;
    if (!gather(snap->snapshot, "", &names, &count)) return no_memory(snap);
    for (size_t i = 0; i < count; i++) (snap->json ? print_json : print_text)(&names[i]);
    free(names);
    return CLI_OK;
}

/* ---- create -------------------------------------------------------------------------------- */

/* No snapshot may be called like a commit or a time, or nobody could say which is meant. */
static void check_name(const struct snap *snap, const char *name)
{
    static const char *const read_as[] = {
        [WHEN_COMMIT] = "a commit's number", [WHEN_TIME] = "a time"};
    const struct cli *cli = &snap->cli;
    enum when_kind kind = when_parse(name).kind;
    if (*name && strspn(name, "0123456789") == strlen(name))
        kind = WHEN_COMMIT; /* or above them all */
    if (kind != WHEN_NAME)
        cli_usage_error(cli, "'%s' reads as %s: give the snapshot another name", name,
                        read_as[kind]);
    if (snap->prefix && strncmp(name, snap->prefix, strlen(snap->prefix)) != 0)
        cli_usage_error(cli, "the name '%s' does not begin with '%s' of --prefix", name,
                        snap->prefix);
}

#define NAME_ROOM (VDB_NAME_MAX + 64)
#define TRIES     1000 /* where others create in the same second */

/* The prefix and the time in UTC, with hyphens in place of the colons, so that it is a name and no
 * WHEN of another kind; from the second one of a second on, with its number. A prefix that leaves
 * no room makes a name too long, which the library refuses. */
static void make_name(const char *prefix, time_t now, unsigned number, char name[NAME_ROOM])
{
    char time[32];
    struct tm tm;
    if (gmtime_r(&now, &tm) == NULL || strftime(time, sizeof time, "%Y-%m-%dT%H-%M-%SZ", &tm) == 0)
        snprintf(time, sizeof time, "%lld", (long long)now);
    int len = snprintf(name, NAME_ROOM, "%.*s%s", VDB_NAME_MAX + 1, prefix, time);
    if (number > 1 && len < NAME_ROOM) snprintf(name + len, NAME_ROOM - (size_t)len, "-%u", number);
}

/* Behind the last of that second that is there, so that a name which was dropped in the same second
 * is not given to another state. */
static unsigned next_number(const struct vdb_snapshot *snapshot, const char *prefix, time_t now)
{
    char first[NAME_ROOM];
    struct vdb_name name;
    unsigned next = 1;
    make_name(prefix, now, 1, first);
    size_t len = strlen(first);
    for (uint32_t i = 0; vdb_name_at(snapshot, i, &name) == VDB_OK; i++) {
        if (!begins_with(&name, first)) continue;
        char suffix[8] = "";
        size_t rest = name.name_len - len;
        if (rest >= sizeof suffix) continue;
        memcpy(suffix, name.name + len, rest);
        unsigned number = suffix[0] ? 0 : 1;
        if (suffix[0] == '-') number = (unsigned)strtoul(suffix + 1, NULL, 10);
        if (number >= next) next = number + 1;
    }
    return next;
}

static enum vdb_status create(struct snap *snap, char name[NAME_ROOM], uint64_t *commit,
                              struct vdb_error *err)
{
    if (snap->operand_count > 0) {
        snprintf(name, NAME_ROOM, "%s", snap->operands[0]);
        return vdb_name_create(snap->db, name, strlen(snap->operands[0]), commit, err);
    }
    const char *prefix = snap->prefix ? snap->prefix : "";
    time_t now = time(NULL);
    for (unsigned tries = 1;; tries++) {
        make_name(prefix, now, next_number(snap->snapshot, prefix, now), name);
        enum vdb_status status = vdb_name_create(snap->db, name, strlen(name), commit, err);
        if (status != VDB_EXISTS || tries == TRIES) return status;
        status = vdb_refresh(snap->db, &snap->snapshot, err);
        if (status != VDB_OK) return status;
    }
}

/* Takes the oldest of the prefix away until `keep` are left, `most` of them at the most, and never
 * the one that was made just now, whatever the clocks say; NULL: none was. Who drops them at the
 * same time is not in the way. */
static int drop_oldest(struct snap *snap, const char *made, uint64_t keep, size_t most)
{
    struct vdb_error err = {0};
    struct vdb_name *names;
    size_t count;
    if (vdb_refresh(snap->db, &snap->snapshot, &err) != VDB_OK) return cli_report(&snap->cli, &err);
    if (!gather(snap->snapshot, snap->prefix, &names, &count)) return no_memory(snap);
    size_t left = count;
    int status = CLI_OK;
    for (size_t i = 0; i < count && left > keep && count - left < most && status == CLI_OK; i++) {
        const struct vdb_name *name = &names[i];
        if (made && compare_bytes(name->name, name->name_len, made, strlen(made)) == 0) continue;
        enum vdb_status done = vdb_name_remove(snap->db, name->name, name->name_len, &err);
        if (done != VDB_OK && done != VDB_NOT_FOUND)
            status = cli_report(&snap->cli, &err);
        else if (snap->cli.verbose)
            cli_message(&snap->cli, "%s: dropped %.*s", snap->cli.index, (int)name->name_len,
                        name->name);
        left--;
    }
    free(names);
    return status;
}

static void print_made(const struct snap *snap, const char *name, uint64_t commit)
{
    if (!snap->json) {
        puts(name);
        return;
    }
    fputs("{\"name\":", stdout);
    cli_json_string(stdout, name, strlen(name));
    printf(",\"commit\":%" PRIu64 "}\n", commit);
}

int snap_create(struct snap *snap)
{
    char name[NAME_ROOM], said[NAME_ROOM + 32];
    uint64_t commit;
    struct vdb_error err = {0};
    if (snap->operand_count > 0) check_name(snap, snap->operands[0]);
    cli_note_signals("the snapshot is made or it is not");
    enum vdb_status done = create(snap, name, &commit, &err);
    if (done == VDB_LIMIT && snap->keep) { /* one that is to go makes room */
        int failed = drop_oldest(snap, NULL, snap->keep - 1, 1);
        if (failed) {
            cli_release_signals();
            return failed;
        }
        done = create(snap, name, &commit, &err);
    }
    if (done != VDB_OK) {
        int failed = cli_report(&snap->cli, &err);
        cli_release_signals();
        return done == VDB_INVALID ? CLI_USAGE : failed;
    }
    snprintf(said, sizeof said, "the snapshot %s is made", name);
    cli_at_signal(NULL, said);
    int status = snap->keep ? drop_oldest(snap, name, snap->keep, SIZE_MAX) : CLI_OK;
    cli_release_signals();
    print_made(snap, name, commit);
    return status;
}

/* ---- rm ------------------------------------------------------------------------------------ */

int snap_rm(struct snap *snap)
{
    int status = CLI_OK;
    cli_note_signals("each of the snapshots is gone or there");
    for (int i = 0; i < snap->operand_count; i++) {
        const char *name = snap->operands[i];
        struct vdb_error err = {0};
        enum vdb_status done = vdb_name_remove(snap->db, name, strlen(name), &err);
        if (done == VDB_NOT_FOUND || done == VDB_INVALID) {
            vdb_refresh(snap->db, &snap->snapshot, NULL); /* or those that there were are told */
            status = at_unknown(&snap->cli, snap->snapshot, name, NULL);
        } else if (done != VDB_OK) {
            status = cli_report(&snap->cli, &err);
            break;
        }
    }
    cli_release_signals();
    return status;
}
