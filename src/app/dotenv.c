/* .env: NAME=value lines; "export " before them, comments, quotes. No expansion but of \n \" \\ in
 * double quotes: what stands there is the value. */
#include "app/config_inside.h"
#include "core/check.h"

#include <errno.h>

enum { DOTENV_MAX_PAIRS = 4096 };

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && !(i && ((c >= '0' && c <= '9') || c == '.' || c == '-'))) {
            return false;
        }
    }
    return name.len > 0;
}

/* Text after the opening quote; false: the quote is not closed, or something follows it. */
static bool unquote(struct config_build *b, struct slice text, char quote, struct slice *out)
{
    char *to = scratch_alloc(&b->scratch, text.len + 1);
    size_t n = 0;
    size_t i = 0;
    for (; to && i < text.len && text.ptr[i] != quote; i++) {
        char c = text.ptr[i];
        if (quote == '"' && c == '\\' && i + 1 < text.len) {
            c = text.ptr[++i];
            if (c == 'n') {
                c = '\n';
            } else if (c == 't') {
                c = '\t';
            }
        }
        to[n++] = c;
    }
    if (!to || i == text.len) {
        return false;
    }
    struct slice rest = slice_trim(slice_from(text, i + 1));
    *out = slice_of(to, n);
    return rest.len == 0 || rest.ptr[0] == '#';
}

/* A bare value ends at " #". */
static struct slice bare_value(struct slice text)
{
    for (size_t i = 1; i < text.len; i++) {
        if (text.ptr[i] == '#' && (text.ptr[i - 1] == ' ' || text.ptr[i - 1] == '\t')) {
            return slice_trim(slice_head(text, i));
        }
    }
    return text.len && text.ptr[0] == '#' ? SLICE_NONE : text;
}

static struct slice place(struct config_build *b, size_t line)
{
    char text[512];
    int len = snprintf(text, sizeof(text), "%s:%zu", b->env_path, line);
    return scratch_dup(&b->scratch,
                       slice_of(text, size_min(len > 0 ? (size_t)len : 0, sizeof(text) - 1)));
}

static void read_line(struct config_build *b, struct slice line, size_t number)
{
    line = slice_trim(line);
    if (line.len == 0 || line.ptr[0] == '#') {
        return;
    }
    if (slice_starts(line, SLICE("export "))) {
        line = slice_trim(slice_from(line, 7));
    }
    size_t end = slice_find(line, '=');
    struct slice name = slice_trim(slice_head(line, end));
    if (end == line.len || !is_name(name)) {
        config_error(b, place(b, number), "not a NAME=value line");
        return;
    }
    struct slice value = slice_trim(slice_from(line, end + 1));
    bool is_quoted = value.len && (value.ptr[0] == '"' || value.ptr[0] == '\'');
    if (is_quoted) {
        if (!unquote(b, slice_from(value, 1), value.ptr[0], &value)) {
            config_error(b, place(b, number),
                         "%.*s: the quote is not closed at the end of the line", SLICE_ARG(name));
            return;
        }
    } else {
        value = bare_value(value);
    }
    if (b->env_pair_count == DOTENV_MAX_PAIRS) {
        config_error(b, place(b, number), "more than %d variables", DOTENV_MAX_PAIRS);
        return;
    }
    b->env_pairs[b->env_pair_count++] =
        (struct env_pair){.name = name, .value = value, .line = number};
}

void dotenv_read(struct config_build *b)
{
    bool is_asked = b->src->env_file != NULL;
    b->env_path = is_asked ? b->src->env_file : ".env";
    struct slice text;
    enum err e = scratch_read_file(&b->scratch, b->env_path, &text);
    if (e == E_NOT_FOUND && !is_asked) {
        return;
    }
    b->env_pairs = scratch_alloc(&b->scratch, DOTENV_MAX_PAIRS * sizeof(*b->env_pairs));
    if (e != OK || !b->env_pairs) {
        config_error(b, slice_str(b->env_path), "cannot be read: %s",
                     e == E_LIMIT ? "it is larger than 1 MiB" : strerrordesc_np(errno));
        return;
    }
    if (slice_starts(text, SLICE("\xEF\xBB\xBF"))) {
        text = slice_from(text, 3);
    }
    for (size_t number = 1; text.len; number++) {
        size_t end = slice_find(text, '\n');
        read_line(b, slice_head(text, end), number);
        text = slice_from(text, end + 1);
    }
}

struct slice config_env(const struct config_build *b, struct slice name)
{
    for (char *const *e = b->src->environment; e && *e; e++) {
        struct slice pair = slice_str(*e);
        size_t end = slice_find(pair, '=');
        if (slice_eq(slice_head(pair, end), name) && end + 1 < pair.len) {
            return slice_from(pair, end + 1);
        }
    }
    for (size_t i = b->env_pair_count; i > 0; i--) { /* the last one counts */
        if (slice_eq(b->env_pairs[i - 1].name, name) && b->env_pairs[i - 1].value.len) {
            return b->env_pairs[i - 1].value;
        }
    }
    return SLICE_NONE;
}
