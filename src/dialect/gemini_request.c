/* What the gateway reads from a request, and how it forwards one. The model and the form of the
 * answer are not in the body: they come from the URL (gemini_route()). */
#include "core/check.h"
#include "dialect/conversation.h"
#include "dialect/gemini.h"

#include <assert.h>

enum {
    PROMPT_OVERHEAD_TOKENS = 64,        /* what templates put around any prompt */
    PROMPT_TOOLS_OVERHEAD_TOKENS = 512, /* and what they say about tools or formats */
    IMAGE_MAX_TOKENS = 50000,           /* one inline image, rounded up */
    CANDIDATES_MAX = 8,
    INPUTS_MAX = 2048 /* texts to embed in one call; the API takes fewer */
};

/* Members that somebody here reads, in both spellings. All of them decide. */
enum member {
    G_CONTENTS,
    G_SYSTEM,
    G_SYSTEM_SNAKE,
    G_TOOLS,
    G_CONFIG,
    G_CONFIG_SNAKE,
    G_CACHED,
    G_CACHED_SNAKE,
    G_MODEL,
    G_REQUEST,
    G_REQUEST_SNAKE,
    G_REQUESTS,
    G_CONTENT,
    G_COUNT
};

static const struct span_name member_names[G_COUNT] = {
    [G_CONTENTS] = {SLICE_INIT("contents"), true},
    [G_SYSTEM] = {SLICE_INIT("systemInstruction"), true},
    [G_SYSTEM_SNAKE] = {SLICE_INIT("system_instruction"), true},
    [G_TOOLS] = {SLICE_INIT("tools"), true},
    [G_CONFIG] = {SLICE_INIT("generationConfig"), true},
    [G_CONFIG_SNAKE] = {SLICE_INIT("generation_config"), true},
    [G_CACHED] = {SLICE_INIT("cachedContent"), true},
    [G_CACHED_SNAKE] = {SLICE_INIT("cached_content"), true},
    [G_MODEL] = {SLICE_INIT("model"), true},
    [G_REQUEST] = {SLICE_INIT("generateContentRequest"), true},
    [G_REQUEST_SNAKE] = {SLICE_INIT("generate_content_request"), true},
    [G_REQUESTS] = {SLICE_INIT("requests"), true},
    [G_CONTENT] = {SLICE_INIT("content"), true},
};

enum config_member {
    C_MAX,
    C_MAX_SNAKE,
    C_CANDIDATES,
    C_CANDIDATES_SNAKE,
    C_TEMPERATURE,
    C_SEED,
    C_MIME,
    C_MIME_SNAKE,
    C_COUNT
};

static const struct span_name config_names[C_COUNT] = {
    [C_MAX] = {SLICE_INIT("maxOutputTokens"), true},
    [C_MAX_SNAKE] = {SLICE_INIT("max_output_tokens"), true},
    [C_CANDIDATES] = {SLICE_INIT("candidateCount"), true},
    [C_CANDIDATES_SNAKE] = {SLICE_INIT("candidate_count"), true},
    [C_TEMPERATURE] = {SLICE_INIT("temperature"), true},
    [C_SEED] = {SLICE_INIT("seed"), true},
    [C_MIME] = {SLICE_INIT("responseMimeType"), true},
    [C_MIME_SNAKE] = {SLICE_INIT("response_mime_type"), true},
};

struct members {
    struct span_object object;
    struct span at[G_COUNT];
    struct span config[C_COUNT];
    struct span_object config_object; /* its open is an offset into the config */
    const struct span *config_at;     /* NULL: there is none */
    bool names_model;                 /* somewhere in the body, beside the URL */
};

/* --- the prompt's bound ------------------------------------------------------------------------
 */

static bool is_type(struct slice quoted, struct slice prefix)
{
    return slice_starts(slice_from(quoted, 1), prefix);
}

/* What inline bytes add beyond their number: sound is 32 tokens a second, which is more bytes than
 * that in any code; a film or a packed document has no bound in bytes. */
static int64_t blob_bound(struct slice blob)
{
    static const struct span_name names[] = {{SLICE_INIT("mimeType"), true},
                                             {SLICE_INIT("mime_type"), true}};
    struct span at[ARRAY_LEN(names)];
    struct span_object o;
    if (spans_scan(blob, names, ARRAY_LEN(names), at, &o)) {
        return -1;
    }
    struct slice type = at[0].kind == SPAN_STRING ? at[0].value : at[1].value;
    bool is_doubled = read_is_given(&at[0]) && read_is_given(&at[1]);
    if (is_type(type, SLICE("image/")) && !is_doubled) {
        return IMAGE_MAX_TOKENS;
    }
    bool is_flat = is_type(type, SLICE("audio/")) || is_type(type, SLICE("text/"));
    return is_flat && !is_doubled ? 0 : -1;
}

static int64_t parts_bound(struct slice parts, int depth);

/* A result of a tool may hold media in parts of its own. */
static int64_t result_bound(struct slice result, int depth)
{
    struct span_cursor c;
    struct span m;
    int64_t sum = 0;
    if (span_skim(&c, result)) {
        return -1;
    }
    while (sum >= 0 && span_next(&c, &m) == SPAN_ITEM) {
        bool is_parts = m.kind == SPAN_ARRAY && slice_eq_nocase(m.key, SLICE("\"parts\""));
        sum = read_bound_sum(sum, is_parts ? parts_bound(m.value, depth + 1) : 0);
    }
    return sum;
}

/* Any object in a part is looked at, whatever its name. */
static int64_t part_bound(struct slice part, int depth)
{
    static const char *const bounded[] = {"functionCall",  "executableCode",  "codeExecutionResult",
                                          "videoMetadata", "mediaResolution", "partMetadata",
                                          "toolCall",      "toolResponse"};
    struct span_cursor c;
    struct span m;
    int64_t sum = 0;
    if (span_skim(&c, part)) {
        return -1;
    }
    while (sum >= 0 && span_next(&c, &m) == SPAN_ITEM) {
        struct slice key = read_key(&m);
        bool is_known = m.kind != SPAN_OBJECT;
        for (size_t i = 0; i < ARRAY_LEN(bounded); i++) {
            is_known = is_known || gemini_is(key, bounded[i]);
        }
        int64_t more = is_known                             ? 0
                       : gemini_is(key, "inlineData")       ? blob_bound(m.value)
                       : gemini_is(key, "functionResponse") ? result_bound(m.value, depth)
                                                            : -1;
        sum = read_bound_sum(sum, more);
    }
    return sum;
}

static int64_t parts_bound(struct slice parts, int depth)
{
    struct span_cursor c;
    struct span m;
    int64_t sum = 0;
    if (depth > 1 || span_skim(&c, parts)) {
        return -1;
    }
    while (sum >= 0 && span_next(&c, &m) == SPAN_ITEM) {
        sum = read_bound_sum(sum, m.kind == SPAN_OBJECT ? part_bound(m.value, depth) : 0);
    }
    return sum;
}

/* Every list in a content is looked into, whatever its name. */
static int64_t content_bound(struct slice content)
{
    struct span_cursor c;
    struct span m;
    int64_t sum = 0;
    if (span_skim(&c, content)) {
        return -1;
    }
    while (sum >= 0 && span_next(&c, &m) == SPAN_ITEM) {
        sum = read_bound_sum(sum, m.kind == SPAN_ARRAY ? parts_bound(m.value, 0) : 0);
    }
    return sum;
}

static int64_t contents_bound(const struct span *contents)
{
    struct span_cursor c;
    struct span m;
    int64_t sum = 0;
    if (contents->kind != SPAN_ARRAY || span_skim(&c, contents->value)) {
        return contents->kind == SPAN_OBJECT ? content_bound(contents->value) : 0;
    }
    while (sum >= 0 && span_next(&c, &m) == SPAN_ITEM) {
        sum = read_bound_sum(sum, m.kind == SPAN_OBJECT ? content_bound(m.value) : 0);
    }
    return sum;
}

/* Whether a tool is the API's own, which brings its results into the prompt. */
static bool has_hosted_tool(const struct span *tools)
{
    struct span_cursor c, inside;
    struct span m, member;
    if (!read_is_given(tools)) {
        return false;
    }
    if (tools->kind != SPAN_ARRAY || span_skim(&c, tools->value)) {
        return true;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        if (m.kind != SPAN_OBJECT || span_skim(&inside, m.value)) {
            return true;
        }
        while (span_next(&inside, &member) == SPAN_ITEM) {
            if (!gemini_is(read_key(&member), "functionDeclarations")) {
                return true;
            }
        }
    }
    return false;
}

static int64_t prompt_bound(const struct members *m, struct slice body, bool *out_is_uncacheable)
{
    bool is_outside = has_hosted_tool(&m->at[G_TOOLS]) || read_is_given(&m->at[G_CACHED]) ||
                      read_is_given(&m->at[G_CACHED_SNAKE]);
    int64_t media = contents_bound(&m->at[G_CONTENTS]);
    const struct span *system = &m->at[read_is_given(&m->at[G_SYSTEM]) ? G_SYSTEM : G_SYSTEM_SNAKE];
    int64_t more = contents_bound(system);
    *out_is_uncacheable = is_outside;
    if (is_outside || media < 0 || more < 0) {
        return -1;
    }
    int64_t sum = i64_add_sat(i64_add_sat(media, more), (int64_t)body.len + PROMPT_OVERHEAD_TOKENS);
    bool has_more = read_is_given(&m->at[G_TOOLS]) || read_is_given(&m->config[C_MIME]) ||
                    read_is_given(&m->config[C_MIME_SNAKE]);
    return i64_add_sat(sum, has_more ? PROMPT_TOOLS_OVERHEAD_TOKENS : 0);
}

/* --- scan --------------------------------------------------------------------------------------
 */

static bool refuse_member(struct arena *a, struct fault *out, const char *name, const char *what)
{
    gemini_refuse(a, out, slice_str(name), "* GenerateContentRequest.%s: %s", name, what);
    return false;
}

/* A member given in both spellings: readers differ in which one counts. */
static bool is_told_once(struct arena *a, const struct span *at, const struct span_name *names,
                         const size_t *pairs, size_t count, struct fault *out_fault)
{
    for (size_t i = 0; i < count; i++) {
        size_t camel = pairs[i];
        if (at[camel].kind != SPAN_ABSENT && at[camel + 1].kind != SPAN_ABSENT) {
            return refuse_member(a, out_fault, names[camel].name.ptr, "it is given twice");
        }
    }
    return true;
}

static const struct span *either(const struct span *at, size_t camel)
{
    return at[camel].kind != SPAN_ABSENT ? &at[camel] : &at[camel + 1];
}

static bool read_count(struct arena *a, const struct span *s, const char *name, int64_t least,
                       int64_t *out, struct fault *out_fault)
{
    int64_t value = -1;
    struct slice text = s->kind == SPAN_STRING ? span_plain(s) : s->value; /* int64 may be one */
    if (!read_is_given(s)) {
        return true;
    }
    if ((s->kind != SPAN_NUMBER && s->kind != SPAN_STRING) || !slice_to_i64(text, &value) ||
        value < least) {
        return refuse_member(a, out_fault, name, "it must be a positive integer");
    }
    *out = value;
    return true;
}

static bool read_config(struct arena *a, struct members *m, struct chat_ask *out,
                        struct fault *out_fault)
{
    static const size_t pairs[] = {C_MAX, C_CANDIDATES, C_MIME};
    const struct span *config = either(m->at, G_CONFIG);
    if (!read_is_given(config)) {
        return true;
    }
    if (config->kind != SPAN_OBJECT ||
        spans_scan(config->value, config_names, C_COUNT, m->config, &m->config_object)) {
        return refuse_member(a, out_fault, "generationConfig",
                             "it must be an object that gives each member once");
    }
    m->config_at = config;
    if (!is_told_once(a, m->config, config_names, pairs, ARRAY_LEN(pairs), out_fault) ||
        !read_count(a, either(m->config, C_MAX), "generationConfig.maxOutputTokens", 0,
                    &out->output_max_tokens, out_fault) ||
        !read_count(a, either(m->config, C_CANDIDATES), "generationConfig.candidateCount", 1,
                    &out->choices, out_fault)) {
        return false;
    }
    if (out->choices > CANDIDATES_MAX) {
        return refuse_member(a, out_fault, "generationConfig.candidateCount",
                             "the range is from 1 to 8");
    }
    out->is_deterministic =
        read_is_zero(&m->config[C_TEMPERATURE]) || m->config[C_SEED].kind == SPAN_NUMBER;
    return true;
}

static bool read_contents(struct arena *a, const struct members *m, struct fault *out_fault)
{
    const struct span *s = &m->at[G_CONTENTS];
    struct span_cursor c;
    struct span first;
    bool is_list = s->kind == SPAN_ARRAY && span_skim(&c, s->value) == OK &&
                   span_next(&c, &first) == SPAN_ITEM;
    return is_list || refuse_member(a, out_fault, "contents", "contents is not specified");
}

/* A request inside a request for counting has the members that matter. */
static enum err find_inner(struct members *m)
{
    const struct span *inner = either(m->at, G_REQUEST);
    if (inner->kind != SPAN_OBJECT) {
        return OK;
    }
    struct slice text = inner->value;
    enum err e = spans_scan(text, member_names, G_COUNT, m->at, &m->object);
    m->names_model = m->names_model || m->at[G_MODEL].kind != SPAN_ABSENT;
    return e;
}

static bool read_chat(struct arena *a, struct members *m, struct chat_ask *out,
                      struct fault *out_fault)
{
    static const size_t pairs[] = {G_SYSTEM, G_CONFIG, G_CACHED, G_REQUEST};
    if (!is_told_once(a, m->at, member_names, pairs, ARRAY_LEN(pairs), out_fault)) {
        return false;
    }
    if (out->op == CHAT_OP_COUNT_TOKENS && find_inner(m)) {
        return refuse_member(a, out_fault, "generateContentRequest", "it gives a member twice");
    }
    if (!read_contents(a, m, out_fault) || !read_config(a, m, out, out_fault)) {
        return false;
    }
    out->prompt_max_tokens = prompt_bound(m, out->body, &out->is_uncacheable);
    if (out->op == CHAT_OP_COUNT_TOKENS) {
        out->output_max_tokens = 0;
        out->choices = 1;
    }
    return true;
}

/* One text, or a list of requests that name the model each. */
static bool read_embedding(struct arena *a, struct members *m, struct chat_ask *out,
                           struct fault *out_fault)
{
    const struct span *list = &m->at[G_REQUESTS];
    struct span_cursor c;
    struct span each;
    out->output_max_tokens = 0;
    out->prompt_max_tokens = i64_add_sat((int64_t)out->body.len, PROMPT_OVERHEAD_TOKENS);
    if (list->kind == SPAN_ABSENT) {
        return m->at[G_CONTENT].kind == SPAN_OBJECT ||
               refuse_member(a, out_fault, "content", "content is not specified");
    }
    if (list->kind != SPAN_ARRAY || span_skim(&c, list->value)) {
        return refuse_member(a, out_fault, "requests", "it must be a list");
    }
    while (span_next(&c, &each) == SPAN_ITEM) {
    }
    if (c.count == 0 || c.count > INPUTS_MAX) {
        return refuse_member(a, out_fault, "requests", "between 1 and 2048 requests are taken");
    }
    m->names_model = true;
    out->choices = (int64_t)c.count;
    return true;
}

enum err gemini_scan(struct arena *a, enum chat_operation op, struct slice body,
                     struct chat_ask *out, struct fault *out_fault)
{
    struct members *m = ARENA_NEW(a, struct members);
    *out = (struct chat_ask){.op = op,
                             .body = body,
                             .model = out->model,
                             .is_stream = out->is_stream && op == CHAT_OP_CHAT,
                             .is_array = out->is_array && out->is_stream && op == CHAT_OP_CHAT,
                             .choices = 1,
                             .output_max_tokens = -1};
    out->wants_usage = out->is_stream; /* every stream of this dialect tells it */
    *out_fault = FAULT_NO_MEMORY;
    if (!m) {
        return E_NOMEM;
    }
    enum err e = spans_scan(body, member_names, G_COUNT, m->at, &m->object);
    const struct span_fault *why = &m->object.fault;
    if (e == E_DUPLICATE) {
        gemini_refuse(a, out_fault, why->named,
                      "'%.*s' is %s (at byte %zu); readers differ in which one counts.",
                      SLICE_ARG(why->named), why->what, why->at);
        return e;
    }
    if (e) {
        gemini_refuse(a, out_fault, SLICE_NONE, "Invalid JSON payload received: %s at byte %zu.",
                      why->what, why->at);
        return e;
    }
    m->names_model = m->at[G_MODEL].kind != SPAN_ABSENT;
    if (out->model.len == 0) {
        (void)refuse_member(a, out_fault, "model", "the URL names none");
        return E_SYNTAX;
    }
    bool is_fine = op == CHAT_OP_EMBEDDING ? read_embedding(a, m, out, out_fault)
                                           : read_chat(a, m, out, out_fault);
    if (!is_fine) {
        return out_fault->kind == FAULT_OVERLOADED ? E_NOMEM : E_SYNTAX;
    }
    out->spans = m;
    return OK;
}

/* --- forward -----------------------------------------------------------------------------------
 */

static void add_part(struct body_parts *out, struct slice part)
{
    if (part.len) {
        assert(out->count < FORWARD_PARTS_MAX);
        out->parts[out->count++] = part;
        out->bytes += part.len;
    }
}

/* The configured cap where the client gave none. */
static enum err forward_capped(struct arena *a, const struct chat_ask *ask, int64_t cap,
                               struct body_parts *out)
{
    const struct members *m = ask->spans;
    const struct span *given = either(m->config, C_MAX);
    const struct span *config = either(m->at, G_CONFIG);
    const char *at = ask->body.ptr + m->object.open + 1;
    size_t replaced = 0;
    struct slice text;
    if (m->config_at && given->kind == SPAN_NULL) {
        at = given->value.ptr;
        replaced = given->value.len;
        text = arena_printf(a, "%lld", (long long)cap);
    } else if (m->config_at) {
        at = m->config_at->value.ptr + m->config_object.open + 1;
        text = arena_printf(a, "\"maxOutputTokens\":%lld%s", (long long)cap,
                            m->config_object.members ? "," : "");
    } else if (config->kind == SPAN_NULL) {
        at = config->value.ptr;
        replaced = config->value.len;
        text = arena_printf(a, "{\"maxOutputTokens\":%lld}", (long long)cap);
    } else {
        text = arena_printf(a, "\"generationConfig\":{\"maxOutputTokens\":%lld},", (long long)cap);
    }
    size_t before = (size_t)(at - ask->body.ptr);
    add_part(out, slice_head(ask->body, before));
    add_part(out, text);
    add_part(out, slice_from(ask->body, before + replaced));
    return text.ptr ? OK : E_NOMEM;
}

/* A body that names the model itself, with the provider's name for it; depth: of requests in
 * requests. */
static void rename_model(struct text *t, struct slice object, struct slice name, int depth)
{
    struct span_cursor c;
    struct span m;
    const char *from = object.ptr;
    if (depth > 2 || span_skim(&c, object)) {
        text_add(t, object);
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        struct slice key = read_key(&m);
        bool is_model = c.is_object && m.kind == SPAN_STRING && slice_eq(key, SLICE("model"));
        bool is_inner = (m.kind == SPAN_OBJECT || m.kind == SPAN_ARRAY) &&
                        (!c.is_object || gemini_is(key, "generateContentRequest") ||
                         slice_eq(key, SLICE("requests")));
        if (!is_model && !is_inner) {
            continue;
        }
        text_add(t, slice_of(from, (size_t)(m.value.ptr - from)));
        if (is_model) {
            text_add_json_string(t, name);
        } else {
            rename_model(t, m.value, name, depth + 1);
        }
        from = m.value.ptr + m.value.len;
    }
    text_add(t, slice_of(from, (size_t)(object.ptr + object.len - from)));
}

/* Every byte as it came, but for a model that the body names, too, and a cap. */
enum err gemini_forward(struct arena *a, const struct chat_ask *ask, const struct encode_options *o,
                        struct body_parts *out)
{
    const struct members *m = ask->spans;
    assert(m);
    bool is_single = ask->op == CHAT_OP_EMBEDDING && m->at[G_REQUESTS].kind == SPAN_ABSENT;
    bool is_capped =
        ask->op == CHAT_OP_CHAT && ask->output_max_tokens < 0 && o->output_cap_tokens >= 0;
    bool is_renamed = m->names_model && !slice_eq(o->model, ask->model);
    *out = (struct body_parts){.count = 0};
    out->path = gemini_path(a, ask->op, o->model, ask->is_stream, is_single);
    if (!out->path.len) {
        return E_NOMEM;
    }
    if (is_capped) {
        enum err e = forward_capped(a, ask, o->output_cap_tokens, out);
        if (e || !is_renamed) {
            return e;
        }
    } else {
        add_part(out, ask->body);
    }
    if (!is_renamed) {
        return OK;
    }
    struct text whole = text_growing(a), renamed = text_growing(a);
    struct slice model = gemini_bare_model(o->model);
    struct slice name = arena_printf(a, "models/%.*s", SLICE_ARG(model));
    for (size_t i = 0; i < out->count; i++) {
        text_add(&whole, out->parts[i]);
    }
    rename_model(&renamed, text_slice(&whole), name, 0);
    out->parts[0] = text_slice(&renamed);
    out->count = 1;
    out->bytes = renamed.len;
    return whole.is_full || renamed.is_full || !name.ptr ? E_NOMEM : OK;
}

void gemini_find_conversation(struct arena *a, const struct chat_ask *ask, struct conversation *out)
{
    const struct span *at = ((const struct members *)ask->spans)->at;
    (void)a; /* the dialect has no word for a session */
    out->system = *either(at, G_SYSTEM);
    out->tools = at[G_TOOLS];
    out->turns = at[G_CONTENTS];
}
