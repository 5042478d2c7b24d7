/* dialect/write.h -- private to src/dialect: requests to providers: members of JSON objects,
 * written one after another, and the names of what could not be said in them. */
#ifndef DIALECT_WRITE_H
#define DIALECT_WRITE_H

#include "core/text.h"
#include "dialect/ask.h"

/* A neutral request on its way into a provider's words. Behind the first five, each dialect uses
 * what it needs. */
struct writer {
    struct text t;
    struct text dropped; /* drop_name() */
    const struct chat_request *r;
    const struct encode_options *o;
    struct arena *arena;
    size_t looks;          /* for the names of results, bounded */
    size_t markers;        /* of caches, written */
    size_t documents;      /* written; each needs a name of its own */
    size_t calls_at;       /* the message whose calls the results at hand answer */
    uint64_t answered;     /* bit i: its part i has its result; Responses: so many have */
    bool is_claude;        /* what only Claude knows may be sent */
    bool takes_markers;    /* the model does */
    bool is_thinking;      /* thinking was asked for */
    bool has_conversation; /* there is more than system messages */
};

/* Of a body that is empty so far. */
struct writer write_begin(struct arena *a, const struct chat_request *r,
                          const struct encode_options *o, struct body_parts *out);

/* Appends a name to a comma-separated list, once. */
void drop_name(struct text *list, struct slice name);
/* The names of the members of the JSON object extras, which may be empty. */
void drop_extras(struct text *list, struct slice extras);

static inline void write_drop(struct writer *w, const char *name)
{
    drop_name(&w->dropped, slice_str(name));
}

/* Names a member that there are no words for; a value that asks for nothing is not missed. */
static inline void write_drop_if(struct writer *w, const char *name, struct slice value,
                                 struct slice nothing)
{
    if (value.len && !slice_eq(value, nothing)) {
        write_drop(w, name);
    }
}

/* A whole body, and what is missing in it. */
static inline enum err write_end(const struct text *t, const struct text *dropped,
                                 struct body_parts *out)
{
    out->parts[out->count++] = text_slice(t);
    out->bytes = t->len;
    out->dropped = text_slice(dropped);
    return t->is_full || dropped->is_full ? E_NOMEM : OK;
}

/* Whether tool_choice leaves the tool in: all of them, or those that allowed_tools names. */
static inline bool write_allows_tool(const struct chat_request *r, struct slice name)
{
    for (size_t i = 0; i < r->allowed_tool_count; i++) {
        if (slice_eq(r->allowed_tools[i], name)) {
            return true;
        }
    }
    return !r->allowed_tools;
}

static inline void write_string(struct text *t, const char *name, struct slice value)
{
    text_add_json_key(t, name);
    text_add_json_string(t, value);
}

static inline void write_string_if(struct text *t, const char *name, struct slice value)
{
    if (value.len) {
        write_string(t, name, value);
    }
}

static inline void write_raw(struct text *t, const char *name, struct slice json)
{
    text_add_json_key(t, name);
    text_add(t, json);
}

static inline void write_raw_if(struct text *t, const char *name, struct slice json)
{
    if (json.len) {
        write_raw(t, name, json);
    }
}

static inline void write_bool(struct text *t, const char *name, bool value)
{
    write_raw(t, name, value ? SLICE("true") : SLICE("false"));
}

static inline void write_count(struct text *t, const char *name, int64_t value)
{
    text_add_json_key(t, name);
    text_add_i64(t, value);
}

/* Arguments of a call as the object that an API wants. */
void write_arguments(struct text *t, struct slice arguments, bool is_custom);

/* The comma that a list needs before its next element. */
static inline void write_next(struct text *t)
{
    if (t->len && t->ptr[t->len - 1] != '[') {
        text_add_char(t, ',');
    }
}

/* {  of the next element of a list. */
static inline void write_element(struct text *t)
{
    write_next(t);
    text_add_char(t, '{');
}

#endif
