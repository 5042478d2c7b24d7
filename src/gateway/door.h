/* gateway/door.h -- requests that do not go through the pipeline: admin, health, metrics,
 * documents.
 *
 * gateway reads the whole body, then hands a struct door to the table that wiring installed
 * (admin/). The door may be answered at once or later from any job that comes back to the worker's
 * loop; when the client leaves first, conn is NULL and the answer is dropped, but the memory stays
 * until door_reply().
 */
#ifndef GATEWAY_DOOR_H
#define GATEWAY_DOOR_H

#include "gateway/exchange.h"

enum { DOOR_BODY_MAX_BYTES = 1 << 20 };

struct door {
    enum handler_kind handler; /* HANDLER_DOOR; first */
    struct worker *worker;
    struct gateway_conf *conf;
    struct http_conn *conn; /* NULL once the client is gone */
    struct http_request *rq;
    const struct api_route *route;
    struct slice rest; /* of the path below route */
    bool is_replied;
    char id_text[ID_TEXT_BYTES];
    struct loop_task task; /* for jobs that come back */
    void *state;           /* the answerer's; in rq->arena */
};

struct door_table {
    /* Before the body: false when it has replied (401, 404, 405). */
    bool (*on_head)(struct door *d);
    /* Whole body in rq->body. Must lead to exactly one door_reply(), now or later. */
    void (*on_body)(struct door *d);
};

/* body: borrowed until the reply is sent, so in rq->arena or static. headers: complete lines or
 * empty. */
void door_reply(struct door *d, int status, struct slice content_type, struct slice headers,
                struct slice body);
/* {"detail": "..."} */
void door_fail(struct door *d, int status, const char *format, ...) PRINTF(3, 4);

#endif
