#include "schema.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SCHEMA_DEPTH_MAX = 12 };

struct sampler {
    struct buf *out;
    yyjson_val *root;
    struct str text;
};

static void sample(struct sampler *s, yyjson_val *schema, int depth);

static void put_value(struct buf *out, yyjson_val *v)
{
    size_t len = 0;
    char *json = yyjson_val_write(v, 0, &len);
    if (json != NULL) {
        buf_add(out, json, len);
        free(json);
    }
}

/* "#/$defs/Name" and "#/definitions/Name", also longer pointers without escapes. */
static yyjson_val *follow(struct sampler *s, yyjson_val *schema, int depth)
{
    yyjson_val *ref = yyjson_obj_get(schema, "$ref");
    while (ref != NULL && depth++ < SCHEMA_DEPTH_MAX) {
        const char *path = yyjson_get_str(ref);
        if (path == NULL || path[0] != '#') {
            break;
        }
        schema = path[1] == '\0' ? s->root : yyjson_ptr_get(s->root, path + 1);
        ref = yyjson_obj_get(schema, "$ref");
    }
    return schema;
}

static bool is_required(yyjson_val *required, yyjson_val *key)
{
    if (!yyjson_is_arr(required)) {
        return true;
    }
    size_t i;
    size_t n;
    yyjson_val *name;
    yyjson_arr_foreach(required, i, n, name)
    {
        if (yyjson_equals(name, key)) {
            return true;
        }
    }
    return false;
}

static void sample_object(struct sampler *s, yyjson_val *schema, int depth)
{
    yyjson_val *required = yyjson_obj_get(schema, "required");
    yyjson_val *key;
    yyjson_val *value;
    size_t i;
    size_t n;
    bool first = true;
    buf_str(s->out, "{");
    yyjson_obj_foreach(yyjson_obj_get(schema, "properties"), i, n, key, value)
    {
        if (!is_required(required, key)) {
            continue;
        }
        buf_str(s->out, first ? "" : ",");
        first = false;
        buf_json(s->out, (struct str){yyjson_get_str(key), yyjson_get_len(key)});
        buf_str(s->out, ":");
        sample(s, value, depth + 1);
    }
    buf_str(s->out, "}");
}

static void sample_array(struct sampler *s, yyjson_val *schema, int depth)
{
    int64_t n = yyjson_get_sint(yyjson_obj_get(schema, "minItems"));
    n = n < 1 ? 1 : n > 16 ? 16 : n;
    buf_str(s->out, "[");
    for (int64_t i = 0; i < n; i++) {
        buf_str(s->out, i > 0 ? "," : "");
        sample(s, yyjson_obj_get(schema, "items"), depth + 1);
    }
    buf_str(s->out, "]");
}

static void sample_string(struct sampler *s, yyjson_val *schema)
{
    const char *format = yyjson_get_str(yyjson_obj_get(schema, "format"));
    if (format != NULL && strcmp(format, "date") == 0) {
        buf_str(s->out, "\"2026-01-02\"");
    } else if (format != NULL && strcmp(format, "date-time") == 0) {
        buf_str(s->out, "\"2026-01-02T03:04:05Z\"");
    } else {
        buf_json(s->out, s->text);
    }
}

/* Gemini writes types in capitals. */
static void sample_typed(struct sampler *s, yyjson_val *schema, const char *type, int depth)
{
    if (strcasecmp(type, "object") == 0) {
        sample_object(s, schema, depth);
    } else if (strcasecmp(type, "array") == 0) {
        sample_array(s, schema, depth);
    } else if (strcasecmp(type, "string") == 0) {
        sample_string(s, schema);
    } else if (strcasecmp(type, "boolean") == 0) {
        buf_str(s->out, "true");
    } else if (strcasecmp(type, "null") == 0) {
        buf_str(s->out, "null");
    } else {
        yyjson_val *least = yyjson_obj_get(schema, "minimum");
        if (least != NULL) {
            put_value(s->out, least);
        } else {
            buf_str(s->out, strcasecmp(type, "integer") == 0 ? "1" : "1.5");
        }
    }
}

static yyjson_val *first_choice(yyjson_val *schema)
{
    static const char *const names[] = {"anyOf", "oneOf", "allOf"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        yyjson_val *v = yyjson_arr_get_first(yyjson_obj_get(schema, names[i]));
        if (v != NULL) {
            return v;
        }
    }
    return NULL;
}

static void sample(struct sampler *s, yyjson_val *schema, int depth)
{
    schema = follow(s, schema, depth);
    yyjson_val *fixed = yyjson_obj_get(schema, "const");
    fixed = fixed != NULL ? fixed : yyjson_arr_get_first(yyjson_obj_get(schema, "enum"));
    yyjson_val *choice = first_choice(schema);
    yyjson_val *type = yyjson_obj_get(schema, "type");
    type = yyjson_is_arr(type) ? yyjson_arr_get_first(type) : type;
    if (depth > SCHEMA_DEPTH_MAX) {
        buf_str(s->out, "null");
    } else if (fixed != NULL) {
        put_value(s->out, fixed);
    } else if (choice != NULL) {
        sample(s, choice, depth + 1);
    } else if (yyjson_is_str(type)) {
        sample_typed(s, schema, yyjson_get_str(type), depth);
    } else if (yyjson_obj_get(schema, "properties") != NULL || depth == 0) {
        sample_object(s, schema, depth);
    } else {
        sample_string(s, schema);
    }
}

void schema_sample(struct buf *out, yyjson_val *schema, struct str text)
{
    struct sampler s = {out, schema, text};
    sample(&s, schema, 0);
}
