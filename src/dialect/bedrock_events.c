/* One event of ConverseStream: what it tells, and as neutral chunks.
 *
 * Events are told apart by their members; each frame is one, and none says that it is the last, so
 * metadata, which comes after messageStop, ends the stream. Blocks are numbered by the API; only
 * calls are announced, texts and thoughts begin with their first delta.
 */
#include "core/check.h"
#include "dialect/bedrock.h"

#include <assert.h>

enum { BLOCKS_MAX = 1024, CALLS_MAX = 1023 };

/* --- what it tells -----------------------------------------------------------------------------
 */

/* Tokens that the cache stored, by how long. */
static void read_details(struct slice array, struct usage *usage)
{
    static const struct span_name wanted[] = {{SLICE_INIT("ttl"), false},
                                              {SLICE_INIT("inputTokens"), false}};
    struct span_cursor c;
    struct span m, at[ARRAY_LEN(wanted)];
    struct span_object o;
    int64_t hour = 0;
    if (span_skim(&c, array)) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        if (m.kind == SPAN_OBJECT && spans_scan(m.value, wanted, ARRAY_LEN(wanted), at, &o) == OK &&
            at[0].kind == SPAN_STRING && slice_eq(at[0].value, SLICE("\"1h\""))) {
            hour = i64_add_sat(hour, read_tokens(&at[1]));
        }
    }
    usage->cache_write_1h = i64_min(hour, usage->cache_write_5m);
    usage->cache_write_5m -= usage->cache_write_1h;
}

/* inputTokens leaves out what the cache read and wrote, as ours. outputTokens holds the thoughts,
 * which are not told apart. */
void bedrock_read_usage(struct slice object, struct usage *usage)
{
    enum { U_INPUT, U_OUTPUT, U_READ, U_WRITE, U_DETAILS, U_READ_TOO, U_WRITE_TOO, U_MEMBERS };
    static const struct span_name wanted[U_MEMBERS] = {
        [U_INPUT] = {SLICE_INIT("inputTokens"), false},
        [U_OUTPUT] = {SLICE_INIT("outputTokens"), false},
        [U_READ] = {SLICE_INIT("cacheReadInputTokens"), false},
        [U_WRITE] = {SLICE_INIT("cacheWriteInputTokens"), false},
        [U_DETAILS] = {SLICE_INIT("cacheDetails"), false},
        [U_READ_TOO] = {SLICE_INIT("cacheReadInputTokenCount"), false},
        [U_WRITE_TOO] = {SLICE_INIT("cacheWriteInputTokenCount"), false},
    };
    struct span at[U_MEMBERS];
    struct span_object o;
    if (object.len == 0 || spans_scan(object, wanted, U_MEMBERS, at, &o)) {
        return;
    }
    *usage = (struct usage){
        .input = read_tokens(&at[U_INPUT]),
        .output = read_tokens(&at[U_OUTPUT]),
        .cache_read = read_tokens(&at[at[U_READ].kind == SPAN_NUMBER ? U_READ : U_READ_TOO]),
        .cache_write_5m = read_tokens(&at[at[U_WRITE].kind == SPAN_NUMBER ? U_WRITE : U_WRITE_TOO]),
        .is_known = at[U_INPUT].kind == SPAN_NUMBER || at[U_OUTPUT].kind == SPAN_NUMBER,
    };
    if (at[U_DETAILS].kind == SPAN_ARRAY) {
        read_details(at[U_DETAILS].value, usage);
    }
}

/* Bytes of what the model said in a delta or at a call's start: its strings, however deep, but
 * ids, signatures and what is hidden. */
static int64_t content_bytes(struct slice object, int depth)
{
    static const struct slice texts[] = {SLICE_INIT("text"), SLICE_INIT("input"),
                                         SLICE_INIT("name")};
    struct span_cursor c;
    struct span m;
    int64_t bytes = 0;
    if (span_skim(&c, object) || !c.is_object) {
        return 0;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        if (m.kind == SPAN_OBJECT && depth < 2) {
            bytes = i64_add_sat(bytes, content_bytes(m.value, depth + 1));
        }
        for (size_t i = 0; i < ARRAY_LEN(texts) && m.kind == SPAN_STRING; i++) {
            bytes += slice_eq(read_key(&m), texts[i]) ? (int64_t)m.value.len - 2 : 0;
        }
    }
    return bytes;
}

enum { L_ROLE, L_START, L_DELTA, L_STOP, L_USAGE, L_MEMBERS };

HOT enum err bedrock_look(struct slice name, struct slice data, struct event_look *out)
{
    static const struct span_name wanted[L_MEMBERS] = {[L_ROLE] = {SLICE_INIT("role"), false},
                                                       [L_START] = {SLICE_INIT("start"), false},
                                                       [L_DELTA] = {SLICE_INIT("delta"), false},
                                                       [L_STOP] = {SLICE_INIT("stopReason"), false},
                                                       [L_USAGE] = {SLICE_INIT("usage"), false}};
    struct span at[L_MEMBERS];
    struct span_object o;
    (void)name;
    *out = (struct event_look){.is_done = false};
    enum err e = spans_scan(data, wanted, L_MEMBERS, at, &o);
    if (e) {
        return e;
    }
    if (at[L_DELTA].kind == SPAN_OBJECT) {
        out->output_bytes = content_bytes(at[L_DELTA].value, 0);
    } else if (at[L_START].kind == SPAN_OBJECT) {
        out->output_bytes = content_bytes(at[L_START].value, 0);
    } else if (at[L_STOP].kind == SPAN_STRING && at[L_STOP].is_string_plain) {
        out->finish = bedrock_finish(span_plain(&at[L_STOP]));
        out->finished = out->finish != CHAT_FINISH_NONE;
    }
    if (at[L_USAGE].kind == SPAN_OBJECT) {
        out->usage = at[L_USAGE].value;
    } else {
        out->seen = 1;
    }
    out->choice_count = out->seen;
    return OK;
}

/* --- chunks ------------------------------------------------------------------------------------
 */

enum block_kind { BLOCK_THINKING, BLOCK_CALL, BLOCK_JSON };

struct block {
    int64_t index; /* the API's */
    enum block_kind kind;
    int number; /* ours, of calls and thoughts */
    bool has_input;
    struct block *next;
};

struct memory {
    struct block *open, *spare; /* the newest first */
    int blocks, calls, thoughts;
    bool is_started, has_call, has_json, is_stopped, has_metadata;
};
static_assert(sizeof(struct memory) <= BEDROCK_DECODER_BYTES, "grows with its struct");

static struct block *find_block(const struct memory *m, int64_t index)
{
    struct block *b = m->open;
    while (b && b->index != index) {
        b = b->next;
    }
    return b;
}

static enum err open_block(struct stream_decoder *d, int64_t index, enum block_kind kind,
                           struct block **out)
{
    struct memory *m = d->state;
    struct block *b = m->spare;
    if (b) {
        m->spare = b->next;
    } else if (m->blocks == BLOCKS_MAX) {
        return E_LIMIT;
    } else {
        b = ARENA_NEW(d->arena, struct block);
        m->blocks++;
    }
    if (!b) {
        return E_NOMEM;
    }
    *b = (struct block){.index = index, .kind = kind, .next = m->open};
    m->open = b;
    *out = b;
    return OK;
}

static enum err start_call(struct stream_decoder *d, int64_t index, yyjson_val *call)
{
    struct memory *m = d->state;
    struct block *b = find_block(m, index);
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_TOOL_START,
                               .id = json_get_string(call, "toolUseId"),
                               .name = json_get_string(call, "name")};
    enum err e = b ? E_SYNTAX : open_block(d, index, BLOCK_CALL, &b);
    if (e) {
        return e;
    }
    if (slice_eq(chunk.name, ANTHROPIC_JSON_TOOL)) {
        b->kind = BLOCK_JSON;
        m->has_json = true;
        return OK;
    }
    if (m->calls == CALLS_MAX) {
        return E_LIMIT;
    }
    m->has_call = true;
    b->number = chunk.tool = m->calls++;
    return stream_pass(d, &chunk);
}

static enum err take_input(struct stream_decoder *d, int64_t index, struct slice text)
{
    struct block *b = find_block(d->state, index);
    if (text.len == 0) {
        return OK;
    }
    if (!b) {
        return E_SYNTAX; /* of a call that never began */
    }
    b->has_input = true;
    return b->kind == BLOCK_JSON ? stream_pass_text(d, CHAT_CHUNK_TEXT, 0, text)
                                 : stream_pass_text(d, CHAT_CHUNK_TOOL_ARGUMENTS, b->number, text);
}

static enum err take_thought(struct stream_decoder *d, int64_t index, yyjson_val *v)
{
    struct memory *m = d->state;
    struct block *b = find_block(m, index);
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_THINKING,
                               .text = json_get_string(v, "text"),
                               .signature = json_get_string(v, "signature"),
                               .data = json_get_string(v, "redactedContent")};
    if (!b) {
        enum err e = open_block(d, index, BLOCK_THINKING, &b);
        if (e) {
            return e;
        }
        b->number = m->thoughts < CALLS_MAX ? m->thoughts++ : CALLS_MAX;
    }
    chunk.block = b->number;
    return chunk.text.len || chunk.signature.len || chunk.data.len ? stream_pass(d, &chunk) : OK;
}

static enum err take_delta(struct stream_decoder *d, int64_t index, yyjson_val *delta)
{
    yyjson_val *call = json_get(delta, "toolUse"), *thought = json_get(delta, "reasoningContent");
    yyjson_val *citation = json_get(delta, "citation");
    if (call) {
        return take_input(d, index, json_get_string(call, "input"));
    }
    if (thought) {
        return take_thought(d, index, thought);
    }
    if (citation) {
        return stream_pass_text(d, CHAT_CHUNK_CITATION, 0, json_text(d->scratch, citation));
    }
    return stream_pass_text(d, CHAT_CHUNK_TEXT, 0, json_get_string(delta, "text"));
}

/* A call that streamed no input has one all the same. */
static enum err stop_block(struct stream_decoder *d, int64_t index)
{
    struct memory *m = d->state;
    struct block **at = &m->open;
    while (*at && (*at)->index != index) {
        at = &(*at)->next;
    }
    struct block *b = *at;
    if (!b) {
        return OK; /* of a text */
    }
    *at = b->next;
    b->next = m->spare;
    m->spare = b;
    if (b->has_input || b->kind == BLOCK_THINKING) {
        return OK;
    }
    return b->kind == BLOCK_JSON
               ? stream_pass_text(d, CHAT_CHUNK_TEXT, 0, SLICE("{}"))
               : stream_pass_text(d, CHAT_CHUNK_TOOL_ARGUMENTS, b->number, SLICE("{}"));
}

static enum err send_end(struct stream_decoder *d)
{
    struct memory *m = d->state;
    struct chat_chunk usage = {.kind = CHAT_CHUNK_USAGE, .usage = d->outcome->usage};
    struct chat_chunk end = {.kind = CHAT_CHUNK_END};
    if (!m->is_stopped || !m->has_metadata) {
        return OK;
    }
    enum err e = d->outcome->has_usage ? stream_pass(d, &usage) : OK;
    return e ? e : stream_pass(d, &end);
}

static enum err take_stop(struct stream_decoder *d, struct slice reason)
{
    struct memory *m = d->state;
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_FINISH, .finish = bedrock_finish(reason)};
    enum err e = OK;
    while (m->open && !e) {
        e = stop_block(d, m->open->index);
    }
    if (m->has_json && !m->has_call && chunk.finish == CHAT_FINISH_TOOL_CALLS) {
        chunk.finish = CHAT_FINISH_STOP; /* the call was the answer */
    }
    if (!e && !m->is_stopped) {
        e = stream_pass(d, &chunk);
    }
    m->is_stopped = true;
    return e ? e : send_end(d);
}

enum err bedrock_decode_event(struct stream_decoder *d, struct slice data)
{
    struct memory *m = d->state;
    yyjson_val *root;
    int64_t index = 0;
    enum err e = json_parse(d->scratch, data, &root, NULL);
    if (e) {
        return e;
    }
    yyjson_val *start = json_get(root, "start"), *delta = json_get(root, "delta");
    struct slice stop = json_get_string(root, "stopReason");
    bool has_index = json_i64(json_get(root, "contentBlockIndex"), &index);
    if (!m->is_started) {
        struct chat_chunk chunk = {.kind = CHAT_CHUNK_START};
        m->is_started = true;
        e = stream_pass(d, &chunk);
    }
    if (e) {
        return e;
    }
    if (json_get(start, "toolUse")) {
        return start_call(d, index, json_get(start, "toolUse"));
    }
    if (delta) {
        return take_delta(d, index, delta);
    }
    if (stop.len) {
        return take_stop(d, stop);
    }
    if (json_get(root, "usage")) {
        m->has_metadata = true;
        return send_end(d);
    }
    return has_index && !start ? stop_block(d, index) : OK; /* messageStart; what is new */
}
