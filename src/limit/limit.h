/* limit/limit.h -- may this request pass, and what may it spend? Admit, reserve, settle over quota
 * trees.
 *
 * A quota tree mirrors the tenants: root tenant ... tenant, then key. Nodes live in a registry with
 * stable addresses that outlives configuration and directory versions. One short adaptive mutex per
 * root tenant's tree covers "check all levels, then take all" and settle; nothing inside allocates
 * or calls out.
 *
 * Rates: sliding 60 s in 240 slots of 250 ms; slots s-240 .. s are counted (241), so no interval of
 * 60 s ever admits more than the limit. Slot time is a fresh monotonic reading inside the lock and
 * never goes back. Refusals are not counted. Budgets: spent + reserved + new <= budget, per
 * calendar period (UTC) of the admission. A ticket remembers the nodes and period numbers it took
 * from and gives back to exactly those.
 *
 * Invariant per node and period: reserved = sum over open tickets; every reservation ends in settle
 * or release.
 */
#ifndef LIMIT_LIMIT_H
#define LIMIT_LIMIT_H

#include "core/clock.h"
#include "core/err.h"
#include "core/id.h"

enum { LIMIT_DEPTH_MAX = 9, LIMIT_PERIODS = 4, LIMIT_SLOTS = 241 };
#define LIMIT_SLOT_NS (250 * NS_PER_MS)

struct limit;      /* the registry; one a process */
struct quota_node; /* a tenant or a key */

/* -1: absent. Periods as store's enum budget_period: day, week, month, total. */
struct quota_spec {
    int64_t rate_per_min;
    int64_t tokens_per_min;
    int64_t concurrent_max;
    int64_t budget_nusd[LIMIT_PERIODS];
    uint8_t soft_budgets;
    bool is_key; /* the caller's mark: a key, not a tenant; limit does not look at it */
};

enum limit_kind {
    LIMIT_NONE = 0,
    LIMIT_REQUESTS,
    LIMIT_TOKENS,
    LIMIT_CONCURRENT,
    LIMIT_BUDGET_DAY,
    LIMIT_BUDGET_WEEK,
    LIMIT_BUDGET_MONTH,
    LIMIT_BUDGET_TOTAL
};

struct limit_clock {
    int64_t (*mono_ns)(void);
    int64_t (*unix_ns)(void);
}; /* NULL members: the system's */

/* What an exchange took; zeroed: nothing. Small, by value in the exchange. */
struct limit_ticket {
    uint8_t depth;
    bool is_admitted, is_reserved;
    struct quota_node *nodes[LIMIT_DEPTH_MAX]; /* key first */
    int32_t period[LIMIT_PERIODS];             /* period numbers at admission */
    int64_t reserved_nusd;
    int64_t reserved_tokens;
    uint32_t token_slot; /* slot the tokens were taken in */
    uint32_t rate_slot;  /* slot the request was counted in; limit_cancel() gives it back there */
    int64_t admitted_unix_ns;
};

/* Of several limits in the way, the one that takes longest to pass. */
struct limit_refusal {
    enum limit_kind kind;
    struct id node; /* tenant or key whose limit refused */
    int64_t limit;  /* its value: a count or nano-USD */
    int64_t used;   /* spent or counted, with reservations */
    /* Until the next request would pass every level; -1: not by waiting (total budget, a limit of
     * 0, more than the whole limit asked for). What only other requests' ends can free
     * (concurrency, open reservations) has no known time: 1 s. */
    int64_t retry_after_ns;
    bool is_open_reservations; /* only others' open reservations stand in the way */
};

/* For headers: the tightest level. -1: no such limit. */
struct limit_remaining {
    int64_t requests_limit, requests_left, requests_reset_ns;
    int64_t tokens_limit, tokens_left, tokens_reset_ns;
};

MUST_USE enum err limit_new(const struct limit_clock *clock, struct limit **out);
void limit_free(struct limit *l);

/* Finds or makes the node and gives it these limits; parent NULL makes a root. Changing the parent
 * of a node moves it with all below it (tickets in flight return to the nodes they took from). NULL
 * on no memory, when the tree would be deeper than LIMIT_DEPTH_MAX, or when parent stands below the
 * node; nothing is changed then. Not on the request path. */
struct quota_node *limit_node_put(struct limit *l, struct id id, struct quota_node *parent,
                                  const struct quota_spec *spec);
struct quota_node *limit_node_find(struct limit *l, struct id id); /* NULL when absent */

/* Start: what the ledger knows. Each adds to this node only (callers add the ancestors' share
 * themselves). */
void limit_restore_spent(struct quota_node *n, int period, int64_t period_number,
                         int64_t cost_nusd);
void limit_restore_admission(struct quota_node *n, int64_t admitted_unix_ns, int64_t count,
                             int64_t tokens);
struct quota_node *limit_node_parent(const struct quota_node *n);
struct id limit_node_id(const struct quota_node *n);

/* True: taken on every level, ticket filled. False: nothing taken, refusal filled. remaining is
 * filled either way; it and refusal may be NULL. */
MUST_USE bool limit_admit(struct limit *l, struct quota_node *leaf, struct limit_ticket *ticket,
                          struct limit_remaining *remaining, struct limit_refusal *refusal);
/* Money and tokens, after admit. False: nothing reserved; the caller then calls limit_cancel() to
 * give back what admit took. */
MUST_USE bool limit_reserve(struct limit *l, struct limit_ticket *ticket, int64_t cost_nusd,
                            int64_t tokens, struct limit_refusal *refusal);
/* The end of every admitted request: actual cost and tokens replace what was reserved (nothing,
 * when it never came to reserve); concurrency is given back. True when actual exceeded reserved on
 * a hard budget (an overrun: booked all the same). Idempotent by clearing the ticket. */
bool limit_settle(struct limit *l, struct limit_ticket *ticket, int64_t cost_nusd, int64_t tokens);
/* As if it had never been admitted: also the rate slot is given back. */
void limit_cancel(struct limit *l, struct limit_ticket *ticket);

/* For explain and admin: counters of one node. */
struct quota_view {
    struct quota_spec spec;
    int64_t requests_used, tokens_used, concurrent;
    int64_t spent_nusd[LIMIT_PERIODS], reserved_nusd[LIMIT_PERIODS];
};
void limit_view(struct limit *l, struct quota_node *n, struct quota_view *out);
const char *limit_kind_name(
    enum limit_kind kind); /* "requests_per_minute", "monthly_budget", ... */

#endif
