/* ended.c: in which order rows were deleted or replaced.
 *
 * The log tells it of its commits. Of the states before them that a compaction kept, the last one
 * whose liveness of a row is not the next one's does: the row was live then.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "state/ended.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/le.h"
#include "format/states.h"
#include "state/past.h"
#include "state/verify.h"

const uint32_t ended_in_order[1];

void ended_release(const uint32_t *ended)
{
    if (ended != ended_in_order) free((void *)(uintptr_t)ended);
}

typedef void (*event_fn)(void *context, uint32_t commit, uint32_t kind, uint32_t row);

/* Hands out the events of the log's commits, which are counted from `number` + 1 on. */
static enum vdb_status each_event(const struct vdb_snapshot *s, uint32_t number, event_fn each,
                                  void *context, struct vdb_error *err)
{
    const uint8_t *file = s->generation->view->base;
    enum vdb_status status;
    struct past past;
    struct log_commit commit;
    past_init(&past, s, past_first_commit(s) - 1);
    while ((status = past_next(&past, &commit, err)) == VDB_OK) {
        number++;
        if (commit.event_count == 0) continue;
        status = verify_bytes(file, "log", commit.events.off, commit.events.len,
                              commit.events.check, err);
        if (status) return status;
        for (uint32_t i = 0; i < commit.event_count; i++) {
            struct disk_event event;
            memcpy(&event, file + commit.events.off + (size_t)i * sizeof event, sizeof event);
            each(context, number, le32_get(event.kind), le32_get(event.row));
        }
    }
    return status == VDB_NOT_FOUND ? VDB_OK : status;
}

static void note_restored(void *context, uint32_t commit, uint32_t kind, uint32_t row)
{
    (void)commit;
    (void)row;
    *(bool *)context |= kind == DISK_EVENT_RESTORE;
}

struct order {
    uint32_t *ended, row_count;
};

static void note_ended(void *context, uint32_t commit, uint32_t kind, uint32_t row)
{
    struct order *order = context;
    if (kind != DISK_EVENT_RESTORE && row < order->row_count) order->ended[row] = commit;
}

/* The states up to the snapshot's own; returns how many. A row that is dead in the first state that
 * has it was replaced by a commit behind the state before. */
static uint32_t note_states(const struct vdb_snapshot *s, const struct states_view *view,
                            struct order *order)
{
    uint32_t last = states_from(view, s->commit), row = 0;
    for (uint32_t i = 0; i < view->count && row < order->row_count; i++)
        for (uint32_t end = states_at(view, i).row_count; row < end && row < order->row_count;)
            order->ended[row++] = i;
    for (uint32_t i = 0; i < last; i++) {
        uint32_t count;
        const uint8_t *flips = states_flips(view, i, &count);
        for (uint32_t j = 0; j < count; j++) {
            uint32_t at = le32_at(flips + (size_t)j * 4);
            if (at < order->row_count) order->ended[at] = i + 1;
        }
    }
    return last;
}

static enum vdb_status make_order(const struct vdb_snapshot *s, const uint32_t **made,
                                  struct vdb_error *err)
{
    struct states_view view;
    bool states, restored = false;
    *made = ended_in_order;
    enum vdb_status status = past_states(s, &view, &states, err);
    if (!status && !states) status = each_event(s, 0, note_restored, &restored, err);
    if (status || (!states && !restored)) return status;
    struct order order = {calloc((size_t)s->row_count + 1, sizeof *order.ended), s->row_count};
    if (!order.ended) return error_no_memory(err);
    uint32_t count = states ? note_states(s, &view, &order) : 0;
    status = each_event(s, count, note_ended, &order, err);
    if (status)
        free(order.ended);
    else
        *made = order.ended;
    return status;
}

/* Threads that ask at once may all make one; that of one of them stays. */
enum vdb_status ended_order(const struct vdb_snapshot *s, const uint32_t **order,
                            struct vdb_error *err)
{
    const uint32_t **place = (const uint32_t **)(uintptr_t)&s->ended;
    const uint32_t *ended = __atomic_load_n(place, __ATOMIC_ACQUIRE), *made = NULL;
    *order = NULL;
    if (!ended) {
        enum vdb_status status = make_order(s, &made, err);
        if (status) return status;
        if (__atomic_compare_exchange_n(place, &ended, made, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            ended = made;
        else
            ended_release(made);
    }
    if (ended != ended_in_order) *order = ended;
    return VDB_OK;
}
