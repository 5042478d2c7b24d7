/* What Responses requests tell and their answers repeat: tools, the choice among them, the format
 * of the text. */
#include "dialect/responses.h"
#include "dialect/write.h"

enum {
    CALL_ID_MAX_BYTES = 64, /* the API takes no longer one */
    TOOLS_LOOKED = 512
};

/* Among the first of them: the API takes fewer, and every call and choice is looked for. */
static const struct chat_tool *find_tool(const struct chat_request *r, struct slice name)
{
    for (size_t i = 0; r && i < r->tool_count && i < TOOLS_LOOKED; i++) {
        if (slice_eq(r->tools[i].name, name)) {
            return &r->tools[i];
        }
    }
    return NULL;
}

bool responses_is_custom(const struct chat_request *r, struct slice name)
{
    const struct chat_tool *tool = find_tool(r, name);
    return tool && tool->is_custom;
}

static bool is_ours(struct slice provider)
{
    return slice_eq(provider, RESPONSES_NAME);
}

/* Extras of ours behind the members written already. */
static void add_extras(struct text *t, struct text *dropped, const struct chat_tool *tool)
{
    if (tool->extras.len > 2 && is_ours(tool->provider)) {
        text_add_char(t, ',');
        text_add(t, slice_of(tool->extras.ptr + 1, tool->extras.len - 2));
    } else {
        drop_extras(dropped, tool->extras);
    }
}

/* A custom tool of the chat dialect, whose members lie deeper. */
static void add_chat_custom(struct text *t, const struct chat_tool *tool)
{
    yyjson_val *root;
    if (json_parse(t->arena, tool->raw, &root, NULL)) {
        t->is_full = true; /* it was parsed before: memory ended */
        return;
    }
    yyjson_val *format = json_get(json_get(root, "custom"), "format");
    yyjson_val *grammar = json_get(format, "grammar");
    write_string(t, "type", SLICE("custom"));
    write_string(t, "name", tool->name);
    write_string_if(t, "description", tool->description);
    if (grammar) {
        text_add_json_key(t, "format");
        TEXT_ADD(t, "{\"type\":\"grammar\"");
        write_string(t, "syntax", json_get_string(grammar, "syntax"));
        write_string(t, "definition", json_get_string(grammar, "definition"));
        TEXT_ADD(t, "}");
    } else if (format) {
        write_raw(t, "format", SLICE("{\"type\":\"text\"}"));
    }
}

static void add_function(struct text *t, struct text *dropped, const struct chat_tool *tool)
{
    write_string(t, "type", SLICE("function"));
    write_string(t, "name", tool->name);
    write_string_if(t, "description", tool->description);
    write_raw(t, "parameters", tool->schema.len ? tool->schema : SLICE("null"));
    write_bool(t, "strict", tool->is_strict); /* unsaid, the API would change the schema */
    add_extras(t, dropped, tool);
}

static void add_tool(struct text *t, struct text *dropped, const struct chat_tool *tool)
{
    write_next(t);
    if (tool->raw.len && is_ours(tool->provider)) {
        text_add(t, tool->raw);
        return;
    }
    if (tool->cache_marker.len) {
        drop_name(dropped, SLICE("cache_control"));
    }
    text_add_char(t, '{');
    if (tool->is_custom && tool->raw.len) {
        add_chat_custom(t, tool);
    } else if (tool->is_custom) {
        write_string(t, "type", SLICE("custom"));
        write_string(t, "name", tool->name);
        write_string_if(t, "description", tool->description);
        add_extras(t, dropped, tool);
    } else {
        add_function(t, dropped, tool);
    }
    text_add_char(t, '}');
}

/* Tools that another provider runs itself. */
static bool is_foreign(const struct chat_tool *tool)
{
    return tool->raw.len && !is_ours(tool->provider) &&
           !(tool->is_custom && slice_eq(tool->provider, SLICE("openai")));
}

void responses_add_tools(struct text *t, struct text *dropped, const struct chat_request *r,
                         bool is_told)
{
    bool is_begun = is_told;
    if (is_told) {
        text_add_json_key(t, "tools");
        TEXT_ADD(t, "[");
    }
    for (size_t i = 0; r && i < r->tool_count; i++) {
        const struct chat_tool *tool = &r->tools[i];
        if (is_foreign(tool)) {
            drop_name(dropped, tool->name.len ? tool->name : SLICE("tools"));
            continue;
        }
        if (!is_begun) {
            text_add_json_key(t, "tools");
            TEXT_ADD(t, "[");
            is_begun = true;
        }
        add_tool(t, dropped, tool);
    }
    if (is_begun) {
        TEXT_ADD(t, "]");
    }
}

/* A tool named elsewhere than in the list of them: "type":...,"name":... */
static void add_named(struct text *t, const struct chat_request *r, struct slice name)
{
    const struct chat_tool *tool = find_tool(r, name);
    if (tool && tool->raw.len && is_ours(tool->provider)) {
        write_string(t, "type", name);
        return;
    }
    write_string(t, "type", tool && tool->is_custom ? SLICE("custom") : SLICE("function"));
    write_string(t, "name", name);
}

static void add_allowed(struct text *t, const struct chat_request *r)
{
    bool is_required = r->tool_choice == CHAT_CHOICE_REQUIRED;
    text_add_json_key(t, "tool_choice");
    TEXT_ADD(t, "{\"type\":\"allowed_tools\"");
    write_string(t, "mode", is_required ? SLICE("required") : SLICE("auto"));
    text_add_json_key(t, "tools");
    TEXT_ADD(t, "[");
    for (size_t i = 0; i < r->allowed_tool_count; i++) {
        write_element(t);
        add_named(t, r, r->allowed_tools[i]);
        TEXT_ADD(t, "}");
    }
    TEXT_ADD(t, "]}");
}

void responses_add_tool_choice(struct text *t, const struct chat_request *r)
{
    if (r->allowed_tools && r->tool_choice != CHAT_CHOICE_NONE &&
        r->tool_choice != CHAT_CHOICE_NAMED) {
        add_allowed(t, r);
        return;
    }
    write_string_if(t, "tool_choice", openai_choice_name(r->tool_choice));
    if (r->tool_choice == CHAT_CHOICE_NAMED) {
        text_add_json_key(t, "tool_choice");
        TEXT_ADD(t, "{");
        add_named(t, r, r->tool_choice_name);
        TEXT_ADD(t, "}");
    }
}

static void add_schema(struct text *t, const struct chat_request *r)
{
    TEXT_ADD(t, "{\"type\":\"json_schema\"");
    write_string(t, "name", r->format_name.len ? r->format_name : SLICE("response"));
    write_raw(t, "schema", r->format_schema.len ? r->format_schema : SLICE("{}"));
    if (r->format_strict >= 0) {
        write_bool(t, "strict", r->format_strict == 1);
    }
    TEXT_ADD(t, "}");
}

void responses_add_format(struct text *t, const struct chat_request *r, bool is_told)
{
    enum chat_format format = r ? r->format : CHAT_FORMAT_DEFAULT;
    if (format == CHAT_FORMAT_DEFAULT && !is_told) {
        return;
    }
    text_add_json_key(t, "format");
    switch (format) {
    case CHAT_FORMAT_DEFAULT:
    case CHAT_FORMAT_TEXT: TEXT_ADD(t, "{\"type\":\"text\"}"); break;
    case CHAT_FORMAT_JSON: TEXT_ADD(t, "{\"type\":\"json_object\"}"); break;
    case CHAT_FORMAT_SCHEMA: add_schema(t, r); break;
    }
}

bool responses_unwrap(struct arena *a, struct slice arguments, struct slice *out_input)
{
    static const struct span_name name = {SLICE_INIT("input"), true};
    struct span found;
    struct span_object o;
    if (spans_scan(arguments, &name, 1, &found, &o) || o.members != 1 ||
        found.kind != SPAN_STRING) {
        return false;
    }
    *out_input = read_text(a, &found);
    return out_input->ptr != NULL;
}

void responses_add_call_id(struct text *t, struct slice id)
{
    if (id.len <= CALL_ID_MAX_BYTES) {
        text_add_json_key(t, "call_id");
        text_add_json_string(t, id);
        return;
    }
    openai_add_short(t, "call_id", id, CALL_ID_MAX_BYTES); /* the hash has 64 digits */
}

void responses_add_proof(struct text *t, const struct chat_part *p)
{
    struct slice proof = p->data.len ? p->data : p->signature;
    struct text named = text_growing(t->arena);
    if (proof.len == 0) {
        return;
    }
    if (p->provider.len && !slice_eq(p->provider, RESPONSES_MAKER)) {
        text_addf(&named, "%s%.*s:", p->data.len ? "data:" : "", SLICE_ARG(p->provider));
    }
    text_add(&named, proof);
    write_string(t, "encrypted_content", text_slice(&named));
    t->is_full = t->is_full || named.is_full;
}
