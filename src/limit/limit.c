#include "limit/limit.h"

#include "limit/registry.h"

#include <assert.h>

/* What waits for the end of other requests has no known time; this is what we tell. */
#define RETRY_UNKNOWN_NS NS_PER_S

static int64_t max0(int64_t a)
{
    return a > 0 ? a : 0;
}

/* -1 is for ever. Of equal waits the first named stays. */
static void refusal_offer(struct limit_refusal *r, struct limit_refusal offer)
{
    bool is_first = r->kind == LIMIT_NONE;
    bool is_longer = r->retry_after_ns >= 0 &&
                     (offer.retry_after_ns < 0 || offer.retry_after_ns > r->retry_after_ns);
    bool is_open = offer.is_open_reservations && (is_first || r->is_open_reservations);
    if (is_first || is_longer) {
        *r = offer;
    }
    r->is_open_reservations = is_open;
}

/* --- admit: requests and concurrency ------------------------------------------------------------
 */

static size_t chain_of(struct quota_node *leaf, struct quota_node **out)
{
    size_t depth = 0;
    for (struct quota_node *n = leaf; n; n = limit_node_parent(n)) {
        assert(depth < LIMIT_DEPTH_MAX);
        out[depth++] = n;
    }
    return depth;
}

static bool admits(struct quota_node *n, uint32_t slot)
{
    const struct quota_spec *s = &n->spec;
    if (n->rate) {
        window_advance(n->rate, slot);
        if (s->rate_per_min >= 0 && n->rate->sum >= s->rate_per_min) {
            return false;
        }
    }
    return s->concurrent_max < 0 || n->concurrent < s->concurrent_max;
}

static void take(struct quota_node *n, uint32_t slot)
{
    n->concurrent++;
    if (n->rate) {
        window_add(n->rate, slot, 1);
    }
}

/* The level that has least left stands for all. */
static void note_remaining(struct limit_remaining *r, struct quota_node *n, int64_t mono_ns,
                           uint32_t slot)
{
    if (n->spec.rate_per_min >= 0) {
        window_advance(n->rate, slot);
        int64_t left = max0(n->spec.rate_per_min - n->rate->sum);
        if (r->requests_limit < 0 || left < r->requests_left) {
            r->requests_limit = n->spec.rate_per_min;
            r->requests_left = left;
            r->requests_reset_ns = window_reset_ns(n->rate, mono_ns);
        }
    }
    if (n->spec.tokens_per_min >= 0) {
        window_advance(n->tokens, slot);
        int64_t left = max0(n->spec.tokens_per_min - n->tokens->sum);
        if (r->tokens_limit < 0 || left < r->tokens_left) {
            r->tokens_limit = n->spec.tokens_per_min;
            r->tokens_left = left;
            r->tokens_reset_ns = window_reset_ns(n->tokens, mono_ns);
        }
    }
}

static COLD void refuse_admit(const struct limit_ticket *t, int64_t mono_ns, uint32_t slot,
                              struct limit_refusal *out)
{
    *out = (struct limit_refusal){0};
    for (size_t i = 0; i < t->depth; i++) {
        struct quota_node *n = t->nodes[i];
        const struct quota_spec *s = &n->spec;
        if (n->rate) {
            window_advance(n->rate, slot);
        }
        if (n->rate && s->rate_per_min >= 0 && n->rate->sum >= s->rate_per_min) {
            refusal_offer(out, (struct limit_refusal){.kind = LIMIT_REQUESTS,
                                                      .node = n->id,
                                                      .limit = s->rate_per_min,
                                                      .used = n->rate->sum,
                                                      .retry_after_ns = window_wait_ns(
                                                          n->rate, s->rate_per_min, 1, mono_ns)});
        }
        if (s->concurrent_max >= 0 && n->concurrent >= s->concurrent_max) {
            refusal_offer(out, (struct limit_refusal){
                                   .kind = LIMIT_CONCURRENT,
                                   .node = n->id,
                                   .limit = s->concurrent_max,
                                   .used = n->concurrent,
                                   .retry_after_ns = s->concurrent_max ? RETRY_UNKNOWN_NS : -1});
        }
    }
}

HOT bool limit_admit(struct limit *l, struct quota_node *leaf, struct limit_ticket *ticket,
                     struct limit_remaining *remaining, struct limit_refusal *refusal)
{
    assert(!ticket->is_admitted);
    struct limit_remaining left = {.requests_limit = -1, .tokens_limit = -1};
    int64_t unix_ns = l->clock.unix_ns();
    struct quota_lock *lock = quota_lock_node(leaf);
    int64_t mono_ns = l->clock.mono_ns();
    uint32_t slot = quota_lock_slot(lock, mono_ns);
    quota_lock_periods(lock, unix_ns);
    ticket->depth = (uint8_t)chain_of(leaf, ticket->nodes);

    bool is_admitted = true;
    for (size_t i = 0; i < ticket->depth && is_admitted; i++) {
        is_admitted = admits(ticket->nodes[i], slot);
    }
    for (size_t i = 0; i < ticket->depth; i++) {
        if (is_admitted) {
            take(ticket->nodes[i], slot);
        }
    }
    if (!is_admitted && refusal) {
        refuse_admit(ticket, mono_ns, slot, refusal);
    }
    for (size_t i = 0; remaining && i < ticket->depth; i++) {
        note_remaining(&left, ticket->nodes[i], mono_ns, slot);
    }
    memcpy(ticket->period, lock->period, sizeof(ticket->period));
    quota_unlock(lock);

    ticket->is_admitted = is_admitted;
    ticket->rate_slot = ticket->token_slot = slot;
    ticket->admitted_unix_ns = unix_ns;
    if (remaining) {
        *remaining = left;
        remaining->requests_left = left.requests_limit < 0 ? -1 : left.requests_left;
        remaining->tokens_left = left.tokens_limit < 0 ? -1 : left.tokens_left;
    }
    if (!is_admitted) {
        *ticket = (struct limit_ticket){0};
    }
    return is_admitted;
}

/* --- reserve: money and tokens ------------------------------------------------------------------
 */

/* A ticket that waited between admit and reserve until its period is no longer kept pays in the
 * running one. */
static void redate(struct limit_ticket *t)
{
    for (size_t i = 0; i < t->depth; i++) {
        for (int k = 0; k < LIMIT_PERIODS; k++) {
            struct budget_cell *kept =
                &t->nodes[i]->cells[k][(uint32_t)t->period[k] % QUOTA_PERIODS_KEPT];
            if (kept->number > t->period[k]) {
                t->period[k] = kept->number;
            }
        }
    }
}

static bool fits_budget(const struct budget_cell *c, int64_t cost_nusd, int64_t budget_nusd)
{
    return i64_add_sat(budget_used(c), cost_nusd) <= budget_nusd;
}

static bool fits(struct quota_node *n, const struct limit_ticket *t, int64_t cost_nusd,
                 int64_t tokens)
{
    for (int k = 0; k < LIMIT_PERIODS; k++) {
        struct budget_cell *c = quota_cell(n, k, t->period[k]);
        assert(c);
        int64_t sum;
        if (((n->hard >> k) & 1) && !fits_budget(c, cost_nusd, n->spec.budget_nusd[k])) {
            return false;
        }
        if (!i64_add(c->reserved_nusd, cost_nusd, &sum)) {
            return false; /* more than money can be counted: refused also without a budget */
        }
    }
    if (n->tokens) {
        window_advance(n->tokens, t->token_slot);
    }
    return n->spec.tokens_per_min < 0 ||
           i64_add_sat(n->tokens->sum, tokens) <= n->spec.tokens_per_min;
}

static COLD void offer_budget(struct quota_node *n, const struct limit_ticket *t, int period,
                              int64_t cost_nusd, struct limit_refusal *out)
{
    int64_t budget = ((n->hard >> period) & 1) ? n->spec.budget_nusd[period] : INT64_MAX - 1;
    struct budget_cell *c = quota_cell(n, period, t->period[period]);
    assert(c);
    if (fits_budget(c, cost_nusd, budget)) {
        return;
    }
    bool is_open = i64_add_sat(c->spent_nusd, cost_nusd) <= budget;
    int64_t end_unix_ns = quota_period_end_unix_ns(period, t->period[period]);
    int64_t wait_ns = -1;
    if (is_open) {
        wait_ns = RETRY_UNKNOWN_NS;
    } else if (end_unix_ns != INT64_MAX && cost_nusd <= budget) {
        wait_ns = max0(end_unix_ns - n->owner->clock.unix_ns());
    }
    refusal_offer(out, (struct limit_refusal){.kind = LIMIT_BUDGET_DAY + (unsigned)period,
                                              .node = n->id,
                                              .limit = budget,
                                              .used = budget_used(c),
                                              .retry_after_ns = wait_ns,
                                              .is_open_reservations = is_open});
}

static COLD void refuse_reserve(const struct limit_ticket *t, int64_t cost_nusd, int64_t tokens,
                                int64_t mono_ns, struct limit_refusal *out)
{
    *out = (struct limit_refusal){0};
    for (size_t i = 0; i < t->depth; i++) {
        struct quota_node *n = t->nodes[i];
        for (int k = 0; k < LIMIT_PERIODS; k++) {
            offer_budget(n, t, k, cost_nusd, out);
        }
        if (n->spec.tokens_per_min < 0) {
            continue;
        }
        window_advance(n->tokens, t->token_slot);
        if (i64_add_sat(n->tokens->sum, tokens) > n->spec.tokens_per_min) {
            refusal_offer(out, (struct limit_refusal){
                                   .kind = LIMIT_TOKENS,
                                   .node = n->id,
                                   .limit = n->spec.tokens_per_min,
                                   .used = n->tokens->sum,
                                   .retry_after_ns = window_wait_ns(
                                       n->tokens, n->spec.tokens_per_min, tokens, mono_ns)});
        }
    }
}

static void reserve(struct quota_node *n, const struct limit_ticket *t)
{
    for (int k = 0; k < LIMIT_PERIODS; k++) {
        struct budget_cell *c = quota_cell(n, k, t->period[k]);
        assert(c);
        c->reserved_nusd += t->reserved_nusd;
    }
    if (n->tokens) {
        window_add(n->tokens, t->token_slot, t->reserved_tokens);
    }
}

static bool counts_tokens(const struct limit_ticket *t)
{
    for (size_t i = 0; i < t->depth; i++) {
        if (t->nodes[i]->tokens) {
            return true;
        }
    }
    return false;
}

HOT bool limit_reserve(struct limit *l, struct limit_ticket *ticket, int64_t cost_nusd,
                       int64_t tokens, struct limit_refusal *refusal)
{
    assert(ticket->is_admitted && !ticket->is_reserved && cost_nusd >= 0 && tokens >= 0);
    struct quota_locks locks;
    quota_lock_nodes(ticket->nodes, ticket->depth, &locks);
    int64_t mono_ns = 0; /* read only where something slides: a reading costs as much as the rest */
    if (counts_tokens(ticket)) {
        mono_ns = l->clock.mono_ns();
        ticket->token_slot = quota_lock_slot(locks.held[0], mono_ns);
    }
    redate(ticket);

    bool is_reserved = true;
    for (size_t i = 0; i < ticket->depth && is_reserved; i++) {
        is_reserved = fits(ticket->nodes[i], ticket, cost_nusd, tokens);
    }
    if (is_reserved) {
        ticket->is_reserved = true;
        ticket->reserved_nusd = cost_nusd;
        ticket->reserved_tokens = tokens;
        for (size_t i = 0; i < ticket->depth; i++) {
            reserve(ticket->nodes[i], ticket);
        }
    } else if (refusal) {
        refuse_reserve(ticket, cost_nusd, tokens, mono_ns, refusal);
    }
    quota_unlock_nodes(&locks);
    return is_reserved;
}

/* --- settle and cancel ---------------------------------------------------------------------------
 */

/* Reservation back, cost booked, in the period of the ticket. A period that is no longer kept has
 * forgotten both; the ledger has not. */
static void settle_money(struct quota_node *n, const struct limit_ticket *t, int64_t cost_nusd)
{
    for (int k = 0; k < LIMIT_PERIODS; k++) {
        struct budget_cell *c = quota_cell(n, k, t->period[k]);
        if (c) {
            c->reserved_nusd -= t->reserved_nusd;
            c->spent_nusd = i64_add_sat(c->spent_nusd, cost_nusd);
            assert(c->reserved_nusd >= 0);
        }
    }
}

static void settle_tokens(struct quota_node *n, const struct limit_ticket *t, int64_t tokens)
{
    if (!n->tokens) {
        return;
    }
    if (tokens < t->reserved_tokens) {
        window_sub(n->tokens, t->token_slot, t->reserved_tokens - tokens);
    } else {
        window_add(n->tokens, t->token_slot, tokens - t->reserved_tokens);
    }
}

HOT bool limit_settle(struct limit *l, struct limit_ticket *ticket, int64_t cost_nusd,
                      int64_t tokens)
{
    (void)l;
    if (!ticket->is_admitted) {
        return false;
    }
    assert(cost_nusd >= 0 && tokens >= 0);
    uint8_t hard = 0;
    struct quota_locks locks;
    quota_lock_nodes(ticket->nodes, ticket->depth, &locks);
    for (size_t i = 0; i < ticket->depth; i++) {
        struct quota_node *n = ticket->nodes[i];
        assert(n->concurrent > 0);
        n->concurrent--;
        hard |= n->hard;
        settle_money(n, ticket, cost_nusd);
        settle_tokens(n, ticket, tokens);
    }
    quota_unlock_nodes(&locks);
    bool is_overrun = hard && cost_nusd > ticket->reserved_nusd;
    *ticket = (struct limit_ticket){0};
    return is_overrun;
}

void limit_cancel(struct limit *l, struct limit_ticket *ticket)
{
    (void)l;
    if (!ticket->is_admitted) {
        return;
    }
    struct quota_locks locks;
    quota_lock_nodes(ticket->nodes, ticket->depth, &locks);
    for (size_t i = 0; i < ticket->depth; i++) {
        struct quota_node *n = ticket->nodes[i];
        assert(n->concurrent > 0);
        n->concurrent--;
        settle_money(n, ticket, 0);
        settle_tokens(n, ticket, 0);
        if (n->rate) {
            window_sub(n->rate, ticket->rate_slot, 1);
        }
    }
    quota_unlock_nodes(&locks);
    *ticket = (struct limit_ticket){0};
}

/* --- start and view ------------------------------------------------------------------------------
 */

void limit_restore_spent(struct quota_node *n, int period, int64_t period_number, int64_t cost_nusd)
{
    assert(period >= 0 && period < LIMIT_PERIODS && cost_nusd >= 0);
    int64_t unix_ns = n->owner->clock.unix_ns();
    struct quota_lock *lock = quota_lock_node(n);
    quota_lock_periods(lock, unix_ns);
    /* A period that has not begun (a clock was wrong) would bar the running one from its cell. */
    if (period_number <= lock->period[period] && period_number > INT32_MIN) {
        struct budget_cell *c = quota_cell(n, period, (int32_t)period_number);
        if (c) {
            c->spent_nusd = i64_add_sat(c->spent_nusd, cost_nusd);
        }
    }
    quota_unlock(lock);
}

void limit_restore_admission(struct quota_node *n, int64_t admitted_unix_ns, int64_t count,
                             int64_t tokens)
{
    assert(count >= 0 && tokens >= 0);
    int64_t unix_ns = n->owner->clock.unix_ns();
    struct quota_lock *lock = quota_lock_node(n);
    int64_t mono_ns = n->owner->clock.mono_ns();
    uint32_t now = quota_lock_slot(lock, mono_ns);
    int64_t age_ns = max0(unix_ns - admitted_unix_ns); /* of the future: counted as of now */
    if (age_ns < LIMIT_SLOTS * LIMIT_SLOT_NS) {
        /* The origin keeps the sum positive however short the machine has been up. */
        int64_t from_origin_ns = mono_ns + WINDOW_SLOT_ORIGIN * LIMIT_SLOT_NS - age_ns;
        uint32_t slot = (uint32_t)(from_origin_ns / LIMIT_SLOT_NS);
        if (n->rate) {
            window_advance(n->rate, now);
            window_add(n->rate, slot, count);
        }
        if (n->tokens) {
            window_advance(n->tokens, now);
            window_add(n->tokens, slot, tokens);
        }
    }
    quota_unlock(lock);
}

void limit_view(struct limit *l, struct quota_node *n, struct quota_view *out)
{
    int64_t unix_ns = l->clock.unix_ns();
    struct quota_lock *lock = quota_lock_node(n);
    uint32_t slot = quota_lock_slot(lock, l->clock.mono_ns());
    quota_lock_periods(lock, unix_ns);
    *out = (struct quota_view){.spec = n->spec, .concurrent = n->concurrent};
    if (n->rate) {
        window_advance(n->rate, slot);
        out->requests_used = n->rate->sum;
    }
    if (n->tokens) {
        window_advance(n->tokens, slot);
        out->tokens_used = n->tokens->sum;
    }
    for (int k = 0; k < LIMIT_PERIODS; k++) {
        struct budget_cell *c = quota_cell(n, k, lock->period[k]);
        if (c) {
            out->spent_nusd[k] = c->spent_nusd;
            out->reserved_nusd[k] = c->reserved_nusd;
        }
    }
    quota_unlock(lock);
}

const char *limit_kind_name(enum limit_kind kind)
{
    switch (kind) {
    case LIMIT_NONE: return "none";
    case LIMIT_REQUESTS: return "requests_per_minute";
    case LIMIT_TOKENS: return "tokens_per_minute";
    case LIMIT_CONCURRENT: return "concurrent_requests";
    case LIMIT_BUDGET_DAY: return "daily_budget";
    case LIMIT_BUDGET_WEEK: return "weekly_budget";
    case LIMIT_BUDGET_MONTH: return "monthly_budget";
    case LIMIT_BUDGET_TOTAL: return "total_budget";
    }
    return "none";
}
