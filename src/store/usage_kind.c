#include "store/usage_kind.h"

#include "store/usage.h"

#include <assert.h>

enum {
    USAGE_KINDS_MAX = 16384,         /* then all are forgotten and read again as they come */
    USAGE_KIND_SLOTS = 32768,        /* a power of two: at most half full */
    USAGE_KINDS_TEXT_BYTES = 8 << 20 /* 2 x 128 bytes each, and what the arena's blocks waste */
};

void usage_kinds_forget(struct usage_kinds *k)
{
    if (k->count) {
        memset(k->slots, 0, USAGE_KIND_SLOTS * sizeof(*k->slots));
    }
    k->count = k->last = 0;
    arena_reset(&k->texts);
}

void usage_kinds_deinit(struct usage_kinds *k)
{
    free(k->at);
    free(k->slots);
    arena_deinit(&k->texts);
    *k = (struct usage_kinds){0};
}

static enum err make_room(struct usage_kinds *k)
{
    if (!k->at) {
        k->at = calloc(USAGE_KINDS_MAX, sizeof(*k->at));
        k->slots = calloc(USAGE_KIND_SLOTS, sizeof(*k->slots));
        arena_init(&k->texts, NULL, USAGE_KINDS_TEXT_BYTES);
        if (!k->at || !k->slots) {
            usage_kinds_deinit(k);
            return E_NOMEM;
        }
    }
    if (k->count == USAGE_KINDS_MAX) {
        usage_kinds_forget(k);
    }
    return OK;
}

static bool is_kind(const struct usage_kind *k, const struct usage_record *r, int64_t bits)
{
    return k->bits == bits && id_eq(k->key, r->key) && id_eq(k->tenant, r->tenant) &&
           k->attempts == r->attempts && k->http_status == r->http_status &&
           slice_eq(k->model, r->model) && slice_eq(k->provider, r->provider);
}

static uint64_t mix(uint64_t h, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        h = (h ^ (uint8_t)s.ptr[i]) * UINT64_C(0x100000001B3);
    }
    return h;
}

/* The place where the kind is or would be. */
static size_t slot_of(const struct usage_kinds *k, const struct usage_record *r, int64_t bits)
{
    uint64_t h = id_hash(r->key) ^ id_hash(r->tenant) ^ (uint64_t)bits << 20 ^
                 (uint64_t)(uint32_t)r->attempts << 10 ^ (uint64_t)(uint32_t)r->http_status;
    h = mix(mix(h, r->provider), r->model);
    size_t at = (size_t)(h ^ (h >> 29)) & (USAGE_KIND_SLOTS - 1);
    while (k->slots[at] && !is_kind(&k->at[k->slots[at] - 1], r, bits)) {
        at = (at + 1) & (USAGE_KIND_SLOTS - 1);
    }
    return at;
}

/* Unlike db_bind_id: a zero id is a value too. */
static void bind_id(sqlite3_stmt *stmt, int at, struct id id)
{
    char text[ID_TEXT_BYTES];
    id_format(id, text);
    (void)sqlite3_bind_text(stmt, at, text, ID_TEXT_BYTES, SQLITE_TRANSIENT);
}

static enum err run(struct store_db *db, enum db_stmt which, const struct usage_record *r,
                    int64_t *out_no)
{
    sqlite3_stmt *stmt = db_prepare(db, which);
    if (!stmt) {
        return E_DB;
    }
    bind_id(stmt, 1, r->tenant);
    bind_id(stmt, 2, r->key);
    db_bind_text(stmt, 3, r->provider);
    db_bind_text(stmt, 4, r->model);
    (void)sqlite3_bind_int64(stmt, 5, usage_bits(r));
    (void)sqlite3_bind_int(stmt, 6, r->attempts);
    (void)sqlite3_bind_int(stmt, 7, r->http_status);
    int rc = sqlite3_step(stmt);
    enum err e = rc == SQLITE_DONE ? E_NOT_FOUND : OK;
    if (rc == SQLITE_ROW) {
        *out_no = sqlite3_column_int64(stmt, 0);
        rc = sqlite3_step(stmt); /* an INSERT ... RETURNING ends here */
        e = rc == SQLITE_DONE ? OK : db_fail(db, rc);
    } else if (rc != SQLITE_DONE) {
        e = db_fail(db, rc);
    }
    (void)sqlite3_reset(stmt);
    return e;
}

static COLD enum err learn(struct store_db *db, const struct usage_record *r, int64_t bits,
                           int64_t *out_no)
{
    struct usage_kinds *k = &db->kinds;
    int64_t no = 0;
    enum err e = run(db, DB_KIND_FIND, r, &no);
    e = e == E_NOT_FOUND ? run(db, DB_KIND_ADD, r, &no) : e;
    if (e != OK) {
        return e;
    }
    struct slice provider = arena_dup(&k->texts, r->provider);
    struct slice model = arena_dup(&k->texts, r->model);
    if (provider.ptr && model.ptr) { /* otherwise it is asked again next time */
        assert(k->count < USAGE_KINDS_MAX);
        k->at[k->count] = (struct usage_kind){
            .tenant = r->tenant,
            .key = r->key,
            .provider = provider,
            .model = model,
            .bits = bits,
            .attempts = r->attempts,
            .http_status = r->http_status,
            .no = no,
        };
        size_t at = slot_of(k, r, bits);
        assert(k->slots[at] == 0);
        k->slots[at] = (uint32_t)++k->count;
        k->last = k->count - 1;
    }
    *out_no = no;
    return OK;
}

enum err usage_kind_no(struct store_db *db, const struct usage_record *r, int64_t *out_no)
{
    struct usage_kinds *k = &db->kinds;
    int64_t bits = usage_bits(r);
    if (k->count && is_kind(&k->at[k->last], r, bits)) {
        *out_no = k->at[k->last].no;
        return OK;
    }
    enum err e = make_room(k);
    if (e != OK) {
        return e;
    }
    size_t at = slot_of(k, r, bits);
    if (!k->slots[at]) {
        return learn(db, r, bits, out_no);
    }
    k->last = k->slots[at] - 1;
    *out_no = k->at[k->last].no;
    return OK;
}
