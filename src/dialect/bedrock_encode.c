/* Neutral messages as Converse's.
 *
 *   system, developer   hoisted to "system", in order
 *   user, tool          neighbours are one turn: results first, then the rest
 *   assistant           neighbours are one turn
 *
 * Turns alternate and the user begins; what cannot be said is named in dropped, and a message of
 * which nothing is left is no turn.
 */
#include "dialect/bedrock.h"
#include "dialect/write.h"

enum { NAME_MAX_BYTES = 180 };

bool bedrock_has_calls(const struct chat_request *r)
{
    for (size_t i = 0; i < r->message_count; i++) {
        const struct chat_message *m = &r->messages[i];
        for (size_t k = 0; k < m->part_count; k++) {
            if (m->parts[k].kind == CHAT_TOOL_CALL || m->parts[k].kind == CHAT_TOOL_RESULT) {
                return true;
            }
        }
    }
    return false;
}

/* --- what can be sent --------------------------------------------------------------------------
 */

struct format {
    struct slice media_type, name;
};
static const struct format pictures[] = {
    {SLICE_INIT("image/jpeg"), SLICE_INIT("jpeg")}, {SLICE_INIT("image/jpg"), SLICE_INIT("jpeg")},
    {SLICE_INIT("image/png"), SLICE_INIT("png")},   {SLICE_INIT("image/gif"), SLICE_INIT("gif")},
    {SLICE_INIT("image/webp"), SLICE_INIT("webp")},
};
#define OFFICE "application/vnd.openxmlformats-officedocument."
static const struct format documents[] = {
    {SLICE_INIT("application/pdf"), SLICE_INIT("pdf")},
    {SLICE_INIT("text/csv"), SLICE_INIT("csv")},
    {SLICE_INIT("text/html"), SLICE_INIT("html")},
    {SLICE_INIT("text/plain"), SLICE_INIT("txt")},
    {SLICE_INIT("text/markdown"), SLICE_INIT("md")},
    {SLICE_INIT("application/msword"), SLICE_INIT("doc")},
    {SLICE_INIT(OFFICE "wordprocessingml.document"), SLICE_INIT("docx")},
    {SLICE_INIT("application/vnd.ms-excel"), SLICE_INIT("xls")},
    {SLICE_INIT(OFFICE "spreadsheetml.sheet"), SLICE_INIT("xlsx")},
};

/* Empty: none of them. */
static struct slice format_of(const struct format *formats, size_t count, struct slice media_type)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(formats[i].media_type, media_type)) {
            return formats[i].name;
        }
    }
    return SLICE_NONE;
}

static struct slice picture_of(const struct chat_part *p)
{
    return format_of(pictures, ARRAY_LEN(pictures), p->media_type);
}

static struct slice document_of(const struct chat_part *p)
{
    return format_of(documents, ARRAY_LEN(documents), p->media_type);
}

static bool has_text(const struct chat_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (parts[i].kind == CHAT_TEXT && !anthropic_is_blank(parts[i].text)) {
            return true;
        }
    }
    return false;
}

/* Claude's signatures are good wherever Claude runs; other models' are their own provider's. */
static bool is_ours(const struct writer *w, struct slice provider)
{
    return slice_eq(provider, BEDROCK_NAME) || (w->is_claude && slice_eq(provider, ANTHROPIC_NAME));
}

/* The name under which the part is missed, or NULL: it can be sent. Blank texts are not missed.
 * Pictures and files are sent as bytes: Converse fetches nothing but from S3. */
static const char *lack_of(const struct writer *w, const struct chat_part *p)
{
    bool has_proof = p->data.len ? slice_eq(p->provider, BEDROCK_NAME) /* its own encoding */
                                 : p->signature.len && is_ours(w, p->provider);
    switch (p->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL: return anthropic_is_blank(p->text) ? "" : NULL;
    case CHAT_IMAGE:
        return p->data.len && (picture_of(p).len || document_of(p).len) ? NULL
               : p->data.len                                            ? "image.media_type"
                                                                        : "image";
    case CHAT_AUDIO: return "input_audio";
    case CHAT_FILE:
        return p->data.len ? (document_of(p).len ? NULL : "file.media_type")
               : p->text.len || has_text(p->parts, p->part_count) ? NULL
                                                                  : "file";
    case CHAT_THINKING: return has_proof ? NULL : "thinking";
    case CHAT_TOOL_CALL:
    case CHAT_TOOL_RESULT: return NULL;
    case CHAT_OPAQUE: return "opaque";
    }
    return NULL;
}

static bool is_sendable(const struct writer *w, const struct chat_message *m)
{
    for (size_t i = 0; i < m->part_count; i++) {
        if (!lack_of(w, &m->parts[i])) {
            return true;
        }
    }
    return false;
}

static void name_lacks(struct writer *w, const struct chat_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *lack = lack_of(w, &parts[i]);
        if (parts[i].kind == CHAT_OPAQUE && lack) {
            drop_name(&w->dropped, parts[i].name);
        } else if (lack) {
            write_drop(w, lack);
        }
        drop_extras(&w->dropped, parts[i].extras);
    }
}

/* --- blocks ------------------------------------------------------------------------------------
 */

static void add_text(struct writer *w, struct slice text)
{
    write_element(&w->t);
    write_string(&w->t, "text", text);
    TEXT_ADD(&w->t, "}");
}

/* A name has letters, digits, single spaces, hyphens and brackets, and is no other document's. */
static void add_document_name(struct writer *w, struct slice name)
{
    char room[NAME_MAX_BYTES + 32];
    struct text t = text_in(room, sizeof(room));
    struct slice given = slice_head(slice_trim(name), NAME_MAX_BYTES);
    for (size_t i = 0; i < given.len; i++) {
        char c = given.ptr[i];
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       strchr("-()[]", c) || (c == ' ' && given.ptr[i - 1] != ' ');
        text_add(&t, c && is_fine ? slice_of(&given.ptr[i], 1) : SLICE("-"));
    }
    if (t.len == 0) {
        TEXT_ADD(&t, "document");
    }
    if (++w->documents > 1) {
        text_addf(&t, "-%zu", w->documents);
    }
    write_string(&w->t, "name", text_slice(&t));
}

static void add_document(struct writer *w, const struct chat_part *p)
{
    struct text *t = &w->t;
    write_element(t);
    TEXT_ADD(t, "\"document\":{");
    write_string(t, "format", p->data.len ? document_of(p) : SLICE("txt"));
    add_document_name(w, p->name);
    TEXT_ADD(t, ",\"source\":{");
    if (p->data.len) {
        write_string(t, "bytes", p->data);
    } else if (p->text.len) {
        write_string(t, "text", p->text);
    } else {
        TEXT_ADD(t, "\"content\":[");
        for (size_t i = 0; i < p->part_count; i++) {
            if (has_text(&p->parts[i], 1)) {
                add_text(w, p->parts[i].text);
            } else {
                write_drop(w, "file.content");
            }
        }
        TEXT_ADD(t, "]");
    }
    TEXT_ADD(t, "}}}");
}

static void add_image(struct writer *w, const struct chat_part *p)
{
    struct text *t = &w->t;
    if (!picture_of(p).len) {
        add_document(w, p);
        return;
    }
    write_element(t);
    TEXT_ADD(t, "\"image\":{");
    write_string(t, "format", picture_of(p));
    TEXT_ADD(t, ",\"source\":{");
    write_string(t, "bytes", p->data);
    TEXT_ADD(t, "}}}");
}

static void add_thinking(struct writer *w, const struct chat_part *p)
{
    struct text *t = &w->t;
    write_element(t);
    TEXT_ADD(t, "\"reasoningContent\":{");
    if (p->data.len) {
        write_string(t, "redactedContent", p->data);
    } else {
        TEXT_ADD(t, "\"reasoningText\":{");
        write_string(t, "text", p->text);
        write_string(t, "signature", p->signature);
        TEXT_ADD(t, "}");
    }
    TEXT_ADD(t, "}}");
}

static void add_plain(struct writer *w, const struct chat_part *p);

static void add_result(struct writer *w, const struct chat_part *p)
{
    struct text *t = &w->t;
    struct slice marker = p->cache_marker;
    write_element(t);
    TEXT_ADD(t, "\"toolResult\":{");
    text_add_json_key(t, "toolUseId");
    anthropic_add_id(t, anthropic_id_of_result(w, p));
    TEXT_ADD(t, ",\"content\":[");
    name_lacks(w, p->parts, p->part_count);
    for (size_t i = 0; i < p->part_count; i++) {
        if (!lack_of(w, &p->parts[i])) {
            add_plain(w, &p->parts[i]);
        }
        marker = marker.len ? marker : p->parts[i].cache_marker; /* it goes behind the result */
    }
    TEXT_ADD(t, "]");
    if (p->is_error) {
        write_string(t, "status", SLICE("error"));
    }
    TEXT_ADD(t, "}}");
    bedrock_add_marker(w, marker);
}

/* A part without its marker. */
static void add_plain(struct writer *w, const struct chat_part *p)
{
    switch (p->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL: add_text(w, p->text); break;
    case CHAT_IMAGE: add_image(w, p); break;
    case CHAT_FILE: add_document(w, p); break;
    case CHAT_THINKING: add_thinking(w, p); break;
    case CHAT_TOOL_CALL: /* add_call(), add_result(); results hold neither */
    case CHAT_TOOL_RESULT:
    case CHAT_AUDIO:
    case CHAT_OPAQUE: break;
    }
}

static void add_call(struct writer *w, size_t message, size_t part)
{
    const struct chat_part *p = &w->r->messages[message].parts[part];
    struct text *t = &w->t;
    write_element(t);
    TEXT_ADD(t, "\"toolUse\":{");
    text_add_json_key(t, "toolUseId");
    anthropic_add_id(t, anthropic_id_of_call(w, message, part));
    write_string(t, "name", p->name);
    text_add_json_key(t, "input");
    write_arguments(t, p->text, p->is_custom);
    TEXT_ADD(t, "}}");
}

/* --- turns -------------------------------------------------------------------------------------
 */

enum turn { TURN_NONE, TURN_USER, TURN_ASSISTANT };

static enum turn turn_of(const struct writer *w, size_t i)
{
    const struct chat_message *m = &w->r->messages[i];
    if (chat_is_system(m) || !is_sendable(w, m)) {
        return TURN_NONE;
    }
    return m->role == CHAT_ASSISTANT ? TURN_ASSISTANT : TURN_USER;
}

static void add_system(struct writer *w)
{
    const struct chat_request *r = w->r;
    struct text *t = &w->t;
    size_t before = t->len;
    text_add_json_key(t, "system");
    TEXT_ADD(t, "[");
    size_t opened = t->len;
    for (size_t i = 0; i < r->message_count; i++) {
        const struct chat_message *m = &r->messages[i];
        for (size_t k = 0; chat_is_system(m) && k < m->part_count; k++) {
            const struct chat_part *p = &m->parts[k];
            if (p->kind == CHAT_TEXT && !anthropic_is_blank(p->text)) {
                add_text(w, p->text);
                bedrock_add_marker(w, p->cache_marker);
            } else if (p->kind != CHAT_TEXT) {
                write_drop(w, "system.content");
            }
        }
    }
    if (r->format == CHAT_FORMAT_JSON) { /* Converse has no such format without a schema */
        add_text(w, ANTHROPIC_JSON_WISH);
    }
    if (t->len == opened && !t->is_full) {
        t->len = before;
        return;
    }
    TEXT_ADD(t, "]");
}

/* Results where is_results, the rest otherwise. */
static void add_users_parts(struct writer *w, const struct chat_message *m, bool is_results)
{
    for (size_t k = 0; k < m->part_count; k++) {
        const struct chat_part *p = &m->parts[k];
        bool is_result = p->kind == CHAT_TOOL_RESULT;
        if (lack_of(w, p) || is_result != is_results) {
            continue;
        }
        if (is_result) {
            add_result(w, p);
        } else {
            add_plain(w, p);
            bedrock_add_marker(w, p->cache_marker);
        }
    }
}

static void add_assistants_parts(struct writer *w, size_t message)
{
    const struct chat_message *m = &w->r->messages[message];
    w->calls_at = message;
    w->answered = 0;
    for (size_t k = 0; k < m->part_count; k++) {
        if (lack_of(w, &m->parts[k])) {
            continue;
        }
        if (m->parts[k].kind == CHAT_TOOL_CALL) {
            add_call(w, message, k);
        } else {
            add_plain(w, &m->parts[k]);
        }
        bedrock_add_marker(w, m->parts[k].cache_marker);
    }
}

static void add_turn(struct writer *w, enum turn turn, size_t from, size_t to)
{
    write_element(&w->t);
    write_string(&w->t, "role", turn == TURN_USER ? SLICE("user") : SLICE("assistant"));
    TEXT_ADD(&w->t, ",\"content\":[");
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = from; i < to; i++) {
            if (turn_of(w, i) == TURN_USER) {
                add_users_parts(w, &w->r->messages[i], pass == 0);
            } else if (turn_of(w, i) == TURN_ASSISTANT && pass == 0) {
                add_assistants_parts(w, i);
            }
        }
    }
    TEXT_ADD(&w->t, "]}");
}

/* Whether the last turn is a text to go on from that the model would refuse. */
static bool is_refused_prefill(const struct writer *w, enum turn turn, size_t from, size_t to)
{
    if (turn != TURN_ASSISTANT || !w->o->profile->refuses_prefill) {
        return false;
    }
    for (size_t i = from; i < w->r->message_count; i++) {
        const struct chat_message *m = &w->r->messages[i];
        if (i >= to && turn_of(w, i) != TURN_NONE) {
            return false;
        }
        for (size_t k = 0; i < to && k < m->part_count; k++) {
            if (m->parts[k].kind == CHAT_TOOL_CALL) {
                return false;
            }
        }
    }
    return true;
}

void bedrock_add_messages(struct writer *w)
{
    static const struct slice opening =
        SLICE_INIT("{\"role\":\"user\",\"content\":[{\"text\":\".\"}]}");
    const struct chat_request *r = w->r;
    add_system(w);
    text_add_json_key(&w->t, "messages");
    TEXT_ADD(&w->t, "[");
    size_t opened = w->t.len;
    for (size_t i = 0; i < r->message_count; i++) {
        if (!chat_is_system(&r->messages[i])) {
            name_lacks(w, r->messages[i].parts, r->messages[i].part_count);
        }
    }
    for (size_t i = 0; i < r->message_count;) {
        enum turn turn = turn_of(w, i);
        size_t to = i + 1;
        if (turn == TURN_NONE) {
            i = to;
            continue;
        }
        while (to < r->message_count && (turn_of(w, to) == turn || turn_of(w, to) == TURN_NONE)) {
            to++;
        }
        if (turn == TURN_ASSISTANT && w->t.len == opened) {
            text_add(&w->t, opening); /* the conversation begins with the user */
        }
        if (is_refused_prefill(w, turn, i, to)) {
            write_drop(w, "prefill");
        } else {
            add_turn(w, turn, i, to);
        }
        i = to;
    }
    if (w->t.len == opened) { /* nothing that could be said was left */
        text_add(&w->t, opening);
    }
    TEXT_ADD(&w->t, "]");
}
