/* Between OpenAI's words and Anthropic's, both ways: streams and whole answers keep texts, calls
 * and usage; the known bugs of other gateways, each by its name. */
#include "trial.h"

static const char *const dir = TEST_DATA_DIR "/anthropic";

/* --- the form of a stream for Anthropic's SDKs -------------------------------------------------
 */

struct form {
    bool is_started, is_open, has_delta, is_stopped;
    int64_t index;
    size_t blocks;
};

static void check_event(struct form *f, yyjson_val *root, struct slice type)
{
    int64_t index = fixture_count(root, "index");
    if (slice_eq(type, SLICE("ping"))) {
        return;
    }
    assert_int_equal(f->is_started, !slice_eq(type, SLICE("message_start")));
    assert_false(f->is_stopped);
    if (slice_eq(type, SLICE("message_start"))) {
        f->is_started = true;
    } else if (slice_eq(type, SLICE("content_block_start"))) {
        assert_false(f->is_open || f->has_delta);
        assert_int_equal(index, f->blocks);
        f->is_open = true;
        f->index = index;
        f->blocks++;
    } else if (slice_eq(type, SLICE("content_block_delta"))) {
        assert_true(f->is_open);
        assert_int_equal(index, f->index);
    } else if (slice_eq(type, SLICE("content_block_stop"))) {
        assert_true(f->is_open);
        assert_int_equal(index, f->index);
        f->is_open = false;
    } else if (slice_eq(type, SLICE("message_delta"))) {
        assert_false(f->is_open || f->has_delta);
        assert_true(json_get_string(json_get(root, "delta"), "stop_reason").len > 0);
        assert_non_null(json_get(json_get(root, "usage"), "output_tokens"));
        f->has_delta = true;
    } else {
        assert_true(slice_eq(type, SLICE("message_stop")));
        assert_true(f->has_delta);
        f->is_stopped = true;
    }
}

/* message_start, blocks one after another by their numbers, message_delta, message_stop; each
 * record names its event (trap 13), and there is no [DONE]. */
static void check_form(struct arena *a, struct slice events)
{
    struct form f = {.is_started = false};
    while (events.len) {
        struct slice name;
        yyjson_val *root = run_next(a, &events, &name);
        assert_non_null(root);
        assert_true(slice_eq(name, json_get_string(root, "type")));
        check_event(&f, root, name);
    }
    assert_true(f.is_stopped);
}

/* --- recordings --------------------------------------------------------------------------------
 */

static void round_trip(struct arena *a, const char *name, const struct dialect *from,
                       const struct dialect *to, struct slice in)
{
    struct trial_trip t;
    trial_trip(a, name, from, to, in, &t);
    struct slice text = run_text(a, t.source, CHAT_TEXT);
    assert_true(slice_eq(dialect_stream_text(t.there.stream), text) ||
                run_text(a, t.source, CHAT_REFUSAL).len);
    if (t.there.outcome.finish != CHAT_FINISH_NONE) { /* some servers never say */
        assert_int_equal(t.again.outcome.finish, t.there.outcome.finish);
    }
    check_form(a, text_slice(from == &dialect_openai ? &t.there.bytes : &t.back.bytes));
}

static void anthropic_fixture(struct arena *a, const char *name, struct slice in)
{
    round_trip(a, name, &dialect_anthropic, &dialect_openai, in);
}

static void openai_fixture(struct arena *a, const char *name, struct slice in)
{
    round_trip(a, name, &dialect_openai, &dialect_anthropic, in);
}

static void recorded_streams_keep_what_they_say_both_ways(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(dir, ".sse", anthropic_fixture), 16);
    assert_int_equal(fixture_each(".sse", openai_fixture), 19);
}

static size_t bodies;

static void anthropic_body(struct arena *a, const char *name, struct slice bytes)
{
    int64_t status;
    yyjson_val *tree = fixture_answer(a, bytes, &status);
    if (yyjson_is_arr(json_get(tree, "content"))) {
        trial_body_trip(a, name, &dialect_anthropic, &dialect_openai, tree);
        bodies++;
    }
}

static void openai_body(struct arena *a, const char *name, struct slice bytes)
{
    int64_t status;
    yyjson_val *tree = fixture_answer(a, bytes, &status);
    if (trial_is_chat(tree)) {
        trial_body_trip(a, name, &dialect_openai, &dialect_anthropic, tree);
        bodies++;
    }
}

static void recorded_answers_keep_what_they_say_both_ways(void **state)
{
    (void)state;
    bodies = 0;
    (void)fixture_each_in(dir, ".json", anthropic_body);
    assert_true(bodies >= 10);
    bodies = 0;
    (void)fixture_each(".json", openai_body);
    assert_true(bodies >= 12);
}

/* --- by name -----------------------------------------------------------------------------------
 */

static bool has(const struct trial *w, const char *text)
{
    return slice_search(text_slice(&w->k.bytes), slice_str(text)) < w->k.bytes.len;
}

#define A(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define A_START        \
    A("message_start", \
      ",\"message\":{\"id\":\"msg_1\",\"model\":\"claude\",\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}")
#define A_BLOCK(i, block) A("content_block_start", ",\"index\":" #i ",\"content_block\":" block)
#define A_DELTA(i, delta) A("content_block_delta", ",\"index\":" #i ",\"delta\":" delta)
#define A_CLOSE(i)        A("content_block_stop", ",\"index\":" #i)
#define A_END(reason)                                                                \
    A("message_delta", ",\"delta\":{\"stop_reason\":\"" reason                       \
                       "\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":7}") \
    A("message_stop", "")
#define A_CALL(i, id) \
    A_BLOCK(i, "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"f\",\"input\":{}}")
#define A_INPUT(i, text) A_DELTA(i, "{\"type\":\"input_json_delta\",\"partial_json\":\"" text "\"}")

#define O(delta)                                                                        \
    "data: {\"id\":\"c\",\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{" delta \
    "},\"finish_reason\":null}]}\n\n"
#define O_END(reason)                                                                                          \
    "data: {\"id\":\"c\",\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason \
    "\"}]}\n\n"
#define O_USAGE \
    "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3,\"total_tokens\":15,\"prompt_tokens_details\":{\"cached_tokens\":4,\"cache_write_tokens\":2}}}\n\n"
#define O_DONE "data: [DONE]\n\n"
#define O_CALL(i, id)                                                                     \
    O("\"tool_calls\":[{\"index\":" #i ",\"id\":\"" id "\",\"function\":{\"name\":\"f" #i \
      "\",\"arguments\":\"\"}}]")
#define O_ARGS(i, text) \
    O("\"tool_calls\":[{\"index\":" #i ",\"function\":{\"arguments\":\"" text "\"}}]")

/* litellm#5231: the first call got the content block's index. Trap 5. */
static void a_calls_index_is_not_its_blocks_litellm_5231(void **state)
{
    (void)state;
    struct trial w;
    trial_run(&w, &dialect_anthropic, &dialect_openai,
              A_START A_BLOCK(0, "{\"type\":\"text\",\"text\":\"\"}")
                  A_DELTA(0, "{\"type\":\"text_delta\",\"text\":\"hi\"}") A_CLOSE(0)
                      A_CALL(1, "toolu_1") A_INPUT(1, "{}") A_CLOSE(1) A_CALL(2, "toolu_2")
                          A_CLOSE(2) A_END("tool_use"));
    assert_int_equal(w.k.end, OK);
    assert_true(has(&w, "\"tool_calls\":[{\"index\":0,\"id\":\"toolu_1\""));
    assert_true(has(&w, "\"tool_calls\":[{\"index\":1,\"id\":\"toolu_2\""));
    assert_false(has(&w, "\"tool_calls\":[{\"index\":2"));
    arena_deinit(&w.a);
}

/* Trap 6, and Bifrost's way: a call without arguments has {}. */
static void a_call_without_arguments_has_an_object(void **state)
{
    (void)state;
    static const char *const streams[] = {
        A_START A_CALL(0, "t") A_CLOSE(0) A_END("tool_use"),
        A_START A_CALL(0, "t") A_INPUT(0, "") A_CLOSE(0) A_END("tool_use"),
        A_START A_CALL(0, "t") A_END("tool_use"),
    };
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        struct trial w;
        trial_run(&w, &dialect_anthropic, &dialect_openai, streams[i]);
        assert_int_equal(w.k.end, OK);
        assert_true(slice_eq(run_arguments(dialect_stream_answer(w.k.stream), 0), SLICE("{}")));
        arena_deinit(&w.a);
    }
    struct trial w;
    trial_run(&w, &dialect_anthropic, &dialect_openai,
              A_START A_BLOCK(0, "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{"
                                 "\"city\":\"Rome\"}}") A_CLOSE(0) A_END("tool_use"));
    assert_true(has(&w, "{\\\"city\\\":\\\"Rome\\\"}"));
    arena_deinit(&w.a);
    trial_run(&w, &dialect_openai, &dialect_anthropic, O_CALL(0, "c1") O_END("tool_calls") O_DONE);
    assert_int_equal(w.k.end, OK);
    assert_true(has(&w, "\"name\":\"f0\",\"input\":{}"));
    assert_true(has(&w, "\"stop_reason\":\"tool_use\""));
    arena_deinit(&w.a);
}

/* praxis-proxy/ai#266, open-webui#25963: arguments went to the wrong block. */
static void interleaved_calls_keep_their_arguments_praxis_266(void **state)
{
    (void)state;
    struct trial w;
    trial_run(&w, &dialect_openai, &dialect_anthropic,
              O_CALL(0, "a") O_ARGS(0, "{\\\"x\\\":") O_CALL(1, "b") O_ARGS(1, "{\\\"y\\\":2}")
                  O_ARGS(0, "1}") O_CALL(2, "c") O_ARGS(2, "{\\\"z\\\"") O_ARGS(2, ":3}")
                      O_END("tool_calls") O_USAGE O_DONE);
    assert_int_equal(w.k.end, OK);
    check_form(&w.a, text_slice(&w.k.bytes));
    struct run back;
    run_whole(&w.a, &dialect_anthropic, &dialect_openai, text_slice(&w.k.bytes), &back);
    static const char *const want[] = {"{\"x\":1}", "{\"y\":2}", "{\"z\":3}"};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(
            slice_eq(run_arguments(dialect_stream_answer(back.stream), i), slice_str(want[i])));
    }
    arena_deinit(&w.a);
}

/* Arguments before the name, text in the middle of a call, a name said twice. */
static void calls_in_odd_orders_are_put_in_order(void **state)
{
    (void)state;
    struct trial w;
    trial_run(&w, &dialect_openai, &dialect_anthropic,
              O_ARGS(0, "{\\\"a\\\":") O("\"content\":\"mid\"") O_CALL(0, "x") O_ARGS(0, "1}")
                  O_CALL(0, "x") O("\"content\":\"dle\"") O_END("stop") O_DONE);
    assert_int_equal(w.k.end, OK);
    check_form(&w.a, text_slice(&w.k.bytes));
    struct run back;
    run_whole(&w.a, &dialect_anthropic, &dialect_openai, text_slice(&w.k.bytes), &back);
    const struct chat_response *r = dialect_stream_answer(back.stream);
    assert_true(slice_eq(run_text(&w.a, r, CHAT_TEXT), SLICE("middle")));
    assert_true(slice_eq(run_arguments(r, 0), SLICE("{\"a\":1}")));
    assert_null(run_call(r, 1));
    /* calls though its server says stop */
    assert_int_equal(back.outcome.finish, CHAT_FINISH_TOOL_CALLS);
    arena_deinit(&w.a);
    trial_run(&w, &dialect_openai, &dialect_anthropic, O_ARGS(0, "{}") O_END("stop") O_DONE);
    assert_int_equal(w.k.end, E_SYNTAX); /* a call that never got a name is no answer */
    arena_deinit(&w.a);
}

/* litellm#25836: a whole call in one delta (Gemini, Ollama) lost its arguments. */
static void a_whole_call_in_one_delta_keeps_its_arguments_litellm_25836(void **state)
{
    (void)state;
    struct trial w;
    trial_run(&w, &dialect_openai, &dialect_anthropic,
              O("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\","
                "\"arguments\":\"{\\\"x\\\":1}\"}},{\"index\":1,\"id\":\"\",\"function\":{\"name\":"
                "\"g\",\"arguments\":\"{}\"}}]") O_END("stop") O_DONE);
    assert_int_equal(w.k.end, OK);
    check_form(&w.a, text_slice(&w.k.bytes));
    assert_true(has(&w, "\"partial_json\":\"{\\\"x\\\":1}\""));
    assert_true(has(&w, "\"id\":\"call_1\",\"name\":\"g\""));
    arena_deinit(&w.a);
}

/* CLIProxyAPI#561: message_start after the first block. Trap 7: late usage is waited for. */
static void message_start_is_first_and_late_usage_is_told_cliproxyapi_561(void **state)
{
    (void)state;
    static const char *const streams[] = {
        O_CALL(0, "a") O_END("tool_calls") O_USAGE O_DONE,
        O_USAGE O_CALL(0, "a") O_END("tool_calls") O_DONE,
        "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n" O("\"content\":\"x\"")
            O_END("stop") O_USAGE O_DONE,
    };
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        struct trial w;
        trial_run(&w, &dialect_openai, &dialect_anthropic, streams[i]);
        assert_int_equal(w.k.end, OK);
        check_form(&w.a, text_slice(&w.k.bytes));
        /* trap 2: what caches served and stored is no part of input_tokens */
        struct run k;
        run_whole(&w.a, &dialect_anthropic, &dialect_anthropic, text_slice(&w.k.bytes), &k);
        const struct usage want = {
            .input = 6, .cache_read = 4, .cache_write_5m = 2, .output = 3, .is_known = true};
        assert_memory_equal(&k.outcome.usage, &want, sizeof(want));
        arena_deinit(&w.a);
    }
}

/* Trap 2: prompt_tokens has what the caches read and wrote (Portkey's has not); #36091 and #28354
 * lost the counts of what was written. */
static void cache_counts_are_kept_litellm_36091(void **state)
{
    (void)state;
    struct trial w;
    trial_run(&w, &dialect_anthropic, &dialect_openai,
              A("message_start",
                ",\"message\":{\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":100,"
                "\"cache_creation_input_tokens\":1000,\"output_tokens\":1}}") A_END("end_turn"));
    assert_true(has(&w, "\"usage\":{\"prompt_tokens\":1110,\"completion_tokens\":7,"
                        "\"total_tokens\":1117,\"prompt_tokens_details\":{\"cached_tokens\":100,"
                        "\"cache_write_tokens\":1000}"));
    arena_deinit(&w.a);
}

/* Envoy: what the API's own tools do became calls that the client was to run. */
static void calls_of_the_providers_own_tools_are_not_the_clients(void **state)
{
    (void)state;
    struct trial w;
    trial_run(
        &w, &dialect_anthropic, &dialect_openai,
        A_START A_BLOCK(0, "{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\","
                           "\"input\":{}}") A_INPUT(0, "{\\\"q\\\":1}") A_CLOSE(0)
            A_BLOCK(1, "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"s\","
                       "\"content\":[]}") A_CLOSE(1) A_BLOCK(2, "{\"type\":\"text\",\"text\":\"\"}")
                A_DELTA(2, "{\"type\":\"citations_delta\",\"citation\":{\"url\":\"https:"
                           "//x\",\"title\":\"X\"}}")
                    A_DELTA(2, "{\"type\":\"text_delta\",\"text\":\"hi\"}") A_CLOSE(2)
                        A_END("pause_turn"));
    assert_int_equal(w.k.end, OK);
    assert_false(has(&w, "tool_calls"));
    assert_true(has(&w, "\"annotations\":[{\"type\":\"url_citation\",\"url_citation\":{\"start_"
                        "index\":0,\"end_index\":0,\"title\":\"X\",\"url\":\"https://x\"}}]"));
    assert_true(has(&w, "\"finish_reason\":\"stop\""));
    /* but they are in the whole answer, with the input that streamed */
    const struct chat_response *r = dialect_stream_answer(w.k.stream);
    assert_int_equal(run_part(r, 0).kind, CHAT_OPAQUE);
    assert_true(slice_eq(run_part(r, 0).data,
                         SLICE("{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\","
                               "\"input\":{\"q\":1}}")));
    struct slice body;
    assert_int_equal(dialect_anthropic.encode_response(&w.a, r, NULL, &body), OK);
    assert_true(slice_search(body, SLICE("web_search_tool_result")) < body.len);
    arena_deinit(&w.a);
}

/* Trap 11: thoughts go to OpenAI's clients with what proves them, and come back so. */
static void thoughts_travel_with_their_signature(void **state)
{
    (void)state;
    struct trial w;
    trial_run(&w, &dialect_anthropic, &dialect_openai,
              A_START A_BLOCK(0, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
                  A_DELTA(0, "{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}")
                      A_DELTA(0, "{\"type\":\"signature_delta\",\"signature\":\"SIG\"}") A_CLOSE(0)
                          A_BLOCK(1, "{\"type\":\"redacted_thinking\",\"data\":\"RED\"}") A_CLOSE(1)
                              A_END("end_turn"));
    assert_true(has(&w, "\"reasoning_content\":\"hm\",\"reasoning_details\":[{\"type\":\"reasoning."
                        "text\",\"text\":\"hm\",\"format\":\"anthropic-claude-v1\",\"index\":0}]"));
    assert_true(has(&w, "\"signature\":\"SIG\",\"format\":\"anthropic-claude-v1\",\"index\":0"));
    assert_true(has(&w, "\"type\":\"reasoning.encrypted\",\"data\":\"RED\""));
    struct run back;
    run_whole(&w.a, &dialect_openai, &dialect_anthropic, text_slice(&w.k.bytes), &back);
    check_form(&w.a, text_slice(&back.bytes));
    const struct chat_response *r = dialect_stream_answer(back.stream);
    assert_true(slice_eq(run_part(r, 0).text, SLICE("hm")));
    assert_true(slice_eq(run_part(r, 0).signature, SLICE("SIG")));
    assert_true(slice_eq(run_part(r, 1).data, SLICE("RED")));
    assert_true(slice_search(text_slice(&back.bytes),
                             SLICE("{\"type\":\"signature_delta\",\"signature\":\"SIG\"}")) <
                back.bytes.len);
    assert_true(slice_search(text_slice(&back.bytes),
                             SLICE("{\"type\":\"redacted_thinking\",\"data\":\"RED\"}")) <
                back.bytes.len);
    arena_deinit(&w.a);
    /* unsigned: shown, and nothing invented */
    trial_run(&w, &dialect_openai, &dialect_anthropic,
              O("\"reasoning_content\":\"hm\"") O("\"content\":\"x\"") O_END("stop") O_DONE);
    check_form(&w.a, text_slice(&w.k.bytes));
    assert_true(has(&w, "\"thinking_delta\",\"thinking\":\"hm\""));
    assert_false(has(&w, "signature_delta"));
    arena_deinit(&w.a);
}

/* The tool that stands for a format is text again, whole and streamed. */
static void a_formatted_answer_is_text_again(void **state)
{
    (void)state;
    struct trial w;
    trial_run(&w, &dialect_anthropic, &dialect_openai,
              A_START A_BLOCK(0, "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":"
                                 "\"llm_gateway_json_answer\",\"input\":{}}")
                  A_INPUT(0, "{\\\"a\\\"") A_INPUT(0, ":1}") A_CLOSE(0) A_END("tool_use"));
    assert_true(slice_eq(dialect_stream_text(w.k.stream), SLICE("{\"a\":1}")));
    assert_true(has(&w, "\"finish_reason\":\"stop\""));
    assert_false(has(&w, "tool_calls"));
    struct chat_response r;
    assert_int_equal(dialect_anthropic.decode_response(
                         &w.a,
                         SLICE("{\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"llm_"
                               "gateway_json_answer\",\"input\":{\"a\":1}}],\"stop_reason\":\"tool_"
                               "use\"}"),
                         &r),
                     OK);
    assert_true(slice_eq(run_text(&w.a, &r, CHAT_TEXT), SLICE("{\"a\":1}")));
    assert_int_equal(r.choices[0].finish, CHAT_FINISH_STOP);
    arena_deinit(&w.a);
}

/* refusal, stop sequences, pings that make no chunk (Envoy's did), errors of the upstream. */
static void the_rest_of_the_stream_has_its_words(void **state)
{
    (void)state;
    struct trial w;
    trial_run(&w, &dialect_anthropic, &dialect_openai,
              A_START A("ping", "") A("message_delta", ",\"delta\":{\"stop_reason\":\"stop_"
                                                       "sequence\",\"stop_sequence\":\"END\"},"
                                                       "\"usage\":{\"output_tokens\":2}")
                  A("message_stop", ""));
    assert_true(has(&w, "\"finish_reason\":\"stop\",\"stop_reason\":\"END\""));
    assert_true(slice_starts(text_slice(&w.k.bytes),
                             SLICE("data: {\"id\":\"msg_1\",\"object\":\"chat.completion.chunk\","
                                   "\"created\":1700000000,\"model\":\"claude\",\"choices\":[{"
                                   "\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}"
                                   ",\"logprobs\":null,\"finish_reason\":null}]}\n\ndata: {\"id\":"
                                   "\"msg_1\",\"object\":\"chat.completion.chunk\",\"created\":"
                                   "1700000000,\"model\":\"claude\",\"choices\":[{\"index\":0,"
                                   "\"delta\":{},")));
    assert_true(slice_ends(text_slice(&w.k.bytes), SLICE("data: [DONE]\n\n")));
    arena_deinit(&w.a);
    trial_run(&w, &dialect_openai, &dialect_anthropic,
              O("\"refusal\":\"no\"") O_END("stop") O_DONE);
    assert_true(has(&w, "\"text_delta\",\"text\":\"no\"") &&
                has(&w, "\"stop_reason\":\"refusal\""));
    arena_deinit(&w.a);
    trial_run(&w, &dialect_openai, &dialect_anthropic,
              O("\"content\":\"x\"") "data: {\"error\":{\"message\":\"boom\",\"type\":"
                                     "\"insufficient_quota\"}}\n\n");
    assert_int_equal(w.k.errors, 1);
    assert_true(has(&w, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\","
                        "\"message\":\"boom\"},\"request_id\":null}\n\n"));
    assert_false(has(&w, "message_stop"));
    arena_deinit(&w.a);
}

/* Neither a stream that ends early nor one without a terminal event is taken for another. */
static void a_cut_is_a_cut_in_translation_too(void **state)
{
    (void)state;
    struct trial w;
    trial_run(&w, &dialect_anthropic, &dialect_openai, A_START A_CALL(0, "t"));
    assert_int_equal(w.k.end, E_EOF);
    assert_int_equal(w.k.terminals, 0);
    arena_deinit(&w.a);
    trial_run(&w, &dialect_openai, &dialect_anthropic, O("\"content\":\"x\"") O_END("stop"));
    assert_int_equal(w.k.end, OK);
    check_form(&w.a, text_slice(&w.k.bytes));
    arena_deinit(&w.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_streams_keep_what_they_say_both_ways),
        cmocka_unit_test(recorded_answers_keep_what_they_say_both_ways),
        cmocka_unit_test(a_calls_index_is_not_its_blocks_litellm_5231),
        cmocka_unit_test(a_call_without_arguments_has_an_object),
        cmocka_unit_test(interleaved_calls_keep_their_arguments_praxis_266),
        cmocka_unit_test(calls_in_odd_orders_are_put_in_order),
        cmocka_unit_test(a_whole_call_in_one_delta_keeps_its_arguments_litellm_25836),
        cmocka_unit_test(message_start_is_first_and_late_usage_is_told_cliproxyapi_561),
        cmocka_unit_test(cache_counts_are_kept_litellm_36091),
        cmocka_unit_test(calls_of_the_providers_own_tools_are_not_the_clients),
        cmocka_unit_test(thoughts_travel_with_their_signature),
        cmocka_unit_test(a_formatted_answer_is_text_again),
        cmocka_unit_test(the_rest_of_the_stream_has_its_words),
        cmocka_unit_test(a_cut_is_a_cut_in_translation_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
