/* Requests of the API: what the gateway reads from them, how they are forwarded, and how they
 * become those of other dialects and come from them. */
#include "dump.h"
#include "request.h"

static const char *const dir = TEST_DATA_DIR "/gemini";

/* Everything that Gemini 3 takes. */
static const struct dialect_profile newest = {.takes_json_schema = true,
                                              .takes_thinking_level = true,
                                              .takes_level_minimal = true,
                                              .takes_level_medium = true,
                                              .wants_call_signatures = true};
static const struct dialect_profile middle = {.takes_json_schema = true,
                                              .takes_thinking_budget = true,
                                              .refuses_tools_with_format = true,
                                              .refuses_penalties = true};
static const struct dialect_profile oldest = {.refuses_tools_with_format = true};
static const struct dialect_profile openai = {.takes_developer_role = true};
static const struct dialect_profile claude = {.takes_effort = true, .takes_output_format = true};

struct world {
    struct arena a;
    struct chat_ask ask;
    struct fault fault;
    struct body_parts parts;
};

static enum err scan(struct world *w, enum chat_operation op, const char *body)
{
    arena_init(&w->a, NULL, (size_t)32 << 20);
    w->ask = (struct chat_ask){.model = SLICE_INIT("gemini-x")};
    return dialect_gemini.scan(&w->a, op, slice_str(body), &w->ask, &w->fault);
}

static bool has(struct slice text, const char *what)
{
    return slice_search(text, slice_str(what)) < text.len;
}

#define CONTENTS "\"contents\":[{\"parts\":[{\"text\":\"hi\"}]}]"

/* --- scan --------------------------------------------------------------------------------------
 */

static void reads_what_decides_in_either_spelling(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{" CONTENTS ",\"generationConfig\":{\"maxOutputTokens\":7,\"candidateCount\":3,"
        "\"temperature\":0}}",
        "{" CONTENTS ",\"generation_config\":{\"max_output_tokens\":7,\"candidate_count\":\"3\","
        "\"seed\":5}}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct world w;
        assert_int_equal(scan(&w, CHAT_OP_CHAT, bodies[i]), OK);
        assert_int_equal(w.ask.output_max_tokens, 7);
        assert_int_equal(w.ask.choices, 3);
        assert_true(w.ask.is_deterministic && !w.ask.is_uncacheable);
        assert_true(slice_eq(w.ask.model, SLICE("gemini-x")));
        assert_true(w.ask.prompt_max_tokens >= (int64_t)w.ask.body.len);
        arena_deinit(&w.a);
    }
    struct world w;
    assert_int_equal(scan(&w, CHAT_OP_CHAT, "{" CONTENTS "}"), OK);
    assert_int_equal(w.ask.output_max_tokens, -1);
    assert_false(w.ask.is_stream || w.ask.wants_usage || w.ask.is_deterministic);
    w.ask.is_stream = w.ask.is_array = true; /* as gemini_route() fills it */
    assert_int_equal(
        dialect_gemini.scan(&w.a, CHAT_OP_CHAT, SLICE("{" CONTENTS "}"), &w.ask, &w.fault), OK);
    assert_true(w.ask.is_stream && w.ask.is_array && w.ask.wants_usage);
    arena_deinit(&w.a);
}

static void refuses_what_readers_differ_in(void **state)
{
    (void)state;
    static const struct {
        enum chat_operation op;
        const char *body;
        enum err err;
    } cases[] = {
        {CHAT_OP_CHAT, "", E_SYNTAX},
        {CHAT_OP_CHAT, "[]", E_SYNTAX},
        {CHAT_OP_CHAT, "{}", E_SYNTAX},
        {CHAT_OP_CHAT, "{\"contents\":[]}", E_SYNTAX},
        {CHAT_OP_CHAT, "{\"contents\":\"x\"}", E_SYNTAX},
        {CHAT_OP_CHAT, "{" CONTENTS "," CONTENTS "}", E_DUPLICATE},
        {CHAT_OP_CHAT, "{" CONTENTS ",\"Contents\":[]}", E_DUPLICATE},
        {CHAT_OP_CHAT, "{" CONTENTS ",\"generationConfig\":{},\"generation_config\":{}}", E_SYNTAX},
        {CHAT_OP_CHAT, "{" CONTENTS ",\"systemInstruction\":{},\"system_instruction\":{}}",
         E_SYNTAX},
        {CHAT_OP_CHAT, "{" CONTENTS ",\"generationConfig\":[]}", E_SYNTAX},
        {CHAT_OP_CHAT,
         "{" CONTENTS ",\"generationConfig\":{\"maxOutputTokens\":1,\"max_output_tokens\":9}}",
         E_SYNTAX},
        {CHAT_OP_CHAT,
         "{" CONTENTS ",\"generationConfig\":{\"maxOutputTokens\":1,\"maxOutputTokens\":9}}",
         E_SYNTAX},
        {CHAT_OP_CHAT, "{" CONTENTS ",\"generationConfig\":{\"maxOutputTokens\":-1}}", E_SYNTAX},
        {CHAT_OP_CHAT, "{" CONTENTS ",\"generationConfig\":{\"maxOutputTokens\":1.5}}", E_SYNTAX},
        {CHAT_OP_CHAT, "{" CONTENTS ",\"generationConfig\":{\"candidateCount\":9}}", E_SYNTAX},
        {CHAT_OP_CHAT, "{" CONTENTS ",\"generationConfig\":{\"candidateCount\":0}}", E_SYNTAX},
        {CHAT_OP_COUNT_TOKENS, "{\"generateContentRequest\":{}}", E_SYNTAX},
        {CHAT_OP_EMBEDDING, "{}", E_SYNTAX},
        {CHAT_OP_EMBEDDING, "{\"requests\":[]}", E_SYNTAX},
        {CHAT_OP_EMBEDDING, "{\"requests\":{}}", E_SYNTAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        request_refused(&dialect_gemini, cases[i].op, cases[i].body, cases[i].err, NULL);
    }
    struct world w;
    (void)scan(&w, CHAT_OP_CHAT, "{" CONTENTS "}");
    w.ask.model = SLICE_NONE;
    assert_int_equal(
        dialect_gemini.scan(&w.a, CHAT_OP_CHAT, SLICE("{" CONTENTS "}"), &w.ask, &w.fault),
        E_SYNTAX);
    arena_deinit(&w.a);
}

/* The prompt's bound: bytes, a most for pictures; what bytes do not bound has none. */
static void the_prompt_is_bounded_or_said_not_to_be(void **state)
{
    (void)state;
#define PART(part) "{\"contents\":[{\"parts\":[{\"text\":\"x\"}," part "]}]}"
    static const struct {
        const char *body;
        int64_t more; /* beyond the bytes; -1: no bound */
        bool is_uncacheable;
    } cases[] = {
        {"{" CONTENTS "}", 64, false},
        {PART("{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"QQ==\"}}"), 50064, false},
        {PART("{\"inline_data\":{\"mime_type\":\"image/png\",\"data\":\"QQ==\"}}"), 50064, false},
        {PART("{\"inlineData\":{\"mimeType\":\"audio/mp3\",\"data\":\"QQ==\"}}"), 64, false},
        {PART("{\"inlineData\":{\"mimeType\":\"video/mp4\",\"data\":\"QQ==\"}}"), -1, false},
        {PART("{\"inlineData\":{\"mimeType\":\"application/pdf\",\"data\":\"QQ==\"}}"), -1, false},
        {PART("{\"inlineData\":{\"mimeType\":\"image/png\",\"mime_type\":\"video/mp4\"}}"), -1,
         false},
        {PART("{\"fileData\":{\"fileUri\":\"gs://x\"}}"), -1, false},
        {PART("{\"what_comes_next\":{}}"), -1, false},
        {PART("{\"functionCall\":{\"name\":\"f\",\"args\":{}}}"), 64, false},
        {PART("{\"functionResponse\":{\"name\":\"f\",\"response\":{},\"parts\":[{\"inlineData\":{"
              "\"mimeType\":\"image/png\"}}]}}"),
         50064, false},
        {PART("{\"functionResponse\":{\"name\":\"f\",\"parts\":[{\"fileData\":{}}]}}"), -1, false},
        {"{" CONTENTS ",\"tools\":[{\"functionDeclarations\":[]}]}", 64 + 512, false},
        {"{" CONTENTS ",\"tools\":[{\"functionDeclarations\":[],\"googleSearch\":{}}]}", -1, true},
        {"{" CONTENTS ",\"cachedContent\":\"cachedContents/1\"}", -1, true},
        {"{" CONTENTS ",\"system_instruction\":{\"parts\":[{\"fileData\":{}}]}}", -1, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w;
        assert_int_equal(scan(&w, CHAT_OP_CHAT, cases[i].body), OK);
        int64_t want = cases[i].more < 0 ? -1 : (int64_t)w.ask.body.len + cases[i].more;
        if (w.ask.prompt_max_tokens != want || w.ask.is_uncacheable != cases[i].is_uncacheable) {
            fail_msg("%s: %lld", cases[i].body, (long long)w.ask.prompt_max_tokens);
        }
        arena_deinit(&w.a);
    }
}

/* --- forward -----------------------------------------------------------------------------------
 */

static void forward_changes_what_it_must(void **state)
{
    (void)state;
    static const struct {
        enum chat_operation op;
        const char *body, *model;
        int64_t cap;
        const char *want, *path;
    } cases[] = {
        {CHAT_OP_CHAT, "{ " CONTENTS " }", "other", -1, "{ " CONTENTS " }",
         "/models/other:generateContent"},
        {CHAT_OP_CHAT, "{" CONTENTS "}", "g", 9,
         "{\"generationConfig\":{\"maxOutputTokens\":9}," CONTENTS "}",
         "/models/g:generateContent"},
        {CHAT_OP_CHAT, "{" CONTENTS ",\"generation_config\":{\"topK\":1}}", "g", 9,
         "{" CONTENTS ",\"generation_config\":{\"maxOutputTokens\":9,\"topK\":1}}",
         "/models/g:generateContent"},
        {CHAT_OP_CHAT, "{" CONTENTS ",\"generationConfig\":{}}", "g", 9,
         "{" CONTENTS ",\"generationConfig\":{\"maxOutputTokens\":9}}",
         "/models/g:generateContent"},
        {CHAT_OP_CHAT, "{" CONTENTS ",\"generationConfig\":null}", "g", 9,
         "{" CONTENTS ",\"generationConfig\":{\"maxOutputTokens\":9}}",
         "/models/g:generateContent"},
        {CHAT_OP_CHAT, "{" CONTENTS ",\"generationConfig\":{\"maxOutputTokens\":null}}", "g", 9,
         "{" CONTENTS ",\"generationConfig\":{\"maxOutputTokens\":9}}",
         "/models/g:generateContent"},
        {CHAT_OP_CHAT, "{" CONTENTS ",\"generationConfig\":{\"maxOutputTokens\":5}}", "g", 9,
         "{" CONTENTS ",\"generationConfig\":{\"maxOutputTokens\":5}}",
         "/models/g:generateContent"},
        {CHAT_OP_COUNT_TOKENS,
         "{\"generateContentRequest\":{\"model\":\"models/gemini-x\"," CONTENTS "}}", "g", 9,
         "{\"generateContentRequest\":{\"model\":\"models/g\"," CONTENTS "}}",
         "/models/g:countTokens"},
        {CHAT_OP_EMBEDDING, "{\"content\":{\"parts\":[{\"text\":\"a\"}]}}", "g", -1,
         "{\"content\":{\"parts\":[{\"text\":\"a\"}]}}", "/models/g:embedContent"},
        {CHAT_OP_EMBEDDING,
         "{\"requests\":[{\"model\":\"models/gemini-x\",\"content\":{}},{ \"model\" : \"x\"}]}",
         "g", -1,
         "{\"requests\":[{\"model\":\"models/g\",\"content\":{}},{ \"model\" : \"models/g\"}]}",
         "/models/g:batchEmbedContents"},
        {CHAT_OP_EMBEDDING, "{\"requests\":[{\"model\":\"x\"}]}", "gemini-x", -1,
         "{\"requests\":[{\"model\":\"x\"}]}", "/models/gemini-x:batchEmbedContents"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w;
        assert_int_equal(scan(&w, cases[i].op, cases[i].body), OK);
        const struct encode_options o = {.model = slice_str(cases[i].model),
                                         .profile = &newest,
                                         .op = cases[i].op,
                                         .output_cap_tokens = cases[i].cap};
        assert_int_equal(dialect_gemini.forward(&w.a, &w.ask, &o, &w.parts), OK);
        if (!slice_eq(request_joined(&w.a, &w.parts), slice_str(cases[i].want)) ||
            !slice_eq(w.parts.path, slice_str(cases[i].path))) {
            fail_msg("%.*s %.*s", SLICE_ARG(request_joined(&w.a, &w.parts)),
                     SLICE_ARG(w.parts.path));
        }
        assert_false(w.parts.adds_usage);
        arena_deinit(&w.a);
    }
}

/* --- translation -------------------------------------------------------------------------------
 */

/* A request of one dialect in the words of another. */
static struct slice translate(struct world *w, const struct dialect *from, const struct dialect *to,
                              const struct dialect_profile *profile, enum chat_operation op,
                              const char *body)
{
    arena_init(&w->a, NULL, (size_t)32 << 20);
    w->ask = (struct chat_ask){.model = SLICE_INIT("gemini-x")};
    enum err e = from->scan(&w->a, op, slice_str(body), &w->ask, &w->fault);
    e = e ? e : from->decode_request(&w->a, &w->ask, &w->fault);
    if (e) {
        fail_msg("%.*s", SLICE_ARG(w->fault.message));
    }
    const struct encode_options o = {.model = SLICE_INIT("m"),
                                     .profile = profile,
                                     .op = op,
                                     .output_cap_tokens = -1,
                                     .is_stream = w->ask.is_stream,
                                     .wants_usage = true};
    assert_int_equal(to->encode_request(&w->a, w->ask.neutral, &o, &w->parts), OK);
    struct slice out = request_joined(&w->a, &w->parts);
    yyjson_val *root;
    if (json_parse(&w->a, out, &root, NULL)) {
        fail_msg("no JSON: %.*s", SLICE_ARG(out));
    }
    return out;
}

/* decode, encode, decode: the neutral form is the same. */
static void check_identity(struct world *w, const char *name, struct slice body, bool is_stream)
{
    struct chat_ask again = {.model = SLICE_INIT("gemini-x"), .is_stream = is_stream};
    w->ask = again;
    assert_int_equal(dialect_gemini.scan(&w->a, CHAT_OP_CHAT, body, &w->ask, &w->fault), OK);
    if (dialect_gemini.decode_request(&w->a, &w->ask, &w->fault)) {
        fail_msg("%s: %.*s", name, SLICE_ARG(w->fault.message));
    }
    struct dialect_profile all = newest;
    all.takes_thinking_budget =
        w->ask.neutral->reasoning_effort.len == 0 || w->ask.neutral->thinking == CHAT_THINKING_OFF;
    all.takes_thinking_level = !all.takes_thinking_budget;
    all.wants_call_signatures = false;
    const struct encode_options o = {
        .model = SLICE_INIT("m"), .profile = &all, .output_cap_tokens = -1, .is_stream = is_stream};
    assert_int_equal(dialect_gemini.encode_request(&w->a, w->ask.neutral, &o, &w->parts), OK);
    struct slice text = request_joined(&w->a, &w->parts);
    if (dialect_gemini.scan(&w->a, CHAT_OP_CHAT, text, &again, &w->fault) ||
        dialect_gemini.decode_request(&w->a, &again, &w->fault)) {
        fail_msg("%s: %.*s\n%.*s", name, SLICE_ARG(w->fault.message), SLICE_ARG(text));
    }
    struct slice one = dump_request(&w->a, w->ask.neutral),
                 two = dump_request(&w->a, again.neutral);
    if (!slice_eq(one, two)) {
        fail_msg("%s\n%.*s\n%.*s\n%.*s", name, SLICE_ARG(text), SLICE_ARG(one), SLICE_ARG(two));
    }
}

static size_t requests;

static void request_fixture(struct arena *a, const char *name, struct slice bytes)
{
    yyjson_val *root;
    struct world w;
    assert_int_equal(json_parse(a, bytes, &root, NULL), OK);
    yyjson_val *request = json_get(root, "request");
    struct slice url = json_get_string(request, "url");
    yyjson_val *body = json_get(request, "body");
    if (slice_search(url, SLICE("enerateContent")) == url.len || !yyjson_is_obj(body)) {
        return;
    }
    arena_init(&w.a, NULL, (size_t)64 << 20);
    check_identity(&w, name, json_text(a, body), true);
    arena_deinit(&w.a);
    static const struct {
        const struct dialect *to;
        const struct dialect_profile *profile;
    } others[] = {{&dialect_openai, &openai}, {&dialect_anthropic, &claude}};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct chat_ask again;
        struct slice text = json_text(a, body);
        struct slice copy = arena_dup(a, text); /* with a NUL after it */
        struct slice out =
            translate(&w, &dialect_gemini, others[i].to, others[i].profile, CHAT_OP_CHAT, copy.ptr);
        assert_int_equal(others[i].to->scan(&w.a, CHAT_OP_CHAT, out, &again, &w.fault), OK);
        assert_int_equal(others[i].to->decode_request(&w.a, &again, &w.fault), OK);
        arena_deinit(&w.a);
    }
    requests++;
}

static void recorded_requests_keep_what_they_ask(void **state)
{
    (void)state;
    requests = 0;
    (void)fixture_each_in(dir, ".json", request_fixture);
    assert_int_equal(requests, 17);
}

#define EVERYTHING                                                                                \
    "{\"systemInstruction\":{\"parts\":[{\"text\":\"sys\"}]},\"contents\":[{\"role\":\"user\","   \
    "\"parts\":[{\"text\":\"a\"},{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"QQ==\"}," \
    "\"mediaResolution\":{\"level\":\"LOW\"}},{\"inlineData\":{\"mimeType\":\"audio/mpeg\","      \
    "\"data\":\"QQ==\"}},{\"fileData\":{\"mimeType\":\"application/pdf\",\"fileUri\":"            \
    "\"https://x/y.pdf\"}},{\"fileData\":{\"mimeType\":\"video/mp4\",\"fileUri\":\"gs://b/v\"},"  \
    "\"videoMetadata\":{\"fps\":1}}]},{\"role\":\"model\",\"parts\":[{\"text\":\"hm\","           \
    "\"thought\":true,\"thoughtSignature\":\"U0lH\"},{\"text\":\"b\",\"thoughtSignature\":"       \
    "\"U0lI\"},{\"functionCall\":{\"name\":\"f\",\"args\":{\"x\":1}},\"thoughtSignature\":"       \
    "\"U0lJ\"},{\"functionCall\":{\"id\":\"own\",\"name\":\"f\",\"args\":{}}},{"                  \
    "\"executableCode\":{\"language\":\"PYTHON\",\"code\":\"1\"}}]},{\"role\":\"user\","          \
    "\"parts\":[{\"functionResponse\":{\"name\":\"f\",\"response\":{\"output\":\"15\"}}},{"       \
    "\"functionResponse\":{\"id\":\"own\",\"name\":\"f\",\"response\":{\"error\":\"bad\"}}},{"    \
    "\"text\":\"go on\"}]}],\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\","               \
    "\"description\":\"d\",\"parameters\":{\"type\":\"OBJECT\",\"properties\":{\"x\":{\"type\":"  \
    "\"INTEGER\",\"nullable\":true,\"minimum\":1},\"y\":{\"type\":\"ARRAY\",\"items\":{\"type\":" \
    "\"STRING\",\"enum\":[\"p\"],\"format\":\"enum\"},\"minItems\":\"1\"}},\"required\":[\"x\"]," \
    "\"propertyOrdering\":[\"x\"]},\"behavior\":\"BLOCKING\"}],\"googleSearch\":{}},{"            \
    "\"codeExecution\":{}}],\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"ANY\","         \
    "\"allowedFunctionNames\":[\"f\"]},\"retrievalConfig\":{\"languageCode\":\"de\"}},"           \
    "\"generationConfig\":{\"temperature\":0.5,\"topP\":0.9,\"topK\":40,\"maxOutputTokens\":100," \
    "\"stopSequences\":[\"END\"],\"candidateCount\":2,\"seed\":7,\"presencePenalty\":0.1,"        \
    "\"frequencyPenalty\":0.2,\"responseLogprobs\":true,\"logprobs\":3,\"responseMimeType\":"     \
    "\"application/json\",\"responseJsonSchema\":{\"type\":\"object\"},\"thinkingConfig\":{"      \
    "\"thinkingBudget\":2048,\"includeThoughts\":true},\"speechConfig\":{\"v\":1}},"              \
    "\"safetySettings\":[{\"category\":\"HARM_CATEGORY_HARASSMENT\",\"threshold\":\"OFF\"}],"     \
    "\"cachedContent\":\"cachedContents/1\",\"labels\":{\"a\":\"b\"},\"serviceTier\":\"flex\"}"

static void the_neutral_form_survives_encoding(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        EVERYTHING,
        "{" CONTENTS "}",
        "{" CONTENTS ",\"generationConfig\":{\"thinkingConfig\":{\"thinkingLevel\":\"MEDIUM\","
        "\"includeThoughts\":true}}}",
        "{" CONTENTS ",\"generationConfig\":{\"thinkingConfig\":{\"thinkingBudget\":0}}}",
        "{" CONTENTS ",\"generationConfig\":{\"thinkingConfig\":{\"thinkingBudget\":-1,"
        "\"includeThoughts\":false}}}",
        "{" CONTENTS ",\"generation_config\":{\"response_mime_type\":\"application/json\"}}",
        "{" CONTENTS ",\"tool_config\":{\"function_calling_config\":{\"mode\":\"VALIDATED\"}},"
        "\"tools\":[{\"function_declarations\":[{\"name\":\"f\"},{\"name\":\"g\"}]}]}",
        "{\"contents\":[{\"parts\":[{\"text\":\"q\"}]},{\"role\":\"model\",\"parts\":[{"
        "\"function_call\":{\"name\":\"f\"}}]},{\"role\":\"function\",\"parts\":[{"
        "\"function_response\":{\"name\":\"f\",\"response\":{\"output\":{\"a\":1}}}}]}]}",
        ("{\"contents\":[{\"parts\":[{\"functionResponse\":{\"name\":\"f\",\"response\":{\"a\":1},"
         "\"parts\":[{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"QQ==\"}}]}}]}]}"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct world w;
        arena_init(&w.a, NULL, (size_t)64 << 20);
        check_identity(&w, bodies[i], slice_str(bodies[i]), false);
        arena_deinit(&w.a);
    }
}

/* Nothing is dropped in silence: what OpenAI and Anthropic have no words for is named. */
static void what_others_cannot_say_is_named(void **state)
{
    (void)state;
    static const char *const names[] = {"mediaResolution",
                                        "executableCode",
                                        "googleSearch",
                                        "codeExecution",
                                        "behavior",
                                        "toolConfig.retrievalConfig",
                                        "generationConfig.responseLogprobs",
                                        "generationConfig.logprobs",
                                        "generationConfig.speechConfig",
                                        "safetySettings",
                                        "cachedContent",
                                        "labels",
                                        "schema.propertyOrdering",
                                        "thought_signature",
                                        "thinking"};
    static const struct {
        const struct dialect *to;
        const struct dialect_profile *profile;
    } others[] = {{&dialect_openai, &openai}, {&dialect_anthropic, &claude}};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct world w;
        (void)translate(&w, &dialect_gemini, others[i].to, others[i].profile, CHAT_OP_CHAT,
                        EVERYTHING);
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            if (!has(w.parts.dropped, names[k])) {
                fail_msg("%s: %s is not in %.*s", others[i].to->name, names[k],
                         SLICE_ARG(w.parts.dropped));
            }
        }
        arena_deinit(&w.a);
    }
}

/* Calls get ids by their place, results join them by name and order, and schemas are JSON's. */
static void gemini_clients_reach_openai(void **state)
{
    (void)state;
    struct world w;
    struct slice out =
        translate(&w, &dialect_gemini, &dialect_openai, &openai, CHAT_OP_CHAT, EVERYTHING);
    static const char *const parts[] = {
        "{\"role\":\"system\",\"content\":\"sys\"}",
        "\"image_url\":{\"url\":\"data:image/png;base64,QQ==\"}",
        "\"input_audio\":{\"data\":\"QQ==\",\"format\":\"mp3\"}",
        ("{\"id\":\"call_1_0\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{"
         "\\\"x\\\":1}\"}},{\"id\":\"own\""),
        "{\"role\":\"tool\",\"tool_call_id\":\"call_1_0\",\"content\":\"15\"}",
        "{\"role\":\"tool\",\"tool_call_id\":\"own\",\"content\":\"Error: bad\"}",
        "{\"role\":\"user\",\"content\":\"go on\"}",
        "\"x\":{\"type\":[\"integer\",\"null\"],\"minimum\":1}",
        "\"items\":{\"type\":\"string\",\"enum\":[\"p\"]},\"minItems\":1}",
        "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
        "\"max_tokens\":100",
        "\"n\":2",
        "\"seed\":7",
        "\"stop\":[\"END\"]",
        "\"json_schema\":{\"name\":\"response\",\"schema\":{\"type\":\"object\"}",
        "\"reasoning_effort\":\"medium\"",
        "\"service_tier\":\"flex\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!has(out, parts[i])) {
            fail_msg("%s is not in %.*s", parts[i], SLICE_ARG(out));
        }
    }
    arena_deinit(&w.a);
}

#define O_TOOLS                                                                                \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":" \
    "\"object\",\"properties\":{\"x\":{\"type\":[\"integer\",\"null\"]}},"                     \
    "\"additionalProperties\":false}}},{\"type\":\"function\",\"function\":{\"name\":\"2 b\"}}]"
#define O_HISTORY                                                                                \
    "\"messages\":[{\"role\":\"system\",\"content\":\"s1\"},{\"role\":\"user\",\"content\":"     \
    "\"u1\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"u2\"},{\"type\":"     \
    "\"image_url\",\"image_url\":{\"url\":\"https://x/y.png\"}}]},{\"role\":\"assistant\","      \
    "\"content\":null,\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\",\"function\":{"        \
    "\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}},{\"id\":\"b\",\"type\":\"function\","      \
    "\"function\":{\"name\":\"2 b\",\"arguments\":\"\"}}]},{\"role\":\"tool\",\"tool_call_id\":" \
    "\"b\",\"content\":\"plain\"},{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":"        \
    "\"{\\\"t\\\":2}\"},{\"role\":\"developer\",\"content\":\"s2\"},{\"role\":\"user\","         \
    "\"content\":\"\"}]"

/* All results in one content, in the order of the calls, with names that were looked up (a missing
 * name is a 400 at Gemini); the sentinel where a call has no signature and the model wants one. */
static void openai_clients_reach_gemini(void **state)
{
    (void)state;
    struct world w;
    struct slice out = translate(&w, &dialect_openai, &dialect_gemini, &newest, CHAT_OP_CHAT,
                                 "{\"model\":\"g\"," O_HISTORY "," O_TOOLS "}");
    static const char *const parts[] = {
        "\"systemInstruction\":{\"parts\":[{\"text\":\"s1\"},{\"text\":\"s2\"}]}",
        "{\"role\":\"user\",\"parts\":[{\"text\":\"u1\"},{\"text\":\"u2\"},{\"fileData\":{"
        "\"mimeType\":\"image/png\",\"fileUri\":\"https://x/y.png\"}}]}",
        "{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"a\",\"name\":\"f\",\"args\":{"
        "\"x\":1}},\"thoughtSignature\":\"skip_thought_signature_validator\"},{\"functionCall\":{"
        "\"id\":\"b\",\"name\":\"x_gw_2.20b\",\"args\":{}}}]}",
        "{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"id\":\"a\",\"name\":\"f\","
        "\"response\":{\"t\":2}}},{\"functionResponse\":{\"id\":\"b\",\"name\":\"x_gw_2.20b\","
        "\"response\":{\"output\":\"plain\"}}}]}",
        "{\"role\":\"user\",\"parts\":[{\"text\":\" \"}]}",
        "[{\"functionDeclarations\":[{\"name\":\"f\",\"parametersJsonSchema\":{\"type\":\"object\","
        "\"properties\":{\"x\":{\"type\":[\"integer\",\"null\"]}},\"additionalProperties\":false}},"
        "{\"name\":\"x_gw_2.20b\"}]}]",
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!has(out, parts[i])) {
            fail_msg("%s is not in %.*s", parts[i], SLICE_ARG(out));
        }
    }
    assert_false(has(out, "toolConfig") || has(out, "generationConfig"));
    assert_true(slice_eq(w.parts.path, SLICE("/models/m:generateContent")));
    assert_int_equal(w.parts.dropped.len, 0);
    arena_deinit(&w.a);
    out = translate(&w, &dialect_openai, &dialect_gemini, &oldest, CHAT_OP_CHAT,
                    "{\"model\":\"g\"," O_HISTORY "," O_TOOLS "}");
    assert_true(has(out, "\"parameters\":{\"type\":\"OBJECT\",\"properties\":{\"x\":{\"nullable\":"
                         "true,\"type\":\"INTEGER\"}}}"));
    assert_false(has(out, "thoughtSignature"));
    assert_true(slice_eq(w.parts.dropped, SLICE("schema.additionalProperties")));
    arena_deinit(&w.a);
}

/* Trap 11: signatures of Gemini's come back from clients of either dialect to the call they prove;
 * none of another maker's ever does. */
static void signatures_go_to_their_maker_only(void **state)
{
    (void)state;
    struct world w;
    struct slice out = translate(
        &w, &dialect_openai, &dialect_gemini, &newest, CHAT_OP_CHAT,
        "{\"model\":\"g\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":"
        "\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":"
        "\"{}\"},\"extra_content\":{\"google\":{\"thought_signature\":\"SIG\"}}}]},{\"role\":"
        "\"tool\",\"tool_call_id\":\"a\",\"content\":\"1\"}]}");
    assert_true(has(out, "\"args\":{}},\"thoughtSignature\":\"SIG\"}"));
    arena_deinit(&w.a);
    out = translate(&w, &dialect_anthropic, &dialect_gemini, &newest, CHAT_OP_CHAT,
                    "{\"model\":\"g\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\","
                    "\"content\":\"q\"},{\"role\":\"assistant\",\"content\":[{\"type\":"
                    "\"thinking\",\"thinking\":\"own\",\"signature\":\"CLAUDE\"},{\"type\":"
                    "\"thinking\",\"thinking\":\"\",\"signature\":\"gemini:SIG\"},{\"type\":"
                    "\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}},{\"type\":\"tool_use\","
                    "\"id\":\"b\",\"name\":\"g\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{"
                    "\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":\"1\"},{\"type\":"
                    "\"tool_result\",\"tool_use_id\":\"b\",\"content\":\"2\",\"is_error\":true}]}"
                    "]}");
    assert_true(has(out, "{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"a\",\"name\":"
                         "\"f\",\"args\":{}},\"thoughtSignature\":\"SIG\"},{\"functionCall\":{"
                         "\"id\":\"b\",\"name\":\"g\",\"args\":{}}}]}"));
    assert_true(has(out, "\"response\":{\"error\":\"2\"}"));
    assert_false(has(out, "CLAUDE"));
    assert_true(has(w.parts.dropped, "thinking"));
    arena_deinit(&w.a);
}

/* Efforts and budgets, per generation of models; never both. */
static void thinking_is_told_as_the_model_takes_it(void **state)
{
    (void)state;
    static const struct dialect_profile stubborn = {.takes_thinking_budget = true,
                                                    .refuses_thinking_off = true};
    static const struct {
        const struct dialect_profile *profile;
        const char *ask, *want, *dropped;
    } cases[] = {
        {&newest, "\"reasoning_effort\":\"minimal\"",
         "{\"thinkingLevel\":\"MINIMAL\",\"includeThoughts\":true}", ""},
        {&newest, "\"reasoning_effort\":\"medium\"", "\"thinkingLevel\":\"MEDIUM\"", ""},
        {&newest, "\"reasoning_effort\":\"max\"", "\"thinkingLevel\":\"HIGH\"", ""},
        {&newest, "\"reasoning_effort\":\"none\"", "{\"thinkingLevel\":\"MINIMAL\"}", ""},
        {&newest, "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":900}",
         "\"thinkingLevel\":\"LOW\"", ""},
        {&middle, "\"reasoning_effort\":\"low\"",
         "{\"thinkingBudget\":1024,\"includeThoughts\":true}", ""},
        {&middle, "\"reasoning_effort\":\"none\"", "{\"thinkingBudget\":0}", ""},
        {&middle, "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":900}",
         "\"thinkingBudget\":900", ""},
        {&stubborn, "\"reasoning_effort\":\"none\"", "{\"thinkingBudget\":128}", "thinking"},
        {&oldest, "\"reasoning_effort\":\"low\"", "\"contents\"", "reasoning_effort"},
        {&middle, "\"frequency_penalty\":1,\"presence_penalty\":0", "\"contents\"",
         "frequency_penalty"},
        {&middle, "\"response_format\":{\"type\":\"json_object\"}",
         "\"responseMimeType\":\"application/json\"", ""},
        {&middle, "\"response_format\":{\"type\":\"json_object\"}," O_TOOLS, "\"contents\"",
         "response_format"},
        {&newest,
         "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{"
         "\"$ref\":\"#/x\"}}}",
         "\"responseJsonSchema\":{\"$ref\":\"#/x\"}", ""},
        {&oldest,
         "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{"
         "\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/A\"},\"l\":{"
         "\"oneOf\":[{\"type\":\"null\"},{\"const\":3}]}},\"$defs\":{\"A\":{\"type\":"
         "\"string\"}}}}}",
         "\"responseSchema\":{\"type\":\"OBJECT\",\"properties\":{\"a\":{\"type\":\"STRING\"},"
         "\"l\":{\"nullable\":true,\"anyOf\":[{\"type\":\"STRING\",\"enum\":[\"3\"]}]}}}",
         "schema.enum"},
        {&newest, O_TOOLS ",\"tool_choice\":\"required\"",
         "\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"ANY\"}}", ""},
        {&newest, O_TOOLS ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
         "{\"mode\":\"ANY\",\"allowedFunctionNames\":[\"f\"]}", ""},
        {&newest, O_TOOLS ",\"parallel_tool_calls\":false", "\"contents\"", "parallel_tool_calls"},
        {&newest, "\"tool_choice\":\"required\"", "\"contents\"", "tool_choice"},
        {&newest, "\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\"]",
         "\"stopSequences\":[\"1\",\"2\",\"3\",\"4\",\"5\"]", "stop"},
        {&newest, "\"user\":\"u\",\"metadata\":{\"a\":\"b\"},\"service_tier\":\"scale\"",
         "\"contents\"", "service_tier,user,metadata"},
        {&newest, "\"max_completion_tokens\":5,\"temperature\":0.20,\"top_p\":1,\"n\":2",
         "{\"temperature\":0.20,\"topP\":1,\"candidateCount\":2,\"maxOutputTokens\":5}", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w;
        char body[2048];
        assert_true(snprintf(body, sizeof(body),
                             "{\"model\":\"g\",\"messages\":[{\"role\":\"user\",\"content\":"
                             "\"q\"}],%s}",
                             cases[i].ask) > 0);
        struct slice out =
            translate(&w, &dialect_openai, &dialect_gemini, cases[i].profile, CHAT_OP_CHAT, body);
        bool is_fine = has(out, cases[i].want) &&
                       (cases[i].dropped[0] ? has(w.parts.dropped, cases[i].dropped)
                                            : w.parts.dropped.len == 0 ||
                                                  has(w.parts.dropped, "schema.additional"));
        if (!is_fine) {
            fail_msg("%s: %.*s dropped %.*s", cases[i].ask, SLICE_ARG(out),
                     SLICE_ARG(w.parts.dropped));
        }
        arena_deinit(&w.a);
    }
}

/* A schema that holds itself, and one that is deeper than any, end. */
static void endless_schemas_end(void **state)
{
    (void)state;
    struct world w;
    struct slice out = translate(
        &w, &dialect_openai, &dialect_gemini, &oldest, CHAT_OP_CHAT,
        "{\"model\":\"g\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"response_format\":"
        "{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{\"$ref\":\"#/$defs/A\",\"$defs\":{"
        "\"A\":{\"type\":\"object\",\"properties\":{\"l\":{\"$ref\":\"#/$defs/A\"},\"r\":{\"$ref\":"
        "\"#/$defs/A\"}}}}}}}}");
    assert_true(out.len < 65536);
    assert_true(has(w.parts.dropped, "schema."));
    arena_deinit(&w.a);
}

/* Counting: the public API wants the whole request under one member. */
static void counting_carries_the_whole_request(void **state)
{
    (void)state;
    struct world w;
    struct slice out =
        translate(&w, &dialect_anthropic, &dialect_gemini, &newest, CHAT_OP_COUNT_TOKENS,
                  "{\"model\":\"g\",\"system\":\"s\",\"messages\":[{\"role\":"
                  "\"user\",\"content\":\"q\"}]}");
    assert_true(slice_eq(out, SLICE("{\"generateContentRequest\":{\"model\":\"models/m\","
                                    "\"systemInstruction\":{\"parts\":[{\"text\":\"s\"}]},"
                                    "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"q\"}]"
                                    "}]}}")));
    assert_true(slice_eq(w.parts.path, SLICE("/models/m:countTokens")));
    arena_deinit(&w.a);
    out = translate(&w, &dialect_gemini, &dialect_anthropic, &claude, CHAT_OP_COUNT_TOKENS,
                    "{\"generateContentRequest\":{\"model\":\"models/x\"," CONTENTS "}}");
    assert_true(has(out, "{\"type\":\"text\",\"text\":\"hi\"}"));
    arena_deinit(&w.a);
}

static void bad_parts_are_refused_by_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *part, *param;
    } cases[] = {
        {"{}", "contents[0].parts[0].data"},
        {"1", "contents[0].parts[0]"},
        {"{\"text\":\"a\",\"inlineData\":{}}", "contents[0].parts[0].data"},
        {"{\"inlineData\":{\"mimeType\":\"image/png\"}}", "contents[0].parts[0].inlineData.data"},
        {"{\"inlineData\":{\"data\":\"QQ\"}}", "contents[0].parts[0].inlineData.mimeType"},
        {"{\"fileData\":{}}", "contents[0].parts[0].fileData.fileUri"},
        {"{\"functionResponse\":{}}", "contents[0].parts[0].functionResponse.name"},
        {"{\"functionCall\":{\"name\":\"f\"}}", "contents[0].parts[0]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char body[512];
        (void)snprintf(body, sizeof(body), "{\"contents\":[{\"parts\":[%s]}]}", cases[i].part);
        request_undecodable(&dialect_gemini, body, cases[i].param, false);
    }
}

static void survives_any_lack_of_memory(void **state)
{
    (void)state;
    static const struct encode_options o = {
        .model = SLICE_INIT("m"), .profile = &oldest, .output_cap_tokens = -1};
    static const struct request_meal m = {&dialect_gemini, EVERYTHING, &o, {&dialect_gemini}};
    fixture_starve(request_starved, &m, 400000, 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_decides_in_either_spelling),
        cmocka_unit_test(refuses_what_readers_differ_in),
        cmocka_unit_test(the_prompt_is_bounded_or_said_not_to_be),
        cmocka_unit_test(forward_changes_what_it_must),
        cmocka_unit_test(recorded_requests_keep_what_they_ask),
        cmocka_unit_test(the_neutral_form_survives_encoding),
        cmocka_unit_test(what_others_cannot_say_is_named),
        cmocka_unit_test(gemini_clients_reach_openai),
        cmocka_unit_test(openai_clients_reach_gemini),
        cmocka_unit_test(signatures_go_to_their_maker_only),
        cmocka_unit_test(thinking_is_told_as_the_model_takes_it),
        cmocka_unit_test(endless_schemas_end),
        cmocka_unit_test(counting_carries_the_whole_request),
        cmocka_unit_test(bad_parts_are_refused_by_their_place),
        cmocka_unit_test(survives_any_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
