/* tests/unit/ledger/records.h -- usage records for the tests of the ledger. */
#ifndef TESTS_RECORDS_H
#define TESTS_RECORDS_H

#include "chat/record.h"
#include "core/clock.h"

static inline struct usage_record record_new(struct id_source *ids, enum record_status status)
{
    int64_t now = clock_unix_ns();
    return (struct usage_record){
        .id = id_next(ids, now),
        .tenant = {.bytes = {1, 2, 3}},
        .key = {.bytes = {4, 5, 6}},
        .admitted_unix_ns = now / 1000 * 1000,
        .reserved_nusd = 5000,
        .cost_nusd = status == RECORD_OPEN ? 0 : 1234,
        .latency_ns = 1000000,
        .first_token_ns = -1,
        .usage = {.input = 100, .output = 7, .is_known = true},
        .http_status = 200,
        .attempts = 1,
        .count = 1,
        .status = status,
        .dialect = RECORD_DIALECT_OPENAI,
        .provider = SLICE("openai"),
        .model = SLICE("gpt-4o-mini"),
        .asked_model = SLICE("gpt-4o-mini"),
    };
}

static inline bool record_eq(const struct usage_record *a, const struct usage_record *b)
{
    return memcmp(a, b, 3 * ID_BYTES) == 0 && a->admitted_unix_ns == b->admitted_unix_ns &&
           a->reserved_nusd == b->reserved_nusd && a->cost_nusd == b->cost_nusd &&
           a->saved_nusd == b->saved_nusd && a->latency_ns == b->latency_ns &&
           a->first_token_ns == b->first_token_ns && a->usage.input == b->usage.input &&
           a->usage.cache_read == b->usage.cache_read &&
           a->usage.cache_write_5m == b->usage.cache_write_5m &&
           a->usage.cache_write_1h == b->usage.cache_write_1h &&
           a->usage.output == b->usage.output && a->usage.reasoning == b->usage.reasoning &&
           a->usage.total_reported == b->usage.total_reported &&
           a->usage.is_known == b->usage.is_known && a->http_status == b->http_status &&
           a->attempts == b->attempts && a->count == b->count && a->status == b->status &&
           a->dialect == b->dialect && a->is_stream == b->is_stream &&
           a->is_estimated == b->is_estimated && a->is_overrun == b->is_overrun &&
           slice_eq(a->provider, b->provider) && slice_eq(a->model, b->model) &&
           slice_eq(a->asked_model, b->asked_model) && slice_eq(a->reason, b->reason) &&
           slice_eq(a->client_request_id, b->client_request_id) && slice_eq(a->error, b->error) &&
           slice_eq(a->detail, b->detail);
}

#endif
