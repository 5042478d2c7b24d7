/* Properties: a request that passes the scan is forwarded as it is but for the model, and a second
 * scan reads the same of it; through the neutral form it becomes a request that passes too, and
 * once more through it, the same bytes: decode after encode is the identity on what was encoded.
 * The turns it has then are the API's: they alternate, the first is the user's, results come first.
 * The same of OpenAI's requests. */
#include "request_again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dialect_profile profiles[] = {
    {.takes_xhigh = true,
     .takes_max = true,
     .takes_effort = true,
     .takes_adaptive_thinking = true,
     .takes_output_format = true,
     .takes_system_turns = true},
    {.refuses_sampling = true,
     .takes_effort = true,
     .takes_adaptive_thinking = true,
     .refuses_thinking_budget = true,
     .refuses_prefill = true,
     .takes_output_format = true},
};

static void forward(struct arena *a, const struct chat_ask *ask, const struct encode_options *o)
{
    struct body_parts parts;
    struct chat_ask again;
    request_check_forward(a, &dialect_anthropic, ask, o, &parts, &again);
    assert(again.output_max_tokens == ask->output_max_tokens);
    assert((again.prompt_max_tokens < 0) == (ask->prompt_max_tokens < 0));
    assert(again.is_uncacheable == ask->is_uncacheable);
}

static void check_results(yyjson_val *content)
{
    bool is_over = false;
    size_t i, max;
    yyjson_val *v;
    assert(yyjson_arr_size(content));
    yyjson_arr_foreach(content, i, max, v)
    {
        bool is_result = slice_eq(json_get_string(v, "type"), SLICE("tool_result"));
        assert(!is_result || !is_over);
        is_over = is_over || !is_result;
    }
}

static void check_turns(struct arena *a, struct slice body)
{
    yyjson_val *root, *m;
    size_t i, max;
    struct slice last = SLICE("assistant");
    enum err e = json_parse(a, body, &root, NULL);
    assert(e == OK);
    yyjson_val *messages = json_get(root, "messages");
    assert(yyjson_arr_size(messages));
    yyjson_arr_foreach(messages, i, max, m)
    {
        struct slice role = json_get_string(m, "role");
        assert(!slice_eq(role, last));
        assert(i || slice_eq(role, SLICE("user")));
        if (slice_eq(role, SLICE("user"))) {
            check_results(json_get(m, "content"));
        }
        last = role;
    }
}

/* E(D(E(x))) is E(x). */
static void encode(struct arena *a, const struct chat_ask *ask, const struct encode_options *o)
{
    struct body_parts parts;
    struct chat_ask again;
    struct fault fault;
    enum err e = dialect_anthropic.encode_request(a, ask->neutral, o, &parts);
    assert(e == OK);
    struct slice first = request_joined(a, &parts);
    e = dialect_anthropic.scan(a, o->op, first, &again, &fault);
    assert(e == OK);
    assert(slice_eq(again.model, o->model) && again.is_stream == ask->is_stream);
    check_turns(a, first);
    if (dialect_anthropic.decode_request(a, &again, &fault)) {
        return; /* what the API itself would refuse: a call without a name */
    }
    e = dialect_anthropic.encode_request(a, again.neutral, o, &parts);
    assert(e == OK);
    struct slice second = request_joined(a, &parts);
    assert(slice_eq(first, second));
}

static void translate(struct arena *a, const struct dialect *client, struct chat_ask *ask,
                      const struct encode_options *o)
{
    struct body_parts parts;
    struct chat_ask again;
    struct fault fault;
    if (client->decode_request(a, ask, &fault)) {
        assert(fault.kind != FAULT_NONE);
        return;
    }
    encode(a, ask, o);
    enum err e = dialect_openai.encode_request(a, ask->neutral, o, &parts);
    assert(e == OK);
    e = dialect_openai.scan(a, CHAT_OP_CHAT, request_joined(a, &parts), &again, &fault);
    assert(e == OK || fault.param.len); /* no message was left, or more choices than there can be */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct chat_ask ask;
    struct fault fault;
    if (size == 0 || size > 65536) {
        return 0;
    }
    struct slice body = slice_of((const char *)data + 1, size - 1);
    enum chat_operation op = data[0] & 1 ? CHAT_OP_COUNT_TOKENS : CHAT_OP_CHAT;
    struct encode_options o = {.model = SLICE("some-model"),
                               .profile = &profiles[data[0] >> 1 & 1],
                               .op = op,
                               .output_cap_tokens = data[0] & 4 ? 77 : -1,
                               .wants_usage = true};
    arena_init(&a, NULL, (size_t)256 << 20);
    if (dialect_anthropic.scan(&a, op, body, &ask, &fault) == OK) {
        o.is_stream = ask.is_stream;
        forward(&a, &ask, &o);
        translate(&a, &dialect_anthropic, &ask, &o);
    } else {
        assert(fault.kind == FAULT_BAD_REQUEST && fault.message.len);
    }
    if (dialect_openai.scan(&a, CHAT_OP_CHAT, body, &ask, &fault) == OK) {
        o.op = CHAT_OP_CHAT;
        o.is_stream = ask.is_stream;
        translate(&a, &dialect_openai, &ask, &o);
    }
    arena_deinit(&a);
    return 0;
}
