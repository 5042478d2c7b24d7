/* A neutral request as a request of /api/chat: everything but the messages. */
#include "dialect/ollama.h"
#include "dialect/write.h"

#include <assert.h>

/* --- tools -------------------------------------------------------------------------------------
 */

static bool is_sendable(const struct writer *w, const struct chat_tool *tool)
{
    const struct chat_request *r = w->r;
    bool is_other =
        r->tool_choice == CHAT_CHOICE_NAMED && !slice_eq(tool->name, r->tool_choice_name);
    return !tool->raw.len && !is_other && write_allows_tool(r, tool->name);
}

static void add_tool(struct writer *w, const struct chat_tool *tool)
{
    struct text *t = &w->t;
    write_element(t);
    write_string(t, "type", SLICE("function"));
    TEXT_ADD(t, ",\"function\":{");
    write_string(t, "name", tool->name);
    write_string_if(t, "description", tool->description);
    write_raw(t, "parameters",
              tool->schema.len ? tool->schema : SLICE("{\"type\":\"object\",\"properties\":{}}"));
    TEXT_ADD(t, "}}");
    drop_extras(&w->dropped, tool->extras);
    if (tool->cache_marker.len) {
        write_drop(w, "cache_control");
    }
}

/* There is no tool_choice: none is said by leaving the tools out, one by leaving the others out;
 * that some tool must be called cannot be said. */
static void add_tools(struct writer *w)
{
    const struct chat_request *r = w->r;
    size_t sent = 0;
    for (size_t i = 0; i < r->tool_count && r->tool_choice != CHAT_CHOICE_NONE; i++) {
        const struct chat_tool *tool = &r->tools[i];
        if (tool->raw.len) {
            drop_name(&w->dropped, tool->name.len ? tool->name : SLICE("tools"));
        }
        if (!is_sendable(w, tool)) {
            continue;
        }
        if (sent++ == 0) {
            text_add_json_key(&w->t, "tools");
            TEXT_ADD(&w->t, "[");
        }
        add_tool(w, tool);
    }
    text_add(&w->t, sent ? SLICE("]") : SLICE_NONE);
    if (r->tool_choice == CHAT_CHOICE_REQUIRED || r->tool_choice == CHAT_CHOICE_NAMED) {
        write_drop(w, "tool_choice");
    }
    if (r->parallel_tool_calls == 0) {
        write_drop(w, "parallel_tool_calls");
    }
}

/* --- thinking and the answer's form ------------------------------------------------------------
 */

/* Models that know efforts take three of them; the others take any of them for yes. */
static void add_thinking(struct writer *w)
{
    const struct chat_request *r = w->r;
    struct slice effort = r->reasoning_effort;
    bool is_off = r->thinking == CHAT_THINKING_OFF || slice_eq(effort, SLICE("none"));
    bool is_on = r->thinking == CHAT_THINKING_BUDGET || r->thinking == CHAT_THINKING_ADAPTIVE;
    if (is_off) {
        write_bool(&w->t, "think", false);
    } else if (effort.len) {
        struct slice known = slice_eq(effort, SLICE("minimal")) ? SLICE("low")
                             : slice_eq(effort, SLICE("xhigh")) || slice_eq(effort, SLICE("max"))
                                 ? SLICE("high")
                                 : effort;
        write_string(&w->t, "think", known);
    } else if (is_on) {
        write_bool(&w->t, "think", true);
    }
    if (r->thinking_budget.text.len && !is_off) {
        write_drop(w, "thinking.budget_tokens");
    }
}

static void add_format(struct writer *w)
{
    switch (w->r->format) {
    case CHAT_FORMAT_JSON: write_string(&w->t, "format", SLICE("json")); break;
    case CHAT_FORMAT_SCHEMA: write_raw(&w->t, "format", w->r->format_schema); break;
    case CHAT_FORMAT_TEXT:
    case CHAT_FORMAT_DEFAULT: break;
    }
}

/* --- options -----------------------------------------------------------------------------------
 */

static void add_stops(struct writer *w)
{
    if (w->r->stop_count == 0) {
        return;
    }
    text_add_json_key(&w->t, "stop");
    TEXT_ADD(&w->t, "[");
    for (size_t i = 0; i < w->r->stop_count; i++) {
        write_next(&w->t);
        text_add_json_string(&w->t, w->r->stops[i]);
    }
    TEXT_ADD(&w->t, "]");
}

static void add_options(struct writer *w)
{
    const struct chat_request *r = w->r;
    const struct {
        const char *name;
        struct slice text;
    } numbers[] = {
        {"temperature", r->temperature.text},
        {"top_p", r->top_p.text},
        {"top_k", r->top_k.text},
        {"seed", r->seed.text},
        {"presence_penalty", r->presence_penalty.text},
        {"frequency_penalty", r->frequency_penalty.text},
    };
    size_t before = w->t.len;
    text_add_json_key(&w->t, "options");
    TEXT_ADD(&w->t, "{");
    size_t opened = w->t.len;
    if (w->o->context_tokens > 0) {
        write_count(&w->t, "num_ctx", w->o->context_tokens);
    }
    if (r->max_tokens.text.len) {
        write_raw(&w->t, "num_predict", r->max_tokens.text);
    } else if (w->o->output_cap_tokens > 0) {
        write_count(&w->t, "num_predict", w->o->output_cap_tokens);
    }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        write_raw_if(&w->t, numbers[i].name, numbers[i].text);
    }
    add_stops(w);
    if (w->t.len == opened && !w->t.is_full) {
        w->t.len = before;
        return;
    }
    TEXT_ADD(&w->t, "}");
}

/* What the API has no words for; a value that asks for nothing is not missed. */
static void name_unknown(struct writer *w)
{
    const struct chat_request *r = w->r;
    write_drop_if(w, "n", r->choices.text, SLICE("1"));
    write_drop_if(w, "metadata", r->metadata, SLICE("{}"));
    write_drop_if(w, "user", r->user, SLICE_NONE);
    write_drop_if(w, "service_tier", r->service_tier, SLICE("auto"));
    drop_extras(&w->dropped, r->extras); /* no client speaks this dialect: they are another's */
}

enum err ollama_encode_request(struct arena *a, const struct chat_request *r,
                               const struct encode_options *o, struct body_parts *out)
{
    struct writer w = write_begin(a, r, o, out);
    TEXT_ADD(&w.t, "{");
    write_string(&w.t, "model", o->model);
    ollama_add_messages(&w);
    add_tools(&w);
    add_thinking(&w);
    add_format(&w);
    add_options(&w);
    name_unknown(&w);
    write_bool(&w.t, "stream", o->is_stream); /* it streams unless it is told not to */
    TEXT_ADD(&w.t, "}");
    if (o->is_stream) {
        out->adds_usage = !r->wants_usage; /* every stream tells it */
    }
    assert(w.t.is_full || w.t.len > 0);
    return write_end(&w.t, &w.dropped, out);
}
