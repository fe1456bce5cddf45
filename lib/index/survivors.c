/* survivors.c: how many of the least estimates of an inverted file's codes are measured again.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/asking.h"
#include "index/calibrate.h"

#define AMPLE   0.99             /* recall with which survivors are counted */
#define LOSS    0.003            /* recall that fewer of them may cost */
#define MOST(k) (16 * (k) + 240) /* as a rule, and */
#define TIMES   16               /* times as many where these lose what would be ample */
#define STEPS   48
#define TRIALS  16 /* numbers of them that are tried, about */

struct ample {
    uint32_t effort; /* lists enough for nearly all that can be found */
    double price;    /* what all of recall would cost at the rate of the last lists */
    uint32_t times;  /* MOST so many times */
};

/* Asks fewer of the queries, down to one of ASKING_ROUGHLY, where all of them would take too long
 * with so much effort. True where they have become fewer. */
static bool thin_out(struct calibrator *m, uint32_t effort)
{
    uint64_t budget = asking_budget(m), work = (uint64_t)m->query_count * effort * TRIALS;
    uint32_t before = m->every;
    while (m->every < ASKING_ROUGHLY && work / m->every > budget) m->every *= 2;
    return m->every > before;
}

static struct ample ample_effort(struct calibrator *m, uint32_t a)
{
    uint32_t most = asking_effort_max(m), survivors = MOST(KS_MEASURED[a]);
    struct ample ample = {.effort = most < 3 ? most : 3, .times = 1};
    uint64_t hits = asking_hits(m, a, ample.effort, survivors);
    double cost = asking_cost(m, a);
    while (ample.effort < most && !m->status && hits < asking_wanted(m, a, AMPLE)) {
        uint32_t next = ample.effort + (ample.effort + 1) / 2;
        if (next > most) next = most;
        if (thin_out(m, next)) {
            hits = asking_hits(m, a, ample.effort, survivors);
            cost = asking_cost(m, a);
        }
        ample.effort = next;
        uint64_t more = asking_hits(m, a, ample.effort, survivors);
        double dearer = asking_cost(m, a);
        ample.price = more > hits ? (dearer - cost) / asking_share(m, a, more - hits) : 0;
        bool lost = more <= hits && ample.times < TIMES;
        hits = more;
        cost = dearer;
        if (!lost) continue;
        /* What is missed now does not survive. */
        ample.times *= 2;
        survivors *= 2;
        hits = asking_hits(m, a, ample.effort, survivors);
        cost = asking_cost(m, a);
    }
    return ample;
}

/* What so many survivors find, and what searches cost with them. */
struct yield {
    uint64_t hits;
    double cost;
};

static struct yield yield_of(struct calibrator *m, uint32_t a, uint32_t effort, uint32_t survivors)
{
    uint64_t hits = asking_hits(m, a, effort, survivors);
    return (struct yield){hits, asking_cost(m, a)};
}

/* The fewest, on a scale of which each step is a quarter more, that lose next to nothing; and then
 * more for as long as the recall that they bring would cost more in lists. */
static uint32_t enough_survivors(struct calibrator *m, uint32_t a, const struct ample *ample)
{
    uint32_t k = KS_MEASURED[a], most = MOST(k) * ample->times;
    uint32_t scale[STEPS + 1], count = 0;
    struct yield best = yield_of(m, a, ample->effort, most), yields[STEPS + 1];
    uint64_t lost = asking_wanted(m, a, LOSS);
    for (uint32_t n = k + k / 4 + 4; n < most && count < STEPS; n += n / 4) scale[count++] = n;
    scale[count] = most;
    yields[count] = best;
    uint32_t low = 0, high = count; /* scale[high] and beyond are enough */
    while (low < high && !m->status) {
        uint32_t middle = (low + high) / 2;
        yields[middle] = yield_of(m, a, ample->effort, scale[middle]);
        if (yields[middle].hits + lost >= best.hits)
            high = middle;
        else
            low = middle + 1;
    }
    for (; high < count && !m->status; high++) {
        struct yield less = yields[high], more = yield_of(m, a, ample->effort, scale[high + 1]);
        yields[high + 1] = more;
        if (more.hits <= less.hits ||
            ample->price * asking_share(m, a, more.hits - less.hits) <= more.cost - less.cost)
            break;
    }
    return scale[high];
}

enum vdb_status calibrate_survivors(struct calibrator *m, const struct ivf *ivf,
                                    calibrate_rerank_fn rerank, uint32_t survivors[3],
                                    uint32_t *lists, struct vdb_error *err)
{
    if (!m || ivf->view.h.list_count == 1) return VDB_OK;
    m->ivf = ivf;
    asking_begin(m, rerank, CALIBRATE_FULL);
    uint32_t middle = m->k_count > 1 ? 1 : 0;
    struct ample ample = ample_effort(m, middle);
    *lists = ample.effort;
    for (uint32_t a = 0; a < m->k_count && !m->status; a++) {
        uint32_t found = enough_survivors(m, a, &ample);
        survivors[a] = a && found < survivors[a - 1] ? survivors[a - 1] : found;
    }
    for (uint32_t a = m->k_count; a < KS; a++)
        survivors[a] = survivors[a - 1] * (KS_MEASURED[a] / KS_MEASURED[a - 1]);
    /* Of one row a query some hundred tell what is lost, so that as few may seem enough as are by
     * luck: no fewer than their number falls from k to k before. */
    uint64_t trend = (uint64_t)survivors[1] * survivors[1] / survivors[2];
    if (survivors[0] < trend) survivors[0] = (uint32_t)trend;
    return asking_end(m, err);
}
