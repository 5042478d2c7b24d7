/* Which encoding an OpenAI model has, by the prefixes of tiktoken's model.py (2026-08). */
#include "token/token.h"

struct family {
    struct slice name;
    bool is_prefix;
    enum token_encoding encoding;
};

/* The first row that matches decides. */
static const struct family families[] = {
    {SLICE_INIT("gpt-4o"), true, TOKEN_O200K},
    {SLICE_INIT("chatgpt-4o"), true, TOKEN_O200K},
    {SLICE_INIT("gpt-4.1"), true, TOKEN_O200K},
    {SLICE_INIT("gpt-4.5"), true, TOKEN_O200K},
    {SLICE_INIT("gpt-5"), true, TOKEN_O200K},
    {SLICE_INIT("gpt-6"), true, TOKEN_O200K}, /* not listed there; nothing else is likely */
    {SLICE_INIT("gpt-oss-"), true,
     TOKEN_O200K}, /* o200k_harmony: the same but for special tokens */
    {SLICE_INIT("o1"), true, TOKEN_O200K},
    {SLICE_INIT("o3"), true, TOKEN_O200K},
    {SLICE_INIT("o4-mini"), true, TOKEN_O200K},
    {SLICE_INIT("gpt-4"), false, TOKEN_CL100K},
    {SLICE_INIT("gpt-4-"), true, TOKEN_CL100K},
    {SLICE_INIT("gpt-3.5-turbo"), true, TOKEN_CL100K},
    {SLICE_INIT("gpt-35-turbo"), true, TOKEN_CL100K}, /* as Azure spells it */
    {SLICE_INIT("text-embedding-ada-002"), false, TOKEN_CL100K},
    {SLICE_INIT("text-embedding-3-"), true, TOKEN_CL100K},
    {SLICE_INIT("davinci-002"), false, TOKEN_CL100K},
    {SLICE_INIT("babbage-002"), false, TOKEN_CL100K},
};

/* "openai/ft:gpt-4o:acme::id" -> "gpt-4o" */
static struct slice base_name(struct slice model)
{
    for (size_t slash; (slash = slice_find(model, '/')) < model.len;) {
        model = slice_from(model, slash + 1);
    }
    struct slice tuned = SLICE("ft:");
    if (slice_starts(model, tuned)) {
        model = slice_from(model, tuned.len);
        model = slice_head(model, slice_find(model, ':'));
    }
    return model;
}

bool token_encoding_of_model(struct slice model, enum token_encoding *out)
{
    struct slice name = base_name(model);
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        const struct family *f = &families[i];
        if (f->is_prefix ? slice_starts(name, f->name) : slice_eq(name, f->name)) {
            *out = f->encoding;
            return true;
        }
    }
    return false;
}
