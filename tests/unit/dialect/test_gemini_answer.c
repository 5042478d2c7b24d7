/* Whole answers of the API, errors of the provider and errors of ours in its words; addresses. */
#include "trial.h"

static const char *const dir = TEST_DATA_DIR "/gemini";

static size_t answers, refusals, counts;

/* Every recorded exchange: answers are observed, decoded and written again, errors classified. */
static void exchange(struct arena *a, const char *name, struct slice bytes)
{
    int64_t status;
    yyjson_val *tree = fixture_answer(a, bytes, &status);
    if (!yyjson_is_obj(tree) || json_get(tree, "models")) {
        return;
    }
    struct slice body = json_text(a, tree);
    struct outcome out = {.wants_detail = true};
    if (status >= 400) {
        assert_int_equal(trial_refusal(a, &dialect_gemini, status, tree), BLAME_US_DEPLOYMENT);
        refusals++;
        return;
    }
    if (json_get(tree, "totalTokens")) {
        trial_counted(a, &dialect_gemini, tree, fixture_count(tree, "totalTokens"));
        counts++;
        return;
    }
    struct chat_response r, again;
    struct slice written;
    yyjson_val *usage = json_get(tree, "usageMetadata");
    assert_int_equal(dialect_gemini.observe(a, CHAT_OP_CHAT, body, &out), OK);
    assert_true(!out.is_error && !out.is_empty && out.model.len);
    assert_int_equal(usage_total(&out.usage), fixture_count(usage, "totalTokenCount"));
    assert_int_equal(dialect_gemini.decode_response(a, body, &r), OK);
    assert_int_equal(r.choice_count, 1);
    assert_int_equal(r.choices[0].finish, out.finish);
    assert_int_equal(dialect_gemini.encode_response(a, &r, NULL, &written), OK);
    assert_int_equal(dialect_gemini.decode_response(a, written, &again), OK);
    assert_int_equal(again.choices[0].part_count, r.choices[0].part_count);
    assert_int_equal(again.choices[0].finish, r.choices[0].finish);
    assert_int_equal(usage_total(&again.usage), usage_total(&r.usage));
    for (size_t i = 0; i < r.choices[0].part_count; i++) {
        const struct chat_part *x = &r.choices[0].parts[i], *y = &again.choices[0].parts[i];
        if (x->kind != y->kind || !slice_eq(x->text, y->text) ||
            !slice_eq(x->signature, y->signature) || !slice_eq(x->data, y->data)) {
            fail_msg("%s: part %zu", name, i);
        }
    }
    answers++;
}

static void recorded_answers_are_read(void **state)
{
    (void)state;
    answers = refusals = counts = 0;
    assert_int_equal(fixture_each_in(dir, ".json", exchange), 21);
    assert_int_equal(answers, 5);
    assert_int_equal(refusals, 1);
    assert_int_equal(counts, 1);
}

static void whole_bodies_tell_their_facts(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum chat_operation op;
        bool is_empty, is_error;
        enum chat_finish finish;
    } cases[] = {
        {"{}", CHAT_OP_CHAT, true, false, CHAT_FINISH_NONE},
        {"{\"candidates\":[]}", CHAT_OP_CHAT, true, false, CHAT_FINISH_NONE},
        /* consumed by thinking: an answer all the same (Bifrost fell over it) */
        {"{\"candidates\":[{\"content\":{},\"finishReason\":\"MAX_TOKENS\"}]}", CHAT_OP_CHAT, false,
         false, CHAT_FINISH_LENGTH},
        {"{\"candidates\":[{\"finishReason\":\"SAFETY\"}]}", CHAT_OP_CHAT, false, false,
         CHAT_FINISH_FILTER},
        /* the model garbled its call, and nothing came of it: another target may do better */
        {"{\"candidates\":[{\"content\":{},\"finishReason\":\"MALFORMED_FUNCTION_CALL\"}]}",
         CHAT_OP_CHAT, true, false, CHAT_FINISH_STOP},
        {"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]},\"finishReason\":\"OTHER\"}"
         "]}",
         CHAT_OP_CHAT, false, false, CHAT_FINISH_STOP},
        {"{\"error\":{\"code\":500,\"message\":\"no\"}}", CHAT_OP_CHAT, true, true,
         CHAT_FINISH_NONE},
        {"[{\"error\":{\"message\":\"no\"}}]", CHAT_OP_CHAT, true, true, CHAT_FINISH_NONE},
        {"{\"totalTokens\":3}", CHAT_OP_COUNT_TOKENS, false, false, CHAT_FINISH_NONE},
        {"{}", CHAT_OP_COUNT_TOKENS, true, false, CHAT_FINISH_NONE},
        {"{\"embedding\":{\"values\":[1]}}", CHAT_OP_EMBEDDING, false, false, CHAT_FINISH_NONE},
        {"{\"embeddings\":[{\"values\":[1]}]}", CHAT_OP_EMBEDDING, false, false, CHAT_FINISH_NONE},
        {"{\"embeddings\":[]}", CHAT_OP_EMBEDDING, true, false, CHAT_FINISH_NONE},
    };
    struct arena a;
    arena_init(&a, NULL, (size_t)1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct outcome o = {.wants_detail = true};
        assert_int_equal(dialect_gemini.observe(&a, cases[i].op, slice_str(cases[i].body), &o), OK);
        if (o.is_empty != cases[i].is_empty || o.is_error != cases[i].is_error ||
            o.finish != cases[i].finish) {
            fail_msg("%s", cases[i].body);
        }
        assert_true(!o.is_error || slice_eq(o.error, SLICE("no")));
    }
    static const char *const bad[] = {"", "<html>", "[]", "null", "{\"candidates\":[}", "\"x\""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct outcome o = {.wants_detail = true};
        struct chat_response r;
        assert_int_equal(dialect_gemini.observe(&a, CHAT_OP_CHAT, slice_str(bad[i]), &o), E_SYNTAX);
        assert_int_not_equal(dialect_gemini.decode_response(&a, slice_str(bad[i]), &r), OK);
    }
    arena_deinit(&a);
}

/* Usage of the canonical form as the API tells it, and read again. */
static void usage_is_told_in_full(void **state)
{
    (void)state;
    struct arena a;
    struct slice body;
    struct outcome o = {.wants_detail = true};
    struct chat_choice choice = {.finish = CHAT_FINISH_STOP};
    struct chat_response r = {
        .id = SLICE_INIT("i"),
        .model = SLICE_INIT("m"),
        .choices = &choice,
        .choice_count = 1,
        .usage = {.input = 1, .cache_read = 2, .output = 5, .reasoning = 6, .is_known = true},
        .has_usage = true};
    arena_init(&a, NULL, (size_t)1 << 20);
    assert_int_equal(dialect_gemini.encode_response(&a, &r, NULL, &body), OK);
    assert_int_equal(dialect_gemini.observe(&a, CHAT_OP_CHAT, body, &o), OK);
    assert_memory_equal(&o.usage, &r.usage, sizeof(r.usage));
    assert_true(slice_search(body, SLICE("\"promptTokenCount\":3,\"candidatesTokenCount\":5,"
                                         "\"totalTokenCount\":14,\"cachedContentTokenCount\":2,"
                                         "\"thoughtsTokenCount\":6}")) < body.len);
    arena_deinit(&a);
}

/* --- errors ------------------------------------------------------------------------------------
 */

#define ERR(status, message, details)                                               \
    "{\"error\":{\"code\":1,\"message\":\"" message "\",\"status\":\"" status "\"," \
    "\"details\":[" details "]}}"
#define RETRY(delay) \
    "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"" delay "\"}"
#define QUOTA(id)                                                                                   \
    "{\"@type\":\"type.googleapis.com/google.rpc.QuotaFailure\",\"violations\":[{\"quotaId\":\"" id \
    "\"}]}"

static void provider_errors_are_blamed(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum blame blame;
        const char *message;
        int64_t retry_ms;
    } cases[] = {
        /* a bad key is a 400 here */
        {400,
         ERR("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.",
             "{\"reason\":\"API_KEY_INVALID\"}"),
         BLAME_US_KEY, "API key not valid. Please pass a valid API key.", 0},
        {400, ERR("INVALID_ARGUMENT", "bad", "{\"reason\":\"API_KEY_INVALID\"}"), BLAME_US_KEY,
         "bad", 0},
        {400, ERR("INVALID_ARGUMENT", "API key expired. Please renew the API key.", ""),
         BLAME_US_KEY, "API key expired. Please renew the API key.", 0},
        {400, ERR("INVALID_ARGUMENT", "Unknown name x", ""), BLAME_CLIENT, "Unknown name x", 0},
        {400, ERR("FAILED_PRECONDITION", "User location is not supported for the API use.", ""),
         BLAME_US_DEPLOYMENT, "User location is not supported for the API use.", 0},
        {400, ERR("FAILED_PRECONDITION", "Please enable billing", ""), BLAME_US_QUOTA,
         "Please enable billing", 0},
        {401, ERR("UNAUTHENTICATED", "u", ""), BLAME_US_KEY, "u", 0},
        {403, ERR("PERMISSION_DENIED", "p", ""), BLAME_US_KEY, "p", 0},
        {404, ERR("NOT_FOUND", "models/x is not found", ""), BLAME_US_DEPLOYMENT,
         "models/x is not found", 0},
        {409, ERR("ABORTED", "a", ""), BLAME_PROVIDER, "a", 0},
        {429, ERR("RESOURCE_EXHAUSTED", "slow", QUOTA("PerMinute") "," RETRY("34.4s")),
         BLAME_LIMITED, "slow", 34400},
        {429, ERR("RESOURCE_EXHAUSTED", "Please retry in 2.0005s.", ""), BLAME_LIMITED,
         "Please retry in 2.0005s.", 2001},
        {429, ERR("RESOURCE_EXHAUSTED", "day", QUOTA("GenerateRequestsPerDay") "," RETRY("1s")),
         BLAME_US_QUOTA, "day", 1000},
        /* trap 14: in a list */
        {429, "[" ERR("RESOURCE_EXHAUSTED", "slow", RETRY("x")) "]", BLAME_LIMITED, "slow", 0},
        {499, ERR("CANCELLED", "c", ""), BLAME_PROVIDER, "c", 0},
        {500, ERR("INTERNAL", "i", ""), BLAME_PROVIDER, "i", 0},
        {503, ERR("UNAVAILABLE", "overloaded", ""), BLAME_PROVIDER, "overloaded", 0},
        {504, "<html>", BLAME_PROVIDER, "HTTP status 504", 0},
        {400, "{\"error\":\"a string\"}", BLAME_CLIENT, "a string", 0},
        {422, "[]", BLAME_CLIENT, "HTTP status 422", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        trial_blame(&dialect_gemini, cases[i].status, cases[i].body, cases[i].blame,
                    cases[i].message, cases[i].retry_ms);
    }
}

static void our_errors_have_googles_shape(void **state)
{
    (void)state;
    static const struct {
        struct fault fault;
        int status;
        const char *name, *headers;
    } cases[] = {
        {{.kind = FAULT_AUTH_MISSING}, 401, "UNAUTHENTICATED", ""},
        {{.kind = FAULT_AUTH_INVALID}, 401, "UNAUTHENTICATED", ""},
        {{.kind = FAULT_FORBIDDEN}, 403, "PERMISSION_DENIED", ""},
        {{.kind = FAULT_BAD_REQUEST, .param = SLICE_INIT("contents")}, 400, "INVALID_ARGUMENT", ""},
        {{.kind = FAULT_NOT_FOUND}, 404, "NOT_FOUND", ""},
        {{.kind = FAULT_MODEL_NOT_FOUND}, 404, "NOT_FOUND", ""},
        {{.kind = FAULT_METHOD}, 405, "UNIMPLEMENTED", ""},
        {{.kind = FAULT_TOO_LARGE}, 413, "INVALID_ARGUMENT", ""},
        {{.kind = FAULT_MEDIA_TYPE}, 415, "INVALID_ARGUMENT", ""},
        {{.kind = FAULT_RATE_LIMITED, .retry_after_ns = 1500000001}, 429, "RESOURCE_EXHAUSTED", ""},
        {{.kind = FAULT_BUDGET}, 429, "RESOURCE_EXHAUSTED", "x-should-retry: false\r\n"},
        {{.kind = FAULT_UPSTREAM}, 502, "UNAVAILABLE", ""},
        {{.kind = FAULT_UPSTREAM_TIMEOUT}, 504, "DEADLINE_EXCEEDED", ""},
        {{.kind = FAULT_OVERLOADED}, 503, "UNAVAILABLE", ""},
        {{.kind = FAULT_LOOP}, 508, "INTERNAL", ""},
        {{.kind = FAULT_INTERNAL}, 500, "INTERNAL", ""},
        {{.kind = FAULT_UPSTREAM, .status = 429}, 429, "RESOURCE_EXHAUSTED", ""},
        {{.kind = FAULT_UPSTREAM, .status = 422}, 422, "INVALID_ARGUMENT", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct slice event;
        struct fault f = cases[i].fault;
        f.request_id = i % 2 ? SLICE("req_1") : SLICE_NONE;
        arena_init(&a, NULL, (size_t)1 << 20);
        yyjson_val *root =
            trial_fault(&a, &dialect_gemini, &f, cases[i].status, cases[i].headers, &event);
        yyjson_val *error = json_get(root, "error");
        assert_int_equal(fixture_count(error, "code"), cases[i].status);
        assert_true(slice_eq(json_get_string(error, "status"), slice_str(cases[i].name)));
        if (f.retry_after_ns) { /* no shorter than it is */
            struct slice body = json_text(&a, root);
            assert_true(slice_search(body, SLICE("\"retryDelay\":\"1.501s\"")) < body.len);
        }
        assert_true(slice_starts(event, SLICE("data: {\"error\":{\"code\":")));
        assert_true(slice_ends(event, SLICE("}\r\n\r\n")));
        arena_deinit(&a);
    }
}

/* --- addresses ---------------------------------------------------------------------------------
 */

static void urls_name_model_and_method(void **state)
{
    (void)state;
    static const struct {
        const char *tail, *query;
        enum err err;
        const char *model;
        enum chat_operation op;
        bool is_stream, is_array;
    } cases[] = {
        {"gemini-2.5-pro:generateContent", "", OK, "gemini-2.5-pro", CHAT_OP_CHAT, false, false},
        {"gemini-2.5-pro:streamGenerateContent", "alt=sse", OK, "gemini-2.5-pro", CHAT_OP_CHAT,
         true, false},
        {"g:streamGenerateContent", "key=x&alt=sse", OK, "g", CHAT_OP_CHAT, true, false},
        {"g:streamGenerateContent", "", OK, "g", CHAT_OP_CHAT, true, true},
        {"g:streamGenerateContent", "alt=json", OK, "g", CHAT_OP_CHAT, true, true},
        {"g:countTokens", "", OK, "g", CHAT_OP_COUNT_TOKENS, false, false},
        {"g:embedContent", "", OK, "g", CHAT_OP_EMBEDDING, false, false},
        {"g:batchEmbedContents", "", OK, "g", CHAT_OP_EMBEDDING, false, false},
        {"models%2Fg%3AgenerateContent", "", OK, "g", CHAT_OP_CHAT, false, false},
        {"a:b:generateContent", "", OK, "a:b", CHAT_OP_CHAT, false, false},
        {"g:predict", "", E_NOT_FOUND, "", CHAT_OP_CHAT, false, false},
        {"g", "", E_NOT_FOUND, "", CHAT_OP_CHAT, false, false},
        {"", "", E_NOT_FOUND, "", CHAT_OP_CHAT, false, false},
        {":generateContent", "", E_SYNTAX, "", CHAT_OP_CHAT, false, false},
        {"g%:generateContent", "", E_SYNTAX, "", CHAT_OP_CHAT, false, false},
        {"g%00:generateContent", "", E_SYNTAX, "", CHAT_OP_CHAT, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct chat_ask ask = {.op = CHAT_OP_CHAT};
        enum chat_operation op = CHAT_OP_CHAT;
        arena_init(&a, NULL, (size_t)1 << 16);
        enum err e =
            gemini_route(&a, slice_str(cases[i].tail), slice_str(cases[i].query), &op, &ask);
        if (e != cases[i].err || (!e && (op != cases[i].op || ask.is_stream != cases[i].is_stream ||
                                         ask.is_array != cases[i].is_array ||
                                         !slice_eq(ask.model, slice_str(cases[i].model))))) {
            fail_msg("%s: %d", cases[i].tail, (int)e);
        }
        arena_deinit(&a);
    }
}

static void paths_and_credentials(void **state)
{
    (void)state;
    static const struct {
        enum chat_operation op;
        const char *model;
        bool is_stream;
        const char *path;
    } cases[] = {
        {CHAT_OP_CHAT, "gemini-x", false, "/models/gemini-x:generateContent"},
        {CHAT_OP_CHAT, "models/gemini-x", true, "/models/gemini-x:streamGenerateContent?alt=sse"},
        {CHAT_OP_CHAT, "tunedModels/mine", false, "/tunedModels/mine:generateContent"},
        {CHAT_OP_CHAT, "../../a b", false, "/models/..%2F..%2Fa%20b:generateContent"},
        {CHAT_OP_COUNT_TOKENS, "g", false, "/models/g:countTokens"},
        {CHAT_OP_EMBEDDING, "g", false, "/models/g:batchEmbedContents"},
        {CHAT_OP_COMPLETION, "g", false, ""},
        {CHAT_OP_MODERATION, "g", false, ""},
    };
    struct arena a;
    arena_init(&a, NULL, (size_t)1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(slice_eq(
            dialect_gemini.path(&a, cases[i].op, slice_str(cases[i].model), cases[i].is_stream),
            slice_str(cases[i].path)));
    }
    struct text t = text_growing(&a);
    dialect_gemini.render_auth(SLICE("AIza"), &t);
    assert_true(slice_eq(text_slice(&t), SLICE("x-goog-api-key: AIza\r\n")));
    assert_ptr_equal(dialect_find(SLICE("gemini")), &dialect_gemini);
    assert_ptr_equal(dialect_of_record(RECORD_DIALECT_GEMINI), &dialect_gemini);
    trial_count(&a, &dialect_gemini, 2095, "{\"totalTokens\":2095}");
    arena_deinit(&a);
}

static enum err starved(struct arena *a, const void *ctx)
{
    struct slice body = SLICE(
        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"t\",\"thought\":true},{\"text\":"
        "\"x\",\"thoughtSignature\":\"U0lH\"},{\"functionCall\":{\"name\":\"x_gw_a.20b\"},"
        "\"thoughtSignature\":\"bGxtLWdhdGV3YXk6YW50aHJvcGljOnM6WA==\"},{\"executableCode\":{}},{"
        "\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"QQ==\"}}]},\"finishReason\":\"STOP\","
        "\"groundingMetadata\":{\"groundingChunks\":[{\"web\":{\"uri\":\"u\"}}]}}],\"responseId\":"
        "\"r\",\"usageMetadata\":{\"promptTokenCount\":1}}");
    struct chat_response r;
    struct slice out;
    struct outcome o = {.wants_detail = true};
    (void)ctx;
    enum err e = dialect_gemini.observe(a, CHAT_OP_CHAT, body, &o);
    e = e ? e : dialect_gemini.decode_response(a, body, &r);
    e = e ? e : dialect_gemini.encode_response(a, &r, NULL, &out);
    e = e ? e : dialect_openai.encode_response(a, &r, NULL, &out);
    return e ? e : dialect_anthropic.encode_response(a, &r, NULL, &out);
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
        cmocka_unit_test(our_errors_have_googles_shape),
        cmocka_unit_test(urls_name_model_and_method),
        cmocka_unit_test(paths_and_credentials),
        cmocka_unit_test(survives_any_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
