#include "route/catalogue_data.h"
#include "route/inside.h"
#include "route/route.h"

#include <assert.h>

static struct slice name_of(uint32_t at, size_t len)
{
    return slice_of(catalogue_names + at, len);
}

static struct slice row_name(const struct catalogue_row *row)
{
    return name_of(row->name_at, row->name_len);
}

static int compare(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

struct range {
    const struct catalogue_row *first, *end;
};

/* Empty when the catalogue has no such provider. */
static struct range rows_of(struct slice provider)
{
    size_t low = 0;
    size_t high = catalogue_provider_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct catalogue_provider *p = &catalogue_providers[mid];
        int order = compare(name_of(p->name_at, p->name_len), provider);
        if (order == 0) {
            return (struct range){&catalogue_rows[p[0].rows_at], &catalogue_rows[p[1].rows_at]};
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return (struct range){NULL, NULL};
}

/* The first row whose name is not before model, or the end. */
static const struct catalogue_row *lower_bound(struct range rows, struct slice model)
{
    while (rows.first < rows.end) {
        const struct catalogue_row *mid = rows.first + (rows.end - rows.first) / 2;
        if (compare(row_name(mid), model) < 0) {
            rows.first = mid + 1;
        } else {
            rows.end = mid;
        }
    }
    return rows.first;
}

static const struct catalogue_row *find_exact(struct range rows, struct slice model)
{
    const struct catalogue_row *row = lower_bound(rows, model);
    return row < rows.end && slice_eq(row_name(row), model) ? row : NULL;
}

static bool all_digits(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
    }
    return s.len > 0;
}

static bool is_month_day(struct slice mmdd)
{
    int64_t value = 0;
    return all_digits(mmdd) && slice_to_i64(mmdd, &value) && value / 100 >= 1 &&
           value / 100 <= 12 && value % 100 >= 1 && value % 100 <= 31;
}

/* "-2024-07-18", "-20240718", "@20240718", "-0613", "-001", "@001", "-latest": the only endings
 * that name the same model. */
static bool is_version_suffix(struct slice s)
{
    if (s.len < 2 || (s.ptr[0] != '-' && s.ptr[0] != '@')) {
        return false;
    }
    struct slice rest = slice_from(s, 1);
    switch (rest.len) {
    case 3: return all_digits(rest);
    case 4: return is_month_day(rest);
    case 6: return slice_eq(rest, SLICE("latest"));
    case 8:
        return slice_starts(rest, SLICE("20")) && is_month_day(slice_from(rest, 4)) &&
               all_digits(rest);
    case 10: {
        char month_day[4] = {rest.ptr[5], rest.ptr[6], rest.ptr[8], rest.ptr[9]};
        return slice_starts(rest, SLICE("20")) && all_digits(slice_head(rest, 4)) &&
               rest.ptr[4] == '-' && rest.ptr[7] == '-' && is_month_day(slice_of(month_day, 4));
    }
    default: return false;
    }
}

static struct slice without_version(struct slice model)
{
    static const size_t lengths[] = {4, 5, 7, 9, 11};
    for (size_t i = ARRAY_LEN(lengths); i-- > 0;) {
        if (model.len > lengths[i] &&
            is_version_suffix(slice_from(model, model.len - lengths[i]))) {
            return slice_head(model, model.len - lengths[i]);
        }
    }
    return model;
}

static bool is_dearer(const struct catalogue_row *a, const struct catalogue_row *b)
{
    const struct price_rates *x = &catalogue_rates[a->base];
    const struct price_rates *y = &catalogue_rates[b->base];
    return x->output != y->output ? x->output > y->output : x->input > y->input;
}

/* The same model under another date: the undated name, else the dearest of the dated ones. */
static const struct catalogue_row *find_family(struct range rows, struct slice model)
{
    struct slice base = without_version(model);
    const struct catalogue_row *row = lower_bound(rows, base);
    const struct catalogue_row *dearest = NULL;
    for (; row < rows.end && slice_starts(row_name(row), base); row++) {
        if (row->name_len == base.len) {
            return row;
        }
        if (is_version_suffix(slice_from(row_name(row), base.len)) &&
            (!dearest || is_dearer(row, dearest))) {
            dearest = row;
        }
    }
    return dearest;
}

static void expand(const struct catalogue_row *row, bool is_family, struct route_model *out)
{
    *out = (struct route_model){
        .price = {.base = catalogue_rates[row->base],
                  .tier_count = row->tier_count,
                  .per_request_nusd = row->per_request_nusd},
        .price_source = ROUTE_PRICE_CATALOGUE,
        .is_price_known = true,
        .is_listed = true,
        .is_family = is_family,
        .is_reasoning = (row->flags & CATALOGUE_REASONING) != 0,
        .mode = (enum route_mode)row->mode,
        .context_max_tokens = row->context_max_tokens,
        .output_max_tokens = row->output_max_tokens,
    };
    assert(row->tier_count <= PRICE_TIERS_MAX);
    for (size_t i = 0; i < row->tier_count; i++) {
        const struct catalogue_tier *tier = &catalogue_tiers[row->tiers_at + i];
        out->price.tiers[i] =
            (struct price_tier){tier->above_prompt_tokens, catalogue_rates[tier->rates]};
    }
}

bool catalogue_find(struct slice provider, struct slice model, struct route_model *out)
{
    struct range rows = rows_of(provider);
    if (rows.first == rows.end || model.len == 0) {
        return false;
    }
    const struct catalogue_row *row = find_exact(rows, model);
    if (!row && slice_starts(model, SLICE("models/"))) {
        model = slice_from(model, 7);
        row = find_exact(rows, model);
    }
    bool is_family = !row;
    if (!row) {
        row = find_family(rows, model);
    }
    if (!row) {
        return false;
    }
    expand(row, is_family, out);
    return true;
}

bool catalogue_has_provider(struct slice provider)
{
    struct range rows = rows_of(provider);
    return rows.first != rows.end;
}

size_t catalogue_count(struct slice provider)
{
    struct range rows = rows_of(provider);
    return (size_t)(rows.end - rows.first);
}

struct slice catalogue_model(struct slice provider, size_t index, enum route_mode *out_mode)
{
    struct range rows = rows_of(provider);
    assert(index < (size_t)(rows.end - rows.first));
    *out_mode = (enum route_mode)rows.first[index].mode;
    return row_name(&rows.first[index]);
}

struct slice catalogue_date(void)
{
    return slice_str(catalogue_as_of);
}

void catalogue_each(void (*fn)(void *ctx, struct slice provider, struct slice model,
                               const struct route_model *facts),
                    void *ctx)
{
    for (size_t i = 0; i < catalogue_provider_count; i++) {
        const struct catalogue_provider *p = &catalogue_providers[i];
        for (size_t k = p[0].rows_at; k < p[1].rows_at; k++) {
            struct route_model facts;
            expand(&catalogue_rows[k], false, &facts);
            fn(ctx, name_of(p->name_at, p->name_len), row_name(&catalogue_rows[k]), &facts);
        }
    }
}
