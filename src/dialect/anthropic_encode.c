/* Neutral messages as Anthropic's turns.
 *
 *   system, developer   hoisted to the top, in order (or a turn of their own where the model takes
 * it) user, tool          neighbours are one turn: results first, then the rest assistant
 * neighbours are one turn
 */
#include "core/hash.h"
#include "dialect/anthropic.h"
#include "dialect/write.h"

#include <assert.h>

enum { MARKERS_MAX = 4, ANSWERED_KNOWN = 64, ID_HASH_BYTES = 4 };

bool anthropic_is_blank(struct slice text)
{
    return slice_trim(text).len == 0;
}

static bool is_ours(struct slice provider)
{
    return slice_eq(provider, ANTHROPIC_NAME);
}

/* --- small things ------------------------------------------------------------------------------
 */

/* Ids have letters, digits, _ and - only. What has others keeps apart from its neighbours by a
 * hash. */
void anthropic_add_id(struct text *t, struct slice id)
{
    bool is_changed = id.len == 0;
    text_add_char(t, '"');
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-';
        text_add(t, is_fine ? slice_of(&id.ptr[i], 1) : SLICE("_"));
        is_changed = is_changed || !is_fine;
    }
    if (is_changed) {
        struct sha256 hash = sha256_of(id);
        text_add_char(t, '_');
        for (size_t i = 0; i < ID_HASH_BYTES; i++) {
            text_addf(t, "%02x", (unsigned)hash.bytes[i]);
        }
    }
    text_add_char(t, '"');
}

/* OpenAI's marker says the same in other words. */
void anthropic_add_marker(struct writer *w, struct slice marker)
{
    bool is_openai = slice_search(marker, SLICE("\"mode\"")) < marker.len;
    bool is_long = slice_search(marker, SLICE("\"12h\"")) < marker.len;
    if (marker.len == 0) {
        return;
    }
    if (w->markers == MARKERS_MAX) {
        write_drop(w, "cache_control");
        return;
    }
    w->markers++;
    write_raw(&w->t, "cache_control",
              !is_openai ? marker
              : is_long  ? SLICE("{\"type\":\"ephemeral\",\"ttl\":\"1h\"}")
                         : SLICE("{\"type\":\"ephemeral\"}"));
}

void anthropic_add_extras(struct writer *w, struct slice extras, struct slice provider)
{
    struct slice inside = extras.len > 2 ? slice_of(extras.ptr + 1, extras.len - 2) : SLICE_NONE;
    if (inside.len == 0) {
        return;
    }
    if (!is_ours(provider)) {
        drop_extras(&w->dropped, extras);
        return;
    }
    if (w->t.ptr && w->t.ptr[w->t.len - 1] != '{') {
        text_add_char(&w->t, ',');
    }
    text_add(&w->t, inside);
}

static void end_block(struct writer *w, const struct chat_part *p)
{
    anthropic_add_extras(w, p->extras, p->provider);
    anthropic_add_marker(w, p->cache_marker);
    TEXT_ADD(&w->t, "}");
}

static void open_block(struct writer *w, struct slice type)
{
    write_element(&w->t);
    write_string(&w->t, "type", type);
}

/* --- what can be sent --------------------------------------------------------------------------
 */

static bool is_picture(struct slice media_type)
{
    return slice_eq(media_type, SLICE("image/jpeg")) || slice_eq(media_type, SLICE("image/jpg")) ||
           slice_eq(media_type, SLICE("image/png")) || slice_eq(media_type, SLICE("image/gif")) ||
           slice_eq(media_type, SLICE("image/webp"));
}

static bool is_pdf(struct slice media_type)
{
    return slice_eq(media_type, SLICE("application/pdf"));
}

static bool has_sendable(const struct chat_part *parts, size_t count);

/* The name under which a picture is missed, or NULL. */
static const char *lack_of_image(const struct chat_part *p)
{
    bool is_known = is_picture(p->media_type) || is_pdf(p->media_type);
    bool is_elsewhere = p->url.len || (p->file_id.len && is_ours(p->provider));
    if (p->data.len) {
        return is_known ? NULL : "image.media_type";
    }
    return is_elsewhere ? NULL : "image";
}

static const char *lack_of_file(const struct chat_part *p)
{
    bool is_elsewhere = p->url.len || (p->file_id.len && is_ours(p->provider));
    if (p->data.len) {
        return is_pdf(p->media_type) ? NULL : "file.media_type";
    }
    return p->text.len || is_elsewhere || has_sendable(p->parts, p->part_count) ? NULL : "file";
}

/* Unsigned or signed by another, it is refused (trap 11). */
static const char *lack_of_thought(const struct chat_part *p)
{
    return is_ours(p->provider) && (p->signature.len || p->data.len) ? NULL : "thinking";
}

/* The name under which the part is missed, or NULL: it can be sent. Blank texts are not missed. */
static const char *lack_of(const struct chat_part *p)
{
    switch (p->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL: return anthropic_is_blank(p->text) ? "" : NULL;
    case CHAT_IMAGE: return lack_of_image(p);
    case CHAT_AUDIO: return "input_audio";
    case CHAT_FILE: return lack_of_file(p);
    case CHAT_THINKING: return lack_of_thought(p);
    case CHAT_TOOL_CALL:
    case CHAT_TOOL_RESULT: return NULL;
    case CHAT_OPAQUE: return is_ours(p->provider) ? NULL : "opaque";
    }
    return NULL;
}

/* Documents nest no deeper than one in another's result. */
static bool has_sendable(const struct chat_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!lack_of(&parts[i])) {
            return true;
        }
    }
    return false;
}

static bool is_sendable(const struct chat_message *m)
{
    return has_sendable(m->parts, m->part_count);
}

static void name_lacks(struct writer *w, const struct chat_message *m)
{
    for (size_t i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        const char *lack = lack_of(p);
        if (p->kind == CHAT_TOOL_CALL && p->signature.len) {
            write_drop(w, "thought_signature"); /* another maker's, and no use here */
        }
        if (p->kind == CHAT_OPAQUE && lack) {
            drop_name(&w->dropped, p->name);
        } else if (lack) {
            write_drop(w, lack);
        }
    }
}

/* --- blocks ------------------------------------------------------------------------------------
 */

static void add_base64(struct writer *w, const struct chat_part *p)
{
    bool is_jpg = slice_eq(p->media_type, SLICE("image/jpg"));
    TEXT_ADD(&w->t, "{\"type\":\"base64\"");
    write_string(&w->t, "media_type", is_jpg ? SLICE("image/jpeg") : p->media_type);
    write_string(&w->t, "data", p->data);
    TEXT_ADD(&w->t, "}");
}

static void add_parts(struct writer *w, const struct chat_part *parts, size_t count);

static void add_source(struct writer *w, const struct chat_part *p)
{
    struct text *t = &w->t;
    text_add_json_key(t, "source");
    if (p->data.len) {
        add_base64(w, p);
    } else if (p->text.len) {
        TEXT_ADD(t, "{\"type\":\"text\",\"media_type\":\"text/plain\"");
        write_string(t, "data", p->text);
        TEXT_ADD(t, "}");
    } else if (p->url.len) {
        TEXT_ADD(t, "{\"type\":\"url\"");
        write_string(t, "url", p->url);
        TEXT_ADD(t, "}");
    } else if (p->file_id.len) {
        TEXT_ADD(t, "{\"type\":\"file\"");
        write_string(t, "file_id", p->file_id);
        TEXT_ADD(t, "}");
    } else {
        TEXT_ADD(t, "{\"type\":\"content\",\"content\":[");
        add_parts(w, p->parts, p->part_count);
        TEXT_ADD(t, "]}");
    }
}

static void add_thinking(struct writer *w, const struct chat_part *p)
{
    if (p->data.len) {
        open_block(w, SLICE("redacted_thinking"));
        write_string(&w->t, "data", p->data);
    } else {
        open_block(w, SLICE("thinking"));
        write_string(&w->t, "thinking", p->text);
        write_string(&w->t, "signature", p->signature);
    }
    TEXT_ADD(&w->t, "}");
}

struct slice anthropic_id_of_call(struct writer *w, size_t message, size_t part)
{
    const struct chat_part *p = &w->r->messages[message].parts[part];
    return p->id.len ? p->id : arena_printf(w->arena, "call_%zu_%zu", message, part);
}

struct slice anthropic_id_of_result(struct writer *w, const struct chat_part *result)
{
    const struct chat_message *m = &w->r->messages[w->calls_at];
    if (result->id.len) {
        return result->id;
    }
    for (size_t i = 0; i < m->part_count && i < ANSWERED_KNOWN; i++) {
        bool is_named = !result->name.len || slice_eq(result->name, m->parts[i].name);
        if (m->parts[i].kind == CHAT_TOOL_CALL && is_named && !(w->answered >> i & 1)) {
            w->answered |= (uint64_t)1 << i;
            return anthropic_id_of_call(w, w->calls_at, i);
        }
    }
    return SLICE("call_unknown");
}

static void add_result(struct writer *w, const struct chat_part *p)
{
    const struct chat_message nested = {.parts = p->parts, .part_count = p->part_count};
    struct slice marker = p->cache_marker;
    const struct chat_part *only = NULL;
    size_t sent = 0;
    open_block(w, SLICE("tool_result"));
    text_add_json_key(&w->t, "tool_use_id");
    anthropic_add_id(&w->t, anthropic_id_of_result(w, p));
    name_lacks(w, &nested);
    for (size_t i = 0; i < p->part_count; i++) {
        if (!lack_of(&p->parts[i])) {
            only = &p->parts[i];
            sent++;
        }
        marker = marker.len ? marker : p->parts[i].cache_marker; /* it goes on the result */
    }
    if (sent == 1 && only->kind == CHAT_TEXT && !only->extras.len) {
        write_string(&w->t, "content", only->text);
    } else if (sent) {
        text_add_json_key(&w->t, "content");
        TEXT_ADD(&w->t, "[");
        add_parts(w, p->parts, p->part_count);
        TEXT_ADD(&w->t, "]");
    }
    if (p->is_error) {
        write_bool(&w->t, "is_error", true);
    }
    anthropic_add_extras(w, p->extras, p->provider);
    anthropic_add_marker(w, marker);
    TEXT_ADD(&w->t, "}");
}

static void add_text(struct writer *w, const struct chat_part *p, struct slice text)
{
    open_block(w, SLICE("text"));
    write_string(&w->t, "text", text);
    end_block(w, p);
}

/* A part that lack_of() finds nothing against. */
static void add_part(struct writer *w, const struct chat_part *p)
{
    switch (p->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL: add_text(w, p, p->text); break;
    case CHAT_IMAGE:
        open_block(w, p->data.len && is_pdf(p->media_type) ? SLICE("document") : SLICE("image"));
        add_source(w, p);
        end_block(w, p);
        break;
    case CHAT_FILE:
        open_block(w, SLICE("document"));
        add_source(w, p);
        write_string_if(&w->t, "title", p->name);
        end_block(w, p);
        break;
    case CHAT_THINKING: add_thinking(w, p); break;
    case CHAT_TOOL_RESULT: add_result(w, p); break;
    case CHAT_OPAQUE:
        write_next(&w->t);
        text_add(&w->t, p->data);
        break;
    case CHAT_TOOL_CALL: /* add_call() */
    case CHAT_AUDIO: break;
    }
}

/* Parts inside a document or a result carry no markers of their own. */
static void add_parts(struct writer *w, const struct chat_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!lack_of(&parts[i])) {
            struct chat_part bare = parts[i];
            bare.cache_marker = SLICE_NONE;
            add_part(w, &bare);
        }
    }
}

static void add_call(struct writer *w, size_t message, size_t part)
{
    const struct chat_part *p = &w->r->messages[message].parts[part];
    open_block(w, SLICE("tool_use"));
    text_add_json_key(&w->t, "id");
    anthropic_add_id(&w->t, anthropic_id_of_call(w, message, part));
    write_string(&w->t, "name", p->name);
    text_add_json_key(&w->t, "input");
    write_arguments(&w->t, p->text, p->is_custom);
    end_block(w, p);
}

/* --- turns -------------------------------------------------------------------------------------
 */

static bool is_users(const struct chat_message *m)
{
    return m->role == CHAT_USER || m->role == CHAT_TOOL;
}

/* Text alone, after a turn of the user's, and at the end or before the assistant's. */
static bool is_system_turn(const struct writer *w, size_t i)
{
    const struct chat_request *r = w->r;
    const struct chat_message *m = &r->messages[i];
    bool is_placed = chat_is_system(m) && i > 0 && is_users(&r->messages[i - 1]) &&
                     is_sendable(&r->messages[i - 1]) &&
                     (i + 1 == r->message_count || (r->messages[i + 1].role == CHAT_ASSISTANT &&
                                                    is_sendable(&r->messages[i + 1])));
    for (size_t k = 0; k < m->part_count; k++) {
        is_placed = is_placed && m->parts[k].kind == CHAT_TEXT;
    }
    return is_placed && w->o->profile->takes_system_turns && is_sendable(m);
}

/* The texts of a message among those of the prompt's head. */
static void add_hoisted(struct writer *w, const struct chat_message *m)
{
    for (size_t k = 0; k < m->part_count; k++) {
        const struct chat_part *p = &m->parts[k];
        if (p->kind == CHAT_TEXT && !anthropic_is_blank(p->text)) {
            add_text(w, p, p->text);
        } else if (p->kind != CHAT_TEXT) {
            write_drop(w, "system.content");
        }
    }
}

static void add_system(struct writer *w)
{
    const struct chat_request *r = w->r;
    bool wants_json = r->format == CHAT_FORMAT_JSON;
    text_add_json_key(&w->t, "system");
    size_t before = w->t.len - strlen("\"system\":");
    TEXT_ADD(&w->t, "[");
    size_t opened = w->t.len;
    for (size_t i = 0; i < r->message_count && w->has_conversation; i++) {
        if (chat_is_system(&r->messages[i]) && !is_system_turn(w, i)) {
            add_hoisted(w, &r->messages[i]);
        }
    }
    if (wants_json) { /* the API has no such format without a schema */
        open_block(w, SLICE("text"));
        write_string(&w->t, "text", ANTHROPIC_JSON_WISH);
        TEXT_ADD(&w->t, "}");
    }
    if (w->t.len == opened && !w->t.is_full) {
        w->t.len = w->t.ptr[before - 1] == ',' ? before - 1 : before;
        return;
    }
    TEXT_ADD(&w->t, "]");
}

/* Which turn the message belongs to; CHAT_SYSTEM: to none. */
static enum chat_role turn_of(const struct writer *w, size_t i)
{
    const struct chat_message *m = &w->r->messages[i];
    if (!is_sendable(m) || (chat_is_system(m) && w->has_conversation)) {
        return CHAT_SYSTEM;
    }
    return m->role == CHAT_ASSISTANT ? CHAT_ASSISTANT : CHAT_USER;
}

/* The results among the messages of the user's turn, or all else. */
static void add_users_parts(struct writer *w, size_t from, size_t to, bool takes_results)
{
    for (size_t i = from; i < to; i++) {
        const struct chat_message *m = &w->r->messages[i];
        bool is_in = turn_of(w, i) == CHAT_USER;
        for (size_t k = 0; is_in && k < m->part_count; k++) {
            const struct chat_part *p = &m->parts[k];
            bool is_wanted = (p->kind == CHAT_TOOL_RESULT) == takes_results;
            if (is_wanted && !lack_of(p)) {
                add_part(w, p);
            }
        }
    }
}

static void add_assistant_turn(struct writer *w, size_t from, size_t to, bool is_last)
{
    const struct chat_part *last = NULL;
    for (size_t i = from; i < to; i++) {
        const struct chat_message *m = &w->r->messages[i];
        for (size_t k = 0; k < m->part_count; k++) {
            last = lack_of(&m->parts[k]) ? last : &m->parts[k];
        }
    }
    for (size_t i = from; i < to; i++) {
        const struct chat_message *m = &w->r->messages[i];
        if (turn_of(w, i) != CHAT_ASSISTANT) {
            continue;
        }
        w->calls_at = i;
        w->answered = 0;
        for (size_t k = 0; k < m->part_count; k++) {
            const struct chat_part *p = &m->parts[k];
            if (p->kind == CHAT_TOOL_CALL) {
                add_call(w, i, k);
            } else if (!lack_of(p) && is_last && p == last && p->kind == CHAT_TEXT) {
                struct slice text = p->text; /* a text to go on from ends in no white space */
                text.len = (size_t)(slice_trim(text).ptr - text.ptr) + slice_trim(text).len;
                add_text(w, p, text);
            } else if (!lack_of(p)) {
                add_part(w, p);
            }
        }
    }
}

static void add_plain_turn(struct writer *w, struct slice role)
{
    write_element(&w->t);
    write_string(&w->t, "role", role);
    text_add_json_key(&w->t, "content");
    TEXT_ADD(&w->t, "[");
}

/* Whether the turn is a text that the model is to go on from. */
static bool is_prefill(const struct writer *w, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const struct chat_message *m = &w->r->messages[i];
        for (size_t k = 0; m->role == CHAT_ASSISTANT && k < m->part_count; k++) {
            if (m->parts[k].kind == CHAT_TOOL_CALL || m->parts[k].kind == CHAT_OPAQUE) {
                return false;
            }
        }
    }
    return true;
}

/* The end of the turn that begins at from: where a message of another turn stands. */
static size_t end_of_turn(const struct writer *w, size_t from)
{
    enum chat_role turn = turn_of(w, from);
    size_t i = from + 1;
    while (i < w->r->message_count && !is_system_turn(w, i) &&
           (turn_of(w, i) == turn || turn_of(w, i) == CHAT_SYSTEM)) {
        i++;
    }
    return i;
}

static void add_turn(struct writer *w, size_t from, size_t to, bool is_first)
{
    bool is_last = to == w->r->message_count;
    if (turn_of(w, from) == CHAT_USER) {
        add_plain_turn(w, SLICE("user"));
        add_users_parts(w, from, to, true); /* results come first (trap 8) */
        add_users_parts(w, from, to, false);
        TEXT_ADD(&w->t, "]}");
        return;
    }
    if (is_first) { /* the conversation begins with the user */
        TEXT_ADD(&w->t, "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\".\"}]}");
    }
    if (is_last && w->o->profile->refuses_prefill && is_prefill(w, from, to)) {
        write_drop(w, "prefill");
        return;
    }
    add_plain_turn(w, SLICE("assistant"));
    add_assistant_turn(w, from, to, is_last);
    TEXT_ADD(&w->t, "]}");
}

void anthropic_add_messages(struct writer *w)
{
    const struct chat_request *r = w->r;
    for (size_t i = 0; i < r->message_count; i++) {
        w->has_conversation = w->has_conversation || !chat_is_system(&r->messages[i]);
    }
    add_system(w);
    text_add_json_key(&w->t, "messages");
    TEXT_ADD(&w->t, "[");
    size_t opened = w->t.len;
    for (size_t i = 0; i < r->message_count; i++) {
        if (!chat_is_system(&r->messages[i])) {
            name_lacks(w, &r->messages[i]);
        }
    }
    for (size_t i = 0; i < r->message_count;) {
        if (is_system_turn(w, i)) {
            add_plain_turn(w, SLICE("system"));
            add_hoisted(w, &r->messages[i]);
            TEXT_ADD(&w->t, "]}");
            i++;
        } else if (turn_of(w, i) == CHAT_SYSTEM) {
            i++;
        } else {
            size_t to = end_of_turn(w, i);
            add_turn(w, i, to, w->t.len == opened);
            i = to;
        }
    }
    if (w->t.len == opened) { /* nothing that could be said was left */
        TEXT_ADD(&w->t, "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\".\"}]}");
    }
    TEXT_ADD(&w->t, "]");
}
