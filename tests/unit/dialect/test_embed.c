/* Texts to embed and their vectors between OpenAI's words and Gemini's. */
#include "fixture.h"

#include "dialect/dialect.h"

static const struct dialect_profile profile = {.takes_developer_role = true};

struct world {
    struct arena a;
    struct chat_ask ask;
    struct fault fault;
    struct body_parts parts;
};

/* The request in the other's words; its answer in the asker's. */
static enum err ask(struct world *w, const struct dialect *from, const struct dialect *to,
                    const char *body)
{
    arena_init(&w->a, NULL, (size_t)8 << 20);
    w->ask = (struct chat_ask){.model = SLICE_INIT("asked")};
    const struct encode_options o = {
        .model = SLICE_INIT("m"), .profile = &profile, .op = CHAT_OP_EMBEDDING};
    enum err e = from->scan(&w->a, CHAT_OP_EMBEDDING, slice_str(body), &w->ask, &w->fault);
    e = e ? e : from->embedding->decode_request(&w->a, &w->ask, &w->fault);
    return e ? e : to->embedding->encode_request(&w->a, w->ask.embedding, &o, &w->parts);
}

static struct slice answer(struct world *w, const struct dialect *from, const struct dialect *to,
                           const char *body)
{
    struct embed_response r;
    struct slice out = SLICE_NONE;
    assert_int_equal(to->embedding->decode_response(&w->a, slice_str(body), &r), OK);
    assert_int_equal(from->embedding->encode_response(&w->a, w->ask.embedding, &r, &out), OK);
    return out;
}

static void openai_clients_reach_gemini(void **state)
{
    (void)state;
    struct world w;
    assert_int_equal(ask(&w, &dialect_openai, &dialect_gemini,
                         "{\"model\":\"e\",\"input\":[\"a\\n\",\"b\"],\"dimensions\":2,\"user\":"
                         "\"u\"}"),
                     OK);
    assert_true(slice_eq(
        w.parts.parts[0],
        SLICE("{\"requests\":[{\"model\":\"models/m\",\"content\":{\"parts\":[{\"text\":\"a\\n\"}]}"
              ",\"outputDimensionality\":2},{\"model\":\"models/m\",\"content\":{\"parts\":[{"
              "\"text\":\"b\"}]},\"outputDimensionality\":2}]}")));
    assert_true(slice_eq(w.parts.path, SLICE("/models/m:batchEmbedContents")));
    assert_true(slice_eq(w.parts.dropped, SLICE("user")));
    assert_true(slice_eq(
        answer(&w, &dialect_openai, &dialect_gemini,
               "{\"embeddings\":[{\"values\":[0.5,-1]},{\"values\":[1e-3,2]}],\"usageMetadata\":{"
               "\"promptTokenCount\":7,\"totalTokenCount\":7}}"),
        SLICE("{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,"
              "\"embedding\":[0.5,-1]},{\"object\":\"embedding\",\"index\":1,\"embedding\":[1e-3,2]"
              "}],\"model\":\"e\",\"usage\":{\"prompt_tokens\":7,\"total_tokens\":7}}")));
    arena_deinit(&w.a);
    /* tokens of another model say nothing to it */
    assert_int_equal(ask(&w, &dialect_openai, &dialect_gemini, "{\"model\":\"e\",\"input\":[1,2]}"),
                     E_UNSUPPORTED);
    arena_deinit(&w.a);
    assert_int_equal(ask(&w, &dialect_openai, &dialect_gemini, "{\"model\":\"e\",\"input\":[{}]}"),
                     E_SYNTAX);
    assert_true(slice_eq(w.fault.param, SLICE("input")));
    arena_deinit(&w.a);
}

/* Trap 15: OpenAI's SDKs ask for base64 by default. */
static void base64_is_made_of_numbers_and_read(void **state)
{
    (void)state;
    struct world w;
    struct embed_response r;
    assert_int_equal(ask(&w, &dialect_openai, &dialect_gemini,
                         "{\"model\":\"e\",\"input\":\"a\",\"encoding_format\":\"base64\"}"),
                     OK);
    struct slice body =
        answer(&w, &dialect_openai, &dialect_gemini, "{\"embedding\":{\"values\":[1,-0.5,0.1]}}");
    assert_true(slice_search(body, SLICE("\"embedding\":\"AACAPwAAAL/NzMw9\"")) < body.len);
    assert_int_equal(dialect_openai.embedding->decode_response(&w.a, body, &r), OK);
    assert_true(slice_eq(r.vectors[0], SLICE("[1,-0.5,0.100000001]")));
    static const char *const bad[] = {"{\"data\":[{\"embedding\":\"AACAP\"}]}",
                                      "{\"data\":[{\"embedding\":\"AACAfw==\"}]}",
                                      "{\"data\":[{\"embedding\":\"!!!!\"}]}",
                                      "{\"data\":[{\"embedding\":{}}]}",
                                      "{\"data\":[{\"embedding\":[],\"index\":1}]}",
                                      "{\"data\":[]}",
                                      "{}",
                                      ""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(dialect_openai.embedding->decode_response(&w.a, slice_str(bad[i]), &r),
                         E_SYNTAX);
    }
    arena_deinit(&w.a);
}

static void gemini_clients_reach_openai(void **state)
{
    (void)state;
    struct world w;
    assert_int_equal(ask(&w, &dialect_gemini, &dialect_openai,
                         "{\"content\":{\"parts\":[{\"text\":\"a\"},{\"text\":\"b\"}]},"
                         "\"taskType\":\"RETRIEVAL_DOCUMENT\",\"title\":\"t\","
                         "\"output_dimensionality\":3,\"autoTruncate\":true}"),
                     OK);
    assert_true(
        slice_eq(w.parts.parts[0], SLICE("{\"model\":\"m\",\"input\":[\"a\\nb\"],\"dimensions\":3,"
                                         "\"encoding_format\":\"float\"}")));
    assert_true(slice_eq(w.parts.dropped, SLICE("autoTruncate,taskType,title")));
    assert_true(slice_eq(answer(&w, &dialect_gemini, &dialect_openai,
                                "{\"data\":[{\"embedding\":[1,2,3]}],\"model\":\"m\",\"usage\":{"
                                "\"prompt_tokens\":2,\"total_tokens\":2}}"),
                         SLICE("{\"embedding\":{\"values\":[1,2,3]},\"usageMetadata\":{"
                               "\"promptTokenCount\":2,\"totalTokenCount\":2}}")));
    arena_deinit(&w.a);
    /* answers that come out of order are put in order */
    assert_int_equal(ask(&w, &dialect_gemini, &dialect_openai,
                         "{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}},{\"content\":"
                         "{\"parts\":[{\"text\":\"b\"}]}}]}"),
                     OK);
    assert_true(slice_eq(answer(&w, &dialect_gemini, &dialect_openai,
                                "{\"data\":[{\"index\":1,\"embedding\":[2]},{\"index\":0,"
                                "\"embedding\":[1]}]}"),
                         SLICE("{\"embeddings\":[{\"values\":[1]},{\"values\":[2]}]}")));
    arena_deinit(&w.a);
    static const char *const bad[] = {
        "{\"content\":{\"parts\":[]}}", "{\"content\":{\"parts\":[{\"inlineData\":{}}]}}",
        ("{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"outputDimensionality\":1},{"
         "\"content\":{\"parts\":[{\"text\":\"a\"}]},\"outputDimensionality\":2}]}")};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(ask(&w, &dialect_gemini, &dialect_openai, bad[i]), E_SYNTAX);
        assert_int_equal(w.fault.kind, FAULT_BAD_REQUEST);
        arena_deinit(&w.a);
    }
}

/* Recorded answers of OpenAI's reach clients of Gemini's with every number. */
static void fixture(struct arena *a, const char *name, struct slice bytes)
{
    yyjson_val *root;
    struct embed_response r;
    struct slice out;
    const struct embed_request asked = {.is_single = true};
    assert_int_equal(json_parse(a, bytes, &root, NULL), OK);
    yyjson_val *body = json_get(json_get(root, "response"), "body");
    if (!json_get(body, "data")) {
        return;
    }
    assert_int_equal(dialect_openai.embedding->decode_response(a, json_text(a, body), &r), OK);
    assert_true(r.has_usage);
    if (dialect_gemini.embedding->encode_response(a, &asked, &r, &out)) {
        fail_msg("%s", name);
    }
    assert_int_equal(json_parse(a, out, &root, NULL), OK);
    assert_true(yyjson_arr_size(json_get(json_get(root, "embedding"), "values")) > 100);
}

static void recorded_answers_are_read(void **state)
{
    (void)state;
    assert_true(fixture_each_in(TEST_DATA_DIR "/openai-embeddings", ".json", fixture) > 0);
}

static enum err starved(struct arena *a, const void *ctx)
{
    static const struct encode_options o = {.model = SLICE_INIT("m"), .profile = &profile};
    struct slice body = SLICE("{\"model\":\"e\",\"input\":[\"a\",\"b\"],\"encoding_format\":"
                              "\"base64\"}");
    struct slice answer = SLICE("{\"embeddings\":[{\"values\":[1,2]}]}"), out;
    struct chat_ask k;
    struct fault f;
    struct body_parts parts;
    struct embed_response r;
    (void)ctx;
    enum err e = dialect_openai.scan(a, CHAT_OP_EMBEDDING, body, &k, &f);
    e = e ? e : dialect_openai.embedding->decode_request(a, &k, &f);
    e = e ? e : dialect_gemini.embedding->encode_request(a, k.embedding, &o, &parts);
    e = e ? e : dialect_gemini.embedding->decode_response(a, answer, &r);
    e = e ? e : dialect_openai.embedding->encode_response(a, k.embedding, &r, &out);
    e = e ? e : dialect_openai.embedding->decode_response(a, out, &r);
    return e ? e : dialect_gemini.embedding->encode_response(a, k.embedding, &r, &out);
}

static void survives_any_lack_of_memory(void **state)
{
    (void)state;
    fixture_starve(starved, NULL, 60000, 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openai_clients_reach_gemini),
        cmocka_unit_test(base64_is_made_of_numbers_and_read),
        cmocka_unit_test(gemini_clients_reach_openai),
        cmocka_unit_test(recorded_answers_are_read),
        cmocka_unit_test(survives_any_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
