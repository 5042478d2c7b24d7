/* core/attr.h -- compiler contracts used everywhere. */
#ifndef CORE_ATTR_H
#define CORE_ATTR_H

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

/* The struct of the given type that contains member at ptr. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
