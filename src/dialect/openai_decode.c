#include "core/check.h"
#include "dialect/openai.h"
#include "dialect/write.h"

static enum err refuse_message(struct decoder *d, const char *member, const char *what)
{
    struct slice param =
        arena_printf(d->arena, "messages[%zu]%s%s", d->message, *member ? "." : "", member);
    openai_refuse(d->arena, d->fault, NULL, "invalid_value", "Invalid value for '%.*s': %s.",
                  SLICE_ARG(param), what);
    d->fault->param = param;
    d->failed = E_SYNTAX;
    return E_SYNTAX;
}

void openai_take_url(struct chat_part *part, struct slice url)
{
    static const struct slice scheme = SLICE_INIT("data:"), mark = SLICE_INIT(";base64");
    size_t comma = slice_find(url, ',');
    struct slice head = slice_head(url, comma);
    if (!slice_starts(url, scheme) || comma == url.len || !slice_ends(head, mark)) {
        part->url = url;
        return;
    }
    head = slice_from(slice_head(head, head.len - mark.len), scheme.len);
    part->media_type = slice_head(head, slice_find(head, ';'));
    part->data = slice_from(url, comma + 1);
}

static enum err take_file(struct decoder *d, yyjson_val *file, struct chat_part *part)
{
    part->kind = CHAT_FILE;
    part->file_id = json_get_string(file, "file_id");
    part->provider = part->file_id.len ? SLICE("openai") : SLICE_NONE;
    part->name = json_get_string(file, "filename");
    struct slice data = json_get_string(file, "file_data");
    if (data.len) {
        openai_take_url(part, data);
    }
    if (!part->file_id.len && !data.len) {
        return refuse_message(d, "content", "a file needs file_id or file_data");
    }
    return OK;
}

static enum err take_part(struct decoder *d, yyjson_val *v, struct chat_part *part)
{
    struct slice type = json_get_string(v, "type");
    part->cache_marker = read_json(d, json_get(v, "cache_control"));
    if (!part->cache_marker.len) {
        part->cache_marker = read_json(d, json_get(v, "prompt_cache_breakpoint"));
    }
    if (slice_eq(type, SLICE("text"))) {
        part->kind = CHAT_TEXT;
        part->text = json_get_string(v, "text");
        return part->text.ptr ? OK : refuse_message(d, "content", "a text part needs text");
    }
    if (slice_eq(type, SLICE("refusal"))) {
        part->kind = CHAT_REFUSAL;
        part->text = json_get_string(v, "refusal");
        return OK;
    }
    if (slice_eq(type, SLICE("image_url"))) {
        yyjson_val *image = json_get(v, "image_url");
        struct slice url =
            yyjson_is_str(image) ? json_string(image) : json_get_string(image, "url");
        part->kind = CHAT_IMAGE;
        part->detail = json_get_string(image, "detail");
        openai_take_url(part, url);
        return url.len ? OK : refuse_message(d, "content", "an image needs a url");
    }
    if (slice_eq(type, SLICE("input_audio"))) {
        yyjson_val *audio = json_get(v, "input_audio");
        part->kind = CHAT_AUDIO;
        part->media_type = json_get_string(audio, "format");
        part->data = json_get_string(audio, "data");
        return part->data.len ? OK : refuse_message(d, "content", "audio needs data");
    }
    if (slice_eq(type, SLICE("file"))) {
        return take_file(d, json_get(v, "file"), part);
    }
    return refuse_message(d, "content",
                          "a part is one of text, image_url, input_audio, file, refusal");
}

/* Content that is a string, a list of parts or nothing, into parts[0..]; room for
 * read_content_size() of them. */
static enum err take_content(struct decoder *d, yyjson_val *content, struct chat_part *parts,
                             size_t *count)
{
    if (json_is_none(content)) {
        return OK;
    }
    if (yyjson_is_str(content)) {
        parts[(*count)++] = (struct chat_part){.kind = CHAT_TEXT, .text = json_string(content)};
        return OK;
    }
    if (!yyjson_is_arr(content)) {
        return refuse_message(d, "content", "expected a string or an array of parts");
    }
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(content, i, max, v)
    {
        if (!yyjson_is_obj(v)) {
            return refuse_message(d, "content", "expected an array of objects");
        }
        if (take_part(d, v, &parts[(*count)++])) {
            return d->failed;
        }
    }
    return OK;
}

struct slice openai_call_proof(yyjson_val *call)
{
    yyjson_val *google = json_get(json_get(call, "extra_content"), "google");
    return json_get_string(google, "thought_signature");
}

static enum err take_call(struct decoder *d, yyjson_val *call, struct chat_part *part)
{
    yyjson_val *function = json_get(call, "function");
    yyjson_val *custom = json_get(call, "custom");
    *part = (struct chat_part){.kind = CHAT_TOOL_CALL, .id = json_get_string(call, "id")};
    part->is_custom = !function && custom;
    part->name = json_get_string(part->is_custom ? custom : function, "name");
    yyjson_val *arguments =
        part->is_custom ? json_get(custom, "input") : json_get(function, "arguments");
    part->text = json_string(arguments);
    if (yyjson_is_obj(arguments)) {
        part->text = json_text(d->arena, arguments); /* servers that do not stringify */
    }
    part->signature = openai_call_proof(call);
    part->provider = part->signature.len ? SLICE("gemini") : SLICE_NONE;
    return part->name.ptr ? OK : refuse_message(d, "tool_calls", "a call needs a name");
}

/* One element of reasoning_details, or several: a client that strings the deltas of a stream
 * together sends a thought back in the pieces that it came in, the last of which is signed. */
struct thought {
    struct chat_part part;
    struct text text;
    int64_t index; /* -1: none */
};

static bool is_proven(const struct thought *t)
{
    return t->part.signature.len || t->part.data.len;
}

static enum err end_thought(struct decoder *d, struct thought *t, struct chat_part *parts,
                            size_t *count)
{
    if (t->part.provider.len && is_proven(t)) {
        t->part.text = text_slice(&t->text);
        parts[(*count)++] = t->part;
    }
    return t->text.is_full ? read_no_memory(d) : OK;
}

static enum err take_details(struct decoder *d, yyjson_val *details, struct chat_part *parts,
                             size_t *count)
{
    size_t i, max;
    yyjson_val *v;
    struct thought t = {.index = -1};
    yyjson_arr_foreach(details, i, max, v)
    {
        struct slice provider = openai_format_provider(json_get_string(v, "format"));
        int64_t index = -1;
        (void)json_i64(json_get(v, "index"), &index);
        bool is_next_piece =
            index >= 0 && index == t.index && !is_proven(&t) && slice_eq(provider, t.part.provider);
        if (!is_next_piece) {
            if (end_thought(d, &t, parts, count)) {
                return d->failed;
            }
            t = (struct thought){.part = {.kind = CHAT_THINKING, .provider = provider},
                                 .text = text_growing(d->arena),
                                 .index = index};
        }
        text_add(&t.text, json_get_string(v, "text"));
        t.part.signature = json_get_string(v, "signature");
        t.part.data = json_get_string(v, "data");
    }
    return end_thought(d, &t, parts, count);
}

/* Thoughts that their maker signed: OpenRouter's reasoning_details or LiteLLM's thinking_blocks,
 * which only Claude fills. */
static enum err take_proven(struct decoder *d, yyjson_val *m, struct chat_part *parts,
                            size_t *count)
{
    size_t i, max;
    yyjson_val *v;
    yyjson_val *blocks = json_get(m, "thinking_blocks");
    if (take_details(d, json_get(m, "reasoning_details"), parts, count) || *count) {
        return d->failed;
    }
    yyjson_arr_foreach(blocks, i, max, v)
    {
        struct chat_part part = {.kind = CHAT_THINKING,
                                 .text = json_get_string(v, "thinking"),
                                 .signature = json_get_string(v, "signature"),
                                 .data = json_get_string(v, "data"),
                                 .provider = SLICE("anthropic")};
        if (part.signature.len || part.data.len) {
            parts[(*count)++] = part;
        }
    }
    return OK;
}

/* Reasoning in whatever member a compatible server or client puts it. */
static enum err take_thinking(struct decoder *d, yyjson_val *m, struct chat_part *parts,
                              size_t *count)
{
    struct slice text = json_get_string(m, "reasoning_content");
    size_t before = *count;
    if (take_proven(d, m, parts, count)) {
        return d->failed;
    }
    if (!text.len) {
        text = json_get_string(m, "reasoning");
    }
    if (text.len && *count == before) {
        parts[(*count)++] = (struct chat_part){.kind = CHAT_THINKING, .text = text};
    }
    return OK;
}

/* thinking + content + refusal + calls + old-style call */
static size_t size_of_assistant(yyjson_val *m)
{
    return 1 + yyjson_arr_size(json_get(m, "reasoning_details")) +
           yyjson_arr_size(json_get(m, "thinking_blocks")) +
           read_content_size(json_get(m, "content")) + 1 +
           yyjson_arr_size(json_get(m, "tool_calls")) + 1;
}

static enum err take_assistant(struct decoder *d, yyjson_val *m, struct chat_part *parts,
                               size_t *count)
{
    if (take_thinking(d, m, parts, count) ||
        take_content(d, json_get(m, "content"), parts, count)) {
        return d->failed;
    }
    struct slice refusal = json_get_string(m, "refusal");
    if (refusal.len) {
        parts[(*count)++] = (struct chat_part){.kind = CHAT_REFUSAL, .text = refusal};
    }
    size_t i, max;
    yyjson_val *call;
    yyjson_val *calls = json_get(m, "tool_calls");
    yyjson_arr_foreach(calls, i, max, call)
    {
        if (take_call(d, call, &parts[(*count)++])) {
            return d->failed;
        }
    }
    yyjson_val *old = json_get(m, "function_call");
    if (yyjson_is_obj(old)) {
        parts[(*count)++] = (struct chat_part){.kind = CHAT_TOOL_CALL,
                                               .name = json_get_string(old, "name"),
                                               .text = json_get_string(old, "arguments")};
    }
    return OK;
}

static enum err take_result(struct decoder *d, yyjson_val *m, struct chat_message *out)
{
    struct chat_part *part = ARENA_NEW(d->arena, struct chat_part);
    if (!part) {
        return read_no_memory(d);
    }
    *part = (struct chat_part){.kind = CHAT_TOOL_RESULT, .id = json_get_string(m, "tool_call_id")};
    part->name = json_get_string(m, "name");
    yyjson_val *content = json_get(m, "content");
    part->parts = arena_array(d->arena, read_content_size(content) + 1, sizeof(*part->parts));
    if (!part->parts) {
        return read_no_memory(d);
    }
    out->parts = part;
    out->part_count = 1;
    return take_content(d, content, part->parts, &part->part_count);
}

static bool role_of(struct slice name, enum chat_role *out)
{
    static const struct {
        struct slice name;
        enum chat_role role;
    } table[] = {
        {SLICE_INIT("user"), CHAT_USER},     {SLICE_INIT("assistant"), CHAT_ASSISTANT},
        {SLICE_INIT("system"), CHAT_SYSTEM}, {SLICE_INIT("developer"), CHAT_DEVELOPER},
        {SLICE_INIT("tool"), CHAT_TOOL},     {SLICE_INIT("function"), CHAT_TOOL},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (slice_eq(name, table[i].name)) {
            *out = table[i].role;
            return true;
        }
    }
    return false;
}

/* A marker on the message (LiteLLM, OpenRouter) stands for one on its last part. */
static void take_message_marker(struct decoder *d, yyjson_val *m, struct chat_message *out)
{
    struct slice marker = read_json(d, json_get(m, "cache_control"));
    if (marker.len && out->part_count && !out->parts[out->part_count - 1].cache_marker.len) {
        out->parts[out->part_count - 1].cache_marker = marker;
    }
}

static enum err take_message(struct decoder *d, yyjson_val *m, struct chat_message *out)
{
    if (!yyjson_is_obj(m)) {
        return refuse_message(d, "", "expected an object");
    }
    if (!role_of(json_get_string(m, "role"), &out->role)) {
        return refuse_message(d, "role",
                              "expected 'system', 'developer', 'user', 'assistant' or 'tool'");
    }
    out->name = json_get_string(m, "name");
    if (out->role == CHAT_TOOL) {
        return take_result(d, m, out);
    }
    size_t room = out->role == CHAT_ASSISTANT ? size_of_assistant(m)
                                              : read_content_size(json_get(m, "content"));
    out->parts = arena_array(d->arena, room + 1, sizeof(*out->parts));
    if (!out->parts) {
        return read_no_memory(d);
    }
    if (out->role == CHAT_ASSISTANT) {
        return take_assistant(d, m, out->parts, &out->part_count);
    }
    if (json_is_none(json_get(m, "content"))) {
        return refuse_message(d, "content", "expected a string or an array of parts");
    }
    return take_content(d, json_get(m, "content"), out->parts, &out->part_count);
}

static enum err take_messages(struct decoder *d, yyjson_val *messages, struct chat_request *out)
{
    out->messages = arena_array(d->arena, yyjson_arr_size(messages) + 1, sizeof(*out->messages));
    if (!out->messages) {
        return read_no_memory(d);
    }
    size_t i, max;
    yyjson_val *m;
    yyjson_arr_foreach(messages, i, max, m)
    {
        d->message = i;
        struct chat_message *to = &out->messages[out->message_count++];
        if (take_message(d, m, to)) {
            return d->failed;
        }
        take_message_marker(d, m, to);
    }
    return OK;
}

enum err openai_decode_messages(struct arena *a, yyjson_val *messages, struct chat_request *out,
                                struct fault *out_fault)
{
    struct decoder d = {.arena = a, .fault = out_fault, .dropped = text_growing(a)};
    return take_messages(&d, messages, out);
}

static void take_tool(struct decoder *d, yyjson_val *v, struct chat_tool *out)
{
    struct slice type = json_get_string(v, "type");
    yyjson_val *body = json_get(v, "function");
    if (!body && slice_eq(type, SLICE("custom"))) {
        body = json_get(v, "custom");
        out->is_custom = true;
    }
    if (!body || out->is_custom) {
        out->raw = json_text(d->arena, v);
        out->provider = SLICE("openai");
    }
    out->name = json_get_string(body, "name");
    out->description = json_get_string(body, "description");
    out->schema = read_json(d, json_get(body, "parameters"));
    out->cache_marker = read_json(d, json_get(v, "cache_control"));
    if (!out->cache_marker.len) {
        out->cache_marker = read_json(d, json_get(body, "cache_control"));
    }
    out->has_strict = !json_is_none(json_get(body, "strict"));
    out->is_strict = json_is_true(json_get(body, "strict"));
}

/* tools, and functions as it was called before. */
static enum err take_tools(struct decoder *d, yyjson_val *root, struct chat_request *out)
{
    yyjson_val *tools = json_get(root, "tools");
    yyjson_val *functions = json_get(root, "functions");
    size_t room = yyjson_arr_size(tools) + yyjson_arr_size(functions);
    if (!room) {
        return OK;
    }
    out->tools = arena_array(d->arena, room, sizeof(*out->tools));
    if (!out->tools) {
        return read_no_memory(d);
    }
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(tools, i, max, v)
    {
        take_tool(d, v, &out->tools[out->tool_count++]);
    }
    yyjson_arr_foreach(functions, i, max, v)
    {
        out->tools[out->tool_count++] =
            (struct chat_tool){.name = json_get_string(v, "name"),
                               .description = json_get_string(v, "description"),
                               .schema = read_json(d, json_get(v, "parameters"))};
    }
    return OK;
}

enum chat_tool_choice openai_choice(struct slice word)
{
    return slice_eq(word, SLICE("none"))       ? CHAT_CHOICE_NONE
           : slice_eq(word, SLICE("auto"))     ? CHAT_CHOICE_AUTO
           : slice_eq(word, SLICE("required")) ? CHAT_CHOICE_REQUIRED
                                               : CHAT_CHOICE_DEFAULT;
}

static enum err take_allowed(struct decoder *d, yyjson_val *allowed, struct chat_request *out)
{
    yyjson_val *tools = json_get(allowed, "tools");
    out->tool_choice = openai_choice(json_get_string(allowed, "mode"));
    out->allowed_tools =
        arena_array(d->arena, yyjson_arr_size(tools) + 1, sizeof(*out->allowed_tools));
    if (!out->allowed_tools) {
        return read_no_memory(d);
    }
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(tools, i, max, v)
    {
        struct slice name = json_get_string(json_get(v, "function"), "name");
        if (!name.len) {
            name = json_get_string(json_get(v, "custom"), "name");
        }
        out->allowed_tools[out->allowed_tool_count++] = name;
    }
    return OK;
}

static enum err take_tool_choice(struct decoder *d, yyjson_val *root, struct chat_request *out)
{
    yyjson_val *choice = json_get(root, "tool_choice");
    if (json_is_none(choice)) {
        choice = json_get(root, "function_call");
    }
    if (yyjson_is_str(choice)) {
        out->tool_choice = openai_choice(json_string(choice));
        return OK;
    }
    if (!yyjson_is_obj(choice)) {
        return OK;
    }
    if (json_get(choice, "allowed_tools")) {
        return take_allowed(d, json_get(choice, "allowed_tools"), out);
    }
    yyjson_val *named = json_get(choice, "function");
    named = named ? named : json_get(choice, "custom");
    out->tool_choice = CHAT_CHOICE_NAMED;
    out->tool_choice_name = json_get_string(named ? named : choice, "name");
    return OK;
}

static void take_format(struct decoder *d, yyjson_val *root, struct chat_request *out)
{
    yyjson_val *format = json_get(root, "response_format");
    struct slice type = json_get_string(format, "type");
    out->format_strict = -1;
    if (slice_eq(type, SLICE("text"))) {
        out->format = CHAT_FORMAT_TEXT;
    } else if (slice_eq(type, SLICE("json_object"))) {
        out->format = CHAT_FORMAT_JSON;
    } else if (slice_eq(type, SLICE("json_schema"))) {
        yyjson_val *schema = json_get(format, "json_schema");
        yyjson_val *strict = json_get(schema, "strict");
        out->format = CHAT_FORMAT_SCHEMA;
        out->format_name = json_get_string(schema, "name");
        out->format_schema = read_json(d, json_get(schema, "schema"));
        out->format_strict = json_is_none(strict) ? -1 : json_is_true(strict);
    }
}

static enum err take_stops(struct decoder *d, yyjson_val *root, struct chat_request *out)
{
    yyjson_val *stop = json_get(root, "stop");
    if (!yyjson_is_str(stop)) {
        return read_stops(d, stop, out);
    }
    out->stops = ARENA_NEW(d->arena, struct slice);
    if (!out->stops) {
        return read_no_memory(d);
    }
    out->stops[out->stop_count++] = json_string(stop);
    return OK;
}

static void take_numbers(yyjson_val *root, struct chat_request *out)
{
    const struct {
        const char *name;
        struct chat_number *to;
    } numbers[] = {
        {"max_tokens", &out->max_tokens},
        {"max_completion_tokens", &out->max_tokens}, /* counts when both are given */
        {"temperature", &out->temperature},
        {"top_p", &out->top_p},
        {"top_k", &out->top_k},
        {"seed", &out->seed},
        {"frequency_penalty", &out->frequency_penalty},
        {"presence_penalty", &out->presence_penalty},
        {"n", &out->choices},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct slice text = json_number(json_get(root, numbers[i].name));
        if (text.len) {
            numbers[i].to->text = text;
        }
    }
}

/* Beside OpenAI's effort: OpenRouter's reasoning and Anthropic's thinking, as gateways take them.
 */
static void take_reasoning(yyjson_val *root, struct chat_request *out)
{
    yyjson_val *reasoning = json_get(root, "reasoning");
    yyjson_val *thinking = json_get(root, "thinking");
    struct slice type = json_get_string(thinking, "type");
    out->reasoning_effort = json_get_string(root, "reasoning_effort");
    if (!out->reasoning_effort.len) {
        out->reasoning_effort = json_get_string(reasoning, "effort");
    }
    out->thinking_budget.text = json_number(json_get(reasoning, "max_tokens"));
    if (slice_eq(type, SLICE("enabled"))) {
        out->thinking_budget.text = json_number(json_get(thinking, "budget_tokens"));
    } else if (slice_eq(type, SLICE("disabled"))) {
        out->thinking = CHAT_THINKING_OFF;
    } else if (slice_eq(type, SLICE("adaptive"))) {
        out->thinking = CHAT_THINKING_ADAPTIVE;
    }
    if (out->thinking_budget.text.len) {
        out->thinking = CHAT_THINKING_BUDGET;
    }
}

/* What the neutral form has no place for; false and null ask for nothing. */
static void name_dropped(struct decoder *d, yyjson_val *root)
{
    static const char *const names[] = {"logit_bias",
                                        "logprobs",
                                        "top_logprobs",
                                        "audio",
                                        "modalities",
                                        "prediction",
                                        "moderation",
                                        "store",
                                        "verbosity",
                                        "web_search_options",
                                        "prompt_cache_key",
                                        "prompt_cache_options",
                                        "prompt_cache_retention"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        yyjson_val *v = json_get(root, names[i]);
        if (!json_is_none(v) && !yyjson_is_false(v)) {
            drop_name(&d->dropped, slice_str(names[i]));
        }
    }
}

enum err openai_decode_request(struct arena *a, struct chat_ask *ask, struct fault *out_fault)
{
    struct decoder d = {.arena = a, .fault = out_fault, .dropped = text_growing(a)};
    struct chat_request *r = read_begin(a, ask, out_fault);
    struct span_fault why = {.at = 0};
    yyjson_val *root;
    if (!r || ask->op != CHAT_OP_CHAT) {
        return r ? E_UNSUPPORTED : E_NOMEM;
    }
    enum err e = json_parse_checked(a, ask->body, &root, &why);
    if (e) {
        openai_refuse(a, out_fault, NULL, NULL, "The body cannot be read: %s at byte %zu.",
                      why.what ? why.what : "it is too large", why.at);
        return e;
    }
    yyjson_val *parallel = json_get(root, "parallel_tool_calls");
    r->parallel_tool_calls = json_is_none(parallel) ? -1 : json_is_true(parallel);
    r->service_tier = json_get_string(root, "service_tier");
    r->metadata = read_json(&d, json_get(root, "metadata"));
    take_numbers(root, r);
    take_reasoning(root, r);
    take_format(&d, root, r);
    name_dropped(&d, root);
    if (take_messages(&d, json_get(root, "messages"), r) || take_tools(&d, root, r) ||
        take_tool_choice(&d, root, r) || take_stops(&d, root, r)) {
        return d.failed;
    }
    return read_end(&d, ask, r);
}

static enum err take_choice(struct decoder *d, yyjson_val *v, struct chat_choice *out)
{
    yyjson_val *m = json_get(v, "message");
    struct slice text = json_get_string(v, "text"); /* completions */
    out->finish = openai_finish(json_get_string(v, "finish_reason"));
    out->stop_sequence = json_get_string(v, "stop_reason"); /* vLLM */
    out->parts = arena_array(d->arena, size_of_assistant(m) + 1, sizeof(*out->parts));
    if (!out->parts) {
        return read_no_memory(d);
    }
    if (text.ptr) {
        out->parts[out->part_count++] = (struct chat_part){.kind = CHAT_TEXT, .text = text};
    }
    yyjson_val *content = json_get(m, "content");
    if (!yyjson_is_arr(content)) {
        return take_assistant(d, m, out->parts, &out->part_count);
    }
    /* Mistral answers in parts: thinking holds parts itself. */
    size_t i, max;
    yyjson_val *part;
    yyjson_arr_foreach(content, i, max, part)
    {
        yyjson_val *thinking = json_get(part, "thinking");
        struct slice first =
            json_get_string(thinking ? yyjson_arr_get_first(thinking) : part, "text");
        out->parts[out->part_count++] =
            (struct chat_part){.kind = thinking ? CHAT_THINKING : CHAT_TEXT, .text = first};
    }
    yyjson_val *call;
    yyjson_val *calls = json_get(m, "tool_calls");
    yyjson_arr_foreach(calls, i, max, call)
    {
        if (take_call(d, call, &out->parts[out->part_count++])) {
            return d->failed;
        }
    }
    return OK;
}

enum err openai_decode_response(struct arena *a, struct slice body, struct chat_response *out)
{
    struct fault unused = {.kind = FAULT_NONE};
    struct decoder d = {.arena = a, .fault = &unused, .dropped = text_growing(a)};
    yyjson_val *root;
    enum err e = json_parse(a, slice_trim(body), &root, NULL);
    if (e || !yyjson_is_obj(root)) {
        return e ? e : E_SYNTAX;
    }
    yyjson_val *choices = json_get(root, "choices");
    if (!yyjson_is_arr(choices)) {
        return E_SYNTAX;
    }
    *out = (struct chat_response){.id = json_get_string(root, "id"),
                                  .model = json_get_string(root, "model"),
                                  .service_tier = json_get_string(root, "service_tier")};
    (void)json_i64(json_get(root, "created"), &out->created_unix_s);
    out->choices = arena_array(a, yyjson_arr_size(choices) + 1, sizeof(*out->choices));
    if (!out->choices) {
        return E_NOMEM;
    }
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(choices, i, max, v)
    {
        if (take_choice(&d, v, &out->choices[out->choice_count++])) {
            return d.failed;
        }
    }
    struct event_look look;
    e = openai_look(SLICE_NONE, slice_trim(body), &look);
    if (!e && look.usage.len) {
        openai_read_usage(look.usage, &out->usage);
        out->has_usage = out->usage.is_known;
    }
    return e;
}
