#include "core/check.h"
#include "dialect/openai.h"

#include <assert.h>

/* One encode at work. */
struct encoder {
    struct text t;
    struct text dropped;
    const struct encode_options *o;
};

static void drop(struct encoder *e, const char *name)
{
    if (e->dropped.len) {
        text_add_char(&e->dropped, ',');
    }
    text_add(&e->dropped, slice_str(name));
}

static void add_string(struct text *t, const char *name, struct slice value)
{
    text_add_json_key(t, name);
    text_add_json_string(t, value);
}

static void add_string_if(struct text *t, const char *name, struct slice value)
{
    if (value.len) {
        add_string(t, name, value);
    }
}

static void add_raw_if(struct text *t, const char *name, struct slice json)
{
    if (json.len) {
        text_add_json_key(t, name);
        text_add(t, json);
    }
}

static void add_bool(struct text *t, const char *name, bool value)
{
    text_add_json_key(t, name);
    text_add(t, value ? SLICE("true") : SLICE("false"));
}

/* {  with the comma that a list needs before it. */
static void open_element(struct text *t)
{
    bool is_first = t->len == 0 || t->ptr[t->len - 1] == '[';
    text_add(t, is_first ? SLICE("{") : SLICE(",{"));
}

/* A data: URL where the bytes are inline, as a JSON string. */
static void add_data_url(struct text *t, const char *name, const struct chat_part *p)
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

static void add_part(struct encoder *e, const struct chat_part *p)
{
    struct text *t = &e->t;
    switch (p->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL:
        open_element(t);
        add_string(t, "type", p->kind == CHAT_TEXT ? SLICE("text") : SLICE("refusal"));
        add_string(t, p->kind == CHAT_TEXT ? "text" : "refusal", p->text);
        TEXT_ADD(t, "}");
        break;
    case CHAT_IMAGE:
        open_element(t);
        add_string(t, "type", SLICE("image_url"));
        text_add_json_key(t, "image_url");
        TEXT_ADD(t, "{");
        add_data_url(t, "url", p);
        add_string_if(t, "detail", p->detail);
        TEXT_ADD(t, "}}");
        break;
    case CHAT_AUDIO:
        open_element(t);
        add_string(t, "type", SLICE("input_audio"));
        text_add_json_key(t, "input_audio");
        TEXT_ADD(t, "{");
        add_string(t, "data", p->data);
        add_string(t, "format", p->media_type);
        TEXT_ADD(t, "}}");
        break;
    case CHAT_FILE:
        open_element(t);
        add_string(t, "type", SLICE("file"));
        text_add_json_key(t, "file");
        TEXT_ADD(t, "{");
        add_string_if(t, "file_id", p->file_id);
        add_string_if(t, "filename", p->name);
        if (p->data.len || p->url.len) {
            add_data_url(t, "file_data", p);
        }
        TEXT_ADD(t, "}}");
        break;
    case CHAT_THINKING:  /* another provider's thoughts are not ours to send */
    case CHAT_TOOL_CALL: /* beside the content */
    case CHAT_TOOL_RESULT: /* a message of its own */ break;
    }
}

static bool is_content(const struct chat_part *p)
{
    return p->kind != CHAT_THINKING && p->kind != CHAT_TOOL_CALL && p->kind != CHAT_TOOL_RESULT;
}

/* A string where there is one text only: every server reads that. */
static void add_content(struct encoder *e, const struct chat_part *parts, size_t count)
{
    const struct chat_part *only = NULL;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_content(&parts[i])) {
            only = &parts[i];
            n++;
        }
    }
    text_add_json_key(&e->t, "content");
    if (n == 0) {
        TEXT_ADD(&e->t, "null");
    } else if (n == 1 && only->kind == CHAT_TEXT) {
        text_add_json_string(&e->t, only->text);
    } else {
        TEXT_ADD(&e->t, "[");
        for (size_t i = 0; i < count; i++) {
            add_part(e, &parts[i]);
        }
        TEXT_ADD(&e->t, "]");
    }
}

static void add_call(struct text *t, const struct chat_part *p, size_t index)
{
    open_element(t);
    if (p->id.len) {
        add_string(t, "id", p->id);
    } else { /* servers that give none; results join by position then */
        text_add_json_key(t, "id");
        text_addf(t, "\"call_%zu\"", index);
    }
    add_string(t, "type", p->is_custom ? SLICE("custom") : SLICE("function"));
    text_add_json_key(t, p->is_custom ? "custom" : "function");
    TEXT_ADD(t, "{");
    add_string(t, "name", p->name);
    if (p->is_custom) {
        add_string(t, "input", p->text);
    } else {
        add_string(t, "arguments", p->text.len ? p->text : SLICE("{}"));
    }
    TEXT_ADD(t, "}}");
}

static void add_calls(struct text *t, const struct chat_part *parts, size_t count)
{
    size_t index = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].kind == CHAT_TOOL_CALL) {
            if (index == 0) {
                text_add_json_key(t, "tool_calls");
                TEXT_ADD(t, "[");
            }
            add_call(t, &parts[i], index++);
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

/* Results of a tool message, each a message of its own. */
static void add_results(struct encoder *e, const struct chat_message *m)
{
    for (size_t i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->kind != CHAT_TOOL_RESULT) {
            continue;
        }
        open_element(&e->t);
        add_string(&e->t, "role", SLICE("tool"));
        add_string(&e->t, "tool_call_id", p->id);
        if (p->part_count) {
            add_content(e, p->parts, p->part_count);
        } else {
            add_string(&e->t, "content", SLICE_NONE);
        }
        TEXT_ADD(&e->t, "}");
    }
}

static void add_message(struct encoder *e, const struct chat_message *m)
{
    if (m->role == CHAT_TOOL) {
        add_results(e, m);
        return;
    }
    open_element(&e->t);
    add_string(&e->t, "role", role_name(m->role, e->o->profile));
    add_string_if(&e->t, "name", m->name);
    add_content(e, m->parts, m->part_count);
    add_calls(&e->t, m->parts, m->part_count);
    TEXT_ADD(&e->t, "}");
}

static bool is_allowed(const struct chat_request *r, struct slice name)
{
    for (size_t i = 0; i < r->allowed_tool_count; i++) {
        if (slice_eq(r->allowed_tools[i], name)) {
            return true;
        }
    }
    return !r->allowed_tools;
}

static void add_tool(struct text *t, const struct chat_tool *tool)
{
    if (tool->raw.len) {
        char last = t->ptr[t->len - 1];
        text_add(t, last == '[' ? SLICE_NONE : SLICE(","));
        text_add(t, tool->raw);
        return;
    }
    open_element(t);
    add_string(t, "type", SLICE("function"));
    text_add_json_key(t, "function");
    TEXT_ADD(t, "{");
    add_string(t, "name", tool->name);
    add_string_if(t, "description", tool->description);
    add_raw_if(t, "parameters", tool->schema);
    if (tool->has_strict) {
        add_bool(t, "strict", tool->is_strict);
    }
    TEXT_ADD(t, "}}");
}

static void add_tool_choice(struct text *t, const struct chat_request *r)
{
    switch (r->tool_choice) {
    case CHAT_CHOICE_DEFAULT: break;
    case CHAT_CHOICE_NONE: add_string(t, "tool_choice", SLICE("none")); break;
    case CHAT_CHOICE_AUTO: add_string(t, "tool_choice", SLICE("auto")); break;
    case CHAT_CHOICE_REQUIRED: add_string(t, "tool_choice", SLICE("required")); break;
    case CHAT_CHOICE_NAMED:
        text_add_json_key(t, "tool_choice");
        TEXT_ADD(t, "{\"type\":\"function\",\"function\":{");
        add_string(t, "name", r->tool_choice_name);
        TEXT_ADD(t, "}}");
        break;
    }
}

static void add_tools(struct encoder *e, const struct chat_request *r)
{
    struct text *t = &e->t;
    size_t sent = 0;
    for (size_t i = 0; i < r->tool_count; i++) {
        if (is_allowed(r, r->tools[i].name)) {
            if (sent++ == 0) {
                text_add_json_key(t, "tools");
                TEXT_ADD(t, "[");
            }
            add_tool(t, &r->tools[i]);
        }
    }
    if (sent) {
        TEXT_ADD(t, "]");
        add_tool_choice(t, r);
        if (r->parallel_tool_calls >= 0) {
            add_bool(t, "parallel_tool_calls", r->parallel_tool_calls == 1);
        }
    }
}

static void add_format(struct text *t, const struct chat_request *r)
{
    switch (r->format) {
    case CHAT_FORMAT_DEFAULT: return;
    case CHAT_FORMAT_TEXT: add_raw_if(t, "response_format", SLICE("{\"type\":\"text\"}")); return;
    case CHAT_FORMAT_JSON:
        add_raw_if(t, "response_format", SLICE("{\"type\":\"json_object\"}"));
        return;
    case CHAT_FORMAT_SCHEMA: break;
    }
    text_add_json_key(t, "response_format");
    TEXT_ADD(t, "{\"type\":\"json_schema\",\"json_schema\":{");
    add_string(t, "name", r->format_name.len ? r->format_name : SLICE("response"));
    add_raw_if(t, "schema", r->format_schema);
    if (r->format_strict >= 0) {
        add_bool(t, "strict", r->format_strict == 1);
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
            add_raw_if(&e->t, numbers[i].name, numbers[i].number->text);
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
    for (size_t i = 0; i < r->stop_count; i++) {
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
    if (r->max_tokens.text.len) {
        add_raw_if(&e->t, name, r->max_tokens.text);
    } else if (e->o->output_cap_tokens >= 0) {
        text_add_json_key(&e->t, name);
        text_add_i64(&e->t, e->o->output_cap_tokens);
    }
}

enum err openai_encode_request(struct arena *a, const struct chat_request *r,
                               const struct encode_options *o, struct body_parts *out)
{
    assert(o->profile);
    struct encoder e = {.t = text_growing(a), .dropped = text_growing(a), .o = o};
    *out = (struct body_parts){.count = 0};
    TEXT_ADD(&e.t, "{");
    add_string(&e.t, "model", o->model);
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
    add_raw_if(&e.t, "seed", r->seed.text);
    add_raw_if(&e.t, "n", r->choices.text);
    add_stops(&e, r);
    add_string_if(&e.t, "reasoning_effort", r->reasoning_effort);
    add_string_if(&e.t, "service_tier", r->service_tier);
    add_string_if(&e.t, "user", r->user);
    add_raw_if(&e.t, "metadata", r->metadata);
    if (o->is_stream) {
        add_bool(&e.t, "stream", true);
        if (o->wants_usage && !o->profile->refuses_stream_options) {
            add_raw_if(&e.t, "stream_options", SLICE("{\"include_usage\":true}"));
            out->adds_usage = !r->wants_usage;
        }
    }
    TEXT_ADD(&e.t, "}");
    out->parts[out->count++] = text_slice(&e.t);
    out->bytes = e.t.len;
    out->dropped = text_slice(&e.dropped);
    return e.t.is_full || e.dropped.is_full ? E_NOMEM : OK;
}

static void add_answer_text(struct text *t, const char *name, const struct chat_choice *c,
                            enum chat_part_kind kind)
{
    struct text joined = text_growing(t->arena);
    bool is_there = false;
    for (size_t i = 0; i < c->part_count; i++) {
        if (c->parts[i].kind == kind) {
            text_add(&joined, c->parts[i].text);
            is_there = true;
        }
    }
    text_add_json_key(t, name);
    if (is_there) {
        text_add_json_string(t, text_slice(&joined));
    } else {
        TEXT_ADD(t, "null");
    }
    t->is_full = t->is_full || joined.is_full;
}

static void add_usage(struct text *t, const struct usage *u)
{
    text_addf(t,
              ",\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld,"
              "\"prompt_tokens_details\":{\"cached_tokens\":%lld},"
              "\"completion_tokens_details\":{\"reasoning_tokens\":%lld}}",
              (long long)usage_prompt(u), (long long)usage_completion(u), (long long)usage_total(u),
              (long long)u->cache_read, (long long)u->reasoning);
}

enum err openai_encode_response(struct arena *a, const struct chat_response *r, const void *extras,
                                struct slice *out_body)
{
    (void)extras;
    struct text t = text_growing(a);
    TEXT_ADD(&t, "{");
    add_string(&t, "id", r->id);
    add_string(&t, "object", SLICE("chat.completion"));
    text_add_json_key(&t, "created");
    text_add_i64(&t, r->created_unix_s);
    add_string(&t, "model", r->model);
    text_add_json_key(&t, "choices");
    TEXT_ADD(&t, "[");
    for (size_t i = 0; i < r->choice_count; i++) {
        const struct chat_choice *c = &r->choices[i];
        open_element(&t);
        text_addf(&t, "\"index\":%zu,\"message\":{\"role\":\"assistant\"", i);
        add_answer_text(&t, "content", c, CHAT_TEXT);
        add_answer_text(&t, "refusal", c, CHAT_REFUSAL);
        add_calls(&t, c->parts, c->part_count);
        TEXT_ADD(&t, "}");
        add_string(&t, "finish_reason",
                   c->finish == CHAT_FINISH_NONE ? SLICE("stop") : openai_finish_name(c->finish));
        TEXT_ADD(&t, ",\"logprobs\":null}");
    }
    TEXT_ADD(&t, "]");
    if (r->has_usage) {
        add_usage(&t, &r->usage);
    }
    add_string_if(&t, "service_tier", r->service_tier);
    TEXT_ADD(&t, "}");
    *out_body = text_slice(&t);
    return t.is_full ? E_NOMEM : OK;
}
