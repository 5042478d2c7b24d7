/* What clients find beside answers: rate limits in heads, lists of models, whose a path is. */
#include "core/check.h"
#include "core/clock.h"
#include "dialect/dialect.h"
#include "support/unit.h"

static void durations_are_go_s(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {
        {0, "0ms"},
        {-5, "0ms"},
        {1, "1ms"},
        {120 * NS_PER_MS, "120ms"},
        {NS_PER_S, "1s"},
        {1001 * NS_PER_MS, "2s"},
        {360 * NS_PER_S, "6m0s"},
        {3723 * NS_PER_S, "1h2m3s"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char room[32];
        struct text t = text_in(room, sizeof(room));
        front_go_duration(rows[i].ns, &t);
        assert_true(slice_eq(text_slice(&t), slice_str(rows[i].text)));
    }
}

static void absent_limits_have_no_headers(void **state)
{
    (void)state;
    char room[512];
    struct text t = text_in(room, sizeof(room));
    front_render_rates(&(struct dialect_rates){.requests_limit = -1, .tokens_limit = -1}, &t);
    assert_int_equal(t.len, 0);
    front_render_rates(&(struct dialect_rates){.requests_limit = 100,
                                               .requests_left = 99,
                                               .requests_reset_ns = NS_PER_S,
                                               .tokens_limit = -1},
                       &t);
    assert_true(slice_eq(text_slice(&t), SLICE("x-ratelimit-limit-requests: 100\r\n"
                                               "x-ratelimit-remaining-requests: 99\r\n"
                                               "x-ratelimit-reset-requests: 1s\r\n")));
}

static void anthropic_tells_times(void **state)
{
    (void)state;
    char room[512];
    struct text t = text_in(room, sizeof(room));
    dialect_anthropic.front->render_rates(
        &(struct dialect_rates){.requests_limit = -1,
                                .tokens_limit = 1000,
                                .tokens_left = 990,
                                .tokens_reset_ns = 60 * NS_PER_S,
                                .now_unix_ns = 1700000000 * NS_PER_S},
        &t);
    assert_true(slice_eq(text_slice(&t),
                         SLICE("anthropic-ratelimit-tokens-limit: 1000\r\n"
                               "anthropic-ratelimit-tokens-remaining: 990\r\n"
                               "anthropic-ratelimit-tokens-reset: 2023-11-14T22:14:20.000Z\r\n")));
}

/* A provider's long content type may leave any room: a half line would swallow what follows it. */
static void rates_are_whole_lines(const struct dialect *d, struct slice begin)
{
    const struct dialect_rates r = {.requests_limit = 100,
                                    .requests_left = 9,
                                    .requests_reset_ns = NS_PER_S,
                                    .tokens_limit = 1,
                                    .tokens_left = 0,
                                    .tokens_reset_ns = 90 * NS_PER_S};
    for (size_t size = 1; size < 256; size++) {
        char room[256];
        struct text t = text_in(room, size);
        d->front->render_rates(&r, &t);
        for (struct slice left = text_slice(&t); left.len;) {
            size_t end = slice_search(left, SLICE("\r\n"));
            size_t colon = slice_search(left, SLICE(": "));
            assert_true(end < left.len && slice_starts(left, begin));
            assert_true(colon + 2 < end);
            left = slice_from(left, end + 2);
        }
    }
}

static void what_does_not_fit_is_left_out_whole(void **state)
{
    (void)state;
    rates_are_whole_lines(&dialect_openai, SLICE("x-ratelimit-"));
    rates_are_whole_lines(&dialect_anthropic, SLICE("anthropic-ratelimit-"));
}

static void a_list_of_models_is_in_the_form_of_its_dialect(void **state)
{
    (void)state;
    static const struct {
        const struct dialect *d;
        const char *empty, *two;
    } rows[] = {
        {&dialect_openai, "{\"object\":\"list\",\"data\":[]}",
         "{\"object\":\"list\",\"data\":["
         "{\"id\":\"a\\\"b\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"p\"},"
         "{\"id\":\"c\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"p\"}]}"},
        {&dialect_anthropic, "{\"data\":[],\"has_more\":false,\"first_id\":null,\"last_id\":null}",
         "{\"data\":[{\"type\":\"model\",\"id\":\"a\\\"b\",\"display_name\":\"a\\\"b\","
         "\"created_at\":\"2023-11-14T22:13:20.000Z\"},"
         "{\"type\":\"model\",\"id\":\"c\",\"display_name\":\"c\","
         "\"created_at\":\"2023-11-14T22:13:20.000Z\"}],"
         "\"has_more\":false,\"first_id\":\"a\\\"b\",\"last_id\":\"c\"}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct dialect_front *f = rows[i].d->front;
        struct dialect_model m = {
            .name = SLICE("a\"b"), .owner = SLICE("p"), .created_unix_ns = 1700000000 * NS_PER_S};
        char room[1024];
        struct text t = text_in(room, sizeof(room));
        text_add(&t, f->models_open);
        f->close_models(SLICE_NONE, SLICE_NONE, &t);
        assert_true(slice_eq(text_slice(&t), slice_str(rows[i].empty)));
        t = text_in(room, sizeof(room));
        text_add(&t, f->models_open);
        f->render_model(&m, &t);
        TEXT_ADD(&t, ",");
        m.name = SLICE("c");
        f->render_model(&m, &t);
        f->close_models(SLICE("a\"b"), SLICE("c"), &t);
        assert_true(slice_eq(text_slice(&t), slice_str(rows[i].two)));
    }
}

static void paths_and_heads_tell_whose_they_are(void **state)
{
    (void)state;
    struct http_header version = {.name = SLICE("Anthropic-Version"), .value = SLICE("2023-06-01")};
    const struct http_head with = {.headers = &version, .header_count = 1};
    const struct http_head without = {.headers = NULL, .header_count = 0};
    assert_ptr_equal(dialect_of_path(SLICE("/v1/messages/batches")), &dialect_anthropic);
    assert_null(dialect_of_path(SLICE("/v1/models")));
    assert_ptr_equal(dialect_of_head(&with, &dialect_openai), &dialect_anthropic);
    assert_ptr_equal(dialect_of_head(&without, &dialect_openai), &dialect_openai);
}

/* Below /passthrough/ the provider's dialect is the client's. */
static void every_dialect_can_refuse(void **state)
{
    (void)state;
    const struct dialect *const all[] = {&dialect_openai, &dialect_responses, &dialect_anthropic,
                                         &dialect_gemini, &dialect_bedrock,   &dialect_own};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        char body_room[2048], head_room[64];
        struct text body = text_in(body_room, sizeof(body_room));
        struct text headers = text_in(head_room, sizeof(head_room));
        int status = 0;
        all[i]->render_fault(&(struct fault){.kind = FAULT_RATE_LIMITED}, &status, &body, &headers);
        assert_int_equal(status, 429);
        assert_true(body.len > 0 && !body.is_full);
        body.len = 0;
        all[i]->render_stream_fault(&(struct fault){.kind = FAULT_UPSTREAM}, &body);
        assert_true(body.len > 0 && !body.is_full);
        assert_non_null(all[i]->front);
        assert_non_null(all[i]->front->find_conversation);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_go_s),
        cmocka_unit_test(absent_limits_have_no_headers),
        cmocka_unit_test(anthropic_tells_times),
        cmocka_unit_test(what_does_not_fit_is_left_out_whole),
        cmocka_unit_test(a_list_of_models_is_in_the_form_of_its_dialect),
        cmocka_unit_test(paths_and_heads_tell_whose_they_are),
        cmocka_unit_test(every_dialect_can_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
