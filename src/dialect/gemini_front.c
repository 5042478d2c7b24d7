/* What Gemini's clients find beside answers. The API has no head lines for limits: its clients read
 * OpenAI's, or nothing. */
#include "core/check.h"
#include "dialect/gemini.h"
#include "dialect/write.h"

enum { NAME_ROOM_BYTES = 1024 };

/* Who embeds does nothing else. */
static void render_model(const struct dialect_model *m, struct text *out)
{
    static const struct slice word = SLICE_INIT("embed");
    bool is_embedding = slice_search(m->name, word) < m->name.len;
    char room[NAME_ROOM_BYTES];
    struct text name = text_in(room, sizeof(room));
    TEXT_ADD(&name, "models/");
    text_add(&name, m->name);
    TEXT_ADD(out, "{\"name\":");
    text_add_json_string(out, text_slice(&name));
    write_string(out, "displayName", m->name);
    write_raw(out, "supportedGenerationMethods",
              is_embedding ? SLICE("[\"embedContent\"]")
                           : SLICE("[\"generateContent\",\"countTokens\"]"));
    TEXT_ADD(out, "}");
}

const struct dialect_front gemini_front = {
    .path = SLICE_INIT("/v1beta/"),
    .client_header = SLICE_INIT("x-goog-api-key"),
    .render_rates = front_render_rates,
    .models_open = SLICE_INIT("{\"models\":["),
    .render_model = render_model,
    .close_models = front_close_models,
    .find_conversation = gemini_find_conversation,
};
