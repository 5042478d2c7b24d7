/* ledger/ledger.h -- every request of a known key ends as one usage record, exactly once, through
 * kill -9.
 *
 * A worker fills slots of a memory-mapped segment (ledger/journal.h) and publishes them with a
 * release store: no system call. The store's writer thread reads up to the published index, writes
 * batches, moves checkpoints, prepares segments ahead and recycles them. No segment ready means
 * E_BUSY: the caller answers 503 rather than serve unrecorded.
 */
#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include "chat/record.h"
#include "core/err.h"
#include "core/log.h"
#include "store/store.h"

struct ledger;        /* one a process: the instance directory with its lock */
struct ledger_worker; /* one a worker; used by its thread only */

/* INTERVAL: finished pages, or the rows that were made of them, are made durable every
 * sync_interval_ns by the store's thread; a kill
 * loses nothing, a power cut up to that interval. STRICT: the worker itself makes the page of a
 * close durable inside ledger_close_record() and ledger_single_record(), and waits for the disk. */
enum ledger_sync { LEDGER_SYNC_INTERVAL = 0, LEDGER_SYNC_STRICT };
enum ledger_crash_bill { LEDGER_CRASH_RESERVED = 0, LEDGER_CRASH_ZERO };

struct ledger_conf {
    struct slice data_dir; /* journal/<instance>/ below it */
    size_t workers;
    size_t segment_bytes;      /* 8 MiB; a multiple of 4096, 16 KiB to 1 GiB */
    size_t segments_max;       /* per worker, when the database is down; at least 2 */
    int64_t drain_interval_ns; /* 50 ms; larger batches cost less a row with many tenants */
    int64_t sync_interval_ns;  /* 100 ms; no shorter than the drain's */
    enum ledger_sync sync;
    bool is_mmap; /* false: journal.io = write: one pwrite a record, no mapping of the file */
    enum ledger_crash_bill crash_bill;
};

/* Locks data_dir (E_LOCKED: another process owns it; why says which pid), recovers every instance
 * directory it can lock: records after the checkpoint go to the store, opens without close become
 * crashed rows. Installs itself as the store's periodic. Before the first accept the caller
 * rebuilds limits from the store. */
MUST_USE enum err ledger_open(const struct ledger_conf *conf, struct store *store, struct log *log,
                              struct ledger **out, char *why, size_t why_cap);
/* Flushes everything published, waits for the store, removes a clean instance directory. Workers
 * must be stopped. */
void ledger_close(struct ledger *l);
struct ledger_worker *ledger_worker(struct ledger *l, size_t worker);

/* At reserve. E_BUSY: no room (503); E_IO: the journal has failed (503). */
MUST_USE enum err ledger_open_record(struct ledger_worker *w, const struct usage_record *r) NONNULL;
/* Before the last byte is sent. The room for it was kept by the open record: never fails for want
 * of segments; E_IO when the journal has failed meanwhile. */
MUST_USE enum err ledger_close_record(struct ledger_worker *w, const struct usage_record *r)
    NONNULL;
/* A record without an open one: cache hits. */
MUST_USE enum err ledger_single_record(struct ledger_worker *w, const struct usage_record *r)
    NONNULL;
/* Counted per key, reason and minute; written as one row when the minute is over, at drain and at
 * close. */
void ledger_refusal(struct ledger_worker *w, const struct usage_record *r) NONNULL;
/* From the worker's tick, about every 50 ms: moves to a page boundary when a sync is due, flushes
 * refusals. */
void ledger_tick(struct ledger_worker *w, int64_t unix_ns) NONNULL;

struct ledger_status {
    bool is_failed; /* SIGBUS or write error: 503 */
    bool is_behind; /* the database does not take records; the journal grows */
    int64_t lag_ns; /* age of the oldest record not yet in the store */
    int64_t pending_records;
    int64_t free_segments;
};
struct ledger_status ledger_status(const struct ledger *l);
/* Marks the journal failed when the faulting address lies in a segment (maps a private page there
 * so that the store goes on); false: not ours. Async-signal-safe. */
bool ledger_on_sigbus(struct ledger *l, void *address);

#endif
