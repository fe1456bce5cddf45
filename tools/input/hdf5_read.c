/* hdf5_read.c: the reader of HDF5 files: a tool's end of the pipe from vdb-hdf5 read.
 *
 * libhdf5 wants a file that it can seek in. What comes through a pipe or packed by gzip is spooled
 * to a temporary file first.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "input/hdf5_pipe.h"
#include "input/reader.h"
#include "input/spool.h"

struct hdf5 {
    struct reader reader;
    char *name;
    struct hdf5_child child;
    struct source *pipe;
    bool has_ids;
    uint64_t row;
    float *vector;
    char id[HDF5_ID_MAX];
};

/* The stream broke off: what the helper said is why. */
static void broken(struct hdf5 *hdf5, struct fault *fault)
{
    source_close(hdf5->pipe); /* a helper that still writes ends by this */
    hdf5->pipe = NULL;
    if (hdf5_reap(&hdf5->child, hdf5->name, fault))
        fault_set(fault, CLI_SOFTWARE, hdf5->name, "the helper vdb-hdf5 broke off at row %" PRIu64,
                  hdf5->row);
}

/* The next `want` bytes of the pipe, or NULL with the fault set. */
static const uint8_t *take(struct hdf5 *hdf5, size_t want, struct fault *fault)
{
    size_t have;
    if (!hdf5->pipe) return NULL;
    const uint8_t *p = source_peek(hdf5->pipe, want, &have, fault);
    if (!p) return NULL;
    if (have < want) {
        broken(hdf5, fault);
        return NULL;
    }
    source_skip(hdf5->pipe, want); /* the window still holds them */
    return p;
}

static enum input_status at_end(struct hdf5 *hdf5, struct fault *fault)
{
    uint32_t mark;
    if (hdf5->child.pid == 0) return INPUT_END;
    const uint8_t *p = take(hdf5, sizeof mark, fault);
    if (!p) return INPUT_FATAL;
    memcpy(&mark, p, sizeof mark);
    if (mark == HDF5_READ_END && hdf5_reap(&hdf5->child, hdf5->name, fault)) return INPUT_END;
    if (mark != HDF5_READ_END)
        fault_set(fault, CLI_SOFTWARE, hdf5->name, "the helper vdb-hdf5 wrote nonsense");
    return INPUT_FATAL;
}

static enum input_status hdf5_next(struct reader *reader, struct record *record,
                                   struct fault *fault)
{
    struct hdf5 *hdf5 = (struct hdf5 *)reader;
    if (hdf5->row == reader->rows) return at_end(hdf5, fault);
    *record = (struct record){.vector = hdf5->vector, .dim = reader->dim, .place = hdf5->row};
    if (hdf5->has_ids) {
        uint32_t len;
        const uint8_t *p = take(hdf5, sizeof len, fault);
        if (!p) return INPUT_FATAL;
        memcpy(&len, p, sizeof len);
        if (len > sizeof hdf5->id) {
            fault_set(fault, CLI_SOFTWARE, hdf5->name, "the helper vdb-hdf5 wrote nonsense");
            return INPUT_FATAL;
        }
        p = take(hdf5, len, fault);
        if (!p) return INPUT_FATAL;
        memcpy(hdf5->id, p, len);
        record->id = hdf5->id;
        record->id_len = len;
    }
    const uint8_t *p = take(hdf5, reader->dim * sizeof(float), fault);
    if (!p) return INPUT_FATAL;
    memcpy(hdf5->vector, p, reader->dim * sizeof(float));
    hdf5->row++;
    return INPUT_RECORD;
}

static double hdf5_progress(const struct reader *reader)
{
    return reader->rows ? (double)((const struct hdf5 *)reader)->row / (double)reader->rows : 1;
}

static void hdf5_close(struct reader *reader)
{
    struct hdf5 *hdf5 = (struct hdf5 *)reader;
    hdf5_kill(&hdf5->child);
    source_close(hdf5->pipe);
    free(hdf5->vector);
    free(hdf5->name);
    free(hdf5);
}

/* ---- opening ------------------------------------------------------------------------------- */

static bool start(struct hdf5 *hdf5, int file, const struct input_options *options,
                  struct fault *fault)
{
    int ends[2];
    const char *const args[] = {"read", options->dataset ? options->dataset : "",
                                options->ids_dataset ? options->ids_dataset : "",
                                options->default_dataset ? options->default_dataset : "", NULL};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        fault_set(fault, CLI_IOERR, hdf5->name, "cannot make a pipe: %s", strerror(errno));
        return false;
    }
    bool started = hdf5_spawn(&hdf5->child, options->hdf5_helper, args, file, ends[1], hdf5->name,
                              CLI_NOINPUT, fault);
    close(ends[1]);
    if (started)
        hdf5->pipe = source_from_fd(ends[0], hdf5->name, fault);
    else
        close(ends[0]);
    return hdf5->pipe != NULL;
}

static bool read_head(struct hdf5 *hdf5, struct fault *fault)
{
    struct hdf5_read_head head;
    const uint8_t *p = take(hdf5, sizeof head, fault);
    if (!p) return false;
    memcpy(&head, p, sizeof head);
    if (memcmp(head.magic, HDF5_READ_MAGIC, sizeof head.magic) != 0 || head.dim == 0 ||
        head.dim > VDB_DIM_MAX || head.type < VDB_TYPE_F32 || head.type > VDB_TYPE_U8 ||
        head.metric > VDB_METRIC_IP) {
        fault_set(fault, CLI_SOFTWARE, hdf5->name,
                  "the helper vdb-hdf5 is not of this tool's version");
        return false;
    }
    hdf5->vector = malloc(head.dim * sizeof *hdf5->vector);
    if (!hdf5->vector) {
        fault_set(fault, CLI_IOERR, hdf5->name, "out of memory");
        return false;
    }
    hdf5->has_ids = head.has_ids != 0;
    hdf5->reader = (struct reader){.name = hdf5->name,
                                   .has_ids = hdf5->has_ids,
                                   .no_offsets = true,
                                   .dim = head.dim,
                                   .type = (enum vdb_type)head.type,
                                   .metric = (enum vdb_metric)head.metric,
                                   .rows = head.rows,
                                   .next = hdf5_next,
                                   .progress = hdf5_progress,
                                   .close = hdf5_close};
    return true;
}

struct reader *hdf5_open(struct source *source, const char *path,
                         const struct input_options *options, struct fault *fault)
{
    struct hdf5 *hdf5 = calloc(1, sizeof *hdf5);
    char *name = strdup(source_name(source));
    if (!hdf5 || !name) {
        fault_set(fault, CLI_IOERR, source_name(source), "out of memory");
        free(hdf5);
        free(name);
        source_close(source);
        return NULL;
    }
    hdf5->name = name;
    uint64_t size;
    bool in_place = strcmp(path, "-") != 0 && source_size(source, &size);
    int file = in_place ? source_descriptor(source) : spool_source(source, fault);
    bool good = file >= 0 && start(hdf5, file, options, fault); /* the helper has its own of it */
    if (!in_place && file >= 0) close(file);
    source_close(source);
    if (good && read_head(hdf5, fault)) return &hdf5->reader;
    hdf5_close(&hdf5->reader);
    return NULL;
}
