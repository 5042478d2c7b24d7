#include "core/hash.h"
#include "dialect/openai.h"
#include "dialect/write.h"

#include <assert.h>

enum {
    STOPS_MAX = 4,            /* the API takes no more */
    USER_MAX_BYTES = 128,     /* nor a longer name of a user */
    BUDGET_LOW_TOKENS = 2048, /* below: low effort */
    BUDGET_MEDIUM_TOKENS = 8192
};

/* One encode at work. */
struct encoder {
    struct text t;
    struct text dropped;
    const struct encode_options *o;
};

static void drop(struct encoder *e, const char *name)
{
    drop_name(&e->dropped, slice_str(name));
}

void openai_add_data_url(struct text *t, const char *name, const struct chat_part *p)
{
    text_add_json_key(t, name);
    if (!p->data.len) {
        text_add_json_string(t, p->url);
        return;
    }
    /* Neither a media type nor base64 holds anything that must be escaped; what does is not one. */
    TEXT_ADD(t, "\"data:");
    struct text inner = text_growing(t->arena);
    text_add(&inner, p->media_type);
    TEXT_ADD(&inner, ";base64,");
    text_add(&inner, p->data);
    size_t at = t->len;
    text_add_json_string(t, text_slice(&inner));
    if (t->is_full || inner.is_full) {
        t->is_full = true;
        return;
    }
    memmove(t->ptr + at, t->ptr + at + 1, t->len - at - 1); /* the opening quote stands already */
    t->len--;
}

/* What the part's cache marker becomes: as given, OpenAI's own form, or a name in dropped. */
static void add_marker(struct encoder *e, struct slice marker)
{
    const struct dialect_profile *p = e->o->profile;
    bool is_ours = slice_search(marker, SLICE("\"mode\"")) < marker.len;
    bool is_long = slice_search(marker, SLICE("\"1h\"")) < marker.len;
    if (marker.len == 0) {
        return;
    }
    if (p->takes_cache_breakpoint) {
        write_raw(&e->t, "prompt_cache_breakpoint",
                  is_ours   ? marker
                  : is_long ? SLICE("{\"mode\":\"explicit\",\"ttl\":\"12h\"}")
                            : SLICE("{\"mode\":\"explicit\"}"));
    } else if (p->takes_cache_control && !is_ours) {
        write_raw(&e->t, "cache_control", marker);
    } else {
        drop(e, is_ours ? "prompt_cache_breakpoint" : "cache_control");
    }
}

static bool keeps_marker(const struct encoder *e, const struct chat_part *p)
{
    return p->cache_marker.len &&
           (e->o->profile->takes_cache_breakpoint || e->o->profile->takes_cache_control);
}

static void add_text_part(struct encoder *e, const struct chat_part *p, struct slice text)
{
    const char *name = p->kind == CHAT_REFUSAL ? "refusal" : "text";
    write_element(&e->t);
    write_string(&e->t, "type", slice_str(name));
    write_string(&e->t, name, text);
    add_marker(e, p->cache_marker);
    TEXT_ADD(&e->t, "}");
}

/* Left open. */
static void open_image(struct text *t, const struct chat_part *p)
{
    write_element(t);
    write_string(t, "type", SLICE("image_url"));
    text_add_json_key(t, "image_url");
    TEXT_ADD(t, "{");
    openai_add_data_url(t, "url", p);
    write_string_if(t, "detail", p->detail);
    TEXT_ADD(t, "}");
}

void openai_add_image(struct text *t, const struct chat_part *p)
{
    open_image(t, p);
    TEXT_ADD(t, "}");
}

static void add_image(struct encoder *e, const struct chat_part *p)
{
    struct text *t = &e->t;
    open_image(t, p);
    add_marker(e, p->cache_marker);
    TEXT_ADD(t, "}");
}

static void add_audio(struct encoder *e, const struct chat_part *p)
{
    struct text *t = &e->t;
    write_element(t);
    write_string(t, "type", SLICE("input_audio"));
    text_add_json_key(t, "input_audio");
    TEXT_ADD(t, "{");
    write_string(t, "data", p->data);
    write_string(t, "format", p->media_type);
    TEXT_ADD(t, "}}");
}

/* A file that was given to OpenAI before; ids of other providers say nothing there. */
static bool has_own_file(const struct chat_part *p)
{
    return p->file_id.len && (!p->provider.len || slice_eq(p->provider, SLICE("openai")));
}

static void add_file(struct encoder *e, const struct chat_part *p)
{
    struct text *t = &e->t;
    write_element(t);
    write_string(t, "type", SLICE("file"));
    text_add_json_key(t, "file");
    TEXT_ADD(t, "{");
    write_string_if(t, "file_id", has_own_file(p) ? p->file_id : SLICE_NONE);
    write_string_if(t, "filename", p->name.len || !p->data.len ? p->name : SLICE("document.pdf"));
    if (p->data.len) {
        openai_add_data_url(t, "file_data", p);
    }
    TEXT_ADD(t, "}");
    add_marker(e, p->cache_marker);
    TEXT_ADD(t, "}");
}

/* Whether the part stands in a message's content; what cannot is named. */
static bool is_content(const struct chat_part *p)
{
    switch (p->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL:
    case CHAT_AUDIO: return true;
    case CHAT_IMAGE: return p->url.len || p->data.len;
    case CHAT_FILE: return p->data.len || p->text.len || has_own_file(p) || p->part_count;
    case CHAT_THINKING:
    case CHAT_TOOL_CALL:   /* beside the content */
    case CHAT_TOOL_RESULT: /* a message of its own */
    case CHAT_OPAQUE: break;
    }
    return false;
}

/* Names what of the parts has no place in OpenAI's words. */
static void drop_foreign(struct encoder *e, const struct chat_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct chat_part *p = &parts[i];
        drop_extras(&e->dropped, p->extras);
        if (p->kind == CHAT_OPAQUE) {
            drop_name(&e->dropped, p->name);
        } else if (p->kind == CHAT_TOOL_CALL && p->signature.len) {
            drop(e, "thought_signature"); /* as little */
        } else if (p->kind == CHAT_THINKING && !e->o->profile->takes_reasoning_content) {
            drop(e, "thinking"); /* another provider's thoughts are not ours to send */
        } else if (p->kind == CHAT_IMAGE && !is_content(p)) {
            drop(e, "image.file_id");
        } else if (p->kind == CHAT_FILE && !is_content(p)) {
            drop(e, p->file_id.len ? "document.file_id" : "document.url");
        } else if (p->cache_marker.len && !keeps_marker(e, p)) {
            drop(e, "cache_control");
        }
    }
}

static void add_part(struct encoder *e, const struct chat_part *p);

static void add_document(struct encoder *e, const struct chat_part *p)
{
    if (p->text.len) {
        add_text_part(e, p, p->text);
    } else if (p->part_count) {
        drop_foreign(e, p->parts, p->part_count);
        for (size_t i = 0; i < p->part_count; i++) {
            add_part(e, &p->parts[i]);
        }
    } else {
        add_file(e, p);
    }
}

/* A document holds texts and images, never another document: its decoders see to it. */
static void add_part(struct encoder *e, const struct chat_part *p)
{
    if (!is_content(p)) {
        return;
    }
    switch (p->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL: add_text_part(e, p, p->text); break;
    case CHAT_IMAGE: add_image(e, p); break;
    case CHAT_AUDIO: add_audio(e, p); break;
    case CHAT_FILE: add_document(e, p); break;
    case CHAT_THINKING:
    case CHAT_TOOL_CALL:
    case CHAT_TOOL_RESULT:
    case CHAT_OPAQUE: break;
    }
}

/* A string where there is one text only: every server reads that. */
static void add_content(struct encoder *e, const struct chat_part *parts, size_t count)
{
    const struct chat_part *only = NULL;
    size_t n = 0;
    drop_foreign(e, parts, count);
    for (size_t i = 0; i < count; i++) {
        if (is_content(&parts[i])) {
            only = &parts[i];
            n++;
        }
    }
    text_add_json_key(&e->t, "content");
    if (n == 0) {
        TEXT_ADD(&e->t, "null");
    } else if (n == 1 && only->kind == CHAT_TEXT && !keeps_marker(e, only)) {
        text_add_json_string(&e->t, only->text);
    } else {
        TEXT_ADD(&e->t, "[");
        for (size_t i = 0; i < count; i++) {
            add_part(e, &parts[i]);
        }
        TEXT_ADD(&e->t, "]");
    }
}

void openai_add_call_proof(struct text *t, struct slice signature, struct slice provider)
{
    if (signature.len && slice_eq(provider, SLICE("gemini"))) {
        text_add_json_key(t, "extra_content");
        TEXT_ADD(t, "{\"google\":{");
        write_string(t, "thought_signature", signature);
        TEXT_ADD(t, "}}");
    }
}

/* A custom call whose tool the Responses API named, and which here is a function of one text. */
static bool is_wrapped(const struct chat_part *p)
{
    return p->is_custom && slice_eq(p->provider, SLICE("responses"));
}

static void add_wrapped(struct text *t, struct slice input)
{
    struct text object = text_growing(t->arena);
    TEXT_ADD(&object, "{");
    write_string(&object, "input", input);
    TEXT_ADD(&object, "}");
    write_string(t, "arguments", text_slice(&object));
    t->is_full = t->is_full || object.is_full;
}

static void add_call(struct text *t, const struct chat_part *p, size_t index, bool is_answer)
{
    bool is_custom = p->is_custom && !is_wrapped(p);
    write_element(t);
    if (p->id.len) {
        write_string(t, "id", p->id);
    } else { /* servers that give none; results join by position then */
        text_add_json_key(t, "id");
        text_addf(t, "\"call_%zu\"", index);
    }
    write_string(t, "type", is_custom ? SLICE("custom") : SLICE("function"));
    text_add_json_key(t, is_custom ? "custom" : "function");
    TEXT_ADD(t, "{");
    write_string(t, "name", p->name);
    if (is_custom) {
        write_string(t, "input", p->text);
    } else if (p->is_custom) {
        add_wrapped(t, p->text);
    } else {
        write_string(t, "arguments", p->text.len ? p->text : SLICE("{}"));
    }
    TEXT_ADD(t, "}");
    if (is_answer) {
        openai_add_call_proof(t, p->signature, p->provider);
    }
    TEXT_ADD(t, "}");
}

void openai_add_calls(struct text *t, const struct chat_part *parts, size_t count, bool is_answer)
{
    size_t index = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].kind == CHAT_TOOL_CALL) {
            if (index == 0) {
                text_add_json_key(t, "tool_calls");
                TEXT_ADD(t, "[");
            }
            add_call(t, &parts[i], index++, is_answer);
        }
    }
    if (index) {
        TEXT_ADD(t, "]");
    }
}

static struct slice role_name(enum chat_role role, const struct dialect_profile *profile)
{
    switch (role) {
    case CHAT_SYSTEM: return SLICE("system");
    case CHAT_DEVELOPER:
        return profile->takes_developer_role ? SLICE("developer") : SLICE("system");
    case CHAT_USER: return SLICE("user");
    case CHAT_ASSISTANT: return SLICE("assistant");
    case CHAT_TOOL: return SLICE("tool");
    }
    return SLICE("user");
}

/* The texts of a result, a line each; pictures follow in a message of the user's. */
static struct slice result_text(struct encoder *e, const struct chat_part *result)
{
    struct text t = text_growing(e->t.arena);
    if (result->is_error) { /* there is no other way to say so */
        TEXT_ADD(&t, "Error: ");
    }
    size_t begun = t.len;
    for (size_t i = 0; i < result->part_count; i++) {
        const struct chat_part *p = &result->parts[i];
        struct slice text = p->kind == CHAT_IMAGE && is_content(p) ? SLICE("[image attached]")
                            : is_content(p)                        ? p->text
                                                                   : SLICE_NONE;
        if (text.len && t.len > begun) {
            text_add_char(&t, '\n');
        }
        text_add(&t, text);
        if (p->kind == CHAT_FILE && !p->text.len) {
            drop(e, "tool_result.document");
        }
    }
    e->t.is_full = e->t.is_full || t.is_full;
    return text_slice(&t);
}

static void add_result_images(struct encoder *e, const struct chat_message *m)
{
    bool is_begun = false;
    for (size_t i = 0; i < m->part_count; i++) {
        const struct chat_part *result = &m->parts[i];
        for (size_t k = 0; k < result->part_count; k++) {
            if (result->parts[k].kind != CHAT_IMAGE || !is_content(&result->parts[k])) {
                continue;
            }
            if (!is_begun) {
                write_element(&e->t);
                TEXT_ADD(&e->t, "\"role\":\"user\",\"content\":[");
                is_begun = true;
            }
            add_image(e, &result->parts[k]);
        }
    }
    if (is_begun) {
        TEXT_ADD(&e->t, "]}");
    }
}

/* Results of a tool message, each a message of its own, one after another. */
static void add_results(struct encoder *e, const struct chat_message *m)
{
    for (size_t i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->kind != CHAT_TOOL_RESULT) {
            continue;
        }
        drop_foreign(e, p, 1);
        drop_foreign(e, p->parts, p->part_count);
        write_element(&e->t);
        write_string(&e->t, "role", SLICE("tool"));
        write_string(&e->t, "tool_call_id", p->id);
        write_string(&e->t, "content", result_text(e, p));
        TEXT_ADD(&e->t, "}");
    }
    add_result_images(e, m);
}

/* Thoughts that a server wants back with the turn they belong to. */
static void add_thoughts(struct encoder *e, const struct chat_message *m)
{
    struct text joined = text_growing(e->t.arena);
    for (size_t i = 0; i < m->part_count && e->o->profile->takes_reasoning_content; i++) {
        if (m->parts[i].kind == CHAT_THINKING) {
            text_add(&joined, m->parts[i].text);
        }
    }
    write_string_if(&e->t, "reasoning_content", text_slice(&joined));
    e->t.is_full = e->t.is_full || joined.is_full;
}

static bool has_turn(const struct chat_message *m)
{
    for (size_t i = 0; i < m->part_count; i++) {
        if (is_content(&m->parts[i]) || m->parts[i].kind == CHAT_TOOL_CALL) {
            return true;
        }
    }
    return m->part_count == 0;
}

static void add_message(struct encoder *e, const struct chat_message *m)
{
    if (m->role == CHAT_TOOL) {
        add_results(e, m);
        return;
    }
    if (!has_turn(m)) { /* nothing in it that OpenAI has words for */
        drop_foreign(e, m->parts, m->part_count);
        return;
    }
    write_element(&e->t);
    write_string(&e->t, "role", role_name(m->role, e->o->profile));
    write_string_if(&e->t, "name", m->name);
    add_thoughts(e, m);
    add_content(e, m->parts, m->part_count);
    openai_add_calls(&e->t, m->parts, m->part_count, false);
    TEXT_ADD(&e->t, "}");
}

static bool is_foreign_tool(const struct chat_tool *tool)
{
    return tool->raw.len && tool->provider.len && !slice_eq(tool->provider, SLICE("openai"));
}

static void add_tool(struct encoder *e, const struct chat_tool *tool)
{
    struct text *t = &e->t;
    if (tool->raw.len) {
        write_next(t);
        text_add(t, tool->raw);
        return;
    }
    drop_extras(&e->dropped, tool->extras);
    write_element(t);
    write_string(t, "type", SLICE("function"));
    text_add_json_key(t, "function");
    TEXT_ADD(t, "{");
    write_string(t, "name", tool->name);
    write_string_if(t, "description", tool->description);
    write_raw_if(t, "parameters", tool->schema);
    if (tool->has_strict) {
        write_bool(t, "strict", tool->is_strict);
    }
    TEXT_ADD(t, "}");
    if (e->o->profile->takes_cache_control) {
        write_raw_if(t, "cache_control", tool->cache_marker);
    } else if (tool->cache_marker.len) {
        drop(e, "cache_control");
    }
    TEXT_ADD(t, "}");
}

static void add_tool_choice(struct text *t, const struct chat_request *r)
{
    switch (r->tool_choice) {
    case CHAT_CHOICE_DEFAULT: break;
    case CHAT_CHOICE_NONE: write_string(t, "tool_choice", SLICE("none")); break;
    case CHAT_CHOICE_AUTO: write_string(t, "tool_choice", SLICE("auto")); break;
    case CHAT_CHOICE_REQUIRED: write_string(t, "tool_choice", SLICE("required")); break;
    case CHAT_CHOICE_NAMED:
        text_add_json_key(t, "tool_choice");
        TEXT_ADD(t, "{\"type\":\"function\",\"function\":{");
        write_string(t, "name", r->tool_choice_name);
        TEXT_ADD(t, "}}");
        break;
    }
}

static void add_tools(struct encoder *e, const struct chat_request *r)
{
    struct text *t = &e->t;
    size_t sent = 0;
    for (size_t i = 0; i < r->tool_count; i++) {
        if (is_foreign_tool(&r->tools[i])) {
            drop_name(&e->dropped, r->tools[i].name.len ? r->tools[i].name : SLICE("tools"));
        } else if (write_allows_tool(r, r->tools[i].name)) {
            if (sent++ == 0) {
                text_add_json_key(t, "tools");
                TEXT_ADD(t, "[");
            }
            add_tool(e, &r->tools[i]);
        }
    }
    if (sent) {
        TEXT_ADD(t, "]");
        add_tool_choice(t, r);
        if (r->parallel_tool_calls >= 0) {
            write_bool(t, "parallel_tool_calls", r->parallel_tool_calls == 1);
        }
    }
}

static void add_format(struct text *t, const struct chat_request *r)
{
    switch (r->format) {
    case CHAT_FORMAT_DEFAULT: return;
    case CHAT_FORMAT_TEXT: write_raw_if(t, "response_format", SLICE("{\"type\":\"text\"}")); return;
    case CHAT_FORMAT_JSON:
        write_raw_if(t, "response_format", SLICE("{\"type\":\"json_object\"}"));
        return;
    case CHAT_FORMAT_SCHEMA: break;
    }
    text_add_json_key(t, "response_format");
    TEXT_ADD(t, "{\"type\":\"json_schema\",\"json_schema\":{");
    write_string(t, "name", r->format_name.len ? r->format_name : SLICE("response"));
    write_raw_if(t, "schema", r->format_schema);
    if (r->format_strict >= 0) {
        write_bool(t, "strict", r->format_strict == 1);
    }
    TEXT_ADD(t, "}}");
}

/* Numbers that reasoning models refuse: left out there, and named unless they were our default. */
static void add_sampling(struct encoder *e, const struct chat_request *r)
{
    const struct {
        const char *name;
        const struct chat_number *number;
        bool is_default;
    } numbers[] = {
        {"temperature", &r->temperature, r->is_temperature_default},
        {"top_p", &r->top_p, false},
        {"frequency_penalty", &r->frequency_penalty, false},
        {"presence_penalty", &r->presence_penalty, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (!e->o->profile->refuses_sampling) {
            write_raw_if(&e->t, numbers[i].name, numbers[i].number->text);
        } else if (numbers[i].number->text.len && !numbers[i].is_default) {
            drop(e, numbers[i].name);
        }
    }
}

static void add_stops(struct encoder *e, const struct chat_request *r)
{
    if (r->stop_count == 0) {
        return;
    }
    if (e->o->profile->refuses_stop) {
        drop(e, "stop");
        return;
    }
    text_add_json_key(&e->t, "stop");
    TEXT_ADD(&e->t, "[");
    if (r->stop_count > STOPS_MAX) {
        drop(e, "stop");
    }
    for (size_t i = 0; i < r->stop_count && i < STOPS_MAX; i++) {
        if (i) {
            text_add_char(&e->t, ',');
        }
        text_add_json_string(&e->t, r->stops[i]);
    }
    TEXT_ADD(&e->t, "]");
}

static void add_max_tokens(struct encoder *e, const struct chat_request *r)
{
    const char *name =
        e->o->profile->takes_max_completion_tokens ? "max_completion_tokens" : "max_tokens";
    if (slice_eq(r->max_tokens.text, SLICE("0"))) {
        write_raw(&e->t, name, SLICE("1")); /* Anthropic's way to warm a cache; the least here */
    } else if (r->max_tokens.text.len) {
        write_raw_if(&e->t, name, r->max_tokens.text);
    } else if (e->o->output_cap_tokens >= 0) {
        text_add_json_key(&e->t, name);
        text_add_i64(&e->t, e->o->output_cap_tokens);
    }
}

struct slice openai_effort(const struct chat_request *r, const struct dialect_profile *p)
{
    struct slice effort = r->reasoning_effort;
    struct slice most = p->takes_xhigh ? SLICE("xhigh") : SLICE("high");
    int64_t budget = 0;
    if (slice_eq(effort, SLICE("max"))) {
        return p->takes_max ? effort : most;
    }
    if (slice_eq(effort, SLICE("xhigh"))) {
        return most;
    }
    if (effort.len || r->thinking != CHAT_THINKING_BUDGET ||
        !slice_to_i64(r->thinking_budget.text, &budget)) {
        return effort;
    }
    return budget < BUDGET_LOW_TOKENS      ? SLICE("low")
           : budget < BUDGET_MEDIUM_TOKENS ? SLICE("medium")
                                           : SLICE("high");
}

static void add_effort(struct encoder *e, const struct chat_request *r)
{
    struct slice effort = openai_effort(r, e->o->profile);
    bool is_thinking = r->thinking == CHAT_THINKING_BUDGET || r->thinking == CHAT_THINKING_ADAPTIVE;
    if (!e->o->profile->refuses_reasoning_effort) {
        write_string_if(&e->t, "reasoning_effort", effort);
    } else if (effort.len || is_thinking) {
        drop(e, is_thinking ? "thinking" : "reasoning_effort");
    }
    if (r->thinking_display.len) {
        drop(e, "thinking.display");
    }
}

void openai_add_short(struct text *t, const char *name, struct slice value, size_t most)
{
    if (value.len <= most) {
        write_string_if(t, name, value);
        return;
    }
    struct sha256 hash = sha256_of(value);
    text_add_json_key(t, name);
    text_add_char(t, '"');
    for (size_t i = 0; i < sizeof(hash.bytes); i++) {
        text_addf(t, "%02x", (unsigned)hash.bytes[i]);
    }
    text_add_char(t, '"');
}

struct slice openai_tier(struct slice tier)
{
    return slice_eq(tier, SLICE("standard_only")) ? SLICE("default") : tier;
}

enum err openai_encode_request(struct arena *a, const struct chat_request *r,
                               const struct encode_options *o, struct body_parts *out)
{
    assert(o->profile);
    struct encoder e = {.t = text_growing(a), .dropped = text_growing(a), .o = o};
    *out = (struct body_parts){.count = 0};
    text_add(&e.dropped, r->dropped);
    drop_extras(&e.dropped, r->extras);
    TEXT_ADD(&e.t, "{");
    write_string(&e.t, "model", o->model);
    text_add_json_key(&e.t, "messages");
    TEXT_ADD(&e.t, "[");
    for (size_t i = 0; i < r->message_count; i++) {
        add_message(&e, &r->messages[i]);
    }
    TEXT_ADD(&e.t, "]");
    add_tools(&e, r);
    add_format(&e.t, r);
    add_max_tokens(&e, r);
    add_sampling(&e, r);
    write_raw_if(&e.t, "seed", r->seed.text);
    write_raw_if(&e.t, "n", r->choices.text);
    add_stops(&e, r);
    if (e.o->profile->takes_top_k) {
        write_raw_if(&e.t, "top_k", r->top_k.text);
    } else if (r->top_k.text.len) {
        drop(&e, "top_k");
    }
    add_effort(&e, r);
    write_string_if(&e.t, "service_tier", openai_tier(r->service_tier));
    openai_add_short(&e.t, "user", r->user, USER_MAX_BYTES);
    write_raw_if(&e.t, "metadata", r->metadata);
    if (o->is_stream) {
        write_bool(&e.t, "stream", true);
        if (o->wants_usage && !o->profile->refuses_stream_options) {
            write_raw_if(&e.t, "stream_options", SLICE("{\"include_usage\":true}"));
            out->adds_usage = !r->wants_usage;
        }
    }
    TEXT_ADD(&e.t, "}");
    out->parts[out->count++] = text_slice(&e.t);
    out->bytes = e.t.len;
    out->dropped = text_slice(&e.dropped);
    return e.t.is_full || e.dropped.is_full ? E_NOMEM : OK;
}
