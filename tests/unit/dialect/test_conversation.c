/* Which conversation a request belongs to: sessions as clients tell them, prefixes that stay. */
#include "fixture.h"

#include "dialect/conversation.h"
#include "dialect/dialect.h"

#define LINE(cch) "x-anthropic-billing-header: cc_version=2.1.177; cch=" cch ";"

static struct conversation find(struct arena *a, const struct dialect *d, const char *body)
{
    struct chat_ask ask = {.model = SLICE("m")};
    struct conversation c = {.session = SLICE_NONE};
    struct fault fault;
    assert_int_equal(d->scan(a, CHAT_OP_CHAT, slice_str(body), &ask, &fault), OK);
    d->front->find_conversation(a, &ask, &c);
    return c;
}

static uint64_t prefix(const struct dialect *d, const char *body)
{
    struct arena a;
    arena_init(&a, NULL, 1 << 20);
    struct conversation c = find(&a, d, body);
    uint64_t hash = conversation_prefix(&c);
    arena_deinit(&a);
    return hash;
}

struct pair {
    const struct dialect *d;
    const char *one, *two;
};

#define CHAT   "{\"model\":\"m\",\"messages\":["
#define CLAUDE "{\"model\":\"m\",\"max_tokens\":9,"
#define CODEX  "{\"model\":\"m\",\"instructions\":\"s\",\"input\":"

static void turns_of_one_conversation_have_one_prefix(void **state)
{
    (void)state;
    static const struct pair rows[] = {
        {&dialect_openai, CHAT "{\"role\":\"user\",\"content\":\"u\"}]}",
         CHAT "{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":\"a\"},"
              "{\"role\":\"user\",\"content\":\"v\"}]}"},
        {&dialect_openai,
         CHAT "{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"u\"}]}",
         CHAT
         "{\"role\":\"system\",\"content\":\"s\"},{\"content\":[{\"type\":\"text\",\"text\":\"u\"}],"
         "\"role\":\"user\"},{\"role\":\"user\",\"content\":\"v\"}],\"temperature\":1}"},
        /* The marker wanders, a text becomes a block, the attribution differs. */
        {&dialect_anthropic,
         CLAUDE "\"system\":[{\"type\":\"text\",\"text\":\"" LINE(
             "1") "\"},{\"type\":\"text\",\"text\":\"s\"}],"
                  "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"u\","
                  "\"cache_control\":{\"type\":\"ephemeral\"}}]}]}",
         CLAUDE "\"system\":[{\"type\":\"text\",\"text\":\"" LINE(
             "2") "\"},{\"type\":\"text\",\"text\":\"s\","
                  "\"cache_control\":{\"type\":\"ephemeral\"}}],"
                  "\"messages\":[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":\"a\"}]}"},
        {&dialect_anthropic,
         CLAUDE
         "\"system\":\"" LINE("1") "\\ns\",\"messages\":[{\"role\":\"user\",\"content\":\"u\"}]}",
         CLAUDE
         "\"messages\":[{\"role\":\"user\",\"content\":\"u\"}],\"system\":\"" LINE("2") "\\ns\"}"},
        {&dialect_responses, CODEX "\"u\"}",
         CODEX
         "[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"u\"}]},"
         "{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"}]}"},
        {&dialect_gemini,
         "{\"systemInstruction\":{\"parts\":[{\"text\":\"s\"}]},\"contents\":[{\"parts\":[{\"text\":\"u\"}]}]}",
         "{\"contents\":[{\"parts\":[{\"text\":\"u\"}]},{\"role\":\"model\",\"parts\":[{\"text\":\"a\"}]}],"
         "\"system_instruction\":{\"parts\":[{\"text\":\"s\"}]}}"},
        {&dialect_own, CHAT "{\"role\":\"user\",\"content\":\"u\"}]}",
         CHAT "{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":\"a\"}]}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t one = prefix(rows[i].d, rows[i].one);
        if (!one || one != prefix(rows[i].d, rows[i].two)) {
            fail_msg("row %zu", i);
        }
    }
}

static void another_beginning_is_another_conversation(void **state)
{
    (void)state;
    static const struct pair rows[] = {
        {&dialect_openai, CHAT "{\"role\":\"user\",\"content\":\"u\"}]}",
         CHAT "{\"role\":\"user\",\"content\":\"v\"}]}"},
        {&dialect_openai,
         CHAT "{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"u\"}]}",
         CHAT "{\"role\":\"developer\",\"content\":\"t\"},{\"role\":\"user\",\"content\":\"u\"}]}"},
        {&dialect_openai, CHAT "{\"role\":\"user\",\"content\":\"u\"}]}",
         CHAT
         "{\"role\":\"user\",\"content\":\"u\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}"},
        {&dialect_openai,
         CHAT
         "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"u\"},{\"type\":\"text\",\"text\":\"v\"}]}]}",
         CHAT "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"uv\"}]}]}"},
        {&dialect_anthropic, CLAUDE "\"messages\":[{\"role\":\"user\",\"content\":\"u\"}]}",
         CLAUDE "\"system\":\"s\",\"messages\":[{\"role\":\"user\",\"content\":\"u\"}]}"},
        {&dialect_anthropic,
         CLAUDE
         "\"system\":\"" LINE("1") "\\ns\",\"messages\":[{\"role\":\"user\",\"content\":\"u\"}]}",
         CLAUDE
         "\"system\":\"" LINE("1") "\\nt\",\"messages\":[{\"role\":\"user\",\"content\":\"u\"}]}"},
        {&dialect_responses, CODEX "\"u\"}", CODEX "\"v\"}"},
        {&dialect_gemini, "{\"contents\":[{\"parts\":[{\"text\":\"u\"}]}]}",
         "{\"contents\":[{\"parts\":[{\"text\":\"v\"}]}]}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (prefix(rows[i].d, rows[i].one) == prefix(rows[i].d, rows[i].two)) {
            fail_msg("row %zu", i);
        }
    }
}

/* What goes on from a stored answer does not say how it began. */
static void without_a_beginning_there_is_no_prefix(void **state)
{
    (void)state;
    assert_int_equal(
        prefix(&dialect_responses,
               "{\"model\":\"m\",\"input\":\"u\",\"previous_response_id\":\"resp_1\"}"),
        0);
    assert_int_equal(prefix(&dialect_openai, CHAT "{\"role\":\"system\",\"content\":\"s\"}]}"), 0);
    assert_int_equal(prefix(&dialect_openai, CHAT "7]}"), 0);
}

/* A first message may be longer than anybody wants to hash. */
static void a_long_text_counts_by_its_ends_and_length(void **state)
{
    (void)state;
    enum { LONG = 3 * CONVERSATION_PIECE_MAX_BYTES };
    char *body = malloc(LONG + 200);
    uint64_t seen[4];
    assert_non_null(body);
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
        struct text t = text_in(body, LONG + 200);
        TEXT_ADD(&t, CHAT "{\"role\":\"user\",\"content\":\"");
        size_t begin = t.len;
        char *text = text_reserve(&t, LONG + (i == 1));
        assert_non_null(text);
        memset(text, 'x', LONG + (i == 1));
        body[begin + CONVERSATION_PIECE_MAX_BYTES + 7] = (char)('a' + i);
        if (i == 3) {
            body[t.len - 1] = 'y';
        }
        TEXT_ADD(&t, "\"}]}");
        text_add_char(&t, '\0');
        seen[i] = prefix(&dialect_openai, body);
    }
    assert_int_equal(seen[0], seen[2]);
    assert_int_not_equal(seen[0], seen[1]); /* longer */
    assert_int_not_equal(seen[0], seen[3]); /* another end */
    free(body);
}

static void sessions_are_found_as_clients_tell_them(void **state)
{
    (void)state;
    static const struct {
        const struct dialect *d;
        const char *body, *session;
    } rows[] = {
        {&dialect_anthropic,
         CLAUDE
         "\"messages\":[{\"role\":\"user\",\"content\":\"u\"}],\"metadata\":{\"user_id\":"
         "\"{\\\"device_id\\\":\\\"d\\\",\\\"account_uuid\\\":\\\"\\\",\\\"session_id\\\":\\\"54c1\\\"}\"}}",
         "54c1"},
        {&dialect_anthropic,
         CLAUDE
         "\"messages\":[{\"role\":\"user\",\"content\":\"u\"}],\"metadata\":{\"user_id\":\"user_ab_account__session_57a1\"}}",
         "57a1"},
        {&dialect_anthropic,
         CLAUDE
         "\"messages\":[{\"role\":\"user\",\"content\":\"u\"}],\"metadata\":{\"user_id\":\"somebody\"}}",
         ""},
        {&dialect_anthropic,
         CLAUDE
         "\"messages\":[{\"role\":\"user\",\"content\":\"u\"}],\"metadata\":{\"user_id\":\"{broken\"}}",
         ""},
        {&dialect_openai,
         CHAT "{\"role\":\"user\",\"content\":\"u\"}],\"prompt_cache_key\":\"k\\u0031\"}", "k1"},
        {&dialect_openai,
         CHAT "{\"role\":\"user\",\"content\":\"u\"}],\"prompt_cache_key\":7,\"user\":\"u\"}", ""},
        {&dialect_responses,
         CODEX "\"u\",\"prompt_cache_key\":\"019a\",\"conversation\":\"conv_1\"}", "019a"},
        {&dialect_responses, CODEX "\"u\",\"conversation\":{\"id\":\"conv_1\"}}", "conv_1"},
        {&dialect_responses, CODEX "\"u\",\"previous_response_id\":\"resp_1\"}", ""},
        {&dialect_own, CHAT "{\"role\":\"user\",\"content\":\"u\"}]}", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        arena_init(&a, NULL, 1 << 20);
        struct conversation c = find(&a, rows[i].d, rows[i].body);
        if (!slice_eq(c.session, slice_str(rows[i].session))) {
            fail_msg("row %zu: %.*s", i, SLICE_ARG(c.session));
        }
        arena_deinit(&a);
    }
}

static void an_attribution_is_a_first_line(void **state)
{
    (void)state;
    assert_int_equal(conversation_attribution(SLICE("You help."), SLICE("\n")), 0);
    assert_int_equal(conversation_attribution(SLICE_NONE, SLICE("\n")), 0);
    assert_int_equal(conversation_attribution(SLICE("x-anthropic-billing-header: a;"), SLICE("\n")),
                     30);
    assert_int_equal(
        conversation_attribution(SLICE("x-anthropic-billing-header: a;\nYou"), SLICE("\n")), 31);
    assert_int_equal(
        conversation_attribution(SLICE(" x-anthropic-billing-header: a;"), SLICE("\n")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_of_one_conversation_have_one_prefix),
        cmocka_unit_test(another_beginning_is_another_conversation),
        cmocka_unit_test(without_a_beginning_there_is_no_prefix),
        cmocka_unit_test(a_long_text_counts_by_its_ends_and_length),
        cmocka_unit_test(sessions_are_found_as_clients_tell_them),
        cmocka_unit_test(an_attribution_is_a_first_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
