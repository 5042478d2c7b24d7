/* Between the API's words and those of OpenAI and Anthropic, both ways: streams and whole answers
 * keep texts, calls and usage; the traps and the known bugs of other gateways, each by its name. */
#include "trial.h"

static const char *const dir = TEST_DATA_DIR "/gemini";

/* --- the form of a stream for Google's SDKs ----------------------------------------------------
 */

/* Every event is an answer with the model's name; the last one alone tells the finish and the
 * usage; nothing but data: lines that end in CR LF (trap 13). */
static void check_form(struct arena *a, struct slice events)
{
    bool is_over = false;
    while (events.len) {
        struct slice event = slice_head(events, slice_search(events, SLICE("\r\n\r\n")));
        yyjson_val *root;
        assert_true(slice_starts(event, SLICE("data: {")));
        assert_int_equal(json_parse(a, slice_from(event, 6), &root, NULL), OK);
        events = slice_from(events, event.len + 4);
        yyjson_val *first = yyjson_arr_get_first(json_get(root, "candidates"));
        assert_false(is_over);
        assert_non_null(json_get(json_get(first, "content"), "parts"));
        assert_non_null(json_get(root, "modelVersion"));
        is_over = json_get(first, "finishReason") != NULL;
        assert_int_equal(is_over, json_get(root, "usageMetadata") != NULL);
    }
    assert_true(is_over);
}

static enum chat_finish finish_of(const struct run *k)
{
    const struct chat_response *r = dialect_stream_answer(k->stream);
    assert_non_null(r);
    return r ? r->choices[0].finish : CHAT_FINISH_NONE;
}

static void round_trip(struct arena *a, const char *name, const struct dialect *from,
                       const struct dialect *to, struct slice in)
{
    struct trial_trip t;
    trial_trip(a, name, from, to, in, &t);
    if (t.there.outcome.finish != CHAT_FINISH_NONE && !run_text(a, t.source, CHAT_REFUSAL).len) {
        assert_int_equal(finish_of(&t.again),
                         run_call(t.source, 0) ? CHAT_FINISH_TOOL_CALLS : finish_of(&t.there));
    }
    check_form(a, text_slice(from == &dialect_gemini ? &t.back.bytes : &t.there.bytes));
}

static void gemini_fixture(struct arena *a, const char *name, struct slice in)
{
    round_trip(a, name, &dialect_gemini, &dialect_openai, in);
    round_trip(a, name, &dialect_gemini, &dialect_anthropic, in);
}

static void openai_fixture(struct arena *a, const char *name, struct slice in)
{
    round_trip(a, name, &dialect_openai, &dialect_gemini, in);
}

/* One of them holds half a call, whose arguments are no object: they come as {"_raw": ...}. */
static void anthropic_fixture(struct arena *a, const char *name, struct slice in)
{
    if (strcmp(name, "vai-spliced-message-start.sse") == 0) {
        struct run k;
        run_whole(a, &dialect_anthropic, &dialect_gemini, in, &k);
        assert_true(slice_search(text_slice(&k.bytes), SLICE("\"args\":{\"_raw\":")) < k.bytes.len);
        return;
    }
    round_trip(a, name, &dialect_anthropic, &dialect_gemini, in);
}

static void recorded_streams_keep_what_they_say_both_ways(void **state)
{
    (void)state;
    assert_int_equal(fixture_each_in(dir, ".sse", gemini_fixture), 10);
    assert_int_equal(fixture_each(".sse", openai_fixture), 19);
    assert_int_equal(fixture_each_in(TEST_DATA_DIR "/anthropic", ".sse", anthropic_fixture), 16);
}

/* A tool of free text is a function here, whose one argument it is, in a stream as in a whole. */
static void a_custom_tools_text_is_inside_an_object(void **state)
{
    (void)state;
    struct arena a;
    struct run k;
    arena_init(&a, NULL, (size_t)16 << 20);
    struct slice in =
        fixture_read(&a, TEST_DATA_DIR "/openai-responses/vai-openai-custom-tool-1.sse");
    run_whole(&a, &dialect_responses, &dialect_gemini, in, &k);
    assert_int_equal(k.end, OK);
    struct slice args = SLICE("\"args\":{\"input\":\"SELECT * FROM users WHERE age > 25\"}");
    assert_true(slice_search(text_slice(&k.bytes), args) < k.bytes.len);
    arena_deinit(&a);
}

static size_t bodies;

static void gemini_body(struct arena *a, const char *name, struct slice bytes)
{
    int64_t status;
    yyjson_val *tree = fixture_answer(a, bytes, &status);
    if (json_get(tree, "candidates")) {
        trial_body_trip(a, name, &dialect_gemini, &dialect_openai, tree);
        bodies++;
        trial_body_trip(a, name, &dialect_gemini, &dialect_anthropic, tree);
        bodies++;
    }
}

static void openai_body(struct arena *a, const char *name, struct slice bytes)
{
    int64_t status;
    yyjson_val *tree = fixture_answer(a, bytes, &status);
    if (trial_is_chat(tree)) {
        trial_body_trip(a, name, &dialect_openai, &dialect_gemini, tree);
        bodies++;
    }
}

static void recorded_answers_keep_what_they_say_both_ways(void **state)
{
    (void)state;
    bodies = 0;
    (void)fixture_each_in(dir, ".json", gemini_body);
    assert_int_equal(bodies, 8);
    bodies = 0;
    (void)fixture_each(".json", openai_body);
    assert_true(bodies >= 12);
}

/* --- by name -----------------------------------------------------------------------------------
 */

static bool has(const struct trial *w, const char *text)
{
    return slice_search(text_slice(&w->k.bytes), slice_str(text)) < w->k.bytes.len;
}

#define G(parts)                                                                        \
    "data: {\"candidates\":[{\"content\":{\"parts\":[" parts "],\"role\":\"model\"}}]," \
    "\"modelVersion\":\"gemini-x\",\"responseId\":\"resp\"}\r\n\r\n"
#define G_END(reason)                                                           \
    "data: {\"candidates\":[{\"content\":{},\"finishReason\":\"" reason "\"}]," \
    "\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":4,"    \
    "\"totalTokenCount\":14}}\r\n\r\n"
#define CALL(name, args) "{\"functionCall\":{\"name\":\"" name "\",\"args\":" args "}}"

#define O(delta)                                                                        \
    "data: {\"id\":\"c\",\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{" delta \
    "},\"finish_reason\":null}]}\n\n"
#define O_END(reason)                                                               \
    "data: {\"id\":\"c\",\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{}," \
    "\"finish_reason\":\"" reason "\"}]}\n\n"
#define O_DONE "data: [DONE]\n\n"

/* Trap 12: STOP is told of calls, too, and also where the calls came in an earlier event. */
static void calls_end_with_tool_calls_though_gemini_says_stop(void **state)
{
    (void)state;
    static const char *const streams[] = {
        G(CALL("f", "{\"a\":1}")) G_END("STOP"),
        "data: {\"candidates\":[{\"content\":{\"parts\":[" CALL(
            "f", "{\"a\":1}") "]},\"finishReason\":\"STOP\"}]}\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        struct trial w;
        trial_run(&w, &dialect_gemini, &dialect_openai, streams[i]);
        assert_int_equal(w.k.end, OK);
        assert_true(has(&w, "\"finish_reason\":\"tool_calls\""));
        assert_false(has(&w, "\"finish_reason\":\"stop\""));
        arena_deinit(&w.a);
        trial_run(&w, &dialect_gemini, &dialect_anthropic, streams[i]);
        assert_true(has(&w, "\"stop_reason\":\"tool_use\""));
        arena_deinit(&w.a);
    }
}

/* Trap 6 and litellm#25836: whole calls in one event; parallel ones over several events are counted
 * on, and have ids of their own though they are of one function (Bifrost took the name as the id).
 */
static void whole_calls_are_numbered_over_the_stream_litellm_25836(void **state)
{
    (void)state;
    struct trial w;
    trial_run(&w, &dialect_gemini, &dialect_openai,
              G(CALL("f", "{\"x\":1}") "," CALL("f", "{}")) G("{\"functionCall\":{\"name\":\"g\"}}")
                  G_END("STOP"));
    assert_int_equal(w.k.end, OK);
    const struct chat_response *r = dialect_stream_answer(w.k.stream);
    assert_true(slice_eq(run_arguments(r, 0), SLICE("{\"x\":1}")));
    assert_true(slice_eq(run_arguments(r, 1), SLICE("{}")));
    assert_true(slice_eq(run_arguments(r, 2), SLICE("{}")));
    assert_true(has(&w, "\"tool_calls\":[{\"index\":2,\"id\":\"call_"));
    for (size_t i = 0; i < 3; i++) {
        const struct chat_part *one = run_call(r, i), *two = run_call(r, (i + 1) % 3);
        assert_true(one && two && !slice_eq(one->id, two->id) && one->id.len <= 40);
    }
    struct run k; /* the same answer has the same ids, another one others */
    run_whole(&w.a, &dialect_gemini, &dialect_openai, SLICE(G(CALL("f", "{}")) G_END("STOP")), &k);
    const struct chat_part *first = run_call(r, 0);
    const struct chat_part *same = run_call(dialect_stream_answer(k.stream), 0);
    assert_true(first && same && slice_eq(first->id, same->id));
    arena_deinit(&w.a);
    trial_run(&w, &dialect_gemini, &dialect_anthropic, G(CALL("f", "{\"x\":1}")) G_END("STOP"));
    assert_true(has(&w, "\"partial_json\":\"{\\\"x\\\":1}\""));
    arena_deinit(&w.a);
}

/* Arguments by their JSON paths are put together before they go out. */
static void streamed_arguments_become_an_object(void **state)
{
    (void)state;
#define P(path, value)                                                      \
    "{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":\"" path "\"," value \
    "}],\"willContinue\":true}}"
    struct trial w;
    trial_run(&w, &dialect_gemini, &dialect_openai,
              G("{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}") G(
                  P("$.a", "\"stringValue\":\"Bos\",\"willContinue\":true"))
                  G(P("$.a", "\"stringValue\":\"ton\\\"\"")) G(P("$.b[0].c", "\"numberValue\":1.5"))
                      G(P("$.b[1]['d.e']", "\"boolValue\":true")) G(P("$.n", "\"nullValue\":null"))
                          G("{\"functionCall\":{}}") G("{\"functionCall\":{}}") G_END("STOP"));
    assert_int_equal(w.k.end, OK);
    const struct chat_response *r = dialect_stream_answer(w.k.stream);
    assert_true(run_same_json(&w.a, run_arguments(r, 0),
                              SLICE("{\"a\":\"Boston\\\"\",\"b\":[{\"c\":1.5},{\"d.e\":true}],"
                                    "\"n\":null}")));
    assert_null(run_call(r, 1));
    arena_deinit(&w.a);
    /* one that is not closed ends with the stream; a broken path is no answer */
    trial_run(&w, &dialect_gemini, &dialect_openai,
              G("{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}") G_END("STOP"));
    assert_true(slice_eq(run_arguments(dialect_stream_answer(w.k.stream), 0), SLICE("{}")));
    arena_deinit(&w.a);
    static const char *const bad[] = {"$", "a", "$.", "$[", "$[x]", "$['a", "$[99999]", "$.a[0]"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        arena_init(&w.a, NULL, (size_t)4 << 20);
        struct slice in = arena_printf(
            &w.a,
            G("{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}")
                G(P("$.a", "\"stringValue\":\"x\"")) G(P("%s", "\"stringValue\":\"x\"")),
            bad[i]);
        run_whole(&w.a, &dialect_gemini, &dialect_openai, in, &w.k);
        assert_int_equal(w.k.end, E_SYNTAX);
        arena_deinit(&w.a);
    }
}

/* Trap 12: a blocked prompt is an answer with a refusal, never one without choices, no 5xx. */
static void a_blocked_prompt_is_a_refusal(void **state)
{
    (void)state;
    static const char body[] =
        "{\"promptFeedback\":{\"blockReason\":\"MODEL_ARMOR\",\"blockReasonMessage\":\"no\"},"
        "\"usageMetadata\":{\"promptTokenCount\":3,\"totalTokenCount\":3}}";
    struct trial w;
    struct chat_response r;
    struct slice out;
    struct outcome o = {.wants_detail = true};
    trial_run(&w, &dialect_gemini, &dialect_openai,
              "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\r\n\r\n");
    assert_int_equal(w.k.end, OK);
    assert_true(has(&w, "\"refusal\":\"SAFETY\"") &&
                has(&w, "\"finish_reason\":\"content_filter\""));
    assert_int_equal(dialect_gemini.decode_response(&w.a, slice_of(body, sizeof(body) - 1), &r),
                     OK);
    assert_int_equal(dialect_openai.encode_response(&w.a, &r, NULL, &out), OK);
    assert_true(slice_search(out, SLICE("\"content\":null,\"refusal\":\"no\"")) < out.len);
    assert_true(slice_search(out, SLICE("\"finish_reason\":\"content_filter\"")) < out.len);
    assert_int_equal(dialect_anthropic.encode_response(&w.a, &r, NULL, &out), OK);
    assert_true(slice_search(out, SLICE("\"stop_reason\":\"refusal\"")) < out.len);
    assert_int_equal(dialect_gemini.encode_response(&w.a, &r, NULL, &out), OK);
    assert_true(slice_search(out, SLICE("\"blockReason\":\"MODEL_ARMOR\"")) < out.len);
    assert_int_equal(
        dialect_gemini.observe(&w.a, CHAT_OP_CHAT, slice_of(body, sizeof(body) - 1), &o), OK);
    assert_true(!o.is_empty && o.finish == CHAT_FINISH_FILTER);
    arena_deinit(&w.a);
}

/* Trap 11: Gemini's signatures reach it again, on the part that they came with, through clients of
 * either dialect; nobody else is given them. */
static void signatures_come_back_to_the_call_that_they_prove(void **state)
{
    (void)state;
    static const char stream[] = G("{\"text\":\"hm\",\"thought\":true}")
        G("{\"functionCall\":{\"name\":\"f\",\"args\":{}},\"thoughtSignature\":\"SIG+/=\"}," CALL(
            "g", "{}")) G_END("STOP");
    struct trial w;
    struct run back;
    trial_run(&w, &dialect_gemini, &dialect_openai, stream);
    assert_true(has(&w, "\"extra_content\":{\"google\":{\"thought_signature\":\"SIG+/=\"}}}]"));
    run_whole(&w.a, &dialect_openai, &dialect_gemini, text_slice(&w.k.bytes), &back);
    assert_true(slice_search(text_slice(&back.bytes),
                             SLICE("\"args\":{}},\"thoughtSignature\":\"SIG+/=\"},{")) <
                back.bytes.len);
    arena_deinit(&w.a);
    trial_run(&w, &dialect_gemini, &dialect_anthropic, stream);
    assert_true(has(&w, "\"signature\":\"gemini:SIG+/=\""));
    arena_deinit(&w.a);
}

/* The ai package's Google provider loses a signature beside an empty text: it stands beside the
 * thought's last piece. */
static void a_thoughts_signature_comes_with_its_last_piece(void **state)
{
    (void)state;
    static const char stream[] =
        "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"c\",\"usage\":{"
        "\"input_tokens\":1,\"output_tokens\":1}}}\n\n"
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
        "\"thinking\",\"thinking\":\"\"}}\n\n"
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
        "\"thinking_delta\",\"thinking\":\"let \"}}\n\n"
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
        "\"thinking_delta\",\"thinking\":\"me see\"}}\n\n"
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
        "\"signature_delta\",\"signature\":\"SIG\"}}\n\n"
        "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{"
        "\"output_tokens\":2}}\n\n"
        "data: {\"type\":\"message_stop\"}\n\n";
    struct trial w;
    trial_run(&w, &dialect_anthropic, &dialect_gemini, stream);
    assert_int_equal(w.k.end, OK);
    assert_true(has(&w, "{\"parts\":[{\"text\":\"let \",\"thought\":true}]"));
    assert_true(
        has(&w, "{\"parts\":[{\"text\":\"me see\",\"thought\":true,\"thoughtSignature\":\""));
    assert_false(has(&w, "\"text\":\"\",\"thought\":true"));
    arena_deinit(&w.a);
}

/* The finish stands in an event behind that of the call, as the newest models send it. */
static void an_answer_with_a_call_ends_for_it_in_the_record_too(void **state)
{
    (void)state;
    static const char stream[] = G(CALL("f", "{}")) G_END("STOP");
    struct trial w;
    trial_run(&w, &dialect_gemini, &dialect_own, stream);
    assert_int_equal(w.k.end, OK);
    assert_int_equal(w.k.outcome.finish, CHAT_FINISH_TOOL_CALLS);
    arena_deinit(&w.a);
}

/* The signature behind a text, which streams bring with an empty one. */
static void a_texts_signature_travels_as_a_thought(void **state)
{
    (void)state;
    static const char stream[] =
        G("{\"text\":\"hi\"}") G("{\"text\":\"\",\"thoughtSignature\":\"SIG\"}") G_END("STOP");
    struct trial w;
    struct run back;
    trial_run(&w, &dialect_gemini, &dialect_openai, stream);
    assert_true(has(&w, "\"signature\":\"SIG\",\"format\":\"google-gemini-v1\""));
    run_whole(&w.a, &dialect_openai, &dialect_gemini, text_slice(&w.k.bytes), &back);
    assert_true(slice_search(text_slice(&back.bytes),
                             SLICE("{\"text\":\"\",\"thoughtSignature\":\"SIG\"}")) <
                back.bytes.len);
    arena_deinit(&w.a);
}

/* Trap 11 the other way round: a signature of Anthropic's is given to clients of this dialect in an
 * envelope of base64, which SDKs that hold bytes may spell in the other alphabet. */
static void foreign_signatures_travel_in_an_envelope(void **state)
{
    (void)state;
    struct trial w;
    struct run back;
    trial_run(&w, &dialect_anthropic, &dialect_gemini,
              "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"c\"}}\n\n"
              "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
              "\"thinking\",\"thinking\":\"hm\",\"signature\":\"S>?\"}}\n\n"
              "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
              "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":"
              "\"redacted_thinking\",\"data\":\"RED\"}}\n\n"
              "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},"
              "\"usage\":{\"output_tokens\":1}}\n\n"
              "data: {\"type\":\"message_stop\"}\n\n");
    assert_int_equal(w.k.end, OK);
    check_form(&w.a, text_slice(&w.k.bytes));
    assert_false(has(&w, "S>?"));
    run_whole(&w.a, &dialect_gemini, &dialect_anthropic, text_slice(&w.k.bytes), &back);
    assert_int_equal(back.end, OK);
    const struct chat_response *r = dialect_stream_answer(back.stream);
    assert_true(slice_eq(run_part(r, 0).text, SLICE("hm")));
    assert_true(slice_eq(run_part(r, 0).signature, SLICE("S>?")));
    assert_true(slice_eq(run_part(r, 0).provider, SLICE("anthropic")));
    assert_true(slice_eq(run_part(r, 1).data, SLICE("RED")));
    arena_deinit(&w.a);
}

/* Trap 5: interleaved pieces of calls become whole calls, in the last event. */
static void pieces_of_calls_become_whole_calls(void **state)
{
    (void)state;
    struct trial w;
    trial_run(
        &w, &dialect_openai, &dialect_gemini,
        O("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":"
          "\"{\\\"x\\\":\"}},{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\","
          "\"arguments\":\"\"}}]") O("\"content\":\"mid\"")
            O("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1}\"}}]")
                O_END("tool_calls") O_DONE);
    assert_int_equal(w.k.end, OK);
    check_form(&w.a, text_slice(&w.k.bytes));
    assert_true(has(&w, "[{\"functionCall\":{\"id\":\"a\",\"name\":\"f\",\"args\":{\"x\":1}}},{"
                        "\"functionCall\":{\"id\":\"b\",\"name\":\"g\",\"args\":{}}}]"));
    assert_true(has(&w, "\"finishReason\":\"STOP\""));
    arena_deinit(&w.a);
    trial_run(&w, &dialect_openai, &dialect_gemini,
              O("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]")
                  O_END("tool_calls") O_DONE);
    assert_int_equal(w.k.end, E_SYNTAX); /* a call that never got a name is no answer */
    arena_deinit(&w.a);
}

/* Sources: places are bytes in Gemini and characters everywhere else. */
static void citations_are_counted_in_characters(void **state)
{
    (void)state;
    static const char body[] =
        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\xC3\xA4\xC3\xB6 b\"}]},"
        "\"finishReason\":\"STOP\",\"groundingMetadata\":{\"groundingChunks\":[{\"web\":{\"uri\":"
        "\"https://x\",\"title\":\"X\"}}],\"groundingSupports\":[{\"segment\":{\"startIndex\":2,"
        "\"endIndex\":6},\"groundingChunkIndices\":[0,7]}]}}]}";
    struct arena a;
    struct chat_response r;
    struct slice out;
    arena_init(&a, NULL, (size_t)1 << 20);
    assert_int_equal(dialect_gemini.decode_response(&a, slice_of(body, sizeof(body) - 1), &r), OK);
    assert_int_equal(dialect_openai.encode_response(&a, &r, NULL, &out), OK);
    assert_true(slice_search(out, SLICE("\"annotations\":[{\"type\":\"url_citation\","
                                        "\"url_citation\":{\"start_index\":1,\"end_index\":4,"
                                        "\"title\":\"X\",\"url\":\"https://x\"}}]")) < out.len);
    assert_int_equal(dialect_gemini.encode_response(&a, &r, NULL, &out), OK);
    assert_true(slice_search(out, SLICE("\"groundingSupports\":[")) < out.len);
    arena_deinit(&a);
}

/* What the API's own tools did is not the client's to run, and pictures are shown. */
static void code_and_pictures_have_their_place(void **state)
{
    (void)state;
    struct trial w;
    trial_run(&w, &dialect_gemini, &dialect_openai,
              G("{\"executableCode\":{\"language\":\"PYTHON\",\"code\":\"1\"}}")
                  G("{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"QUJD\"}}") G("{}")
                      G_END("STOP"));
    assert_int_equal(w.k.end, OK);
    assert_false(has(&w, "tool_calls"));
    assert_true(has(&w, "\"images\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/"
                        "png;base64,QUJD\"}}]"));
    arena_deinit(&w.a);
    static const char body[] =
        "{\"candidates\":[{\"content\":{\"parts\":[{\"inlineData\":{\"mimeType\":\"image/png\","
        "\"data\":\"QUJD\"}}]},\"finishReason\":\"STOP\"}]}";
    struct chat_response r;
    struct slice out;
    arena_init(&w.a, NULL, (size_t)1 << 20);
    assert_int_equal(dialect_gemini.decode_response(&w.a, slice_of(body, sizeof(body) - 1), &r),
                     OK);
    assert_int_equal(dialect_openai.encode_response(&w.a, &r, NULL, &out), OK);
    assert_true(slice_search(out, SLICE("data:image/png;base64,QUJD")) < out.len);
    arena_deinit(&w.a);
}

/* Several candidates; index absent means 0. */
static void candidates_are_choices(void **state)
{
    (void)state;
    struct trial w;
    trial_run(
        &w, &dialect_gemini, &dialect_openai,
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}},{\"index\":1,"
        "\"content\":{\"parts\":[{\"text\":\"b\"}]},\"finishReason\":\"MAX_TOKENS\"}]}\r\n\r\n"
        "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\r\n\r\n");
    assert_int_equal(w.k.end, OK);
    assert_true(has(&w, "{\"index\":1,\"delta\":{\"content\":\"b\"}"));
    struct run back;
    run_whole(&w.a, &dialect_openai, &dialect_gemini, text_slice(&w.k.bytes), &back);
    assert_true(slice_search(text_slice(&back.bytes),
                             SLICE("\"finishReason\":\"MAX_TOKENS\",\"index\":1")) <
                back.bytes.len);
    arena_deinit(&w.a);
}

static void a_cut_is_a_cut_in_translation_too(void **state)
{
    (void)state;
    struct trial w;
    trial_run(&w, &dialect_gemini, &dialect_openai, G("{\"text\":\"x\"}"));
    assert_int_equal(w.k.end, E_EOF);
    assert_int_equal(w.k.terminals, 0);
    arena_deinit(&w.a);
    trial_run(&w, &dialect_openai, &dialect_gemini, O("\"content\":\"x\""));
    assert_int_equal(w.k.end, E_EOF);
    arena_deinit(&w.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_streams_keep_what_they_say_both_ways),
        cmocka_unit_test(a_custom_tools_text_is_inside_an_object),
        cmocka_unit_test(recorded_answers_keep_what_they_say_both_ways),
        cmocka_unit_test(calls_end_with_tool_calls_though_gemini_says_stop),
        cmocka_unit_test(whole_calls_are_numbered_over_the_stream_litellm_25836),
        cmocka_unit_test(streamed_arguments_become_an_object),
        cmocka_unit_test(a_blocked_prompt_is_a_refusal),
        cmocka_unit_test(signatures_come_back_to_the_call_that_they_prove),
        cmocka_unit_test(a_thoughts_signature_comes_with_its_last_piece),
        cmocka_unit_test(an_answer_with_a_call_ends_for_it_in_the_record_too),
        cmocka_unit_test(a_texts_signature_travels_as_a_thought),
        cmocka_unit_test(foreign_signatures_travel_in_an_envelope),
        cmocka_unit_test(pieces_of_calls_become_whole_calls),
        cmocka_unit_test(citations_are_counted_in_characters),
        cmocka_unit_test(code_and_pictures_have_their_place),
        cmocka_unit_test(candidates_are_choices),
        cmocka_unit_test(a_cut_is_a_cut_in_translation_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
