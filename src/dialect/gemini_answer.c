/* Whole answers: the API's as neutral ones, and the other way round. */
#include "core/check.h"
#include "core/hash.h"
#include "dialect/gemini.h"
#include "dialect/write.h"

enum { CANDIDATES_MAX = 128, CITATIONS_MAX = 1024, ID_HASH_BYTES = 12 };

static const char *const kept[] = {"groundingMetadata", "urlContextMetadata", "citationMetadata",
                                   "safetyRatings",     "avgLogprobs",        "logprobsResult",
                                   "finishMessage",     "promptFeedback"};

bool gemini_is_kept(struct slice member)
{
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        if (slice_eq(member, slice_str(kept[i]))) {
            return true;
        }
    }
    return false;
}

/* Ids must differ between the turns of a conversation, or their results would be mixed up. */
struct slice gemini_call_id(struct arena *a, struct slice response_id, int choice, size_t index)
{
    struct sha256 hash = sha256_of(response_id);
    struct text t = text_growing(a);
    TEXT_ADD(&t, "call_");
    for (size_t i = 0; i < ID_HASH_BYTES; i++) {
        text_addf(&t, "%02x", (unsigned)hash.bytes[i]);
    }
    if (choice) {
        text_addf(&t, "_%d", choice);
    }
    text_addf(&t, "_%zu", index);
    return t.is_full ? SLICE_NONE : text_slice(&t);
}

/* --- citations ---------------------------------------------------------------------------------
 */

/* Places are told in bytes of UTF-8, and neutral in characters. */
static int64_t characters(struct slice text, int64_t bytes)
{
    int64_t count = 0;
    for (size_t i = 0; i < text.len && (int64_t)i < bytes; i++) {
        count += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    }
    return count;
}

static void add_citation(struct text *t, yyjson_val *source, yyjson_val *segment, struct slice text)
{
    int64_t start = 0, end = 0;
    struct slice url = json_get_string(source, "uri");
    bool is_placed = json_i64(json_get(segment, "endIndex"), &end) && text.len;
    if (!url.len) {
        return;
    }
    (void)json_i64(json_get(segment, "startIndex"), &start);
    text_add(t, t->len ? SLICE(",") : SLICE("["));
    TEXT_ADD(t, "{");
    write_string(t, "url", url);
    write_string_if(t, "title", json_get_string(source, "title"));
    if (is_placed) {
        write_count(t, "start", characters(text, start));
        write_count(t, "end", characters(text, end));
    }
    TEXT_ADD(t, "}");
}

static yyjson_val *source_of(yyjson_val *chunk)
{
    yyjson_val *web = json_get(chunk, "web");
    yyjson_val *context = json_get(chunk, "retrievedContext");
    return web ? web : context ? context : json_get(chunk, "maps");
}

/* Which sources stand behind which words. */
static size_t add_supports(struct text *t, yyjson_val *grounding, struct slice text)
{
    yyjson_val *chunks = json_get(grounding, "groundingChunks");
    yyjson_val *supports = json_get(grounding, "groundingSupports");
    yyjson_val *support, *v;
    size_t i, max, k, count, added = 0;
    yyjson_arr_foreach(supports, i, max, support)
    {
        yyjson_val *indices = json_get(support, "groundingChunkIndices");
        yyjson_arr_foreach(indices, k, count, v)
        {
            int64_t index = -1;
            bool is_known =
                json_i64(v, &index) && index >= 0 && index < CITATIONS_MAX && added < CITATIONS_MAX;
            if (is_known) {
                add_citation(t, source_of(yyjson_arr_get(chunks, (size_t)index)),
                             json_get(support, "segment"), text);
                added++;
            }
        }
    }
    return added;
}

struct slice gemini_citations(struct arena *a, yyjson_val *candidate, struct slice text)
{
    yyjson_val *grounding = json_get(candidate, "groundingMetadata");
    yyjson_val *chunks = json_get(grounding, "groundingChunks");
    yyjson_val *metadata = json_get(candidate, "citationMetadata");
    yyjson_val *sources = json_get(metadata, "citationSources"), *v;
    struct text t = text_growing(a);
    size_t i, max;
    if (add_supports(&t, grounding, text) == 0) {
        yyjson_arr_foreach(chunks, i, max, v)
        {
            add_citation(&t, source_of(v), NULL, text);
        }
    }
    sources = sources ? sources : json_get(metadata, "citations");
    yyjson_arr_foreach(sources, i, max, v)
    {
        add_citation(&t, v, v, text);
    }
    if (t.len) {
        TEXT_ADD(&t, "]");
    }
    return text_slice(&t);
}

/* They stand on the first text, counted from its beginning. */
static void attach_citations(struct decoder *d, yyjson_val *candidate, struct chat_choice *c)
{
    struct chat_part *first = NULL;
    struct text joined = text_growing(d->arena);
    for (size_t i = 0; i < c->part_count; i++) {
        if (c->parts[i].kind == CHAT_TEXT) {
            first = first || c->parts[i].extras.len ? first : &c->parts[i];
            text_add(&joined, c->parts[i].text);
        }
    }
    struct slice list =
        first ? gemini_citations(d->arena, candidate, text_slice(&joined)) : SLICE_NONE;
    if (list.len) {
        first->extras = arena_printf(d->arena, "{\"citations\":%.*s}", SLICE_ARG(list));
        d->failed = first->extras.ptr ? d->failed : E_NOMEM;
    }
    d->failed = joined.is_full ? E_NOMEM : d->failed;
}

/* --- in ----------------------------------------------------------------------------------------
 */

static void keep_members(struct decoder *d, yyjson_val *obj, struct chat_choice *c)
{
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        yyjson_val *v = json_get(obj, kept[i]);
        if (!json_is_none(v)) {
            c->parts[c->part_count++] = (struct chat_part){.kind = CHAT_OPAQUE,
                                                           .name = slice_str(kept[i]),
                                                           .data = read_json(d, v),
                                                           .provider = GEMINI_NAME};
        }
    }
}

static enum err make_parts(struct decoder *d, size_t room, struct chat_choice *c)
{
    c->parts = arena_array(d->arena, room + ARRAY_LEN(kept) + 1, sizeof(*c->parts));
    return c->parts ? OK : read_no_memory(d);
}

/* Calls without ids, and the finish that calls have. */
static enum err finish_calls(struct decoder *d, struct slice response_id, int choice,
                             struct chat_choice *c)
{
    size_t calls = 0;
    for (size_t i = 0; i < c->part_count; i++) {
        struct chat_part *p = &c->parts[i];
        if (p->kind != CHAT_TOOL_CALL) {
            continue;
        }
        if (!p->id.len) {
            p->id = gemini_call_id(d->arena, response_id, choice, calls);
        }
        if (!p->id.ptr) {
            return read_no_memory(d);
        }
        calls++;
    }
    if (calls && c->finish == CHAT_FINISH_STOP) {
        c->finish = CHAT_FINISH_TOOL_CALLS; /* told as STOP (trap 12) */
    }
    return OK;
}

static enum err take_candidate(struct decoder *d, yyjson_val *candidate, struct slice response_id,
                               struct chat_choice *out)
{
    yyjson_val *parts = json_get(json_get(candidate, "content"), "parts"), *v;
    int64_t index = 0;
    size_t i, max;
    if (make_parts(d, 2 * yyjson_arr_size(parts) + 1, out)) {
        return d->failed;
    }
    yyjson_arr_foreach(parts, i, max, v)
    {
        struct slice text = json_get_string(v, "text");
        bool is_nothing =
            yyjson_obj_size(v) == 0 || (text.ptr && !text.len && yyjson_obj_size(v) == 1);
        if (!is_nothing && gemini_take_part(d, v, out->parts, &out->part_count)) {
            return d->failed;
        }
    }
    (void)json_i64(json_get(candidate, "index"), &index);
    out->finish = gemini_finish(json_get_string(candidate, "finishReason"));
    struct slice why = json_get_string(candidate, "finishMessage");
    if (out->finish == CHAT_FINISH_FILTER && out->part_count == 0 && why.len) {
        out->parts[out->part_count++] = (struct chat_part){.kind = CHAT_REFUSAL, .text = why};
    }
    attach_citations(d, candidate, out);
    keep_members(d, candidate, out);
    int choice = index < 0 || index >= CANDIDATES_MAX ? 0 : (int)index;
    enum err e = finish_calls(d, response_id, choice, out);
    return e ? e : d->failed;
}

/* A prompt that was blocked is a refusal (trap 12). */
static enum err take_feedback(struct decoder *d, yyjson_val *root, struct chat_choice *out)
{
    yyjson_val *feedback = json_get(root, "promptFeedback");
    struct slice reason = json_get_string(feedback, "blockReason");
    struct slice message = json_get_string(feedback, "blockReasonMessage");
    if (!reason.len) {
        return E_SYNTAX;
    }
    if (make_parts(d, 1, out)) {
        return d->failed;
    }
    out->parts[out->part_count++] =
        (struct chat_part){.kind = CHAT_REFUSAL, .text = message.len ? message : reason};
    out->finish = CHAT_FINISH_FILTER;
    keep_members(d, root, out);
    return d->failed;
}

enum err gemini_decode_response(struct arena *a, struct slice body, struct chat_response *out)
{
    struct fault unused = {.kind = FAULT_NONE};
    struct decoder d = {.arena = a, .fault = &unused, .dropped = text_growing(a)};
    yyjson_val *root, *v;
    size_t i, max;
    enum err e = json_parse(a, slice_trim(body), &root, NULL);
    if (e || !yyjson_is_obj(root)) {
        return e ? e : E_SYNTAX;
    }
    yyjson_val *candidates = json_get(root, "candidates");
    *out = (struct chat_response){.id = json_get_string(root, "responseId"),
                                  .model = json_get_string(root, "modelVersion")};
    out->choices = arena_array(a, yyjson_arr_size(candidates) + 1, sizeof(*out->choices));
    if (!out->choices) {
        return E_NOMEM;
    }
    yyjson_arr_foreach(candidates, i, max, v)
    {
        e = e ? e : take_candidate(&d, v, out->id, &out->choices[out->choice_count++]);
    }
    if (!e && out->choice_count == 0) {
        e = take_feedback(&d, root, &out->choices[out->choice_count++]);
    }
    struct slice usage = read_json(&d, json_get(root, "usageMetadata"));
    gemini_read_usage(usage, &out->usage);
    out->has_usage = out->usage.is_known;
    return e ? e : d.failed;
}

/* --- out ---------------------------------------------------------------------------------------
 */

struct slice gemini_finish_name(enum chat_finish finish)
{
    switch (finish) {
    case CHAT_FINISH_LENGTH: return SLICE("MAX_TOKENS");
    case CHAT_FINISH_FILTER: return SLICE("SAFETY");
    case CHAT_FINISH_ERROR: return SLICE("OTHER");
    case CHAT_FINISH_NONE:
    case CHAT_FINISH_STOP:
    case CHAT_FINISH_TOOL_CALLS: break;
    }
    return SLICE("STOP");
}

void gemini_add_usage(struct text *t, const struct usage *u)
{
    text_add_json_key(t, "usageMetadata");
    TEXT_ADD(t, "{");
    write_count(t, "promptTokenCount", usage_prompt(u));
    write_count(t, "candidatesTokenCount", u->output);
    write_count(t, "totalTokenCount", usage_total(u));
    if (u->cache_read) {
        write_count(t, "cachedContentTokenCount", u->cache_read);
    }
    if (u->reasoning) {
        write_count(t, "thoughtsTokenCount", u->reasoning);
    }
    TEXT_ADD(t, "}");
}

static void add_call(struct text *t, const struct chat_part *p, size_t index)
{
    TEXT_ADD(t, "{\"functionCall\":{");
    if (p->id.len) {
        write_string(t, "id", p->id);
    } else {
        text_addf(t, "\"id\":\"call_%zu\"", index);
    }
    write_string(t, "name", p->name);
    text_add_json_key(t, "args");
    write_arguments(t, p->text, p->is_custom);
    TEXT_ADD(t, "}");
    if (p->signature.len) {
        TEXT_ADD(t, ",\"thoughtSignature\":");
        gemini_add_proof(t, p->signature, p->provider, false);
    }
    TEXT_ADD(t, "}");
}

static void add_thought(struct text *t, const struct chat_part *p)
{
    bool is_ours = slice_eq(p->provider, GEMINI_NAME);
    TEXT_ADD(t, "{");
    write_string(t, "text", p->text);
    if (p->text.len || !is_ours) {
        write_bool(t, "thought", true);
    }
    if (p->signature.len || p->data.len) {
        text_add_json_key(t, "thoughtSignature");
        gemini_add_proof(t, p->data.len ? p->data : p->signature, p->provider, p->data.len != 0);
    }
    TEXT_ADD(t, "}");
}

bool gemini_add_answer_part(struct text *t, const struct chat_part *p, size_t index)
{
    switch (p->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL:
        write_element(t);
        write_string(t, "text", p->text);
        if (p->extras.len > 2 && slice_eq(p->provider, GEMINI_NAME)) {
            text_add_char(t, ',');
            text_add(t, slice_of(p->extras.ptr + 1, p->extras.len - 2));
        }
        TEXT_ADD(t, "}");
        return true;
    case CHAT_THINKING:
        write_next(t);
        add_thought(t, p);
        return true;
    case CHAT_TOOL_CALL:
        write_next(t);
        add_call(t, p, index);
        return true;
    case CHAT_OPAQUE:
        if (slice_eq(p->provider, GEMINI_NAME) && !gemini_is_kept(p->name)) {
            write_next(t);
            text_add(t, p->data);
            return true;
        }
        break;
    case CHAT_IMAGE:
    case CHAT_AUDIO:
    case CHAT_FILE:
        if (p->data.len && p->media_type.len) {
            bool is_audio =
                p->kind == CHAT_AUDIO && slice_find(p->media_type, '/') == p->media_type.len;
            struct text type = text_growing(t->arena);
            text_add(&type, is_audio ? SLICE("audio/") : SLICE_NONE);
            text_add(&type, p->media_type);
            write_element(t);
            TEXT_ADD(t, "\"inlineData\":{");
            write_string(t, "mimeType", text_slice(&type));
            write_string(t, "data", p->data);
            TEXT_ADD(t, "}}");
            return true;
        }
        break;
    case CHAT_TOOL_RESULT: break; /* no answer holds one */
    }
    return false;
}

static const struct chat_part *find_kept(const struct chat_choice *c, const char *name)
{
    for (size_t i = 0; i < c->part_count; i++) {
        const struct chat_part *p = &c->parts[i];
        if (p->kind == CHAT_OPAQUE && slice_eq(p->provider, GEMINI_NAME) &&
            slice_eq(p->name, slice_str(name))) {
            return p;
        }
    }
    return NULL;
}

/* What other dialects cite, as if it had been searched for. */
static void add_foreign_citations(struct text *t, const struct chat_choice *c)
{
    size_t begin = t->len, added = 0;
    TEXT_ADD(t, ",\"groundingMetadata\":{\"groundingChunks\":[");
    for (size_t i = 0; i < c->part_count; i++) {
        yyjson_val *root, *v;
        size_t k, max;
        bool is_read = c->parts[i].kind == CHAT_TEXT && c->parts[i].extras.len &&
                       json_parse(t->arena, c->parts[i].extras, &root, NULL) == OK;
        yyjson_val *list = is_read ? json_get(root, "citations") : NULL;
        yyjson_arr_foreach(list, k, max, v)
        {
            if (json_get_string(v, "url").len) {
                write_element(t);
                TEXT_ADD(t, "\"web\":{");
                write_string(t, "uri", json_get_string(v, "url"));
                write_string_if(t, "title", json_get_string(v, "title"));
                TEXT_ADD(t, "}}");
                added++;
            }
        }
    }
    TEXT_ADD(t, "]}");
    t->len = added || t->is_full ? t->len : begin;
}

static void add_candidate(struct text *t, const struct chat_choice *c, size_t index)
{
    size_t calls = 0;
    write_element(t);
    TEXT_ADD(t, "\"content\":{\"parts\":[");
    for (size_t i = 0; i < c->part_count; i++) {
        (void)gemini_add_answer_part(t, &c->parts[i], calls);
        calls += c->parts[i].kind == CHAT_TOOL_CALL;
    }
    TEXT_ADD(t, "],\"role\":\"model\"}");
    write_string(t, "finishReason", gemini_finish_name(c->finish));
    write_count(t, "index", (int64_t)index);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        const struct chat_part *p = find_kept(c, kept[i]);
        if (p) {
            write_raw(t, kept[i], p->data);
        }
    }
    if (!find_kept(c, "groundingMetadata")) {
        add_foreign_citations(t, c);
    }
    TEXT_ADD(t, "}");
}

enum err gemini_encode_response(struct arena *a, const struct chat_response *r, const void *extras,
                                struct slice *out_body)
{
    struct text t = text_growing(a);
    const struct chat_part *blocked =
        r->choice_count ? find_kept(&r->choices[0], "promptFeedback") : NULL;
    (void)extras;
    TEXT_ADD(&t, "{");
    if (blocked) {
        write_raw(&t, "promptFeedback", blocked->data);
    } else {
        text_add_json_key(&t, "candidates");
        TEXT_ADD(&t, "[");
        for (size_t i = 0; i < r->choice_count; i++) {
            add_candidate(&t, &r->choices[i], i);
        }
        TEXT_ADD(&t, "]");
    }
    if (r->has_usage) {
        gemini_add_usage(&t, &r->usage);
    }
    write_string(&t, "modelVersion", r->model);
    write_string(&t, "responseId", r->id);
    TEXT_ADD(&t, "}");
    *out_body = text_slice(&t);
    return t.is_full ? E_NOMEM : OK;
}
