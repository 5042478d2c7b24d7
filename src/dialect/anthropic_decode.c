/* A Messages request as a neutral one. */
#include "dialect/anthropic.h"

static bool is_result(yyjson_val *block)
{
    return slice_eq(json_get_string(block, "type"), SLICE("tool_result"));
}

/* Whether a turn of that role may hold the part. */
static bool is_in_place(enum chat_role role, const struct chat_part *p)
{
    switch (p->kind) {
    case CHAT_TEXT:
    case CHAT_OPAQUE: return true;
    case CHAT_IMAGE: return role == CHAT_USER;
    case CHAT_FILE: return role != CHAT_SYSTEM;
    case CHAT_THINKING:
    case CHAT_TOOL_CALL: return role == CHAT_ASSISTANT;
    case CHAT_TOOL_RESULT: return role == CHAT_TOOL;
    case CHAT_REFUSAL:
    case CHAT_AUDIO: break;
    }
    return false;
}

/* The blocks of content that are results, or that are none, as parts of one message. */
static enum err take_blocks(struct decoder *d, yyjson_val *content, bool takes_results,
                            struct chat_message *out)
{
    struct slice place = d->place;
    size_t i, max;
    yyjson_val *v;
    out->parts = arena_array(d->arena, read_content_size(content) + 1, sizeof(*out->parts));
    if (!out->parts) {
        return read_no_memory(d);
    }
    yyjson_arr_foreach(content, i, max, v)
    {
        if (is_result(v) != takes_results && out->role != CHAT_ASSISTANT) {
            continue;
        }
        struct chat_part *part = &out->parts[out->part_count++];
        d->place = arena_printf(d->arena, "%.*s.%zu", SLICE_ARG(place), i);
        if (anthropic_take_block(d, v, part)) {
            return d->failed;
        }
        if (!is_in_place(out->role, part)) {
            return anthropic_refuse_at(d, "type", "this block cannot stand in a turn of this role");
        }
    }
    d->place = place;
    return OK;
}

static enum err take_string(struct decoder *d, struct slice text, struct chat_message *out)
{
    struct chat_part *part = ARENA_NEW(d->arena, struct chat_part);
    if (!part) {
        return read_no_memory(d);
    }
    part->kind = CHAT_TEXT;
    part->text = text;
    out->parts = part;
    out->part_count = 1;
    return OK;
}

static bool role_of(struct slice name, enum chat_role *out)
{
    *out = slice_eq(name, SLICE("assistant")) ? CHAT_ASSISTANT
           : slice_eq(name, SLICE("system"))  ? CHAT_SYSTEM
                                              : CHAT_USER;
    return *out != CHAT_USER || slice_eq(name, SLICE("user"));
}

/* One turn: results become a message of their own before the rest. */
static enum err take_turn(struct decoder *d, yyjson_val *m, struct chat_request *out)
{
    struct slice place = d->place;
    yyjson_val *content = json_get(m, "content");
    enum chat_role role;
    size_t i, max, results = 0;
    yyjson_val *v;
    if (!yyjson_is_obj(m)) {
        return anthropic_refuse_at(d, "", "Input should be a valid object");
    }
    if (!role_of(json_get_string(m, "role"), &role)) {
        return anthropic_refuse_at(d, "role", "Input should be 'user' or 'assistant'");
    }
    if (!yyjson_is_str(content) && !yyjson_is_arr(content)) {
        return anthropic_refuse_at(
            d, "content", content ? "Input should be a valid string or array" : "Field required");
    }
    yyjson_arr_foreach(content, i, max, v)
    {
        results += is_result(v);
    }
    d->place = arena_printf(d->arena, "%.*s.content", SLICE_ARG(place));
    struct chat_message *to;
    if (role == CHAT_USER && results) {
        to = &out->messages[out->message_count++];
        to->role = CHAT_TOOL;
        if (take_blocks(d, content, true, to)) {
            return d->failed;
        }
        if (results == yyjson_arr_size(content)) {
            return OK;
        }
    }
    to = &out->messages[out->message_count++];
    to->role = role;
    return yyjson_is_str(content) ? take_string(d, json_string(content), to)
                                  : take_blocks(d, content, false, to);
}

static enum err take_system(struct decoder *d, yyjson_val *root, struct chat_request *out)
{
    yyjson_val *system = json_get(root, "system");
    if (json_is_none(system)) {
        return OK;
    }
    d->place = SLICE("system");
    if (!yyjson_is_str(system) && !yyjson_is_arr(system)) {
        return anthropic_refuse_at(d, "", "Input should be a valid string or array");
    }
    struct chat_message *to = &out->messages[out->message_count++];
    to->role = CHAT_SYSTEM;
    return yyjson_is_str(system) ? take_string(d, json_string(system), to)
                                 : take_blocks(d, system, false, to);
}

static enum err take_messages(struct decoder *d, yyjson_val *root, struct chat_request *out)
{
    yyjson_val *messages = json_get(root, "messages");
    size_t i, max;
    yyjson_val *m;
    out->messages =
        arena_array(d->arena, 2 * yyjson_arr_size(messages) + 2, sizeof(*out->messages));
    if (!out->messages) {
        return read_no_memory(d);
    }
    if (take_system(d, root, out)) {
        return d->failed;
    }
    yyjson_arr_foreach(messages, i, max, m)
    {
        d->place = arena_printf(d->arena, "messages.%zu", i);
        if (take_turn(d, m, out)) {
            return d->failed;
        }
    }
    return OK;
}

static enum err take_tool(struct decoder *d, yyjson_val *v, size_t index, struct chat_tool *out)
{
    static const char *const names[] = {"type",         "name",   "description",
                                        "input_schema", "strict", "cache_control"};
    struct slice type = json_get_string(v, "type");
    d->place = arena_printf(d->arena, "tools.%zu", index);
    if (!yyjson_is_obj(v)) {
        return anthropic_refuse_at(d, "", "Input should be a valid object");
    }
    out->name = json_get_string(v, "name");
    if (type.len && !slice_eq(type, SLICE("custom"))) {
        out->raw = json_text(d->arena, v); /* one of the API's own */
        out->provider = ANTHROPIC_NAME;
        return out->raw.ptr ? OK : read_no_memory(d);
    }
    out->description = json_get_string(v, "description");
    out->schema = read_json(d, json_get(v, "input_schema"));
    out->cache_marker = read_json(d, json_get(v, "cache_control"));
    out->has_strict = !json_is_none(json_get(v, "strict"));
    out->is_strict = json_is_true(json_get(v, "strict"));
    out->extras = read_extras(d, v, names, ARRAY_LEN(names));
    out->provider = out->extras.len ? ANTHROPIC_NAME : SLICE_NONE;
    return out->name.len ? d->failed : anthropic_refuse_at(d, "name", "Field required");
}

static void take_tool_choice(yyjson_val *root, struct chat_request *out)
{
    yyjson_val *choice = json_get(root, "tool_choice");
    struct slice type = json_get_string(choice, "type");
    yyjson_val *disabled = json_get(choice, "disable_parallel_tool_use");
    out->parallel_tool_calls = json_is_none(disabled) ? -1 : !json_is_true(disabled);
    if (slice_eq(type, SLICE("tool"))) {
        out->tool_choice = CHAT_CHOICE_NAMED;
        out->tool_choice_name = json_get_string(choice, "name");
    } else {
        out->tool_choice = slice_eq(type, SLICE("auto"))   ? CHAT_CHOICE_AUTO
                           : slice_eq(type, SLICE("any"))  ? CHAT_CHOICE_REQUIRED
                           : slice_eq(type, SLICE("none")) ? CHAT_CHOICE_NONE
                                                           : CHAT_CHOICE_DEFAULT;
    }
}

static void take_numbers(yyjson_val *root, struct chat_request *out)
{
    out->max_tokens.text = json_number(json_get(root, "max_tokens"));
    out->temperature.text = json_number(json_get(root, "temperature"));
    out->top_p.text = json_number(json_get(root, "top_p"));
    out->top_k.text = json_number(json_get(root, "top_k"));
}

static void drop_members(struct decoder *d, yyjson_val *obj, const char *scope,
                         const char *const *names, size_t count)
{
    struct slice extras = read_extras(d, obj, names, count);
    struct text inner = text_growing(d->arena);
    drop_extras(&inner, extras);
    struct slice rest = text_slice(&inner);
    while (rest.len) {
        size_t len = slice_find(rest, ',');
        drop_name(&d->dropped,
                  arena_printf(d->arena, "%s.%.*s", scope, SLICE_ARG(slice_head(rest, len))));
        rest = slice_from(rest, len + 1);
    }
    d->dropped.is_full = d->dropped.is_full || inner.is_full;
}

static void take_thinking(struct decoder *d, yyjson_val *root, struct chat_request *out)
{
    static const char *const names[] = {"type", "budget_tokens", "display"};
    yyjson_val *thinking = json_get(root, "thinking");
    struct slice type = json_get_string(thinking, "type");
    out->thinking = CHAT_THINKING_UNSAID;
    out->thinking_display = json_get_string(thinking, "display");
    if (slice_eq(type, SLICE("enabled"))) {
        out->thinking = CHAT_THINKING_BUDGET;
        out->thinking_budget.text = json_number(json_get(thinking, "budget_tokens"));
    } else if (slice_eq(type, SLICE("adaptive"))) {
        out->thinking = CHAT_THINKING_ADAPTIVE;
    } else if (slice_eq(type, SLICE("disabled"))) {
        out->thinking = CHAT_THINKING_OFF;
    } else if (type.len) { /* between_tools, and what comes after it */
        drop_name(&d->dropped, SLICE("thinking.type"));
    }
    drop_members(d, thinking, "thinking", names, ARRAY_LEN(names));
}

/* output_config, and output_format as it was called before. */
static void take_output(struct decoder *d, yyjson_val *root, struct chat_request *out)
{
    static const char *const names[] = {"effort", "format"};
    yyjson_val *config = json_get(root, "output_config");
    yyjson_val *format = json_get(config, "format");
    format = json_is_none(format) ? json_get(root, "output_format") : format;
    out->reasoning_effort = json_get_string(config, "effort");
    out->format_strict = -1;
    if (slice_eq(json_get_string(format, "type"), SLICE("json_schema"))) {
        out->format = CHAT_FORMAT_SCHEMA;
        out->format_schema = read_json(d, json_get(format, "schema"));
        out->format_strict = 1; /* the API knows no other way */
    } else if (!json_is_none(format)) {
        drop_name(&d->dropped, SLICE("output_config.format"));
    }
    drop_members(d, config, "output_config", names, ARRAY_LEN(names));
}

static void take_rest(struct decoder *d, yyjson_val *root, struct chat_request *out)
{
    static const char *const known[] = {
        "model",          "max_tokens",   "messages",      "system",
        "stop_sequences", "stream",       "temperature",   "top_p",
        "top_k",          "tools",        "tool_choice",   "thinking",
        "metadata",       "service_tier", "output_config", "output_format"};
    static const char *const metadata[] = {"user_id"};
    out->service_tier = json_get_string(root, "service_tier");
    out->extras = read_extras(d, root, known, ARRAY_LEN(known));
    out->provider = ANTHROPIC_NAME;
    drop_members(d, json_get(root, "metadata"), "metadata", metadata, ARRAY_LEN(metadata));
}

enum err anthropic_decode_request(struct arena *a, struct chat_ask *ask, struct fault *out_fault)
{
    struct decoder d = {.arena = a, .fault = out_fault, .dropped = text_growing(a)};
    struct chat_request *r = read_begin(a, ask, out_fault);
    struct span_fault why = {.at = 0};
    yyjson_val *root;
    if (!r) {
        return E_NOMEM;
    }
    enum err e = json_parse_checked(a, ask->body, &root, &why);
    if (e) {
        anthropic_refuse(a, out_fault, SLICE_NONE, "The body cannot be read: %s at byte %zu.",
                         why.what ? why.what : "it is too large", why.at);
        return e;
    }
    take_numbers(root, r);
    take_tool_choice(root, r);
    take_thinking(&d, root, r);
    take_output(&d, root, r);
    take_rest(&d, root, r);
    if (take_messages(&d, root, r) || read_tools(&d, json_get(root, "tools"), take_tool, r) ||
        read_stops(&d, json_get(root, "stop_sequences"), r)) {
        return d.failed;
    }
    return read_end(&d, ask, r);
}
