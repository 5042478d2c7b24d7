/* The next target of a plan and the key for it. */
#include "core/check.h"
#include "core/hash.h"
#include "route/rank.h"
#include "route/route.h"

#include <assert.h>

/* splitmix64: as many independent draws as needed from the caller's 64 random bits. */
static uint64_t draw(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static size_t below(uint64_t *state, size_t n)
{
    assert(n > 0);
    return (size_t)(draw(state) % n);
}

static int64_t key_aside_ns(const struct route_provider *p, size_t key, int64_t now_ns)
{
    const struct health_node *node = p->keys[key].health;
    return node ? health_view(node, now_ns).set_aside_until_ns : 0;
}

static bool was_tried(uint16_t keys, size_t key)
{
    return ((unsigned)keys >> key & 1u) != 0;
}

/* Untried keys that are not set aside, as bits. */
static uint16_t healthy_keys(const struct route_provider *p, uint16_t tried, int64_t now_ns)
{
    uint16_t healthy = 0;
    for (size_t i = 0; i < p->key_count; i++) {
        if (!was_tried(tried, i) && key_aside_ns(p, i, now_ns) == 0) {
            healthy = (uint16_t)(healthy | 1u << i);
        }
    }
    return healthy;
}

static bool all_tried_are_aside(const struct route_provider *p, uint16_t tried, int64_t now_ns)
{
    for (size_t i = 0; i < p->key_count; i++) {
        if (was_tried(tried, i) && key_aside_ns(p, i, now_ns) == 0) {
            return false;
        }
    }
    return true;
}

/* May the target be tried (again)? */
static bool is_open(const struct route_target *target, bool is_tried, uint16_t tried_keys,
                    int64_t now_ns)
{
    const struct route_provider *p = target->provider;
    if (p->key_count > 0 && healthy_keys(p, tried_keys, now_ns) == 0) {
        return false;
    }
    if (is_tried && (p->key_count == 0 || !all_tried_are_aside(p, tried_keys, now_ns))) {
        return false;
    }
    struct health_view view = health_view(target->health, now_ns);
    return view.set_aside_until_ns == 0 && view.state != BREAKER_OPEN && !view.is_trial_out;
}

/* Of a secret only where it ranks for this value: nothing of it leaves. */
static size_t ranked_key(const struct route_provider *p, uint16_t keys, uint64_t affinity)
{
    size_t best = SIZE_MAX;
    uint64_t least = 0;
    for (size_t i = 0; i < p->key_count; i++) {
        uint64_t rank = rank_of(rank_hash(affinity, secret_slice(&p->keys[i].secret), SLICE_NONE));
        if (was_tried(keys, i) && (best == SIZE_MAX || rank < least)) {
            best = i;
            least = rank;
        }
    }
    return best;
}

static size_t pick_key(const struct route_provider *p, uint16_t tried, uint64_t affinity,
                       int64_t now_ns, uint64_t *random)
{
    if (p->key_count == 0) {
        return SIZE_MAX;
    }
    uint16_t healthy = healthy_keys(p, tried, now_ns);
    if (healthy == 0) { /* another thread set the last one aside just now: an untried one then */
        healthy = (uint16_t)((1u << p->key_count) - 1u) & (uint16_t) ~(unsigned)tried;
    }
    if (affinity && p->key_count > 1) {
        return ranked_key(p, healthy, affinity);
    }
    size_t skip = below(random, (size_t)__builtin_popcount(healthy));
    for (size_t i = 0; i < p->key_count; i++) {
        if (was_tried(healthy, i) && skip-- == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Candidates of one tier: indexes into the plan. */
struct field {
    size_t at[ROUTE_CANDIDATES_MAX];
    size_t count;
    uint64_t weight;
};

static void field_add(struct field *f, const struct route_plan *plan, size_t target)
{
    f->at[f->count++] = target;
    f->weight += (uint64_t)plan->targets[target].weight;
}

static void field_remove(struct field *f, const struct route_plan *plan, size_t position)
{
    f->weight -= (uint64_t)plan->targets[f->at[position]].weight;
    f->at[position] = f->at[--f->count];
}

static size_t by_weight(const struct field *f, const struct route_plan *plan, uint64_t *random)
{
    uint64_t at = draw(random) % f->weight;
    size_t i = 0;
    while (at >= (uint64_t)plan->targets[f->at[i]].weight) {
        at -= (uint64_t)plan->targets[f->at[i]].weight;
        i++;
    }
    assert(i < f->count);
    return i;
}

/* Calls in flight for its share, times how long a first byte takes. One is added after the division
 * by weight, so that idle targets are equal and the draw's weights alone decide between them. */
static bool is_clearly_lighter(const struct route_target *a, const struct route_target *b,
                               int64_t now_ns)
{
    enum { UNIT = 1024, WAIT_MAX_US = 600000000 };
    struct health_view x = health_view(a->health, now_ns);
    struct health_view y = health_view(b->health, now_ns);
    int64_t x_us = i64_min(x.first_byte_ewma_ns / 1000, WAIT_MAX_US);
    int64_t y_us = i64_min(y.first_byte_ewma_ns / 1000, WAIT_MAX_US);
    if (x_us == 0 || y_us == 0) { /* of one nothing is known: only the load counts */
        x_us = y_us = 1;
    }
    int64_t x_load = i64_min(x.in_flight, UINT16_MAX) * UNIT / a->weight + UNIT;
    int64_t y_load = i64_min(y.in_flight, UINT16_MAX) * UNIT / b->weight + UNIT;
    return x_load * x_us * 5 < y_load * y_us * 4;
}

static size_t two_choices(const struct field *f, const struct route_plan *plan, int64_t now_ns,
                          uint64_t *random)
{
    size_t first = by_weight(f, plan, random);
    size_t second = by_weight(f, plan, random);
    return is_clearly_lighter(&plan->targets[f->at[second]], &plan->targets[f->at[first]], now_ns)
               ? second
               : first;
}

static uint64_t target_hash(const struct route_target *t, uint64_t affinity)
{
    return rank_hash(affinity, t->provider->name, t->model);
}

/* The target that the value ranks first. */
static size_t ranked_target(const struct field *f, const struct route_plan *plan, uint64_t affinity)
{
    size_t best = 0;
    uint64_t least = 0;
    uint64_t weight = 1;
    for (size_t i = 0; i < f->count; i++) {
        const struct route_target *t = &plan->targets[f->at[i]];
        uint64_t rank = rank_of(target_hash(t, affinity));
        if (i == 0 || rank_is_before(rank, (uint64_t)t->weight, least, weight)) {
            best = i;
            least = rank;
            weight = (uint64_t)t->weight;
        }
    }
    return best;
}

static void mark(struct route_tried *tried, const struct route_choice *choice)
{
    tried->targets |= UINT32_C(1) << choice->target;
    if (choice->key != SIZE_MAX) {
        tried->keys[choice->target] = (uint16_t)(tried->keys[choice->target] | 1u << choice->key);
    }
}

/* What a choice goes by. */
struct picking {
    const struct route_tried *tried;
    uint64_t affinity;
    int64_t now_ns;
    uint64_t random;
};

/* The ramp of a breaker lets a growing share in: of conversations, which then come back one by one,
 * where there is one. */
static bool admits(const struct route_target *t, struct picking *p)
{
    uint64_t any = draw(&p->random);
    uint64_t own = p->affinity ? target_hash(t, ~p->affinity) : any;
    return health_admits(t->health, p->now_ns, own);
}

static bool pick_in_tier(const struct route_plan *plan, struct field *f, struct picking *p,
                         struct route_choice *out)
{
    while (f->count > 0) {
        size_t position = p->affinity ? ranked_target(f, plan, p->affinity)
                                      : two_choices(f, plan, p->now_ns, &p->random);
        size_t target = f->at[position];
        if (admits(&plan->targets[target], p)) {
            out->target = target;
            out->key = pick_key(plan->targets[target].provider, p->tried->keys[target], p->affinity,
                                p->now_ns, &p->random);
            return true;
        }
        field_remove(f, plan, position);
    }
    return false;
}

/* The targets of the tier that begins at i which may be tried; returns where the next begins. */
static size_t field_of_tier(const struct route_plan *plan, size_t i,
                            const struct route_tried *tried, int64_t now_ns, struct field *out)
{
    int tier = plan->targets[i].tier;
    *out = (struct field){.count = 0};
    for (; i < plan->count && plan->targets[i].tier == tier; i++) {
        bool is_tried = (tried->targets >> i & 1u) != 0;
        if (is_open(&plan->targets[i], is_tried, tried->keys[i], now_ns)) {
            field_add(out, plan, i);
        }
    }
    return i;
}

/* When the target could be tried again, by its breaker and its best key. */
static int64_t ready_ns(const struct route_target *target, int64_t now_ns, size_t *out_key)
{
    struct health_view view = health_view(target->health, now_ns);
    int64_t ready = i64_max(view.set_aside_until_ns, view.open_until_ns);
    int64_t best = INT64_MAX;
    *out_key = SIZE_MAX;
    for (size_t i = 0; i < target->provider->key_count; i++) {
        int64_t aside = key_aside_ns(target->provider, i, now_ns);
        if (aside < best) {
            best = aside;
            *out_key = i;
        }
    }
    return *out_key == SIZE_MAX ? ready : i64_max(ready, best);
}

/* Nothing is healthy and nothing was tried: rather the least bad than a refusal. */
COLD static void pick_least_bad(const struct route_plan *plan, int64_t now_ns,
                                struct route_choice *out)
{
    int64_t best = INT64_MAX;
    for (size_t i = 0; i < plan->count; i++) {
        size_t key;
        int64_t ready = ready_ns(&plan->targets[i], now_ns, &key);
        if (ready < best || i == 0) {
            best = ready;
            *out = (struct route_choice){.target = i, .key = key};
        }
    }
}

bool route_is_free(const struct route_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->targets[i].provider->key_count > 1 ||
            (i && plan->targets[i].tier == plan->targets[i - 1].tier)) {
            return true;
        }
    }
    return false;
}

bool route_home(const struct route_plan *plan, uint64_t affinity, int64_t now_ns,
                struct route_choice *out)
{
    const struct route_tried none = {0};
    uint64_t random = 0;
    struct field f = {.count = 0};
    for (size_t i = 0; i < plan->count && f.count == 0;) {
        i = field_of_tier(plan, i, &none, now_ns, &f);
    }
    if (f.count == 0) {
        return false;
    }
    out->target = f.at[ranked_target(&f, plan, affinity)];
    out->key = pick_key(plan->targets[out->target].provider, 0, affinity, now_ns, &random);
    return true;
}

bool route_pick(const struct route_plan *plan, struct route_tried *tried, uint64_t affinity,
                int64_t now_ns, uint64_t random, struct route_choice *out)
{
    assert(plan->count <= ROUTE_CANDIDATES_MAX);
    struct picking p = {.tried = tried, .affinity = affinity, .now_ns = now_ns, .random = random};
    struct route_choice choice = {.key = SIZE_MAX};
    bool is_found = false;
    for (size_t i = 0; i < plan->count && !is_found;) {
        struct field f;
        i = field_of_tier(plan, i, tried, now_ns, &f);
        is_found = pick_in_tier(plan, &f, &p, &choice);
    }
    if (!is_found && tried->targets == 0 && plan->count > 0) {
        pick_least_bad(plan, now_ns, &choice);
        is_found = true;
    }
    if (is_found) {
        mark(tried, &choice);
        *out = choice;
    }
    return is_found;
}
