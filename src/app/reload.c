#include "app/reload.h"

#include <time.h>

enum { RELOAD_POLL_S = 2, RELOAD_BUSY_TRIES = 50, RELOAD_BUSY_WAIT_MS = 20 };

static struct timespec time_of(const char *file)
{
    struct stat st;
    return file && stat(file, &st) == 0 ? st.st_mtim : (struct timespec){0};
}

bool reload_init(struct reload *r, const struct config_sources *sources, struct gateway *gateway,
                 struct gateway_conf **out_conf)
{
    struct config_report report;
    *r = (struct reload){.sources = *sources, .gateway = gateway};
    (void)pthread_mutex_init(&r->lock, NULL);
    r->file_time = time_of(sources->config_file);
    config_report_init(&report);
    enum err e = config_load(sources, gateway->health, gateway->credentials, out_conf, &report);
    config_report_print(&report, stderr);
    config_report_deinit(&report);
    return e == OK;
}

void reload_deinit(struct reload *r)
{
    (void)pthread_mutex_destroy(&r->lock);
}

int64_t reload_poll_ns(const struct reload *r)
{
    return r->sources.config_file ? RELOAD_POLL_S * NS_PER_S : 0;
}

bool reload_is_due(struct reload *r)
{
    struct timespec now = time_of(r->sources.config_file);
    pthread_mutex_lock(&r->lock); /* the admin API reloads on a thread of the store */
    struct timespec seen = r->file_time;
    pthread_mutex_unlock(&r->lock);
    return now.tv_sec != seen.tv_sec || now.tv_nsec != seen.tv_nsec;
}

/* Workers take a version up at their next turn, so a busy publisher is free again within moments.
 */
static enum err publish(struct reload *r, struct gateway_conf *conf)
{
    const struct timespec wait = {.tv_nsec = RELOAD_BUSY_WAIT_MS * NS_PER_MS};
    enum err e = E_BUSY;
    for (int i = 0; i < RELOAD_BUSY_TRIES && e == E_BUSY; i++) {
        if (i) {
            (void)nanosleep(&wait, NULL);
        }
        e = conf_publish(&r->gateway->conf, conf);
    }
    return e;
}

/* Loads and publishes under the lock; report is initialised and says why not. */
static bool load(struct reload *r, struct config_report *report)
{
    struct gateway_conf *conf = NULL;
    r->file_time = time_of(r->sources.config_file);
    r->sources.previous = atomic_load(&r->gateway->conf.current);
    if (config_load(&r->sources, r->gateway->health, r->gateway->credentials, &conf, report) !=
        OK) {
        return false;
    }
    enum log_level level = conf->log_level;
    if (publish(r, conf) != OK) {
        gateway_conf_free(conf);
        TEXT_ADD(&report->errors, "earlier versions are still in use; try again");
        return false;
    }
    log_set_level(r->gateway->log, level);
    return true;
}

void reload_run(struct reload *r, const char *why)
{
    struct config_report report;
    config_report_init(&report);
    pthread_mutex_lock(&r->lock);
    bool is_done = load(r, &report);
    pthread_mutex_unlock(&r->lock);
    struct slice errors = text_slice(&report.errors);
    struct slice warnings = text_slice(&report.warnings);
    if (is_done) {
        log_event(r->gateway->log, LOG_INFO, "configuration reloaded (%s)%s%.*s", why,
                  warnings.len ? ": " : "", SLICE_ARG(warnings));
    } else {
        log_event(r->gateway->log, LOG_ERROR,
                  "reload (%s) refused, the old configuration stays: %.*s", why, SLICE_ARG(errors));
    }
    config_report_deinit(&report);
}

bool reload_by_admin(void *ctx, struct text *out)
{
    struct reload *r = ctx;
    struct config_report report;
    config_report_init(&report);
    pthread_mutex_lock(&r->lock);
    bool is_done = load(r, &report);
    pthread_mutex_unlock(&r->lock);
    text_add(out, text_slice(is_done ? &report.warnings : &report.errors));
    log_event(r->gateway->log, is_done ? LOG_INFO : LOG_ERROR, "reload by admin %s",
              is_done ? "done" : "refused");
    config_report_deinit(&report);
    return is_done;
}
