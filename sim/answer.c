#include "answer.h"

#include <stdlib.h>
#include <string.h>

void content_deinit(struct content *c)
{
    buf_free(&c->headers);
    buf_free(&c->bytes);
    free(c->ends);
    memset(c, 0, sizeof(*c));
}

void content_end_piece(struct content *c)
{
    if (c->piece_n == c->piece_cap) {
        c->piece_cap = c->piece_cap > 0 ? c->piece_cap * 2 : 16;
        size_t *grown = realloc(c->ends, c->piece_cap * sizeof(*grown));
        if (grown == NULL) {
            abort();
        }
        c->ends = grown;
    }
    c->ends[c->piece_n++] = c->bytes.len;
}

void content_document(struct content *c, const char *type)
{
    c->type = type;
    c->is_stream = false;
    c->piece_n = 0;
    content_end_piece(c);
}

struct answer *answer_new(void)
{
    struct answer *a = xzalloc(sizeof(*a));
    a->refs = 1;
    a->id_at = SIZE_MAX;
    return a;
}

void answer_ref(struct answer *a)
{
    a->refs++;
}

void answer_unref(struct answer *a)
{
    if (a != NULL && --a->refs == 0) {
        buf_free(&a->head);
        buf_free(&a->body);
        free(a->cuts);
        free(a);
    }
}

void answer_cut(struct answer *a, struct cut cut)
{
    if (a->cut_n == a->cut_cap) {
        a->cut_cap = a->cut_cap > 0 ? a->cut_cap * 2 : 8;
        struct cut *grown = realloc(a->cuts, a->cut_cap * sizeof(*grown));
        if (grown == NULL) {
            abort();
        }
        a->cuts = grown;
    }
    size_t i = a->cut_n++;
    for (; i > 0 && a->cuts[i - 1].at > cut.at; i--) {
        a->cuts[i] = a->cuts[i - 1];
    }
    a->cuts[i] = cut;
}
