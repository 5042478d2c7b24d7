/* dialect/write.h -- private to src/dialect: members of JSON objects, written one after another. */
#ifndef DIALECT_WRITE_H
#define DIALECT_WRITE_H

#include "chat/chat.h"
#include "core/text.h"

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
