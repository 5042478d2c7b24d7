#define _GNU_SOURCE
#include "openai.h"

#include "reply.h"
#include "trouble.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char json_type[] = "application/json";

void input_read(struct prompt *p, const struct ask *a)
{
    yyjson_val *input = yyjson_obj_get(a->root, "input");
    prompt_turn(p, true);
    p->tokens = 0;
    prompt_content(p, input != NULL ? input : yyjson_obj_get(a->root, "prompt"));
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
void put_vector(struct buf *out, struct str input, size_t n, bool base64)
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

void embeddings_answer(struct content *c, const struct ask *a)
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

void moderations_answer(struct content *c, const struct ask *a)
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

void models_answer(struct content *c, const struct ask *a)
{
    static const char *const ids[] = {"gpt-4o-mini",
                                      "gpt-4o",
                                      "gpt-4.1-mini",
                                      "gpt-4.1",
                                      "text-embedding-3-small",
                                      "text-embedding-3-large",
                                      "omni-moderation-latest"};
    (void)a;
    buf_str(&c->bytes, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        buf_str(&c->bytes, i > 0 ? "," : "");
        put_model(&c->bytes, (struct str){ids[i], strlen(ids[i])});
    }
    buf_str(&c->bytes, "]}");
    content_document(c, json_type);
}

void model_answer(struct content *c, const struct ask *a)
{
    put_model(&c->bytes, a->model);
    content_document(c, json_type);
}

void health_answer(struct content *c, const struct ask *a)
{
    (void)a;
    buf_str(&c->bytes, "{\"status\":\"ok\"}");
    content_document(c, json_type);
}
