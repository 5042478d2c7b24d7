#include "upstream/health.h"

#include "core/check.h"
#include "core/clock.h"
#include "core/hash.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    BUCKETS = 1024,             /* a power of two; a few hundred nodes are usual */
    NODES_MAX = 16384,          /* names come from the configuration; this bounds a wild one */
    NAME_MAX_BYTES = 512,       /* "provider/model" */
    FAILURES_IN_A_ROW_MAX = 5,  /* opens the breaker */
    WINDOW_SLOTS = 10,          /* of one second */
    WINDOW_CALLS_MIN = 20,      /* fewer calls say nothing about a share of failures */
    EWMA_SHIFT = 3,             /* a sample weighs 1/8 */
    RAMP_SHARE_MIN_PERCENT = 10 /* so that a quiet target sees a call at all */
};

static const int64_t open_min_ns = 10 * NS_PER_S;
static const int64_t open_max_ns = 5 * NS_PER_MIN;
static const int64_t ramp_ns = 10 * NS_PER_S;
static const int64_t trial_lost_ns = 60 * NS_PER_S; /* a claim nobody ended is given again */
static const int64_t limited_min_ns = NS_PER_S;
static const int64_t refused_min_ns = 60 * NS_PER_S;
static const int64_t aside_max_ns = 10 * NS_PER_MIN; /* also of what a provider asks for */
static const int64_t ewma_half_life_ns = 10 * NS_PER_S;

struct health_node {
    struct health_node *next; /* in its bucket; set once, before the node is published */
    uint64_t hash;
    pthread_mutex_t lock; /* held for changes of state only */
    int64_t open_ns;      /* how long the next OPEN lasts; under lock */

    _Atomic int state;
    _Atomic int64_t until_ns; /* OPEN: end; RAMP: end */
    _Atomic int64_t trial_ns; /* HALF_OPEN: when the trial was claimed; 0: it is free */
    _Atomic int64_t in_flight;
    _Atomic int64_t ewma_ns;
    _Atomic int64_t sampled_ns; /* when ewma_ns was last fed */
    _Atomic int64_t aside_until_ns;
    _Atomic int failures_in_a_row;
    _Atomic int asides_in_a_row;
    _Atomic bool is_used;
    /* One second each: second << 32 | calls << 16 | failures. A slot of another second is empty. */
    _Atomic uint64_t window[WINDOW_SLOTS];

    size_t name_len;
    char name[];
};

struct health {
    uint64_t key[2];
    pthread_mutex_t lock; /* covers insertion */
    size_t count;
    _Atomic(struct health_node *) buckets[BUCKETS];
};

enum err health_new(struct health **out)
{
    struct health *h = calloc(1, sizeof(*h));
    if (!h) {
        return E_NOMEM;
    }
    rand_bytes(h->key, sizeof(h->key));
    pthread_mutex_init(&h->lock, NULL);
    *out = h;
    return OK;
}

void health_free(struct health *h)
{
    if (!h) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        struct health_node *n = atomic_load(&h->buckets[i]);
        while (n) {
            struct health_node *next = n->next;
            pthread_mutex_destroy(&n->lock);
            free(n);
            n = next;
        }
    }
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static struct health_node *find(struct health *h, uint64_t hash, struct slice name)
{
    struct health_node *n = atomic_load_explicit(&h->buckets[hash % BUCKETS], memory_order_acquire);
    while (n && (n->hash != hash || !slice_eq(slice_of(n->name, n->name_len), name))) {
        n = n->next;
    }
    return n;
}

static struct health_node *make(uint64_t hash, struct slice name)
{
    struct health_node *n = calloc(1, sizeof(*n) + name.len + 1);
    if (!n) {
        return NULL;
    }
    n->hash = hash;
    n->open_ns = open_min_ns;
    n->name_len = name.len;
    if (name.len) {
        memcpy(n->name, name.ptr, name.len);
    }
    pthread_mutex_init(&n->lock, NULL);
    return n;
}

struct health_node *health_node(struct health *h, struct slice name)
{
    name = slice_head(name, NAME_MAX_BYTES);
    uint64_t hash = siphash(h->key, name);
    struct health_node *n = find(h, hash, name);
    if (n) {
        return n;
    }
    struct health_node *fresh = make(hash, name); /* before the lock: it may take a while */
    if (!fresh) {
        return NULL;
    }
    pthread_mutex_lock(&h->lock);
    n = find(h, hash, name);
    if (!n && h->count < NODES_MAX) {
        fresh->next = atomic_load(&h->buckets[hash % BUCKETS]);
        atomic_store_explicit(&h->buckets[hash % BUCKETS], fresh, memory_order_release);
        h->count++;
        n = TAKE(fresh);
    }
    pthread_mutex_unlock(&h->lock);
    if (fresh) {
        pthread_mutex_destroy(&fresh->lock);
        free(fresh);
    }
    return n;
}

/* ---- state; every edge of the header's table is one of these, under the node's lock ---- */

static enum breaker_state state_of(const struct health_node *n)
{
    return (enum breaker_state)atomic_load_explicit(&n->state, memory_order_acquire);
}

static void enter_open(struct health_node *n, int64_t now_ns)
{
    atomic_store(&n->until_ns, i64_add_sat(now_ns, n->open_ns));
    n->open_ns = i64_min(n->open_ns * 2, open_max_ns);
    atomic_store(&n->trial_ns, 0);
    atomic_store_explicit(&n->state, BREAKER_OPEN, memory_order_release);
}

static void enter_half_open(struct health_node *n)
{
    atomic_store(&n->trial_ns, 0);
    atomic_store_explicit(&n->state, BREAKER_HALF_OPEN, memory_order_release);
}

static void enter_ramp(struct health_node *n, int64_t now_ns)
{
    atomic_store(&n->until_ns, i64_add_sat(now_ns, ramp_ns));
    atomic_store_explicit(&n->state, BREAKER_RAMP, memory_order_release);
}

/* What happened before the breaker opened must not open it again. */
static void enter_closed(struct health_node *n)
{
    n->open_ns = open_min_ns;
    for (size_t i = 0; i < WINDOW_SLOTS; i++) {
        atomic_store_explicit(&n->window[i], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&n->state, BREAKER_CLOSED, memory_order_release);
}

/* The edges that time alone makes. */
static void advance(struct health_node *n, int64_t now_ns)
{
    enum breaker_state state = state_of(n);
    if ((state != BREAKER_OPEN && state != BREAKER_RAMP) || now_ns < atomic_load(&n->until_ns)) {
        return;
    }
    pthread_mutex_lock(&n->lock);
    if (now_ns >= atomic_load(&n->until_ns)) {
        if (state_of(n) == BREAKER_OPEN) {
            enter_half_open(n);
        } else if (state_of(n) == BREAKER_RAMP) {
            enter_closed(n);
        }
    }
    pthread_mutex_unlock(&n->lock);
}

static bool claim_trial(struct health_node *n, int64_t now_ns)
{
    int64_t claimed = atomic_load(&n->trial_ns);
    if (claimed != 0 && now_ns - claimed < trial_lost_ns) {
        return false;
    }
    int64_t mine = now_ns > 0 ? now_ns : 1; /* 0 means free */
    return atomic_compare_exchange_strong(&n->trial_ns, &claimed, mine);
}

static bool ramp_admits(const struct health_node *n, int64_t now_ns, uint64_t random)
{
    int64_t left_ns = atomic_load(&n->until_ns) - now_ns;
    int64_t percent = left_ns <= 0 ? 100 : 100 - left_ns * 100 / ramp_ns;
    return (int64_t)(random % 100) < i64_max(percent, RAMP_SHARE_MIN_PERCENT);
}

bool health_admits(struct health_node *n, int64_t now_ns, uint64_t random)
{
    if (now_ns < atomic_load_explicit(&n->aside_until_ns, memory_order_relaxed)) {
        return false;
    }
    advance(n, now_ns);
    switch (state_of(n)) {
    case BREAKER_CLOSED: return true;
    case BREAKER_OPEN: return false;
    case BREAKER_HALF_OPEN: return claim_trial(n, now_ns);
    case BREAKER_RAMP: return ramp_admits(n, now_ns, random);
    }
    return false;
}

/* An average that nobody feeds fades, or a target that was slow once would never be asked again. */
static int64_t faded(const struct health_node *n, int64_t now_ns)
{
    int64_t ewma_ns = atomic_load_explicit(&n->ewma_ns, memory_order_relaxed);
    int64_t age_ns = now_ns - atomic_load_explicit(&n->sampled_ns, memory_order_relaxed);
    int64_t halvings = age_ns > 0 ? age_ns / ewma_half_life_ns : 0;
    return halvings > 40 ? 0 : ewma_ns >> halvings;
}

struct health_view health_view(const struct health_node *n, int64_t now_ns)
{
    struct health_view view = {.state = state_of(n),
                               .in_flight =
                                   atomic_load_explicit(&n->in_flight, memory_order_relaxed),
                               .first_byte_ewma_ns = faded(n, now_ns)};
    int64_t until_ns = atomic_load(&n->until_ns);
    if (view.state == BREAKER_OPEN && now_ns >= until_ns) {
        view.state = BREAKER_HALF_OPEN;
    } else if (view.state == BREAKER_RAMP && now_ns >= until_ns) {
        view.state = BREAKER_CLOSED;
    } else if (view.state == BREAKER_OPEN) {
        view.open_until_ns = until_ns;
    }
    int64_t trial_ns = atomic_load(&n->trial_ns);
    view.is_trial_out =
        view.state == BREAKER_HALF_OPEN && trial_ns != 0 && now_ns - trial_ns < trial_lost_ns;
    int64_t aside_until_ns = atomic_load_explicit(&n->aside_until_ns, memory_order_relaxed);
    view.set_aside_until_ns = aside_until_ns > now_ns ? aside_until_ns : 0;
    return view;
}

void health_begin(struct health_node *n)
{
    atomic_fetch_add_explicit(&n->in_flight, 1, memory_order_relaxed);
    if (!atomic_load_explicit(&n->is_used, memory_order_relaxed)) {
        atomic_store_explicit(&n->is_used, true, memory_order_relaxed);
    }
}

/* Lost updates between threads cost one sample of an average and are let be. */
static void feed_ewma(struct health_node *n, int64_t now_ns, int64_t first_byte_ns)
{
    int64_t old = faded(n, now_ns);
    int64_t fresh = old == 0 ? first_byte_ns : old + (first_byte_ns - old) / (1 << EWMA_SHIFT);
    atomic_store_explicit(&n->ewma_ns, i64_max(fresh, 1), memory_order_relaxed);
    atomic_store_explicit(&n->sampled_ns, now_ns, memory_order_relaxed);
}

static void count_call(struct health_node *n, int64_t now_ns, bool is_failure)
{
    uint64_t second = (uint64_t)(now_ns / NS_PER_S) & UINT32_MAX;
    _Atomic uint64_t *slot = &n->window[second % WINDOW_SLOTS];
    uint64_t old = atomic_load_explicit(slot, memory_order_relaxed);
    uint64_t fresh;
    do {
        uint64_t calls = old >> 32 == second ? (old >> 16) & UINT16_MAX : 0;
        uint64_t failures = old >> 32 == second ? old & UINT16_MAX : 0;
        if (calls == UINT16_MAX) { /* the share is known well enough by now */
            return;
        }
        fresh = second << 32 | (calls + 1) << 16 | (failures + (is_failure ? 1 : 0));
    } while (!atomic_compare_exchange_weak_explicit(slot, &old, fresh, memory_order_relaxed,
                                                    memory_order_relaxed));
}

static bool half_of_the_window_failed(const struct health_node *n, int64_t now_ns)
{
    uint64_t second = (uint64_t)(now_ns / NS_PER_S) & UINT32_MAX;
    uint64_t calls = 0;
    uint64_t failures = 0;
    for (size_t i = 0; i < WINDOW_SLOTS; i++) {
        uint64_t slot = atomic_load_explicit(&n->window[i], memory_order_relaxed);
        if (((second - (slot >> 32)) & UINT32_MAX) < WINDOW_SLOTS) {
            calls += (slot >> 16) & UINT16_MAX;
            failures += slot & UINT16_MAX;
        }
    }
    return calls >= WINDOW_CALLS_MIN && failures * 2 >= calls;
}

static void on_failure(struct health_node *n, int64_t now_ns)
{
    count_call(n, now_ns, true);
    int in_a_row = atomic_fetch_add_explicit(&n->failures_in_a_row, 1, memory_order_relaxed) + 1;
    bool opens = in_a_row >= FAILURES_IN_A_ROW_MAX || half_of_the_window_failed(n, now_ns);
    pthread_mutex_lock(&n->lock);
    switch (state_of(n)) {
    case BREAKER_CLOSED:
        if (opens) {
            enter_open(n, now_ns);
        }
        break;
    case BREAKER_HALF_OPEN:
    case BREAKER_RAMP: enter_open(n, now_ns); break;
    case BREAKER_OPEN: break; /* a call from before */
    }
    pthread_mutex_unlock(&n->lock);
}

static void on_success(struct health_node *n, int64_t now_ns)
{
    count_call(n, now_ns, false);
    if (atomic_load_explicit(&n->failures_in_a_row, memory_order_relaxed) != 0) {
        atomic_store_explicit(&n->failures_in_a_row, 0, memory_order_relaxed);
    }
    if (atomic_load_explicit(&n->asides_in_a_row, memory_order_relaxed) != 0) {
        atomic_store_explicit(&n->asides_in_a_row, 0, memory_order_relaxed);
    }
    if (state_of(n) == BREAKER_HALF_OPEN) {
        pthread_mutex_lock(&n->lock);
        if (state_of(n) == BREAKER_HALF_OPEN) {
            enter_ramp(n, now_ns);
        }
        pthread_mutex_unlock(&n->lock);
    }
}

/* The provider's own word counts, within aside_max_ns; without one the pause doubles. */
static void set_aside(struct health_node *n, int64_t now_ns, int64_t first_ns,
                      int64_t retry_after_ns)
{
    int before = atomic_fetch_add_explicit(&n->asides_in_a_row, 1, memory_order_relaxed);
    int64_t pause_ns = first_ns;
    for (int i = 0; i < before && pause_ns < aside_max_ns; i++) {
        pause_ns *= 2;
    }
    pause_ns = i64_min(retry_after_ns > 0 ? retry_after_ns : pause_ns, aside_max_ns);
    int64_t until_ns = i64_add_sat(now_ns, pause_ns);
    int64_t old = atomic_load(&n->aside_until_ns);
    while (old < until_ns && !atomic_compare_exchange_weak(&n->aside_until_ns, &old, until_ns)) {
    }
}

/* A trial that ended without a verdict is free again. */
static void release_trial(struct health_node *n)
{
    if (state_of(n) == BREAKER_HALF_OPEN) {
        atomic_store(&n->trial_ns, 0);
    }
}

void health_end(struct health_node *n, enum health_outcome outcome, int64_t now_ns,
                int64_t first_byte_ns, int64_t retry_after_ns)
{
    int64_t before = atomic_fetch_sub_explicit(&n->in_flight, 1, memory_order_relaxed);
    assert(before > 0);
    advance(n, now_ns);
    if (first_byte_ns >= 0 && (outcome == HEALTH_OK || outcome == HEALTH_UNKNOWN)) {
        feed_ewma(n, now_ns, first_byte_ns);
    }
    switch (outcome) {
    case HEALTH_OK: on_success(n, now_ns); break;
    case HEALTH_FAILED: on_failure(n, now_ns); break;
    case HEALTH_LIMITED:
        set_aside(n, now_ns, limited_min_ns, retry_after_ns);
        release_trial(n);
        break;
    case HEALTH_REFUSED:
        set_aside(n, now_ns, refused_min_ns, retry_after_ns);
        release_trial(n);
        break;
    case HEALTH_UNKNOWN: release_trial(n); break;
    }
}

void health_each(struct health *h,
                 void (*fn)(void *ctx, struct slice name, const struct health_view *view),
                 void *ctx, int64_t now_ns)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        const struct health_node *n = atomic_load_explicit(&h->buckets[i], memory_order_acquire);
        for (; n; n = n->next) {
            if (atomic_load_explicit(&n->is_used, memory_order_relaxed)) {
                struct health_view view = health_view(n, now_ns);
                fn(ctx, slice_of(n->name, n->name_len), &view);
            }
        }
    }
}
