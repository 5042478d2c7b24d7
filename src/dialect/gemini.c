#include "dialect/gemini.h"

#include "core/check.h"
#include "dialect/read.h"

#include <ctype.h>
#include <stdarg.h>

enum { MEMBER_MAX_BYTES = 64 };

void gemini_refuse(struct arena *a, struct fault *out, struct slice param, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice message = arena_vprintf(a, format, args);
    va_end(args);
    *out = (struct fault){.kind = FAULT_BAD_REQUEST,
                          .message = message.ptr ? message : SLICE("The request is not valid."),
                          .param = param};
}

bool gemini_is(struct slice key, const char *name)
{
    size_t at = 0;
    bool is_snake = false;
    if (slice_eq(key, slice_str(name))) {
        return true;
    }
    for (; *name; name++) {
        bool is_upper = *name >= 'A' && *name <= 'Z';
        if (is_upper && at < key.len && key.ptr[at] == '_') {
            is_snake = true;
            at++;
        } else if (is_upper) {
            return false;
        }
        char want = *name;
        if (is_upper) {
            want = (char)(want - 'A' + 'a');
        }
        if (at == key.len || key.ptr[at++] != want) {
            return false;
        }
    }
    return is_snake && at == key.len;
}

yyjson_val *gemini_get(yyjson_val *obj, const char *name)
{
    char snake[MEMBER_MAX_BYTES];
    size_t len = 0;
    yyjson_val *v = yyjson_obj_get(obj, name);
    for (const char *p = name; !v && *p && len + 2 < sizeof(snake); p++) {
        if (*p >= 'A' && *p <= 'Z') {
            snake[len++] = '_';
            snake[len++] = (char)(*p - 'A' + 'a');
        } else {
            snake[len++] = *p;
        }
    }
    return v ? v : yyjson_obj_getn(obj, snake, len);
}

struct slice gemini_get_string(yyjson_val *obj, const char *name)
{
    return json_string(gemini_get(obj, name));
}

/* --- addresses ---------------------------------------------------------------------------------
 */

struct slice gemini_bare_model(struct slice name)
{
    return slice_starts(name, SLICE("models/")) ? slice_from(name, 7) : name;
}

static const char *method_of(enum chat_operation op, bool is_stream, bool is_single)
{
    switch (op) {
    case CHAT_OP_CHAT: return is_stream ? "streamGenerateContent?alt=sse" : "generateContent";
    case CHAT_OP_EMBEDDING: return is_single ? "embedContent" : "batchEmbedContents";
    case CHAT_OP_COUNT_TOKENS: return "countTokens";
    case CHAT_OP_COMPLETION:
    case CHAT_OP_MODERATION: break; /* there are no such operations */
    }
    return NULL;
}

/* Tuned models lie beside the others. */
struct slice gemini_path(struct arena *a, enum chat_operation op, struct slice model,
                         bool is_stream, bool is_single)
{
    const char *method = method_of(op, is_stream, is_single);
    struct text t = text_growing(a);
    struct slice bare = gemini_bare_model(model);
    if (!method) {
        return SLICE_NONE;
    }
    if (slice_starts(bare, SLICE("tunedModels/"))) {
        TEXT_ADD(&t, "/tunedModels/");
        bare = slice_from(bare, strlen("tunedModels/"));
    } else {
        TEXT_ADD(&t, "/models/");
    }
    for (size_t i = 0; i < bare.len; i++) {
        unsigned char c = (unsigned char)bare.ptr[i];
        if ((c < 0x80 && isalnum(c)) || (c && strchr("-._~@", c))) {
            text_add_char(&t, (char)c);
        } else {
            text_addf(&t, "%%%02X", (unsigned)c);
        }
    }
    text_addf(&t, ":%s", method);
    return t.is_full ? SLICE_NONE : text_slice(&t);
}

static struct slice path(struct arena *a, enum chat_operation op, struct slice model,
                         bool is_stream)
{
    return gemini_path(a, op, model, is_stream, false);
}

static enum err unescape(struct arena *a, struct slice text, struct slice *out)
{
    char *to = arena_alloc(a, text.len + 1);
    size_t len = 0;
    if (!to) {
        return E_NOMEM;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0) {
                return E_SYNTAX;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        to[len++] = c;
    }
    *out = slice_of(to, len);
    return OK;
}

static bool wants_sse(struct slice query)
{
    while (query.len) {
        size_t len = slice_find(query, '&');
        struct slice pair = slice_head(query, len);
        if (slice_eq(pair, SLICE("alt=sse")) || slice_eq(pair, SLICE("%24alt=sse")) ||
            slice_eq(pair, SLICE("$alt=sse"))) {
            return true;
        }
        query = slice_from(query, len + 1);
    }
    return false;
}

enum err gemini_route(struct arena *a, struct slice tail, struct slice query,
                      enum chat_operation *out_op, struct chat_ask *out)
{
    static const struct {
        struct slice method;
        enum chat_operation op;
        bool is_stream;
    } methods[] = {
        {SLICE_INIT("generateContent"), CHAT_OP_CHAT, false},
        {SLICE_INIT("streamGenerateContent"), CHAT_OP_CHAT, true},
        {SLICE_INIT("countTokens"), CHAT_OP_COUNT_TOKENS, false},
        {SLICE_INIT("embedContent"), CHAT_OP_EMBEDDING, false},
        {SLICE_INIT("batchEmbedContents"), CHAT_OP_EMBEDDING, false},
    };
    size_t colon = tail.len;
    struct slice whole, model;
    enum err e = unescape(a, tail, &whole); /* some clients escape the colon */
    if (e) {
        return e;
    }
    for (size_t i = 0; i < whole.len; i++) {
        colon = whole.ptr[i] == ':' ? i : colon;
    }
    model = slice_head(whole, colon);
    struct slice method = slice_from(whole, colon + 1);
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (slice_eq(method, methods[i].method)) {
            *out_op = methods[i].op;
            *out = (struct chat_ask){.op = methods[i].op,
                                     .model = gemini_bare_model(model),
                                     .is_stream = methods[i].is_stream};
            out->is_array = out->is_stream && !wants_sse(query);
            return out->model.len ? OK : E_SYNTAX;
        }
    }
    return E_NOT_FOUND;
}

/* --- the rest ----------------------------------------------------------------------------------
 */

/* In a header: a query ends in logs. */
/* The same methods; what embeds is another API there. */
static struct slice vertex_path(struct arena *a, enum chat_operation op, struct slice model,
                                bool is_stream)
{
    return op == CHAT_OP_EMBEDDING ? SLICE_NONE : path(a, op, model, is_stream);
}

static void render_auth(struct slice key, struct text *out)
{
    TEXT_ADD(out, "x-goog-api-key: ");
    text_add(out, key);
    TEXT_ADD(out, "\r\n");
}

/* What Google's SDKs and CLI say of themselves, and the time they give an answer. */
static const struct dialect_header headers[] = {
    {SLICE_INIT("x-goog-api-client"), SLICE_INIT("")},
    {SLICE_INIT("x-server-timeout"), SLICE_INIT("")},
    {SLICE_INIT("x-gemini-api-privileged-user-id"), SLICE_INIT("")},
};

static void render_count(int64_t input_tokens, struct text *out_body)
{
    text_addf(out_body, "{\"totalTokens\":%lld}", (long long)input_tokens);
}

static const struct dialect_events events = {
    .look = gemini_look,
    .read_usage = gemini_read_usage,
    .read_error = read_error_message,
    .decode = gemini_decode_event,
    .decode_end = gemini_decode_end,
    .decoder_bytes = GEMINI_DECODER_BYTES,
    .lacks_terminal = true,
    .encode = gemini_encode_chunk,
    .encoder_bytes = GEMINI_ENCODER_BYTES,
    .to_body = gemini_to_body,
    .to_events = gemini_to_events,
};

static const struct dialect_vertex vertex = {.publisher = "google", .path = vertex_path};

const struct dialect dialect_gemini = {
    .name = "gemini",
    .record = RECORD_DIALECT_GEMINI,
    .scan = gemini_scan,
    .decode_request = gemini_decode_request,
    .encode_response = gemini_encode_response,
    .render_count = render_count,
    .render_fault = gemini_render_fault,
    .render_stream_fault = gemini_render_stream_fault,
    .front = &gemini_front,
    .path = path,
    .path_has_model = true,
    .vertex = &vertex,
    .render_auth = render_auth,
    .headers = headers,
    .header_count = ARRAY_LEN(headers),
    .encode_request = gemini_encode_request,
    .decode_response = gemini_decode_response,
    .read_count = gemini_read_count,
    .read_fault = gemini_read_fault,
    .forward = gemini_forward,
    .observe = gemini_observe,
    .usage_member = SLICE_INIT("usageMetadata"),
    .embedding = &gemini_embedding,
    .events = &events,
};
