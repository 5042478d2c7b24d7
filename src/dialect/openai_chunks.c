/* Neutral chunks as an OpenAI stream. */
#include "dialect/openai.h"

#include <assert.h>

enum { CHOICES_KNOWN = 128 };

struct openai_encoder {
    struct slice id, model; /* the exchange's arena */
    int64_t created_unix_s;
    int64_t characters; /* of text in choice 0: where a citation stands */
    struct usage usage;
    bool has_usage;
    bool is_begun[CHOICES_KNOWN]; /* its role was sent */
};
static_assert(sizeof(struct openai_encoder) <= OPENAI_ENCODER_BYTES, "grows with its struct");

static void open_event(const struct openai_encoder *s, struct text *t)
{
    TEXT_ADD(t, "data: {\"id\":");
    text_add_json_string(t, s->id);
    TEXT_ADD(t, ",\"object\":\"chat.completion.chunk\",\"created\":");
    text_add_i64(t, s->created_unix_s);
    TEXT_ADD(t, ",\"model\":");
    text_add_json_string(t, s->model);
    TEXT_ADD(t, ",\"choices\":[");
}

static void open_delta(const struct openai_encoder *s, struct text *t, int choice)
{
    open_event(s, t);
    text_addf(t, "{\"index\":%d,\"delta\":{", choice);
}

static void close_delta(struct text *t, struct slice finish, struct slice stop)
{
    TEXT_ADD(t, "},\"logprobs\":null,\"finish_reason\":");
    if (finish.len) {
        text_add_json_string(t, finish);
    } else {
        TEXT_ADD(t, "null");
    }
    if (stop.len) { /* vLLM's member: the API itself does not tell */
        TEXT_ADD(t, ",\"stop_reason\":");
        text_add_json_string(t, stop);
    }
    TEXT_ADD(t, "}]}\n\n");
}

/* The role comes before anything else of a choice, and once. */
static void begin_choice(struct openai_encoder *s, struct text *t, int choice)
{
    if (choice < 0 || choice >= CHOICES_KNOWN || s->is_begun[choice]) {
        return;
    }
    s->is_begun[choice] = true;
    open_delta(s, t, choice);
    TEXT_ADD(t, "\"role\":\"assistant\",\"content\":\"\"");
    close_delta(t, SLICE_NONE, SLICE_NONE);
}

/* What the first chunk tells goes into all. */
static enum err begin(struct stream_encoder *e, const struct chat_chunk *chunk)
{
    struct openai_encoder *s = e->state;
    if (!s->id.len) {
        s->id = arena_dup(e->arena, chunk->kind == CHAT_CHUNK_START && chunk->id.len
                                        ? chunk->id
                                        : SLICE("chatcmpl-0"));
    }
    if (!s->model.len) {
        s->model = arena_dup(e->arena, chunk->model.len ? chunk->model : e->outcome->model);
    }
    if (!s->created_unix_s) {
        s->created_unix_s = chunk->created_unix_s ? chunk->created_unix_s : e->options->now_unix_s;
    }
    return s->id.ptr && s->model.ptr ? OK : E_NOMEM;
}

static void add_thinking(struct text *t, const struct chat_chunk *chunk)
{
    if (chunk->text.len) {
        text_add_json_key(t, "reasoning_content");
        text_add_json_string(t, chunk->text);
    }
    if (chunk->provider.len) {
        const struct chat_part part = {.kind = CHAT_THINKING,
                                       .text = chunk->text,
                                       .signature = chunk->signature,
                                       .data = chunk->data,
                                       .provider = chunk->provider};
        text_add_json_key(t, "reasoning_details");
        TEXT_ADD(t, "[");
        openai_add_reasoning_detail(t, &part, (size_t)chunk->block);
        TEXT_ADD(t, "]");
    }
}

static void add_call(struct text *t, const struct chat_chunk *chunk)
{
    const char *type = chunk->is_custom ? "custom" : "function";
    const char *member = chunk->is_custom ? "input" : "arguments";
    text_addf(t, "\"tool_calls\":[{\"index\":%d,", chunk->tool);
    if (chunk->kind == CHAT_CHUNK_TOOL_ARGUMENTS) {
        text_addf(t, "\"%s\":{\"%s\":", type, member);
        text_add_json_string(t, chunk->text);
    } else {
        TEXT_ADD(t, "\"id\":");
        if (chunk->id.len) {
            text_add_json_string(t, chunk->id);
        } else {
            text_addf(t, "\"call_%d\"", chunk->tool);
        }
        text_addf(t, ",\"type\":\"%s\",\"%s\":{\"name\":", type, type);
        text_add_json_string(t, chunk->name);
        text_addf(t, ",\"%s\":\"\"", member);
    }
    TEXT_ADD(t, "}");
    if (chunk->kind == CHAT_CHUNK_TOOL_START) {
        openai_add_call_proof(t, chunk->signature, chunk->provider);
    }
    TEXT_ADD(t, "}]");
}

static void add_content(struct stream_encoder *e, struct text *t, const struct chat_chunk *chunk)
{
    struct openai_encoder *s = e->state;
    const char *name = chunk->kind == CHAT_CHUNK_TEXT ? "content" : "refusal";
    text_add_json_key(t, name);
    text_add_json_string(t, chunk->text);
    if (chunk->choice == 0) {
        text_add(e->text, chunk->text);
        s->characters += openai_character_count(chunk->text);
    }
}

static void add_usage_event(const struct openai_encoder *s, struct text *t)
{
    open_event(s, t);
    TEXT_ADD(t, "]");
    openai_add_usage(t, &s->usage);
    TEXT_ADD(t, "}\n\n");
}

/* A picture that the model made (Gemini's part), as OpenRouter and LiteLLM tell of them. */
static void add_image(struct stream_encoder *e, struct text *t, const struct chat_chunk *chunk)
{
    yyjson_val *root;
    if (json_parse(e->scratch, chunk->text, &root, NULL)) {
        return;
    }
    yyjson_val *blob = json_get(root, "inlineData");
    const struct chat_part part = {.kind = CHAT_IMAGE,
                                   .media_type = json_get_string(blob, "mimeType"),
                                   .data = json_get_string(blob, "data")};
    if (part.data.len) {
        text_add_json_key(t, "images");
        TEXT_ADD(t, "[");
        openai_add_image(t, &part);
        TEXT_ADD(t, "]");
    }
}

static enum err send_delta(struct stream_encoder *e, const struct chat_chunk *chunk)
{
    struct openai_encoder *s = e->state;
    struct text t = text_growing(e->scratch);
    begin_choice(s, &t, chunk->choice);
    size_t before = t.len;
    open_delta(s, &t, chunk->choice);
    size_t opened = t.len;
    if (chunk->kind == CHAT_CHUNK_THINKING) {
        add_thinking(&t, chunk);
    } else if (chunk->kind == CHAT_CHUNK_CITATION) {
        openai_add_annotations(&t, e->scratch, chunk->text, s->characters, s->characters);
    } else if (chunk->kind == CHAT_CHUNK_OPAQUE) {
        add_image(e, &t, chunk);
    } else if (chunk->kind == CHAT_CHUNK_TEXT || chunk->kind == CHAT_CHUNK_REFUSAL) {
        add_content(e, &t, chunk);
    } else {
        add_call(&t, chunk);
    }
    if (t.len == opened) {
        t.len = before; /* nothing that OpenAI has words for */
    } else {
        close_delta(&t, SLICE_NONE, SLICE_NONE);
    }
    return stream_send(e, &t, t.len == before ? 0 : STREAM_CONTENT);
}

static enum err send_finish(struct stream_encoder *e, const struct chat_chunk *chunk)
{
    struct text t = text_growing(e->scratch);
    begin_choice(e->state, &t, chunk->choice);
    open_delta(e->state, &t, chunk->choice);
    close_delta(&t, openai_finish_name(chunk->finish), chunk->text);
    return stream_send(e, &t, 0);
}

static enum err send_error(struct stream_encoder *e, const struct chat_chunk *chunk)
{
    struct text t = text_growing(e->scratch);
    const struct fault f = {.kind = FAULT_UPSTREAM, .message = chunk->text};
    openai_render_stream_fault(&f, &t);
    return stream_send(e, &t, STREAM_ERROR);
}

static enum err send_end(struct stream_encoder *e)
{
    const struct openai_encoder *s = e->state;
    if (s->has_usage && !e->options->hides_usage) {
        struct text t = text_growing(e->scratch);
        add_usage_event(s, &t);
        enum err err = stream_send(e, &t, 0);
        if (err) {
            return err;
        }
    }
    return e->options->on_bytes(e->options->ctx, SLICE("data: [DONE]\n\n"), STREAM_TERMINAL);
}

enum err openai_encode_chunk(struct stream_encoder *e, const struct chat_chunk *chunk)
{
    struct openai_encoder *s = e->state;
    struct text t = text_growing(e->scratch);
    enum err err = begin(e, chunk);
    if (err) {
        return err;
    }
    switch (chunk->kind) {
    case CHAT_CHUNK_START: begin_choice(s, &t, 0); return stream_send(e, &t, 0);
    case CHAT_CHUNK_TEXT:
    case CHAT_CHUNK_REFUSAL:
    case CHAT_CHUNK_THINKING:
    case CHAT_CHUNK_TOOL_START:
    case CHAT_CHUNK_TOOL_ARGUMENTS:
    case CHAT_CHUNK_CITATION: return send_delta(e, chunk);
    case CHAT_CHUNK_OPAQUE: /* tools that the provider ran itself are not the client's */
        return slice_eq(chunk->name, SLICE("inlineData")) ? send_delta(e, chunk) : OK;
    case CHAT_CHUNK_FINISH: return send_finish(e, chunk);
    case CHAT_CHUNK_USAGE:
        s->usage = chunk->usage;
        s->has_usage = true;
        break;
    case CHAT_CHUNK_ERROR: return send_error(e, chunk);
    case CHAT_CHUNK_END: return send_end(e);
    }
    return OK;
}
