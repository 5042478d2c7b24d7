#define _GNU_SOURCE
#include "paths.h"

#include "anthropic.h"
#include "bedrock.h"
#include "chat.h"
#include "files.h"
#include "gemini.h"
#include "media.h"
#include "oauth.h"
#include "ollama.h"
#include "openai.h"
#include "responses.h"

#include <string.h>

/* Longer patterns stand before those whose trailing star would take them too. */
static const struct endpoint table[] = {
    {"/chat/completions", "POST", OPENAI, STREAM_IF_ASKED, NEEDS_JSON | NEEDS_MODEL, chat_read,
     chat_answer},
    {"/completions", "POST", OPENAI, STREAM_IF_ASKED, NEEDS_JSON | NEEDS_MODEL, text_read,
     text_answer},
    {"/embeddings", "POST", OPENAI, STREAM_NEVER, NEEDS_JSON | NEEDS_MODEL, input_read,
     embeddings_answer},
    {"/moderations", "POST", OPENAI, STREAM_NEVER, NEEDS_JSON, input_read, moderations_answer},
    {"/responses", "POST", RESPONSES, STREAM_IF_ASKED, NEEDS_JSON | NEEDS_MODEL | HAS_STATE,
     responses_read, responses_answer},
    {"/responses/input_tokens", "POST", RESPONSES, STREAM_NEVER, NEEDS_JSON | HAS_STATE,
     responses_read, responses_count},
    {"/responses/*/input_items", "GET", RESPONSES, STREAM_NEVER, HAS_STATE, NULL, responses_items},
    {"/responses/*", "GET", RESPONSES, STREAM_NEVER, HAS_STATE, NULL, responses_get},
    {"/responses/*", "DELETE", RESPONSES, STREAM_NEVER, HAS_STATE, NULL, responses_delete},
    {"/audio/transcriptions", "POST", OPENAI, STREAM_NEVER, HAS_STATE, NULL, transcription_answer},
    {"/audio/translations", "POST", OPENAI, STREAM_NEVER, HAS_STATE, NULL, transcription_answer},
    {"/audio/speech", "POST", OPENAI, STREAM_NEVER, NEEDS_JSON | NEEDS_MODEL, input_read,
     speech_answer},
    {"/images/generations", "POST", OPENAI, STREAM_NEVER, NEEDS_JSON, input_read, images_answer},
    {"/images/edits", "POST", OPENAI, STREAM_NEVER, HAS_STATE, NULL, images_answer},
    {"/files", "POST", OPENAI, STREAM_NEVER, HAS_STATE, NULL, file_create},
    {"/files", "GET", OPENAI, STREAM_NEVER, HAS_STATE, NULL, file_list},
    {"/files/*/content", "GET", OPENAI, STREAM_NEVER, HAS_STATE, NULL, file_content},
    {"/files/*", "GET", OPENAI, STREAM_NEVER, HAS_STATE, NULL, file_get},
    {"/files/*", "DELETE", OPENAI, STREAM_NEVER, HAS_STATE, NULL, file_delete},
    {"/batches", "POST", OPENAI, STREAM_NEVER, NEEDS_JSON | HAS_STATE, NULL, batch_create},
    {"/batches", "GET", OPENAI, STREAM_NEVER, HAS_STATE, NULL, batch_list},
    {"/batches/*", "GET", OPENAI, STREAM_NEVER, HAS_STATE, NULL, batch_get},
    {"/messages", "POST", ANTHROPIC, STREAM_IF_ASKED, NEEDS_JSON | NEEDS_MODEL, anthropic_read,
     anthropic_answer},
    {"/messages/count_tokens", "POST", ANTHROPIC, STREAM_NEVER, NEEDS_JSON | NEEDS_MODEL,
     anthropic_read, anthropic_count},
    {"/models/count-tokens:rawPredict", "POST", ANTHROPIC, STREAM_NEVER, NEEDS_JSON | NEEDS_MODEL,
     anthropic_read, anthropic_count},
    {"/models/*:rawPredict", "POST", ANTHROPIC, STREAM_NEVER, NEEDS_JSON | MODEL_IN_PATH,
     anthropic_read, anthropic_answer},
    {"/models/*:streamRawPredict", "POST", ANTHROPIC, STREAM_ALWAYS, NEEDS_JSON | MODEL_IN_PATH,
     anthropic_read, anthropic_answer},
    {"/models/*:generateContent", "POST", GEMINI, STREAM_NEVER, NEEDS_JSON | MODEL_IN_PATH,
     gemini_read, gemini_answer},
    {"/models/*:streamGenerateContent", "POST", GEMINI, STREAM_ALWAYS, NEEDS_JSON | MODEL_IN_PATH,
     gemini_read, gemini_answer},
    {"/models/*:countTokens", "POST", GEMINI, STREAM_NEVER, NEEDS_JSON | MODEL_IN_PATH, gemini_read,
     gemini_count},
    {"/models/*:embedContent", "POST", GEMINI, STREAM_NEVER, NEEDS_JSON | MODEL_IN_PATH,
     gemini_embed_read, gemini_embed},
    {"/models/*:batchEmbedContents", "POST", GEMINI, STREAM_NEVER, NEEDS_JSON | MODEL_IN_PATH,
     gemini_embed_read, gemini_embed_batch},
    {"/models", "GET", GEMINI, STREAM_NEVER, BY_CLIENT, NULL, gemini_models},
    {"/models/*", "GET", GEMINI, STREAM_NEVER, BY_CLIENT | MODEL_IN_PATH, NULL, gemini_model},
    {"/models", "GET", ANTHROPIC, STREAM_NEVER, BY_CLIENT, NULL, anthropic_models},
    {"/models/*", "GET", ANTHROPIC, STREAM_NEVER, BY_CLIENT | MODEL_IN_PATH, NULL, anthropic_model},
    {"/models", "GET", OPENAI, STREAM_NEVER, BY_CLIENT, NULL, models_answer},
    {"/models/*", "GET", OPENAI, STREAM_NEVER, BY_CLIENT | MODEL_IN_PATH, NULL, model_answer},
    {"/openai/deployments/*/chat/completions", "POST", AZURE, STREAM_IF_ASKED,
     NEEDS_JSON | MODEL_IN_PATH, chat_read, chat_answer},
    {"/openai/deployments/*/completions", "POST", AZURE, STREAM_IF_ASKED,
     NEEDS_JSON | MODEL_IN_PATH, text_read, text_answer},
    {"/openai/deployments/*/embeddings", "POST", AZURE, STREAM_NEVER, NEEDS_JSON | MODEL_IN_PATH,
     input_read, embeddings_answer},
    {"/openai/deployments/*/images/generations", "POST", AZURE, STREAM_NEVER,
     NEEDS_JSON | MODEL_IN_PATH, input_read, images_answer},
    {"/openai/deployments/*/audio/transcriptions", "POST", AZURE, STREAM_NEVER,
     MODEL_IN_PATH | HAS_STATE, NULL, transcription_answer},
    {"/openai/deployments/*/audio/speech", "POST", AZURE, STREAM_NEVER, NEEDS_JSON | MODEL_IN_PATH,
     input_read, speech_answer},
    {"/model/*/converse", "POST", BEDROCK, STREAM_NEVER, NEEDS_JSON | MODEL_IN_PATH, bedrock_read,
     bedrock_answer},
    {"/model/*/converse-stream", "POST", BEDROCK, STREAM_ALWAYS, NEEDS_JSON | MODEL_IN_PATH,
     bedrock_read, bedrock_answer},
    {"/model/*/invoke", "POST", BEDROCK, STREAM_NEVER, NEEDS_JSON | MODEL_IN_PATH, anthropic_read,
     bedrock_invoke},
    {"/model/*/invoke-with-response-stream", "POST", BEDROCK, STREAM_ALWAYS,
     NEEDS_JSON | MODEL_IN_PATH, anthropic_read, bedrock_invoke},
    {"/api/chat", "POST", OLLAMA, STREAM_UNLESS_REFUSED, NEEDS_JSON | NEEDS_MODEL, ollama_read,
     ollama_answer},
    {"/api/embed", "POST", OLLAMA, STREAM_NEVER, NEEDS_JSON | NEEDS_MODEL, NULL, ollama_embed},
    {"/api/show", "POST", OLLAMA, STREAM_NEVER, NEEDS_JSON | NEEDS_MODEL, NULL, ollama_show},
    {"/api/tags", "GET", OLLAMA, STREAM_NEVER, OPEN_TO_ALL, NULL, ollama_tags},
    {"/api/version", "GET", OLLAMA, STREAM_NEVER, OPEN_TO_ALL, NULL, ollama_version},
    {"/*/oauth2/v2.0/token", "POST", OPENAI, STREAM_NEVER, OPEN_TO_ALL | HAS_STATE, NULL,
     oauth_answer},
    {"/token", "POST", OPENAI, STREAM_NEVER, OPEN_TO_ALL | HAS_STATE, NULL, oauth_answer},
    {"/health", "GET", OPENAI, STREAM_NEVER, OPEN_TO_ALL, NULL, health_answer},
    {"/", "GET", OLLAMA, STREAM_NEVER, OPEN_TO_ALL, NULL, ollama_root},
};

struct prefix {
    const char *text;
    enum dialect dialect; /* of paths that several dialects have */
};

/* What base URLs end in. The first that fits is taken off. */
static const struct prefix prefixes[] = {
    {"/v1beta/openai", OPENAI},
    {"/anthropic/v1", ANTHROPIC},
    {"/openai/v1", OPENAI},
    {"/v1beta", GEMINI},
    {"/v1alpha", GEMINI},
    {"/v1beta1", GEMINI},
    {"/v1", OPENAI},
};

/* Vertex has project, location and publisher before the models. */
static struct str skip_publisher(struct str path, enum dialect *dialect)
{
    static const char mark[] = "/publishers/";
    const char *at = memmem(path.ptr, path.len, mark, sizeof(mark) - 1);
    const char *end = path.ptr + path.len;
    if (at == NULL || path.len < 10 || memcmp(path.ptr, "/projects/", 10) != 0) {
        return path;
    }
    at += sizeof(mark) - 1;
    const char *slash = memchr(at, '/', (size_t)(end - at));
    if (slash == NULL) {
        return path;
    }
    *dialect = *at == 'a' ? ANTHROPIC : GEMINI;
    return (struct str){slash, (size_t)(end - slash)};
}

static struct str take_prefix(struct str path, enum dialect *dialect)
{
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        size_t len = strlen(prefixes[i].text);
        if (path.len > len && memcmp(path.ptr, prefixes[i].text, len) == 0 &&
            path.ptr[len] == '/') {
            *dialect = prefixes[i].dialect;
            return skip_publisher((struct str){path.ptr + len, path.len - len}, dialect);
        }
    }
    return path;
}

static bool fits(const char *pattern, struct str path, struct str *out_part)
{
    const char *star = strchr(pattern, '*');
    if (star == NULL) {
        return str_is(path, pattern);
    }
    size_t before = (size_t)(star - pattern);
    size_t after = strlen(star + 1);
    if (path.len <= before + after || memcmp(path.ptr, pattern, before) != 0 ||
        memcmp(path.ptr + path.len - after, star + 1, after) != 0) {
        return false;
    }
    *out_part = (struct str){path.ptr + before, path.len - before - after};
    return after == 0 || memchr(out_part->ptr, '/', out_part->len) == NULL;
}

const struct endpoint *endpoint_of(const struct request *r, struct str *out_part,
                                   enum dialect *out_dialect, bool *out_is_path)
{
    enum dialect client = OPENAI;
    struct str path = take_prefix(r->path, &client);
    if (client == OPENAI && http_header(r, "anthropic-version").ptr != NULL) {
        client = ANTHROPIC;
    } else if (client == OPENAI && http_header(r, "x-goog-api-key").ptr != NULL) {
        client = GEMINI;
    }
    struct str method = str_is(r->method, "HEAD") ? STR("GET") : r->method;
    *out_dialect = client;
    *out_is_path = false;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct endpoint *e = &table[i];
        bool mine = (e->needs & BY_CLIENT) == 0 || e->dialect == client;
        struct str part = STR("");
        if (!mine || !fits(e->path, path, &part)) {
            continue;
        }
        *out_dialect = e->dialect;
        *out_is_path = true;
        if (str_is(method, e->method)) {
            *out_part = part;
            return e;
        }
    }
    return NULL;
}
