/* Parts of contents, of requests and answers alike, as neutral parts. */
#include "dialect/gemini.h"

enum err gemini_refuse_at(struct decoder *d, const char *member, const char *what)
{
    struct slice param = read_place(d, member);
    gemini_refuse(d->arena, d->fault, param, "Invalid value at '%.*s': %s", SLICE_ARG(param), what);
    d->failed = E_SYNTAX;
    return E_SYNTAX;
}

static bool is_among(struct slice key, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (gemini_is(key, names[i])) {
            return true;
        }
    }
    return false;
}

void gemini_add_unknown(struct decoder *d, struct text *t, yyjson_val *obj, const char *scope,
                        const char *const *names, size_t count)
{
    size_t i, max;
    yyjson_val *key, *v;
    if (yyjson_obj_size(obj) == 0) {
        return; /* the walk below takes no NULL */
    }
    yyjson_obj_foreach(obj, i, max, key, v)
    {
        struct slice name = json_string(key);
        if (yyjson_is_null(v) || is_among(name, names, count)) {
            continue;
        }
        struct slice full = arena_printf(d->arena, "%s%.*s", scope, SLICE_ARG(name));
        text_add(t, t->len ? SLICE(",") : SLICE_NONE);
        text_add_json_string(t, full);
        text_add_char(t, ':');
        json_add(t, d->arena, v);
        t->is_full = t->is_full || !full.ptr;
    }
    if (t->is_full) {
        d->failed = E_NOMEM;
    }
}

struct slice gemini_extras(struct decoder *d, yyjson_val *obj, const char *const *names,
                           size_t count)
{
    struct text t = text_growing(d->arena);
    gemini_add_unknown(d, &t, obj, "", names, count);
    if (t.len == 0) {
        return SLICE_NONE;
    }
    struct slice all = arena_printf(d->arena, "{%.*s}", SLICE_ARG(text_slice(&t)));
    d->failed = all.ptr ? d->failed : E_NOMEM;
    return all;
}

static void take_extras(struct decoder *d, yyjson_val *v, const char *member, struct chat_part *out)
{
    const char *const names[] = {member};
    out->extras = gemini_extras(d, v, names, ARRAY_LEN(names));
    out->provider = out->extras.len ? GEMINI_NAME : out->provider;
}

/* --- texts -------------------------------------------------------------------------------------
 */

/* A signature beside a text, or alone with an empty one (as streams bring it), is a thought of its
 * own, so that it finds its way through dialects that know signed thoughts only. */
static enum err take_text(struct decoder *d, yyjson_val *v, struct chat_part *out, size_t *count)
{
    static const char *const names[] = {"text", "thought", "thoughtSignature"};
    struct slice text = gemini_get_string(v, "text");
    struct slice proof = gemini_get_string(v, "thoughtSignature");
    bool is_thought = json_is_true(gemini_get(v, "thought"));
    struct slice extras = gemini_extras(d, v, names, ARRAY_LEN(names));
    struct chat_part *p = &out[(*count)++];
    *p = (struct chat_part){.kind = is_thought ? CHAT_THINKING : CHAT_TEXT, .text = text};
    p->extras = extras;
    p->provider = extras.len || is_thought ? GEMINI_NAME : SLICE_NONE;
    if (!proof.len) {
        return d->failed;
    }
    if (!is_thought && (text.len || extras.len)) {
        p = &out[(*count)++];
        *p = (struct chat_part){.kind = CHAT_THINKING};
    }
    p->kind = CHAT_THINKING;
    gemini_take_proof(d->arena, proof, p);
    return d->failed;
}

/* --- media -------------------------------------------------------------------------------------
 */

static struct slice without_parameters(struct slice media_type)
{
    return slice_trim(slice_head(media_type, slice_find(media_type, ';')));
}

static void take_media(struct slice media_type, struct chat_part *out)
{
    struct slice type = without_parameters(media_type);
    out->media_type = media_type;
    out->kind = CHAT_FILE;
    if (slice_starts(type, SLICE("image/"))) {
        out->kind = CHAT_IMAGE;
    } else if (slice_starts(type, SLICE("audio/"))) {
        out->kind = CHAT_AUDIO; /* named by its format alone */
        out->media_type = slice_eq(type, SLICE("audio/mpeg")) ? SLICE("mp3") : slice_from(type, 6);
    }
}

static enum err take_inline(struct decoder *d, yyjson_val *v, struct chat_part *out, size_t *count)
{
    static const char *const names[] = {"mimeType", "data", "displayName"};
    yyjson_val *blob = gemini_get(v, "inlineData");
    struct chat_part *p = &out[(*count)++];
    *p = (struct chat_part){.data = gemini_get_string(blob, "data"),
                            .name = gemini_get_string(blob, "displayName")};
    take_media(gemini_get_string(blob, "mimeType"), p);
    take_extras(d, v, "inlineData", p);
    if (gemini_extras(d, blob, names, ARRAY_LEN(names)).len) {
        return gemini_refuse_at(d, "inlineData", "Unknown name: Cannot find field.");
    }
    if (!p->media_type.len) {
        return gemini_refuse_at(d, "inlineData.mimeType", "it is required");
    }
    return p->data.len ? d->failed : gemini_refuse_at(d, "inlineData.data", "it is required");
}

/* What only Google can fetch is a file of its provider; the rest are addresses. */
static enum err take_file(struct decoder *d, yyjson_val *v, struct chat_part *out, size_t *count)
{
    yyjson_val *file = gemini_get(v, "fileData");
    struct slice uri = gemini_get_string(file, "fileUri");
    struct chat_part *p = &out[(*count)++];
    *p = (struct chat_part){.name = gemini_get_string(file, "displayName")};
    take_media(gemini_get_string(file, "mimeType"), p);
    take_extras(d, v, "fileData", p);
    bool is_public = slice_starts(uri, SLICE("http")) &&
                     !slice_starts(uri, SLICE("https://generativelanguage.googleapis.com/"));
    if (is_public && p->kind != CHAT_AUDIO) {
        p->url = uri;
    } else { /* a recording that lies elsewhere is a file, too */
        p->kind = p->kind == CHAT_AUDIO ? CHAT_FILE : p->kind;
        p->media_type = gemini_get_string(file, "mimeType");
        p->file_id = uri;
        p->provider = GEMINI_NAME;
    }
    return uri.len ? d->failed : gemini_refuse_at(d, "fileData.fileUri", "it is required");
}

/* --- calls -------------------------------------------------------------------------------------
 */

static enum err take_call(struct decoder *d, yyjson_val *v, struct chat_part *out, size_t *count)
{
    static const char *const names[] = {"functionCall", "thoughtSignature"};
    static const char *const inside[] = {"id", "name", "args"};
    yyjson_val *call = gemini_get(v, "functionCall");
    yyjson_val *args = gemini_get(call, "args");
    struct slice proof = gemini_get_string(v, "thoughtSignature");
    struct chat_part *p = &out[(*count)++];
    *p = (struct chat_part){.kind = CHAT_TOOL_CALL,
                            .id = gemini_get_string(call, "id"),
                            .name = gemini_real_name(d->arena, gemini_get_string(call, "name"))};
    p->text = json_is_none(args) ? SLICE("{}") : read_json(d, args);
    p->extras = gemini_extras(d, v, names, ARRAY_LEN(names));
    struct slice odd = gemini_extras(d, call, inside, ARRAY_LEN(inside));
    if (proof.len) {
        gemini_take_proof(d->arena, proof, p);
    } else if (p->extras.len) {
        p->provider = GEMINI_NAME;
    }
    drop_extras(&d->dropped, odd);
    return p->name.len ? d->failed : gemini_refuse_at(d, "functionCall.name", "it is required");
}

/* {"output": text} and the like are texts; any other object stays JSON. */
static enum err take_response(struct decoder *d, yyjson_val *v, struct chat_part *result,
                              struct chat_part *out)
{
    static const char *const wrappers[] = {"output", "result", "error"};
    yyjson_val *response = gemini_get(v, "response");
    *out = (struct chat_part){.kind = CHAT_TEXT};
    for (size_t i = 0; i < ARRAY_LEN(wrappers) && yyjson_obj_size(response) == 1; i++) {
        yyjson_val *inner = json_get(response, wrappers[i]);
        if (inner && (yyjson_is_str(inner) || i == 2)) {
            result->is_error = i == 2;
            out->text = yyjson_is_str(inner) ? json_string(inner) : read_json(d, inner);
            return d->failed;
        }
    }
    out->text = json_is_none(response) ? SLICE("{}") : read_json(d, response);
    return d->failed;
}

static enum err take_result(struct decoder *d, yyjson_val *v, struct chat_part *out, size_t *count)
{
    static const char *const names[] = {"id", "name", "response", "parts"};
    yyjson_val *result = gemini_get(v, "functionResponse");
    yyjson_val *parts = gemini_get(result, "parts"), *part;
    struct chat_part *p = &out[(*count)++];
    size_t i, max;
    *p = (struct chat_part){.kind = CHAT_TOOL_RESULT,
                            .id = gemini_get_string(result, "id"),
                            .name = gemini_real_name(d->arena, gemini_get_string(result, "name"))};
    p->extras = gemini_extras(d, result, names, ARRAY_LEN(names));
    p->provider = p->extras.len ? GEMINI_NAME : SLICE_NONE;
    p->parts = arena_array(d->arena, yyjson_arr_size(parts) + 1, sizeof(*p->parts));
    if (!p->parts) {
        return read_no_memory(d);
    }
    if (!p->name.len) {
        return gemini_refuse_at(d, "functionResponse.name", "it is required");
    }
    if (take_response(d, result, p, &p->parts[p->part_count++])) {
        return d->failed;
    }
    yyjson_arr_foreach(parts, i, max, part)
    {
        bool is_inline = gemini_get(part, "inlineData");
        if (!is_inline && !gemini_get(part, "fileData")) {
            return gemini_refuse_at(d, "functionResponse.parts", "inlineData or fileData expected");
        }
        if (is_inline ? take_inline(d, part, p->parts, &p->part_count)
                      : take_file(d, part, p->parts, &p->part_count)) {
            return d->failed;
        }
    }
    return d->failed;
}

/* --- any ---------------------------------------------------------------------------------------
 */

static enum err take_opaque(struct decoder *d, yyjson_val *v, struct slice name,
                            struct chat_part *out, size_t *count)
{
    out[(*count)++] = (struct chat_part){
        .kind = CHAT_OPAQUE, .name = name, .data = read_json(d, v), .provider = GEMINI_NAME};
    return d->failed;
}

/* Members that say something about the part, and are not what it holds. */
static bool is_flag(struct slice key)
{
    static const char *const flags[] = {"thought", "thoughtSignature", "videoMetadata",
                                        "mediaResolution", "partMetadata"};
    return is_among(key, flags, ARRAY_LEN(flags));
}

/* The member that holds what the part is, or NULL; there must be one of them. */
static yyjson_val *subject_of(yyjson_val *v, size_t *out_count)
{
    size_t i, max;
    yyjson_val *key, *value, *subject = NULL;
    *out_count = 0;
    if (yyjson_obj_size(v) == 0) {
        return NULL;
    }
    yyjson_obj_foreach(v, i, max, key, value)
    {
        if (is_flag(json_string(key)) || yyjson_is_null(value)) {
            continue;
        }
        subject = key;
        (*out_count)++;
    }
    return subject;
}

enum err gemini_take_part(struct decoder *d, yyjson_val *v, struct chat_part *out, size_t *count)
{
    static const struct {
        const char *member;
        enum err (*take)(struct decoder *d, yyjson_val *v, struct chat_part *out, size_t *count);
    } kinds[] = {
        {"text", take_text},         {"inlineData", take_inline},       {"fileData", take_file},
        {"functionCall", take_call}, {"functionResponse", take_result},
    };
    size_t subjects;
    yyjson_val *subject = subject_of(v, &subjects);
    struct slice name = json_string(subject);
    if (!yyjson_is_obj(v)) {
        return gemini_refuse_at(d, "", "an object is expected");
    }
    if (subjects == 0 && gemini_get_string(v, "thoughtSignature").len) {
        return take_text(d, v, out, count); /* a signature alone */
    }
    if (subjects != 1) {
        return gemini_refuse_at(d, "data", "exactly one of its members must be set");
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (gemini_is(name, kinds[i].member)) {
            return kinds[i].take(d, v, out, count);
        }
    }
    return take_opaque(d, v, name, out, count);
}
