/* sim/chat.h -- what was asked, and the templates of chat and text completions. */
#ifndef SIM_CHAT_H
#define SIM_CHAT_H

#include "answer.h"
#include "behaviour.h"
#include "http.h"

#include <yyjson.h>

/* One request to the API, taken apart. Everything is borrowed but b. */
struct ask {
    const struct request *http;
    yyjson_val *root; /* the body's object */
    struct str model; /* without directives */
    struct behaviour b;
    uint64_t id; /* of the request's bytes: the same request has the same answer */
    int64_t created;
    bool stream;
    bool include_usage;
};

struct str json_str(yyjson_val *v); /* "" when v is no string */

/* param and code may be NULL and are then null. */
void content_error(struct content *c, int64_t status, const char *message, const char *param,
                   const char *code);

/* One SSE event of the content, in the style the behaviour asks for. */
void content_event(struct content *c, const struct behaviour *b, struct str json);

void chat_completion(struct content *c, const struct ask *a);
void text_completion(struct content *c, const struct ask *a);
int64_t count_words(struct str s);

#endif
