/* A whole neutral answer in OpenAI's words. */
#include "core/check.h"
#include "dialect/openai.h"
#include "dialect/write.h"

static bool has_kind(const struct chat_choice *c, enum chat_part_kind kind)
{
    for (size_t i = 0; i < c->part_count; i++) {
        if (c->parts[i].kind == kind) {
            return true;
        }
    }
    return false;
}

static void add_joined(struct text *t, const char *name, const struct chat_choice *c,
                       enum chat_part_kind kind)
{
    struct text joined = text_growing(t->arena);
    for (size_t i = 0; i < c->part_count; i++) {
        if (c->parts[i].kind == kind) {
            text_add(&joined, c->parts[i].text);
        }
    }
    write_string(t, name, text_slice(&joined));
    t->is_full = t->is_full || joined.is_full;
}

int64_t openai_character_count(struct slice text)
{
    int64_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    }
    return count;
}

void openai_add_usage(struct text *t, const struct usage *u)
{
    int64_t written = u->cache_write_5m + u->cache_write_1h;
    text_addf(t,
              ",\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld,"
              "\"prompt_tokens_details\":{\"cached_tokens\":%lld",
              (long long)usage_prompt(u), (long long)usage_completion(u), (long long)usage_total(u),
              (long long)u->cache_read);
    if (written) {
        write_count(t, "cache_write_tokens", written);
    }
    text_addf(t, "},\"completion_tokens_details\":{\"reasoning_tokens\":%lld}}",
              (long long)u->reasoning);
}

/* OpenRouter's names of the makers; Bedrock has none and goes by ours. */
static const struct {
    struct slice provider, format;
} formats[] = {
    {SLICE_INIT("anthropic"), SLICE_INIT("anthropic-claude-v1")},
    {SLICE_INIT("gemini"), SLICE_INIT("google-gemini-v1")},
    {SLICE_INIT("openai"), SLICE_INIT("openai-responses-v1")},
    {SLICE_INIT("bedrock"), SLICE_INIT("bedrock")},
};

struct slice openai_format_provider(struct slice format)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (slice_eq(format, formats[i].format)) {
            return formats[i].provider;
        }
    }
    return SLICE_NONE;
}

void openai_add_reasoning_detail(struct text *t, const struct chat_part *p, size_t index)
{
    struct slice format = p->provider;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (slice_eq(p->provider, formats[i].provider)) {
            format = formats[i].format;
        }
    }
    write_element(t);
    if (p->data.len) {
        write_string(t, "type", SLICE("reasoning.encrypted"));
        write_string(t, "data", p->data);
    } else {
        write_string(t, "type", SLICE("reasoning.text"));
        write_string(t, "text", p->text);
        write_string_if(t, "signature", p->signature);
    }
    write_string(t, "format", format);
    write_count(t, "index", (int64_t)index);
    TEXT_ADD(t, "}");
}

/* Thoughts as one text, and with what proves them where their maker is known. */
static void add_thinking(struct text *t, const struct chat_choice *c)
{
    size_t index = 0;
    add_joined(t, "reasoning_content", c, CHAT_THINKING);
    for (size_t i = 0; i < c->part_count; i++) {
        if (c->parts[i].kind == CHAT_THINKING && c->parts[i].provider.len) {
            if (index == 0) {
                text_add_json_key(t, "reasoning_details");
                TEXT_ADD(t, "[");
            }
            openai_add_reasoning_detail(t, &c->parts[i], index++);
        }
    }
    if (index) {
        TEXT_ADD(t, "]");
    }
}

/* start and end hold where the citation does not say itself which characters after start it is
 * about. */
static void add_annotation(struct text *t, yyjson_val *citation, int64_t start, int64_t end)
{
    int64_t from, to;
    if (json_i64(json_get(citation, "start"), &from) && json_i64(json_get(citation, "end"), &to)) {
        end = i64_add_sat(start, i64_max(to, 0));
        start = i64_add_sat(start, i64_max(from, 0));
    }
    write_element(t);
    TEXT_ADD(t, "\"type\":\"url_citation\",\"url_citation\":{");
    write_count(t, "start_index", start);
    write_count(t, "end_index", end);
    write_string(t, "title", json_get_string(citation, "title"));
    write_string(t, "url", json_get_string(citation, "url"));
    TEXT_ADD(t, "}}");
}

void openai_add_annotations(struct text *t, struct arena *scratch, struct slice citations,
                            int64_t start, int64_t end)
{
    yyjson_val *root, *v;
    size_t i, max, count = 0;
    if (citations.len == 0 || json_parse(scratch, citations, &root, NULL)) {
        return;
    }
    if (yyjson_is_obj(root) && json_get_string(root, "url").len) {
        TEXT_ADD(t, "\"annotations\":[");
        add_annotation(t, root, start, end);
        TEXT_ADD(t, "]");
        return;
    }
    yyjson_arr_foreach(root, i, max, v)
    {
        if (json_get_string(v, "url").len) {
            if (count++ == 0) {
                text_add_json_key(t, "annotations");
                TEXT_ADD(t, "[");
            }
            add_annotation(t, v, start, end);
        }
    }
    if (count) {
        TEXT_ADD(t, "]");
    }
}

/* Those of one text, which stands at start..end of the content. */
static void list_citations(struct text *list, const struct chat_part *p, int64_t start, int64_t end)
{
    yyjson_val *root, *v;
    size_t i, max;
    if (p->extras.len == 0 || json_parse(list->arena, p->extras, &root, NULL)) {
        return;
    }
    yyjson_val *citations = json_get(root, "citations");
    yyjson_arr_foreach(citations, i, max, v)
    {
        if (json_get_string(v, "url").len) {
            text_add(list, list->len ? SLICE_NONE : SLICE("["));
            add_annotation(list, v, start, end);
        }
    }
}

/* Citations of all texts in one list, each with the place of its text in the content. */
static void add_citations(struct text *t, const struct chat_choice *c)
{
    int64_t at = 0;
    struct text list = text_growing(t->arena);
    for (size_t i = 0; i < c->part_count; i++) {
        if (c->parts[i].kind == CHAT_TEXT) {
            int64_t end = at + openai_character_count(c->parts[i].text);
            list_citations(&list, &c->parts[i], at, end);
            at = end;
        }
    }
    if (list.len) {
        TEXT_ADD(&list, "]");
        write_raw(t, "annotations", text_slice(&list));
    }
    t->is_full = t->is_full || list.is_full;
}

/* Pictures that a model made, as OpenRouter and LiteLLM tell of them. */
static void add_images(struct text *t, const struct chat_choice *c)
{
    size_t count = 0;
    for (size_t i = 0; i < c->part_count; i++) {
        const struct chat_part *p = &c->parts[i];
        if (p->kind != CHAT_IMAGE || !p->data.len) {
            continue;
        }
        if (count++ == 0) {
            text_add_json_key(t, "images");
            TEXT_ADD(t, "[");
        }
        openai_add_image(t, p);
    }
    if (count) {
        TEXT_ADD(t, "]");
    }
}

static void add_message(struct text *t, const struct chat_choice *c)
{
    TEXT_ADD(t, "{\"role\":\"assistant\"");
    if (has_kind(c, CHAT_THINKING)) {
        add_thinking(t, c);
    }
    if (has_kind(c, CHAT_TEXT)) {
        add_joined(t, "content", c, CHAT_TEXT);
    } else {
        bool is_bare = !has_kind(c, CHAT_TOOL_CALL) && !has_kind(c, CHAT_REFUSAL);
        write_raw(t, "content", is_bare ? SLICE("\"\"") : SLICE("null"));
    }
    if (has_kind(c, CHAT_REFUSAL)) {
        add_joined(t, "refusal", c, CHAT_REFUSAL);
    } else {
        write_raw(t, "refusal", SLICE("null"));
    }
    add_citations(t, c);
    add_images(t, c);
    openai_add_calls(t, c->parts, c->part_count, true);
    TEXT_ADD(t, "}");
}

enum err openai_encode_response(struct arena *a, const struct chat_response *r, const void *extras,
                                struct slice *out_body)
{
    (void)extras;
    struct text t = text_growing(a);
    TEXT_ADD(&t, "{");
    write_string(&t, "id", r->id);
    write_string(&t, "object", SLICE("chat.completion"));
    write_count(&t, "created", r->created_unix_s);
    write_string(&t, "model", r->model);
    text_add_json_key(&t, "choices");
    TEXT_ADD(&t, "[");
    for (size_t i = 0; i < r->choice_count; i++) {
        const struct chat_choice *c = &r->choices[i];
        write_element(&t);
        text_addf(&t, "\"index\":%zu,\"message\":", i);
        add_message(&t, c);
        write_string(&t, "finish_reason",
                     c->finish == CHAT_FINISH_NONE ? SLICE("stop") : openai_finish_name(c->finish));
        write_string_if(&t, "stop_reason", c->stop_sequence);
        TEXT_ADD(&t, ",\"logprobs\":null}");
    }
    TEXT_ADD(&t, "]");
    if (r->has_usage) {
        openai_add_usage(&t, &r->usage);
    }
    bool is_standard = slice_eq(r->service_tier, SLICE("standard")); /* Anthropic's word for it */
    write_string_if(&t, "service_tier", is_standard ? SLICE("default") : r->service_tier);
    TEXT_ADD(&t, "}");
    *out_body = text_slice(&t);
    return t.is_full ? E_NOMEM : OK;
}
