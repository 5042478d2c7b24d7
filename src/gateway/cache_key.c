#include "gateway/cache_key.h"

#include "cache/fingerprint.h"

#include <stdlib.h>

enum { KEY_MEMO_SLOTS = 256 }; /* 16 KiB a worker, from its first cacheable request on */

struct key_memo {
    struct sha256 raw, key;
};

/* The dialect of the first attempt. */
static const struct dialect *told_in(const struct exchange *x)
{
    return route_dialect(&x->plan.targets[0], x->client, x->route->op);
}

/* The request's text for the fingerprint: the client's own, or what the provider would get. */
static enum err canonical_body(struct exchange *x, struct arena *a, struct slice *out)
{
    if (x->client->forward) {
        *out = x->rq->body;
        return OK;
    }
    struct body_parts parts = {0};
    const struct route_target *first = &x->plan.targets[0];
    struct encode_options o = {
        .model = x->ask.model, .profile = &first->facts.profile, .output_cap_tokens = -1};
    enum err e = told_in(x)->encode_request(a, x->ask.neutral, &o, &parts);
    if (e != OK) {
        return e;
    }
    struct text joined = text_growing(a);
    for (size_t i = 0; i < parts.count; i++) {
        text_add(&joined, parts.parts[i]);
    }
    *out = text_slice(&joined);
    return joined.is_full ? E_NOMEM : OK;
}

/* Texts of different dialects are different requests, though they may mean the same. */
static struct slice cache_operation(const struct exchange *x, struct arena *a)
{
    static const char *const operations[CHAT_OPERATIONS] = {"chat", "completion", "embedding",
                                                            "moderation", "count_tokens"};
    const struct dialect *d = x->client->forward ? x->client : told_in(x);
    struct text t = text_growing(a);
    text_add(&t, slice_str(d->name));
    text_add_char(&t, ' ');
    text_add(&t, slice_str(operations[x->route->op]));
    return t.is_full ? SLICE_NONE : text_slice(&t);
}

/* All that the fingerprint depends on. No part but the last can hold a line feed. */
static struct sha256 raw_hash(const struct exchange *x, struct slice operation)
{
    const struct slice parts[] = {
        slice_of((const char *)&x->conf->version, sizeof(x->conf->version)),
        slice_of((const char *)x->who.tenant.bytes, ID_BYTES),
        operation,
        SLICE("\n"),
        x->plan.targets[0].model,
        SLICE("\n"),
        x->rq->body,
    };
    return sha256_of_parts(parts, ARRAY_LEN(parts));
}

static struct key_memo *memo_slot(struct worker *w, const struct sha256 *raw)
{
    if (!w->key_memo) {
        w->key_memo = calloc(KEY_MEMO_SLOTS, sizeof(*w->key_memo));
    }
    return w->key_memo ? &w->key_memo[raw->bytes[0] % KEY_MEMO_SLOTS] : NULL;
}

bool cache_key_make(struct exchange *x)
{
    struct arena scratch;
    struct slice body;
    arena_init(&scratch, &x->worker->blocks, x->conf->listen.request_arena_max_bytes);
    struct slice operation = cache_operation(x, &scratch);
    struct sha256 raw = operation.ptr ? raw_hash(x, operation) : (struct sha256){0};
    struct key_memo *memo = operation.ptr ? memo_slot(x->worker, &raw) : NULL;
    bool is_known = memo && memcmp(memo->raw.bytes, raw.bytes, SHA256_BYTES) == 0;
    bool is_made =
        is_known || (operation.ptr && canonical_body(x, &scratch, &body) == OK &&
                     fingerprint_request(&scratch, x->who.tenant, operation,
                                         x->plan.targets[0].model, body, &x->cache_key) == OK);
    if (is_known) {
        x->cache_key = memo->key;
    } else if (is_made && memo) {
        *memo = (struct key_memo){raw, x->cache_key};
    }
    arena_deinit(&scratch);
    return is_made;
}
