/* dialect/front.h -- what the gateway has to do with the clients of a dialect beside the answers to
 * their requests: how an answer's head tells the limits, the list of models, whose a path or a head
 * is, where a request tells its conversation.
 *
 * Sans-I/O like the rest of dialect/: texts are written into what the caller hands over.
 */
#ifndef DIALECT_FRONT_H
#define DIALECT_FRONT_H

#include "core/text.h"
#include "wire/http1.h"

struct dialect;
struct chat_ask;
struct conversation;

/* What is left of the gateway's own limits. A limit of -1: there is none. */
struct dialect_rates {
    int64_t requests_limit, requests_left, requests_reset_ns; /* reset: until it is whole again */
    int64_t tokens_limit, tokens_left, tokens_reset_ns;
    int64_t now_unix_ns;
};

/* A model that the asking key may use. */
struct dialect_model {
    struct slice name;
    struct slice owner;      /* the provider that answers first */
    int64_t created_unix_ns; /* nobody's launch dates are known: the process's start */
};

struct dialect_front {
    /* Its clients' paths begin so, whatever follows: what no route serves is refused in its words.
     * Empty: it has no paths that are its alone. */
    struct slice path;
    /* Its clients send this header: it tells them apart on a path that dialects share. Empty: they
     * are who asks without another's header. */
    struct slice client_header;
    /* The answer's header that names the request, beside x-request-id; empty: none. */
    struct slice request_id_header;

    /* Head lines of what is left of the limits, each whole or not at all. */
    void (*render_rates)(const struct dialect_rates *r, struct text *out);

    /* GET of the list of models is open, models with commas between, close; GET of one model is the
     * model alone. first, last: names in the list, empty when there is none. */
    struct slice models_open;
    void (*render_model)(const struct dialect_model *m, struct text *out);
    void (*close_models)(struct slice first, struct slice last, struct text *out);

    /* Where a chat request that scan() has read tells its conversation (dialect/conversation.h);
     * *out comes zeroed. NULL: the dialect has no requests. */
    void (*find_conversation)(struct arena *a, const struct chat_ask *ask,
                              struct conversation *out);
};

/* OpenAI's names and Go's durations; also what dialects without names of their own use. */
void front_render_rates(const struct dialect_rates *r, struct text *out);
/* Go's duration format: "120ms", "1s", "6m0s". */
void front_go_duration(int64_t ns, struct text *out);
/* OpenAI's list of models, in parts as above. */
#define FRONT_MODELS_OPEN "{\"object\":\"list\",\"data\":["
void front_render_model(const struct dialect_model *m, struct text *out);
void front_close_models(struct slice first, struct slice last, struct text *out);

extern const struct dialect_front front_openai; /* all of the above, and OpenAI's chat requests */

/* Whose clients use such a path, NULL: those of several dialects. */
const struct dialect *dialect_of_path(struct slice path);
/* Of a path that several share: whose clients send such a head, else `otherwise`. */
const struct dialect *dialect_of_head(const struct http_head *head,
                                      const struct dialect *otherwise);

#endif
