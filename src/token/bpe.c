#include "token/bpe.h"

#include "core/check.h"

#include <assert.h>

enum { LOOK_MIN_BYTES = 16 };

/* The piece as bytes: base..filled can be read, the rest up to its end is still in at..end. For a
 * piece that is UTF-8 that is all of it, in place. */
struct view {
    const uint8_t *bytes; /* of base */
    size_t base, filled;
    const uint8_t *at, *end;
    uint8_t *room; /* borrowed, BPE_ROOM_BYTES, for a piece that is not */
    /* The last long look for a token: where, the bytes that decided it, what it found. */
    size_t look_at, look_len;
    uint32_t look_token;
};

/* The greedy way's memory. Positions are 0..pos encoded | pos..high seen | high.. new. */
struct trail {
    uint32_t tokens[BPE_WINDOW]; /* the newest of depth, by place modulo the window */
    uint64_t dead[BPE_WINDOW / 64];
    size_t depth, pos, high;
    size_t sent; /* tokens that went to the ids */
    bool has_dead;
};

static bool is_byte(uint32_t token)
{
    return token < RANKS_BYTES;
}

bool bpe_fits(struct bpe *b, uint32_t left, uint32_t right)
{
    const struct ranks *r = &b->ranks;
    uint32_t limit = UINT32_MAX; /* a merge across the border below it would have come first */
    for (;;) {
        b->steps++;
        uint32_t merged = ranks_merge(r, left, right);
        if (merged != RANKS_NONE && merged < limit) {
            return false;
        }
        if (is_byte(left) && is_byte(right)) {
            return true;
        }
        /* The one merged later is taken apart first; of equal ones the right, as the left merged
         * first. */
        if (left > right) {
            limit = left;
            left = ranks_right(r, left);
        } else {
            limit = right + 1;
            right = ranks_left(r, right);
        }
    }
}

static void view_init(struct view *v, const struct piece *piece, uint8_t *room)
{
    *v = (struct view){.at = piece->at, .end = piece->at + piece->len};
    v->room = room;
    v->bytes = room;
    if (!piece->is_broken) {
        v->bytes = piece->at;
        v->filled = piece->len;
        v->at = v->end;
    }
}

/* A token's length from pos on is in the view, or all there is. What lies BPE_WINDOW before pos
 * goes. */
static void view_fill(struct view *v, size_t pos)
{
    static const uint8_t replacement[] = {0xEF, 0xBF, 0xBD};
    if (v->at == v->end || v->filled - pos >= RANKS_TOKEN_MAX_BYTES) {
        return;
    }
    if (v->filled - v->base + RANKS_TOKEN_MAX_BYTES + 4 > BPE_ROOM_BYTES) {
        size_t gone = pos - size_min(pos, BPE_WINDOW) - v->base;
        memmove(v->room, v->room + gone, v->filled - v->base - gone);
        v->base += gone;
    }
    while (v->at < v->end && v->filled - pos < RANKS_TOKEN_MAX_BYTES) {
        uint32_t cp;
        bool is_broken;
        size_t len = split_decode(v->at, v->end, &cp, &is_broken);
        size_t wide = is_broken ? sizeof(replacement) : len;
        memcpy(v->room + (v->filled - v->base), is_broken ? replacement : v->at, wide);
        v->filled += wide;
        v->at += len;
    }
}

/* The longest token at pos, RANKS_NONE at the end. Long runs have the same long token at each of
 * their bytes, and comparing is far cheaper than looking for it again. */
static uint32_t longest_at(struct bpe *b, struct view *v, size_t pos)
{
    view_fill(v, pos);
    assert(pos >= v->base);
    size_t left = v->filled - pos;
    if (left == 0) {
        return RANKS_NONE;
    }
    const uint8_t *p = v->bytes + (pos - v->base);
    if (v->look_len && left >= v->look_len && v->look_at >= v->base &&
        memcmp(p, v->bytes + (v->look_at - v->base), v->look_len) == 0) {
        b->steps += v->look_len / LOOK_MIN_BYTES;
        return v->look_token;
    }
    uint64_t before = b->steps;
    uint32_t token = ranks_longest(&b->ranks, p, left, &b->steps);
    size_t looked = b->steps - before;
    if (looked >= LOOK_MIN_BYTES && looked <= left) { /* more: the end cut it short */
        v->look_at = pos;
        v->look_len = looked;
        v->look_token = token;
    }
    return token;
}

static void id_put(struct bpe *b, uint32_t token)
{
    if (b->ids->count == b->ids->cap) {
        b->ids->is_lost = true;
        return;
    }
    b->ids->out[b->ids->count++] = token;
}

static bool is_dead(const struct trail *t, size_t pos)
{
    size_t bit = pos % BPE_WINDOW;
    return t->has_dead && pos <= t->high && (t->dead[bit / 64] >> (bit % 64) & 1);
}

static void kill(struct trail *t, size_t pos)
{
    if (!t->has_dead) {
        memset(t->dead, 0, sizeof(t->dead));
        t->has_dead = true;
    }
    t->dead[pos % BPE_WINDOW / 64] |= UINT64_C(1) << (pos % 64);
}

static void push(struct bpe *b, struct trail *t, uint32_t token, size_t end)
{
    if (b->ids && t->depth == t->sent + BPE_WINDOW) {
        id_put(b, t->tokens[t->sent++ % BPE_WINDOW]);
    }
    t->tokens[t->depth++ % BPE_WINDOW] = token;
    t->pos = end;
    while (t->has_dead &&
           t->high < end) { /* the bits of new positions are still those of old ones */
        size_t bit = ++t->high % BPE_WINDOW;
        t->dead[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
    }
    t->high = end > t->high ? end : t->high;
}

/* The longest token that token begins with, itself included, and that fits behind the last one; or
 * RANKS_NONE. */
static uint32_t fitting(struct bpe *b, const struct trail *t, uint32_t token)
{
    if (t->depth == 0 || token == RANKS_NONE) {
        return token;
    }
    uint32_t last = t->tokens[(t->depth - 1) % BPE_WINDOW];
    uint64_t key = ((uint64_t)last << 18 | token) + 1;
    uint64_t *known = &b->known[key * UINT64_C(0x9E3779B97F4A7C15) >> 55];
    static_assert(BPE_KNOWN == 1 << (64 - 55), "the hash picks one of all");
    b->steps++;
    if (*known >> 18 != key) {
        while (token != RANKS_NONE && !bpe_fits(b, last, token)) {
            token = ranks_prefix(&b->ranks, token);
        }
        *known = key << 18 | token;
    }
    return (uint32_t)(*known & RANKS_NONE);
}

/* false: it would have to go back further than it remembers. */
static bool greedy(struct bpe *b, struct view *v, struct trail *t)
{
    uint32_t token = longest_at(b, v, 0);
    for (;;) {
        uint32_t next = fitting(b, t, token);
        while (next != RANKS_NONE && is_dead(t, t->pos + ranks_len(&b->ranks, next))) {
            next = fitting(b, t, ranks_prefix(&b->ranks, next));
        }
        if (next != RANKS_NONE) {
            push(b, t, next, t->pos + ranks_len(&b->ranks, next));
            token = longest_at(b, v, t->pos);
            if (token == RANKS_NONE) {
                return true;
            }
            continue;
        }
        assert(t->depth > 0); /* nothing fits here: the last token goes for a shorter one */
        kill(t, t->pos);
        next = t->tokens[--t->depth % BPE_WINDOW];
        t->pos -= ranks_len(&b->ranks, next);
        token = ranks_prefix(&b->ranks, next);
        if (t->high - t->pos > b->reach) {
            return false;
        }
    }
}

/* ring[p % BPE_RING]: how the bytes before p encode; last is RANKS_NONE where that is not known
 * yet. */
static size_t steady(struct bpe *b, struct view *v)
{
    struct {
        size_t count;
        uint32_t last;
    } ring[BPE_RING];
    for (size_t i = 0; i < BPE_RING; i++) {
        ring[i].count = 0;
        ring[i].last = RANKS_NONE;
    }
    size_t pos = 0;
    for (uint32_t token; (token = longest_at(b, v, pos)) != RANKS_NONE; pos++) {
        uint32_t last = ring[pos % BPE_RING].last;
        size_t count = ring[pos % BPE_RING].count + 1;
        assert(pos == 0 || last != RANKS_NONE);
        ring[pos % BPE_RING].last = RANKS_NONE;
        for (; token != RANKS_NONE; token = ranks_prefix(&b->ranks, token)) {
            size_t to = (pos + ranks_len(&b->ranks, token)) % BPE_RING;
            b->steps++;
            if (ring[to].last == RANKS_NONE && (pos == 0 || bpe_fits(b, last, token))) {
                ring[to].last = token;
                ring[to].count = count;
            }
        }
    }
    return ring[pos % BPE_RING].count;
}

/* Apart, so that the usual piece, which is one token, does not pay for the room. */
static __attribute__((noinline)) size_t count_tokens(struct bpe *b, const struct piece *piece)
{
    ROOM uint8_t room[BPE_ROOM_BYTES];
    ROOM struct trail t;
    struct view v;
    view_init(&v, piece, room);
    t.depth = t.pos = t.high = t.sent = 0;
    t.has_dead = false;
    if (greedy(b, &v, &t)) {
        while (b->ids && t.sent < t.depth) {
            id_put(b, t.tokens[t.sent++ % BPE_WINDOW]);
        }
        return t.depth;
    }
    if (b->ids) {
        b->ids->is_lost = true;
    }
    view_init(&v, piece, room);
    return steady(b, &v);
}

size_t bpe_count(struct bpe *b, const struct piece *piece)
{
    assert(piece->len > 0 && b->reach <= BPE_REACH);
    if (!piece->is_broken && piece->len <= RANKS_TOKEN_MAX_BYTES) {
        uint32_t token = ranks_longest(&b->ranks, piece->at, piece->len, &b->steps);
        if (ranks_len(&b->ranks, token) == piece->len) {
            if (b->ids) {
                id_put(b, token);
            }
            return 1;
        }
    }
    return count_tokens(b, piece);
}
