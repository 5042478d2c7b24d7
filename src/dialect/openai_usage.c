/* What OpenAI's vocabulary says about an answer: usage, finish reasons, error messages. */
#include "core/check.h"
#include "dialect/openai.h"
#include "wire/peek.h"

/* More than any model ever sees; so that sums of what a provider tells cannot overflow. */
#define TOKENS_TOLD_MAX (INT64_C(1) << 40)

/* What a usage object says, before it is made canonical. */
struct raw_usage {
    int64_t prompt, completion, total, cached, written, reasoning;
    bool has_prompt, has_completion, has_total;
};

/* Members of prompt_tokens_details and completion_tokens_details; their names do not overlap. */
static void read_details(struct peek *k, struct raw_usage *out)
{
    for (bool more = peek_enter(k); more; more = peek_more(k)) {
        struct slice key = peek_key(k);
        int64_t count = peek_count(k, TOKENS_TOLD_MAX);
        if (slice_eq(key, SLICE("cached_tokens"))) {
            out->cached = i64_max(out->cached, count);
        } else if (slice_eq(key, SLICE("reasoning_tokens"))) {
            out->reasoning = count;
        } else if (slice_eq(key, SLICE("cache_write_tokens"))) {
            out->written = count;
        }
    }
}

/* Newer servers name the counts as the Responses API does; DeepSeek tells cache hits beside or
 * instead of the details. */
static HOT void read_usage_member(struct peek *k, struct slice key, struct raw_usage *out)
{
    char first = peek_byte(k);
    if (first == '{' && (slice_eq(key, SLICE("prompt_tokens_details")) ||
                         slice_eq(key, SLICE("completion_tokens_details")) ||
                         slice_eq(key, SLICE("input_tokens_details")) ||
                         slice_eq(key, SLICE("output_tokens_details")))) {
        read_details(k, out);
        return;
    }
    int64_t count = peek_count(k, TOKENS_TOLD_MAX);
    if (first != '-' && (first < '0' || first > '9')) {
        return;
    }
    if (slice_eq(key, SLICE("prompt_tokens")) || slice_eq(key, SLICE("input_tokens"))) {
        out->prompt = i64_max(out->prompt, count);
        out->has_prompt = true;
    } else if (slice_eq(key, SLICE("completion_tokens")) || slice_eq(key, SLICE("output_tokens"))) {
        out->completion = i64_max(out->completion, count);
        out->has_completion = true;
    } else if (slice_eq(key, SLICE("total_tokens"))) {
        out->total = count;
        out->has_total = true;
    } else if (slice_eq(key, SLICE("prompt_cache_hit_tokens"))) {
        out->cached = i64_max(out->cached, count);
    }
}

/* Every token once: prompt_tokens includes what the cache read and wrote; completion_tokens
 * includes reasoning, save at servers (xAI) whose total shows that it does not. */
void openai_read_usage(struct slice usage, struct usage *out)
{
    struct peek k = peek_open(usage);
    struct raw_usage u = {0};
    *out = (struct usage){.is_known = false};
    if (peek_byte(&k) != '{') {
        return;
    }
    for (bool more = peek_enter(&k); more; more = peek_more(&k)) {
        struct slice key = peek_key(&k);
        read_usage_member(&k, key, &u);
    }
    if (!peek_is_over(&k)) {
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
