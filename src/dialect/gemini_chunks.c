/* Neutral chunks as the API's stream.
 *
 *   text, thought     go out as they come, each as an event; a thought's last piece waits for the
 *                     signature that may follow: there are clients that lose one without a text
 *   call              held: its arguments are an object and cannot come in pieces
 *   finish, usage     held: they stand in the last event, with the calls
 *
 * The last event is the terminal one: there is none after it.
 */
#include "core/check.h"
#include "dialect/gemini.h"
#include "dialect/write.h"

#include <assert.h>

enum { CHOICES_KNOWN = 16, CALLS_MAX = 1024 };

struct out_call {
    int choice, tool;
    struct slice id, name, signature, provider; /* the exchange's arena */
    struct text arguments;
    bool is_custom; /* they are a text */
    struct out_call *next;
};

struct memory {
    struct slice id, model;
    struct out_call *first, *last;
    size_t calls;
    struct text sources; /* of citations: elements of groundingChunks */
    struct text thought; /* the piece that waits; empty: none does */
    struct slice thought_provider;
    int thought_choice;
    struct usage usage;
    enum chat_finish finish[CHOICES_KNOWN];
    bool is_seen[CHOICES_KNOWN];
    bool is_started, has_usage, has_refusal;
};
static_assert(sizeof(struct memory) <= GEMINI_ENCODER_BYTES, "grows with its struct");

/* One chunk being written. */
struct out {
    struct stream_encoder *e;
    struct memory *m;
    struct text t;
    unsigned flags;
};

/* --- events ------------------------------------------------------------------------------------
 */

static void close_event(struct out *o)
{
    write_string(&o->t, "modelVersion", o->m->model);
    write_string(&o->t, "responseId", o->m->id);
    TEXT_ADD(&o->t, "}\r\n\r\n");
}

static void add_part_event(struct out *o, const struct chat_part *p, int choice)
{
    size_t before = o->t.len;
    TEXT_ADD(&o->t, "data: {\"candidates\":[{\"content\":{\"parts\":[");
    if (gemini_add_answer_part(&o->t, p, 0)) {
        text_addf(&o->t, "],\"role\":\"model\"},\"index\":%d}]", choice);
        close_event(o);
        o->flags |= STREAM_CONTENT;
    } else {
        o->t.len = before; /* a client of this dialect cannot be told */
    }
}

static enum err start(struct out *o, const struct chat_chunk *chunk)
{
    bool is_start = chunk->kind == CHAT_CHUNK_START;
    if (o->m->is_started) {
        return OK;
    }
    o->m->is_started = true;
    o->m->sources = text_growing(o->e->arena);
    o->m->thought = text_growing(o->e->arena);
    enum err e =
        stream_keep(o->e, chunk->model.len ? chunk->model : o->e->outcome->model, &o->m->model);
    return e ? e
             : stream_keep(o->e, is_start && chunk->id.len ? chunk->id : SLICE("response-0"),
                           &o->m->id);
}

/* --- what is held ------------------------------------------------------------------------------
 */

static struct out_call *call_of(struct out *o, const struct chat_chunk *chunk)
{
    struct memory *m = o->m;
    struct out_call *c = m->first;
    while (c && (c->choice != chunk->choice || c->tool != chunk->tool)) {
        c = c->next;
    }
    if (c || m->calls == CALLS_MAX) {
        return c;
    }
    c = ARENA_NEW(o->e->arena, struct out_call);
    if (!c) {
        return NULL;
    }
    *c = (struct out_call){
        .choice = chunk->choice, .tool = chunk->tool, .arguments = text_growing(o->e->arena)};
    if (m->last) {
        m->last->next = c;
    } else {
        m->first = c;
    }
    m->last = c;
    m->calls++;
    return c;
}

static enum err take_call(struct out *o, const struct chat_chunk *chunk)
{
    struct out_call *c = call_of(o, chunk);
    if (!c) {
        return E_LIMIT;
    }
    c->is_custom = c->is_custom || chunk->is_custom;
    if (chunk->kind == CHAT_CHUNK_TOOL_ARGUMENTS) {
        text_add(&c->arguments, chunk->text);
        return c->arguments.is_full ? E_NOMEM : OK;
    }
    if (c->name.len) {
        return OK; /* said again */
    }
    enum err e = stream_keep(o->e, chunk->id, &c->id);
    e = e ? e : stream_keep(o->e, chunk->name, &c->name);
    e = e ? e : stream_keep(o->e, chunk->signature, &c->signature);
    return e ? e : stream_keep(o->e, chunk->provider, &c->provider);
}

/* A citation or a list of them. */
static enum err take_citation(struct out *o, const struct chat_chunk *chunk)
{
    struct text *t = &o->m->sources;
    yyjson_val *root, *v;
    size_t i, max;
    enum err e = json_parse(o->e->scratch, chunk->text, &root, NULL);
    size_t count = e ? 0 : yyjson_is_arr(root) ? yyjson_arr_size(root) : 1;
    for (i = 0, max = count; i < max; i++) {
        v = yyjson_is_arr(root) ? yyjson_arr_get(root, i) : root;
        if (json_get_string(v, "url").len) {
            text_add(t, t->len ? SLICE(",{\"web\":{") : SLICE("{\"web\":{"));
            write_string(t, "uri", json_get_string(v, "url"));
            write_string_if(t, "title", json_get_string(v, "title"));
            TEXT_ADD(t, "}}");
        }
    }
    return t->is_full ? E_NOMEM : e;
}

/* --- the end -----------------------------------------------------------------------------------
 */

static enum err add_calls(struct out *o, int choice)
{
    size_t n = 0;
    for (const struct out_call *c = o->m->first; c; c = c->next) {
        const struct chat_part part = {.kind = CHAT_TOOL_CALL,
                                       .id = c->id,
                                       .name = c->name,
                                       .text = text_slice(&c->arguments),
                                       .is_custom = c->is_custom,
                                       .signature = c->signature,
                                       .provider = c->provider};
        if (c->choice != choice) {
            continue;
        }
        if (!c->name.len) {
            return E_SYNTAX; /* a call that never got a name is no answer */
        }
        (void)gemini_add_answer_part(&o->t, &part, n++);
        o->flags |= STREAM_CONTENT;
    }
    if (n == 0) {
        TEXT_ADD(&o->t, "{\"text\":\"\"}");
    }
    return OK;
}

static enum err add_last(struct out *o)
{
    struct memory *m = o->m;
    m->is_seen[0] = true;
    TEXT_ADD(&o->t, "data: {\"candidates\":[");
    for (int i = 0; i < CHOICES_KNOWN; i++) {
        enum chat_finish finish = m->finish[i];
        if (!m->is_seen[i]) {
            continue;
        }
        write_element(&o->t);
        TEXT_ADD(&o->t, "\"content\":{\"parts\":[");
        enum err e = add_calls(o, i);
        if (e) {
            return e;
        }
        bool is_refused = i == 0 && m->has_refusal && finish <= CHAT_FINISH_STOP;
        TEXT_ADD(&o->t, "],\"role\":\"model\"}");
        write_string(&o->t, "finishReason",
                     gemini_finish_name(is_refused ? CHAT_FINISH_FILTER : finish));
        write_count(&o->t, "index", i);
        if (i == 0 && m->sources.len) {
            TEXT_ADD(&o->t, ",\"groundingMetadata\":{\"groundingChunks\":[");
            text_add(&o->t, text_slice(&m->sources));
            TEXT_ADD(&o->t, "]}");
        }
        TEXT_ADD(&o->t, "}");
    }
    TEXT_ADD(&o->t, "]");
    gemini_add_usage(&o->t, m->has_usage ? &m->usage : &o->e->outcome->usage);
    close_event(o);
    o->flags |= STREAM_TERMINAL;
    return OK;
}

static enum err take_text(struct out *o, const struct chat_chunk *chunk)
{
    const struct chat_part part = {.kind = CHAT_TEXT, .text = chunk->text};
    if (chunk->choice == 0) {
        text_add(o->e->text, chunk->text);
        o->m->has_refusal = o->m->has_refusal || chunk->kind == CHAT_CHUNK_REFUSAL;
    }
    add_part_event(o, &part, chunk->choice);
    return o->e->text->is_full ? E_NOMEM : OK;
}

static void send_thought(struct out *o, struct slice signature)
{
    struct memory *m = o->m;
    const struct chat_part part = {.kind = CHAT_THINKING,
                                   .text = text_slice(&m->thought),
                                   .signature = signature,
                                   .provider = m->thought_provider};
    if (m->thought.len) {
        add_part_event(o, &part, m->thought_choice);
        m->thought.len = 0;
    }
}

/* A text and what proves it come one after the other: the proof ends what was said before it. */
static enum err take_thinking(struct out *o, const struct chat_chunk *chunk)
{
    struct memory *m = o->m;
    const struct chat_part part = {.kind = CHAT_THINKING,
                                   .text = chunk->text,
                                   .signature = chunk->signature,
                                   .data = chunk->data,
                                   .provider = chunk->provider};
    bool is_proof = chunk->signature.len && !chunk->text.len && !chunk->data.len &&
                    !slice_eq(chunk->provider, GEMINI_NAME); /* its own never change their part */
    if (is_proof && m->thought.len && m->thought_choice == chunk->choice) {
        send_thought(o, chunk->signature);
        return OK;
    }
    send_thought(o, SLICE_NONE);
    if (!chunk->text.len || chunk->signature.len || chunk->data.len) {
        add_part_event(o, &part, chunk->choice);
        return OK;
    }
    m->thought_choice = chunk->choice;
    text_add(&m->thought, chunk->text);
    enum err e = slice_eq(m->thought_provider, chunk->provider)
                     ? OK
                     : stream_keep(o->e, chunk->provider, &m->thought_provider);
    return m->thought.is_full ? E_NOMEM : e;
}

static enum err take(struct out *o, const struct chat_chunk *chunk)
{
    if (chunk->kind != CHAT_CHUNK_THINKING) {
        send_thought(o, SLICE_NONE);
    }
    switch (chunk->kind) {
    case CHAT_CHUNK_TEXT:
    case CHAT_CHUNK_REFUSAL: return take_text(o, chunk);
    case CHAT_CHUNK_THINKING: return take_thinking(o, chunk);
    case CHAT_CHUNK_TOOL_START:
    case CHAT_CHUNK_TOOL_ARGUMENTS: return take_call(o, chunk);
    case CHAT_CHUNK_CITATION: return take_citation(o, chunk);
    case CHAT_CHUNK_FINISH: o->m->finish[chunk->choice] = chunk->finish; break;
    case CHAT_CHUNK_USAGE:
        o->m->usage = chunk->usage;
        o->m->has_usage = true;
        break;
    case CHAT_CHUNK_END: return add_last(o);
    case CHAT_CHUNK_ERROR: {
        const struct fault f = {.kind = FAULT_UPSTREAM, .message = chunk->text};
        gemini_render_stream_fault(&f, &o->t);
        o->flags = STREAM_ERROR;
        break;
    }
    case CHAT_CHUNK_START: /* the API has no event for it */
    case CHAT_CHUNK_OPAQUE: /* of another dialect's kind */ break;
    }
    return OK;
}

enum err gemini_encode_chunk(struct stream_encoder *e, const struct chat_chunk *chunk)
{
    struct out o = {.e = e, .m = e->state, .t = text_growing(e->scratch)};
    if (chunk->choice < 0 || chunk->choice >= CHOICES_KNOWN) {
        return E_LIMIT; /* the API answers with eight at most */
    }
    enum err err = chunk->kind == CHAT_CHUNK_ERROR ? OK : start(&o, chunk);
    o.m->is_seen[chunk->choice] = true;
    err = err ? err : take(&o, chunk);
    return err ? err : stream_send(e, &o.t, o.flags);
}
