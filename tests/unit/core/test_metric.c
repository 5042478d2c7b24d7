#include "core/clock.h"
#include "core/metric.h"
#include "support/unit.h"

#include <pthread.h>

static struct slice render(struct metric_registry *reg, struct arena *a, metric_extra_fn extra)
{
    arena_init(a, NULL, 8 << 20);
    struct text out = text_growing(a);
    metric_render(reg, &out, extra, NULL);
    assert_false(out.is_full);
    text_add_char(&out, 0);
    return slice_of(out.ptr, out.len - 1);
}

static struct id id_of(uint8_t n)
{
    struct id id = {{0}};
    memset(id.bytes, n, sizeof(id.bytes));
    return id;
}

static void cells_are_summed_over_shards(void **state)
{
    (void)state;
    struct metric_registry *reg;
    assert_int_equal(metric_registry_new(3, 1000, &reg), OK);
    struct id tenant = id_of(0x11);
    for (size_t w = 0; w < 3; w++) {
        struct metric_shard *s = metric_shard(reg, w);
        struct metric_cell *cell = metric_cell(s, &tenant, SLICE("openai"));
        assert_ptr_equal(cell, metric_cell(s, &tenant, SLICE("openai")));
        metric_add(&cell->requests[METRIC_STATUS_SUCCESS], 2);
        metric_add(&cell->tokens[METRIC_TOKEN_PROMPT], 100);
        metric_add(&cell->cost_nusd, 260000);
        metric_add(&metric_cell(s, &tenant, SLICE("cached"))->cache_hits, 1);
        metric_add(&cell->cache_hits, 1);
        metric_add(&metric_provider(s, SLICE("openai"))->active, 1);
        metric_add(&metric_totals(s)->overruns, 1);
    }
    struct arena a;
    const char *page = render(reg, &a, NULL).ptr;
#define TENANT "tenant_id=\"11111111-1111-1111-1111-111111111111\""
    assert_non_null(strstr(page, "\nllm_gateway_requests_total{" TENANT
                                 ",provider=\"openai\",status=\"success\"} 6\n"));
    assert_non_null(strstr(page, "\nllm_gateway_tokens_total{" TENANT
                                 ",provider=\"openai\",type=\"prompt\"} 300\n"));
    assert_non_null(
        strstr(page, "\nllm_gateway_cost_total{" TENANT ",provider=\"openai\"} 0.00078\n"));
    assert_non_null(strstr(page, "\nllm_gateway_cache_hits_total{" TENANT "} 6\n"));
    assert_non_null(strstr(page, "\nllm_gateway_active_requests{provider=\"openai\"} 3\n"));
    assert_non_null(strstr(page, "\nllm_gateway_overruns_total 3\n"));
    assert_non_null(strstr(page, "\nprocess_resident_memory_bytes "));
    arena_deinit(&a);
    metric_registry_free(reg);
}

static void tenants_past_the_bound_share_a_label(void **state)
{
    (void)state;
    struct metric_registry *reg;
    assert_int_equal(metric_registry_new(2, 2, &reg), OK);
    for (uint8_t n = 1; n <= 200; n++) {
        struct id tenant = id_of(n);
        metric_add(&metric_cell(metric_shard(reg, n % 2), &tenant, SLICE("p"))->rate_limited, 1);
    }
    struct id second = id_of(2); /* named by shard 0: shard 1 must use the same label */
    metric_add(&metric_cell(metric_shard(reg, 1), &second, SLICE("p"))->rate_limited, 1);
    struct id none = {{0}};
    metric_add(&metric_cell(metric_shard(reg, 1), &none, SLICE("p"))->rate_limited, 5);
    struct arena a;
    const char *page = render(reg, &a, NULL).ptr;
    assert_non_null(strstr(page, "exceeded_total{tenant_id=\"other\"} 198\n"));
    assert_non_null(strstr(page, "exceeded_total{tenant_id=\"unknown\"} 5\n"));
    assert_non_null(
        strstr(page, "exceeded_total{tenant_id=\"02020202-0202-0202-0202-020202020202\"} 2\n"));
    arena_deinit(&a);
    metric_registry_free(reg);
}

static void many_cells_stay_apart(void **state)
{
    (void)state;
    struct metric_registry *reg;
    assert_int_equal(metric_registry_new(1, 1000, &reg), OK);
    struct metric_shard *s = metric_shard(reg, 0);
    static struct id ids[500];
    static struct metric_cell *cells[500][3];
    static const char *const providers[3] = {"a", "b", "c"};
    for (size_t i = 0; i < 500; i++) {
        ids[i] = id_random();
        for (size_t p = 0; p < 3; p++) {
            cells[i][p] = metric_cell(s, &ids[i], slice_str(providers[p]));
            metric_add(&cells[i][p]->requests[METRIC_STATUS_ERROR], 1);
        }
    }
    for (size_t i = 0; i < 500; i++) {
        for (size_t p = 0; p < 3; p++) {
            assert_ptr_equal(metric_cell(s, &ids[i], slice_str(providers[p])), cells[i][p]);
            assert_int_equal(atomic_load(&cells[i][p]->requests[METRIC_STATUS_ERROR].n), 1);
        }
    }
    metric_registry_free(reg);
}

static void providers_past_the_bound_share_a_label(void **state)
{
    (void)state;
    struct metric_registry *reg;
    assert_int_equal(metric_registry_new(1, 10, &reg), OK);
    struct metric_shard *s = metric_shard(reg, 0);
    for (int i = 0; i < METRIC_PROVIDERS_MAX + 50; i++) {
        char name[16];
        int len = snprintf(name, sizeof(name), "p%d", i);
        metric_add(&metric_provider(s, slice_of(name, (size_t)len))->active, 1);
    }
    struct arena a;
    const char *page = render(reg, &a, NULL).ptr;
    assert_non_null(strstr(page, "active_requests{provider=\"p0\"} 1\n"));
    assert_non_null(strstr(page, "active_requests{provider=\"p126\"} 1\n"));
    assert_non_null(strstr(page, "active_requests{provider=\"other\"} 51\n"));
    arena_deinit(&a);
    metric_registry_free(reg);
}

static void histograms_cumulate(void **state)
{
    (void)state;
    struct metric_registry *reg;
    assert_int_equal(metric_registry_new(2, 10, &reg), OK);
    struct metric_provider *p = metric_provider(metric_shard(reg, 0), SLICE("l\"o\\c\nal"));
    struct metric_provider *q = metric_provider(metric_shard(reg, 1), SLICE("l\"o\\c\nal"));
    metric_observe_duration(p, 5 * NS_PER_MS); /* bounds are inclusive */
    metric_observe_duration(p, 5 * NS_PER_MS + 1);
    metric_observe_duration(q, 1000 * NS_PER_S);
    metric_observe_overhead(q, 42 * NS_PER_US);
    struct arena a;
    const char *page = render(reg, &a, NULL).ptr;
#define WHO "{provider=\"l\\\"o\\\\c\\nal\""
    assert_non_null(strstr(page, "duration_seconds_bucket" WHO ",le=\"0.005\"} 1\n"));
    assert_non_null(strstr(page, "duration_seconds_bucket" WHO ",le=\"0.01\"} 2\n"));
    assert_non_null(strstr(page, "duration_seconds_bucket" WHO ",le=\"300\"} 2\n"));
    assert_non_null(strstr(page, "duration_seconds_bucket" WHO ",le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(page, "duration_seconds_sum" WHO "} 1000.010000001\n"));
    assert_non_null(strstr(page, "duration_seconds_count" WHO "} 3\n"));
    assert_non_null(strstr(page, "overhead_seconds_bucket" WHO ",le=\"0.000025\"} 0\n"));
    assert_non_null(strstr(page, "overhead_seconds_bucket" WHO ",le=\"0.00005\"} 1\n"));
    arena_deinit(&a);
    metric_registry_free(reg);
}

static void extra(void *ctx, struct metric_page *page, enum metric_family family)
{
    (void)ctx;
    struct slice label = SLICE("openai/gpt");
    if (family == METRIC_BREAKER_STATE) {
        metric_page_i64(page, family, &label, 2);
        label = SLICE("local/x");
        metric_page_i64(page, family, &label, 0);
    } else if (family == METRIC_JOURNAL_LAG) {
        metric_page_nano(page, family, NULL, 1500 * NS_PER_MS);
    } else if (family == METRIC_DROPPED) {
        label = SLICE("log_lines");
        metric_page_i64(page, family, &label, 9);
    }
}

/* The rules of the text format: HELP then TYPE once a family, samples of a family together,
 * counters end in _total or have the process_ names that everyone uses. */
static void the_page_keeps_the_rules_of_the_format(void **state)
{
    (void)state;
    struct metric_registry *reg;
    assert_int_equal(metric_registry_new(2, 10, &reg), OK);
    struct id tenant = id_of(7);
    struct metric_cell *cell = metric_cell(metric_shard(reg, 0), &tenant, SLICE("p"));
    metric_add(&cell->requests[METRIC_STATUS_CACHED], 1);
    metric_observe_duration(metric_provider(metric_shard(reg, 0), SLICE("p")), 1);
    struct arena a;
    struct slice page = render(reg, &a, extra);
    assert_non_null(strstr(page.ptr, "llm_gateway_breaker_state{target=\"openai/gpt\"} 2\n"));
    assert_non_null(strstr(page.ptr, "llm_gateway_journal_lag_seconds 1.5\n"));
    assert_non_null(strstr(page.ptr, "llm_gateway_dropped_total{reason=\"log_lines\"} 9\n"));
    struct slice family = SLICE_NONE;
    struct slice helped = SLICE_NONE;
    size_t families = 0;
    for (struct slice left = page; left.len;) {
        struct slice line = slice_head(left, slice_find(left, '\n'));
        left = slice_from(left, line.len + 1);
        if (slice_starts(line, SLICE("# HELP "))) {
            helped = slice_from(line, 7);
            helped = slice_head(helped, slice_find(helped, ' '));
        } else if (slice_starts(line, SLICE("# TYPE "))) {
            family = slice_from(line, 7);
            struct slice kind = slice_from(family, slice_find(family, ' ') + 1);
            family = slice_head(family, slice_find(family, ' '));
            assert_true(slice_eq(family, helped));
            char once[128];
            (void)snprintf(once, sizeof(once), "# TYPE %.*s ", SLICE_ARG(family));
            assert_null(strstr(left.ptr, once));
            assert_int_equal(slice_ends(family, SLICE("_total")), slice_eq(kind, SLICE("counter")));
            families++;
        } else {
            assert_true(family.len && slice_starts(line, family));
        }
    }
    assert_true(families >= 12);
    arena_deinit(&a);
    metric_registry_free(reg);
}

enum { ADDS = 200000 };

static void *count_up(void *shard)
{
    struct id tenants[20];
    for (uint8_t i = 0; i < 20; i++) {
        tenants[i] = id_of((uint8_t)(i + 1));
    }
    for (int i = 0; i < ADDS; i++) {
        struct metric_cell *cell = metric_cell(shard, &tenants[i % 20], SLICE("p"));
        metric_add(&cell->requests[METRIC_STATUS_SUCCESS], 1);
        metric_observe_first_token(metric_provider(shard, i % 3 ? SLICE("p") : SLICE("q")), i);
    }
    return NULL;
}

static void readers_and_writers_run_together(void **state)
{
    (void)state;
    struct metric_registry *reg;
    assert_int_equal(metric_registry_new(2, 10, &reg), OK);
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, metric_shard(reg, i)), 0);
    }
    for (int i = 0; i < 50; i++) {
        struct arena a;
        (void)render(reg, &a, extra);
        arena_deinit(&a);
    }
    assert_int_equal(pthread_join(threads[0], NULL), 0);
    assert_int_equal(pthread_join(threads[1], NULL), 0);
    struct arena a;
    const char *page = render(reg, &a, NULL).ptr;
    int64_t sum = 0;
    for (const char *at = page; (at = strstr(at, "status=\"success\"} ")) != NULL;) {
        at += strlen("status=\"success\"} ");
        sum += strtoll(at, NULL, 10);
    }
    assert_int_equal(sum, 2 * ADDS);
    arena_deinit(&a);
    metric_registry_free(reg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_are_summed_over_shards),
        cmocka_unit_test(tenants_past_the_bound_share_a_label),
        cmocka_unit_test(many_cells_stay_apart),
        cmocka_unit_test(providers_past_the_bound_share_a_label),
        cmocka_unit_test(histograms_cumulate),
        cmocka_unit_test(the_page_keeps_the_rules_of_the_format),
        cmocka_unit_test(readers_and_writers_run_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
