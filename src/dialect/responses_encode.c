/* A neutral request as one of the Responses API. */
#include "dialect/responses.h"
#include "dialect/write.h"

#include <assert.h>

enum {
    CALLS_LOOKED = 256, /* of a turn, for the one that an output answers; no model makes more */
    OUTPUT_LEAST_TOKENS = 16, /* the API refuses less */
    USER_MAX_BYTES = 64       /* and a longer safety_identifier */
};

/* One encode at work. */
struct encoder {
    struct text t;
    struct text dropped;
    const struct chat_request *r;
    const struct encode_options *o;
    size_t calls_at; /* the message whose calls the outputs at hand answer */
    size_t answered; /* its calls without an id that have their output: they meet by place */
};

static void drop(struct encoder *e, const char *name)
{
    drop_name(&e->dropped, slice_str(name));
}

static bool is_ours(struct slice provider)
{
    return slice_eq(provider, RESPONSES_NAME);
}

/* --- parts of content --------------------------------------------------------------------------
 */

/* The marker is the chat dialect's own. */
static void add_marker(struct encoder *e, struct slice marker)
{
    bool is_openai = slice_search(marker, SLICE("\"mode\"")) < marker.len;
    bool is_long = slice_search(marker, SLICE("\"1h\"")) < marker.len;
    if (marker.len && e->o->profile->takes_cache_breakpoint) {
        write_raw(&e->t, "prompt_cache_breakpoint",
                  is_openai ? marker
                  : is_long ? SLICE("{\"mode\":\"explicit\",\"ttl\":\"12h\"}")
                            : SLICE("{\"mode\":\"explicit\"}"));
    } else if (marker.len) {
        drop(e, is_openai ? "prompt_cache_breakpoint" : "cache_control");
    }
}

static bool has_file(const struct chat_part *p)
{
    return p->file_id.len && (!p->provider.len || slice_eq(p->provider, RESPONSES_MAKER));
}

/* The name under which the part is missed in a content, or NULL: it can be sent. */
static const char *lack_of(const struct chat_part *p, bool is_answer)
{
    switch (p->kind) {
    case CHAT_TEXT: return NULL;
    case CHAT_REFUSAL: return is_answer ? NULL : "refusal";
    case CHAT_IMAGE:
        return is_answer                                  ? "image"
               : p->url.len || p->data.len || has_file(p) ? NULL
                                                          : "image.file_id";
    case CHAT_FILE:
        if (is_answer) {
            return "file";
        }
        return p->url.len || p->data.len || p->text.len || p->part_count || has_file(p)
                   ? NULL
                   : "document.file_id";
    case CHAT_AUDIO: return "input_audio";
    case CHAT_OPAQUE: return is_ours(p->provider) ? NULL : "";
    case CHAT_THINKING:
    case CHAT_TOOL_CALL:
    case CHAT_TOOL_RESULT: break; /* items of their own */
    }
    return "";
}

static void add_text(struct encoder *e, const struct chat_part *p, bool is_answer)
{
    write_element(&e->t);
    if (p->kind == CHAT_REFUSAL) {
        write_string(&e->t, "type", SLICE("refusal"));
        write_string(&e->t, "refusal", p->text);
    } else {
        write_string(&e->t, "type", is_answer ? SLICE("output_text") : SLICE("input_text"));
        write_string(&e->t, "text", p->text);
    }
    if (is_answer && p->kind == CHAT_TEXT && is_ours(p->provider)) {
        responses_add_annotations(&e->t, p);
    }
    add_marker(e, p->cache_marker);
    TEXT_ADD(&e->t, "}");
}

static void add_image(struct encoder *e, const struct chat_part *p)
{
    write_element(&e->t);
    write_string(&e->t, "type", SLICE("input_image"));
    if (p->url.len || p->data.len) {
        openai_add_data_url(&e->t, "image_url", p);
    } else {
        write_string(&e->t, "file_id", p->file_id);
    }
    write_string(&e->t, "detail", p->detail.len ? p->detail : SLICE("auto"));
    add_marker(e, p->cache_marker);
    TEXT_ADD(&e->t, "}");
}

static void add_file(struct encoder *e, const struct chat_part *p)
{
    write_element(&e->t);
    write_string(&e->t, "type", SLICE("input_file"));
    write_string_if(&e->t, "filename",
                    p->name.len || !p->data.len ? p->name : SLICE("document.pdf"));
    if (p->data.len) {
        openai_add_data_url(&e->t, "file_data", p);
    } else if (p->url.len) {
        write_string(&e->t, "file_url", p->url);
    } else {
        write_string(&e->t, "file_id", p->file_id);
    }
    write_string_if(&e->t, "detail", p->detail);
    add_marker(e, p->cache_marker);
    TEXT_ADD(&e->t, "}");
}

/* Names of what a part has beside; our own extras are put back by whoever writes the item. */
static void drop_foreign(struct encoder *e, const struct chat_part *p)
{
    if (!is_ours(p->provider)) {
        drop_extras(&e->dropped, p->extras);
    }
}

static void add_part(struct encoder *e, const struct chat_part *p, bool is_answer)
{
    const char *lack = lack_of(p, is_answer);
    if (lack) {
        drop_name(&e->dropped, *lack ? slice_str(lack) : p->name);
        return;
    }
    drop_foreign(e, p);
    if (p->kind == CHAT_TEXT || p->kind == CHAT_REFUSAL) {
        add_text(e, p, is_answer);
    } else if (p->kind == CHAT_IMAGE) {
        add_image(e, p);
    } else if (p->kind == CHAT_OPAQUE) {
        write_next(&e->t);
        text_add(&e->t, p->data);
    } else if (p->text.len) { /* a document of plain text */
        struct chat_part bare = {
            .kind = CHAT_TEXT, .text = p->text, .cache_marker = p->cache_marker};
        add_text(e, &bare, is_answer);
    } else if (p->part_count) {
        for (size_t i = 0; i < p->part_count;
             i++) { /* never another document: decoders see to it */
            if (!p->parts[i].part_count) {
                add_part(e, &p->parts[i], is_answer);
            }
        }
    } else {
        add_file(e, p);
    }
}

/* --- items -------------------------------------------------------------------------------------
 */

/* Whether the assistant's part is an item of its own rather than content of a message. */
static bool is_item(const struct chat_part *p)
{
    return p->kind == CHAT_THINKING || p->kind == CHAT_TOOL_CALL || p->kind == CHAT_OPAQUE;
}

/* Where the last part stands that a thought before it can belong to: the API refuses a thought that
 * nothing follows. 0: there is none. */
static size_t last_followed(const struct chat_message *m)
{
    size_t last = 0;
    for (size_t i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->kind == CHAT_TOOL_CALL || !lack_of(p, true)) {
            last = i;
        }
    }
    return last;
}

/* Only what OpenAI proved goes back to it (trap 11); the rest of a thought is in its proof. */
static void add_thinking(struct encoder *e, const struct chat_part *p, bool is_followed)
{
    bool is_proven = slice_eq(p->provider, RESPONSES_MAKER) && (p->signature.len || p->data.len);
    if (!is_proven || !is_followed) {
        drop(e, "thinking");
        return;
    }
    write_element(&e->t);
    write_string(&e->t, "type", SLICE("reasoning"));
    text_add_json_key(&e->t, "summary");
    TEXT_ADD(&e->t, "[");
    if (p->text.len) {
        TEXT_ADD(&e->t, "{\"type\":\"summary_text\"");
        write_string(&e->t, "text", p->text);
        TEXT_ADD(&e->t, "}");
    }
    TEXT_ADD(&e->t, "]");
    responses_add_proof(&e->t, p);
    TEXT_ADD(&e->t, "}");
}

static void add_own_extras(struct encoder *e, const struct chat_part *p)
{
    if (is_ours(p->provider) && p->extras.len > 2) {
        text_add_char(&e->t, ',');
        text_add(&e->t, slice_of(p->extras.ptr + 1, p->extras.len - 2));
    }
}

/* Servers that give no ids: call and output meet by their place. */
static void add_id(struct encoder *e, struct slice id, size_t message, size_t n)
{
    if (!id.len) {
        id = arena_printf(e->t.arena, "call_%zu_%zu", message, n);
        e->t.is_full = e->t.is_full || !id.ptr;
    }
    responses_add_call_id(&e->t, id);
}

static void add_call(struct encoder *e, size_t message, const struct chat_part *p, size_t n)
{
    drop_foreign(e, p);
    if (p->cache_marker.len) {
        drop(e, "cache_control");
    }
    write_element(&e->t);
    write_string(&e->t, "type", p->is_custom ? SLICE("custom_tool_call") : SLICE("function_call"));
    add_id(e, p->id, message, n);
    write_string(&e->t, "name", p->name);
    if (p->is_custom) {
        write_string(&e->t, "input", p->text);
    } else {
        write_string(&e->t, "arguments", p->text.len ? p->text : SLICE("{}"));
    }
    add_own_extras(e, p);
    TEXT_ADD(&e->t, "}");
}

/* A message of which nothing can be sent is taken back. */
static void close_content(struct encoder *e, size_t begun)
{
    if (!e->t.is_full && e->t.ptr[e->t.len - 1] == '[') {
        e->t.len = begun;
    } else {
        TEXT_ADD(&e->t, "]}");
    }
}

/* Whether the parts are one text that needs no list around it. */
static bool is_plain(const struct chat_part *p, size_t count)
{
    static const struct span_name name = {SLICE_INIT("citations"), false};
    struct span found = {.kind = SPAN_ABSENT};
    struct span_object o;
    return count == 1 && p->kind == CHAT_TEXT && !p->cache_marker.len &&
           (!p->extras.len ||
            (spans_scan(p->extras, &name, 1, &found, &o) == OK && found.kind == SPAN_ABSENT));
}

/* Texts side by side from `at` on as one message; returns where it ends. */
static size_t add_said(struct encoder *e, const struct chat_message *m, size_t at)
{
    size_t end = at, begun = e->t.len;
    write_element(&e->t);
    write_string(&e->t, "type", SLICE("message"));
    write_string(&e->t, "role", SLICE("assistant"));
    responses_add_phase(&e->t, &m->parts[at]);
    text_add_json_key(&e->t, "content");
    while (end < m->part_count && !is_item(&m->parts[end])) {
        end++;
    }
    if (is_plain(&m->parts[at], end - at)) {
        drop_foreign(e, &m->parts[at]);
        text_add_json_string(&e->t, m->parts[at].text);
        TEXT_ADD(&e->t, "}");
        return end;
    }
    TEXT_ADD(&e->t, "[");
    for (size_t i = at; i < end; i++) {
        add_part(e, &m->parts[i], true);
    }
    close_content(e, begun);
    return end;
}

static void add_assistant(struct encoder *e, size_t message)
{
    const struct chat_message *m = &e->r->messages[message];
    size_t i = 0, calls = 0, last = last_followed(m);
    e->calls_at = message;
    e->answered = 0;
    while (i < m->part_count) {
        const struct chat_part *p = &m->parts[i];
        if (!is_item(p)) {
            i = add_said(e, m, i);
            continue;
        }
        if (p->kind == CHAT_THINKING) {
            add_thinking(e, p, i < last);
        } else if (p->kind == CHAT_TOOL_CALL) {
            add_call(e, message, p, calls++);
        } else {
            add_part(e, p, true);
        }
        i++;
    }
}

/* Whether the output answers a call of free text, where its dialect does not say. */
static bool is_custom_output(const struct encoder *e, const struct chat_part *result)
{
    const struct chat_message *m = &e->r->messages[e->calls_at];
    size_t looked = m->role == CHAT_ASSISTANT ? m->part_count : 0;
    looked = looked < CALLS_LOOKED ? looked : CALLS_LOOKED;
    for (size_t i = 0; i < looked && !result->is_custom; i++) {
        if (m->parts[i].kind == CHAT_TOOL_CALL && slice_eq(m->parts[i].id, result->id)) {
            return m->parts[i].is_custom;
        }
    }
    return result->is_custom;
}

/* One text is a string; anything else a list of parts. */
static void add_output(struct encoder *e, const struct chat_part *p)
{
    struct text said = text_growing(e->t.arena);
    text_add_json_key(&e->t, "output");
    if (p->is_error) { /* there is no other way to say so */
        TEXT_ADD(&said, "Error: ");
    }
    if (p->part_count == 0 ||
        (p->part_count == 1 && p->parts[0].kind == CHAT_TEXT && !p->parts[0].cache_marker.len)) {
        if (p->part_count) {
            drop_foreign(e, &p->parts[0]);
            text_add(&said, p->parts[0].text);
        }
        text_add_json_string(&e->t, text_slice(&said));
    } else {
        struct chat_part first = {.kind = CHAT_TEXT, .text = text_slice(&said)};
        TEXT_ADD(&e->t, "[");
        if (p->is_error) {
            add_part(e, &first, false);
        }
        for (size_t i = 0; i < p->part_count; i++) {
            add_part(e, &p->parts[i], false);
        }
        TEXT_ADD(&e->t, "]");
    }
    e->t.is_full = e->t.is_full || said.is_full;
}

static void add_results(struct encoder *e, const struct chat_message *m)
{
    for (size_t i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->kind != CHAT_TOOL_RESULT) {
            drop_name(&e->dropped, p->name);
            continue;
        }
        drop_foreign(e, p);
        write_element(&e->t);
        write_string(&e->t, "type",
                     is_custom_output(e, p) ? SLICE("custom_tool_call_output")
                                            : SLICE("function_call_output"));
        add_id(e, p->id, e->calls_at, e->answered);
        e->answered += !p->id.len;
        add_output(e, p);
        add_own_extras(e, p);
        TEXT_ADD(&e->t, "}");
    }
}

static struct slice role_name(enum chat_role role)
{
    switch (role) {
    case CHAT_SYSTEM: return SLICE("system");
    case CHAT_DEVELOPER: return SLICE("developer");
    case CHAT_USER:
    case CHAT_ASSISTANT:
    case CHAT_TOOL: break;
    }
    return SLICE("user");
}

static void add_message(struct encoder *e, size_t message)
{
    const struct chat_message *m = &e->r->messages[message];
    if (m->name.len) {
        drop(e, "messages.name");
    }
    if (m->role == CHAT_ASSISTANT) {
        add_assistant(e, message);
        return;
    }
    if (m->role == CHAT_TOOL) {
        add_results(e, m);
        return;
    }
    size_t begun = e->t.len;
    write_element(&e->t);
    write_string(&e->t, "type", SLICE("message"));
    write_string(&e->t, "role", role_name(m->role));
    text_add_json_key(&e->t, "content");
    if (m->part_count == 1 && m->parts[0].kind == CHAT_TEXT && !m->parts[0].cache_marker.len &&
        !m->parts[0].extras.len) {
        text_add_json_string(&e->t, m->parts[0].text);
        TEXT_ADD(&e->t, "}");
        return;
    }
    TEXT_ADD(&e->t, "[");
    for (size_t i = 0; i < m->part_count; i++) {
        add_part(e, &m->parts[i], false);
    }
    close_content(e, begun);
}

bool responses_has_instructions(const struct chat_request *r)
{
    return r->message_count > 1 && r->messages[0].role == CHAT_SYSTEM &&
           r->messages[0].part_count == 1 && r->messages[0].parts[0].kind == CHAT_TEXT &&
           r->messages[0].parts[0].text.len && !r->messages[0].parts[0].cache_marker.len &&
           !r->messages[0].parts[0].extras.len;
}

static void add_input(struct encoder *e)
{
    bool has_instructions = responses_has_instructions(e->r);
    if (has_instructions) {
        write_string(&e->t, "instructions", e->r->messages[0].parts[0].text);
    }
    text_add_json_key(&e->t, "input");
    TEXT_ADD(&e->t, "[");
    for (size_t i = has_instructions; i < e->r->message_count; i++) {
        add_message(e, i);
    }
    TEXT_ADD(&e->t, "]");
}

/* --- parameters --------------------------------------------------------------------------------
 */

/* Own extras whose name begins with prefix, without it; prefix "": those without a dot. */
static void add_extras_of(struct encoder *e, struct slice prefix)
{
    struct span_cursor c;
    struct span m;
    if (!is_ours(e->r->provider) || span_skim(&c, e->r->extras)) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        struct slice name = slice_of(m.key.ptr + 1, m.key.len - 2);
        bool is_inner =
            slice_starts(name, SLICE("text.")) || slice_starts(name, SLICE("reasoning."));
        if (prefix.len ? !slice_starts(name, prefix) : is_inner) {
            continue;
        }
        if (e->t.len && e->t.ptr[e->t.len - 1] != '{') {
            text_add_char(&e->t, ',');
        }
        text_add_char(&e->t, '"');
        text_add(&e->t, slice_from(name, prefix.len));
        TEXT_ADD(&e->t, "\":");
        text_add(&e->t, m.value);
    }
}

static bool has_extra(const struct encoder *e, const char *text)
{
    return is_ours(e->r->provider) &&
           slice_search(e->r->extras, slice_str(text)) < e->r->extras.len;
}

/* Writes  "name":{  and returns where it began, for close_object(). */
static size_t open_object(struct encoder *e, const char *name)
{
    size_t begun = e->t.len;
    text_add_json_key(&e->t, name);
    TEXT_ADD(&e->t, "{");
    return begun;
}

/* An object without members is taken back. */
static void close_object(struct encoder *e, size_t begun)
{
    if (!e->t.is_full && e->t.len && e->t.ptr[e->t.len - 1] == '{') {
        e->t.len = begun;
    } else {
        TEXT_ADD(&e->t, "}");
    }
}

static void add_reasoning(struct encoder *e)
{
    struct slice effort = openai_effort(e->r, e->o->profile);
    bool is_thinking =
        e->r->thinking == CHAT_THINKING_BUDGET || e->r->thinking == CHAT_THINKING_ADAPTIVE;
    if (e->o->profile->refuses_reasoning_effort) {
        if (effort.len || is_thinking) {
            drop(e, is_thinking ? "thinking" : "reasoning_effort");
        }
        return;
    }
    size_t begun = open_object(e, "reasoning");
    write_string_if(&e->t, "effort", effort);
    if (slice_eq(e->r->thinking_display, SLICE("summarized")) &&
        !has_extra(e, "\"reasoning.summary\"") && !has_extra(e, "\"reasoning.generate_summary\"")) {
        write_string(&e->t, "summary", SLICE("auto"));
    }
    add_extras_of(e, SLICE("reasoning."));
    close_object(e, begun);
    /* Nothing is kept there, so what proves a thought must come along. Models that refuse sampling
     * are those that reason unasked; others refuse to be asked for it. */
    bool reasons = effort.len || is_thinking || e->o->profile->refuses_sampling;
    if (reasons && !slice_eq(effort, SLICE("none")) && e->o->op == CHAT_OP_CHAT &&
        !has_extra(e, "\"include\"")) {
        write_raw(&e->t, "include", SLICE("[\"reasoning.encrypted_content\"]"));
    }
}

static void add_text_format(struct encoder *e)
{
    size_t begun = open_object(e, "text");
    responses_add_format(&e->t, e->r, false);
    add_extras_of(e, SLICE("text."));
    close_object(e, begun);
}

static void add_max_tokens(struct encoder *e)
{
    struct slice text = e->r->max_tokens.text;
    int64_t value = e->o->output_cap_tokens;
    if (text.len && !slice_to_i64(text, &value)) {
        write_raw(&e->t, "max_output_tokens", text); /* theirs to refuse */
        return;
    }
    if (!text.len && value < 0) {
        return;
    }
    if (value < OUTPUT_LEAST_TOKENS) {
        value = OUTPUT_LEAST_TOKENS;
        drop(e, "max_tokens");
    }
    write_count(&e->t, "max_output_tokens", value);
}

static void add_sampling(struct encoder *e)
{
    const struct chat_request *r = e->r;
    const struct {
        const char *name;
        const struct chat_number *number;
        bool is_taken, is_default;
    } numbers[] = {
        {"temperature", &r->temperature, !e->o->profile->refuses_sampling,
         r->is_temperature_default},
        {"top_p", &r->top_p, !e->o->profile->refuses_sampling, false},
        {"frequency_penalty", &r->frequency_penalty, false, false},
        {"presence_penalty", &r->presence_penalty, false, false},
        {"top_k", &r->top_k, false, false},
        {"seed", &r->seed, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (numbers[i].is_taken) {
            write_raw_if(&e->t, numbers[i].name, numbers[i].number->text);
        } else if (numbers[i].number->text.len && !numbers[i].is_default) {
            drop(e, numbers[i].name);
        }
    }
    if (r->stop_count) {
        drop(e, "stop");
    }
    if (r->choices.text.len && !slice_eq(r->choices.text, SLICE("1"))) {
        drop(e, "n");
    }
}

/* What is not about counting. store is said only where the client said so: what it did not ask to
 * be kept is not. */
static void add_answering(struct encoder *e)
{
    const struct chat_request *r = e->r;
    add_max_tokens(e);
    add_sampling(e);
    write_string_if(&e->t, "service_tier", openai_tier(r->service_tier));
    openai_add_short(&e->t, "safety_identifier", r->user, USER_MAX_BYTES);
    write_raw_if(&e->t, "metadata", r->metadata);
    if (!has_extra(e, "\"store\":")) {
        write_bool(&e->t, "store", false);
    }
    if (e->o->is_stream) {
        write_bool(&e->t, "stream", true);
    }
    add_extras_of(e, SLICE_NONE);
}

enum err responses_encode_request(struct arena *a, const struct chat_request *r,
                                  const struct encode_options *o, struct body_parts *out)
{
    assert(o->profile);
    struct encoder e = {.t = text_growing(a), .dropped = text_growing(a), .r = r, .o = o};
    *out = (struct body_parts){.count = 0};
    text_add(&e.dropped, r->dropped);
    if (!is_ours(r->provider)) {
        drop_extras(&e.dropped, r->extras);
    }
    TEXT_ADD(&e.t, "{");
    write_string(&e.t, "model", o->model);
    add_input(&e);
    responses_add_tools(&e.t, &e.dropped, r, false);
    if (r->tool_count) {
        responses_add_tool_choice(&e.t, r);
    }
    if (r->parallel_tool_calls >= 0) {
        write_bool(&e.t, "parallel_tool_calls", r->parallel_tool_calls == 1);
    }
    add_text_format(&e);
    add_reasoning(&e);
    if (o->op != CHAT_OP_COUNT_TOKENS) {
        add_answering(&e);
    }
    TEXT_ADD(&e.t, "}");
    return write_end(&e.t, &e.dropped, out);
}
