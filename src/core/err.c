#include "core/err.h"

const char *err_name(enum err e)
{
    switch (e) {
#define ERR(name, http, retryable, text) \
    case name:                           \
        return #name;
#include "core/err.def"
#undef ERR
    }
    return "E_UNKNOWN";
}

const char *err_text(enum err e)
{
    switch (e) {
#define ERR(name, http, retryable, text) \
    case name:                           \
        return text;
#include "core/err.def"
#undef ERR
    }
    return "unknown error";
}

int err_http_status(enum err e)
{
    switch (e) {
#define ERR(name, http, retryable, text) \
    case name:                           \
        return http;
#include "core/err.def"
#undef ERR
    }
    return 500;
}

bool err_is_retryable(enum err e)
{
    switch (e) {
#define ERR(name, http, retryable, text) \
    case name:                           \
        return (retryable) != 0;
#include "core/err.def"
#undef ERR
    }
    return false;
}
