/* A neutral request as text, member by member: two of them are the same when their texts are. */
#ifndef UNIT_DIALECT_DUMP_H
#define UNIT_DIALECT_DUMP_H

#include "fixture.h"

#include "dialect/dialect.h"

static inline void dump_slice(struct text *t, const char *name, struct slice s)
{
    if (s.len) {
        text_addf(t, " %s=%.*s", name, SLICE_ARG(s));
    }
}

static inline void dump_part(struct text *t, const struct chat_part *p, int depth)
{
    text_addf(t, "%*s%d%s%s", 2 + 2 * depth, "", (int)p->kind, p->is_error ? " error" : "",
              p->is_custom ? " custom" : "");
    dump_slice(t, "text", p->text);
    dump_slice(t, "id", p->id);
    dump_slice(t, "name", p->name);
    dump_slice(t, "type", p->media_type);
    dump_slice(t, "data", p->data);
    dump_slice(t, "url", p->url);
    dump_slice(t, "file", p->file_id);
    dump_slice(t, "signature", p->signature);
    dump_slice(t, "provider", p->provider);
    dump_slice(t, "marker", p->cache_marker);
    dump_slice(t, "extras", p->extras);
    text_add_char(t, '\n');
    for (size_t i = 0; i < p->part_count && depth < 4; i++) {
        dump_part(t, &p->parts[i], depth + 1);
    }
}

static inline void dump_tool(struct text *t, const struct chat_tool *tool)
{
    text_addf(t, "tool %d%d%d", tool->is_custom, tool->has_strict, tool->is_strict);
    dump_slice(t, "name", tool->name);
    dump_slice(t, "description", tool->description);
    dump_slice(t, "schema", tool->schema);
    dump_slice(t, "raw", tool->raw);
    dump_slice(t, "provider", tool->provider);
    dump_slice(t, "extras", tool->extras);
    dump_slice(t, "marker", tool->cache_marker);
    text_add_char(t, '\n');
}

static inline struct slice dump_request(struct arena *a, const struct chat_request *r)
{
    struct text t = text_growing(a);
    for (size_t i = 0; i < r->message_count; i++) {
        text_addf(&t, "message %d\n", (int)r->messages[i].role);
        for (size_t k = 0; k < r->messages[i].part_count; k++) {
            dump_part(&t, &r->messages[i].parts[k], 0);
        }
    }
    for (size_t i = 0; i < r->tool_count; i++) {
        dump_tool(&t, &r->tools[i]);
    }
    for (size_t i = 0; i < r->stop_count; i++) {
        dump_slice(&t, "stop", r->stops[i]);
    }
    text_addf(&t, "choice %d parallel %d format %d thinking %d stream %d\n", (int)r->tool_choice,
              r->parallel_tool_calls, (int)r->format, (int)r->thinking, r->is_stream);
    dump_slice(&t, "choice", r->tool_choice_name);
    dump_slice(&t, "schema", r->format_schema);
    dump_slice(&t, "max_tokens", r->max_tokens.text);
    dump_slice(&t, "temperature", r->temperature.text);
    dump_slice(&t, "top_p", r->top_p.text);
    dump_slice(&t, "top_k", r->top_k.text);
    dump_slice(&t, "budget", r->thinking_budget.text);
    dump_slice(&t, "display", r->thinking_display);
    dump_slice(&t, "effort", r->reasoning_effort);
    dump_slice(&t, "user", r->user);
    dump_slice(&t, "tier", r->service_tier);
    dump_slice(&t, "extras", r->extras);
    assert_false(t.is_full);
    return text_slice(&t);
}

#endif
