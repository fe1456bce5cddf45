/* many_names.c: gives an index snapshots PREFIX0, PREFIX1 and so on, for tests, without a sync for
 * each.
 *
 *     many_names INDEX PREFIX COUNT
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/db.h"
#include "vdb.h"

int main(int argc, char **argv)
{
    struct vdb *db;
    struct vdb_error err;
    if (argc != 4) return 2;
    enum vdb_status status = vdb_open(argv[1], NULL, &db, &err);
    if (!status) db->unsynced = true;
    for (int i = 0; !status && i < atoi(argv[3]); i++) {
        char name[100];
        snprintf(name, sizeof name, "%s%d", argv[2], i);
        status = vdb_name_create(db, name, strlen(name), NULL, &err);
    }
    if (status) {
        fprintf(stderr, "many_names: %s\n", err.message);
        return 1;
    }
    vdb_close(db);
    return 0;
}
