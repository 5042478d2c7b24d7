#include "wire/lines.h"

#include <assert.h>

void lines_init(struct lines *l, struct arena *a, size_t line_max_bytes, lines_fn on_line,
                void *ctx)
{
    assert(line_max_bytes > 0);
    *l = (struct lines){
        .on_line = on_line, .ctx = ctx, .max_bytes = line_max_bytes, .tail = text_growing(a)};
}

static HOT enum err hand_out(struct lines *l, struct slice line)
{
    line = slice_trim(line);
    if (line.len > l->max_bytes) {
        return E_LIMIT;
    }
    return line.len ? l->on_line(l->ctx, line) : OK;
}

static enum err keep(struct lines *l, struct slice part)
{
    if (part.len > l->max_bytes - l->tail.len) {
        return E_LIMIT;
    }
    text_add(&l->tail, part);
    return l->tail.is_full ? E_NOMEM : OK;
}

static HOT enum err feed(struct lines *l, struct slice in)
{
    enum err e = OK;
    while (!e && in.len) {
        size_t end = slice_find(in, '\n');
        struct slice part = slice_head(in, end);
        if (end == in.len) {
            return keep(l, part);
        }
        in = slice_from(in, end + 1);
        if (l->tail.len == 0) {
            e = hand_out(l, part);
            continue;
        }
        e = keep(l, part);
        if (!e) {
            e = hand_out(l, text_slice(&l->tail));
            l->tail.len = 0;
        }
    }
    return e;
}

enum err lines_feed(struct lines *l, struct slice in)
{
    if (!l->failure) {
        l->failure = feed(l, in);
    }
    return l->failure;
}

enum err lines_end(struct lines *l)
{
    if (!l->failure && l->tail.len) {
        l->failure = hand_out(l, text_slice(&l->tail));
        l->tail.len = 0;
    }
    return l->failure;
}
