#include "admin/members.h"

#include "wire/json.h"

#include <string.h>

void members_fault(struct admin_job *job, const char *type, const char *member,
                   struct slice message, yyjson_val *input)
{
    struct text *t = &job->out;
    job->status = 422;
    *t = text_growing(&job->arena);
    TEXT_ADD(t, "{\"detail\":[{\"type\":");
    text_add_json_string(t, slice_str(type));
    TEXT_ADD(t, ",\"loc\":[\"body\"");
    if (member) {
        TEXT_ADD(t, ",");
        text_add_json_string(t, slice_str(member));
    }
    TEXT_ADD(t, "],\"msg\":");
    text_add_json_string(t, message);
    TEXT_ADD(t, ",\"input\":");
    if (input) {
        json_add(t, &job->arena, input);
    } else {
        TEXT_ADD(t, "null");
    }
    TEXT_ADD(t, "}]}");
}

/* What is wrong with a value: FastAPI's type and text; type NULL: nothing. */
struct complaint {
    const char *type;
    const char *message;
};

static const struct complaint fine = {NULL, NULL};

static struct complaint read_text(yyjson_val *v, struct slice *out)
{
    struct slice s = json_string(v);
    if (!s.ptr) {
        return (struct complaint){"string_type", "Input should be a valid string"};
    }
    if (slice_trim(s).len == 0) {
        return (struct complaint){"string_too_short", "String should have at least 1 character"};
    }
    if (s.len > STORE_NAME_MAX_BYTES || memchr(s.ptr, '\0', s.len)) {
        return (struct complaint){"string_too_long",
                                  "String should have at most 200 bytes and no NUL"};
    }
    *out = s;
    return fine;
}

static struct complaint read_count(yyjson_val *v, int64_t *out)
{
    int64_t value;
    if (json_is_none(v)) {
        *out = -1;
        return fine;
    }
    if (!json_i64(v, &value)) {
        return (struct complaint){"int_type", "Input should be a valid integer"};
    }
    if (value < 0) {
        return (struct complaint){"greater_than_equal",
                                  "Input should be greater than or equal to 0"};
    }
    *out = value;
    return fine;
}

static struct complaint read_usd(yyjson_val *v, int64_t *out)
{
    if (json_is_none(v)) {
        *out = -1;
        return fine;
    }
    struct slice number = json_number(v);
    if (!number.ptr) {
        return (struct complaint){"float_type", "Input should be a valid number"};
    }
    if (money_parse(number, out) != OK) {
        return (struct complaint){
            "greater_than_equal",
            "Input should be an amount in USD from 0 to 9 billion with at most 9 decimals"};
    }
    return fine;
}

static struct complaint read_id(yyjson_val *v, struct id *out)
{
    if (json_is_none(v)) {
        *out = (struct id){0};
        return fine;
    }
    struct slice s = json_string(v);
    return s.ptr && id_parse(s, out)
               ? fine
               : (struct complaint){"uuid_parsing", "Input should be a valid UUID"};
}

static struct complaint read_models(struct admin_job *job, yyjson_val *v, struct slice *out)
{
    if (json_is_none(v)) {
        *out = SLICE_NONE;
        return fine;
    }
    size_t i;
    size_t n;
    yyjson_val *item;
    if (!yyjson_is_arr(v)) {
        return (struct complaint){"list_type", "Input should be a valid list of model names"};
    }
    yyjson_arr_foreach(v, i, n, item)
    {
        struct slice name = json_string(item);
        if (!name.len || name.len > RECORD_TEXT_MAX_BYTES) {
            return (struct complaint){"string_type",
                                      "Each model should be a name or a pattern ending in *"};
        }
    }
    *out = json_text(&job->arena, v);
    return fine;
}

static struct complaint read_word(yyjson_val *v, const char *const *words, struct slice *out)
{
    if (json_is_none(v)) {
        *out = SLICE_NONE;
        return fine;
    }
    struct slice s = json_string(v);
    for (; *words; words++) {
        if (slice_eq(s, slice_str(*words))) {
            *out = s;
            return fine;
        }
    }
    return (struct complaint){"literal_error", "Input should be one of the documented words"};
}

static struct complaint read_periods(yyjson_val *v, uint8_t *out)
{
    uint8_t bits = 0;
    size_t i;
    size_t n;
    yyjson_val *item;
    if (!json_is_none(v) && !yyjson_is_arr(v)) {
        return (struct complaint){"list_type", "Input should be a list of day, week, month, total"};
    }
    yyjson_arr_foreach(v, i, n, item)
    {
        size_t p = 0;
        while (p < BUDGET_PERIODS &&
               !slice_eq(json_string(item), slice_str(budget_period_names[p]))) {
            p++;
        }
        if (p == BUDGET_PERIODS) {
            return (struct complaint){"literal_error",
                                      "Input should be a list of day, week, month, total"};
        }
        bits = (uint8_t)(bits | 1u << p);
    }
    *out = bits;
    return fine;
}

/* "2026-11-23T15:24:46Z": UTC only, seconds precision or finer (ignored). */
static bool parse_rfc3339(struct slice s, int64_t *out_unix_ns)
{
    static const char pattern[] = "dddd-dd-ddTdd:dd:dd";
    int64_t field[6] = {0};
    size_t f = 0;
    if (s.len < sizeof(pattern) || s.ptr[s.len - 1] != 'Z') {
        return false;
    }
    for (size_t i = 0; i < sizeof(pattern) - 1; i++) {
        bool is_digit = s.ptr[i] >= '0' && s.ptr[i] <= '9';
        if (pattern[i] != 'd') {
            if (s.ptr[i] != pattern[i]) {
                return false;
            }
            f++;
        } else if (!is_digit) {
            return false;
        } else {
            field[f] = field[f] * 10 + (s.ptr[i] - '0');
        }
    }
    if (field[1] < 1 || field[1] > 12 || field[2] < 1 || field[2] > 31 || field[3] > 23 ||
        field[4] > 59 || field[5] > 60) {
        return false;
    }
    struct civil_date date = {(int32_t)field[0], (int32_t)field[1], (int32_t)field[2]};
    if (field[0] > 2200) {
        return false;
    }
    *out_unix_ns =
        clock_unix_ns_of_date(date) + (field[3] * 3600 + field[4] * 60 + field[5]) * NS_PER_S;
    return true;
}

static struct complaint read_time(yyjson_val *v, int64_t *out)
{
    int64_t seconds;
    if (json_is_none(v)) {
        *out = 0;
        return fine;
    }
    if (json_i64(v, &seconds) && seconds > 0 && seconds < INT64_MAX / NS_PER_S) {
        *out = seconds * NS_PER_S;
        return fine;
    }
    if (parse_rfc3339(json_string(v), out)) {
        return fine;
    }
    return (struct complaint){"datetime_parsing",
                              "Input should be an RFC 3339 time in UTC or Unix seconds"};
}

static struct complaint read_hash(yyjson_val *v, struct sha256 *out)
{
    struct slice s = json_string(v);
    struct sha256 hash;
    bool is_hex = s.len == (size_t)SHA256_BYTES * 2;
    for (size_t i = 0; is_hex && i < SHA256_BYTES; i++) {
        char pair[3] = {s.ptr[2 * i], s.ptr[2 * i + 1], '\0'};
        char *end;
        hash.bytes[i] = (uint8_t)strtoul(pair, &end, 16);
        is_hex = end == pair + 2 && pair[0] != '+' && pair[0] != '-' && pair[0] != ' ';
    }
    if (!is_hex) {
        return (struct complaint){"string_pattern_mismatch",
                                  "Input should be the key's SHA-256 as 64 hexadecimal digits"};
    }
    *out = hash;
    return fine;
}

static struct complaint read_member(struct admin_job *job, const struct member *m, yyjson_val *v,
                                    void *at)
{
    static const char *const cache_words[] = {"on", "off", NULL};
    static const char *const audit_words[] = {"metadata", NULL};
    switch (m->kind) {
    case MEMBER_TEXT: return read_text(v, at);
    case MEMBER_COUNT: return read_count(v, at);
    case MEMBER_USD: return read_usd(v, at);
    case MEMBER_ID: return read_id(v, at);
    case MEMBER_MODELS: return read_models(job, v, at);
    case MEMBER_CACHE: return read_word(v, cache_words, at);
    case MEMBER_AUDIT: return read_word(v, audit_words, at);
    case MEMBER_PERIODS: return read_periods(v, at);
    case MEMBER_TIME: return read_time(v, at);
    case MEMBER_HASH: return read_hash(v, at);
    case MEMBER_BOOL:
        if (!yyjson_is_bool(v)) {
            return (struct complaint){"bool_type", "Input should be a valid boolean"};
        }
        *(bool *)at = yyjson_get_bool(v);
        return fine;
    }
    return fine;
}

static const struct member *find_member(const struct member *table, size_t n, struct slice name)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_eq(name, slice_str(table[i].name))) {
            return &table[i];
        }
    }
    return NULL;
}

/* Names are from the client: a NUL inside would hide the rest. */
static const char *name_of(struct admin_job *job, yyjson_val *key)
{
    struct slice copy = arena_dup(&job->arena, slice_head(json_string(key), STORE_NAME_MAX_BYTES));
    return copy.ptr ? copy.ptr : "";
}

bool members_read(struct admin_job *job, const struct member *table, size_t n, void *target)
{
    uint64_t seen = 0;
    size_t i;
    size_t count;
    yyjson_val *key;
    yyjson_val *value;
    yyjson_obj_foreach(job->body, i, count, key, value)
    {
        const struct member *m = find_member(table, n, json_string(key));
        if (!m) {
            members_fault(job, "extra_forbidden", name_of(job, key),
                          SLICE("Extra inputs are not permitted"), value);
            return false;
        }
        uint64_t bit = UINT64_C(1) << (m - table);
        if (seen & bit) {
            members_fault(job, "duplicate", m->name, SLICE("The member is given twice"), value);
            return false;
        }
        seen |= bit;
        struct complaint c = read_member(job, m, value, (char *)target + m->offset);
        if (c.type) {
            members_fault(job, c.type, m->name, slice_str(c.message), value);
            return false;
        }
    }
    for (i = 0; i < n; i++) {
        if (table[i].is_required && !(seen & (UINT64_C(1) << i))) {
            members_fault(job, "missing", table[i].name, SLICE("Field required"), job->body);
            return false;
        }
    }
    return true;
}

bool members_has(const struct admin_job *job, const char *name)
{
    return json_get(job->body, name) != NULL;
}
