/* storm_oracle.c: what the index holds at each commit, by the acknowledgements alone.
 *
 * Commits are replayed in the order of their numbers. A number that nobody was told belongs to a
 * batch whose writer was killed between its commit and the acknowledgement; where there are several
 * such batches, each of them may be the one, and the oracle goes on in several worlds until what
 * readers saw leaves one of them. A batch that goes back to a commit leads to any of the worlds
 * that there were at that one.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault/storm.h"

enum { OPEN_MAX = 64, WORLDS_MAX = 256 };

struct group {
    uint32_t live, batch, place; /* batch 0: never put */
};

struct world {
    struct group group[GROUPS];
    uint32_t marker[WRITERS];
    uint64_t hash;
    uint64_t taken; /* which of the open batches have been replayed */
    uint32_t live;
    uint32_t unused;
};

struct commit {
    struct storm_batch batch; /* where acknowledged */
    uint64_t seen_hash, hash;
    uint32_t seen_live;
    bool acknowledged, seen, judged;
    uint32_t state_count;
    struct world *states; /* what it may have been, where it may be gone back to */
};

struct open_batch {
    struct storm_batch batch;
    uint64_t newest;
    bool used, sure;
};

/* What was said of commits that are still to be replayed. */
struct claim {
    uint64_t since, until, hash;
    uint64_t back; /* 0: one of the commits has the hash; else the last one has that of this one */
};

struct storm_oracle {
    struct commit *commits; /* by number */
    uint64_t room, replayed, unjudged;
    struct open_batch open[OPEN_MAX];
    struct world *worlds, *next;
    size_t count;
    struct claim *claims;
    size_t claim_count;
    bool past;
    char text[300];
};

#define say(o, ...) (snprintf((o)->text, sizeof(o)->text, __VA_ARGS__), (o)->text)

static struct commit *commit_at(struct storm_oracle *o, uint64_t number)
{
    if (number >= o->room) {
        uint64_t room = 2 * number + 1024;
        struct commit *more = realloc(o->commits, room * sizeof *more);
        if (!more) abort();
        memset(more + o->room, 0, (room - o->room) * sizeof *more);
        o->commits = more;
        o->room = room;
    }
    return &o->commits[number];
}

/* The worlds as they are at this commit. */
static void keep_states(struct storm_oracle *o, struct commit *commit)
{
    if (!o->past) return;
    commit->states = malloc(o->count * sizeof *commit->states);
    if (!commit->states) abort();
    memcpy(commit->states, o->worlds, o->count * sizeof *commit->states);
    commit->state_count = (uint32_t)o->count;
}

struct storm_oracle *oracle_create(bool past)
{
    struct storm_oracle *o = calloc(1, sizeof *o);
    if (!o) return NULL;
    o->worlds = calloc(WORLDS_MAX, sizeof *o->worlds);
    o->next = calloc(WORLDS_MAX, sizeof *o->next);
    o->count = 1;
    o->past = past;
    o->replayed = 1; /* the creation */
    if (!o->worlds || !o->next) {
        oracle_free(o);
        return NULL;
    }
    commit_at(o, 1)->judged = true;
    keep_states(o, commit_at(o, 1));
    return o;
}

void oracle_free(struct storm_oracle *o)
{
    if (!o) return;
    for (uint64_t n = 0; n < o->room; n++) free(o->commits[n].states);
    free(o->commits);
    free(o->claims);
    free(o->worlds);
    free(o->next);
    free(o);
}

const char *oracle_acknowledged(struct storm_oracle *o, uint64_t number,
                                const struct storm_batch *batch)
{
    struct commit *commit = commit_at(o, number);
    unsigned long long n = number;
    if (commit->acknowledged)
        return say(o, "commit %llu was acknowledged to batch %u and to batch %u", n,
                   commit->batch.number, batch->number);
    if (number <= batch->base)
        return say(o, "batch %u became commit %llu, and began after %llu", batch->number, n,
                   (unsigned long long)batch->base);
    if (number <= o->replayed)
        return say(o, "commit %llu was acknowledged to batch %u, after another had that number", n,
                   batch->number);
    commit->acknowledged = true;
    commit->batch = *batch;
    return NULL;
}

const char *oracle_unacknowledged(struct storm_oracle *o, uint64_t newest,
                                  const struct storm_batch *batch, bool sure)
{
    for (size_t i = 0; i < OPEN_MAX; i++) {
        if (o->open[i].used) continue;
        o->open[i] = (struct open_batch){*batch, newest, true, sure};
        return NULL;
    }
    return say(o, "more than %d batches may be there that nobody was told of", OPEN_MAX);
}

static const char *differs(struct storm_oracle *o, uint64_t number, uint32_t live)
{
    return say(o,
               "a reader saw another state at commit %llu, of %u rows, than the batches up to it "
               "make up",
               (unsigned long long)number, live);
}

const char *oracle_seen(struct storm_oracle *o, uint64_t number, uint64_t hash, uint32_t live)
{
    struct commit *commit = commit_at(o, number);
    if (commit->seen && (commit->seen_hash != hash || commit->seen_live != live))
        return say(o, "two readers saw different states at commit %llu",
                   (unsigned long long)number);
    commit->seen = true;
    commit->seen_hash = hash;
    commit->seen_live = live;
    if (number > o->replayed || number < 2) return NULL;
    if (!commit->judged) o->unjudged++;
    return commit->judged && commit->hash != hash ? differs(o, number, live) : NULL;
}

/* What can be said by now of a claim up to which all is replayed. */
static const char *judge(struct storm_oracle *o, const struct claim *claim)
{
    const struct commit *last = commit_at(o, claim->until), *back = commit_at(o, claim->back);
    unsigned long long until = claim->until;
    if (claim->back && (!last->judged || !back->judged || last->hash == back->hash)) {
        o->unjudged += !last->judged || !back->judged;
        return NULL;
    }
    if (claim->back)
        return say(o, "nothing was done to go back from commit %llu to %llu, which differ", until,
                   (unsigned long long)claim->back);
    for (uint64_t n = claim->since; n <= claim->until; n++) {
        const struct commit *commit = commit_at(o, n);
        o->unjudged += !commit->judged;
        if (!commit->judged || commit->hash == claim->hash) return NULL;
    }
    return say(o, "the rows of an output are those of no commit from %llu to %llu",
               (unsigned long long)claim->since, until);
}

static const char *judge_claims(struct storm_oracle *o)
{
    const char *wrong = NULL;
    size_t left = 0;
    for (size_t i = 0; i < o->claim_count && !wrong; i++)
        if (o->claims[i].until > o->replayed)
            o->claims[left++] = o->claims[i];
        else
            wrong = judge(o, &o->claims[i]);
    o->claim_count = left;
    return wrong;
}

static const char *claim(struct storm_oracle *o, struct claim claim)
{
    o->claims = realloc(o->claims, (o->claim_count + 1) * sizeof *o->claims);
    if (!o->claims) abort();
    o->claims[o->claim_count++] = claim;
    return judge_claims(o);
}

const char *oracle_shipped(struct storm_oracle *o, uint64_t since, uint64_t until, uint64_t hash)
{
    return claim(o, (struct claim){since, until, hash, 0});
}

const char *oracle_same(struct storm_oracle *o, uint64_t number, uint64_t back)
{
    return claim(o, (struct claim){number, number, 0, back});
}

uint64_t oracle_unjudged(const struct storm_oracle *o)
{
    return o->unjudged;
}

/* ---- replaying ----------------------------------------------------------------------------- */

static void group_add(struct world *w, uint32_t number, bool live)
{
    struct group *g = &w->group[number];
    g->live = live;
    for (uint32_t i = 0; i < GROUP_ROWS; i++) {
        struct storm_row row = {number, i, g->batch, g->place + i};
        w->hash += live ? storm_hash(&row) : -storm_hash(&row);
    }
    w->live += live ? GROUP_ROWS : (uint32_t)-GROUP_ROWS;
}

static void put_marker(struct world *w, uint32_t batch)
{
    uint32_t slot = batch >> 20;
    struct storm_row row = {MARKER + slot, 0, w->marker[slot], 0};
    if (w->marker[slot])
        w->hash -= storm_hash(&row);
    else
        w->live++;
    row.batch = w->marker[slot] = batch;
    w->hash += storm_hash(&row);
}

/* False: the batch cannot have been committed on this state. */
static bool apply(struct storm_oracle *o, struct world *w, const struct storm_batch *batch,
                  uint64_t number)
{
    static const char *const names[] = {"upsert", "insert", "update", "delete", "restore"};
    put_marker(w, batch->number);
    for (uint32_t i = 0; i < batch->groups; i++) {
        struct group *g = &w->group[batch->group[i]];
        uint32_t op = batch->op[i];
        bool fits = op == OP_UPSERT || (op == OP_RESTORE  ? !g->live && g->batch
                                        : op == OP_INSERT ? !g->live
                                                          : g->live);
        if (!fits) {
            say(o, "commit %llu, batch %u: %s of group %u, which is %s then by all earlier commits",
                (unsigned long long)number, batch->number, names[op], batch->group[i],
                g->live ? "live" : "not live");
            return false;
        }
        if (g->live) group_add(w, batch->group[i], false);
        if (op == OP_DELETE) continue;
        if (op != OP_RESTORE) {
            g->batch = batch->number;
            g->place = 1 + i * GROUP_ROWS;
        }
        group_add(w, batch->group[i], true);
    }
    return true;
}

static size_t add_world(struct storm_oracle *o, size_t count, const struct world *w)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(&o->next[i], w, sizeof *w) == 0) return count;
    if (count < WORLDS_MAX) o->next[count++] = *w;
    return count;
}

/* What the batch makes of the world, behind the first `count` of o->next. */
static size_t add_after(struct storm_oracle *o, struct world w, const struct storm_batch *batch,
                        uint64_t number, size_t count)
{
    if (!batch->back) return apply(o, &w, batch, number) ? add_world(o, count, &w) : count;
    const struct commit *past = commit_at(o, batch->back);
    for (uint32_t i = 0; i < past->state_count; i++) {
        uint64_t taken = w.taken;
        w = past->states[i];
        w.taken = taken;
        count = add_world(o, count, &w);
    }
    if (!past->state_count)
        say(o, "batch %u, commit %llu, goes back to commit %llu, which is still to come",
            batch->number, (unsigned long long)number, (unsigned long long)batch->back);
    return count;
}

/* All that may have become of the world by this commit, behind the first `count` of o->next. */
static size_t step(struct storm_oracle *o, const struct world *from, uint64_t number, size_t count)
{
    const struct commit *commit = commit_at(o, number);
    struct world w = *from;
    if (commit->acknowledged) return add_after(o, w, &commit->batch, number, count);
    bool any = false;
    for (size_t i = 0; i < OPEN_MAX; i++) {
        const struct open_batch *open = &o->open[i];
        bool may = open->used && !(from->taken >> i & 1) && open->batch.base < number &&
                   number <= open->newest;
        if (!may) continue;
        any = true;
        w = *from;
        w.taken |= (uint64_t)1 << i;
        count = add_after(o, w, &open->batch, number, count);
    }
    if (!any) say(o, "commit %llu is nobody's", (unsigned long long)number);
    return count;
}

/* Worlds that are at odds with what is known at this commit end. */
static size_t weed(struct storm_oracle *o, uint64_t number, size_t count)
{
    const struct commit *commit = commit_at(o, number);
    size_t left = 0;
    for (size_t n = 0; n < count; n++) {
        const struct world *w = &o->next[n];
        bool right =
            !commit->seen || (commit->seen_hash == w->hash && commit->seen_live == w->live);
        if (!right) differs(o, number, commit->seen_live);
        for (size_t i = 0; i < OPEN_MAX && right; i++) {
            right = !o->open[i].used || !o->open[i].sure || w->taken >> i & 1 ||
                    number < o->open[i].newest;
            if (!right)
                say(o, "batch %u is there and no commit up to %llu can be its",
                    o->open[i].batch.number, (unsigned long long)number);
        }
        if (right) o->next[left++] = *w;
    }
    return left;
}

/* Open batches that have been replayed in every world need no place any more, nor do those that
 * need not be there and cannot come any more. */
static void close_batches(struct storm_oracle *o, uint64_t number)
{
    uint64_t all = ~(uint64_t)0;
    for (size_t n = 0; n < o->count; n++) all &= o->worlds[n].taken;
    for (size_t i = 0; i < OPEN_MAX; i++)
        if (o->open[i].used && !o->open[i].sure && o->open[i].newest <= number)
            all |= (uint64_t)1 << i;
    for (size_t i = 0; all && i < OPEN_MAX; i++)
        if (all >> i & 1) o->open[i].used = false;
    for (size_t n = 0; n < o->count; n++) o->worlds[n].taken &= ~all;
}

const char *oracle_replay(struct storm_oracle *o, uint64_t to)
{
    while (o->replayed < to) {
        uint64_t number = o->replayed + 1;
        size_t count = 0;
        for (size_t n = 0; n < o->count; n++) count = step(o, &o->worlds[n], number, count);
        if (count == WORLDS_MAX) return say(o, "the oracle has lost its way");
        count = weed(o, number, count);
        if (count == 0) return o->text;
        struct world *swap = o->worlds;
        o->worlds = o->next;
        o->next = swap;
        o->count = count;
        close_batches(o, number);
        struct commit *commit = commit_at(o, number);
        keep_states(o, commit);
        commit->judged = true;
        commit->hash = o->worlds[0].hash;
        for (size_t n = 1; n < count; n++) commit->judged &= o->worlds[n].hash == commit->hash;
        o->replayed = number;
    }
    return judge_claims(o);
}
