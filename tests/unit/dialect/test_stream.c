/* dialect/stream: recorded streams through the relay, in every cut, seen and hidden usage, errors,
 * cuts, and into the gateway's own dialect. */
#include "fixture.h"

#include "dialect/dialect.h"

struct sink {
    struct text bytes;
    struct text flags; /* one letter an on_bytes call: t terminal, e error, c content, . other */
    size_t terminals, errors, after_terminal;
    struct dialect_stream *stream;
    struct outcome outcome;
    struct own_extras extras;
    enum err answer;
};

static enum err on_bytes(void *ctx, struct slice bytes, unsigned flags)
{
    struct sink *k = ctx;
    k->after_terminal += k->terminals;
    if (flags & STREAM_TERMINAL) {
        k->terminals++;
        assert_true(k->outcome.is_complete);
        assert_true(slice_starts(bytes, SLICE("data:")));
    }
    k->errors += (flags & STREAM_ERROR) != 0;
    text_add(&k->bytes, bytes);
    text_add_char(&k->flags, flags & STREAM_TERMINAL  ? 't'
                             : flags & STREAM_ERROR   ? 'e'
                             : flags & STREAM_CONTENT ? 'c'
                                                      : '.');
    return k->answer;
}

static void render_last(void *ctx, struct text *out)
{
    struct sink *k = ctx;
    struct chat_part part = {.kind = CHAT_TEXT, .text = dialect_stream_text(k->stream)};
    struct chat_choice choice = {.parts = &part, .part_count = 1, .finish = k->outcome.finish};
    struct chat_response r = {.model = k->outcome.model,
                              .choices = &choice,
                              .choice_count = 1,
                              .usage = k->outcome.usage,
                              .has_usage = k->outcome.has_usage};
    own_render_result(&r, &k->extras, out);
}

enum mode { SEEN, HIDDEN, OWN };

/* step 0: two pieces, cut at `cut`; otherwise pieces of step bytes. */
static enum err run(struct arena *a, struct slice in, enum mode mode, size_t cut, size_t step,
                    struct sink *k)
{
    *k = (struct sink){.bytes = text_growing(a), .flags = text_growing(a)};
    k->extras = (struct own_extras){.cost_nusd = 780000,
                                    .latency_ms = 1250,
                                    .rate_limit_remaining = 99,
                                    .provider = SLICE("openai")};
    struct stream_options o = {.provider = &dialect_openai,
                               .client = mode == OWN ? &dialect_own : &dialect_openai,
                               .op = CHAT_OP_CHAT,
                               .hides_usage = mode == HIDDEN,
                               .event_max_bytes = (size_t)1 << 20,
                               .on_bytes = on_bytes,
                               .ctx = k,
                               .render_last = render_last};
    assert_int_equal(dialect_stream_new(a, &o, &k->outcome, &k->stream), OK);
    enum err e = OK;
    if (step == 0) {
        e = dialect_stream_feed(k->stream, slice_head(in, cut));
        e = e ? e : dialect_stream_feed(k->stream, slice_from(in, cut));
    } else {
        for (size_t i = 0; i < in.len && !e; i += step) {
            e = dialect_stream_feed(k->stream, slice_head(slice_from(in, i), step));
        }
    }
    return e ? e : dialect_stream_end(k->stream);
}

static struct slice next_event(struct slice *rest)
{
    size_t len = slice_search(*rest, SLICE("\n\n"));
    struct slice event = slice_head(*rest, len);
    *rest = slice_from(*rest, len + 2);
    return event;
}

/* The last usage of a stream, by tree; NULL when it has none. */
static yyjson_val *usage_of(struct arena *a, struct slice events)
{
    yyjson_val *last = NULL;
    while (events.len) {
        struct slice event = next_event(&events);
        yyjson_val *root;
        if (slice_starts(event, SLICE("data: {")) &&
            json_parse(a, slice_from(event, 6), &root, NULL) == OK &&
            yyjson_is_obj(json_get(root, "usage"))) {
            last = json_get(root, "usage");
        }
    }
    return last;
}

static void check_hidden_event(struct arena *a, struct slice was, struct slice is)
{
    yyjson_val *before, *after, *key, *v;
    size_t i, max;
    assert_int_equal(json_parse(a, slice_from(was, 6), &before, NULL), OK);
    assert_int_equal(json_parse(a, slice_from(is, 6), &after, NULL), OK);
    size_t kept = 0;
    yyjson_obj_foreach(before, i, max, key, v)
    {
        if (!yyjson_equals_str(key, "usage")) {
            assert_true(yyjson_equals(json_get(after, yyjson_get_str(key)), v));
            kept++;
        }
    }
    assert_int_equal(yyjson_obj_size(after), kept);
}

/* Every event of `in` is in `out`, without usage; only events of usage alone are missing. */
static void check_hidden(struct arena *a, struct slice in, struct slice out)
{
    while (in.len) {
        struct slice was = next_event(&in);
        yyjson_val *root = NULL;
        if (slice_starts(was, SLICE("data: {"))) {
            assert_int_equal(json_parse(a, slice_from(was, 6), &root, NULL), OK);
            if (yyjson_arr_size(json_get(root, "choices")) == 0 &&
                yyjson_is_obj(json_get(root, "usage"))) {
                continue;
            }
        }
        struct slice is = next_event(&out);
        if (!root || !json_get(root, "usage")) {
            assert_true(slice_eq(was, is));
        } else {
            check_hidden_event(a, was, is);
            assert_int_equal(slice_search(is, SLICE("\"usage\":")), is.len);
        }
    }
    assert_int_equal(out.len, 0);
}

static void relay_fixture(struct arena *a, const char *name, struct slice in)
{
    struct sink whole, hidden;
    assert_int_equal(run(a, in, SEEN, in.len, 0, &whole), OK);
    if (!slice_eq(text_slice(&whole.bytes), in)) {
        fail_msg("%s: the bytes differ", name);
    }
    assert_int_equal(whole.terminals, 1);
    assert_int_equal(whole.after_terminal, 0);
    assert_true(whole.outcome.is_complete);
    assert_true(whole.outcome.model.len > 0);
    yyjson_val *usage = usage_of(a, in);
    assert_int_equal(whole.outcome.has_usage, usage != NULL);
    if (usage) {
        fixture_check_usage(usage, &whole.outcome.usage);
    }
    assert_int_equal(run(a, in, HIDDEN, in.len, 0, &hidden), OK);
    check_hidden(a, in, text_slice(&hidden.bytes));
    assert_memory_equal(&hidden.outcome.usage, &whole.outcome.usage, sizeof(struct usage));

    size_t stride = in.len <= 4096 ? 1 : in.len / 601 + 1;
    for (size_t cut = 0; cut < in.len; cut += stride) {
        struct arena b;
        struct sink k;
        arena_init(&b, NULL, (size_t)64 << 20);
        bool hides = (cut / stride) % 2;
        assert_int_equal(run(&b, in, hides ? HIDDEN : SEEN, cut, 0, &k), OK);
        assert_true(
            slice_eq(text_slice(&k.bytes), text_slice(hides ? &hidden.bytes : &whole.bytes)));
        assert_memory_equal(&k.outcome.usage, &whole.outcome.usage, sizeof(struct usage));
        assert_int_equal(k.outcome.output_bytes, whole.outcome.output_bytes);
        assert_int_equal(k.outcome.output_events, whole.outcome.output_events);
        arena_deinit(&b);
    }
    for (size_t step = 1; step < 200; step += 61) {
        struct arena b;
        struct sink k;
        arena_init(&b, NULL, (size_t)64 << 20);
        assert_int_equal(run(&b, in, HIDDEN, 0, step, &k), OK);
        assert_true(slice_eq(text_slice(&k.bytes), text_slice(&hidden.bytes)));
        arena_deinit(&b);
    }
}

static void recorded_streams_pass_byte_for_byte_in_every_cut(void **state)
{
    (void)state;
    assert_int_equal(fixture_each(".sse", relay_fixture), 19);
}

/* Text of choice 0 and the last event, from a stream of the own dialect. */
static void own_fixture(struct arena *a, const char *name, struct slice in)
{
    struct sink k, again;
    struct text joined = text_growing(a);
    yyjson_val *root = NULL;
    (void)name;
    assert_int_equal(run(a, in, OWN, in.len, 0, &k), OK);
    assert_int_equal(k.terminals, 1);
    assert_int_equal(k.after_terminal, 0);
    struct slice rest = text_slice(&k.bytes);
    while (rest.len) {
        struct slice event = next_event(&rest);
        assert_true(slice_starts(event, SLICE("data: {")));
        assert_int_equal(json_parse(a, slice_from(event, 6), &root, NULL), OK);
        text_add(&joined, json_get_string(root, "delta"));
        assert_int_equal(json_get_string(root, "delta").ptr != NULL, rest.len != 0);
    }
    yyjson_val *r = json_get(root, "response");
    assert_true(slice_eq(json_get_string(r, "content"), text_slice(&joined)));
    assert_true(slice_eq(json_get_string(r, "provider"), SLICE("openai")));
    assert_true(slice_eq(json_number(json_get(root, "cost")), SLICE("0.00078")));
    assert_int_equal(fixture_count(r, "total_tokens"), usage_total(&k.outcome.usage));
    assert_int_equal(run(a, in, OWN, 0, 97, &again), OK);
    assert_true(slice_eq(text_slice(&again.bytes), text_slice(&k.bytes)));
}

static void recorded_streams_become_deltas_and_a_result(void **state)
{
    (void)state;
    assert_int_equal(fixture_each(".sse", own_fixture), 19);
}

/* A whole answer made of a stream says what the stream said; spread again, it says it once more. */
static void stored_fixture(struct arena *a, const char *name, struct slice in)
{
    struct sink direct, spread;
    struct slice body, events;
    struct outcome seen = {.wants_detail = true};
    enum chat_operation op =
        slice_search(in, SLICE("\"text_completion\"")) < in.len ? CHAT_OP_COMPLETION : CHAT_OP_CHAT;
    assert_int_equal(run(a, in, OWN, in.len, 0, &direct), OK);
    if (dialect_events_to_body(a, &dialect_openai, op, in, &body)) {
        fail_msg("%s: no body", name);
    }
    assert_int_equal(dialect_openai.observe(a, op, body, &seen), OK);
    assert_false(seen.is_empty);
    assert_int_equal(seen.finish, direct.outcome.finish);
    assert_int_equal(seen.has_usage, direct.outcome.has_usage);
    assert_memory_equal(&seen.usage, &direct.outcome.usage, sizeof(seen.usage));
    assert_int_equal(dialect_body_to_events(a, &dialect_openai, op, body, true, &events), OK);
    assert_int_equal(run(a, events, OWN, events.len, 0, &spread), OK);
    assert_true(slice_eq(dialect_stream_text(spread.stream), dialect_stream_text(direct.stream)));
    assert_memory_equal(&spread.outcome.usage, &direct.outcome.usage, sizeof(seen.usage));
    struct slice again;
    assert_int_equal(dialect_events_to_body(a, &dialect_openai, op, events, &again), OK);
    yyjson_val *one, *two;
    assert_int_equal(json_parse(a, body, &one, NULL), OK);
    assert_int_equal(json_parse(a, again, &two, NULL), OK);
    assert_true(yyjson_equals(one, two));
}

static void stored_streams_and_bodies_turn_into_each_other(void **state)
{
    (void)state;
    assert_int_equal(fixture_each(".sse", stored_fixture), 19);
}

#define CHUNK(choices, more) "data: {\"id\":\"x\",\"model\":\"m\",\"choices\":" choices more "}\n\n"
#define TEXT_CHUNK(i, text) \
    CHUNK("[{\"index\":" #i ",\"delta\":{\"content\":\"" text "\"},\"finish_reason\":null}]", "")
#define STOP_CHUNK(i) CHUNK("[{\"index\":" #i ",\"delta\":{},\"finish_reason\":\"stop\"}]", "")
#define DONE          "data: [DONE]\n\n"

static void check(const char *in, enum mode mode, enum err want, const char *out, struct sink *k)
{
    struct slice text = slice_str(in);
    for (size_t cut = 0; cut <= text.len; cut++) {
        struct arena a;
        arena_init(&a, NULL, (size_t)16 << 20);
        enum err e = run(&a, text, mode, cut, 0, k);
        if (e != want || !slice_eq(text_slice(&k->bytes), slice_str(out))) {
            fail_msg("cut %zu: error %d\n%.*s", cut, (int)e, SLICE_ARG(text_slice(&k->bytes)));
        }
        arena_deinit(&a);
    }
}

static void a_cut_is_never_a_clean_end(void **state)
{
    (void)state;
    struct sink k;
    check("", SEEN, E_EOF, "", &k);
    check(TEXT_CHUNK(0, "a"), SEEN, E_EOF, TEXT_CHUNK(0, "a"), &k);
    check(TEXT_CHUNK(0, "a") "data: {\"id\":\"x\",\"cho", SEEN, E_EOF, TEXT_CHUNK(0, "a"), &k);
    check(TEXT_CHUNK(0, "a") TEXT_CHUNK(1, "a") STOP_CHUNK(0), SEEN, E_EOF,
          TEXT_CHUNK(0, "a") TEXT_CHUNK(1, "a") STOP_CHUNK(0), &k);
    assert_false(k.outcome.is_complete);
    check(": ping\n\n", SEEN, E_EOF, ": ping\n\n", &k);
}

static void a_missing_terminal_event_is_made_when_all_choices_finished(void **state)
{
    (void)state;
    struct sink k;
    check(TEXT_CHUNK(0, "a") STOP_CHUNK(0), SEEN, OK, TEXT_CHUNK(0, "a") STOP_CHUNK(0) DONE, &k);
    assert_true(k.outcome.is_complete);
    assert_int_equal(k.terminals, 1);
    check(TEXT_CHUNK(0, "a") "data: [DONE]", SEEN, OK, TEXT_CHUNK(0, "a") DONE, &k);
    check(TEXT_CHUNK(0, "a") "data: [DONE]\n", SEEN, OK, TEXT_CHUNK(0, "a") DONE, &k);
    check("data: {\"choices\":[{\"finish_reason\":\"stop\"}]}", SEEN, OK,
          "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n" DONE, &k);
    /* finish_reason null to the end, but said to be done */
    check(TEXT_CHUNK(0, "a") DONE, SEEN, OK, TEXT_CHUNK(0, "a") DONE, &k);
    assert_int_equal(k.outcome.finish, CHAT_FINISH_NONE);
    /* what follows the terminal event is not part of the stream */
    check(TEXT_CHUNK(0, "a") DONE TEXT_CHUNK(0, "b") DONE "garbage", SEEN, OK,
          TEXT_CHUNK(0, "a") DONE, &k);
}

static void framing_of_all_kinds_passes(void **state)
{
    (void)state;
    static const char *const streams[] = {
        "data:{\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"\"}]}\n\ndata:[DONE]\n\n",
        "data: {\"choices\":[]}\r\n\r\ndata: [DONE]\r\n\r\n",
        "\xEF\xBB\xBF: OPENROUTER PROCESSING\n\ndata: {}\n\nevent: x\nid: 1\ndata: {}\n\ndata: [DONE] \n\n",
        "data: {\"choices\":[]}   \n\n\n\ndata: \n\ndata: [DONE]\n\n",
        "data: {\ndata: \"choices\":[]\ndata: }\n\ndata: [DONE]\n\n",
        "data: {\"choices\":[]}\r\rdata: [DONE]\r\r",
    };
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        struct sink k;
        check(streams[i], SEEN, OK, streams[i], &k);
        assert_int_equal(k.terminals, 1);
    }
}

static void only_usage_is_hidden(void **state)
{
    (void)state;
    struct sink k;
#define U "{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}"
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"data: {\"usage\":null,\"choices\":[]}\n\n", "data: {\"choices\":[]}\n\n"},
        {"data: { \"usage\" : null , \"choices\":[]}\n\n", "data: {  \"choices\":[]}\n\n"},
        {"data: {\"choices\":[] , \"usage\" : null }\n\n", "data: {\"choices\":[]  }\n\n"},
        {"data: {\"usage\":null}\n\n", "data: {}\n\n"},
        {CHUNK("[]", ",\"usage\":" U), ""},
        {"data: {\"usage\":" U "}\n\n", ""},
        {CHUNK("[{\"index\":0,\"delta\":{}}]", ",\"usage\":" U),
         CHUNK("[{\"index\":0,\"delta\":{}}]", "")},
        {CHUNK("[]", ",\"moderation\":{\"x\":1},\"usage\":" U),
         CHUNK("[]", ",\"moderation\":{\"x\":1}")},
        {CHUNK("[]", ",\"prompt_filter_results\":[]"),
         CHUNK("[]", ",\"prompt_filter_results\":[]")},
        {CHUNK("[{\"delta\":{\"content\":\",\\\"usage\\\":null\"}}]", ""),
         CHUNK("[{\"delta\":{\"content\":\",\\\"usage\\\":null\"}}]", "")},
        {"data: {\ndata: \"choices\":[],\ndata: \"usage\":null}\n\n",
         "data: { \"choices\":[]}\n\n"},
        {"event: message\ndata: {\"choices\":[{}],\"usage\":null}\r\n: c\r\n\r\n",
         "event: message\ndata: {\"choices\":[{}]}\r\n: c\r\n\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char in[1024], out[1024];
        (void)snprintf(in, sizeof(in), "%s" DONE, cases[i].in);
        (void)snprintf(out, sizeof(out), "%s" DONE, cases[i].out);
        check(in, HIDDEN, OK, out, &k);
    }
}

static void usage_is_read_wherever_it_stands(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        struct usage usage;
    } cases[] = {
        {CHUNK("[]", ",\"usage\":" U), {.input = 3, .output = 2}},
        {CHUNK("[]", ",\"x_groq\":{\"id\":\"r\",\"usage\":" U "}"), {.input = 3, .output = 2}},
        /* on every event: the last wins */
        {CHUNK("[]", ",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}")
             CHUNK("[]", ",\"usage\":" U) CHUNK("[]", ",\"usage\":null"),
         {.input = 3, .output = 2}},
        {CHUNK("[]", ",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":7,\"total_tokens\":20,"
                     "\"prompt_tokens_details\":{\"cached_tokens\":4,\"cache_write_tokens\":5},"
                     "\"completion_tokens_details\":{\"reasoning_tokens\":6}}"),
         {.input = 1,
          .cache_read = 4,
          .cache_write_5m = 5,
          .output = 1,
          .reasoning = 6,
          .total_reported = 20}},
        {CHUNK("[]",
               ",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":-7,\"total_tokens\":-1,"
               "\"prompt_tokens_details\":null,\"completion_tokens_details\":null}"),
         {.input = 10}},
        {CHUNK("[]", ",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":3,"
                     "\"prompt_tokens_details\":{\"cached_tokens\":99,\"cache_write_tokens\":9}}"),
         {.cache_read = 10, .output = 3}},
        /* reasoning beside the completion (xAI) */
        {CHUNK("[]",
               ",\"usage\":{\"prompt_tokens\":307,\"completion_tokens\":26,"
               "\"total_tokens\":560,\"completion_tokens_details\":{\"reasoning_tokens\":227}}"),
         {.input = 307, .output = 26, .reasoning = 227}},
        {CHUNK("[]", ",\"usage\":{\"total_tokens\":9}"), {.input = 9}},
        {CHUNK("[]", ",\"usage\":{\"input_tokens\":9,\"output_tokens\":1}"),
         {.input = 9, .output = 1}},
        {CHUNK("[]", ",\"usage\":{\"prompt_tokens\":99999999999999999999}"), {.input = 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct sink k;
        char in[2048];
        arena_init(&a, NULL, (size_t)1 << 20);
        (void)snprintf(in, sizeof(in), "%s" DONE, cases[i].in);
        assert_int_equal(run(&a, slice_str(in), SEEN, 7, 0, &k), OK);
        assert_true(k.outcome.has_usage);
        struct usage want = cases[i].usage;
        want.is_known = true;
        assert_memory_equal(&k.outcome.usage, &want, sizeof(want));
        arena_deinit(&a);
    }
}

static void errors_inside_a_stream_are_marked(void **state)
{
    (void)state;
    static const struct {
        const char *in, *message;
    } cases[] = {
        {"data: {\"error\":{\"message\":\"bo\\u006fm\",\"code\":500}}\n\n", "boom"},
        {"data: {\"error\":\"boom\"}\n\n", "boom"},
        {"event: error\ndata: {\"message\":\"boom\"}\n\n", "boom"},
        {"event: error\ndata: {\"error\":{\"message\":\"boom\"}}\n\n", "boom"},
        {"error: {\"message\":\"boom\"}\n\n", "boom"},
        {"data: {\"object\":\"error\",\"message\":\"boom\",\"code\":400}\n\n", "boom"},
        {"data: {\"choices\":[],\"error\":{\"code\":7}}\n\n", "{\"code\":7}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int mode = SEEN; mode <= OWN; mode++) {
            struct arena a;
            struct sink k;
            arena_init(&a, NULL, (size_t)4 << 20);
            struct slice in = slice_str(cases[i].in);
            assert_int_equal(run(&a, in, (enum mode)mode, in.len / 2, 0, &k), E_EOF);
            assert_int_equal(k.errors, 1);
            assert_true(k.outcome.is_error);
            assert_false(k.outcome.is_complete);
            assert_true(slice_eq(k.outcome.error, slice_str(cases[i].message)));
            if (mode != OWN) {
                assert_true(slice_eq(text_slice(&k.bytes), in));
            } else {
                assert_true(slice_starts(text_slice(&k.bytes),
                                         SLICE("data: {\"detail\":\"All providers failed. Last "
                                               "error: ")));
            }
            arena_deinit(&a);
        }
    }
}

static void what_is_no_stream_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "<html>\n<body>\n\n",        "{\"choices\":[]}\n\n", "data: hello\n\n",
        "data: {\"a\":}\n\n",        "data: [1]\n\n",        "data: {} x\n\n",
        "upstream connect error\n\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct sink k;
        check(bad[i], SEEN, E_SYNTAX, "", &k);
        check(bad[i], OWN, E_SYNTAX, "", &k);
        struct slice half = slice_str(bad[i]);
        struct arena a;
        arena_init(&a, NULL, (size_t)1 << 20);
        assert_int_equal(run(&a, slice_head(half, half.len - 2), SEEN, 3, 0, &k), E_EOF);
        assert_int_equal(k.bytes.len, 0);
        arena_deinit(&a);
    }
}

static void flags_tell_content_and_terminal(void **state)
{
    (void)state;
    struct arena a;
    struct sink k;
    arena_init(&a, NULL, (size_t)1 << 20);
    struct slice in = SLICE(CHUNK("[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]", "")
                                STOP_CHUNK(0) DONE);
    assert_int_equal(run(&a, in, SEEN, in.len, 0, &k), OK);
    assert_true(slice_eq(text_slice(&k.flags), SLICE(".t"))); /* neighbours go out together */
    assert_false(k.outcome.has_content);
    in = SLICE(TEXT_CHUNK(0, "hi") STOP_CHUNK(0) DONE);
    assert_int_equal(run(&a, in, SEEN, in.len, 0, &k), OK);
    assert_true(slice_eq(text_slice(&k.flags), SLICE("ct")));
    assert_int_equal(k.outcome.output_bytes, 2);
    assert_int_equal(k.outcome.output_events, 1);
    in = SLICE(CHUNK("[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\","
                     "\"arguments\":\"{}\"}}]}}]",
                     "") STOP_CHUNK(0) DONE);
    assert_int_equal(run(&a, in, SEEN, in.len, 0, &k), OK);
    assert_int_equal(k.outcome.output_bytes, 3);
    arena_deinit(&a);
}

static void the_receiver_can_stop_it(void **state)
{
    (void)state;
    struct slice in = SLICE(TEXT_CHUNK(0, "a") TEXT_CHUNK(0, "b") DONE);
    for (int mode = SEEN; mode <= OWN; mode++) {
        struct arena a;
        struct sink k;
        arena_init(&a, NULL, (size_t)1 << 20);
        assert_int_equal(run(&a, slice_head(in, 0), (enum mode)mode, 0, 0, &k), E_EOF);
        k.answer = E_CANCELLED;
        assert_int_equal(run(&a, SLICE_NONE, (enum mode)mode, 0, 0, &k), E_EOF);
        k.answer = E_CANCELLED;
        assert_int_equal(k.bytes.len, 0);
        struct stream_options o = {.provider = &dialect_openai,
                                   .client = mode == OWN ? &dialect_own : &dialect_openai,
                                   .event_max_bytes = 4096,
                                   .on_bytes = on_bytes,
                                   .ctx = &k,
                                   .render_last = render_last};
        assert_int_equal(dialect_stream_new(&a, &o, &k.outcome, &k.stream), OK);
        assert_int_equal(dialect_stream_feed(k.stream, in), E_CANCELLED);
        assert_int_equal(k.flags.len, 1); /* called once, never again */
        assert_int_equal(dialect_stream_feed(k.stream, in), E_CANCELLED);
        assert_int_equal(k.flags.len, 1);
        arena_deinit(&a);
    }
}

static void an_event_is_bounded(void **state)
{
    (void)state;
    struct arena a;
    struct sink k = {.answer = OK};
    arena_init(&a, NULL, (size_t)16 << 20);
    k.bytes = text_growing(&a);
    k.flags = text_growing(&a);
    struct stream_options o = {.provider = &dialect_openai,
                               .client = &dialect_openai,
                               .event_max_bytes = 100,
                               .on_bytes = on_bytes,
                               .ctx = &k};
    char big[400];
    memset(big, 'x', sizeof(big));
    memcpy(big, "data: ", 6);
    memcpy(big + sizeof(big) - 2, "\n\n", 2);
    assert_int_equal(dialect_stream_new(&a, &o, &k.outcome, &k.stream), OK);
    assert_int_equal(dialect_stream_feed(k.stream, slice_of(big, sizeof(big))), E_LIMIT);
    assert_int_equal(dialect_stream_new(&a, &o, &k.outcome, &k.stream), OK);
    assert_int_equal(dialect_stream_feed(k.stream, slice_of(big, 99)), OK);
    assert_int_equal(dialect_stream_feed(k.stream, slice_of(big, 99)), E_LIMIT);
    assert_int_equal(k.bytes.len, 0);
    arena_deinit(&a);
}

static enum err starved(struct arena *a, const void *ctx)
{
    const enum mode *mode = ctx;
    struct slice in = SLICE(TEXT_CHUNK(0, "a") CHUNK("[]", ",\"usage\":" U) DONE);
    struct arena big;
    arena_init(&big, NULL, (size_t)1 << 20);
    struct sink k = {.bytes = text_growing(&big), .flags = text_growing(&big)};
    struct stream_options o = {.provider = &dialect_openai,
                               .client = *mode == OWN ? &dialect_own : &dialect_openai,
                               .hides_usage = *mode == HIDDEN,
                               .event_max_bytes = 4096,
                               .on_bytes = on_bytes,
                               .ctx = &k,
                               .render_last = render_last};
    enum err e = dialect_stream_new(a, &o, &k.outcome, &k.stream);
    for (size_t i = 0; i < in.len && !e; i += 5) {
        e = dialect_stream_feed(k.stream, slice_head(slice_from(in, i), 5));
    }
    assert_int_equal(k.terminals, e == OK);
    arena_deinit(&big);
    return e;
}

static void survives_any_lack_of_memory(void **state)
{
    (void)state;
    for (enum mode mode = SEEN; mode <= OWN; mode++) {
        fixture_starve(starved, &mode, 60000, 256);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_streams_pass_byte_for_byte_in_every_cut),
        cmocka_unit_test(recorded_streams_become_deltas_and_a_result),
        cmocka_unit_test(stored_streams_and_bodies_turn_into_each_other),
        cmocka_unit_test(a_cut_is_never_a_clean_end),
        cmocka_unit_test(a_missing_terminal_event_is_made_when_all_choices_finished),
        cmocka_unit_test(framing_of_all_kinds_passes),
        cmocka_unit_test(only_usage_is_hidden),
        cmocka_unit_test(usage_is_read_wherever_it_stands),
        cmocka_unit_test(errors_inside_a_stream_are_marked),
        cmocka_unit_test(what_is_no_stream_is_refused),
        cmocka_unit_test(flags_tell_content_and_terminal),
        cmocka_unit_test(the_receiver_can_stop_it),
        cmocka_unit_test(an_event_is_bounded),
        cmocka_unit_test(survives_any_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
