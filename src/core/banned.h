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

#pragma GCC poison strcpy strcat strncat sprintf vsprintf strtok atoi atol atoll gmtime localtime
#pragma GCC poison ctime asctime

#endif
