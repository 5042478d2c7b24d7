#include "behaviour.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind { COUNT, SIZE, DURATION, FLAG, TEXT, POSITION };

struct directive {
    const char *name;
    const char *help;
    size_t at;
    enum kind kind;
};

static const struct directive directives[] = {
#define D(name, kind, field, help) {name, help, offsetof(struct behaviour, field), kind},
#include "behaviour.def"
#undef D
};

enum { DIRECTIVE_N = sizeof(directives) / sizeof(directives[0]) };

void behaviour_init(struct behaviour *b)
{
    memset(b, 0, sizeof(*b));
    for (size_t i = 0; i < DIRECTIVE_N; i++) {
        if (directives[i].kind == COUNT || directives[i].kind == SIZE) {
            int64_t unset = -1;
            memcpy((char *)b + directives[i].at, &unset, sizeof(unset));
        }
    }
    b->status = 200;
}

void behaviour_deinit(struct behaviour *b)
{
    for (size_t i = 0; i < DIRECTIVE_N; i++) {
        if (directives[i].kind == TEXT) {
            char *text = NULL;
            memcpy(&text, (char *)b + directives[i].at, sizeof(text));
            free(text);
        }
    }
    buf_free(&b->headers);
}

static bool take_number(struct str *s, int64_t *out)
{
    size_t i = 0;
    int64_t n = 0;
    for (; i < s->len && i < 15 && s->ptr[i] >= '0' && s->ptr[i] <= '9'; i++) {
        n = n * 10 + (s->ptr[i] - '0');
    }
    *s = (struct str){s->ptr + i, s->len - i};
    *out = n;
    return i > 0;
}

static bool take_unit(struct str unit, enum kind kind, int64_t *n)
{
    if (kind == SIZE) {
        int shift = str_is_nocase(unit, "M") ? 20 : str_is_nocase(unit, "K") ? 10 : 0;
        *n <<= shift;
        return shift > 0 || unit.len == 0;
    }
    if (kind == DURATION) {
        int64_t scale = str_is(unit, "s") ? 1000000000 : str_is(unit, "us") ? 1000 : 1000000;
        *n *= scale;
        return unit.len == 0 || str_is(unit, "ms") || scale != 1000000;
    }
    return unit.len == 0;
}

static bool set_position(void *field, struct str value)
{
    struct position p = {'b', 0};
    if (value.len > 0 && (value.ptr[0] == 'h' || value.ptr[0] == 'c')) {
        p.unit = value.ptr[0];
        value = (struct str){value.ptr + 1, value.len - 1};
    }
    if (!take_number(&value, &p.n) || value.len > 0) {
        return false;
    }
    memcpy(field, &p, sizeof(p));
    return true;
}

static bool set_field(struct behaviour *b, const struct directive *d, struct str value)
{
    void *field = (char *)b + d->at;
    if (d->kind == POSITION) {
        return set_position(field, value);
    }
    if (d->kind == FLAG) {
        bool on = value.len == 0 || str_is(value, "1") || str_is(value, "true");
        memcpy(field, &on, sizeof(on));
        return on || str_is(value, "0") || str_is(value, "false");
    }
    if (d->kind == TEXT) {
        char *old = NULL;
        memcpy(&old, field, sizeof(old));
        free(old);
        char *text = xdup(value);
        memcpy(field, &text, sizeof(text));
        return true;
    }
    int64_t n = 0;
    bool ok = take_number(&value, &n) && take_unit(value, d->kind, &n);
    if (ok) {
        memcpy(field, &n, sizeof(n));
    }
    return ok;
}

bool behaviour_set(struct behaviour *b, struct str name, struct str value)
{
    static const char prefix[] = "header.";
    if (name.len > sizeof(prefix) - 1 && memcmp(name.ptr, prefix, sizeof(prefix) - 1) == 0) {
        buf_add(&b->headers, name.ptr + sizeof(prefix) - 1, name.len - (sizeof(prefix) - 1));
        buf_str(&b->headers, ": ");
        buf_put(&b->headers, value);
        buf_str(&b->headers, "\r\n");
        return true;
    }
    for (size_t i = 0; i < DIRECTIVE_N; i++) {
        if (str_is(name, directives[i].name)) {
            return set_field(b, &directives[i], value);
        }
    }
    return false;
}

/* Where a JSON value that begins with s is closed; 0 when it is not. */
static size_t json_length(struct str s)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (quoted) {
            i += c == '\\' ? 1 : 0;
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

bool behaviour_next(struct str *rest, struct str *out_name, struct str *out_value)
{
    if (rest->len == 0) {
        return false;
    }
    const char *end = rest->ptr + rest->len;
    const char *semi = memchr(rest->ptr, ';', rest->len);
    const char *stop = semi != NULL ? semi : end;
    const char *eq = memchr(rest->ptr, '=', (size_t)(stop - rest->ptr));
    *out_name = (struct str){rest->ptr, (size_t)((eq != NULL ? eq : stop) - rest->ptr)};
    *out_value = STR("");
    if (eq != NULL) {
        struct str value = {eq + 1, (size_t)(end - eq) - 1};
        bool json = value.len > 0 && (value.ptr[0] == '{' || value.ptr[0] == '[');
        size_t closed = json ? json_length(value) : 0;
        const char *after = value.ptr + closed;
        if (closed > 0 && (after == end || *after == ';')) {
            stop = after;
        }
        *out_value = (struct str){value.ptr, (size_t)(stop - value.ptr)};
    }
    stop += stop < end ? 1 : 0; /* the semicolon */
    *rest = (struct str){stop, (size_t)(end - stop)};
    return true;
}

bool behaviour_of_model(struct behaviour *b, struct str model, struct str *out_base,
                        struct str *out_bad)
{
    const char *semi = memchr(model.ptr, ';', model.len);
    size_t base = semi != NULL ? (size_t)(semi - model.ptr) : model.len;
    struct str rest = {model.ptr + base, model.len - base};
    struct str name;
    struct str value;
    *out_base = (struct str){model.ptr, base};
    while (behaviour_next(&rest, &name, &value)) {
        if (name.len > 0 && !behaviour_set(b, name, value)) {
            *out_bad = name;
            return false;
        }
    }
    return true;
}

bool behaviour_is(const char *value, const char *lit)
{
    return value != NULL && strcmp(value, lit) == 0;
}

void behaviour_help(struct buf *out)
{
    for (size_t i = 0; i < DIRECTIVE_N; i++) {
        buf_printf(out, "  %-18s %s\n", directives[i].name, directives[i].help);
    }
}
