#include "core/money.h"

#include <assert.h>
#include <stdio.h>

__extension__ typedef __int128 wide; /* the only place that needs more than 64 bits */

enum { MTOK = 1000000, NANO_DIGITS = 9, EXPONENT_MAX = 30 };

static int64_t narrow(wide value)
{
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

int64_t money_token_cost(int64_t tokens, int64_t price_nusd_per_mtok)
{
    assert(tokens >= 0 && price_nusd_per_mtok >= 0);
    return narrow(((wide)tokens * price_nusd_per_mtok + MTOK / 2) / MTOK);
}

int64_t money_token_cost_ceil(int64_t tokens, int64_t price_nusd_per_mtok)
{
    assert(tokens >= 0 && price_nusd_per_mtok >= 0);
    return narrow(((wide)tokens * price_nusd_per_mtok + MTOK - 1) / MTOK);
}

struct decimal {
    wide digits;  /* all digits read, without the point */
    int exponent; /* value = digits * 10^exponent */
    size_t count; /* digits seen */
};

static bool take_digits(struct slice text, size_t *at, bool is_fraction, struct decimal *d)
{
    size_t start = *at;
    for (; *at < text.len && text.ptr[*at] >= '0' && text.ptr[*at] <= '9'; (*at)++) {
        if (++d->count > EXPONENT_MAX) {
            return false;
        }
        d->digits = d->digits * 10 + (text.ptr[*at] - '0');
        d->exponent -= is_fraction ? 1 : 0;
    }
    return *at > start;
}

static enum err take_exponent(struct slice text, size_t *at, struct decimal *d)
{
    if (*at < text.len && (text.ptr[*at] == 'e' || text.ptr[*at] == 'E')) {
        (*at)++;
        if (*at < text.len && text.ptr[*at] == '+') {
            (*at)++;
        }
        int64_t exponent;
        if (!slice_to_i64(slice_from(text, *at), &exponent)) {
            return E_SYNTAX;
        }
        if (exponent < -EXPONENT_MAX || exponent > EXPONENT_MAX) {
            return E_RANGE;
        }
        d->exponent += (int)exponent;
        *at = text.len;
    }
    return *at == text.len ? OK : E_SYNTAX;
}

enum err money_parse(struct slice text, int64_t *out_nusd)
{
    struct decimal d = {0};
    size_t at = 0;
    if (text.len && text.ptr[0] == '-') {
        return E_RANGE;
    }
    if (!take_digits(text, &at, false, &d)) {
        return d.count > EXPONENT_MAX ? E_RANGE : E_SYNTAX;
    }
    if (at < text.len && text.ptr[at] == '.') {
        at++;
        if (!take_digits(text, &at, true, &d)) {
            return d.count > EXPONENT_MAX ? E_RANGE : E_SYNTAX;
        }
    }
    enum err e = take_exponent(text, &at, &d);
    if (e != OK) {
        return e;
    }
    for (d.exponent += NANO_DIGITS; d.exponent > 0 && d.digits <= INT64_MAX; d.exponent--) {
        d.digits *= 10;
    }
    for (; d.exponent < 0; d.exponent++) {
        if (d.digits % 10 != 0) {
            return E_RANGE;
        }
        d.digits /= 10;
    }
    if (d.digits > INT64_MAX) {
        return E_RANGE;
    }
    *out_nusd = (int64_t)d.digits;
    return OK;
}

size_t money_format(int64_t nusd, char *out)
{
    uint64_t magnitude = nusd < 0 ? 0 - (uint64_t)nusd : (uint64_t)nusd;
    uint64_t usd = magnitude / (uint64_t)MONEY_USD_NUSD;
    uint64_t rest = magnitude % (uint64_t)MONEY_USD_NUSD;
    char digits[MONEY_TEXT_MAX_BYTES]; /* filled from the end: no formatter, this is a hot path */
    size_t at = sizeof(digits);
    if (rest) {
        size_t decimals = 9;
        for (; rest % 10 == 0; rest /= 10) {
            decimals--;
        }
        for (; decimals; decimals--, rest /= 10) {
            digits[--at] = (char)('0' + rest % 10);
        }
        digits[--at] = '.';
    }
    do {
        digits[--at] = (char)('0' + usd % 10);
        usd /= 10;
    } while (usd);
    if (nusd < 0) {
        digits[--at] = '-';
    }
    size_t len = sizeof(digits) - at;
    assert(len < MONEY_TEXT_MAX_BYTES);
    memcpy(out, digits + at, len);
    out[len] = '\0';
    return len;
}
