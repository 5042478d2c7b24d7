/* wire/multipart: the field's place for every cut; what readers may read differently is refused. */
#include "support/unit.h"
#include "wire/multipart.h"

#define TYPE       "multipart/form-data; boundary=b1"
#define PART(name) "--b1\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define MODEL      PART("model") "whisper-1\r\n"
#define END        "--b1--\r\n"
#define FILE_PART                                                                   \
    "--b1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n" \
    "Content-Type: audio/wav\r\n\r\n\r\n--b\r\n--b2\r\r\n--b\r\n-\r\n"

static enum err run(struct slice type, struct slice in, size_t cut, size_t step,
                    struct multipart *m)
{
    enum err e = multipart_init(m, type, SLICE("model"), 16);
    if (step == 0) {
        e = e ? e : multipart_feed(m, slice_head(in, cut));
        e = e ? e : multipart_feed(m, slice_from(in, cut));
    }
    for (size_t i = 0; step && i < in.len && !e; i += step) {
        e = multipart_feed(m, slice_head(slice_from(in, i), step));
    }
    return e ? e : multipart_end(m);
}

static const struct {
    const char *type, *in;
    enum err error;
    const char *value; /* NULL: not found */
} cases[] = {
    {TYPE, MODEL END, OK, "whisper-1"},
    {TYPE, FILE_PART MODEL END, OK, "whisper-1"},
    {TYPE, MODEL FILE_PART END, OK, "whisper-1"},
    {TYPE, FILE_PART END, OK, NULL},
    {TYPE, MODEL "--b1--", OK, "whisper-1"},
    {TYPE, PART("model") "\r\n" END, OK, ""},
    {TYPE, PART("model") "\r\r\r\n" END, OK, "\r\r"},
    {TYPE, "--b1--\r\n", OK, NULL},
    {"multipart/form-data; charset=utf-8; boundary=\"b1\"", MODEL END, OK, "whisper-1"},
    {"Multipart/Form-Data;BOUNDARY=b1;", MODEL END, OK, "whisper-1"},
    {TYPE, "--b1\r\ncontent-disposition:form-data;name=model\r\nX-A: b\r\n\r\nm\r\n" END, OK, "m"},
    {TYPE,
     "--b1\r\nContent-Disposition: form-data; filename=\"c:\\x\\y\"; name=\"f\"\r\n\r\n\r\n" END,
     OK, NULL},
    {"multipart/form-data", MODEL END, E_SYNTAX, NULL},
    {"multipart/form-data; boundary=", MODEL END, E_SYNTAX, NULL},
    {"multipart/form-data; boundary=b1; boundary=b2", MODEL END, E_SYNTAX, NULL},
    {"multipart/form-data; boundary=\"b1", MODEL END, E_SYNTAX, NULL},
    {"multipart/form-data; boundary=\"b1 \"", MODEL END, E_SYNTAX, NULL},
    {"multipart/form-datax; boundary=b1", MODEL END, E_SYNTAX, NULL},
    {TYPE, MODEL MODEL END, E_DUPLICATE, NULL},
    {TYPE, PART("Model") "x\r\n" END, E_DUPLICATE, NULL},
    {TYPE, PART("model") "12345678901234567\r\n" END, E_LIMIT, NULL},
    {TYPE, "\r\n" MODEL END, E_SYNTAX, NULL},
    {TYPE, "preamble\r\n" MODEL END, E_SYNTAX, NULL},
    {TYPE, MODEL END "x", E_SYNTAX, NULL},
    {TYPE, MODEL END "\r\n", E_SYNTAX, NULL},
    {TYPE, MODEL "--b1--\r", E_SYNTAX, NULL},
    {TYPE, MODEL "--b1 \r\n" END, E_SYNTAX, NULL},
    {TYPE, MODEL, E_SYNTAX, NULL},
    {TYPE, "", E_SYNTAX, NULL},
    {TYPE, "--b1\nContent-Disposition: form-data; name=\"model\"\n\nx\n--b1--\n", E_SYNTAX, NULL},
    {TYPE, "--b1\r\nContent-Disposition: form-data; name=\"model\"\n\r\n\r\n" END, E_SYNTAX, NULL},
    {TYPE, "--b1\r\nContent-Type: a/b\r\n\r\nx\r\n" END, E_SYNTAX, NULL},
    {TYPE, "--b1\r\nContent-Disposition: form-data\r\n\r\nx\r\n" END, E_SYNTAX, NULL},
    {TYPE, "--b1\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nx\r\n" END, E_SYNTAX, NULL},
    {TYPE,
     "--b1\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; "
     "name=model\r\n\r\nx\r\n" END,
     E_SYNTAX, NULL},
    {TYPE, "--b1\r\nContent-Disposition: form-data; name=a; name=model\r\n\r\nx\r\n" END, E_SYNTAX,
     NULL},
    {TYPE, "--b1\r\nContent-Disposition: form-data; name=a; name*=utf-8''model\r\n\r\nx\r\n" END,
     E_SYNTAX, NULL},
    {TYPE, "--b1\r\nContent-Disposition: form-data; filename=\"\\\"; name=\"m\"\r\n\r\nx\r\n" END,
     E_SYNTAX, NULL},
    {TYPE, "--b1\r\nContent-Disposition: form-data; name=\"a\" x\r\n\r\nx\r\n" END, E_SYNTAX, NULL},
    {TYPE, "--b1\r\n Content-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n" END, E_SYNTAX, NULL},
    {TYPE,
     "--b1\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: "
     "base64\r\n\r\nx\r\n" END,
     E_SYNTAX, NULL},
};

static void check(size_t i, enum err e, const struct multipart *m)
{
    if (e != cases[i].error) {
        fail_msg("case %zu: %s, %s", i, err_text(e), m->fault);
    }
    if (e == OK) {
        struct slice in = slice_str(cases[i].in);
        assert_int_equal(m->is_found, cases[i].value != NULL);
        if (m->is_found) {
            assert_true(
                slice_eq(slice_of(in.ptr + m->value_at, m->value_len), slice_str(cases[i].value)));
        }
    }
}

static void every_cut_finds_the_same(void **state)
{
    static struct multipart m;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice type = slice_str(cases[i].type);
        struct slice in = slice_str(cases[i].in);
        for (size_t cut = 0; cut <= in.len; cut++) {
            check(i, run(type, in, cut, 0, &m), &m);
        }
        for (size_t step = 1; step < 5; step++) {
            check(i, run(type, in, 0, step, &m), &m);
        }
    }
}

static void parts_and_heads_are_bounded(void **state)
{
    static struct multipart m;
    struct slice part = SLICE(PART("x") "\r\n");
    (void)state;
    assert_int_equal(multipart_init(&m, SLICE(TYPE), SLICE("model"), 16), OK);
    for (size_t i = 0; i < MULTIPART_PARTS_MAX; i++) {
        assert_int_equal(multipart_feed(&m, part), OK);
    }
    assert_int_equal(multipart_feed(&m, part), E_LIMIT);

    assert_int_equal(multipart_init(&m, SLICE(TYPE), SLICE("model"), 16), OK);
    assert_int_equal(multipart_feed(&m, SLICE("--b1\r\nX: ")), OK);
    enum err e = OK;
    for (size_t i = 0; i <= MULTIPART_HEAD_MAX_BYTES && e == OK; i++) {
        e = multipart_feed(&m, SLICE("y"));
    }
    assert_int_equal(e, E_LIMIT);
    assert_int_equal(multipart_end(&m), E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_finds_the_same),
        cmocka_unit_test(parts_and_heads_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
