/* The writer thread's side: batches into the store, segments made ready, durable and free again. */
#include "core/check.h"
#include "core/clock.h"
#include "ledger/inner.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

enum {
    SMALL_SEGMENT_BYTES = 1 << 20,
    BATCHES_A_TURN = 8, /* then the store's jobs get theirs */
    BUSY_RECORDS = 512  /* as many in a turn: segments come round again within a minute or two */
};
static const int64_t RETRY_MIN_NS = 100 * NS_PER_MS;
static const int64_t RETRY_MAX_NS = 5 * NS_PER_S;
static const int64_t COOL_NS = 300 * NS_PER_MS;

void record_crash(const struct ledger_conf *conf, struct usage_record *r)
{
    r->status = RECORD_CRASHED;
    r->cost_nusd = conf->crash_bill == LEDGER_CRASH_RESERVED ? r->reserved_nusd : 0;
    r->is_estimated = true;
    r->count = 1;
    r->first_token_ns = -1;
}

struct segment *lane_segment(const struct lane *lane, uint32_t generation)
{
    const struct segment_ring *ring = &lane->worker.ring;
    assert(generation >= lane->oldest);
    return atomic_load_explicit(&ring->at[(generation - 1) % ring->cap], memory_order_relaxed);
}

static uint32_t pushed_of(const struct lane *lane)
{
    return atomic_load_explicit(&lane->worker.ring.pushed, memory_order_relaxed);
}

static uint64_t published_of(const struct lane *lane)
{
    return atomic_load_explicit(&lane->worker.published, memory_order_acquire);
}

static bool is_failed(const struct ledger *l)
{
    return atomic_load_explicit(&l->is_failed, memory_order_relaxed);
}

/* --- making a batch --- */

/* Opens and closes change the map as they are read, so that it only ever holds what is in flight
 * and stays in the CPU's cache. That is safe when the batch then fails: it is read again from where
 * it began, and until its closes are in the store their segments are neither used again nor
 * removed.
 *
 * Not OK when there is no memory for the record: the batch ends before it. */
static enum err take_item(struct ledger *l, struct lane *lane, const struct journal_item *item)
{
    if (item->stamp.kind == JOURNAL_OPEN) {
        struct open_place place = {.lane = lane->dir.worker,
                                   .segment = item->stamp.generation,
                                   .slot = (uint32_t)item->slot};
        bool is_open = journal_peek_id(item->payload, &place.id);
        l->opened_count += is_open;
        return is_open ? openmap_put(&l->opens, &place) : OK;
    }
    struct slice payload = item->payload;
    struct usage_record *r = &l->closed[l->closed_count];
    if (item->parts > 1) { /* scratch is used again for the next */
        payload = arena_dup(&l->texts, payload);
        if (!payload.ptr) {
            return E_NOMEM;
        }
    }
    if (journal_decode(payload, r)) { /* a record of another version is passed over */
        openmap_remove(&l->opens, r->id);
        l->closed_count++;
    }
    return OK;
}

static bool batch_is_full(const struct ledger *l)
{
    return l->closed_count == LEDGER_BATCH_RECORDS || l->opened_count == LEDGER_BATCH_OPENS;
}

static enum err collect(struct ledger *l, struct lane *lane)
{
    uint64_t published = published_of(lane);
    uint64_t pos = lane->read;
    enum err e = OK;
    while (pos < published && !batch_is_full(l)) {
        uint32_t generation = position_generation(pos);
        const struct segment *s = lane_segment(lane, generation);
        bool is_last = generation == position_generation(published);
        size_t end = is_last ? position_slot(published) : segment_slots(s);
        size_t at = position_slot(pos);
        struct journal_item item;
        if (!journal_next(segment_base(s), end, generation, &at, l->scratch, &item)) {
            pos = is_last ? published : position(generation + 1, 0);
            continue;
        }
        e = take_item(l, lane, &item);
        if (e != OK) {
            break;
        }
        lane->batch_records = item.stamp.sequence;
        pos = position(generation, at);
    }
    lane->ahead = pos;
    return e;
}

/* --- writing it --- */

static enum err write_batch(struct ledger *l, struct store_db *db)
{
    ROOM struct store_checkpoint marks[UINT8_MAX];
    struct store_batch batch = {
        .closed = l->closed, .closed_count = l->closed_count, .checkpoints = marks};
    if (l->closed_count == 0) { /* open records alone change nothing in the store */
        return OK;
    }
    for (size_t i = 0; i < l->conf.workers; i++) {
        const struct lane *lane = &l->lanes[i];
        if (lane->ahead != lane->read) {
            marks[batch.checkpoint_count++] = (struct store_checkpoint){
                .instance = l->instance,
                .worker = (int32_t)i,
                .segment = position_generation(lane->ahead),
                .slot = (int64_t)position_slot(lane->ahead),
            };
        }
    }
    return store_usage_write(db, &batch);
}

static void apply_batch(struct ledger *l)
{
    for (size_t i = 0; i < l->conf.workers; i++) {
        struct lane *lane = &l->lanes[i];
        lane->read = lane->ahead;
        atomic_store_explicit(&lane->drained, lane->batch_records, memory_order_relaxed);
    }
}

/* One batch over all workers. *out_is_more: a bound ended it, not the want of records. */
static enum err drain_once(struct ledger *l, struct store_db *db, size_t *out_records,
                           bool *out_is_more)
{
    l->closed_count = l->opened_count = 0;
    arena_reset(&l->texts);
    enum err e = OK;
    bool is_any = false;
    for (size_t i = 0; i < l->conf.workers; i++) {
        struct lane *lane = &l->lanes[i];
        lane->ahead = lane->read;
        e = e == OK ? collect(l, lane) : e;
        is_any = is_any || lane->ahead != lane->read;
    }
    e = is_any || e == OK ? write_batch(l, db) : e; /* what there was memory for */
    if (e == OK) {
        apply_batch(l);
        *out_records = l->closed_count + l->opened_count;
        *out_is_more = *out_records > 0 && (batch_is_full(l) || l->texts.held_bytes > 0);
    }
    return e;
}

static void drain_failed(struct ledger *l, const struct store_db *db, int64_t now_ns)
{
    l->retry_pause_ns = i64_min(i64_max(l->retry_pause_ns * 2, RETRY_MIN_NS), RETRY_MAX_NS);
    l->retry_ns = now_ns + l->retry_pause_ns;
    if (!atomic_exchange_explicit(&l->is_behind, true, memory_order_relaxed) && l->log) {
        log_event(l->log, LOG_ERROR,
                  "the database takes no usage records, the journal keeps them: %s",
                  store_db_error(db));
    }
}

static void drain_succeeded(struct ledger *l)
{
    l->retry_pause_ns = 0;
    if (atomic_exchange_explicit(&l->is_behind, false, memory_order_relaxed) && l->log) {
        log_event(l->log, LOG_INFO, "the database takes usage records again");
    }
}

/* --- segments --- */

/* Open records of a segment that is to be used again. */
static enum err carry_opens(struct ledger *l, struct store_db *db, struct lane *lane,
                            uint32_t generation)
{
    size_t n;
    do {
        n = 0;
        arena_reset(&l->texts);
        for (size_t i = 0; i < l->opens.cap && n < LEDGER_BATCH_RECORDS; i++) {
            const struct open_place *p = &l->opens.places[i];
            struct journal_item item;
            size_t at = p->slot;
            const struct segment *s = lane_segment(lane, generation);
            if (p->segment != generation || p->lane != lane->dir.worker ||
                !journal_next(segment_base(s), segment_slots(s), generation, &at, l->scratch,
                              &item)) {
                continue;
            }
            struct slice payload = arena_dup(&l->texts, item.payload);
            if (!payload.ptr) {
                break;
            }
            n += journal_decode(payload, &l->closed[n]);
        }
        struct store_batch batch = {.opens = l->closed, .open_count = n};
        enum err e = n ? store_usage_write(db, &batch) : OK;
        if (e != OK) {
            return e;
        }
        for (size_t i = 0; i < n; i++) {
            openmap_remove(&l->opens, l->closed[i].id);
        }
    } while (n);
    return OK;
}

static void push_segment(struct lane *lane, struct segment *s)
{
    struct segment_ring *ring = &lane->worker.ring;
    uint32_t generation = pushed_of(lane) + 1;
    assert(s->generation == generation);
    atomic_store_explicit(&ring->at[(generation - 1) % ring->cap], s, memory_order_release);
    atomic_store_explicit(&ring->pushed, generation, memory_order_release);
}

static struct segment *free_segment(struct lane *lane)
{
    struct segment *free = NULL;
    int64_t count = 0;
    for (size_t i = 0; i < lane->segments_max; i++) {
        if (!segment_base(&lane->segments[i])) {
            free = &lane->segments[i];
            count++;
        }
    }
    atomic_store_explicit(&lane->free_segments, count, memory_order_relaxed);
    return free;
}

enum err lane_prepare(struct ledger *l, struct lane *lane, uint32_t ready)
{
    uint32_t in_use = position_generation(published_of(lane));
    while (pushed_of(lane) < in_use + ready) { /* the one in use counts too */
        struct segment *s = free_segment(lane);
        if (!s) {
            return OK; /* segments_max: opens are refused until the store has caught up */
        }
        enum err e = segment_create(s, &lane->dir, pushed_of(lane) + 1);
        if (e != OK) {
            if (!l->is_prepare_failing && l->log) {
                log_event(l->log, LOG_ERROR, "no new journal segment: %s", strerrordesc_np(errno));
            }
            l->is_prepare_failing = true;
            return e;
        }
        l->is_prepare_failing = false;
        push_segment(lane, s);
    }
    (void)free_segment(lane);
    return OK;
}

/* One, and as many more as a second fills at the pace of late: making one costs 2,048 writes. */
static uint32_t ready_wanted(const struct ledger *l, const struct lane *lane)
{
    uint64_t published = published_of(lane);
    if (published == position(1, 0)) {
        return 0; /* zeroing a segment takes longer than the rest of a start; the first one is there
                   */
    }
    if (position_generation(published) == 1) {
        return LEDGER_READY_IDLE;
    }
    uint64_t filled_a_second = lane->pace_bytes / l->conf.segment_bytes;
    return filled_a_second < LEDGER_READY_BUSY - LEDGER_READY_IDLE
               ? LEDGER_READY_IDLE + (uint32_t)filled_a_second
               : LEDGER_READY_BUSY;
}

/* Bytes a second since the last look; what is lower than before lowers it slowly. */
static void note_pace(const struct ledger *l, struct lane *lane, int64_t now_ns)
{
    uint64_t published = published_of(lane);
    uint64_t segments = position_generation(published) - position_generation(lane->paced);
    int64_t slots = (int64_t)(segments * (l->conf.segment_bytes / JOURNAL_SLOT_BYTES)) +
                    (int64_t)position_slot(published) - (int64_t)position_slot(lane->paced);
    int64_t elapsed_us = i64_max((now_ns - lane->paced_ns) / NS_PER_US, 1);
    uint64_t pace = (uint64_t)slots * JOURNAL_SLOT_BYTES * 1000000 / (uint64_t)elapsed_us;
    uint64_t before = lane->pace_bytes - lane->pace_bytes / 8;
    lane->pace_bytes = pace > before ? pace : before;
    lane->paced = published;
    lane->paced_ns = now_ns;
}

static void free_oldest(struct lane *lane)
{
    struct segment *s = lane_segment(lane, lane->oldest);
    lane->oldest++;
    uint32_t next = pushed_of(lane) + 1;
    if (next <= position_generation(published_of(lane)) + LEDGER_READY_RECYCLED &&
        segment_recycle(s, &lane->dir, next, lane->busy_ns != 0) == OK) {
        push_segment(lane, s);
    } else {
        segment_remove(s, &lane->dir);
    }
}

/* What a recycled segment held must be safe in the database first, through a power cut too. */
static enum err recycle(struct ledger *l, struct store_db *db, struct lane *lane)
{
    uint32_t done = position_generation(lane->read);
    if (lane->oldest == done || is_failed(l)) {
        return OK;
    }
    for (uint32_t generation = lane->oldest; generation < done; generation++) {
        enum err e = carry_opens(l, db, lane, generation);
        if (e != OK) {
            return e;
        }
    }
    enum err e = store_sync(db);
    while (e == OK && lane->oldest < done) {
        free_oldest(lane);
    }
    return e;
}

static void touch_ahead(struct lane *lane)
{
    uint64_t published = published_of(lane);
    uint32_t generation = position_generation(published);
    size_t at = position_slot(published) * JOURNAL_SLOT_BYTES;
    size_t ahead = LEDGER_TOUCH_AHEAD_BYTES;
    if (position_generation(lane->touched) == generation) { /* as fast as up to now, twice */
        size_t before = position_slot(lane->touched) * JOURNAL_SLOT_BYTES;
        ahead += at > before ? (at - before) * 2 : 0;
    }
    lane->touched = published;
    if (!lane->dir.is_mmap || generation > pushed_of(lane)) {
        return;
    }
    struct segment *s = lane_segment(lane, generation);
    segment_populate(s, at + ahead);
    if (at + ahead > s->bytes && generation < pushed_of(lane)) {
        segment_populate(lane_segment(lane, generation + 1), at + ahead - s->bytes);
    }
}

/* Pages that were read need not count as ours: they stay in the page cache. */
static void forget_read(struct lane *lane)
{
    uint32_t generation = position_generation(lane->read);
    size_t at = position_slot(lane->read) * JOURNAL_SLOT_BYTES;
    if (!lane->dir.is_mmap || generation < lane->oldest) {
        return;
    }
    size_t from = position_generation(lane->forgotten) == generation
                      ? position_slot(lane->forgotten) * JOURNAL_SLOT_BYTES
                      : 0;
    if (at >= from + LEDGER_TOUCH_AHEAD_BYTES) {
        at -= at % LEDGER_TOUCH_AHEAD_BYTES;
        (void)madvise(segment_base(lane_segment(lane, generation)) + from, at - from,
                      MADV_DONTNEED);
        lane->forgotten = position(generation, at / JOURNAL_SLOT_BYTES);
    }
}

/* While much is written, pages stay mapped: their segments come round again, and a fault costs more
 * than all else that is done for the records of a page. When that is over they are let go. */
static void forget(struct lane *lane, size_t records, int64_t now_ns)
{
    if (records >= BUSY_RECORDS) {
        lane->busy_ns = now_ns;
    } else if (lane->busy_ns == 0) {
        forget_read(lane);
    } else if (now_ns - lane->busy_ns > COOL_NS) {
        uint32_t in_use = position_generation(published_of(lane));
        for (uint32_t ready = in_use + 1; ready <= pushed_of(lane); ready++) {
            segment_forget(lane_segment(lane, ready));
        }
        lane->busy_ns = 0;
        forget_read(lane);
    }
}

/* The first slot in that segment, from there on, whose request is still open; slots when none is.
 */
static size_t first_open(const struct ledger *l, const struct lane *lane, uint32_t generation,
                         size_t from, size_t slots)
{
    size_t first = slots;
    for (size_t i = 0; l->opens.count && i < l->opens.cap; i++) {
        const struct open_place *p = &l->opens.places[i];
        if (p->segment == generation && p->lane == lane->dir.worker && p->slot >= from &&
            p->slot < first) {
            first = p->slot;
        }
    }
    return first;
}

/* Slots from..to of a segment, of which those before stored are durable in the database but for
 * what is still open. The first page of a segment is synced in any case: it says to recovery which
 * life of the file this is. */
static bool sync_slots(const struct ledger *l, const struct lane *lane, uint64_t from, size_t to,
                       uint64_t stored)
{
    uint32_t generation = position_generation(from);
    const struct segment *s = lane_segment(lane, generation);
    size_t first = position_slot(from);
    if (stored > from) {
        size_t end = position_generation(stored) == generation ? position_slot(stored) : to;
        first = first_open(l, lane, generation, first, size_min(end, to));
        first -= first % JOURNAL_PAGE_SLOTS;
    }
    bool is_new = position_slot(from) == 0 && first > 0;
    return (!is_new || segment_sync(s, 0, JOURNAL_PAGE_BYTES)) &&
           segment_sync(s, first * JOURNAL_SLOT_BYTES, to * JOURNAL_SLOT_BYTES);
}

static void sync_lane(struct ledger *l, struct lane *lane, uint64_t stored)
{
    uint64_t finished = atomic_load_explicit(&lane->worker.finished, memory_order_acquire);
    uint32_t last = position_generation(finished);
    while (lane->synced < finished) {
        uint32_t generation = position_generation(lane->synced);
        if (generation >= lane->oldest) { /* an older one is in the database, durably */
            size_t to = generation == last ? position_slot(finished)
                                           : segment_slots(lane_segment(lane, generation));
            if (!sync_slots(l, lane, lane->synced, to, stored)) {
                atomic_store_explicit(&l->is_failed, true, memory_order_relaxed);
            }
        }
        lane->synced = generation == last ? finished : position(generation + 1, 0);
    }
}

/* Makes finished pages durable. What has been drained needs no page of its own on the disk: the
 * database's WAL, a fifth as long, is synced in their place, and only pages with requests that are
 * still open and with what could not be drained are synced as well. */
static void sync_lanes(struct ledger *l, struct store_db *db, bool is_drained)
{
    bool is_any = false;
    for (size_t i = 0; i < l->conf.workers; i++) {
        const struct lane *lane = &l->lanes[i];
        is_any = is_any ||
                 lane->synced < atomic_load_explicit(&lane->worker.finished, memory_order_acquire);
    }
    if (!is_any || is_failed(l)) {
        return;
    }
    bool is_stored = is_drained && store_sync(db) == OK;
    for (size_t i = 0; i < l->conf.workers; i++) {
        sync_lane(l, &l->lanes[i], is_stored ? l->lanes[i].read : 0);
    }
}

/* --- the periodic --- */

static bool is_caught_up(const struct ledger *l)
{
    for (size_t i = 0; i < l->conf.workers; i++) {
        if (l->lanes[i].read != published_of(&l->lanes[i])) {
            return false;
        }
    }
    return true;
}

static enum err drain_turn(struct ledger *l, struct store_db *db, size_t *out_records)
{
    bool is_more = true;
    enum err e = OK;
    for (int i = 0; e == OK && is_more && i < BATCHES_A_TURN; i++) {
        size_t records = 0;
        is_more = false;
        e = drain_once(l, db, &records, &is_more);
        *out_records += records;
        for (size_t k = 0; e == OK && k < l->conf.workers; k++) {
            e = recycle(l, db, &l->lanes[k]);
        }
    }
    if (e == OK && is_more) {
        store_wake(l->store);
    }
    return e;
}

static void prepare_lanes(struct ledger *l, uint32_t ready_max)
{
    for (size_t i = 0; i < l->conf.workers && !is_failed(l); i++) {
        uint32_t wanted = ready_wanted(l, &l->lanes[i]);
        (void)!lane_prepare(l, &l->lanes[i], wanted < ready_max ? wanted : ready_max);
        /* logged; next turn */
    }
}

static void touch_lanes(struct ledger *l, int64_t now_ns)
{
    for (size_t i = 0; i < l->conf.workers && !is_failed(l); i++) {
        note_pace(l, &l->lanes[i], now_ns);
        touch_ahead(&l->lanes[i]);
    }
}

static void turn_succeeded(struct ledger *l, size_t records, int64_t now_ns)
{
    for (size_t i = 0; i < l->conf.workers && !is_failed(l); i++) {
        forget(&l->lanes[i], records, now_ns);
    }
    drain_succeeded(l);
    if (is_caught_up(l)) {
        atomic_store_explicit(&l->caught_up_ns, now_ns, memory_order_relaxed);
    }
}

/* One segment is made ready in any case; the others after the drain, which may have freed some. */
void ledger_periodic(void *ctx, struct store_db *db)
{
    struct ledger *l = ctx;
    int64_t now_ns = clock_mono_ns();
    size_t records = 0;
    bool is_trying = now_ns >= l->retry_ns;
    prepare_lanes(l, LEDGER_READY_IDLE);
    touch_lanes(l, now_ns);
    bool is_drained = is_trying && drain_turn(l, db, &records) == OK;
    if (is_trying && !is_drained) {
        drain_failed(l, db, clock_mono_ns());
    }
    prepare_lanes(l, UINT32_MAX);
    sync_lanes(l, db, is_drained);
    if (is_drained) {
        turn_succeeded(l, records, now_ns);
    }
}

enum err ledger_drain_all(struct ledger *l, struct store_db *db)
{
    bool is_more = true;
    enum err e = OK;
    while (e == OK && is_more) {
        size_t records = 0;
        is_more = false;
        e = drain_once(l, db, &records, &is_more);
    }
    return e;
}
