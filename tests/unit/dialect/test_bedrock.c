/* Bedrock's Converse: recorded streams and answers of AWS, requests word by word, errors, and what
 * a credential writes. */
#include "run.h"

#include "core/clock.h"
#include "core/hash.h"

static const char *const dir = TEST_DATA_DIR "/bedrock";

/* --- streams -----------------------------------------------------------------------------------
 */

static void check_cuts(const struct dialect *to, struct slice in, struct slice out)
{
    for (size_t cut = 0; cut <= in.len; cut += cut < 64 ? 1 : 31) {
        struct arena b;
        struct run k;
        arena_init(&b, NULL, (size_t)256 << 20);
        run_stream(&b, &dialect_bedrock, to, in, cut, 0, &k);
        assert_int_equal(k.end, OK);
        assert_true(slice_eq(text_slice(&k.bytes), out));
        arena_deinit(&b);
    }
}

static void check_recorded(struct arena *a, const char *name, struct slice in)
{
    static const struct dialect *const clients[] = {&dialect_openai, &dialect_anthropic,
                                                    &dialect_own};
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        struct run k;
        run_whole(a, &dialect_bedrock, clients[i], in, &k);
        if (k.end != OK || k.terminals != 1 || k.after_terminal || !k.outcome.has_usage ||
            !k.outcome.has_content) {
            fail_msg("%s to %s: %d", name, clients[i]->name, (int)k.end);
        }
        assert_true(k.outcome.usage.input > 0 && k.outcome.usage.output > 0);
        const struct chat_response *r = dialect_stream_answer(k.stream);
        assert_non_null(r);
        assert_true(run_part_count(r) > 0);
        check_cuts(clients[i], in, text_slice(&k.bytes));
    }
}

static void recorded_streams_for_every_cut(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(dir, ".eventstream.bin", check_recorded), 6);
}

static struct slice recorded(struct arena *a, const char *name)
{
    struct slice path = arena_printf(a, "%s/%s", dir, name);
    return fixture_read(a, path.ptr);
}

static void thoughts_calls_and_usage_of_streams(void **state)
{
    struct arena a;
    struct run k;
    (void)state;
    arena_init(&a, NULL, (size_t)256 << 20);
    run_whole(&a, &dialect_bedrock, &dialect_openai,
              recorded(&a, "bedrock-model-iter-stream-1.eventstream.bin"), &k);
    const struct chat_response *r = dialect_stream_answer(k.stream);
    assert_int_equal(k.outcome.usage.input, 471);
    assert_int_equal(k.outcome.usage.output, 91);
    assert_int_equal(k.outcome.finish, CHAT_FINISH_TOOL_CALLS);
    struct chat_part call = run_part(r, run_part_count(r) - 1);
    assert_int_equal(call.kind, CHAT_TOOL_CALL);
    assert_true(slice_eq(call.name, SLICE("get_temperature")));
    assert_true(slice_eq(call.id, SLICE("tooluse_lAG_zP8QRHmSYOwZzzaCqA")));
    assert_true(run_same_json(&a, call.text, SLICE("{\"city\":\"Paris\"}")));

    run_whole(&a, &dialect_bedrock, &dialect_anthropic,
              recorded(&a, "bedrock-model-thinking-part-stream.eventstream.bin"), &k);
    r = dialect_stream_answer(k.stream);
    assert_int_equal(run_part(r, 0).kind, CHAT_THINKING);
    assert_true(slice_starts(run_part(r, 0).text, SLICE("The user has")));
    assert_true(slice_starts(run_part(r, 0).signature, SLICE("Eu0CCkgI")));
    assert_true(slice_eq(run_part(r, 0).provider, SLICE("bedrock")));
    assert_int_equal(run_part(r, 1).kind, CHAT_TEXT);

    run_whole(&a, &dialect_bedrock, &dialect_anthropic,
              recorded(&a, "bedrock-model-thinking-part-redacted-stream.eventstream.bin"), &k);
    r = dialect_stream_answer(k.stream);
    assert_int_equal(run_part(r, 0).kind, CHAT_THINKING);
    assert_true(slice_starts(run_part(r, 0).data, SLICE("RXRrRUNr")));
    assert_true(slice_starts(run_part(r, 1).data, SLICE("RXFBRENr")));
    arena_deinit(&a);
}

static void add_u32(struct text *t, uint32_t v)
{
    const char bytes[4] = {(char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v};
    text_add(t, slice_of(bytes, sizeof(bytes)));
}

static void add_header(struct text *t, struct slice name, struct slice value)
{
    text_add_char(t, (char)name.len);
    text_add(t, name);
    text_add_char(t, 7);
    text_add_char(t, 0);
    text_add_char(t, (char)value.len);
    text_add(t, value);
}

static void add_frame(struct text *t, const char *kind, const char *name, const char *payload)
{
    char room[256];
    struct text headers = text_in(room, sizeof(room));
    struct slice body = slice_str(payload);
    size_t at = t->len;
    bool is_event = strcmp(kind, "event") == 0;
    add_header(&headers, SLICE(":message-type"), slice_str(kind));
    add_header(&headers,
               is_event                         ? SLICE(":event-type")
               : strcmp(kind, "exception") == 0 ? SLICE(":exception-type")
                                                : SLICE(":error-code"),
               slice_str(name));
    add_u32(t, (uint32_t)(headers.len + body.len + 16));
    add_u32(t, (uint32_t)headers.len);
    add_u32(t, crc32_iso(t->ptr + at, 8));
    text_add(t, text_slice(&headers));
    text_add(t, body);
    add_u32(t, crc32_iso(t->ptr + at, t->len - at));
}

/* What a stream of these frames, each {payload}, ends with. */
static void frames(struct arena *a, const char *const (*list)[3], size_t count, struct run *k)
{
    struct text t = text_growing(a);
    for (size_t i = 0; i < count; i++) {
        add_frame(&t, list[i][0], list[i][1], list[i][2]);
    }
    run_stream(a, &dialect_bedrock, &dialect_openai, text_slice(&t), 0, 7, k);
}

#define START                                                            \
    {                                                                    \
        "event", "messageStart", "{\"role\":\"assistant\",\"p\":\"ab\"}" \
    }
#define TEXT(words)                                                                    \
    {                                                                                  \
        "event", "contentBlockDelta",                                                  \
            "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"" words "\"},\"p\":\"a\"}" \
    }
#define STOP(reason)                                              \
    {                                                             \
        "event", "messageStop", "{\"stopReason\":\"" reason "\"}" \
    }
#define META                                                                            \
    {                                                                                   \
        "event", "metadata",                                                            \
            "{\"usage\":{\"inputTokens\":3,\"outputTokens\":4,\"totalTokens\":18,"      \
            "\"cacheReadInputTokens\":5,\"cacheWriteInputTokens\":6,\"cacheDetails\":[" \
            "{\"ttl\":\"5m\",\"inputTokens\":4},{\"ttl\":\"1h\",\"inputTokens\":2}]}}"  \
    }

static void ends_of_streams(void **state)
{
    static const char *const good[][3] = {START, TEXT("Hi"), STOP("max_tokens"), META, TEXT("no")};
    static const char *const untold[][3] = {START, TEXT("Hi"), STOP("end_turn")};
    static const char *const cut[][3] = {START, TEXT("Hi")};
    static const char *const early[][3] = {START, META, STOP("end_turn")};
    static const char *const newer[][3] = {
        START, {"event", "somethingNew", "{\"x\":1}"}, TEXT("Hi"), STOP("refined"), META};
    static const char *const broken[][3] = {
        START,
        TEXT("Hi"),
        {"exception", "modelStreamErrorException", "{\"message\":\"It broke.\"}"}};
    static const char *const silent[][3] = {START, {"exception", "throttlingException", "{}"}};
    static const char *const unmodelled[][3] = {START, {"error", "InternalFailure", ""}};
    struct arena a;
    struct run k;
    (void)state;
    arena_init(&a, NULL, (size_t)64 << 20);
    frames(&a, good, ARRAY_LEN(good), &k);
    assert_int_equal(k.end, OK);
    assert_int_equal(k.outcome.finish, CHAT_FINISH_LENGTH);
    assert_int_equal(k.outcome.usage.input, 3);
    assert_int_equal(k.outcome.usage.cache_read, 5);
    assert_int_equal(k.outcome.usage.cache_write_5m, 4);
    assert_int_equal(k.outcome.usage.cache_write_1h, 2);
    assert_int_equal(usage_total(&k.outcome.usage), 18);
    assert_true(slice_search(text_slice(&k.bytes), SLICE("\"prompt_tokens\":14")) < k.bytes.len);
    assert_true(slice_search(text_slice(&k.bytes), SLICE("no")) == k.bytes.len);
    frames(&a, untold, ARRAY_LEN(untold), &k);
    assert_int_equal(k.end, OK);
    assert_int_equal(k.terminals, 1);
    assert_false(k.outcome.has_usage);
    frames(&a, cut, ARRAY_LEN(cut), &k);
    assert_int_equal(k.end, E_EOF);
    frames(&a, early, ARRAY_LEN(early), &k);
    assert_int_equal(k.end, OK);
    assert_int_equal(k.terminals, 1);
    frames(&a, newer, ARRAY_LEN(newer), &k);
    assert_int_equal(k.end, OK);
    assert_int_equal(k.outcome.finish, CHAT_FINISH_STOP);
    frames(&a, broken, ARRAY_LEN(broken), &k);
    assert_true(k.outcome.is_error && k.end == E_EOF);
    assert_true(slice_eq(k.outcome.error, SLICE("It broke.")));
    assert_int_equal(k.errors, 1);
    frames(&a, silent, ARRAY_LEN(silent), &k);
    assert_true(slice_eq(k.outcome.error, SLICE("throttlingException")));
    frames(&a, unmodelled, ARRAY_LEN(unmodelled), &k);
    assert_true(slice_eq(k.outcome.error, SLICE("InternalFailure")));
    run_whole(&a, &dialect_bedrock, &dialect_openai, SLICE("data: {}\n\ndata: [DONE]\n\n"), &k);
    assert_int_equal(k.end, E_SYNTAX);
    arena_deinit(&a);
}

static void only_its_own_content_type_is_a_stream(void **state)
{
    (void)state;
    struct slice frames_type = SLICE("application/vnd.amazon.eventstream");
    assert_true(dialect_is_stream_type(&dialect_bedrock, frames_type));
    assert_false(dialect_is_stream_type(&dialect_bedrock, SLICE("text/event-stream")));
    assert_true(dialect_is_stream_type(&dialect_openai, SLICE("text/event-stream; charset=x")));
    assert_false(dialect_is_stream_type(&dialect_openai, frames_type));
    assert_false(dialect_is_stream_type(&dialect_openai, SLICE_NONE));
}

/* --- whole answers -----------------------------------------------------------------------------
 */

static void check_answer(struct arena *a, const char *name, struct slice text)
{
    yyjson_val *root;
    struct chat_response r;
    struct outcome seen = {.wants_detail = false};
    struct slice out;
    assert_int_equal(json_parse(a, text, &root, NULL), OK);
    yyjson_val *response = json_get(root, "response");
    yyjson_val *body = response ? json_get(response, "body") : root;
    if (!json_get(body, "output")) {
        return; /* of a stream */
    }
    struct slice bytes = json_text(a, body);
    yyjson_val *usage = json_get(body, "usage");
    if (dialect_bedrock.decode_response(a, bytes, &r)) {
        fail_msg("%s", name);
    }
    assert_int_equal(dialect_bedrock.observe(a, CHAT_OP_CHAT, bytes, &seen), OK);
    assert_true(seen.is_complete && !seen.is_empty && !seen.is_error);
    assert_int_equal(seen.finish, CHAT_FINISH_STOP);
    assert_int_equal(r.choices[0].finish, CHAT_FINISH_STOP);
    assert_int_equal(r.usage.input, fixture_count(usage, "inputTokens"));
    assert_int_equal(r.usage.output, fixture_count(usage, "outputTokens"));
    assert_int_equal(r.usage.cache_read, fixture_count(usage, "cacheReadInputTokens"));
    assert_int_equal(usage_total(&r.usage), fixture_count(usage, "totalTokens"));
    assert_int_equal(usage_total(&seen.usage), usage_total(&r.usage));
    assert_true(r.choices[0].part_count > 0);
    assert_int_equal(dialect_openai.encode_response(a, &r, NULL, &out), OK);
    assert_int_equal(dialect_anthropic.encode_response(a, &r, NULL, &out), OK);
}

static void recorded_answers(void **state)
{
    (void)state;
    assert_true(fixture_each_in(dir, ".json", check_answer) >= 4);
}

static void answers_that_are_none(void **state)
{
    struct arena a;
    struct chat_response r;
    (void)state;
    arena_init(&a, NULL, (size_t)64 << 20);
    struct outcome o = {.wants_detail = false};
    assert_int_equal(dialect_bedrock.observe(&a, CHAT_OP_CHAT, SLICE("<html>"), &o), E_SYNTAX);
    assert_int_equal(dialect_bedrock.observe(&a, CHAT_OP_CHAT, SLICE(" "), &o), E_SYNTAX);
    assert_int_equal(dialect_bedrock.observe(&a, CHAT_OP_CHAT, SLICE("{\"message\":\"no\"}"), &o),
                     OK);
    assert_true(o.is_empty && o.is_error && slice_eq(o.error, SLICE("no")));
    assert_int_equal(dialect_bedrock.decode_response(&a, SLICE("{\"output\":{}}"), &r), E_SYNTAX);
    arena_deinit(&a);
}

/* --- requests ----------------------------------------------------------------------------------
 */

struct request_case {
    const char *model, *body, *expected, *dropped;
    struct dialect_profile profile;
};
#define CLAUDE "anthropic.claude-x"
#define HI     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define OUT_HI "\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"}]}]"
#define TOOL                                                                                     \
    "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":{" \
    "\"properties\":{}}}}"
#define OUT_TOOL                                                                               \
    "{\"toolSpec\":{\"name\":\"f\",\"description\":\"d\",\"inputSchema\":{\"json\":{\"type\":" \
    "\"object\",\"properties\":{}}}}}"
static const struct request_case requests[] = {
    {CLAUDE, "{" HI "}", "{" OUT_HI ",\"inferenceConfig\":{}}", "", {0}},
    {"m",
     "{" HI ",\"max_tokens\":7,\"temperature\":1.5,\"top_p\":0.9,\"stop\":\"s\",\"seed\":1,"
     "\"user\":\"u\",\"n\":1,\"reasoning_effort\":\"low\",\"service_tier\":\"priority\"}",
     "{" OUT_HI ",\"inferenceConfig\":{\"maxTokens\":7,\"temperature\":1,\"topP\":0.9,"
     "\"stopSequences\":[\"s\"]},\"serviceTier\":{\"type\":\"priority\"}}",
     "reasoning_effort,temperature,seed,user",
     {0}},
    {CLAUDE,
     "{" HI ",\"max_tokens\":3000,\"reasoning_effort\":\"medium\",\"temperature\":0}",
     "{" OUT_HI ",\"inferenceConfig\":{\"maxTokens\":3000},\"additionalModelRequestFields\":{"
     "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}}}",
     "temperature",
     {0}},
    {CLAUDE,
     "{" HI ",\"reasoning_effort\":\"high\"}",
     "{" OUT_HI ",\"inferenceConfig\":{\"maxTokens\":4096},\"additionalModelRequestFields\":{"
     "\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"high\"}}}",
     "",
     {.takes_adaptive_thinking = true, .takes_effort = true}},
    {"openai.gpt-oss-120b-1:0",
     "{" HI ",\"reasoning_effort\":\"high\"}",
     "{" OUT_HI ",\"inferenceConfig\":{},\"additionalModelRequestFields\":{\"reasoning_effort\":"
     "\"high\"}}",
     "",
     {0}},
    {CLAUDE,
     "{\"messages\":[{\"role\":\"system\",\"content\":\"be\"},{\"role\":\"assistant\",\"content\":"
     "\"a\"},{\"role\":\"user\",\"content\":\"b\"},{\"role\":\"user\",\"content\":[{\"type\":"
     "\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AAAA\"}},{\"type\":"
     "\"image_url\",\"image_url\":{\"url\":\"https://x/y.png\"}},{\"type\":\"text\",\"text\":"
     "\"c\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}",
     "{\"system\":[{\"text\":\"be\"}],\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":"
     "\".\"}]},{\"role\":\"assistant\",\"content\":[{\"text\":\"a\"}]},{\"role\":\"user\","
     "\"content\":[{\"text\":\"b\"},{\"image\":{\"format\":\"png\",\"source\":{\"bytes\":"
     "\"AAAA\"}}},{\"text\":\"c\"},{\"cachePoint\":{\"type\":\"default\"}}]}],"
     "\"inferenceConfig\":{}}",
     "image",
     {0}},
    {"m",
     "{" HI ",\"tools\":[" TOOL "],\"tool_choice\":\"required\"}",
     "{\"toolConfig\":{\"tools\":[" OUT_TOOL "],\"toolChoice\":{\"any\":{}}}," OUT_HI
     ",\"inferenceConfig\":{}}",
     "",
     {0}},
    {"m",
     "{" HI ",\"tools\":[" TOOL "],\"tool_choice\":\"none\",\"parallel_tool_calls\":true}",
     "{" OUT_HI ",\"inferenceConfig\":{}}",
     "",
     {0}},
    {"m",
     "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":"
     "null,\"tool_calls\":[{\"id\":\"c:1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
     "\"arguments\":\"{\\\"a\\\":1}\"}}]},{\"role\":\"user\",\"content\":\"and\"},{\"role\":"
     "\"tool\",\"tool_call_id\":\"c:1\",\"content\":\"r\"}]}",
     "{\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"f\",\"inputSchema\":{\"json\":{"
     "\"type\":\"object\",\"properties\":{}}}}}]},\"messages\":[{\"role\":\"user\",\"content\":[{"
     "\"text\":\"hi\"}]},{\"role\":\"assistant\",\"content\":[{\"toolUse\":{\"toolUseId\":"
     "\"c_1_7c9d3005\",\"name\":\"f\",\"input\":{\"a\":1}}}]},{\"role\":\"user\",\"content\":[{"
     "\"toolResult\":{\"toolUseId\":\"c_1_7c9d3005\",\"content\":[{\"text\":\"r\"}]}},{\"text\":"
     "\"and\"}]}],\"inferenceConfig\":{}}",
     "",
     {0}},
};

static void requests_word_by_word(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        const struct request_case *c = &requests[i];
        struct arena a;
        struct chat_ask ask = {.op = CHAT_OP_CHAT};
        struct fault f = {.kind = FAULT_NONE};
        struct body_parts parts;
        yyjson_val *root;
        arena_init(&a, NULL, (size_t)64 << 20);
        struct slice body = arena_printf(&a, "{\"model\":\"x\",%s", c->body + 1);
        assert_int_equal(dialect_openai.scan(&a, CHAT_OP_CHAT, body, &ask, &f), OK);
        assert_int_equal(dialect_openai.decode_request(&a, &ask, &f), OK);
        const struct encode_options o = {
            .model = slice_str(c->model), .profile = &c->profile, .output_cap_tokens = -1};
        assert_int_equal(dialect_bedrock.encode_request(&a, ask.neutral, &o, &parts), OK);
        assert_int_equal(parts.count, 1);
        assert_int_equal(parts.bytes, parts.parts[0].len);
        if (!slice_eq(parts.parts[0], slice_str(c->expected))) {
            fail_msg("%zu: %.*s", i, SLICE_ARG(parts.parts[0]));
        }
        if (!slice_eq(parts.dropped, slice_str(c->dropped))) {
            fail_msg("%zu dropped: %.*s", i, SLICE_ARG(parts.dropped));
        }
        assert_int_equal(json_parse(&a, parts.parts[0], &root, NULL), OK);
        arena_deinit(&a);
    }
}

static void the_model_is_in_the_path(void **state)
{
    struct arena a;
    struct slice model = SLICE("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.m-v1:0");
    (void)state;
    arena_init(&a, NULL, (size_t)1 << 20);
    assert_true(slice_eq(dialect_bedrock.path(&a, CHAT_OP_CHAT, model, true),
                         SLICE("/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2F"
                               "eu.m-v1%3A0/converse-stream")));
    assert_true(slice_eq(dialect_bedrock.path(&a, CHAT_OP_CHAT, SLICE("m"), false),
                         SLICE("/model/m/converse")));
    assert_int_equal(dialect_bedrock.path(&a, CHAT_OP_EMBEDDING, model, false).len, 0);
    arena_deinit(&a);
}

/* --- credentials -------------------------------------------------------------------------------
 */

static void credentials(void **state)
{
    static const struct {
        const char *key, *fixed, *signature;
    } cases[] = {
        {"word", "authorization: Bearer word\r\n", ""},
        {"AKID:secret", "",
         "x-amz-date: 20150830T123600Z\r\nauthorization: AWS4-HMAC-SHA256 Credential=AKID/20150830/"
         "r/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature="},
        {"AKID:secret:s:t", "x-amz-security-token: s:t\r\n",
         "x-amz-date: 20150830T123600Z\r\nauthorization: AWS4-HMAC-SHA256 Credential=AKID/20150830/"
         "r/bedrock/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token, Signature="},
    };
    const struct slice body = SLICE("{}");
    struct arena a;
    (void)state;
    arena_init(&a, NULL, (size_t)1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct dialect_signing in = {.method = SLICE("POST"),
                                           .path = SLICE("/model/m/converse"),
                                           .host = SLICE("h"),
                                           .body = &body,
                                           .body_count = 1,
                                           .key = slice_str(cases[i].key),
                                           .region = SLICE("r"),
                                           .now_unix_ns = INT64_C(1440938160) * NS_PER_S};
        struct text fixed = text_growing(&a), signature = text_growing(&a);
        dialect_bedrock.render_auth(in.key, &fixed);
        assert_true(slice_eq(text_slice(&fixed), slice_str(cases[i].fixed)));
        assert_int_equal(dialect_bedrock.sign(&a, &in, &signature), OK);
        struct slice begins = slice_str(cases[i].signature);
        assert_true(slice_starts(text_slice(&signature), begins));
        assert_int_equal(signature.len, begins.len ? begins.len + 64 + 2 : 0);
        assert_true(slice_search(text_slice(&signature), SLICE("secret\r")) == signature.len);
    }
    arena_deinit(&a);
}

/* --- errors ------------------------------------------------------------------------------------
 */

static void whose_fault_an_error_is(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum blame blame;
        const char *message, *type;
    } cases[] = {
        {400, "{\"message\":\"The messages field is required.\"}", BLAME_CLIENT,
         "The messages field is required.", ""},
        {400, "{\"message\":\"The provided model identifier is invalid.\"}", BLAME_US_DEPLOYMENT,
         "The provided model identifier is invalid.", ""},
        {403, "{\"Message\":\"You don't have access to the model with the specified model ID.\"}",
         BLAME_US_DEPLOYMENT, "You don't have access to the model with the specified model ID.",
         ""},
        {403, "{\"message\":\"The security token included in the request is invalid.\"}",
         BLAME_US_KEY, "The security token included in the request is invalid.", ""},
        {400, "{\"__type\":\"com.amazon.coral.service#ExpiredTokenException\",\"message\":\"x\"}",
         BLAME_US_KEY, "x", "ExpiredTokenException"},
        {400, "{\"__type\":\"ServiceQuotaExceededException\",\"message\":\"x\"}", BLAME_US_QUOTA,
         "x", "ServiceQuotaExceededException"},
        {404, "{\"message\":\"none\"}", BLAME_US_DEPLOYMENT, "none", ""},
        {408, "{\"message\":\"slow\"}", BLAME_PROVIDER, "slow", ""},
        {424, "{\"message\":\"failed\"}", BLAME_PROVIDER, "failed", ""},
        {429, "{\"message\":\"Too many requests\"}", BLAME_LIMITED, "Too many requests", ""},
        {500, "", BLAME_PROVIDER, "HTTP status 500", ""},
        {503, "<html>", BLAME_PROVIDER, "HTTP status 503", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct upstream_fault f;
        arena_init(&a, NULL, (size_t)1 << 20);
        dialect_bedrock.read_fault(&a, cases[i].status, slice_str(cases[i].body), &f);
        if (f.blame != cases[i].blame) {
            fail_msg("%zu: %d", i, (int)f.blame);
        }
        assert_true(slice_eq(f.message, slice_str(cases[i].message)));
        assert_true(slice_eq(f.type, slice_str(cases[i].type)));
        arena_deinit(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_streams_for_every_cut),
        cmocka_unit_test(thoughts_calls_and_usage_of_streams),
        cmocka_unit_test(ends_of_streams),
        cmocka_unit_test(only_its_own_content_type_is_a_stream),
        cmocka_unit_test(recorded_answers),
        cmocka_unit_test(answers_that_are_none),
        cmocka_unit_test(requests_word_by_word),
        cmocka_unit_test(the_model_is_in_the_path),
        cmocka_unit_test(credentials),
        cmocka_unit_test(whose_fault_an_error_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
