/* core/attr.h -- compiler contracts used everywhere. */
#ifndef CORE_ATTR_H
#define CORE_ATTR_H

#include <stdint.h>

#define MUST_USE     __attribute__((warn_unused_result))
#define NONNULL      __attribute__((nonnull))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define HOT          __attribute__((hot))
#define COLD         __attribute__((cold, noinline))
#define CLEANUP(fn)  __attribute__((cleanup(fn##_cleanup)))
#define UNUSED       __attribute__((unused))

/* A room on the hot path that is written before it is read: the hardening flags shall not zero it
 * first. */
#if defined(__has_attribute)
#    if __has_attribute(uninitialized)
#        define ROOM __attribute__((uninitialized))
#    endif
#endif
#ifndef ROOM
#    define ROOM
#endif

/* Ownership leaves by TAKE(p): returns p and nulls the variable. */
#define TAKE(p)                       \
    __extension__({                   \
        __typeof__(p) take_tmp = (p); \
        (p) = NULL;                   \
        take_tmp;                     \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Memory that will be wanted soon, line by line: of thousands of streams nothing stays in the CPU's
 * caches from one event to the next. Any address will do, and nothing is read. */
static inline __attribute__((always_inline)) void prefetch(const void *ptr, unsigned long bytes)
{
    for (unsigned long at = 0; at < bytes; at += 64) {
        /* No pointer arithmetic: perhaps nothing is there.
         * NOLINTNEXTLINE(performance-no-int-to-ptr) */
        __builtin_prefetch((const void *)((uintptr_t)ptr + at));
    }
}

/* The struct of the given type that contains member at ptr. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
