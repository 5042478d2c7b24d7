/* Errors of ours in a Responses stream; elsewhere they are those of the chat dialect. */
#include "dialect/responses.h"
#include "dialect/write.h"

/* Numbers of the events of an error that the gateway adds to a stream whose events it does not
 * count: above any that came before, and what every client can hold. */
#define SEQUENCE_LAST INT64_C(2147483646)

static struct slice code_of(const struct fault *f)
{
    if (f->code.len) {
        return f->code;
    }
    switch (f->kind) {
    case FAULT_RATE_LIMITED: return SLICE("rate_limit_exceeded");
    case FAULT_BUDGET: return SLICE("insufficient_quota");
    case FAULT_BAD_REQUEST: return SLICE("invalid_prompt");
    case FAULT_NONE:
    case FAULT_AUTH_MISSING:
    case FAULT_AUTH_INVALID:
    case FAULT_FORBIDDEN:
    case FAULT_NOT_FOUND:
    case FAULT_MODEL_NOT_FOUND:
    case FAULT_METHOD:
    case FAULT_TOO_LARGE:
    case FAULT_MEDIA_TYPE:
    case FAULT_UPSTREAM:
    case FAULT_UPSTREAM_TIMEOUT:
    case FAULT_OVERLOADED:
    case FAULT_LOOP:
    case FAULT_INTERNAL: break;
    }
    return SLICE("server_error");
}

static struct slice message_of(const struct fault *f)
{
    return f->message.len ? f->message : SLICE("The provider could not answer.");
}

void responses_add_error(struct text *t, const struct fault *f)
{
    text_add_json_key(t, "error");
    TEXT_ADD(t, "{");
    write_string(t, "code", code_of(f));
    write_string(t, "message", message_of(f));
    TEXT_ADD(t, "}");
}

static void add_words(struct text *t, const struct fault *f)
{
    write_string(t, "code", code_of(f));
    write_string(t, "message", message_of(f));
    if (f->param.len) {
        write_string(t, "param", f->param);
    } else {
        write_raw(t, "param", SLICE("null"));
    }
}

/* The API writes its error event with the words in a member of their own, its description says
 * beside: some SDKs read the one, some the other, and Codex reads response.failed alone. */
void responses_add_fault_events(const struct fault *f, int64_t sequence,
                                const struct responses_head *h, struct text *out)
{
    struct responses_head failed = *h;
    failed.status = RESPONSES_FAILED;
    failed.fault = f;
    TEXT_ADD(out, "event: error\ndata: {\"type\":\"error\"");
    write_count(out, "sequence_number", sequence);
    add_words(out, f);
    TEXT_ADD(out, ",\"error\":{");
    write_string(out, "type", code_of(f));
    add_words(out, f);
    TEXT_ADD(out, "}}\n\nevent: response.failed\ndata: {\"type\":\"response.failed\"");
    write_count(out, "sequence_number", sequence + 1);
    text_add_json_key(out, "response");
    responses_open(out, &failed);
    responses_close(out, &failed);
    TEXT_ADD(out, "}\n\n");
}

void responses_render_stream_fault(const struct fault *f, struct text *out)
{
    const struct responses_head h = {.id = f->request_id, .finish = CHAT_FINISH_ERROR};
    responses_add_fault_events(f, SEQUENCE_LAST, &h, out);
}
