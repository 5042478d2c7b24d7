#include "wire/json_tap.h"

#include <assert.h>

void json_tap_init(struct json_tap *t, struct slice name)
{
    assert(name.len <= JSON_TAP_NAME_MAX_BYTES);
    t->name = name;
    t->depth = 0;
    t->in_string = t->is_escaped = t->is_key = t->is_named = false;
    t->is_catching = t->is_lost = t->is_whole = false;
    t->key_len = t->len = 0;
}

static void catch_byte(struct json_tap *t, char c)
{
    if (t->len == sizeof(t->bytes)) {
        t->is_lost = true;
    } else {
        t->bytes[t->len++] = c;
    }
}

static void in_string(struct json_tap *t, char c)
{
    bool is_end = c == '"' && !t->is_escaped;
    t->is_escaped = c == '\\' && !t->is_escaped;
    t->in_string = !is_end;
    if (t->depth != 1 || !t->is_key) {
        return;
    }
    if (!is_end && t->key_len < sizeof(t->key)) {
        t->key[t->key_len] = c;
    }
    t->key_len += is_end ? 0 : 1;
    if (is_end) {
        t->is_named =
            t->key_len <= sizeof(t->key) && slice_eq(slice_of(t->key, t->key_len), t->name);
        t->is_key = false;
    }
}

static void open_container(struct json_tap *t, char c)
{
    if (t->depth == 0) {
        t->is_key = c == '{';
    } else if (t->depth == 1 && t->is_named && c == '{') {
        t->is_catching = true;
        t->is_lost = t->is_whole = false;
        t->len = 0;
    }
    t->depth++;
}

static void structure(struct json_tap *t, char c)
{
    switch (c) {
    case '"':
        t->in_string = true;
        t->key_len = 0;
        break;
    case '{':
    case '[': open_container(t, c); break;
    case '}':
    case ']': t->depth -= t->depth > 0; break;
    case ',':
        t->is_key = t->is_key || t->depth == 1;
        t->is_named = t->is_named && t->depth != 1;
        break;
    default: break;
    }
}

void json_tap_feed(struct json_tap *t, struct slice in)
{
    for (size_t i = 0; i < in.len; i++) {
        char c = in.ptr[i];
        if (t->in_string) {
            in_string(t, c);
        } else {
            structure(t, c);
        }
        if (t->is_catching) {
            catch_byte(t, c);
            if (t->depth == 1 && !t->in_string) {
                t->is_catching = false;
                t->is_whole = !t->is_lost;
            }
        }
    }
}

struct slice json_tap_value(const struct json_tap *t)
{
    return t->is_whole ? slice_of(t->bytes, t->len) : SLICE_NONE;
}
