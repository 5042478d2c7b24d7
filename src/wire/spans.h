/* wire/spans.h -- walks JSON text (RFC 8259) and reports where members stand, without building
 * anything.
 *
 * Runs on every request and every answer, so it allocates nothing and looks at each byte of a
 * string sixteen at a time. The grammar is checked in full: literals, numbers, escapes, control
 * characters in strings, commas, depth <= SPAN_DEPTH_MAX, nothing but white space after the value.
 * Only two things are left to others: whether strings are valid UTF-8, and whether surrogate
 * escapes pair up. All slices handed out are borrowed from the text.
 */
#ifndef WIRE_SPANS_H
#define WIRE_SPANS_H

#include "core/attr.h"
#include "core/err.h"
#include "core/slice.h"

enum {
    SPAN_DEPTH_MAX = 128, /* design 12; deeper nesting has no use but to exhaust parsers */
    SPAN_NAME_MAX_BYTES = 64
};

enum span_kind {
    SPAN_ABSENT = 0,
    SPAN_STRING,
    SPAN_NUMBER,
    SPAN_OBJECT,
    SPAN_ARRAY,
    SPAN_TRUE,
    SPAN_FALSE,
    SPAN_NULL
};

/* One member of an object or element of an array. */
struct span {
    enum span_kind kind;
    bool is_key_plain;    /* the key has no escape and no byte above 0x7F */
    bool is_string_plain; /* SPAN_STRING: no escape in it, so it is value without its quotes */
    uint8_t depth; /* containers one inside the other, this one counted; 0: a scalar, or skimmed */
    struct slice key;   /* with its quotes, as spelled; empty in arrays */
    struct slice value; /* as spelled, with quotes or brackets */
};

/* Where text stops being JSON. */
struct span_fault {
    size_t at;          /* offset into the text */
    const char *what;   /* static, for a message: "expected ':'" */
    struct slice named; /* E_DUPLICATE: the name given twice or in another letter case; static */
};

/* A walk over the members or elements of one object or array. */
struct span_cursor {
    const char *begin, *at, *end;
    bool is_object;
    bool is_done;
    bool is_skimming; /* span_skim() */
    size_t count;     /* items handed out */
    struct span_fault fault;
    int failed; /* enum err of the failure, OK otherwise */
};

enum span_step { SPAN_ITEM, SPAN_END, SPAN_BAD };

/* text must be one object or array; white space around it is allowed. E_SYNTAX otherwise. */
MUST_USE enum err span_open(struct span_cursor *c, struct slice text) NONNULL;
/* The same for text whose grammar somebody has checked, or will check: objects and arrays inside
 * are passed over by their brackets (wire/skim.h), which costs a fifth. */
MUST_USE enum err span_skim(struct span_cursor *c, struct slice text) NONNULL;
/* The next item; SPAN_END after the last, when nothing but white space follows; SPAN_BAD with
 * c->failed (E_SYNTAX or E_LIMIT) and c->fault. */
MUST_USE enum span_step span_next(struct span_cursor *c, struct span *out) NONNULL;

/* Names wanted from an object. */
struct span_name {
    struct slice name;
    bool is_deciding; /* given twice, or in another letter case, is E_DUPLICATE: readers differ */
};

struct span_object {
    size_t open;    /* offset of '{' */
    size_t close;   /* offset of '}' */
    size_t members; /* all of them, known or not */
    struct span_fault fault;
};

/* Finds the names among the members of the object that text is; out[i] belongs to names[i]; of a
 * name that does not decide, the last one given counts. The whole of text is checked. E_SYNTAX,
 * E_LIMIT (depth), E_DUPLICATE: out_object->fault says where and why. */
MUST_USE enum err spans_scan(struct slice text, const struct span_name *names, size_t count,
                             struct span *out, struct span_object *out_object) NONNULL;

/* Checks that text is one JSON value of any kind, depth included. */
MUST_USE enum err spans_check(struct slice text, struct span_fault *out_fault) NONNULL;

/* Unescapes a string value or key (quotes included in raw) into out, which must hold
 * raw.len bytes. Lone surrogates become U+FFFD. Returns the length written. */
size_t span_unescape(struct slice raw, char *out) NONNULL;

/* Whether a backslash and c are a whole escape (RFC 8259 section 7); u begins a longer one. */
static inline bool span_is_short_escape(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': return true;
    default: return false;
    }
}

/* The inside of a string that needs no unescaping. */
static inline struct slice span_plain(const struct span *s)
{
    return slice_of(s->value.ptr + 1, s->value.len - 2);
}

/* Whether a string value, unescaped, is this text (at most SPAN_NAME_MAX_BYTES long). */
bool span_string_is(const struct span *s, struct slice text) NONNULL;

#endif
