#include "core/check.h"
#include "dialect/openai.h"

#include <assert.h>

enum { CONTENT_DEPTH_MAX = 6 }; /* delta, tool_calls, call, function, arguments and one to spare */

static inline struct slice key_of(const struct span *m)
{
    return m->is_key_plain ? slice_of(m->key.ptr + 1, m->key.len - 2) : SLICE_NONE;
}

/* More than any model ever sees; so that sums of what a provider tells cannot overflow. */
#define TOKENS_TOLD_MAX (INT64_C(1) << 40)

/* A count of tokens: negative and absent are 0; a fraction, which nobody should send, is cut. */
static int64_t count_of(const struct span *s)
{
    int64_t value = 0;
    if (s->kind != SPAN_NUMBER) {
        return 0;
    }
    size_t whole = 0;
    while (whole < s->value.len && s->value.ptr[whole] >= '0' && s->value.ptr[whole] <= '9') {
        whole++;
    }
    bool is_count = whole && slice_to_i64(slice_head(s->value, whole), &value);
    return is_count ? i64_min(value, TOKENS_TOLD_MAX) : 0;
}

/* What a usage object says, before it is made canonical. */
struct raw_usage {
    int64_t prompt, completion, total, cached, written, reasoning;
    bool has_prompt, has_completion, has_total;
};

/* Members of prompt_tokens_details and completion_tokens_details; their names do not overlap. */
static void read_details(struct slice object, struct raw_usage *out)
{
    struct span_cursor c;
    struct span m;
    if (span_skim(&c, object) || !c.is_object) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        struct slice key = key_of(&m);
        if (slice_eq(key, SLICE("cached_tokens"))) {
            out->cached = i64_max(out->cached, count_of(&m));
        } else if (slice_eq(key, SLICE("reasoning_tokens"))) {
            out->reasoning = count_of(&m);
        } else if (slice_eq(key, SLICE("cache_write_tokens"))) {
            out->written = count_of(&m);
        }
    }
}

/* Newer servers name the counts as the Responses API does; DeepSeek tells cache hits beside or
 * instead of the details. */
static HOT void read_usage_member(const struct span *m, struct raw_usage *out)
{
    struct slice key = key_of(m);
    if (m->kind == SPAN_OBJECT) {
        if (slice_eq(key, SLICE("prompt_tokens_details")) ||
            slice_eq(key, SLICE("completion_tokens_details"))) {
            read_details(m->value, out);
        }
        return;
    }
    if (m->kind != SPAN_NUMBER) {
        return;
    }
    if (slice_eq(key, SLICE("prompt_tokens")) || slice_eq(key, SLICE("input_tokens"))) {
        out->prompt = i64_max(out->prompt, count_of(m));
        out->has_prompt = true;
    } else if (slice_eq(key, SLICE("completion_tokens")) || slice_eq(key, SLICE("output_tokens"))) {
        out->completion = i64_max(out->completion, count_of(m));
        out->has_completion = true;
    } else if (slice_eq(key, SLICE("total_tokens"))) {
        out->total = count_of(m);
        out->has_total = true;
    } else if (slice_eq(key, SLICE("prompt_cache_hit_tokens"))) {
        out->cached = i64_max(out->cached, count_of(m));
    }
}

/* Every token once: prompt_tokens includes what the cache read and wrote; completion_tokens
 * includes reasoning, save at servers (xAI) whose total shows that it does not. */
void openai_read_usage(struct slice usage, struct usage *out)
{
    struct span_cursor c;
    struct span m;
    struct raw_usage u = {0};
    enum span_step step = SPAN_BAD;
    *out = (struct usage){.is_known = false};
    if (span_skim(&c, usage) || !c.is_object) {
        return;
    }
    while ((step = span_next(&c, &m)) == SPAN_ITEM) {
        read_usage_member(&m, &u);
    }
    if (step == SPAN_BAD) {
        return;
    }
    if (!u.has_prompt && u.total > u.completion) {
        u.prompt = u.total - u.completion;
    }
    out->cache_read = i64_min(u.cached, u.prompt);
    out->cache_write_5m = i64_min(u.written, u.prompt - out->cache_read);
    out->input = u.prompt - out->cache_read - out->cache_write_5m;
    int64_t sum = i64_add_sat(u.prompt, u.completion);
    bool is_beside =
        u.reasoning > u.completion || (u.reasoning && i64_add_sat(sum, u.reasoning) == u.total);
    out->reasoning = u.reasoning;
    out->output = is_beside ? u.completion : u.completion - u.reasoning;
    sum = is_beside ? i64_add_sat(sum, u.reasoning) : sum;
    out->total_reported = u.total > sum ? u.total : 0;
    out->is_known = u.has_prompt || u.has_completion || u.has_total;
}

enum chat_finish openai_finish(struct slice text)
{
    static const struct {
        struct slice name;
        enum chat_finish finish;
    } table[] = {
        {SLICE_INIT("stop"), CHAT_FINISH_STOP},
        {SLICE_INIT("length"), CHAT_FINISH_LENGTH},
        {SLICE_INIT("tool_calls"), CHAT_FINISH_TOOL_CALLS},
        {SLICE_INIT("function_call"), CHAT_FINISH_TOOL_CALLS},
        {SLICE_INIT("content_filter"), CHAT_FINISH_FILTER},
        {SLICE_INIT("model_length"), CHAT_FINISH_LENGTH}, /* Mistral */
        {SLICE_INIT("max_tokens"), CHAT_FINISH_LENGTH},
        {SLICE_INIT("error"), CHAT_FINISH_ERROR},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (slice_eq(text, table[i].name)) {
            return table[i].finish;
        }
    }
    return text.len ? CHAT_FINISH_STOP : CHAT_FINISH_NONE; /* eos, eos_token, stop_sequence ... */
}

struct slice openai_finish_name(enum chat_finish finish)
{
    switch (finish) {
    case CHAT_FINISH_NONE: return SLICE_NONE;
    case CHAT_FINISH_STOP: return SLICE("stop");
    case CHAT_FINISH_LENGTH: return SLICE("length");
    case CHAT_FINISH_TOOL_CALLS: return SLICE("tool_calls");
    case CHAT_FINISH_FILTER: return SLICE("content_filter");
    case CHAT_FINISH_ERROR: return SLICE("error");
    }
    return SLICE_NONE;
}

static bool is_one_of(struct slice s, const struct slice *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(s, names[i])) {
            return true;
        }
    }
    return false;
}

/* Bytes of text in a delta or message: its content in whatever form, reasoning, refusal, and tool
 * calls down to their arguments. */
static int64_t content_bytes(struct slice container, int depth)
{
    static const struct slice texts[] = {SLICE_INIT("content"),   SLICE_INIT("reasoning_content"),
                                         SLICE_INIT("reasoning"), SLICE_INIT("refusal"),
                                         SLICE_INIT("arguments"), SLICE_INIT("text"),
                                         SLICE_INIT("thinking"),  SLICE_INIT("input"),
                                         SLICE_INIT("name"),      SLICE_INIT("transcript")};
    static const struct slice containers[] = {SLICE_INIT("content"),  SLICE_INIT("tool_calls"),
                                              SLICE_INIT("function"), SLICE_INIT("custom"),
                                              SLICE_INIT("thinking"), SLICE_INIT("function_call"),
                                              SLICE_INIT("audio")};
    struct span_cursor c;
    struct span m;
    int64_t bytes = 0;
    if (depth == CONTENT_DEPTH_MAX || span_skim(&c, container)) {
        return 0;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        struct slice key = c.is_object ? key_of(&m) : SLICE("content");
        if (m.kind == SPAN_STRING && m.value.len > 2 && is_one_of(key, texts, ARRAY_LEN(texts))) {
            bytes += (int64_t)m.value.len - 2;
        } else if ((m.kind == SPAN_OBJECT || m.kind == SPAN_ARRAY) &&
                   is_one_of(key, containers, ARRAY_LEN(containers))) {
            bytes += content_bytes(m.value, depth + 1);
        }
    }
    return bytes;
}

static void look_choice(struct slice choice, struct event_look *out)
{
    struct span_cursor c;
    struct span m;
    int64_t index = 0;
    enum chat_finish finish = CHAT_FINISH_NONE;
    if (span_skim(&c, choice) || !c.is_object) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        struct slice key = key_of(&m);
        if (m.kind == SPAN_OBJECT &&
            (slice_eq(key, SLICE("delta")) || slice_eq(key, SLICE("message")))) {
            out->output_bytes += content_bytes(m.value, 0);
        } else if (m.kind == SPAN_STRING && slice_eq(key, SLICE("text"))) {
            out->output_bytes += (int64_t)m.value.len - 2;
        } else if (m.kind == SPAN_STRING && slice_eq(key, SLICE("finish_reason"))) {
            finish = openai_finish(span_plain(&m));
        } else if (slice_eq(key, SLICE("index"))) {
            index = i64_min(count_of(&m), 63);
        }
    }
    out->choice_count++;
    out->seen |= (uint64_t)1 << index;
    if (finish != CHAT_FINISH_NONE) {
        out->finished |= (uint64_t)1 << index;
        out->finish = finish;
    }
}

static void look_choices(struct slice choices, struct event_look *out)
{
    struct span_cursor c;
    struct span m;
    if (span_skim(&c, choices)) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        if (m.kind == SPAN_OBJECT) {
            look_choice(m.value, out);
        }
    }
}

/* The member with one comma, the one before it if there is one. */
static struct slice with_comma(struct slice object, const struct span *m)
{
    const char *start = m->key.ptr;
    const char *stop = m->value.ptr + m->value.len;
    const char *p = start - 1;
    while (p > object.ptr && *p != ',' && *p != '{') {
        p--;
    }
    if (*p == ',') {
        start = p;
    } else {
        const char *end = object.ptr + object.len;
        while (stop < end && *stop != ',' && *stop != '}') {
            stop++;
        }
        stop += stop < end && *stop == ',';
    }
    return slice_of(start, (size_t)(stop - start));
}

/* Members that carry something of their own in chunks without choices. */
static bool is_own_matter(struct slice key)
{
    static const struct slice names[] = {SLICE_INIT("moderation"),
                                         SLICE_INIT("prompt_filter_results")};
    return is_one_of(key, names, ARRAY_LEN(names));
}

/* Groq hides usage in an object of its own. */
static struct slice groq_usage(struct slice x_groq)
{
    const struct span_name name = {SLICE_INIT("usage"), false};
    struct span found;
    struct span_object o;
    if (spans_scan(x_groq, &name, 1, &found, &o) || found.kind != SPAN_OBJECT) {
        return SLICE_NONE;
    }
    return found.value;
}

struct top {
    struct span usage, error, choices;
    struct slice groq;
    bool has_own_matter, has_error_flag;
};

static HOT void note_top(const struct span *m, struct top *top, struct event_look *out)
{
    struct slice key = key_of(m);
    switch (key.len) {
    case 5:
        if (slice_eq(key, SLICE("usage"))) {
            top->usage = *m;
        } else if (slice_eq(key, SLICE("error"))) {
            top->error = *m;
        } else if (slice_eq(key, SLICE("model")) && m->is_string_plain) {
            out->model = span_plain(m);
        }
        break;
    case 6:
        if (slice_eq(key, SLICE("x_groq")) && m->kind == SPAN_OBJECT) {
            top->groq = groq_usage(m->value);
        } else if (slice_eq(key, SLICE("object"))) {
            top->has_error_flag = span_string_is(m, SLICE("error")); /* old vLLM */
        }
        break;
    case 7:
        if (slice_eq(key, SLICE("choices"))) {
            top->choices = *m;
        }
        break;
    default:
        top->has_own_matter = top->has_own_matter || (m->kind != SPAN_NULL && is_own_matter(key));
        break;
    }
}

/* Whether an array that was skimmed has an element. */
static bool has_element(struct slice array)
{
    return slice_trim(slice_of(array.ptr + 1, array.len - 2)).len > 0;
}

enum look_depth {
    LOOK_ALL,
    LOOK_ALL_WITHOUT_USAGE /* choices are looked into only when no usage is told */
};

static HOT enum err look_top(struct slice name, struct slice data, enum look_depth depth,
                             struct event_look *out)
{
    struct span_cursor c;
    struct span m;
    struct top top = {.groq = SLICE_NONE};
    enum span_step step;
    *out = (struct event_look){.is_done = slice_eq(data, SLICE("[DONE]"))};
    if (out->is_done) {
        return OK;
    }
    if (span_skim(&c, data) || !c.is_object) {
        return E_SYNTAX;
    }
    while ((step = span_next(&c, &m)) == SPAN_ITEM) {
        note_top(&m, &top, out);
    }
    if (step == SPAN_BAD) {
        return (enum err)c.failed;
    }
    if (top.choices.kind == SPAN_ARRAY) {
        if (depth == LOOK_ALL || top.usage.kind != SPAN_OBJECT) {
            look_choices(top.choices.value, out);
        } else {
            out->choice_count = has_element(top.choices.value);
        }
    }
    out->is_error =
        span_is_given(&top.error) || top.has_error_flag || slice_eq(name, SLICE("error"));
    out->error = span_is_given(&top.error) ? top.error.value : out->is_error ? data : SLICE_NONE;
    out->usage = top.usage.kind == SPAN_OBJECT ? top.usage.value : top.groq;
    if (top.usage.kind == SPAN_NULL || top.usage.kind == SPAN_OBJECT) {
        out->hideable = with_comma(data, &top.usage);
    }
    out->is_usage_only = top.usage.kind == SPAN_OBJECT && out->choice_count == 0 &&
                         !top.has_own_matter && !out->is_error;
    return OK;
}

enum err openai_look(struct slice name, struct slice data, struct event_look *out)
{
    return look_top(name, data, LOOK_ALL, out);
}

struct slice openai_error_message(struct arena *a, struct slice error)
{
    static const struct span_name names[] = {{SLICE_INIT("message"), false},
                                             {SLICE_INIT("detail"), false},
                                             {SLICE_INIT("error"), false}};
    struct span found[ARRAY_LEN(names)];
    struct span_object o;
    if (error.len >= 2 && error.ptr[0] == '"') {
        char *out = arena_alloc(a, error.len);
        return out ? slice_of(out, span_unescape(error, out)) : SLICE_NONE;
    }
    if (spans_scan(error, names, ARRAY_LEN(names), found, &o) == OK) {
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            if (found[i].kind == SPAN_STRING) {
                return openai_error_message(a, found[i].value);
            }
        }
    }
    return arena_dup(a, error);
}

enum err openai_observe(struct arena *a, enum chat_operation op, struct slice body,
                        struct outcome *out)
{
    static const struct span_name list[] = {{SLICE_INIT("data"), false},
                                            {SLICE_INIT("results"), false}};
    struct event_look look;
    struct slice text = slice_trim(body);
    bool wants_detail = out->wants_detail;
    if (look_top(SLICE_NONE, text, wants_detail ? LOOK_ALL : LOOK_ALL_WITHOUT_USAGE, &look) ||
        look.is_done) {
        return E_SYNTAX;
    }
    *out =
        (struct outcome){.wants_detail = wants_detail, .is_complete = true, .finish = look.finish};
    out->has_usage = look.usage.len != 0;
    if (out->has_usage) {
        openai_read_usage(look.usage, &out->usage);
        out->has_usage = out->usage.is_known;
    }
    out->output_bytes = look.output_bytes;
    out->has_content = look.output_bytes > 0;
    out->is_error = look.is_error;
    if (look.is_error) {
        out->error = openai_error_message(a, look.error);
    }
    out->model = arena_dup(a, look.model);
    out->is_empty = look.choice_count == 0;
    if (op == CHAT_OP_EMBEDDING || op == CHAT_OP_MODERATION) {
        struct span found[ARRAY_LEN(list)];
        struct span_object o;
        struct span_cursor c;
        struct span m;
        const struct span *items = &found[op == CHAT_OP_EMBEDDING ? 0 : 1];
        out->is_empty = spans_scan(text, list, ARRAY_LEN(list), found, &o) ||
                        items->kind != SPAN_ARRAY || span_open(&c, items->value) ||
                        span_next(&c, &m) != SPAN_ITEM;
    }
    return out->model.ptr ? OK : E_NOMEM;
}
