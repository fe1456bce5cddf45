/* output.c: how vdb-search writes what it found: text, JSON, ivecs or HDF5.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "search/output.h"

#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- text ---------------------------------------------------------------------------------- */

/* Distances are printed as floats, the shortest text that reads back. What a float cannot hold
 * (vectors near its own limit) is printed as the double that it is, never as "inf". */
static const char *distance_text(double distance, char text[32])
{
    if (fabs(distance) <= (double)FLT_MAX) {
        float nearest = (float)distance;
        return cli_float(nearest == 0 ? 0 : nearest, text); /* no "-0.0" for orthogonal vectors */
    }
    snprintf(text, 32, "%.17g", distance);
    return text;
}

/* JSON text on one line and in one column: raw control characters can only be space between its
 * tokens, and are left out. */
static void print_metadata(FILE *out, const char *json, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)json[i] >= 0x20) putc(json[i], out);
}

struct answer { /* one neighbour, with all that is printed of it */
    const char *query, *id;
    size_t id_len;
    uint32_t rank;
    double distance;
    char *metadata; /* NULL: none, or not asked for */
    size_t metadata_len;
};

static void print_text(FILE *out, const struct answer *a, bool with_metadata)
{
    char text[32];
    fprintf(out, "%s\t%" PRIu32 "\t", a->query, a->rank);
    fwrite(a->id, 1, a->id_len, out);
    fprintf(out, "\t%s", distance_text(a->distance, text));
    if (with_metadata) {
        putc('\t', out);
        if (a->metadata) print_metadata(out, a->metadata, a->metadata_len);
    }
    putc('\n', out);
}

static void print_json(FILE *out, const struct answer *a)
{
    char text[32];
    fputs("{\"query\":", out);
    cli_json_string(out, a->query, strlen(a->query));
    fprintf(out, ",\"rank\":%" PRIu32 ",\"id\":", a->rank);
    cli_json_string(out, a->id, a->id_len);
    fprintf(out, ",\"distance\":%s", distance_text(a->distance, text));
    if (a->metadata) {
        fputs(",\"metadata\":", out);
        print_metadata(out, a->metadata, a->metadata_len);
    }
    fputs("}\n", out);
}

enum vdb_status output_print(const struct output *o, FILE *to, const char *query,
                             const struct vdb_hit *hits, uint32_t found, struct vdb_error *err)
{
    for (uint32_t i = 0; i < found; i++) {
        struct answer a = {.query = query, .rank = i + 1, .distance = hits[i].distance};
        enum vdb_status status = vdb_row_id(o->snapshot, hits[i].row, &a.id, &a.id_len, err);
        if (status == VDB_OK && o->with_metadata)
            status = vdb_row_metadata(o->snapshot, hits[i].row, &a.metadata, &a.metadata_len, err);
        if (status != VDB_OK) return status;
        if (o->format == OUTPUT_JSON)
            print_json(to, &a);
        else
            print_text(to, &a, o->with_metadata);
        free(a.metadata);
    }
    return VDB_OK;
}

/* ---- numbers ------------------------------------------------------------------------------- */

static void fill_row(struct output *o, const struct vdb_hit *hits, uint32_t found)
{
    for (uint32_t i = 0; i < o->k; i++) {
        o->row_numbers[i] = i < found ? (int32_t)hits[i].row : -1;
        o->row_distances[i] = i < found ? (float)hits[i].distance : INFINITY;
    }
}

static void write_i32(FILE *out, int32_t value)
{
    for (int shift = 0; shift < 32; shift += 8) putc((int)((uint32_t)value >> shift & 0xff), out);
}

/* A TEXMEX row: the count k, then k row numbers. */
static void write_ivecs(const struct output *o)
{
    write_i32(o->out, (int32_t)o->k);
    for (uint32_t i = 0; i < o->k; i++) write_i32(o->out, o->row_numbers[i]);
}

int output_write_row(struct output *o, const struct vdb_hit *hits, uint32_t found)
{
    fill_row(o, hits, found);
    if (o->format == OUTPUT_IVECS) {
        write_ivecs(o);
        return ferror(o->out) ? CLI_IOERR : CLI_OK;
    }
    if (hdf5_write_row(o->writer, o->neighbors, o->row_numbers) &&
        hdf5_write_row(o->writer, o->distances, o->row_distances))
        return CLI_OK;
    o->hdf5_failed = true; /* closing it tells why */
    return CLI_IOERR;
}

static int prepare_numbers(struct output *o)
{
    struct vdb_info info;
    vdb_snapshot_info(o->snapshot, &info);
    if (o->k > INT32_MAX || info.rows > INT32_MAX) {
        cli_message(o->cli, "%s: ivecs and hdf5 hold row numbers and counts below 2^31 only",
                    o->cli->index);
        return CLI_DATA;
    }
    o->row_numbers = calloc(o->k, sizeof *o->row_numbers);
    o->row_distances = calloc(o->k, sizeof *o->row_distances);
    if (o->row_numbers && o->row_distances) return CLI_OK;
    cli_message(o->cli, "out of memory");
    return CLI_IOERR;
}

/* ---- the file ------------------------------------------------------------------------------ */

static int cannot_create(const struct output *o)
{
    cli_message(o->cli, "%s: %s", o->path, strerror(errno));
    return CLI_CANTCREAT;
}

static int open_stream(struct output *o)
{
    struct stat st;
    if (!o->path) {
        o->out = stdout;
        return CLI_OK;
    }
    if (stat(o->path, &st) == 0 && !S_ISREG(st.st_mode)) {
        o->out = fopen(o->path, "we"); /* a device or a pipe: nothing to put in its place */
        return o->out ? CLI_OK : cannot_create(o);
    }
    int fd = newfile_open(&o->file, o->path);
    if (fd < 0) return cannot_create(o);
    o->out = fdopen(fd, "w");
    if (o->out) return CLI_OK;
    close(fd);
    return cannot_create(o);
}

static int open_hdf5(struct output *o)
{
    char message[1024];
    int status = CLI_OK;
    o->writer = hdf5_write_open(o->path ? o->path : "-", NULL, &status, message, sizeof message);
    if (!o->writer) {
        cli_message(o->cli, "%s", message);
        return status;
    }
    /* What fails from here on shows when the writer is closed. */
    o->neighbors = hdf5_write_dataset(o->writer, "neighbors", HDF5_I32, o->k);
    o->distances = hdf5_write_dataset(o->writer, "distances", HDF5_F32, o->k);
    return CLI_OK;
}

int output_open(struct output *o)
{
    int status = output_is_numbers(o->format) ? prepare_numbers(o) : CLI_OK;
    if (status != CLI_OK) return status;
    return o->format == OUTPUT_HDF5 ? open_hdf5(o) : open_stream(o);
}

static int close_hdf5(struct output *o, int status)
{
    char message[1024];
    int fault = CLI_IOERR;
    if (status != CLI_OK && status != CLI_NO && !o->hdf5_failed) {
        hdf5_write_abort(o->writer);
        return status;
    }
    if (hdf5_write_close(o->writer, &fault, message, sizeof message)) return status;
    cli_message(o->cli, "%s", message);
    return fault;
}

static int close_stream(struct output *o, int status)
{
    if (!o->out) {
        newfile_discard(&o->file);
        return status;
    }
    errno = 0;
    bool failed =
        ferror(o->out) || fflush(o->out) != 0 || (o->file.open && fdatasync(fileno(o->out)) != 0);
    int error = errno;
    failed = fclose(o->out) != 0 || failed;
    if (failed) {
        cli_message(o->cli, "%s: %s", o->path, strerror(error ? error : EIO));
        status = CLI_IOERR;
    }
    bool whole = status == CLI_OK || status == CLI_NO;
    if (whole && o->file.open && !newfile_publish(&o->file)) status = cannot_create(o);
    newfile_discard(&o->file);
    return status;
}

int output_close(struct output *o, int status)
{
    if (o->writer)
        status = close_hdf5(o, status);
    else if (o->out != stdout)
        status = close_stream(o, status);
    free(o->row_numbers);
    free(o->row_distances);
    return status;
}
