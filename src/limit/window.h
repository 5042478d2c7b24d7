/* limit/window.h -- how much happened in the last 60 s: 241 slots of 250 ms and their sum.
 *
 * Slot numbers come from the monotonic clock (window_slot) and never go back; the window's head is
 * the newest slot it has seen. Slots head-240 .. head are kept and summed, so that advancing costs
 * the slots that passed and reading costs nothing. Requests are counted in 32 bits, tokens in 64.
 *
 * Owned by a quota node, made where a limit is set (never on the request path), used under the lock
 * of the node's tree.
 */
#ifndef LIMIT_WINDOW_H
#define LIMIT_WINDOW_H

#include "core/check.h"
#include "limit/limit.h"

/* Slots before the machine's start, so that admissions restored from before it have a number. */
enum { WINDOW_SLOT_ORIGIN = 1024 };

struct window {
    int64_t sum;
    uint32_t head;   /* newest slot; head - 240 .. head are kept */
    uint32_t born;   /* what was taken up to this slot may not have been counted here */
    uint32_t newest; /* newest slot that was added to */
    bool is_wide;    /* slots are int64, otherwise int32 in the same place */
    int64_t slots[];
};

/* NULL on no memory. Freed by free(). */
struct window *window_new(bool is_wide, uint32_t slot);

/* 32 bits of 250 ms last 34 years of uptime. */
static inline uint32_t window_slot(int64_t mono_ns)
{
    return (uint32_t)(mono_ns / LIMIT_SLOT_NS + WINDOW_SLOT_ORIGIN);
}

void window_advance_slow(struct window *w, uint32_t slot);

/* Empties the slots that left. A slot before the head changes nothing. */
static inline void window_advance(struct window *w, uint32_t slot)
{
    if (slot > w->head) {
        window_advance_slow(w, slot);
    }
}

/* Into a slot that is still kept (elsewhere it is not counted). amount is not negative. */
void window_add(struct window *w, uint32_t slot, int64_t amount);
/* Takes back what was added to that slot, if it is still kept. */
void window_sub(struct window *w, uint32_t slot, int64_t amount);

/* Nanoseconds from mono_ns until amount more fit under limit, the window being advanced to mono_ns;
 * 0: now; -1: never. */
int64_t window_wait_ns(const struct window *w, int64_t limit, int64_t amount, int64_t mono_ns);
/* Until the window is empty again if nothing is added. */
int64_t window_reset_ns(const struct window *w, int64_t mono_ns);

#endif
