#include "chat/count.h"

#include "chat/count_inside.h"
#include "core/check.h"

/* What a template adds, as estimate and as a bound. */
struct frame {
    int64_t likely, most;
};

/* Per family: each message, the whole prompt, a tool call or result, a tool, the set of tools. */
struct frames {
    struct frame message, prompt, call, tool, tools;
};

static const struct frames frames[] = {
    [CHAT_FAMILY_OPENAI] = {{4, 8}, {3, 24}, {7, 24}, {4, 32}, {12, 64}},
    [CHAT_FAMILY_ANTHROPIC] = {{4, 8}, {3, 32}, {20, 64}, {20, 64}, {0, 64}},
    [CHAT_FAMILY_GEMINI] = {{2, 8}, {0, 32}, {8, 32}, {8, 64}, {0, 64}},
    [CHAT_FAMILY_OTHER] = {{5, 16}, {10, 160}, {15, 64}, {20, 64}, {40, 512}},
};

enum {
    CLAUDE_CALL_TOKENS = 346,     /* the text that explains tools, by LiteLLM's data */
    CLAUDE_CALL_MAX_TOKENS = 600, /* Claude 3's was 530 */
    SCHEMA_MILLI = 600,           /* a schema as OpenAI writes it out, to its JSON: a guess */
    SCHEMA_MOST = 2               /* each fact of it said twice */
};

static void add(struct chat_count *sum, struct chat_count c)
{
    sum->estimate = i64_add_sat(sum->estimate, c.estimate);
    sum->upper = i64_add_sat(sum->upper, c.upper);
    sum->is_bounded &= c.is_bounded;
}

static void add_frame(struct chat_count *sum, struct frame f)
{
    add(sum, (struct chat_count){f.likely, f.most, true});
}

static void add_text(const struct chat_counter *c, struct slice text, struct chat_count *sum)
{
    struct chat_count one;
    chat_count_text(c, text, &one);
    add(sum, one);
}

/* "claude-opus-4-7" -> 4, 7; numbers of more than two digits are dates. */
static void version_of(struct slice model, int64_t *out_major, int64_t *out_minor)
{
    int64_t found[2] = {0, 0};
    size_t count = 0;
    for (size_t i = 0; i < model.len && count < 2;) {
        size_t end = i;
        while (end < model.len && model.ptr[end] >= '0' && model.ptr[end] <= '9') {
            end++;
        }
        int64_t value;
        if (end - i >= 1 && end - i <= 2 &&
            slice_to_i64(slice_of(model.ptr + i, end - i), &value)) {
            found[count++] = value;
        }
        i = end == i ? i + 1 : end;
    }
    *out_major = found[0];
    *out_minor = found[1];
}

static struct slice without_provider(struct slice model)
{
    for (size_t slash; (slash = slice_find(model, '/')) < model.len;) {
        model = slice_from(model, slash + 1);
    }
    return model;
}

static bool is_new_claude(struct slice model)
{
    int64_t major, minor;
    version_of(model, &major, &minor);
    bool is_opus = slice_search(model, SLICE("opus")) < model.len;
    return major >= 5 || (major == 4 && minor >= 7 && is_opus);
}

enum chat_family chat_family_of_model(struct slice model)
{
    enum token_encoding ignored;
    struct slice name = without_provider(model);
    if (slice_starts(name, SLICE("claude")) ||
        slice_search(name, SLICE("anthropic.claude")) < name.len) {
        return CHAT_FAMILY_ANTHROPIC;
    }
    if (slice_starts(name, SLICE("gemini")) || slice_starts(name, SLICE("gemma"))) {
        return CHAT_FAMILY_GEMINI;
    }
    return token_encoding_of_model(model, &ignored) ? CHAT_FAMILY_OPENAI : CHAT_FAMILY_OTHER;
}

void chat_counter_init(struct chat_counter *c, enum chat_family family, struct slice model)
{
    *c = (struct chat_counter){.family = family, .encoding = TOKEN_O200K, .text_milli = 1000};
    struct slice name = without_provider(model);
    int64_t major, minor;
    c->image = count_image_rule(name);
    switch (family) {
    case CHAT_FAMILY_OPENAI:
        c->is_exact = token_encoding_of_model(model, &c->encoding) && token_has_ranks();
        break;
    case CHAT_FAMILY_ANTHROPIC:
        c->is_new = is_new_claude(name);
        c->text_milli = c->is_new ? 1550 : 1200;
        c->call_tokens = CLAUDE_CALL_TOKENS;
        break;
    case CHAT_FAMILY_GEMINI:
        version_of(name, &major, &minor);
        c->is_new = major >= 3;
        break;
    case CHAT_FAMILY_OTHER: c->text_milli = 1150; break;
    }
}

void chat_count_text(const struct chat_counter *c, struct slice text, struct chat_count *out)
{
    int64_t bytes = (int64_t)text.len;
    int64_t tokens = (int64_t)(c->family == CHAT_FAMILY_GEMINI ? token_estimate(text)
                                                               : token_count(c->encoding, text));
    *out = (struct chat_count){.upper = c->is_exact ? tokens : bytes, .is_bounded = true};
    out->estimate = i64_min((tokens * c->text_milli + 500) / 1000, bytes);
}

/* JSON that the provider writes out in a form of its own. */
static void add_schema(const struct chat_counter *c, struct slice schema, struct chat_count *sum)
{
    struct chat_count one;
    chat_count_text(c, schema, &one);
    if (c->family == CHAT_FAMILY_OPENAI) {
        one.estimate = one.estimate * SCHEMA_MILLI / 1000;
    }
    if (c->is_exact) {
        one.upper *= SCHEMA_MOST;
    }
    add(sum, one);
}

static void add_part(const struct chat_counter *c, const struct chat_part *p,
                     struct chat_count *sum);

/* Nested parts: of results, and of documents in them, and no deeper. */
static void add_parts(const struct chat_counter *c, const struct chat_part *p,
                      struct chat_count *sum)
{
    for (size_t i = 0; i < p->part_count; i++) {
        add_part(c, &p->parts[i], sum);
    }
}

static void add_part(const struct chat_counter *c, const struct chat_part *p,
                     struct chat_count *sum)
{
    struct chat_count one = {0, 0, true};
    switch (p->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL: add_text(c, p->text, sum); break;
    case CHAT_IMAGE: chat_count_image(c, p, &one); break;
    case CHAT_AUDIO: count_sound(c, p, &one); break;
    case CHAT_FILE:
        if (p->text.len || p->part_count) {
            add_text(c, p->text, sum);
            add_parts(c, p, sum);
        } else {
            count_document(c, p, &one);
        }
        add_text(c, p->name, sum);
        break;
    case CHAT_THINKING:
        add_text(c, p->text, sum);
        one.upper = (int64_t)p->data.len; /* opaque thinking is no longer than it is sealed */
        break;
    case CHAT_TOOL_CALL:
        add_frame(sum, frames[c->family].call);
        add_text(c, p->name, sum);
        add_text(c, p->text, sum);
        break;
    case CHAT_TOOL_RESULT:
        add_frame(sum, frames[c->family].call);
        add_text(c, p->text, sum);
        add_parts(c, p, sum);
        break;
    case CHAT_OPAQUE: /* what it stands for may be more than what is spelled */
        add_text(c, p->data, sum);
        one.is_bounded = false;
        break;
    }
    add(sum, one);
}

static void add_message(const struct chat_counter *c, const struct chat_message *m,
                        struct chat_count *sum)
{
    add_frame(sum, frames[c->family].message);
    if (m->name.len) {
        add_text(c, m->name, sum);
        add(sum, (struct chat_count){1, 2, true});
    }
    for (size_t i = 0; i < m->part_count; i++) {
        add_part(c, &m->parts[i], sum);
    }
}

static void add_tools(const struct chat_counter *c, const struct chat_request *r,
                      struct chat_count *sum)
{
    if (r->tool_count == 0) {
        return;
    }
    add_frame(sum, frames[c->family].tools);
    if (c->call_tokens) {
        add(sum, (struct chat_count){c->call_tokens, CLAUDE_CALL_MAX_TOKENS, true});
    }
    for (size_t i = 0; i < r->tool_count; i++) {
        const struct chat_tool *t = &r->tools[i];
        add_frame(sum, frames[c->family].tool);
        add_text(c, t->name, sum);
        add_text(c, t->description, sum);
        add_schema(c, t->schema, sum);
        if (t->raw.len) {
            add_schema(c, t->raw, sum);
            sum->is_bounded &= t->is_custom; /* a hosted tool reads more on its own */
        }
    }
    if (r->tool_choice == CHAT_CHOICE_NAMED) {
        add_text(c, r->tool_choice_name, sum);
        add(sum, (struct chat_count){4, 8, true});
    }
}

void chat_count_prompt(const struct chat_counter *c, const struct chat_request *r,
                       struct chat_count *out)
{
    *out = (struct chat_count){.is_bounded = true};
    add_frame(out, frames[c->family].prompt);
    for (size_t i = 0; i < r->message_count; i++) {
        add_message(c, &r->messages[i], out);
    }
    add_tools(c, r, out);
    if (r->format_schema.len) {
        add_frame(out, frames[c->family].tool);
        add_text(c, r->format_name, out);
        add_schema(c, r->format_schema, out);
    }
}
