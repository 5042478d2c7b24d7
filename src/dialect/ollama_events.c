/* One line of a stream of Ollama's: what it tells, and as neutral chunks.
 *
 * A line is a whole answer in small: the message's next piece, and in the last one `done` with the
 * counts. Calls come whole. A line with `error` may stand anywhere, behind a status of 200.
 */
#include "core/check.h"
#include "dialect/ollama.h"

#include <assert.h>

enum { CALLS_MAX = 1023 };

/* --- what it tells -----------------------------------------------------------------------------
 */

/* Counts of a whole answer or of the last line. eval_count holds the thoughts, which are not told
 * apart; a prompt that was read from memory is not counted. */
void ollama_read_usage(struct slice object, struct usage *usage)
{
    enum { U_PROMPT, U_OUTPUT, U_MEMBERS };
    static const struct span_name wanted[U_MEMBERS] = {
        [U_PROMPT] = {SLICE_INIT("prompt_eval_count"), false},
        [U_OUTPUT] = {SLICE_INIT("eval_count"), false},
    };
    struct span at[U_MEMBERS];
    struct span_object o;
    if (object.len == 0 || spans_scan(object, wanted, U_MEMBERS, at, &o)) {
        return;
    }
    *usage = (struct usage){
        .input = read_tokens(&at[U_PROMPT]),
        .output = read_tokens(&at[U_OUTPUT]),
        .is_known = at[U_PROMPT].kind == SPAN_NUMBER || at[U_OUTPUT].kind == SPAN_NUMBER,
    };
}

/* Bytes of what the model said in a message. */
static int64_t content_bytes(struct slice message)
{
    enum { M_CONTENT, M_THINKING, M_CALLS, M_MEMBERS };
    static const struct span_name wanted[M_MEMBERS] = {
        [M_CONTENT] = {SLICE_INIT("content"), false},
        [M_THINKING] = {SLICE_INIT("thinking"), false},
        [M_CALLS] = {SLICE_INIT("tool_calls"), false},
    };
    struct span at[M_MEMBERS];
    struct span_object o;
    int64_t bytes = 0;
    if (spans_scan(message, wanted, M_MEMBERS, at, &o)) {
        return 0;
    }
    for (size_t i = 0; i < M_MEMBERS; i++) {
        bool is_said = at[i].kind == SPAN_STRING || at[i].kind == SPAN_ARRAY;
        bytes += is_said ? (int64_t)at[i].value.len - 2 : 0;
    }
    return bytes;
}

enum { L_MODEL, L_MESSAGE, L_DONE, L_REASON, L_ERROR, L_MEMBERS };

HOT enum err ollama_look(struct slice name, struct slice data, struct event_look *out)
{
    static const struct span_name wanted[L_MEMBERS] = {
        [L_MODEL] = {SLICE_INIT("model"), false}, [L_MESSAGE] = {SLICE_INIT("message"), false},
        [L_DONE] = {SLICE_INIT("done"), false},   [L_REASON] = {SLICE_INIT("done_reason"), false},
        [L_ERROR] = {SLICE_INIT("error"), false},
    };
    struct span at[L_MEMBERS];
    struct span_object o;
    (void)name;
    *out = (struct event_look){.is_done = false};
    enum err e = spans_scan(data, wanted, L_MEMBERS, at, &o);
    if (e) {
        return e;
    }
    out->is_error = read_is_given(&at[L_ERROR]);
    if (out->is_error) {
        out->error = at[L_ERROR].value;
        return OK;
    }
    if (at[L_MODEL].kind == SPAN_STRING && at[L_MODEL].is_string_plain) {
        out->model = span_plain(&at[L_MODEL]);
    }
    if (at[L_MESSAGE].kind == SPAN_OBJECT) {
        out->seen = 1;
        out->choice_count = 1;
        out->output_bytes = content_bytes(at[L_MESSAGE].value);
    }
    if (at[L_DONE].kind == SPAN_TRUE) {
        bool is_told = at[L_REASON].kind == SPAN_STRING && at[L_REASON].is_string_plain;
        out->finish = is_told ? ollama_finish(span_plain(&at[L_REASON])) : CHAT_FINISH_STOP;
        out->usage = data;
        out->seen = out->finished = 1;
        out->choice_count = 1;
    }
    return OK;
}

/* --- chunks ------------------------------------------------------------------------------------
 */

struct memory {
    int calls, thoughts;
    bool is_started, is_thinking;
};
static_assert(sizeof(struct memory) <= OLLAMA_DECODER_BYTES, "grows with its struct");

/* Thoughts that follow one another are one thought. */
static enum err take_thought(struct stream_decoder *d, struct slice text)
{
    struct memory *m = d->state;
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_THINKING, .text = text};
    if (text.len == 0) {
        return OK;
    }
    if (!m->is_thinking && m->thoughts < CALLS_MAX) {
        m->thoughts++;
    }
    m->is_thinking = true;
    chunk.block = m->thoughts - 1;
    return stream_pass(d, &chunk);
}

static enum err take_text(struct stream_decoder *d, struct slice text)
{
    struct memory *m = d->state;
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_TEXT, .text = text};
    if (text.len == 0) {
        return OK;
    }
    m->is_thinking = false;
    return stream_pass(d, &chunk);
}

static enum err take_call(struct stream_decoder *d, struct slice created_at, yyjson_val *v)
{
    struct memory *m = d->state;
    yyjson_val *function = json_get(v, "function");
    struct slice arguments = ollama_arguments(d->scratch, json_get(function, "arguments"));
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_TOOL_START,
                               .tool = m->calls,
                               .id = json_get_string(v, "id"),
                               .name = json_get_string(function, "name")};
    if (m->calls == CALLS_MAX) {
        return E_LIMIT;
    }
    if (chunk.id.len == 0) {
        chunk.id = ollama_call_id(d->scratch, created_at, (size_t)m->calls);
    }
    if (!chunk.id.ptr || !arguments.ptr) {
        return E_NOMEM;
    }
    m->is_thinking = false;
    m->calls++;
    enum err e = stream_pass(d, &chunk);
    struct chat_chunk rest = {.kind = CHAT_CHUNK_TOOL_ARGUMENTS,
                              .tool = chunk.tool,
                              .text = arguments.len ? arguments : SLICE("{}")};
    return e ? e : stream_pass(d, &rest);
}

static enum err take_message(struct stream_decoder *d, yyjson_val *root)
{
    yyjson_val *message = json_get(root, "message"), *v;
    struct slice created_at = json_get_string(root, "created_at");
    size_t i, max;
    enum err e = take_thought(d, json_get_string(message, "thinking"));
    e = e ? e : take_text(d, json_get_string(message, "content"));
    yyjson_arr_foreach(json_get(message, "tool_calls"), i, max, v)
    {
        e = e ? e : take_call(d, created_at, v);
    }
    return e;
}

static enum err take_end(struct stream_decoder *d, struct slice reason)
{
    const struct memory *m = d->state;
    struct chat_chunk finish = {.kind = CHAT_CHUNK_FINISH, .finish = ollama_finish(reason)};
    struct chat_chunk usage = {.kind = CHAT_CHUNK_USAGE, .usage = d->outcome->usage};
    struct chat_chunk end = {.kind = CHAT_CHUNK_END};
    if (m->calls && finish.finish != CHAT_FINISH_LENGTH) {
        finish.finish = CHAT_FINISH_TOOL_CALLS;
    } else if (finish.finish == CHAT_FINISH_NONE) {
        finish.finish = CHAT_FINISH_STOP; /* older builds give no reason */
    }
    enum err e = stream_pass(d, &finish);
    if (!e && d->outcome->has_usage) {
        e = stream_pass(d, &usage);
    }
    return e ? e : stream_pass(d, &end);
}

enum err ollama_decode_event(struct stream_decoder *d, struct slice data)
{
    struct memory *m = d->state;
    yyjson_val *root;
    enum err e = json_parse(d->scratch, data, &root, NULL);
    if (!e && !m->is_started) {
        struct chat_chunk chunk = {.kind = CHAT_CHUNK_START,
                                   .model = json_get_string(root, "model")};
        m->is_started = true;
        e = stream_pass(d, &chunk);
    }
    e = e ? e : take_message(d, root);
    if (e || !json_is_true(json_get(root, "done"))) {
        return e;
    }
    return take_end(d, json_get_string(root, "done_reason"));
}
