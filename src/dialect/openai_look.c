/* What one event or answer of an OpenAI provider says, in one pass over its bytes. */
#include "core/check.h"
#include "dialect/openai.h"
#include "wire/peek.h"

#include <assert.h>

enum {
    CONTENT_DEPTH_MAX = 6, /* delta, tool_calls, call, function, arguments and one to spare */
    CHOICE_INDEX_MAX = 63
};

/* What a member of a delta or message holds: text that was written, or more members that may. */
enum content { CONTENT_OTHER, CONTENT_TEXT, CONTENT_NESTED, CONTENT_BOTH };

static HOT enum content content_of(struct slice key)
{
    static const struct {
        struct slice name;
        enum content content;
    } rows[] = {
        {SLICE_INIT("content"), CONTENT_BOTH},
        {SLICE_INIT("reasoning_content"), CONTENT_TEXT},
        {SLICE_INIT("reasoning"), CONTENT_TEXT},
        {SLICE_INIT("refusal"), CONTENT_TEXT},
        {SLICE_INIT("tool_calls"), CONTENT_NESTED},
        {SLICE_INIT("function"), CONTENT_NESTED},
        {SLICE_INIT("arguments"), CONTENT_TEXT},
        {SLICE_INIT("name"), CONTENT_TEXT},
        {SLICE_INIT("text"), CONTENT_TEXT},
        {SLICE_INIT("thinking"), CONTENT_BOTH},
        {SLICE_INIT("input"), CONTENT_TEXT},
        {SLICE_INIT("custom"), CONTENT_NESTED},
        {SLICE_INIT("audio"), CONTENT_NESTED},
        {SLICE_INIT("transcript"), CONTENT_TEXT},
        {SLICE_INIT("function_call"), CONTENT_NESTED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (slice_eq(key, rows[i].name)) {
            return rows[i].content;
        }
    }
    return CONTENT_OTHER;
}

/* The text in a delta or message: its content in whatever form, reasoning, refusal, and tool
 * calls down to their arguments. */
static HOT void look_content(struct peek *k, int depth, /* NOLINT(misc-no-recursion) */
                             struct event_look *out)
{
    bool is_object = peek_byte(k) == '{';
    for (bool more = peek_enter(k); more; more = peek_more(k)) {
        enum content content = is_object ? content_of(peek_key(k)) : CONTENT_BOTH;
        char first = peek_byte(k);
        bool is_nested = content == CONTENT_NESTED || content == CONTENT_BOTH;
        if (first == '"' && (content == CONTENT_TEXT || content == CONTENT_BOTH)) {
            bool is_plain;
            look_add_text(out, peek_string(k, &is_plain));
        } else if ((first == '{' || first == '[') && is_nested && depth < CONTENT_DEPTH_MAX) {
            look_content(k, depth + 1, out);
        } else {
            (void)peek_pass(k);
        }
    }
}

struct choice {
    int64_t index;
    enum chat_finish finish;
};

static HOT void look_choice_member(struct peek *k, struct slice key, struct choice *choice,
                                   struct event_look *out)
{
    char first = peek_byte(k);
    bool is_plain;
    if (first == '{' && (slice_eq(key, SLICE("delta")) || slice_eq(key, SLICE("message")))) {
        look_content(k, 1, out);
    } else if (first == '"' && slice_eq(key, SLICE("text"))) {
        look_add_text(out, peek_string(k, &is_plain));
    } else if (first == '"' && slice_eq(key, SLICE("finish_reason"))) {
        choice->finish = openai_finish(peek_string(k, &is_plain));
    } else if (slice_eq(key, SLICE("index"))) {
        choice->index = peek_count(k, CHOICE_INDEX_MAX);
    } else {
        (void)peek_pass(k);
    }
}

static HOT void look_choice(struct peek *k, struct event_look *out)
{
    struct choice choice = {.finish = CHAT_FINISH_NONE};
    for (bool more = peek_enter(k); more; more = peek_more(k)) {
        struct slice key = peek_key(k);
        look_choice_member(k, key, &choice, out);
    }
    out->choice_count++;
    out->seen |= (uint64_t)1 << choice.index;
    if (choice.finish != CHAT_FINISH_NONE) {
        out->finished |= (uint64_t)1 << choice.index;
        out->finish = choice.finish;
    }
}

static HOT void look_choices(struct peek *k, struct event_look *out)
{
    for (bool more = peek_enter(k); more; more = peek_more(k)) {
        if (peek_byte(k) == '{') {
            look_choice(k, out);
        } else {
            (void)peek_pass(k);
        }
    }
}

/* A member that is to be found again: its key's opening quote and its value. */
struct member {
    const char *start;
    struct slice value; /* ptr NULL: absent */
};

/* The member with one comma, the one before it if there is one. */
static struct slice with_comma(struct slice object, const struct member *m)
{
    const char *start = m->start;
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

static bool is_null(struct slice value)
{
    return slice_eq(value, SLICE("null"));
}

/* Groq hides usage in an object of its own. */
static struct slice groq_usage(struct peek *k)
{
    struct slice usage = SLICE_NONE;
    for (bool more = peek_enter(k); more; more = peek_more(k)) {
        struct slice key = peek_key(k);
        bool is_it = slice_eq(key, SLICE("usage")) && peek_byte(k) == '{';
        struct slice value = peek_pass(k);
        usage = is_it ? value : usage;
    }
    return usage;
}

enum look_depth {
    LOOK_ALL,
    LOOK_ALL_WITHOUT_USAGE /* choices are looked into only when no usage is told */
};

struct top {
    struct peek k;
    enum look_depth depth;
    struct member usage;
    struct slice error, choices, groq;
    bool has_own_matter, has_error_flag;
};

/* Members that carry something of their own in chunks without choices. */
static bool is_own_matter(struct slice key)
{
    return slice_eq(key, SLICE("moderation")) || slice_eq(key, SLICE("prompt_filter_results"));
}

/* Strings of a length at random, so that the size of an event does not tell its text (OpenAI,
 * Mistral). */
static bool is_padding(struct slice key)
{
    return slice_eq(key, SLICE("obfuscation")) || slice_eq(key, SLICE("p"));
}

/* Choices come before usage: those of a whole answer are passed, for usage may make them needless.
 */
static HOT void look_list(struct top *top, struct event_look *out)
{
    if (top->depth == LOOK_ALL && peek_byte(&top->k) == '[') {
        look_choices(&top->k, out);
    } else {
        top->choices = peek_pass(&top->k);
    }
}

static HOT void look_member(struct top *top, const char *start, struct slice key,
                            struct event_look *out)
{
    struct peek *k = &top->k;
    char first = peek_byte(k);
    bool is_plain;
    if (slice_eq(key, SLICE("choices"))) {
        look_list(top, out);
    } else if (slice_eq(key, SLICE("usage"))) {
        top->usage = (struct member){start, peek_pass(k)};
    } else if (slice_eq(key, SLICE("error"))) {
        top->error = peek_pass(k);
    } else if (slice_eq(key, SLICE("model")) && first == '"') {
        struct slice model = peek_string(k, &is_plain);
        out->model = is_plain ? model : out->model;
    } else if (slice_eq(key, SLICE("object")) && first == '"') {
        top->has_error_flag = slice_eq(peek_string(k, &is_plain), SLICE("error")); /* old vLLM */
    } else if (slice_eq(key, SLICE("x_groq")) && first == '{') {
        top->groq = groq_usage(k);
    } else if (first == '"' && is_padding(key)) {
        look_add_gap(out, peek_string(k, &is_plain), LOOK_GAP_FILLER);
    } else {
        bool is_own = is_own_matter(key);
        struct slice value = peek_pass(k);
        top->has_own_matter = top->has_own_matter || (is_own && !is_null(value));
    }
}

/* Whether an array that was passed has an element. */
static bool has_element(struct slice array)
{
    return slice_trim(slice_of(array.ptr + 1, array.len - 2)).len > 0;
}

static void look_passed_choices(const struct top *top, bool has_usage, struct event_look *out)
{
    if (!top->choices.len || *top->choices.ptr != '[') {
        return;
    }
    if (has_usage) {
        out->choice_count = has_element(top->choices);
        return;
    }
    struct peek k = peek_open(top->choices);
    look_choices(&k, out);
}

static HOT enum err look_top(struct slice name, struct slice data, enum look_depth depth,
                             struct event_look *out)
{
    struct top top = {.k = peek_open(data), .depth = depth};
    *out = (struct event_look){.is_done = slice_eq(data, SLICE("[DONE]"))};
    if (out->is_done) {
        return OK;
    }
    if (peek_byte(&top.k) != '{') {
        return E_SYNTAX;
    }
    for (bool more = peek_enter(&top.k); more; more = peek_more(&top.k)) {
        const char *start = top.k.at;
        struct slice key = peek_key(&top.k);
        look_member(&top, start, key, out);
    }
    if (!peek_is_over(&top.k)) {
        return E_SYNTAX;
    }
    struct slice usage = top.usage.value;
    bool has_usage = usage.len && *usage.ptr == '{';
    look_passed_choices(&top, has_usage, out);
    bool has_error = top.error.len && !is_null(top.error);
    out->is_error = has_error || top.has_error_flag || slice_eq(name, SLICE("error"));
    out->error = has_error ? top.error : out->is_error ? data : SLICE_NONE;
    out->usage = has_usage ? usage : top.groq;
    if (has_usage || is_null(usage)) {
        out->hideable = with_comma(data, &top.usage);
    }
    out->is_usage_only =
        has_usage && out->choice_count == 0 && !top.has_own_matter && !out->is_error;
    return OK;
}

enum err openai_look(struct slice name, struct slice data, struct event_look *out)
{
    return look_top(name, data, LOOK_ALL, out);
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
