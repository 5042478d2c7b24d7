#include "core/check.h"
#include "core/clock.h"
#include "core/text.h"
#include "upstream/credential_state.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    RETRY_FIRST_S = 1,
    RETRY_MAX_S = 15,
    FILE_LOOK_S = 1,
    LIFE_UNKNOWN_S = 300, /* an endpoint that does not say how long: asked again soon */
    LIFE_MIN_S = 1,
    RENEW_BEFORE_MAX_S = 300, /* a fifth of its life, at most this, before the end */
    RENEW_SHARE = 5,
    SPARE_MAX_S = 5, /* not given out in the last moments: it must still be good on arrival */
    SPARE_SHARE = 10,
    REPLACEMENT_STAYS_S = 60,
    SOURCE_TEXT_MAX_BYTES = 65536,
};

struct credentials {
    pthread_mutex_t lock;
    struct list sources;
    size_t count;
};

enum err credentials_new(struct credentials **out)
{
    struct credentials *c = calloc(1, sizeof(*c));
    if (!c) {
        return E_NOMEM;
    }
    (void)pthread_mutex_init(&c->lock, NULL);
    list_init(&c->sources);
    *out = c;
    return OK;
}

void credentials_free(struct credentials *c)
{
    if (c) {
        assert(list_is_empty(&c->sources));
        (void)pthread_mutex_destroy(&c->lock);
        free(c);
    }
}

/* --- sources -----------------------------------------------------------------------------------
 */

/* Each text with its length, so that no two confs look alike. */
static struct sha256 name_of(const struct credential_conf *conf)
{
    const struct slice texts[] = {
        conf->file,    conf->url,         conf->proxy,         conf->no_proxy,
        conf->ca_file, conf->client_id,   conf->client_secret, conf->scope,
        conf->issuer,  conf->private_key, conf->key_id,        conf->audience,
    };
    struct sha256 digests[ARRAY_LEN(texts) + 1] = {{{(uint8_t)conf->grant}}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        digests[i + 1] = sha256_of(texts[i]);
    }
    return sha256_of(slice_of((const char *)digests, sizeof(digests)));
}

static bool copy_texts(struct credential_source *s, const struct credential_conf *conf)
{
    struct credential_conf *to = &s->conf;
    *to = *conf;
    struct slice *texts[] = {&to->file,      &to->url,   &to->proxy,  &to->no_proxy, &to->ca_file,
                             &to->client_id, &to->scope, &to->issuer, &to->key_id,   &to->audience};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        *texts[i] = arena_dup(&s->arena, *texts[i]); /* with a NUL: file names are opened */
        if (!texts[i]->ptr) {
            return false;
        }
    }
    if (secret_set(&s->client_secret, conf->client_secret) != OK ||
        secret_set(&s->private_key, conf->private_key) != OK) {
        return false;
    }
    to->client_secret = secret_slice(&s->client_secret);
    to->private_key = secret_slice(&s->private_key);
    return true;
}

static void source_free(struct credential_source *s)
{
    credential_unref(s->current);
    secret_deinit(&s->client_secret);
    secret_deinit(&s->private_key);
    arena_deinit(&s->arena);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

static enum err source_new(struct credentials *c, const struct credential_conf *conf,
                           struct credential_source **out)
{
    struct credential_source *s = calloc(1, sizeof(*s));
    if (!s) {
        return E_NOMEM;
    }
    (void)pthread_mutex_init(&s->lock, NULL);
    list_init(&s->link);
    arena_init(&s->arena, NULL, SOURCE_TEXT_MAX_BYTES);
    s->registry = c;
    s->refs = 1;
    enum err e = copy_texts(s, conf) ? OK : E_LIMIT;
    if (e == OK && conf->grant != CREDENTIAL_FILE) {
        e = upstream_dest_parse(&s->arena, s->conf.url, s->conf.proxy, s->conf.no_proxy,
                                s->conf.ca_file, &s->dest, &s->path);
    }
    if (e != OK) {
        source_free(s);
        return e;
    }
    *out = s;
    return OK;
}

enum err credential_source_find(struct credentials *c, const struct credential_conf *conf,
                                struct credential_source **out)
{
    struct sha256 name = name_of(conf);
    enum err e = OK;
    pthread_mutex_lock(&c->lock);
    struct credential_source *found = NULL;
    list_each_safe(node, &c->sources) {
        struct credential_source *s = CONTAINER_OF(node, struct credential_source, link);
        if (memcmp(&s->name, &name, sizeof(name)) == 0) {
            found = s;
            break;
        }
    }
    if (found) {
        found->refs++;
    } else {
        e = c->count < CREDENTIALS_MAX ? source_new(c, conf, &found) : E_LIMIT;
        if (e == OK) {
            found->name = name;
            list_append(&c->sources, &found->link);
            c->count++;
        }
    }
    pthread_mutex_unlock(&c->lock);
    if (e == OK) {
        *out = found;
    }
    return e;
}

void credential_source_ref(struct credential_source *s)
{
    pthread_mutex_lock(&s->registry->lock);
    s->refs++;
    pthread_mutex_unlock(&s->registry->lock);
}

void credential_source_unref(struct credential_source *s)
{
    if (!s) {
        return;
    }
    struct credentials *c = s->registry;
    pthread_mutex_lock(&c->lock);
    assert(s->refs > 0);
    bool is_last = --s->refs == 0;
    if (is_last) {
        list_remove(&s->link);
        c->count--;
    }
    pthread_mutex_unlock(&c->lock);
    if (is_last) {
        source_free(s);
    }
}

void credential_counts(const struct credential_source *s, int64_t *out_done, int64_t *out_failed)
{
    *out_done = atomic_load_explicit(&s->done_count, memory_order_relaxed);
    *out_failed = atomic_load_explicit(&s->failed_count, memory_order_relaxed);
}

/* --- tokens ------------------------------------------------------------------------------------
 */

void credential_unref(struct credential *token)
{
    if (token && atomic_fetch_sub_explicit(&token->refs, 1, memory_order_acq_rel) == 1) {
        secret_deinit(&token->line);
        free(token);
    }
}

static struct credential *token_new(struct slice bytes)
{
    static const struct slice before = SLICE_INIT("authorization: Bearer ");
    char room[CREDENTIAL_MAX_BYTES + 64];
    struct text line = text_in(room, sizeof(room));
    struct credential *token = calloc(1, sizeof(*token));
    text_add(&line, before);
    text_add(&line, bytes);
    TEXT_ADD(&line, "\r\n");
    if (token && (line.is_full || secret_set(&token->line, text_slice(&line)) != OK)) {
        free(token);
        token = NULL;
    }
    secret_wipe(room, sizeof(room));
    if (token) {
        atomic_init(&token->refs, 1);
        token->token = slice_of(token->line.ptr + before.len, bytes.len);
    }
    return token;
}

enum credential_state credential_take(struct credential_source *s, int64_t now_ns,
                                      struct credential **out)
{
    enum credential_state state = CREDENTIAL_READY;
    pthread_mutex_lock(&s->lock);
    bool is_good = s->current && !s->is_refused && now_ns < s->current->until_ns;
    if (!is_good) {
        state = s->failures ? CREDENTIAL_FAILED : CREDENTIAL_WAITING;
    } else if (out) {
        (void)atomic_fetch_add_explicit(&s->current->refs, 1, memory_order_relaxed);
        *out = s->current;
    }
    pthread_mutex_unlock(&s->lock);
    return state;
}

bool credential_refuse(struct credential_source *s, const struct credential *token, int64_t now_ns)
{
    bool is_worth = true;
    pthread_mutex_lock(&s->lock);
    if (s->current == token && !s->is_refused) {
        is_worth = !token->is_replacement || now_ns >= s->stays_until_ns;
        s->is_refused = is_worth;
        if (is_worth) {
            s->due_ns = 0;
            s->failures = 0;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return is_worth;
}

/* --- a fetch's begin and end -------------------------------------------------------------------
 */

bool credential_source_begin(struct credential_source *s, int64_t now_ns)
{
    pthread_mutex_lock(&s->lock);
    bool is_mine = !s->is_fetching && now_ns >= s->due_ns;
    s->is_fetching |= is_mine;
    pthread_mutex_unlock(&s->lock);
    return is_mine;
}

void credential_source_abandon(struct credential_source *s)
{
    pthread_mutex_lock(&s->lock);
    s->is_fetching = false;
    pthread_mutex_unlock(&s->lock);
}

/* When to look again, and until when to give it out. */
static void set_times(struct credential_source *s, struct credential *token, int64_t life_ns,
                      int64_t now_ns)
{
    if (s->conf.grant == CREDENTIAL_FILE) {
        token->until_ns = INT64_MAX;
        s->due_ns = now_ns + FILE_LOOK_S * NS_PER_S;
        return;
    }
    life_ns = life_ns ? i64_max(life_ns, LIFE_MIN_S * NS_PER_S) : LIFE_UNKNOWN_S * NS_PER_S;
    token->until_ns = now_ns + life_ns - i64_min(life_ns / SPARE_SHARE, SPARE_MAX_S * NS_PER_S);
    s->due_ns = now_ns + life_ns - i64_min(life_ns / RENEW_SHARE, RENEW_BEFORE_MAX_S * NS_PER_S);
}

/* A file that says what it said: nothing but the time changes. Under the lock. */
static bool is_unchanged(const struct credential_source *s, struct slice bytes)
{
    return s->conf.grant == CREDENTIAL_FILE && s->current && !s->is_refused &&
           slice_eq(s->current->token, bytes);
}

bool credential_source_put(struct credential_source *s, struct slice bytes, int64_t life_ns,
                           int64_t now_ns, bool *out_is_news)
{
    struct credential *old = NULL;
    pthread_mutex_lock(&s->lock);
    bool is_same = is_unchanged(s, bytes);
    pthread_mutex_unlock(&s->lock);
    struct credential *fresh = is_same ? NULL : token_new(bytes); /* one loop alone puts */
    if (!is_same && !fresh) {
        return false;
    }
    pthread_mutex_lock(&s->lock);
    *out_is_news = !is_same || s->failures > 0;
    if (is_same) {
        s->due_ns = now_ns + FILE_LOOK_S * NS_PER_S;
    } else {
        old = s->current;
        fresh->is_replacement = s->is_refused;
        s->stays_until_ns = now_ns + REPLACEMENT_STAYS_S * NS_PER_S;
        set_times(s, fresh, life_ns, now_ns);
        s->current = fresh;
        s->is_refused = false;
    }
    s->failures = 0;
    s->is_fetching = false;
    pthread_mutex_unlock(&s->lock);
    credential_unref(old);
    (void)atomic_fetch_add_explicit(&s->done_count, 1, memory_order_relaxed);
    return true;
}

int64_t credential_source_fail(struct credential_source *s, int64_t now_ns, bool *out_is_news)
{
    pthread_mutex_lock(&s->lock);
    int64_t wait_s = (int64_t)RETRY_FIRST_S << (s->failures < 4 ? s->failures : 4);
    wait_s = i64_min(wait_s, RETRY_MAX_S);
    *out_is_news = s->failures == 0 || s->conf.grant != CREDENTIAL_FILE;
    s->failures++;
    s->is_fetching = false;
    s->due_ns = now_ns + wait_s * NS_PER_S;
    pthread_mutex_unlock(&s->lock);
    (void)atomic_fetch_add_explicit(&s->failed_count, 1, memory_order_relaxed);
    return wait_s;
}
