/* What Anthropic's events and answers tell, found without building a tree. */
#include "core/check.h"
#include "dialect/anthropic.h"

/* What a usage object says; null and absent say nothing. */
struct told {
    int64_t input, output, read, written, written_5m, written_1h, thinking;
    bool has_input, has_output, has_read, has_written, has_parts, has_thinking;
};

static void read_nested(struct slice object, struct told *out)
{
    struct span_cursor c;
    struct span m;
    if (span_skim(&c, object)) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        struct slice key = read_key(&m);
        if (m.kind != SPAN_NUMBER) {
            continue;
        }
        if (slice_eq(key, SLICE("ephemeral_5m_input_tokens"))) {
            out->written_5m = read_tokens(&m);
            out->has_parts = true;
        } else if (slice_eq(key, SLICE("ephemeral_1h_input_tokens"))) {
            out->written_1h = read_tokens(&m);
            out->has_parts = true;
        } else if (slice_eq(key, SLICE("thinking_tokens"))) {
            out->thinking = read_tokens(&m);
            out->has_thinking = true;
        }
    }
}

static void read_member(const struct span *m, struct told *out)
{
    struct slice key = read_key(m);
    if (m->kind == SPAN_OBJECT) {
        if (slice_eq(key, SLICE("cache_creation")) ||
            slice_eq(key, SLICE("output_tokens_details"))) {
            read_nested(m->value, out);
        }
    } else if (m->kind != SPAN_NUMBER) {
        return;
    } else if (slice_eq(key, SLICE("input_tokens"))) {
        out->input = read_tokens(m);
        out->has_input = true;
    } else if (slice_eq(key, SLICE("output_tokens"))) {
        out->output = read_tokens(m);
        out->has_output = true;
    } else if (slice_eq(key, SLICE("cache_read_input_tokens"))) {
        out->read = read_tokens(m);
        out->has_read = true;
    } else if (slice_eq(key, SLICE("cache_creation_input_tokens"))) {
        out->written = read_tokens(m);
        out->has_written = true;
    }
}

/* message_delta tells again what message_start told, or a part of it: what is told replaces, what
 * is not stays (traps 2 and 3). input_tokens leaves out what the cache read and wrote, as ours. */
void anthropic_read_usage(struct slice object, struct usage *usage)
{
    struct span_cursor c;
    struct span m;
    struct told told = {0};
    enum span_step step;
    if (object.len == 0 || span_skim(&c, object) || !c.is_object) {
        return;
    }
    while ((step = span_next(&c, &m)) == SPAN_ITEM) {
        read_member(&m, &told);
    }
    if (step == SPAN_BAD) {
        return;
    }
    usage->input = told.has_input ? told.input : usage->input;
    usage->cache_read = told.has_read ? told.read : usage->cache_read;
    if (told.has_parts) {
        usage->cache_write_5m = told.written_5m;
        usage->cache_write_1h = told.written_1h;
    }
    if (told.has_written && told.written != usage->cache_write_5m + usage->cache_write_1h) {
        usage->cache_write_1h = i64_min(usage->cache_write_1h, told.written);
        usage->cache_write_5m = told.written - usage->cache_write_1h;
    }
    if (told.has_output) {
        usage->reasoning =
            i64_min(told.has_thinking ? told.thinking : usage->reasoning, told.output);
        usage->output = told.output - usage->reasoning;
    }
    usage->is_known = usage->is_known || told.has_input || told.has_output;
}

enum chat_finish anthropic_finish(struct slice reason)
{
    static const struct {
        struct slice name;
        enum chat_finish finish;
    } table[] = {
        {SLICE_INIT("end_turn"), CHAT_FINISH_STOP},
        {SLICE_INIT("stop_sequence"), CHAT_FINISH_STOP},
        {SLICE_INIT("pause_turn"), CHAT_FINISH_STOP},
        {SLICE_INIT("max_tokens"), CHAT_FINISH_LENGTH},
        {SLICE_INIT("model_context_window_exceeded"), CHAT_FINISH_LENGTH},
        {SLICE_INIT("compaction"), CHAT_FINISH_LENGTH},
        {SLICE_INIT("tool_use"), CHAT_FINISH_TOOL_CALLS},
        {SLICE_INIT("refusal"), CHAT_FINISH_FILTER},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (slice_eq(reason, table[i].name)) {
            return table[i].finish;
        }
    }
    return reason.len ? CHAT_FINISH_STOP : CHAT_FINISH_NONE;
}

/* What the model said in a block or a delta: its text, thoughts, names of tools and their input. */
static HOT void look_content(struct slice object, struct event_look *out)
{
    static const struct slice texts[] = {SLICE_INIT("text"), SLICE_INIT("thinking"),
                                         SLICE_INIT("partial_json"), SLICE_INIT("name")};
    struct span_cursor c;
    struct span m;
    if (span_skim(&c, object) || !c.is_object) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        struct slice key = read_key(&m);
        if (m.kind == SPAN_OBJECT && slice_eq(key, SLICE("input"))) {
            out->output_bytes += m.value.len > 2 ? (int64_t)m.value.len : 0;
        }
        for (size_t i = 0; i < ARRAY_LEN(texts) && m.kind == SPAN_STRING; i++) {
            if (slice_eq(key, texts[i])) {
                look_add_text(out, span_plain(&m));
            }
        }
    }
}

static int64_t blocks_bytes(struct slice content)
{
    struct span_cursor c;
    struct span m;
    struct event_look look = {.output_bytes = 0};
    if (span_skim(&c, content)) {
        return 0;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        if (m.kind == SPAN_OBJECT) {
            look_content(m.value, &look);
        }
    }
    return look.output_bytes;
}

enum {
    L_TYPE,
    L_DELTA,
    L_BLOCK,
    L_MESSAGE,
    L_USAGE,
    L_ERROR,
    L_MODEL,
    L_CONTENT,
    L_STOP_REASON,
    L_INPUT_TOKENS,
    L_MEMBERS
};

/* The member of that name, or L_MEMBERS. */
static HOT size_t member_of(struct slice key)
{
    static const struct slice names[L_MEMBERS] = {
        [L_TYPE] = SLICE_INIT("type"),
        [L_DELTA] = SLICE_INIT("delta"),
        [L_BLOCK] = SLICE_INIT("content_block"),
        [L_MESSAGE] = SLICE_INIT("message"),
        [L_USAGE] = SLICE_INIT("usage"),
        [L_ERROR] = SLICE_INIT("error"),
        [L_MODEL] = SLICE_INIT("model"),
        [L_CONTENT] = SLICE_INIT("content"),
        [L_STOP_REASON] = SLICE_INIT("stop_reason"),
        [L_INPUT_TOKENS] = SLICE_INIT("input_tokens"),
    };
    size_t i = 0;
    while (i < L_MEMBERS && !slice_eq(key, names[i])) {
        i++;
    }
    return i;
}

static HOT enum err find(struct slice object, struct span *at)
{
    struct span_cursor c;
    struct span m;
    enum span_step step;
    memset(at, 0, L_MEMBERS * sizeof(*at));
    if (object.len == 0 || span_skim(&c, object) || !c.is_object) {
        return E_SYNTAX;
    }
    while ((step = span_next(&c, &m)) == SPAN_ITEM) {
        size_t i = member_of(read_key(&m));
        if (i < L_MEMBERS) {
            at[i] = m;
        }
    }
    return step == SPAN_BAD ? (enum err)c.failed : OK;
}

static struct slice plain(const struct span *s)
{
    return s->kind == SPAN_STRING && s->is_string_plain ? span_plain(s) : SLICE_NONE;
}

static void look_start(struct slice message, struct event_look *out)
{
    struct span at[L_MEMBERS];
    out->seen = 1;
    if (find(message, at)) {
        return;
    }
    out->model = plain(&at[L_MODEL]);
    if (at[L_USAGE].kind == SPAN_OBJECT) {
        out->usage = at[L_USAGE].value;
        out->is_usage_early = true;
    }
}

static void look_end(const struct span *at, struct event_look *out)
{
    struct span inside[L_MEMBERS];
    out->seen = 1;
    if (at[L_USAGE].kind == SPAN_OBJECT) {
        out->usage = at[L_USAGE].value;
    }
    if (at[L_DELTA].kind == SPAN_OBJECT && find(at[L_DELTA].value, inside) == OK &&
        inside[L_STOP_REASON].kind == SPAN_STRING) {
        out->finish = anthropic_finish(plain(&inside[L_STOP_REASON]));
        out->finished = out->finish != CHAT_FINISH_NONE;
    }
}

static void look_block(const struct span *block, struct event_look *out)
{
    out->seen = 1;
    if (block->kind == SPAN_OBJECT) {
        look_content(block->value, out);
    }
}

HOT enum err anthropic_look(struct slice name, struct slice data, struct event_look *out)
{
    struct span at[L_MEMBERS];
    *out = (struct event_look){.is_done = false};
    enum err e = find(data, at);
    if (e) {
        return e;
    }
    struct slice type = plain(&at[L_TYPE]);
    if (slice_eq(type, SLICE("content_block_delta"))) {
        look_block(&at[L_DELTA], out);
    } else if (slice_eq(type, SLICE("content_block_start"))) {
        look_block(&at[L_BLOCK], out);
    } else if (slice_eq(type, SLICE("message_start"))) {
        look_start(at[L_MESSAGE].value, out);
    } else if (slice_eq(type, SLICE("message_delta"))) {
        look_end(at, out);
    } else if (slice_eq(type, SLICE("message_stop"))) {
        out->is_done = true;
    } else if (slice_eq(type, SLICE("error")) || slice_eq(name, SLICE("error")) ||
               read_is_given(&at[L_ERROR])) {
        out->is_error = true;
        out->error = read_is_given(&at[L_ERROR]) ? at[L_ERROR].value : data;
    }
    out->choice_count = out->seen;
    return OK;
}

enum err anthropic_read_count(struct slice body, int64_t *out_input_tokens)
{
    struct span at[L_MEMBERS];
    if (find(slice_trim(body), at) || at[L_INPUT_TOKENS].kind != SPAN_NUMBER) {
        return E_SYNTAX;
    }
    *out_input_tokens = read_tokens(&at[L_INPUT_TOKENS]);
    return OK;
}

enum err anthropic_observe(struct arena *a, enum chat_operation op, struct slice body,
                           struct outcome *out)
{
    struct span at[L_MEMBERS];
    struct slice text = slice_trim(body);
    bool wants_detail = out->wants_detail;
    if (find(text, at)) {
        return E_SYNTAX;
    }
    *out = (struct outcome){.wants_detail = wants_detail, .is_complete = true};
    if (op == CHAT_OP_COUNT_TOKENS) { /* counting is free */
        out->is_empty = at[L_INPUT_TOKENS].kind != SPAN_NUMBER;
        out->usage.is_known = out->has_usage = !out->is_empty;
        return OK;
    }
    if (at[L_USAGE].kind == SPAN_OBJECT) {
        anthropic_read_usage(at[L_USAGE].value, &out->usage);
        out->has_usage = out->has_prompt_usage = out->usage.is_known;
    }
    out->finish = anthropic_finish(plain(&at[L_STOP_REASON]));
    out->is_error = slice_eq(plain(&at[L_TYPE]), SLICE("error")) || read_is_given(&at[L_ERROR]);
    if (out->is_error) {
        out->error = read_error_message(a, at[L_ERROR].value.len ? at[L_ERROR].value : text);
    }
    out->is_empty = at[L_CONTENT].kind != SPAN_ARRAY; /* [] is an answer: a refusal, a warm cache */
    if (!out->is_empty && (wants_detail || !out->has_usage)) {
        out->output_bytes = blocks_bytes(at[L_CONTENT].value);
        out->has_content = out->output_bytes > 0;
    }
    out->model = arena_dup(a, plain(&at[L_MODEL]));
    return out->model.ptr ? OK : E_NOMEM;
}
