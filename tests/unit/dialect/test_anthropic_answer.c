/* Whole answers of Anthropic's, errors of the provider and errors of ours in its words. */
#include "trial.h"

static const char *const dir = TEST_DATA_DIR "/anthropic";

static size_t answers, refusals, counts;

/* Every recorded exchange: answers are observed and decoded, errors classified. */
static void exchange(struct arena *a, const char *name, struct slice bytes)
{
    int64_t status;
    yyjson_val *tree = fixture_answer(a, bytes, &status);
    if (!yyjson_is_obj(tree)) {
        return; /* its body is a stream */
    }
    struct slice body = json_text(a, tree);
    struct outcome out = {.wants_detail = true};
    if (status >= 400) {
        assert_int_equal(trial_refusal(a, &dialect_anthropic, status, tree), BLAME_CLIENT);
        refusals++;
        return;
    }
    if (!json_get(tree, "content")) {
        trial_counted(a, &dialect_anthropic, tree, fixture_count(tree, "input_tokens"));
        counts++;
        return;
    }
    yyjson_val *usage = json_get(tree, "usage");
    if (dialect_anthropic.observe(a, CHAT_OP_CHAT, body, &out)) {
        fail_msg("%s cannot be read", name);
    }
    assert_true(out.is_complete && !out.is_empty && !out.is_error && out.has_usage);
    assert_int_equal(out.usage.input, fixture_count(usage, "input_tokens"));
    assert_int_equal(out.usage.cache_read, fixture_count(usage, "cache_read_input_tokens"));
    assert_int_equal(out.usage.cache_write_5m + out.usage.cache_write_1h,
                     fixture_count(usage, "cache_creation_input_tokens"));
    assert_int_equal(usage_completion(&out.usage), fixture_count(usage, "output_tokens"));
    assert_int_equal(out.usage.reasoning,
                     fixture_count(json_get(usage, "output_tokens_details"), "thinking_tokens"));
    assert_true(slice_eq(out.model, json_get_string(tree, "model")));
    assert_true(out.has_content || yyjson_arr_size(json_get(tree, "content")) == 0);
    struct chat_response r;
    assert_int_equal(dialect_anthropic.decode_response(a, body, &r), OK);
    assert_memory_equal(&r.usage, &out.usage, sizeof(r.usage));
    assert_int_equal(r.choices[0].finish, out.finish);
    assert_int_equal(r.choices[0].part_count, yyjson_arr_size(json_get(tree, "content")));
    /* and back: the same content, block for block */
    struct slice again;
    yyjson_val *after;
    assert_int_equal(dialect_anthropic.encode_response(a, &r, NULL, &again), OK);
    assert_int_equal(json_parse(a, again, &after, NULL), OK);
    if (!yyjson_equals(json_get(tree, "content"), json_get(after, "content"))) {
        fail_msg("%s: %.*s", name, SLICE_ARG(again));
    }
    assert_true(
        slice_eq(json_get_string(after, "stop_reason"), json_get_string(tree, "stop_reason")));
    answers++;
}

static void recorded_answers_are_read(void **state)
{
    (void)state;
    answers = refusals = counts = 0;
    assert_int_equal(fixture_each_in(dir, ".json", exchange), 24);
    assert_true(answers >= 13);
    assert_true(refusals >= 1);
    assert_int_equal(counts, 1);
}

static void whole_bodies_tell_their_facts(void **state)
{
    (void)state;
    struct arena a;
    struct outcome o = {.wants_detail = true};
    struct chat_response r;
    arena_init(&a, NULL, (size_t)1 << 20);
    static const char *const bad[] = {"", "<html>", "[]", "null", "{\"content\":[}", "\"x\""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(dialect_anthropic.observe(&a, CHAT_OP_CHAT, slice_str(bad[i]), &o),
                         E_SYNTAX);
        assert_int_not_equal(dialect_anthropic.decode_response(&a, slice_str(bad[i]), &r), OK);
    }
    /* a warm cache: no content, and no empty answer (trap 9) */
    assert_int_equal(
        dialect_anthropic.observe(
            &a, CHAT_OP_CHAT,
            SLICE(" {\"content\":[],\"stop_reason\":\"max_tokens\",\"usage\":{\"input_tokens\":3,"
                  "\"output_tokens\":0,\"cache_creation_input_tokens\":null}}\n"),
            &o),
        OK);
    assert_true(!o.is_empty && o.has_usage && !o.has_content);
    assert_int_equal(o.usage.input, 3);
    assert_int_equal(dialect_anthropic.observe(&a, CHAT_OP_CHAT, SLICE("{}"), &o), OK);
    assert_true(o.is_empty && !o.has_usage);
    assert_int_equal(
        dialect_anthropic.observe(
            &a, CHAT_OP_CHAT,
            SLICE("{\"type\":\"error\",\"error\":{\"type\":\"x\",\"message\":\"no\"}}"), &o),
        OK);
    assert_true(o.is_error && slice_eq(o.error, SLICE("no")));
    arena_deinit(&a);
}

/* Usage of the canonical form as Anthropic tells it: caches apart, both lifetimes. */
static void usage_is_told_in_full(void **state)
{
    (void)state;
    struct arena a;
    struct slice body;
    struct outcome o = {.wants_detail = true};
    struct chat_choice choice = {.finish = CHAT_FINISH_STOP, .stop_sequence = SLICE_INIT("END")};
    struct chat_response r = {.id = SLICE_INIT("i"),
                              .model = SLICE_INIT("m"),
                              .choices = &choice,
                              .choice_count = 1,
                              .usage = {.input = 1,
                                        .cache_read = 2,
                                        .cache_write_5m = 3,
                                        .cache_write_1h = 4,
                                        .output = 5,
                                        .reasoning = 6,
                                        .is_known = true},
                              .has_usage = true};
    arena_init(&a, NULL, (size_t)1 << 20);
    assert_int_equal(dialect_anthropic.encode_response(&a, &r, NULL, &body), OK);
    assert_int_equal(dialect_anthropic.observe(&a, CHAT_OP_CHAT, body, &o), OK);
    assert_memory_equal(&o.usage, &r.usage, sizeof(r.usage));
    assert_true(slice_search(body, SLICE("\"cache_creation_input_tokens\":7,")) < body.len);
    assert_true(slice_search(body, SLICE("\"output_tokens\":11,")) < body.len);
    assert_true(slice_search(body, SLICE("\"stop_reason\":\"stop_sequence\",\"stop_sequence\":"
                                         "\"END\"")) < body.len);
    arena_deinit(&a);
}

static void provider_errors_are_blamed(void **state)
{
    (void)state;
#define ERR(type, message) \
    "{\"type\":\"error\",\"error\":{\"type\":\"" type "\",\"message\":\"" message "\"}}"
    static const struct {
        int status;
        const char *body;
        enum blame blame;
        const char *message;
    } cases[] = {
        {400, ERR("invalid_request_error", "max_tokens: Field required"), BLAME_CLIENT,
         "max_tokens: Field required"},
        {400, ERR("invalid_request_error", "Your credit balance is too low to access"),
         BLAME_US_QUOTA, "Your credit balance is too low to access"},
        {400, ERR("invalid_request_error", "You have reached your specified API usage limits."),
         BLAME_US_QUOTA, "You have reached your specified API usage limits."},
        {401, ERR("authentication_error", "invalid x-api-key"), BLAME_US_KEY, "invalid x-api-key"},
        {402, ERR("billing_error", "b"), BLAME_US_QUOTA, "b"},
        {403, ERR("permission_error", "p"), BLAME_US_KEY, "p"},
        {404, ERR("not_found_error", "model: claude-9"), BLAME_US_DEPLOYMENT, "model: claude-9"},
        {413, ERR("request_too_large", "r"), BLAME_CLIENT, "r"},
        {429, ERR("rate_limit_error", "slow"), BLAME_LIMITED, "slow"},
        {429,
         "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"s\",\"details\":"
         "{\"error_code\":\"enforced_spend_limit_reached\"}}}",
         BLAME_US_QUOTA, "s"},
        {500, ERR("api_error", "i"), BLAME_PROVIDER, "i"},
        {529, ERR("overloaded_error", "Overloaded"), BLAME_PROVIDER, "Overloaded"},
        {503, "<html>", BLAME_PROVIDER, "HTTP status 503"},
        {409, ERR("conflict_error", "c"), BLAME_PROVIDER, "c"},
        {400, "{\"error\":\"a string\"}", BLAME_CLIENT, "a string"},
        {422, "[]", BLAME_CLIENT, "HTTP status 422"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        trial_blame(&dialect_anthropic, cases[i].status, cases[i].body, cases[i].blame,
                    cases[i].message, 0);
    }
}

/* Trap 14: the type follows from the status, so that the SDK raises the exception of that name. */
static void our_errors_have_anthropics_shape(void **state)
{
    (void)state;
    static const struct {
        struct fault fault;
        int status;
        const char *type, *headers;
    } cases[] = {
        {{.kind = FAULT_AUTH_MISSING}, 401, "authentication_error", ""},
        {{.kind = FAULT_AUTH_INVALID}, 401, "authentication_error", ""},
        {{.kind = FAULT_FORBIDDEN}, 403, "permission_error", ""},
        {{.kind = FAULT_BAD_REQUEST, .code = SLICE_INIT("insufficient_quota")},
         400,
         "invalid_request_error",
         ""},
        {{.kind = FAULT_NOT_FOUND}, 404, "not_found_error", ""},
        {{.kind = FAULT_MODEL_NOT_FOUND}, 404, "not_found_error", ""},
        {{.kind = FAULT_METHOD}, 405, "invalid_request_error", ""},
        {{.kind = FAULT_TOO_LARGE}, 413, "request_too_large", ""},
        {{.kind = FAULT_MEDIA_TYPE}, 415, "invalid_request_error", ""},
        {{.kind = FAULT_RATE_LIMITED}, 429, "rate_limit_error", ""},
        {{.kind = FAULT_BUDGET}, 402, "billing_error", "x-should-retry: false\r\n"},
        {{.kind = FAULT_UPSTREAM}, 502, "api_error", ""},
        {{.kind = FAULT_UPSTREAM_TIMEOUT}, 504, "timeout_error", ""},
        {{.kind = FAULT_OVERLOADED}, 529, "overloaded_error", ""},
        {{.kind = FAULT_LOOP}, 508, "api_error", ""},
        {{.kind = FAULT_INTERNAL}, 500, "api_error", ""},
        {{.kind = FAULT_UPSTREAM, .status = 429}, 429, "rate_limit_error", ""},
        {{.kind = FAULT_UPSTREAM, .status = 503}, 503, "overloaded_error", ""},
        {{.kind = FAULT_UPSTREAM, .status = 422}, 422, "invalid_request_error", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct slice event;
        struct fault f = cases[i].fault;
        f.request_id = i % 2 ? SLICE("req_1") : SLICE_NONE;
        arena_init(&a, NULL, (size_t)1 << 20);
        yyjson_val *root =
            trial_fault(&a, &dialect_anthropic, &f, cases[i].status, cases[i].headers, &event);
        assert_true(slice_eq(json_get_string(root, "type"), SLICE("error")));
        assert_true(slice_eq(json_get_string(root, "request_id"), f.request_id));
        assert_non_null(json_get(root, "request_id"));
        yyjson_val *error = json_get(root, "error");
        assert_true(slice_eq(json_get_string(error, "type"), slice_str(cases[i].type)));
        assert_true(
            slice_starts(event, SLICE("event: error\ndata: {\"type\":\"error\",\"error\":{")));
        assert_true(slice_ends(event, SLICE("}\n\n")));
        arena_deinit(&a);
    }
}

static void paths_credentials_and_constant_headers(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, (size_t)1 << 16);
    struct text t = text_growing(&a);
    dialect_anthropic.render_auth(SLICE("sk-ant-1"), &t);
    assert_true(slice_eq(text_slice(&t), SLICE("x-api-key: sk-ant-1\r\n")));
    assert_true(slice_eq(dialect_anthropic.path(&a, CHAT_OP_CHAT, SLICE("m"), true),
                         SLICE("/v1/messages")));
    assert_true(slice_eq(dialect_anthropic.path(&a, CHAT_OP_COUNT_TOKENS, SLICE("m"), false),
                         SLICE("/v1/messages/count_tokens")));
    assert_int_equal(dialect_anthropic.path(&a, CHAT_OP_EMBEDDING, SLICE("m"), false).len, 0);
    /* trap 1: the version whose sampling members are written, unless the client chose */
    assert_true(slice_eq(dialect_anthropic.headers[0].name, SLICE("anthropic-version")));
    assert_true(slice_eq(dialect_anthropic.headers[0].value, SLICE("2023-06-01")));
    assert_true(slice_eq(dialect_anthropic.headers[1].name, SLICE("anthropic-beta")));
    assert_int_equal(dialect_anthropic.header_count, 2);
    assert_ptr_equal(dialect_find(SLICE("anthropic")), &dialect_anthropic);
    assert_ptr_equal(dialect_of_record(RECORD_DIALECT_ANTHROPIC), &dialect_anthropic);
    assert_ptr_equal(dialect_of_record(RECORD_DIALECT_OPENAI), &dialect_openai);
    assert_ptr_equal(dialect_of_record(RECORD_DIALECT_OWN), &dialect_own);
    assert_ptr_equal(dialect_of_record(RECORD_DIALECT_GEMINI), &dialect_gemini);
    trial_count(&a, &dialect_anthropic, 2095, "{\"input_tokens\":2095}");
    arena_deinit(&a);
}

static enum err starved(struct arena *a, const void *ctx)
{
    struct slice body = SLICE(
        "{\"id\":\"m\",\"model\":\"c\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\","
        "\"signature\":\"s\"},{\"type\":\"text\",\"text\":\"x\",\"citations\":[{\"url\":\"u\","
        "\"title\":\"t\"}]},{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"f\",\"input\":{},"
        "\"caller\":{\"type\":\"direct\"}},{\"type\":\"server_tool_use\",\"id\":\"i\"}],"
        "\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}");
    struct chat_response r;
    struct slice out;
    struct outcome o = {.wants_detail = true};
    (void)ctx;
    enum err e = dialect_anthropic.observe(a, CHAT_OP_CHAT, body, &o);
    e = e ? e : dialect_anthropic.decode_response(a, body, &r);
    e = e ? e : dialect_anthropic.encode_response(a, &r, NULL, &out);
    e = e ? e : dialect_openai.encode_response(a, &r, NULL, &out);
    assert_true(e || slice_search(out, SLICE("\"annotations\":[{")) < out.len);
    return e;
}

static void survives_any_lack_of_memory(void **state)
{
    (void)state;
    fixture_starve(starved, NULL, 100000, 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_answers_are_read),
        cmocka_unit_test(whole_bodies_tell_their_facts),
        cmocka_unit_test(usage_is_told_in_full),
        cmocka_unit_test(provider_errors_are_blamed),
        cmocka_unit_test(our_errors_have_anthropics_shape),
        cmocka_unit_test(paths_credentials_and_constant_headers),
        cmocka_unit_test(survives_any_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
