/* dialect/read.h -- private to src/dialect: what dialects read alike, from spans and, where a
 * request or an answer becomes neutral, from trees. */
#ifndef DIALECT_READ_H
#define DIALECT_READ_H

#include "core/arena.h"
#include "core/check.h"
#include "core/text.h"
#include "dialect/ask.h"
#include "dialect/fault.h"
#include "wire/json.h"
#include "wire/spans.h"

/* A request or an answer on its way into the neutral form. */
struct decoder {
    struct arena *arena;
    struct fault *fault; /* NULL: an answer */
    struct text dropped; /* names of what has no neutral form, drop_name() */
    enum err failed;
    struct slice place;   /* "messages.0.content.1", for faults */
    size_t message, part; /* OpenAI's chat: the same as numbers */
};
/* A neutral request that holds what scan() found, out_fault saying that memory ended until another
 * fault is found; NULL: it did. */
struct chat_request *read_begin(struct arena *a, const struct chat_ask *ask,
                                struct fault *out_fault);
/* The request is whole: ask->neutral. */
enum err read_end(const struct decoder *d, struct chat_ask *ask, struct chat_request *r);
enum err read_no_memory(struct decoder *d);
/* "messages.0.content.1.text"; member may be empty. */
struct slice read_place(const struct decoder *d, const char *member);
/* The value as JSON text; empty: absent or null. */
struct slice read_json(struct decoder *d, yyjson_val *v);
/* Parts that content becomes: a text, or a list of them. */
static inline size_t read_content_size(yyjson_val *content)
{
    return yyjson_is_arr(content) ? yyjson_arr_size(content) : 1;
}
/* out->tools, each as take() reads it. */
enum err read_tools(struct decoder *d, yyjson_val *list,
                    enum err (*take)(struct decoder *d, yyjson_val *v, size_t index,
                                     struct chat_tool *out),
                    struct chat_request *out);
/* out->stops: the texts in a list. */
enum err read_stops(struct decoder *d, yyjson_val *list, struct chat_request *out);
/* The list of that name in an answer of vectors, and room for them in *out, with the model's name;
 * E_SYNTAX: it has none. */
enum err read_vectors(struct arena *a, struct slice body, const char *name,
                      struct embed_response *out, yyjson_val **out_list);
/* The members of obj that are not among the names, as a JSON object; empty: there are none. */
struct slice read_extras(struct decoder *d, yyjson_val *obj, const char *const *names,
                         size_t count);

static inline bool read_is_given(const struct span *s)
{
    return s->kind != SPAN_ABSENT && s->kind != SPAN_NULL;
}

/* Sum of two bounds of tokens; -1 as soon as one of them is none. */
static inline int64_t read_bound_sum(int64_t a, int64_t b)
{
    return a < 0 || b < 0 ? -1 : i64_add_sat(a, b);
}

/* The key without its quotes; empty when it has escapes. */
static inline struct slice read_key(const struct span *m)
{
    return m->is_key_plain ? slice_of(m->key.ptr + 1, m->key.len - 2) : SLICE_NONE;
}

/* A string, unescaped into the arena when it must be; ptr NULL on no memory. */
struct slice read_text(struct arena *a, const struct span *s);
/* The message of an error that is an object with one, or a string; anything else as it stands. */
struct slice read_error_message(struct arena *a, struct slice error);
/* A count of tokens: 0 when it is none; no more than sums of them can hold. */
int64_t read_tokens(const struct span *s);
bool read_is_one_of(const struct span *s, const struct slice *names, size_t count);
/* Whether a number is zero, however spelled. */
bool read_is_zero(const struct span *s);
/* Whether text holds one of the words, whatever the case. */
bool read_says(struct slice text, const char *const *words, size_t count);
/* Who is to blame for an error answer that says no more than its status. */
enum blame read_blame(int status);

#endif
