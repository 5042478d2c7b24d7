/* core/banned.h -- calls that no file of ours makes; included by core/slice.h, so by everything.
 *
 * Unbounded or locale-dependent string calls, silent number parsing, calls with static storage.
 */
#ifndef CORE_BANNED_H
#define CORE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Poisoning a name that FORTIFY made a macro would be an error of its own. */
#if !defined(__clang__)
#    pragma GCC poison strcpy strcat strncat sprintf vsprintf
#endif
#pragma GCC poison strtok atoi atol atoll gmtime localtime ctime asctime

#endif
