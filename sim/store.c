#include "store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct item {
    enum store_kind kind;
    char *id;
    struct buf json;
    struct buf data;
};

struct store {
    pthread_mutex_t lock;
    struct item items[STORE_ITEMS_MAX]; /* the oldest first */
    size_t n;
    uint64_t last_id;
};

struct store *store_new(void)
{
    struct store *s = xzalloc(sizeof(*s));
    (void)pthread_mutex_init(&s->lock, NULL);
    return s;
}

static struct item *find(struct store *s, enum store_kind kind, struct str id)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->items[i].kind == kind && str_is(id, s->items[i].id)) {
            return &s->items[i];
        }
    }
    return NULL;
}

static void drop(struct store *s, struct item *item)
{
    free(item->id);
    buf_free(&item->json);
    buf_free(&item->data);
    size_t after = (size_t)(&s->items[s->n] - item) - 1;
    memmove(item, item + 1, after * sizeof(*item));
    s->n--;
}

void store_reset(struct store *s)
{
    (void)pthread_mutex_lock(&s->lock);
    while (s->n > 0) {
        drop(s, &s->items[s->n - 1]);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

uint64_t store_next_id(struct store *s)
{
    (void)pthread_mutex_lock(&s->lock);
    uint64_t id = ++s->last_id;
    (void)pthread_mutex_unlock(&s->lock);
    return id;
}

void store_put(struct store *s, enum store_kind kind, struct str id, struct str json,
               struct str data)
{
    struct item fresh = {.kind = kind, .id = xdup(id)};
    buf_put(&fresh.json, json);
    buf_put(&fresh.data, data);
    (void)pthread_mutex_lock(&s->lock);
    struct item *old = find(s, kind, id);
    if (old != NULL) {
        drop(s, old);
    } else if (s->n == STORE_ITEMS_MAX) {
        drop(s, &s->items[0]);
    }
    s->items[s->n++] = fresh;
    (void)pthread_mutex_unlock(&s->lock);
}

bool store_get(struct store *s, enum store_kind kind, struct str id, struct buf *out_json,
               struct buf *out_data)
{
    (void)pthread_mutex_lock(&s->lock);
    const struct item *item = find(s, kind, id);
    if (item != NULL && out_json != NULL) {
        buf_put(out_json, buf_view(&item->json));
    }
    if (item != NULL && out_data != NULL) {
        buf_put(out_data, buf_view(&item->data));
    }
    (void)pthread_mutex_unlock(&s->lock);
    return item != NULL;
}

bool store_delete(struct store *s, enum store_kind kind, struct str id)
{
    (void)pthread_mutex_lock(&s->lock);
    struct item *item = find(s, kind, id);
    if (item != NULL) {
        drop(s, item);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return item != NULL;
}

void store_list(struct store *s, enum store_kind kind, struct buf *out)
{
    bool first = true;
    (void)pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n; i++) {
        if (s->items[i].kind == kind) {
            buf_str(out, first ? "" : ",");
            buf_put(out, buf_view(&s->items[i].json));
            first = false;
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
}
