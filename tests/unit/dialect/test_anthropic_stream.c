/* Anthropic's streams: recorded ones pass byte for byte in every cut and say what the recording
 * says; stored ones become bodies and back. */
#include "trial.h"

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
    trial_relay(a, &dialect_anthropic, name, in, true, &whole);
    usage_told(a, in, told);
    assert_int_equal(whole.outcome.usage.input, told[0]);
    assert_int_equal(whole.outcome.usage.cache_write_5m + whole.outcome.usage.cache_write_1h,
                     told[1]);
    assert_int_equal(whole.outcome.usage.cache_read, told[2]);
    assert_int_equal(usage_completion(&whole.outcome.usage), told[3]);
}

static void recorded_streams_pass_byte_for_byte_in_every_cut(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(dir, ".sse", relay_fixture), 16);
}

static void stored_fixture(struct arena *a, const char *name, struct slice in)
{
    bool is_spliced = strcmp(name, "vai-spliced-message-start.sse") == 0; /* its first try, too */
    (void)trial_stored(a, &dialect_anthropic, name, in, !is_spliced);
}

static void stored_streams_and_bodies_turn_into_each_other(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(dir, ".sse", stored_fixture), 16);
}

/* The recorded whole answers spread to events and put together are what they were. */
static void body_fixture(struct arena *a, const char *name, struct slice bytes)
{
    int64_t status;
    yyjson_val *tree = fixture_answer(a, bytes, &status);
    if (yyjson_is_arr(json_get(tree, "content"))) {
        (void)trial_spread(a, &dialect_anthropic, name, json_text(a, tree));
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
    trial_cuts(&dialect_anthropic, in, want, out, k);
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
        char in[2048];
        (void)snprintf(
            in, sizeof(in),
            EV("message_start", ",\"message\":{\"model\":\"m\",\"usage\":%s}")
                EV("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":%s") STOP,
            cases[i].start, cases[i].end);
        trial_usage(&dialect_anthropic, in, cases[i].usage);
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
        char in[2048];
        (void)snprintf(in, sizeof(in), START(U) END("%s", U) STOP, cases[i].reason);
        trial_finish(&dialect_anthropic, in, cases[i].finish);
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
        trial_error(&dialect_anthropic, clients[i % ARRAY_LEN(clients)],
                    START(U) TEXT(0) SAY(0, "a"), streams[i / ARRAY_LEN(clients)], 1);
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
    static const char *const cut[] = {"",
                                      START(U),
                                      START(U) END("end_turn", U),
                                      EV("error", ",\"error\":{}") STOP,
                                      STOP,
                                      START(U) SAY(3, "x") STOP};
    trial_no_stream(&dialect_anthropic, bad, ARRAY_LEN(bad), cut, ARRAY_LEN(cut));
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
        const struct trial_meal m = {&dialect_anthropic, clients[i], in, &dialect_anthropic, in};
        fixture_starve(trial_starved, &m, 120000, 256);
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
