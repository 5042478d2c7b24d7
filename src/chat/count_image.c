/* What pictures, sounds and documents come to, by family and model (rates as of 2026-08). */
#include "chat/count_inside.h"
#include "chat/image.h"
#include "core/check.h"

enum {
    TILE = 512, /* OpenAI's, after fitting into FIT and the shorter side to SHORT */
    TILE_FIT = 2048,
    TILE_SHORT = 768,
    PATCH = 32,
    PATCHES_MAX = 1536,
    USUAL_SIDE = 1024, /* of an image nobody knows the size of */
    TILES_UNKNOWN_MAX = 8,
    CLAUDE_PIXELS = 750, /* a token */
    GEMINI_SMALL = 384,
    GEMINI_TILE = 768,
    GEMINI_IMAGE_TOKENS = 258,
    GEMINI3_IMAGE_TOKENS = 1120, /* at the highest resolution a request may ask for */
    OTHER_IMAGE_TOKENS = 1024,
    SOUND_BYTES_PER_S = 8000,    /* 64 kbit/s */
    SOUND_BYTES_PER_S_MIN = 256, /* no codec in use says a second in fewer */
    OPENAI_SOUND_TOKENS_PER_S = 10,
    GEMINI_SOUND_TOKENS_PER_S = 32,
    PAGE_BYTES = 50000, /* of a PDF: a guess */
    PAGE_TOKENS = 2300
};

struct chat_image_rule {
    struct slice name;   /* prefix of the model's */
    int64_t base, tile;  /* tokens; tile 0: by patches */
    int64_t patch_milli; /* tokens a patch, in thousandths */
    bool is_known;       /* false: newer models, for which the rule is a guess */
};

/* The first that matches; the last always does. */
static const struct chat_image_rule rules[] = {
    {SLICE_INIT("gpt-4o-mini"), 2833, 5667, 0, true},
    {SLICE_INIT("gpt-4.1-mini"), 0, 0, 1620, true},
    {SLICE_INIT("gpt-4.1-nano"), 0, 0, 2460, true},
    {SLICE_INIT("gpt-4"), 85, 170, 0, true}, /* -turbo, 4o, 4.1, 4.5 */
    {SLICE_INIT("chatgpt-4o"), 85, 170, 0, true},
    {SLICE_INIT("gpt-5-mini"), 0, 0, 1620, true},
    {SLICE_INIT("gpt-5-nano"), 0, 0, 2460, true},
    {SLICE_INIT("gpt-5."), 70, 140, 0, false}, /* from 5.4 on by patches of another bound */
    {SLICE_INIT("gpt-5"), 70, 140, 0, true},
    {SLICE_INIT("o1"), 75, 150, 0, true},
    {SLICE_INIT("o3"), 75, 150, 0, true},
    {SLICE_INIT("o4-mini"), 0, 0, 1720, true},
    {SLICE_INIT(""), 85, 170, 0, false},
};

const struct chat_image_rule *count_image_rule(struct slice model)
{
    size_t i = 0;
    while (!slice_starts(model, rules[i].name)) {
        i++;
    }
    return &rules[i];
}

static int64_t up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* a * b / c of sides, each below 2^24; at least 1. */
static int64_t scaled(int64_t side, int64_t to, int64_t from)
{
    return i64_max(up(side * to, from), 1);
}

static struct image_size fit(struct image_size s, int64_t long_max)
{
    int64_t longest = i64_max(s.width, s.height);
    if (longest <= long_max) {
        return s;
    }
    return (struct image_size){scaled(s.width, long_max, longest),
                               scaled(s.height, long_max, longest)};
}

/* enlarges: small images too get the shorter side they are brought to, which the providers' text
 * leaves open. */
static int64_t tiles(struct image_size s, bool enlarges)
{
    s = fit(s, TILE_FIT);
    int64_t shortest = i64_min(s.width, s.height);
    if (shortest > TILE_SHORT || enlarges) {
        s = (struct image_size){scaled(s.width, TILE_SHORT, shortest),
                                scaled(s.height, TILE_SHORT, shortest)};
    }
    return up(s.width, TILE) * up(s.height, TILE);
}

static void openai_image(const struct chat_image_rule *rule, struct slice detail,
                         const struct image_size *size, struct chat_count *out)
{
    struct image_size usual = {USUAL_SIDE, USUAL_SIDE};
    struct image_size s = size ? *size : usual;
    out->is_bounded = rule->is_known;
    if (rule->tile == 0) {
        int64_t patches = i64_min(up(s.width, PATCH) * up(s.height, PATCH), PATCHES_MAX);
        out->estimate = up(patches * rule->patch_milli, 1000);
        out->upper = size ? out->estimate : up(PATCHES_MAX * rule->patch_milli, 1000);
        return;
    }
    if (slice_eq(detail, SLICE("low"))) {
        out->estimate = out->upper = rule->base;
        return;
    }
    out->estimate = rule->base + rule->tile * tiles(s, false);
    out->upper = rule->base + rule->tile * (size ? tiles(s, true) : TILES_UNKNOWN_MAX);
    out->is_bounded &= size != NULL;
}

/* Claude's own bound for one image, whatever its size. */
static void claude_image(bool is_new, const struct image_size *size, struct chat_count *out)
{
    int64_t long_max = is_new ? 2576 : 1568;
    int64_t most = is_new ? 4784 : 1600;
    out->estimate = is_new ? 2000 : 1400;
    if (size) {
        struct image_size s = fit(*size, long_max);
        out->estimate = i64_min(up(s.width * s.height, CLAUDE_PIXELS), most);
    }
    out->upper = size ? out->estimate + 16 : most + most / 10;
}

static void gemini_image(bool is_third, const struct image_size *size, struct chat_count *out)
{
    if (is_third) {
        out->estimate = out->upper = GEMINI3_IMAGE_TOKENS;
        return;
    }
    if (!size) {
        out->estimate = (int64_t)4 * GEMINI_IMAGE_TOKENS;
        out->upper = (int64_t)TILES_UNKNOWN_MAX * GEMINI_IMAGE_TOKENS;
        out->is_bounded = false;
        return;
    }
    bool is_small = size->width <= GEMINI_SMALL && size->height <= GEMINI_SMALL;
    int64_t count = is_small ? 1 : up(size->width, GEMINI_TILE) * up(size->height, GEMINI_TILE);
    out->estimate = count * GEMINI_IMAGE_TOKENS;
    out->upper = out->estimate;
}

void chat_count_image(const struct chat_counter *c, const struct chat_part *image,
                      struct chat_count *out)
{
    struct image_size known;
    const struct image_size *size = image_size_find(image->data, &known) ? &known : NULL;
    *out = (struct chat_count){.is_bounded = true};
    switch (c->family) {
    case CHAT_FAMILY_OPENAI: openai_image(c->image, image->detail, size, out); break;
    case CHAT_FAMILY_ANTHROPIC: claude_image(c->is_new, size, out); break;
    case CHAT_FAMILY_GEMINI: gemini_image(c->is_new, size, out); break;
    case CHAT_FAMILY_OTHER:
        *out = (struct chat_count){OTHER_IMAGE_TOKENS, (int64_t)4 * OTHER_IMAGE_TOKENS, false};
        break;
    }
}

static int64_t file_bytes(struct slice base64)
{
    return (int64_t)(base64.len / 4 * 3 + 3);
}

void count_sound(const struct chat_counter *c, const struct chat_part *sound,
                 struct chat_count *out)
{
    int64_t rate =
        c->family == CHAT_FAMILY_OPENAI ? OPENAI_SOUND_TOKENS_PER_S : GEMINI_SOUND_TOKENS_PER_S;
    int64_t bytes = file_bytes(sound->data);
    out->estimate = up(bytes, SOUND_BYTES_PER_S) * rate;
    out->upper = up(bytes, SOUND_BYTES_PER_S_MIN) * rate;
    out->is_bounded = sound->data.len > 0;
}

void count_document(const struct chat_counter *c, const struct chat_part *file,
                    struct chat_count *out)
{
    if (slice_starts(file->media_type, SLICE("text/")) && file->data.len) {
        int64_t bytes = file_bytes(file->data);
        *out = (struct chat_count){up(bytes * c->text_milli, 4000), bytes + 64, true};
        return;
    }
    int64_t pages = file->data.len ? up(file_bytes(file->data), PAGE_BYTES) : 1;
    *out = (struct chat_count){pages * PAGE_TOKENS, pages * PAGE_TOKENS, false};
}
