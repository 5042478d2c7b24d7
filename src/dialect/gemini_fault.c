#include "core/check.h"
#include "dialect/gemini.h"
#include "dialect/write.h"

enum { DETAILS_MAX = 32 };

/* --- ours --------------------------------------------------------------------------------------
 */

struct fault_row {
    int status;
    const char *message, *reason; /* reason: of an ErrorInfo; NULL: none */
};

static struct fault_row row_of(enum fault_kind kind)
{
    switch (kind) {
    case FAULT_NONE: break;
    case FAULT_AUTH_MISSING:
        return (struct fault_row){401, "API key missing. Send it in the x-goog-api-key header.",
                                  "CREDENTIALS_MISSING"};
    case FAULT_AUTH_INVALID:
        return (struct fault_row){401, "API key not valid. Please pass a valid API key.",
                                  "API_KEY_INVALID"};
    case FAULT_FORBIDDEN: return (struct fault_row){403, "This is not allowed.", NULL};
    case FAULT_BAD_REQUEST: return (struct fault_row){400, "The request is not valid.", NULL};
    case FAULT_NOT_FOUND: return (struct fault_row){404, "There is nothing at this URL.", NULL};
    case FAULT_MODEL_NOT_FOUND: return (struct fault_row){404, "The model does not exist.", NULL};
    case FAULT_METHOD: return (struct fault_row){405, "This URL does not take this method.", NULL};
    case FAULT_TOO_LARGE: return (struct fault_row){413, "The request is too large.", NULL};
    case FAULT_MEDIA_TYPE:
        return (struct fault_row){415, "The content type or encoding is not supported.", NULL};
    case FAULT_RATE_LIMITED:
        return (struct fault_row){429, "Rate limit reached.", "RATE_LIMIT_EXCEEDED"};
    case FAULT_BUDGET:
        return (struct fault_row){429, "The budget is exhausted.", "BUDGET_EXHAUSTED"};
    case FAULT_UPSTREAM: return (struct fault_row){502, "The provider could not answer.", NULL};
    case FAULT_UPSTREAM_TIMEOUT:
        return (struct fault_row){504, "The provider did not answer in time.", NULL};
    case FAULT_OVERLOADED: return (struct fault_row){503, "The gateway is overloaded.", NULL};
    case FAULT_LOOP: return (struct fault_row){508, "The gateway was asked to call itself.", NULL};
    case FAULT_INTERNAL: break;
    }
    return (struct fault_row){500, "Internal error.", NULL};
}

/* google.rpc.Code by HTTP status. */
static struct slice status_name(int status)
{
    switch (status) {
    case 401: return SLICE("UNAUTHENTICATED");
    case 402: return SLICE("FAILED_PRECONDITION");
    case 403: return SLICE("PERMISSION_DENIED");
    case 404: return SLICE("NOT_FOUND");
    case 405: return SLICE("UNIMPLEMENTED");
    case 409: return SLICE("ABORTED");
    case 429: return SLICE("RESOURCE_EXHAUSTED");
    case 499: return SLICE("CANCELLED");
    case 502:
    case 503:
    case 529: return SLICE("UNAVAILABLE");
    case 504: return SLICE("DEADLINE_EXCEEDED");
    default: return status >= 500 ? SLICE("INTERNAL") : SLICE("INVALID_ARGUMENT");
    }
}

#define TYPE_URL "type.googleapis.com/google.rpc."

/* A duration as protocol buffers write it, no shorter than it is. */
static void add_delay(struct text *t, int64_t delay_ns)
{
    int64_t ms = delay_ns / 1000000 + (delay_ns % 1000000 != 0);
    write_element(t);
    write_string(t, "@type", SLICE(TYPE_URL "RetryInfo"));
    text_addf(t, ",\"retryDelay\":\"%lld.%03llds\"}", (long long)(ms / 1000),
              (long long)(ms % 1000));
}

static void add_details(const struct fault *f, const char *reason, struct text *t)
{
    struct slice why = f->code.len ? f->code : slice_str(reason);
    bool has_any = why.len || f->param.len || f->retry_after_ns > 0 || f->request_id.len;
    if (!has_any) {
        return;
    }
    text_add_json_key(t, "details");
    TEXT_ADD(t, "[");
    if (why.len) {
        write_element(t);
        write_string(t, "@type", SLICE(TYPE_URL "ErrorInfo"));
        write_string(t, "reason", why);
        write_string(t, "domain", SLICE("llm-gateway"));
        TEXT_ADD(t, "}");
    }
    if (f->param.len) {
        write_element(t);
        write_string(t, "@type", SLICE(TYPE_URL "BadRequest"));
        TEXT_ADD(t, ",\"fieldViolations\":[{");
        write_string(t, "field", f->param);
        write_string_if(t, "description", f->message);
        TEXT_ADD(t, "}]}");
    }
    if (f->retry_after_ns > 0) {
        add_delay(t, f->retry_after_ns);
    }
    if (f->request_id.len) {
        write_element(t);
        write_string(t, "@type", SLICE(TYPE_URL "RequestInfo"));
        write_string(t, "requestId", f->request_id);
        TEXT_ADD(t, "}");
    }
    TEXT_ADD(t, "]");
}

static void add_error(const struct fault *f, int status, struct text *t)
{
    struct fault_row row = row_of(f->kind);
    text_addf(t, "{\"error\":{\"code\":%d", status);
    write_string(t, "message", f->message.len ? f->message : slice_str(row.message));
    write_string(t, "status", status_name(status));
    add_details(f, row.reason, t);
    TEXT_ADD(t, "}}");
}

void gemini_render_fault(const struct fault *f, int *out_status, struct text *out_body,
                         struct text *out_headers)
{
    *out_status = f->status ? f->status : row_of(f->kind).status;
    add_error(f, *out_status, out_body);
    if (f->kind == FAULT_BUDGET) {
        TEXT_ADD(out_headers, "x-should-retry: false\r\n");
    }
}

void gemini_render_stream_fault(const struct fault *f, struct text *out)
{
    TEXT_ADD(out, "data: ");
    add_error(f, f->status ? f->status : row_of(f->kind).status, out);
    TEXT_ADD(out, "\r\n\r\n");
}

/* --- the provider's ----------------------------------------------------------------------------
 */

enum { E_MESSAGE, E_STATUS, E_DETAILS, E_ERROR, E_MEMBERS };
static const struct span_name error_names[E_MEMBERS] = {
    [E_MESSAGE] = {SLICE_INIT("message"), false},
    [E_STATUS] = {SLICE_INIT("status"), false},
    [E_DETAILS] = {SLICE_INIT("details"), false},
    [E_ERROR] = {SLICE_INIT("error"), false},
};

static struct slice as_text(struct arena *a, const struct span *s)
{
    struct slice text = s->kind == SPAN_STRING ? read_text(a, s) : SLICE_NONE;
    return slice_shortened(text, FAULT_MESSAGE_MAX_BYTES);
}

/* "34.4s", rounded up to milliseconds; 0: it is none. */
static int64_t delay_of(struct slice text)
{
    int64_t seconds = 0, thousandths = 0, scale = 100;
    size_t i = 0;
    while (i < text.len && i < 9 && text.ptr[i] >= '0' && text.ptr[i] <= '9') {
        seconds = seconds * 10 + (text.ptr[i++] - '0');
    }
    if (i == 0) {
        return 0;
    }
    if (i < text.len && text.ptr[i] == '.') {
        for (i++; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
            thousandths += scale * (text.ptr[i] - '0');
            thousandths += scale == 0 && text.ptr[i] != '0' && thousandths < 999;
            scale /= 10;
        }
    }
    return i < text.len && text.ptr[i] == 's' ? (seconds * 1000 + thousandths) * 1000000 : 0;
}

struct details {
    struct slice reason;
    bool is_daily; /* a quota of the day is used up */
    int64_t delay_ns;
};

static void read_detail(struct arena *a, struct slice detail, struct details *out)
{
    static const char *const daily[] = {"PerDay"};
    static const struct span_name names[] = {{SLICE_INIT("reason"), false},
                                             {SLICE_INIT("retryDelay"), false},
                                             {SLICE_INIT("violations"), false}};
    struct span at[ARRAY_LEN(names)];
    struct span_object o;
    if (spans_scan(detail, names, ARRAY_LEN(names), at, &o)) {
        return;
    }
    out->reason = out->reason.len ? out->reason : as_text(a, &at[0]);
    if (at[1].kind == SPAN_STRING) {
        out->delay_ns = delay_of(span_plain(&at[1]));
    }
    if (at[2].kind == SPAN_ARRAY) {
        out->is_daily = out->is_daily || read_says(at[2].value, daily, ARRAY_LEN(daily));
    }
}

static void read_details(struct arena *a, const struct span *list, struct details *out)
{
    struct span_cursor c;
    struct span m;
    if (list->kind != SPAN_ARRAY || span_skim(&c, list->value)) {
        return;
    }
    while (c.count < DETAILS_MAX && span_next(&c, &m) == SPAN_ITEM) {
        if (m.kind == SPAN_OBJECT) {
            read_detail(a, m.value, out);
        }
    }
}

/* "... Please retry in 34.4s." */
static int64_t delay_in_message(struct slice message)
{
    static const struct slice words = SLICE_INIT("retry in ");
    return delay_of(slice_from(message, slice_search(message, words) + words.len));
}

/* The body's error, or that of its first element (trap 14). */
static void read_body(struct arena *a, struct slice body, struct upstream_fault *out,
                      struct details *details)
{
    struct span m[E_MEMBERS];
    struct span_object o;
    struct span_cursor c;
    struct span first;
    if (body.len && body.ptr[0] == '[') {
        if (span_open(&c, body) || span_next(&c, &first) != SPAN_ITEM ||
            first.kind != SPAN_OBJECT) {
            return;
        }
        body = first.value;
    }
    if (spans_scan(body, error_names, E_MEMBERS, m, &o)) {
        return;
    }
    struct span error = m[E_ERROR];
    if (error.kind == SPAN_OBJECT && spans_scan(error.value, error_names, E_MEMBERS, m, &o)) {
        return;
    }
    out->message = as_text(a, error.kind == SPAN_STRING ? &error : &m[E_MESSAGE]);
    out->type = as_text(a, &m[E_STATUS]);
    read_details(a, &m[E_DETAILS], details);
    out->code = details->reason;
    out->retry_after_ns = details->delay_ns ? details->delay_ns : delay_in_message(out->message);
}

/* A bad key is a 400 here. */
static enum blame blame_of(int status, const struct upstream_fault *f, const struct details *d)
{
    static const char *const key[] = {"API_KEY_INVALID", "API key not valid", "API key expired",
                                      "API Key not found"};
    static const char *const quota[] = {"billing", "prepayment credits"};
    static const char *const place[] = {"location is not supported"};
    if (status >= 400 && status < 500 &&
        (read_says(f->code, key, 1) || read_says(f->message, key, ARRAY_LEN(key)))) {
        return BLAME_US_KEY;
    }
    if ((status == 429 && d->is_daily) ||
        ((status == 400 || status == 403) && read_says(f->message, quota, ARRAY_LEN(quota)))) {
        return BLAME_US_QUOTA;
    }
    if (status == 400 && read_says(f->message, place, ARRAY_LEN(place))) {
        return BLAME_US_DEPLOYMENT;
    }
    return status == 499 ? BLAME_PROVIDER : read_blame(status);
}

void gemini_read_fault(struct arena *a, int status, struct slice body, struct upstream_fault *out)
{
    struct details details = {.is_daily = false};
    *out = (struct upstream_fault){.blame = BLAME_PROVIDER};
    read_body(a, slice_trim(body), out, &details);
    if (!out->message.len) {
        out->message = arena_printf(a, "HTTP status %d", status);
    }
    out->blame = blame_of(status, out, &details);
}
