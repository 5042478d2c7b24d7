#include "responses.h"

#include "reply.h"
#include "store.h"
#include "trouble.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char json_type[] = "application/json";

static bool ends_with(struct str s, const char *tail)
{
    size_t n = strlen(tail);
    return s.len >= n && memcmp(s.ptr + s.len - n, tail, n) == 0;
}

static void read_item(struct prompt *p, yyjson_val *item)
{
    struct str type = json_member(item, "type");
    if (ends_with(type, "_output")) { /* of function_call, custom_tool_call, shell_call, ... */
        prompt_turn(p, true);
        prompt_result(p, yyjson_obj_get(item, "output"));
    } else if (type.len == 0 || str_is(type, "message")) {
        prompt_turn(p, str_is(json_member(item, "role"), "user"));
        prompt_content(p, yyjson_obj_get(item, "content"));
    } else {
        prompt_turn(p, false); /* a call, reasoning: no text of ours */
    }
}

static bool includes(const struct ask *a, const char *what)
{
    size_t i;
    size_t n;
    yyjson_val *v;
    yyjson_arr_foreach(yyjson_obj_get(a->root, "include"), i, n, v)
    {
        if (str_is(json_str(v), what)) {
            return true;
        }
    }
    return false;
}

static void read_tools(struct prompt *p, const struct ask *a)
{
    yyjson_val *choice = yyjson_obj_get(a->root, "tool_choice");
    size_t i;
    size_t n;
    yyjson_val *tool;
    yyjson_arr_foreach(yyjson_obj_get(a->root, "tools"), i, n, tool)
    {
        struct str type = json_member(tool, "type");
        bool custom = str_is(type, "custom");
        if (custom || str_is(type, "function")) {
            prompt_tool(p, (struct tool){json_member(tool, "name"),
                                         yyjson_obj_get(tool, "parameters"), custom});
        }
    }
    p->wanted = json_member(choice, "name");
    p->no_tools = str_is(json_str(choice), "none");
    p->must_call = str_is(json_str(choice), "required");
}

void responses_read(struct prompt *p, const struct ask *a)
{
    yyjson_val *input = yyjson_obj_get(a->root, "input");
    yyjson_val *format = yyjson_obj_get(yyjson_obj_get(a->root, "text"), "format");
    yyjson_val *reasoning = yyjson_obj_get(a->root, "reasoning");
    yyjson_val *max = yyjson_obj_get(a->root, "max_output_tokens");
    struct str instructions = json_member(a->root, "instructions");
    struct str kind = json_member(format, "type");
    size_t i;
    size_t n;
    yyjson_val *v;
    if (instructions.len > 0) {
        prompt_turn(p, false);
        prompt_text(p, instructions);
    }
    if (yyjson_is_str(input)) {
        prompt_turn(p, true);
        prompt_text(p, json_str(input));
    }
    yyjson_arr_foreach(input, i, n, v)
    {
        read_item(p, v);
    }
    read_tools(p, a);
    p->schema = yyjson_obj_get(format, "schema");
    p->wants_json = str_is(kind, "json_schema") || str_is(kind, "json_object");
    p->thinks = (yyjson_is_obj(reasoning) && !str_is(json_member(reasoning, "effort"), "none")) ||
                includes(a, "reasoning.encrypted_content");
    p->max_tokens = yyjson_is_uint(max) ? (int64_t)yyjson_get_uint(max) : -1;
}

bool responses_is_pure(const struct ask *a)
{
    yyjson_val *store = yyjson_obj_get(a->root, "store");
    return yyjson_is_bool(store) && !yyjson_get_bool(store) &&
           json_member(a->root, "previous_response_id").len == 0;
}

/* The request's own member, or the default as JSON. */
static void put_echo(struct buf *out, const struct reply *r, const char *name,
                     const char *otherwise)
{
    yyjson_val *v = yyjson_obj_get(r->ask->root, name);
    buf_printf(out, ",\"%s\":", name);
    if (v != NULL) {
        buf_value(out, v);
    } else {
        buf_str(out, otherwise);
    }
}

static void put_usage(struct buf *out, const struct reply *r)
{
    const struct behaviour *b = &r->ask->b;
    if (reply_usage_is(r, "none")) {
        buf_str(out, "null");
        return;
    }
    buf_printf(out,
               "{\"input_tokens\":%" PRId64 ",\"input_tokens_details\":{\"cached_tokens\":%" PRId64
               ",\"cache_write_tokens\":%" PRId64 "},\"output_tokens\":%" PRId64
               ",\"output_tokens_details\":{\"reasoning_tokens\":%" PRId64
               "},\"total_tokens\":%" PRId64 "}",
               r->prompt_tokens, reply_told(b->cached_tokens, 0),
               reply_told(b->cache_write_tokens, 0), r->output_tokens, r->thought_tokens,
               r->prompt_tokens + r->output_tokens);
}

/* What the request said, as every response repeats it. */
static void put_echoes(struct buf *out, const struct reply *r)
{
    put_echo(out, r, "instructions", "null");
    put_echo(out, r, "max_output_tokens", "null");
    put_echo(out, r, "max_tool_calls", "null");
    put_echo(out, r, "metadata", "{}");
    put_echo(out, r, "parallel_tool_calls", "true");
    put_echo(out, r, "previous_response_id", "null");
    put_echo(out, r, "prompt_cache_key", "null");
    put_echo(out, r, "reasoning", "{\"effort\":null,\"summary\":null}");
    put_echo(out, r, "safety_identifier", "null");
    put_echo(out, r, "store", "true");
    put_echo(out, r, "temperature", "1.0");
    put_echo(out, r, "text", "{\"format\":{\"type\":\"text\"},\"verbosity\":\"medium\"}");
    put_echo(out, r, "tool_choice", "\"auto\"");
    put_echo(out, r, "tools", "[]");
    put_echo(out, r, "top_logprobs", "0");
    put_echo(out, r, "top_p", "1.0");
    put_echo(out, r, "truncation", "\"disabled\"");
    put_echo(out, r, "user", "null");
    buf_str(out, ",\"background\":false,\"service_tier\":\"default\"");
}

static const char *final_status(const struct reply *r)
{
    return reply_finish(r, "completed", "incomplete", "completed");
}

/* The response; output is its items, empty while it is in progress. */
static void put_response(struct buf *out, const struct reply *r, bool done, struct str output)
{
    bool cut = done && r->finish == FINISH_LENGTH;
    buf_printf(out,
               "{\"id\":\"resp_%016" PRIx64 "\",\"object\":\"response\",\"created_at\":%" PRId64
               ",\"status\":\"%s\"",
               r->ask->id, r->ask->created, done ? final_status(r) : "in_progress");
    buf_printf(out, ",\"error\":null,\"incomplete_details\":%s,\"model\":",
               cut ? "{\"reason\":\"max_output_tokens\"}" : "null");
    buf_json(out, r->ask->model);
    put_echoes(out, r);
    buf_str(out, ",\"output\":[");
    buf_put(out, output);
    buf_str(out, "],\"usage\":");
    if (done) {
        put_usage(out, r);
    } else {
        buf_str(out, "null");
    }
    buf_str(out, "}");
}

static bool has_summary(const struct reply *r)
{
    yyjson_val *reasoning = yyjson_obj_get(r->ask->root, "reasoning");
    return r->ask->b.reasoning != NULL || json_member(reasoning, "summary").len > 0;
}

static void put_summary(struct buf *out, const struct reply *r)
{
    buf_str(out, "{\"type\":\"summary_text\",\"text\":");
    buf_json(out, buf_view(&r->thoughts.bytes));
    buf_str(out, "}");
}

static void put_reasoning(struct buf *out, const struct reply *r, bool done)
{
    buf_printf(out, "{\"id\":\"rs_%016" PRIx64 "\",\"type\":\"reasoning\",\"summary\":[",
               r->ask->id);
    if (done && has_summary(r)) {
        put_summary(out, r);
    }
    buf_str(out, "]");
    if (includes(r->ask, "reasoning.encrypted_content")) {
        buf_str(out, ",\"encrypted_content\":\"");
        buf_base64(out, r->thoughts.bytes.ptr, r->thoughts.bytes.len);
        buf_str(out, "\"");
    }
    buf_str(out, "}");
}

static void put_text_part(struct buf *out, struct str text)
{
    buf_str(out, "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":");
    buf_json(out, text);
    buf_str(out, "}");
}

static void put_message(struct buf *out, const struct reply *r, bool done)
{
    const char *status = !done                        ? "in_progress"
                         : r->finish == FINISH_LENGTH ? "incomplete"
                                                      : "completed";
    buf_printf(out, "{\"id\":\"msg_%016" PRIx64 "\",\"type\":\"message\",\"status\":\"%s\"",
               r->ask->id, status);
    buf_str(out, ",\"role\":\"assistant\",\"content\":[");
    if (done) {
        put_text_part(out, buf_view(&r->text.bytes));
    }
    buf_str(out, "]}");
}

static void put_call_id(struct buf *out, const struct reply *r, size_t i)
{
    const char *prefix = r->calls[i].tool->is_custom ? "ctc_" : "fc_";
    buf_printf(out, "\"%s%016" PRIx64 "\"", prefix, r->ask->id + i);
}

static void put_call(struct buf *out, const struct reply *r, size_t i, bool done)
{
    const struct call *call = &r->calls[i];
    bool custom = call->tool->is_custom;
    buf_str(out, "{\"id\":");
    put_call_id(out, r, i);
    buf_printf(out, ",\"type\":\"%s\",\"status\":\"%s\",\"call_id\":\"call_%016" PRIx64 "\"",
               custom ? "custom_tool_call" : "function_call", done ? "completed" : "in_progress",
               r->ask->id + i);
    buf_str(out, ",\"name\":");
    buf_json(out, call->tool->name);
    buf_str(out, custom ? ",\"input\":" : ",\"arguments\":");
    buf_json(out, done ? buf_view(&call->arguments.bytes) : STR(""));
    buf_str(out, "}");
}

/* All items, done. */
static void put_output(struct buf *out, const struct reply *r)
{
    const char *comma = "";
    if (r->thoughts.piece_n > 0) {
        put_reasoning(out, r, true);
        comma = ",";
    }
    if (reply_has_text(r)) {
        buf_str(out, comma);
        put_message(out, r, true);
        comma = ",";
    }
    for (size_t i = 0; i < r->call_n; i++) {
        buf_str(out, comma);
        put_call(out, r, i, true);
        comma = ",";
    }
}

/* One event {"type":name,<members>,"sequence_number":n}; events are pieces, so n counts itself. */
static void event(struct content *c, const struct reply *r, const char *name, struct str members)
{
    struct buf json = {0};
    buf_printf(&json, "{\"type\":\"%s\",", name);
    buf_put(&json, members);
    buf_printf(&json, ",\"sequence_number\":%zu}", c->piece_n);
    content_event(c, &r->ask->b, name, buf_view(&json));
    buf_free(&json);
}

static void response_event(struct content *c, const struct reply *r, const char *name, bool done)
{
    struct buf json = {0};
    struct buf output = {0};
    if (done) {
        put_output(&output, r);
    }
    buf_str(&json, "\"response\":");
    put_response(&json, r, done, buf_view(&output));
    event(c, r, name, buf_view(&json));
    buf_free(&json);
    buf_free(&output);
}

static void item_event(struct content *c, const struct reply *r, const char *name, size_t index,
                       struct str item)
{
    struct buf json = {0};
    buf_printf(&json, "\"output_index\":%zu,\"item\":", index);
    buf_put(&json, item);
    event(c, r, name, buf_view(&json));
    buf_free(&json);
}

/* One event within an item: members stands before value, which is JSON. */
static void part_event(struct content *c, const struct reply *r, const char *name,
                       const char *members, struct str value)
{
    struct buf json = {0};
    buf_str(&json, members);
    buf_put(&json, value);
    event(c, r, name, buf_view(&json));
    buf_free(&json);
}

/* The pieces as deltas, and then the whole as done. */
static void delta_events(struct content *c, const struct reply *r, const char *name,
                         const char *where, const char *whole, const struct content *from)
{
    struct buf type = {0};
    struct buf members = {0};
    struct buf value = {0};
    buf_printf(&type, "%s.delta%c", name, '\0');
    buf_printf(&members, "%s,\"delta\":%c", where, '\0');
    for (size_t i = 0; i < from->piece_n; i++) {
        value.len = 0;
        buf_json(&value, content_piece(from, i));
        part_event(c, r, type.ptr, members.ptr, buf_view(&value));
    }
    type.len = 0;
    members.len = 0;
    value.len = 0;
    buf_printf(&type, "%s.done%c", name, '\0');
    buf_printf(&members, "%s,\"%s\":%c", where, whole, '\0');
    buf_json(&value, buf_view(&from->bytes));
    part_event(c, r, type.ptr, members.ptr, buf_view(&value));
    buf_free(&type);
    buf_free(&members);
    buf_free(&value);
}

static void stream_reasoning(struct content *c, const struct reply *r, size_t index)
{
    struct buf item = {0};
    struct buf where = {0};
    struct buf part = {0};
    put_reasoning(&item, r, false);
    item_event(c, r, "response.output_item.added", index, buf_view(&item));
    if (has_summary(r)) {
        buf_printf(&where,
                   "\"item_id\":\"rs_%016" PRIx64 "\",\"output_index\":%zu,\"summary_index\":0",
                   r->ask->id, index);
        buf_printf(&part, "%.*s,\"part\":%c", (int)where.len, where.ptr, '\0');
        buf_add(&where, "", 1);
        part_event(c, r, "response.reasoning_summary_part.added", part.ptr,
                   STR("{\"type\":\"summary_text\",\"text\":\"\"}"));
        delta_events(c, r, "response.reasoning_summary_text", where.ptr, "text", &r->thoughts);
        item.len = 0;
        put_summary(&item, r);
        part_event(c, r, "response.reasoning_summary_part.done", part.ptr, buf_view(&item));
    }
    item.len = 0;
    put_reasoning(&item, r, true);
    item_event(c, r, "response.output_item.done", index, buf_view(&item));
    buf_free(&item);
    buf_free(&where);
    buf_free(&part);
}

static void stream_message(struct content *c, const struct reply *r, size_t index)
{
    struct buf item = {0};
    struct buf where = {0};
    struct buf part = {0};
    put_message(&item, r, false);
    item_event(c, r, "response.output_item.added", index, buf_view(&item));
    buf_printf(&where,
               "\"item_id\":\"msg_%016" PRIx64 "\",\"output_index\":%zu,\"content_index\":0",
               r->ask->id, index);
    buf_printf(&part, "%.*s,\"part\":%c", (int)where.len, where.ptr, '\0');
    item.len = 0;
    put_text_part(&item, STR(""));
    part_event(c, r, "response.content_part.added", part.ptr, buf_view(&item));
    buf_printf(&where, ",\"logprobs\":[]%c", '\0');
    delta_events(c, r, "response.output_text", where.ptr, "text", &r->text);
    item.len = 0;
    put_text_part(&item, buf_view(&r->text.bytes));
    part_event(c, r, "response.content_part.done", part.ptr, buf_view(&item));
    item.len = 0;
    put_message(&item, r, true);
    item_event(c, r, "response.output_item.done", index, buf_view(&item));
    buf_free(&item);
    buf_free(&where);
    buf_free(&part);
}

static void stream_call(struct content *c, const struct reply *r, size_t index, size_t i)
{
    bool custom = r->calls[i].tool->is_custom;
    struct buf item = {0};
    struct buf where = {0};
    put_call(&item, r, i, false);
    item_event(c, r, "response.output_item.added", index, buf_view(&item));
    buf_str(&where, "\"item_id\":");
    put_call_id(&where, r, i);
    buf_printf(&where, ",\"output_index\":%zu%c", index, '\0');
    delta_events(c, r,
                 custom ? "response.custom_tool_call_input" : "response.function_call_arguments",
                 where.ptr, custom ? "input" : "arguments", &r->calls[i].arguments);
    item.len = 0;
    put_call(&item, r, i, true);
    item_event(c, r, "response.output_item.done", index, buf_view(&item));
    buf_free(&item);
    buf_free(&where);
}

static void write_stream(struct content *c, const struct reply *r)
{
    size_t index = 0;
    response_event(c, r, "response.created", false);
    response_event(c, r, "response.in_progress", false);
    if (r->thoughts.piece_n > 0) {
        stream_reasoning(c, r, index++);
    }
    if (reply_has_text(r)) {
        stream_message(c, r, index++);
    }
    for (size_t i = 0; i < r->call_n; i++) {
        stream_call(c, r, index++, i);
    }
    if (!r->ask->b.no_done) {
        const char *status = final_status(r);
        response_event(c, r,
                       strcmp(status, "incomplete") == 0 ? "response.incomplete"
                       : strcmp(status, "failed") == 0   ? "response.failed"
                                                         : "response.completed",
                       true);
    }
    c->type = "text/event-stream; charset=utf-8";
    c->is_stream = true;
}

/* The input as items, for GET .../input_items; the response's tokens, for what builds on it. */
static void keep(const struct reply *r, struct str document)
{
    struct buf id = {0};
    struct buf items = {0};
    yyjson_val *input = yyjson_obj_get(r->ask->root, "input");
    buf_printf(&id, "resp_%016" PRIx64, r->ask->id);
    buf_printf(&items, "%" PRId64 "\n", r->prompt_tokens + r->output_tokens);
    if (yyjson_is_arr(input)) {
        buf_value(&items, input);
    } else {
        buf_printf(&items,
                   "[{\"id\":\"msg_in_%016" PRIx64 "\",\"type\":\"message\",\"role\":\"user\","
                   "\"content\":[{\"type\":\"input_text\",\"text\":",
                   r->ask->id);
        buf_json(&items, json_str(input));
        buf_str(&items, "}]}]");
    }
    store_put(r->ask->conf->store, STORED_RESPONSE, buf_view(&id), document, buf_view(&items));
    buf_free(&id);
    buf_free(&items);
}

/* False, with an error in c, when the request builds on a response that is not known. */
static bool build_on(struct content *c, const struct ask *a, int64_t *out_tokens)
{
    struct str previous = json_member(a->root, "previous_response_id");
    struct buf data = {0};
    *out_tokens = 0;
    if (previous.len == 0) {
        return true;
    }
    bool known = store_get(a->conf->store, STORED_RESPONSE, previous, NULL, &data);
    if (known) {
        *out_tokens = strtoll(data.ptr, NULL, 10);
    } else {
        struct buf text = {0};
        buf_printf(&text, "Previous response with id '%.*s' not found.%c", (int)previous.len,
                   previous.ptr, '\0');
        content_error(c, 400, text.ptr, "previous_response_id", "previous_response_not_found");
        buf_free(&text);
    }
    buf_free(&data);
    return known;
}

void responses_answer(struct content *c, const struct ask *a)
{
    struct reply r;
    struct buf document = {0};
    struct buf output = {0};
    int64_t tokens = 0;
    yyjson_val *store = yyjson_obj_get(a->root, "store");
    if (yyjson_obj_get(a->root, "input") == NULL) {
        content_error(c, 400, "Missing required parameter: 'input'.", "input",
                      "missing_required_parameter");
        return;
    }
    if (!build_on(c, a, &tokens)) {
        return;
    }
    reply_make(&r, a);
    r.prompt_tokens += a->b.prompt_tokens >= 0 ? 0 : tokens;
    put_output(&output, &r);
    put_response(&document, &r, true, buf_view(&output));
    if (store == NULL || yyjson_get_bool(store)) {
        keep(&r, buf_view(&document));
    }
    if (a->stream) {
        write_stream(c, &r);
    } else {
        buf_put(&c->bytes, buf_view(&document));
        content_document(c, json_type);
    }
    buf_free(&document);
    buf_free(&output);
    reply_deinit(&r);
}

void responses_count(struct content *c, const struct ask *a)
{
    int64_t tokens = 0;
    if (build_on(c, a, &tokens)) {
        buf_printf(&c->bytes, "{\"object\":\"response.input_tokens\",\"input_tokens\":%" PRId64 "}",
                   reply_told(a->b.prompt_tokens, a->prompt.tokens + tokens));
        content_document(c, json_type);
    }
}

static void not_found(struct content *c, const struct ask *a)
{
    content_refusef(c, a, 404, "Response with id '%.*s' not found.", (int)a->part.len, a->part.ptr);
}

void responses_get(struct content *c, const struct ask *a)
{
    if (store_get(a->conf->store, STORED_RESPONSE, a->part, &c->bytes, NULL)) {
        content_document(c, json_type);
    } else {
        not_found(c, a);
    }
}

void responses_items(struct content *c, const struct ask *a)
{
    struct buf data = {0};
    if (store_get(a->conf->store, STORED_RESPONSE, a->part, NULL, &data)) {
        const char *items = memchr(data.ptr, '\n', data.len);
        buf_str(&c->bytes, "{\"object\":\"list\",\"data\":");
        buf_add(&c->bytes, items, data.len - (size_t)(items - data.ptr));
        buf_str(&c->bytes, ",\"first_id\":null,\"last_id\":null,\"has_more\":false}");
        content_document(c, json_type);
    } else {
        not_found(c, a);
    }
    buf_free(&data);
}

void responses_delete(struct content *c, const struct ask *a)
{
    if (!store_delete(a->conf->store, STORED_RESPONSE, a->part)) {
        not_found(c, a);
        return;
    }
    buf_str(&c->bytes, "{\"id\":");
    buf_json(&c->bytes, a->part);
    buf_str(&c->bytes, ",\"object\":\"response\",\"deleted\":true}");
    content_document(c, json_type);
}
