/* Whole answers of Ollama's, its vectors and its errors. */
#include "core/hash.h"
#include "dialect/ollama.h"
#include "dialect/write.h"

/* A call is no reason of its own: who has made one ends with "stop". */
enum chat_finish ollama_finish(struct slice reason)
{
    return slice_eq(reason, SLICE("length")) ? CHAT_FINISH_LENGTH
           : reason.len                      ? CHAT_FINISH_STOP
                                             : CHAT_FINISH_NONE;
}

/* created_at has nanoseconds: ids of two answers in one conversation differ. */
struct slice ollama_call_id(struct arena *a, struct slice created_at, size_t index)
{
    struct sha256 digest = sha256_of(created_at);
    return arena_printf(a, "call_%02x%02x%02x%02x%02x%02x_%zu", digest.bytes[0], digest.bytes[1],
                        digest.bytes[2], digest.bytes[3], digest.bytes[4], digest.bytes[5], index);
}

struct slice ollama_arguments(struct arena *a, yyjson_val *arguments)
{
    if (json_is_none(arguments)) {
        return SLICE("{}");
    }
    return yyjson_is_str(arguments) ? json_string(arguments) : json_text(a, arguments);
}

static enum err take_call(struct arena *a, yyjson_val *root, yyjson_val *v, size_t index,
                          struct chat_part *out)
{
    yyjson_val *function = json_get(v, "function");
    struct slice id = json_get_string(v, "id");
    *out = (struct chat_part){
        .kind = CHAT_TOOL_CALL,
        .id = id.len ? id : ollama_call_id(a, json_get_string(root, "created_at"), index),
        .name = json_get_string(function, "name"),
        .text = ollama_arguments(a, json_get(function, "arguments"))};
    return out->id.ptr && out->text.ptr ? OK : E_NOMEM;
}

static enum err take_message(struct arena *a, yyjson_val *root, struct chat_choice *c)
{
    yyjson_val *message = json_get(root, "message"), *calls = json_get(message, "tool_calls"), *v;
    struct slice text = json_get_string(message, "content");
    struct slice thought = json_get_string(message, "thinking");
    size_t i, max;
    enum err e = OK;
    c->parts = arena_array(a, yyjson_arr_size(calls) + 2, sizeof(*c->parts));
    if (!c->parts) {
        return E_NOMEM;
    }
    if (thought.len) {
        c->parts[c->part_count++] =
            (struct chat_part){.kind = CHAT_THINKING, .text = thought, .provider = OLLAMA_NAME};
    }
    if (text.len) {
        c->parts[c->part_count++] = (struct chat_part){.kind = CHAT_TEXT, .text = text};
    }
    yyjson_arr_foreach(calls, i, max, v)
    {
        e = e ? e : take_call(a, root, v, i, &c->parts[c->part_count++]);
    }
    c->finish = ollama_finish(json_get_string(root, "done_reason"));
    if (max > 0 && c->finish != CHAT_FINISH_LENGTH) {
        c->finish = CHAT_FINISH_TOOL_CALLS;
    } else if (c->finish == CHAT_FINISH_NONE) {
        c->finish = CHAT_FINISH_STOP; /* older builds give no reason */
    }
    return e;
}

enum err ollama_decode_response(struct arena *a, struct slice body, struct chat_response *out)
{
    yyjson_val *root;
    enum err e = json_parse(a, slice_trim(body), &root, NULL);
    if (e || !yyjson_is_obj(json_get(root, "message"))) {
        return e ? e : E_SYNTAX;
    }
    struct chat_choice *c = ARENA_NEW(a, struct chat_choice);
    if (!c) {
        return E_NOMEM;
    }
    e = take_message(a, root, c);
    *out = (struct chat_response){
        .model = json_get_string(root, "model"), .choices = c, .choice_count = 1};
    ollama_read_usage(slice_trim(body), &out->usage);
    out->has_usage = out->usage.is_known;
    return e;
}

enum { O_MESSAGE, O_VECTORS, O_REASON, O_ERROR, O_MEMBERS };
static const struct span_name names[O_MEMBERS] = {
    [O_MESSAGE] = {SLICE_INIT("message"), false},
    [O_VECTORS] = {SLICE_INIT("embeddings"), false},
    [O_REASON] = {SLICE_INIT("done_reason"), false},
    [O_ERROR] = {SLICE_INIT("error"), false},
};

enum err ollama_observe(struct arena *a, enum chat_operation op, struct slice body,
                        struct outcome *out)
{
    struct span at[O_MEMBERS];
    struct span_object o;
    bool wants_detail = out->wants_detail;
    const struct span *said = &at[op == CHAT_OP_EMBEDDING ? O_VECTORS : O_MESSAGE];
    body = slice_trim(body);
    if (body.len == 0 || spans_scan(body, names, O_MEMBERS, at, &o)) {
        return E_SYNTAX;
    }
    *out = (struct outcome){.wants_detail = wants_detail,
                            .is_complete = true,
                            .is_empty = said->kind != SPAN_OBJECT && said->kind != SPAN_ARRAY};
    ollama_read_usage(body, &out->usage);
    out->has_usage = out->has_prompt_usage = out->usage.is_known;
    if (at[O_REASON].kind == SPAN_STRING && at[O_REASON].is_string_plain) {
        out->finish = ollama_finish(span_plain(&at[O_REASON]));
    }
    out->is_error = out->is_empty && read_is_given(&at[O_ERROR]);
    if (out->is_error) {
        out->error = ollama_read_error(a, at[O_ERROR].value);
    }
    if (!out->is_empty && (wants_detail || !out->has_usage)) {
        out->output_bytes = (int64_t)said->value.len; /* an upper bound, for an estimate */
        out->has_content = true;
    }
    return OK;
}

/* --- vectors -----------------------------------------------------------------------------------
 */

static enum err encode_embedding(struct arena *a, const struct embed_request *r,
                                 const struct encode_options *o, struct body_parts *out)
{
    struct text t = text_growing(a), dropped = text_growing(a);
    *out = (struct body_parts){.count = 0};
    text_add(&dropped, r->dropped);
    TEXT_ADD(&t, "{");
    write_string(&t, "model", o->model);
    text_add_json_key(&t, "input");
    TEXT_ADD(&t, "[");
    for (size_t i = 0; i < r->input_count; i++) {
        const struct embed_input *input = &r->inputs[i];
        if (input->tokens.len) {
            return E_UNSUPPORTED; /* it takes texts alone */
        }
        write_next(&t);
        text_add_json_string(&t, input->text);
        drop_name(&dropped, input->task_type.len ? SLICE("taskType") : SLICE_NONE);
        drop_name(&dropped, input->title.len ? SLICE("title") : SLICE_NONE);
    }
    TEXT_ADD(&t, "]");
    write_raw_if(&t, "dimensions", r->dimensions.text);
    drop_name(&dropped, r->user.len ? SLICE("user") : SLICE_NONE);
    TEXT_ADD(&t, "}");
    return write_end(&t, &dropped, out);
}

static enum err decode_embedding(struct arena *a, struct slice body, struct embed_response *out)
{
    yyjson_val *list, *v;
    size_t i, max;
    enum err e = read_vectors(a, body, "embeddings", out, &list);
    if (e) {
        return e;
    }
    yyjson_arr_foreach(list, i, max, v)
    {
        out->vectors[i] = yyjson_is_arr(v) ? json_text(a, v) : SLICE_NONE;
        e = e ? e : !yyjson_is_arr(v) ? E_SYNTAX : out->vectors[i].ptr ? OK : E_NOMEM;
    }
    ollama_read_usage(slice_trim(body), &out->usage);
    out->has_usage = out->usage.is_known;
    return e;
}

const struct dialect_embedding ollama_embedding = {
    .encode_request = encode_embedding,
    .decode_response = decode_embedding,
};

/* --- errors ------------------------------------------------------------------------------------
 */

/* A text, or, where something in between answered, an object with a message. */
struct slice ollama_read_error(struct arena *a, struct slice error)
{
    return slice_shortened(read_error_message(a, slice_trim(error)), FAULT_MESSAGE_MAX_BYTES);
}

static enum blame blame_of(int status)
{
    switch (status) {
    case 401:
    case 403: return BLAME_US_KEY;
    case 402: return BLAME_US_QUOTA;
    case 404: return BLAME_US_DEPLOYMENT; /* the model was not pulled, or there is no such API */
    case 429:
    case 503: return BLAME_LIMITED; /* its queue is full */
    case 400:
    case 413:
    case 422: return BLAME_CLIENT;
    default: return BLAME_PROVIDER;
    }
}

void ollama_read_fault(struct arena *a, int status, struct slice body, struct upstream_fault *out)
{
    struct span at[O_MEMBERS];
    struct span_object o;
    *out = (struct upstream_fault){.blame = blame_of(status)};
    body = slice_trim(body);
    if (body.len && spans_scan(body, names, O_MEMBERS, at, &o) == OK &&
        read_is_given(&at[O_ERROR])) {
        out->message = ollama_read_error(a, at[O_ERROR].value);
    }
    if (!out->message.len) {
        out->message = arena_printf(a, "HTTP status %d", status);
    }
}
