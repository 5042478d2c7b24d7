#include "files.h"

#include "multipart.h"
#include "store.h"
#include "trouble.h"

#include <inttypes.h>
#include <string.h>

static const char json_type[] = "application/json";

/* Stores a file; out_id is its new id. */
static void keep_file(const struct ask *a, struct str name, struct str purpose, struct str data,
                      struct buf *out_id, struct buf *out_json)
{
    buf_printf(out_id, "file-%06" PRIu64, store_next_id(a->conf->store));
    buf_str(out_json, "{\"id\":");
    buf_json(out_json, buf_view(out_id));
    buf_printf(out_json, ",\"object\":\"file\",\"bytes\":%zu,\"created_at\":%" PRId64, data.len,
               a->created);
    buf_str(out_json, ",\"filename\":");
    buf_json(out_json, name);
    buf_str(out_json, ",\"purpose\":");
    buf_json(out_json, purpose);
    buf_str(out_json, ",\"status\":\"processed\"}");
    store_put(a->conf->store, STORED_FILE, buf_view(out_id), buf_view(out_json), data);
}

void file_create(struct content *c, const struct ask *a)
{
    const struct form_part *file = form_find(a->form, "file");
    struct str purpose = form_text(a->form, "purpose");
    struct buf id = {0};
    if (file == NULL || purpose.len == 0) {
        content_error(c, 400, "'file' and 'purpose' are required", NULL, NULL);
        return;
    }
    keep_file(a, file->filename, purpose, file->data, &id, &c->bytes);
    content_document(c, json_type);
    buf_free(&id);
}

static void put_list(struct content *c, const struct ask *a, enum store_kind kind)
{
    buf_str(&c->bytes, "{\"object\":\"list\",\"data\":[");
    store_list(a->conf->store, kind, &c->bytes);
    buf_str(&c->bytes, "],\"first_id\":null,\"last_id\":null,\"has_more\":false}");
    content_document(c, json_type);
}

void file_list(struct content *c, const struct ask *a)
{
    put_list(c, a, STORED_FILE);
}

static void no_such(struct content *c, const struct ask *a, const char *what)
{
    content_refusef(c, a, 404, "No such %s object: %.*s", what, (int)a->part.len, a->part.ptr);
}

void file_get(struct content *c, const struct ask *a)
{
    if (store_get(a->conf->store, STORED_FILE, a->part, &c->bytes, NULL)) {
        content_document(c, json_type);
    } else {
        no_such(c, a, "File");
    }
}

void file_content(struct content *c, const struct ask *a)
{
    if (store_get(a->conf->store, STORED_FILE, a->part, NULL, &c->bytes)) {
        content_document(c, "application/octet-stream");
    } else {
        no_such(c, a, "File");
    }
}

void file_delete(struct content *c, const struct ask *a)
{
    if (!store_delete(a->conf->store, STORED_FILE, a->part)) {
        no_such(c, a, "File");
        return;
    }
    buf_str(&c->bytes, "{\"id\":");
    buf_json(&c->bytes, a->part);
    buf_str(&c->bytes, ",\"object\":\"file\",\"deleted\":true}");
    content_document(c, json_type);
}

/* One line of output for each line of input; returns how many. */
static size_t answer_lines(struct buf *out, struct str lines)
{
    size_t count = 0;
    while (lines.len > 0) {
        const char *lf = memchr(lines.ptr, '\n', lines.len);
        size_t len = lf != NULL ? (size_t)(lf - lines.ptr) : lines.len;
        yyjson_doc *doc = yyjson_read(lines.ptr, len, 0);
        yyjson_val *line = yyjson_doc_get_root(doc);
        if (yyjson_is_obj(line)) {
            buf_printf(out, "{\"id\":\"batch_req_%zu\",\"custom_id\":", ++count);
            buf_value(out, yyjson_obj_get(line, "custom_id"));
            buf_printf(out,
                       ",\"response\":{\"status_code\":200,\"request_id\":\"req_%zu\",\"body\":{"
                       "\"object\":\"simulated\",\"request\":",
                       count);
            buf_value(out, yyjson_obj_get(line, "body"));
            buf_str(out, "}},\"error\":null}\n");
        }
        yyjson_doc_free(doc);
        len += lf != NULL ? 1 : 0;
        lines = (struct str){lines.ptr + len, lines.len - len};
    }
    return count;
}

void batch_create(struct content *c, const struct ask *a)
{
    struct str input = json_member(a->root, "input_file_id");
    struct buf lines = {0};
    struct buf output = {0};
    struct buf file_id = {0};
    struct buf file = {0};
    struct buf id = {0};
    if (!store_get(a->conf->store, STORED_FILE, input, NULL, &lines)) {
        content_error(c, 400, "Invalid 'input_file_id': no such file.", "input_file_id", NULL);
        return;
    }
    size_t n = answer_lines(&output, buf_view(&lines));
    keep_file(a, STR("output.jsonl"), STR("batch_output"), buf_view(&output), &file_id, &file);
    buf_printf(&id, "batch_%06" PRIu64, store_next_id(a->conf->store));
    buf_str(&c->bytes, "{\"id\":");
    buf_json(&c->bytes, buf_view(&id));
    buf_str(&c->bytes, ",\"object\":\"batch\",\"status\":\"completed\",\"endpoint\":");
    buf_value(&c->bytes, yyjson_obj_get(a->root, "endpoint"));
    buf_str(&c->bytes, ",\"input_file_id\":");
    buf_json(&c->bytes, input);
    buf_str(&c->bytes, ",\"completion_window\":");
    buf_value(&c->bytes, yyjson_obj_get(a->root, "completion_window"));
    buf_str(&c->bytes, ",\"metadata\":");
    buf_value(&c->bytes, yyjson_obj_get(a->root, "metadata"));
    buf_str(&c->bytes, ",\"errors\":null,\"error_file_id\":null,\"output_file_id\":");
    buf_json(&c->bytes, buf_view(&file_id));
    buf_printf(&c->bytes,
               ",\"created_at\":%" PRId64
               ",\"request_counts\":{\"total\":%zu,\"completed\":%zu,\"failed\":0}}",
               a->created, n, n);
    store_put(a->conf->store, STORED_BATCH, buf_view(&id), buf_view(&c->bytes), STR(""));
    content_document(c, json_type);
    struct buf *all[] = {&lines, &output, &file_id, &file, &id};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        buf_free(all[i]);
    }
}

void batch_list(struct content *c, const struct ask *a)
{
    put_list(c, a, STORED_BATCH);
}

void batch_get(struct content *c, const struct ask *a)
{
    if (store_get(a->conf->store, STORED_BATCH, a->part, &c->bytes, NULL)) {
        content_document(c, json_type);
    } else {
        no_such(c, a, "Batch");
    }
}
