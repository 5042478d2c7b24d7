/* Memory of one load: a region that is left out of core dumps and unmapped at the end. */
#include "app/config_inside.h"
#include "core/check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SCRATCH_BYTES = 64 << 20 }; /* address space; pages come as they are touched */

bool scratch_init(struct scratch *s)
{
    const int kind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    /* cppcheck-suppress invalidFunctionArg ; -1 is right: no file stands behind it */
    void *map = mmap(NULL, SCRATCH_BYTES, PROT_READ | PROT_WRITE, kind, -1, 0);
    if (map == MAP_FAILED) {
        return false;
    }
    secret_no_dump(map, SCRATCH_BYTES);
    *s = (struct scratch){.map = map};
    return true;
}

void scratch_deinit(struct scratch *s)
{
    if (s->map) {
        (void)munmap(s->map, SCRATCH_BYTES);
        *s = (struct scratch){0};
    }
}

void *scratch_alloc(struct scratch *s, size_t size)
{
    size_t need;
    if (!size_add(size, 15, &need) || (need &= ~(size_t)15) > SCRATCH_BYTES - s->used) {
        return NULL;
    }
    void *p = s->map + s->used;
    s->used += need;
    return p;
}

struct slice scratch_dup(struct scratch *s, struct slice text)
{
    char *copy = scratch_alloc(s, text.len + 1);
    if (!copy) {
        return SLICE_NONE;
    }
    if (text.len) {
        memcpy(copy, text.ptr, text.len);
    }
    return slice_of(copy, text.len);
}

enum err scratch_read_file(struct scratch *s, const char *path, struct slice *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? E_NOT_FOUND : E_IO;
    }
    char *bytes = scratch_alloc(s, CONFIG_FILE_MAX_BYTES + 1);
    size_t len = 0;
    ssize_t n = bytes ? 1 : -1;
    while (n > 0 && len <= CONFIG_FILE_MAX_BYTES) {
        n = read(fd, bytes + len, CONFIG_FILE_MAX_BYTES + 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    int saved = errno;
    (void)close(fd);
    errno = saved;
    if (n < 0) {
        return E_IO;
    }
    if (len > CONFIG_FILE_MAX_BYTES) {
        return E_LIMIT;
    }
    *out = slice_of(bytes, len);
    return OK;
}
