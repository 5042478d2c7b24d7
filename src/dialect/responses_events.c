/* One event of a Responses stream as neutral chunks.
 *
 * Items are known by their output_index: their ids change from event to event at some servers
 * (Copilot). What a server tells only when an item is done is taken from there.
 */
#include "dialect/responses.h"

#include <assert.h>

enum { CALLS_MAX = 1024, OPEN_MAX = 1024 };

/* An item that was added and is not done: they follow one another, but may be open side by side. */
struct open_item {
    int64_t output_index;
    int call; /* number of the call, -1: none */
    bool is_custom;
    bool has_text; /* something of it was passed on */
    bool has_more; /* its text goes on after a gap */
    struct open_item *next;
};

struct decoder_state {
    struct open_item *open, *spare;
    int calls, open_count;
};
static_assert(sizeof(struct decoder_state) <= RESPONSES_DECODER_BYTES, "grows with its struct");

struct chunks {
    struct stream_decoder *d;
    struct decoder_state *s;
    yyjson_val *root;
    struct chat_chunk base; /* id, model, created of this event */
    int64_t output_index;
};

static enum err send(const struct chunks *c, const struct chat_chunk *chunk)
{
    return c->d->on_chunk(c->d->ctx, chunk);
}

static enum err send_text(const struct chunks *c, enum chat_chunk_kind kind, struct slice text)
{
    struct chat_chunk chunk = c->base;
    chunk.kind = kind;
    chunk.text = text;
    chunk.block = (int)(c->output_index & 0xFFFF); /* of a thought */
    return text.len ? send(c, &chunk) : OK;
}

static struct open_item *find_item(const struct chunks *c)
{
    struct open_item *i = c->s->open;
    while (i && i->output_index != c->output_index) {
        i = i->next;
    }
    return i;
}

/* NULL: no memory, or too many are open. */
static struct open_item *open_item(const struct chunks *c)
{
    struct open_item *i = find_item(c);
    if (i) {
        return i;
    }
    if (c->s->open_count == OPEN_MAX) {
        return NULL;
    }
    i = c->s->spare ? c->s->spare : ARENA_NEW(c->d->arena, struct open_item);
    if (i) {
        c->s->open_count++;
        c->s->spare = c->s->spare ? c->s->spare->next : NULL;
        *i = (struct open_item){.output_index = c->output_index, .call = -1, .next = c->s->open};
        c->s->open = i;
    }
    return i;
}

static void close_item(const struct chunks *c)
{
    struct open_item **at = &c->s->open;
    while (*at && (*at)->output_index != c->output_index) {
        at = &(*at)->next;
    }
    struct open_item *i = *at;
    if (i) {
        *at = i->next;
        c->s->open_count--;
        i->next = c->s->spare;
        c->s->spare = i;
    }
}

static bool is(struct slice s, const char *text)
{
    return slice_eq(s, slice_str(text));
}

/* --- items -------------------------------------------------------------------------------------
 */

static bool is_call(struct slice type)
{
    return is(type, "function_call") || is(type, "custom_tool_call");
}

static enum err begin_call(const struct chunks *c, struct open_item *i, yyjson_val *item)
{
    if (i->call >= 0) {
        return OK;
    }
    if (c->s->calls == CALLS_MAX) {
        return E_LIMIT;
    }
    i->call = c->s->calls++;
    i->is_custom = is(json_get_string(item, "type"), "custom_tool_call");
    struct chat_chunk chunk = c->base;
    chunk.kind = CHAT_CHUNK_TOOL_START;
    chunk.tool = i->call;
    chunk.id = json_get_string(item, "call_id");
    chunk.name = json_get_string(item, "name");
    chunk.is_custom = i->is_custom;
    return send(c, &chunk);
}

static enum err send_arguments(const struct chunks *c, struct open_item *i, struct slice text)
{
    struct chat_chunk chunk = c->base;
    chunk.kind = CHAT_CHUNK_TOOL_ARGUMENTS;
    chunk.tool = i->call;
    chunk.text = text;
    chunk.is_custom = i->is_custom;
    if (text.len == 0 || i->call < 0) {
        return OK;
    }
    i->has_text = true;
    return send(c, &chunk);
}

static enum err added(const struct chunks *c)
{
    yyjson_val *item = json_get(c->root, "item");
    struct open_item *i = open_item(c);
    if (!i) {
        return E_NOMEM;
    }
    return is_call(json_get_string(item, "type")) ? begin_call(c, i, item) : OK;
}

static enum err done_call(const struct chunks *c, struct open_item *i, yyjson_val *item)
{
    struct slice text = json_get_string(item, "arguments");
    enum err e = begin_call(c, i, item);
    if (e || i->has_text) {
        return e;
    }
    text = i->is_custom ? json_get_string(item, "input") : text.len ? text : SLICE("{}");
    return send_arguments(c, i, text);
}

static enum err done_thought(const struct chunks *c, const struct open_item *i, yyjson_val *item)
{
    struct chat_part p = {.kind = CHAT_THINKING, .text = i->has_text ? SLICE(" ") : SLICE_NONE};
    yyjson_val *summary = json_get(item, "summary");
    yyjson_val *texts = yyjson_arr_size(summary) ? summary : json_get(item, "content");
    size_t k, max;
    yyjson_val *v;
    enum err e = OK;
    yyjson_arr_foreach(texts, k, max, v)
    {
        if (!i->has_text) {
            e = e || k == 0 ? e : send_text(c, CHAT_CHUNK_THINKING, SLICE("\n\n"));
            e = e ? e : send_text(c, CHAT_CHUNK_THINKING, json_get_string(v, "text"));
        }
        p.text = json_get_string(v, "text").len ? json_get_string(v, "text") : p.text;
    }
    responses_take_proof(&p, json_get_string(item, "encrypted_content"));
    if (e || !p.provider.len) {
        return e;
    }
    struct chat_chunk chunk = c->base;
    chunk.kind = CHAT_CHUNK_THINKING;
    chunk.block = (int)(c->output_index & 0xFFFF);
    chunk.signature = p.signature;
    chunk.data = p.data;
    chunk.provider = p.provider;
    return send(c, &chunk);
}

static enum err done_message(const struct chunks *c, const struct open_item *i, yyjson_val *item)
{
    yyjson_val *content = json_get(item, "content");
    size_t k, max;
    yyjson_val *v;
    enum err e = OK;
    yyjson_arr_foreach(content, k, max, v)
    {
        if (!i->has_text && !e) {
            e = send_text(c, CHAT_CHUNK_TEXT, json_get_string(v, "text"));
            e = e ? e : send_text(c, CHAT_CHUNK_REFUSAL, json_get_string(v, "refusal"));
        }
    }
    return e;
}

static enum err done_opaque(const struct chunks *c, yyjson_val *item)
{
    struct chat_chunk chunk = c->base;
    chunk.kind = CHAT_CHUNK_OPAQUE;
    chunk.name = json_get_string(item, "type");
    chunk.text = json_text(c->d->scratch, item);
    chunk.provider = RESPONSES_NAME;
    return !chunk.text.ptr ? E_NOMEM : chunk.name.len ? send(c, &chunk) : OK;
}

static enum err done(const struct chunks *c)
{
    yyjson_val *item = json_get(c->root, "item");
    struct slice type = json_get_string(item, "type");
    struct open_item *i = open_item(c);
    if (!i) {
        return E_NOMEM;
    }
    enum err e = is_call(type)           ? done_call(c, i, item)
                 : is(type, "reasoning") ? done_thought(c, i, item)
                 : is(type, "message")   ? done_message(c, i, item)
                                         : done_opaque(c, item);
    close_item(c);
    return e;
}

/* --- what grows --------------------------------------------------------------------------------
 */

static enum err delta(const struct chunks *c, enum chat_chunk_kind kind)
{
    struct slice text = json_get_string(c->root, "delta");
    struct open_item *i = open_item(c);
    enum err e = OK;
    if (!i) {
        return E_NOMEM;
    }
    if (kind == CHAT_CHUNK_TOOL_ARGUMENTS) {
        return send_arguments(c, i, text);
    }
    if (kind == CHAT_CHUNK_THINKING && i->has_more && text.len) {
        e = send_text(c, kind, SLICE("\n\n"));
        i->has_more = false;
    }
    i->has_text = i->has_text || text.len;
    return e ? e : send_text(c, kind, text);
}

/* A summary of several parts is one thought. */
static enum err part_added(const struct chunks *c)
{
    struct open_item *i = open_item(c);
    if (i) {
        i->has_more = i->has_text;
    }
    return i ? OK : E_NOMEM;
}

static enum err annotation(const struct chunks *c)
{
    struct chat_chunk chunk = c->base;
    chunk.kind = CHAT_CHUNK_CITATION;
    chunk.text = json_text(c->d->scratch, json_get(c->root, "annotation"));
    chunk.provider = RESPONSES_NAME;
    return !json_get(c->root, "annotation") ? OK : chunk.text.ptr ? send(c, &chunk) : E_NOMEM;
}

/* The last event: usage, why it ended, the end. */
static enum err end(const struct chunks *c)
{
    struct chat_chunk chunk = c->base;
    yyjson_val *usage = json_get(json_get(c->root, "response"), "usage");
    enum err e = OK;
    if (yyjson_is_obj(usage)) {
        struct slice text = json_text(c->d->scratch, usage);
        if (!text.ptr) {
            return E_NOMEM;
        }
        chunk.kind = CHAT_CHUNK_USAGE;
        openai_read_usage(text, &chunk.usage);
        e = chunk.usage.is_known ? send(c, &chunk) : OK;
    }
    chunk = c->base;
    chunk.kind = CHAT_CHUNK_FINISH;
    chunk.finish = c->d->outcome->finish;
    if (chunk.finish == CHAT_FINISH_STOP && c->s->calls) { /* the last event may repeat no items */
        chunk.finish = CHAT_FINISH_TOOL_CALLS;
    }
    e = e ? e : send(c, &chunk);
    chunk = c->base;
    chunk.kind = CHAT_CHUNK_END;
    return e ? e : send(c, &chunk);
}

static enum err decode(const struct chunks *c, struct slice type)
{
    static const struct {
        struct slice type;
        enum chat_chunk_kind kind;
    } deltas[] = {
        {SLICE_INIT("response.output_text.delta"), CHAT_CHUNK_TEXT},
        {SLICE_INIT("response.refusal.delta"), CHAT_CHUNK_REFUSAL},
        {SLICE_INIT("response.reasoning_summary_text.delta"), CHAT_CHUNK_THINKING},
        {SLICE_INIT("response.reasoning_text.delta"), CHAT_CHUNK_THINKING},
        {SLICE_INIT("response.function_call_arguments.delta"), CHAT_CHUNK_TOOL_ARGUMENTS},
        {SLICE_INIT("response.custom_tool_call_input.delta"), CHAT_CHUNK_TOOL_ARGUMENTS},
    };
    static const struct {
        struct slice type;
        enum err (*take)(const struct chunks *c);
    } others[] = {
        {SLICE_INIT("response.output_item.added"), added},
        {SLICE_INIT("response.output_item.done"), done},
        {SLICE_INIT("response.reasoning_summary_part.added"), part_added},
        {SLICE_INIT("response.output_text.annotation.added"), annotation},
        {SLICE_INIT("response.completed"), end},
        {SLICE_INIT("response.incomplete"), end},
    };
    for (size_t i = 0; i < ARRAY_LEN(deltas); i++) {
        if (slice_eq(type, deltas[i].type)) {
            return delta(c, deltas[i].kind);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (slice_eq(type, others[i].type)) {
            return others[i].take(c);
        }
    }
    return OK; /* what tells progress, or the whole of what came in pieces */
}

enum err responses_decode_event(struct stream_decoder *d, struct slice data)
{
    struct chunks c = {.d = d, .s = d->state};
    if (slice_eq(data, SLICE("[DONE]"))) {
        return OK;
    }
    enum err e = json_parse(d->scratch, data, &c.root, NULL);
    if (e) {
        return e;
    }
    yyjson_val *response = json_get(c.root, "response");
    c.base.id = json_get_string(response, "id");
    c.base.model = json_get_string(response, "model");
    (void)json_i64(json_get(response, "created_at"), &c.base.created_unix_s);
    (void)json_i64(json_get(c.root, "output_index"), &c.output_index);
    if (d->is_first) {
        struct chat_chunk chunk = c.base;
        chunk.kind = CHAT_CHUNK_START;
        e = send(&c, &chunk);
    }
    return e ? e : decode(&c, json_get_string(c.root, "type"));
}
