/* The memory of a request: its box, its body, and the parsers that are lent to it. */
#include "core/check.h"
#include "listen/http_conn.h"

#include <assert.h>

enum { BODY_FIRST_BYTES = 16384, SMALL_BODY_BYTES = 1024 };

struct http1_parser *parser_take(struct listener *l)
{
    struct parser_slot *slot = l->parsers;
    if (slot) {
        l->parsers = slot->next;
        l->parser_count--;
    } else {
        slot = malloc(sizeof(*slot));
        if (!slot) {
            return NULL;
        }
    }
    slot->next = NULL;
    return &slot->parser;
}

void parser_give(struct listener *l, struct http1_parser *parser)
{
    struct parser_slot *slot = CONTAINER_OF(parser, struct parser_slot, parser);
    if (l->parser_count >= LISTEN_KEEP_PARSERS) {
        free(slot);
        return;
    }
    slot->next = l->parsers;
    l->parsers = slot;
    l->parser_count++;
}

struct request_box *request_box_new(struct listener *l)
{
    struct arena arena;
    arena_init(&arena, l->pool, l->conf.request_arena_max_bytes);
    arena_begin(&arena, ARENA_REQUEST_BYTES);
    struct request_box *box = ARENA_NEW(&arena, struct request_box);
    if (!box) {
        return NULL;
    }
    box->rq.arena = arena; /* moved: from here on the arena lies in its own first block */
    arena_init(&box->rq.body_arena, l->pool, l->conf.request_arena_max_bytes);
    return box;
}

/* A small body goes where its request is: every waiting request would hold a block more for it. */
static bool place_small_body(struct request_box *box)
{
    struct http_request *rq = &box->rq;
    int64_t promised = rq->head.content_length;
    if (box->body_cap || promised <= 0 || promised > SMALL_BODY_BYTES ||
        (size_t)promised > arena_left(&rq->arena)) {
        return false;
    }
    box->body_room = arena_alloc(&rq->arena, (size_t)promised);
    box->body_cap = box->body_room ? (size_t)promised : 0;
    rq->body.ptr = box->body_room;
    return box->body_room != NULL;
}

/* What was promised is not believed beyond BODY_FIRST_BYTES: room doubles as bytes arrive. The old
 * room is given back at once, so that what is held stays within twice what was received. */
static COLD enum err grow_body(struct listener *l, struct request_box *box, size_t needed)
{
    struct http_request *rq = &box->rq;
    size_t cap = box->body_cap ? box->body_cap : BODY_FIRST_BYTES;
    int64_t promised = rq->head.content_length;
    struct arena arena;

    while (cap < needed) {
        if (!size_mul(cap, 2, &cap)) {
            return E_NOMEM;
        }
    }
    if (promised >= 0 && (uint64_t)promised >= needed && cap > (uint64_t)promised) {
        cap = (size_t)promised;
    }
    size_t limit = l->conf.inflight_max_bytes;
    if (limit && cap > limit - size_min(limit, l->pool->held_bytes)) {
        return E_NOMEM;
    }
    arena_init(&arena, l->pool,
               l->conf.body_arena_max_bytes ? l->conf.body_arena_max_bytes
                                            : l->conf.request_arena_max_bytes);
    char *grown = arena_alloc(&arena, cap);
    if (!grown) {
        return E_NOMEM;
    }
    if (rq->body.len) {
        memcpy(grown, rq->body.ptr, rq->body.len);
    }
    arena_deinit(&rq->body_arena);
    rq->body_arena = arena;
    box->body_room = grown;
    rq->body.ptr = grown;
    box->body_cap = cap;
    return OK;
}

enum err request_add_body(struct listener *l, struct request_box *box, struct slice body)
{
    struct http_request *rq = &box->rq;
    size_t needed;
    if (!size_add(rq->body.len, body.len, &needed)) {
        return E_NOMEM;
    }
    if (needed > box->body_cap && !place_small_body(box)) {
        enum err e = grow_body(l, box, needed);
        if (e != OK) {
            return e;
        }
    }
    assert(rq->body.ptr == box->body_room && needed <= box->body_cap);
    memcpy(box->body_room + rq->body.len, body.ptr, body.len);
    rq->body.len = needed;
    return OK;
}

struct arena *http_request_body_arena(struct http_request *rq)
{
    return rq->body_arena.blocks ? &rq->body_arena : &rq->arena;
}

void http_request_drop_body(struct http_request *rq)
{
    arena_reset(&rq->body_arena);
    rq->body = SLICE_NONE;
}

void http_request_keep(struct http_request *rq)
{
    rq->is_kept = true;
}

void http_request_free(struct http_request *rq)
{
    if (!rq) {
        return;
    }
    struct arena arena = rq->arena; /* moved out of the memory that it frees */
    arena_deinit(&rq->body_arena);
    arena_deinit(&rq->extra_arena);
    arena_deinit(&arena);
}
