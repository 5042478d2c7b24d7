/* What Anthropic's clients find beside answers: limits as times, a list of models in pages. */
#include "core/check.h"
#include "core/clock.h"
#include "dialect/anthropic.h"
#include "dialect/conversation.h"
#include "dialect/write.h"
#include "wire/http_lines.h"

static void line_time(struct text *out, struct slice name, int64_t unix_ns)
{
    char time[CLOCK_RFC3339_BYTES + 1];
    http_line(out, name, slice_of(time, clock_rfc3339(unix_ns, time)));
}

/* Times at which the limit is whole again. */
static void render_rates(const struct dialect_rates *r, struct text *out)
{
    if (r->requests_limit >= 0) {
        http_line_i64(out, SLICE("anthropic-ratelimit-requests-limit"), r->requests_limit);
        http_line_i64(out, SLICE("anthropic-ratelimit-requests-remaining"), r->requests_left);
        line_time(out, SLICE("anthropic-ratelimit-requests-reset"),
                  i64_add_sat(r->now_unix_ns, r->requests_reset_ns));
    }
    if (r->tokens_limit >= 0) {
        http_line_i64(out, SLICE("anthropic-ratelimit-tokens-limit"), r->tokens_limit);
        http_line_i64(out, SLICE("anthropic-ratelimit-tokens-remaining"), r->tokens_left);
        line_time(out, SLICE("anthropic-ratelimit-tokens-reset"),
                  i64_add_sat(r->now_unix_ns, r->tokens_reset_ns));
    }
}

static void render_model(const struct dialect_model *m, struct text *out)
{
    char time[CLOCK_RFC3339_BYTES + 1];
    TEXT_ADD(out, "{\"type\":\"model\"");
    write_string(out, "id", m->name);
    write_string(out, "display_name", m->name);
    write_string(out, "created_at", slice_of(time, clock_rfc3339(m->created_unix_ns, time)));
    TEXT_ADD(out, "}");
}

static void write_name_or_null(struct text *out, const char *member, struct slice name)
{
    if (name.len) {
        write_string(out, member, name);
    } else {
        write_raw(out, member, SLICE("null"));
    }
}

/* Anthropic's lists are paged; ours is one page. */
static void close_models(struct slice first, struct slice last, struct text *out)
{
    TEXT_ADD(out, "]");
    write_bool(out, "has_more", false);
    write_name_or_null(out, "first_id", first);
    write_name_or_null(out, "last_id", last);
    TEXT_ADD(out, "}");
}

static void find_conversation(struct arena *a, const struct chat_ask *ask, struct conversation *out)
{
    const struct anthropic_members *m = ask->spans;
    (void)a;
    out->session = conversation_session_of(ask->user);
    out->system = m->at[A_SYSTEM];
    out->tools = m->at[A_TOOLS];
    out->turns = m->at[A_MESSAGES];
}

const struct dialect_front anthropic_front = {
    .path = SLICE_INIT("/v1/messages"),
    .client_header = SLICE_INIT("anthropic-version"),
    .request_id_header = SLICE_INIT("request-id"),
    .render_rates = render_rates,
    .models_open = SLICE_INIT("{\"data\":["),
    .render_model = render_model,
    .close_models = close_models,
    .find_conversation = find_conversation,
};
