#include "gateway/account.h"
#include "gateway/bearer.h"
#include "gateway/call.h"
#include "gateway/handler.h"
#include "gateway/tick.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

/* Around every wait: readers of shared objects are online only while a turn runs. */
static void on_turn(void *ctx, bool is_idle)
{
    struct worker *w = ctx;
    struct gateway *g = w->gateway;
    if (is_idle) {
        epoch_offline(g->epoch, w->epoch_reader);
    } else {
        epoch_online(g->epoch, w->epoch_reader);
        versions_turn(&w->versions, &g->conf);
    }
}

enum err worker_init(struct worker *w, struct gateway *g, size_t index)
{
    *w = (struct worker){.gateway = g, .index = index};
    const struct gateway_conf *conf = atomic_load(&g->conf.current);
    list_init(&w->live);
    arena_pool_init(&w->blocks);
    id_source_init(&w->ids);
    rand_bytes(&w->random_state, sizeof(w->random_state));
    w->copy = malloc(WORKER_COPY_BYTES);
    enum err e = w->copy ? epoch_join(g->epoch, &w->epoch_reader) : E_NOMEM;
    if (e == OK) {
        e = loop_new(&w->loop);
    }
    if (e == OK) {
        e = dns_new(w->loop, g->offload, conf->dns_ttl_ns, &w->dns);
    }
    if (e == OK) {
        e = upstream_new(w->loop, w->dns, &conf->upstream, &w->upstream);
    }
    if (e != OK) {
        return e;
    }
    upstream_share_tls(w->upstream, g->tls);
    w->ledger = ledger_worker(g->ledger, index);
    w->metrics = metric_shard(g->metrics, index);
    w->log = log_ring_new(g->log);
    bearer_init(w);
    versions_turn(&w->versions, &g->conf);
    loop_set_hook(w->loop, on_turn, w);
    return w->log && w->metrics && w->ledger ? OK : E_NOMEM;
}

static enum err open_port(struct worker *w, struct slice host, uint16_t port, unsigned roles)
{
    assert(w->port_count < WORKER_PORTS_MAX);
    struct worker_port *p = &w->ports[w->port_count];
    *p = (struct worker_port){.worker = w, .roles = roles};
    struct listen_conf conf = versions_current(&w->versions)->listen;
    conf.host = host;
    conf.port = port;
    struct http_handler handler = gateway_handler(p);
    enum err e = listener_new(w->loop, &w->blocks, &conf, &handler, w->index == 0, &p->listener);
    if (e == OK) {
        w->port_count++;
    }
    return e;
}

enum err worker_listen(struct worker *w)
{
    const struct gateway_conf *conf = versions_current(&w->versions);
    unsigned roles = PORT_TENANT | PORT_ADMIN | PORT_METRICS;
    roles &= conf->admin_host.len ? ~(unsigned)PORT_ADMIN : ~0u;
    roles &= conf->metrics_host.len ? ~(unsigned)PORT_METRICS : ~0u;
    enum err e = open_port(w, conf->listen.host, conf->listen.port, roles);
    if (e == OK && w->index == 0 && conf->admin_host.len) {
        e = open_port(w, conf->admin_host, conf->admin_port, PORT_ADMIN);
    }
    if (e == OK && w->index == 0 && conf->metrics_host.len) {
        e = open_port(w, conf->metrics_host, conf->metrics_port, PORT_METRICS);
    }
    return e;
}

void *worker_run(void *worker)
{
    struct worker *w = worker;
    char name[16]; /* the kernel's bound; for top and perf */
    (void)snprintf(name, sizeof(name), "worker-%u", (unsigned)w->index % 1000);
    (void)pthread_setname_np(pthread_self(), name);
    tick_start(w);
    loop_run(w->loop);
    epoch_offline(w->gateway->epoch, w->epoch_reader);
    return NULL;
}

/* --- drain -------------------------------------------------------------------------------------
 */

static bool is_busy(const struct worker *w)
{
    size_t busy = w->live_count;
    for (size_t i = 0; i < w->port_count; i++) {
        busy += listener_busy(w->ports[i].listener);
    }
    return busy > 0;
}

/* Past the deadline: running requests are told, recorded and cut. */
static void cut_live(struct worker *w)
{
    list_each_safe(node, &w->live) {
        struct exchange *x = CONTAINER_OF(node, struct exchange, link);
        if ((x->flight && x->is_follower) || x->is_offloaded) {
            continue; /* its leader's failure is its own; a scan comes back by itself */
        }
        call_cancel(x);
        if ((x->conn || x->is_leader_gone) &&
            (x->state == EXCHANGE_STAGES || x->state == EXCHANGE_STREAMING)) {
            exchange_fail(x,
                          &(struct fault){.kind = FAULT_OVERLOADED,
                                          .message = SLICE("The gateway is shutting down.")},
                          x->state == EXCHANGE_STREAMING ? RECORD_UPSTREAM_CUT : RECORD_ERROR);
        }
    }
}

static void on_drain_timer(struct loop_timer *timer)
{
    enum { DRAIN_POLL_MS = 20, DRAIN_GRACE_S = 1 };
    struct worker *w = CONTAINER_OF(timer, struct worker, drain_timer);
    int64_t now_ns = loop_now_ns(w->loop);
    if (!is_busy(w) || now_ns > w->drain_deadline_ns + DRAIN_GRACE_S * NS_PER_S) {
        loop_stop(w->loop);
        return;
    }
    if (now_ns > w->drain_deadline_ns && !w->is_cut) {
        w->is_cut = true;
        cut_live(w);
    }
    loop_timer_set(w->loop, &w->drain_timer, now_ns + DRAIN_POLL_MS * NS_PER_MS, on_drain_timer);
}

static void on_drain_task(struct loop_task *task)
{
    struct worker *w = CONTAINER_OF(task, struct worker, drain_task);
    w->drain_deadline_ns = loop_now_ns(w->loop) + versions_current(&w->versions)->drain_ns;
    for (size_t i = 0; i < w->port_count; i++) {
        listener_drain(w->ports[i].listener);
    }
    on_drain_timer(&w->drain_timer);
}

void worker_drain(struct worker *w)
{
    w->drain_task.run = on_drain_task;
    loop_post(w->loop, &w->drain_task);
}

void worker_close(struct worker *w)
{
    if (!w->loop) {
        return;
    }
    loop_timer_stop(w->loop, &w->tick);
    loop_timer_stop(w->loop, &w->drain_timer);
    for (size_t i = 0; i < w->port_count; i++) {
        listener_free(w->ports[i].listener); /* on_gone for what still runs */
    }
    w->port_count = 0;
    bearer_close(w);
    upstream_free(TAKE(w->upstream));
    dns_free(TAKE(w->dns));
    w->ledger = NULL; /* closed next; a scan that comes back later was never admitted */
}

void worker_deinit(struct worker *w)
{
    if (w->loop) {
        loop_free(w->loop);
        versions_deinit(&w->versions, &w->gateway->conf);
        arena_pool_deinit(&w->blocks);
    }
    free(w->key_memo);
    free(w->copy);
}
