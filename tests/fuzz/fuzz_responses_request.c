/* Properties: a Responses request that passes the scan is forwarded as JSON that says the same but
 * for the model and the cap, and a second scan reads from it what was asked for; through the
 * neutral form it becomes a request of this dialect, the chat dialect's and Anthropic's that passes
 * their scans, and what it becomes here reads as the same neutral request again. What no dialect
 * may answer without the provider that keeps it is refused with a message. */
#include "request_again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dialect_profile profile = {.takes_developer_role = true};

static void forward(struct arena *a, const struct chat_ask *ask, const struct encode_options *o)
{
    struct body_parts parts;
    struct chat_ask again;
    request_check_forward(a, &dialect_responses, ask, o, &parts, &again);
    assert(!parts.adds_usage);
    assert(again.is_pinned == ask->is_pinned);
    assert(again.is_deferred == ask->is_deferred && slice_eq(again.pinned_id, ask->pinned_id));
    assert(again.is_kept == ask->is_kept && slice_eq(again.pinned_by, ask->pinned_by));
    assert(again.output_max_tokens == (ask->output_max_tokens < 0 && ask->op == CHAT_OP_CHAT
                                           ? o->output_cap_tokens
                                           : ask->output_max_tokens));
}

static size_t part_count(const struct chat_request *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->message_count; i++) {
        n += r->messages[i].part_count;
    }
    return n;
}

/* What is written here is read as the same again, once what cannot be sent is gone. */
static void check_again(struct arena *a, const struct chat_request *r,
                        const struct encode_options *o)
{
    const struct chat_request *before = r;
    for (int round = 0; round < 2; round++) {
        struct body_parts parts;
        struct chat_ask ask;
        struct fault fault;
        enum err e = dialect_responses.encode_request(a, before, o, &parts);
        assert(e == OK);
        struct slice body = request_joined(a, &parts);
        if (dialect_responses.scan(a, CHAT_OP_CHAT, body, &ask, &fault) ||
            dialect_responses.decode_request(a, &ask, &fault)) {
            return; /* nothing was left to send, or what is the provider's to refuse */
        }
        if (round) {
            assert(part_count(ask.neutral) == part_count(before));
            assert(ask.neutral->message_count == before->message_count);
            assert(ask.neutral->tool_count == before->tool_count);
            assert(slice_eq(ask.neutral->extras, before->extras));
            assert(slice_eq(ask.neutral->max_tokens.text, before->max_tokens.text));
        }
        before = ask.neutral;
    }
}

static void translate(struct arena *a, struct chat_ask *ask, const struct encode_options *o)
{
    static const struct dialect *const others[] = {&dialect_openai, &dialect_anthropic};
    struct body_parts parts;
    struct fault fault;
    if (dialect_responses.decode_request(a, ask, &fault)) {
        assert(fault.kind != FAULT_NONE && fault.message.len);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct span_fault why;
        enum err e = others[i]->encode_request(a, ask->neutral, o, &parts);
        assert(e == OK);
        e = spans_check(request_joined(a, &parts), &why);
        assert(e == OK || e == E_LIMIT); /* depth: a schema lies deeper there */
    }
    check_again(a, ask->neutral, o);
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
    enum chat_operation op = data[0] % 4 ? CHAT_OP_CHAT : CHAT_OP_COUNT_TOKENS;
    arena_init(&a, NULL, (size_t)256 << 20);
    if (dialect_responses.scan(&a, op, body, &ask, &fault) == OK) {
        const struct encode_options o = {.model = SLICE("some-model"),
                                         .profile = &profile,
                                         .op = op,
                                         .output_cap_tokens = 77,
                                         .is_stream = ask.is_stream};
        forward(&a, &ask, &o);
        translate(&a, &ask, &o);
    } else {
        assert(fault.kind == FAULT_BAD_REQUEST && fault.message.len);
    }
    arena_deinit(&a);
    return 0;
}
