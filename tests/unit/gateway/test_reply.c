/* The formats of our head lines. */
#include "gateway/reply.h"
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
        reply_go_duration(rows[i].ns, &t);
        assert_true(slice_eq(text_slice(&t), slice_str(rows[i].text)));
    }
}

static void absent_limits_have_no_headers(void **state)
{
    (void)state;
    char room[512];
    struct text t = text_in(room, sizeof(room));
    reply_rate_headers(&(struct limit_remaining){.requests_limit = -1, .tokens_limit = -1}, &t);
    assert_int_equal(t.len, 0);
    reply_rate_headers(&(struct limit_remaining){.requests_limit = 100,
                                                 .requests_left = 99,
                                                 .requests_reset_ns = NS_PER_S,
                                                 .tokens_limit = -1},
                       &t);
    assert_true(slice_eq(text_slice(&t), SLICE("x-ratelimit-limit-requests: 100\r\n"
                                               "x-ratelimit-remaining-requests: 99\r\n"
                                               "x-ratelimit-reset-requests: 1s\r\n")));
}

/* A provider's long content type may leave any room: a half line would swallow what follows it. */
static void what_does_not_fit_is_left_out_whole(void **state)
{
    (void)state;
    const struct limit_remaining r = {.requests_limit = 100,
                                      .requests_left = 9,
                                      .requests_reset_ns = NS_PER_S,
                                      .tokens_limit = 1,
                                      .tokens_left = 0,
                                      .tokens_reset_ns = 90 * NS_PER_S};
    for (size_t size = 1; size < 256; size++) {
        char room[256];
        struct text t = text_in(room, size);
        reply_rate_headers(&r, &t);
        for (struct slice left = text_slice(&t); left.len;) {
            size_t end = slice_search(left, SLICE("\r\n"));
            size_t colon = slice_search(left, SLICE(": "));
            assert_true(end < left.len && slice_starts(left, SLICE("x-ratelimit-")));
            assert_true(colon + 2 < end);
            left = slice_from(left, end + 2);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_go_s),
        cmocka_unit_test(absent_limits_have_no_headers),
        cmocka_unit_test(what_does_not_fit_is_left_out_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
