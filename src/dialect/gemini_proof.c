/* What goes to a provider or a client under another form and comes back: signatures of other
 * makers, and names of functions that the API would refuse. */
#include "core/base64.h"
#include "dialect/gemini.h"

/* Before the maker's name in an envelope; before a name that was changed. */
static const struct slice envelope = SLICE_INIT("llm-gateway:"), changed = SLICE_INIT("x_gw_");

/* --- signatures --------------------------------------------------------------------------------
 */

void gemini_add_proof(struct text *t, struct slice proof, struct slice provider, bool is_data)
{
    struct text inside = text_growing(t->arena), coded = text_growing(t->arena);
    if (!provider.len || slice_eq(provider, GEMINI_NAME)) {
        text_add_json_string(t, proof);
        return;
    }
    text_add(&inside, envelope);
    text_add(&inside, provider);
    text_add(&inside, is_data ? SLICE(":d:") : SLICE(":s:"));
    text_add(&inside, proof);
    base64_add(&coded, text_slice(&inside));
    text_add_json_string(t, text_slice(&coded));
    t->is_full = t->is_full || inside.is_full || coded.is_full;
}

/* SDKs hold signatures as bytes, so what comes back may be spelled in the other alphabet. */
void gemini_take_proof(struct arena *a, struct slice proof, struct chat_part *out)
{
    struct slice inside = SLICE_NONE;
    out->provider = GEMINI_NAME;
    out->signature = proof;
    if (!slice_starts(proof, SLICE("bGxtLWdhdGV3YXk6")) || base64_read(a, proof, &inside)) {
        return;
    }
    inside = slice_from(inside, envelope.len);
    size_t colon = slice_find(inside, ':');
    struct slice rest = slice_from(inside, colon);
    bool is_data = slice_starts(rest, SLICE(":d:"));
    if (colon == 0 || (!is_data && !slice_starts(rest, SLICE(":s:")))) {
        return;
    }
    out->provider = slice_head(inside, colon);
    out->signature = is_data ? SLICE_NONE : slice_from(rest, 3);
    out->data = is_data ? slice_from(rest, 3) : SLICE_NONE;
}

/* --- names -------------------------------------------------------------------------------------
 */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_fine(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':';
}

static bool is_legal(struct slice name)
{
    bool is = name.len && is_letter(name.ptr[0]) && !slice_starts(name, changed);
    for (size_t i = 0; i < name.len; i++) {
        is = is && is_fine(name.ptr[i]);
    }
    return is;
}

/* An illegal byte becomes '.' and two hexadecimal digits, under a prefix that tells so. A name that
 * is too long is sent as it is: the API's refusal names it. */
void gemini_add_name(struct text *t, struct slice name)
{
    if (is_legal(name)) {
        text_add_json_string(t, name);
        return;
    }
    text_add_char(t, '"');
    text_add(t, changed);
    for (size_t i = 0; i < name.len; i++) {
        if (is_fine(name.ptr[i]) && name.ptr[i] != '.') {
            text_add_char(t, name.ptr[i]);
        } else {
            text_addf(t, ".%02x", (unsigned)(unsigned char)name.ptr[i]);
        }
    }
    text_add_char(t, '"');
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct slice gemini_real_name(struct arena *a, struct slice name)
{
    struct slice rest = slice_from(name, changed.len);
    char *to = slice_starts(name, changed) ? arena_alloc(a, name.len) : NULL;
    size_t len = 0;
    for (size_t i = 0; to && i < rest.len; i++) {
        int high = i + 2 < rest.len ? digit_of(rest.ptr[i + 1]) : -1;
        int low = i + 2 < rest.len ? digit_of(rest.ptr[i + 2]) : -1;
        if (rest.ptr[i] != '.') {
            to[len++] = rest.ptr[i];
        } else if (high >= 0 && low >= 0) {
            to[len++] = (char)(high * 16 + low);
            i += 2;
        } else {
            return name; /* none of ours */
        }
    }
    return to && len ? slice_of(to, len) : name;
}
