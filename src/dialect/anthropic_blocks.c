/* Content blocks, of requests and answers alike, and whole answers, as neutral parts. */
#include "dialect/anthropic.h"
#include "dialect/write.h"

enum err anthropic_refuse_at(struct decoder *d, const char *member, const char *what)
{
    struct slice param = read_place(d, member);
    anthropic_refuse(d->arena, d->fault, param, "%.*s: %s", SLICE_ARG(param), what);
    d->failed = E_SYNTAX;
    return E_SYNTAX;
}

/* What the block has beside the names, kept for this dialect alone. */
static void take_extras(struct decoder *d, yyjson_val *v, struct chat_part *out,
                        const char *const *names, size_t count)
{
    out->extras = read_extras(d, v, names, count);
    if (out->extras.len) {
        out->provider = ANTHROPIC_NAME;
    }
}

static enum err take_source(struct decoder *d, yyjson_val *source, struct chat_part *out)
{
    struct slice type = json_get_string(source, "type");
    if (slice_eq(type, SLICE("base64"))) {
        out->media_type = json_get_string(source, "media_type");
        out->data = json_get_string(source, "data");
        return out->data.len ? OK : anthropic_refuse_at(d, "source.data", "Field required");
    }
    if (slice_eq(type, SLICE("url"))) {
        out->url = json_get_string(source, "url");
        return out->url.len ? OK : anthropic_refuse_at(d, "source.url", "Field required");
    }
    if (slice_eq(type, SLICE("file"))) {
        out->file_id = json_get_string(source, "file_id");
        out->provider = ANTHROPIC_NAME;
        return out->file_id.len ? OK : anthropic_refuse_at(d, "source.file_id", "Field required");
    }
    if (slice_eq(type, SLICE("text")) && out->kind == CHAT_FILE) {
        out->media_type = SLICE("text/plain");
        out->text = json_get_string(source, "data");
        return out->text.len ? OK : anthropic_refuse_at(d, "source.data", "Field required");
    }
    return anthropic_refuse_at(d, "source.type", "Input tag is not one of the expected ones");
}

/* Blocks inside a document or a result. */
static enum err take_nested(struct decoder *d, yyjson_val *content, struct chat_part *out)
{
    struct slice place = d->place;
    if (json_is_none(content)) {
        return OK;
    }
    out->parts = arena_array(d->arena, read_content_size(content) + 1, sizeof(*out->parts));
    if (!out->parts) {
        return read_no_memory(d);
    }
    if (yyjson_is_str(content)) {
        out->parts[out->part_count++] =
            (struct chat_part){.kind = CHAT_TEXT, .text = json_string(content)};
        return OK;
    }
    if (!yyjson_is_arr(content)) {
        return anthropic_refuse_at(d, "content", "Input should be a valid string or array");
    }
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(content, i, max, v)
    {
        struct chat_part *part = &out->parts[out->part_count++];
        d->place = arena_printf(d->arena, "%.*s.content.%zu", SLICE_ARG(place), i);
        struct slice type = json_get_string(v, "type");
        bool is_deep = slice_eq(type, SLICE("tool_result")) || slice_eq(type, SLICE("tool_use")) ||
                       slice_eq(type, SLICE("thinking")) ||
                       slice_eq(type, SLICE("redacted_thinking")) ||
                       (slice_eq(type, SLICE("document")) && out->kind == CHAT_FILE);
        if (is_deep) {
            return anthropic_refuse_at(d, "type", "this block cannot stand inside another");
        }
        if (anthropic_take_block(d, v, part)) {
            return d->failed;
        }
    }
    d->place = place;
    return OK;
}

static enum err take_text(struct decoder *d, yyjson_val *v, struct chat_part *out)
{
    static const char *const names[] = {"type", "text", "cache_control"};
    out->kind = CHAT_TEXT;
    out->text = json_get_string(v, "text");
    take_extras(d, v, out, names, ARRAY_LEN(names));
    return out->text.ptr ? OK : anthropic_refuse_at(d, "text", "Field required");
}

static enum err take_image(struct decoder *d, yyjson_val *v, struct chat_part *out)
{
    static const char *const names[] = {"type", "source", "cache_control"};
    out->kind = CHAT_IMAGE;
    take_extras(d, v, out, names, ARRAY_LEN(names));
    return take_source(d, json_get(v, "source"), out);
}

static enum err take_document(struct decoder *d, yyjson_val *v, struct chat_part *out)
{
    static const char *const names[] = {"type", "source", "title", "cache_control"};
    yyjson_val *source = json_get(v, "source");
    out->kind = CHAT_FILE;
    out->name = json_get_string(v, "title");
    take_extras(d, v, out, names, ARRAY_LEN(names));
    if (!slice_eq(json_get_string(source, "type"), SLICE("content"))) {
        return take_source(d, source, out);
    }
    if (take_nested(d, json_get(source, "content"), out)) {
        return d->failed;
    }
    return out->part_count ? OK : anthropic_refuse_at(d, "source.content", "Field required");
}

static enum err take_tool_use(struct decoder *d, yyjson_val *v, struct chat_part *out)
{
    static const char *const names[] = {"type", "id", "name", "input", "cache_control"};
    yyjson_val *input = json_get(v, "input");
    out->kind = CHAT_TOOL_CALL;
    out->id = json_get_string(v, "id");
    out->name = json_get_string(v, "name");
    out->text = json_is_none(input) ? SLICE("{}") : json_text(d->arena, input);
    take_extras(d, v, out, names, ARRAY_LEN(names));
    if (!out->text.ptr) {
        return read_no_memory(d);
    }
    return out->name.len ? OK : anthropic_refuse_at(d, "name", "Field required");
}

static enum err take_result(struct decoder *d, yyjson_val *v, struct chat_part *out)
{
    static const char *const names[] = {"type", "tool_use_id", "content", "is_error",
                                        "cache_control"};
    out->kind = CHAT_TOOL_RESULT;
    out->id = json_get_string(v, "tool_use_id");
    out->is_error = json_is_true(json_get(v, "is_error"));
    take_extras(d, v, out, names, ARRAY_LEN(names));
    if (!out->id.len) {
        return anthropic_refuse_at(d, "tool_use_id", "Field required");
    }
    return take_nested(d, json_get(v, "content"), out);
}

/* A signature that another provider made was given to the client with its maker's name before it,
 * so that it never goes to a provider that would refuse it. Base64 holds no colon. */
static struct slice take_proof(struct slice proof, struct slice *out_provider)
{
    size_t colon = slice_find(proof, ':');
    *out_provider = proof.len ? ANTHROPIC_NAME : SLICE_NONE;
    if (colon == proof.len) {
        return proof;
    }
    *out_provider = slice_head(proof, colon);
    return slice_from(proof, colon + 1);
}

static enum err take_thinking(struct decoder *d, yyjson_val *v, struct chat_part *out)
{
    out->kind = CHAT_THINKING;
    out->text = json_get_string(v, "thinking");
    out->data = json_get_string(v, "data");
    out->signature = take_proof(json_get_string(v, "signature"), &out->provider);
    if (out->data.len) {
        out->data = take_proof(out->data, &out->provider);
    }
    return out->text.ptr || out->data.len ? OK
                                          : anthropic_refuse_at(d, "thinking", "Field required");
}

static enum err take_opaque(struct decoder *d, yyjson_val *v, struct chat_part *out)
{
    out->kind = CHAT_OPAQUE;
    out->name = json_get_string(v, "type");
    out->data = json_text(d->arena, v);
    out->provider = ANTHROPIC_NAME;
    if (!out->data.ptr) {
        return read_no_memory(d);
    }
    return out->name.len ? OK : anthropic_refuse_at(d, "type", "Field required");
}

enum err anthropic_take_block(struct decoder *d, yyjson_val *v, struct chat_part *out)
{
    static const struct {
        struct slice type;
        enum err (*take)(struct decoder *d, yyjson_val *v, struct chat_part *out);
    } kinds[] = {
        {SLICE_INIT("text"), take_text},
        {SLICE_INIT("image"), take_image},
        {SLICE_INIT("document"), take_document},
        {SLICE_INIT("tool_use"), take_tool_use},
        {SLICE_INIT("tool_result"), take_result},
        {SLICE_INIT("thinking"), take_thinking},
        {SLICE_INIT("redacted_thinking"), take_thinking},
    };
    struct slice type = json_get_string(v, "type");
    if (!yyjson_is_obj(v)) {
        return anthropic_refuse_at(d, "", "Input should be a valid object");
    }
    *out = (struct chat_part){.kind = CHAT_OPAQUE};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (slice_eq(type, kinds[i].type)) {
            out->cache_marker = read_json(d, json_get(v, "cache_control"));
            enum err e = kinds[i].take(d, v, out);
            return e ? e : d->failed;
        }
    }
    return take_opaque(d, v, out);
}

/* --- whole answers -----------------------------------------------------------------------------
 */

/* The call that stands for a formatted answer (ANTHROPIC_JSON_TOOL) is text again. */
static void take_formatted(struct chat_choice *c)
{
    size_t calls = 0, formatted = 0;
    for (size_t i = 0; i < c->part_count; i++) {
        struct chat_part *p = &c->parts[i];
        calls += p->kind == CHAT_TOOL_CALL;
        if (p->kind == CHAT_TOOL_CALL && slice_eq(p->name, ANTHROPIC_JSON_TOOL)) {
            *p = (struct chat_part){.kind = CHAT_TEXT, .text = p->text};
            formatted++;
        }
    }
    if (formatted && formatted == calls && c->finish == CHAT_FINISH_TOOL_CALLS) {
        c->finish = CHAT_FINISH_STOP;
    }
}

enum err anthropic_decode_response(struct arena *a, struct slice body, struct chat_response *out)
{
    struct fault unused = {.kind = FAULT_NONE};
    struct decoder d = {
        .arena = a, .fault = &unused, .dropped = text_growing(a), .place = SLICE("content")};
    yyjson_val *root, *v;
    size_t i, max;
    enum err e = json_parse(a, slice_trim(body), &root, NULL);
    yyjson_val *content = e ? NULL : json_get(root, "content");
    if (e || !yyjson_is_arr(content)) {
        return e ? e : E_SYNTAX;
    }
    struct chat_choice *c = ARENA_NEW(a, struct chat_choice);
    struct chat_part *parts = arena_array(a, yyjson_arr_size(content) + 1, sizeof(*parts));
    if (!c || !parts) {
        return E_NOMEM;
    }
    c->parts = parts;
    yyjson_arr_foreach(content, i, max, v)
    {
        if (anthropic_take_block(&d, v, &c->parts[c->part_count++])) {
            return d.failed;
        }
    }
    c->finish = anthropic_finish(json_get_string(root, "stop_reason"));
    c->stop_sequence = json_get_string(root, "stop_sequence");
    c->stop_details = read_json(&d, json_get(root, "stop_details"));
    take_formatted(c);
    *out = (struct chat_response){
        .id = json_get_string(root, "id"),
        .model = json_get_string(root, "model"),
        .choices = c,
        .choice_count = 1,
        .service_tier = json_get_string(json_get(root, "usage"), "service_tier"),
    };
    struct slice usage = read_json(&d, json_get(root, "usage"));
    anthropic_read_usage(usage, &out->usage);
    out->has_usage = out->usage.is_known;
    return OK;
}
