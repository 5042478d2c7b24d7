#include "auth/auth.h"

#include "auth/keyring.h"
#include "core/secret.h"
#include "wire/spans.h"

#include <assert.h>

enum {
    KEY_RANDOM_BYTES = 32,
    KEY_BODY_CHARS = 43, /* 62^43 > 2^256 */
    KEY_CHECK_CHARS = 6, /* 62^6 > 2^32 */
    KEY_PREFIX_CHARS = 7,
    CHAIN_MAX = 8, /* tenants from the key's own to its root: design 6 */
    MODEL_NAME_MAX_BYTES = 512
};

_Static_assert((int)AUTH_KEY_BYTES == KEY_PREFIX_CHARS + KEY_BODY_CHARS + KEY_CHECK_CHARS,
               "the parts make the key");

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const struct slice key_prefix = SLICE_INIT("llm-gw-");

/* --- keys ---------------------------------------------------------------------------------------
 */

/* Most significant character first, '0' on the left; number is divided down to zero. */
static void put_base62(uint8_t *number, size_t len, char *out, size_t chars)
{
    for (size_t c = chars; c > 0; c--) {
        unsigned rest = 0;
        for (size_t i = 0; i < len; i++) {
            rest = rest * 256 + number[i];
            number[i] = (uint8_t)(rest / 62);
            rest %= 62;
        }
        out[c - 1] = base62[rest];
    }
}

static void put_check(const char *body, char *out)
{
    uint32_t crc = crc32_iso(body, KEY_BODY_CHARS);
    for (size_t c = KEY_CHECK_CHARS; c > 0; c--, crc /= 62) {
        out[c - 1] = base62[crc % 62];
    }
}

static bool is_base62(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

void auth_key_make(char *out)
{
    uint8_t number[KEY_RANDOM_BYTES];
    char *body = out + KEY_PREFIX_CHARS;
    rand_bytes(number, sizeof(number));
    memcpy(out, key_prefix.ptr, KEY_PREFIX_CHARS);
    put_base62(number, sizeof(number), body, KEY_BODY_CHARS);
    put_check(body, body + KEY_BODY_CHARS);
    out[AUTH_KEY_BYTES] = '\0';
    secret_wipe(number, sizeof(number));
}

bool auth_key_is_plausible(struct slice key)
{
    if (!slice_starts(key, key_prefix)) {
        return true;
    }
    if (key.len != AUTH_KEY_BYTES) {
        return false;
    }
    for (size_t i = KEY_PREFIX_CHARS; i < key.len; i++) {
        if (!is_base62(key.ptr[i])) {
            return false;
        }
    }
    char check[KEY_CHECK_CHARS];
    const char *body = key.ptr + KEY_PREFIX_CHARS;
    put_check(body, check);
    return memcmp(check, body + KEY_BODY_CHARS, KEY_CHECK_CHARS) == 0;
}

struct sha256 auth_key_hash(struct slice key)
{
    return sha256_of(key);
}

/* --- the credential -----------------------------------------------------------------------------
 */

/* The token after "Bearer" (RFC 6750: any case, one or more spaces); ptr NULL for another scheme.
 */
static struct slice bearer_token(struct slice value)
{
    struct slice scheme = SLICE("bearer");
    if (value.len <= scheme.len || !slice_eq_nocase(slice_head(value, scheme.len), scheme) ||
        value.ptr[scheme.len] != ' ') {
        return SLICE_NONE;
    }
    return slice_trim(slice_from(value, scheme.len));
}

struct slice auth_credential(const struct http_head *head, struct slice api_key_header)
{
    struct slice named = api_key_header.len ? http_head_find(head, api_key_header) : SLICE_NONE;
    if (slice_eq_nocase(api_key_header, SLICE("authorization"))) {
        named = SLICE_NONE; /* it has its own form and place below */
    }
    struct slice in_order[] = {
        http_head_get(head, FIELD_X_API_KEY),
        named,
        bearer_token(http_head_get(head, FIELD_AUTHORIZATION)),
        http_head_get(head, FIELD_API_KEY),
        http_head_get(head, FIELD_X_GOOG_API_KEY),
    };
    for (size_t i = 0; i < ARRAY_LEN(in_order); i++) {
        if (in_order[i].len) { /* an SDK without a key sends the header with nothing in it */
            return in_order[i];
        }
    }
    return SLICE_NONE;
}

/* --- the check ----------------------------------------------------------------------------------
 */

static const struct tenant_record *record_of(const struct tenant_slot *slot)
{
    return atomic_load_explicit(&slot->record, memory_order_acquire);
}

/* The whole path is active, and the nearest policies are found on the way. */
static bool walk_chain(const struct key_record *key, struct slice *models, struct slice *cache_mode)
{
    const struct tenant_slot *slot = key->tenant;
    *models = key->allowed_models;
    *cache_mode = key->cache_mode;
    for (int level = 0; slot; level++) {
        const struct tenant_record *t = record_of(slot);
        if (!t || !t->is_active || level >= CHAIN_MAX) {
            return false;
        }
        *models = models->len ? *models : t->allowed_models;
        *cache_mode = cache_mode->len ? *cache_mode : t->cache_mode;
        slot = t->parent;
    }
    return true;
}

static bool copy_text(struct arena *a, struct slice from, struct slice *out)
{
    *out = from.len ? arena_dup(a, from) : SLICE("");
    return out->ptr != NULL;
}

enum auth_verdict auth_check(const struct directory *d, struct slice credential, int64_t unix_ns,
                             struct arena *a, struct auth_who *out_who)
{
    if (credential.len == 0) {
        return AUTH_MISSING;
    }
    if (credential.len > AUTH_KEY_MAX_BYTES || !auth_key_is_plausible(credential)) {
        return AUTH_INVALID;
    }
    struct sha256 hash = auth_key_hash(credential);
    const struct key_record *key = keyring_find(d, &hash);
    struct slice models, cache_mode;
    if (!key || !key->is_active || (key->expires_unix_ns && unix_ns >= key->expires_unix_ns) ||
        !walk_chain(key, &models, &cache_mode)) {
        return AUTH_INVALID;
    }
    const struct tenant_record *tenant = record_of(key->tenant);
    assert(tenant);
    struct auth_who who = {.tenant = key->tenant->id,
                           .key = key->id,
                           .quota = key->quota,
                           .rate_per_min = tenant->rate_per_min};
    if (!copy_text(a, tenant->name, &who.tenant_name) ||
        !copy_text(a, models, &who.allowed_models) || !copy_text(a, cache_mode, &who.cache_mode)) {
        return AUTH_INVALID;
    }
    *out_who = who;
    return AUTH_OK;
}

/* --- models -------------------------------------------------------------------------------------
 */

static bool name_matches(struct slice pattern, struct slice model)
{
    if (pattern.len && pattern.ptr[pattern.len - 1] == '*') {
        return slice_starts(model, slice_head(pattern, pattern.len - 1));
    }
    return slice_eq(pattern, model);
}

/* A list that does not parse allows nothing. */
bool auth_model_allowed(struct slice allowed_models, struct slice model)
{
    struct span_cursor cursor;
    struct span item;
    enum span_step step;
    bool is_allowed = false;
    if (allowed_models.len == 0) {
        return true;
    }
    if (span_open(&cursor, allowed_models) != OK || cursor.is_object) {
        return false;
    }
    while ((step = span_next(&cursor, &item)) == SPAN_ITEM) {
        char room[MODEL_NAME_MAX_BYTES];
        if (item.kind == SPAN_STRING && item.value.len <= sizeof(room)) {
            struct slice name = slice_of(room, span_unescape(item.value, room));
            is_allowed = is_allowed || name_matches(name, model);
        }
    }
    return step == SPAN_END && is_allowed;
}
