/* A neutral request as a Messages request: everything but the messages. */
#include "core/check.h"
#include "dialect/anthropic.h"
#include "dialect/write.h"

#include <assert.h>
#include <stdlib.h>

enum {
    OUTPUT_DEFAULT_TOKENS = 4096, /* where neither the client nor the model's facts say more */
    BUDGET_LEAST_TOKENS = 1024,   /* the API's own least */
    NUMBER_MAX_BYTES = 63
};

/* What becomes of the wish to think (table C of the wire notes). */
struct thought {
    enum { THOUGHT_NONE, THOUGHT_OFF, THOUGHT_BUDGET, THOUGHT_ADAPTIVE } kind;
    int64_t budget;
    struct slice effort; /* output_config.effort; empty: none */
    struct slice display;
};

static bool is_counting(const struct writer *w)
{
    return w->o->op == CHAT_OP_COUNT_TOKENS;
}

static int64_t max_tokens_of(const struct writer *w)
{
    int64_t value = 0;
    if (slice_to_i64(w->r->max_tokens.text, &value) && value >= 0) {
        return value;
    }
    if (w->o->output_cap_tokens >= 0) {
        return w->o->output_cap_tokens;
    }
    return w->o->output_model_tokens > 0 ? w->o->output_model_tokens : OUTPUT_DEFAULT_TOKENS;
}

/* --- thinking ----------------------------------------------------------------------------------
 */

struct slice anthropic_effort(const struct writer *w)
{
    const struct dialect_profile *p = w->o->profile;
    struct slice effort = w->r->reasoning_effort;
    struct slice most = p->takes_xhigh ? SLICE("xhigh") : SLICE("high");
    if (slice_eq(effort, SLICE("none")) || effort.len == 0) {
        return SLICE_NONE;
    }
    return slice_eq(effort, SLICE("minimal")) ? SLICE("low")
           : slice_eq(effort, SLICE("max"))   ? (p->takes_max ? effort : most)
           : slice_eq(effort, SLICE("xhigh")) ? most
                                              : effort;
}

int64_t anthropic_budget(struct slice effort)
{
    static const struct {
        struct slice effort;
        int64_t tokens;
    } table[] = {
        {SLICE_INIT("minimal"), 1024}, {SLICE_INIT("low"), 1024},   {SLICE_INIT("medium"), 2048},
        {SLICE_INIT("high"), 4096},    {SLICE_INIT("xhigh"), 8192}, {SLICE_INIT("max"), 16384},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (slice_eq(effort, table[i].effort)) {
            return table[i].tokens;
        }
    }
    return 2048;
}

static struct slice effort_of_budget(int64_t budget)
{
    return budget < 2048 ? SLICE("low") : budget < 8192 ? SLICE("medium") : SLICE("high");
}

static void think_off(struct writer *w, struct thought *out)
{
    if (w->o->profile->refuses_thinking_off) {
        write_drop(w, "thinking");
    } else {
        out->kind = THOUGHT_OFF;
    }
}

/* A budget lies between the API's least and the answer's bound, which is not raised: it is what was
 * reserved for. */
static void think_budget(struct writer *w, int64_t budget, struct thought *out)
{
    int64_t most = max_tokens_of(w) - 1;
    budget = i64_max(budget, BUDGET_LEAST_TOKENS);
    if (is_counting(w) || budget <= most) {
        out->budget = budget;
    } else if (most >= BUDGET_LEAST_TOKENS) {
        out->budget = most;
    } else {
        write_drop(w, "thinking");
        return;
    }
    out->kind = THOUGHT_BUDGET;
}

/* The way to think that the model knows, where it is asked to. */
static void think(struct writer *w, bool by_effort, struct thought *out)
{
    const struct dialect_profile *p = w->o->profile;
    const struct chat_request *r = w->r;
    int64_t budget = 0;
    bool has_budget =
        r->thinking == CHAT_THINKING_BUDGET && slice_to_i64(r->thinking_budget.text, &budget);
    bool is_open = by_effort || r->thinking == CHAT_THINKING_ADAPTIVE;
    if (has_budget && !p->refuses_thinking_budget) {
        think_budget(w, budget, out);
    } else if (p->takes_adaptive_thinking && (is_open || has_budget)) {
        out->kind = THOUGHT_ADAPTIVE;
        out->effort = out->effort.len || !has_budget ? out->effort : effort_of_budget(budget);
        out->display = by_effort && !out->display.len ? SLICE("summarized") : out->display;
    } else if (is_open && !p->refuses_thinking_budget) {
        think_budget(w, anthropic_budget(r->reasoning_effort), out);
    } else {
        write_drop(w, "thinking");
    }
}

static struct thought plan_thinking(struct writer *w)
{
    const struct chat_request *r = w->r;
    struct thought out = {.effort = anthropic_effort(w), .display = r->thinking_display};
    bool is_none = slice_eq(r->reasoning_effort, SLICE("none"));
    bool by_effort = r->thinking == CHAT_THINKING_DEFAULT && out.effort.len;
    if (r->thinking == CHAT_THINKING_OFF || (is_none && r->thinking <= CHAT_THINKING_UNSAID)) {
        think_off(w, &out);
    } else if (by_effort || r->thinking > CHAT_THINKING_OFF) {
        think(w, by_effort, &out);
    }
    if (out.effort.len && !w->o->profile->takes_effort) {
        if (out.kind == THOUGHT_NONE || r->thinking != CHAT_THINKING_DEFAULT) {
            write_drop(w, "reasoning_effort");
        }
        out.effort = SLICE_NONE;
    }
    w->is_thinking = out.kind == THOUGHT_BUDGET || out.kind == THOUGHT_ADAPTIVE;
    return out;
}

static void add_thinking(struct writer *w, const struct thought *thought)
{
    struct text *t = &w->t;
    if (thought->kind == THOUGHT_NONE) {
        if (thought->display.len) {
            write_drop(w, "thinking.display");
        }
        return;
    }
    text_add_json_key(t, "thinking");
    if (thought->kind == THOUGHT_OFF) {
        TEXT_ADD(t, "{\"type\":\"disabled\"}");
        return;
    }
    TEXT_ADD(t, "{");
    write_string(t, "type", thought->kind == THOUGHT_BUDGET ? SLICE("enabled") : SLICE("adaptive"));
    if (thought->kind == THOUGHT_BUDGET) {
        write_count(t, "budget_tokens", thought->budget);
    }
    write_string_if(t, "display", thought->display);
    TEXT_ADD(t, "}");
}

/* --- the answer's form -------------------------------------------------------------------------
 */

/* The schema is told as a format, or as a tool to be called with the answer. */
static bool has_json_tool(const struct writer *w)
{
    return w->r->format == CHAT_FORMAT_SCHEMA && !w->o->profile->takes_output_format;
}

static void add_output_config(struct writer *w, struct slice effort)
{
    struct text *t = &w->t;
    bool has_format = w->r->format == CHAT_FORMAT_SCHEMA && !has_json_tool(w);
    if (!effort.len && !has_format) {
        return;
    }
    text_add_json_key(t, "output_config");
    TEXT_ADD(t, "{");
    write_string_if(t, "effort", effort);
    if (has_format) {
        text_add_json_key(t, "format");
        TEXT_ADD(t, "{\"type\":\"json_schema\"");
        write_raw(t, "schema", w->r->format_schema.len ? w->r->format_schema : SLICE("{}"));
        TEXT_ADD(t, "}");
    }
    TEXT_ADD(t, "}");
}

/* --- tools -------------------------------------------------------------------------------------
 */

void anthropic_add_schema(struct text *t, struct slice schema)
{
    static const struct span_name name = {SLICE_INIT("type"), false};
    struct span type;
    struct span_object o;
    if (schema.len == 0 || spans_scan(schema, &name, 1, &type, &o)) {
        TEXT_ADD(t, "{\"type\":\"object\",\"properties\":{}}");
    } else if (type.kind != SPAN_ABSENT) {
        text_add(t, schema); /* every keyword of it, in its order */
    } else {
        TEXT_ADD(t, "{\"type\":\"object\"");
        text_add(t, o.members ? SLICE(",") : SLICE_NONE);
        text_add(t, slice_from(schema, o.open + 1));
    }
}

static void add_tool(struct writer *w, const struct chat_tool *tool)
{
    struct text *t = &w->t;
    if (tool->raw.len) {
        write_next(t);
        text_add(t, tool->raw);
        return;
    }
    write_element(t);
    write_string(t, "name", tool->name);
    write_string_if(t, "description", tool->description);
    text_add_json_key(t, "input_schema");
    anthropic_add_schema(t, tool->schema);
    if (tool->has_strict && w->o->profile->takes_output_format) {
        write_bool(t, "strict", tool->is_strict);
    } else if (tool->is_strict) {
        write_drop(w, "tools.strict");
    }
    anthropic_add_extras(w, tool->extras, tool->provider);
    anthropic_add_marker(w, tool->cache_marker);
    TEXT_ADD(t, "}");
}

static size_t add_given_tools(struct writer *w)
{
    const struct chat_request *r = w->r;
    size_t sent = 0;
    for (size_t i = 0; i < r->tool_count; i++) {
        const struct chat_tool *tool = &r->tools[i];
        if (tool->raw.len && !slice_eq(tool->provider, ANTHROPIC_NAME)) {
            drop_name(&w->dropped, tool->name.len ? tool->name : SLICE("tools"));
        } else if (write_allows_tool(r, tool->name)) {
            add_tool(w, tool);
            sent++;
        }
    }
    return sent;
}

size_t anthropic_add_remembered(struct writer *w,
                                void (*add)(struct writer *w, const struct chat_tool *tool))
{
    struct text names = text_growing(w->arena);
    size_t sent = 0;
    for (size_t i = 0; i < w->r->message_count; i++) {
        const struct chat_message *m = &w->r->messages[i];
        for (size_t k = 0; k < m->part_count; k++) {
            size_t before = names.len;
            if (m->parts[k].kind == CHAT_TOOL_CALL && m->role == CHAT_ASSISTANT) {
                drop_name(&names, m->parts[k].name);
            }
            if (names.len != before) {
                const struct chat_tool tool = {.name = m->parts[k].name};
                add(w, &tool);
                sent++;
            }
        }
    }
    w->t.is_full = w->t.is_full || names.is_full;
    return sent;
}

struct chat_tool anthropic_json_tool(const struct chat_request *r)
{
    return (struct chat_tool){
        .name = ANTHROPIC_JSON_TOOL,
        .description = SLICE("Call this with the final answer, once, instead of writing it."),
        .schema = r->format_schema};
}

static struct slice choice_type(enum chat_tool_choice choice)
{
    switch (choice) {
    case CHAT_CHOICE_NONE: return SLICE("none");
    case CHAT_CHOICE_REQUIRED: return SLICE("any");
    case CHAT_CHOICE_NAMED: return SLICE("tool");
    case CHAT_CHOICE_DEFAULT:
    case CHAT_CHOICE_AUTO: break;
    }
    return SLICE("auto");
}

/* Where the model thinks, no call can be forced (trap 10). */
static void add_tool_choice(struct writer *w, enum chat_tool_choice choice, struct slice name)
{
    struct text *t = &w->t;
    int parallel = w->r->parallel_tool_calls;
    bool is_forced = choice == CHAT_CHOICE_REQUIRED || choice == CHAT_CHOICE_NAMED;
    if (is_forced && w->is_thinking) {
        write_drop(w, "tool_choice");
        choice = CHAT_CHOICE_AUTO;
    }
    if (choice == CHAT_CHOICE_DEFAULT && parallel != 0) {
        return;
    }
    text_add_json_key(t, "tool_choice");
    TEXT_ADD(t, "{");
    write_string(t, "type", choice_type(choice));
    if (choice == CHAT_CHOICE_NAMED) {
        write_string(t, "name", name);
    }
    if (parallel >= 0 && choice != CHAT_CHOICE_NONE) {
        write_bool(t, "disable_parallel_tool_use", parallel == 0);
    }
    TEXT_ADD(t, "}");
}

static void add_tools(struct writer *w)
{
    struct text *t = &w->t;
    enum chat_tool_choice choice = w->r->tool_choice;
    struct slice name = w->r->tool_choice_name;
    bool is_begun = t->len != 0;
    text_add_json_key(t, "tools");
    size_t before = t->len - strlen("\"tools\":");
    TEXT_ADD(t, "[");
    size_t sent = add_given_tools(w);
    if (has_json_tool(w)) {
        const struct chat_tool tool = anthropic_json_tool(w->r);
        add_tool(w, &tool);
        choice = sent ? CHAT_CHOICE_REQUIRED : CHAT_CHOICE_NAMED;
        name = ANTHROPIC_JSON_TOOL;
        sent++;
    } else if (!sent) {
        sent = anthropic_add_remembered(w, add_tool);
        choice = CHAT_CHOICE_NONE; /* none of them is to be called */
    }
    if (!sent && !t->is_full) {
        assert(is_begun && before);
        t->len = before - 1; /* with its comma */
        return;
    }
    TEXT_ADD(t, "]");
    add_tool_choice(w, choice, name);
}

/* --- sampling ----------------------------------------------------------------------------------
 */

/* For comparing with a bound; what is sent is the client's own spelling. */
static double value_of(struct slice number)
{
    char room[NUMBER_MAX_BYTES + 1];
    size_t len = size_min(number.len, NUMBER_MAX_BYTES);
    memcpy(room, number.ptr, len);
    room[len] = '\0';
    return strtod(room, NULL);
}

bool anthropic_add_temperature(struct writer *w)
{
    struct slice text = w->r->temperature.text;
    if (text.len == 0) {
        return false;
    }
    double value = value_of(text);
    bool is_one = value >= 1.0 && value <= 1.0;
    if (w->o->profile->refuses_sampling || (w->is_thinking && !is_one)) {
        if (!w->r->is_temperature_default && !is_one) {
            write_drop(w, "temperature");
        }
        return false;
    }
    if (value > 1.0) {
        write_drop(w, "temperature"); /* the API's scale ends there */
        text = SLICE("1");
    }
    write_raw(&w->t, "temperature", text);
    return true;
}

void anthropic_add_top_p(struct writer *w, const char *name, bool has_temperature)
{
    const struct dialect_profile *p = w->o->profile;
    struct slice top_p = w->r->top_p.text;
    if (top_p.len == 0) {
        return;
    }
    if (!p->refuses_sampling && !(p->refuses_both_sampling && has_temperature) &&
        !(w->is_thinking && value_of(top_p) < 0.95)) {
        write_raw(&w->t, name, top_p);
    } else if (value_of(top_p) < 1.0) {
        write_drop(w, "top_p");
    }
}

static void add_top_k(struct writer *w)
{
    struct slice top_k = w->r->top_k.text;
    if (top_k.len && (w->o->profile->refuses_sampling || w->is_thinking)) {
        write_drop(w, "top_k");
    } else {
        write_raw_if(&w->t, "top_k", top_k);
    }
}

void anthropic_drop_unknown(struct writer *w)
{
    const struct chat_request *r = w->r;
    write_drop_if(w, "seed", r->seed.text, SLICE_NONE);
    write_drop_if(w, "n", r->choices.text, SLICE("1"));
    write_drop_if(w, "frequency_penalty", r->frequency_penalty.text, SLICE("0"));
    write_drop_if(w, "presence_penalty", r->presence_penalty.text, SLICE("0"));
    write_drop_if(w, "metadata", r->metadata, SLICE("{}"));
}

void anthropic_add_stops(struct writer *w, const char *name)
{
    const struct chat_request *r = w->r;
    size_t sent = 0;
    for (size_t i = 0; i < r->stop_count; i++) {
        if (w->is_claude && anthropic_is_blank(r->stops[i])) {
            write_drop(w, "stop"); /* refused when it is white space alone */
            continue;
        }
        if (sent++ == 0) {
            text_add_json_key(&w->t, name);
            TEXT_ADD(&w->t, "[");
        }
        write_next(&w->t);
        text_add_json_string(&w->t, r->stops[i]);
    }
    text_add(&w->t, sent ? SLICE("]") : SLICE_NONE);
}

/* --- who asks, and how -------------------------------------------------------------------------
 */

/* Names that look like an address or a telephone number are refused. */
static bool is_personal(struct slice user)
{
    size_t digits = 0;
    for (size_t i = 0; i < user.len; i++) {
        char c = user.ptr[i];
        if (c >= '0' && c <= '9') {
            digits++;
        } else if (c != '+' && c != '-' && c != ' ' && c != '(' && c != ')' && c != '.') {
            return slice_find(user, '@') < user.len;
        }
    }
    return digits >= 7 && digits <= 15;
}

static void add_user(struct writer *w)
{
    if (w->r->user.len && is_personal(w->r->user)) {
        write_drop(w, "user");
    } else if (w->r->user.len) {
        text_add_json_key(&w->t, "metadata");
        TEXT_ADD(&w->t, "{");
        write_string(&w->t, "user_id", w->r->user);
        TEXT_ADD(&w->t, "}");
    }
}

static void add_tier(struct writer *w)
{
    struct slice tier = w->r->service_tier;
    if (slice_eq(tier, SLICE("auto")) || slice_eq(tier, SLICE("standard_only"))) {
        write_string(&w->t, "service_tier", tier);
    } else if (slice_eq(tier, SLICE("default"))) {
        write_string(&w->t, "service_tier", SLICE("standard_only"));
    } else if (tier.len) {
        write_drop(w, "service_tier");
    }
}

enum err anthropic_encode_request(struct arena *a, const struct chat_request *r,
                                  const struct encode_options *o, struct body_parts *out)
{
    struct writer w = write_begin(a, r, o, out);
    w.is_claude = true;
    assert(o->profile);
    TEXT_ADD(&w.t, "{");
    if (o->is_vertex) {
        TEXT_ADD(&w.t, ANTHROPIC_VERTEX_VERSION);
    }
    if (!o->is_vertex || is_counting(&w)) {
        write_string(&w.t, "model", o->model);
    }
    const struct thought thought = plan_thinking(&w);
    if (!is_counting(&w)) {
        write_count(&w.t, "max_tokens", max_tokens_of(&w));
    }
    add_tools(&w); /* before the messages: of four markers the first count */
    anthropic_add_messages(&w);
    add_thinking(&w, &thought);
    add_output_config(&w, thought.effort);
    if (!is_counting(&w)) {
        anthropic_add_top_p(&w, "top_p", anthropic_add_temperature(&w));
        add_top_k(&w);
        anthropic_add_stops(&w, "stop_sequences");
        add_user(&w);
        add_tier(&w);
        anthropic_drop_unknown(&w);
        if (o->is_stream) {
            write_bool(&w.t, "stream", true);
            out->adds_usage = !r->wants_usage; /* every stream tells it */
        }
    }
    anthropic_add_extras(&w, r->extras, r->provider);
    TEXT_ADD(&w.t, "}");
    return write_end(&w.t, &w.dropped, out);
}
