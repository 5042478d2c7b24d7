/* The gateway's own dialect, /api/v1/completions: errors, answers and streams. */
#include "dialect/own.h"

#include "dialect/openai.h"

static void add_detail_text(struct text *t, struct slice message)
{
    TEXT_ADD(t, "{\"detail\":");
    text_add_json_string(t, message);
    TEXT_ADD(t, "}");
}

/* "messages[0].role" -> ["body","messages",0,"role"] */
static void add_loc(struct text *t, struct slice param)
{
    TEXT_ADD(t, "[\"body\"");
    while (param.len) {
        size_t len = 0;
        bool is_index = param.ptr[0] == '[';
        param = is_index ? slice_from(param, 1) : param;
        while (len < param.len && !strchr(is_index ? "]" : ".[", param.ptr[len])) {
            len++;
        }
        text_add_char(t, ',');
        if (is_index) {
            text_add(t, slice_head(param, len));
            len += len < param.len;
        } else {
            text_add_json_string(t, slice_head(param, len));
        }
        param = slice_from(param, len);
        if (param.len && param.ptr[0] == '.') {
            param = slice_from(param, 1);
        }
    }
    TEXT_ADD(t, "]");
}

static void add_entry(struct text *t, const struct fault_detail *d, struct slice param)
{
    TEXT_ADD(t, "{");
    text_add_json_key(t, "type");
    text_add_json_string(t, d->type.len ? d->type : SLICE("value_error"));
    text_add_json_key(t, "loc");
    if (d->loc.len) {
        text_add(t, d->loc);
    } else {
        add_loc(t, param);
    }
    text_add_json_key(t, "msg");
    text_add_json_string(t, d->message);
    text_add_json_key(t, "input");
    text_add(t, d->input.len ? d->input : SLICE("null"));
    TEXT_ADD(t, "}");
}

static void add_detail_list(struct text *t, const struct fault *f)
{
    TEXT_ADD(t, "{\"detail\":[");
    for (size_t i = 0; i < f->detail_count; i++) {
        if (i) {
            text_add_char(t, ',');
        }
        add_entry(t, &f->details[i], f->param);
    }
    if (f->detail_count == 0) {
        const struct fault_detail one = {
            .type = f->detail_type,
            .message = f->message.len ? f->message : SLICE("The request is not valid."),
            .input = f->input};
        add_entry(t, &one, f->param);
    }
    TEXT_ADD(t, "]}");
}

struct own_row {
    int status;
    const char *message;
    bool is_fixed; /* the origin's text, whatever the fault says */
};

static struct own_row row_of(enum fault_kind kind)
{
    switch (kind) {
    case FAULT_NONE: break;
    case FAULT_AUTH_MISSING: return (struct own_row){401, "API key missing", true};
    case FAULT_AUTH_INVALID: return (struct own_row){401, "Invalid API key", true};
    case FAULT_FORBIDDEN: return (struct own_row){403, "Forbidden", false};
    case FAULT_BAD_REQUEST: return (struct own_row){422, "The request is not valid.", false};
    case FAULT_NOT_FOUND: return (struct own_row){404, "Not Found", false};
    case FAULT_MODEL_NOT_FOUND: return (struct own_row){404, "Model not found", false};
    case FAULT_METHOD: return (struct own_row){405, "Method Not Allowed", false};
    case FAULT_TOO_LARGE: return (struct own_row){413, "Request too large", false};
    case FAULT_MEDIA_TYPE: return (struct own_row){415, "Unsupported media type", false};
    case FAULT_RATE_LIMITED: return (struct own_row){429, "Rate limit exceeded", false};
    case FAULT_BUDGET: return (struct own_row){402, "Budget exhausted", false};
    case FAULT_UPSTREAM:
    case FAULT_UPSTREAM_TIMEOUT: return (struct own_row){503, "no provider answered", false};
    case FAULT_OVERLOADED: return (struct own_row){503, "Gateway overloaded", false};
    case FAULT_LOOP: return (struct own_row){508, "Loop detected", false};
    case FAULT_INTERNAL: break;
    }
    return (struct own_row){500, "Internal Server Error", false};
}

static void add_fault(const struct fault *f, struct text *t)
{
    struct own_row row = row_of(f->kind);
    char room[1024];
    struct text message = text_in(room, sizeof(room));
    struct slice given = row.is_fixed || !f->message.len ? slice_str(row.message) : f->message;
    if (f->kind == FAULT_BAD_REQUEST && (f->status == 0 || f->status == 422)) {
        add_detail_list(t, f);
        return;
    }
    if (f->kind == FAULT_UPSTREAM || f->kind == FAULT_UPSTREAM_TIMEOUT) {
        TEXT_ADD(&message, "All providers failed. Last error: ");
        text_add(&message, slice_head(given, sizeof(room) - message.len));
        given = text_slice(&message);
    } else if (f->kind == FAULT_RATE_LIMITED && f->limit_value > 0 && !f->message.len) {
        text_addf(&message, "Rate limit exceeded. Limit: %lld requests/minute",
                  (long long)f->limit_value);
        given = text_slice(&message);
    }
    add_detail_text(t, given);
}

static void render_fault(const struct fault *f, int *out_status, struct text *out_body,
                         struct text *out_headers)
{
    *out_status = f->status ? f->status : row_of(f->kind).status;
    add_fault(f, out_body);
    if (f->kind == FAULT_BUDGET) {
        TEXT_ADD(out_headers, "x-should-retry: false\r\n");
    }
}

static void render_stream_fault(const struct fault *f, struct text *out)
{
    TEXT_ADD(out, "data: ");
    add_fault(f, out);
    TEXT_ADD(out, "\n\n");
}

/* The text of choice 0, refusals included: the origin knows no other content. */
static void add_content(struct text *t, const struct chat_response *r)
{
    const struct chat_choice *c = r->choice_count ? &r->choices[0] : NULL;
    const struct chat_part *only = NULL;
    size_t count = 0, bytes = 0;
    for (size_t i = 0; c && i < c->part_count; i++) {
        if (c->parts[i].kind == CHAT_TEXT || c->parts[i].kind == CHAT_REFUSAL) {
            only = &c->parts[i];
            count++;
            bytes += only->text.len;
        }
    }
    if (count <= 1) {
        text_add_json_string(t, only ? only->text : SLICE_NONE);
        return;
    }
    char *joined = t->arena ? arena_alloc(t->arena, bytes) : NULL;
    if (!joined) {
        t->is_full = true;
        return;
    }
    struct text all = text_in(joined, bytes);
    for (size_t i = 0; i < c->part_count; i++) {
        if (c->parts[i].kind == CHAT_TEXT || c->parts[i].kind == CHAT_REFUSAL) {
            text_add(&all, c->parts[i].text);
        }
    }
    text_add_json_string(t, text_slice(&all));
}

void own_render_result(const struct chat_response *r, const struct own_extras *extras,
                       struct text *out)
{
    enum chat_finish finish = r->choice_count ? r->choices[0].finish : CHAT_FINISH_NONE;
    TEXT_ADD(out, "{\"cached\":");
    text_add(out, extras->is_cached ? SLICE("true") : SLICE("false"));
    TEXT_ADD(out, ",\"response\":{\"content\":");
    add_content(out, r);
    TEXT_ADD(out, ",\"model\":");
    text_add_json_string(out, r->model);
    TEXT_ADD(out, ",\"prompt_tokens\":");
    text_add_i64(out, usage_prompt(&r->usage));
    TEXT_ADD(out, ",\"completion_tokens\":");
    text_add_i64(out, usage_completion(&r->usage));
    TEXT_ADD(out, ",\"total_tokens\":");
    text_add_i64(out, usage_total(&r->usage));
    TEXT_ADD(out, ",\"finish_reason\":");
    text_add_json_string(out,
                         finish == CHAT_FINISH_NONE ? SLICE("stop") : openai_finish_name(finish));
    TEXT_ADD(out, ",\"provider\":");
    text_add_json_string(out, extras->provider);
    TEXT_ADD(out, "},\"cost\":");
    text_add_usd(out, extras->cost_nusd);
    TEXT_ADD(out, ",\"latency_ms\":");
    text_add_i64(out, extras->latency_ms);
    TEXT_ADD(out, ",\"rate_limit_remaining\":");
    if (extras->rate_limit_remaining < 0) {
        TEXT_ADD(out, "null");
    } else {
        text_add_i64(out, extras->rate_limit_remaining);
    }
    TEXT_ADD(out, "}");
}

static enum err encode_response(struct arena *a, const struct chat_response *r, const void *extras,
                                struct slice *out_body)
{
    struct text t = text_growing(a);
    own_render_result(r, extras, &t);
    *out_body = text_slice(&t);
    return t.is_full ? E_NOMEM : OK;
}

static enum err send_text(struct stream_encoder *e, struct slice text, unsigned flags)
{
    struct text t = text_growing(e->scratch);
    TEXT_ADD(&t, "data: {\"delta\": ");
    text_add_json_string(&t, text);
    TEXT_ADD(&t, "}\n\n");
    text_add(e->text, text);
    return stream_send(e, &t, flags);
}

static enum err send_last(struct stream_encoder *e)
{
    struct text t = text_growing(e->scratch);
    TEXT_ADD(&t, "data: ");
    if (e->options->render_last) {
        e->options->render_last(e->options->ctx, &t);
    } else {
        TEXT_ADD(&t, "{}");
    }
    TEXT_ADD(&t, "\n\n");
    return stream_send(e, &t, STREAM_TERMINAL);
}

static enum err send_error(struct stream_encoder *e, struct slice message)
{
    struct text t = text_growing(e->scratch);
    const struct fault f = {.kind = FAULT_UPSTREAM, .message = message};
    render_stream_fault(&f, &t);
    return stream_send(e, &t, STREAM_ERROR);
}

static enum err encode_chunk(struct stream_encoder *e, const struct chat_chunk *chunk)
{
    switch (chunk->kind) {
    case CHAT_CHUNK_TEXT:
    case CHAT_CHUNK_REFUSAL:
        return chunk->choice == 0 ? send_text(e, chunk->text, STREAM_CONTENT) : OK;
    case CHAT_CHUNK_ERROR: return send_error(e, chunk->text);
    case CHAT_CHUNK_END: return send_last(e);
    case CHAT_CHUNK_START: /* the own dialect has words for text only */
    case CHAT_CHUNK_THINKING:
    case CHAT_CHUNK_TOOL_START:
    case CHAT_CHUNK_TOOL_ARGUMENTS:
    case CHAT_CHUNK_CITATION:
    case CHAT_CHUNK_OPAQUE:
    case CHAT_CHUNK_FINISH: /* in the last event */
    case CHAT_CHUNK_USAGE: break;
    }
    return OK;
}

/* The last event of a stored stream is the whole answer. */
static enum err keep_last(void *ctx, const struct sse_event *event)
{
    struct slice *last = ctx;
    if (event->data.len) {
        *last = event->data;
    }
    return OK;
}

static enum err to_body(struct arena *a, enum chat_operation op, struct slice events,
                        struct slice *out_body)
{
    static const struct span_name name = {SLICE_INIT("response"), false};
    struct slice last = SLICE_NONE;
    struct span found;
    struct span_object o;
    (void)op;
    enum err e = events_walk(a, events, keep_last, &last);
    if (e) {
        return e;
    }
    if (spans_scan(last, &name, 1, &found, &o) || found.kind != SPAN_OBJECT) {
        return E_SYNTAX; /* it ended in an error, or was cut */
    }
    *out_body = arena_dup(a, last);
    return out_body->ptr ? OK : E_NOMEM;
}

static enum err to_events(struct arena *a, enum chat_operation op, struct slice body,
                          bool wants_usage, struct slice *out_events)
{
    static const struct span_name response = {SLICE_INIT("response"), false};
    static const struct span_name content = {SLICE_INIT("content"), false};
    struct span found, text;
    struct span_object o;
    (void)op;
    (void)wants_usage;
    body = slice_trim(body);
    if (spans_scan(body, &response, 1, &found, &o) || found.kind != SPAN_OBJECT ||
        spans_scan(found.value, &content, 1, &text, &o)) {
        return E_SYNTAX;
    }
    struct text t = text_growing(a);
    if (text.kind == SPAN_STRING && text.value.len > 2) {
        TEXT_ADD(&t, "data: {\"delta\": ");
        text_add(&t, text.value);
        TEXT_ADD(&t, "}\n\n");
    }
    TEXT_ADD(&t, "data: ");
    text_add(&t, body);
    TEXT_ADD(&t, "\n\n");
    *out_events = text_slice(&t);
    return t.is_full ? E_NOMEM : OK;
}

static const struct dialect_events events = {
    .encode = encode_chunk,
    .to_body = to_body,
    .to_events = to_events,
};

const struct dialect dialect_own = {
    .name = "own",
    .record = RECORD_DIALECT_OWN,
    .scan = own_scan,
    .decode_request = own_decode_request,
    .encode_response = encode_response,
    .render_fault = render_fault,
    .render_stream_fault = render_stream_fault,
    .front = &front_openai,
    .events = &events,
};
