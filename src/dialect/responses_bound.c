/* Upper bounds of a Responses request's prompt, from its spans. No token is shorter than a byte,
 * and JSON spells no text shorter than it is. */
#include "core/check.h"
#include "dialect/responses.h"

enum {
    TOOLS_TOKENS = 512,       /* what templates say about functions */
    TYPED_TOOL_TOKENS = 2048, /* and about a tool that the model knows by its type */
    IMAGE_MAX_TOKENS = 50000  /* one inline image at the model that counts most for it */
};

/* A part of content. Whatever its type says, a file or a URL in it is not bounded. */
static int64_t part_bound(struct slice part, bool *out_is_pinned)
{
    static const struct slice texts[] = {SLICE_INIT("input_text"),   SLICE_INIT("output_text"),
                                         SLICE_INIT("refusal"),      SLICE_INIT("text"),
                                         SLICE_INIT("summary_text"), SLICE_INIT("reasoning_text")};
    static const struct span_name names[] = {{SLICE_INIT("type"), true},
                                             {SLICE_INIT("image_url"), true},
                                             {SLICE_INIT("file_id"), true},
                                             {SLICE_INIT("file_url"), true}};
    struct span at[ARRAY_LEN(names)];
    struct span_object o;
    if (spans_scan(part, names, ARRAY_LEN(names), at, &o)) {
        return -1;
    }
    if (read_is_given(&at[2])) {
        *out_is_pinned = true;
        return -1;
    }
    if (read_is_one_of(&at[0], texts, ARRAY_LEN(texts))) {
        return read_is_given(&at[1]) || read_is_given(&at[3]) ? -1 : 0;
    }
    bool is_inline = at[1].kind == SPAN_STRING &&
                     slice_starts(slice_from(at[1].value, 1), SLICE("data:")) &&
                     !read_is_given(&at[3]);
    return is_inline && span_string_is(&at[0], SLICE("input_image")) ? IMAGE_MAX_TOKENS : -1;
}

static int64_t parts_bound(struct slice parts, bool *out_is_pinned)
{
    struct span_cursor c;
    struct span part;
    int64_t sum = 0;
    if (span_skim(&c, parts)) {
        return -1;
    }
    while (sum >= 0 && span_next(&c, &part) == SPAN_ITEM) {
        bool is_part = part.kind == SPAN_OBJECT;
        sum = read_bound_sum(sum, is_part ? part_bound(part.value, out_is_pinned) : 0);
    }
    return sum;
}

/* A thought that is told by its id alone is kept by its provider; what we told our clients is not.
 */
static bool is_kept_thought(const struct span *id, const struct span *proof)
{
    bool is_ours =
        id->kind == SPAN_STRING && slice_starts(slice_from(id->value, 1), RESPONSES_THOUGHT_PREFIX);
    return proof->kind != SPAN_STRING && read_is_given(id) && !is_ours;
}

/* Items that hold nothing but their own text, and lists of parts. */
static int64_t item_bound(struct slice item, bool *out_is_pinned)
{
    static const struct slice types[] = {
        SLICE_INIT("message"),
        SLICE_INIT("function_call"),
        SLICE_INIT("function_call_output"),
        SLICE_INIT("custom_tool_call"),
        SLICE_INIT("custom_tool_call_output"),
        SLICE_INIT("local_shell_call"),
        SLICE_INIT("local_shell_call_output"),
        SLICE_INIT("apply_patch_call"),
        SLICE_INIT("apply_patch_call_output"),
    };
    static const struct span_name names[] = {{SLICE_INIT("type"), true},
                                             {SLICE_INIT("encrypted_content"), true},
                                             {SLICE_INIT("role"), true},
                                             {SLICE_INIT("id"), true}};
    struct span at[ARRAY_LEN(names)], m;
    struct span_object o;
    struct span_cursor c;
    int64_t sum = 0;
    if (spans_scan(item, names, ARRAY_LEN(names), at, &o) || span_skim(&c, item)) {
        return -1;
    }
    bool is_message = !read_is_given(&at[0]) && read_is_given(&at[2]);
    bool is_thought = span_string_is(&at[0], SLICE("reasoning"));
    bool is_reference = span_string_is(&at[0], SLICE("item_reference")) ||
                        (!read_is_given(&at[0]) && !is_message && read_is_given(&at[3]));
    *out_is_pinned |= is_reference;
    if ((is_thought && is_kept_thought(&at[3], &at[1])) ||
        (!is_thought && !is_message && !read_is_one_of(&at[0], types, ARRAY_LEN(types)))) {
        return -1;
    }
    while (sum >= 0 && span_next(&c, &m) == SPAN_ITEM) {
        sum = read_bound_sum(sum, m.kind == SPAN_ARRAY ? parts_bound(m.value, out_is_pinned) : 0);
    }
    return sum;
}

int64_t responses_input_bound(const struct span *input, bool *out_is_pinned)
{
    struct span_cursor c;
    struct span item;
    int64_t sum = 0;
    if (input->kind != SPAN_ARRAY || span_skim(&c, input->value)) {
        return 0;
    }
    while (span_next(&c, &item) == SPAN_ITEM) { /* all of them: what pins it may come last */
        int64_t more = item.kind == SPAN_OBJECT ? item_bound(item.value, out_is_pinned) : 0;
        sum = read_bound_sum(sum, more);
    }
    return sum;
}

int64_t responses_tools_bound(const struct span *tools)
{
    static const struct slice plain[] = {SLICE_INIT("function"), SLICE_INIT("custom")};
    static const struct slice typed[] = {SLICE_INIT("local_shell"), SLICE_INIT("apply_patch")};
    static const struct span_name name = {SLICE_INIT("type"), true};
    struct span_cursor c;
    struct span m, type;
    struct span_object o;
    int64_t sum = TOOLS_TOKENS;
    if (tools->kind != SPAN_ARRAY || span_skim(&c, tools->value)) {
        return 0;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        if (m.kind != SPAN_OBJECT || spans_scan(m.value, &name, 1, &type, &o)) {
            return -1;
        }
        bool is_typed = read_is_one_of(&type, typed, ARRAY_LEN(typed));
        if (!is_typed && !read_is_one_of(&type, plain, ARRAY_LEN(plain))) {
            return -1; /* it brings its own input into the prompt */
        }
        sum = i64_add_sat(sum, is_typed ? TYPED_TOOL_TOKENS : 0);
    }
    return sum;
}
