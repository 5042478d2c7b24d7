#include "dialect/responses.h"

static struct slice path(struct arena *a, enum chat_operation op, struct slice model,
                         bool is_stream)
{
    (void)a;
    (void)model;
    (void)is_stream;
    switch (op) {
    case CHAT_OP_CHAT: return SLICE("/responses");
    case CHAT_OP_COUNT_TOKENS: return SLICE("/responses/input_tokens");
    case CHAT_OP_COMPLETION:
    case CHAT_OP_EMBEDDING:
    case CHAT_OP_MODERATION: break; /* dialect_openai's */
    }
    return SLICE_NONE;
}

static void render_count(int64_t input_tokens, struct text *out_body)
{
    text_addf(out_body, "{\"object\":\"response.input_tokens\",\"input_tokens\":%lld}",
              (long long)input_tokens);
}

/* No event is made when a provider leaves the last one out: it would have to repeat the answer. */
static const struct dialect_events events = {
    .look = responses_look,
    .read_usage = openai_read_usage,
    .read_error = openai_error_message,
    .decode = responses_decode_event,
    .decoder_bytes = RESPONSES_DECODER_BYTES,
    .encode = responses_encode_chunk,
    .encoder_bytes = RESPONSES_ENCODER_BYTES,
    .to_body = responses_to_body,
    .to_events = responses_to_events,
};

static const struct dialect_front front = {
    .render_rates = front_render_rates,
    .models_open = SLICE_INIT(FRONT_MODELS_OPEN),
    .render_model = front_render_model,
    .close_models = front_close_models,
    .find_conversation = responses_find_conversation,
};

const struct dialect dialect_responses = {
    .name = "responses",
    .record = RECORD_DIALECT_RESPONSES,
    .scan = responses_scan,
    .decode_request = responses_decode_request,
    .encode_response = responses_encode_response,
    .render_count = render_count,
    .render_fault = openai_render_fault,
    .render_stream_fault = responses_render_stream_fault,
    .front = &front,
    .path = path,
    .render_auth = openai_render_auth,
    .encode_request = responses_encode_request,
    .decode_response = responses_decode_response,
    .read_count = responses_read_count,
    .read_fault = openai_read_fault,
    .forward = responses_forward,
    .observe = responses_observe,
    .events = &events,
};
