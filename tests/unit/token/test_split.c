/* token/split: the pieces of each encoding, rule by rule; every text whole in its pieces at every
 * cut. */
#include "core/text.h"
#include "support/unit.h"
#include "token/split.h"

/* Pieces as "a|b|c"; o200k NULL: the same. */
static const struct {
    const char *in, *cl100k, *o200k;
} cases[] = {
    {"", "", NULL},
    {"a", "a", NULL},
    {" a", " a", NULL},
    {"  a", " | a", NULL},
    {"   a", "  | a", NULL},
    {"Hello, World!", "Hello|,| World|!", NULL},
    {"a b\tc", "a| b|\tc", NULL},
    {" 1", " |1", NULL},
    {"  1", " | |1", NULL},
    {"12345678", "123|456|78", NULL},
    {"a1b", "a|1|b", NULL},
    {"1a", "1|a", NULL},
    {"\xD9\xA3\xC2\xBD\xE2\x85\xA7x", "\xD9\xA3\xC2\xBD\xE2\x85\xA7|x", NULL}, /* Nd, No, Nl */
    /* contractions */
    {"it's", "it|'s", "it's"},
    {"it'S'Ll", "it|'S|'Ll", "it'S|'Ll"},
    {"don't we'd I'm I'll I've you're", "don|'t| we|'d| I|'m| I|'ll| I|'ve| you|'re",
     "don't| we'd| I'm| I'll| I've| you're"},
    {"'red", "'re|d", "'red"},
    {"'l", "'l", NULL},
    {"x'l", "x|'l", NULL},
    {"x'v", "x|'v", NULL},
    {"x'", "x|'", NULL},
    {"x'x", "x|'x", NULL},
    {"x'\xC5\xBFt", "x|'\xC5\xBF|t", "x'\xC5\xBF|t"}, /* the long s */
    {"x'\xC5", "x|'\xC5", NULL},
    {" 's", " '|s", NULL},
    {"HE'LL", "HE|'LL", "HE'LL"},
    {"1's", "1|'s", NULL},
    /* letter case is o200k's */
    {"camelCase", "camelCase", "camel|Case"},
    {"ABCdef", "ABCdef", NULL},
    {"ABC", "ABC", NULL},
    {"XMLHttp", "XMLHttp", NULL},
    {"aB", "aB", "a|B"},
    {"A\xC2\xAA"
     "BC",
     "A\xC2\xAA"
     "BC",
     "A\xC2\xAA|BC"}, /* U+00AA has no case: head gives back to it */
    {"A\xC2\xAA"
     "Bc",
     "A\xC2\xAA"
     "Bc",
     NULL},
    {"\xC7\x85"
     "a",
     "\xC7\x85"
     "a",
     NULL}, /* Lt */
    {"\xE4\xB8\xAD\xE5\x9B\xBD", "\xE4\xB8\xAD\xE5\x9B\xBD", NULL},
    /* marks: part of a word in o200k, symbols in cl100k */
    {"e\xCC\x81"
     "a",
     "e|\xCC\x81"
     "a",
     "e\xCC\x81"
     "a"},
    {"\xCC\x81"
     "ABC",
     "\xCC\x81"
     "ABC",
     "\xCC\x81|ABC"},
    {"\xCC\x81\xCC\x81"
     "AB",
     "\xCC\x81\xCC\x81|AB", "\xCC\x81\xCC\x81|AB"},
    {"\xCC\x81's", "\xCC\x81'|s", "\xCC\x81's"},
    {"!\xCC\x81", "!\xCC\x81", NULL},
    {"!!\xCC\x81", "!!\xCC\x81", NULL},
    {" \xCC\x81", " \xCC\x81", NULL},
    /* symbols */
    {"a!!b", "a|!!|b", NULL},
    {"a!b", "a|!b", NULL},
    {"a !!b", "a| !!|b", NULL},
    {"a  !!", "a| | !!", NULL},
    {"x);\n\n y", "x|);\n\n| y", NULL},
    {"x);\n/\n//y", "x|);\n|/\n|//|y", "x|);\n/\n//|y"},
    {"//\r\n", "//\r\n", NULL},
    {"\xF0\x9F\x98\x80 \xF0\x9F\x98\x80", "\xF0\x9F\x98\x80| \xF0\x9F\x98\x80", NULL},
    {"\t!", "\t|!", NULL},
    /* white space */
    {" ", " ", NULL},
    {"   ", "   ", NULL},
    {"\n", "\n", NULL},
    {"a\n", "a|\n", NULL},
    {"a\nb", "a|\n|b", NULL},
    {"a\n\n b", "a|\n\n| b", NULL},
    {"a \n \n  b", "a| \n \n| | b", NULL},
    {"a\r\n\tb", "a|\r\n|\tb", NULL},
    {"a\n  ", "a|\n  ", "a|\n|  "}, /* cl100k takes all that ends the text */
    {"a  \n", "a|  \n", NULL},
    {"a\t1", "a|\t|1", NULL},
    {"a\t\t1", "a|\t|\t|1", NULL},
    {"\xC2\xA0 \xE3\x80\x80z", "\xC2\xA0 |\xE3\x80\x80z", NULL},
    {"\xE2\x80\xA8\xE2\x80\xA8", "\xE2\x80\xA8\xE2\x80\xA8", NULL},
    {"\xC2\x85"
     "b",
     "\xC2\x85"
     "b",
     NULL},
    {"\x1C"
     "1",
     "\x1C|1", NULL}, /* no White_Space: a symbol */
    {" \x1C", " \x1C", NULL},
    /* what is not UTF-8 is U+FFFD: a symbol */
    {"\xFF"
     "ab",
     "\xFF"
     "ab",
     NULL},
    {"\xFF\xFE", "\xFF\xFE", NULL},
    {"a\xE4\xB8", "a|\xE4\xB8", NULL},
    {" \xED\xA0\x80 b", " \xED\xA0\x80| b", NULL},
};

static struct text pieces_of(struct arena *a, enum token_encoding encoding, struct slice in)
{
    struct text out = text_growing(a);
    struct split s;
    struct piece p;
    split_init(&s, encoding, in);
    for (bool is_first = true; split_next(&s, &p); is_first = false) {
        text_add(&out, is_first ? SLICE_NONE : SLICE("|"));
        text_add(&out, slice_of((const char *)p.at, p.len));
    }
    return out;
}

static void each_rule_cuts_as_the_expression_does(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, (size_t)1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *o200k = cases[i].o200k ? cases[i].o200k : cases[i].cl100k;
        struct text got = pieces_of(&a, TOKEN_CL100K, slice_str(cases[i].in));
        text_add_char(&got, '\0');
        assert_string_equal(text_slice(&got).ptr, cases[i].cl100k);
        got = pieces_of(&a, TOKEN_O200K, slice_str(cases[i].in));
        text_add_char(&got, '\0');
        assert_string_equal(text_slice(&got).ptr, o200k);
    }
    arena_deinit(&a);
}

/* Of all cases in one text: the pieces of any part of it are that part, and only broken ones say
 * so. */
static void any_part_is_whole_in_its_pieces(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, (size_t)1 << 20);
    struct text all = text_growing(&a);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        text_add(&all, slice_str(cases[i].in));
    }
    struct slice in = text_slice(&all);
    for (size_t cut = 0; cut <= in.len; cut++) {
        for (int e = TOKEN_CL100K; e <= TOKEN_O200K; e++) {
            struct slice parts[] = {slice_head(in, cut), slice_from(in, cut)};
            for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
                struct split s;
                struct piece p;
                const char *at = parts[i].ptr;
                split_init(&s, (enum token_encoding)e, parts[i]);
                while (split_next(&s, &p)) {
                    assert_ptr_equal(p.at, at);
                    assert_true(p.len > 0);
                    at += p.len;
                    bool is_broken = false;
                    for (size_t k = 0; k < p.len && !is_broken;) {
                        uint32_t cp;
                        k += split_decode(p.at + k, p.at + p.len, &cp, &is_broken);
                    }
                    assert_int_equal(p.is_broken, is_broken);
                }
                assert_true(parts[i].len == 0 || at == parts[i].ptr + parts[i].len);
            }
        }
    }
    arena_deinit(&a);
}

static void broken_sequences_are_replaced_part_by_part(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t len;
        uint32_t cp; /* 0xFFFD: broken */
    } rows[] = {
        {"a", 1, 'a'},
        {"\xC2\x80", 2, 0x80},
        {"\xE2\x82\xAC", 3, 0x20AC},
        {"\xF4\x8F\xBF\xBF", 4, 0x10FFFF},
        {"\x80", 1, 0xFFFD},
        {"\xC0\x80", 1, 0xFFFD},
        {"\xC1\xBF", 1, 0xFFFD},
        {"\xC2", 1, 0xFFFD},
        {"\xC2z", 1, 0xFFFD},
        {"\xE0\x80\x80", 1, 0xFFFD},
        {"\xE2\x82", 2, 0xFFFD},
        {"\xE2\x82z", 2, 0xFFFD},
        {"\xED\xA0\x80", 1, 0xFFFD},
        {"\xF0\x80\x80\x80", 1, 0xFFFD},
        {"\xF0\x9F\x98", 3, 0xFFFD},
        {"\xF0\x9F\x98z", 3, 0xFFFD},
        {"\xF4\x90\x80\x80", 1, 0xFFFD},
        {"\xF5\x80\x80\x80", 1, 0xFFFD},
        {"\xFF", 1, 0xFFFD},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const uint8_t *p = (const uint8_t *)rows[i].in;
        uint32_t cp;
        bool is_broken;
        size_t len = split_decode(p, p + strlen(rows[i].in), &cp, &is_broken);
        assert_int_equal(len, rows[i].len);
        assert_int_equal(cp, rows[i].cp);
        assert_int_equal(is_broken, rows[i].cp == 0xFFFD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_cuts_as_the_expression_does),
        cmocka_unit_test(any_part_is_whole_in_its_pieces),
        cmocka_unit_test(broken_sequences_are_replaced_part_by_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
