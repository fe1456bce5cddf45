/* centroids.c: the centroids that vdb-compact is to build lists around, from a file of vectors.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "compact/centroids.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "input/input.h"

struct reading {
    const struct cli *cli;
    const char *name; /* of the input, for messages */
    const struct vdb_info *info;
    struct centroids *centroids;
    uint32_t room; /* vectors that there is room for */
};

static int grow(struct reading *r)
{
    struct centroids *c = r->centroids;
    if (c->count < r->room) return CLI_OK;
    uint32_t room = r->room ? 2 * r->room : 256;
    float *vectors = realloc(c->vectors, room * (r->info->dim * sizeof *vectors));
    if (!vectors) {
        cli_message(r->cli, "out of memory");
        return CLI_IOERR;
    }
    c->vectors = vectors;
    r->room = room;
    return CLI_OK;
}

static int take(struct reading *r, const struct input *input, const struct record *record)
{
    struct centroids *c = r->centroids;
    uint32_t dim = r->info->dim;
    if (record->dim != dim) {
        cli_message(r->cli,
                    "%s%s%" PRIu64 ": vector has %" PRIu32 " dimensions, index %s has %" PRIu32,
                    r->name, input_is_text(input) ? ":" : ": row ", record->place, record->dim,
                    r->cli->index, dim);
        return CLI_DATA;
    }
    if (c->count == r->info->live) {
        cli_message(r->cli, "%s: more centroids than the %" PRIu64 " live rows of %s", r->name,
                    r->info->live, r->cli->index);
        return CLI_DATA;
    }
    int status = grow(r);
    if (status != CLI_OK) return status;
    memcpy(c->vectors + (size_t)c->count * dim, record->vector, dim * sizeof *c->vectors);
    c->count++;
    return CLI_OK;
}

static int read_all(struct reading *r, struct input *input)
{
    char message[1024];
    struct record record;
    enum input_status next = INPUT_RECORD;
    int status = CLI_OK;
    while (status == CLI_OK && next == INPUT_RECORD) {
        next = input_next(input, &record, &status, message, sizeof message);
        if (next == INPUT_RECORD) status = take(r, input, &record);
    }
    if (next == INPUT_BAD || next == INPUT_FATAL) {
        cli_message(r->cli, "%s", message);
        return next == INPUT_BAD ? CLI_DATA : status;
    }
    if (status == CLI_OK && r->centroids->count == 0) {
        cli_message(r->cli, "%s: no vector in it", r->name);
        return CLI_DATA;
    }
    return status;
}

int centroids_read(const struct cli *cli, const char *path, const struct vdb_info *info,
                   struct centroids *centroids)
{
    const struct input_options how = {
        .default_dataset = "train",
        .ids_optional = true,
        .any_dim = true,
    };
    struct reading r = {
        .cli = cli,
        .name = strcmp(path, "-") == 0 ? "standard input" : path,
        .info = info,
        .centroids = centroids,
    };
    char message[1024];
    int status = CLI_DATA;
    struct input *input = input_open(path, &how, &status, message, sizeof message);
    if (!input) {
        cli_message(cli, "%s", message);
        return status;
    }
    status = read_all(&r, input);
    input_close(input);
    return status;
}

void centroids_release(struct centroids *centroids)
{
    free(centroids->vectors);
    *centroids = (struct centroids){0};
}
