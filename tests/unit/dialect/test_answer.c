/* Whole answers: what is read from them as they pass, errors of providers, errors of ours. */
#include "trial.h"

static size_t answers, refusals;

/* Every recorded exchange: answers are observed and decoded, errors classified. */
static void exchange(struct arena *a, const char *name, struct slice bytes)
{
    int64_t status;
    yyjson_val *tree = fixture_answer(a, bytes, &status);
    if (!yyjson_is_obj(tree)) {
        return; /* its body is a stream */
    }
    struct slice body = json_text(a, tree);
    if (status >= 400 || json_get(tree, "error")) {
        (void)trial_refusal(a, &dialect_openai, status, tree);
        refusals++;
        return;
    }
    struct outcome out = {.wants_detail = true};
    bool is_embedding = json_get(tree, "data") != NULL;
    if (dialect_openai.observe(a, is_embedding ? CHAT_OP_EMBEDDING : CHAT_OP_CHAT, body, &out)) {
        fail_msg("%s cannot be read", name);
    }
    assert_true(out.is_complete && !out.is_empty && !out.is_error);
    assert_true(out.has_usage);
    fixture_check_usage(json_get(tree, "usage"), &out.usage);
    assert_true(slice_eq(out.model, json_get_string(tree, "model")));
    answers++;
    if (is_embedding) {
        return;
    }
    struct chat_response r;
    assert_int_equal(dialect_openai.decode_response(a, body, &r), OK);
    assert_memory_equal(&r.usage, &out.usage, sizeof(r.usage));
    assert_int_equal(r.choice_count, yyjson_arr_size(json_get(tree, "choices")));
    assert_int_equal(r.choices[r.choice_count - 1].finish, out.finish);
    /* and back: the same facts again */
    struct slice again;
    struct outcome twice = {.wants_detail = true};
    assert_int_equal(dialect_openai.encode_response(a, &r, NULL, &again), OK);
    assert_int_equal(dialect_openai.observe(a, CHAT_OP_CHAT, again, &twice), OK);
    assert_int_equal(usage_total(&twice.usage), usage_total(&out.usage));
    assert_int_equal(twice.finish, out.finish);
}

static void recorded_answers_are_read(void **state)
{
    (void)state;
    answers = refusals = 0;
    assert_true(fixture_each(".json", exchange) >= 40);
    assert_true(answers >= 15);
    assert_true(refusals >= 8);
}

static void whole_bodies_tell_their_facts(void **state)
{
    (void)state;
    struct arena a;
    struct outcome o = {.wants_detail = true};
    arena_init(&a, NULL, (size_t)1 << 20);
    static const char *const bad[] = {"",      "<html>", "[]",   "null", "{\"choices\":[}",
                                      "{} {}", "[DONE]", "\"x\""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(dialect_openai.observe(&a, CHAT_OP_CHAT, slice_str(bad[i]), &o), E_SYNTAX);
    }
    assert_int_equal(dialect_openai.observe(&a, CHAT_OP_CHAT, SLICE(" {\"choices\":[]}\n"), &o),
                     OK);
    assert_true(o.is_empty && o.is_complete && !o.has_usage && !o.is_error);
    assert_int_equal(
        dialect_openai.observe(&a, CHAT_OP_CHAT, SLICE("{\"error\":{\"message\":\"no\"}}"), &o),
        OK);
    assert_true(o.is_error && o.is_empty);
    assert_true(slice_eq(o.error, SLICE("no")));
    assert_int_equal(dialect_openai.observe(
                         &a, CHAT_OP_CHAT,
                         SLICE("{\"error\":null,\"choices\":[{\"message\":{\"content\":\"four\"},"
                               "\"finish_reason\":\"length\"}]}"),
                         &o),
                     OK);
    assert_true(!o.is_error && o.has_content && o.finish == CHAT_FINISH_LENGTH);
    assert_int_equal(o.output_bytes, 4);
    assert_int_equal(dialect_openai.observe(&a, CHAT_OP_EMBEDDING,
                                            SLICE("{\"data\":[{\"embedding\":[1]}]}"), &o),
                     OK);
    assert_false(o.is_empty);
    assert_int_equal(dialect_openai.observe(&a, CHAT_OP_EMBEDDING, SLICE("{\"data\":[]}"), &o), OK);
    assert_true(o.is_empty);
    arena_deinit(&a);
}

static void provider_errors_are_blamed(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum blame blame;
        const char *message;
    } cases[] = {
        {401, "{\"error\":{\"message\":\"bad key\",\"code\":\"invalid_api_key\"}}", BLAME_US_KEY,
         "bad key"},
        {403, "{\"error\":{\"message\":\"country\"}}", BLAME_US_KEY, "country"},
        {403, "{\"error\":{\"message\":\"your input was flagged\"}}", BLAME_CLIENT,
         "your input was flagged"},
        {400, "{\"error\":{\"message\":\"API key not valid\",\"code\":400}}", BLAME_US_KEY,
         "API key not valid"},
        {402, "", BLAME_US_QUOTA, "HTTP status 402"},
        {429, "{\"error\":{\"message\":\"q\",\"type\":\"insufficient_quota\"}}", BLAME_US_QUOTA,
         "q"},
        {400, "{\"error\":{\"message\":\"Your credit balance is too low to\"}}", BLAME_US_QUOTA,
         "Your credit balance is too low to"},
        {404, "{\"error\":{\"code\":\"DeploymentNotFound\",\"message\":\"d\"}}",
         BLAME_US_DEPLOYMENT, "d"},
        {404, "{\"error\":\"model 'x' not found, try pulling it first\"}", BLAME_US_DEPLOYMENT,
         "model 'x' not found, try pulling it first"},
        {400, "{\"error\":{\"code\":\"model_not_found\",\"message\":\"m\"}}", BLAME_US_DEPLOYMENT,
         "m"},
        {429, "{\"error\":{\"message\":\"slow\",\"code\":429}}", BLAME_LIMITED, "slow"},
        {429, "[{\"error\":{\"message\":\"slow\",\"status\":\"RESOURCE_EXHAUSTED\"}}]",
         BLAME_LIMITED, "slow"},
        {400, "{\"error\":{\"message\":\"p\",\"type\":\"invalid_request_error\"}}", BLAME_CLIENT,
         "p"},
        {422, "{\"detail\":\"unprocessable\"}", BLAME_CLIENT, "unprocessable"},
        {422, "{\"detail\":[{\"msg\":\"x\"}]}", BLAME_CLIENT, "[{\"msg\":\"x\"}]"},
        {400, "{\"object\":\"error\",\"message\":\"old\",\"code\":40303}", BLAME_CLIENT, "old"},
        {413, "<html>too large</html>", BLAME_CLIENT, "HTTP status 413"},
        {500, "{\"error\":{\"message\":\"oops\"}}", BLAME_PROVIDER, "oops"},
        {502, "<html>bad gateway</html>", BLAME_PROVIDER, "HTTP status 502"},
        {503, "{\"error\":{\"code\":503,\"message\":\"Loading model\"}}", BLAME_PROVIDER,
         "Loading model"},
        {529, "", BLAME_PROVIDER, "HTTP status 529"},
        {408, "", BLAME_PROVIDER, "HTTP status 408"},
        {301, "", BLAME_PROVIDER, "HTTP status 301"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        trial_blame(&dialect_openai, cases[i].status, cases[i].body, cases[i].blame,
                    cases[i].message, 0);
    }
}

static void our_errors_have_openais_shape(void **state)
{
    (void)state;
    static const struct {
        struct fault fault;
        int status;
        const char *type, *code, *headers;
    } cases[] = {
        {{.kind = FAULT_AUTH_MISSING}, 401, "invalid_request_error", NULL, ""},
        {{.kind = FAULT_AUTH_INVALID}, 401, "invalid_request_error", "invalid_api_key", ""},
        {{.kind = FAULT_BAD_REQUEST, .param = SLICE_INIT("n"), .code = SLICE_INIT("c")},
         400,
         "invalid_request_error",
         "c",
         ""},
        {{.kind = FAULT_MODEL_NOT_FOUND}, 404, "invalid_request_error", "model_not_found", ""},
        {{.kind = FAULT_TOO_LARGE}, 413, "invalid_request_error", "request_too_large", ""},
        {{.kind = FAULT_RATE_LIMITED}, 429, "requests", "rate_limit_exceeded", ""},
        {{.kind = FAULT_BUDGET},
         429,
         "insufficient_quota",
         "insufficient_quota",
         "x-should-retry: false\r\n"},
        {{.kind = FAULT_UPSTREAM}, 502, "server_error", "upstream_error", ""},
        {{.kind = FAULT_UPSTREAM_TIMEOUT}, 504, "server_error", "upstream_timeout", ""},
        {{.kind = FAULT_OVERLOADED}, 503, "server_error", "slow_down", ""},
        {{.kind = FAULT_INTERNAL}, 500, "server_error", NULL, ""},
        {{.kind = FAULT_UPSTREAM, .status = 500}, 500, "server_error", "upstream_error", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct slice event;
        arena_init(&a, NULL, (size_t)1 << 20);
        yyjson_val *root = trial_fault(&a, &dialect_openai, &cases[i].fault, cases[i].status,
                                       cases[i].headers, &event);
        yyjson_val *error = json_get(root, "error");
        assert_int_equal(yyjson_obj_size(error), 4);
        assert_true(slice_eq(json_get_string(error, "type"), slice_str(cases[i].type)));
        assert_true(slice_eq(json_get_string(error, "code"), slice_str(cases[i].code)));
        assert_non_null(json_get(error, "param"));
        assert_true(slice_starts(event, SLICE("data: {\"error\":{")));
        assert_true(slice_ends(event, SLICE("}}\n\n")));
        arena_deinit(&a);
    }
}

static void paths_and_credentials(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, (size_t)1 << 16);
    struct text t = text_growing(&a);
    dialect_openai.render_auth(SLICE("sk-1"), &t);
    assert_true(slice_eq(text_slice(&t), SLICE("authorization: Bearer sk-1\r\n")));
    assert_true(slice_eq(dialect_openai.path(&a, CHAT_OP_CHAT, SLICE("m"), true),
                         SLICE("/chat/completions")));
    assert_true(slice_eq(dialect_openai.path(&a, CHAT_OP_EMBEDDING, SLICE("m"), false),
                         SLICE("/embeddings")));
    assert_ptr_equal(dialect_find(SLICE("openai")), &dialect_openai);
    assert_null(dialect_find(SLICE("own")));
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_answers_are_read),
        cmocka_unit_test(whole_bodies_tell_their_facts),
        cmocka_unit_test(provider_errors_are_blamed),
        cmocka_unit_test(our_errors_have_openais_shape),
        cmocka_unit_test(paths_and_credentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
