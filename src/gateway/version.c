#include "gateway/version.h"

#include <assert.h>
#include <stdatomic.h>

void conf_publisher_init(struct conf_publisher *p, size_t worker_count)
{
    *p = (struct conf_publisher){.worker_count = worker_count, .next_version = 1};
}

enum err conf_publish(struct conf_publisher *p, struct gateway_conf *conf)
{
    struct gateway_conf *before = atomic_load(&p->current);
    if (atomic_load(&p->alive) >= VERSIONS_MAX ||
        (before && atomic_load(&before->worker_seen) < (int32_t)p->worker_count)) {
        return E_BUSY;
    }
    atomic_fetch_add(&p->alive, 1);
    conf->version = p->next_version++;
    atomic_store(&conf->worker_refs, (int32_t)p->worker_count);
    atomic_store_explicit(&p->current, conf, memory_order_release);
    return OK;
}

/* This worker has no use for the version any more. */
static void leave(struct conf_publisher *p, struct gateway_conf *conf)
{
    int32_t before = atomic_fetch_sub_explicit(&conf->worker_refs, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1) {
        gateway_conf_free(conf);
        atomic_fetch_sub(&p->alive, 1);
    }
}

void versions_turn(struct worker_versions *v, struct conf_publisher *p)
{
    struct gateway_conf *now = atomic_load_explicit(&p->current, memory_order_acquire);
    if (v->count && v->held[0].conf == now) {
        return;
    }
    atomic_fetch_add(&now->worker_seen,
                     1); /* no version is published before all have seen this one */
    if (v->count && v->held[0].exchanges == 0) {
        leave(p, v->held[0].conf);
        v->held[0].conf = now;
        return;
    }
    assert(v->count < VERSIONS_MAX);
    for (size_t i = v->count; i > 0; i--) {
        v->held[i] = v->held[i - 1];
    }
    v->held[0].conf = now;
    v->held[0].exchanges = 0;
    v->count++;
}

void versions_acquire(struct worker_versions *v, struct gateway_conf *conf)
{
    assert(v->count && v->held[0].conf == conf);
    (void)conf;
    v->held[0].exchanges++;
}

void versions_release(struct worker_versions *v, struct conf_publisher *p,
                      struct gateway_conf *conf)
{
    size_t i = 0;
    while (i < v->count && v->held[i].conf != conf) {
        i++;
    }
    assert(i < v->count && v->held[i].exchanges > 0);
    if (--v->held[i].exchanges == 0 && i > 0) {
        for (size_t k = i + 1; k < v->count; k++) {
            v->held[k - 1] = v->held[k];
        }
        v->count--;
        leave(p, conf);
    }
}

void versions_deinit(struct worker_versions *v, struct conf_publisher *p)
{
    for (size_t i = 0; i < v->count; i++) {
        leave(p, v->held[i].conf);
    }
    v->count = 0;
}

/* Only the current one can be left: none is published before all have seen the one before it. */
void conf_publisher_deinit(struct conf_publisher *p)
{
    assert(atomic_load(&p->alive) <= 1);
    if (atomic_load(&p->alive)) {
        gateway_conf_free(atomic_load(&p->current));
    }
    *p = (struct conf_publisher){.worker_count = 0};
}
