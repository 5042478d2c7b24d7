/* A Responses request as a neutral one. */
#include "dialect/responses.h"
#include "dialect/write.h"

/* What an item belongs to. */
enum side { SIDE_ASSISTANT, SIDE_OUTPUT, SIDE_MESSAGE };

static bool role_of(struct slice name, enum chat_role *out)
{
    *out = slice_eq(name, SLICE("assistant"))   ? CHAT_ASSISTANT
           : slice_eq(name, SLICE("system"))    ? CHAT_SYSTEM
           : slice_eq(name, SLICE("developer")) ? CHAT_DEVELOPER
                                                : CHAT_USER;
    return *out != CHAT_USER || slice_eq(name, SLICE("user"));
}

static enum err side_of(struct decoder *d, yyjson_val *item, enum side *out,
                        enum chat_role *out_role)
{
    struct slice type = json_get_string(item, "type");
    if (!yyjson_is_obj(item)) {
        return responses_refuse(d, "", "expected an object");
    }
    if (slice_eq(type, SLICE("item_reference")) || (!type.len && !json_get(item, "role"))) {
        return responses_refuse(d, "type", "what it names is kept by another provider");
    }
    *out_role = CHAT_ASSISTANT;
    *out = responses_is_output(type) ? SIDE_OUTPUT : SIDE_ASSISTANT;
    if (!type.len || slice_eq(type, SLICE("message"))) {
        if (!role_of(json_get_string(item, "role"), out_role)) {
            return responses_refuse(d, "role",
                                    "expected 'user', 'assistant', 'system' or 'developer'");
        }
        *out = *out_role == CHAT_ASSISTANT ? SIDE_ASSISTANT : SIDE_MESSAGE;
    }
    return OK;
}

/* The items from `first`, which is the one numbered `from`, that make one message; *out_room: parts
 * they become at most. */
static enum err measure(struct decoder *d, yyjson_val *first, size_t from, size_t end,
                        size_t *out_to, size_t *out_room)
{
    enum side side, run = SIDE_MESSAGE;
    enum chat_role role;
    size_t to = from;
    *out_room = 0;
    for (yyjson_val *item = first; to < end; item = unsafe_yyjson_get_next(item)) {
        d->place = arena_printf(d->arena, "input[%zu]", to);
        if (side_of(d, item, &side, &role)) {
            return d->failed;
        }
        if (to > from && (side != run || side == SIDE_MESSAGE)) {
            break;
        }
        run = side;
        *out_room += responses_item_size(item);
        to++;
    }
    *out_to = to;
    return OK;
}

static enum err take_run(struct decoder *d, yyjson_val *first, size_t from, size_t to,
                         struct chat_message *out)
{
    enum side side = SIDE_MESSAGE;
    yyjson_val *item = first;
    for (size_t i = from; i < to; i++) {
        d->place = arena_printf(d->arena, "input[%zu]", i);
        if (side_of(d, item, &side, &out->role) ||
            responses_take_item(d, item, out->parts, &out->part_count)) {
            return d->failed;
        }
        item = unsafe_yyjson_get_next(item);
    }
    out->role = side == SIDE_OUTPUT ? CHAT_TOOL : out->role;
    return OK;
}

static enum err take_items(struct decoder *d, yyjson_val *input, struct chat_request *out)
{
    size_t from = 0, to = 0, room = 0, n = yyjson_arr_size(input);
    yyjson_val *item = yyjson_arr_get_first(input);
    while (from < n) {
        if (measure(d, item, from, n, &to, &room)) {
            return d->failed;
        }
        struct chat_message *m = &out->messages[out->message_count++];
        m->parts = arena_array(d->arena, room + 1, sizeof(*m->parts));
        if (!m->parts) {
            return read_no_memory(d);
        }
        if (take_run(d, item, from, to, m)) {
            return d->failed;
        }
        for (; from < to; from++) {
            item = unsafe_yyjson_get_next(item);
        }
    }
    return OK;
}

static enum err take_string(struct decoder *d, enum chat_role role, struct slice text,
                            struct chat_request *out)
{
    struct chat_message *m = &out->messages[out->message_count++];
    m->role = role;
    m->parts = ARENA_NEW(d->arena, struct chat_part);
    if (!m->parts) {
        return read_no_memory(d);
    }
    m->parts[m->part_count++] = (struct chat_part){.kind = CHAT_TEXT, .text = text};
    return OK;
}

static enum err take_input(struct decoder *d, yyjson_val *root, struct chat_request *out)
{
    yyjson_val *input = json_get(root, "input");
    yyjson_val *instructions = json_get(root, "instructions");
    out->messages = arena_array(d->arena, yyjson_arr_size(input) + 2, sizeof(*out->messages));
    if (!out->messages) {
        return read_no_memory(d);
    }
    d->place = SLICE("instructions");
    if (!json_is_none(instructions) && !yyjson_is_str(instructions)) {
        return responses_refuse(d, "", "expected a string");
    }
    if (json_string(instructions).len &&
        take_string(d, CHAT_SYSTEM, json_string(instructions), out)) {
        return d->failed;
    }
    return yyjson_is_str(input) ? take_string(d, CHAT_USER, json_string(input), out)
                                : take_items(d, input, out);
}

/* --- tools -------------------------------------------------------------------------------------
 */

/* Where a provider knows no tool of free text, it takes one member that holds it. */
static void take_custom_tool(struct decoder *d, yyjson_val *v, struct chat_tool *out)
{
    static const char *const names[] = {"type", "name", "description"};
    out->is_custom = true;
    out->schema = SLICE("{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},"
                        "\"required\":[\"input\"],\"additionalProperties\":false}");
    out->extras = read_extras(d, v, names, ARRAY_LEN(names));
}

static enum err take_tool(struct decoder *d, yyjson_val *v, size_t index, struct chat_tool *out)
{
    static const char *const names[] = {"type", "name", "description", "parameters", "strict"};
    struct slice type = json_get_string(v, "type");
    d->place = arena_printf(d->arena, "tools[%zu]", index);
    if (!yyjson_is_obj(v)) {
        return responses_refuse(d, "", "expected an object");
    }
    out->name = json_get_string(v, "name");
    out->description = json_get_string(v, "description");
    if (slice_eq(type, SLICE("custom"))) {
        take_custom_tool(d, v, out);
    } else if (slice_eq(type, SLICE("function"))) {
        out->schema = read_json(d, json_get(v, "parameters"));
        out->is_strict = json_is_true(json_get(v, "strict"));
        out->has_strict = out->is_strict; /* false is what others do unasked */
        out->extras = read_extras(d, v, names, ARRAY_LEN(names));
    } else { /* one of the API's own */
        out->raw = json_text(d->arena, v);
        out->name = type.len ? type : SLICE("tools");
        out->provider = RESPONSES_NAME;
        return out->raw.ptr ? OK : read_no_memory(d);
    }
    out->provider = out->extras.len ? RESPONSES_NAME : SLICE_NONE;
    return out->name.len ? d->failed : responses_refuse(d, "name", "a tool needs a name");
}

/* Tools of the API's own have no name but their type. */
static struct slice name_of(yyjson_val *tool)
{
    struct slice name = json_get_string(tool, "name");
    return name.len ? name : json_get_string(tool, "type");
}

static enum err take_tool_choice(struct decoder *d, yyjson_val *root, struct chat_request *out)
{
    yyjson_val *choice = json_get(root, "tool_choice");
    yyjson_val *tools = json_get(choice, "tools");
    size_t i, max;
    yyjson_val *v;
    if (!yyjson_is_obj(choice)) {
        out->tool_choice = openai_choice(json_string(choice));
        return OK;
    }
    if (!slice_eq(json_get_string(choice, "type"), SLICE("allowed_tools"))) {
        out->tool_choice = CHAT_CHOICE_NAMED;
        out->tool_choice_name = name_of(choice);
        return OK;
    }
    out->tool_choice = openai_choice(json_get_string(choice, "mode"));
    out->allowed_tools =
        arena_array(d->arena, yyjson_arr_size(tools) + 1, sizeof(*out->allowed_tools));
    if (!out->allowed_tools) {
        return read_no_memory(d);
    }
    yyjson_arr_foreach(tools, i, max, v)
    {
        out->allowed_tools[out->allowed_tool_count++] = name_of(v);
    }
    return OK;
}

/* --- the rest ----------------------------------------------------------------------------------
 */

static void take_format(struct decoder *d, yyjson_val *root, struct chat_request *out)
{
    yyjson_val *format = json_get(json_get(root, "text"), "format");
    struct slice type = json_get_string(format, "type");
    yyjson_val *strict = json_get(format, "strict");
    out->format_strict = -1;
    if (slice_eq(type, SLICE("text"))) {
        out->format = CHAT_FORMAT_TEXT;
    } else if (slice_eq(type, SLICE("json_object"))) {
        out->format = CHAT_FORMAT_JSON;
    } else if (slice_eq(type, SLICE("json_schema"))) {
        out->format = CHAT_FORMAT_SCHEMA;
        out->format_name = json_get_string(format, "name");
        out->format_schema = read_json(d, json_get(format, "schema"));
        out->format_strict = json_is_none(strict) ? -1 : json_is_true(strict);
    } else if (!json_is_none(format)) {
        drop_name(&d->dropped, SLICE("text.format"));
    }
    if (!json_is_none(json_get(format, "description"))) {
        drop_name(&d->dropped, SLICE("text.format.description"));
    }
}

static void take_reasoning(yyjson_val *root, struct chat_request *out)
{
    yyjson_val *reasoning = json_get(root, "reasoning");
    out->reasoning_effort = json_get_string(reasoning, "effort");
    if (json_get_string(reasoning, "summary").len ||
        json_get_string(reasoning, "generate_summary").len) {
        out->thinking_display = SLICE("summarized");
    }
}

static void take_numbers(yyjson_val *root, struct chat_request *out)
{
    out->max_tokens.text = json_number(json_get(root, "max_output_tokens"));
    out->temperature.text = json_number(json_get(root, "temperature"));
    out->top_p.text = json_number(json_get(root, "top_p"));
}

static void add_extra(struct decoder *d, struct text *t, const char *outer, struct slice name,
                      yyjson_val *v)
{
    struct slice whole = arena_printf(d->arena, "%s%.*s", outer, SLICE_ARG(name));
    text_add_char(t, t->len ? ',' : '{');
    text_add_json_string(t, whole);
    text_add_char(t, ':');
    json_add(t, d->arena, v);
    t->is_full = t->is_full || !whole.ptr;
}

/* Members of an object inside the request: "text.verbosity". */
static void add_inner(struct decoder *d, struct text *t, yyjson_val *obj, const char *outer)
{
    size_t i, max;
    yyjson_val *key, *v;
    if (!obj) {
        return;
    }
    yyjson_obj_foreach(obj, i, max, key, v)
    {
        struct slice name = json_string(key);
        bool is_known =
            yyjson_is_null(v) || slice_eq(name, SLICE("effort")) ||
            slice_eq(name, SLICE("format")) ||
            (slice_ends(name, SLICE("summary")) && slice_eq(json_string(v), SLICE("auto")));
        if (!is_known) {
            add_extra(d, t, outer, name, v);
        }
    }
}

static bool is_default(struct slice name, yyjson_val *v)
{
    if (yyjson_is_null(v) || yyjson_is_false(v)) {
        return true; /* asks for nothing; store: nothing is, anywhere else */
    }
    if (slice_eq(name, SLICE("include"))) { /* thoughts always come with what proves them */
        yyjson_val *first = yyjson_arr_get_first(v);
        return yyjson_arr_size(v) == 0 ||
               (yyjson_arr_size(v) == 1 &&
                slice_eq(json_string(first), SLICE("reasoning.encrypted_content")));
    }
    return (slice_eq(name, SLICE("truncation")) && slice_eq(json_string(v), SLICE("disabled"))) ||
           (slice_eq(name, SLICE("top_logprobs")) && slice_eq(json_number(v), SLICE("0")));
}

/* Members that this dialect alone knows go with the request, for those who speak it. */
static void take_rest(struct decoder *d, yyjson_val *root, struct chat_request *out)
{
    static const char *const known[] = {"model",
                                        "input",
                                        "instructions",
                                        "stream",
                                        "stream_options",
                                        "tools",
                                        "tool_choice",
                                        "reasoning",
                                        "text",
                                        "max_output_tokens",
                                        "temperature",
                                        "top_p",
                                        "metadata",
                                        "user",
                                        "safety_identifier",
                                        "service_tier",
                                        "parallel_tool_calls"};
    struct text t = text_growing(d->arena);
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(root, i, max, key, v)
    {
        struct slice name = json_string(key);
        bool is_known = is_default(name, v);
        for (size_t k = 0; k < ARRAY_LEN(known); k++) {
            is_known = is_known || slice_eq(name, slice_str(known[k]));
        }
        bool is_second =
            slice_eq(name, SLICE("safety_identifier")) && !slice_eq(json_string(v), out->user);
        if (!is_known || is_second) {
            add_extra(d, &t, "", name, v);
        }
    }
    add_inner(d, &t, json_get(root, "reasoning"), "reasoning.");
    add_inner(d, &t, json_get(root, "text"), "text.");
    if (t.len) {
        text_add_char(&t, '}');
    }
    out->extras = text_slice(&t);
    out->provider = out->extras.len ? RESPONSES_NAME : SLICE_NONE;
    d->failed = t.is_full ? E_NOMEM : d->failed;
}

/* What another provider would answer without having seen. */
static enum err refuse_kept(struct decoder *d, yyjson_val *root)
{
    static const char *const kept[] = {"previous_response_id", "conversation", "prompt",
                                       "background"};
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        yyjson_val *v = json_get(root, kept[i]);
        if (!json_is_none(v) && !yyjson_is_false(v)) {
            openai_refuse(d->arena, d->fault, kept[i], "unsupported_parameter",
                          "Unsupported parameter: '%s' is only known to the provider that made "
                          "it; this model is served by another. Send the whole input instead.",
                          kept[i]);
            d->failed = E_SYNTAX;
            return E_SYNTAX;
        }
    }
    return OK;
}

enum err responses_decode_request(struct arena *a, struct chat_ask *ask, struct fault *out_fault)
{
    struct decoder d = {.arena = a, .fault = out_fault, .dropped = text_growing(a)};
    struct chat_request *r = read_begin(a, ask, out_fault);
    struct span_fault why = {.at = 0};
    yyjson_val *root;
    if (!r) {
        return E_NOMEM;
    }
    enum err e = json_parse(a, ask->body, &root, &why);
    if (e) {
        openai_refuse(a, out_fault, NULL, NULL, "The body cannot be read: %s at byte %zu.",
                      why.what ? why.what : "it is too large", why.at);
        return e;
    }
    if (refuse_kept(&d, root)) {
        return d.failed;
    }
    yyjson_val *parallel = json_get(root, "parallel_tool_calls");
    r->parallel_tool_calls = json_is_none(parallel) ? -1 : json_is_true(parallel);
    r->service_tier = json_get_string(root, "service_tier");
    r->metadata = read_json(&d, json_get(root, "metadata"));
    take_numbers(root, r);
    take_reasoning(root, r);
    take_format(&d, root, r);
    take_rest(&d, root, r);
    if (d.failed || take_input(&d, root, r) ||
        read_tools(&d, json_get(root, "tools"), take_tool, r) || take_tool_choice(&d, root, r)) {
        return d.failed;
    }
    return read_end(&d, ask, r);
}
