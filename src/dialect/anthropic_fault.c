#include "dialect/anthropic.h"
#include "dialect/write.h"

enum { STATUS_OVERLOADED = 529 };

struct fault_row {
    int status;
    const char *message;
};

static struct fault_row row_of(enum fault_kind kind)
{
    switch (kind) {
    case FAULT_NONE: break;
    case FAULT_AUTH_MISSING: return (struct fault_row){401, "x-api-key header is required"};
    case FAULT_AUTH_INVALID: return (struct fault_row){401, "invalid x-api-key"};
    case FAULT_FORBIDDEN: return (struct fault_row){403, "This is not allowed."};
    case FAULT_BAD_REQUEST: return (struct fault_row){400, "The request is not valid."};
    case FAULT_NOT_FOUND: return (struct fault_row){404, "Not Found"};
    case FAULT_MODEL_NOT_FOUND: return (struct fault_row){404, "The model does not exist."};
    case FAULT_METHOD: return (struct fault_row){405, "Method Not Allowed"};
    case FAULT_TOO_LARGE: return (struct fault_row){413, "Request exceeds the maximum size"};
    case FAULT_MEDIA_TYPE:
        return (struct fault_row){415, "The content type or encoding is not supported."};
    case FAULT_RATE_LIMITED: return (struct fault_row){429, "Rate limit reached."};
    case FAULT_BUDGET: return (struct fault_row){402, "The budget is exhausted."};
    case FAULT_UPSTREAM: return (struct fault_row){502, "The provider could not answer."};
    case FAULT_UPSTREAM_TIMEOUT:
        return (struct fault_row){504, "The provider did not answer in time."};
    case FAULT_OVERLOADED: return (struct fault_row){STATUS_OVERLOADED, "Overloaded"};
    case FAULT_LOOP: return (struct fault_row){508, "The gateway was asked to call itself."};
    case FAULT_INTERNAL: break;
    }
    return (struct fault_row){500, "Internal server error"};
}

/* The type follows from the status, never from another dialect's words. */
static struct slice type_of(int status)
{
    switch (status) {
    case 401: return SLICE("authentication_error");
    case 402: return SLICE("billing_error");
    case 403: return SLICE("permission_error");
    case 404: return SLICE("not_found_error");
    case 409: return SLICE("conflict_error");
    case 413: return SLICE("request_too_large");
    case 429: return SLICE("rate_limit_error");
    case 504: return SLICE("timeout_error");
    case 503:
    case STATUS_OVERLOADED: return SLICE("overloaded_error");
    default: return status >= 500 ? SLICE("api_error") : SLICE("invalid_request_error");
    }
}

static void add_error(const struct fault *f, int status, struct text *t)
{
    struct fault_row row = row_of(f->kind);
    TEXT_ADD(t, "{\"type\":\"error\",\"error\":{");
    write_string(t, "type", type_of(status));
    write_string(t, "message", f->message.len ? f->message : slice_str(row.message));
    TEXT_ADD(t, "},\"request_id\":");
    if (f->request_id.len) {
        text_add_json_string(t, f->request_id);
    } else {
        TEXT_ADD(t, "null");
    }
    TEXT_ADD(t, "}");
}

void anthropic_render_fault(const struct fault *f, int *out_status, struct text *out_body,
                            struct text *out_headers)
{
    *out_status = f->status ? f->status : row_of(f->kind).status;
    add_error(f, *out_status, out_body);
    if (f->kind == FAULT_BUDGET) {
        TEXT_ADD(out_headers, "x-should-retry: false\r\n");
    }
}

void anthropic_render_stream_fault(const struct fault *f, struct text *out)
{
    TEXT_ADD(out, "event: error\ndata: ");
    add_error(f, f->status ? f->status : row_of(f->kind).status, out);
    TEXT_ADD(out, "\n\n");
}

enum { E_TYPE, E_MESSAGE, E_DETAILS, E_ERROR, E_CODE, E_MEMBERS };
static const struct span_name error_names[E_MEMBERS] = {
    [E_TYPE] = {SLICE_INIT("type"), false},       [E_MESSAGE] = {SLICE_INIT("message"), false},
    [E_DETAILS] = {SLICE_INIT("details"), false}, [E_ERROR] = {SLICE_INIT("error"), false},
    [E_CODE] = {SLICE_INIT("error_code"), false},
};

static struct slice as_text(struct arena *a, const struct span *s)
{
    struct slice text = s->kind == SPAN_STRING ? read_text(a, s) : SLICE_NONE;
    return slice_shortened(text, FAULT_MESSAGE_MAX_BYTES);
}

static void read_body(struct arena *a, struct slice body, struct upstream_fault *out)
{
    struct span m[E_MEMBERS], details[E_MEMBERS];
    struct span_object o;
    if (body.len == 0 || spans_scan(body, error_names, E_MEMBERS, m, &o)) {
        return;
    }
    struct span error = m[E_ERROR];
    if (error.kind == SPAN_OBJECT && spans_scan(error.value, error_names, E_MEMBERS, m, &o)) {
        return;
    }
    out->type = as_text(a, &m[E_TYPE]);
    out->message = as_text(a, error.kind == SPAN_STRING ? &error : &m[E_MESSAGE]);
    if (m[E_DETAILS].kind == SPAN_OBJECT &&
        spans_scan(m[E_DETAILS].value, error_names, E_MEMBERS, details, &o) == OK) {
        out->code = as_text(a, &details[E_CODE]);
    }
}

static enum blame blame_of(int status, const struct upstream_fault *f)
{
    static const char *const quota[] = {"credit balance is too low", "specified API usage limits",
                                        "spend_limit_reached", "billing_error"};
    static const char *const key[] = {"invalid x-api-key", "authentication_error"};
    static const char *const model[] = {"model: "};
    if (status < 500 && (read_says(f->message, quota, ARRAY_LEN(quota)) ||
                         read_says(f->code, quota, ARRAY_LEN(quota)) ||
                         read_says(f->type, quota, ARRAY_LEN(quota)))) {
        return BLAME_US_QUOTA;
    }
    if (status == 400 &&
        (read_says(f->message, key, ARRAY_LEN(key)) || read_says(f->type, key, ARRAY_LEN(key)))) {
        return BLAME_US_KEY;
    }
    if (status == 400 && slice_eq(f->type, SLICE("not_found_error")) &&
        read_says(f->message, model, ARRAY_LEN(model))) {
        return BLAME_US_DEPLOYMENT;
    }
    return read_blame(status);
}

void anthropic_read_fault(struct arena *a, int status, struct slice body,
                          struct upstream_fault *out)
{
    *out = (struct upstream_fault){.blame = BLAME_PROVIDER};
    read_body(a, slice_trim(body), out);
    if (!out->message.len) {
        out->message = arena_printf(a, "HTTP status %d", status);
    }
    out->blame = blame_of(status, out);
}
