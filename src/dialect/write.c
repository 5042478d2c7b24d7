/* What requests to providers begin with, lists of what could not be carried, and arguments of calls
 * as objects. */
#include "dialect/write.h"

#include "wire/spans.h"

#include <assert.h>

enum { DROPPED_MAX_BYTES = 4096 }; /* a peer may name as many as its body holds */

struct writer write_begin(struct arena *a, const struct chat_request *r,
                          const struct encode_options *o, struct body_parts *out)
{
    struct writer w = {
        .t = text_growing(a), .dropped = text_growing(a), .r = r, .o = o, .arena = a};
    *out = (struct body_parts){.count = 0};
    text_add(&w.dropped, r->dropped);
    return w;
}

static bool has_name(struct slice list, struct slice name)
{
    while (list.len) {
        size_t len = slice_find(list, ',');
        if (slice_eq(slice_head(list, len), name)) {
            return true;
        }
        list = slice_from(list, len + 1);
    }
    return false;
}

void drop_name(struct text *list, struct slice name)
{
    assert(list->len == 0 || list->ptr);
    if (list->len > DROPPED_MAX_BYTES) {
        name = SLICE("...");
    }
    if (name.len == 0 || slice_ends(text_slice(list), SLICE(",...")) ||
        has_name(text_slice(list), name)) {
        return;
    }
    if (list->len) {
        text_add_char(list, ',');
    }
    text_add(list, name);
}

void drop_extras(struct text *list, struct slice extras)
{
    struct span_cursor c;
    struct span m;
    if (extras.len == 0 || span_skim(&c, extras) || !c.is_object) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        drop_name(list, slice_of(m.key.ptr + 1, m.key.len - 2));
    }
}

void write_arguments(struct text *t, struct slice arguments, bool is_custom)
{
    struct span_fault unused;
    struct slice text = slice_trim(arguments);
    if (text.len == 0 && !is_custom) {
        TEXT_ADD(t, "{}");
    } else if (!is_custom && text.ptr[0] == '{' && spans_check(text, &unused) == OK) {
        text_add(t, text); /* as spelled: the order of members matters to prompt caches */
    } else {               /* no object, which the API does not take: nothing of it is lost */
        TEXT_ADD(t, "{");
        write_string(t, is_custom ? "input" : "_raw", arguments);
        TEXT_ADD(t, "}");
    }
}
