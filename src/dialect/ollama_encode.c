/* Neutral messages as Ollama's.
 *
 *   system, developer   role system, where they stand
 *   user                texts joined by line feeds, pictures beside them; results before them are
 *                       messages of their own
 *   assistant           text, thoughts, calls
 *   tool                one message a result, with the tool's name
 *
 * What cannot be said is named in dropped; a message of which nothing is left is left out.
 */
#include "dialect/ollama.h"
#include "dialect/write.h"

enum { LOOKS_MAX = 65536 }; /* for names of calls, over all results */

static bool is_text(const struct chat_part *p)
{
    bool is_plain_file = p->kind == CHAT_FILE && p->text.len;
    return p->kind == CHAT_TEXT || p->kind == CHAT_REFUSAL || is_plain_file;
}

static bool is_picture(const struct chat_part *p)
{
    return p->kind == CHAT_IMAGE && p->data.len && slice_starts(p->media_type, SLICE("image/"));
}

/* Thoughts are text here; what another maker signed or hid is not. */
static bool is_thought(const struct chat_part *p)
{
    return p->kind == CHAT_THINKING && p->text.len && !p->signature.len && !p->data.len;
}

/* The name under which the part is missed, or NULL: it can be sent. */
static const char *lack_of(const struct chat_part *p, bool is_assistant)
{
    switch (p->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL: return NULL;
    case CHAT_IMAGE: return is_picture(p) ? NULL : p->data.len ? "image.media_type" : "image";
    case CHAT_AUDIO: return "input_audio";
    case CHAT_FILE: return p->text.len ? NULL : "file";
    case CHAT_THINKING: return is_thought(p) && is_assistant ? NULL : "thinking";
    case CHAT_TOOL_CALL:
    case CHAT_TOOL_RESULT: return NULL;
    case CHAT_OPAQUE: return "opaque";
    }
    return NULL;
}

static void name_lacks(struct writer *w, const struct chat_part *parts, size_t count,
                       bool is_assistant)
{
    for (size_t i = 0; i < count; i++) {
        const char *lack = lack_of(&parts[i], is_assistant);
        if (parts[i].kind == CHAT_OPAQUE && lack) {
            drop_name(&w->dropped, parts[i].name);
        } else if (lack) {
            write_drop(w, lack);
        }
        drop_extras(&w->dropped, parts[i].extras);
        if (parts[i].cache_marker.len) {
            write_drop(w, "cache_control");
        }
    }
}

/* "content": the texts. */
static void add_content(struct writer *w, const struct chat_part *parts, size_t count)
{
    struct text joined = text_growing(w->arena);
    for (size_t i = 0; i < count; i++) {
        if (is_text(&parts[i])) {
            text_add(&joined, joined.len ? SLICE("\n") : SLICE_NONE);
            text_add(&joined, parts[i].text);
        }
    }
    write_string(&w->t, "content", text_slice(&joined));
    w->t.is_full = w->t.is_full || joined.is_full;
}

static void add_images(struct writer *w, const struct chat_part *parts, size_t count)
{
    size_t sent = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_picture(&parts[i])) {
            if (sent++ == 0) {
                text_add_json_key(&w->t, "images");
                TEXT_ADD(&w->t, "[");
            }
            write_next(&w->t);
            text_add_json_string(&w->t, parts[i].data);
        }
    }
    text_add(&w->t, sent ? SLICE("]") : SLICE_NONE);
}

static void add_thoughts(struct writer *w, const struct chat_message *m)
{
    struct text joined = text_growing(w->arena);
    for (size_t i = 0; i < m->part_count; i++) {
        if (is_thought(&m->parts[i])) {
            text_add(&joined, joined.len ? SLICE("\n") : SLICE_NONE);
            text_add(&joined, m->parts[i].text);
        }
    }
    write_string_if(&w->t, "thinking", text_slice(&joined));
    w->t.is_full = w->t.is_full || joined.is_full;
}

/* An object; arguments that are none, and free text, become one. */
static void add_arguments(struct writer *w, const struct chat_part *p)
{
    struct span_fault unused;
    struct slice text = slice_trim(p->text);
    text_add_json_key(&w->t, "arguments");
    if (!p->is_custom && text.len && text.ptr[0] == '{' && spans_check(text, &unused) == OK) {
        text_add(&w->t, text);
    } else if (text.len == 0) {
        TEXT_ADD(&w->t, "{}");
    } else {
        TEXT_ADD(&w->t, "{");
        write_string(&w->t, "input", p->text);
        TEXT_ADD(&w->t, "}");
    }
}

static void add_calls(struct writer *w, const struct chat_message *m)
{
    size_t sent = 0;
    for (size_t i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->kind != CHAT_TOOL_CALL) {
            continue;
        }
        if (sent++ == 0) {
            text_add_json_key(&w->t, "tool_calls");
            TEXT_ADD(&w->t, "[");
        }
        write_element(&w->t);
        TEXT_ADD(&w->t, "\"function\":{");
        write_string(&w->t, "name", p->name);
        add_arguments(w, p);
        TEXT_ADD(&w->t, "}}");
    }
    text_add(&w->t, sent ? SLICE("]") : SLICE_NONE);
}

/* The name of the call that the result answers: the last one with its id before it. */
static struct slice name_of_result(struct writer *w, size_t message, const struct chat_part *result)
{
    if (result->name.len) {
        return result->name;
    }
    for (size_t i = message; i-- > 0;) {
        const struct chat_message *m = &w->r->messages[i];
        for (size_t k = 0; k < m->part_count && w->looks < LOOKS_MAX; k++, w->looks++) {
            if (m->parts[k].kind == CHAT_TOOL_CALL && slice_eq(m->parts[k].id, result->id)) {
                return m->parts[k].name;
            }
        }
    }
    return SLICE_NONE;
}

static void add_result(struct writer *w, size_t message, const struct chat_part *p)
{
    write_element(&w->t);
    write_string(&w->t, "role", SLICE("tool"));
    write_string_if(&w->t, "tool_name", name_of_result(w, message, p));
    name_lacks(w, p->parts, p->part_count, false);
    add_content(w, p->parts, p->part_count);
    add_images(w, p->parts, p->part_count);
    TEXT_ADD(&w->t, "}");
}

static bool has_rest(const struct chat_message *m, bool is_assistant)
{
    for (size_t i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->kind != CHAT_TOOL_RESULT && !lack_of(p, is_assistant)) {
            return true;
        }
    }
    return false;
}

static struct slice role_of(const struct chat_message *m)
{
    switch (m->role) {
    case CHAT_SYSTEM:
    case CHAT_DEVELOPER: return SLICE("system");
    case CHAT_ASSISTANT: return SLICE("assistant");
    case CHAT_USER:
    case CHAT_TOOL: break;
    }
    return SLICE("user");
}

static void add_message(struct writer *w, size_t message)
{
    const struct chat_message *m = &w->r->messages[message];
    bool is_assistant = m->role == CHAT_ASSISTANT;
    for (size_t i = 0; i < m->part_count; i++) {
        if (m->parts[i].kind == CHAT_TOOL_RESULT) {
            add_result(w, message, &m->parts[i]);
        }
    }
    name_lacks(w, m->parts, m->part_count, is_assistant);
    if (m->name.len) {
        write_drop(w, "name");
    }
    if (!has_rest(m, is_assistant)) {
        return;
    }
    write_element(&w->t);
    write_string(&w->t, "role", role_of(m));
    add_content(w, m->parts, m->part_count);
    if (is_assistant) {
        add_thoughts(w, m);
        add_calls(w, m);
    }
    add_images(w, m->parts, m->part_count);
    TEXT_ADD(&w->t, "}");
}

void ollama_add_messages(struct writer *w)
{
    text_add_json_key(&w->t, "messages");
    TEXT_ADD(&w->t, "[");
    for (size_t i = 0; i < w->r->message_count; i++) {
        add_message(w, i);
    }
    TEXT_ADD(&w->t, "]");
}
