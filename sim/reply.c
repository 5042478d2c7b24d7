#include "reply.h"

#include "schema.h"

#include <stdlib.h>
#include <string.h>

enum { ECHO_MAX_BYTES = 1000, ARGUMENT_PIECE_BYTES = 8, FILLER_BYTES = 1024 };

int64_t reply_told(int64_t directive, int64_t otherwise)
{
    return directive >= 0 ? directive : otherwise;
}

struct str content_piece(const struct content *c, size_t i)
{
    size_t from = i > 0 ? c->ends[i - 1] : 0;
    return (struct str){c->bytes.ptr + from, c->ends[i] - from};
}

static struct str clip(struct str s)
{
    if (s.len > ECHO_MAX_BYTES) {
        s.len = ECHO_MAX_BYTES;
        while (s.len > 0 && ((unsigned char)s.ptr[s.len] & 0xc0) == 0x80) {
            s.len--;
        }
    }
    return s;
}

static void tokens_of_words(struct content *tokens, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        buf_add(&tokens->bytes, s.ptr + i, 1);
        if (s.ptr[i] == ' ' || i + 1 == s.len) {
            content_end_piece(tokens);
        }
    }
}

static void tokens_of_count(struct content *tokens, int64_t count, int64_t bytes)
{
    size_t each = bytes > 0 ? (size_t)bytes : 6;
    for (int64_t i = 0; i < count; i++) {
        buf_repeat(&tokens->bytes, (char)('a' + i % 26), each > 1 ? each - 1 : 1);
        buf_repeat(&tokens->bytes, ' ', each > 1 ? 1 : 0);
        content_end_piece(tokens);
    }
}

static void pad(struct content *tokens, int64_t size)
{
    while ((int64_t)tokens->bytes.len < size) {
        buf_repeat(&tokens->bytes, 'x', FILLER_BYTES - 1);
        buf_repeat(&tokens->bytes, ' ', 1);
        content_end_piece(tokens);
    }
}

static void say(struct reply *r, struct str asked)
{
    const struct behaviour *b = &r->ask->b;
    const struct prompt *p = &r->ask->prompt;
    struct buf text = {0};
    if (b->content != NULL) {
        buf_str(&text, b->content);
    } else if (b->tokens >= 0) {
        tokens_of_count(&r->text, b->tokens, b->token_bytes);
    } else if (p->wants_json && p->schema != NULL) {
        schema_sample(&text, p->schema, asked);
    } else if (p->wants_json) {
        buf_str(&text, "{\"answer\": ");
        buf_json(&text, asked);
        buf_str(&text, "}");
    } else {
        buf_str(&text, p->is_result ? "The tool said: " : "You said: ");
        buf_put(&text, asked);
    }
    tokens_of_words(&r->text, buf_view(&text));
    buf_free(&text);
    pad(&r->text, b->size);
}

static void think(struct reply *r, struct str asked)
{
    const struct behaviour *b = &r->ask->b;
    struct buf text = {0};
    if (b->reasoning != NULL) {
        buf_str(&text, b->reasoning);
    } else if (r->ask->prompt.thinks) {
        buf_str(&text, "I think about: ");
        buf_put(&text, asked);
    }
    tokens_of_words(&r->thoughts, buf_view(&text));
    buf_free(&text);
}

/* The tool named by a directive, the one that must be called, or the first; tool_n: none. */
static size_t pick_tool(const struct ask *a)
{
    const struct prompt *p = &a->prompt;
    const char *told = a->b.tool;
    struct str name = told != NULL ? (struct str){told, strlen(told)} : p->wanted;
    bool demanded = !a->conf->only_told_tools || p->must_call || name.len > 0;
    bool may = told != NULL || (demanded && !p->no_tools && !p->is_result && a->b.tokens < 0);
    for (size_t i = 0; may && i < p->tool_n; i++) {
        if (name.len == 0 || str_same(p->tools[i].name, name)) {
            return i;
        }
    }
    return p->tool_n;
}

static void call_tool(struct reply *r, const struct tool *tool, struct str asked)
{
    const char *told = r->call_n == 0 ? r->ask->b.args : NULL;
    struct call *call = &r->calls[r->call_n++];
    struct buf json = {0};
    call->tool = tool;
    if (told != NULL) {
        buf_str(&json, told);
    } else if (tool->is_custom) {
        buf_put(&json, asked);
    } else {
        schema_sample(&json, tool->schema, asked);
    }
    for (size_t at = 0; at < json.len;) {
        size_t left = json.len - at;
        size_t piece = left < ARGUMENT_PIECE_BYTES ? left : ARGUMENT_PIECE_BYTES;
        while (piece < left && ((unsigned char)json.ptr[at + piece] & 0xC0) == 0x80) {
            piece++; /* a character is never cut: each piece is a JSON string of its own */
        }
        buf_add(&call->arguments.bytes, json.ptr + at, piece);
        content_end_piece(&call->arguments);
        at += piece;
    }
    buf_free(&json);
    r->text_tokens += (int64_t)call->arguments.piece_n;
}

static void limit_tokens(struct reply *r)
{
    int64_t max = r->ask->prompt.max_tokens;
    if (max >= 0 && (uint64_t)max < r->text.piece_n) {
        r->text.piece_n = (size_t)max;
        r->text.bytes.len = r->text.piece_n > 0 ? r->text.ends[r->text.piece_n - 1] : 0;
        r->finish = FINISH_LENGTH;
    }
}

void reply_make(struct reply *r, const struct ask *a)
{
    const struct behaviour *b = &a->b;
    const struct prompt *p = &a->prompt;
    struct str asked = clip(buf_view(&p->last));
    size_t tool = pick_tool(a);
    *r = (struct reply){.ask = a};
    think(r, asked);
    if (tool < p->tool_n) {
        int64_t calls = b->calls > REPLY_CALLS_MAX ? REPLY_CALLS_MAX : b->calls > 1 ? b->calls : 1;
        for (int64_t i = 0; i < calls; i++) {
            call_tool(r, &p->tools[(tool + (size_t)i) % p->tool_n], asked);
        }
        if (b->tool != NULL && b->content != NULL) { /* said before the call, as models do */
            say(r, asked);
        }
        r->finish = FINISH_TOOLS;
    } else {
        say(r, asked);
        limit_tokens(r);
    }
    r->text_tokens += (int64_t)r->text.piece_n;
    r->prompt_tokens = reply_told(b->prompt_tokens, p->tokens);
    r->thought_tokens = reply_told(b->reasoning_tokens, (int64_t)r->thoughts.piece_n);
    r->output_tokens =
        reply_told(b->completion_tokens, r->text_tokens + (int64_t)r->thoughts.piece_n);
}

void reply_deinit(struct reply *r)
{
    content_deinit(&r->thoughts);
    content_deinit(&r->text);
    for (size_t i = 0; i < r->call_n; i++) {
        content_deinit(&r->calls[i].arguments);
    }
}

const char *reply_finish(const struct reply *r, const char *stop, const char *length,
                         const char *tools)
{
    if (r->ask->b.finish != NULL) {
        return r->ask->b.finish;
    }
    switch (r->finish) {
    case FINISH_STOP: return stop;
    case FINISH_LENGTH: return length;
    case FINISH_TOOLS: return tools;
    }
    return stop;
}

bool reply_usage_is(const struct reply *r, const char *mode)
{
    return behaviour_is(r->ask->b.usage, mode);
}

bool reply_has_text(const struct reply *r)
{
    return r->call_n == 0 || r->text.piece_n > 0;
}
