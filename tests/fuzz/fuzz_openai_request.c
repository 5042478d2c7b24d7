/* Properties: a request that passes the scan is forwarded as JSON that says the same but for the
 * model and the metering, and a second scan reads from it what was asked for; through the neutral
 * form it becomes a request that passes, too. */
#include "request_again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void forward(struct arena *a, const struct chat_ask *ask, const struct encode_options *o)
{
    struct body_parts parts;
    struct chat_ask again;
    request_check_forward(a, &dialect_openai, ask, o, &parts, &again);
    assert(again.choices == ask->choices);
    assert(!ask->is_stream || again.wants_usage);
    assert(parts.adds_usage == (ask->is_stream && !ask->wants_usage));
    assert(again.output_max_tokens ==
           (ask->output_max_tokens >= 0 ? ask->output_max_tokens : o->output_cap_tokens));
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
    enum err e = dialect_openai.encode_request(a, ask->neutral, o, &parts);
    assert(e == OK);
    e = dialect_openai.scan(a, CHAT_OP_CHAT, request_joined(a, &parts), &again, &fault);
    assert(e == OK);
    assert(slice_eq(again.model, o->model));
    assert(again.is_stream == ask->is_stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dialect_profile profile = {.takes_developer_role = true};
    struct arena a;
    struct chat_ask ask;
    struct fault fault;
    if (size == 0 || size > 65536) {
        return 0;
    }
    struct slice body = slice_of((const char *)data + 1, size - 1);
    enum chat_operation op = (enum chat_operation)(data[0] % 3);
    arena_init(&a, NULL, (size_t)256 << 20);
    if (dialect_openai.scan(&a, op, body, &ask, &fault) == OK) {
        struct encode_options o = {.model = SLICE("some-model"),
                                   .profile = &profile,
                                   .output_cap_tokens = op == CHAT_OP_EMBEDDING ? -1 : 77,
                                   .is_stream = ask.is_stream,
                                   .wants_usage = true};
        forward(&a, &ask, &o);
        if (op == CHAT_OP_CHAT) {
            translate(&a, &dialect_openai, &ask, &o);
        }
    } else {
        assert(fault.kind == FAULT_BAD_REQUEST && fault.message.len);
    }
    if (dialect_own.scan(&a, CHAT_OP_CHAT, body, &ask, &fault) == OK) {
        const struct encode_options o = {.model = SLICE("some-model"),
                                         .profile = &profile,
                                         .output_cap_tokens = -1,
                                         .is_stream = ask.is_stream,
                                         .wants_usage = true};
        translate(&a, &dialect_own, &ask, &o);
    } else {
        char room[65536 * 2];
        struct text out = text_in(room, sizeof(room)), headers = text_growing(&a);
        int status = 0;
        dialect_own.render_fault(&fault, &status, &out, &headers);
        yyjson_val *root;
        enum err e = json_parse(&a, text_slice(&out), &root, NULL);
        assert(status == 422 && (e == OK || out.is_full || e == E_SYNTAX)); /* input: its UTF-8 */
    }
    arena_deinit(&a);
    return 0;
}
