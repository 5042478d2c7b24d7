/* Ollama's own API: a provider's dialect only. Its other doors (/v1) speak OpenAI's and Anthropic's
 * dialects, but neither sets the context's length nor tells how long the model was loaded. */
#include "dialect/ollama.h"

#include "dialect/openai.h"

static struct slice path(struct arena *a, enum chat_operation op, struct slice model,
                         bool is_stream)
{
    (void)a;
    (void)model;
    (void)is_stream;
    switch (op) {
    case CHAT_OP_CHAT: return SLICE("/api/chat");
    case CHAT_OP_EMBEDDING: return SLICE("/api/embed");
    case CHAT_OP_COMPLETION:
    case CHAT_OP_COUNT_TOKENS:
    case CHAT_OP_MODERATION: break; /* there are no such operations */
    }
    return SLICE_NONE;
}

/* Local servers want none; ollama.com does. A function of its own: dialects that share one may
 * share a provider. */
static void render_auth(struct slice key, struct text *out)
{
    openai_render_auth(key, out);
}

static const struct dialect_events events = {
    .framing = STREAM_FRAMING_LINES,
    .look = ollama_look,
    .read_usage = ollama_read_usage,
    .read_error = ollama_read_error,
    .decode = ollama_decode_event,
    .decoder_bytes = OLLAMA_DECODER_BYTES,
};

const struct dialect dialect_ollama = {
    .name = "ollama",
    .record = RECORD_DIALECT_OLLAMA,
    /* Its clients come by /passthrough/ only, and go by the status. */
    .render_fault = openai_render_fault,
    .render_stream_fault = openai_render_stream_fault,
    .front = &front_openai,
    .path = path,
    .render_auth = render_auth,
    .encode_request = ollama_encode_request,
    .decode_response = ollama_decode_response,
    .read_fault = ollama_read_fault,
    .observe = ollama_observe,
    .embedding = &ollama_embedding,
    .events = &events,
};
