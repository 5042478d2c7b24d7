/* core/err.h -- the one error vocabulary. Rows, with HTTP status and text, are in core/err.def. */
#ifndef CORE_ERR_H
#define CORE_ERR_H

#include "core/attr.h"

#include <stdbool.h>

enum err {
#define ERR(name, http, retryable, text) name,
#include "core/err.def"
#undef ERR
};

const char *err_name(enum err e);
const char *err_text(enum err e);
int err_http_status(enum err e);
bool err_is_retryable(enum err e);

/* Result of a read or write that may have to wait; waiting is not an error. */
enum io_result { IO_DONE = 0, IO_AGAIN, IO_EOF, IO_FAILED };

#endif
