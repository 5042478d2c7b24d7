/* Responses streams: recorded ones pass byte for byte in every cut and say what the recording says;
 * stored ones become bodies and back; between this dialect and the others texts, calls and usage
 * stay, and what is written has the ladder of events that SDKs rely on. */
#include "trial.h"

static const char *const dir = TEST_DATA_DIR "/openai-responses";

static bool is_failed_recording(const char *name)
{
    return strcmp(name, "vai-openai-error-1.sse") == 0;
}

/* The last event's response. */
static yyjson_val *last_response(struct arena *a, struct slice events)
{
    yyjson_val *last = NULL;
    while (events.len) {
        struct slice name;
        yyjson_val *root = run_next(a, &events, &name);
        last = json_get(root, "response") ? json_get(root, "response") : last;
    }
    return last;
}

static void check_usage(yyjson_val *u, const struct usage *got)
{
    assert_true(got->is_known);
    assert_int_equal(usage_prompt(got), fixture_count(u, "input_tokens"));
    assert_int_equal(usage_completion(got), fixture_count(u, "output_tokens"));
    assert_int_equal(usage_total(got), fixture_count(u, "total_tokens"));
    assert_int_equal(got->cache_read,
                     fixture_count(json_get(u, "input_tokens_details"), "cached_tokens"));
    assert_int_equal(got->reasoning,
                     fixture_count(json_get(u, "output_tokens_details"), "reasoning_tokens"));
}

static void relay_fixture(struct arena *a, const char *name, struct slice in)
{
    struct run whole;
    bool is_failed = is_failed_recording(name);
    trial_relay(a, &dialect_responses, name, in, !is_failed, &whole);
    assert_true(whole.outcome.kept_id.len > 0);
    if (!is_failed) {
        assert_true(whole.outcome.output_bytes > 0);
        check_usage(json_get(last_response(a, in), "usage"), &whole.outcome.usage);
    }
}

static void recorded_streams_pass_byte_for_byte_in_every_cut(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(dir, ".sse", relay_fixture), 7);
}

/* --- the ladder --------------------------------------------------------------------------------
 */

enum { ITEMS_MAX = 64 };
struct ladder {
    struct slice ids[ITEMS_MAX];
    bool is_done[ITEMS_MAX], has_part[ITEMS_MAX];
    int64_t items, sequence;
    bool is_begun, is_over;
    struct text texts[ITEMS_MAX]; /* of deltas */
};

static bool is(struct slice s, const char *text)
{
    return slice_eq(s, slice_str(text));
}

/* What an SDK's accumulator looks at: places, ids, that the whole is the sum of its pieces. */
static void climb_item(struct ladder *l, yyjson_val *root, struct slice type)
{
    int64_t at = fixture_count(root, "output_index");
    yyjson_val *item = json_get(root, "item");
    if (is(type, "response.output_item.added")) {
        assert_int_equal(at, l->items);
        assert_true(at < ITEMS_MAX);
        l->ids[at] = json_get_string(item, "id");
        assert_true(l->ids[at].len > 0);
        l->items++;
        return;
    }
    assert_true(at >= 0 && at < l->items && !l->is_done[at]);
    if (is(type, "response.output_item.done")) {
        assert_true(slice_eq(json_get_string(item, "id"), l->ids[at]));
        l->is_done[at] = true;
        return;
    }
    assert_true(slice_eq(json_get_string(root, "item_id"), l->ids[at]));
    if (slice_ends(type, SLICE("part.added"))) {
        l->has_part[at] = true;
    } else if (slice_ends(type, SLICE(".delta"))) {
        bool is_call =
            slice_ends(type, SLICE("arguments.delta")) || slice_ends(type, SLICE("input.delta"));
        assert_true(l->has_part[at] || is_call);
        text_add(&l->texts[at], json_get_string(root, "delta"));
    } else if (slice_ends(type, SLICE("text.done")) || slice_ends(type, SLICE("arguments.done")) ||
               slice_ends(type, SLICE("input.done")) || slice_ends(type, SLICE("refusal.done"))) {
        static const char *const members[] = {"text", "arguments", "input", "refusal"};
        struct slice whole = SLICE_NONE;
        for (size_t i = 0; i < ARRAY_LEN(members); i++) {
            whole = whole.ptr ? whole : json_get_string(root, members[i]);
        }
        assert_true(slice_eq(whole, text_slice(&l->texts[at])));
    }
}

static void climb(struct arena *a, struct ladder *l, struct slice events)
{
    memset(l, 0, sizeof(*l));
    for (size_t i = 0; i < ITEMS_MAX; i++) {
        l->texts[i] = text_growing(a);
    }
    while (events.len) {
        struct slice name;
        yyjson_val *root = run_next(a, &events, &name);
        assert_non_null(root); /* no [DONE] here (trap 13) */
        assert_true(slice_eq(name, json_get_string(root, "type")));
        assert_int_equal(fixture_count(root, "sequence_number"), l->sequence++);
        assert_false(l->is_over);
        yyjson_val *response = json_get(root, "response");
        if (!response) {
            assert_true(l->is_begun);
            climb_item(l, root, name);
            continue;
        }
        assert_int_equal(l->is_begun, l->sequence != 1);
        l->is_begun = true;
        l->is_over = !is(name, "response.created") && !is(name, "response.in_progress");
        if (l->is_over) {
            assert_int_equal(yyjson_arr_size(json_get(response, "output")), l->items);
        }
    }
    assert_true(l->is_over);
    for (int64_t i = 0; i < l->items; i++) {
        assert_true(l->is_done[i]);
    }
}

/* --- between dialects --------------------------------------------------------------------------
 */

static void round_trip(struct arena *a, const char *name, const struct dialect *from,
                       const struct dialect *to, struct slice in)
{
    struct trial_trip t;
    struct ladder l;
    trial_trip(a, name, from, to, in, &t);
    climb(a, &l, text_slice(from == &dialect_responses ? &t.back.bytes : &t.there.bytes));
}

static void responses_fixture(struct arena *a, const char *name, struct slice in)
{
    bool is_custom = strcmp(name, "vai-openai-custom-tool-1.sse") == 0;
    if (!is_failed_recording(name)) {
        round_trip(a, name, &dialect_responses, &dialect_openai, in);
    }
    if (is_custom) { /* Anthropic knows no tools of free text: it goes inside an object */
        struct run k, back;
        run_whole(a, &dialect_responses, &dialect_anthropic, in, &k);
        assert_int_equal(k.end, OK);
        run_whole(a, &dialect_anthropic, &dialect_responses, text_slice(&k.bytes), &back);
        assert_true(slice_eq(run_arguments(dialect_stream_answer(back.stream), 0),
                             SLICE("{\"input\":\"SELECT * FROM users WHERE age > 25\"}")));
    } else if (!is_failed_recording(name)) {
        round_trip(a, name, &dialect_responses, &dialect_anthropic, in);
    }
}

static void openai_fixture(struct arena *a, const char *name, struct slice in)
{
    round_trip(a, name, &dialect_openai, &dialect_responses, in);
}

static void anthropic_fixture(struct arena *a, const char *name, struct slice in)
{
    round_trip(a, name, &dialect_anthropic, &dialect_responses, in);
}

static void recorded_streams_keep_what_they_say_from_here_to_chat_and_anthropic(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(dir, ".sse", responses_fixture), 7);
}

static void recorded_streams_keep_what_they_say_from_chat_and_anthropic_to_here(void **state)
{
    (void)state;
    assert_int_equal(fixture_each(".sse", openai_fixture), 19);
    assert_int_equal(fixture_each_in(TEST_DATA_DIR "/anthropic", ".sse", anthropic_fixture), 16);
}

/* --- stored answers ----------------------------------------------------------------------------
 */

static void stored_fixture(struct arena *a, const char *name, struct slice in)
{
    struct slice unused;
    struct ladder l;
    if (is_failed_recording(name)) {
        assert_int_equal(dialect_events_to_body(a, &dialect_responses, CHAT_OP_CHAT, in, &unused),
                         E_SYNTAX);
        return;
    }
    struct slice events = trial_stored(a, &dialect_responses, name, in, true);
    if (strcmp(name, "vai-github-copilot-id-rotation-1.sse") != 0) { /* its ids differ */
        climb(a, &l, events);
    }
}

static void stored_streams_and_bodies_turn_into_each_other(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(dir, ".sse", stored_fixture), 7);
}

/* --- by name -----------------------------------------------------------------------------------
 */

#define EV(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define CREATED                                                                         \
    EV("response.created",                                                              \
       ",\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\",\"model\":\"gpt\"," \
       "\"created_at\":7,\"output\":[]}")
#define ADDED(i, item) EV("response.output_item.added", ",\"output_index\":" #i ",\"item\":" item)
#define DONE(i, item)  EV("response.output_item.done", ",\"output_index\":" #i ",\"item\":" item)
#define SAY(i, text)                 \
    EV("response.output_text.delta", \
       ",\"output_index\":" #i ",\"content_index\":0,\"item_id\":\"x\",\"delta\":\"" text "\"")
#define ARGS(i, text)                            \
    EV("response.function_call_arguments.delta", \
       ",\"output_index\":" #i ",\"item_id\":\"x\",\"delta\":\"" text "\"")
#define CALL(i)                                                                                    \
    "{\"type\":\"function_call\",\"id\":\"fc_" #i "\",\"call_id\":\"call_" #i "\",\"name\":\"f" #i \
    "\",\"arguments\":\"\"}"
#define END(type, status, rest)                                                  \
    EV("response." type, ",\"response\":{\"id\":\"resp_1\",\"status\":\"" status \
                         "\",\"model\":\"gpt\",\"output\":[]" rest "}")
#define USAGE                                                                        \
    ",\"usage\":{\"input_tokens\":12,\"input_tokens_details\":{\"cached_tokens\":4," \
    "\"cache_write_tokens\":2},\"output_tokens\":5,\"output_tokens_details\":{"      \
    "\"reasoning_tokens\":3},\"total_tokens\":17}"
#define COMPLETED END("completed", "completed", USAGE)

static void same(const char *in, enum err want, const char *out, struct run *k)
{
    trial_cuts(&dialect_responses, in, want, out, k);
}

/* There is no [DONE] (trap 13): response.completed or response.incomplete ends it, and only they.
 */
static void a_cut_is_never_a_clean_end(void **state)
{
    (void)state;
    struct run k;
    same("", E_EOF, "", &k);
    same(CREATED, E_EOF, CREATED, &k);
    same(CREATED SAY(0, "a"), E_EOF, CREATED SAY(0, "a"), &k);
    assert_false(k.outcome.is_complete);
    assert_int_equal(k.outcome.output_bytes, 1);
    same(CREATED COMPLETED SAY(0, "late"), OK, CREATED COMPLETED, &k);
    assert_true(k.outcome.is_complete && k.outcome.has_usage);
    assert_int_equal(k.outcome.usage.input, 6);
    assert_int_equal(k.outcome.usage.cache_read, 4);
    assert_int_equal(k.outcome.usage.cache_write_5m, 2);
    assert_int_equal(k.outcome.usage.output, 2);
    assert_int_equal(k.outcome.usage.reasoning, 3);
    same(CREATED "data: [DONE]\n\n", E_EOF, CREATED "data: [DONE]\n\n", &k);
    same(CREATED COMPLETED "data: [DONE]\n\n", OK, CREATED COMPLETED, &k);
}

/* The terminal event carries the usage, so it is sent with its own bytes though its blank line is
 * missing. */
static void a_last_event_without_its_blank_line_is_ended(void **state)
{
    (void)state;
    struct slice whole = SLICE(CREATED COMPLETED);
    for (size_t lacking = 1; lacking <= 2; lacking++) {
        struct arena a;
        struct run k;
        arena_init(&a, NULL, (size_t)4 << 20);
        run_stream(&a, &dialect_responses, &dialect_responses,
                   slice_head(whole, whole.len - lacking), 40, 0, &k);
        assert_int_equal(k.end, OK);
        assert_int_equal(k.terminals, 1);
        assert_true(slice_eq(text_slice(&k.bytes), whole));
        assert_true(k.outcome.has_usage);
        arena_deinit(&a);
    }
}

static void every_status_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *end;
        enum chat_finish finish;
    } cases[] = {
        {END("completed", "completed", ""), CHAT_FINISH_STOP},
        {EV("response.completed", ",\"response\":{\"status\":\"completed\",\"output\":[{\"type\":"
                                  "\"message\"},{\"type\":\"function_call\"}]}"),
         CHAT_FINISH_TOOL_CALLS},
        {EV("response.completed", ",\"response\":{\"output\":[{\"type\":\"custom_tool_call\"}]}"),
         CHAT_FINISH_TOOL_CALLS},
        {END("incomplete", "incomplete",
             ",\"incomplete_details\":{\"reason\":\"max_output_tokens\"}"),
         CHAT_FINISH_LENGTH},
        {END("incomplete", "incomplete", ",\"incomplete_details\":{\"reason\":\"content_filter\"}"),
         CHAT_FINISH_FILTER},
        {END("incomplete", "incomplete", ",\"incomplete_details\":{\"reason\":\"steered\"}"),
         CHAT_FINISH_STOP},
        {END("incomplete", "incomplete", ""), CHAT_FINISH_LENGTH},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char in[2048];
        (void)snprintf(in, sizeof(in), CREATED "%s", cases[i].end);
        trial_finish(&dialect_responses, in, cases[i].finish);
    }
}

/* Trap 14, and what is told twice is passed on once in other words. */
static void errors_inside_a_stream_are_marked(void **state)
{
    (void)state;
    static const char *const streams[] = {
        EV("error", ",\"code\":\"server_error\",\"message\":\"Overl\\u006faded\",\"param\":null"),
        EV("error", ",\"error\":{\"message\":\"Overloaded\",\"code\":1}"),
        EV("error", ",\"message\":\"Overloaded\"")
            END("failed", "failed", ",\"error\":{\"code\":\"x\",\"message\":\"again\"}"),
        END("failed", "failed", ",\"error\":{\"code\":\"x\",\"message\":\"Overloaded\"}"),
        "data: {\"error\":\"Overloaded\"}\n\n",
        "event: error\ndata: {\"message\":\"Overloaded\"}\n\n",
    };
    static const struct dialect *const clients[] = {&dialect_responses, &dialect_openai,
                                                    &dialect_anthropic, &dialect_own};
    for (size_t i = 0; i < ARRAY_LEN(streams) * ARRAY_LEN(clients); i++) {
        const struct dialect *client = clients[i % ARRAY_LEN(clients)];
        bool is_twice = client == &dialect_responses && i / ARRAY_LEN(clients) == 2;
        trial_error(&dialect_responses, client, CREATED SAY(0, "a"),
                    streams[i / ARRAY_LEN(clients)], is_twice ? 2 : 1);
    }
}

static void another_dialects_error_has_both_events(void **state)
{
    (void)state;
    struct arena a;
    struct run k;
    arena_init(&a, NULL, (size_t)4 << 20);
    run_whole(&a, &dialect_openai, &dialect_responses,
              SLICE("data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{"
                    "\"content\":\"hi\"}}]}\n\ndata: {\"error\":{\"message\":\"broke\"}}\n\n"),
              &k);
    assert_int_equal(k.end, E_EOF);
    assert_int_equal(k.errors, 1);
    struct slice rest = text_slice(&k.bytes), name;
    int64_t sequence = -1;
    yyjson_val *root = NULL, *before = NULL;
    while (rest.len) {
        before = root;
        root = run_next(&a, &rest, &name);
        assert_true(fixture_count(root, "sequence_number") == ++sequence);
    }
    assert_true(is(name, "response.failed"));
    assert_true(
        is(json_get_string(json_get(json_get(root, "response"), "error"), "message"), "broke"));
    assert_true(is(json_get_string(before, "type"), "error"));
    assert_true(is(json_get_string(before, "message"), "broke"));
    assert_true(is(json_get_string(json_get(before, "error"), "message"), "broke"));
    arena_deinit(&a);
}

#define O(delta)                                                                        \
    "data: {\"id\":\"c\",\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{" delta \
    "},\"finish_reason\":null}]}\n\n"
#define O_END(reason)                                                                        \
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason \
    "\"}]}\n\ndata: [DONE]\n\n"
#define O_CALL(i)                                                                              \
    O("\"tool_calls\":[{\"index\":" #i ",\"id\":\"call_" #i "\",\"function\":{\"name\":\"f" #i \
      "\",\"arguments\":\"\"}}]")
#define O_ARGS(i, text) \
    O("\"tool_calls\":[{\"index\":" #i ",\"function\":{\"arguments\":\"" text "\"}}]")

struct world {
    struct arena a;
    struct run k;
    struct ladder l;
};

static void to_here(struct world *w, const char *in)
{
    arena_init(&w->a, NULL, (size_t)32 << 20);
    run_whole(&w->a, &dialect_openai, &dialect_responses, slice_str(in), &w->k);
}

static bool has(const struct world *w, const char *text)
{
    return slice_search(text_slice(&w->k.bytes), slice_str(text)) < w->k.bytes.len;
}

/* Trap 5: OpenAI's chat calls interleave; each keeps its own arguments. */
static void interleaved_calls_keep_their_arguments(void **state)
{
    (void)state;
    struct world w;
    static const char *const want[] = {"{\"x\":1}", "{\"y\":2}", "{\"z\":3}"};
    to_here(&w,
            O_CALL(0) O_ARGS(0, "{\\\"x\\\":") O_CALL(1) O_ARGS(1, "{\\\"y\\\":2}") O_ARGS(0, "1}")
                O_CALL(2) O_ARGS(2, "{\\\"z\\\"") O_ARGS(2, ":3}") O_END("tool_calls"));
    assert_int_equal(w.k.end, OK);
    climb(&w.a, &w.l, text_slice(&w.k.bytes));
    yyjson_val *output = json_get(last_response(&w.a, text_slice(&w.k.bytes)), "output");
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(is(json_get_string(yyjson_arr_get(output, i), "arguments"), want[i]));
    }
    arena_deinit(&w.a);
}

/* Trap 6: a call without arguments has {}; one that never gets a name is no answer. */
static void odd_calls_are_put_in_order(void **state)
{
    (void)state;
    struct world w;
    to_here(&w, O_CALL(0) O_END("tool_calls"));
    assert_int_equal(w.k.end, OK);
    climb(&w.a, &w.l, text_slice(&w.k.bytes));
    assert_true(has(&w, "\"arguments\":\"{}\""));
    arena_deinit(&w.a);
    to_here(&w, O_ARGS(0, "{\\\"a\\\":") O("\"content\":\"mid\"") O_CALL(0) O_ARGS(0, "1}")
                    O_CALL(0) O("\"content\":\"dle\"") O_ARGS(0, " ") O_END("stop"));
    assert_int_equal(w.k.end, OK);
    climb(&w.a, &w.l, text_slice(&w.k.bytes));
    assert_true(has(&w, "\"arguments\":\"{\\\"a\\\":1}\""));
    arena_deinit(&w.a);
    to_here(&w, O_ARGS(0, "{}") O_END("stop"));
    assert_int_equal(w.k.end, E_SYNTAX);
    arena_deinit(&w.a);
    to_here(&w, O_CALL(0) O_ARGS(0, "{}") O("\"content\":\"x\"") O_ARGS(0, "more") O_END("stop"));
    assert_int_equal(w.k.end, E_SYNTAX);
    arena_deinit(&w.a);
}

static void an_answer_that_was_cut_is_incomplete(void **state)
{
    (void)state;
    static const struct {
        const char *reason, *want;
    } cases[] = {{"length", "{\"reason\":\"max_output_tokens\"}"},
                 {"content_filter", "{\"reason\":\"content_filter\"}"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w;
        struct slice in;
        arena_init(&w.a, NULL, (size_t)4 << 20);
        in = arena_printf(&w.a, O("\"content\":\"a\"") O_END("%s"), cases[i].reason);
        run_whole(&w.a, &dialect_openai, &dialect_responses, in, &w.k);
        assert_int_equal(w.k.end, OK);
        climb(&w.a, &w.l, text_slice(&w.k.bytes));
        assert_true(has(&w, "event: response.incomplete\n"));
        assert_true(has(&w, cases[i].want));
        arena_deinit(&w.a);
    }
}

/* Codex's apply_patch: a tool of free text, which elsewhere is a function of one text. */
static void a_custom_tools_call_is_custom_again(void **state)
{
    (void)state;
    static const char call[] =
        O("\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"apply_patch\","
          "\"arguments\":\"\"}}]") O_ARGS(0, "{\\\"input\\\":\\\"a") O_ARGS(0, "\\\\nb\\\"}")
            O_END("tool_calls");
    struct chat_tool tool = {.name = SLICE("apply_patch"), .is_custom = true};
    const struct chat_request r = {.tools = &tool, .tool_count = 1, .parallel_tool_calls = -1};
    struct arena a;
    struct run k = {.end = OK};
    struct ladder l;
    arena_init(&a, NULL, (size_t)4 << 20);
    k.bytes = text_growing(&a);
    struct stream_options o = {.provider = &dialect_openai,
                               .client = &dialect_responses,
                               .request = &r,
                               .event_max_bytes = 65536,
                               .on_bytes = run_on_bytes,
                               .ctx = &k};
    assert_int_equal(dialect_stream_new(&a, &o, &k.outcome, &k.stream), OK);
    assert_int_equal(dialect_stream_feed(k.stream, slice_str(call)), OK);
    assert_int_equal(dialect_stream_end(k.stream), OK);
    climb(&a, &l, text_slice(&k.bytes));
    yyjson_val *response = last_response(&a, text_slice(&k.bytes));
    yyjson_val *item = yyjson_arr_get_first(json_get(response, "output"));
    assert_true(is(json_get_string(item, "type"), "custom_tool_call"));
    assert_true(is(json_get_string(item, "input"), "a\nb"));
    assert_int_equal(yyjson_arr_size(json_get(response, "tools")), 1);
    arena_deinit(&a);
}

/* Trap 11: Claude's proof comes back with its maker's name, and so never reaches another. */
static void a_thoughts_proof_names_its_maker(void **state)
{
    (void)state;
    static const char claude[] =
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\","
        "\"model\":\"c\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
        "\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
        "\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
        "\"delta\":{\"type\":\"signature_delta\",\"signature\":\"SIG\"}}\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,"
        "\"content_block\":{\"type\":\"redacted_thinking\",\"data\":\"RED\"}}\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n"
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
        "\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n"
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    struct world w;
    struct run back;
    arena_init(&w.a, NULL, (size_t)4 << 20);
    run_whole(&w.a, &dialect_anthropic, &dialect_responses, slice_str(claude), &w.k);
    assert_int_equal(w.k.end, OK);
    climb(&w.a, &w.l, text_slice(&w.k.bytes));
    assert_true(has(&w, "\"encrypted_content\":\"anthropic:SIG\""));
    assert_true(has(&w, "\"encrypted_content\":\"data:anthropic:RED\""));
    run_whole(&w.a, &dialect_responses, &dialect_anthropic, text_slice(&w.k.bytes), &back);
    struct chat_part one = run_part(dialect_stream_answer(back.stream), 0);
    struct chat_part two = run_part(dialect_stream_answer(back.stream), 1);
    assert_true(is(one.text, "hm") && is(one.signature, "SIG") && is(one.provider, "anthropic"));
    assert_true(is(two.data, "RED") && is(two.provider, "anthropic"));
    arena_deinit(&w.a);
}

/* Copilot's ids change from event to event: items are known by their place. Some servers tell an
 * item only when it is done. */
static void items_are_known_by_their_place(void **state)
{
    (void)state;
    struct arena a;
    struct run k;
    arena_init(&a, NULL, (size_t)4 << 20);
    run_whole(&a, &dialect_responses, &dialect_openai,
              SLICE(CREATED ADDED(0, CALL(0)) ADDED(1, CALL(1)) ARGS(1, "{\\\"b\\\":2}")
                        ARGS(0, "{\\\"a\\\":1}") DONE(0, CALL(0)) DONE(1, CALL(1))
                            DONE(2, "{\"type\":\"function_call\",\"call_id\":\"z\",\"name\":\"g\","
                                    "\"arguments\":\"{\\\"c\\\":3}\"}")
                                DONE(3, "{\"type\":\"function_call\",\"call_id\":\"y\",\"name\":"
                                        "\"h\",\"arguments\":\"\"}")
                                    DONE(4, "{\"type\":\"message\",\"content\":[{\"type\":"
                                            "\"output_text\",\"text\":\"said\"}]}")
                                        DONE(5, "{\"type\":\"web_search_call\",\"id\":\"ws\"}")
                                            COMPLETED),
              &k);
    assert_int_equal(k.end, OK);
    static const char *const want[] = {"{\"a\":1}", "{\"b\":2}", "{\"c\":3}", "{}"};
    const struct chat_response *r = dialect_stream_answer(k.stream);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(slice_eq(run_arguments(r, i), slice_str(want[i])));
    }
    assert_true(is(run_text(&a, r, CHAT_TEXT), "said"));
    assert_int_equal(r->choices[0].finish, CHAT_FINISH_TOOL_CALLS);
    assert_int_equal(run_part(r, 5).kind, CHAT_OPAQUE);
    arena_deinit(&a);
}

static void what_is_no_stream_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"<html>\n<body>\n\n", "{\"output\":[]}\n\n",
                                      "data: hello\n\n",    "data: [1]\n\n",
                                      "data: {\"a\":}\n\n", "upstream connect error\n\n"};
    static const char *const cut[] = {"", CREATED, CREATED SAY(0, "x"), EV("error", ""),
                                      EV("response.completed", "")};
    trial_no_stream(&dialect_responses, bad, ARRAY_LEN(bad), cut, ARRAY_LEN(cut));
}

static void survives_any_lack_of_memory(void **state)
{
    (void)state;
    static const struct {
        const struct dialect *from, *to;
    } pairs[] = {{&dialect_responses, &dialect_responses},
                 {&dialect_responses, &dialect_openai},
                 {&dialect_responses, &dialect_anthropic},
                 {&dialect_responses, &dialect_own},
                 {&dialect_openai, &dialect_responses}};
    struct slice ours = SLICE(CREATED ADDED(0, "{\"type\":\"reasoning\",\"id\":\"r\"}")
                                  DONE(0, "{\"type\":\"reasoning\",\"summary\":[{\"text\":\"t\"}],"
                                          "\"encrypted_content\":\"E\"}") SAY(1, "a")
                                      ADDED(2, CALL(2)) ARGS(2, "{}") DONE(2, CALL(2)) COMPLETED);
    struct slice chat = SLICE(O("\"reasoning_content\":\"t\"") O("\"content\":\"a\"") O_CALL(0)
                                  O_ARGS(0, "{}") O_CALL(1) O_END("tool_calls"));
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        const struct trial_meal m = {pairs[i].from, pairs[i].to,
                                     pairs[i].from == &dialect_openai ? chat : ours,
                                     &dialect_responses, ours};
        fixture_starve(trial_starved, &m, 160000, 512);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_streams_pass_byte_for_byte_in_every_cut),
        cmocka_unit_test(recorded_streams_keep_what_they_say_from_here_to_chat_and_anthropic),
        cmocka_unit_test(recorded_streams_keep_what_they_say_from_chat_and_anthropic_to_here),
        cmocka_unit_test(stored_streams_and_bodies_turn_into_each_other),
        cmocka_unit_test(a_cut_is_never_a_clean_end),
        cmocka_unit_test(a_last_event_without_its_blank_line_is_ended),
        cmocka_unit_test(every_status_is_known),
        cmocka_unit_test(errors_inside_a_stream_are_marked),
        cmocka_unit_test(another_dialects_error_has_both_events),
        cmocka_unit_test(interleaved_calls_keep_their_arguments),
        cmocka_unit_test(odd_calls_are_put_in_order),
        cmocka_unit_test(an_answer_that_was_cut_is_incomplete),
        cmocka_unit_test(a_custom_tools_call_is_custom_again),
        cmocka_unit_test(a_thoughts_proof_names_its_maker),
        cmocka_unit_test(items_are_known_by_their_place),
        cmocka_unit_test(what_is_no_stream_is_refused),
        cmocka_unit_test(survives_any_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
