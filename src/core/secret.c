#include "core/secret.h"

#include <sys/mman.h>

static size_t mapped_bytes(size_t len)
{
    return (len + 1 + 4095) & ~(size_t)4095;
}

enum err secret_set(struct secret *s, struct slice bytes)
{
    if (bytes.len > SECRET_MAX_BYTES) {
        return E_LIMIT;
    }
    secret_deinit(s);
    size_t size = mapped_bytes(bytes.len);
    /* cppcheck-suppress invalidFunctionArg ; -1 is right: no file stands behind it */
    char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        return E_NOMEM;
    }
    (void)mlock(map, size); /* RLIMIT_MEMLOCK may be small; the secret works unlocked too */
    secret_no_dump(map, size);
    if (bytes.len) {
        memcpy(map, bytes.ptr, bytes.len);
    }
    s->ptr = map;
    s->len = bytes.len;
    return OK;
}

void secret_deinit(struct secret *s)
{
    if (s && s->ptr) {
        secret_wipe(s->ptr, s->len);
        (void)munmap(s->ptr, mapped_bytes(s->len));
        *s = (struct secret){0};
    }
}

void secret_wipe(void *p, size_t len)
{
    explicit_bzero(p, len);
}

void secret_no_dump(void *page_aligned, size_t len)
{
    (void)madvise(page_aligned, len, MADV_DONTDUMP);
}
