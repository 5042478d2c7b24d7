#define _GNU_SOURCE
#include "gemini.h"

#include "openai.h"
#include "reply.h"
#include "trouble.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char json_type[] = "application/json; charset=UTF-8";
static const char signature_text[] = "signature of ";

/* Names are camelCase, and snake_case is understood: underscores and case do not count. */
static bool same_name(const char *got, const char *camel)
{
    for (; *got != '\0'; got++) {
        if (*got == '_') {
            continue;
        }
        if (tolower((unsigned char)*got) != tolower((unsigned char)*camel)) {
            return false;
        }
        camel++;
    }
    return *camel == '\0';
}

static yyjson_val *member(yyjson_val *object, const char *camel)
{
    yyjson_val *v = yyjson_obj_get(object, camel);
    size_t i;
    size_t n;
    yyjson_val *key;
    yyjson_val *value;
    if (v != NULL) {
        return v;
    }
    yyjson_obj_foreach(object, i, n, key, value)
    {
        if (same_name(yyjson_get_str(key), camel)) {
            return value;
        }
    }
    return NULL;
}

/* The first member that is not in names, a list that ends with NULL; NULL: there is none. */
static const char *unknown_name(yyjson_val *object, const char *const *names)
{
    size_t i;
    size_t n;
    yyjson_val *key;
    yyjson_val *value;
    yyjson_obj_foreach(object, i, n, key, value)
    {
        bool known = false;
        for (size_t k = 0; names[k] != NULL && !known; k++) {
            known = same_name(yyjson_get_str(key), names[k]);
        }
        if (!known) {
            return yyjson_get_str(key);
        }
    }
    return NULL;
}

static void read_parts(struct prompt *p, yyjson_val *parts)
{
    size_t i;
    size_t n;
    yyjson_val *part;
    yyjson_arr_foreach(parts, i, n, part)
    {
        yyjson_val *response = member(part, "functionResponse");
        if (response != NULL) {
            prompt_result(p, member(response, "response"));
        } else if (!yyjson_get_bool(member(part, "thought"))) {
            prompt_text(p, json_member(part, "text"));
        }
    }
}

static void read_tools(struct prompt *p, yyjson_val *root)
{
    yyjson_val *config = member(member(root, "toolConfig"), "functionCallingConfig");
    yyjson_val *allowed = member(config, "allowedFunctionNames");
    size_t i;
    size_t n;
    yyjson_val *tool;
    yyjson_arr_foreach(yyjson_obj_get(root, "tools"), i, n, tool)
    {
        size_t k;
        size_t m;
        yyjson_val *f;
        yyjson_arr_foreach(member(tool, "functionDeclarations"), k, m, f)
        {
            yyjson_val *schema = member(f, "parametersJsonSchema");
            schema = schema != NULL ? schema : member(f, "parameters");
            prompt_tool(p, (struct tool){json_member(f, "name"), schema, false});
        }
    }
    p->wanted = json_str(yyjson_arr_get_first(allowed));
    p->no_tools = str_is(json_str(member(config, "mode")), "NONE");
    p->must_call = str_is(json_str(member(config, "mode")), "ANY");
}

/* countTokens may have the request one level deeper. */
static yyjson_val *request_of(const struct ask *a)
{
    yyjson_val *inner = member(a->root, "generateContentRequest");
    return inner != NULL ? inner : a->root;
}

void gemini_read(struct prompt *p, const struct ask *a)
{
    yyjson_val *root = request_of(a);
    yyjson_val *config = member(root, "generationConfig");
    yyjson_val *system = member(root, "systemInstruction");
    yyjson_val *max = member(config, "maxOutputTokens");
    yyjson_val *thinking = member(config, "thinkingConfig");
    size_t i;
    size_t n;
    yyjson_val *v;
    if (system != NULL) {
        prompt_turn(p, false);
        read_parts(p, yyjson_obj_get(system, "parts"));
    }
    yyjson_arr_foreach(yyjson_obj_get(root, "contents"), i, n, v)
    {
        prompt_turn(p, !str_is(json_member(v, "role"), "model"));
        read_parts(p, yyjson_obj_get(v, "parts"));
    }
    read_tools(p, root);
    p->wants_json = str_is(json_str(member(config, "responseMimeType")), "application/json");
    p->schema = member(config, "responseJsonSchema");
    p->schema = p->schema != NULL ? p->schema : member(config, "responseSchema");
    p->thinks = yyjson_get_bool(member(thinking, "includeThoughts"));
    p->max_tokens = yyjson_is_uint(max) ? (int64_t)yyjson_get_uint(max) : -1;
}

static bool refuse_names(struct content *c, const struct ask *a, yyjson_val *root)
{
    static const char *const top[] = {"contents",       "systemInstruction",
                                      "tools",          "toolConfig",
                                      "safetySettings", "generationConfig",
                                      "cachedContent",  "labels",
                                      "serviceTier",    "model",
                                      "store",          NULL};
    static const char *const config[] = {"temperature",
                                         "topP",
                                         "topK",
                                         "maxOutputTokens",
                                         "stopSequences",
                                         "candidateCount",
                                         "seed",
                                         "presencePenalty",
                                         "frequencyPenalty",
                                         "responseLogprobs",
                                         "logprobs",
                                         "responseMimeType",
                                         "responseSchema",
                                         "responseJsonSchema",
                                         "responseModalities",
                                         "speechConfig",
                                         "mediaResolution",
                                         "thinkingConfig",
                                         "imageConfig",
                                         "enableEnhancedCivicAnswers",
                                         "routingConfig",
                                         "audioTimestamp",
                                         NULL};
    const char *where = "";
    const char *name = unknown_name(root, top);
    if (name == NULL) {
        where = " at 'generation_config'";
        name = unknown_name(member(root, "generationConfig"), config);
    }
    if (name != NULL) {
        content_refusef(c, a, 400,
                        "Invalid JSON payload received. Unknown name \"%s\"%s: Cannot find field.",
                        name, where);
    }
    return name != NULL;
}

static size_t count_parts(yyjson_val *content, const char *camel)
{
    size_t count = 0;
    size_t i;
    size_t n;
    yyjson_val *part;
    yyjson_arr_foreach(yyjson_obj_get(content, "parts"), i, n, part)
    {
        count += member(part, camel) != NULL ? 1 : 0;
    }
    return count;
}

/* What is wrong with a turn; NULL: nothing. Neighbours of the model's are one turn, which is how
 * the package keeps a stream; calls: of the turn so far. */
static const char *turn_fault(yyjson_val *turn, size_t *calls)
{
    struct str role = json_member(turn, "role");
    size_t answers = count_parts(turn, "functionResponse");
    size_t open = str_is(role, "model") ? 0 : *calls;
    *calls = str_is(role, "model") ? *calls + count_parts(turn, "functionCall") : 0;
    if (role.len > 0 && !str_is(role, "user") && !str_is(role, "model") &&
        !str_is(role, "function")) {
        return "Please use a valid role: user, model.";
    }
    if (yyjson_arr_size(yyjson_obj_get(turn, "parts")) == 0) {
        return "* GenerateContentRequest.contents.parts: contents.parts must not be empty.";
    }
    if (open != answers) {
        return "Please ensure that the number of function response parts is equal to the number "
               "of function call parts of the function call turn.";
    }
    return NULL;
}

/* The signature of a part that calls; NULL: it has none. */
static const char *signature_fault(yyjson_val *content)
{
    static const char *const good[] = {"c2lnbmF0dXJlIG9m", /* what ours begin with */
                                       "skip_thought_signature_validator",
                                       "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I"};
    size_t i;
    size_t n;
    yyjson_val *part;
    yyjson_arr_foreach(yyjson_obj_get(content, "parts"), i, n, part)
    {
        struct str signature = json_str(member(part, "thoughtSignature"));
        if (member(part, "functionCall") == NULL) {
            continue;
        }
        for (size_t k = 0; k < sizeof(good) / sizeof(good[0]); k++) {
            size_t len = strlen(good[k]);
            if (signature.len >= len && memcmp(signature.ptr, good[k], len) == 0) {
                return NULL;
            }
        }
        return signature.len > 0 ? "Corrupted thought signature."
                                 : "Function call is missing a thought_signature in functionCall "
                                   "parts. This is required for tools to work correctly.";
    }
    return NULL;
}

static bool is_gemini_3(const struct ask *a)
{
    return memmem(a->model.ptr, a->model.len, "gemini-3", 8) != NULL;
}

/* Signatures matter in the current turn: after the last text of the user. */
static const char *signatures_fault(const struct ask *a, yyjson_val *contents)
{
    const char *fault = NULL;
    size_t i;
    size_t n;
    yyjson_val *turn;
    yyjson_arr_foreach(contents, i, n, turn)
    {
        bool is_model = str_is(json_member(turn, "role"), "model");
        if (!is_model && count_parts(turn, "text") > 0) {
            fault = NULL;
        } else if (is_model && fault == NULL && is_gemini_3(a)) {
            fault = signature_fault(turn);
        }
    }
    return fault;
}

static bool refuse(struct content *c, const struct ask *a)
{
    yyjson_val *root = request_of(a);
    yyjson_val *contents = yyjson_obj_get(root, "contents");
    const char *fault = NULL;
    yyjson_val *last = NULL;
    size_t calls = 0;
    size_t i;
    size_t n;
    yyjson_val *turn;
    if (refuse_names(c, a, root)) {
        return true;
    }
    if (yyjson_arr_size(contents) == 0) {
        fault = "* GenerateContentRequest.contents: contents is not specified";
    }
    yyjson_arr_foreach(contents, i, n, turn)
    {
        fault = fault != NULL ? fault : turn_fault(turn, &calls);
        last = turn;
    }
    if (fault == NULL && str_is(json_member(last, "role"), "model")) {
        fault = "Please ensure that multiturn requests end with a user role.";
    }
    fault = fault != NULL ? fault : signatures_fault(a, contents);
    if (fault != NULL) {
        content_refuse(c, a, 400, fault);
    }
    return fault != NULL;
}

static void put_usage(struct buf *out, const struct reply *r, int64_t text_tokens)
{
    const struct behaviour *b = &r->ask->b;
    int64_t total = r->prompt_tokens + text_tokens + r->thought_tokens;
    buf_printf(out, "{\"promptTokenCount\":%" PRId64, r->prompt_tokens);
    if (text_tokens > 0) {
        buf_printf(out, ",\"candidatesTokenCount\":%" PRId64, text_tokens);
    }
    if (r->thought_tokens > 0) {
        buf_printf(out, ",\"thoughtsTokenCount\":%" PRId64, r->thought_tokens);
    }
    if (b->cached_tokens > 0) {
        buf_printf(out, ",\"cachedContentTokenCount\":%" PRId64, b->cached_tokens);
    }
    buf_printf(out,
               ",\"totalTokenCount\":%" PRId64
               ",\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":%" PRId64 "}]}",
               total, r->prompt_tokens);
}

static void put_signature(struct buf *out, const struct reply *r)
{
    struct buf text = {0};
    buf_printf(&text, "%s%016" PRIx64, signature_text, r->ask->id);
    buf_str(out, ",\"thoughtSignature\":\"");
    buf_base64(out, text.ptr, text.len);
    buf_str(out, "\"");
    buf_free(&text);
}

/* Only the first of several calls is signed. */
static void put_call(struct buf *out, const struct reply *r, size_t i)
{
    const struct call *call = &r->calls[i];
    struct str args = buf_view(&call->arguments.bytes);
    buf_str(out, "{\"functionCall\":{");
    if (is_gemini_3(r->ask)) {
        buf_printf(out, "\"id\":\"call_%016" PRIx64 "\",", r->ask->id + i);
    }
    buf_str(out, "\"name\":");
    buf_json(out, call->tool->name);
    buf_str(out, ",\"args\":");
    buf_put(out, args.len > 0 ? args : STR("{}"));
    buf_str(out, "}");
    if (i == 0) {
        put_signature(out, r);
    }
    buf_str(out, "}");
}

static void put_text(struct buf *out, const struct reply *r, struct str text, bool thought,
                     bool sign)
{
    buf_str(out, "{\"text\":");
    buf_json(out, text);
    buf_str(out, thought ? ",\"thought\":true" : "");
    if (sign) {
        put_signature(out, r);
    }
    buf_str(out, "}");
}

/* One GenerateContentResponse; finish and usage are left out when NULL and -1. */
static void put_response(struct buf *out, const struct reply *r, struct str parts,
                         const char *finish, int64_t text_tokens)
{
    buf_str(out, "{\"candidates\":[{\"content\":{\"parts\":[");
    buf_put(out, parts);
    buf_str(out, "],\"role\":\"model\"}");
    if (finish != NULL) {
        buf_printf(out, ",\"finishReason\":\"%s\"", finish);
    }
    buf_str(out, ",\"index\":0}]");
    if (text_tokens >= 0 && !reply_usage_is(r, "none")) {
        buf_str(out, ",\"usageMetadata\":");
        put_usage(out, r, text_tokens);
    }
    buf_str(out, ",\"modelVersion\":");
    buf_json(out, r->ask->model);
    buf_printf(out, ",\"responseId\":\"%016" PRIx64 "\"}", r->ask->id);
}

static const char *finish_of(const struct reply *r)
{
    return reply_finish(r, "STOP", "MAX_TOKENS", "STOP");
}

static int64_t all_text_tokens(const struct reply *r)
{
    return reply_told(r->ask->b.completion_tokens, r->text_tokens);
}

static void write_document(struct content *c, const struct reply *r)
{
    struct buf parts = {0};
    if (r->thoughts.piece_n > 0) {
        put_text(&parts, r, buf_view(&r->thoughts.bytes), true, false);
    }
    if (reply_has_text(r)) {
        buf_str(&parts, parts.len > 0 ? "," : "");
        put_text(&parts, r, buf_view(&r->text.bytes), false, r->thoughts.piece_n > 0);
    }
    for (size_t i = 0; i < r->call_n; i++) {
        buf_str(&parts, parts.len > 0 ? "," : "");
        put_call(&parts, r, i);
    }
    put_response(&c->bytes, r, buf_view(&parts), finish_of(r), all_text_tokens(r));
    content_document(c, json_type);
    buf_free(&parts);
}

/* One piece of the stream: an SSE record with CR LF, or one more element of the array. */
static void write_chunk(struct content *c, const struct reply *r, struct str parts,
                        const char *finish, int64_t text_tokens)
{
    struct buf json = {0};
    bool usage = finish != NULL || !reply_usage_is(r, "last");
    put_response(&json, r, parts, finish, usage ? text_tokens : -1);
    if (c->is_array) {
        buf_str(&c->bytes, c->piece_n > 0 ? "\n,\r\n" : "[");
        buf_put(&c->bytes, buf_view(&json));
        content_end_piece(c);
    } else {
        struct behaviour b = r->ask->b;
        b.crlf = true;
        content_event(c, &b, NULL, buf_view(&json));
    }
    buf_free(&json);
}

static void write_texts(struct content *c, const struct reply *r, const struct content *from,
                        bool thought)
{
    struct buf part = {0};
    for (size_t i = 0; i < from->piece_n; i++) {
        part.len = 0;
        put_text(&part, r, content_piece(from, i), thought, false);
        write_chunk(c, r, buf_view(&part), NULL, thought ? 0 : (int64_t)i + 1);
    }
    buf_free(&part);
}

static void write_stream(struct content *c, const struct reply *r)
{
    struct buf part = {0};
    struct str alt = query_value(r->ask->http, "alt");
    c->is_array = !str_is(alt, "sse");
    c->is_stream = true;
    c->type = c->is_array ? json_type : "text/event-stream";
    write_texts(c, r, &r->thoughts, true);
    write_texts(c, r, &r->text, false);
    for (size_t i = 0; i < r->call_n; i++) { /* calls come whole */
        part.len = 0;
        put_call(&part, r, i);
        write_chunk(c, r, buf_view(&part), NULL, all_text_tokens(r));
    }
    if (!r->ask->b.no_done) {
        part.len = 0;
        put_text(&part, r, STR(""), false, r->thoughts.piece_n > 0 && r->call_n == 0);
        write_chunk(c, r, buf_view(&part), finish_of(r), all_text_tokens(r));
    }
    if (c->is_array) {
        buf_str(&c->bytes, c->piece_n > 0 ? "\n]" : "[]");
        content_end_piece(c);
    }
    buf_free(&part);
}

void gemini_answer(struct content *c, const struct ask *a)
{
    struct reply r;
    if (refuse(c, a)) {
        return;
    }
    reply_make(&r, a);
    if (a->stream) {
        write_stream(c, &r);
    } else {
        write_document(c, &r);
    }
    reply_deinit(&r);
}

void gemini_count(struct content *c, const struct ask *a)
{
    int64_t n = reply_told(a->b.prompt_tokens, a->prompt.tokens);
    if (refuse(c, a)) {
        return;
    }
    buf_printf(&c->bytes,
               "{\"totalTokens\":%" PRId64
               ",\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":%" PRId64 "}]}",
               n, n);
    content_document(c, json_type);
}

void gemini_embed_read(struct prompt *p, const struct ask *a)
{
    yyjson_val *requests = yyjson_obj_get(a->root, "requests");
    size_t i;
    size_t n;
    yyjson_val *v;
    prompt_turn(p, true);
    p->tokens = 0;
    read_parts(p, yyjson_obj_get(yyjson_obj_get(a->root, "content"), "parts"));
    yyjson_arr_foreach(requests, i, n, v)
    {
        read_parts(p, yyjson_obj_get(yyjson_obj_get(v, "content"), "parts"));
    }
}

static void put_embedding(struct buf *out, yyjson_val *request)
{
    struct prompt p = {.max_tokens = -1};
    int64_t dimensions = yyjson_get_sint(member(request, "outputDimensionality"));
    size_t n = dimensions > 0 && dimensions <= 4096 ? (size_t)dimensions : 768;
    prompt_turn(&p, true);
    read_parts(&p, yyjson_obj_get(yyjson_obj_get(request, "content"), "parts"));
    prompt_end(&p);
    buf_str(out, "{\"values\":");
    put_vector(out, buf_view(&p.last), n, false);
    buf_str(out, "}");
    prompt_deinit(&p);
}

void gemini_embed(struct content *c, const struct ask *a)
{
    buf_str(&c->bytes, "{\"embedding\":");
    put_embedding(&c->bytes, a->root);
    buf_printf(&c->bytes, ",\"usageMetadata\":{\"promptTokenCount\":%" PRId64 "}}",
               reply_told(a->b.prompt_tokens, a->prompt.tokens));
    content_document(c, json_type);
}

void gemini_embed_batch(struct content *c, const struct ask *a)
{
    yyjson_val *requests = yyjson_obj_get(a->root, "requests");
    size_t i;
    size_t n;
    yyjson_val *v;
    if (yyjson_arr_size(requests) == 0) {
        content_refuse(c, a, 400, "* BatchEmbedContentsRequest.requests: must not be empty");
        return;
    }
    buf_str(&c->bytes, "{\"embeddings\":[");
    yyjson_arr_foreach(requests, i, n, v)
    {
        buf_str(&c->bytes, i > 0 ? "," : "");
        put_embedding(&c->bytes, v);
    }
    buf_printf(&c->bytes, "],\"usageMetadata\":{\"promptTokenCount\":%" PRId64 "}}",
               reply_told(a->b.prompt_tokens, a->prompt.tokens));
    content_document(c, json_type);
}

static void put_model(struct buf *out, struct str id)
{
    struct buf name = {0};
    buf_str(&name, "models/");
    buf_put(&name, id);
    buf_str(out, "{\"name\":");
    buf_json(out, buf_view(&name));
    buf_str(out, ",\"version\":\"001\",\"displayName\":");
    buf_json(out, id);
    buf_str(out, ",\"inputTokenLimit\":1048576,\"outputTokenLimit\":65536,"
                 "\"supportedGenerationMethods\":[\"generateContent\",\"countTokens\"]}");
    buf_free(&name);
}

void gemini_models(struct content *c, const struct ask *a)
{
    static const char *const ids[] = {"gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-pro",
                                      "gemini-embedding-001"};
    (void)a;
    buf_str(&c->bytes, "{\"models\":[");
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        buf_str(&c->bytes, i > 0 ? "," : "");
        put_model(&c->bytes, (struct str){ids[i], strlen(ids[i])});
    }
    buf_str(&c->bytes, "]}");
    content_document(c, json_type);
}

void gemini_model(struct content *c, const struct ask *a)
{
    put_model(&c->bytes, a->model);
    content_document(c, json_type);
}
