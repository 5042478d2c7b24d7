#include "wire/multipart.h"

#include <assert.h>

static enum err fail(struct multipart *m, enum err e, const char *why)
{
    m->state = MULTIPART_FAILED;
    m->failed = e;
    m->fault = why;
    return e;
}

/* --- parameters ---------------------------------------------------------------------------------
 */

static bool is_token_byte(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_boundary_byte(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           (c && strchr("'()+_,-./:=? ", c));
}

static struct slice skip_space(struct slice s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s = slice_from(s, 1);
    }
    return s;
}

static struct slice take_token(struct slice *s)
{
    size_t len = 0;
    while (len < s->len && is_token_byte(s->ptr[len])) {
        len++;
    }
    struct slice token = slice_head(*s, len);
    *s = slice_from(*s, len);
    return token;
}

/* A quoted value without its quotes. Readers differ about a backslash before a quote, so none may
 * stand there; before anything else it is a byte like others (paths of old browsers). */
static bool take_quoted(struct slice *s, struct slice *out)
{
    size_t len = 1;
    while (len < s->len && s->ptr[len] != '"') {
        len++;
    }
    if (len == s->len || s->ptr[len - 1] == '\\') {
        return false;
    }
    *out = slice_of(s->ptr + 1, len - 1);
    *s = slice_from(*s, len + 1);
    return true;
}

/* ;name=value from the front. False: nothing more, or *is_bad. */
static bool next_parameter(struct slice *s, struct slice *name, struct slice *value, bool *is_bad)
{
    *s = skip_space(*s);
    if (s->len == 0) {
        return false;
    }
    *is_bad = true;
    if (s->ptr[0] != ';') {
        return false;
    }
    *s = skip_space(slice_from(*s, 1));
    if (s->len == 0) { /* a last semicolon means nothing */
        *is_bad = false;
        return false;
    }
    *name = take_token(s);
    if (name->len == 0 || s->len == 0 || s->ptr[0] != '=') {
        return false;
    }
    *s = slice_from(*s, 1);
    if (s->len && s->ptr[0] == '"') {
        *is_bad = !take_quoted(s, value);
    } else {
        *value = take_token(s);
        *is_bad = value->len == 0;
    }
    return !*is_bad;
}

/* --- the head of a part -------------------------------------------------------------------------
 */

static enum err read_disposition(struct multipart *m, struct slice value)
{
    struct slice name = SLICE_NONE;
    struct slice key;
    struct slice text;
    bool has_name = false;
    bool is_bad = false;
    if (m->has_disposition || !slice_eq_nocase(take_token(&value), SLICE("form-data"))) {
        return fail(m, E_SYNTAX, "a part needs one Content-Disposition: form-data");
    }
    while (next_parameter(&value, &key, &text, &is_bad)) {
        if (slice_eq_nocase(key, SLICE("name*")) ||
            (slice_eq_nocase(key, SLICE("name")) && has_name)) {
            return fail(m, E_SYNTAX, "a part needs one plain name");
        }
        if (slice_eq_nocase(key, SLICE("name"))) {
            name = text;
            has_name = true;
        }
    }
    if (is_bad || !has_name) {
        return fail(m, E_SYNTAX, "a part's Content-Disposition is malformed");
    }
    m->has_disposition = true;
    m->is_wanted = slice_eq(name, m->wanted);
    if (!m->is_wanted && slice_eq_nocase(name, m->wanted)) {
        return fail(m, E_DUPLICATE, "the field is named in another letter case");
    }
    return m->is_wanted && m->is_found ? fail(m, E_DUPLICATE, "the field is given twice") : OK;
}

static enum err read_header(struct multipart *m, struct slice line)
{
    struct slice rest = line;
    struct slice name = take_token(&rest);
    if (name.len == 0 || rest.len == 0 || rest.ptr[0] != ':') {
        return fail(m, E_SYNTAX, "a part's header is malformed");
    }
    rest = slice_trim(slice_from(rest, 1));
    for (size_t i = 0; i < rest.len; i++) {
        if ((uint8_t)rest.ptr[i] < ' ' && rest.ptr[i] != '\t') {
            return fail(m, E_SYNTAX, "a part's header holds a control character");
        }
    }
    if (slice_eq_nocase(name, SLICE("content-disposition"))) {
        return read_disposition(m, rest);
    }
    bool is_encoding = slice_eq_nocase(name, SLICE("content-transfer-encoding"));
    if (is_encoding && !slice_eq_nocase(rest, SLICE("binary")) &&
        !slice_eq_nocase(rest, SLICE("8bit")) && !slice_eq_nocase(rest, SLICE("7bit"))) {
        return fail(m, E_SYNTAX, "a part is encoded");
    }
    return OK;
}

static enum err end_line(struct multipart *m)
{
    struct slice line = slice_of(m->head + m->line_begin, m->head_len - m->line_begin - 2);
    m->line_begin = m->head_len;
    if (line.len) {
        return read_header(m, line);
    }
    if (!m->has_disposition) {
        return fail(m, E_SYNTAX, "a part has no Content-Disposition");
    }
    m->state = MULTIPART_DATA;
    m->data_at = m->at;
    m->matched = 0;
    return OK;
}

static enum err feed_head(struct multipart *m, char c)
{
    if (m->head_len == sizeof(m->head)) {
        return fail(m, E_LIMIT, "a part's head is too long");
    }
    bool had_cr = m->head_len > m->line_begin && m->head[m->head_len - 1] == '\r';
    if (had_cr != (c == '\n')) {
        return fail(m, E_SYNTAX, "a part's header does not end in CR LF");
    }
    m->head[m->head_len++] = c;
    return c == '\n' ? end_line(m) : OK;
}

/* --- borders ------------------------------------------------------------------------------------
 */

static enum err begin_part(struct multipart *m)
{
    if (++m->part_count > MULTIPART_PARTS_MAX) {
        return fail(m, E_LIMIT, "there are too many parts");
    }
    m->state = MULTIPART_HEAD;
    m->line_begin = m->head_len = 0;
    m->has_disposition = m->is_wanted = false;
    return OK;
}

static enum err feed_border(struct multipart *m, char c)
{
    if (m->tail++ == 0) {
        m->tail_first = c;
        return c == '\r' || c == '-' ? OK : fail(m, E_SYNTAX, "bytes follow a boundary");
    }
    m->tail = 0;
    if (m->tail_first == '\r' && c == '\n') {
        return begin_part(m);
    }
    if (m->tail_first == '-' && c == '-') {
        m->state = MULTIPART_END;
        return OK;
    }
    return fail(m, E_SYNTAX, "bytes follow a boundary");
}

static enum err feed_end(struct multipart *m, char c)
{
    bool is_line_end = (m->tail == 0 && c == '\r') || (m->tail == 1 && c == '\n');
    m->tail++;
    return is_line_end ? OK : fail(m, E_SYNTAX, "bytes follow the last boundary");
}

static enum err end_data(struct multipart *m)
{
    m->state = MULTIPART_BORDER;
    m->tail = 0;
    if (m->is_wanted) {
        m->is_found = true;
        m->value_at = m->data_at;
        m->value_len = m->at - m->delimiter_len - m->data_at;
        if (m->value_len > m->value_max_bytes) {
            return fail(m, E_LIMIT, "the field is too long");
        }
    }
    return OK;
}

/* A carriage return stands only at the delimiter's front, so a mismatch begins anew at most there.
 */
static enum err feed_data(struct multipart *m, char c)
{
    if (c == m->delimiter[m->matched]) {
        return ++m->matched == m->delimiter_len ? end_data(m) : OK;
    }
    if (m->state == MULTIPART_START) {
        return fail(m, E_SYNTAX, "the body does not begin with its boundary");
    }
    m->matched = c == '\r' ? 1 : 0;
    return OK;
}

static enum err feed_byte(struct multipart *m, char c)
{
    switch (m->state) {
    case MULTIPART_START:
    case MULTIPART_DATA: return feed_data(m, c);
    case MULTIPART_BORDER: return feed_border(m, c);
    case MULTIPART_HEAD: return feed_head(m, c);
    case MULTIPART_END: return feed_end(m, c);
    case MULTIPART_FAILED: return m->failed;
    }
    return m->failed;
}

/* --- the whole ----------------------------------------------------------------------------------
 */

bool multipart_is_form(struct slice content_type)
{
    struct slice form = SLICE("multipart/form-data");
    struct slice rest = slice_from(content_type, form.len);
    return slice_eq_nocase(slice_head(content_type, form.len), form) &&
           (rest.len == 0 || rest.ptr[0] == ';' || rest.ptr[0] == ' ' || rest.ptr[0] == '\t');
}

static bool is_boundary(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_boundary_byte(s.ptr[i])) {
            return false;
        }
    }
    return s.len && s.len <= MULTIPART_BOUNDARY_MAX_BYTES && s.ptr[s.len - 1] != ' ';
}

enum err multipart_init(struct multipart *m, struct slice content_type, struct slice wanted,
                        size_t value_max_bytes)
{
    struct slice rest = slice_from(content_type, strlen("multipart/form-data"));
    struct slice boundary = SLICE_NONE;
    struct slice key;
    struct slice value;
    bool is_bad = false;
    m->wanted = wanted;
    m->value_max_bytes = value_max_bytes;
    m->is_found = m->has_disposition = m->is_wanted = false;
    m->value_at = m->value_len = m->at = m->data_at = m->part_count = 0;
    m->line_begin = m->head_len = 0;
    m->failed = OK;
    m->fault = "";
    m->tail = 0;
    m->tail_first = 0;
    m->state = MULTIPART_START;
    m->matched = 2; /* the first boundary has no line before it */
    if (!multipart_is_form(content_type)) {
        return fail(m, E_SYNTAX, "the body is not multipart/form-data");
    }
    while (next_parameter(&rest, &key, &value, &is_bad)) {
        if (slice_eq_nocase(key, SLICE("boundary")) && boundary.len) {
            return fail(m, E_SYNTAX, "Content-Type names two boundaries");
        }
        boundary = slice_eq_nocase(key, SLICE("boundary")) ? value : boundary;
    }
    if (is_bad || !is_boundary(boundary)) {
        return fail(m, E_SYNTAX, "Content-Type names no valid boundary");
    }
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.ptr, boundary.len);
    m->delimiter_len = 4 + boundary.len;
    return OK;
}

enum err multipart_feed(struct multipart *m, struct slice in)
{
    size_t i = 0;
    while (i < in.len && m->state != MULTIPART_FAILED) {
        if (m->state == MULTIPART_DATA && m->matched == 0) { /* files are passed over quickly */
            size_t skipped = slice_find(slice_from(in, i), '\r');
            i += skipped;
            m->at += skipped;
            if (i == in.len) {
                break;
            }
        }
        m->at++;
        (void)feed_byte(m, in.ptr[i++]); /* kept in failed */
    }
    return m->failed;
}

enum err multipart_end(struct multipart *m)
{
    if (m->state == MULTIPART_FAILED) {
        return m->failed;
    }
    bool is_whole = m->state == MULTIPART_END && m->tail != 1;
    return is_whole ? OK : fail(m, E_SYNTAX, "the body ends before its last boundary");
}
