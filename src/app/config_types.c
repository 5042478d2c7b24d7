/* The rows as a table, and what their values may look like. */
#include "app/config_inside.h"
#include "core/check.h"
#include "core/clock.h"
#include "core/money.h"
#include "wire/json.h"

#include <assert.h>
#include <unistd.h>

#define RELOAD true
#define FIXED  false
const struct config_row config_rows[CONF_COUNT] = {
#define CONF(name, type, initial, low, high, reload, path, help) \
    {#name, CONFIG_##type, initial, low, high, reload, path, help},
#include "app/config.def"
#undef CONF
};
#undef RELOAD
#undef FIXED

const char *config_type_text(enum config_type type)
{
    switch (type) {
    case CONFIG_TEXT: return "a text";
    case CONFIG_COUNT: return "a whole number";
    case CONFIG_BYTES: return "a number of bytes such as 65536, 64KiB, 32MiB or 1GiB";
    case CONFIG_DURATION: return "a duration such as 30s, 250ms, 5m, 1h30m, or a number of seconds";
    case CONFIG_BOOL: return "true, false, 1, 0, yes, no, on or off";
    case CONFIG_LIST: return "a list such as a,b,c or [\"a\",\"b\",\"c\"]";
    case CONFIG_URL: return "a URL such as https://host[:port][/path]";
    case CONFIG_USD: return "an amount of USD such as 0.002";
    case CONFIG_PORT: return "a port number, or tcp://address:port as Kubernetes sets it";
    case CONFIG_LISTEN: return "host:port";
    case CONFIG_PREFIX: return "a path such as /api/v1, without a slash at its end";
    case CONFIG_HEADER: return "a header name";
    case CONFIG_WORD: return "one of its words";
    case CONFIG_FILE: return "a file that can be read";
    case CONFIG_SECRET: return "printable characters without spaces";
    }
    return "";
}

/* --- numbers --- */

struct unit {
    struct slice name;
    int64_t factor;
};
#define KIB ((int64_t)1024)
static const struct unit byte_units[] = {
    {SLICE_INIT(""), 1},
    {SLICE_INIT("b"), 1},
    {SLICE_INIT("k"), KIB},
    {SLICE_INIT("kib"), KIB},
    {SLICE_INIT("kb"), 1000},
    {SLICE_INIT("m"), KIB *KIB},
    {SLICE_INIT("mib"), KIB *KIB},
    {SLICE_INIT("mb"), 1000000},
    {SLICE_INIT("g"), KIB *KIB *KIB},
    {SLICE_INIT("gib"), KIB *KIB *KIB},
    {SLICE_INIT("gb"), 1000000000},
    {SLICE_INIT("t"), KIB *KIB *KIB *KIB},
    {SLICE_INIT("tib"), KIB *KIB *KIB *KIB},
};
static const struct unit time_units[] = {
    {SLICE_INIT("ns"), 1},
    {SLICE_INIT("us"), NS_PER_US},
    {SLICE_INIT("ms"), NS_PER_MS},
    {SLICE_INIT("s"), NS_PER_S},
    {SLICE_INIT("m"), NS_PER_MIN},
    {SLICE_INIT("min"), NS_PER_MIN},
    {SLICE_INIT("h"), 60 * NS_PER_MIN},
    {SLICE_INIT("d"), NS_PER_DAY},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits at the front of *text, at least one; leaves what follows. */
static bool take_number(struct slice *text, int64_t *out)
{
    size_t n = 0;
    while (n < text->len && is_digit(text->ptr[n])) {
        n++;
    }
    bool is_number = n > 0 && slice_to_i64(slice_head(*text, n), out);
    *text = slice_from(*text, n);
    return is_number;
}

static bool find_unit(const struct unit *units, size_t n, struct slice name, int64_t *out)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_eq_nocase(units[i].name, name)) {
            *out = units[i].factor;
            return true;
        }
    }
    return false;
}

static bool parse_bytes(struct slice text, int64_t *out)
{
    int64_t number;
    int64_t factor;
    if (!take_number(&text, &number)) {
        return false;
    }
    text = slice_trim(text);
    return find_unit(byte_units, ARRAY_LEN(byte_units), text, &factor) &&
           i64_mul(number, factor, out);
}

/* 1h30m: numbers, each with its unit; a bare number alone is seconds. */
static bool parse_duration(struct slice text, int64_t *out)
{
    int64_t sum = 0;
    bool is_first = true;
    do {
        int64_t number;
        int64_t factor = NS_PER_S;
        if (!take_number(&text, &number)) {
            return false;
        }
        size_t n = 0;
        while (n < text.len && !is_digit(text.ptr[n])) {
            n++;
        }
        bool is_bare = n == 0 && is_first && text.len == 0;
        if (!is_bare &&
            !find_unit(time_units, ARRAY_LEN(time_units), slice_head(text, n), &factor)) {
            return false;
        }
        text = slice_from(text, n);
        is_first = false;
        if (!i64_mul(number, factor, &number) || !i64_add(sum, number, &sum)) {
            return false;
        }
    } while (text.len);
    *out = sum;
    return true;
}

static bool parse_bool(struct slice text, int64_t *out)
{
    static const struct slice yes[] = {SLICE_INIT("true"), SLICE_INIT("1"), SLICE_INIT("yes"),
                                       SLICE_INIT("on")};
    static const struct slice no[] = {SLICE_INIT("false"), SLICE_INIT("0"), SLICE_INIT("no"),
                                      SLICE_INIT("off")};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (slice_eq_nocase(text, yes[i]) || slice_eq_nocase(text, no[i])) {
            *out = slice_eq_nocase(text, yes[i]);
            return true;
        }
    }
    return false;
}

/* Kubernetes sets X_PORT=tcp://10.0.0.1:6379 for a service named x. */
static bool parse_port(struct slice text, int64_t *out)
{
    static const struct slice scheme = SLICE_INIT("tcp://");
    if (slice_starts(text, scheme)) {
        size_t after = text.len;
        while (after && text.ptr[after - 1] != ':') {
            after--;
        }
        text = slice_from(text, after);
    }
    return take_number(&text, out) && text.len == 0 && *out <= UINT16_MAX;
}

bool config_parse_number(enum config_type type, struct slice text, int64_t *out)
{
    switch (type) {
    case CONFIG_COUNT: return text.len && is_digit(text.ptr[0]) && slice_to_i64(text, out);
    case CONFIG_BYTES: return parse_bytes(text, out);
    case CONFIG_DURATION: return parse_duration(text, out);
    case CONFIG_BOOL: return parse_bool(text, out);
    case CONFIG_USD: return money_parse(text, out) == OK;
    case CONFIG_PORT: return parse_port(text, out);
    case CONFIG_TEXT:
    case CONFIG_LIST:
    case CONFIG_URL:
    case CONFIG_LISTEN:
    case CONFIG_PREFIX:
    case CONFIG_HEADER:
    case CONFIG_WORD:
    case CONFIG_FILE:
    case CONFIG_SECRET: break;
    }
    assert(type == CONFIG_COUNT); /* the other types have no number */
    return false;
}

static bool is_number_type(enum config_type type)
{
    return type == CONFIG_COUNT || type == CONFIG_BYTES || type == CONFIG_DURATION ||
           type == CONFIG_BOOL || type == CONFIG_USD || type == CONFIG_PORT;
}

/* --- texts --- */

enum { LIST_MAX_ITEMS = 1000, LIST_JSON_MAX_BYTES = 1 << 20 };

/* The JSON form of a list: strings only. */
static bool parse_json_list(struct scratch *s, struct slice text, struct slice *items,
                            size_t *count)
{
    struct arena a;
    yyjson_val *root;
    arena_init(&a, NULL, LIST_JSON_MAX_BYTES);
    bool is_good = json_parse(&a, text, &root, NULL) == OK && yyjson_is_arr(root) &&
                   yyjson_arr_size(root) <= LIST_MAX_ITEMS;
    size_t n = 0;
    for (size_t i = 0; is_good && i < yyjson_arr_size(root); i++) {
        struct slice item = json_string(yyjson_arr_get(root, i));
        items[n] = scratch_dup(s, item);
        is_good = item.ptr && items[n].ptr;
        n += item.len > 0;
    }
    *count = n;
    arena_deinit(&a);
    return is_good;
}

bool config_parse_list(struct scratch *s, struct slice text, struct slice **out, size_t *out_count)
{
    text = slice_trim(text);
    struct slice *items = scratch_alloc(s, LIST_MAX_ITEMS * sizeof(*items));
    size_t n = 0;
    if (!items) {
        return false;
    }
    *out = items;
    if (slice_starts(text, SLICE("["))) {
        return parse_json_list(s, text, items, out_count);
    }
    while (text.len) {
        size_t end = slice_find(text, ',');
        struct slice item = slice_trim(slice_head(text, end));
        text = slice_from(text, end + 1);
        if (item.len) {
            if (n == LIST_MAX_ITEMS) {
                return false;
            }
            items[n++] = item;
        }
    }
    *out_count = n;
    return true;
}

/* host:port, [v6]:port; the host may be empty (":9000"): all addresses. */
bool config_split_listen(struct slice text, struct slice *host, uint16_t *port)
{
    size_t colon = text.len;
    while (colon && text.ptr[colon - 1] != ':') {
        colon--;
    }
    int64_t number;
    struct slice digits = slice_from(text, colon);
    if (colon == 0 || !take_number(&digits, &number) || digits.len || number > UINT16_MAX) {
        return false;
    }
    *host = slice_head(text, colon - 1);
    if (slice_starts(*host, SLICE("[")) && slice_ends(*host, SLICE("]"))) {
        *host = slice_of(host->ptr + 1, host->len - 2);
    } else if (slice_find(*host, ':') < host->len) {
        return false;
    }
    if (host->len == 0) {
        *host = SLICE("0.0.0.0");
    }
    *port = (uint16_t)number;
    return true;
}

static bool is_token(struct slice text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_alnum = is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && !memchr(others, c, sizeof(others) - 1)) {
            return false;
        }
    }
    return text.len > 0;
}

/* Goes into header lines: nothing that could end one. */
static bool is_visible(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_prefix(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '?' || c == '#' || c == '%') {
            return false;
        }
    }
    return text.len > 1 && text.ptr[0] == '/' && text.ptr[text.len - 1] != '/';
}

static bool is_url(struct slice text)
{
    bool has_scheme = slice_starts(text, SLICE("http://")) || slice_starts(text, SLICE("https://"));
    return has_scheme && is_visible(text);
}

static bool is_readable(struct config_build *b, struct slice path)
{
    struct slice name = scratch_dup(&b->scratch, path);
    return name.ptr && access(name.ptr, R_OK) == 0;
}

/* One of the row's words, in any case; the value becomes the word as the row spells it. */
static bool take_word(const char *words, struct slice *text)
{
    for (struct slice left = slice_str(words); left.len;) {
        struct slice word = slice_head(left, slice_find(left, '|'));
        left = slice_from(left, word.len + 1);
        if (slice_eq_nocase(word, *text)) {
            *text = word;
            return true;
        }
    }
    return false;
}

bool config_is_placeholder(struct slice secret)
{
    static const struct slice words[] = {
        SLICE_INIT("change-me"),   SLICE_INIT("changeme"),   SLICE_INIT("change_me"),
        SLICE_INIT("your-"),       SLICE_INIT("your_"),      SLICE_INIT("replace"),
        SLICE_INIT("placeholder"), SLICE_INIT("<"),          SLICE_INIT("xxx"),
        SLICE_INIT("example"),     SLICE_INIT("secret-key"), SLICE_INIT("todo")};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (slice_eq_nocase(slice_head(secret, words[i].len), words[i])) {
            return true;
        }
    }
    return slice_ends(secret, SLICE("...")) || slice_eq_nocase(secret, SLICE("secret"));
}

static bool is_text_good(struct config_build *b, const struct config_row *row,
                         struct config_value *v)
{
    struct slice host;
    uint16_t port;
    switch (row->type) {
    case CONFIG_TEXT: return true;
    case CONFIG_LIST: return config_parse_list(&b->scratch, v->text, &v->items, &v->item_count);
    case CONFIG_URL: return is_url(v->text);
    case CONFIG_LISTEN: return config_split_listen(v->text, &host, &port);
    case CONFIG_PREFIX: return is_prefix(v->text);
    case CONFIG_HEADER: return is_token(v->text);
    case CONFIG_WORD: return take_word(row->low, &v->text);
    case CONFIG_FILE: return is_readable(b, v->text);
    case CONFIG_SECRET: return is_visible(v->text) && v->text.len < SECRET_MAX_BYTES / 2;
    case CONFIG_COUNT:
    case CONFIG_BYTES:
    case CONFIG_DURATION:
    case CONFIG_BOOL:
    case CONFIG_USD:
    case CONFIG_PORT: break;
    }
    return false;
}

static void bad_value(struct config_build *b, const struct config_row *row,
                      const struct config_value *v, const char *problem)
{
    struct slice shown = row->type == CONFIG_SECRET ? SLICE("(secret)") : v->text;
    if (row->type == CONFIG_WORD) {
        config_error(b, v->where, "%s: %.*s %s; accepted: %s", row->name, SLICE_ARG(shown), problem,
                     row->low);
    } else if (row->low[0] && row->high[0]) {
        config_error(b, v->where, "%s: %.*s %s; accepted: %s, from %s to %s", row->name,
                     SLICE_ARG(shown), problem, config_type_text(row->type), row->low, row->high);
    } else {
        config_error(b, v->where, "%s: %.*s %s; accepted: %s", row->name, SLICE_ARG(shown), problem,
                     config_type_text(row->type));
    }
}

static bool is_in_range(const struct config_row *row, int64_t number)
{
    int64_t low;
    int64_t high;
    bool is_low =
        row->low[0] && config_parse_number(row->type, slice_str(row->low), &low) && number < low;
    bool is_high = row->high[0] && config_parse_number(row->type, slice_str(row->high), &high) &&
                   number > high;
    return !is_low && !is_high;
}

void config_check_value(struct config_build *b, enum config_id id)
{
    const struct config_row *row = &config_rows[id];
    struct config_value *v = &b->values[id];
    if (v->text.len == 0) {
        return;
    }
    const char *problem = NULL;
    if (memchr(v->text.ptr, '\0', v->text.len) || memchr(v->text.ptr, '\n', v->text.len)) {
        problem = "has a line feed or a zero byte";
    } else if (!is_number_type(row->type)) {
        problem = is_text_good(b, row, v) ? NULL : "is not accepted";
    } else if (!config_parse_number(row->type, v->text, &v->number)) {
        problem = "is not accepted";
    } else if (!is_in_range(row, v->number)) {
        problem = "is out of range";
    }
    if (problem) {
        bad_value(b, row, v, problem);
        v->text = SLICE_NONE; /* one report is enough: nobody looks at it again */
    }
}

void config_mask(struct slice secret, struct text *out)
{
    enum { SHOWN_FROM_BYTES = 20, TAIL_BYTES = 4 };
    if (secret.len >= SHOWN_FROM_BYTES && slice_starts(secret, SLICE("sk-"))) {
        TEXT_ADD(out, "sk-...");
        text_add(out, slice_from(secret, secret.len - TAIL_BYTES));
    } else {
        text_addf(out, "set (%zu characters)", secret.len);
    }
}

/* Optimal string alignment, by rows; texts longer than the table are never near. */
size_t config_distance(struct slice a, struct slice b, size_t limit)
{
    enum { WIDTH = 64 };
    size_t rows[3][WIDTH + 1];
    if (a.len > WIDTH || b.len > WIDTH) {
        return limit + 1;
    }
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t *now = rows[i % 3];
        const size_t *up = rows[(i + 2) % 3];
        const size_t *two_up = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            bool is_same = a.ptr[i - 1] == b.ptr[j - 1];
            size_t best = size_min(up[j] + 1, now[j - 1] + 1);
            best = size_min(best, up[j - 1] + (is_same ? 0 : 1));
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1]) {
                best = size_min(best, two_up[j - 2] + 1);
            }
            now[j] = best;
        }
    }
    return size_min(rows[a.len % 3][b.len], limit + 1);
}

struct slice config_nearest(struct slice name, const struct slice *names, size_t n)
{
    size_t limit = name.len < 6 ? 2 : 3;
    size_t best = limit + 1;
    struct slice nearest = SLICE_NONE;
    for (size_t i = 0; i < n; i++) {
        size_t distance = config_distance(name, names[i], limit);
        if (distance < best && distance < names[i].len) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}
