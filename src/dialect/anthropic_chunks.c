/* Neutral chunks as an Anthropic stream.
 *
 * One block is open at a time, so blocks queue: the first is open and passes what comes for it,
 * the others hold it till it is their turn.
 *
 *   text, thought    closes when another block queues behind it
 *   call             closes when another queues and its arguments are a whole JSON object: OpenAI's
 *                    calls may interleave (trap 5)
 *   anything         closes at the end
 *
 * message_start comes before anything, message_delta after the late usage (trap 7).
 */
#include "dialect/anthropic.h"
#include "dialect/write.h"

#include <assert.h>

enum { CALLS_REMEMBERED = 128, QUEUE_MAX = 1024 };

enum out_kind { OUT_TEXT, OUT_THINKING, OUT_CALL };

/* How far the arguments of a call have come. */
struct progress {
    int depth;
    bool is_string, is_escape, is_whole;
};

struct out_block {
    enum out_kind kind;
    int number; /* of the call or the thought */
    bool is_open;
    bool is_named;               /* CALL: its name is known */
    bool is_sealed;              /* THINKING: its signature came */
    bool is_custom;              /* CALL: its text is held, and goes inside an object */
    struct slice id, name, data; /* the exchange's arena */
    struct slice signature, provider;
    struct text held;
    struct progress progress;
    struct out_block *next;
};

struct memory {
    struct out_block *first, *last;
    size_t queued;
    int index; /* of the block that opens next */
    bool is_started, is_ending, has_call, has_refusal, has_usage;
    enum chat_finish finish;
    struct slice stop; /* the exchange's arena */
    struct usage usage;
    uint64_t closed[CALLS_REMEMBERED / 64]; /* bit i: call i is closed */
};
static_assert(sizeof(struct memory) <= ANTHROPIC_ENCODER_BYTES, "grows with its struct");

/* One chunk being written. */
struct out {
    struct stream_encoder *e;
    struct memory *m;
    struct text t;
    unsigned flags;
};

/* --- events ------------------------------------------------------------------------------------
 */

static void open_event(struct text *t, const char *type)
{
    text_addf(t, "event: %s\ndata: {\"type\":\"%s\"", type, type);
}

static void close_event(struct text *t)
{
    TEXT_ADD(t, "}\n\n");
}

static void add_start(struct out *o, const struct chat_chunk *chunk)
{
    struct text *t = &o->t;
    bool is_start = chunk->kind == CHAT_CHUNK_START;
    struct slice model = chunk->model.len ? chunk->model : o->e->outcome->model;
    if (o->m->is_started) {
        return;
    }
    o->m->is_started = true;
    open_event(t, "message_start");
    TEXT_ADD(t, ",\"message\":{");
    write_string(t, "id", is_start && chunk->id.len ? chunk->id : SLICE("msg_0"));
    TEXT_ADD(t, ",\"type\":\"message\",\"role\":\"assistant\"");
    write_string(t, "model", model);
    TEXT_ADD(t, ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,");
    anthropic_add_usage(t, &o->e->outcome->usage);
    TEXT_ADD(t, "}");
    close_event(t);
    TEXT_ADD(t, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

static void open_delta(struct out *o, const char *type)
{
    open_event(&o->t, "content_block_delta");
    write_count(&o->t, "index", o->m->index);
    text_add_json_key(&o->t, "delta");
    TEXT_ADD(&o->t, "{");
    write_string(&o->t, "type", slice_str(type));
}

static void close_delta(struct out *o)
{
    TEXT_ADD(&o->t, "}");
    close_event(&o->t);
}

static void add_delta(struct out *o, enum out_kind kind, struct slice text)
{
    static const struct {
        const char *type, *member;
    } deltas[] = {
        [OUT_TEXT] = {"text_delta", "text"},
        [OUT_THINKING] = {"thinking_delta", "thinking"},
        [OUT_CALL] = {"input_json_delta", "partial_json"},
    };
    if (text.len) {
        open_delta(o, deltas[kind].type);
        write_string(&o->t, deltas[kind].member, text);
        close_delta(o);
        o->flags |= STREAM_CONTENT;
    }
}

static void add_block_start(struct out *o, const struct out_block *b)
{
    struct text *t = &o->t;
    open_event(t, "content_block_start");
    write_count(t, "index", o->m->index);
    text_add_json_key(t, "content_block");
    TEXT_ADD(t, "{");
    if (b->kind == OUT_TEXT) {
        TEXT_ADD(t, "\"type\":\"text\",\"text\":\"\"");
    } else if (b->kind == OUT_CALL) {
        TEXT_ADD(t, "\"type\":\"tool_use\",\"id\":");
        if (b->id.len) {
            anthropic_add_id(t, b->id);
        } else {
            text_addf(t, "\"call_%d\"", b->number);
        }
        write_string(t, "name", b->name);
        TEXT_ADD(t, ",\"input\":{}");
        o->flags |= STREAM_CONTENT;
    } else if (b->data.len) {
        TEXT_ADD(t, "\"type\":\"redacted_thinking\",\"data\":");
        anthropic_add_signature(t, b->data, b->provider);
    } else {
        TEXT_ADD(t, "\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"");
    }
    TEXT_ADD(t, "}");
    close_event(t);
}

static void add_block_stop(struct out *o, const struct out_block *b)
{
    if (b->kind == OUT_THINKING && b->signature.len) {
        open_delta(o, "signature_delta");
        text_add_json_key(&o->t, "signature");
        anthropic_add_signature(&o->t, b->signature, b->provider);
        close_delta(o);
    }
    open_event(&o->t, "content_block_stop");
    write_count(&o->t, "index", o->m->index);
    close_event(&o->t);
}

/* --- the queue ---------------------------------------------------------------------------------
 */

static void follow(struct progress *p, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (p->is_escape) {
            p->is_escape = false;
        } else if (p->is_string) {
            p->is_escape = c == '\\';
            p->is_string = c != '"';
        } else if (c == '"') {
            p->is_string = true;
        } else if (c == '{' || c == '[') {
            p->depth++;
        } else if (c == '}' || c == ']') {
            p->depth--;
            p->is_whole = p->is_whole || p->depth == 0;
        }
    }
}

static struct out_block *add_block(struct out *o, enum out_kind kind, int number)
{
    struct memory *m = o->m;
    struct out_block *b = m->queued < QUEUE_MAX ? ARENA_NEW(o->e->arena, struct out_block) : NULL;
    if (!b) {
        return NULL;
    }
    b->kind = kind;
    b->number = number;
    b->held = text_growing(o->e->arena);
    if (m->last) {
        m->last->next = b;
    } else {
        m->first = b;
    }
    m->last = b;
    m->queued++;
    return b;
}

static struct out_block *find_call(const struct memory *m, int number)
{
    struct out_block *b = m->first;
    while (b && (b->kind != OUT_CALL || b->number != number)) {
        b = b->next;
    }
    return b;
}

static bool is_closed_call(const struct memory *m, int number)
{
    size_t word = (size_t)number / 64;
    return word < ARRAY_LEN(m->closed) && (m->closed[word] >> (number % 64) & 1);
}

static bool may_close(const struct memory *m, const struct out_block *b)
{
    return m->is_ending || (b->next && (b->kind != OUT_CALL || b->progress.is_whole));
}

static bool may_open(const struct out_block *b)
{
    return b->kind != OUT_CALL || b->is_named;
}

/* The free text of a custom call as the object that the API knows. */
static void add_custom(struct out *o, const struct out_block *b)
{
    struct text input = text_growing(o->e->scratch);
    write_arguments(&input, text_slice(&b->held), true);
    add_delta(o, b->kind, text_slice(&input));
    o->t.is_full = o->t.is_full || input.is_full;
}

/* Opens and closes as far as the queue lets. E_SYNTAX: a call ends without a name. */
static enum err pump(struct out *o)
{
    struct memory *m = o->m;
    while (m->first) {
        struct out_block *b = m->first;
        if (!b->is_open) {
            if (!may_open(b)) {
                return m->is_ending ? E_SYNTAX : OK;
            }
            b->is_open = true;
            add_block_start(o, b);
            add_delta(o, b->kind, b->is_custom ? SLICE_NONE : text_slice(&b->held));
        }
        if (!may_close(m, b)) {
            return OK;
        }
        if (b->is_custom) {
            add_custom(o, b);
        }
        add_block_stop(o, b);
        if (b->kind == OUT_CALL && (size_t)b->number / 64 < ARRAY_LEN(m->closed)) {
            m->closed[b->number / 64] |= (uint64_t)1 << (b->number % 64);
        }
        m->first = b->next;
        m->last = m->first ? m->last : NULL;
        m->queued--;
        m->index++;
    }
    return OK;
}

static enum err put(struct out *o, struct out_block *b, struct slice text)
{
    if (!b) {
        return E_LIMIT;
    }
    if (b->is_open && !b->is_custom) {
        add_delta(o, b->kind, text);
    } else {
        text_add(&b->held, text);
    }
    if (b->kind == OUT_CALL && !b->is_custom) {
        follow(&b->progress, text);
    }
    return b->held.is_full ? E_NOMEM : pump(o);
}

/* --- chunks ------------------------------------------------------------------------------------
 */

static enum err take_text(struct out *o, const struct chat_chunk *chunk)
{
    struct out_block *b = o->m->last;
    text_add(o->e->text, chunk->text);
    o->m->has_refusal = o->m->has_refusal || chunk->kind == CHAT_CHUNK_REFUSAL;
    if (!b || b->kind != OUT_TEXT) {
        b = add_block(o, OUT_TEXT, 0);
    }
    return o->e->text->is_full ? E_NOMEM : put(o, b, chunk->text);
}

static enum err take_thinking(struct out *o, const struct chat_chunk *chunk)
{
    struct out_block *b = o->m->last;
    bool is_more = b && b->kind == OUT_THINKING && b->number == chunk->block && !b->is_sealed &&
                   !b->data.len && !chunk->data.len;
    if (!is_more) {
        b = add_block(o, OUT_THINKING, chunk->block);
    }
    if (!b) {
        return E_LIMIT;
    }
    enum err e = stream_keep(o->e, chunk->provider, &b->provider);
    e = e ? e : stream_keep(o->e, chunk->data, &b->data);
    e = e ? e : stream_keep(o->e, chunk->signature, &b->signature);
    b->is_sealed = b->signature.len || b->data.len;
    return e ? e : put(o, b, b->data.len ? SLICE_NONE : chunk->text);
}

static enum err take_call(struct out *o, const struct chat_chunk *chunk)
{
    struct out_block *b = find_call(o->m, chunk->tool);
    if (!b && is_closed_call(o->m, chunk->tool)) { /* said again, or white space after its end */
        bool is_again = chunk->kind == CHAT_CHUNK_TOOL_START || anthropic_is_blank(chunk->text);
        return is_again ? OK : E_SYNTAX;
    }
    o->m->has_call = true;
    if (!b &&
        chunk->signature.len) { /* as a thought that says nothing, for the client to hand back */
        const struct chat_chunk proof = {.kind = CHAT_CHUNK_THINKING,
                                         .block = -1 - chunk->tool,
                                         .signature = chunk->signature,
                                         .provider = chunk->provider};
        enum err failed = take_thinking(o, &proof);
        if (failed) {
            return failed;
        }
    }
    if (!b) {
        b = add_block(o, OUT_CALL, chunk->tool);
    }
    if (!b) {
        return E_LIMIT;
    }
    b->is_custom = b->is_custom || chunk->is_custom;
    if (chunk->kind == CHAT_CHUNK_TOOL_ARGUMENTS) {
        return put(o, b, chunk->text);
    }
    enum err e = b->is_named ? OK : stream_keep(o->e, chunk->name, &b->name);
    e = e || b->is_named ? e : stream_keep(o->e, chunk->id, &b->id);
    b->is_named = true;
    return e ? e : pump(o);
}

static struct slice finish_name(const struct memory *m)
{
    enum chat_finish finish = m->finish;
    if (finish == CHAT_FINISH_STOP || finish == CHAT_FINISH_NONE) {
        finish = m->has_call      ? CHAT_FINISH_TOOL_CALLS
                 : m->has_refusal ? CHAT_FINISH_FILTER
                                  : finish;
    }
    return anthropic_finish_name(finish, m->stop);
}

static enum err take_end(struct out *o)
{
    struct memory *m = o->m;
    struct text *t = &o->t;
    m->is_ending = true;
    enum err e = pump(o);
    if (e) {
        return e;
    }
    open_event(t, "message_delta");
    text_add_json_key(t, "delta");
    TEXT_ADD(t, "{");
    write_string(t, "stop_reason", finish_name(m));
    if (m->stop.len) {
        write_string(t, "stop_sequence", m->stop);
    } else {
        write_raw(t, "stop_sequence", SLICE("null"));
    }
    TEXT_ADD(t, "},");
    anthropic_add_usage(t, m->has_usage ? &m->usage : &o->e->outcome->usage);
    close_event(t);
    return OK;
}

static enum err take(struct out *o, const struct chat_chunk *chunk)
{
    switch (chunk->kind) {
    case CHAT_CHUNK_TEXT:
    case CHAT_CHUNK_REFUSAL: return take_text(o, chunk);
    case CHAT_CHUNK_THINKING: return take_thinking(o, chunk);
    case CHAT_CHUNK_TOOL_START:
    case CHAT_CHUNK_TOOL_ARGUMENTS: return take_call(o, chunk);
    case CHAT_CHUNK_FINISH:
        o->m->finish = chunk->finish;
        return stream_keep(o->e, chunk->text, &o->m->stop);
    case CHAT_CHUNK_USAGE:
        o->m->usage = chunk->usage;
        o->m->has_usage = true;
        break;
    case CHAT_CHUNK_END: return take_end(o);
    case CHAT_CHUNK_ERROR: {
        const struct fault f = {.kind = FAULT_UPSTREAM, .message = chunk->text};
        anthropic_render_stream_fault(&f, &o->t);
        o->flags = STREAM_ERROR;
        break;
    }
    case CHAT_CHUNK_START:
    case CHAT_CHUNK_CITATION: /* of another dialect's kind */
    case CHAT_CHUNK_OPAQUE: break;
    }
    return OK;
}

enum err anthropic_encode_chunk(struct stream_encoder *e, const struct chat_chunk *chunk)
{
    struct out o = {.e = e, .m = e->state, .t = text_growing(e->scratch)};
    if (chunk->choice != 0) {
        return OK; /* a message has one */
    }
    if (chunk->kind != CHAT_CHUNK_ERROR) {
        add_start(&o, chunk);
    }
    enum err err = take(&o, chunk);
    err = err ? err : stream_send(e, &o.t, o.flags);
    if (!err && chunk->kind == CHAT_CHUNK_END) {
        err =
            e->options->on_bytes(e->options->ctx, dialect_anthropic.events->done, STREAM_TERMINAL);
    }
    return err;
}
