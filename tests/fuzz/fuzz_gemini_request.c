/* Properties: a request that passes the scan is forwarded so that a second scan reads the same of
 * it, byte for byte where neither the model nor a cap must be put in; through the neutral form it
 * becomes a request that passes too, and once more through it, the same bytes: decode after encode
 * is the identity on what was encoded. No content that is written is empty, and every result in it
 * has the name of a function. The same of OpenAI's requests; and texts to embed reach the other
 * side. */
#include "request_again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dialect_profile profiles[] = {
    {.takes_json_schema = true,
     .takes_thinking_level = true,
     .takes_level_minimal = true,
     .takes_level_medium = true,
     .wants_call_signatures = true},
    {.takes_thinking_budget = true, .refuses_tools_with_format = true, .refuses_penalties = true},
};

static enum err scan(struct arena *a, enum chat_operation op, struct slice body, bool is_stream,
                     struct chat_ask *ask)
{
    struct fault fault;
    *ask = (struct chat_ask){.model = SLICE_INIT("asked"), .is_stream = is_stream};
    enum err e = dialect_gemini.scan(a, op, body, ask, &fault);
    assert(!e || (fault.kind == FAULT_BAD_REQUEST && fault.message.len));
    return e;
}

static void forward(struct arena *a, const struct chat_ask *ask, const struct encode_options *o)
{
    struct body_parts parts;
    struct chat_ask again;
    enum err e = dialect_gemini.forward(a, ask, o, &parts);
    assert(e == OK && parts.path.len);
    struct slice body = request_joined(a, &parts);
    e = scan(a, ask->op, body, ask->is_stream, &again);
    assert(e == OK);
    bool is_capped =
        ask->op == CHAT_OP_CHAT && ask->output_max_tokens < 0 && o->output_cap_tokens >= 0;
    assert(again.output_max_tokens == (is_capped ? o->output_cap_tokens : ask->output_max_tokens));
    assert(again.choices == ask->choices && again.is_uncacheable == ask->is_uncacheable);
    assert((again.prompt_max_tokens < 0) == (ask->prompt_max_tokens < 0));
    request_check_conversation(a, &dialect_gemini, ask, &again);
    if (slice_search(ask->body, SLICE("model")) == ask->body.len && !is_capped &&
        slice_search(ask->body, SLICE("\\u")) == ask->body.len) {
        assert(slice_eq(body, ask->body));
    }
}

static void check_contents(struct arena *a, struct slice body)
{
    yyjson_val *root, *content, *part;
    size_t i, max, k, count;
    enum err e = json_parse(a, body, &root, NULL);
    assert(e == OK);
    yyjson_val *inner = json_get(root, "generateContentRequest");
    yyjson_val *contents = json_get(inner ? inner : root, "contents");
    assert(yyjson_arr_size(contents));
    yyjson_arr_foreach(contents, i, max, content)
    {
        struct slice role = json_get_string(content, "role");
        yyjson_val *parts = json_get(content, "parts");
        assert(slice_eq(role, SLICE("user")) || slice_eq(role, SLICE("model")));
        assert(yyjson_arr_size(parts));
        yyjson_arr_foreach(parts, k, count, part)
        {
            yyjson_val *result = json_get(part, "functionResponse");
            assert(!result || json_get_string(result, "name").len);
            assert(!result || yyjson_is_obj(json_get(result, "response")));
        }
    }
}

/* E(D(E(x))) is E(x). */
static void encode(struct arena *a, const struct chat_ask *ask, const struct encode_options *o)
{
    struct body_parts parts;
    struct chat_ask again;
    struct fault fault;
    enum err e = dialect_gemini.encode_request(a, ask->neutral, o, &parts);
    assert(e == OK && parts.path.len);
    struct slice first = request_joined(a, &parts);
    check_contents(a, first);
    if (scan(a, o->op, first, ask->is_stream, &again) ||
        dialect_gemini.decode_request(a, &again, &fault)) {
        return; /* what the API itself would refuse: a call without a name, nine candidates */
    }
    e = dialect_gemini.encode_request(a, again.neutral, o, &parts);
    assert(e == OK);
    e = scan(a, o->op, request_joined(a, &parts), ask->is_stream, &again);
    assert(e == OK);
    e = dialect_gemini.decode_request(a, &again, &fault);
    assert(e == OK);
    struct slice second = request_joined(a, &parts);
    e = dialect_gemini.encode_request(a, again.neutral, o, &parts);
    assert(e == OK);
    assert(slice_eq(second, request_joined(a, &parts)));
}

static void translate(struct arena *a, const struct dialect *client, struct chat_ask *ask,
                      const struct encode_options *o)
{
    static const struct dialect_profile others = {.takes_effort = true};
    const struct encode_options there = {.model = o->model,
                                         .profile = &others,
                                         .op = o->op,
                                         .output_cap_tokens = o->output_cap_tokens,
                                         .is_stream = o->is_stream};
    struct body_parts parts;
    struct fault fault;
    if (client->decode_request(a, ask, &fault)) {
        assert(fault.kind != FAULT_NONE);
        return;
    }
    encode(a, ask, o);
    enum err e = dialect_openai.encode_request(a, ask->neutral, &there, &parts);
    assert(e == OK);
    struct span_fault unused;
    e = spans_check(request_joined(a, &parts), &unused);
    assert(e == OK || e == E_LIMIT);
    e = dialect_anthropic.encode_request(a, ask->neutral, &there, &parts);
    assert(e == OK);
    e = spans_check(request_joined(a, &parts), &unused);
    assert(e == OK || e == E_LIMIT);
}

static void embed(struct arena *a, const struct dialect *from, const struct dialect *to,
                  struct chat_ask *ask, const struct encode_options *o)
{
    struct body_parts parts;
    struct fault fault;
    struct span_fault unused;
    if (from->embedding->decode_request(a, ask, &fault)) {
        return;
    }
    enum err e = to->embedding->encode_request(a, ask->embedding, o, &parts);
    assert(e == OK || e == E_UNSUPPORTED);
    e = e ? OK : spans_check(request_joined(a, &parts), &unused);
    assert(e == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum chat_operation operations[] = {CHAT_OP_CHAT, CHAT_OP_COUNT_TOKENS,
                                                     CHAT_OP_EMBEDDING, CHAT_OP_CHAT};
    struct arena a;
    struct chat_ask ask;
    struct fault fault;
    if (size == 0 || size > 65536) {
        return 0;
    }
    struct slice body = slice_of((const char *)data + 1, size - 1);
    enum chat_operation op = operations[data[0] & 3];
    struct encode_options o = {.model = SLICE("some-model"),
                               .profile = &profiles[data[0] >> 2 & 1],
                               .op = op,
                               .output_cap_tokens = data[0] & 8 ? 77 : -1,
                               .is_stream = op == CHAT_OP_CHAT && (data[0] & 16),
                               .wants_usage = true};
    arena_init(&a, NULL, (size_t)512 << 20);
    if (scan(&a, op, body, o.is_stream, &ask) == OK) {
        forward(&a, &ask, &o);
        if (op == CHAT_OP_EMBEDDING) {
            embed(&a, &dialect_gemini, &dialect_openai, &ask, &o);
        } else {
            translate(&a, &dialect_gemini, &ask, &o);
        }
    }
    op = op == CHAT_OP_EMBEDDING ? op : CHAT_OP_CHAT;
    if (dialect_openai.scan(&a, op, body, &ask, &fault) == OK) {
        o.op = op;
        o.is_stream = ask.is_stream;
        if (op == CHAT_OP_EMBEDDING) {
            embed(&a, &dialect_openai, &dialect_gemini, &ask, &o);
        } else {
            translate(&a, &dialect_openai, &ask, &o);
        }
    }
    arena_deinit(&a);
    return 0;
}
