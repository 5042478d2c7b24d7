/* One event of the API's streams as neutral chunks.
 *
 * Calls come whole, or (where the client asked for it) by pieces of their arguments; either way
 * they go out whole. Calls and thoughts are numbered over the whole stream: parallel calls may come
 * in one event or in several. The finish goes out at the end, because a call after a finish would
 * change it, and because some servers tell it more than once.
 */
#include "core/check.h"
#include "dialect/gemini.h"

#include <assert.h>

enum { LANES = 16, NUMBER_MAX = 1023 };

/* What is remembered of one candidate. */
struct lane {
    struct gemini_partial *partial; /* of the call that is open */
    struct slice grounding;         /* JSON, as told last; the exchange's arena */
    int calls, thoughts;            /* how many began */
    enum chat_finish finish;
    bool is_seen, has_call;
    bool is_thinking; /* the thought at hand goes on */
    bool is_open;     /* the last call goes on */
};

struct memory {
    struct lane lanes[LANES];
    struct slice id;
    bool is_started;
};
static_assert(sizeof(struct memory) <= GEMINI_DECODER_BYTES, "grows with its struct");

/* One event at work. */
struct at {
    struct stream_decoder *d;
    struct memory *m;
    struct lane *lane;
    int choice;
};

static enum err send(const struct at *at, struct chat_chunk *chunk)
{
    chunk->choice = at->choice;
    chunk->provider = chunk->provider.len ? chunk->provider : GEMINI_NAME;
    return at->d->on_chunk(at->d->ctx, chunk);
}

/* --- calls -------------------------------------------------------------------------------------
 */

static enum err send_arguments(const struct at *at, struct slice text)
{
    struct chat_chunk chunk = {
        .kind = CHAT_CHUNK_TOOL_ARGUMENTS, .tool = at->lane->calls - 1, .text = text};
    at->lane->is_open = false;
    at->lane->partial = NULL;
    return send(at, &chunk);
}

static enum err close_call(const struct at *at)
{
    struct text t = text_growing(at->d->scratch);
    if (!at->lane->is_open) {
        return OK;
    }
    gemini_partial_write(at->lane->partial, &t);
    return t.is_full ? E_NOMEM : send_arguments(at, text_slice(&t));
}

static enum err open_call(const struct at *at, yyjson_val *call, struct slice name,
                          struct slice proof)
{
    struct lane *lane = at->lane;
    struct chat_part proven = {.signature = SLICE_NONE};
    enum err e = close_call(at);
    if (e || lane->calls == NUMBER_MAX) {
        return e ? e : E_LIMIT;
    }
    if (proof.len) {
        gemini_take_proof(at->d->scratch, proof, &proven);
    }
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_TOOL_START,
                               .tool = lane->calls,
                               .id = json_get_string(call, "id"),
                               .name = gemini_real_name(at->d->scratch, name),
                               .signature = proven.signature,
                               .provider = proven.provider};
    if (!chunk.id.len) {
        chunk.id = gemini_call_id(at->d->scratch, at->m->id, at->choice, (size_t)lane->calls);
    }
    lane->calls++;
    lane->has_call = lane->is_open = true;
    return chunk.id.ptr ? send(at, &chunk) : E_NOMEM;
}

static enum err take_call(const struct at *at, yyjson_val *part)
{
    yyjson_val *call = gemini_get(part, "functionCall");
    yyjson_val *args = json_get(call, "args");
    yyjson_val *pieces = gemini_get(call, "partialArgs");
    struct slice name = json_get_string(call, "name");
    enum err e = OK;
    if (name.len) {
        e = open_call(at, call, name, gemini_get_string(part, "thoughtSignature"));
    }
    if (e || !at->lane->is_open) {
        return e; /* the end of a call that has ended */
    }
    if (pieces) {
        e = gemini_partial_add(at->d->arena, &at->lane->partial, pieces);
    }
    if (e || json_is_true(gemini_get(call, "willContinue"))) {
        return e;
    }
    if (yyjson_is_obj(args) && !at->lane->partial) {
        struct slice text = json_text(at->d->scratch, args);
        return text.ptr ? send_arguments(at, text) : E_NOMEM;
    }
    return close_call(at);
}

/* --- other parts -------------------------------------------------------------------------------
 */

static enum err send_thought(const struct at *at, const struct chat_part *p)
{
    struct lane *lane = at->lane;
    if (!lane->is_thinking) {
        lane->thoughts = lane->thoughts < NUMBER_MAX ? lane->thoughts + 1 : NUMBER_MAX;
    }
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_THINKING,
                               .block = lane->thoughts - 1,
                               .text = p->text,
                               .signature = p->signature,
                               .data = p->data,
                               .provider = p->provider};
    lane->is_thinking = !p->signature.len && !p->data.len;
    return p->text.len || p->signature.len || p->data.len ? send(at, &chunk) : OK;
}

/* Pictures, and what the API's own tools did, as the part was. */
static enum err send_opaque(const struct at *at, yyjson_val *v, struct slice name)
{
    struct chat_chunk chunk = {
        .kind = CHAT_CHUNK_OPAQUE, .name = name, .text = json_text(at->d->scratch, v)};
    return chunk.text.ptr ? send(at, &chunk) : E_NOMEM;
}

static enum err take_part(const struct at *at, yyjson_val *v)
{
    struct fault unused = {.kind = FAULT_NONE};
    struct decoder d = {.arena = at->d->scratch, .fault = &unused};
    struct chat_part parts[2];
    size_t count = 0;
    d.dropped = text_growing(at->d->scratch);
    if (gemini_get(v, "functionCall")) {
        at->lane->is_thinking = false;
        return take_call(at, v);
    }
    enum err e = gemini_take_part(&d, v, parts, &count);
    if (e) {
        return e == E_SYNTAX ? OK : e; /* a part without anything in it */
    }
    for (size_t i = 0; i < count && !e; i++) {
        const struct chat_part *p = &parts[i];
        struct chat_chunk chunk = {.kind = CHAT_CHUNK_TEXT, .text = p->text};
        if (p->kind == CHAT_THINKING) {
            e = send_thought(at, p);
        } else if (p->kind == CHAT_TEXT) {
            at->lane->is_thinking = at->lane->is_thinking && !p->text.len;
            e = p->text.len ? send(at, &chunk) : OK;
        } else {
            bool is_media = p->kind != CHAT_OPAQUE;
            e = send_opaque(at, v, is_media ? SLICE("inlineData") : p->name);
        }
    }
    return e;
}

/* --- candidates --------------------------------------------------------------------------------
 */

static enum err take_candidate(struct stream_decoder *d, yyjson_val *candidate)
{
    struct memory *m = d->state;
    int64_t index = 0;
    size_t i, max;
    yyjson_val *part;
    (void)json_i64(json_get(candidate, "index"), &index);
    struct at at = {.d = d, .m = m, .choice = index < 0 || index >= LANES ? LANES - 1 : (int)index};
    at.lane = &m->lanes[at.choice];
    at.lane->is_seen = true;
    yyjson_val *parts = json_get(json_get(candidate, "content"), "parts");
    yyjson_arr_foreach(parts, i, max, part)
    {
        enum err e = take_part(&at, part);
        if (e) {
            return e;
        }
    }
    yyjson_val *grounding = json_get(candidate, "groundingMetadata");
    if (yyjson_obj_size(grounding)) {
        at.lane->grounding = json_text(d->arena, grounding);
        if (!at.lane->grounding.ptr) {
            return E_NOMEM;
        }
    }
    enum chat_finish finish = gemini_finish(json_get_string(candidate, "finishReason"));
    if (finish != CHAT_FINISH_NONE) {
        at.lane->finish = finish;
    }
    return OK;
}

/* A prompt that was blocked is a refusal. */
static enum err take_feedback(struct stream_decoder *d, yyjson_val *root)
{
    struct memory *m = d->state;
    yyjson_val *feedback = json_get(root, "promptFeedback");
    struct slice reason = json_get_string(feedback, "blockReason");
    struct slice message = json_get_string(feedback, "blockReasonMessage");
    const struct at at = {.d = d, .m = m, .lane = &m->lanes[0]};
    if (!reason.len || yyjson_arr_size(json_get(root, "candidates"))) {
        return OK;
    }
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_REFUSAL, .text = message.len ? message : reason};
    at.lane->is_seen = true;
    at.lane->finish = CHAT_FINISH_FILTER;
    return send(&at, &chunk);
}

enum err gemini_decode_event(struct stream_decoder *d, struct slice data)
{
    struct memory *m = d->state;
    yyjson_val *root, *v;
    size_t i, max;
    enum err e = json_parse(d->scratch, data, &root, NULL);
    if (e) {
        return e;
    }
    if (!m->is_started) {
        struct chat_chunk chunk = {.kind = CHAT_CHUNK_START,
                                   .id = json_get_string(root, "responseId"),
                                   .model = json_get_string(root, "modelVersion")};
        const struct at at = {.d = d, .m = m};
        m->is_started = true;
        m->id = arena_dup(d->arena, chunk.id);
        e = m->id.ptr ? send(&at, &chunk) : E_NOMEM;
    }
    yyjson_val *candidates = json_get(root, "candidates");
    yyjson_arr_foreach(candidates, i, max, v)
    {
        e = e ? e : take_candidate(d, v);
    }
    return e ? e : take_feedback(d, root);
}

/* --- the end -----------------------------------------------------------------------------------
 */

static enum err send_grounding(const struct at *at)
{
    struct text t = text_growing(at->d->scratch);
    yyjson_val *candidate;
    TEXT_ADD(&t, "{\"groundingMetadata\":");
    text_add(&t, at->lane->grounding);
    TEXT_ADD(&t, "}");
    enum err e = t.is_full ? E_NOMEM : json_parse(at->d->scratch, text_slice(&t), &candidate, NULL);
    if (e) {
        return e;
    }
    struct chat_chunk citations = {.kind = CHAT_CHUNK_CITATION,
                                   .text = gemini_citations(at->d->scratch, candidate, SLICE_NONE)};
    struct chat_chunk whole = {
        .kind = CHAT_CHUNK_OPAQUE, .name = SLICE("groundingMetadata"), .text = at->lane->grounding};
    e = citations.text.len ? send(at, &citations) : OK;
    return e ? e : send(at, &whole);
}

enum err gemini_decode_end(struct stream_decoder *d)
{
    struct memory *m = d->state;
    enum err e = OK;
    for (int i = 0; i < LANES && !e; i++) {
        struct lane *lane = &m->lanes[i];
        const struct at at = {.d = d, .m = m, .lane = lane, .choice = i};
        if (!lane->is_seen) {
            continue;
        }
        struct chat_chunk chunk = {.kind = CHAT_CHUNK_FINISH, .finish = lane->finish};
        if (lane->finish == CHAT_FINISH_STOP && lane->has_call) {
            chunk.finish = CHAT_FINISH_TOOL_CALLS; /* told as STOP (trap 12) */
        }
        e = close_call(&at);
        e = e || !lane->grounding.len ? e : send_grounding(&at);
        e = e ? e : send(&at, &chunk);
    }
    struct chat_chunk usage = {.kind = CHAT_CHUNK_USAGE, .usage = d->outcome->usage};
    const struct at at = {.d = d, .m = m};
    return e || !d->outcome->usage.is_known ? e : send(&at, &usage);
}
