#define _GNU_SOURCE
#include "ask.h"

#include <stdlib.h>
#include <string.h>

enum { TURN_TOKENS = 3 }; /* what a message costs beside its words */

struct str json_str(yyjson_val *v)
{
    const char *s = yyjson_get_str(v);
    return s != NULL ? (struct str){s, yyjson_get_len(v)} : STR("");
}

struct str json_member(yyjson_val *object, const char *name)
{
    return json_str(yyjson_obj_get(object, name));
}

void buf_value(struct buf *out, yyjson_val *v)
{
    size_t len = 0;
    char *json = v != NULL ? yyjson_val_write(v, 0, &len) : NULL;
    if (json != NULL) {
        buf_add(out, json, len);
    } else {
        buf_str(out, "null");
    }
    free(json);
}

int64_t count_words(struct str s)
{
    int64_t n = 0;
    bool inside = false;
    for (size_t i = 0; i < s.len; i++) {
        bool space = s.ptr[i] == ' ' || s.ptr[i] == '\n' || s.ptr[i] == '\t';
        n += !space && !inside ? 1 : 0;
        inside = !space;
    }
    return n;
}

bool str_same(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

struct str query_value(const struct request *r, const char *name)
{
    size_t len = strlen(name);
    const char *end = r->target.ptr + r->target.len;
    const char *at = r->path.ptr + r->path.len;
    while (at < end) {
        at++; /* '?' or '&' */
        const char *amp = memchr(at, '&', (size_t)(end - at));
        const char *stop = amp != NULL ? amp : end;
        if ((size_t)(stop - at) > len && memcmp(at, name, len) == 0 && at[len] == '=') {
            return (struct str){at + len + 1, (size_t)(stop - at) - len - 1};
        }
        at = stop;
    }
    return (struct str){NULL, 0};
}

/* The rest of the first line that begins with "sim:"; a NULL ptr when there is none. */
static struct str find_directive(struct str text)
{
    const char *end = text.ptr + text.len;
    const char *line = text.ptr;
    while (line != NULL && end - line >= 4) {
        if (memcmp(line, "sim:", 4) == 0) {
            const char *lf = memchr(line, '\n', (size_t)(end - line));
            return (struct str){line + 4, (size_t)((lf != NULL ? lf : end) - line) - 4};
        }
        line = memchr(line, '\n', (size_t)(end - line));
        line = line != NULL ? line + 1 : NULL;
    }
    return (struct str){NULL, 0};
}

void prompt_text(struct prompt *p, struct str text)
{
    struct str directive = find_directive(text);
    p->turn_directive = directive.ptr != NULL ? directive : p->turn_directive;
    buf_put(&p->turn, text);
}

void prompt_content(struct prompt *p, yyjson_val *content)
{
    if (yyjson_is_str(content)) {
        prompt_text(p, json_str(content));
        return;
    }
    size_t i;
    size_t n;
    yyjson_val *part;
    yyjson_arr_foreach(content, i, n, part)
    {
        prompt_text(p, yyjson_is_str(part) ? json_str(part) : json_member(part, "text"));
    }
}

static void put_result(struct prompt *p, struct str text)
{
    /* A result directs only when it begins so: a tool may have read a file that mentions it. */
    if (text.len > 4 && memcmp(text.ptr, "sim:", 4) == 0) {
        p->turn_directive = find_directive(text);
    }
    buf_put(&p->results, text);
}

void prompt_result(struct prompt *p, yyjson_val *content)
{
    p->turn_is_result = true;
    buf_str(&p->results, p->results.len > 0 ? "\n" : "");
    if (yyjson_is_str(content)) {
        put_result(p, json_str(content));
        return;
    }
    if (!yyjson_is_arr(content)) {
        buf_value(&p->results, content);
        return;
    }
    size_t i;
    size_t n;
    yyjson_val *part;
    yyjson_arr_foreach(content, i, n, part)
    {
        put_result(p, json_member(part, "text"));
        yyjson_val *json = yyjson_obj_get(part, "json"); /* of Bedrock */
        if (json != NULL) {
            buf_value(&p->results, json);
        }
    }
}

void prompt_tool(struct prompt *p, struct tool tool)
{
    if (tool.name.len > 0 && p->tool_n < PROMPT_TOOLS_MAX) {
        p->tools[p->tool_n++] = tool;
    }
}

/* Tool results in messages of their own that follow each other are answered together. */
static void close_turn(struct prompt *p)
{
    if (p->turn_asks && (!p->turn_is_result || !p->is_result)) {
        p->last.len = 0;
    }
    if (p->turn_asks) {
        buf_str(&p->last, p->last.len > 0 ? "\n" : "");
        buf_put(&p->last, buf_view(p->turn_is_result ? &p->results : &p->turn));
        p->directive = p->turn_directive;
    }
    p->is_result = p->turn_asks && p->turn_is_result;
    p->tokens += count_words(buf_view(&p->turn)) + count_words(buf_view(&p->results));
    p->turn.len = 0;
    p->results.len = 0;
}

void prompt_turn(struct prompt *p, bool asks)
{
    close_turn(p);
    p->tokens += TURN_TOKENS;
    p->turn_asks = asks;
    p->turn_is_result = false;
    p->turn_directive = (struct str){NULL, 0};
}

void prompt_end(struct prompt *p)
{
    close_turn(p);
}

void prompt_deinit(struct prompt *p)
{
    buf_free(&p->last);
    buf_free(&p->turn);
    buf_free(&p->results);
}

void content_event(struct content *c, const struct behaviour *b, const char *name, struct str json)
{
    const char *eol = b->crlf ? "\r\n" : "\n";
    if (b->comments > 0 && c->piece_n % (size_t)b->comments == 0) {
        buf_printf(&c->bytes, ": keep-alive%s%s", eol, eol);
    }
    if (name != NULL) {
        buf_printf(&c->bytes, "event: %s%s", name, eol);
    }
    buf_str(&c->bytes, b->nospace ? "data:" : "data: ");
    buf_put(&c->bytes, json);
    buf_str(&c->bytes, eol);
    buf_str(&c->bytes, eol);
    content_end_piece(c);
}
