#include "ollama.h"

#include "reply.h"
#include "trouble.h"

#include <inttypes.h>
#include <string.h>

static const char json_type[] = "application/json; charset=utf-8";

void ollama_read(struct prompt *p, const struct ask *a)
{
    yyjson_val *format = yyjson_obj_get(a->root, "format");
    yyjson_val *think = yyjson_obj_get(a->root, "think");
    yyjson_val *max = yyjson_obj_get(yyjson_obj_get(a->root, "options"), "num_predict");
    size_t i;
    size_t n;
    yyjson_val *v;
    yyjson_arr_foreach(yyjson_obj_get(a->root, "messages"), i, n, v)
    {
        struct str role = json_member(v, "role");
        yyjson_val *content = yyjson_obj_get(v, "content");
        prompt_turn(p, str_is(role, "user") || str_is(role, "tool"));
        if (str_is(role, "tool")) {
            prompt_result(p, content);
        } else {
            prompt_content(p, content);
        }
    }
    yyjson_arr_foreach(yyjson_obj_get(a->root, "tools"), i, n, v)
    {
        yyjson_val *function = yyjson_obj_get(v, "function");
        prompt_tool(p, (struct tool){json_member(function, "name"),
                                     yyjson_obj_get(function, "parameters"), false});
    }
    p->schema = yyjson_is_obj(format) ? format : NULL;
    p->wants_json = format != NULL && !yyjson_is_null(format);
    p->thinks = yyjson_get_bool(think) || yyjson_is_str(think);
    p->max_tokens = yyjson_is_uint(max) ? (int64_t)yyjson_get_uint(max) : -1;
}

static void put_open(struct buf *out, const struct reply *r)
{
    buf_str(out, "{\"model\":");
    buf_json(out, r->ask->model);
    buf_str(out, ",\"created_at\":\"2026-01-02T03:04:05.123456789Z\",\"message\":{\"role\":"
                 "\"assistant\",\"content\":");
}

/* Arguments are an object here; what is none stands as it was told. */
static void put_calls(struct buf *out, const struct reply *r)
{
    for (size_t i = 0; i < r->call_n; i++) {
        struct str args = buf_view(&r->calls[i].arguments.bytes);
        buf_printf(
            out, "%s{\"function\":{\"index\":%zu,\"name\":", i > 0 ? "," : ",\"tool_calls\":[", i);
        buf_json(out, r->calls[i].tool->name);
        buf_str(out, ",\"arguments\":");
        buf_put(out, args.len > 0 ? args : STR("{}"));
        buf_str(out, "}}");
    }
    buf_str(out, r->call_n > 0 ? "]" : "");
}

static void put_end(struct buf *out, const struct reply *r)
{
    buf_printf(out, ",\"done\":true,\"done_reason\":\"%s\"",
               reply_finish(r, "stop", "length", "stop"));
    buf_str(out, ",\"total_duration\":5000000,\"load_duration\":1000000");
    if (!reply_usage_is(r, "none")) {
        buf_printf(out,
                   ",\"prompt_eval_count\":%" PRId64 ",\"prompt_eval_duration\":2000000"
                   ",\"eval_count\":%" PRId64 ",\"eval_duration\":2000000",
                   r->prompt_tokens, r->output_tokens);
    }
    buf_str(out, "}");
}

static void write_document(struct content *c, const struct reply *r)
{
    struct buf *out = &c->bytes;
    put_open(out, r);
    buf_json(out, buf_view(&r->text.bytes));
    if (r->thoughts.piece_n > 0) {
        buf_str(out, ",\"thinking\":");
        buf_json(out, buf_view(&r->thoughts.bytes));
    }
    put_calls(out, r);
    buf_str(out, "}");
    put_end(out, r);
    content_document(c, json_type);
}

static void write_lines(struct content *c, const struct reply *r, const struct content *from,
                        bool thoughts)
{
    for (size_t i = 0; i < from->piece_n; i++) {
        put_open(&c->bytes, r);
        buf_str(&c->bytes, thoughts ? "\"\",\"thinking\":" : "");
        buf_json(&c->bytes, content_piece(from, i));
        buf_str(&c->bytes, "},\"done\":false}\n");
        content_end_piece(c);
    }
}

static void write_stream(struct content *c, const struct reply *r)
{
    write_lines(c, r, &r->thoughts, true);
    write_lines(c, r, &r->text, false);
    if (r->call_n > 0) { /* all calls come whole, on one line */
        put_open(&c->bytes, r);
        buf_str(&c->bytes, "\"\"");
        put_calls(&c->bytes, r);
        buf_str(&c->bytes, "},\"done\":false}\n");
        content_end_piece(c);
    }
    if (!r->ask->b.no_done) {
        put_open(&c->bytes, r);
        buf_str(&c->bytes, "\"\"}");
        put_end(&c->bytes, r);
        buf_str(&c->bytes, "\n");
        content_end_piece(c);
    }
    c->is_stream = true;
    c->type = "application/x-ndjson";
}

void ollama_answer(struct content *c, const struct ask *a)
{
    struct reply r;
    if (!yyjson_is_arr(yyjson_obj_get(a->root, "messages"))) {
        content_refuse(c, a, 400, "messages is required");
        return;
    }
    reply_make(&r, a);
    if (a->stream) {
        write_stream(c, &r);
    } else {
        write_document(c, &r);
    }
    reply_deinit(&r);
}

/* Four numbers a text, by its bytes. */
void ollama_embed(struct content *c, const struct ask *a)
{
    yyjson_val *input = yyjson_obj_get(a->root, "input");
    size_t n = yyjson_is_arr(input) ? yyjson_arr_size(input) : 1;
    int64_t words = 0;
    if (!yyjson_is_arr(input) && !yyjson_is_str(input)) {
        content_refuse(c, a, 400, "invalid input type");
        return;
    }
    buf_str(&c->bytes, "{\"model\":");
    buf_json(&c->bytes, a->model);
    buf_str(&c->bytes, ",\"embeddings\":[");
    for (size_t i = 0; i < n; i++) {
        struct str text = json_str(yyjson_is_arr(input) ? yyjson_arr_get(input, i) : input);
        words += count_words(text);
        buf_printf(&c->bytes, "%s[0.5,-0.25,%zu,%d]", i > 0 ? "," : "", text.len,
                   text.len > 0 ? text.ptr[0] : 0);
    }
    buf_printf(&c->bytes,
               "],\"total_duration\":14143917,\"load_duration\":1019500,\"prompt_eval_count\":"
               "%" PRId64 "}",
               reply_told(a->b.prompt_tokens, words));
    content_document(c, json_type);
}

void ollama_tags(struct content *c, const struct ask *a)
{
    static const char *const names[] = {"llama3.2:latest", "qwen3:8b"};
    (void)a;
    buf_str(&c->bytes, "{\"models\":[");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        buf_printf(&c->bytes,
                   "%s{\"name\":\"%s\",\"model\":\"%s\",\"modified_at\":\"2026-01-02T03:04:05Z\","
                   "\"size\":1000,\"digest\":\"%016" PRIx64 "\",\"details\":{\"family\":\"sim\","
                   "\"parameter_size\":\"1B\",\"quantization_level\":\"Q4_0\"}}",
                   i > 0 ? "," : "", names[i], names[i],
                   str_hash((struct str){names[i], strlen(names[i])}, 1));
    }
    buf_str(&c->bytes, "]}");
    content_document(c, json_type);
}

void ollama_show(struct content *c, const struct ask *a)
{
    (void)a;
    buf_str(&c->bytes, "{\"details\":{\"family\":\"sim\"},\"model_info\":{\"sim.context_length\":"
                       "131072},\"capabilities\":[\"completion\",\"tools\",\"thinking\"]}");
    content_document(c, json_type);
}

void ollama_version(struct content *c, const struct ask *a)
{
    (void)a;
    buf_str(&c->bytes, "{\"version\":\"0.12.0\"}");
    content_document(c, json_type);
}

void ollama_root(struct content *c, const struct ask *a)
{
    (void)a;
    buf_str(&c->bytes, "Ollama is running");
    content_document(c, "text/plain; charset=utf-8");
}
