/* chat/count: against the usage that recorded exchanges state, and rule by rule. */
#include "chat/count.h"
#include "chat/image.h"
#include "dialect/dialect.h"
#include "unit/dialect/fixture.h"

/* Exchanges of tests/wire and the prompt_tokens their answers state. */
static const struct recording {
    const char *name;
    int64_t tokens;
    bool is_openai; /* the estimate is near; of others' templates little is known */
} recordings[] = {
    {"azure/azure-provider-call", 14, true},
    {"gemini-openai-compat/compatible-api-with-tool-calls-without-id-1", 35, false},
    {"gemini-openai-compat/compatible-api-with-tool-calls-without-id-2", 66, false},
    {"groq/groq-model-instructions", 48, false},
    {"mistral/mistral-model-thinking-part-iter", 10, false},
    {"ollama/ollama-local-native-output-uses-json-schema", 136, false},
    {"deepseek/deepseek-model-thinking-stream", 6, false},
    {"openai-chat/chat-detailed-usage", 12, true},
    {"openai-chat/chat-json-mode", 21, true},
    {"openai-chat/chat-multimodal", 2245, true},
    {"openai-chat/chat-multiturn", 50, true},
    {"openai-chat/chat-openai-agents-python", 171, true},
    {"openai-chat/chat-reasoning", 27, true},
    {"openai-chat/chat-streaming-detailed-usage", 12, true},
    {"openai-chat/chat-web-search", 26, true},
    {"openai-chat/complex-agent-run-3", 448, true},
    {"openai-chat/openai-moderation-block-policy", 12, true},
    {"openai-chat/openai-moderation-stream", 13, true},
    {"openai-chat/openai-native-output-1", 71, true},
    {"openai-chat/openai-native-output-2", 92, true},
    {"openai-chat/run-stream-sync-streams-real-model-1", 53, true},
    {"openai-chat/run-stream-sync-streams-real-model-2", 78, true},
    {"openai-chat/tool-use-basic", 54, true},
    {"openai-chat/tools-streaming-variant-a", 57, true},
    {"openai-chat/tools-streaming-variant-b", 57, true},
    {"openai-chat/tools-streaming-variant-c", 56, true},
    {"openai-chat/tools-streaming-variant-d", 57, false},
};

static struct chat_count count_recording(struct arena *a, const struct recording *r)
{
    yyjson_val *root;
    struct chat_ask ask;
    struct fault fault;
    struct chat_counter c;
    struct chat_count out;
    struct slice path = arena_printf(a, "%s/%s.json", TEST_DATA_DIR, r->name);
    assert_int_equal(json_parse(a, fixture_read(a, path.ptr), &root, NULL), OK);
    struct slice body = json_text(a, json_get(json_get(root, "request"), "body"));
    assert_int_equal(dialect_openai.scan(a, CHAT_OP_CHAT, body, &ask, &fault), OK);
    assert_int_equal(dialect_openai.decode_request(a, &ask, &fault), OK);
    chat_counter_init(&c, chat_family_of_model(ask.model), ask.model);
    chat_count_prompt(&c, ask.neutral, &out);
    return out;
}

static void recorded_prompts_are_near_the_estimate_and_below_the_bound(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(recordings); i++) {
        const struct recording *r = &recordings[i];
        struct arena a;
        arena_init(&a, NULL, (size_t)64 << 20);
        struct chat_count n = count_recording(&a, r);
        assert_true(n.is_bounded && n.upper >= r->tokens && n.upper >= n.estimate);
        if (r->is_openai && token_has_ranks()) {
            int64_t off = n.estimate - r->tokens;
            assert_true((off < 0 ? -off : off) <= 8 + r->tokens / 3);
        }
        arena_deinit(&a);
    }
}

static struct chat_count count_text(enum chat_family family, const char *model, struct slice text)
{
    struct chat_counter c;
    struct chat_count out;
    chat_counter_init(&c, family, slice_str(model));
    chat_count_text(&c, text, &out);
    return out;
}

static void a_text_counts_as_its_family_does(void **state)
{
    (void)state;
    struct slice text =
        SLICE("The quick brown fox jumps over the lazy dog, and then it sleeps a while.");
    struct chat_count n = count_text(CHAT_FAMILY_OPENAI, "gpt-4o", text);
    assert_int_equal(n.estimate, (int64_t)token_count(TOKEN_O200K, text));
    assert_int_equal(n.upper, token_has_ranks() ? n.estimate : (int64_t)text.len);
    struct chat_count unknown = count_text(CHAT_FAMILY_OPENAI, "no-such-model", text);
    assert_int_equal(unknown.estimate, n.estimate);
    assert_int_equal(unknown.upper, (int64_t)text.len);
    struct chat_count old = count_text(CHAT_FAMILY_ANTHROPIC, "claude-opus-4-6", text);
    assert_int_equal(old.estimate, (n.estimate * 1200 + 500) / 1000);
    assert_int_equal(old.upper, (int64_t)text.len);
    static const char *const finer[] = {"claude-opus-4-7", "claude-opus-4.8-20260601",
                                        "claude-sonnet-5", "anthropic/claude-haiku-5-1"};
    for (size_t i = 0; i < ARRAY_LEN(finer); i++) {
        struct chat_count fine = count_text(CHAT_FAMILY_ANTHROPIC, finer[i], text);
        assert_int_equal(fine.estimate, (n.estimate * 1550 + 500) / 1000);
    }
    static const char *const coarse[] = {"claude-sonnet-4-7", "claude-3-5-sonnet-20241022",
                                         "claude-opus-4-20250514", "claude-sonnet-4-5-20250929",
                                         "claude"};
    for (size_t i = 0; i < ARRAY_LEN(coarse); i++) {
        assert_int_equal(count_text(CHAT_FAMILY_ANTHROPIC, coarse[i], text).estimate, old.estimate);
    }
    assert_int_equal(count_text(CHAT_FAMILY_GEMINI, "gemini-3-pro", text).estimate,
                     (int64_t)token_estimate(text));
    struct chat_count none = count_text(CHAT_FAMILY_ANTHROPIC, "claude-sonnet-5", SLICE_NONE);
    assert_true(none.estimate == 0 && none.upper == 0 && none.is_bounded);
    assert_int_equal(count_text(CHAT_FAMILY_ANTHROPIC, "claude-sonnet-5", SLICE("!")).estimate, 1);
}

static void a_model_has_its_family(void **state)
{
    (void)state;
    assert_int_equal(chat_family_of_model(SLICE("gpt-5-mini")), CHAT_FAMILY_OPENAI);
    assert_int_equal(chat_family_of_model(SLICE("openrouter/openai/o3")), CHAT_FAMILY_OPENAI);
    assert_int_equal(chat_family_of_model(SLICE("claude-sonnet-5")), CHAT_FAMILY_ANTHROPIC);
    assert_int_equal(chat_family_of_model(SLICE("us.anthropic.claude-opus-4-7-v1:0")),
                     CHAT_FAMILY_ANTHROPIC);
    assert_int_equal(chat_family_of_model(SLICE("google/gemini-3-pro")), CHAT_FAMILY_GEMINI);
    assert_int_equal(chat_family_of_model(SLICE("llama-3.3-70b")), CHAT_FAMILY_OTHER);
    assert_int_equal(chat_family_of_model(SLICE_NONE), CHAT_FAMILY_OTHER);
}

static void the_size_of_an_image_is_in_its_first_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *base64;
        int64_t width, height;
    } rows[] = {
        {"iVBORw0KGgoAAAANSUhEUgAABAAAAAMACAIAAAA=", 1024, 768},
        {"R0lGODlhQAHIAAAAAA==", 320, 200},
        {"/9j/4AAQSkZJRgABAQAAAQABAAD//gAFYWJj/8QABAAA///CABEIAlgDIAM=", 800, 600},
        {"_9j_4AAQSkZJRgABAQAAAQABAAD__gAFYWJj_8QABAAA___CABEIAlgDIAM=", 800, 600},
        {"UklGRgAAAABXRUJQVlA4IAAAAAAAAACdASomQnABAAA=", 550, 368},
        {"UklGRgAAAABXRUJQVlA4TAAAAAAvjwFLAAA=", 400, 301},
        {"UklGRgAAAABXRUJQVlA4WAoAAAAQAAAAzwcA5wMA", 2000, 1000},
        {"iVBORw0KGgoAAAANSUhEUv//////////", IMAGE_SIDE_MAX, IMAGE_SIDE_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice whole = slice_str(rows[i].base64);
        struct image_size size = {0, 0};
        assert_true(image_size_find(whole, &size));
        assert_int_equal(size.width, rows[i].width);
        assert_int_equal(size.height, rows[i].height);
        bool was_found = false;
        for (size_t cut = 0; cut <= whole.len; cut++) { /* none, then the same */
            struct image_size part = {0, 0};
            bool is_found = image_size_find(slice_head(whole, cut), &part);
            assert_true(is_found || !was_found);
            assert_true(!is_found || (part.width == size.width && part.height == size.height));
            was_found = is_found;
        }
    }
    struct image_size size;
    assert_false(image_size_find(SLICE_NONE, &size));
    assert_false(image_size_find(SLICE("!!!!!!!!!!!!!!!!!!!!"), &size));
    assert_false(
        image_size_find(SLICE("/9j/4AAA/9j/4AAA/9j/4AAA"), &size)); /* a segment of no length */
    assert_false(image_size_find(SLICE("iVBORw0KGgoAAAANSUhEUgAAAAAAAAAA"), &size));
}

static void an_image_counts_by_its_size_and_its_model(void **state)
{
    (void)state;
    static const char large[] = "iVBORw0KGgoAAAANSUhEUgAABAAAAAMACAIAAAA="; /* 1024 x 768 */
    static const char huge[] = "iVBORw0KGgoAAAANSUhEUgAAEAAAAAgA";          /* 4096 x 2048 */
    static const char small[] = "iVBORw0KGgoAAAANSUhEUgAAASwAAADI";         /* 300 x 200 */
    static const struct {
        enum chat_family family;
        const char *model, *data, *detail;
        int64_t estimate, upper;
        bool is_bounded;
    } rows[] = {
        {CHAT_FAMILY_OPENAI, "gpt-4o", large, "high", 85 + 170 * 4, 85 + 170 * 4, true},
        {CHAT_FAMILY_OPENAI, "gpt-4o", huge, "", 85 + 170 * 6, 85 + 170 * 6, true},
        {CHAT_FAMILY_OPENAI, "gpt-4o", small, "auto", 85 + 170, 85 + 170 * 6, true},
        {CHAT_FAMILY_OPENAI, "gpt-4o", large, "low", 85, 85, true},
        {CHAT_FAMILY_OPENAI, "gpt-4o", "", "low", 85, 85, true},
        {CHAT_FAMILY_OPENAI, "gpt-4o", "", "", 85 + 170 * 4, 85 + 170 * 8, false},
        {CHAT_FAMILY_OPENAI, "gpt-4o-mini", large, "", 2833 + 5667 * 4, 2833 + 5667 * 4, true},
        {CHAT_FAMILY_OPENAI, "gpt-5", large, "", 70 + 140 * 4, 70 + 140 * 4, true},
        {CHAT_FAMILY_OPENAI, "gpt-5.4", large, "", 70 + 140 * 4, 70 + 140 * 4, false},
        {CHAT_FAMILY_OPENAI, "openai/o3", large, "", 75 + 150 * 4, 75 + 150 * 4, true},
        {CHAT_FAMILY_OPENAI, "gpt-4.1-mini", large, "", 1245, 1245, true},
        {CHAT_FAMILY_OPENAI, "gpt-5-nano", huge, "", 3779, 3779, true},
        {CHAT_FAMILY_OPENAI, "o4-mini", "", "", 1762, 2642, true},
        {CHAT_FAMILY_ANTHROPIC, "claude-sonnet-4-5", large, "", 1049, 1065, true},
        {CHAT_FAMILY_ANTHROPIC, "claude-sonnet-4-5", huge, "", 1600, 1616, true},
        {CHAT_FAMILY_ANTHROPIC, "claude-sonnet-4-5", "", "", 1400, 1760, true},
        {CHAT_FAMILY_ANTHROPIC, "claude-opus-4-7", huge, "", 4424, 4440, true},
        {CHAT_FAMILY_GEMINI, "gemini-2.5-pro", small, "", 258, 258, true},
        {CHAT_FAMILY_GEMINI, "gemini-2.5-pro", large, "", 516, 516, true},
        {CHAT_FAMILY_GEMINI, "gemini-2.5-pro", "", "", 1032, 2064, false},
        {CHAT_FAMILY_GEMINI, "gemini-3-pro", "", "", 1120, 1120, true},
        {CHAT_FAMILY_OTHER, "qwen3-vl", large, "", 1024, 4096, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chat_part image = {.kind = CHAT_IMAGE,
                                  .data = slice_str(rows[i].data),
                                  .detail = slice_str(rows[i].detail)};
        struct chat_counter c;
        struct chat_count n;
        chat_counter_init(&c, rows[i].family, slice_str(rows[i].model));
        chat_count_image(&c, &image, &n);
        assert_int_equal(n.estimate, rows[i].estimate);
        assert_int_equal(n.upper, rows[i].upper);
        assert_int_equal(n.is_bounded, rows[i].is_bounded);
    }
}

static struct chat_count count_parts(enum chat_family family, const char *model,
                                     struct chat_part *parts, size_t count)
{
    struct chat_message m = {.role = CHAT_USER, .parts = parts, .part_count = count};
    struct chat_request r = {.messages = &m, .message_count = 1};
    struct chat_counter c;
    struct chat_count n;
    chat_counter_init(&c, family, slice_str(model));
    chat_count_prompt(&c, &r, &n);
    return n;
}

/* Every part adds to the estimate, and only what bytes cannot bound says so. */
static void every_part_is_counted(void **state)
{
    (void)state;
    struct chat_part inner = {.kind = CHAT_TEXT, .text = SLICE("result result result")};
    static const struct chat_part rows[] = {
        {.kind = CHAT_TEXT, .text = SLICE_INIT("some text")},
        {.kind = CHAT_REFUSAL, .text = SLICE_INIT("some text")},
        {.kind = CHAT_AUDIO, .data = SLICE_INIT("AAAAAAAAAAAAAAAA")},
        {.kind = CHAT_FILE,
         .data = SLICE_INIT("c29tZSB0ZXh0"),
         .media_type = SLICE_INIT("text/plain")},
        {.kind = CHAT_THINKING, .text = SLICE_INIT("some text")},
        {.kind = CHAT_TOOL_CALL, .name = SLICE_INIT("f"), .text = SLICE_INIT("{}")},
        {.kind = CHAT_AUDIO},
        {.kind = CHAT_FILE,
         .data = SLICE_INIT("JVBERi0x"),
         .media_type = SLICE_INIT("application/pdf")},
        {.kind = CHAT_FILE, .file_id = SLICE_INIT("file-1")},
    };
    enum { BOUNDED = 6 };
    for (int f = CHAT_FAMILY_OPENAI; f <= CHAT_FAMILY_OTHER; f++) {
        enum chat_family family = (enum chat_family)f;
        struct chat_count empty = count_parts(family, "gpt-4o", NULL, 0);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            struct chat_part part = rows[i];
            struct chat_count n = count_parts(family, "gpt-4o", &part, 1);
            assert_true(n.estimate > empty.estimate && n.upper > empty.upper);
            assert_true(n.upper >= n.estimate);
            assert_int_equal(n.is_bounded, i < BOUNDED);
        }
        struct chat_part result = {.kind = CHAT_TOOL_RESULT, .parts = &inner, .part_count = 1};
        assert_true(count_parts(family, "gpt-4o", &result, 1).estimate >= empty.estimate + 3);
    }
}

static void tools_and_schemas_are_counted(void **state)
{
    (void)state;
    struct slice schema =
        SLICE("{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}");
    struct chat_tool tools[] = {{.name = SLICE("weather"), .schema = schema},
                                {.raw = SLICE("{\"type\":\"web_search\"}")}};
    for (int f = CHAT_FAMILY_OPENAI; f <= CHAT_FAMILY_OTHER; f++) {
        struct chat_request r = {.tools = tools, .tool_count = 0};
        struct chat_counter c;
        struct chat_count none, one, named, formatted, hosted;
        chat_counter_init(&c, (enum chat_family)f, SLICE("gpt-4o"));
        chat_count_prompt(&c, &r, &none);
        r.format_schema = schema;
        chat_count_prompt(&c, &r, &formatted);
        r.format_schema = SLICE_NONE;
        r.tool_count = 1;
        chat_count_prompt(&c, &r, &one);
        r.tool_choice = CHAT_CHOICE_NAMED;
        r.tool_choice_name = SLICE("weather");
        chat_count_prompt(&c, &r, &named);
        r.tool_count = 2;
        chat_count_prompt(&c, &r, &hosted);
        assert_true(none.estimate < one.estimate && one.estimate < named.estimate);
        assert_true(none.estimate < formatted.estimate && formatted.upper > none.upper);
        assert_true(one.upper >= one.estimate && hosted.estimate > named.estimate);
        assert_true(one.is_bounded && named.is_bounded && !hosted.is_bounded);
        if (f == CHAT_FAMILY_ANTHROPIC) {
            assert_true(one.estimate >= 346);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_prompts_are_near_the_estimate_and_below_the_bound),
        cmocka_unit_test(a_text_counts_as_its_family_does),
        cmocka_unit_test(a_model_has_its_family),
        cmocka_unit_test(the_size_of_an_image_is_in_its_first_bytes),
        cmocka_unit_test(an_image_counts_by_its_size_and_its_model),
        cmocka_unit_test(every_part_is_counted),
        cmocka_unit_test(tools_and_schemas_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
