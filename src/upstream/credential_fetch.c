/* upstream/credential_fetch.c -- one fetch: an offload thread reads the file or makes the request's
 * body (signing costs a millisecond), the loop asks the endpoint.
 *
 *   state     event            -> state
 *   WORK      the job is back  -> ASK      a token endpoint
 *   WORK      the job is back  -> (freed)  a file, or a failure
 *   ASK       the answer's end -> (freed)
 *   WORK      fetcher closed   -> ORPHAN   freed when the job is back
 */
#include "core/check.h"
#include "core/jwt.h"
#include "upstream/credential_state.h"
#include "wire/spans.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ANSWER_MAX_BYTES = 32768,
    BODY_MAX_BYTES = 16384,
    HEAD_MAX_BYTES = 2048,
    ARENA_MAX_BYTES = 262144,
    ASSERTION_LIFE_S = 3600,
    CLOCK_SPARE_S = 10, /* an endpoint whose clock is a little behind */
    CONNECT_TIMEOUT_S = 5,
    ANSWER_TIMEOUT_S = 10,
    TOTAL_TIMEOUT_S = 15,
    LIFE_MAX_S = 86400,
    WORD_MAX_BYTES = 48,
};

/* On the heap; wiped when it goes. */
struct credential_fetch {
    struct list link;                   /* fetcher.running */
    struct credential_fetcher *fetcher; /* NULL: ORPHAN */
    struct credential_source *source;   /* a reference */
    struct offload_job job;
    bool is_working; /* the job is out */
    struct attempt *attempt;
    struct arena arena; /* of the attempt */
    int status;
    int64_t life_ns;
    char why[CREDENTIAL_WHY_BYTES]; /* empty: all is well */
    char head[HEAD_MAX_BYTES];
    char body[BODY_MAX_BYTES];
    size_t body_len;
    char answer[ANSWER_MAX_BYTES]; /* or the file's content; then the token in it */
    size_t answer_len;
    struct slice token;
};

static void PRINTF(2, 3) fail(struct credential_fetch *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(t->why, sizeof(t->why), format, args);
    va_end(args);
}

/* --- on a thread -------------------------------------------------------------------------------
 */

static void read_token_file(struct credential_fetch *t)
{
    const char *path = t->source->conf.file.ptr;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = 0;
    if (fd < 0) {
        fail(t, "the file cannot be opened (errno %d)", errno);
        return;
    }
    while (t->answer_len < ANSWER_MAX_BYTES &&
           (n = read(fd, t->answer + t->answer_len, ANSWER_MAX_BYTES - t->answer_len)) > 0) {
        t->answer_len += (size_t)n;
    }
    (void)close(fd);
    t->token = slice_trim(slice_of(t->answer, t->answer_len));
    if (n < 0) {
        fail(t, "the file cannot be read (errno %d)", errno);
    }
}

static void add_field(struct text *t, const char *name, struct slice value)
{
    text_addf(t, "%s%s=", t->len ? "&" : "", name);
    text_add_uri(t, value, false);
}

static void add_assertion(struct credential_fetch *t, struct text *body)
{
    const struct credential_conf *conf = &t->source->conf;
    char room[2048];
    struct text claims = text_in(room, sizeof(room));
    int64_t now_s = clock_unix_ns() / NS_PER_S - CLOCK_SPARE_S;
    TEXT_ADD(&claims, "{");
    text_add_json_key(&claims, "iss");
    text_add_json_string(&claims, conf->issuer);
    text_add_json_key(&claims, "scope");
    text_add_json_string(&claims, conf->scope);
    text_add_json_key(&claims, "aud");
    text_add_json_string(&claims, conf->audience);
    text_add_json_key(&claims, "iat");
    text_add_i64(&claims, now_s);
    text_add_json_key(&claims, "exp");
    text_add_i64(&claims, now_s + ASSERTION_LIFE_S);
    TEXT_ADD(&claims, "}");
    add_field(body, "grant_type", SLICE("urn:ietf:params:oauth:grant-type:jwt-bearer"));
    TEXT_ADD(body, "&assertion=");
    enum err e = claims.is_full
                     ? E_LIMIT
                     : jwt_sign(conf->private_key, conf->key_id, text_slice(&claims), body);
    if (e != OK) {
        fail(t, "the assertion cannot be signed: %s", err_text(e));
    }
}

static void make_body(struct credential_fetch *t)
{
    const struct credential_conf *conf = &t->source->conf;
    struct text body = text_in(t->body, sizeof(t->body));
    if (conf->grant == CREDENTIAL_SERVICE) {
        add_assertion(t, &body);
    } else {
        add_field(&body, "grant_type", SLICE("client_credentials"));
        add_field(&body, "client_id", conf->client_id);
        add_field(&body, "client_secret", conf->client_secret);
        if (conf->scope.len) {
            add_field(&body, "scope", conf->scope);
        }
    }
    if (body.is_full && !*t->why) {
        fail(t, "the request is too long");
    }
    t->body_len = body.len;
}

static void work(struct offload_job *job)
{
    struct credential_fetch *t = CONTAINER_OF(job, struct credential_fetch, job);
    if (t->source->conf.grant == CREDENTIAL_FILE) {
        read_token_file(t);
    } else {
        make_body(t);
    }
}

/* --- the end -----------------------------------------------------------------------------------
 */

static void fetch_free(struct credential_fetch *t)
{
    list_remove(&t->link);
    arena_deinit(&t->arena);
    credential_source_unref(t->source);
    secret_wipe(t, sizeof(*t));
    free(t);
}

/* What may stand in a header. */
static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return s.len > 0 && s.len <= CREDENTIAL_MAX_BYTES;
}

static void finish(struct credential_fetch *t)
{
    struct credential_fetcher *f = t->fetcher;
    struct credential_source *s = t->source;
    int64_t now_ns = loop_now_ns(f->loop);
    struct credential_report report = {
        .source = s,
        .where = s->conf.grant == CREDENTIAL_FILE ? s->conf.file : s->dest.authority,
        .valid_s = t->life_ns / NS_PER_S,
    };
    if (!*t->why && !is_token(t->token)) {
        fail(t, "%s", t->token.len ? "what came is no token" : "it is empty");
    }
    report.is_done = !*t->why;
    if (report.is_done &&
        !credential_source_put(s, t->token, t->life_ns, now_ns, &report.is_news)) {
        report.is_done = false;
        fail(t, "%s", err_text(E_NOMEM));
    }
    if (!report.is_done) {
        report.again_s = credential_source_fail(s, now_ns, &report.is_news);
        report.why = slice_str(t->why);
    }
    f->on_report(f->ctx, &report);
    fetch_free(t);
}

/* --- asking the endpoint -----------------------------------------------------------------------
 */

enum { M_TOKEN, M_EXPIRES, M_ERROR, M_DESCRIPTION, M_COUNT };
static const struct span_name members[M_COUNT] = {
    [M_TOKEN] = {SLICE_INIT("access_token"), false},
    [M_EXPIRES] = {SLICE_INIT("expires_in"), false},
    [M_ERROR] = {SLICE_INIT("error"), false},
    [M_DESCRIPTION] = {SLICE_INIT("error_description"), false},
};

/* The word that a text begins with ("invalid_client", "AADSTS7000215"): the rest may say anything,
 * and no log shall have it. */
static struct slice first_word(const struct span *s)
{
    struct slice text = s->kind == SPAN_STRING && s->is_string_plain ? span_plain(s) : SLICE_NONE;
    size_t n = 0;
    while (n < text.len) {
        char c = text.ptr[n];
        bool is_word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '_' || c == '-';
        if (!is_word) {
            break;
        }
        n++;
    }
    return n <= WORD_MAX_BYTES ? slice_head(text, n) : SLICE_NONE;
}

static void read_error(struct credential_fetch *t, const struct span *m)
{
    struct slice error = first_word(&m[M_ERROR]);
    struct slice more = first_word(&m[M_DESCRIPTION]);
    bool has_code = slice_starts(more, SLICE("AADSTS"));
    fail(t, "the token endpoint answered %d%s%.*s%s%.*s%s", t->status, error.len ? " (" : "",
         SLICE_ARG(error), error.len && has_code ? ", " : "",
         SLICE_ARG(has_code ? more : SLICE_NONE), error.len ? ")" : "");
}

static void read_answer(struct credential_fetch *t)
{
    struct span m[M_COUNT] = {{0}};
    struct span_object o;
    int64_t life_s = 0;
    enum err e = spans_scan(slice_of(t->answer, t->answer_len), members, M_COUNT, m, &o);
    if (t->status != 200) {
        if (e != OK) {
            memset(m, 0, sizeof(m));
        }
        read_error(t, m);
        return;
    }
    bool is_plain = e == OK && m[M_TOKEN].kind == SPAN_STRING && m[M_TOKEN].is_string_plain;
    if (!is_plain) {
        fail(t, "the token endpoint's answer has no access_token");
        return;
    }
    t->token = span_plain(&m[M_TOKEN]);
    struct slice life = m[M_EXPIRES].kind == SPAN_STRING && m[M_EXPIRES].is_string_plain
                            ? span_plain(&m[M_EXPIRES]) /* Azure's older form */
                            : m[M_EXPIRES].value;
    if (slice_to_i64(life, &life_s) && life_s > 0) {
        t->life_ns = i64_min(life_s, LIFE_MAX_S) * NS_PER_S;
    }
}

static void on_head(void *ctx, const struct http_head *head)
{
    struct credential_fetch *t = ctx;
    t->status = head->status;
}

static void on_body(void *ctx, struct slice data)
{
    struct credential_fetch *t = ctx;
    size_t n = size_min(data.len, ANSWER_MAX_BYTES - t->answer_len); /* bounded by limits, too */
    if (n) {
        memcpy(t->answer + t->answer_len, data.ptr, n);
        t->answer_len += n;
    }
}

static void on_input_end(void *ctx)
{
    (void)ctx;
}

static void on_end(void *ctx, enum err e, const char *action)
{
    struct credential_fetch *t = ctx;
    t->attempt = NULL;
    if (e == OK) {
        read_answer(t);
    } else {
        fail(t, "the token endpoint was not reached: %s while %s", err_text(e), action);
    }
    finish(t);
}

static const struct attempt_handler handler = {
    .on_head = on_head, .on_body = on_body, .on_input_end = on_input_end, .on_end = on_end};

static void ask(struct credential_fetch *t)
{
    struct credential_source *s = t->source;
    struct text head = text_in(t->head, sizeof(t->head));
    text_addf(&head,
              "POST %.*s HTTP/1.1\r\nhost: %.*s\r\nuser-agent: llm-gateway\r\n"
              "accept: application/json\r\naccept-encoding: identity\r\n"
              "content-type: application/x-www-form-urlencoded\r\ncontent-length: %zu\r\n\r\n",
              SLICE_ARG(s->path.len ? s->path : SLICE("/")), SLICE_ARG(s->dest.authority),
              t->body_len);
    if (head.is_full) {
        fail(t, "the token endpoint's URL is too long");
        finish(t);
        return;
    }
    struct attempt_request request = {
        .dest = &s->dest,
        .parts = {text_slice(&head), slice_of(t->body, t->body_len)},
        .part_count = 2,
        .timeouts = {.connect_ns = CONNECT_TIMEOUT_S * NS_PER_S,
                     .first_byte_ns = ANSWER_TIMEOUT_S * NS_PER_S,
                     .between_chunks_ns = ANSWER_TIMEOUT_S * NS_PER_S,
                     .total_ns = TOTAL_TIMEOUT_S * NS_PER_S},
        .limits = {.body_max_bytes = ANSWER_MAX_BYTES},
        .arena = &t->arena,
    };
    enum err e = attempt_start(t->fetcher->upstream, &request, &handler, t, &t->attempt);
    if (e != OK) {
        fail(t, "the token endpoint was not asked: %s", err_text(e));
        finish(t);
    }
}

static void done(struct offload_job *job)
{
    struct credential_fetch *t = CONTAINER_OF(job, struct credential_fetch, job);
    t->is_working = false;
    if (!t->fetcher) {
        fetch_free(t);
    } else if (*t->why || t->source->conf.grant == CREDENTIAL_FILE) {
        finish(t);
    } else {
        ask(t);
    }
}

/* --- the fetcher -------------------------------------------------------------------------------
 */

void credential_fetcher_init(struct credential_fetcher *f, struct loop *loop,
                             struct upstream *upstream, struct offload *offload,
                             credential_report_fn on_report, void *ctx)
{
    *f = (struct credential_fetcher){
        .loop = loop, .upstream = upstream, .offload = offload, .on_report = on_report, .ctx = ctx};
    list_init(&f->running);
}

void credential_fetch_if_due(struct credential_fetcher *f, struct credential_source *s)
{
    if (!credential_source_begin(s, loop_now_ns(f->loop))) {
        return;
    }
    struct credential_fetch *t = calloc(1, sizeof(*t));
    if (!t) {
        credential_source_abandon(s); /* still due */
        return;
    }
    t->fetcher = f;
    t->source = s;
    credential_source_ref(s);
    arena_init(&t->arena, NULL, ARENA_MAX_BYTES);
    list_init(&t->link);
    list_append(&f->running, &t->link);
    t->job = (struct offload_job){.work = work, .done = done, .loop = f->loop};
    t->is_working = true;
    if (offload_submit(f->offload, &t->job) != OK) {
        credential_source_abandon(s);
        fetch_free(t);
    }
}

void credential_fetcher_close(struct credential_fetcher *f)
{
    if (!f->loop) {
        return; /* never made */
    }
    list_each_safe(node, &f->running) {
        struct credential_fetch *t = CONTAINER_OF(node, struct credential_fetch, link);
        credential_source_abandon(t->source);
        if (t->attempt) {
            attempt_cancel(TAKE(t->attempt));
        }
        if (t->is_working) {
            t->fetcher = NULL;
            list_remove(&t->link);
        } else {
            fetch_free(t);
        }
    }
}
