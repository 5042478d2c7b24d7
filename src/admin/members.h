/* admin/members.h -- strict request bodies: a table of members; anything else is a 422 that names
 * it. */
#ifndef ADMIN_MEMBERS_H
#define ADMIN_MEMBERS_H

#include "admin/job.h"

enum member_kind {
    MEMBER_TEXT,    /* struct slice; 1..STORE_NAME_MAX_BYTES bytes */
    MEMBER_COUNT,   /* int64_t >= 0; null: -1 */
    MEMBER_USD,     /* int64_t nano-USD >= 0; null: -1 */
    MEMBER_ID,      /* struct id; null: zero */
    MEMBER_BOOL,    /* bool */
    MEMBER_MODELS,  /* struct slice: JSON array of names; null: empty */
    MEMBER_CACHE,   /* struct slice: "on", "off"; null: empty */
    MEMBER_AUDIT,   /* struct slice: "metadata" */
    MEMBER_PERIODS, /* uint8_t: bits of a list of day, week, month, total */
    MEMBER_TIME,    /* int64_t: RFC 3339 or Unix seconds; null: 0 */
    MEMBER_HASH     /* struct sha256: 64 hexadecimal digits */
};

struct member {
    const char *name;
    enum member_kind kind;
    size_t offset; /* into the target struct */
    bool is_required;
};

/* Fills target from job->body; members that are absent keep what target holds. False: job has its
 * 422. */
MUST_USE bool members_read(struct admin_job *job, const struct member *table, size_t n,
                           void *target);
/* One-element 422 list in FastAPI's form. member NULL: the body itself; input NULL: null. */
void members_fault(struct admin_job *job, const char *type, const char *member,
                   struct slice message, yyjson_val *input);
/* Was the member given (null counts)? */
bool members_has(const struct admin_job *job, const char *name);

/* Rows for a table whose target has a struct store_policy at the given offset. */
#define POLICY_MEMBERS(base)                                                                      \
    {"rate_limit", MEMBER_COUNT, (base) + offsetof(struct store_policy, rate_per_min), false},    \
        {"tokens_per_minute", MEMBER_COUNT,                                                       \
         (base) + offsetof(struct store_policy, tokens_per_min), false},                          \
        {"max_concurrent", MEMBER_COUNT, (base) + offsetof(struct store_policy, concurrent_max),  \
         false},                                                                                  \
        {"daily_budget", MEMBER_USD,                                                              \
         (base) + offsetof(struct store_policy, budget_nusd[BUDGET_DAY]), false},                 \
        {"weekly_budget", MEMBER_USD,                                                             \
         (base) + offsetof(struct store_policy, budget_nusd[BUDGET_WEEK]), false},                \
        {"monthly_budget", MEMBER_USD,                                                            \
         (base) + offsetof(struct store_policy, budget_nusd[BUDGET_MONTH]), false},               \
        {"total_budget", MEMBER_USD,                                                              \
         (base) + offsetof(struct store_policy, budget_nusd[BUDGET_TOTAL]), false},               \
        {"soft_budgets", MEMBER_PERIODS, (base) + offsetof(struct store_policy, soft_budgets),    \
         false},                                                                                  \
        {"allowed_models", MEMBER_MODELS, (base) + offsetof(struct store_policy, allowed_models), \
         false},                                                                                  \
        {"cache", MEMBER_CACHE, (base) + offsetof(struct store_policy, cache_mode), false},       \
    {                                                                                             \
        "audit_level", MEMBER_AUDIT, (base) + offsetof(struct store_policy, audit_level), false   \
    }

#endif
