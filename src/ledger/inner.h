/* ledger/inner.h -- inside of ledger/: what a worker's side and the store's writer thread share.
 *
 *   worker (append.c)                              writer thread (drain.c)
 *   takes segments from the ring      <-ring-----  prepares, recycles, pushes
 *   fills slots, publishes            --published->  reads up to it, writes batches
 *   moves to a page boundary          --finished-->  makes what is before it durable
 *
 * Positions are generation << 32 | slot; generations count from 1.
 */
#ifndef LEDGER_INNER_H
#define LEDGER_INNER_H

#include "ledger/ledger.h"
#include "ledger/openmap.h"
#include "ledger/segment.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

enum {
    LEDGER_BATCH_RECORDS = 4096,      /* closed records a transaction */
    LEDGER_BATCH_OPENS = 8192,        /* open records read a transaction */
    LEDGER_REFUSALS_MAX = 64,         /* keys and reasons counted at a time, a worker */
    LEDGER_REFUSAL_REASON_BYTES = 64, /* names of limits are shorter */
    LEDGER_READY_IDLE = 1,            /* segments kept ready before a worker has filled one */
    LEDGER_READY_BUSY = 3,     /* at most: 3 x 8 MiB is most of a second at 40,000 requests */
    LEDGER_READY_RECYCLED = 6, /* drained segments are kept up to there, rather than made anew */
    LEDGER_TOUCH_AHEAD_BYTES = 256 * 1024,
    LEDGER_TEXT_MAX_BYTES = 32 << 20, /* of one batch, for records of several slots */
    CACHE_LINE_BYTES = 64
};

static inline uint64_t position(uint32_t generation, size_t slot)
{
    return (uint64_t)generation << 32 | (uint32_t)slot;
}

static inline uint32_t position_generation(uint64_t p)
{
    return (uint32_t)(p >> 32);
}

static inline size_t position_slot(uint64_t p)
{
    return (uint32_t)p;
}

struct refusal {
    struct usage_record record; /* of the first one; its only text is the reason */
    int64_t minute;
    char reason[LEDGER_REFUSAL_REASON_BYTES];
};

/* The ring of segments handed to a worker; slot (generation - 1) % cap. No overwriting: a lane
 * never has more segments than the ring has places. */
struct segment_ring {
    _Atomic(struct segment *) *at; /* owned by the lane */
    uint32_t cap;
    _Atomic uint32_t pushed; /* generation of the newest segment handed over */
};

struct ledger_worker {
    struct ledger *ledger; /* borrowed */
    /* the worker's thread only */
    struct segment *segment; /* being filled; NULL before the first */
    char *base;
    size_t at; /* next slot */
    size_t slots;
    uint32_t generation;
    uint64_t sequence;
    size_t open_count; /* closes whose room is reserved */
    int64_t synced_unix_ns;
    size_t synced_at; /* slot at the last page boundary we went to */
    size_t wake_at;   /* slot from which the writer thread is woken, once a segment */
    struct refusal *refusals;
    size_t refusal_count;
    char *payload; /* JOURNAL_RECORD_MAX_BYTES */
    /* written by the worker, read by the writer thread */
    alignas(CACHE_LINE_BYTES) _Atomic uint64_t published;
    _Atomic uint64_t finished;
    _Atomic uint64_t appended; /* records */
    /* written by the writer thread, read by the worker */
    alignas(CACHE_LINE_BYTES) struct segment_ring ring;
};

/* A worker's journal as the writer thread sees it. */
struct lane {
    struct ledger_worker worker;
    struct segment_dir dir;
    struct segment *segments; /* segments_max; owned */
    size_t segments_max;
    uint64_t read;       /* everything before it is in the store */
    uint64_t ahead;      /* read, if the batch being made is written */
    uint64_t synced;     /* everything before it is durable, here or in the database */
    uint32_t oldest;     /* generation of the oldest segment kept */
    uint64_t touched;    /* published, at the last look */
    uint64_t paced;      /* published, when the pace was last taken */
    int64_t paced_ns;    /* monotonic: when that was */
    uint64_t pace_bytes; /* a second */
    uint64_t forgotten;  /* pages before it are no longer mapped in */
    int64_t busy_ns;     /* monotonic: of the last busy turn while pages are kept mapped; or 0 */
    _Atomic uint64_t drained; /* records in the store */
    _Atomic int64_t free_segments;
    uint64_t batch_records; /* records in the batch being made */
};

struct ledger {
    struct ledger_conf conf; /* data_dir is not kept */
    struct store *store;     /* borrowed */
    struct log *log;         /* borrowed; NULL: silent */
    struct id instance;
    int lock_fd;          /* data_dir/lock */
    int journal_fd;       /* data_dir/journal */
    int instance_fd;      /* data_dir/journal/<instance> */
    int instance_lock_fd; /* .../lock */
    struct lane *lanes;   /* conf.workers; owned, aligned */
    _Atomic bool is_failed;
    _Atomic bool is_behind;
    _Atomic int64_t caught_up_ns; /* monotonic: when last nothing was left to read */
    /* the writer thread only */
    struct openmap opens;
    struct usage_record *closed;
    size_t closed_count;
    size_t opened_count; /* open records in the batch being made */
    struct arena texts;  /* of the batch being made */
    char *scratch;       /* JOURNAL_SCRATCH_BYTES */
    int64_t retry_ns;    /* monotonic: not before, after the store failed */
    int64_t retry_pause_ns;
    bool is_prepare_failing;
};

/* append.c */
void worker_flush_refusals(struct ledger_worker *w, int64_t before_minute);
/* drain.c: called on the store's writer thread. */
void ledger_periodic(void *ctx, struct store_db *db);
/* Everything published, in as many batches as it takes. */
MUST_USE enum err ledger_drain_all(struct ledger *l, struct store_db *db);
MUST_USE enum err lane_prepare(struct ledger *l, struct lane *lane, uint32_t ready);
/* The segment of that generation; it is still kept. */
struct segment *lane_segment(const struct lane *lane, uint32_t generation);
/* Writes what the open ones are booked as now that their process is gone. */
void record_crash(const struct ledger_conf *conf, struct usage_record *r);
/* recovery.c: every instance directory that can be locked, then table requests_open. */
MUST_USE enum err ledger_recover(struct ledger *l, struct store_db *db, char *why, size_t why_cap);
/* Removes an instance's files and the directory; true when nothing is left. */
bool instance_remove(int journal_fd, const char *name);

#endif
