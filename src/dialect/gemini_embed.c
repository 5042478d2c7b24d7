/* Texts to be embedded, and their vectors, in the API's words. Between two dialects the provider is
 * always asked for a list (batchEmbedContents). */
#include "core/check.h"
#include "dialect/gemini.h"
#include "dialect/write.h"

struct embed_decoder {
    struct decoder d;
    struct embed_request *r;
};

/* --- a client's request ------------------------------------------------------------------------
 */

/* The texts of a content, joined: the API makes one vector of them. */
static enum err take_content(struct embed_decoder *s, yyjson_val *content, struct embed_input *out)
{
    struct text joined = text_growing(s->d.arena);
    yyjson_val *parts = json_get(content, "parts"), *part;
    size_t i, max, others = 0;
    yyjson_arr_foreach(parts, i, max, part)
    {
        struct slice text = json_get_string(part, "text");
        others += text.ptr == NULL;
        text_add(&joined, joined.len && text.len ? SLICE("\n") : SLICE_NONE);
        text_add(&joined, text);
    }
    if (others || !yyjson_arr_size(parts)) {
        return gemini_refuse_at(&s->d, "content.parts", "parts with a text each are expected");
    }
    out->text = text_slice(&joined);
    return joined.is_full ? read_no_memory(&s->d) : OK;
}

static enum err take_input(struct embed_decoder *s, yyjson_val *v, struct embed_input *out)
{
    static const char *const names[] = {"model", "content", "taskType", "title",
                                        "outputDimensionality"};
    struct slice dimensions = json_number(gemini_get(v, "outputDimensionality"));
    *out = (struct embed_input){.task_type = gemini_get_string(v, "taskType"),
                                .title = json_get_string(v, "title")};
    if (dimensions.len && s->r->dimensions.text.len &&
        !slice_eq(dimensions, s->r->dimensions.text)) {
        return gemini_refuse_at(&s->d, "outputDimensionality", "it must be the same for all");
    }
    s->r->dimensions.text = dimensions.len ? dimensions : s->r->dimensions.text;
    drop_extras(&s->d.dropped, gemini_extras(&s->d, v, names, ARRAY_LEN(names)));
    return take_content(s, json_get(v, "content"), out);
}

static enum err decode_request(struct arena *a, struct chat_ask *ask, struct fault *out_fault)
{
    struct embed_decoder s = {.d = {.arena = a, .fault = out_fault, .dropped = text_growing(a)}};
    yyjson_val *root, *v;
    size_t i, max;
    *out_fault = FAULT_NO_MEMORY;
    s.r = ARENA_NEW(a, struct embed_request);
    enum err e = s.r ? json_parse(a, ask->body, &root, NULL) : E_NOMEM;
    if (e) {
        return e;
    }
    yyjson_val *list = json_get(root, "requests");
    s.r->model = ask->model;
    s.r->is_single = !yyjson_is_arr(list);
    s.r->inputs = arena_array(a, yyjson_arr_size(list) + 1, sizeof(*s.r->inputs));
    if (!s.r->inputs) {
        return E_NOMEM;
    }
    if (s.r->is_single) {
        e = take_input(&s, root, &s.r->inputs[s.r->input_count++]);
    }
    yyjson_arr_foreach(list, i, max, v)
    {
        s.d.place = arena_printf(a, "requests[%zu]", i);
        e = e ? e : take_input(&s, v, &s.r->inputs[s.r->input_count++]);
    }
    s.r->dropped = text_slice(&s.d.dropped);
    ask->embedding = s.r;
    return e ? e : s.d.failed ? s.d.failed : s.d.dropped.is_full ? E_NOMEM : OK;
}

static enum err encode_response(struct arena *a, const struct embed_request *asked,
                                const struct embed_response *r, struct slice *out_body)
{
    struct text t = text_growing(a);
    TEXT_ADD(&t, "{");
    text_add_json_key(&t, asked->is_single ? "embedding" : "embeddings");
    text_add(&t, asked->is_single ? SLICE_NONE : SLICE("["));
    for (size_t i = 0; i < r->vector_count && (i == 0 || !asked->is_single); i++) {
        text_add(&t, i ? SLICE(",{") : SLICE("{"));
        write_raw(&t, "values", r->vectors[i]);
        TEXT_ADD(&t, "}");
    }
    text_add(&t, asked->is_single ? SLICE_NONE : SLICE("]"));
    if (r->has_usage) {
        text_add_json_key(&t, "usageMetadata");
        TEXT_ADD(&t, "{");
        write_count(&t, "promptTokenCount", usage_prompt(&r->usage));
        write_count(&t, "totalTokenCount", usage_total(&r->usage));
        TEXT_ADD(&t, "}");
    }
    TEXT_ADD(&t, "}");
    *out_body = text_slice(&t);
    return t.is_full ? E_NOMEM : r->vector_count ? OK : E_SYNTAX;
}

/* --- a provider's answer -----------------------------------------------------------------------
 */

static enum err encode_request(struct arena *a, const struct embed_request *r,
                               const struct encode_options *o, struct body_parts *out)
{
    struct text t = text_growing(a), dropped = text_growing(a);
    struct slice model = gemini_bare_model(o->model);
    struct slice name = arena_printf(a, "models/%.*s", SLICE_ARG(model));
    *out = (struct body_parts){.count = 0};
    text_add(&dropped, r->dropped);
    drop_name(&dropped, r->user.len ? SLICE("user") : SLICE_NONE);
    TEXT_ADD(&t, "{\"requests\":[");
    for (size_t i = 0; i < r->input_count; i++) {
        if (r->inputs[i].tokens.len) {
            return E_UNSUPPORTED; /* numbers of another model's tokens */
        }
        write_element(&t);
        write_string(&t, "model", name);
        TEXT_ADD(&t, ",\"content\":{\"parts\":[{");
        write_string(&t, "text", r->inputs[i].text);
        TEXT_ADD(&t, "}]}");
        write_string_if(&t, "taskType", r->inputs[i].task_type);
        write_string_if(&t, "title", r->inputs[i].title);
        write_raw_if(&t, "outputDimensionality", r->dimensions.text);
        TEXT_ADD(&t, "}");
    }
    TEXT_ADD(&t, "]}");
    enum err e = write_end(&t, &dropped, out);
    out->path = gemini_path(a, CHAT_OP_EMBEDDING, o->model, false, false);
    return e || (name.ptr && out->path.len) ? e : E_NOMEM;
}

static enum err take_vector(struct decoder *d, yyjson_val *v, struct embed_response *out)
{
    yyjson_val *values = json_get(v, "values");
    if (!yyjson_is_arr(values)) {
        return E_SYNTAX;
    }
    out->vectors[out->vector_count++] = read_json(d, values);
    return d->failed;
}

static enum err decode_response(struct arena *a, struct slice body, struct embed_response *out)
{
    struct decoder d = {.arena = a};
    yyjson_val *root, *v;
    size_t i, max;
    enum err e = json_parse(a, slice_trim(body), &root, NULL);
    if (e) {
        return e;
    }
    yyjson_val *list = json_get(root, "embeddings"), *single = json_get(root, "embedding");
    *out = (struct embed_response){
        .vectors = arena_array(a, yyjson_arr_size(list) + 1, sizeof(*out->vectors))};
    if (!out->vectors) {
        return E_NOMEM;
    }
    e = single ? take_vector(&d, single, out) : OK;
    yyjson_arr_foreach(list, i, max, v)
    {
        e = e ? e : take_vector(&d, v, out);
    }
    gemini_read_usage(read_json(&d, json_get(root, "usageMetadata")), &out->usage);
    out->has_usage = out->usage.is_known;
    return e ? e : d.failed ? d.failed : out->vector_count ? OK : E_SYNTAX;
}

const struct dialect_embedding gemini_embedding = {
    .decode_request = decode_request,
    .encode_response = encode_response,
    .encode_request = encode_request,
    .decode_response = decode_response,
};
