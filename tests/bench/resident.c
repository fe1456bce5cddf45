/* resident.c: opens an index, searches it once, and prints the bytes then resident in this process
 * that are not pages of the index, and those that are.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vdb.h"

static int search_once(const struct vdb_snapshot *now, struct vdb_error *err)
{
    struct vdb_info info;
    vdb_snapshot_info(now, &info);
    float *query = calloc(info.dim, sizeof *query);
    if (!query) return -1;
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_hit hits[10];
    uint32_t found = 0;
    int status = vdb_row_vector(now, 0, query, err) ||
                 vdb_search(now, query, 1, &options, hits, &found, err);
    if (!status && found != 10) {
        snprintf(err->message, sizeof err->message, "%u neighbours found, not 10", found);
        status = -1;
    }
    free(query);
    return status;
}

/* A mapping begins with a line that ends in its path; what is resident of it follows on "Rss:". */
static int resident(const char *index, unsigned long *own, unsigned long *file)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    if (!maps) return -1;
    char line[8192];
    int of_index = 0;
    *own = *file = 0;
    while (fgets(line, sizeof line, maps)) {
        unsigned long begin, end, kib;
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2) {
            line[strcspn(line, "\n")] = 0;
            const char *path = strchr(line, '/');
            of_index = path && strcmp(path, index) == 0;
        } else if (sscanf(line, "Rss: %lu kB", &kib) == 1) {
            *(of_index ? file : own) += kib * 1024;
        }
    }
    fclose(maps);
    return 0;
}

int main(int argc, char **argv)
{
    char *path = argc == 2 ? realpath(argv[1], NULL) : NULL;
    if (!path) {
        fputs("usage: resident INDEX\n", stderr);
        return 2;
    }
    struct vdb_error err = {0};
    struct vdb *db;
    const struct vdb_snapshot *now;
    unsigned long own, file;
    if (vdb_open(path, NULL, &db, &err) || vdb_snapshot_open(db, &now, &err) ||
        search_once(now, &err)) {
        fprintf(stderr, "resident: %s: %s\n", path, err.message);
        return 1;
    }
    if (resident(path, &own, &file) || file == 0) {
        fprintf(stderr, "resident: %s: nothing of it in /proc/self/smaps\n", path);
        return 1;
    }
    printf("%lu %lu\n", own, file);
    vdb_snapshot_close(now);
    vdb_close(db);
    free(path);
    return 0;
}
