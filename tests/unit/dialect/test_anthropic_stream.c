/* Anthropic's streams: recorded ones pass byte for byte in every cut and say what the recording
 * says; stored ones become bodies and back. */
#include "run.h"

static const char *const dir = TEST_DATA_DIR "/anthropic";

/* The usage that the events state, put together by the test itself. */
static void usage_told(struct arena *a, struct slice events, int64_t *out)
{
    static const char *const names[] = {"input_tokens", "cache_creation_input_tokens",
                                        "cache_read_input_tokens", "output_tokens"};
    memset(out, 0, ARRAY_LEN(names) * sizeof(*out));
    while (events.len) {
        struct slice name;
        yyjson_val *root = run_next(a, &events, &name);
        yyjson_val *usage = json_get(root, "usage");
        usage = usage ? usage : json_get(json_get(root, "message"), "usage");
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            (void)json_i64(json_get(usage, names[i]), &out[i]);
        }
    }
}

static void relay_fixture(struct arena *a, const char *name, struct slice in)
{
    struct run whole;
    int64_t told[4];
    run_whole(a, &dialect_anthropic, &dialect_anthropic, in, &whole);
    assert_int_equal(whole.end, OK);
    if (!slice_eq(text_slice(&whole.bytes), in)) {
        fail_msg("%s: the bytes differ", name);
    }
    assert_int_equal(whole.terminals, 1);
    assert_int_equal(whole.after_terminal, 0);
    assert_true(whole.outcome.is_complete && whole.outcome.has_usage);
    assert_true(whole.outcome.model.len > 0);
    assert_int_not_equal(whole.outcome.finish, CHAT_FINISH_NONE);
    usage_told(a, in, told);
    assert_int_equal(whole.outcome.usage.input, told[0]);
    assert_int_equal(whole.outcome.usage.cache_write_5m + whole.outcome.usage.cache_write_1h,
                     told[1]);
    assert_int_equal(whole.outcome.usage.cache_read, told[2]);
    assert_int_equal(usage_completion(&whole.outcome.usage), told[3]);
    size_t stride = in.len <= 4096 ? 1 : in.len / 601 + 1;
    for (size_t cut = 0; cut < in.len; cut += stride) {
        struct arena b;
        struct run k;
        arena_init(&b, NULL, (size_t)64 << 20);
        run_stream(&b, &dialect_anthropic, &dialect_anthropic, in, cut, 0, &k);
        assert_int_equal(k.end, OK);
        assert_true(slice_eq(text_slice(&k.bytes), in));
        assert_memory_equal(&k.outcome.usage, &whole.outcome.usage, sizeof(struct usage));
        assert_int_equal(k.outcome.output_bytes, whole.outcome.output_bytes);
        arena_deinit(&b);
    }
}

static void recorded_streams_pass_byte_for_byte_in_every_cut(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(dir, ".sse", relay_fixture), 16);
}

/* A stored stream as a body says the same; the body as a stream once more. */
static void stored_fixture(struct arena *a, const char *name, struct slice in)
{
    struct run direct, spread;
    struct slice body, events, again;
    struct outcome seen = {.wants_detail = true};
    struct chat_response r;
    run_whole(a, &dialect_anthropic, &dialect_openai, in, &direct);
    if (dialect_events_to_body(a, &dialect_anthropic, CHAT_OP_CHAT, in, &body)) {
        fail_msg("%s: no body", name);
    }
    assert_int_equal(dialect_anthropic.observe(a, CHAT_OP_CHAT, body, &seen), OK);
    assert_int_equal(seen.finish, direct.outcome.finish);
    assert_memory_equal(&seen.usage, &direct.outcome.usage, sizeof(seen.usage));
    assert_int_equal(dialect_anthropic.decode_response(a, body, &r), OK);
    if (strcmp(name, "vai-spliced-message-start.sse") != 0) { /* its first try is in the stream */
        run_check_same(a, name, dialect_stream_answer(direct.stream), &r);
    }
    assert_int_equal(
        dialect_body_to_events(a, &dialect_anthropic, CHAT_OP_CHAT, body, true, &events), OK);
    run_whole(a, &dialect_anthropic, &dialect_openai, events, &spread);
    assert_int_equal(spread.end, OK);
    run_check_same(a, name, dialect_stream_answer(spread.stream), &r);
    assert_int_equal(dialect_events_to_body(a, &dialect_anthropic, CHAT_OP_CHAT, events, &again),
                     OK);
    if (!run_same_json(a, body, again)) {
        fail_msg("%s:\n%.*s\n%.*s", name, SLICE_ARG(body), SLICE_ARG(again));
    }
}

static void stored_streams_and_bodies_turn_into_each_other(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(dir, ".sse", stored_fixture), 16);
}

/* The recorded whole answers spread to events and put together are what they were. */
static void body_fixture(struct arena *a, const char *name, struct slice bytes)
{
    yyjson_val *root;
    struct slice events, again;
    assert_int_equal(json_parse(a, bytes, &root, NULL), OK);
    yyjson_val *tree =
        json_get(root, "response") ? json_get(json_get(root, "response"), "body") : root;
    if (!yyjson_is_arr(json_get(tree, "content"))) {
        return;
    }
    struct slice body = json_text(a, tree);
    assert_int_equal(
        dialect_body_to_events(a, &dialect_anthropic, CHAT_OP_CHAT, body, true, &events), OK);
    assert_int_equal(dialect_events_to_body(a, &dialect_anthropic, CHAT_OP_CHAT, events, &again),
                     OK);
    if (!run_same_json(a, body, again)) {
        fail_msg("%s:\n%.*s\n%.*s", name, SLICE_ARG(body), SLICE_ARG(again));
    }
}

static void recorded_bodies_survive_the_form_of_a_stream(void **state)
{
    (void)state;
    assert_true(fixture_each_in(dir, ".json", body_fixture) >= 20);
}

#define EV(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define START(usage)                                                                    \
    EV("message_start", ",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":" \
                        "\"assistant\",\"model\":\"claude\",\"content\":[],\"usage\":" usage "}")
#define U "{\"input_tokens\":10,\"output_tokens\":1}"
#define TEXT(i)               \
    EV("content_block_start", \
       ",\"index\":" #i ",\"content_block\":{\"type\":\"text\",\"text\":\"\"}")
#define SAY(i, s)             \
    EV("content_block_delta", \
       ",\"index\":" #i ",\"delta\":{\"type\":\"text_delta\",\"text\":\"" s "\"}")
#define CLOSE(i) EV("content_block_stop", ",\"index\":" #i)
#define END(reason, usage) \
    EV("message_delta",    \
       ",\"delta\":{\"stop_reason\":\"" reason "\",\"stop_sequence\":null},\"usage\":" usage)
#define STOP EV("message_stop", "")

static void same(const char *in, enum err want, const char *out, struct run *k)
{
    struct slice text = slice_str(in);
    for (size_t cut = 0; cut <= text.len; cut++) {
        struct arena a;
        arena_init(&a, NULL, (size_t)16 << 20);
        run_stream(&a, &dialect_anthropic, &dialect_anthropic, text, cut, 0, k);
        if (k->end != want || !slice_eq(text_slice(&k->bytes), slice_str(out))) {
            fail_msg("cut %zu: error %d\n%.*s", cut, (int)k->end, SLICE_ARG(text_slice(&k->bytes)));
        }
        arena_deinit(&a);
    }
}

/* There is no [DONE] (trap 13): message_stop ends it, and only it, or a stop_reason before. */
static void a_cut_is_never_a_clean_end(void **state)
{
    (void)state;
    struct run k;
    same("", E_EOF, "", &k);
    same(START(U), E_EOF, START(U), &k);
    same(START(U) TEXT(0) SAY(0, "a") CLOSE(0), E_EOF, START(U) TEXT(0) SAY(0, "a") CLOSE(0), &k);
    assert_false(k.outcome.is_complete);
    same(START(U) END("end_turn", U), OK, START(U) END("end_turn", U) STOP, &k);
    assert_true(k.outcome.is_complete);
    same(START(U) STOP SAY(0, "late"), OK, START(U) STOP, &k);
}

/* A cut before message_delta: the prompt is known, the one token that message_start tells of the
 * answer is junk and no usage. */
static void early_usage_tells_the_prompt_only(void **state)
{
    (void)state;
    struct run k;
    same(START("{\"input_tokens\":10,\"cache_read_input_tokens\":7,\"output_tokens\":1}") TEXT(0)
             SAY(0, "abc"),
         E_EOF,
         START("{\"input_tokens\":10,\"cache_read_input_tokens\":7,\"output_tokens\":1}") TEXT(0)
             SAY(0, "abc"),
         &k);
    assert_false(k.outcome.has_usage);
    assert_true(k.outcome.has_prompt_usage);
    assert_int_equal(k.outcome.usage.input, 10);
    assert_int_equal(k.outcome.usage.cache_read, 7);
    assert_int_equal(k.outcome.output_bytes, 3);
}

/* Traps 2 and 3: cumulative counts replace; null and absent leave what was; caches stay apart. */
static void usage_is_merged_and_never_added(void **state)
{
    (void)state;
    static const struct {
        const char *start, *end;
        struct usage usage;
    } cases[] = {
        {U, "{\"output_tokens\":5}", {.input = 10, .output = 5}},
        {U, "{\"input_tokens\":61,\"output_tokens\":2}", {.input = 61, .output = 2}},
        {"{\"input_tokens\":10,\"cache_read_input_tokens\":3,\"output_tokens\":8}",
         "{\"input_tokens\":null,\"cache_read_input_tokens\":null,\"output_tokens\":5}",
         {.input = 10, .cache_read = 3, .output = 5}},
        {"{\"input_tokens\":1,\"cache_creation_input_tokens\":30,\"cache_creation\":{"
         "\"ephemeral_5m_input_tokens\":10,\"ephemeral_1h_input_tokens\":20},\"output_tokens\":1}",
         "{\"input_tokens\":1,\"cache_creation_input_tokens\":30,\"output_tokens\":9}",
         {.input = 1, .cache_write_5m = 10, .cache_write_1h = 20, .output = 9}},
        {"{\"input_tokens\":1,\"cache_creation_input_tokens\":30,\"cache_creation\":null}",
         "{\"output_tokens\":9}",
         {.input = 1, .cache_write_5m = 30, .output = 9}},
        {"{\"input_tokens\":1,\"cache_creation\":{\"ephemeral_1h_input_tokens\":20}}",
         "{\"cache_creation_input_tokens\":25,\"output_tokens\":9}",
         {.input = 1, .cache_write_5m = 5, .cache_write_1h = 20, .output = 9}},
        {U,
         "{\"output_tokens\":44,\"output_tokens_details\":{\"thinking_tokens\":33}}",
         {.input = 10, .output = 11, .reasoning = 33}},
        {U,
         "{\"output_tokens\":4,\"output_tokens_details\":{\"thinking_tokens\":33}}",
         {.input = 10, .output = 0, .reasoning = 4}},
        {"{\"input_tokens\":-4,\"output_tokens\":99999999999999999999}",
         "{\"output_tokens\":1.9}",
         {.input = 0, .output = 1}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct run k;
        arena_init(&a, NULL, (size_t)1 << 20);
        struct slice in = arena_printf(
            &a,
            EV("message_start", ",\"message\":{\"model\":\"m\",\"usage\":%s}")
                EV("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":%s") STOP,
            cases[i].start, cases[i].end);
        run_stream(&a, &dialect_anthropic, &dialect_anthropic, in, 9, 0, &k);
        assert_int_equal(k.end, OK);
        struct usage want = cases[i].usage;
        want.is_known = true;
        assert_memory_equal(&k.outcome.usage, &want, sizeof(want));
        assert_true(k.outcome.has_usage);
        arena_deinit(&a);
    }
}

static void every_stop_reason_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *reason;
        enum chat_finish finish;
    } cases[] = {
        {"end_turn", CHAT_FINISH_STOP},
        {"stop_sequence", CHAT_FINISH_STOP},
        {"pause_turn", CHAT_FINISH_STOP},
        {"max_tokens", CHAT_FINISH_LENGTH},
        {"tool_use", CHAT_FINISH_TOOL_CALLS},
        {"refusal", CHAT_FINISH_FILTER},
        {"compaction", CHAT_FINISH_LENGTH},
        {"model_context_window_exceeded", CHAT_FINISH_LENGTH},
        {"what_comes_next", CHAT_FINISH_STOP},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct run k;
        arena_init(&a, NULL, (size_t)1 << 20);
        struct slice in = arena_printf(&a, START(U) END("%s", U) STOP, cases[i].reason);
        run_whole(&a, &dialect_anthropic, &dialect_anthropic, in, &k);
        assert_int_equal(k.outcome.finish, cases[i].finish);
        arena_deinit(&a);
    }
}

/* Trap 14: errors after a 200. */
static void errors_inside_a_stream_are_marked(void **state)
{
    (void)state;
    static const char *const streams[] = {
        EV("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overl\\u006faded\"}"),
        "data: {\"type\":\"error\",\"error\":{\"message\":\"Overloaded\"}}\n\n",
        "event: error\ndata: {\"message\":\"Overloaded\"}\n\n",
        "event: error\ndata: {\"error\":\"Overloaded\"}\n\n",
        "data: {\"error\":{\"message\":\"Overloaded\",\"code\":529}}\n\n",
    };
    static const struct dialect *const clients[] = {&dialect_anthropic, &dialect_openai,
                                                    &dialect_own};
    for (size_t i = 0; i < ARRAY_LEN(streams) * ARRAY_LEN(clients); i++) {
        struct arena a;
        struct run k;
        struct slice error = slice_str(streams[i / ARRAY_LEN(clients)]);
        arena_init(&a, NULL, (size_t)4 << 20);
        struct slice in = arena_printf(&a, START(U) TEXT(0) SAY(0, "a") "%.*s", SLICE_ARG(error));
        run_whole(&a, &dialect_anthropic, clients[i % ARRAY_LEN(clients)], in, &k);
        assert_int_equal(k.end, E_EOF);
        assert_int_equal(k.errors, 1);
        assert_int_equal(k.terminals, 0);
        assert_true(k.outcome.is_error && !k.outcome.is_complete);
        assert_true(slice_eq(k.outcome.error, SLICE("Overloaded")));
        arena_deinit(&a);
    }
}

/* Trap 13: padding after the JSON, no event: lines (DeepSeek, Kimi), CR LF, comments. */
static void framing_of_all_kinds_passes(void **state)
{
    (void)state;
    static const char *const streams[] = {
        "data: {\"type\":\"message_start\",\"message\":{}}\n\ndata:{\"type\":\"message_stop\"}\n\n",
        "event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{}   }   \r\n\r\n"
        "event: message_stop\r\ndata: {\"type\":\"message_stop\"         }\r\n\r\n",
        "\xEF\xBB\xBF: hello\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n" STOP,
        START("null") EV("what_comes_next", ",\"index\":0") STOP,
        EV("message_start", "") STOP,
    };
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        struct run k;
        same(streams[i], OK, streams[i], &k);
        assert_int_equal(k.terminals, 1);
    }
}

static void what_is_no_stream_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"<html>\n<body>\n\n", "{\"content\":[]}\n\n",
                                      "data: hello\n\n",    "data: [1]\n\n",
                                      "data: {\"a\":}\n\n", "upstream connect error\n\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct run k;
        same(bad[i], E_SYNTAX, "", &k);
    }
    struct arena a;
    struct slice out;
    arena_init(&a, NULL, (size_t)1 << 20);
    static const char *const cut[] = {"",
                                      START(U),
                                      START(U) END("end_turn", U),
                                      EV("error", ",\"error\":{}") STOP,
                                      STOP,
                                      START(U) SAY(3, "x") STOP};
    for (size_t i = 0; i < ARRAY_LEN(cut); i++) {
        assert_int_equal(
            dialect_events_to_body(&a, &dialect_anthropic, CHAT_OP_CHAT, slice_str(cut[i]), &out),
            E_SYNTAX);
    }
    assert_int_equal(
        dialect_body_to_events(&a, &dialect_anthropic, CHAT_OP_CHAT, SLICE("{}"), true, &out),
        E_SYNTAX);
    arena_deinit(&a);
}

static void survives_any_lack_of_memory(void **state)
{
    (void)state;
    static const struct dialect *const clients[] = {&dialect_anthropic, &dialect_openai,
                                                    &dialect_own};
    struct slice in = SLICE(
        START(U) TEXT(0) SAY(0, "a") CLOSE(0)
            EV("content_block_start", ",\"index\":1,\"content_block\":{\"type\":\"tool_use\","
                                      "\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":1}}") CLOSE(1)
                EV("content_block_start", ",\"index\":2,\"content_block\":{\"type\":"
                                          "\"server_tool_use\",\"id\":\"s\",\"input\":{}}") CLOSE(2)
                    END("tool_use", U) STOP);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        bool succeeded = false;
        for (size_t cap = 0; cap < 120000; cap += 256) {
            struct arena a, big;
            struct run k = {.end = OK};
            struct slice out;
            arena_init(&a, NULL, cap);
            arena_init(&big, NULL, (size_t)1 << 20);
            k.bytes = text_growing(&big);
            struct stream_options o = {.provider = &dialect_anthropic,
                                       .client = clients[i],
                                       .event_max_bytes = 4096,
                                       .gathers = true,
                                       .on_bytes = run_on_bytes,
                                       .ctx = &k,
                                       .render_last = run_render_last};
            enum err e = dialect_stream_new(&a, &o, &k.outcome, &k.stream);
            for (size_t at = 0; at < in.len && !e; at += 5) {
                e = dialect_stream_feed(k.stream, slice_head(slice_from(in, at), 5));
            }
            assert_true(e == OK || e == E_NOMEM || e == E_LIMIT);
            assert_int_equal(k.terminals, e == OK);
            succeeded = e == OK;
            e = dialect_events_to_body(&a, &dialect_anthropic, CHAT_OP_CHAT, in, &out);
            e = e ? e
                  : dialect_body_to_events(&a, &dialect_anthropic, CHAT_OP_CHAT, out, true, &out);
            assert_true(e == OK || e == E_NOMEM || e == E_LIMIT);
            succeeded = succeeded && e == OK;
            arena_deinit(&a);
            arena_deinit(&big);
        }
        assert_true(succeeded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_streams_pass_byte_for_byte_in_every_cut),
        cmocka_unit_test(stored_streams_and_bodies_turn_into_each_other),
        cmocka_unit_test(recorded_bodies_survive_the_form_of_a_stream),
        cmocka_unit_test(a_cut_is_never_a_clean_end),
        cmocka_unit_test(early_usage_tells_the_prompt_only),
        cmocka_unit_test(usage_is_merged_and_never_added),
        cmocka_unit_test(every_stop_reason_is_known),
        cmocka_unit_test(errors_inside_a_stream_are_marked),
        cmocka_unit_test(framing_of_all_kinds_passes),
        cmocka_unit_test(what_is_no_stream_is_refused),
        cmocka_unit_test(survives_any_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
