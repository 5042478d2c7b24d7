#include "dialect/event_template.h"

#include "core/check.h"
#include "wire/peek.h"
#include "wire/spans.h"

enum { SEQUENCE_MAX_DIGITS = 15 };

/* Where the inside of a string ends, or what a reader may refuse in it: longer escapes, too, are
 * left to that. */
static inline const char *string_end(struct slice in, const char *at)
{
    const struct peek k = peek_open(in);
    at = peek_run(&k, at);
    while (k.end - at > 2 && at[0] == '\\' && span_is_short_escape(at[1])) {
        at = peek_run(&k, at + 2);
    }
    return at;
}

/* Where a whole number without a leading zero ends; at: there is none. */
static const char *number_end(struct slice in, const char *at)
{
    const char *end = in.ptr + in.len;
    const char *p = at;
    if (p != end && *p == '0') {
        return p + 1;
    }
    while (p != end && *p >= '0' && *p <= '9' && p - at < SEQUENCE_MAX_DIGITS) {
        p++;
    }
    return p;
}

HOT struct event_fit event_template_fit(const struct event_template *t, struct slice in)
{
    const struct event_fit none = {.len = 0};
    struct event_fit fit = {.len = 0};
    const char *literal = t->bytes;
    size_t at = 0;
    for (size_t i = 0;; i++) {
        size_t len = t->lengths[i];
        if (len == 0 || len > in.len - at || memcmp(in.ptr + at, literal, len) != 0) {
            return none;
        }
        if (t->hide_len && t->hide_literal == i) {
            fit.hideable = slice_of(in.ptr + at + t->hide_at, t->hide_len);
        }
        literal += len;
        at += len;
        if (i == t->gap_count) {
            fit.len = at;
            return fit;
        }
        const char *gap = in.ptr + at;
        const char *end =
            t->kinds[i] == LOOK_GAP_NUMBER ? number_end(in, gap) : string_end(in, gap);
        if (end == gap && t->kinds[i] == LOOK_GAP_NUMBER) {
            return none;
        }
        fit.output_bytes += t->kinds[i] == LOOK_GAP_TEXT ? end - gap : 0;
        at = (size_t)(end - in.ptr);
    }
}

/* The next event may tell the same: text and nothing that comes once in a stream, no usage, and all
 * output in gaps. */
static bool is_common(struct slice raw, const struct event_look *look)
{
    int64_t text_bytes = 0;
    if (look->is_done || look->is_error || look->usage.len || look->finish != CHAT_FINISH_NONE ||
        look->gap_count > LOOK_GAPS_MAX) {
        return false;
    }
    for (size_t i = 0; i < look->gap_count; i++) {
        const struct look_gap *gap = &look->gaps[i];
        text_bytes += gap->kind == LOOK_GAP_TEXT ? (int64_t)gap->bytes.len : 0;
    }
    /* A blank line that ends in CR may go on with LF, and a byte order mark comes once. */
    return text_bytes && text_bytes == look->output_bytes && slice_ends(raw, SLICE("\n")) &&
           !slice_starts(raw, SLICE("\xEF"));
}

/* Bytes outside the gaps; 0: they are not in order, or two of them touch. */
static size_t literal_bytes(struct slice raw, const struct event_look *look)
{
    const char *at = raw.ptr;
    const char *end = raw.ptr + raw.len;
    size_t gaps = 0;
    for (size_t i = 0; i < look->gap_count; i++) {
        struct slice gap = look->gaps[i].bytes;
        if (gap.ptr <= at || gap.ptr + gap.len >= end) {
            return 0;
        }
        at = gap.ptr + gap.len;
        gaps += gap.len;
    }
    return raw.len - gaps;
}

static bool make_room(struct event_template *t, struct arena *a, size_t len)
{
    if (len == 0 || len > EVENT_TEMPLATE_MAX_BYTES) {
        return false;
    }
    if (len > t->cap && len <= sizeof(t->first)) {
        t->bytes = t->first;
        t->cap = sizeof(t->first);
    } else if (len > t->cap) {
        size_t twice = size_min((size_t)t->cap * 2, EVENT_TEMPLATE_MAX_BYTES);
        size_t cap = len > twice ? len : twice;
        char *bytes = arena_alloc(a, cap);
        if (!bytes) {
            return false;
        }
        t->bytes = bytes;
        t->cap = (uint16_t)cap;
    }
    return true;
}

static void add_literal(struct event_template *t, size_t i, char *to, struct slice literal,
                        struct slice hide)
{
    memcpy(to, literal.ptr, literal.len);
    t->lengths[i] = (uint16_t)literal.len;
    if (hide.len && hide.ptr >= literal.ptr && hide.ptr + hide.len <= literal.ptr + literal.len) {
        t->hide_literal = (uint8_t)i;
        t->hide_at = (uint16_t)(hide.ptr - literal.ptr);
        t->hide_len = (uint16_t)hide.len;
    }
}

void event_template_learn(struct event_template *t, struct arena *a, struct slice raw,
                          const struct event_look *look)
{
    if (!is_common(raw, look) || !make_room(t, a, literal_bytes(raw, look))) {
        return;
    }
    t->choices = look->seen;
    t->hide_len = 0;
    const char *at = raw.ptr;
    char *to = t->bytes;
    for (size_t i = 0; i < look->gap_count; i++) {
        const struct look_gap *gap = &look->gaps[i];
        add_literal(t, i, to, slice_of(at, (size_t)(gap->bytes.ptr - at)), look->hideable);
        to += t->lengths[i];
        at = gap->bytes.ptr + gap->bytes.len;
        t->kinds[i] = (uint8_t)gap->kind;
    }
    t->gap_count = (uint8_t)look->gap_count;
    add_literal(t, look->gap_count, to, slice_of(at, (size_t)(raw.ptr + raw.len - at)),
                look->hideable);
    if (look->hideable.len && !t->hide_len) { /* a gap is in it */
        t->lengths[0] = 0;
    }
}
