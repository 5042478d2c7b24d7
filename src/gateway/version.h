/* gateway/version.h -- publishing and retiring configuration versions.
 *
 * The publisher holds the current version. Each worker looks at it once a loop turn and counts its
 * own exchanges per version in plain local counters; the worker that leaves a version last frees
 * it. An exchange keeps the version it began with.
 */
#ifndef GATEWAY_VERSION_H
#define GATEWAY_VERSION_H

#include "gateway/conf.h"

#include <stdatomic.h>

enum {
    VERSIONS_MAX = 8
}; /* versions a worker may hold at once; a reload beyond that waits (E_BUSY) */

struct conf_publisher {
    _Atomic(struct gateway_conf *) current;
    size_t worker_count;
    _Atomic int32_t alive; /* versions not yet freed */
    uint64_t next_version;
};

struct worker_versions {
    struct {
        struct gateway_conf *conf;
        int64_t exchanges;
    } held[VERSIONS_MAX]; /* held[0] is the current one */
    size_t count;
};

void conf_publisher_init(struct conf_publisher *p, size_t worker_count);
/* Moves conf into the publisher. E_BUSY: some worker has not
 * yet seen the version before, or too many old ones are still in use; conf stays the caller's. One
 * thread only. */
MUST_USE enum err conf_publish(struct conf_publisher *p, struct gateway_conf *conf);
/* Once a turn. */
void versions_turn(struct worker_versions *v, struct conf_publisher *p);
static inline struct gateway_conf *versions_current(const struct worker_versions *v)
{
    return v->held[0].conf;
}
void versions_acquire(struct worker_versions *v, struct gateway_conf *conf);
void versions_release(struct worker_versions *v, struct conf_publisher *p,
                      struct gateway_conf *conf);
/* At the end of a worker: leaves every version. */
void versions_deinit(struct worker_versions *v, struct conf_publisher *p);
/* After the last worker's versions_deinit(): frees the version that not every worker took up, when
 * the start failed before or the end came first. */
void conf_publisher_deinit(struct conf_publisher *p);

#endif
