#include "trouble.h"

#include "eventstream.h"

#include <inttypes.h>
#include <string.h>

static const char json_type[] = "application/json";

struct row {
    int64_t status;
    const char *text;
};

static const char *lookup(const struct row *rows, size_t n, int64_t status, const char *otherwise)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].status == status) {
            return rows[i].text;
        }
    }
    return otherwise;
}

#define LOOKUP(rows, status, otherwise) \
    lookup(rows, sizeof(rows) / sizeof((rows)[0]), status, otherwise)

static const char *openai_type(const struct trouble *t)
{
    if (t->code != NULL && strcmp(t->code, "insufficient_quota") == 0) {
        return t->code;
    }
    return t->status == 429   ? "requests"
           : t->status >= 500 ? "server_error"
           : t->status == 401 ? "authentication_error"
                              : "invalid_request_error";
}

static const char *anthropic_type(int64_t status)
{
    static const struct row rows[] = {
        {401, "authentication_error"}, {402, "billing_error"},  {403, "permission_error"},
        {404, "not_found_error"},      {409, "conflict_error"}, {413, "request_too_large"},
        {429, "rate_limit_error"},     {504, "timeout_error"},  {529, "overloaded_error"}};
    return LOOKUP(rows, status, status >= 500 ? "api_error" : "invalid_request_error");
}

static const char *gemini_status(int64_t status)
{
    static const struct row rows[] = {
        {400, "INVALID_ARGUMENT"}, {401, "UNAUTHENTICATED"},  {403, "PERMISSION_DENIED"},
        {404, "NOT_FOUND"},        {409, "ABORTED"},          {429, "RESOURCE_EXHAUSTED"},
        {499, "CANCELLED"},        {500, "INTERNAL"},         {501, "UNIMPLEMENTED"},
        {503, "UNAVAILABLE"},      {504, "DEADLINE_EXCEEDED"}};
    return LOOKUP(rows, status, "UNKNOWN");
}

static const char *bedrock_type(int64_t status)
{
    static const struct row rows[] = {
        {400, "ValidationException"},       {403, "AccessDeniedException"},
        {404, "ResourceNotFoundException"}, {408, "ModelTimeoutException"},
        {424, "ModelErrorException"},       {429, "ThrottlingException"},
        {500, "InternalServerException"},   {503, "ServiceUnavailableException"}};
    return LOOKUP(rows, status, "InternalServerException");
}

static void put_or_null(struct buf *out, const char *s)
{
    if (s != NULL) {
        buf_json(out, (struct str){s, strlen(s)});
    } else {
        buf_str(out, "null");
    }
}

static void put_openai(struct buf *out, const struct trouble *t)
{
    buf_str(out, "{\"error\":{\"message\":");
    put_or_null(out, t->message);
    buf_str(out, ",\"type\":");
    put_or_null(out, t->type != NULL ? t->type : openai_type(t));
    buf_str(out, ",\"param\":");
    put_or_null(out, t->param);
    buf_str(out, ",\"code\":");
    put_or_null(out, t->code);
    buf_str(out, "}}");
}

/* Azure's own gateway writes codes as numbers in strings and no type. */
static void put_azure(struct buf *out, const struct trouble *t)
{
    char number[24] = {0};
    struct buf code = {0};
    buf_printf(&code, "%" PRId64, t->status);
    memcpy(number, code.ptr, code.len < 23 ? code.len : 23);
    buf_free(&code);
    buf_str(out, "{\"error\":{\"code\":");
    put_or_null(out, t->code != NULL ? t->code : number);
    buf_str(out, ",\"message\":");
    put_or_null(out, t->message);
    if (t->type != NULL) {
        buf_str(out, ",\"type\":");
        put_or_null(out, t->type);
    }
    buf_str(out, "}}");
}

static void put_anthropic(struct buf *out, const struct trouble *t)
{
    buf_str(out, "{\"type\":\"error\",\"error\":{\"type\":");
    put_or_null(out, t->type != NULL ? t->type : anthropic_type(t->status));
    buf_str(out, ",\"message\":");
    put_or_null(out, t->message);
    if (t->code != NULL) {
        buf_str(out, ",\"details\":{\"error_code\":");
        put_or_null(out, t->code);
        buf_str(out, "}");
    }
    buf_str(out, "},\"request_id\":null}");
}

static void put_gemini(struct buf *out, const struct trouble *t)
{
    static const char at[] = "{\"@type\":\"type.googleapis.com/google.rpc.";
    buf_printf(out, "{\"error\":{\"code\":%" PRId64 ",\"message\":", t->status);
    put_or_null(out, t->message);
    buf_str(out, ",\"status\":");
    put_or_null(out, t->type != NULL ? t->type : gemini_status(t->status));
    if (t->code != NULL || t->retry_after != NULL) {
        buf_str(out, ",\"details\":[");
        if (t->code != NULL) {
            buf_printf(out, "%sErrorInfo\",\"reason\":", at);
            put_or_null(out, t->code);
            buf_str(out, ",\"domain\":\"googleapis.com\"}");
        }
        if (t->retry_after != NULL) {
            buf_printf(out, "%s%sRetryInfo\",\"retryDelay\":\"%ss\"}", t->code != NULL ? "," : "",
                       at, t->retry_after);
        }
        buf_str(out, "]");
    }
    buf_str(out, "}}");
}

static void put_message(struct buf *out, const char *member, const struct trouble *t)
{
    buf_printf(out, "{\"%s\":", member);
    put_or_null(out, t->message);
    buf_str(out, "}");
}

static void put_trouble(struct buf *out, enum dialect d, const struct trouble *t)
{
    switch (d) {
    case OPENAI:
    case RESPONSES: put_openai(out, t); break;
    case AZURE: put_azure(out, t); break;
    case ANTHROPIC: put_anthropic(out, t); break;
    case GEMINI: put_gemini(out, t); break;
    case OLLAMA: put_message(out, "error", t); break;
    case BEDROCK: put_message(out, "message", t); break;
    }
}

void content_trouble(struct content *c, enum dialect d, const struct trouble *t)
{
    c->status = t->status;
    c->bytes.len = 0;
    put_trouble(&c->bytes, d, t);
    if (d == BEDROCK) {
        buf_printf(&c->headers, "x-amzn-ErrorType: %s\r\n",
                   t->type != NULL ? t->type : bedrock_type(t->status));
    }
    c->told_retry = d == GEMINI && t->retry_after != NULL;
    content_document(c, json_type);
}

void content_error(struct content *c, int64_t status, const char *message, const char *param,
                   const char *code)
{
    content_trouble(
        c, OPENAI,
        &(struct trouble){.status = status, .message = message, .param = param, .code = code});
}

void content_refuse(struct content *c, const struct ask *a, int64_t status, const char *message)
{
    content_trouble(c, a->dialect, &(struct trouble){.status = status, .message = message});
}

void content_refusef(struct content *c, const struct ask *a, int64_t status, const char *fmt, ...)
{
    va_list ap;
    struct buf text = {0};
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    buf_add(&text, "", 1);
    content_refuse(c, a, status, text.ptr);
    buf_free(&text);
}

static const char *usual_message(enum dialect d, int64_t status)
{
    static const struct row openai[] = {
        {400, "The request was not understood."},
        {401, "Incorrect API key provided: sk-sim. You can find your API key at the console."},
        {403, "Country, region, or territory not supported"},
        {404, "The model does not exist or you do not have access to it."},
        {429, "Rate limit reached for requests. Please try again later."},
        {500, "The server had an error while processing your request. Sorry about that!"},
        {503, "The server is overloaded or not ready yet."}};
    static const struct row anthropic[] = {
        {401, "invalid x-api-key"},
        {429, "This request would exceed your organization's rate limit."},
        {500, "Internal server error"},
        {529, "Overloaded"}};
    static const struct row gemini[] = {
        {400, "Request contains an invalid argument."},
        {429, "You exceeded your current quota, please check your plan and billing details."},
        {500, "An internal error has occurred. Please retry."},
        {503, "The model is overloaded. Please try again later."}};
    static const char any[] = "An error made by the simulator.";
    const char *own = d == ANTHROPIC ? LOOKUP(anthropic, status, NULL)
                      : d == GEMINI  ? LOOKUP(gemini, status, NULL)
                                     : NULL;
    return own != NULL ? own : LOOKUP(openai, status, any);
}

/* Only OpenAI's errors have a code as a rule. */
static const char *usual_code(enum dialect d, int64_t status)
{
    static const struct row rows[] = {{401, "invalid_api_key"},
                                      {403, "unsupported_country_region_territory"},
                                      {404, "model_not_found"},
                                      {429, "rate_limit_exceeded"},
                                      {503, "slow_down"}};
    return d == OPENAI || d == RESPONSES ? LOOKUP(rows, status, NULL) : NULL;
}

void content_scripted(struct content *c, enum dialect d, const struct behaviour *b)
{
    struct trouble t = {.status = b->status, .message = b->message, .type = b->type};
    t.message = t.message != NULL ? t.message : usual_message(d, b->status);
    t.code = b->code != NULL ? b->code : usual_code(d, b->status);
    t.retry_after = b->retry_after;
    content_trouble(c, d, &t);
}

static void put_stream_trouble(struct content *c, const struct ask *a, const struct trouble *t)
{
    const struct behaviour *b = &a->b;
    struct buf json = {0};
    const char *name =
        b->error_event || a->dialect == ANTHROPIC || a->dialect == RESPONSES ? "error" : NULL;
    if (a->dialect == RESPONSES) {
        buf_str(&json, "{\"type\":\"error\",\"code\":");
        put_or_null(&json, t->code != NULL ? t->code : "server_error");
        buf_str(&json, ",\"message\":");
        put_or_null(&json, t->message);
        buf_printf(&json, ",\"param\":null,\"sequence_number\":%zu}", t->sequence);
    } else {
        put_trouble(&json, a->dialect, t);
    }
    if (a->dialect == BEDROCK) {
        eventstream_frame(&c->bytes, "exception",
                          t->type != NULL ? t->type : "modelStreamErrorException", buf_view(&json));
        content_end_piece(c);
    } else if (a->dialect == OLLAMA || c->is_array) {
        buf_str(&c->bytes, !c->is_array ? "" : c->piece_n > 0 ? "," : "[");
        buf_put(&c->bytes, buf_view(&json));
        buf_str(&c->bytes, c->is_array ? "]" : "\n");
        content_end_piece(c);
    } else {
        struct behaviour style = *b;
        style.crlf = b->crlf || a->dialect == GEMINI;
        content_event(c, &style, name, buf_view(&json));
    }
    buf_free(&json);
}

void content_break_off(struct content *c, const struct ask *a)
{
    const struct behaviour *b = &a->b;
    size_t keep = (size_t)b->error_at;
    if (!c->is_stream || b->error_at < 0 || keep > c->piece_n) {
        return;
    }
    struct trouble t = {.status = 500, .message = b->message, .type = b->type, .code = b->code};
    if (t.message == NULL) {
        t.message =
            a->dialect == ANTHROPIC ? "Overloaded" : "The server had an error in mid-stream";
    }
    if (a->dialect == ANTHROPIC && t.type == NULL) {
        t.type = "overloaded_error";
    }
    t.sequence = keep;
    c->piece_n = keep;
    c->bytes.len = keep > 0 ? c->ends[keep - 1] : 0;
    put_stream_trouble(c, a, &t);
}

const char *trouble_id_header(enum dialect d)
{
    switch (d) {
    case ANTHROPIC: return "request-id: req_";
    case AZURE: return "apim-request-id: req_";
    case BEDROCK: return "x-amzn-RequestId: ";
    case OPENAI:
    case RESPONSES:
    case GEMINI:
    case OLLAMA: return "x-request-id: req_";
    }
    return "x-request-id: req_";
}
