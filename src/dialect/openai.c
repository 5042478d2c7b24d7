#include "dialect/openai.h"

static struct slice path(struct arena *a, enum chat_operation op, struct slice model,
                         bool is_stream)
{
    (void)a;
    (void)model;
    (void)is_stream;
    switch (op) {
    case CHAT_OP_CHAT: return SLICE("/chat/completions");
    case CHAT_OP_COMPLETION: return SLICE("/completions");
    case CHAT_OP_EMBEDDING: return SLICE("/embeddings");
    case CHAT_OP_MODERATION: return SLICE("/moderations");
    case CHAT_OP_COUNT_TOKENS: break; /* there is no such operation */
    }
    return SLICE_NONE;
}

void openai_render_auth(struct slice key, struct text *out)
{
    TEXT_ADD(out, "authorization: Bearer ");
    text_add(out, key);
    TEXT_ADD(out, "\r\n");
}

static const struct dialect_events events = {
    .look = openai_look,
    .read_usage = openai_read_usage,
    .read_error = openai_error_message,
    .decode = openai_decode_event,
    .done = SLICE_INIT("data: [DONE]\n\n"),
    .encode = openai_encode_chunk,
    .encoder_bytes = OPENAI_ENCODER_BYTES,
    .to_body = openai_to_body,
    .to_events = openai_to_events,
};

const struct dialect dialect_openai = {
    .name = "openai",
    .record = RECORD_DIALECT_OPENAI,
    .scan = openai_scan,
    .decode_request = openai_decode_request,
    .encode_response = openai_encode_response,
    .render_fault = openai_render_fault,
    .render_stream_fault = openai_render_stream_fault,
    .front = &front_openai,
    .path = path,
    .render_auth = openai_render_auth,
    .encode_request = openai_encode_request,
    .decode_response = openai_decode_response,
    .read_fault = openai_read_fault,
    .forward = openai_forward,
    .observe = openai_observe,
    .embedding = &openai_embedding,
    .events = &events,
};
