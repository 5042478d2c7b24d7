/* Neutral chunks as a Responses stream.
 *
 * Each text, refusal, thought and call is an item; its place in the output is given when it is
 * added. Items follow one another:
 *
 *   text, refusal, thought   done when another item begins
 *   call                     done when another item begins and its arguments are a whole JSON
 *                            value; OpenAI's chat calls may interleave (trap 5), and then several
 *                            are open
 *   anything                 done at the end
 *
 * A call that its tool's name has not reached waits outside. The last event repeats all of it, so
 * all of it is kept.
 */
#include "dialect/responses.h"
#include "dialect/write.h"

#include <assert.h>

enum { ITEMS_MAX = 4096 };

struct out_item {
    struct chat_part part; /* but for its text and extras */
    int number;            /* of the call or the thought */
    size_t index;
    bool is_done;
    bool is_wrapped;         /* a call of a custom tool that came as a function's */
    bool has_summary;        /* THINKING: its text was begun */
    size_t annotation_count; /* TEXT */
    struct text text, annotations;
    struct out_item *next;
};

struct memory {
    struct out_item *first, *last; /* told of, in order */
    struct out_item *waiting;      /* calls without a name */
    size_t count, open;            /* all items; those told of and not done */
    int64_t sequence;
    struct slice id, model; /* the exchange's arena */
    int64_t created_unix_s;
    enum chat_finish finish;
    struct usage usage;
    bool has_usage, is_started;
};
static_assert(sizeof(struct memory) <= RESPONSES_ENCODER_BYTES, "grows with its struct");

/* One chunk being written. */
struct out {
    struct stream_encoder *e;
    struct memory *m;
    struct text t;
    unsigned flags;
};

/* --- events ------------------------------------------------------------------------------------
 */

static void open_event(struct out *o, const char *type)
{
    text_addf(&o->t, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%lld", type, type,
              (long long)o->m->sequence++);
}

static void close_event(struct out *o)
{
    TEXT_ADD(&o->t, "}\n\n");
}

static struct chat_part part_of(const struct out *o, const struct out_item *i)
{
    struct chat_part p = i->part;
    p.text = text_slice(&i->text);
    if (i->annotations.len) {
        p.extras = arena_printf(o->e->scratch, "{\"citations\":[%.*s]}",
                                SLICE_ARG(text_slice(&i->annotations)));
        p.provider = RESPONSES_NAME; /* they are in our words already */
    }
    return p;
}

static struct responses_item item_of(const struct out *o, const struct out_item *i,
                                     const struct chat_part *p, enum responses_status status)
{
    return (struct responses_item){.answer = o->m->id,
                                   .index = i->index,
                                   .parts = p,
                                   .count = 1,
                                   .status = status,
                                   .request = o->e->options->request};
}

static void add_item(struct out *o, const struct out_item *i, enum responses_status status)
{
    const struct chat_part p = part_of(o, i);
    const struct responses_item item = item_of(o, i, &p, status);
    responses_add_item(&o->t, &item);
}

static void open_item_event(struct out *o, const struct out_item *i, const char *type)
{
    const struct responses_item item = item_of(o, i, &i->part, RESPONSES_IN_PROGRESS);
    open_event(o, type);
    text_add_json_key(&o->t, "item_id");
    responses_add_item_id(&o->t, &item);
    write_count(&o->t, "output_index", (int64_t)i->index);
    if (i->part.kind == CHAT_TEXT || i->part.kind == CHAT_REFUSAL) {
        TEXT_ADD(&o->t, ",\"content_index\":0");
    } else if (i->part.kind == CHAT_THINKING) {
        TEXT_ADD(&o->t, ",\"summary_index\":0");
    }
}

static void add_output_event(struct out *o, const struct out_item *i, const char *type,
                             enum responses_status status)
{
    open_event(o, type);
    write_count(&o->t, "output_index", (int64_t)i->index);
    text_add_json_key(&o->t, "item");
    add_item(o, i, status);
    close_event(o);
}

/* The one part of an item, empty or whole. */
static void add_part_event(struct out *o, const struct out_item *i, const char *type, bool is_whole)
{
    struct chat_part p = part_of(o, i);
    if (!is_whole) {
        p.text = p.extras = SLICE_NONE;
    }
    open_item_event(o, i, type);
    text_add_json_key(&o->t, "part");
    if (p.kind == CHAT_THINKING) {
        TEXT_ADD(&o->t, "{\"type\":\"summary_text\"");
        write_string(&o->t, "text", p.text);
        TEXT_ADD(&o->t, "}");
    } else {
        responses_add_content(&o->t, &p);
    }
    close_event(o);
}

static bool is_custom(const struct out_item *i)
{
    return i->part.is_custom || i->is_wrapped;
}

/* What grows by deltas, and how the event that ends it names the whole. */
struct growth {
    const char *delta, *done, *member;
};

static struct growth growth_of(const struct out_item *i)
{
    switch (i->part.kind) {
    case CHAT_REFUSAL:
        return (struct growth){"response.refusal.delta", "response.refusal.done", "refusal"};
    case CHAT_THINKING:
        return (struct growth){"response.reasoning_summary_text.delta",
                               "response.reasoning_summary_text.done", "text"};
    case CHAT_TOOL_CALL:
        if (is_custom(i)) {
            return (struct growth){"response.custom_tool_call_input.delta",
                                   "response.custom_tool_call_input.done", "input"};
        }
        return (struct growth){"response.function_call_arguments.delta",
                               "response.function_call_arguments.done", "arguments"};
    case CHAT_TEXT:
    case CHAT_IMAGE:
    case CHAT_AUDIO:
    case CHAT_FILE:
    case CHAT_TOOL_RESULT:
    case CHAT_OPAQUE: break;
    }
    return (struct growth){"response.output_text.delta", "response.output_text.done", "text"};
}

static void add_delta(struct out *o, struct out_item *i, struct slice text)
{
    if (text.len == 0) {
        return;
    }
    if (i->part.kind == CHAT_THINKING && !i->has_summary) {
        i->has_summary = true;
        add_part_event(o, i, "response.reasoning_summary_part.added", false);
    }
    open_item_event(o, i, growth_of(i).delta);
    write_string(&o->t, "delta", text);
    if (i->part.kind == CHAT_TEXT) {
        TEXT_ADD(&o->t, ",\"logprobs\":[]");
    }
    close_event(o);
    o->flags |= STREAM_CONTENT;
}

static void add_grown(struct out *o, const struct out_item *i, struct slice text)
{
    struct growth g = growth_of(i);
    open_item_event(o, i, g.done);
    write_string(&o->t, g.member, text);
    if (i->part.kind == CHAT_TEXT) {
        TEXT_ADD(&o->t, ",\"logprobs\":[]");
    } else if (i->part.kind == CHAT_TOOL_CALL && !is_custom(i)) {
        write_string(&o->t, "name", i->part.name);
    }
    close_event(o);
}

/* --- items -------------------------------------------------------------------------------------
 */

static void finish_call(struct out *o, struct out_item *i)
{
    struct slice text = text_slice(&i->text);
    if (i->is_wrapped) {
        (void)responses_unwrap(o->e->scratch, text, &text);
        add_delta(o, i, text);
    } else if (text.len == 0 && !i->part.is_custom) { /* trap 6 */
        text_add(&i->text, SLICE("{}"));
        text = SLICE("{}");
        add_delta(o, i, text);
    }
    add_grown(o, i, text);
}

static void finish_item(struct out *o, struct out_item *i, enum responses_status status)
{
    if (i->part.kind == CHAT_TOOL_CALL) {
        finish_call(o, i);
    } else if (i->part.kind != CHAT_THINKING) {
        add_grown(o, i, text_slice(&i->text));
        add_part_event(o, i, "response.content_part.done", true);
    } else if (i->has_summary) {
        add_grown(o, i, text_slice(&i->text));
        add_part_event(o, i, "response.reasoning_summary_part.done", true);
    }
    add_output_event(o, i, "response.output_item.done", status);
    i->is_done = true;
    o->m->open--;
}

/* A call may be over when its arguments are; what else is free text is over at the end. */
static bool may_finish(const struct out_item *i)
{
    struct span_fault unused;
    return i->part.kind != CHAT_TOOL_CALL ||
           (!i->part.is_custom && i->text.len && spans_check(text_slice(&i->text), &unused) == OK);
}

/* Another item begins. */
static void finish_others(struct out *o)
{
    for (struct out_item *i = o->m->first; i && o->m->open; i = i->next) {
        if (!i->is_done && may_finish(i)) {
            finish_item(o, i, RESPONSES_COMPLETED);
        }
    }
}

static void tell(struct out *o, struct out_item *i)
{
    struct memory *m = o->m;
    finish_others(o);
    i->index = m->last ? m->last->index + 1 : 0;
    i->next = NULL;
    if (m->last) {
        m->last->next = i;
    } else {
        m->first = i;
    }
    m->last = i;
    m->open++;
    add_output_event(o, i, "response.output_item.added", RESPONSES_IN_PROGRESS);
    if (i->part.kind == CHAT_TEXT || i->part.kind == CHAT_REFUSAL) {
        add_part_event(o, i, "response.content_part.added", false);
    } else if (i->part.kind == CHAT_TOOL_CALL) {
        o->flags |= STREAM_CONTENT;
        add_delta(o, i, i->is_wrapped ? SLICE_NONE : text_slice(&i->text));
    }
}

/* NULL: no memory, or too many. */
static struct out_item *new_item(struct out *o, enum chat_part_kind kind, int number)
{
    struct out_item *i = o->m->count < ITEMS_MAX ? ARENA_NEW(o->e->arena, struct out_item) : NULL;
    if (i) {
        o->m->count++;
        i->part.kind = kind;
        i->number = number;
        i->text = text_growing(o->e->arena);
        i->annotations = text_growing(o->e->arena);
    }
    return i;
}

/* The item of that kind that is still growing, or a new one. */
static struct out_item *running(struct out *o, enum chat_part_kind kind, int number)
{
    struct out_item *i = o->m->last;
    if (i && !i->is_done && i->part.kind == kind && i->number == number) {
        return i;
    }
    i = new_item(o, kind, number);
    if (i) {
        tell(o, i);
    }
    return i;
}

static enum err put(struct out *o, struct out_item *i, struct slice text)
{
    text_add(&i->text, text);
    if (!i->is_wrapped) {
        add_delta(o, i, text);
    }
    return i->text.is_full ? E_NOMEM : OK;
}

/* --- chunks ------------------------------------------------------------------------------------
 */

static enum err take_text(struct out *o, const struct chat_chunk *chunk)
{
    enum chat_part_kind kind = chunk->kind == CHAT_CHUNK_TEXT ? CHAT_TEXT : CHAT_REFUSAL;
    struct out_item *i = running(o, kind, 0);
    text_add(o->e->text, chunk->text);
    return !i || o->e->text->is_full ? E_NOMEM : put(o, i, chunk->text);
}

static enum err take_thinking(struct out *o, const struct chat_chunk *chunk)
{
    struct out_item *i = o->m->last;
    bool is_sealed = i && (i->part.signature.len || i->part.data.len);
    if (i && i->part.kind == CHAT_THINKING && !i->is_done && (is_sealed || chunk->data.len)) {
        finish_item(o, i, RESPONSES_COMPLETED); /* another thought begins */
    }
    i = running(o, CHAT_THINKING, chunk->block);
    if (!i) {
        return E_NOMEM;
    }
    enum err e = stream_keep(o->e, chunk->provider, &i->part.provider);
    e = e ? e : stream_keep(o->e, chunk->data, &i->part.data);
    e = e ? e : stream_keep(o->e, chunk->signature, &i->part.signature);
    return e ? e : put(o, i, chunk->data.len ? SLICE_NONE : chunk->text);
}

static struct out_item *find_call(const struct memory *m, int number)
{
    struct out_item *i = m->last;
    if (i && i->part.kind == CHAT_TOOL_CALL && i->number == number) {
        return i;
    }
    for (i = m->first; i && (i->part.kind != CHAT_TOOL_CALL || i->number != number); i = i->next) {
    }
    return i;
}

static struct out_item **find_waiting(struct memory *m, int number)
{
    struct out_item **at = &m->waiting;
    while (*at && (*at)->number != number) {
        at = &(*at)->next;
    }
    return at;
}

static enum err take_arguments(struct out *o, const struct chat_chunk *chunk)
{
    struct out_item *i = find_call(o->m, chunk->tool);
    if (i && i->is_done) { /* white space after its end */
        return slice_trim(chunk->text).len ? E_SYNTAX : OK;
    }
    if (i) {
        return put(o, i, chunk->text);
    }
    struct out_item **at = find_waiting(o->m, chunk->tool);
    if (!*at) {
        *at = new_item(o, CHAT_TOOL_CALL, chunk->tool);
    }
    if (!*at) {
        return E_NOMEM;
    }
    text_add(&(*at)->text, chunk->text);
    return (*at)->text.is_full ? E_NOMEM : OK;
}

/* What another maker signs a call with has no place in the call's item: as a thought that says
 * nothing, for the client to hand back. */
static enum err take_signature(struct out *o, const struct chat_chunk *call)
{
    const struct chat_chunk thought = {.kind = CHAT_CHUNK_THINKING,
                                       .block = -1 - call->tool,
                                       .signature = call->signature,
                                       .provider = call->provider};
    return call->signature.len ? take_thinking(o, &thought) : OK;
}

static enum err take_call(struct out *o, const struct chat_chunk *chunk)
{
    if (find_call(o->m, chunk->tool)) {
        return OK; /* said again */
    }
    enum err e = take_signature(o, chunk);
    if (e) {
        return e;
    }
    struct out_item **at = find_waiting(o->m, chunk->tool);
    struct out_item *i = *at;
    if (i) {
        *at = i->next;
    } else {
        i = new_item(o, CHAT_TOOL_CALL, chunk->tool);
    }
    if (!i) {
        return E_NOMEM;
    }
    e = stream_keep(o->e, chunk->name, &i->part.name);
    e = e ? e : stream_keep(o->e, chunk->id, &i->part.id);
    i->part.is_custom = chunk->is_custom;
    i->is_wrapped = !chunk->is_custom && responses_is_custom(o->e->options->request, i->part.name);
    if (!e) {
        tell(o, i);
    }
    return e;
}

static enum err take_citation(struct out *o, const struct chat_chunk *chunk)
{
    struct out_item *i = o->m->last;
    yyjson_val *root;
    if (json_parse(o->e->scratch, chunk->text, &root, NULL) || !json_get_string(root, "url").len) {
        return OK; /* nothing that this API has words for */
    }
    if (!i || i->is_done || i->part.kind != CHAT_TEXT) {
        i = running(o, CHAT_TEXT, 0);
    }
    if (!i) {
        return E_NOMEM;
    }
    int64_t at = openai_character_count(text_slice(&i->text));
    struct text t = text_growing(o->e->scratch);
    (void)responses_add_annotation(&t, root, slice_eq(chunk->provider, RESPONSES_NAME), at, at);
    open_item_event(o, i, "response.output_text.annotation.added");
    write_count(&o->t, "annotation_index", (int64_t)i->annotation_count++);
    write_raw(&o->t, "annotation", text_slice(&t));
    close_event(o);
    text_add(&i->annotations, i->annotations.len ? SLICE(",") : SLICE_NONE);
    text_add(&i->annotations, text_slice(&t));
    return t.is_full || i->annotations.is_full ? E_NOMEM : OK;
}

/* --- beginning and end -------------------------------------------------------------------------
 */

static struct responses_head head_of(const struct out *o, enum responses_status status)
{
    const struct memory *m = o->m;
    return (struct responses_head){.id = m->id,
                                   .model = m->model,
                                   .created_unix_s = m->created_unix_s,
                                   .status = status,
                                   .finish = m->finish,
                                   .request = o->e->options->request};
}

static enum err start(struct out *o, const struct chat_chunk *chunk)
{
    struct memory *m = o->m;
    static const char *const types[] = {"response.created", "response.in_progress"};
    if (m->is_started) {
        return OK;
    }
    m->is_started = true;
    m->id = arena_dup(o->e->arena, chunk->kind == CHAT_CHUNK_START ? chunk->id : SLICE_NONE);
    m->model = arena_dup(o->e->arena, chunk->model.len ? chunk->model : o->e->outcome->model);
    m->created_unix_s = chunk->created_unix_s ? chunk->created_unix_s : o->e->options->now_unix_s;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const struct responses_head h = head_of(o, RESPONSES_IN_PROGRESS);
        open_event(o, types[i]);
        text_add_json_key(&o->t, "response");
        responses_open(&o->t, &h);
        responses_close(&o->t, &h);
        close_event(o);
    }
    return m->id.ptr && m->model.ptr ? OK : E_NOMEM;
}

static enum err take_end(struct out *o)
{
    struct memory *m = o->m;
    for (struct out_item *i = m->first; i; i = i->next) {
        if (!i->is_done) {
            bool is_cut = m->finish == CHAT_FINISH_LENGTH && !i->next;
            finish_item(o, i, is_cut ? RESPONSES_INCOMPLETE : RESPONSES_COMPLETED);
        }
    }
    return m->waiting ? E_SYNTAX : OK; /* a call that never got a name is no answer */
}

/* The terminal event, which goes out alone. */
static enum err send_last(struct out *o)
{
    struct memory *m = o->m;
    struct responses_head h = head_of(o, responses_status_of(m->finish));
    h.usage = m->has_usage                    ? &m->usage
              : o->e->outcome->usage.is_known ? &o->e->outcome->usage
                                              : NULL;
    o->t = text_growing(o->e->scratch);
    open_event(o, h.status == RESPONSES_COMPLETED    ? "response.completed"
                  : h.status == RESPONSES_INCOMPLETE ? "response.incomplete"
                                                     : "response.failed");
    text_add_json_key(&o->t, "response");
    responses_open(&o->t, &h);
    for (const struct out_item *i = m->first; i; i = i->next) {
        bool is_cut = h.finish == CHAT_FINISH_LENGTH && !i->next;
        write_next(&o->t);
        add_item(o, i, is_cut ? RESPONSES_INCOMPLETE : RESPONSES_COMPLETED);
    }
    responses_close(&o->t, &h);
    close_event(o);
    return stream_send(o->e, &o->t, STREAM_TERMINAL);
}

static void take_error(struct out *o, const struct chat_chunk *chunk)
{
    const struct fault f = {.kind = FAULT_UPSTREAM, .message = chunk->text};
    const struct responses_head h = head_of(o, RESPONSES_FAILED);
    responses_add_fault_events(&f, o->m->sequence, &h, &o->t);
    o->m->sequence += 2;
    o->flags = STREAM_ERROR;
}

static enum err take(struct out *o, const struct chat_chunk *chunk)
{
    switch (chunk->kind) {
    case CHAT_CHUNK_TEXT:
    case CHAT_CHUNK_REFUSAL: return take_text(o, chunk);
    case CHAT_CHUNK_THINKING: return take_thinking(o, chunk);
    case CHAT_CHUNK_TOOL_START: return take_call(o, chunk);
    case CHAT_CHUNK_TOOL_ARGUMENTS: return take_arguments(o, chunk);
    case CHAT_CHUNK_CITATION: return take_citation(o, chunk);
    case CHAT_CHUNK_FINISH: o->m->finish = chunk->finish; break;
    case CHAT_CHUNK_USAGE:
        o->m->usage = chunk->usage;
        o->m->has_usage = true;
        break;
    case CHAT_CHUNK_ERROR: take_error(o, chunk); break;
    case CHAT_CHUNK_END: return take_end(o);
    case CHAT_CHUNK_START:
    case CHAT_CHUNK_OPAQUE: break; /* of tools that its provider ran */
    }
    return OK;
}

enum err responses_encode_chunk(struct stream_encoder *e, const struct chat_chunk *chunk)
{
    struct out o = {.e = e, .m = e->state, .t = text_growing(e->scratch)};
    if (chunk->choice != 0) {
        return OK; /* a response has one */
    }
    enum err err = start(&o, chunk);
    err = err ? err : take(&o, chunk);
    err = err ? err : stream_send(e, &o.t, o.flags);
    return err || chunk->kind != CHAT_CHUNK_END ? err : send_last(&o);
}
