/* One event of an Anthropic stream as neutral chunks.
 *
 * Blocks are numbered by the API, calls and thoughts by us, from 0 each (trap 5). A call that
 * streamed no input has one all the same: what its start told, or {} (trap 6).
 */
#include "dialect/anthropic.h"

#include <assert.h>

enum { BLOCKS_OPEN_MAX = 256, CALLS_MAX = 1023 };

enum block_kind { BLOCK_TEXT, BLOCK_THINKING, BLOCK_CALL, BLOCK_JSON, BLOCK_OPAQUE };

struct block {
    enum block_kind kind;
    int64_t index; /* the API's */
    int number;    /* ours, of calls and thoughts */
    bool has_input;
    struct slice start; /* CALL, JSON: input told at the start; OPAQUE: the block as JSON */
    struct slice name;  /* OPAQUE: its type */
    struct text input;  /* OPAQUE: what streamed of it */
    struct block *next;
};

struct memory {
    struct block *open; /* the newest first */
    size_t open_count;
    int calls, thoughts;
    bool is_started, has_call, has_json;
};
static_assert(sizeof(struct memory) <= ANTHROPIC_DECODER_BYTES, "grows with its struct");

static enum err send_start(struct stream_decoder *d, yyjson_val *message)
{
    struct memory *m = d->state;
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_START,
                               .id = json_get_string(message, "id"),
                               .model = json_get_string(message, "model")};
    if (m->is_started) { /* some servers begin anew: what was open stays as it is */
        m->open = NULL;
        m->open_count = 0;
        return OK;
    }
    m->is_started = true;
    return stream_pass(d, &chunk);
}

static struct block *find_block(const struct memory *m, int64_t index)
{
    struct block *b = m->open;
    while (b && b->index != index) {
        b = b->next;
    }
    return b;
}

static enum err start_thinking(struct stream_decoder *d, struct block *b, yyjson_val *v)
{
    struct memory *m = d->state;
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_THINKING,
                               .text = json_get_string(v, "thinking"),
                               .signature = json_get_string(v, "signature"),
                               .data = json_get_string(v, "data")};
    b->kind = BLOCK_THINKING;
    b->number = m->thoughts < CALLS_MAX ? m->thoughts++ : CALLS_MAX;
    chunk.block = b->number;
    return chunk.text.len || chunk.signature.len || chunk.data.len ? stream_pass(d, &chunk) : OK;
}

static enum err start_call(struct stream_decoder *d, struct block *b, yyjson_val *v)
{
    struct memory *m = d->state;
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_TOOL_START,
                               .id = json_get_string(v, "id"),
                               .name = json_get_string(v, "name")};
    yyjson_val *input = json_get(v, "input");
    b->start = SLICE("{}");
    if (yyjson_obj_size(input)) {
        b->start = json_text(d->arena, input); /* of servers that stream nothing */
        if (!b->start.ptr) {
            return E_NOMEM;
        }
    }
    if (slice_eq(chunk.name, ANTHROPIC_JSON_TOOL)) {
        b->kind = BLOCK_JSON;
        m->has_json = true;
        return OK;
    }
    b->kind = BLOCK_CALL;
    m->has_call = true;
    if (m->calls == CALLS_MAX) {
        return E_LIMIT;
    }
    b->number = chunk.tool = m->calls++;
    return stream_pass(d, &chunk);
}

static enum err start_opaque(struct stream_decoder *d, struct block *b, yyjson_val *v)
{
    b->kind = BLOCK_OPAQUE;
    if (!yyjson_is_obj(v)) {
        return E_SYNTAX;
    }
    b->name = arena_dup(d->arena, json_get_string(v, "type"));
    b->start = json_text(d->arena, v);
    b->input = text_growing(d->arena);
    return b->name.ptr && b->start.ptr ? OK : E_NOMEM;
}

static enum err start_block(struct stream_decoder *d, int64_t index, yyjson_val *v)
{
    struct memory *m = d->state;
    struct slice type = json_get_string(v, "type");
    struct block *b = find_block(m, index);
    if (!b) {
        if (m->open_count == BLOCKS_OPEN_MAX) {
            return E_LIMIT;
        }
        b = ARENA_NEW(d->arena, struct block);
        if (!b) {
            return E_NOMEM;
        }
        b->next = m->open;
        m->open = b;
        m->open_count++;
    }
    *b = (struct block){.index = index, .next = b->next};
    if (slice_eq(type, SLICE("text"))) {
        return stream_pass_text(d, CHAT_CHUNK_TEXT, 0, json_get_string(v, "text"));
    }
    if (slice_eq(type, SLICE("thinking")) || slice_eq(type, SLICE("redacted_thinking"))) {
        return start_thinking(d, b, v);
    }
    return slice_eq(type, SLICE("tool_use")) ? start_call(d, b, v) : start_opaque(d, b, v);
}

static enum err take_input(struct stream_decoder *d, struct block *b, struct slice text)
{
    if (text.len == 0) {
        return OK; /* the first is empty as a rule */
    }
    if (!b) {
        return E_SYNTAX; /* of a block that never began */
    }
    b->has_input = true;
    switch (b->kind) {
    case BLOCK_CALL: return stream_pass_text(d, CHAT_CHUNK_TOOL_ARGUMENTS, b->number, text);
    case BLOCK_JSON: return stream_pass_text(d, CHAT_CHUNK_TEXT, 0, text);
    case BLOCK_OPAQUE: text_add(&b->input, text); return b->input.is_full ? E_NOMEM : OK;
    case BLOCK_TEXT:
    case BLOCK_THINKING: break;
    }
    return OK;
}

static enum err take_delta(struct stream_decoder *d, int64_t index, yyjson_val *delta)
{
    struct memory *m = d->state;
    struct block *b = find_block(m, index);
    struct slice type = json_get_string(delta, "type");
    int number = b ? b->number : 0;
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_THINKING, .block = number};
    if (slice_eq(type, SLICE("text_delta"))) {
        return stream_pass_text(d, CHAT_CHUNK_TEXT, 0, json_get_string(delta, "text"));
    }
    if (slice_eq(type, SLICE("thinking_delta"))) {
        return stream_pass_text(d, CHAT_CHUNK_THINKING, number, json_get_string(delta, "thinking"));
    }
    if (slice_eq(type, SLICE("signature_delta"))) {
        chunk.signature = json_get_string(delta, "signature");
        return chunk.signature.len ? stream_pass(d, &chunk) : OK;
    }
    if (slice_eq(type, SLICE("input_json_delta"))) {
        return take_input(d, b, json_get_string(delta, "partial_json"));
    }
    if (slice_eq(type, SLICE("citations_delta"))) {
        struct slice text = json_text(d->scratch, json_get(delta, "citation"));
        return stream_pass_text(d, CHAT_CHUNK_CITATION, 0, text);
    }
    return OK; /* what comes after this was written */
}

/* The block as it would stand in a whole answer: with the input that streamed. */
static enum err send_opaque(struct stream_decoder *d, const struct block *b)
{
    struct text t = text_growing(d->scratch);
    struct span_fault unused;
    struct slice input = text_slice(&b->input);
    yyjson_val *root, *key, *v;
    size_t i, max;
    enum err e = json_parse(d->scratch, b->start, &root, NULL);
    if (e) {
        return e;
    }
    bool is_whole = input.len && spans_check(input, &unused) == OK;
    TEXT_ADD(&t, "{");
    yyjson_obj_foreach(root, i, max, key, v)
    {
        text_add(&t, i ? SLICE(",") : SLICE_NONE);
        text_add_json_string(&t, json_string(key));
        TEXT_ADD(&t, ":");
        if (is_whole && yyjson_equals_str(key, "input")) {
            text_add(&t, input);
        } else {
            json_add(&t, d->scratch, v);
        }
    }
    TEXT_ADD(&t, "}");
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_OPAQUE, .name = b->name, .text = text_slice(&t)};
    return t.is_full ? E_NOMEM : stream_pass(d, &chunk);
}

static enum err end_block(struct stream_decoder *d, const struct block *b)
{
    switch (b->kind) {
    case BLOCK_CALL:
        return b->has_input ? OK
                            : stream_pass_text(d, CHAT_CHUNK_TOOL_ARGUMENTS, b->number, b->start);
    case BLOCK_JSON: return b->has_input ? OK : stream_pass_text(d, CHAT_CHUNK_TEXT, 0, b->start);
    case BLOCK_OPAQUE: return send_opaque(d, b);
    case BLOCK_TEXT:
    case BLOCK_THINKING: break;
    }
    return OK;
}

static enum err stop_block(struct stream_decoder *d, int64_t index)
{
    struct memory *m = d->state;
    struct block **at = &m->open;
    while (*at && (*at)->index != index) {
        at = &(*at)->next;
    }
    struct block *b = *at;
    if (!b) {
        return OK;
    }
    *at = b->next;
    m->open_count--;
    return end_block(d, b);
}

static enum err take_end(struct stream_decoder *d, yyjson_val *delta)
{
    struct memory *m = d->state;
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_FINISH,
                               .finish = anthropic_finish(json_get_string(delta, "stop_reason")),
                               .text = json_get_string(delta, "stop_sequence")};
    enum err e = OK;
    while (m->open && !e) {
        e = stop_block(d, m->open->index);
    }
    if (m->has_json && !m->has_call && chunk.finish == CHAT_FINISH_TOOL_CALLS) {
        chunk.finish = CHAT_FINISH_STOP; /* the call was the answer */
    }
    if (!e && chunk.finish != CHAT_FINISH_NONE) {
        e = stream_pass(d, &chunk);
    }
    struct chat_chunk usage = {.kind = CHAT_CHUNK_USAGE, .usage = d->outcome->usage};
    return e || !d->outcome->has_usage ? e : stream_pass(d, &usage);
}

enum err anthropic_decode_event(struct stream_decoder *d, struct slice data)
{
    struct memory *m = d->state;
    yyjson_val *root;
    int64_t index = 0;
    enum err e = json_parse(d->scratch, data, &root, NULL);
    if (e) {
        return e;
    }
    struct slice type = json_get_string(root, "type");
    (void)json_i64(json_get(root, "index"), &index);
    if (slice_eq(type, SLICE("ping"))) {
        return OK;
    }
    if (slice_eq(type, SLICE("message_start")) || !m->is_started) {
        e = send_start(d, json_get(root, "message"));
    }
    if (e) {
        return e;
    }
    if (slice_eq(type, SLICE("content_block_start"))) {
        return start_block(d, index, json_get(root, "content_block"));
    }
    if (slice_eq(type, SLICE("content_block_delta"))) {
        return take_delta(d, index, json_get(root, "delta"));
    }
    if (slice_eq(type, SLICE("content_block_stop"))) {
        return stop_block(d, index);
    }
    if (slice_eq(type, SLICE("message_delta"))) {
        return take_end(d, json_get(root, "delta"));
    }
    struct chat_chunk end = {.kind = CHAT_CHUNK_END};
    return slice_eq(type, SLICE("message_stop")) ? stream_pass(d, &end) : OK;
}
