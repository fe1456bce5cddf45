/* plot_draw.c: draws the curve of recall against speed.
 *
 * As ann-benchmarks has it: recall to the right, queries a second upwards on a logarithmic scale,
 * so that up and to the right is better. The scale of recall is stretched towards 1, since half of
 * the misses gone is worth as much there as anywhere.
 *
 * The picture is one file that stands alone: no scripts, nothing fetched, whatever sans-serif font
 * the reader has. Colours follow prefers-color-scheme, and are given as plain properties first for
 * renderers that know neither media queries nor custom properties.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bench/plot.h"
#include "input/text.h"

#define WIDTH  800
#define HEIGHT 500

/* The frame, and how far within it the ends of the scales stay. */
#define LEFT     78.0
#define RIGHT    756.0
#define TOP      78.0
#define BOTTOM   436.0
#define INSET    14.0
#define HEADROOM 22.0 /* the same at the top, where a label goes above a point */

#define NAME_MAX_CHARS 60 /* of a file in the title */

static const char style[] =
    "text { font-family: system-ui, sans-serif; font-size: 12px; fill: #1f2328; }\n"
    ".title { font-size: 17px; font-weight: 600; }\n"
    ".soft { fill: #57606a; }\n"
    ".small { font-size: 11px; }\n"
    ".paper { fill: #ffffff; }\n"
    ".frame { fill: none; stroke: #8c959f; }\n"
    ".grid { fill: none; stroke: #dfe3e8; }\n"
    ".curve { fill: none; stroke: #0a5bd0; stroke-width: 2; stroke-linejoin: round; }\n"
    ".dot { fill: #0a5bd0; stroke: #ffffff; stroke-width: 1.5; }\n"
    ".near { fill: none; pointer-events: all; }\n"
    ".point:hover .dot { stroke: #1f2328; }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "text { fill: #e6e9ed; }\n"
    ".soft { fill: #a3adb8; }\n"
    ".paper { fill: #14171c; }\n"
    ".frame { stroke: #6b7480; }\n"
    ".grid { stroke: #2b3138; }\n"
    ".curve { stroke: #6cb2ff; }\n"
    ".dot { fill: #6cb2ff; stroke: #14171c; }\n"
    ".point:hover .dot { stroke: #e6e9ed; }\n"
    "}\n";

/* ---- text ---------------------------------------------------------------------------------- */

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* One character of well-formed UTF-8 as XML has it; what XML 1.0 cannot hold is replaced. */
static void put_char(FILE *out, const char *c, size_t len)
{
    bool control = len == 1 && ((unsigned char)*c < 0x20 || *c == 0x7f);
    bool no_char = len == 3 && (memcmp(c, "\xef\xbf\xbe", 3) == 0 /* U+FFFE */ ||
                                memcmp(c, "\xef\xbf\xbf", 3) == 0 /* U+FFFF */);
    if (control || no_char)
        fputs(REPLACEMENT, out);
    else if (*c == '&')
        fputs("&amp;", out);
    else if (*c == '<')
        fputs("&lt;", out);
    else if (*c == '>')
        fputs("&gt;", out);
    else
        fwrite(c, 1, len, out);
}

/* The last part of a path, cut where it is long. */
static void put_name(FILE *out, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *at = slash && slash[1] ? slash + 1 : path;
    size_t left = strlen(at);
    for (int chars = 0; left > 0; chars++) {
        if (chars == NAME_MAX_CHARS) {
            fputs("\xe2\x80\xa6", out); /* an ellipsis */
            return;
        }
        size_t len = 1;
        while (len < left && ((unsigned char)at[len] & 0xc0) == 0x80) len++;
        size_t whole = utf8_prefix(at, len);
        if (whole > 0)
            put_char(out, at, len = whole);
        else
            fputs(REPLACEMENT, out);
        at += len;
        left -= len;
    }
}

/* 60,000 */
static void put_count(FILE *out, uint64_t number)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, number);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) putc(',', out);
        putc(digits[i], out);
    }
}

static void put_counted(FILE *out, uint64_t number, const char *one, const char *many)
{
    put_count(out, number);
    fprintf(out, " %s", number == 1 ? one : many);
}

/* ---- scales -------------------------------------------------------------------------------- */

/* Recall r stands at -log10(1 - r): every tenth of the misses is as wide as the one before. What
 * is added keeps recall 1 on the paper, at 4, with 0.999 near 3. */
static double stretch(double recall)
{
    return -log10(1 - recall + 1e-4);
}

struct scale {
    double low, high; /* stretched values at the ends */
    double from, to;  /* where these stand */
};

static double place(const struct scale *scale, double value)
{
    double share = (value - scale->low) / (scale->high - scale->low);
    return scale->from + share * (scale->to - scale->from);
}

/* Ticks of recall; those that matter most take their room first. */
static const struct {
    double recall;
    int rank;
} recall_ticks[] = {
    {0, 0},     {0.2, 1},   {0.3, 1},   {0.4, 1},    {0.5, 0},    {0.6, 1},  {0.7, 1},  {0.8, 0},
    {0.85, 1},  {0.9, 0},   {0.93, 1},  {0.95, 0},   {0.97, 1},   {0.98, 1}, {0.99, 0}, {0.993, 1},
    {0.995, 1}, {0.998, 1}, {0.999, 0}, {0.9995, 1}, {0.9999, 0}, {1, 0},
};
#define RECALL_TICKS (sizeof recall_ticks / sizeof recall_ticks[0])

#define SPAN_MIN  0.6  /* stretched: points of one recall are shown with what is around it */
#define TICK_ROOM 46.0 /* that a label of the recall axis takes */

static struct scale recall_scale(const struct plot_curve *curve, size_t *first, size_t *last)
{
    double min = curve->points[0].recall, max = curve->points[curve->count - 1].recall;
    *first = 0;
    *last = RECALL_TICKS - 1;
    while (*first + 1 < RECALL_TICKS && recall_ticks[*first + 1].recall < min) ++*first;
    while (*last > 0 && recall_ticks[*last - 1].recall > max) --*last;
    while (stretch(recall_ticks[*last].recall) - stretch(recall_ticks[*first].recall) < SPAN_MIN) {
        if (*first > 0)
            --*first;
        else
            ++*last;
    }
    return (struct scale){stretch(recall_ticks[*first].recall), stretch(recall_ticks[*last].recall),
                          LEFT + INSET, RIGHT - INSET};
}

static void draw_recall_axis(FILE *out, const struct scale *scale, size_t first, size_t last)
{
    double drawn[RECALL_TICKS] = {0};
    size_t count = 0;
    for (int rank = -1; rank <= 1; rank++)
        for (size_t i = first; i <= last; i++) {
            int mine = i == first || i == last ? -1 : recall_ticks[i].rank;
            double x = place(scale, stretch(recall_ticks[i].recall));
            bool room = mine == rank;
            for (size_t j = 0; j < count; j++) room = room && fabs(drawn[j] - x) >= TICK_ROOM;
            if (!room) continue;
            drawn[count++] = x;
            fprintf(out, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>\n", x, TOP, BOTTOM);
            fprintf(out,
                    "<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g</text>\n",
                    x, BOTTOM + 18, recall_ticks[i].recall);
        }
}

/* The ticks of the other axis: 1, 2 and 5 times the powers of ten. */
static double qps_tick(int i)
{
    static const double leading[] = {1, 2, 5};
    int tens = i >= 0 ? i / 3 : -((2 - i) / 3);
    return leading[i - 3 * tens] * pow(10, tens);
}

static double qps_of(const struct plot_point *point)
{
    return point->qps > 1e-6 ? point->qps < 1e12 ? point->qps : 1e12 : 1e-6;
}

static struct scale qps_scale(const struct plot_curve *curve, int *first, int *last)
{
    double min = 1e12, max = 1e-6;
    for (size_t i = 0; i < curve->count; i++) {
        min = fmin(min, qps_of(&curve->points[i]));
        max = fmax(max, qps_of(&curve->points[i]));
    }
    *first = 3 * (int)floor(log10(min)) - 1;
    while (qps_tick(*first + 1) <= min) ++*first;
    *last = *first + 1;
    while (qps_tick(*last) < max) ++*last;
    return (struct scale){log10(qps_tick(*first)), log10(qps_tick(*last)), BOTTOM - INSET,
                          TOP + HEADROOM};
}

static void draw_qps_axis(FILE *out, const struct scale *scale, int first, int last)
{
    bool crowded = last - first > 15;
    for (int i = first; i <= last; i++) {
        double value = qps_tick(i), y = place(scale, log10(value));
        if (crowded && i % 3 != 0) continue;
        fprintf(out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>\n", LEFT, y, RIGHT);
        fprintf(out, "<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 8,
                y + 4);
        if (value < 1)
            fprintf(out, "%g", value);
        else if (value < 1e6)
            put_count(out, (uint64_t)llround(value));
        else
            fprintf(out, "%gM", value / 1e6);
        fputs("</text>\n", out);
    }
}

/* ---- the curve ----------------------------------------------------------------------------- */

struct box {
    double left, top, right, bottom;
};

static bool overlap(const struct box *a, const struct box *b)
{
    return a->left < b->right && b->left < a->right && a->top < b->bottom && b->top < a->bottom;
}

/* By recall, then the faster first, so that the line is the graph of a function. */
static int by_recall(const void *a, const void *b)
{
    const struct plot_point *x = a, *y = b;
    if (x->recall != y->recall) return x->recall < y->recall ? -1 : 1;
    return (x->qps < y->qps) - (x->qps > y->qps);
}

/* "ef 40", or where that is not known "aim 0.95"; the word only where it is wanted. */
static int effort_text(char text[32], const struct plot_point *p, bool word)
{
    if (p->ef != 0) return snprintf(text, 32, "%s%" PRIu32, word ? "ef " : "", p->ef);
    return snprintf(text, 32, "%s%.6g", word ? "aim " : "", p->aim);
}

static void draw_point(FILE *out, const struct plot_point *p, uint32_t k, double x, double y)
{
    char effort[32];
    effort_text(effort, p, true);
    fprintf(out, "<g class=\"point\"><title>%s\n", effort);
    if (p->ef != 0 && p->aim != 0) fprintf(out, "for an aim of %.6g\n", p->aim);
    fprintf(out,
            "recall@%" PRIu32 " %.5f, 5th percentile %.5f\n"
            "%.1f queries/s\nmedian %.1f \xc2\xb5s, 99th percentile %.1f \xc2\xb5s</title>"
            "<circle class=\"near\" cx=\"%.1f\" cy=\"%.1f\" r=\"9\"/>"
            "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\"/></g>\n",
            k, p->recall, p->p5_recall, p->qps, p->p50_us, p->p99_us, x, y, x, y);
}

/* The efforts beside their points. Where the curve falls to the right, the right of a point and
 * above is free, else the right and below; then the left and below. Where none is, the point has
 * no label. */
static void draw_labels(FILE *out, const struct plot_curve *curve, const struct box *dots)
{
    struct box labels[PLOT_POINTS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < curve->count; i++) {
        char text[32];
        double width = 7.0 * effort_text(text, &curve->points[i], count == 0);
        bool falls = i + 1 == curve->count || dots[i + 1].top >= dots[i].top;
        for (int side = 0; side < 2; side++) {
            double x = side == 0 ? dots[i].right + 3 : dots[i].left - 3 - width;
            double y = side == 0 && falls ? dots[i].top - 1 : dots[i].bottom + 11;
            struct box box = {x, y - 11, x + width, y + 2};
            bool room =
                box.left > LEFT && box.right < WIDTH && box.top > TOP && box.bottom < BOTTOM;
            for (size_t j = 0; j < count; j++) room = room && !overlap(&box, &labels[j]);
            for (size_t j = 0; j < curve->count; j++) room = room && !overlap(&box, &dots[j]);
            if (!room) continue;
            labels[count++] = box;
            fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n",
                    side == 0 ? x : x + width, y, side == 0 ? "start" : "end", text);
            break;
        }
    }
}

static void draw_curve(FILE *out, const struct plot_curve *curve, const struct scale *across,
                       const struct scale *up)
{
    struct box dots[PLOT_POINTS_MAX];
    for (size_t i = 0; i < curve->count; i++) {
        double x = place(across, stretch(curve->points[i].recall));
        double y = place(up, log10(qps_of(&curve->points[i])));
        dots[i] = (struct box){x - 5, y - 5, x + 5, y + 5};
        fprintf(out, "%s%.1f %.1f", i == 0 ? "<path class=\"curve\" d=\"M" : "L", x, y);
    }
    fputs("\"/>\n", out);
    draw_labels(out, curve, dots);
    for (size_t i = 0; i < curve->count; i++)
        draw_point(out, &curve->points[i], curve->k, dots[i].left + 5, dots[i].top + 5);
}

/* ---- the picture --------------------------------------------------------------------------- */

static void draw_titles(FILE *out, const struct plot_curve *curve)
{
    static const char *const metrics[] = {"", "l2", "cosine", "ip"};
    const double middle = (LEFT + RIGHT) / 2;
    fprintf(out, "<text class=\"title\" x=\"%.1f\" y=\"32\">", LEFT);
    put_name(out, curve->index);
    fprintf(out, "</text>\n<text class=\"soft\" x=\"%.1f\" y=\"52\">", LEFT);
    put_counted(out, curve->info->live, "row", "rows");
    fputs(" of ", out);
    put_counted(out, curve->info->dim, "dimension", "dimensions");
    fprintf(out, ", metric %s, k %" PRIu32 ", ", metrics[curve->info->metric], curve->k);
    put_counted(out, curve->threads, "thread", "threads");
    fprintf(out, "</text>\n<text class=\"soft\" x=\"%.1f\" y=\"69\">", LEFT);
    put_counted(out, curve->queries, "query of ", "queries of ");
    put_name(out, curve->dataset);
    fprintf(out,
            "</text>\n<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">recall@%" PRIu32
            " (stretched towards 1)</text>\n",
            middle, BOTTOM + 42, curve->k);
    fprintf(out,
            "<text transform=\"translate(16 %.1f) rotate(-90)\" text-anchor=\"middle\">"
            "queries per second</text>\n",
            (TOP + BOTTOM) / 2);
    fprintf(out,
            "<text class=\"soft small\" x=\"%.1f\" y=\"69\" text-anchor=\"end\">"
            "up and to the right is better</text>\n",
            RIGHT);
}

void plot_draw(FILE *out, const struct plot_curve *curve)
{
    size_t recall_first, recall_last;
    int qps_first, qps_last;
    qsort(curve->points, curve->count, sizeof *curve->points, by_recall);
    struct scale across = recall_scale(curve, &recall_first, &recall_last);
    struct scale up = qps_scale(curve, &qps_first, &qps_last);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\""
            " viewBox=\"0 0 %d %d\" role=\"img\">\n<title>Recall against speed of ",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_name(out, curve->index);
    fprintf(out, "</title>\n<style>\n%s</style>\n", style);
    fprintf(out, "<rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n", WIDTH, HEIGHT);
    draw_titles(out, curve);
    draw_recall_axis(out, &across, recall_first, recall_last);
    draw_qps_axis(out, &up, qps_first, qps_last);
    fprintf(out, "<path class=\"frame\" d=\"M%.1f %.1fH%.1fV%.1fH%.1fZ\"/>\n", LEFT, TOP, RIGHT,
            BOTTOM, LEFT);
    draw_curve(out, curve, &across, &up);
    fputs("</svg>\n", out);
}
