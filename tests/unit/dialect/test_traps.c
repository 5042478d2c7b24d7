/* Traps of translation between OpenAI's chat and Anthropic's Messages that no other test names, and
 * known bugs of other gateways and clients. docs/traps.md is the list of all of them. */
#include "run.h"

/* --- translate one -----------------------------------------------------------------------------
 */

/* The request as the other dialect's provider gets it; *out_dropped: what was left out. */
static struct slice request(struct arena *a, const struct dialect *from, const struct dialect *to,
                            const struct dialect_profile *profile, const char *in,
                            struct slice *out_dropped)
{
    struct chat_ask ask = {.model = SLICE("m")};
    struct fault f;
    struct body_parts parts;
    struct text t = text_growing(a);
    assert_int_equal(from->scan(a, CHAT_OP_CHAT, slice_str(in), &ask, &f), OK);
    assert_int_equal(from->decode_request(a, &ask, &f), OK);
    struct encode_options o = {.model = SLICE("m"), .profile = profile, .output_cap_tokens = -1};
    assert_int_equal(to->encode_request(a, ask.neutral, &o, &parts), OK);
    for (size_t i = 0; i < parts.count; i++) {
        text_add(&t, parts.parts[i]);
    }
    *out_dropped = parts.dropped;
    return text_slice(&t);
}

static const struct dialect_profile plain = {.takes_max_completion_tokens = false};

#define A_HEAD "{\"model\":\"m\",\"max_tokens\":50,\"messages\":["
#define O_HEAD "{\"model\":\"m\",\"messages\":["
#define USER   "{\"role\":\"user\",\"content\":\"hi\"}"
#define CALLS(more, calls) \
    "{\"role\":\"assistant\",\"content\":null" more ",\"tool_calls\":[" calls "]}"
#define CALL(id) \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}"
#define RESULT(id, text) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"" text "\"}"

static void check_order(struct slice body, const char *const *texts, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        size_t found = slice_search(slice_from(body, at), slice_str(texts[i]));
        if (found == slice_from(body, at).len) {
            fail_msg("%s is not there, or too early: %.*s", texts[i], SLICE_ARG(body));
        }
        at += found + strlen(texts[i]);
    }
}

static bool holds(struct slice body, const char *text)
{
    return slice_search(body, slice_str(text)) < body.len;
}

/* --- traps -------------------------------------------------------------------------------------
 */

static struct slice answer(struct arena *a, const struct dialect *from, const struct dialect *to,
                           const char *body)
{
    struct chat_response r;
    struct slice out = SLICE_NONE;
    assert_int_equal(from->decode_response(a, slice_str(body), &r), OK);
    assert_int_equal(to->encode_response(a, &r, NULL, &out), OK);
    return out;
}

#define O_ANSWER(usage)                                                                            \
    "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\"," \
    "\"content\":\"x\"},\"finish_reason\":\"stop\"}],\"usage\":{" usage "}}"
#define A_ANSWER(reason, usage)                                                                    \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[{" \
    "\"type\":\"text\",\"text\":\"x\"}],\"stop_reason\":\"" reason "\",\"usage\":{" usage "}}"

/* Null is 0; more read than there was leaves nothing, and never less. */
static void trap_02_usage_is_whole_on_one_side_and_parts_on_the_other(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, (size_t)4 << 20);
    struct slice out =
        answer(&a, &dialect_anthropic, &dialect_openai,
               A_ANSWER("end_turn", "\"input_tokens\":7,\"cache_read_input_tokens\":null,"
                                    "\"cache_creation_input_tokens\":null,\"output_tokens\":2"));
    assert_true(holds(out, "\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9"));
    out = answer(&a, &dialect_openai, &dialect_anthropic,
                 O_ANSWER("\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7,"
                          "\"prompt_tokens_details\":{\"cached_tokens\":9}"));
    assert_true(holds(out, "\"input_tokens\":0,"));
    assert_false(holds(out, "-"));
    out = answer(&a, &dialect_openai, &dialect_anthropic,
                 O_ANSWER("\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7,"
                          "\"prompt_tokens_details\":null"));
    assert_true(holds(out, "\"input_tokens\":5,"));
    arena_deinit(&a);
}

/* The type is the status's: a spent quota is no type of Anthropic's. */
static void trap_14_an_errors_type_follows_from_its_status(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *type;
    } rows[] = {{400, "invalid_request_error"},
                {401, "authentication_error"},
                {402, "billing_error"},
                {403, "permission_error"},
                {404, "not_found_error"},
                {413, "request_too_large"},
                {422, "invalid_request_error"},
                {429, "rate_limit_error"},
                {500, "api_error"},
                {502, "api_error"},
                {503, "overloaded_error"},
                {504, "timeout_error"},
                {529, "overloaded_error"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char body_room[512], head_room[64], type[64];
        struct text body = text_in(body_room, sizeof(body_room));
        struct text headers = text_in(head_room, sizeof(head_room));
        int status = 0;
        dialect_anthropic.render_fault(&(struct fault){.kind = FAULT_UPSTREAM,
                                                       .status = rows[i].status,
                                                       .code = SLICE("insufficient_quota"),
                                                       .message = SLICE("said")},
                                       &status, &body, &headers);
        (void)snprintf(type, sizeof(type), "\"error\":{\"type\":\"%s\"", rows[i].type);
        assert_int_equal(status, rows[i].status);
        assert_true(holds(text_slice(&body), type));
    }
}

/* Envoy's reader of events split at "\n\n" alone. */
static void trap_13_crlf_and_cuts_are_no_matter_in_translation(void **state)
{
    (void)state;
    static const char lines[] =
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\","
        "\"model\":\"m\",\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}   \n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
        "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
        "\"delta\":{\"type\":\"text_delta\",\"text\":\"\xC3\xA4\xE2\x82\xAC\"}}\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
        "\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n"
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    struct arena a;
    arena_init(&a, NULL, (size_t)64 << 20);
    struct text crlf = text_growing(&a);
    struct run want, got;
    for (const char *p = lines; *p; p++) {
        text_add(&crlf, *p == '\n' ? SLICE("\r\n") : slice_of(p, 1));
    }
    run_whole(&a, &dialect_anthropic, &dialect_openai, slice_str(lines), &want);
    assert_int_equal(want.end, OK);
    for (size_t step = 1; step < 60; step += 7) {
        run_stream(&a, &dialect_anthropic, &dialect_openai, text_slice(&crlf), 0, step, &got);
        assert_int_equal(got.end, OK);
        assert_true(slice_eq(text_slice(&got.bytes), text_slice(&want.bytes)));
    }
    arena_deinit(&a);
}

/* --- known bugs --------------------------------------------------------------------------------
 */

/* A thought stands before the text and the calls that it led to. */
static void a_thought_precedes_its_calls_opencode_3077(void **state)
{
    (void)state;
    struct arena a;
    struct slice dropped;
    arena_init(&a, NULL, (size_t)4 << 20);
    struct slice body =
        request(&a, &dialect_openai, &dialect_anthropic, &plain,
                O_HEAD USER
                "," CALLS(",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"hm\","
                          "\"signature\":\"SIG\",\"format\":\"anthropic-claude-v1\"}]",
                          CALL("a")) "," RESULT("a", "1") "]}",
                &dropped);
    static const char *const order[] = {"\"type\":\"thinking\"", "\"type\":\"tool_use\"",
                                        "\"type\":\"tool_result\""};
    check_order(body, order, ARRAY_LEN(order));
    arena_deinit(&a);
}

/* Dropping an unsigned thought leaves the call that it led to. */
static void an_unsigned_thought_goes_alone_hermes_agent_24107(void **state)
{
    (void)state;
    struct arena a;
    struct slice dropped;
    arena_init(&a, NULL, (size_t)4 << 20);
    struct slice body = request(
        &a, &dialect_openai, &dialect_anthropic, &plain,
        O_HEAD USER "," CALLS(",\"reasoning_content\":\"hm\"", CALL("a")) "," RESULT("a", "1") "]}",
        &dropped);
    assert_false(holds(body, "\"thinking\""));
    assert_true(holds(body, "\"type\":\"tool_use\"") && holds(body, "\"type\":\"tool_result\""));
    assert_true(slice_eq(dropped, SLICE("thinking")));
    arena_deinit(&a);
}

/* Calls and their results stay pairs, whatever the order in which results came. */
static void pairs_are_not_split_openhands_7512_openai_agents_1797(void **state)
{
    (void)state;
    struct arena a;
    struct slice dropped;
    arena_init(&a, NULL, (size_t)4 << 20);
    struct slice body =
        request(&a, &dialect_openai, &dialect_anthropic, &plain,
                O_HEAD USER "," CALLS("", CALL("a") "," CALL("b")) "," RESULT("b", "2") "," RESULT(
                    "a", "1") "," USER "," CALLS("", CALL("c")) "," RESULT("c", "3") "]}",
                &dropped);
    static const char *const order[] = {"\"type\":\"tool_use\",\"id\":\"a\"",
                                        "\"type\":\"tool_use\",\"id\":\"b\"",
                                        "\"role\":\"user\"",
                                        "\"tool_use_id\":\"b\"",
                                        "\"tool_use_id\":\"a\"",
                                        "\"text\":\"hi\"",
                                        "\"type\":\"tool_use\",\"id\":\"c\"",
                                        "\"tool_use_id\":\"c\""};
    check_order(body, order, ARRAY_LEN(order));
    struct slice back = request(&a, &dialect_anthropic, &dialect_openai, &plain,
                                arena_printf(&a, "%.*s%c", SLICE_ARG(body), 0).ptr, &dropped);
    static const char *const again[] = {
        "\"tool_calls\":[{\"id\":\"a\"", "{\"id\":\"b\"",      "\"tool_call_id\":\"b\"",
        "\"tool_call_id\":\"a\"",        "\"content\":\"hi\"", "\"tool_calls\":[{\"id\":\"c\"",
        "\"tool_call_id\":\"c\""};
    check_order(back, again, ARRAY_LEN(again));
    arena_deinit(&a);
}

/* What proves a thought proves its very text: not a byte of it changes on the way. */
static void a_signed_thought_is_not_touched_openclaw_99382(void **state)
{
    (void)state;
#define THOUGHT "  \\u00e4\\n\\t\\\"q\\\" \\ud83d\\ude00  trailing  "
    struct arena a;
    struct slice dropped;
    yyjson_val *before, *after;
    arena_init(&a, NULL, (size_t)4 << 20);
    struct slice body =
        request(&a, &dialect_anthropic, &dialect_anthropic, &plain,
                A_HEAD USER ",{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
                            "\"thinking\":\"" THOUGHT "\",\"signature\":\"SIG+/=\"},{\"type\":"
                            "\"text\",\"text\":\"x\"}]}," USER "]}",
                &dropped);
    assert_int_equal(json_parse(&a, SLICE("[\"" THOUGHT "\"]"), &before, NULL), OK);
    assert_int_equal(json_parse(&a, body, &after, NULL), OK);
    yyjson_val *turn = yyjson_arr_get(json_get(after, "messages"), 1);
    yyjson_val *thought = yyjson_arr_get(json_get(turn, "content"), 0);
    assert_true(yyjson_equals(yyjson_arr_get(before, 0), json_get(thought, "thinking")));
    assert_true(slice_eq(json_get_string(thought, "signature"), SLICE("SIG+/=")));
    arena_deinit(&a);
}

/* A tool is the same tool after both translations, strictness and unknown keywords included. */
static void tools_come_through_both_ways_bifrost_3511(void **state)
{
    (void)state;
#define SCHEMA                                                                              \
    "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\",\"minLength\":1}}," \
    "\"required\":[\"city\"],\"additionalProperties\":false,\"$defs\":{\"x\":{}}}"
    struct arena a;
    struct slice dropped;
    arena_init(&a, NULL, (size_t)4 << 20);
    static const struct dialect_profile strict = {.takes_output_format = true};
    struct slice there =
        request(&a, &dialect_openai, &dialect_anthropic, &strict,
                "{\"model\":\"m\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
                "\"description\":\"d\",\"parameters\":" SCHEMA
                ",\"strict\":true}}],\"messages\":[" USER "]}",
                &dropped);
    assert_true(holds(there, "\"name\":\"f\",\"description\":\"d\",\"input_schema\":" SCHEMA));
    struct slice back = request(&a, &dialect_anthropic, &dialect_openai, &plain,
                                arena_printf(&a, "%.*s%c", SLICE_ARG(there), 0).ptr, &dropped);
    assert_true(
        holds(back, "\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":" SCHEMA));
    assert_true(holds(back, "\"strict\":true"));
    arena_deinit(&a);
}

/* Markers become OpenAI's where the model has them; elsewhere they are named as left out. */
static void cache_markers_are_carried_or_named_litellm_37509(void **state)
{
    (void)state;
    static const char marked[] = A_HEAD
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\",\"cache_control\":{"
        "\"type\":\"ephemeral\"}}]}]}";
    static const struct dialect_profile breakpoints = {.takes_cache_breakpoint = true};
    struct arena a;
    struct slice dropped;
    arena_init(&a, NULL, (size_t)4 << 20);
    struct slice body =
        request(&a, &dialect_anthropic, &dialect_openai, &breakpoints, marked, &dropped);
    assert_true(holds(body, "\"prompt_cache_breakpoint\""));
    assert_int_equal(dropped.len, 0);
    body = request(&a, &dialect_anthropic, &dialect_openai, &plain, marked, &dropped);
    assert_false(holds(body, "cache"));
    assert_true(slice_eq(dropped, SLICE("cache_control")));
    arena_deinit(&a);
}

/* Envoy took any JSON object with an "error" in it for a failed call. */
static void a_result_that_says_error_is_no_error_envoy(void **state)
{
    (void)state;
    struct arena a;
    struct slice dropped;
    arena_init(&a, NULL, (size_t)4 << 20);
    struct slice body = request(
        &a, &dialect_openai, &dialect_anthropic, &plain,
        O_HEAD USER "," CALLS("", CALL("a")) "," RESULT("a", "{\\\"error\\\":\\\"none\\\"}") "]}",
        &dropped);
    assert_true(holds(body, "\"tool_result\"") && !holds(body, "is_error"));
    arena_deinit(&a);
}

/* Envoy failed at model_context_window_exceeded; unknown reasons are an end like others. */
static void every_stop_reason_has_a_finish_reason_envoy(void **state)
{
    (void)state;
    static const struct {
        const char *stop, *finish;
    } rows[] = {{"end_turn", "stop"},          {"stop_sequence", "stop"},
                {"pause_turn", "stop"},        {"max_tokens", "length"},
                {"refusal", "content_filter"}, {"model_context_window_exceeded", "length"},
                {"compaction", "length"},      {"of_tomorrow", "stop"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        char finish[64];
        arena_init(&a, NULL, (size_t)4 << 20);
        struct slice in = arena_printf(
            &a, A_ANSWER("%s", "\"input_tokens\":1,\"output_tokens\":1") "%c", rows[i].stop, 0);
        (void)snprintf(finish, sizeof(finish), "\"finish_reason\":\"%s\"", rows[i].finish);
        struct slice out = answer(&a, &dialect_anthropic, &dialect_openai, in.ptr);
        if (!holds(out, finish)) {
            fail_msg("%s: %.*s", rows[i].stop, SLICE_ARG(out));
        }
        arena_deinit(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_02_usage_is_whole_on_one_side_and_parts_on_the_other),
        cmocka_unit_test(trap_13_crlf_and_cuts_are_no_matter_in_translation),
        cmocka_unit_test(trap_14_an_errors_type_follows_from_its_status),
        cmocka_unit_test(a_thought_precedes_its_calls_opencode_3077),
        cmocka_unit_test(an_unsigned_thought_goes_alone_hermes_agent_24107),
        cmocka_unit_test(pairs_are_not_split_openhands_7512_openai_agents_1797),
        cmocka_unit_test(a_signed_thought_is_not_touched_openclaw_99382),
        cmocka_unit_test(tools_come_through_both_ways_bifrost_3511),
        cmocka_unit_test(cache_markers_are_carried_or_named_litellm_37509),
        cmocka_unit_test(a_result_that_says_error_is_no_error_envoy),
        cmocka_unit_test(every_stop_reason_has_a_finish_reason_envoy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
