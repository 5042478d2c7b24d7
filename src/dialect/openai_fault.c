#include "core/check.h"
#include "dialect/openai.h"

struct fault_row {
    int status;
    const char *type, *code, *message;
};

static struct fault_row row_of(enum fault_kind kind)
{
    switch (kind) {
    case FAULT_NONE: break;
    case FAULT_AUTH_MISSING:
        return (struct fault_row){401, "invalid_request_error", NULL,
                                  "You did not provide an API key. Send it as a Bearer token in "
                                  "the Authorization header."};
    case FAULT_AUTH_INVALID:
        return (struct fault_row){401, "invalid_request_error", "invalid_api_key",
                                  "Incorrect API key provided."};
    case FAULT_FORBIDDEN:
        return (struct fault_row){403, "request_forbidden", NULL, "This is not allowed."};
    case FAULT_BAD_REQUEST:
        return (struct fault_row){400, "invalid_request_error", NULL, "The request is not valid."};
    case FAULT_NOT_FOUND:
        return (struct fault_row){404, "invalid_request_error", "unknown_url",
                                  "There is nothing at this URL."};
    case FAULT_MODEL_NOT_FOUND:
        return (struct fault_row){404, "invalid_request_error", "model_not_found",
                                  "The model does not exist."};
    case FAULT_METHOD:
        return (struct fault_row){405, "invalid_request_error", "method_not_supported",
                                  "This URL does not take this method."};
    case FAULT_TOO_LARGE:
        return (struct fault_row){413, "invalid_request_error", "request_too_large",
                                  "The request is too large."};
    case FAULT_MEDIA_TYPE:
        return (struct fault_row){415, "invalid_request_error", "unsupported_media_type",
                                  "The content type or encoding is not supported."};
    case FAULT_RATE_LIMITED:
        return (struct fault_row){429, "requests", "rate_limit_exceeded", "Rate limit reached."};
    case FAULT_BUDGET:
        return (struct fault_row){429, "insufficient_quota", "insufficient_quota",
                                  "The budget is exhausted."};
    case FAULT_UPSTREAM:
        return (struct fault_row){502, "server_error", "upstream_error",
                                  "The provider could not answer."};
    case FAULT_UPSTREAM_TIMEOUT:
        return (struct fault_row){504, "server_error", "upstream_timeout",
                                  "The provider did not answer in time."};
    case FAULT_OVERLOADED:
        return (struct fault_row){503, "server_error", "slow_down", "The gateway is overloaded."};
    case FAULT_LOOP:
        return (struct fault_row){508, "server_error", "loop_detected",
                                  "The gateway was asked to call itself."};
    case FAULT_INTERNAL: break;
    }
    return (struct fault_row){500, "server_error", NULL, "Internal error."};
}

static void add_string_or_null(struct text *t, const char *name, struct slice value)
{
    text_add_json_key(t, name);
    if (value.len) {
        text_add_json_string(t, value);
    } else {
        TEXT_ADD(t, "null");
    }
}

static void add_error(const struct fault *f, const struct fault_row *row, struct text *t)
{
    struct slice param = f->param;
    if (!param.len && f->kind == FAULT_MODEL_NOT_FOUND) {
        param = SLICE("model");
    }
    TEXT_ADD(t, "{\"error\":{");
    text_add_json_key(t, "message");
    text_add_json_string(t, f->message.len ? f->message : slice_str(row->message));
    text_add_json_key(t, "type");
    text_add_json_string(t, slice_str(row->type));
    add_string_or_null(t, "param", param);
    add_string_or_null(t, "code", f->code.len ? f->code : slice_str(row->code));
    TEXT_ADD(t, "}}");
}

void openai_render_fault(const struct fault *f, int *out_status, struct text *out_body,
                         struct text *out_headers)
{
    struct fault_row row = row_of(f->kind);
    *out_status = f->status ? f->status : row.status;
    add_error(f, &row, out_body);
    if (f->kind == FAULT_BUDGET) {
        TEXT_ADD(out_headers, "x-should-retry: false\r\n");
    }
}

void openai_render_stream_fault(const struct fault *f, struct text *out)
{
    struct fault_row row = row_of(f->kind);
    TEXT_ADD(out, "data: ");
    add_error(f, &row, out);
    TEXT_ADD(out, "\n\n");
}

enum { E_MESSAGE, E_TYPE, E_CODE, E_STATUS, E_DETAIL, E_ERROR, E_MEMBERS };
static const struct span_name error_names[E_MEMBERS] = {
    [E_MESSAGE] = {SLICE_INIT("message"), false}, [E_TYPE] = {SLICE_INIT("type"), false},
    [E_CODE] = {SLICE_INIT("code"), false},       [E_STATUS] = {SLICE_INIT("status"), false},
    [E_DETAIL] = {SLICE_INIT("detail"), false},   [E_ERROR] = {SLICE_INIT("error"), false},
};

/* A member as text: a string without its quotes, anything else as spelled. */
static struct slice as_text(struct arena *a, const struct span *s)
{
    struct slice text =
        !read_is_given(s) ? SLICE_NONE : openai_error_message(a, slice_trim(s->value));
    return slice_shortened(text, FAULT_MESSAGE_MAX_BYTES);
}

/* The object that holds message, type and code: the body itself, its "error", or that of its first
 * element (some compatible servers answer a list). */
static bool find_error(struct slice body, struct span *out)
{
    struct span_object o;
    struct span_cursor c;
    struct span m;
    if (body.len && body.ptr[0] == '[') {
        if (span_open(&c, body) || span_next(&c, &m) != SPAN_ITEM || m.kind != SPAN_OBJECT) {
            return false;
        }
        body = m.value;
    }
    if (spans_scan(body, error_names, E_MEMBERS, out, &o)) {
        return false;
    }
    struct span error = out[E_ERROR];
    if (error.kind == SPAN_OBJECT) {
        return spans_scan(error.value, error_names, E_MEMBERS, out, &o) == OK;
    }
    if (read_is_given(&error)) {
        out[E_MESSAGE] = error;
    } else if (!read_is_given(&out[E_MESSAGE])) {
        out[E_MESSAGE] = out[E_DETAIL];
    }
    return read_is_given(&out[E_MESSAGE]);
}

static bool any_says(const struct upstream_fault *f, const char *const *words, size_t count)
{
    return read_says(f->code, words, count) || read_says(f->type, words, count) ||
           read_says(f->message, words, count);
}

static enum blame blame_of(int status, const struct upstream_fault *f)
{
    static const char *const quota[] = {"insufficient_quota",          "credit balance is too low",
                                        "exceeded your current quota", "billing_hard_limit_reached",
                                        "billing_not_active",          "insufficient balance",
                                        "insufficient credits"};
    static const char *const key[] = {"invalid_api_key", "incorrect api key", "api key not valid",
                                      "API_KEY_INVALID", "api key expired"};
    static const char *const model[] = {"model_not_found", "DeploymentNotFound",
                                        "model_not_available"};
    static const char *const flagged[] = {"was flagged", "content_policy", "moderation"};
    if (status < 500 && any_says(f, quota, ARRAY_LEN(quota))) {
        return BLAME_US_QUOTA;
    }
    if (status == 403 && any_says(f, flagged, ARRAY_LEN(flagged))) {
        return BLAME_CLIENT; /* OpenRouter refuses what moderation flagged with 403 */
    }
    if (status == 400 && any_says(f, key, ARRAY_LEN(key))) {
        return BLAME_US_KEY;
    }
    if (status == 400 && any_says(f, model, ARRAY_LEN(model))) {
        return BLAME_US_DEPLOYMENT;
    }
    return read_blame(status);
}

void openai_read_fault(struct arena *a, int status, struct slice body, struct upstream_fault *out)
{
    struct span m[E_MEMBERS];
    *out = (struct upstream_fault){.blame = BLAME_PROVIDER};
    if (find_error(slice_trim(body), m)) {
        out->message = as_text(a, &m[E_MESSAGE]);
        out->code = as_text(a, &m[E_CODE]);
        out->type = as_text(a, read_is_given(&m[E_TYPE]) ? &m[E_TYPE] : &m[E_STATUS]);
    }
    if (!out->message.len) {
        out->message = arena_printf(a, "HTTP status %d", status); /* a proxy's page, or nothing */
    }
    out->blame = blame_of(status, out);
}
