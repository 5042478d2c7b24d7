#include "ledger/segment.h"

#include "core/check.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#    define MADV_POPULATE_WRITE                                           \
        23 /* Linux 5.14; an older kernel says EINVAL and nothing is lost \
            */
#endif

void segment_name(uint32_t worker, uint32_t generation, char *out)
{
    (void)snprintf(out, SEGMENT_NAME_BYTES, "w%u-%u.seg", worker, generation);
}

bool segment_name_parse(const char *name, uint32_t *out_worker, uint32_t *out_generation)
{
    int64_t worker;
    int64_t generation;
    struct slice s = slice_str(name);
    size_t dash = slice_find(s, '-');
    if (!slice_starts(s, SLICE("w")) || !slice_ends(s, SLICE(".seg")) || dash + 5 > s.len ||
        !slice_to_i64(slice_of(s.ptr + 1, dash - 1), &worker) ||
        !slice_to_i64(slice_of(s.ptr + dash + 1, s.len - dash - 5), &generation) || worker < 0 ||
        worker > UINT16_MAX || generation < 1 || generation > UINT32_MAX) {
        return false;
    }
    *out_worker = (uint32_t)worker;
    *out_generation = (uint32_t)generation;
    return true;
}

static bool write_zeros(int fd, size_t bytes)
{
    static const char zeros[JOURNAL_PAGE_BYTES];
    for (size_t at = 0; at < bytes; at += sizeof(zeros)) {
        ssize_t n = pwrite(fd, zeros, sizeof(zeros), (off_t)at);
        if (n != (ssize_t)sizeof(zeros)) {
            errno = n < 0 ? errno : ENOSPC;
            return false;
        }
    }
    return true;
}

/* The first segment is made before the first accept, where 2,048 writes would be felt: its blocks
 * are only reserved. Not every file system can. */
static bool reserve(int fd, size_t bytes, uint32_t generation)
{
    return (generation == 1 && fallocate(fd, 0, 0, (off_t)bytes) == 0) || write_zeros(fd, bytes);
}

enum err segment_create(struct segment *s, const struct segment_dir *dir, uint32_t generation)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(dir->worker, generation, name);
    int fd = openat(dir->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return E_IO;
    }
    void *base = MAP_FAILED;
    if (reserve(fd, dir->bytes, generation)) {
        base = dir->is_mmap ? mmap(NULL, dir->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                            : mmap(NULL, dir->bytes, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    if (base == MAP_FAILED) {
        int why = errno;
        (void)unlinkat(dir->fd, name, 0);
        (void)close(fd);
        errno = why;
        return E_IO;
    }
    s->bytes = dir->bytes;
    s->populated_bytes = 0;
    s->fd = fd;
    s->generation = generation;
    s->is_mmap = dir->is_mmap;
    atomic_store_explicit(&s->base, base, memory_order_release);
    return OK;
}

void segment_forget(struct segment *s)
{
    if (s->is_mmap) {
        (void)madvise(segment_base(s), s->bytes, MADV_DONTNEED);
    }
    s->populated_bytes = 0;
}

enum err segment_recycle(struct segment *s, const struct segment_dir *dir, uint32_t generation,
                         bool is_kept_mapped)
{
    char from[SEGMENT_NAME_BYTES];
    char to[SEGMENT_NAME_BYTES];
    segment_name(dir->worker, s->generation, from);
    segment_name(dir->worker, generation, to);
    if (renameat(dir->fd, from, dir->fd, to) != 0) {
        return E_IO;
    }
    if (!is_kept_mapped) {
        segment_forget(s);
    }
    s->populated_bytes = 0; /* pages that were written out fault again */
    s->generation = generation;
    return OK;
}

void segment_unmap(struct segment *s)
{
    char *base = segment_base(s);
    if (base) {
        atomic_store_explicit(&s->base, NULL, memory_order_release);
        (void)munmap(base, s->bytes);
        (void)close(s->fd);
    }
}

void segment_remove(struct segment *s, const struct segment_dir *dir)
{
    char name[SEGMENT_NAME_BYTES];
    if (segment_base(s)) {
        segment_name(dir->worker, s->generation, name);
        (void)unlinkat(dir->fd, name, 0);
        segment_unmap(s);
    }
}

void segment_populate(struct segment *s, size_t until)
{
    until = size_min(until, s->bytes) & ~(size_t)(JOURNAL_PAGE_BYTES - 1);
    if (until > s->populated_bytes) {
        (void)madvise(segment_base(s) + s->populated_bytes, until - s->populated_bytes,
                      MADV_POPULATE_WRITE);
        s->populated_bytes = until;
    }
}

/* msync() of a range syncs that range of the file only, so pages the worker still writes are left
 * alone; fdatasync() would wait for them and stall it. */
bool segment_sync(const struct segment *s, size_t from, size_t to)
{
    assert(from % JOURNAL_PAGE_BYTES == 0 && from <= to && to <= s->bytes);
    if (from == to) {
        return true;
    }
    return (s->is_mmap ? msync(segment_base(s) + from, to - from, MS_SYNC) : fdatasync(s->fd)) == 0;
}
