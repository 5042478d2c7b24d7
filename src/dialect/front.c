/* What OpenAI's clients find beside answers; dialects that have no other form use it too. */
#include "dialect/front.h"

#include "core/check.h"
#include "core/clock.h"
#include "dialect/openai.h"
#include "dialect/write.h"
#include "wire/http_lines.h"

void front_go_duration(int64_t ns, struct text *out)
{
    int64_t ms = (i64_max(ns, 0) + NS_PER_MS - 1) / NS_PER_MS;
    if (ms < 1000) {
        text_add_i64(out, ms);
        TEXT_ADD(out, "ms");
        return;
    }
    int64_t s = (ms + 999) / 1000;
    if (s >= 3600) {
        text_add_i64(out, s / 3600);
        TEXT_ADD(out, "h");
    }
    if (s >= 60) {
        text_add_i64(out, s / 60 % 60);
        TEXT_ADD(out, "m");
    }
    text_add_i64(out, s % 60);
    TEXT_ADD(out, "s");
}

static void line_duration(struct text *out, struct slice name, int64_t ns)
{
    char room[48];
    struct text t = text_in(room, sizeof(room));
    front_go_duration(ns, &t);
    http_line(out, name, text_slice(&t));
}

void front_render_rates(const struct dialect_rates *r, struct text *out)
{
    if (r->requests_limit >= 0) {
        http_line_i64(out, SLICE("x-ratelimit-limit-requests"), r->requests_limit);
        http_line_i64(out, SLICE("x-ratelimit-remaining-requests"), r->requests_left);
        line_duration(out, SLICE("x-ratelimit-reset-requests"), r->requests_reset_ns);
    }
    if (r->tokens_limit >= 0) {
        http_line_i64(out, SLICE("x-ratelimit-limit-tokens"), r->tokens_limit);
        http_line_i64(out, SLICE("x-ratelimit-remaining-tokens"), r->tokens_left);
        line_duration(out, SLICE("x-ratelimit-reset-tokens"), r->tokens_reset_ns);
    }
}

void front_render_model(const struct dialect_model *m, struct text *out)
{
    TEXT_ADD(out, "{\"id\":");
    text_add_json_string(out, m->name);
    write_string(out, "object", SLICE("model"));
    write_count(out, "created", m->created_unix_ns / NS_PER_S);
    write_string(out, "owned_by", m->owner);
    TEXT_ADD(out, "}");
}

void front_close_models(struct slice first, struct slice last, struct text *out)
{
    (void)first;
    (void)last;
    TEXT_ADD(out, "]}");
}

const struct dialect_front front_openai = {
    .render_rates = front_render_rates,
    .models_open = SLICE_INIT(FRONT_MODELS_OPEN),
    .render_model = front_render_model,
    .close_models = front_close_models,
    .find_conversation = openai_find_conversation,
};
