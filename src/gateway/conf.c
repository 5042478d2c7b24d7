#include "gateway/conf.h"

#include <stdlib.h>

void gateway_conf_free(struct gateway_conf *conf)
{
    if (!conf) {
        return;
    }
    for (size_t i = 0; i < conf->provider_count; i++) {
        for (size_t k = 0; k < conf->providers[i].key_count; k++) {
            secret_deinit(&conf->providers[i].keys[k].secret);
            secret_deinit(&conf->providers[i].keys[k].auth_secret);
            credential_source_unref(conf->providers[i].keys[k].credential);
        }
    }
    secret_deinit(&conf->admin_key);
    secret_deinit(&conf->secret_key);
    arena_deinit(&conf->arena);
    free(conf);
}
