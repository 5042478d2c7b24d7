#include "dialect/anthropic.h"

#include "dialect/read.h"

static struct slice path(struct arena *a, enum chat_operation op, struct slice model,
                         bool is_stream)
{
    (void)a;
    (void)model;
    (void)is_stream;
    switch (op) {
    case CHAT_OP_CHAT: return SLICE("/v1/messages");
    case CHAT_OP_COUNT_TOKENS: return SLICE("/v1/messages/count_tokens");
    case CHAT_OP_COMPLETION:
    case CHAT_OP_EMBEDDING:
    case CHAT_OP_MODERATION: break; /* there are no such operations */
    }
    return SLICE_NONE;
}

/* The model as it is spelled, "claude-sonnet-4-5@20250929"; counting has one path for all. */
static struct slice vertex_path(struct arena *a, enum chat_operation op, struct slice model,
                                bool is_stream)
{
    struct text t = text_growing(a);
    if (op == CHAT_OP_COUNT_TOKENS) {
        return SLICE("/models/count-tokens:rawPredict");
    }
    if (op != CHAT_OP_CHAT) {
        return SLICE_NONE;
    }
    TEXT_ADD(&t, "/models/");
    for (size_t at; model.len; model = slice_from(model, at + 1)) {
        at = slice_find(model, '@');
        text_add_uri(&t, slice_head(model, at), false);
        text_add(&t, at < model.len ? SLICE("@") : SLICE_NONE);
    }
    text_add(&t, is_stream ? SLICE(":streamRawPredict") : SLICE(":rawPredict"));
    return t.is_full ? SLICE_NONE : text_slice(&t);
}

static void render_auth(struct slice key, struct text *out)
{
    TEXT_ADD(out, "x-api-key: ");
    text_add(out, key);
    TEXT_ADD(out, "\r\n");
}

static void render_count(int64_t input_tokens, struct text *out_body)
{
    text_addf(out_body, "{\"input_tokens\":%lld}", (long long)input_tokens);
}

/* The version is the one whose members encode_request() writes: the newer one refuses sampling. */
static const struct dialect_header headers[] = {
    {SLICE_INIT("anthropic-version"), SLICE_INIT("2023-06-01")},
    {SLICE_INIT("anthropic-beta"), SLICE_INIT("")},
};

static const struct dialect_events events = {
    .look = anthropic_look,
    .read_usage = anthropic_read_usage,
    .read_error = read_error_message,
    .decode = anthropic_decode_event,
    .decoder_bytes = ANTHROPIC_DECODER_BYTES,
    .done = SLICE_INIT("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
    .encode = anthropic_encode_chunk,
    .encoder_bytes = ANTHROPIC_ENCODER_BYTES,
    .to_body = anthropic_to_body,
    .to_events = anthropic_to_events,
};

static const struct dialect_vertex vertex = {.publisher = "anthropic", .path = vertex_path};

const struct dialect dialect_anthropic = {
    .name = "anthropic",
    .record = RECORD_DIALECT_ANTHROPIC,
    .scan = anthropic_scan,
    .decode_request = anthropic_decode_request,
    .encode_response = anthropic_encode_response,
    .render_count = render_count,
    .render_fault = anthropic_render_fault,
    .render_stream_fault = anthropic_render_stream_fault,
    .keepalive = SLICE_INIT("event: ping\ndata: {\"type\": \"ping\"}\n\n"),
    .front = &anthropic_front,
    .path = path,
    .vertex = &vertex,
    .render_auth = render_auth,
    .headers = headers,
    .header_count = ARRAY_LEN(headers),
    .query = SLICE_INIT("?beta=true"),
    .encode_request = anthropic_encode_request,
    .decode_response = anthropic_decode_response,
    .read_count = anthropic_read_count,
    .read_fault = anthropic_read_fault,
    .forward = anthropic_forward,
    .observe = anthropic_observe,
    .events = &events,
};
