/* delimited.c: text with an id and numbers a line: tsv, csv, word2vec.
 *
 * tsv: fields between tabs. csv: fields between commas, quoted as RFC 4180 has it, but for line
 * breaks within quotes, which an id cannot hold. word2vec: a word and numbers between runs of
 * spaces; a first line of two whole numbers announces rows and dimensions, and is held to it.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "input/floats.h"
#include "input/lines.h"
#include "input/number.h"
#include "input/reader.h"
#include "input/text.h"

struct delimited {
    struct reader reader;
    struct lines lines;
    enum input_format format;
    char separator;
    struct floats vector;
    char *unquoted; /* a csv id that was written in quotes */
    size_t unquoted_size;
    bool announced; /* word2vec: there is a count line */
    bool held;      /* and a vector has shown it to tell the dimension truly */
    uint64_t read;
};

/* A line being read; `column` counts fields from 1. */
struct fields {
    struct delimited *file;
    const char *line;
    size_t at, len;
    unsigned column;
    struct fault *fault;
};

static bool fail(const struct fields *f, const char *what)
{
    const struct lines *lines = &f->file->lines;
    fault_line(f->fault, source_name(lines->source), lines->number, "column %u: %s", f->column,
               what);
    return false;
}

static void skip_blanks(struct fields *f)
{
    while (f->at < f->len && (f->line[f->at] == ' ' || f->line[f->at] == '\t')) f->at++;
}

/* Reads an id in quotes, "" within it standing for one quote. */
static bool take_quoted_id(struct fields *f, struct record *record)
{
    struct delimited *file = f->file;
    if (file->unquoted_size < f->len) {
        free(file->unquoted);
        file->unquoted = malloc(f->len);
        file->unquoted_size = file->unquoted ? f->len : 0;
        if (!file->unquoted) return fail(f, "out of memory");
    }
    size_t n = 0;
    for (f->at++; f->at < f->len; f->at++) {
        if (f->line[f->at] == '"') {
            f->at++;
            if (f->at >= f->len || f->line[f->at] != '"') {
                record->id = file->unquoted;
                record->id_len = n;
                if (f->at == f->len || f->line[f->at] == ',') return true;
                return fail(f, "expected ',' behind the closing quote");
            }
        }
        file->unquoted[n++] = f->line[f->at];
    }
    return fail(f, "the quote is not closed on this line");
}

static bool take_id(struct fields *f, struct record *record)
{
    f->column = 1;
    if (f->file->format == INPUT_CSV && f->len > 0 && f->line[0] == '"')
        return take_quoted_id(f, record);
    const char *end = memchr(f->line, f->file->separator, f->len);
    if (f->file->format == INPUT_WORD2VEC) {
        const char *tab = memchr(f->line, '\t', end ? (size_t)(end - f->line) : f->len);
        if (tab) end = tab;
    }
    f->at = end ? (size_t)(end - f->line) : f->len;
    record->id = f->line;
    record->id_len = f->at;
    return true;
}

/* Stands at a separator; passes over it. False at the line's end. */
static bool next_field(struct fields *f)
{
    if (f->at >= f->len) return false;
    if (f->file->format == INPUT_WORD2VEC) {
        skip_blanks(f);
        if (f->at >= f->len) return false;
    } else {
        f->at++;
    }
    f->column++;
    return true;
}

static bool at_separator(const struct fields *f)
{
    if (f->at >= f->len) return true;
    char c = f->line[f->at];
    return c == f->file->separator || (f->file->format == INPUT_WORD2VEC && c == '\t');
}

static bool take_number(struct fields *f, float *value)
{
    bool csv = f->file->format == INPUT_CSV;
    size_t begin = f->at, used;
    if (csv) skip_blanks(f);
    bool quoted = csv && f->at < f->len && f->line[f->at] == '"';
    f->at += quoted;
    enum number_status status = number_parse(f->line + f->at, f->len - f->at, false, value, &used);
    f->at += used;
    if (quoted && f->at < f->len && f->line[f->at] == '"')
        f->at++;
    else if (quoted)
        status = NUMBER_NOT;
    if (csv) skip_blanks(f);
    if (!at_separator(f)) status = NUMBER_NOT;
    if (status == NUMBER_OK) return true;

    while (!at_separator(f)) f->at++;
    char what[QUOTE_SIZE + 64], text[QUOTE_SIZE];
    snprintf(what, sizeof what, "'%s' %s", quote(text, f->line + begin, f->at - begin),
             number_fault(status));
    return fail(f, what);
}

static bool take_vector(struct fields *f)
{
    struct floats *vector = &f->file->vector;
    vector->count = 0;
    while (next_field(f)) {
        float value = 0;
        if (!take_number(f, &value)) return false;
        switch (floats_add(vector, value)) {
        case FLOATS_OK:
            break;
        case FLOATS_FULL:
            return fail(f, "the vector has more than 65535 dimensions");
        case FLOATS_NO_MEMORY:
            return fail(f, "out of memory");
        }
    }
    return vector->count > 0 || fail(f, "no numbers stand behind the id");
}

/* The end of word2vec's file is where its count line is held to its word. */
static enum input_status at_end(const struct delimited *file, struct fault *fault)
{
    if (!file->announced || file->read == file->reader.rows) return INPUT_END;
    fault_set(fault, CLI_DATA, file->reader.name,
              "the first line announces %" PRIu64 " vectors, %" PRIu64 " are there",
              file->reader.rows, file->read);
    return INPUT_FATAL;
}

/* A count line that does not tell the first vector's dimension is the one that is wrong: it would
 * make every row a bad one. */
static bool dimension_holds(struct delimited *file, struct fault *fault)
{
    bool holds = !file->announced || file->held || file->vector.count == file->reader.dim;
    file->held = true;
    if (!holds)
        fault_line(fault, file->reader.name, 1,
                   "announces %" PRIu32 " dimensions, the first vector, on line %" PRIu64
                   ", has %" PRIu32,
                   file->reader.dim, file->lines.number, file->vector.count);
    return holds;
}

static enum input_status delimited_next(struct reader *reader, struct record *record,
                                        struct fault *fault)
{
    struct delimited *file = (struct delimited *)reader;
    const char *line;
    size_t len;
    enum line_status status = lines_next_filled(&file->lines, &line, &len, fault);
    if (status == LINE_END) return at_end(file, fault);
    if (status == LINE_FAILED) return INPUT_FATAL;
    file->read++;
    if (status == LINE_TOO_LONG) return INPUT_BAD;

    *record = (struct record){.place = file->lines.number, .offset = file->lines.offset};
    struct fields fields = {file, line, 0, len, 1, fault};
    if (!take_id(&fields, record) || !take_vector(&fields)) return INPUT_BAD;
    if (!dimension_holds(file, fault)) return INPUT_FATAL;
    record->vector = file->vector.v;
    record->dim = file->vector.count;
    return INPUT_RECORD;
}

/* Two whole numbers and nothing else: returns how long the line is with its end, else 0. */
static size_t parse_count_line(const char *text, size_t len, uint64_t *rows, uint64_t *dim)
{
    uint64_t *numbers[2] = {rows, dim};
    size_t at = 0;
    for (int i = 0; i < 2; i++) {
        size_t begin = at;
        for (*numbers[i] = 0; at < len && text[at] >= '0' && text[at] <= '9'; at++)
            *numbers[i] = *numbers[i] * 10 + (uint64_t)(text[at] - '0');
        if (at == begin || at - begin > 18) return 0;
        while (at < len && (text[at] == ' ' || text[at] == '\t')) at++;
    }
    if (at < len && text[at] == '\r') at++;
    return at < len && text[at] == '\n' ? at + 1 : 0;
}

static bool take_count_line(struct delimited *file, struct fault *fault)
{
    enum { COUNT_LINE_MAX = 64 };
    size_t have = 0, len = 0;
    uint64_t rows, dim;
    /* Byte by byte, so that a pipe is not waited for beyond the line. */
    for (size_t want = 1; want <= COUNT_LINE_MAX; want++) {
        const uint8_t *p = source_peek(file->lines.source, want, &have, fault);
        if (!p) return false;
        if (have < want || p[want - 1] == '\n') {
            len = parse_count_line((const char *)p, have, &rows, &dim);
            break;
        }
    }
    if (len == 0) return true;
    if (dim == 0 || dim > VDB_DIM_MAX) {
        fault_line(fault, file->reader.name, 1,
                   "announces %" PRIu64 " dimensions, expected 1 to 65535", dim);
        return false;
    }
    source_skip(file->lines.source, len);
    file->lines.number = 1;
    file->announced = true;
    file->reader.rows = rows;
    file->reader.dim = (uint32_t)dim;
    return true;
}

static double delimited_progress(const struct reader *reader)
{
    return source_progress(((const struct delimited *)reader)->lines.source);
}

static void delimited_close(struct reader *reader)
{
    struct delimited *file = (struct delimited *)reader;
    source_close(file->lines.source);
    free(file->vector.v);
    free(file->unquoted);
    free(file);
}

struct reader *delimited_open(struct source *source, enum input_format format, struct fault *fault)
{
    struct delimited *file = calloc(1, sizeof *file);
    if (!file) {
        fault_set(fault, CLI_IOERR, source_name(source), "out of memory");
        source_close(source);
        return NULL;
    }
    file->reader = (struct reader){.name = source_name(source),
                                   .lines = true,
                                   .has_ids = true,
                                   .type = VDB_TYPE_F32,
                                   .next = delimited_next,
                                   .progress = delimited_progress,
                                   .close = delimited_close};
    file->lines.source = source;
    file->format = format;
    file->separator = format == INPUT_TSV ? '\t' : format == INPUT_CSV ? ',' : ' ';
    if (format == INPUT_WORD2VEC && !take_count_line(file, fault)) {
        delimited_close(&file->reader);
        return NULL;
    }
    return &file->reader;
}
