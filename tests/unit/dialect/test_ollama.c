/* Ollama's own API: streams and answers in the documented form, requests word by word, errors. */
#include "trial.h"

static const struct dialect *const clients[] = {&dialect_openai, &dialect_anthropic,
                                                &dialect_responses, &dialect_gemini, &dialect_own};

#define AT         "\"model\":\"qwen3:8b\",\"created_at\":\"2026-08-01T10:00:00.123456789Z\","
#define SAID(rest) "{" AT "\"message\":{\"role\":\"assistant\"," rest "},\"done\":false}\n"
#define DONE(reason)                                                                          \
    "{" AT "\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,"             \
    "\"done_reason\":\"" reason "\",\"total_duration\":4883583458,\"load_duration\":1334875," \
    "\"prompt_eval_count\":26,\"prompt_eval_duration\":342546000,\"eval_count\":282,"         \
    "\"eval_duration\":4535599000}\n"

static const char thoughts_text_calls[] =
    SAID("\"content\":\"\",\"thinking\":\"Let me \"") SAID("\"content\":\"\",\"thinking\":\"see\"")
        SAID("\"content\":\"I look: \\u00e4\"") SAID("\"content\":\" \\ud83d\\ude00\"")
            SAID("\"content\":\"\",\"tool_calls\":[{\"function\":{\"index\":0,\"name\":\"weather\","
                 "\"arguments\":{\"city\":\"Paris\",\"n\":1.50}}},{\"id\":\"call_x\",\"function\":{"
                 "\"name\":\"clock\",\"arguments\":{}}}]") DONE("stop");

/* --- streams -----------------------------------------------------------------------------------
 */

static void check_cuts(const struct dialect *to, struct slice in, struct slice out, enum err end)
{
    for (size_t cut = 0; cut <= in.len; cut++) {
        struct arena b;
        struct run k;
        arena_init(&b, NULL, (size_t)64 << 20);
        run_stream(&b, &dialect_ollama, to, in, cut, 0, &k);
        assert_int_equal(k.end, end);
        assert_true(slice_eq(text_slice(&k.bytes), out));
        arena_deinit(&b);
    }
    for (size_t step = 1; step < 8; step++) {
        struct arena b;
        struct run k;
        arena_init(&b, NULL, (size_t)64 << 20);
        run_stream(&b, &dialect_ollama, to, in, 0, step, &k);
        assert_int_equal(k.end, end);
        assert_true(slice_eq(text_slice(&k.bytes), out));
        arena_deinit(&b);
    }
}

static void a_stream_for_every_cut_and_client(void **state)
{
    struct arena a;
    struct slice in = slice_str(thoughts_text_calls);
    (void)state;
    arena_init(&a, NULL, (size_t)64 << 20);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        struct run k;
        run_whole(&a, &dialect_ollama, clients[i], in, &k);
        assert_int_equal(k.end, OK);
        assert_int_equal(k.terminals, 1);
        assert_int_equal(k.after_terminal, 0);
        assert_int_equal(k.outcome.usage.input, 26);
        assert_int_equal(k.outcome.usage.output, 282);
        assert_true(k.outcome.has_content && k.outcome.is_complete);
        assert_true(slice_eq(k.outcome.model, SLICE("qwen3:8b")));
        const struct chat_response *r = dialect_stream_answer(k.stream);
        assert_int_equal(run_part_count(r), 4);
        assert_true(slice_eq(run_text(&a, r, CHAT_THINKING), SLICE("Let me see")));
        assert_true(slice_eq(run_part(r, 0).provider, SLICE("ollama")));
        assert_true(slice_eq(run_text(&a, r, CHAT_TEXT), SLICE("I look: \u00e4 \U0001F600")));
        assert_true(slice_eq(run_arguments(r, 0), SLICE("{\"city\":\"Paris\",\"n\":1.50}")));
        assert_true(slice_eq(run_called(r, 0).name, SLICE("weather")));
        assert_true(slice_starts(run_called(r, 0).id, SLICE("call_")));
        assert_true(slice_eq(run_called(r, 1).id, SLICE("call_x")));
        assert_true(slice_eq(run_arguments(r, 1), SLICE("{}")));
        assert_int_equal(r->choices[0].finish, CHAT_FINISH_TOOL_CALLS);
        check_cuts(clients[i], in, text_slice(&k.bytes), OK);
    }
    arena_deinit(&a);
}

static void whole_and_streamed_say_the_same(void **state)
{
    static const char whole[] =
        "{" AT "\"message\":{\"role\":\"assistant\",\"content\":\"I look: \\u00e4 \\ud83d\\ude00\","
        "\"thinking\":\"Let me see\",\"tool_calls\":[{\"function\":{\"name\":\"weather\","
        "\"arguments\":{\"city\":\"Paris\",\"n\":1.50}}},{\"id\":\"call_x\",\"function\":{\"name\":"
        "\"clock\",\"arguments\":{}}}]},\"done\":true,\"done_reason\":\"stop\","
        "\"prompt_eval_count\":26,\"eval_count\":282}";
    struct arena a;
    struct run k;
    struct chat_response r;
    struct outcome o = {.wants_detail = true};
    (void)state;
    arena_init(&a, NULL, (size_t)64 << 20);
    run_whole(&a, &dialect_ollama, &dialect_openai, slice_str(thoughts_text_calls), &k);
    assert_int_equal(dialect_ollama.decode_response(&a, slice_str(whole), &r), OK);
    const struct chat_response *streamed = dialect_stream_answer(k.stream);
    run_check_same(&a, "whole", &r, streamed);
    assert_int_equal(r.choices[0].finish, CHAT_FINISH_TOOL_CALLS);
    assert_true(
        slice_eq(run_called(&r, 0).id, run_called(streamed, 0).id)); /* of the same answer */
    assert_int_equal(dialect_ollama.observe(&a, CHAT_OP_CHAT, slice_str(whole), &o), OK);
    assert_true(o.is_complete && o.has_usage && !o.is_empty && !o.is_error && o.has_content);
    assert_int_equal(o.usage.input, 26);
    assert_int_equal(o.finish, CHAT_FINISH_STOP);
    arena_deinit(&a);
}

/* What a stream of these lines ends with. */
static void lines(struct arena *a, const char *in, struct run *k)
{
    run_stream(a, &dialect_ollama, &dialect_openai, slice_str(in), 0, 7, k);
}

static void ends_and_failures(void **state)
{
    struct arena a;
    struct run k;
    (void)state;
    arena_init(&a, NULL, (size_t)64 << 20);
    lines(&a, SAID("\"content\":\"a\"") DONE("length"), &k);
    assert_int_equal(k.end, OK);
    assert_int_equal(k.outcome.finish, CHAT_FINISH_LENGTH);
    /* No counts, no reason, no line feed: older builds, and who cuts the last byte off. */
    lines(&a, SAID("\"content\":\"a\"") "{\"done\":true}", &k);
    assert_int_equal(k.end, OK);
    assert_int_equal(k.outcome.finish, CHAT_FINISH_STOP);
    assert_false(k.outcome.has_usage);
    /* The prompt was read from memory. */
    lines(&a, SAID("\"content\":\"a\"") "{\"done\":true,\"eval_count\":3}\n", &k);
    assert_true(k.outcome.has_usage && k.outcome.usage.input == 0 && k.outcome.usage.output == 3);
    /* A cut: after a line, inside one, before any. */
    lines(&a, SAID("\"content\":\"a\""), &k);
    assert_int_equal(k.end, E_EOF);
    assert_int_equal(k.terminals, 0);
    lines(&a, SAID("\"content\":\"a\"") "{\"done\":tr", &k);
    assert_int_equal(k.end, E_EOF);
    lines(&a, "", &k);
    assert_int_equal(k.end, E_EOF);
    /* An error behind a 200. */
    lines(&a, SAID("\"content\":\"a\"") "{\"error\":\"the runner ended: \\\"CUDA\\\"\"}\n", &k);
    assert_int_equal(k.end, E_EOF);
    assert_int_equal(k.errors, 1);
    assert_int_equal(k.terminals, 0);
    assert_true(k.outcome.is_error);
    assert_true(slice_eq(k.outcome.error, SLICE("the runner ended: \"CUDA\"")));
    /* What is no stream of lines. */
    lines(&a, "<html>\n", &k);
    assert_int_equal(k.end, E_SYNTAX);
    lines(&a, "data: {}\n", &k);
    assert_int_equal(k.end, E_SYNTAX);
    assert_true(dialect_is_stream_type(&dialect_ollama, SLICE("application/x-ndjson")));
    assert_false(dialect_is_stream_type(&dialect_ollama, SLICE("application/json")));
    arena_deinit(&a);
}

/* --- requests ----------------------------------------------------------------------------------
 */

static const struct request_case {
    const struct dialect *client;
    const char *in, *out, *dropped;
    bool is_stream;
    int64_t cap, context;
} cases[] = {
    {&dialect_openai, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
     "{\"model\":\"up\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"stream\":false}",
     "", false, -1, 0},
    {&dialect_openai,
     "{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"be brief\"},{\"role\":"
     "\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"},"
     "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,QUJD\"}},{\"type\":"
     "\"image_url\",\"image_url\":{\"url\":\"https://x/y.png\"}}]}],\"max_tokens\":7,"
     "\"temperature\":0.50,\"top_p\":0.9,\"seed\":3,\"stop\":[\"x\",\"y\"],\"presence_penalty\":1,"
     "\"frequency_penalty\":-1,\"n\":2,\"user\":\"u\",\"logit_bias\":{\"1\":2},\"reasoning_effort\":"
     "\"minimal\",\"response_format\":{\"type\":\"json_object\"}}",
     "{\"model\":\"up\",\"messages\":[{\"role\":\"system\",\"content\":\"be brief\"},{\"role\":"
     "\"user\",\"content\":\"a\\nb\",\"images\":[\"QUJD\"]}],\"think\":\"low\",\"format\":\"json\","
     "\"options\":{\"num_predict\":7,\"temperature\":0.50,\"top_p\":0.9,\"seed\":3,"
     "\"presence_penalty\":1,\"frequency_penalty\":-1,\"stop\":[\"x\",\"y\"]},\"stream\":true}",
     "logit_bias,image,n,user", true, 100, 0},
    {&dialect_openai,
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"w?\"},{\"role\":\"assistant\","
     "\"content\":null,\"reasoning_content\":\"hm\",\"tool_calls\":[{\"id\":\"c1\",\"type\":"
     "\"function\",\"function\":{\"name\":\"get_w\",\"arguments\":\"{\\\"city\\\":\\\"P\\\"}\"}},{"
     "\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"get_t\",\"arguments\":\"\"}}]},{"
     "\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"noon\"},{\"role\":\"tool\","
     "\"tool_call_id\":\"c1\",\"content\":\"sun\"}],\"tools\":[{\"type\":\"function\",\"function\":{"
     "\"name\":\"get_w\",\"description\":\"d\",\"parameters\":{\"type\":\"object\"},\"strict\":true}}"
     ",{\"type\":\"function\",\"function\":{\"name\":\"get_t\"}}],\"tool_choice\":\"required\","
     "\"parallel_tool_calls\":false,\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"
     "\"name\":\"n\",\"schema\":{\"type\":\"object\",\"x\":1}}}}",
     "{\"model\":\"up\",\"messages\":[{\"role\":\"user\",\"content\":\"w?\"},{\"role\":\"assistant\","
     "\"content\":\"\",\"thinking\":\"hm\",\"tool_calls\":[{\"function\":{\"name\":\"get_w\","
     "\"arguments\":{\"city\":\"P\"}}},{\"function\":{\"name\":\"get_t\",\"arguments\":{}}}]},{"
     "\"role\":\"tool\",\"tool_name\":\"get_t\",\"content\":\"noon\"},{\"role\":\"tool\","
     "\"tool_name\":\"get_w\",\"content\":\"sun\"}],\"tools\":[{\"type\":\"function\",\"function\":{"
     "\"name\":\"get_w\",\"description\":\"d\",\"parameters\":{\"type\":\"object\"}}},{\"type\":"
     "\"function\",\"function\":{\"name\":\"get_t\",\"parameters\":{\"type\":\"object\","
     "\"properties\":{}}}}],\"format\":{\"type\":\"object\",\"x\":1},\"options\":{\"num_predict\":"
     "100},\"stream\":false}",
     "tool_choice,parallel_tool_calls", false, 100, 0},
    {&dialect_anthropic,
     "{\"model\":\"m\",\"max_tokens\":9,\"system\":\"s\",\"top_k\":4,\"thinking\":{\"type\":"
     "\"enabled\",\"budget_tokens\":1024},\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{"
     "\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":"
     "\"sig\"},{\"type\":\"tool_use\",\"id\":\"tu\",\"name\":\"f\",\"input\":{\"a\":1}}]},{\"role\":"
     "\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"tu\",\"content\":[{\"type\":"
     "\"text\",\"text\":\"r\"}]},{\"type\":\"text\",\"text\":\"and?\"}]}],\"tools\":[{\"name\":\"f\","
     "\"input_schema\":{\"type\":\"object\"}},{\"name\":\"g\",\"input_schema\":{\"type\":\"object\"}"
     "}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}}",
     "{\"model\":\"up\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
     "\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{"
     "\"name\":\"f\",\"arguments\":{\"a\":1}}}]},{\"role\":\"tool\",\"tool_name\":\"f\",\"content\":"
     "\"r\"},{\"role\":\"user\",\"content\":\"and?\"}],\"tools\":[{\"type\":\"function\","
     "\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}}],\"think\":true,\"options\""
     ":{\"num_predict\":9,\"top_k\":4},\"stream\":false}",
     "thinking,tool_choice,thinking.budget_tokens", false, -1, 0},
    {&dialect_openai,
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"reasoning_effort\":"
     "\"none\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":"
     "\"none\"}",
     "{\"model\":\"up\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"think\":false,"
     "\"options\":{\"num_ctx\":32768},\"stream\":false}",
     "", false, -1, 32768},
};

static void requests_word_by_word(void **state)
{
    static const struct dialect_profile profile = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct chat_ask ask;
        struct fault f = {0};
        struct body_parts parts;
        struct encode_options o = {.model = SLICE("up"),
                                   .profile = &profile,
                                   .output_cap_tokens = cases[i].cap,
                                   .context_tokens = cases[i].context,
                                   .is_stream = cases[i].is_stream};
        arena_init(&a, NULL, (size_t)16 << 20);
        assert_int_equal(cases[i].client->scan(&a, CHAT_OP_CHAT, slice_str(cases[i].in), &ask, &f),
                         OK);
        ask.body = slice_str(cases[i].in);
        assert_int_equal(cases[i].client->decode_request(&a, &ask, &f), OK);
        assert_int_equal(dialect_ollama.encode_request(&a, ask.neutral, &o, &parts), OK);
        if (!slice_eq(parts.parts[0], slice_str(cases[i].out))) {
            fail_msg("%zu: %.*s", i, SLICE_ARG(parts.parts[0]));
        }
        if (!slice_eq(parts.dropped, slice_str(cases[i].dropped))) {
            fail_msg("%zu dropped: %.*s", i, SLICE_ARG(parts.dropped));
        }
        assert_int_equal(parts.bytes, parts.parts[0].len);
        arena_deinit(&a);
    }
}

static void paths_and_credentials(void **state)
{
    struct arena a;
    char room[64];
    struct text t = text_in(room, sizeof(room));
    (void)state;
    arena_init(&a, NULL, 65536);
    struct slice model = SLICE("m");
    assert_true(slice_eq(dialect_ollama.path(&a, CHAT_OP_CHAT, model, true), SLICE("/api/chat")));
    assert_true(
        slice_eq(dialect_ollama.path(&a, CHAT_OP_EMBEDDING, model, false), SLICE("/api/embed")));
    assert_int_equal(dialect_ollama.path(&a, CHAT_OP_MODERATION, model, false).len, 0);
    dialect_ollama.render_auth(SLICE("k"), &t);
    assert_true(slice_eq(text_slice(&t), SLICE("authorization: Bearer k\r\n")));
    arena_deinit(&a);
}

/* --- vectors -----------------------------------------------------------------------------------
 */

static void texts_become_vectors(void **state)
{
    struct arena a;
    struct body_parts parts;
    struct embed_response r;
    struct outcome seen = {0};
    struct embed_input inputs[] = {{.text = SLICE("a\"b")}, {.text = SLICE("c")}};
    struct embed_request q = {
        .inputs = inputs, .input_count = 2, .dimensions = {SLICE("8")}, .user = SLICE("u")};
    struct encode_options o = {.model = SLICE("up"), .op = CHAT_OP_EMBEDDING};
    struct slice body = SLICE("{\"model\":\"up\",\"embeddings\":[[0.1,-2e-3],[1,2]],"
                              "\"total_duration\":1,\"prompt_eval_count\":8}");
    (void)state;
    arena_init(&a, NULL, (size_t)1 << 20);
    assert_int_equal(dialect_ollama.embedding->encode_request(&a, &q, &o, &parts), OK);
    assert_true(slice_eq(
        parts.parts[0], SLICE("{\"model\":\"up\",\"input\":[\"a\\\"b\",\"c\"],\"dimensions\":8}")));
    assert_true(slice_eq(parts.dropped, SLICE("user")));
    assert_int_equal(dialect_ollama.embedding->decode_response(&a, body, &r), OK);
    assert_int_equal(r.vector_count, 2);
    assert_true(slice_eq(r.vectors[0], SLICE("[0.1,-2e-3]")));
    assert_true(r.has_usage && r.usage.input == 8);
    assert_int_equal(dialect_ollama.observe(&a, CHAT_OP_EMBEDDING, body, &seen), OK);
    assert_true(!seen.is_empty && seen.has_usage);
    inputs[1].tokens = SLICE("[1,2]");
    assert_int_equal(dialect_ollama.embedding->encode_request(&a, &q, &o, &parts), E_UNSUPPORTED);
    assert_int_equal(
        dialect_ollama.embedding->decode_response(&a, SLICE("{\"embeddings\":[1]}"), &r), E_SYNTAX);
    arena_deinit(&a);
}

/* --- errors ------------------------------------------------------------------------------------
 */

static void errors_are_blamed(void **state)
{
    static const struct {
        int status;
        const char *body, *message;
        enum blame blame;
    } faults[] = {
        {404, "{\"error\":\"model \\\"x\\\" not found, try pulling it first\"}",
         "model \"x\" not found, try pulling it first", BLAME_US_DEPLOYMENT},
        {400, "{\"error\":\"x does not support tools\"}", "x does not support tools", BLAME_CLIENT},
        {401, "{\"error\":\"unauthorized\"}", "unauthorized", BLAME_US_KEY},
        {429, "{\"error\":\"slow down\"}", "slow down", BLAME_LIMITED},
        {503, "{\"error\":\"server busy\"}", "server busy", BLAME_LIMITED},
        {500, "{\"error\":\"out of memory\"}", "out of memory", BLAME_PROVIDER},
        {502, "{\"error\":{\"message\":\"of a proxy\"}}", "of a proxy", BLAME_PROVIDER},
        {502, "<html>", "HTTP status 502", BLAME_PROVIDER},
        {500, "", "HTTP status 500", BLAME_PROVIDER},
    };
    struct arena a;
    struct outcome o = {0};
    (void)state;
    arena_init(&a, NULL, (size_t)1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        trial_blame(&dialect_ollama, faults[i].status, faults[i].body, faults[i].blame,
                    faults[i].message, 0);
    }
    assert_int_equal(dialect_ollama.observe(&a, CHAT_OP_CHAT, SLICE("{\"error\":\"no\"}"), &o), OK);
    assert_true(o.is_error && o.is_empty && slice_eq(o.error, SLICE("no")));
    assert_int_equal(dialect_ollama.observe(&a, CHAT_OP_CHAT, SLICE("<html>"), &o), E_SYNTAX);
    assert_int_equal(dialect_ollama.observe(&a, CHAT_OP_CHAT, SLICE(" "), &o), E_SYNTAX);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_for_every_cut_and_client),
        cmocka_unit_test(whole_and_streamed_say_the_same),
        cmocka_unit_test(ends_and_failures),
        cmocka_unit_test(requests_word_by_word),
        cmocka_unit_test(paths_and_credentials),
        cmocka_unit_test(texts_become_vectors),
        cmocka_unit_test(errors_are_blamed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
