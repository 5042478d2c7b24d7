#include "ledger/openmap.h"

#include <assert.h>

enum { OPENMAP_MIN = 64 };

static size_t home_of(const struct openmap *m, struct id id)
{
    uint64_t h = id_hash(id);
    return (size_t)(h ^ (h >> 32)) & (m->cap - 1);
}

/* Where the id is, or the free place where it would go. */
static size_t place_of(const struct openmap *m, struct id id)
{
    size_t at = home_of(m, id);
    while (m->places[at].segment && !id_eq(m->places[at].id, id)) {
        at = (at + 1) & (m->cap - 1);
    }
    return at;
}

static enum err reserve(struct openmap *m, size_t more)
{
    size_t cap = m->cap ? m->cap : OPENMAP_MIN;
    while (cap / 2 < m->count + more) {
        cap *= 2;
    }
    if (cap == m->cap) {
        return OK;
    }
    struct openmap bigger = {.cap = cap, .count = m->count};
    bigger.places = calloc(cap, sizeof(*bigger.places));
    if (!bigger.places) {
        return E_NOMEM;
    }
    for (size_t i = 0; i < m->cap; i++) {
        if (m->places[i].segment) {
            bigger.places[place_of(&bigger, m->places[i].id)] = m->places[i];
        }
    }
    free(m->places);
    *m = bigger;
    return OK;
}

enum err openmap_put(struct openmap *m, const struct open_place *p)
{
    assert(p->segment);
    enum err e = reserve(m, 1);
    if (e == OK) {
        size_t at = place_of(m, p->id);
        m->count += m->places[at].segment == 0;
        m->places[at] = *p;
    }
    return e;
}

void openmap_remove(struct openmap *m, struct id id)
{
    if (!m->count) {
        return;
    }
    size_t hole = place_of(m, id);
    if (!m->places[hole].segment) {
        return;
    }
    m->count--;
    for (size_t at = (hole + 1) & (m->cap - 1); m->places[at].segment;
         at = (at + 1) & (m->cap - 1)) {
        size_t home = home_of(m, m->places[at].id);
        /* It may fill the hole unless its home lies cyclically behind the hole. */
        if (((at - home) & (m->cap - 1)) >= ((at - hole) & (m->cap - 1))) {
            m->places[hole] = m->places[at];
            hole = at;
        }
    }
    m->places[hole].segment = 0;
}

const struct open_place *openmap_find(const struct openmap *m, struct id id)
{
    if (!m->count) {
        return NULL;
    }
    size_t at = place_of(m, id);
    return m->places[at].segment ? &m->places[at] : NULL;
}

void openmap_deinit(struct openmap *m)
{
    free(m->places);
    *m = (struct openmap){0};
}
