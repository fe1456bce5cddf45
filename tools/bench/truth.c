/* truth.c: the true neighbours of a benchmark's queries, and how many of them an answer has.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "bench/truth.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define TRUTH_SAMPLE 16 /* queries for which the file's truth is held against an exact scan */
#define SCAN_BATCH   64 /* queries of an exact scan from one drawn progress line to the next */

/* In double precision and in the metric's own terms. The truth is computed here and not taken from
 * the library, whose answers it is to judge. */
static double distance(enum vdb_metric metric, const float *x, const float *q, uint32_t dim)
{
    double squares = 0, dot = 0, xx = 0, qq = 0;
    for (uint32_t i = 0; i < dim; i++) {
        double a = (double)x[i], b = (double)q[i];
        squares += (a - b) * (a - b);
        dot += a * b;
        xx += a * a;
        qq += b * b;
    }
    if (metric == VDB_METRIC_L2) return sqrt(squares);
    if (metric == VDB_METRIC_COSINE) return 1 - dot / sqrt(xx * qq);
    return -dot;
}

static struct input *open_dataset(const struct truth *t, const char *dataset)
{
    struct input_options how = {.format = INPUT_HDF5, .dataset = dataset};
    char message[1024];
    int status;
    return input_open(t->path, &how, &status, message, sizeof message);
}

/* `neighbors` counts rows of `train` in their order: it speaks of this index only if that holds
 * those rows, all alive, and nothing else. Its numbers come as floats, whole up to 2^24. */
static bool truth_is_ours(const struct truth *t)
{
    if (t->info->deleted != 0 || t->info->rows > 1u << 24) return false;
    struct input *train = open_dataset(t, "train");
    if (train == NULL) return false;
    bool ours = input_rows(train) == t->info->rows && input_dim(train) == t->info->dim;
    input_close(train);
    return ours;
}

/* Is what the file says of the first queries as near as an exact scan gets? It is not where the
 * index has other rows, another order or another metric. One part in a thousand, as in
 * ann-benchmarks, is for types that round what the file's truth was made from. */
static bool truth_holds(struct truth *t)
{
    struct vdb_search_options how = VDB_SEARCH_OPTIONS_INIT;
    size_t count = t->query_count < TRUTH_SAMPLE ? t->query_count : TRUTH_SAMPLE;
    how.k = t->k;
    how.exact = 1;
    how.threads = t->cli->threads;
    if (vdb_search(t->snapshot, t->queries, count, &how, t->hits, t->count, NULL) != VDB_OK)
        return false;
    for (size_t q = 0; q < count; q++) {
        double nearest = t->hits[(q + 1) * t->k - 1].distance;
        if (t->reach[q] > nearest + 1e-3 * fabs(nearest) + 1e-12) return false;
    }
    return true;
}

/* The reach of query q from the rows that the file names; false where one of them is not there. */
static bool take_truth(struct truth *t, size_t q, const struct record *rows, float *vector)
{
    if (rows->dim < t->k) return false;
    double reach = -INFINITY;
    for (uint32_t i = 0; i < t->k; i++) {
        float number = rows->vector[i];
        if (!(number >= 0 && (double)number < (double)t->info->rows)) return false;
        if (vdb_row_vector(t->snapshot, (uint32_t)number, vector, NULL) != VDB_OK) return false;
        double d = distance(t->info->metric, vector, t->queries + q * t->info->dim, t->info->dim);
        if (d > reach) reach = d;
    }
    t->reach[q] = reach;
    t->count[q] = t->k;
    return true;
}

static bool read_truth(struct truth *t)
{
    bool may_be = t->format == INPUT_AUTO || t->format == INPUT_HDF5;
    if (!may_be || strcmp(t->path, "-") == 0) return false;
    struct input *input = open_dataset(t, "neighbors");
    if (input == NULL) return false;
    float *vector = malloc(t->info->dim * sizeof *vector);
    size_t q = 0;
    if (vector != NULL && truth_is_ours(t)) {
        struct record record;
        char message[1024];
        int status;
        while (q < t->query_count &&
               input_next(input, &record, &status, message, sizeof message) == INPUT_RECORD &&
               take_truth(t, q, &record, vector))
            q++;
    }
    free(vector);
    input_close(input);
    bool ours = q == t->query_count && truth_holds(t);
    if (!ours && !t->cli->quiet)
        cli_message(t->cli, "%s: its neighbors are not those of %s: scanning instead", t->path,
                    t->cli->index);
    return ours;
}

static int scan_truth(struct truth *t)
{
    struct vdb_search_options how = VDB_SEARCH_OPTIONS_INIT;
    struct cli_progress progress = {.cli = t->cli};
    struct vdb_error err = {0};
    how.k = t->k;
    how.exact = 1;
    how.threads = t->cli->threads;
    for (size_t q = 0; q < t->query_count; q += SCAN_BATCH) {
        size_t count = t->query_count - q < SCAN_BATCH ? t->query_count - q : SCAN_BATCH;
        if (vdb_search(t->snapshot, t->queries + q * t->info->dim, count, &how, t->hits + q * t->k,
                       t->count + q, &err) != VDB_OK) {
            cli_progress_end(&progress);
            return cli_report(t->cli, &err);
        }
        cli_progress(&progress, "exact scan", q + count, t->query_count);
    }
    cli_progress_end(&progress);
    for (size_t q = 0; q < t->query_count; q++)
        t->reach[q] = t->count[q] > 0 ? t->hits[q * t->k + t->count[q] - 1].distance : -INFINITY;
    return CLI_OK;
}

int truth_find(struct truth *t)
{
    return read_truth(t) ? CLI_OK : scan_truth(t);
}

/* Room for the last digits: the truth's sums run in another order than the library's. The absolute
 * part is for cosine distances near zero, where 1 - cosine cancels. */
double truth_recall(const struct truth *t, size_t q, const struct vdb_hit *hits, uint32_t found)
{
    double limit = t->reach[q] + 1e-6 * fabs(t->reach[q]) + 1e-12;
    uint32_t within = 0;
    for (uint32_t i = 0; i < found; i++) within += hits[i].distance <= limit;
    if (t->count[q] == 0) return 1;
    return within < t->count[q] ? (double)within / t->count[q] : 1;
}
