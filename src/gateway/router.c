#include "gateway/router.h"

#include <string.h>

enum {
    GET_HEAD = 1u << VERB_GET | 1u << VERB_HEAD,
    POST = 1u << VERB_POST,
    GET_POST = GET_HEAD | POST,
    STORED = GET_POST | 1u << VERB_DELETE,
    ANY = 1u << VERB_GET | 1u << VERB_HEAD | 1u << VERB_POST | 1u << VERB_PUT | 1u << VERB_PATCH |
          1u << VERB_DELETE,
};

#define CHAT(path, op, dialect)                                    \
    {                                                              \
        path, ROUTE_CHAT, POST, op, dialect, PORT_TENANT, RAW_NONE \
    }
/* What follows the model's name is the operation. */
#define GEMINI(path, op) CHAT(path, op, &dialect_gemini)
/* In which dialect a list is told depends on the head, too: models.c. */
#define MODELS(path, dialect)                                                      \
    {                                                                              \
        path, ROUTE_MODELS, GET_HEAD, CHAT_OP_CHAT, dialect, PORT_TENANT, RAW_NONE \
    }
#define DOOR(path, verbs, roles)                                             \
    {                                                                        \
        path, ROUTE_DOOR, verbs, CHAT_OP_CHAT, &dialect_own, roles, RAW_NONE \
    }

/* The dialect is OpenAI's, or, below /passthrough/, the provider's: raw.c. */
#define RAW(path, verbs, kind)                                                   \
    {                                                                            \
        path, ROUTE_RAW, verbs, CHAT_OP_CHAT, &dialect_openai, PORT_TENANT, kind \
    }

/* The busiest first: the look-up is linear, and a mismatch costs one comparison of lengths. */
const struct api_route api_routes[] = {
    CHAT("/v1/chat/completions", CHAT_OP_CHAT, &dialect_openai),
    CHAT("{api}/completions", CHAT_OP_CHAT, &dialect_own),
    CHAT("/v1/embeddings", CHAT_OP_EMBEDDING, &dialect_openai),
    CHAT("/v1/completions", CHAT_OP_COMPLETION, &dialect_openai),
    CHAT("/v1/messages", CHAT_OP_CHAT, &dialect_anthropic),
    CHAT("/v1/messages/count_tokens", CHAT_OP_COUNT_TOKENS, &dialect_anthropic),
    CHAT("/v1/responses", CHAT_OP_CHAT, &dialect_responses),
    CHAT("/v1/responses/input_tokens", CHAT_OP_COUNT_TOKENS, &dialect_responses),
    CHAT("/responses", CHAT_OP_CHAT, &dialect_responses),
    CHAT("/responses/input_tokens", CHAT_OP_COUNT_TOKENS, &dialect_responses),
    CHAT("/chat/completions", CHAT_OP_CHAT, &dialect_openai),
    CHAT("/embeddings", CHAT_OP_EMBEDDING, &dialect_openai),
    CHAT("/completions", CHAT_OP_COMPLETION, &dialect_openai),
    GEMINI("/v1beta/models/*:generateContent", CHAT_OP_CHAT),
    GEMINI("/v1beta/models/*:streamGenerateContent", CHAT_OP_CHAT),
    GEMINI("/v1beta/models/*:countTokens", CHAT_OP_COUNT_TOKENS),
    GEMINI("/v1beta/models/*:embedContent", CHAT_OP_EMBEDDING),
    GEMINI("/v1beta/models/*:batchEmbedContents", CHAT_OP_EMBEDDING),
    GEMINI("/v1/models/*:generateContent", CHAT_OP_CHAT),
    GEMINI("/v1/models/*:streamGenerateContent", CHAT_OP_CHAT),
    GEMINI("/v1/models/*:countTokens", CHAT_OP_COUNT_TOKENS),
    GEMINI("/v1/models/*:embedContent", CHAT_OP_EMBEDDING),
    GEMINI("/v1/models/*:batchEmbedContents", CHAT_OP_EMBEDDING),
    MODELS("/v1/models", &dialect_openai),
    MODELS("/v1/models/", &dialect_openai),
    MODELS("/models", &dialect_openai),
    MODELS("/models/", &dialect_openai),
    MODELS("/v1beta/models", &dialect_gemini),
    MODELS("/v1beta/models/", &dialect_gemini),
    CHAT("/v1/moderations", CHAT_OP_MODERATION, &dialect_openai),
    CHAT("/moderations", CHAT_OP_MODERATION, &dialect_openai),
    CHAT("/openai/deployments/*/chat/completions", CHAT_OP_CHAT, &dialect_openai),
    CHAT("/openai/deployments/*/completions", CHAT_OP_COMPLETION, &dialect_openai),
    CHAT("/openai/deployments/*/embeddings", CHAT_OP_EMBEDDING, &dialect_openai),
    RAW("/v1/responses/", STORED, RAW_KEPT),
    RAW("/v1/audio/transcriptions", POST, RAW_MODEL),
    RAW("/v1/audio/translations", POST, RAW_MODEL),
    RAW("/v1/audio/speech", POST, RAW_MODEL),
    RAW("/v1/images/generations", POST, RAW_MODEL),
    RAW("/v1/images/edits", POST, RAW_MODEL),
    RAW("/v1/images/variations", POST, RAW_MODEL),
    RAW("/v1/files", GET_POST, RAW_STORE),
    RAW("/v1/files/", STORED, RAW_STORE),
    RAW("/v1/uploads", POST, RAW_STORE),
    RAW("/v1/uploads/", POST, RAW_STORE),
    RAW("/v1/batches", GET_POST, RAW_BATCH),
    RAW("/v1/batches/", GET_POST, RAW_BATCH),
    RAW("/passthrough/", ANY, RAW_PASS),
    RAW("/responses/", STORED, RAW_KEPT),
    RAW("/audio/transcriptions", POST, RAW_MODEL),
    RAW("/audio/translations", POST, RAW_MODEL),
    RAW("/audio/speech", POST, RAW_MODEL),
    RAW("/images/generations", POST, RAW_MODEL),
    RAW("/images/edits", POST, RAW_MODEL),
    RAW("/images/variations", POST, RAW_MODEL),
    RAW("/files", GET_POST, RAW_STORE),
    RAW("/files/", STORED, RAW_STORE),
    RAW("/uploads", POST, RAW_STORE),
    RAW("/uploads/", POST, RAW_STORE),
    RAW("/batches", GET_POST, RAW_BATCH),
    RAW("/batches/", GET_POST, RAW_BATCH),
    DOOR("/", GET_HEAD, PORT_TENANT), /* Claude Code looks there first */
    DOOR("/health", GET_HEAD, PORT_TENANT | PORT_ADMIN | PORT_METRICS),
    DOOR("/health/live", GET_HEAD, PORT_TENANT | PORT_ADMIN | PORT_METRICS),
    DOOR("/health/ready", GET_HEAD, PORT_TENANT | PORT_ADMIN | PORT_METRICS),
    DOOR("/metrics", GET_HEAD, PORT_METRICS),
    DOOR("{api}/requests/", GET_HEAD, PORT_TENANT),
    DOOR("{api}/admin/", ANY, PORT_ADMIN),
    DOOR("{api}/openapi.json", GET_HEAD, PORT_TENANT | PORT_ADMIN),
    DOOR("/docs", GET_HEAD, PORT_TENANT | PORT_ADMIN),
};
const size_t api_route_count = ARRAY_LEN(api_routes);

/* A pattern with one "*": any segment but an empty one. */
static bool matches_star(struct slice pattern, size_t star, struct slice path,
                         struct slice *out_segment)
{
    struct slice front = slice_head(pattern, star);
    struct slice back = slice_from(pattern, star + 1);
    if (path.len <= front.len + back.len || !slice_starts(path, front) || !slice_ends(path, back)) {
        return false;
    }
    struct slice segment = slice_of(path.ptr + front.len, path.len - front.len - back.len);
    bool is_one = slice_find(segment, '/') == segment.len;
    *out_segment = is_one ? segment : SLICE_NONE;
    return is_one;
}

/* A pattern with "*:": the name that the star stands for may hold a slash, and some clients escape
 * the colon. The rest is all that follows the front. */
static bool matches_method(struct slice pattern, size_t star, struct slice path,
                           struct slice *out_rest)
{
    struct slice front = slice_head(pattern, star);
    struct slice method = slice_from(pattern, star + 2);
    struct slice escaped = SLICE("%3A");
    if (!slice_starts(path, front) || !slice_ends(path, method)) {
        return false;
    }
    struct slice name = slice_from(slice_head(path, path.len - method.len), front.len);
    bool is_escaped = name.len > escaped.len &&
                      slice_eq_nocase(slice_from(name, name.len - escaped.len), escaped);
    if (!is_escaped && (name.len < 2 || !slice_ends(name, SLICE(":")))) {
        return false;
    }
    *out_rest = slice_from(path, front.len);
    return true;
}

static bool matches(const struct api_route *route, struct slice path, struct slice api_prefix,
                    struct slice *out_rest)
{
    struct slice pattern = slice_str(route->path);
    if (slice_starts(pattern, SLICE("{api}"))) {
        if (!slice_starts(path, api_prefix)) {
            return false;
        }
        path = slice_from(path, api_prefix.len);
        pattern = slice_from(pattern, strlen("{api}"));
    }
    size_t star = slice_find(pattern, '*');
    if (star + 1 < pattern.len && pattern.ptr[star + 1] == ':') {
        return matches_method(pattern, star, path, out_rest);
    }
    if (star < pattern.len) {
        return matches_star(pattern, star, path, out_rest);
    }
    if (pattern.len == 1 || !slice_ends(pattern, SLICE("/"))) { /* "/" is the root alone */
        return slice_eq(path, pattern);
    }
    if (path.len <= pattern.len || !slice_starts(path, pattern)) {
        return false;
    }
    *out_rest = slice_from(path, pattern.len);
    return true;
}

const struct api_route *router_find(struct slice path, struct slice api_prefix, unsigned roles,
                                    struct slice *out_rest)
{
    *out_rest = SLICE_NONE;
    for (size_t i = 0; i < api_route_count; i++) {
        if ((api_routes[i].roles & roles) && matches(&api_routes[i], path, api_prefix, out_rest)) {
            return &api_routes[i];
        }
    }
    return NULL;
}

void router_allow(const struct api_route *route, struct text *out)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    bool is_first = true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (route->verbs & (1u << i)) {
            if (!is_first) {
                TEXT_ADD(out, ", ");
            }
            text_add(out, slice_str(names[i]));
            is_first = false;
        }
    }
}
