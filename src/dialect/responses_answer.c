/* A whole Response as a neutral answer. */
#include "dialect/responses.h"

void responses_take_proof(struct chat_part *p, struct slice proof)
{
    static const struct slice whole = SLICE_INIT("data:");
    size_t colon = slice_find(proof, ':');
    bool is_whole = p->text.len == 0;
    if (proof.len == 0) {
        return;
    }
    p->provider = RESPONSES_MAKER;
    if (colon < proof.len) { /* base64 holds no colon: "anthropic:..." or "data:anthropic:..." */
        is_whole = slice_starts(proof, whole);
        proof = is_whole ? slice_from(proof, whole.len) : proof;
        colon = slice_find(proof, ':');
        p->provider = slice_head(proof, colon);
        proof = slice_from(proof, colon + 1);
    }
    if (is_whole) {
        p->data = proof;
    } else {
        p->signature = proof;
    }
}

enum chat_finish responses_finish(struct slice status, struct slice reason, bool has_call)
{
    if (slice_eq(status, SLICE("failed")) || slice_eq(status, SLICE("cancelled"))) {
        return CHAT_FINISH_ERROR;
    }
    if (slice_eq(status, SLICE("incomplete"))) {
        return slice_eq(reason, SLICE("content_filter")) ? CHAT_FINISH_FILTER
               : slice_eq(reason, SLICE("steered"))      ? CHAT_FINISH_STOP
               : slice_eq(reason, SLICE("max_messages")) ? CHAT_FINISH_STOP
                                                         : CHAT_FINISH_LENGTH;
    }
    if (status.len && !slice_eq(status, SLICE("completed"))) {
        return CHAT_FINISH_NONE; /* queued, in_progress */
    }
    return has_call ? CHAT_FINISH_TOOL_CALLS : CHAT_FINISH_STOP;
}

static enum err take_output(struct decoder *d, yyjson_val *output, struct chat_choice *out)
{
    size_t i, max, room = 1;
    yyjson_val *item;
    yyjson_arr_foreach(output, i, max, item)
    {
        room += responses_item_size(item);
    }
    out->parts = arena_array(d->arena, room, sizeof(*out->parts));
    if (!out->parts) {
        return read_no_memory(d);
    }
    yyjson_arr_foreach(output, i, max, item)
    {
        d->place = arena_printf(d->arena, "output[%zu]", i);
        if (responses_take_item(d, item, out->parts, &out->part_count)) {
            return d->failed;
        }
    }
    for (i = 0; i < out->part_count; i++) { /* the client knows its own custom tools */
        struct chat_part *p = &out->parts[i];
        p->provider = p->is_custom ? SLICE_NONE : p->provider;
    }
    return OK;
}

static bool has_call(const struct chat_choice *c)
{
    for (size_t i = 0; i < c->part_count; i++) {
        if (c->parts[i].kind == CHAT_TOOL_CALL) {
            return true;
        }
    }
    return false;
}

enum err responses_decode_response(struct arena *a, struct slice body, struct chat_response *out)
{
    struct fault unused = {.kind = FAULT_NONE};
    struct decoder d = {.arena = a, .fault = &unused, .dropped = text_growing(a)};
    yyjson_val *root;
    enum err e = json_parse(a, slice_trim(body), &root, NULL);
    yyjson_val *output = e ? NULL : json_get(root, "output");
    if (e || !yyjson_is_arr(output)) {
        return e ? e : E_SYNTAX;
    }
    struct chat_choice *c = ARENA_NEW(a, struct chat_choice);
    if (!c) {
        return E_NOMEM;
    }
    if (take_output(&d, output, c)) {
        return d.failed;
    }
    c->finish = responses_finish(json_get_string(root, "status"),
                                 json_get_string(json_get(root, "incomplete_details"), "reason"),
                                 has_call(c));
    *out = (struct chat_response){.id = json_get_string(root, "id"),
                                  .model = json_get_string(root, "model"),
                                  .service_tier = json_get_string(root, "service_tier"),
                                  .choices = c,
                                  .choice_count = 1};
    (void)json_i64(json_get(root, "created_at"), &out->created_unix_s);
    openai_read_usage(read_json(&d, json_get(root, "usage")), &out->usage);
    out->has_usage = out->usage.is_known;
    return d.failed;
}
