/* The worker's side: no system call (but in write mode and in strict mode), no lock, no heap.
 *
 * Room: every open request has JOURNAL_TIGHT_PARTS slots reserved for its close, in the segment
 * being filled and those ready. A record never crosses a segment's end, so up to WASTE slots of
 * each segment may stay empty and are not counted on. */
#include "core/clock.h"
#include "ledger/inner.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WASTE = JOURNAL_PARTS_MAX - 1 };

static inline size_t usable(size_t slots)
{
    return slots > WASTE ? slots - WASTE : 0;
}

static inline size_t room_of(const struct ledger_worker *w)
{
    uint32_t pushed = atomic_load_explicit(&w->ring.pushed, memory_order_acquire);
    size_t ready = pushed - w->generation;
    return usable(w->slots - w->at) +
           ready * usable(w->ledger->conf.segment_bytes / JOURNAL_SLOT_BYTES);
}

static COLD void next_segment(struct ledger_worker *w)
{
    uint32_t generation = w->generation + 1;
    assert(generation <= atomic_load_explicit(&w->ring.pushed, memory_order_acquire));
    struct segment *s =
        atomic_load_explicit(&w->ring.at[(generation - 1) % w->ring.cap], memory_order_acquire);
    w->segment = s;
    w->base = segment_base(s);
    w->slots = segment_slots(s);
    w->generation = generation;
    w->at = 0;
    w->synced_at = 0;
    w->wake_at = w->slots / 2;
    /* The segment before is complete: its rest stays empty. */
    atomic_store_explicit(&w->published, position(generation, 0), memory_order_release);
    atomic_store_explicit(&w->finished, position(generation, 0), memory_order_release);
}

static bool is_failed(const struct ledger_worker *w)
{
    return atomic_load_explicit(&w->ledger->is_failed, memory_order_relaxed);
}

static void fail(struct ledger_worker *w)
{
    atomic_store_explicit(&w->ledger->is_failed, true, memory_order_relaxed);
}

/* journal.io = write. A record that did not get into the file still is in memory and is drained. */
static COLD void write_through(struct ledger_worker *w, size_t parts)
{
    size_t len = parts * JOURNAL_SLOT_BYTES;
    off_t at = (off_t)(w->at * JOURNAL_SLOT_BYTES);
    if (pwrite(w->segment->fd, w->base + at, len, at) != (ssize_t)len) {
        fail(w);
    }
}

/* The page that holds the close is made durable before the last byte is sent. The worker waits. */
static COLD void sync_now(struct ledger_worker *w, size_t first_slot)
{
    size_t from = first_slot * JOURNAL_SLOT_BYTES / JOURNAL_PAGE_BYTES * JOURNAL_PAGE_BYTES;
    size_t to = (w->at * JOURNAL_SLOT_BYTES + JOURNAL_PAGE_BYTES - 1) / JOURNAL_PAGE_BYTES *
                JOURNAL_PAGE_BYTES;
    if (!segment_sync(w->segment, from, to)) {
        fail(w);
    }
}

/* reserved: closes whose room must be left after this record. */
static enum err append(struct ledger_worker *w, enum journal_kind kind,
                       const struct usage_record *r, size_t reserved)
{
    if (is_failed(w)) {
        return E_IO;
    }
    size_t len = journal_encode(r, false, w->payload);
    size_t parts = journal_parts(len);
    size_t room = room_of(w);
    if (room < parts + reserved * JOURNAL_TIGHT_PARTS) {
        if (kind != JOURNAL_CLOSE) {
            return E_BUSY;
        }
        len = journal_encode(r, true, w->payload);
        parts = journal_parts(len);
        assert(parts <= JOURNAL_TIGHT_PARTS);
        if (room < parts) { /* only a close that never was opened */
            return E_BUSY;
        }
    }
    if (w->at + parts > w->slots) {
        next_segment(w);
    }
    struct journal_stamp stamp = {kind, w->generation, ++w->sequence};
    journal_fill(w->base + w->at * JOURNAL_SLOT_BYTES, &stamp, slice_of(w->payload, len));
    if (!w->segment->is_mmap) {
        write_through(w, parts);
    }
    w->at += parts;
    atomic_store_explicit(&w->appended, w->sequence, memory_order_relaxed);
    atomic_store_explicit(&w->published, position(w->generation, w->at), memory_order_release);
    if (w->ledger->conf.sync == LEDGER_SYNC_STRICT && kind != JOURNAL_OPEN) {
        sync_now(w, w->at - parts);
    }
    return is_failed(w) ? E_IO : OK;
}

HOT enum err ledger_open_record(struct ledger_worker *w, const struct usage_record *r)
{
    enum err e = append(w, JOURNAL_OPEN, r, w->open_count + 1);
    w->open_count += e == OK;
    if (w->at >= w->wake_at) { /* half full: do not wait for the interval to make room behind it */
        w->wake_at = SIZE_MAX;
        store_wake(w->ledger->store);
    }
    return e;
}

HOT enum err ledger_close_record(struct ledger_worker *w, const struct usage_record *r)
{
    w->open_count -= w->open_count > 0;
    return append(w, JOURNAL_CLOSE, r, w->open_count);
}

HOT enum err ledger_single_record(struct ledger_worker *w, const struct usage_record *r)
{
    return append(w, JOURNAL_SINGLE, r, w->open_count);
}

/* --- refusals: one row a key, reason and minute --- */

static void flush_one(struct ledger_worker *w, size_t at)
{
    struct refusal *f = &w->refusals[at];
    f->record.reason = slice_of(f->reason, f->record.reason.len);
    if (ledger_single_record(w, &f->record) == OK) {
        *f = w->refusals[--w->refusal_count];
    }
}

void worker_flush_refusals(struct ledger_worker *w, int64_t before_minute)
{
    for (size_t i = w->refusal_count; i-- > 0;) { /* backwards: the last one takes a freed place */
        if (w->refusals[i].minute < before_minute) {
            flush_one(w, i);
        }
    }
}

static struct refusal *find_refusal(struct ledger_worker *w, const struct usage_record *r,
                                    struct slice reason, int64_t minute)
{
    for (size_t i = 0; i < w->refusal_count; i++) {
        struct refusal *f = &w->refusals[i];
        if (f->minute == minute && id_eq(f->record.key, r->key) &&
            slice_eq(slice_of(f->reason, f->record.reason.len), reason)) {
            return f;
        }
    }
    return NULL;
}

void ledger_refusal(struct ledger_worker *w, const struct usage_record *r)
{
    int64_t minute = r->admitted_unix_ns / NS_PER_MIN;
    struct slice reason = slice_head(r->reason, LEDGER_REFUSAL_REASON_BYTES);
    struct refusal *f = find_refusal(w, r, reason, minute);
    if (f) {
        f->record.count += r->count;
        return;
    }
    if (w->refusal_count == LEDGER_REFUSALS_MAX) {
        worker_flush_refusals(w, INT64_MAX);
    }
    if (w->refusal_count == LEDGER_REFUSALS_MAX) {
        return; /* no room in the journal either: a refusal costs nothing, and metrics have it */
    }
    f = &w->refusals[w->refusal_count++];
    *f = (struct refusal){.record = *r, .minute = minute};
    memcpy(f->reason, reason.len ? reason.ptr : "", reason.len);
    f->record.reason.len = reason.len;
    f->record.status = RECORD_REFUSED;
    f->record.provider = f->record.model = f->record.asked_model = SLICE_NONE;
    f->record.client_request_id = f->record.error = f->record.detail = SLICE_NONE;
}

/* --- tick --- */

/* Leaves the rest of a page that was begun, unless room is so short that closes need it. */
static void finish_page(struct ledger_worker *w)
{
    size_t skip = (JOURNAL_PAGE_SLOTS - w->at % JOURNAL_PAGE_SLOTS) % JOURNAL_PAGE_SLOTS;
    if (room_of(w) < skip + w->open_count * JOURNAL_TIGHT_PARTS) {
        return;
    }
    w->at += skip;
    w->synced_at = w->at;
    atomic_store_explicit(&w->finished, position(w->generation, w->at), memory_order_release);
}

void ledger_tick(struct ledger_worker *w, int64_t unix_ns)
{
    if (w->refusal_count) {
        worker_flush_refusals(w, unix_ns / NS_PER_MIN);
    }
    int64_t since = unix_ns - w->synced_unix_ns;
    if (w->at != w->synced_at &&
        (since >= w->ledger->conf.sync_interval_ns || since < 0)) { /* or the clock was set back */
        finish_page(w);
        w->synced_unix_ns = unix_ns;
    }
}
