/* bench/malloc_count.c -- preloaded into a server, counts its heap allocations by thread.
 *
 * The counters live in the file that MALLOC_COUNT_FILE names (mapped and shared), so that the
 * benchmark reads them while the server runs: MALLOC_COUNT_SLOTS pairs of (thread id, allocations).
 * Each thread writes its own slot only. Uses the C library's own entry points underneath.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MALLOC_COUNT_SLOTS = 256 };

struct slot {
    _Atomic uint64_t thread;
    _Atomic uint64_t count;
};

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);

static struct slot *slots;
static _Thread_local struct slot *mine;

__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("MALLOC_COUNT_FILE");
    size_t size = MALLOC_COUNT_SLOTS * sizeof(struct slot);
    int fd = path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0) {
        return;
    }
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (p != MAP_FAILED) {
        slots = p;
    }
}

static void take_slot(void)
{
    uint64_t me = (uint64_t)gettid();
    for (size_t i = 0; i < MALLOC_COUNT_SLOTS && mine == NULL; i++) {
        uint64_t none = 0;
        if (atomic_compare_exchange_strong(&slots[i].thread, &none, me)) {
            mine = &slots[i];
        }
    }
}

static void count(void)
{
    if (slots == NULL) {
        return;
    }
    if (mine == NULL) {
        take_slot();
    }
    if (mine != NULL) {
        atomic_fetch_add_explicit(&mine->count, 1, memory_order_relaxed);
    }
}

void *malloc(size_t n)
{
    count();
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    count();
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    count();
    return __libc_realloc(p, n);
}

void *memalign(size_t align, size_t n)
{
    count();
    return __libc_memalign(align, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    count();
    return __libc_memalign(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
    count();
    *out = __libc_memalign(align, n);
    return *out != NULL ? 0 : ENOMEM;
}
