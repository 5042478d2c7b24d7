/* The gateway's own dialect: leniency, the lists of what is wrong, the origin's texts. */
#include "fixture.h"

#include "dialect/dialect.h"

#define M "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static enum err scan(struct arena *a, const char *body, struct chat_ask *ask, struct fault *fault)
{
    return dialect_own.scan(a, CHAT_OP_CHAT, slice_str(body), ask, fault);
}

static struct slice rendered(struct arena *a, const struct fault *f, int *status)
{
    struct text body = text_growing(a), headers = text_growing(a);
    dialect_own.render_fault(f, status, &body, &headers);
    assert_false(body.is_full);
    return text_slice(&body);
}

static void defaults_go_upstream_where_they_are_taken(void **state)
{
    (void)state;
    static const struct dialect_profile plain = {.takes_max_completion_tokens = false};
    static const struct dialect_profile thinker = {.takes_max_completion_tokens = true,
                                                   .refuses_sampling = true};
    static const struct {
        const char *in;
        const struct dialect_profile *profile;
        const char *out, *dropped;
    } cases[] = {
        {"{\"model\":\"m\",\"unknown\":1,\"tools\":7," M "}", &plain,
         "{\"model\":\"x\"," M ",\"max_tokens\":1000,\"temperature\":0.7}", ""},
        {"{\"model\":\"m\"," M "}", &thinker,
         "{\"model\":\"x\"," M ",\"max_completion_tokens\":1000}", ""},
        {"{\"model\":\"m\",\"temperature\":\"0.20\",\"max_tokens\":\"50\"," M "}", &plain,
         "{\"model\":\"x\"," M ",\"max_tokens\":50,\"temperature\":0.20}", ""},
        {"{\"model\":\"m\",\"temperature\":1,\"max_tokens\":5.0," M "}", &thinker,
         "{\"model\":\"x\"," M ",\"max_completion_tokens\":5}", "temperature"},
        {"{\"model\":\"m\",\"stream\":\"yes\"," M "}", &plain,
         "{\"model\":\"x\"," M ",\"max_tokens\":1000,\"temperature\":0.7,\"stream\":true,"
         "\"stream_options\":{\"include_usage\":true}}",
         ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct chat_ask k;
        struct fault f;
        struct body_parts parts;
        arena_init(&a, NULL, (size_t)1 << 20);
        assert_int_equal(scan(&a, cases[i].in, &k, &f), OK);
        assert_false(k.is_uncacheable);
        assert_int_equal(dialect_own.decode_request(&a, &k, &f), OK);
        struct encode_options o = {.model = SLICE("x"),
                                   .profile = cases[i].profile,
                                   .output_cap_tokens = -1,
                                   .is_stream = k.is_stream,
                                   .wants_usage = true};
        assert_int_equal(dialect_openai.encode_request(&a, k.neutral, &o, &parts), OK);
        if (!slice_eq(parts.parts[0], slice_str(cases[i].out))) {
            fail_msg("%.*s", SLICE_ARG(parts.parts[0]));
        }
        assert_true(slice_eq(parts.dropped, slice_str(cases[i].dropped)));
        arena_deinit(&a);
    }
}

static void what_is_wrong_is_listed(void **state)
{
    (void)state;
    static const struct {
        const char *body, *answer;
    } cases[] = {
        {"{}",
         "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"model\"],\"msg\":\"Field required\","
         "\"input\":{}},{\"type\":\"missing\",\"loc\":[\"body\",\"messages\"],\"msg\":\"Field "
         "required\",\"input\":{}}]}"},
        {"{\"model\":7," M "}",
         "{\"detail\":[{\"type\":\"string_type\",\"loc\":[\"body\",\"model\"],\"msg\":\"Input should be "
         "a valid string\",\"input\":7}]}"},
        {"{\"model\":\"m\",\"messages\":\"x\"}",
         "{\"detail\":[{\"type\":\"list_type\",\"loc\":[\"body\",\"messages\"],\"msg\":\"Input should be "
         "a valid list\",\"input\":\"x\"}]}"},
        {"{\"model\":\"m\",\"messages\":[3]}",
         "{\"detail\":[{\"type\":\"dict_type\",\"loc\":[\"body\",\"messages\",0],\"msg\":\"Input should "
         "be a valid dictionary\",\"input\":3}]}"},
        {"{\"model\":\"m\",\"messages\":[{\"content\":\"a\"}]}",
         "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"messages\",0,\"role\"],\"msg\":\"Field "
         "required\",\"input\":{\"content\":\"a\"}}]}"},
        {"{\"model\":\"m\",\"temperature\":\"hot\",\"max_tokens\":\"many\",\"stream\":\"perhaps\"," M
         "}",
         "{\"detail\":[{\"type\":\"float_parsing\",\"loc\":[\"body\",\"temperature\"],\"msg\":\"Input "
         "should be a valid number, unable to parse string as a number\",\"input\":\"hot\"},"
         "{\"type\":\"int_parsing\",\"loc\":[\"body\",\"max_tokens\"],\"msg\":\"Input should be a valid "
         "integer, unable to parse string as an integer\",\"input\":\"many\"},"
         "{\"type\":\"bool_parsing\",\"loc\":[\"body\",\"stream\"],\"msg\":\"Input should be a valid "
         "boolean, unable to interpret input\",\"input\":\"perhaps\"}]}"},
        {"{\"model\":\"m\",\"max_tokens\":1.5," M "}",
         "{\"detail\":[{\"type\":\"int_from_float\",\"loc\":[\"body\",\"max_tokens\"],\"msg\":\"Input "
         "should be a valid integer, got a number with a fractional part\",\"input\":1.5}]}"},
        {"{\"model\":\"m\",\"max_tokens\":null,\"temperature\":[],\"stream\":{}," M "}",
         "{\"detail\":[{\"type\":\"float_type\",\"loc\":[\"body\",\"temperature\"],\"msg\":\"Input should "
         "be a valid number\",\"input\":[]},{\"type\":\"int_type\",\"loc\":[\"body\",\"max_tokens\"],"
         "\"msg\":\"Input should be a valid integer\",\"input\":null},{\"type\":\"bool_type\",\"loc\":"
         "[\"body\",\"stream\"],\"msg\":\"Input should be a valid boolean\",\"input\":{}}]}"},
        {"{\"model\":",
         "{\"detail\":[{\"type\":\"json_invalid\",\"loc\":[\"body\",9],\"msg\":\"JSON decode error\","
         "\"input\":{}}]}"},
        {"[1]",
         "{\"detail\":[{\"type\":\"model_attributes_type\",\"loc\":[\"body\"],\"msg\":\"Input should be a "
         "valid dictionary or object to extract fields from\",\"input\":[1]}]}"},
        {"{\"model\":\"a\",\"Model\":\"b\"," M "}",
         "{\"detail\":[{\"type\":\"value_error\",\"loc\":[\"body\",\"model\"],\"msg\":\"given in other "
         "letter case\",\"input\":null}]}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct chat_ask k;
        struct fault f;
        int status = 0;
        arena_init(&a, NULL, (size_t)1 << 20);
        assert_int_not_equal(scan(&a, cases[i].body, &k, &f), OK);
        struct slice body = rendered(&a, &f, &status);
        assert_int_equal(status, 422);
        if (!slice_eq(body, slice_str(cases[i].answer))) {
            fail_msg("%.*s", SLICE_ARG(body));
        }
        arena_deinit(&a);
    }
}

static void errors_have_the_origins_texts(void **state)
{
    (void)state;
    static const struct {
        struct fault fault;
        int status;
        const char *body;
    } cases[] = {
        {{.kind = FAULT_AUTH_MISSING, .message = SLICE_INIT("other")},
         401,
         "{\"detail\":\"API key missing\"}"},
        {{.kind = FAULT_AUTH_INVALID}, 401, "{\"detail\":\"Invalid API key\"}"},
        {{.kind = FAULT_RATE_LIMITED, .limit_value = 100},
         429,
         "{\"detail\":\"Rate limit exceeded. Limit: 100 requests/minute\"}"},
        {{.kind = FAULT_RATE_LIMITED,
          .limit_value = 5,
          .message = SLICE_INIT("Rate limit exceeded. Limit: 5 concurrent requests")},
         429,
         "{\"detail\":\"Rate limit exceeded. Limit: 5 concurrent requests\"}"},
        {{.kind = FAULT_BUDGET}, 402, "{\"detail\":\"Budget exhausted\"}"},
        {{.kind = FAULT_UPSTREAM, .message = SLICE_INIT("connection \"refused\"")},
         503,
         "{\"detail\":\"All providers failed. Last error: connection \\\"refused\\\"\"}"},
        {{.kind = FAULT_UPSTREAM_TIMEOUT, .message = SLICE_INIT("no answer")},
         503,
         "{\"detail\":\"All providers failed. Last error: no answer\"}"},
        {{.kind = FAULT_NOT_FOUND}, 404, "{\"detail\":\"Not Found\"}"},
        {{.kind = FAULT_METHOD}, 405, "{\"detail\":\"Method Not Allowed\"}"},
        {{.kind = FAULT_BAD_REQUEST,
          .message = SLICE_INIT("bad role"),
          .param = SLICE_INIT("messages[12].role")},
         422,
         "{\"detail\":[{\"type\":\"value_error\",\"loc\":[\"body\",\"messages\",12,\"role\"],\"msg\":"
         "\"bad role\",\"input\":null}]}"},
        {{.kind = FAULT_BAD_REQUEST, .status = 400, .message = SLICE_INIT("framing")},
         400,
         "{\"detail\":\"framing\"}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        int status = 0;
        arena_init(&a, NULL, (size_t)1 << 16);
        struct slice body = rendered(&a, &cases[i].fault, &status);
        assert_int_equal(status, cases[i].status);
        if (!slice_eq(body, slice_str(cases[i].body))) {
            fail_msg("%.*s", SLICE_ARG(body));
        }
        arena_deinit(&a);
    }
}

static void the_result_has_the_origins_members(void **state)
{
    (void)state;
    struct arena a;
    struct slice body, events, again;
    arena_init(&a, NULL, (size_t)1 << 16);
    struct chat_part parts[] = {{.kind = CHAT_THINKING, .text = SLICE("hm")},
                                {.kind = CHAT_TEXT, .text = SLICE("a\"")},
                                {.kind = CHAT_TEXT, .text = SLICE("b")}};
    struct chat_choice choice = {.parts = parts, .part_count = 3, .finish = CHAT_FINISH_LENGTH};
    struct chat_response r = {.model = SLICE("gpt-4o"),
                              .choices = &choice,
                              .choice_count = 1,
                              .usage = {.input = 10, .cache_read = 2, .output = 3, .reasoning = 1}};
    struct own_extras x = {.cost_nusd = 780000,
                           .latency_ms = 1250,
                           .rate_limit_remaining = 99,
                           .provider = SLICE("openai")};
    assert_int_equal(dialect_own.encode_response(&a, &r, &x, &body), OK);
    assert_true(slice_eq(
        body, SLICE("{\"cached\":false,\"response\":{\"content\":\"a\\\"b\",\"model\":\"gpt-4o\","
                    "\"prompt_tokens\":12,\"completion_tokens\":4,\"total_tokens\":16,"
                    "\"finish_reason\":\"length\",\"provider\":\"openai\"},\"cost\":0.00078,"
                    "\"latency_ms\":1250,\"rate_limit_remaining\":99}")));
    assert_int_equal(dialect_body_to_events(&a, &dialect_own, CHAT_OP_CHAT, body, false, &events),
                     OK);
    assert_true(slice_starts(events, SLICE("data: {\"delta\": \"a\\\"b\"}\n\ndata: {\"cached\"")));
    assert_int_equal(dialect_events_to_body(&a, &dialect_own, CHAT_OP_CHAT, events, &again), OK);
    assert_true(slice_eq(again, body));
    assert_int_equal(dialect_events_to_body(&a, &dialect_own, CHAT_OP_CHAT,
                                            SLICE("data: {\"delta\": \"x\"}\n\n"), &again),
                     E_SYNTAX);
    x = (struct own_extras){.is_cached = true, .rate_limit_remaining = -1};
    struct text t = text_growing(&a);
    own_render_result(&(struct chat_response){.model = SLICE("m")}, &x, &t);
    assert_true(slice_eq(text_slice(&t),
                         SLICE("{\"cached\":true,\"response\":{\"content\":\"\",\"model\":\"m\","
                               "\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0,"
                               "\"finish_reason\":\"stop\",\"provider\":\"\"},\"cost\":0,"
                               "\"latency_ms\":0,\"rate_limit_remaining\":null}")));
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_go_upstream_where_they_are_taken),
        cmocka_unit_test(what_is_wrong_is_listed),
        cmocka_unit_test(errors_have_the_origins_texts),
        cmocka_unit_test(the_result_has_the_origins_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
