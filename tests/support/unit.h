/* support/unit.h -- cmocka with the headers it needs before it, in an order no formatter changes.
 */
#ifndef SUPPORT_UNIT_H
#define SUPPORT_UNIT_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#endif
