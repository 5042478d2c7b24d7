/* Chunks of a stream put together to a whole answer. */
#include "dialect/stream.h"

enum { GATHER_CHOICES_MAX = 128, GATHER_TOOLS_MAX = 1024 };

/* A part that grows. Parts of a choice stand in the order in which they began. */
struct gather_part {
    struct chat_part part;
    struct text text;
    int tool, block; /* of the chunks that it is made of; -1: none */
    struct gather_part *next;
};

struct gather_choice {
    int index;
    enum chat_finish finish;
    struct slice stop_sequence;
    struct gather_part *first, *last;
    size_t part_count;
    struct gather_choice *next;
};

/* The choice of that index, in the order of indices; NULL: there are too many, or no memory. */
static struct gather_choice *choice_of(struct gather *g, int index)
{
    struct gather_choice *before = NULL, *c = g->choices;
    while (c && c->index < index) {
        before = c;
        c = c->next;
    }
    if (c && c->index == index) {
        return c;
    }
    struct gather_choice *made = ARENA_NEW(g->arena, struct gather_choice);
    if (!made || g->answer.choice_count == GATHER_CHOICES_MAX) {
        return NULL;
    }
    made->index = index;
    made->next = c;
    if (before) {
        before->next = made;
    } else {
        g->choices = made;
    }
    g->answer.choice_count++;
    return made;
}

static struct slice kept(struct gather *g, struct slice s)
{
    struct slice copy = s.len ? arena_dup(g->arena, s) : SLICE_NONE;
    g->is_failed = g->is_failed || (s.len && !copy.ptr);
    return copy;
}

static struct gather_part *add_part(struct gather *g, struct gather_choice *c,
                                    enum chat_part_kind kind)
{
    struct gather_part *p = ARENA_NEW(g->arena, struct gather_part);
    if (!p) {
        g->is_failed = true;
        return NULL;
    }
    p->part.kind = kind;
    p->text = text_growing(g->arena);
    p->tool = p->block = -1;
    if (c->last) {
        c->last->next = p;
    } else {
        c->first = p;
    }
    c->last = p;
    c->part_count++;
    return p;
}

/* Text that joins the part before it, if that is of its kind. */
static struct gather_part *running(struct gather *g, struct gather_choice *c,
                                   enum chat_part_kind kind, int block)
{
    struct gather_part *last = c->last;
    if (last && last->part.kind == kind && last->block == block) {
        return last;
    }
    last = add_part(g, c, kind);
    if (last) {
        last->block = block;
    }
    return last;
}

static void add_thinking(struct gather *g, struct gather_choice *c, const struct chat_chunk *chunk)
{
    struct gather_part *p = running(g, c, CHAT_THINKING, chunk->block);
    if (!p) {
        return;
    }
    text_add(&p->text, chunk->text);
    if (chunk->signature.len) {
        p->part.signature = kept(g, chunk->signature);
    }
    if (chunk->data.len) {
        p->part.data = kept(g, chunk->data);
    }
    if (chunk->provider.len && !p->part.provider.len) {
        p->part.provider = kept(g, chunk->provider);
    }
}

static void add_call(struct gather *g, struct gather_choice *c, const struct chat_chunk *chunk)
{
    struct gather_part *p = c->first;
    while (p && (p->part.kind != CHAT_TOOL_CALL || p->tool != chunk->tool)) {
        p = p->next;
    }
    if (!p) {
        p = chunk->tool < GATHER_TOOLS_MAX ? add_part(g, c, CHAT_TOOL_CALL) : NULL;
    }
    if (!p) {
        g->is_failed = true;
        return;
    }
    p->tool = chunk->tool;
    p->part.is_custom = p->part.is_custom || chunk->is_custom;
    if (chunk->kind == CHAT_CHUNK_TOOL_ARGUMENTS) {
        text_add(&p->text, chunk->text);
        return;
    }
    p->part.id = chunk->id.len ? kept(g, chunk->id) : p->part.id;
    p->part.name = kept(g, chunk->name);
    p->part.signature = kept(g, chunk->signature);
    p->part.provider = kept(g, chunk->provider);
}

static void add_opaque(struct gather *g, struct gather_choice *c, const struct chat_chunk *chunk)
{
    struct gather_part *p = add_part(g, c, CHAT_OPAQUE);
    if (p) {
        p->part.name = kept(g, chunk->name);
        p->part.data = kept(g, chunk->text);
        p->part.provider = kept(g, chunk->provider);
    }
}

static void add_to_choice(struct gather *g, const struct chat_chunk *chunk)
{
    struct gather_choice *c = choice_of(g, chunk->choice);
    struct gather_part *p = NULL;
    if (!c) {
        g->is_failed = true;
        return;
    }
    switch (chunk->kind) {
    case CHAT_CHUNK_TEXT: p = running(g, c, CHAT_TEXT, -1); break;
    case CHAT_CHUNK_REFUSAL: p = running(g, c, CHAT_REFUSAL, -1); break;
    case CHAT_CHUNK_THINKING: add_thinking(g, c, chunk); break;
    case CHAT_CHUNK_TOOL_START:
    case CHAT_CHUNK_TOOL_ARGUMENTS: add_call(g, c, chunk); break;
    case CHAT_CHUNK_OPAQUE: add_opaque(g, c, chunk); break;
    case CHAT_CHUNK_FINISH:
        c->finish = chunk->finish;
        c->stop_sequence = kept(g, chunk->text);
        break;
    case CHAT_CHUNK_CITATION: /* beside the text, which stands without it */
    case CHAT_CHUNK_START:
    case CHAT_CHUNK_USAGE:
    case CHAT_CHUNK_ERROR:
    case CHAT_CHUNK_END: break;
    }
    if (p) {
        text_add(&p->text, chunk->text);
    }
}

void gather_add(struct gather *g, const struct chat_chunk *chunk)
{
    if (g->is_failed) {
        return;
    }
    if (chunk->id.len && !g->answer.id.len && chunk->kind == CHAT_CHUNK_START) {
        g->answer.id = kept(g, chunk->id);
    }
    if (chunk->model.len && !g->answer.model.len) {
        g->answer.model = kept(g, chunk->model);
    }
    if (chunk->created_unix_s) {
        g->answer.created_unix_s = chunk->created_unix_s;
    }
    switch (chunk->kind) {
    case CHAT_CHUNK_TEXT:
    case CHAT_CHUNK_REFUSAL:
    case CHAT_CHUNK_THINKING:
    case CHAT_CHUNK_TOOL_START:
    case CHAT_CHUNK_TOOL_ARGUMENTS:
    case CHAT_CHUNK_CITATION:
    case CHAT_CHUNK_OPAQUE:
    case CHAT_CHUNK_FINISH: add_to_choice(g, chunk); break;
    case CHAT_CHUNK_USAGE:
        g->answer.usage = chunk->usage;
        g->answer.has_usage = true;
        break;
    case CHAT_CHUNK_ERROR: g->is_failed = true; break; /* no answer */
    case CHAT_CHUNK_START:
    case CHAT_CHUNK_END: break;
    }
}

static bool fill_choice(struct gather *g, const struct gather_choice *from, struct chat_choice *to)
{
    *to = (struct chat_choice){.finish = from->finish, .stop_sequence = from->stop_sequence};
    to->parts = arena_array(g->arena, from->part_count + 1, sizeof(*to->parts));
    if (!to->parts) {
        return false;
    }
    for (struct gather_part *p = from->first; p; p = p->next) {
        struct chat_part *part = &to->parts[to->part_count++];
        *part = p->part;
        part->text = text_slice(&p->text);
        g->is_failed = g->is_failed || p->text.is_full;
    }
    return true;
}

const struct chat_response *gather_answer(struct gather *g)
{
    size_t n = 0;
    g->answer.choices =
        arena_array(g->arena, g->answer.choice_count + 1, sizeof(*g->answer.choices));
    if (!g->answer.choices) {
        return NULL;
    }
    for (const struct gather_choice *c = g->choices; c; c = c->next) {
        if (!fill_choice(g, c, &g->answer.choices[n++])) {
            return NULL;
        }
    }
    return g->is_failed ? NULL : &g->answer;
}
