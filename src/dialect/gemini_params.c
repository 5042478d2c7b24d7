/* A neutral request as a generateContent request: everything but the contents. */
#include "core/check.h"
#include "dialect/gemini.h"
#include "dialect/write.h"

#include <assert.h>

enum { STOPS_MAX = 5 }; /* the API takes no more */

#define CONFIG_SCOPE SLICE("generationConfig.")
#define TOOL_SCOPE   SLICE("toolConfig.")

static bool is_ours(struct slice provider)
{
    return slice_eq(provider, GEMINI_NAME);
}

/* --- extras ------------------------------------------------------------------------------------
 */

/* Members whose names begin with scope, without it; scope empty: those without any. */
static void add_scoped(struct writer *w, struct slice scope)
{
    struct span_cursor c;
    struct span m;
    if (!is_ours(w->r->provider) || w->r->extras.len == 0 || span_skim(&c, w->r->extras)) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        struct slice key = slice_of(m.key.ptr + 1, m.key.len - 2);
        struct slice bare = slice_from(key, scope.len);
        bool is_in = scope.len ? slice_starts(key, scope) && slice_find(bare, '.') == bare.len
                               : slice_find(key, '.') == key.len;
        if (is_in) {
            text_add(&w->t, w->t.ptr && w->t.ptr[w->t.len - 1] != '{' ? SLICE(",") : SLICE_NONE);
            text_addf(&w->t, "\"%.*s\":", SLICE_ARG(bare));
            text_add(&w->t, m.value);
        }
    }
}

/* --- tools -------------------------------------------------------------------------------------
 */

/* No argument at all: a schema of an object without members, which older models refuse. */
static bool has_arguments(struct slice schema)
{
    static const struct span_name names[] = {{SLICE_INIT("type"), false},
                                             {SLICE_INIT("properties"), false}};
    struct span at[ARRAY_LEN(names)];
    struct span_object o;
    if (schema.len == 0 || spans_scan(schema, names, ARRAY_LEN(names), at, &o)) {
        return false;
    }
    bool is_bare = at[1].kind == SPAN_ABSENT ||
                   (at[1].kind == SPAN_OBJECT &&
                    slice_trim(slice_of(at[1].value.ptr + 1, at[1].value.len - 2)).len == 0);
    return !is_bare || !(o.members == 0 || span_string_is(&at[0], SLICE("object")));
}

static void add_function(struct writer *w, const struct chat_tool *tool)
{
    struct text *t = &w->t;
    write_element(t);
    text_add_json_key(t, "name");
    gemini_add_name(t, tool->name);
    write_string_if(t, "description", tool->description);
    if (w->o->profile->takes_json_schema) {
        write_raw_if(t, "parametersJsonSchema", tool->schema);
    } else if (has_arguments(tool->schema)) {
        write_raw(t, "parameters", gemini_schema_out(w->arena, tool->schema, &w->dropped));
    }
    if (tool->extras.len > 2 && is_ours(tool->provider)) {
        text_add_char(t, ',');
        text_add(t, slice_of(tool->extras.ptr + 1, tool->extras.len - 2));
    } else {
        drop_extras(&w->dropped, tool->extras);
    }
    TEXT_ADD(t, "}");
    if (tool->cache_marker.len) {
        write_drop(w, "cache_control");
    }
}

/* All functions stand in one object, whatever they were told as. */
static size_t add_functions(struct writer *w)
{
    size_t sent = 0;
    for (size_t i = 0; i < w->r->tool_count; i++) {
        const struct chat_tool *tool = &w->r->tools[i];
        if (tool->raw.len) {
            continue;
        }
        text_add(&w->t, sent++ ? SLICE_NONE : SLICE("{\"functionDeclarations\":["));
        add_function(w, tool);
    }
    text_add(&w->t, sent ? SLICE("]}") : SLICE_NONE);
    return sent;
}

static bool is_strict(const struct chat_request *r)
{
    for (size_t i = 0; i < r->tool_count; i++) {
        if (r->tools[i].is_strict) {
            return true;
        }
    }
    return false;
}

/* Strict functions are what VALIDATED asks for; names can be told with ANY and with it only. */
static struct slice mode_of(const struct chat_request *r)
{
    switch (r->tool_choice) {
    case CHAT_CHOICE_NONE: return SLICE("NONE");
    case CHAT_CHOICE_REQUIRED:
    case CHAT_CHOICE_NAMED: return SLICE("ANY");
    case CHAT_CHOICE_AUTO:
    case CHAT_CHOICE_DEFAULT: break;
    }
    return r->allowed_tools || is_strict(r)     ? SLICE("VALIDATED")
           : r->tool_choice == CHAT_CHOICE_AUTO ? SLICE("AUTO")
                                                : SLICE_NONE;
}

static void add_calling(struct writer *w)
{
    const struct chat_request *r = w->r;
    struct text *t = &w->t;
    struct slice mode = mode_of(r);
    if (!mode.len) {
        return;
    }
    text_add_json_key(t, "functionCallingConfig");
    TEXT_ADD(t, "{");
    write_string(t, "mode", mode);
    if (r->tool_choice == CHAT_CHOICE_NAMED || (r->allowed_tools && mode.len != 4)) {
        text_add_json_key(t, "allowedFunctionNames");
        TEXT_ADD(t, "[");
        if (r->tool_choice == CHAT_CHOICE_NAMED) {
            gemini_add_name(t, r->tool_choice_name);
        }
        for (size_t i = 0; i < r->allowed_tool_count && r->tool_choice != CHAT_CHOICE_NAMED; i++) {
            write_next(t);
            gemini_add_name(t, r->allowed_tools[i]);
        }
        TEXT_ADD(t, "]");
    }
    TEXT_ADD(t, "}");
}

/* An object that is left out when nothing came into it; begin is where its key stands. */
static void close_object(struct text *t, size_t begin)
{
    if (t->is_full || t->ptr[t->len - 1] != '{') {
        TEXT_ADD(t, "}");
    } else {
        t->len = begin;
    }
}

static void add_tool_config(struct writer *w, bool has_functions)
{
    size_t begin = w->t.len;
    text_add_json_key(&w->t, "toolConfig");
    TEXT_ADD(&w->t, "{");
    if (has_functions) {
        add_calling(w);
    } else if (w->r->tool_choice == CHAT_CHOICE_REQUIRED ||
               w->r->tool_choice == CHAT_CHOICE_NAMED) {
        write_drop(w, "tool_choice"); /* refused where there are no functions */
    }
    add_scoped(w, TOOL_SCOPE);
    close_object(&w->t, begin);
}

static bool add_tools(struct writer *w)
{
    const struct chat_request *r = w->r;
    size_t begin = w->t.len;
    text_add_json_key(&w->t, "tools");
    TEXT_ADD(&w->t, "[");
    size_t opened = w->t.len;
    size_t functions = add_functions(w);
    for (size_t i = 0; i < r->tool_count; i++) {
        const struct chat_tool *tool = &r->tools[i];
        if (tool->raw.len && is_ours(tool->provider)) {
            write_next(&w->t);
            text_add(&w->t, tool->raw);
        } else if (tool->raw.len) {
            drop_name(&w->dropped, tool->name.len ? tool->name : SLICE("tools"));
        }
    }
    if (w->t.len == opened && !w->t.is_full) {
        w->t.len = begin;
    } else {
        TEXT_ADD(&w->t, "]");
    }
    if (functions && r->parallel_tool_calls == 0) {
        write_drop(w, "parallel_tool_calls");
    }
    return functions > 0;
}

/* --- thinking ----------------------------------------------------------------------------------
 */

static int64_t budget_of_effort(struct slice effort)
{
    static const struct {
        struct slice effort;
        int64_t tokens;
    } table[] = {
        {SLICE_INIT("minimal"), 512}, {SLICE_INIT("low"), 1024},    {SLICE_INIT("medium"), 8192},
        {SLICE_INIT("high"), 24576},  {SLICE_INIT("xhigh"), 24576}, {SLICE_INIT("max"), 24576},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (slice_eq(effort, table[i].effort)) {
            return table[i].tokens;
        }
    }
    return -1;
}

static struct slice level_of(const struct dialect_profile *p, struct slice effort)
{
    if (slice_eq(effort, SLICE("none")) || slice_eq(effort, SLICE("minimal"))) {
        return p->takes_level_minimal ? SLICE("MINIMAL") : SLICE("LOW");
    }
    if (slice_eq(effort, SLICE("low"))) {
        return SLICE("LOW");
    }
    return slice_eq(effort, SLICE("medium")) && p->takes_level_medium ? SLICE("MEDIUM")
                                                                      : SLICE("HIGH");
}

static struct slice effort_of_budget(int64_t budget)
{
    return budget <= 1024 ? SLICE("low") : budget <= 8192 ? SLICE("medium") : SLICE("high");
}

/* What the client asked for. */
struct thought {
    struct slice effort;
    int64_t budget;
    bool is_told, is_off;
};

static struct thought plan_thought(const struct chat_request *r, const struct dialect_profile *p)
{
    struct thought t = {.effort = r->reasoning_effort};
    t.is_off = r->thinking == CHAT_THINKING_OFF ||
               (slice_eq(t.effort, SLICE("none")) && r->thinking <= CHAT_THINKING_UNSAID);
    t.budget = t.is_off ? 0 : budget_of_effort(t.effort);
    t.is_told = t.effort.len || t.is_off;
    if (r->thinking == CHAT_THINKING_BUDGET && slice_to_i64(r->thinking_budget.text, &t.budget)) {
        t.is_told = true;
        t.effort = t.effort.len ? t.effort : effort_of_budget(t.budget);
    } else if (r->thinking == CHAT_THINKING_ADAPTIVE && !t.effort.len) {
        t.budget = -1;
        t.is_told = !p->takes_thinking_level; /* its own way is what it does */
    }
    return t;
}

/* A model that cannot stop thinking thinks as little as it may. */
static void add_budget(struct writer *w, int64_t budget)
{
    bool is_least = budget == 0 && w->o->profile->refuses_thinking_off;
    if (is_least) {
        write_drop(w, "thinking");
    }
    write_count(&w->t, "thinkingBudget", is_least ? 128 : budget);
}

/* Budget or level, never both. */
static void add_thought(struct writer *w)
{
    const struct dialect_profile *p = w->o->profile;
    const struct chat_request *r = w->r;
    const struct thought t = plan_thought(r, p);
    bool can_think = p->takes_thinking_level || p->takes_thinking_budget;
    bool wants_thoughts = slice_eq(r->thinking_display, SLICE("summarized")) ||
                          (!r->thinking_display.len && t.is_told && !t.is_off);
    if (t.is_told && p->takes_thinking_level) {
        write_string(&w->t, "thinkingLevel", level_of(p, t.is_off ? SLICE("none") : t.effort));
    } else if (t.is_told && p->takes_thinking_budget) {
        add_budget(w, t.budget);
    } else if (t.is_told && !t.is_off) {
        bool is_effort = t.effort.len && r->thinking <= CHAT_THINKING_UNSAID;
        write_drop(w, is_effort ? "reasoning_effort" : "thinking");
    }
    if (can_think && (wants_thoughts || r->thinking_display.len)) {
        write_bool(&w->t, "includeThoughts", wants_thoughts);
    } else if (r->thinking_display.len) {
        write_drop(w, "thinking.display");
    }
}

static void add_thinking_config(struct writer *w)
{
    size_t begin = w->t.len;
    text_add_json_key(&w->t, "thinkingConfig");
    TEXT_ADD(&w->t, "{");
    add_thought(w);
    add_scoped(w, SLICE("generationConfig.thinkingConfig."));
    close_object(&w->t, begin);
}

/* --- the rest of generationConfig --------------------------------------------------------------
 */

static void add_numbers(struct writer *w)
{
    const struct chat_request *r = w->r;
    bool no_penalties = w->o->profile->refuses_penalties;
    const struct {
        const char *name, *dropped;
        struct slice text;
        bool is_refused;
    } numbers[] = {
        {"temperature", "temperature", r->temperature.text, false},
        {"topP", "top_p", r->top_p.text, false},
        {"topK", "top_k", r->top_k.text, false},
        {"seed", "seed", r->seed.text, false},
        {"candidateCount", "n", r->choices.text, false},
        {"frequencyPenalty", "frequency_penalty", r->frequency_penalty.text, no_penalties},
        {"presencePenalty", "presence_penalty", r->presence_penalty.text, no_penalties},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (!numbers[i].is_refused) {
            write_raw_if(&w->t, numbers[i].name, numbers[i].text);
        } else {
            write_drop_if(w, numbers[i].dropped, numbers[i].text, SLICE("0"));
        }
    }
    if (slice_eq(r->max_tokens.text, SLICE("0"))) {
        write_raw(&w->t, "maxOutputTokens", SLICE("1")); /* Anthropic's way to warm a cache */
    } else if (r->max_tokens.text.len) {
        write_raw(&w->t, "maxOutputTokens", r->max_tokens.text);
    } else if (w->o->output_cap_tokens >= 0) {
        write_count(&w->t, "maxOutputTokens", w->o->output_cap_tokens);
    }
}

static void add_stops(struct writer *w)
{
    const struct chat_request *r = w->r;
    if (r->stop_count == 0) {
        return;
    }
    text_add_json_key(&w->t, "stopSequences");
    TEXT_ADD(&w->t, "[");
    for (size_t i = 0; i < r->stop_count && i < STOPS_MAX; i++) {
        write_next(&w->t);
        text_add_json_string(&w->t, r->stops[i]);
    }
    TEXT_ADD(&w->t, "]");
    if (r->stop_count > STOPS_MAX) {
        write_drop(w, "stop");
    }
}

static void add_format(struct writer *w, bool has_functions)
{
    const struct chat_request *r = w->r;
    if (r->format != CHAT_FORMAT_JSON && r->format != CHAT_FORMAT_SCHEMA) {
        return; /* text is what comes anyway */
    }
    if (has_functions && w->o->profile->refuses_tools_with_format) {
        write_drop(w, "response_format");
        return;
    }
    write_string(&w->t, "responseMimeType", SLICE("application/json"));
    if (r->format_schema.len && w->o->profile->takes_json_schema) {
        write_raw(&w->t, "responseJsonSchema", r->format_schema);
    } else if (r->format_schema.len) {
        write_raw(&w->t, "responseSchema",
                  gemini_schema_out(w->arena, r->format_schema, &w->dropped));
    }
}

static void add_config(struct writer *w, bool has_functions)
{
    size_t begin = w->t.len;
    text_add_json_key(&w->t, "generationConfig");
    TEXT_ADD(&w->t, "{");
    add_numbers(w);
    add_stops(w);
    add_format(w, has_functions);
    add_thinking_config(w);
    add_scoped(w, CONFIG_SCOPE);
    close_object(&w->t, begin);
}

static void add_tier(struct writer *w)
{
    struct slice tier = w->r->service_tier;
    bool is_standard = slice_eq(tier, SLICE("default")) || slice_eq(tier, SLICE("standard_only"));
    if (slice_eq(tier, SLICE("flex")) || slice_eq(tier, SLICE("priority"))) {
        write_string(&w->t, "serviceTier", tier);
    } else if (is_standard) {
        write_string(&w->t, "serviceTier", SLICE("standard"));
    } else if (tier.len && !slice_eq(tier, SLICE("auto"))) {
        write_drop(w, "service_tier");
    }
}

static void name_unknown(struct writer *w)
{
    write_drop_if(w, "user", w->r->user, SLICE_NONE);
    write_drop_if(w, "metadata", w->r->metadata, SLICE("{}"));
    if (!is_ours(w->r->provider)) {
        drop_extras(&w->dropped, w->r->extras);
    }
}

/* The public API counts what stands beside the contents in a whole request only. */
static void add_request(struct writer *w)
{
    gemini_add_contents(w);
    bool has_functions = add_tools(w);
    add_tool_config(w, has_functions);
    add_config(w, has_functions);
    add_tier(w);
    add_scoped(w, SLICE_NONE);
    name_unknown(w);
}

enum err gemini_encode_request(struct arena *a, const struct chat_request *r,
                               const struct encode_options *o, struct body_parts *out)
{
    struct writer w = write_begin(a, r, o, out);
    bool is_counting = o->op == CHAT_OP_COUNT_TOKENS;
    assert(o->profile);
    if (is_counting) {
        struct slice model = gemini_bare_model(o->model);
        TEXT_ADD(&w.t, "{\"generateContentRequest\":{");
        write_string(&w.t, "model", arena_printf(a, "models/%.*s", SLICE_ARG(model)));
        add_request(&w);
        TEXT_ADD(&w.t, "}}");
    } else {
        TEXT_ADD(&w.t, "{");
        add_request(&w);
        TEXT_ADD(&w.t, "}");
    }
    enum err e = write_end(&w.t, &w.dropped, out);
    out->path = gemini_path(a, o->op, o->model, o->is_stream, false);
    out->adds_usage = o->is_stream && !r->wants_usage; /* every stream tells it */
    return e || out->path.len ? e : E_NOMEM;
}
