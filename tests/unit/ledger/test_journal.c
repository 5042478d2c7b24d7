/* The journal's format: what goes in comes out, and damage anywhere costs only what it touches. */
#include "records.h"

#include "ledger/journal.h"
#include "unit/store/scratch.h"

static char payload[JOURNAL_RECORD_MAX_BYTES];
static char scratch_bytes[JOURNAL_SCRATCH_BYTES];

static struct usage_record largest(struct id_source *ids)
{
    static char text[RECORD_DETAIL_MAX_BYTES];
    memset(text, 'x', sizeof(text));
    struct usage_record r = record_new(ids, RECORD_UPSTREAM_CUT);
    int64_t *numbers[] = {&r.admitted_unix_ns,
                          &r.reserved_nusd,
                          &r.cost_nusd,
                          &r.saved_nusd,
                          &r.latency_ns,
                          &r.first_token_ns,
                          &r.usage.input,
                          &r.usage.cache_read,
                          &r.usage.cache_write_5m,
                          &r.usage.cache_write_1h,
                          &r.usage.output,
                          &r.usage.reasoning,
                          &r.usage.total_reported,
                          &r.count};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        *numbers[i] = i % 2 ? INT64_MIN : INT64_MAX;
    }
    r.http_status = INT32_MIN;
    r.attempts = INT32_MAX;
    r.dialect = RECORD_DIALECT_GEMINI;
    r.is_stream = r.is_estimated = r.is_overrun = true;
    r.provider = r.model = r.asked_model = r.reason = r.client_request_id =
        slice_of(text, RECORD_TEXT_MAX_BYTES);
    r.error = slice_of(text, RECORD_ERROR_MAX_BYTES);
    r.detail = slice_of(text, RECORD_DETAIL_MAX_BYTES);
    return r;
}

static void a_record_comes_back_as_it_was(void **state)
{
    (void)state;
    struct id_source ids;
    struct usage_record back;
    id_source_init(&ids);
    struct usage_record cases[] = {record_new(&ids, RECORD_OPEN), record_new(&ids, RECORD_SUCCESS),
                                   largest(&ids)};
    cases[1].error = SLICE("\xC3\xA9 \"");
    cases[1].detail = SLICE("{\"a\":1}");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = journal_encode(&cases[i], false, payload);
        struct id id;
        assert_true(journal_decode(slice_of(payload, len), &back));
        assert_true(journal_peek_id(slice_of(payload, len), &id) && id_eq(id, back.id));
        assert_false(journal_peek_id(slice_of(payload, ID_BYTES), &id));
        assert_true(record_eq(&cases[i], &back));
        for (size_t cut = 0; cut < len; cut++) { /* no prefix is a record */
            assert_false(journal_decode(slice_of(payload, cut), &back));
        }
    }
    assert_int_equal(journal_parts(journal_encode(&cases[2], false, payload)), JOURNAL_PARTS_MAX);
    assert_in_range(journal_parts(journal_encode(&cases[2], true, payload)), 1,
                    JOURNAL_TIGHT_PARTS);
    assert_true(journal_decode(slice_of(payload, journal_encode(&cases[2], true, payload)), &back));
    assert_true(id_eq(back.id, cases[2].id) && back.cost_nusd == cases[2].cost_nusd);
    assert_int_equal(back.error.len + back.detail.len, 0);
}

static void texts_are_cut_at_whole_characters(void **state)
{
    (void)state;
    struct id_source ids;
    struct usage_record back;
    char text[RECORD_DETAIL_MAX_BYTES + 1];
    id_source_init(&ids);
    struct usage_record r = record_new(&ids, RECORD_ERROR);
    memset(text, 'a', sizeof(text));
    memcpy(text + RECORD_TEXT_MAX_BYTES - 2, "\xE2\x82\xAC", 3); /* the third byte is too much */
    r.model = slice_of(text, RECORD_TEXT_MAX_BYTES + 1);
    r.detail = slice_of(text, sizeof(text));
    size_t len = journal_encode(&r, false, payload);
    assert_true(journal_decode(slice_of(payload, len), &back));
    assert_int_equal(back.model.len, RECORD_TEXT_MAX_BYTES - 2);
    assert_int_equal(back.detail.len, 0);
    payload[3 * ID_BYTES] = (char)0x0F; /* no such status */
    assert_false(journal_decode(slice_of(payload, len), &back));
    payload[3 * ID_BYTES] = (char)0xF1; /* no such dialect */
    assert_false(journal_decode(slice_of(payload, len), &back));
    memset(payload + 3 * ID_BYTES, 0, 2);
    memset(payload + 3 * ID_BYTES + 2, 0xFF, 30); /* a number that never ends */
    assert_false(journal_decode(slice_of(payload, len), &back));
}

enum { SEGMENT_SLOTS = 64, RECORDS = 24 };

struct written {
    size_t slot, parts, len; /* of the last part */
};

/* A segment with records of one to several slots, and a gap as a sync makes it. */
static size_t fill_segment(char *base, struct written *w, struct id_source *ids)
{
    struct journal_stamp stamp = {JOURNAL_CLOSE, 7, 0};
    size_t at = 0;
    size_t n = 0;
    static char text[RECORD_DETAIL_MAX_BYTES];
    memset(text, 'y', sizeof(text));
    while (n < RECORDS && at + 4 < SEGMENT_SLOTS) {
        struct usage_record r = record_new(ids, RECORD_SUCCESS);
        r.count = (int64_t)n;
        r.detail = slice_of(text, n % 3 * 250);
        size_t len = journal_encode(&r, false, payload);
        size_t parts = journal_parts(len);
        stamp.sequence = n + 1;
        journal_fill(base + at * JOURNAL_SLOT_BYTES, &stamp, slice_of(payload, len));
        w[n++] = (struct written){at, parts, len - (parts - 1) * JOURNAL_PAYLOAD_BYTES};
        at += parts + (n == 5 ? 3 : 0);
    }
    return n;
}

/* Which records are found, as bits by their count; each at most once and whole. */
static uint32_t found(const char *base, size_t slots)
{
    uint32_t bits = 0;
    size_t at = 0;
    struct journal_item item;
    struct usage_record r;
    while (journal_next(base, slots, 7, &at, scratch_bytes, &item)) {
        assert_true(journal_decode(item.payload, &r));
        assert_in_range(r.count, 0, 31);
        assert_false(bits >> r.count & 1);
        bits |= 1u << r.count;
    }
    assert_int_equal(at, slots);
    return bits;
}

static void a_segment_torn_at_any_byte_loses_only_what_is_torn(void **state)
{
    (void)state;
    struct id_source ids;
    struct written w[RECORDS];
    size_t bytes = SEGMENT_SLOTS * JOURNAL_SLOT_BYTES;
    char *whole = calloc(1, bytes);
    char *torn = malloc(bytes);
    assert_true(whole && torn);
    id_source_init(&ids);
    size_t n = fill_segment(whole, w, &ids);
    assert_true(n > 15);
    assert_int_equal(found(whole, SEGMENT_SLOTS), (1u << n) - 1);
    for (size_t cut = 0; cut <= bytes; cut++) {
        uint32_t before = 0; /* every record that ends before the tear */
        uint32_t touched = 0;
        for (size_t i = 0; i < n; i++) {
            size_t begin = w[i].slot * JOURNAL_SLOT_BYTES;
            size_t end = (w[i].slot + w[i].parts) * JOURNAL_SLOT_BYTES;
            size_t data_end = end - JOURNAL_SLOT_BYTES + JOURNAL_HEAD_BYTES + w[i].len;
            before |= end <= cut ? 1u << i : 0;
            touched |= begin < cut + 100 && data_end > cut ? 1u << i : 0;
        }
        /* cut off there: whole slots only are looked at */
        assert_int_equal(found(whole, cut / JOURNAL_SLOT_BYTES), before);
        /* a hundred bytes of garbage there: those before and behind are found */
        memcpy(torn, whole, bytes);
        for (size_t k = cut; k < bytes && k < cut + 100; k++) {
            torn[k] = (char)~torn[k];
        }
        uint32_t got = found(torn, SEGMENT_SLOTS);
        uint32_t all = (1u << n) - 1;
        assert_int_equal(got & ~touched, all & ~touched);
    }
    free(whole);
    free(torn);
}

static void older_generations_and_broken_chains_are_passed_over(void **state)
{
    (void)state;
    struct id_source ids;
    struct written w[RECORDS];
    char *base = calloc(SEGMENT_SLOTS, JOURNAL_SLOT_BYTES);
    assert_non_null(base);
    id_source_init(&ids);
    assert_int_equal(journal_generation(base, SEGMENT_SLOTS), 0);
    size_t n = fill_segment(base, w, &ids);
    assert_int_equal(journal_generation(base, SEGMENT_SLOTS), 7);
    struct usage_record r = record_new(&ids, RECORD_SUCCESS);
    size_t len = journal_encode(&r, false, payload);
    struct journal_stamp newer = {JOURNAL_OPEN, 8, 1};
    journal_fill(base, &newer, slice_of(payload, len)); /* the file's next life begins */
    assert_int_equal(journal_generation(base, SEGMENT_SLOTS), 8);
    size_t at = 0;
    struct journal_item item;
    assert_true(journal_next(base, SEGMENT_SLOTS, 8, &at, scratch_bytes, &item));
    assert_int_equal(item.stamp.kind, JOURNAL_OPEN);
    assert_int_equal(item.slot, 0);
    assert_false(journal_next(base, SEGMENT_SLOTS, 8, &at, scratch_bytes, &item));
    at = 0;
    size_t all = 0;
    while (journal_next(base, SEGMENT_SLOTS, 0, &at, scratch_bytes, &item)) {
        all++;
    }
    assert_int_equal(all, n);
    /* A second part whose first was overwritten is no record; nor is a first without its second. */
    for (size_t i = 0; i < n; i++) {
        if (w[i].parts > 1) {
            journal_fill(base + (w[i].slot + 1) * JOURNAL_SLOT_BYTES, &newer,
                         slice_of(payload, len));
            at = w[i].slot;
            assert_true(journal_next(base, SEGMENT_SLOTS, 7, &at, scratch_bytes, &item));
            assert_true(item.slot > w[i].slot);
            at = w[i].slot;
            assert_false(journal_next(base, w[i].slot + 1, 7, &at, scratch_bytes, &item));
            break;
        }
    }
    free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_back_as_it_was),
        cmocka_unit_test(texts_are_cut_at_whole_characters),
        cmocka_unit_test(a_segment_torn_at_any_byte_loses_only_what_is_torn),
        cmocka_unit_test(older_generations_and_broken_chains_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
