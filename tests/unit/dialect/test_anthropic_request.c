/* What the gateway reads from Messages requests, how it forwards them, and requests between
 * Anthropic's words and OpenAI's. */
#include "dump.h"
#include "request.h"

static const char *const dir = TEST_DATA_DIR "/anthropic";

/* Every member of today's models; the oldest have none of them. */
static const struct dialect_profile newest = {.refuses_sampling = true,
                                              .takes_xhigh = true,
                                              .takes_max = true,
                                              .takes_effort = true,
                                              .takes_adaptive_thinking = true,
                                              .refuses_thinking_budget = true,
                                              .refuses_prefill = true,
                                              .takes_output_format = true,
                                              .takes_system_turns = true};
static const struct dialect_profile middle = {.takes_xhigh = true,
                                              .takes_max = true,
                                              .takes_effort = true,
                                              .takes_adaptive_thinking = true,
                                              .takes_output_format = true};
static const struct dialect_profile oldest = {.takes_effort = false};

static enum err scan(struct arena *a, enum chat_operation op, const char *body,
                     struct chat_ask *ask, struct fault *fault)
{
    return dialect_anthropic.scan(a, op, slice_str(body), ask, fault);
}

#define M    "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define HEAD "{\"model\":\"m\",\"max_tokens\":50,"

static void reads_what_decides(void **state)
{
    (void)state;
    struct arena a;
    struct chat_ask k;
    struct fault f;
    arena_init(&a, NULL, (size_t)1 << 20);
    assert_int_equal(
        scan(&a, CHAT_OP_CHAT, "{\"model\":\"cl\\u0061ude\",\"max_tokens\":7," M "}", &k, &f), OK);
    assert_true(slice_eq(k.model, SLICE("claude")));
    assert_int_equal(k.output_max_tokens, 7);
    assert_int_equal(k.choices, 1);
    assert_false(k.is_stream || k.wants_usage || k.is_deterministic || k.is_uncacheable);
    assert_true(k.prompt_max_tokens >= (int64_t)k.body.len);
    assert_int_equal(scan(&a, CHAT_OP_CHAT,
                          HEAD "\"stream\":true,\"temperature\":0.0,\"metadata\":{\"user_id\":"
                               "\"u\\n\"}," M "}",
                          &k, &f),
                     OK);
    assert_true(k.is_stream && k.wants_usage && k.is_deterministic);
    assert_true(slice_eq(k.user, SLICE("u\n")));
    /* trap 9: 0 warms the cache */
    assert_int_equal(scan(&a, CHAT_OP_CHAT, "{\"model\":\"m\",\"max_tokens\":0," M "}", &k, &f),
                     OK);
    assert_int_equal(k.output_max_tokens, 0);
    assert_int_equal(
        scan(&a, CHAT_OP_COUNT_TOKENS, "{\"model\":\"m\",\"stream\":true," M "}", &k, &f), OK);
    assert_int_equal(k.output_max_tokens, 0);
    assert_false(k.is_stream);
    arena_deinit(&a);
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
        {HEAD M "} x", E_SYNTAX, ""},
        {"{\"max_tokens\":1," M "}", E_SYNTAX, "model"},
        {"{\"model\":7,\"max_tokens\":1," M "}", E_SYNTAX, "model"},
        {"{\"model\":\"\",\"max_tokens\":1," M "}", E_SYNTAX, "model"},
        {"{\"model\":\"m\"," M "}", E_SYNTAX, "max_tokens"},
        {"{\"model\":\"m\",\"max_tokens\":-1," M "}", E_SYNTAX, "max_tokens"},
        {"{\"model\":\"m\",\"max_tokens\":1.5," M "}", E_SYNTAX, "max_tokens"},
        {"{\"model\":\"m\",\"max_tokens\":\"1\"," M "}", E_SYNTAX, "max_tokens"},
        {"{\"model\":\"m\",\"max_tokens\":1}", E_SYNTAX, "messages"},
        {HEAD "\"messages\":[]}", E_SYNTAX, "messages"},
        {HEAD "\"messages\":\"x\"}", E_SYNTAX, "messages"},
        {HEAD "\"stream\":\"yes\"," M "}", E_SYNTAX, "stream"},
        {HEAD "\"metadata\":7," M "}", E_SYNTAX, "metadata"},
        {HEAD "\"metadata\":{\"user_id\":\"a\",\"user_id\":\"b\"}," M "}", E_SYNTAX, "metadata"},
        {HEAD "\"model\":\"x\"," M "}", E_DUPLICATE, "model"},
        {HEAD "\"mod\\u0065l\":\"x\"," M "}", E_DUPLICATE, "model"},
        {HEAD "\"Max_Tokens\":1," M "}", E_DUPLICATE, "max_tokens"},
        {HEAD "\"STREAM\":true," M "}", E_DUPLICATE, "stream"},
        {HEAD "\"System\":\"x\"," M "}", E_DUPLICATE, "system"},
        {HEAD M "," M "}", E_DUPLICATE, "messages"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        request_refused(&dialect_anthropic, CHAT_OP_CHAT, cases[i].body, cases[i].err,
                        cases[i].param);
    }
}

static void tells_when_bytes_do_not_bound_the_prompt(void **state)
{
    (void)state;
#define BLOCKS(blocks) HEAD "\"messages\":[{\"role\":\"user\",\"content\":[" blocks "]}]}"
#define TOOL(tool)     HEAD "\"tools\":[" tool "]," M "}"
#define SOURCE(source) "{\"type\":\"image\",\"source\":" source "}"
#define DOC(source)    "{\"type\":\"document\",\"source\":" source "}"
    static const struct {
        const char *body;
        bool is_bounded, is_uncacheable;
    } cases[] = {
        {BLOCKS("{\"type\":\"text\",\"text\":\"image\"}"), true, false},
        {BLOCKS(SOURCE("{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"AA\"}")), true,
         false},
        {BLOCKS(SOURCE("{\"type\":\"url\",\"url\":\"https://x\"}")), false, false},
        {BLOCKS(SOURCE("{\"type\":\"file\",\"file_id\":\"f\"}")), false, false},
        {BLOCKS("{\"Type\":\"text\",\"type\":\"image\",\"source\":{\"type\":\"base64\"}}"), false,
         false},
        {BLOCKS("{\"type\":\"text\",\"text\":\"\",\"source\":{\"type\":\"url\"}}"), false, false},
        {BLOCKS(DOC("{\"type\":\"base64\",\"media_type\":\"application/pdf\",\"data\":\"AA\"}")),
         false, false},
        {BLOCKS(DOC("{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"x\"}")), true,
         false},
        {BLOCKS(DOC("{\"type\":\"content\",\"content\":\"x\"}")), true, false},
        {BLOCKS(DOC("{\"type\":\"content\",\"content\":[" SOURCE(
             "{\"type\":\"url\",\"url\":\"https://x\"}") "]}")),
         false, false},
        {BLOCKS("{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":\"x\"}"), true, false},
        {BLOCKS("{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":[" SOURCE(
             "{\"type\":\"url\",\"url\":\"https://x\"}") "]}"),
         false, false},
        {BLOCKS("{\"type\":\"container_upload\",\"file_id\":\"f\"}"), false, false},
        {TOOL("{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}"), true, false},
        {TOOL("{\"type\":\"custom\",\"name\":\"f\",\"input_schema\":{}}"), true, false},
        {TOOL("{\"type\":\"bash_20250124\",\"name\":\"bash\"}"), true, false},
        {TOOL("{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}"), false, true},
        {TOOL("{\"type\":\"code_execution_20250522\",\"name\":\"c\"}"), false, true},
        {HEAD "\"mcp_servers\":[{}]," M "}", false, true},
        {HEAD "\"container\":\"c\"," M "}", false, true},
        {HEAD "\"container\":null," M "}", true, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        request_bounded(&dialect_anthropic, cases[i].body, cases[i].is_bounded,
                        cases[i].is_uncacheable);
    }
}

static void forwards_byte_for_byte_but_for_the_model(void **state)
{
    (void)state;
    static const struct {
        enum chat_operation op;
        const char *in, *model, *out;
    } cases[] = {
        {CHAT_OP_CHAT, " { \"model\" : \"m\", \"max_tokens\":1," M " } ", "m",
         " { \"model\" : \"m\", \"max_tokens\":1," M " } "},
        {CHAT_OP_CHAT, "{\"max_tokens\":1," M ",\"model\" : \"\\u006d\" }", "m",
         "{\"max_tokens\":1," M ",\"model\" : \"\\u006d\" }"},
        {CHAT_OP_CHAT, "{\"max_tokens\":1," M ",\"stream\":true,\"model\" : \"m\" }", "a\"b",
         "{\"max_tokens\":1," M ",\"stream\":true,\"model\" : \"a\\\"b\" }"},
        {CHAT_OP_COUNT_TOKENS, "{\"model\":\"m\"," M "}", "x", "{\"model\":\"x\"," M "}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct encode_options o = {.model = slice_str(cases[i].model),
                                         .profile = &newest,
                                         .output_cap_tokens = 5,
                                         .wants_usage = true};
        request_forwarded(&dialect_anthropic, cases[i].op, cases[i].in, o, cases[i].out, false);
    }
}

/* --- through the neutral form ------------------------------------------------------------------
 */

struct world {
    struct arena a;
    struct chat_ask ask;
    struct body_parts parts;
    struct slice body; /* as sent */
    yyjson_val *root;  /* by tree */
    enum err e;
};

static void encode(struct world *w, const struct dialect *to, const struct dialect_profile *profile)
{
    struct encode_options o = {.model = SLICE("out"),
                               .profile = profile,
                               .op = w->ask.op,
                               .output_cap_tokens = -1,
                               .output_model_tokens = 32000,
                               .is_stream = w->ask.is_stream,
                               .wants_usage = true};
    w->e = to->encode_request(&w->a, w->ask.neutral, &o, &w->parts);
    assert_int_equal(w->e, OK);
    w->body = request_joined(&w->a, &w->parts);
    if (json_parse(&w->a, w->body, &w->root, NULL)) {
        fail_msg("no JSON: %.*s", SLICE_ARG(w->body));
    }
}

/* body in one dialect, as another's request. */
static void translate(struct world *w, const struct dialect *from, const struct dialect *to,
                      const struct dialect_profile *profile, const char *body)
{
    struct fault f;
    *w = (struct world){.e = OK};
    arena_init(&w->a, NULL, (size_t)64 << 20);
    assert_int_equal(from->scan(&w->a, CHAT_OP_CHAT, slice_str(body), &w->ask, &f), OK);
    w->e = from->decode_request(&w->a, &w->ask, &f);
    if (w->e) {
        fail_msg("%.*s", SLICE_ARG(f.message));
    }
    encode(w, to, profile);
}

static void check_has(const struct world *w, const char *text)
{
    if (slice_search(w->body, slice_str(text)) == w->body.len) {
        fail_msg("%s\nis not in %.*s", text, SLICE_ARG(w->body));
    }
}

static void check_has_not(const struct world *w, const char *text)
{
    if (slice_search(w->body, slice_str(text)) < w->body.len) {
        fail_msg("%s\nis in %.*s", text, SLICE_ARG(w->body));
    }
}

static void check_dropped(const struct world *w, const char *names)
{
    if (!slice_eq(w->parts.dropped, slice_str(names))) {
        fail_msg("dropped: %.*s of %.*s", SLICE_ARG(w->parts.dropped), SLICE_ARG(w->ask.body));
    }
}

/* One case of a table: a body, what must be in the other's, what must not, what is dropped. */
struct table_case {
    const char *body, *has, *has_not, *dropped;
};

static void check_table(const struct dialect *from, const struct dialect *to,
                        const struct dialect_profile *profile, const struct table_case *cases,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct world w;
        translate(&w, from, to, profile, cases[i].body);
        if (cases[i].has) {
            check_has(&w, cases[i].has);
        }
        if (cases[i].has_not) {
            check_has_not(&w, cases[i].has_not);
        }
        check_dropped(&w, cases[i].dropped ? cases[i].dropped : "");
        arena_deinit(&w.a);
    }
}

/* decode, encode, decode: the neutral form is the same. */
static void check_identity(struct arena *a, const char *name, struct slice body,
                           const struct dialect_profile *profile)
{
    struct chat_ask ask, again;
    struct fault f;
    struct body_parts parts;
    assert_int_equal(dialect_anthropic.scan(a, CHAT_OP_CHAT, body, &ask, &f), OK);
    if (dialect_anthropic.decode_request(a, &ask, &f)) {
        fail_msg("%s: %.*s", name, SLICE_ARG(f.message));
    }
    struct encode_options o = {.model = ask.model,
                               .profile = profile,
                               .output_cap_tokens = -1,
                               .is_stream = ask.is_stream};
    assert_int_equal(dialect_anthropic.encode_request(a, ask.neutral, &o, &parts), OK);
    assert_int_equal(parts.dropped.len, 0);
    struct slice out = request_joined(a, &parts);
    assert_int_equal(dialect_anthropic.scan(a, CHAT_OP_CHAT, out, &again, &f), OK);
    assert_int_equal(dialect_anthropic.decode_request(a, &again, &f), OK);
    struct slice one = dump_request(a, ask.neutral), two = dump_request(a, again.neutral);
    if (!slice_eq(one, two)) {
        fail_msg("%s:\n%.*s\n%.*s", name, SLICE_ARG(one), SLICE_ARG(two));
    }
}

static void identity_fixture(struct arena *a, const char *name, struct slice bytes)
{
    static const struct dialect_profile all = {.takes_xhigh = true,
                                               .takes_max = true,
                                               .takes_effort = true,
                                               .takes_adaptive_thinking = true,
                                               .takes_output_format = true,
                                               .takes_system_turns = true};
    yyjson_val *root;
    assert_int_equal(json_parse(a, bytes, &root, NULL), OK);
    yyjson_val *body = json_get(json_get(root, "request"), "body");
    if (!body || strstr(name, "count-tokens")) {
        return;
    }
    yyjson_val *temperature = json_get(body, "temperature");
    if (temperature && json_get(body, "thinking")) {
        check_identity(a, name, json_text(a, body),
                       &all); /* 1 is the only one that thinking takes */
    }
    check_identity(a, name, json_text(a, body), &all);
    /* and as OpenAI's: valid, and it reads the same model and bounds */
    struct chat_ask ask, other;
    struct fault f;
    struct body_parts parts;
    assert_int_equal(dialect_anthropic.scan(a, CHAT_OP_CHAT, json_text(a, body), &ask, &f), OK);
    assert_int_equal(dialect_anthropic.decode_request(a, &ask, &f), OK);
    struct encode_options o = {.model = ask.model, .profile = &oldest, .output_cap_tokens = -1};
    assert_int_equal(dialect_openai.encode_request(a, ask.neutral, &o, &parts), OK);
    assert_int_equal(dialect_openai.scan(a, CHAT_OP_CHAT, request_joined(a, &parts), &other, &f),
                     OK);
    assert_int_equal(dialect_openai.decode_request(a, &other, &f), OK);
    assert_int_equal(other.output_max_tokens, ask.output_max_tokens);
}

static void recorded_requests_survive_the_neutral_form(void **state)
{
    (void)state;
    assert_true(fixture_each_in(dir, ".json", identity_fixture) >= 18);
}

static const char everything[] =
    "{\"model\":\"m\",\"max_tokens\":4000,\"stream\":true,\"system\":[{\"type\":\"text\",\"text\":"
    "\"sys\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}},{\"type\":\"text\","
    "\"text\":\"two\"}],\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
    "\"a\\nb\",\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"image\",\"source\":{\"type\":"
    "\"base64\",\"media_type\":\"image/png\",\"data\":\"iVBO\"},\"transformations\":{\"oversized_"
    "image\":\"downsize\"}},{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x\"}}"
    ",{\"type\":\"image\",\"source\":{\"type\":\"file\",\"file_id\":\"file_1\"}},{\"type\":"
    "\"document\",\"source\":{\"type\":\"base64\",\"media_type\":\"application/pdf\",\"data\":"
    "\"JVBE\"},\"title\":\"T\",\"context\":\"C\",\"citations\":{\"enabled\":true}},{\"type\":"
    "\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"plain\"}},"
    "{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[{\"type\":\"text\","
    "\"text\":\"in\"}]}},{\"type\":\"search_result\",\"source\":\"s\",\"title\":\"t\",\"content\":"
    "[{\"type\":\"text\",\"text\":\"r\"}]}]},{\"role\":\"assistant\",\"content\":[{\"type\":"
    "\"thinking\",\"thinking\":\"hm\",\"signature\":\"SIG\"},{\"type\":\"redacted_thinking\","
    "\"data\":\"RED\"},{\"type\":\"server_tool_use\",\"id\":\"srv\",\"name\":\"web_search\","
    "\"input\":{\"q\":1}},{\"type\":\"text\",\"text\":\"x\",\"citations\":[{\"type\":\"char_"
    "location\"}]},{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{\"b\":1,"
    "\"a\":2},\"caller\":{\"type\":\"direct\"}},{\"type\":\"tool_use\",\"id\":\"toolu_2\",\"name\":"
    "\"g\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_"
    "id\":\"toolu_1\",\"content\":[{\"type\":\"text\",\"text\":\"r1\"},{\"type\":\"image\","
    "\"source\":{\"type\":\"base64\",\"media_type\":\"image/gif\",\"data\":\"R0lG\"}}],\"cache_"
    "control\":{\"type\":\"ephemeral\"}},{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_2\","
    "\"content\":\"bad\",\"is_error\":true},{\"type\":\"text\",\"text\":\"go on\"}]}],\"tools\":[{"
    "\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\",\"properties\":{},"
    "\"additionalProperties\":false},\"strict\":true,\"defer_loading\":true,\"cache_control\":{"
    "\"type\":\"ephemeral\"}},{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}],\"tool_"
    "choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true},\"stop_sequences\":[\"a\",\"b\""
    "],\"temperature\":1.0,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000,\"display\":"
    "\"summarized\"},\"metadata\":{\"user_id\":\"user-1\"},\"service_tier\":\"auto\",\"output_"
    "config\":{\"effort\":\"max\",\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":"
    "\"object\"}}},\"context_management\":{\"edits\":[]},\"cache_control\":{\"type\":\"ephemeral\"}}";

static void every_block_and_member_survives_the_neutral_form(void **state)
{
    (void)state;
    struct arena a;
    struct world w;
    yyjson_val *before;
    arena_init(&a, NULL, (size_t)4 << 20);
    check_identity(&a, "everything", slice_str(everything), &middle);
    translate(&w, &dialect_anthropic, &dialect_anthropic, &middle, everything);
    check_dropped(&w, "");
    /* as JSON it is the same request, but for the model's name */
    assert_int_equal(json_parse(&a, slice_str(everything), &before, NULL), OK);
    yyjson_val *key, *v;
    size_t i, max;
    yyjson_obj_foreach(before, i, max, key, v)
    {
        yyjson_val *after = json_get(w.root, yyjson_get_str(key));
        if (!yyjson_equals_str(key, "model") && !(after && yyjson_equals(v, after))) {
            fail_msg("%s: %.*s", yyjson_get_str(key), SLICE_ARG(w.body));
        }
    }
    assert_int_equal(yyjson_obj_size(before), yyjson_obj_size(w.root));
    arena_deinit(&w.a);
    arena_deinit(&a);
}

/* Nothing is lost in silence on the way to OpenAI. */
static void what_openai_cannot_say_is_named(void **state)
{
    (void)state;
    struct world w;
    translate(&w, &dialect_anthropic, &dialect_openai, &oldest, everything);
    check_dropped(&w, "context_management,cache_control,transformations,image.file_id,context,"
                      "citations,search_result,thinking,server_tool_use,caller,defer_loading,"
                      "web_search,thinking.display");
    check_has(&w, "{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"sys\"},"
                  "{\"type\":\"text\",\"text\":\"two\"}]}");
    check_has(&w, "\"image_url\":{\"url\":\"data:image/png;base64,iVBO\"}");
    check_has(&w,
              "{\"type\":\"file\",\"file\":{\"filename\":\"T\",\"file_data\":\"data:application/"
              "pdf;base64,JVBE\"}}");
    check_has(&w, "{\"type\":\"text\",\"text\":\"plain\"},{\"type\":\"text\",\"text\":\"in\"}");
    check_has(&w, "\"arguments\":\"{\\\"b\\\":1,\\\"a\\\":2}\"");
    /* both results follow the calls at once, then what they showed, then the user's words */
    check_has(&w,
              "{\"role\":\"tool\",\"tool_call_id\":\"toolu_1\",\"content\":\"r1\\n[image "
              "attached]\"},{\"role\":\"tool\",\"tool_call_id\":\"toolu_2\",\"content\":\"Error: "
              "bad\"},{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{"
              "\"url\":\"data:image/gif;base64,R0lG\"}}]},{\"role\":\"user\",\"content\":\"go "
              "on\"}]");
    check_has(&w, "\"tool_choice\":\"auto\",\"parallel_tool_calls\":false");
    check_has(&w, "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
                  "\"response\",\"schema\":{\"type\":\"object\"},\"strict\":true}}");
    check_has(&w, "\"max_tokens\":4000");
    check_has(&w, "\"stop\":[\"a\",\"b\"]");
    check_has(&w, "\"reasoning_effort\":\"high\"");
    check_has(&w, "\"user\":\"user-1\"");
    check_has(&w, "\"stream_options\":{\"include_usage\":true}");
    assert_false(w.parts.adds_usage); /* an Anthropic stream always tells it */
    arena_deinit(&w.a);
    static const struct dialect_profile caching = {.takes_cache_control = true};
    translate(&w, &dialect_anthropic, &dialect_openai, &caching, everything);
    check_has(&w, "\"text\":\"sys\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}");
    arena_deinit(&w.a);
    static const struct dialect_profile breaking = {.takes_cache_breakpoint = true};
    translate(&w, &dialect_anthropic, &dialect_openai, &breaking, everything);
    check_has(&w, "\"text\":\"sys\",\"prompt_cache_breakpoint\":{\"mode\":\"explicit\",\"ttl\":"
                  "\"12h\"}");
    arena_deinit(&w.a);
}

static void members_reach_openai(void **state)
{
    (void)state;
    static const struct table_case cases[] = {
        {HEAD "\"tool_choice\":{\"type\":\"any\"},\"tools\":[{\"name\":\"f\"}]," M "}",
         "\"tool_choice\":\"required\"", NULL, NULL},
        {HEAD "\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"},\"tools\":[{\"name\":\"f\"}]," M
              "}",
         "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}", NULL, NULL},
        {HEAD "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}," M "}",
         "\"reasoning_effort\":\"low\"", NULL, NULL},
        {HEAD "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":4096}," M "}",
         "\"reasoning_effort\":\"medium\"", NULL, NULL},
        {HEAD "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":30000}," M "}",
         "\"reasoning_effort\":\"high\"", NULL, NULL},
        {HEAD "\"thinking\":{\"type\":\"disabled\"}," M "}", NULL, "reasoning_effort", NULL},
        {HEAD "\"thinking\":{\"type\":\"between_tools\"}," M "}", NULL, "thinking",
         "thinking.type"},
        {HEAD "\"output_format\":{\"type\":\"json_schema\",\"schema\":{\"a\":1}}," M "}",
         "\"schema\":{\"a\":1}", NULL, NULL},
        {HEAD "\"top_k\":5,\"top_p\":0.5," M "}", "\"top_p\":0.5", "top_k", "top_k"},
        {HEAD "\"stop_sequences\":[\"1\",\"2\",\"3\",\"4\",\"5\"]," M "}",
         "\"stop\":[\"1\",\"2\",\"3\",\"4\"]", NULL, "stop"},
        {"{\"model\":\"m\",\"max_tokens\":0," M "}", "\"max_tokens\":1", NULL, NULL},
        {HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":{"
              "\"type\":\"url\",\"url\":\"https://x\"}},{\"type\":\"text\",\"text\":\"t\"}]}]}",
         "\"content\":\"t\"", NULL, "document.url"},
        /* a user's answer that names the assistant's thought alone is no turn */
        {HEAD "\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
              "\"thinking\":\"t\",\"signature\":\"s\"}]},{\"role\":\"user\",\"content\":\"x\"}]}",
         "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]", NULL, "thinking"},
    };
    check_table(&dialect_anthropic, &dialect_openai, &oldest, cases, ARRAY_LEN(cases));
    /* litellm#37508: Claude Code's user ids are longer than OpenAI takes */
    struct world w;
    translate(&w, &dialect_anthropic, &dialect_openai, &oldest,
              HEAD "\"metadata\":{\"user_id\":"
                   "\"user_0123456789012345678901234567890123456789012345678901234567890123_"
                   "account__session_01234567-0123-0123-0123-0123456789ab_0123456789012345678901"
                   "\"}," M "}");
    assert_int_equal(json_get_string(w.root, "user").len, 64);
    arena_deinit(&w.a);
}

/* --- OpenAI's requests as Anthropic's ----------------------------------------------------------
 */

#define OHEAD          "{\"model\":\"m\","
#define OM             "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define MSGS(messages) OHEAD "\"messages\":[" messages "]}"
#define USER           "{\"role\":\"user\",\"content\":\"hi\"}"
#define AUSER          "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}"
#define CALL(id, args)                                                       \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"" id \
    "\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"" args "\"}}]}"
#define RESULT(id, text) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"" text "\"}"

static void messages_become_turns(void **state)
{
    (void)state;
    static const struct table_case cases[] = {
        /* system and developer are hoisted, in order, empty ones left out */
        {MSGS(
             "{\"role\":\"system\",\"content\":\"a\"},{\"role\":\"developer\",\"content\":\"\"}," USER
             ",{\"role\":\"system\",\"content\":\"b\"}"),
         "\"system\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}],"
         "\"messages\":[" AUSER "]",
         NULL, NULL},
        /* nothing but system: it is what the user says */
        {MSGS("{\"role\":\"system\",\"content\":\"a\"}"),
         "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}]",
         "system", NULL},
        /* blank texts are refused there */
        {MSGS("{\"role\":\"user\",\"content\":\" \\n\"}"),
         "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\".\"}]}]",
         NULL, NULL},
        {MSGS("{\"role\":\"assistant\",\"content\":\"x\"}," USER),
         "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\".\"}]},"
         "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}," AUSER "]",
         NULL, NULL},
        /* neighbours of one role are one turn; a prefill ends in no white space */
        {MSGS(USER "," USER ",{\"role\":\"assistant\",\"content\":\"x \\n\"}"),
         "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"},{"
         "\"type\":\"text\",\"text\":\"hi\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":"
         "\"text\",\"text\":\"x\"}]}]",
         NULL, NULL},
        /* trap 8, Portkey and Envoy: all results in one turn, first, with what the user says */
        {MSGS(USER "," CALL("a", "{}") "," USER "," RESULT("a", "1") "," RESULT("b", "")),
         "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"a\","
         "\"content\":\"1\"},{\"type\":\"tool_result\",\"tool_use_id\":\"b\"},{\"type\":\"text\","
         "\"text\":\"hi\"}]}",
         NULL, NULL},
        /* arguments: kept as spelled; none are {}; what is no object is kept as text */
        {MSGS(USER "," CALL("a", "{\\\"z\\\": 1, \\\"a\\\":2}")), "\"input\":{\"z\": 1, \"a\":2}",
         NULL, NULL},
        {MSGS(USER "," CALL("a", "")), "\"input\":{}", NULL, NULL},
        {MSGS(USER "," CALL("a", "[1]")), "\"input\":{\"_raw\":\"[1]\"}", NULL, NULL},
        {MSGS(USER "," CALL("a", "{\\\"cut")), "\"input\":{\"_raw\":\"{\\\"cut\"}", NULL, NULL},
        /* the history has calls and no tool is told: the API refuses that */
        {MSGS(USER "," CALL("a", "{}") "," RESULT("a", "1")),
         "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}],"
         "\"tool_choice\":{\"type\":\"none\"}",
         NULL, NULL},
        /* media: parameters before the base64 mark (Portkey), jpg, what the API does not take */
        {MSGS("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
              "\"data:image/jpg;charset=x;base64,AA\"}}]}"),
         "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/jpeg\","
         "\"data\":\"AA\"}}",
         NULL, NULL},
        {MSGS(
             "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":\"https://x\"},"
             "{\"type\":\"image_url\",\"image_url\":\"data:image/bmp;base64,AA\"},{\"type\":\"input_"
             "audio\",\"input_audio\":{\"data\":\"AA\",\"format\":\"wav\"}},{\"type\":\"file\","
             "\"file\":{\"file_id\":\"f\"}},{\"type\":\"file\",\"file\":{\"filename\":\"n.pdf\","
             "\"file_data\":\"data:application/pdf;base64,JV\"}}]}"),
         "[{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x\"}},{\"type\":"
         "\"document\",\"source\":{\"type\":\"base64\",\"media_type\":\"application/pdf\",\"data\":"
         "\"JV\"},\"title\":\"n.pdf\"}]",
         NULL, "image.media_type,input_audio,file"},
        /* markers stay where they were; five are one too many */
        {MSGS(
             "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"1\",\"cache_control\":{"
             "\"type\":\"ephemeral\"}},{\"type\":\"text\",\"text\":\"2\",\"prompt_cache_"
             "breakpoint\":{\"mode\":\"explicit\",\"ttl\":\"12h\"}},{\"type\":\"text\",\"text\":"
             "\"3\",\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"text\",\"text\":\"4\","
             "\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"text\",\"text\":\"5\",\"cache_"
             "control\":{\"type\":\"ephemeral\"}}]}"),
         "\"text\":\"2\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}", NULL,
         "cache_control"},
    };
    check_table(&dialect_openai, &dialect_anthropic, &oldest, cases, ARRAY_LEN(cases));
}

/* Trap 8: ids are made fit by one function on both sides, and stay apart. */
static void ids_are_made_fit_alike(void **state)
{
    (void)state;
    struct world w;
    translate(&w, &dialect_openai, &dialect_anthropic, &oldest,
              MSGS(USER ",{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a.b\",\"function\":{"
                        "\"name\":\"f\"}},{\"id\":\"a:b\",\"function\":{\"name\":\"g\"}}]}," RESULT(
                            "a:b", "2") "," RESULT("a.b", "1")));
    yyjson_val *messages = json_get(w.root, "messages");
    yyjson_val *calls = json_get(yyjson_arr_get(messages, 1), "content");
    yyjson_val *results = json_get(yyjson_arr_get(messages, 2), "content");
    struct slice one = json_get_string(yyjson_arr_get(calls, 0), "id");
    struct slice two = json_get_string(yyjson_arr_get(calls, 1), "id");
    assert_false(slice_eq(one, two));
    assert_true(slice_starts(one, SLICE("a_b_")) && slice_starts(two, SLICE("a_b_")));
    assert_true(slice_eq(json_get_string(yyjson_arr_get(results, 0), "tool_use_id"), two));
    assert_true(slice_eq(json_get_string(yyjson_arr_get(results, 1), "tool_use_id"), one));
    arena_deinit(&w.a);
    /* no ids at all: role function, and servers that give none */
    translate(&w, &dialect_openai, &dialect_anthropic, &oldest,
              MSGS(USER
                   ",{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\"}},{"
                   "\"function\":{\"name\":\"g\"}}]},{\"role\":\"function\",\"name\":\"g\","
                   "\"content\":\"2\"},{\"role\":\"function\",\"name\":\"f\",\"content\":\"1\"}"));
    messages = json_get(w.root, "messages");
    calls = json_get(yyjson_arr_get(messages, 1), "content");
    results = json_get(yyjson_arr_get(messages, 2), "content");
    assert_true(slice_eq(json_get_string(yyjson_arr_get(calls, 1), "id"),
                         json_get_string(yyjson_arr_get(results, 0), "tool_use_id")));
    assert_true(slice_eq(json_get_string(yyjson_arr_get(calls, 0), "id"),
                         json_get_string(yyjson_arr_get(results, 1), "tool_use_id")));
    arena_deinit(&w.a);
}

/* Trap 11, and opencode-antigravity-auth#70: no signature of another's, none without. */
static void only_its_own_thoughts_go_to_anthropic_antigravity_70(void **state)
{
    (void)state;
#define PIECE(index, members)                                   \
    "{\"type\":\"reasoning.text\"," members ",\"index\":" index \
    ",\"format\":\"anthropic-claude-v1\"}"
#define THOUGHT(members) MSGS(USER ",{\"role\":\"assistant\",\"content\":\"x\"," members "}," USER)
    static const struct table_case cases[] = {
        {THOUGHT("\"reasoning_content\":\"hm\""), NULL, "thinking", "thinking"},
        {THOUGHT("\"reasoning_content\":\"hm\",\"reasoning_details\":[{\"type\":\"reasoning.text\","
                 "\"text\":\"hm\",\"signature\":\"SIG\",\"format\":\"anthropic-claude-v1\"},{"
                 "\"type\":\"reasoning.encrypted\",\"data\":\"RED\",\"format\":\"anthropic-claude-"
                 "v1\"}]"),
         "\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"SIG\"},{\"type\":"
         "\"redacted_thinking\",\"data\":\"RED\"},{\"type\":\"text\",\"text\":\"x\"}]",
         NULL, NULL},
        {THOUGHT(
             "\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"hm\",\"signature\":"
             "\"SIG\",\"format\":\"google-gemini-v1\"}]"),
         NULL, "SIG", "thinking"},
        /* a client that strings the deltas together sends a thought in pieces, signed by the last
         */
        {THOUGHT("\"reasoning_details\":[" PIECE("0", "\"text\":\"h\"") "," PIECE("0", "\"text\":\"m\"") "," PIECE(
             "0",
             "\"text\":\"\",\"signature\":\"SIG\"") "," PIECE("1",
                                                              "\"text\":\"oh\",\"signature\":\"SIG2\"") "," PIECE("2",
                                                                                                                  "\"text\":\"no\"") "]"),
         "\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"SIG\"},{\"type\":"
         "\"thinking\",\"thinking\":\"oh\",\"signature\":\"SIG2\"},{\"type\":\"text\"",
         "\"no\"", NULL},
        {THOUGHT("\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":"
                 "\"SIG\"}]"),
         "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"SIG\"}", NULL, NULL},
        {THOUGHT("\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":"
                 "\"\"}]"),
         NULL, "signature", NULL},
    };
    check_table(&dialect_openai, &dialect_anthropic, &oldest, cases, ARRAY_LEN(cases));
    /* what another's model thought was shown to Anthropic's client under its maker's name */
    static const struct table_case own[] = {
        {HEAD "\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
              "\"thinking\":\"hm\",\"signature\":\"gemini:SIG\"},{\"type\":\"thinking\","
              "\"thinking\":\"oh\",\"signature\":\"\"},{\"type\":\"text\",\"text\":\"x\"}]}," USER
              "]}",
         NULL, "SIG", "thinking"},
    };
    check_table(&dialect_anthropic, &dialect_anthropic, &oldest, own, ARRAY_LEN(own));
}

static void tools_and_choices_reach_anthropic(void **state)
{
    (void)state;
#define F "{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"
    static const struct table_case cases[] = {
        /* no parameters (Envoy left the schema out), keywords beside properties (Portkey) */
        {OHEAD "\"tools\":[" F "]," OM "}",
         "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}],",
         "tool_choice", NULL},
        {OHEAD "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{"
               "\"additionalProperties\":false,\"$defs\":{}}}}]," OM "}",
         "\"input_schema\":{\"type\":\"object\",\"additionalProperties\":false,\"$defs\":{}}", NULL,
         NULL},
        {OHEAD "\"tools\":[" F "],\"tool_choice\":\"required\"," OM "}",
         "\"tool_choice\":{\"type\":\"any\"}", NULL, NULL},
        {OHEAD "\"tools\":[" F "],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
               "\"f\"}}," OM "}",
         "\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}", NULL, NULL},
        /* Envoy lost the flag where no choice was given */
        {OHEAD "\"tools\":[" F "],\"parallel_tool_calls\":false," OM "}",
         "\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}", NULL, NULL},
        {OHEAD "\"tools\":[" F "],\"parallel_tool_calls\":false,\"tool_choice\":\"none\"," OM "}",
         "\"tool_choice\":{\"type\":\"none\"}", "disable_parallel", NULL},
        {OHEAD "\"tool_choice\":\"auto\"," OM "}", NULL, "tool_choice", NULL},
        {OHEAD "\"tools\":[{\"type\":\"web_search\"},{\"type\":\"custom\",\"custom\":{\"name\":"
               "\"c\"}}," F "]," OM "}",
         "\"tools\":[{\"name\":\"f\"", "custom", "tools,c"},
        {OHEAD "\"tools\":[" F ",{\"type\":\"function\",\"function\":{\"name\":\"g\"}}],\"tool_"
               "choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"required\","
               "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]}}," OM "}",
         "\"tools\":[{\"name\":\"g\"", "\"name\":\"f\"", NULL},
        /* a schema for the answer where the model has no format: a tool, and it is called */
        {OHEAD "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
               "\"schema\":{\"type\":\"object\"}}}," OM "}",
         "\"input_schema\":{\"type\":\"object\"}}],\"tool_choice\":{\"type\":\"tool\",\"name\":"
         "\"llm_gateway_json_answer\"}",
         NULL, NULL},
        {OHEAD "\"tools\":[" F "],\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"
               "\"name\":\"n\",\"schema\":{\"type\":\"object\"}}}," OM "}",
         "\"tool_choice\":{\"type\":\"any\"}", NULL, NULL},
        {OHEAD "\"response_format\":{\"type\":\"json_object\"}," OM "}",
         "\"system\":[{\"type\":\"text\",\"text\":\"Answer with one valid JSON object", NULL, NULL},
    };
    check_table(&dialect_openai, &dialect_anthropic, &oldest, cases, ARRAY_LEN(cases));
    static const struct table_case native[] = {
        {OHEAD "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
               "\"schema\":{\"type\":\"object\"}}},\"reasoning_effort\":\"minimal\"," OM "}",
         "\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"},\"output_config\":{"
         "\"effort\":\"low\",\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}}",
         "tools", NULL},
    };
    check_table(&dialect_openai, &dialect_anthropic, &middle, native, ARRAY_LEN(native));
}

/* Trap 9: max_tokens is there, a budget is at least 1024 and below it; trap 10: no forced call
 * where the model thinks. LiteLLM's minimal of 128 was refused. */
static void thinking_fits_its_bounds(void **state)
{
    (void)state;
    static const struct table_case old[] = {
        {OHEAD OM "}", "\"max_tokens\":32000", "thinking", NULL},
        {OHEAD "\"reasoning_effort\":\"minimal\"," OM "}",
         "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}", NULL, NULL},
        {OHEAD "\"reasoning_effort\":\"high\",\"max_tokens\":2000," OM "}",
         "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1999}", NULL, NULL},
        {OHEAD "\"reasoning_effort\":\"high\",\"max_tokens\":1024," OM "}", NULL, "budget_tokens",
         "thinking,reasoning_effort"},
        {OHEAD "\"reasoning_effort\":\"none\"," OM "}", "\"thinking\":{\"type\":\"disabled\"}",
         NULL, NULL},
        {OHEAD "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":100}," OM "}",
         "\"budget_tokens\":1024", NULL, NULL},
        {OHEAD "\"reasoning\":{\"max_tokens\":3000}," OM "}", "\"budget_tokens\":3000", NULL, NULL},
        {OHEAD "\"reasoning_effort\":\"low\",\"temperature\":0.5,\"top_p\":0.9,\"top_k\":3," OM "}",
         "\"budget_tokens\":1024", "temperature", "temperature,top_p,top_k"},
        {OHEAD "\"reasoning_effort\":\"low\",\"temperature\":1,\"top_p\":0.95," OM "}",
         "\"temperature\":1,\"top_p\":0.95", NULL, NULL},
        {OHEAD "\"reasoning_effort\":\"low\",\"tools\":[" F "],\"tool_choice\":\"required\"," OM
               "}",
         "\"tool_choice\":{\"type\":\"auto\"}", NULL, "tool_choice"},
    };
    check_table(&dialect_openai, &dialect_anthropic, &oldest, old, ARRAY_LEN(old));
    static const struct table_case new[] = {
        {OHEAD "\"reasoning_effort\":\"max\"," OM "}", "\"output_config\":{\"effort\":\"max\"}",
         NULL, NULL},
        {OHEAD "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":9000}," OM "}",
         "\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"high\"}",
         "budget_tokens", NULL},
        {OHEAD "\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"{\"}]}", NULL,
         "assistant", "prefill"},
        {MSGS(USER ",{\"role\":\"system\",\"content\":\"b\"}"),
         "\"messages\":[" AUSER ",{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":"
         "\"b\"}]}]",
         "\"system\":[", NULL},
    };
    check_table(&dialect_openai, &dialect_anthropic, &newest, new, ARRAY_LEN(new));
    /* an effort without a thinking of its own is about the answer and starts none */
    struct world w;
    translate(&w, &dialect_anthropic, &dialect_anthropic, &middle,
              HEAD "\"output_config\":{\"effort\":\"low\"}," M "}");
    check_has(&w, "\"output_config\":{\"effort\":\"low\"}");
    check_has_not(&w, "thinking");
    arena_deinit(&w.a);
}

/* Trap 1, and the ranges. */
static void sampling_fits_its_ranges(void **state)
{
    (void)state;
    static const struct table_case old[] = {
        {OHEAD "\"temperature\":0.30," OM "}", "\"temperature\":0.30", NULL, NULL},
        {OHEAD "\"temperature\":1.7," OM "}", "\"temperature\":1}", NULL, "temperature"},
        {OHEAD
         "\"seed\":1,\"n\":2,\"frequency_penalty\":0.1,\"presence_penalty\":0,\"logit_bias\":{"
         "},\"metadata\":{\"k\":\"v\"}," OM "}",
         NULL, "\"seed\"", "logit_bias,seed,n,frequency_penalty,metadata"},
        {OHEAD "\"stop\":\"END\"," OM "}", "\"stop_sequences\":[\"END\"]", NULL, NULL},
        {OHEAD "\"stop\":[\"\\n\",\"x\"]," OM "}", "\"stop_sequences\":[\"x\"]", NULL, "stop"},
        {OHEAD "\"user\":\"ann\"," OM "}", "\"metadata\":{\"user_id\":\"ann\"}", NULL, NULL},
        {OHEAD "\"user\":\"ann@example.com\"," OM "}", NULL, "metadata", "user"},
        {OHEAD "\"user\":\"+49 170 1234567\"," OM "}", NULL, "metadata", "user"},
        {OHEAD "\"service_tier\":\"default\"," OM "}", "\"service_tier\":\"standard_only\"", NULL,
         NULL},
        {OHEAD "\"service_tier\":\"flex\"," OM "}", NULL, "tier", "service_tier"},
    };
    check_table(&dialect_openai, &dialect_anthropic, &oldest, old, ARRAY_LEN(old));
    static const struct table_case new[] = {
        {OHEAD "\"temperature\":0.3,\"top_p\":0.5,\"top_k\":1," OM "}", NULL, "temperature",
         "temperature,top_p,top_k"},
        {OHEAD "\"temperature\":1.0,\"top_p\":1," OM "}", NULL, "temperature", NULL},
    };
    check_table(&dialect_openai, &dialect_anthropic, &newest, new, ARRAY_LEN(new));
    static const struct dialect_profile either = {.refuses_both_sampling = true};
    static const struct table_case both[] = {
        {OHEAD "\"temperature\":0.3,\"top_p\":0.5," OM "}", "\"temperature\":0.3", "\"top_p\"",
         "top_p"},
        {OHEAD "\"top_p\":0.5," OM "}", "\"top_p\":0.5", NULL, NULL},
    };
    check_table(&dialect_openai, &dialect_anthropic, &either, both, ARRAY_LEN(both));
    /* the own dialect's default temperature goes without a word where it cannot */
    struct world w;
    translate(&w, &dialect_own, &dialect_anthropic, &newest, "{\"model\":\"m\"," OM "}");
    check_has(&w, "\"max_tokens\":1000");
    check_dropped(&w, "");
    arena_deinit(&w.a);
    translate(&w, &dialect_own, &dialect_anthropic, &oldest, "{\"model\":\"m\"," OM "}");
    check_has(&w, "\"temperature\":0.7");
    arena_deinit(&w.a);
}

static void a_count_asks_for_nothing_but_the_count(void **state)
{
    (void)state;
    struct world w;
    struct fault f;
    w = (struct world){.e = OK};
    arena_init(&w.a, NULL, (size_t)4 << 20);
    assert_int_equal(
        dialect_anthropic.scan(&w.a, CHAT_OP_COUNT_TOKENS, slice_str(everything), &w.ask, &f), OK);
    assert_int_equal(dialect_anthropic.decode_request(&w.a, &w.ask, &f), OK);
    encode(&w, &dialect_anthropic, &middle);
    static const char *const absent[] = {"max_tokens",     "stream",       "metadata",
                                         "stop_sequences", "service_tier", "temperature"};
    for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
        assert_null(json_get(w.root, absent[i]));
    }
    assert_non_null(json_get(w.root, "thinking"));
    assert_non_null(json_get(w.root, "system"));
    assert_non_null(json_get(w.root, "tools"));
    arena_deinit(&w.a);
}

static void bad_messages_are_named_by_their_place(void **state)
{
    (void)state;
#define BLOCK(role, block) "[{\"role\":\"" role "\",\"content\":[" block "]}]"
    static const struct {
        const char *messages, *param;
    } cases[] = {
        {"[1]", "messages.0"},
        {"[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"king\",\"content\":\"\"}]",
         "messages.1.role"},
        {"[{\"role\":\"user\"}]", "messages.0.content"},
        {"[{\"role\":\"user\",\"content\":7}]", "messages.0.content"},
        {BLOCK("user", "7"), "messages.0.content.0"},
        {BLOCK("user", "{\"type\":\"text\"}"), "messages.0.content.0.text"},
        {BLOCK("user", "{\"text\":\"x\"}"), "messages.0.content.0.type"},
        {BLOCK("user", "{\"type\":\"image\"}"), "messages.0.content.0.source.type"},
        {BLOCK("user", "{\"type\":\"image\",\"source\":{\"type\":\"base64\"}}"),
         "messages.0.content.0.source.data"},
        {BLOCK("user", "{\"type\":\"tool_use\",\"name\":\"f\"}"), "messages.0.content.0.type"},
        {BLOCK("user", "{\"type\":\"tool_result\"}"), "messages.0.content.0.tool_use_id"},
        {BLOCK("assistant", "{\"type\":\"tool_result\",\"tool_use_id\":\"t\"}"),
         "messages.0.content.0.type"},
        {BLOCK("assistant", "{\"type\":\"tool_use\",\"id\":\"t\"}"), "messages.0.content.0.name"},
        {BLOCK("user", "{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":[{\"type\":"
                       "\"tool_result\",\"tool_use_id\":\"t\"}]}"),
         "messages.0.content.0.content.0.type"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char body[512];
        (void)snprintf(body, sizeof(body), HEAD "\"messages\":%s}", cases[i].messages);
        request_undecodable(&dialect_anthropic, body, cases[i].param, true);
    }
}

static void survives_any_lack_of_memory(void **state)
{
    (void)state;
    static const struct encode_options o = {.model = SLICE_INIT("other"),
                                            .profile = &middle,
                                            .output_cap_tokens = 5,
                                            .is_stream = true};
    static const struct request_meal m = {
        &dialect_anthropic, everything, &o, {&dialect_anthropic, &dialect_openai}};
    fixture_starve(request_starved, &m, 400000, 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_decides),
        cmocka_unit_test(refuses_with_the_member_named),
        cmocka_unit_test(tells_when_bytes_do_not_bound_the_prompt),
        cmocka_unit_test(forwards_byte_for_byte_but_for_the_model),
        cmocka_unit_test(recorded_requests_survive_the_neutral_form),
        cmocka_unit_test(every_block_and_member_survives_the_neutral_form),
        cmocka_unit_test(what_openai_cannot_say_is_named),
        cmocka_unit_test(members_reach_openai),
        cmocka_unit_test(messages_become_turns),
        cmocka_unit_test(ids_are_made_fit_alike),
        cmocka_unit_test(only_its_own_thoughts_go_to_anthropic_antigravity_70),
        cmocka_unit_test(tools_and_choices_reach_anthropic),
        cmocka_unit_test(thinking_fits_its_bounds),
        cmocka_unit_test(sampling_fits_its_ranges),
        cmocka_unit_test(a_count_asks_for_nothing_but_the_count),
        cmocka_unit_test(bad_messages_are_named_by_their_place),
        cmocka_unit_test(survives_any_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
