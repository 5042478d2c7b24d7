#define _GNU_SOURCE
#include "routes.h"

#include "fixture.h"
#include "multipart.h"
#include "oauth.h"
#include "paths.h"
#include "responses.h"
#include "sigv4.h"
#include "store.h"
#include "trouble.h"

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

static void control_route(const struct sim_conf *conf, const struct request *r, struct content *c)
{
    struct control *ctl = conf->control;
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
        store_reset(conf->store);
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

/* A key that is demanded: each dialect has its own header for it. */
static bool has_key(const struct ask *a)
{
    const char *key = a->conf->api_key;
    struct str bearer = http_header(a->http, "authorization");
    struct str own = STR("");
    if (a->dialect == BEDROCK && a->conf->aws_keys != NULL && bearer.len > 4 &&
        memcmp(bearer.ptr, "AWS4", 4) == 0) {
        return true; /* the signature has been checked */
    }
    switch (a->dialect) {
    case ANTHROPIC: own = http_header(a->http, "x-api-key"); break;
    case AZURE: own = http_header(a->http, "api-key"); break;
    case GEMINI:
        own = http_header(a->http, "x-goog-api-key");
        own = own.ptr != NULL ? own : query_value(a->http, "key");
        break;
    case OPENAI:
    case RESPONSES: /* Azure's newer form of the same paths */
        own = a->http->path.len > 8 && memcmp(a->http->path.ptr, "/openai/", 8) == 0
                  ? http_header(a->http, "api-key")
                  : own;
        break;
    case OLLAMA:
    case BEDROCK: break;
    }
    bool is_bearer = bearer.len > 7 && str_is_nocase((struct str){bearer.ptr, 7}, "bearer ");
    if (a->conf->oauth_client != NULL || a->conf->oauth_key != NULL) {
        return is_bearer && oauth_is_good((struct str){bearer.ptr + 7, bearer.len - 7});
    }
    return key == NULL || (own.len > 0 && str_is(own, key)) ||
           (is_bearer && str_is((struct str){bearer.ptr + 7, bearer.len - 7}, key));
}

/* SigV4 or a Bedrock key; true when c has the error. */
static bool refuse_signature(struct content *c, const struct ask *a)
{
    struct str given = http_header(a->http, "authorization");
    bool bearer = given.len > 7 && str_is_nocase((struct str){given.ptr, 7}, "bearer ");
    if (a->conf->aws_keys == NULL || (bearer && a->conf->api_key != NULL)) {
        return false;
    }
    const char *fault = sigv4_fault(a->http, a->conf->aws_keys);
    if (fault != NULL) {
        content_trouble(c, BEDROCK,
                        &(struct trouble){
                            .status = 403, .type = "InvalidSignatureException", .message = fault});
    }
    return fault != NULL;
}

static void refuse_key(struct content *c, const struct ask *a)
{
    struct trouble t = {.status = 401, .message = "Incorrect API key provided."};
    switch (a->dialect) {
    case OPENAI:
    case RESPONSES: t.code = "invalid_api_key"; break;
    case AZURE:
        t.message = "Access denied due to invalid subscription key or wrong API endpoint.";
        break;
    case ANTHROPIC:
        t.message = http_header(a->http, "x-api-key").ptr != NULL ? "invalid x-api-key"
                                                                  : "x-api-key header is required";
        break;
    case GEMINI:
        t.status = 400;
        t.message = "API key not valid. Please pass a valid API key.";
        t.code = "API_KEY_INVALID";
        break;
    case OLLAMA: t.message = "unauthorized"; break;
    case BEDROCK:
        t.status = 403;
        t.type = "UnrecognizedClientException";
        t.message = "The security token included in the request is invalid.";
        break;
    }
    content_trouble(c, a->dialect, &t);
}

static void missing_model(struct content *c, const struct ask *a)
{
    int len = (int)a->model.len;
    const char *name = a->model.ptr;
    switch (a->dialect) {
    case OPENAI:
    case RESPONSES: {
        struct buf text = {0};
        buf_printf(&text, "The model `%.*s` does not exist or you do not have access to it.", len,
                   name);
        buf_add(&text, "", 1);
        content_error(c, 404, text.ptr, NULL, "model_not_found");
        buf_free(&text);
        break;
    }
    case AZURE:
        content_trouble(
            c, AZURE,
            &(struct trouble){.status = 404,
                              .code = "DeploymentNotFound",
                              .message = "The API deployment for this resource does not exist."});
        break;
    case ANTHROPIC: content_refusef(c, a, 404, "model: %.*s", len, name); break;
    case GEMINI:
        content_refusef(c, a, 404, "models/%.*s is not found for API version v1beta.", len, name);
        break;
    case OLLAMA:
        content_refusef(c, a, 404, "model \"%.*s\" not found, try pulling it first", len, name);
        break;
    case BEDROCK: content_refuse(c, a, 404, "The model ID is not found."); break;
    }
}

static bool is_missing(struct str model)
{
    return model.len >= 8 && memcmp(model.ptr, "missing-", 8) == 0;
}

/* What is wrong with a request before its endpoint looks at it; true when c has the error. */
static bool refuse(struct content *c, const struct ask *a, bool is_path)
{
    const struct endpoint *e = a->endpoint;
    unsigned needs = e != NULL ? e->needs : 0;
    yyjson_val *options = yyjson_obj_get(a->root, "stream_options");
    struct trouble t = {.status = 400};
    if (e == NULL && !is_path) {
        t = (struct trouble){.status = 404, .message = "Invalid URL"};
    } else if (a->dialect == BEDROCK && refuse_signature(c, a)) {
        return true;
    } else if ((needs & OPEN_TO_ALL) == 0 && !has_key(a)) {
        refuse_key(c, a);
        return true;
    } else if (a->dialect == AZURE && query_value(a->http, "api-version").len == 0) {
        t = (struct trouble){.status = 404, .message = "Resource not found"};
    } else if (e == NULL) {
        t = (struct trouble){.status = 405,
                             .message = "Not allowed to use this method on this path",
                             .code = "method_not_supported"};
    } else if ((needs & NEEDS_JSON) != 0 && !yyjson_is_obj(a->root)) {
        t.message = "We could not parse the JSON body of your request.";
    } else if ((needs & NEEDS_MODEL) != 0 && a->model.len == 0) {
        t.message = a->dialect == ANTHROPIC ? "model: Field required"
                                            : "you must provide a model parameter";
    } else if (is_missing(a->model)) {
        missing_model(c, a);
        return true;
    } else if (a->dialect == OPENAI && options != NULL && !yyjson_is_null(options) && !a->stream) {
        t.param = "stream_options";
        t.message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
    } else {
        return false;
    }
    content_trouble(c, a->dialect, &t);
    return true;
}

static void speak(struct content *c, const struct ask *a)
{
    const struct behaviour *b = &a->b;
    struct buf why = {0};
    if (b->fixture != NULL) {
        if (!fixture_load(c, a->conf->fixtures, b->fixture, &why)) {
            buf_add(&why, "", 1);
            content_error(c, 500, why.ptr, NULL, "no_fixture");
        }
    } else if (b->body != NULL) {
        buf_str(&c->bytes, b->body);
        content_document(c, json_type);
        c->status = b->status;
    } else if (b->status >= 400) {
        content_scripted(c, a->dialect, b);
    } else if (a->endpoint == NULL) { /* a status below 400 was asked of a path that is not there */
        content_trouble(c, a->dialect, &(struct trouble){.status = 404, .message = "Invalid URL"});
    } else {
        c->status = b->status;
        a->endpoint->answer(c, a);
        content_break_off(c, a);
    }
    buf_free(&why);
    c->type = b->content_type != NULL ? b->content_type : c->type;
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

/* The text to answer may have a line that begins with "sim:" and goes on with directives: such a
 * request needs no special model name, so it passes a gateway that knows its models. */
static bool apply_directive(struct behaviour *b, struct str directive)
{
    struct str base;
    struct str bad;
    struct buf list = {0};
    if (directive.ptr == NULL) {
        return true;
    }
    buf_str(&list, ";");
    buf_put(&list, directive);
    bool ok = behaviour_of_model(b, buf_view(&list), &base, &bad);
    buf_free(&list);
    return ok;
}

static bool wants_stream(const struct endpoint *e, yyjson_val *root)
{
    yyjson_val *asked = yyjson_obj_get(root, "stream");
    switch (e != NULL ? e->streaming : STREAM_NEVER) {
    case STREAM_IF_ASKED: return yyjson_get_bool(asked);
    case STREAM_UNLESS_REFUSED: return asked == NULL || yyjson_get_bool(asked);
    case STREAM_ALWAYS: return true;
    case STREAM_NEVER: return false;
    }
    return false;
}

static void read_prompt(struct ask *a)
{
    a->prompt.max_tokens = -1;
    if (a->form != NULL) {
        prompt_turn(&a->prompt, true);
        prompt_text(&a->prompt, form_text(a->form, "prompt"));
    } else if (a->endpoint != NULL && a->endpoint->read != NULL) {
        a->endpoint->read(&a->prompt, a);
    }
    prompt_end(&a->prompt);
}

/* The model with its directives, from wherever the endpoint has it. */
static struct str find_model(const struct ask *a)
{
    if (a->endpoint != NULL && (a->endpoint->needs & MODEL_IN_PATH) != 0) {
        return a->part;
    }
    return a->form != NULL ? form_text(a->form, "model") : json_member(a->root, "model");
}

static struct answer *answer_ask(struct ask *a, bool is_path)
{
    struct content c = {.id_header = trouble_id_header(a->dialect)};
    struct control *control = a->conf->control;
    struct str bad = STR("");
    struct str model = find_model(a);
    behaviour_init(&a->b);
    read_prompt(a);
    bool understood = behaviour_of_model(&a->b, model, &a->model, &bad);
    understood = apply_directive(&a->b, a->prompt.directive) && understood;
    if (control != NULL && control_has_script(control)) {
        (void)control_apply(control, a->http, model, false, &a->b);
    }
    /* An answer that is given whole stands on any path, for any request. */
    bool given = a->b.body != NULL || a->b.fixture != NULL || a->b.status != 200;
    if (!understood) {
        content_refuse(&c, a, 400,
                       "a directive in the model name or the message was not understood");
    } else if (given || !refuse(&c, a, is_path)) {
        speak(&c, a);
    }
    struct answer *answer = frame(&c, &a->b);
    if (str_is(a->http->method, "HEAD")) {
        answer->body.len = 0;
    }
    behaviour_deinit(&a->b);
    prompt_deinit(&a->prompt);
    content_deinit(&c);
    return answer;
}

static bool is_fixed(const struct ask *a)
{
    bool expires = a->conf->oauth_client != NULL || a->conf->oauth_key != NULL;
    return a->endpoint == NULL || (!expires && (a->endpoint->needs & HAS_STATE) == 0) ||
           (a->dialect == RESPONSES && responses_is_pure(a));
}

static struct answer *answer_api(const struct sim_conf *conf, const struct request *r,
                                 bool *out_fixed)
{
    struct buf decoded = {0};
    struct form form;
    struct str part = STR("");
    bool is_path = false;
    struct ask *a = xzalloc(sizeof(*a));
    *a = (struct ask){.conf = conf, .http = r, .created = conf->created};
    a->endpoint = endpoint_of(r, &part, &a->dialect, &is_path);
    yyjson_doc *doc = NULL;
    if (form_parse(&form, http_header(r, "content-type"), r->body)) {
        a->form = &form;
    } else if (r->body.len > 0) {
        doc = yyjson_read(r->body.ptr, r->body.len, 0);
    }
    a->part = decode(&decoded, part);
    a->root = yyjson_doc_get_root(doc);
    a->id = str_hash(r->body, 7);
    a->stream = wants_stream(a->endpoint, a->root);
    yyjson_val *options = yyjson_obj_get(a->root, "stream_options");
    a->include_usage = yyjson_get_bool(yyjson_obj_get(options, "include_usage"));
    *out_fixed = is_fixed(a);
    struct answer *answer = answer_ask(a, is_path);
    buf_free(&decoded);
    yyjson_doc_free(doc);
    free(a);
    return answer;
}

struct answer *route(const struct sim_conf *conf, const struct request *r, bool *out_fixed)
{
    if (conf->control != NULL && route_is_control(r)) {
        struct content c = {0};
        *out_fixed = false;
        control_route(conf, r, &c);
        return frame_plain(&c, false);
    }
    return answer_api(conf, r, out_fixed);
}

struct answer *route_early(const struct sim_conf *conf, const struct request *r)
{
    struct behaviour b;
    behaviour_init(&b);
    struct answer *a = NULL;
    if (conf->control != NULL && control_has_script(conf->control) &&
        control_apply(conf->control, r, STR(""), true, &b)) {
        struct str part;
        enum dialect dialect = OPENAI;
        bool is_path = false;
        (void)endpoint_of(r, &part, &dialect, &is_path);
        struct content c = {.id_header = trouble_id_header(dialect)};
        b.close = true;
        content_scripted(&c, dialect, &b);
        a = frame(&c, &b);
        content_deinit(&c);
    }
    behaviour_deinit(&b);
    return a;
}
