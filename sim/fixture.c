#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yyjson.h>

static bool read_file(struct buf *out, const char *dir, const char *name, const char *suffix)
{
    struct buf path = {0};
    buf_printf(&path, "%s/%s%s", dir, name, suffix);
    buf_add(&path, "", 1);
    FILE *f = fopen(path.ptr, "rb");
    buf_free(&path);
    if (f == NULL) {
        return false;
    }
    for (;;) {
        buf_room(out, 65536);
        size_t n = fread(out->ptr + out->len, 1, 65536, f);
        out->len += n;
        if (n == 0) {
            break;
        }
    }
    (void)fclose(f);
    return true;
}

/* Events end with an empty line; what follows the last one is a piece of its own. */
static void split_events(struct content *c)
{
    size_t line = 0;
    for (size_t i = 0; i < c->bytes.len; i++) {
        if (c->bytes.ptr[i] != '\n') {
            continue;
        }
        bool empty = i == line || (i == line + 1 && c->bytes.ptr[line] == '\r');
        if (empty) {
            content_end_piece(c);
        }
        line = i + 1;
    }
    if (c->bytes.len > 0 && (c->piece_n == 0 || c->ends[c->piece_n - 1] != c->bytes.len)) {
        content_end_piece(c);
    }
    c->is_stream = true;
    c->type = "text/event-stream; charset=utf-8";
}

/* Frames of an event stream begin with their length. */
static void split_frames(struct content *c)
{
    size_t at = 0;
    while (c->bytes.len - at >= 4) {
        const unsigned char *p = (const unsigned char *)c->bytes.ptr + at;
        size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        at = n >= 16 && n <= c->bytes.len - at ? at + n : c->bytes.len;
        size_t all = c->bytes.len;
        c->bytes.len = at;
        content_end_piece(c);
        c->bytes.len = all;
    }
    c->is_stream = true;
    c->type = "application/vnd.amazon.eventstream";
}

static bool ends_with(const struct buf *path, const char *suffix)
{
    size_t n = strlen(suffix) + 1; /* path ends in a NUL */
    return path->len > n && strcmp(path->ptr + path->len - n, suffix) == 0;
}

static bool is_framing_header(const char *name)
{
    static const char *const names[] = {"content-length", "content-encoding", "transfer-encoding",
                                        "connection",     "keep-alive",       "content-type"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (str_is_nocase((struct str){name, strlen(name)}, names[i])) {
            return true;
        }
    }
    return false;
}

static void copy_headers(struct content *c, yyjson_val *headers)
{
    size_t i;
    size_t n;
    yyjson_val *key;
    yyjson_val *value;
    yyjson_obj_foreach(headers, i, n, key, value)
    {
        yyjson_val *first = yyjson_is_arr(value) ? yyjson_arr_get_first(value) : value;
        const char *name = yyjson_get_str(key);
        const char *text = yyjson_get_str(first);
        if (text == NULL) {
            continue;
        }
        if (strcasecmp(name, "content-type") == 0) {
            c->type = NULL; /* the recorded one instead */
            buf_printf(&c->headers, "content-type: %s\r\n", text);
        } else if (!is_framing_header(name)) {
            buf_printf(&c->headers, "%s: %s\r\n", name, text);
        }
    }
}

static bool load_body(struct content *c, const char *dir, const char *name, yyjson_val *response)
{
    const char *file = yyjson_get_str(yyjson_obj_get(response, "body_file"));
    yyjson_val *body = yyjson_obj_get(response, "body");
    if (file != NULL) {
        const char *slash = strrchr(name, '/');
        struct buf path = {0};
        buf_printf(&path, "%.*s%s", slash != NULL ? (int)(slash - name) + 1 : 0, name, file);
        buf_add(&path, "", 1);
        bool ok = strstr(path.ptr, "..") == NULL && read_file(&c->bytes, dir, path.ptr, "");
        bool sse = ends_with(&path, ".sse");
        bool frames = ends_with(&path, ".eventstream.bin");
        buf_free(&path);
        if (sse) {
            split_events(c);
        } else if (frames) {
            split_frames(c);
        } else {
            content_document(c, "application/json");
        }
        return ok;
    }
    if (yyjson_is_str(body)) {
        buf_add(&c->bytes, yyjson_get_str(body), yyjson_get_len(body));
    } else if (body != NULL) {
        size_t len = 0;
        char *json = yyjson_val_write(body, 0, &len);
        buf_add(&c->bytes, json, json != NULL ? len : 0);
        free(json);
    }
    content_document(c, "application/json");
    return true;
}

static bool load_exchange(struct content *c, const char *dir, const char *name, struct buf *json,
                          struct buf *out_why)
{
    yyjson_doc *doc = yyjson_read(json->ptr, json->len, YYJSON_READ_NUMBER_AS_RAW);
    yyjson_val *response = yyjson_obj_get(yyjson_doc_get_root(doc), "response");
    bool ok = response != NULL && load_body(c, dir, name, response);
    if (ok) {
        yyjson_val *status = yyjson_obj_get(response, "status");
        c->status = yyjson_is_raw(status) ? strtol(yyjson_get_raw(status), NULL, 10) : 200;
        copy_headers(c, yyjson_obj_get(response, "headers"));
    } else {
        buf_printf(out_why, "fixture %s has no response or its body_file is missing", name);
    }
    yyjson_doc_free(doc);
    return ok;
}

bool fixture_load(struct content *c, const char *dir, const char *name, struct buf *out_why)
{
    c->status = 200;
    if (dir == NULL || strstr(name, "..") != NULL || name[0] == '/') {
        buf_str(out_why, dir == NULL ? "no --fixtures directory was given" : "bad fixture name");
        return false;
    }
    struct buf json = {0};
    bool ok = true;
    if (read_file(&json, dir, name, ".json")) {
        ok = load_exchange(c, dir, name, &json, out_why);
    } else if (read_file(&c->bytes, dir, name, ".sse")) {
        split_events(c);
    } else if (read_file(&c->bytes, dir, name, ".body.json")) {
        content_document(c, "application/json");
    } else {
        buf_printf(out_why, "there is no fixture %s", name);
        ok = false;
    }
    buf_free(&json);
    return ok;
}
