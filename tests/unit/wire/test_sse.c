/* wire/sse: events whole and in order for every cut, with the bytes they had. */
#include "support/unit.h"
#include "wire/sse.h"

struct seen {
    struct text log; /* name|data|lines|odd, one event a line */
    struct text raw; /* all raw bytes */
    enum err answer;
    size_t stop_after;
    size_t count;
};

static enum err on_event(void *ctx, const struct sse_event *e)
{
    struct seen *seen = ctx;
    text_addf(&seen->log, "<%.*s|%.*s|%zu|%.*s>", SLICE_ARG(e->name), SLICE_ARG(e->data),
              e->data_lines, SLICE_ARG(e->odd));
    text_add(&seen->raw, e->raw);
    seen->count++;
    return seen->stop_after && seen->count >= seen->stop_after ? seen->answer : OK;
}

/* Feeds in pieces: cut < in.len: two pieces; otherwise pieces of `step` bytes. */
static enum err run(struct arena *a, struct slice in, size_t cut, size_t step, struct seen *seen)
{
    struct sse s;
    *seen = (struct seen){.log = text_growing(a), .raw = text_growing(a)};
    sse_init(&s, a, 4096, on_event, seen);
    enum err e = OK;
    if (step == 0) {
        e = sse_feed(&s, slice_head(in, cut));
        e = e ? e : sse_feed(&s, slice_from(in, cut));
    } else {
        for (size_t i = 0; i < in.len && !e; i += step) {
            e = sse_feed(&s, slice_head(slice_from(in, i), step));
        }
    }
    return e ? e : sse_end(&s);
}

static const struct {
    const char *in, *log;
} cases[] = {
    {"data: a\n\ndata: b\n\n", "<|a|1|><|b|1|>"},
    {"data: a\r\n\r\ndata: b\r\n\r\n", "<|a|1|><|b|1|>"},
    {"data: a\r\rdata: b\r\r", "<|a|1|><|b|1|>"},
    {"data: a\r\n\ndata: b\n\r\n", "<|a|1|><|b|1|>"},
    {"data:a\ndata\ndata:  c\n\n", "<|a\n\n c|3|>"},
    {"event: error\ndata: {}\nid: 7\nretry: 5\n: note\n\n", "<error|{}|1|>"},
    {": ping\n\n\n: x\n\ndata: y\n\n", "<||0|><||0|><||0|><|y|1|>"},
    {"\xEF\xBB\xBF"
     "data: a\n\n\xEF\xBB\xBF"
     "data: b\n\n",
     "<|a|1|><||0|\xEF\xBB\xBF"
     "data: b>"},
    {"\xEF\xBB\xBF\n\ndata: b\n\n", "<||0|><||0|><|b|1|>"},
    {"data: a\n\ndata: last", "<|a|1|><|last|1|>"},
    {"data: a\n\ndata: last\n", "<|a|1|><|last|1|>"},
    {"data: a\n\ndata: last\r", "<|a|1|><|last|1|>"},
    {"data: a\n\ndata: x\r\ndata: last\r\n\r", "<|a|1|><|x\nlast|2|>"},
    {"error: boom\n\ndatax: 1\n\nevents: 1\ndata: 1\n\n",
     "<||0|error: boom><||0|datax: 1><|1|1|events: 1>"},
    {"data: {\ndata:   \"a\": 1\ndata: }\n\ndata: n\n\n", "<|{\n  \"a\": 1\n}|3|><|n|1|>"},
    {"", ""},
    {"\n", "<||0|>"},
    {"\r", "<||0|>"},
    {"\r\n\r\n", "<||0|><||0|>"},
};

static void same_events_for_every_cut(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, (size_t)64 << 20);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice in = slice_str(cases[i].in);
        for (size_t cut = 0; cut <= in.len; cut++) {
            struct seen seen;
            assert_int_equal(run(&a, in, cut, 0, &seen), OK);
            assert_true(slice_eq(text_slice(&seen.log), slice_str(cases[i].log)));
            assert_true(slice_eq(text_slice(&seen.raw), in));
            arena_reset(&a);
        }
        for (size_t step = 1; step < 8; step++) {
            struct seen seen;
            assert_int_equal(run(&a, in, 0, step, &seen), OK);
            assert_true(slice_eq(text_slice(&seen.log), slice_str(cases[i].log)));
            assert_true(slice_eq(text_slice(&seen.raw), in));
            arena_reset(&a);
        }
    }
    arena_deinit(&a);
}

static void whole_events_are_not_copied(void **state)
{
    (void)state;
    struct arena none;
    arena_init(&none, NULL, 0); /* no memory at all */
    struct seen seen = {.answer = OK};
    char log[256], raw[256];
    seen.log = text_in(log, sizeof(log));
    seen.raw = text_in(raw, sizeof(raw));
    struct sse s;
    sse_init(&s, &none, 4096, on_event, &seen);
    assert_int_equal(sse_feed(&s, SLICE("data: a\n\ndata: b\r\n\n: c\n\n")), OK);
    assert_int_equal(seen.count, 3);
    assert_int_equal(sse_held(&s), 0);
    assert_int_equal(sse_feed(&s, SLICE("data: unfinished")), E_NOMEM);
    assert_int_equal(sse_feed(&s, SLICE("\n\n")), E_NOMEM); /* for good */
    assert_int_equal(sse_end(&s), E_NOMEM);
    arena_deinit(&none);
}

static void an_event_is_bounded_in_every_cut(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, (size_t)1 << 20);
    static char big[5002];
    memset(big, 'x', sizeof(big));
    memcpy(big, "data: ", 6);
    memcpy(big + sizeof(big) - 2, "\n\n", 2);
    for (size_t step = 1; step < sizeof(big) + 700; step += 700) {
        struct seen seen;
        assert_int_equal(run(&a, slice_of(big, sizeof(big)), 0, step, &seen), E_LIMIT);
        assert_int_equal(seen.count, 0);
        arena_reset(&a);
    }
    arena_deinit(&a);
}

static void the_callback_can_stop(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, (size_t)1 << 20);
    struct slice in = SLICE("data: a\n\ndata: b\n\ndata: c\n\n");
    for (size_t cut = 0; cut <= in.len; cut++) {
        struct seen seen = {.log = text_growing(&a),
                            .raw = text_growing(&a),
                            .answer = E_CANCELLED,
                            .stop_after = 2};
        struct sse s;
        sse_init(&s, &a, 4096, on_event, &seen);
        enum err e = sse_feed(&s, slice_head(in, cut));
        e = e ? e : sse_feed(&s, slice_from(in, cut));
        assert_int_equal(e, E_CANCELLED);
        assert_int_equal(seen.count, 2);
        assert_int_equal(sse_end(&s), E_CANCELLED);
        arena_reset(&a);
    }
    arena_deinit(&a);
}

/* Arena caps from nothing upward: an error or the right events, never anything else. */
static void survives_any_lack_of_memory(void **state)
{
    (void)state;
    struct slice in = SLICE("data: a\ndata: b\ndata: c\n\ndata: dddddddddddddddd\n\n");
    bool succeeded = false;
    for (size_t cap = 0; cap < 20000 && !succeeded; cap += 128) {
        struct arena a;
        char log[256], raw[256];
        struct seen seen = {.log = text_in(log, sizeof(log)), .raw = text_in(raw, sizeof(raw))};
        struct sse s;
        arena_init(&a, NULL, cap);
        sse_init(&s, &a, 4096, on_event, &seen);
        enum err e = OK;
        for (size_t i = 0; i < in.len && !e; i++) {
            e = sse_feed(&s, slice_head(slice_from(in, i), 1));
        }
        assert_true(e == OK || e == E_NOMEM);
        succeeded = e == OK;
        arena_deinit(&a);
    }
    assert_true(succeeded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_events_for_every_cut),
        cmocka_unit_test(whole_events_are_not_copied),
        cmocka_unit_test(an_event_is_bounded_in_every_cut),
        cmocka_unit_test(the_callback_can_stop),
        cmocka_unit_test(survives_any_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
