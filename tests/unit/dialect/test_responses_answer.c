/* Whole Responses, their errors, errors of ours in their words, counts. */
#include "dump.h"
#include "trial.h"

static const char *const dir = TEST_DATA_DIR "/openai-responses";

static size_t answers, refusals;

/* Every recorded exchange: answers are observed, decoded and written anew, errors classified. */
static void exchange(struct arena *a, const char *name, struct slice bytes)
{
    int64_t status = 200;
    yyjson_val *tree = fixture_answer(a, bytes, &status);
    struct outcome out = {.wants_detail = true};
    struct chat_response r, again;
    struct slice written;
    if (!tree) {
        return; /* its body is a stream */
    }
    struct slice body = json_text(a, tree);
    if (json_get(tree, "error") && !json_get(tree, "output")) {
        (void)trial_refusal(a, &dialect_responses, status == 200 ? 429 : status, tree);
        refusals++;
        return;
    }
    yyjson_val *usage = json_get(tree, "usage");
    if (dialect_responses.observe(a, CHAT_OP_CHAT, body, &out)) {
        fail_msg("%s cannot be read", name);
    }
    assert_true(out.is_complete && !out.is_empty && !out.is_error && out.has_usage);
    assert_int_equal(usage_prompt(&out.usage), fixture_count(usage, "input_tokens"));
    assert_int_equal(usage_completion(&out.usage), fixture_count(usage, "output_tokens"));
    assert_int_equal(out.usage.reasoning,
                     fixture_count(json_get(usage, "output_tokens_details"), "reasoning_tokens"));
    assert_true(slice_eq(out.model, json_get_string(tree, "model")));
    assert_true(slice_eq(out.kept_id, json_get_string(tree, "id")));
    assert_true(out.output_bytes > 0);
    assert_int_equal(dialect_responses.decode_response(a, body, &r), OK);
    assert_int_equal(r.choice_count, 1);
    assert_int_equal(r.choices[0].finish, out.finish);
    assert_int_equal(dialect_responses.encode_response(a, &r, NULL, &written), OK);
    assert_int_equal(dialect_responses.decode_response(a, written, &again), OK);
    assert_true(slice_eq(again.id, r.id) && slice_eq(again.model, r.model));
    assert_int_equal(again.created_unix_s, r.created_unix_s);
    assert_int_equal(again.choices[0].finish, r.choices[0].finish);
    assert_memory_equal(&again.usage, &r.usage, sizeof(r.usage));
    struct text one = text_growing(a), two = text_growing(a);
    for (size_t i = 0; i < r.choices[0].part_count; i++) {
        dump_part(&one, &r.choices[0].parts[i], 0);
    }
    for (size_t i = 0; i < again.choices[0].part_count; i++) {
        dump_part(&two, &again.choices[0].parts[i], 0);
    }
    if (!slice_eq(text_slice(&one), text_slice(&two))) {
        fail_msg("%s:\n%.*s\n%.*s", name, SLICE_ARG(text_slice(&one)), SLICE_ARG(text_slice(&two)));
    }
    answers++;
}

static void recorded_exchanges_say_what_they_say(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(dir, ".json", exchange), 11);
    assert_int_equal(answers, 3);
    assert_int_equal(refusals, 4);
}

static size_t trips;

static void here_fixture(struct arena *a, const char *name, struct slice bytes)
{
    int64_t status = 200;
    yyjson_val *tree = fixture_answer(a, bytes, &status);
    bool is_custom = strcmp(name, "vai-openai-custom-tool-1.body.json") == 0;
    if (json_get(tree, "output")) {
        trial_body_trip(a, name, &dialect_responses, &dialect_openai, tree);
        trips++;
        if (!is_custom) {
            trial_body_trip(a, name, &dialect_responses, &dialect_anthropic, tree);
        }
    }
}

static void other_fixture(struct arena *a, const char *name, struct slice bytes)
{
    int64_t status = 200;
    yyjson_val *tree = fixture_answer(a, bytes, &status);
    if (yyjson_is_arr(json_get(tree, "content"))) {
        trial_body_trip(a, name, &dialect_anthropic, &dialect_responses, tree);
        trips++;
    } else if (trial_is_chat(tree)) {
        trial_body_trip(a, name, &dialect_openai, &dialect_responses, tree);
        trips++;
    }
}

static void recorded_answers_keep_what_they_say_both_ways(void **state)
{
    (void)state;
    (void)fixture_each_in(dir, ".json", here_fixture);
    assert_int_equal(trips, 3);
    trips = 0;
    (void)fixture_each_in(TEST_DATA_DIR "/anthropic", ".json", other_fixture);
    (void)fixture_each(".json", other_fixture);
    assert_true(trips >= 22);
}

/* Recorded bodies spread to events and put together are what they were. */
static void spread_fixture(struct arena *a, const char *name, struct slice bytes)
{
    int64_t status = 200;
    yyjson_val *tree = fixture_answer(a, bytes, &status);
    if (json_get(tree, "output")) {
        (void)trial_spread(a, &dialect_responses, name, json_text(a, tree));
    }
}

static void recorded_bodies_survive_the_form_of_a_stream(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(dir, ".json", spread_fixture), 11);
}

static void observe(struct arena *a, const char *body, enum err want, struct outcome *out)
{
    *out = (struct outcome){.wants_detail = true};
    assert_int_equal(dialect_responses.observe(a, CHAT_OP_CHAT, slice_str(body), out), want);
}

static void failures_inside_a_200_are_seen(void **state)
{
    (void)state;
    struct arena a;
    struct outcome o;
    arena_init(&a, NULL, (size_t)1 << 20);
    observe(&a,
            "{\"status\":\"failed\",\"output\":[],\"error\":{\"code\":\"server_error\",\"message\":"
            "\"no\"}}",
            OK, &o);
    assert_true(o.is_error && slice_eq(o.error, SLICE("no")));
    assert_int_equal(o.finish, CHAT_FINISH_ERROR);
    observe(&a, "{\"status\":\"queued\",\"output\":[],\"error\":null,\"usage\":null}", OK, &o);
    assert_true(!o.is_error && !o.has_usage && !o.is_empty);
    assert_int_equal(o.finish, CHAT_FINISH_NONE);
    observe(&a, "{\"ok\":true}", OK, &o);
    assert_true(o.is_empty);
    observe(&a, "[]", E_SYNTAX, &o);
    observe(&a, "<html>", E_SYNTAX, &o);
    observe(&a, "{\"output\":[}", E_SYNTAX, &o);
    arena_deinit(&a);
}

static void counts_are_told_and_read(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, (size_t)1 << 20);
    trial_count(&a, &dialect_responses, 42,
                "{\"object\":\"response.input_tokens\",\"input_tokens\":42}");
    assert_true(slice_eq(dialect_responses.path(&a, CHAT_OP_COUNT_TOKENS, SLICE_NONE, false),
                         SLICE("/responses/input_tokens")));
    assert_true(
        slice_eq(dialect_responses.path(&a, CHAT_OP_CHAT, SLICE_NONE, true), SLICE("/responses")));
    assert_int_equal(dialect_responses.path(&a, CHAT_OP_EMBEDDING, SLICE_NONE, true).len, 0);
    arena_deinit(&a);
}

/* A fault of the gateway's after the first byte: two events, whose numbers follow any before. */
static void faults_after_the_first_byte_end_the_stream(void **state)
{
    (void)state;
    static const struct {
        struct fault fault;
        const char *code;
    } cases[] = {
        {{.kind = FAULT_UPSTREAM, .message = SLICE_INIT("The provider was cut off.")},
         "server_error"},
        {{.kind = FAULT_RATE_LIMITED}, "rate_limit_exceeded"},
        {{.kind = FAULT_BUDGET}, "insufficient_quota"},
        {{.kind = FAULT_INTERNAL, .code = SLICE_INIT("odd"), .param = SLICE_INIT("input")}, "odd"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char room[4096];
        struct arena a;
        struct slice name;
        struct text t = text_in(room, sizeof(room));
        arena_init(&a, NULL, (size_t)1 << 20);
        dialect_responses.render_stream_fault(&cases[i].fault, &t);
        assert_false(t.is_full);
        struct slice rest = text_slice(&t);
        yyjson_val *error = run_next(&a, &rest, &name);
        assert_true(slice_eq(name, SLICE("error")));
        assert_true(slice_eq(json_get_string(error, "code"), slice_str(cases[i].code)));
        yyjson_val *failed = run_next(&a, &rest, &name);
        assert_true(slice_eq(name, SLICE("response.failed")));
        assert_true(fixture_count(failed, "sequence_number") >
                    fixture_count(error, "sequence_number"));
        yyjson_val *response = json_get(failed, "response");
        assert_true(slice_eq(json_get_string(response, "status"), SLICE("failed")));
        assert_true(slice_eq(json_get_string(json_get(response, "error"), "code"),
                             slice_str(cases[i].code)));
        assert_true(json_get_string(json_get(response, "error"), "message").len > 0);
        assert_int_equal(rest.len, 0);
        arena_deinit(&a);
    }
}

/* What the request asked for is repeated, as SDKs and their users read it. */
static void answers_repeat_their_request(void **state)
{
    (void)state;
    static const char body[] =
        "{\"model\":\"m\",\"instructions\":\"be brief\",\"input\":\"hi\",\"store\":false,"
        "\"temperature\":0.5,\"top_p\":0.25,\"max_output_tokens\":99,\"metadata\":{\"a\":\"b\"},"
        "\"parallel_tool_calls\":false,\"reasoning\":{\"effort\":\"low\",\"summary\":\"auto\"},"
        "\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"type\":\"object\"},"
        "\"strict\":true},{\"type\":\"custom\",\"name\":\"g\"},{\"type\":\"web_search\"}],"
        "\"tool_choice\":{\"type\":\"custom\",\"name\":\"g\"},\"text\":{\"format\":{\"type\":"
        "\"json_schema\",\"name\":\"n\",\"schema\":{\"type\":\"object\"},\"strict\":true}}}";
    struct arena a;
    struct chat_ask k;
    struct fault f;
    struct slice out;
    yyjson_val *root, *sent;
    arena_init(&a, NULL, (size_t)1 << 20);
    assert_int_equal(dialect_responses.scan(&a, CHAT_OP_CHAT, slice_str(body), &k, &f), OK);
    assert_int_equal(dialect_responses.decode_request(&a, &k, &f), OK);
    struct chat_part parts[] = {{.kind = CHAT_TEXT, .text = SLICE("yes")},
                                {.kind = CHAT_TOOL_CALL,
                                 .id = SLICE("c"),
                                 .name = SLICE("g"),
                                 .text = SLICE("{\"input\":\"free\"}")}};
    struct chat_choice c = {.parts = parts, .part_count = 2, .finish = CHAT_FINISH_TOOL_CALLS};
    const struct chat_response r = {.id = SLICE("chatcmpl-1/2"),
                                    .model = SLICE("m"),
                                    .choices = &c,
                                    .choice_count = 1,
                                    .request = k.neutral};
    assert_int_equal(dialect_responses.encode_response(&a, &r, NULL, &out), OK);
    assert_int_equal(json_parse(&a, out, &root, NULL), OK);
    assert_int_equal(json_parse(&a, slice_str(body), &sent, NULL), OK);
    static const char *const same[] = {"instructions",
                                       "temperature",
                                       "top_p",
                                       "max_output_tokens",
                                       "metadata",
                                       "tool_choice",
                                       "parallel_tool_calls",
                                       "reasoning",
                                       "text",
                                       "store"};
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        if (!yyjson_equals(json_get(root, same[i]), json_get(sent, same[i]))) {
            fail_msg("%s: %.*s", same[i], SLICE_ARG(out));
        }
    }
    assert_int_equal(yyjson_arr_size(json_get(root, "tools")), 3);
    assert_true(slice_eq(json_get_string(root, "id"), SLICE("resp_chatcmpl-1_2")));
    yyjson_val *call = yyjson_arr_get(json_get(root, "output"), 1);
    assert_true(slice_eq(json_get_string(call, "type"), SLICE("custom_tool_call")));
    assert_true(slice_eq(json_get_string(call, "input"), SLICE("free")));
    arena_deinit(&a);
}

static enum err starved(struct arena *a, const void *ctx)
{
    static const char body[] =
        "{\"id\":\"r\",\"status\":\"completed\",\"model\":\"m\",\"output\":[{\"type\":"
        "\"reasoning\",\"summary\":[{\"text\":\"a\"},{\"text\":\"b\"}],\"encrypted_content\":"
        "\"E\"},{\"type\":\"message\",\"phase\":\"x\",\"content\":[{\"type\":\"output_text\","
        "\"text\":\"t\",\"annotations\":[{\"type\":\"url_citation\",\"url\":\"u\"}]}]},"
        "{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"},"
        "{\"type\":\"web_search_call\",\"id\":\"w\"}],\"usage\":{\"input_tokens\":1}}";
    struct chat_response r;
    struct slice out;
    (void)ctx;
    enum err e = dialect_responses.decode_response(a, slice_str(body), &r);
    return e ? e : dialect_responses.encode_response(a, &r, NULL, &out);
}

static void survives_any_lack_of_memory(void **state)
{
    (void)state;
    fixture_starve(starved, NULL, 90000, 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_exchanges_say_what_they_say),
        cmocka_unit_test(recorded_answers_keep_what_they_say_both_ways),
        cmocka_unit_test(recorded_bodies_survive_the_form_of_a_stream),
        cmocka_unit_test(failures_inside_a_200_are_seen),
        cmocka_unit_test(counts_are_told_and_read),
        cmocka_unit_test(faults_after_the_first_byte_end_the_stream),
        cmocka_unit_test(answers_repeat_their_request),
        cmocka_unit_test(survives_any_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
