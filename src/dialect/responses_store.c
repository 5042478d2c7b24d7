/* Stored Responses streams as whole answers, and whole answers as streams: for cache hits in the
 * other form. The last event of a stream repeats the whole answer. */
#include "dialect/responses.h"
#include "dialect/write.h"

enum { STORE_PARTS_MAX = 4096 };

struct store {
    struct arena *arena;
    struct slice response; /* of the terminal event */
    bool is_done;
};

static enum err take_event(void *ctx, const struct sse_event *event)
{
    static const struct span_name name = {SLICE_INIT("response"), false};
    struct store *s = ctx;
    struct slice data = slice_trim(event->data);
    struct event_look look;
    struct span found;
    struct span_object o;
    if (!data.len || s->is_done) {
        return OK;
    }
    enum err e = responses_look(event->name, data, &look);
    if (e || look.is_error) {
        return e ? e : E_SYNTAX;
    }
    if (!look.is_done) {
        return OK;
    }
    e = spans_scan(data, &name, 1, &found, &o);
    if (e || found.kind != SPAN_OBJECT) {
        return e ? e : E_SYNTAX;
    }
    s->is_done = true;
    s->response = arena_dup(s->arena, found.value);
    return s->response.ptr ? OK : E_NOMEM;
}

enum err responses_to_body(struct arena *a, enum chat_operation op, struct slice events,
                           struct slice *out_body)
{
    struct store s = {.arena = a};
    (void)op;
    enum err e = events_walk(a, events, take_event, &s);
    if (e || !s.is_done) {
        return e ? e : E_SYNTAX;
    }
    *out_body = s.response;
    return OK;
}

/* --- a body to events --------------------------------------------------------------------------
 */

struct spread {
    struct text t;
    struct arena *arena;
    int64_t sequence;
    size_t parts;
    yyjson_val *item;
    size_t index; /* of the item */
};

static void open_event(struct spread *s, const char *type)
{
    text_addf(&s->t, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%lld", type, type,
              (long long)s->sequence++);
}

static void close_event(struct spread *s)
{
    TEXT_ADD(&s->t, "}\n\n");
}

static void open_inner(struct spread *s, const char *type, const char *counter, size_t number)
{
    open_event(s, type);
    write_string(&s->t, "item_id", json_get_string(s->item, "id"));
    write_count(&s->t, "output_index", (int64_t)s->index);
    if (counter) {
        write_count(&s->t, counter, (int64_t)number);
    }
}

static void write_name(struct text *t, struct slice name)
{
    text_add(t, t->ptr && t->ptr[t->len - 1] != '{' ? SLICE(",") : SLICE_NONE);
    text_add_json_string(t, name);
    text_add_char(t, ':');
}

/* An object as it is before its content: what grows is empty, status is in_progress, and what only
 * the end tells is null. */
static void write_begun(struct spread *s, yyjson_val *obj)
{
    static const char *const strings[] = {"text", "refusal", "arguments", "input"};
    static const char *const lists[] = {"content", "summary", "annotations", "output"};
    static const char *const ends[] = {"usage", "completed_at", "incomplete_details"};
    size_t i, max;
    yyjson_val *key, *v;
    text_add_char(&s->t, '{');
    yyjson_obj_foreach(obj, i, max, key, v)
    {
        struct slice name = json_string(key);
        bool is_string = false, is_list = false, is_end = false;
        for (size_t k = 0; k < ARRAY_LEN(strings); k++) {
            is_string = is_string || slice_eq(name, slice_str(strings[k]));
            is_list = is_list || slice_eq(name, slice_str(lists[k]));
            is_end = is_end || (k < ARRAY_LEN(ends) && slice_eq(name, slice_str(ends[k])));
        }
        write_name(&s->t, name);
        if (is_string && yyjson_is_str(v)) {
            TEXT_ADD(&s->t, "\"\"");
        } else if (is_list && yyjson_is_arr(v)) {
            TEXT_ADD(&s->t, "[]");
        } else if (is_end) {
            TEXT_ADD(&s->t, "null");
        } else if (slice_eq(name, SLICE("status")) && yyjson_is_str(v)) {
            TEXT_ADD(&s->t, "\"in_progress\"");
        } else {
            json_add(&s->t, s->arena, v);
        }
    }
    text_add_char(&s->t, '}');
}

static void spread_object(struct spread *s, const char *type, const char *member, yyjson_val *v,
                          bool is_begun)
{
    open_event(s, type);
    if (strcmp(member, "item") == 0) {
        write_count(&s->t, "output_index", (int64_t)s->index);
    }
    text_add_json_key(&s->t, member);
    if (is_begun) {
        write_begun(s, v);
    } else {
        json_add(&s->t, s->arena, v);
    }
    close_event(s);
}

static void spread_part_object(struct spread *s, const char *type, const char *counter, size_t n,
                               yyjson_val *part)
{
    open_inner(s, type, counter, n);
    text_add_json_key(&s->t, "part");
    if (slice_ends(slice_str(type), SLICE(".added"))) {
        write_begun(s, part);
    } else {
        json_add(&s->t, s->arena, part);
    }
    close_event(s);
}

/* delta and done of one text. */
static void spread_text(struct spread *s, const char *stem, const char *counter, size_t n,
                        yyjson_val *holder, const char *member)
{
    struct slice text = json_get_string(holder, member);
    bool has_logprobs = strcmp(stem, "response.output_text") == 0;
    for (int is_end = 0; is_end < 2; is_end++) {
        if (!text.len && !is_end) {
            continue;
        }
        struct slice type = arena_printf(s->arena, "%s.%s", stem, is_end ? "done" : "delta");
        if (!type.ptr) {
            s->t.is_full = true;
            return;
        }
        open_inner(s, type.ptr, counter, n);
        write_string(&s->t, is_end ? member : "delta", text);
        if (has_logprobs) {
            write_raw(&s->t, "logprobs", SLICE("[]"));
        }
        if (is_end && strcmp(member, "arguments") == 0) {
            write_string(&s->t, "name", json_get_string(holder, "name"));
        }
        close_event(s);
    }
}

static void spread_annotations(struct spread *s, size_t n, yyjson_val *part)
{
    yyjson_val *annotations = json_get(part, "annotations");
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(annotations, i, max, v)
    {
        open_inner(s, "response.output_text.annotation.added", "content_index", n);
        write_count(&s->t, "annotation_index", (int64_t)i);
        text_add_json_key(&s->t, "annotation");
        json_add(&s->t, s->arena, v);
        close_event(s);
    }
}

static void spread_content(struct spread *s)
{
    yyjson_val *content = json_get(s->item, "content");
    size_t i, max;
    yyjson_val *part;
    yyjson_arr_foreach(content, i, max, part)
    {
        struct slice type = json_get_string(part, "type");
        s->parts++;
        spread_part_object(s, "response.content_part.added", "content_index", i, part);
        if (slice_eq(type, SLICE("refusal"))) {
            spread_text(s, "response.refusal", "content_index", i, part, "refusal");
        } else if (slice_eq(type, SLICE("reasoning_text"))) {
            spread_text(s, "response.reasoning_text", "content_index", i, part, "text");
        } else {
            spread_text(s, "response.output_text", "content_index", i, part, "text");
            spread_annotations(s, i, part);
        }
        spread_part_object(s, "response.content_part.done", "content_index", i, part);
    }
}

static void spread_summary(struct spread *s)
{
    yyjson_val *summary = json_get(s->item, "summary");
    size_t i, max;
    yyjson_val *part;
    yyjson_arr_foreach(summary, i, max, part)
    {
        s->parts++;
        spread_part_object(s, "response.reasoning_summary_part.added", "summary_index", i, part);
        spread_text(s, "response.reasoning_summary_text", "summary_index", i, part, "text");
        spread_part_object(s, "response.reasoning_summary_part.done", "summary_index", i, part);
    }
}

/* Items of the API's own tools are told whole. */
static void spread_item(struct spread *s)
{
    struct slice type = json_get_string(s->item, "type");
    bool is_function = slice_eq(type, SLICE("function_call"));
    bool is_custom = slice_eq(type, SLICE("custom_tool_call"));
    bool is_message = slice_eq(type, SLICE("message"));
    bool is_thought = slice_eq(type, SLICE("reasoning"));
    bool grows = is_function || is_custom || is_message || is_thought;
    spread_object(s, "response.output_item.added", "item", s->item, grows);
    if (is_function) {
        spread_text(s, "response.function_call_arguments", NULL, 0, s->item, "arguments");
    } else if (is_custom) {
        spread_text(s, "response.custom_tool_call_input", NULL, 0, s->item, "input");
    } else if (is_message) {
        spread_content(s);
    } else if (is_thought) {
        spread_summary(s);
        spread_content(s);
    }
    spread_object(s, "response.output_item.done", "item", s->item, false);
}

static const char *terminal_of(struct slice status)
{
    return slice_eq(status, SLICE("incomplete")) ? "response.incomplete" : "response.completed";
}

enum err responses_to_events(struct arena *a, enum chat_operation op, struct slice body,
                             bool wants_usage, struct slice *out_events)
{
    struct spread s = {.t = text_growing(a), .arena = a};
    yyjson_val *root = NULL, *v;
    size_t i, max;
    (void)op;
    (void)wants_usage; /* every stream tells it */
    enum err e = json_parse(a, slice_trim(body), &root, NULL);
    yyjson_val *output = e ? NULL : json_get(root, "output");
    struct slice status = json_get_string(root, "status");
    if (e || !yyjson_is_arr(output) || slice_eq(status, SLICE("failed"))) {
        return e ? e : E_SYNTAX;
    }
    spread_object(&s, "response.created", "response", root, true);
    spread_object(&s, "response.in_progress", "response", root, true);
    yyjson_arr_foreach(output, i, max, v)
    {
        s.item = v;
        s.index = i;
        spread_item(&s);
        if (s.parts > STORE_PARTS_MAX) {
            return E_LIMIT;
        }
    }
    spread_object(&s, terminal_of(status), "response", root, false);
    *out_events = text_slice(&s.t);
    return s.t.is_full ? E_NOMEM : OK;
}
