/* Responses requests: what the gateway reads, what it changes in place, what they become in other
 * words, and that nothing of them is lost in silence. */
#include "dump.h"
#include "request.h"

static enum err scan(struct arena *a, const char *body, struct chat_ask *ask, struct fault *fault)
{
    return dialect_responses.scan(a, CHAT_OP_CHAT, slice_str(body), ask, fault);
}

#define IN "\"input\":\"hi\""

static void reads_what_decides(void **state)
{
    (void)state;
    struct arena a;
    struct chat_ask k;
    struct fault f;
    arena_init(&a, NULL, (size_t)1 << 20);
    assert_int_equal(scan(&a, "{\"model\":\"gpt\\u002d4o\"," IN "}", &k, &f), OK);
    assert_true(slice_eq(k.model, SLICE("gpt-4o")));
    assert_false(k.is_stream || k.is_deterministic || k.is_pinned || k.is_deferred);
    assert_true(k.is_uncacheable && k.is_kept); /* stored unless it is said otherwise */
    assert_int_equal(k.output_max_tokens, -1);
    assert_int_equal(k.choices, 1);
    assert_true(k.prompt_max_tokens >= (int64_t)k.body.len);
    assert_int_equal(scan(&a,
                          "{\"model\":\"m\",\"stream\":true,\"max_output_tokens\":77,"
                          "\"temperature\":0,\"store\":false,\"user\":\"u\\n\"," IN "}",
                          &k, &f),
                     OK);
    assert_true(k.is_stream && k.wants_usage && k.is_deterministic && !k.is_uncacheable);
    assert_false(k.is_kept);
    assert_int_equal(k.output_max_tokens, 77);
    assert_true(slice_eq(k.user, SLICE("u\n")));
    assert_int_equal(
        scan(&a, "{\"model\":\"m\",\"stream\":null,\"safety_identifier\":\"s\"," IN "}", &k, &f),
        OK);
    assert_true(!k.is_stream && slice_eq(k.user, SLICE("s")));
    assert_int_equal(dialect_responses.scan(&a, CHAT_OP_COUNT_TOKENS,
                                            SLICE("{\"model\":\"m\",\"stream\":true," IN "}"), &k,
                                            &f),
                     OK);
    assert_true(!k.is_stream && k.output_max_tokens == 0 && !k.is_kept);
    arena_deinit(&a);
}

static void what_one_provider_keeps_pins_the_request(void **state)
{
    (void)state;
    static const struct {
        const char *member, *by, *id;
        bool is_deferred;
    } cases[] = {
        {"\"previous_response_id\":\"resp_1\"", "previous_response_id", "resp_1", false},
        {"\"prompt\":{\"id\":\"pmpt_1\"},\"previous_response_id\":\"resp_1\"",
         "previous_response_id", "resp_1", false},
        {"\"conversation\":\"conv_1\"", "conversation", "conv_1", false},
        {"\"conversation\":{\"id\":\"conv_2\"}", "conversation", "conv_2", false},
        {"\"prompt\":{\"id\":\"pmpt_1\",\"version\":\"2\"}", "prompt", "pmpt_1", false},
        {"\"background\":true", "background", "", true},
        {"\"input\":[{\"type\":\"item_reference\",\"id\":\"msg_1\"}]", "input", "", false},
        {"\"input\":[{\"id\":\"msg_1\"}]", "input", "", false},
        {"\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_file\",\"file_id\":\"f\"}]}]",
         "input", "", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct chat_ask k;
        struct fault f;
        arena_init(&a, NULL, (size_t)1 << 20);
        bool has_input = strstr(cases[i].member, "\"input\"") != NULL;
        struct slice body = arena_printf(&a, "{\"model\":\"m\",\"store\":false,%s%s}",
                                         cases[i].member, has_input ? "" : "," IN);
        assert_int_equal(dialect_responses.scan(&a, CHAT_OP_CHAT, body, &k, &f), OK);
        assert_true(k.is_pinned && k.is_uncacheable);
        assert_true(slice_eq(k.pinned_by, slice_str(cases[i].by)));
        assert_true(slice_eq(k.pinned_id, slice_str(cases[i].id)));
        assert_int_equal(k.is_deferred, cases[i].is_deferred);
        assert_int_equal(k.prompt_max_tokens, -1);
        bool is_file = i + 1 == ARRAY_LEN(cases); /* named as dropped by whoever cannot have it */
        assert_int_equal(dialect_responses.decode_request(&a, &k, &f), is_file ? OK : E_SYNTAX);
        assert_true(is_file || (f.kind == FAULT_BAD_REQUEST && f.param.len));
        arena_deinit(&a);
    }
}

static void refuses_with_the_member_named(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum err err;
        const char *param;
    } cases[] = {
        {"", E_SYNTAX, ""},
        {"[]", E_SYNTAX, ""},
        {"{\"model\":\"m\"," IN "} x", E_SYNTAX, ""},
        {"{" IN "}", E_SYNTAX, "model"},
        {"{\"model\":\"\"," IN "}", E_SYNTAX, "model"},
        {"{\"model\":7," IN "}", E_SYNTAX, "model"},
        {"{\"model\":\"m\"}", E_SYNTAX, "input"},
        {"{\"model\":\"m\",\"input\":7}", E_SYNTAX, "input"},
        {"{\"model\":\"m\",\"input\":[]}", E_SYNTAX, "input"},
        {"{\"model\":\"m\",\"stream\":1," IN "}", E_SYNTAX, "stream"},
        {"{\"model\":\"m\",\"store\":\"no\"," IN "}", E_SYNTAX, "store"},
        {"{\"model\":\"m\",\"background\":{}," IN "}", E_SYNTAX, "background"},
        {"{\"model\":\"m\",\"max_output_tokens\":-1," IN "}", E_SYNTAX, "max_output_tokens"},
        {"{\"model\":\"m\",\"max_output_tokens\":1.5," IN "}", E_SYNTAX, "max_output_tokens"},
        {"{\"model\":\"m\",\"model\":\"n\"," IN "}", E_DUPLICATE, "model"},
        {"{\"model\":\"m\",\"Store\":false,\"store\":true," IN "}", E_DUPLICATE, "store"},
        {"{\"model\":\"m\",\"INPUT\":[]," IN "}", E_DUPLICATE, "input"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        request_refused(&dialect_responses, CHAT_OP_CHAT, cases[i].body, cases[i].err,
                        cases[i].param);
    }
}

static void bytes_bound_what_they_can(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        bool is_bounded;
    } cases[] = {
        {"[{\"role\":\"user\",\"content\":\"x\"}]", true},
        {"[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":"
         "\"x\"}]}]",
         true},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":"
         "\"data:image/png;base64,AA\"}]}]",
         true},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":"
         "\"https://x/y.png\"}]}]",
         false},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"x\",\"image_url\":"
         "\"https://x/y.png\"}]}]",
         false},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"input_file\",\"file_url\":\"https://x\"}]}]",
         false},
        {"[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"},"
         "{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":[{\"type\":"
         "\"input_text\",\"text\":\"x\"}]}]",
         true},
        {"[{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"AA\"}]", true},
        {"[{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[]}]", false},
        {"[{\"type\":\"reasoning\",\"summary\":[]}]", true}, /* Codex leaves ids out */
        {"[{\"type\":\"reasoning\",\"id\":\"rs_gw_c_0\",\"summary\":[]}]", true},
        {"[{\"type\":\"web_search_call\",\"id\":\"ws_1\"}]", false},
        {"[{\"type\":\"compaction\",\"encrypted_content\":\"AA\"}]", false},
        {"[{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":[{\"type\":"
         "\"input_image\",\"file_id\":\"f\"}]}]",
         false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct chat_ask k;
        struct fault f;
        arena_init(&a, NULL, (size_t)1 << 20);
        struct slice body =
            arena_printf(&a, "{\"model\":\"m\",\"store\":false,\"input\":%s}", cases[i].input);
        assert_int_equal(dialect_responses.scan(&a, CHAT_OP_CHAT, body, &k, &f), OK);
        if ((k.prompt_max_tokens >= (int64_t)body.len) != cases[i].is_bounded) {
            fail_msg("%s: %lld", cases[i].input, (long long)k.prompt_max_tokens);
        }
        arena_deinit(&a);
    }
    static const struct {
        const char *tools;
        bool is_bounded;
    } tools[] = {
        {"[{\"type\":\"function\",\"name\":\"f\"},{\"type\":\"custom\",\"name\":\"g\"}]", true},
        {"[{\"type\":\"local_shell\"}]", true},
        {"[{\"type\":\"web_search\"}]", false},
        {"[{\"type\":\"mcp\",\"server_url\":\"x\"}]", false},
        {"[{\"name\":\"f\"}]", false}};
    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        char body[512];
        (void)snprintf(body, sizeof(body), "{\"model\":\"m\",\"store\":false,\"tools\":%s," IN "}",
                       tools[i].tools);
        request_bounded(&dialect_responses, body, tools[i].is_bounded, !tools[i].is_bounded);
    }
}

static const struct dialect_profile plain = {.takes_developer_role = true};

static void forwards_every_byte_but_model_and_cap(void **state)
{
    (void)state;
    static const struct {
        const char *body, *model;
        int64_t cap;
        const char *want;
    } cases[] = {
        {" {\"model\" : \"m\" , " IN "} ", "m", -1, " {\"model\" : \"m\" , " IN "} "},
        {" {\"x\":[1 ],\"model\" : \"m\" , " IN "} ", "n\"", -1,
         " {\"x\":[1 ],\"model\" : \"n\\\"\" , " IN "} "},
        {"{\"model\":\"m\"," IN "}", "m", 9, "{\"max_output_tokens\":9,\"model\":\"m\"," IN "}"},
        {"{\"model\":\"m\",\"max_output_tokens\":null," IN "}", "n", 9,
         "{\"model\":\"n\",\"max_output_tokens\":9," IN "}"},
        {"{\"max_output_tokens\":null,\"model\":\"m\"," IN "}", "n", 9,
         "{\"max_output_tokens\":9,\"model\":\"n\"," IN "}"},
        {"{\"max_output_tokens\":5,\"model\":\"m\"," IN "}", "n", 9,
         "{\"max_output_tokens\":5,\"model\":\"n\"," IN "}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct encode_options o = {.model = slice_str(cases[i].model),
                                         .profile = &plain,
                                         .output_cap_tokens = cases[i].cap};
        request_forwarded(&dialect_responses, CHAT_OP_CHAT, cases[i].body, o, cases[i].want, false);
    }
}

/* --- through the neutral form ------------------------------------------------------------------
 */

static const struct encode_options asked = {
    .model = SLICE_INIT("m"), .profile = &plain, .output_cap_tokens = -1};

static struct chat_request *decode(struct arena *a, const struct dialect *d, struct slice body)
{
    struct chat_ask k;
    struct fault f;
    enum err e = d->scan(a, CHAT_OP_CHAT, body, &k, &f);
    e = e ? e : d->decode_request(a, &k, &f);
    if (e) {
        fail_msg("%.*s\n%.*s", SLICE_ARG(body), SLICE_ARG(f.message));
    }
    return k.neutral;
}

static struct slice encode(struct arena *a, const struct dialect *d, const struct chat_request *r,
                           struct slice *out_dropped)
{
    struct body_parts parts;
    yyjson_val *root;
    struct encode_options o = asked;
    o.is_stream = r->is_stream;
    assert_int_equal(d->encode_request(a, r, &o, &parts), OK);
    struct slice body = request_joined(a, &parts);
    if (json_parse(a, body, &root, NULL)) {
        fail_msg("%.*s", SLICE_ARG(body));
    }
    *out_dropped = parts.dropped;
    return body;
}

#define EVERYTHING                                                                                                                                        \
    "{\"model\":\"m\",\"instructions\":\"be brief\",\"stream\":true,\"store\":false,\"input\":["                                                          \
    "{\"role\":\"developer\",\"content\":\"dev\"},"                                                                                                       \
    "{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"look\"},"                                                                        \
    "{\"type\":\"input_image\",\"image_url\":\"data:image/png;base64,AAAA\",\"detail\":\"low\"},"                                                         \
    "{\"type\":\"input_image\",\"image_url\":\"https://x/y.png\"},"                                                                                       \
    "{\"type\":\"input_file\",\"filename\":\"a.pdf\",\"file_data\":"                                                                                      \
    "\"data:application/pdf;base64,BBBB\"},{\"type\":\"input_file\",\"file_url\":\"https://x\"}]},"                                                       \
    "{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[{\"type\":\"summary_text\",\"text\":"                                                           \
    "\"hm\"}],\"encrypted_content\":\"ENC\"},"                                                                                                            \
    "{\"type\":\"message\",\"role\":\"assistant\",\"id\":\"msg_1\",\"phase\":\"commentary\","                                                             \
    "\"content\":[{\"type\":\"output_text\",\"text\":\"calling\",\"annotations\":[{\"type\":\"url_citation\",\"url\":\"u\",\"title\":\"t\"}]},{\"type\":" \
    "\"refusal\",\"refusal\":\"no\"}]},"                                                                                                                  \
    "{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"},"                                                     \
    "{\"type\":\"custom_tool_call\",\"call_id\":\"c2\",\"name\":\"g\",\"input\":\"free\"},"                                                               \
    "{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":\"one\"},"                                                                          \
    "{\"type\":\"custom_tool_call_output\",\"call_id\":\"c2\",\"output\":[{\"type\":"                                                                     \
    "\"input_text\",\"text\":\"two\"},{\"type\":\"input_image\",\"image_url\":"                                                                           \
    "\"data:image/png;base64,CC\"}]},"                                                                                                                    \
    "{\"type\":\"local_shell_call\",\"id\":\"ls\",\"call_id\":\"c3\",\"action\":{\"command\":"                                                            \
    "[\"ls\"]},\"status\":\"completed\"},{\"type\":\"local_shell_call_output\",\"id\":\"c3\","                                                            \
    "\"output\":\"x\"},{\"role\":\"user\",\"content\":\"go on\"}],"                                                                                       \
    "\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"description\":\"d\",\"parameters\":"                                                              \
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}},\"strict\":true},"                                                               \
    "{\"type\":\"custom\",\"name\":\"g\",\"format\":{\"type\":\"grammar\",\"syntax\":\"lark\","                                                           \
    "\"definition\":\"start: x\"}},{\"type\":\"local_shell\"}],"                                                                                          \
    "\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"required\",\"tools\":["                                                                       \
    "{\"type\":\"function\",\"name\":\"f\"},{\"type\":\"local_shell\"}]},"                                                                                \
    "\"parallel_tool_calls\":false,\"reasoning\":{\"effort\":\"low\",\"summary\":\"detailed\"},"                                                          \
    "\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"schema\":{\"type\":"                                                                 \
    "\"object\"},\"strict\":true},\"verbosity\":\"low\"},\"max_output_tokens\":500,"                                                                      \
    "\"temperature\":0.5,\"top_p\":0.9,\"truncation\":\"auto\",\"metadata\":{\"k\":\"v\"},"                                                               \
    "\"service_tier\":\"flex\",\"top_logprobs\":2,\"user\":\"u\",\"prompt_cache_key\":\"pk\","                                                            \
    "\"include\":[\"reasoning.encrypted_content\",\"message.output_text.logprobs\"]}"

static void decode_and_encode_keep_every_member(void **state)
{
    (void)state;
    struct arena a;
    struct slice dropped;
    arena_init(&a, NULL, (size_t)4 << 20);
    const struct chat_request *one = decode(&a, &dialect_responses, SLICE(EVERYTHING));
    struct slice body = encode(&a, &dialect_responses, one, &dropped);
    const struct chat_request *two = decode(&a, &dialect_responses, body);
    struct slice x = dump_request(&a, one), y = dump_request(&a, two);
    if (!slice_eq(x, y)) {
        fail_msg("%.*s\n---\n%.*s\n%.*s", SLICE_ARG(x), SLICE_ARG(y), SLICE_ARG(body));
    }
    assert_int_equal(dropped.len, 0);
    yyjson_val *from, *to;
    assert_int_equal(json_parse(&a, SLICE(EVERYTHING), &from, NULL), OK);
    assert_int_equal(json_parse(&a, body, &to, NULL), OK);
    static const char *const same[] = {
        "instructions", "tools",      "tool_choice",       "parallel_tool_calls",
        "reasoning",    "text",       "max_output_tokens", "temperature",
        "top_p",        "truncation", "metadata",          "service_tier",
        "top_logprobs", "include",    "prompt_cache_key",  "stream",
        "store"};
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        if (!yyjson_equals(json_get(from, same[i]), json_get(to, same[i]))) {
            fail_msg("%s: %.*s", same[i], SLICE_ARG(body));
        }
    }
    assert_int_equal(yyjson_arr_size(json_get(from, "input")),
                     yyjson_arr_size(json_get(to, "input")));
    assert_int_equal(two->allowed_tool_count, 2);
    arena_deinit(&a);
}

static bool has(struct slice text, const char *what)
{
    return slice_search(text, slice_str(what)) < text.len;
}

/* What others cannot carry is named; what they can, they get. */
static void nothing_is_lost_in_silence(void **state)
{
    (void)state;
    static const struct {
        const struct dialect *to;
        const char *dropped[13], *kept[11];
    } cases[] = {
        {&dialect_openai,
         {"text.verbosity", "truncation", "top_logprobs", "include", "prompt_cache_key",
          "reasoning.summary", "local_shell", "local_shell_call", "local_shell_call_output",
          "phase", "thinking", "document.url"},
         {"\"role\":\"developer\"", "be brief", "\"reasoning_effort\":\"low\"", "AAAA", "BBBB",
          "\"arguments\":\"{\\\"a\\\":1}\"", "{\\\"input\\\":\\\"free\\\"}", "\"service_tier\"",
          "\"response_format\"", "\"tool_call_id\":\"c2\"", "go on"}},
        {&dialect_anthropic,
         {"text.verbosity", "truncation", "top_logprobs", "include", "prompt_cache_key",
          "local_shell", "local_shell_call", "local_shell_call_output", "phase", "thinking"},
         {"be brief", "dev", "AAAA", "BBBB", "{\"a\":1}", "\"input\":\"free\"",
          "\"tool_use_id\":\"c2\"", "go on"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct slice dropped;
        arena_init(&a, NULL, (size_t)4 << 20);
        const struct chat_request *r = decode(&a, &dialect_responses, SLICE(EVERYTHING));
        struct slice body = encode(&a, cases[i].to, r, &dropped);
        for (size_t k = 0; k < ARRAY_LEN(cases[i].dropped) && cases[i].dropped[k]; k++) {
            if (!has(dropped, cases[i].dropped[k])) {
                fail_msg("%s is not in %.*s", cases[i].dropped[k], SLICE_ARG(dropped));
            }
        }
        for (size_t k = 0; k < ARRAY_LEN(cases[i].kept) && cases[i].kept[k]; k++) {
            if (!has(body, cases[i].kept[k])) {
                fail_msg("%s is not in %.*s", cases[i].kept[k], SLICE_ARG(body));
            }
        }
        assert_false(has(body, "ENC")); /* trap 11 */
        arena_deinit(&a);
    }
}

static size_t trips;

/* Every recorded request of every dialect, here and back. */
static void request_fixture(struct arena *a, const struct dialect *d, const char *name,
                            struct slice bytes)
{
    yyjson_val *root;
    struct chat_ask k;
    struct fault f;
    struct slice dropped;
    assert_int_equal(json_parse(a, bytes, &root, NULL), OK);
    yyjson_val *tree = json_get(json_get(root, "request"), "body");
    if (!yyjson_is_obj(tree) || d->scan(a, CHAT_OP_CHAT, json_text(a, tree), &k, &f) ||
        d->decode_request(a, &k, &f)) {
        return;
    }
    struct slice body = encode(a, &dialect_responses, k.neutral, &dropped);
    const struct chat_request *two = decode(a, &dialect_responses, body);
    struct slice again = encode(a, &dialect_responses, two, &dropped);
    const struct chat_request *three = decode(a, &dialect_responses, again);
    struct slice x = dump_request(a, two), y = dump_request(a, three);
    if (!slice_eq(x, y)) {
        fail_msg("%s: %.*s\n---\n%.*s", name, SLICE_ARG(x), SLICE_ARG(y));
    }
    if (d == &dialect_responses && !slice_eq(x, dump_request(a, k.neutral))) {
        fail_msg("%s: %.*s", name, SLICE_ARG(body));
    }
    trips++;
}

static void here_fixture(struct arena *a, const char *name, struct slice bytes)
{
    request_fixture(a, &dialect_responses, name, bytes);
}

static void chat_fixture(struct arena *a, const char *name, struct slice bytes)
{
    request_fixture(a, &dialect_openai, name, bytes);
}

static void anthropic_fixture(struct arena *a, const char *name, struct slice bytes)
{
    request_fixture(a, &dialect_anthropic, name, bytes);
}

static void recorded_requests_come_through(void **state)
{
    (void)state;
    (void)fixture_each_in(TEST_DATA_DIR "/openai-responses", ".json", here_fixture);
    assert_int_equal(trips, 9);
    (void)fixture_each(".json", chat_fixture);
    assert_true(trips >= 40);
    (void)fixture_each_in(TEST_DATA_DIR "/anthropic", ".json", anthropic_fixture);
    assert_true(trips >= 55);
}

static struct slice from(struct arena *a, const struct dialect *d, const char *body,
                         struct slice *out_dropped)
{
    return encode(a, &dialect_responses, decode(a, d, slice_str(body)), out_dropped);
}

static void chat_requests_become_ours(void **state)
{
    (void)state;
    struct arena a;
    struct slice dropped;
    arena_init(&a, NULL, (size_t)4 << 20);
    struct slice body = from(
        &a, &dialect_openai,
        "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
        "\"content\":\"q\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
        "\"c1\",\"type\":\"custom\",\"custom\":{\"name\":\"g\",\"input\":\"x\"}}]},{\"role\":"
        "\"tool\",\"tool_call_id\":\"c1\",\"content\":\"r\"}],\"tools\":[{\"type\":\"custom\","
        "\"custom\":{\"name\":\"g\",\"format\":{\"type\":\"grammar\",\"grammar\":{\"syntax\":"
        "\"lark\",\"definition\":\"d\"}}}},{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
        "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}},\"max_tokens\":5,"
        "\"stop\":[\"x\"],\"seed\":1,\"n\":2,\"presence_penalty\":1,\"reasoning_effort\":\"low\","
        "\"logit_bias\":{\"1\":1},\"response_format\":{\"type\":\"json_object\"}}",
        &dropped);
    static const char *const kept[] = {
        "\"instructions\":\"s\"",
        "{\"type\":\"custom_tool_call\",\"call_id\":\"c1\",\"name\":\"g\",\"input\":\"x\"}",
        "{\"type\":\"custom_tool_call_output\",\"call_id\":\"c1\",\"output\":\"r\"}",
        "\"format\":{\"type\":\"grammar\",\"syntax\":\"lark\",\"definition\":\"d\"}",
        "{\"type\":\"function\",\"name\":\"f\",\"parameters\":null,\"strict\":false}",
        "\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"}",
        "\"max_output_tokens\":16", /* the least it takes */
        "\"text\":{\"format\":{\"type\":\"json_object\"}}",
        "\"reasoning\":{\"effort\":\"low\"}",
        "\"include\":[\"reasoning.encrypted_content\"]",
        "\"store\":false", /* nobody asked to have it kept */
    };
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        if (!has(body, kept[i])) {
            fail_msg("%s is not in %.*s", kept[i], SLICE_ARG(body));
        }
    }
    static const char *const lost[] = {"stop",       "seed",      "n", "presence_penalty",
                                       "logit_bias", "max_tokens"};
    for (size_t i = 0; i < ARRAY_LEN(lost); i++) {
        assert_true(has(dropped, lost[i]));
    }
    arena_deinit(&a);
}

/* Trap 8, and parallel calls: calls side by side are one turn, their outputs another. */
static void calls_side_by_side_are_one_turn(void **state)
{
    (void)state;
    static const char body[] =
        "{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":\"q\"},"
        "{\"type\":\"function_call\",\"call_id\":\"a\",\"name\":\"f\",\"arguments\":\"\"},"
        "{\"type\":\"function_call\",\"call_id\":\"b\",\"name\":\"f\",\"arguments\":\"{}\"},"
        "{\"type\":\"function_call_output\",\"call_id\":\"b\",\"output\":\"2\"},"
        "{\"type\":\"function_call_output\",\"call_id\":\"a\",\"output\":\"1\"},"
        "{\"role\":\"user\",\"content\":\"more\"}]}";
    struct arena a;
    struct slice dropped;
    arena_init(&a, NULL, (size_t)4 << 20);
    const struct chat_request *r = decode(&a, &dialect_responses, slice_str(body));
    assert_int_equal(r->message_count, 4);
    assert_int_equal(r->messages[1].part_count, 2);
    assert_int_equal(r->messages[2].role, CHAT_TOOL);
    assert_int_equal(r->messages[2].part_count, 2);
    struct slice chat = encode(&a, &dialect_openai, r, &dropped);
    assert_true(
        has(chat, "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"a\""));
    assert_true(has(chat, "{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":\"2\"},{\"role\":"
                          "\"tool\",\"tool_call_id\":\"a\",\"content\":\"1\"}"));
    struct slice claude = encode(&a, &dialect_anthropic, r, &dropped);
    assert_true(has(claude,
                    "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\""
                    ":\"b\",\"content\":\"2\"},{\"type\":\"tool_result\",\"tool_use_id\":"
                    "\"a\",\"content\":\"1\"},{\"type\":\"text\",\"text\":\"more\"}]}"));
    arena_deinit(&a);
}

/* "'reasoning' was provided without its required following item": recorded as a 400. */
static void a_thought_goes_back_with_what_follows_it_only(void **state)
{
    (void)state;
    struct arena a;
    struct slice dropped;
    arena_init(&a, NULL, (size_t)4 << 20);
    struct slice body = from(&a, &dialect_responses,
                             "{\"model\":\"m\",\"input\":[{\"type\":\"reasoning\",\"id\":\"rs_1\","
                             "\"summary\":[],\"encrypted_content\":\"ENC\"},{\"role\":\"user\","
                             "\"content\":\"q\"}]}",
                             &dropped);
    assert_false(has(body, "ENC"));
    assert_true(has(dropped, "thinking"));
    body =
        from(&a, &dialect_responses,
             "{\"model\":\"m\",\"input\":[{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],"
             "\"encrypted_content\":\"ENC\"},{\"role\":\"assistant\",\"content\":\"a\"}]}",
             &dropped);
    assert_true(has(body, "\"encrypted_content\":\"ENC\""));
    assert_false(has(body, "rs_1")); /* an id would be looked up where nothing is kept */
    assert_int_equal(dropped.len, 0);
    arena_deinit(&a);
}

/* Claude's thoughts come back through a client of ours to Claude, and to nobody else. */
static void a_proof_goes_to_its_maker_only(void **state)
{
    (void)state;
    static const char body[] =
        "{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":\"q\"},{\"type\":\"reasoning\","
        "\"summary\":[{\"type\":\"summary_text\",\"text\":\"hm\"}],\"encrypted_content\":"
        "\"anthropic:SIG\"},{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":"
        "\"data:anthropic:RED\"},{\"role\":\"assistant\",\"content\":\"a\"}]}";
    struct arena a;
    struct slice dropped;
    arena_init(&a, NULL, (size_t)4 << 20);
    const struct chat_request *r = decode(&a, &dialect_responses, slice_str(body));
    struct slice claude = encode(&a, &dialect_anthropic, r, &dropped);
    assert_true(has(claude, "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"SIG\"}"));
    assert_true(has(claude, "{\"type\":\"redacted_thinking\",\"data\":\"RED\"}"));
    struct slice ours = encode(&a, &dialect_responses, r, &dropped);
    assert_false(has(ours, "SIG") || has(ours, "RED"));
    assert_true(has(dropped, "thinking"));
    arena_deinit(&a);
}

static void what_cannot_be_read_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param;
    } cases[] = {
        {"{\"model\":\"m\",\"input\":[7]}", "input[0]"},
        {"{\"model\":\"m\",\"input\":[{\"role\":\"robot\",\"content\":\"x\"}]}", "input[0].role"},
        {"{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":7}]}", "input[0].content"},
        {"{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\"}]}]}",
         "input[0].content[0].image_url"},
        {"{\"model\":\"m\",\"input\":[{\"type\":\"function_call\"}]}", "input[0].name"},
        {"{\"model\":\"m\",\"input\":\"x\",\"tools\":[{\"type\":\"function\"}]}", "tools[0].name"},
        {"{\"model\":\"m\",\"input\":\"x\",\"instructions\":[]}", "instructions"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        request_undecodable(&dialect_responses, cases[i].body, cases[i].param, false);
    }
}

static void counting_asks_for_no_answer(void **state)
{
    (void)state;
    struct arena a;
    struct body_parts parts;
    arena_init(&a, NULL, (size_t)4 << 20);
    const struct chat_request *r = decode(&a, &dialect_responses, SLICE(EVERYTHING));
    struct encode_options o = asked;
    o.op = CHAT_OP_COUNT_TOKENS;
    assert_int_equal(dialect_responses.encode_request(&a, r, &o, &parts), OK);
    struct slice body = request_joined(&a, &parts);
    static const char *const none[] = {"max_output_tokens", "temperature", "store", "stream",
                                       "include",           "metadata"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        assert_false(has(body, arena_printf(&a, "\"%s\":", none[i]).ptr));
    }
    arena_deinit(&a);
}

static void a_provider_is_spoken_to_in_the_clients_words_where_it_can(void **state)
{
    (void)state;
    static const struct dialect *const both[] = {&dialect_openai, &dialect_responses};
    assert_ptr_equal(dialect_choose(&dialect_responses, CHAT_OP_CHAT, both, 2), &dialect_responses);
    assert_ptr_equal(dialect_choose(&dialect_responses, CHAT_OP_CHAT, both, 1), &dialect_openai);
    assert_ptr_equal(dialect_choose(&dialect_anthropic, CHAT_OP_CHAT, both, 2), &dialect_openai);
    assert_ptr_equal(dialect_choose(&dialect_anthropic, CHAT_OP_COUNT_TOKENS, both, 2),
                     &dialect_responses);
    static const struct dialect *const turned[] = {&dialect_responses, &dialect_openai};
    assert_ptr_equal(dialect_choose(&dialect_openai, CHAT_OP_EMBEDDING, both, 2), &dialect_openai);
    assert_ptr_equal(dialect_choose(&dialect_gemini, CHAT_OP_EMBEDDING, turned, 2),
                     &dialect_openai);
    assert_ptr_equal(dialect_choose(&dialect_gemini, CHAT_OP_CHAT, turned, 2), &dialect_responses);
    assert_ptr_equal(dialect_find(SLICE("responses")), &dialect_responses);
    assert_ptr_equal(dialect_of_record(RECORD_DIALECT_RESPONSES), &dialect_responses);
}

static void survives_any_lack_of_memory(void **state)
{
    (void)state;
    static const struct dialect *const to[] = {&dialect_responses, &dialect_openai,
                                               &dialect_anthropic};
    for (size_t i = 0; i < ARRAY_LEN(to); i++) {
        const struct request_meal m = {&dialect_responses, EVERYTHING, &asked, {to[i]}};
        fixture_starve(request_starved, &m, 200000, 512);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_decides),
        cmocka_unit_test(what_one_provider_keeps_pins_the_request),
        cmocka_unit_test(refuses_with_the_member_named),
        cmocka_unit_test(bytes_bound_what_they_can),
        cmocka_unit_test(forwards_every_byte_but_model_and_cap),
        cmocka_unit_test(decode_and_encode_keep_every_member),
        cmocka_unit_test(nothing_is_lost_in_silence),
        cmocka_unit_test(recorded_requests_come_through),
        cmocka_unit_test(chat_requests_become_ours),
        cmocka_unit_test(calls_side_by_side_are_one_turn),
        cmocka_unit_test(a_thought_goes_back_with_what_follows_it_only),
        cmocka_unit_test(a_proof_goes_to_its_maker_only),
        cmocka_unit_test(what_cannot_be_read_is_refused_with_its_place),
        cmocka_unit_test(counting_asks_for_no_answer),
        cmocka_unit_test(a_provider_is_spoken_to_in_the_clients_words_where_it_can),
        cmocka_unit_test(survives_any_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
