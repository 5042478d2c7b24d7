/* Prints what the dialect writes, a line each, for check_responses.py: events and answers for
 * clients, requests for providers, made of every recording there is. */
#include "run.h"

static const char *recording;

static void print_line(const char *kind, struct slice json)
{
    (void)printf("%s\t%s\t%.*s\n", kind, recording, SLICE_ARG(json));
}

static void print_stream(struct arena *a, const struct dialect *from, struct slice in)
{
    struct run k;
    run_whole(a, from, &dialect_responses, in, &k);
    struct slice rest = text_slice(&k.bytes), name;
    print_line("begin", SLICE("{}"));
    while (rest.len && k.end == OK) {
        print_line("event", json_text(a, run_next(a, &rest, &name)));
    }
}

static void chat_stream(struct arena *a, const char *name, struct slice in)
{
    recording = name;
    print_stream(a, &dialect_openai, in);
}

static void anthropic_stream(struct arena *a, const char *name, struct slice in)
{
    recording = name;
    print_stream(a, &dialect_anthropic, in);
}

/* Through the chat dialect and back, and spread from the stored answer. */
static void own_stream(struct arena *a, const char *name, struct slice in)
{
    struct run k;
    struct slice body, events, unused;
    recording = name;
    run_whole(a, &dialect_responses, &dialect_openai, in, &k);
    print_stream(a, &dialect_openai, text_slice(&k.bytes));
    if (strstr(name, "copilot") ||
        dialect_events_to_body(a, &dialect_responses, CHAT_OP_CHAT, in, &body) ||
        dialect_body_to_events(a, &dialect_responses, CHAT_OP_CHAT, body, true, &events)) {
        return;
    }
    print_line("begin", SLICE("{}"));
    while (events.len) {
        print_line("event", json_text(a, run_next(a, &events, &unused)));
    }
}

static void print_request(struct arena *a, const struct dialect *from, struct slice body)
{
    static const struct dialect_profile profile = {.takes_developer_role = true};
    const struct encode_options o = {
        .model = SLICE("gpt-5"), .profile = &profile, .output_cap_tokens = -1};
    struct chat_ask k;
    struct fault f;
    struct body_parts parts;
    if (from->scan(a, CHAT_OP_CHAT, body, &k, &f) || from->decode_request(a, &k, &f) ||
        dialect_responses.encode_request(a, k.neutral, &o, &parts)) {
        return;
    }
    print_line("request", parts.parts[0]);
}

static void print_exchange(struct arena *a, const struct dialect *from, struct slice bytes)
{
    yyjson_val *root;
    struct chat_response r;
    struct slice body;
    if (json_parse(a, bytes, &root, NULL)) {
        return;
    }
    yyjson_val *request = json_get(json_get(root, "request"), "body");
    yyjson_val *answer = json_get(json_get(root, "response"), "body");
    if (yyjson_is_obj(request)) {
        print_request(a, from, json_text(a, request));
    }
    answer = yyjson_is_obj(answer) ? answer : request ? NULL : root;
    if (answer && from->decode_response(a, json_text(a, answer), &r) == OK &&
        dialect_responses.encode_response(a, &r, NULL, &body) == OK) {
        print_line("answer", body);
    }
}

static void chat_exchange(struct arena *a, const char *name, struct slice bytes)
{
    recording = name;
    print_exchange(a, &dialect_openai, bytes);
}

static void anthropic_exchange(struct arena *a, const char *name, struct slice bytes)
{
    recording = name;
    print_exchange(a, &dialect_anthropic, bytes);
}

static void own_exchange(struct arena *a, const char *name, struct slice bytes)
{
    recording = name;
    print_exchange(a, &dialect_responses, bytes);
}

int main(void)
{
    const struct fault f = {.kind = FAULT_UPSTREAM};
    struct arena a;
    arena_init(&a, NULL, (size_t)1 << 20);
    struct text t = text_growing(&a);
    struct slice rest, name;
    (void)fixture_each(".sse", chat_stream);
    (void)fixture_each(".json", chat_exchange);
    (void)fixture_each_in(TEST_DATA_DIR "/anthropic", ".sse", anthropic_stream);
    (void)fixture_each_in(TEST_DATA_DIR "/anthropic", ".json", anthropic_exchange);
    (void)fixture_each_in(TEST_DATA_DIR "/openai-responses", ".sse", own_stream);
    (void)fixture_each_in(TEST_DATA_DIR "/openai-responses", ".json", own_exchange);
    recording = "a fault of the gateway's";
    dialect_responses.render_stream_fault(&f, &t);
    rest = text_slice(&t);
    print_line("error", json_text(&a, run_next(&a, &rest, &name)));
    print_line("failed", json_text(&a, run_next(&a, &rest, &name)));
    arena_deinit(&a);
    return 0;
}
