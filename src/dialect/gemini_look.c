/* What the API's events and answers tell, found without building a tree. */
#include "core/check.h"
#include "dialect/gemini.h"

/* What a usageMetadata object says; absent counts are none, or as they were before. */
struct told {
    int64_t prompt, tools, cached, candidates, thoughts, total;
    bool has_prompt, has_candidates, has_thoughts, has_total;
};

static void read_member(const struct span *m, struct told *out)
{
    struct slice key = read_key(m);
    int64_t count = read_tokens(m);
    if (m->kind != SPAN_NUMBER) {
        return;
    }
    if (slice_eq(key, SLICE("promptTokenCount"))) {
        out->prompt = count;
        out->has_prompt = true;
    } else if (slice_eq(key, SLICE("toolUsePromptTokenCount"))) {
        out->tools = count;
    } else if (slice_eq(key, SLICE("cachedContentTokenCount"))) {
        out->cached = count;
    } else if (slice_eq(key, SLICE("candidatesTokenCount"))) {
        out->candidates = count;
        out->has_candidates = true;
    } else if (slice_eq(key, SLICE("thoughtsTokenCount"))) {
        out->thoughts = count;
        out->has_thoughts = true;
    } else if (slice_eq(key, SLICE("totalTokenCount"))) {
        out->total = count;
        out->has_total = true;
    }
}

static enum err read_told(struct slice object, struct told *out)
{
    struct span_cursor c;
    struct span m;
    enum span_step step;
    *out = (struct told){.prompt = 0};
    if (span_skim(&c, object) || !c.is_object) {
        return E_SYNTAX;
    }
    while ((step = span_next(&c, &m)) == SPAN_ITEM) {
        read_member(&m, out);
    }
    return step == SPAN_BAD ? E_SYNTAX : OK;
}

/* The prompt's count includes what a cache served and leaves out what tools brought in; the
 * candidates' leaves out thoughts (trap 12), save at servers whose total shows that it does not.
 * Counts are cumulative: what is told replaces. */
void gemini_read_usage(struct slice object, struct usage *u)
{
    struct told t;
    if (read_told(object, &t)) {
        return;
    }
    int64_t prompt = i64_add_sat(t.prompt, t.tools);
    if (t.has_prompt) {
        u->cache_read = i64_min(t.cached, prompt);
        u->input = prompt - u->cache_read;
    }
    if (t.has_thoughts) {
        u->reasoning = t.thoughts;
    }
    if (t.has_candidates) {
        bool is_inside = t.thoughts && t.candidates >= t.thoughts &&
                         i64_add_sat(prompt, t.candidates) == t.total;
        u->output = is_inside ? t.candidates - t.thoughts : t.candidates;
    }
    if (t.has_total) {
        int64_t sum = i64_add_sat(usage_prompt(u), usage_completion(u));
        u->total_reported = t.total > sum ? t.total : 0;
    }
    u->is_known = u->is_known || t.has_prompt || t.has_candidates || t.has_total;
}

/* --- finish ------------------------------------------------------------------------------------
 */

enum chat_finish gemini_finish(struct slice reason)
{
    static const struct {
        struct slice name;
        enum chat_finish finish;
    } table[] = {
        {SLICE_INIT("STOP"), CHAT_FINISH_STOP},
        {SLICE_INIT("MAX_TOKENS"), CHAT_FINISH_LENGTH},
        {SLICE_INIT("SAFETY"), CHAT_FINISH_FILTER},
        {SLICE_INIT("RECITATION"), CHAT_FINISH_FILTER},
        {SLICE_INIT("LANGUAGE"), CHAT_FINISH_FILTER},
        {SLICE_INIT("BLOCKLIST"), CHAT_FINISH_FILTER},
        {SLICE_INIT("PROHIBITED_CONTENT"), CHAT_FINISH_FILTER},
        {SLICE_INIT("SPII"), CHAT_FINISH_FILTER},
        {SLICE_INIT("MODEL_ARMOR"), CHAT_FINISH_FILTER},
        {SLICE_INIT("IMAGE_SAFETY"), CHAT_FINISH_FILTER},
        {SLICE_INIT("IMAGE_PROHIBITED_CONTENT"), CHAT_FINISH_FILTER},
        {SLICE_INIT("IMAGE_RECITATION"), CHAT_FINISH_FILTER},
        {SLICE_INIT("IMAGE_OTHER"), CHAT_FINISH_FILTER},
        {SLICE_INIT("FINISH_REASON_UNSPECIFIED"), CHAT_FINISH_NONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (slice_eq(reason, table[i].name)) {
            return table[i].finish;
        }
    }
    return reason.len ? CHAT_FINISH_STOP : CHAT_FINISH_NONE;
}

bool gemini_is_malformed(struct slice reason)
{
    static const struct slice names[] = {SLICE_INIT("MALFORMED_FUNCTION_CALL"),
                                         SLICE_INIT("UNEXPECTED_TOOL_CALL"),
                                         SLICE_INIT("TOO_MANY_TOOL_CALLS"),
                                         SLICE_INIT("MALFORMED_RESPONSE"),
                                         SLICE_INIT("OTHER"),
                                         SLICE_INIT("NO_IMAGE")};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(reason, names[i])) {
            return true;
        }
    }
    return false;
}

/* --- candidates --------------------------------------------------------------------------------
 */

static struct slice plain(const struct span *s)
{
    return s->kind == SPAN_STRING && s->is_string_plain ? span_plain(s) : SLICE_NONE;
}

struct parts_look {
    int64_t bytes; /* of texts and calls */
    bool has_call;
};

static HOT void look_part(struct slice part, struct parts_look *out)
{
    struct span_cursor c;
    struct span m;
    if (span_skim(&c, part) || !c.is_object) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        struct slice key = read_key(&m);
        if (m.kind == SPAN_STRING && slice_eq(key, SLICE("text"))) {
            out->bytes = i64_add_sat(out->bytes, (int64_t)m.value.len - 2);
        } else if (m.kind == SPAN_OBJECT && (slice_eq(key, SLICE("functionCall")) ||
                                             slice_eq(key, SLICE("executableCode")))) {
            out->bytes = i64_add_sat(out->bytes, (int64_t)m.value.len - 2);
            out->has_call = out->has_call || slice_eq(key, SLICE("functionCall"));
        }
    }
}

/* The list named parts in content. */
static HOT void look_content(struct slice content, struct parts_look *out)
{
    struct span_cursor c, list;
    struct span m, part;
    if (span_skim(&c, content) || !c.is_object) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        if (m.kind != SPAN_ARRAY || !slice_eq(read_key(&m), SLICE("parts")) ||
            span_skim(&list, m.value)) {
            continue;
        }
        while (span_next(&list, &part) == SPAN_ITEM) {
            if (part.kind == SPAN_OBJECT) {
                look_part(part.value, out);
            }
        }
    }
}

struct candidates_look {
    size_t count;
    bool is_malformed; /* one of them is, and says nothing */
};

static HOT void look_candidate(struct slice candidate, struct event_look *out,
                               struct candidates_look *more)
{
    struct span_cursor c;
    struct span m;
    struct parts_look parts = {.bytes = 0};
    int64_t index = 0;
    struct slice reason = SLICE_NONE;
    if (span_skim(&c, candidate) || !c.is_object) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        struct slice key = read_key(&m);
        if (m.kind == SPAN_OBJECT && slice_eq(key, SLICE("content"))) {
            look_content(m.value, &parts);
        } else if (slice_eq(key, SLICE("finishReason"))) {
            reason = plain(&m);
        } else if (slice_eq(key, SLICE("index"))) {
            index = i64_min(read_tokens(&m), 63); /* absent: 0 */
        }
    }
    enum chat_finish finish = gemini_finish(reason);
    more->count++;
    more->is_malformed = more->is_malformed || (gemini_is_malformed(reason) && !parts.bytes);
    out->output_bytes = i64_add_sat(out->output_bytes, parts.bytes);
    out->seen |= (uint64_t)1 << index;
    if (finish != CHAT_FINISH_NONE) {
        out->finished |= (uint64_t)1 << index;
        out->finish =
            finish == CHAT_FINISH_STOP && parts.has_call ? CHAT_FINISH_TOOL_CALLS : finish;
    }
}

static HOT void look_candidates(struct slice candidates, struct event_look *out,
                                struct candidates_look *more)
{
    struct span_cursor c;
    struct span m;
    if (span_skim(&c, candidates)) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        if (m.kind == SPAN_OBJECT) {
            look_candidate(m.value, out, more);
        }
    }
}

/* --- events and bodies -------------------------------------------------------------------------
 */

enum {
    L_CANDIDATES,
    L_USAGE,
    L_MODEL,
    L_FEEDBACK,
    L_ERROR,
    L_TOTAL,
    L_EMBEDDING,
    L_EMBEDDINGS,
    L_MEMBERS
};

static HOT size_t member_of(struct slice key)
{
    static const struct slice names[L_MEMBERS] = {
        [L_CANDIDATES] = SLICE_INIT("candidates"), [L_USAGE] = SLICE_INIT("usageMetadata"),
        [L_MODEL] = SLICE_INIT("modelVersion"),    [L_FEEDBACK] = SLICE_INIT("promptFeedback"),
        [L_ERROR] = SLICE_INIT("error"),           [L_TOTAL] = SLICE_INIT("totalTokens"),
        [L_EMBEDDING] = SLICE_INIT("embedding"),   [L_EMBEDDINGS] = SLICE_INIT("embeddings"),
    };
    size_t i = 0;
    while (i < L_MEMBERS && !slice_eq(key, names[i])) {
        i++;
    }
    return i;
}

/* Members of the object, or of the first element of a list: errors come so, too (trap 14). */
static HOT enum err find(struct slice text, struct span *at)
{
    struct span_cursor c;
    struct span m;
    enum span_step step;
    memset(at, 0, L_MEMBERS * sizeof(*at));
    if (span_skim(&c, text)) {
        return E_SYNTAX;
    }
    if (!c.is_object) {
        bool is_error = span_next(&c, &m) == SPAN_ITEM && m.kind == SPAN_OBJECT &&
                        find(m.value, at) == OK && read_is_given(&at[L_ERROR]);
        return is_error ? OK : E_SYNTAX;
    }
    while ((step = span_next(&c, &m)) == SPAN_ITEM) {
        size_t i = member_of(read_key(&m));
        if (i < L_MEMBERS) {
            at[i] = m;
        }
    }
    return step == SPAN_BAD ? (enum err)c.failed : OK;
}

static bool is_blocked(const struct span *feedback)
{
    static const struct span_name name = {SLICE_INIT("blockReason"), false};
    struct span reason;
    struct span_object o;
    return feedback->kind == SPAN_OBJECT &&
           spans_scan(feedback->value, &name, 1, &reason, &o) == OK && read_is_given(&reason);
}

/* A prompt that is blocked is answered with 200 and no candidate (trap 12). */
static HOT void look_answer(const struct span *at, struct event_look *out,
                            struct candidates_look *more)
{
    struct told told;
    if (at[L_CANDIDATES].kind == SPAN_ARRAY) {
        look_candidates(at[L_CANDIDATES].value, out, more);
    }
    if (more->count == 0 && is_blocked(&at[L_FEEDBACK])) {
        out->seen |= 1;
        out->finished |= 1;
        out->finish = CHAT_FINISH_FILTER;
        more->count = 1;
    }
    out->choice_count = more->count;
    out->model = plain(&at[L_MODEL]);
    if (at[L_USAGE].kind == SPAN_OBJECT && read_told(at[L_USAGE].value, &told) == OK) {
        out->usage = at[L_USAGE].value;
        out->is_usage_early = !told.has_candidates && out->finished == 0;
    }
    out->is_error = read_is_given(&at[L_ERROR]);
    out->error = out->is_error ? at[L_ERROR].value : SLICE_NONE;
}

HOT enum err gemini_look(struct slice name, struct slice data, struct event_look *out)
{
    struct span at[L_MEMBERS];
    struct candidates_look more = {.count = 0};
    (void)name; /* the API names no events */
    *out = (struct event_look){.is_done = false};
    enum err e = find(data, at);
    if (!e) {
        look_answer(at, out, &more);
    }
    return e;
}

enum err gemini_read_count(struct slice body, int64_t *out_input_tokens)
{
    struct span at[L_MEMBERS];
    if (find(slice_trim(body), at) || at[L_TOTAL].kind != SPAN_NUMBER) {
        return E_SYNTAX;
    }
    *out_input_tokens = read_tokens(&at[L_TOTAL]);
    return OK;
}

static bool has_vector(const struct span *at)
{
    struct span_cursor c;
    struct span m;
    return at[L_EMBEDDING].kind == SPAN_OBJECT ||
           (at[L_EMBEDDINGS].kind == SPAN_ARRAY && span_skim(&c, at[L_EMBEDDINGS].value) == OK &&
            span_next(&c, &m) == SPAN_ITEM);
}

enum err gemini_observe(struct arena *a, enum chat_operation op, struct slice body,
                        struct outcome *out)
{
    struct span at[L_MEMBERS];
    struct event_look look = {.is_done = false};
    struct candidates_look more = {.count = 0};
    bool wants_detail = out->wants_detail;
    if (find(slice_trim(body), at)) {
        return E_SYNTAX;
    }
    look_answer(at, &look, &more);
    *out =
        (struct outcome){.wants_detail = wants_detail, .is_complete = true, .finish = look.finish};
    if (look.usage.len) {
        gemini_read_usage(look.usage, &out->usage);
        out->has_usage = out->has_prompt_usage = out->usage.is_known;
    }
    out->is_error = look.is_error;
    if (look.is_error) {
        out->error = read_error_message(a, look.error);
    }
    out->output_bytes = look.output_bytes;
    out->has_content = look.output_bytes > 0;
    out->is_empty = look.choice_count == 0 || (more.is_malformed && !out->has_content);
    if (op == CHAT_OP_COUNT_TOKENS) { /* counting is free */
        out->is_empty = at[L_TOTAL].kind != SPAN_NUMBER;
        out->usage.is_known = out->has_usage = !out->is_empty;
    } else if (op == CHAT_OP_EMBEDDING) {
        out->is_empty = !has_vector(at);
    }
    out->model = arena_dup(a, look.model);
    return out->model.ptr ? OK : E_NOMEM;
}
