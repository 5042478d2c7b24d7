/* A neutral request as a Converse request: everything but the messages. */
#include "core/check.h"
#include "dialect/bedrock.h"
#include "dialect/write.h"

#include <assert.h>

enum {
    MARKERS_MAX = 4,             /* Claude's and Nova's own */
    BUDGET_LEAST_TOKENS = 1024,  /* Claude's own least */
    OUTPUT_DEFAULT_TOKENS = 4096 /* where thinking needs a bound and nobody says more */
};

/* What becomes of the wish to think. */
struct thought {
    enum { THOUGHT_NONE, THOUGHT_BUDGET, THOUGHT_ADAPTIVE, THOUGHT_EFFORT } kind;
    int64_t budget;
    struct slice effort; /* ADAPTIVE: output_config.effort; EFFORT: reasoning_effort */
};

static bool says(struct slice text, struct slice word)
{
    return slice_search(text, word) < text.len;
}

void bedrock_add_marker(struct writer *w, struct slice marker)
{
    bool is_long = says(marker, SLICE("\"1h\"")) || says(marker, SLICE("\"12h\""));
    if (marker.len == 0) {
        return;
    }
    if (!w->takes_markers || w->markers == MARKERS_MAX) {
        write_drop(w, "cache_control");
        return;
    }
    w->markers++;
    write_element(&w->t);
    write_raw(&w->t, "cachePoint",
              is_long && w->is_claude ? SLICE("{\"type\":\"default\",\"ttl\":\"1h\"}")
                                      : SLICE("{\"type\":\"default\"}"));
    TEXT_ADD(&w->t, "}");
}

/* The bound of the answer that is sent; 0: none, the model's own holds. */
static int64_t max_tokens_of(const struct writer *w)
{
    int64_t value = 0;
    if (slice_to_i64(w->r->max_tokens.text, &value) && value > 0) {
        return value;
    }
    if (w->o->output_cap_tokens > 0) {
        return w->o->output_cap_tokens;
    }
    if (!w->is_thinking) {
        return 0;
    }
    return w->o->output_model_tokens > 0 ? w->o->output_model_tokens : OUTPUT_DEFAULT_TOKENS;
}

/* --- thinking ----------------------------------------------------------------------------------
 */

static int64_t budget_of(const struct chat_request *r)
{
    int64_t budget = anthropic_budget(r->reasoning_effort);
    int64_t asked;
    if (r->thinking == CHAT_THINKING_BUDGET && slice_to_i64(r->thinking_budget.text, &asked)) {
        budget = asked;
    }
    return i64_max(budget, BUDGET_LEAST_TOKENS);
}

/* Claude's ways to think; the budget stays below the answer's bound, which is what was reserved
 * for. */
static void plan_claude(struct writer *w, bool has_effort, struct thought *out)
{
    const struct dialect_profile *p = w->o->profile;
    bool has_budget = w->r->thinking == CHAT_THINKING_BUDGET;
    if (p->takes_adaptive_thinking && (!has_budget || p->refuses_thinking_budget)) {
        out->kind = THOUGHT_ADAPTIVE;
        out->effort = has_effort && p->takes_effort ? anthropic_effort(w) : SLICE_NONE;
        w->is_thinking = true;
        return;
    }
    w->is_thinking = true;
    int64_t most = max_tokens_of(w) - 1;
    if (p->refuses_thinking_budget || most < BUDGET_LEAST_TOKENS) {
        w->is_thinking = false;
        write_drop(w, "thinking");
        return;
    }
    out->kind = THOUGHT_BUDGET;
    out->budget = i64_min(budget_of(w->r), most);
}

static struct thought plan_thinking(struct writer *w)
{
    const struct chat_request *r = w->r;
    struct thought out = {.kind = THOUGHT_NONE};
    bool has_effort = r->reasoning_effort.len && !slice_eq(r->reasoning_effort, SLICE("none"));
    bool is_asked =
        r->thinking > CHAT_THINKING_OFF || (r->thinking == CHAT_THINKING_DEFAULT && has_effort);
    if (is_asked && w->is_claude) {
        plan_claude(w, has_effort, &out);
    } else if (has_effort && slice_starts(w->o->model, SLICE("openai."))) {
        out = (struct thought){.kind = THOUGHT_EFFORT, .effort = anthropic_effort(w)};
    } else if (is_asked || has_effort) {
        write_drop(w, has_effort ? "reasoning_effort" : "thinking");
    }
    if (r->thinking_display.len) {
        write_drop(w, "thinking.display");
    }
    return out;
}

/* Members of the model's own, which Converse passes on as they are. */
static void add_model_fields(struct writer *w, const struct thought *thought)
{
    struct text *t = &w->t;
    struct slice top_k = w->r->top_k.text;
    bool has_top_k =
        top_k.len && w->is_claude && !w->is_thinking && !w->o->profile->refuses_sampling;
    if (top_k.len && !has_top_k) {
        write_drop(w, "top_k");
    }
    if (thought->kind == THOUGHT_NONE && !has_top_k) {
        return;
    }
    text_add_json_key(t, "additionalModelRequestFields");
    TEXT_ADD(t, "{");
    if (has_top_k) {
        write_raw(t, "top_k", top_k);
    }
    if (thought->kind == THOUGHT_BUDGET) {
        text_add_json_key(t, "thinking");
        text_addf(t, "{\"type\":\"enabled\",\"budget_tokens\":%lld}", (long long)thought->budget);
    } else if (thought->kind == THOUGHT_ADAPTIVE) {
        write_raw(t, "thinking", SLICE("{\"type\":\"adaptive\"}"));
        if (thought->effort.len) {
            text_add_json_key(t, "output_config");
            TEXT_ADD(t, "{");
            write_string(t, "effort", thought->effort);
            TEXT_ADD(t, "}");
        }
    } else if (thought->kind == THOUGHT_EFFORT) {
        write_string(t, "reasoning_effort", thought->effort);
    }
    TEXT_ADD(t, "}");
}

/* --- tools -------------------------------------------------------------------------------------
 */

static void add_tool(struct writer *w, const struct chat_tool *tool)
{
    struct text *t = &w->t;
    write_element(t);
    TEXT_ADD(t, "\"toolSpec\":{");
    write_string(t, "name", tool->name);
    write_string_if(t, "description", tool->description);
    TEXT_ADD(t, ",\"inputSchema\":{\"json\":");
    anthropic_add_schema(t, tool->schema);
    TEXT_ADD(t, "}}}");
    if (tool->is_strict) {
        write_drop(w, "tools.strict");
    }
    drop_extras(&w->dropped, tool->extras);
    bedrock_add_marker(w, tool->cache_marker);
}

static size_t add_given_tools(struct writer *w)
{
    const struct chat_request *r = w->r;
    size_t sent = 0;
    for (size_t i = 0; i < r->tool_count; i++) {
        const struct chat_tool *tool = &r->tools[i];
        if (tool->raw.len) { /* hosted elsewhere, or free text */
            drop_name(&w->dropped, tool->name.len ? tool->name : SLICE("tools"));
        } else if (write_allows_tool(r, tool->name)) {
            add_tool(w, tool);
            sent++;
        }
    }
    return sent;
}

/* A history with calls is refused where no tool is named: their names are told. */
static void add_remembered_tools(struct writer *w)
{
    if (!anthropic_add_remembered(w, add_tool)) { /* results alone */
        const struct chat_tool tool = {.name = SLICE("unknown")};
        add_tool(w, &tool);
    }
}

/* Where the model thinks, no call can be forced. */
static void add_tool_choice(struct writer *w, enum chat_tool_choice choice, struct slice name)
{
    bool is_forced = choice == CHAT_CHOICE_REQUIRED || choice == CHAT_CHOICE_NAMED;
    if (is_forced && w->is_thinking) {
        write_drop(w, "tool_choice");
        return;
    }
    if (is_forced || choice == CHAT_CHOICE_AUTO) {
        text_add_json_key(&w->t, "toolChoice");
    }
    switch (choice) {
    case CHAT_CHOICE_AUTO: TEXT_ADD(&w->t, "{\"auto\":{}}"); break;
    case CHAT_CHOICE_REQUIRED: TEXT_ADD(&w->t, "{\"any\":{}}"); break;
    case CHAT_CHOICE_NAMED:
        TEXT_ADD(&w->t, "{\"tool\":{");
        write_string(&w->t, "name", name);
        TEXT_ADD(&w->t, "}}");
        break;
    case CHAT_CHOICE_NONE: write_drop(w, "tool_choice"); break; /* tools a history needs */
    case CHAT_CHOICE_DEFAULT: break;
    }
}

/* A schema for the answer is told as a tool to be called with it. */
static void add_tools(struct writer *w)
{
    const struct chat_request *r = w->r;
    enum chat_tool_choice choice = r->tool_choice;
    struct slice name = r->tool_choice_name;
    bool has_json = r->format == CHAT_FORMAT_SCHEMA;
    bool has_history = bedrock_has_calls(r);
    bool is_wanted = r->tool_count && (choice != CHAT_CHOICE_NONE || has_history);
    if (!has_json && !is_wanted && !has_history) {
        return;
    }
    text_add_json_key(&w->t, "toolConfig");
    TEXT_ADD(&w->t, "{\"tools\":[");
    size_t sent = is_wanted ? add_given_tools(w) : 0;
    if (has_json) {
        const struct chat_tool tool = anthropic_json_tool(r);
        add_tool(w, &tool);
        choice = sent ? CHAT_CHOICE_REQUIRED : CHAT_CHOICE_NAMED;
        name = ANTHROPIC_JSON_TOOL;
    } else if (!sent) {
        add_remembered_tools(w);
        choice = CHAT_CHOICE_DEFAULT;
    }
    TEXT_ADD(&w->t, "]");
    add_tool_choice(w, choice, name);
    TEXT_ADD(&w->t, "}");
    if (r->parallel_tool_calls == 0) {
        write_drop(w, "parallel_tool_calls");
    }
}

/* --- sampling ----------------------------------------------------------------------------------
 */

static void add_inference(struct writer *w)
{
    int64_t max_tokens = max_tokens_of(w);
    text_add_json_key(&w->t, "inferenceConfig");
    TEXT_ADD(&w->t, "{");
    if (max_tokens > 0) {
        write_count(&w->t, "maxTokens", max_tokens);
    }
    anthropic_add_top_p(w, "topP", anthropic_add_temperature(w));
    anthropic_add_stops(w, "stopSequences");
    TEXT_ADD(&w->t, "}");
}

/* What Converse has no words for; a value that asks for nothing is not missed. */
static void name_unknown(struct writer *w)
{
    anthropic_drop_unknown(w);
    write_drop_if(w, "user", w->r->user, SLICE_NONE);
    drop_extras(&w->dropped, w->r->extras); /* no client speaks this dialect: they are another's */
}

static void add_tier(struct writer *w)
{
    struct slice tier = w->r->service_tier;
    if (slice_eq(tier, SLICE("default")) || slice_eq(tier, SLICE("priority")) ||
        slice_eq(tier, SLICE("flex"))) {
        text_add_json_key(&w->t, "serviceTier");
        TEXT_ADD(&w->t, "{");
        write_string(&w->t, "type", tier);
        TEXT_ADD(&w->t, "}");
    } else if (tier.len && !slice_eq(tier, SLICE("auto"))) { /* auto is what it does unasked */
        write_drop(w, "service_tier");
    }
}

enum err bedrock_encode_request(struct arena *a, const struct chat_request *r,
                                const struct encode_options *o, struct body_parts *out)
{
    struct writer w = write_begin(a, r, o, out);
    assert(o->profile);
    w.is_claude = says(o->model, SLICE("claude"));
    w.takes_markers = w.is_claude || says(o->model, SLICE("nova"));
    const struct thought thought = plan_thinking(&w);
    TEXT_ADD(&w.t, "{");
    add_tools(&w); /* before the messages: of four markers the first count */
    bedrock_add_messages(&w);
    add_inference(&w);
    add_model_fields(&w, &thought);
    add_tier(&w);
    name_unknown(&w);
    TEXT_ADD(&w.t, "}");
    if (o->is_stream) {
        out->adds_usage = !r->wants_usage; /* every stream tells it */
    }
    return write_end(&w.t, &w.dropped, out);
}
