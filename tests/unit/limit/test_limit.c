#include "limit/limit.h"
#include "support/unit.h"

enum { DAY = 0, WEEK, MONTH, TOTAL };

static int64_t mono_now, unix_now;

static int64_t fake_mono(void)
{
    return mono_now;
}

static int64_t fake_unix(void)
{
    return unix_now;
}

static const struct limit_clock fake_clock = {fake_mono, fake_unix};

static int64_t at(int32_t year, int32_t month, int32_t day)
{
    return clock_unix_ns_of_date((struct civil_date){year, month, day});
}

static struct limit *limit_start(void)
{
    struct limit *l;
    mono_now = 500 * NS_PER_S + 17;
    unix_now = at(2026, 11, 23) + 12345;
    assert_int_equal(limit_new(&fake_clock, &l), OK);
    return l;
}

static void pass_time(int64_t ns)
{
    mono_now += ns;
    unix_now += ns;
}

static struct quota_spec unlimited(void)
{
    return (struct quota_spec){.rate_per_min = -1,
                               .tokens_per_min = -1,
                               .concurrent_max = -1,
                               .budget_nusd = {-1, -1, -1, -1}};
}

static struct quota_spec rate(int64_t per_min)
{
    struct quota_spec s = unlimited();
    s.rate_per_min = per_min;
    return s;
}

static struct quota_spec budget(int period, int64_t nusd)
{
    struct quota_spec s = unlimited();
    s.budget_nusd[period] = nusd;
    return s;
}

static struct id id_of(uint64_t n)
{
    struct id id = {{0}};
    memcpy(id.bytes + 8, &n, sizeof(n));
    return id;
}

static struct quota_node *put(struct limit *l, uint64_t n, struct quota_node *parent,
                              struct quota_spec spec)
{
    struct quota_node *node = limit_node_put(l, id_of(n), parent, &spec);
    assert_non_null(node);
    return node;
}

static bool admit(struct limit *l, struct quota_node *leaf, struct limit_ticket *t)
{
    struct limit_refusal refusal;
    *t = (struct limit_ticket){0};
    return limit_admit(l, leaf, t, NULL, &refusal);
}

/* Admits and settles at once. */
static bool passes(struct limit *l, struct quota_node *leaf)
{
    struct limit_ticket t;
    bool is_admitted = admit(l, leaf, &t);
    assert_int_equal(t.is_admitted, is_admitted);
    (void)limit_settle(l, &t, 0, 0);
    return is_admitted;
}

static struct quota_view view(struct limit *l, struct quota_node *n)
{
    struct quota_view v;
    limit_view(l, n, &v);
    return v;
}

static void retry_after_is_true_to_the_nanosecond(void **state)
{
    (void)state;
    struct limit *l = limit_start();
    struct quota_node *root = put(l, 1, NULL, rate(10));
    struct quota_node *key = put(l, 2, root, rate(8));
    for (int i = 0; i < 8; i++) {
        assert_true(passes(l, key));
        pass_time(i % 2 ? 3 * NS_PER_S : 1);
    }
    for (int i = 0; i < 40; i++) {
        struct limit_ticket t = {0};
        struct limit_refusal refusal;
        struct limit_remaining left;
        assert_false(limit_admit(l, key, &t, &left, &refusal));
        assert_int_equal(refusal.kind, LIMIT_REQUESTS);
        assert_true(id_eq(refusal.node, id_of(2)));
        assert_int_equal(refusal.limit, 8);
        assert_int_equal(refusal.used, 8);
        assert_int_equal(left.requests_limit, 8);
        assert_int_equal(left.requests_left, 0);
        assert_true(refusal.retry_after_ns > 0 && refusal.retry_after_ns <= 241 * LIMIT_SLOT_NS);
        pass_time(refusal.retry_after_ns - 1);
        assert_false(passes(l, key));
        pass_time(1);
        assert_true(passes(l, key));
        while (passes(l, key)) {
            pass_time(100 * NS_PER_MS);
        }
    }
    limit_free(l);
}

static void retry_after_waits_for_every_level(void **state)
{
    (void)state;
    struct limit *l = limit_start();
    struct quota_node *root = put(l, 1, NULL, rate(4));
    struct quota_node *a = put(l, 2, root, rate(2));
    struct quota_node *b = put(l, 3, root, unlimited());
    assert_true(passes(l, a) && passes(l, a));
    pass_time(20 * NS_PER_S);
    assert_true(passes(l, b) && passes(l, b)); /* the root is full, too */
    struct limit_ticket t = {0};
    struct limit_refusal refusal;
    assert_false(limit_admit(l, a, &t, NULL, &refusal));
    pass_time(refusal.retry_after_ns - 1);
    assert_false(passes(l, a));
    pass_time(1);
    assert_true(passes(l, a));
    limit_free(l);
}

/* Stepping clock, one thread: every recorded admission against every interval of 60 s. */
static void no_sliding_minute_holds_more_than_the_limit(void **state)
{
    (void)state;
    enum { MANY = 20000, PER_MIN = 100 };
    static int64_t times[MANY];
    struct limit *l = limit_start();
    struct quota_node *root = put(l, 1, NULL, rate(PER_MIN));
    struct quota_node *key = put(l, 2, root, unlimited());
    size_t n = 0;
    uint32_t seed = 99;
    for (int i = 0; i < MANY; i++) {
        seed = seed * 1664525 + 1013904223;
        pass_time((seed >> 8) % (i / 2000 % 2 ? 30 * NS_PER_MS : 1300 * NS_PER_MS));
        if (passes(l, key)) {
            times[n++] = mono_now;
        }
    }
    assert_true(n > 2 * PER_MIN && n < MANY);
    for (size_t i = PER_MIN; i < n; i++) { /* closed intervals: 60 s apart is still together */
        assert_true(times[i] - times[i - PER_MIN] > NS_PER_MIN);
    }
    limit_free(l);
}

static void steady_traffic_gets_at_least_240_of_241(void **state)
{
    (void)state;
    struct limit *l = limit_start();
    struct quota_node *key = put(l, 1, NULL, rate(1000));
    int64_t n = 0;
    for (int i = 0; i < 10 * 60 * 100; i++) {
        pass_time(10 * NS_PER_MS);
        n += passes(l, key);
    }
    assert_true(n >= 10 * 1000 * INT64_C(240) / 241 && n <= 10 * 1000);
    limit_free(l);
}

static void a_refusal_takes_nothing_on_any_of_nine_levels(void **state)
{
    (void)state;
    struct limit *l = limit_start();
    struct quota_node *nodes[LIMIT_DEPTH_MAX];
    for (uint64_t i = 0; i < LIMIT_DEPTH_MAX; i++) {
        nodes[i] = put(l, i + 1, i ? nodes[i - 1] : NULL, rate(100));
    }
    struct quota_spec spec = unlimited();
    assert_null(limit_node_put(l, id_of(77), nodes[LIMIT_DEPTH_MAX - 1], &spec)); /* a tenth */
    assert_null(limit_node_find(l, id_of(77)));

    struct quota_node *leaf = nodes[LIMIT_DEPTH_MAX - 1];
    for (uint64_t narrow = 0; narrow < LIMIT_DEPTH_MAX; narrow++) {
        struct quota_node *parent = narrow ? nodes[narrow - 1] : NULL;
        put(l, narrow + 1, parent,
            rate((int64_t)narrow)); /* used up: narrow were admitted so far */
        struct limit_ticket t = {0};
        struct limit_refusal refusal;
        assert_false(limit_admit(l, leaf, &t, NULL, &refusal));
        assert_true(id_eq(refusal.node, id_of(narrow + 1)));
        for (size_t i = 0; i < LIMIT_DEPTH_MAX; i++) {
            assert_int_equal(view(l, nodes[i]).requests_used, narrow);
            assert_int_equal(view(l, nodes[i]).concurrent, 0);
        }
        put(l, narrow + 1, parent, rate(100));
        assert_true(passes(l, leaf));
    }

    struct limit_ticket t;
    assert_true(admit(l, leaf, &t));
    put(l, 1, NULL, budget(MONTH, 99)); /* the root refuses the money: nobody below keeps any */
    struct limit_refusal refusal;
    assert_false(limit_reserve(l, &t, 100, 5, &refusal));
    assert_int_equal(refusal.kind, LIMIT_BUDGET_MONTH);
    for (size_t i = 0; i < LIMIT_DEPTH_MAX; i++) {
        assert_int_equal(view(l, nodes[i]).reserved_nusd[MONTH], 0);
    }
    limit_cancel(l, &t);
    limit_free(l);
}

static void cancel_gives_back_everything(void **state)
{
    (void)state;
    struct limit *l = limit_start();
    struct quota_spec spec = rate(3);
    spec.tokens_per_min = 100;
    spec.concurrent_max = 3;
    spec.budget_nusd[MONTH] = 1000;
    struct quota_node *root = put(l, 1, NULL, spec);
    struct quota_node *key = put(l, 2, root, unlimited());
    pass_time(NS_PER_S);
    struct limit_ticket t;
    struct limit_refusal refusal;
    for (int i = 0; i < 50; i++) {
        assert_true(admit(l, key, &t));
        assert_true(i % 2 || limit_reserve(l, &t, 900, 90, &refusal));
        pass_time(i % 3 ? 0 : 2 * NS_PER_S);
        limit_cancel(l, &t);
        limit_cancel(l, &t); /* once more does nothing */
        struct quota_view v = view(l, root);
        assert_int_equal(v.requests_used, 0);
        assert_int_equal(v.tokens_used, 0);
        assert_int_equal(v.concurrent, 0);
        assert_int_equal(v.reserved_nusd[MONTH], 0);
        assert_int_equal(v.spent_nusd[MONTH], 0);
    }
    limit_free(l);
}

static void absent_is_not_zero(void **state)
{
    (void)state;
    struct limit *l = limit_start();
    struct quota_node *free_node = put(l, 1, NULL, unlimited());
    struct limit_ticket t;
    struct limit_refusal r;
    struct limit_remaining left;
    for (int i = 0; i < 5000; i++) {
        t = (struct limit_ticket){0};
        assert_true(limit_admit(l, free_node, &t, &left, &r));
        assert_true(limit_reserve(l, &t, INT64_C(1) << 40, INT64_C(1) << 40, &r));
        assert_false(limit_settle(l, &t, INT64_C(1) << 41, INT64_C(1) << 41)); /* no overrun */
    }
    assert_int_equal(left.requests_limit, -1);
    assert_int_equal(left.requests_left, -1);
    assert_int_equal(left.tokens_limit, -1);

    t = (struct limit_ticket){0};
    assert_false(limit_admit(l, put(l, 2, NULL, rate(0)), &t, &left, &r));
    assert_int_equal(r.kind, LIMIT_REQUESTS);
    assert_int_equal(r.retry_after_ns, -1);
    assert_int_equal(left.requests_limit, 0);

    struct quota_spec spec = unlimited();
    spec.concurrent_max = 0;
    assert_false(limit_admit(l, put(l, 3, NULL, spec), &t, NULL, &r));
    assert_int_equal(r.kind, LIMIT_CONCURRENT);
    assert_int_equal(r.retry_after_ns, -1);

    spec = unlimited();
    spec.tokens_per_min = 0;
    assert_true(limit_admit(l, put(l, 4, NULL, spec), &t, NULL, &r));
    assert_false(limit_reserve(l, &t, 0, 1, &r));
    assert_int_equal(r.kind, LIMIT_TOKENS);
    assert_int_equal(r.retry_after_ns, -1);
    limit_cancel(l, &t);

    for (int k = 0; k < LIMIT_PERIODS; k++) {
        assert_true(admit(l, put(l, 10 + (uint64_t)k, NULL, budget(k, 0)), &t));
        assert_false(limit_reserve(l, &t, 1, 0, &r));
        assert_int_equal(r.kind, LIMIT_BUDGET_DAY + k);
        assert_int_equal(r.retry_after_ns, -1);
        assert_int_equal(r.limit, 0);
        limit_cancel(l, &t);
    }
    limit_free(l);
}

static void concurrency_is_taken_and_given_back(void **state)
{
    (void)state;
    struct limit *l = limit_start();
    struct quota_spec spec = unlimited();
    spec.concurrent_max = 2;
    struct quota_node *root = put(l, 1, NULL, spec);
    struct quota_node *key = put(l, 2, root, unlimited());
    struct limit_ticket a, b, c = {0};
    struct limit_refusal r;
    assert_true(admit(l, key, &a) && admit(l, key, &b));
    assert_false(limit_admit(l, key, &c, NULL, &r));
    assert_int_equal(r.kind, LIMIT_CONCURRENT);
    assert_true(r.retry_after_ns > 0);
    assert_int_equal(r.used, 2);
    (void)limit_settle(l, &a, 0, 0);
    (void)limit_settle(l, &a, 0, 0);
    assert_true(admit(l, key, &c));
    assert_false(admit(l, key, &a));
    limit_cancel(l, &b);
    assert_true(admit(l, key, &a));
    limit_cancel(l, &a);
    limit_cancel(l, &c);
    limit_free(l);
}

static void money_moves_from_reserved_to_spent(void **state)
{
    (void)state;
    struct limit *l = limit_start();
    struct quota_node *root = put(l, 1, NULL, budget(MONTH, 1000));
    struct quota_node *key = put(l, 2, root, unlimited());
    struct limit_ticket a, b;
    struct limit_refusal r;
    assert_true(admit(l, key, &a) && admit(l, key, &b));
    assert_true(limit_reserve(l, &a, 600, 0, &r));
    assert_false(limit_reserve(l, &b, 401, 0, &r));
    assert_true(r.is_open_reservations);
    assert_int_equal(r.used, 600);
    assert_int_equal(r.limit, 1000);
    assert_true(limit_reserve(l, &b, 400, 0, &r));
    assert_int_equal(view(l, root).reserved_nusd[MONTH], 1000);
    assert_int_equal(view(l, key).reserved_nusd[DAY], 1000);
    assert_false(limit_settle(l, &a, 500, 0));
    assert_true(limit_settle(l, &b, 450, 0)); /* 50 more than reserved: booked, and told */
    struct quota_view v = view(l, root);
    assert_int_equal(v.reserved_nusd[MONTH], 0);
    for (int k = 0; k < LIMIT_PERIODS; k++) {
        assert_int_equal(v.spent_nusd[k], 950);
        assert_int_equal(view(l, key).spent_nusd[k], 950); /* a budget set later knows */
    }
    assert_true(admit(l, key, &a));
    assert_false(limit_reserve(l, &a, 51, 0, &r));
    assert_false(r.is_open_reservations);
    assert_int_equal(r.retry_after_ns, at(2026, 12, 1) - unix_now);
    assert_false(limit_settle(l, &a, 0, 0));

    assert_true(admit(l, key, &a)); /* without reserve the cost is still booked */
    assert_true(limit_settle(l, &a, 7, 0));
    assert_int_equal(view(l, key).spent_nusd[TOTAL], 957);
    limit_free(l);
}

static void soft_budgets_count_and_never_refuse(void **state)
{
    (void)state;
    struct limit *l = limit_start();
    struct quota_spec spec = budget(DAY, 10);
    spec.soft_budgets = 1u << DAY;
    struct quota_node *n = put(l, 1, NULL, spec);
    struct limit_ticket t;
    struct limit_refusal r;
    assert_true(admit(l, n, &t));
    assert_true(limit_reserve(l, &t, 100, 0, &r));
    assert_false(limit_settle(l, &t, 200, 0)); /* an overrun is of hard budgets */
    assert_int_equal(view(l, n).spent_nusd[DAY], 200);
    limit_free(l);
}

static void tokens_slide_and_settle_into_their_slot(void **state)
{
    (void)state;
    struct limit *l = limit_start();
    struct quota_spec spec = unlimited();
    spec.tokens_per_min = 1000;
    struct quota_node *n = put(l, 1, NULL, spec);
    struct limit_ticket a, b;
    struct limit_refusal r;
    struct limit_remaining left;
    pass_time(NS_PER_S);
    assert_true(admit(l, n, &a) && admit(l, n, &b));
    assert_true(limit_reserve(l, &a, 0, 800, &r));
    assert_false(limit_reserve(l, &b, 0, 201, &r));
    assert_int_equal(r.kind, LIMIT_TOKENS);
    assert_int_equal(r.used, 800);
    pass_time(10 * NS_PER_S);
    (void)limit_settle(l, &a, 0, 300);
    assert_int_equal(view(l, n).tokens_used, 300);
    assert_true(limit_reserve(l, &b, 0, 700, &r));
    (void)limit_settle(l, &b, 0, 900); /* more than thought: counted where it was taken */
    assert_int_equal(view(l, n).tokens_used, 1200);

    a = (struct limit_ticket){0};
    assert_true(limit_admit(l, n, &a, &left, &r));
    assert_int_equal(left.tokens_limit, 1000);
    assert_int_equal(left.tokens_left, 0);
    assert_false(limit_reserve(l, &a, 0, 100, &r));
    pass_time(r.retry_after_ns - 1);
    assert_false(limit_reserve(l, &a, 0, 100, &r));
    pass_time(1);
    assert_true(limit_reserve(l, &a, 0, 100, &r)); /* the first 300 have left */
    assert_int_equal(view(l, n).tokens_used, 1000);
    pass_time(100 * NS_PER_S);
    (void)limit_settle(l, &a, 0, 5000); /* its slot has left: nothing to correct */
    assert_int_equal(view(l, n).tokens_used, 0);
    limit_free(l);
}

static void a_ticket_pays_in_the_period_of_its_admission(void **state)
{
    (void)state;
    struct limit *l = limit_start();
    unix_now = at(2026, 12, 1) - 10;
    struct quota_node *n = put(l, 1, NULL, budget(MONTH, 100));
    struct limit_ticket old, now;
    struct limit_refusal r;
    assert_true(admit(l, n, &old));
    assert_true(limit_reserve(l, &old, 90, 0, &r));
    assert_true(admit(l, n, &now));
    assert_false(limit_reserve(l, &now, 11, 0, &r));
    limit_cancel(l, &now);
    pass_time(10); /* December, Tuesday: day and month begin, the week goes on */
    assert_true(admit(l, n, &now));
    assert_true(limit_reserve(l, &now, 100, 0, &r));
    struct quota_view v = view(l, n);
    assert_int_equal(v.reserved_nusd[DAY], 100);
    assert_int_equal(v.reserved_nusd[WEEK], 190);
    assert_int_equal(v.reserved_nusd[MONTH], 100);
    assert_int_equal(v.reserved_nusd[TOTAL], 190);
    (void)limit_settle(l, &old, 80, 0);
    v = view(l, n);
    assert_int_equal(v.reserved_nusd[MONTH], 100);
    assert_int_equal(v.spent_nusd[MONTH], 0);
    assert_int_equal(v.spent_nusd[WEEK], 80);
    assert_int_equal(v.spent_nusd[TOTAL], 80);
    pass_time(70 * NS_PER_DAY); /* the ticket's day and month are kept no longer */
    struct limit_ticket later;
    assert_true(admit(l, n, &later));
    assert_true(limit_reserve(l, &later, 1, 0, &r));
    (void)limit_settle(l, &now, 100, 0);
    (void)limit_settle(l, &later, 1, 0);
    v = view(l, n);
    for (int k = 0; k < LIMIT_PERIODS; k++) {
        assert_int_equal(v.reserved_nusd[k], 0);
        assert_int_equal(v.spent_nusd[k], k == TOTAL ? 181 : 1);
    }
    limit_free(l);
}

static void budgets_begin_anew_at_their_boundary(void **state)
{
    (void)state;
    static const struct {
        int period;
        int32_t from[3], to[3];
    } rows[] = {
        {DAY, {2026, 11, 23}, {2026, 11, 24}},
        {WEEK, {2026, 11, 29}, {2026, 11, 30}}, /* Sunday, Monday */
        {WEEK, {2024, 12, 29}, {2024, 12, 30}}, /* ISO week 1 of 2025 begins in 2024 */
        {MONTH, {2028, 2, 29}, {2028, 3, 1}},
        {MONTH, {2026, 12, 31}, {2027, 1, 1}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct limit *l = limit_start();
        struct limit_ticket t;
        struct limit_refusal r;
        unix_now = at(rows[i].from[0], rows[i].from[1], rows[i].from[2]) + NS_PER_DAY - 2;
        struct quota_node *n = put(l, 1, NULL, budget(rows[i].period, 100));
        assert_true(admit(l, n, &t) && limit_reserve(l, &t, 100, 0, &r));
        (void)limit_settle(l, &t, 100, 0);
        assert_true(admit(l, n, &t));
        assert_false(limit_reserve(l, &t, 1, 0, &r));
        assert_int_equal(r.retry_after_ns, 2);
        limit_cancel(l, &t);
        pass_time(1);
        assert_true(admit(l, n, &t));
        assert_false(limit_reserve(l, &t, 1, 0, &r));
        limit_cancel(l, &t);
        pass_time(1);
        assert_int_equal(unix_now, at(rows[i].to[0], rows[i].to[1], rows[i].to[2]));
        assert_true(admit(l, n, &t) && limit_reserve(l, &t, 100, 0, &r));
        limit_cancel(l, &t);
        limit_free(l);
    }
}

static void restart_grants_nothing_again(void **state)
{
    (void)state;
    struct limit *l = limit_start();
    mono_now = 5 * NS_PER_S; /* the machine has been up for less than the window */
    struct quota_spec spec = rate(10);
    spec.tokens_per_min = 1000;
    spec.budget_nusd[MONTH] = 500;
    struct quota_node *n = put(l, 1, NULL, spec);
    int32_t month = (2026 - 1970) * 12 + 10;
    limit_restore_spent(n, MONTH, month, 300);
    limit_restore_spent(n, MONTH, month, 100);
    limit_restore_spent(n, MONTH, month - 1, 7777);
    limit_restore_spent(n, MONTH, month + 1, 7777);
    limit_restore_spent(n, MONTH, month - 2, 7777);
    limit_restore_admission(n, unix_now - 58 * NS_PER_S, 4, 100);
    limit_restore_admission(n, unix_now - 30 * NS_PER_S, 5, 200);
    limit_restore_admission(n, unix_now + NS_PER_S, 1, 300);
    limit_restore_admission(n, unix_now - 61 * NS_PER_S, 100, 10000);
    struct quota_view v = view(l, n);
    assert_int_equal(v.spent_nusd[MONTH], 400);
    assert_int_equal(v.requests_used, 10);
    assert_int_equal(v.tokens_used, 600);
    struct limit_ticket t = {0};
    struct limit_refusal r;
    assert_false(limit_admit(l, n, &t, NULL, &r));
    assert_true(r.retry_after_ns > NS_PER_S && r.retry_after_ns <= 2500 * NS_PER_MS);
    pass_time(r.retry_after_ns);
    assert_true(admit(l, n, &t));
    assert_false(limit_reserve(l, &t, 101, 0, &r));
    assert_true(limit_reserve(l, &t, 100, 0, &r));
    limit_cancel(l, &t);
    limit_free(l);
}

static void a_moved_node_leaves_its_tickets_where_they_were(void **state)
{
    (void)state;
    struct limit *l = limit_start();
    struct quota_spec spec = rate(100);
    spec.budget_nusd[MONTH] = 1000;
    struct quota_node *a = put(l, 1, NULL, spec);
    struct quota_node *b = put(l, 2, NULL, spec);
    struct quota_node *team = put(l, 3, a, spec);
    struct quota_node *key = put(l, 4, team, spec);
    struct limit_ticket t, u;
    struct limit_refusal r;
    assert_true(admit(l, key, &t) && limit_reserve(l, &t, 400, 0, &r));
    assert_true(admit(l, key, &u));
    assert_ptr_equal(put(l, 3, b, spec), team);
    assert_ptr_equal(limit_node_parent(team), b);
    assert_ptr_equal(limit_node_find(l, id_of(4)), key);
    assert_true(limit_reserve(l, &u, 500, 0, &r)); /* from the nodes that admitted it */
    assert_int_equal(view(l, a).reserved_nusd[MONTH], 900);
    assert_int_equal(view(l, b).reserved_nusd[MONTH], 0);
    (void)limit_settle(l, &t, 300, 0);
    limit_cancel(l, &u);
    assert_int_equal(view(l, a).reserved_nusd[MONTH], 0);
    assert_int_equal(view(l, a).spent_nusd[MONTH], 300);
    assert_int_equal(view(l, a).concurrent, 0);
    assert_int_equal(view(l, b).spent_nusd[MONTH], 0);
    assert_int_equal(view(l, key).spent_nusd[MONTH], 300);

    assert_true(admit(l, key, &t)); /* the new tree counts from now on */
    assert_int_equal(view(l, b).concurrent, 1);
    assert_int_equal(view(l, a).concurrent, 0);
    limit_cancel(l, &t);
    assert_non_null(limit_node_put(l, id_of(3), NULL, &spec)); /* a root of its own, and back */
    assert_true(passes(l, key));
    assert_int_equal(view(l, b).requests_used, 0);
    put(l, 3, a, spec);
    assert_true(passes(l, key));

    assert_null(limit_node_put(l, id_of(3), key, &spec)); /* below itself */
    assert_null(limit_node_put(l, id_of(3), team, &spec));
    assert_ptr_equal(limit_node_parent(team), a);
    limit_free(l);
}

static void a_limit_set_later_counts_from_then(void **state)
{
    (void)state;
    struct limit *l = limit_start();
    struct quota_node *n = put(l, 1, NULL, unlimited());
    struct limit_ticket t;
    assert_true(admit(l, n, &t));
    put(l, 1, NULL, rate(1));
    assert_true(passes(l, n));
    limit_cancel(l, &t); /* was never counted, so it gives nothing back */
    assert_false(passes(l, n));
    put(l, 1, NULL, unlimited());
    assert_true(passes(l, n));
    limit_free(l);
}

static void a_hundred_thousand_nodes_are_found(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct limit *l = limit_start();
    struct quota_node *root = put(l, MANY + 1, NULL, rate(5));
    for (uint64_t i = 1; i <= MANY; i++) {
        put(l, i * UINT64_C(0x9E3779B97F4A7C15), root, unlimited());
    }
    for (uint64_t i = 1; i <= MANY; i++) {
        assert_ptr_equal(
            limit_node_parent(limit_node_find(l, id_of(i * UINT64_C(0x9E3779B97F4A7C15)))), root);
    }
    assert_null(limit_node_find(l, id_of(MANY + 5)));
    limit_free(l);
}

static void kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(limit_kind_name(LIMIT_REQUESTS), "requests_per_minute");
    assert_string_equal(limit_kind_name(LIMIT_BUDGET_MONTH), "monthly_budget");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retry_after_is_true_to_the_nanosecond),
        cmocka_unit_test(retry_after_waits_for_every_level),
        cmocka_unit_test(no_sliding_minute_holds_more_than_the_limit),
        cmocka_unit_test(steady_traffic_gets_at_least_240_of_241),
        cmocka_unit_test(a_refusal_takes_nothing_on_any_of_nine_levels),
        cmocka_unit_test(cancel_gives_back_everything),
        cmocka_unit_test(absent_is_not_zero),
        cmocka_unit_test(concurrency_is_taken_and_given_back),
        cmocka_unit_test(money_moves_from_reserved_to_spent),
        cmocka_unit_test(soft_budgets_count_and_never_refuse),
        cmocka_unit_test(tokens_slide_and_settle_into_their_slot),
        cmocka_unit_test(a_ticket_pays_in_the_period_of_its_admission),
        cmocka_unit_test(budgets_begin_anew_at_their_boundary),
        cmocka_unit_test(restart_grants_nothing_again),
        cmocka_unit_test(a_moved_node_leaves_its_tickets_where_they_were),
        cmocka_unit_test(a_limit_set_later_counts_from_then),
        cmocka_unit_test(a_hundred_thousand_nodes_are_found),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
