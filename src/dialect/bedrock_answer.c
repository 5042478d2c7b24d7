/* Whole answers of Converse and its errors. */
#include "core/check.h"
#include "dialect/bedrock.h"
#include "dialect/read.h"

enum chat_finish bedrock_finish(struct slice reason)
{
    static const struct {
        struct slice name;
        enum chat_finish finish;
    } table[] = {
        {SLICE_INIT("max_tokens"), CHAT_FINISH_LENGTH},
        {SLICE_INIT("model_context_window_exceeded"), CHAT_FINISH_LENGTH},
        {SLICE_INIT("tool_use"), CHAT_FINISH_TOOL_CALLS},
        {SLICE_INIT("guardrail_intervened"), CHAT_FINISH_FILTER},
        {SLICE_INIT("content_filtered"), CHAT_FINISH_FILTER},
        {SLICE_INIT("malformed_model_output"), CHAT_FINISH_ERROR},
        {SLICE_INIT("malformed_tool_use"), CHAT_FINISH_ERROR},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (slice_eq(reason, table[i].name)) {
            return table[i].finish;
        }
    }
    return reason.len ? CHAT_FINISH_STOP : CHAT_FINISH_NONE;
}

/* --- blocks ------------------------------------------------------------------------------------
 */

static enum err take_thinking(yyjson_val *v, struct chat_part *out)
{
    yyjson_val *text = json_get(v, "reasoningText");
    *out = (struct chat_part){.kind = CHAT_THINKING,
                              .text = json_get_string(text, "text"),
                              .signature = json_get_string(text, "signature"),
                              .data = json_get_string(v, "redactedContent"),
                              .provider = BEDROCK_NAME};
    return OK;
}

static enum err take_call(struct arena *a, yyjson_val *v, struct chat_part *out)
{
    yyjson_val *input = json_get(v, "input");
    *out = (struct chat_part){.kind = CHAT_TOOL_CALL,
                              .id = json_get_string(v, "toolUseId"),
                              .name = json_get_string(v, "name"),
                              .text = json_is_none(input) ? SLICE("{}") : json_text(a, input)};
    if (!out->text.ptr) {
        return E_NOMEM;
    }
    if (slice_eq(out->name, ANTHROPIC_JSON_TOOL)) { /* the call was the answer */
        *out = (struct chat_part){.kind = CHAT_TEXT, .text = out->text};
    }
    return OK;
}

/* Text with citations: the text counts. */
static enum err take_cited(struct arena *a, yyjson_val *v, struct chat_part *out)
{
    struct text t = text_growing(a);
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(json_get(v, "content"), i, max, item)
    {
        text_add(&t, json_get_string(item, "text"));
    }
    *out = (struct chat_part){.kind = CHAT_TEXT, .text = text_slice(&t)};
    return t.is_full ? E_NOMEM : OK;
}

static enum err take_block(struct arena *a, yyjson_val *v, struct chat_part *out)
{
    yyjson_val *text = json_get(v, "text"), *call = json_get(v, "toolUse");
    yyjson_val *thought = json_get(v, "reasoningContent");
    yyjson_val *cited = json_get(v, "citationsContent");
    if (text) {
        *out = (struct chat_part){.kind = CHAT_TEXT, .text = json_string(text)};
        return OK;
    }
    if (call) {
        return take_call(a, call, out);
    }
    if (thought) {
        return take_thinking(thought, out);
    }
    if (cited) {
        return take_cited(a, cited, out);
    }
    *out =
        (struct chat_part){.kind = CHAT_OPAQUE, .data = json_text(a, v), .provider = BEDROCK_NAME};
    return out->data.ptr ? OK : E_NOMEM;
}

static void set_finish(struct chat_choice *c, struct slice reason)
{
    bool has_call = false;
    c->finish = bedrock_finish(reason);
    for (size_t i = 0; i < c->part_count; i++) {
        has_call = has_call || c->parts[i].kind == CHAT_TOOL_CALL;
    }
    if (c->finish == CHAT_FINISH_TOOL_CALLS && !has_call) {
        c->finish = CHAT_FINISH_STOP; /* the call was the answer */
    }
}

enum err bedrock_decode_response(struct arena *a, struct slice body, struct chat_response *out)
{
    yyjson_val *root, *v;
    size_t i, max;
    enum err e = json_parse(a, slice_trim(body), &root, NULL);
    yyjson_val *content =
        e ? NULL : json_get(json_get(json_get(root, "output"), "message"), "content");
    if (e || !yyjson_is_arr(content)) {
        return e ? e : E_SYNTAX;
    }
    struct chat_choice *c = ARENA_NEW(a, struct chat_choice);
    struct chat_part *parts = arena_array(a, yyjson_arr_size(content) + 1, sizeof(*parts));
    if (!c || !parts) {
        return E_NOMEM;
    }
    c->parts = parts;
    yyjson_arr_foreach(content, i, max, v)
    {
        e = take_block(a, v, &parts[c->part_count++]);
        if (e) {
            return e;
        }
    }
    set_finish(c, json_get_string(root, "stopReason"));
    *out = (struct chat_response){
        .choices = c,
        .choice_count = 1,
        .service_tier = json_get_string(json_get(root, "serviceTier"), "type"),
    };
    yyjson_val *usage = json_get(root, "usage");
    struct slice text = json_is_none(usage) ? SLICE_NONE : json_text(a, usage);
    bedrock_read_usage(text, &out->usage);
    out->has_usage = out->usage.is_known;
    return OK;
}

enum { O_OUTPUT, O_USAGE, O_REASON, O_MESSAGE, O_MESSAGE_TOO, O_TYPE, O_MEMBERS };
static const struct span_name names[O_MEMBERS] = {
    [O_OUTPUT] = {SLICE_INIT("output"), false},       [O_USAGE] = {SLICE_INIT("usage"), false},
    [O_REASON] = {SLICE_INIT("stopReason"), false},   [O_MESSAGE] = {SLICE_INIT("message"), false},
    [O_MESSAGE_TOO] = {SLICE_INIT("Message"), false}, [O_TYPE] = {SLICE_INIT("__type"), false},
};

enum err bedrock_observe(struct arena *a, enum chat_operation op, struct slice body,
                         struct outcome *out)
{
    struct span at[O_MEMBERS];
    struct span_object o;
    bool wants_detail = out->wants_detail;
    (void)op;
    if (slice_trim(body).len == 0 || spans_scan(slice_trim(body), names, O_MEMBERS, at, &o)) {
        return E_SYNTAX;
    }
    *out = (struct outcome){.wants_detail = wants_detail,
                            .is_complete = true,
                            .is_empty = at[O_OUTPUT].kind != SPAN_OBJECT};
    if (at[O_USAGE].kind == SPAN_OBJECT) {
        bedrock_read_usage(at[O_USAGE].value, &out->usage);
        out->has_usage = out->has_prompt_usage = out->usage.is_known;
    }
    if (at[O_REASON].kind == SPAN_STRING && at[O_REASON].is_string_plain) {
        out->finish = bedrock_finish(span_plain(&at[O_REASON]));
    }
    out->is_error = out->is_empty && (read_is_given(&at[O_MESSAGE]) || read_is_given(&at[O_TYPE]));
    if (out->is_error) {
        out->error = bedrock_read_error(a, slice_trim(body));
    }
    if (!out->is_empty && (wants_detail || !out->has_usage)) {
        out->output_bytes = (int64_t)at[O_OUTPUT].value.len; /* an upper bound, for an estimate */
        out->has_content = true;
    }
    return OK;
}

/* --- errors ------------------------------------------------------------------------------------
 */

static struct slice as_text(struct arena *a, const struct span *s)
{
    struct slice text = s->kind == SPAN_STRING ? read_text(a, s) : SLICE_NONE;
    return slice_shortened(text, FAULT_MESSAGE_MAX_BYTES);
}

struct slice bedrock_read_error(struct arena *a, struct slice error)
{
    struct span at[O_MEMBERS];
    struct span_object o;
    if (error.len == 0 || spans_scan(error, names, O_MEMBERS, at, &o)) {
        return arena_dup(a, slice_shortened(error, FAULT_MESSAGE_MAX_BYTES));
    }
    struct slice text =
        as_text(a, &at[at[O_MESSAGE].kind == SPAN_STRING ? O_MESSAGE : O_MESSAGE_TOO]);
    return text.len ? text : arena_dup(a, slice_shortened(error, FAULT_MESSAGE_MAX_BYTES));
}

/* AWS's own words, in the type where the body tells it, else by status and message (the type is
 * otherwise told in a header only). */
static enum blame blame_of(int status, const struct upstream_fault *f)
{
    static const char *const key[] = {"security token", "signature",        "UnrecognizedClient",
                                      "ExpiredToken",   "InvalidSignature", "IncompleteSignature"};
    static const char *const quota[] = {"ServiceQuotaExceeded", "service quota", "quota for"};
    static const char *const model[] = {"model identifier is invalid",
                                        "on-demand throughput",
                                        "access to the model",
                                        "model use case",
                                        "end of its life",
                                        "Legacy",
                                        "not supported in this Region"};
    if (status < 500 && (read_says(f->type, quota, ARRAY_LEN(quota)) ||
                         read_says(f->message, quota, ARRAY_LEN(quota)))) {
        return BLAME_US_QUOTA;
    }
    if (status == 404 || status == 405 ||
        ((status == 400 || status == 403) && read_says(f->message, model, ARRAY_LEN(model)))) {
        return BLAME_US_DEPLOYMENT;
    }
    if (status == 401 || status == 403 || status == 402 ||
        (status == 400 &&
         (read_says(f->type, key, ARRAY_LEN(key)) || read_says(f->message, key, ARRAY_LEN(key))))) {
        return BLAME_US_KEY;
    }
    if (status == 429) {
        return BLAME_LIMITED;
    }
    /* 408: the model took too long, 424: the model failed */
    return status == 400 || status == 413 || status == 422 ? BLAME_CLIENT : BLAME_PROVIDER;
}

void bedrock_read_fault(struct arena *a, int status, struct slice body, struct upstream_fault *out)
{
    struct span at[O_MEMBERS];
    struct span_object o;
    *out = (struct upstream_fault){.blame = BLAME_PROVIDER};
    body = slice_trim(body);
    if (body.len && spans_scan(body, names, O_MEMBERS, at, &o) == OK) {
        out->message =
            as_text(a, &at[at[O_MESSAGE].kind == SPAN_STRING ? O_MESSAGE : O_MESSAGE_TOO]);
        struct slice type = as_text(a, &at[O_TYPE]); /* com.amazon.coral.service#Name */
        size_t hash = slice_find(type, '#');
        out->type = hash < type.len ? slice_from(type, hash + 1) : type;
    }
    if (!out->message.len) {
        out->message = arena_printf(a, "HTTP status %d", status);
    }
    out->blame = blame_of(status, out);
}
