#include "media.h"

#include "digest.h"
#include "multipart.h"
#include "reply.h"
#include "trouble.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SPEECH_BYTES = 4096, PIECE_BYTES = 16384, IMAGES_MAX = 10, IMAGE_BYTES = 64 };

static const char json_type[] = "application/json";

/* Every part as it was received, so that a test sees that no byte was lost on the way. */
static void put_received(struct buf *out, const struct form *form)
{
    buf_str(out, "\"received\":[");
    for (size_t i = 0; i < form->n; i++) {
        const struct form_part *p = &form->parts[i];
        buf_str(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        buf_json(out, p->name);
        if (p->filename.ptr != NULL) {
            buf_str(out, ",\"filename\":");
            buf_json(out, p->filename);
            buf_str(out, ",\"content_type\":");
            buf_json(out, p->type);
        }
        buf_printf(out, ",\"bytes\":%zu,\"sha256\":\"", p->data.len);
        digest_hex(out, p->data);
        buf_str(out, "\"}");
    }
    buf_str(out, "]");
}

static void put_heard(struct buf *out, const struct ask *a, const struct form_part *file)
{
    if (a->b.content != NULL) {
        buf_str(out, a->b.content);
    } else {
        buf_printf(out, "I heard %.*s of %zu bytes", (int)file->filename.len,
                   file->filename.ptr != NULL ? file->filename.ptr : "", file->data.len);
    }
}

static void stream_heard(struct content *c, const struct ask *a, struct str text)
{
    struct buf json = {0};
    buf_str(&json, "{\"type\":\"transcript.text.delta\",\"delta\":");
    buf_json(&json, text);
    buf_str(&json, "}");
    content_event(c, &a->b, NULL, buf_view(&json));
    json.len = 0;
    buf_str(&json, "{\"type\":\"transcript.text.done\",\"text\":");
    buf_json(&json, text);
    buf_str(&json, "}");
    content_event(c, &a->b, NULL, buf_view(&json));
    buf_free(&json);
    c->is_stream = true;
    c->type = "text/event-stream; charset=utf-8";
}

void transcription_answer(struct content *c, const struct ask *a)
{
    const struct form_part *file = form_find(a->form, "file");
    struct str format = form_text(a->form, "response_format");
    struct buf text = {0};
    if (file == NULL || a->model.len == 0) {
        content_error(c, 400, "you must provide a file and a model parameter", NULL, NULL);
        return;
    }
    put_heard(&text, a, file);
    if (str_is(form_text(a->form, "stream"), "true")) {
        stream_heard(c, a, buf_view(&text));
    } else if (str_is(format, "text") || str_is(format, "srt") || str_is(format, "vtt")) {
        buf_put(&c->bytes, buf_view(&text));
        buf_str(&c->bytes, "\n");
        content_document(c, "text/plain; charset=utf-8");
    } else {
        buf_str(&c->bytes, "{\"text\":");
        buf_json(&c->bytes, buf_view(&text));
        buf_printf(&c->bytes, ",\"bytes\":%zu,\"filename\":", file->data.len);
        buf_json(&c->bytes, file->filename);
        buf_str(&c->bytes, ",\"usage\":{\"type\":\"duration\",\"seconds\":1},");
        put_received(&c->bytes, a->form);
        buf_str(&c->bytes, "}");
        content_document(c, json_type);
    }
    buf_free(&text);
}

/* Bytes of every value, in pieces, so that a pace and a break can be set. */
void speech_answer(struct content *c, const struct ask *a)
{
    int64_t size = a->b.size >= 0 ? a->b.size : SPEECH_BYTES;
    buf_room(&c->bytes, (size_t)size);
    for (int64_t i = 0; i < size; i++) {
        c->bytes.ptr[i] = (char)(i % 251);
        c->bytes.len = (size_t)i + 1;
        if (c->bytes.len % PIECE_BYTES == 0) {
            content_end_piece(c);
        }
    }
    content_end_piece(c);
    c->is_stream = true;
    c->type = "audio/mpeg";
}

void images_answer(struct content *c, const struct ask *a)
{
    yyjson_val *asked = yyjson_obj_get(a->root, "n");
    struct str text = form_text(a->form, "n");
    int64_t n = text.len == 1 ? text.ptr[0] - '0' : yyjson_get_sint(asked);
    n = n < 1 ? 1 : n > IMAGES_MAX ? IMAGES_MAX : n;
    struct str format = a->form != NULL ? form_text(a->form, "response_format")
                                        : json_member(a->root, "response_format");
    struct buf bytes = {0};
    if (a->prompt.last.len == 0) {
        content_error(c, 400, "Missing required parameter: 'prompt'.", "prompt",
                      "missing_required_parameter");
        return;
    }
    buf_repeat(&bytes, 'i', (size_t)(a->b.size >= 0 ? a->b.size : IMAGE_BYTES));
    buf_printf(&c->bytes, "{\"created\":%" PRId64 ",\"data\":[", a->created);
    for (int64_t i = 0; i < n; i++) {
        buf_str(&c->bytes, i > 0 ? "," : "");
        if (str_is(format, "url")) {
            buf_printf(&c->bytes, "{\"url\":\"https://images.invalid/%" PRId64 ".png\"}", i);
        } else {
            buf_str(&c->bytes, "{\"b64_json\":\"");
            buf_base64(&c->bytes, buf_view(&bytes).ptr, bytes.len);
            buf_str(&c->bytes, "\"}");
        }
    }
    int64_t in = reply_told(a->b.prompt_tokens, a->prompt.tokens);
    int64_t out = reply_told(a->b.completion_tokens, 100 * n);
    buf_printf(&c->bytes,
               "],\"usage\":{\"input_tokens\":%" PRId64 ",\"output_tokens\":%" PRId64
               ",\"total_tokens\":%" PRId64 ",\"input_tokens_details\":{\"text_tokens\":%" PRId64
               ",\"image_tokens\":0}}",
               in, out, in + out, in);
    if (a->form != NULL) {
        buf_str(&c->bytes, ",");
        put_received(&c->bytes, a->form);
    }
    buf_str(&c->bytes, "}");
    content_document(c, json_type);
    buf_free(&bytes);
}
