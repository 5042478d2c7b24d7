/* core/money.h -- money is int64 nano-USD (1 USD = 1e9); prices are nano-USD per million tokens.
 *
 * 0.0125 USD per million tokens is 12,500,000 nano-USD per million tokens exactly. Products are
 * made in 128 bits and rounded once per line item. Nothing here is a double.
 */
#ifndef CORE_MONEY_H
#define CORE_MONEY_H

#include "core/err.h"
#include "core/slice.h"

enum { MONEY_TEXT_MAX_BYTES = 24 };
#define MONEY_USD_NUSD INT64_C(1000000000)

/* tokens * price / 1,000,000, half up; INT64_MAX when it does not fit. Arguments are not negative.
 */
int64_t money_token_cost(int64_t tokens, int64_t price_nusd_per_mtok);
/* The same, rounded up: for reservations. */
int64_t money_token_cost_ceil(int64_t tokens, int64_t price_nusd_per_mtok);

/* A decimal number of USD ("12", "0.5", "1e-3", at most nine decimals that matter) as nano-USD.
 * E_SYNTAX, or E_RANGE when negative, too large or finer than a nano-USD. */
MUST_USE enum err money_parse(struct slice text, int64_t *out_nusd);

/* Shortest exact decimal in USD: "0.00078", "12", "-3.5". out holds MONEY_TEXT_MAX_BYTES; returns
 * the length. */
size_t money_format(int64_t nusd, char *out);

#endif
