/* The traps of translation and the known bugs of other gateways, each by its name, where a client
 * speaks Responses or a provider does. Traps 5, 6, 8, 11 and 14 are in test_responses_request.c and
 * test_responses_stream.c. */
#include "run.h"

static bool has(struct slice in, const char *text)
{
    return slice_search(in, slice_str(text)) < in.len;
}

/* --- streams to clients of Responses -----------------------------------------------------------
 */

struct world {
    struct arena a;
    struct run k;
    yyjson_val *first, *last; /* events */
    size_t events, unnamed;   /* without an event: line of their type */
};

static void run(struct world *w, const struct dialect *from, struct slice in)
{
    run_whole(&w->a, from, &dialect_responses, in, &w->k);
    struct slice rest = text_slice(&w->k.bytes), name;
    w->first = w->last = NULL;
    w->events = w->unnamed = 0;
    while (rest.len) {
        yyjson_val *root = run_next(&w->a, &rest, &name);
        assert_non_null(root);
        w->first = w->first ? w->first : root;
        w->last = root;
        w->events++;
        w->unnamed += !slice_eq(name, json_get_string(root, "type"));
    }
}

static void to_responses(struct world *w, const struct dialect *from, const char *in)
{
    arena_init(&w->a, NULL, (size_t)64 << 20);
    run(w, from, slice_str(in));
    assert_int_equal(w->k.end, OK);
    assert_int_equal(w->k.terminals, 1);
    assert_int_equal(w->k.after_terminal, 0);
    assert_int_equal(w->unnamed, 0);
}

static yyjson_val *response(const struct world *w)
{
    return json_get(w->last, "response");
}

static yyjson_val *output(const struct world *w, size_t i)
{
    return yyjson_arr_get(json_get(response(w), "output"), i);
}

static struct slice first_text(const struct world *w, size_t i)
{
    return json_get_string(yyjson_arr_get_first(json_get(output(w, i), "content")), "text");
}

static int64_t used(const struct world *w, const char *member)
{
    return fixture_count(json_get(response(w), "usage"), member);
}

static int64_t used_of(const struct world *w, const char *details, const char *member)
{
    return fixture_count(json_get(json_get(response(w), "usage"), details), member);
}

#define O(delta)                                                                        \
    "data: {\"id\":\"c\",\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{" delta \
    "},\"finish_reason\":null}]}\n\n"
#define O_END(reason)                                                                        \
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason \
    "\"}]}\n\n"
#define O_USAGE                                                                                  \
    "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4," \
    "\"total_tokens\":13}}\n\n"
#define O_DONE        "data: [DONE]\n\n"

#define A(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define A_START(usage) \
    A("message_start", ",\"message\":{\"id\":\"msg_1\",\"model\":\"claude\",\"usage\":{" usage "}}")
#define A_TEXT                                                                                   \
    A("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}") \
    A("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}") \
    A("content_block_stop", ",\"index\":0")
#define A_DELTA(usage) \
    A("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{" usage "}")
#define A_STOP A("message_stop", "")

/* litellm#36091, #28354: the counts of caches were lost on the way to Responses. */
static void trap_2_prompts_hold_their_caches_litellm_36091_28354(void **state)
{
    (void)state;
    struct world w;
    to_responses(&w, &dialect_anthropic,
                 A_START("\"input_tokens\":10,\"cache_creation_input_tokens\":5,"
                         "\"cache_read_input_tokens\":7,\"output_tokens\":1")
                     A_TEXT A_DELTA("\"output_tokens\":3") A_STOP);
    assert_int_equal(used(&w, "input_tokens"), 22);
    assert_int_equal(used_of(&w, "input_tokens_details", "cached_tokens"), 7);
    assert_int_equal(used_of(&w, "input_tokens_details", "cache_write_tokens"), 5);
    assert_int_equal(used(&w, "output_tokens"), 3);
    assert_int_equal(used(&w, "total_tokens"), 25);
    arena_deinit(&w.a);
    to_responses(&w, &dialect_anthropic, /* null is 0 */
                 A_START("\"input_tokens\":10,\"cache_creation_input_tokens\":null,"
                         "\"cache_read_input_tokens\":null,\"output_tokens\":1")
                     A_TEXT A_DELTA("\"output_tokens\":3") A_STOP);
    assert_int_equal(used(&w, "input_tokens"), 10);
    assert_int_equal(used_of(&w, "input_tokens_details", "cached_tokens"), 0);
    arena_deinit(&w.a);
}

#define ANSWER(usage)                                                                         \
    "{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1,\"status\":\"completed\","   \
    "\"model\":\"m\",\"output\":[{\"type\":\"message\",\"id\":\"msg_1\",\"role\":"            \
    "\"assistant\",\"status\":\"completed\",\"content\":[{\"type\":\"output_text\",\"text\":" \
    "\"hi\",\"annotations\":[]}]}],\"usage\":" usage "}"

static void trap_2_and_are_taken_out_of_it_for_anthropics_clients(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int64_t input, read, written;
    } cases[] = {
        {ANSWER("{\"input_tokens\":22,\"input_tokens_details\":{\"cached_tokens\":7,"
                "\"cache_write_tokens\":5},\"output_tokens\":3,\"output_tokens_details\":{"
                "\"reasoning_tokens\":1},\"total_tokens\":25}"),
         10, 7, 5},
        {ANSWER("{\"input_tokens\":4,\"input_tokens_details\":{\"cached_tokens\":9},"
                "\"output_tokens\":3,\"total_tokens\":7}"),
         0, 4, 0}, /* more than the whole: no count goes below 0 */
        {ANSWER("{\"input_tokens\":4,\"input_tokens_details\":null,\"output_tokens\":3,"
                "\"output_tokens_details\":null,\"total_tokens\":7}"),
         4, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct chat_response r;
        struct slice body;
        yyjson_val *root;
        arena_init(&a, NULL, (size_t)1 << 20);
        assert_int_equal(dialect_responses.decode_response(&a, slice_str(cases[i].body), &r), OK);
        assert_int_equal(dialect_anthropic.encode_response(&a, &r, NULL, &body), OK);
        assert_int_equal(json_parse(&a, body, &root, NULL), OK);
        yyjson_val *usage = json_get(root, "usage");
        assert_int_equal(fixture_count(usage, "input_tokens"), cases[i].input);
        assert_int_equal(fixture_count(usage, "cache_read_input_tokens"), cases[i].read);
        assert_int_equal(fixture_count(usage, "cache_creation_input_tokens"), cases[i].written);
        assert_int_equal(fixture_count(usage, "output_tokens"), 3);
        arena_deinit(&a);
    }
}

static void trap_3_counts_of_message_delta_replace(void **state)
{
    (void)state;
    struct world w;
    to_responses(&w, &dialect_anthropic,
                 A_START("\"input_tokens\":10,\"output_tokens\":1")
                     A_TEXT A_DELTA("\"output_tokens\":3")
                         A_DELTA("\"input_tokens\":11,\"output_tokens\":8") A_STOP);
    assert_int_equal(used(&w, "output_tokens"), 8);
    assert_int_equal(used(&w, "input_tokens"), 11);
    arena_deinit(&w.a);
}

static void trap_4_a_chunk_without_choices_is_not_always_the_usage(void **state)
{
    (void)state;
    struct world w;
    to_responses(
        &w, &dialect_openai,
        "data: {\"id\":\"\",\"object\":\"chat.completion.chunk\",\"model\":\"\",\"choices\":[],"
        "\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n" O("\"role\":\"assistant\","
                                                                  "\"content\":\"\"")
            O("\"content\":\"hi\"") "data: {\"id\":\"c\",\"choices\":[],\"moderation\":{\"flagged\":false}}\n\n" O(
                "\"content\":\" you\"") O_END("stop") O_USAGE O_DONE);
    assert_true(slice_eq(first_text(&w, 0), SLICE("hi you")));
    assert_int_equal(used(&w, "input_tokens"), 9);
    assert_int_equal(used(&w, "output_tokens"), 4);
    arena_deinit(&w.a);
}

/* CLIProxyAPI#561: nothing came before the first event that a client waits for. */
static void trap_7_created_is_first_and_the_late_usage_is_told_cliproxyapi_561(void **state)
{
    (void)state;
    static const char *const streams[] = {
        O("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\","
          "\"arguments\":\"{}\"}}]") O_END("tool_calls") O_USAGE O_DONE,
        O("\"content\":\"hi\"") O_END("stop") O_USAGE O_DONE,
        O("\"content\":\"hi\"") O_END("stop") O_USAGE, /* and nothing behind it */
        "data: {\"id\":\"c\",\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
        "\"hi\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,"
        "\"completion_tokens\":4,\"total_tokens\":13}}\n\n" O_DONE,
    };
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        struct world w;
        to_responses(&w, &dialect_openai, streams[i]);
        assert_true(slice_eq(json_get_string(w.first, "type"), SLICE("response.created")));
        assert_true(slice_eq(json_get_string(w.last, "type"), SLICE("response.completed")));
        assert_int_equal(used(&w, "input_tokens"), 9);
        assert_int_equal(used(&w, "output_tokens"), 4);
        assert_int_equal(fixture_count(w.last, "sequence_number"), w.events - 1);
        arena_deinit(&w.a);
    }
}

#define G(parts, rest)                                                                    \
    "data: {\"candidates\":[{\"content\":{\"parts\":[" parts "],\"role\":\"model\"}" rest \
    "}],\"modelVersion\":\"gemini-x\",\"responseId\":\"r\",\"usageMetadata\":{"           \
    "\"promptTokenCount\":10,\"candidatesTokenCount\":4,\"thoughtsTokenCount\":6,"        \
    "\"totalTokenCount\":20}}\r\n\r\n"

static void trap_12_geminis_stop_blocks_and_thoughts(void **state)
{
    (void)state;
    struct world w;
    to_responses(&w, &dialect_gemini,
                 G("{\"text\":\"hm\",\"thought\":true}", "")
                     G("{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":1}}}",
                       ",\"finishReason\":\"STOP\""));
    assert_true(slice_eq(json_get_string(response(&w), "status"), SLICE("completed")));
    assert_true(slice_eq(json_get_string(output(&w, 0), "type"), SLICE("reasoning")));
    assert_true(slice_eq(json_get_string(output(&w, 1), "type"), SLICE("function_call")));
    assert_true(slice_eq(json_get_string(output(&w, 1), "arguments"), SLICE("{\"a\":1}")));
    assert_int_equal(used(&w, "output_tokens"), 10); /* candidates leave thoughts out */
    assert_int_equal(used_of(&w, "output_tokens_details", "reasoning_tokens"), 6);
    assert_int_equal(used(&w, "total_tokens"), 20);
    arena_deinit(&w.a);

    to_responses(&w, &dialect_gemini,
                 "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\r\n\r\n");
    assert_true(slice_eq(json_get_string(w.last, "type"), SLICE("response.incomplete")));
    assert_true(has(text_slice(&w.k.bytes), "\"reason\":\"content_filter\""));
    assert_true(has(text_slice(&w.k.bytes), "\"type\":\"refusal\""));
    arena_deinit(&w.a);
}

static void trap_13_framing_varies(void **state)
{
    (void)state;
    static const struct {
        const struct dialect *from;
        const char *in;
    } streams[] = {
        {&dialect_openai, /* no space, CR LF, CR, a comment, a byte order mark */
         "\xEF\xBB\xBF: hello\r\n\r\ndata:{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,"
         "\"delta\":{\"content\":\"hi\"}}]}\r\n\r\ndata:{\"id\":\"c\",\"choices\":[{\"index\":0,"
         "\"delta\":{},\"finish_reason\":\"stop\"}]}\r\rdata:[DONE]\r\r"},
        {&dialect_anthropic, /* no event: lines, padding behind the JSON */
         "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"c\"}}   \n\n"
         "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
         "\"text\",\"text\":\"\"}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
         "\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}   \n\n"
         "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
         "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n"
         "data: {\"type\":\"message_stop\"}\n\n"},
        {&dialect_gemini, "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hi\"}]},"
                          "\"finishReason\":\"STOP\"}]}\r\n\r\n"},
        {&dialect_responses, /* its own, without event: lines and with a [DONE] */
         "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"model\":\"m\"}}\r\n\r\n"
         "data:{\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"id\":\"i\","
         "\"type\":\"message\",\"content\":[]}}\n\n"
         "data: {\"type\":\"response.content_part.added\",\"output_index\":0,\"content_index\":0,"
         "\"part\":{\"type\":\"output_text\",\"text\":\"\"}}\n\n"
         "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_index\":0,"
         "\"delta\":\"hi\"}\n\n"
         "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"model\":\"m\","
         "\"status\":\"completed\",\"output\":[{\"id\":\"i\",\"type\":\"message\",\"content\":[{"
         "\"type\":\"output_text\",\"text\":\"hi\"}]}]}}\n\ndata: [DONE]\n\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        struct world w;
        struct run k;
        bool is_same = streams[i].from == &dialect_responses;
        if (is_same) { /* passes byte for byte; as a chat it ends with the [DONE] of that dialect */
            struct slice in = slice_str(streams[i].in);
            arena_init(&w.a, NULL, (size_t)4 << 20);
            run_whole(&w.a, streams[i].from, &dialect_responses, in, &k);
            assert_int_equal(k.end, OK);
            assert_true(slice_eq(text_slice(&k.bytes), slice_head(in, in.len - strlen(O_DONE))));
            run_whole(&w.a, streams[i].from, &dialect_openai, in, &k);
            assert_int_equal(k.end, OK);
            assert_true(slice_ends(text_slice(&k.bytes), SLICE("data: [DONE]\n\n")));
            assert_true(has(text_slice(&k.bytes), "\"content\":\"hi\""));
            arena_deinit(&w.a);
            continue;
        }
        to_responses(&w, streams[i].from, streams[i].in);
        assert_true(slice_eq(first_text(&w, 0), SLICE("hi")));
        assert_false(has(text_slice(&w.k.bytes), "[DONE]"));
        arena_deinit(&w.a);
    }
}

/* Texts have no contentBlockStart there, and the usage comes behind messageStop. */
static void bedrock_stream(struct arena *a, const char *name, struct slice in)
{
    struct world w;
    (void)name;
    w.a = *a;
    run(&w, &dialect_bedrock, in);
    assert_int_equal(w.k.end, OK);
    assert_true(slice_eq(json_get_string(w.first, "type"), SLICE("response.created")));
    assert_true(slice_eq(json_get_string(w.last, "type"), SLICE("response.completed")));
    assert_int_equal(used(&w, "input_tokens"), usage_prompt(&w.k.outcome.usage));
    assert_true(used(&w, "input_tokens") > 0 && used(&w, "output_tokens") > 0);
    const struct chat_response *r = dialect_stream_answer(w.k.stream);
    struct run back;
    run_whole(&w.a, &dialect_responses, &dialect_openai, text_slice(&w.k.bytes), &back);
    assert_int_equal(back.end, OK);
    run_check_same(&w.a, name, r, dialect_stream_answer(back.stream));
    *a = w.a;
}

static void trap_15_bedrocks_texts_begin_unsaid_and_its_usage_is_last(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(TEST_DATA_DIR "/bedrock", ".eventstream.bin", bedrock_stream),
                     6);
}

/* A backend that tells a call in one piece. */
static void whole_calls_in_one_piece_keep_their_arguments_litellm_25836(void **state)
{
    (void)state;
    struct world w;
    to_responses(&w, &dialect_openai,
                 O("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\","
                   "\"arguments\":\"{\\\"x\\\":1}\"}},{\"index\":1,\"id\":\"b\",\"function\":{"
                   "\"name\":\"g\",\"arguments\":\"{\\\"y\\\":2}\"}}]") O_END("tool_calls") O_DONE);
    assert_true(slice_eq(json_get_string(output(&w, 0), "arguments"), SLICE("{\"x\":1}")));
    assert_true(slice_eq(json_get_string(output(&w, 1), "arguments"), SLICE("{\"y\":2}")));
    assert_true(has(text_slice(&w.k.bytes), "\"delta\":\"{\\\"x\\\":1}\""));
    arena_deinit(&w.a);
}

/* The first call is item 1 behind a text, and call 0 of a chat. */
static void a_calls_index_is_not_its_items_litellm_5231(void **state)
{
    (void)state;
    struct world w;
    struct run back;
    to_responses(&w, &dialect_anthropic,
                 A_START("\"input_tokens\":1,\"output_tokens\":1")
                     A_TEXT A("content_block_start",
                              ",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\","
                              "\"name\":\"f\",\"input\":{}}")
                         A("content_block_stop", ",\"index\":1") A_DELTA("\"output_tokens\":3")
                             A_STOP);
    assert_true(slice_eq(json_get_string(output(&w, 1), "arguments"), SLICE("{}")));
    run_whole(&w.a, &dialect_responses, &dialect_openai, text_slice(&w.k.bytes), &back);
    assert_true(has(text_slice(&back.bytes), "\"tool_calls\":[{\"index\":0,\"id\":\"t\""));
    arena_deinit(&w.a);
}

/* --- requests of clients of Responses ----------------------------------------------------------
 */

static struct slice request(struct arena *a, const struct dialect *to, const char *body,
                            const struct dialect_profile *profile, struct slice *out_dropped)
{
    struct chat_ask k;
    struct fault f;
    struct body_parts parts;
    struct text joined = text_growing(a);
    yyjson_val *root;
    enum err e = dialect_responses.scan(a, CHAT_OP_CHAT, slice_str(body), &k, &f);
    e = e ? e : dialect_responses.decode_request(a, &k, &f);
    if (e) {
        fail_msg("%s: %.*s", body, SLICE_ARG(f.message));
    }
    const struct encode_options o = {.model = SLICE("m"),
                                     .profile = profile,
                                     .output_cap_tokens = -1,
                                     .output_model_tokens = 8192};
    assert_int_equal(to->encode_request(a, k.neutral, &o, &parts), OK);
    for (size_t i = 0; i < parts.count; i++) {
        text_add(&joined, parts.parts[i]);
    }
    assert_int_equal(json_parse(a, text_slice(&joined), &root, NULL), OK);
    *out_dropped = parts.dropped;
    return text_slice(&joined);
}

#define IN "\"model\":\"m\",\"input\":\"hi\""
#define TOOLS                                                                               \
    "\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"type\":\"object\"," \
    "\"properties\":{}}}]"
#define SCHEMA                                                                       \
    "\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"strict\":true," \
    "\"schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},"  \
    "\"required\":[\"a\"],\"additionalProperties\":false}}}"

static const struct dialect_profile oldest = {.takes_max_completion_tokens = false};

static void trap_1_sampling_does_not_reach_a_claude_that_refuses_it(void **state)
{
    (void)state;
    const struct dialect_profile newest = {.refuses_sampling = true};
    struct arena a;
    struct slice dropped;
    arena_init(&a, NULL, (size_t)1 << 20);
    struct slice body = request(&a, &dialect_anthropic,
                                "{" IN ",\"temperature\":0.2,\"top_p\":0.5}", &newest, &dropped);
    assert_false(has(body, "temperature") || has(body, "top_p"));
    assert_true(has(dropped, "temperature") && has(dropped, "top_p"));
    body = request(&a, &dialect_anthropic, "{" IN ",\"temperature\":0.2}", &oldest, &dropped);
    assert_true(has(body, "\"temperature\":0.2"));
    bool is_pinned = false; /* and the version is the one that takes it from the others */
    for (size_t i = 0; i < dialect_anthropic.header_count; i++) {
        const struct dialect_header *h = &dialect_anthropic.headers[i];
        is_pinned |= slice_eq(h->name, SLICE("anthropic-version")) &&
                     slice_eq(h->value, SLICE("2023-06-01"));
    }
    assert_true(is_pinned);
    arena_deinit(&a);
}

static void trap_9_a_bound_is_told_and_a_budget_is_below_it(void **state)
{
    (void)state;
    struct arena a;
    struct slice dropped;
    yyjson_val *root;
    arena_init(&a, NULL, (size_t)4 << 20);
    struct slice body = request(&a, &dialect_anthropic, "{" IN "}", &oldest, &dropped);
    assert_true(has(body, "\"max_tokens\":8192"));
    static const char *const efforts[] = {"minimal", "low", "medium", "high", "xhigh"};
    static const char *const bounds[] = {"", ",\"max_output_tokens\":1500",
                                         ",\"max_output_tokens\":4000"};
    for (size_t i = 0; i < ARRAY_LEN(efforts) * ARRAY_LEN(bounds); i++) {
        struct slice ask =
            arena_printf(&a, "{" IN ",\"reasoning\":{\"effort\":\"%s\"}%s}",
                         efforts[i / ARRAY_LEN(bounds)], bounds[i % ARRAY_LEN(bounds)]);
        body = request(&a, &dialect_anthropic, ask.ptr, &oldest, &dropped);
        assert_int_equal(json_parse(&a, body, &root, NULL), OK);
        yyjson_val *thinking = json_get(root, "thinking");
        int64_t budget = fixture_count(thinking, "budget_tokens");
        if (!thinking || budget < 1024 || budget >= fixture_count(root, "max_tokens")) {
            fail_msg("%.*s: %.*s", SLICE_ARG(ask), SLICE_ARG(body));
        }
    }
    arena_deinit(&a);
}

static void trap_10_a_demanded_tool_does_not_meet_thinking(void **state)
{
    (void)state;
    const struct dialect_profile native = {.takes_output_format = true};
    static const char *const choices[] = {"\"required\"", "{\"type\":\"function\",\"name\":\"f\"}"};
    struct arena a;
    struct slice dropped;
    yyjson_val *root;
    arena_init(&a, NULL, (size_t)4 << 20);
    for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
        struct slice ask = arena_printf(
            &a, "{" IN "," TOOLS ",\"tool_choice\":%s,\"reasoning\":{\"effort\":\"high\"}}",
            choices[i]);
        struct slice body = request(&a, &dialect_anthropic, ask.ptr, &oldest, &dropped);
        assert_int_equal(json_parse(&a, body, &root, NULL), OK);
        struct slice choice = json_get_string(json_get(root, "tool_choice"), "type");
        struct slice thinking = json_get_string(json_get(root, "thinking"), "type");
        bool is_forced = slice_eq(choice, SLICE("any")) || slice_eq(choice, SLICE("tool"));
        assert_false(is_forced && slice_eq(thinking, SLICE("enabled")));
        assert_true(is_forced || has(dropped, "tool_choice"));
    }
    struct slice body =
        request(&a, &dialect_anthropic, "{" IN "," SCHEMA ",\"reasoning\":{\"effort\":\"high\"}}",
                &native, &dropped);
    assert_true(has(body, "\"output_config\":{\"format\":{\"type\":\"json_schema\""));
    assert_false(has(body, "tool_choice"));
    body = request(&a, &dialect_anthropic,
                   "{" IN "," SCHEMA ",\"reasoning\":{\"effort\":\"high\"}}", &oldest, &dropped);
    assert_false(has(body, "\"type\":\"tool\"") && has(body, "\"type\":\"enabled\""));
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_1_sampling_does_not_reach_a_claude_that_refuses_it),
        cmocka_unit_test(trap_2_prompts_hold_their_caches_litellm_36091_28354),
        cmocka_unit_test(trap_2_and_are_taken_out_of_it_for_anthropics_clients),
        cmocka_unit_test(trap_3_counts_of_message_delta_replace),
        cmocka_unit_test(trap_4_a_chunk_without_choices_is_not_always_the_usage),
        cmocka_unit_test(trap_7_created_is_first_and_the_late_usage_is_told_cliproxyapi_561),
        cmocka_unit_test(trap_9_a_bound_is_told_and_a_budget_is_below_it),
        cmocka_unit_test(trap_10_a_demanded_tool_does_not_meet_thinking),
        cmocka_unit_test(trap_12_geminis_stop_blocks_and_thoughts),
        cmocka_unit_test(trap_13_framing_varies),
        cmocka_unit_test(trap_15_bedrocks_texts_begin_unsaid_and_its_usage_is_last),
        cmocka_unit_test(whole_calls_in_one_piece_keep_their_arguments_litellm_25836),
        cmocka_unit_test(a_calls_index_is_not_its_items_litellm_5231),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
