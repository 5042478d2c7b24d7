#include "gateway/bearer.h"

#include <assert.h>

enum { BEARER_LOOK_MS = 10, BEARER_WAIT_S = 5, STATUS_UNAUTHORIZED = 401 };

static const struct route_key *key_picked(const struct exchange *x)
{
    const struct route_provider *p = x->plan.targets[x->choice.target].provider;
    return x->choice.key == SIZE_MAX ? NULL : &p->keys[x->choice.key];
}

bool bearer_waits(struct exchange *x, loop_timer_fn look_again)
{
    const struct route_key *key = key_picked(x);
    int64_t now_ns = loop_now_ns(x->worker->loop);
    if (!key || !key->credential ||
        credential_take(key->credential, now_ns, NULL) != CREDENTIAL_WAITING) {
        x->bearer_until_ns = 0;
        return false;
    }
    if (x->bearer_until_ns == 0) {
        x->bearer_until_ns = now_ns + BEARER_WAIT_S * NS_PER_S;
    }
    if (now_ns >= x->bearer_until_ns) {
        x->bearer_until_ns = 0;
        return false;
    }
    x->action = "waiting for the provider's access token";
    x->upstream_ns += BEARER_LOOK_MS * NS_PER_MS; /* not our overhead */
    loop_timer_set(x->worker->loop, &x->timer, now_ns + BEARER_LOOK_MS * NS_PER_MS, look_again);
    return true;
}

enum err bearer_take(struct exchange *x)
{
    const struct route_key *key = key_picked(x);
    credential_unref(TAKE(x->bearer));
    if (!key || !key->credential) {
        return OK;
    }
    int64_t now_ns = loop_now_ns(x->worker->loop);
    return credential_take(key->credential, now_ns, &x->bearer) == CREDENTIAL_READY ? OK
                                                                                    : E_CREDENTIAL;
}

struct slice bearer_lines(const struct exchange *x)
{
    const struct route_key *key = key_picked(x);
    assert(!x->bearer || (key && key->credential));
    return x->bearer ? secret_slice(&x->bearer->line) : key ? key->auth_headers : SLICE_NONE;
}

bool bearer_renews(struct exchange *x, const struct failure *why)
{
    const struct route_key *key = key_picked(x);
    if (!key || !x->bearer || why->error != OK || why->status != STATUS_UNAUTHORIZED ||
        x->is_bearer_renewed) {
        return false;
    }
    x->is_bearer_renewed =
        credential_refuse(key->credential, x->bearer, loop_now_ns(x->worker->loop));
    return x->is_bearer_renewed;
}

/* --- the worker's part -------------------------------------------------------------------------
 */

/* The first provider that uses it. */
static struct slice provider_of(const struct worker *w, const struct credential_source *source)
{
    const struct gateway_conf *conf = versions_current(&w->versions);
    for (size_t i = 0; i < conf->provider_count; i++) {
        if (conf->providers[i].key_count && conf->providers[i].keys[0].credential == source) {
            return conf->providers[i].name;
        }
    }
    return SLICE_NONE; /* of an earlier version */
}

static void on_report(void *ctx, const struct credential_report *report)
{
    struct worker *w = ctx;
    enum log_level level = report->is_done ? LOG_INFO : LOG_WARNING;
    const char *what = report->is_done ? "access token received" : "no access token";
    if (!report->is_news || !log_begin(w->log, level, what)) {
        return;
    }
    LOG_STR(w->log, "provider", provider_of(w, report->source));
    LOG_STR(w->log, "source", report->where);
    if (!report->is_done) {
        LOG_STR(w->log, "error", report->why);
        LOG_I64(w->log, "again_in_s", report->again_s);
    } else if (report->valid_s) {
        LOG_I64(w->log, "valid_s", report->valid_s);
    }
    log_end(w->log);
}

void bearer_init(struct worker *w)
{
    credential_fetcher_init(&w->fetcher, w->loop, w->upstream, w->gateway->offload, on_report, w);
}

void bearer_tick(struct worker *w)
{
    const struct gateway_conf *conf = versions_current(&w->versions);
    for (size_t i = 0; i < conf->provider_count; i++) {
        struct route_provider *p = &conf->providers[i];
        if (p->key_count && p->keys[0].credential) {
            credential_fetch_if_due(&w->fetcher, p->keys[0].credential);
        }
    }
}

void bearer_close(struct worker *w)
{
    credential_fetcher_close(&w->fetcher);
}
