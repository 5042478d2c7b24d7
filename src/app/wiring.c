#include "app/wiring.h"

#include "app/admin_key.h"
#include "app/reload.h"
#include "app/signals.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WHY_BYTES = 512, OFFLOAD_THREADS = 2, WORKER_STACK_BYTES = 512 * 1024 };

struct app {
    struct gateway gateway;
    struct admin admin;
    struct reload reload;
    pthread_t *threads;
    size_t thread_count;
    size_t inited_workers;
    bool is_first_start; /* the admin key was made now */
    char why[WHY_BYTES];
};

static const struct gateway_conf *conf_of(struct app *app)
{
    return atomic_load(&app->gateway.conf.current);
}

static int complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "llm-gateway: %s: %s\n", what, why);
    return 1;
}

/* --- rank 0 to 4: shared objects ---------------------------------------------------------------
 */

static enum err open_data(struct app *app, const struct gateway_conf *conf)
{
    struct gateway *g = &app->gateway;
    enum err e = store_open(&conf->store, &g->store, app->why, sizeof(app->why));
    if (e == OK) {
        e = ledger_open(&conf->ledger, g->store, g->log, &g->ledger, app->why, sizeof(app->why));
    }
    if (e == OK) {
        signals_watch_journal(g->ledger);
        e = pins_open(&conf->pins, &g->pins, app->why, sizeof(app->why));
    }
    if (e == OK) {
        signals_watch_pins(g->pins);
    }
    return e;
}

static enum err make_shared(struct app *app, const struct gateway_conf *conf)
{
    struct gateway *g = &app->gateway;
    struct directory_hooks hooks = gateway_directory_hooks(g);
    g->epoch = epoch_new();
    enum err e = g->epoch ? limit_new(NULL, &g->limit) : E_NOMEM;
    if (e == OK) {
        e = directory_new(g->epoch, &hooks, &g->directory);
    }
    if (e == OK) {
        e = cache_new(conf->cache_max_bytes, conf->cache_entry_max_bytes, &g->cache);
    }
    if (e == OK) {
        e = metric_registry_new(conf->workers, conf->metrics_tenants_max, &g->metrics);
    }
    if (e == OK) {
        e = offload_new(OFFLOAD_THREADS, &g->offload);
    }
    if (e == OK) {
        e = tls_clients_new(&g->tls);
    }
    return e;
}

/* The directory and the limits are read on the store's writer thread, which owns the database. */
struct first_load {
    struct store_job job;
    struct gateway *gateway;
    pthread_mutex_t lock;
    pthread_cond_t is_over;
    bool is_done;
    enum err result;
};

static void run_first_load(struct store_job *job, struct store_db *db)
{
    struct first_load *load = CONTAINER_OF(job, struct first_load, job);
    enum err e = E_DB;
    if (db) {
        gateway_refresh_directory(load->gateway, db);
        e = gateway_restore_limits(load->gateway, db);
    }
    pthread_mutex_lock(&load->lock);
    load->result = e;
    load->is_done = true;
    pthread_cond_signal(&load->is_over);
    pthread_mutex_unlock(&load->lock);
}

static enum err load_directory(struct app *app)
{
    struct first_load load = {.job = {.run = run_first_load},
                              .gateway = &app->gateway,
                              .lock = PTHREAD_MUTEX_INITIALIZER,
                              .is_over = PTHREAD_COND_INITIALIZER};
    enum err e = store_submit_write(app->gateway.store, &load.job);
    if (e != OK) {
        return e;
    }
    pthread_mutex_lock(&load.lock);
    while (!load.is_done) {
        pthread_cond_wait(&load.is_over, &load.lock);
    }
    pthread_mutex_unlock(&load.lock);
    return load.result;
}

/* --- rank 5: workers ---------------------------------------------------------------------------
 */

static enum err make_workers(struct app *app, const struct gateway_conf *conf)
{
    struct gateway *g = &app->gateway;
    g->worker_count = conf->workers;
    g->workers = calloc(conf->workers, sizeof(*g->workers));
    app->threads = calloc(conf->workers, sizeof(*app->threads));
    if (!g->workers || !app->threads) {
        return E_NOMEM;
    }
    for (size_t i = 0; i < conf->workers; i++) {
        app->inited_workers = i + 1;
        enum err e = worker_init(&g->workers[i], g, i);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

/* 0, or the exit status after saying which address could not be had. */
static int open_ports(struct app *app)
{
    struct gateway *g = &app->gateway;
    for (size_t i = 0; i < g->worker_count; i++) {
        errno = 0;
        if (worker_listen(&g->workers[i]) != OK) {
            const struct listen_conf *l = &conf_of(app)->listen;
            (void)fprintf(
                stderr, "llm-gateway: cannot listen on %.*s:%d: %s%s\n", SLICE_ARG(l->host),
                l->port, errno ? strerrordesc_np(errno) : "the address is not usable",
                errno == EADDRINUSE ? " (another process holds it, perhaps another llm-gateway; "
                                      "see `ss -ltnp`, or choose another PORT)"
                                    : "");
            return 1;
        }
    }
    return 0;
}

static enum err start_threads(struct app *app)
{
    pthread_attr_t attr;
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES);
    enum err e = OK;
    for (size_t i = 0; i < app->gateway.worker_count && e == OK; i++) {
        if (pthread_create(&app->threads[i], &attr, worker_run, &app->gateway.workers[i]) != 0) {
            e = E_NOMEM;
        } else {
            app->thread_count++;
        }
    }
    (void)pthread_attr_destroy(&attr);
    return e;
}

/* --- start, serve, stop ------------------------------------------------------------------------
 */

static void hello(struct app *app)
{
    const struct gateway_conf *conf = conf_of(app);
    struct gateway *g = &app->gateway;
    uint16_t port = listener_port(g->workers[0].ports[0].listener);
    log_event(g->log, LOG_INFO, "llm-gateway listens on %.*s:%d with %zu worker%s, %zu provider%s",
              SLICE_ARG(conf->listen.host), port, conf->workers, conf->workers == 1 ? "" : "s",
              conf->provider_count, conf->provider_count == 1 ? "" : "s");
    if (conf->provider_count == 0) {
        log_event(
            g->log, LOG_WARNING,
            "no provider is configured: set OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY or LOCAL_BASE_URL, or list providers in a file");
    }
    if (app->is_first_start) {
        admin_key_announce(conf);
    }
}

/* SIGTERM: ready turns 503, accepting goes on for drain_delay, then running requests finish up to
 * drain. */
static void drain(struct app *app)
{
    struct gateway *g = &app->gateway;
    pthread_mutex_lock(&app->reload.lock); /* the admin API may be publishing */
    int64_t delay_ns = conf_of(app)->drain_delay_ns;
    pthread_mutex_unlock(&app->reload.lock);
    atomic_store(&g->is_unready, true);
    log_event(g->log, LOG_INFO, "draining");
    signals_sleep(delay_ns);
    for (size_t i = 0; i < app->thread_count; i++) {
        worker_drain(&g->workers[i]);
    }
    for (size_t i = 0; i < app->thread_count; i++) {
        (void)pthread_join(app->threads[i], NULL);
    }
    app->thread_count = 0;
}

static void serve(struct app *app)
{
    for (;;) {
        switch (signals_wait(reload_poll_ns(&app->reload))) {
        case SIGNALS_STOP: drain(app); return;
        case SIGNALS_RELOAD: reload_run(&app->reload, "SIGHUP"); break;
        case SIGNALS_TIMEOUT:
            if (reload_is_due(&app->reload)) {
                reload_run(&app->reload, "the file has changed");
            }
            break;
        }
    }
}

static void tear_down(struct app *app)
{
    struct gateway *g = &app->gateway;
    for (size_t i = 0; i < app->inited_workers; i++) {
        worker_close(&g->workers[i]);
    }
    ledger_close(g->ledger);
    signals_watch_journal(NULL);
    store_close(g->store);
    offload_free(g->offload);
    for (size_t i = 0; i < app->inited_workers;
         i++) { /* jobs came back to their loops until here */
        worker_deinit(&g->workers[i]);
    }
    conf_publisher_deinit(&g->conf);
    signals_watch_pins(NULL);
    pins_close(g->pins);
    tls_clients_free(g->tls);
    directory_free(g->directory);
    limit_free(g->limit);
    cache_free(g->cache);
    metric_registry_free(g->metrics);
    if (g->epoch) {
        epoch_free(g->epoch);
    }
    credentials_free(g->credentials);
    health_free(g->health);
    reload_deinit(&app->reload);
    if (g->log) {
        log_event(g->log, LOG_INFO, "stopped");
    }
    log_free(g->log);
    free(g->workers);
    free(app->threads);
    free(app);
}

/* Large bodies come and go in mappings of their own. Left alone, the allocator raises this bound to
 * the largest it has seen freed and keeps the holes: twice the memory after a few of them. */
static void bound_allocator(void)
{
    enum { OWN_MAPPING_BYTES = 1 << 20 };
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet */
    (void)mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES);
}

/* Keys and prompts must not end up in a core file. */
static void harden_process(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)umask(077);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static int start(struct app *app, struct gateway_conf *conf)
{
    struct gateway *g = &app->gateway;
    g->instance = id_random();
    g->started_unix_ns = clock_unix_ns();
    (void)snprintf(g->via, sizeof(g->via), "llm-gateway-%02x%02x%02x%02x", g->instance.bytes[0],
                   g->instance.bytes[1], g->instance.bytes[2], g->instance.bytes[3]);
    conf_publisher_init(&g->conf, conf->workers);
    if (conf_publish(&g->conf, conf) != OK) {
        gateway_conf_free(conf);
        return complain("start", "the configuration could not be published");
    }
    if (log_new(STDOUT_FILENO, conf->log_level, &g->log) != OK) {
        return complain("log", "cannot start");
    }
    if (open_data(app, conf) != OK) {
        return complain("data", app->why);
    }
    enum err e =
        admin_key_ready(conf, &g->admin_key_hash, &app->is_first_start, app->why, sizeof(app->why));
    if (e != OK) {
        return complain("admin key", app->why);
    }
    e = make_shared(app, conf);
    if (e == OK) {
        e = load_directory(app);
    }
    if (e == OK) {
        g->admin = &app->admin;
        g->doors = &admin_doors;
        e = make_workers(app, conf);
    }
    if (e != OK) {
        return complain("start", err_text(e));
    }
    int status = open_ports(app);
    if (status == 0) {
        hello(app); /* before there are threads that could publish another configuration */
    }
    if (status == 0 && start_threads(app) != OK) {
        status = complain("start", "no thread could be made");
    }
    return status;
}

int app_serve(const struct config_sources *sources)
{
    struct app *app = calloc(1, sizeof(*app));
    struct gateway_conf *conf = NULL;
    if (!app || health_new(&app->gateway.health) != OK ||
        credentials_new(&app->gateway.credentials) != OK) {
        if (app) {
            health_free(app->gateway.health);
        }
        free(app);
        return complain("start", "out of memory");
    }
    bound_allocator();
    harden_process();
    if (!reload_init(&app->reload, sources, &app->gateway, &conf)) { /* said what is wrong */
        credentials_free(app->gateway.credentials);
        health_free(app->gateway.health);
        reload_deinit(&app->reload);
        free(app);
        return 1;
    }
    app->admin = (struct admin){
        .gateway = &app->gateway, .on_reload = reload_by_admin, .reload_ctx = &app->reload};
    signals_init();
    int status = start(app, conf);
    if (status == 0) {
        serve(app);
    }
    tear_down(app);
    return status;
}
