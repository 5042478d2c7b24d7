/* sim/behaviour.h -- how one answer departs from the plain one.
 *
 * The directives are the rows of behaviour.def. They come from the model name's suffix and from
 * script entries; a script entry is applied last. Kinds of value:
 *   COUNT     a number                    SIZE      a number with K or M
 *   DURATION  a number of ms, or with us, ms, s
 *   FLAG      no value, 1, true
 *   TEXT      as it stands
 *   POSITION  N: after N bytes of the body as it stands on the wire; hN: after N bytes of the
 * answer, head included; cN: after N events (or pieces) "header.<name>=<value>" adds a header line.
 */
#ifndef SIM_BEHAVIOUR_H
#define SIM_BEHAVIOUR_H

#include "buf.h"

struct position {
    char unit; /* 0: not set, 'b' body bytes, 'h' answer bytes, 'c' pieces */
    int64_t n;
};

struct behaviour {
    int64_t status;
    char *message;
    char *type;
    char *code;
    char *body;
    char *content_type;
    char *retry_after;
    char *retry_after_ms;
    char *fixture;
    char *content;
    char *finish;
    char *malformed;
    char *usage;
    char *stale_next;
    char *tool;
    char *args;
    char *reasoning;
    int64_t delay_ns;
    int64_t body_delay_ns;
    int64_t rate_ns;
    int64_t stall_ns;
    int64_t tokens; /* counts: -1 is not set */
    int64_t token_bytes;
    int64_t size;
    int64_t prompt_tokens;
    int64_t completion_tokens;
    int64_t cached_tokens;
    int64_t cache_write_tokens;
    int64_t reasoning_tokens;
    int64_t calls;
    int64_t error_at;
    int64_t comments;
    int64_t interim;
    int64_t interims;
    int64_t chunk;
    struct position reset_at;
    struct position close_at;
    struct position stall_at;
    bool error_event;
    bool no_done;
    bool crlf;
    bool nospace;
    bool close;
    bool until_close;
    bool http10;
    bool stale;
    bool flush;
    bool trailer;
    bool chunk_ext;
    bool early;
    struct buf headers; /* whole header lines, each with CR LF */
};

void behaviour_init(struct behaviour *b);
void behaviour_deinit(struct behaviour *b);

/* False when there is no such directive or its value does not parse. */
bool behaviour_set(struct behaviour *b, struct str name, struct str value);

/* Takes the next directive off "directive;directive"; false at the end. A value that begins with a
 * brace or bracket and is closed goes to where it is closed, so that JSON may hold semicolons. */
bool behaviour_next(struct str *rest, struct str *out_name, struct str *out_value);

/* Splits "base;directive;directive" and applies the directives. out_base is borrowed from model; on
 * false out_bad names the directive that was not understood. */
bool behaviour_of_model(struct behaviour *b, struct str model, struct str *out_base,
                        struct str *out_bad);

bool behaviour_is(const char *value, const char *lit); /* NULL-safe equality */
void behaviour_help(struct buf *out);

#endif
