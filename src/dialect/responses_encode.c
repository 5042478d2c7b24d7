/* A neutral request as one of the Responses API. */
#include "dialect/responses.h"
#include "dialect/write.h"

#include <assert.h>

enum {
    CALLS_LOOKED = 256, /* of a turn, for the one that an output answers; no model makes more */
    OUTPUT_LEAST_TOKENS = 16, /* the API refuses less */
    USER_MAX_BYTES = 64       /* and a longer safety_identifier */
};

static bool is_ours(struct slice provider)
{
    return slice_eq(provider, RESPONSES_NAME);
}

/* --- parts of content --------------------------------------------------------------------------
 */

/* The marker is the chat dialect's own. */
static void add_marker(struct writer *w, struct slice marker)
{
    bool is_openai = slice_search(marker, SLICE("\"mode\"")) < marker.len;
    bool is_long = slice_search(marker, SLICE("\"1h\"")) < marker.len;
    if (marker.len && w->o->profile->takes_cache_breakpoint) {
        write_raw(&w->t, "prompt_cache_breakpoint",
                  is_openai ? marker
                  : is_long ? SLICE("{\"mode\":\"explicit\",\"ttl\":\"12h\"}")
                            : SLICE("{\"mode\":\"explicit\"}"));
    } else if (marker.len) {
        write_drop(w, is_openai ? "prompt_cache_breakpoint" : "cache_control");
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

static void add_text(struct writer *w, const struct chat_part *p, bool is_answer)
{
    write_element(&w->t);
    if (p->kind == CHAT_REFUSAL) {
        write_string(&w->t, "type", SLICE("refusal"));
        write_string(&w->t, "refusal", p->text);
    } else {
        write_string(&w->t, "type", is_answer ? SLICE("output_text") : SLICE("input_text"));
        write_string(&w->t, "text", p->text);
    }
    if (is_answer && p->kind == CHAT_TEXT && is_ours(p->provider)) {
        responses_add_annotations(&w->t, p);
    }
    add_marker(w, p->cache_marker);
    TEXT_ADD(&w->t, "}");
}

static void add_image(struct writer *w, const struct chat_part *p)
{
    write_element(&w->t);
    write_string(&w->t, "type", SLICE("input_image"));
    if (p->url.len || p->data.len) {
        openai_add_data_url(&w->t, "image_url", p);
    } else {
        write_string(&w->t, "file_id", p->file_id);
    }
    write_string(&w->t, "detail", p->detail.len ? p->detail : SLICE("auto"));
    add_marker(w, p->cache_marker);
    TEXT_ADD(&w->t, "}");
}

static void add_file(struct writer *w, const struct chat_part *p)
{
    write_element(&w->t);
    write_string(&w->t, "type", SLICE("input_file"));
    write_string_if(&w->t, "filename",
                    p->name.len || !p->data.len ? p->name : SLICE("document.pdf"));
    if (p->data.len) {
        openai_add_data_url(&w->t, "file_data", p);
    } else if (p->url.len) {
        write_string(&w->t, "file_url", p->url);
    } else {
        write_string(&w->t, "file_id", p->file_id);
    }
    write_string_if(&w->t, "detail", p->detail);
    add_marker(w, p->cache_marker);
    TEXT_ADD(&w->t, "}");
}

/* Names of what a part has beside; our own extras are put back by whoever writes the item. */
static void drop_foreign(struct writer *w, const struct chat_part *p)
{
    if (!is_ours(p->provider)) {
        drop_extras(&w->dropped, p->extras);
    }
}

static void add_part(struct writer *w, const struct chat_part *p, bool is_answer)
{
    const char *lack = lack_of(p, is_answer);
    if (lack) {
        drop_name(&w->dropped, *lack ? slice_str(lack) : p->name);
        return;
    }
    drop_foreign(w, p);
    if (p->kind == CHAT_TEXT || p->kind == CHAT_REFUSAL) {
        add_text(w, p, is_answer);
    } else if (p->kind == CHAT_IMAGE) {
        add_image(w, p);
    } else if (p->kind == CHAT_OPAQUE) {
        write_next(&w->t);
        text_add(&w->t, p->data);
    } else if (p->text.len) { /* a document of plain text */
        struct chat_part bare = {
            .kind = CHAT_TEXT, .text = p->text, .cache_marker = p->cache_marker};
        add_text(w, &bare, is_answer);
    } else if (p->part_count) {
        for (size_t i = 0; i < p->part_count;
             i++) { /* never another document: decoders see to it */
            if (!p->parts[i].part_count) {
                add_part(w, &p->parts[i], is_answer);
            }
        }
    } else {
        add_file(w, p);
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
static void add_thinking(struct writer *w, const struct chat_part *p, bool is_followed)
{
    bool is_proven = slice_eq(p->provider, RESPONSES_MAKER) && (p->signature.len || p->data.len);
    if (!is_proven || !is_followed) {
        write_drop(w, "thinking");
        return;
    }
    write_element(&w->t);
    write_string(&w->t, "type", SLICE("reasoning"));
    text_add_json_key(&w->t, "summary");
    TEXT_ADD(&w->t, "[");
    if (p->text.len) {
        TEXT_ADD(&w->t, "{\"type\":\"summary_text\"");
        write_string(&w->t, "text", p->text);
        TEXT_ADD(&w->t, "}");
    }
    TEXT_ADD(&w->t, "]");
    responses_add_proof(&w->t, p);
    TEXT_ADD(&w->t, "}");
}

static void add_own_extras(struct writer *w, const struct chat_part *p)
{
    if (is_ours(p->provider) && p->extras.len > 2) {
        text_add_char(&w->t, ',');
        text_add(&w->t, slice_of(p->extras.ptr + 1, p->extras.len - 2));
    }
}

/* Servers that give no ids: call and output meet by their place. */
static void add_id(struct writer *w, struct slice id, size_t message, size_t n)
{
    if (!id.len) {
        id = arena_printf(w->t.arena, "call_%zu_%zu", message, n);
        w->t.is_full = w->t.is_full || !id.ptr;
    }
    responses_add_call_id(&w->t, id);
}

static void add_call(struct writer *w, size_t message, const struct chat_part *p, size_t n)
{
    drop_foreign(w, p);
    if (p->cache_marker.len) {
        write_drop(w, "cache_control");
    }
    write_element(&w->t);
    write_string(&w->t, "type", p->is_custom ? SLICE("custom_tool_call") : SLICE("function_call"));
    add_id(w, p->id, message, n);
    write_string(&w->t, "name", p->name);
    if (p->is_custom) {
        write_string(&w->t, "input", p->text);
    } else {
        write_string(&w->t, "arguments", p->text.len ? p->text : SLICE("{}"));
    }
    add_own_extras(w, p);
    TEXT_ADD(&w->t, "}");
}

/* A message of which nothing can be sent is taken back. */
static void close_content(struct writer *w, size_t begun)
{
    if (!w->t.is_full && w->t.ptr[w->t.len - 1] == '[') {
        w->t.len = begun;
    } else {
        TEXT_ADD(&w->t, "]}");
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
static size_t add_said(struct writer *w, const struct chat_message *m, size_t at)
{
    size_t end = at, begun = w->t.len;
    write_element(&w->t);
    write_string(&w->t, "type", SLICE("message"));
    write_string(&w->t, "role", SLICE("assistant"));
    responses_add_phase(&w->t, &m->parts[at]);
    text_add_json_key(&w->t, "content");
    while (end < m->part_count && !is_item(&m->parts[end])) {
        end++;
    }
    if (is_plain(&m->parts[at], end - at)) {
        drop_foreign(w, &m->parts[at]);
        text_add_json_string(&w->t, m->parts[at].text);
        TEXT_ADD(&w->t, "}");
        return end;
    }
    TEXT_ADD(&w->t, "[");
    for (size_t i = at; i < end; i++) {
        add_part(w, &m->parts[i], true);
    }
    close_content(w, begun);
    return end;
}

static void add_assistant(struct writer *w, size_t message)
{
    const struct chat_message *m = &w->r->messages[message];
    size_t i = 0, calls = 0, last = last_followed(m);
    w->calls_at = message;
    w->answered = 0;
    while (i < m->part_count) {
        const struct chat_part *p = &m->parts[i];
        if (!is_item(p)) {
            i = add_said(w, m, i);
            continue;
        }
        if (p->kind == CHAT_THINKING) {
            add_thinking(w, p, i < last);
        } else if (p->kind == CHAT_TOOL_CALL) {
            add_call(w, message, p, calls++);
        } else {
            add_part(w, p, true);
        }
        i++;
    }
}

/* Whether the output answers a call of free text, where its dialect does not say. */
static bool is_custom_output(const struct writer *w, const struct chat_part *result)
{
    const struct chat_message *m = &w->r->messages[w->calls_at];
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
static void add_output(struct writer *w, const struct chat_part *p)
{
    struct text said = text_growing(w->t.arena);
    text_add_json_key(&w->t, "output");
    if (p->is_error) { /* there is no other way to say so */
        TEXT_ADD(&said, "Error: ");
    }
    if (p->part_count == 0 ||
        (p->part_count == 1 && p->parts[0].kind == CHAT_TEXT && !p->parts[0].cache_marker.len)) {
        if (p->part_count) {
            drop_foreign(w, &p->parts[0]);
            text_add(&said, p->parts[0].text);
        }
        text_add_json_string(&w->t, text_slice(&said));
    } else {
        struct chat_part first = {.kind = CHAT_TEXT, .text = text_slice(&said)};
        TEXT_ADD(&w->t, "[");
        if (p->is_error) {
            add_part(w, &first, false);
        }
        for (size_t i = 0; i < p->part_count; i++) {
            add_part(w, &p->parts[i], false);
        }
        TEXT_ADD(&w->t, "]");
    }
    w->t.is_full = w->t.is_full || said.is_full;
}

static void add_results(struct writer *w, const struct chat_message *m)
{
    for (size_t i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->kind != CHAT_TOOL_RESULT) {
            drop_name(&w->dropped, p->name);
            continue;
        }
        drop_foreign(w, p);
        write_element(&w->t);
        write_string(&w->t, "type",
                     is_custom_output(w, p) ? SLICE("custom_tool_call_output")
                                            : SLICE("function_call_output"));
        add_id(w, p->id, w->calls_at, w->answered);
        w->answered += !p->id.len;
        add_output(w, p);
        add_own_extras(w, p);
        TEXT_ADD(&w->t, "}");
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

static void add_message(struct writer *w, size_t message)
{
    const struct chat_message *m = &w->r->messages[message];
    if (m->name.len) {
        write_drop(w, "messages.name");
    }
    if (m->role == CHAT_ASSISTANT) {
        add_assistant(w, message);
        return;
    }
    if (m->role == CHAT_TOOL) {
        add_results(w, m);
        return;
    }
    size_t begun = w->t.len;
    write_element(&w->t);
    write_string(&w->t, "type", SLICE("message"));
    write_string(&w->t, "role", role_name(m->role));
    text_add_json_key(&w->t, "content");
    if (m->part_count == 1 && m->parts[0].kind == CHAT_TEXT && !m->parts[0].cache_marker.len &&
        !m->parts[0].extras.len) {
        text_add_json_string(&w->t, m->parts[0].text);
        TEXT_ADD(&w->t, "}");
        return;
    }
    TEXT_ADD(&w->t, "[");
    for (size_t i = 0; i < m->part_count; i++) {
        add_part(w, &m->parts[i], false);
    }
    close_content(w, begun);
}

bool responses_has_instructions(const struct chat_request *r)
{
    return r->message_count > 1 && r->messages[0].role == CHAT_SYSTEM &&
           r->messages[0].part_count == 1 && r->messages[0].parts[0].kind == CHAT_TEXT &&
           r->messages[0].parts[0].text.len && !r->messages[0].parts[0].cache_marker.len &&
           !r->messages[0].parts[0].extras.len;
}

static void add_input(struct writer *w)
{
    bool has_instructions = responses_has_instructions(w->r);
    if (has_instructions) {
        write_string(&w->t, "instructions", w->r->messages[0].parts[0].text);
    }
    text_add_json_key(&w->t, "input");
    TEXT_ADD(&w->t, "[");
    for (size_t i = has_instructions; i < w->r->message_count; i++) {
        add_message(w, i);
    }
    TEXT_ADD(&w->t, "]");
}

/* --- parameters --------------------------------------------------------------------------------
 */

/* Own extras whose name begins with prefix, without it; prefix "": those without a dot. */
static void add_extras_of(struct writer *w, struct slice prefix)
{
    struct span_cursor c;
    struct span m;
    if (!is_ours(w->r->provider) || span_skim(&c, w->r->extras)) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        struct slice name = slice_of(m.key.ptr + 1, m.key.len - 2);
        bool is_inner =
            slice_starts(name, SLICE("text.")) || slice_starts(name, SLICE("reasoning."));
        if (prefix.len ? !slice_starts(name, prefix) : is_inner) {
            continue;
        }
        if (w->t.len && w->t.ptr[w->t.len - 1] != '{') {
            text_add_char(&w->t, ',');
        }
        text_add_char(&w->t, '"');
        text_add(&w->t, slice_from(name, prefix.len));
        TEXT_ADD(&w->t, "\":");
        text_add(&w->t, m.value);
    }
}

static bool has_extra(const struct writer *w, const char *text)
{
    return is_ours(w->r->provider) &&
           slice_search(w->r->extras, slice_str(text)) < w->r->extras.len;
}

/* Writes  "name":{  and returns where it began, for close_object(). */
static size_t open_object(struct writer *w, const char *name)
{
    size_t begun = w->t.len;
    text_add_json_key(&w->t, name);
    TEXT_ADD(&w->t, "{");
    return begun;
}

/* An object without members is taken back. */
static void close_object(struct writer *w, size_t begun)
{
    if (!w->t.is_full && w->t.len && w->t.ptr[w->t.len - 1] == '{') {
        w->t.len = begun;
    } else {
        TEXT_ADD(&w->t, "}");
    }
}

static void add_reasoning(struct writer *w)
{
    struct slice effort = openai_effort(w->r, w->o->profile);
    bool is_thinking =
        w->r->thinking == CHAT_THINKING_BUDGET || w->r->thinking == CHAT_THINKING_ADAPTIVE;
    if (w->o->profile->refuses_reasoning_effort) {
        if (effort.len || is_thinking) {
            write_drop(w, is_thinking ? "thinking" : "reasoning_effort");
        }
        return;
    }
    size_t begun = open_object(w, "reasoning");
    write_string_if(&w->t, "effort", effort);
    if (slice_eq(w->r->thinking_display, SLICE("summarized")) &&
        !has_extra(w, "\"reasoning.summary\"") && !has_extra(w, "\"reasoning.generate_summary\"")) {
        write_string(&w->t, "summary", SLICE("auto"));
    }
    add_extras_of(w, SLICE("reasoning."));
    close_object(w, begun);
    /* Nothing is kept there, so what proves a thought must come along. Models that refuse sampling
     * are those that reason unasked; others refuse to be asked for it. */
    bool reasons = effort.len || is_thinking || w->o->profile->refuses_sampling;
    if (reasons && !slice_eq(effort, SLICE("none")) && w->o->op == CHAT_OP_CHAT &&
        !has_extra(w, "\"include\"")) {
        write_raw(&w->t, "include", SLICE("[\"reasoning.encrypted_content\"]"));
    }
}

static void add_text_format(struct writer *w)
{
    size_t begun = open_object(w, "text");
    responses_add_format(&w->t, w->r, false);
    add_extras_of(w, SLICE("text."));
    close_object(w, begun);
}

static void add_max_tokens(struct writer *w)
{
    struct slice text = w->r->max_tokens.text;
    int64_t value = w->o->output_cap_tokens;
    if (text.len && !slice_to_i64(text, &value)) {
        write_raw(&w->t, "max_output_tokens", text); /* theirs to refuse */
        return;
    }
    if (!text.len && value < 0) {
        return;
    }
    if (value < OUTPUT_LEAST_TOKENS) {
        value = OUTPUT_LEAST_TOKENS;
        write_drop(w, "max_tokens");
    }
    write_count(&w->t, "max_output_tokens", value);
}

static void add_sampling(struct writer *w)
{
    const struct chat_request *r = w->r;
    const struct {
        const char *name;
        const struct chat_number *number;
        bool is_taken, is_default;
    } numbers[] = {
        {"temperature", &r->temperature, !w->o->profile->refuses_sampling,
         r->is_temperature_default},
        {"top_p", &r->top_p, !w->o->profile->refuses_sampling, false},
        {"frequency_penalty", &r->frequency_penalty, false, false},
        {"presence_penalty", &r->presence_penalty, false, false},
        {"top_k", &r->top_k, false, false},
        {"seed", &r->seed, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (numbers[i].is_taken) {
            write_raw_if(&w->t, numbers[i].name, numbers[i].number->text);
        } else if (numbers[i].number->text.len && !numbers[i].is_default) {
            write_drop(w, numbers[i].name);
        }
    }
    if (r->stop_count) {
        write_drop(w, "stop");
    }
    if (r->choices.text.len && !slice_eq(r->choices.text, SLICE("1"))) {
        write_drop(w, "n");
    }
}

/* What is not about counting. store is said only where the client said so: what it did not ask to
 * be kept is not. */
static void add_answering(struct writer *w)
{
    const struct chat_request *r = w->r;
    add_max_tokens(w);
    add_sampling(w);
    write_string_if(&w->t, "service_tier", openai_tier(r->service_tier));
    openai_add_short(&w->t, "safety_identifier", r->user, USER_MAX_BYTES);
    write_raw_if(&w->t, "metadata", r->metadata);
    if (!has_extra(w, "\"store\":")) {
        write_bool(&w->t, "store", false);
    }
    if (w->o->is_stream) {
        write_bool(&w->t, "stream", true);
    }
    add_extras_of(w, SLICE_NONE);
}

enum err responses_encode_request(struct arena *a, const struct chat_request *r,
                                  const struct encode_options *o, struct body_parts *out)
{
    assert(o->profile);
    struct writer w = write_begin(a, r, o, out);
    if (!is_ours(r->provider)) {
        drop_extras(&w.dropped, r->extras);
    }
    TEXT_ADD(&w.t, "{");
    write_string(&w.t, "model", o->model);
    add_input(&w);
    responses_add_tools(&w.t, &w.dropped, r, false);
    if (r->tool_count) {
        responses_add_tool_choice(&w.t, r);
    }
    if (r->parallel_tool_calls >= 0) {
        write_bool(&w.t, "parallel_tool_calls", r->parallel_tool_calls == 1);
    }
    add_text_format(&w);
    add_reasoning(&w);
    if (o->op != CHAT_OP_COUNT_TOKENS) {
        add_answering(&w);
    }
    TEXT_ADD(&w.t, "}");
    return write_end(&w.t, &w.dropped, out);
}
