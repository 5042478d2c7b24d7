/* Texts to be embedded, and their vectors, in OpenAI's words. The API's SDKs ask for base64 by
 * default (trap 15); between two dialects the provider is asked for numbers. */
#include "core/base64.h"
#include "dialect/openai.h"
#include "dialect/write.h"

#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_MAX_BYTES = 63 };

/* --- a client's request ------------------------------------------------------------------------
 */

static enum err refuse_input(struct arena *a, struct fault *out_fault)
{
    openai_refuse(a, out_fault, "input", "invalid_type",
                  "Invalid 'input': expected a string, a list of strings or of token numbers.");
    return E_SYNTAX;
}

static enum err take_one(struct arena *a, yyjson_val *v, struct embed_input *out)
{
    *out = (struct embed_input){.text = json_string(v)};
    if (yyjson_is_arr(v)) {
        out->tokens = json_text(a, v);
        return out->tokens.ptr ? OK : E_NOMEM;
    }
    return out->text.ptr ? OK : E_SYNTAX;
}

static enum err take_inputs(struct arena *a, yyjson_val *input, struct embed_request *r)
{
    bool is_list = yyjson_is_arr(input) && !yyjson_is_raw(yyjson_arr_get_first(input));
    size_t i, max;
    yyjson_val *v;
    r->inputs = arena_array(a, yyjson_arr_size(input) + 1, sizeof(*r->inputs));
    if (!r->inputs) {
        return E_NOMEM;
    }
    enum err e = is_list ? OK : take_one(a, input, &r->inputs[r->input_count++]);
    yyjson_val *list = is_list ? input : NULL;
    yyjson_arr_foreach(list, i, max, v)
    {
        e = e ? e : take_one(a, v, &r->inputs[r->input_count++]);
    }
    return e;
}

static enum err decode_request(struct arena *a, struct chat_ask *ask, struct fault *out_fault)
{
    struct embed_request *r = ARENA_NEW(a, struct embed_request);
    yyjson_val *root;
    *out_fault = FAULT_NO_MEMORY;
    enum err e = r ? json_parse(a, ask->body, &root, NULL) : E_NOMEM;
    e = e ? e : take_inputs(a, json_get(root, "input"), r);
    if (e) {
        return e == E_SYNTAX ? refuse_input(a, out_fault) : e;
    }
    r->model = ask->model;
    r->user = ask->user;
    r->dimensions.text = json_number(json_get(root, "dimensions"));
    r->wants_base64 = slice_eq(json_get_string(root, "encoding_format"), SLICE("base64"));
    ask->embedding = r;
    return OK;
}

/* --- vectors -----------------------------------------------------------------------------------
 */

/* Numbers as little-endian floats in base64. */
static enum err add_base64(struct text *t, struct slice vector)
{
    struct text bytes = text_growing(t->arena);
    struct span_cursor c;
    struct span m;
    enum span_step step = SPAN_BAD;
    if (span_open(&c, vector)) {
        return E_SYNTAX;
    }
    while ((step = span_next(&c, &m)) == SPAN_ITEM && m.kind == SPAN_NUMBER) {
        char number[NUMBER_MAX_BYTES + 1];
        size_t len = m.value.len < NUMBER_MAX_BYTES ? m.value.len : NUMBER_MAX_BYTES;
        memcpy(number, m.value.ptr, len);
        number[len] = '\0';
        union {
            float value;
            uint32_t bits;
        } f = {.value = (float)strtod(number, NULL)};
        for (unsigned i = 0; i < 32; i += 8) {
            text_add_char(&bytes, (char)(unsigned char)(f.bits >> i & 0xFF));
        }
    }
    if (step != SPAN_END) {
        return E_SYNTAX;
    }
    text_add_char(t, '"');
    base64_add(t, text_slice(&bytes));
    text_add_char(t, '"');
    return bytes.is_full || t->is_full ? E_NOMEM : OK;
}

/* The other way round, for servers that answer so whatever they are asked. */
static enum err read_base64(struct arena *a, struct slice coded, struct slice *out)
{
    struct text t = text_growing(a);
    struct slice bytes;
    enum err e = base64_read(a, coded, &bytes);
    if (e || bytes.len % 4) {
        return e ? e : E_SYNTAX;
    }
    TEXT_ADD(&t, "[");
    for (size_t i = 0; i < bytes.len; i += 4) {
        union {
            float value;
            uint32_t bits;
        } f = {.bits = 0};
        for (size_t k = 0; k < 4; k++) {
            f.bits |= (uint32_t)(unsigned char)bytes.ptr[i + k] << (8 * k);
        }
        if ((f.bits >> 23 & 0xFF) == 0xFF) {
            return E_SYNTAX; /* JSON has no such number */
        }
        text_add(&t, i ? SLICE(",") : SLICE_NONE);
        text_addf(&t, "%.9g", (double)f.value);
    }
    TEXT_ADD(&t, "]");
    *out = text_slice(&t);
    return t.is_full ? E_NOMEM : OK;
}

static enum err encode_response(struct arena *a, const struct embed_request *asked,
                                const struct embed_response *r, struct slice *out_body)
{
    struct text t = text_growing(a);
    enum err e = r->vector_count ? OK : E_SYNTAX;
    TEXT_ADD(&t, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < r->vector_count && !e; i++) {
        write_element(&t);
        TEXT_ADD(&t, "\"object\":\"embedding\"");
        write_count(&t, "index", (int64_t)i);
        text_add_json_key(&t, "embedding");
        if (asked->wants_base64) {
            e = add_base64(&t, r->vectors[i]);
        } else {
            text_add(&t, r->vectors[i]);
        }
        TEXT_ADD(&t, "}");
    }
    TEXT_ADD(&t, "]");
    write_string(&t, "model", r->model.len ? r->model : asked->model);
    text_addf(&t, ",\"usage\":{\"prompt_tokens\":%lld,\"total_tokens\":%lld}}",
              (long long)usage_prompt(&r->usage), (long long)usage_total(&r->usage));
    *out_body = text_slice(&t);
    return e ? e : t.is_full ? E_NOMEM : OK;
}

/* --- a provider's answer -----------------------------------------------------------------------
 */

static enum err encode_request(struct arena *a, const struct embed_request *r,
                               const struct encode_options *o, struct body_parts *out)
{
    struct text t = text_growing(a), dropped = text_growing(a);
    *out = (struct body_parts){.count = 0};
    text_add(&dropped, r->dropped);
    TEXT_ADD(&t, "{");
    write_string(&t, "model", o->model);
    text_add_json_key(&t, "input");
    TEXT_ADD(&t, "[");
    for (size_t i = 0; i < r->input_count; i++) {
        const struct embed_input *input = &r->inputs[i];
        write_next(&t);
        if (input->tokens.len) {
            text_add(&t, input->tokens);
        } else {
            text_add_json_string(&t, input->text);
        }
        drop_name(&dropped, input->task_type.len ? SLICE("taskType") : SLICE_NONE);
        drop_name(&dropped, input->title.len ? SLICE("title") : SLICE_NONE);
    }
    TEXT_ADD(&t, "]");
    write_raw_if(&t, "dimensions", r->dimensions.text);
    write_string(&t, "encoding_format", SLICE("float"));
    write_string_if(&t, "user", r->user);
    TEXT_ADD(&t, "}");
    return write_end(&t, &dropped, out);
}

static enum err take_vector(struct arena *a, yyjson_val *v, size_t place,
                            struct embed_response *out)
{
    yyjson_val *vector = json_get(v, "embedding");
    int64_t index = (int64_t)place;
    (void)json_i64(json_get(v, "index"), &index);
    if (index < 0 || (size_t)index >= out->vector_count || out->vectors[index].len) {
        return E_SYNTAX;
    }
    if (yyjson_is_str(vector)) {
        return read_base64(a, json_string(vector), &out->vectors[index]);
    }
    if (!yyjson_is_arr(vector)) {
        return E_SYNTAX;
    }
    out->vectors[index] = json_text(a, vector);
    return out->vectors[index].ptr ? OK : E_NOMEM;
}

static enum err decode_response(struct arena *a, struct slice body, struct embed_response *out)
{
    struct event_look look;
    yyjson_val *list, *v;
    size_t i, max;
    enum err e = read_vectors(a, body, "data", out, &list);
    if (e) {
        return e;
    }
    yyjson_arr_foreach(list, i, max, v)
    {
        e = e ? e : take_vector(a, v, i, out);
    }
    e = e ? e : openai_look(SLICE_NONE, slice_trim(body), &look);
    if (!e && look.usage.len) {
        openai_read_usage(look.usage, &out->usage);
        out->has_usage = out->usage.is_known;
    }
    return e;
}

const struct dialect_embedding openai_embedding = {
    .decode_request = decode_request,
    .encode_response = encode_response,
    .encode_request = encode_request,
    .decode_response = decode_response,
};
