/* chat/embed.h -- the neutral form of texts to be embedded, and of their vectors.
 *
 * As chat.h: plain structs in an arena, texts unescaped, numbers as spelled.
 */
#ifndef CHAT_EMBED_H
#define CHAT_EMBED_H

#include "chat/chat.h"

/* One text to embed; title and task are what Gemini alone may tell of it. */
struct embed_input {
    struct slice text;
    struct slice tokens; /* JSON array of token numbers instead of text, or empty */
    struct slice task_type, title;
};

struct embed_request {
    struct slice model;
    struct embed_input *inputs;
    size_t input_count;
    struct chat_number dimensions;
    struct slice user;
    bool is_single;       /* Gemini: embedContent, which answers with one vector and no list */
    bool wants_base64;    /* OpenAI: vectors as base64 of little-endian floats */
    struct slice dropped; /* comma-separated member names that could not be carried */
};

struct embed_response {
    struct slice model;
    struct slice *vectors; /* each a JSON array of numbers, in the order of the inputs */
    size_t vector_count;
    struct usage usage;
    bool has_usage;
};

#endif
