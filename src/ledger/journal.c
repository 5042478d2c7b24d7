#include "ledger/journal.h"

#include "core/hash.h"

#include <assert.h>

enum {
    AT_GENERATION = 4,
    AT_SEQUENCE = 8,
    AT_KIND = 16,
    AT_PART = 17,
    AT_PARTS = 18,
    AT_LENGTH = 20,
    VARINT_MAX_BYTES = 10
};

/* --- payload --- */

static inline char *put_number(char *at, int64_t value)
{
    uint64_t v = ((uint64_t)value << 1) ^ (value < 0 ? ~UINT64_C(0) : 0);
    while (v >= 0x80) {
        *at++ = (char)(v | 0x80);
        v >>= 7;
    }
    *at++ = (char)v;
    return at;
}

static inline char *put_text(char *at, struct slice s, size_t max)
{
    s = slice_shortened(s, max);
    at = put_number(at, (int64_t)s.len);
    if (s.len) {
        memcpy(at, s.ptr, s.len);
    }
    return at + s.len;
}

HOT size_t journal_encode(const struct usage_record *r, bool is_tight, char *out)
{
    _Static_assert(offsetof(struct usage_record, key) == (size_t)2 * ID_BYTES &&
                       offsetof(struct usage_record, id) == 0,
                   "the three ids are copied as one");
    size_t text_max = is_tight ? JOURNAL_TIGHT_TEXT_BYTES : RECORD_TEXT_MAX_BYTES;
    char *at = out;
    memcpy(at, r, JOURNAL_IDS_BYTES);
    at += JOURNAL_IDS_BYTES;
    *at++ = (char)((unsigned)r->status | (unsigned)r->dialect << 4);
    *at++ = (char)((unsigned)r->is_stream | (unsigned)r->is_estimated << 1 |
                   (unsigned)r->is_overrun << 2 | (unsigned)r->usage.is_known << 3);
    at = put_number(at, r->admitted_unix_ns);
    at = put_number(at, r->reserved_nusd);
    at = put_number(at, r->cost_nusd);
    at = put_number(at, r->saved_nusd);
    at = put_number(at, r->latency_ns);
    at = put_number(at, r->first_token_ns);
    at = put_number(at, r->usage.input);
    at = put_number(at, r->usage.cache_read);
    at = put_number(at, r->usage.cache_write_5m);
    at = put_number(at, r->usage.cache_write_1h);
    at = put_number(at, r->usage.output);
    at = put_number(at, r->usage.reasoning);
    at = put_number(at, r->usage.total_reported);
    at = put_number(at, r->http_status);
    at = put_number(at, r->attempts);
    at = put_number(at, r->count);
    at = put_text(at, r->provider, text_max);
    at = put_text(at, r->model, text_max);
    at = put_text(at, r->asked_model, text_max);
    at = put_text(at, r->reason, is_tight ? 0 : text_max);
    at = put_text(at, r->client_request_id, is_tight ? 0 : text_max);
    at = put_text(at, r->error, is_tight ? 0 : RECORD_ERROR_MAX_BYTES);
    bool has_detail = !is_tight && r->detail.len <= RECORD_DETAIL_MAX_BYTES;
    at = put_text(at, has_detail ? r->detail : SLICE_NONE, RECORD_DETAIL_MAX_BYTES);
    assert(at - out <= JOURNAL_RECORD_MAX_BYTES);
    return (size_t)(at - out);
}

struct reader {
    const char *at;
    const char *end;
    bool is_bad;
};

static inline int64_t take_number(struct reader *in)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 7 * VARINT_MAX_BYTES; shift += 7) {
        if (in->at == in->end) {
            break;
        }
        uint8_t byte = (uint8_t)*in->at++;
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
        }
    }
    in->is_bad = true;
    return 0;
}

static inline struct slice take_text(struct reader *in, size_t max)
{
    int64_t len = take_number(in);
    if (len < 0 || (size_t)len > max || (size_t)len > (size_t)(in->end - in->at)) {
        in->is_bad = true;
        return SLICE_NONE;
    }
    struct slice s = {in->at, (size_t)len};
    in->at += len;
    return s;
}

static void take_numbers(struct reader *in, struct usage_record *r)
{
    r->admitted_unix_ns = take_number(in);
    r->reserved_nusd = take_number(in);
    r->cost_nusd = take_number(in);
    r->saved_nusd = take_number(in);
    r->latency_ns = take_number(in);
    r->first_token_ns = take_number(in);
    r->usage.input = take_number(in);
    r->usage.cache_read = take_number(in);
    r->usage.cache_write_5m = take_number(in);
    r->usage.cache_write_1h = take_number(in);
    r->usage.output = take_number(in);
    r->usage.reasoning = take_number(in);
    r->usage.total_reported = take_number(in);
    r->http_status = (int32_t)take_number(in);
    r->attempts = (int32_t)take_number(in);
    r->count = take_number(in);
}

bool journal_peek_id(struct slice payload, struct id *out)
{
    if (payload.len < JOURNAL_IDS_BYTES + 2) {
        return false;
    }
    memcpy(out, payload.ptr, sizeof(*out));
    return true;
}

bool journal_decode(struct slice payload, struct usage_record *out)
{
    if (payload.len < JOURNAL_IDS_BYTES + 2) {
        return false;
    }
    struct reader in = {payload.ptr + JOURNAL_IDS_BYTES + 2, payload.ptr + payload.len, false};
    memcpy(out, payload.ptr, JOURNAL_IDS_BYTES);
    unsigned status = (uint8_t)payload.ptr[JOURNAL_IDS_BYTES];
    unsigned flags = (uint8_t)payload.ptr[JOURNAL_IDS_BYTES + 1];
    if ((status & 15) >= RECORD_STATUS_COUNT || status >> 4 >= RECORD_DIALECT_COUNT) {
        return false;
    }
    out->status = (enum record_status)(status & 15);
    out->dialect = (enum record_dialect)(status >> 4);
    out->is_stream = flags & 1;
    out->is_estimated = flags >> 1 & 1;
    out->is_overrun = flags >> 2 & 1;
    out->usage.is_known = flags >> 3 & 1;
    take_numbers(&in, out);
    out->provider = take_text(&in, RECORD_TEXT_MAX_BYTES);
    out->model = take_text(&in, RECORD_TEXT_MAX_BYTES);
    out->asked_model = take_text(&in, RECORD_TEXT_MAX_BYTES);
    out->reason = take_text(&in, RECORD_TEXT_MAX_BYTES);
    out->client_request_id = take_text(&in, RECORD_TEXT_MAX_BYTES);
    out->error = take_text(&in, RECORD_ERROR_MAX_BYTES);
    out->detail = take_text(&in, RECORD_DETAIL_MAX_BYTES);
    return !in.is_bad && in.at == in.end;
}

/* --- slots --- */

static inline uint32_t checksum(const char *slot, size_t payload_bytes)
{
    size_t len = (size_t)JOURNAL_HEAD_BYTES - AT_GENERATION + payload_bytes;
    return crc32c(0, slot + AT_GENERATION, len);
}

/* The slot is made whole beside the segment and copied: the segment's lines are not in the cache,
 * and the checksum would wait for them. */
HOT void journal_fill(char *base, const struct journal_stamp *stamp, struct slice payload)
{
    ROOM char slot[JOURNAL_SLOT_BYTES] __attribute__((aligned(64)));
    size_t parts = journal_parts(payload.len);
    assert(parts >= 1 && parts <= JOURNAL_PARTS_MAX);
    memcpy(slot + AT_GENERATION, &stamp->generation, sizeof(stamp->generation));
    memcpy(slot + AT_SEQUENCE, &stamp->sequence, sizeof(stamp->sequence));
    slot[AT_KIND] = (char)stamp->kind;
    slot[AT_PARTS] = (char)parts;
    slot[AT_PARTS + 1] = 0;
    memset(slot + AT_LENGTH + sizeof(uint16_t), 0,
           JOURNAL_HEAD_BYTES - AT_LENGTH - sizeof(uint16_t));
    for (size_t i = 0; i < parts; i++) {
        size_t left = payload.len - i * JOURNAL_PAYLOAD_BYTES;
        uint16_t len = (uint16_t)(left < JOURNAL_PAYLOAD_BYTES ? left : JOURNAL_PAYLOAD_BYTES);
        slot[AT_PART] = (char)i;
        memcpy(slot + AT_LENGTH, &len, sizeof(len));
        memcpy(slot + JOURNAL_HEAD_BYTES, payload.ptr + i * JOURNAL_PAYLOAD_BYTES, len);
        uint32_t crc = checksum(slot, len);
        memcpy(slot, &crc, sizeof(crc));
        memcpy(base + i * JOURNAL_SLOT_BYTES, slot, (size_t)JOURNAL_HEAD_BYTES + len);
    }
}

struct slot_view {
    struct journal_stamp stamp;
    size_t part, parts;
    struct slice payload;
};

static bool view_slot(const char *slot, struct slot_view *out)
{
    uint16_t len;
    uint32_t crc;
    memcpy(&len, slot + AT_LENGTH, sizeof(len));
    memcpy(&crc, slot, sizeof(crc));
    memcpy(&out->stamp.generation, slot + AT_GENERATION, sizeof(out->stamp.generation));
    if (out->stamp.generation == 0 || len > JOURNAL_PAYLOAD_BYTES || crc != checksum(slot, len)) {
        return false;
    }
    memcpy(&out->stamp.sequence, slot + AT_SEQUENCE, sizeof(out->stamp.sequence));
    uint8_t kind = (uint8_t)slot[AT_KIND];
    out->part = (uint8_t)slot[AT_PART];
    out->parts = (uint8_t)slot[AT_PARTS];
    out->payload = slice_of(slot + JOURNAL_HEAD_BYTES, len);
    if (kind < JOURNAL_OPEN || kind > JOURNAL_SINGLE || out->parts == 0 ||
        out->parts > JOURNAL_PARTS_MAX || out->part >= out->parts) {
        return false;
    }
    out->stamp.kind = (enum journal_kind)kind;
    return true;
}

/* Puts the parts that follow the first together in scratch. */
static bool gather(const char *base, size_t left, const struct slot_view *first, char *scratch,
                   struct slice *out)
{
    size_t len = 0;
    if (first->parts > left) {
        return false;
    }
    for (size_t i = 0; i < first->parts; i++) {
        struct slot_view v;
        if (!view_slot(base + i * JOURNAL_SLOT_BYTES, &v) || v.part != i ||
            v.parts != first->parts || v.stamp.sequence != first->stamp.sequence ||
            v.stamp.generation != first->stamp.generation) {
            return false;
        }
        memcpy(scratch + len, v.payload.ptr, v.payload.len);
        len += v.payload.len;
    }
    *out = slice_of(scratch, len);
    return true;
}

bool journal_next(const char *base, size_t slots, uint32_t generation, size_t *at, char *scratch,
                  struct journal_item *out)
{
    for (; *at < slots; ++*at) {
        struct slot_view v;
        const char *slot = base + *at * JOURNAL_SLOT_BYTES;
        uint32_t written;
        memcpy(&written, slot + AT_GENERATION, sizeof(written));
        if ((generation && written != generation) || !view_slot(slot, &v) || v.part != 0) {
            continue;
        }
        if (v.parts > 1 && !gather(slot, slots - *at, &v, scratch, &v.payload)) {
            continue;
        }
        *out = (struct journal_item){v.stamp, *at, v.parts, v.payload};
        *at += v.parts;
        return true;
    }
    return false;
}

uint32_t journal_generation(const char *base, size_t slots)
{
    uint32_t newest = 0;
    for (size_t i = 0; i < slots; i++) {
        struct slot_view v;
        if (view_slot(base + i * JOURNAL_SLOT_BYTES, &v) && v.stamp.generation > newest) {
            newest = v.stamp.generation;
        }
    }
    return newest;
}
