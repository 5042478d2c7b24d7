/* Answers in the words of the Responses API, and the objects that their events repeat. */
#include "dialect/responses.h"
#include "dialect/write.h"

/* --- the answer around its items ---------------------------------------------------------------
 */

enum responses_status responses_status_of(enum chat_finish finish)
{
    switch (finish) {
    case CHAT_FINISH_LENGTH:
    case CHAT_FINISH_FILTER: return RESPONSES_INCOMPLETE;
    case CHAT_FINISH_ERROR: return RESPONSES_FAILED;
    case CHAT_FINISH_NONE:
    case CHAT_FINISH_STOP:
    case CHAT_FINISH_TOOL_CALLS: break;
    }
    return RESPONSES_COMPLETED;
}

static struct slice status_name(enum responses_status status)
{
    switch (status) {
    case RESPONSES_IN_PROGRESS: return SLICE("in_progress");
    case RESPONSES_COMPLETED: return SLICE("completed");
    case RESPONSES_INCOMPLETE: return SLICE("incomplete");
    case RESPONSES_FAILED: return SLICE("failed");
    }
    return SLICE("failed");
}

static void add_or_null(struct text *t, const char *name, struct slice json)
{
    write_raw(t, name, json.len ? json : SLICE("null"));
}

/* Letters, digits and a few signs: what ids are made of. */
static void add_plain(struct text *t, struct slice id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || c == '.';
        text_add(t, is_fine ? slice_of(&id.ptr[i], 1) : SLICE("_"));
    }
}

static void add_id(struct text *t, struct slice id)
{
    text_add_json_key(t, "id");
    text_add_char(t, '"');
    text_add(t, slice_starts(id, SLICE("resp_")) ? SLICE_NONE : SLICE("resp_"));
    add_plain(t, id.len ? id : SLICE("0"));
    text_add_char(t, '"');
}

static void add_state(struct text *t, const struct responses_head *h)
{
    static const struct fault unsaid = {.kind = FAULT_UPSTREAM};
    write_string(t, "status", status_name(h->status));
    write_bool(t, "background", false);
    if (h->status == RESPONSES_FAILED) {
        responses_add_error(t, h->fault ? h->fault : &unsaid);
    } else {
        write_raw(t, "error", SLICE("null"));
    }
    if (h->status == RESPONSES_INCOMPLETE) {
        write_raw(t, "incomplete_details",
                  h->finish == CHAT_FINISH_FILTER ? SLICE("{\"reason\":\"content_filter\"}")
                                                  : SLICE("{\"reason\":\"max_output_tokens\"}"));
    } else {
        write_raw(t, "incomplete_details", SLICE("null"));
    }
}

void responses_open(struct text *t, const struct responses_head *h)
{
    const struct chat_request *r = h->request;
    TEXT_ADD(t, "{");
    add_id(t, h->id);
    write_string(t, "object", SLICE("response"));
    write_count(t, "created_at", h->created_unix_s);
    add_state(t, h);
    if (r && responses_has_instructions(r)) {
        write_string(t, "instructions", r->messages[0].parts[0].text);
    } else {
        write_raw(t, "instructions", SLICE("null"));
    }
    add_or_null(t, "max_output_tokens", r ? r->max_tokens.text : SLICE_NONE);
    write_string(t, "model", h->model);
    text_add_json_key(t, "output");
    TEXT_ADD(t, "[");
}

static void add_usage(struct text *t, const struct usage *u)
{
    long long written = (long long)u->cache_write_5m + (long long)u->cache_write_1h;
    text_addf(t,
              ",\"usage\":{\"input_tokens\":%lld,\"input_tokens_details\":{\"cached_tokens\":%lld,"
              "\"cache_write_tokens\":%lld},\"output_tokens\":%lld,\"output_tokens_details\":{"
              "\"reasoning_tokens\":%lld},\"total_tokens\":%lld}",
              (long long)usage_prompt(u), (long long)u->cache_read, written,
              (long long)usage_completion(u), (long long)u->reasoning, (long long)usage_total(u));
}

/* What the request asked for, as the API repeats it. Nothing is stored here. */
static void add_echo(struct text *t, const struct chat_request *r)
{
    struct text dropped = text_growing(t->arena);
    struct slice effort = r ? r->reasoning_effort : SLICE_NONE;
    write_bool(t, "parallel_tool_calls", !r || r->parallel_tool_calls != 0);
    write_raw(t, "previous_response_id", SLICE("null"));
    text_add_json_key(t, "reasoning");
    TEXT_ADD(t, "{");
    if (effort.len) {
        write_string(t, "effort", effort);
    } else {
        write_raw(t, "effort", SLICE("null"));
    }
    write_raw(t, "summary", r && r->thinking_display.len ? SLICE("\"auto\"") : SLICE("null"));
    TEXT_ADD(t, "}");
    write_bool(t, "store", false);
    add_or_null(t, "temperature", r ? r->temperature.text : SLICE_NONE);
    text_add_json_key(t, "text");
    TEXT_ADD(t, "{");
    responses_add_format(t, r, true);
    TEXT_ADD(t, "}");
    if (r && r->tool_choice != CHAT_CHOICE_DEFAULT) {
        responses_add_tool_choice(t, r);
    } else {
        write_string(t, "tool_choice", SLICE("auto"));
    }
    responses_add_tools(t, &dropped, r, true);
    add_or_null(t, "top_p", r ? r->top_p.text : SLICE_NONE);
    write_string(t, "truncation", SLICE("disabled"));
    write_raw(t, "metadata", r && r->metadata.len ? r->metadata : SLICE("{}"));
    t->is_full = t->is_full || dropped.is_full;
}

/* What another provider calls its tier, where the API has a name for it. */
static struct slice tier_of(struct slice tier)
{
    static const struct slice names[] = {SLICE_INIT("auto"), SLICE_INIT("default"),
                                         SLICE_INIT("flex"), SLICE_INIT("scale"),
                                         SLICE_INIT("priority")};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(tier, names[i])) {
            return tier;
        }
    }
    return tier.len ? SLICE("default") : SLICE_NONE; /* Anthropic's standard */
}

void responses_close(struct text *t, const struct responses_head *h)
{
    TEXT_ADD(t, "]");
    add_echo(t, h->request);
    write_string_if(t, "service_tier", tier_of(h->service_tier));
    if (h->usage) {
        add_usage(t, h->usage);
    } else {
        write_raw(t, "usage", SLICE("null"));
    }
    TEXT_ADD(t, "}");
}

/* --- items -------------------------------------------------------------------------------------
 */

bool responses_add_annotation(struct text *t, yyjson_val *citation, bool is_ours, int64_t start,
                              int64_t end)
{
    if (is_ours) {
        write_next(t);
        json_add(t, t->arena, citation);
        return true;
    }
    struct slice url = json_get_string(citation, "url");
    if (!url.len) {
        return false;
    }
    write_element(t);
    write_string(t, "type", SLICE("url_citation"));
    write_count(t, "start_index", start);
    write_count(t, "end_index", end);
    write_string(t, "url", url);
    write_string(t, "title", json_get_string(citation, "title"));
    TEXT_ADD(t, "}");
    return true;
}

void responses_add_annotations(struct text *t, const struct chat_part *p)
{
    bool is_ours = slice_eq(p->provider, RESPONSES_NAME);
    int64_t end = openai_character_count(p->text);
    yyjson_val *root = NULL, *v;
    size_t i, max;
    if (p->extras.len && json_parse(t->arena, p->extras, &root, NULL) == E_NOMEM) {
        t->is_full = true;
    }
    yyjson_val *citations = json_get(root, "citations");
    text_add_json_key(t, "annotations");
    TEXT_ADD(t, "[");
    yyjson_arr_foreach(citations, i, max, v)
    {
        (void)responses_add_annotation(t, v, is_ours, 0, end);
    }
    TEXT_ADD(t, "]");
}

void responses_add_content(struct text *t, const struct chat_part *p)
{
    TEXT_ADD(t, "{");
    if (p->kind == CHAT_REFUSAL) {
        write_string(t, "type", SLICE("refusal"));
        write_string(t, "refusal", p->text);
    } else {
        write_string(t, "type", SLICE("output_text"));
        responses_add_annotations(t, p);
        write_raw(t, "logprobs", SLICE("[]"));
        write_string(t, "text", p->text);
    }
    TEXT_ADD(t, "}");
}

static bool is_said(const struct chat_part *p)
{
    return p->kind == CHAT_TEXT || p->kind == CHAT_REFUSAL;
}

static bool is_custom(const struct responses_item *item)
{
    return item->parts[0].is_custom || responses_is_custom(item->request, item->parts[0].name);
}

void responses_add_item_id(struct text *t, const struct responses_item *item)
{
    const struct chat_part *p = item->parts;
    text_add(t, p->kind == CHAT_THINKING ? SLICE("\"rs_gw_")
                : is_said(p)             ? SLICE("\"msg_")
                : is_custom(item)        ? SLICE("\"ctc_")
                                         : SLICE("\"fc_"));
    add_plain(t, item->answer.len ? item->answer : SLICE("0"));
    text_addf(t, "_%zu\"", item->index);
}

void responses_add_phase(struct text *t, const struct chat_part *p)
{
    static const struct span_name name = {SLICE_INIT("phase"), false};
    struct span phase;
    struct span_object o;
    if (slice_eq(p->provider, RESPONSES_NAME) && p->extras.len &&
        spans_scan(p->extras, &name, 1, &phase, &o) == OK && read_is_given(&phase)) {
        write_raw(t, "phase", phase.value);
    }
}

static void add_message(struct text *t, const struct responses_item *item)
{
    write_string(t, "status", status_name(item->status));
    write_string(t, "role", SLICE("assistant"));
    responses_add_phase(t, item->parts);
    text_add_json_key(t, "content");
    TEXT_ADD(t, "[");
    for (size_t i = 0; i < item->count && item->status != RESPONSES_IN_PROGRESS; i++) {
        write_next(t);
        responses_add_content(t, &item->parts[i]);
    }
    TEXT_ADD(t, "]");
}

static void add_reasoning(struct text *t, const struct responses_item *item)
{
    const struct chat_part *p = item->parts;
    bool is_told = item->status != RESPONSES_IN_PROGRESS;
    text_add_json_key(t, "summary");
    TEXT_ADD(t, "[");
    if (is_told && p->text.len) {
        TEXT_ADD(t, "{\"type\":\"summary_text\"");
        write_string(t, "text", p->text);
        TEXT_ADD(t, "}");
    }
    TEXT_ADD(t, "]");
    if (is_told) {
        responses_add_proof(t, p);
    }
}

static void add_call(struct text *t, const struct responses_item *item)
{
    const struct chat_part *p = item->parts;
    bool is_told = item->status != RESPONSES_IN_PROGRESS;
    struct slice text = p->text;
    if (p->id.len) {
        responses_add_call_id(t, p->id);
    } else { /* servers that give none */
        text_add_json_key(t, "call_id");
        text_addf(t, "\"call_%zu\"", item->index);
    }
    write_string(t, "name", p->name);
    write_string(t, "status", status_name(item->status));
    if (is_custom(item)) { /* called as a function of one text where customs are not known */
        if (!p->is_custom) {
            (void)responses_unwrap(t->arena, p->text, &text);
        }
        write_string(t, "input", is_told ? text : SLICE_NONE);
    } else {
        text = text.len ? text : SLICE("{}");
        write_string(t, "arguments", is_told ? text : SLICE_NONE);
    }
}

bool responses_is_item(const struct chat_part *p)
{
    return is_said(p) || p->kind == CHAT_THINKING || p->kind == CHAT_TOOL_CALL ||
           (p->kind == CHAT_OPAQUE && slice_eq(p->provider, RESPONSES_NAME));
}

void responses_add_item(struct text *t, const struct responses_item *item)
{
    const struct chat_part *p = item->parts;
    if (p->kind == CHAT_OPAQUE) {
        text_add(t, p->data);
        return;
    }
    TEXT_ADD(t, "{");
    write_string(t, "type",
                 is_said(p)                 ? SLICE("message")
                 : p->kind == CHAT_THINKING ? SLICE("reasoning")
                 : is_custom(item)          ? SLICE("custom_tool_call")
                                            : SLICE("function_call"));
    text_add_json_key(t, "id");
    responses_add_item_id(t, item);
    if (is_said(p)) {
        add_message(t, item);
    } else if (p->kind == CHAT_THINKING) {
        add_reasoning(t, item);
    } else {
        add_call(t, item);
    }
    TEXT_ADD(t, "}");
}

/* --- whole answers -----------------------------------------------------------------------------
 */

/* What another maker signs a call with has no place in the call's item: as a thought that says
 * nothing, for the client to hand back. */
static void add_signature(struct text *t, struct responses_item *item)
{
    const struct chat_part *call = item->parts;
    const struct chat_part thought = {
        .kind = CHAT_THINKING, .signature = call->signature, .provider = call->provider};
    if (call->kind == CHAT_TOOL_CALL && call->signature.len) {
        struct responses_item proof = *item;
        proof.parts = &thought;
        proof.status = RESPONSES_COMPLETED;
        write_next(t);
        responses_add_item(t, &proof);
        item->index++;
    }
}

static void add_items(struct text *t, const struct chat_response *r, const struct chat_choice *c)
{
    struct responses_item item = {
        .answer = r->id, .status = RESPONSES_COMPLETED, .request = r->request};
    size_t at = 0;
    while (at < c->part_count) {
        item.parts = &c->parts[at];
        item.count = 1;
        while (is_said(item.parts) && at + item.count < c->part_count &&
               is_said(&item.parts[item.count])) {
            item.count++;
        }
        at += item.count;
        if (at == c->part_count && c->finish == CHAT_FINISH_LENGTH) {
            item.status = RESPONSES_INCOMPLETE; /* the one that was cut */
        }
        if (responses_is_item(item.parts)) {
            add_signature(t, &item);
            write_next(t);
            responses_add_item(t, &item);
            item.index++;
        }
    }
}

enum err responses_encode_response(struct arena *a, const struct chat_response *r,
                                   const void *extras, struct slice *out_body)
{
    static const struct chat_choice none = {.finish = CHAT_FINISH_NONE};
    const struct chat_choice *c = r->choice_count ? &r->choices[0] : &none;
    const struct responses_head h = {.id = r->id,
                                     .model = r->model,
                                     .service_tier = r->service_tier,
                                     .created_unix_s = r->created_unix_s,
                                     .status = responses_status_of(c->finish),
                                     .finish = c->finish,
                                     .usage = r->has_usage ? &r->usage : NULL,
                                     .request = r->request};
    struct text t = text_growing(a);
    (void)extras;
    responses_open(&t, &h);
    add_items(&t, r, c);
    responses_close(&t, &h);
    *out_body = text_slice(&t);
    return t.is_full ? E_NOMEM : OK;
}
