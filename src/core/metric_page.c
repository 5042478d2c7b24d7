#include "core/clock.h"
#include "core/metric.h"
#include "core/metric_inside.h"
#include "core/money.h"

#include <assert.h>
#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

struct family_row {
    const char *name, *kind, *labels, *help;
    bool is_extra;
};
#define KIND_COUNTER   "counter"
#define KIND_GAUGE     "gauge"
#define KIND_HISTOGRAM "histogram"
enum { OWNER_SHARD = 0, OWNER_EXTRA = 1 };
static const struct family_row family_rows[METRIC_FAMILY_COUNT] = {
#define METRIC(id, kind, owner, name, labels, help) \
    {name, KIND_##kind, labels, help, OWNER_##owner},
#include "core/metrics.def"
#undef METRIC
};

static const char *const status_labels[METRIC_STATUS_COUNT] = {
    NULL, "success", "cached", "error", "refused", "client_gone", "upstream_cut", "crashed"};
static const char *const token_labels[METRIC_TOKEN_COUNT] = {
    "prompt", "completion", "cache_read", "cache_write", "cache_write_1h", "reasoning"};
static const char *const outcome_labels[METRIC_OUTCOME_COUNT] = {"ok", "failed", "limited",
                                                                 "refused", "cancelled"};
static const char *const price_labels[METRIC_PRICE_COUNT] = {"known", "flat", "zero", "unknown"};
static const char *const auth_labels[METRIC_AUTH_COUNT] = {"missing", "invalid"};
static const char *const dropped_labels[METRIC_DROPPED_COUNT] = {"log_lines", "overload", "records",
                                                                 "cache_entries"};

static const int64_t wide_bounds_ns[] = {
    5 * NS_PER_MS,   10 * NS_PER_MS,  25 * NS_PER_MS, 50 * NS_PER_MS,   100 * NS_PER_MS,
    250 * NS_PER_MS, 500 * NS_PER_MS, NS_PER_S,       5 * NS_PER_S / 2, 5 * NS_PER_S,
    10 * NS_PER_S,   30 * NS_PER_S,   60 * NS_PER_S,  120 * NS_PER_S,   300 * NS_PER_S};
static const int64_t fine_bounds_ns[] = {
    10 * NS_PER_US,  25 * NS_PER_US,  50 * NS_PER_US,    100 * NS_PER_US, 250 * NS_PER_US,
    500 * NS_PER_US, NS_PER_MS,       5 * NS_PER_MS / 2, 5 * NS_PER_MS,   10 * NS_PER_MS,
    25 * NS_PER_MS,  100 * NS_PER_MS, NS_PER_S};
_Static_assert(ARRAY_LEN(wide_bounds_ns) <= METRIC_BUCKETS_MAX, "buckets");
_Static_assert(ARRAY_LEN(fine_bounds_ns) <= METRIC_BUCKETS_MAX, "buckets");

static void observe(struct metric_histogram *h, const int64_t *bounds, size_t n, int64_t ns)
{
    size_t i = 0;
    while (i < n && ns > bounds[i]) {
        i++;
    }
    metric_add(&h->buckets[i < n ? i : METRIC_BUCKETS_MAX], 1);
    metric_add(&h->sum_ns, ns);
}

void metric_observe_duration(struct metric_provider *p, int64_t ns)
{
    observe(&p->duration, wide_bounds_ns, ARRAY_LEN(wide_bounds_ns), ns);
}

void metric_observe_first_token(struct metric_provider *p, int64_t ns)
{
    observe(&p->first_token, wide_bounds_ns, ARRAY_LEN(wide_bounds_ns), ns);
}

void metric_observe_overhead(struct metric_provider *p, int64_t ns)
{
    observe(&p->overhead, fine_bounds_ns, ARRAY_LEN(fine_bounds_ns), ns);
}

/* --- the page --- */

struct metric_page {
    struct text *out;
    enum metric_family family; /* whose HELP and TYPE were written last */
    bool has_head;
};

static void add_name(struct text *out, enum metric_family family)
{
    struct slice name = slice_str(family_rows[family].name);
    if (!slice_starts(name, SLICE("process_"))) {
        TEXT_ADD(out, "llm_gateway_");
    }
    text_add(out, name);
}

/* HELP and TYPE stand before the first sample of a family, once. */
static void add_head(struct metric_page *page, enum metric_family family)
{
    if (page->has_head && page->family == family) {
        return;
    }
    page->has_head = true;
    page->family = family;
    TEXT_ADD(page->out, "# HELP ");
    add_name(page->out, family);
    text_add_char(page->out, ' ');
    text_add(page->out, slice_str(family_rows[family].help));
    TEXT_ADD(page->out, "\n# TYPE ");
    add_name(page->out, family);
    text_add_char(page->out, ' ');
    text_add(page->out, slice_str(family_rows[family].kind));
    text_add_char(page->out, '\n');
}

/* Backslash, quote and line feed are escaped (text format 0.0.4). */
static void add_label_value(struct text *out, struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '\n') {
            TEXT_ADD(out, "\\n");
        } else {
            if (c == '"' || c == '\\') {
                text_add_char(out, '\\');
            }
            text_add_char(out, c);
        }
    }
}

/* name suffix {label="value",...,extra} and a space. */
static void add_sample(struct metric_page *page, enum metric_family family, const char *suffix,
                       const struct slice *labels, struct slice extra)
{
    add_head(page, family);
    struct text *out = page->out;
    struct slice names = slice_str(family_rows[family].labels);
    add_name(out, family);
    text_add(out, slice_str(suffix));
    char before = '{';
    for (size_t i = 0; names.len; i++) {
        struct slice name = slice_head(names, slice_find(names, ','));
        names = slice_from(names, name.len + 1);
        text_add_char(out, before);
        text_add(out, name);
        TEXT_ADD(out, "=\"");
        add_label_value(out, labels[i]);
        text_add_char(out, '"');
        before = ',';
    }
    if (extra.len) {
        text_add_char(out, before);
        text_add(out, extra);
        before = ',';
    }
    text_add(out, before == ',' ? SLICE("} ") : SLICE(" "));
}

void metric_page_i64(struct metric_page *page, enum metric_family family,
                     const struct slice *labels, int64_t value)
{
    add_sample(page, family, "", labels, SLICE_NONE);
    text_add_i64(page->out, value);
    text_add_char(page->out, '\n');
}

void metric_page_nano(struct metric_page *page, enum metric_family family,
                      const struct slice *labels, int64_t nano)
{
    add_sample(page, family, "", labels, SLICE_NONE);
    text_add_usd(page->out, nano); /* an exact decimal of billionths, whatever the unit */
    text_add_char(page->out, '\n');
}

static int64_t count_of(const struct metric_count *c)
{
    return atomic_load_explicit(&c->n, memory_order_relaxed);
}

/* Sum over the shards of the count that lies at offset in struct metric_totals. */
static int64_t sum_totals(const struct metric_registry *reg, size_t offset)
{
    int64_t sum = 0;
    for (size_t i = 0; i < reg->worker_count; i++) {
        const char *base = (const char *)&reg->shards[i]->totals;
        sum += count_of((const struct metric_count *)(const void *)(base + offset));
    }
    return sum;
}

static int64_t sum_cells(const struct metric_registry *reg, const struct series *series,
                         size_t offset)
{
    int64_t sum = 0;
    for (size_t i = 0; i < reg->worker_count; i++) {
        struct metric_cell *cell = atomic_load_explicit(&series->cells[i], memory_order_acquire);
        if (cell) {
            const char *base = (const char *)cell;
            sum += count_of((const struct metric_count *)(const void *)(base + offset));
        }
    }
    return sum;
}

static int64_t sum_providers(const struct metric_registry *reg, size_t index, size_t offset)
{
    int64_t sum = 0;
    for (size_t i = 0; i < reg->worker_count; i++) {
        struct metric_provider *p =
            atomic_load_explicit(&reg->shards[i]->providers[index], memory_order_acquire);
        if (p) {
            const char *base = (const char *)p;
            sum += count_of((const struct metric_count *)(const void *)(base + offset));
        }
    }
    return sum;
}

static struct slice tenant_label(const struct series *s, char text[ID_TEXT_BYTES])
{
    if (s->is_other) {
        return SLICE("other");
    }
    if (id_is_zero(s->tenant)) {
        return SLICE("unknown");
    }
    id_format(s->tenant, text);
    return slice_of(text, ID_TEXT_BYTES);
}

static struct slice provider_label(const struct provider_name *p)
{
    return slice_of(p->text, p->len);
}

/* Counters of an enumerated label at the end: requests by status, tokens by type. Zeros are left
 * out, because most never happen. */
static void render_series_by(struct metric_page *page, const struct metric_registry *reg,
                             enum metric_family family, const char *const *names, size_t count,
                             size_t offset)
{
    struct series *s = atomic_load_explicit(&reg->series, memory_order_acquire);
    for (; s; s = atomic_load_explicit(&s->next, memory_order_acquire)) {
        char text[ID_TEXT_BYTES];
        struct slice labels[3] = {tenant_label(s, text), provider_label(s->provider), SLICE_NONE};
        for (size_t i = 0; i < count; i++) {
            int64_t n = sum_cells(reg, s, offset + i * sizeof(struct metric_count));
            if (n && names[i]) {
                labels[2] = slice_str(names[i]);
                metric_page_i64(page, family, labels, n);
            }
        }
    }
}

static void render_cost(struct metric_page *page, const struct metric_registry *reg)
{
    struct series *s = atomic_load_explicit(&reg->series, memory_order_acquire);
    for (; s; s = atomic_load_explicit(&s->next, memory_order_acquire)) {
        char text[ID_TEXT_BYTES];
        struct slice labels[2] = {tenant_label(s, text), provider_label(s->provider)};
        int64_t nusd = sum_cells(reg, s, offsetof(struct metric_cell, cost_nusd));
        if (nusd) {
            metric_page_nano(page, METRIC_COST, labels, nusd);
        }
    }
}

static bool is_same_tenant(const struct series *a, const struct series *b)
{
    return a->is_other == b->is_other && id_eq(a->tenant, b->tenant);
}

/* Families by tenant alone: the sum over its providers, at the first series of the tenant. */
static void render_by_tenant(struct metric_page *page, const struct metric_registry *reg,
                             enum metric_family family, size_t offset)
{
    struct series *all = atomic_load_explicit(&reg->series, memory_order_acquire);
    for (struct series *s = all; s; s = atomic_load_explicit(&s->next, memory_order_acquire)) {
        struct series *first = all;
        while (!is_same_tenant(first, s)) {
            first = atomic_load_explicit(&first->next, memory_order_acquire);
        }
        int64_t sum = 0;
        for (struct series *t = s; first == s && t;
             t = atomic_load_explicit(&t->next, memory_order_acquire)) {
            sum += is_same_tenant(t, s) ? sum_cells(reg, t, offset) : 0;
        }
        if (sum) {
            char text[ID_TEXT_BYTES];
            struct slice label = tenant_label(s, text);
            metric_page_i64(page, family, &label, sum);
        }
    }
}

static void render_totals(struct metric_page *page, const struct metric_registry *reg,
                          enum metric_family family, const char *const *names, size_t count,
                          size_t offset)
{
    for (size_t i = 0; i < count; i++) {
        struct slice label = slice_str(names[i]);
        if (family == METRIC_DROPPED && i == METRIC_DROPPED_LOG_LINES) {
            continue; /* the callback knows it */
        }
        metric_page_i64(page, family, &label,
                        sum_totals(reg, offset + i * sizeof(struct metric_count)));
    }
}

/* The provider has been used by some worker; cells alone do not make one. */
static bool provider_is_used(const struct metric_registry *reg, size_t index)
{
    for (size_t i = 0; i < reg->worker_count; i++) {
        if (atomic_load_explicit(&reg->shards[i]->providers[index], memory_order_acquire)) {
            return true;
        }
    }
    return false;
}

static void render_one_histogram(struct metric_page *page, const struct metric_registry *reg,
                                 enum metric_family family, const struct provider_name *p,
                                 size_t offset)
{
    bool is_fine = family == METRIC_OVERHEAD;
    const int64_t *bounds = is_fine ? fine_bounds_ns : wide_bounds_ns;
    size_t n = is_fine ? ARRAY_LEN(fine_bounds_ns) : ARRAY_LEN(wide_bounds_ns);
    struct slice label = provider_label(p);
    size_t buckets = offset + offsetof(struct metric_histogram, buckets);
    int64_t total = 0;
    for (size_t i = 0; i < n; i++) {
        char le[MONEY_TEXT_MAX_BYTES + 8] = "le=\"";
        size_t len = 4 + money_format(bounds[i], le + 4);
        le[len++] = '"';
        total += sum_providers(reg, p->index, buckets + i * sizeof(struct metric_count));
        add_sample(page, family, "_bucket", &label, slice_of(le, len));
        text_add_i64(page->out, total);
        text_add_char(page->out, '\n');
    }
    total +=
        sum_providers(reg, p->index, buckets + METRIC_BUCKETS_MAX * sizeof(struct metric_count));
    add_sample(page, family, "_bucket", &label, SLICE("le=\"+Inf\""));
    text_add_i64(page->out, total);
    text_add_char(page->out, '\n');
    add_sample(page, family, "_sum", &label, SLICE_NONE);
    text_add_usd(page->out,
                 sum_providers(reg, p->index, offset + offsetof(struct metric_histogram, sum_ns)));
    text_add_char(page->out, '\n');
    add_sample(page, family, "_count", &label, SLICE_NONE);
    text_add_i64(page->out, total);
    text_add_char(page->out, '\n');
}

static void render_by_provider(struct metric_page *page, const struct metric_registry *reg,
                               enum metric_family family, size_t offset)
{
    struct provider_name *p = atomic_load_explicit(&reg->providers, memory_order_acquire);
    for (; p; p = atomic_load_explicit(&p->next, memory_order_acquire)) {
        if (!provider_is_used(reg, p->index)) {
            continue;
        }
        struct slice labels[2] = {provider_label(p), SLICE_NONE};
        if (family == METRIC_ACTIVE) {
            metric_page_i64(page, family, labels, sum_providers(reg, p->index, offset));
        } else if (family == METRIC_ATTEMPTS) {
            for (size_t i = 0; i < METRIC_OUTCOME_COUNT; i++) {
                labels[1] = slice_str(outcome_labels[i]);
                metric_page_i64(
                    page, family, labels,
                    sum_providers(reg, p->index, offset + i * sizeof(struct metric_count)));
            }
        } else {
            render_one_histogram(page, reg, family, p, offset);
        }
    }
}

/* --- the process itself --- */

static int64_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    char line[128];
    int64_t pages = 0;
    if (f && fgets(line, sizeof(line), f)) {
        struct slice s = slice_of(line, strlen(line));
        s = slice_from(s, slice_find(s, ' ') + 1);
        (void)!slice_to_i64(slice_head(s, slice_find(s, ' ')), &pages);
    }
    if (f) {
        (void)fclose(f);
    }
    return pages * sysconf(_SC_PAGESIZE);
}

static int64_t open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int64_t n = dir ? -3 : 0; /* ".", ".." and the one that opendir holds */
    /* cppcheck-suppress readdirCalled */
    while (dir && readdir(dir)) { /* NOLINT(concurrency-mt-unsafe): this DIR is ours alone */
        n++;
    }
    if (dir) {
        (void)closedir(dir);
    }
    return n;
}

/* Start of the process since the epoch: boot time plus field 22 of its stat line. */
static int64_t start_unix_ns(void)
{
    FILE *f = fopen("/proc/self/stat", "re");
    char line[1024];
    size_t len = f ? fread(line, 1, sizeof(line), f) : 0;
    int64_t ticks = 0;
    if (f) {
        (void)fclose(f);
    }
    struct slice s = slice_of(line, len);
    while (s.len && s.ptr[s.len - 1] != ')') { /* the name may hold spaces */
        s.len--;
    }
    s = slice_from(slice_of(line, len), s.len + 2);
    for (int field = 3; field < 22; field++) {
        s = slice_from(s, slice_find(s, ' ') + 1);
    }
    (void)!slice_to_i64(slice_head(s, slice_find(s, ' ')), &ticks);
    struct timespec boot;
    (void)clock_gettime(CLOCK_BOOTTIME, &boot);
    int64_t since_boot_ns = boot.tv_sec * NS_PER_S + boot.tv_nsec;
    return clock_unix_ns() - since_boot_ns + ticks * (NS_PER_S / sysconf(_SC_CLK_TCK));
}

static int64_t cpu_ns(void)
{
    struct rusage use;
    (void)getrusage(RUSAGE_SELF, &use);
    return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * NS_PER_S +
           (use.ru_utime.tv_usec + use.ru_stime.tv_usec) * NS_PER_US;
}

static void render_family(struct metric_page *page, const struct metric_registry *reg,
                          enum metric_family family)
{
#define CELL(member)     offsetof(struct metric_cell, member)
#define PROVIDER(member) offsetof(struct metric_provider, member)
#define TOTALS(member)   offsetof(struct metric_totals, member)
    switch (family) {
    case METRIC_REQUESTS:
        render_series_by(page, reg, family, status_labels, METRIC_STATUS_COUNT, CELL(requests));
        break;
    case METRIC_TOKENS:
        render_series_by(page, reg, family, token_labels, METRIC_TOKEN_COUNT, CELL(tokens));
        break;
    case METRIC_COST: render_cost(page, reg); break;
    case METRIC_CACHE_HITS: render_by_tenant(page, reg, family, CELL(cache_hits)); break;
    case METRIC_RATE_LIMITED: render_by_tenant(page, reg, family, CELL(rate_limited)); break;
    case METRIC_REQUEST_DURATION: render_by_provider(page, reg, family, PROVIDER(duration)); break;
    case METRIC_TIME_TO_FIRST_TOKEN:
        render_by_provider(page, reg, family, PROVIDER(first_token));
        break;
    case METRIC_OVERHEAD: render_by_provider(page, reg, family, PROVIDER(overhead)); break;
    case METRIC_ACTIVE: render_by_provider(page, reg, family, PROVIDER(active)); break;
    case METRIC_ATTEMPTS: render_by_provider(page, reg, family, PROVIDER(attempts)); break;
    case METRIC_PRICE_LOOKUPS:
        render_totals(page, reg, family, price_labels, METRIC_PRICE_COUNT, TOTALS(prices));
        break;
    case METRIC_AUTH_FAILURES:
        render_totals(page, reg, family, auth_labels, METRIC_AUTH_COUNT, TOTALS(auth));
        break;
    case METRIC_DROPPED:
        render_totals(page, reg, family, dropped_labels, METRIC_DROPPED_COUNT, TOTALS(dropped));
        break;
    case METRIC_OVERRUNS:
        metric_page_i64(page, family, NULL, sum_totals(reg, TOTALS(overruns)));
        break;
    case METRIC_PROCESS_MEMORY: metric_page_i64(page, family, NULL, resident_bytes()); break;
    case METRIC_PROCESS_CPU: metric_page_nano(page, family, NULL, cpu_ns()); break;
    case METRIC_PROCESS_START: metric_page_nano(page, family, NULL, start_unix_ns()); break;
    case METRIC_PROCESS_FDS: metric_page_i64(page, family, NULL, open_fds()); break;
    case METRIC_BREAKER_STATE:
    case METRIC_CREDENTIAL_FETCHES:
    case METRIC_JOURNAL_LAG:
    case METRIC_JOURNAL_PENDING:
    case METRIC_JOURNAL_SEGMENTS:
    case METRIC_JOURNAL_FAILED:
    case METRIC_STORE_FAILED:
    case METRIC_CACHE_ENTRIES:
    case METRIC_CACHE_BYTES:
    case METRIC_CACHE_EVICTIONS:
    case METRIC_READY:
    case METRIC_CONFIG_VERSION:
    case METRIC_BUILD_INFO:
    case METRIC_FAMILY_COUNT: break; /* the callback's */
    }
#undef CELL
#undef PROVIDER
#undef TOTALS
}

void metric_render(struct metric_registry *reg, struct text *out, metric_extra_fn extra, void *ctx)
{
    struct metric_page page = {.out = out};
    for (enum metric_family family = 0; family < METRIC_FAMILY_COUNT; family++) {
        render_family(&page, reg, family);
        if (extra && (family_rows[family].is_extra || family == METRIC_DROPPED)) {
            extra(ctx, &page, family);
        }
    }
}
