/* A whole neutral answer as a message of Anthropic's. */
#include "dialect/anthropic.h"
#include "dialect/write.h"

struct slice anthropic_finish_name(enum chat_finish finish, struct slice stop_sequence)
{
    switch (finish) {
    case CHAT_FINISH_LENGTH: return SLICE("max_tokens");
    case CHAT_FINISH_TOOL_CALLS: return SLICE("tool_use");
    case CHAT_FINISH_FILTER: return SLICE("refusal");
    case CHAT_FINISH_NONE:
    case CHAT_FINISH_STOP:
    case CHAT_FINISH_ERROR: break;
    }
    return stop_sequence.len ? SLICE("stop_sequence") : SLICE("end_turn");
}

void anthropic_add_usage(struct text *t, const struct usage *u)
{
    long long written = (long long)u->cache_write_5m + (long long)u->cache_write_1h;
    text_addf(t,
              "\"usage\":{\"input_tokens\":%lld,\"cache_creation_input_tokens\":%lld,"
              "\"cache_read_input_tokens\":%lld,\"cache_creation\":{"
              "\"ephemeral_5m_input_tokens\":%lld,\"ephemeral_1h_input_tokens\":%lld},"
              "\"output_tokens\":%lld",
              (long long)u->input, written, (long long)u->cache_read, (long long)u->cache_write_5m,
              (long long)u->cache_write_1h, (long long)usage_completion(u));
    if (u->reasoning) {
        text_addf(t, ",\"output_tokens_details\":{\"thinking_tokens\":%lld}",
                  (long long)u->reasoning);
    }
    TEXT_ADD(t, "}");
}

void anthropic_add_signature(struct text *t, struct slice signature, struct slice provider)
{
    struct text named = text_growing(t->arena);
    if (signature.len && provider.len && !slice_eq(provider, ANTHROPIC_NAME)) {
        text_add(&named, provider);
        TEXT_ADD(&named, ":");
    }
    text_add(&named, signature);
    text_add_json_string(t, text_slice(&named));
    t->is_full = t->is_full || named.is_full;
}

static void add_thinking(struct text *t, const struct chat_part *p)
{
    write_element(t);
    if (p->data.len) {
        write_string(t, "type", SLICE("redacted_thinking"));
        text_add_json_key(t, "data");
        anthropic_add_signature(t, p->data, p->provider);
    } else {
        write_string(t, "type", SLICE("thinking"));
        write_string(t, "thinking", p->text);
        text_add_json_key(t, "signature");
        anthropic_add_signature(t, p->signature, p->provider);
    }
    TEXT_ADD(t, "}");
}

/* What another provider's model proves a call by stands before it, as a thought that says nothing,
 * so that the client hands it back. */
static void add_call(struct text *t, const struct chat_part *p, size_t index)
{
    if (p->signature.len) {
        const struct chat_part proof = {
            .kind = CHAT_THINKING, .signature = p->signature, .provider = p->provider};
        add_thinking(t, &proof);
    }
    write_element(t);
    write_string(t, "type", SLICE("tool_use"));
    text_add_json_key(t, "id");
    if (p->id.len) {
        anthropic_add_id(t, p->id);
    } else {
        text_addf(t, "\"call_%zu\"", index);
    }
    write_string(t, "name", p->name);
    text_add_json_key(t, "input");
    write_arguments(t, p->text, p->is_custom);
}

static void add_extras(struct text *t, const struct chat_part *p)
{
    if (p->extras.len > 2 && slice_eq(p->provider, ANTHROPIC_NAME)) {
        text_add_char(t, ',');
        text_add(t, slice_of(p->extras.ptr + 1, p->extras.len - 2));
    }
}

static void add_part(struct text *t, const struct chat_part *p, size_t index)
{
    switch (p->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL:
        if (p->text.len) {
            write_element(t);
            write_string(t, "type", SLICE("text"));
            write_string(t, "text", p->text);
            add_extras(t, p);
            TEXT_ADD(t, "}");
        }
        break;
    case CHAT_THINKING: add_thinking(t, p); break;
    case CHAT_TOOL_CALL:
        add_call(t, p, index);
        add_extras(t, p);
        TEXT_ADD(t, "}");
        break;
    case CHAT_OPAQUE:
        if (slice_eq(p->provider, ANTHROPIC_NAME)) {
            write_next(t);
            text_add(t, p->data);
        }
        break;
    case CHAT_IMAGE: /* the API's answers hold none of these */
    case CHAT_AUDIO:
    case CHAT_FILE:
    case CHAT_TOOL_RESULT: break;
    }
}

/* Calls end a turn whatever its server says of it; a refusal that is spelled out is one. */
static enum chat_finish finish_of(const struct chat_choice *c)
{
    enum chat_finish finish = c->finish;
    for (size_t i = 0; i < c->part_count; i++) {
        bool is_plain = finish == CHAT_FINISH_STOP || finish == CHAT_FINISH_NONE;
        if (c->parts[i].kind == CHAT_TOOL_CALL && is_plain) {
            finish = CHAT_FINISH_TOOL_CALLS;
        } else if (c->parts[i].kind == CHAT_REFUSAL && is_plain) {
            finish = CHAT_FINISH_FILTER;
        }
    }
    return finish;
}

enum err anthropic_encode_response(struct arena *a, const struct chat_response *r,
                                   const void *extras, struct slice *out_body)
{
    static const struct chat_choice none = {.finish = CHAT_FINISH_NONE};
    const struct chat_choice *c = r->choice_count ? &r->choices[0] : &none;
    struct text t = text_growing(a);
    (void)extras;
    TEXT_ADD(&t, "{");
    write_string(&t, "id", r->id);
    write_string(&t, "type", SLICE("message"));
    write_string(&t, "role", SLICE("assistant"));
    write_string(&t, "model", r->model);
    text_add_json_key(&t, "content");
    TEXT_ADD(&t, "[");
    for (size_t i = 0; i < c->part_count; i++) {
        add_part(&t, &c->parts[i], i);
    }
    TEXT_ADD(&t, "]");
    write_string(&t, "stop_reason", anthropic_finish_name(finish_of(c), c->stop_sequence));
    if (c->stop_sequence.len) {
        write_string(&t, "stop_sequence", c->stop_sequence);
    } else {
        write_raw(&t, "stop_sequence", SLICE("null"));
    }
    write_raw_if(&t, "stop_details", c->stop_details);
    text_add_char(&t, ',');
    anthropic_add_usage(&t, &r->usage);
    TEXT_ADD(&t, "}");
    *out_body = text_slice(&t);
    return t.is_full ? E_NOMEM : OK;
}
