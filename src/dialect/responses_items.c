/* Items of the Responses API, of requests and of answers, as neutral parts. */
#include "dialect/responses.h"
#include "dialect/write.h"

enum err responses_refuse(struct decoder *d, const char *member, const char *what)
{
    struct slice param = read_place(d, member);
    openai_refuse(d->arena, d->fault, NULL, "invalid_value", "Invalid value for '%.*s': %s.",
                  SLICE_ARG(param), what);
    d->fault->param = param;
    d->failed = E_SYNTAX;
    return E_SYNTAX;
}

static void take_extras(struct decoder *d, yyjson_val *v, struct chat_part *out,
                        const char *const *names, size_t count)
{
    out->extras = read_extras(d, v, names, count);
    if (out->extras.len) {
        out->provider = RESPONSES_NAME;
    }
}

/* --- parts of content --------------------------------------------------------------------------
 */

static enum err take_opaque(struct decoder *d, yyjson_val *v, struct chat_part *out)
{
    out->kind = CHAT_OPAQUE;
    out->name = json_get_string(v, "type");
    out->data = json_text(d->arena, v);
    out->provider = RESPONSES_NAME;
    if (!out->data.ptr) {
        return read_no_memory(d);
    }
    return out->name.len ? OK : responses_refuse(d, "type", "it is missing");
}

static enum err take_image(struct decoder *d, yyjson_val *v, struct chat_part *out)
{
    struct slice url = json_get_string(v, "image_url");
    out->kind = CHAT_IMAGE;
    out->detail = json_get_string(v, "detail");
    if (slice_eq(out->detail, SLICE("auto"))) { /* what is meant where nothing is said */
        out->detail = SLICE_NONE;
    }
    out->file_id = json_get_string(v, "file_id");
    out->provider = out->file_id.len ? RESPONSES_MAKER : SLICE_NONE;
    if (url.len) {
        openai_take_url(out, url);
    }
    return url.len || out->file_id.len
               ? OK
               : responses_refuse(d, "image_url", "an image needs image_url or file_id");
}

static enum err take_file(struct decoder *d, yyjson_val *v, struct chat_part *out)
{
    struct slice data = json_get_string(v, "file_data");
    out->kind = CHAT_FILE;
    out->name = json_get_string(v, "filename");
    out->file_id = json_get_string(v, "file_id");
    out->provider = out->file_id.len ? RESPONSES_MAKER : SLICE_NONE;
    out->url = json_get_string(v, "file_url");
    out->detail = json_get_string(v, "detail");
    if (slice_starts(data, SLICE("data:"))) {
        openai_take_url(out, data);
    } else if (data.len) { /* bare base64; PDF is what the API takes */
        out->media_type = SLICE("application/pdf");
        out->data = data;
    }
    return data.len || out->file_id.len || out->url.len
               ? OK
               : responses_refuse(d, "file_data", "a file needs file_data, file_url or file_id");
}

static enum err take_audio(struct decoder *d, yyjson_val *v, struct chat_part *out)
{
    yyjson_val *audio = json_get(v, "input_audio");
    out->kind = CHAT_AUDIO;
    out->media_type = json_get_string(audio, "format");
    out->data = json_get_string(audio, "data");
    return out->data.len ? OK : responses_refuse(d, "input_audio", "audio needs data");
}

/* A text with the sources it names, which other dialects tell, too. */
static enum err take_text(struct decoder *d, yyjson_val *v, struct chat_part *out)
{
    yyjson_val *annotations = json_get(v, "annotations");
    out->kind = CHAT_TEXT;
    out->text = json_get_string(v, "text");
    if (yyjson_arr_size(annotations)) {
        struct text t = text_growing(d->arena);
        TEXT_ADD(&t, "{\"citations\":");
        json_add(&t, d->arena, annotations);
        TEXT_ADD(&t, "}");
        out->extras = text_slice(&t);
        out->provider = RESPONSES_NAME;
        if (t.is_full) {
            return read_no_memory(d);
        }
    }
    return out->text.ptr ? OK : responses_refuse(d, "text", "a text part needs text");
}

static enum err take_refusal(struct decoder *d, yyjson_val *v, struct chat_part *out)
{
    out->kind = CHAT_REFUSAL;
    out->text = json_get_string(v, "refusal");
    return out->text.ptr ? OK : responses_refuse(d, "refusal", "expected a string");
}

static enum err take_part(struct decoder *d, yyjson_val *v, struct chat_part *out)
{
    static const struct {
        struct slice type;
        enum err (*take)(struct decoder *d, yyjson_val *v, struct chat_part *out);
    } kinds[] = {
        {SLICE_INIT("input_text"), take_text},
        {SLICE_INIT("output_text"), take_text},
        {SLICE_INIT("text"), take_text},
        {SLICE_INIT("refusal"), take_refusal},
        {SLICE_INIT("input_image"), take_image},
        {SLICE_INIT("input_file"), take_file},
        {SLICE_INIT("computer_screenshot"), take_image},
        {SLICE_INIT("input_audio"), take_audio},
    };
    struct slice type = json_get_string(v, "type");
    if (!yyjson_is_obj(v)) {
        return responses_refuse(d, "", "expected an object");
    }
    *out = (struct chat_part){.kind = CHAT_OPAQUE};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (slice_eq(type, kinds[i].type)) {
            out->cache_marker = read_json(d, json_get(v, "prompt_cache_breakpoint"));
            enum err e = kinds[i].take(d, v, out);
            return e ? e : d->failed;
        }
    }
    return take_opaque(d, v, out);
}

enum err responses_take_content(struct decoder *d, yyjson_val *content, struct chat_part *parts,
                                size_t *count)
{
    struct slice place = d->place;
    size_t i, max;
    yyjson_val *v;
    if (json_is_none(content)) {
        return OK;
    }
    if (yyjson_is_str(content)) {
        parts[(*count)++] = (struct chat_part){.kind = CHAT_TEXT, .text = json_string(content)};
        return OK;
    }
    if (!yyjson_is_arr(content)) {
        return responses_refuse(d, "content", "expected a string or an array of parts");
    }
    yyjson_arr_foreach(content, i, max, v)
    {
        d->place = arena_printf(d->arena, "%.*s.content[%zu]", SLICE_ARG(place), i);
        if (take_part(d, v, &parts[(*count)++])) {
            return d->failed;
        }
    }
    d->place = place;
    return OK;
}

/* --- items -------------------------------------------------------------------------------------
 */

/* What a message has beside its content (phase) lies with its first part. */
static enum err take_message(struct decoder *d, yyjson_val *item, struct chat_part *parts,
                             size_t *count)
{
    static const char *const names[] = {"type", "id", "role", "status", "content"};
    size_t before = *count;
    if (responses_take_content(d, json_get(item, "content"), parts, count)) {
        return d->failed;
    }
    struct slice extras = read_extras(d, item, names, ARRAY_LEN(names));
    struct chat_part *first = &parts[before];
    if (!extras.len || *count == before) {
        return d->failed;
    }
    if (first->kind != CHAT_TEXT && first->kind != CHAT_REFUSAL) { /* its provider says else */
        drop_extras(&d->dropped, extras);
        return d->failed;
    }
    if (first->extras.len) {
        extras = arena_printf(d->arena, "%.*s,%.*s",
                              SLICE_ARG(slice_head(first->extras, first->extras.len - 1)),
                              SLICE_ARG(slice_from(extras, 1)));
    }
    first->extras = extras;
    first->provider = RESPONSES_NAME;
    return extras.ptr ? d->failed : read_no_memory(d);
}

static void join(struct text *t, yyjson_val *texts)
{
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(texts, i, max, v)
    {
        if (i) {
            TEXT_ADD(t, "\n\n");
        }
        text_add(t, json_get_string(v, "text"));
    }
}

static enum err take_reasoning(struct decoder *d, yyjson_val *item, struct chat_part *parts,
                               size_t *count)
{
    struct chat_part *out = &parts[(*count)++];
    struct text t = text_growing(d->arena);
    join(&t, json_get(item, yyjson_arr_size(json_get(item, "summary")) ? "summary" : "content"));
    *out = (struct chat_part){.kind = CHAT_THINKING, .text = text_slice(&t)};
    responses_take_proof(out, json_get_string(item, "encrypted_content"));
    return t.is_full ? read_no_memory(d) : OK;
}

static enum err take_call(struct decoder *d, yyjson_val *item, struct chat_part *parts,
                          size_t *count)
{
    static const char *const names[] = {"type", "id", "call_id", "name", "arguments", "status"};
    struct chat_part *out = &parts[(*count)++];
    *out = (struct chat_part){.kind = CHAT_TOOL_CALL,
                              .id = json_get_string(item, "call_id"),
                              .name = json_get_string(item, "name"),
                              .text = json_get_string(item, "arguments")};
    take_extras(d, item, out, names, ARRAY_LEN(names));
    return out->name.ptr ? d->failed : responses_refuse(d, "name", "a call needs a name");
}

/* provider tells where the tool was defined: elsewhere it is a function of one text. */
static enum err take_custom_call(struct decoder *d, yyjson_val *item, struct chat_part *parts,
                                 size_t *count)
{
    struct chat_part *out = &parts[(*count)++];
    *out = (struct chat_part){.kind = CHAT_TOOL_CALL,
                              .id = json_get_string(item, "call_id"),
                              .name = json_get_string(item, "name"),
                              .text = json_get_string(item, "input"),
                              .provider = RESPONSES_NAME,
                              .is_custom = true};
    return out->name.ptr ? OK : responses_refuse(d, "name", "a call needs a name");
}

static enum err take_output(struct decoder *d, yyjson_val *item, struct chat_part *parts,
                            size_t *count)
{
    static const char *const names[] = {"type", "id", "call_id", "output", "status", "name"};
    yyjson_val *output = json_get(item, "output");
    struct chat_part *out = &parts[(*count)++];
    *out = (struct chat_part){.kind = CHAT_TOOL_RESULT,
                              .id = json_get_string(item, "call_id"),
                              .name = json_get_string(item, "name")};
    take_extras(d, item, out, names, ARRAY_LEN(names));
    out->is_custom = slice_eq(json_get_string(item, "type"), SLICE("custom_tool_call_output"));
    out->parts = arena_array(d->arena, read_content_size(output) + 1, sizeof(*out->parts));
    if (!out->parts || d->failed) {
        return read_no_memory(d);
    }
    if (yyjson_is_obj(output)) { /* computer_call_output has one part without a list */
        return take_part(d, output, &out->parts[out->part_count++]);
    }
    return responses_take_content(d, output, out->parts, &out->part_count);
}

bool responses_is_output(struct slice type)
{
    return slice_eq(type, SLICE("function_call_output")) ||
           slice_eq(type, SLICE("custom_tool_call_output"));
}

size_t responses_item_size(yyjson_val *item)
{
    return 1 + read_content_size(json_get(item, "content"));
}

enum err responses_take_item(struct decoder *d, yyjson_val *item, struct chat_part *parts,
                             size_t *count)
{
    static const struct {
        struct slice type;
        enum err (*take)(struct decoder *d, yyjson_val *item, struct chat_part *parts,
                         size_t *count);
    } kinds[] = {
        {SLICE_INIT("message"), take_message},
        {SLICE_INIT("reasoning"), take_reasoning},
        {SLICE_INIT("function_call"), take_call},
        {SLICE_INIT("custom_tool_call"), take_custom_call},
        {SLICE_INIT("function_call_output"), take_output},
        {SLICE_INIT("custom_tool_call_output"), take_output},
    };
    struct slice type = json_get_string(item, "type");
    if (!type.len && json_get(item, "role")) {
        type = SLICE("message");
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (slice_eq(type, kinds[i].type)) {
            enum err e = kinds[i].take(d, item, parts, count);
            return e ? e : d->failed;
        }
    }
    struct chat_part *out = &parts[(*count)++];
    *out = (struct chat_part){.kind = CHAT_OPAQUE};
    return take_opaque(d, item, out);
}
