/* AWS Bedrock's Converse: a provider's dialect only. A key is "AKID:SECRET" or
 * "AKID:SECRET:SESSION", with which each request is signed, or one word, an API key of Bedrock's.
 */
#include "dialect/bedrock.h"

#include "core/sigv4.h"
#include "dialect/openai.h"

static struct slice path(struct arena *a, enum chat_operation op, struct slice model,
                         bool is_stream)
{
    struct text t = text_growing(a);
    if (op != CHAT_OP_CHAT) {
        return SLICE_NONE;
    }
    TEXT_ADD(&t, "/model/");
    text_add_uri(&t, model, false);
    text_add(&t, is_stream ? SLICE("/converse-stream") : SLICE("/converse"));
    return t.is_full ? SLICE_NONE : text_slice(&t);
}

struct key {
    struct slice id, secret, session;
};

static struct key split(struct slice key)
{
    size_t id = slice_find(key, ':');
    struct slice rest = slice_from(key, id + 1);
    size_t secret = slice_find(rest, ':');
    return (struct key){slice_head(key, id), slice_head(rest, secret),
                        slice_from(rest, secret + 1)};
}

/* What of the credential is the same for every request. */
static void render_auth(struct slice key, struct text *out)
{
    struct key k = split(key);
    if (!k.secret.len) {
        TEXT_ADD(out, "authorization: Bearer ");
        text_add(out, key);
        TEXT_ADD(out, "\r\n");
    } else if (k.session.len) {
        TEXT_ADD(out, "x-amz-security-token: ");
        text_add(out, k.session);
        TEXT_ADD(out, "\r\n");
    }
}

static enum err sign(struct arena *a, const struct dialect_signing *in, struct text *out)
{
    char room[SIGV4_DATE_BYTES];
    struct key k = split(in->key);
    struct slice date = sigv4_date(in->now_unix_ns, room);
    const struct sigv4_header headers[] = {{SLICE("host"), in->host},
                                           {SLICE("x-amz-date"), date},
                                           {SLICE("x-amz-security-token"), k.session}};
    const struct sigv4_request r = {.method = in->method,
                                    .path = in->path,
                                    .query = in->query,
                                    .headers = headers,
                                    .header_count = k.session.len ? 3 : 2,
                                    .body = in->body,
                                    .body_count = in->body_count};
    const struct sigv4_key key = {
        .id = k.id, .secret = k.secret, .region = in->region, .service = SLICE("bedrock")};
    if (!k.secret.len) {
        return OK; /* render_auth() said it all */
    }
    TEXT_ADD(out, "x-amz-date: ");
    text_add(out, date);
    TEXT_ADD(out, "\r\nauthorization: ");
    enum err e = sigv4_sign(&r, &key, date, a, out);
    TEXT_ADD(out, "\r\n");
    return e ? e : out->is_full ? E_NOMEM : OK;
}

static const struct dialect_events events = {
    .framing = STREAM_FRAMING_EVENTSTREAM,
    .look = bedrock_look,
    .read_usage = bedrock_read_usage,
    .read_error = bedrock_read_error,
    .decode = bedrock_decode_event,
    .decoder_bytes = BEDROCK_DECODER_BYTES,
};

const struct dialect dialect_bedrock = {
    .name = "bedrock",
    .record = RECORD_DIALECT_BEDROCK,
    .path_has_model = true,
    .needs_region = true,
    /* Its clients come by /passthrough/ only, and go by the status. */
    .render_fault = openai_render_fault,
    .render_stream_fault = openai_render_stream_fault,
    .front = &front_openai,
    .path = path,
    .render_auth = render_auth,
    .sign = sign,
    .encode_request = bedrock_encode_request,
    .decode_response = bedrock_decode_response,
    .read_fault = bedrock_read_fault,
    .observe = bedrock_observe,
    .events = &events,
};
