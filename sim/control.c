#include "control.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct pair {
    char *name;
    char *value;
};

struct entry {
    char *model; /* conditions; NULL: any */
    char *path;
    char *header;
    char *header_value;
    int64_t times; /* left; -1 for ever */
    bool early;
    struct pair *pairs;
    size_t pair_n;
};

struct record {
    uint64_t seq;
    uint64_t conn;
    char *head;
    char *body;
    size_t body_kept; /* bytes in body, which is capped */
    size_t body_len;  /* as received */
    size_t sent;
    int64_t at_ns;
    int64_t end_ns; /* 0: still being answered */
    bool gone;
};

struct control {
    pthread_mutex_t lock;
    atomic_size_t entry_n;
    struct entry *entries[SCRIPT_MAX];
    struct record records[RECORDS_MAX];
    uint64_t last_seq;
    uint64_t first_seq; /* of what a reset left */
    uint64_t gone_n;
    int64_t conn_open;
    uint64_t conn_all;
};

struct control *control_new(void)
{
    struct control *c = xzalloc(sizeof(*c));
    (void)pthread_mutex_init(&c->lock, NULL);
    c->first_seq = 1;
    return c;
}

static void entry_free(struct entry *e)
{
    if (e == NULL) {
        return;
    }
    for (size_t i = 0; i < e->pair_n; i++) {
        free(e->pairs[i].name);
        free(e->pairs[i].value);
    }
    free(e->pairs);
    free(e->model);
    free(e->path);
    free(e->header);
    free(e->header_value);
    free(e);
}

static void record_wipe(struct record *r)
{
    free(r->head);
    free(r->body);
    *r = (struct record){0};
}

static char *text_of(yyjson_val *v)
{
    if (yyjson_is_str(v)) {
        return xdup((struct str){yyjson_get_str(v), yyjson_get_len(v)});
    }
    char *json = yyjson_val_write(v, 0, NULL);
    return json != NULL ? json : xdup(STR(""));
}

static void add_pair(struct entry *e, const char *prefix, const char *name, char *value)
{
    struct pair *grown = realloc(e->pairs, (e->pair_n + 1) * sizeof(*grown));
    if (grown == NULL) {
        abort();
    }
    struct buf full = {0};
    buf_str(&full, prefix);
    buf_str(&full, name);
    e->pairs = grown;
    e->pairs[e->pair_n++] = (struct pair){xdup(buf_view(&full)), value};
    buf_free(&full);
}

static void take_headers(struct entry *e, yyjson_val *headers)
{
    size_t i;
    size_t n;
    yyjson_val *key;
    yyjson_val *value;
    yyjson_obj_foreach(headers, i, n, key, value)
    {
        add_pair(e, "header.", yyjson_get_str(key), text_of(value));
    }
}

static void take_list(struct entry *e, const char *directives)
{
    struct str rest = {directives, strlen(directives)};
    struct str part;
    struct str value;
    while (behaviour_next(&rest, &part, &value)) {
        char *name = xdup(part);
        add_pair(e, "", name, xdup(value));
        free(name);
    }
}

static void take_member(struct entry *e, const char *name, yyjson_val *value)
{
    if (strcmp(name, "model") == 0) {
        e->model = text_of(value);
    } else if (strcmp(name, "path") == 0) {
        e->path = text_of(value);
    } else if (strcmp(name, "header") == 0) {
        yyjson_obj_iter it = yyjson_obj_iter_with(value);
        yyjson_val *key = yyjson_obj_iter_next(&it);
        if (key != NULL) {
            e->header = text_of(key);
            e->header_value = text_of(yyjson_obj_iter_get_val(key));
        }
    } else if (strcmp(name, "times") == 0) {
        e->times = yyjson_get_sint(value) > 0 ? yyjson_get_sint(value) : -1;
    } else if (strcmp(name, "headers") == 0) {
        take_headers(e, value);
    } else if (strcmp(name, "do") == 0 && yyjson_is_str(value)) {
        take_list(e, yyjson_get_str(value));
    } else {
        add_pair(e, "", name, text_of(value));
    }
}

static bool apply(const struct entry *e, struct behaviour *b, struct buf *out_why)
{
    for (size_t i = 0; i < e->pair_n; i++) {
        struct str name = {e->pairs[i].name, strlen(e->pairs[i].name)};
        struct str value = {e->pairs[i].value, strlen(e->pairs[i].value)};
        if (!behaviour_set(b, name, value)) {
            if (out_why != NULL) {
                buf_printf(out_why, "not understood: %s=%s", name.ptr, value.ptr);
            }
            return false;
        }
    }
    return true;
}

static struct entry *entry_parse(yyjson_val *v, struct buf *out_why)
{
    struct entry *e = xzalloc(sizeof(*e));
    e->times = 1;
    size_t i;
    size_t n;
    yyjson_val *key;
    yyjson_val *value;
    yyjson_obj_foreach(v, i, n, key, value)
    {
        take_member(e, yyjson_get_str(key), value);
    }
    struct behaviour tried;
    behaviour_init(&tried);
    bool ok = yyjson_is_obj(v) && apply(e, &tried, out_why);
    e->early = tried.early;
    behaviour_deinit(&tried);
    if (!ok) {
        entry_free(e);
        e = NULL;
    }
    return e;
}

bool control_script(struct control *c, struct str json, struct buf *out_why)
{
    yyjson_doc *doc = yyjson_read(json.ptr, json.len, 0);
    yyjson_val *list = yyjson_doc_get_root(doc);
    size_t all = yyjson_arr_size(list);
    struct entry **fresh = xzalloc((all + 1) * sizeof(struct entry *));
    bool ok = yyjson_is_arr(list) && all <= SCRIPT_MAX;
    size_t n;
    size_t i;
    yyjson_val *v;
    yyjson_arr_foreach(list, i, n, v)
    {
        if (ok) {
            fresh[i] = entry_parse(v, out_why);
            ok = fresh[i] != NULL;
        }
    }
    (void)pthread_mutex_lock(&c->lock);
    size_t have = c->entry_n;
    ok = ok && have + all <= SCRIPT_MAX;
    for (i = 0; i < all; i++) {
        if (ok) {
            c->entries[have + i] = fresh[i];
        } else {
            entry_free(fresh[i]);
        }
    }
    c->entry_n = ok ? have + all : have;
    (void)pthread_mutex_unlock(&c->lock);
    if (!ok && out_why->len == 0) {
        buf_str(out_why, "a script is a JSON list of at most 1000 objects");
    }
    free(fresh);
    yyjson_doc_free(doc);
    return ok;
}

void control_reset(struct control *c)
{
    (void)pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->entry_n; i++) {
        entry_free(c->entries[i]);
    }
    c->entry_n = 0;
    for (size_t i = 0; i < RECORDS_MAX; i++) {
        record_wipe(&c->records[i]);
    }
    c->first_seq = c->last_seq + 1;
    c->gone_n = 0;
    (void)pthread_mutex_unlock(&c->lock);
}

bool control_has_script(struct control *c)
{
    return c->entry_n > 0;
}

static bool matches(const struct entry *e, const struct request *r, struct str model)
{
    if (e->model != NULL) {
        const char *semi = memchr(model.ptr, ';', model.len);
        struct str base = {model.ptr, semi != NULL ? (size_t)(semi - model.ptr) : model.len};
        if (!str_is(model, e->model) && !str_is(base, e->model)) {
            return false;
        }
    }
    if (e->path != NULL && !str_is(r->path, e->path)) {
        return false;
    }
    return e->header == NULL || str_is(http_header(r, e->header), e->header_value);
}

bool control_apply(struct control *c, const struct request *r, struct str model, bool only_early,
                   struct behaviour *b)
{
    bool found = false;
    (void)pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->entry_n && !found; i++) {
        struct entry *e = c->entries[i];
        if (e->early != only_early || !matches(e, r, model)) {
            continue;
        }
        found = true;
        (void)apply(e, b, NULL);
        if (e->times > 0 && --e->times == 0) {
            entry_free(e);
            c->entry_n--;
            memmove(&c->entries[i], &c->entries[i + 1], (c->entry_n - i) * sizeof(struct entry *));
        }
    }
    (void)pthread_mutex_unlock(&c->lock);
    return found;
}

uint64_t control_record(struct control *c, const struct request *r, uint64_t conn, int64_t now_ns)
{
    size_t keep = r->body.len < RECORD_BODY_MAX_BYTES ? r->body.len : RECORD_BODY_MAX_BYTES;
    struct record rec = {.conn = conn, .at_ns = now_ns, .body_len = r->body.len};
    rec.head = xdup(r->head);
    rec.body = xdup((struct str){r->body.ptr, keep});
    rec.body_kept = keep;
    (void)pthread_mutex_lock(&c->lock);
    rec.seq = ++c->last_seq;
    struct record *slot = &c->records[rec.seq % RECORDS_MAX];
    record_wipe(slot);
    *slot = rec;
    (void)pthread_mutex_unlock(&c->lock);
    return rec.seq;
}

void control_finish(struct control *c, uint64_t seq, size_t sent, bool gone, int64_t now_ns)
{
    (void)pthread_mutex_lock(&c->lock);
    struct record *slot = &c->records[seq % RECORDS_MAX];
    if (slot->seq == seq) {
        slot->sent = sent;
        slot->gone = gone;
        slot->end_ns = now_ns;
    }
    c->gone_n += gone ? 1 : 0;
    (void)pthread_mutex_unlock(&c->lock);
}

void control_conn(struct control *c, int change)
{
    (void)pthread_mutex_lock(&c->lock);
    c->conn_open += change;
    c->conn_all += change > 0 ? 1 : 0;
    (void)pthread_mutex_unlock(&c->lock);
}

static void put_text(struct buf *out, const char *name, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] >=
            0x80) { /* any byte may be here: base64 keeps the JSON valid */
            buf_printf(out, ",\"%s_base64\":\"", name);
            buf_base64(out, s.ptr, s.len);
            buf_str(out, "\"");
            return;
        }
    }
    buf_printf(out, ",\"%s\":", name);
    buf_json(out, s);
}

static void put_record(struct buf *out, const struct record *r)
{
    buf_printf(out,
               "{\"seq\":%" PRIu64 ",\"connection\":%" PRIu64
               ",\"body_bytes\":%zu,\"sent_bytes\":%zu,"
               "\"client_gone\":%s,\"answered\":%s,\"start_ms\":%.3f,\"end_ms\":%.3f",
               r->seq, r->conn, r->body_len, r->sent, r->gone ? "true" : "false",
               r->end_ns != 0 && !r->gone ? "true" : "false", (double)r->at_ns / 1e6,
               (double)r->end_ns / 1e6);
    put_text(out, "head", (struct str){r->head, strlen(r->head)});
    put_text(out, "body", (struct str){r->body, r->body_kept});
    buf_str(out, "}");
}

void control_requests(struct control *c, uint64_t since, struct buf *out)
{
    (void)pthread_mutex_lock(&c->lock);
    uint64_t from = c->last_seq > RECORDS_MAX - 1 ? c->last_seq - (RECORDS_MAX - 1) : 1;
    from = from > c->first_seq ? from : c->first_seq;
    from = from > since ? from : since + 1;
    buf_printf(out, "{\"count\":%" PRIu64 ",\"requests\":[", c->last_seq + 1 - c->first_seq);
    for (uint64_t seq = from; seq <= c->last_seq; seq++) {
        buf_str(out, seq > from ? "," : "");
        put_record(out, &c->records[seq % RECORDS_MAX]);
    }
    buf_str(out, "]}");
    (void)pthread_mutex_unlock(&c->lock);
}

void control_stats(struct control *c, struct buf *out)
{
    (void)pthread_mutex_lock(&c->lock);
    buf_printf(out,
               "{\"requests\":%" PRIu64 ",\"client_gone\":%" PRIu64 ",\"connections_open\":%" PRId64
               ",\"connections\":%" PRIu64 ",\"script_left\":%zu}",
               c->last_seq + 1 - c->first_seq, c->gone_n, c->conn_open, c->conn_all,
               (size_t)c->entry_n);
    (void)pthread_mutex_unlock(&c->lock);
}
