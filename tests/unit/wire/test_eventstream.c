/* wire/eventstream: frames whole and in order for every cut, with the bytes they had; recorded
 * streams of AWS; every wrong byte is seen. */
#include "core/hash.h"
#include "support/unit.h"
#include "wire/eventstream.h"

#include <dirent.h>
#include <stdio.h>

struct seen {
    struct text log; /* kind|name|payload, one frame in angle brackets */
    struct text raw;
    size_t count;
};

static enum err on_frame(void *ctx, const struct eventstream_frame *f)
{
    struct seen *seen = ctx;
    text_addf(&seen->log, "<%d|%.*s|%.*s>", (int)f->kind, SLICE_ARG(f->name),
              SLICE_ARG(f->payload));
    text_add(&seen->raw, f->raw);
    seen->count++;
    return OK;
}

static enum err run(struct arena *a, struct slice in, size_t cut, size_t step, struct seen *seen)
{
    struct eventstream s;
    *seen = (struct seen){.log = text_growing(a), .raw = text_growing(a)};
    eventstream_init(&s, a, (size_t)1 << 20, on_frame, seen);
    enum err e = OK;
    if (step == 0) {
        e = eventstream_feed(&s, slice_head(in, cut));
        e = e ? e : eventstream_feed(&s, slice_from(in, cut));
    } else {
        for (size_t i = 0; i < in.len && !e; i += step) {
            e = eventstream_feed(&s, slice_head(slice_from(in, i), step));
        }
    }
    return e ? e : eventstream_end(&s);
}

static void add_u32(struct text *t, uint32_t v)
{
    const char bytes[4] = {(char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v};
    text_add(t, slice_of(bytes, sizeof(bytes)));
}

static void add_frame(struct text *t, struct slice headers, struct slice payload)
{
    size_t at = t->len;
    add_u32(t, (uint32_t)(headers.len + payload.len + EVENTSTREAM_FRAME_LEAST_BYTES));
    add_u32(t, (uint32_t)headers.len);
    add_u32(t, crc32_iso(t->ptr + at, 8));
    text_add(t, headers);
    text_add(t, payload);
    add_u32(t, crc32_iso(t->ptr + at, t->len - at));
}

/* Every type of header, a frame of nothing, an exception, an error without a payload. */
#define EVENT(name, len) "\x0B:event-type\x07\0" len name
static const char expected[] = "<0|chunk|{\"a\":1}><0||><1|throttled|{}><2|E1|broken><0|z|>";

static struct slice sample(struct arena *a)
{
    struct text t = text_growing(a);
    add_frame(&t,
              SLICE(EVENT("chunk", "\x05") "\x0D:message-type\x07\0\x05"
                                           "event"
                                           "\x01"
                                           "t\0\x01"
                                           "f\x01\x01"
                                           "b\x02*\x01"
                                           "s\x03**\x01"
                                           "i\x04****\x01"
                                           "l\x05********\x01"
                                           "y\x06\0\x02**\x01"
                                           "d\x08********\x01"
                                           "u\x09****************"),
              SLICE("{\"a\":1}"));
    add_frame(&t, SLICE_NONE, SLICE_NONE);
    add_frame(&t,
              SLICE("\x0D:message-type\x07\0\x09"
                    "exception"
                    "\x0F:exception-type\x07\0\x09"
                    "throttled"),
              SLICE("{}"));
    add_frame(&t,
              SLICE("\x0D:message-type\x07\0\x05"
                    "error"
                    "\x0B:error-code\x07\0\x02"
                    "E1"
                    "\x0E:error-message\x07\0\x06"
                    "broken"),
              SLICE_NONE);
    add_frame(&t, SLICE(EVENT("z", "\x01")), SLICE_NONE);
    assert_false(t.is_full);
    return text_slice(&t);
}

static void same_frames_for_every_cut(void **state)
{
    struct arena a;
    struct seen seen;
    (void)state;
    arena_init(&a, NULL, (size_t)64 << 20);
    struct slice in = sample(&a);
    for (size_t cut = 0; cut <= in.len; cut++) {
        assert_int_equal(run(&a, in, cut, 0, &seen), OK);
        assert_true(slice_eq(text_slice(&seen.log), slice_str(expected)));
        assert_true(slice_eq(text_slice(&seen.raw), in));
    }
    for (size_t step = 1; step < 64; step++) {
        assert_int_equal(run(&a, in, 0, step, &seen), OK);
        assert_true(slice_eq(text_slice(&seen.log), slice_str(expected)));
    }
    arena_deinit(&a);
}

static void every_wrong_byte_is_seen(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, NULL, (size_t)64 << 20);
    struct slice good = sample(&a);
    char *bad = arena_alloc(&a, good.len);
    assert_non_null(bad);
    for (size_t i = 0; i < good.len; i++) {
        struct seen seen;
        memcpy(bad, good.ptr, good.len);
        bad[i] = (char)(bad[i] ^ 0x10);
        assert_int_equal(run(&a, slice_of(bad, good.len), 0, 0, &seen), E_SYNTAX);
        assert_true(slice_eq(text_slice(&seen.raw), slice_head(good, seen.raw.len)));
    }
    for (size_t len = 1; len < good.len; len++) {
        struct seen seen;
        enum err e = run(&a, slice_head(good, len), 0, 0, &seen);
        assert_true(e == E_EOF || (e == OK && seen.raw.len == len));
    }
    arena_deinit(&a);
}

/* Checksums are right, and what they cover is not. */
static void lengths_that_cannot_be(void **state)
{
    static const struct slice headers[] = {SLICE_INIT("\x05"
                                                      "ab"),
                                           SLICE_INIT("\x01"
                                                      "a"),
                                           SLICE_INIT("\x01"
                                                      "a\x07"),
                                           SLICE_INIT("\x01"
                                                      "a\x07\0\x05"
                                                      "abc"),
                                           SLICE_INIT("\x01"
                                                      "a\x0A"),
                                           SLICE_INIT("\x01"
                                                      "a\x04***"),
                                           SLICE_INIT("\x01"
                                                      "a\xFF")};
    struct arena a;
    struct seen seen;
    (void)state;
    arena_init(&a, NULL, (size_t)64 << 20);
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct text t = text_growing(&a);
        add_frame(&t, headers[i], SLICE("{}"));
        assert_int_equal(run(&a, text_slice(&t), 0, 0, &seen), E_SYNTAX);
    }
    const struct {
        uint32_t total, headers;
        enum err e;
    } preludes[] = {{15, 0, E_SYNTAX},   {20, 5, E_SYNTAX},           {UINT32_MAX, 0, E_LIMIT},
                    {1 << 20, 0, E_EOF}, {(1 << 20) + 1, 0, E_LIMIT}, {1 << 19, 1 << 18, E_SYNTAX},
                    {0, 0, E_SYNTAX},    {16, UINT32_MAX, E_SYNTAX}};
    for (size_t i = 0; i < ARRAY_LEN(preludes); i++) {
        struct text t = text_growing(&a);
        add_u32(&t, preludes[i].total);
        add_u32(&t, preludes[i].headers);
        add_u32(&t, crc32_iso(t.ptr, 8));
        assert_int_equal(run(&a, text_slice(&t), 0, 1, &seen), preludes[i].e);
    }
    arena_deinit(&a);
}

static enum err refuse(void *ctx, const struct eventstream_frame *f)
{
    (void)f;
    ++*(int *)ctx;
    return E_CANCELLED;
}

static void a_failure_is_for_good(void **state)
{
    struct arena a;
    struct eventstream s;
    int calls = 0;
    (void)state;
    arena_init(&a, NULL, (size_t)1 << 20);
    struct slice in = sample(&a);
    eventstream_init(&s, &a, 4096, refuse, &calls);
    assert_int_equal(eventstream_feed(&s, in), E_CANCELLED);
    assert_int_equal(eventstream_feed(&s, in), E_CANCELLED);
    assert_int_equal(eventstream_end(&s), E_CANCELLED);
    assert_int_equal(calls, 1);
    arena_deinit(&a);
    arena_init(&a, NULL, 0);
    eventstream_init(&s, &a, 4096, refuse, &calls);
    assert_int_equal(eventstream_feed(&s, SLICE("\0")), E_NOMEM);
    arena_deinit(&a);
}

static void check_recorded(const char *path)
{
    struct arena a;
    struct seen whole, cut;
    arena_init(&a, NULL, (size_t)256 << 20);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *bytes = arena_alloc(&a, (size_t)1 << 20);
    assert_non_null(bytes);
    struct slice in = slice_of(bytes, fread(bytes, 1, (size_t)1 << 20, f));
    assert_int_equal(fclose(f), 0);
    assert_int_equal(run(&a, in, in.len, 0, &whole), OK);
    assert_true(whole.count >= 4 && slice_eq(text_slice(&whole.raw), in));
    assert_true(slice_starts(text_slice(&whole.log), SLICE("<0|messageStart|{")));
    assert_true(slice_search(text_slice(&whole.log), SLICE("<0|metadata|{")) < whole.log.len);
    for (size_t step = 1; step < 1000; step = step * 2 + 1) {
        assert_int_equal(run(&a, in, 0, step, &cut), OK);
        assert_true(slice_eq(text_slice(&whole.log), text_slice(&cut.log)));
    }
    arena_deinit(&a);
}

static void recorded_streams(void **state)
{
    size_t count = 0;
    struct dirent *entry;
    (void)state;
    DIR *d = opendir(TEST_DATA_DIR "/bedrock");
    assert_non_null(d);
    while ((entry = readdir(d))) {
        if (slice_ends(slice_str(entry->d_name), SLICE(".eventstream.bin"))) {
            char path[1024];
            assert_true(snprintf(path, sizeof(path), TEST_DATA_DIR "/bedrock/%s", entry->d_name) >
                        0);
            check_recorded(path);
            count++;
        }
    }
    assert_int_equal(closedir(d), 0);
    assert_true(count >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_frames_for_every_cut), cmocka_unit_test(every_wrong_byte_is_seen),
        cmocka_unit_test(lengths_that_cannot_be),    cmocka_unit_test(a_failure_is_for_good),
        cmocka_unit_test(recorded_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
