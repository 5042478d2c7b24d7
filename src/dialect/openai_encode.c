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
static void add_marker(struct writer *w, struct slice marker)
{
    const struct dialect_profile *p = w->o->profile;
    bool is_ours = slice_search(marker, SLICE("\"mode\"")) < marker.len;
    bool is_long = slice_search(marker, SLICE("\"1h\"")) < marker.len;
    if (marker.len == 0) {
        return;
    }
    if (p->takes_cache_breakpoint) {
        write_raw(&w->t, "prompt_cache_breakpoint",
                  is_ours   ? marker
                  : is_long ? SLICE("{\"mode\":\"explicit\",\"ttl\":\"12h\"}")
                            : SLICE("{\"mode\":\"explicit\"}"));
    } else if (p->takes_cache_control && !is_ours) {
        write_raw(&w->t, "cache_control", marker);
    } else {
        write_drop(w, is_ours ? "prompt_cache_breakpoint" : "cache_control");
    }
}

static bool keeps_marker(const struct writer *w, const struct chat_part *p)
{
    return p->cache_marker.len &&
           (w->o->profile->takes_cache_breakpoint || w->o->profile->takes_cache_control);
}

static void add_text_part(struct writer *w, const struct chat_part *p, struct slice text)
{
    const char *name = p->kind == CHAT_REFUSAL ? "refusal" : "text";
    write_element(&w->t);
    write_string(&w->t, "type", slice_str(name));
    write_string(&w->t, name, text);
    add_marker(w, p->cache_marker);
    TEXT_ADD(&w->t, "}");
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

static void add_image(struct writer *w, const struct chat_part *p)
{
    struct text *t = &w->t;
    open_image(t, p);
    add_marker(w, p->cache_marker);
    TEXT_ADD(t, "}");
}

static void add_audio(struct writer *w, const struct chat_part *p)
{
    struct text *t = &w->t;
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

static void add_file(struct writer *w, const struct chat_part *p)
{
    struct text *t = &w->t;
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
    add_marker(w, p->cache_marker);
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
static void drop_foreign(struct writer *w, const struct chat_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct chat_part *p = &parts[i];
        drop_extras(&w->dropped, p->extras);
        if (p->kind == CHAT_OPAQUE) {
            drop_name(&w->dropped, p->name);
        } else if (p->kind == CHAT_TOOL_CALL && p->signature.len) {
            write_drop(w, "thought_signature"); /* as little */
        } else if (p->kind == CHAT_THINKING && !w->o->profile->takes_reasoning_content) {
            write_drop(w, "thinking"); /* another provider's thoughts are not ours to send */
        } else if (p->kind == CHAT_IMAGE && !is_content(p)) {
            write_drop(w, "image.file_id");
        } else if (p->kind == CHAT_FILE && !is_content(p)) {
            write_drop(w, p->file_id.len ? "document.file_id" : "document.url");
        } else if (p->cache_marker.len && !keeps_marker(w, p)) {
            write_drop(w, "cache_control");
        }
    }
}

static void add_part(struct writer *w, const struct chat_part *p);

static void add_document(struct writer *w, const struct chat_part *p)
{
    if (p->text.len) {
        add_text_part(w, p, p->text);
    } else if (p->part_count) {
        drop_foreign(w, p->parts, p->part_count);
        for (size_t i = 0; i < p->part_count; i++) {
            add_part(w, &p->parts[i]);
        }
    } else {
        add_file(w, p);
    }
}

/* A document holds texts and images, never another document: its decoders see to it. */
static void add_part(struct writer *w, const struct chat_part *p)
{
    if (!is_content(p)) {
        return;
    }
    switch (p->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL: add_text_part(w, p, p->text); break;
    case CHAT_IMAGE: add_image(w, p); break;
    case CHAT_AUDIO: add_audio(w, p); break;
    case CHAT_FILE: add_document(w, p); break;
    case CHAT_THINKING:
    case CHAT_TOOL_CALL:
    case CHAT_TOOL_RESULT:
    case CHAT_OPAQUE: break;
    }
}

/* A string where there is one text only: every server reads that. */
static void add_content(struct writer *w, const struct chat_part *parts, size_t count)
{
    const struct chat_part *only = NULL;
    size_t n = 0;
    drop_foreign(w, parts, count);
    for (size_t i = 0; i < count; i++) {
        if (is_content(&parts[i])) {
            only = &parts[i];
            n++;
        }
    }
    text_add_json_key(&w->t, "content");
    if (n == 0) {
        TEXT_ADD(&w->t, "null");
    } else if (n == 1 && only->kind == CHAT_TEXT && !keeps_marker(w, only)) {
        text_add_json_string(&w->t, only->text);
    } else {
        TEXT_ADD(&w->t, "[");
        for (size_t i = 0; i < count; i++) {
            add_part(w, &parts[i]);
        }
        TEXT_ADD(&w->t, "]");
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
static struct slice result_text(struct writer *w, const struct chat_part *result)
{
    struct text t = text_growing(w->t.arena);
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
            write_drop(w, "tool_result.document");
        }
    }
    w->t.is_full = w->t.is_full || t.is_full;
    return text_slice(&t);
}

static void add_result_images(struct writer *w, const struct chat_message *m)
{
    bool is_begun = false;
    for (size_t i = 0; i < m->part_count; i++) {
        const struct chat_part *result = &m->parts[i];
        for (size_t k = 0; k < result->part_count; k++) {
            if (result->parts[k].kind != CHAT_IMAGE || !is_content(&result->parts[k])) {
                continue;
            }
            if (!is_begun) {
                write_element(&w->t);
                TEXT_ADD(&w->t, "\"role\":\"user\",\"content\":[");
                is_begun = true;
            }
            add_image(w, &result->parts[k]);
        }
    }
    if (is_begun) {
        TEXT_ADD(&w->t, "]}");
    }
}

/* Results of a tool message, each a message of its own, one after another. */
static void add_results(struct writer *w, const struct chat_message *m)
{
    for (size_t i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->kind != CHAT_TOOL_RESULT) {
            continue;
        }
        drop_foreign(w, p, 1);
        drop_foreign(w, p->parts, p->part_count);
        write_element(&w->t);
        write_string(&w->t, "role", SLICE("tool"));
        write_string(&w->t, "tool_call_id", p->id);
        write_string(&w->t, "content", result_text(w, p));
        TEXT_ADD(&w->t, "}");
    }
    add_result_images(w, m);
}

/* Thoughts that a server wants back with the turn they belong to. */
static void add_thoughts(struct writer *w, const struct chat_message *m)
{
    struct text joined = text_growing(w->t.arena);
    for (size_t i = 0; i < m->part_count && w->o->profile->takes_reasoning_content; i++) {
        if (m->parts[i].kind == CHAT_THINKING) {
            text_add(&joined, m->parts[i].text);
        }
    }
    write_string_if(&w->t, "reasoning_content", text_slice(&joined));
    w->t.is_full = w->t.is_full || joined.is_full;
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

static void add_message(struct writer *w, const struct chat_message *m)
{
    if (m->role == CHAT_TOOL) {
        add_results(w, m);
        return;
    }
    if (!has_turn(m)) { /* nothing in it that OpenAI has words for */
        drop_foreign(w, m->parts, m->part_count);
        return;
    }
    write_element(&w->t);
    write_string(&w->t, "role", role_name(m->role, w->o->profile));
    write_string_if(&w->t, "name", m->name);
    add_thoughts(w, m);
    add_content(w, m->parts, m->part_count);
    openai_add_calls(&w->t, m->parts, m->part_count, false);
    TEXT_ADD(&w->t, "}");
}

static bool is_foreign_tool(const struct chat_tool *tool)
{
    return tool->raw.len && tool->provider.len && !slice_eq(tool->provider, SLICE("openai"));
}

static void add_tool(struct writer *w, const struct chat_tool *tool)
{
    struct text *t = &w->t;
    if (tool->raw.len) {
        write_next(t);
        text_add(t, tool->raw);
        return;
    }
    drop_extras(&w->dropped, tool->extras);
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
    if (w->o->profile->takes_cache_control) {
        write_raw_if(t, "cache_control", tool->cache_marker);
    } else if (tool->cache_marker.len) {
        write_drop(w, "cache_control");
    }
    TEXT_ADD(t, "}");
}

struct slice openai_choice_name(enum chat_tool_choice choice)
{
    switch (choice) {
    case CHAT_CHOICE_NONE: return SLICE("none");
    case CHAT_CHOICE_AUTO: return SLICE("auto");
    case CHAT_CHOICE_REQUIRED: return SLICE("required");
    case CHAT_CHOICE_DEFAULT:
    case CHAT_CHOICE_NAMED: break;
    }
    return SLICE_NONE;
}

static void add_tool_choice(struct text *t, const struct chat_request *r)
{
    write_string_if(t, "tool_choice", openai_choice_name(r->tool_choice));
    if (r->tool_choice == CHAT_CHOICE_NAMED) {
        text_add_json_key(t, "tool_choice");
        TEXT_ADD(t, "{\"type\":\"function\",\"function\":{");
        write_string(t, "name", r->tool_choice_name);
        TEXT_ADD(t, "}}");
    }
}

static void add_tools(struct writer *w, const struct chat_request *r)
{
    struct text *t = &w->t;
    size_t sent = 0;
    for (size_t i = 0; i < r->tool_count; i++) {
        if (is_foreign_tool(&r->tools[i])) {
            drop_name(&w->dropped, r->tools[i].name.len ? r->tools[i].name : SLICE("tools"));
        } else if (write_allows_tool(r, r->tools[i].name)) {
            if (sent++ == 0) {
                text_add_json_key(t, "tools");
                TEXT_ADD(t, "[");
            }
            add_tool(w, &r->tools[i]);
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
static void add_sampling(struct writer *w, const struct chat_request *r)
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
        if (!w->o->profile->refuses_sampling) {
            write_raw_if(&w->t, numbers[i].name, numbers[i].number->text);
        } else if (numbers[i].number->text.len && !numbers[i].is_default) {
            write_drop(w, numbers[i].name);
        }
    }
}

static void add_stops(struct writer *w, const struct chat_request *r)
{
    if (r->stop_count == 0) {
        return;
    }
    if (w->o->profile->refuses_stop) {
        write_drop(w, "stop");
        return;
    }
    text_add_json_key(&w->t, "stop");
    TEXT_ADD(&w->t, "[");
    if (r->stop_count > STOPS_MAX) {
        write_drop(w, "stop");
    }
    for (size_t i = 0; i < r->stop_count && i < STOPS_MAX; i++) {
        if (i) {
            text_add_char(&w->t, ',');
        }
        text_add_json_string(&w->t, r->stops[i]);
    }
    TEXT_ADD(&w->t, "]");
}

static void add_max_tokens(struct writer *w, const struct chat_request *r)
{
    const char *name =
        w->o->profile->takes_max_completion_tokens ? "max_completion_tokens" : "max_tokens";
    if (slice_eq(r->max_tokens.text, SLICE("0"))) {
        write_raw(&w->t, name, SLICE("1")); /* Anthropic's way to warm a cache; the least here */
    } else if (r->max_tokens.text.len) {
        write_raw_if(&w->t, name, r->max_tokens.text);
    } else if (w->o->output_cap_tokens >= 0) {
        text_add_json_key(&w->t, name);
        text_add_i64(&w->t, w->o->output_cap_tokens);
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

static void add_effort(struct writer *w, const struct chat_request *r)
{
    struct slice effort = openai_effort(r, w->o->profile);
    bool is_thinking = r->thinking == CHAT_THINKING_BUDGET || r->thinking == CHAT_THINKING_ADAPTIVE;
    if (!w->o->profile->refuses_reasoning_effort) {
        write_string_if(&w->t, "reasoning_effort", effort);
    } else if (effort.len || is_thinking) {
        write_drop(w, is_thinking ? "thinking" : "reasoning_effort");
    }
    if (r->thinking_display.len) {
        write_drop(w, "thinking.display");
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
    struct writer w = write_begin(a, r, o, out);
    drop_extras(&w.dropped, r->extras);
    TEXT_ADD(&w.t, "{");
    write_string(&w.t, "model", o->model);
    text_add_json_key(&w.t, "messages");
    TEXT_ADD(&w.t, "[");
    for (size_t i = 0; i < r->message_count; i++) {
        add_message(&w, &r->messages[i]);
    }
    TEXT_ADD(&w.t, "]");
    add_tools(&w, r);
    add_format(&w.t, r);
    add_max_tokens(&w, r);
    add_sampling(&w, r);
    write_raw_if(&w.t, "seed", r->seed.text);
    write_raw_if(&w.t, "n", r->choices.text);
    add_stops(&w, r);
    if (w.o->profile->takes_top_k) {
        write_raw_if(&w.t, "top_k", r->top_k.text);
    } else if (r->top_k.text.len) {
        write_drop(&w, "top_k");
    }
    add_effort(&w, r);
    write_string_if(&w.t, "service_tier", openai_tier(r->service_tier));
    openai_add_short(&w.t, "user", r->user, USER_MAX_BYTES);
    write_raw_if(&w.t, "metadata", r->metadata);
    if (o->is_stream) {
        write_bool(&w.t, "stream", true);
        if (o->wants_usage && !o->profile->refuses_stream_options) {
            write_raw_if(&w.t, "stream_options", SLICE("{\"include_usage\":true}"));
            out->adds_usage = !r->wants_usage;
        }
    }
    TEXT_ADD(&w.t, "}");
    return write_end(&w.t, &w.dropped, out);
}
