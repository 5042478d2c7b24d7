/* The API's streams: recorded ones pass byte for byte in every cut and say what the recording says;
 * they have no terminal event, so that the last one stands for it; as JSON arrays; stored. */
#include "trial.h"

static const char *const dir = TEST_DATA_DIR "/gemini";

/* The usage of the last event, read by tree. */
static yyjson_val *last_usage(struct arena *a, struct slice events)
{
    yyjson_val *usage = NULL, *root;
    while (events.len) {
        struct slice event = slice_head(events, slice_search(events, SLICE("\r\n\r\n")));
        events = slice_from(events, event.len + 4);
        assert_int_equal(json_parse(a, slice_from(event, 6), &root, NULL), OK);
        usage = json_get(root, "usageMetadata");
    }
    return usage;
}

static void check_usage(yyjson_val *u, const struct usage *got)
{
    int64_t prompt = fixture_count(u, "promptTokenCount");
    assert_true(got->is_known);
    assert_int_equal(usage_prompt(got), prompt + fixture_count(u, "toolUsePromptTokenCount"));
    assert_int_equal(got->cache_read, fixture_count(u, "cachedContentTokenCount"));
    assert_int_equal(got->output, fixture_count(u, "candidatesTokenCount"));
    assert_int_equal(got->reasoning, fixture_count(u, "thoughtsTokenCount"));
    assert_int_equal(usage_total(got), fixture_count(u, "totalTokenCount"));
}

static void relay_fixture(struct arena *a, const char *name, struct slice in)
{
    struct run whole;
    trial_relay(a, &dialect_gemini, name, in, true, &whole);
    check_usage(last_usage(a, in), &whole.outcome.usage);
}

static void recorded_streams_pass_byte_for_byte_in_every_cut(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(dir, ".sse", relay_fixture), 10);
}

/* --- one JSON array ----------------------------------------------------------------------------
 */

static void run_array(struct arena *a, const struct dialect *provider, struct slice in, size_t step,
                      struct run *k)
{
    *k = (struct run){.bytes = text_growing(a)};
    const struct stream_options o = {.provider = provider,
                                     .client = &dialect_gemini,
                                     .is_array = true,
                                     .gathers = true,
                                     .event_max_bytes = (size_t)1 << 20,
                                     .on_bytes = run_on_bytes,
                                     .ctx = k};
    k->end = dialect_stream_new(a, &o, &k->outcome, &k->stream);
    for (size_t i = 0; i < in.len && !k->end; i += step) {
        k->end = dialect_stream_feed(k->stream, slice_head(slice_from(in, i), step));
    }
    k->end = k->end ? k->end : dialect_stream_end(k->stream);
}

/* The array holds what the events held, and can be stored and read as the stream it is. */
static void array_fixture(struct arena *a, const char *name, struct slice in)
{
    struct run k, pieces;
    struct slice rest = in, body, again;
    yyjson_val *list, *want;
    run_array(a, &dialect_gemini, in, in.len, &k);
    run_array(a, &dialect_gemini, in, 7, &pieces);
    assert_int_equal(k.end, OK);
    assert_true(slice_eq(text_slice(&k.bytes), text_slice(&pieces.bytes)));
    assert_int_equal(k.terminals, 1);
    assert_int_equal(json_parse(a, text_slice(&k.bytes), &list, NULL), OK);
    for (size_t i = 0; rest.len; i++) {
        struct slice event = slice_head(rest, slice_search(rest, SLICE("\r\n\r\n")));
        rest = slice_from(rest, event.len + 4);
        assert_int_equal(json_parse(a, slice_from(event, 6), &want, NULL), OK);
        if (!yyjson_equals(want, yyjson_arr_get(list, i))) {
            fail_msg("%s: element %zu differs", name, i);
        }
    }
    assert_int_equal(
        dialect_events_to_body(a, &dialect_gemini, CHAT_OP_CHAT, text_slice(&k.bytes), &body), OK);
    assert_int_equal(dialect_events_to_body(a, &dialect_gemini, CHAT_OP_CHAT, in, &again), OK);
    assert_true(slice_eq(body, again));
}

static void a_client_without_sse_gets_one_json_array(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(dir, ".sse", array_fixture), 10);
}

#define G(candidate) "data: {\"candidates\":[" candidate "]}\r\n\r\n"
#define SAY(text)    G("{\"content\":{\"parts\":[{\"text\":\"" text "\"}],\"role\":\"model\"}}")
#define END_WITH(reason, usage)                                         \
    "data: {\"candidates\":[{\"content\":{},\"finishReason\":\"" reason \
    "\"}],\"usageMetadata\":" usage ",\"modelVersion\":\"gemini-x\",\"responseId\":\"r\"}\r\n\r\n"
#define U   "{\"promptTokenCount\":10,\"candidatesTokenCount\":4,\"totalTokenCount\":14}"
#define END END_WITH("STOP", U)

/* Trap 14: what goes wrong in an array ends it as an array. */
static void faults_close_the_array(void **state)
{
    (void)state;
    static const char *const streams[] = {
        SAY("a"), "", SAY("a") "data: {\"error\":{\"code\":503,\"message\":\"busy\"}}\r\n\r\n"};
    const struct fault f = {.kind = FAULT_UPSTREAM};
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        struct arena a;
        struct run k;
        yyjson_val *list;
        arena_init(&a, NULL, (size_t)4 << 20);
        run_array(&a, &dialect_gemini, slice_str(streams[i]), 5, &k);
        assert_int_equal(k.end, E_EOF);
        assert_int_equal(k.terminals, 0);
        dialect_stream_fault(k.stream, &f, &k.bytes);
        assert_int_equal(json_parse(&a, text_slice(&k.bytes), &list, NULL), OK);
        yyjson_val *error = json_get(yyjson_arr_get_last(list), "error");
        assert_true(json_get_string(error, "message").len > 0);
        arena_deinit(&a);
    }
    struct arena a;
    struct run k;
    arena_init(&a, NULL, (size_t)1 << 20);
    run_whole(&a, &dialect_gemini, &dialect_gemini, SLICE(SAY("a")), &k);
    struct text out = text_growing(&a), same = text_growing(&a);
    dialect_stream_fault(k.stream, &f, &out);
    dialect_gemini.render_stream_fault(&f, &same);
    assert_true(slice_eq(text_slice(&out), text_slice(&same)));
    arena_deinit(&a);
}

/* --- the end -----------------------------------------------------------------------------------
 */

static void same(const char *in, enum err want, const char *out, struct run *k)
{
    trial_cuts(&dialect_gemini, in, want, out, k);
}

/* Trap 13: no [DONE]. The end of the stream is one only when every candidate has its finish, and
 * the event that told it is what the books are closed before. */
static void a_cut_is_never_a_clean_end(void **state)
{
    (void)state;
    struct run k;
    same("", E_EOF, "", &k);
    same(SAY("a"), E_EOF, SAY("a"), &k);
    assert_false(k.outcome.is_complete);
    same(SAY("a") END, OK, SAY("a") END, &k);
    assert_int_equal(k.terminals, 1);
    assert_true(k.outcome.is_complete);
    /* the finish may be told more than once, and something may come after it */
    same(END END, OK, END END, &k);
    assert_int_equal(k.terminals, 1);
    same(END ": bye\r\n\r\n" SAY("late"), OK, END ": bye\r\n\r\n" SAY("late"), &k);
    same(G("{\"index\":1}") END, E_EOF, G("{\"index\":1}") END, &k);
    /* LF, no space, no blank line at the end */
    same("data:{\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n", OK,
         "data:{\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n", &k);
    same("data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}", OK,
         "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n", &k);
    /* trap 12: a prompt that is blocked has no candidate and is an answer */
    same("data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\r\n\r\n", OK,
         "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\r\n\r\n", &k);
    assert_int_equal(k.outcome.finish, CHAT_FINISH_FILTER);
}

/* Trap 12: thoughts are beside the candidates' tokens, and every token counts once. */
static void usage_counts_every_token_once(void **state)
{
    (void)state;
    static const struct {
        const char *first, *last;
        struct usage usage;
    } cases[] = {
        {"{}", U, {.input = 10, .output = 4}},
        {"{}",
         "{\"promptTokenCount\":10,\"cachedContentTokenCount\":6,\"candidatesTokenCount\":4,"
         "\"thoughtsTokenCount\":5,\"totalTokenCount\":19}",
         {.input = 4, .cache_read = 6, .output = 4, .reasoning = 5}},
        {"{}", /* some models' candidates hold the thoughts: the total tells */
         "{\"promptTokenCount\":10,\"candidatesTokenCount\":9,\"thoughtsTokenCount\":5,"
         "\"totalTokenCount\":19}",
         {.input = 10, .output = 4, .reasoning = 5}},
        {"{}",
         "{\"promptTokenCount\":10,\"toolUsePromptTokenCount\":30,\"candidatesTokenCount\":2,"
         "\"totalTokenCount\":42}",
         {.input = 40, .output = 2}},
        {"{\"promptTokenCount\":169,\"totalTokenCount\":169}", U, {.input = 10, .output = 4}},
        {"{\"promptTokenCount\":10,\"candidatesTokenCount\":4,\"thoughtsTokenCount\":7,"
         "\"totalTokenCount\":21}",
         "{\"trafficType\":\"ON_DEMAND\"}",
         {.input = 10, .output = 4, .reasoning = 7}},
        {"{}",
         "{\"promptTokenCount\":10,\"totalTokenCount\":25}",
         {.input = 10, .total_reported = 25}},
        {"{}",
         "{\"promptTokenCount\":-1,\"candidatesTokenCount\":1.5,\"cachedContentTokenCount\":9}",
         {.output = 1}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char in[2048];
        (void)snprintf(
            in, sizeof(in),
            "data: {\"candidates\":[{\"content\":{}}],\"usageMetadata\":%s}\r\n\r\n"
            "data: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":%s}\r\n\r\n",
            cases[i].first, cases[i].last);
        trial_usage(&dialect_gemini, in, cases[i].usage);
    }
}

/* The prompt's count alone, before an answer began, is no usage of an answer. */
static void early_usage_tells_the_prompt_only(void **state)
{
    (void)state;
    struct arena a;
    struct run k;
    arena_init(&a, NULL, (size_t)1 << 20);
    run_whole(&a, &dialect_gemini, &dialect_gemini,
              SLICE("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"abc\"}]}}],"
                    "\"usageMetadata\":{\"promptTokenCount\":7,\"totalTokenCount\":7}}\r\n\r\n"),
              &k);
    assert_int_equal(k.end, E_EOF);
    assert_true(k.outcome.has_prompt_usage && !k.outcome.has_usage);
    assert_int_equal(k.outcome.usage.input, 7);
    assert_int_equal(k.outcome.output_bytes, 3);
    arena_deinit(&a);
}

static void every_finish_reason_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *reason;
        enum chat_finish finish;
    } cases[] = {
        {"STOP", CHAT_FINISH_STOP},
        {"MAX_TOKENS", CHAT_FINISH_LENGTH},
        {"SAFETY", CHAT_FINISH_FILTER},
        {"RECITATION", CHAT_FINISH_FILTER},
        {"LANGUAGE", CHAT_FINISH_FILTER},
        {"BLOCKLIST", CHAT_FINISH_FILTER},
        {"PROHIBITED_CONTENT", CHAT_FINISH_FILTER},
        {"SPII", CHAT_FINISH_FILTER},
        {"IMAGE_SAFETY", CHAT_FINISH_FILTER},
        {"MALFORMED_FUNCTION_CALL", CHAT_FINISH_STOP},
        {"UNEXPECTED_TOOL_CALL", CHAT_FINISH_STOP},
        {"OTHER", CHAT_FINISH_STOP},
        {"WHAT_COMES_NEXT", CHAT_FINISH_STOP},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char in[2048];
        (void)snprintf(in, sizeof(in), END_WITH("%s", U), cases[i].reason);
        trial_finish(&dialect_gemini, in, cases[i].finish);
    }
    struct run k;
    same(END_WITH("FINISH_REASON_UNSPECIFIED", U), E_EOF, END_WITH("FINISH_REASON_UNSPECIFIED", U),
         &k);
}

/* Trap 14: errors inside 200 streams, as objects and in lists. */
static void errors_inside_a_stream_are_marked(void **state)
{
    (void)state;
    static const char *const streams[] = {
        ("data: {\"error\":{\"code\":503,\"message\":\"Overl\\u006faded\",\"status\":"
         "\"UNAVAILABLE\"}}\r\n\r\n"),
        "data: {\"error\":\"Overloaded\"}\n\n",
        "data: [{\"error\":{\"message\":\"Overloaded\"}}]\r\n\r\n",
    };
    static const struct dialect *const clients[] = {&dialect_gemini, &dialect_anthropic,
                                                    &dialect_openai, &dialect_own};
    for (size_t i = 0; i < ARRAY_LEN(streams) * ARRAY_LEN(clients); i++) {
        trial_error(&dialect_gemini, clients[i % ARRAY_LEN(clients)], SAY("a"),
                    streams[i / ARRAY_LEN(clients)], 1);
    }
}

static void what_is_no_stream_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"<html>\n<body>\n\n", "{\"candidates\":[]}\n\n",
                                      "data: hello\n\n", "data: [1]\n\n", "data: {\"a\":}\n\n"};
    static const char *const cut[] = {
        "", "[", "[]", SAY("a"), "[{\"error\":{\"message\":\"x\"}}]", "data: {\"error\":{}}\n\n"};
    trial_no_stream(&dialect_gemini, bad, ARRAY_LEN(bad), cut, ARRAY_LEN(cut));
    for (size_t i = 0; i < ARRAY_LEN(cut); i++) {
        struct arena a;
        struct slice out;
        arena_init(&a, NULL, (size_t)1 << 20);
        assert_int_not_equal(dialect_body_to_events(&a, &dialect_gemini, CHAT_OP_CHAT,
                                                    slice_str(cut[i]), true, &out),
                             OK);
        arena_deinit(&a);
    }
}

/* --- stored ------------------------------------------------------------------------------------
 */

static void stored_fixture(struct arena *a, const char *name, struct slice in)
{
    (void)trial_stored(a, &dialect_gemini, name, in, true);
}

static size_t arrays;

/* Recorded streams without alt=sse, as they would lie in a cache. */
static void array_body(struct arena *a, const char *name, struct slice bytes)
{
    yyjson_val *root;
    struct slice body;
    struct chat_response r;
    assert_int_equal(json_parse(a, bytes, &root, NULL), OK);
    yyjson_val *list = json_get(json_get(root, "response"), "body");
    if (!yyjson_is_arr(list)) {
        return;
    }
    if (dialect_events_to_body(a, &dialect_gemini, CHAT_OP_CHAT, json_text(a, list), &body)) {
        fail_msg("%s: no body", name);
    }
    assert_int_equal(dialect_gemini.decode_response(a, body, &r), OK);
    check_usage(json_get(yyjson_arr_get_last(list), "usageMetadata"), &r.usage);
    assert_true(run_part_count(&r) > 0);
    arrays++;
}

static void stored_streams_and_bodies_turn_into_each_other(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(dir, ".sse", stored_fixture), 10);
    arrays = 0;
    (void)fixture_each_in(dir, ".json", array_body);
    assert_int_equal(arrays, 6);
}

static void survives_any_lack_of_memory(void **state)
{
    (void)state;
    static const struct dialect *const clients[] = {&dialect_gemini, &dialect_anthropic,
                                                    &dialect_openai, &dialect_own};
    static const char stream[] =
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hm\",\"thought\":true},{"
        "\"text\":\"x\",\"thoughtSignature\":\"U0lH\"}]}}],\"responseId\":\"r\"}\r\n\r\n"
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\","
        "\"willContinue\":true}},{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":\"$.a[0].b\","
        "\"stringValue\":\"v\"}]}},{\"executableCode\":{\"code\":\"1\"}}]},\"finishReason\":"
        "\"STOP\",\"groundingMetadata\":{\"groundingChunks\":[{\"web\":{\"uri\":\"u\"}}]}}],"
        "\"usageMetadata\":" U "}\r\n\r\n";
    struct slice in = slice_str(stream);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        const struct trial_meal m = {&dialect_gemini, clients[i], in, &dialect_gemini, in};
        fixture_starve(trial_starved, &m, 300000, 512);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_streams_pass_byte_for_byte_in_every_cut),
        cmocka_unit_test(a_client_without_sse_gets_one_json_array),
        cmocka_unit_test(faults_close_the_array),
        cmocka_unit_test(a_cut_is_never_a_clean_end),
        cmocka_unit_test(usage_counts_every_token_once),
        cmocka_unit_test(early_usage_tells_the_prompt_only),
        cmocka_unit_test(every_finish_reason_is_known),
        cmocka_unit_test(errors_inside_a_stream_are_marked),
        cmocka_unit_test(what_is_no_stream_is_refused),
        cmocka_unit_test(stored_streams_and_bodies_turn_into_each_other),
        cmocka_unit_test(survives_any_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
