/* admin/admin.h -- the other door: health, metrics, documents, and the admin API under
 * {API_V1_STR}/admin.
 *
 * Everything below admin/ needs the admin key; a request that changes something writes audit_log in
 * the same transaction and takes effect in this process before it is answered. Bodies are strict:
 * an unknown member is a 422 that names it.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "gateway/door.h"

/* What the doors need beyond the gateway. Lives as long as it. */
struct admin {
    struct gateway *gateway;
    /* POST reload: reads the configuration again; false with the reasons, one a line, in out.
     * Called on the store's writer thread. NULL: reload is not available. */
    bool (*on_reload)(void *ctx, struct text *out);
    void *reload_ctx;
};

/* For gateway.doors; gateway.admin is the struct admin. */
extern const struct door_table admin_doors;

#endif
