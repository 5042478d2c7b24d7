#include "limit/window.h"

#include <assert.h>
#include <stdlib.h>

struct window *window_new(bool is_wide, uint32_t slot)
{
    size_t bytes = LIMIT_SLOTS * (is_wide ? sizeof(int64_t) : sizeof(int32_t));
    struct window *w = calloc(1, sizeof(*w) + bytes);
    if (w) {
        w->is_wide = is_wide;
        w->head = w->born = w->newest = slot;
    }
    return w;
}

static int64_t get(const struct window *w, uint32_t slot)
{
    uint32_t i = slot % LIMIT_SLOTS;
    return w->is_wide ? w->slots[i] : ((const int32_t *)(const void *)w->slots)[i];
}

static void set(struct window *w, uint32_t slot, int64_t value)
{
    uint32_t i = slot % LIMIT_SLOTS;
    if (w->is_wide) {
        w->slots[i] = value;
        return;
    }
    assert(value <= INT32_MAX);
    ((int32_t *)(void *)w->slots)[i] = (int32_t)value;
}

void window_advance_slow(struct window *w, uint32_t slot)
{
    uint32_t passed = slot - w->head;
    for (uint32_t i = 1; i <= passed && i <= LIMIT_SLOTS; i++) {
        w->sum -= get(w, w->head + i);
        set(w, w->head + i, 0);
    }
    w->head = slot;
    assert(w->sum >= 0 && (passed < LIMIT_SLOTS || w->sum == 0));
}

static bool is_kept(const struct window *w, uint32_t slot)
{
    return slot <= w->head && w->head - slot < LIMIT_SLOTS;
}

void window_add(struct window *w, uint32_t slot, int64_t amount)
{
    assert(amount >= 0);
    if (!is_kept(w, slot)) {
        return;
    }
    /* A saturated slot holds more than any limit that can be set leaves room for. */
    int64_t before = get(w, slot);
    int64_t most = w->is_wide ? INT64_MAX / LIMIT_SLOTS : INT32_MAX;
    int64_t after = i64_min(most, i64_add_sat(before, amount));
    set(w, slot, after);
    w->sum += after - before;
    if (slot > w->newest) {
        w->newest = slot;
    }
}

void window_sub(struct window *w, uint32_t slot, int64_t amount)
{
    if (slot > w->born && is_kept(w, slot)) {
        int64_t before = get(w, slot);
        int64_t after = i64_max(0, before - amount);
        set(w, slot, after);
        w->sum -= before - after;
    }
}

/* When the slot has left the window: from the first instant of slot + 241. */
static int64_t leaves_in_ns(uint32_t slot, int64_t mono_ns)
{
    int64_t leaves_ns = ((int64_t)slot + LIMIT_SLOTS - WINDOW_SLOT_ORIGIN) * LIMIT_SLOT_NS;
    return i64_max(0, leaves_ns - mono_ns);
}

int64_t window_wait_ns(const struct window *w, int64_t limit, int64_t amount, int64_t mono_ns)
{
    if (amount > limit) {
        return -1;
    }
    int64_t excess = w->sum - (limit - amount);
    uint32_t oldest = w->head - (LIMIT_SLOTS - 1);
    int64_t wait_ns = 0;
    for (uint32_t i = 0; excess > 0; i++) {
        assert(i < LIMIT_SLOTS);
        excess -= get(w, oldest + i);
        wait_ns = leaves_in_ns(oldest + i, mono_ns);
    }
    return wait_ns;
}

int64_t window_reset_ns(const struct window *w, int64_t mono_ns)
{
    return w->sum ? leaves_in_ns(w->newest, mono_ns) : 0;
}
