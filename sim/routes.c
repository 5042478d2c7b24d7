#define _GNU_SOURCE
#include "routes.h"

#include "chat.h"
#include "fixture.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char json_type[] = "application/json";

bool route_is_control(const struct request *r)
{
    return r->path.len >= 6 && memcmp(r->path.ptr, "/_sim/", 6) == 0;
}

static struct answer *frame_plain(struct content *c, bool close)
{
    struct behaviour b;
    behaviour_init(&b);
    b.close = close;
    struct answer *a = frame(c, &b);
    behaviour_deinit(&b);
    content_deinit(c);
    return a;
}

struct answer *route_bad_request(const char *why)
{
    struct content c = {0};
    content_error(&c, 400, why, NULL, "bad_framing");
    return frame_plain(&c, true);
}

static void control_route(struct control *ctl, const struct request *r, struct content *c)
{
    bool post = str_is(r->method, "POST");
    c->status = 200;
    if (post && str_is(r->path, "/_sim/script")) {
        struct buf why = {0};
        if (control_script(ctl, r->body, &why)) {
            buf_str(&c->bytes, "{\"ok\":true}");
        } else {
            buf_add(&why, "", 1);
            content_error(c, 400, why.ptr, NULL, NULL);
        }
        buf_free(&why);
    } else if (post && str_is(r->path, "/_sim/reset")) {
        control_reset(ctl);
        buf_str(&c->bytes, "{\"ok\":true}");
    } else if (str_is(r->path, "/_sim/requests")) {
        const char *since = memmem(r->target.ptr, r->target.len, "since=", 6);
        control_requests(ctl, since != NULL ? strtoull(since + 6, NULL, 10) : 0, &c->bytes);
    } else if (str_is(r->path, "/_sim/stats")) {
        control_stats(ctl, &c->bytes);
    } else {
        content_error(c, 404, "no such control", NULL, NULL);
    }
    content_document(c, json_type);
}

static void scripted_error(struct content *c, const struct behaviour *b)
{
    static const struct {
        int64_t status;
        const char *message;
        const char *code;
    } usual[] = {
        {400, "The request was not understood.", NULL},
        {401, "Incorrect API key provided: sk-sim. You can find your API key at the console.",
         "invalid_api_key"},
        {403, "Country, region, or territory not supported",
         "unsupported_country_region_territory"},
        {404, "The model does not exist or you do not have access to it.", "model_not_found"},
        {429, "Rate limit reached for requests. Please try again later.", "rate_limit_exceeded"},
        {500, "The server had an error while processing your request. Sorry about that!", NULL},
        {503, "The server is overloaded or not ready yet.", "slow_down"}};
    const char *message = "An error made by the simulator.";
    const char *code = b->code;
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        if (usual[i].status == b->status) {
            message = usual[i].message;
            code = code != NULL ? code : usual[i].code;
        }
    }
    content_error(c, b->status, b->message != NULL ? b->message : message, NULL, code);
    if (b->type != NULL) {
        char *at = strstr(c->bytes.ptr, "\"type\":\"");
        struct buf rest = {0};
        const char *end = strchr(at + 8, '"');
        buf_add(&rest, end, (size_t)(c->bytes.ptr + c->bytes.len - end));
        c->bytes.len = (size_t)(at + 8 - c->bytes.ptr);
        buf_str(&c->bytes, b->type);
        buf_put(&c->bytes, buf_view(&rest));
        buf_free(&rest);
        content_document(c, json_type);
    }
}

static size_t dimensions_of(const struct ask *a)
{
    int64_t asked = yyjson_get_sint(yyjson_obj_get(a->root, "dimensions"));
    if (asked > 0 && asked <= 4096) {
        return (size_t)asked;
    }
    return memmem(a->model.ptr, a->model.len, "large", 5) != NULL ? 3072 : 1536;
}

/* A vector of length one, made from the input's bytes. */
static void put_vector(struct buf *out, struct str input, size_t n, bool base64)
{
    float *v = xmalloc(n * sizeof(*v));
    double sum = 0;
    uint64_t h = str_hash(input, 1);
    for (size_t i = 0; i < n; i++) {
        h = h * 6364136223846793005ULL + 1442695040888963407ULL;
        v[i] = (float)((double)(h >> 40) / (double)(1 << 24) - 0.5);
        sum += (double)v[i] * (double)v[i];
    }
    for (size_t i = 0; i < n; i++) {
        v[i] = (float)((double)v[i] / sqrt(sum));
    }
    if (base64) {
        buf_str(out, "\"");
        buf_base64(out, v, n * sizeof(*v));
        buf_str(out, "\"");
    } else {
        for (size_t i = 0; i < n; i++) {
            buf_printf(out, "%s%.9g", i > 0 ? "," : "[", (double)v[i]);
        }
        buf_str(out, "]");
    }
    free(v);
}

/* One input is text or a list of token numbers; the numbers' JSON stands for their text. */
static int64_t put_embedding(struct buf *out, const struct ask *a, yyjson_val *input, size_t index)
{
    struct str encoding = json_str(yyjson_obj_get(a->root, "encoding_format"));
    int64_t tokens = (int64_t)yyjson_arr_size(input);
    buf_printf(out,
               "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", index > 0 ? "," : "",
               index);
    size_t len = 0;
    char *json = yyjson_val_write(input, 0, &len);
    put_vector(out, (struct str){json, len}, dimensions_of(a), str_is(encoding, "base64"));
    free(json);
    buf_str(out, "}");
    return yyjson_is_str(input) ? count_words(json_str(input)) : tokens;
}

static void embeddings(struct content *c, const struct ask *a)
{
    yyjson_val *input = yyjson_obj_get(a->root, "input");
    yyjson_val *first = yyjson_arr_get_first(input);
    int64_t tokens = 0;
    if (!yyjson_is_str(input) && first == NULL) {
        content_error(c, 400, "'$.input' is invalid. Please check the API reference.", NULL, NULL);
        return;
    }
    buf_str(&c->bytes, "{\"object\":\"list\",\"data\":[");
    if (yyjson_is_str(input) || yyjson_is_num(first)) {
        tokens = put_embedding(&c->bytes, a, input, 0);
    } else {
        size_t i;
        size_t n;
        yyjson_val *v;
        yyjson_arr_foreach(input, i, n, v)
        {
            tokens += put_embedding(&c->bytes, a, v, i);
        }
    }
    buf_str(&c->bytes, "],\"model\":");
    buf_json(&c->bytes, a->model);
    tokens = a->b.prompt_tokens >= 0 ? a->b.prompt_tokens : tokens;
    if (!behaviour_is(a->b.usage, "none")) {
        buf_printf(&c->bytes,
                   ",\"usage\":{\"prompt_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64 "}",
                   tokens, tokens);
    }
    buf_str(&c->bytes, "}");
    content_document(c, json_type);
}

static void moderations(struct content *c, const struct ask *a)
{
    static const char *const keys[] = {"harassment",
                                       "harassment/threatening",
                                       "hate",
                                       "hate/threatening",
                                       "illicit",
                                       "illicit/violent",
                                       "self-harm",
                                       "self-harm/instructions",
                                       "self-harm/intent",
                                       "sexual",
                                       "sexual/minors",
                                       "violence",
                                       "violence/graphic"};
    static const char *const members[] = {"categories", "category_scores",
                                          "category_applied_input_types"};
    static const char *const values[] = {"false", "0.0001", "[\"text\"]"};
    buf_printf(&c->bytes, "{\"id\":\"modr-%016" PRIx64 "\",\"model\":", a->id);
    buf_json(&c->bytes, a->model.len > 0 ? a->model : STR("omni-moderation-latest"));
    buf_str(&c->bytes, ",\"results\":[{\"flagged\":false");
    for (size_t m = 0; m < 3; m++) {
        buf_printf(&c->bytes, ",\"%s\":{", members[m]);
        for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
            buf_printf(&c->bytes, "%s\"%s\":%s", k > 0 ? "," : "", keys[k], values[m]);
        }
        buf_str(&c->bytes, "}");
    }
    buf_str(&c->bytes, "}]}");
    content_document(c, json_type);
}

static void put_model(struct buf *out, struct str id)
{
    buf_str(out, "{\"id\":");
    buf_json(out, id);
    buf_str(out, ",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"provider-sim\"}");
}

static void models(struct content *c)
{
    static const char *const ids[] = {"gpt-4o-mini",
                                      "gpt-4o",
                                      "gpt-4.1-mini",
                                      "gpt-4.1",
                                      "text-embedding-3-small",
                                      "text-embedding-3-large",
                                      "omni-moderation-latest"};
    buf_str(&c->bytes, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        buf_str(&c->bytes, i > 0 ? "," : "");
        put_model(&c->bytes, (struct str){ids[i], strlen(ids[i])});
    }
    buf_str(&c->bytes, "]}");
    content_document(c, json_type);
}

static void missing_model(struct content *c, struct str model)
{
    struct buf text = {0};
    buf_printf(&text, "The model `%.*s` does not exist or you do not have access to it.",
               (int)model.len, model.ptr);
    buf_add(&text, "", 1);
    content_error(c, 404, text.ptr, NULL, "model_not_found");
    buf_free(&text);
}

static bool is_missing(struct str model)
{
    return model.len >= 8 && memcmp(model.ptr, "missing-", 8) == 0;
}

enum endpoint { CHAT, TEXT, EMBEDDINGS, MODERATIONS, MODELS, MODEL, HEALTH, NOWHERE };

/* The path with and without /v1, so that a base URL may have it or not. */
static enum endpoint endpoint_of(struct str path, struct str *out_id)
{
    if (path.len > 3 && memcmp(path.ptr, "/v1/", 4) == 0) {
        path = (struct str){path.ptr + 3, path.len - 3};
    }
    static const struct {
        const char *path;
        enum endpoint endpoint;
    } table[] = {{"/chat/completions", CHAT},   {"/completions", TEXT}, {"/embeddings", EMBEDDINGS},
                 {"/moderations", MODERATIONS}, {"/models", MODELS},    {"/health", HEALTH}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (str_is(path, table[i].path)) {
            return table[i].endpoint;
        }
    }
    if (path.len > 8 && memcmp(path.ptr, "/models/", 8) == 0) {
        *out_id = (struct str){path.ptr + 8, path.len - 8};
        return MODEL;
    }
    return NOWHERE;
}

static void fill(struct content *c, const struct ask *a, enum endpoint endpoint)
{
    switch (endpoint) {
    case CHAT: chat_completion(c, a); break;
    case TEXT: text_completion(c, a); break;
    case EMBEDDINGS: embeddings(c, a); break;
    case MODERATIONS: moderations(c, a); break;
    case MODELS: models(c); break;
    case MODEL:
        put_model(&c->bytes, a->model);
        content_document(c, json_type);
        break;
    case HEALTH:
        buf_str(&c->bytes, "{\"status\":\"ok\"}");
        content_document(c, json_type);
        break;
    case NOWHERE: content_error(c, 404, "Invalid URL", NULL, NULL); break;
    }
}

static void speak(const struct sim_conf *conf, struct content *c, const struct ask *a,
                  enum endpoint endpoint)
{
    const struct behaviour *b = &a->b;
    struct buf why = {0};
    if (b->fixture != NULL) {
        if (!fixture_load(c, conf->fixtures, b->fixture, &why)) {
            buf_add(&why, "", 1);
            content_error(c, 500, why.ptr, NULL, "no_fixture");
        }
    } else if (b->body != NULL) {
        buf_str(&c->bytes, b->body);
        content_document(c, json_type);
        c->status = b->status;
    } else if (b->status >= 400) {
        scripted_error(c, b);
    } else {
        c->status = b->status;
        fill(c, a, endpoint);
    }
    buf_free(&why);
    c->type = b->content_type != NULL ? b->content_type : c->type;
}

static bool needs_body(enum endpoint e)
{
    return e == CHAT || e == TEXT || e == EMBEDDINGS || e == MODERATIONS;
}

/* What is wrong with a request before its endpoint looks at it; true when c has the error. */
static bool refuse(const struct sim_conf *conf, struct content *c, const struct ask *a,
                   enum endpoint endpoint)
{
    struct str key = http_header(a->http, "authorization");
    bool wrong_key =
        conf->api_key != NULL &&
        (key.len < 8 || !str_is((struct str){key.ptr + 7, key.len - 7}, conf->api_key));
    yyjson_val *options = yyjson_obj_get(a->root, "stream_options");
    if (endpoint == NOWHERE) {
        content_error(c, 404, "Invalid URL", NULL, NULL);
    } else if (endpoint != HEALTH && wrong_key) {
        content_error(c, 401, "Incorrect API key provided.", NULL, "invalid_api_key");
    } else if (str_is(a->http->method, "POST") != needs_body(endpoint)) {
        content_error(c, 405, "Not allowed to use this method on this path", NULL,
                      "method_not_supported");
    } else if (needs_body(endpoint) && !yyjson_is_obj(a->root)) {
        content_error(c, 400, "We could not parse the JSON body of your request.", NULL, NULL);
    } else if (needs_body(endpoint) && endpoint != MODERATIONS && a->model.len == 0) {
        content_error(c, 400, "you must provide a model parameter", NULL, NULL);
    } else if (is_missing(a->model)) {
        missing_model(c, a->model);
    } else if (options != NULL && !yyjson_is_null(options) && !a->stream) {
        content_error(c, 400,
                      "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                      "stream_options", NULL);
    } else {
        return false;
    }
    return true;
}

/* Ids in a path may be percent-encoded: models have names with slashes and colons. */
static struct str decode(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char hex[3] = {0};
        if (s.ptr[i] == '%' && i + 2 < s.len) {
            memcpy(hex, s.ptr + i + 1, 2);
            char byte = (char)strtol(hex, NULL, 16);
            buf_add(out, &byte, 1);
            i += 2;
        } else {
            buf_add(out, s.ptr + i, 1);
        }
    }
    return buf_view(out);
}

/* The last message may begin with "sim:" and directives up to its first line end: such a request
 * needs no special model name, so it passes a gateway that knows its models. */
static bool apply_message(struct behaviour *b, yyjson_val *root)
{
    yyjson_val *last = yyjson_arr_get_last(yyjson_obj_get(root, "messages"));
    struct str text = json_str(yyjson_obj_get(last, "content"));
    struct str base;
    struct str bad;
    if (text.len < 4 || memcmp(text.ptr, "sim:", 4) != 0) {
        return true;
    }
    const char *end = memchr(text.ptr, '\n', text.len);
    size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
    struct buf list = {0};
    buf_str(&list, ";");
    buf_add(&list, text.ptr + 4, len - 4);
    bool ok = behaviour_of_model(b, buf_view(&list), &base, &bad);
    buf_free(&list);
    return ok;
}

static struct answer *answer_api(const struct sim_conf *conf, const struct request *r)
{
    struct content c = {0};
    struct buf decoded = {0};
    struct ask a = {.http = r, .created = conf->created};
    struct str id = STR("");
    struct str bad = STR("");
    enum endpoint endpoint = endpoint_of(r->path, &id);
    yyjson_doc *doc = r->body.len > 0 ? yyjson_read(r->body.ptr, r->body.len, 0) : NULL;
    a.root = yyjson_doc_get_root(doc);
    a.id = str_hash(r->body, 7);
    a.stream = yyjson_get_bool(yyjson_obj_get(a.root, "stream"));
    a.include_usage =
        yyjson_get_bool(yyjson_obj_get(yyjson_obj_get(a.root, "stream_options"), "include_usage"));
    struct str model =
        endpoint == MODEL ? decode(&decoded, id) : json_str(yyjson_obj_get(a.root, "model"));
    behaviour_init(&a.b);
    bool understood = behaviour_of_model(&a.b, model, &a.model, &bad);
    understood = apply_message(&a.b, a.root) && understood;
    if (conf->control != NULL && control_has_script(conf->control)) {
        (void)control_apply(conf->control, r, model, false, &a.b);
    }
    /* An answer that is given whole stands on any path, for any request. */
    bool given = a.b.body != NULL || a.b.fixture != NULL || a.b.status != 200;
    if (!understood) {
        content_error(&c, 400, "a directive in the model name or the message was not understood",
                      NULL, NULL);
    } else if (given || !refuse(conf, &c, &a, endpoint)) {
        speak(conf, &c, &a, endpoint);
    }
    struct answer *answer = frame(&c, &a.b);
    behaviour_deinit(&a.b);
    content_deinit(&c);
    buf_free(&decoded);
    yyjson_doc_free(doc);
    return answer;
}

struct answer *route(const struct sim_conf *conf, const struct request *r)
{
    if (conf->control != NULL && route_is_control(r)) {
        struct content c = {0};
        control_route(conf->control, r, &c);
        return frame_plain(&c, false);
    }
    return answer_api(conf, r);
}

struct answer *route_early(const struct sim_conf *conf, const struct request *r)
{
    struct behaviour b;
    behaviour_init(&b);
    struct answer *a = NULL;
    if (conf->control != NULL && control_has_script(conf->control) &&
        control_apply(conf->control, r, STR(""), true, &b)) {
        struct content c = {0};
        b.close = true;
        scripted_error(&c, &b);
        a = frame(&c, &b);
        content_deinit(&c);
    }
    behaviour_deinit(&b);
    return a;
}
