/* A generateContent request as a neutral one. What only the API itself has words for becomes
 * extras, with its place as a scope before its name ("generationConfig.speechConfig"). */
#include "core/check.h"
#include "dialect/gemini.h"

enum { CALLS_KNOWN = 64 };

struct turns {
    struct decoder d;
    struct chat_request *r;
    struct chat_message *calls; /* the turn whose calls wait for their results; NULL: none */
    size_t turn;                /* its number among the contents */
    uint64_t answered;          /* bit i: its part i has its result */
    struct text extras;         /* inside of the request's extras */
};

/* --- calls and their results -------------------------------------------------------------------
 */

/* Calls without an id get one by their place, which stays as long as the history does. */
static enum err name_calls(struct turns *s, struct chat_message *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->part_count; i++) {
        struct chat_part *p = &m->parts[i];
        if (p->kind != CHAT_TOOL_CALL) {
            continue;
        }
        if (!p->id.len) {
            p->id = arena_printf(s->d.arena, "call_%zu_%zu", s->turn, n);
            if (!p->id.ptr) {
                return read_no_memory(&s->d);
            }
        }
        n++;
    }
    s->calls = n ? m : s->calls;
    s->answered = n ? 0 : s->answered;
    return OK;
}

/* A result without an id answers the first call of its name that has none yet. */
static void join_result(struct turns *s, struct chat_part *result)
{
    for (size_t i = 0; s->calls && i < s->calls->part_count && i < CALLS_KNOWN; i++) {
        const struct chat_part *call = &s->calls->parts[i];
        bool is_it =
            call->kind == CHAT_TOOL_CALL && !(s->answered >> i & 1) &&
            (result->id.len ? slice_eq(call->id, result->id) : slice_eq(call->name, result->name));
        if (is_it) {
            s->answered |= (uint64_t)1 << i;
            result->id = call->id;
            return;
        }
    }
    if (!result->id.len) {
        result->id = SLICE("call_unknown");
    }
}

/* --- contents ----------------------------------------------------------------------------------
 */

static bool is_result(yyjson_val *part)
{
    return gemini_get(part, "functionResponse") != NULL;
}

/* A signature of another maker ends the thoughts that came in pieces before it: they are one. */
static enum err join_thoughts(struct turns *s, struct chat_message *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->part_count;) {
        struct chat_part *first = &m->parts[i];
        struct text joined = text_growing(s->d.arena);
        size_t end = i;
        while (end < m->part_count && m->parts[end].kind == CHAT_THINKING &&
               !m->parts[end].data.len && !m->parts[end].extras.len) {
            text_add(&joined, m->parts[end].text);
            bool is_end = m->parts[end++].signature.len;
            if (is_end) {
                break;
            }
        }
        m->parts[kept] = *first;
        if (end > i + 1) {
            m->parts[kept].text = text_slice(&joined);
            m->parts[kept].signature = m->parts[end - 1].signature;
            m->parts[kept].provider = m->parts[end - 1].provider;
        }
        if (joined.is_full) {
            return read_no_memory(&s->d);
        }
        kept++;
        i = end > i ? end : i + 1;
    }
    m->part_count = kept;
    return OK;
}

static bool is_nothing(const struct chat_part *p)
{
    return p->kind == CHAT_TEXT && !p->text.len && !p->extras.len;
}

/* Texts without a word, where there is something else. */
static void leave_out_nothing(struct chat_message *m)
{
    size_t kept = 0, something = 0;
    for (size_t i = 0; i < m->part_count; i++) {
        something += !is_nothing(&m->parts[i]);
    }
    for (size_t i = 0; i < m->part_count && something; i++) {
        if (!is_nothing(&m->parts[i])) {
            m->parts[kept++] = m->parts[i];
        }
    }
    m->part_count = something ? kept : m->part_count;
}

/* The parts that are results, or that are none, as one message. */
static enum err take_parts(struct turns *s, yyjson_val *parts, bool takes_results,
                           struct chat_message *m)
{
    struct slice place = s->d.place;
    size_t i, max;
    yyjson_val *v;
    m->parts = arena_array(s->d.arena, 2 * yyjson_arr_size(parts) + 1, sizeof(*m->parts));
    if (!m->parts) {
        return read_no_memory(&s->d);
    }
    yyjson_arr_foreach(parts, i, max, v)
    {
        if (m->role != CHAT_ASSISTANT && is_result(v) != takes_results) {
            continue;
        }
        s->d.place = arena_printf(s->d.arena, "%.*s.parts[%zu]", SLICE_ARG(place), i);
        size_t before = m->part_count;
        if (gemini_take_part(&s->d, v, m->parts, &m->part_count)) {
            return s->d.failed;
        }
        enum chat_part_kind kind = m->parts[before].kind;
        bool is_calls = kind == CHAT_TOOL_CALL || kind == CHAT_TOOL_RESULT;
        if (is_calls && (m->role == CHAT_ASSISTANT) != (kind == CHAT_TOOL_CALL)) {
            return gemini_refuse_at(&s->d, "", "this part cannot stand in a turn of this role");
        }
        if (kind == CHAT_TOOL_RESULT) {
            join_result(s, &m->parts[before]);
        }
    }
    s->d.place = place;
    leave_out_nothing(m);
    return m->role == CHAT_ASSISTANT ? join_thoughts(s, m) : OK;
}

static enum err take_content(struct turns *s, yyjson_val *v)
{
    static const char *const names[] = {"role", "parts"};
    struct slice role = json_get_string(v, "role");
    yyjson_val *parts = json_get(v, "parts"), *part;
    struct chat_request *r = s->r;
    size_t i, max, results = 0;
    bool is_model = slice_eq(role, SLICE("model"));
    if (!yyjson_is_obj(v) || !yyjson_arr_size(parts)) {
        return gemini_refuse_at(&s->d, "parts", "contents.parts must not be empty.");
    }
    if (!is_model && role.len && !slice_eq(role, SLICE("user")) &&
        !slice_eq(role, SLICE("function"))) {
        return gemini_refuse_at(&s->d, "role", "Please use a valid role: user, model.");
    }
    drop_extras(&s->d.dropped, gemini_extras(&s->d, v, names, ARRAY_LEN(names)));
    yyjson_arr_foreach(parts, i, max, part)
    {
        results += is_result(part);
    }
    if (results && !is_model) {
        struct chat_message *m = &r->messages[r->message_count++];
        m->role = CHAT_TOOL;
        if (take_parts(s, parts, true, m) || results == yyjson_arr_size(parts)) {
            return s->d.failed;
        }
    }
    struct chat_message *m = &r->messages[r->message_count++];
    m->role = is_model ? CHAT_ASSISTANT : CHAT_USER;
    if (take_parts(s, parts, false, m)) {
        return s->d.failed;
    }
    return is_model ? name_calls(s, m) : OK;
}

/* A Content, or (as SDKs take it) a text. */
static enum err take_system(struct turns *s, yyjson_val *root)
{
    yyjson_val *system = gemini_get(root, "systemInstruction");
    struct chat_message *m = &s->r->messages[s->r->message_count];
    s->d.place = SLICE("systemInstruction");
    if (json_is_none(system) || !yyjson_arr_size(json_get(system, "parts"))) {
        return OK;
    }
    m->role = CHAT_SYSTEM;
    s->r->message_count++;
    return take_parts(s, json_get(system, "parts"), false, m);
}

static enum err take_contents(struct turns *s, yyjson_val *root)
{
    yyjson_val *contents = json_get(root, "contents");
    size_t i, max;
    yyjson_val *v;
    s->r->messages =
        arena_array(s->d.arena, 2 * yyjson_arr_size(contents) + 2, sizeof(*s->r->messages));
    if (!s->r->messages) {
        return read_no_memory(&s->d);
    }
    if (take_system(s, root)) {
        return s->d.failed;
    }
    yyjson_arr_foreach(contents, i, max, v)
    {
        s->d.place = arena_printf(s->d.arena, "contents[%zu]", i);
        s->turn = i;
        if (take_content(s, v)) {
            return s->d.failed;
        }
    }
    return OK;
}

/* --- tools -------------------------------------------------------------------------------------
 */

static enum err take_function(struct turns *s, yyjson_val *v, struct chat_tool *out)
{
    static const char *const names[] = {"name", "description", "parameters",
                                        "parametersJsonSchema"};
    yyjson_val *schema = gemini_get(v, "parametersJsonSchema");
    yyjson_val *parameters = json_get(v, "parameters");
    out->name = gemini_real_name(s->d.arena, json_get_string(v, "name"));
    out->description = json_get_string(v, "description");
    if (!json_is_none(schema)) {
        out->schema = read_json(&s->d, schema);
    } else if (!json_is_none(parameters)) {
        out->schema = gemini_schema_in(s->d.arena, parameters, &s->d.dropped);
    }
    out->extras = gemini_extras(&s->d, v, names, ARRAY_LEN(names));
    out->provider = out->extras.len ? GEMINI_NAME : SLICE_NONE;
    return out->name.len ? s->d.failed
                         : gemini_refuse_at(&s->d, "functionDeclarations.name", "it is required");
}

/* Each of the API's own tools, in an object of its own. */
static enum err take_hosted(struct turns *s, struct slice name, yyjson_val *v,
                            struct chat_tool *out)
{
    struct text t = text_growing(s->d.arena);
    TEXT_ADD(&t, "{");
    text_add_json_string(&t, name);
    TEXT_ADD(&t, ":");
    json_add(&t, s->d.arena, v);
    TEXT_ADD(&t, "}");
    *out = (struct chat_tool){.name = name, .raw = text_slice(&t), .provider = GEMINI_NAME};
    return t.is_full ? read_no_memory(&s->d) : OK;
}

static size_t count_tools(yyjson_val *tools)
{
    size_t i, max, count = 0;
    yyjson_val *v;
    yyjson_arr_foreach(tools, i, max, v)
    {
        count += yyjson_obj_size(v) + yyjson_arr_size(gemini_get(v, "functionDeclarations"));
    }
    return count;
}

static enum err take_tool(struct turns *s, yyjson_val *tool)
{
    size_t i, max, k, count;
    yyjson_val *key, *v, *function;
    struct chat_request *r = s->r;
    yyjson_obj_foreach(tool, i, max, key, v)
    {
        enum err e = OK;
        if (yyjson_is_null(v)) {
            continue;
        }
        if (!gemini_is(json_string(key), "functionDeclarations")) {
            e = take_hosted(s, json_string(key), v, &r->tools[r->tool_count++]);
        }
        yyjson_val *list = gemini_is(json_string(key), "functionDeclarations") ? v : NULL;
        yyjson_arr_foreach(list, k, count, function)
        {
            e = e ? e : take_function(s, function, &r->tools[r->tool_count++]);
        }
        if (e) {
            return e;
        }
    }
    return OK;
}

static enum err take_tools(struct turns *s, yyjson_val *root)
{
    yyjson_val *tools = json_get(root, "tools");
    size_t i, max;
    yyjson_val *v;
    s->r->tools = arena_array(s->d.arena, count_tools(tools) + 1, sizeof(*s->r->tools));
    if (!s->r->tools) {
        return read_no_memory(&s->d);
    }
    yyjson_arr_foreach(tools, i, max, v)
    {
        s->d.place = arena_printf(s->d.arena, "tools[%zu]", i);
        if (take_tool(s, v)) {
            return s->d.failed;
        }
    }
    return OK;
}

static enum err take_allowed(struct turns *s, yyjson_val *names)
{
    size_t i, max;
    yyjson_val *v;
    struct chat_request *r = s->r;
    if (r->tool_choice == CHAT_CHOICE_REQUIRED && yyjson_arr_size(names) == 1) {
        r->tool_choice = CHAT_CHOICE_NAMED;
        r->tool_choice_name =
            gemini_real_name(s->d.arena, json_string(yyjson_arr_get_first(names)));
        return OK;
    }
    if (!yyjson_arr_size(names)) {
        return OK;
    }
    r->allowed_tools = arena_array(s->d.arena, yyjson_arr_size(names), sizeof(*r->allowed_tools));
    if (!r->allowed_tools) {
        return read_no_memory(&s->d);
    }
    yyjson_arr_foreach(names, i, max, v)
    {
        r->allowed_tools[r->allowed_tool_count++] = gemini_real_name(s->d.arena, json_string(v));
    }
    return OK;
}

static enum err take_tool_config(struct turns *s, yyjson_val *root)
{
    static const char *const names[] = {"functionCallingConfig"};
    static const char *const inside[] = {"mode", "allowedFunctionNames"};
    yyjson_val *config = gemini_get(root, "toolConfig");
    yyjson_val *calling = gemini_get(config, "functionCallingConfig");
    struct slice mode = json_get_string(calling, "mode");
    gemini_add_unknown(&s->d, &s->extras, config, "toolConfig.", names, ARRAY_LEN(names));
    drop_extras(&s->d.dropped, gemini_extras(&s->d, calling, inside, ARRAY_LEN(inside)));
    s->r->tool_choice = slice_eq(mode, SLICE("ANY"))         ? CHAT_CHOICE_REQUIRED
                        : slice_eq(mode, SLICE("NONE"))      ? CHAT_CHOICE_NONE
                        : slice_eq(mode, SLICE("AUTO"))      ? CHAT_CHOICE_AUTO
                        : slice_eq(mode, SLICE("VALIDATED")) ? CHAT_CHOICE_AUTO
                                                             : CHAT_CHOICE_DEFAULT;
    if (slice_eq(mode, SLICE("VALIDATED"))) {
        for (size_t i = 0; i < s->r->tool_count; i++) {
            s->r->tools[i].has_strict = s->r->tools[i].is_strict = !s->r->tools[i].raw.len;
        }
    }
    return take_allowed(s, gemini_get(calling, "allowedFunctionNames"));
}

/* --- how to answer -----------------------------------------------------------------------------
 */

static void take_numbers(yyjson_val *config, struct chat_request *r)
{
    const struct {
        const char *name;
        struct chat_number *to;
    } numbers[] = {
        {"maxOutputTokens", &r->max_tokens},
        {"temperature", &r->temperature},
        {"topP", &r->top_p},
        {"topK", &r->top_k},
        {"seed", &r->seed},
        {"candidateCount", &r->choices},
        {"frequencyPenalty", &r->frequency_penalty},
        {"presencePenalty", &r->presence_penalty},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        numbers[i].to->text = json_number(gemini_get(config, numbers[i].name));
    }
}

static struct slice lower(struct turns *s, struct slice word)
{
    struct slice copy = arena_printf(s->d.arena, "%.*s", SLICE_ARG(word));
    struct text t = text_growing(s->d.arena);
    for (size_t i = 0; i < copy.len; i++) {
        char c = copy.ptr[i];
        if (c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a');
        }
        text_add_char(&t, c);
    }
    s->d.failed = copy.ptr && !t.is_full ? s->d.failed : E_NOMEM;
    return text_slice(&t);
}

static void take_thinking(struct turns *s, yyjson_val *config)
{
    static const char *const names[] = {"includeThoughts", "thinkingBudget", "thinkingLevel"};
    yyjson_val *thinking = gemini_get(config, "thinkingConfig");
    yyjson_val *include = gemini_get(thinking, "includeThoughts");
    struct slice budget = json_number(gemini_get(thinking, "thinkingBudget"));
    struct slice level = gemini_get_string(thinking, "thinkingLevel");
    struct chat_request *r = s->r;
    int64_t tokens = 0;
    gemini_add_unknown(&s->d, &s->extras, thinking, "generationConfig.thinkingConfig.", names,
                       ARRAY_LEN(names));
    if (!json_is_none(include)) {
        r->thinking_display = json_is_true(include) ? SLICE("summarized") : SLICE("omitted");
    }
    if (level.len && !slice_ends(level, SLICE("UNSPECIFIED"))) {
        r->reasoning_effort = lower(s, level);
    }
    if (!slice_to_i64(budget, &tokens)) {
        return;
    }
    if (tokens == 0) {
        r->thinking = CHAT_THINKING_OFF;
        r->reasoning_effort = SLICE("none");
    } else if (tokens < 0) {
        r->thinking = CHAT_THINKING_ADAPTIVE;
    } else {
        r->thinking = CHAT_THINKING_BUDGET;
        r->thinking_budget.text = budget;
    }
}

static void take_format(struct turns *s, yyjson_val *config)
{
    yyjson_val *schema = gemini_get(config, "responseJsonSchema");
    yyjson_val *old = gemini_get(config, "responseSchema");
    struct slice type = gemini_get_string(config, "responseMimeType");
    struct chat_request *r = s->r;
    r->format_strict = -1;
    if (json_is_none(schema)) {
        schema = json_get(config, "_responseJsonSchema");
    }
    if (!json_is_none(schema)) {
        r->format = CHAT_FORMAT_SCHEMA;
        r->format_schema = read_json(&s->d, schema);
    } else if (!json_is_none(old)) {
        r->format = CHAT_FORMAT_SCHEMA;
        r->format_schema = gemini_schema_in(s->d.arena, old, &s->d.dropped);
    } else if (slice_eq(type, SLICE("application/json"))) {
        r->format = CHAT_FORMAT_JSON;
    } else if (slice_eq(type, SLICE("text/plain"))) {
        r->format = CHAT_FORMAT_TEXT;
    }
    if (slice_eq(type, SLICE("text/x.enum"))) {
        drop_name(&s->d.dropped, SLICE("generationConfig.responseMimeType"));
    }
}

/* Text alone is what everybody answers with. */
static bool is_text_alone(yyjson_val *modalities)
{
    return yyjson_arr_size(modalities) == 1 &&
           slice_eq_nocase(json_string(yyjson_arr_get_first(modalities)), SLICE("TEXT"));
}

static enum err take_config(struct turns *s, yyjson_val *root)
{
    static const char *const names[] = {"maxOutputTokens",
                                        "temperature",
                                        "topP",
                                        "topK",
                                        "seed",
                                        "candidateCount",
                                        "frequencyPenalty",
                                        "presencePenalty",
                                        "stopSequences",
                                        "responseMimeType",
                                        "responseSchema",
                                        "responseJsonSchema",
                                        "_responseJsonSchema",
                                        "thinkingConfig",
                                        "responseModalities"};
    yyjson_val *config = gemini_get(root, "generationConfig");
    bool is_plain = is_text_alone(gemini_get(config, "responseModalities"));
    take_numbers(config, s->r);
    take_thinking(s, config);
    take_format(s, config);
    gemini_add_unknown(&s->d, &s->extras, config, "generationConfig.", names,
                       ARRAY_LEN(names) - !is_plain);
    return read_stops(&s->d, gemini_get(config, "stopSequences"), s->r);
}

static enum err take_rest(struct turns *s, yyjson_val *root)
{
    static const char *const names[] = {"model",      "contents",   "systemInstruction",
                                        "tools",      "toolConfig", "generationConfig",
                                        "serviceTier"};
    struct slice tier = gemini_get_string(root, "serviceTier");
    gemini_add_unknown(&s->d, &s->extras, root, "", names, ARRAY_LEN(names));
    if (tier.len) {
        tier = lower(s, tier);
        s->r->service_tier = slice_eq(tier, SLICE("standard")) ? SLICE("default") : tier;
    }
    if (s->extras.len) {
        s->r->extras = arena_printf(s->d.arena, "{%.*s}", SLICE_ARG(text_slice(&s->extras)));
        s->r->provider = GEMINI_NAME;
        s->d.failed = s->r->extras.ptr ? s->d.failed : E_NOMEM;
    }
    return s->d.failed;
}

enum err gemini_decode_request(struct arena *a, struct chat_ask *ask, struct fault *out_fault)
{
    struct turns s = {.d = {.arena = a, .fault = out_fault, .dropped = text_growing(a)},
                      .r = read_begin(a, ask, out_fault),
                      .extras = text_growing(a)};
    struct span_fault why = {.at = 0};
    yyjson_val *root;
    if (!s.r) {
        return E_NOMEM;
    }
    enum err e = json_parse(a, ask->body, &root, &why);
    if (e) {
        gemini_refuse(a, out_fault, SLICE_NONE, "The body cannot be read: %s at byte %zu.",
                      why.what ? why.what : "it is too large", why.at);
        return e;
    }
    yyjson_val *inner = gemini_get(root, "generateContentRequest");
    root = ask->op == CHAT_OP_COUNT_TOKENS && inner ? inner : root;
    s.r->parallel_tool_calls = -1;
    if (take_contents(&s, root) || take_tools(&s, root) || take_tool_config(&s, root) ||
        take_config(&s, root) || take_rest(&s, root)) {
        return s.d.failed;
    }
    return read_end(&s.d, ask, s.r);
}
