/* store/store.h -- durable data: tenants, keys, usage, audit. SQLite now; PostgreSQL behind the
 * same functions later.
 *
 * A struct store owns two threads: a writer with the only writing connection, and a reader whose
 * queries have a time limit. Jobs are run on them in order; queues are bounded. Functions that take
 * a struct store_db block and are called on those threads only (or by the command line, which opens
 * a db of its own). Rows handed to callbacks are borrowed.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "chat/record.h"
#include "core/arena.h"
#include "core/err.h"
#include "core/hash.h"

enum {
    STORE_QUEUE_MAX = 4096,
    STORE_NAME_MAX_BYTES = 200,
    STORE_PAGE_MAX = 1000,
    BUDGET_PERIODS = 4
};

enum budget_period { BUDGET_DAY = 0, BUDGET_WEEK, BUDGET_MONTH, BUDGET_TOTAL };

/* Limits and policy of a tenant or a key; -1 means absent (unlimited), which is not 0. */
struct store_policy {
    int64_t rate_per_min, tokens_per_min, concurrent_max;
    int64_t budget_nusd[BUDGET_PERIODS];
    uint8_t soft_budgets;        /* bit per budget_period: counted and alarmed, not refused */
    struct slice allowed_models; /* JSON array of names and patterns; empty: all */
    struct slice cache_mode;     /* "", "on", "off" */
    struct slice audit_level;    /* "metadata" by default */
};

struct store_tenant {
    struct id id;
    struct id parent; /* zero: a root */
    struct slice name;
    struct store_policy policy;
    bool is_active;
    int64_t created_unix_ns;
    int64_t changed_seq; /* of the change that last touched it */
};

struct store_key {
    struct id id, tenant;
    struct sha256 hash; /* of the whole key text */
    struct slice name;
    struct slice hint; /* first characters, for people: "llm-gw-Ab3d..." */
    struct store_policy policy;
    bool is_active;
    int64_t expires_unix_ns; /* 0: never */
    int64_t created_unix_ns, changed_seq;
};

struct store_conf {
    struct slice path; /* SQLite file */
    bool is_migrating; /* apply migrations at open; otherwise a schema that is behind is E_DB */
    int64_t query_timeout_ns;
};

struct store;
struct store_db;

/* Runs on a store thread, once; then it is its owner's again, to be freed, posted or submitted
 * anew. On E_BUSY (queue full, store closing) it never runs and stays the caller's; one that was
 * taken always runs, with a db. */
struct store_job {
    void (*run)(struct store_job *job, struct store_db *db);
    struct store_job *next;
};

/* out_why, when not NULL, gets a static or db-owned text for the user. */
MUST_USE enum err store_open(const struct store_conf *conf, struct store **out, char *why,
                             size_t why_cap);
/* Runs what is queued, then stops the threads. */
void store_close(struct store *s);
MUST_USE enum err store_submit_write(struct store *s, struct store_job *job);
MUST_USE enum err store_submit_read(struct store *s, struct store_job *job);
/* fn runs on the writer thread about every interval, and after store_wake(). One only. When it
 * returns, the function set before is not running any more (so not from within that function). */
void store_set_periodic(struct store *s, void (*fn)(void *ctx, struct store_db *db), void *ctx,
                        int64_t interval_ns);
void store_wake(struct store *s);
/* The writer's last transaction failed for a reason that is the database's. Any thread. */
bool store_is_failing(const struct store *s);

/* A connection without threads: command line, migrate, tests. */
MUST_USE enum err store_db_open(const struct store_conf *conf, struct store_db **out, char *why,
                                size_t why_cap);
void store_db_close(struct store_db *db);
MUST_USE enum err store_db_migrate(struct store_db *db, int *out_from, int *out_to);
/* The schema's version that opening found, before it migrated; 0: the database was empty. */
int store_db_opened_version(const struct store_db *db);
const char *store_db_error(const struct store_db *db);

/* --- directory --- */
struct store_audit {      /* one row of audit_log, written in the same transaction as the change */
    struct slice actor;   /* "admin", "cli" */
    struct slice action;  /* "tenant.create" ... */
    struct slice subject; /* id */
    struct slice detail;  /* JSON */
    int64_t at_unix_ns;
};

MUST_USE enum err store_tenant_insert(
    struct store_db *db, const struct store_tenant *t, const struct store_key *first_key,
    const struct store_audit *audit); /* E_NOT_FOUND: no such parent; E_LIMIT: depth > 8 */
MUST_USE enum err store_tenant_update(struct store_db *db, const struct store_tenant *t,
                                      const struct store_audit *audit);
MUST_USE enum err store_key_insert(struct store_db *db, const struct store_key *k,
                                   const struct store_audit *audit);
MUST_USE enum err store_key_update(struct store_db *db, const struct store_key *k,
                                   const struct store_audit *audit);
MUST_USE enum err store_tenant_get(struct store_db *db, struct arena *a, struct id id,
                                   struct store_tenant *out);
MUST_USE enum err store_key_get(struct store_db *db, struct arena *a, struct id id,
                                struct store_key *out);
/* Ordered by id, after the cursor (zero: from the start), at most limit. */
MUST_USE enum err store_tenant_list(struct store_db *db, struct id after, int limit,
                                    void (*row)(void *ctx, const struct store_tenant *t),
                                    void *ctx);
MUST_USE enum err store_key_list(struct store_db *db, struct id tenant, struct id after, int limit,
                                 void (*row)(void *ctx, const struct store_key *k), void *ctx);
/* Changes since a sequence number, tenants before keys; *out_seq is the newest. Cheap when nothing
 * changed (data_version). */
MUST_USE enum err store_directory_since(struct store_db *db, int64_t seq,
                                        void (*tenant)(void *ctx, const struct store_tenant *t),
                                        void (*key)(void *ctx, const struct store_key *k),
                                        void *ctx, int64_t *out_seq);
MUST_USE enum err store_audit_list(struct store_db *db, int64_t before_rowid, int limit,
                                   void (*row)(void *ctx, int64_t rowid,
                                               const struct store_audit *a),
                                   void *ctx);

/* --- usage --- */
struct store_checkpoint {
    struct id instance;
    int32_t worker;
    int64_t segment, slot;
};

/* One transaction: rows (by id, a later close replaces a crashed or open row), usage_daily, period
 * totals, opens carried to or removed from requests_open, the checkpoint. Idempotent: rows that are
 * there already count nothing twice. */
struct store_batch {
    const struct usage_record *closed;
    size_t closed_count;
    const struct usage_record *opens;
    size_t open_count;                  /* opens to keep in requests_open */
    struct store_checkpoint checkpoint; /* instance zero: none */
    const struct store_checkpoint
        *checkpoints; /* more of them: a batch may cover several workers */
    size_t checkpoint_count;
};
MUST_USE enum err store_usage_write(struct store_db *db, const struct store_batch *batch);
MUST_USE enum err store_checkpoint_get(struct store_db *db, struct id instance, int32_t worker,
                                       struct store_checkpoint *out);
MUST_USE enum err store_open_list(struct store_db *db,
                                  void (*row)(void *ctx, const struct usage_record *r), void *ctx);
/* Settled totals of the periods that hold the time, per tenant and per key: rebuilds budgets. */
MUST_USE enum err store_period_totals(struct store_db *db, int64_t now_unix_ns,
                                      void (*row)(void *ctx, struct id node,
                                                  enum budget_period period, int64_t period_number,
                                                  int64_t cost_nusd),
                                      void *ctx);
/* Admissions of the last 60 s: rebuilds the windows. */
MUST_USE enum err store_recent_admissions(struct store_db *db, int64_t since_unix_ns,
                                          void (*row)(void *ctx, const struct usage_record *r),
                                          void *ctx);
MUST_USE enum err store_request_get(struct store_db *db, struct arena *a, struct id id,
                                    struct usage_record *out);

/* Deletes up to max_rows requests admitted before that time; sums stay. Again until fewer go. */
MUST_USE enum err store_retain(struct store_db *db, int64_t before_unix_ns, int64_t max_rows,
                               int64_t *out_deleted);
/* What was committed survives a power cut after this (commits alone survive the process). */
MUST_USE enum err store_sync(struct store_db *db);
/* The instance's journal is gone; so are its checkpoints. */
MUST_USE enum err store_checkpoints_forget(struct store_db *db, struct id instance);

struct store_usage_row {
    struct slice provider;
    int64_t requests, tokens, cost_nusd;
    int64_t latency_avg_us;
    int64_t prompt_tokens; /* with those that the provider's prompt cache read and wrote: */
    int64_t cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens;
    int64_t saved_nusd; /* as usage_record's */
};
MUST_USE enum err store_usage_by_provider(struct store_db *db, struct id tenant,
                                          int64_t since_unix_ns,
                                          void (*row)(void *ctx, const struct store_usage_row *r),
                                          void *ctx);

/* Number of the period of that kind that holds the time: days, ISO weeks (Monday), months since
 * 1970; 0 for BUDGET_TOTAL. */
int64_t budget_period_number(enum budget_period period, int64_t unix_ns);

#endif
