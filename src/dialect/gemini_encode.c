/* Neutral messages as the API's contents.
 *
 *   system, developer   into systemInstruction, in order; where there is nothing else, the user's
 *   tool                a content of its own with all results of the calls before, in their order
 *   user                neighbours are one content, role user
 *   assistant           neighbours are one content, role model
 */
#include "core/check.h"
#include "dialect/gemini.h"
#include "dialect/write.h"

enum { LOOKS_MAX = 10000000, CALLS_ORDERED_MAX = 128 };
#define ANY_PLACE SIZE_MAX

static bool is_ours(struct slice provider)
{
    return slice_eq(provider, GEMINI_NAME);
}

/* --- what can be sent --------------------------------------------------------------------------
 */

/* The name under which the part is missed, or NULL: it can be sent. Empty texts are not missed. */
static const char *lack_of(const struct chat_part *p)
{
    bool has_bytes = p->data.len && p->media_type.len;
    bool has_own_file = p->file_id.len && is_ours(p->provider);
    switch (p->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL: return p->text.len ? NULL : "";
    case CHAT_IMAGE: return has_bytes || p->url.len || has_own_file ? NULL : "image";
    case CHAT_AUDIO: return has_bytes ? NULL : "input_audio";
    case CHAT_FILE:
        return has_bytes || p->text.len || p->url.len || p->part_count || has_own_file
                   ? NULL
                   : "file.file_id";
    case CHAT_THINKING: /* never another's (trap 11) */
        return is_ours(p->provider) && (p->signature.len || p->text.len) ? NULL : "thinking";
    case CHAT_TOOL_CALL:
    case CHAT_TOOL_RESULT: return NULL;
    case CHAT_OPAQUE: return is_ours(p->provider) ? NULL : "opaque";
    }
    return NULL;
}

static void name_lacks(struct writer *w, const struct chat_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct chat_part *p = &parts[i];
        const char *lack = lack_of(p);
        if (p->kind == CHAT_OPAQUE && lack) {
            drop_name(&w->dropped, p->name);
        } else if (lack) {
            write_drop(w, lack);
        }
        if (p->cache_marker.len) {
            write_drop(w, "cache_control");
        }
        if (p->detail.len && !slice_eq(p->detail, SLICE("auto"))) {
            write_drop(w, "image_url.detail");
        }
        if (!is_ours(p->provider)) {
            drop_extras(&w->dropped, p->extras);
        }
    }
}

static bool is_sendable(const struct chat_message *m)
{
    for (size_t i = 0; i < m->part_count; i++) {
        if (!lack_of(&m->parts[i])) {
            return true;
        }
    }
    return false;
}

/* --- parts -------------------------------------------------------------------------------------
 */

/* What Gemini said of the part beside what it is, and the end of it. */
static void end_part(struct writer *w, const struct chat_part *p)
{
    if (p->extras.len > 2 && is_ours(p->provider)) {
        text_add_char(&w->t, ',');
        text_add(&w->t, slice_of(p->extras.ptr + 1, p->extras.len - 2));
    }
    TEXT_ADD(&w->t, "}");
}

static void add_text(struct writer *w, const struct chat_part *p, struct slice text)
{
    write_element(&w->t);
    write_string(&w->t, "text", text);
    end_part(w, p);
}

static void add_inline(struct writer *w, const struct chat_part *p)
{
    struct text *t = &w->t;
    bool is_audio = p->kind == CHAT_AUDIO && slice_find(p->media_type, '/') == p->media_type.len;
    bool is_jpg = slice_eq(p->media_type, SLICE("image/jpg"));
    write_element(t);
    TEXT_ADD(t, "\"inlineData\":{");
    if (is_audio) {
        write_string(t, "mimeType", arena_printf(w->arena, "audio/%.*s", SLICE_ARG(p->media_type)));
    } else {
        write_string(t, "mimeType", is_jpg ? SLICE("image/jpeg") : p->media_type);
    }
    write_string(t, "data", p->data);
    if (is_ours(p->provider)) {
        write_string_if(t, "displayName", p->name);
    }
    TEXT_ADD(t, "}");
    end_part(w, p);
}

/* The type of what lies at an address, by its name's end; the API wants one. */
static struct slice type_of_url(const struct chat_part *p, struct slice url)
{
    static const struct {
        struct slice end, type;
    } table[] = {
        {SLICE_INIT(".png"), SLICE_INIT("image/png")},
        {SLICE_INIT(".jpg"), SLICE_INIT("image/jpeg")},
        {SLICE_INIT(".jpeg"), SLICE_INIT("image/jpeg")},
        {SLICE_INIT(".webp"), SLICE_INIT("image/webp")},
        {SLICE_INIT(".gif"), SLICE_INIT("image/gif")},
        {SLICE_INIT(".heic"), SLICE_INIT("image/heic")},
        {SLICE_INIT(".pdf"), SLICE_INIT("application/pdf")},
        {SLICE_INIT(".txt"), SLICE_INIT("text/plain")},
        {SLICE_INIT(".mp4"), SLICE_INIT("video/mp4")},
    };
    struct slice bare = slice_head(url, slice_find(url, '?'));
    if (p->media_type.len) {
        return p->media_type;
    }
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        size_t len = table[i].end.len;
        if (bare.len > len && slice_eq_nocase(slice_from(bare, bare.len - len), table[i].end)) {
            return table[i].type;
        }
    }
    return SLICE_NONE;
}

static void add_file_data(struct writer *w, const struct chat_part *p)
{
    struct slice uri = p->url.len ? p->url : p->file_id;
    write_element(&w->t);
    TEXT_ADD(&w->t, "\"fileData\":{");
    write_string_if(&w->t, "mimeType", type_of_url(p, uri));
    write_string(&w->t, "fileUri", uri);
    if (is_ours(p->provider)) {
        write_string_if(&w->t, "displayName", p->name);
    }
    TEXT_ADD(&w->t, "}");
    end_part(w, p);
}

static void add_thinking(struct writer *w, const struct chat_part *p)
{
    write_element(&w->t);
    write_string(&w->t, "text", p->text);
    if (p->text.len) {
        write_bool(&w->t, "thought", true);
    }
    write_string_if(&w->t, "thoughtSignature", p->signature);
    end_part(w, p);
}

static void add_call(struct writer *w, const struct chat_part *p, struct slice signature)
{
    struct text *t = &w->t;
    write_element(t);
    TEXT_ADD(t, "\"functionCall\":{");
    write_string_if(t, "id", p->id);
    text_add_json_key(t, "name");
    gemini_add_name(t, p->name);
    text_add_json_key(t, "args");
    write_arguments(t, p->text, p->is_custom);
    TEXT_ADD(t, "}");
    write_string_if(t, "thoughtSignature", signature);
    end_part(w, p);
}

static void add_parts(struct writer *w, const struct chat_part *parts, size_t count);

/* A part that lack_of() finds nothing against, and no call and no result. */
static void add_part(struct writer *w, const struct chat_part *p)
{
    switch (p->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL: add_text(w, p, p->text); break;
    case CHAT_IMAGE:
    case CHAT_AUDIO:
    case CHAT_FILE:
        if (p->data.len) {
            add_inline(w, p);
        } else if (p->text.len) {
            add_text(w, p, p->text);
        } else if (p->part_count) {
            name_lacks(w, p->parts, p->part_count);
            add_parts(w, p->parts, p->part_count);
        } else {
            add_file_data(w, p);
        }
        break;
    case CHAT_THINKING: add_thinking(w, p); break;
    case CHAT_OPAQUE:
        write_next(&w->t);
        text_add(&w->t, p->data);
        break;
    case CHAT_TOOL_CALL:
    case CHAT_TOOL_RESULT: break;
    }
}

/* A document holds texts and images, never another document: its decoders see to it. */
static void add_parts(struct writer *w, const struct chat_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!lack_of(&parts[i])) {
            add_part(w, &parts[i]);
        }
    }
}

/* --- results -----------------------------------------------------------------------------------
 */

/* The name of the call that a result answers: the latest before it with that id. */
static struct slice name_of_result(struct writer *w, size_t message, const struct chat_part *result)
{
    if (result->name.len) {
        return result->name;
    }
    for (size_t i = message; i-- > 0 && w->looks < LOOKS_MAX;) {
        const struct chat_message *m = &w->r->messages[i];
        w->looks += m->part_count + 1;
        for (size_t k = 0; k < m->part_count; k++) {
            const struct chat_part *p = &m->parts[k];
            if (p->kind == CHAT_TOOL_CALL && slice_eq(p->id, result->id)) {
                return p->name;
            }
        }
    }
    write_drop(w, "tool_call_id");
    return SLICE("unknown_function");
}

/* An object is the response, unless it would be read as one that holds a text. */
static bool is_response(struct slice text)
{
    static const struct slice wrappers[] = {SLICE_INIT("output"), SLICE_INIT("result"),
                                            SLICE_INIT("error")};
    struct span_cursor c;
    struct span m, first = {.kind = SPAN_ABSENT};
    struct span_fault unused;
    if (text.len == 0 || text.ptr[0] != '{' || spans_check(text, &unused) || span_skim(&c, text)) {
        return false;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        first = m;
    }
    for (size_t i = 0; i < ARRAY_LEN(wrappers) && c.count == 1; i++) {
        if (slice_eq(read_key(&first), wrappers[i])) {
            return false;
        }
    }
    return true;
}

static bool is_media(const struct chat_part *p)
{
    return !lack_of(p) &&
           (p->kind == CHAT_IMAGE || (p->kind == CHAT_FILE && !p->text.len && !p->part_count));
}

static void add_response(struct writer *w, const struct chat_part *result)
{
    struct text joined = text_growing(w->arena);
    for (size_t i = 0; i < result->part_count; i++) {
        const struct chat_part *p = &result->parts[i];
        if (p->text.len && !is_media(p)) {
            text_add(&joined, joined.len ? SLICE("\n") : SLICE_NONE);
            text_add(&joined, p->text);
        }
    }
    struct slice text = joined.ptr ? slice_trim(text_slice(&joined)) : SLICE_NONE;
    text_add_json_key(&w->t, "response");
    if (!result->is_error && is_response(text)) {
        text_add(&w->t, text);
    } else {
        TEXT_ADD(&w->t, "{");
        write_string(&w->t, result->is_error ? "error" : "output", text_slice(&joined));
        TEXT_ADD(&w->t, "}");
    }
    w->t.is_full = w->t.is_full || joined.is_full;
}

static void add_result(struct writer *w, size_t message, const struct chat_part *result)
{
    struct text *t = &w->t;
    size_t media = 0;
    name_lacks(w, result->parts, result->part_count);
    write_element(t);
    TEXT_ADD(t, "\"functionResponse\":{");
    write_string_if(t, "id", result->id);
    text_add_json_key(t, "name");
    gemini_add_name(t, name_of_result(w, message, result));
    add_response(w, result);
    for (size_t i = 0; i < result->part_count; i++) {
        if (is_media(&result->parts[i])) {
            text_add(t, media++ ? SLICE_NONE : SLICE(",\"parts\":["));
            add_part(w, &result->parts[i]);
        }
    }
    text_add(t, media ? SLICE("]") : SLICE_NONE);
    if (result->extras.len > 2 && is_ours(result->provider)) {
        text_add_char(t, ',');
        text_add(t, slice_of(result->extras.ptr + 1, result->extras.len - 2));
    }
    TEXT_ADD(t, "}}");
}

/* --- turns -------------------------------------------------------------------------------------
 */

/* The signature of a call that came without: of a thought that stands right before it and has
 * nothing but its signature, or the sentinel on the first of a turn where the model wants one. */
static struct slice signature_of(struct writer *w, const struct chat_message *m, size_t k,
                                 bool is_first)
{
    const struct chat_part *p = &m->parts[k];
    if (p->signature.len && is_ours(p->provider)) {
        return p->signature;
    }
    const struct chat_part *before = k ? &m->parts[k - 1] : NULL;
    if (before && before->kind == CHAT_THINKING && !before->text.len && before->signature.len &&
        is_ours(before->provider)) {
        return before->signature;
    }
    return is_first && w->o->profile->wants_call_signatures ? GEMINI_NO_SIGNATURE : SLICE_NONE;
}

/* Whether the thought's signature went with the call after it. */
static bool is_with_call(const struct chat_message *m, size_t k)
{
    const struct chat_part *p = &m->parts[k];
    const struct chat_part *next = k + 1 < m->part_count ? &m->parts[k + 1] : NULL;
    return p->kind == CHAT_THINKING && !p->text.len && next && next->kind == CHAT_TOOL_CALL &&
           !(next->signature.len && is_ours(next->provider));
}

static void add_assistant(struct writer *w, const struct chat_message *m)
{
    bool is_first = true;
    for (size_t k = 0; k < m->part_count; k++) {
        const struct chat_part *p = &m->parts[k];
        if (p->kind == CHAT_TOOL_CALL) {
            add_call(w, p, signature_of(w, m, k, is_first));
            is_first = false;
        } else if (!lack_of(p) && !is_with_call(m, k)) {
            add_part(w, p);
        }
    }
}

/* The place of the call that the result answers; where there is none, behind all. */
static size_t place_of(const struct chat_message *calls, const struct chat_part *result)
{
    size_t k = 0;
    while (k < calls->part_count && k < CALLS_ORDERED_MAX &&
           (calls->parts[k].kind != CHAT_TOOL_CALL || !slice_eq(calls->parts[k].id, result->id))) {
        k++;
    }
    return size_min(k, CALLS_ORDERED_MAX);
}

/* Those results of a message that answer the call at that place; ANY_PLACE: all of them. */
static void add_results_at(struct writer *w, const struct chat_message *calls, size_t place,
                           size_t message)
{
    const struct chat_message *m = &w->r->messages[message];
    for (size_t k = 0; k < m->part_count && m->role == CHAT_TOOL; k++) {
        const struct chat_part *p = &m->parts[k];
        if (p->kind == CHAT_TOOL_RESULT && (place == ANY_PLACE || place_of(calls, p) == place)) {
            add_result(w, message, p);
        }
    }
}

/* Results in the order of the calls that they answer; more than anybody has called come as they
 * are, so that nobody can make the gateway search for long. */
static void add_results(struct writer *w, size_t calls, size_t from, size_t to)
{
    const struct chat_message *c = &w->r->messages[calls];
    size_t last = size_min(c->part_count, CALLS_ORDERED_MAX), results = 0;
    for (size_t i = from; i < to; i++) {
        results += w->r->messages[i].part_count;
    }
    for (size_t i = from; i < to && results > CALLS_ORDERED_MAX; i++) {
        add_results_at(w, c, ANY_PLACE, i);
    }
    for (size_t place = 0; place <= last && results <= CALLS_ORDERED_MAX; place++) {
        for (size_t i = from; i < to; i++) {
            add_results_at(w, c, place, i);
        }
    }
}

static void open_content(struct writer *w, const char *role)
{
    write_element(&w->t);
    write_string(&w->t, "role", slice_str(role));
    text_add_json_key(&w->t, "parts");
    TEXT_ADD(&w->t, "[");
}

/* Neighbours of one role from `from` on; system messages between do not part them. */
static size_t end_of_turn(const struct writer *w, size_t from)
{
    size_t i = from + 1;
    while (i < w->r->message_count && (w->r->messages[i].role == w->r->messages[from].role ||
                                       chat_is_system(&w->r->messages[i]))) {
        i++;
    }
    return i;
}

static void add_turn(struct writer *w, size_t calls, size_t from, size_t to)
{
    enum chat_role role = w->r->messages[from].role;
    open_content(w, role == CHAT_ASSISTANT ? "model" : "user");
    size_t opened = w->t.len;
    if (role == CHAT_TOOL) {
        add_results(w, calls, from, to);
    }
    for (size_t i = from; i < to && role != CHAT_TOOL; i++) {
        const struct chat_message *m = &w->r->messages[i];
        if (m->role == CHAT_ASSISTANT) {
            add_assistant(w, m);
        } else if (!chat_is_system(m)) {
            add_parts(w, m->parts, m->part_count);
        }
    }
    if (w->t.len == opened) { /* parts must not be empty */
        TEXT_ADD(&w->t, "{\"text\":\" \"}");
    }
    TEXT_ADD(&w->t, "]}");
}

/* Texts of a system message; nothing else can stand there. */
static void add_system_parts(struct writer *w, const struct chat_message *m)
{
    for (size_t k = 0; k < m->part_count; k++) {
        const struct chat_part *p = &m->parts[k];
        if (p->kind == CHAT_TEXT && p->text.len) {
            add_text(w, p, p->text);
        } else if (p->kind != CHAT_TEXT) {
            write_drop(w, "system.content");
        }
    }
}

static void add_system(struct writer *w, bool is_alone)
{
    const struct chat_request *r = w->r;
    bool is_begun = false;
    for (size_t i = 0; i < r->message_count; i++) {
        if (!chat_is_system(&r->messages[i]) || !is_sendable(&r->messages[i])) {
            continue;
        }
        if (!is_begun && is_alone) {
            open_content(w, "user");
        } else if (!is_begun) {
            text_add_json_key(&w->t, "systemInstruction");
            TEXT_ADD(&w->t, "{\"parts\":[");
        }
        is_begun = true;
        add_system_parts(w, &r->messages[i]);
    }
    if (!is_begun && is_alone) {
        open_content(w, "user");
        TEXT_ADD(&w->t, "{\"text\":\" \"}");
        is_begun = true;
    }
    text_add(&w->t, is_begun ? SLICE("]}") : SLICE_NONE);
}

/* A turn in which nothing can be said is none, unless it was empty before. */
static bool is_turn(const struct chat_message *m)
{
    bool is_text = true;
    for (size_t i = 0; i < m->part_count; i++) {
        is_text = is_text && m->parts[i].kind == CHAT_TEXT;
    }
    return !chat_is_system(m) && (is_sendable(m) || (is_text && m->role != CHAT_ASSISTANT));
}

void gemini_add_contents(struct writer *w)
{
    const struct chat_request *r = w->r;
    size_t turns = 0, calls = 0;
    for (size_t i = 0; i < r->message_count; i++) {
        name_lacks(w, r->messages[i].parts, r->messages[i].part_count);
        turns += is_turn(&r->messages[i]);
        if (r->messages[i].name.len) {
            write_drop(w, "messages.name");
        }
    }
    if (turns) {
        add_system(w, false);
    }
    text_add_json_key(&w->t, "contents");
    TEXT_ADD(&w->t, "[");
    if (!turns) {
        add_system(w, true);
    }
    for (size_t i = 0; i < r->message_count;) {
        size_t to = is_turn(&r->messages[i]) ? end_of_turn(w, i) : i + 1;
        if (is_turn(&r->messages[i])) {
            add_turn(w, calls, i, to);
        }
        calls = r->messages[i].role == CHAT_ASSISTANT ? i : calls;
        i = to;
    }
    TEXT_ADD(&w->t, "]");
}
