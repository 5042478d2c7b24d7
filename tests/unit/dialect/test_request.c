/* What the gateway reads from OpenAI requests, and how it forwards them. */
#include "request.h"

static enum err scan(struct arena *a, enum chat_operation op, const char *body,
                     struct chat_ask *ask, struct fault *fault)
{
    return dialect_openai.scan(a, op, slice_str(body), ask, fault);
}

#define M "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static void reads_what_decides(void **state)
{
    (void)state;
    struct arena a;
    struct chat_ask k;
    struct fault f;
    arena_init(&a, NULL, (size_t)1 << 20);
    assert_int_equal(scan(&a, CHAT_OP_CHAT, "{\"model\":\"gpt\\u002d4o\"," M "}", &k, &f), OK);
    assert_true(slice_eq(k.model, SLICE("gpt-4o")));
    assert_false(k.is_stream);
    assert_int_equal(k.output_max_tokens, -1);
    assert_int_equal(k.choices, 1);
    assert_false(k.is_deterministic);
    assert_false(k.is_uncacheable);
    assert_true(k.prompt_max_tokens >= (int64_t)k.body.len);
    assert_int_equal(scan(&a, CHAT_OP_CHAT,
                          "{\"stream\":true,\"stream_options\":{\"include_usage\":true},\"n\":3,"
                          "\"max_tokens\":5,\"max_completion_tokens\":7,\"temperature\":0.0e9,"
                          "\"user\":\"u\\n\",\"model\":\"m\"," M "}",
                          &k, &f),
                     OK);
    assert_true(k.is_stream && k.wants_usage && k.is_deterministic);
    assert_int_equal(k.output_max_tokens, 7);
    assert_int_equal(k.choices, 3);
    assert_true(slice_eq(k.user, SLICE("u\n")));
    assert_int_equal(scan(&a, CHAT_OP_CHAT,
                          "{\"model\":\"m\",\"stream\":null,\"n\":null,\"max_tokens\":null,"
                          "\"stream_options\":null,\"temperature\":0.1,\"seed\":1," M "}",
                          &k, &f),
                     OK);
    assert_true(!k.is_stream && k.is_deterministic);
    assert_int_equal(k.output_max_tokens, -1);
    arena_deinit(&a);
}

static void counts_choices_and_inputs(void **state)
{
    (void)state;
    static const struct {
        enum chat_operation op;
        const char *body;
        int64_t choices, output;
    } cases[] = {
        {CHAT_OP_COMPLETION, "{\"model\":\"m\",\"prompt\":\"a\",\"n\":2,\"best_of\":5}", 5, -1},
        {CHAT_OP_COMPLETION, "{\"model\":\"m\",\"prompt\":[\"a\",\"b\",\"c\"],\"n\":2}", 6, -1},
        {CHAT_OP_COMPLETION, "{\"model\":\"m\",\"prompt\":[1,2,3],\"max_tokens\":16}", 1, 16},
        {CHAT_OP_COMPLETION, "{\"model\":\"m\",\"prompt\":[[1,2],[3]]}", 2, -1},
        {CHAT_OP_COMPLETION, "{\"model\":\"m\",\"prompt\":null}", 1, -1},
        {CHAT_OP_EMBEDDING, "{\"model\":\"m\",\"input\":[\"a\",\"b\"],\"stream\":true}", 2, 0},
        {CHAT_OP_EMBEDDING, "{\"model\":\"m\",\"input\":[1,2,3]}", 1, 0},
        {CHAT_OP_MODERATION, "{\"input\":\"x\"}", 1, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct chat_ask k;
        struct fault f;
        arena_init(&a, NULL, (size_t)1 << 20);
        assert_int_equal(scan(&a, cases[i].op, cases[i].body, &k, &f), OK);
        assert_int_equal(k.choices, cases[i].choices);
        assert_int_equal(k.output_max_tokens, cases[i].output);
        assert_false(k.is_stream);
        arena_deinit(&a);
    }
}

static void refuses_with_the_member_named(void **state)
{
    (void)state;
    static const struct {
        enum chat_operation op;
        const char *body;
        enum err err;
        const char *param;
    } cases[] = {
        {CHAT_OP_CHAT, "", E_SYNTAX, ""},
        {CHAT_OP_CHAT, "[]", E_SYNTAX, ""},
        {CHAT_OP_CHAT, "{\"model\":\"m\"," M "} x", E_SYNTAX, ""},
        {CHAT_OP_CHAT, "{" M "}", E_SYNTAX, "model"},
        {CHAT_OP_CHAT, "{\"model\":null," M "}", E_SYNTAX, "model"},
        {CHAT_OP_CHAT, "{\"model\":\"\"," M "}", E_SYNTAX, "model"},
        {CHAT_OP_CHAT, "{\"model\":7," M "}", E_SYNTAX, "model"},
        {CHAT_OP_CHAT, "{\"model\":\"m\"}", E_SYNTAX, "messages"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"messages\":[]}", E_SYNTAX, "messages"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"messages\":\"x\"}", E_SYNTAX, "messages"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"stream\":\"yes\"," M "}", E_SYNTAX, "stream"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"max_tokens\":-1," M "}", E_SYNTAX, "max_tokens"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"max_tokens\":1.5," M "}", E_SYNTAX, "max_tokens"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"max_tokens\":99999999999999999999," M "}", E_SYNTAX,
         "max_tokens"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"n\":0," M "}", E_SYNTAX, "n"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"n\":1000000000000," M "}", E_SYNTAX, "n"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"stream_options\":1," M "}", E_SYNTAX, "stream_options"},
        {CHAT_OP_CHAT,
         "{\"model\":\"m\",\"stream_options\":{\"include_usage\":false,\"include_usage\":true}," M
         "}",
         E_SYNTAX, "stream_options"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"Model\":\"x\"," M "}", E_DUPLICATE, "model"},
        {CHAT_OP_CHAT, "{\"Model\":\"x\"," M "}", E_DUPLICATE, "model"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"mod\\u0065l\":\"x\"," M "}", E_DUPLICATE, "model"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"STREAM\":true," M "}", E_DUPLICATE, "stream"},
        {CHAT_OP_CHAT, "{\"model\":\"m\"," M "," M "}", E_DUPLICATE, "messages"},
        {CHAT_OP_CHAT,
         "{\"model\":\"m\",\"max_to\xE2\x84\xAA"
         "ens\":1," M "}",
         E_DUPLICATE, "max_tokens"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"N\":9," M "}", E_DUPLICATE, "n"},
        {CHAT_OP_EMBEDDING, "{\"model\":\"m\"}", E_SYNTAX, "input"},
        {CHAT_OP_EMBEDDING, "{\"model\":\"m\",\"input\":[]}", E_SYNTAX, "input"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        request_refused(&dialect_openai, cases[i].op, cases[i].body, cases[i].err, cases[i].param);
    }
}

static void tells_when_bytes_do_not_bound_the_prompt(void **state)
{
    (void)state;
#define PARTS(parts) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[" parts "]}]}"
    static const struct {
        const char *body;
        bool is_bounded, is_uncacheable;
    } cases[] = {
        {PARTS("{\"type\":\"text\",\"text\":\"image_url\"}"), true, false},
        {PARTS("{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA\"}}"),
         true, false},
        {PARTS("{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x/y.png\"}}"), false,
         false},
        {PARTS("{\"type\":\"im\\u0061ge_url\",\"image_url\":{\"url\":\"https://x/y.png\"}}"), false,
         false},
        {PARTS("{\"type\":\"text\",\"Type\":\"image_url\",\"text\":\"\"}"), false, false},
        {PARTS("{\"type\":\"text\",\"text\":\"\",\"image_url\":{\"url\":\"https://x\"}}"), false,
         false},
        {PARTS("{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AA\",\"format\":\"wav\"}}"),
         true, false},
        {PARTS("{\"type\":\"file\",\"file\":{\"file_id\":\"f\"}}"), false, false},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"Content\":[{\"type\":\"file\"}]}]}",
         false, false},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"audio\":{\"id\":\"a\"}}]}",
         false, false},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\","
         "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}]}",
         true, false},
        {"{\"model\":\"m\",\"previous_response_id\":\"r\"," M "}", false, true},
        {"{\"model\":\"m\",\"web_search_options\":{}," M "}", false, true},
        {"{\"model\":\"m\",\"store\":true," M "}", true, true},
        {"{\"model\":\"m\",\"store\":false," M "}", true, false},
        {"{\"model\":\"m\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]," M
         "}",
         true, false},
        {"{\"model\":\"m\",\"tools\":[{\"type\":\"web_search\"}]," M "}", false, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        request_bounded(&dialect_openai, cases[i].body, cases[i].is_bounded,
                        cases[i].is_uncacheable);
    }
}

static void bombs_are_refused(void **state)
{
    (void)state;
    for (size_t n = 1000; n <= 1000000; n *= 10) {
        struct arena a;
        struct chat_ask k;
        struct fault f;
        char *body = malloc(n + 64);
        assert_non_null(body);
        int head = snprintf(body, 64, "{\"model\":\"m\",\"messages\":");
        memset(body + head, '[', n);
        arena_init(&a, NULL, (size_t)1 << 20);
        struct slice all = slice_of(body, (size_t)head + n);
        assert_int_equal(dialect_openai.scan(&a, CHAT_OP_CHAT, all, &k, &f), E_LIMIT);
        assert_int_equal(f.kind, FAULT_BAD_REQUEST);
        free(body);
        arena_deinit(&a);
    }
}

static void forwards_byte_for_byte_but_for_what_the_route_demands(void **state)
{
    (void)state;
    static const struct dialect_profile old = {.takes_max_completion_tokens = false};
    static const struct dialect_profile new = {.takes_max_completion_tokens = true};
    static const struct dialect_profile plain = {.refuses_stream_options = true};
    static const struct {
        enum chat_operation op;
        const char *in, *model;
        const struct dialect_profile *profile;
        bool wants_usage;
        int64_t cap;
        bool adds_usage;
        const char *out;
    } cases[] = {
        {CHAT_OP_CHAT, " { \"model\" : \"m\", " M " } ", "m", &old, true, -1, false,
         " { \"model\" : \"m\", " M " } "},
        {CHAT_OP_CHAT, " { \"model\" : \"\\u006d\", " M " } ", "m", &old, true, -1, false,
         " { \"model\" : \"\\u006d\", " M " } "},
        {CHAT_OP_CHAT, "{" M ",\"model\" : \"m\" }", "a\"b", &old, true, -1, false,
         "{" M ",\"model\" : \"a\\\"b\" }"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"stream\":true," M "}", "m", &old, true, -1, true,
         "{\"stream_options\":{\"include_usage\":true},\"model\":\"m\",\"stream\":true," M "}"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"stream\":true," M "}", "m", &old, false, -1, false,
         "{\"model\":\"m\",\"stream\":true," M "}"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"stream\":true," M "}", "m", &plain, true, -1, false,
         "{\"model\":\"m\",\"stream\":true," M "}"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"stream\":true,\"stream_options\":null," M "}", "m", &old,
         true, -1, true,
         "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}," M "}"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"stream\":true,\"stream_options\":{ }," M "}", "m", &old,
         true, -1, true,
         "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true }," M "}"},
        {CHAT_OP_CHAT,
         "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_obfuscation\":false}," M
         "}",
         "m", &old, true, -1, true,
         "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true,"
         "\"include_obfuscation\":false}," M "}"},
        {CHAT_OP_CHAT,
         "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":false}," M "}",
         "m", &old, true, -1, true,
         "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}," M "}"},
        {CHAT_OP_CHAT,
         "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}," M "}", "m",
         &old, true, -1, false,
         "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}," M "}"},
        {CHAT_OP_CHAT, "{\"model\":\"m\"," M "}", "m", &old, false, 50, false,
         "{\"max_tokens\":50,\"model\":\"m\"," M "}"},
        {CHAT_OP_CHAT, "{\"model\":\"m\"," M "}", "m", &new, false, 50, false,
         "{\"max_completion_tokens\":50,\"model\":\"m\"," M "}"},
        {CHAT_OP_COMPLETION, "{\"model\":\"m\",\"prompt\":\"x\"}", "m", &new, false, 50, false,
         "{\"max_tokens\":50,\"model\":\"m\",\"prompt\":\"x\"}"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"max_tokens\":null," M "}", "m", &old, false, 50, false,
         "{\"model\":\"m\",\"max_tokens\":50," M "}"},
        {CHAT_OP_CHAT, "{\"model\":\"m\",\"max_tokens\":9," M "}", "m", &new, false, 50, false,
         "{\"model\":\"m\",\"max_tokens\":9," M "}"},
        {CHAT_OP_CHAT, "{\"stream\":true,\"model\":\"m\"," M "}", "other", &old, true, 1, true,
         "{\"max_tokens\":1,\"stream_options\":{\"include_usage\":true},\"stream\":true,"
         "\"model\":\"other\"," M "}"},
        {CHAT_OP_EMBEDDING, "{\"model\":\"m\",\"input\":\"x\",\"encoding_format\":\"base64\"}", "e",
         &new, true, 50, false, "{\"model\":\"e\",\"input\":\"x\",\"encoding_format\":\"base64\"}"},
        {CHAT_OP_MODERATION, "{\"input\":\"x\"}", "e", &new, true, 50, false,
         "{\"model\":\"e\",\"input\":\"x\"}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct encode_options o = {.model = slice_str(cases[i].model),
                                         .profile = cases[i].profile,
                                         .output_cap_tokens = cases[i].cap,
                                         .wants_usage = cases[i].wants_usage};
        request_forwarded(&dialect_openai, cases[i].op, cases[i].in, o, cases[i].out,
                          cases[i].adds_usage);
    }
}

/* decode -> encode: what OpenAI can say survives the neutral form. */
static void requests_survive_the_neutral_form(void **state)
{
    (void)state;
    static const char body[] =
        "{\"model\":\"x\",\"messages\":[{\"role\":\"developer\",\"content\":\"be brief\"},"
        "{\"role\":\"user\",\"name\":\"ann\",\"content\":[{\"type\":\"text\",\"text\":\"a\\nb\"},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,iVBO\",\"detail\":"
        "\"low\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x/y\"}},"
        "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAA\",\"format\":\"wav\"}},"
        "{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":\"data:application/"
        "pdf;base64,JVBE\"}}]},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":"
        "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"42\"}],"
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
        "\"parameters\":{\"type\":\"object\",\"properties\":{}},\"strict\":true}}],"
        "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}},"
        "\"parallel_tool_calls\":false,\"response_format\":{\"type\":\"json_schema\",\"json_schema\":"
        "{\"name\":\"s\",\"schema\":{\"type\":\"object\"},\"strict\":true}},\"max_completion_tokens\":"
        "77,\"temperature\":0.30,\"top_p\":1.0,\"frequency_penalty\":0,\"presence_penalty\":0.5,"
        "\"seed\":7,\"n\":2,\"stop\":[\"a\",\"b\"],\"reasoning_effort\":\"low\",\"service_tier\":"
        "\"flex\",\"user\":\"u\",\"metadata\":{\"k\":\"v\"},\"stream\":true,\"stream_options\":"
        "{\"include_usage\":true}}";
    static const struct dialect_profile profile = {.takes_max_completion_tokens = true,
                                                   .takes_developer_role = true};
    struct arena a;
    struct chat_ask k;
    struct fault f;
    struct body_parts parts;
    yyjson_val *before, *after;
    arena_init(&a, NULL, (size_t)1 << 20);
    assert_int_equal(scan(&a, CHAT_OP_CHAT, body, &k, &f), OK);
    assert_int_equal(dialect_openai.decode_request(&a, &k, &f), OK);
    assert_int_equal(k.neutral->dropped.len, 0);
    assert_true(slice_eq(k.neutral->messages[1].parts[1].media_type, SLICE("image/png")));
    struct encode_options o = {.model = SLICE("x"),
                               .profile = &profile,
                               .output_cap_tokens = -1,
                               .is_stream = true,
                               .wants_usage = true};
    assert_int_equal(dialect_openai.encode_request(&a, k.neutral, &o, &parts), OK);
    assert_false(parts.adds_usage);
    struct slice out = request_joined(&a, &parts);
    assert_int_equal(json_parse(&a, slice_str(body), &before, NULL), OK);
    assert_int_equal(json_parse(&a, out, &after, NULL), OK);
    if (!yyjson_equals(before, after)) {
        fail_msg("%.*s", SLICE_ARG(out));
    }
    /* a model that refuses what was asked: left out and named */
    static const struct dialect_profile strict = {
        .refuses_sampling = true, .refuses_stop = true, .refuses_stream_options = true};
    o.profile = &strict;
    assert_int_equal(dialect_openai.encode_request(&a, k.neutral, &o, &parts), OK);
    assert_true(slice_eq(parts.dropped,
                         SLICE("temperature,top_p,frequency_penalty,presence_penalty,stop")));
    assert_int_equal(json_parse(&a, request_joined(&a, &parts), &after, NULL), OK);
    assert_null(json_get(after, "temperature"));
    assert_null(json_get(after, "stream_options"));
    assert_int_equal(fixture_count(after, "max_tokens"), 77);
    assert_true(slice_eq(json_get_string(yyjson_arr_get_first(json_get(after, "messages")), "role"),
                         SLICE("system")));
    arena_deinit(&a);
}

static void bad_messages_are_named_by_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *messages, *param;
    } cases[] = {
        {"[1]", "messages[0]"},
        {"[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"king\",\"content\":\"\"}]",
         "messages[1].role"},
        {"[{\"role\":\"user\"}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":7}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":[7]}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"hologram\"}]}]", "messages[0].content"},
        {"[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\"}]}]", "messages[0].tool_calls"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char body[512];
        (void)snprintf(body, sizeof(body), "{\"model\":\"m\",\"messages\":%s}", cases[i].messages);
        request_undecodable(&dialect_openai, body, cases[i].param, false);
    }
}

static void survives_any_lack_of_memory(void **state)
{
    (void)state;
    static const struct dialect_profile profile = {.takes_developer_role = true};
    static const char body[] =
        "{\"model\":\"m\\u0061\",\"stream\":true,\"tools\":[{\"type\":\"function\","
        "\"function\":{\"name\":\"f\"}}],\"stop\":\"x\"," M "}";
    static const struct encode_options o = {.model = SLICE_INIT("other"),
                                            .profile = &profile,
                                            .output_cap_tokens = 5,
                                            .is_stream = true,
                                            .wants_usage = true};
    static const struct request_meal m = {&dialect_openai, body, &o, {&dialect_openai}};
    fixture_starve(request_starved, &m, 100000, 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_decides),
        cmocka_unit_test(counts_choices_and_inputs),
        cmocka_unit_test(refuses_with_the_member_named),
        cmocka_unit_test(tells_when_bytes_do_not_bound_the_prompt),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(forwards_byte_for_byte_but_for_what_the_route_demands),
        cmocka_unit_test(requests_survive_the_neutral_form),
        cmocka_unit_test(bad_messages_are_named_by_their_place),
        cmocka_unit_test(survives_any_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
